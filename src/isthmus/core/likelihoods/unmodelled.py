"""What a model says nothing of."""

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.core.likelihoods.base import Fit, Likelihood


@dataclass(frozen=True)
class Unmodelled:
    """What stands for a block of which a model says nothing: it has no part in the fit, and no mean.

    Parameters
    ----------
    parameters : Tensor of shape (rows, 0, ...), or of the block's shape
        What the decoder gives for it, of which nothing matters.
    size : int, optional
        The block's length; None is that of the parameters.
    """

    parameters: Tensor
    size: int | None = None

    @property
    def mean(self) -> Tensor:
        """NaN."""
        size = self.parameters.shape[1] if self.size is None else self.size
        shape = (len(self.parameters), size, *self.parameters.shape[2:])
        return self.parameters.new_full(shape, torch.nan)

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Return no part, and no error."""
        return Fit({}, x.new_zeros(len(x)))

    def log_density(self, x: Tensor) -> Tensor:
        """NaN."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """NaN."""
        return self.mean


class UnmodelledLikelihood(Likelihood):
    """No likelihood, of a block of so many entries; None is as many as the decoder gives numbers for it."""

    n_params = 0

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        self.size = size

    def forward(self, parameters: Tensor) -> Unmodelled:
        """Return what stands for a block of which nothing is said."""
        return Unmodelled(parameters, self.size)

    def cost_at_mean(self, x: Tensor) -> float:
        """Return 0."""
        return 0.0
