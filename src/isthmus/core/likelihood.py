"""What the decoder's output means: parameters → Distribution.

The two distributions are our own because the run's generator must reach the draw and the sum over a row must cost
one pass; :mod:`torch.distributions` allows neither.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Fit(NamedTuple):
    """How well a distribution fits rows; the two come together, as a normal's density is made of the squared error.

    Attributes
    ----------
    log_prob : Tensor of shape (rows,)
        Log-density of each row in nats.
    squared_error : Tensor of shape (rows,)
        ‖x − mean‖² of each row.
    """

    log_prob: Tensor
    squared_error: Tensor


def _squared_error(x: Tensor, mean: Tensor) -> Tensor:
    error = (x - mean).flatten(1)
    return torch.linalg.vecdot(error, error)


class Distribution(Protocol):
    """A distribution of whole rows."""

    @property
    def mean(self) -> Tensor:
        """Expected row, in the units of x; shape (rows, ...)."""

    def fit(self, x: Tensor) -> Fit:
        """Hold the distribution against the rows `x`."""


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

    def fit(self, x: Tensor) -> Fit:
        """Hold the distribution against the rows `x`."""
        squared_error = _squared_error(x, self.mean)
        return Fit(-0.5 * (squared_error + math.log(2 * math.pi) * x[0].numel()), squared_error)

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

    def fit(self, x: Tensor) -> Fit:
        """Hold the distribution against the rows `x`, whose values are in [0, 1]."""
        cross_entropy = F.binary_cross_entropy_with_logits(self.logits, x, reduction="none").flatten(1).sum(1)
        return Fit(-cross_entropy, _squared_error(x, self.mean.detach()))

    @staticmethod
    def link(x: Tensor) -> Tensor:
        """Return the parameter whose mean is `x`, kept off 0 and 1, where it would be infinite."""
        return torch.logit(x, eps=0.02)


LIKELIHOODS: dict[str, type[Gaussian] | type[Bernoulli]] = {"gaussian": Gaussian, "bernoulli": Bernoulli}
