"""The command line on folders of Parquet shards and on other rows that are read from disk."""

import json
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from isthmus import load
from isthmus.cli import main
from isthmus.runs import on_disk
from isthmus.sources import survey
from isthmus.training import keeper

N, SHARDS = 240, 4


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command in this process; return its status, what it printed, and its errors."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["isthmus", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


def table():
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(N, 2)) @ random.normal(size=(2, 4)), columns=list("abcd"))
    X.loc[::9, "b"] = np.nan
    return X.assign(useless=1.0, y=np.where(X.a > 0, "up", "down"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "rows"
    folder.mkdir()
    X = table()
    for i, part in enumerate(np.array_split(np.arange(N), SHARDS)):
        X.iloc[part].reset_index(drop=True).to_parquet(folder / f"part-{i}.parquet")
    return folder


TRAIN = ("--label", "y", "--drop", "useless", "--components", 2, "--epochs", 2, "--batch-size", 32)


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "plain"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["isthmus", "train", str(shards), "--out", str(folder), *map(str, TRAIN)])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    return folder


def rows():
    return table()[list("abcd")]


def together(folder):
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)


def test_train_says_that_rows_come_from_disk_and_the_model_knows_the_columns(command, shards, tmp_path):
    status, out, err = command("train", shards, "--out", tmp_path / "run", *TRAIN)
    assert status == 0, err
    assert f"{SHARDS} Parquet shards, {N} rows, read from disk a piece at a time" in out
    assert "rows held out" in out
    model = load(tmp_path / "run")
    assert list(model.feature_names_in_) == list("abcd")
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert noted["stream"] is True
    assert "training rows on disk, 50 of them held out" in (tmp_path / "run" / "report.html").read_text()


def test_each_verb_writes_shards_as_the_model_says(command, shards, run, tmp_path):
    model = load(run)
    for verb, method, columns in [
        ("transform", model.transform, ["code_0", "code_1"]),
        ("score", model.score_samples, ["score"]),
        ("reconstruct", model.reconstruct, list("abcd")),
        ("impute", model.impute, [*"abcd", "y"]),
    ]:
        status, out, err = command(verb, run, shards, "-o", tmp_path / verb)
        assert status == 0, err
        assert f"{N} rows: {tmp_path / verb}/ ({SHARDS} shards)" in out
        assert f"part-3.parquet: 60 rows, 4 of {SHARDS}" in err
        found = together(tmp_path / verb)
        assert list(found) == columns
        expected = np.asarray(method(rows()), float).reshape(N, -1)
        np.testing.assert_allclose(found.drop(columns="y", errors="ignore"), expected, rtol=1e-4, atol=1e-5)
    assert list(together(tmp_path / "impute").y) == list(table().y)
    status, out, err = command("score", run, shards, "-o", tmp_path / "each", "--per-feature")
    assert status == 0, err
    assert list(together(tmp_path / "each")) == list("abcd")


@pytest.mark.parametrize("ending", ["parquet", "csv", "npy"])
def test_one_file_where_it_is_asked_for(command, shards, run, tmp_path, ending):
    output = tmp_path / f"codes.{ending}"
    status, out, err = command("transform", run, shards, "-o", output)
    assert status == 0, err
    assert f"{N} rows: {output}" in out
    readers = {"parquet": pd.read_parquet, "csv": pd.read_csv, "npy": np.load}
    np.testing.assert_allclose(readers[ending](output), load(run).transform(rows()), rtol=1e-4, atol=1e-5)


def test_it_goes_on_is_shared_and_refuses_another_model(command, shards, run, tmp_path, monkeypatch):
    out = tmp_path / "codes"
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        status, said, err = command("transform", run, shards, "-o", out)
        assert status == 0, err
        assert f"(2 shards of {SHARDS}, the share of process {rank} of 2)" in said
    status, _, err = command("transform", run, shards, "-o", tmp_path / "codes.npy")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "give the name of a folder" in err
    monkeypatch.delenv("RANK")
    (out / "part-1.parquet").unlink()
    status, said, err = command("transform", run, shards, "-o", out)
    assert status == 0, err
    assert f"({SHARDS} shards, 3 of them there before)" in said
    np.testing.assert_allclose(together(out), load(run).transform(rows()), rtol=1e-4, atol=1e-5)
    load(run).partial_fit(rows()).save(tmp_path / "other")
    status, _, err = command("transform", tmp_path / "other", shards, "--label", "useless,y", "-o", out)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "holds results of" in err


def test_a_conditional_model_is_told_the_labels(command, shards, tmp_path):
    given = ("--model", "conditional", "--label", "y", "--drop", "useless", "--components", 2, "--epochs", 1)
    status, _, err = command("train", shards, "--out", tmp_path / "run", *given)
    assert status == 0, err
    status, _, err = command("transform", tmp_path / "run", shards, "--label", "y", "-o", tmp_path / "codes")
    assert status == 0, err
    model = load(tmp_path / "run")
    expected = model.transform(rows(), table().y)
    np.testing.assert_allclose(together(tmp_path / "codes"), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, model.transform(rows()), rtol=1e-3)


def test_a_tabular_model_takes_the_columns_as_they_are(command, shards, tmp_path):
    given = ("--model", "tabular", "--components", 2, "--epochs", 1)
    status, _, err = command("train", shards, "--out", tmp_path / "run", *given)
    assert status == 0, err
    status, _, err = command("impute", tmp_path / "run", shards, "-o", tmp_path / "filled")
    assert status == 0, err
    filled = together(tmp_path / "filled")
    assert list(filled) == list(table())
    assert not filled.isna().any(axis=None)
    assert list(filled.y) == list(table().y)


def test_neighbors_and_report_and_data(command, shards, run, tmp_path):
    status, out, err = command("neighbors", run, shards, "-o", tmp_path / "near.csv", "--query", "3,200")
    assert status == 0, err
    near = pd.read_csv(tmp_path / "near.csv")
    assert list(near.row) == [3, 200]
    codes = load(run).transform(rows())
    distances = np.linalg.norm(codes - codes[3], axis=1)
    distances[3] = np.inf
    assert near.neighbour_1[0] == distances.argmin()
    assert "of the neighbours have the label of their query" in out
    status, _, err = command("report", run, "-o", tmp_path / "report.html")
    assert status == 0, err
    assert "training rows on disk" in (tmp_path / "report.html").read_text()
    status, out, err = command("data", shards, "--label", "y")
    assert status == 0, err
    assert f"{SHARDS} Parquet shards, {N} rows" in out
    assert "numbers: a (" in out


def test_a_run_that_was_stopped_inside_an_epoch_goes_on_to_the_bit(command, shards, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "MOST_ROWS", 100)  # the others are read of the disk, epoch after epoch
    status, out, err = command("train", shards, "--out", tmp_path / "whole", *TRAIN, "--set", "early_stopping=False")
    assert status == 0, err
    assert "said of the run, is of a sample of 100" in out
    assert f"drawn from all {N} on disk" in (tmp_path / "whole" / "report.html").read_text()
    before, calls = keeper.Checkpoints.__call__, []

    def stop(self, state):
        calls.append(state.position)
        if len(calls) == 10:
            self.asked = signal.SIGTERM
        return before(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(keeper.Checkpoints, "__call__", stop)
        status, _, err = command("train", shards, "--out", tmp_path / "run", *TRAIN, "--set", "early_stopping=False")
    assert status == 128 + signal.SIGTERM
    assert calls[-1] is not None  # inside an epoch
    status, out, err = command("train", "--resume", tmp_path / "run")
    assert status == 0, err
    assert "read from disk" in out
    whole, resumed = (load(tmp_path / name).module_.state_dict() for name in ("whole", "run"))
    for name, tensor in resumed.items():
        assert tensor.equal(whole[name]), name


def test_arrays_and_images_come_from_disk_where_it_is_asked_for_or_they_are_large(command, tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    given = ("--components", 2, "--epochs", 1)
    status, out, err = command("train", tmp_path / "X.npy", "--stream", "--out", tmp_path / "asked", *given)
    assert status == 0, err
    assert "read from disk a piece at a time" in out
    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "free_memory", lambda: 2 * X.nbytes)
        status, out, err = command("train", tmp_path / "X.npy", "--out", tmp_path / "large", *given)
        assert status == 0, err
        assert "more than a quarter of the" in out
        status, out, err = command("transform", tmp_path / "large", tmp_path / "X.npy", "-o", tmp_path / "codes.npy")
        assert status == 0, err
    codes = load(tmp_path / "large").transform(X)
    np.testing.assert_allclose(np.load(tmp_path / "codes.npy"), codes, rtol=1e-4, atol=1e-5)
    status, out, err = command("train", tmp_path / "X.npy", "--out", tmp_path / "small", *given)
    assert "read from disk" not in out
    (tmp_path / "images").mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 255, (60, 6, 5), dtype=np.uint8)):
        Image.fromarray(image).save(tmp_path / "images" / f"{i:02}.png")
    status, out, err = command("train", tmp_path / "images", "--stream", "--out", tmp_path / "pictures", *given)
    assert status == 0, err
    status, _, err = command(
        "transform", tmp_path / "pictures", tmp_path / "images", "--stream", "-o", tmp_path / "codes.csv"
    )
    assert status == 0, err
    assert list(pd.read_csv(tmp_path / "codes.csv").file[:2]) == ["00.png", "01.png"]


def test_results_never_take_the_place_of_rows(command, shards, run, tmp_path):
    before = {path: path.read_bytes() for path in shards.iterdir()}
    first = tmp_path / "part-0.parquet"
    first.write_bytes((shards / "part-0.parquet").read_bytes())
    np.save(tmp_path / "X.npy", rows().iloc[:9])
    for verb in ("transform", "score", "reconstruct", "impute", "neighbors"):
        outputs = ["part-0.parquet", "new.csv", *([] if verb == "neighbors" else [".", "codes"])]
        for data, output, stream in [
            *((shards, shards / output, ()) for output in outputs),
            (first, first, ("--stream",)),
            (first, first, ()),
            (tmp_path / "X.npy", tmp_path / "X.npy", ()),
            *([] if verb == "neighbors" else [(shards, shards.parent, ())]),
        ]:
            status, _, err = command(verb, run, data, "-o", output, *stream)
            assert (status, len(err.splitlines())) == (2, 1), (verb, output, err)
            assert "the rows themselves" in err, err
    assert {path: path.read_bytes() for path in shards.iterdir()} == before


def test_shards_without_rows_are_passed_over(command, shards, run, tmp_path):
    (tmp_path / "rows").mkdir()
    for name, part in (("a", table()[:0]), ("b", table()[:50]), ("c", table()[:0])):
        part.to_parquet(tmp_path / "rows" / f"{name}.parquet")
    for verb in ("transform", "score"):
        status, out, err = command(verb, run, tmp_path / "rows", "-o", tmp_path / verb)
        assert status == 0, err
        assert "50 rows: " in out
    assert "b.parquet" in out.splitlines()[-1]  # where the lowest score is
    assert [len(pd.read_parquet(path)) for path in sorted((tmp_path / "score").glob("*.parquet"))] == [0, 50, 0]
    status, _, err = command("train", tmp_path / "rows", "--out", tmp_path / "run", *TRAIN)
    assert status == 0, err


def test_mistakes_are_one_line(command, shards, run, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in shards.glob("*.parquet"):
        (broken / path.name).write_bytes(path.read_bytes())
    table().rename(columns={"d": "e"}).to_parquet(broken / "part-2.parquet")
    np.save(tmp_path / "X.npy", np.zeros((3, 4)))
    (tmp_path / "X.csv").write_text("a,b\n1,2\n")
    for arguments, said in [
        (("train", broken, "--out", tmp_path / "r"), r"part-2.parquet has a column 'e', unlike"),
        (("transform", run, broken, "-o", tmp_path / "o"), r"part-2.parquet has a column 'e', unlike"),
        (("train", shards, "--out", tmp_path / "r"), "column 'y' holds no numbers"),
        (("train", shards, "--out", tmp_path / "r", "--label", "z"), "has no column 'z'"),
        (("train", shards, "--out", tmp_path / "r", "--label", "y", "--drop", "z"), "--drop z:"),
        (("train", shards, "--out", tmp_path / "r", "--size", "8"), "--size 8: it is for a folder of images"),
        (("train", shards, "--out", tmp_path / "r", "--model", "sequence"), "into memory"),
        (("train", tmp_path / "X.csv", "--stream", "--out", tmp_path / "r"), "cannot be read in pieces"),
        (("transform", run, shards, "-o", tmp_path / "o.png"), "cannot draw"),
        (("reconstruct", run, shards, "-o", tmp_path / "o.png"), "cannot draw"),
        (("impute", run, shards, "-o", tmp_path / "o", "--missing", "0.2"), "--missing 0.2"),
        (("interpolate", run, shards, "-o", tmp_path / "o.csv"), "in memory"),
        (("transform", run, tmp_path / "X.npy", "--stream", "-o", tmp_path / "o"), "is no table in shards"),
    ]:
        status, _, err = command(*arguments)
        assert status == 2, (arguments, err)
        assert len(err.splitlines()) == 1, err
        assert said in err, err
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "r").exists()
    (broken / "part-2.parquet").write_bytes(b"none")
    status, _, err = command("data", broken)
    assert status == 2
    assert "part-2.parquet" in err
