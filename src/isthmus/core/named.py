"""Tables of parts that have a name."""

from collections.abc import Mapping
from typing import TypeVar

Kind = TypeVar("Kind")


def named(module: Mapping[str, object], kind: type[Kind]) -> dict[str, type[Kind]]:
    """Return the classes of a kind that a module imports, by the ``name`` that each declares; others have none."""
    classes = [each for each in module.values() if isinstance(each, type) and issubclass(each, kind)]
    return {vars(each)["name"]: each for each in classes if "name" in vars(each)}
