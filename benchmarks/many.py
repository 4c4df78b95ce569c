"""Many models at once: sixteen of them against one after the other, and a grid against scikit-learn's search.

Each round measures both, in turn; printed are medians over rounds. Of models at once also the ratio of processor time
is printed, which other programs on the machine disturb less.
"""

import argparse
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
from isthmus.training.meeting import together
from peers_competitors import estimator_of
from peers_workloads import WORKLOADS

MODELS = 16
ROWS, EPOCHS = 1000, 6

GRID = {"lr": [5e-4, 1e-3, 2e-3, 4e-3], "weight_decay": [0.0, 1e-5, 1e-4, 1e-3]}
FOLDS = 3


def seconds(function):
    """Return how long a call takes, and what it returns."""
    began = time.perf_counter()
    found = function()
    return time.perf_counter() - began, found


def fits(work, rows):
    """Return the fits of models that differ in their seed and their learning rate."""
    models = [estimator_of(work, EPOCHS).set_params(random_state=i, lr=work.lr * (1 + i % 4)) for i in range(MODELS)]
    return [partial(model.fit, rows) for model in models]


def at_once(name, rounds):
    """Print the model-samples a second of sixteen models, one after the other and at once."""
    work = WORKLOADS[name]
    X, _ = datasets.load("mnist")
    rows = X[:ROWS].reshape(-1, 784).astype(np.float32)
    samples = MODELS * EPOCHS * len(rows)
    found, processor = [], []
    for _ in range(rounds):
        before = time.process_time()
        one_by_one, _ = seconds(lambda: [fit() for fit in fits(work, rows)])
        between = time.process_time()
        together_, _ = seconds(lambda: together(fits(work, rows)))
        processor.append((between - before) / (time.process_time() - between))
        found.append((samples / one_by_one, samples / together_, one_by_one / together_))
    one, many, ratio = (statistics.median(column) for column in zip(*found, strict=True))
    spread = f"{min(row[2] for row in found):.2f} to {max(row[2] for row in found):.2f}"
    print(f"{work.title}: one after the other {one:,.0f}, {MODELS} at once {many:,.0f} model-samples/s: ", end="")
    print(f"{ratio:.2f} times ({spread}); by processor time {statistics.median(processor):.2f} times", flush=True)


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
    parser.add_argument("--only", nargs="*", default=["deep", "shallow", "grid"])
    asked = parser.parse_args()
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the workers too
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {asked.rounds} rounds")
    for name in asked.only:
        grid(asked.rounds) if name == "grid" else at_once(name, asked.rounds)


if __name__ == "__main__":
    main()
