"""A thread that reads ahead."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from isthmus.sources.pieces import Piece, Store, Stream


@contextmanager
def reading() -> Iterator[Executor]:
    """Have a thread that reads ahead, and no longer than it is needed."""
    executor = ThreadPoolExecutor(1, "isthmus-reading")
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def in_order(stream: Stream) -> Iterator[Piece]:
    """Yield all rows in order; of a store the next piece is read while one is used.

    What a program gives one batch after the other is not asked for the next before that is wanted.
    """
    return read_ahead(stream.pieces()) if isinstance(stream, Store) else stream.pieces()


def read_ahead(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield pieces, each of which is read while the one before is used."""
    with reading() as executor:
        ahead = executor.submit(next, pieces, None)
        while (piece := ahead.result()) is not None:
            ahead = executor.submit(next, pieces, None)
            yield piece
