"""Files of a few bytes that would take all memory are refused before they do."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import isthmus
from isthmus.sources import bounds, files
from isthmus.sources import parquet as parquet_module
from isthmus.sources.arrays import Archive
from isthmus.sources.parquet import read_parquet
from isthmus.sources.series_files import read_series


@contextmanager
def little_memory(most=50e6):
    """What is done inside takes next to none."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most, f"{peak / 1e6:.0f} MB"


def header(shape, dtype="<f8", text=None):
    """The beginning of an .npy, of any claim."""
    said = text or repr({"descr": dtype, "fortran_order": False, "shape": shape})
    said = said.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said) + 1) + said + b"\n"


def npz(path, *members, packed=zipfile.ZIP_DEFLATED):
    """An archive of these contents by their names."""
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(path, *words, **how):
    with little_memory(), pytest.raises((ValueError, OSError)) as error:
        files.read_source(path, **how)
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 1200
    assert all(word in said for word in words), said
    return said


def zeros_in_zip(path, gb):
    """An archive with so many zeros, written a piece at a time."""
    count = int(gb * 1e9) // 8
    piece = bytes(2**20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("X.npy", "w", force_zip64=True) as member,
    ):
        member.write(header((count, 1)))
        for _ in range(count * 8 // len(piece)):
            member.write(piece)
        member.write(bytes(count * 8 % len(piece)))
    return path


def test_an_archive_of_zeros(tmp_path):
    path = zeros_in_zip(tmp_path / "z.npz", 0.1)
    assert path.stat().st_size < 1e6
    with bounds.allowed(gb=0.09):
        said = refused(path, "z.npz: 'X' takes 0.1 GB of memory, more than the 0.09 GB that are allowed")
    allow = said.split("max_gb=")[1].split()[0]
    assert isthmus.datasets.load(path, max_gb=float(allow)).X.shape == (12_500_000, 1), "as it says"


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**13,)), "takes 8e+04 GB of memory, more than the"),
        (header((10**7,)), "truncated or altered, as it has 0 bytes"),
        (header((3, 10**30)), "GB of memory, more than the"),
        (header((-1,)), "claims the shape (-1,)"),
        (header((True, 2)), "claims the shape (True, 2)"),
        (header((1,) * 40), "claims the shape"),
        (header((10**18,), "|S0"), "values of no size"),
        (header((10**18,), "<U0"), "values of no size"),
        (header((2,), "|O") + b"cos\nsystem\n(S'exit'\ntR.", "holds objects"),
        (header((2,), [("a", "|O")]), "holds objects"),
        (header((2,), text="{'descr': '<f8'}"), "cannot read"),
        (header((2,), text="__import__('os')"), "cannot read"),
        (header((2,), text="(" * 5000), "cannot read"),
        (header((2,), text="x" * 60_000), "cannot read"),
        (header((2,), text="{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}"), "cannot read"),
        (header((2,), text="{'descr': '<f8', 'fortran_order': False, 'shape': [1]}"), "cannot read"),
        (b"\x93NUMPY\x09\x00" + header((1,))[8:], "cannot read"),
        (b"\x93NUMPY\x03\x00" + struct.pack("<I", 3) + b"{}\n", "version (3, 0)"),
        (b"\x93NUMPY", "cannot read"),
        (b"no array", "cannot read"),
        (b"", "cannot read"),
    ],
)
def test_arrays_that_claim_what_cannot_be(tmp_path, ending, content, words):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content) if ending == "npy" else npz(path, ("X.npy", content))
    refused(path, words)
    if ending == "npz":
        with little_memory(), pytest.raises(ValueError, match=r"cannot read|takes"):
            files.read_modalities(path)
    else:
        with little_memory(), pytest.raises(ValueError, match=r"cannot read|takes"):
            read_series(path)


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_archives_that_are_not_as_numpy_writes_them(tmp_path):
    good = saved(np.eye(3))
    with pytest.warns(UserWarning, match="Duplicate name"):
        npz(tmp_path / "twice.npz", ("X.npy", good), ("X.npy", good))
    refused(tmp_path / "twice.npz", "has two arrays 'X'")
    refused(npz(tmp_path / "a.npz", ("X.npy", good), ("X", good)), "has two arrays 'X'")
    refused(npz(tmp_path / "a.npz", ("X.npy", good), packed=zipfile.ZIP_BZIP2), "packed in a way")
    refused(npz(tmp_path / "a.npz", ("X", b"no array")), "'X' in it cannot be read")
    refused(npz(tmp_path / "a.npz", ("X.npy", saved(np.array(["a", "b"])))), "holds <U1 where numbers are needed")
    refused(npz(tmp_path / "a.npz", *((f"a{i}\x1b" + "b" * 5000, good) for i in range(50))), "holds the arrays a0")
    whole = npz(tmp_path / "a.npz", ("X.npy", good)).read_bytes()
    for end in range(5, len(whole), 7):
        (tmp_path / "cut.npz").write_bytes(whole[:end])
        refused(tmp_path / "cut.npz", "cannot read")
    locked = bytearray(whole)
    for place in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):
        locked[place] |= 1
    (tmp_path / "locked.npz").write_bytes(locked)
    refused(tmp_path / "locked.npz", "is encrypted")


def test_arrays_of_every_kind_are_read_as_numpy_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    for dtype in ("?", "i1", ">i2", "<u4", "i8", "<f2", ">f4", "f8"):
        for order in ("C", "F"):
            array = np.asarray(rng.normal(size=(4, 3, 2)) * 9, order=order).astype(dtype)
            np.save(tmp_path / "a.npy", array)
            np.savez(tmp_path / "a.npz", X=array)
            np.savez_compressed(tmp_path / "b.npz", array, allow_pickle=False) if dtype == "f8" else None
            for name in ("a.npy", "a.npz"):
                read = files.read(tmp_path / name).X
                np.testing.assert_array_equal(read, array)
                assert read.dtype == array.dtype
    arrays = {"words": np.array(["a", "b"]), "n": np.zeros((2, 0)), "dates": np.zeros(2, "M8[D]")}
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    for name, array in files.read_modalities(tmp_path / "m.npz").items():
        np.testing.assert_array_equal(array, arrays[name])
    assert not Archive(tmp_path / "m.npz").is_one


def test_a_table_in_gzip(tmp_path):
    """A row of zeros is a few bits there."""
    path = tmp_path / "z.csv.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(b"a,b\n")
        for _ in range(8):
            file.write(b"0,0\n" * 2**18)
    assert path.stat().st_size < 6e4
    with bounds.allowed(gb=0.002):
        refused(path, "z.csv.gz, unpacked, takes at least 0.002", "give a larger max_gb (--max-gb)")
    path.write_bytes(gzip.compress(b"a,b\n1," + b"0" * 10**7))
    with bounds.allowed(gb=0.009):
        refused(path, "unpacked, takes at least 0.009", "give a larger max_gb (--max-gb)")
    path.write_bytes(gzip.compress(b"0" * 10**6))
    refused(path, "its first field has no end")
    path.write_bytes(gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"))
    assert files.read(path).X["b"].tolist() == [2, 4], "in two parts, as gzip may be"


def test_a_table_in_parquet_that_repeats_itself(tmp_path):
    """The file says to have a few bytes unpacked, as a value that repeats itself is written once."""
    path = tmp_path / "z.parquet"
    numbers = pa.table({name: pa.array(np.zeros(400_000)) for name in "ab"})
    parquet.write_table(numbers, path, compression="zstd")
    assert path.stat().st_size < 1e5
    with bounds.allowed(gb=0.006):
        refused(path, "z.parquet takes 0.0064 GB of memory")
    words = pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(600, np.int32), ["x" * 20_000])})
    words = words.cast(pa.schema({"a": pa.string()}))
    parquet.write_table(words, path, compression="zstd")
    assert path.stat().st_size < 1e5
    with bounds.allowed(gb=0.01):
        refused(path, "z.parquet takes at least 0.01", mixed=True)
    with bounds.allowed(gb=0.02):
        assert len(files.read(path, mixed=True).X) == 600
    lists = pa.table({"a": pa.ListArray.from_arrays(np.arange(9) * 10**5, np.zeros(800_000, int))})
    parquet.write_table(lists, path, compression="zstd")
    with bounds.allowed(gb=0.006):
        refused(path, "z.parquet takes 0.0064 GB of memory", mixed=True)


WORD = "x" * 20_000


def repeated(kind, rows=600, word=WORD):
    """A column of one word in all rows, of a type that holds it in some way."""
    kinds = {"list": pa.list_, "large_list": pa.large_list, "fixed": lambda of: pa.list_(of, 1)}
    way, _, of = kind.rpartition(" ")
    of = getattr(pa, of)()
    values = pa.repeat(pa.scalar(word, pa.string()), rows).cast(of)
    if way == "struct":
        return pa.StructArray.from_arrays([pa.array(np.arange(rows)), values], ["n", "a.b"])
    if way == "map":
        return pa.MapArray.from_arrays(np.arange(rows + 1, dtype=np.int32), pa.array(np.arange(rows)), values)
    if way == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, 1)
    if way == "lists":
        inner = pa.ListArray.from_arrays(np.array([0, rows], np.int32), values)
        return pa.ListArray.from_arrays(np.array([0, 1], np.int32), inner)
    return values if not way else pa.array([[word]] * rows, kinds[way](of))


@pytest.mark.parametrize("name", ["a", "a.b", ".", "a.b.c", "", "ä.list.element"])
@pytest.mark.parametrize(
    "kind",
    [
        *("string", "large_string", "binary", "large_binary", "list string", "large_list large_string"),
        *("struct string", "struct large_binary", "map string", "fixed string", "lists large_string"),
    ],
)
def test_repeated_text_in_parquet_of_any_type(tmp_path, name, kind):
    path = tmp_path / "z.parquet"
    column = repeated(kind)
    parquet.write_table(pa.table({name: column, "a": np.arange(len(column))} if name != "a" else {name: column}), path)
    assert path.stat().st_size < 1e5
    before = pa.total_allocated_bytes()
    with bounds.allowed(gb=0.0119):
        refused(path, "z.parquet takes at least 0.01", "larger max_gb (--max-gb)", mixed=True)
    assert pa.total_allocated_bytes() < before + 1_000_000
    with bounds.allowed(gb=0.0122):
        assert len(read_parquet(path)) == len(column)


@pytest.mark.parametrize("how", [{}, {"row_group_size": 50}, {"data_page_size": 500}, {"data_page_version": "2.0"}])
@pytest.mark.parametrize("columns", [1, 2, 8])
def test_columns_and_row_groups_do_not_multiply_the_bound(tmp_path, monkeypatch, how, columns):
    """Each chunk is below what may be unpacked."""
    path = tmp_path / "z.parquet"
    table = pa.table({f"c{i}": repeated("string", 800 // columns, "y" * 10_000) for i in range(columns)})
    parquet.write_table(table, path, **how)
    monkeypatch.setattr(bounds, "MOST_PACKED", 7_500_000)
    monkeypatch.setattr(bounds, "MOST_TIMES", 1)
    refused(path, "takes at least 0.00", "more than the 0.0075 GB", "larger max_gb (--max-gb)", mixed=True)
    monkeypatch.setattr(bounds, "MOST_PACKED", 8_200_000)
    assert read_parquet(path).shape == table.shape


@pytest.mark.parametrize("kind", ["string", "large_binary", "struct string", "list string"])
def test_text_in_parquet_that_is_written_as_what_differs(tmp_path, monkeypatch, kind):
    path = tmp_path / "z.parquet"
    column = repeated(kind)
    ends = {"struct string": "a.b.a.b", "list string": "a.b.list.element"}
    encodings = {ends.get(kind, "a.b"): "DELTA_BYTE_ARRAY"}
    parquet.write_table(pa.table({"a.b": column}), path, use_dictionary=["a.b.n"], column_encoding=encodings)
    assert path.stat().st_size < 1e5
    monkeypatch.setattr(parquet_module, "AT_ONCE", 10**6)
    with bounds.allowed(gb=0.0119):
        said = refused(path, "takes up to" if kind == "list string" else "takes at least", mixed=True)
    allow = float(said.split("max_gb=")[1].split()[0]) if kind == "list string" else 0.0122
    with bounds.allowed(gb=allow):
        assert len(read_parquet(path)) == len(column), "as it says"


def test_what_is_no_text_takes_its_width(tmp_path):
    path = tmp_path / "z.parquet"
    parquet.write_table(pa.table({"a": pa.array([b"x" * 20_000] * 600, pa.binary(20_000))}), path)
    assert path.stat().st_size < 1e5
    with bounds.allowed(gb=0.0119):
        refused(path, "z.parquet takes 0.012 GB", mixed=True)
    words = pa.DictionaryArray.from_arrays(np.zeros(600, np.int32), [WORD])
    parquet.write_table(pa.table({"a.b": words, "n": np.arange(600)}), path)
    with bounds.allowed(gb=1e-4):
        assert read_parquet(path)["a.b"].dtype == "category", "which holds the word once"
    in_structs = pa.StructArray.from_arrays([words], ["a"])
    in_lists = pa.ListArray.from_arrays(np.arange(601, dtype=np.int32), words)
    for column in (in_structs, in_lists):
        parquet.write_table(pa.table({"n": words, "a.b": column}), path)
        with bounds.allowed(gb=0.0119):
            refused(path, "takes at least", mixed=True)
    parquet.write_table(pa.table({"a.b": words, "n": np.arange(600)}), path, store_schema=False)
    with bounds.allowed(gb=0.0119):
        refused(path, "takes at least", mixed=True)


def test_honest_text_in_parquet_is_counted_in_large_pieces(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    words = [f"user-{i:08d}" for i in range(100_000)]
    table = pa.table(dict.fromkeys(("a", "a.b", "c"), words))
    parquet.write_table(table, path)
    read = []
    size = parquet_module._size
    monkeypatch.setattr(parquet_module, "_size", lambda array: read.append(len(array)) or size(array))
    assert read_parquet(path).shape == (100_000, 3)
    assert sum(read) == 3 * 100_000
    assert min(read) > 1000
    read.clear()
    parquet.write_table(table, path, use_dictionary=False)
    assert read_parquet(path).shape == (100_000, 3)
    assert not read, "what is written in full is not counted"


def test_any_file_by_its_size(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 1000)
    with bounds.allowed(gb=4e-6):
        refused(path, "a.csv takes 4e-06 GB of memory")
        with pytest.raises(ValueError, match="takes 4e-06 GB"):
            read_series(path)
    assert len(files.read(path).X) == 1000


@pytest.mark.parametrize("name", ["p.csv", "p.npy", "p.npz", "p.parquet", "p.csv.gz"])
def test_a_pipe_does_not_have_one_wait(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "it is no file, but a pipe or a device")
    (tmp_path / f"link.{name}").symlink_to("/dev/zero")
    refused(tmp_path / f"link.{name}", "it is no file, but a pipe or a device")


def test_a_file_of_the_catalogue(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for name in isthmus.sources.catalogue.CATALOGUE["mnist"].files:
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(bytes(10**6)))
    monkeypatch.setattr(isthmus.sources.catalogue, "MOST_BYTES", 1000)
    with little_memory(3e6), pytest.raises(ValueError, match="is not the published file"):
        isthmus.datasets.load("mnist", data_dir=tmp_path)


def test_how_much_is_allowed(monkeypatch):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2 * 10**9 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    assert bounds.most_bytes() == pytest.approx(0.5e9, rel=1e-4)
    sizes["SC_PHYS_PAGES"] = 10**12
    assert bounds.most_bytes() == 16e9
    with bounds.allowed(gb=100, pixels=7):
        assert (bounds.most_bytes(), bounds.most_pixels()) == (100e9, 7)
    assert (bounds.most_bytes(), bounds.most_pixels()) == (16e9, 10**8)
    for wrong in (0, -1, np.nan, np.inf, "3", True):
        with pytest.raises(ValueError, match=r"max_gb=.*: give a number above 0"):
            bounds.allow(gb=wrong)


def test_what_is_packed_better_than_rows_are(tmp_path, monkeypatch):
    """Such a file is refused on a machine of any size; one that is asked for is read."""
    monkeypatch.setattr(bounds, "MOST_PACKED", 10**6)
    zeros = np.zeros((400, 5000))
    np.savez_compressed(tmp_path / "z.npz", X=zeros)
    parquet.write_table(pa.table({"a": np.zeros(10**6)}), tmp_path / "z.parquet")
    with gzip.open(tmp_path / "z.csv.gz", "wb") as file:
        file.write(b"a,b\n" + b"0,0\n" * 500_000)
    for name in ("z.npz", "z.parquet", "z.csv.gz"):
        refused(tmp_path / name, "more than the", "--max-gb")
    with bounds.allowed(gb=1):
        assert files.read(tmp_path / "z.npz").X.shape == zeros.shape
    np.savez_compressed(tmp_path / "r.npz", X=np.random.default_rng(0).normal(size=zeros.shape))
    np.save(tmp_path / "z.npy", zeros)
    for name in ("r.npz", "z.npy"):
        assert files.read(tmp_path / name).X.shape == zeros.shape
