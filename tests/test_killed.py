"""Runs that are killed at any moment, also while a checkpoint is being written: they end as if nothing had happened."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest

import isthmus
from isthmus import DenoisingAutoencoder, VariationalAutoencoder, datasets, report
from isthmus.networks import MLP
from isthmus.training.checkpoint import CHECKPOINT

KILLS = 25

ESTIMATORS = {
    "denoising, dropout": DenoisingAutoencoder(
        4, corruption="swap", network=MLP(hidden=(24,), dropout=0.2), batch_size=32, max_epochs=60, random_state=0
    ),
    "variational": VariationalAutoencoder(3, network=MLP(hidden=(16,)), batch_size=32, max_epochs=60, random_state=1),
}


def train(name, folder):
    """A whole run: what is kept of it, the model, the report."""
    X, y = datasets.load("digits")
    model = ESTIMATORS[name].fit(X[:300], resume_from=folder, checkpoint_minutes=0)
    model.save(folder)
    report.write_page(report.model_page(model, X[300:340], y[300:340], name), folder / "report.html")


def outcome(folder):
    """Weights, history and report, without what the clock says."""
    model = isthmus.load(folder)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in model.history_]
    page = re.sub(r"Made by isthmus, [^<]*", "", (folder / "report.html").read_text(encoding="utf-8"))
    return (folder / "model.safetensors").read_bytes(), json.dumps(history), page


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_run_that_is_killed_goes_on_to_the_bit(name, children, tmp_path):
    undisturbed = children.Process(target=train, args=(name, tmp_path / "whole"))
    undisturbed.start()
    random = np.random.default_rng(7)
    folder = tmp_path / "run"
    in_mid_write = 0
    for _ in range(KILLS):
        before = written(folder)
        child = children.Process(target=train, args=(name, folder))
        child.start()
        while written(folder) == before and child.is_alive():
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it was still at work"
        in_mid_write += any(folder.glob(".checkpoint-*"))
    assert in_mid_write, "no kill fell into the writing of a checkpoint"
    last = children.Process(target=train, args=(name, folder))
    last.start()
    for process in (undisturbed, last):
        process.join()
        assert process.exitcode == 0
    assert outcome(folder) == outcome(tmp_path / "whole")


def written(folder):
    try:
        return (folder / CHECKPOINT).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
