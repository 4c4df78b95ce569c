"""Methods of a fitted model on rows that come a piece at a time: what they give, a piece at a time too."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from itertools import chain
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.errors import InputError, shown
from isthmus.formats.names import few
from isthmus.sources.pieces import AT_ONCE, Piece, Store, Stream, n_rows, said_where
from isthmus.sources.reading import in_order, read_ahead
from isthmus.sources.stored import let_go
from isthmus.sources.stream import stream_of

METHODS = (
    "transform", "inverse_transform", "reconstruct", "impute", "score_samples", "score", "log_likelihood", "predict",
    "decision_function", "predict_proba", "predict_future",
)  # fmt: skip
"""Those that take rows, or codes, and give something of each."""

MASK = "mask has {} rows, and X has {}: give as many, or one for all"

Method = TypeVar("Method", bound=Callable[..., object])


class TakesStreams:
    """Lets the methods of an estimator, and of each class below it, take rows that come a piece at a time.

    What they give is said once, in the notes of :class:`isthmus.Autoencoder`.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Wrap the methods, around what scikit-learn has wrapped."""
        super().__init_subclass__(**kwargs)
        for name in METHODS:
            method = cls.__dict__.get(name)
            if isinstance(method, FunctionType):
                setattr(cls, name, in_pieces(method))


def in_pieces(method: Method) -> Method:
    """Return a method of an estimator that takes streams too; one that has no rows to take as it is."""
    if method.__name__ not in METHODS or hasattr(method, "takes_streams"):
        return method
    signature = inspect.signature(method)
    rows = list(signature.parameters)[1]

    @wraps(method)
    def call(*args: object, **kwargs: object) -> object:
        X = args[1] if len(args) > 1 else kwargs.get(rows)
        if _is_plainly_in_memory(X):
            return method(*args, **kwargs)
        check_is_fitted(args[0])  # before anything is read
        if isinstance(X, np.memmap) and X.ndim > 1 and X.nbytes <= AT_ONCE:
            return method(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        found = _Call(method, given, rows).of(X)
        return method(*args, **kwargs) if found is None else found

    call.takes_streams = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _is_plainly_in_memory(X: object) -> bool:
    return isinstance(X, np.ndarray | pd.DataFrame | Tensor | list) and not isinstance(X, np.memmap)


class _Call:
    """A call of a method, for each piece of a stream.

    Parameters
    ----------
    method : callable
    given : BoundArguments
        What it was called with.
    rows : str
        The name of its parameter that is the rows.
    """

    def __init__(self, method: Callable[..., object], given: inspect.BoundArguments, rows: str) -> None:
        self._method, self._given, self._rows = method, given, rows
        self._y = given.arguments.pop("y", None) if "y" in given.signature.parameters else None
        self._mask = given.arguments.pop("mask", None)

    def of(self, X: object) -> object:
        """Return what the method gives of a stream; None where `X` is in memory."""
        y_of_all = self._y if isinstance(self._y, Mapping) or _is_number(self._y) else None
        stream = stream_of(X, None if y_of_all is not None else self._y)
        if stream is None:
            return None
        self._check(stream)
        pieces = read_ahead(_cut(X, self._y)) if isinstance(X, np.memmap) else _counted_on(stream)
        parts = self._parts(pieces, y_of_all, len(stream) if isinstance(stream, Store) else None)
        first = next(parts, None)  # so that what is wrong with the rows is said here, where it is called
        if first is None:
            raise InputError(f"{stream.name} gives no rows")
        found = chain([first], parts)
        if self._method.__name__ == "score":
            return _mean(found)
        if isinstance(X, np.memmap):
            return _in_one(found, len(X))
        return (part for _, part in found)

    def _check(self, stream: Stream) -> None:
        """Raise ValueError for what is said of each row of a stream whose rows nobody has counted."""
        for name in ("decode_as", "lengths"):  # a mask is cut, as it may be shaped like rows
            each = self._given.arguments.get(name)
            if isinstance(each, np.ndarray | pd.DataFrame | pd.Series | Tensor) and np.ndim(each):
                raise InputError(f"{name} of {stream.name} has to be one for all rows, as these come a piece at a time")

    def _parts(self, pieces: Iterator[Piece], y_of_all: object, n_all: int | None) -> Iterator[tuple[int, Any]]:
        """Yield how many rows a piece has, and what the method gives of it; of a feed nobody knows how many all are."""
        start, arguments = 0, self._given.arguments
        takes_y = "y" in self._given.signature.parameters and getattr(arguments["self"], "takes_conditions", False)
        for piece in pieces:
            n = n_rows(piece.X)
            arguments[self._rows] = piece.X
            y = piece.y if y_of_all is None else y_of_all
            if takes_y and y is not None:
                arguments["y"] = y
            if self._mask is not None:
                arguments["mask"] = _of_rows(self._mask, piece.X, start, n_all)
            with said_where(piece):
                yield n, self._applied(piece.X)
            start += n
        if self._mask is not None and start and _is_of_each(self._mask, piece.X) and start != len(self._mask):
            raise InputError(MASK.format(len(self._mask), start))

    def _applied(self, X: pd.DataFrame | np.ndarray) -> Any:
        """Return what the method gives of rows; say how a column is left out that the model does not know."""
        try:
            return self._method(*self._given.args, **self._given.kwargs)
        except InputError as error:
            columns = list(X) if isinstance(X, pd.DataFrame) else []
            model = self._given.arguments["self"]
            known = list(getattr(model, "feature_names_in_", columns))
            more = [name for name in columns if name not in known]
            if not more or not set(known) <= set(columns):
                raise
            is_untold = self._y is None and getattr(model, "takes_conditions", False)
            label = f"give y={more[0]!r} if it is the condition, or " if is_untold and len(more) == 1 else ""
            raise InputError(
                f"the model was fitted without the column {few(more)}: {label}leave it out, as "
                f"datasets.write_shards(model.{self._method.__name__}, path, folder, drop={shown(more, 60)}) does"
            ) from error


def _is_number(y: object) -> bool:
    return y is not None and not isinstance(y, str) and np.ndim(y) == 0  # type: ignore[arg-type]


def _cut(X: np.memmap, y: Any) -> Iterator[Piece]:
    """Yield the rows of a memory map that fit in memory, and what goes with them."""
    size = max(1, AT_ONCE * len(X) // max(X.nbytes, 1))
    for start in range(0, len(X), size):
        rows = np.arange(start, min(start + size, len(X)))
        piece = Piece(np.array(X[start : start + size]), None, f"X, rows {start} to {rows[-1]}")
        let_go(X)
        is_each = y is not None and np.ndim(y) > 0 and not isinstance(y, Mapping)
        yield piece._replace(y=Piece(y).pick(rows).X) if is_each else piece


def _counted_on(stream: Stream) -> Iterator[Piece]:
    """Yield pieces, the rows of dataframes numbered on where each begins at 0."""
    start = 0
    for piece in in_order(stream):
        n = n_rows(piece.X)
        if start and isinstance(piece.X, pd.DataFrame) and piece.X.index.equals(pd.RangeIndex(n)):
            piece = piece._replace(X=piece.X.set_axis(pd.RangeIndex(start, start + n)))
        yield piece
        start += n


def _is_of_each(mask: np.ndarray, X: np.ndarray) -> bool:
    """Tell whether a mask has a row for each row, and not one for all."""
    return np.ndim(mask) == np.ndim(X) and len(mask) != 1


def _of_rows(mask: np.ndarray, X: np.ndarray, start: int, n_all: int | None) -> np.ndarray:
    """Return a piece's own part of a mask, where that is not of one row, for all."""
    if not _is_of_each(mask, X):
        return mask
    n = n_rows(X)
    if start + n > len(mask) or n_all not in (None, len(mask)):
        raise InputError(MASK.format(len(mask), "more" if n_all is None else n_all))
    return Piece(mask).pick(np.arange(start, start + n)).X


def _mean(parts: Iterator[tuple[int, float]]) -> float:
    """Return the mean over rows of what is the mean of each piece."""
    total, n = 0.0, 0
    for rows, mean in parts:
        total, n = total + rows * mean, n + rows
    return total / n


def _in_one(parts: Iterator[tuple[int, Any]], n: int) -> Any:
    """Return results of pieces as one, which for arrays is made once."""
    rows, first = next(parts)
    if not isinstance(first, np.ndarray):
        return _joined([first, *(part for _, part in parts)])
    whole = np.empty((n, *first.shape[1:]), first.dtype)
    whole[:rows] = first
    for size, part in parts:
        if part.dtype != whole.dtype:
            whole = whole.astype(np.result_type(whole, part))
        whole[rows : rows + size] = part
        rows += size
    return whole


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    return [row for part in parts for row in part] if isinstance(first, list) else np.concatenate(parts)
