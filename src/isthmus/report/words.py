"""How well a model does, in words: the same for the command line and the page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import printable
from isthmus.evaluation.error import column_errors, known_squared_error
from isthmus.formats.containers import plain
from isthmus.formats.rows import to_rows
from isthmus.models import SequenceAutoencoder, TabularAutoencoder
from isthmus.models.base import AbstractAutoencoder, conditions_of

AT_ONCE = 100_000
"""Rows of a table that are rebuilt at once."""


class Error(NamedTuple):
    """What was measured, and the figure."""

    name: str
    figure: str


def error_in_words(model: AbstractAutoencoder, X: Any, y: np.ndarray | None) -> Error:
    """Say how far rows are from what the model makes of them, in the units of the rows, over what is known of them.

    Of a mixed table it is the share of the numbers' variance that is lost, and of the other cells that are right; of
    sequences that are only predicted the log-likelihood of what comes.
    """
    if isinstance(model, TabularAutoencoder) and isinstance(X, pd.DataFrame):
        told_of = model.schema_.told
        parts = [X.iloc[start : start + AT_ONCE] for start in range(0, len(X), AT_ONCE)]
        tables = [told_of(model.reconstruct(part)) for part in parts]
        return Error("rebuilt:", _table_in_words(column_errors(told_of(X), pd.concat(tables))))
    if isinstance(model, SequenceAutoencoder):
        X = X.to_numpy() if isinstance(X, pd.DataFrame) else X
        if not model.reconstruction:
            return Error("log-likelihood of what comes", f"{model.score(X):.4g} nats")
        return Error("squared error an entry", f"{known_squared_error(X, model.reconstruct(X)):.4g}")
    rebuilt = np.asarray(plain(model.reconstruct(X, **conditions_of(model, y))))
    return Error("squared error an entry", f"{known_squared_error(to_rows(X, allow_nan=True), rebuilt):.4g}")


def _table_in_words(errors: pd.DataFrame) -> str:
    numbers, others = (errors.error[errors.kind == kind].dropna() for kind in ("number", "category"))
    parts = [f"{numbers.mean():.1%} of the numbers' variance lost"] if len(numbers) else []
    parts += [f"{1 - others.mean():.1%} of the other cells right"] if len(others) else []
    return " and ".join(parts)


MOST_LETTERS = 60
"""Of a name."""


def named(name: object, most: int = MOST_LETTERS) -> str:
    """Return a name from data as there is room for it, without control characters; of a long one the beginning."""
    text = printable(str(name)[: 2 * most])  # each letter is written as one or more
    return text if len(text) <= most else f"{text[: most - 1]}…"


def in_markup(name: object, most: int = MOST_LETTERS) -> str:
    """Return a name for plotly, which takes some of HTML's tags in texts."""
    return named(name, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def listed(names: Sequence[object], most: int = 10) -> str:
    """Join names by commas, rows that have no name but their number as "rows 3, 17"."""
    shown = [named(name) for name in names[:most]]
    numbered = all(name.startswith("row ") for name in shown)
    text = ", ".join(name.removeprefix("row ") if numbered else name for name in shown)
    return f"{'row' if len(shown) == 1 else 'rows'} {text}" if numbered else text
