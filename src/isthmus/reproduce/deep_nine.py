"""Nine components and a deep network on MNIST."""

import numpy as np
import pandas as pd

from isthmus.comparison import PCABaseline
from isthmus.evaluation.error import mean_squared_error
from isthmus.models import Autoencoder
from isthmus.networks import MLP
from isthmus.reproduce.result import Figure, Findings, Images, Table
from isthmus.reproduce.study import Study

TITLE = "Deep, nine components"

SETTING = (
    "MNIST, pixels in [0, 1]; 784-128-64-36-18-9 and mirrored, ReLU, sigmoid output. Squared error, Adam 1e-3, "
    "batch 32, 20 epochs, five seeds."
)

AT_MOST = 0.020
SHOWN = 10


def run(study: Study) -> Findings:
    """Fit five seeds, and PCA of the same size."""
    X, _, X_test, _ = study.load("mnist")
    models = {seed: study.fit(f"seed {seed}", autoencoder(study, seed), X) for seed in study.seeds(5)}
    errors = {seed: mean_squared_error(X_test, model.reconstruct(X_test)) for seed, model in models.items()}
    projected = PCABaseline(9, random_state=study.seed).fit(X).reconstruct(X_test)
    middle = sorted(errors, key=errors.__getitem__)[len(errors) // 2]
    lines = pd.Series({f"seed {seed}": error for seed, error in errors.items()})
    lines["PCA-9"] = mean_squared_error(X_test, projected)
    shown = X_test[:SHOWN]
    images = {"input": shown, "deep": models[middle].reconstruct(shown), "PCA-9": projected[:SHOWN]}
    text = f"The deep network is that of seed {middle}, the one in the middle."
    return Findings(
        [Figure("test error, median over seeds", float(np.median(list(errors.values()))), at_most=AT_MOST)],
        [Table("Test error", lines.to_frame("squared error a pixel"))],
        pictures=[Images("Test images from nine numbers", text, [images])],
    )


def autoencoder(study: Study, seed: int) -> Autoencoder:
    """Return a model of the published setting."""
    return Autoencoder(
        9,
        network=MLP(hidden=(128, 64, 36, 18), activation="relu", output_activation="sigmoid", linear_path=None),
        max_epochs=study.epochs(20),
        batch_size=32,
        lr=1e-3,
        lr_schedule="constant",
        validation_fraction=None,
        random_state=seed,
    )
