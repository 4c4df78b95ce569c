"""One line for rows on a scale that does harm."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.errors import InputError

SMALL, GREAT = 3e-3, 1e4
"""Spreads, in units of a σ that is given, outside of which it no longer fits the rows."""

UNEQUAL = 1e3
"""By what factor the spreads of columns may differ; at that the narrow ones are rebuilt several times worse."""

FEWEST_PIXELS = 16
"""Columns from which on constant ones at the end of the scale may be the border of an image."""

HOW_TO_STANDARDISE = "standardise them (sklearn.preprocessing.StandardScaler)"


def check_size(rows: np.ndarray, largest: float) -> None:
    """Raise ValueError where the rows' squares would sum to more than the largest number there is."""
    reach = float(np.fmax(np.fmax.reduce(rows, None), -np.fmin.reduce(rows, None)))  # past NaN
    if reach > (largest / rows.size) ** 0.5:
        raise InputError(f"X reaches to {reach:.3g}, too far for the sum of its squares: {HOW_TO_STANDARDISE}")


def warn_of_scale(rows: np.ndarray, sigma: float | None) -> None:
    """Warn where the rows' spread is far from a σ that is given; one that is learnt goes with any.

    Under it, as far as the loss can tell, all is rebuilt well at the mean already, and Adam's ε is larger than the
    gradients: nothing is learnt beyond PCA. Far above it, what is weighed against the squared error, a penalty or noise
    added to the rows, counts for nothing.
    """
    variances = _variances(rows)
    if sigma is None or not (variances > 0).any():
        return
    spread = float(np.sqrt(np.median(variances[variances > 0])))
    if SMALL * sigma < spread < GREAT * sigma:
        return
    harm = "next to nothing will be learnt" if spread < sigma else "penalties and added noise will have no effect"
    warnings.warn(
        f"X has a spread of {spread:.1g} where sigma={sigma:g} is expected, and {harm}: {HOW_TO_STANDARDISE}, or give "
        "sigma='learned'",
        stacklevel=5,
    )


def warn_of_columns(rows: np.ndarray, names: Sequence[Any]) -> None:
    """Warn where a table's columns differ wildly in spread, or one of them is constant.

    Of pixels in a table neither is said: these share one scale, where not one spread, and those of the border stand at
    the background that most others reach too.
    """
    low, high, spread = np.fmin.reduce(rows, 0), np.fmax.reduce(rows, 0), np.sqrt(_variances(rows))
    varied = (high > low) & (spread > 0)
    if not varied.any():
        return
    ends = ((low.min(), low), (high.max(), high)) if rows.shape[1] >= FEWEST_PIXELS else ()
    background = [value for value, reached in ends if (reached == value).mean() > 0.5]
    constant = ~varied & ~np.isin(low, background)
    if constant.any():
        more = f" (and {constant.sum() - 1} more)" if constant.sum() > 1 else ""
        warnings.warn(
            f"X has one value alone in column {names[int(constant.argmax())]!r}{more}, of which nothing can be learnt: "
            "drop it",
            stacklevel=5,
        )
    spread, reach = np.where(varied, spread, np.nan), np.where(varied, high - low, np.nan)
    factor = min(float(np.nanmax(each) / np.nanmin(each)) for each in (spread, reach))
    if factor > UNEQUAL:
        widest, narrowest = names[int(np.nanargmax(spread))], names[int(np.nanargmin(spread))]
        warnings.warn(
            f"X's columns differ in spread by a factor of {factor:.0e}, {widest!r} the widest and {narrowest!r} the "
            f"narrowest: {HOW_TO_STANDARDISE}, or the narrow ones will not be learnt",
            stacklevel=5,
        )


def _variances(rows: np.ndarray) -> np.ndarray:
    """Return the variance of each entry of a row, past NaN; a slice at a time, as the squares are as many again."""
    mean = np.nanmean(rows, 0, dtype=float)
    total, count = np.zeros((2, *rows.shape[1:]))
    for start in range(0, len(rows), 4096):
        rest = np.square(rows[start : start + 4096] - mean)
        total, count = total + np.nansum(rest, 0), count + (~np.isnan(rest)).sum(0)
    return np.asarray(total / count)
