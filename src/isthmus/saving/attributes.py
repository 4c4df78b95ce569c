"""Fitted attributes that are saved: whoever owns one declares what JSON may hold of it, and how it comes back."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard, TypeVar

import numpy as np

from isthmus.errors import InputError

LONGEST_TEXT = 2**24
"""Letters that an array of text may take: each of its words takes as many as the longest."""

Json: TypeAlias = "str | float | bool | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can hold."""

JsonObject: TypeAlias = dict[str, Any]
"""An object of JSON that was read, or is to be written: whoever owns a value checks what it is."""

Value = TypeVar("Value")

Check = Callable[[object], bool]


def same(value: Value) -> Value:
    """Return the value: it is in JSON what it is in Python."""
    return value


@dataclass(frozen=True)
class Attribute:
    """A fitted attribute that is saved.

    Parameters
    ----------
    check : callable
        What JSON held → whether it can be that, as a file may be a stranger's.
    from_json, to_json : callable
        What JSON holds ↔ the attribute.
    needed : bool, default False
        Whether an estimator can do nothing without it.
    """

    check: Check
    from_json: Callable[..., object] = same
    to_json: Callable[..., object] = same
    needed: bool = False


def check_attributes(declared: Mapping[str, Attribute], fitted: Mapping[str, object]) -> None:
    """Raise ValueError where what JSON held is not what is declared."""
    lacking = {name for name, attribute in declared.items() if attribute.needed} - set(fitted)
    if lacking:
        raise InputError(f"{min(lacking)} is not there")
    for name, value in fitted.items():
        if name not in declared:
            raise InputError(f"{name!r} is nothing that is learnt in fit")
        if not declared[name].check(value):
            shown = repr(value)
            raise InputError(f"{name} cannot be {shown if len(shown) < 60 else shown[:60] + '…'}")


def check_lengths(owner: object, lengths: Mapping[str, int | None]) -> None:
    """Raise ValueError where arrays, as far as they are there, are not of these lengths; `mean_` goes with `scale_`."""
    there = {name: getattr(owner, name) for name in lengths if getattr(owner, name) is not None}
    for one, other in (("mean_", "scale_"), ("y_mean_", "y_scale_")):
        if one in lengths and (one in there) != (other in there):
            raise InputError(f"{one} and {other} go together")
    for name, array in there.items():
        if len(array) != lengths[name]:
            raise InputError(f"{name} has {len(array)} values, and {lengths[name]} are needed")


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether JSON held a whole number of 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether JSON held a number, NaN and infinity among them."""
    return type(value) is float or is_whole(value)  # of JSON there are no others, and this is fast


def is_finite(value: object) -> TypeGuard[float]:
    """Tell whether JSON held a finite number."""
    return is_number(value) and math.isfinite(value)


def is_bool(value: object) -> bool:
    """Tell whether JSON held true or false."""
    return isinstance(value, bool)


def is_dict(value: object) -> bool:
    """Tell whether JSON held a dict, whose content checks itself."""
    return isinstance(value, dict)


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether JSON held a whole number from 0 on."""
    return is_whole(value) and value >= 0


def is_size(value: object) -> TypeGuard[int]:
    """Tell whether JSON held a number of entries that an array may have."""
    return is_whole(value) and 1 <= value < 2**40


def all_of(check: Check) -> Callable[[object], TypeGuard[list[Any]]]:
    """Return a check for a list of one or more values."""

    def are_all(value: object) -> TypeGuard[list[Any]]:
        return isinstance(value, list) and len(value) > 0 and all(map(check, value))

    return are_all


def dict_of(check: Check) -> Check:
    """Return a check for a dict of values."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def is_shape(value: object) -> bool:
    """Tell whether JSON held the shape of a row."""
    return all_of(is_size)(value) and len(value) <= 3


def are_scales(value: object) -> bool:
    """Tell whether JSON held finite numbers above 0."""
    return all_of(is_finite)(value) and min(value) > 0


def are_classes(value: object) -> bool:
    """Tell whether JSON held classes, each once: all of them words, or truth values, or numbers."""
    if not isinstance(value, list) or not value:
        return False
    kinds = {type(each) for each in value}
    if kinds == {str}:
        return len(set(value)) == len(value) and len(value) * max(map(len, value)) <= LONGEST_TEXT
    are_plain = kinds == {bool} or (kinds <= {int, float} and all(map(is_finite, value)))
    return are_plain and len(set(value)) == len(value)


def array_of(check: Check, *, dtype: type | None = None, needed: bool = False) -> Attribute:
    """Return an array whose values JSON has as a list."""
    return Attribute(check, lambda value: np.array(value, dtype=dtype), lambda array: array.tolist(), needed)


FLAG = Attribute(is_bool)
COUNT = Attribute(is_count)
SIZE = Attribute(is_size, needed=True)
SHAPE = Attribute(is_shape, tuple, list, needed=True)
NUMBERS = array_of(all_of(is_finite))
SCALES = array_of(are_scales)
NAMES = array_of(all_of(lambda name: isinstance(name, str | int)), dtype=object)


def is_record(value: Any) -> bool:
    """Tell whether it is a line of a history: numbers, and terms by the rows that they are of."""
    return dict_of(lambda each: is_number(each) or dict_of(is_number)(each))(value) and is_whole(value.get("epoch"))
