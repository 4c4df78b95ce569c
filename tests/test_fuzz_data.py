"""Tables and arrays of any bytes: rows, or one line; nothing else is raised, nothing hangs or takes all memory."""

import gzip
import io
import re
import struct
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Timed, assert_within
from isthmus import cli
from isthmus.errors import DataWarning, InputError, InputTypeError
from isthmus.sources import bounds, files
from isthmus.sources.series_files import read_series

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

MOST_SECONDS = 5
"""That a file of a few kilobytes takes, on a machine that does other things too."""

AS_EVER = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def fuzz(examples):
    """Settings for so many examples, the same each time."""
    return settings(AS_EVER, max_examples=examples)


LETTERS = st.sampled_from([*"abé漢=+-@'\"#$[]<>/\\|;:,. \t%_\x00\x1b\x7f\u2028\ufeff", "\r", "\n", "😀"])
WORDS = st.text(LETTERS, max_size=6)
NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["1e400", "-1e400", "1,5", "1.234,5", "1,234.5", "007", "0x1F", "1_000", "inf", "NaN", "", "?", "-"]
    ),
    st.sampled_from(["2020-01-01", "01.02.2020 10:00", "99999-99-99", "true", "False", "9" * 400, "1" + "0" * 400]),
)
CELLS = st.one_of(NUMBERS, NUMBERS, WORDS, st.sampled_from(["x" * 200_000, '"', '""', '"a\nb"', "'=1"]))
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "latin-1", "utf-7", "shift_jis"]


@st.composite
def tables(draw):
    """The bytes of something like a table: rows of much the same length, under a header, or none."""
    separator = draw(st.sampled_from([",", ",", ";", "\t", "|", " ", ", ", "::", "\x1f"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n\r"]))
    width = draw(st.integers(1, 4))
    header = draw(st.one_of(st.lists(WORDS, max_size=width + 1), st.lists(NUMBERS, max_size=width)))
    row = st.lists(CELLS, min_size=width, max_size=width)
    rows = draw(st.lists(st.one_of(row, row, row, st.lists(CELLS, max_size=6)), max_size=8))
    quote = draw(st.sampled_from(["", "", '"', "'"]))
    lines = [separator.join(f"{quote}{cell}{quote}" for cell in cells) for cells in [header, *rows]]
    titles = draw(st.sampled_from(["", "", "# title\n", "sep=;\n", "sep=\x00\n", "\n\n\n", '"', "\ufeff", "Title\n\n"]))
    text = titles + end.join(lines) + draw(st.sampled_from(["", end, '"', separator]))
    return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


@st.composite
def altered(draw, content):
    """Bytes with some cut out, doubled, or put in."""
    data = bytearray(draw(content))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["cut", "put", "double", "zero"]))
        if how == "cut":
            del data[place : place + draw(st.integers(1, 40))]
        elif how == "put":
            data[place:place] = draw(st.binary(min_size=1, max_size=12))
        elif how == "double":
            data[place:place] = data[place : place + 60]
        else:
            data[place : place + 4] = b"\x00\xff\x00\x80"
    return bytes(data)


def check(read, path, content):
    """Rows, or one line of ours; in little time."""
    path.write_bytes(content)
    with Timed() as timed, warnings.catch_warnings(), bounds.allowed(gb=0.1):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        found, refusal = None, None
        try:
            found = read(path)
        except (InputError, InputTypeError, OSError) as error:
            refusal = str(error)
    assert_within(MOST_SECONDS, timed.seconds)
    assert refusal is None or (0 < len(refusal) <= 1000 and not CONTROL.search(refusal)), refusal
    return found


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@fuzz(300)
@given(content=altered(tables()), mixed=st.booleans(), label=st.sampled_from([None, None, "a", "b", "a,b"]),
       na=st.sampled_from([None, None, ["?"], [], ["-1"]]))  # fmt: skip
def test_any_table(place, content, mixed, label, na):
    found = check(
        lambda path: files.read_source(path, label, mixed=mixed, na_values=na, gaps=True), place / "t.csv", content
    )
    if found is not None:
        X, y = found.data
        assert isinstance(X, pd.DataFrame)
        assert len(X)
        assert X.shape[1]
        assert X.columns.is_unique
        assert y is None or len(y) == len(X)
        assert all(line.count("\n") == 0 and len(line) < 5000 for line in (*found.understood, *found.warnings) if mixed)


@fuzz(120)
@given(content=altered(tables()))
def test_any_series(place, content):
    check(read_series, place / "s.csv", content)


@fuzz(100)
@given(content=st.one_of(altered(tables().map(gzip.compress)), st.binary(max_size=300)),
       name=st.sampled_from(["t.csv.gz", "t.tsv.gz", "t.parquet", "t.txt"]))  # fmt: skip
def test_any_bytes(place, content, name):
    check(lambda path: files.read_source(path, mixed=True), place / name, content)


@st.composite
def parquets(draw):
    kinds = st.sampled_from(["f8", "i4", "U3", "M8[s]", "?"])
    frame = pd.DataFrame(
        {name: np.zeros(draw(st.integers(3, 3)), draw(kinds)) for name in draw(st.sets(WORDS, min_size=1, max_size=3))}
    )
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


@fuzz(100)
@given(content=altered(parquets()))
def test_any_parquet(place, content):
    check(lambda path: files.read_source(path, mixed=True), place / "t.parquet", content)


SHAPES = st.one_of(
    st.tuples(), st.tuples(st.integers(0, 4)), st.tuples(st.integers(0, 4), st.integers(0, 3)),
    st.tuples(st.integers(-2, 10**30), st.integers(-2, 10**13)), st.just((1,) * 70), st.just((2, True)),
    st.just((2.5,)), st.just("(3,)"), st.just([3]), st.none(),
)  # fmt: skip
DTYPES = st.one_of(
    st.sampled_from(
        ["<f8", ">f4", "|u1", "<i8", "|b1", "<f2", "<c16", "|O", "<U5", "|S3", "<M8[D]", "|V4", "|S0", "<U0"]
    ),
    st.sampled_from(
        [[("a", "<f8")], [("a", "|O")], [("a", "<f8", (10**9,))], "<f99", "f8,f8", "<U" + "9" * 9, 5, None]
    ),
)


@st.composite
def arrays(draw):
    """The bytes of something like an .npy."""
    shape, dtype = draw(SHAPES), draw(DTYPES)
    header = draw(st.one_of(
        st.just(repr({"descr": dtype, "fortran_order": draw(st.booleans()), "shape": shape})),
        st.sampled_from(["{", "__import__('os').system('x')", "{'descr': '<f8'}", "(" * 300, "{}" * 3000, "None", ""]),
    ))  # fmt: skip
    said = header.encode() + b"\n"
    version = draw(st.sampled_from([b"\x01\x00", b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"]))
    length = len(said) if draw(st.integers(0, 9)) else draw(st.integers(0, 2**16 - 1))
    packed = struct.pack("<H", length) if version == b"\x01\x00" else struct.pack("<I", length)
    good = isinstance(shape, tuple) and all(type(side) is int and 0 <= side < 10 for side in shape) and len(shape) < 9
    size = int(np.prod(shape)) * 16 if good and draw(st.booleans()) else draw(st.integers(0, 64))
    return (
        b"\x93NUMPY"
        + version
        + packed
        + said
        + bytes(draw(st.integers(0, 255)) for _ in range(min(size, 8))) * (size // 8)
    )


NAMES = st.sampled_from(["X.npy", "y.npy", "X", "y", "Y.npy", "../X.npy", "X.npy.npy", "", "\x1b.npy", "é" * 200, "a/"])


@st.composite
def archives(draw):
    """The bytes of something like an .npz."""
    file = io.BytesIO()
    packed = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", packed) as archive:
        warnings.simplefilter("ignore")  # of members by one name
        for _ in range(draw(st.integers(0, 3))):
            archive.writestr(
                draw(NAMES) or "X", draw(st.one_of(arrays(), arrays(), good_arrays(), st.binary(max_size=30)))
            )
    data = bytearray(file.getvalue())
    if draw(st.integers(0, 3)) == 0:  # sizes that are claimed, and flags
        for mark, offset in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
            place = data.find(mark)
            if place >= 0:
                data[place + offset : place + offset + 8] = struct.pack(
                    "<II", *draw(st.tuples(*[st.integers(0, 2**32 - 1)] * 2))
                )
    return bytes(data)


@st.composite
def good_arrays(draw):
    array = np.arange(24).reshape(draw(st.sampled_from([(24,), (4, 6), (4, 3, 2), (2, 2, 3, 2)])))
    array = array.astype(draw(st.sampled_from(["f8", ">f4", "i2", "?", "U2", "M8[D]"])))
    file = io.BytesIO()
    np.save(file, np.asfortranarray(array) if draw(st.booleans()) else array)
    return file.getvalue()


@fuzz(200)
@given(
    content=st.one_of(altered(archives()), archives(), arrays(), altered(good_arrays())),
    label=st.sampled_from([None, None, "y", "é", "q"]),
)
def test_any_arrays(place, content, label):
    for name in ("a.npz", "a.npy"):
        found = check(lambda path: files.read_source(path, label), place / name, content)
        if found is not None:
            X, y = found.data
            assert isinstance(X, np.ndarray)
            assert X.dtype.kind in "biuf"
            assert X.nbytes <= 1e8
            assert y is None or len(y) == len(X)
    arrays_ = check(files.read_modalities, place / "a.npz", content)
    assert arrays_ is None or all(
        isinstance(each, np.ndarray) and not each.dtype.hasobject for each in arrays_.values()
    )
    check(read_series, place / "a.npy", content)


def test_arrays_are_read_at_all(place):
    """Most of what is above is refused; what is whole is not."""
    read = []

    @fuzz(20)
    @given(content=good_arrays())
    def whole(content):
        read.append(check(lambda path: files.read_source(path), place / "g.npy", content) is not None)

    whole()
    assert sum(read) > 8


@pytest.fixture
def quiet(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["isthmus", *words])
        showwarning = warnings.showwarning
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(SystemExit) as ended:
                cli.main()
        warnings.showwarning = showwarning
        return ended.value.code, *capfd.readouterr()

    return typed


@fuzz(50)
@given(content=st.one_of(tables().map(lambda made: ("d.csv", made)), archives().map(lambda made: ("d.npz", made)),
                         good_arrays().map(lambda made: ("d.npy", made))), window=st.booleans())  # fmt: skip
def test_the_command_line(quiet, content, window):
    name, made = content
    Path(name).write_bytes(made)
    status, out, err = quiet("data", name, *(["--window", "2"] if window else []))
    assert status in (0, 2), err
    assert status == 0 or err.count("\n") == 1, err
    assert len(err) < 3000
    assert not any(ord(letter) < 32 and letter != "\n" for letter in out + err)
