"""What a fitted model can be used for, in pictures: to generate, to change, to go between rows, to fill in."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import printable
from isthmus.evaluation.imputation import hidden_entries, imputation_errors
from isthmus.models.base import AbstractAutoencoder, conditions_of
from isthmus.models.conditional import ConditionalVariationalAutoencoder
from isthmus.report.cells import CellTable
from isthmus.report.images import data_uri, grid_png, histograms, image_lines, scale_of
from isthmus.report.parts import Parts
from isthmus.report.words import named
from isthmus.sources.dataset import is_image

MOST_CONDITIONS = 12
"""Classes, or values of a condition, that have a column."""

MOST_UNITS = 10
"""Units of a code, or features of a table, that have a line."""

MEASURED_ROWS = 200
"""Rows over which the error of what is filled in is taken."""


class Picture(NamedTuple):
    """A picture, or a table, as it stands on the page: under its heading and a sentence that says what is seen."""

    heading: str
    text: str
    uri: str | None
    table: CellTable | None = None
    across: bool = False

    @property
    def wide(self) -> bool:
        """Whether it takes the page's whole width."""
        return self.across or self.table is not None


def uses(
    model: AbstractAutoencoder, X: np.ndarray, y: np.ndarray | None, names: Sequence[str], parts: Parts
) -> list[Picture]:
    """Show what makes sense of all that a model can do, seen on rows X with labels y and names."""
    makers: list[tuple[str, Callable[[], Picture]]] = []
    if not is_image(X.shape[1:]):
        if hasattr(model, "sample") and X.ndim == 2:
            makers.append(("Generated rows", lambda: _generated_table(model, X, y)))
        return parts.make_all(makers)
    conditions = _conditions(model, y)
    if hasattr(model, "sample"):
        makers.append(("Generated rows", lambda: _generated(model, X, conditions)))
        makers.append(("Traversals", lambda: _traversals(model, X, y, names[0])))
    if len(conditions):
        makers.append(("Style transfer", lambda: _restyled(model, X, y, conditions, names)))
    if len(X) > 1:
        makers.append(("Interpolations", lambda: _interpolations(model, X, y, names)))
    return parts.make_all([*makers, ("Missing pixels", lambda: _filled_in(model, X, y))])


def _conditions(model: AbstractAutoencoder, y: np.ndarray | None) -> np.ndarray:
    """Return the classes of a conditional model, or evenly spread values of its one number; of others nothing."""
    if hasattr(model, "classes_"):
        return model.classes_[:MOST_CONDITIONS]
    if not hasattr(model, "y_mean_") or len(model.y_mean_) > 1 or y is None:
        return np.array([])
    known = y[~pd.isna(y)]
    return np.quantile(known, np.linspace(0.05, 0.95, 8)) if len(known) else known


def _generated(model: AbstractAutoencoder, X: np.ndarray, conditions: np.ndarray) -> Picture:
    heading = "Generated rows"
    if not len(conditions):
        rows = np.asarray(model.sample(72, random_state=0))
        return Picture(heading, "Codes drawn from their prior and decoded.", data_uri(grid_png(rows, 12, scale_of(X))))
    # Drawn from one seed, the codes of a line are the same in every column.
    columns = [np.asarray(model.sample(8, **conditions_of(model, [value] * 8), random_state=0)) for value in conditions]
    lines = {f"code {i + 1}": np.stack(line) for i, line in enumerate(zip(*columns, strict=True))}
    text = "Codes drawn from their prior, a line each, decoded under the condition above the column."
    return Picture(heading, text, image_lines([lines], _titles(conditions), scale_of(X)))


def _generated_table(model: AbstractAutoencoder, X: np.ndarray, y: np.ndarray | None) -> Picture:
    names = list(getattr(model, "feature_names_in_", [f"feature {i}" for i in range(X.shape[1])]))
    rows = np.asarray(model.sample(len(X), **conditions_of(model, y), noise=True, random_state=0))
    shown = slice(MOST_UNITS + 2)
    text = "How each feature of generated rows, drawn with the likelihood's noise, is spread beside that of real ones."
    text += f" The first {shown.stop} of {len(names)} features." if len(names) > shown.stop else ""
    return Picture("Generated rows", text, histograms(names[shown], X[:, shown], rows[:, shown]))


def _traversals(model: AbstractAutoencoder, X: np.ndarray, y: np.ndarray | None, name: str) -> Picture:
    """Draw a line a unit, those that vary most."""
    variance = np.asarray(model.transform(X, **conditions_of(model, y))).var(0)
    values, first = np.linspace(-3, 3, 13), conditions_of(model, y, slice(1))
    units = variance.argsort()[::-1][:MOST_UNITS]
    lines = {f"unit {unit}": model.traverse(X[:1], int(unit), values, **first)[0] for unit in units}
    text = (
        f"One unit of the code of {named(name)} at a time, set from −3 to 3; those that vary most over rows come first."
    )
    return Picture("Traversals", text, image_lines([lines], _titles(values), scale_of(X)))


def _restyled(
    model: ConditionalVariationalAutoencoder,
    X: np.ndarray,
    y: np.ndarray | None,
    conditions: np.ndarray,
    names: Sequence[str],
) -> Picture:
    shown, mine = X[:6], conditions_of(model, y, slice(6))
    columns = [shown, *(model.reconstruct(shown, **mine, decode_as=value) for value in conditions)]
    lines = {_tail(name): np.stack(line) for name, line in zip(names, zip(*columns, strict=True), strict=False)}
    text = "Rows encoded as what they are and decoded under every condition: what is left of a row is its style."
    return Picture("Style transfer", text, image_lines([lines], ["input", *_titles(conditions)], scale_of(X)))


def _interpolations(model: AbstractAutoencoder, X: np.ndarray, y: np.ndarray | None, names: Sequence[str]) -> Picture:
    """Draw the way between five pairs, through codes and, below it, through pixels."""
    a, b = _pairs(len(X), y if conditions_of(model, y) and hasattr(model, "classes_") else None)
    steps = 11
    through_codes = model.interpolate(X[a], X[b], steps, **conditions_of(model, y, a))
    through_pixels = np.stack([(1 - t) * X[a] + t * X[b] for t in np.linspace(0, 1, steps)], axis=1)
    groups = [{"codes": one, "pixels": other} for one, other in zip(through_codes, through_pixels, strict=True)]
    pairs = "; ".join(f"{named(names[i])} to {named(names[j])}" for i, j in zip(a, b, strict=True))
    text = (
        "From one row to another: through the codes between, and below, for comparison, fading pixel into pixel. "
        f"From the top: {pairs}."
    )
    return Picture("Interpolations", text, image_lines(groups, scale=scale_of(X)))


def _pairs(n: int, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return up to five pairs of rows, each of one class where the labels are given."""
    if y is not None:
        classes, names = pd.factorize(y, sort=True)
        of_class = [np.flatnonzero(classes == i)[:2] for i in range(len(names))]
        pairs = np.array([pair for pair in of_class if len(pair) == 2][:5])
        if len(pairs):
            return pairs[:, 0], pairs[:, 1]
    half = min(5, n // 2)
    return np.arange(half), np.arange(half, 2 * half)


def _filled_in(model: AbstractAutoencoder, X: np.ndarray, y: np.ndarray | None) -> Picture:
    """Hide half of the pixels, at random and as the lower half, and show what the model puts there."""
    rows, mine = X[:MEASURED_ROWS], conditions_of(model, y, slice(MEASURED_ROWS))
    lower = np.zeros(rows.shape, bool)
    lower[..., rows.shape[-2] // 2 :, :] = True
    groups, shares, mean = [], [], model.format_.unscaled(model.module_.fill.cpu().numpy())
    for hidden in (hidden_entries(rows.shape, 0.5), lower):
        filled = model.impute(rows, hidden, **mine)
        error, of_mean = imputation_errors(rows, np.asarray(filled), mean, hidden)
        shares.append(error / of_mean if of_mean else np.nan)
        shown = np.where(hidden, np.nan, rows)
        groups.append({name: part[:10] for name, part in (("known", shown), ("filled in", filled), ("truth", rows))})
    text = (
        "Half of the pixels hidden, at random and below the middle, and filled in: the squared error there is "
        f"{shares[0]:.2g} and {shares[1]:.2g} of the mean image's."
    )
    return Picture("Missing pixels", text, image_lines(groups, scale=scale_of(X)))


def _tail(name: str, most: int = 14) -> str:
    """Return the end of a name, which of a file is what tells it from others."""
    name = printable(name[-most:]) if len(name) <= most else f"…{printable(name[1 - most :])}"
    return name if len(name) <= 2 * most else f"…{name[-2 * most :]}"


def _titles(values: np.ndarray) -> list[str]:
    return [f"{value:.3g}" if isinstance(value, float) else named(value, 24) for value in values]
