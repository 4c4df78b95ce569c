"""Results on their way to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isthmus.atomic import replacing
from isthmus.cli.console import console
from isthmus.cli.rows import Cut
from isthmus.data import files
from isthmus.data.series import on_time_axis
from isthmus.report.words import listed


def write_rows(output: Path, values: Any, columns: list[str], first: dict[str, Any] | None = None) -> None:
    """Write rows, a DataFrame as it is; in a table of named columns some others stand first.

    Of several modalities each has its columns.
    """
    if isinstance(values, Mapping):
        values = _side_by_side(values)
    if isinstance(values, pd.DataFrame):
        files.write_table(output, pd.concat([pd.DataFrame(first), values], axis=1) if first else values)
    elif output.suffix == ".npy" or not first:
        files.write(output, values, columns)
    else:
        rows = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
        files.write_table(output, pd.concat([pd.DataFrame(first), rows], axis=1))
    console.print(f"{len(values):,} rows: {output}", soft_wrap=True)


def _side_by_side(values: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Bring modalities into one table: columns go by the modality's name, and a number where it has several."""
    columns: dict[str, np.ndarray] = {}
    for name, rows in values.items():
        flat = rows.reshape(len(rows), -1)
        columns |= {name if flat.shape[1] == 1 else f"{name}_{i}": flat[:, i] for i in range(flat.shape[1])}
    return pd.DataFrame(columns)


def write_steps(output: Path, values: np.ndarray, data: str, cut: Cut, total: str | None = None) -> None:
    """Write what was said of the steps of windows on the series' own time axis, perhaps as a total over features."""
    series = files.read_series(data)
    values = values.reshape(*values.shape[:2], -1)
    columns = [total] if total else series.names
    steps = on_time_axis(values.sum(2, keepdims=True) if total else values, len(series.values), cut.stride)
    table = pd.DataFrame(steps, columns=columns)
    timed = series.time is not None and output.suffix != ".npy"  # an array holds numbers alone
    files.write_table(output, pd.concat([series.time, table], axis=1) if timed else table)
    console.print(f"{len(steps):,} steps: {output}", soft_wrap=True)
    if total:
        console.print(f"mean {np.nanmean(steps):.5g} nats, lowest {np.nanmin(steps):.5g} in row {np.nanargmin(steps)}")


def draw(output: Path, png: bytes, names: Sequence[str] = (), rows: np.ndarray | None = None) -> None:
    """Write a picture, and say which rows are on it."""
    with replacing(output) as temporary:
        temporary.write_bytes(png)
    shown = "" if rows is None else f", of {listed([names[i] for i in rows], len(rows))}"
    console.print(f"picture: {output}{shown}", soft_wrap=True)
