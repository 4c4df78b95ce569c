"""Rows of several modalities: from a dict of arrays, or blocks of a frame's columns, to flat rows and back.

In a flat row the modalities come one after the other; a label is one entry, the index of its class; NaN is missing.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_numeric_dtype, pandas_dtype
from torch import Tensor

from isthmus.core.likelihoods import build_likelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood
from isthmus.errors import InputError, InputTypeError, shown
from isthmus.formats.checks import check_array
from isthmus.formats.columns import Column, Kind, levels_of
from isthmus.formats.conditions import read_classes
from isthmus.formats.containers import RowsLike, container_of, plain
from isthmus.formats.labels import are_classes, of_one_kind
from isthmus.formats.rows import check_finite, flatten, in_unit_interval, where_text_is
from isthmus.formats.values import Category, Levels
from isthmus.saving.attributes import JsonObject

MOST_AXES = 3
"""Of a row: colours, height and width."""

WIDEST = 64
"""Bytes of a dtype for each letter of the longest class."""

KINDS = {"U": "words", "S": "words", "b": "truth values"}
"""What labels are, by the kind of their dtype; of all others, numbers."""

Values: TypeAlias = np.ndarray | Tensor | pd.DataFrame | pd.Series | Sequence[float | str]
"""What a modality holds, one line a row."""


@dataclass(frozen=True)
class Modality:
    """What is known of a modality since ``fit``.

    Attributes
    ----------
    name : str
        Its key in the dict, or the block's name.
    shape : tuple of int
        The shape of a row; () where a row is a single number or label.
    dtype : str
        In which its values are handed back.
    classes : tuple or None
        The classes of a label, in order; None for numbers.
    columns : tuple of str or None
        The columns of a frame that it is.
    dtypes : tuple of str or None
        Of each of these; None where a frame was not what it came in.
    levels : dict or None
        Of a label that is a pandas Categorical: all its categories, their dtype, and whether they are ordered.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[Category, ...] | None = None
    columns: tuple[str | int, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    levels: Levels | None = None

    @property
    def size(self) -> int:
        """Entries in a flat row."""
        return math.prod(self.shape)

    @classmethod
    def learn(cls, name: str, values: Any, categorical: bool | None, columns: Sequence[Any] | None = None) -> Self:
        """Note what a modality is by its training rows; `categorical` None leaves it to them whether it is a label."""
        columns = None if columns is None else tuple(columns)
        array = _as_array(name, values)
        known = array[~_missing(array)] if array.ndim == 1 else array
        if array.ndim == 1 and not len(known):
            raise InputError(f"modality {name!r} has nothing but missing values: leave it out")
        if array.ndim == 1:
            known = of_one_kind(known, f"modality {name!r}")
            categorical = are_classes(known) if categorical is None else categorical
        if not categorical:
            numbers = _as_numbers(name, values, array)
            dtype = str(numbers.dtype)
            return cls(name, numbers.shape[1:], dtype, None, columns, columns and _dtypes_of_numbers(values, dtype))
        if array.ndim != 1:
            raise InputError(
                f"modality {name!r} has the shape {array.shape}: labels come one a row, as ({len(array)},)"
            )
        classes = tuple(np.unique(known).tolist())
        if columns is None:
            return cls(name, (), array.dtype.str, classes)
        levels = levels_of(values) if isinstance(values.dtype, pd.CategoricalDtype) else None
        return cls(name, (), str(values.dtype), classes, columns, (str(values.dtype),), levels)

    @classmethod
    def from_json(cls, fields: JsonObject) -> Self:
        """Make one of what ``dataclasses.asdict`` gave and JSON held; raise ValueError where it is none."""
        values: JsonObject = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        modality = cls(**values)
        shape, classes, columns = modality.shape, modality.classes, modality.columns
        is_shape = isinstance(shape, tuple) and len(shape) <= MOST_AXES
        if not isinstance(modality.name, str) or not (
            is_shape and all(type(s) is int and 0 < s < 2**40 for s in shape)
        ):
            raise InputError(f"modality {shown(modality.name)!r} cannot be of shape {shown(shape)}")
        if classes is not None and (not classes or shape or len({type(each) for each in classes} - {int, float}) > 1):
            raise InputError(f"modality {modality.name!r} has classes that are not all words, or all numbers")
        if columns is not None and len(columns) != modality.size:
            raise InputError(f"modality {modality.name!r} has {modality.size} entries and {len(columns)} columns")
        levels = () if modality.levels is None else modality.levels["values"]
        if not all(isinstance(each, str | int | float) for each in (*(classes or ()), *(columns or ()), *levels)):
            raise InputError(f"modality {modality.name!r} has classes or columns that are neither text nor numbers")
        if len(modality.dtypes or modality.columns or ()) != len(modality.columns or ()):
            raise InputError(f"modality {modality.name!r} has not a dtype for each of its columns")
        for column in modality.fields:
            column.check_dtypes()
            column.decode(np.zeros((1, 1)))  # what it will have to do
        dtype = pandas_dtype(modality.dtype)
        if getattr(dtype, "itemsize", 0) > WIDEST * (1 + max((len(str(each)) for each in classes or ()), default=0)):
            raise InputError(f"modality {modality.name!r} is of the dtype {modality.dtype}, which is wider than it is")
        return modality

    def encode(self, values: Values, *, mark_new: bool = False) -> np.ndarray:
        """Return flat rows of shape (n, size), with NaN where a value is missing.

        A class that was not there at fit is NaN too, or has the index after the last one where `mark_new` says so.
        """
        array = _as_array(self.name, values)
        if self.classes is not None:
            return self._class_index(array, len(self.classes) if mark_new else np.nan)[:, None]
        numbers = _as_numbers(self.name, values, array)
        if numbers.shape[1:] != self.shape:
            raise InputError(
                f"modality {self.name!r} has rows of shape {numbers.shape[1:]}, and had {self.shape} at fit: give those"
            )
        return numbers.reshape(len(numbers), self.size)

    def decode(self, rows: np.ndarray) -> np.ndarray:
        """Return the values that flat rows stand for, in the shape of ``fit``, and an array's in its dtype."""
        if self.classes is None:
            return rows.reshape(len(rows), *self.shape).astype(self.dtype)
        labels = np.array(self.classes, dtype=object)[rows[:, 0].astype(int)]
        return labels.astype(self.dtype) if self.columns is None else labels

    @property
    def fields(self) -> tuple[Column, ...]:
        """What the columns of a frame are, each for itself."""
        if self.columns is None:
            return ()
        dtypes = self.dtypes or (self.dtype,) * self.size  # older files have the one alone
        named = zip(self.columns, dtypes, strict=True)
        return tuple(Column(name, self._kind(dtype), dtype, self.classes or (), self.levels) for name, dtype in named)

    def _kind(self, dtype: str) -> Kind:
        if self.classes is not None:
            return "category"
        return "boolean" if is_bool_dtype(dtype) else "number"

    def _class_index(self, array: np.ndarray, new: float) -> np.ndarray:
        assert self.classes is not None
        if array.ndim != 1:
            raise InputError(f"modality {self.name!r} has the shape {array.shape}: labels come one a row")
        known = ~_missing(array)
        index = np.full(len(array), -1)
        if known.any():
            values = of_one_kind(array[known], f"modality {self.name!r}")
            now, then = (KINDS.get(each.dtype.kind, "numbers") for each in (values, np.array(self.classes)))
            index[known] = read_classes(values, self.classes)
            if now != then and (index[known] < 0).all():
                raise InputError(f"modality {self.name!r} holds {now}, and was given {then} at fit: give {then}")
        return np.where(index < 0, np.where(known, new, np.nan), index).astype(np.float32)


def slices(modalities: Sequence[Modality]) -> dict[str, slice]:
    """Return where each modality is in a flat row."""
    ends = itertools.accumulate(modality.size for modality in modalities)
    return {each.name: slice(end - each.size, end) for each, end in zip(modalities, ends, strict=True)}


def flat_rows(modalities: Sequence[Modality], values: Mapping[str, Values], *, mark_new: bool = False) -> np.ndarray:
    """Return flat rows of shape (n, sum of sizes), NaN where a modality, or a value, is missing.

    `mark_new` is that of :meth:`Modality.encode`.

    Raises
    ------
    ValueError
        If `values` holds a modality that is none of these, or none of these, or values that are not as at fit.
    """
    names = [modality.name for modality in modalities]
    new = [name for name in values if name not in names]
    if new:
        raise InputError(f"X holds the modality {new[0]!r}, which was not there at fit: give {listed(names)}")
    if not values:
        raise InputError(f"X holds none of the modalities: give at least one of {listed(names)}")
    n = len(next(iter(values.values())))
    parts = [
        modality.encode(values[modality.name], mark_new=mark_new)
        if modality.name in values
        else np.full((n, modality.size), np.nan, dtype=np.float32 if modality.classes is not None else modality.dtype)
        for modality in modalities
    ]
    return np.concatenate(parts, axis=1)


def in_blocks(X: RowsLike, blocks: Mapping[str, Sequence[str | int]] | None) -> dict[str, Values]:
    """Return the values of each modality that `X` holds: those of a dict that are not None, or the blocks of a frame.

    Parameters
    ----------
    X : dict of str to array-like, or DataFrame
    blocks : dict of str to sequence, or None
        The columns of each modality, for a frame.

    Raises
    ------
    TypeError
        If `X` is neither.
    ValueError
        If blocks and `X` do not go together, or numbers of rows differ.
    """
    if container_of(X) is not None:
        values = _columns(plain(X), blocks)
    elif isinstance(X, Mapping):
        if blocks is not None:
            raise InputError("blocks= says which columns of a DataFrame belong together, and X is a dict: leave it out")
        values = {name: plain(value) for name, value in X.items() if value is not None}
    else:
        raise InputTypeError(
            f"X is a {type(X).__name__}: give a dict of arrays by name, such as {{'image': …, 'label': …}}, or a "
            "DataFrame with blocks={'name': [columns]}"
        )
    single = [name for name, value in values.items() if _n_dimensions(name, value) == 0]
    if single:
        raise InputError(f"modality {single[0]!r} is a single value: give an array with one line a row")
    lengths = {name: len(value) for name, value in values.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise InputError(f"the modalities of X differ in their numbers of rows: {told}")
    return values


def listed(names: Iterable[str]) -> str:
    """Return the names of modalities as they are told to a person."""
    return ", ".join(map(repr, names))


def _n_dimensions(name: str, value: Values) -> int:
    try:
        return np.ndim(value)
    except ValueError as error:  # numpy's, of lists that are ragged
        raise InputError(f"modality {name!r} has rows of different lengths: give them as many values each") from error


def _columns(X: pd.DataFrame, blocks: Mapping[str, Sequence[str | int]] | None) -> dict[str, Values]:
    """Take each block's columns; one of which none is there is missing, one of which some are not is an error."""
    if blocks is None:
        raise InputError("X is a DataFrame: say which columns belong together, blocks={'name': [columns], …}")
    named = [column for columns in blocks.values() for column in columns]
    twice = [column for column in named if named.count(column) > 1]
    if twice:
        raise InputError(f"column {twice[0]!r} is named twice in blocks: name it once")
    new = [column for column in X.columns if column not in named]
    if new:
        raise InputError(f"column {new[0]!r} of X is in none of the blocks: name it in one, or drop it")
    values: dict[str, Values] = {}
    for name, columns in blocks.items():
        there = [column for column in columns if column in X.columns]
        if there and len(there) < len(columns):
            gone = next(column for column in columns if column not in there)
            raise InputError(f"column {gone!r} of the block {name!r} is not in X: give it, or drop the whole block")
        if there:
            values[name] = X[there[0]] if len(there) == 1 else X[there]
    return values


def _as_array(name: str, values: Values) -> np.ndarray:
    """Return what a person gave for a modality as an array; bytes (0…255) of images as float32 in [0, 1]."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values  # numpy has none
    if isinstance(values, pd.Series):
        extension = pd.api.types.is_extension_array_dtype(values.dtype)
        array = values.to_numpy(dtype=object, na_value=np.nan) if extension else values.to_numpy()
    elif np.ndim(values) > 1:
        table, row_shape = flatten(values if isinstance(values, Tensor | pd.DataFrame) else np.asarray(values))
        array = np.asarray(in_unit_interval(table))
        array = array if row_shape is None else array.reshape(-1, *row_shape)
    else:
        array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "biufOUT":
        raise InputError(
            f"modality {name!r} has the shape {array.shape} and holds {array.dtype}: give numbers or labels"
        )
    return array


def _as_numbers(name: str, values: Values, array: np.ndarray) -> np.ndarray:
    """Return numbers as float32 or float64, of shape (n, ...); raise ValueError for text and infinity."""
    try:
        table = check_array(
            values if isinstance(values, pd.DataFrame) else array,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=0,
        )
    except (TypeError, ValueError) as error:
        place = where_text_is(values) if isinstance(values, pd.DataFrame) else "it"
        raise InputError(f"modality {name!r} is no table of numbers: {place} holds text or objects") from error
    try:
        check_finite(table.reshape(len(table), math.prod(table.shape[1:])), allow_nan=True)
    except ValueError as error:
        raise InputError(str(error).replace("Input X", f"modality {name!r}")) from error
    return np.asarray(table)


def _dtypes_of_numbers(values: pd.Series | pd.DataFrame, dtype: str) -> tuple[str, ...]:
    """Return the dtype of each column; where it is not one of numbers or truth values, that which they have become."""
    dtypes = [values.dtype] if isinstance(values, pd.Series) else list(values.dtypes)
    return tuple(str(each) if is_numeric_dtype(each) else dtype for each in dtypes)


def _missing(array: np.ndarray) -> np.ndarray:
    return np.asarray(pd.isna(array))


def cost_at_mean(cells: np.ndarray, likelihood: str, sigma: float | None) -> float:
    """Return what rows cost at their mean, or class frequencies, above a perfect rebuild, in nats a row.

    Parameters
    ----------
    cells : ndarray of float, of shape (n, size)
        The rows, with NaN where they are not known; a label is the index of its class.
    likelihood : str
        The name of what they are held against.
    sigma : float or None
        Of a Gaussian; None is the rows' own root mean variance, where it is most likely.

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> cost_at_mean(rows, "gaussian", sigma=0.5), cost_at_mean(rows, "gaussian", sigma=None)
    (0.5, 1.0)
    >>> round(cost_at_mean(rows, "bernoulli", None), 3)  # log 2
    0.693
    """
    of_cells = CategoricalLikelihood(()) if likelihood == "categorical" else build_likelihood(likelihood, sigma)
    return of_cells.cost_at_mean(torch.tensor(cells))
