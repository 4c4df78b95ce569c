"""Rows of a table as a table on the page: what they are, what models make of them, and which cells are furthest off."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.evaluation.error import as_numbers, is_number
from isthmus.report.words import named

MOST_COLUMNS = 10
"""Columns that are shown of a table."""

MARKED = 0.1
"""The share of the numbers shown that is marked, those that are furthest off."""


class Cell(NamedTuple):
    """A cell of a table on the page: its text, and how deep its colour is, from 0 to 1."""

    text: str
    depth: float = 0.0


class Line(NamedTuple):
    """A line of such a table: what it is, and its cells."""

    name: str
    cells: list[Cell]


class CellTable(NamedTuple):
    """A table on the page.

    Attributes
    ----------
    columns : list of str
        Their names.
    rows : list of tuple of (str, list of Line)
        Each row's name, and its lines, one below the other.
    foot : list of str
        A last line over all rows; empty where there is none.
    """

    columns: list[str]
    rows: list[tuple[str, list[Line]]]
    foot: list[str]


def worst_columns(errors: pd.DataFrame, most: int = MOST_COLUMNS) -> list[Hashable]:
    """Return the names of the columns to show, in their order: all, or of many those that are rebuilt worst."""
    worst = errors.error.fillna(-1).argsort(kind="stable").to_numpy()[::-1][:most]
    return list(errors.index[np.sort(worst)])


def errors_in_words(errors: pd.DataFrame) -> list[str]:
    """Format each column's error: of numbers the root of the mean squared one in standard deviations, else a share."""
    return [
        "–" if np.isnan(error) else f"{error**0.5:.3g} sd" if kind == "number" else f"{error:.1%} wrong"
        for kind, error in errors[["kind", "error"]].itertuples(index=False)
    ]


def value_table(
    names: Sequence[str], tables: Mapping[str, pd.DataFrame], spread: pd.Series, foot: Sequence[str] = ()
) -> CellTable:
    """Lay the same rows of several tables out, one below the other; the first is the truth.

    Parameters
    ----------
    names : sequence of str
        Each row's.
    tables : mapping of str to DataFrame
        All of the same columns and as many rows; in the first, and in one of corrupted rows, no cell is marked.
    spread : Series
        Each column's standard deviation, in which errors are told to be large; NaN where it is not of numbers.
    foot : sequence of str, optional
        A last line.
    """
    first, *others = tables
    truth = tables[first]
    deep = {name: _furthest(truth, tables[name], spread) for name in others if name != "corrupted"}

    def line(i: int, name: str) -> Line:
        depths = deep[name][i] if name in deep else np.zeros(truth.shape[1])
        values = zip(tables[name].iloc[i].to_numpy(dtype=object), depths, strict=True)
        return Line(named(name), [Cell(short(value), depth) for value, depth in values])

    rows = [(named(row), [line(i, name) for name in tables]) for i, row in enumerate(names)]
    return CellTable([short(name, 24) for name in truth.columns], rows, list(foot))


def _furthest(truth: pd.DataFrame, rebuilt: pd.DataFrame, spread: pd.Series) -> np.ndarray:
    """Return 1 for each category that is wrong and for the tenth of the numbers that are furthest off, else 0."""
    off = np.zeros(truth.shape)
    for j, name in enumerate(truth.columns):
        known = truth[name].notna().to_numpy()
        if is_number(truth[name]):
            error = np.abs(as_numbers(rebuilt[name]) - as_numbers(truth[name]))
            off[:, j] = np.where(known, error / (spread[name] if spread[name] > 0 else np.inf), 0)
        else:
            wrong = rebuilt[name].astype(object).to_numpy() != truth[name].astype(object).to_numpy()
            off[:, j] = np.where(known & wrong, np.inf, 0)
    numbers = off[np.isfinite(off)]
    least = np.quantile(numbers, 1 - MARKED) if len(numbers) else np.inf
    return ((off >= least) & (off > 0)).astype(float)


def spreads(table: pd.DataFrame) -> pd.Series:
    """Return each column's standard deviation, NaN where it holds no numbers."""
    return pd.Series(
        [np.nanstd(as_numbers(table[name])) if is_number(table[name]) else np.nan for name in table],
        index=table.columns,
    )


def short(value: object, most: int = 16) -> str:
    """Return a value as a cell has room for it; a gap as a dash."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.4g}"
    return named(str(value).removesuffix(" 00:00:00"), most)
