"""What the command line prints."""

import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from isthmus.errors import DataWarning

console = Console()


def show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Say in one line what concerns the user, and not what a library has to say to its developers."""
    if issubclass(category, DataWarning):
        return  # what was understood of the data is printed before training
    if issubclass(category, UserWarning):
        complain(str(message))


def complain(text: str) -> None:
    """Print a line on standard error."""
    print("isthmus:", " ".join(text.split()), file=sys.stderr)


def print_table(first: str, cells: pd.DataFrame) -> None:
    """Print text on lines long enough for it, whatever the terminal's width: a cut figure is no figure."""
    table = Table(first, box=None)
    for name in cells.columns:
        table.add_column(str(name), justify="right")
    for line in cells.itertuples():
        table.add_row(*map(str, line))
    Console(width=max(console.width, 140)).print(table)


def say(text: str) -> None:
    """Print text as it is, on lines as long as they are."""
    console.print(text, soft_wrap=True, highlight=False)
