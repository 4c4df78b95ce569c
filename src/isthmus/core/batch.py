"""Rows and what goes with them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

SHORT = 16
"""Steps up to which sequences are as good as equally long: padding them costs nothing to speak of."""

MOST_PADDED = 2**15
"""Steps that are padding in a batch from which on it is cheaper to go through it in parts."""


class Batch(NamedTuple):
    """Rows and what goes with them.

    Attributes
    ----------
    x : Tensor of shape (rows, ...)
        The rows, with no NaN: what stands for an entry that is not known is the model's ``fill``.
    context : Tensor of shape (rows, n_context), optional
        What encoder and decoder are told beside.
    observed : Tensor of bool, shaped like x, optional
        Which entries are known, and count; None where all are.
    """

    x: Tensor
    context: Tensor | None = None
    observed: Tensor | None = None

    def take(self, index: Tensor | slice) -> "Batch":
        """Return some of the rows."""
        return self.each(lambda tensor: tensor[index])

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.x)

    def are_empty(self) -> Tensor:
        """Tell of each row whether nothing is known of it."""
        known = ~self.x.isnan() if self.observed is None else self.observed
        return ~known.flatten(1).any(1)

    def pick(self, index: Tensor) -> "Batch":
        """Return some of the rows; of sequences as they are stored, see :class:`RaggedBatch`."""
        return self.each(lambda tensor: tensor.index_select(0, index))

    def parts(self) -> Iterator["Batch"]:
        """Yield the rows in as many batches as a network is to be given: one; see :class:`RaggedBatch`."""
        yield self

    def split(self, size: int) -> Iterator["Batch"]:
        """Yield pieces of so many rows, the last one of what is left."""
        return (self.take(slice(start, start + size)) for start in range(0, len(self.x), size))

    def each(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """Apply a function to every tensor that is there."""
        return Batch._make(None if tensor is None else function(tensor) for tensor in self)


class RaggedBatch(Batch):
    """Sequences of very unequal length, stored one after the other; what is taken of them is padded.

    The batch that :meth:`take` returns has the steps of the longest sequence in it, then the last `tail` steps of each,
    side by side at the end. Its context is of shape (rows, 2): how many steps each has before the tail, and how many
    the batch has there.

    Attributes
    ----------
    x : Tensor of shape (sum of lengths, features)
        All steps.
    context : Tensor of shape (rows, 1)
        The lengths.
    lengths, starts : Tensor of int, of shape (rows,)
        Steps of each sequence, its tail included, and where they begin.
    tail : int
        Last steps of each that are of another kind than those before.
    finish : callable or None
        What is done to a batch that is taken.
    """

    lengths: Tensor
    starts: Tensor
    tail: int
    finish: Callable[[Batch], Batch] | None

    @classmethod
    def of(cls, steps: Tensor, lengths: Tensor, starts: Tensor, tail: int) -> "RaggedBatch":
        """Make one of steps, of which so many are each sequence's."""
        batch = cls(steps, lengths[:, None].to(steps))
        batch.lengths, batch.starts, batch.tail, batch.finish = lengths, starts, tail, None
        return batch

    @property
    def n_rows(self) -> int:
        """How many sequences there are."""
        return len(self.lengths)

    def are_empty(self) -> Tensor:
        """Tell of each sequence whether nothing is known of it: all is NaN."""
        known = (~self.x.isnan()).any(1).cumsum(0)
        known = torch.cat([known.new_zeros(1), known])
        return known[self.starts + self.lengths] == known[self.starts]

    def map(self, finish: Callable[[Batch], Batch]) -> "RaggedBatch":
        """Return the same sequences, with something to be done to each batch that is taken."""
        batch = RaggedBatch.of(self.x, self.lengths, self.starts, self.tail)
        batch.finish = finish
        return batch

    def pick(self, index: Tensor) -> "RaggedBatch":
        """Return some of the sequences, stored as they are."""
        batch = RaggedBatch.of(self.x, self.lengths[index], self.starts[index], self.tail)
        batch.finish = self.finish
        return batch

    def steps_of_whole(self, length: int) -> tuple[Tensor, Tensor]:
        """Return where the steps of all sequences are stored, and the place of each in a padded row of that length."""
        first = self.lengths.cumsum(0) - self.lengths
        step = torch.arange(int(self.lengths.sum()), device=self.x.device) - first.repeat_interleave(self.lengths)
        before = (self.lengths - self.tail).repeat_interleave(self.lengths)
        place = torch.where(step < before, step, step - before + length - self.tail)
        return self.starts.repeat_interleave(self.lengths) + step, place

    def take(self, index: Tensor | slice) -> Batch:
        """Return some of the sequences, padded to the longest of them with NaN, or as `finish` has it."""
        before = self.lengths[index] - self.tail
        longest = int(before.max())
        place, own = places(before, longest, self.tail)
        x = self.x[self.starts[index][:, None] + place].masked_fill(~own[:, :, None], torch.nan)
        context = torch.stack([before, torch.full_like(before, longest)], dim=1).to(x)
        return Batch(x, context) if self.finish is None else self.finish(Batch(x, context))

    def parts(self) -> Iterator[Batch]:
        """Yield all sequences padded to the longest, or those of about one length at a time, where that pads a lot."""
        if len(self.lengths) * int(self.lengths.max()) - int(self.lengths.sum()) <= MOST_PADDED:
            yield self.take(slice(None))
        else:
            yield from self.split(len(self.lengths))

    def split(self, size: int) -> Iterator[Batch]:
        """Yield pieces of at most so many sequences that are about equally long."""
        return (self.take(part) for alike in of_one_length(self.lengths) for part in alike.split(size))


def places(before: Tensor, longest: int, tail: int) -> tuple[Tensor, Tensor]:
    """Return where each step of padded sequences is in its own, 0 where it is padding, and which are none.

    Parameters
    ----------
    before : Tensor of int, of shape (rows,)
        Steps of each before its last `tail`.
    longest : int
        How many they are padded to.
    tail : int

    Returns
    -------
    place : Tensor of int, of shape (rows, longest + tail)
    own : Tensor of bool, shaped like it
    """
    step = torch.arange(longest + tail, device=before.device)
    own = (step < before[:, None]) | (step >= longest)
    place = torch.where(step < longest, step, step - longest + before[:, None])
    return torch.where(own, place, 0), own


def of_one_length(lengths: Tensor) -> list[Tensor]:
    """Return which sequences are about equally long: those of a group within a factor of two, the longest first."""
    octave = (int(lengths.max()) / lengths.clamp(min=min(SHORT, int(lengths.max())))).log2().floor()
    return [(octave == each).nonzero()[:, 0] for each in octave.unique()]
