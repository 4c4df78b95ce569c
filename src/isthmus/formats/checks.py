"""scikit-learn's checks of what a user gives: what they find wrong is the user's mistake."""

import numbers
from collections.abc import Callable
from functools import wraps
from typing import Any

from sklearn import utils
from sklearn.utils import validation

from isthmus.errors import InputTypeError, users_mistake


def _of_the_user(check: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(check)
    def checked(*args: Any, **named: Any) -> Any:
        with users_mistake():
            return check(*args, **named)

    return checked


def check_scalar(value: Any, name: str, kind: Any, **bounds: Any) -> Any:
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
validate_data = _of_the_user(validation.validate_data)
