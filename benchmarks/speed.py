"""Training speed as a ratio to a bare PyTorch loop over the same tensors, in the same run. `make bench` runs it."""

import itertools
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from isthmus import Autoencoder, SequenceAutoencoder, datasets
from isthmus.networks import LSTM, MLP, Conv

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


class Recurrent(nn.Module):
    """The network that LSTM() builds for sequences of one feature."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(1, N_COMPONENTS, batch_first=True)
        self.state = nn.Linear(N_COMPONENTS, 2 * N_COMPONENTS)
        self.decoder = nn.LSTM(N_COMPONENTS, N_COMPONENTS, batch_first=True)
        self.frame = nn.Linear(N_COMPONENTS, 1)

    def forward(self, x):
        code = self.encoder(x)[0][:, -1]
        state = tuple(half.contiguous() for half in self.state(code)[None].chunk(2, dim=2))
        states, _ = self.decoder(code[:, None].expand(-1, x.shape[1], -1), state)
        return self.frame(states).flip(1)


def sines(count, steps=100):
    """Waves of various speed, with noise."""
    torch.manual_seed(0)
    return torch.sin(torch.arange(steps) * (0.1 + torch.rand(count, 1)) + 0.1 * torch.randn(count, steps))[:, :, None]


CASES = [  # data set, shape of a row, how many, batch size, family, the network and the same one written out
    ("mnist", (784,), 20_000, 32, Autoencoder, MLP(linear_path=None), dense),
    ("mnist", (784,), 60_000, 1024, Autoencoder, MLP(linear_path=None), dense),
    ("fashion_mnist", (1, 28, 28), 4_000, 32, Autoencoder, Conv(linear_path=None), convolutional),
    ("sines", (100, 1), 2_000, 32, SequenceAutoencoder, LSTM(), Recurrent),
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


def isthmus_seconds(family, network, rows, batch_size):
    """One epoch of isthmus, every term of the loss and the squared error written down."""
    model = family(
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
    for dataset, row_shape, count, batch_size, family, network, build in CASES:
        rows = sines(count) if dataset == "sines" else torch.tensor(datasets.load(dataset).X[:count])
        rows = rows.reshape(-1, *row_shape)
        rounds = [
            (
                isthmus_seconds(family, network, rows, batch_size),
                bare_seconds(build, rows, batch_size),
                bare_seconds(build, rows, batch_size, fused=True),
            )
            for _ in range(ROUNDS)
        ]
        ours, bare, fused = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"{type(network).__name__}, batch {batch_size}, {count:,} of {dataset}: isthmus {ours:.2f} s, "
            f"bare loop {bare:.2f} s, ratio {bare / ours:.2f}; "
            f"bare loop with Adam(fused=True) {fused:.2f} s, ratio {fused / ours:.2f}"
        )


if __name__ == "__main__":
    main()
