"""The page about a reproduction: published figures beside measured ones, and the pictures. It opens offline."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from isthmus.report.html import rendered
from isthmus.report.images import INK, MUTED, as_plain_text, figure_uri, image_lines
from isthmus.report.parts import Parts
from isthmus.report.plots import COLOURS
from isthmus.report.words import named
from isthmus.reproduce import Curves, Images, Points, Reproduction, result

CLASSES = {result.WITHIN: "within", result.OUTSIDE: "outside"}


def figure_cells(reproduction: Reproduction) -> pd.DataFrame:
    """Format the figures for people: published, measured and the verdict, a line each."""
    figures = reproduction.findings.figures
    lines = [(figure.expected, f"{figure.measured:.4g}", reproduction.verdict(figure)) for figure in figures]
    return pd.DataFrame(lines, [figure.name for figure in figures], ["published", "measured", "verdict"])


def result_cells(reproduction: Reproduction) -> dict[str, pd.DataFrame]:
    """Format all tables for people, the figures first, each under its title."""
    figures = {"Published and measured": figure_cells(reproduction)} if reproduction.findings.figures else {}
    return figures | {table.title: table.cells() for table in reproduction.findings.tables}


def quick_words(reproduction: Reproduction) -> str:
    """Say of a shortened run that it is one; of a full one nothing."""
    if not reproduction.quick:
        return ""
    return (
        f"This was a quick run, on at most {reproduction.rows:,} rows and for fewer epochs and seeds than the setting "
        "has: it shows that everything runs, and its figures are not those of the setting."
    )


def reproduction_page(reproduction: Reproduction) -> str:
    """Return the page about a reproduction."""
    found, parts = reproduction.findings, Parts()
    pictures = [(picture, parts.make(picture.title, partial(_drawn, picture))) for picture in found.pictures]
    page = rendered(
        "reproduction.html",
        reproduction=reproduction,
        quick=quick_words(reproduction),
        figures=[
            (name, line, CLASSES.get(line["verdict"], "")) for name, line in figure_cells(reproduction).iterrows()
        ],
        tables=[(table.title, table.cells()) for table in found.tables],
        pictures=[(picture, uri) for picture, uri in pictures if uri is not None],
        lacking=parts.lacking,
        versions=", ".join(f"{name} {number}" for name, number in reproduction.versions.items()),
    )
    parts.tell()
    return page


def _drawn(picture: Images | Points | Curves) -> str:
    if isinstance(picture, Images):
        return image_lines(picture.groups, picture.columns, scale=(0, 1))
    return _points(picture) if isinstance(picture, Points) else _curves(picture)


def _points(picture: Points) -> str:
    columns = min(3, len(picture.panels))
    lines = -(-len(picture.panels) // columns)
    drawing = Drawing(figsize=(3.9 * columns, 3.7 * lines), dpi=110)
    for i, (name, points) in enumerate(picture.panels.items(), start=1):
        solid = points.shape[1] == 3
        axis: Any = drawing.add_subplot(lines, columns, i, projection="3d" if solid else None)
        axis.scatter(*points.T, c=picture.colour, cmap="viridis", s=5)
        if solid:
            axis.view_init(elev=8, azim=-72)
            axis.set_box_aspect((1, 1, 1), zoom=1.2)
            axis.set(xticklabels=[], yticklabels=[], zticklabels=[])
        else:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("#e3e7ee")
        axis.set_title(named(name), fontsize=10, color=INK)
    as_plain_text(drawing)  # before it is laid out, for which texts are measured
    drawing.tight_layout()
    return figure_uri(drawing)


def _curves(picture: Curves) -> str:
    drawing = Drawing(figsize=(8, 3.6), dpi=110)
    axis = drawing.subplots()
    for (name, values), colour in zip(picture.lines.items(), COLOURS, strict=False):
        axis.plot(range(1, len(values) + 1), values, label=name, color=colour, linewidth=1.4)
    for name, values in picture.published.items():
        axis.plot(range(1, len(values) + 1), values, "D", label=name, color=INK, markersize=6, zorder=9)
    axis.set_xlabel("epoch", color=INK)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(colors=MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    return figure_uri(drawing)
