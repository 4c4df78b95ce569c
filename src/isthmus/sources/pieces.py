"""Rows that need not fit in memory: what gives them a piece at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import InputError, InputTypeError

AT_ONCE = 2**22
"""Bytes that a piece of a store takes, at the most, unless one row takes more."""

FEWEST_PIECES = 32
"""Pieces that a store is cut into, where it has as many rows: so that few rows can be shuffled, and shared, too."""


class Piece(NamedTuple):
    """Some rows, in the form in which ``fit`` takes rows.

    Attributes
    ----------
    X : ndarray, Tensor or DataFrame
        The rows.
    y : array-like or None
        Their conditions, where there are some.
    where : str
        What an error calls them.
    """

    X: Any
    y: Any = None
    where: str = "X"

    def pick(self, index: np.ndarray) -> "Piece":
        """Return some of the rows."""
        return self._replace(X=_picked(self.X, index), y=None if self.y is None else _picked(self.y, index))

    def cut(self, start: int, end: int) -> "Piece":
        """Return the rows from one number to another, without a copy; dataframes without names of rows begin at 0."""
        return self._replace(X=_cut(self.X, start, end), y=None if self.y is None else _cut(self.y, start, end))


class Stream(ABC):
    """Rows that come a piece at a time.

    Attributes
    ----------
    name : str
        What an error calls it.
    signature : str
        What tells its rows from others, as far as it is known without reading them.
    """

    name: str
    signature: str

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order; each call begins anew."""


class Feed(Stream):
    """Rows that come in their own order alone, and nobody knows how many.

    Attributes
    ----------
    is_once : bool
        Whether they come once alone: of an iterator that cannot begin anew.
    """

    is_once: bool = False


class Store(Stream):
    """Rows of which any block can be read, in any order.

    Attributes
    ----------
    is_fixed : bool
        Whether its rows are the same whenever they are read.
    sizes : sequence of int
        The rows of each block.
    at_once : int
        The rows of a piece: a block comes in as many pieces of this size as it takes, and the rest.
    parts : sequence of (str, int)
        What rows are stored in, such as files, in order, and how many blocks each has.
    is_signed : bool
        Whether the signature stands for all rows; else their checksum is taken.
    """

    is_fixed: bool = True
    is_signed: bool = False
    sizes: Sequence[int]
    at_once: int
    parts: Sequence[tuple[str, int]]

    @abstractmethod
    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a block's rows from its piece `start` on."""

    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order."""
        for block in range(len(self.sizes)):
            yield from self.read(block)

    def __len__(self) -> int:
        return sum(self.sizes)


def cut_evenly(n: int, row_bytes: int) -> tuple[list[int], int]:
    """Return the sizes of blocks, of a piece each, of `n` rows that can be read anywhere, and the rows of a piece."""
    at_once = max(1, min(AT_ONCE // max(row_bytes, 1), -(-n // FEWEST_PIECES)))
    return [min(at_once, n - start) for start in range(0, n, at_once)], at_once


def check_rows(name: str, n: int) -> None:
    """Raise ValueError where there are no rows."""
    if not n:
        raise InputError(f"{name} holds no rows: give two or more")


@contextmanager
def said_where(piece: Piece) -> Iterator[None]:
    """Say of a mistake in rows which of them it is in."""
    try:
        yield
    except (InputError, InputTypeError) as error:
        raise type(error)(f"{piece.where}: {error}") from error


def n_rows(X: Any) -> int:
    """Return how many rows there are."""
    return len(X) if not hasattr(X, "shape") else int(X.shape[0])


def row_width(X: Any) -> int:
    """Return how many values a row has."""
    return int(np.prod(X.shape[1:])) if hasattr(X, "shape") else int(np.asarray(X[0]).size)


def joined(pieces: Iterable[Piece], where: str = "X") -> Piece:
    """Return pieces as one; raise ValueError where their rows are not alike."""
    pieces = list(pieces)
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0]
    for piece in pieces:
        check_alike(first, piece)
    ys = [piece.y for piece in pieces]
    return Piece(_joined([piece.X for piece in pieces]), None if ys[0] is None else _joined(ys), where)


MERGED = 1024
"""Rows that small pieces are put together to: what is done for a piece costs more than what is done for a row."""


def merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces of which small ones are put together; raise ValueError where they are not alike."""
    few: list[Piece] = []
    first = None
    for piece in pieces:
        first = piece if first is None else first
        check_alike(first, piece)
        few.append(piece)
        if sum(n_rows(each.X) for each in few) >= MERGED:
            yield joined(few, few[0].where)
            few = []
    if few:
        yield joined(few, few[0].where)


def check_alike(first: Piece, piece: Piece) -> None:
    """Raise ValueError where rows are of another shape, or have other columns, than the first ones had."""
    if isinstance(piece.X, pd.DataFrame) != isinstance(first.X, pd.DataFrame):
        raise InputError(f"{piece.where} holds a {type(piece.X).__name__}, and before a {type(first.X).__name__} came")
    if isinstance(piece.X, pd.DataFrame):
        alike = list(piece.X.columns) == list(first.X.columns)
        shown = [f"{list(each.X.columns)[:12]}" for each in (piece, first)]
    else:
        shapes = [tuple(np.shape(each.X)[1:]) for each in (piece, first)]
        alike, shown = shapes[0] == shapes[1], list(map(str, shapes))
    if not alike:
        what = "columns" if isinstance(piece.X, pd.DataFrame) else "rows of shape"
        raise InputError(f"{piece.where} has the {what} {shown[0]}, and before it was {shown[1]}: give all alike")
    kinds = [None if isinstance(each.X, pd.DataFrame) else np.asarray(each.X).dtype for each in (piece, first)]
    if (kinds[0] == np.uint8) != (kinds[1] == np.uint8):
        raise InputError(
            f"{piece.where} holds {kinds[0]}, and before it was {kinds[1]}, and uint8 alone is divided by 255: give "
            "all alike"
        )
    if (piece.y is None) != (first.y is None):
        raise InputError(f"{piece.where} has {'no' if piece.y is None else 'a'} y, unlike those before: give all alike")


def _joined(values: Sequence[Any]) -> pd.DataFrame | pd.Series | np.ndarray:
    if isinstance(values[0], pd.DataFrame | pd.Series):
        return pd.concat(values, ignore_index=all(isinstance(each.index, pd.RangeIndex) for each in values))
    return np.concatenate([np.asarray(each) for each in values])


def _picked(values: Any, index: np.ndarray) -> pd.DataFrame | pd.Series | np.ndarray:
    if isinstance(values, pd.DataFrame | pd.Series):
        return values.iloc[index]
    return np.asarray(values)[index]


def _cut(values: Any, start: int, end: int) -> Any:
    if not isinstance(values, pd.DataFrame | pd.Series):
        return values[start:end]
    part = values.iloc[start:end]
    return part.reset_index(drop=True) if isinstance(part.index, pd.RangeIndex) else part
