"""A machine that does other things too, and data that are wide: seconds, memory, checkpoints, pickles.

Each figure is taken in a process of its own. ``python benchmarks/machine.py`` prints tables beside what was before.
"""

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from isthmus import (
    Autoencoder,
    OutlierDetector,
    SequenceAutoencoder,
    TabularAutoencoder,
    VariationalAutoencoder,
    compare,
    datasets,
)
from isthmus.networks import LSTM, Conv, Transformer

BUSY = {  # what was: seconds idle, beside light work, beside one busy process, as issue 10 has them
    "a loop in plain Python": "what the scheduler leaves to any one process",
    "digits, 20 epochs": "1.2 to 2; 11 to 19 beside light work, 50 beside one busy process, 170 to 210 at worst",
    "digits, convolutional": "–",
    "digits, transformer": "–",
    "digits, compare": "–",
    "sequences, LSTM": "–",
    "MNIST, 6,000 images": "–",
}
WIDE = {  # what was: seconds, MB beyond the data
    "OutlierDetector()": "73 s, 1,400 MB",
    "VariationalAutoencoder(8)": "–",
    "VariationalAutoencoder(8), kept": "3.5 times as long, 334 MB after each epoch",
    "TabularAutoencoder()": "11,300 MB, and no result",
}
MB = 1e6


def busy_case(name):
    """Return what is timed: a function without arguments."""
    X = datasets.load("digits").X
    setting = {"max_epochs": 2, "random_state": 0}
    waves = np.sin(np.linspace(0, 20, 50) * np.random.default_rng(0).uniform(0.5, 2, (500, 1)))[:, :, None]
    return {
        "a loop in plain Python": lambda: sum(i * i for i in range(20_000_000)),
        "digits, 20 epochs": lambda: Autoencoder(8, max_epochs=20, random_state=0).fit(X),
        "digits, convolutional": lambda: Autoencoder(8, network=Conv(), **setting).fit(X),
        "digits, transformer": lambda: Autoencoder(8, network=Transformer(), **setting).fit(X[:400]),
        "digits, compare": lambda: compare(X, datasets.load("digits").y, ["deep"], seeds=1, max_epochs=5),
        "sequences, LSTM": lambda: SequenceAutoencoder(8, network=LSTM(), **setting).fit(waves),
        "MNIST, 6,000 images": lambda: Autoencoder(8, **setting).fit(datasets.load("mnist").X[:6000]),
    }[name]


def wide_rows():
    """Log-normal counts in four groups, 200 × 20,000."""
    rng = np.random.default_rng(0)
    means = rng.lognormal(1, 1, (4, 20_000))[rng.integers(0, 4, 200)]
    return np.log1p(rng.poisson(means * rng.lognormal(0, 0.2, (200, 1)))).astype(np.float32)


def wide_case(name):
    """Return what is measured, given a folder."""
    X = wide_rows()
    table = pd.DataFrame(X, columns=[f"gene {i}" for i in range(X.shape[1])])
    return {
        "OutlierDetector()": lambda folder: OutlierDetector(random_state=0).fit(X),
        "VariationalAutoencoder(8)": lambda folder: VariationalAutoencoder(8, random_state=0).fit(X),
        "VariationalAutoencoder(8), kept": lambda folder: VariationalAutoencoder(8, random_state=0).fit(
            X, resume_from=folder / "run"
        ),
        "TabularAutoencoder()": lambda folder: TabularAutoencoder(random_state=0).fit(table),
    }[name]


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name):
    """Print what a case takes in this process, as JSON."""
    if name in BUSY:
        act = busy_case(name)
        act()  # what is imported and chosen once is not timed
        began, processor = time.perf_counter(), time.process_time()
        act()
        print(json.dumps({"seconds": time.perf_counter() - began, "processor": time.process_time() - processor}))
        return
    act = wide_case(name)
    Autoencoder(2, max_epochs=1).fit(np.random.default_rng(0).normal(size=(20, 3)))  # loads what a fit needs
    before, began = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = act(Path(folder))
        seconds, beyond = time.perf_counter() - began, peak() - before
        model.save(Path(folder) / "model")
        size = sum(path.stat().st_size for path in (Path(folder) / "model").iterdir())
    print(json.dumps({"seconds": seconds, "beyond": beyond, "pickle": len(pickle.dumps(model)) / size}))


def child(name):
    """Measure a case in a process of its own, with nothing said about threads."""
    environment = {
        key: value for key, value in os.environ.items() if "NUM_THREADS" not in key and key != "OMP_WAIT_POLICY"
    }
    done = subprocess.run([sys.executable, __file__, name], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def beside(n_busy, name):
    """Measure a case with so many busy processes beside it."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        return child(name)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main():
    cores = os.cpu_count() or 1
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before\n")
    print(f"| fit | s alone | s beside {cores} busy processes | ratio | processor s, likewise | before |")
    print("|---|---|---|---|---|---|")
    for name, before in BUSY.items():
        alone, crowded = child(name), beside(cores, name)
        ratio = crowded["seconds"] / alone["seconds"]
        print(
            f"| {name} | {alone['seconds']:.2f} | {crowded['seconds']:.2f} | {ratio:.1f} "
            f"| {alone['processor']:.2f}, {crowded['processor']:.2f} | {before} |",
            flush=True,
        )
    print("\n200 × 20,000:\n\n| fit | s | MB beyond the data | pickle / folder | before |\n|---|---|---|---|---|")
    for name, before in WIDE.items():
        found = child(name)
        print(
            f"| {name} | {found['seconds']:.1f} | {found['beyond'] / MB:.0f} | {found['pickle']:.2f} | {before} |",
            flush=True,
        )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
