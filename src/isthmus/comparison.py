"""Several autoencoders on the same rows, always with PCA of the same size beside them."""

import numbers
import time
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from isthmus.core.corruption import CORRUPTIONS
from isthmus.errors import InputError, hushed
from isthmus.evaluation.error import corrupted, mean_squared_error
from isthmus.evaluation.jacobian import mean_jacobian_norm
from isthmus.evaluation.probe import MOST_ROWS, linear_probe_accuracy, nearest_neighbour_accuracy
from isthmus.evaluation.sparsity import hoyer_sparsity
from isthmus.formats.checks import check_choice, check_scalar
from isthmus.formats.labels import are_classes
from isthmus.formats.names import row_names
from isthmus.formats.rows import to_rows
from isthmus.models import Autoencoder, ContractiveAutoencoder, DenoisingAutoencoder, SparseAutoencoder
from isthmus.models.base import AbstractAutoencoder, conditions_of
from isthmus.networks import MLP
from isthmus.threads import suited_to
from isthmus.training.batched_fits import fit_batched

JACOBIAN_ROWS = 64
"""Test rows over which the Jacobian's norm is averaged."""

COLUMNS = (
    "mse", "mse_sd", "share_of_pca", "mse_corrupted", "linear_probe", "nearest_neighbour", "sparsity", "jacobian",
    "best_epoch", "parameters", "seconds",
)  # fmt: skip

LOWER_IS_BETTER = ("mse", "share_of_pca", "mse_corrupted")
HIGHER_IS_BETTER = ("linear_probe", "nearest_neighbour")


class PCABaseline(PCA):
    """scikit-learn's PCA as autoencoders are: for rows of any shape, and able to rebuild them."""

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Find the components of rows of shape (n, ...)."""
        return super().fit(X.reshape(len(X), -1))

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Project rows onto the components, with what is missing (NaN) at the mean."""
        flat = X.reshape(len(X), -1)
        return np.asarray(super().transform(np.where(np.isnan(flat), self.mean_, flat)))

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Project rows onto the components and back."""
        return np.asarray(self.inverse_transform(self.transform(X))).reshape(X.shape)


@dataclass
class Comparison:
    """What :func:`compare` found.

    Attributes
    ----------
    table : DataFrame
        A row a model. ``mse`` and ``mse_sd``: squared error an entry on test rows, mean and standard deviation over
        seeds; ``share_of_pca``: the same as a share of PCA's of that size; ``mse_corrupted``: of test rows rebuilt
        from the same corrupted input; ``linear_probe``, ``nearest_neighbour``: accuracies, with labels; ``sparsity``:
        Hoyer's, in [0, 1]; ``jacobian``: mean ‖∂h/∂x‖_F; ``best_epoch``: the epoch whose weights are kept, a mean over
        seeds, 0 being the start; ``parameters``; ``seconds`` of its epochs, its share where models are trained as one.
    models : dict of str to estimator
        The fitted models of the first seed.
    X_test, corrupted_test : ndarray
        The test rows, and what became of them.
    y_test : ndarray or None
        Their labels.
    names_test : list of str
        What each is called: by a frame's index or its column of ids, else "row 17", in `X_test` or, where that was not
        given, in `X`.
    columns : list or None
        The names of a frame's columns.
    corruption : str
        What was done to the corrupted rows, in words.
    """

    table: pd.DataFrame
    models: dict[str, BaseEstimator]
    X_test: np.ndarray
    corrupted_test: np.ndarray
    y_test: np.ndarray | None
    names_test: list[str]
    columns: Sequence[Hashable] | None
    corruption: str


Line = dict[str, float | str]
"""Of the table: a model's name and measures."""


def default_models(n_components: int, features: int, corruption: str, level: float) -> dict[str, AbstractAutoencoder]:
    """Return the set that tells the story of the field, from under- to over-complete, plain to regularised.

    The shallow ones have one hidden layer of 256 units, the deep one the default network; over-complete codes have
    twice as many units as a row has features, and the sparse one lets `n_components` of them be on at a time.
    """
    over = 2 * features

    def shallow() -> MLP:
        return MLP(hidden=(256,))

    return {
        "under-complete": Autoencoder(n_components, network=shallow()),
        "over-complete": Autoencoder(over, network=shallow()),
        "over-complete + denoising": DenoisingAutoencoder(
            over,
            network=shallow(),
            corruption=corruption,  # type: ignore[arg-type]
            corruption_level=level,
        ),
        "sparse": SparseAutoencoder(over, k=n_components, network=shallow()),
        "contractive": ContractiveAutoencoder(n_components, network=shallow()),
        "deep": Autoencoder(n_components),
    }


@suited_to(0, blas=True)  # each fit and each use takes what repays it
def compare(
    X: ArrayLike,
    y: ArrayLike | None = None,
    models: Mapping[str, AbstractAutoencoder] | Sequence[str] | None = None,
    *,
    n_components: int | None = None,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    seeds: int = 3,
    corruption: str = "masking",
    corruption_level: float = 0.25,
    max_epochs: int | None = None,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Fit several models on the same rows, with several seeds, and measure each on the same test rows.

    Parameters
    ----------
    X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
        Rows.
    y : array-like of shape (n,), optional
        Classes, for the accuracies and the report's colours; of measurements only the colours are made. A conditional
        model is trained with them, and measured, as all others, without.
    models : mapping of str to estimator, or sequence of str, optional
        Models by a name of your own, or names from the default set; default: the whole set
        (:func:`default_models`).
    n_components : int, optional
        The code's size in the default set; an eighth of the features, from 2 to 32, where it is not given.
    X_test, y_test : array-like, optional
        Test rows and their labels; else a fifth of `X` is set aside.
    seeds : int, default 3
        How many fits a model gets; they differ in nothing but their random numbers.
    corruption : {"gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"}, default "masking"
        What is done to the test rows, the same for all models, and to the training rows of the denoising one; what
        ``masking`` and ``block`` hide is missing (NaN).
    corruption_level : float, default 0.25
        How much of it.
    max_epochs : int, optional
        Overrides that of every model.
    random_state : int, default 0
        Of the split; the first seed of the models.
    progress : callable, optional
        Called with a line of text before each fit.

    Returns
    -------
    Comparison
        The table of measures, the fitted models and the test rows.

    Raises
    ------
    ValueError
        If a name is not in the default set, or `X` cannot be fitted.

    Examples
    --------
    >>> import isthmus
    >>> X, y = isthmus.datasets.load("digits")
    >>> models = {"plain": isthmus.Autoencoder(8), "contractive": isthmus.ContractiveAutoencoder(8)}
    >>> found = isthmus.compare(X, y, models, seeds=1, max_epochs=5)
    >>> list(found.table.index)
    ['PCA-8', 'plain', 'contractive']
    """
    _check(seeds, n_components, corruption, corruption_level)
    columns = list(X.columns) if isinstance(X, pd.DataFrame) else None
    split = _split(X, y, X_test, y_test, corruption, corruption_level, random_state)
    features = int(np.prod(split.X.shape[1:]))
    n_components = n_components or min(32, max(2, features // 8))
    candidates = _chosen(models, default_models(n_components, features, corruption, corruption_level))
    if max_epochs is not None:
        candidates = {name: clone(model).set_params(max_epochs=max_epochs) for name, model in candidates.items()}
    fitted: dict[str, BaseEstimator] = {}
    lines, each_seed = [], range(random_state, random_state + seeds)
    sizes = {model.n_components for model in candidates.values()}
    for size in sorted(size for size in sizes if size < min(len(split.X), features)):
        name = f"PCA-{size}"
        run, fitted[name] = _fit_and_measure(name, PCABaseline(size), split, random_state, None)
        lines.append(_line(name, [run]) | {"mse_sd": 0.0})
    fits = [(name, candidate, split, seed, progress) for name, candidate in candidates.items() for seed in each_seed]
    found = fit_batched([partial(_fit_and_measure, *fit) for fit in fits])  # those of one shape as one model
    for i, name in enumerate(candidates):
        runs, models_of_name = zip(*found[i * seeds : (i + 1) * seeds], strict=True)
        fitted[name] = models_of_name[0]
        lines.append(_line(name, runs))
    words = f"{corruption.replace('_', ' ')}, level {corruption_level:g}"
    table = _in_order(lines, fitted)
    _warn_of_starts(table["best_epoch"])
    return Comparison(table, fitted, split.X_test, split.shown, split.y_test, split.names, columns, words)


def _check(seeds: int, n_components: int | None, corruption: str, level: float) -> None:
    check_scalar(seeds, "seeds", numbers.Integral, min_val=1)
    check_choice("corruption", corruption, CORRUPTIONS)
    most = None if corruption == "gaussian" else 1
    check_scalar(level, "corruption_level", numbers.Real, min_val=0, max_val=most)
    if n_components is not None:
        check_scalar(n_components, "n_components", numbers.Integral, min_val=1)


def _warn_of_starts(best_epoch: pd.Series) -> None:
    """Name, in one line, the models that are still what they began as, in every fit."""
    names = [repr(str(name)) for name in best_epoch.index[best_epoch == 0]]
    if names:
        warnings.warn(
            f"the model is still what it began as, in every fit of {', '.join(names)}: no epoch was better on held-out "
            "rows by more than three standard errors; try more rows or epochs, or X standardised",
            ConvergenceWarning,
            stacklevel=3,
        )


class Split(NamedTuple):
    """Training rows, test rows, what is known of them, and the test rows as corrupted for all models alike."""

    X: np.ndarray
    y: np.ndarray | None
    X_test: np.ndarray
    y_test: np.ndarray | None
    shown: np.ndarray
    names: list[str]


def _split(
    X: ArrayLike,
    y: ArrayLike | None,
    X_test: ArrayLike | None,
    y_test: ArrayLike | None,
    corruption: str,
    level: float,
    random_state: int,
) -> Split:
    """Bring all rows to floating-point arrays, and set a fifth aside where there are no test rows."""
    names = row_names(X if X_test is None else X_test)  # type: ignore[arg-type]
    rows, labels = to_rows(X), None if y is None else np.asarray(y)
    if X_test is None and len(rows) < 3:
        raise InputError(f"X has {len(rows)} rows, too few to set some aside for a test: give more, or X_test")
    if labels is not None and len(labels) != len(rows):
        raise InputError(f"y has {len(labels)} labels, and X {len(rows)} rows: give one a row")
    if labels is not None and pd.isna(labels).any():
        raise InputError(f"row {int(pd.isna(labels).argmax())} has no label: fill the gaps in y, or drop those rows")
    test_labels: np.ndarray | None = None
    if X_test is not None:
        test_rows = to_rows(X_test)
        test_labels = None if labels is None or y_test is None else np.asarray(y_test)
    elif labels is None:
        rows, test_rows, _, names = train_test_split(rows, names, test_size=0.2, random_state=random_state)
    else:
        counts = np.unique(labels, return_counts=True)[1]
        each_in_both = counts.min() > 1 and len(labels) // 5 >= len(counts)
        stratify = labels if are_classes(labels) and each_in_both and len(counts) > 1 else None
        rows, test_rows, labels, test_labels, _, names = train_test_split(
            rows, labels, names, test_size=0.2, random_state=random_state, stratify=stratify
        )
    return Split(rows, labels, test_rows, test_labels, corrupted(test_rows, corruption, level), names)


def _chosen(
    models: Mapping[str, AbstractAutoencoder] | Sequence[str] | None, known: Mapping[str, AbstractAutoencoder]
) -> dict[str, AbstractAutoencoder]:
    if isinstance(models, Mapping):
        for name, model in models.items():
            if not isinstance(model, AbstractAutoencoder) or name.startswith("PCA-"):
                raise InputError(f"model {name!r}: give autoencoders of isthmus, under names that PCA's do not have")
        return dict(models)
    models = [models] if isinstance(models, str) else models
    for name in models or ():
        if name not in known:
            raise InputError(f"unknown model {name!r}: compare knows {', '.join(map(repr, known))}")
    return {name: known[name] for name in models or known}


def _fit_and_measure(
    name: str, candidate: BaseEstimator, split: Split, seed: int, progress: Callable[[str], None] | None
) -> tuple[dict[str, float], BaseEstimator]:
    """Return all measures of a model with one seed, and the model."""
    if progress is not None:
        progress(f"{name}, seed {seed}")
    began = time.perf_counter()
    with hushed(ConvergenceWarning):  # said once, at the end
        model = clone(candidate).set_params(random_state=seed).fit(split.X, **conditions_of(candidate, split.y))
    if getattr(model, "interrupted_", False):
        raise KeyboardInterrupt  # a model cut short must not stand beside whole ones
    epochs = getattr(model, "history_", None)
    seconds = time.perf_counter() - began if epochs is None else sum(record["seconds"] for record in epochs)
    return {"seconds": seconds} | _measure(model, split), model


def _line(name: str, runs: Sequence[Mapping[str, float]]) -> Line:
    """Return a line of the table: the measures, averaged over seeds."""
    frame = pd.DataFrame(runs)
    spread = float(frame["mse"].std()) if len(runs) > 1 else float("nan")
    means: Line = {str(measure): value for measure, value in frame.mean().items()}
    return {"model": name, "mse_sd": spread, **means}


def _measure(model: BaseEstimator, split: Split) -> dict[str, float]:
    """Take every measure of a fitted model."""
    codes = np.asarray(model.transform(split.X_test))  # which may be a frame, as set_output says
    measured = {
        "mse": mean_squared_error(split.X_test, np.asarray(model.reconstruct(split.X_test))),
        "mse_corrupted": mean_squared_error(split.X_test, np.asarray(model.reconstruct(split.shown))),
        "sparsity": hoyer_sparsity(codes),
    }
    if split.y is not None and split.y_test is not None and are_classes(split.y) and len(np.unique(split.y)) > 1:
        labelled = (np.asarray(model.transform(split.X[:MOST_ROWS])), split.y[:MOST_ROWS], codes, split.y_test)
        measured["linear_probe"] = linear_probe_accuracy(*labelled)
        measured["nearest_neighbour"] = nearest_neighbour_accuracy(*labelled)
    if isinstance(model, PCA):  # its Jacobian is the matrix of its components, whose rows are unit vectors
        parameters = model.components_.size + model.mean_.size
        return measured | {"jacobian": model.n_components_**0.5, "parameters": parameters}
    parameters = sum(weight.numel() for weight in model.module_.parameters())
    rows = split.X_test[:JACOBIAN_ROWS]
    jacobian = mean_jacobian_norm(model.module_, model.format_.scaled(rows), model.format_.context(None, len(rows)))
    return measured | {"jacobian": jacobian, "best_epoch": model.best_epoch_, "parameters": parameters}


def _in_order(lines: list[Line], models: Mapping[str, BaseEstimator]) -> pd.DataFrame:
    """Make the table, with each model's error as a share of the error of PCA of its size."""
    table = pd.DataFrame(lines).set_index("model")
    pca = [f"PCA-{model.n_components}" for model in models.values()]
    base = table["mse"].reindex(pca).to_numpy()
    table["share_of_pca"] = table["mse"] / np.where(base > 0, base, np.nan)
    return table.reindex(columns=[name for name in COLUMNS if name in table])


def comparison_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Format a comparison's table for people: text in every cell, the error and its spread in one column."""
    formats = {
        "parameters": "{:,.0f}",
        "best_epoch": "{:.3g}",
        "seconds": "{:.1f}",
        "linear_probe": "{:.1%}",
        "nearest_neighbour": "{:.1%}",
    }
    cells = pd.DataFrame(
        {
            name: ["–" if np.isnan(value) else formats.get(name, "{:.3g}").format(value) for value in table[name]]
            for name in table.columns
        },
        index=table.index,
    )
    spread = [f" ± {sd:.1g}" if sd > 0 else "" for sd in table["mse_sd"]]
    cells["mse"] = [mse + sd for mse, sd in zip(cells["mse"], spread, strict=True)]
    del cells["mse_sd"]
    return cells
