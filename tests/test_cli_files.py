"""Files at the command line: what is said of them, refused in them, and given back with the results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isthmus
from isthmus.starting import COMMAND


@pytest.fixture
def frame(table):
    return pd.DataFrame(table.round(4), columns=list("abcdef"))


@pytest.fixture
def labelled(run, frame):
    """A run that was trained on a table with labels in its midst."""
    frame.insert(2, "lab", np.where(frame.a > 0, "up", "down"))
    frame.to_csv("t.csv", index=False)
    assert run("train t.csv --label lab --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    return frame


def pictures(folder, size=6, n=12, colors=True, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(n):
        path = Path(folder, "ab"[i % 2], f"{i:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size, size, 3) if colors else (size, size)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)


def refused(run, command, *words):
    status, out, err = run(command)
    assert (status, err.count("\n")) == (2, 1), out + err
    assert err.startswith("isthmus: ")
    assert "bug" not in err
    for word in words:
        assert word in err, err


@pytest.mark.parametrize("model", ["plain", "denoising", "variational", "tabular"])
def test_a_column_to_drop_must_be_there(run, frame, model):
    frame.to_csv("t.csv", index=False)
    train = f"train t.csv --model {model} --components 2 --hidden 4 --epochs 1 --out run"
    refused(run, f"{train} --drop A", "'A'" if model == "tabular" else "--drop A")
    assert not Path("run").exists()
    assert run(f"{train} --drop a")[0] == 0
    frame.drop(columns="a").to_csv("today.csv", index=False)
    assert run("score run today.csv -o s.csv")[::2] == (0, ""), "at use it may be gone"
    assert run("score run t.csv -o s.csv")[::2] == (0, "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train t.csv --size 8 --out r", ["--size 8", "t.csv"]),
        ("train t.csv --fit pad --out r", ["--fit pad"]),
        ("train t.csv --skip-bad --out r", ["--skip-bad"]),
        ("train digits --size 8 --out r", ["--size 8", "digits"]),
        ("train digits --drop a --out r", ["--drop a"]),
        ("train x.npy --na -9 --out r", ["--na -9"]),
        ("train pics --drop a --out r", ["--drop a", "pics"]),
        ("train pics --na x --out r", ["--na x"]),
        ("train pics --kind a=number --out r", ["--kind a=number"]),
        ("train pics --kind a=number --model tabular --out r", ["--kind a=number"]),
        ("train t.csv --model tabular --kind a=number --kind a=category --out r", ["--kind a=category", "number"]),
        ("compare t.csv --size 8 --out r", ["--size 8"]),
        ("compare t.csv --skip-bad --out r", ["--skip-bad"]),
        ("data t.csv --size 8", ["--size 8"]),
        ("data t.csv --skip-bad", ["--skip-bad"]),
        ("data t.csv --stride 3", ["--stride 3"]),
        ("data t.csv --time a", ["--time a"]),
        ("data pics --drop a", ["--drop a"]),
        ("data pics --kind a=number", ["--kind a=number"]),
        ("data t.csv --kind a=number --kind a=category", ["--kind a=category"]),
    ],
)
def test_options_without_meaning(run, frame, command, words):
    frame.to_csv("t.csv", index=False)
    np.save("x.npy", frame.to_numpy())
    pictures("pics")
    refused(run, command, *words)


def test_bad_images_are_no_matter_of_tables(run, labelled):
    refused(run, "score run t.csv --skip-bad -o s.csv", "--skip-bad")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("--model conditional --label a,b,c,d,e,f", ["t.csv", "no column is left"]),
        ("--model conditional --label a,a", ["'a' twice"]),
        ("--label a,b,a", ["'a' twice"]),
        ("--model tabular --set kinds=3", ["kinds"]),
        ("--model tabular --set kinds=[1]", ["kinds"]),
    ],
)
def test_labels_and_kinds_that_cannot_be(run, frame, command, words):
    frame.to_csv("t.csv", index=False)
    refused(run, f"train t.csv {command} --out r", *words)


VERBS = ["transform", "reconstruct", "score", "impute", "neighbors", "interpolate", "report"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_very_file_that_was_trained_on(run, labelled, verb):
    """Its labels, which the run notes, are left out; a file without them is read as well."""
    hidden = " --missing 0.3" if verb == "impute" else ""
    ending = "html" if verb == "report" else "csv"
    assert run(f"{verb} run t.csv{hidden} -o one.{ending}")[::2] == (0, "")
    assert run(f"{verb} run t.csv{hidden} --label lab -o two.{ending}")[0] == 0
    if verb != "report":
        assert Path("one.csv").read_text() == Path("two.csv").read_text()
    labelled.drop(columns="lab").to_csv("without.csv", index=False)
    assert run(f"{verb} run without.csv{hidden} -o three.{ending}")[::2] == (0, "")
    labelled.assign(lab=labelled["lab"].where(labelled.index > 3)).to_csv("gaps.csv", index=False)
    assert run(f"{verb} run gaps.csv{hidden} -o four.{ending}")[::2] == (0, "")
    refused(run, f"{verb} run t.csv{hidden} --label a -o x.{ending}", "lab")


def test_a_noted_array_of_labels(run, frame):
    np.savez("t.npz", X=frame.to_numpy(), mine=np.arange(len(frame)) % 2)
    assert run("train t.npz --label mine --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    assert "have the label of their query" in run("neighbors run t.npz -o n.csv")[1]
    np.savez("today.npz", X=frame.to_numpy())
    np.save("today.npy", frame.to_numpy())
    for name in ("today.npz", "today.npy"):
        assert run(f"score run {name} -o s.csv")[::2] == (0, "")


@pytest.mark.parametrize("verb", ["transform", "reconstruct", "score", "impute", "neighbors", "interpolate"])
@pytest.mark.parametrize("kind", ["table", "people", "detector"])
def test_columns_in_another_order(run, saved, verb, kind):
    if kind == "detector" and verb != "score":
        return
    source = saved / ("people.csv" if kind == "people" else "numbers.csv")
    today = pd.read_csv(source)
    hidden = " --missing 0.3" if verb == "impute" else ""
    today.to_csv("t.csv", index=False)
    today[today.columns[::-1]].to_csv("other.csv", index=False)
    assert run(f"{verb} {saved / kind} t.csv{hidden} -o one.csv")[::2] == (0, "")
    assert run(f"{verb} {saved / kind} other.csv{hidden} -o two.csv")[::2] == (0, "")
    one, two = pd.read_csv("one.csv"), pd.read_csv("two.csv")
    pd.testing.assert_frame_equal(one, two[one.columns])
    if verb == "impute":
        assert list(two) == list(today.columns[::-1])
    today.drop(columns=today.columns[0]).to_csv("less.csv", index=False)
    assert run(f"{verb} {saved / kind} less.csv{hidden} -o x.csv")[0] in (0, 2), "what is lacking is the model's matter"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("model", ["plain", "tabular"])
def test_labels_and_names_of_rows_are_given_back(run, frame, ending, model):
    frame.insert(3, "lab", np.arange(len(frame)) % 3)
    frame.index = [f"r{i}" for i in range(len(frame))]
    frame.iloc[::5, 0] = np.nan
    frame.to_csv("t.csv")
    assert run(f"train t.csv --label lab --model {model} --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    name = "Unnamed: 0" if ending == "csv" else "row"
    for verb, columns in {"impute": [*"abc", "lab", *"def"], "reconstruct": list("abcdef")}.items():
        assert run(f"{verb} run t.csv --label lab -o out.{ending}")[0] == 0
        out = read(f"out.{ending}")
        assert list(out) == [name, *columns]
        assert out[name].tolist() == list(frame.index)
        if verb == "impute":
            assert out["lab"].tolist() == frame["lab"].tolist()
            np.testing.assert_allclose(out["b"], frame["b"], rtol=1e-6)
            assert not out.isna().any(axis=None)
    for verb in ("transform", "score"):
        assert run(f"{verb} run t.csv -o out.{ending}")[0] == 0
        assert read(f"out.{ending}")[name].tolist() == list(frame.index)
    assert run("impute run t.csv -o out.npy")[0] == 0
    assert np.load("out.npy").shape == (len(frame), 6)


def test_what_pictures_rows_are_of(run):
    pictures("pics")
    assert run("train pics --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    Path("pics/a/04.png").write_text("broken")
    files = [f"{'ab'[i % 2]}/{i:02}.png" for i in (0, 2, 6, 8, 10, 1, 3, 5, 7, 9, 11)]
    for verb in ("transform", "reconstruct", "score"):
        for ending in ("csv", "parquet"):
            assert run(f"{verb} run pics --skip-bad -o out.{ending}")[0] == 0
            out = (pd.read_csv if ending == "csv" else pd.read_parquet)(f"out.{ending}")
            assert out["file"].tolist() == files
            assert out.columns[0] == "file"
        status, out, _ = run(f"{verb} run pics --skip-bad -o out.npy")
        assert status == 0
        assert "no row in out.npy: a/04.png\n" in out


@pytest.mark.parametrize("colors", [True, False])
def test_new_pictures_of_another_size_go_on_from_a_run(run, colors):
    pictures("pics", colors=colors)
    pictures("new", 9, colors=not colors, seed=1)
    assert run("train pics --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    status, out, err = run("train new --from run --epochs 1 --out next")
    assert status == 0, err
    assert "9×9 brought to 6×6 pixels" in out
    assert isthmus.load("next").row_shape_ == ((3, 6, 6) if colors else (6, 6))
    assert json.loads(Path("next/run.json").read_text())["finished"]
    for verb in ("transform", "score"):
        status, _, err = run(f"{verb} next new -o out.csv")
        assert status == 0
        assert err.splitlines()[0] == (
            "isthmus: new: the model knows another size: 9×9 brought to 6×6 pixels (the middle of each)"
        )
        assert run(f"{verb} next pics -o out.csv")[::2] == (0, "")
    assert run("report next")[0] == 0


def test_a_size_that_was_asked_for_is_no_news(run):
    pictures("pics", 9)
    assert run("train pics --size 6 --components 2 --hidden 4 --epochs 1 --out run")[::2] == (0, "")


def test_a_comparison_with_a_picture_outside_of_the_subfolders(run):
    pictures("pics", n=24)
    Path("pics/a/00.png").rename("pics/loose.png")
    status, _, err = run("compare pics --models deep --components 2 --seeds 1 --epochs 1 --out cmp")
    assert status == 0
    assert err.splitlines()[-1] == "isthmus: pics: images without a label are left out of the comparison"


def test_how_numbers_were_read_is_said_at_use(run):
    rows = [f"{i * 37 % 4}.{i * 91 % 900 + 100};{i}" for i in range(1, 60) if i * 37 % 4]
    Path("t.csv").write_text("\n".join(["a;b", *rows, "750;3"]))
    status, out, err = run("train t.csv --components 1 --hidden 4 --epochs 1 --out run")
    assert (status, err) == (0, "")
    line = "points are thousands in 'a': '1.191' is 1191"
    assert line in out
    for verb in ("transform", "reconstruct", "score"):
        assert f"isthmus: t.csv: {line}\n" in run(f"{verb} run t.csv -o s.csv")[2]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((6, 6), 999, np.uint16), "of 16 bits: /65535"),
        (np.full((6, 6), 999, np.int32), "whole numbers of 32 bits: /65535"),
        (np.full((6, 6), 0.25, np.float32), "floats: as they are"),
    ],
)
def test_how_deep_pictures_are_read(run, pixels, words):
    for name in "ab":
        Path(name).mkdir()
        Image.fromarray(pixels).save(f"{name}/1.tiff")
    assert f"({words})" in run("data .")[1]


@pytest.mark.parametrize("model", ["plain", "tabular"])
def test_own_marks_leave_other_words_alone(run, frame, model):
    land = np.resize(["NA", "DE", "None", "XX"], len(frame))
    frame.assign(land=land).to_csv("t.csv", index=False)
    label = " --label land" if model == "plain" else ""
    train = f"train t.csv --na XX --model {model}{label} --components 2 --hidden 4 --epochs 1 --out run"
    if model == "plain":
        assert run(train)[0] == 0
        return
    assert run(train)[0] == 0
    column = next(column for column in isthmus.load("run").schema_.columns if column.name == "land")
    assert {*column.categories} == {"NA", "DE", "None"}
    assert run("reconstruct run t.csv -o r.csv")[0] == 0
    assert {*pd.read_csv("r.csv", keep_default_na=False)["land"]} <= {"NA", "DE", "None"}
    assert "missing: 50 cells of land ('XX')" in run("data t.csv --na XX")[1]


@pytest.mark.parametrize("wait", [0.05, 0.3, 0.6])
def test_control_c_while_the_command_is_imported(tmp_path, wait):
    """As the installed script does it; the first line of it is waited for, as Python itself takes a moment."""
    script = tmp_path / COMMAND
    script.write_text(
        "import sys\nprint('up', flush=True)\nfrom isthmus.cli import main\n"
        "sys.argv[1:] = 'transform run rows.npy -o codes.npy'.split()\nsys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    process.stdout.readline()
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "isthmus: interrupted\n")


@pytest.mark.parametrize("model", ["plain", "tabular"])
def test_zeros_before_a_number_that_the_model_knows(run, frame, model):
    frame = frame.assign(n=np.arange(len(frame)) * 7 % 190 + 1)
    frame.to_csv("t.csv", index=False)
    assert run(f"train t.csv --model {model} --components 2 --hidden 4 --epochs 1 --out run")[0] == 0
    frame.assign(n=frame["n"].map("{:03}".format)).to_csv("today.csv", index=False)
    for name in ("t", "today"):
        assert run(f"score run {name}.csv -o {name}-s.csv")[::2] == (0, "")
    assert Path("t-s.csv").read_text() == Path("today-s.csv").read_text()
    train = f"train today.csv --model {model} --components 2 --hidden 4 --epochs 1 --out other"
    if model == "plain":
        refused(run, train, "column 'n' is text, as some of its values begin with 0")
    else:
        assert "'n' is text: some of its values begin with 0" in run(train)[1]
