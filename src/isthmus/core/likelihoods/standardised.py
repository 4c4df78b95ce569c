"""A likelihood in the units of each feature's own spread."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.likelihoods.base import Distribution, Estimated, Fit, Likelihood, squared_error


@dataclass(frozen=True)
class Standardised:
    """A distribution of (x − centre) / scale, told in the units of x: p(x) = p((x − centre) / scale) / Π scale.

    Parameters
    ----------
    base : Distribution
        Of rows that are standardised; its fit has one part.
    centre, scale : Tensor
        In the units of x; shaped like the end of a row, (features,) for rows of shape (steps, features).
    """

    base: Distribution
    centre: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        """Expected row, in the units of x."""
        return self.base.mean * self.scale + self.centre

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `observed` is True."""
        log_scale = self.scale.log().expand_as(x)
        if observed is not None:
            log_scale = log_scale * observed
        log_prob = self.base.fit((x - self.centre) / self.scale, observed).log_prob - log_scale.flatten(1).sum(1)
        return Fit({"reconstruction": log_prob}, squared_error(x, self.mean.detach(), observed))

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`."""
        return self.base.log_density((x - self.centre) / self.scale) - self.scale.log()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        return self.base.sample(generator) * self.scale + self.centre


class StandardisedLikelihood(Likelihood):
    """A likelihood in the units of each feature's own spread, so that none drowns another.

    Parameters
    ----------
    likelihood : Likelihood
        Of standardised rows.
    centre, scale : Tensor
        See :class:`Standardised`.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, likelihood: Likelihood, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.n_params = likelihood.n_params
        self.register_buffer("centre", centre, persistent=False)  # the estimator's mean_ and scale_ hold them
        self.register_buffer("scale", scale, persistent=False)

    @property
    def sigma(self) -> float | Tensor | None:
        """σ in the units of x, the root mean square over features; None where there is none."""
        sigma = self.likelihood.sigma
        return None if sigma is None else sigma * self.scale.square().mean().sqrt()

    def forward(self, parameters: Tensor) -> Standardised:
        """Return the distribution that the decoder's output means."""
        return Standardised(self.likelihood(parameters), self.centre, self.scale)

    def link(self, x: Tensor) -> Tensor:
        """Return the parameters whose mean is `x`."""
        return self.likelihood.link(self._standard(x))

    def estimated(self, length: int) -> list[Estimated]:
        """Return what is learnt of standardised rows."""
        return [each._replace(scale=self.scale) for each in self.likelihood.estimated(length)]

    def cost_at_mean(self, x: Tensor) -> float:
        """Return what standardised rows cost: a scale is the same for a perfect rebuild."""
        return self.likelihood.cost_at_mean(self._standard(x))

    def _standard(self, x: Tensor) -> Tensor:
        return (x - self.centre) / self.scale
