"""What becomes of the encoder's output: h → Code(z, mean, terms)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
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
    log_variance : Tensor of shape (rows, n_components), optional
        log σ² of each unit of a Gaussian code.
    h : Tensor of shape (rows, n_components), optional
        What the encoder gave, for a code whose units contend for being on.
    """

    z: Tensor
    mean: Tensor
    terms: dict[str, Tensor]
    log_variance: Tensor | None = None
    h: Tensor | None = None


ACTIVE_ABOVE = 0.01
"""Variance over rows of a unit's mean above which it says something of the rows (Burda et al. 2015, §5.2)."""

MOST_LOG_VARIANCE = 30.0
"""Where log σ² is cut: far from all rows that it was trained on a network may give any number, and its exp must not."""

LEAST_CHANGE = 0.01
"""What a unit of a sigmoid code, which is never zero, must change by over rows to count as on in any of them."""

Bottleneck = Callable[[Tensor, torch.Generator | None], Code]


def deterministic(h: Tensor, generator: torch.Generator | None = None) -> Code:
    """Hand the encoder's output on as it is."""
    return Code(h, h, {})


def top_k(h: Tensor, generator: torch.Generator | None = None, *, k: int) -> Code:
    """Keep the `k` largest units of each row and set the others to zero (Makhzani & Frey 2013, eq. 1–3)."""
    largest = h.topk(k, dim=1)
    z = torch.zeros_like(h).scatter(1, largest.indices, largest.values)
    return Code(z, z, {}, h=h)


def with_idle_units(code: Code) -> Tensor | None:
    """Return z with the units on that are on in none of the batch's rows, or None where there is no such unit.

    Each is put on in those rows where it is largest, as many as a unit is on in on average: none is left out, however
    far below the others it lies (lifetime sparsity; Makhzani & Frey 2015, *Winner-take-all autoencoders*, §2).
    """
    assert code.h is not None
    idle = (code.z == 0).all(0)
    if not idle.any():
        return None
    rows = max(1, int(code.z.count_nonzero()) // len(idle))
    largest = code.h.topk(min(rows, len(code.h)), dim=0)
    return code.z + idle * torch.zeros_like(code.h).scatter(0, largest.indices, largest.values)


def soft_threshold(h: Tensor, generator: torch.Generator | None = None, *, threshold: float) -> Code:
    """Bring each unit nearer to zero by `threshold`, and to zero where it is within: sign(h) max(|h| − θ, 0).

    It is the proximal operator of θ‖h‖₁, a step of ISTA (Gregor & LeCun 2010, *Learning fast approximations of sparse
    coding*, §2).
    """
    z = F.softshrink(h, threshold)
    return Code(z, z, {})


def gaussian(h: Tensor, generator: torch.Generator | None = None) -> Code:
    """Draw z = μ + σ ε, ε ~ N(0, 1), where h = (μ, log σ²) (Kingma & Welling 2013, eq. 9–10).

    Its term ``kl`` is KL(N(μ, σ²) ‖ N(0, 1)) of each row, summed over units, in nats. Without a generator nothing is
    drawn: z = μ.
    """
    mean, log_variance = h.chunk(2, dim=1)
    log_variance = log_variance.clamp(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
    z = mean
    if generator is not None:
        noise = torch.randn(mean.shape, generator=generator, device=h.device, dtype=h.dtype)
        z = torch.addcmul(mean, (log_variance / 2).exp(), noise)
    return Code(z, mean, {"kl": unit_kl(mean, log_variance).sum(1)}, log_variance)


def unit_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²) of each row and unit, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def deviation(code: Code) -> Tensor:
    """Return σ of each row and unit of a Gaussian code."""
    assert code.log_variance is not None
    return (code.log_variance / 2).exp()


def active_units(mean: Tensor) -> Tensor:
    """Count the units whose mean varies over the rows; the others have collapsed to the prior. Shape ()."""
    return (mean.var(0, correction=0) > ACTIVE_ABOVE).sum()


def are_on(low: Tensor, high: Tensor, least_change: float = 0) -> Tensor:
    """Tell of each unit whether it is on in any row, from the lowest and highest value that it takes: the only place.

    With a `least_change` it is on where it changes by more than that, else where it is not zero.
    """
    return high - low > least_change if least_change else (low != 0) | (high != 0)
