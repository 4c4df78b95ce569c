"""A run's folder: what was asked for, so that a run can be resumed, and used, without saying it again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isthmus import persistence
from isthmus.atomic import check_writable, exchange_folders, replacing
from isthmus.data import datasets
from isthmus.data.images import check_size
from isthmus.errors import InputError
from isthmus.training.checkpoint import CHECKPOINT, LOCK

RUN = "run.json"
FILES = (RUN, CHECKPOINT, LOCK, persistence.CONFIG, persistence.WEIGHTS, "report.html")
"""All that a run's folder has."""

WHERE = (
    "data", "label", "data_dir", "window", "stride", "time", "group", "features", "step", "size", "fit", "skip_bad",
    "from", "from_sha256", "kinds", "drop", "na",
)  # fmt: skip
HOW = (
    "model", "seed", "components", "network", "hidden", "channels", "epochs", "batch_size", "lr", "scale", "settings",
)  # fmt: skip
KINDS: dict[str, tuple[type, ...]] = {
    "data": (str,),
    "model": (str,),
    "seed": (int,),
    "window": (int, type(None)),
    "stride": (int, type(None)),
    "skip_bad": (bool, type(None)),
    "features": (list, type(None)),
    "step": (list, type(None)),
    "kinds": (list, type(None)),
    "drop": (list, type(None)),
    "na": (list, type(None)),
    "components": (int, type(None)),
    "epochs": (int, type(None)),
    "batch_size": (int, type(None)),
    "lr": (int, float, type(None)),
    "settings": (list, type(None)),
}
"""What JSON must hold of each; of all others text, or nothing."""


def described(**asked: Any) -> dict[str, Any]:
    """Return what was asked for as JSON can hold it; a path as one that holds from anywhere."""
    data, data_dir, start = asked["data"], asked["data_dir"], asked.get("from")
    where = data if data in datasets.names() else str(Path(data).resolve()) if Path(data).exists() else data
    folder = None if data_dir is None else str(Path(data_dir).resolve())
    begun_at = {"from": start and str(Path(start).resolve()), "from_sha256": start and model_checksum(start)}
    return asked | {"data": where, "data_dir": folder, "checksum": None, "finished": False} | begun_at


def model_checksum(folder: str | Path) -> str:
    """Return the SHA-256 of a saved model's description, which has that of its weights."""
    return hashlib.sha256((Path(folder) / persistence.CONFIG).read_bytes()).hexdigest()


def check_free(folder: Path, *, overwrite: bool = False) -> None:
    """Raise where no run can begin in `folder`: it holds other things or another run, or is not ours.

    A finished run may be overwritten where that is asked for, and where nothing is in the folder but the run.
    """
    for place in (folder, beside(folder)):
        if (place / RUN).is_file() and not read(place)["finished"]:
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


def is_finished(folder: Path) -> bool:
    """Tell whether a folder holds a model that a run has come to, or that was saved there."""
    return (folder / persistence.CONFIG).is_file() and not (folder / CHECKPOINT).is_file()


def beside(folder: Path) -> Path:
    """Return where a run is kept until it takes the place of the one in `folder`."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}-next")


def kept_in(folder: Path) -> Path:
    """Return where a run is kept that can be gone on with: beside `folder` where it is to take the place of another."""
    return beside(folder) if (beside(folder) / RUN).is_file() else folder


def take_place(folder: Path) -> None:
    """Put the finished run beside `folder` in its place; the one that was there is then gone."""
    exchange_folders(beside(folder), folder.resolve())


def begin(folder: Path, asked: dict[str, Any], X: Any, y: Any) -> dict[str, Any]:
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


def finish(folder: Path, asked: dict[str, Any]) -> None:
    """Note that a run is finished; its checkpoint has served."""
    _write(folder, asked | {"finished": True})
    for name in (CHECKPOINT, LOCK):
        (folder / name).unlink(missing_ok=True)


def is_kept(folder: Path) -> bool:
    """Tell whether there is a run to go on with."""
    return (folder / RUN).is_file() and not read(folder)["finished"]


def abandon(folder: Path) -> None:
    """Take back what a run that failed has written, where nothing of it was kept yet."""
    if (folder / CHECKPOINT).exists() or not folder.is_dir():
        return
    for name in (LOCK, RUN):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def read(folder: Path) -> dict[str, Any]:
    """Read what a run was asked for.

    Raises
    ------
    ValueError
        If the folder does not say.
    """
    try:
        noted = json.loads((folder / RUN).read_text(encoding="utf-8"))
        asked = {name: noted.get(name) for name in (*WHERE, *HOW, "checksum")}
        asked["finished"] = bool(noted.get("finished", True))
    except OSError as error:
        raise InputError(f"{folder} does not say what it was trained on: give DATA") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder / RUN} is altered: it does not say what the run is") from error
    for name, value in asked.items():
        if name == "size":
            _check_size(folder, value)
        elif name == "step" and value is not None and not _are_steps(value):
            raise InputError(f"{folder / RUN} is altered: its 'step' is {value!r}")
        elif name != "finished" and not isinstance(value, KINDS.get(name, (str, type(None)))):
            raise InputError(f"{folder / RUN} is altered: its {name!r} is {value!r}")
    return asked


def _are_steps(value: Any) -> bool:
    """Tell whether these are the shortest and the longest step of series."""
    return (
        isinstance(value, list) and len(value) == 2 and all(type(each) in (int, float) and each > 0 for each in value)
    )


def _check_size(folder: Path, value: Any) -> None:
    try:
        check_size(value)
    except (InputError, TypeError) as error:
        raise InputError(f"{folder / RUN} is altered: its 'size' is {value!r}") from error


def _write(folder: Path, asked: dict[str, Any]) -> None:
    with replacing(folder / RUN) as temporary:
        temporary.write_text(json.dumps(asked, indent=2), encoding="utf-8")


def _checksum(X: Any, y: Any) -> str:
    """Return the SHA-256 of rows and labels."""
    digest = hashlib.sha256()
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
