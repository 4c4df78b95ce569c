"""One self-contained page about a model, or about several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA

from isthmus.comparison import HIGHER_IS_BETTER, LOWER_IS_BETTER, Comparison, comparison_cells
from isthmus.errors import in_one_line, warnings_as
from isthmus.evaluation.error import corrupted
from isthmus.formats.labels import spread_order
from isthmus.formats.names import row_names
from isthmus.formats.rows import to_rows
from isthmus.models import SequenceAutoencoder, TabularAutoencoder
from isthmus.models.base import AbstractAutoencoder, conditions_of
from isthmus.models.kept import kept_in_words, kept_start, why_start_is_kept
from isthmus.report.cells import short
from isthmus.report.html import rendered
from isthmus.report.images import image_lines, sprite, weight_images
from isthmus.report.parts import Parts
from isthmus.report.plots import BOUND, code_map, training_curves
from isthmus.report.sequences import Sequences, sequence_pictures
from isthmus.report.tables import reconstruction_table, table_pictures
from isthmus.report.uses import Picture, uses
from isthmus.report.words import error_in_words, listed
from isthmus.saving.attributes import JsonObject
from isthmus.sources.dataset import is_image

MAP_ROWS, FEWEST_ROWS = 800, 3
"""Rows on a map of codes; fewer than the latter have none."""

SHEET_COLUMNS = 40
"""Thumbnails in a line of the sheet that the page cuts them from."""

SEEN_ROWS = 2000
"""Rows, drawn at random, that pictures are made of."""

SHOWN_ROWS = 10
"""Rows whose reconstructions are shown."""

FROM_CORRUPTED = "Reconstructions from the same corrupted rows"
SAME_CORRUPTION = "Every model is shown the same corrupted rows ({}) and held against the clean ones."

MOST_DESCRIBED = 4000
"""Letters of a model's description."""

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
    "best_epoch": "the epoch whose weights are kept, a mean over seeds; 0 is the start, PCA",
    "parameters": "numbers that were learnt",
    "seconds": "time to fit",
}


def comparison_page(comparison: Comparison, title: str) -> str:
    """Return the page about a comparison: table, reconstructions from clean and corrupted rows, a section a model."""
    seen = _seen(comparison.X_test, comparison.y_test, comparison.names_test)
    broken, models, parts = comparison.corrupted_test[seen.order], comparison.models, Parts()
    compared = _compared_images if is_image(seen.X.shape[1:]) else _compared_tables
    pictures = parts.make("Reconstructions", lambda: compared(comparison, seen, broken)) or []
    sections = [_section(name, model, seen, seen.y, parts) for name, model in models.items()]
    shape = "×".join(map(str, seen.X.shape[1:]))
    summary = f"{len(models)} models, {len(comparison.X_test):,} test rows of shape {shape}."
    return _page(title, summary, pictures, sections, seen, _table(comparison.table), parts)


Rows = Sequences | pd.DataFrame
"""Rows that a page is about: numbers, a table, or sequences."""


class Seen(NamedTuple):
    """Rows as the page shows them: in an order whose first ones are a fair sight of all.

    Attributes
    ----------
    X : ndarray of shape (n, ...)
        Rows.
    y : ndarray or None
        Their labels.
    names : list of str
        Their names.
    order : ndarray of int
        Where they stood.
    which : str
        What they are, with their number: "800 of the 10,000 test rows".
    """

    X: np.ndarray
    y: np.ndarray | None
    names: list[str]
    order: np.ndarray
    which: str


def _seen(X: np.ndarray, y: np.ndarray | None, names: Sequence[str], which: str = "test rows") -> Seen:
    """Take up to ``SEEN_ROWS`` rows at random, the classes in turn."""
    order = spread_order(len(X), y)[:SEEN_ROWS]
    n = min(len(order), MAP_ROWS)
    words = f"{n:,} {which}" if n == len(X) else f"{n:,} of {len(X):,} {which}, drawn at random"
    return Seen(X[order], None if y is None else y[order], [names[i] for i in order], order, words)


def _compared_images(comparison: Comparison, seen: Seen, broken: np.ndarray) -> list[Picture]:
    models, titles = comparison.models, _column_titles(seen)
    shown, broken = {"input": seen.X[:SHOWN_ROWS]}, broken[:SHOWN_ROWS]
    clean = shown | {name: model.reconstruct(shown["input"]) for name, model in models.items()}
    mended = shown | {"corrupted": broken} | {name: model.reconstruct(broken) for name, model in models.items()}
    text = f"Test rows drawn at random, and what each model makes of them. {_from_left(seen)}"
    return [
        Picture("Reconstructions", text, image_lines([clean], titles)),
        Picture(FROM_CORRUPTED, SAME_CORRUPTION.format(comparison.corruption), image_lines([mended], titles)),
    ]


def _compared_tables(comparison: Comparison, seen: Seen, broken: np.ndarray) -> list[Picture]:
    models, features = comparison.models, comparison.columns
    X, broken = seen.X[:MAP_ROWS], broken[:MAP_ROWS]
    order = np.arange(len(X))
    clean = {name: _framed(model.reconstruct(X), features) for name, model in models.items()}
    mended = {name: _framed(model.reconstruct(broken), features) for name, model in models.items()}
    frame, corrupted_frame = _framed(X, features), _framed(broken, features)
    second = reconstruction_table(frame, mended, seen.names, order, corrupted_frame, FROM_CORRUPTED)
    text = f"{SAME_CORRUPTION.format(comparison.corruption)} {second.text}"
    return [reconstruction_table(frame, clean, seen.names, order), second._replace(text=text)]


def _framed(rows: np.ndarray, names: Sequence[object] | None) -> pd.DataFrame:
    flat = rows.reshape(len(rows), -1)
    return pd.DataFrame(flat, columns=[f"x_{i}" for i in range(flat.shape[1])] if names is None else list(names))


def model_page(
    model: AbstractAutoencoder,
    X: Rows,
    y: np.ndarray | None,
    title: str,
    *,
    which: str = "rows",
    names: Sequence[str] | None = None,
) -> str:
    """Return the page about one fitted autoencoder, seen on rows.

    Parameters
    ----------
    model : estimator
        A fitted autoencoder; a conditional one is told the labels.
    X : array-like, DataFrame or list of arrays
        Rows, which may have gaps.
    y : ndarray or None
        Their labels.
    title : str
        The page's.
    which : str, default "rows"
        What the rows are, as the page shall call them: "test rows", "training rows".
    names : sequence of str, optional
        What each row is called; by default by a frame's index or its column of ids, else "row 17".

    Returns
    -------
    str
        HTML. A part that fails is left out of it, which it says, as does a warning.
    """
    names, parts = row_names(X) if names is None else names, Parts()
    error, kind = error_in_words(model, X, y), type(model).__name__
    summary = f"{kind} with {model.n_components} components; {error.name} {error.figure} on the {len(X):,} {which}."
    pictures = _own_pictures(model, X, y, names, parts)
    if pictures is not None:
        order = spread_order(len(X), y)
        rows = _taken(X, order[:MAP_ROWS])
        words = _seen(np.arange(len(X)), y, names, which).which
        seen = Seen(rows, None if y is None else y[order], [names[i] for i in order], order, words)
        section = _section(kind, model, seen, seen.y, parts)
        return _page(title, summary, pictures, [section], None, None, parts)
    X = to_rows(X, allow_nan=True)
    if X[0].size == model.n_features_in_:
        X = X.reshape(-1, *model.row_shape_)  # images in a table are images again
    # X was a frame perhaps, when the model was fitted; here it is pictures and numbers.
    with warnings_as("ignore", message="X does not have valid feature names"):
        return _model_page(model, _seen(X, y, names, which), title, summary, parts)


def _taken(X: Rows, rows: np.ndarray) -> Any:
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def _own_pictures(
    model: AbstractAutoencoder, X: Rows, y: np.ndarray | None, names: Sequence[str], parts: Parts
) -> list[Picture] | None:
    """Return the pictures of rows that are no plain arrays of numbers; None for those that are."""
    order = spread_order(len(X), y)
    if isinstance(model, SequenceAutoencoder):
        return sequence_pictures(model, X, names, order, parts)
    if isinstance(model, TabularAutoencoder) and isinstance(X, pd.DataFrame):
        return table_pictures(model, X, names, order, parts)
    return None


def _model_page(model: AbstractAutoencoder, seen: Seen, title: str, summary: str, parts: Parts) -> str:
    X, y = seen.X, seen.y
    rebuilt = _rebuilt_images if is_image(X.shape[1:]) else _rebuilt_tables
    pictures = parts.make("Reconstructions", lambda: rebuilt(model, seen)) or []
    pictures += parts.make("Uses", lambda: uses(model, X, y, seen.names, parts)) or []
    section = _section(type(model).__name__, model, seen, y, parts, conditions_of(model, y, slice(MAP_ROWS)))
    return _page(title, summary, pictures, [section], seen, None, parts)


def _rebuilt_images(model: AbstractAutoencoder, seen: Seen) -> list[Picture]:
    first = slice(SHOWN_ROWS)
    mine, rows = conditions_of(model, seen.y, first), {"input": seen.X[first]}
    if model.corruption is not None:
        rows["corrupted"] = corrupted(rows["input"], model.corruption, model.corruption_level)
        rows["from corrupted"] = model.reconstruct(rows["corrupted"], **mine)
    rows["reconstruction"] = model.reconstruct(seen.X[first], **mine)
    text = f"Rows drawn at random, and what the model makes of them. {_from_left(seen)}"
    return [Picture("Reconstructions", text, image_lines([rows], _column_titles(seen)))]


def _rebuilt_tables(model: AbstractAutoencoder, seen: Seen) -> list[Picture]:
    mine, features = conditions_of(model, seen.y), getattr(model, "feature_names_in_", None)
    frame, order = _framed(seen.X, features), np.arange(len(seen.X))
    framed = hasattr(model, "frame_")  # what comes back for a frame keeps to the ranges that its columns had

    def rebuilt(rows: np.ndarray, in_frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"rebuilt": _framed(np.asarray(model.reconstruct(in_frame if framed else rows, **mine)), features)}

    pictures = [reconstruction_table(frame, rebuilt(seen.X, frame), seen.names, order)]
    if model.corruption is not None:
        broken = corrupted(seen.X, model.corruption, model.corruption_level)
        broken_frame = _framed(broken, features)
        mended = rebuilt(broken, broken_frame)
        pictures.append(reconstruction_table(frame, mended, seen.names, order, broken_frame, FROM_CORRUPTED))
    return pictures


def _column_titles(seen: Seen) -> list[str]:
    """Return the classes of the rows that are shown, to stand above them; nothing where there are none."""
    if seen.y is None or seen.y.ndim > 1 or seen.y.dtype.kind == "f":
        return []
    return [short(label, 8) for label in seen.y[:SHOWN_ROWS]]


def _from_left(seen: Seen) -> str:
    return f"From the left: {listed(seen.names[:SHOWN_ROWS])}."


def _section(
    name: str,
    model: BaseEstimator,
    seen: Seen,
    y: np.ndarray | None,
    parts: Parts,
    known: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Collect what the page says about one model; `known` is what it is told of the rows on the map."""
    rows = _taken(seen.X, np.arange(min(len(seen.X), MAP_ROWS)))
    baseline = isinstance(model, PCA)
    labels = None if y is None or y.ndim > 1 else y[:MAP_ROWS]

    def plot_codes() -> JsonObject:
        codes = np.asarray(model.transform(rows, **(known or {})))  # which may be a frame, as set_output says
        return code_map(codes, labels, seen.names[:MAP_ROWS])

    def part(title: str, make: Callable[[], object]) -> object:
        return parts.make(f"{title} of {name}", make)

    return {
        "name": name,
        "description": "scikit-learn's PCA" if baseline else in_one_line(repr(model), MOST_DESCRIBED),
        "facts": _facts(model),
        "kept": "" if baseline or not kept_start(model) else why_start_is_kept(model),
        "curves": None if baseline else part("Training", lambda: _curves(model)),
        "curves_text": "" if baseline else _what_curves_show(model),
        "weights": part("Weights", lambda: _weights(model, rows)),
        "map": None if len(rows) < FEWEST_ROWS else part("Map of codes", plot_codes),
        "map_title": f"Codes of {seen.which}",
    }


def _curves(model: AbstractAutoencoder) -> JsonObject:
    terms = set(model.history_[0]["train"]) - {"loss", "mse", "active_units"}
    is_bound = terms == {"reconstruction", "kl"} and getattr(model, "beta", None) == 1  # the loss is minus the ELBO
    titles = {"loss": BOUND} if is_bound else None
    return training_curves(model.history_, model.start_, getattr(model, "best_epoch_", None), titles)


def _what_curves_show(model: AbstractAutoencoder) -> str:
    shown = "" if model.corruption is None else "; rows as they are, rebuilt from corrupted ones"
    drawn = "; codes are drawn" if hasattr(model, "active_units_") else ""
    rising = "; in training β rises to its full weight" if getattr(model, "beta_warm_up", 0) else ""
    held_out = "; held out: of the weights at its end" if "validation" in model.history_[0] else ""
    return f"Training: a mean over each epoch, while the weights change{held_out}{shown}{drawn}{rising}."


def _weights(model: BaseEstimator, X: Rows) -> str | None:
    if isinstance(model, PCA | SequenceAutoencoder) or not isinstance(X, np.ndarray):
        return None
    # Of a Gaussian code the units of the means come first.
    n_units = min(MOST_WEIGHTS, model.n_components) if hasattr(model, "active_units_") else MOST_WEIGHTS
    return weight_images(model.module_, X.shape[1:], n_units, getattr(model, "feature_names_in_", None))


def _facts(model: BaseEstimator) -> str:
    """Say which weights are kept, and what was found of a code that is a distribution, and of the likelihood's σ."""
    facts = [] if isinstance(model, PCA) else list(filter(None, [kept_in_words(model)]))
    if hasattr(model, "active_units_"):
        facts.append(f"{model.active_units_} of {model.n_components} units are active")
    if getattr(model, "sigma", 1.0) != 1.0 and hasattr(model, "sigma_"):
        facts.append(f"σ = {model.sigma_:.3g} in the units of the rows{', learnt' if model.sigma == 'learned' else ''}")
    return "; ".join(facts)


def _table(table: pd.DataFrame) -> dict[str, object]:
    """Format the comparison, and mark the best of each measure that has a best."""
    best = {name: table[name].min() for name in LOWER_IS_BETTER if name in table}
    best |= {name: table[name].max() for name in HIGHER_IS_BETTER if name in table}
    cells = comparison_cells(table)
    lines = [
        (model, [(cells.loc[model, name], table.loc[model, name] == best.get(name)) for name in cells.columns])
        for model in cells.index
    ]
    return {"columns": [(name.replace("_", " "), MEANINGS[name]) for name in cells.columns], "lines": lines}


def _page(
    title: str,
    summary: str,
    pictures: Sequence[Picture],
    sections: list[dict[str, object]],
    seen: Seen | None,
    table: Mapping[str, object] | None,
    parts: Parts,
) -> str:
    thumbnails = None
    if seen is not None and is_image(seen.X.shape[1:]):
        thumbnails = parts.make("Thumbnails", lambda: _thumbnails(seen.X[:MAP_ROWS]))
    drawn = {f"{kind}-{i}": section[kind] for i, section in enumerate(sections) for kind in ("curves", "map")}
    page = rendered(
        "template.html",
        title=title,
        summary=summary,
        pictures=pictures,
        sections=sections,
        table=table,
        lacking=parts.lacking,
        thumbnails=thumbnails,
        plots={name: plot for name, plot in drawn.items() if plot is not None},
        plotly=get_plotlyjs(),
    )
    parts.tell()
    return page


def _thumbnails(rows: np.ndarray) -> JsonObject:
    height, width = rows.shape[-2:]
    return {"sheet": sprite(rows, SHEET_COLUMNS), "columns": SHEET_COLUMNS, "height": height, "width": width}
