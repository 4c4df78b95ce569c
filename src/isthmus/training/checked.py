"""Whether what a checkpoint holds is what a state can go on with: it may be a stranger's, whose checksum is right."""

import math
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from torch import Tensor

from isthmus.errors import InputError, shown
from isthmus.saving.attributes import JsonObject
from isthmus.training.state import State, expected_moments

MOST = 2.0**63
"""Beyond any number in a checkpoint."""


def is_count(value: object) -> bool:
    """Tell whether it is a whole number, and none that overflows."""
    return type(value) is int and 0 <= value < MOST


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether it is a number, be it NaN or infinite, and none that overflows."""
    return type(value) is float or (type(value) is int and abs(value) < MOST)


def check_alike(name: str, found: object, own: object) -> None:
    """Raise ValueError where two JSON values differ in more than their numbers, or one is none to compute with."""
    if isinstance(found, dict) and isinstance(own, dict) and found.keys() == own.keys():
        for key, value in found.items():
            check_alike(f"{name}.{key}", value, own[key])
        return
    if isinstance(found, list) and isinstance(own, list) and len(found) == len(own) and not name.endswith(".params"):
        for value, other in zip(found, own, strict=True):
            check_alike(name, value, other)
        return
    are_numbers = type(found) is type(own) and is_number(found) and math.isfinite(found)
    if not (are_numbers or (type(found) is type(own) and found == own)):
        raise InputError(f"{name} is {shown(found, 50)}, and not {own!r}")


def check_schedule(found: JsonObject | None, own: JsonObject | None) -> None:
    """Raise ValueError where a schedule of the learning rate is of other steps, or beyond the last."""
    if found is not None and own is not None and "total_steps" in own:
        if found["total_steps"] != own["total_steps"]:
            raise InputError(f"its schedule is of {found['total_steps']} steps, and not {own['total_steps']}")
        if not 0 <= found["last_epoch"] < own["total_steps"]:
            raise InputError(f"its schedule is at step {found['last_epoch']} of {own['total_steps']}")


def check_weights(name: str, found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise ValueError where tensors have other names, shapes or dtypes than the state's own."""
    if found.keys() != own.keys():
        raise InputError(f"{name} has other tensors than the model")
    for key, tensor in own.items():
        if found[key].shape != tensor.shape or found[key].dtype != tensor.dtype:
            raise InputError(f"{name}.{key} is of shape {tuple(found[key].shape)} and {found[key].dtype}")


def check_generators(state: State, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where the state of a generator of random numbers is none."""
    own = {"generator": state.generator.get_state(), "dropout": state.draws.get_state()}
    own["start.generator"] = own["generator"]
    for name, tensor in own.items():
        found = tensors.get(name)
        if found is not None and (found.shape != tensor.shape or found.dtype != tensor.dtype):
            raise InputError(f"{name} is no state of a generator of random numbers")


def check_moments(state: State, prefix: str, found: Mapping[str, Tensor], kept: Mapping[str, object]) -> None:
    """Raise ValueError where moments are not those of all weights, or of none, as before the first step."""
    if state.optimize is not None:
        _check_own_moments(state, prefix, {**found, **kept})
        return
    if kept:
        raise InputError(f"{prefix} has other moments than those of Adam")
    weights = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    names = ("step", "exp_avg", "exp_avg_sq")
    own = {f"{i}.{name}": weights[i] for i in range(len(weights)) for name in names}
    if found and found.keys() != own.keys():
        raise InputError(f"{prefix} has other moments than those of the model's weights")
    for name, tensor in found.items():
        shape = () if name.endswith(".step") else own[name].shape
        if tensor.shape != shape or not tensor.is_floating_point():
            raise InputError(f"{prefix}.{name} is of shape {tuple(tensor.shape)} and {tensor.dtype}")


def _check_own_moments(state: State, prefix: str, found: Mapping[str, object]) -> None:
    """Raise ValueError where they are not such as the optimiser itself has after a step."""
    own = {f"{i}.{name}": value for i, each in expected_moments(state).items() for name, value in each.items()}
    if found and found.keys() != own.keys():
        raise InputError(f"{prefix} has other moments than those of the model's weights")
    for name, value in found.items():
        like, fits = own[name], type(value) is type(own[name])
        if isinstance(value, Tensor) and isinstance(like, Tensor):
            fits = value.shape == like.shape and value.dtype == like.dtype
        if not fits:
            raise InputError(f"{prefix}.{name} is not what this optimizer has there")


def check_figures(
    names: object, sizes: Iterable[int], columns: Mapping[str, Tensor], known: Iterable[Iterable[str]]
) -> None:
    """Raise ValueError where what the batches of an epoch have said so far is not of so many batches."""
    sizes = list(sizes)
    if not all(size > 0 for size in sizes):
        raise InputError("a batch of its epoch has no rows")
    if not isinstance(names, list) or {*names} != {*columns} or (sizes and not {"mse", "loss"} <= {*names}):
        raise InputError("the figures of its epoch are not those that it names")
    for name, column in columns.items():
        if column.shape != (len(sizes),):
            raise InputError(f"figures.{name} is not of {len(sizes)} batches")
    for each in known:
        if sizes and {*each} != {*names}:
            raise InputError("the figures of its epoch are not those of the model's terms")


def check_history(history: object) -> None:
    """Raise ValueError where records of epochs are not what training makes."""
    if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
        raise InputError("its history is no list of records")
    for record in history:
        parts = [record.get("train"), *([record["validation"]] if "validation" in record else [])]
        are_numbers = all(isinstance(part, dict) and all(map(is_number, part.values())) for part in parts)
        if not is_count(record.get("epoch")) or not is_number(record.get("seconds")) or not are_numbers:
            raise InputError("a record of its history is none of an epoch")
        if not all("loss" in part for part in parts):
            raise InputError("a record of its history has no loss")


def check_progress(state: State, epochs: int) -> None:
    """Raise ValueError where a state has not done as many epochs as its history, or not the steps of these.

    The schedule has steps for `epochs` alone, and fails after the last of them.
    """
    if state.epoch != len(state.history):
        raise InputError(f"it has done {state.epoch} epochs, and its history has {len(state.history)}")
    if state.scheduler is None:
        return
    now, position = state.scheduler.state_dict(), state.position
    done = state.epoch * ((now["total_steps"] - 1) // epochs)
    steps = [(now["last_epoch"], done + (0 if position is None else len(position.sizes)))]
    if position is not None and position.start.scheduler is not None:
        steps.append((position.start.scheduler["last_epoch"], done))
    for found, due in steps:
        if found != due:
            raise InputError(f"its schedule is at step {found}, and it has done {due}")
