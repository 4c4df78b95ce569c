"""A code that is what the encoder gives."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.bottlenecks.base import Bottleneck, Code, dead_units

LEAST_CHANGE = 0.01
"""What a unit of a sigmoid code, which is never zero, must change by over rows to count as on in any of them."""


@dataclass(frozen=True)
class Deterministic(Bottleneck):
    """Hand the encoder's output on as it is.

    Parameters
    ----------
    on_by : float, optional
        What a unit must change by over rows to count as on in any of them, 0 for not being zero; None: it isn't asked.
    """

    on_by: float | None = None
    is_identity = True

    def __call__(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """Return the encoder's output as a code."""
        return Code(h, h, {})

    def stats(self, held_out: Iterable[Tensor], others: Iterable[Tensor]) -> dict[str, int]:
        """Count the units that are on in no row, where that is asked."""
        if self.on_by is None:
            return {}
        return {"dead_units": dead_units(itertools.chain(others, held_out), self.on_by)}
