"""What a dataframe of numbers was at ``fit``, so that rows come back as one that could have been given there."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_integer_dtype, is_numeric_dtype, pandas_dtype

from isthmus.data.containers import CONTAINERS, Container
from isthmus.errors import InputError

WIDEST = 16
"""Bytes of a number, at the most."""


@dataclass(frozen=True)
class Frame:
    """A dataframe of numbers, as it was at ``fit``.

    Attributes
    ----------
    container : {"pandas", "polars", "pyarrow"}
        Which dataframe it was.
    names : tuple of str or int
        The names of its columns; their places where they are neither text nor whole numbers.
    dtypes : tuple of str
        pandas' name of the dtype of each column.
    low, high : tuple of float
        The lowest and the highest value of each column that training rows had.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [21, 35], "height": [1.6, 1.9]})
    >>> frame = Frame.learn(table, table.to_numpy(), "pandas")
    >>> frame.decode(np.array([[27.6, 1.7], [-3.0, 2.5]]))
       age  height
    0   28     1.7
    1   21     1.9
    """

    container: Container
    names: tuple[str | int, ...]
    dtypes: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def learn(cls, X: pd.DataFrame, rows: np.ndarray, container: Container) -> Self:
        """Note what a frame is; `rows` are its numbers, of shape (n, columns), NaN where one is missing."""
        dtypes = (str(dtype) if _is_plain(dtype) else str(rows.dtype) for dtype in X.dtypes)
        names = tuple(name if isinstance(name, str) else _whole(name, i) for i, name in enumerate(X.columns))
        return cls(container, names, tuple(dtypes), *_ends(rows))

    def widened(self, rows: np.ndarray) -> Self:
        """Return it with the ranges widened to hold further training rows."""
        low, high = _ends(rows)
        ends = tuple(map(min, self.low, low)), tuple(map(max, self.high, high))
        return replace(self, low=ends[0], high=ends[1])

    def decode(self, rows: np.ndarray) -> pd.DataFrame:
        """Return rows as a frame: within the ranges, whole numbers and truth values rounded, in the dtypes of ``fit``.

        A column that was of whole numbers, and now has a gap, is of floats.
        """
        kept = rows.clip(self.low, self.high)
        columns = [_as_dtype(kept[:, i], dtype) for i, dtype in enumerate(self.dtypes)]
        return pd.concat(columns, axis=1).set_axis(pd.Index(self.names), axis=1)

    def with_known(self, rows: np.ndarray, X: pd.DataFrame, known: np.ndarray) -> pd.DataFrame:
        """Return rows as a frame with the known cells of `X` in it as they are; a dtype too narrow gives way to theirs.

        Parameters
        ----------
        rows : ndarray of shape (n, columns)
            What was filled in.
        X : DataFrame
            What was given.
        known : ndarray of bool, of shape (n, columns)
            Which of its cells are known.
        """
        decoded = self.decode(rows)
        columns = [_put(decoded.iloc[:, i], X.iloc[:, i], known[:, i]) for i in range(X.shape[1])]
        return pd.concat(columns, axis=1).set_axis(X.columns, axis=1).set_axis(X.index)

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Make one of what :meth:`as_json` gave, and JSON may have held since; raise ValueError where it is none."""
        if set(content) != {field.name for field in fields(cls)} or content["container"] not in CONTAINERS:
            raise InputError("its frame_ is no frame")
        lists = [content[name] for name in ("names", "dtypes", "low", "high")]
        if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
            raise InputError("its frame_ has not a dtype and a range for each column")
        if not all(
            type(low) is type(high) is float and _is_range(low, high) for low, high in zip(*lists[2:], strict=True)
        ):
            raise InputError("its frame_ has a range that is none")
        if not all(isinstance(name, str | int) for name in lists[0]):
            raise InputError("its frame_ has names that are neither text nor whole numbers")
        for name in lists[1]:
            dtype = pandas_dtype(name) if isinstance(name, str) else None
            if dtype is None or not _is_plain(dtype) or getattr(dtype, "itemsize", 0) > WIDEST:
                raise InputError(f"its frame_ has a column of the dtype {name!r}, which numbers cannot have")
        return cls(content["container"], *(tuple(each) for each in lists))


def _is_plain(dtype: Any) -> bool:
    """Tell whether a dtype is one of real numbers or truth values, to which rows can be brought back."""
    return (is_numeric_dtype(dtype) and not is_complex_dtype(dtype)) or is_bool_dtype(dtype)


def _whole(name: Any, place: int) -> int:
    return int(name) if isinstance(name, int | np.integer) else place


def _is_range(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low <= high


def _ends(rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the lowest and the highest number of each column, past NaN; the ends of none lie beyond all numbers."""
    low = np.where(np.isnan(rows).all(0), np.inf, np.fmin.reduce(rows, 0))
    high = np.where(np.isnan(rows).all(0), -np.inf, np.fmax.reduce(rows, 0))
    return tuple(low.astype(float).tolist()), tuple(high.astype(float).tolist())


def _put(column: pd.Series, given: pd.Series, known: np.ndarray) -> pd.Series:
    """Return a column with the known cells of another in their place."""
    values = given[known].reset_index(drop=True)
    if not len(values):
        return column
    try:
        fits = bool((values.astype(column.dtype).astype(object) == values.astype(object)).all())
    except (TypeError, ValueError, OverflowError):
        fits = False
    whole = column.copy() if fits else column.astype(float if is_bool_dtype(column.dtype) else values.dtype)
    whole.iloc[np.flatnonzero(known)] = values.astype(whole.dtype).array
    return whole


def _as_dtype(values: np.ndarray, name: str) -> pd.Series:
    """Return a column in its dtype: whole numbers and truth values rounded."""
    dtype = pandas_dtype(name)
    if is_bool_dtype(dtype) or is_integer_dtype(dtype):
        values = np.rint(values)
        if np.isnan(values).any():
            return pd.Series(values)
        if is_bool_dtype(dtype):
            values = values > 0
        else:
            limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
            whole = values.astype(float).clip(limits.min, np.nextafter(float(limits.max), 0))
            values = whole.astype(limits.dtype)
    return pd.Series(values).astype(dtype)
