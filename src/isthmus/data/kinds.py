"""What a column of a person's table is: found out by its values, or as it was asked for."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import infer_dtype

from isthmus.data import dates
from isthmus.data.columns import (
    DATES,
    KINDS,
    LEVELS,
    TRUTH_VALUES,
    Column,
    Kind,
    as_floats,
    kind_of,
    levels_of,
    reading,
)
from isthmus.data.marks import Marks
from isthmus.data.names import FEWEST_IDS, called_an_id
from isthmus.errors import InputError

MANY_LEVELS = 100
"""Categories up to which none is rare, where nothing is said of it."""

RARE = 5
"""Rows in fewer than which a category is rare where a column has many."""

MOST_LEVELS = 10_000
"""Categories that are told apart; the rarest of more are pooled."""


class LeftOut(Exception):  # noqa: N818  (no error: it says why a column is no part of the model)
    """Why a column is left out."""


def learn(
    name: Any, column: pd.Series, marks: Marks, asked: Any = None, min_frequency: int | float | None = None
) -> Column:
    """Find out what a column is.

    Parameters
    ----------
    name : str or int
        Its name.
    column : Series
        Its values.
    marks : Marks
        What stands for a missing value.
    asked : str, sequence or None
        Its kind, where that is asked for: one of `KINDS`, a format of dates that begins with "%", or its categories.
    min_frequency : int, float or None
        Rows, or share of rows, in fewer of which a category is rare; None: see `RARE`.

    Raises
    ------
    LeftOut
        If nearly every row has a value of its own, of which nothing can be learnt.
    InputError
        If it holds nothing, or nothing that a model could be of, or not what was asked for.
    """
    column = _plain(column)
    found = marks.in_column(column)
    column = marks.blank(column, found)
    if column.isna().all():
        raise InputError(f"Input X has nothing but NaN in column {name!r}: drop it")
    column, kind, form = _as_kind(name, column, asked, has_marks=bool(found))
    known: dict[str, Any] = {"marks": tuple(map(str, found))}
    if kind == "number":
        known |= _about_numbers(column)
    elif kind == "date":
        known |= _about_dates(name, column, form)
    elif kind == "category":
        known |= _about_categories(name, column, asked, min_frequency)
    return Column(name, kind, known.pop("dtype", str(column.dtype)), **known)


def _plain(column: pd.Series) -> pd.Series:
    """Return a column without Arrow's dictionaries, of which pandas knows too little."""
    dtype = column.dtype
    is_dictionary = isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(dtype.pyarrow_dtype)
    return column.astype("category") if is_dictionary else column


def _as_kind(name: Any, column: pd.Series, asked: Any, *, has_marks: bool) -> tuple[pd.Series, Kind, str | None]:
    """Return a column as what it is taken for, what that is, and how its dates are written."""
    if asked is None:
        return _as_found(name, column, has_marks=has_marks)
    if not isinstance(asked, str):
        return column, "category", None
    if asked.startswith("%") or asked == "date":
        form = asked if asked != "date" else _format_of(column)
        is_text = infer_dtype(column, skipna=True) == "string"
        if is_text and (form is None or dates.read_dates(column.dropna(), form).isna().any()):
            raise _not_as_asked(name, column, "dates, or not all of one format: give that, such as '%d.%m.%Y'")
        if not is_text and infer_dtype(column, skipna=True) not in DATES:
            raise _not_as_asked(name, column, "dates")
        return column, "date", form if is_text else None
    if asked == "number":
        return _numbers(name, column), "number", None
    if asked == "boolean":
        read = column.map(reading, na_action="ignore").map(TRUTH_VALUES).astype("boolean")
        if (read.isna() & column.notna()).any():
            raise _not_as_asked(name, column[read.isna()], "truth values")
        return read, "boolean", None
    return _texts_of_mixed(column), "category", None


def _as_found(name: Any, column: pd.Series, *, has_marks: bool) -> tuple[pd.Series, Kind, str | None]:
    """Return a column as what its values look like."""
    is_text = infer_dtype(column, skipna=True) == "string" and not isinstance(column.dtype, pd.CategoricalDtype)
    if has_marks and (is_text or column.dtype == object) and _are_numbers(column):
        return _numbers(name, column), "number", None
    if has_marks and column.dtype == object and infer_dtype(column, skipna=True) == "boolean":
        return column.astype("boolean"), "boolean", None
    form = _format_of(column) if is_text else None
    if form is not None:
        return column, "date", form
    kind = kind_of(name, column)
    if kind == "number" and called_an_id(name) and _are_whole(column):
        if column.is_unique and len(column) >= FEWEST_IDS:
            raise LeftOut("it numbers the rows")
        return column, "category", None
    return column, kind, None


def _are_whole(column: pd.Series) -> bool:
    values = as_floats(column)
    return bool((values[~np.isnan(values)] % 1 == 0).all())


def _are_numbers(column: pd.Series) -> bool:
    """Tell whether values among which there were marks are numbers, and no codes such as 007."""
    values = column.dropna().unique()
    texts = pd.Series(values).astype(str).str.strip()
    is_code = texts.str.fullmatch(r"0\d+").any()
    return not is_code and bool(np.isfinite(pd.to_numeric(texts, errors="coerce")).all())


def _numbers(name: Any, column: pd.Series) -> pd.Series:
    """Return values as numbers: whole ones as integers."""
    if infer_dtype(column, skipna=True) in ("floating", "integer", "decimal", "timedelta64") and column.dtype != object:
        return column
    texts = column.astype(object).where(column.notna(), None)
    values = pd.to_numeric(texts.map(lambda value: str(value).strip(), na_action="ignore"), errors="coerce")
    wrong = values.isna() & column.notna()
    if wrong.any():
        raise _not_as_asked(name, column[wrong], "numbers")
    values = values.astype(float)
    whole = bool((values.dropna() % 1 == 0).all() and values.abs().max() < 2**53)
    return values.astype("Int64") if whole else values


def _texts_of_mixed(column: pd.Series) -> pd.Series:
    """Return values as categories can be: all text, or all numbers."""
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    if is_categorical or infer_dtype(column, skipna=True) in ("string", "integer", "floating"):
        return column
    return column.map(str, na_action="ignore").astype(object)


def _format_of(column: pd.Series) -> str | None:
    """Return the format of a column of dates that are text; None where it holds something else."""
    if infer_dtype(column, skipna=True) != "string":
        return None
    return dates.date_format(pd.Series(column.dropna().unique()).astype(object).astype("str"))


def _not_as_asked(name: Any, column: pd.Series, what: str) -> InputError:
    first = column.dropna().iloc[0]
    return InputError(f"column {name!r} holds {str(first)!r}, and was to be taken for {what}")


def _about_numbers(column: pd.Series) -> dict[str, Any]:
    values = as_floats(column)
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return {}  # what is wrong with it is said where all numbers are looked at
    dtype = "float64" if column.dtype == object else str(column.dtype)
    whole = bool((known == np.rint(known)).all())
    return {"dtype": dtype, "low": float(known.min()), "high": float(known.max()), "whole": whole}


def _about_dates(name: Any, column: pd.Series, form: str | None) -> dict[str, Any]:
    moments = dates.read_dates(column, form)
    if moments.isna().all():
        raise InputError(f"column {name!r} has no date in it: drop it")
    days = dates.days_since_1970(moments)
    dtype = "datetime64[us]" if form is None and column.dtype == object else str(column.dtype)
    ends = {"low": float(np.nanmin(days)), "high": float(np.nanmax(days))}
    return {"dtype": dtype, "format": form, "unit": dates.unit(moments), "parts": dates.parts(moments)} | ends


def _about_categories(name: Any, column: pd.Series, asked: Any, min_frequency: int | float | None) -> dict[str, Any]:
    if isinstance(asked, Sequence) and not isinstance(asked, str):
        return {"categories": _declared(name, column, asked)} | _levels(name, column)
    counts = column.value_counts()
    counts = counts[counts > 0]
    n, is_text = int(counts.sum()), asked is None and not isinstance(column.dtype, pd.CategoricalDtype)
    least = 1 if min_frequency is None and not is_text else _least(min_frequency, n, len(counts))
    kept = counts[counts >= least][:MOST_LEVELS]
    n_rare = n - int(kept.sum())
    is_unique = len(counts) > n / 2 or n_rare > n / 2
    if is_text and len(counts) >= FEWEST_IDS and is_unique:
        raise LeftOut("nearly every row has a value of its own")
    if not len(kept):
        raise InputError(
            f"column {name!r} has no category in {least} rows, the min_frequency asked for: give a lower one, or drop "
            "the column"
        )
    levels = _levels(name, column)
    categories = tuple(_sorted(kept.index, levels))
    n_pooled = len(counts) - len(kept)
    known = {"categories": categories, "n_pooled": n_pooled} | levels
    if len(categories) <= MANY_LEVELS:
        return known
    in_order = (int(kept[category]) for category in categories)
    return known | {"counts": (*in_order, *([n_rare] if n_pooled else []))}


def _least(min_frequency: int | float | None, n: int, n_levels: int) -> int:
    """Return in how many rows a category is to be at the least to stand for itself."""
    if min_frequency is None:
        return RARE if n_levels > MANY_LEVELS else 1
    return math.ceil(min_frequency * n) if isinstance(min_frequency, float) else int(min_frequency)


def _sorted(index: pd.Index, levels: dict[str, Any]) -> list[Any]:
    """Return categories in their order: a Categorical's own, else that of numbers or letters."""
    if not levels:
        return sorted(index.tolist())
    place = {value: i for i, value in enumerate(levels["levels"]["values"])}
    return sorted(index.tolist(), key=place.__getitem__)


def _levels(name: Any, column: pd.Series) -> dict[str, Any]:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return {}
    index = column.cat.categories
    if infer_dtype(index) not in LEVELS:
        raise InputError(f"column {name!r} has categories that are {infer_dtype(index)}: make them text")
    return {"levels": levels_of(column)}


def _declared(name: Any, column: pd.Series, asked: Sequence[Any]) -> tuple[Any, ...]:
    """Return the categories that were asked for; raise InputError where the column holds others."""
    categories = tuple(each.item() if isinstance(each, np.generic) else each for each in asked)
    if not categories or len(set(categories)) < len(categories):
        raise InputError(f"kinds={{{name!r}: …}} names no category, or one twice")
    new = [value for value in column.dropna().unique().tolist() if value not in categories]
    if new:
        raise InputError(f"column {name!r} holds {new[0]!r}, which is none of the categories in kinds: add it")
    return categories


def check_kinds(kinds: Any, names: Sequence[Any]) -> dict[Any, Any]:
    """Return the kinds that were asked for; raise InputError where one is none, or is of a column that is not there."""
    kinds = {} if kinds is None else dict(kinds)
    for name, kind in kinds.items():
        if name not in names:
            raise InputError(f"kinds= names the column {name!r}, which is not in X")
        if isinstance(kind, str) and kind not in KINDS and not kind.startswith("%"):
            raise InputError(
                f"kinds={{{name!r}: {kind!r}}}: give one of {', '.join(map(repr, KINDS))}, a format of dates such as "
                "'%d.%m.%Y', or a list of categories"
            )
    return kinds
