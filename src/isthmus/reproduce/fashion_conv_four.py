"""A convolutional network with a code of four on Fashion-MNIST, epoch by epoch."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from isthmus.comparison import PCABaseline
from isthmus.evaluation.error import mean_squared_error
from isthmus.models import Autoencoder
from isthmus.networks import Conv
from isthmus.reproduce.result import Curves, Figure, Findings, Images, Table
from isthmus.reproduce.study import Split, Study

TITLE = "Convolutional, a code of four, on Fashion-MNIST"

SETTING = (
    "Fashion-MNIST, pixels in [0, 1]; conv 1→16 4×4, ReLU, 2×2 max-pool, conv 16→4 4×4, ReLU, average-pool 9 (a code "
    "of 4); back by transposed 4→16 5×5 stride 2, ReLU, 16→4 5×5 stride 2, ReLU, 4→1 4×4 stride 2, sigmoid. Squared "
    "error, Adam 0.02, batch 32, 20 epochs. Five seeds, each for the four epochs whose losses were published; the best "
    "of them goes on to the twentieth."
)

PUBLISHED = (0.0555, 0.0539, 0.0395, 0.0377)
"""Validation loss after epochs 1 to 4, of one run."""

TOLERANCE = 0.003
PCA_PUBLISHED, PCA_TOLERANCE = 0.0366, 0.0005
EPOCHS, SEEDS = 20, 5
SHOWN = 10

NOTES = (
    "One run was published, whose loss stands on a plateau near 0.055 for two epochs and then falls to another near "
    "0.038. The plateaus are numbers of living units: a ReLU unit of the code that is zero for every image has no "
    "gradient to come back by. How many of the four are alive depends on the seed, and the error on that number: "
    "the table has both. (Seed 0 has all four alive and one image for all rows: there the decoder is dead.) So every "
    "seed is reported, and their median is held against the published run.",
    "A run with four living units and a living decoder is better than PCA with four components; one with two is not.",
)


def run(study: Study) -> Findings:
    """Fit several seeds, and PCA with four components."""
    split = study.load("fashion_mnist")
    models = {seed: autoencoder(seed) for seed in study.seeds(SEEDS)}
    errors: dict[int, list[float]] = {seed: [] for seed in models}
    alive = {}
    for seed, model in models.items():
        train(study, model, split, errors[seed], study.epochs(len(PUBLISHED)))
        alive[f"seed {seed}"] = int((model.transform(split.X_test) > 0).any(0).sum())
    after_published = {f"seed {seed}": values[-1] for seed, values in errors.items()}
    best = min(errors, key=lambda seed: errors[seed][-1])
    train(study, models[best], split, errors[best], study.epochs(EPOCHS))
    projected = PCABaseline(4, random_state=study.seed).fit(split.X).reconstruct(split.X_test)
    lines: dict[str, Sequence[float]] = {"published": PUBLISHED}
    lines |= {f"seed {seed}": values for seed, values in errors.items()}
    epochs, median = study.epochs(len(PUBLISHED)), float(np.median(list(after_published.values())))
    by_epoch = pd.DataFrame({name: pd.Series(line) for name, line in lines.items()})
    return Findings(
        [
            Figure(f"test error after {epochs} epochs, median over seeds", median, PUBLISHED[-1], TOLERANCE),
            Figure(f"test error after {study.epochs(EPOCHS)} epochs, best seed", errors[best][-1]),
            Figure("test error, PCA-4", mean_squared_error(split.X_test, projected), PCA_PUBLISHED, PCA_TOLERANCE),
        ],
        [
            Table(
                f"Units of the code that are alive, and the test error, after {epochs} epochs",
                pd.DataFrame({"units alive": alive, "test error": after_published}).sort_values("units alive"),
            ),
            Table("Test error after each epoch", by_epoch.rename(lambda i: f"epoch {i + 1}")),
        ],
        NOTES,
        pictures(split, lines, models[best], projected),
    )


def pictures(
    split: Split, lines: dict[str, Sequence[float]], best: Autoencoder, projected: np.ndarray
) -> list[Curves | Images]:
    """Return the errors over epochs, and test images as the best model and PCA rebuild them."""
    shown, text = split.X_test[:SHOWN], f"The convolutional network is that of seed {best.random_state}, the best."
    rebuilt = {"input": shown, "convolutional": best.reconstruct(shown), "PCA-4": projected[:SHOWN]}
    seeds = {name: values for name, values in lines.items() if name != "published"}
    about = "Every seed, and the published run."
    return [
        Curves("Test error, epoch by epoch", about, seeds, {"published": PUBLISHED}),
        Images("Test images from four numbers", text, [rebuilt]),
    ]


def train(study: Study, model: Autoencoder, split: Split, errors: list[float], epochs: int) -> None:
    """Train a model until there are `epochs` test errors, one an epoch."""
    name = f"seed {model.random_state}"
    began, before = time.perf_counter(), len(errors)
    while len(errors) < epochs:
        model.partial_fit(split.X)
        if model.interrupted_:
            raise KeyboardInterrupt
        errors.append(mean_squared_error(split.X_test, model.reconstruct(split.X_test)))
        study.progress(f"{name}, epoch {len(errors)}: test error {errors[-1]:.4f}")
    if len(errors) > before:
        study.note(f"{name}, {len(errors)} epochs", model, time.perf_counter() - began)


def autoencoder(seed: int) -> Autoencoder:
    """Return a model of the published setting."""
    network = Conv(
        channels=(16, 4),
        kernel_size=4,
        stride=1,
        padding=0,
        pool=("max", "average"),
        pool_size=(2, 9),
        activation="relu",
        output_activation="sigmoid",
        decoder_channels=(16, 4),
        decoder_kernel_size=(5, 5, 4),
        decoder_stride=2,
        dense=False,
    )
    return Autoencoder(4, network=network, batch_size=32, lr=0.02, random_state=seed)
