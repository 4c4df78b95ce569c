"""Categories: a softmax over few of them, a factored one over many."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.core.likelihoods.base import Fit, Likelihood, entropy


class Softmax(Protocol):
    """How logits tell of the categories of one entry."""

    @property
    def size(self) -> int:
        """How many categories there are."""

    @property
    def n_parameters(self) -> int:
        """How many logits there are."""

    def log_prob(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the log-probability of each row's category; shape (rows,)."""

    def mode(self, logits: Tensor) -> Tensor:
        """Return the most probable category of each row that stands for itself alone."""

    def sample(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw a category for each row."""

    def link(self, index: Tensor) -> Tensor:
        """Return the logits of categories, kept off −∞; shape (rows, n_parameters)."""


@dataclass(frozen=True)
class PlainSoftmax:
    """A logit for each category.

    Parameters
    ----------
    size : int
        How many categories there are.
    pooled : bool, default False
        Whether the last one stands for several that are rare, and is none that a row could have.
    """

    size: int
    pooled: bool = False

    @property
    def n_parameters(self) -> int:
        """How many logits there are."""
        return self.size

    def log_prob(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the log-probability of each row's category; shape (rows,)."""
        return -F.cross_entropy(logits, index, reduction="none")

    def mode(self, logits: Tensor) -> Tensor:
        """Return the most probable category of each row that stands for itself alone."""
        return (logits[:, :-1] if self.pooled and self.size > 1 else logits).argmax(1)

    def sample(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw a category for each row."""
        return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]

    def link(self, index: Tensor) -> Tensor:
        """Return the logits of categories, kept off −∞."""
        return one_hot(index[:, None], (self.size,)).clamp(min=LEAST).log()


@dataclass(frozen=True)
class FactoredSoftmax:
    """Many categories in their order, cut into groups: p(category) = p(group) p(category | group) (Goodman 2001).

    A row has a logit for each group and one for each place in a group, the same in all groups: ∝ n exp(b) is the
    probability of a place within its group, n being in how many rows a category was in training. So k categories take
    about 2 √k logits, and without any the probabilities are the categories' shares.

    Parameters
    ----------
    counts : tuple of int
        In how many rows each category was.
    pooled : bool, default False
        Whether the last one stands for several that are rare, and is none that a row could have.
    """

    counts: tuple[int, ...]
    pooled: bool = False

    @property
    def size(self) -> int:
        """How many categories there are."""
        return len(self.counts)

    @property
    def width(self) -> int:
        """Categories of a group."""
        return math.isqrt(len(self.counts) - 1) + 1

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return -(-len(self.counts) // self.width)

    @property
    def n_parameters(self) -> int:
        """How many logits there are."""
        return self.n_groups + self.width

    def log_prob(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the log-probability of each row's category; shape (rows,)."""
        group, place = index // self.width, index % self.width
        of_group, of_place = self._split(logits)
        shares, totals = self._shares(logits)
        within = (shares[group] + of_place).log_softmax(1).gather(1, place[:, None])[:, 0]
        return (of_group + totals).log_softmax(1).gather(1, group[:, None])[:, 0] + within

    def mode(self, logits: Tensor) -> Tensor:
        """Return the most probable category of each row that stands for itself alone."""
        pieces = logits.split(max(1, MOST_JOINT // len(self.counts)))
        return torch.cat([self._mode(piece) for piece in pieces])

    def _mode(self, logits: Tensor) -> Tensor:
        of_group, of_place = self._split(logits)
        shares, totals = self._shares(logits)
        top = of_place.amax(1, keepdim=True)
        normaliser = ((of_place - top).exp() @ shares.exp().T).log() + top  # log Σ n exp(b) of each group
        joint = (of_group + totals - normaliser)[:, :, None] + of_place[:, None] + shares
        return joint.flatten(1)[:, : len(self.counts) - self.pooled].argmax(1)

    def sample(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw a category for each row."""
        of_group, of_place = self._split(logits)
        shares, totals = self._shares(logits)
        group = torch.multinomial((of_group + totals).softmax(1), 1, generator=generator)[:, 0]
        place = torch.multinomial((shares[group] + of_place).softmax(1), 1, generator=generator)[:, 0]
        return group * self.width + place

    def link(self, index: Tensor) -> Tensor:
        """Return the logits of categories, kept off −∞; of what is not known they are all alike."""
        known = index >= 0
        places = [torch.where(known, index // self.width, -1), torch.where(known, index % self.width, -1)]
        sizes = (self.n_groups, self.width)
        return one_hot(torch.stack(places, dim=1), sizes).clamp(min=LEAST).log()

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        of_group, of_place = logits.split([self.n_groups, self.width], dim=1)
        return of_group, of_place

    def _shares(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log of each category's rows, of shape (groups, width), and of each group's; −∞ where none is."""
        counts = torch.zeros(self.n_groups * self.width, dtype=like.dtype, device=like.device)
        counts[: len(self.counts)] = torch.tensor(self.counts, dtype=like.dtype, device=like.device)
        counts = counts.view(self.n_groups, self.width)
        return counts.log(), counts.sum(1).log()


MOST_JOINT = 2**21
"""Categories, of all rows together, whose probabilities are looked at at once."""

LEAST = 0.02
"""Probability that a category is taken to have at the least, where a linear map aims at its logit."""


class Alike:
    """Entries that are alike, so that one call does for all of them; of a wide table there are thousands.

    Parameters
    ----------
    entry : Softmax
        What each of them is.
    places : sequence of int
        Where they are among all entries.
    starts : sequence of int
        Where the logits of each begin.
    """

    def __init__(self, entry: Softmax, places: Sequence[int], starts: Sequence[int]) -> None:
        self.entry = entry
        self.run = slice(places[0], places[-1] + 1) if places[-1] - places[0] == len(places) - 1 else None
        self.places = torch.tensor(places)
        self.first = starts[0]
        self.columns = (torch.tensor(starts)[:, None] + torch.arange(entry.n_parameters)).flatten()

    def logits_of(self, logits: Tensor) -> Tensor:
        """Return the logits of each entry of each row; shape (rows · entries, n_parameters)."""
        if self.run is None:
            own = logits.index_select(1, self.columns.to(logits.device))
        else:
            own = logits[:, self.first : self.first + len(self.columns)]
        return own.reshape(-1, self.entry.n_parameters)

    def index_of(self, index: Tensor) -> Tensor:
        """Return the category of each entry of each row; shape (rows · entries,)."""
        own = index.index_select(1, self.places.to(index.device)) if self.run is None else index[:, self.run]
        return own.reshape(-1)


def alike(entries: Sequence[Softmax]) -> tuple[Alike, ...]:
    """Return the entries, those that are alike together."""
    starts = [0, *itertools.accumulate(entry.n_parameters for entry in entries)]
    places: dict[Softmax, list[int]] = {}
    for i, entry in enumerate(entries):
        places.setdefault(entry, []).append(i)
    return tuple(Alike(entry, own, [starts[i] for i in own]) for entry, own in places.items())


@dataclass(frozen=True)
class Categorical:
    """Independent categories, one an entry, each the index of what it is; entries may have different numbers of them.

    Parameters
    ----------
    logits : Tensor of shape (rows, sum of n_parameters)
        The decoder's output: each entry's logits after those of the one before.
    entries : tuple of Softmax
        How the logits of each entry tell of its categories.
    groups : tuple of Alike
        The entries, those that are alike together.
    """

    logits: Tensor
    entries: tuple[Softmax, ...]
    groups: tuple[Alike, ...]

    @property
    def mean(self) -> Tensor:
        """The most probable category of each entry: categories have no mean."""
        return self._of_groups(lambda group: group.entry.mode(group.logits_of(self.logits))).to(self.logits)

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold the distribution against the rows `x`, where `observed` is True; the error counts what is wrong."""
        log_density = self.log_density(x)
        wrong = (x != replace(self, logits=self.logits.detach()).mean).to(x)
        if observed is not None:
            log_density, wrong = log_density * observed, wrong * observed
        return Fit({"reconstruction": log_density.sum(1)}, wrong.sum(1))

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-probability of each entry of the rows `x`."""
        index = x.long().clamp(min=0)  # what is below 0 is not known, and counts nowhere
        return self._of_groups(lambda group: group.entry.log_prob(group.logits_of(self.logits), group.index_of(index)))

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows of categories."""
        lengths = [entry.n_parameters for entry in self.entries]
        pairs = zip(self.entries, self.logits.split(lengths, dim=1), strict=True)
        return torch.stack([entry.sample(logits, generator) for entry, logits in pairs], dim=1).to(self.logits)

    def _of_groups(self, of_group: Callable[[Alike], Tensor]) -> Tensor:
        """Return what is one an entry, in their order, of what is one an entry of each group."""
        parts = [of_group(group).view(len(self.logits), -1) for group in self.groups]
        if len(parts) == 1:
            return parts[0]
        columns = torch.cat(parts, dim=1)
        if all(group.run is not None for group in self.groups):
            return columns
        order = torch.cat([group.places for group in self.groups]).argsort()
        return columns.index_select(1, order.to(columns.device))


class CategoricalLikelihood(Likelihood):
    """Categories, of which there are so many for each entry: logits → Categorical."""

    def __init__(self, entries: Sequence[Softmax]) -> None:
        super().__init__()
        self.entries = tuple(entries)
        self.n_params = tuple(entry.n_parameters for entry in self.entries)
        self.groups = alike(self.entries)

    @classmethod
    def of_sizes(cls, sizes: Sequence[int]) -> "CategoricalLikelihood":
        """Make one with a logit for each category, of which there are so many for each entry."""
        return cls([PlainSoftmax(size) for size in sizes])

    @property
    def support(self) -> tuple[float, float]:  # type: ignore[override]
        """From 0 to the last category of the entry that has most."""
        return 0.0, max((entry.size for entry in self.entries), default=1) - 1.0

    def forward(self, logits: Tensor) -> Categorical:
        """Return the distribution that the decoder's output means."""
        return Categorical(logits, self.entries, self.groups)

    def link(self, x: Tensor) -> Tensor:
        """Return the logits of the categories `x`, kept off −∞."""
        pairs = zip(self.entries, x.unbind(1), strict=True)
        return torch.cat([entry.link(index) for entry, index in pairs], dim=1)

    def cost_at_mean(self, x: Tensor) -> float:
        """Return the entropy of the categories' shares."""
        columns = [column[~column.isnan()].long() for column in x.unbind(1)]
        return sum(float(entropy(column.bincount().to(x) / len(column)).sum()) for column in columns)


def one_hot(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Turn indices of categories into a one among zeros, and what is below 0, not known, into zeros alone.

    Parameters
    ----------
    x : Tensor of shape (rows, len(sizes))
        Whole numbers, as floating-point ones.
    sizes : sequence of int
        How many categories each column has.

    Returns
    -------
    Tensor of shape (rows, sum of sizes), in the dtype of `x`
    """
    width = sum(sizes)
    offsets = torch.tensor([0, *itertools.accumulate(sizes)][:-1], device=x.device)
    index = torch.where(x < 0, width, x.long() + offsets)  # one column more takes the ones of what is not known
    # Not in place: torch.func.vmap has no rule for scatter_, says so, and takes model after model.
    return x.new_zeros(len(x), width + 1).scatter(1, index, 1.0)[:, :width]
