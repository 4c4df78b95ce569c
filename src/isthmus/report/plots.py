"""Plots that answer the mouse: training curves and the map of codes."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from isthmus.report.words import in_markup
from isthmus.saving.attributes import JsonObject

COLOURS = ("#2f6db5", "#d9742b", "#3a9a5b", "#c2405b", "#7d5ba6", "#8c6d46", "#d27fb0", "#6b7785", "#a8a832", "#38a3b8")

KEPT = "#22304a"
"""The colour of the mark on the epoch whose weights are kept."""

PLOTS_A_LINE = 3

MOST_LETTERS = 80
"""Of a text in a plot."""

MOST_COLOURED = 30
"""Classes that have a colour each on the map."""

TITLES = {
    "reconstruction": "reconstruction, nats a row",
    "prediction": "prediction, nats a row",
    "kl": "KL divergence, nats a row",
    "free_bits": "what the free bits add, nats a row",
    "revival": "revival of units that are never on, training alone",
    "loss": "loss: the weighted sum, nats a row",
    "mse": "squared error an entry",
    "active_units": "active units in a batch",
}


BOUND = "loss: minus the bound (ELBO), nats a row"
"""What the loss is where it is made of the reconstruction and the KL divergence alone, each with weight 1."""


def training_curves(
    history: Sequence[JsonObject],
    start: dict[str, float] | None,
    best_epoch: int | None = None,
    titles: Mapping[str, str] | None = None,
) -> JsonObject:
    """Plot every term over epochs, on training and held-out rows; epoch 0 is the start, before any training.

    Parameters
    ----------
    history : sequence of dict
        An estimator's ``history_``.
    start : dict or None
        Its ``start_``.
    best_epoch : int, optional
        Its ``best_epoch_``, which is marked.
    titles : mapping of str to str, optional
        What to call a term, where it is not its usual name.
    """
    names = list(history[0]["train"])
    lines = -(-len(names) // PLOTS_A_LINE)
    above = [in_markup((titles or {}).get(name) or _title(name), MOST_LETTERS) for name in names]
    figure = make_subplots(lines, PLOTS_A_LINE, subplot_titles=above, horizontal_spacing=0.07)
    epochs = [record["epoch"] for record in history]
    for i, name in enumerate(names):
        place = {"row": i // PLOTS_A_LINE + 1, "col": i % PLOTS_A_LINE + 1}
        line = {"showlegend": i == 0} | place
        train = [record["train"][name] for record in history]
        figure.add_scatter(x=epochs, y=train, name="training", line_color=COLOURS[0], legendgroup="t", **line)
        if name in history[0].get("validation", ()):  # some terms, and what partial_fit adds, are of the training alone
            told = [(each["epoch"], each["validation"][name]) for each in history if "validation" in each]
            xs, ys = zip(*([] if start is None else [(0, start[name])]), *told, strict=True)
            figure.add_scatter(x=xs, y=ys, name="held out", line_color=COLOURS[1], legendgroup="v", **line)
        if name == "active_units":
            figure.update_yaxes(rangemode="tozero", **place)
        if best_epoch is not None:
            figure.add_vline(best_epoch, line={"dash": "dot", "color": KEPT, "width": 1.5}, **place)
    if best_epoch is not None:  # a line of the legend
        name, dots = f"kept: {f'epoch {best_epoch}' if best_epoch else 'the start'}", {"dash": "dot", "color": KEPT}
        figure.add_scatter(x=[None], y=[None], mode="lines", name=name, line=dots, row=1, col=1)
    figure.update_xaxes(title_text="epoch", row=lines)
    return _json(figure, height=70 + 220 * lines)


def _title(name: str) -> str:
    if name.startswith("reconstruction_"):
        return f"reconstruction of {name.removeprefix('reconstruction_')}, nats a row"
    return TITLES.get(name, f"{name.replace('_', ' ')}, unweighted")


def plane(codes: np.ndarray) -> tuple[np.ndarray, str]:
    """Return codes in two dimensions, and how they came there: as they are, or by t-SNE from their PCA."""
    if codes.shape[1] == 2:
        return codes, "the code's two units"
    if codes.shape[1] == 1:
        return np.column_stack([codes, np.zeros(len(codes))]), "the code's one unit"
    if len(codes) < 20 or np.ptp(codes) == 0:
        return np.asarray(PCA(2).fit_transform(codes)), "PCA of the codes"
    codes = np.asarray(PCA(min(30, *codes.shape)).fit_transform(codes))  # a frame, where set_config says so
    perplexity = min(30, (len(codes) - 1) / 3)
    tsne = TSNE(2, init="pca", perplexity=perplexity, random_state=0)
    return np.asarray(tsne.fit_transform(codes)), "t-SNE of the codes"


def code_map(codes: np.ndarray, labels: np.ndarray | None, names: Sequence[str] | None = None) -> JsonObject:
    """Plot codes in the plane, coloured by label; each point knows its name, and its place for the thumbnail."""
    xy, way = plane(codes)
    names = [f"row {i}" for i in range(len(codes))] if names is None else names
    text = np.array([in_markup(name, MOST_LETTERS) for name in names], dtype=object)
    figure, rows = go.Figure(), np.arange(len(codes))
    classes, kinds = _classes(labels)
    if not 0 < len(kinds) <= MOST_COLOURED:
        numeric = labels is not None and labels.dtype.kind == "f"
        colour = labels if numeric else COLOURS[0]
        marker = {"color": colour, "colorscale": "Viridis", "showscale": numeric, "size": 5}
        look, groups = "%{text}<extra></extra>", [(slice(None), {"marker": marker, "showlegend": False})]
    else:
        look, groups = "%{text}<extra>%{fullData.name}</extra>", []
        for i, name in enumerate([*kinds, "no label"]):
            marker = {"color": COLOURS[i % len(COLOURS)], "size": 5}
            chosen = classes == (i if i < len(kinds) else -1)
            groups += [(chosen, {"name": in_markup(name, 40), "marker": marker})] if chosen.any() else []
    for chosen, how in groups:
        figure.add_scattergl(
            x=xy[chosen, 0], y=xy[chosen, 1], customdata=rows[chosen], text=text[chosen], mode="markers", **how
        )
    figure.update_traces(hovertemplate=look)
    figure.update_xaxes(title_text=way, showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, scaleanchor="x")
    return _json(figure, height=430)


def _classes(labels: np.ndarray | None) -> tuple[np.ndarray, list[Hashable]]:
    """Return the class of each row by number, −1 where it is missing, and the names of all; of measurements nothing."""
    if labels is None or labels.dtype.kind == "f":
        return np.array([], int), []
    classes, names = pd.factorize(labels, sort=True)
    return classes, list(names)


def _json(figure: go.Figure, height: int) -> JsonObject:
    figure.update_layout(
        height=height, template="plotly_white", margin={"l": 45, "r": 10, "t": 35, "b": 40}, font={"size": 11}
    )
    return figure.to_dict()
