"""A code that is what the encoder gives."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.bottlenecks.base import Bottleneck, Code

LEAST_CHANGE = 0.01
"""What a unit of a sigmoid code, which is never zero, must change by over rows to count as on in any of them."""


@dataclass(frozen=True)
class Deterministic(Bottleneck):
    """Hand the encoder's output on as it is."""

    on_by: float | None = None
    name = "deterministic"
    is_identity = True

    def __call__(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """Return the encoder's output as a code."""
        return Code(h, h, {})
