"""Half-way images, mixed in pixel space and in code space, on MNIST."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from isthmus.models import Autoencoder, VariationalAutoencoder
from isthmus.models.base import AbstractAutoencoder
from isthmus.reproduce.judge import Judge
from isthmus.reproduce.result import Findings, Images, Table
from isthmus.reproduce.study import Setting, Study

TITLE = "Interpolation in pixel space and in code space"

SETTING = (
    "MNIST; pairs of test images of different classes, mixed half and half: their pixels, or their codes in an "
    "autoencoder and in a variational one, 32 components each and nothing else set, for five epochs. How far is the "
    "nearest real training image, and how sure of its class is a classifier of real images?"
)

PAIRS = 1000
SHOWN, STEPS = 4, 9

NOTES = (
    "Half of one image laid over half of another is two pale digits; a code's half-way point was found to decode to "
    "one shape, nearer to real images. The classifier was no surer of it: between two classes there need not be a "
    "digit.",
    "A blurred image lies near many real ones, so that the distance alone would praise blur; the lines of test images "
    "and of what the models rebuild say what a real image gets, and what decoding alone does.",
)


def run(study: Study) -> Findings:
    """Fit two models and mix the same pairs in three spaces."""
    split = study.load("mnist")
    a, b = pairs(split.y_test, study.seed)
    A, B = split.X_test[a], split.X_test[b]
    setting: Setting = {"max_epochs": study.epochs(5), "random_state": study.seed}
    models = {
        "autoencoder": study.fit("autoencoder", Autoencoder(32, **setting), split.X),
        "variational": study.fit("variational", VariationalAutoencoder(32, **setting), split.X),
    }
    half_way = {"test images": A, "half-way in pixels": (A + B) / 2}
    for name, model in models.items():
        half_way[f"rebuilt, {name}"] = model.reconstruct(A)
        half_way[f"half-way in codes, {name}"] = model.interpolate(A, B, 3)[:, 1]
    judge = Judge(study, split)
    neighbours = NearestNeighbors(n_neighbors=1).fit(split.X.reshape(len(split.X), -1))
    lines = {
        "squared distance to the nearest real image": {
            name: nearest(neighbours, each) for name, each in half_way.items()
        },
        "classifier's confidence": {name: judge.confidence(each) for name, each in half_way.items()},
    }
    text = "In pixel space one image fades into the other; in code space it turns into it."
    ways, shares = [on_the_way(models, A[i], B[i]) for i in range(SHOWN)], np.linspace(0, 1, STEPS)
    return Findings(
        tables=[Table("Half-way images, beside real and rebuilt ones", pd.DataFrame(lines))],
        notes=NOTES,
        pictures=[Images("From one image to another", text, ways, [f"{share:.3g}" for share in shares])],
    )


def on_the_way(models: Mapping[str, AbstractAutoencoder], a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Return the images on the way from one to the other: in pixel space, and in each model's code space."""
    share = np.linspace(0, 1, STEPS)[:, None, None]
    ways = {name: model.interpolate(a[None], b[None], STEPS)[0] for name, model in models.items()}
    return {"pixels": (1 - share) * a + share * b} | ways


def pairs(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of up to a thousand pairs of images of different classes."""
    order = np.random.default_rng(seed).permutation(len(y))
    a, b = order[: len(y) // 2], order[len(y) // 2 : len(y) // 2 * 2]
    different = np.flatnonzero(y[a] != y[b])[:PAIRS]
    return a[different], b[different]


def nearest(neighbours: NearestNeighbors, images: np.ndarray) -> float:
    """Return the mean squared distance, summed over pixels, to the nearest real image."""
    distances, _ = neighbours.kneighbors(images.reshape(len(images), -1))
    return float(np.square(distances).mean())
