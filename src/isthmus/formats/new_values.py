"""What is said of values that no row had at fit."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from isthmus.errors import NewCategoryWarning, warn_caller
from isthmus.formats.columns import Cell, Column
from isthmus.formats.kinds import RARE
from isthmus.formats.schema import Schema

COMMON = 0.01
"""Share of further rows that a category is in, to be told of where it was rare in the first."""


def warn_of_new_categories(
    schema: Schema, table: pd.DataFrame, new: np.ndarray, told_of: Collection[str | int] = ()
) -> frozenset[str | int]:
    """Warn where rows hold categories that those of ``fit`` did not.

    Parameters
    ----------
    schema : Schema
    table : DataFrame of shape (n, columns)
    new : ndarray of bool, of shape (n, cells)
        Which cells are such categories.
    told_of : collection, default ()
        Columns of which nothing is said any more.

    Returns
    -------
    frozenset
        The columns that were told of, now or before.
    """
    told = set(told_of)
    for cell, is_new in zip(schema.cells, new.T, strict=True):
        name = cell.column.name
        if is_new.any() and name not in told:
            told.add(name)
            warn_caller(_of_new(cell, table[name][is_new]), NewCategoryWarning)
    return frozenset(told)


def _of_new(cell: Cell, values: pd.Series) -> str:
    name, held = cell.column.name, f"holds {str(values.iloc[0])!r} in {len(values):,} row{'s'[: len(values) > 1]}"
    if cell.part is not None:
        return f"column {name!r} {held}, a {cell.part} that no row had at fit and of which the model knows nothing"
    return f"column {name!r} {held}, which was not there at fit and of which the model knows nothing; {_cure(name)}"


def _cure(name: object) -> str:
    return f"to learn it begin anew, with kinds={{{name!r}: [all its categories]}} or with rows that hold them all"


def warn_of_frequent(schema: Schema, table: pd.DataFrame, told_of: Collection[str | int]) -> frozenset[str | int]:
    """Warn where many further rows hold a category that was rare in the first, and is one with all that were."""
    told, read = set(told_of), schema.read(schema.with_left_out(table))
    for column in schema.columns:
        value, n = most_frequent_rare(column, read[column.name])
        if n >= max(RARE, COMMON * len(table)) and column.name not in told:
            told.add(column.name)
            held = f"column {column.name!r} holds {str(value)!r} in {n:,} rows, which was rare or not there at fit"
            warn_caller(f"{held}, and is one of the rare ones; {_cure(column.name)}", NewCategoryWarning)
    return frozenset(told)


def most_frequent_rare(column: Column, values: pd.Series) -> tuple[object, int]:
    """Return which of the values that are pooled is in most rows, and in how many."""
    if not column.n_pooled:
        return None, 0
    values = column.as_at_fit(values)
    counts = values[~values.isin(column.categories)].value_counts()
    return (counts.index[0], int(counts.iloc[0])) if len(counts) else (None, 0)
