"""Seconds until `Autoencoder(n_components=32)` on MNIST has half of PCA's test error, beside a loop written by hand.

The loop trains the same network, from PyTorch's own random start, with fused Adam, the same learning rates, batches of
the same size and as many epochs, on rows in memory. Both are looked at after every epoch; the looking is not counted,
all else is: the checks of the rows, PCA, what is held out and measured by `fit` itself.
"""

import argparse
import os
import statistics
import time
import warnings

import numpy as np
import torch
from sklearn.decomposition import PCA

from isthmus import Autoencoder, datasets
from isthmus.models.params import default_epochs
from isthmus.networks import MLP

UNITS, HIDDEN = 32, (512, 256)


class Watch:
    """The test error after each epoch, and when it was reached."""

    def __init__(self):
        self.began, self.looked, self.seconds, self.errors = time.perf_counter(), 0.0, [], []

    def look(self, error):
        start = time.perf_counter()
        self.seconds.append(start - self.began - self.looked)
        self.errors.append(error())
        self.looked += time.perf_counter() - start

    def until(self, goal):
        """Return the seconds and epochs until the error was below a goal; infinite where it never was."""
        found = [(seconds, i + 1) for i, seconds in enumerate(self.seconds) if self.errors[i] <= goal]
        return found[0] if found else (float("inf"), float("inf"))


def isthmus(train, test, epochs, seed):
    watch = Watch()
    model = Autoencoder(UNITS, max_epochs=epochs, device="cpu", random_state=seed)
    model.callbacks = [lambda _, model: watch.look(lambda: float(np.square(model.reconstruct(test) - test).mean()))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train)
    return watch


def by_hand(train, test, epochs, seed):
    watch = Watch()
    torch.manual_seed(seed)
    rows, held_out = torch.from_numpy(train), torch.from_numpy(test)
    network = torch.nn.Sequential(*MLP(hidden=HIDDEN).build((train.shape[1],), UNITS))
    size, rate = Autoencoder().batch_size, Autoencoder().lr
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * -(-len(rows) // size) + 1, cycle_momentum=False
    )

    def error():
        with torch.no_grad():
            return float((network(held_out) - held_out).square().mean())

    for _ in range(epochs):
        for index in torch.randperm(len(rows)).split(size):
            x = rows[index]
            optimizer.zero_grad()
            ((network(x) - x).square().sum(1) / 2).mean().backward()
            optimizer.step()
            schedule.step()
        watch.look(error)
    return watch


def pixels(split):
    """Return MNIST's images as rows of 784 numbers in [0, 1]."""
    images, _ = datasets.load("mnist", split)
    return images.reshape(len(images), -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="one fit of each for every seed, one after the other")
    parser.add_argument("--rows", type=int, default=60_000, help="of the training rows, for a trial")
    asked = parser.parse_args()
    train, test = (pixels(split) for split in ("train", "test"))
    train = train[: asked.rows]
    pca = PCA(UNITS).fit(train)
    goal = float(np.square(pca.inverse_transform(pca.transform(test)) - test).mean())
    epochs = default_epochs(len(train))
    print(f"{len(train):,} rows, {epochs} epochs, {torch.get_num_threads()} threads of {os.cpu_count()} cores")
    print(f"PCA-{UNITS} has a test error of {goal:.5f}: half of it is {goal / 2:.5f}")
    found = {"isthmus": [], "by hand": []}
    for seed in range(asked.seeds):
        found["isthmus"].append(isthmus(train, test, epochs, seed))
        found["by hand"].append(by_hand(train, test, epochs, seed))
    print(f"{'':10}{'seconds':>9}{'epochs':>8}{'whole run, s':>14}{'error at its end':>18}")
    for name, watches in found.items():
        middle = [statistics.median(each) for each in zip(*(watch.until(goal / 2) for watch in watches), strict=True)]
        end = [statistics.median(each) for each in zip(*((w.seconds[-1], w.errors[-1]) for w in watches), strict=True)]
        print(f"{name:10}{middle[0]:9.1f}{middle[1]:8.0f}{end[0]:14.1f}{end[1]:18.5f}")


if __name__ == "__main__":
    main()
