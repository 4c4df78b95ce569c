"""One line for a parameter without a meaning."""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

from isthmus.errors import InputError, warn_caller
from isthmus.formats.checks import check_scalar

__all__ = ["check_choice", "check_number", "warn_caller"]


def check_choice(name: str, value: Any, choices: Iterable[str | None]) -> None:
    """Raise ValueError for a value that is none of the choices, with the nearest of them."""
    if value not in tuple(choices):
        close = difflib.get_close_matches(str(value), [choice for choice in choices if choice], n=1, cutoff=0.3)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(repr(choice) for choice in choices)}"
        )
        raise InputError(f"unknown {name} {value!r}: {hint}")


def check_number(name: str, value: Any, **bounds: Any) -> None:
    """Raise TypeError for what is no number, ValueError for NaN, infinity and what is out of bounds."""
    check_scalar(value, name, numbers.Real, **bounds)
    if not math.isfinite(value):
        raise InputError(f"{name} == {value}, must be finite.")
