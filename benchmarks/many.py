"""Many models at once: sixteen of them against one after the other, and a grid against scikit-learn's search.

Each round measures all, in turn; printed are medians over rounds. Of models at once also the ratio of processor time
is printed, which other programs on the machine disturb less. A compiled run is measured without what compiling takes:
of two that differ by so many epochs, the difference.
"""

import argparse
import math
import os
import statistics
import time
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV

from isthmus import Autoencoder, GridSearch, datasets
from isthmus.networks import MLP
from isthmus.training import batchable
from isthmus.training.batched_fits import fit_batched
from peers_competitors import estimator_of
from peers_workloads import WORKLOADS

MODELS = 16
ROWS, EPOCHS = 1000, 20

SIZES = [
    ("digits", 8, (32,)),
    ("digits", 16, (128, 64)),
    ("mnist", 8, (32,)),
    ("mnist", 16, (64,)),
    ("mnist", 9, (128, 64)),
    ("mnist", 16, (256, 64)),
]

GRID = {"lr": [5e-4, 1e-3, 2e-3, 4e-3], "weight_decay": [0.0, 1e-5, 1e-4, 1e-3]}
FOLDS = 3


def seconds(function):
    """Return how long a call takes, and what it returns."""
    began = time.perf_counter()
    found = function()
    return time.perf_counter() - began, found


def fits(work, rows, epochs=EPOCHS, **asked):
    """Return the fits of models that differ in their seed and their learning rate."""
    models = [estimator_of(work, epochs).set_params(random_state=i, lr=work.lr * (1 + i % 4)) for i in range(MODELS)]
    return [partial(model.set_params(**asked).fit, rows) for model in models]


def small_fits(units, hidden, rows, epochs=EPOCHS, **asked):
    """Return the same of the default network with other widths, at batch 32."""
    asked |= {"network": MLP(hidden=hidden), "max_epochs": epochs, "batch_size": 32}
    models = [Autoencoder(units, **asked, random_state=i, lr=1e-3 * (1 + i % 4)) for i in range(MODELS)]
    return [partial(model.fit, rows) for model in models]


def timed(function):
    """Return the seconds that a call takes, and the processor's."""
    before = time.process_time()
    took, _ = seconds(function)
    return np.array([took, time.process_time() - before])


def at_once(title, fits, n_rows, rounds, compiled=False):
    """Print the model-samples a second of sixteen models, one after the other and at once, by what makes their fits."""
    found = {"one after the other": [], f"{MODELS} at once": []}
    if compiled:
        found["compiled"] = []
        fit_batched(fits(epochs=1, compile=True))  # what is compiled is kept
    for _ in range(rounds):
        one_by_one, batched, *graphs = found.values()
        one_by_one.append(timed(lambda: [fit() for fit in fits()]))
        batched.append(timed(lambda: fit_batched(fits())))
        for graph in graphs:
            begin = timed(lambda: fit_batched(fits(epochs=1, compile=True)))
            graph.append(timed(lambda: fit_batched(fits(epochs=EPOCHS + 1, compile=True))) - begin)
    samples, slow = MODELS * EPOCHS * n_rows, np.array(found["one after the other"])
    print(title)
    for name, took in found.items():
        ratios = slow / np.array(took)
        spread = f"{ratios[:, 0].min():.2f} to {ratios[:, 0].max():.2f}"
        rate, ratio = samples / statistics.median(row[0] for row in took), np.median(ratios, axis=0)
        print(f"    {name}: {rate:,.0f} model-samples/s", end="")
        print(f", {ratio[0]:.2f} times ({spread}); by processor time {ratio[1]:.2f} times", flush=True)


def workload(name, rounds):
    """Print it of a network of the table of peers, also where it would be trained one by one, as it would not gain."""
    batchable.MOST_WEIGHTS = math.inf
    rows = pixels("mnist")
    at_once(WORKLOADS[name].title, partial(fits, WORKLOADS[name], rows), len(rows), rounds, compiled=True)


def sizes(rounds):
    """Print it of networks of several sizes, also of those that are trained one by one as they would not gain."""
    batchable.MOST_WEIGHTS = math.inf
    for data, units, hidden in SIZES:
        rows = pixels(data)
        layers = MLP(hidden=hidden).build((rows.shape[1],), units)
        n_weights = sum(weight.numel() for layer in layers for weight in layer.parameters())
        title = f"{rows.shape[1]}-{'-'.join(map(str, hidden))}-{units}, {n_weights:,} weights"
        at_once(title, partial(small_fits, units, hidden, rows), len(rows), rounds)


def pixels(name):
    """Return images as rows of numbers."""
    images, _ = datasets.load(name)
    return images[:ROWS].reshape(min(ROWS, len(images)), -1).astype(np.float32)


def grid(rounds):
    """Print how long a grid takes with either search, and by how much their scores differ."""
    X, _ = datasets.load("digits")
    autoencoder = Autoencoder(8, network=MLP(hidden=(64,)), max_epochs=30, random_state=0)
    found = []
    for _ in range(rounds):
        ours, search = seconds(lambda: GridSearch(autoencoder, GRID, cv=FOLDS, n_jobs=2).fit(X))
        theirs, other = seconds(lambda: GridSearchCV(autoencoder, GRID, cv=FOLDS, n_jobs=2).fit(X))
        scores = [each.cv_results_["mean_test_score"] for each in (search, other)]
        found.append((ours, theirs, theirs / ours, np.abs(scores[0] - scores[1]).max(), scores[0].std()))
    ours, theirs, ratio, apart, spread = (statistics.median(column) for column in zip(*found, strict=True))
    print(f"grid of {len(scores[0])} candidates x {FOLDS} folds, digits: GridSearch {ours:.1f} s, ", end="")
    print(f"GridSearchCV(n_jobs=2) {theirs:.1f} s: {ratio:.2f} times", end="")
    print(f" ({min(row[2] for row in found):.2f} to {max(row[2] for row in found):.2f}); ", end="")
    print(f"mean scores differ by {apart:.1e} nats at the most, and among candidates by {spread:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["deep", "shallow", "grid", "sizes"])
    asked = parser.parse_args()
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the workers too
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {asked.rounds} rounds")
    for name in asked.only:
        {"grid": grid, "sizes": sizes}.get(name, partial(workload, name))(asked.rounds)


if __name__ == "__main__":
    main()
