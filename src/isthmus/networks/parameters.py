"""What every network object is: its parameters, by scikit-learn's protocol."""

import numbers
from dataclasses import fields
from typing import Any, Protocol, Self, TypeGuard

from torch import nn

from isthmus.errors import InputError, InputTypeError


class Parameters:
    """``get_params`` and ``set_params`` for a dataclass, so that ``clone`` and ``network__hidden`` work on it."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default True
            There for scikit-learn's sake; it changes nothing.

        Returns
        -------
        dict of str to object
            Their values.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params: object) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **params
            Values by name; they are checked by ``build``.

        Returns
        -------
        self
            The network itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        for name, value in params.items():
            if name not in self.get_params():
                raise InputError(
                    f"{type(self).__name__} has no parameter {name!r}: it has {', '.join(self.get_params())}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Show the parameters that are not at their default, as scikit-learn does."""
        changed = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)  # type: ignore[arg-type]
            if repr(getattr(self, field.name)) != repr(field.default)  # an array has no one ==
        )
        return f"{type(self).__name__}({', '.join(changed)})"


def values_of(value: object) -> tuple[Any, ...] | None:
    """Return what a sequence, an array or the like holds; None where `value` is a single one, or text."""
    try:
        return None if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number, which True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_share(name: str, value: object) -> None:
    """Raise ValueError for what is no number in [0, 1)."""
    if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise InputError(f"{name}={value!r}: give a share in [0, 1)")


def check_whole(shown: str, value: object, least: int) -> None:
    """Raise TypeError for what is no whole number, ValueError for one below the least; `shown` says what it is."""
    if not is_whole(value):
        raise InputTypeError(f"{shown}: give a whole number")
    if value < least:
        raise InputError(f"{shown}: give at least {least}")


def check_truth_value(name: str, value: object) -> None:
    """Raise TypeError for what is neither True nor False."""
    if not isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r}: give True or False")


class Network(Protocol):
    """Anything that can build an encoder and a decoder."""

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Return a new encoder, (rows, *row_shape) → (rows, moments · n_components), and a new decoder.

        The decoder maps (rows, n_components) → (rows, *row_shape). `moments` is how many numbers the encoder gives for
        each unit of the code: 2 for a Gaussian one, all means first and then all log-variances. With `n_context` above
        0 both are called with a context, (rows, n_context), as a second argument.
        """

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters by name."""
