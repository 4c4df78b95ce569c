"""Dates: text ↔ moments, and moments ↔ the parts that a model can learn from."""

import datetime
import re
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y",
    "%m/%d/%y", "%d/%m/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y-%m",
)  # fmt: skip
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
ISO_TIMES = ("T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f")
FORMATS = (*(day + time for time, day in product(TIMES, DAYS)), *("%Y-%m-%d" + time for time in ISO_TIMES))
"""How dates are written; of two that fit all values the first counts: 03/04/2020 is March 4."""

ZONED = tuple(f"%Y-%m-%d{time}%z" for time in (*ISO_TIMES, " %H:%M:%S", " %H:%M:%S.%f"))
"""How moments of several time zones are written; those of one have it for a part of their format."""

ZONE = r"\d:\d\d(?::\d\d(?:\.\d+)?)?( ?(?:Z|[+-]\d\d:?\d\d))$"
"""What stands at the end of a moment with a time zone."""

SHORT = {"%d": "%-d", "%m": "%-m", "%H": "%-H", "%I": "%-I"}
"""What numbers without a leading zero are called in a format here; ``strptime`` takes both alike."""

LOOKS_LIKE = r"(?=.*\d)[\w\s:,./+-]{6,35}"
"""What a date looks like, before formats are tried."""

TRIED = 100
"""Different values by which a format is found; the others must fit it too."""

MOST_WRONG = 0.1
"""Share of a column's different values that may be no dates, for it to be one of dates with faults."""

UNITS = {"D": 86_400, "h": 3600, "min": 60, "s": 1}
"""Units that all moments may be whole numbers of, in seconds; the finest beside is a microsecond, "us"."""

DAY = 86_400_000_000
"""Microseconds in a day."""

PARTS = {"month": (1, 12), "weekday": (0, 6), "hour": (0, 23)}
"""What of a moment comes again and again, and from where to where; weekday 0 is Monday."""

LEAST_DAYS = {"month": 366, "weekday": 14, "hour": 0}
"""Days that a column reaches over at the least for a part to come again."""

FARTHEST = 186
"""Days within which each weekday of each month lies."""


class Found(NamedTuple):
    """The format of dates that are text, and the values that are none of it."""

    form: str
    wrong: list[str]


def date_format(values: pd.Series) -> Found | None:
    """Return the format that some different texts have, as they write it; None where they are no dates.

    Examples
    --------
    >>> for texts in (["03/04/2020", "12/31/2020"], ["03/04/2020", "31/12/2020"], ["5.1.2020", "15.12.2020"]):
    ...     print(date_format(pd.Series(texts)).form)
    %m/%d/%Y
    %d/%m/%Y
    %-d.%-m.%Y
    """
    some = values.iloc[:: max(1, len(values) // TRIED)]
    if some.str.fullmatch(LOOKS_LIKE).mean() < 1 - MOST_WRONG:
        return None
    zones = values.str.extract(ZONE)[0].unique()
    zone = zones[0] if len(zones) == 1 and isinstance(zones[0], str) else ""
    formats = ZONED if len(zones) > 1 and not pd.isna(zones).all() else tuple(form + zone for form in FORMATS)
    found = (_found(some, values, form, most) for most in (0.0, MOST_WRONG) for form in formats)
    return next((each for each in found if each is not None), None)


def _found(some: pd.Series, values: pd.Series, form: str, most: float) -> Found | None:
    """Return a format where all but so large a share of the texts are dates of it, written as they are."""
    if (most == 0 and read_dates(some.iloc[:1], form).isna().any()) or read_dates(some, form).isna().mean() > most:
        return None
    moments = read_dates(values, form)
    wrong = moments.isna()
    if wrong.mean() > most or wrong.all():
        return None
    right = values[~wrong].str.casefold()
    for spelled in [form] if "%z" in form else _spellings(form):
        if "%z" in form or (write_dates(moments[~wrong], spelled).str.casefold() == right).all():
            return Found(spelled, values[wrong].tolist())
    return None


def _spellings(form: str) -> list[str]:
    """Return the ways of writing a format: without leading zeros, in days, in times or in both; in milliseconds."""
    forms = [form, *({form.replace("%f", "%3f")} - {form})]
    if "%y" in form:  # 1.1.10 may be a version
        return forms
    days, times = ({key: SHORT[key] for key in keys} for keys in (("%d", "%m"), ("%H", "%I")))
    for short in (days | times, days, times):
        spelled = form
        for key, value in short.items():
            spelled = spelled.replace(key, value)
        forms.append(spelled)
    return forms


def read_dates(values: pd.Series, form: str | None, zone: datetime.tzinfo | str | None = None) -> pd.Series:
    """Return moments as clocks show them; NaT where a text is none of that format, or there is none.

    Parameters
    ----------
    values : Series
        Dates, or text.
    form : str or None
        The format of text.
    zone : tzinfo, optional
        The time zone whose clocks count; without one each moment's own do.
    """
    if form is None:
        zones = {getattr(each, "tzinfo", None) for each in values.dropna()} if values.dtype == object else {None}
        moments = pd.to_datetime(values, errors="coerce", utc=len(zones) > 1)
    else:
        moments = pd.to_datetime(values, format=plain_form(form), errors="coerce", utc="%z" in form)
    if moments.dt.tz is not None:
        moments = (moments if zone is None else moments.dt.tz_convert(zone)).dt.tz_localize(None)
    return moments.astype("datetime64[us]")


def plain_form(form: str) -> str:
    """Return a format as ``strptime`` and ``strftime`` know it, without what it says of leading zeros."""
    return form.replace("%-", "%").replace("%3f", "%f")


def digits(column: pd.Series) -> pd.Series:
    """Return whole numbers such as 20240131 as text; other values as they are."""
    if infer_dtype(column, skipna=True) != "integer":
        return column
    return column.astype("Int64").astype(object).map(str, na_action="ignore")


def write_dates(moments: pd.Series, form: str) -> pd.Series:
    """Return moments as text of a format; one of `SHORT` has no leading zeros."""
    if "%z" in form:
        moments = moments.dt.tz_localize("UTC")
    if "%-" not in form and "%3f" not in form:
        return moments.dt.strftime(form).astype(object)
    text = pd.Series("", moments.index, dtype=object)
    for piece in re.split(r"(%-?3?[A-Za-z])", form):
        if piece.startswith("%-"):
            number = moments.dt.strftime("%" + piece[2:]).astype(object)
            text = text + number.str.replace(r"^0(?=\d)", "", regex=True)
        elif piece == "%3f":
            text = text + moments.dt.strftime("%f").astype(object).str[:3]
        else:
            text = text + (moments.dt.strftime(piece).astype(object) if piece.startswith("%") else piece)
    return text


def days_since_1970(moments: pd.Series) -> np.ndarray:
    """Return the days, and their fraction, since the beginning of 1970; NaN for NaT."""
    days = moments.to_numpy("datetime64[us]").astype(np.int64) / DAY
    return np.where(moments.isna(), np.nan, days)


def part(moments: pd.Series, name: str) -> pd.Series:
    """Return one of `PARTS` of each moment; NaN for NaT."""
    return moments.dt.day_of_week if name == "weekday" else getattr(moments.dt, name)


def unit(moments: pd.Series) -> str:
    """Return the coarsest unit that all moments are whole numbers of."""
    microseconds = moments.dropna().to_numpy("datetime64[us]").astype(np.int64)
    return next((name for name, size in UNITS.items() if not (microseconds % (size * 1_000_000)).any()), "us")


def parts(moments: pd.Series) -> dict[str, tuple[int, ...]]:
    """Return which parts a column has that come again and again, and the values that each has."""
    known = moments.dropna()
    reach = (known.max() - known.min()).days
    seen = {name: tuple(sorted(part(known, name).unique().tolist())) for name in PARTS}
    return {name: values for name, values in seen.items() if reach >= LEAST_DAYS[name] and len(values) > 1}


def compose(
    days: np.ndarray, known: Mapping[str, np.ndarray], unit: str, low: float, high: float
) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    """Return the moments nearest to some that have the parts that are known of them.

    Parameters
    ----------
    days : ndarray of shape (n,)
        About when, in days since 1970.
    known : dict of str to ndarray of shape (n,)
        The month, the weekday and the hour, as far as they are modelled.
    unit : str
        What the moments are whole numbers of: "D", "h", "min", "s" or "us".
    low, high : float
        The first and the last moment there may be, in days since 1970.

    Returns
    -------
    ndarray of datetime64[us], of shape (n,)
    """
    size = UNITS.get(unit, 0) * 1_000_000 or 1
    first, last = (round(end * DAY / size) * size for end in (low, high))
    moments = (np.rint(np.clip(days, low, high) * (DAY / size)) * size).astype(np.int64)
    if "hour" in known:
        within = moments % (DAY // 24)
        moments = moments // DAY * DAY + known["hour"].astype(np.int64) * (DAY // 24) + within
    if "month" in known or "weekday" in known:
        moments = moments + _shift(moments // DAY, known, first // DAY, last // DAY) * DAY
    return np.clip(moments, first, last).astype("datetime64[us]")


def _shift(day: np.ndarray, known: Mapping[str, np.ndarray], first: int, last: int) -> np.ndarray:
    """Return by how many days each day is to be moved to be in the month, and on the weekday; 0 where it cannot be."""
    shift, open_rows = np.zeros(len(day), np.int64), np.arange(len(day))
    for step in sorted(range(-FARTHEST, FARTHEST + 1), key=abs):
        moved = day[open_rows] + step
        dates = pd.Series(moved.astype("datetime64[D]").astype("datetime64[s]"))
        right = (moved >= first) & (moved <= last)
        for name in ("month", "weekday"):
            if name in known:
                right &= part(dates, name).to_numpy() == known[name][open_rows]
        shift[open_rows[right]] = step
        open_rows = open_rows[~right]
        if not len(open_rows):
            break
    return shift
