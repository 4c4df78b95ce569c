"""`isthmus data`."""

from rich.table import Table

from isthmus.cli.app import app
from isthmus.cli.console import console
from isthmus.cli.options import DataDir
from isthmus.data import datasets, files


@app.command()
def data(data_dir: DataDir = None) -> None:
    """List the data sets that have a name, and where they are."""
    table = Table("name", "rows", "what it is", "where", box=None)
    for name, entry in datasets.CATALOGUE.items():
        table.add_row(name, entry.shape, entry.description, datasets.location(name, data_dir))
    console.print(table)
    console.print(f"\nFiles too: {', '.join(files.READABLE)}, or a folder of images with subfolders as labels.")
