"""Two processes with half of each batch, beside one with the whole, on MNIST: rows a second, and how far losses differ.

python benchmarks/ranks.py
"""

import argparse
import platform
import statistics
import warnings
from functools import partial

import numpy as np
import torch

from isthmus import Autoencoder, VariationalAutoencoder, datasets
from isthmus.networks import MLP

N = 10_000

WORKLOADS = {
    "deterministic, 784-512-16, batch 64": partial(Autoencoder, 16, network=MLP(hidden=(512,)), batch_size=64),
    "variational, 784-784-784-64, batch 1024": partial(
        VariationalAutoencoder, 64, network=MLP(hidden=(784, 784)), batch_size=1024
    ),
    "denoising, 784-2048-2048-64, batch 1024": partial(
        Autoencoder, 64, network=MLP(hidden=(2048, 2048)), batch_size=1024, corruption="masking"
    ),
}


def measured(family, X, devices, epochs):
    """Return rows a second, in the median epoch but the first, and each epoch's losses."""
    model = family(max_epochs=epochs, random_state=0, device="cpu", precision="32-true", devices=devices).fit(X)
    seconds = [record["seconds"] for record in model.history_][1:]
    losses = [[record[part]["loss"] for part in ("train", "validation")] for record in model.history_]
    return 0.9 * len(X) / statistics.median(seconds), np.array(losses)


def main():
    """Print a line a workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--devices", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    X = datasets.load("mnist")[0][:N].reshape(N, -1)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, family in WORKLOADS.items():
        one, alone = measured(family, X, 1, options.epochs)
        several, together = measured(family, X, options.devices, options.epochs)
        apart = np.abs(together / alone - 1).max()
        print(
            f"{name}: {one:,.0f} rows/s in one process, {several:,.0f} in {options.devices}, "
            f"{several / one:.2f} times as many; "
            f"losses differ by {apart:.1e} of what they are at the most",
            flush=True,
        )


if __name__ == "__main__":
    main()
