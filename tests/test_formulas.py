"""Text that a spreadsheet would run is written so that it does not, and read as it was."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isthmus
from isthmus.sources import files
from isthmus.sources.formulas import escaped, unescaped

DANGEROUS = [
    "=1+1",
    '=HYPERLINK("http://x")',
    "+49 170",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "＝1+1",
    "'=1",
    "''+x",
    "-x",
]
HARMLESS = ["-1", "+1.5", "-1e5", "-1,5", "-", "+", "a=b", "'tis", "x", "é", "1-2", "", "' =1"]


def test_which_texts():
    for text in DANGEROUS:
        assert escaped(text) == f"'{text}"
    for text in HARMLESS:
        assert escaped(text) == text
        assert unescaped(text) == text


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.text("'=+-@\t\r\n1.e,aＡ＝", max_size=6))
def test_what_is_read_back_is_what_was_written(text):
    assert unescaped(escaped(text)) == text
    first = escaped(text)[:1]
    assert first not in ("=", "@", "\t", "\r", "\n", "＝")
    assert first not in ("+", "-") or not escaped(text)[1:].strip("0123456789.,eE+-")


def test_a_table_that_is_written_and_read(tmp_path):
    texts = [text for text in (*DANGEROUS, *HARMLESS) if text and text.strip("\r\t") == text and text != "-"]
    frame = pd.DataFrame({"=name": texts, "n": np.arange(len(texts)) - 5.5, "kind": pd.Categorical(texts)})
    files.write_table(tmp_path / "t.csv", frame)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["'=name", "n", "kind"]
    assert [line[1] for line in lines[1:3]] == ["-5.5", "-4.5"], "numbers are numbers"
    assert [line[0] for line in lines[1:]] == [escaped(text) for text in texts]
    source = files.read_source(tmp_path / "t.csv", mixed=True)
    assert source.data.X["=name"].tolist() == texts
    assert source.data.X["kind"].tolist() == texts
    assert any("apostrophes before =, +, - and @" in line for line in source.understood)
    files.write_table(tmp_path / "raw.csv", frame, formulas=True)
    assert pd.read_csv(tmp_path / "raw.csv", keep_default_na=False)["=name"].tolist() == texts
    files.write_table(tmp_path / "t.parquet", frame)
    assert pd.read_parquet(tmp_path / "t.parquet")["=name"].tolist() == texts, "which no spreadsheet runs"


def test_names_that_no_file_can_hold(tmp_path):
    frame = pd.DataFrame({"file": pd.Series(["a\udcff.png", "b.png"], dtype=object)})
    for name in ("t.csv", "t.parquet"):
        files.write_table(tmp_path / name, frame)
        assert files.read(tmp_path / name, mixed=True).X["file"].tolist() == ["a\\udcff.png", "b.png"]


VERBS = ("transform", "reconstruct", "score", "score --per-feature", "impute --missing 0.3", "interpolate", "neighbors")


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for line in csv.reader(file) for cell in line]


def test_results_of_every_verb(run, tmp_path):
    """A stranger's category, and name of a column and of a row, in what is written of it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "": [f"=ROW({i})" for i in range(40)], "=cmd|' /C calc'!A0": rng.normal(size=40), "b": rng.normal(size=40),
        "@kind": np.resize(["=1+1", "+x", "y"], 40),
    })  # fmt: skip
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.drop(columns="").to_csv(tmp_path / "c.csv", index=False)
    train = "train {} --epochs 1 --set network__hidden=(4,) --out {} --model {}"
    assert run(train.format("t.csv", "run", "tabular"))[0] == 0
    assert run(train.format("c.csv", "told", "conditional --label @kind"))[0] == 0
    for command in ("sample told -o o.csv", *(verb.replace(*_data(verb)) + " -o o.csv" for verb in VERBS)):
        status, _, err = run(command)
        assert status == 0, err
        written = cells(tmp_path / "o.csv")
        assert [cell for cell in written if escaped(cell) != cell and not cell.startswith("'")] == [], command
        assert any(cell.startswith("'") for cell in written) or command.startswith("neighbors")
        assert run(f"{command} --formulas")[0] == 0
        raw = cells(tmp_path / "o.csv")
        assert [cell for cell in raw if cell.startswith("'")] == []
        assert len(raw) == len(written)


def _data(verb):
    name = verb.split()[0]
    return name, f"{name} run t.csv"


def test_what_was_filled_in_is_read_by_the_model_that_did(run, tmp_path):
    frame = pd.DataFrame({"n": np.arange(40.0), "kind": np.resize(["=1", "+x", "y"], 40)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert run("train t.csv --model tabular --epochs 1 --set network__hidden=(4,) --out run")[0] == 0
    assert run("impute run t.csv --missing 0.2 -o filled.csv")[0] == 0
    status, _, err = run("transform run filled.csv -o codes.npy")
    assert (status, err) == (0, "")
    read = files.read(tmp_path / "filled.csv", mixed=True).X
    assert set(read["kind"]) <= {"=1", "+x", "y"}
    assert isthmus.load("run").schema_.columns[1].categories


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_apostrophes_of_somebodys_own_stay(tmp_path, ending):
    """A file in which a formula is left bare was not written by isthmus, and categories must not merge."""
    table = pd.DataFrame({"cat": ["=x", "'=x", "'=y", "z"] * 5, "-c": ["a", "'=a", "b", "c"] * 5, "n": range(20)})
    path = tmp_path / f"t.{ending}"
    getattr(table, f"to_{ending}")(path, index=False)
    found = files.read(path, mixed=True)[0]
    assert list(found["cat"]) == list(table["cat"])
    assert list(found["-c"]) == list(table["-c"])


def test_names_that_would_become_one(tmp_path):
    (tmp_path / "t.csv").write_text("=a,'=a,b\n1,2,3\n4,5,6\n")
    assert list(files.read(tmp_path / "t.csv")[0].columns) == ["=a", "'=a", "b"]


def test_results_in_parquet_keep_their_dtypes(tmp_path):
    kinds = pd.CategoricalDtype(["low", "high", "=x"], ordered=True)
    table = pd.DataFrame({"c": pd.Categorical(["low", "=x"], dtype=kinds), "s": pd.array(["a", None], dtype="string")})
    files.write_table(tmp_path / "t.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    files.write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == "c,s\nlow,a\n'=x,\n"
