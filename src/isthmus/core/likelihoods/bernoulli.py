"""On/off features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.core.likelihoods.base import Fit, Likelihood, entropy, fit_by_entry


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

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, whose values are in [0, 1], where `observed` is True."""
        return fit_by_entry(self, x, observed)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-probability of each entry of the rows `x`."""
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows of zeros and ones."""
        return torch.bernoulli(self.mean, generator=generator)


class BernoulliLikelihood(Likelihood):
    """On/off features: logits → Bernoulli."""

    name = "bernoulli"
    support = (0.0, 1.0)

    def forward(self, logits: Tensor) -> Bernoulli:
        """Return the distribution that the decoder's output means."""
        return Bernoulli(logits)

    def link(self, x: Tensor) -> Tensor:
        """Return the parameter whose mean is `x`, kept off 0 and 1, where it would be infinite."""
        return torch.logit(x, eps=0.02)

    def cost_at_mean(self, x: Tensor) -> float:
        """Return what rows cost at the share of the time that each feature is on."""
        mean = x.nanmean(0)
        lost = entropy(mean) + entropy(1 - mean) - (entropy(x) + entropy(1 - x)).nanmean(0)
        return float(lost.sum())
