"""Results on their way to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from isthmus.cli.console import say
from isthmus.formats.labels import spread_order
from isthmus.runs import Run
from isthmus.saving.atomic import replacing
from isthmus.sources import files
from isthmus.sources.dataset import Read, Table
from isthmus.sources.files import Source
from isthmus.sources.results import in_file_order, side_by_side
from isthmus.sources.timeline import TimeSeries

Column = Sequence[object] | np.ndarray
"""What stands beside rows in a table."""


def write_rows(
    output: Path, values: Read, columns: list[str], first: Mapping[str, Column] | None = None, *, formulas: bool = False
) -> None:
    """Write rows, a DataFrame as it is; in a table of named columns some others stand first.

    Of several modalities each has its columns.
    """
    if isinstance(values, Mapping):
        values = side_by_side(values)
    if isinstance(values, pd.DataFrame):
        files.write_table(
            output, values if output.suffix == ".npy" else _beside(first or {}, values, output), formulas=formulas
        )
    elif output.suffix == ".npy" or not first:
        files.write(output, values, columns, formulas=formulas)
    else:
        rows = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
        files.write_table(output, _beside(first, rows, output), formulas=formulas)
    say(f"{len(values):,} rows: {output}")


def _beside(first: Mapping[str, Column], rows: pd.DataFrame, output: Path) -> pd.DataFrame:
    """Return a table with columns before its own; names of rows go without a name in text, as they come."""
    named = {name or ("" if output.suffix == ".csv" else "row"): values for name, values in first.items()}
    return pd.concat([pd.DataFrame(named, index=rows.index), rows], axis=1)


def as_in_file(rows: Table, source: Source, names: Sequence[str]) -> Table:
    """Return rows that were filled in as a table with their labels among them, in the file's order of columns.

    Parameters
    ----------
    rows : ndarray or DataFrame
    source : Source
        What they were read from.
    names : sequence of str
        Of the entries of rows, where they are an array.
    """
    flat = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows.reshape(len(rows), -1), columns=list(names))
    y = source.data.y
    labels = None if y is None else pd.DataFrame(np.reshape(y, (len(flat), -1)), columns=list(source.labels))
    return in_file_order(flat, labels, list(map(str, source.columns)))


def write_steps(
    output: Path, steps: np.ndarray, series: TimeSeries, total: str | None = None, *, formulas: bool = False
) -> None:
    """Write what was said of each of a series' rows, perhaps as a total over features, beside its time and group."""
    steps = steps.reshape(len(steps), -1)
    if total:
        steps = np.where(np.isnan(steps).all(1), np.nan, np.nansum(steps, axis=1))[:, None]
    table = pd.DataFrame(steps, columns=[total] if total else series.names)
    beside = [column for column in (series.group, series.time) if column is not None]
    is_table = bool(beside) and output.suffix != ".npy"  # an array holds numbers alone
    files.write_table(output, pd.concat([*beside, table], axis=1) if is_table else table, formulas=formulas)
    say(f"{len(steps):,} steps: {output}")
    _say_irregular(series, np.isnan(steps).all(1) & (series.steps >= 0))
    if total:
        say(f"mean {np.nanmean(steps):.5g}, lowest {np.nanmin(steps):.5g} in row {np.nanargmin(steps)}")


def _say_irregular(series: TimeSeries, is_blank: np.ndarray) -> None:
    """Say what of a series was not as it should be, and how many rows nothing is said of."""
    for line in series.irregular:
        say(line)
    if is_blank.any():
        say(f"blank: {is_blank.sum():,} rows, which are in no window that says something of them")


def draw(output: Path, png: bytes, names: Sequence[str] = (), rows: np.ndarray | None = None) -> None:
    """Write a picture, and say which rows are on it."""
    from isthmus.report.words import listed  # the report needs matplotlib and plotly, as few results do

    with replacing(output) as temporary:
        temporary.write_bytes(png)
    shown = "" if rows is None else f", of {listed([names[i] for i in rows], len(rows))}"
    say(f"picture: {output}{shown}")


def draw_beside(output: Path, run: Run, lines: Sequence[np.ndarray]) -> None:
    """Draw images one below the other, some of them, drawn at random over the classes."""
    from isthmus.report import images

    shown = spread_order(len(lines[0]), run.y)[: images.MOST_BESIDE]
    draw(output, images.beside_png(*(line[shown] for line in lines)), run.names, shown)


def say_left_out(run: Run, output: Path) -> None:
    """Say which files have no row in an array, which has no column for their names."""
    if output.suffix == ".npy" and run.files is not None and run.source.left_out:
        say(f"no row in {output}: {', '.join(run.source.left_out)}")
