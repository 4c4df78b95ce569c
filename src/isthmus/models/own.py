"""Classes of a user's own, by their import paths: what is saved of them, and how they are found again."""

import importlib
import re
from abc import ABC
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

import torch

from isthmus.core.bottlenecks.base import Bottleneck, Prior
from isthmus.core.likelihoods.base import Likelihood
from isthmus.errors import InputError, InputTypeError

Family = TypeVar("Family")

PATH = re.compile(r"[\w.]{1,500}:[\w.<>]{1,500}")
"""``module:Class``, also of a class inside of another, or of a function's."""

Definition = Callable[..., object]
"""A class or a function."""

Trusted = Definition | str | Iterable[Definition | str]
"""Classes and functions, or their import paths: ``module:Name``, or ``module.Name``."""

Named = Sequence[Definition | str]
"""The same, as :func:`listed` has them."""

OURS = ("isthmus.core.bottlenecks.", "isthmus.core.likelihoods.", "isthmus.core.corruption:", "isthmus.core.penalties.")
"""Where parts are isthmus's own, which need no trust."""


def path_of(kind: Definition) -> str:
    """Return a class's or a function's import path, ``module:Name``; that of torch's optimisers by the shorter one."""
    name = kind.__qualname__
    return f"torch.optim:{name}" if getattr(torch.optim, name, None) is kind else f"{kind.__module__}:{name}"


def can_be_imported(path: str) -> bool:
    """Tell whether a path leads to a class in another process: not to one of a script, or in a function."""
    return not path.startswith("__main__:") and "<" not in path


def family_of(kind: type) -> type:
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


def find(path: object, family: type[Family], trusted: Named) -> type[Family]:
    """Return the class that was saved under a path, where it is trusted; nothing else is imported.

    Raises
    ------
    ValueError
        If it is not trusted, is not there, or is no subclass of `family`.
    """
    found = _found(path, trusted, "class")
    if not isinstance(found, type) or not issubclass(found, family):
        raise InputError(f"{path} is no subclass of {family.__name__}, and was one when it was saved")
    return found


def find_part(path: object, trusted: Named) -> Definition:
    """Return the class or function of a part that was saved under a path, where it is trusted, or is no stranger's.

    Raises
    ------
    ValueError
        If it is not trusted, or is not there.
    """
    module, _, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if module == "torch.optim" and isinstance(getattr(torch.optim, name, None), type):
        return getattr(torch.optim, name)
    if isinstance(path, str) and path.startswith(OURS) and PATH.fullmatch(path):
        found = _imported(path)
        is_part = isinstance(found, type) and issubclass(found, Likelihood | Bottleneck | Prior)
        if is_part or getattr(found, "__module__", None) == module:
            return found
    return _found(path, trusted, "part")


def listed(trusted: Trusted) -> list[Definition | str]:
    """Return what is trusted as a list.

    Raises
    ------
    TypeError
        If it is, or has in it, what is neither a class or function nor text.
    """
    is_one = isinstance(trusted, str) or callable(trusted) or not isinstance(trusted, Iterable)
    named: list[Definition | str] = [trusted] if is_one else list(trusted)  # type: ignore[list-item, arg-type]
    for each in named:
        if not isinstance(each, str) and not hasattr(each, "__qualname__"):
            raise InputTypeError(f"trusted has {each!r}: give classes, or their paths as text: 'module:Name'")
    return named


def _found(path: object, trusted: Named, what: str) -> Definition:
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise InputError(f"it has a {what} of its own under a path that is none")
    classes = [each for each in trusted if not isinstance(each, str)]
    same = [each for each in classes if path_of(each) == path]
    same += [each for each in classes if each.__name__ == path.rpartition(":")[2].rpartition(".")[2]]  # which has moved
    if same:
        return same[0]
    if can_be_imported(path) and (path in trusted or path.replace(":", ".") in trusted):
        return _imported(path)
    raise InputError(_not_trusted(path, what))


def _imported(path: str) -> Definition:
    module, _, name = path.partition(":")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise InputError(f"{path} cannot be imported: {error}") from error


def _not_trusted(path: str, what: str) -> str:
    name = path.rpartition(":")[2].rpartition(".")[2]
    said = f"it holds a {what} of your own, {path}: give it, load(folder, trusted=[{name}])"
    if not can_be_imported(path):
        return f"{said}; it has no import path"
    return f"{said}, or trusted=[{path!r}], which imports it"
