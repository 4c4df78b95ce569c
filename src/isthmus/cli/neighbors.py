"""`isthmus neighbors`: the rows nearest to others by their codes."""

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.cli.console import say
from isthmus.cli.options import RowsOptions
from isthmus.cli.parsing import parse_rows
from isthmus.cli.results import draw
from isthmus.cli.saved import say_warnings, shaped, used
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.formats.labels import are_classes, spread_order
from isthmus.runs import Run, take_rows
from isthmus.sources import files
from isthmus.sources.dataset import Read
from isthmus.threads import suited_to


class _Queries(NamedTuple):
    """The rows whose neighbours are sought.

    Attributes
    ----------
    run : Run
        What they are of, and are called by.
    rows : ndarray of int
        Which of its rows they are.
    X, y : rows and labels
    codes : ndarray of shape (n, n_components)
    own : ndarray of int or None
        The same as `rows`, where they are rows of what is searched.
    """

    run: Run
    rows: np.ndarray
    X: Read
    y: np.ndarray | None
    codes: np.ndarray
    own: np.ndarray | None


@suited_to(0, blas=True)
def neighbors(options: RowsOptions, output: Path, query: str | None, k: int, *, formulas: bool) -> None:
    """Write which rows have the codes nearest to those of the queries."""
    run = used(options, "transform", output, pictures=True)
    codes = run.estimator.transform(run.X, **run.conditions)
    asked = _queries(run, codes, query)
    index, distance = nearest_by_code(codes, asked.codes, k, asked.own)
    if output.suffix == ".png":
        from isthmus.report.images import grid_png

        shape = run.estimator.row_shape_
        lines = np.concatenate([shaped(run.estimator, asked.X)[:, None], shaped(run.estimator, run.X)[index]], axis=1)
        draw(output, grid_png(lines.reshape(-1, *shape), k + 1), asked.run.names, asked.rows)
    else:
        table = {"row": asked.run.starts[asked.rows]}
        table |= {f"neighbour_{i + 1}": run.starts[index[:, i]] for i in range(k)}
        table |= {f"distance_{i + 1}": distance[:, i] for i in range(k)}
        if run.files is not None:
            table |= {f"file_{i + 1}": np.array(run.files)[index[:, i]] for i in range(k)}
        files.write_table(output, pd.DataFrame(table), formulas=formulas)
        say(f"{len(asked.codes):,} rows: {output}")
    share = None if run.y is None or asked.y is None else _share_alike(run.y, index, asked.y)
    if share is not None:
        say(f"{share:.1%} of the neighbours have the label of their query")


def _queries(run: Run, codes: np.ndarray, query: str | None) -> _Queries:
    """Return the rows that are named, or ten of them; or those of other data."""
    if query is None or re.fullmatch(r"[\d, ]*", query):
        own = spread_order(len(codes), run.y)[:10] if query is None else parse_rows("--query", query, len(codes))
        return _Queries(run, own, take_rows(run.X, own), None if run.y is None else run.y[own], codes[own], own)
    other = replace(run, data=query)
    say_warnings(other)
    found = run.estimator.transform(other.X, **other.conditions)
    return _Queries(other, np.arange(len(found)), other.X, other.y, found, None)


def _share_alike(y: np.ndarray, index: np.ndarray, asked: np.ndarray) -> float | None:
    """Return how many of the neighbours have the label of their query, where both are known; None without classes."""
    if y.ndim > 1 or asked.ndim > 1 or not are_classes(y[~pd.isna(y)]):
        return None
    both = ~pd.isna(y)[index] & ~pd.isna(asked)[:, None]
    return float((y[index] == asked[:, None])[both].mean()) if both.any() else None
