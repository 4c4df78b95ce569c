"""Training speed as a ratio to a bare PyTorch loop over the same tensors, in the same run. `make bench` runs it."""

import itertools
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from isthmus import Autoencoder, datasets
from isthmus.networks import MLP

ROUNDS = 7
ROWS = {32: 20_000, 1024: 60_000}


def network():
    """The network that MLP(linear_path=None) builds for 32 components."""
    widths = [784, 512, 256, 32, 256, 512, 784]
    layers = []
    for i, (width_in, width_out) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(width_in, width_out))
        if i not in (2, 5):  # neither the code nor the output has an activation
            layers.append(nn.SiLU())
    return nn.Sequential(*layers)


def bare_seconds(rows, batch_size, **options):
    """One epoch of a loop as one would write it by hand."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)
    began = time.perf_counter()
    for index in torch.randperm(len(rows)).split(batch_size):
        x = rows[index]
        loss = F.mse_loss(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def isthmus_seconds(rows, batch_size):
    """One epoch of isthmus, every term of the loss and the squared error written down."""
    model = Autoencoder(
        32,
        network=MLP(linear_path=None),
        batch_size=batch_size,
        lr=1e-3,
        lr_schedule="constant",
        max_epochs=1,
        validation_fraction=None,
        device="cpu",
    )
    return model.fit(rows).history_[0]["seconds"]


def main():
    X = datasets.load("mnist").X.reshape(-1, 784)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {ROUNDS} rounds, interleaved")
    for batch_size, count in ROWS.items():
        rows = torch.tensor(X[:count])
        rounds = [
            (
                isthmus_seconds(rows, batch_size),
                bare_seconds(rows, batch_size),
                bare_seconds(rows, batch_size, fused=True),
            )
            for _ in range(ROUNDS)
        ]
        ours, bare, fused = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"batch {batch_size}, {count:,} images: isthmus {ours:.2f} s, "
            f"bare loop {bare:.2f} s, ratio {bare / ours:.2f}; "
            f"bare loop with Adam(fused=True) {fused:.2f} s, ratio {fused / ours:.2f}"
        )


if __name__ == "__main__":
    main()
