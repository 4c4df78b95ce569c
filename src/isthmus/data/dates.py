"""Dates: text ↔ moments, and moments ↔ the parts that a model can learn from."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y",
    "%m/%d/%y", "%d/%m/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y-%m",
)  # fmt: skip
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
ISO_TIMES = ("T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
FORMATS = (
    *(day + time for time, day in product(TIMES, DAYS)),
    *("%Y-%m-%d" + time + zone for time, zone in product(ISO_TIMES, ("", "%z"))),
)
"""How dates are written; of two that fit all values the first counts: 03/04/2020 is March 4."""

LOOKS_LIKE = r"(?=.*\d)[\w\s:,./+-]{6,35}"
"""What a date looks like, before formats are tried."""

TRIED = 100
"""Different values by which a format is found; the others must fit it too."""

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


def date_format(values: pd.Series) -> str | None:
    """Return the format that all of some different texts have, as ``strptime`` takes it; None where they are no dates.

    Examples
    --------
    >>> date_format(pd.Series(["03/04/2020", "12/31/2020"])), date_format(pd.Series(["03/04/2020", "31/12/2020"]))
    ('%m/%d/%Y', '%d/%m/%Y')
    """
    some = values.iloc[:: max(1, len(values) // TRIED)]
    if not some.str.fullmatch(LOOKS_LIKE).all():
        return None
    return next((each for each in FORMATS if _fit(some, each) and _fit(values, each)), None)


def _fit(values: pd.Series, form: str) -> bool:
    """Tell whether all texts are dates of a format, the first of them before the rest."""
    return not read_dates(values.iloc[:1], form).isna().any() and not read_dates(values, form).isna().any()


def read_dates(values: pd.Series, form: str | None) -> pd.Series:
    """Return moments, without a time zone; NaT where a text is none of that format, or there is none."""
    if form is None:
        moments = pd.to_datetime(values, errors="coerce", utc=True)
    else:
        moments = pd.to_datetime(values, format=form, errors="coerce", utc="%z" in form)
    return moments.dt.tz_localize(None).astype("datetime64[us]")


def days_since_1970(moments: pd.Series) -> np.ndarray:
    """Return the days, and their fraction, since the beginning of 1970; NaN for NaT."""
    days = moments.to_numpy("datetime64[us]").astype(np.int64) / DAY
    return np.where(moments.isna(), np.nan, days)


def part(moments: pd.Series, name: str) -> pd.Series:
    """Return one of `PARTS` of each moment; NaN for NaT."""
    values: pd.Series = moments.dt.day_of_week if name == "weekday" else getattr(moments.dt, name)
    return values


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
