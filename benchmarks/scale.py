"""Memory and time by the number of rows, dense and tabular: prints the table of docs/promises.md. `make scale`.

Each measurement has a process of its own, which is looked at with the rows in memory, and again at its peak.
`python benchmarks/scale.py --rows 1000000` does a million rows, in the better part of an hour.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from isthmus import Autoencoder, TabularAutoencoder, load, report

NUMBERS, CATEGORIES = 40, 10
"""Columns of the table; the dense rows have as many numbers as both together."""

STEPS = ("fit", "transform", "score_samples", "save", "load", "report")
ESTIMATORS = {"dense": Autoencoder, "tabular": TabularAutoencoder}
MB = 1e6


def rows_of(kind, n):
    """Return dense rows in float32, or a table of numbers in float64 and categories, that ten factors explain."""
    rng, width = np.random.default_rng(0), NUMBERS + CATEGORIES
    loadings = rng.standard_normal((10, width), np.float32)
    X = np.empty((n, width), np.float32)
    for start in range(0, n, 10_000):  # little beside the rows themselves
        part = X[start : start + 10_000]
        part[:] = rng.standard_normal((len(part), 10), np.float32) @ loadings
        part += 0.3 * rng.standard_normal(part.shape, np.float32)
    if kind == "dense":
        return X
    columns = {f"number {i}": X[:, i].astype(float) for i in range(NUMBERS)}
    for i in range(CATEGORIES):
        codes = np.clip((X[:, NUMBERS + i] / 3 + 1) * (2 + i), 0, 3 + 2 * i).astype(np.int8)
        columns[f"category {i}"] = pd.Categorical.from_codes(codes, [f"level {j}" for j in range(4 + 2 * i)])
    return pd.DataFrame(columns, copy=False)


def memory():
    """Return what the process has in memory now, and the most that it had, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


def forget_the_peak():
    """Let the most that the process had be what it has, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measure(kind, step, n, epochs, folder):
    """Do one step on `n` rows; returns seconds, and bytes at the peak beyond those with the rows in memory."""
    saved = folder / kind
    warnings.simplefilter("ignore")
    X = None if step in ("save", "load") else rows_of(kind, n)
    model = None
    if step == "fit":
        model = ESTIMATORS[kind](max_epochs=epochs, random_state=0)
        ESTIMATORS[kind](max_epochs=1, random_state=0).fit(
            X[:500]
        )  # what is imported at the first fit is no memory of it
    elif step != "load":
        model = load(saved)
    act = {
        "fit": lambda: model.fit(X),
        "save": lambda: model.save(folder / "again"),
        "load": lambda: load(saved),
        "report": lambda: report.model_page(model, X, None, "scale"),
    }.get(step, lambda: getattr(model, step)(X))
    forget_the_peak()
    before, began = memory()[0], time.perf_counter()
    act()
    seconds, peak = time.perf_counter() - began, memory()[1]
    if step == "fit":
        model.save(saved)
    size = 0 if X is None else n * (NUMBERS + CATEGORIES) * 4
    epoch = model.history_[-1]["seconds"] if step == "fit" else None
    return {"seconds": seconds, "more": max(peak - before, 0), "peak": peak, "cells": size, "epoch": epoch}


def line(kind, step, n, found):
    shown = f"{found['more'] / MB:,.0f} MB"
    if found["cells"]:
        shown += f" ({found['more'] / found['cells']:.1f}×)"
    seconds = f"{found['seconds']:.2g} s" if found["seconds"] < 10 else f"{found['seconds']:,.0f} s"
    if found["epoch"] is not None:
        seconds += f" ({found['epoch']:.3g} s an epoch)"
    return f"| {kind} | {n:,} | {step} | {shown} | {found['peak'] / MB:,.0f} MB | {seconds} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--models", nargs="*", default=list(ESTIMATORS), choices=ESTIMATORS)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # kind, step, folder: what a process does
    asked = parser.parse_args()
    if asked.one:
        kind, step, folder = asked.one
        print(json.dumps(measure(kind, step, asked.rows[0], asked.epochs, Path(folder))))
        return
    print(f"{NUMBERS + CATEGORIES} columns; fit is of {asked.epochs} epoch(s). × is of the cells in float32.\n")
    print("| rows of | rows | | memory beyond the rows | peak of the process | time |\n|---|---|---|---|---|---|")
    for kind in asked.models:
        for n in asked.rows:
            with tempfile.TemporaryDirectory() as folder:
                for step in STEPS:
                    command = [sys.executable, __file__, "--one", kind, step, folder, "--rows", str(n)]
                    command += ["--epochs", str(asked.epochs)]
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    if done.returncode:
                        last = done.stderr.strip().rpartition("\n")[2]
                        print(f"| {kind} | {n:,} | {step} | failed: {last} | | |", flush=True)
                        break
                    print(line(kind, step, n, json.loads(done.stdout.splitlines()[-1])), flush=True)


if __name__ == "__main__":
    main()
