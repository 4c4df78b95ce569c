"""What a column of a person's table is: found out by its values, or as it was asked for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import infer_dtype

from isthmus.errors import InputError
from isthmus.formats import dates
from isthmus.formats.columns import LEVELS, Column
from isthmus.formats.marks import Marks
from isthmus.formats.names import FEWEST_IDS, called_an_id, few
from isthmus.formats.values import DATES, KINDS, Category, Kind, Levels, as_floats, kind_of, levels_of, truth_values

Asked = str | tuple[Category, ...] | None
"""What a column is asked to be taken for: a kind, a format of dates, or its categories."""

Kinds = Mapping[str, object] | Mapping[int, object] | Mapping[str | int, object]
"""What columns are asked to be taken for by their names, as a person gives it: see :func:`check_kinds`."""

MANY_LEVELS = 100
"""Categories up to which none is rare, where nothing is said of it."""

RARE = 5
"""Rows in fewer than which a category is rare where a column has many."""

MOST_LEVELS = 10_000
"""Categories that are told apart; the rarest of more are pooled."""


class LeftOut(Exception):  # noqa: N818  (no error: it says why a column is no part of the model)
    """Why a column is left out."""


def learn(
    name: str | int, column: pd.Series, marks: Marks, asked: Asked = None, min_frequency: int | float | None = None
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
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_dictionary(column.dtype.pyarrow_dtype):
        column = column.astype("category")  # of Arrow's dictionaries pandas knows too little
    declared = asked if isinstance(asked, tuple) else ()
    found = [mark for mark in marks.in_column(column) if mark not in declared]
    column = marks.blank(column, found)
    if column.isna().all():
        raise InputError(f"Input X has nothing but NaN in column {name!r}: drop it")
    column, kind, form = _as_kind(name, column, asked, has_marks=bool(found))
    about = Column(name, kind, str(column.dtype), marks=tuple(map(str, found)))
    if kind == "number":
        return _about_numbers(about, column)
    if kind == "date":
        return _about_dates(about, column, form)
    return _about_categories(about, column, asked, min_frequency) if kind == "category" else about


def _as_kind(name: object, column: pd.Series, asked: Asked, *, has_marks: bool) -> tuple[pd.Series, Kind, str | None]:
    """Return a column as what it is taken for, what that is, and how its dates are written."""
    if asked is None:
        return _as_found(name, column, has_marks=has_marks)
    if not isinstance(asked, str):
        return column, "category", None
    if asked.startswith("%") or asked == "date":
        return _as_dates(name, column, asked)
    if asked == "number":
        return _numbers(name, column), "number", None
    if asked == "boolean":
        read = truth_values(column)
        if (read.isna() & column.notna()).any():
            raise _not_as_asked(name, column[read.isna()], "truth values")
        return read, "boolean", None
    return _texts_of_mixed(column), "category", None


def _as_dates(name: object, column: pd.Series, asked: str) -> tuple[pd.Series, Kind, str | None]:
    """Return a column as dates, of text in a format, or whole numbers such as 20240131."""
    inferred = infer_dtype(column, skipna=True)
    if inferred in DATES:
        return column, "date", None
    texts = column if asked == "date" else dates.digits(column)
    found = dates.date_format(_texts_of(texts)) if asked == "date" and inferred == "string" else None
    form = found.form if found is not None else asked
    known = texts.dropna()
    if form == "date" or infer_dtype(known) != "string":
        raise _not_as_asked(name, column, "dates: give their format, such as '%d.%m.%Y'")
    wrong = known[dates.read_dates(known, form).isna()]
    if len(wrong):
        raise _not_as_asked(name, wrong, f"a date, written {form}")
    return column, "date", form


def _as_found(name: object, column: pd.Series, *, has_marks: bool) -> tuple[pd.Series, Kind, str | None]:
    inferred = infer_dtype(column, skipna=True)
    is_text = inferred == "string" and not isinstance(column.dtype, pd.CategoricalDtype)
    if has_marks and (is_text or column.dtype == object) and _are_numbers(column):
        return _numbers(name, column), "number", None
    if has_marks and column.dtype == object and inferred == "boolean":
        return column.astype("boolean"), "boolean", None
    found = dates.date_format(_texts_of(column)) if is_text else None
    if found is not None and found.wrong:
        raise LeftOut(
            f"its values are dates, written {found.form}, but for {few(found.wrong, 3)}, which "
            f"na_values={found.wrong[:3]} takes for missing"
        )
    if found is not None:
        return column, "date", found.form
    if is_text:
        _check_no_numbers_with_faults(column)
    if inferred == "integer" and _are_days(column):
        return column, "date", DAYS_AS_NUMBERS
    n_different = column.nunique() if is_text else 0
    if n_different >= FEWEST_IDS and n_different > column.notna().sum() / 2 and _are_numbers(column):
        return _numbers(name, column), "number", None
    kind = kind_of(name, column)
    if kind == "number" and called_an_id(name) and _are_whole(column):
        if column.is_unique and len(column) >= FEWEST_IDS:
            raise LeftOut("it numbers the rows")
        return column, "category", None
    return column, kind, None


def _are_whole(column: pd.Series) -> bool:
    if column.dtype.kind in "mM" or infer_dtype(column, skipna=True) in ("timedelta", "timedelta64"):
        return False
    values = as_floats(column)
    return bool((values[~np.isnan(values)] % 1 == 0).all())


DAYS_AS_NUMBERS = "%Y%m%d"
"""How days are written as whole numbers: 20240131."""

FEWEST_DAYS = 5
"""Different whole numbers that are days, all of them, for them to be no accident."""


def _are_days(column: pd.Series) -> bool:
    values = column.dropna().unique()
    if len(values) < FEWEST_DAYS or min(values) < 19000101 or max(values) > 21001231:
        return False
    return bool(dates.read_dates(dates.digits(pd.Series(values)), DAYS_AS_NUMBERS).notna().all())


def _check_no_numbers_with_faults(column: pd.Series) -> None:
    """Raise LeftOut where nearly all different texts are numbers, and a few are not."""
    values = _texts_of(column)
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna()].tolist()
    are_codes = values.str.fullmatch(r"0\d+").any()
    if len(values) >= FEWEST_IDS and 0 < len(wrong) <= dates.MOST_WRONG * len(values) and not are_codes:
        raise LeftOut(f"its values are numbers, but for {few(wrong, 3)}, which na_values={wrong[:3]} takes for missing")


def _are_numbers(column: pd.Series) -> bool:
    """Tell whether values among which there were marks are numbers, and no codes such as 007."""
    values = column.dropna().unique()
    texts = pd.Series(values).astype(str).str.strip()
    is_code = texts.str.fullmatch(r"0\d+").any()
    return not is_code and bool(np.isfinite(pd.to_numeric(texts, errors="coerce")).all())


def _numbers(name: object, column: pd.Series) -> pd.Series:
    inferred = infer_dtype(column, skipna=True)
    if inferred in ("floating", "integer", "decimal", "timedelta64") and column.dtype != object:
        return column
    if inferred == "boolean":
        return column.astype(float)
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


def _texts_of(column: pd.Series) -> pd.Series:
    return pd.Series(column.dropna().unique()).astype(object).astype("str")


def _not_as_asked(name: object, column: pd.Series, what: str) -> InputError:
    first = column.dropna().iloc[0]
    return InputError(f"column {name!r} holds {str(first)!r}, and was to be taken for {what}")


def _about_numbers(about: Column, column: pd.Series) -> Column:
    values = as_floats(column)
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all():
        return about  # what is wrong with it is said where all numbers are looked at
    dtype = str(column.dtype)
    if column.dtype == object:
        dtype = "timedelta64[us]" if infer_dtype(column, skipna=True) == "timedelta" else "float64"
    whole = bool((known == np.rint(known)).all())
    return replace(about, dtype=dtype, low=float(known.min()), high=float(known.max()), whole=whole)


def _about_dates(about: Column, column: pd.Series, form: str | None) -> Column:
    texts = column if form is None else dates.digits(column)
    moments = dates.read_dates(texts, form, getattr(column.dtype, "tz", None))
    if moments.isna().all():
        raise InputError(f"column {about.name!r} has no date in it: drop it")
    days = dates.days_since_1970(moments)
    dtype = "datetime64[us]" if form is None and column.dtype == object else str(column.dtype)
    dated = replace(about, dtype=dtype, format=form, unit=dates.unit(moments), parts=dates.parts(moments))
    return replace(dated, low=float(np.nanmin(days)), high=float(np.nanmax(days)))


def _about_categories(about: Column, column: pd.Series, asked: Asked, min_frequency: int | float | None) -> Column:
    if isinstance(asked, tuple):
        return _declared(about, column, asked)
    counts = column.value_counts()
    is_text = asked is None and not isinstance(column.dtype, pd.CategoricalDtype)
    known = _of_counts(replace(about, levels=_levels(about.name, column)), counts, min_frequency, is_text=is_text)
    n_different = int((counts > 0).sum())
    if is_text and n_different >= FEWEST_IDS:
        half = counts.sum() / 2
        if n_different > half or _n_rare(known, counts) > half:
            raise LeftOut("nearly every row has a value of its own")
    if not known.categories:
        raise InputError(
            f"column {about.name!r} has no category in {_least(counts, min_frequency, is_text)} rows, the "
            "min_frequency asked for: give a lower one, or drop the column"
        )
    return known


def of_counts(column: Column, times: Mapping[Any, int], asked: Asked, min_frequency: int | float | None) -> Column:
    """Return a column of categories as :func:`learn` finds it, of how often each value is there.

    Parameters
    ----------
    column : Column
        What is known of it by a sample of its rows.
    times : dict
        How many rows have each value.
    asked, min_frequency
        See :func:`learn`.
    """
    if isinstance(asked, tuple):
        return column
    if column.levels is not None:
        values = column.levels["values"]
        levels = column.levels | {"values": [*values, *(each for each in times if each not in values)]}
        column = replace(column, levels=levels)
    counts = pd.Series(list(times.values()), index=pd.Index(list(times), dtype=object))
    found = _of_counts(column, counts, min_frequency, is_text=asked is None and column.levels is None)
    return found if found.categories else column


def _least(counts: pd.Series, min_frequency: int | float | None, is_text: bool) -> int:
    """Return in how many rows a category has to be to stand for itself."""
    if min_frequency is not None:
        return math.ceil(min_frequency * int(counts.sum())) if isinstance(min_frequency, float) else int(min_frequency)
    return RARE if is_text and (counts > 0).sum() > MANY_LEVELS else 1


def _n_rare(column: Column, counts: pd.Series) -> int:
    return int(counts.sum()) - int(counts.reindex(list(column.categories)).sum())


def _of_counts(about: Column, counts: pd.Series, min_frequency: int | float | None, *, is_text: bool) -> Column:
    """Return which categories stand for themselves, by how often each is there; none where all are too rare."""
    counts = counts[counts > 0]
    kept = counts[counts >= _least(counts, min_frequency, is_text)][:MOST_LEVELS]
    # In the order of a Categorical, else of numbers or letters.
    levels = about.levels
    place = {value: i for i, value in enumerate(levels["values"])} if levels else {}
    categories = tuple(sorted(kept.index.tolist(), key=place.__getitem__ if place else None))
    n_pooled = len(counts) - len(kept)
    known = replace(about, categories=categories, n_pooled=n_pooled, counts=())
    if len(categories) <= MANY_LEVELS:
        return known
    in_order = (int(kept[category]) for category in categories)
    return replace(known, counts=(*in_order, *([_n_rare(known, counts)] if n_pooled else [])))


def _levels(name: object, column: pd.Series) -> Levels | None:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return None
    index = column.cat.categories
    if infer_dtype(index) not in LEVELS:
        raise InputError(f"column {name!r} has categories that are {infer_dtype(index)}: make them text")
    return levels_of(column)


def _declared(about: Column, column: pd.Series, categories: tuple[Category, ...]) -> Column:
    """Return the categories that were asked for; raise InputError where the column holds others."""
    new = [value for value in column.dropna().unique().tolist() if value not in categories]
    if new:
        raise InputError(f"column {about.name!r} holds {new[0]!r}, which is none of the categories in kinds: add it")
    levels = _levels(about.name, column)
    if levels is not None:  # what may be given back has its level
        levels["values"] += [each for each in categories if each not in levels["values"]]
    return replace(about, categories=categories, levels=levels)


def check_kinds(kinds: Kinds | None, names: Sequence[object]) -> dict[object, Asked]:
    """Return the kinds that were asked for; raise InputError where one is none, or is of a column that is not there.

    Lists of categories are tuples of plain values.
    """
    checked: dict[object, Asked] = {}
    for name, kind in ({} if kinds is None else dict(kinds)).items():
        if name not in names:
            raise InputError(f"kinds= names the column {name!r}, which is not in X")
        if isinstance(kind, list | tuple | set | frozenset | np.ndarray | pd.Index):
            checked[name] = _plain_categories(name, kind)
        elif isinstance(kind, str) and (kind in KINDS or _is_format(kind)):
            checked[name] = kind
        else:
            raise InputError(
                f"kinds={{{name!r}: {kind!r}}}: give one of {', '.join(map(repr, KINDS))}, a format of dates such as "
                "'%d.%m.%Y', or a list of categories"
            )
    return checked


def _plain_categories(name: object, values: Iterable[Category]) -> tuple[Category, ...]:
    in_order = sorted(values) if isinstance(values, set | frozenset) else list(values)
    categories = tuple(each.item() if isinstance(each, np.generic) else each for each in in_order)
    if not categories or len(set(categories)) < len(categories):
        raise InputError(f"kinds={{{name!r}: …}} names no category, or one twice")
    if not all(isinstance(each, str | int | float) and each == each for each in categories):
        raise InputError(f"kinds={{{name!r}: …}} names what is neither text nor a number: leave it out")
    return categories


def _is_format(text: str) -> bool:
    """Tell whether text is a format of dates, which reads what it writes."""
    plain = dates.plain_form(text)
    try:
        written = pd.Series([pd.Timestamp(2001, 2, 3, 4, 5, 6)]).dt.strftime(plain).astype(object)
        return "%" in plain and bool(dates.read_dates(written, text).notna().all())
    except ValueError:
        return False
