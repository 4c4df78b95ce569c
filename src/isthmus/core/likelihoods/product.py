"""Blocks of a row, each with a likelihood of its own."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isthmus.core.likelihoods.base import Distribution, Estimated, Fit, Likelihood


class Block(NamedTuple):
    """A run of a row's entries along its first axis that has a likelihood of its own.

    Attributes
    ----------
    name : str
        What its term is called in the loss, the log and the score.
    likelihood : Likelihood
        Of its entries.
    size : int or None
        Its length along the row's first axis; None, for one block, is what the others leave.
    """

    name: str
    likelihood: Likelihood
    size: int | None


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

    def fit(self, x: Tensor, observed: Tensor | None = None) -> Fit:
        """Hold each block against its part of the rows `x`, where `observed` is True."""
        masks = [None] * len(self.sizes) if observed is None else observed.split(self.sizes, dim=1)
        parts = zip(self.blocks.items(), x.split(self.sizes, dim=1), masks, strict=True)
        fits = {name: block.fit(part, mask) for (name, block), part, mask in parts}
        squared_error = functools.reduce(torch.add, [fit.squared_error for fit in fits.values()])
        return Fit({name: fit.log_prob for name, fit in fits.items() if fit.parts}, squared_error)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log-density of each entry of the rows `x`."""
        parts = zip(self.blocks.values(), x.split(self.sizes, dim=1), strict=True)
        return torch.cat([block.log_density(part) for block, part in parts], dim=1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw rows."""
        return torch.cat([block.sample(generator) for block in self.blocks.values()], dim=1)


class ProductLikelihood(Likelihood):
    """A likelihood for each block of a row: of the cells of a table, the steps of a sequence, several modalities.

    Parameters
    ----------
    blocks : sequence of Block
        In the order in which they follow one another, in rows and in parameters alike.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        # Registered, so that what they learn is trained and saved; by which number is part of saved files.
        self.learnt = nn.ModuleList(block.likelihood for block in blocks if block.likelihood.has_state)

    @property
    def sigma(self) -> float | Tensor | None:
        """σ of the first block that has one."""
        return next((block.likelihood.sigma for block in self.blocks if block.likelihood.sigma is not None), None)

    def forward(self, parameters: Tensor) -> Product:
        """Return the distribution that the decoder's output means."""
        widths = [None if block.size is None else block.likelihood.width(block.size) for block in self.blocks]
        lengths = _filled_up(widths, parameters.shape[1])
        parts = zip(self.blocks, parameters.split(lengths, dim=1), strict=True)
        sizes = [
            length if block.size is None else block.size for block, length in zip(self.blocks, lengths, strict=True)
        ]
        return Product({block.name: block.likelihood(part) for block, part in parts}, tuple(sizes))

    def slices(self, length: int) -> dict[str, slice]:
        """Return where each block is in a row of that length."""
        sizes = _filled_up([block.size for block in self.blocks], length)
        ends = list(itertools.accumulate(sizes))
        return {block.name: slice(end - size, end) for block, size, end in zip(self.blocks, sizes, ends, strict=True)}

    def link(self, x: Tensor) -> Tensor:
        """Return the parameters whose mean is `x`."""
        return torch.cat([likelihood.link(part) for likelihood, part in self._each(x)], dim=1)

    def estimated(self, length: int) -> list[Estimated]:
        """Return what is learnt of each block."""
        parts = zip(self.blocks, self.slices(length).values(), strict=True)
        return [each._replace(block=part) for block, part in parts for each in block.likelihood.estimated(length)]

    def cost_at_mean(self, x: Tensor) -> float:
        """Return what all blocks cost."""
        return sum(likelihood.cost_at_mean(part) for likelihood, part in self._each(x))

    def _each(self, x: Tensor) -> list[tuple[Likelihood, Tensor]]:
        parts = self.slices(x.shape[1]).values()
        return [(block.likelihood, x[:, part]) for block, part in zip(self.blocks, parts, strict=True)]


def _filled_up(sizes: Sequence[int | None], whole: int) -> list[int]:
    """Put what is left of the whole in the place of the one size that is not given."""
    rest = whole - sum(size or 0 for size in sizes)
    return [rest if size is None else size for size in sizes]
