"""What is summed over rows that come a piece at a time."""

from collections import Counter
from collections.abc import Hashable

import numpy as np

MOST_VALUES = 2**20
"""Different values of a column that are counted; where there are more, half as many of the most frequent are kept."""


class Moments:
    """Means and variances of entries, past NaN, over all rows.

    Parameters
    ----------
    around : ndarray
        What is near the means: of a sample. Sums around it lose no digits.
    axes : tuple of int
        What is summed over.
    """

    def __init__(self, around: np.ndarray, axes: tuple[int, ...] = (0,)) -> None:
        self._around, self._axes = around, axes
        self._count, self._sum, self._squares = np.zeros((3, *around.shape))

    def add(self, rows: np.ndarray) -> None:
        """Count further rows in; `around` is broadcast against them."""
        shape = np.ones(rows.ndim, int)
        rest_axes = [axis for axis in range(rows.ndim) if axis not in self._axes]
        shape[rest_axes] = np.array(rows.shape)[rest_axes]
        rest = np.asarray(rows, dtype=float) - self._around.reshape(shape)
        self._count += (~np.isnan(rest)).sum(self._axes).reshape(self._count.shape)
        self._sum += np.nansum(rest, self._axes).reshape(self._sum.shape)
        self._squares += np.nansum(np.square(rest), self._axes).reshape(self._squares.shape)

    @property
    def n(self) -> np.ndarray:
        """How many entries are known."""
        return self._count

    @property
    def mean(self) -> np.ndarray:
        """The means."""
        return self._around + self._sum / self._count

    @property
    def variance(self) -> np.ndarray:
        """The variances."""
        return np.maximum(self._squares / self._count - np.square(self._sum / self._count), 0)


class ValueCounts:
    """How often each value is there, of rows that come a piece at a time: of very many values, the frequent ones."""

    def __init__(self) -> None:
        self._times: Counter[Hashable] = Counter()

    def add(self, times: "dict[Hashable, int]") -> None:
        """Count further values in."""
        self._times.update(times)
        if len(self._times) > MOST_VALUES:
            self._times = Counter(dict(self._times.most_common(MOST_VALUES // 2)))

    @property
    def times(self) -> "dict[Hashable, int]":
        """How often each value was there, the most frequent first."""
        return dict(self._times.most_common())
