"""A first look at rows that are larger than memory: how many there are, and a sample of them."""

import hashlib
import zlib
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.sources.pieces import Piece, Store, Stream, joined, merged, n_rows, row_width
from isthmus.sources.reading import in_order

MOST_ROWS = 2**16
"""Rows of the sample, at the most."""

MOST_NUMBERS = 2**24
"""Numbers in them, at the most, unless two rows have more."""

SEED = 0
"""What the sample is drawn by: the same rows give the same one."""


class Survey(NamedTuple):
    """What a first look at a stream finds.

    Attributes
    ----------
    sample : Piece
        Rows that are drawn at random over all of it, in order.
    numbers : ndarray of int
        Which these are.
    n : int
        How many rows there are.
    begins : str
        See :func:`digest`.
    checksum : int
        Of all rows, where the stream's signature does not stand for them; see :func:`added`.
    """

    sample: Piece
    numbers: np.ndarray
    n: int
    begins: str
    checksum: int


def surveyed(stream: Stream) -> Survey:
    """Go through a stream once, count its rows, and draw the sample.

    Raises
    ------
    ValueError
        If there are fewer than two rows, or they are not alike.
    """
    found = _of_store(stream) if isinstance(stream, Store) else _of_feed(stream)
    if found is None or found.n < 2:
        raise InputError(f"{stream.name} holds {0 if found is None else found.n} rows: give two or more")
    return found


def most_rows(width: int) -> int:
    """Return how many rows of so many numbers the sample has at the most."""
    return max(2, min(MOST_ROWS, MOST_NUMBERS // max(1, width)))


def digest(piece: Piece) -> str:
    """Return the SHA-256 of a piece's rows."""
    if isinstance(piece.X, pd.DataFrame):
        return hashlib.sha256(_hashes(piece.X, piece.where).tobytes()).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(piece.X).tobytes()).hexdigest()


def added(checksum: int, piece: Piece) -> int:
    """Return the CRC-32 of pieces, of which the one of those before is given: of rows and what goes with them."""
    for values in (piece.X, piece.y):
        if values is None:
            continue
        if isinstance(values, pd.DataFrame | pd.Series):
            values = _hashes(values, piece.where)
        array = np.ascontiguousarray(values)
        if array.dtype.kind in "OUS":  # not its bytes, as text is as wide as the longest of its piece
            array = pd.util.hash_array(array.ravel().astype(object))
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    return checksum


def _hashes(values: pd.DataFrame | pd.Series, where: str) -> np.ndarray:
    """Return a number for each row; raise ValueError in a line for a column of lists and the like."""
    try:
        return pd.util.hash_pandas_object(values, index=False).to_numpy()
    except TypeError as error:
        columns = values.items() if isinstance(values, pd.DataFrame) else [(values.name, values)]
        for name, column in columns:
            odd = next((each for each in column.dropna() if not isinstance(each, Hashable)), None)
            if odd is not None:
                raise InputError(
                    f"{where}: column {name!r} holds a {type(odd).__name__}, and a cell is to hold one value: make "
                    "columns of it, or leave it out"
                ) from error
        raise


def _of_store(store: Store) -> Survey:
    n, drawn = len(store), np.random.default_rng(SEED)
    first = next(store.read(0))
    size = most_rows(row_width(first.X))
    numbers = np.arange(n) if n <= size else np.sort(drawn.choice(n, size, replace=False))
    found, start, checksum = [], 0, 0
    for piece in in_order(store):
        end = start + n_rows(piece.X)
        own = numbers[slice(*np.searchsorted(numbers, [start, end]))]
        found += [piece.pick(own - start)] if len(own) else []
        checksum, start = checksum if store.is_signed else added(checksum, piece), end
    return Survey(joined(found, store.name), numbers, n, digest(first), checksum)


def _of_feed(stream: Stream) -> Survey | None:
    """Give each row a number at random, and keep those that have the lowest: so many, whatever comes after."""
    drawn, n, begins, checksum = np.random.default_rng(SEED), 0, "", 0
    kept: list[Piece] = []
    numbers, keys = np.empty(0, int), np.empty(0)
    for piece in merged(stream.pieces()):
        count = n_rows(piece.X)
        begins, checksum = begins or digest(piece), added(checksum, piece)
        kept.append(piece)
        keys = np.concatenate([keys, drawn.random(count)])
        numbers = np.concatenate([numbers, np.arange(n, n + count)])
        n += count
        size = most_rows(row_width(piece.X))
        if len(keys) > 2 * size:
            kept, numbers, keys = _lowest(kept, numbers, keys, size)
    if not kept:
        return None
    kept, numbers, _ = _lowest(kept, numbers, keys, most_rows(row_width(kept[0].X)))
    return Survey(kept[0]._replace(where=stream.name), numbers, n, begins, checksum)


def _lowest(
    kept: list[Piece], numbers: np.ndarray, keys: np.ndarray, size: int
) -> tuple[list[Piece], np.ndarray, np.ndarray]:
    lowest = np.sort(np.argpartition(keys, size - 1)[:size]) if len(keys) > size else np.arange(len(keys))
    return [joined(kept).pick(lowest)], numbers[lowest], keys[lowest]
