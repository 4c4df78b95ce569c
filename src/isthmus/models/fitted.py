"""What a fitted estimator knows ↔ what JSON holds of it, checked, as a file may be a stranger's."""

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isthmus.data.modalities import Modality
from isthmus.data.schema import Schema

FITTED = (
    "n_features_in_",
    "row_shape_",
    "history_",
    "start_",
    "interrupted_",
    "active_units_",
    "flat_",
    "framed_",
    "block_weights_",
)
FITTED_ARRAYS = ("feature_names_in_", "classes_", "y_mean_", "y_scale_", "mean_", "scale_")

LONGEST_TEXT = 2**24
"""Letters that an array of text may take: each of its words takes as many as the longest."""


def from_json(name: str, value: Any) -> Any:
    """Turn what JSON held into a fitted attribute again."""
    if name in FITTED_ARRAYS:
        return np.array(value, dtype=object if name == "feature_names_in_" else None)
    if name == "schema_":
        return Schema.from_json(value)
    if name == "modalities_":
        return tuple(Modality.from_json(fields) for fields in value)
    return tuple(value) if name == "row_shape_" else value


def check_fitted(fitted: Mapping[str, Any], needed: set[str]) -> None:
    """Raise ValueError where what JSON held is not what an estimator learns in ``fit``."""
    lacking = needed - set(fitted)
    if lacking:
        raise ValueError(f"{min(lacking)} is not there")
    for name, value in fitted.items():
        if name not in CHECKS:
            raise ValueError(f"{name!r} is nothing that is learnt in fit")
        if not CHECKS[name](value):
            raise ValueError(f"{name} cannot be {_cut(value)}")
    _check_lengths(fitted)


def _check_lengths(fitted: Mapping[str, Any]) -> None:
    """Raise ValueError where attributes that are as long as one another are not."""
    n, row_shape = fitted.get("n_features_in_"), fitted.get("row_shape_")
    if row_shape is not None and n not in (row_shape[-1], math.prod(row_shape)):
        raise ValueError(f"n_features_in_={n} features are not those of rows of shape {row_shape}")
    pairs = [("mean_", n), ("scale_", n), ("feature_names_in_", n), ("y_scale_", len(fitted.get("y_mean_", ())))]
    for name, length in pairs:
        if name in fitted and len(fitted[name]) != length:
            raise ValueError(f"{name} has {len(fitted[name])} values, and {length} are needed")


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _all(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) > 0 and all(map(check, value))


def _named(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _is_record(value: Any) -> bool:
    """Tell whether it is a line of the history: numbers, and terms by the rows that they are of."""
    return _named(lambda each: _is_number(each) or _named(_is_number)(each))(value) and is_whole(value.get("epoch"))


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return is_whole(value) and 1 <= value < 2**40


def _is_shape(value: Any) -> bool:
    return _all(_is_size)(value) and len(value) <= 3


def are_classes(value: Any) -> bool:
    """Tell whether a list has classes, each once: all of them words, or truth values, or numbers."""
    if not isinstance(value, list) or not value:
        return False
    kinds = {type(each) for each in value}
    if kinds == {str}:
        return len(set(value)) == len(value) and len(value) * max(map(len, value)) <= LONGEST_TEXT
    return (kinds == {bool} or (kinds <= {int, float} and all(map(_is_finite, value)))) and len(set(value)) == len(value)


def _are_scales(value: Any) -> bool:
    return _all(_is_finite)(value) and min(value) > 0


CHECKS: dict[str, Callable[[Any], bool]] = {
    "n_features_in_": _is_size,
    "row_shape_": _is_shape,
    "history_": lambda value: value == [] or _all(_is_record)(value),
    "start_": lambda value: value is None or _named(_is_number)(value),
    "interrupted_": _is_bool,
    "active_units_": is_whole,
    "flat_": _is_bool,
    "framed_": _is_bool,
    "block_weights_": _named(_is_finite),
    "feature_names_in_": _all(lambda name: isinstance(name, str | int)),
    "classes_": are_classes,
    "y_mean_": _all(_is_finite),
    "y_scale_": _are_scales,
    "mean_": _all(_is_finite),
    "scale_": _are_scales,
    "schema_": lambda value: isinstance(value, dict),
    "modalities_": _all(lambda value: isinstance(value, dict)),
    "offset_": _is_number,
}
"""What each attribute may be in JSON; schema and modalities check what is in them themselves."""


def _cut(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 60 else shown[:60] + "…"
