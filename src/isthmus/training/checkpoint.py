"""A run's state ↔ one file, so that it can be stopped anywhere and go on to the bit. No pickle.

The file holds tensors, as safetensors, and in its header what JSON can hold. It is written under a temporary name,
flushed to disk and renamed: until the new one is whole the one before is there.
"""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.description import are_alike
from isthmus.errors import InputError, shown
from isthmus.saving.atomic import remove_left, replacing
from isthmus.saving.untrusted import (
    MOST_HEADER,
    WRONG,
    ReplacedError,
    check_counts,
    one_line,
    opened,
    opened_tensors,
    opened_to_change,
    parse,
)
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
from isthmus.training.loop import Interrupted
from isthmus.training.state import Best, Evaluation, Position, Snapshot, Start, State

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "checkpoint.history.jsonl"
"""The epochs' records, one a line, which are appended to; a checkpoint says how many bytes of it are its own."""

LOCK = ".lock"
WRITTEN = ("checkpoint", "run", "model", "config", "report")
"""What is written in a run's folder, under temporary names that begin so after a dot."""

VERSION = 3
READABLE = (2, 3)
"""In version 2 the history was in the checkpoint itself."""

SHARE = 20
"""Times as long as writing a checkpoint took, at the least, until the next one at the end of an epoch."""

MOST_ABOUT = MOST_HEADER // 2
"""Bytes of what is said of a run, in the header of its checkpoint; as much is left for the names of its tensors."""

GUESS = 1e8
"""Bytes a second that the first one is taken to be written at."""


class Checkpoints:
    """Keeps a run's state: at the end of epochs, as long as that costs little, and after so many minutes at the latest.

    At the end of an epoch it is written where the run has gone on for twenty times as long as writing it takes, so that
    keeping a run costs a twentieth; and at the end of the run.

    Parameters
    ----------
    folder : path
        Where ``checkpoint.safetensors`` is kept.
    minutes : float
        Time after which one is written in any case, also inside an epoch.
    about : mapping
        What else the run must find again: its ``seed``, its rows' checksum, its parameters. Of a run that goes on it
        is what it was begun with.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of a run with other rows or parameters, or what is said of the run is longer
        than is read again.
    """

    def __init__(self, folder: str | Path, minutes: float, about: Mapping[str, Any]) -> None:
        self.path = Path(folder) / CHECKPOINT
        self.seconds = 60 * minutes
        self.about = dict(about)
        _check_readable(self.about)
        self.asked: int | None = None
        self.took = 0.0
        self.epochs = 0
        self.records = Records(self.path.with_name(HISTORY))
        if self.path.exists():
            found = read_about(self.path)["about"]
            _check_same(self.path, self.about, found)
            self.about = found

    def restore(self, state: State, epochs: int) -> None:
        """Bring a state to where the checkpoint is; where there is none, leave it at the beginning of its epochs."""
        self.epochs = epochs
        if self.path.exists():
            read(self.path, state, self.records, epochs)
        self.took = _bytes(state) / GUESS
        self.written = time.monotonic()

    def __call__(self, state: State) -> None:
        """Write a checkpoint where it is time to.

        Raises
        ------
        Interrupted
            If the process was asked to stop: the checkpoint is written.
        OSError
            If it cannot be written; the one before is untouched.
        """
        began = time.monotonic()
        if not self._is_due(state, began - self.written) and self.asked is None:
            return
        write(self.path, state, self.about, self.records)
        self.written = time.monotonic()
        self.took = self.written - began
        if self.asked is not None:
            raise Interrupted(self.asked)

    def _is_due(self, state: State, since: float) -> bool:
        """Tell whether it is time to write, so many seconds after the last one."""
        if since > self.seconds:
            return True
        at_the_end = state.stopped or state.epoch == self.epochs
        return state.position is None and (at_the_end or since >= SHARE * self.took)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep other processes out, and let Ctrl-C and SIGTERM wait for the end of a step and its checkpoint.

        Raises
        ------
        OSError
            If another process is there.
        """
        with locked(self.path.parent), self._listening():
            yield

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may
            return
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
            if self.asked is not None:
                raise Interrupted(self.asked)  # after the last step: the run is kept as it is
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = number


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder, until this one leaves it or dies."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, blocking=False, is_singleton=True)  # a run may ask again for what it has
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(
            f"another process is training in {folder}: wait for it, or give another folder"
        ) from error
    try:
        for name in WRITTEN:
            for stray in folder.glob(f".{name}-*"):
                remove_left(stray)  # what a killed process was writing
        yield
    finally:
        lock.release()


class Records:
    """The history of a run in a file beside its checkpoint, of which just what is new is written.

    What a process that was killed has written beyond what its checkpoint knows of is written over.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.epochs, self.bytes, self.digest = path, 0, 0, hashlib.sha256()

    def keep(self, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Bring to the disk what is new of a history, and return what a checkpoint must know of it."""
        new = "".join(json.dumps(record) + "\n" for record in history[self.epochs :]).encode()
        if new or not self.path.exists():
            with opened_to_change(self.path) as file:
                if os.fstat(file.fileno()).st_size < self.bytes:
                    raise OSError("it was cut while the run was kept there")
                file.seek(self.bytes)
                file.write(new)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            self.digest.update(new)
            self.epochs, self.bytes = len(history), self.bytes + len(new)
        return {"epochs": self.epochs, "bytes": self.bytes, "sha256": self.digest.hexdigest()}

    def read(self, known: Any) -> list[dict[str, Any]]:
        """Return the history that a checkpoint knows of.

        Raises
        ------
        ValueError
            If it is not there whole and unaltered.
        """
        epochs, length = known["epochs"], known["bytes"]
        if not type(epochs) is type(length) is int or not 0 <= epochs <= length:
            raise InputError("its history has no length")
        with opened(self.path) as file:
            if os.fstat(file.fileno()).st_size < length:
                raise InputError(f"{self.path} is truncated")
            content = file.read(length)
        digest = hashlib.sha256(content)
        if digest.hexdigest() != known["sha256"]:
            raise InputError(f"{self.path} is altered: its checksum differs")
        history = [parse(line) for line in content.splitlines()]
        if len(history) != epochs:
            raise InputError(f"{self.path} has {len(history)} epochs, and the checkpoint {epochs}")
        self.epochs, self.bytes, self.digest = epochs, length, digest
        return history


def write(path: Path, state: State, about: Mapping[str, Any], records: Records) -> None:
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
        reason = str(error)
        raise OSError(
            f"cannot keep the run: {path}: {reason}; what was kept before is whole, to resume from"
        ) from error


def _check_readable(about: Mapping[str, Any]) -> None:
    """Raise ValueError where what is said of a run would be refused when it is read."""
    content = json.dumps(about).encode()
    fault = f"they take {len(content)} bytes, and {MOST_ABOUT} are kept" if len(content) > MOST_ABOUT else None
    try:
        check_counts(content)
    except InputError as error:
        fault = str(error)
    if fault is not None:
        raise InputError(f"the run could not be kept, as its parameters are too long: {fault}; give shorter ones")


def read_about(path: Path) -> dict[str, Any]:
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


def _digest(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all that a checkpoint holds."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()


FREE = ("verbose", "device", "random_state")
"""Parameters that a run may go on with others of: the seed that it began with is in the checkpoint."""


def _check_same(path: Path, about: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ValueError where a run would go on as another one than it was begun as."""
    if found.get("precision") != about["precision"]:
        raise InputError(
            f"{path} is of a run in {found.get('precision')}, and this one would be in {about['precision']}: say it by "
            "precision, or delete the file to start afresh"
        )
    if found.get("rows") != about["rows"]:
        raise InputError(f"{path} is of a run with other rows: give those again, or delete it to start afresh")
    if found.get("warm") != about["warm"]:
        raise InputError(f"{path} is of a run whose warm_start was not this one's: delete it to start afresh")
    before, now = found.get("params"), about["params"]
    seed = found.get("seed")
    if not isinstance(before, dict) or type(seed) is not int or not 0 <= seed < 2**31:
        raise InputError(f"{path} is altered: it does not say how its run was begun; delete it to start afresh")
    other = [name for name in {*before, *now} - {*FREE} if before.get(name) != now.get(name)]
    unsaved_before, unsaved = found.get("unsaved"), about.get("unsaved", {})
    if isinstance(unsaved_before, dict):  # older checkpoints do not say what of a parameter JSON cannot hold
        other += [name for name in {*unsaved_before, *unsaved} - {*FREE} if _differ(name, unsaved_before, unsaved)]
    if other:
        name = min(other)
        was, is_now = (_said(name, *each) for each in ((before, unsaved_before), (now, unsaved)))
        same = " in other code or settings" if was == is_now else ""
        raise InputError(
            f"{path} is of a run with {name}={was}, and not {is_now}{same}: set it back, or delete the file to start "
            "afresh"
        )


def _differ(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a parameter that JSON cannot hold is another one now."""
    one, other = before.get(name), now.get(name)
    return not isinstance(one, dict) or not isinstance(other, dict) or not are_alike(one, other)


def _said(name: str, params: Mapping[str, Any], unsaved: Any) -> str:
    """Say what a parameter is."""
    described = unsaved.get(name) if isinstance(unsaved, dict) else None
    if isinstance(described, dict):
        return shown(described.get("said"), 300)
    return shown(repr(params.get(name)), 300)


def checksum(rows: Batch) -> str:
    """Return the SHA-256 of rows and their context: their shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for tensor in (rows.x, rows.context):
        if tensor is not None:
            array = np.ascontiguousarray(tensor.cpu().numpy())
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(array.data)
    return digest.hexdigest()


def _bytes(state: State) -> int:
    """Return about how much a checkpoint at the end of an epoch holds: weights, two moments of each, the best ones."""
    weights = sum(weight.numel() * weight.element_size() for weight in state.model.parameters())
    return 4 * weights


def _config(state: State) -> dict[str, Any]:
    position = state.position
    return {
        "version": VERSION,
        "epoch": state.epoch,
        "halvings": state.halvings,
        "stopped": state.stopped,
        "start": None if state.start is None else state.start._asdict(),
        "optimizer": _groups(state.optimizer.state_dict()),
        "scheduler": None if state.scheduler is None else _numbers(state.scheduler.state_dict()),
        "best": None
        if state.best is None
        else {"means": state.best.start.means, "lowest": state.best.lowest, "epoch": state.best.epoch},
        "position": None
        if position is None
        else {
            "seconds": position.seconds,
            "figures": list(position.figures[0]) if position.figures else [],  # a file of tensors keeps no order
            "optimizer": _groups(position.start.optimizer),
            "scheduler": None if position.start.scheduler is None else _numbers(position.start.scheduler),
        },
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
        figures = state.position.figures
        for name in figures[0] if figures else ():
            tensors[f"figures.{name}"] = torch.stack([torch.as_tensor(batch[name]).detach() for batch in figures])
    return tensors


def _restored(state: State, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> State:
    device = state.device
    _check(state, config, tensors)
    state.model.load_state_dict(_part("model", tensors))
    state.optimizer.load_state_dict(_optimizer(config["optimizer"], "optimizer", tensors))
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
        state.best = Best(start, config["best"]["lowest"], weights, config["best"]["epoch"])
    at = config["position"]
    if at is not None:
        optimizer = _optimizer(at["optimizer"], "start.optimizer", tensors)
        snapshot = Snapshot(_part("start.model", tensors), optimizer, at["scheduler"], tensors["start.generator"])
        columns = {name: tensors[f"figures.{name}"].to(device) for name in at["figures"]}
        figures = [{name: column[i] for name, column in columns.items()} for i in range(len(at["sizes"]))]
        state.position = Position(snapshot, at["seconds"], figures, at["sizes"])
    return state


def _check(state: State, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
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


def _check_tensors(state: State, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    check_generators(state, tensors)
    at, best, own = config["position"], config["best"], state.model.state_dict()
    if best is not None:
        check_weights("best", _part("best", tensors), own)
        if tensors["losses"].ndim != 1 or not tensors["losses"].is_floating_point():
            raise InputError("its losses of held-out rows are no list of numbers")
    check_moments(state, "optimizer", _part("optimizer", tensors))
    if at is not None:
        check_weights("start.model", _part("start.model", tensors), own)
        check_moments(state, "start.optimizer", _part("start.optimizer", tensors))
        known = [each["means"] for each in (best, config["start"]) if each is not None]
        check_figures(at["figures"], at["sizes"], _part("figures", tensors), known)


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def _moments(prefix: str, optimizer: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of an optimiser's state, by the number of the weight and their own name."""
    return {
        f"{prefix}.{weight}.{name}": tensor
        for weight, moments in optimizer["state"].items()
        for name, tensor in moments.items()
    }


def _groups(optimizer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the numbers of an optimiser's state: learning rates and the like."""
    return [_numbers(group) for group in optimizer["param_groups"]]


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not state, but code: a scheduler keeps its annealing function by name beside it."""
    return {name: value for name, value in values.items() if not callable(value)}


def _optimizer(groups: list[dict[str, Any]], prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(prefix, tensors).items():
        weight, _, moment = name.partition(".")
        state.setdefault(int(weight), {})[moment] = tensor
    return {"state": state, "param_groups": [group | {"betas": tuple(group["betas"])} for group in groups]}
