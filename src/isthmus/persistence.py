"""(config, weights) ↔ a folder: ``config.json`` and ``model.safetensors``, checked on the way in, without pickle."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from isthmus.atomic import check_writable, replacing, replacing_folder

FORMAT = "isthmus model"
VERSION = 2
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
A_RUNS = {"run.json", "checkpoint.safetensors", ".lock"}
"""What a run that is not finished has in its folder."""


def write(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model's folder under a temporary name, flushed to disk, and rename it; other files in it stay.

    The folder of a run that is not finished stays where it is, as its lock is there: the weights are written first, and
    the config, which makes them a model, last.

    Parameters
    ----------
    config : mapping
        What JSON can hold.
    tensors : mapping of str to Tensor
        The weights, by name.

    Raises
    ------
    FileExistsError
        If the folder is there, is not empty and holds no model.
    OSError
        If it cannot be written.
    """
    folder = Path(folder)
    check_free(folder)
    # Cloned, as two names may share one tensor, which safetensors would refuse.
    weights = tensors_to_bytes({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})
    whole = {"format": FORMAT, "version": VERSION, "weights_sha256": _sha256(weights), "model": dict(config)}
    whole["config_sha256"] = _sha256(_canonical(whole))
    with nullcontext(folder) if _is_unfinished_run(folder) else replacing_folder(folder) as place:
        with replacing(place / WEIGHTS) as file:
            file.write_bytes(weights)
        with replacing(place / CONFIG) as file:
            file.write_text(json.dumps(whole, indent=2, ensure_ascii=False), encoding="utf-8")


def check_free(folder: str | Path) -> None:
    """Raise where a model cannot be written to `folder`: it is a file, holds other things, or is not ours to write."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"cannot write {folder}: it is a file; give a folder")
    empty = not folder.is_dir() or not any(folder.iterdir())
    if not empty and not (folder / CONFIG).exists() and not _is_unfinished_run(folder):
        raise FileExistsError(f"cannot write {folder}: it holds other files and no model; give a new folder")
    check_writable(folder / CONFIG)


def _is_unfinished_run(folder: Path) -> bool:
    """Tell whether nothing is in a folder but what a run needs to go on, and perhaps weights without a config yet."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return bool(there & A_RUNS) and there <= A_RUNS | {WEIGHTS}


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model's folder: its config and its weights.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no model in it.
    ValueError
        If a file is truncated, altered, or of a version that this isthmus does not know.
    """
    folder = Path(folder)
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} is not a model folder: it has no {file}")
    config = _read_config(folder / CONFIG)
    weights = (folder / WEIGHTS).read_bytes()
    if _sha256(weights) != config["weights_sha256"]:
        raise ValueError(f"{folder / WEIGHTS} is truncated or altered: it is not the file that was saved")
    try:
        return config["model"], tensors_from_bytes(weights)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is not a safetensors file: {error}") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # wrong JSON or wrong UTF-8
        raise ValueError(f"{path} is truncated or altered: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} is not an isthmus model's config")
    if config.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {config.get('version')!r}, and this isthmus reads version {VERSION}: "
            "load it with the isthmus that saved it"
        )
    if config.pop("config_sha256", None) != _sha256(_canonical(config)):
        raise ValueError(f"{path} is altered: its checksum differs")
    return config


def _canonical(config: Mapping[str, Any]) -> bytes:
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
