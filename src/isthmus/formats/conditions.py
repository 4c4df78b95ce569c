"""Conditions: the columns of `y`, classes or numbers, and what a network is told of them.

Of each column it is told a one among zeros, or a number that is standardised, and behind it whether it is unknown.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from isthmus.errors import InputError, warn_caller
from isthmus.formats.column_names import have_names
from isthmus.formats.columns import Column
from isthmus.formats.containers import RowsLike, container_of, plain
from isthmus.formats.labels import are_classes, of_one_kind
from isthmus.formats.marks import Marks
from isthmus.formats.names import few
from isthmus.formats.values import Category
from isthmus.saving.attributes import JsonObject

KINDS = ("auto", "classes", "numbers")


CODE = r"0\d+"
"""What looks like a number, and is a code: 007."""


class Values(NamedTuple):
    """One column of conditions.

    Attributes
    ----------
    name : str, int or None
        Its name in a dataframe, else its place where there are several.
    values : ndarray of shape (n,)
        The conditions.
    is_named : bool
        Whether it goes by that name, and not by its place.
    """

    name: str | int | None
    values: np.ndarray
    is_named: bool = False

    @property
    def where(self) -> str:
        """What an error calls it."""
        return "y" if self.name is None else f"column {self.name!r} of y"


@dataclass(frozen=True)
class Condition:
    """What is known of a column of conditions since ``fit``.

    Attributes
    ----------
    name : str, int or None
        Its name in a DataFrame: text, or a whole number.
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
    classes: tuple[Category, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def learn(cls, column: Values, kind: str = "auto") -> Self:
        """Note the classes, or the mean and spread of numbers, as `kind` says; marks such as "?" are unknown."""
        values = column.values[~np.asarray(pd.isna(column.values))]
        values = values[~are_marks(values)]
        if not len(values):
            raise InputError(f"{column.where} holds no known condition: give some, or leave it out")
        values = of_one_kind(values, column.where)
        name = column.name if column.is_named else None
        as_text = numbers_in_text(values) if kind == "auto" else None
        values = values if as_text is None else as_text
        if kind == "classes" or (kind == "auto" and are_classes(values)):
            return cls(name, tuple(np.unique(values).tolist()))
        advice = "give condition='classes'" + ("" if column.name is None else f", or {{{column.name!r}: 'classes'}}")
        numbers = as_numbers(values, column.where, advice)
        spread = float(numbers.std())
        return cls(name, None, float(numbers.mean()), spread if spread > 0 else 1.0)

    def known(self, column: Values) -> np.ndarray:
        """Return the values of further rows that are known: classes, or numbers."""
        values = column.values[~np.asarray(pd.isna(column.values))]
        values = of_one_kind(values[~are_marks(values, self.classes or ())], column.where)
        return values if self.classes is not None else as_numbers(values, column.where, "give a number")

    @property
    def width(self) -> int:
        """How many numbers a network is told of it."""
        return 1 + (1 if self.classes is None else len(self.classes))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return what a network is told of values, of shape (n, width); None, NaN and marks such as "?" are unknown."""
        told = np.zeros((len(values), self.width))
        unknown = np.asarray(pd.isna(values)) | are_marks(values, self.classes or ())
        told[unknown, -1] = 1
        known = np.flatnonzero(~unknown)
        if self.classes is None:
            told[known, 0] = (as_numbers(values[known], self.where, "give a number") - self.mean) / self.scale
        else:
            told[known, class_index(values[known], self.classes, self.name)] = 1
        return told

    @property
    def where(self) -> str:
        """What an error calls it."""
        return "y" if self.name is None else f"column {self.name!r} of y"

    @classmethod
    def from_json(cls, fields: JsonObject) -> Self:
        """Make one of what ``dataclasses.asdict`` gave, and JSON may have held since; raise where it is none."""
        condition = cls(**dict(fields) | {"classes": fields["classes"] and tuple(fields["classes"])})
        if not (condition.name is None or type(condition.name) in (str, int)):
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


def class_index(values: np.ndarray, classes: Sequence[Category], name: object = None) -> np.ndarray:
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


def read_classes(values: np.ndarray, classes: Sequence[Category]) -> np.ndarray:
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


def _reading_of(value: object, column: Column) -> object:
    """Return the category that says what a value does, or the value itself."""
    try:
        return column.as_at_fit(pd.Series([value])).iloc[0]
    except InputError:
        return value


def columns_of(y: RowsLike | None) -> list[Values]:
    """Return the columns of conditions, one line a row, as they were given: an array, a frame, or a list of lists."""
    if isinstance(y, Mapping):
        arrays = list(map(as_array, y.values()))
        flat = next((name for name, array in zip(y, arrays, strict=True) if array.ndim != 1), None)
        if flat is not None or not arrays:
            raise InputError(f"y is a dict, and {flat!r} in it no column: give of each name one condition a row")
        return [Values(*each, is_named=True) for each in zip(_names_of(y), arrays, strict=True)]
    if container_of(y) is not None:
        frame = plain(y)
        columns = (_values(column) for _, column in frame.items())
        return [Values(*each, is_named=True) for each in zip(_names_of(frame.columns), columns, strict=True)]
    array = as_array(y)
    return [Values(None, array)] if array.ndim < 2 else [Values(i, array[:, i]) for i in range(array.shape[1])]


def as_array(y: RowsLike | None) -> np.ndarray:
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


def told_of(conditions: Sequence[Condition], y: RowsLike | None, n: int) -> np.ndarray:
    """Return what a network is told of the conditions of `n` rows; `y` is one for all of them, or one for each.

    Returns
    -------
    ndarray of shape (n, sum of the widths)
    """
    if y is None:
        return np.concatenate([each.encode(np.full(n, None, dtype=object)) for each in conditions], axis=1)
    columns = _in_order(conditions, y, n)
    return np.concatenate([each.encode(values) for each, values in zip(conditions, columns, strict=True)], axis=1)


def _in_order(conditions: Sequence[Condition], y: RowsLike | None, n: int) -> list[np.ndarray]:
    """Return the values of each condition for each row."""
    several, y = len(conditions) > 1, _by_names([each.name for each in conditions], y, n)
    array = as_array(y)
    if array.ndim == int(several):
        array = np.broadcast_to(array, (n, *array.shape))  # one condition for all rows
    if len(array) != n:
        raise InputError(f"y has {len(array)} conditions, and there are {n} rows: give one a row, or one for all")
    width = array.shape[1] if array.ndim > 1 else 1
    if width != len(conditions):
        raise InputError(f"y has {width} values a row, and fit was given {len(conditions)}: give as many")
    return [array[:, i] for i in range(width)] if several else [array]


def _by_names(names: Sequence[str | int | None], y: RowsLike | None, n: int) -> RowsLike | None:
    """Return conditions in the order of ``fit``, where both have names: a frame, a dict, or a Series of one for all."""
    has_names = len(names) > 1 and None not in names
    if isinstance(y, Mapping):
        if len(names) == len(y) == 1:
            return next(iter(y.values()))
        if not has_names:
            raise InputError("y is a dict, and fit was given no names: give its values alone, as fit was")
        return _frame_of(y, _order(names, _names_of(y)), n)
    if container_of(y) is not None:
        frame = plain(y)
        given = _names_of(frame.columns)
        return frame.iloc[:, _order(names, given)] if has_names else frame
    if isinstance(y, pd.Series) and has_names and len(y) == len(names):
        given = _names_of(y.index)
        return y.iloc[_order(names, given)] if have_names(y.index) or set(given) == set(names) else y
    return y


def _order(names: Sequence[str | int | None], given: Sequence[str | int]) -> list[int]:
    """Return where each name is among those given; raise InputError where these are not the same."""
    if set(given) != set(names):
        raise InputError(f"y has the columns {list(given)}: give those of fit, {list(names)}")
    place = {name: i for i, name in enumerate(given)}
    return [place[name] for name in names if name is not None]


def _frame_of(y: Mapping[str, Any], order: Sequence[int], n: int) -> pd.DataFrame:
    """Return a dict of conditions, of each one for all rows or one a row, as a frame of `n` rows."""
    columns = {}
    for place in order:
        name, given = list(y.items())[place]
        values = as_array(given) if np.ndim(given) else np.full(n, given, dtype=object)
        if values.shape != (n,):
            raise InputError(f"column {name!r} of y has the shape {values.shape}: give one condition, or {n}")
        columns[place] = values
    return pd.DataFrame(columns)


def _names_of(given: Iterable[object]) -> list[str | int]:
    """Return names as text or whole numbers; raise InputError where two are the same."""
    names = [int(name) if isinstance(name, int | np.integer) else str(name) for name in given]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"y has more than one column {twice!r}: give each a name of its own")
    return names


def are_marks(values: np.ndarray, classes: Sequence[object] = ()) -> np.ndarray:
    """Tell which values are marks for what is missing, such as "?", and none of the classes; of shape (n,)."""
    if values.dtype.kind not in "OUT":
        return np.zeros(len(values), dtype=bool)
    given = pd.Series(values.astype(object))
    texts = {value for value in given.tolist() if isinstance(value, str)}
    found = set(Marks(None).among([*texts, *classes])) - set(classes)
    return given.isin(found).to_numpy(bool) if found else np.zeros(len(values), dtype=bool)


def warn_of_marks(columns: Sequence[Values], classes: Sequence[Sequence[object]]) -> None:
    """Say which marks of conditions, that are none of the classes of their column, are taken for unknown."""
    for column, known in zip(columns, classes, strict=True):
        marked = are_marks(column.values, known)
        if marked.any():
            shown = few(sorted(set(column.values[marked].tolist())))
            n = int(marked.sum())
            warn_caller(
                f"{shown} in {n:,} row{'' if n == 1 else 's'} of {column.where} stands for a missing value, and is "
                "taken for unknown: write it otherwise where it is a class"
            )


def numbers_in_text(values: np.ndarray) -> np.ndarray | None:
    """Return texts as the measurements that they are; None where they are words, codes such as 007, or classes."""
    if values.dtype.kind not in "UT":
        return None
    texts = pd.Series(values.tolist(), dtype=object).str.strip()
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(float)
    if not np.isfinite(numbers).all() or texts.str.fullmatch(CODE).any() or are_classes(numbers):
        return None
    return numbers


def as_numbers(y: np.ndarray, where: str, advice: str) -> np.ndarray:
    """Return conditions as finite numbers; raise ValueError where they are none, saying where, and what to do."""
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        wrong = next(each for each in y.tolist() if not _is_number(each))
        raise InputError(f"{where} holds {wrong!r} where numbers are needed: {advice}") from error
    if np.isinf(values).any():
        raise InputError(f"{where} holds infinity in row {int(np.isinf(values).argmax())}: give finite numbers or NaN")
    return values


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _values(column: pd.Series) -> np.ndarray:
    """Return a column as an array, of its own dtype where numpy has that; a gap is None or NaN."""
    if pd.api.types.is_extension_array_dtype(column.dtype):
        return column.to_numpy(dtype=object, na_value=np.nan)
    return column.to_numpy()


def _of_lists(y: Sequence[object]) -> np.ndarray:
    array = np.asarray(y) if not any(isinstance(row, list | tuple) for row in y) else np.array(y, dtype=object)
    mixed = array.dtype.kind in "US" and array.ndim == 1 and not all(isinstance(each, str) for each in y)
    return np.array(y, dtype=object) if mixed else array
