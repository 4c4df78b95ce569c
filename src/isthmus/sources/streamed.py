"""Rows that are larger than memory, behind the contract of a source."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor
from itertools import accumulate
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.source import WHOLE, Share, Source, cuts
from isthmus.errors import InputError
from isthmus.sources.interleave import Part, ShuffledReader, interleaved
from isthmus.sources.memory import MemorySource
from isthmus.sources.pieces import Feed, Piece, Store, Stream, merged, n_rows
from isthmus.sources.reading import reading
from isthmus.sources.shuffle_buffer import through_buffer
from isthmus.sources.survey import digest

MOST_READERS = 8
"""Blocks that are read side by side, at the most: neighbours in the files are not neighbours in a batch."""

BUFFERED = 2**21
"""Numbers in the buffers of all readers together, at the least, where the rows have as many."""

MOST_HELD_OUT = 0.5
"""Of the sample, the rows that are held out, at the most."""

Encode = Callable[[Piece], Batch]
"""Brings rows as they are read to the device, as the model takes them."""


class Sample(NamedTuple):
    """Rows of a stream that are kept in memory, drawn at random over all of it.

    Attributes
    ----------
    rows : MemorySource
        The rows.
    numbers : ndarray of int
        Which of the stream's they are, in order.
    n : int
        How many the stream has.
    begins : str
        What tells its first piece from others: see :func:`isthmus.sources.survey.digest`.
    checksum : int
        Of all rows, where the signature does not stand for them.
    """

    rows: MemorySource
    numbers: np.ndarray
    n: int
    begins: str
    checksum: int = 0


class StreamSource:
    """Rows that come a piece at a time; see :class:`isthmus.core.source.Source`.

    What is learnt first, and what is looked at beside the epochs, is a sample that is kept in memory; the rows that are
    held out are some of it.

    Parameters
    ----------
    stream : Stream
        Where they come from.
    encode : callable
        Makes a batch of a piece.
    sample : Sample
        Some of them.
    held_out : ndarray of int
        Rows that are left out, in order.
    functions : tuple of callables
        What is done to each batch that is read.
    """

    def __init__(
        self,
        stream: Stream,
        encode: Encode,
        sample: Sample,
        held_out: np.ndarray | None = None,
        functions: Sequence[Callable[[Batch], Batch]] = (),
    ) -> None:
        self._stream, self._encode, self._sample = stream, encode, sample
        self._held_out = np.empty(0, int) if held_out is None else held_out
        self._functions = tuple(functions)

    def __len__(self) -> int:
        return self._sample.n - len(self._held_out)

    def batches(
        self, size: int, generator: torch.Generator | None = None, share: Share = WHOLE, skip: int = 0
    ) -> Generator[Batch]:
        """Yield batches: of a store its blocks in an order that is drawn, through readers; else as they come, mixed.

        One number is drawn from the generator, whatever the rows are.
        """
        seed = (
            None if generator is None else int(torch.randint(2**62, (), generator=generator, device=generator.device))
        )
        with reading() as executor:
            if isinstance(self._stream, Store):
                found = self._interleaved(self._stream, size, seed, share, skip, executor)
            else:
                assert isinstance(self._stream, Feed)
                rows = self._rows_of_feed(self._stream)
                found = through_buffer(rows, cuts(len(self), size), seed, share, skip, executor)
            for batch in found:
                yield self._finished(batch)

    def representative(self) -> Batch:
        """Return the sample."""
        return self.excerpt().representative()

    def excerpt(self) -> Source:
        """Return the sample."""
        return self._sample.rows

    def sample(self, n: int, generator: torch.Generator | None = None) -> Batch:
        """Return rows of the sample."""
        return self.excerpt().sample(n, generator)

    def fingerprint(self) -> str:
        """Return the SHA-256 of what the stream says of itself, the number of its rows, their checksum, the sample."""
        own = self._sample
        told = f"{self._stream.signature} {own.n} {own.checksum} {own.rows.fingerprint()}"
        return hashlib.sha256(told.encode()).hexdigest()

    def map(self, function: Callable[[Batch], Batch]) -> Self:
        """Return the same rows, with something done to each batch that is read."""
        sample = self._sample._replace(rows=self._sample.rows.map(function))
        return type(self)(self._stream, self._encode, sample, self._held_out, (*self._functions, function))

    def hold_out(self, share: float | None, generator: torch.Generator) -> tuple[Self, Source | None, Tensor]:
        """Return rows to train on, rows of the sample that are held out, and the numbers of the latter.

        They are that share of all rows, but no more than half of the sample.
        """
        rows, numbers, n = self._sample.rows, self._sample.numbers, self._sample.n
        share = None if share is None else min(share * n / len(rows), MOST_HELD_OUT)
        rest, held_out, places = rows.hold_out(share, generator)
        if held_out is None:
            return self, None, places
        left = np.setdiff1d(np.arange(len(numbers)), places.cpu().numpy())
        own = numbers[places.cpu().numpy()]
        sample = self._sample._replace(rows=rest, numbers=numbers[left])
        train = type(self)(self._stream, self._encode, sample, np.sort(own), self._functions)
        return train, held_out, torch.from_numpy(own)

    @property
    def _width(self) -> int:
        """How many numbers a row has."""
        return max(1, self._sample.rows.whole.x[0].numel())

    def _interleaved(
        self, store: Store, size: int, seed: int | None, share: Share, skip: int, executor: Executor
    ) -> Iterator[Batch]:
        readers = self._readers(store, size, seed, executor)
        if share.world > len(readers):
            raise InputError(
                f"{store.name} has {len(store.sizes)} blocks, too few for {share.world} processes to read some each: "
                "write more row groups, give a batch_size of as many rows, or take fewer processes"
            )
        return interleaved(readers, cuts(len(self), size), self._width, share, skip)

    def _readers(self, store: Store, size: int, seed: int | None, executor: Executor) -> list[ShuffledReader]:
        """Share the blocks, in an order that is drawn, among readers; without a seed there is one, in order."""
        n_blocks = len(store.sizes)
        n = 1 if seed is None else max(1, min(MOST_READERS, size, n_blocks))
        order = np.arange(n_blocks) if seed is None else np.random.default_rng(seed).permutation(n_blocks)
        parts = self._parts(store)
        least = max(store.at_once // 2, BUFFERED // (self._width * n))  # of few blocks each has the more to mix
        own = [[part for block in order[i::n] for part in parts[block]] for i in range(n)]
        seeds = [None] * n if seed is None else [seed ^ (i + 1) for i in range(n)]
        readers = [
            ShuffledReader(each, self._reading(store), least, its, executor)
            for each, its in zip(own, seeds, strict=True)
        ]
        return [reader for reader in readers if len(reader)]

    def _parts(self, store: Store) -> list[list[Part]]:
        """Return the pieces of each block, without the rows that are held out."""
        parts: list[list[Part]] = []
        for block, (first, size) in enumerate(zip([0, *accumulate(store.sizes)], store.sizes, strict=False)):
            own: list[Part] = []
            for piece, start in enumerate(range(0, size, store.at_once)):
                n = min(store.at_once, size - start)
                part = Part(block, piece, n, _own(self._held_out, first + start, n))
                own += [part] if part.n_taken else []
            parts.append(own)
        return parts

    def _reading(self, store: Store) -> Callable[[Sequence[Part]], Iterator[Batch]]:
        def read(parts: Sequence[Part]) -> Iterator[Batch]:
            block, at, pieces = -1, 0, iter(())  # type: tuple[int, int, Iterator[Piece]]
            for part in parts:
                if part.block != block or part.piece < at:
                    block, at, pieces = part.block, part.piece, store.read(part.block, part.piece)
                for _ in range(at, part.piece):
                    next(pieces)
                at = part.piece + 1
                yield self._read(next(pieces), part.left_out)

        return read

    def _rows_of_feed(self, feed: Feed) -> Iterator[Batch]:
        """Yield the pieces of an iterable, without the rows that are held out."""
        n = 0
        for piece in merged(feed.pieces()):
            if not n and len(self._held_out) and digest(piece) != self._sample.begins:
                raise InputError(
                    f"{feed.name} gives its rows in another order each time, and those that are held out would be "
                    "trained on: have it shuffle by a seed that it sets anew, or give validation_fraction=None"
                )
            count = n_rows(piece.X)
            left_out = _own(self._held_out, n, count)
            n += count
            if len(left_out) < count:
                yield self._read(piece, left_out)
        if n != self._sample.n:
            raise InputError(f"{feed.name} gave {n:,} rows, and {self._sample.n:,} before: let it give the same anew")

    def _read(self, piece: Piece, left_out: np.ndarray) -> Batch:
        """Bring a piece's rows to the device, but for some; bytes become numbers a batch at a time."""
        batch = self._encode(piece)
        if len(left_out):
            kept = np.delete(np.arange(batch.n_rows), left_out)
            batch = batch.pick(torch.from_numpy(kept).to(batch.x.device))
        return batch if batch.x.dtype == torch.uint8 else self._applied(batch)

    def _finished(self, batch: Batch) -> Batch:
        if batch.x.dtype != torch.uint8:
            return batch
        return self._applied(batch._replace(x=(batch.x.float() / 255).to(self._sample.rows.whole.x.dtype)))

    def _applied(self, batch: Batch) -> Batch:
        for function in self._functions:
            batch = function(batch)
        return batch


def _own(numbers: np.ndarray, first: int, n: int) -> np.ndarray:
    """Return which of these numbers, in order, `n` rows have of which the first one has that, counted from it."""
    start, end = np.searchsorted(numbers, [first, first + n])
    return numbers[start:end] - first
