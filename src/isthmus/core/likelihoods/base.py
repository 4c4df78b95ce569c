"""What a decoder's output means: parameters → Distribution.

The distributions are our own because the run's generator must reach the draw, the sum over a row must cost one pass,
and entries that are not known must stay out of it; :mod:`torch.distributions` allows none of these.
"""

import functools
import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import InputError


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


class Distribution(Protocol):
    """A distribution of whole rows."""

    @property
    def mean(self) -> Tensor:
        """Expected row, in the units of x; shape (rows, ...)."""

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `observed` is True (default: everywhere)."""

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`, in nats; shape (rows, ...)."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows; shape (rows, ...)."""


class Likelihood(nn.Module, ABC):
    """What a decoder's output means, and what must be known of it elsewhere; what it learns is trained and saved.

    The attribute ``sigma`` is reserved: a subclass keeps what is its own by another name.

    Attributes
    ----------
    name : str
        What `likelihood=` takes for it; one that is not declared in a class itself has none.
    n_params : int or tuple of int
        Parameters that an entry takes of the decoder's output; a tuple where that is not the same for all.
    support : tuple of float
        The lowest and the highest value that an entry may have.
    has_sigma : bool
        Whether it takes a σ, given or (None) learnt.
    fixed : float or None
        σ where it was given.
    """

    name: ClassVar[str]
    n_params: int | tuple[int, ...] = 1
    support: tuple[float, float] = (-math.inf, math.inf)
    has_sigma: ClassVar[bool] = False
    fixed: float | None = None

    @classmethod
    def build(cls, sigma: float | None) -> "Likelihood":
        """Return one with that σ, or None to learn it, where it takes one."""
        return cls(sigma) if cls.has_sigma else cls()

    @abstractmethod
    def forward(self, parameters: Tensor) -> Distribution:
        """Return the distribution that the decoder's output, of shape (rows, width, ...), means."""

    @abstractmethod
    def cost_at_mean(self, x: Tensor) -> float:
        """Return what rows cost at their mean, or class frequencies, above a perfect rebuild, in nats a row.

        Parameters
        ----------
        x : Tensor of shape (n, size)
            The rows, with NaN where they are not known.
        """

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; that of a property says so where it is not to be set."""
        if name == "sigma" and type(self).sigma is Likelihood.sigma:
            raise InputError(
                f"{type(self).__name__} sets self.sigma, which is reserved for what the estimator has as sigma_: give "
                "the attribute another name"
            )
        super().__setattr__(name, value)  # type: ignore[arg-type]  # it takes anything

    def link(self, x: Tensor) -> Tensor:
        """Return the parameters whose mean is `x`, where the linear start aims; by default `x` itself, then zeros.

        Parameters
        ----------
        x : Tensor of shape (rows, size, ...)

        Returns
        -------
        Tensor of shape (rows, width(size), ...)
        """
        more = self.width(x.shape[1]) - x.shape[1]
        return x if more <= 0 else torch.cat([x, x.new_zeros(len(x), more, *x.shape[2:])], 1)

    def width(self, size: int) -> int:
        """Return how many parameters so many entries take."""
        return sum(self.n_params) if isinstance(self.n_params, tuple) else self.n_params * size

    @property
    def sigma(self) -> float | Tensor | None:
        """σ as it is now, in the units of x; None where there is none."""
        return None

    @property
    def has_state(self) -> bool:
        """Whether it has numbers of its own."""
        return any(True for held in (self.parameters(), self.buffers()) for _ in held)

    def estimated(self, length: int) -> list["Estimated"]:
        """Return what is set by rows of that length in closed form, of its parts too; by default nothing."""
        return []

    def initialise(self, deviation: Tensor, observed: Tensor) -> None:
        """Begin with what is learnt where training rows would have it; by default nothing is.

        Parameters
        ----------
        deviation : Tensor of shape (n, ...)
            The rows' entries less the mean of each, in units of the scale; may be written over.
        observed : Tensor of bool
            Which of them are known.
        """

    def update(self, mean_squared_error: Tensor) -> None:
        """Set what is learnt, after an epoch, by its entries' mean squared error in units of the scale."""


class Estimated(NamedTuple):
    """A likelihood of which something is set by the rows in closed form.

    Attributes
    ----------
    likelihood : Likelihood
    block : slice
        The part of a row's first axis that it is about.
    scale : Tensor or float
        The unit in which it sees the rows, in theirs.
    """

    likelihood: Likelihood
    block: slice
    scale: Tensor | float


def squared_error(x: Tensor, mean: Tensor, observed: Tensor | None) -> Tensor:
    """Return ‖x − mean‖² of each row, where `observed` is True."""
    error = F.mse_loss(mean, x, reduction="none")  # one pass each way
    if observed is not None:
        error = error * observed
    return error.flatten(1).sum(1)


def fit_by_entry(distribution: Distribution, x: Tensor, observed: Tensor | None) -> Fit:
    """Hold a distribution of independent entries against the rows `x`, where `observed` is True."""
    log_density = distribution.log_density(x)
    if observed is not None:
        log_density = log_density * observed
    error = squared_error(x, distribution.mean.detach(), observed)
    return Fit({"reconstruction": log_density.flatten(1).sum(1)}, error)


def entropy(p: Tensor) -> Tensor:
    """Return −p log p, 0 where p is."""
    return -p * torch.where(p == 0, 1, p).log()
