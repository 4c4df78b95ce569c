"""Pictures of rows and of weights, as PNG in a data URI."""

import base64
import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from isthmus.core.model import Model

INK, MUTED = "#22304a", "#8b96a8"


def is_image(row_shape: Sequence[int]) -> bool:
    """Tell whether rows can be shown as pictures: (height, width), or (1 or 3 channels, height, width)."""
    return len(row_shape) == 2 or (len(row_shape) == 3 and row_shape[0] in (1, 3))


def pixels(rows: np.ndarray) -> np.ndarray:
    """Turn image rows in [0, 1], or on any other scale, to uint8: (n, height, width) or (n, height, width, 3)."""
    if rows.ndim == 4:
        rows = rows[:, 0] if rows.shape[1] == 1 else np.moveaxis(rows, 1, 3)
    low, high = min(0.0, float(rows.min())), max(1.0, float(rows.max()))
    return (255 * (rows - low) / (high - low)).round().astype(np.uint8)


def data_uri(image: np.ndarray) -> str:
    """Return a PNG of uint8 pixels as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def sprite(rows: np.ndarray, columns: int) -> str:
    """Lay images out in a sheet of `columns`, row by row, from which the page cuts thumbnails."""
    tiles = pixels(rows)
    height, width = tiles.shape[1:3]
    sheet = np.zeros((-(-len(tiles) // columns) * height, columns * width, *tiles.shape[3:]), np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = tile
    return data_uri(sheet)


def reconstruction_rows(named_rows: Mapping[str, np.ndarray]) -> str:
    """Draw a line of the same rows under each name: images as pictures, others as curves over their features."""
    n = len(next(iter(named_rows.values())))
    first = next(iter(named_rows.values()))
    images = is_image(first.shape[1:])
    figure = Figure(figsize=(n, len(named_rows)), dpi=100)
    axes = figure.subplots(
        len(named_rows),
        n,
        squeeze=False,
        sharey=False if images else "col",
        gridspec_kw={"wspace": 0.06, "hspace": 0.06},
    )
    for line, (name, rows) in enumerate(named_rows.items()):
        # One grey scale for all: a reconstruction may leave [0, 1], and is cut there as a screen would.
        tiles = pixels(np.clip(rows, min(0, first.min()), max(1, first.max()))) if images else rows.reshape(n, -1)
        for axis, tile in zip(axes[line], tiles, strict=True):
            if images:
                axis.imshow(tile, cmap="gray", vmin=0, vmax=255)
            else:
                axis.plot(tile, color=INK, linewidth=0.8)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(not images)
        axes[line, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, color=INK)
    return _figure_uri(figure)


def weight_images(model: Model, row_shape: Sequence[int], most: int = 32) -> str | None:
    """Draw the weights with which the encoder's units see a row; None where its first layer is no matrix over features.

    With a linear path they are the rows of W, the linear part of each unit of the code; else those of the first layer.
    """
    features = int(np.prod(row_shape))
    matrices = (weight for weight in model.encoder.parameters() if weight.ndim == 2 and weight.shape[1] == features)
    matrix = next(matrices, None)
    if matrix is None:
        return None
    weights = matrix.detach().float().cpu().numpy()[:most]
    if not is_image(row_shape):
        figure = Figure(figsize=(6, 0.6 + 0.16 * len(weights)), dpi=130)
        axis = figure.subplots()
        limit = np.abs(weights).max()
        picture = axis.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        axis.set(xlabel="feature", ylabel="unit")
        figure.colorbar(picture)
        return _figure_uri(figure)
    columns = 4 if len(weights) <= 16 else 8
    lines = -(-len(weights) // columns)
    figure = Figure(figsize=(columns, lines), dpi=100)
    for axis in figure.subplots(lines, columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06}).flat:
        axis.axis("off")
    for axis, weight in zip(figure.axes, weights, strict=False):
        weight = weight.reshape(-1, *row_shape[-2:]).mean(0)
        limit = np.abs(weight).max() or 1.0
        axis.imshow(weight, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return _figure_uri(figure)


def _figure_uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    with mpl.rc_context({"font.family": "sans-serif"}):
        figure.savefig(buffer, format="png", bbox_inches="tight", facecolor="white", pad_inches=0.04)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
