"""Rows larger than memory beside rows in memory: how fast, in how much memory, how good.

A table is written to Parquet, some rows at a time. A model is trained for an epoch on its first file, read in pieces
and in memory, in turns, then on all of it; and what it was trained on is embedded. Each is a process of its own.

    python benchmarks/streams.py --gb 6 --rounds 3
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

import isthmus
from isthmus import Autoencoder, TabularAutoencoder
from isthmus.networks import MLP

COLUMNS, GROUP = 50, 100_000
"""Of the table: columns, and rows of a row group."""

FILE = {"plain": 1_000_000, "tabular": 200_000}
"""Rows of a file, which are those that are trained on in memory too."""

MOST_GB = {"tabular": 0.2}
"""Gigabytes of numbers of the whole table, at the most: numbers of a mixed table are cut into 24 pieces each."""

BATCH, HIDDEN, HELD_OUT = 256, (64, 32), 0.02
"""Of the training: rows of a step, units of the hidden layers where none are asked for (few, so that reading counts),
share that is held out."""

NAMES = [f"c{i}" for i in range(COLUMNS)]

Figures = dict[str, float]


def rows(n: int, seed: int) -> np.ndarray:
    """Return rows on a bent sheet of 5 dimensions in 50, with noise."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    there, bent = fixed.normal(size=(2, 5, COLUMNS)).astype(np.float32)
    codes = rng.standard_normal((n, 5), np.float32)
    return codes @ there + np.sin(2 * codes @ bent) + np.float32(0.3) * rng.standard_normal((n, COLUMNS), np.float32)


def write(folder: Path, gb: float, file_rows: int) -> int:
    """Write a table of so many gigabytes of numbers, and return its rows."""
    n = max(int(gb * 1e9 / (4 * COLUMNS)), file_rows)
    schema = pa.schema([(name, pa.float32()) for name in NAMES])
    for i, start in enumerate(range(0, n, file_rows)):
        with parquet.ParquetWriter(folder / f"{i:05}.parquet", schema, use_dictionary=False) as file:
            for first in range(start, min(start + file_rows, n), GROUP):
                X = rows(min(GROUP, n - first, start + file_rows - first), first)
                file.write_table(pa.Table.from_arrays([pa.array(column) for column in X.T], schema=schema))
    return n


def given(place: str, where: str) -> tuple[object, int]:
    """Return rows as a model takes them, and how many they are: all, the first file, or that in memory."""
    path = Path(place) if where == "all" else Path(place, "00000.parquet")
    files = sorted(path.glob("*.parquet")) if where == "all" else [path]
    n = sum(parquet.read_metadata(each).num_rows for each in files)
    return pd.read_parquet(path) if where == "memory" else path, n


def train(family: str, place: str, where: str, hidden: Sequence[int]) -> Figures:
    """Train for an epoch; time the epoch, without what comes before."""
    X, n = given(place, where)
    kind = TabularAutoencoder if family == "tabular" else Autoencoder
    common = {"max_epochs": 1, "batch_size": BATCH, "validation_fraction": HELD_OUT, "random_state": 0}
    model = kind(5, network=MLP(hidden=hidden), **common)
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    peak, rate = peak_gb(), (n - len(model.held_out_)) / model.history_[0]["seconds"]
    test = pd.DataFrame(rows(10_000, 10**9), columns=NAMES)
    mse = float(np.square(model.reconstruct(test).to_numpy() - test.to_numpy()).mean())
    model.save(Path(place, f"model-{where}"))
    return {"rows": n, "seconds": seconds, "rate": rate, "peak": peak, "mse": mse}


def transform(family: str, place: str, where: str, hidden: Sequence[int]) -> Figures:
    """Embed what the model was trained on, and time it."""
    del family, hidden
    X, n = given(place, where)
    model = isthmus.load(Path(place, f"model-{where}"))
    model.transform(pd.DataFrame(rows(GROUP, 10**9), columns=NAMES))  # what is done once is done
    start = time.perf_counter()
    parts = [model.transform(X)] if where == "memory" else model.transform(X)
    done = sum(len(part) for part in parts)
    seconds = time.perf_counter() - start
    assert done == n
    return {"rows": n, "seconds": seconds, "rate": n / seconds, "peak": peak_gb(), "mse": float("nan")}


def peak_gb() -> float:
    """Return the most memory that this process has had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def in_child(hidden: Sequence[int], *asked: object) -> Figures:
    """Train or embed in a process of its own, whose memory is its own too."""
    command = [sys.executable, __file__, "--hidden", *map(str, hidden), "--child", *map(str, asked)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def show(family: str, what: str, runs: dict[str, list[Figures]]) -> None:
    """Print a line for all rows, for the first file and for this in memory: medians of rounds."""
    memory = {key: statistics.median(run[key] for run in runs["memory"]) for key in runs["memory"][0]}
    for where, found in runs.items():
        middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
        pairs = zip(found, runs["memory"] if len(found) > 1 else [memory], strict=True)
        ratio = statistics.median(run["rate"] / other["rate"] for run, other in pairs)
        mse = "" if np.isnan(middle["mse"]) else f"  test mse {middle['mse']:.4f}"
        print(
            f"{family:8} {what:9} {where:7} {middle['rows']:>11,.0f} rows {middle['seconds']:7.1f} s "
            f"{middle['rate']:>10,.0f} rows/s  {ratio:4.2f} of memory's {middle['peak']:6.2f} GB at the most{mse}",
            flush=True,
        )


def main() -> None:
    """Print three lines for each model and what is done with it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gb", type=float, default=6.0, help="gigabytes of numbers")
    parser.add_argument("--rounds", type=int, default=3, help="of the first file and of that in memory")
    parser.add_argument("--families", nargs="+", default=list(FILE), choices=list(FILE))
    parser.add_argument("--hidden", type=int, nargs="+", default=list(HIDDEN), help="units of the hidden layers")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        what, family, place, where = asked.child
        print(json.dumps({"train": train, "transform": transform}[what](family, place, where, asked.hidden)))
        return
    for family in asked.families:
        with tempfile.TemporaryDirectory() as place:
            n = write(Path(place), min(asked.gb, MOST_GB.get(family, asked.gb)), FILE[family])
            size = sum(each.stat().st_size for each in Path(place).iterdir()) / 1e9
            print(
                f"{family}: {n:,} rows of {COLUMNS} columns, {size:.2f} GB of Parquet; hidden layers of "
                f"{' and '.join(map(str, asked.hidden))}; batches of {BATCH}; one epoch; "
                f"medians of {asked.rounds} rounds"
            )
            for what in ("train", "transform"):
                runs: dict[str, list[Figures]] = {"memory": [], "file": [], "all": []}
                for _ in range(asked.rounds):
                    for where in ("memory", "file"):
                        runs[where].append(in_child(asked.hidden, what, family, place, where))
                runs["all"].append(in_child(asked.hidden, what, family, place, "all"))
                show(family, what, runs)


if __name__ == "__main__":
    main()
