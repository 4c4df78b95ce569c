"""Parameters that could not be saved with a model are told before it is trained."""

import json

from sklearn.base import BaseEstimator

from isthmus.errors import InputError, shown
from isthmus.models.plain import NOT_SAVED, check_plain, plain_params, value_of
from isthmus.saving.untrusted import WRONG, one_line, parse

MOST_LAYERS = 2**20
"""Of a network, which is held against its weights when it is loaded."""


MOST = 2**32 - 1
"""A whole number that all that follows can count to, and that is a seed."""


def check_savable(estimator: BaseEstimator) -> None:
    """Raise ValueError for a parameter that a file cannot hold, or that `load` would refuse.

    Examples
    --------
    >>> from isthmus import Autoencoder
    >>> check_savable(Autoencoder(batch_size=2**40))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    isthmus.errors.InputError: batch_size=1099511627776 could not be saved with the model: 1099511627776 is too ...
    """
    estimator.check_parameters()  # what has no meaning is said as it is in fit
    for name, value in plain_params(estimator).items():
        try:
            if value == NOT_SAVED:
                raise InputError("it is neither a number, a text, a list of these nor a network")
            plain = parse(json.dumps(value).encode())
            _check_sizes(plain)
            check_plain({name: plain})
            value_of(plain, MOST_LAYERS)
        except WRONG as error:
            given = shown(repr(getattr(estimator, name)))
            raise InputError(
                f"{name}={given} could not be saved with the model: {one_line(error, 100)}; give another value"
            ) from error


def _check_sizes(value: object) -> None:
    """Raise ValueError for a whole number, also in a list or a network, that nothing can count to."""
    if isinstance(value, int) and abs(value) > MOST:
        raise InputError(f"{shown(value, 20)} is too large, the largest is {MOST:,}")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_sizes(each)
