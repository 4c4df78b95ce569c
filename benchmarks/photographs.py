"""Patches of photographs, 32×32 in colour, with default settings. `make strangers`.

Training and test patches are from the left and the right half of each photograph. The layers that refine an image were
chosen by test patches of the first four photographs; those of the next three were looked at meanwhile; nothing was seen
of the last three, pictures by instruments, before all was chosen.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from sklearn.decomposition import PCA

from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.networks import Conv

CHOSEN = ("china", "flower", "chelsea", "coffee")
LOOKED_AT = ("astronaut", "rocket", "motorcycle_left")
UNSEEN = ("hubble_deep_field", "ihc", "retina")
SIDE, TRAIN, TEST = 32, 2000, 600
BEFORE = {
    "Autoencoder(Conv())": "PCA's own, after 14 times the start's error",
    "Autoencoder()": "–",
    "VariationalAutoencoder()": "probabilistic PCA, after an error of 6.8e9",
    "VariationalAutoencoder(Conv())": "probabilistic PCA, after an error of 8.5e6",
}


def photograph(name):
    """Return a photograph of scikit-learn's or scikit-image's own, (height, width, 3), in [0, 1]."""
    if name in ("china", "flower"):
        return load_sample_image(f"{name}.jpg") / np.float32(255)
    path = next(Path(skimage.__file__).parent.joinpath("data").glob(f"{name}.*"))
    return np.asarray(Image.open(path).convert("RGB")) / np.float32(255)


def patches(names):
    """Return training and test patches, (n, 3, 32, 32), from the left and the right half of each photograph."""
    random = np.random.default_rng(0)
    parts = ([], [])
    for name in names:
        image = photograph(name)
        middle = image.shape[1] // 2
        for part, half, n in zip(parts, (image[:, :middle], image[:, middle:]), (TRAIN, TEST), strict=True):
            for _ in range(n // len(names)):
                i, j = (random.integers(0, size - SIDE) for size in half.shape[:2])
                part.append(half[i : i + SIDE, j : j + SIDE].transpose(2, 0, 1))
    return np.stack(parts[0]), np.stack(parts[1])


def models(k):
    return {
        "Autoencoder(Conv())": Autoencoder(k, network=Conv(), random_state=0),
        "Autoencoder()": Autoencoder(k, random_state=0),
        "VariationalAutoencoder()": VariationalAutoencoder(k, random_state=0),
        "VariationalAutoencoder(Conv())": VariationalAutoencoder(k, network=Conv(), random_state=0),
    }


def main(max_epochs=None):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(
        "## Photographs: test error as a share of PCA's, and the worst epoch's training error as one of the start's\n"
    )
    print("| photographs | units | PCA | model | share | worst epoch | kept epoch | seconds | before |")
    print("|---|---|---|---|---|---|---|---|---|")
    for names in (CHOSEN, LOOKED_AT, UNSEEN):
        X, test = patches(names)
        flat, flat_test = X.reshape(len(X), -1), test.reshape(len(test), -1)
        for k in (64, 8):
            pca = PCA(k, random_state=0).fit(flat)
            error = np.square(pca.inverse_transform(pca.transform(flat_test)) - flat_test).mean()
            start = np.square(pca.inverse_transform(pca.transform(flat)) - flat).mean()
            for name, model in models(k).items():
                began = time.perf_counter()
                model.set_params(max_epochs=max_epochs).fit(X)
                share = np.square(model.reconstruct(test) - test).mean() / error
                worst = max(record["train"]["mse"] for record in model.history_) / start
                cells = [
                    f"{error:.5f}",
                    name,
                    f"{share:.3f}",
                    f"{worst:.2f}",
                    f"{model.best_epoch_} of {model.n_iter_}",
                ]
                seconds = f"{time.perf_counter() - began:.0f}"
                print(
                    "|",
                    ", ".join(names),
                    "|",
                    k,
                    "|",
                    " | ".join(cells),
                    "|",
                    seconds,
                    "|",
                    BEFORE[name],
                    "|",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
