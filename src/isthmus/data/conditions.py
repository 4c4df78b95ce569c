"""Conditions: the columns of `y`, classes or numbers, and what a network is told of them.

Of each column it is told a one among zeros, or a number that is standardised, and behind it whether it is unknown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from isthmus.data.columns import Column
from isthmus.data.containers import container_of, plain
from isthmus.data.labels import are_classes, of_one_kind
from isthmus.errors import InputError

KINDS = ("auto", "classes", "numbers")


class Values(NamedTuple):
    """One column of conditions: its name, where it has one, and its values of shape (n,)."""

    name: Any
    values: np.ndarray


@dataclass(frozen=True)
class Condition:
    """What is known of a column of conditions since ``fit``.

    Attributes
    ----------
    name : str, int or None
        Its name in a DataFrame.
    classes : tuple or None
        The classes, in order; None for numbers.
    mean, scale : float
        Mean and standard deviation of numbers.

    Examples
    --------
    >>> colour = Condition.learn(Values("colour", np.array(["red", "blue", None], dtype=object)))
    >>> colour.encode(np.array(["red", None], dtype=object)).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    name: str | int | None
    classes: tuple[Any, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def learn(cls, column: Values, kind: str = "auto") -> Self:
        """Note the classes, or the mean and spread of numbers, as `kind` says."""
        name = column.name if isinstance(column.name, str) else None
        values = column.values[~np.asarray(pd.isna(column.values))]
        where = "y" if column.name is None else f"column {column.name!r} of y"
        if not len(values):
            raise InputError(f"{where} holds no known condition: give some, or leave it out")
        values = of_one_kind(values, where)
        if kind == "classes" or (kind == "auto" and are_classes(values)):
            return cls(name, tuple(np.unique(values).tolist()))
        numbers = as_numbers(values)
        spread = float(numbers.std())
        return cls(name, None, float(numbers.mean()), spread if spread > 0 else 1.0)

    @property
    def width(self) -> int:
        """How many numbers a network is told of it."""
        return 1 + (1 if self.classes is None else len(self.classes))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return what a network is told of values, of shape (n, width); None and NaN are unknown."""
        told = np.zeros((len(values), self.width))
        unknown = np.asarray(pd.isna(values))
        told[unknown, -1] = 1
        known = np.flatnonzero(~unknown)
        if self.classes is None:
            told[known, 0] = (as_numbers(values[known], self.name) - self.mean) / self.scale
        else:
            told[known, class_index(values[known], self.classes, self.name)] = 1
        return told

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Make one of what ``dataclasses.asdict`` gave, and JSON may have held since; raise where it is none."""
        condition = cls(**dict(fields) | {"classes": fields["classes"] and tuple(fields["classes"])})
        if not (condition.name is None or isinstance(condition.name, str)):
            raise InputError(f"a condition has the name {condition.name!r}")
        ends = condition.mean, condition.scale
        if not all(type(end) is float and math.isfinite(end) for end in ends) or condition.scale <= 0:
            raise InputError("a condition has a mean or a scale that none can have")
        classes = condition.classes
        if classes is not None and not (
            classes
            and len(set(classes)) == len(classes)
            and all(isinstance(each, str | int | float) for each in classes)
        ):
            raise InputError("a condition has classes that are none")
        return condition


def class_index(values: np.ndarray, classes: Sequence[Any], name: Any = None) -> np.ndarray:
    """Return the place of each value among the classes, however it is written: "3" or 3.0 for 3.

    Raises
    ------
    ValueError
        If a value is no class.
    """
    index = read_classes(values, classes)
    if (index < 0).any():
        unseen = values[int((index < 0).argmax())]
        few = ", ".join(map(str, classes[:12])) + (" …" if len(classes) > 12 else "")
        where = "y" if name is None else f"column {name!r} of y"
        raise InputError(f"{where} holds the class {unseen!s}, which was not there at fit: give one of {few}")
    return index


def read_classes(values: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Return the place of each value among the classes, however it is written; −1 where it is none of them."""
    listed = [each.item() if isinstance(each, np.generic) else each for each in classes]
    given = pd.Series(values.tolist())
    places = pd.Index(listed, dtype=object)
    index = places.get_indexer(pd.Index(given, dtype=object))
    new = given[index < 0].unique()
    if len(new):
        column = Column("y", "category", "object", tuple(listed))
        readings = {value: _reading_of(value, column) for value in new.tolist()}
        index = places.get_indexer(pd.Index([readings.get(value, value) for value in given.tolist()], dtype=object))
    return index


def _reading_of(value: Any, column: Column) -> Any:
    """Return the category that says what a value does, or the value itself."""
    try:
        return column.as_at_fit(pd.Series([value])).iloc[0]
    except InputError:
        return value


def columns_of(y: Any) -> list[Values]:
    """Return the columns of conditions, one line a row, as they were given: an array, a frame, or a list of lists."""
    if container_of(y) is not None:
        frame = plain(y)
        return [Values(name if isinstance(name, str) else None, _values(column)) for name, column in frame.items()]
    array = as_array(y)
    return [Values(None, array)] if array.ndim < 2 else [Values(i, array[:, i]) for i in range(array.shape[1])]


def as_array(y: Any) -> np.ndarray:
    """Return conditions as an array, of objects where words and numbers stand side by side; a column of one is flat."""
    if container_of(y) is not None:
        columns = columns_of(y)
        array = columns[0].values if len(columns) == 1 else np.column_stack([c.values.astype(object) for c in columns])
    elif isinstance(y, pd.Series):
        array = _values(y)
    elif isinstance(y, list | tuple):
        array = _of_lists(y)
    else:
        array = np.asarray(plain(y))
    if array.ndim > 2 or array.dtype.kind not in "biufOUT":
        raise InputError(
            f"y has the shape {array.shape} and holds {array.dtype}: give words or numbers, one line a row"
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def told_of(conditions: Sequence[Condition], y: Any, n: int) -> np.ndarray:
    """Return what a network is told of the conditions of `n` rows; `y` is one for all of them, or one for each.

    Returns
    -------
    ndarray of shape (n, sum of the widths)
    """
    if y is None:
        return np.concatenate([each.encode(np.full(n, None, dtype=object)) for each in conditions], axis=1)
    columns = _in_order(conditions, y, n)
    return np.concatenate([each.encode(values) for each, values in zip(conditions, columns, strict=True)], axis=1)


def _in_order(conditions: Sequence[Condition], y: Any, n: int) -> list[np.ndarray]:
    """Return the values of each condition for each row."""
    names = [each.name for each in conditions]
    if container_of(y) is not None and len(names) > 1 and None not in names:
        frame = plain(y)
        if set(frame.columns) != set(names):
            raise InputError(f"y has the columns {frame.columns.tolist()}: give those of fit, {names}")
        y = frame[names]
    array, several = as_array(y), len(conditions) > 1
    if array.ndim == int(several):
        array = np.broadcast_to(array, (n, *array.shape))  # one condition for all rows
    if len(array) != n:
        raise InputError(f"y has {len(array)} conditions, and there are {n} rows: give one a row, or one for all")
    width = array.shape[1] if array.ndim > 1 else 1
    if width != len(conditions):
        raise InputError(f"y has {width} values a row, and fit was given {len(conditions)}: give as many")
    return [array[:, i] for i in range(width)] if several else [array]


def as_numbers(y: np.ndarray, name: Any = None) -> np.ndarray:
    """Return conditions as finite numbers; raise ValueError where they are none."""
    where = "y" if name is None else f"column {name!r} of y"
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} holds {y.flat[0]!r} where numbers are needed: give condition='classes'") from error
    if np.isinf(values).any():
        raise InputError(f"{where} holds infinity in row {int(np.isinf(values).argmax())}: give finite numbers or NaN")
    return values


def _values(column: pd.Series) -> np.ndarray:
    """Return a column as an array, of its own dtype where numpy has that; a gap is None or NaN."""
    if pd.api.types.is_extension_array_dtype(column.dtype):
        return column.to_numpy(dtype=object, na_value=np.nan)
    return column.to_numpy()


def _of_lists(y: Sequence[Any]) -> np.ndarray:
    array = np.asarray(y) if not any(isinstance(row, list | tuple) for row in y) else np.array(y, dtype=object)
    mixed = array.dtype.kind in "US" and array.ndim == 1 and not all(isinstance(each, str) for each in y)
    return np.array(y, dtype=object) if mixed else array
