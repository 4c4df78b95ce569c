"""Rows and what goes with them."""

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
