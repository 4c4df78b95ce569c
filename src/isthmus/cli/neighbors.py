"""`isthmus neighbors`: the rows nearest to others by their codes."""

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.cli.console import say
from isthmus.cli.on_disk import codes_of, comes_from_disk, on_disk
from isthmus.cli.options import RowsOptions
from isthmus.cli.parsing import parse_rows
from isthmus.cli.results import draw
from isthmus.cli.saved import ready, say_warnings, shaped, used
from isthmus.errors import InputError
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.formats.labels import are_classes, spread_order
from isthmus.runs import Run, take_rows, why_on_disk
from isthmus.sources import files
from isthmus.sources.dataset import Read
from isthmus.sources.endings import WRITABLE, check_apart
from isthmus.threads import suited_to


class _Queries(NamedTuple):
    """The rows whose neighbours are sought.

    Attributes
    ----------
    run : Run
        What they are of, and are called by.
    rows : ndarray of int
        Which of its rows they are.
    X : rows
        They are None where the rows come from disk.
    y : ndarray or None
        Their labels.
    codes : ndarray of shape (n, n_components)
    own : ndarray of int or None
        The same as `rows`, where they are rows of what is searched.
    """

    run: Run
    rows: np.ndarray
    X: "Read | None"
    y: np.ndarray | None
    codes: np.ndarray
    own: np.ndarray | None


@suited_to(0, blas=True)
def neighbors(options: RowsOptions, output: Path, query: str | None, k: int, *, formulas: bool) -> None:
    """Write which rows have the codes nearest to those of the queries."""
    run = _on_disk(options, output) if comes_from_disk(options) else used(options, "transform", output, pictures=True)
    codes, y = codes_of(run)
    asked = _queries(run, codes, y, query)
    index, distance = nearest_by_code(codes, asked.codes, k, asked.own)
    if output.suffix == ".png":
        from isthmus.report.images import grid_png

        assert asked.X is not None
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
    share = None if y is None or asked.y is None else _share_alike(y, index, asked.y)
    if share is not None:
        say(f"{share:.1%} of the neighbours have the label of their query")


def _on_disk(options: RowsOptions, output: Path) -> Run:
    """Return a run on rows that come from disk; its codes are what is searched, and these are in memory."""
    if output.suffix == ".png":
        raise InputError(f"cannot draw {output}: the rows are on disk; give a name that ends in {', '.join(WRITABLE)}")
    check_apart(output, Path(options.data))
    return on_disk(options, ready(options.run, output, "transform"))


def _queries(run: Run, codes: np.ndarray, y: np.ndarray | None, query: str | None) -> _Queries:
    """Return the rows that are named, or ten of them; or those of other data."""
    if query is None or re.fullmatch(r"[\d, ]*", query):
        own = spread_order(len(codes), y)[:10] if query is None else parse_rows("--query", query, len(codes))
        rows = None if run.stream else take_rows(run.X, own)
        return _Queries(run, own, rows, None if y is None else y[own], codes[own], own)
    is_series = run.windowing is not None
    other = replace(run, data=query, stream=not is_series and why_on_disk(query, asked=False) is not None)
    if not other.stream:
        say_warnings(other)
    found, labels = codes_of(other)
    return _Queries(other, np.arange(len(found)), None if other.stream else other.X, labels, found, None)


def _share_alike(y: np.ndarray, index: np.ndarray, asked: np.ndarray) -> float | None:
    """Return how many of the neighbours have the label of their query, where both are known; None without classes."""
    if y.ndim > 1 or asked.ndim > 1 or not are_classes(y[~pd.isna(y)]):
        return None
    both = ~pd.isna(y)[index] & ~pd.isna(asked)[:, None]
    return float((y[index] == asked[:, None])[both].mean()) if both.any() else None
