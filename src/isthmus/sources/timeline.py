"""One long series, or several, as people have them in a table: out of order, with gaps, of more than one host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from isthmus.errors import InputError
from isthmus.formats.marks import Marks, numbers_with_gaps
from isthmus.formats.names import few
from isthmus.sources.clock import duration
from isthmus.sources.roles import find_roles
from isthmus.sources.series import mean_at, window_starts, with_windows
from isthmus.sources.series_frame import coded, frame_of_array, framed, measured_in
from isthmus.sources.stretches import in_words, irregularities, place, with_the_hour_twice

STEP_OFF = 1.1
"""How many times as long as another a step is another one."""

MOST_LINES = 10
"""Of columns in which something is missing."""


class TimeSeries(NamedTuple):
    """Series in order of time, cut where there are gaps; :func:`time_series` makes it.

    Printed, it says what was understood of a table.

    Parameters
    ----------
    values : ndarray of shape (n_steps, features)
        What was measured, one series after another, each in order of time; NaN where nothing was.
    names : list of str
        What the features are called.
    stretches : ndarray of int, of shape (n_stretches, 2)
        Where stretches without gaps begin, and where they end: the step after their last.
    steps : ndarray of int, of shape (n_rows,)
        Which step each row of the table is; -1 where it is none, as it says no time or no group.
    rows : ndarray of shape (n_rows, features)
        What was measured, as the table has it.
    time : pandas Series of length n_rows, optional
        The table's column that says when.
    group : pandas Series of length n_rows, optional
        The table's column that says of which series a row is.
    labels : list of str
        What steps are called in words; empty where nothing says when.
    lines : list of str
        What was understood of the table, a line each.
    irregular : list of str
        Of these, what was out of order, twice, or not there.
    paces : tuple of float
        The shortest and the longest step of a series: seconds, or numbers as the column of times has them; empty where
        nothing says when.
    is_dated : bool
        Whether the column of times holds dates or times of the day, and no mere numbers.
    warnings : tuple of str
        Of the lines, how a file was read where that may be wrong, and columns that were not asked for.
    """

    values: np.ndarray
    names: list[str]
    stretches: np.ndarray
    steps: np.ndarray
    rows: np.ndarray
    time: pd.Series | None
    group: pd.Series | None
    labels: list[str]
    lines: list[str]
    irregular: list[str]
    paces: tuple[float, ...] = ()
    is_dated: bool = False
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def places(self, length: int, stride: int = 1) -> np.ndarray:
        """Return which steps are in each window.

        Parameters
        ----------
        length, stride : int
            As :meth:`windows` takes them.

        Returns
        -------
        ndarray of int, of shape (n, length)
            Numbers of steps, from 0.

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        lengths = np.diff(self.stretches, axis=1)[:, 0]
        if (lengths < length).all() and len(lengths) > 1:
            groups = "" if self.group is None else f", of {self.group.nunique():,} groups by {str(self.group.name)!r},"
            raise InputError(
                f"the longest of {len(lengths):,} stretches without a gap{groups} has {lengths.max():,} "
                f"step{'' if lengths.max() == 1 else 's'}, fewer than a window of {length}: give a shorter length"
            )
        long_enough = self.stretches[lengths >= length] if len(lengths) > 1 else self.stretches
        starts = [begin + window_starts(int(end - begin), length, stride) for begin, end in long_enough]
        return np.asarray(np.concatenate(starts)[:, None] + np.arange(length))

    def windows(self, length: int, stride: int = 1) -> np.ndarray:
        """Cut windows of equal length, none of which spans a gap or two series.

        Parameters
        ----------
        length : int
            Steps in a window.
        stride : int, default 1
            Steps from the beginning of a window to that of the next; of every stretch the last window ends with it.

        Returns
        -------
        ndarray of shape (n, length), or (n, length, features) where there is more than one
            In the units of the table.

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        cut = self.values[self.places(length, stride)]
        return np.asarray(cut[:, :, 0] if cut.shape[2] == 1 else cut)

    def on_time_axis(self, values: ArrayLike, stride: int = 1) -> np.ndarray:
        """Bring what was said of each step of each window back to the table's own rows, in their order.

        Parameters
        ----------
        values : array-like of shape (n, length) or (n, length, features)
            A value for each step of each window; NaN is no value.
        stride : int, default 1
            The stride that the windows were cut with.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, features)
            The mean over the windows that a row's step is in; NaN where it is in none that has a value for it.

        Raises
        ------
        ValueError
            If the series have another number of windows.
        """
        rows = mean_at(values, lambda length: self.places(length, stride), len(self.values))[self.steps]
        rows[self.steps < 0] = np.nan
        return rows

    def step_scores(self, shares: ArrayLike, stride: int = 1) -> np.ndarray:
        """Score each of the table's rows; see :func:`isthmus.data.step_scores`.

        Parameters
        ----------
        shares : array-like of shape (n, length) or (n, length, features)
            In nats: ``score_samples(windows, per_feature=True)``; NaN is no value.
        stride : int, default 1
            The stride that the windows were cut with.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, features)
            In nats; NaN for a row in no window that has a value for it.

        Raises
        ------
        ValueError
            If the series have another number of windows.
        """
        return self.on_time_axis(with_windows(shares), stride)

    def starts(self, length: int, stride: int = 1) -> np.ndarray:
        """Return the table's row at which each window begins.

        Parameters
        ----------
        length, stride : int
            As :meth:`windows` takes them.

        Returns
        -------
        ndarray of int, of shape (n,)
            Numbers of rows, from 0.

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        return self._first_rows()[self.places(length, stride)[:, 0]]

    def window_names(self, length: int, stride: int = 1) -> list[str]:
        """Say of which steps each window is, and of which series.

        Parameters
        ----------
        length, stride : int
            As :meth:`windows` takes them.

        Returns
        -------
        list of str
            A name for each window.

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        places = self.places(length, stride)
        rows = self._first_rows()
        if self.labels:
            said = [_span(self.labels[begin], self.labels[end]) for begin, end in places[:, [0, -1]]]
        else:
            said = [f"steps {begin} to {begin + length - 1}" for begin in rows[places[:, 0]]]
        if self.group is None:
            return said
        of = self.group.iloc[rows[places[:, 0]]]
        return [f"{self.group.name} {group}, {window}" for group, window in zip(of, said, strict=True)]

    def understood(self, length: int, stride: int = 1) -> list[str]:
        """Say what was understood of the table, and how it is cut into windows.

        Parameters
        ----------
        length, stride : int
            As :meth:`windows` takes them.

        Returns
        -------
        list of str
            Lines of text.

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        lengths = np.diff(self.stretches, axis=1)[:, 0]
        n, short = len(self.places(length, stride)), int((lengths < length).sum())
        every = "at every step" if stride == 1 else f"one every {stride:,} steps"
        line = f"windows: {n:,} of {length:,} steps, {every}"
        if short:
            of = f"{short:,} of {len(lengths):,} stretches without a gap"
            line += f"; {of}, {lengths[lengths < length].sum():,} steps, are shorter and left out"
        return [*self.lines, line]

    def another_step(self, paces: Sequence[float]) -> str | None:
        """Say how far the steps are others than those of another series.

        Parameters
        ----------
        paces : sequence of float
            Its shortest and its longest step, as in `paces` here.

        Returns
        -------
        str or None
            A clause; None where they are alike.
        """
        if not (self.paces and paces) or (
            self.paces[0] >= paces[0] / STEP_OFF and self.paces[-1] <= paces[-1] * STEP_OFF
        ):
            return None
        here, there = (
            " to ".join(dict.fromkeys(duration(int(1e9 * pace)) if self.is_dated else f"{pace:g}" for pace in both))
            for both in (self.paces, paces)
        )
        return f"a step is {here}, and not {there}"

    def _first_rows(self) -> np.ndarray:
        first = np.full(len(self.values), len(self.steps))
        is_step = self.steps >= 0
        np.minimum.at(first, self.steps[is_step], np.flatnonzero(is_step))
        return first


def _span(begin: str, end: str) -> str:
    """Say from when to when, the day once where it is the same."""
    day, _, hour = end.rpartition(" ")
    return f"{begin} to {hour if ':' in hour and begin.startswith(f'{day} ') and day else end}"


def time_series(
    table: pd.DataFrame | pd.Series | ArrayLike,
    *,
    time: str | None = None,
    group: str | None = None,
    features: Sequence[str] | None = None,
    na_values: Sequence[object] | None = None,
) -> TimeSeries:
    """Read one long series, or several, from a table as people have them.

    Rows are put in order of time, the numbers of rows of the same time are averaged, and the step is the median
    difference. Where the next row is more than a step and a half later there is a gap, which no window spans.

    Parameters
    ----------
    table : DataFrame, or array-like of shape (n_steps,) or (n_steps, features)
        A row a step. An array, and a table where nothing says when, is in order.
    time : str, optional
        The column that says when: dates in any usual form, Unix times, or numbers. It is found where it is not said,
        and ``"none"`` says that there is none. An index of dates is one too.
    group : str, optional
        The column that says of which of several series a row is. It is found where times are there once with it and
        more than once without; ``"none"`` says that there is none.
    features : sequence of str, optional
        The columns of what was measured, which are then neither time nor group; others are left out.
    na_values : sequence, optional
        Texts and numbers that stand for what is missing, such as -999; default: the usual marks, such as "?" and "NA".

    Returns
    -------
    TimeSeries
        Its ``windows(length)`` are what :class:`isthmus.SequenceAutoencoder` is trained on.

    Raises
    ------
    ValueError
        If there is no such column, or a column holds neither numbers nor times.

    Examples
    --------
    >>> import pandas as pd
    >>> hours = pd.date_range("2024-01-01", periods=6, freq="h")
    >>> table = pd.DataFrame({"time": hours.delete(3), "load": [1.0, 2.0, 3.0, 5.0, 6.0]})
    >>> series = time_series(table)
    >>> print(series)
    time: column 'time', from 2024-01-01 00:00 to 2024-01-01 05:00, a step is 1 hour
    gaps: 1, of 2 hours, after 2024-01-01 02:00; no window spans one
    features: 'load'
    >>> series.windows(2)
    array([[1., 2.],
           [2., 3.],
           [5., 6.]])
    >>> series.on_time_axis(series.windows(2))
    array([1., 2., 3., 5., 6.])
    """
    if not hasattr(table, "columns") and not isinstance(table, pd.Series):
        table, time, group, features = frame_of_array(table), "none", "none", None
    given, marks = framed(table), Marks(na_values)
    frame = numbers_with_gaps(given, marks)[0]
    roles = find_roles(frame, time, group, features)
    if not roles.features:
        raise InputError("the table has no column of numbers: give one of what was measured")
    measured = measured_in(frame, roles.features)
    groups, said = (np.zeros(len(frame), int), ["all"]) if roles.group is None else coded(frame[roles.group])
    clock, twice = (None, []) if roles.clock is None else with_the_hour_twice(roles.clock, groups)
    placed = place(measured, clock, groups)
    irregular = [*twice, *irregularities(clock, roles.group, said, placed)]
    gaps = [] if clock is None or placed.gaps else ["gaps: none"]
    *others, last = [repr(name) for name in roles.columns or ("",)]
    times = f"columns {', '.join(others)} and {last}" if others else f"column {last}"
    extra = roles.not_asked_for()
    lines = [*in_words(times, clock, roles.group, said, placed), *irregular, *gaps, f"features: {few(roles.features)}"]
    lines += [*_missing_in_words(given[roles.features], measured, marks), *roles.notes, *extra]
    texts = [] if clock is None else [str(clock.texts[row]) for row in placed.first]
    whose = None if roles.group is None else frame[roles.group]
    when = frame.get(roles.time)
    if clock is not None and len(roles.columns) > 1:
        when = pd.Series(clock.texts, name=roles.time)
    unit = 1e9 if clock is not None and clock.dated else 1
    paces = () if clock is None or not placed.paces else (placed.paces[0] / unit, placed.paces[-1] / unit)
    return TimeSeries(
        placed.values, roles.features, placed.stretches, placed.steps, measured, when, whose, texts, lines, irregular,
        paces, clock is not None and clock.dated, tuple(extra),
    )  # fmt: skip


def _missing_in_words(given: pd.DataFrame, measured: np.ndarray, marks: Marks) -> list[str]:
    """Say how many cells of each feature are missing, and of how many a mark says so."""
    lines = []
    for i, name in enumerate(given):
        missing = np.isnan(measured[:, i])
        count, found = int(missing.sum()), marks.in_column(given[name])
        if not count:
            continue
        marked = int((missing & given[name].notna().to_numpy()).sum())
        which = f"all {count:,}" if missing.all() else f"{count:,}"
        cells = f"{which} cell{'' if count == 1 else 's'} of column {str(name)!r}"
        shown = ", ".join(map(repr, found))
        by = f", {shown} in {marked:,} of them" if marked else ""
        lines.append(f"missing: {cells}{by}" if marked < count else f"missing: {shown} in {cells}")
    more = f"missing: cells of {len(lines) - MOST_LINES:,} columns more"
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], more]
