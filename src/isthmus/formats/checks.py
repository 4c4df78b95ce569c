"""Checks of what a user gives, scikit-learn's among them: what they find wrong is the user's mistake."""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from sklearn import utils
from sklearn.base import BaseEstimator
from sklearn.utils import validation

from isthmus.errors import InputError, InputTypeError, users_mistake

Asked = ParamSpec("Asked")
Value = TypeVar("Value")

RandomState = int | np.random.RandomState | None
"""What random numbers are drawn by: a seed, or NumPy's generator; None: others each time."""


def _of_the_user(check: Callable[Asked, Value]) -> Callable[Asked, Value]:
    @wraps(check)
    def checked(*args: Asked.args, **named: Asked.kwargs) -> Value:
        with users_mistake():
            return check(*args, **named)

    return checked


def check_scalar(value: Value, name: str, kind: type | tuple[type, ...], **bounds: object) -> Value:
    """Raise TypeError for what is of another type, True and False where a number is meant among it, ValueError beyond.

    See :func:`sklearn.utils.check_scalar`.
    """
    if isinstance(value, bool) and kind in (numbers.Integral, numbers.Real):
        raise InputTypeError(f"{name} == {value}, must be a number.")
    return _check_scalar(value, name, kind, **bounds)


_check_scalar = _of_the_user(utils.check_scalar)
check_array = _of_the_user(utils.check_array)
check_random_state = _of_the_user(utils.check_random_state)
column_or_1d = _of_the_user(validation.column_or_1d)
_validate_data = _of_the_user(validation.validate_data)


LONGEST_CHOICE = 200
"""Letters by which a value that is no choice is likened to them."""


def check_choice(name: str, value: object, choices: Iterable[str | None], *, likened: bool = True) -> None:
    """Raise ValueError for a value that is none of the choices, with the nearest of them, or with all."""
    if value not in tuple(choices):
        text = str(value)[:LONGEST_CHOICE]  # of a stranger's text, long as a book, the search would take a second
        close = difflib.get_close_matches(text, [choice for choice in choices if choice and likened], n=1, cutoff=0.3)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(repr(choice) for choice in choices)}"
        )
        raise InputError(f"unknown {name} {value!r}: {hint}")


def check_number(name: str, value: float, **bounds: object) -> None:
    """Raise TypeError for what is no number, ValueError for NaN, infinity and what is out of bounds."""
    check_scalar(value, name, numbers.Real, **bounds)
    if not math.isfinite(value):
        raise InputError(f"{name} == {value}, must be finite.")


class Columns(NamedTuple):
    """What scikit-learn notes of the columns of `X`, and holds later rows against.

    Attributes
    ----------
    n_features_in_ : int, optional
        How many there are.
    feature_names_in_ : ndarray of str, optional
        Their names, where all are text.
    """

    n_features_in_: int | None = None
    feature_names_in_: np.ndarray | None = None


def validate(family: str, columns: Columns | None, X: object, **checks: object) -> tuple[Any, Columns]:
    """Check rows as :func:`sklearn.utils.validation.validate_data` does for an estimator of that name.

    Parameters
    ----------
    family : str
        What messages call the estimator.
    columns : Columns or None
        Those of ``fit``; None notes them.
    X : array-like
    **checks
        Those of ``validate_data``.

    Returns
    -------
    rows : ndarray, or `X` with ``skip_check_array``
    columns : Columns
    """
    estimator = type(family, (BaseEstimator,), {})()  # which is all that scikit-learn's function looks at
    for name, value in (columns or Columns())._asdict().items():
        if value is not None:
            setattr(estimator, name, value)
    rows = _validate_data(estimator, X, reset=columns is None, **checks)
    return rows, Columns(*(getattr(estimator, name, None) for name in Columns._fields))
