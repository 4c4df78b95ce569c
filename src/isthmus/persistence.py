"""(config, weights) ↔ a folder: ``config.json`` and ``model.safetensors``, checked on the way in, without pickle."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from isthmus.atomic import check_writable, replacing, replacing_folder
from isthmus.errors import InputError
from isthmus.untrusted import MOST_BYTES, MOST_TENSORS, check_header, one_line, parse, read_file

FORMAT = "isthmus model"
VERSION = 3
READABLE = (2, 3)
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
DTYPES = {"F32": torch.float32, "F64": torch.float64, "BOOL": torch.bool, "U8": torch.uint8}
DTYPES |= {"I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64}
"""What a model's weights and counts are of, by safetensors' names."""


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
    indent = 2 if len(_canonical(config)) < MOST_BYTES // 8 else None  # a large one shall stay below the limit
    text = json.dumps(whole, indent=indent, ensure_ascii=False)
    with nullcontext(folder) if _is_unfinished_run(folder) else replacing_folder(folder) as place:
        with replacing(place / WEIGHTS) as file:
            file.write_bytes(weights)
        with replacing(place / CONFIG) as file:
            file.write_text(text, encoding="utf-8")


def check_free(folder: str | Path) -> None:
    """Raise where a model cannot be written to `folder`: it is a file, holds other things, or is not ours to write."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"cannot write {folder}: it is a file; give a folder")
    # A hidden file is another program's, or what a killed process was writing.
    empty = not folder.is_dir() or not any(not path.name.startswith(".") for path in folder.iterdir())
    if not empty and not (folder / CONFIG).exists() and not _is_unfinished_run(folder):
        raise FileExistsError(f"cannot write {folder}: it holds other files and no model; give a new folder")
    check_writable(folder / CONFIG)


def _is_unfinished_run(folder: Path) -> bool:
    """Tell whether a folder is that of a run which can be gone on with: it has a checkpoint, or a note and no model."""
    is_noted = (folder / "run.json").is_file() and not (folder / CONFIG).exists()
    return is_noted or (folder / "checkpoint.safetensors").is_file()


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read a model's ``config.json``: what :func:`write` was given is its ``model``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no model in it.
    ValueError
        If the file is truncated, altered, or of a version that this isthmus does not know.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a model folder: it is a file")
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} is not a model folder: it has no {file}")
    path = folder / CONFIG
    content = read_file(path, MOST_BYTES)
    try:
        config = parse(content)
    except ValueError as error:  # wrong JSON or wrong UTF-8
        raise InputError(f"{path} is truncated or altered: {one_line(error)}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{path} is not an isthmus model's config")
    if config.get("version") not in READABLE or type(config["version"]) is not int:
        raise InputError(
            f"{path} is of version {_short(config.get('version'))}, and this isthmus reads versions "
            f"{READABLE[0]} to {READABLE[-1]}: load it with the isthmus that saved it"
        )
    if config.pop("config_sha256", None) != _sha256(_canonical(config)):
        raise InputError(f"{path} is altered: its checksum differs")
    if not isinstance(config.get("model"), dict) or not isinstance(config.get("weights_sha256"), str):
        raise InputError(f"{path} does not describe a model")
    return config


def describe(folder: str | Path) -> dict[str, Tensor]:
    """Read the names, shapes and dtypes of a model's weights: tensors on the "meta" device, which hold no numbers.

    Raises
    ------
    ValueError
        If the file is truncated or no safetensors file, or has a dtype that no model's weights are of.
    """
    path = Path(folder) / WEIGHTS
    check_header(path)
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            if len(names) > MOST_TENSORS:
                raise InputError(f"{path} has {len(names)} tensors, and no model has more than {MOST_TENSORS}")
            parts = {name: file.get_slice(name) for name in names}
            return {
                name: torch.empty(part.get_shape(), dtype=DTYPES[part.get_dtype()], device="meta")
                for name, part in parts.items()
            }
    except (SafetensorError, KeyError, RuntimeError, TypeError) as error:
        raise InputError(f"{path} is truncated or altered: {one_line(error)}") from error


def read_weights(folder: str | Path, sha256: str) -> dict[str, Tensor]:
    """Read a model's weights.

    Raises
    ------
    ValueError
        If the file is truncated or altered.
    """
    path = Path(folder) / WEIGHTS
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise InputError(f"{path} is truncated or altered: it is not the file that was saved")
    return load_file(path)


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, int | str | None) and len(str(value)) < 50 else "unknown"


def _canonical(config: Mapping[str, Any]) -> bytes:
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
