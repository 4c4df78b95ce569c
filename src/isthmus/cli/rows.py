"""DATA: its rows, and what they are called."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus import models, runs
from isthmus.cli.console import complain
from isthmus.cli.parsing import parse_whole
from isthmus.cli.saved import has_images
from isthmus.data import datasets, files
from isthmus.data.datasets import Dataset
from isthmus.data.files import Source
from isthmus.data.images import Fit, check_size
from isthmus.data.names import row_names
from isthmus.data.series import window_starts, windows
from isthmus.errors import InputError


class Cut(NamedTuple):
    """How a long series is cut into windows."""

    window: int
    stride: int


def read_cut(run: Path) -> Cut | None:
    """Return how the series was cut that the run was trained on; None where it was none, or the run does not say."""
    noted = runs.read(run) if (run / runs.RUN).is_file() else {"window": None}
    return parse_cut(noted["window"], noted["stride"], None) if noted["window"] is not None else None


def parse_cut(window: int | None, stride: int | None, label: str | None) -> Cut | None:
    """Return how --window and --stride cut a series; None where they are not given."""
    if window is None:
        if stride is not None:
            raise InputError(f"--stride {stride} is of windows: say how long they are too, such as --window 100")
        return None
    if label is not None:
        raise InputError(f"--label {label}: the windows of one series have no labels; leave it out")
    return Cut(window, max(1, window // 10) if stride is None else stride)


class Framing(NamedTuple):
    """How the images of a folder become rows: their size, as (height, width), and whether all have colours."""

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    skip_bad: bool = False
    colors: bool | None = None


def parse_framing(size: str | None, fit: Fit, skip_bad: bool) -> Framing:
    """Return what --size, --fit and --skip-bad say."""
    if size is None:
        return Framing(None, fit, skip_bad)
    pixels = parse_whole("--size", size)
    if len(pixels) not in (1, 2):
        raise InputError(f"--size {size}: give pixels as one whole number, or as height,width")
    return Framing(check_size(pixels if len(pixels) == 2 else pixels[0]), fit, skip_bad)


def read_framing(run: Path, estimator: Any, skip_bad: bool = False) -> Framing:
    """Return how the images were read that a run was trained on, in the size and colours that its model knows."""
    noted = runs.read(run) if (run / runs.RUN).is_file() else {"fit": None, "skip_bad": None}
    inner = getattr(estimator, "autoencoder_", estimator)
    skip_bad |= bool(noted["skip_bad"])
    if not has_images(inner):
        return Framing(None, noted["fit"] or "crop", skip_bad)
    shape = inner.row_shape_
    return Framing(tuple(shape[-2:]), noted["fit"] or "crop", skip_bad, len(shape) == 3 and shape[0] == 3)


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
        values = windows(files.read_series(data).values, *cut)
        return Dataset(values[:, :, 0] if values.shape[2] == 1 else values)
    if data in datasets.names():
        if label is not None:
            raise InputError(f"--label {label}: {data} has its own labels; leave it out")
        return datasets.load(data, split, data_dir)
    source = read_source(data, label, estimator, framing)
    for line in () if told else source.warnings:
        complain(f"{data}: {line}")
    return source.data


def read_source(
    data: str, label: str | None, estimator: Any = None, framing: Framing | None = None, *, mixed: bool = False
) -> Source:
    """Read a file or folder as a model takes it; one that was read already is not read again."""
    if not datasets.is_path(data):
        datasets.load(data)  # no file and no name of one: says which names there are
    if Path(data).is_dir():
        return _read_once(data, label, False, False, (), framing or Framing())
    inner = getattr(estimator, "autoencoder_", estimator)  # a detector's
    several = isinstance(inner, models.MultimodalAutoencoder)
    if several and not hasattr(inner, "feature_names_in_") and Path(data).suffix == ".npz":
        return Source(Dataset(files.read_modalities(data)), [], [])  # type: ignore[arg-type]
    mixed |= several or isinstance(inner, models.TabularAutoencoder)
    text = tuple(inner.schema_.text) if hasattr(inner, "schema_") else ()
    gaps = getattr(inner, "takes_conditions", False)
    return _read_once(data, label, gaps, mixed, text, framing or Framing())


@lru_cache(maxsize=2)
def _read_once(
    data: str, label: str | None, gaps: bool, mixed: bool, text: tuple[str | int, ...], framing: Framing
) -> Source:
    return files.read_source(data, label, gaps=gaps, mixed=mixed, text=text, **framing._asdict())


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
        return [f"steps {start} to {start + cut.window - 1}" for start in starts(data, cut)]
    if isinstance(X, Mapping):
        return [f"row {i}" for i in range(count_rows(X))]
    return _images_of(data, framing) or row_names(X)


def file_column(data: str, framing: Framing | None) -> dict[str, Any]:
    """Return the files of a folder of images, to stand beside its rows; of other data nothing."""
    names = _images_of(data, framing)
    return {} if names is None else {"file": names}


def _images_of(data: str, framing: Framing | None) -> list[str] | None:
    """Return the files that were read of a folder of images; None of other data."""
    if data in datasets.names() or not Path(data).is_dir():
        return None
    return read_source(data, None, None, framing).names


def starts(data: str, cut: Cut) -> np.ndarray:
    """Return the step that each window of a series begins at."""
    return window_starts(len(files.read_series(data).values), *cut)


def count_rows(X: Any) -> int:
    """Return how many rows there are; of several modalities all have as many."""
    return len(next(iter(X.values()))) if isinstance(X, Mapping) else len(X)


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some of the rows."""
    if isinstance(X, Mapping):
        return {name: values[rows] for name, values in X.items()}
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
