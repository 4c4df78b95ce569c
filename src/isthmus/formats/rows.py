"""From a person's array to rows of numbers."""

import math
from typing import NamedTuple, TypeGuard, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from isthmus.errors import InputError
from isthmus.formats.checks import check_array
from isthmus.formats.containers import RowsLike, plain

Table = TypeVar("Table")


class Flat(NamedTuple):
    """Rows as a table, and the shape that one of them had."""

    table: object
    row_shape: tuple[int, ...] | None


def flatten(X: RowsLike) -> Flat:
    """Turn images into rows of pixels; leave tables, and bytes, as they are.

    Parameters
    ----------
    X : array-like, Tensor or DataFrame of shape (n, features), (n, height, width) or (n, channels, height, width)
        Whatever :func:`isthmus.formats.containers.plain` takes.

    Returns
    -------
    Flat
        The table, which the caller has still to validate, and the shape of one row where it was an image.
    """
    X = plain(X)
    if isinstance(X, list | tuple) and len(X) and isinstance(X[0], Tensor):
        X = torch.stack(list(X))
    if isinstance(X, Tensor):
        X = X.numpy()
    if isinstance(X, list | tuple) and len(X) and isinstance(X[0], list | tuple | np.ndarray) and np.ndim(X[0]) > 1:
        X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.ndim in (3, 4):
        return Flat(X.reshape(len(X), int(np.prod(X.shape[1:]))), X.shape[1:])
    return Flat(X, None)


def are_bytes(table: object) -> TypeGuard[np.ndarray]:
    """Tell whether an array holds bytes (uint8), which stand for 0…255."""
    return isinstance(table, np.ndarray) and table.dtype == np.uint8


def in_unit_interval(table: Table) -> Table:
    """Bring bytes (uint8, 0…255) to float32 in [0, 1]; leave everything else as it is."""
    return np.divide(table, 255, dtype=np.float32) if are_bytes(table) else table


def to_rows(X: RowsLike, *, allow_nan: bool = False) -> np.ndarray:
    """Bring X to finite floating-point rows of shape (n, ...); see :func:`flatten`. Raises ValueError otherwise."""
    table, row_shape = flatten(X)
    names = table.columns if isinstance(table, pd.DataFrame) else None
    check_shape(table)
    try:
        table = check_array(in_unit_interval(table), dtype=(np.float64, np.float32), ensure_all_finite=False)
    except ValueError as error:
        raise text_error(error, table) from error
    check_finite(table, names, allow_nan=allow_nan)
    return table if row_shape is None else table.reshape(-1, *row_shape)


def check_shape(table: object, least: int = 1) -> None:
    """Raise ValueError, in one line, for an array or a frame that is no table of at least so many rows of numbers."""
    if isinstance(table, pd.DataFrame):
        twice = table.columns[table.columns.duplicated()]
        if len(twice):
            raise InputError(f"X has more than one column {twice[0]!r}: give each a name of its own")
        _check_names(table.columns)
        for name, dtype in table.dtypes.items():
            check_real(dtype, f"column {name!r}")
    elif table is None or isinstance(table, np.ndarray):
        array = np.asarray(table)
        check_real(array.dtype, "X")
        if array.ndim < 2:
            raise InputError(
                f"Expected 2D array, got {array.ndim}D array instead, of shape {array.shape}. Reshape your data: "
                "X.reshape(-1, 1) if it has a single feature, X.reshape(1, -1) if it is a single row"
            )
        if len(array) < least:
            raise InputError(
                f"Found array with {len(array)} sample(s) (shape={array.shape}) while a minimum of {least} is required"
            )


def _check_names(names: pd.Index) -> None:
    """Raise InputError where some names of columns are text and others are not."""
    texts, others = [name for name in names if isinstance(name, str)], [x for x in names if not isinstance(x, str)]
    if texts and others:
        raise InputError(
            f"X has a column {texts[0]!r} and a column {others[0]!r}: give them all names that are text "
            "(X.columns = X.columns.map(str))"
        )


def check_real(dtype: object, where: str) -> None:
    """Raise ValueError for dates, durations and complex numbers, which would become other numbers in silence."""
    kind = getattr(dtype, "kind", "f")
    if kind == "c":
        raise InputError(f"Complex data not supported: {where} holds {dtype}; give real numbers")
    if kind in "mM":
        raise InputError(f"{where} holds {dtype}: give what of it matters as numbers, such as the days since the first")


def check_finite(table: np.ndarray, names: "pd.Index | np.ndarray | None" = None, *, allow_nan: bool = False) -> None:
    """Raise ValueError where a value is infinite, or NaN where that is not allowed, naming the first such place."""
    # The sum is finite where all values are, unless it overflows; only then is a second look worth its memory.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(table.sum()):
            return
    wrong = np.isinf(table) if allow_nan else ~np.isfinite(table)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        kind = "NaN" if np.isnan(table[row, column]) else "infinity"
        place = f"column {column}" if names is None else f"column {names[column]!r}"
        raise InputError(
            f"Input X contains {kind} at row {row}, {place} ({wrong.sum()} such values in all): "
            "fill them in or drop those rows"
        )


def check_support(rows: np.ndarray, support: tuple[float, float] | None, likelihood: str) -> None:
    """Raise ValueError where a likelihood, whose lowest and highest number these are, cannot give rise to such rows."""
    if support is None or are_bytes(rows):
        return
    low, high = np.fmin.reduce(rows, None), np.fmax.reduce(rows, None)  # past NaN
    if low < support[0] or high > support[1]:
        raise InputError(
            f"likelihood={likelihood!r} needs X in {interval(support)}, and it reaches from {low:g} to {high:g}: scale "
            "it, or take 'gaussian'"
        )


def interval(support: tuple[float, float]) -> str:
    """Return what to call the numbers from one to another, both included unless infinite."""
    low, high = support
    return f"{'(' if math.isinf(low) else '['}{low:g}, {high:g}{')' if math.isinf(high) else ']'}"


def text_error(error: ValueError, table: object) -> ValueError:
    """Return what to raise where a table could not be turned into numbers: a line that says where text is in it."""
    if "could not convert string" not in str(error):
        return error
    return InputError(f"{where_text_is(table)} holds text where numbers are needed: {error}; encode or drop it")


def where_text_is(table: object) -> str:
    """Name the first column of a frame that holds text; of another table just say ``X``."""
    if isinstance(table, pd.DataFrame):
        for name, column in table.items():
            if pd.to_numeric(column, errors="coerce").isna().sum() > column.isna().sum():
                return f"column {name!r}"
    return "X"
