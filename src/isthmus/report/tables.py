"""Mixed tables in pictures: how well cells are filled in, and which of them are unusual."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from isthmus.evaluation.imputation import cell_errors, hidden_entries
from isthmus.report.images import INK, MUTED, figure_uri
from isthmus.report.uses import Picture

MEASURED_ROWS = 2000
"""Rows over which the errors of what is filled in are taken."""

MOST_COLUMNS, MOST_ROWS = 28, 10
"""Columns that have a bar, or stand in the table of unusual rows, and its rows."""

SHARE_HIDDEN = 0.1


def table_pictures(model: Any, X: pd.DataFrame) -> list[Picture]:
    """Show what a model makes of a table."""
    return [_filled_in(model, X[:MEASURED_ROWS]), _unusual(model, X)]


def _filled_in(model: Any, X: pd.DataFrame) -> Picture:
    """Hide a tenth of the cells, and draw how far those filled in are from them, a bar a column."""
    hidden = hidden_entries(X.shape, SHARE_HIDDEN)
    errors = cell_errors(X, model.impute(X, hidden), hidden).dropna()
    shares = (errors["error"] / errors["baseline"]).sort_values()[:MOST_COLUMNS]
    figure = Figure(figsize=(6, 0.6 + 0.22 * len(shares)), dpi=110)
    axis = figure.subplots()
    colours = ["#2f6db5" if kind == "number" else "#3a9a5b" for kind in errors.loc[shares.index, "kind"]]
    axis.barh(np.arange(len(shares)), shares, color=colours)
    axis.axvline(1, color=MUTED, linewidth=0.8)
    axis.set_yticks(np.arange(len(shares)), [_short(name) for name in shares.index], fontsize=8, color=INK)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=8, colors=MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    text = (
        "A tenth of the cells hidden and filled in: the error as a share of the median's (numbers, blue: root of the "
        "mean squared error) or of the most frequent value's (all others, green: share that is wrong). 1 is no better."
    )
    return Picture("Missing cells", text, figure_uri(figure))


def _unusual(model: Any, X: pd.DataFrame) -> Picture:
    """Write out the most unusual rows, the cells that make them so marked."""
    shares = model.score_samples(X, per_feature=True)
    rows = np.argsort(np.nansum(shares, axis=1))[:MOST_ROWS]
    columns = np.sort(np.argsort(shares.iloc[rows].min().fillna(0).to_numpy())[: MOST_COLUMNS // 4])
    cells, told = shares.iloc[rows, columns], X.iloc[rows, columns]
    depth = (-cells / max(-np.nanmin(cells), 1e-9)).clip(0, 1).fillna(0)
    figure = Figure(figsize=(0.85 * len(columns) + 0.6, 0.27 * (len(rows) + 1)), dpi=120)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    table = axis.table(
        cellText=[[_short(value) for value in line] for line in told.to_numpy(dtype=object)],
        cellColours=[[(1, 1 - 0.45 * d, 1 - 0.75 * d) for d in line] for line in depth.to_numpy()],
        rowLabels=[f"row {row}" for row in rows],
        colLabels=[_short(name) for name in told.columns],
        loc="center",
        cellLoc="right",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7.5)
    for cell in table.get_celld().values():
        cell.set_edgecolor("#e3e7ee")
        cell.set_text_props(color=INK)
    text = "The rows with the lowest score, and the columns that make them so: the darker a cell, the more unusual."
    return Picture("Most unusual", text, figure_uri(figure))


def _short(value: Any, most: int = 16) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
