"""How long series are cut into windows, and which columns of their files are what."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from isthmus.errors import InputError
from isthmus.saving.attributes import JsonObject
from isthmus.sources.series_files import read_series
from isthmus.sources.timeline import TimeSeries


@dataclass(frozen=True)
class Windowing:
    """How long series are cut into windows, and which columns of their files are what.

    Parameters
    ----------
    window, stride : int
        Steps of a window, and from the beginning of one to that of the next.
    time, group : str, optional
        The columns of times and of the series' names.
    features : tuple of str, optional
        The columns that are features, where that is known.
    drop : tuple of str
        Columns to leave out.
    na_values : tuple of str, optional
        What stands for a missing value.
    paces : tuple of float
        The steps from time to time that the model was trained on.
    run : str, optional
        The run that was trained so; None where one is to be trained.
    """

    window: int
    stride: int
    time: str | None = None
    group: str | None = None
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    na_values: tuple[str, ...] | None = None
    paces: tuple[float, ...] = ()
    run: str | None = None

    def read(self, data: str) -> TimeSeries:
        """Read a file."""
        return read_series(data, self.time, self.group, self.features, drop=self.drop, na_values=self.na_values)

    def understood(self, data: str, series: TimeSeries) -> list[str]:
        """Return how a file was understood, and how it is cut."""
        with _naming_options(data):
            return series.understood(self.window, self.stride)

    def warnings(self, series: TimeSeries, source: str | None = None) -> list[str]:
        """Return what of a file may be wrong beside the run that it is for, or the one whose weights that begins at."""
        other, source = series.another_step(self.paces), source or self.run
        step = f"{other}, as where {source} was trained: what is said of it may mean little; bring it to that step"
        return [*series.warnings, *([] if other is None or source is None else [step])]

    def windows(self, data: str, series: TimeSeries) -> np.ndarray:
        """Return the windows of a file; those of a run are as long as they are."""
        longest = int(np.diff(series.stretches, axis=1).max())
        if self.run is not None and longest < self.window:
            which = "the series has" if len(series.stretches) == 1 else "the longest stretch without a gap has"
            raise InputError(
                f"{data}: {which} {longest} steps, fewer than a window of {self.window}, which {self.run} was trained "
                "with: give a longer one, or train another run with a smaller --window"
            )
        with _naming_options(data):
            cut = series.windows(self.window, self.stride)
        if self.run is None:
            _check_known(data, cut, series.names)
        return cut


def windowing_of(asked: JsonObject, run: str | None = None) -> Windowing | None:
    """Return how a series is cut, as a run's description says; None where --window was not given.

    Parameters
    ----------
    asked : dict
        "window", "stride", "time", "group", "features", "drop", "na" and "step", as far as they were given.
    run : str, optional
        The run that was trained so.
    """
    window, stride, label, features = (asked.get(name) for name in ("window", "stride", "label", "features"))
    time, group, marks = asked.get("time"), asked.get("group"), asked.get("na")
    if window is None:
        if stride is not None:
            raise InputError(f"--stride {stride} is of windows: say how long they are too, such as --window 100")
        reason = "it is of series: say --window too, such as --window 100"
        reason = reason if run is None else f"{run} was not trained on a series; leave it out"
        for option, name in (("--time", time), ("--group", group)):
            if name is not None:
                raise InputError(f"{option} {name}: {reason}")
        return None
    if label is not None:
        raise InputError(f"--label {label}: the windows of one series have no labels; leave it out")
    return Windowing(
        window,
        max(1, window // 10) if stride is None else stride,
        time,
        group,
        None if features is None else tuple(features),
        tuple(asked.get("drop") or ()),
        None if marks is None else tuple(marks),
        tuple(asked.get("step") or ()),
        run,
    )


@contextmanager
def _naming_options(data: str) -> Iterator[None]:
    """Name what is said of a series by its file, and parameters by their options."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{data}: {str(error).replace('a shorter length', 'a smaller --window')}") from error


def _check_known(data: str, windows: np.ndarray, names: list[str]) -> None:
    """Raise InputError for features of which windows hold no value at all."""
    unknown = np.isnan(windows.reshape(-1, len(names))).all(0)
    if unknown.any():
        name = names[int(unknown.argmax())]
        out = "leave it out" if data.endswith(".npy") else f"--drop {name} leaves it out"
        raise InputError(f"{data}: column {name!r} holds no value in any window; {out}")
