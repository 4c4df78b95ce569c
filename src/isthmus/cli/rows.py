"""DATA: its rows, and what they are called."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus import models, runs
from isthmus.cli.console import complain, say
from isthmus.cli.meaning import refuse_without_meaning
from isthmus.cli.parsing import parse_whole
from isthmus.cli.saved import has_images
from isthmus.errors import InputError
from isthmus.formats.names import row_names
from isthmus.sources import datasets, files
from isthmus.sources.datasets import Dataset
from isthmus.sources.files import Source
from isthmus.sources.images import check_size
from isthmus.sources.pixels import Fit
from isthmus.sources.series_files import read_series
from isthmus.sources.timeline import TimeSeries


@dataclass(frozen=True)
class Cut:
    """How long series are cut into windows, and which columns of their files are what."""

    window: int
    stride: int
    time: str | None = None
    group: str | None = None
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    na_values: tuple[str, ...] | None = None
    paces: tuple[float, ...] = ()
    run: Path | None = None
    _read: dict[str, TimeSeries] = field(default_factory=dict, repr=False, compare=False)

    def series(self, data: str) -> TimeSeries:
        """Read a file, once."""
        if data not in self._read:
            self._read[data] = read_series(
                data, self.time, self.group, self.features, drop=self.drop, na_values=self.na_values
            )
        return self._read[data]

    def understood(self, data: str) -> list[str]:
        """Return how a file was understood, and how it is cut."""
        series = self.series(data)
        with _naming_options(data):
            return series.understood(self.window, self.stride)

    def warnings(self, data: str, source: Path | str | None = None) -> list[str]:
        """Return what of a file may be wrong beside the run that it is for, or the one whose weights that begins at."""
        series, source = self.series(data), source or self.run
        other = series.another_step(self.paces)
        step = f"{other}, as where {source} was trained: what is said of it may mean little; bring it to that step"
        return [*series.warnings, *([] if other is None or source is None else [step])]

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
        with _naming_options(data):
            cut = series.windows(self.window, self.stride)
        if self.run is None:
            _check_known(data, cut, series.names)
        return cut

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
    noted = runs.read(run) if runs.is_noted(run) else {"window": None}
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
    return Cut(
        window,
        max(1, window // 10) if stride is None else stride,
        asked["time"],
        asked["group"],
        None if features is None else tuple(features),
        tuple(asked["drop"] or ()),
        None if asked["na"] is None else tuple(asked["na"]),
        tuple(asked["step"] or ()),
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


def _refuse_columns(time: str | None, group: str | None, reason: str) -> None:
    for option, name in (("--time", time), ("--group", group)):
        if name is not None:
            raise InputError(f"{option} {name}: {reason}")


class Framing(NamedTuple):
    """How a folder of images, or a table, becomes rows.

    Images are brought to a size, as (height, width), all with colours or none; of a table some columns may be left out,
    and some values stand for missing ones.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    skip_bad: bool = False
    colors: bool | None = None
    drop: tuple[str, ...] = ()
    na_values: tuple[str, ...] | None = None
    strict: bool = False  # all of drop must be there
    label: str | None = None  # the run's, which is taken where a file has it


def of_table(noted: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return which columns and marks of a table a run leaves out; a tabular model does it itself."""
    if isinstance(model, models.TabularAutoencoder):
        return {}
    marks = noted.get("na")
    return {"drop": tuple(noted.get("drop") or ()), "na_values": None if marks is None else tuple(marks)}


def parse_framing(size: str | None, fit: Fit, skip_bad: bool) -> Framing:
    """Return what --size, --fit and --skip-bad say."""
    if size is None:
        return Framing(None, fit, skip_bad)
    pixels = parse_whole("--size", size)
    if len(pixels) not in (1, 2):
        raise InputError(f"--size {size}: give pixels as one whole number, or as height,width")
    return Framing(check_size(pixels if len(pixels) == 2 else pixels[0]), fit, skip_bad)


def read_framing(run: Path, estimator: Any, skip_bad: bool = False, data: str | None = None) -> Framing:
    """Return how the images were read that a run was trained on, in the size and colours that its model knows.

    `data` are those that are to be read so.
    """
    if data is not None:
        refuse_without_meaning(data, skip_bad=skip_bad)
    noted = runs.read(run) if runs.is_noted(run) else {"fit": None, "skip_bad": None, "label": None}
    inner = getattr(estimator, "autoencoder_", estimator)
    table = of_table(noted, inner)
    skip_bad |= bool(noted["skip_bad"])
    if not has_images(inner):
        return Framing(None, noted["fit"] or "crop", skip_bad, label=noted["label"], **table)
    shape = inner.row_shape_
    colors = len(shape) == 3 and shape[0] == 3
    return Framing(tuple(shape[-2:]), noted["fit"] or "crop", skip_bad, colors, label=noted["label"])


def load_rows(
    data: str,
    split: datasets.Split,
    label: str | None,
    data_dir: Path | None,
    estimator: Any = None,
    cut: Cut | None = None,
    framing: Framing | None = None,
    told: bool = False,
) -> Dataset:
    """Read DATA: a name of the catalogue, a file or a folder; labels may be missing where the model takes them.

    What is left out or changed is said, where it was not `told` before.
    """
    if cut is not None:
        cut_rows = cut.windows(data)
        for line in () if told else cut.warnings(data):
            complain(f"{data}: {line}")
        return Dataset(cut_rows)
    if data in datasets.names():
        if label is not None:
            raise InputError(f"--label {label}: {data} has its own labels; leave it out")
        return datasets.load(data, split, data_dir)
    source = read_source(data, label, estimator, framing)
    for line in () if told else source.warnings:
        complain(f"{data}: {line}")
    y = source.data.y
    is_noted = label is None and framing is not None and framing.label is not None
    if is_noted and y is not None and pd.isna(y).any() and not getattr(_inner(estimator), "takes_conditions", False):
        y = None  # of a label that was not asked for, gaps are no mistake
    return Dataset(_in_order(source.data.X, estimator), y)


def _inner(estimator: Any) -> Any:
    return getattr(estimator, "autoencoder_", estimator)  # a detector's


def _in_order(X: Any, estimator: Any) -> Any:
    """Put a table's columns into the order that a model knows, where it has all of them; others come last."""
    inner = _inner(estimator)
    if not isinstance(X, pd.DataFrame):
        return X
    schema = getattr(inner, "schema_", None)
    names = list(getattr(inner, "feature_names_in_", ()) if schema is None else schema.names)
    needed = names if schema is None else [column.name for column in schema.columns]
    if not names or any(name not in X for name in needed):
        return X
    there = [name for name in names if name in X]
    ordered = [*there, *(name for name in X if name not in set(there))]
    return X if ordered == list(X) else X[ordered]


def read_source(
    data: str, label: str | None, estimator: Any = None, framing: Framing | None = None, *, mixed: bool = False
) -> Source:
    """Read a file or folder as a model takes it; one that was read already is not read again."""
    if not datasets.is_path(data):
        datasets.load(data)  # no file and no name of one: says which names there are
    if Path(data).is_dir():
        return _read_once(data, label, False, False, (), framing or Framing())
    inner = _inner(estimator)
    several = isinstance(inner, models.MultimodalAutoencoder)
    if several and not hasattr(inner, "feature_names_in_") and Path(data).suffix == ".npz":
        return Source(Dataset(files.read_modalities(data)), [], [])  # type: ignore[arg-type]
    mixed |= several or isinstance(inner, models.TabularAutoencoder)
    text = tuple(inner.schema_.text) if hasattr(inner, "schema_") else _asked_as_text(inner)
    gaps, framing = getattr(inner, "takes_conditions", False), framing or Framing()
    if isinstance(inner, models.TabularAutoencoder) and isinstance(inner.na_values, list | tuple):
        framing = framing._replace(na_values=tuple(inner.na_values))
    where_there = label is None and framing.label is not None
    label, gaps = (framing.label, True) if where_there else (label, gaps)
    return _read_once(data, label, gaps, mixed, text, framing, where_there, _known_as_numbers(inner))


def _known_as_numbers(model: Any) -> tuple[str | int, ...]:
    """Return the columns that a model knows as numbers: 007 is one there."""
    if hasattr(model, "schema_"):
        columns = [column for column in model.schema_.columns if column.name not in set(model.schema_.text)]
        return tuple(column.name for column in columns if column.kind != "date")
    if isinstance(model, models.MultimodalAutoencoder):
        return ()
    return tuple(getattr(model, "feature_names_in_", ()))


def _asked_as_text(model: Any) -> tuple[str, ...]:
    """Return the columns that are categories by --kind: 01234 stays what it is."""
    kinds = getattr(model, "kinds", None)
    return tuple(name for name, kind in kinds.items() if kind == "category") if isinstance(kinds, Mapping) else ()


@lru_cache(maxsize=2)
def _read_once(
    data: str,
    label: str | None,
    gaps: bool,
    mixed: bool,
    text: tuple[str | int, ...],
    framing: Framing,
    where_there: bool = False,
    numbers: tuple[str | int, ...] = (),
) -> Source:
    asked = framing._asdict()
    del asked["label"]
    return files.read_source(
        data, label, gaps=gaps, mixed=mixed, text=text, where_there=where_there, numbers=numbers, **asked
    )


def forget() -> None:
    """Let go of what was read."""
    _read_once.cache_clear()


def which_rows(data: str, trained_on: str | None = None) -> str:
    """Say what the rows of a report are; a file is trained on whole, a named data set has test rows of its own."""
    if data in datasets.names():
        return "test rows"
    return "rows" if trained_on is not None and Path(data).resolve() != Path(trained_on) else "training rows"


def names_of(data: str, X: Any, cut: Cut | None, framing: Framing | None = None) -> list[str]:
    """Return what rows are called: images by their files, windows by their steps, others as they are in a table."""
    if cut is not None:
        return cut.series(data).window_names(cut.window, cut.stride)
    if isinstance(X, Mapping):
        return [f"row {i}" for i in range(count_rows(X))]
    return _images_of(data, framing) or row_names(X)


def file_column(data: str, framing: Framing | None) -> dict[str, Any]:
    """Return the files of a folder of images, to stand beside its rows; of other data nothing."""
    names = _images_of(data, framing)
    return {} if names is None else {"file": names}


def name_columns(data: str, framing: Framing | None, X: Any) -> dict[str, Any]:
    """Return what stands beside rows that were read: the files of images, the names that a table has for its rows."""
    if isinstance(X, pd.DataFrame) and not isinstance(X.index, pd.RangeIndex | pd.MultiIndex):
        return {str(X.index.name or ""): X.index.to_numpy()}
    return file_column(data, framing)


def say_left_out(data: str, framing: Framing | None, output: Path) -> None:
    """Say which files have no row in an array, which has no column for their names."""
    if output.suffix == ".npy" and _images_of(data, framing) is not None:
        left_out = read_source(data, None, None, framing).left_out
        if left_out:
            say(f"no row in {output}: {', '.join(left_out)}")


def _images_of(data: str, framing: Framing | None) -> list[str] | None:
    """Return the files that were read of a folder of images; None of other data."""
    if data in datasets.names() or not Path(data).is_dir():
        return None
    return read_source(data, None, None, framing).names


def count_rows(X: Any) -> int:
    """Return how many rows there are; of several modalities all have as many."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some of the rows."""
    if isinstance(X, Mapping):
        return {name: values[rows] for name, values in X.items()}
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
