"""What the decoder's output means: parameters → Distribution.

The two distributions are our own because the run's generator must reach the draw and the sum over a row must cost
one pass; :mod:`torch.distributions` allows neither.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Distribution(Protocol):
    """A distribution of whole rows."""

    @property
    def mean(self) -> Tensor:
        """Expected row, in the units of x; shape (rows, ...)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of each row of `x` in nats; shape (rows,)."""


Likelihood = Callable[[Tensor], Distribution]


@dataclass(frozen=True)
class Gaussian:
    """Independent normal features around `mean` with standard deviation 1, so −log p = ½‖x − mean‖² + const.

    Parameters
    ----------
    mean : Tensor of shape (rows, ...)
        The decoder's output.
    """

    mean: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        squared_error = (x - self.mean).square().flatten(1).sum(1)
        return -0.5 * squared_error - 0.5 * math.log(2 * math.pi) * x[0].numel()

    @staticmethod
    def link(x: Tensor) -> Tensor:
        """The parameter whose mean is `x`."""
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
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(1)

    @staticmethod
    def link(x: Tensor) -> Tensor:
        """The parameter whose mean is `x`, kept off 0 and 1, where it would be infinite."""
        return torch.logit(x, eps=0.02)


LIKELIHOODS: dict[str, type[Gaussian] | type[Bernoulli]] = {"gaussian": Gaussian, "bernoulli": Bernoulli}
