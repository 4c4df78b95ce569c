"""Rows, conditions and what is hidden of them, as arrays that a model takes."""

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np

from isthmus.formats.rows import in_unit_interval
from isthmus.formats.sequences import Ragged

Results = TypeVar("Results", np.ndarray, Ragged)

AT_ONCE = 2**18
"""Numbers that are compared at once."""


class Given(NamedTuple):
    """A person's rows, as the model takes them.

    Attributes
    ----------
    x : ndarray of shape (n, ...), or Ragged
        Rows, or codes; NaN where an entry is not known. Bytes become numbers a batch at a time.
    context : ndarray of shape (n, n_context), optional
        What encoder and decoder are told beside.
    hidden : ndarray of bool, shaped like x, optional
        Which entries are taken for not known beside.
    """

    x: Any
    context: np.ndarray | None = None
    hidden: np.ndarray | None = None

    @property
    def dtype(self) -> np.dtype:
        """In which results are handed back."""
        return np.dtype(np.float32) if self.x.dtype == np.uint8 else self.x.dtype

    @property
    def values(self) -> np.ndarray:
        """All numbers, in an array of some shape."""
        return self.x.steps if isinstance(self.x, Ragged) else self.x

    @property
    def known(self) -> np.ndarray:
        """Which entries are known; shaped like x."""
        known = ~np.isnan(self.x)
        return known if self.hidden is None else known & ~self.hidden

    def put_known(self, results: Results) -> Results:
        """Put what is known of the rows in its place in what was computed of them, to the bit."""
        if isinstance(results, Ragged):
            np.copyto(results.steps, self.x.steps, where=~np.isnan(self.x.steps))
            return results
        size = max(1, AT_ONCE // math.prod(results.shape[1:]))
        for start in range(0, len(results), size):
            part = self.take(slice(start, start + size))
            np.copyto(results[start : start + size], in_unit_interval(part.x), where=part.known)
        return results

    def take(self, rows: slice | np.ndarray) -> "Given":
        """Return some of the rows; sequences padded to the longest of them, with that as their context."""
        if isinstance(self.x, Ragged):
            return Given(*self.x.take(rows))
        return Given._make(None if each is None else each[rows] for each in self)
