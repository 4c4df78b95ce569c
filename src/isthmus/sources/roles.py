"""What the columns of a series' table are: when a step was, of which series it is, and what was measured."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.formats.names import few
from isthmus.sources.clock import Clock, is_time_of_day, read_clock, rises
from isthmus.sources.stretches import with_the_hour_twice
from isthmus.sources.time_parts import Joined, beside_date, from_parts, recurs_daily

NONE = "none"
"""What is said instead of a column's name where there is none."""

TIME_NAMES = re.compile(
    r"^(t|ts|ds|step|index|idx|epoch|unix|tick|when|cycle|frame|seq|sequence|sample|row|obs|observation|iter|iteration|"
    r"no|nr|period|year|month|week|day|hour|minute|second|sec|ms|unnamed: 0)s?$|time|(^|[\W_])date",
    re.IGNORECASE,
)
GROUP_NAMES = re.compile(
    r"(^|[\W_])(id|uuid|key|name|group|series|entity|host|hostname|server|node|instance|pod|container|machine|device|"
    r"sensor|station|unit|engine|turbine|asset|meter|site|store|shop|item|product|sku|symbol|ticker|customer|user|"
    r"patient|subject|vehicle|location|region|country)s?$|[a-z]I[dD]$",
    re.IGNORECASE,
)
"""What columns are called that say when, and of which series."""

RESOLVED = 0.05
"""Of times that are there more than once, the share that may still be so within groups."""

REPEATED, NUMBERED = 0.1, 0.3
"""Share of the rows whose time is there before, for a column of words, or of numbers, to tell series apart whose name
does not say so."""


FEWEST_NAMED = 10
"""Rows of which each has another word, for these to be names or text."""


class Roles(NamedTuple):
    """What columns are.

    Attributes
    ----------
    time : str, optional
        The column that says when; of several that make a date, their names with a hyphen between.
    clock : Clock, optional
        What it says.
    columns : list of str
        All columns that say when: that one, and those of the times of the day, where it has dates alone.
    group : str, optional
        The column that says of which series a row is.
    features : list of str
        The columns of what was measured.
    extra : list of str
        Columns that are not among the features that were asked for.
    notes : list of str
        What else is to be said of columns.
    """

    time: str | None
    clock: Clock | None
    columns: list[str]
    group: str | None
    features: list[str]
    extra: list[str]
    notes: list[str]

    def not_asked_for(self) -> list[str]:
        """Say which columns are left out as they are not among the features, in a line where there are any."""
        which = (
            f"column {few(self.extra)}, which is" if len(self.extra) == 1 else f"columns {few(self.extra)}, which are"
        )
        return [f"left out: {which} not among the features"] if self.extra else []


def find_roles(frame: pd.DataFrame, time: str | None, group: str | None, features: Sequence[str] | None) -> Roles:
    """Find out what columns are, where it was not said; see :func:`isthmus.data.time_series`."""
    parts = None if time == NONE else from_parts(frame, [str(name) for name in frame if name != group])
    made = "" if parts is None else "-".join(parts.columns)
    for option, name in (("time", time), ("group", group)):
        if name not in (None, NONE) and name not in frame and not (option == "time" and name == made):
            raise InputError(f"the table has no column {name!r}, which is to be the {option}: it has {few(frame)}")
    if time == group and time not in (None, NONE):
        raise InputError(f"column {time!r} cannot be both time and group")
    said = {time, group, *(features or ())}
    free = [str(name) for name in frame if name not in said]
    no_time, clock = time == NONE, None
    if time is None:
        time, clock = _guess_time(frame, free, None if group == NONE else group, group != NONE)
        counted = None if parts is not None and time in parts.columns else clock
        is_made = parts is not None and _is_made(frame, parts, counted, free, group)
    else:
        is_made = parts is not None and time in (made, *parts.columns)
    if parts is not None and is_made:
        time, clock = made, parts.clock
    elif clock is None and not no_time and time is not None:
        clock = read_clock(frame[time], named=True)
        if clock is None:
            raise InputError(f"column {time!r} holds no times: name another, or none")
    time = None if no_time else time
    columns = [] if time is None else parts.columns if parts is not None and time == made else [time]
    free = [name for name in free if name not in columns]
    beside = None if clock is None else beside_date(frame, clock, free, noted=features is not None)
    if beside is not None:
        clock, columns = beside.clock, [*columns, *beside.columns]
        free = [name for name in free if name not in columns]
    if group is None:
        group = guess_group(frame, clock, free)
    group = None if group == NONE else group
    out, notes = _left_out(frame, [name for name in free if name != group], group, clock, no_time)
    taken = {*columns, group, *out}
    rest = [str(name) for name in frame if name not in taken]
    names = rest if features is None else _asked(rest, features)
    _refuse(frame, [name for name in names if not pd.api.types.is_numeric_dtype(frame[name].dtype)])
    extra = set(rest) - set(names)
    return Roles(time, clock, columns, group, names, [name for name in rest if name in extra], notes)


def _guess_time(
    frame: pd.DataFrame, free: Sequence[str], group: str | None, may_group: bool
) -> tuple[str | None, Clock | None]:
    """Return the column that says when, dates before Unix times before counters, and what it says."""
    found: list[tuple[int, str, Clock]] = []
    for name in free:
        is_named = bool(TIME_NAMES.search(str(name)))
        clock = read_clock(frame[name], named=is_named)
        is_date = clock is not None and clock.dated and not clock.kind
        if clock is None or not clock.known.any() or not (is_date or is_named or clock.known.all()):
            continue
        others = [each for each in free if each != name]
        if is_date or rises(clock, _groups(frame, clock, others, group, may_group), named=is_named):
            found.append((0 if is_date else 1 if clock.dated else 2, name, clock))
    if not found:
        return None, None
    _, name, clock = min(found, key=lambda each: (each[0], -each[2].known.mean()))
    return name, clock


def _is_made(frame: pd.DataFrame, parts: Joined, clock: Clock | None, free: Sequence[str], group: str | None) -> bool:
    """Tell whether years, months and days say when; months alone do where each is there once."""
    if (clock is not None and clock.dated) or not set(parts.columns) <= set(free):
        return False
    if len(parts.columns) > 2:
        return True
    rest = [name for name in free if name not in parts.columns]
    groups = _groups(frame, parts.clock, rest, None if group == NONE else group, group != NONE)
    return clock is None and not pd.DataFrame({"month": parts.clock.ticks, "group": groups}).duplicated().any()


def _groups(frame: pd.DataFrame, clock: Clock, free: Sequence[str], group: str | None, may_group: bool) -> np.ndarray:
    """Return of which series each row is, by the column that says so or, where it may be guessed, seems to."""
    name = group if group is not None or not may_group else guess_group(frame, clock, free)
    return np.zeros(len(frame), int) if name is None else pd.factorize(frame[name])[0]


def guess_group(frame: pd.DataFrame, clock: Clock | None, free: Sequence[str]) -> str | None:
    """Return the column that says of which series a row is: with it times are there once; or it holds one value."""
    weaker: list[tuple[int, str]] = []
    for name in sorted(free, key=lambda each: not _is_label(pd.Series(frame[each]))):
        column = frame[name]
        if column.isna().any() or pd.api.types.is_float_dtype(column) or pd.api.types.is_bool_dtype(column):
            continue
        if is_time_of_day(column) or recurs_daily(str(name)):
            continue
        codes, levels = pd.factorize(column)
        if clock is not None and _resolves(column, codes, len(levels), clock):
            return name
        in_order = codes if clock is None else codes[np.argsort(clock.ticks)]
        if GROUP_NAMES.search(str(name)) and len(levels) == 1:
            weaker.append((1, name))
        elif _is_label(column) and len(levels) > 1 and _in_blocks(in_order, len(levels)):
            weaker.append((0, name))
    return min(weaker)[1] if weaker else None


def _is_label(column: pd.Series) -> bool:
    """Tell whether a column is of words, or called as what names a series."""
    return not pd.api.types.is_numeric_dtype(column.dtype) or bool(GROUP_NAMES.search(str(column.name)))


def _resolves(column: pd.Series, codes: np.ndarray, levels: int, clock: Clock) -> bool:
    """Tell whether times that are there more than once are there once in each group; a few may be so by chance."""
    ticks, codes = with_the_hour_twice(clock, codes)[0].ticks[clock.known], codes[clock.known]
    counts = np.unique(ticks, return_counts=True)[1]
    if not len(ticks) or levels < 2 or levels > len(codes) / 2:
        return False
    repeats = len(ticks) - len(counts)
    inside = len(ticks) - _n_pairs(codes, pd.factorize(ticks)[0])
    if not repeats or inside > RESOLVED * repeats:
        return False
    is_text = not pd.api.types.is_numeric_dtype(column.dtype)
    if GROUP_NAMES.search(str(column.name)) or (is_text and repeats >= REPEATED * len(ticks)):
        return True
    return repeats >= NUMBERED * len(ticks) and levels <= 2 * int(counts.max())


def _n_pairs(one: np.ndarray, other: np.ndarray) -> int:
    return len(np.unique(np.column_stack([one, other]), axis=0))


def _in_blocks(codes: np.ndarray, levels: int) -> bool:
    """Tell whether each value stands in one block of rows, none of which is a single row."""
    changes = np.flatnonzero(np.diff(codes)) + 1
    blocks = np.diff([0, *changes, len(codes)])
    return len(blocks) == levels and bool((blocks > 1).all())


def _left_out(
    frame: pd.DataFrame, free: list[str], group: str | None, when: Clock | None, no_time: bool
) -> tuple[list[str], list[str]]:
    """Return the columns that are not for a model, and what is to be said of these and others."""
    groups = np.zeros(len(frame), int) if group is None else pd.factorize(frame[group])[0]
    out: dict[str, str] = {}
    notes = []
    for name in free:
        column = frame[name]
        is_named = bool(TIME_NAMES.search(str(name)))
        is_number = pd.api.types.is_numeric_dtype(column.dtype)
        clock = None if is_number and no_time else read_clock(column, named=is_named)
        is_clock = clock is not None and (not is_number or rises(clock, groups, named=is_named))
        if is_clock:
            out[name] = "holds times"
        elif column.is_unique and len(column) >= FEWEST_NAMED and _names_rows(column) and (is_number or not is_named):
            out[name] = "is another in each row"
        elif is_number and GROUP_NAMES.search(str(name)) and not pd.api.types.is_float_dtype(column.dtype):
            notes.append(f"column {str(name)!r} is taken for a feature: if it says which series a row is of, "
                         f"say so, --group {name}")  # fmt: skip
        elif is_number and is_named and when is None and not no_time:
            notes.append(f"column {str(name)!r} is taken for a feature: if it says when, say so, --time {name}")
        elif not is_number and is_time_of_day(column):
            out[name] = "holds times of the day without a date"
        elif not is_number and _n_pairs(groups, pd.factorize(column)[0]) == len(np.unique(groups)):
            out[name] = "is the same in all rows" if group is None else f"says no more than {group!r} does"
    return list(out), [f"left out: column {str(name)!r}, which {reason}" for name, reason in out.items()] + notes


def _names_rows(column: pd.Series) -> bool:
    """Tell whether a column, no value of which is there twice, is of names or text."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return bool(GROUP_NAMES.search(str(column.name))) and not pd.api.types.is_float_dtype(column.dtype)
    return not bool(pd.to_numeric(column, errors="coerce").notna().any())


def _refuse(frame: pd.DataFrame, words: Sequence[str]) -> None:
    for name in words:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        if numbers.notna().any():
            row = int((numbers.isna() & frame[name].notna()).argmax())
            raise InputError(
                f"column {str(name)!r} holds {str(frame[name].iloc[row])!r} in row {row}, and numbers elsewhere; put a "
                "number there, or leave it blank"
            )
    if words:
        which = f"column {few(words)} holds" if len(words) == 1 else f"columns {few(words)} hold"
        raise InputError(
            f"{which} no numbers: drop what is not measured; a column whose values are a series each is named, "
            f"--group {words[0]}"
        )


def _asked(rest: list[str], features: Sequence[str]) -> list[str]:
    there = set(rest)
    missing = [name for name in features if name not in there]
    if missing:
        raise InputError(f"the table has no column {few(missing)}, which the model was trained on: it has {few(rest)}")
    return list(features)
