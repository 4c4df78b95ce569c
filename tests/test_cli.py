"""Every command, as a person types it."""

import ast
import importlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import isthmus
from isthmus import cli, report, runs
from isthmus.cli.console import show_warning
from isthmus.cli.parsing import parse_settings
from isthmus.data import on_time_axis, step_scores, windows
from isthmus.errors import InputError
from isthmus.evaluation.imputation import hidden_entries
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.formats.labels import spread_order


@pytest.fixture
def trained(run, tmp_path):
    status, out, err = run("train digits --model denoising --components 5 --hidden 32,16 --epochs 2 --seed 3 --out run")
    assert (status, err) == (0, "")
    assert "run/report.html" in out
    return tmp_path / "run"


def test_train(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "config.json",
        "model.safetensors",
        "report.html",
        "run.json",
    ]
    model = isthmus.load(trained)
    assert type(model) is isthmus.DenoisingAutoencoder
    assert (model.n_components, model.network.hidden, model.n_iter_, model.random_state) == (5, (32, 16), 2, 3)
    X, _ = isthmus.datasets.load("digits")
    again = isthmus.DenoisingAutoencoder(5, network=model.network, max_epochs=2, random_state=3).fit(X)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_any_parameter_can_be_set(run, tmp_path):
    status, _, _ = run(
        "train digits --model sparse --epochs 1 --batch-size 64 --lr 0.01 --device cpu --out run "
        "--set sparsity=kl --set network__dropout=0.5 --set validation_fraction=None --set network__hidden=(8,4)"
    )
    assert status == 0
    model = isthmus.load(tmp_path / "run")
    assert (model.sparsity, model.network.dropout, model.validation_fraction) == ("kl", 0.5, None)
    assert (model.network.hidden, model.batch_size, model.lr, model.device) == ((8, 4), 64, 0.01, "cpu")


def test_what_is_computed_is_what_python_computes(run, trained, tmp_path):
    X, _ = isthmus.datasets.load("digits", "test")
    model = isthmus.load(trained)
    assert run("transform run digits -o codes.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), model.transform(X))
    assert run("transform run digits --split train -o codes.csv")[0] == 0
    codes = pd.read_csv(tmp_path / "codes.csv")
    assert codes.shape == (1437, 5)
    assert list(codes.columns) == [f"code_{i}" for i in range(5)]
    assert run("reconstruct run digits -o rows.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), model.reconstruct(X))
    status, out, _ = run("score run digits -o scores.parquet")
    assert status == 0
    assert "nats" in out
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "scores.parquet")["score"], model.score_samples(X))


@pytest.fixture
def type_and_read(run, saved, tmp_path):
    """Type a command about a saved model, which must go well; returns what it writes, and what it says."""

    def go(command):
        verb, name, *rest = command.split()
        status, out, err = run(f"{verb} {saved / name} {' '.join(rest)}")
        assert (status, err) == (0, "")
        path = tmp_path / rest[rest.index("-o") + 1]
        assert [path] == [found for found in tmp_path.iterdir() if found.name.startswith("out")]
        read = {".npy": np.load, ".csv": pd.read_csv, ".parquet": pd.read_parquet, ".png": Image.open}[path.suffix]
        written = read(path)
        if path.suffix == ".png":
            written = np.asarray(written)
        path.unlink()
        return written, out

    return go


def size(lines, columns, tile=56, gap=4):
    return (lines * (tile + gap) - gap, columns * (tile + gap) - gap)


def test_train_every_family_and_network(run, tmp_path):
    for command, kind in (
        ("--model variational --set beta=0.5", "VariationalAutoencoder"),
        ("--model conditional --hidden 16", "ConditionalVariationalAutoencoder"),
    ):
        status, out, err = run(f"train digits {command} --components 2 --epochs 1 --out {kind}")
        assert (status, err) == (0, "")
        assert "2 active units" in out
        model = isthmus.load(tmp_path / kind)
        assert type(model).__name__ == kind
        assert (tmp_path / kind / "report.html").is_file()
    np.testing.assert_array_equal(model.classes_, range(10))
    assert model.network.hidden == (16,)


def test_train_a_convolutional_network(run, tmp_path):
    command = "train digits --network conv --channels 4,6 --components 2 --set network__activation=relu --epochs 1"
    status, _, err = run(f"{command} --out run")
    assert (status, err) == (0, "")
    network = isthmus.load(tmp_path / "run").network
    assert (type(network).__name__, network.channels, network.activation) == ("Conv", (4, 6), "relu")


def test_sample(type_and_read, saved):
    model = isthmus.load(saved / "variational")
    rows, out = type_and_read("sample variational -o out.npy -n 7 --seed 3")
    np.testing.assert_array_equal(rows, model.sample(7, random_state=3))
    assert "7 rows" in out
    rows, _ = type_and_read("sample variational -o out.npy --noise")
    np.testing.assert_array_equal(rows, model.sample(64, noise=True, random_state=0))
    table, _ = type_and_read("sample variational -o out.csv -n 2")
    assert list(table.columns) == [f"x_{i}" for i in range(64)]
    picture, _ = type_and_read("sample variational -o out.png")
    assert picture.shape == size(8, 8)


def test_sample_of_a_code_with_a_prior(run, tmp_path):
    pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc")).to_csv(
        tmp_path / "t.csv", index=False
    )
    command = "train t.csv --model denoising --epochs 1 --components 2 --set bottleneck=gaussian --out run"
    assert run(command)[0] == 0
    assert run("sample run -o rows.npy -n 5 --seed 3")[0] == 0
    expected = isthmus.load(tmp_path / "run").sample(5, random_state=3)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), np.asarray(expected))


def test_sample_of_a_condition(type_and_read, saved):
    model = isthmus.load(saved / "classes")
    rows, _ = type_and_read("sample classes -o out.npy -n 3 --condition 7")
    np.testing.assert_array_equal(rows, model.sample(3, y=7, random_state=0))
    in_turn = np.resize(np.arange(10), 13)
    rows, _ = type_and_read("sample classes -o out.npy -n 13")
    np.testing.assert_array_equal(rows, model.sample(13, y=in_turn, random_state=0))
    table, _ = type_and_read("sample classes -o out.parquet -n 13")
    np.testing.assert_array_equal(table["condition"], in_turn)
    np.testing.assert_array_equal(table.drop(columns="condition"), rows.reshape(13, 64))
    picture, _ = type_and_read("sample classes -o out.png -n 20")
    assert picture.shape == size(2, 10), "a column a class"
    model = isthmus.load(saved / "numbers")
    rows, _ = type_and_read("sample numbers -o out.npy -n 5 --condition 7.5")
    np.testing.assert_array_equal(rows, model.sample(5, y=7.5, random_state=0))
    rows, _ = type_and_read("sample numbers -o out.npy -n 5")
    np.testing.assert_array_equal(rows, model.sample(5, random_state=0))


@pytest.mark.parametrize("written", ["1", "1.0"])
def test_a_class_by_its_number(run, tmp_path, table, written):
    y = (table[:, 0] > 0).astype(float)
    isthmus.ConditionalVariationalAutoencoder(2, max_epochs=1, random_state=0).fit(table, y).save(tmp_path / "run")
    assert run(f"sample run -o x.npy -n 3 --condition {written}")[0] == 0
    expected = isthmus.load(tmp_path / "run").sample(3, y=1.0, random_state=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    status, _, err = run("sample run -o y.npy --condition 2")
    assert (status, err) == (2, "isthmus: unknown condition '2': give one of 0.0, 1.0\n")


def test_interpolate(type_and_read, saved):
    X, y = isthmus.datasets.load("digits", "test")
    model = isthmus.load(saved / "variational")
    rows, out = type_and_read("interpolate variational digits -o out.npy")
    order = spread_order(len(X), y)
    np.testing.assert_array_equal(rows, model.interpolate(X[order[:5]], X[order[5:10]]))
    assert f"drawn at random: row {order[0]} to row {order[5]}; " in out
    rows, _ = type_and_read("interpolate variational digits -o out.npy --from 3,4 --to 1,9 --steps 4 --path spherical")
    np.testing.assert_array_equal(rows, model.interpolate(X[[3, 4]], X[[1, 9]], 4, path="spherical"))
    table, _ = type_and_read("interpolate variational digits -o out.csv --from 3,4 --to 1,9 --steps 4")
    assert list(table.columns[:3]) == ["pair", "step", "x_0"]
    assert table["pair"].tolist() == [0] * 4 + [1] * 4
    assert table["step"].tolist() == [0, 1, 2, 3] * 2
    expected = model.interpolate(X[[3, 4]], X[[1, 9]], 4)[1, 2]
    np.testing.assert_allclose(table.iloc[6, 2:].to_numpy(float), expected.ravel(), rtol=1e-5)
    picture, _ = type_and_read("interpolate variational digits -o out.png --steps 6")
    assert picture.shape == size(5, 6)
    zeros, ones = np.flatnonzero(y == 0)[:2], np.flatnonzero(y == 1)[:2]
    a, b = [zeros[0], zeros[1]], [zeros[1], ones[0]]
    rows, _ = type_and_read(f"interpolate classes digits -o out.npy --from {a[0]},{a[1]} --to {b[0]},{b[1]}")
    model = isthmus.load(saved / "classes")
    np.testing.assert_allclose(rows[:1], model.interpolate(X[a[:1]], X[b[:1]], y=0), atol=1e-5)
    np.testing.assert_allclose(rows[1:], model.interpolate(X[a[1:]], X[b[1:]]), atol=1e-5)  # of two classes: unknown


@pytest.mark.parametrize("block", ["", " --block"])
def test_impute_what_is_hidden(type_and_read, saved, block):
    X, y = isthmus.datasets.load("digits", "test")
    hidden = hidden_entries(X.shape, 0.3, block=bool(block), seed=2)
    for name, told in (("denoising", {}), ("classes", {"y": y})):
        model = isthmus.load(saved / name)
        filled, out = type_and_read(f"impute {name} digits -o out.npy --missing 0.3 --seed 2{block}")
        np.testing.assert_array_equal(filled, model.impute(X, hidden, **told))
        mean = isthmus.datasets.load("digits").X.mean(0)
        errors = [np.square(X - rows)[hidden].mean(dtype=float) for rows in (filled, mean)]
        assert f"{errors[0]:.5g}, by the mean row {errors[1]:.5g}" in out
    picture, _ = type_and_read(f"impute denoising digits -o out.png --missing 0.3{block}")
    assert picture.shape == (*size(9, 10), 3), "known, filled in and truth of 30 rows"


def test_impute_images_with_gaps(type_and_read, saved, tmp_path):
    X = isthmus.datasets.load("digits", "test").X[:20].copy()
    X[:, 3] = np.nan
    np.save(tmp_path / "gaps.npy", X)
    filled, _ = type_and_read("impute variational gaps.npy -o out.npy")
    np.testing.assert_array_equal(filled, isthmus.load(saved / "variational").impute(X))
    picture, _ = type_and_read("impute variational gaps.npy -o out.png")
    assert picture.shape == (*size(4, 10), 3), "nobody knows the truth"


def test_impute_a_table_with_gaps(run, tmp_path, table):
    frame = pd.DataFrame(table, columns=list("abcdef")).assign(kind=np.where(table[:, 0] > 0, "up", "down"))
    frame.iloc[::7, 2] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert run("train t.csv --label kind --model conditional --epochs 1 --out run")[0] == 0, "a table with gaps"
    assert run("impute run t.csv --label kind -o filled.csv")[0] == 0
    filled = pd.read_csv(tmp_path / "filled.csv")
    assert list(filled.columns) == [*"abcdef", "kind"]
    assert filled.pop("kind").equals(frame["kind"])
    assert not filled.isna().any(axis=None)
    known = frame.drop(columns="kind").notna()
    np.testing.assert_allclose(filled.to_numpy()[known], frame.drop(columns="kind").to_numpy()[known], rtol=1e-6)
    X = pd.read_csv(tmp_path / "t.csv").drop(columns="kind")
    expected = isthmus.load(tmp_path / "run").impute(X, y=frame["kind"])
    np.testing.assert_allclose(filled, expected, rtol=1e-6)


def test_a_condition_of_two_numbers(run, tmp_path):
    X, place = isthmus.datasets.load("swiss_roll")
    np.savez(tmp_path / "t.npz", X=X, y=np.column_stack([place, X[:, 1]]))
    assert run("train t.npz --model conditional --components 1 --epochs 1 --out run")[0] == 0
    assert run("sample run -o x.npy -n 3 --condition 9,-1.5")[0] == 0
    expected = isthmus.load(tmp_path / "run").sample(3, y=[9, -1.5], random_state=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    assert run("neighbors run t.npz -o n.csv")[0] == 0
    assert run("interpolate run t.npz -o i.csv")[0] == 0


def test_neighbors(type_and_read, saved, tmp_path):
    X, y = isthmus.datasets.load("digits", "test")
    codes = isthmus.load(saved / "variational").transform(X)
    table, out = type_and_read("neighbors variational digits -o out.csv --query 3,200 -k 4")
    found = nearest_by_code(codes, codes[[3, 200]], 4, np.array([3, 200]))
    assert list(table.columns) == ["row", *(f"{name}_{i}" for name in ("neighbour", "distance") for i in range(1, 5))]
    assert table["row"].tolist() == [3, 200]
    np.testing.assert_array_equal(table[[f"neighbour_{i}" for i in range(1, 5)]], found.rows)
    np.testing.assert_allclose(table[[f"distance_{i}" for i in range(1, 5)]], found.distances)
    share = (y[found.rows] == y[[3, 200], None]).mean()
    assert f"{share:.1%} of the neighbours have the label" in out
    picture, out = type_and_read("neighbors variational digits -o out.png")
    assert picture.shape == size(10, 6)
    first = spread_order(len(X), y)[0]
    assert f", of rows {first}, " in out
    np.testing.assert_array_equal(picture[:56, :56:7], (255 * X[first]).round().repeat(7, 0)), "the query stands first"
    np.save(tmp_path / "mine.npy", X[[3]])
    rows, _ = type_and_read("neighbors variational digits -o out.npy --query mine.npy -k 1")
    assert rows[0, :2].tolist() == [0, 3], "among other data a row finds its twin"
    assert rows[0, 2] == pytest.approx(0, abs=1e-3)


def test_a_conditional_model_is_told_the_labels(type_and_read, saved, tmp_path):
    X, y = isthmus.datasets.load("digits", "test")
    model = isthmus.load(saved / "classes")
    np.save(tmp_path / "x.npy", X)
    for command, method in (("transform", model.transform), ("reconstruct", model.reconstruct)):
        rows, _ = type_and_read(f"{command} classes digits -o out.npy")
        np.testing.assert_array_equal(rows, method(X, y))
        rows, _ = type_and_read(f"{command} classes x.npy -o out.npy")
        np.testing.assert_array_equal(rows, method(X))
    scores, _ = type_and_read("score classes digits -o out.npy")
    np.testing.assert_array_equal(scores, model.score_samples(X, y))


def test_reconstructions_as_a_picture(type_and_read):
    picture, out = type_and_read("reconstruct denoising digits -o out.png")
    assert picture.shape == size(6, 10)
    assert "picture: out.png" in out


def test_a_run_that_is_killed_before_its_report_has_the_same_one(run, trained):
    def page():
        return re.sub(r"Made by isthmus, [^<]*", "", (trained / "report.html").read_text(encoding="utf-8"))

    whole = page()
    (trained / "report.html").unlink()
    assert run("train --resume run")[0] == 0
    assert page() == whole


def test_report_again_and_on_other_rows(run, trained, tmp_path):
    (trained / "report.html").unlink()
    assert run("report run")[0] == 0
    assert "Autoencoder on digits" in (trained / "report.html").read_text()
    np.save(tmp_path / "mine.npy", isthmus.datasets.load("digits").X[:50])
    assert run("report run mine.npy -o other.html")[0] == 0
    assert "on mine.npy" in (tmp_path / "other.html").read_text()


def test_a_table_with_labels(run, tmp_path, table):
    frame = pd.DataFrame(table, columns=list("abcdef")).assign(kind=np.where(table[:, 0] > 0, "up", "down"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert run("train t.csv --label kind --epochs 1 --out run")[0] == 0
    noted = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (noted["data"], noted["label"], noted["data_dir"]) == (str(tmp_path / "t.csv"), "kind", None)
    assert run("reconstruct run t.csv --label kind -o r.csv")[0] == 0
    assert list(pd.read_csv(tmp_path / "r.csv").columns) == list("abcdef")
    assert run("report run")[0] == 0
    status, out, _ = run("compare t.csv --label kind --models deep --seeds 1 --epochs 1 --out cmp")
    assert status == 0
    assert "probe" in out
    assert "PCA-2" in out
    status, _, err = run("train t.csv --epochs 1 --out other")
    assert (status, err.count("\n")) == (2, 1)
    assert "'kind' holds no numbers" in err


@pytest.mark.parametrize(("kind", "words"), [(["up", "down"], True), ([3, 4], True), ([1.5, 2.25], False)])
def test_missing_labels_are_for_conditional_models(run, tmp_path, table, kind, words):
    frame = pd.DataFrame(table, columns=list("abcdef")).assign(kind=np.where(table[:, 0] > 0, *kind))
    frame["kind"] = frame["kind"].astype(object).where(np.arange(len(frame)) % 4 > 0)
    frame.to_csv(tmp_path / "t.csv", index=False)
    train = "train t.csv --label kind --hidden 4 --epochs 1 --out"
    status, _, err = run(f"{train} plain")
    assert status == 2
    assert "column 'kind' has no label in row 0; drop such rows" in err
    assert run(f"{train} run --model conditional --components 3")[0] == 0
    model = isthmus.load(tmp_path / "run")
    assert hasattr(model, "classes_") == words
    assert run("transform run t.csv --label kind -o c.npy")[0] == 0
    expected = model.transform(frame.drop(columns="kind"), frame["kind"])
    np.testing.assert_allclose(np.load(tmp_path / "c.npy"), expected, atol=1e-6)
    assert run("interpolate run t.csv --label kind -o i.npy --from 0,1 --to 4,2")[0] == 0
    status, out, _ = run("neighbors run t.csv --label kind -o n.csv --query 0,1,2,3")
    assert status == 0
    assert ("have the label of their query" in out) == words
    assert run("report run")[0] == 0


def test_one_row(run, saved, tmp_path):
    np.save(tmp_path / "one.npy", isthmus.datasets.load("digits").X[:1])
    assert run(f"report {saved / 'variational'} one.npy -o r.html")[0] == 0
    assert run(f"interpolate {saved / 'variational'} one.npy -o x.npy --from 0 --to 0")[0] == 0
    assert np.load(tmp_path / "x.npy").shape == (1, 9, 8, 8)


@pytest.mark.parametrize("error", [InputError("no page"), KeyError("x"), MemoryError(), OSError(28, "No space left")])
def test_a_report_that_fails_does_not_cost_the_run(run, monkeypatch, tmp_path, error):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(report, "model_page", fail)
        status, out, err = run("train digits --hidden 4 --epochs 1 --out run")
        assert status == 0
        assert err.startswith("isthmus: the model is saved, and its report is not: isthmus report run tries it again (")
        assert type(error).__name__ in err
        assert err.count("\n") == 1
        assert "model: run/" in out
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
            "config.json", "model.safetensors", "run.json",
        ]  # fmt: skip
        status, _, err = run("report run")
        is_bug = isinstance(error, KeyError)
        assert status == (1 if is_bug else 2)
        assert err.startswith("Traceback") == is_bug, "a bug keeps its traceback where the report is what was asked for"
    assert run("train --resume run")[0] == 0
    assert (tmp_path / "run" / "report.html").exists(), "as a run that was killed between its model and its report"


def test_control_c_during_the_report(run, monkeypatch, tmp_path):
    def stop(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr(report, "model_page", stop)
    status, _, err = run("train digits --hidden 4 --epochs 1 --out run")
    assert status == 130
    assert "isthmus report run writes it" in err
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_run_that_replaces_another_is_in_place_before_its_report(run, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise KeyError("x")

    assert run("train digits --hidden 4 --epochs 1 --out run")[0] == 0
    monkeypatch.setattr(report, "model_page", fail)
    assert run("train digits --hidden 4 --epochs 2 --out run --overwrite")[0] == 0
    assert isthmus.load("run").n_iter_ == 2
    assert not (tmp_path / "run" / "report.html").exists(), "the old one is not of this model"


def test_a_folder_of_images(run, tmp_path):
    for i in range(30):
        (tmp_path / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    assert run("train pictures --epochs 1 --out run")[0] == 0
    assert isthmus.load(tmp_path / "run").row_shape_ == (3, 6, 5)
    assert run("reconstruct run pictures -o r.npy")[0] == 0
    assert np.load(tmp_path / "r.npy").shape == (30, 3, 6, 5)


def test_compare(run, tmp_path):
    status, out, err = run(
        "compare digits --models under-complete,sparse --components 4 --seeds 2 --epochs 1 --out cmp"
    )
    assert (status, err) == (0, "")
    for word in ("PCA-4", "under-complete", "sparse", "±", "cmp/report.html"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 120
    saved = pd.read_csv(tmp_path / "cmp" / "comparison.csv", index_col="model")
    assert list(saved.index) == ["PCA-4", "under-complete", "sparse"]
    assert saved.loc["PCA-4", "mse"] < 0.05
    assert (tmp_path / "cmp" / "report.html").stat().st_size > 100_000


def test_data(run, monkeypatch, tmp_path):
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    monkeypatch.setattr(isthmus.sources.catalogue.pooch, "os_cache", lambda name: tmp_path / "cache")
    status, out, _ = run("data")
    assert status == 0
    for name in ("digits", "swiss_roll", "mnist", "fashion_mnist", "built in", "not here"):
        assert name in out


def test_windows_of_a_long_series(run, tmp_path):
    time = pd.date_range("2020-01-01", periods=203, freq="h").astype(str)
    steps = np.arange(203)
    table = pd.DataFrame({"time": time, "a": np.sin(steps / 3), "b": np.cos(steps / 7)})
    table.loc[100, "b"] = 5
    table.to_csv(tmp_path / "series.csv", index=False)
    assert run("train series.csv --window 20 --stride 6 --components 6 --epochs 3 --out run")[0] == 0
    model, cut = isthmus.load(tmp_path / "run"), windows(table[["a", "b"]].to_numpy(), 20, 6)
    assert run("score run series.csv -o scores.csv")[0] == 0
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores.time) == list(time)
    shares = model.score_samples(cut, per_feature=True)
    np.testing.assert_allclose(scores.score, step_scores(shares, 203, 6).sum(1), rtol=1e-6)
    assert scores.score.idxmin() == 100
    assert run("score run series.csv -o shares.csv --per-feature")[0] == 0
    shares = pd.read_csv(tmp_path / "shares.csv")
    assert list(shares.columns) == ["time", "a", "b"]
    assert shares.b.idxmin() == 100
    assert run("transform run series.csv -o codes.csv")[0] == 0
    codes = pd.read_csv(tmp_path / "codes.csv")
    np.testing.assert_allclose(codes.filter(like="code"), model.transform(cut), rtol=1e-6, atol=1e-9)
    assert list(codes.start[:3]) == [0, 6, 12]
    assert codes.start.iloc[-1] == 183
    assert run("reconstruct run series.csv -o rebuilt.npy")[0] == 0
    np.testing.assert_allclose(np.load(tmp_path / "rebuilt.npy"), on_time_axis(model.reconstruct(cut), 203, 6))
    assert run("neighbors run series.csv -o near.csv -k 2 --query 3")[0] == 0
    near = pd.read_csv(tmp_path / "near.csv")
    assert near.row[0] == 18
    assert near.neighbour_1[0] in set(codes.start)
    table.loc[50:60, "a"] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    assert run("impute run gaps.csv -o filled.csv")[0] == 0
    filled = pd.read_csv(tmp_path / "filled.csv")
    known = table.a.notna()
    np.testing.assert_allclose(filled.a[known], table.a[known], rtol=1e-12, atol=1e-12)
    assert filled.a.notna().all()
    assert "by the mean row" in run("impute run series.csv -o some.csv --missing 0.2")[1]
    assert (
        "--block: a long series is hidden step by step"
        in run("impute run series.csv -o x.csv --missing 0.2 --block")[2]
    )
    assert run("report run")[0] == 0


def test_a_detector_only_scores(run, tmp_path):
    X, _ = isthmus.datasets.load("digits")
    isthmus.OutlierDetector(isthmus.Autoencoder(max_epochs=1)).fit(X).save(tmp_path / "detector")
    for command in (
        "transform detector digits -o codes.npy",
        "sample detector -o rows.npy",
        "impute detector digits -o rows.npy",
        "report detector digits",
    ):
        status, _, err = run(command)
        assert (status, err.count("\n")) == (2, 1)
        assert "holds an OutlierDetector: it can score rows" in err
    assert run("score detector digits -o scores.npy")[0] == 0


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("none", None), ("0.5", 0.5), ("tanh", "tanh")]
)
def test_how_values_are_read(text, value):
    assert parse_settings([f"name={text}"]) == {"name": value}


def test_control_c_during_a_comparison(run, monkeypatch, tmp_path):
    fit = isthmus.Autoencoder.fit

    def pressed(self, X, y=None):
        fit(self.set_params(max_epochs=2), X)
        self.interrupted_ = True
        return self

    monkeypatch.setattr(isthmus.Autoencoder, "fit", pressed)
    status, _, err = run("compare digits --models deep --out cmp")
    assert (status, err) == (130, "isthmus: interrupted\n")
    assert not (tmp_path / "cmp").exists()


def test_warnings_are_one_line_and_the_users_own(capfd):
    show_warning("look\nout", UserWarning)
    show_warning("old", DeprecationWarning)
    assert capfd.readouterr().err == "isthmus: look out\n"


def test_wrong_number_of_features(run, trained, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 9)))
    status, _, err = run("score run x.npy -o s.csv")
    assert (status, err) == (
        2,
        "isthmus: X has 9 features, but DenoisingAutoencoder is expecting 64 features as input.\n",
    )
    assert not (tmp_path / "s.csv").exists()


def test_the_installed_command():
    done = subprocess.run(
        [sys.executable, "-c", "from isthmus.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in (
        "data", "train", "compare", "transform", "reconstruct", "score", "impute", "sample", "interpolate", "neighbors",
        "report",
    ):  # fmt: skip
        assert command in done.stdout


def test_a_run_that_is_stopped_is_resumed(run, tmp_path, monkeypatch):
    command = "train digits --model denoising --components 5 --hidden 32,16 --epochs 4 --seed 3"
    assert run(f"{command} --out whole")[0] == 0

    def stop_at_two(record):
        if record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        fit = isthmus.DenoisingAutoencoder.fit
        patch.setattr(
            isthmus.DenoisingAutoencoder,
            "fit",
            lambda model, *args, **kept: fit(model.set_params(callbacks=[stop_at_two]), *args, **kept),
        )
        status, _, err = run(f"{command} --out run")
    assert (status, err) == (143, "isthmus: stopped; to go on: isthmus train --resume run\n")
    kept = [".lock", "checkpoint.history.jsonl", "checkpoint.safetensors", "run.json"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == kept
    status, _, err = run(f"{command} --out run")
    assert (status, err) == (2, "isthmus: run holds a run that is not finished: train --resume run, or delete it\n")
    status, _, err = run("train --resume run --epochs 9")
    assert (status, err) == (2, "isthmus: --epochs beside --resume: the run says itself what it is; leave it out\n")
    assert run("train --resume run")[0] == 0
    names = ["config.json", "model.safetensors", "report.html", "run.json"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == names
    assert (tmp_path / "run/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    assert "is finished" in run("train --resume run")[1]


def test_a_run_whose_data_have_changed_is_not_resumed(run, tmp_path, monkeypatch):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    table.to_csv(tmp_path / "t.csv", index=False)
    with monkeypatch.context() as patch:
        patch.setattr(isthmus.Autoencoder, "save", lambda model, folder: os.kill(os.getpid(), signal.SIGINT))
        assert run("train t.csv --epochs 1 --out run")[0] == 130
    table.head(50).to_csv(tmp_path / "t.csv", index=False)
    status, _, err = run("train --resume run")
    assert status == 2
    assert "t.csv is not what run was begun with: bring it back, or begin a new run" in err
    table.to_csv(tmp_path / "t.csv", index=False)
    assert run("train --resume run")[0] == 0


def test_a_run_without_reconstruction_has_a_report(run, tmp_path):
    np.save(tmp_path / "s.npy", np.sin(np.arange(40)[:, None] + np.arange(12)))
    command = "train s.npy --model sequence --components 3 --epochs 1 --set future_steps=2 --set reconstruction=False"
    assert run(f"{command} --out ahead")[0] == 0
    assert run("report ahead")[0] == 0
    status, _, err = run("reconstruct ahead s.npy -o x.npy")
    assert status == 2
    assert "trained without reconstruction has no reconstruct" in err


def test_a_table_with_a_column_step(run, tmp_path):
    table = pd.DataFrame({"step": np.arange(30.0), "kind": ["a", "b"] * 15})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert run("train t.csv --model tabular --components 2 --epochs 1 --out run")[0] == 0
    assert run("interpolate run t.csv -o x.csv --from 0 --to 1 --steps 3")[0] == 0
    assert list(pd.read_csv(tmp_path / "x.csv").columns) == ["pair", "step of the way", "step", "kind"]


def test_what_another_process_trains_is_left_alone(run, tmp_path):
    np.save(tmp_path / "long.npy", np.zeros((20_000, 4)))
    start = [sys.executable, "-c", "from isthmus.cli import main; main()"]
    command = [*start, *["train", "long.npy", "--out", "run", "--epochs", "50", "--batch-size", "1"]]
    other = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "run" / "run.json").exists():
        assert other.poll() is None
        time.sleep(0.05)
    for mine in ("train --resume run", "train long.npy --out run"):
        status, _, err = run(mine)
        assert status == 2
        assert "another process is training in run" in err or "holds a run that is not finished" in err
    assert (tmp_path / "run" / "run.json").exists()
    other.kill()
    other.wait()


def test_a_run_whose_data_are_away_is_not_lost(run, tmp_path, monkeypatch):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).normal(size=(60, 4)))
    with monkeypatch.context() as patch:
        patch.setattr(isthmus.Autoencoder, "fit", lambda *args, **kept: os.kill(os.getpid(), signal.SIGTERM))
        status, _, err = run("train d.npy --epochs 1 --out run")
    assert (status, err) == (143, "isthmus: interrupted\n"), "nothing was kept yet"
    with monkeypatch.context() as patch:
        patch.setattr(cli.train.runs, "check_there", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        status, _, err = run("train d.npy --epochs 1 --out run")
    assert (status, err) == (130, "isthmus: stopped; to go on: isthmus train --resume run\n")
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    (tmp_path / "d.npy").rename(tmp_path / "away.npy")
    status, _, err = run("train --resume run")
    assert status == 2
    assert "there is no file" in err
    (tmp_path / "away.npy").rename(tmp_path / "d.npy")
    assert run("train --resume run")[0] == 0


@pytest.mark.parametrize(
    "error",
    [RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"), MemoryError()],
)
def test_memory_that_runs_out_in_training(run, monkeypatch, error):
    def starve(*args, **kept):
        raise error

    monkeypatch.setattr(isthmus.Autoencoder, "_new_model", starve)
    status, _, err = run("train digits --epochs 1 --out run")
    said = "give fewer rows or columns, a smaller batch size, or a smaller network"
    assert (status, err) == (2, f"isthmus: memory has run out in training: {said}\n")
    monkeypatch.setattr("isthmus.runs.Run.rows", property(starve))
    status, _, err = run("train digits --epochs 1 --out run")
    assert (status, err) == (2, f"isthmus: memory has run out: {said}\n")


@pytest.mark.filterwarnings("default:column 'code' holds '11':isthmus.errors.NewCategoryWarning")
def test_codes_of_digits_alone_are_what_they_were_at_fit(run, tmp_path):
    """Nothing in a CSV says that 007 is a code: the table that the model was trained on does, a detector's too."""
    rows = [f"{code},{i}" for i in range(60) for code in ("007", "10", "3A")]
    (tmp_path / "all.csv").write_text("\n".join(["code,amount", *rows]))
    (tmp_path / "today.csv").write_text("code,amount\n007,5\n10,6\n11,7\n")
    assert run("train all.csv --model tabular --components 2 --epochs 2 --out codes")[0] == 0
    isthmus.OutlierDetector(isthmus.load("codes")).fit(isthmus.sources.files.read("all.csv", mixed=True).X).save(
        "detector"
    )
    for model in ("codes", "detector"):
        assert run(f"score {model} today.csv -o scores.csv --per-feature")[0] == 0
        code = pd.read_csv("scores.csv")["code"]
        assert code[2] < min(code[:2]) - 1, "11 was not there, the others were"
    status, _, err = run("reconstruct codes today.csv -o again.csv")
    assert (status, "column 'code' holds '11' in 1 row, which was not there at fit" in err) == (0, True)
    assert set(pd.read_csv("again.csv", dtype=str)["code"]) <= {"007", "10", "3A"}


@pytest.fixture
def wild(tmp_path):
    """A table whose columns differ wildly in spread, with two conditions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 3)) + 0.1 * rng.normal(size=(120, 3))
    frame = pd.DataFrame(X * [1e-4, 1, 1e3], columns=["mg", "kg", "day"]).assign(n=rng.integers(0, 9, 120))
    frame.to_csv(tmp_path / "wild.csv", index=False)
    frame.assign(colour=rng.choice(["a", "b"], 120), size=rng.choice([1, 3], 120)).to_csv(
        tmp_path / "both.csv", index=False
    )
    return frame


@pytest.mark.filterwarnings("always:X's columns differ in spread")
class TestScale:
    def test_what_is_advised_can_be_typed(self, run, wild, tmp_path):
        status, _, err = run("train wild.csv --epochs 1 --out plain")
        said = [line for line in err.splitlines() if "spread" in line]
        assert status == 0
        assert len(said) == 1, "once"
        assert "'day' the widest and 'mg' the narrowest" in said[0]
        assert "--scale standard" in said[0]
        status, _, err = run("train wild.csv --epochs 1 --scale standard --out standard")
        assert status == 0
        assert "spread" not in err
        model = isthmus.load(tmp_path / "standard")
        assert model.scale == "standard"
        np.testing.assert_allclose(model.scale_, wild.std(ddof=0))

    def test_auto_says_so_once(self, run, wild, tmp_path):
        status, _, err = run("train wild.csv --epochs 1 --scale auto --out auto")
        said = [line for line in err.splitlines() if "spread" in line]
        assert status == 0
        assert len(said) == 1
        assert said[0].endswith("it is standardised, as scale='auto' says")
        assert hasattr(isthmus.load(tmp_path / "auto"), "scale_")
        assert run("train digits --epochs 1 --scale auto --out tame")[2].count("spread") == 0
        assert not hasattr(isthmus.load(tmp_path / "tame"), "scale_")

    def test_none_and_families_that_scale(self, run, wild):
        assert run("train digits --epochs 1 --scale none --out none")[0] == 0
        status, _, err = run("train wild.csv --model tabular --epochs 1 --scale standard --out t")
        assert status == 2
        assert "scale='standard' has no meaning for TabularAutoencoder" in err

    def test_all_that_is_written_is_in_the_units_of_the_file(self, run, wild, tmp_path):
        assert run("train wild.csv --model variational --epochs 1 --scale standard --out run")[0] == 0
        model, X = isthmus.load(tmp_path / "run"), pd.read_csv(tmp_path / "wild.csv")
        for command, expected in {
            "reconstruct run wild.csv -o r.csv": model.reconstruct(X),
            "sample run -n 5 -o r.csv": model.sample(5, random_state=0),
            "score run wild.csv --per-feature -o r.csv": model.score_samples(X, per_feature=True),
        }.items():
            assert run(command)[0] == 0
            pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "r.csv"), expected, check_dtype=False, rtol=1e-6)
        status, out, _ = run("impute run wild.csv --missing 0.3 -o i.csv")
        assert status == 0
        error, of_mean = (float(part.split()[-1]) for part in out.strip().splitlines()[-1].split(", by"))
        assert error < of_mean, "the mean row is in the file's units too"
        assert run("interpolate run wild.csv -o way.npy --from 0,1 --to 2,3 --steps 4")[0] == 0
        way = np.load(tmp_path / "way.npy")
        assert way.shape == (2, 4, 4)
        np.testing.assert_allclose(way[:, 0], model.reconstruct(X[:2]), rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("always:X's columns differ in spread")
class TestSeveralConditions:
    @pytest.fixture
    def told(self, run, wild, tmp_path):
        command = "train both.csv --model conditional --label colour,size --epochs 1 --scale auto --out run"
        assert run(command)[0] == 0
        return isthmus.load(tmp_path / "run")

    def test_sample(self, run, told, tmp_path):
        assert [each.classes for each in told.conditions_] == [("a", "b"), (1, 3)]
        for text, y in {"a,3": ["a", 3], "b,1.0": ["b", 1], ",3": [None, 3], "b,": ["b", None]}.items():
            assert run(f"sample run -o s.csv -n 4 --condition={text}")[0] == 0
            expected = told.sample(4, y=y, random_state=0)
            pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "s.csv"), expected, check_dtype=False, rtol=1e-6)
        assert run("sample run -o s.csv -n 4")[0] == 0

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("a", "trained with 2 a row; give as many"),
            ("z,3", "unknown condition 'z'"),
            ("a,7", "unknown condition '7'"),
        ],
    )
    def test_mistakes(self, run, told, text, line):
        status, _, err = run(f"sample run -o s.csv --condition {text}")
        assert status == 2
        assert line in err

    def test_other_commands_are_told_them_too(self, run, told, tmp_path):
        frame = pd.read_csv(tmp_path / "both.csv")
        y = frame[["colour", "size"]].to_numpy(dtype=object)
        X = frame.drop(columns=["colour", "size"])
        for command in ("reconstruct", "score", "transform", "neighbors", "interpolate"):
            assert run(f"{command} run both.csv --label colour,size -o o.csv")[0] == 0, command
        assert run("score run both.csv --label colour,size -o o.csv")[0] == 0
        np.testing.assert_allclose(pd.read_csv(tmp_path / "o.csv")["score"], told.score_samples(X, y), rtol=1e-6)
        assert run("report run both.csv --label colour,size")[0] == 0
        status, _, err = run("train both.csv --model conditional --label colour,q --out q")
        assert status == 2
        assert "has no column 'q'" in err

    def test_classes_in_turn_stand_beside_a_tables_rows(self, run, wild, tmp_path):
        command = "train both.csv --model conditional --label colour --epochs 1 --scale auto --out one"
        assert run(command)[0] == 0
        assert run("sample one -o s.csv -n 4")[0] == 0
        assert pd.read_csv(tmp_path / "s.csv")["condition"].tolist() == ["a", "b"] * 2


WORK = {
    "transform": "encode", "reconstruct": "encode", "score": "encode", "impute": "fill", "sample": "generate",
    "interpolate": "generate", "report": "reports", "reproduce": "reports",
}  # fmt: skip
"""The module that does a verb's work, where it is not of its name."""

WITH_ITS_FIELDS = {"train": (*runs.WHERE, *runs.HOW), "data": ("window", "stride", "time", "group", "step", "features")}
"""What a verb hands on with all its options, by their names."""


def names_read(module):
    """Return the names and attributes that a module reads."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def test_no_verb_has_an_option_without_effect():
    """What a verb takes is read by its own function, or as a field of its options by the module that does its work."""
    shared = [importlib.import_module(f"isthmus.cli.{name}") for name in ("saved", "meaning", "on_disk")]
    for command in cli.app.registered_commands:
        verb = command.callback.__name__
        work = importlib.import_module(f"isthmus.cli.{WORK.get(verb, verb)}")
        read = set.union(*map(names_read, [work, *shared])) | {*WITH_ITS_FIELDS.get(verb, ()), "context"}
        asked = set(inspect.signature(command.callback).parameters)
        assert asked <= read, (verb, asked - read)
