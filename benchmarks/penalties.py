"""What the contractive term costs: a step with it beside a plain one, in turns; medians. `make penalties`."""

import statistics
import time

import torch

from isthmus.core.batch import Batch
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.core.penalties.contractive import contractive
from isthmus.networks import MLP, Conv

ROUNDS, SECONDS = 7, 0.15
PLAIN, IMAGE = (784,), (1, 28, 28)
CASES = {
    **{
        f"784-{units}, {activation}": (MLP(hidden=(), code_activation=activation), PLAIN, units, 128)
        for units in (64, 512)
        for activation in ("sigmoid", "tanh", "relu", "silu")
    },
    "784-128-64-36-18-9": (MLP(hidden=(128, 64, 36, 18)), PLAIN, 9, 32),
    "the same without a linear path": (MLP(hidden=(128, 64, 36, 18), linear_path=None), PLAIN, 9, 32),
    "784-256-64": (MLP(hidden=(256,)), PLAIN, 64, 128),
    "784-512-16": (MLP(hidden=(512,)), PLAIN, 16, 64),
    "784-512-256-3": (MLP(), PLAIN, 3, 128),
    "784-512-256-32": (MLP(), PLAIN, 32, 128),
    "784-512-256-32, layer norm (autograd)": (MLP(normalization="layer"), PLAIN, 32, 128),
    "Conv, 3 units (autograd)": (Conv(), IMAGE, 3, 64),
    "Conv, 32 units (autograd)": (Conv(), IMAGE, 32, 64),
}


def stepper(network, row_shape, units, rows, with_term):
    """Return a function that does a step."""
    torch.manual_seed(0)
    parts = Parts(penalties={"contractive": contractive}, weights={"contractive": 0.1}) if with_term else Parts()
    model = Model(*network.build(row_shape, units), parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batch, generator = Batch(torch.rand(rows, *row_shape)), torch.Generator().manual_seed(0)

    def step():
        loss = model.row_losses(model(batch, batch, generator).terms).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def milliseconds(steps):
    """Return the median milliseconds of each of several steps, which take turns."""
    times = [[] for _ in steps]
    for _ in range(ROUNDS):
        for step, spent in zip(steps, times, strict=True):
            step()
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < SECONDS:
                step()
                done += 1
            spent.append(1000 * (time.perf_counter() - began) / done)
    return [statistics.median(spent) for spent in times]


def main():
    torch.set_num_threads(1)
    print("| encoder | rows | plain step | with the term | ratio |\n|---|---|---|---|---|")
    for name, (network, row_shape, units, rows) in CASES.items():
        plain, more = milliseconds([stepper(network, row_shape, units, rows, each) for each in (False, True)])
        print(f"| {name} | {rows} | {plain:.2f} ms | {more:.2f} ms | {more / plain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
