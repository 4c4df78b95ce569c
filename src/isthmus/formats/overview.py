"""What was understood of a table, in a few lines for people."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from isthmus.errors import shown
from isthmus.formats import dates
from isthmus.formats.columns import PLURAL, Column
from isthmus.formats.names import few
from isthmus.formats.scaling import Asinh
from isthmus.formats.schema import Schema

MOST_NAMED = 12
"""Columns of a kind that are named."""


def table_overview(schema: Schema, table: pd.DataFrame) -> list[str]:
    r"""Say what the columns of a table are taken for, what is missing, and what is left out and why.

    Returns
    -------
    list of str
        A line each.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [31, 40, 52], "city": ["Oslo", "?", "Oslo"]})
    >>> print(*table_overview(Schema.learn(table), table), sep="\n")
    3 rows, 2 columns
    numbers: age (31 to 52)
    categories: city (1)
    missing: 1 cell of city ('?')
    """
    lines = [f"{_counted(len(table), 'row')}, {_counted(len(schema.names), 'column')}"]
    compressed = _compressed(schema)
    tell: dict[str, Callable[[Column], str]] = {
        "number": lambda column: _range(column, column.name in compressed),
        "boolean": lambda column: "",
        "category": lambda column: (
            f"{len(column.categories):,}" + (f" and {column.n_pooled:,} rare ones as one" if column.n_pooled else "")
        ),
        "date": _dates,
    }
    for kind, plural in PLURAL.items():
        told = [_named(column.name, tell[kind](column)) for column in schema.columns if column.kind == kind]
        if told:
            lines.append(f"{plural}: {_few(told)}")
    missing = _missing(schema, table)
    if missing:
        lines.append(f"missing: {_few(missing)}")
    if schema.left_out:
        lines.append(f"left out: {_few([_named(name, reason) for name, reason in schema.left_out.items()])}")
    return lines


def worth_a_warning(schema: Schema) -> list[str]:
    """Say what was taken for missing, and which columns are left out without having been asked for, in a line each."""
    lines = []
    marked = {column.name: column.marks for column in schema.columns if column.marks}
    if marked and schema.na_values is None:
        marks = sorted({mark for marks in marked.values() for mark in marks})
        lines.append(
            f"{few(marks)} in {_columns(list(marked))} is taken for missing: na_values=[] takes it for what it says"
        )
    reasons: dict[str, list[str | int]] = {}
    for name, reason in schema.left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        if reason != "as asked":
            verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
            lines.append(
                f"{_columns(names)} {verb} left out, as {reason}: kinds={{{names[0]!r}: 'category'}} keeps one, "
                f"drop={names!r} leaves {them} out without a word"
            )
    return lines


def _columns(names: list[str | int]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {few(names)}"


def _compressed(schema: Schema) -> set[str | int]:
    names = [cell.column.name for cell in schema.cells if cell.kind == "number"]
    step = schema.steps[0] if schema.steps else None
    return {name for name, width in zip(names, step.width_, strict=True) if width} if isinstance(step, Asinh) else set()


def _range(column: Column, is_compressed: bool) -> str:
    if column.low is None or column.high is None:
        return ""
    tail = ", long tail compressed" if is_compressed else ""
    return f"{_number(column.low)} to {_number(column.high)}{tail}"


def _dates(column: Column) -> str:
    ends = pd.to_datetime([round(end * dates.DAY) for end in (column.low, column.high) if end is not None], unit="us")
    at = [str(end.date() if column.unit == "D" else end) for end in ends]
    written = f", written {column.format}" if column.format else ""
    parts = f"; {', '.join(column.parts)}" if column.parts else ""
    return f"{at[0]} to {at[1]}{written}{parts}"


def _missing(schema: Schema, table: pd.DataFrame) -> list[str]:
    """Say how many cells of each column are missing, and what stands for them."""
    counts = zip(schema.columns, schema.missing(table).sum(axis=0), strict=True)
    return [
        f"{_counted(count, 'cell')} of {shown(column.name)}"
        + (f" ({', '.join(map(repr, column.marks))})" if column.marks else "")
        for column, count in counts
        if count
    ]


def _named(name: str | int, what: str) -> str:
    name = shown(name)
    return f"{name} ({what})" if what else name


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == np.rint(value) and abs(value) < 1e15 else f"{value:.6g}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _few(told: list[str]) -> str:
    more = len(told) - MOST_NAMED
    return ", ".join(told[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
