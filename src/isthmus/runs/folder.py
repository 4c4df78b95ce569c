"""A run's folder: what was asked for, so that a run can be resumed, and used, without saying it again."""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from isthmus.errors import InputError, shown
from isthmus.saving import persistence
from isthmus.saving.atomic import check_writable, replacing
from isthmus.saving.attributes import Check, JsonObject
from isthmus.saving.untrusted import MOST_BYTES, one_line, parse, read_file
from isthmus.sources import datasets
from isthmus.sources.dataset import Table
from isthmus.sources.pieces import Stream
from isthmus.training.checkpoint import CHECKPOINT
from isthmus.training.history_file import HISTORY
from isthmus.training.keeper import LOCK

RUN = "run.json"
FILES = (RUN, CHECKPOINT, HISTORY, LOCK, persistence.CONFIG, persistence.WEIGHTS, "report.html")
"""All that a run's folder has."""

WHERE = (
    "data", "label", "data_dir", "window", "stride", "time", "group", "features", "step", "size", "fit", "skip_bad",
    "from", "from_sha256", "kinds", "drop", "na", "stream",
)  # fmt: skip
HOW = (
    "model", "seed", "components", "network", "hidden", "channels", "epochs", "batch_size", "lr", "scale", "settings",
)  # fmt: skip
MOST_LETTERS = 2**16
"""Of a text in a run's description."""

MOST_WHOLE = 2**53
"""Beyond any number in it: no data have as many rows, steps or columns."""


def described(**asked: Any) -> JsonObject:
    """Return what was asked for as JSON can hold it; a path as one that holds from anywhere."""
    data, data_dir, start = asked["data"], asked["data_dir"], asked.get("from")
    where = data if data in datasets.names() else str(Path(data).resolve()) if Path(data).exists() else data
    folder = None if data_dir is None else str(Path(data_dir).resolve())
    begun_at = {"from": start and str(Path(start).resolve()), "from_sha256": start and model_checksum(start)}
    return asked | {"data": where, "data_dir": folder, "checksum": None, "finished": False} | begun_at


def model_checksum(folder: str | Path) -> str:
    """Return the SHA-256 of a saved model's description, which has that of its weights."""
    return hashlib.sha256(read_file(Path(folder) / persistence.CONFIG, MOST_BYTES)).hexdigest()


def check_free(folder: Path, *, overwrite: bool = False) -> None:
    """Raise where no run can begin in `folder`: it holds other things or another run, or is not ours.

    A finished run may be overwritten where that is asked for, and where nothing is in the folder but the run.
    """
    for place in (folder, beside(folder)):
        if is_noted(place) and (place != folder or not read(place)["finished"]):
            where = "it" if place == folder else str(place)
            raise FileExistsError(
                f"{folder} holds a run that is not finished: train --resume {folder}, or delete {where}"
            )
    if is_finished(folder):
        if not overwrite:
            raise FileExistsError(
                f"{folder} holds a finished run: give another folder, with --from {folder} to go on from its weights, "
                "or --overwrite to replace it"
            )
        others = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
        if others:
            raise FileExistsError(
                f"cannot replace {folder}: it holds {others[0]!r} too; move that, or give a new folder"
            )
    persistence.check_free(folder)


def is_noted(folder: Path) -> bool:
    """Tell whether a folder says what run it is of; what is no file is refused where it is read."""
    return os.path.lexists(folder / RUN)


def is_finished(folder: Path) -> bool:
    """Tell whether a folder holds a model that a run has come to, or that was saved there."""
    return (folder / persistence.CONFIG).is_file() and not (folder / CHECKPOINT).is_file()


def beside(folder: Path) -> Path:
    """Return where a run is kept until it takes the place of the one in `folder`."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}-next")


def kept_in(folder: Path) -> Path:
    """Return where a run is kept that can be gone on with: beside `folder` where it is to take the place of another."""
    return beside(folder) if is_noted(beside(folder)) else folder


def take_place(folder: Path) -> None:
    """Put the finished run beside `folder` in its place; of the one that was there nothing is left then.

    It is copied, as the folder may be where another file system is mounted, and the note of the run is what goes last:
    where a process is killed meanwhile `folder` has a model, the old or the new, and the rest is done when the run is
    gone on with.
    """
    new, old = beside(folder), folder.resolve()
    if not old.exists():
        new.rename(old)
        return
    if (new / persistence.CONFIG).is_file():
        persistence.copy(new, old)
    others = sorted({*FILES} - {persistence.CONFIG, persistence.WEIGHTS}, key=lambda name: name == RUN)
    for name in others:
        if (new / name).is_file():
            with replacing(old / name) as file:
                shutil.copyfile(new / name, file)
        else:
            (old / name).unlink(missing_ok=True)
    for path in sorted(new.iterdir(), key=lambda path: path.name == RUN):
        path.unlink()
    new.rmdir()


def begin(folder: Path, asked: JsonObject, X: "Table | Stream", y: np.ndarray | None) -> JsonObject:
    """Note a run before its first step; of one that goes on, make sure that its data are the same.

    Returns
    -------
    dict
        What is noted.

    Raises
    ------
    ValueError
        If the data are not those that the run was begun with.
    OSError
        If the folder cannot be written.
    """
    check_writable(folder / RUN)
    checksum = _checksum(X, y)
    if asked["checksum"] not in (None, checksum):
        raise InputError(f"{asked['data']} is not what {folder} was begun with: bring it back, or begin a new run")
    persistence.check_free(folder)
    asked = asked | {"checksum": checksum}
    _write(folder, asked)
    return asked


def check_there(folder: Path) -> None:
    """Raise FileNotFoundError where a run's folder has vanished."""
    if not (folder / RUN).is_file():
        raise FileNotFoundError(f"{folder}, where the run was kept, has vanished: bring it back, or begin anew")


def finish(folder: Path, asked: JsonObject) -> None:
    """Note that a run is finished; its checkpoint has served."""
    _write(folder, asked | {"finished": True})
    for name in (CHECKPOINT, HISTORY, LOCK):
        (folder / name).unlink(missing_ok=True)


def is_kept(folder: Path) -> bool:
    """Tell whether there is a run to go on with."""
    return is_noted(folder) and not read(folder)["finished"]


def _is_noted_as_finished(folder: Path) -> bool:
    return is_noted(folder) and bool(read(folder)["finished"])


def abandon(folder: Path) -> None:
    """Take back what a run that failed has written, where nothing of it was kept yet and it is not finished."""
    if (folder / CHECKPOINT).exists() or not folder.is_dir() or _is_noted_as_finished(folder):
        return
    for name in (HISTORY, LOCK, RUN):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def read(folder: Path) -> JsonObject:
    """Read what a run was asked for.

    Raises
    ------
    ValueError
        If the folder does not say.
    """
    path = folder / RUN
    try:
        noted = parse(read_file(path, MOST_BYTES))
    except FileNotFoundError as error:
        raise InputError(f"{folder} does not say what it was trained on: give DATA") from error
    except OSError as error:
        raise InputError(f"{folder} does not say what it was trained on: {path} cannot be read: {error}") from error
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path} is altered: it does not say what the run is: {one_line(error)}") from error
    if not isinstance(noted, dict):
        raise InputError(f"{path} is altered: it does not say what the run is")
    asked = {name: noted.get(name) for name in (*WHERE, *HOW, "checksum")} | {"finished": noted.get("finished", True)}
    for name, value in asked.items():
        if not CHECKS.get(name, _or_nothing(_is_text))(value):
            raise InputError(f"{path} is altered: its {name!r} is {shown(value, 60)}")
    return asked


def read_if_noted(folder: Path) -> JsonObject:
    """Return what a run was asked for; nothing where its folder does not say."""
    return read(folder) if is_noted(folder) else {}


def check_data(asked: JsonObject) -> str:
    """Return the data of a run that was noted, which must be no pipe or device: a stranger may have noted it."""
    data = str(asked["data"])
    if Path(data).exists() and not Path(data).is_file() and not Path(data).is_dir():
        raise InputError(f"{data} is no regular file, and a run was noted to be trained on it: give DATA")
    return data


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_LETTERS and "\0" not in value


def _is_whole(least: int) -> Check:
    return lambda value: type(value) is int and least <= value < MOST_WHOLE


def _is_number(value: object) -> TypeGuard[float]:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < MOST_WHOLE)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _or_nothing(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check, n: int | None = None) -> Check:
    return lambda value: isinstance(value, list) and (n is None or len(value) == n) and all(map(check, value))


CHECKS: dict[str, Check] = {
    "data": _is_text,
    "model": _is_text,
    "finished": _is_truth,
    "seed": _is_whole(0),
    "window": _or_nothing(_is_whole(2)),
    "stride": _or_nothing(_is_whole(1)),
    "skip_bad": _or_nothing(_is_truth),
    "stream": _or_nothing(_is_truth),
    "fit": _or_nothing(lambda value: value in ("crop", "pad")),
    "features": _or_nothing(_list_of(lambda name: _is_text(name) or type(name) is int)),
    "step": _or_nothing(_list_of(lambda each: _is_number(each) and each > 0, 2)),
    "size": _or_nothing(_list_of(_is_whole(1), 2)),
    "components": _or_nothing(_is_whole(0)),
    "epochs": _or_nothing(_is_whole(0)),
    "batch_size": _or_nothing(_is_whole(0)),
    "lr": _or_nothing(_is_number),
    **dict.fromkeys(("kinds", "drop", "na", "settings"), _or_nothing(_list_of(_is_text))),
}
"""What JSON may hold of each; of all others text, or nothing."""


def _write(folder: Path, asked: JsonObject) -> None:
    with replacing(folder / RUN) as temporary:
        temporary.write_text(json.dumps(asked, indent=2), encoding="utf-8")


def _checksum(X: "Table | Stream", y: np.ndarray | None) -> str:
    """Return the SHA-256 of rows and labels; of rows on disk of what their files say of themselves."""
    digest = hashlib.sha256()
    if isinstance(X, Stream):
        return hashlib.sha256(X.signature.encode()).hexdigest()
    for part in (X, y):
        part = part.to_numpy() if isinstance(part, pd.Series) else part
        if isinstance(part, pd.DataFrame):
            digest.update(" ".join(map(str, part.columns)).encode())
            objects = part.columns[part.dtypes.map(pd.api.types.is_object_dtype)]  # which may hold what has no hash
            part = pd.util.hash_pandas_object(part.astype(dict.fromkeys(objects, str)), index=False).to_numpy()
        elif part is not None and part.dtype == object:
            part = pd.util.hash_array(part.ravel())
        if part is not None:
            digest.update(f"{part.shape}{part.dtype}".encode() + np.asarray(part).tobytes())
    return digest.hexdigest()
