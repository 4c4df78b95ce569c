"""Where a step gains by bfloat16 on the machine at hand: layers of several widths at several batch sizes.

python benchmarks/precision.py             # the table, in which the rule of precision="auto" has a column
python benchmarks/precision.py --quality   # test errors on MNIST in float32 and bf16-mixed, seed by seed
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from isthmus import VariationalAutoencoder, datasets
from isthmus.models.precision import has_fast_bfloat16, is_wide_enough
from isthmus.networks import MLP

WIDTHS, BATCH_SIZES, ROUNDS = (64, 128, 256, 512, 784, 1024), (32, 128, 1024), 7


def seconds(width, rows, dtype):
    """Return the processor's time of a step of four layers, the last of which decodes, and fused Adam."""
    layers = [nn.Linear(width, width) for _ in range(4)]
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], layers[2], nn.ReLU(), layers[3])
    optimizer, x = torch.optim.Adam(network.parameters(), fused=True), torch.rand(rows, width)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            output = network(x)
        optimizer.zero_grad()
        F.mse_loss(output.float(), x).backward()
        optimizer.step()

    step()
    steps = max(2, round(2e9 / (24 * rows * width**2)))
    began = time.thread_time()
    for _ in range(steps):
        step()
    return (time.thread_time() - began) / steps


def table():
    """Print the seconds of both, interleaved, and whether the rule says yes."""
    print(f"fast units for bfloat16, as the rule has it: {has_fast_bfloat16(torch.device('cpu'))}\n")
    print("| width | batch size | float32, µs | bfloat16, µs | gain | wide enough |\n|---|---|---|---|---|---|")
    for width in WIDTHS:
        for rows in BATCH_SIZES:
            kinds = (torch.float32, torch.bfloat16)
            rounds = [[seconds(width, rows, kind) for kind in kinds] for _ in range(ROUNDS)]
            full, half = (statistics.median(column) for column in zip(*rounds, strict=True))
            gain = statistics.median(one / other for one, other in rounds)
            wide = "yes" if is_wide_enough(rows, 4 * width**2, 4 * width) else "no"
            print(f"| {width} | {rows} | {1e6 * full:.0f} | {1e6 * half:.0f} | {gain:.2f} | {wide} |", flush=True)


def quality(seeds):
    """Print minus the bound on MNIST's test rows, in nats, for several seeds."""
    rows, test = (datasets.load("mnist", split).X.reshape(-1, 784).astype("float32") for split in ("train", "test"))
    rows, test = rows[:20_480], test[:2000]
    for seed in range(seeds):
        found = {}
        for precision in ("32-true", "bf16-mixed"):
            network = MLP(hidden=(784, 784), activation="leaky_relu")
            options = {"max_epochs": 10, "batch_size": 1024, "likelihood": "bernoulli", "network": network}
            model = VariationalAutoencoder(64, precision=precision, random_state=seed, device="cpu", **options)
            found[precision] = -float(model.fit(rows).score(test))
        print(f"seed {seed}: {found['32-true']:.3f} in float32, {found['bf16-mixed']:.3f} in bf16-mixed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.quality:
        quality(asked.seeds)
    else:
        table()


if __name__ == "__main__":
    main()
