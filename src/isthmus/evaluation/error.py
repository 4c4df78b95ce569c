"""How far reconstructions are from rows."""

import numpy as np
import pandas as pd
import torch

from isthmus.core.corruption import CORRUPTIONS, HIDINGS, NOISES, Noise
from isthmus.errors import InputError

AT_ONCE = 2**22
"""Entries whose errors are taken at once."""


def mean_squared_error(rows: np.ndarray, reconstruction: np.ndarray) -> float:
    """Return the squared error of an entry, averaged over rows and entries, in the squared units of the rows."""
    return float(np.square(rows.astype(np.float64) - reconstruction.reshape(rows.shape)).mean())


def known_squared_error(rows: np.ndarray | list[np.ndarray], reconstruction: np.ndarray | list[np.ndarray]) -> float:
    """Return the squared error of an entry that is known, in the squared units of the rows.

    Parameters
    ----------
    rows : ndarray of shape (n, ...), or list of ndarray
        NaN where an entry is not known.
    reconstruction : ndarray or list of ndarray
        As many entries in the same order.
    """
    if isinstance(rows, list):
        rows, reconstruction = (np.concatenate([np.ravel(row) for row in each]) for each in (rows, reconstruction))
    reconstruction = np.reshape(reconstruction, rows.shape)
    if rows.size <= AT_ONCE:
        known = ~np.isnan(rows)
        return mean_squared_error(rows[known], reconstruction[known])
    size, total, n = max(1, AT_ONCE * len(rows) // rows.size), 0.0, 0
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        known = ~np.isnan(rows[part])
        n += int(known.sum())
        total += float(np.square(rows[part][known].astype(np.float64) - reconstruction[part][known]).sum())
    return total / n


def column_errors(table: pd.DataFrame, reconstruction: pd.DataFrame) -> pd.DataFrame:
    """Measure, column by column of a table, how far what was rebuilt is from it; gaps do not count.

    Returns
    -------
    DataFrame
        A line a column: its ``kind``, "number" or "category"; and the ``error``: of numbers the mean squared one as a
        share of the column's variance, of all others the share that is wrong. NaN for a column without known cells, or
        of one number alone.
    """
    lines = [_column_error(table[name], reconstruction[name]) for name in table.columns]
    return pd.DataFrame(lines, index=table.columns, columns=["kind", "error"])


def _column_error(truth: pd.Series, rebuilt: pd.Series) -> tuple[str, float]:
    known = truth.notna().to_numpy()
    if not is_number(truth):
        wrong = truth[known].astype(object).to_numpy() != rebuilt[known].astype(object).to_numpy()
        return "category", float(wrong.mean()) if len(wrong) else np.nan
    values = as_numbers(truth)[known]
    spread = values.var() if len(values) else 0.0
    error = np.square(values - as_numbers(rebuilt)[known]).mean() if spread > 0 else np.nan
    return "number", float(error / spread) if spread > 0 else np.nan


def is_number(column: pd.Series) -> bool:
    """Tell whether a column holds numbers, or moments and durations, which are as good; truth values are none."""
    is_time = column.dtype.kind in "mM"
    return bool(is_time or (pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)))


def as_numbers(column: pd.Series) -> np.ndarray:
    """Return a column of numbers as floats: moments as days since 1970, durations in days; NaN where missing."""
    if column.dtype == np.float64:
        return column.to_numpy()
    if column.dtype.kind not in "mM":
        return column.to_numpy(dtype=float, na_value=np.nan)
    days = column.to_numpy().astype(f"{column.dtype.kind}8[us]").astype(np.int64) / 86_400e6
    return np.where(column.isna(), np.nan, days)


def corrupted(rows: np.ndarray, corruption: str | Noise, level: float, seed: int = 0) -> np.ndarray:
    """Corrupt rows once, for every model to be measured on the same ones; parameters as those of the estimators.

    What ``masking`` and ``block`` hide is NaN, which every model takes for missing, as in training.
    """
    if not callable(corruption) and corruption not in CORRUPTIONS:
        raise InputError(f"unknown corruption {corruption!r}: give one of {', '.join(CORRUPTIONS)}")
    x, generator = torch.tensor(rows), torch.Generator().manual_seed(seed)
    if callable(corruption):
        x = corruption(x, generator=generator)
    elif corruption in NOISES:
        x = NOISES[corruption](x, level, generator)
    else:
        shown = HIDINGS[corruption](x, None, level, generator)
        x = x if shown is None else x.masked_fill(~shown, torch.nan)
    return np.asarray(x.numpy())
