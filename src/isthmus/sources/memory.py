"""Rows in memory."""

import hashlib
import math
from collections.abc import Callable, Generator
from typing import Self

import torch
from torch import Tensor

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.source import WHOLE, Share, cuts

ENOUGH_TO_CHOOSE_BY = 50
"""Held-out rows under which the choice of the best epoch is a matter of luck."""


class MemorySource:
    """Rows in tensors, or some of them, to be taken in batches: only these are copied; see :class:`Source`.

    Parameters
    ----------
    whole : Batch
        Rows, on the device where they will be used.
    index : Tensor of int, optional
        Which of them these are, in order; None: all.
    """

    def __init__(self, whole: Batch, index: Tensor | None = None) -> None:
        self.whole = whole
        self.index = index

    def __len__(self) -> int:
        return self.whole.n_rows if self.index is None else len(self.index)

    def batches(
        self, size: int, generator: torch.Generator | None = None, share: Share = WHOLE, skip: int = 0
    ) -> Generator[Batch]:
        """Yield batches in order, or shuffled where there is a generator.

        The order of sequences of very unequal length is that of their lengths: they are padded by the batch. Shuffled
        they come as others do, and a batch goes through the network in parts of about one length.
        """
        order = self.index
        if generator is not None:
            order = self._drawn(generator)
        elif isinstance(self.whole, RaggedBatch):
            order = self._numbers
            order = order[self.whole.lengths[order].argsort(stable=True)]
        for start, end in cuts(len(self), size)[skip:]:
            own = share.of(end - start)
            start, end = start + own.start, start + own.stop
            yield self.whole.take(slice(start, end)) if order is None else self.whole.pick(order[start:end])

    def representative(self) -> Batch:
        """Return all rows."""
        return self.sample(len(self))

    def excerpt(self) -> Self:
        """Return all rows."""
        return self

    def sample(self, n: int, generator: torch.Generator | None = None) -> Batch:
        """Return at most `n` rows, spread evenly, or drawn by a generator; all where there are no more."""
        if generator is not None:
            return self.whole.pick(self._drawn(generator)[:n])
        every = math.ceil(len(self) / n)
        if self.index is None and not isinstance(self.whole, RaggedBatch):
            return self.whole.take(slice(None, None, every))
        return self.whole.pick(self._numbers[::every])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the rows and their context: their shapes, dtypes and bytes."""
        rows, digest = self.representative(), hashlib.sha256()
        for tensor in (rows.x, rows.context):
            if tensor is not None:
                array = tensor.cpu().contiguous().numpy()
                digest.update(f"{array.shape}{array.dtype}".encode())
                digest.update(array.data)
        return digest.hexdigest()

    def map(self, function: Callable[[Batch], Batch]) -> Self:
        """Return the same rows, with something done to all of them at once."""
        return type(self)(function(self.whole), self.index)

    def hold_out(self, share: float | None, generator: torch.Generator) -> tuple[Self, Self | None, Tensor]:
        """Return rows to train on, rows that are held out, and the numbers of the latter.

        They are that share of the rows, but no fewer than 50, or a quarter where that is less.
        """
        empty = self.whole.are_empty()
        n_known = len(self) - int(empty[self._numbers].sum())
        if share is None or n_known < 3:
            return self, None, torch.empty(0, dtype=torch.int64)
        n = min(max(math.ceil(share * n_known), min(ENOUGH_TO_CHOOSE_BY, n_known // 4), 2), n_known - 1)
        order = self._drawn(generator)
        order = torch.cat([order[~empty[order]], order[empty[order]]])
        return self._part(order[n:]), self._part(order[:n]), order[:n]

    def _part(self, index: Tensor) -> Self:
        """Return some of the rows; where all of them is known, nothing is said of it."""
        whole = self.whole
        if whole.observed is not None and whole.observed.index_select(0, index).all():
            whole = whole._replace(observed=None)
        return type(self)(whole, index)

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """Return the rows' numbers in an order that is drawn."""
        drawn = torch.randperm(len(self), generator=generator, device=generator.device).to(self.whole.x.device)
        return drawn if self.index is None else self.index[drawn]

    @property
    def _numbers(self) -> Tensor:
        return torch.arange(len(self), device=self.whole.x.device) if self.index is None else self.index
