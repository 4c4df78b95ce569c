"""Classes of a user's own, by their import paths: what is saved of them, and how they are found again."""

import importlib
import re
from abc import ABC
from collections.abc import Sequence
from typing import Any

from isthmus.errors import InputError, InputTypeError

PATH = re.compile(r"[\w.]{1,500}:[\w.<>]{1,500}")
"""``module:Class``, also of a class inside of another, or of a function's."""

Trusted = type[Any] | str | Sequence[type[Any] | str]
"""Classes, or their import paths."""


def path_of(kind: type[Any]) -> str:
    """Return a class's import path, ``module:Class``."""
    return f"{kind.__module__}:{kind.__qualname__}"


def can_be_imported(path: str) -> bool:
    """Tell whether a path leads to a class in another process: not to one of a script, or in a function."""
    return not path.startswith("__main__:") and "<" not in path


def family_of(kind: type[Any]) -> type[Any]:
    """Return the class of isthmus that a class is, or is a subclass of.

    Raises
    ------
    TypeError
        If it is of none that can be saved.
    """
    for each in kind.__mro__:
        if each.__module__.startswith("isthmus.models.") and ABC not in each.__bases__:
            return each
    raise InputTypeError(f"{kind.__name__} is no subclass of a family of isthmus, such as Autoencoder: it is not saved")


def find(path: Any, family: type[Any], trusted: Trusted) -> type[Any]:
    """Return the class that was saved under a path, where it is trusted; nothing else is imported.

    Raises
    ------
    ValueError
        If it is not trusted, is not there, or is no subclass of `family`.
    """
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise InputError("it has a class of its own under a path that is none")
    named = [trusted] if isinstance(trusted, str | type) else list(trusted)
    wrong = next((each for each in named if not isinstance(each, str | type)), None)
    if wrong is not None:
        raise InputTypeError(f"trusted has {wrong!r}: give classes, or their paths as text, such as {path!r}")
    classes = [each for each in named if isinstance(each, type)]
    same = [each for each in classes if path_of(each) == path]
    same += [each for each in classes if each.__name__ == path.rpartition(":")[2].rpartition(".")[2]]  # which has moved
    if same:
        found: Any = same[0]
    elif path in named and can_be_imported(path):
        found = _imported(path)
    else:
        raise InputError(_not_trusted(path))
    if not isinstance(found, type) or not issubclass(found, family):
        raise InputError(f"{path} is no subclass of {family.__name__}, and was one when it was saved")
    return found


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{path} cannot be imported: {error}") from error
    return found


def _not_trusted(path: str) -> str:
    name = path.rpartition(":")[2].rpartition(".")[2]
    said = f"it holds a class of your own, {path}: give it, load(folder, trusted=[{name}])"
    if not can_be_imported(path):
        return f"{said}; it has no import path"
    return f"{said}, or trusted=[{path!r}], which imports it"
