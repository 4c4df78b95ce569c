"""Kills at random moments: of `isthmus train`, resumed to the bit, and of saves over an older model. `make kills`.

Options: --runs N kills of runs (200), --saves N kills of saves (1,000), --loads N loads meanwhile (100,000).
"""

import argparse
import json
import mmap
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import torch

from isthmus import Autoencoder, load
from isthmus.cli import main
from isthmus.networks import MLP

KILLS = int(os.environ.get("KILLS", "200"))
SETTING = (
    "--model denoising --components 6 --hidden 48 --epochs 12 --batch-size 32 --seed 5 "
    "--set network__dropout=0.2 --checkpoint-minutes 0"
)


def train(folder):
    """The command line, as a person types it: begin, or go on."""
    command = ["--resume", str(folder), "--checkpoint-minutes", "0"]
    if not (folder / "run.json").exists():
        command = ["digits", "--out", str(folder), *SETTING.split()]
    sys.argv = ["isthmus", "train", *command]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        main()


def outcome(folder):
    """Weights, history and report, but for what the clock says."""
    history = [{name: v for name, v in record.items() if name != "seconds"} for record in load(folder).history_]
    page = re.sub(r"Made by isthmus, [^<]*", "", (folder / "report.html").read_text(encoding="utf-8"))
    return (folder / "model.safetensors").read_bytes(), json.dumps(history), page


def finished(folder):
    """Tell whether a run is finished, with its report, for which one killed in between is gone on with."""
    if not (folder / "report.html").exists():
        return False
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["finished"]
    except OSError:
        return False


def begin(children, folder):
    child = children.Process(target=train, args=(folder,))
    child.start()
    return child


def kills(folder, most):
    """Kill runs, and go on with them until they are finished."""
    children = multiprocessing.get_context("forkserver")
    children.set_forkserver_preload(["isthmus.cli", "isthmus.report", "lightning_fabric", "torch._dynamo"])
    random = np.random.default_rng(0)
    start = perf_counter()
    begin(children, folder / "whole").join()
    alone = perf_counter() - start
    whole = outcome(folder / "whole")
    killed, mid_write, runs, equal = 0, 0, 0, 0
    run = folder / "run"
    start = perf_counter()
    while killed < most or run.exists():
        child = begin(children, run)
        if killed < most:
            sleep(random.uniform(0, alone / 6))
            if child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        mid_write += any(folder.rglob(".*-*"))  # what was being written has a hidden name
        if finished(run):
            runs += 1
            equal += outcome(run) == whole
            shutil.rmtree(run)
    seconds = perf_counter() - start
    print(f"{killed} kills, {mid_write} of them in the middle of writing a file, in {seconds:.0f} s")
    print(
        f"{runs} runs came to their end, {equal} of them equal to the undisturbed one to the bit ({alone:.1f} s alone)"
    )


class Counts:
    """Numbers that all processes see; each writes its own column."""

    NAMES = ("loads", "missing", "refused", "mixtures", "saves", "inside")

    def __init__(self, processes):
        memory = mmap.mmap(-1, 8 * len(self.NAMES) * processes)
        self.numbers = np.frombuffer(memory, dtype=np.int64).reshape(len(self.NAMES), processes)

    def add(self, name, process, by=1):
        self.numbers[self.NAMES.index(name), process] += by

    def total(self, name):
        return int(self.numbers[self.NAMES.index(name)].sum())


def tellable_models():
    """Models of the same shapes, in each of which every weight is the number that its config holds as its seed."""
    warnings.simplefilter("ignore")  # they learn nothing, which they say
    X = np.random.default_rng(0).normal(size=(40, 30))
    models = []
    for number in range(1, 6):
        model = Autoencoder(8, network=MLP(hidden=(32,)), max_epochs=1, random_state=number).fit(X)
        with torch.no_grad():
            for tensor in model.module_.state_dict().values():
                tensor.fill_(number)
        models.append(model)
    return models


def is_whole(model):
    """Tell whether all weights are those that belong to the config."""
    tensors = model.module_.state_dict().values()
    return all(bool((tensor == torch.full_like(tensor, model.random_state)).all()) for tensor in tensors)


def forked(work, *args):
    """Run in a child that has all imported already."""
    child = os.fork()
    if child == 0:
        try:
            work(*args)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    return child


def save_for_ever(models, path, counts, random):
    while True:
        counts.numbers[counts.NAMES.index("inside"), 0] = 1
        models[random.integers(len(models))].save(path)
        counts.numbers[counts.NAMES.index("inside"), 0] = 0
        counts.add("saves", 0)


def load_for_ever(path, counts, process):
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            if not is_whole(load(path)):
                counts.add("mixtures", process)
        except FileNotFoundError:
            traceback.print_exc()
            counts.add("missing", process)
        except Exception:
            traceback.print_exc()
            counts.add("refused", process)
        counts.add("loads", process)


def killed_saves(folder, kills, loads):
    """Kill processes that save over an older model, beside others that load it all the time."""
    torch.set_num_threads(1)
    models, path, random = tellable_models(), folder / "model", np.random.default_rng(0)
    start = perf_counter()
    for model in models:
        model.save(path)
    alone = (perf_counter() - start) / len(models)
    counts = Counts(3)
    loaders = [forked(load_for_ever, path, counts, process) for process in (1, 2)]
    inside = half_written = between = missing = 0
    start = perf_counter()
    try:
        for i in range(kills):
            child = forked(save_for_ever, models, path, counts, np.random.default_rng(i))
            while counts.total("loads") < loads * (i + 1) / kills:
                sleep(0.001)
            sleep(random.uniform(0, 4 * alone))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            inside += counts.total("inside")
            half_written += any(path.glob(".*-isthmus-*"))
            between += any(path.glob(".weights-*"))
            try:
                missing += not is_whole(load(path))
            except Exception:
                traceback.print_exc()
                missing += 1
    finally:
        for child in loaders:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    seconds = perf_counter() - start
    models[0].save(path)
    left = len(list(path.iterdir())) - 2
    print(
        f"saves over an older model: {kills:,} kills in {seconds:.0f} s, {inside:,} of them in the middle of a save, "
        f"{half_written:,} with a file half written, {between:,} between two renamings; {missing} of them left no "
        f"whole model at the path; after the next save {left} files were left"
    )
    print(
        f"{counts.total('loads'):,} loads in two other processes beside {counts.total('saves'):,} saves: "
        f"{counts.total('missing')} found no model, {counts.total('refused')} were refused, "
        f"{counts.total('mixtures')} got a mixture"
    )


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=KILLS)
    parser.add_argument("--saves", type=int, default=1_000)
    parser.add_argument("--loads", type=int, default=100_000)
    return parser.parse_args()


if __name__ == "__main__":
    asked = options()
    with tempfile.TemporaryDirectory() as folder:
        if asked.saves:
            killed_saves(Path(folder), asked.saves, asked.loads)
    with tempfile.TemporaryDirectory() as folder:
        if asked.runs:
            kills(Path(folder), asked.runs)
