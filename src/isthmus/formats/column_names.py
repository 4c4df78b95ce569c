"""Names of a dataframe's columns, of whatever kind they are, as what JSON can hold and back."""

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.saving.attributes import Json

Name: TypeAlias = "str | float | datetime.date | pd.Period | tuple[Name, ...]"
"""A text, a number, a truth value, a moment, a date, a period, or a tuple of these, as a MultiIndex has."""


def plain_name(name: object) -> Name:
    """Return a name as Python or pandas have it, without numpy's scalars; of other kinds its text.

    Examples
    --------
    >>> plain_name(np.float64(0.5)), plain_name(("a", np.int64(1))), plain_name(pd.Interval(0, 1))
    (0.5, ('a', 1), '(0, 1]')
    """
    if isinstance(name, np.generic):
        name = pd.Timestamp(name) if isinstance(name, np.datetime64) else name.item()
    if isinstance(name, tuple):
        return tuple(map(plain_name, name))
    if isinstance(name, float) and not math.isfinite(name):
        return str(name)
    return name if isinstance(name, bool | int | float | pd.Timestamp | pd.Period | datetime.date) else str(name)


def index_of(names: Sequence[Any], levels: Sequence[str | None] = (None,)) -> pd.Index:
    """Return the index that columns have by their names, of several levels where these are tuples of one length."""
    several = len(levels) > 1 and all(isinstance(name, tuple) and len(name) == len(levels) for name in names)
    if several:
        return pd.MultiIndex.from_tuples(names, names=list(levels))
    return pd.Index(names, tupleize_cols=False, name=levels[0])


def levels_of(columns: pd.Index) -> tuple[str | None, ...]:
    """Return what the levels of a frame's columns are called."""
    return tuple(None if level is None else str(level) for level in columns.names)


def to_json(name: Name) -> Json:
    """Return what JSON can hold of a name of :func:`plain_name`."""
    if isinstance(name, tuple):
        return {"tuple": [to_json(each) for each in name]}
    if isinstance(name, pd.Timestamp):
        return {"timestamp": [name.isoformat(), name.unit, None if name.tz is None else str(name.tz)]}
    if isinstance(name, pd.Period):
        return {"period": [str(name), name.freqstr]}
    return {"date": name.isoformat()} if isinstance(name, datetime.date) else name


def from_json(content: object) -> Name:
    """Make a name of what :func:`to_json` gave, and JSON may have held since; raise InputError where it is none."""
    try:
        return _from_json(content)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise InputError("its frame_ has a column's name that is none") from error


def have_names(names: Iterable[object]) -> bool:
    """Tell whether columns, or what a row holds, go by names, and not by the numbers that pandas gives for none."""
    return not (isinstance(names, pd.RangeIndex) and names.start == 0 and names.step == 1)


def _from_json(content: object) -> Name:
    if not isinstance(content, Mapping):
        if isinstance(content, str | bool | int) or (isinstance(content, float) and math.isfinite(content)):
            return content
        raise TypeError(content)
    ((kind, value),) = content.items()
    if kind == "tuple":
        return tuple(map(_from_json, value))
    if kind == "timestamp":
        moment = pd.Timestamp(value[0]).as_unit(value[1])
        return moment if value[2] is None else moment.tz_convert(value[2])
    if kind == "period":
        return pd.Period(value[0], freq=value[1])
    return datetime.date.fromisoformat({"date": value}[kind])


def check_names(frame: pd.DataFrame) -> None:
    """Raise InputError where a table has no columns, or not each a name of its own that is text or a number."""
    if not len(frame.columns):
        raise InputError("X has no columns")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"X has more than one column {twice[0]!r}: give each a name of its own")
    texts = [name for name in frame.columns if isinstance(name, str)]
    if 0 < len(texts) < len(frame.columns):
        other = next(name for name in frame.columns if not isinstance(name, str))
        raise InputError(f"X has the columns {texts[0]!r} and {other!r}: give all names that are text, or all numbers")
    for name in frame.columns:
        if not isinstance(name, str | int | np.integer):
            raise InputError(f"X has a column {name!r}: give columns names that are text")


def places_in(names: Sequence[str | int], wanted: Iterable[str | int]) -> list[int]:
    """Return where each of some columns stands: each is looked up, as a list would be gone through for each of them."""
    place = {name: i for i, name in enumerate(names)}
    return [place[name] for name in wanted]
