"""What benchmarks/peers.py trains: five networks in plain PyTorch, their data, losses and floating-point operations."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

TEST_ROWS = 2000
STEPS, HIDDEN = 100, 32
"""Steps of a sequence, and units of each LSTM, which are those of the code too."""

SIGMA = math.sqrt(0.5)
"""Of a Gaussian likelihood: minus its logarithm is then the squared error, plus a constant."""


class Pair(nn.Module):
    """An encoder and a decoder."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x):
        return self.decoder(self.encoder(x))


class VariationalPair(Pair):
    """The encoder gives means and log-variances; the code is drawn."""

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


class LastState(nn.Module):
    """The state of an LSTM after the last step, which is the code."""

    def __init__(self):
        super().__init__()
        self.lstm = lstm(1)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Unrolled(nn.Module):
    """The code sets the state of another LSTM and is its input at each step; it tells the last step first."""

    def __init__(self):
        super().__init__()
        self.lstm = lstm(HIDDEN)
        self.state = nn.Linear(HIDDEN, 2 * HIDDEN)
        self.frame = nn.Linear(HIDDEN, 1)

    def forward(self, z):
        state = tuple(half.contiguous() for half in self.state(z)[None].chunk(2, dim=2))
        states, _ = self.lstm(z[:, None].expand(-1, STEPS, -1), state)
        return self.frame(states).flip(1)


def lstm(inputs):
    """Build one layer, with open forget gates, as isthmus does."""
    layer = nn.LSTM(inputs, HIDDEN, batch_first=True)
    nn.init.ones_(layer.bias_ih_l0.data[HIDDEN : 2 * HIDDEN])
    return layer


def layers(widths, activation, last=None):
    """Linear layers with an activation between them, and perhaps one after the last."""
    modules = []
    for width_in, width_out in pairwise(widths):
        modules += [nn.Linear(width_in, width_out), activation()]
    return nn.Sequential(*modules[:-1], *([] if last is None else [last()]))


def dense(widths, activation=nn.ReLU):
    return Pair(layers(widths, activation), layers(widths[::-1], activation, nn.Sigmoid))


def variational():
    there = layers([784, 784, 784, 2 * 64], nn.LeakyReLU)
    return VariationalPair(there, layers([64, 784, 784, 784], nn.LeakyReLU, nn.Sigmoid))


def convolutional():
    """The published network, with LeakyReLU: whether its four ReLU units live is luck, which would hide all else."""
    there = nn.Sequential(
        nn.Conv2d(1, 16, 4),
        nn.LeakyReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 4, 4),
        nn.LeakyReLU(),
        nn.AvgPool2d(9),
        nn.Flatten(),
    )
    back = nn.Sequential(
        nn.Unflatten(1, (4, 1, 1)),
        nn.ConvTranspose2d(4, 16, 5, stride=2),
        nn.LeakyReLU(),
        nn.ConvTranspose2d(16, 4, 5, stride=2),
        nn.LeakyReLU(),
        nn.ConvTranspose2d(4, 1, 4, stride=2),
        nn.Sigmoid(),
    )
    return Pair(there, back)


def recurrent():
    return Pair(LastState(), Unrolled())


@dataclass(frozen=True)
class Workload:
    """A network and how it is trained: by Adam in float32, at a constant learning rate.

    `target` is a loss on rows that were not trained on, which the bare loop reaches in some of `epochs` epochs.
    """

    title: str
    network: Callable[[], nn.Module]
    dataset: str
    row_shape: tuple[int, ...]
    rows: int
    batch_size: int
    lr: float
    epochs: int
    target: float

    def measure(self, network, test):
        """Return the mean loss on rows that were not trained on."""
        network.eval()
        with torch.no_grad():
            found = float(loss(network(test), test))
        network.train()
        return found

    def flops(self):
        """Return the floating-point operations of a training step, a row: forward and backward, without Adam."""
        x = torch.rand(self.batch_size, *self.row_shape)
        network = self.network()
        with FlopCounterMode(display=False) as counter:
            loss(network(x), x).backward()
        return counter.get_total_flops() / self.batch_size + sum(map(lstm_flops, network.modules()))


def lstm_flops(module):
    """Return what torch's counter leaves out: two operations a weight and step, and twice that backward."""
    if not isinstance(module, nn.LSTM):
        return 0
    return 3 * 2 * STEPS * (module.weight_ih_l0.numel() + module.weight_hh_l0.numel())


def loss(output, x):
    """Return the mean squared error; of a variational pair squared error + KL, in nats a row but for a constant."""
    if not isinstance(output, tuple):
        return F.mse_loss(output, x)
    decoded, mean, log_variance = output
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return ((decoded - x).square().sum(1) + divergence).mean()


def shuffled(rows: Tensor, batch_size: int):
    """Yield batches of rows in memory."""
    for index in torch.randperm(len(rows)).split(batch_size):
        yield rows[index]


WORKLOADS = {
    "deep": Workload(
        "784-128-64-36-18-9 and mirrored, ReLU, batch 32",
        lambda: dense([784, 128, 64, 36, 18, 9]),
        *("mnist", (784,), 20_000, 32, 1e-3, 10, 0.032),
    ),
    "shallow": Workload(
        "784-512-16 and mirrored, ReLU, batch 64",
        lambda: dense([784, 512, 16]),
        *("mnist", (784,), 19_200, 64, 1e-3, 10, 0.014),
    ),
    "variational": Workload(
        "variational, 784-784-784→64 and mirrored, LeakyReLU, batch 1024",
        variational,
        *("mnist", (784,), 20_480, 1024, 1e-3, 20, 40.0),
    ),
    "convolutional": Workload(
        "convolutional, 1→16→4 channels, average-pooled to a code of 4, LeakyReLU, batch 32",
        convolutional,
        *("fashion_mnist", (1, 28, 28), 6_400, 32, 5e-3, 10, 0.035),
    ),
    "recurrent": Workload(
        f"LSTM, {STEPS} steps of one feature, {HIDDEN} units each way, batch 32",
        recurrent,
        *("sines", (STEPS, 1), 3_200, 32, 3e-3, 10, 0.3),
    ),
}


def sines(count):
    """Waves of various speed, with noise, at mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(STEPS) * rng.uniform(0.1, 1.1, (count, 1)) + 0.1 * rng.standard_normal((count, STEPS)))
    return ((waves - waves.mean()) / waves.std()).astype(np.float32)[:, :, None]
