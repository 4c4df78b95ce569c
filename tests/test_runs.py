"""Runs that replace another, or go on from it, and runs on folders of images."""

import io
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isthmus
from isthmus import cli, runs
from isthmus.sources import files

NAMES = ["config.json", "model.safetensors", "report.html", "run.json"]


@pytest.fixture
def table(tmp_path):
    """A table on disk."""
    path = tmp_path / "t.csv"
    pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd")).to_csv(path, index=False)
    return path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_run_is_not_replaced_unasked(run, table, tmp_path):
    assert run("train t.csv --epochs 1 --out run")[0] == 0
    before = content(tmp_path / "run")
    status, _, err = run("train t.csv --epochs 2 --out run")
    assert status == 2
    assert err == (
        "isthmus: run holds a finished run: give another folder, with --from run to go on from its weights, or "
        "--overwrite to replace it\n"
    )
    assert content(tmp_path / "run") == before
    isthmus.Autoencoder(2, max_epochs=1).fit(np.eye(4)).save(tmp_path / "model")
    assert "holds a finished run" in run("train t.csv --epochs 2 --out model")[2], "nor is a model that Python saved"


def test_a_run_is_replaced_whole(run, table, tmp_path):
    assert run("train t.csv --epochs 1 --seed 1 --out run")[0] == 0
    assert run("train t.csv --epochs 1 --seed 2 --out other")[0] == 0
    assert run("train t.csv --epochs 1 --seed 2 --out run --overwrite")[::2] == (0, "")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "other")]
    assert weights[0] == weights[1]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run", "t.csv"], "nothing is left beside"
    assert run("train t.csv --epochs 1 --out fresh --overwrite")[0] == 0
    (tmp_path / "run" / "notes.txt").write_text("mine")
    status, _, err = run("train t.csv --epochs 1 --out run --overwrite")
    assert (status, err) == (
        2,
        "isthmus: cannot replace run: it holds 'notes.txt' too; move that, or give a new folder\n",
    )


@pytest.mark.parametrize("how", ["fails", "is stopped"])
def test_nothing_is_lost_before_the_new_run_is_there(run, table, tmp_path, monkeypatch, how):
    assert run("train t.csv --epochs 1 --seed 1 --out run")[0] == 0
    before = content(tmp_path / "run")
    if how == "fails":
        assert run("train t.csv --epochs 0 --out run --overwrite")[0] == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "t.csv"]
        assert content(tmp_path / "run") == before
        return
    with monkeypatch.context() as patch:
        patch.setattr(cli.train.runs, "check_there", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        status, _, err = run("train t.csv --epochs 1 --seed 2 --out run --overwrite")
    assert (status, err) == (130, "isthmus: stopped; to go on: isthmus train --resume run\n")
    assert content(tmp_path / "run") == before
    assert run("score run t.csv -o s.csv")[0] == 0, "the old one can be used"
    status, _, err = run("train t.csv --epochs 1 --out run --overwrite")
    assert status == 2
    assert "run holds a run that is not finished: train --resume run, or delete /" in err
    assert run("train --resume run")[0] == 0
    assert isthmus.load(tmp_path / "run").random_state == 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == NAMES
    assert not runs.beside(tmp_path / "run").exists()
    assert "is finished" in run("train --resume run")[1]


def test_a_run_that_was_to_be_put_in_place_is(run, table, tmp_path, monkeypatch):
    assert run("train t.csv --epochs 1 --seed 1 --out run")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(cli.train.runs, "take_place", lambda folder: 1 / 0)  # as where the process is killed
        with pytest.raises(ZeroDivisionError):
            cli.app("train t.csv --epochs 1 --seed 2 --out run --overwrite".split(), standalone_mode=False)  # noqa: SIM905
    assert isthmus.load(tmp_path / "run").random_state == 1
    assert run("train --resume run")[0] == 0
    assert isthmus.load(tmp_path / "run").random_state == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "t.csv"]


FAMILIES = {
    "plain": "--components 2 --hidden 8",
    "variational": "--components 2 --set beta=0.5",
    "sparse": "--components 3",
    "conditional": "--components 2 --label kind",
    "tabular": "--components 2",
    "sequence": "--window 5 --components 2",
}


@pytest.fixture
def tables(tmp_path):
    """Two tables of the same columns on other scales, and a series."""
    rng = np.random.default_rng(0)
    for name, scale in (("old", 1), ("new", 3)):
        table = pd.DataFrame(rng.normal(size=(60, 3)) * scale + scale, columns=list("abc"))
        kinds = np.where(table.a > scale, "up", "down")
        kinds[0] = "up"
        table.assign(kind=kinds).to_csv(tmp_path / f"{name}.csv", index=False)
        table.to_csv(tmp_path / f"{name}s.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("family", FAMILIES)
def test_to_go_on_from_a_run_with_new_data(run, tables, family):
    labelled = family in ("conditional", "tabular")
    old, new = ("old.csv", "new.csv") if labelled else ("olds.csv", "news.csv")
    assert run(f"train {old} --model {family} {FAMILIES[family]} --epochs 2 --out old")[0] == 0
    before = content(tables / "old")
    status, _, err = run(
        f"train {new} --from old --epochs 1 --lr 0.0001 --seed 5 --set validation_fraction=None --out new"
    )
    assert status == 0, err
    assert content(tables / "old") == before
    first, second = isthmus.load(tables / "old"), isthmus.load(tables / "new")
    assert type(second) is type(first)
    assert (second.max_epochs, second.lr, second.random_state, second.warm_start) == (1, 0.0001, 5, False)
    for name in ("network", "n_components", "likelihood", "sigma", "beta", "condition"):
        assert repr(getattr(first, name, None)) == repr(getattr(second, name, None))
    for name in ("mean_", "scale_", "classes_"):
        np.testing.assert_equal(getattr(second, name, None), getattr(first, name, None))
    if family == "tabular":  # whose ranges reach as far as those of the new rows too
        unbounded = [tuple(replace(each, low=0, high=0) for each in model.schema_.columns) for model in (first, second)]
        assert unbounded[0] == unbounded[1]
        assert first.schema_.columns[0].high < second.schema_.columns[0].high
    noted = json.loads((tables / "new" / "run.json").read_text())
    assert (noted["from"], noted["model"]) == (str(tables / "old"), family)
    assert noted["label"] == ("kind" if family == "conditional" else None), "the column is still the labels'"
    state = [model.module_.state_dict() for model in (first, second)]
    weights = [name for name in state[0] if name.startswith(("encoder", "decoder"))]
    moved = sum(float((state[0][name] - state[1][name]).abs().sum()) for name in weights)
    assert 0 < moved < 0.1 * sum(float(state[0][name].abs().sum()) for name in weights), "near to what it began at"
    assert run(f"transform new {new} {'--label kind' if family == 'conditional' else ''} -o codes.npy")[0] == 0
    assert run("report new")[0] == 0


def test_going_on_is_what_python_does(run, tables):
    assert run("train olds.csv --epochs 2 --components 2 --out old")[0] == 0
    assert run("train news.csv --from old --epochs 2 --seed 3 --set weight_decay=0.1 --out new")[0] == 0
    model = isthmus.load(tables / "old").set_params(warm_start=True, max_epochs=2, random_state=3, weight_decay=0.1)
    model.fit(files.read(tables / "news.csv").X)
    expected, found = model.module_.state_dict(), isthmus.load(tables / "new").module_.state_dict()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), tensor.numpy())


def test_a_run_replaces_the_one_it_goes_on_from(run, tables):
    assert run("train olds.csv --epochs 1 --components 2 --out run")[0] == 0
    assert "holds a finished run" in run("train news.csv --from run --out run")[2]
    assert run("train news.csv --from run --epochs 1 --out run --overwrite")[0] == 0
    assert json.loads((tables / "run" / "run.json").read_text())["data"] == str(tables / "news.csv")


def test_a_run_that_goes_on_from_another_is_resumed(run, tables, monkeypatch):
    assert run("train olds.csv --epochs 1 --components 2 --out old")[0] == 0
    command = "train news.csv --from old --epochs 4"
    assert run(f"{command} --out whole")[0] == 0

    def stop_at_two(record):
        if record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        fit = isthmus.Autoencoder.fit
        patch.setattr(
            isthmus.Autoencoder,
            "fit",
            lambda model, *args, **kept: fit(model.set_params(callbacks=[stop_at_two]), *args, **kept),
        )
        assert run(f"{command} --out new")[0] == 143
    (tables / "old").rename(tables / "away")
    assert "away" not in run("train --resume new")[2]
    assert run("train --resume new")[0] == 2
    (tables / "away").rename(tables / "old")
    assert run("train --resume new")[0] == 0
    weights = [(tables / name / "model.safetensors").read_bytes() for name in ("new", "whole")]
    assert weights[0] == weights[1]


WRONG = {
    "--from old --model sparse": "--model beside --from: old says itself what model and rows are; leave it out",
    "--from old --components 3": "--components beside --from",
    "--from old --hidden 3": "--hidden beside --from",
    "--from old --window 3": "--window beside --from",
    "--from old --size 3": "--size 3: it is for a folder of images, and news.csv is none; leave it out",
    "--from old --set network__dropout=0.5": "network__dropout=0.5: it is 0.0 in old, and its weights are of",
    "--from old --set likelihood=bernoulli": "--set likelihood=bernoulli: it is 'gaussian' in old",
    "--from old --set nothing=1": "Invalid parameter 'nothing'",
    "--from nowhere": "nowhere is not a model folder",
    "--from detector": "detector holds an OutlierDetector: train cannot go on from it",
    "--resume old --from old": "--from beside --resume: the run says itself what it is",
    "--resume old --overwrite": "--overwrite beside --resume",
    "--resume old --skip-bad": "--skip-bad beside --resume",
}


def test_what_contradicts_the_run_is_refused(run, tables):
    assert run("train olds.csv --epochs 1 --components 2 --hidden 8 --out old")[0] == 0
    X = files.read(tables / "olds.csv").X
    isthmus.OutlierDetector(isthmus.Autoencoder(2, max_epochs=1)).fit(X).save(tables / "detector")
    for options, message in WRONG.items():
        command = f"train {options}" if "resume" in options else f"train news.csv {options} --epochs 1 --out new"
        status, _, err = run(command)
        assert (status, err.count("\n")) == (2, 1), err
        assert message in err
        assert not (tables / "new").exists()
    status, _, err = run("train new.csv --from old --epochs 1 --out new")
    assert status == 2
    assert "kind" in err
    assert run("train news.csv --from old --model plain --components 2 --epochs 1 --out new")[0] == 0, "as it is there"


@pytest.fixture
def pictures(tmp_path):
    """Pictures of several sizes, one of them broken, one loose."""
    for i in range(24):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (12 + i % 3, 10 + i % 4, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    (tmp_path / "pictures" / "a" / "07.png").write_bytes(b"no image")
    return tmp_path / "pictures"


def test_a_run_on_a_folder_of_all_sizes(run, pictures, tmp_path):
    status, _, err = run("train pictures --epochs 1 --out run")
    assert status == 2
    assert "pictures/a/07.png: cannot identify image file; skip_bad=True (--skip-bad) leaves out" in err
    assert "--skip-bad" in err
    status, _, err = run("train pictures --skip-bad --epochs 1 --out run")
    assert status == 2
    assert "--size 32" in err
    assert run("train pictures --skip-bad --size 8,6 --fit pad --epochs 1 --components 2 --out run")[::2] == (0, "")
    model = isthmus.load(tmp_path / "run")
    assert model.row_shape_ == (3, 8, 6)
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (noted["size"], noted["fit"], noted["skip_bad"]) == ([8, 6], "pad", True)
    with pytest.warns(UserWarning, match="left out"):
        X, _ = isthmus.datasets.load_folder(pictures, (8, 6), "pad", skip_bad=True)
    status, _, err = run("transform run pictures -o codes.npy")
    brought = (
        "isthmus: pictures: the model knows another size: 10×12 to 13×14 brought to 6×8 pixels (with black beside them)"
    )
    assert (status, err) == (0, f"{brought}\nisthmus: pictures: left out: a/07.png that cannot be read\n")
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(X))
    assert run("score run pictures -o scores.csv")[0] == 0
    scores = pd.read_csv(tmp_path / "scores.csv")
    files_ = [path.relative_to(pictures).as_posix() for path in sorted(pictures.rglob("*.png"))]
    assert scores["file"].tolist() == [name for name in files_ if name != "a/07.png"]
    np.testing.assert_allclose(scores["score"], model.score_samples(X), rtol=1e-5)
    for command in ("reconstruct run pictures -o r.png", "neighbors run pictures -o n.csv", "report run",
                    "interpolate run pictures -o i.npy", "impute run pictures --missing 0.3 -o m.png"):  # fmt: skip
        assert run(command)[0] == 0
    assert pd.read_csv(tmp_path / "n.csv").filter(like="file").isin(files_).all(axis=None)


def test_a_model_of_python_is_given_its_size_and_colours(run, pictures, tmp_path):
    (pictures / "a" / "07.png").unlink()
    X, _ = isthmus.datasets.load_folder(pictures, 7)
    isthmus.Autoencoder(2, max_epochs=1).fit(X[:, 0]).save(tmp_path / "grey")
    isthmus.Autoencoder(2, max_epochs=1).fit(X).save(tmp_path / "coloured")
    grey = tmp_path / "today"
    grey.mkdir()
    Image.new("L", (50, 40), 90).save(grey / "1.png")
    (grey / "2.png").write_bytes(b"no image")
    assert run("transform coloured today -o c.csv")[0] == 2
    status, _, err = run("transform coloured today --skip-bad -o c.csv")
    brought = "isthmus: today: the model knows another size: 50×40 brought to 7×7 pixels (the middle of each)"
    assert (status, err) == (0, f"{brought}\nisthmus: today: left out: 2.png that cannot be read\n")
    other = "isthmus: pictures: the model knows another size: 10×12 to 13×14 brought to 7×7 pixels (the middle of each)"
    assert run("transform grey pictures -o g.csv")[::2] == (
        0,
        f"{other}\nisthmus: pictures: colours are brought to grey\n",
    )


def test_what_is_understood_is_said(run, pictures, tmp_path):
    status, out, err = run("data pictures --skip-bad --size 8")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "24 images, 10×12 to 13×14 brought to 8×8 pixels (the middle of each), colour, 2 labels: a 12, b 12",
        "left out: a/07.png that cannot be read",
    ]
    _, trained, _ = run("train pictures --skip-bad --size 8 --epochs 1 --out run")
    assert trained.startswith(out)
    (tmp_path / "t.csv").write_text("Stand 2020\na;b\n" + "1,5;2\n3,25;7\n4,5;1\n" * 9, encoding="utf-8")
    lines = "separated by semicolons, with decimal commas\nleft out above the table: 'Stand 2020'\n"
    status, out, _ = run("data t.csv")
    assert (status, out.startswith(lines), out.count("Stand 2020")) == (0, True, 1)
    assert run("train t.csv --epochs 1 --out table")[1].startswith(lines)
    assert run("data nowhere.csv")[0] == 2
    assert "digits is a data set with a name" in run("data digits")[2]
    assert run("compare pictures --skip-bad --size 8 --models deep --seeds 1 --epochs 1 --out cmp")[0] == 0


def test_no_size_on_the_command_line(run, pictures):
    for wrong, message in {"a": "give whole numbers", "1,2,3": "give pixels as one", "0": "give pixels as one"}.items():
        status, _, err = run(f"train pictures --size {wrong} --out run")
        assert (status, err.count("\n")) == (2, 1)
        assert message in err


def test_a_note_that_was_altered(run, table, tmp_path):
    assert run("train t.csv --epochs 1 --out run")[0] == 0
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    for name, value in {"size": [0, 3], "fit": 3, "skip_bad": "yes", "from": 7}.items():
        (tmp_path / "run" / "run.json").write_text(json.dumps(noted | {name: value}))
        status, _, err = run("report run")
        assert status == 2
        assert f"run.json is altered: its '{name}' is" in err


def test_what_replaces_a_run_takes_its_place_before_anything_else(run, table, tmp_path, monkeypatch):
    """A stop while the new model is measured leaves it in its place, and says that it is there."""
    assert run("train t.csv --epochs 1 --seed 1 --out run")[0] == 0
    assert run("train t.csv --epochs 1 --seed 2 --out other")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(cli.train, "_fit_in_words", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        status, _, err = run("train t.csv --epochs 1 --seed 2 --out run --overwrite")
    assert (status, err) == (
        143,
        "isthmus: stopped; the model is saved, and its report is not: isthmus report run writes it\n",
    )
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "other")]
    assert weights[0] == weights[1]
    assert not list(tmp_path.glob(".*")), "nothing is left beside"


def test_a_finished_run_that_has_not_taken_its_place_is_not_thrown_away(run, table, tmp_path, monkeypatch):
    assert run("train t.csv --epochs 1 --seed 1 --out run")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(runs, "take_place", lambda _: os.kill(os.getpid(), signal.SIGINT))
        assert run("train t.csv --epochs 1 --seed 2 --out run --overwrite")[0] == 130
    status, _, err = run("train t.csv --epochs 1 --seed 3 --out run --overwrite")
    assert status == 2
    assert "train --resume run" in err
    assert run("train --resume run")[0] == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 2


class Unread(io.StringIO):
    """Standard output whose reader goes away after some lines."""

    def __init__(self, lines, error):
        super().__init__()
        self.lines, self.error = lines, error

    def write(self, text):
        if self.getvalue().count("\n") >= self.lines:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("lines", range(3))
@pytest.mark.parametrize(
    ("error", "status"),
    [(BrokenPipeError(32, "Broken pipe"), 0), (OSError(28, "No space left on device"), 2)],
    ids=["closed", "full"],
)
def test_what_is_printed_costs_no_result(table, tmp_path, monkeypatch, capfd, lines, error, status):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["isthmus", "train", "t.csv", "--epochs", "1", "--out", "run"])
    monkeypatch.setattr("sys.stdout", Unread(lines, error))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == status
    lost = "isthmus: what was to be printed is lost: No space left on device\n"
    assert capfd.readouterr().err.endswith(lost if status else "")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == NAMES
