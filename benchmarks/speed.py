"""Training speed as a ratio to a bare PyTorch loop over the same tensors, in the same run. `make bench` runs it."""

import itertools
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from isthmus import Autoencoder, datasets
from isthmus.networks import MLP, Conv

ROUNDS = 7
N_COMPONENTS = 32


def dense():
    """The network that MLP(linear_path=None) builds."""
    widths = [784, 512, 256, N_COMPONENTS, 256, 512, 784]
    layers = []
    for i, (width_in, width_out) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(width_in, width_out))
        if i not in (2, 5):  # neither the code nor the output has an activation
            layers.append(nn.SiLU())
    return nn.Sequential(*layers)


def convolutional():
    """The network that Conv(linear_path=None) builds for images of 28×28."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, N_COMPONENTS),
        nn.Linear(N_COMPONENTS, 32 * 7 * 7),
        nn.Unflatten(1, (32, 7, 7)),
        nn.SiLU(),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1),
        nn.SiLU(),
        nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),
    )


CASES = [  # data set, shape of a row, how many, batch size, the network and the same one written out
    ("mnist", (784,), 20_000, 32, MLP(linear_path=None), dense),
    ("mnist", (784,), 60_000, 1024, MLP(linear_path=None), dense),
    ("fashion_mnist", (1, 28, 28), 4_000, 32, Conv(linear_path=None), convolutional),
]


def bare_seconds(build, rows, batch_size, **options):
    """One epoch of a loop as one would write it by hand."""
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)
    began = time.perf_counter()
    for index in torch.randperm(len(rows)).split(batch_size):
        x = rows[index]
        loss = F.mse_loss(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def isthmus_seconds(network, rows, batch_size):
    """One epoch of isthmus, every term of the loss and the squared error written down."""
    model = Autoencoder(
        N_COMPONENTS,
        network=network,
        batch_size=batch_size,
        lr=1e-3,
        lr_schedule="constant",
        max_epochs=1,
        validation_fraction=None,
        device="cpu",
    )
    return model.fit(rows).history_[0]["seconds"]


def main():
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {ROUNDS} rounds, interleaved")
    for dataset, row_shape, count, batch_size, network, build in CASES:
        rows = torch.tensor(datasets.load(dataset).X[:count]).reshape(-1, *row_shape)
        rounds = [
            (
                isthmus_seconds(network, rows, batch_size),
                bare_seconds(build, rows, batch_size),
                bare_seconds(build, rows, batch_size, fused=True),
            )
            for _ in range(ROUNDS)
        ]
        ours, bare, fused = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"{type(network).__name__}, batch {batch_size}, {count:,} images: isthmus {ours:.2f} s, "
            f"bare loop {bare:.2f} s, ratio {bare / ours:.2f}; "
            f"bare loop with Adam(fused=True) {fused:.2f} s, ratio {fused / ours:.2f}"
        )


if __name__ == "__main__":
    main()
