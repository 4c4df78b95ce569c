"""One long series, or several, as people have them in a table: out of order, with gaps, of more than one host."""

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from isthmus.data.marks import Marks, numbers_with_gaps
from isthmus.data.names import few
from isthmus.data.roles import find_roles
from isthmus.data.series import mean_at, window_starts, with_windows
from isthmus.data.stretches import in_words, irregularities, place
from isthmus.errors import InputError


class TimeSeries(NamedTuple):
    """Series in order of time, cut where there are gaps; :func:`time_series` makes it.

    Printed, it says what was understood of a table.

    Attributes
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
    """

    values: np.ndarray
    names: list[str]
    stretches: np.ndarray
    steps: np.ndarray
    rows: np.ndarray
    time: "pd.Series[Any] | None"
    group: "pd.Series[Any] | None"
    labels: list[str]
    lines: list[str]
    irregular: list[str]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def places(self, length: int, stride: int = 1) -> np.ndarray:
        """Return which steps are in each window: shape (n, length).

        Raises
        ------
        ValueError
            If no stretch is as long as a window.
        """
        lengths = np.diff(self.stretches, axis=1)[:, 0]
        if (lengths < length).all() and len(lengths) > 1:
            raise InputError(
                f"the longest of {len(lengths):,} stretches without a gap has {lengths.max():,} steps, fewer than a "
                f"window of {length}: give a shorter length"
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
        return self._rows(mean_at(values, lambda length: self.places(length, stride), len(self.values)))

    def step_scores(self, shares: ArrayLike, stride: int = 1) -> np.ndarray:
        """Score each of the table's rows; see :func:`isthmus.data.step_scores`."""
        return self.on_time_axis(with_windows(shares), stride)

    def starts(self, length: int, stride: int = 1) -> np.ndarray:
        """Return the table's row at which each window begins; shape (n,)."""
        return self._first_rows()[self.places(length, stride)[:, 0]]

    def window_names(self, length: int, stride: int = 1) -> list[str]:
        """Say of which steps each window is, and of which series."""
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
        """Return what was understood of the table, a line each, and how it is cut into windows.

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

    def _rows(self, of_steps: np.ndarray) -> np.ndarray:
        rows = of_steps[self.steps]
        rows[self.steps < 0] = np.nan
        return rows

    def _first_rows(self) -> np.ndarray:
        """Return the first of the table's rows that each step is."""
        first = np.full(len(self.values), len(self.steps))
        is_step = self.steps >= 0
        np.minimum.at(first, self.steps[is_step], np.flatnonzero(is_step))
        return first


def _span(begin: str, end: str) -> str:
    """Say from when to when, the day once where it is the same."""
    day, _, hour = end.rpartition(" ")
    return f"{begin} to {hour if ':' in hour and begin.startswith(f'{day} ') and day else end}"


def time_series(
    table: Any, *, time: str | None = None, group: str | None = None, features: Sequence[str] | None = None
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
        The columns of what was measured, which are then neither time nor group.

    Returns
    -------
    TimeSeries

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
        values = np.asarray(table, dtype=float)
        if values.ndim not in (1, 2):
            raise InputError(f"the series has the shape {values.shape}: give (n_steps,) or (n_steps, features)")
        values = values.reshape(len(values), -1)
        table = pd.DataFrame(values, columns=[f"x_{i}" for i in range(values.shape[1])])
        time, group, features = "none", "none", None
    frame, missing = numbers_with_gaps(_framed(table), Marks())
    roles = find_roles(frame, time, group, features)
    if not roles.features:
        raise InputError("the table has no column of numbers: give one of what was measured")
    measured = _measured(frame, roles.features)
    groups, said = (np.zeros(len(frame), int), ["all"]) if roles.group is None else _coded(frame[roles.group])
    placed = place(measured, roles.clock, groups)
    irregular = irregularities(roles.clock, roles.group, said, placed)
    gaps = [] if roles.clock is None or placed.gaps else ["gaps: none"]
    times = f"column {roles.time!r}" if roles.beside is None else f"columns {roles.time!r} and {roles.beside!r}"
    lines = [*in_words(times, roles.clock, roles.group, said, placed), *irregular, *gaps]
    lines += [f"features: {few(roles.features)}", *missing, *roles.notes]
    texts = [] if roles.clock is None else [str(roles.clock.texts[row]) for row in placed.first]
    when, whose = (None if name is None else frame[name] for name in (roles.time, roles.group))
    if when is not None and roles.beside is not None and roles.clock is not None:
        when = pd.Series(roles.clock.texts, name=roles.time)
    return TimeSeries(
        placed.values, roles.features, placed.stretches, placed.steps, measured, when, whose, texts, lines, irregular
    )


def _coded(column: "pd.Series[Any]") -> tuple[np.ndarray, list[str]]:
    """Return groups as numbers and as text, in an order that is not that of the rows."""
    codes, levels = pd.factorize(column)
    ordered = sorted(range(len(levels)), key=lambda i: _rank(levels[i]))
    place = np.empty(len(levels) + 1, int)
    place[ordered] = np.arange(len(levels))
    place[-1] = -1  # what is blank
    return place[codes], [str(levels[i]) for i in ordered]


def _rank(level: Any) -> tuple[bool, float, str]:
    is_number = isinstance(level, numbers.Real)
    return not is_number, float(level) if is_number else 0.0, str(level)


def _framed(table: Any) -> pd.DataFrame:
    """Return a table as pandas has it, an index of dates as a column."""
    if isinstance(table, pd.Series):
        table = table.to_frame(table.name or "value")
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)):
        frame = frame.reset_index(names=str(frame.index.name or ("time of the row" if "time" in frame else "time")))
    elif isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    else:
        frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    exact = [name for name in frame if isinstance(next(iter(frame[name].dropna()), None), Decimal)]
    return frame.astype(dict.fromkeys(exact, float))


def _measured(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return the columns of features as numbers."""
    values: np.ndarray = frame[list(names)].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"column {names[column]!r} holds infinity in row {row}; leave it blank")
    return values
