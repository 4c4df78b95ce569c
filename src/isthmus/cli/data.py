"""`isthmus data`."""

from typing import Annotated

import typer
from rich.table import Table

from isthmus.cli.app import app
from isthmus.cli.console import console, say
from isthmus.cli.options import DataDir, Fit, Label, Size, SkipBad
from isthmus.cli.rows import parse_framing, read_source
from isthmus.data import datasets, files
from isthmus.errors import InputError


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A file or folder: how it is read.")] = None,
    size: Size = None,
    fit: Fit = "crop",
    skip_bad: SkipBad = False,
    label: Label = None,
    data_dir: DataDir = None,
) -> None:
    """List the data sets that have a name, and where they are; or say how a file or folder is read."""
    if source is not None:
        if source in datasets.names():
            raise InputError(f"{source} is a data set with a name: isthmus data, without it, says what it is")
        found = read_source(source, label, framing=parse_framing(size, fit, skip_bad), mixed=True)
        for line in found.understood or [f"{len(found.data.X):,} rows of shape {found.data.X.shape[1:]}"]:
            say(line)
        return
    table = Table("name", "rows", "what it is", "where", box=None)
    for name, entry in datasets.CATALOGUE.items():
        table.add_row(name, entry.shape, entry.description, datasets.location(name, data_dir))
    console.print(table)
    console.print(f"\nFiles too: {', '.join(files.READABLE)}, or a folder of images with subfolders as labels.")
