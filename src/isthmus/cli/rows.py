"""DATA: its rows, and what they are called."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isthmus import models, runs
from isthmus.data import datasets, files
from isthmus.data.datasets import Dataset
from isthmus.data.names import row_names
from isthmus.data.series_files import read_series
from isthmus.data.timeline import TimeSeries
from isthmus.errors import InputError


@dataclass(frozen=True)
class Cut:
    """How long series are cut into windows, and which columns of their files are what."""

    window: int
    stride: int
    time: str | None = None
    group: str | None = None
    features: tuple[str, ...] | None = None
    run: Path | None = None
    _read: dict[str, TimeSeries] = field(default_factory=dict, repr=False, compare=False)

    def series(self, data: str) -> TimeSeries:
        """Read a file, once."""
        if data not in self._read:
            self._read[data] = read_series(data, self.time, self.group, self.features)
        return self._read[data]

    def windows(self, data: str) -> np.ndarray:
        """Return the windows of a file; those of a run are as long as they are."""
        series = self.series(data)
        longest = int(np.diff(series.stretches, axis=1).max())
        if self.run is not None and longest < self.window:
            which = "the series has" if len(series.stretches) == 1 else "the longest stretch without a gap has"
            raise InputError(
                f"{data}: {which} {longest} steps, fewer than a window of {self.window}, which {self.run} was trained "
                "with: give a longer one, or train another run with a smaller --window"
            )
        return series.windows(self.window, self.stride)

    def starts(self, data: str) -> np.ndarray:
        """Return the file's row that each window begins at."""
        return self.series(data).starts(self.window, self.stride)

    def columns(self, data: str) -> dict[str, Any]:
        """Return where windows begin, to stand beside what is said of each: the row, its series and its time."""
        starts, series = self.starts(data), self.series(data)
        beside = [column for column in (series.group, series.time) if column is not None and column.name != "start"]
        return {"start": starts, **{str(column.name): column.iloc[starts].to_numpy() for column in beside}}


def read_cut(run: Path, time: str | None = None, group: str | None = None) -> Cut | None:
    """Return how the series was cut that the run was trained on; None where it was none, or the run does not say.

    `time` and `group` are other columns than those that the run has noted.
    """
    noted = runs.read(run) if (run / runs.RUN).is_file() else {"window": None}
    if noted["window"] is None:
        _refuse_columns(time, group, f"{run} was not trained on a series; leave it out")
        return None
    cut = parse_cut(noted | {"time": time or noted["time"], "group": group or noted["group"], "label": None})
    return None if cut is None else replace(cut, run=run)


def parse_cut(asked: dict[str, Any]) -> Cut | None:
    """Return how a series is cut, as a run's description says; None where --window was not given."""
    window, stride, label, features = (asked[name] for name in ("window", "stride", "label", "features"))
    if window is None:
        if stride is not None:
            raise InputError(f"--stride {stride} is of windows: say how long they are too, such as --window 100")
        _refuse_columns(asked["time"], asked["group"], "it is of series: say --window too, such as --window 100")
        return None
    if label is not None:
        raise InputError(f"--label {label}: the windows of one series have no labels; leave it out")
    stride = max(1, window // 10) if stride is None else stride
    return Cut(window, stride, asked["time"], asked["group"], None if features is None else tuple(features))


def _refuse_columns(time: str | None, group: str | None, reason: str) -> None:
    for option, name in (("--time", time), ("--group", group)):
        if name is not None:
            raise InputError(f"{option} {name}: {reason}")


def load_rows(
    data: str,
    split: datasets.Split,
    label: str | None,
    data_dir: Path | None,
    estimator: Any = None,
    cut: Cut | None = None,
) -> Dataset:
    """Read DATA: a name of the catalogue, a file or a folder; labels may be missing where the model takes them."""
    if cut is not None:
        return Dataset(cut.windows(data))
    if data in datasets.names():
        if label is not None:
            raise InputError(f"--label {label}: {data} has its own labels; leave it out")
        return datasets.load(data, split, data_dir)
    path = Path(data)
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        datasets.load(data)  # no file and no name of one: says which names there are
    inner = getattr(estimator, "autoencoder_", estimator)  # a detector's
    mixed = isinstance(inner, models.TabularAutoencoder)
    text = inner.schema_.text if mixed and hasattr(inner, "schema_") else ()
    return files.read(path, label, gaps=getattr(inner, "takes_conditions", False), mixed=mixed, text=text)


def which_rows(data: str, trained_on: str | None = None) -> str:
    """Say what the rows of a report are; a file is trained on whole, a named data set has test rows of its own."""
    if data in datasets.names():
        return "test rows"
    return "rows" if trained_on is not None and Path(data).resolve() != Path(trained_on) else "training rows"


def names_of(data: str, X: Any, cut: Cut | None) -> list[str]:
    """Return what rows are called: images by their files, windows by their steps, others as they are in a table."""
    if cut is not None:
        return cut.series(data).window_names(cut.window, cut.stride)
    if Path(data).is_dir() and data not in datasets.names():
        return [path.relative_to(data).as_posix() for path in files.image_paths(Path(data))]
    return row_names(X)


def file_column(data: str) -> dict[str, Any]:
    """Return the files of a folder of images, to stand beside its rows; of other data nothing."""
    is_folder = Path(data).is_dir() and data not in datasets.names()
    return {"file": names_of(data, None, None)} if is_folder else {}


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some of the rows."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
