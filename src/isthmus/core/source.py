"""Where the rows of a fit come from."""

from collections.abc import Callable, Generator
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from isthmus.core.batch import Batch


class Share(NamedTuple):
    """Which rows of each batch a process takes: those of one rank of so many.

    Attributes
    ----------
    rank, world : int
        The number of the process, from 0, and how many there are.
    """

    rank: int = 0
    world: int = 1

    def of(self, n: int) -> slice:
        """Return which of `n` rows are this rank's; all of them where they are too few for two a rank.

        A rank of no row would have no gradient, and one of a single row no variance for batch normalisation. Where each
        has all rows of a batch, the mean over ranks is that over the rows as well.
        """
        return slice(0, n) if n < 2 * self.world else self.part(n)

    def part(self, n: int) -> slice:
        """Return which of `n` are this rank's, of which each is one rank's alone: none, perhaps, of few."""
        return slice(n * self.rank // self.world, n * (self.rank + 1) // self.world)


WHOLE = Share()


class Source(Protocol):
    """Rows that a model is trained on, or held against.

    ``fit`` makes an :class:`isthmus.sources.memory.MemorySource` of rows that are in memory, and takes no more of it
    than stands here. An epoch goes through :meth:`batches`; what is learnt before the first step (PCA, what stands for
    missing entries) is learnt of :meth:`representative`. Batches are on the device and in the dtype of the training; an
    entry that is not known is NaN until :meth:`map` has put something there.
    """

    def __len__(self) -> int:
        """Return how many rows there are: the epochs, the learning rate's schedule and the network's width go by it."""

    def batches(
        self, size: int, generator: torch.Generator | None = None, share: Share = WHOLE, skip: int = 0
    ) -> Generator[Batch]:
        """Yield every row once, in batches as :func:`cuts` has them: shuffled by a generator, or in its own order.

        With the generator in the same state the order is the same: so a run that was stopped goes on to the bit, after
        so many batches that it is to `skip`. Of each batch those rows alone that are a rank's share: the shares of all
        ranks are the batch, in its order, or each of them is, where it is small.
        """

    def representative(self) -> Batch:
        """Return the rows that PCA and the like are learnt of: all that are in memory; of a stream a sample."""

    def excerpt(self) -> "Source":
        """Return the rows that are looked at beside the epochs, in memory: all, or of a stream a sample."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Batch:
        """Return rows to learn something by, such as σ: `n`, spread evenly, or drawn by a generator.

        All that are :meth:`representative`, in order, where there are no more than `n`, and never fewer than half of
        what is asked for.
        """

    def fingerprint(self) -> str:
        """Return what tells these rows from others: a run goes on only with rows that have the same."""

    def map(self, function: Callable[[Batch], Batch]) -> Self:
        """Return the same rows, with something done to every batch that is taken."""

    def hold_out(self, share: float | None, generator: torch.Generator) -> tuple[Self, "Source | None", Tensor]:
        """Return rows to train on, those that are held out, and the numbers of the latter.

        Those that are held out are enough to tell better from worse by them, and none of which nothing is known. Where
        the share is None, or all rows are too few, there are none.
        """


def cuts(n: int, size: int) -> list[tuple[int, int]]:
    """Return where the batches of `n` rows begin and end.

    A last batch of one row joins the one before: it has no variance for batch normalisation, and no other row for swap
    noise.
    """
    starts = range(0, n - 1 if n % size == 1 and n > 1 else n, size)
    return list(zip(starts, [*starts[1:], n], strict=True))
