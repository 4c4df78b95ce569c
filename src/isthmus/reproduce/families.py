"""The families of the survey table on the same images, in one table."""

import math

import numpy as np

from isthmus.comparison import Comparison, compare
from isthmus.models import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from isthmus.models.base import AbstractAutoencoder
from isthmus.networks import MLP, Conv
from isthmus.reproduce.result import Figure, Findings, Images, Table
from isthmus.reproduce.study import Study

TITLE = "The families on the same images"

SETTING = (
    "MNIST, pixels in [0, 1]; a code of 30 each, but for the sparse family, which has 300 units of which 30 are on. "
    "One dense network for all, 784-512-256-30 and mirrored, but for the linear and the convolutional family; five "
    "epochs, nothing else set. Corrupted: a quarter of the test image's pixels missing, for all alike, as in the "
    "training of the denoising family."
)

COMPONENTS, ON = 30, 30
LINEAR_AT_MOST = 14.0
"""Squared error an image of a linear autoencoder, which finds PCA's subspace (Baldi & Hornik 1989): PCA's is 13.866."""

SHOWN = 10

NOTES = (
    "The conditional family is told the class in training, and here is measured without it, as all others are.",
    "mse: squared error a pixel on test images, and as a share of that of PCA of the same size; corrupted: of clean "
    "test images rebuilt from corrupted ones; probe, 1-NN: accuracies of logistic regression and of the nearest "
    "neighbour on the codes; sparsity: Hoyer's; Jacobian: mean ‖∂h/∂x‖, in the code's own units, and so to be compared "
    "within a family only.",
)


def run(study: Study) -> Findings:
    """Fit and measure all of them."""
    split = study.load("mnist")
    found = compare(
        split.X,
        split.y,
        models(),
        X_test=split.X_test,
        y_test=split.y_test,
        seeds=1,
        max_epochs=study.epochs(5),
        random_state=study.seed,
        progress=study.progress,
    )
    for name, model in found.models.items():
        if hasattr(model, "history_"):
            study.note(name, model, found.table["seconds"][name])
    error = found.table["mse"]["linear"] * math.prod(split.X.shape[1:])
    table = found.table.drop(columns=["mse_sd", "seconds"]).astype({"parameters": int})
    return Findings(
        [Figure("linear autoencoder: squared error an image", error, at_most=LINEAR_AT_MOST)],
        [Table("Every family on the same test images", table)],
        NOTES,
        [
            pictured("From clean images", found, found.X_test[:SHOWN]),
            pictured("From the same images with a quarter of the pixels missing", found, found.corrupted_test[:SHOWN]),
        ],
    )


def models() -> dict[str, AbstractAutoencoder]:
    """Return one model a family, as like to one another as the families allow."""
    return {
        "linear": Autoencoder(COMPONENTS, network=MLP(hidden=(), linear_path="random")),
        "plain": Autoencoder(COMPONENTS),
        "regularised": Autoencoder(COMPONENTS, weight_decay=1e-3),
        "denoising": DenoisingAutoencoder(COMPONENTS, corruption="masking", corruption_level=0.25),
        "sparse": SparseAutoencoder(10 * ON, k=ON),
        "contractive": ContractiveAutoencoder(COMPONENTS),
        "convolutional": Autoencoder(COMPONENTS, network=Conv()),
        "variational": VariationalAutoencoder(COMPONENTS),
        "conditional": ConditionalVariationalAutoencoder(COMPONENTS),
    }


def pictured(title: str, found: Comparison, shown: np.ndarray) -> Images:
    """Return a line of images for each model: what it makes of the same rows."""
    lines = {"input": shown} | {name: model.reconstruct(shown) for name, model in found.models.items()}
    return Images(title, "What each model makes of them.", [lines])
