"""One column of a table: what it holds, and how its values become numbers and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_integer_dtype, pandas_dtype

from isthmus.errors import InputError
from isthmus.formats import dates
from isthmus.formats.values import (
    DATES,
    KINDS,
    MIXED,
    Category,
    Dtype,
    Kind,
    Levels,
    as_floats,
    dtype_named,
    index_in,
    is_count,
    is_finite,
    kind_of,
    levels_of,
    numbers_as_given,
    numpy_dtype,
    plain_numbers,
    reading,
    truth_values,
)
from isthmus.saving.attributes import JsonObject

__all__ = ["KINDS", "PLURAL", "Cell", "Column", "Kind", "as_floats", "kind_of", "levels_of", "truth_values"]

PLURAL = {"number": "numbers", "boolean": "truth values", "category": "categories", "date": "dates"}

LEVELS = ("string", "integer", "floating", "boolean")
"""What the categories of a column may be: what JSON can hold."""

WIDEST = 16
"""Bytes of a cell: dtypes of more are text of a fixed length, or structures."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str or int
        Its name.
    kind : {"number", "boolean", "category", "date"}
        What its values are.
    dtype : str
        pandas' name of the dtype in which it is given back.
    categories : tuple
        The categories that were seen, in order; without those that are pooled.
    levels : dict or None
        Of a pandas Categorical: all its categories, their dtype, and whether they are ordered.
    low, high : float or None
        The lowest and the highest number at fit; of dates, in days since 1970. None: older models do not know.
    whole : bool
        Whether all numbers were whole.
    n_pooled : int
        How many rare categories are one to the model; one that was not there at fit is then taken for one of them.
    counts : tuple of int
        Of many categories: in how many rows each was, and last the pooled ones.
    format, unit : str or None
        Of dates: how they are written, where they are text, and what all of them are whole numbers of.
    parts : dict of str to list of int
        Of dates: month, weekday and hour, as far as they come again and again, and the values of each.
    marks : tuple of str
        What stood for a missing value.
    """

    name: str | int
    kind: Kind
    dtype: str
    categories: tuple[Category, ...] = ()
    levels: Levels | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False
    n_pooled: int = 0
    counts: tuple[int, ...] = ()
    format: str | None = None
    unit: str | None = None
    parts: Mapping[str, Sequence[int]] | None = None
    marks: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, fields: JsonObject) -> Self:
        """Make one of what ``dataclasses.asdict`` gave, and JSON may have held since; raise where it is no column."""
        lists = {name: tuple(fields[name]) for name in ("categories", "counts", "marks") if name in fields}
        parts = fields.get("parts")
        parts = None if parts is None else {name: tuple(values) for name, values in parts.items()}
        column = cls(**dict(fields) | lists | {"parts": parts})
        levels = column.levels
        values = column.categories if levels is None else (*column.categories, *levels["values"])
        if not isinstance(column.name, str | int) or column.kind not in KINDS:
            raise InputError(f"column {column.name!r} is of no kind that a column can be")
        if len(set(column.categories)) < max(len(column.categories), column.kind == "category"):
            raise InputError(f"column {column.name!r} has no categories, or one twice")
        if not all(isinstance(value, str | int | float) for value in values):
            raise InputError(f"column {column.name!r} has categories that are neither text nor numbers")
        column._check_fields()
        column.check_dtypes()
        zeros = np.zeros((2, len(column.cells)))
        column.decode(zeros[:1] if column.kind in ("number", "date") else np.array([[0.0], [np.nan]]))
        return column

    def _check_fields(self) -> None:
        """Raise InputError where what is known of numbers, dates and rare categories cannot be."""
        ends = (self.low, self.high)
        is_range = ends == (None, None) or (all(map(is_finite, ends)) and self.low <= self.high)  # type: ignore[operator]
        n_counts = len(self.categories) + bool(self.n_pooled)
        counts_fit = not self.counts or (len(self.counts) == n_counts and all(map(is_count, self.counts)))
        parts = {} if self.parts is None else self.parts
        parts_fit = parts.keys() <= dates.PARTS.keys() and all(
            0 < len(values) == len(set(values)) and all(map(is_count, values)) for values in parts.values()
        )
        has_all = self.low is not None and isinstance(self.unit, str) and self.parts is not None
        texts = all(isinstance(each, str) for each in (*self.marks, *filter(None, [self.format, self.unit])))
        flags = isinstance(self.whole, bool) and is_count(self.n_pooled)
        if not (is_range and counts_fit and parts_fit and (has_all or self.kind != "date") and texts and flags):
            raise InputError(f"column {self.name!r} is altered: its range, counts or parts cannot be")

    def check_dtypes(self) -> None:
        """Raise InputError where a dtype is none that a column of a table has; it may come from a stranger's file."""
        dtype = dtype_named(self.dtype)
        if self.levels is not None and not (dtype == "category" and isinstance(self.levels["ordered"], bool)):
            raise InputError(f"column {self.name!r} is of the dtype {self.dtype}, and has levels")
        for each in (dtype, pandas_dtype("object" if self.levels is None else self.levels["dtype"])):
            if getattr(each, "itemsize", 0) > WIDEST or not isinstance(each.name, str):
                raise InputError(f"column {self.name!r} is of the dtype {self.dtype}, which none can be")

    @property
    def cells(self) -> "list[Cell]":
        """What the column is to a model: one number, truth value or category; of dates the moment and its parts."""
        if self.kind != "date":
            return [Cell(self, None, self.kind, len(self.categories) + bool(self.n_pooled))]
        parts = [Cell(self, name, "category", len(values)) for name, values in (self.parts or {}).items()]
        return [Cell(self, None, "number", 0), *parts]

    def encode(self, column: pd.Series, *, mark_new: bool = False) -> np.ndarray:
        """Return numbers: a number, 0 or 1, the index of a category, of dates several; NaN where missing.

        A category that was not there at fit is one of the pooled ones, where there are some; else it is NaN too, or has
        the index after the last one where `mark_new` says so.

        Returns
        -------
        ndarray of shape (n, cells)
        """
        if column.isna().all():
            return np.full((len(column), len(self.cells)), np.nan)
        if self.kind == "date":
            moments, parts = self.moments(column), (self.parts or {}).items()
            indices = [index_in(values, dates.part(moments, name), mark_new) for name, values in parts]
            return np.column_stack([dates.days_since_1970(moments), *indices])
        column = self.as_at_fit(column)
        if self.kind == "number":
            values = as_floats(column)
        elif self.kind == "boolean":
            values = column.astype("boolean").to_numpy(dtype=float, na_value=np.nan)
        else:
            values = index_in(self.categories, column, mark_new or bool(self.n_pooled))
        return values[:, None]

    def moments(self, column: pd.Series) -> pd.Series:
        """Return the moments of a column of dates, without a time zone; raise InputError for what is no date."""
        column = dates.digits(column) if self.format is not None else column
        inferred = infer_dtype(column, skipna=True)
        is_text, form = inferred == "string", self.format
        if is_text and form is None:
            found = dates.date_format(pd.Series(column.dropna().unique()).astype(object))
            form = found.form if found is not None and found.form.startswith("%Y") else None
        if inferred in DATES or column.isna().all() or (is_text and form is not None):
            zone = getattr(dtype_named(self.dtype), "tz", None)
            moments = dates.read_dates(column.astype(object) if is_text else column, form if is_text else None, zone)
            wrong = column[moments.isna() & column.notna()]
        else:
            wrong = column.dropna()
        if len(wrong):
            written = f"written {self.format}" if self.format else "or text such as 2024-01-31"
            raise InputError(
                f"column {self.name!r} holds {str(wrong.iloc[0])!r}, which is no date such as those at fit, {written}"
            )
        return moments

    def as_at_fit(self, column: pd.Series) -> pd.Series:
        """Return a column as what it was at fit; raise InputError where its values cannot be read so.

        Codes may be digits alone today, and numbers, truth values and dates may have come as text.
        """
        if self.kind == "number" and column.dtype == np.float64:
            return column  # at once, as a wide table is asked of each of its columns
        inferred = infer_dtype(column, skipna=True)
        if inferred == "empty" or column.isna().all():
            return column
        if self.kind == "date":
            moments, is_text = self.moments(column), inferred == "string"
            is_as_given = is_text if self.format is not None else column.dtype == dtype_named(self.dtype)
            return column if is_as_given else self._as_given(moments)
        kind: Kind = "category" if inferred == MIXED else kind_of(self.name, column)
        if kind == self.kind == "number":
            return plain_numbers(column, inferred)
        if kind == self.kind != "category":
            return column
        if self.kind == "number":
            read = pd.to_numeric(column.astype(float if kind == "boolean" else object), errors="coerce")
        elif self.kind == "boolean":
            read = truth_values(column)
        else:
            values = column.astype(object)
            if (values.isin(self.categories) | column.isna()).all():
                return column
            if isinstance(self.categories[0], str) and infer_dtype(values, skipna=True) == "string":
                return self._without_spaces(values)
            read = self._categories_of(values)
            if kind == "category" or read.isin(self.categories).any() or self._may_hold(values):
                return read
        wrong = column.notna() & (read.isna() if self.kind != "category" else True)
        if wrong.any():
            raise self._unreadable(PLURAL[kind], column, int(np.argmax(wrong)))
        return read

    def _unreadable(self, held: str, column: pd.Series, row: int) -> InputError:
        return InputError(
            f"column {self.name!r} holds {held} ({column.dtype}) where there were {PLURAL[self.kind]} at fit, and they "
            f"cannot be read as such: {str(column.iloc[row])!r} in row {row}; mend it, leave it blank, or train with "
            f"na_values=[{str(column.iloc[row])!r}] (--na)"
        )

    def _without_spaces(self, values: pd.Series) -> pd.Series:
        """Return text that is a category but for spaces around it, or a whole number with ``.0``, as that category."""
        plain = values.str.strip()
        plain = plain.where(plain.isin(self.categories), plain.str.replace(r"^(\d+)\.0+$", r"\1", regex=True))
        return values.where(values.isin(self.categories) | ~plain.isin(self.categories), plain)

    def _may_hold(self, values: pd.Series) -> bool:
        """Tell whether numbers none of which was there at fit may be categories that are new: codes, whole ones."""
        are_codes = any(letter.isdigit() for category in self.categories for letter in str(category))
        if len({reading(category) for category in self.categories}) < len(self.categories):
            return False  # of 01 and 001 nothing says which 1 is
        return are_codes and bool((pd.to_numeric(values.dropna(), errors="coerce") % 1 == 0).all())

    def _categories_of(self, values: pd.Series) -> pd.Series:
        """Return the category that says what each value does, however it is written; of others, the value as text."""
        readings = [reading(category) for category in self.categories]
        times, pairs = Counter(readings), zip(readings, self.categories, strict=True)
        known = {read: category for read, category in pairs if times[read] == 1}
        exact = values.isin(self.categories)
        return values.where(exact, values.map(lambda value: known.get(reading(value), str(value)), na_action="ignore"))

    def decode(self, cells: np.ndarray) -> pd.Series:
        """Return the column that numbers stand for: within its range, rounded to its dtype, or a category.

        Parameters
        ----------
        cells : ndarray of shape (n, cells)
            As :meth:`encode` returns them.
        """
        if self.kind == "date":
            return self._decode_dates(cells)
        cells = cells[:, 0]
        if self.kind == "number":
            return numbers_as_given(pd.Series(self._within(cells), name=self.name), dtype_named(self.dtype))
        values: np.ndarray = np.array([False, True] if self.kind == "boolean" else self.categories, dtype=object)
        none = np.isnan(cells) | (np.rint(cells) >= len(values) if self.n_pooled else False)
        values = values[np.where(none, 0, np.rint(cells)).astype(int).clip(0, len(values) - 1)]
        values[none] = None
        dtype = self._dtype()
        needs_none = none.any() and isinstance(dtype, np.dtype) and dtype.kind in "iub"
        return pd.Series(values, name=self.name, dtype=object if needs_none else dtype)

    def _within(self, cells: np.ndarray) -> np.ndarray:
        if self.low is not None:
            cells = cells.clip(self.low, self.high)
        dtype = dtype_named(self.dtype)
        if is_integer_dtype(dtype):
            whole = np.iinfo(numpy_dtype(dtype))
            return np.rint(cells.clip(whole.min, np.nextafter(float(whole.max), 0))).clip(max=whole.max)
        return np.rint(cells) if self.whole else cells

    def _decode_dates(self, cells: np.ndarray) -> pd.Series:
        assert self.low is not None
        assert self.high is not None
        assert self.unit is not None
        missing = np.isnan(cells).any(1)
        known = {
            name: np.array(values)[np.where(missing, 0, np.rint(index)).astype(int).clip(0, len(values) - 1)]
            for (name, values), index in zip((self.parts or {}).items(), cells[:, 1:].T, strict=True)
        }
        days = np.where(missing, self.low, cells[:, 0])
        moments = pd.Series(dates.compose(days, known, self.unit, self.low, self.high), name=self.name)
        return self._as_given(moments.mask(missing))

    def _as_given(self, moments: pd.Series) -> pd.Series:
        """Return moments as dates were given: as text, or in their dtype and time zone."""
        dtype = dtype_named(self.dtype)
        if self.format is not None:
            return dates.write_dates(moments, self.format).where(moments.notna(), None).astype(dtype)
        zone = getattr(dtype, "tz", None)
        if zone is not None:  # of an hour that comes twice the second, of one that never was the next
            second = np.zeros(len(moments), bool)
            return moments.dt.tz_localize(zone, ambiguous=second, nonexistent="shift_forward").astype(dtype)
        return moments.astype(dtype)

    def widened(self, column: pd.Series) -> Self:
        """Return the column with a range that holds the numbers and dates of further rows too."""
        if self.low is None or column.isna().all():
            return self
        values = self.encode(column)[:, 0]
        low, high = float(min(self.low, np.nanmin(values))), float(max(self.high, np.nanmax(values)))
        known = values[~np.isnan(values)]
        whole, dtype = self.whole and bool((known == np.rint(known)).all()), dtype_named(self.dtype)
        if self.kind == "number" and is_integer_dtype(dtype):
            whole_range = np.iinfo(numpy_dtype(dtype))
            if low < whole_range.min or high > whole_range.max:
                return replace(self, low=low, high=high, whole=whole, dtype="int64" if whole else "float64")
        return replace(self, low=low, high=high, whole=whole)

    def _dtype(self) -> Dtype:
        if self.levels is None:
            return dtype_named(self.dtype)
        values = pd.Index(self.levels["values"], dtype=self.levels["dtype"])
        return pd.CategoricalDtype(values, self.levels["ordered"])


class Cell(NamedTuple):
    """A number of a row, as a model sees it.

    Attributes
    ----------
    column : Column
        The column that it is of.
    part : str or None
        Of a date: "month", "weekday" or "hour"; None is the moment.
    kind : {"number", "boolean", "category"}
        What it is.
    size : int
        How many categories it has, the pooled ones being one.
    """

    column: Column
    part: str | None
    kind: Kind
    size: int
