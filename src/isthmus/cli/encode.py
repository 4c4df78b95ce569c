"""`isthmus transform`, `reconstruct`, `score` and `neighbors`: rows through a model."""

import re
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from isthmus.cli.app import app
from isthmus.cli.console import say
from isthmus.cli.meaning import allow
from isthmus.cli.options import (
    MOST,
    Data,
    DataDir,
    Formulas,
    Group,
    Label,
    MaxGB,
    MaxPixels,
    Output,
    OutputOrPicture,
    Run,
    SkipBad,
    Split,
    Time,
)
from isthmus.cli.parsing import parse_rows
from isthmus.cli.results import draw, write_rows, write_steps
from isthmus.cli.rows import (
    file_column,
    load_rows,
    name_columns,
    names_of,
    read_cut,
    read_framing,
    say_left_out,
    take_rows,
)
from isthmus.cli.saved import features, ready, shaped
from isthmus.evaluation.retrieval import nearest_by_code
from isthmus.formats.labels import are_classes, spread_order
from isthmus.models.conditional import told
from isthmus.report import images
from isthmus.sources import files
from isthmus.sources.datasets import Dataset


@app.command()
def transform(
    run: Run,
    data: Data,
    output: Output,
    split: Split = "test",
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    formulas: Formulas = False,
) -> None:
    """Write the codes of DATA's rows."""
    allow(data, max_gb, max_pixels)
    estimator, cut = ready(run, output, "transform"), read_cut(run, time, group)
    framing = read_framing(run, estimator, skip_bad, data)
    X, y = load_rows(data, split, label, data_dir, estimator, cut, framing)
    codes = estimator.transform(X, **told(estimator, y))
    beside = name_columns(data, framing, X) if cut is None else cut.columns(data)
    write_rows(output, codes, [f"code_{i}" for i in range(codes.shape[1])], beside, formulas=formulas)
    say_left_out(data, framing, output)


@app.command()
def reconstruct(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    split: Split = "test",
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    formulas: Formulas = False,
) -> None:
    """Write DATA's rows as the model rebuilds them; .png: 30 drawn at random over the classes, below what they are."""
    allow(data, max_gb, max_pixels)
    estimator, cut = ready(run, output, "reconstruct", pictures=True), read_cut(run, time, group)
    framing = read_framing(run, estimator, skip_bad, data)
    X, y = load_rows(data, split, label, data_dir, estimator, cut, framing)
    rows = estimator.reconstruct(X, **told(estimator, y))
    if cut is not None:
        series = cut.series(data)
        write_steps(output, series.on_time_axis(rows, cut.stride), series, formulas=formulas)
    elif output.suffix == ".png":
        shown = spread_order(len(rows), y)[: images.MOST_BESIDE]
        picture = images.beside_png(shaped(estimator, X)[shown], rows[shown])
        draw(output, picture, names_of(data, X, cut, framing), shown)
    else:
        write_rows(output, rows, features(estimator, rows), name_columns(data, framing, X), formulas=formulas)
        say_left_out(data, framing, output)


@app.command()
def score(
    run: Run,
    data: Data,
    output: Output,
    per_feature: Annotated[bool, typer.Option("--per-feature", help="A column a feature: which are unusual.")] = False,
    split: Split = "test",
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    formulas: Formulas = False,
) -> None:
    """Write how usual each of DATA's rows is, in nats; higher is more usual.

    A step of a long series is scored by itself and by the windows that it is in.
    """
    allow(data, max_gb, max_pixels)
    estimator, cut = ready(run, output, "score_samples"), read_cut(run, time, group)
    framing = read_framing(run, estimator, skip_bad, data)
    X, y = load_rows(data, split, label, data_dir, estimator, cut, framing)
    shares = cut is not None or per_feature
    scores = estimator.score_samples(X, **({"per_feature": True} if shares else {}), **told(estimator, y))
    if cut is not None:
        series = cut.series(data)
        write_steps(
            output, series.step_scores(scores, cut.stride), series, None if per_feature else "score", formulas=formulas
        )
        return
    columns = features(estimator, scores) if per_feature else ["score"]
    write_rows(output, scores, columns, name_columns(data, framing, X), formulas=formulas)
    say_left_out(data, framing, output)
    if not per_feature:
        lowest = names_of(data, X, None, framing)[scores.argmin()]
        say(f"mean {scores.mean():.5g} nats, lowest {scores.min():.5g} in {lowest}")


@app.command()
def neighbors(
    run: Run,
    data: Data,
    output: OutputOrPicture,
    query: Annotated[
        str | None, typer.Option(help="Row numbers of DATA, such as 0,5,9, or other data; default: ten, at random.")
    ] = None,
    k: Annotated[int, typer.Option("-k", max=MOST, help="Neighbours of each.")] = 5,
    split: Split = "test",
    label: Label = None,
    time: Time = None,
    group: Group = None,
    data_dir: DataDir = None,
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    formulas: Formulas = False,
) -> None:
    """Write which rows of DATA have the codes nearest to those of the queries; .png: a line a query, itself first."""
    allow(data, max_gb, max_pixels)
    estimator, cut = ready(run, output, "transform", pictures=True), read_cut(run, time, group)
    framing = read_framing(run, estimator, skip_bad, data)
    found = load_rows(data, split, label, data_dir, estimator, cut, framing)
    codes = estimator.transform(found.X, **told(estimator, found.y))
    if query is None or re.fullmatch(r"[\d, ]*", query):
        own = spread_order(len(codes), found.y)[:10] if query is None else parse_rows("--query", query, len(codes))
        asked, queries = Dataset(take_rows(found.X, own), None if found.y is None else found.y[own]), codes[own]
    else:
        own, asked = None, load_rows(query, split, label, data_dir, estimator, cut, framing)
        queries = estimator.transform(asked.X, **told(estimator, asked.y))
    index, distance = nearest_by_code(codes, queries, k, own)
    if output.suffix == ".png":
        lines = np.concatenate([shaped(estimator, asked.X)[:, None], shaped(estimator, found.X)[index]], axis=1)
        names = names_of(data if own is not None else str(query), asked.X if own is None else found.X, cut, framing)
        asking_rows = np.arange(len(queries)) if own is None else own
        draw(output, images.grid_png(lines.reshape(-1, *estimator.row_shape_), k + 1), names, asking_rows)
    else:
        # Of a long series rows are windows, and go by the step that they begin at.
        places = np.arange(max(len(codes), len(queries))) if cut is None else cut.starts(data)
        asking = places if own is not None or cut is None else cut.starts(str(query))
        table = {"row": asking[np.arange(len(queries)) if own is None else own]}
        table |= {f"neighbour_{i + 1}": places[index[:, i]] for i in range(k)}
        table |= {f"distance_{i + 1}": distance[:, i] for i in range(k)}
        for name, column in file_column(data, framing).items():
            table |= {f"{name}_{i + 1}": np.array(column)[index[:, i]] for i in range(k)}
        files.write_table(output, pd.DataFrame(table), formulas=formulas)
        say(f"{len(queries):,} rows: {output}")
    share = None if found.y is None or asked.y is None else _share_alike(found.y, index, asked.y)
    if share is not None:
        say(f"{share:.1%} of the neighbours have the label of their query")


def _share_alike(y: np.ndarray, index: np.ndarray, asked: np.ndarray) -> float | None:
    """Return how many of the neighbours have the label of their query, where both are known; None without classes."""
    if y.ndim > 1 or asked.ndim > 1 or not are_classes(y[~pd.isna(y)]):
        return None
    both = ~pd.isna(y)[index] & ~pd.isna(asked)[:, None]
    return float((y[index] == asked[:, None])[both].mean()) if both.any() else None
