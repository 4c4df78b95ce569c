"""The command line: its verbs, and how a command ends."""

import errno
import os
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import typer

import isthmus
from isthmus.cli.console import LenientOutput, complain, show_warning
from isthmus.errors import InputError, InputTypeError
from isthmus.sources import bounds

app = typer.Typer(
    help="Autoencoders of every kind: train, compare, use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

BUG = "this is a bug in isthmus {}, and no mistake of yours: please report the command and the lines above"

OUT_OF_MEMORY = "memory has run out: give fewer rows or columns, a smaller batch size, or a smaller network"


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit status 2, a bug in 1."""
    bounds.forget()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack letters that a file's name has
    warnings.showwarning = lambda message, category, *_: show_warning(message, category)
    out = LenientOutput(sys.stdout or Path(os.devnull).open("w"))  # noqa: SIM115 - closed when the command ends
    try:
        with redirect_stdout(out):
            status = app(standalone_mode=False) or 0
            out.flush()
        if out.error is not None and out.error.errno != errno.EPIPE:
            raise OSError(f"what was to be printed is lost: {out.error.strerror}") from out.error
        sys.exit(status)
    except (InputError, InputTypeError, OSError, FloatingPointError, MemoryError) as error:
        complain(_said(error))
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130 and end.__cause__ is None:  # what typer makes of Ctrl-C; a run that stops has said so
            complain("interrupted")
        raise
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer raises for a command line that it cannot read
            complain(f"{error.format_message()} (isthmus --help says more)")
            sys.exit(2)
        if _is_out_of_memory(error):
            complain(OUT_OF_MEMORY)
            sys.exit(2)
        traceback.print_exc()
        complain(BUG.format(isthmus.__version__))
        sys.exit(1)
    finally:
        bounds.forget()  # what one command allows holds for none that the same program runs later


def _said(error: Exception) -> str:
    """Return what an error says; Python's own MemoryError says nothing, and others may."""
    return str(error).strip() or (OUT_OF_MEMORY if isinstance(error, MemoryError) else type(error).__name__)


def _is_out_of_memory(error: Exception) -> bool:
    from isthmus.models.engine import is_out_of_memory  # which needs PyTorch, as no parsing does

    return is_out_of_memory(error)
