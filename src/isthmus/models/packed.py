"""Long lists of numbers in a model's config ↔ tensors beside its weights: long histories, wide tables.

A config of few numbers holds them itself, as people and older versions can read it then.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from isthmus.errors import InputError
from isthmus.saving.attributes import JsonObject
from isthmus.saving.persistence import OF_CONFIG

SCALES = ("mean_", "scale_", "y_mean_", "y_scale_")
RANGES = ("low", "high", "decimals")
"""Of a frame: a number of each column."""


def pack(config: JsonObject) -> tuple[JsonObject, dict[str, Tensor]]:
    """Return a config without its long lists, and these as tensors by name."""
    tensors: dict[str, Tensor] = {}
    config = dict(config)
    for fitted in _fitted_of(config):
        if fitted.get("history_"):
            runs = itertools.groupby(fitted["history_"], _structure)
            fitted["history_"] = [_columns(list(run), tensors) for _, run in runs]
        if "schema_" in fitted:
            steps = [{name: _put(each, tensors) for name, each in step.items()} for step in fitted["schema_"]["steps"]]
            fitted["schema_"] = fitted["schema_"] | {"steps": steps}
        fitted |= {name: _put(fitted[name], tensors) for name in SCALES if name in fitted}
        if "frame_" in fitted:
            fitted["frame_"] = fitted["frame_"] | {name: _put(fitted["frame_"][name], tensors) for name in RANGES}
    return config, tensors


def unpack(config: JsonObject, tensors: Mapping[str, Tensor]) -> tuple[JsonObject, dict[str, Tensor]]:
    """Return a config with its long lists, and the weights that are left; raise ValueError where they do not fit."""
    ours = {name: each for name, each in tensors.items() if name.startswith(OF_CONFIG)}
    config = dict(config)
    for fitted in _fitted_of(config):
        if "history_" in fitted:
            fitted["history_"] = [record for run in fitted["history_"] for record in _records(run, ours)]
        if "schema_" in fitted:
            steps = [{name: _take(each, ours) for name, each in step.items()} for step in fitted["schema_"]["steps"]]
            fitted["schema_"] = fitted["schema_"] | {"steps": steps}
        fitted |= {name: _taken(fitted[name], ours) for name in SCALES if name in fitted}
        if "frame_" in fitted:
            fitted["frame_"] = {name: _range(name, each, ours) for name, each in fitted["frame_"].items()}
    if ours:
        raise InputError(f"it has numbers that are none of its config's, {min(ours)}")
    return config, {name: each for name, each in tensors.items() if not name.startswith(OF_CONFIG)}


def _fitted_of(config: JsonObject) -> Iterator[JsonObject]:
    """Yield what was learnt, copied into the config, of an estimator and of those within it."""
    config["fitted"] = dict(config["fitted"])
    yield config["fitted"]
    if "autoencoder" in config:
        config["autoencoder"] = dict(config["autoencoder"])
        yield from _fitted_of(config["autoencoder"])
    if "autoencoders" in config:
        config["autoencoders"] = [dict(each) for each in config["autoencoders"]]
        for each in config["autoencoders"]:
            yield from _fitted_of(each)


def _structure(value: object) -> object:
    if isinstance(value, dict):
        return tuple((name, _structure(each)) for name, each in value.items())
    return type(value)


def _columns(records: list[JsonObject], tensors: dict[str, Tensor]) -> JsonObject:
    """Return records of one structure as columns."""
    columns = {name: [record[name] for record in records] for name in records[0]}
    return {
        name: _columns(column, tensors) if isinstance(column[0], dict) else _put(column, tensors)
        for name, column in columns.items()
    }


def _records(columns: JsonObject, tensors: dict[str, Tensor]) -> list[JsonObject]:
    lists = [_records(each, tensors) if isinstance(each, dict) else _take(each, tensors) for each in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _put(values: Sequence[float | None], tensors: dict[str, Tensor]) -> str:
    name = f"{OF_CONFIG}{len(tensors)}"
    values = [-1 if each is None else each for each in values]  # decimals that are none; no other list has gaps
    whole = all(type(each) is int for each in values)
    tensors[name] = torch.tensor(values, dtype=torch.int64 if whole else torch.float64)
    return name


def _taken(given: str | list[float], tensors: dict[str, Tensor]) -> list[float]:
    """Return the numbers of a tensor, or those that stand in the config itself."""
    return _take(given, tensors) if isinstance(given, str) else given


def _range(name: str, given: str | list[float], tensors: dict[str, Tensor]) -> str | Sequence[float | None]:
    """Return what a frame says of its columns."""
    if name not in RANGES:
        return given
    values = _taken(given, tensors)
    return [None if each == -1 else each for each in values] if name == "decimals" else values


def _take(name: object, tensors: dict[str, Tensor]) -> list[float]:
    """Return the numbers of a tensor, which is then gone, so that no few letters ask for much."""
    found = tensors.pop(name, None) if isinstance(name, str) else None
    if found is None or found.dtype not in (torch.int64, torch.float64) or not 1 <= found.ndim <= 2:
        raise InputError("its config names numbers that are not in the file of its weights")
    return found.tolist()
