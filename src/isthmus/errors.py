"""What a user is told: mistakes, which the command line says in one line, and warnings.

Any other error is a bug, and keeps its traceback.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal


class InputError(ValueError):
    """What a user gave has no meaning; the message says what is wrong, where, and what to do."""


class InputTypeError(TypeError):
    """What a user gave is of no type that can be used; the message says which can."""


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
def warnings_as(action: Literal["ignore", "error"], category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore other libraries' warnings of a category, or raise them, one thread at a time.

    Python's filters belong to the whole process: two threads that put back what each has found leave the wrong ones.
    """
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter(action, category)
        yield


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called isthmus, however many methods lie between, also those of scikit-learn's wrappers."""
    if issubclass(category, _hushed.get()):
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("isthmus.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
