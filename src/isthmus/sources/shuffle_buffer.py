"""Rows that come in their own order alone, through a buffer that mixes them, to batches."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future

import torch

from isthmus.core.batch import Batch
from isthmus.core.source import Share
from isthmus.sources.interleave import joined

SHUFFLED = 2**16
"""Rows of an iterable among which each next one is drawn, where they are no more numbers than the next."""

MOST_NUMBERS = 2**22
"""Numbers in these rows, at the most."""


def through_buffer(
    rows: Iterator[Batch],
    cuts: Sequence[tuple[int, int]],
    seed: int | None,
    share: Share,
    skip: int,
    executor: Executor,
) -> Iterator[Batch]:
    """Yield batches of rows that come in pieces of any size; of each, a rank's share.

    Parameters
    ----------
    rows : iterator of Batch
        All rows, in order.
    cuts : sequence of (int, int)
        Where batches begin and end.
    seed : int or None
        What the buffer is drawn from; None: rows stay in order.
    share : Share
        Which rows of each batch.
    skip : int
        Batches to leave out: their rows are read all the same.
    executor : Executor
        What reads ahead.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    buffer: Batch | None = None
    ahead: Future[Batch | None] | None = executor.submit(next, rows, None)
    for i, (start, end) in enumerate(cuts):
        least = 0 if generator is None else _least(buffer)
        while ahead is not None and (buffer is None or buffer.n_rows < end - start + least // 2):
            buffer, ahead = _filled(buffer, ahead, rows, least + end - start, generator, executor)
            least = 0 if generator is None else _least(buffer)
        assert buffer is not None, "there are as many rows as were counted"
        batch, buffer = buffer.take(slice(end - start)), buffer.take(slice(end - start, None))
        if i >= skip:
            yield batch.take(share.part(end - start)) if share.world > 1 else batch
    while ahead is not None:  # what reads says where rows have become more
        ahead = None if ahead.result() is None else executor.submit(next, rows, None)


def _least(buffer: Batch | None) -> int:
    """Return how many rows the buffer is filled to."""
    return 1 if buffer is None else max(1, min(SHUFFLED, MOST_NUMBERS // max(1, buffer.x[:1].numel())))


def _filled(
    buffer: Batch | None,
    ahead: "Future[Batch | None] | None",
    rows: Iterator[Batch],
    least: int,
    generator: torch.Generator | None,
    executor: Executor,
) -> "tuple[Batch, Future[Batch | None] | None]":
    """Read on until the buffer is full, or there is nothing left, and mix what is in it."""
    parts, n = ([], 0) if buffer is None else ([buffer], buffer.n_rows)
    while ahead is not None and n <= least:
        part = ahead.result()
        ahead = None if part is None else executor.submit(next, rows, None)
        if part is not None:
            parts.append(part)
            n += part.n_rows
    whole = joined(parts)
    if generator is not None:
        order = torch.randperm(whole.n_rows, generator=generator)
        whole = whole.pick(order.to(whole.x.device))
    return whole, ahead
