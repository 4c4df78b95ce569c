"""What becomes of the encoder's output: h → Code(z, mean, terms), and what must be known of it elsewhere."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import chain
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor


class Code(NamedTuple):
    """What a bottleneck makes of a batch.

    Attributes
    ----------
    z : Tensor of shape (rows, n_components)
        What the decoder is given.
    mean : Tensor of shape (rows, n_components)
        What ``transform`` returns.
    terms : dict of str to Tensor
        The bottleneck's own terms of the loss, unweighted and in nats, of shape (rows,) or (), by names that no other
        term has; empty for a deterministic code.
    log_variance : Tensor of shape (rows, n_components), optional
        log σ² of each unit of a Gaussian code.
    h : Tensor of shape (rows, n_components), optional
        What the encoder gave, for a code whose units contend for being on.
    """

    z: Tensor
    mean: Tensor
    terms: dict[str, Tensor]
    log_variance: Tensor | None = None
    h: Tensor | None = None


class Normals(Protocol):
    """What normal numbers are drawn from, as from NumPy's generators."""

    def standard_normal(self, size: tuple[int, int], /) -> object:
        """Return an array of that shape."""


class Prior(ABC):
    """The distribution p(z) that codes are held against, and new ones are drawn from.

    One that is a :class:`torch.nn.Module` too is trained with the model, and saved.
    """

    @abstractmethod
    def sample(self, n: int, units: int, generator: Normals) -> Tensor:
        """Draw codes.

        Parameters
        ----------
        n : int
            How many.
        units : int
            The width of each.
        generator : numpy.random.RandomState
            What all is drawn from.

        Returns
        -------
        Tensor of float32, of shape (n, units)
            The codes.
        """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) of each code in nats; shape (rows,)."""

    def energy(self, z: Tensor) -> Tensor:
        """Return −log p(z) of each code, up to a constant."""
        return -self.log_prob(z)

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """Return KL(N(μ, σ²) ‖ p) of each row in nats; None where it has no closed form, and is estimated by draws."""
        return None

    def log_ratio(self, z: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
        """Return log p(z) − log q(z) of each row in nats, for z = μ + σ ε drawn from q = N(μ, σ²)."""
        return self.log_prob(z) + 0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).sum(1)


class _Registered:
    """None, or the module that is registered by the name ``prior``: a class's own attribute would hide it."""

    def __get__(self, bottleneck: object, kind: type) -> object:
        return getattr(bottleneck, "__dict__", {}).get("_modules", {}).get("prior")


class Bottleneck(ABC):
    """What becomes of the encoder's output.

    Attributes
    ----------
    name : str
        What it can be asked for by; one that is not declared in a class itself has none, as of a bottleneck that needs
        parameters.
    n_params : int
        Numbers that the encoder gives of each unit: its value; or its mean and the logarithm of its variance.
    prior : Prior or None
        What codes are drawn from; None for one that is a point. One that is a Module too is trained and saved.
    on_by : float or None
        What a unit must change by over rows to count as on in any of them, 0 for not being zero; None: it isn't asked.
    is_identity : bool
        Whether the code is what the encoder gives.
    is_sparse : bool
        Whether units are zero where they say nothing, so that the start must put them on.
    contends : bool
        Whether units contend for being on, so that training must keep them from never being so.
    linear_start : str
        What a linear path starts at.
    measures : tuple of str
        The names of what :meth:`measure` gives.
    """

    name: ClassVar[str]
    n_params: ClassVar[int] = 1
    prior: Prior | None = _Registered()  # type: ignore[assignment]
    on_by: float | None = None
    is_identity: ClassVar[bool] = False
    is_sparse: ClassVar[bool] = False
    contends: ClassVar[bool] = False
    linear_start: ClassVar[str] = "PCA"
    measures: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """Return the code of the encoder's output, of shape (rows, n_params · units); without a generator its mean."""

    def starts_at_rows(self, units: int, axes: int) -> bool:
        """Tell whether so many units would be off at as many principal axes, and start at rows instead."""
        return False

    def measure(self, code: Code) -> dict[str, Tensor]:
        """Return what a batch's record says of its code, each of shape (); by default nothing."""
        return {}

    def stats(self, held_out: Iterable[Tensor], others: Iterable[Tensor]) -> dict[str, int]:
        """Return what is said of a trained model's code, by the means of rows in batches; by default units never on."""
        return {} if self.on_by is None else {"dead_units": dead_units(chain(others, held_out), self.on_by)}

    def with_idle_units(self, code: Code) -> Tensor | None:
        """Return z with the units on too that are on in no row of a batch, where units contend; None where all are."""
        return None


def dead_units(means: Iterable[Tensor], least_change: float) -> int:
    """Count the units that are on in none of the rows, which come in batches."""
    ranges = [torch.aminmax(mean, dim=0) for mean in means]
    low, high = (torch.stack(ends) for ends in zip(*ranges, strict=True))
    return int((~are_on(low.amin(0), high.amax(0), least_change)).sum())


def are_on(low: Tensor, high: Tensor, least_change: float = 0) -> Tensor:
    """Tell of each unit whether it is on in any row, from the lowest and highest value that it takes: the only place.

    With a `least_change` it is on where it changes by more than that, else where it is not zero.
    """
    return high - low > least_change if least_change else (low != 0) | (high != 0)
