"""What is known of a table after all of its rows, of which a sample was learnt of first."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from isthmus.formats import kinds as kinds_
from isthmus.formats.scaling import moments_of, with_moments
from isthmus.formats.schema import AT_ONCE, Schema
from isthmus.formats.tally import Moments, ValueCounts


def refined(
    schema: Schema, tables: Iterator[pd.DataFrame], asked: kinds_.Kinds, min_frequency: int | float | None
) -> Schema:
    """Return a schema with the categories, ranges, means and spreads of all rows.

    What a column is, which are left out, how tails are compressed, and what ranks are, stays as the sample has it.

    Parameters
    ----------
    schema : Schema
        Of a sample.
    tables : iterator of DataFrame
        All rows, with the columns of the sample.
    asked, min_frequency
        What columns were asked to be taken for; see :class:`isthmus.TabularAutoencoder`.
    """
    checked = kinds_.check_kinds(asked, list(schema.names))
    counts = {each.name: ValueCounts() for each in schema.columns if each.kind == "category"}
    columns, moments = list(schema.columns), moments_of(schema.steps)
    for table in tables:
        read = schema.read(schema.with_left_out(table))
        columns = [column.widened(read[column.name]) for column in columns]
        for name, its in counts.items():
            times = read[name].value_counts()
            its.add(times[times > 0].to_dict())
        if moments is not None:
            _add_moments(schema, moments, read)
    columns = [
        kinds_.of_counts(each, counts[each.name].times, checked.get(each.name), min_frequency)
        if each.kind == "category"
        else each
        for each in columns
    ]
    steps = schema.steps if moments is None else with_moments(schema.steps, moments)
    return replace(schema, columns=tuple(columns), steps=steps)


def _add_moments(schema: Schema, moments: Moments, read: dict[str | int, pd.Series]) -> None:
    numbers = schema.numbers_of(read)
    for start in range(0, len(numbers[0]), AT_ONCE):
        values = np.stack([column[start : start + AT_ONCE] for column in numbers], axis=1, dtype=float)
        for step in schema.steps[:-1]:
            values = step.transform(values)
        moments.add(values)
