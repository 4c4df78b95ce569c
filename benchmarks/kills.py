"""Two hundred kills: `isthmus train` killed at random moments and resumed, to the bit. `make kills`."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from isthmus import load
from isthmus.cli import main

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
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["finished"]
    except OSError:
        return False


def begin(children, folder):
    child = children.Process(target=train, args=(folder,))
    child.start()
    return child


def kills(folder):
    children = multiprocessing.get_context("forkserver")
    children.set_forkserver_preload(["isthmus.cli"])
    random = np.random.default_rng(0)
    start = perf_counter()
    begin(children, folder / "whole").join()
    alone = perf_counter() - start
    whole = outcome(folder / "whole")
    killed, mid_write, runs, equal = 0, 0, 0, 0
    run = folder / "run"
    start = perf_counter()
    while killed < KILLS or run.exists():
        child = begin(children, run)
        if killed < KILLS:
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        kills(Path(folder))
