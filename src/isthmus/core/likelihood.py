"""What the decoder's output means: parameters → Distribution.

The distributions are our own because the run's generator must reach the draw, the sum over a row must cost one pass,
and entries that are not known must stay out of it; :mod:`torch.distributions` allows none of these.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Fit(NamedTuple):
    """How well a distribution fits rows; the two come together, as a normal's density is made of the squared error.

    Attributes
    ----------
    log_prob : Tensor of shape (rows,)
        Log-density of what is known of each row, in nats.
    squared_error : Tensor of shape (rows,)
        ‖x − mean‖² of each row, over what is known of it.
    """

    log_prob: Tensor
    squared_error: Tensor


def _squared_error(x: Tensor, mean: Tensor, known: Tensor | None) -> Tensor:
    error = (x - mean).flatten(1)
    if known is not None:
        error = error * known.flatten(1)
    return torch.linalg.vecdot(error, error)


class Distribution(Protocol):
    """A distribution of whole rows."""

    @property
    def mean(self) -> Tensor:
        """Expected row, in the units of x; shape (rows, ...)."""

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `known` is True (default: everywhere)."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows; shape (rows, ...)."""


Likelihood = Callable[[Tensor], Distribution]


@dataclass(frozen=True)
class Gaussian:
    """Independent normal features around `mean` with one standard deviation.

    −log p = ½‖x − mean‖² / σ² + D log σ + const, D the number of features.

    Parameters
    ----------
    mean : Tensor of shape (rows, ...)
        The decoder's output.
    sigma : float or Tensor of shape (), default 1
        σ, in the units of x.
    """

    mean: Tensor
    sigma: float | Tensor = 1.0

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `known` is True."""
        squared_error = _squared_error(x, self.mean, known)
        features = x[0].numel() if known is None else known.flatten(1).sum(1)
        log_sigma = self.sigma.log() if isinstance(self.sigma, Tensor) else math.log(self.sigma)
        constant = (0.5 * math.log(2 * math.pi) + log_sigma) * features
        return Fit(-0.5 * squared_error / self.sigma**2 - constant, squared_error)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.sigma * noise

    @staticmethod
    def link(x: Tensor) -> Tensor:
        """Return the parameter whose mean is `x`."""
        return x


@dataclass(frozen=True)
class Bernoulli:
    """Independent on/off features; grey values in [0, 1] are taken as the share of the time a pixel is on.

    Parameters
    ----------
    logits : Tensor of shape (rows, ...)
        The decoder's output.
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """Expected row: the share of the time that each feature is on."""
        return self.logits.sigmoid()

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, whose values are in [0, 1], where `known` is True."""
        cross_entropy = F.binary_cross_entropy_with_logits(self.logits, x, reduction="none")
        if known is not None:
            cross_entropy = cross_entropy * known
        return Fit(-cross_entropy.flatten(1).sum(1), _squared_error(x, self.mean.detach(), known))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows of zeros and ones."""
        return torch.bernoulli(self.mean, generator=generator)

    @staticmethod
    def link(x: Tensor) -> Tensor:
        """Return the parameter whose mean is `x`, kept off 0 and 1, where it would be infinite."""
        return torch.logit(x, eps=0.02)


class GaussianLikelihood(nn.Module):
    """Gaussian with one σ for all features and rows: given, or learnt with the weights (Rybkin et al. 2021).

    Parameters
    ----------
    sigma : float or None
        σ in the units of x; None learns it, from 1. What is learnt stays above ``floor``, which is 1e-3 until
        something better is known: rows that can be rebuilt exactly would make the density infinite.
    """

    link = staticmethod(Gaussian.link)
    floor: Tensor

    def __init__(self, sigma: float | None) -> None:
        super().__init__()
        self.fixed = sigma
        if sigma is None:
            self.log_excess = nn.Parameter(torch.zeros(()))
            self.register_buffer("floor", torch.tensor(1e-3))

    @property
    def sigma(self) -> float | Tensor:
        """σ as it is now."""
        return self.floor + self.log_excess.exp() if self.fixed is None else self.fixed

    def set_sigma(self, sigma: Tensor, floor: Tensor) -> None:
        """Put the σ that is learnt, and its floor, to a value."""
        self.floor.copy_(floor)
        self.log_excess.copy_((sigma - floor).clamp(min=0.01 * floor).log())

    def forward(self, mean: Tensor) -> Gaussian:
        """Return the distribution around the decoder's output."""
        return Gaussian(mean, self.sigma)


LIKELIHOODS = ("gaussian", "bernoulli")


def build_likelihood(name: str, sigma: float | None) -> Likelihood:
    """Return the likelihood of that name; `sigma`, for ``"gaussian"``, is learnt where it is None."""
    return Bernoulli if name == "bernoulli" else GaussianLikelihood(sigma)
