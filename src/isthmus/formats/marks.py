"""Marks that stand for a missing value in people's tables: "?", "NA", "-" and their like."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.formats.values import Category

MARKS = frozenset((
    "", "?", "-", "--", ".", "na", "n/a", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "<na>", "nat", "null", "#null!",
    "#value!", "#div/0!", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "(blank)",
))  # fmt: skip
"""What is taken for missing where nothing is said, in lower case, without spaces around it; "None" too, but not "none",
which is often a category."""


Value = TypeVar("Value")


class Marks:
    """What stands for a missing value in a table.

    Parameters
    ----------
    given : sequence or None
        Texts and numbers that do; None is `MARKS`, in any case of letters and with spaces around. NaN, None and NaT
        always do.

    Examples
    --------
    >>> Marks(None).among(["12", "?", " N/A", "-"])
    ['?', ' N/A', '-']
    >>> Marks(None).among(["+", "-"]), Marks(["x", -999]).among(["x", -999.0, "?"])
    ([], ['x', -999.0])
    """

    def __init__(self, given: Sequence[object] | None = None) -> None:
        self.given = None if given is None else tuple(map(_plain, given))
        numbers = [] if given is None else [_as_number(value) for value in given if not isinstance(value, bool)]
        self._numbers = {number for number in numbers if number is not None}
        self._says_numbers = bool(self._numbers) or any(isinstance(value, bool) for value in self.given or ())

    def among(self, values: Iterable[Value]) -> list[Value]:
        """Return those of a column's different values that stand for a missing one.

        Where nothing is given, signs without a letter or a digit do so only where all other values have one: "-" beside
        "+" says something.
        """
        values = list(values)
        if self.given is not None:
            return [value for value in values if self._is_given(value)]
        texts = [(value, value.strip()) for value in values if isinstance(value, str)]
        found = [value for value, text in texts if text.lower() in MARKS or text == "None"]
        is_plain = not found or all(_says_something(value) for value in set(values) - set(found))
        return [value for value in found if is_plain or _says_something(value) or not value.strip()]

    def in_column(self, column: pd.Series) -> list[Category]:
        """Return the values of a column that stand for a missing one."""
        if column.dtype.kind in "biufmM" and not self._says_numbers:
            return []
        if isinstance(column.dtype, pd.CategoricalDtype):
            return self.among(column.cat.categories)
        try:
            return self.among(column.dropna().unique().tolist())
        except TypeError:  # lists, and what else has no hash
            return []

    def blank(self, column: pd.Series, found: Sequence[object]) -> pd.Series:
        """Return a column with what was found to stand for a missing value missing."""
        return column.mask(column.isin(list(found))) if len(found) else column

    def _is_given(self, value: object) -> bool:
        if isinstance(value, bool):  # which is no number here
            return any(each is value for each in self.given or ())
        return value in (self.given or ()) or _as_number(value) in self._numbers


def numbers_with_gaps(table: pd.DataFrame, marks: Marks) -> tuple[pd.DataFrame, list[str]]:
    """Return a table whose columns of numbers, among which marks made text of all, are numbers with gaps.

    Returns
    -------
    DataFrame
        The table; columns that hold something else too are left as they are.
    list of str
        What was taken for missing, a line a column.
    """
    read, lines = {}, []
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column.dtype) and marks.given is None:
            continue
        found = marks.in_column(column)
        rest = marks.blank(column, found)
        numbers = pd.to_numeric(rest, errors="coerce")
        if found and numbers.notna().any() and (numbers.notna() | rest.isna()).all():
            read[name] = numbers.astype(float)
            count = int((numbers.isna() & column.notna()).sum())
            shown = ", ".join(map(repr, found))
            lines.append(f"missing: {shown} in {count:,} cell{'' if count == 1 else 's'} of column {str(name)!r}")
    if read:
        table = table.copy(deep=False)
        for name, values in read.items():
            table[name] = values
    return table, lines


def _plain(value: object) -> Category:
    """Return a mark as a plain value; raise InputError for what JSON could not hold, and what is missing anyway."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | int | float) or value != value:
        raise InputError(f"na_values names {value!r}: give texts and numbers; what is NaN or None is missing anyway")
    return value


def _as_number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # the last for whole numbers of hundreds of digits
        return None
    return number if np.isfinite(number) else None


def _says_something(value: object) -> bool:
    return any(letter.isalnum() for letter in str(value))
