"""What a dataframe of numbers was at ``fit``, so that rows come back as one that could have been given there."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Self, TypeVar

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_integer_dtype, is_numeric_dtype, pandas_dtype

from isthmus.errors import InputError
from isthmus.formats import column_names
from isthmus.formats.column_names import Name, have_names, index_of, levels_of, plain_name
from isthmus.formats.containers import CONTAINERS, Container, Dataframe, RowsLike, decimals_of, plain
from isthmus.formats.names import few
from isthmus.saving.attributes import Json, JsonObject

Rows = TypeVar("Rows")

Names = Sequence[object] | np.ndarray
"""Names of columns, in order."""

WIDEST = 16
"""Bytes of a number, at the most."""

MOST_DECIMALS = 76
"""Digits behind the point that a decimal number can have."""


@dataclass(frozen=True)
class Frame:
    """A dataframe of numbers, as it was at ``fit``.

    Attributes
    ----------
    container : {"pandas", "polars", "pyarrow"}
        Which dataframe it was.
    names : tuple
        The names of its columns; of kinds that no file could keep, such as intervals, their text.
    dtypes : tuple of str
        pandas' name of the dtype of each column.
    low, high : tuple of float
        The lowest and the highest value of each column that training rows had.
    decimals : tuple of int or None
        Digits behind the point that each column has: none where all known values were whole, whatever the dtype, those
        that its decimals have, and None for all others, which are not rounded.
    levels : tuple of str or None
        What the levels of its columns are called.

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
    names: tuple[Name, ...]
    dtypes: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    decimals: tuple[int | None, ...]
    levels: tuple[str | None, ...] = (None,)

    @classmethod
    def learn(cls, X: Dataframe, rows: np.ndarray, container: Container) -> Self:
        """Note what a frame is; `rows` are its numbers, of shape (n, columns), NaN where one is missing."""
        frame = plain(X)
        dtypes = (str(dtype) if _is_plain(dtype) else str(rows.dtype) for dtype in frame.dtypes)
        names = tuple(map(plain_name, frame.columns))
        decimals = tuple(map(_fewer, decimals_of(X), _decimals(rows)))
        return cls(container, names, tuple(dtypes), *_ends(rows), decimals, levels_of(frame.columns))

    @property
    def columns(self) -> pd.Index:
        """The columns of a frame that rows come back as."""
        return index_of(self.names, self.levels)

    def widened(self, rows: np.ndarray) -> Self:
        """Return it with the ranges widened to hold further training rows; their decimals too."""
        low, high = _ends(rows)
        ends = tuple(map(min, self.low, low)), tuple(map(max, self.high, high))
        whole = (now == 0 or np.isnan(column).all() for now, column in zip(_decimals(rows), rows.T, strict=True))
        pairs = zip(self.decimals, whole, strict=True)
        decimals = tuple(None if then == 0 and not is_whole else then for then, is_whole in pairs)
        return replace(self, low=ends[0], high=ends[1], decimals=decimals)

    def decode(self, rows: np.ndarray) -> pd.DataFrame:
        """Return rows as a frame: within the ranges, whole numbers and truth values rounded, in the dtypes of ``fit``.

        A column that was of whole numbers, and now has a gap, is of floats.
        """
        kept = rows.clip(self.low, self.high)
        if len({*self.dtypes}) == 1 and (dtype := pandas_dtype(self.dtypes[0])) in (np.float32, np.float64):
            for i in [i for i, digits in enumerate(self.decimals) if digits is not None]:
                kept[:, i] = kept[:, i].round(self.decimals[i])  # type: ignore[arg-type]
            return pd.DataFrame(kept.astype(dtype, copy=False), columns=self.columns)
        cells = (kept[:, i] if digits is None else kept[:, i].round(digits) for i, digits in enumerate(self.decimals))
        columns = [_as_dtype(values, dtype) for values, dtype in zip(cells, self.dtypes, strict=True)]
        return pd.concat(columns, axis=1).set_axis(self.columns, axis=1)

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

    def as_json(self) -> dict[str, Json]:
        """Return it as what JSON can hold."""
        return asdict(self) | {"names": list(map(column_names.to_json, self.names))}

    @classmethod
    def from_json(cls, content: JsonObject) -> Self:
        """Make one of what :meth:`as_json` gave, and JSON may have held since; raise ValueError where it is none."""
        of_before = {"decimals": [None] * len(content.get("names", ())), "levels": [None]}  # which older models lack
        content = of_before | dict(content)
        if set(content) != {field.name for field in fields(cls)} or content["container"] not in CONTAINERS:
            raise InputError("its frame_ is no frame")
        lists = [content[name] for name in ("names", "dtypes", "low", "high", "decimals")]
        if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
            raise InputError("its frame_ has not a dtype and a range for each column")
        if not all(
            type(low) is type(high) is float and _is_range(low, high) for low, high in zip(*lists[2:4], strict=True)
        ):
            raise InputError("its frame_ has a range that is none")
        names = tuple(map(column_names.from_json, lists[0]))
        if not all(each is None or (type(each) is int and 0 <= each <= MOST_DECIMALS) for each in lists[4]):
            raise InputError("its frame_ has decimals that no number can have")
        levels = content["levels"]
        if not (isinstance(levels, list) and levels and all(isinstance(each, str | None) for each in levels)):
            raise InputError("its frame_ has names of levels that are none")
        if not all(isinstance(name, str) for name in lists[1]):
            raise InputError("its frame_ has a column of a dtype without a name")
        for name in dict.fromkeys(lists[1]):  # a wide frame has few, and each takes a while to find
            dtype = pandas_dtype(name)
            if not _is_plain(dtype) or getattr(dtype, "itemsize", 0) > WIDEST:
                raise InputError(f"its frame_ has a column of the dtype {name!r}, which numbers cannot have")
        return cls(content["container"], names, *(tuple(each) for each in (*lists[1:], levels)))


def mask_of(
    mask: RowsLike, names: Names | None, shape: tuple[int, ...], *, may_lack: Collection[object] = ()
) -> np.ndarray:
    """Return which entries a mask marks as missing; its columns go by names where it and the rows have them.

    Parameters
    ----------
    mask : array-like of bool, DataFrame or Series
        For all rows, for one of them, or for a pixel in all its colours.
    names : sequence or None
        Those of the columns of the rows, where they have names.
    shape : tuple of int
        That of the rows.
    may_lack : collection, optional
        Those among `names` that a dataframe may be without; nothing is marked there.

    Returns
    -------
    ndarray of bool, of that shape

    Raises
    ------
    InputError
        If it holds anything but truth values, or has other names, another shape, or another number of rows.
    """
    if type(mask) is not np.ndarray:  # of which one may stand for all rows without a copy
        mask = plain(mask)
    if isinstance(mask, pd.DataFrame):
        mask = _frame_of_bools(mask)
        mask = _by_names(mask, names, may_lack) if _goes_by_names(mask.columns, names) else mask.to_numpy()
    elif isinstance(mask, pd.Series):
        values = _bools(mask, "mask")
        is_row = math.prod(shape[1:]) > 1 and _goes_by_names(mask.index, names)
        mask = _by_names(values.to_frame().T, names, may_lack)[0] if is_row else values.to_numpy()
    marked = np.asarray(mask)
    if marked.dtype != bool:
        raise InputError(f"mask holds {marked.dtype}: give True where a value is missing, and False elsewhere")
    flat = (math.prod(shape[1:]),)
    if marked.shape in ((shape[0], *flat), flat) or squeezed(marked.shape[1:]) == squeezed(shape[1:]):
        marked = marked.reshape(-1, *shape[1:])
        if len(marked) not in (1, shape[0]):
            shown = np.shape(mask)  # type: ignore[arg-type]
            raise InputError(f"mask has the shape {shown}, and X {shape[0]} rows: give as many, or one")
    elif marked.shape not in (shape[1:], shape[-2:]):
        raise InputError(f"mask has the shape {marked.shape}: give that of X, {shape}, or that of a row")
    return np.broadcast_to(marked, shape)


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out axes of length 1: (1, 28, 28) and (28, 28) are the same image."""
    return tuple(length for length in shape if length != 1)


def _goes_by_names(given: pd.Index, names: Names | None) -> bool:
    """Tell whether what is given goes by the names of columns: where these have some, and it has more than numbers."""
    return names is not None and (have_names(given) or set(map(plain_name, given)) == set(map(plain_name, names)))


def _by_names(mask: pd.DataFrame, names: Names | None, may_lack: Collection[object]) -> np.ndarray:
    """Return a mask in the order of the names."""
    wanted, given = (
        [plain_name(name) for name in (() if names is None else names)],
        [plain_name(name) for name in mask.columns],
    )
    place = {name: i for i, name in enumerate(given)}
    optional = set(map(plain_name, may_lack))
    if len(place) < len(given) or not set(place) <= set(wanted) or not set(wanted) <= set(place) | optional:
        shown = f"[{few(given)}]" if len(given) > 10 else given
        raise InputError(
            f"mask has the columns {shown}: give those of X, {wanted if len(wanted) <= 10 else few(wanted)}"
        )
    values, nothing = mask.to_numpy(bool), np.zeros(len(mask), bool)
    return np.column_stack([values[:, place[name]] if name in place else nothing for name in wanted])


def _frame_of_bools(mask: pd.DataFrame) -> pd.DataFrame:
    """Return a mask whose columns are all of plain truth values; raise InputError where one is of anything else."""
    columns = [_bools(column, f"column {name!r} of mask") for name, column in mask.items()]
    if not columns:
        raise InputError("mask has no columns: give those of X")
    return pd.concat(columns, axis=1).set_axis(mask.columns, axis=1)


def _bools(column: pd.Series, where: str) -> pd.Series:
    """Return a column of truth values in numpy's dtype."""
    if pd.api.types.infer_dtype(column, skipna=False) != "boolean" or column.isna().any():
        holds = "gaps" if column.isna().any() else column.dtype
        raise InputError(f"{where} holds {holds}: give True where a value is missing, and False elsewhere")
    return column.astype(bool)


def _is_plain(dtype: np.dtype | ExtensionDtype) -> bool:
    """Tell whether a dtype is one of real numbers or truth values, to which rows can be brought back."""
    return (is_numeric_dtype(dtype) and not is_complex_dtype(dtype)) or is_bool_dtype(dtype)


def _is_range(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low <= high


def _ends(rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the lowest and the highest number of each column, past NaN; the ends of none lie beyond all numbers."""
    low = np.where(np.isnan(rows).all(0), np.inf, np.fmin.reduce(rows, 0))
    high = np.where(np.isnan(rows).all(0), -np.inf, np.fmax.reduce(rows, 0))
    return tuple(low.astype(float).tolist()), tuple(high.astype(float).tolist())


def _decimals(rows: np.ndarray) -> list[int | None]:
    """Return 0 for columns whose known numbers are all whole, and None for others."""
    return [0 if is_whole else None for is_whole in (np.isnan(rows) | (rows == np.rint(rows))).all(0)]


def _fewer(given: int | None, found: int | None) -> int | None:
    return given if found is None else found


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


def steps_index(n: int, steps: int) -> pd.MultiIndex:
    """Return the index of a frame with so many steps of each of `n` rows."""
    return pd.MultiIndex.from_product([range(n), range(steps)], names=["row", "step"])


def with_index(rows: Rows, given: object) -> Rows:
    """Give a DataFrame the index of the one that it is made of."""
    if isinstance(rows, pd.DataFrame) and isinstance(given, pd.DataFrame):
        return rows.set_axis(given.index)
    return rows
