"""One line for rows on a scale that does harm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.tally import Moments

SMALL, GREAT = 3e-3, 1e4
"""Spreads, in units of a σ that is given, outside of which it no longer fits the rows."""

UNEQUAL = 1e3
"""By what factor the spreads of columns may differ; at that the narrow ones are rebuilt several times worse."""

FEWEST_PIXELS = 16
"""Columns from which on constant ones at the end of the scale may be the border of an image."""

LEAST_SPREAD = 1e-12
"""Spread, as a share of the mean, that is no rounding error."""

HOW_TO_STANDARDISE = "give scale='standard' (at the command line --scale standard)"


def check_size(rows: np.ndarray, largest: float, cure: str = HOW_TO_STANDARDISE) -> None:
    """Raise ValueError where the rows' squares would sum to more than the largest number there is."""
    reach = float(np.fmax(np.fmax.reduce(rows, None), -float(np.fmin.reduce(rows, None))))  # past NaN
    if reach > (largest / rows.size) ** 0.5:
        raise InputError(f"X reaches to {reach:.3g}, too far for the sum of its squares: {cure}")


class Ranges(NamedTuple):
    """How far each entry of the rows reaches, past NaN.

    Attributes
    ----------
    low, high : ndarray
        Its ends.
    spread : ndarray
        Its standard deviation.
    """

    low: np.ndarray
    high: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Self:
        """Look at all rows."""
        return cls(np.fmin.reduce(rows, 0), np.fmax.reduce(rows, 0), np.sqrt(_variances(rows)))

    @property
    def varied(self) -> np.ndarray:
        """Which entries are not the same in all rows."""
        return (self.high > self.low) & (self.spread > 0)


def spread_fault(ranges: Ranges, sigma: float | None) -> str | None:
    """Say where the rows' spread is far from a σ that is given; one that is learnt goes with any.

    Under it, as far as the loss can tell, all is rebuilt well at the mean already, and Adam's ε is larger than the
    gradients: nothing is learnt beyond PCA. Far above it, what is weighed against the squared error, a penalty or noise
    added to the rows, counts for nothing.
    """
    some = ranges.spread[ranges.spread > 0]
    if sigma is None or not some.size:
        return None
    spread = float(np.median(some))
    if SMALL * sigma < spread < GREAT * sigma:
        return None
    harm = "next to nothing would be learnt" if spread < sigma else "penalties and added noise would have no effect"
    return f"X has a spread of {spread:.1g} where sigma={sigma:g} is expected, and {harm}"


def unequal_fault(ranges: Ranges, names: Sequence[object] | np.ndarray) -> str | None:
    """Say where a table's columns differ wildly in spread; pixels in a table share one scale, where they do not."""
    (low, high, spread), varied = ranges, ranges.varied
    if not varied.any():
        return None
    spread, reach = np.where(varied, spread, np.nan), np.where(varied, high - low, np.nan)
    factor = min(float(np.nanmax(each) / np.nanmin(each)) for each in (spread, reach))
    if factor <= UNEQUAL:
        return None
    widest, narrowest = names[int(np.nanargmax(spread))], names[int(np.nanargmin(spread))]
    return (
        f"X's columns differ in spread by a factor of {factor:.0e}, {widest!r} the widest and {narrowest!r} the "
        "narrowest, and the narrow ones would not be learnt"
    )


def constant_fault(ranges: Ranges, names: Sequence[object] | np.ndarray) -> str | None:
    """Say where a column of a table is constant; of pixels those of the border may be, as most others reach as far."""
    (low, high, _), varied = ranges, ranges.varied
    if not varied.any():
        return None
    ends = ((low.min(), low), (high.max(), high)) if len(low) >= FEWEST_PIXELS else ()
    background = [value for value, reached in ends if (reached == value).mean() > 0.5]
    constant = ~varied & ~np.isin(low, background)
    if not constant.any():
        return None
    more = f" (and {constant.sum() - 1} more)" if constant.sum() > 1 else ""
    return (
        f"X has one value alone in column {names[int(constant.argmax())]!r}{more}, of which nothing can be learnt: "
        "drop it"
    )


AXES = {2: (0,), 3: (0, 1, 2), 4: (0, 2, 3)}
"""What mean and spread are taken over, by the dimensions of rows."""


def _scale(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    spread = np.sqrt(variance)
    return np.where(spread > LEAST_SPREAD * np.abs(mean), spread, 1.0)


@dataclass(frozen=True)
class Scaling:
    """What brings rows to mean 0 and variance 1 and back: each column of a table, each channel of images.

    Attributes
    ----------
    mean, scale : ndarray
        Of shape (features,), (1,) for images without channels, or (channels,).
    row_shape : tuple of int
        The shape of a row.
    """

    mean: np.ndarray
    scale: np.ndarray
    row_shape: tuple[int, ...]

    @classmethod
    def learn(cls, rows: np.ndarray) -> Self:
        """Take mean and spread of training rows, past NaN; what does not vary is not scaled."""
        axes = AXES[rows.ndim]
        mean = _moment(rows, axes, 0.0, 1)
        variance = _moment(rows, axes, mean, 2)
        return cls(mean.ravel(), _scale(mean.ravel(), variance.ravel()), rows.shape[1:])

    def moments(self) -> Moments:
        """Return what sums up rows, in any number of pieces."""
        return Moments(self.mean, AXES[len(self.row_shape) + 1])

    def refined(self, moments: Moments) -> Self:
        """Return what :meth:`learn` finds of the rows that were summed up."""
        return replace(self, mean=moments.mean, scale=_scale(moments.mean, moments.variance))

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Standardise rows, in their dtype."""
        standardised = np.subtract(rows, self._broadcast(self.mean, rows.dtype))
        standardised /= self._broadcast(self.scale, rows.dtype)
        return standardised

    def undo(self, rows: np.ndarray) -> np.ndarray:
        """Bring rows of shape (..., *row_shape) back to their units, in their dtype."""
        restored = np.multiply(rows, self._broadcast(self.scale, rows.dtype))
        restored += self._broadcast(self.mean, rows.dtype)
        return restored

    @property
    def log_scale(self) -> np.ndarray:
        """The logarithm of the scale of each entry of a row: what a log-density in units of X is less by."""
        return np.asarray(np.broadcast_to(np.log(self._broadcast(self.scale, np.dtype(float))), self.row_shape))

    def _broadcast(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return values.astype(dtype).reshape(-1, *(1,) * (len(self.row_shape) - 1))


def _moment(rows: np.ndarray, axes: tuple[int, ...], around: np.ndarray | float, power: int) -> np.ndarray:
    """Return the mean of a power of the distances of entries that are known, a slice of the rows at a time."""
    total, count = np.zeros(()), np.zeros(())
    for start in range(0, len(rows), 4096):
        powers = (np.asarray(rows[start : start + 4096], dtype=float) - around) ** power
        more, known = _summed(powers, axes)
        total, count = total + more, count + known
    return np.asarray(total / count)


def _summed(values: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | int]:
    """Return the sum of the values that are known, and how many these are; of all, which is the usual case, at once."""
    total = values.sum(axes, keepdims=True)
    if not np.isnan(total).any():
        return total, values.size // total.size
    return np.nansum(values, axes, keepdims=True), (~np.isnan(values)).sum(axes, keepdims=True)


def _variances(rows: np.ndarray) -> np.ndarray:
    """Return the variance of each entry of a row, past NaN; a slice at a time, as the squares are as many again."""
    mean = _moment(rows, (0,), 0.0, 1)
    return np.asarray(_moment(rows, (0,), mean, 2)[0])
