"""The command's first seconds, in which PyTorch is imported: Ctrl-C ends them in one line, as it does later.

It imports next to nothing, as its own import is to take no time.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

COMMAND = "isthmus"


def is_command() -> bool:
    """Tell whether this process is the command, and not a program that imports isthmus."""
    name = (getattr(sys, "argv", None) or [""])[0].replace("\\", "/").rpartition("/")[2]
    return name in (COMMAND, f"{COMMAND}.exe", f"{COMMAND}-script.py")  # as Windows has it


def end_quietly(*_: object) -> None:
    """End the process, as nothing was begun."""
    print(f"{COMMAND}: interrupted", file=sys.stderr, flush=True)
    os._exit(130)


def end_quietly_until_begun() -> None:
    """Make Ctrl-C end the command at once, until all is imported; where it is ignored or answered, it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # another thread than the main one
            signal.signal(signal.SIGINT, end_quietly)


@contextmanager
def importing() -> Iterator[None]:
    """Import what a command needs; from then on Ctrl-C raises KeyboardInterrupt, which the command line answers."""
    yield
    if signal.getsignal(signal.SIGINT) is end_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)
