"""When the rows of a table were: dates in any usual form, Unix times, counters."""

import re
from typing import NamedTuple, TypedDict

import numpy as np
import pandas as pd

from isthmus.errors import InputError, warnings_as
from isthmus.formats.marks import MARKS, Marks

UNITS = {"s": (1e8, 9.2e9), "ms": (1e11, 9.2e12), "us": (1e14, 9.2e15), "ns": (1e17, 9.2e18)}
"""Between which sizes Unix times of a unit lie: from 1973 to 2261, as far as nanoseconds reach."""

LIKELY = tuple(pd.Timestamp(f"{year}-01-01").timestamp() for year in (2000, 2100))
"""Seconds between which a number may be a Unix time without its column's name saying so."""

NEAR = (pd.Timestamp("1700-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC"))
"""Between which dates are times; others stand for none."""

DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates that are written as one number, by how many digits it has."""

_HALF = r"(?P<half>[ap])\.?\s?m\.?"
TIMES_OF_DAY = (
    rf"(?P<hour>\d{{1,2}})[:h](?P<minute>\d{{2}})(?::(?P<second>\d{{2}}(?:[.,]\d+)?))?\s*(?:{_HALF})?",
    rf"(?P<hour>\d{{1,2}})(?:h|\s*{_HALF})",
    r"(?P<hour>\d{1,2})\.(?P<minute>\d{2})\.(?P<second>\d{2})",
)
"""How times of the day are written: 13:00, 1:00 pm, 13h00; 1 pm, 13h; and 13.00.00."""

TOLERANCE = 1.5
"""Of how many steps a difference of times is a gap."""


class Written(TypedDict, total=False):
    """How dates are written, as ``pandas.to_datetime`` takes it."""

    dayfirst: bool
    format: str


MONTHS_AND_DAYS: tuple[Written, ...] = (
    {"dayfirst": False},
    {"dayfirst": True},
    {"format": "%d/%b/%Y:%H:%M:%S %z"},  # a web server's log
    {"format": "mixed"},
)

TRIED = 2000
"""Texts at either end of a column by which it is decided how they are written."""

MOST_LETTERS = 20
"""Of a text that stands for what is missing."""

LEAST_REGULAR = 0.5
"""Share of the differences that are the same, for numbers that rise to be those of a clock."""

SAME, FEWEST_RISING = 0.1, 10
"""Of the median how far a difference may be off to be the same; differences that cannot all rise by chance."""


class Clock(NamedTuple):
    """When each row was.

    Attributes
    ----------
    ticks : ndarray of shape (n,)
        Nanoseconds since 1970 as int64; or numbers as they are.
    known : ndarray of bool, of shape (n,)
        Where a time is given.
    dated : bool
        Whether ticks are nanoseconds.
    kind : str
        How the times are written, in words; empty for dates.
    texts : ndarray of object, of shape (n,)
        The times as they are said.
    """

    ticks: np.ndarray
    known: np.ndarray
    dated: bool
    kind: str
    texts: np.ndarray

    def lasting(self, ticks: float) -> str:
        """Say how long a difference of two times is."""
        return duration(int(ticks)) if self.dated else f"{ticks:g}"


def read_clock(column: pd.Series, *, named: bool) -> Clock | None:
    """Read a column as times; None where it holds none.

    Parameters
    ----------
    column : pandas Series
        Dates, numbers or text.
    named : bool
        Whether it was said that the column is of times, or its name says so: numbers are then believed sooner.

    Returns
    -------
    Clock or None

    Raises
    ------
    ValueError
        If most values are dates, and one is none.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return _spans(column)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _dates(column, pd.to_datetime(column, utc=True))
    if pd.api.types.is_bool_dtype(column.dtype):
        return None
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if not is_number and pd.to_numeric(column.dropna()[:TRIED], errors="coerce").isna().all():
        return _words(column)
    numbers = column if is_number else pd.to_numeric(column, errors="coerce")
    if len(numbers) and numbers.notna().sum() == column.notna().sum() > 0:
        return _numbers(column, numbers, named)
    return None if is_number or numbers.notna().sum() > 0.5 * column.notna().sum() else _words(column)


def rises(clock: Clock, groups: np.ndarray, *, named: bool) -> bool:
    """Tell whether numbers are those of a clock, and not something that was measured.

    Unix times in a column that is called so are; others where they rise by one step, mostly, in each group, and where
    the name says so from row to row, by whatever.
    """
    ticks, groups = clock.ticks[clock.known], groups[clock.known]
    if named and clock.dated:
        return True
    in_order = np.argsort(groups, kind="stable")
    differences = np.diff(ticks[in_order])[np.diff(groups[in_order]) == 0]
    if named and len(differences) >= FEWEST_RISING and (differences > 0).all():
        return True
    return _is_regular(ticks, groups)


def _is_regular(ticks: np.ndarray, groups: np.ndarray) -> bool:
    order = np.lexsort((ticks, groups))
    differences = np.diff(ticks[order])[np.diff(groups[order]) == 0]
    rising = differences[differences > 0]
    if len(rising) < 2 or len(rising) < 0.9 * len(differences):
        return False
    return bool(np.isclose(rising, np.median(rising), rtol=SAME, atol=0).mean() >= LEAST_REGULAR)


def _numbers(column: pd.Series, numbers: pd.Series, named: bool) -> Clock | None:
    """Read dates that are written as one number, Unix times, or the numbers of a counter."""
    known = numbers.notna().to_numpy()
    values = numbers.to_numpy(dtype=float, na_value=np.nan)[known]
    if not np.isfinite(values).all():
        return None
    is_whole = bool((values % 1 == 0).all())
    for digits, form in DIGITS.items():
        if is_whole and (values >= 10 ** (digits - 1)).all() and (values < 10**digits).all():
            texts = numbers.astype("Int64").astype("string")
            dates = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
            if dates.notna().sum() == known.sum() and dates.dt.year.dropna().between(1900, 2100).all():
                return _dates(column, dates)
    for unit, (least, most) in UNITS.items():
        seconds = values / (least / UNITS["s"][0])
        is_likely = named or ((seconds >= LIKELY[0]) & (seconds < LIKELY[1])).all()
        if is_likely and ((values >= least) & (values < most)).all():
            return _unix(numbers, known, unit)
    if not named:
        return None
    # Whole numbers stay whole: of Unix times in nanoseconds a float has lost the last digits.
    ticks: np.ndarray = numbers.fillna(0).to_numpy()
    said = [f"{value:.12g}" if value % 1 else str(int(value)) for value in ticks.tolist()]
    return Clock(ticks, known, False, "numbers", np.array(said, dtype=object))


def _unix(numbers: pd.Series, known: np.ndarray, unit: str) -> Clock:
    nanoseconds = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    values = numbers.fillna(0).to_numpy()
    if values.dtype.kind in "iu":
        ticks = values.astype(np.int64) * nanoseconds
    else:  # a whole part and the rest, each exact
        whole = np.floor(values.astype(float))
        ticks = whole.astype(np.int64) * nanoseconds + np.round((values - whole) * nanoseconds).astype(np.int64)
    return Clock(ticks, known, True, f"Unix time in {unit}", as_text(pd.Series(pd.to_datetime(ticks))))


def _dates(column: pd.Series, dates: pd.Series) -> Clock:
    dates = dates.where(dates.between(*NEAR))  # the year 9999 means that there is no end
    known = dates.notna().to_numpy()
    ticks = dates.dt.as_unit("ns").fillna(pd.Timestamp(0, tz="UTC")).to_numpy(dtype="datetime64[ns]")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Clock(ticks.astype(np.int64), known, True, "", as_text(column))
    texts = column.astype(str)
    is_even = texts.str.fullmatch(r".*\d:\d\d:00").all()  # without seconds where there are none
    texts = texts.str.slice(stop=-3) if is_even else texts
    return Clock(ticks.astype(np.int64), known, True, "", texts.to_numpy(object))


def _spans(column: pd.Series) -> Clock:
    known = column.notna().to_numpy()
    ticks = column.fillna(pd.Timedelta(0)).to_numpy(dtype="timedelta64[ns]").astype(np.int64)
    return Clock(ticks, known, True, "", column.astype(str).to_numpy(object))


def as_text(dates: pd.Series) -> np.ndarray:
    """Write dates no finer than they are."""
    known = dates.dropna()
    if (known.dt.second != 0).any() or (known.dt.microsecond != 0).any():
        return dates.astype(str).to_numpy(object)
    is_day = (known == known.dt.normalize()).all()
    return dates.dt.strftime("%Y-%m-%d" if is_day else "%Y-%m-%d %H:%M").to_numpy(object)


def _words(column: pd.Series) -> Clock | None:
    """Read text, or dates among Python's own objects."""
    texts = column.dropna().astype(str).str.strip()
    distinct = pd.Series(texts[~texts.isin(marks_in(texts))].unique())
    if not len(distinct) or distinct.iloc[:TRIED].str.contains(r"\d").mean() <= 0.5:
        return None
    if day_seconds(distinct) is not None:
        return _times_of_day(column)
    written = _written(distinct)
    if written is None:
        return None
    dates = pd.Series(_parsed(distinct, written).dt.tz_localize(None).to_numpy(), index=distinct)
    wrong = dates.index[dates.isna()]
    if len(wrong):
        row = int((column.astype(str).str.strip() == wrong[0]).argmax())
        raise InputError(f"column {str(column.name)!r} holds {wrong[0]!r} in row {row}, and times elsewhere; mend it")
    rows = column.astype(str).str.strip().where(column.notna()).map(dates)
    return _dates(column, pd.to_datetime(rows, utc=True))


def marks_in(texts: pd.Series) -> list[str]:
    """Return which texts stand for what is missing."""
    short = texts[texts.str.len() <= MOST_LETTERS]
    return Marks().among(texts.unique()) if short.str.strip().str.lower().isin(MARKS).any() else []


def _times_of_day(column: pd.Series) -> Clock | None:
    """Read times without a date, as long as no day ends among them."""
    seconds = day_seconds(column)
    if seconds is None:
        return None
    ticks, known = np.round(seconds.fillna(0).to_numpy() * 1e9).astype(np.int64), seconds.notna().to_numpy()
    is_rising = bool((np.diff(ticks[known]) > 0).all())
    return Clock(ticks, known, True, "", column.astype(str).to_numpy(object)) if is_rising else None


def day_seconds(column: pd.Series) -> pd.Series | None:
    """Read times of the day as seconds since midnight, NaN where there is none; None where a text is something else."""
    texts = column.dropna().astype(str).str.strip()
    distinct = pd.Series(texts.unique(), dtype=object).astype(str)
    for form in TIMES_OF_DAY if len(distinct) else ():
        if not distinct.str.fullmatch(form, case=False).all():
            continue
        parts = distinct.str.extract(form, flags=re.IGNORECASE).reindex(columns=["hour", "minute", "second", "half"])
        if form == TIMES_OF_DAY[-1] and not (parts[["hour", "minute"]] == "00").any(axis=None):
            return None  # 01.02.03 may be a day
        numbers = parts[["hour", "minute", "second"]].apply(lambda part: part.astype("string").str.replace(",", "."))
        numbers = numbers.apply(pd.to_numeric).astype(float).fillna(0.0)
        late = parts["half"].astype("string").str.lower()
        hour = numbers["hour"].where(late.isna(), numbers["hour"] % 12 + 12.0 * late.isin(["p"]).to_numpy(bool))
        seconds = pd.Series((hour * 3600 + numbers["minute"] * 60 + numbers["second"]).to_numpy(), index=distinct)
        return column.astype(str).str.strip().where(column.notna()).map(seconds).astype(float)
    return None


def _written(distinct: pd.Series) -> Written | None:
    """Find how dates are written: as ISO 8601 says; else, where both may be meant, so that they are more regular."""
    ends = distinct if len(distinct) <= 2 * TRIED else pd.concat([distinct[:TRIED], distinct[-TRIED:]])
    iso: Written = {"format": "ISO8601"}
    if _parsed(ends, iso).notna().mean() > 0.5:
        return iso if _parsed(ends, iso).notna().all() else {"format": "mixed"}
    best, found = (0.5, -1.0, 0.0), None
    for written in MONTHS_AND_DAYS:
        dates = _parsed(ends, written)
        ticks = np.sort(dates.dropna().astype("int64").to_numpy())
        differences = np.diff(ticks)
        rank = (float(dates.notna().mean()), *_regularity(differences))
        if rank > best:
            best, found = rank, written
    return found


def _regularity(differences: np.ndarray) -> tuple[float, float]:
    """Return how few gaps there are, none is 0, and the share of differences that are the same.

    Gaps come first: months differ by 28 to 31 days, and are as regular as days.
    """
    if not len(differences):
        return 0.0, 0.0
    usual = np.median(differences)
    return -float((differences > TOLERANCE * usual).mean()), float((differences == usual).mean())


def _parsed(texts: pd.Series, written: Written) -> pd.Series:
    with warnings_as("ignore"):  # it is our business how they are written
        return pd.to_datetime(texts, errors="coerce", utc=True, **written)


def duration(nanoseconds: int) -> str:
    """Say how long something lasts, in the two largest units that it has."""
    units = (("day", 86_400 * 10**9), ("hour", 3_600 * 10**9), ("minute", 60 * 10**9), ("second", 10**9))
    parts = []
    for name, size in units:
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count:,} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or f"{nanoseconds / 1e6:g} ms"


def is_time_of_day(column: pd.Series) -> bool:
    """Tell whether a column holds times of the day, and nothing else."""
    return not pd.api.types.is_numeric_dtype(column.dtype) and day_seconds(column) is not None
