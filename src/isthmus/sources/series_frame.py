"""A table of series, as people hand it over, as a frame: its numbers, and its groups."""

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.api.types import is_string_dtype

from isthmus.errors import InputError


def frame_of_array(array: ArrayLike) -> pd.DataFrame:
    """Return an array of shape (n_steps,) or (n_steps, features) as a frame."""
    values = np.asarray(array, dtype=float)
    if values.ndim not in (1, 2):
        raise InputError(f"the series has the shape {values.shape}: give (n_steps,) or (n_steps, features)")
    values = values.reshape(len(values), -1)
    return pd.DataFrame(values, columns=[f"x_{i}" for i in range(values.shape[1])])


def coded(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return groups as numbers and as text, in an order that is not that of the rows."""
    codes, levels = pd.factorize(column)
    ordered = sorted(range(len(levels)), key=lambda i: _rank(levels[i]))
    place = np.empty(len(levels) + 1, int)
    place[ordered] = np.arange(len(levels))
    place[-1] = -1  # what is blank
    return place[codes], [str(levels[i]) for i in ordered]


def _rank(level: object) -> tuple[bool, float, str]:
    return not isinstance(level, numbers.Real), float(level) if isinstance(level, numbers.Real) else 0.0, str(level)


def framed(table: Any) -> pd.DataFrame:
    """Return a table as a frame of pandas, an index of dates as a column."""
    if isinstance(table, pd.Series):
        table = table.to_frame(table.name or "value")
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    if isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)):
        frame = frame.reset_index(names=str(frame.index.name or ("time of the row" if "time" in frame else "time")))
    else:
        frame = frame.reset_index(drop=not isinstance(frame.index, pd.MultiIndex))
    frame.columns = [str(name) for name in frame.columns]
    exact = [name for name in frame if isinstance(next(iter(frame[name].dropna()), None), Decimal)]
    texts = [name for name in frame if isinstance(frame[name].dtype, pd.ArrowDtype) and is_string_dtype(frame[name])]
    # pd.to_numeric makes NaN of Arrow's texts that are no numbers, and says that it is known.
    return frame.astype(dict.fromkeys(exact, float) | dict.fromkeys(texts, object))


def measured_in(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return columns of numbers; raise ValueError where one is infinite."""
    values: np.ndarray = frame[list(names)].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"column {names[column]!r} holds infinity in row {row}; leave it blank")
    return values
