"""What becomes of the encoder's output: h → Code(z, mean, terms)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Code(NamedTuple):
    """What a bottleneck makes of a batch.

    Attributes
    ----------
    z : Tensor of shape (rows, n_components)
        What the decoder is given.
    mean : Tensor of shape (rows, n_components)
        What ``transform`` returns.
    terms : dict of str to Tensor
        The bottleneck's own terms of the loss, unweighted and in nats; empty for a deterministic code.
    """

    z: Tensor
    mean: Tensor
    terms: dict[str, Tensor]


Bottleneck = Callable[[Tensor, torch.Generator | None], Code]


def deterministic(h: Tensor, generator: torch.Generator | None = None) -> Code:
    """Hand the encoder's output on as it is."""
    return Code(h, h, {})


def top_k(h: Tensor, generator: torch.Generator | None = None, *, k: int) -> Code:
    """Keep the `k` largest units of each row and set the others to zero (Makhzani & Frey 2013, eq. 1–3)."""
    largest = h.topk(k, dim=1)
    z = torch.zeros_like(h).scatter(1, largest.indices, largest.values)
    return Code(z, z, {})
