"""One self-contained page about a model, or about several."""

import importlib.resources
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder
from sklearn.decomposition import PCA

from isthmus.atomic import replacing
from isthmus.compare import HIGHER_IS_BETTER, LOWER_IS_BETTER, Comparison, comparison_cells
from isthmus.data.rows import to_rows
from isthmus.evaluation.error import corrupted, mean_squared_error
from isthmus.models import SequenceAutoencoder, TabularAutoencoder
from isthmus.models.conditional import told
from isthmus.report.images import is_image, reconstruction_rows, sprite, weight_images
from isthmus.report.plots import code_map, training_curves
from isthmus.report.sequences import sequence_pictures
from isthmus.report.tables import table_pictures
from isthmus.report.uses import Picture, uses

MAP_ROWS, FEWEST_ROWS = 800, 3
"""Rows on a map of codes; fewer than the latter have none."""

SHEET_COLUMNS = 40
"""Thumbnails in a line of the sheet that the page cuts them from."""

SHOWN_ROWS = 10
"""Rows whose reconstructions are shown."""

MOST_WEIGHTS = 32
"""Units whose weights are shown."""

MEANINGS = {
    "mse": "squared error an entry on test rows, mean ± standard deviation over seeds",
    "share_of_pca": "that error as a share of the error of PCA with as many components",
    "mse_corrupted": "squared error of clean test rows rebuilt from the same corrupted input",
    "linear_probe": "accuracy of logistic regression on the codes",
    "nearest_neighbour": "accuracy of the nearest training code's label",
    "sparsity": "Hoyer's measure of the code, 0 (all units alike) to 1 (one unit alone)",
    "jacobian": "mean ‖∂h/∂x‖: how much the code moves with its input, in the code's own units",
    "parameters": "numbers that were learnt",
    "seconds": "time to fit",
}


def comparison_page(comparison: Comparison, title: str) -> str:
    """Return the page about a comparison: table, reconstructions from clean and corrupted rows, a section a model."""
    shown, broken = comparison.X_test[:SHOWN_ROWS], comparison.corrupted_test[:SHOWN_ROWS]
    models = comparison.models
    clean = {"input": shown} | {name: model.reconstruct(shown) for name, model in models.items()}
    from_corrupted = {"input": shown, "corrupted": broken}
    from_corrupted |= {name: model.reconstruct(broken) for name, model in models.items()}
    pictures = [
        Picture("Reconstructions", "Test rows, and what each model makes of them.", reconstruction_rows(clean)),
        Picture(
            "Reconstructions from the same corrupted rows",
            f"Every model is shown the same corrupted rows ({comparison.corruption}) and held against the clean ones.",
            reconstruction_rows(from_corrupted),
        ),
    ]
    sections = [_section(name, model, comparison.X_test, comparison.y_test) for name, model in models.items()]
    summary = f"{len(models)} models, {len(comparison.X_test):,} test rows of shape {_times(shown.shape[1:])}."
    return _page(title, summary, pictures, sections, comparison.X_test, _table(comparison.table))


def model_page(model: Any, X: Any, y: np.ndarray | None, title: str) -> str:
    """Return the page about one fitted autoencoder, seen on the rows X, which may have gaps, with labels y.

    A conditional model is told the labels.
    """
    pictures = _own_pictures(model, X)
    if pictures is not None:
        name = type(model).__name__
        summary = f"{name} with {model.n_components} components, on the {len(X):,} rows here."
        return _page(title, summary, pictures, [_section(name, model, X, y)], None, None)
    X = to_rows(X, allow_nan=True)
    if X[0].size == model.n_features_in_:
        X = X.reshape(-1, *model.row_shape_)  # images in a table are images again
    with warnings.catch_warnings():
        # X was a frame perhaps, when the model was fitted; here it is pictures and numbers.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        return _model_page(model, X, y, title)


def _own_pictures(model: Any, X: Any) -> list[Picture] | None:
    """Return the pictures of rows that are no plain arrays of numbers; None for those that are."""
    if isinstance(model, SequenceAutoencoder):
        return sequence_pictures(model, X)
    if isinstance(model, TabularAutoencoder) and isinstance(X, pd.DataFrame):
        return table_pictures(model, X)
    return None


def _model_page(model: Any, X: np.ndarray, y: np.ndarray | None, title: str) -> str:
    rebuilt, known = model.reconstruct(X, **told(model, y)), ~np.isnan(X)
    rows = {"input": X[:SHOWN_ROWS]}
    if model.corruption is not None:
        rows["corrupted"] = corrupted(rows["input"], model.corruption, model.corruption_level)
        rows["from corrupted"] = model.reconstruct(rows["corrupted"], **told(model, y, slice(SHOWN_ROWS)))
    rows["reconstruction"] = rebuilt[:SHOWN_ROWS]
    picture = Picture("Reconstructions", "Rows, and what the model makes of them.", reconstruction_rows(rows))
    name = type(model).__name__
    summary = (
        f"{name} with {model.n_components} components; squared error an entry "
        f"{mean_squared_error(X[known], rebuilt[known]):.4g} on the {len(X):,} rows here."
    )
    section = _section(name, model, X, y, told(model, y, slice(MAP_ROWS)))
    return _page(title, summary, [picture, *uses(model, X, y)], [section], X, None)


def write_page(page: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(
    name: str, model: Any, X: Any, y: np.ndarray | None, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Collect what the page says about one model; `known` is what it is told of the rows on the map."""
    rows = X[:MAP_ROWS]
    baseline = isinstance(model, PCA)
    codes = model.transform(rows, **(known or {}))
    return {
        "name": name,
        "description": "scikit-learn's PCA" if baseline else " ".join(repr(model).split()),
        "facts": _facts(model),
        "curves": None if baseline else training_curves(model.history_, model.start_),
        "weights": _weights(model, X),
        "map": None if len(rows) < FEWEST_ROWS else code_map(codes, None if y is None or y.ndim > 1 else y[:MAP_ROWS]),
    }


def _weights(model: Any, X: Any) -> str | None:
    """Draw the weights with which units see a row, where a row is a plain array of numbers."""
    if isinstance(model, PCA | SequenceAutoencoder) or not isinstance(X, np.ndarray):
        return None
    return weight_images(model.module_, X.shape[1:], _most_units(model))


def _facts(model: Any) -> str:
    """Say what was found of a code that is a distribution, and of the likelihood's σ; of others there is nothing."""
    facts = []
    if hasattr(model, "active_units_"):
        facts.append(f"{model.active_units_} of {model.n_components} units are active")
    if getattr(model, "sigma", 1.0) != 1.0 and hasattr(model, "sigma_"):
        facts.append(f"σ = {model.sigma_:.3g} in the units of the rows{', learnt' if model.sigma == 'learned' else ''}")
    return "; ".join(facts)


def _most_units(model: Any) -> int:
    """Return how many units' weights are shown: of a Gaussian code those of the means, which come first."""
    return min(MOST_WEIGHTS, model.n_components) if hasattr(model, "active_units_") else MOST_WEIGHTS


def _table(table: pd.DataFrame) -> dict[str, Any]:
    """Format the comparison, and mark the best of each measure that has a best."""
    best = {name: table[name].min() for name in LOWER_IS_BETTER if name in table}
    best |= {name: table[name].max() for name in HIGHER_IS_BETTER if name in table}
    cells = comparison_cells(table)
    lines = [
        (model, [(cells.loc[model, name], table.loc[model, name] == best.get(name)) for name in cells.columns])
        for model in cells.index
    ]
    return {"columns": [(name.replace("_", " "), MEANINGS[name]) for name in cells.columns], "lines": lines}


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _page(
    title: str,
    summary: str,
    pictures: Sequence[Picture],
    sections: list[dict[str, Any]],
    X: np.ndarray | None,
    table: Mapping[str, Any] | None,
) -> str:
    thumbnails = None
    if X is not None and is_image(X.shape[1:]):
        rows = X[:MAP_ROWS]
        height, width = rows.shape[-2:]
        sheet = sprite(rows, SHEET_COLUMNS)
        thumbnails = {"sheet": sheet, "columns": SHEET_COLUMNS, "height": height, "width": width}
    plots = {
        f"{kind}-{i}": section[kind]
        for i, section in enumerate(sections)
        for kind in ("curves", "map")
        if section[kind] is not None
    }
    template = importlib.resources.files("isthmus.report").joinpath("template.html").read_text(encoding="utf-8")
    # "</" would end the script that the JSON stands in.
    return (
        jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        .from_string(template)
        .render(
            title=title,
            summary=summary,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            pictures=pictures,
            sections=sections,
            table=table,
            thumbnails=json.dumps(thumbnails),
            plots=json.dumps(plots, cls=PlotlyJSONEncoder).replace("</", "<\\/"),
            plotly=get_plotlyjs(),
        )
    )
