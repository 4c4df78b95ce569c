"""A variational autoencoder and its conditional twin on MNIST, and what they generate."""

import math

import numpy as np
import pandas as pd

from isthmus.evaluation.error import mean_squared_error
from isthmus.models import ConditionalVariationalAutoencoder, VariationalAutoencoder
from isthmus.models.variational import AbstractVariationalAutoencoder
from isthmus.networks import MLP
from isthmus.reproduce.judge import Judge
from isthmus.reproduce.result import Figure, Findings, Images, Table
from isthmus.reproduce.study import Setting, Split, Study

TITLE = "Variational and conditional variational"

SETTING = (
    "MNIST, pixels in [0, 1]; 784-784-784→64→784-784-784, LeakyReLU, sigmoid output. Squared error summed over pixels "
    "+ KL, which is a Gaussian likelihood with σ = √½; AdamW 1e-3, batch 1024, 50 epochs. The conditional twin is told "
    "the class, in encoder and decoder."
)

SIGMA = math.sqrt(0.5)
"""The σ for which −log p(x | z) is the squared error, plus a constant."""

COLUMNS, LINES = 10, 5
SAMPLES = 100
"""Images a class that the judge is shown."""

NOTES = (
    "isthmus trains with Adam where the published setting has AdamW; AdamW's default weight decay, 0.01 times a "
    "learning rate of 1e-3, takes 1e-5 off a weight at each step.",
    "No figures were published with this setting, only images: these below are their counterparts.",
)


def run(study: Study) -> Findings:
    """Fit both models, generate, and have a classifier of real images judge."""
    split = study.load("mnist")
    vae = study.fit("variational", VariationalAutoencoder(64, **setting(study)), split.X)
    # A twin: no share of the classes is hidden from it.
    conditional = ConditionalVariationalAutoencoder(64, label_dropout=0.0, condition="classes", **setting(study))
    cvae = study.fit("conditional", conditional, split.X, split.y)
    judge = Judge(study, split)
    classes = np.repeat(np.arange(COLUMNS), SAMPLES)
    agreement = judge.agreement(cvae.sample(len(classes), y=classes, random_state=study.seed), classes)
    title = "An image, on average: squared error and KL in the last epoch of the training, and on test images"
    found = pd.DataFrame({"variational": terms(vae, split), "conditional": terms(cvae, split, split.y_test)})
    return Findings(
        [
            Figure("conditional samples that the judge takes for their class", agreement),
            Figure("real test images that the judge takes for their class", judge.accuracy),
        ],
        [Table(title, found.T)],
        NOTES,
        pictures(vae, cvae, split, study.seed),
    )


def setting(study: Study) -> Setting:
    """Return the parameters that the twins share."""
    return {
        "network": MLP(hidden=(784, 784), activation="leaky_relu", output_activation="sigmoid", linear_path=None),
        "likelihood": "gaussian",
        "sigma": SIGMA,
        "max_epochs": study.epochs(50),
        "batch_size": 1024,
        "lr": 1e-3,
        "lr_schedule": "constant",
        "validation_fraction": None,
        "random_state": study.seed,
    }


def terms(model: AbstractVariationalAutoencoder, split: Split, *y: np.ndarray) -> dict[str, float]:
    """Return both terms in training, their sum on test images too, the bound on log p(x), and the error of the mean.

    The bound has the constant of the Gaussian's density, which the squared error and the KL term have not.
    """
    pixels = math.prod(split.X_test.shape[1:])
    constant = pixels * (0.5 * math.log(2 * math.pi) + math.log(SIGMA))  # of the Gaussian's density
    train, bound = model.history_[-1]["train"], model.score(split.X_test, *y)
    return {
        "squared error, training": train["reconstruction"] - constant,
        "KL, training": train["kl"],
        "squared error + KL, training": train["loss"] - constant,
        "squared error + KL, test": -bound - constant,
        "bound, test, nats": bound,
        "squared error from the code's mean, test": pixels
        * mean_squared_error(split.X_test, model.reconstruct(split.X_test, *y)),
        "active units": train["active_units"],
    }


def pictures(
    vae: VariationalAutoencoder, cvae: ConditionalVariationalAutoencoder, split: Split, seed: int
) -> list[Images]:
    """Return raw, rebuilt, generated and class-conditional images, ten to a line."""
    of_each_class = [np.flatnonzero(split.y_test == label)[:LINES] for label in range(COLUMNS)]
    raw = [split.X_test[list(line)] for line in zip(*of_each_class, strict=True)]
    styles = np.random.default_rng(seed).standard_normal((LINES, 1, vae.n_components)).repeat(COLUMNS, axis=1)
    classes, first = range(COLUMNS), raw[0]
    rebuilt = {"raw": first, "variational": vae.reconstruct(first), "conditional": cvae.reconstruct(first, classes)}
    return [
        Images("Raw", "Test images.", [{"": line} for line in raw], classes),
        Images("Rebuilt", "The first line of them, encoded and decoded.", [rebuilt], classes),
        Images(
            "Generated",
            "Codes drawn from N(0, 1), decoded by the variational autoencoder.",
            [{"": line} for line in np.split(vae.sample(LINES * COLUMNS, random_state=seed), LINES)],
        ),
        Images(
            "Generated as each class",
            "A code a line, drawn from N(0, 1), decoded by the conditional model as each of the classes: a line shares "
            "its style.",
            [{"": cvae.inverse_transform(line, classes)} for line in styles],
            classes,
        ),
    ]
