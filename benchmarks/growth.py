"""Whether anything grows faster than the rows, the epochs or the columns: prints the tables of docs/growth.md.

`make growth`; with `python benchmarks/growth.py --rows 10000 100000 1000000` up to a million rows, in half an hour.

Each measurement has a process of its own. Its memory is what it has at the peak less what it had when all was imported,
and the rows count: from 10,000 to 100,000 rows they alone are ten times as many. How many times as long something takes
is by the processor's seconds, which other programs on the machine do not lengthen.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import isthmus
from isthmus import Autoencoder, OutlierDetector, TabularAutoencoder, VariationalAutoencoder, report
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.networks import MLP

COLUMNS, EPOCHS, GAPS = 50, 2, 0.1
MOST_SECONDS, MOST_MEMORY = 11, 10.5
"""How many times the seconds and the memory ten times the rows, or epochs, may cost."""

SMALL = {"n_components": 8, "network": MLP(hidden=(64, 32)), "random_state": 0}
ESTIMATORS = {
    "dense": lambda **given: Autoencoder(**SMALL, **given),
    "tabular": lambda **given: TabularAutoencoder(**SMALL, **given),
    "variational": lambda **given: VariationalAutoencoder(**SMALL, **given),
    "detector": lambda **given: OutlierDetector(Autoencoder(**SMALL, **given)),
}
STEPS = ("fit", "transform", "score_samples", "impute", "report", "neighbors")
FEW_EPOCHS, ROWS_OF_EPOCHS = 100, 640
WIDE_ROWS, WIDE = 200, 20_000
MOST_WIDE = 60, 2000
"""Seconds and megabytes that rows of so many columns may take."""


def rows_of(kind, n, width=COLUMNS):
    """Return rows that eight factors explain, in float32, or a table of numbers in float64 and categories."""
    rng = np.random.default_rng(0)
    loadings, X = rng.standard_normal((8, width), np.float32), np.empty((n, width), np.float32)
    for start in range(0, n, 5000):
        part = X[start : start + 5000]
        part[:] = rng.standard_normal((len(part), 8), np.float32) @ loadings
        part += 0.3 * rng.standard_normal(part.shape, np.float32)
    if kind != "tabular":
        return X
    columns = {f"number {i}": X[:, i].astype(float) for i in range(width * 4 // 5)}
    for i in range(len(columns), width):
        codes = np.clip((X[:, i] / 3 + 1) * 3, 0, 5).astype(np.int8)
        columns[f"category {i}"] = pd.Categorical.from_codes(codes, [f"level {j}" for j in range(6)])
    return pd.DataFrame(columns, copy=False)


def with_gaps(X):
    """Let a tenth of the entries be missing."""
    rng, table = np.random.default_rng(1), isinstance(X, pd.DataFrame)
    for i in range(X.shape[1]):
        gaps = rng.random(len(X)) < GAPS
        if table:
            X.isetitem(i, X.iloc[:, i].mask(gaps))
        else:
            X[gaps, i] = np.nan
    return X


def memory():
    """Return what this process has in memory now, and the most that it had, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


def forget_the_peak():
    """Let the most that the process had be what it has, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measured(prepare, act):
    """Return seconds of an action, and megabytes at the peak of it and what it is given beyond those of the imports."""
    forget_the_peak()
    before = memory()[0]
    given = prepare()
    began, spent = time.perf_counter(), time.process_time()
    act(given)
    spent = time.process_time() - spent
    return {"seconds": time.perf_counter() - began, "spent": spent, "memory": memory()[1] - before}


def rows_step(kind, step, n, folder):
    """Do one step on `n` rows, of a model that the first step, the fit, has left in a folder."""
    few = rows_of(kind, 300)
    small = ESTIMATORS[kind](max_epochs=1).fit(few)  # what is imported at first use is no memory of it
    small.save(folder / "small")
    model = isthmus.load(folder / "small" if step == "fit" else folder / kind)
    acts = {
        "fit": lambda X: ESTIMATORS[kind](max_epochs=EPOCHS).fit(X),
        "report": lambda X: report.model_page(model, X, None, "growth"),
        "neighbors": lambda X: nearest_by_code(model.transform(X), model.transform(X[:10]), 5),
    }
    act = acts.get(step, lambda X: getattr(model, step)(X))
    if step != "fit":
        act(few)
    else:
        model.score_samples(few)

    def prepare():
        X = rows_of(kind, n)
        return with_gaps(X) if step == "impute" else X

    kept = []
    found = measured(prepare, lambda X: kept.append(act(X)))
    if step == "fit":
        kept[0].save(folder / kind)
    return found


def epochs_step(kind, step, n, folder):
    """Train for so many epochs, kept in a folder or not, and say what lies there; or go on with such a run."""
    folder = Path(tempfile.mkdtemp(dir=folder))  # another time would go on with this one's run
    X = rows_of(kind, ROWS_OF_EPOCHS)
    ESTIMATORS[kind](max_epochs=2).fit(X, resume_from=folder / "small")
    run = folder / f"{step} {n}"
    model, calls = ESTIMATORS[kind](max_epochs=n), []
    model.set_params(callbacks=[lambda record: calls.append(record["epoch"]) or None] if step == "callback" else [])
    where = {} if step in ("fit", "callback") else {"resume_from": run}
    found = measured(lambda: X, lambda X: model.fit(X, **where))
    model.set_params(callbacks=[]).save(folder / "saved")
    sizes = {path.name: path.stat().st_size for path in run.glob("*")} if where else {}
    sizes |= {path.name: path.stat().st_size for path in (folder / "saved").iterdir()}
    found["files"] = {name: size / 1000 for name, size in sizes.items()}
    if where:
        again = ESTIMATORS[kind](max_epochs=n)
        found["on"] = measured(lambda: X, lambda X: again.fit(X, **where))["seconds"]
    return found


def wide_step(kind, step, n, folder):
    """Do something with 200 rows of so many columns."""
    warm = rows_of(kind if kind != "frame" else "dense", 60)
    family = ESTIMATORS.get(kind, ESTIMATORS["dense"])
    make = {"tabular": TabularAutoencoder, "variational": VariationalAutoencoder}.get(kind, Autoencoder)
    made = OutlierDetector(make(8, random_state=0)) if kind == "detector" else make(8, random_state=0)
    family(max_epochs=1).fit(warm).score_samples(warm)

    def prepare():
        X = rows_of(kind if kind != "frame" else "dense", WIDE_ROWS, n)
        return pd.DataFrame(X).rename(columns=lambda i: f"column {i}") if kind == "frame" else X

    return measured(prepare, lambda X: made.fit(X).score_samples(X))


def command_step(kind, step, n, folder):
    """Do a command on a CSV file of 200 rows of so many columns."""
    path = folder / "wide.csv"
    if not path.exists():
        frame = pd.DataFrame(rows_of("dense", WIDE_ROWS, n)).rename(columns=lambda i: f"column {i}")
        frame.to_csv(path, index=False, float_format="%.4g")
    from isthmus import cli

    run, other = folder / f"run {kind}", folder / "other"
    other.mkdir(exist_ok=True)
    rows_of("tabular", 60).to_csv(other / "small.csv", index=False)
    train = ["train", "--model", kind, "--components", "8", "--epochs", "20"]

    def call(*words):
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            cli.app([*map(str, words)], standalone_mode=False)

    words = {
        "data": ["data", path],
        "train": [*train, path, "--out", run],
        "transform": ["transform", run, path, "-o", folder / "codes.csv"],
        "report": ["report", run, path, "-o", folder / "again.html"],
    }[step]
    call("data", other / "small.csv")
    return measured(lambda: words, lambda words: call(*words))


def in_process(what, kind, step, n, folder, times):
    """Return the median seconds and memory of some processes; None where one fails."""
    command = [sys.executable, "-W", "ignore", __file__, "--one", what, kind, step, str(n), str(folder)]
    found = []
    for _ in range(times):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{what}, {kind}, {step}, {n}: {done.stderr.strip().rpartition(chr(10))[2]}", file=sys.stderr)
            return None
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found[0] | {name: statistics.median(each[name] for each in found) for name in ("seconds", "spent", "memory")}


def mark(value, most):
    return f"{value:.1f}" if value <= most else f"**{value:.1f}**"


def rows_table(sizes, kinds, steps, times):
    print(f"Rows of {COLUMNS} columns; fit is of {EPOCHS} epochs, impute of rows with a tenth missing.\n")
    print("| model | step | rows | time | × | memory | × |\n|---|---|---|---|---|---|---|")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            found = {}
            for n in sizes:
                for step in dict.fromkeys(("fit", *steps)):
                    found[n, step] = in_process("rows", kind, step, n, folder, times if n < 10**6 else 1)
                    lines(kind, step, f"{n:,}", found[n, step], found.get((n // 10, step)))


def lines(kind, step, size, now, before):
    if now is None:
        return
    seconds, most = f"{now['seconds']:.2f} s", f"{now['memory']:,.0f} MB"
    ratios = ["", ""]
    if before is not None:
        ratios = [mark(now["spent"] / before["spent"], MOST_SECONDS)]
        ratios += [mark(now["memory"] / max(before["memory"], 1), MOST_MEMORY)]
    print(f"| {kind} | {step} | {size} | {seconds} | {ratios[0]} | {most} | {ratios[1]} |", flush=True)


def epochs_table(times):
    print(f"\nEpochs, of {ROWS_OF_EPOCHS} rows: kept in a folder from which a run goes on, or not.\n")
    print("| run | epochs | time | × | memory | × | files in kB | to go on |\n|---|---|---|---|---|---|---|---|")
    for step in ("fit", "callback", "kept"):
        before = None
        for n in (FEW_EPOCHS, 10 * FEW_EPOCHS):
            with tempfile.TemporaryDirectory() as folder:
                now = in_process("epochs", "dense", step, n, folder, times)
            if now is None:
                continue
            ratios = ["", ""] if before is None else [mark(now["spent"] / before["spent"], MOST_SECONDS)]
            ratios += [] if before is None else [mark(now["memory"] / max(before["memory"], 1), MOST_MEMORY)]
            names = [name for name in now["files"] if not name.endswith(".lock") and now["files"][name] >= 0.1]
            files = ", ".join(f"{name} {now['files'][name]:.0f}" for name in sorted(names))
            on = f"{now['on']:.2f} s" if "on" in now else ""
            print(
                f"| {step} | {n:,} | {now['seconds']:.2f} s | {ratios[0]} | {now['memory']:.0f} MB | {ratios[1]} | "
                f"{files} | {on} |",
                flush=True,
            )
            before = now


def wide_table(times):
    print(
        f"\n{WIDE_ROWS} rows of {WIDE:,} columns: fit, with the default network and epochs, and scores; or a command.\n"
    )
    print("| what | time | of the processor | memory |\n|---|---|---|---|")
    jobs = [("wide", kind, "fit") for kind in ("dense", "frame", "tabular", "variational", "detector")]
    commands = ("train", "transform", "report")
    jobs += [
        ("command", "plain", "data"),
        *(("command", kind, step) for kind in ("plain", "tabular") for step in commands),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for what, kind, step in jobs:
            now = in_process(what, kind, step, WIDE, folder, times)
            if now is not None:
                seconds, most = mark(now["seconds"], MOST_WIDE[0]), mark(now["memory"], MOST_WIDE[1])
                name = f"{kind}, fit" if what == "wide" else f"isthmus {step}, {kind}, a CSV file"
                print(f"| {name} | {seconds} s | {now['spent']:.1f} s | {most} MB |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--models", nargs="*", default=["dense", "tabular", "detector"], choices=ESTIMATORS)
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=STEPS)
    parser.add_argument("--tables", nargs="*", default=["rows", "epochs", "wide"])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)  # what a process does
    asked = parser.parse_args()
    if asked.one:
        warnings.simplefilter("ignore")
        what, kind, step, n, folder = asked.one
        does = {"rows": rows_step, "epochs": epochs_step, "wide": wide_step, "command": command_step}[what]
        print(json.dumps(does(kind, step, int(n), Path(folder))))
        return
    if "rows" in asked.tables:
        rows_table(asked.rows, asked.models, asked.steps, asked.times)
    if "epochs" in asked.tables:
        epochs_table(asked.times)
    if "wide" in asked.tables:
        wide_table(asked.times)


if __name__ == "__main__":
    main()
