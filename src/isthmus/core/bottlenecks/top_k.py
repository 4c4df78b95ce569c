"""A code of whose units the largest are on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.bottlenecks.base import Bottleneck, Code


@dataclass(frozen=True)
class TopK(Bottleneck):
    """Keep the `k` largest units of each row and set the others to zero (Makhzani & Frey 2013, eq. 1–3)."""

    k: int
    on_by = 0.0
    is_sparse = True
    contends = True
    linear_start = "a linear dictionary"

    def __call__(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """Return the code, and what the encoder gave."""
        largest = h.topk(self.k, dim=1)
        z = torch.zeros_like(h).scatter(1, largest.indices, largest.values)
        return Code(z, z, {}, h=h)

    def starts_at_rows(self, units: int, axes: int) -> bool:
        """Of principal axes the first would win in every row."""
        return True

    def with_idle_units(self, code: Code) -> Tensor | None:
        """Return z with the units on that are on in none of the batch's rows, or None where there is no such unit.

        Each is put on in those rows where it is largest, as many as a unit is on in on average: none is left out,
        however far below the others it lies (lifetime sparsity; Makhzani & Frey 2015, *Winner-take-all autoencoders*,
        §2).
        """
        assert code.h is not None
        idle = (code.z == 0).all(0)
        if not idle.any():
            return None
        rows = max(1, int(code.z.count_nonzero()) // len(idle))
        largest = code.h.topk(min(rows, len(code.h)), dim=0)
        return code.z + idle * torch.zeros_like(code.h).scatter(0, largest.indices, largest.values)
