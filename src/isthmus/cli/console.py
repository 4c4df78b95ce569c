"""What the command line prints."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table

from isthmus.errors import DataWarning, in_one_line, printable, shortened

if TYPE_CHECKING:
    import pandas as pd


class LenientOutput:
    """Standard output of which nobody may read the rest: what is printed costs no result.

    Attributes
    ----------
    error : OSError or None
        Why no more is printed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write text, as long as it is read."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            act()
        except OSError as error:
            self.error = error
            with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())  # what is still to be flushed goes there

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


console = Console(markup=False, emoji=False)
"""Text from data may look like markup, and is none."""

MOST_LETTERS = 20_000
"""Of a text that is printed."""


def show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Say in one line what concerns the user, and not what a library has to say to its developers."""
    if issubclass(category, DataWarning):
        return  # what was understood of the data is printed before training
    if issubclass(category, UserWarning):
        complain(str(message))


def complain(text: str) -> None:
    """Print a line on standard error."""
    print("isthmus:", in_one_line(text), file=sys.stderr)


def print_table(first: str, cells: "pd.DataFrame") -> None:
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
