"""Times that stand in more than one column: a date beside hours, or years, months and days."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.sources.clock import Clock, as_text, day_seconds, is_time_of_day

YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, CLOCK = (
    re.compile(rf"^({names})$", re.IGNORECASE)
    for names in (
        "year|yyyy|yr|jahr",
        "month|mon|mo|monat",
        "day|dd|dom|day[ _]?of[ _]?(the[ _]?)?month|tag",
        "h|hh|hrs?|hours?|he|hour[ _]?ending|hour[ _]?of[ _]?(the[ _]?)?day|stunde",
        "mins?|minutes?",
        "secs?|seconds?|sekunde",
        "time|time[ _]?of[ _]?(the[ _]?)?day|hhmm|hhmmss|clock|uhrzeit|zeit",
    )
)
"""What columns are called that hold parts of a time."""

DAYS = 86_400 * 10**9
"""Nanoseconds in a day."""


class Joined(NamedTuple):
    """A clock, and the columns that it is of."""

    clock: Clock
    columns: list[str]


def recurs_daily(name: str) -> bool:
    """Tell whether a column is called as what comes again each day, and so tells no series apart."""
    return any(part.search(name) for part in (HOUR, MINUTE, SECOND, CLOCK))


def from_parts(frame: pd.DataFrame, free: Sequence[str]) -> Joined | None:
    """Read the columns of years, months and perhaps days as dates; None where there are none such."""
    limits = ((YEAR, 1700, 2200), (MONTH, 1, 12), (DAY, 1, 31))
    names = [_called(free, part) for part, *_ in limits]
    parts = [
        None if name is None else _whole(frame[name], *ends) for name, (_, *ends) in zip(names, limits, strict=True)
    ]
    if names[2] is None:
        parts[2] = np.ones(len(frame))
    year, month, day = parts
    if year is None or month is None or day is None:
        return None
    known = ~np.isnan(year + month + day)
    whole = pd.DataFrame({"year": year, "month": month, "day": day}).fillna(1).astype(int)
    whole.loc[~known, "year"] = 1970
    dates = pd.to_datetime(whole, errors="coerce", utc=True)
    if not known.any() or dates.isna().any():  # a 31st of February
        return None
    ticks = dates.dt.as_unit("ns").to_numpy(dtype="datetime64[ns]").astype(np.int64)
    return Joined(Clock(ticks, known, True, "", as_text(dates)), [name for name in names if name is not None])


def beside_date(frame: pd.DataFrame, clock: Clock, free: Sequence[str], *, noted: bool) -> Joined | None:
    """Join a clock of dates with the column or columns of the times of the day, if there are such.

    Numbers are these by their name and range, where dates are there more than once or it is `noted` that they are no
    features.
    """
    if not clock.dated or (clock.ticks % DAYS).any():
        return None
    found = [name for name in free if is_time_of_day(frame[name])]
    if len(found) == 1:
        seconds = day_seconds(frame[found[0]])
        texts = frame[found[0]].astype(object).fillna("").astype(str).str.strip().to_numpy(object)
        return None if seconds is None else _joined(clock, seconds.to_numpy(), texts, found)
    days = clock.ticks[clock.known]
    if found or not (noted or len(np.unique(days)) < len(days)):
        return None
    for part in (HOUR, CLOCK):
        name = _called(free, part)
        column = None if name is None else _whole(frame[name], 0, 240_000)
        if name is None or column is None or np.isnan(column).all():
            continue
        columns, seconds_of = [name], _seconds(column)
        if seconds_of is None:
            continue
        for finer, size in ((MINUTE, 60), (SECOND, 1)) if np.nanmax(column) <= 24 else ():
            other = _called(free, finer)
            values = None if other is None else _whole(frame[other], 0, 59)
            if other is None or values is None:
                break
            columns.append(other)
            seconds_of = seconds_of + size * values
        return _joined(clock, seconds_of, _said(seconds_of), columns)
    return None


def _called(free: Sequence[str], part: re.Pattern[str]) -> str | None:
    found = [name for name in free if part.search(str(name).strip())]
    return found[0] if len(found) == 1 else None


def _whole(column: pd.Series, least: int, most: int) -> np.ndarray | None:
    """Return whole numbers within a range, NaN where there is none; None where a column holds others."""
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return None
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().sum() > column.isna().sum():
        return None
    values: np.ndarray = numbers.to_numpy(dtype=float, na_value=np.nan)
    known = values[~np.isnan(values)]
    return values if ((known % 1 == 0) & (known >= least) & (known <= most)).all() else None


def _seconds(values: np.ndarray) -> np.ndarray | None:
    """Read hours, or times such as 1300 or 130000, as seconds since midnight; None where they are none of these."""
    most = np.nanmax(values)
    if most <= 24:
        return values * 3600
    values = values if most > 2400 else values * 100
    hour, minute, second = values // 10_000, values // 100 % 100, values % 100
    known = ~np.isnan(values)
    return hour * 3600 + minute * 60 + second if ((minute < 60) & (second < 60) & (hour <= 24))[known].all() else None


def _said(seconds: np.ndarray) -> np.ndarray:
    known = np.nan_to_num(seconds).astype(int)
    has_seconds = bool((known % 60).any())
    said = [f"{each // 3600:02}:{each // 60 % 60:02}" + f":{each % 60:02}" * has_seconds for each in known]
    return np.array(said, dtype=object)


def _joined(clock: Clock, seconds: np.ndarray, texts: np.ndarray, columns: list[str]) -> Joined | None:
    known = ~np.isnan(seconds)
    if not known.any() or seconds[known].max() > 86_400:
        return None
    ticks = clock.ticks + np.round(np.nan_to_num(seconds) * 1e9).astype(np.int64)
    return Joined(clock._replace(ticks=ticks, known=clock.known & known, texts=clock.texts + " " + texts), columns)
