"""Mixed tables in pictures: how well cells are filled in, and which of them are unusual."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from isthmus.evaluation.error import column_errors
from isthmus.evaluation.imputation import cell_errors, hidden_entries
from isthmus.models import TabularAutoencoder
from isthmus.report.cells import Cell, CellTable, Line, errors_in_words, short, spreads, value_table, worst_columns
from isthmus.report.images import INK, MUTED, figure_uri
from isthmus.report.parts import Parts
from isthmus.report.uses import Picture
from isthmus.report.words import named

SEEN_ROWS = 20_000
"""Rows of a long table that pictures are made of."""

MEASURED_ROWS = 2000
"""Rows over which the errors of what is filled in are taken."""

MOST_COLUMNS, MOST_ROWS = 28, 10
"""Columns that have a bar, or stand in the table of unusual rows, and its rows."""

SHOWN_ROWS, FEWER_ROWS = 6, 3
"""Rows whose reconstructions are shown, of one model, and of several."""

SHARE_HIDDEN = 0.1


def table_pictures(
    model: TabularAutoencoder, X: pd.DataFrame, names: Sequence[str], order: np.ndarray, parts: Parts
) -> list[Picture]:
    """Show what a model makes of a table; rows that are shown or measured are the first of an order."""
    n, told, of_all = len(X), model.schema_.told, ""
    if n > SEEN_ROWS:
        order = order[:SEEN_ROWS]
        X, names, order = X.iloc[order], [names[i] for i in order], np.arange(SEEN_ROWS)
        of_all = f" All is of {SEEN_ROWS:,} of the {n:,} rows, drawn at random."

    def rebuilt() -> Picture:
        return reconstruction_table(told(X), {"rebuilt": told(model.reconstruct(X))}, names, order)

    makers = [
        ("Reconstructions", rebuilt),
        ("Missing cells", lambda: _filled_in(model, X.iloc[order[:MEASURED_ROWS]])),
        ("Most unusual", lambda: _unusual(model, X, names)),
    ]
    return [picture._replace(text=picture.text + of_all) for picture in parts.make_all(makers)]


def reconstruction_table(
    X: pd.DataFrame,
    rebuilt: Mapping[str, pd.DataFrame],
    names: Sequence[str],
    order: np.ndarray,
    corrupted: pd.DataFrame | None = None,
    heading: str = "Reconstructions",
) -> Picture:
    """Lay out the first rows of an order, as they are and as one or more models rebuild them.

    Where models were shown corrupted rows these stand between.
    """
    errors = [column_errors(X, each) for each in rebuilt.values()]
    columns = worst_columns(errors[0].assign(error=np.mean([each.error for each in errors], axis=0)))
    rows = order[: SHOWN_ROWS if len(rebuilt) == 1 else FEWER_ROWS]
    tables = {"true": X} | ({} if corrupted is None else {"corrupted": corrupted}) | dict(rebuilt)
    shown = {name: table[columns].iloc[rows] for name, table in tables.items()}
    foot = errors_in_words(errors[0].loc[columns]) if len(errors) == 1 else []
    laid = value_table([names[i] for i in rows], shown, spreads(X[columns]), foot)
    what = "Rows drawn at random, as they are and below as they are rebuilt"
    if corrupted is not None:
        what = "Rows drawn at random, as they are, as they are corrupted, and below as they are rebuilt from that"
    some = "" if len(columns) == X.shape[1] else f": the {len(columns)} of {X.shape[1]} columns that are rebuilt worst"
    over = " The last line is of all rows." if foot else ""
    return Picture(heading, f"{what}{some}. {MARKS}{over}", None, laid)


MARKS = (
    "Marked: categories that are wrong, and the tenth of the numbers that are furthest off, in standard deviations "
    "(sd) of their column."
)


def _filled_in(model: TabularAutoencoder, X: pd.DataFrame) -> Picture:
    """Hide a tenth of the cells, and draw how far those filled in are from them, a bar a column."""
    truth = model.schema_.told(X)
    hidden = pd.DataFrame(hidden_entries(truth.shape, SHARE_HIDDEN), X.index, truth.columns)
    filled = model.impute(X, hidden.reindex(columns=X.columns, fill_value=False))
    errors = cell_errors(truth, model.schema_.told(filled), hidden.to_numpy()).dropna()
    shares = (errors["error"] / errors["baseline"]).sort_values()[:MOST_COLUMNS]
    figure = Figure(figsize=(6, 0.6 + 0.22 * len(shares)), dpi=110)
    axis = figure.subplots()
    colours = ["#2f6db5" if kind == "number" else "#3a9a5b" for kind in errors.loc[shares.index, "kind"]]
    axis.barh(np.arange(len(shares)), shares, color=colours)
    axis.axvline(1, color=MUTED, linewidth=0.8)
    axis.set_yticks(np.arange(len(shares)), [short(name) for name in shares.index], fontsize=8, color=INK)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=8, colors=MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    text = (
        "A tenth of the cells hidden and filled in: the error as a share of the median's (numbers, blue: root of the "
        "mean squared error) or of the most frequent value's (all others, green: share that is wrong). 1 is no better."
    )
    return Picture("Missing cells", text, figure_uri(figure))


def _unusual(model: TabularAutoencoder, X: pd.DataFrame, names: Sequence[str]) -> Picture:
    shares = model.score_samples(X, per_feature=True)
    rows = np.argsort(model.score_samples(X))[:MOST_ROWS]
    columns = np.sort(np.argsort(shares.iloc[rows].min().fillna(0).to_numpy())[: MOST_COLUMNS // 4])
    cells = shares.iloc[rows, columns]
    told = model.schema_.told(X)[cells.columns].iloc[rows]
    depth = (-cells / max(-np.nanmin(cells), 1e-9)).clip(0, 1).fillna(0)
    lines = [
        (named(names[row]), [Line("", [Cell(short(value), float(d)) for value, d in zip(line, deep, strict=True)])])
        for row, line, deep in zip(rows, told.to_numpy(dtype=object), depth.to_numpy(), strict=True)
    ]
    text = "The rows with the lowest score, and the columns that make them so: the darker a cell, the more unusual."
    return Picture("Most unusual", text, None, CellTable([short(name, 24) for name in told.columns], lines, []))
