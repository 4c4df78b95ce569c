"""Tables in text as people have them."""

import gzip
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isthmus.sources import files
from isthmus.sources.datasets import load
from isthmus.sources.delimited import read_delimited

WORDS = st.text("abc xyz;,|äöüéñß", min_size=1, max_size=8).map(lambda word: f"w{word}w")


@st.composite
def frames(draw):
    """Frames of numbers, whole numbers and words, some of them missing."""
    n = draw(st.integers(2, 12))
    finite = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)
    kinds = {
        "float": st.lists(finite, min_size=n, max_size=n),
        "gaps": st.lists(st.one_of(finite, st.just(np.nan)), min_size=n, max_size=n),
        "whole": st.lists(st.integers(-(10**6), 10**6), min_size=n, max_size=n),
        "words": st.lists(WORDS, min_size=n, max_size=n),
    }
    columns = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=5))
    names = draw(st.lists(WORDS, min_size=len(columns), max_size=len(columns), unique=True))
    frame = pd.DataFrame({name: draw(kinds[kind]) for name, kind in zip(names, columns, strict=True)})
    half = ["half"] * (not set(names) & {"half"})
    return frame.assign(**{name: np.arange(n) + 0.5 for name in half})  # from which it can be told what decimals are


@given(
    frame=frames(),
    sep=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    index=st.booleans(),
    zipped=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_what_pandas_writes_is_read_back(tmp_path_factory, frame, sep, decimal, encoding, index, zipped):
    assume(len(frame.columns) > 1)
    path = tmp_path_factory.getbasetemp() / ("t.csv.gz" if zipped else "t.csv")
    frame.to_csv(path, sep=sep, decimal=decimal, encoding=encoding, index=index)
    back = files.read(path, mixed=True).X
    pd.testing.assert_frame_equal(back, frame, rtol=1e-12, check_dtype=False)


def read(tmp_path, content, name="t.csv", encoding="utf-8", newline=None, text=()):
    path = tmp_path / name
    path.write_text(content, encoding=encoding, newline=newline)
    return read_delimited(path, text)


TABLE = pd.DataFrame({"place": ["Köln", "Bonn"], "size": [405.5, 141.25], "people": [1_084_831, 335_975]})


@pytest.mark.parametrize(
    ("text", "lines"),
    {
        "plain": ("place,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n", []),
        "spaces after commas": ("place, size, people\nKöln, 405.5, 1084831\nBonn, 141.25, 335975\n", []),
        "semicolons, decimal commas": (
            "place;size;people\nKöln;405,5;1084831\nBonn;141,25;335975\n",
            ["separated by semicolons, with decimal commas"],
        ),
        "and thousands": (
            "place;size;people\nKöln;405,5;1.084.831\nBonn;141,25;335.975\n",
            [
                "separated by semicolons, with decimal commas",
                "points are thousands in 'people': '1.084.831' is 1084831",
            ],
        ),
        "thousands in quotes": (
            'place,size,people\nKöln,405.5,"1,084,831"\nBonn,141.25,"335,975"\n',
            ["commas are thousands in 'people': '1,084,831' is 1084831"],
        ),
        "tabs and thousands": (
            "place\tsize\tpeople\nKöln\t405.5\t1,084,831\nBonn\t141.25\t335,975\n",
            ["separated by tabs", "commas are thousands in 'people': '1,084,831' is 1084831"],
        ),
        "bars": ("place|size|people\nKöln|405.5|1084831\nBonn|141.25|335975\n", ["separated by bars"]),
        "spaces": ("place size people\nKöln   405.5 1084831 \nBonn 141.25   335975\n", ["separated by spaces"]),
        "Excel's hint": (
            "sep=;\nplace;size;people\nKöln;405,5;1084831\nBonn;141,25;335975\n",
            ["separated by semicolons, with decimal commas"],
        ),
        "a title": (
            "Cities of 2020\n\nplace,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n",
            ["left out above the table: 'Cities of 2020'"],
        ),
        "a title filled up": (
            "Cities of 2020,,\n,,\nplace,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n",
            ["left out above the table: 'Cities of 2020'"],
        ),
        "comments": (
            "# cities, of Germany\n# in km²\nplace,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n",
            ["left out above the table: '# cities of Germany', '# in km²'"],
        ),
        "comments with as many commas": (
            "# cities, of, Germany\nplace,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n",
            ["left out above the table: '# cities of Germany'"],
        ),
        "a header that is a comment": ("# place,size,people\nKöln,405.5,1084831\nBonn,141.25,335975\n", []),
        "a separator at the end": (
            "place,size,people,\nKöln,405.5,1084831,\nBonn,141.25,335975,\n",
            ["left out: 1 column with neither a name nor a value"],
        ),
        "one at the end of rows": (
            "place,size,people\nKöln,405.5,1084831,\nBonn,141.25,335975,\n",
            ["left out: 1 column with neither a name nor a value"],
        ),
        "all in quotes": ('"place";"size";"people"\n"Köln";"405,5";"1084831"\n"Bonn";"141,25";"335975"\n', [
            "separated by semicolons, with decimal commas"
        ]),
    }.values(),
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_in_many_ways(tmp_path, text, lines, newline):
    found = read(tmp_path, text, newline=newline)
    pd.testing.assert_frame_equal(found.frame, TABLE, check_dtype=False)
    assert found.understood == lines
    assert found.row_names is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    found = read(tmp_path, "place;size;people\nKöln;405,5;1084831\nBonn;141,25;335975\n", "t.txt", encoding)
    pd.testing.assert_frame_equal(found.frame, TABLE, check_dtype=False)
    guessed = ["it is not UTF-8, and is read as Latin-1 (Windows-1252)"] if encoding == "cp1252" else []
    assert found.warnings == guessed


def test_latin_letters_far_down_a_file(tmp_path):
    text = "place,size\n" + "Bonn,1.5\n" * 50_000 + "Köln,2.5\n"
    found = read(tmp_path, text, encoding="latin-1")
    assert found.frame.place.iloc[-1] == "Köln"
    assert found.frame.shape == (50_001, 2)


def test_broken_utf8_is_no_latin(tmp_path):
    (tmp_path / "t.csv").write_bytes("place,size\nKöln,1\nMünchen,2\nFürth,3\n".encode() + b"F\xc3,4\n")
    found = read_delimited(tmp_path / "t.csv")
    assert found.frame.place.tolist() == ["Köln", "München", "Fürth", "F\N{REPLACEMENT CHARACTER}"]
    assert found.warnings == ["1 of its letters are broken UTF-8 and are read as \N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("content", [bytes(range(256)) * 9, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\2\3\4\5\6" * 99])
def test_what_is_no_text(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t.csv: it is not text"):
        files.read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("header", "is_header"),
    [
        ("2019,2020,2021", True),
        ("0,1,2", True),
        ("10,20,30", True),
        ("x,2019,2020", True),
        ("country,1990,2000", True),
        ("1,2,5", False),
        ("3.5,4.5,5.5", False),
        ("5,5,5", False),
        ("Köln,2,4", False),
        ("2020-01-01,3,9", False),
        ("id,3,9", True),  # a word over numbers
    ],
)
def test_a_first_line_of_numbers(tmp_path, header, is_header):
    first = {"Köln": "Bonn", "country": "Peru", "2020-01-01": "2020-01-02"}.get(header.split(",")[0], "7.5")
    found = read(tmp_path, f"{header}\n" + f"{first},8.1,3\n{first},1.2,2\n{first},2.2,8\n" * 3)
    assert len(found.frame) == 10 - is_header
    assert list(found.frame) == (header.split(",") if is_header else ["x_0", "x_1", "x_2"])
    told = "no header: its first line is data, and its columns are called x_0 to x_2"
    numbers = [f"its header is numbers: {header.removeprefix('country,').replace(',', ', ')}"]
    assert found.warnings == ([told] if not is_header else numbers * (header[0] not in "xi"))


@pytest.mark.parametrize(
    ("text", "names"),
    {
        "whole numbers over their like": ("1,2,3\n" + "2,3,1\n3,1,1\n1,1,2\n" * 5, None),
        "0 and 1 over 0 and 1": ("0,1\n" + "1,1\n0,0\n1,0\n" * 5, None),
        "two years over years": ("1990,2000\n1980,1995\n1970,2010\n", None),
        "years in uneven steps": ("2010,2015,2020,2022\n5,7,8,2\n3,900,80,1\n", ["2010", "2015", "2020", "2022"]),
        "after a word": ("country,2010,2015,2022\nPeru,5e6,7,8\nChile,3e7,9,8\n", ["country", "2010", "2015", "2022"]),
        "wavelengths": ("400.0,402.5\n0.12,0.30\n0.21,0.32\n0.5,0.1\n", ["400.0", "402.5"]),
        "in uneven steps": ("400.0,402.5,406\n0.12,0.30,1\n0.21,0.32,0\n", ["400.0", "402.5", "406"]),
        "such as the rows": ("0.4,0.5,0.6\n0.12,0.30,1\n0.21,0.32,0\n", None),
        "pixels": (",".join(map(str, range(64))) + "\n" + ",".join(["255", "0"] * 32) + "\n", [*map(str, range(64))]),
        "months beside a word": ("store,1,2,3,4\nA,5,1,2,7\nB,4,4,1,9\n", ["store", *"1234"]),
        "a row that counts": ("A,1,2,3\nB,3,1,2\nC,2,2,1\n", None),
        "ranks": ("1,2,3,4,5\n2,1,5,4,3\n5,4,1,2,3\n", None),
        "far, and not in order": ("900,400,700\n1,2,3\n2,3,4\n", None),
    }.values(),
)
def test_numbers_as_names_differ_from_what_is_below(tmp_path, text, names):
    found = read(tmp_path, text)
    lines = text.count("\n")
    assert len(found.frame) == (lines if names is None else lines - 1)
    assert names is None or list(found.frame) == names
    assert found.warnings[0].startswith("no header" if names is None else "its header is numbers: ")


def test_rows_that_all_go_in_steps_have_no_header(tmp_path):
    assert len(read(tmp_path, "1,2,3\n4,5,6\n7,8,9\n").frame) == 3
    assert list(read(tmp_path, "0,1\n0.5,2.5\n1.5,1.25\n").frame) == ["0", "1"], "as pandas writes an array"
    assert list(read(tmp_path, "0\n0.5\n1.5\n").frame) == ["0"]
    assert len(read(tmp_path, "0\n1\n1\n").frame) == 3


def test_adult_has_no_header(data_dir):
    path = Path(data_dir, "tables", "adult.train.csv")
    if not path.is_file():
        pytest.skip("no tables")
    found = read_delimited(path)
    assert found.frame.shape == (32_561, 15)
    assert found.frame.iloc[0].tolist()[:4] == [39, "State-gov", 77516, "Bachelors"]
    assert pd.api.types.is_integer_dtype(found.frame.x_0)
    assert found.understood == ["no header: its first line is data, and its columns are called x_0 to x_14"]


def test_the_rows_names_are_no_feature(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3, 4]}, index=["Ann", "Bob"])
    frame.to_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(files.read(tmp_path / "t.csv").X, frame)
    source = files.read_source(tmp_path / "t.csv")
    assert source.understood == ["its first column, which has no name, names the rows"]
    frame.reset_index(drop=True).to_csv(tmp_path / "t.csv")
    plain = files.read(tmp_path / "t.csv").X
    pd.testing.assert_frame_equal(plain, frame.reset_index(drop=True))
    assert isinstance(plain.index, pd.RangeIndex)


@pytest.mark.parametrize(
    "text",
    ['"a" "b"\n"Ann" 1.5 3\n"Bob" 2.5 4\n', '"a","b"\n"Ann",1.5,3\n"Bob",2.5,4\n', "a\tb\nAnn\t1.5\t3\nBob\t2.5\t4\n"],
)
def test_as_r_writes_them(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3, 4]}, index=["Ann", "Bob"])
    pd.testing.assert_frame_equal(files.read(tmp_path / "t.txt").X, frame)
    (tmp_path / "t.txt").write_text(text.replace("Ann", "1").replace("Bob", "2"))
    assert files.read(tmp_path / "t.txt").X.index.tolist() == [1, 2]


RAGGED = {
    "a row too long": ("a,b\n1,2\n3,4,5\n6,7\n", "line 3 has 3 values, and others have 2"),
    "a row too short": ("a,b,c\n1,2,3\n\n4,5\n6,7,8\n", "line 4 has 2 values, and others have 3"),
    "the last row": ("a,b,c\n1,2,3\n4,5,6\n7", "line 4 has 1 value, and others have 3: complete it, or delete"),
    "a text in commas": ("id;text\n1;a\n2;b;c\n", "line 3 has 3 values"),
    "short beside blanks": ('a;b;c\n1;"x;y";\n2;;\n3;z\n', "line 4 has 2 values"),
    "lines in quotes": ('a,b,c\n"x\ny",2,\n1,2\n', "line 4 has 2 values"),
    "a total": ("a,b\n1,2\n3,4\nsum of all\n", "line 4 has 1 value"),
    "a quote without an end": ('a,b\n1,2\n"3,4\n5,6\n', "a quotation mark in row . has no second one"),
    "in UTF-16": ("a,b,c\n1,2,3\n4,5\n", "line 3 has 2 values"),
    "with spaces": ("a b c\n" + "1 2 3\n" * 20 + "4 5\n", "line 22 has 2 values"),
}


@pytest.mark.parametrize("case", RAGGED)
def test_ragged_rows(tmp_path, case):
    text, pattern = RAGGED[case]
    (tmp_path / "t.csv").write_text(text, encoding="utf-16" if "UTF" in case else "utf-8")
    with pytest.raises(ValueError, match=rf"cannot read .*t.csv: .*({pattern})") as error:
        files.read(tmp_path / "t.csv", mixed=True)
    assert "\n" not in str(error.value)


def test_blanks_at_the_end_are_not_ragged(tmp_path):
    for text in ("a,b,c\n1,2,\n4,5,\n6,7,8\n", 'a,b,c\n"1",2,\n4,5,\n6,7,8\n', "t\na,b,c\n1,2,\n4,5,\n6,7,8\n"):
        assert read(tmp_path, text).frame.c.isna().tolist() == [True, True, False]


def test_marks_among_commas(tmp_path):
    """What stands for a missing number is left for others to find; the numbers beside it read as numbers."""
    found = read(tmp_path, "a;b\n" + "1,5;x\n?;y\n1.002,25;z\n" * 10)
    assert found.frame.a.tolist() == ["1.5", "?", "1002.25"] * 10
    found = read(tmp_path, "a,b\n" + '"1,500",x\n?,y\n"1,002.25",z\n' * 10)
    assert found.frame.a.tolist()[:3] == ["1500", "?", "1002.25"]


@pytest.mark.parametrize(
    "text",
    [
        "day;a\n01.02.2020;1,5\n02.02.2020;2,5\n",
        "day;a\n1.2.3;1,5\n1.2.4;2,5\n",
        'day,a\n"1,3",1.5\n"2,4",2.5\n',
        'day,a\n"1,3",1\n"1,2,4",2\n',
        "day;a\n192.168.1.1;1,5\n10.0.0.1;2,5\n",
    ],
)
def test_what_is_no_number_stays_text(tmp_path, text):
    frame = read(tmp_path, text).frame
    assert not pd.api.types.is_numeric_dtype(frame.day)
    assert frame.day.iloc[0] == text.split("\n")[1].rpartition(";" if ";" in text else ",")[0].strip('"')


def test_decimals_seen_late(tmp_path):
    found = read(tmp_path, "a;b\n" + "1;x\n" * 100_000 + "2,5;x\n" * 3)
    assert found.frame.a.tail(1).item() == 2.5
    assert found.understood[-1] == "commas are decimals in 'a': '2,5' is 2.5"


MIXED_GROUPS = ["1{0}500", "750", "2{0}250", "980", "12{0}000"]


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
@pytest.mark.parametrize("mark", [".", ","])
def test_thousands_beside_small_numbers(tmp_path, separator, mark):
    """What is small has no mark, and what is large has: no decimals are so."""
    values = [f'"{value}"' if separator == mark else value for value in (each.format(mark) for each in MIXED_GROUPS)]
    found = read(tmp_path, f"a{separator}b\n" + "".join(f"{value}{separator}x\n" for value in values))
    assert found.frame.a.tolist() == [1500, 750, 2250, 980, 12000]
    word = {".": "points", ",": "commas"}[mark]
    assert f"{word} are thousands in 'a': '1{mark}500' is 1500" in found.warnings


@pytest.mark.parametrize(
    ("text", "values", "line"),
    [
        ("a;b\n1.500;x\n2.250;y\n", [1.5, 2.25], "points are decimals: '1.500' is 1.5"),
        ("a;b\n1,500;x\n2,250;y\n", [1.5, 2.25], "commas are decimals: '1,500' is 1.5"),
        ("a;b\n1.500;0,5\n2.250;7\n", [1500, 2250], "points are thousands in 'a': '1.500' is 1500"),
        ("a,b\n1.500,x\n2.250,y\n", [1.5, 2.25], None),
        ("a,b\n0.500,x\n2,y\n", [0.5, 2], None),
        ("a;b\n1.500;0.5\n2;7.25\n", [1.5, 2], None),
        ("a,b\n1.234.567,x\n1.500.000,y\n", [1234567, 1500000], "points are thousands in 'a': '1.234.567' is 1234567"),
    ],
)
def test_what_may_be_thousands_or_decimals_is_said(tmp_path, text, values, line):
    found = read(tmp_path, text)
    assert found.frame.a.tolist() == values
    assert found.warnings == ([] if line is None else [line])


@given(st.lists(st.integers(-(10**7), 10**7), min_size=2, max_size=30), st.sampled_from(".,"), st.sampled_from(";\t|"))
@settings(max_examples=60, deadline=None)
def test_whole_numbers_in_groups_are_read_back(tmp_path_factory, values, mark, separator):
    assume(any(abs(value) > 999 for value in values) and any(abs(value) < 1000 for value in values))
    path = tmp_path_factory.getbasetemp() / "groups.csv"
    lines = [f"{value:,}".replace(",", mark) + f"{separator}x\n" for value in values]
    path.write_text(f"a{separator}b\n" + "".join(lines))
    assert read_delimited(path).frame.a.tolist() == values


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_codes_that_begin_with_0_are_text(tmp_path, encoding, separator):
    lines = ["zip,phone,share,flag,n", "01004,0151123,0.5,0,10", "99999,,00.7,1,0", '"21000",0049,0,0,7']
    text = "\n".join(lines).replace(",", separator) + "\n"
    found = read(tmp_path, text, encoding=encoding)
    assert found.frame.zip.tolist() == ["01004", "99999", "21000"]
    assert found.frame.phone.fillna("").tolist() == ["0151123", "", "0049"]
    assert found.frame[["share", "flag", "n"]].to_numpy().tolist() == [[0.5, 0, 10], [0.7, 1, 0], [0, 0, 7]]
    said = [line for line in found.understood if "begin with 0" in line]
    assert said == [f"{name!r} is text: some of its values begin with 0" for name in ("zip", "phone")]


def test_zeros_are_no_thousands(tmp_path):
    found = read(tmp_path, "a;b\n" + "x;0,5\n" * 2000 + "y;0.250\n")
    assert found.frame.b.iloc[-1] == "0.250"


def test_codes_far_down_a_file(tmp_path):
    found = read(tmp_path, "zip\n" + "11004\n" * 50_000 + "01004")
    assert found.frame.zip.iloc[-1] == "01004"
    assert read(tmp_path, "zip,a\n11004,0\n0,0\n").frame.zip.tolist() == [11004, 0]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_blank_line_of_one_column_is_a_missing_cell(tmp_path, newline):
    found = read(tmp_path, "a\n1.5\n\n2.5\n\n\n", newline=newline)
    np.testing.assert_array_equal(found.frame.a, [1.5, np.nan, 2.5])
    assert found.understood == ["left out: 2 lines without a value at its end"]
    found = read(tmp_path, "word\none\n\ntwo\n", newline=newline)
    assert found.frame.word.fillna("-").tolist() == ["one", "-", "two"]
    assert len(read(tmp_path, "a,b\n1,2\n\n3,4\n", newline=newline).frame) == 2


def test_own_marks_are_all_there_are(tmp_path):
    (tmp_path / "t.csv").write_text("land,a\nNA,1\nNone,2\nXX,3\n,4\nDE,XX\n")
    found = files.read_source(tmp_path / "t.csv", mixed=True, na_values=["XX"]).data.X
    assert found.land.tolist()[:3] == ["NA", "None", "XX"]
    assert found.land.isna().tolist() == [False] * 3 + [True, False]
    assert files.read(tmp_path / "t.csv", mixed=True).X.land.isna().sum() == 3, "and as pandas has it without"


def test_columns_of_words(tmp_path):
    found = read(tmp_path, "code;a\n007;1,5\n1.000;2,5\n", text=["code", "gone"])
    assert found.frame.code.tolist() == ["007", "1.000"]


def test_a_column_of_codes_is_of_one_kind_however_long(tmp_path):
    codes = [f"{i:05}" for i in range(200_000)] + ["x1"]
    pd.DataFrame({"code": codes, "a": 1.0}).to_csv(tmp_path / "t.csv", index=False)
    assert read_delimited(tmp_path / "t.csv").frame.code.map(type).nunique() == 1


def test_endings(tmp_path):
    for name in ("a.CSV", "a.tsv", "a.txt", "b.csv.gz", "b.TSV.GZ"):
        content = b"a\tb\n1\t2\n"
        (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
        assert files.read(tmp_path / name).X.to_numpy().tolist() == [[1, 2]]
    (tmp_path / "c.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"cannot read .*c.csv.gz: Not a gzipped file"):
        files.read(tmp_path / "c.csv.gz")


def test_wide_and_single_columns(tmp_path):
    X = np.random.default_rng(0).normal(size=(5, 8_000))
    np.savetxt(tmp_path / "t.csv", X, delimiter=",")
    np.testing.assert_allclose(files.read(tmp_path / "t.csv").X, X)
    found = read(tmp_path, "text\nhello there\nthese are words\nthree of them\n")
    assert found.frame.text.tolist() == ["hello there", "these are words", "three of them"]


def test_what_may_be_wrong_is_said_in_python(tmp_path):
    (tmp_path / "t.csv").write_text("1,5\n2,7\n8,9\n")
    with pytest.warns(UserWarning, match=r"t.csv: no header: its first line is data") as caught:
        load(tmp_path / "t.csv")
    assert caught[0].filename == __file__


def test_a_long_file_is_read_about_once(tmp_path):
    """As fast as pandas that is told all: what is looked at beside is the beginning."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(100_000, 8))).add_prefix("c").assign(k=rng.choice(list("abc"), 100_000))
    frame.iloc[::7, 3] = np.nan
    frame.iloc[::5, 8] = None
    frame.to_csv(tmp_path / "t.csv", sep=";", decimal=",", index=False)

    def seconds(act):
        times = []
        for _ in range(3):
            start = time.process_time()
            act()
            times.append(time.process_time() - start)
        return min(times)

    told = seconds(lambda: pd.read_csv(tmp_path / "t.csv", sep=";", decimal=","))
    assert seconds(lambda: files.read(tmp_path / "t.csv", mixed=True)) < 2 * told + 0.3
