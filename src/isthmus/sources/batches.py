"""Rows that a program gives: data sets and data loaders of PyTorch, and iterables of batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, TensorDataset
from torch.utils.data import default_collate as collated

from isthmus.errors import InputError, InputTypeError
from isthmus.formats.containers import RowsLike, container_of, plain
from isthmus.sources.pieces import Feed, Piece, Store, check_rows, cut_evenly, n_rows

WHAT_A_BATCH_IS = "give batches of rows, as arrays, tensors or dataframes, or pairs of them, (X, y)"


class Batches(Feed):
    """Batches of rows, in the order in which an iterable gives them.

    Parameters
    ----------
    begin : callable
        Returns an iterator of batches, anew each time.
    name : str
        What an error calls it.
    is_once : bool
        Whether it gives its batches once alone.
    """

    def __init__(self, begin: Callable[[], Iterable[object]], name: str, *, is_once: bool = False) -> None:
        self._begin, self.name, self.is_once = begin, name, is_once
        self.signature = "batches"

    def pieces(self) -> Iterator[Piece]:
        """Yield the batches that have rows."""
        for i, batch in enumerate(self._begin()):
            piece = piece_of(batch, f"batch {i} of {self.name}")
            if n_rows(piece.X):
                yield piece


class Items(Store):
    """A data set of PyTorch of which each row can be asked for by its number.

    Parameters
    ----------
    dataset : Dataset
        Its items are rows, or pairs ``(row, y)``.
    collate : callable
        Makes a batch of a list of them.
    name : str
        What an error calls it.
    """

    is_fixed = False

    def __init__(self, dataset: Any, collate: Callable[[list[object]], object] = collated, name: str = "X") -> None:
        n = len(dataset)
        check_rows(name, n)
        self._dataset, self._collate, self.name = dataset, collate, name
        first = self._piece(np.arange(1))
        row_bytes = np.asarray(first.X).nbytes if not isinstance(first.X, pd.DataFrame) else 8 * first.X.shape[1]
        self.sizes, self.at_once = cut_evenly(n, row_bytes)
        self.parts = [(name, len(self.sizes))]
        self.signature = f"items {n}"

    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a block's rows."""
        if not start:
            first = block * self.at_once
            yield self._piece(np.arange(first, first + self.sizes[block]))

    def _piece(self, rows: np.ndarray) -> Piece:
        where = f"{self.name}, rows {rows[0]} to {rows[-1]}"
        if isinstance(self._dataset, TensorDataset) and self._collate is collated:
            return piece_of(self._dataset[int(rows[0]) : int(rows[-1]) + 1], where)
        if hasattr(self._dataset, "__getitems__"):
            return piece_of(self._collate(self._dataset.__getitems__(rows.tolist())), where)
        return piece_of(self._collate([self._dataset[i] for i in rows.tolist()]), where)


def piece_of(batch: Any, where: str) -> Piece:
    """Return a batch as rows and what goes with them; raise TypeError in a line for what is none."""
    is_pair = isinstance(batch, tuple) or (isinstance(batch, list) and _are_tables(batch))
    if is_pair and len(batch) not in (1, 2):
        raise InputTypeError(f"{where} is a {type(batch).__name__} of {len(batch)}: {WHAT_A_BATCH_IS}")
    X, y = (*batch, None)[:2] if is_pair else (batch, None)
    if isinstance(X, Mapping | str) or not (_is_table(X) or isinstance(X, list)):
        raise InputTypeError(f"{where} is a {type(X).__name__}: {WHAT_A_BATCH_IS}")
    X = _as_arrays(X)
    if np.ndim(X) < 2:
        raise InputError(f"{where} has the shape {np.shape(X)}: {WHAT_A_BATCH_IS}")
    y = None if y is None else _as_arrays(y)
    if y is not None and n_rows(y) != n_rows(X):
        raise InputError(f"{where} has {n_rows(X)} rows and {n_rows(y)} values of y: give one a row")
    return Piece(X, y, where)


def _is_table(values: object) -> bool:
    return container_of(values) is not None or isinstance(values, Tensor | np.ndarray | pd.Series)  # type: ignore[arg-type]


def _are_tables(batch: list[object]) -> bool:
    """Tell whether they are rows and what goes with them: words stay a tuple, or a list, where rows are collated."""
    first, rest = batch[:1], batch[1:]
    return all(map(_is_table, first)) and all(_is_table(each) or _are_words(each) for each in rest)


def _are_words(values: object) -> bool:
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(each, str) for each in values)


def _as_arrays(values: RowsLike) -> pd.DataFrame | pd.Series | np.ndarray:
    """Return values as NumPy's arrays or pandas' frames."""
    values = plain(values)
    return values if isinstance(values, pd.DataFrame | pd.Series) else np.asarray(values)


def batches_of(X: object) -> Items | Batches | None:
    """Return the rows that an object of a program gives one batch after the other; None where it is none."""
    name = f"the {type(X).__name__}"
    if isinstance(X, DataLoader):
        return _of_loader(X, name)
    if isinstance(X, IterableDataset):
        return Batches(lambda: _rows_of(X), name)
    if isinstance(X, Dataset):
        return Items(X, name=name)
    if isinstance(X, Iterator):
        return Batches(lambda: X, name, is_once=True)
    if _is_array_like(X):
        return None
    if callable(X):
        return Batches(X, f"what {getattr(X, '__name__', type(X).__name__)}() returns")
    if isinstance(X, Iterable) and not hasattr(X, "__getitem__"):
        return Batches(lambda: iter(X), name)
    return None


def _of_loader(loader: DataLoader[object], name: str) -> Items | Batches:
    """Return the rows of a loader: of a data set whose rows it gives all, in any order, the order is drawn here."""
    is_plain = isinstance(loader.sampler, RandomSampler | SequentialSampler) and loader.batch_sampler is not None
    if isinstance(loader.dataset, IterableDataset) or not is_plain or loader.drop_last:
        return Batches(lambda: iter(loader), name)
    if isinstance(loader.sampler, RandomSampler) and len(loader.sampler) != len(loader.dataset):  # type: ignore[arg-type]
        return Batches(lambda: iter(loader), name)
    return Items(loader.dataset, loader.collate_fn, name)


AT_A_TIME = 1024
"""Rows of an iterable data set that are put together at once."""


def _rows_of(dataset: Iterable[object]) -> Iterator[object]:
    """Yield rows that come one at a time as batches."""
    rows: list[object] = []
    for row in dataset:
        rows.append(row)
        if len(rows) == AT_A_TIME:
            yield collated(rows)
            rows = []
    if rows:
        yield collated(rows)


def _is_array_like(X: object) -> bool:
    known = ("shape", "__array__", "__dataframe__", "__arrow_c_stream__", "dtype")
    return isinstance(X, list | tuple | Mapping | str | bytes | set) or any(hasattr(X, name) for name in known)
