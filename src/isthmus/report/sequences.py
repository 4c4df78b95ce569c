"""Sequences in pictures: what is rebuilt of them, what is predicted, what is unusual."""

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from isthmus.models import SequenceAutoencoder
from isthmus.report.images import INK, MUTED, figure_uri
from isthmus.report.parts import Parts
from isthmus.report.uses import Picture
from isthmus.report.words import named

REBUILT, PREDICTED = "#2f6db5", "#d9742b"
SHOWN, A_LINE = 10, 5
"""Sequences that are shown, and how many stand in a line."""

MOST_FEATURES = 3
"""Features of a sequence that are drawn."""

Sequences = np.ndarray | Sequence[np.ndarray]
"""Of one length, side by side, or of several."""

LETTERS = 36
"""Of a line of a title, which is as wide as its picture."""


def sequence_pictures(
    model: SequenceAutoencoder, X: Sequences | pd.DataFrame, names: Sequence[str], order: np.ndarray, parts: Parts
) -> list[Picture]:
    """Show what a model makes of sequences X, an array or a list of arrays; the first of an order are shown."""
    X = X.to_numpy() if isinstance(X, pd.DataFrame) else X
    chosen = [int(i) for i in order[:SHOWN]]
    taken = X[chosen] if isinstance(X, np.ndarray) else [X[i] for i in chosen]
    titles = [names[i] for i in chosen]
    makers: list[tuple[str, Callable[[], Picture]]] = []
    if model.reconstruction:
        makers.append(("Reconstructions", lambda: _reconstructions(model, taken, titles)))
    if model.future_steps:
        makers.append(("Predictions", lambda: _predictions(model, taken, titles)))
    return parts.make_all([*makers, ("Most unusual", lambda: _unusual(model, X, names))])


def _reconstructions(model: SequenceAutoencoder, X: Sequences, titles: Sequence[str]) -> Picture:
    shown, rebuilt = [steps_of(x) for x in X], [steps_of(x) for x in model.reconstruct(X)]
    features = shown[0].shape[1]
    first = f" The first {MOST_FEATURES} of {features} features." if features > MOST_FEATURES else ""
    text = f"Sequences (grey), and what the model rebuilds from their codes (blue).{first}"
    return Picture("Reconstructions", text, _curves(shown, rebuilt, REBUILT, titles), across=True)


def steps_of(x: ArrayLike) -> np.ndarray:
    """Return a sequence as (steps, features)."""
    values = np.asarray(x, dtype=float)
    return values if values.ndim > 1 else values[:, None]


def _predictions(model: SequenceAutoencoder, X: Sequences, titles: Sequence[str]) -> Picture:
    """Cut the last steps off, predict them, and draw them over what came."""
    steps, shown = model.future_steps, [steps_of(x) for x in X]
    past = [np.asarray(x)[:-steps] for x in X]
    future = [steps_of(x) for x in model.predict_future(past)]
    ahead = [np.vstack([np.full((len(x) - steps, x.shape[1]), np.nan), f]) for x, f in zip(shown, future, strict=True)]
    text = f"The last {steps} steps of each sequence, which the model did not see (grey), and its prediction (orange)."
    return Picture("Predictions", text, _curves(shown, ahead, PREDICTED, titles), across=True)


def _unusual(model: SequenceAutoencoder, X: Sequences, names: Sequence[str]) -> Picture:
    """Draw the sequences with the lowest score a step, coloured by each step's own."""
    shares = [np.nansum(steps_of(share), axis=1) for share in model.score_samples(X, per_feature=True)]
    lowest = np.argsort(model.score_samples(X) / [len(share) for share in shares])[:SHOWN]
    figure, axes = _grid(len(lowest))
    low, high = np.nanquantile(np.concatenate(shares), (0.002, 0.5))
    for axis, row in zip(axes, lowest, strict=False):
        values = steps_of(X[row])[:, :MOST_FEATURES]
        axis.plot(values, color=MUTED, linewidth=0.8)
        for feature in values.T:
            axis.scatter(np.arange(len(feature)), feature, c=-shares[row], s=5, cmap="inferno_r", vmin=-high, vmax=-low)
        axis.set_title(_title(names[row]), fontsize=8, color=INK)
    text = "The sequences with the lowest score a step; the darker a step, the less the model expected it."
    return Picture("Most unusual", text, figure_uri(figure), across=True)


def _curves(sequences: list[np.ndarray], over: list[np.ndarray], colour: str, titles: Sequence[str]) -> str:
    figure, axes = _grid(len(sequences))
    for axis, x, other, title in zip(axes, sequences, over, titles, strict=False):
        axis.set_title(_title(title), fontsize=8, color=INK)
        axis.plot(x[:, :MOST_FEATURES], color="#b4bdcb", linewidth=1.6)
        axis.plot(other[:, :MOST_FEATURES], color=colour, linewidth=1.0)
    return figure_uri(figure)


def _title(name: str) -> str:
    return textwrap.fill(named(name, 4 * LETTERS), LETTERS)


def _grid(n: int) -> tuple[Figure, list[Axes]]:
    columns = min(A_LINE, n)
    lines = -(-n // columns)
    figure = Figure(figsize=(2.9 * columns, 1.6 * lines), dpi=100)
    axes = list(figure.subplots(lines, columns, squeeze=False, gridspec_kw={"wspace": 0.08, "hspace": 0.35}).flat)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color("#e3e7ee")
    for axis in axes[n:]:
        axis.axis("off")
    return figure, axes
