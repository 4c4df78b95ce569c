"""Pictures of rows and of weights, as PNG: in a data URI for a page, or as bytes for a file."""

import base64
import functools
import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image

from isthmus.core.model import Model
from isthmus.errors import warnings_as
from isthmus.report.words import named
from isthmus.sources.dataset import is_image

INK, MUTED, PAPER = "#22304a", "#8b96a8", 255
MISSING = np.array([255, 196, 92], np.uint8)
"""The colour of a pixel that is not known: no grey, so that nobody takes it for a value."""

TILE = 56
"""Pixels of the screen that a small image is brought to, about."""

LINE_GAP, GROUP_GAP = 3, 9
"""Pixels of the screen between lines of images, and, beside these, between groups of lines."""

MOST_BESIDE = 30
"""Images that stand one below the other in a file."""

FONTS = (
    "DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "WenQuanYi Micro Hei",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
"""Where letters are looked for, of those that this machine has; what none has is drawn as a box."""

MOST_NAMED = 40
"""Features up to which each has its name below its weights."""

Scale = tuple[float, float]


def scale_of(rows: np.ndarray) -> Scale:
    """Return what is black and what is white: 0 and 1, or the lowest and the highest of rows on another scale.

    A model's answer to rows in [0, 1] may leave that range a little, and is cut there as a screen would.
    """
    if not np.isfinite(rows).any():
        return 0.0, 1.0
    low, high = np.nanquantile(rows, (0.01, 0.99))
    return (0.0, 1.0) if low > -0.25 and high < 1.25 else (float(np.nanmin(rows)), float(np.nanmax(rows)))


def pixels(rows: np.ndarray, scale: Scale | None = None) -> np.ndarray:
    """Turn image rows to uint8: (n, height, width), or (n, height, width, 3) where they have colours or gaps (NaN)."""
    if rows.ndim == 4:
        rows = rows[:, 0] if rows.shape[1] == 1 else np.moveaxis(rows, 1, 3)
    low, high = scale_of(rows) if scale is None else scale
    missing = np.isnan(rows)
    shares = (np.where(missing, low, rows) - low) / ((high - low) or 1.0)
    tiles = (255 * shares.clip(0, 1)).round().astype(np.uint8)
    if not missing.any():
        return tiles
    if tiles.ndim == 3:
        tiles, missing = np.repeat(tiles[..., None], 3, axis=3), missing[..., None]
    return np.where(missing.any(3, keepdims=True), MISSING, tiles)


def png(image: np.ndarray) -> bytes:
    """Return uint8 pixels as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def sheet(tiles: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Lay uint8 tiles out in lines of `columns`, with white gaps between them where there are any."""
    height, width = tiles.shape[1] + gap, tiles.shape[2] + gap
    lines = -(-len(tiles) // columns)
    laid = np.full((lines * height, columns * width, *tiles.shape[3:]), PAPER if gap else 0, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * height, i % columns * width
        laid[top : top + height - gap, left : left + width - gap] = tile
    return laid[: lines * height - gap, : columns * width - gap]


def grid_png(rows: np.ndarray, columns: int, scale: Scale | None = None) -> bytes:
    """Return a PNG of images, enlarged where they are small, in lines of `columns`."""
    return png(sheet(_enlarged(pixels(rows, scale)), columns, gap=4))


def beside_png(*lines: np.ndarray) -> bytes:
    """Return a PNG of up to 30 images of each line, ten at a time, those of the first line at the top."""
    n = min(MOST_BESIDE, len(lines[0]))
    columns = min(10, n)
    tiles = _enlarged(pixels(np.concatenate([line[:n] for line in lines])))
    tile = tiles.shape[1:]
    blank = np.full((len(lines), -n % columns, *tile), PAPER, np.uint8)  # at the end of a last line that is not full
    tiles = np.concatenate([tiles.reshape(len(lines), n, *tile), blank], axis=1)
    tiles = tiles.reshape(len(lines), -1, columns, *tile).swapaxes(0, 1)
    return png(sheet(tiles.reshape(-1, *tile), columns, gap=4))


def _enlarged(tiles: np.ndarray, size: int = TILE) -> np.ndarray:
    zoom = max(1, round(size / max(tiles.shape[1:3])))
    return tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)


def sprite(rows: np.ndarray, columns: int) -> str:
    """Lay images out in a sheet of `columns`, row by row, from which the page cuts thumbnails."""
    return data_uri(png(sheet(pixels(rows), columns)))


def image_lines(
    groups: Sequence[Mapping[str, np.ndarray]], titles: Sequence[object] = (), scale: Scale | None = None
) -> str:
    """Draw lines of images, each under its name at the left, with room between one group of lines and the next.

    Parameters
    ----------
    groups : sequence of mappings from str to ndarray of shape (n, ...)
        All lines have `n` images.
    titles : sequence, optional
        What stands over each column.
    scale : tuple of float, optional
        What is black and what is white; default: by the first line, and the same for all.
    """
    scale = scale_of(next(iter(groups[0].values()))) if scale is None else scale
    lines = [rows for group in groups for rows in group.values()]
    n = len(lines[0])
    strips = [sheet(_enlarged(pixels(rows, scale)), n, gap=LINE_GAP) for rows in lines]
    height, width = strips[0].shape[:2]
    group_of_line = [i for i, group in enumerate(groups) for _ in group]
    tops = [line * (height + LINE_GAP) + i * GROUP_GAP for line, i in enumerate(group_of_line)]
    canvas = np.full((tops[-1] + height, width, 3), PAPER, np.uint8)
    for top, strip in zip(tops, strips, strict=True):  # images with gaps have colours, others may have none
        canvas[top : top + height] = strip if strip.ndim == 3 else strip[..., None]
    figure = Figure(figsize=(width / 100, len(canvas) / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(canvas, interpolation="nearest", aspect="auto")
    axis.set_yticks([top + height / 2 for top in tops], [named(name) for group in groups for name in group], fontsize=9)
    places = [width / n * (i + 0.5) for i in range(len(titles))]
    axis.set_xticks(places, [named(each, 24) for each in titles], fontsize=9)
    axis.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=INK)
    axis.spines[:].set_visible(False)
    return figure_uri(figure)


def weight_images(
    model: Model, row_shape: Sequence[int], most: int = 32, names: Sequence[object] | None = None
) -> str | None:
    """Draw the weights with which the encoder's units see a row; None where its first layer has none that can be shown.

    With a linear path they are the rows of W, the linear part of each unit of the code; else those of the first layer,
    or its filters.
    """
    features = int(np.prod(row_shape))
    first = next((weight for weight in model.encoder.parameters() if weight.ndim > 1), None)
    if first is None:
        return None
    weights = first.detach().float().cpu().numpy()[:most]
    if weights.ndim == 4:
        return _weight_tiles(weights.mean(1))
    if weights.ndim != 2 or weights.shape[1] < features:
        return None
    weights = weights[:, :features]  # what comes after them is a condition's
    if is_image(row_shape):
        return _weight_tiles(weights.reshape(len(weights), -1, *row_shape[-2:]).mean(1))
    figure = Figure(figsize=(6, 0.6 + 0.16 * len(weights)), dpi=130)
    axis = figure.subplots()
    limit = np.abs(weights).max() or 1.0
    picture = axis.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axis.set(xlabel="feature", ylabel="unit")
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(integer=True))
    if names is not None and len(names) <= MOST_NAMED:
        axis.set_xticks(range(len(names)), [named(name, 24) for name in names], rotation=60, ha="right", fontsize=7)
    figure.colorbar(picture)
    return figure_uri(figure)


def _weight_tiles(weights: np.ndarray) -> str:
    """Draw weights as tiles, red above zero and blue below, each on its own scale."""
    limits = np.quantile(np.abs(weights), 0.98, axis=(1, 2), keepdims=True)  # a few at the rim are far above the rest
    shares = (0.5 + 0.5 * weights / np.where(limits > 0, limits, 1)).clip(0, 1)
    tiles = (255 * mpl.colormaps["RdBu_r"](shares)[..., :3]).round().astype(np.uint8)
    return data_uri(png(sheet(_enlarged(tiles, 2 * TILE), 4 if len(tiles) <= 16 else 8, gap=6)))


def histograms(names: Sequence[str], real: np.ndarray, generated: np.ndarray) -> str:
    """Draw how each feature of generated rows is spread, beside that of real ones; arrays of shape (n, features)."""
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(2.9 * columns, 1.7 * lines), dpi=100)
    axes = figure.subplots(lines, columns, squeeze=False, gridspec_kw={"wspace": 0.15, "hspace": 0.55}).flat
    for axis in list(axes)[len(names) :]:
        axis.axis("off")
    for axis, name, one, other in zip(figure.axes, names, real.T, generated.T, strict=False):
        low, high = np.nanquantile(np.concatenate([one, other]), (0.002, 0.998))
        bins = np.linspace(low, max(high, low + 1e-6), 31).tolist()
        axis.hist(one, bins, density=True, color="#c9d3e3", label="real")
        axis.hist(other, bins, density=True, histtype="step", color="#d9742b", linewidth=1.4, label="generated")
        axis.set_title(named(name, 32), fontsize=9, color=INK)
        axis.set_yticks([])
        axis.tick_params(labelsize=7, colors=MUTED)
        axis.spines[["left", "top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=8, frameon=False)
    return figure_uri(figure)


def figure_uri(figure: Figure) -> str:
    """Return a figure as a PNG in a data URI."""
    buffer = io.BytesIO()
    as_plain_text(figure)
    with warnings_as("ignore", message="Glyph .* missing from"):  # of each letter, that it is drawn as a box
        figure.savefig(buffer, format="png", bbox_inches="tight", facecolor="white", pad_inches=0.04)
    return data_uri(buffer.getvalue())


def as_plain_text(figure: Figure) -> None:
    """Have all texts of a figure drawn as they are: names from data may have $ in them, and are neither TeX nor markup.

    Settings of the figure's own texts are changed, and none of matplotlib's, which other threads may be using.
    """
    for axis in (getattr(axes, name, None) for axes in figure.axes for name in ("xaxis", "yaxis", "zaxis")):
        if axis is not None:
            axis.get_ticklabels()  # which makes them
            axis.get_ticklabels(minor=True)
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_fontfamily(_fonts())


@functools.cache
def _fonts() -> list[str]:
    there = set(font_manager.get_font_names())
    return [name for name in FONTS if name in there]
