"""Numbers as they are written in text: 1.5, 1,5, 1.234,5 or 1,234.5."""

import re
from collections.abc import Callable, Sequence
from itertools import islice, zip_longest

import pandas as pd

from isthmus.formats.names import few

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
GROUPED = re.compile(r"[+-]?\d{1,3}(([,]\d{3})+(\.\d+)?|([.]\d{3})+(,\d+)?)")
DECIMAL_POINT = re.compile(r"[+-]?(0?\.\d+|\d*\.(\d{1,2}|\d{4,})|\d{4,}\.\d{3}|\d{1,3}(,\d{3})+\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?(0?,\d+|\d*,(\d{1,2}|\d{4,})|\d{4,},\d{3}|\d{1,3}(\.\d{3})+,\d+)([eE][+-]?\d+)?")
EXPONENT_POINT = re.compile(r"[+-]?\d*\.\d+[eE][+-]?\d+")
EXPONENT_COMMA = re.compile(r"[+-]?\d*,\d+[eE][+-]?\d+")
LIST = re.compile(r"\d+(,\d+){2,}")
"""What can be nothing else; 1,234 and 1.234 can be two things."""

WITH_COMMA = r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?"
WITH_POINT = r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
COMMA_THOUSANDS = r"[+-]?(?:\d{1,3}|[1-9]\d{0,2}(?:,\d{3})+)"
POINT_THOUSANDS = r"[+-]?(?:\d{1,3}|[1-9]\d{0,2}(?:\.\d{3})+)"
"""Numbers by decimals that are commas or points, and whole ones that have commas or points at the thousands alone."""

MOST_LOOKED_AT = 5_000
"""Fields."""

MOST_MARKS = 2
"""Words that may stand in a column of numbers for what is missing."""


def number_of(text: str) -> float | None:
    """Return a number that is written with a point or a comma; None for any other text, such as "nan"."""
    if not NUMBER.fullmatch(text):
        return float(re.sub("[.,]", "", text)) if GROUPED.fullmatch(text) else None
    return float(text.replace(",", "."))


def share_of_numbers(records: Sequence[Sequence[str]]) -> float:
    """Return how many of the fields that are not blank are numbers; 0 where all are."""
    fields = list(islice((field for record in records for field in record if field), MOST_LOOKED_AT))
    return sum(number_of(field) is not None for field in fields) / len(fields) if fields else 0.0


def decimal_of(records: Sequence[Sequence[str]], separator: str) -> tuple[str, str | None]:
    """Return "," where some fields can be nothing but decimal commas and none a decimal point, else "."; and a doubt.

    That is a number that is read so, and could be one of thousands, where no other decides; else None. Points between
    semicolons are in doubt, as are commas; points in other files are not.
    """
    commas, points, lists = _certain(records)
    if separator == "," and lists:  # 1,3 in quotes is no number beside 1,2,3
        return ".", None
    if commas or points:
        return "," if commas and not points else ".", None
    at_thousands = _at_thousands(records)
    if len(at_thousands) == 1:
        decimal = "," if "." in at_thousands else "."
    else:
        either = any("," in field and GROUPED.fullmatch(field) for record in records for field in record)
        decimal = "," if either and separator == ";" else "."  # who writes semicolons has commas in numbers
    fields = (field for record in records for field in record if decimal == "," or separator == ";")
    return decimal, next((field for field in fields if field.count(decimal) == 1 and GROUPED.fullmatch(field)), None)


def _certain(records: Sequence[Sequence[str]]) -> tuple[int, int, int]:
    """Count fields that can be nothing but decimal commas, decimal points, and lists of whole numbers."""
    commas = points = lists = 0
    for record in records:
        for field in record:
            if "," in field or "." in field:
                commas += bool(DECIMAL_COMMA.fullmatch(field) or EXPONENT_COMMA.fullmatch(field))
                points += bool(DECIMAL_POINT.fullmatch(field) or EXPONENT_POINT.fullmatch(field))
                lists += not GROUPED.fullmatch(field) and bool(LIST.fullmatch(field))
    return commas, points, lists


def _at_thousands(records: Sequence[Sequence[str]]) -> set[str]:
    """Return which of "," and "." stand at the thousands in some column: in large numbers alone, among small ones."""
    found = set()
    for fields in zip_longest(*records, fillvalue=""):
        numbers = [field for field in fields if field and number_of(field) is not None]
        for mark, pattern in ((",", COMMA_THOUSANDS), (".", POINT_THOUSANDS)):
            marked = [field for field in numbers if mark in field]
            if marked and all(re.fullmatch(pattern, field) for field in numbers):
                small = len(marked) < len(numbers) or any(field.count(mark) > 1 for field in marked)
                found |= {mark} if small else set()
    return found


def as_numbers(frame: pd.DataFrame, separator: str, decimal: str, text: set[str]) -> list[str]:
    """Turn columns of numbers with thousands, or with commas that were seen late, into numbers, in place.

    Returns
    -------
    list of str
        A line about the columns that were changed, for each way in which they are written.
    """
    changed: dict[str, list[str]] = {}
    examples: dict[str, str] = {}
    for name in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype).to_numpy(bool)]:
        column = frame[name]
        if name in text or not _may_be_numbers(column, decimal):
            continue
        found = _in_one_way(column, separator, decimal)
        if found is not None:
            frame[name], way, example = found
            changed.setdefault(way, []).append(str(name))
            examples.setdefault(way, example)
    return [f"{way} in {few(names, 5)}: {examples[way]}" for way, names in changed.items()]


def _may_be_numbers(column: pd.Series, decimal: str) -> bool:
    """Tell whether it is worth to look at each value: the first are numbers, and some have what pandas cannot read."""
    known = column.dropna()
    first = known.iloc[:20].astype(str)
    if 2 * first.str.contains(r"^ *[+-]?[\d.,eE+-]+ *$").sum() <= len(first):
        return False
    return bool(known.astype(str).str.contains("[.,]" if decimal == "," else r",|\.\d+\.").any())


def _in_one_way(column: pd.Series, separator: str, decimal: str) -> tuple[pd.Series, str, str] | None:
    """Return a column of text as numbers, where one way to read them fits all, what it is and an example; else None.

    A few words may stand for what is missing: then it stays text, and its numbers are written with points.
    """
    words = column.astype(str).str.strip().where(column.notna())
    known = words.dropna()
    for pattern, thousands, point, holds in _ways(separator, decimal):
        fits = known.str.fullmatch(pattern) & known.str.contains(r"\d")
        marks = known[~fits].unique()
        if len(marks) > MOST_MARKS or any(re.search(r"\d", mark) or len(mark) > 8 for mark in marks):
            continue
        if not fits.any() or not holds(known[fits]):
            continue
        plain = known[fits].str.replace(thousands, "").str.replace(point, ".")
        told = _way_in_words(known[fits], plain, thousands, point)
        if not len(marks):
            return pd.to_numeric(plain).reindex(column.index), *told
        return words.where(~words.index.isin(plain.index), plain.reindex(words.index)), *told
    return None


def _way_in_words(written: pd.Series, plain: pd.Series, thousands: str, point: str) -> tuple[str, str]:
    """Say how numbers are written, and give one of them as an example."""
    has_thousands = written.str.contains(thousands, regex=False)
    mark, kind = (thousands, "thousands") if has_thousands.any() else (point, "decimals")
    place = int(written.str.contains(mark, regex=False).to_numpy().argmax())
    return f"{'commas' if mark == ',' else 'points'} are {kind}", f"{written.iloc[place]!r} is {plain.iloc[place]}"


def _ways(separator: str, decimal: str) -> list[tuple[str, str, str, Callable[[pd.Series], bool]]]:
    """Return in which ways numbers may be written: a pattern, what is at thousands, what at decimals, and a check."""
    points = (POINT_THOUSANDS, ".", ",", lambda values: bool((values.str.count(r"\.") > 1).any()))
    if decimal == ",":
        return [(WITH_COMMA, ".", ",", lambda values: True)]
    if separator == ",":
        return [(WITH_POINT, ",", ".", lambda values: True), points]
    has_point: Callable[[pd.Series], bool] = lambda values: bool(values.str.contains(".", regex=False).any())  # noqa: E731
    return [
        (COMMA_THOUSANDS, ",", ".", _are_thousands),
        (WITH_POINT, ",", ".", has_point),
        points,
        (WITH_COMMA, ".", ",", lambda values: True),
    ]


def _are_thousands(values: pd.Series) -> bool:
    """Tell thousands from decimals that all have three digits: some number is small, or has two groups."""
    return bool((~values.str.contains(",")).any() or (values.str.count(",") > 1).any())
