"""What the command line prints."""

import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from isthmus.errors import DataWarning, in_one_line, printable, shortened

console = Console(markup=False, emoji=False)
"""Text from data may look like markup, and is none."""

MOST_LETTERS = 20_000
"""Of a text that is printed."""


def show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Say in one line what concerns the user, and not what a library has to say to its developers."""
    if issubclass(category, DataWarning):
        return  # what was understood of the data is printed before training
    if issubclass(category, UserWarning):
        complain(str(message))


def complain(text: str) -> None:
    """Print a line on standard error."""
    print("isthmus:", in_one_line(text), file=sys.stderr)


def print_table(first: str, cells: pd.DataFrame) -> None:
    """Print text on lines long enough for it, whatever the terminal's width: a cut figure is no figure."""
    table = Table(first, box=None)
    for name in cells.columns:
        table.add_column(printable(str(name)), justify="right")
    for line in cells.itertuples():
        table.add_row(*(printable(str(cell)) for cell in line))
    Console(width=max(console.width, 140), markup=False, emoji=False).print(table)


def say(text: str) -> None:
    """Print text as it is, on lines as long as they are."""
    console.print(shortened(printable(text, keep="\n"), MOST_LETTERS), soft_wrap=True, highlight=False)
