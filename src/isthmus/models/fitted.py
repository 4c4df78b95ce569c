"""What a fitted estimator knows ↔ what JSON holds of it, checked, as a file may be a stranger's."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.conditions import Condition
from isthmus.formats.containers import CONTAINERS
from isthmus.formats.frames import Frame
from isthmus.formats.modalities import Modality
from isthmus.formats.schema import Schema
from isthmus.saving.untrusted import MOST_TENSORS

FITTED = (
    "n_features_in_",
    "row_shape_",
    "history_",
    "start_",
    "best_epoch_",
    "interrupted_",
    "rescaled_",
    "active_units_",
    "dead_units_",
    "threshold_",
    "flat_",
    "framed_",
    "container_",
    "block_weights_",
    "hidden_",
    "bins_",
)
FITTED_ARRAYS = ("feature_names_in_", "classes_", "y_mean_", "y_scale_", "mean_", "scale_")

NEEDED: dict[str, set[str]] = {
    "OutlierDetector": {"offset_"},
    "MultimodalAutoencoder": {"modalities_", "block_weights_"},
    "SequenceAutoencoder": {"flat_", "mean_", "scale_"},
    "TabularAutoencoder": {"schema_", "framed_"},
}
"""What a family cannot do without, beside what all have."""

LONGEST_TEXT = 2**24
"""Letters that an array of text may take: each of its words takes as many as the longest."""


def from_json(name: str, value: Any) -> Any:
    """Turn what JSON held into a fitted attribute again."""
    if name in FITTED_ARRAYS:
        return np.array(value, dtype=object if name == "feature_names_in_" else None)
    if name == "schema_":
        return Schema.from_json(value)
    if name == "frame_":
        return Frame.from_json(value)
    if name == "conditions_":
        return tuple(Condition.from_json(fields) for fields in value)
    if name == "modalities_":
        return tuple(Modality.from_json(fields) for fields in value)
    return tuple(value) if name in ("row_shape_", "hidden_") else value


def check_fitted(family: str, fitted: Mapping[str, Any]) -> None:
    """Raise ValueError where what JSON held is not what an estimator of that family learns in ``fit``."""
    lacking = NEEDED.get(family, set()) - set(fitted)
    if family != "OutlierDetector":
        lacking |= {"n_features_in_", "row_shape_", "history_"} - set(fitted)
    if lacking:
        raise InputError(f"{min(lacking)} is not there")
    for name, value in fitted.items():
        if name not in CHECKS:
            raise InputError(f"{name!r} is nothing that is learnt in fit")
        if not CHECKS[name](value):
            raise InputError(f"{name} cannot be {_cut(value)}")
    _check_lengths(family, fitted)


def _check_lengths(family: str, fitted: Mapping[str, Any]) -> None:
    """Raise ValueError where attributes that are as long as one another are not."""
    n, row_shape = fitted.get("n_features_in_"), fitted.get("row_shape_")
    is_table = "schema_" in fitted  # whose dates are several entries, and of which columns may be left out
    if row_shape is not None and n not in (row_shape[-1], math.prod(row_shape)) and not is_table:
        raise InputError(f"n_features_in_={n} features are not those of rows of shape {row_shape}")
    epochs = len(fitted.get("history_", ()))
    if fitted.get("best_epoch_", 0) > epochs:
        raise InputError(f"best_epoch_={fitted['best_epoch_']} is none of its {epochs} epochs")
    if ("y_mean_" in fitted) != ("y_scale_" in fitted):
        raise InputError("y_mean_ and y_scale_ go together")
    if ("mean_" in fitted) != ("scale_" in fitted):
        raise InputError("mean_ and scale_ go together")
    is_image = family != "SequenceAutoencoder" and row_shape is not None and len(row_shape) > 1
    scaled = n if row_shape is None or not is_image else row_shape[0] if len(row_shape) == 3 else 1
    pairs = [
        ("mean_", scaled),
        ("scale_", scaled),
        ("feature_names_in_", n),
        ("y_scale_", len(fitted.get("y_mean_", ()))),
    ]
    for name, length in pairs:
        if name in fitted and len(fitted[name]) != length:
            raise InputError(f"{name} has {len(fitted[name])} values, and {length} are needed")


def check_parts(estimator: Any) -> None:
    """Raise ValueError where the columns or modalities of a row are not as many as its entries."""
    schema = getattr(estimator, "schema_", None)
    if schema is not None and estimator.n_features_in_ != len(schema.names):
        raise InputError(f"its schema has {len(schema.names)} columns, and it has {estimator.n_features_in_}")
    size = (0 if schema is None else len(schema.cells)) + sum(
        modality.size for modality in getattr(estimator, "modalities_", ())
    )
    if size and estimator.row_shape_ != (size,):
        raise InputError(f"its columns or modalities make rows of shape {(size,)}, and it has {estimator.row_shape_}")
    if hasattr(estimator, "frame_") and len(estimator.frame_.names) != estimator.n_features_in_:
        raise InputError(f"its frame_ has {len(estimator.frame_.names)} columns, and rows {estimator.n_features_in_}")
    if not hasattr(estimator, "modalities_"):
        return
    columns = {modality.name: modality.columns for modality in estimator.modalities_}
    if len(columns) < len(estimator.modalities_) or set(estimator.block_weights_) != set(columns):
        raise InputError("its modalities have no name, or no weight, each of its own")
    framed = hasattr(estimator, "feature_names_in_")
    blocks = {name: tuple(block) for name, block in (estimator.blocks or {}).items()}
    if blocks != (columns if framed else {}) or (not framed and set(columns.values()) != {None}):
        raise InputError("its blocks are not the columns of its modalities")
    if framed and sorted(map(str, estimator.feature_names_in_)) != sorted(
        str(c) for block in blocks.values() for c in block
    ):
        raise InputError("its feature_names_in_ are not the columns of its modalities")


def _is_whole(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) is float or _is_whole(value)  # of JSON there are no others, and this is fast


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _all(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) > 0 and all(map(check, value))


def _named(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _is_record(value: Any) -> bool:
    """Tell whether it is a line of the history: numbers, and terms by the rows that they are of."""
    return _named(lambda each: _is_number(each) or _named(_is_number)(each))(value) and _is_whole(value.get("epoch"))


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return _is_whole(value) and 1 <= value < 2**40


def _is_shape(value: Any) -> bool:
    return _all(_is_size)(value) and len(value) <= 3


def are_classes(value: Any) -> bool:
    """Tell whether a list has classes, each once: all of them words, or truth values, or numbers."""
    if not isinstance(value, list) or not value:
        return False
    kinds = {type(each) for each in value}
    if kinds == {str}:
        return len(set(value)) == len(value) and len(value) * max(map(len, value)) <= LONGEST_TEXT
    return (kinds == {bool} or (kinds <= {int, float} and all(map(_is_finite, value)))) and len(set(value)) == len(
        value
    )


def _are_scales(value: Any) -> bool:
    return _all(_is_finite)(value) and min(value) > 0


CHECKS: dict[str, Callable[[Any], bool]] = {
    "n_features_in_": _is_size,
    "row_shape_": _is_shape,
    "history_": lambda value: value == [] or _all(_is_record)(value),
    "start_": lambda value: value is None or _named(_is_number)(value),
    "best_epoch_": lambda value: _is_whole(value) and value >= 0,
    "interrupted_": _is_bool,
    "rescaled_": _is_bool,
    "active_units_": _is_whole,
    "dead_units_": _is_whole,
    "threshold_": lambda value: _is_finite(value) and value >= 0,
    "flat_": _is_bool,
    "framed_": _is_bool,
    "container_": lambda value: value in CONTAINERS,
    "frame_": lambda value: isinstance(value, dict),
    "block_weights_": _named(_is_finite),
    "hidden_": lambda value: _all(_is_size)(value) and len(value) == 2,
    "bins_": lambda value: _is_whole(value) and 0 <= value < 2**20,
    "feature_names_in_": _all(lambda name: isinstance(name, str | int)),
    "classes_": are_classes,
    "y_mean_": _all(_is_finite),
    "y_scale_": _are_scales,
    "mean_": _all(_is_finite),
    "scale_": _are_scales,
    "schema_": lambda value: isinstance(value, dict),
    # Each has some tensors of its own.
    "modalities_": lambda value: _all(lambda each: isinstance(each, dict))(value) and len(value) < MOST_TENSORS / 4,
    "conditions_": lambda value: _all(lambda each: isinstance(each, dict))(value) and len(value) > 1,
    "offset_": _is_number,
    "calibration_": lambda value: isinstance(value, dict),
}
"""What each attribute may be in JSON; schema, modalities and calibration check what is in them themselves."""


def _cut(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 60 else shown[:60] + "…"
