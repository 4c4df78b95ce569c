"""Rows larger than memory beside rows in memory: how fast, in how much memory, how good.

A table is written to Parquet, some rows at a time, and a model is trained on it for one epoch in a child process; the
same model is trained, in another, on as many of its rows as fit in memory. Rounds are interleaved.

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
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from isthmus import Autoencoder, TabularAutoencoder

COLUMNS, GROUP, SHARD = 50, 100_000, 1_000_000
"""Of the table: columns, rows of a row group and of a file."""

IN_MEMORY = 1_000_000
"""Rows of it that are trained on in memory, at the most."""

BATCH = {"plain": 256, "tabular": 256}


def rows(n: int, seed: int) -> np.ndarray:
    """Return rows on a bent sheet of 5 dimensions in 50, with noise."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    codes = rng.normal(size=(n, 5))
    mixed = codes @ fixed.normal(size=(5, COLUMNS)) + np.sin(2 * codes @ fixed.normal(size=(5, COLUMNS)))
    return (mixed + 0.3 * rng.normal(size=mixed.shape)).astype(np.float32)


def write(folder: Path, gb: float) -> int:
    """Write a table of so many gigabytes of numbers, and return its rows."""
    n = int(gb * 1e9 / (4 * COLUMNS))
    names = [f"c{i}" for i in range(COLUMNS)]
    for shard, start in enumerate(range(0, n, SHARD)):
        schema = pa.schema([(name, pa.float32()) for name in names])
        with parquet.ParquetWriter(folder / f"{shard:05}.parquet", schema) as file:
            for first in range(start, min(start + SHARD, n), GROUP):
                X = rows(min(GROUP, n - first), first)
                file.write_table(pa.Table.from_arrays([pa.array(column) for column in X.T], schema=schema))
    return n


def train(family: str, folder: Path, n: int | None) -> dict[str, float]:
    """Train for an epoch on a folder, or on its first rows in memory; time the epoch, without what comes before."""
    X: object = folder
    if n is not None:
        shards = sorted(folder.glob("*.parquet"))[: -(-n // SHARD)]
        X = pd.concat([pd.read_parquet(shard) for shard in shards], ignore_index=True)[:n]
    kind = TabularAutoencoder if family == "tabular" else Autoencoder
    model = kind(5, max_epochs=1, batch_size=BATCH[family], random_state=0)
    start = time.perf_counter()
    model.fit(X)
    seconds, epoch = time.perf_counter() - start, model.history_[0]["seconds"]
    total = n or sum(parquet.read_metadata(each).num_rows for each in folder.glob("*.parquet"))
    test = pd.DataFrame(rows(10_000, 10**9), columns=[f"c{i}" for i in range(COLUMNS)])
    mse = float(np.square(model.reconstruct(test).to_numpy() - test.to_numpy()).mean())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rate = (total - len(model.held_out_)) / epoch
    return {"rows": total, "seconds": seconds, "rate": rate, "peak": peak, "mse": mse}


def in_child(family: str, folder: Path, n: int | None) -> dict[str, float]:
    """Train in a process of its own, whose memory is its own too."""
    command = [sys.executable, __file__, "--child", family, str(folder), str(n or 0)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Print a line for each model, from the folder and from memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gb", type=float, default=6.0, help="gigabytes of numbers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--families", nargs="+", default=list(BATCH), choices=list(BATCH))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        family, place, n = asked.child
        print(json.dumps(train(family, Path(place), int(n) or None)))
        return
    with tempfile.TemporaryDirectory() as place:
        n = write(Path(place), asked.gb)
        size = sum(each.stat().st_size for each in Path(place).iterdir()) / 1e9
        print(f"{n:,} rows of {COLUMNS} columns, {size:.2f} GB of Parquet; one epoch; medians of {asked.rounds} rounds")
        for family in asked.families:
            sizes = (None, min(n, IN_MEMORY))
            runs = [[in_child(family, Path(place), each) for each in sizes] for _ in range(asked.rounds)]
            for name, found in zip(("shards", "memory"), zip(*runs, strict=True), strict=True):
                middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
                print(
                    f"{family:8} {name:7} {middle['rows']:>12,.0f} rows {middle['rate']:>9,.0f} rows/s in the epoch "
                    f"{middle['seconds']:7.1f} s in all {middle['peak']:6.2f} GB at the most "
                    f"test mse {middle['mse']:.4f}"
                )
            ratio = statistics.median(shards["rate"] / memory["rate"] for shards, memory in runs)
            print(f"{family:8} shards / memory: {ratio:.2f} of the rows a second")


if __name__ == "__main__":
    main()
