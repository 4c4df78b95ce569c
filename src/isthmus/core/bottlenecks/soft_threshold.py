"""A code whose units are zero within a threshold."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.core.bottlenecks.base import Bottleneck, Code


@dataclass(frozen=True)
class SoftThreshold(Bottleneck):
    """Bring each unit nearer to zero by `threshold`, and to zero where it is within: sign(h) max(|h| − θ, 0).

    It is the proximal operator of θ‖h‖₁, a step of ISTA (Gregor & LeCun 2010, *Learning fast approximations of sparse
    coding*, §2).
    """

    threshold: float
    on_by = 0.0
    is_sparse = True
    linear_start = "a linear dictionary"

    def __call__(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """Return the code."""
        z = F.softshrink(h, self.threshold)
        return Code(z, z, {})

    def starts_at_rows(self, units: int, axes: int) -> bool:
        """Units beyond the axes would stay at zero."""
        return units > axes
