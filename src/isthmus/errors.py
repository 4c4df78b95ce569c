"""What a user is told: mistakes, which the command line says in one line, and warnings.

Any other error is a bug, and keeps its traceback.
"""

import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

MOST_LETTERS = 1000
"""Of a message; of a longer one the middle is left out."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""What moves a terminal's cursor, colours it, turns the direction of text, or is no letter at all (half of a pair)."""


def printable(text: str, keep: str = "") -> str:
    r"""Return text with its control characters as Python writes them, but for those to keep.

    Examples
    --------
    >>> printable("a\x1b[31mb\udcff")
    'a\\x1b[31mb\\udcff'
    """
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def shortened(text: str, most: int) -> str:
    """Return text, of a long one its beginning and its end."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 1]}…{text[len(text) - end :]}"


def in_one_line(text: str, most: int = MOST_LETTERS) -> str:
    """Return text in one line of printable letters, cut in the middle where it is long."""
    spaced = " ".join(text[: 4 * most].split() if len(text) > 8 * most else text.split())
    if len(text) > 8 * most:  # of megabytes not each letter is looked at
        spaced += " … " + " ".join(text[-most:].split())
    return shortened(printable(spaced), most)


def shown(value: object, most: int = 80) -> str:
    """Return a value as a message has room for it."""
    return in_one_line(str(value), most)


def with_kind(error: Exception) -> str:
    """Return what an error says after its kind, for one that nobody had in mind."""
    said = shown(error, 300)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class InputError(ValueError):
    """What a user gave has no meaning; the message says what is wrong, where, and what to do.

    It is one line of printable letters, whatever of a user's data it repeats.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(in_one_line(each) if isinstance(each, str) else each for each in said))


class InputTypeError(TypeError):
    """What a user gave is of no type that can be used; the message says which can."""

    def __init__(self, *said: object) -> None:
        super().__init__(*(in_one_line(each) if isinstance(each, str) else each for each in said))


class DataWarning(UserWarning):
    """What was made of a person's data that they may not think of; the message says how to have it otherwise."""


@contextmanager
def users_mistake() -> Iterator[None]:
    """Make ours what a library's check of a user's values raises: a ValueError, or a TypeError."""
    try:
        yield
    except (InputError, InputTypeError):
        raise
    except TypeError as error:
        raise InputTypeError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error


class NewCategoryWarning(UserWarning):
    """Rows hold categories that those of ``fit`` did not; the message says which, and how to learn them."""


_hushed: ContextVar[tuple[type[Warning], ...]] = ContextVar("hushed", default=())

_filtering = threading.RLock()


@contextmanager
def hushed(category: type[Warning]) -> Iterator[None]:
    """Keep back isthmus's own warnings of a category, in this thread alone: what they say is said elsewhere."""
    token = _hushed.set((*_hushed.get(), category))
    try:
        yield
    finally:
        _hushed.reset(token)


@contextmanager
def warnings_as(
    action: Literal["ignore", "error"], category: type[Warning] = Warning, message: str = ""
) -> Iterator[None]:
    """Ignore other libraries' warnings of a category that begin with a message, or raise them, one thread at a time.

    Python's filters belong to the whole process: two threads that put back what each has found leave the wrong ones.
    """
    with _filtering, warnings.catch_warnings():
        warnings.filterwarnings(action, message, category)
        yield


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called isthmus, however many methods lie between, also of wrappers and context managers."""
    if issubclass(category, _hushed.get()):
        return
    frame, level = sys._getframe(1), 2
    passed = ("isthmus.", "sklearn.", "contextlib")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(passed):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
