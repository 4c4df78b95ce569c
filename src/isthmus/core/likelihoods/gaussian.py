"""Normal features."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus.core.likelihoods.base import Distribution, Estimated, Fit, Likelihood, squared_error

LEAST_SIGMA = 1e-3
"""What a σ that is learnt does not fall below, as a share of the rows' standard deviation."""


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

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `observed` is True."""
        error = squared_error(x, self.mean, observed)
        features = x[0].numel() if observed is None else observed.flatten(1).sum(1).to(error)
        constant = -self._constant() * features
        if isinstance(constant, Tensor) or isinstance(self.sigma, Tensor):
            log_prob = constant - 0.5 * error / self.sigma**2
        else:
            log_prob = torch.rsub(error, constant, alpha=0.5 / self.sigma**2)
        return Fit({"reconstruction": log_prob}, error)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`."""
        return -0.5 * ((x - self.mean) / self.sigma).square() - self._constant()

    def _constant(self) -> float | Tensor:
        log_sigma = self.sigma.log() if isinstance(self.sigma, Tensor) else math.log(self.sigma)
        return 0.5 * math.log(2 * math.pi) + log_sigma

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.sigma * noise


class GaussianLikelihood(Likelihood):
    """Gaussian with one σ for all features and rows: given, or learnt with the weights (Rybkin et al. 2021).

    Parameters
    ----------
    sigma : float or None, default 1
        σ in the units of x; None learns it, from 1. What is learnt stays above ``floor``, which is 1e-3 until
        something better is known: rows that can be rebuilt exactly would make the density infinite.
    """

    name = "gaussian"
    has_sigma = True
    floor: Tensor

    def __init__(self, sigma: float | None = 1.0) -> None:
        super().__init__()
        self.fixed = sigma
        if sigma is None:
            self.log_excess = nn.Parameter(torch.zeros(()))
            self.register_buffer("floor", torch.tensor(1e-3))

    @property
    def sigma(self) -> float | Tensor:
        """σ as it is now."""
        return self.floor + self.log_excess.exp() if self.fixed is None else self.fixed

    def forward(self, mean: Tensor) -> Distribution:
        """Return the distribution around the decoder's output."""
        return Gaussian(mean, self.sigma)

    def estimated(self, length: int) -> list[Estimated]:
        """Return itself, where σ is learnt."""
        return [] if self.fixed is not None else [Estimated(self, slice(None), 1.0)]

    def initialise(self, deviation: Tensor, observed: Tensor) -> None:
        """Keep σ above a small share of the entries' standard deviation."""
        variance = deviation.square_().mul_(observed).sum() / observed.sum().clamp(min=1)
        floor = LEAST_SIGMA * (variance.sqrt() if variance > 0 else torch.ones_like(variance))
        self.set_sigma(floor, floor)

    def update(self, mean_squared_error: Tensor) -> None:
        """Put σ where it is most likely, at the root of the mean squared error (Rybkin et al. 2021)."""
        self.set_sigma(mean_squared_error.sqrt().to(self.floor), self.floor)

    def set_sigma(self, sigma: Tensor, floor: Tensor) -> None:
        """Put the σ that is learnt, and its floor, to a value."""
        self.floor.copy_(floor)
        self.log_excess.copy_((sigma - floor).clamp(min=0.01 * floor).log())

    def cost_at_mean(self, x: Tensor) -> float:
        """Return ½ variance / σ² of a row; a σ that is learnt is most likely at the root of the mean variance."""
        variance = float((x - x.nanmean(0)).square().nanmean(0).sum())
        return 0.5 * (x.shape[1] * (variance > 0) if self.fixed is None else variance / self.fixed**2)
