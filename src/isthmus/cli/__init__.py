"""The command line: what the verbs take stands in one file, what they do in one a group; parse, call, print."""

from importlib import import_module
from types import ModuleType

from isthmus.cli import verbs
from isthmus.cli.app import app, main

__all__ = ["app", "main", "verbs"]


def __getattr__(name: str) -> ModuleType:
    """Import a file of verbs when it is asked for."""
    try:
        return import_module(f"isthmus.cli.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"isthmus.cli.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error
