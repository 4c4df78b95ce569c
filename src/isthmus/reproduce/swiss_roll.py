"""A sheet rolled up in space, and codes of two units that are to unroll it."""

import time

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap, trustworthiness

from isthmus.evaluation.error import mean_squared_error
from isthmus.models import Autoencoder, ContractiveAutoencoder, DenoisingAutoencoder
from isthmus.networks import MLP
from isthmus.reproduce.result import Figure, Findings, Points, Table
from isthmus.reproduce.study import Setting, Study

TITLE = "The Swiss roll"

SETTING = (
    "2,500 points of a sheet rolled up in space, a fifth of them for measuring, on one scale of unit variance; codes "
    "of two units, no labels. 3-128-128-2 and mirrored, SiLU, Adam with one cycle up to 2e-3, batch 128, no points "
    "held out. All at once: 1,200 epochs on all training points. Grown: 50 epochs on the tenth of the points that lies "
    "nearest to a random one along the graph of twelve neighbours, and so on with ever more of them, in 24 stages, "
    "each from the weights of the last. PCA, and Isomap with twelve neighbours, beside them."
)

EPOCHS, STAGES = 50, 24
NEIGHBOURS = 12
SEEDS = 5

NOTES = (
    "Fitted to all points at once, an autoencoder was found to rebuild the roll well and not to unroll it: its code is "
    "the spiral, seen from the side and pulled apart, or pieces of it, from which no small step leads out. Noise or a "
    "contractive penalty did not change that.",
    "Grown from a patch it was found to unroll: each new ring of points is put at the rim of the code, where there is "
    "room, and in the end the whole sheet lies flat. The order in which points come in is read off the graph of "
    "neighbours that Isomap is made of; no label says where on the sheet a point lies. With twelve stages and tanh "
    "units two seeds of three were tangled, which their squared error told: a hundred times that of the third.",
)


def run(study: Study) -> Findings:
    """Fit the autoencoders, PCA and Isomap on the roll's training points, and measure on test points."""
    X, _, X_test, position = study.load("swiss_roll")
    centre, scale = X.mean(0), X.std(0).mean()
    X, X_test = (X - centre) / scale, (X_test - centre) / scale
    isomap = Isomap(n_neighbors=NEIGHBOURS, n_components=2).fit(X)
    at_once = setting(study, EPOCHS * STAGES)
    denoising = DenoisingAutoencoder(2, corruption="gaussian", corruption_level=0.1, **at_once)
    fitted = {
        "PCA": PCA(2).fit(X),
        "Isomap": isomap,
        "denoising, all at once": study.fit("denoising", denoising, X),
        "contractive, all at once": study.fit("contractive", ContractiveAutoencoder(2, **at_once), X),
    }
    for seed in study.seeds(SEEDS):
        name = f"all at once, seed {seed}"
        fitted[name] = study.fit(name, Autoencoder(2, **at_once | {"random_state": seed}), X)
    for seed in study.seeds(SEEDS):
        fitted[f"grown, seed {seed}"] = grown(study, X, isomap.dist_matrix_, seed)
    codes = {name: model.transform(X_test) for name, model in fitted.items()}
    lines = pd.DataFrame({name: measured(fitted[name], X_test, code, position) for name, code in codes.items()}).T
    middle = lines[lines.index.str.startswith("grown")].median()
    shown = ("Isomap", "PCA", f"all at once, seed {study.seed}", "denoising, all at once", f"grown, seed {study.seed}")
    panels = {"the roll": X_test} | {name: codes[name] for name in shown}
    text = "Test points, coloured by the place along the sheet."
    return Findings(
        [Figure(f"{measure}, grown, median over seeds", float(middle[measure])) for measure in lines.columns[:2]],
        [Table("Codes of test points", lines)],
        NOTES,
        [Points("The roll and its codes", text, panels, position)],
    )


def setting(study: Study, epochs: int) -> Setting:
    """Return the parameters that all models share."""
    return {
        "network": MLP(hidden=(128, 128), activation="silu", linear_path=None),
        "max_epochs": study.epochs(epochs),
        "batch_size": 128,
        "lr": 2e-3,
        "validation_fraction": None,
        "random_state": study.seed,
    }


def grown(study: Study, X: np.ndarray, distances: np.ndarray, seed: int) -> Autoencoder:
    """Fit a model to a patch around one point, and go on with ever larger ones, up to all points."""
    study.progress(f"grown, seed {seed}: {STAGES} stages")
    began = time.perf_counter()
    start = np.random.default_rng(seed).integers(len(X))
    order = distances[start].argsort()
    model = Autoencoder(2, warm_start=True, **setting(study, EPOCHS) | {"random_state": seed})
    for share in np.linspace(0.1, 1, STAGES):
        model.fit(X[order[: round(share * len(X))]])
        if model.interrupted_:
            raise KeyboardInterrupt
    study.note(f"grown, seed {seed}", model, time.perf_counter() - began)
    return model


def measured(model: BaseEstimator, X: np.ndarray, codes: np.ndarray, position: np.ndarray) -> dict[str, float]:
    """Take every measure of a model; Isomap cannot decode, and has no error."""
    decodes = hasattr(model, "inverse_transform")
    return {
        "trustworthiness": trustworthiness(X, codes, n_neighbors=NEIGHBOURS),
        "rank correlation with the place on the sheet": rank_correlation(codes, position),
        "squared error": mean_squared_error(X, model.inverse_transform(codes)) if decodes else float("nan"),
    }


def rank_correlation(codes: np.ndarray, position: np.ndarray) -> float:
    """Return Spearman's correlation of `position` with the codes, seen in the plane's direction where it is highest."""
    angles = np.linspace(0, np.pi, 180, endpoint=False)
    directions = codes @ np.stack([np.cos(angles), np.sin(angles)])
    return float(max(abs(np.corrcoef(_ranks(line), _ranks(position))[0, 1]) for line in directions.T))


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort()
