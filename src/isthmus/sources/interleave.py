"""Blocks of rows that are read side by side, each reader with a buffer that shuffles, and interleaved in batches."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple

import numpy as np
import torch

from isthmus.core.batch import Batch
from isthmus.core.source import Share

GROUP = 64
"""Batches that are put together at once, where their rows are few: what is done for each reader is done for all."""

MOST_IN_GROUP = 2**20
"""Numbers in them, at the most, unless one batch has more."""


class Part(NamedTuple):
    """A piece of a store, of which rows may be left out: there are few of these, and many of those that are taken.

    Attributes
    ----------
    block, piece : int
        Its block, and which of the block's pieces it is.
    size : int
        How many rows it has.
    left_out : ndarray of int
        Those that are not taken.
    """

    block: int
    piece: int
    size: int
    left_out: np.ndarray

    @property
    def n_taken(self) -> int:
        """How many rows are taken."""
        return self.size - len(self.left_out)


Read = Callable[[Sequence[Part]], Iterator[Batch]]
"""Yields the rows of each part."""


class ShuffledReader:
    """Parts of a store that are read one after the other: a buffer mixes the rows of neighbours.

    What is taken depends on the parts, the seed, and how many rows were taken each time, and on nothing else: skipping
    rows needs no reading.

    Parameters
    ----------
    parts : sequence of Part
    read : callable
        Reads parts.
    least : int
        Rows that the buffer keeps back for those that are to come.
    seed : int or None
        What rows are shuffled by; None: they stay in order.
    executor : Executor
        What reads ahead.
    """

    def __init__(self, parts: Sequence[Part], read: Read, least: int, seed: int | None, executor: Executor) -> None:
        self._parts, self._read, self._executor = list(parts), read, executor
        self._least = 0 if seed is None else least
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)
        self._next = 0  # the part that is read next
        self._ids = torch.empty(0, 2, dtype=torch.int64)  # of the rows in the buffer: their part, and place in it
        self._rows: Batch | None = None
        self._reading: Iterator[Batch] | None = None
        self._ahead: Future[Batch] | None = None

    def __len__(self) -> int:
        return sum(part.n_taken for part in self._parts)

    def begin(self) -> None:
        """Begin to read, where the rows that are skipped end."""
        if len(self._ids):
            self._rows = self._buffered()
        self._reading = self._read(self._parts[self._next :])
        self._read_ahead()

    def skip(self, n: int) -> None:
        """Leave out as many rows, before anything is read."""
        self._fill(n)
        self._ids = self._ids[n:]

    def take(self, n: int) -> Batch:
        """Return the next rows."""
        self._fill(n)
        assert self._rows is not None, "a reader is asked for no more rows than it has"
        taken, self._rows = self._rows.take(slice(n)), self._rows.take(slice(n, None))
        self._ids = self._ids[n:]
        return taken

    def _fill(self, n: int) -> None:
        """Read on until there are as many rows as are taken, and those that stay behind."""
        while len(self._ids) < n + self._least and self._next < len(self._parts):
            count = self._parts[self._next].n_taken
            new = torch.stack([torch.full((count,), self._next), torch.arange(count)], dim=1)
            self._ids = torch.cat([self._ids, new])
            self._next += 1
            if self._ahead is not None:
                rows = self._ahead.result()
                self._read_ahead()
                self._rows = rows if self._rows is None else joined([self._rows, rows])
            if self._generator is not None:
                order = torch.randperm(len(self._ids), generator=self._generator)
                self._ids = self._ids[order]
                self._rows = None if self._rows is None else self._rows.pick(order.to(self._rows.x.device))

    def _read_ahead(self) -> None:
        """Have the next part read while the rows that are there are trained on."""
        assert self._reading is not None
        last = self._next >= len(self._parts)
        self._ahead = None if last else self._executor.submit(next, self._reading)

    def _buffered(self) -> Batch:
        """Read the rows that were in the buffer when the skipping ended."""
        numbers = self._ids[:, 0].unique().tolist()
        found = zip(numbers, self._read([self._parts[number] for number in numbers]), strict=True)
        places = {number: (self._ids[:, 0] == number).nonzero()[:, 0] for number in numbers}
        parts = [rows.pick(self._ids[places[number], 1].to(rows.x.device)) for number, rows in found]
        order = torch.cat([places[number] for number in numbers]).argsort()
        return joined(parts).pick(order.to(parts[0].x.device))


def joined(batches: Sequence[Batch]) -> Batch:
    """Return batches as one."""
    if len(batches) == 1:
        return batches[0]
    x = torch.cat([batch.x for batch in batches])
    first = batches[0].context
    context = None if first is None else torch.cat([batch.context for batch in batches if batch.context is not None])
    if all(batch.observed is None for batch in batches):
        return Batch(x, context)
    observed = [torch.ones_like(b.x, dtype=torch.bool) if b.observed is None else b.observed for b in batches]
    return Batch(x, context, torch.cat(observed))


def interleaved(
    readers: Sequence[ShuffledReader], cuts: Sequence[tuple[int, int]], width: int, share: Share, skip: int
) -> Generator[Batch]:
    """Yield batches of rows that come from all readers in proportion; a rank's share is that of some readers.

    Parameters
    ----------
    readers : sequence of ShuffledReader
    cuts : sequence of (int, int)
        Where batches begin and end.
    width : int
        Numbers of a row.
    share : Share
        Those readers that are this rank's.
    skip : int
        Batches to leave out.
    """
    sizes = np.array([len(reader) for reader in readers])
    given, begun, own = np.zeros_like(sizes), False, range(len(readers))[share.part(len(readers))]
    group = max(1, min(GROUP, MOST_IN_GROUP // max(1, width * (cuts[0][1] - cuts[0][0]))))
    for first in range(0, len(cuts), group):
        own_cuts = cuts[first : first + group]
        reader_of = readers_of_rows(sizes, given, own_cuts)
        counts = np.bincount(reader_of, minlength=len(readers))
        given += counts
        if first + len(own_cuts) <= skip:
            for i in own:
                readers[i].skip(int(counts[i]))
            continue
        if not begun:
            for i in own:
                readers[i].begin()
            begun = True
        yield from _split(readers, own, own_cuts, reader_of, counts, max(0, skip - first))


def _split(
    readers: Sequence[ShuffledReader],
    own: range,
    cuts: Sequence[tuple[int, int]],
    reader_of: np.ndarray,
    counts: np.ndarray,
    skip: int,
) -> Iterator[Batch]:
    """Take the rows of some batches from the readers at once, and yield these."""
    is_own = (reader_of >= own.start) & (reader_of < own.stop)
    taken = [readers[i].take(int(counts[i])) for i in own if counts[i]]
    if not taken:
        return
    rows = joined(taken)
    if len(own) > 1:  # they are reader by reader, and are to be batch by batch
        place = np.empty(int(is_own.sum()), np.int64)
        place[np.argsort(reader_of[is_own], kind="stable")] = np.arange(len(place))
        rows = rows.pick(torch.from_numpy(place).to(rows.x.device))
    ends = np.cumsum(is_own)[np.array([end for _, end in cuts]) - cuts[0][0] - 1]
    for start, end in list(zip([0, *ends[:-1]], ends, strict=True))[skip:]:
        yield rows.take(slice(int(start), int(end)))


def readers_of_rows(sizes: np.ndarray, given: np.ndarray, cuts: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return which reader each row of some batches comes from, batch by batch, in the order of the readers.

    Row j of a reader of n rows has its turn at (j + ½) / n, so that all readers end together.

    Parameters
    ----------
    sizes, given : ndarray of int, of shape (readers,)
        The rows of each, and how many it has given.
    cuts : sequence of (int, int)
        Where the batches begin and end.
    """
    n = cuts[-1][1] - cuts[0][0]
    most = np.minimum(sizes - given, np.ceil(sizes * (n + 2 * len(sizes)) / sizes.sum()).astype(int) + 2)
    reader = np.repeat(np.arange(len(sizes)), most)
    row = np.concatenate([np.arange(first, first + count) for first, count in zip(given, most, strict=True)])
    reader = reader[np.lexsort((reader, (row + 0.5) / sizes[reader]))[:n]]
    batch = np.repeat(np.arange(len(cuts)), [end - start for start, end in cuts])
    return reader[np.lexsort((reader, batch))]
