"""A run's state ↔ one file, so that it can be stopped anywhere and go on to the bit. No pickle.

The file holds tensors, as safetensors, and in its header what JSON can hold. It is written under a temporary name,
flushed to disk and renamed: until the new one is whole the one before is there.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from isthmus.errors import InputError
from isthmus.saving.atomic import replacing
from isthmus.saving.attributes import JsonObject
from isthmus.saving.untrusted import WRONG, ReplacedError, one_line, opened_tensors, parse
from isthmus.training.checked import (
    check_alike,
    check_figures,
    check_generators,
    check_history,
    check_moments,
    check_progress,
    check_schedule,
    check_weights,
    is_count,
    is_number,
)
from isthmus.training.figures import Figures
from isthmus.training.history_file import Records
from isthmus.training.state import Best, Evaluation, Position, Snapshot, Start, State, StateDict, expected_moments

CHECKPOINT = "checkpoint.safetensors"
VERSION = 3
READABLE = (2, 3)
"""In version 2 the history was in the checkpoint itself."""


def write(path: Path, state: State, about: JsonObject, records: Records) -> None:
    """Write what is new of the history, and then a state to one file, whole or not at all.

    Raises
    ------
    OSError
        If that cannot be done: in one line that says why. The checkpoint before is untouched.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{path.parent} has vanished while the run was kept there: bring it back, or begin anew"
        )
    tensors, config = _tensors(state), _config(state) | {"about": dict(about)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        config["history"] = records.keep(state.history)
        config["sha256"] = _digest(config, tensors)
        with replacing(path) as temporary:
            temporary.write_bytes(tensors_to_bytes(tensors, {"isthmus": json.dumps(config)}))
    except OSError as error:
        raise OSError(f"cannot keep the run: {path}: {error}; what was kept before is whole, to resume from") from error


def read_about(path: Path) -> JsonObject:
    """Read what a checkpoint says of its run.

    Raises
    ------
    ValueError
        If it is no checkpoint, or of another version.
    """
    try:
        with opened_tensors(path) as (file, _):
            config = parse((file.metadata() or {})["isthmus"].encode())
    except (SafetensorError, ReplacedError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no checkpoint, or it is truncated: delete it to start afresh") from error
    if not isinstance(config, dict) or config.get("version") not in READABLE:
        raise InputError(f"{path} is of another version: resume it with the isthmus that wrote it")
    if not isinstance(config.get("about"), dict):
        raise InputError(f"{path} is altered: it does not say how its run was begun; delete it to start afresh")
    return config


def read(path: Path, state: State, records: Records, epochs: int) -> State:
    """Bring a state that was made anew, for so many epochs, to where it was when it was written.

    Raises
    ------
    ValueError
        If the file is no checkpoint of such a state.
    """
    config = read_about(path)
    try:
        with opened_tensors(path) as (file, _):
            # Cloned, as what stays mapped to the file would change with it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (SafetensorError, ReplacedError, *WRONG) as error:
        raise InputError(f"{path} is truncated or altered: {one_line(error)}; delete it to start afresh") from error
    if config.pop("sha256", None) != _digest(config, tensors):
        raise InputError(f"{path} is altered: its checksum differs; delete it to start afresh")
    if config["version"] > 2:
        try:
            config["history"] = records.read(config["history"])
        except (OSError, *WRONG) as error:
            raise InputError(f"{path} has lost its history: {one_line(error)}; delete it to start afresh") from error
    try:
        if config.get("position") is not None and "sizes" in tensors:
            config["position"]["sizes"] = tensors["sizes"].tolist()  # of as many steps as an epoch may have
        _restored(state, config, tensors)
        check_history(state.history)
        check_progress(state, epochs)
        return state
    except (SafetensorError, *WRONG) as error:
        raise InputError(f"{path} is not of this model and these parameters: {one_line(error)}") from error


def _digest(config: JsonObject, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _config(state: State) -> JsonObject:
    best, position, at = state.best, state.position, None
    if position is not None:
        at = {
            "seconds": position.seconds,
            "figures": position.figures.names,  # a file of tensors keeps no order
            "optimizer": _groups(position.start.optimizer),
            "kept": _kept(position.start.optimizer),
            "scheduler": None if position.start.scheduler is None else _numbers(position.start.scheduler),
        }
    return {
        "version": VERSION,
        "epoch": state.epoch,
        "halvings": state.halvings,
        "stopped": state.stopped,
        "start": None if state.start is None else state.start._asdict(),
        "optimizer": _groups(state.optimizer.state_dict()),
        "kept": _kept(state.optimizer.state_dict()),
        "scheduler": None if state.scheduler is None else _numbers(state.scheduler.state_dict()),
        "best": best and {"means": best.start.means, "lowest": best.lowest, "epoch": best.epoch},
        "position": at,
    }


def _tensors(state: State) -> dict[str, Tensor]:
    tensors = _named("model", state.model.state_dict()) | _moments("optimizer", state.optimizer.state_dict())
    tensors |= {"generator": state.generator.get_state(), "dropout": state.draws.get_state()}
    if state.best is not None:
        tensors |= _named("best", state.best.weights) | {"losses": state.best.start.losses}
    if state.position is not None:
        start = state.position.start
        tensors |= _named("start.model", start.weights) | _moments("start.optimizer", start.optimizer)
        tensors["start.generator"] = start.generator
        tensors["sizes"] = torch.tensor(state.position.sizes, dtype=torch.int64)
        tensors |= _named("figures", state.position.figures.columns())
    return tensors


def _restored(state: State, config: JsonObject, tensors: Mapping[str, Tensor]) -> State:
    device = state.device
    _check(state, config, tensors)
    state.model.load_state_dict(_part("model", tensors))
    state.optimizer.load_state_dict(_optimizer(state, config, "optimizer", tensors))
    if state.scheduler is not None:
        state.scheduler.load_state_dict(config["scheduler"])
    state.generator.set_state(tensors["generator"])
    state.draws.set_state(tensors["dropout"])
    state.epoch, state.history, state.halvings = config["epoch"], config["history"], config["halvings"]
    state.stopped = bool(config["stopped"])
    state.start = None if config["start"] is None else Start(**config["start"])
    if config["best"] is not None:
        start = Evaluation(config["best"]["means"], tensors["losses"].to(device))
        weights = {name: tensor.to(device) for name, tensor in _part("best", tensors).items()}
        state.best = Best(start, config["best"]["lowest"], weights, config["best"]["epoch"], state.monitor)
    at = config["position"]
    if at is not None:
        optimizer = _optimizer(state, at, "start.optimizer", tensors)
        snapshot = Snapshot(_part("start.model", tensors), optimizer, at["scheduler"], tensors["start.generator"])
        columns = {name: tensors[f"figures.{name}"].to(device) for name in at["figures"]}
        state.position = Position(snapshot, at["seconds"], Figures(columns), at["sizes"])
    return state


def _check(state: State, config: JsonObject, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where a checkpoint's numbers and tensors are not of the kind that the state's own are."""
    at, best, start = config["position"], config["best"], config["start"]
    own = None if state.scheduler is None else json.loads(json.dumps(_numbers(state.scheduler.state_dict())))
    for found in (config, *([] if at is None else [at])):
        check_alike("optimizer", found["optimizer"], json.loads(json.dumps(_groups(state.optimizer.state_dict()))))
        check_alike("scheduler", found["scheduler"], own)
        check_schedule(found["scheduler"], own)
    counts = [config["epoch"], config["halvings"], *([] if at is None else at["sizes"])]
    counts += [] if start is None else [start["rows"]]
    if not all(map(is_count, counts)):
        raise InputError("its epoch, halvings or sizes are no counts")
    if best is not None and not (is_count(best["epoch"]) and best["epoch"] <= config["epoch"]):
        raise InputError("its best epoch is none of those that it has done")
    numbers = [*([] if at is None else [at["seconds"]]), *([] if best is None else [best["lowest"]])]
    numbers += [] if best is None else best["means"].values()
    if start is not None:
        numbers += [start["least"], *start["means"].values(), *start["probe"].values()]
        if not {"mse", "loss"} <= start["means"].keys() & start["probe"].keys() or start["rows"] < 1:
            raise InputError("its start has no squared error")
    if best is not None and not {"mse", "loss"} <= best["means"].keys():
        raise InputError("its start on held-out rows has no squared error")
    if not all(map(is_number, numbers)):
        raise InputError("its best loss, its start's or its seconds are no numbers")
    _check_tensors(state, config, tensors)


def _check_tensors(state: State, config: JsonObject, tensors: Mapping[str, Tensor]) -> None:
    check_generators(state, tensors)
    at, best, own = config["position"], config["best"], state.model.state_dict()
    if best is not None:
        check_weights("best", _part("best", tensors), own)
        if tensors["losses"].ndim != 1 or not tensors["losses"].is_floating_point():
            raise InputError("its losses of held-out rows are no list of numbers")
    check_moments(state, "optimizer", _part("optimizer", tensors), config.get("kept", {}))
    if at is not None:
        check_weights("start.model", _part("start.model", tensors), own)
        check_moments(state, "start.optimizer", _part("start.optimizer", tensors), at.get("kept", {}))
        known = [each["means"] for each in (best, config["start"]) if each is not None]
        check_figures(at["figures"], at["sizes"], _part("figures", tensors), known)


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def _moments(prefix: str, optimizer: StateDict) -> dict[str, Tensor]:
    """Return the tensors of an optimiser's state, by the number of the weight and their own name."""
    return {
        f"{prefix}.{weight}.{name}": tensor
        for weight, moments in optimizer["state"].items()
        for name, tensor in moments.items()
        if isinstance(tensor, Tensor)
    }


def _kept(optimizer: StateDict) -> dict[str, object]:
    """Return what of an optimiser's state is no tensor, by the same names."""
    return {
        f"{weight}.{name}": value
        for weight, moments in optimizer["state"].items()
        for name, value in moments.items()
        if not isinstance(value, Tensor)
    }


def _groups(optimizer: StateDict) -> list[dict[str, object]]:
    """Return the numbers of an optimiser's state: learning rates and the like."""
    return [_numbers(group) for group in optimizer["param_groups"]]


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is not state, but code: a scheduler keeps its annealing function by name beside it."""
    return {name: value for name, value in values.items() if not callable(value)}


def _optimizer(state: State, config: JsonObject, prefix: str, tensors: Mapping[str, Tensor]) -> StateDict:
    moments: dict[int, dict[str, object]] = {}
    for name, value in (_part(prefix, tensors) | config.get("kept", {})).items():
        weight, _, moment = name.partition(".")
        moments.setdefault(int(weight), {})[moment] = value
    own = state.optimizer.state_dict()["param_groups"]
    groups = [
        {name: tuple(value) if isinstance(like.get(name), tuple) else value for name, value in group.items()}
        for group, like in zip(config["optimizer"], own, strict=True)
    ]
    return {"state": moments, "param_groups": groups}


def check_optimizer_is_kept(state: State) -> None:
    """Raise ValueError where the state of a person's own optimiser is none that a file holds to the bit."""
    if state.optimize is None:
        return
    fault = None
    weights = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    for index, moments in expected_moments(state).items():
        for name, value in moments.items():
            is_plain = value is None or isinstance(value, bool | int | float | str)
            if isinstance(value, Tensor):  # torch brings all but a step to the weight's dtype when it is put back
                is_plain = name == "step" or not value.is_floating_point() or value.dtype == weights[index].dtype
            fault = fault if is_plain else name
    groups = state.optimizer.state_dict()["param_groups"]
    try:
        json.dumps([_numbers(group) for group in groups])
    except TypeError:
        fault = "its settings"
    if fault is not None:
        called = type(state.optimizer).__name__
        raise InputError(
            f"the run cannot be kept: {called} holds {fault!r}, which no checkpoint does; leave out resume_from"
        )
