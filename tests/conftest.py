"""Fixtures; and one thread a worker, as two workers share two cores."""

import gc
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and NumPy are there; and for what the tests start
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of the processes that tests start would compile all anew

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import Phase, settings

import isthmus
from isthmus import cli
from isthmus.models.params import Parameters
from isthmus.training import new_state

torch.set_num_threads(1)

# `pytest --hypothesis-profile=unshrunk`: the first failure found, at once, where the smallest would take minutes.
settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.reuse, Phase.generate])


@pytest.fixture(scope="session")
def digits():
    """Training rows of the digits, (1437, 8, 8), in [0, 1]."""
    return isthmus.datasets.load("digits").X


@pytest.fixture(scope="session")
def digits_labels():
    return isthmus.datasets.load("digits").y


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def states(monkeypatch):
    """The state of each fit that is begun: its optimiser is not kept."""
    begun = []

    def noted(*args):
        begun.append(new_state(*args))
        return begun[-1]

    monkeypatch.setattr("isthmus.models.fitting.new_state", noted)
    return begun


@pytest.fixture(scope="session")
def table():
    """A small table with structure: 200 rows on a bent sheet in 6 dimensions."""
    rng = np.random.default_rng(0)
    sheet = rng.normal(size=(200, 2))
    bent = np.column_stack([sheet, np.sin(sheet), sheet.prod(1, keepdims=True), sheet.sum(1, keepdims=True)])
    return (bent + 0.05 * rng.normal(size=bent.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def data_dir():
    """The folder with real data, of which some tests have need."""
    folder = os.environ.get("ISTHMUS_DATA")
    if not folder or not Path(folder, "mnist").is_dir():
        pytest.skip("ISTHMUS_DATA names no folder with real data")
    return Path(folder)


@pytest.fixture
def fewer_epochs(monkeypatch):
    """What is fitted with no number of epochs of its own takes a third of the default one."""
    epochs = Parameters.default_epochs
    monkeypatch.setattr(Parameters, "default_epochs", staticmethod(lambda *given: epochs(*given) // 3))


@pytest.fixture(scope="session")
def children():
    """Children that begin with everything imported, as after a first fit."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["isthmus.report", "isthmus.models.ddp", "torch._dynamo", "hypothesis", "pytest"])
    return context


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Type a command in an empty folder; returns exit status, output and error lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("isthmus.report.uses.MEASURED_ROWS", 40)  # whose missing pixels are a third of a report's time

    def type_command(command):
        monkeypatch.setattr(sys, "argv", ["isthmus", *command.split()])
        showwarning = warnings.showwarning
        try:
            with pytest.raises(SystemExit) as exit_:
                cli.main()
        finally:
            warnings.showwarning = showwarning
        out, err = capfd.readouterr()
        return exit_.value.code, out, err

    return type_command


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A folder with a saved model of each family that commands are tried on."""
    folder = tmp_path_factory.mktemp("models")
    X, y = isthmus.datasets.load("digits")
    setting = {"max_epochs": 2, "random_state": 0}
    isthmus.VariationalAutoencoder(6, **setting).fit(X).save(folder / "variational")
    isthmus.ConditionalVariationalAutoencoder(6, likelihood="bernoulli", **setting).fit(X, y).save(folder / "classes")
    isthmus.DenoisingAutoencoder(6, **setting).fit(X).save(folder / "denoising")
    roll, place = isthmus.datasets.load("swiss_roll")
    isthmus.ConditionalVariationalAutoencoder(1, **setting).fit(roll, place).save(folder / "numbers")
    isthmus.Autoencoder(2, **setting).fit(numbers()).save(folder / "table")
    isthmus.OutlierDetector(isthmus.Autoencoder(2, **setting)).fit(numbers()).save(folder / "detector")
    isthmus.TabularAutoencoder(2, **setting).fit(people()).save(folder / "people")
    isthmus.MultimodalAutoencoder(2, **setting).fit({"image": X, "label": y}).save(folder / "modalities")
    np.savez(folder / "modalities.npz", image=X[:40], label=y[:40])
    for table in (numbers, people, series):
        table().to_csv(folder / f"{table.__name__}.csv", index=False)
    train = f"train {folder}/series.csv --model sequence --window 10 --components 2 --epochs 1 --out {folder}"
    cli.app(f"{train}/series".split(), standalone_mode=False)
    cli.app(f"{train}/future --set future_steps=2 --set reconstruction=False".split(), standalone_mode=False)
    shutil.copytree(folder / "table", folder / "weightless")
    (folder / "weightless" / "model.safetensors").unlink()
    shutil.copytree(folder / "table", folder / "altered")
    (folder / "altered" / "config.json").write_text("{")
    return folder


def score_of(model, shares):
    """The scores that shares of entries add up to, (n, *row_shape), NaN where an entry is missing."""
    usual, unknown = (each.double().numpy() for each in (model.module_.usual, model.module_.unknown))
    shares = np.asarray(shares, float).reshape(len(shares), -1)
    return np.nansum(shares, 1) + usual.sum() + np.isnan(shares).mean(1) * unknown


PACE = 0.065
"""Seconds of the processor in which `work` is done where limits on seconds were set."""


class Timed:
    """The seconds of the processor that something takes, without a collection of all that the tests have left."""

    def __enter__(self):
        gc.disable()
        self.start = time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.process_time() - self.start
        gc.enable()


def work():
    """Do what limits on seconds are held against: JSON to objects, and back to text."""
    numbers = json.loads("[" + "1.25," * 200_000 + "0]")
    names = json.loads("{" + ",".join(f'"{i}":{i}' for i in range(50_000)) + "}")
    return len(json.dumps(numbers)) + len(json.dumps(names))


def slowness():
    """How many times as long as there the processor takes here and now, 1 at the least: the machines are not alike."""
    seconds = []
    for _ in range(3):
        with Timed() as timed:
            work()
        seconds.append(timed.seconds)
    return max(1, statistics.median(seconds) / PACE)


def assert_within(most, seconds, what=""):
    """Assert that what took `seconds` of the processor would have taken no more than `most` where they were set."""
    if seconds >= most:
        pace = slowness()
        assert seconds < most * pace, f"{seconds:.2f} s, where {most * pace:.2f} s are allowed: {what}"


def numbers():
    """A table of numbers."""
    return pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))


def people():
    """A table of several kinds of columns."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["x", "y"], 40)
    return pd.DataFrame({"age": rng.integers(20, 60, 40), "size": rng.normal(size=40), "kind": kind, "ok": kind == "x"})


def series():
    """A long series of two features, with the time of each step."""
    time, steps = pd.date_range("2020-01-01", periods=60, freq="h").astype(str), np.arange(60)
    return pd.DataFrame({"time": time, "a": np.sin(steps / 3), "b": np.cos(steps / 7)})
