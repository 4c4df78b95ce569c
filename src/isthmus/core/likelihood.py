"""What the decoder's output means: parameters → Distribution.

The distributions are our own because the run's generator must reach the draw, the sum over a row must cost one pass,
and entries that are not known must stay out of it; :mod:`torch.distributions` allows none of these.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Fit(NamedTuple):
    """How well a distribution fits rows; the two come together, as a normal's density is made of the squared error.

    Attributes
    ----------
    parts : dict of str to Tensor
        Log-density of what is known of each row, in nats, of shape (rows,): of the whole row by the name
        ``reconstruction``, or of each of its blocks by theirs.
    squared_error : Tensor of shape (rows,)
        ‖x − mean‖² of each row, over what is known of it.
    """

    parts: dict[str, Tensor]
    squared_error: Tensor

    @property
    def log_prob(self) -> Tensor:
        """Log-density of what is known of each row: the sum of its parts."""
        return functools.reduce(torch.add, self.parts.values())


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

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`, in nats; shape (rows, ...)."""

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
        features = x[0].numel() if known is None else known.flatten(1).sum(1).to(squared_error)
        log_prob = -0.5 * squared_error / self.sigma**2 - self._constant() * features
        return Fit({"reconstruction": log_prob}, squared_error)

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
        log_density = self.log_density(x)
        if known is not None:
            log_density = log_density * known
        error = _squared_error(x, self.mean.detach(), known)
        return Fit({"reconstruction": log_density.flatten(1).sum(1)}, error)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-probability of each entry of the rows `x`."""
        return -F.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

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

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `known` is True."""
        log_scale = self.scale.log().expand_as(x)
        if known is not None:
            log_scale = log_scale * known
        log_prob = self.base.fit((x - self.centre) / self.scale, known).log_prob - log_scale.flatten(1).sum(1)
        return Fit({"reconstruction": log_prob}, _squared_error(x, self.mean.detach(), known))

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`."""
        return self.base.log_density((x - self.centre) / self.scale) - self.scale.log()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        return self.base.sample(generator) * self.scale + self.centre


class StandardisedLikelihood(nn.Module):
    """A likelihood in the units of each feature's own spread, so that none drowns another.

    Parameters
    ----------
    likelihood : callable
        Parameters → distribution of standardised rows.
    centre, scale : Tensor
        See :class:`Standardised`.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, likelihood: Likelihood, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.register_buffer("centre", centre, persistent=False)  # the estimator's mean_ and scale_ hold them
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, parameters: Tensor) -> Standardised:
        """Return the distribution that the decoder's output means."""
        return Standardised(self.likelihood(parameters), self.centre, self.scale)

    def link(self, x: Tensor) -> Tensor:
        """Return the parameters whose mean is `x`."""
        return self.likelihood.link((x - self.centre) / self.scale)  # type: ignore[attr-defined]


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

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Return no part, and no error."""
        return Fit({}, x.new_zeros(len(x)))

    def log_density(self, x: Tensor) -> Tensor:
        """NaN."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """NaN."""
        return self.mean


class Block(NamedTuple):
    """A run of a row's entries along its first axis that has a likelihood of its own.

    Attributes
    ----------
    name : str
        What its term is called in the loss, the log and the score.
    likelihood : callable
        The block's parameters → its distribution.
    size : int or None
        Its length along the row's first axis; None, for one block, is what the others leave.
    n_parameters : int or None
        The length of its parameters along the first axis of the decoder's output; likewise.
    """

    name: str
    likelihood: Likelihood
    size: int | None
    n_parameters: int | None


@dataclass(frozen=True)
class Product:
    """Independent blocks of a row, one after the other along its first axis: p(x) = Π p(block).

    Parameters
    ----------
    blocks : dict of str to Distribution
        Each block's distribution.
    sizes : tuple of int
        Each block's length.
    """

    blocks: dict[str, Distribution]
    sizes: tuple[int, ...]

    @property
    def mean(self) -> Tensor:
        """Expected row."""
        return torch.cat([block.mean for block in self.blocks.values()], dim=1)

    def fit(self, x: Tensor, known: Tensor | None = None) -> Fit:
        """Hold each block against its part of the rows `x`, where `known` is True."""
        knowns = [None] * len(self.sizes) if known is None else known.split(self.sizes, dim=1)
        parts = zip(self.blocks.items(), x.split(self.sizes, dim=1), knowns, strict=True)
        fits = {name: block.fit(part, part_known) for (name, block), part, part_known in parts}
        squared_error = functools.reduce(torch.add, [fit.squared_error for fit in fits.values()])
        return Fit({name: fit.log_prob for name, fit in fits.items() if fit.parts}, squared_error)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`."""
        parts = zip(self.blocks.values(), x.split(self.sizes, dim=1), strict=True)
        return torch.cat([block.log_density(part) for block, part in parts], dim=1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        return torch.cat([block.sample(generator) for block in self.blocks.values()], dim=1)


class ProductLikelihood(nn.Module):
    """A likelihood for each block of a row: of the cells of a table, the steps of a sequence, several modalities.

    Parameters
    ----------
    blocks : sequence of Block
        In the order in which they follow one another, in rows and in parameters alike.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        # Registered, so that what they learn is trained and saved.
        self.learnt = nn.ModuleList(block.likelihood for block in blocks if isinstance(block.likelihood, nn.Module))

    def forward(self, parameters: Tensor) -> Product:
        """Return the distribution that the decoder's output means."""
        lengths = _filled_up([block.n_parameters for block in self.blocks], parameters.shape[1])
        distributions = [
            block.likelihood(part) for block, part in zip(self.blocks, parameters.split(lengths, dim=1), strict=True)
        ]
        sizes = [
            length if block.size is None else block.size for block, length in zip(self.blocks, lengths, strict=True)
        ]
        return Product(dict(zip((block.name for block in self.blocks), distributions, strict=True)), tuple(sizes))

    def slices(self, length: int) -> dict[str, slice]:
        """Return where each block is in a row of that length."""
        sizes = _filled_up([block.size for block in self.blocks], length)
        ends = list(itertools.accumulate(sizes))
        return {block.name: slice(end - size, end) for block, size, end in zip(self.blocks, sizes, ends, strict=True)}

    def link(self, x: Tensor) -> Tensor:
        """Return the parameters whose mean is `x`."""
        parts = zip(self.blocks, self.slices(x.shape[1]).values(), strict=True)
        return torch.cat([block.likelihood.link(x[:, part]) for block, part in parts], dim=1)  # type: ignore[attr-defined]


def _filled_up(sizes: Sequence[int | None], whole: int) -> list[int]:
    """Put what is left of the whole in the place of the one size that is not given."""
    rest = whole - sum(size or 0 for size in sizes)
    return [rest if size is None else size for size in sizes]


LIKELIHOODS = ("gaussian", "bernoulli")


def build_likelihood(name: str, sigma: float | None) -> Likelihood:
    """Return the likelihood of that name; `sigma`, for ``"gaussian"``, is learnt where it is None."""
    return Bernoulli if name == "bernoulli" else GaussianLikelihood(sigma)
