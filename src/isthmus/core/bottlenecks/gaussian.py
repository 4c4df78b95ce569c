"""A code that is drawn from a normal around its mean."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.bottlenecks.base import Bottleneck, Code, Normals, Prior

ACTIVE_ABOVE = 0.01
"""Variance over rows of a unit's mean above which it says something of the rows (Burda et al. 2015, §5.2)."""

MOST_LOG_VARIANCE = 30.0
"""Where log σ² is cut: far from all rows that it was trained on a network may give any number, and its exp must not."""

ENOUGH_ROWS = 10_000
"""Rows by which active units are counted, at the most, give or take a batch."""


@dataclass(frozen=True)
class StandardNormal(Prior):
    """N(0, 1) for each unit."""

    def sample(self, n: int, units: int, generator: Normals) -> Tensor:
        """Draw `n` codes."""
        return torch.as_tensor(generator.standard_normal((n, units))).float()

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) of each code in nats."""
        return -self.energy(z) - 0.5 * z.shape[1] * math.log(2 * math.pi)

    def energy(self, z: Tensor) -> Tensor:
        """Return ½‖z‖²."""
        return 0.5 * z.square().sum(1)

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return KL(N(μ, σ²) ‖ N(0, 1)) of each row."""
        return unit_kl(mean, log_variance).sum(1)

    def log_ratio(self, z: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
        """Return log p(z) − log q(z), of two normals with the same constant."""
        return 0.5 * (noise.square() - z.square() + log_variance).sum(1)


class Drawn(NamedTuple):
    """Normal numbers that were drawn before, in a generator's place, for each of the models that are trained as one.

    Attributes
    ----------
    noise : Tensor of shape (rows, n_components)
    """

    noise: Tensor


@dataclass(frozen=True)
class GaussianBottleneck(Bottleneck):
    """Draw z = μ + σ ε, ε ~ N(0, 1), where h = (μ, log σ²) (Kingma & Welling 2013, eq. 9–10).

    Its term ``kl`` is KL(N(μ, σ²) ‖ p(z)) of each row, summed over units, in nats. Without a generator nothing is
    drawn: z = μ.
    """

    prior: Prior = StandardNormal()
    name = "gaussian"
    n_params = 2
    linear_start = "probabilistic PCA"
    measures = ("active_units",)

    def __call__(self, h: Tensor, generator: torch.Generator | Drawn | None = None) -> Code:
        """Return the code, drawn where there is a generator."""
        mean, log_variance = h.chunk(2, dim=1)
        log_variance = log_variance.clamp(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        z, noise = mean, torch.zeros_like(mean)
        if generator is not None:
            noise = generator.noise if isinstance(generator, Drawn) else drawn_noise(mean, generator)
            z = torch.addcmul(mean, (log_variance / 2).exp(), noise)
        kl = self.prior.kl(mean, log_variance)
        return Code(z, mean, {"kl": -self.prior.log_ratio(z, noise, log_variance) if kl is None else kl}, log_variance)

    def measure(self, code: Code) -> dict[str, Tensor]:
        """Count the active units of a batch."""
        return {"active_units": active_units(code.mean.detach())}

    def stats(self, held_out: Iterable[Tensor], others: Iterable[Tensor]) -> dict[str, int]:
        """Count the active units over rows held out."""
        means: list[Tensor] = []
        for mean in held_out:
            means.append(mean)
            if sum(map(len, means)) >= ENOUGH_ROWS:
                break
        return {"active_units": int(active_units(torch.cat(means)))}


def drawn_noise(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Draw ε for each row and unit of a code."""
    return torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)


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
