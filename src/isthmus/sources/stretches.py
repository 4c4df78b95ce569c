"""Rows of series in order of time, cut into stretches where there are gaps; and that in words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.errors import InputError
from isthmus.sources.clock import TOLERANCE, Clock
from isthmus.sources.series import averaged

LONGEST_WEEKEND = 5.5
"""The same in days of a series that has no weekends."""


FEW, MANY = 5, 0.1
"""Gaps, at the least, and the share of steps before one, for times to be irregular; the share of rows of the time of
another for them to be of several series."""


HOUR, DAY = 3_600 * 10**9, 86_400 * 10**9
"""In nanoseconds."""

APART = 150
"""Days between two autumns' changes of the clock, at the least."""


class Placed(NamedTuple):
    """Rows that became steps."""

    values: np.ndarray
    steps: np.ndarray
    stretches: np.ndarray
    first: np.ndarray
    """The first row of each step."""
    group: np.ndarray
    """Of which series each step is."""
    gaps: list[tuple[int, float]]
    """The step before each gap, and how long it is."""
    paces: list[float]
    """The step of each series that has one."""
    n_moved: int
    n_doubled: int


def place(measured: np.ndarray, clock: Clock | None, groups: np.ndarray) -> Placed:
    """Put rows in order, average those of one time, and cut the series where there are gaps."""
    is_step = groups >= 0 if clock is None else clock.known & (groups >= 0)
    rows = np.flatnonzero(is_step)
    ticks = np.arange(len(measured)) if clock is None else clock.ticks
    order = rows[np.lexsort((ticks[rows], groups[rows]))]
    as_given = rows[np.argsort(groups[rows], kind="stable")]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(ticks[order]) != 0) | (np.diff(groups[order]) != 0)
    steps = np.full(len(measured), -1)
    steps[order] = np.cumsum(is_new) - 1
    first = order[is_new]
    when, whose = ticks[first], groups[first]
    new_group = np.diff(whose) != 0
    of_each = np.split(when, np.flatnonzero(new_group) + 1)
    paces = [float(np.median(np.diff(ticks))) if len(ticks) > 1 else 0.0 for ticks in of_each]
    differences = np.diff(when)
    is_gap = np.zeros(len(new_group), bool)
    if clock is not None:
        limits = [_limit(pace, ticks, clock.dated) for pace, ticks in zip(paces, of_each, strict=True)]
        is_gap = ~new_group & (differences > np.repeat(limits, [len(ticks) for ticks in of_each])[:-1])
    edges = np.concatenate([[0], np.flatnonzero(new_group | is_gap) + 1, [len(first)]])
    return Placed(
        averaged(measured[steps >= 0], steps[steps >= 0], len(first)) if len(first) < len(order) else measured[first],
        steps,
        np.column_stack([edges[:-1], edges[1:]]),
        first,
        whose,
        [(int(i), float(differences[i])) for i in np.flatnonzero(is_gap)],
        sorted({pace for pace in paces if pace}),
        int((np.diff(ticks[as_given])[np.diff(groups[as_given]) == 0] < 0).sum()),
        len(order) - len(first),
    )


def with_the_hour_twice(clock: Clock, groups: np.ndarray) -> tuple[Clock, list[str]]:
    """Set what comes after a change to winter time an hour later, so that the hour that comes twice is two.

    Local times tell it by the order of rows alone: they go back by an hour once, and run through it again.
    """
    if not clock.dated or clock.kind:
        return clock, []
    rows = np.flatnonzero(clock.known & (groups >= 0))
    rows = rows[np.argsort(groups[rows], kind="stable")]
    ticks, found = clock.ticks.copy(), []
    for own in np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1):
        if len(own) > 2 and (np.diff(clock.ticks[own]) < 0).mean() > 0.5:
            own = own[::-1]
        for at in _changes(clock.ticks[own]):
            ticks[own[at:]] += HOUR
            found.append(str(clock.texts[own[at]]))
    if not found:
        return clock, []
    when = ", ".join(dict.fromkeys(found))
    return clock._replace(ticks=ticks), [f"clock change: the hour from {when} is there twice, and is taken as two"]


def _changes(ticks: np.ndarray) -> list[int]:
    """Return from which places on the clock is back by an hour."""
    differences = np.diff(ticks)
    later = differences[differences > 0]
    pace = float(np.median(later)) if len(later) else 0.0
    if not 0 < pace <= HOUR:
        return []
    if pace == HOUR:  # the hour may as well be a row that is there twice: believed on days when clocks change
        places = [int(i) + 1 for i in np.flatnonzero(differences == 0) if _is_change_day(int(ticks[i]))]
    else:
        places = [int(i) + 1 for i in np.flatnonzero(differences < 0)]
        off = np.abs(differences[np.array(places, int) - 1] - (pace - HOUR))
        if (off > min(1.5 * pace, HOUR / 4)).any():
            return []
    if (differences < 0).any() and pace == HOUR:
        return []
    return places if (np.diff(ticks[places]) > APART * DAY).all() else []


def _is_change_day(tick: int) -> bool:
    """Tell whether it is a Sunday, between 0 and 4 in the morning, on which clocks go back."""
    when = np.datetime64(tick // 10**9, "s").item()
    late_or_early = when.day > 24 if when.month == 10 else when.month in (4, 11) and when.day < 8
    return bool(when.weekday() == 6 and when.hour < 4 and late_or_early)


def _limit(pace: float, ticks: np.ndarray, dated: bool) -> float:
    if dated and pace == DAY and len(ticks) > 7 and ((ticks // DAY + 3) % 7 < 5).all():  # 1970 began on a Thursday
        return LONGEST_WEEKEND * DAY
    return TOLERANCE * pace


def in_words(time: str, clock: Clock | None, group: str | None, levels: Sequence[str], placed: Placed) -> list[str]:
    """Say what was understood of time, the column or columns of which are named, and of groups."""
    lines = []
    if clock is None:
        lines.append("time: no column says when; the rows are steps as they stand")
    else:
        when = clock.ticks[placed.first]
        if not len(when):
            raise InputError(f"{time} says no time at all")
        begin, end = (clock.texts[placed.first[each]] for each in (when.argmin(), when.argmax()))
        written = f" ({clock.kind})" if clock.kind else ""
        paces = [clock.lasting(pace) for pace in placed.paces]
        pace = " to ".join(dict.fromkeys([*paces[:1], *paces[-1:]]))
        step = f", a step is {'from ' if len(paces) > 1 else ''}{pace}" if paces else ""
        lines.append(f"time: {time}{written}, from {begin} to {end}{step}")
    if group is not None:
        sizes = np.bincount(placed.group, minlength=len(levels))
        several = [f"{level} ({size:,} steps)" for level, size in zip(levels, sizes, strict=True)]
        more = f" and {len(several) - 10} more" if len(several) > 10 else ""
        lines.append(f"groups: {len(levels)}, by column {group!r}: {', '.join(several[:10])}{more}")
    return lines


def irregularities(clock: Clock | None, group: str | None, levels: Sequence[str], placed: Placed) -> list[str]:
    """Say what was out of order, twice, or not there."""
    lines = []
    if placed.n_moved:
        times = "once" if placed.n_moved == 1 else f"{placed.n_moved:,} times"
        lines.append(f"order: the rows went back in time {times}, and are sorted")
    if placed.n_doubled:
        several = "; are they several series? --group COLUMN" if placed.n_doubled > MANY * len(placed.steps) else ""
        lines.append(f"duplicates: {_rows(placed.n_doubled)} of the time of another; the mean is taken{several}")
    lost = int((placed.steps < 0).sum())
    if lost:
        lines.append(f"left out: {_rows(lost)} of no time{'' if group is None else ' or no group'}")
    if placed.gaps and clock is not None:
        step, longest = max(placed.gaps, key=lambda gap: gap[1])
        of = "" if group is None else f" of {levels[placed.group[step]]}"
        which = "of" if len(placed.gaps) == 1 else "the longest of"
        after, lasting = clock.texts[placed.first[step]], clock.lasting(longest)
        lines.append(f"gaps: {len(placed.gaps):,}, {which} {lasting}, after {after}{of}; no window spans one")
    if len(placed.gaps) > max(FEW, MANY * len(placed.first)):
        lines.append("irregular: there are so many gaps that the step may mean little; --time none takes rows as steps")
    return lines


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"
