"""How the numbers of a table are brought to one scale, and back.

scikit-learn is imported by those that need it alone: `isthmus data` says without it which tails are compressed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.tally import Moments
from isthmus.saving.attributes import Json, JsonObject

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler


class Transformer(Protocol):
    """A step of a scaling, with scikit-learn's interface."""

    n_features_in_: int

    def fit(self, X: np.ndarray) -> Self:
        """Learn the scale of each column."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Bring columns to one scale."""

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Bring them back."""


class Asinh:
    """Compress the tails of those columns that are far from normal: w asinh((x − c) / w) (Johnson 1949, S_U).

    Near the centre c it is x − c, beyond the width w a logarithm. c is 0 for a column without negative values, else the
    median. w is the one of some under which the column's different values are likeliest as draws from a normal (Box &
    Cox 1964); where that gains them less than `LEAST_GAIN` nats each, the column stays as it is.

    Attributes
    ----------
    centre_, width_ : ndarray of shape (n_columns,)
        In the units of each column; a width of 0 leaves it as it is.
    """

    LEAST_GAIN = 0.2
    WIDTHS = 10.0 ** np.arange(-3, 1.5, 0.5)

    def fit(self, X: np.ndarray, y: None = None) -> Self:
        """Choose centre and width of each column; NaN is left aside."""
        chosen = np.zeros((X.shape[1], 2))
        for i in np.flatnonzero(_kurtosis(X) > LEAST_KURTOSIS):
            chosen[i] = self._chosen(np.unique(X[~np.isnan(X[:, i]), i]))
        self.centre_, self.width_ = chosen.T.copy()
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Compress; shape (n, n_columns)."""
        return self._of_tails(X, lambda x, centre, width: width * np.arcsinh((x - centre) / width))

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Undo it; shape (n, n_columns)."""
        with np.errstate(over="ignore"):
            return self._of_tails(X, lambda x, centre, width: width * np.sinh(x / width) + centre)

    def _of_tails(self, X: np.ndarray, function: Callable[..., np.ndarray]) -> np.ndarray:
        """Return X with a function of those columns that have long tails; X itself where none has."""
        tails = self.width_ > 0
        if not tails.any():
            return X
        X = X.copy()
        X[:, tails] = function(X[:, tails], self.centre_[tails], self.width_[tails])
        return X

    def _chosen(self, values: np.ndarray) -> tuple[float, float]:
        """Return centre and width for a column's different values; few of them have no shape."""
        if len(values) < FEWEST_VALUES:
            return 0.0, 0.0
        values = values[:: max(1, len(values) // MOST_VALUES)]
        centre = 0.0 if values[0] >= 0 else float(np.median(values))
        rest = values - centre
        widths = np.median(np.abs(rest[rest != 0])) * self.WIDTHS
        gains = [_log_likelihood(w * np.arcsinh(rest / w)) - 0.5 * np.log1p((rest / w) ** 2).mean() for w in widths]
        best = int(np.argmax(gains))
        gain = gains[best] - _log_likelihood(rest)
        return (centre, float(widths[best])) if gain > self.LEAST_GAIN else (0.0, 0.0)


FEWEST_VALUES, MOST_VALUES = 20, 10_000
"""Different values of a column, under which its shape is not looked at, and about how many are looked at."""


LEAST_KURTOSIS = 4.0
"""Kurtosis of a column, a normal's being 3, from which its tails are looked at."""


def _kurtosis(X: np.ndarray) -> np.ndarray:
    """Return the kurtosis of each column, past NaN; NaN where it is constant."""
    rest = X - np.nanmean(X, axis=0)
    square = np.square(rest)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nanmean(np.square(square), axis=0) / np.square(np.nanmean(square, axis=0))


def _log_likelihood(values: np.ndarray) -> float:
    """Return the mean log-density of values as draws from the normal that suits them best, up to a constant."""
    return -float(np.log(values.std()))


SCALING: dict[str | None, tuple[str, ...]] = {
    None: (),
    "standard": ("StandardScaler",),
    "rankgauss": ("StandardScaler", "QuantileTransformer", "StandardScaler"),
    "auto": ("Asinh", "StandardScaler"),
}
"""How numbers are scaled: the steps, in order, by the names of their classes."""

TAILS = "tails"
"""A scaling that compresses tails as "auto" does, and does nothing else: it is of no model."""

FITTED: dict[str, tuple[str, ...]] = {
    "Asinh": ("centre_", "width_"),
    "StandardScaler": ("mean_", "scale_"),
    "QuantileTransformer": ("quantiles_", "references_"),
}
"""What a step knows after its fit."""

MOST_QUANTILES = 1000

BEYOND = 1e-3
"""How far outside what was seen the end quantiles lie, in standard deviations."""


FEWEST_AT_ONCE, NUMBERS_AT_ONCE = 4, 2**20
"""Columns that a scaling is fitted to at once, at the least, and numbers in them where these are more columns."""


def fit_steps(columns: Sequence[np.ndarray], numbers: str | None, names: Sequence[object]) -> list[Transformer]:
    """Fit the steps of a scaling to columns of numbers; raise InputError where a column reaches too far for it.

    Each column is scaled on its own: some of them are gone through at once, as the steps make copies of what they fit.
    """
    steps = ("Asinh",) if numbers == TAILS else SCALING[numbers]
    if not columns or not steps:
        return []
    parts = _parts(len(columns), max(FEWEST_AT_ONCE, NUMBERS_AT_ONCE // len(columns[0])))
    fitted = [_fitted_steps(np.stack(columns[part], axis=1, dtype=float), steps, names[part]) for part in parts]
    return [_joined(steps, len(columns)) for steps in zip(*fitted, strict=True)]


def _parts(n: int, size: int) -> list[slice]:
    """Cut so many columns into parts; a last one of one column joins the one before, as its sums would be others."""
    starts = list(range(0, n - 1 if n % size == 1 and n > 1 else n, size))
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], n], strict=True)]


def _joined(steps: Sequence[Transformer], n: int) -> Transformer:
    """Return one step of all columns, of those that were fitted to parts of them."""
    if len(steps) == 1:
        return steps[0]
    kind = type(steps[0]).__name__
    joined = _new_step(kind)
    for name in FITTED[kind]:
        parts = [getattr(step, name) for step in steps]
        setattr(joined, name, parts[0] if name == "references_" else np.concatenate(parts, axis=-1))
    joined.n_features_in_ = n
    return joined


def _fitted_steps(values: np.ndarray, steps: Sequence[str], names: Sequence[object]) -> list[Transformer]:
    fitted = []
    for step in steps:
        with np.errstate(over="ignore", invalid="ignore"):
            transformer = _fitted_quantiles(values) if step == "QuantileTransformer" else _new_step(step).fit(values)
            scaled = transformer.transform(values)
        _check_reach((~np.isfinite(scaled) & ~np.isnan(values)).any(0), names)
        values = scaled
        fitted.append(transformer)
    if "StandardScaler" not in steps:  # which finds that out itself
        with np.errstate(over="ignore", invalid="ignore"):
            _check_reach(~np.isfinite(np.nanvar(values, axis=0)), names)
    return fitted


def moments_of(steps: Sequence[Transformer]) -> Moments | None:
    """Return what sums up cells before the last step that makes mean and spread; None where that is of ranks.

    Quantiles are of the rows that the steps were fitted to, and mean and spread after them too.
    """
    kinds = [type(step).__name__ for step in steps]
    if not kinds or kinds[-1] != "StandardScaler" or "QuantileTransformer" in kinds:
        return None
    scaler: StandardScaler = steps[-1]
    return Moments(scaler.mean_)


def with_moments(steps: Sequence[Transformer], moments: Moments) -> list[Transformer]:
    """Return steps whose last makes mean and spread of all rows that were summed up."""
    mean, variance, eps = moments.mean, moments.variance, np.finfo(float).eps
    # What does not vary but for rounding is not scaled, as scikit-learn has it.
    constant = variance <= moments.n * eps * variance + np.square(moments.n * mean * eps)
    scaler: StandardScaler = _new_step("StandardScaler")
    scaler.mean_, scaler.scale_ = mean, np.where(constant, 1.0, np.sqrt(variance))
    scaler.n_features_in_ = len(mean)
    return [*steps[:-1], scaler]


def _check_reach(is_too_far: np.ndarray, names: Sequence[object]) -> None:
    if is_too_far.any():
        far = names[int(is_too_far.argmax())]
        raise InputError(f"column {far!r} reaches too far for the sum of its squares: divide it")


def steps_as_json(steps: Sequence[Transformer]) -> list[dict[str, Json]]:
    """Return what fitted steps know as what JSON can hold."""
    return [{name: getattr(step, name).tolist() for name in FITTED[type(step).__name__]} for step in steps]


def steps_from_json(content: Sequence[JsonObject], numbers: str | None, n: int) -> list[Transformer]:
    """Make the steps of `n` columns of what :func:`steps_as_json` gave, and JSON may have held since."""
    steps = []
    for step, fitted in zip(SCALING[numbers] if n else (), content, strict=True):
        transformer = _new_step(step)
        for name in FITTED[step]:
            setattr(transformer, name, _fitted(name, fitted[name], n))
        transformer.n_features_in_ = n
        steps.append(transformer)
    return steps


def _fitted(name: str, values: Sequence[object], n: int) -> np.ndarray:
    """Return what a step knows of `n` columns, finite numbers of the right shape; raise InputError where they are not.

    `references_` are the probabilities of the quantiles, of which any number will do.
    """
    array = np.array(values, dtype=float)
    right = {"quantiles_": (len(array), n), "references_": (len(array),)}.get(name, (n,))
    if array.shape != right or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{name} has the shape {array.shape} or is not finite, and {n} columns are scaled by it")
    return array


def _new_step(kind: str, n_quantiles: int = 0) -> Transformer:
    """Return a transformer that gives arrays, whatever ``sklearn.set_config(transform_output=...)`` says."""
    if kind == "Asinh":
        return Asinh()
    from sklearn import preprocessing

    quantiles = {"n_quantiles": n_quantiles, "output_distribution": "normal", "subsample": None}
    settings = quantiles if kind == "QuantileTransformer" else {}
    return getattr(preprocessing, kind)(**settings).set_output(transform="default")


def _fitted_quantiles(values: np.ndarray) -> Transformer:
    """Fit with a row more beyond either end, so that the ends have quantiles like all others.

    scikit-learn puts what is at an end at ±5.2. A column of mostly zeros would be nothing but its zeros then.
    """
    ends = np.stack([np.nanmin(values, axis=0) - BEYOND, np.nanmax(values, axis=0) + BEYOND])
    return _new_step("QuantileTransformer", min(MOST_QUANTILES, len(values) + 2)).fit(np.concatenate([values, ends]))
