"""Rows and what goes with them."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Rows and what goes with them.

    Attributes
    ----------
    x : Tensor of shape (rows, ...)
        The rows, with no NaN: what stands for an entry that is not known is the model's ``fill``.
    context : Tensor of shape (rows, n_context), optional
        What encoder and decoder are told beside.
    known : Tensor of bool, shaped like x, optional
        Which entries count; None where all do.
    """

    x: Tensor
    context: Tensor | None = None
    known: Tensor | None = None

    def take(self, index: Tensor | slice) -> "Batch":
        """Return some of the rows."""
        return self.each(lambda tensor: tensor[index])

    def split(self, size: int) -> list["Batch"]:
        """Cut into pieces of so many rows, the last one of what is left."""
        return [self.take(slice(start, start + size)) for start in range(0, len(self.x), size)]

    def each(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Apply a function to every tensor that is there."""
        return Batch._make(None if tensor is None else function(tensor) for tensor in self)
