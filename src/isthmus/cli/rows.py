"""DATA: its rows, and what they are called."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus import models, runs
from isthmus.data import datasets, files
from isthmus.data.datasets import Dataset
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
        values = windows(files.read_series(data).values, *cut)
        return Dataset(values[:, :, 0] if values.shape[2] == 1 else values)
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
        return [f"steps {start} to {start + cut.window - 1}" for start in starts(data, cut)]
    if Path(data).is_dir() and data not in datasets.names():
        return [path.relative_to(data).as_posix() for path in files.image_paths(Path(data))]
    return row_names(X)


def file_column(data: str) -> dict[str, Any]:
    """Return the files of a folder of images, to stand beside its rows; of other data nothing."""
    is_folder = Path(data).is_dir() and data not in datasets.names()
    return {"file": names_of(data, None, None)} if is_folder else {}


def starts(data: str, cut: Cut) -> np.ndarray:
    """Return the step that each window of a series begins at."""
    return window_starts(len(files.read_series(data).values), *cut)


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some of the rows."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]
