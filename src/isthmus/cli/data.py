"""`isthmus data`."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.table import Table

from isthmus import models
from isthmus.cli.app import app
from isthmus.cli.console import console, say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import (
    DataDir,
    Drop,
    Fit,
    Group,
    Kinds,
    Label,
    MaxGB,
    MaxPixels,
    Missing,
    Size,
    SkipBad,
    Stride,
    Time,
    Window,
)
from isthmus.cli.parsing import parse_kinds
from isthmus.cli.rows import Framing, parse_cut, parse_framing, read_source
from isthmus.errors import InputError
from isthmus.formats.overview import table_overview
from isthmus.sources import datasets, files


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A file or folder: how it is read.")] = None,
    kinds: Kinds = None,
    drop: Drop = None,
    na: Missing = None,
    window: Window = None,
    stride: Stride = None,
    time: Time = None,
    group: Group = None,
    size: Size = None,
    fit: Fit = "crop",
    skip_bad: SkipBad = False,
    max_gb: MaxGB = None,
    max_pixels: MaxPixels = None,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """List the data sets that have a name, and where they are; or say what is understood of a file or folder.

    Of a table: what its columns are taken for by a tabular model, what is missing, what is left out and why. With
    --window DATA is a long series: its time, step, gaps and groups.
    """
    allow(source, max_gb, max_pixels)
    if source is not None:
        if source in datasets.names():
            raise InputError(f"{source} is a data set with a name: isthmus data, without it, says what it is")
        asked = {"window": window, "stride": stride, "time": time, "group": group, "label": label}
        cut = parse_cut(asked | {"features": None, "drop": drop, "na": na, "step": None})
        if cut is None:
            refuse_without_meaning(source, size=size, fit=fit, skip_bad=skip_bad)
            if Path(source).is_dir():
                refuse_without_meaning(source, kinds=kinds, drop=drop, na=na)
            lines = _rows_understood(source, label, parse_framing(size, fit, skip_bad), kinds, drop, na)
        else:
            if kinds:
                raise InputError(f"--kind {kinds[0]}: the columns of a series are numbers; leave it out")
            lines = cut.understood(source)
        for line in lines:
            say(line)
        return
    table = Table("name", "rows", "what it is", "where", box=None)
    for name, entry in datasets.CATALOGUE.items():
        table.add_row(name, entry.shape, entry.description, datasets.location(name, data_dir))
    console.print(table)
    say(f"\nFiles too: {', '.join(files.READABLE)}, or a folder of images with subfolders as labels.")


def _rows_understood(
    source: str,
    label: str | None,
    framing: Framing,
    kinds: list[str] | None,
    drop: list[str] | None,
    na: list[str] | None,
) -> list[str]:
    """Say how a file or folder is read, and of a table what a tabular model takes its columns for."""
    model = models.TabularAutoencoder(kinds=parse_kinds(kinds), drop=drop or (), na_values=na)
    found = read_source(source, label, model, framing, mixed=True)
    lines = found.understood
    if isinstance(found.data.X, pd.DataFrame):
        return [*lines, *table_overview(model.schema_of(found.data.X), found.data.X)]
    rows = found.data.X
    return lines or [f"{len(rows):,} rows of shape {rows.shape[1:]}"]
