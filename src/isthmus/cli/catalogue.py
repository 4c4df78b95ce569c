"""`isthmus data` without a file: it needs no pandas, which takes longer to import than all else of it."""

from rich.table import Table

from isthmus.cli.console import console, say
from isthmus.cli.meaning import allow
from isthmus.cli.options import DataOptions
from isthmus.sources.catalogue import CATALOGUE, location
from isthmus.sources.endings import READABLE


def data(options: DataOptions) -> None:
    """List the data sets that have a name."""
    allow(options.source, options.max_gb, options.max_pixels)
    table = Table("name", "rows", "what it is", "where", box=None)
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.shape, entry.description, location(name, options.data_dir))
    console.print(table)
    say(f"\nFiles too: {', '.join(READABLE)}, or a folder of images with subfolders as labels.")
