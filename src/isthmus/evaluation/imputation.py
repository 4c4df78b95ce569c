"""How well hidden entries are filled in."""

import numpy as np
import pandas as pd
import torch

from isthmus.core.corruption import HIDINGS
from isthmus.errors import InputError
from isthmus.evaluation.error import as_numbers, is_number, mean_squared_error


def hidden_entries(shape: tuple[int, ...], share: float, *, block: bool = False, seed: int = 0) -> np.ndarray:
    """Mark a share of the entries of rows of that shape, each on its own, or a rectangle (a run) of each row.

    A pixel is hidden in all of its colours.

    Returns
    -------
    ndarray of bool, of that shape
    """
    if not 0 < share < 1:
        raise InputError(f"a share of {share:g} cannot be hidden: give one between 0 and 1")
    generator = torch.Generator().manual_seed(seed)
    one_colour = (shape[0], 1, *shape[2:]) if len(shape) == 4 else shape
    shown = HIDINGS["block" if block else "masking"](torch.empty(one_colour), None, share, generator)
    assert shown is not None, "a share above 0 is hidden"
    return np.broadcast_to(~shown.numpy(), shape)


def imputation_errors(
    rows: np.ndarray, filled: np.ndarray, mean: np.ndarray, hidden: np.ndarray
) -> tuple[float, float]:
    """Return the squared error an entry on those that were hidden, of `filled` and of the mean row in their place."""
    hidden = hidden & ~np.isnan(rows)
    means = np.broadcast_to(mean, rows.shape)
    return mean_squared_error(rows[hidden], filled[hidden]), mean_squared_error(rows[hidden], means[hidden])


def cell_errors(table: pd.DataFrame, filled: pd.DataFrame, hidden: np.ndarray) -> pd.DataFrame:
    """Measure, column by column of a mixed table, how far what was filled in is from what was hidden.

    Parameters
    ----------
    table, filled : DataFrame of shape (n, columns)
        The truth, and what was put in the place of hidden cells.
    hidden : ndarray of bool, of shape (n, columns)
        Which cells were hidden; those that are missing from the truth do not count.

    Returns
    -------
    DataFrame
        A line a column: its ``kind``; the ``error``, for a number the root of the mean squared one in its own units,
        else the share that is wrong; and the ``baseline``, the same for the median, or the most frequent value, of
        what was not hidden. NaN where nothing known was hidden.
    """
    lines = [_cell_error(table[name], filled[name], hidden[:, i]) for i, name in enumerate(table.columns)]
    return pd.DataFrame(lines, index=table.columns, columns=["kind", "error", "baseline"])


def _cell_error(truth: pd.Series, filled: pd.Series, hidden: np.ndarray) -> tuple[str, float, float]:
    number = is_number(truth)
    there = truth.notna().to_numpy()
    asked, rest = hidden & there, ~hidden & there
    if not (asked.any() and rest.any()):
        return "number" if number else "category", np.nan, np.nan
    if number:
        values = as_numbers(truth)
        known, told = values[asked], as_numbers(filled)[asked]
        return "number", _rms(known - told), _rms(known - float(np.median(values[rest])))
    words, given = truth[asked].astype(object), filled[asked].astype(object)
    return "category", float((words != given).mean()), float((words != truth[rest].mode()[0]).mean())


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.square(error).mean()))
