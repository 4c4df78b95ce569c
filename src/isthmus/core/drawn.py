"""Normal numbers that a model draws, or that were drawn for it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Drawn(NamedTuple):
    """What stands for a generator in a compiled graph, which can take none.

    Attributes
    ----------
    normal : Tensor of shape (rows, units), optional
        What the code is drawn with; None where it is not drawn.
    """

    normal: Tensor | None


def standard_normal(like: Tensor, generator: torch.Generator | Drawn) -> Tensor:
    """Return normal numbers, as many as `like` has: those that were drawn, or new ones."""
    if isinstance(generator, Drawn):
        assert generator.normal is not None
        return generator.normal
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
