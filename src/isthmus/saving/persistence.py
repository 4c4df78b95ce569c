"""(config, weights) ↔ a folder: ``config.json`` and ``model.safetensors``, checked on the way in, without pickle.

A model takes the place of another in one moment, that in which its config is renamed to ``config.json``: the config
holds the digest of its weights, and those are there by then, under a name that is their digest. Afterwards they are
renamed to ``model.safetensors``. A reader takes the weights by the digest, else ``model.safetensors``, and reads again
where the config is another by then; so it never finds none, nor half of each. Where a process is killed between the two
renamings the model is whole, and the next save tidies up.

Folders are not exchanged, though Linux and macOS can do that in one moment: a folder of which a file system is mounted,
the working directory, one that holds a person's other files or the lock of a run, and systems without such an exchange
would all need another way, and this one does for them all.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from isthmus.errors import InputError
from isthmus.saving.atomic import alone_in, check_writable, flush, flush_folder, in_folder, temporary
from isthmus.saving.attributes import JsonObject
from isthmus.saving.untrusted import (
    MOST_BYTES,
    MOST_HEADER,
    MOST_TENSORS,
    WRONG,
    ReplacedError,
    check_counts,
    is_still,
    one_line,
    opened,
    opened_tensors,
    parse,
    read_all,
)

FORMAT = "isthmus model"
VERSION = 3
LONG_VERSION = 4
"""Of a model whose long lists of numbers are beside its weights; others are of the version that older ones read too."""
READABLE = (2, 3, 4)
OF_CONFIG = "config/"
"""Before the names of tensors that belong to the config; no weight's name has a slash."""
LONG = 2**18
"""Values in a config beyond which its long lists are put beside the weights."""
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
DTYPES = {"F32": torch.float32, "F64": torch.float64, "BOOL": torch.bool, "U8": torch.uint8}
DTYPES |= {"I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64}
"""What a model's weights and counts are of, by safetensors' names."""
ENTRY = 256
"""Bytes that a tensor takes in the header of its file, beside its name, at the most."""
SHA256 = re.compile("[0-9a-f]{64}")
PATIENCE = 30.0
"""Seconds in which a model is read again that is saved anew each time; reading one takes as long as writing it."""


def write(folder: str | Path, config: JsonObject, tensors: Mapping[str, Tensor]) -> None:
    """Write a model into a folder, in the place of the one that it holds; other files in it stay.

    At each moment there is one whole model, the old or the new; a link is followed. Of two that are written at the same
    time one is there whole.

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
    ValueError
        If :func:`read` would refuse it for its size; nothing is written then.
    OSError
        If it cannot be written.
    """
    folder = Path(folder)
    check_free(folder)
    # Cloned, as two names may share one tensor, which safetensors would refuse.
    weights = tensors_to_bytes({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})
    sha256 = _sha256(weights)
    text = _text(config, tensors, sha256)
    _check_sizes(text, tensors)
    with in_folder(folder), temporary(folder / WEIGHTS) as new_weights, temporary(folder / CONFIG) as new_config:
        new_weights.write_bytes(weights)
        new_config.write_text(text, encoding="utf-8")
        put_in_place(folder, new_weights, new_config, sha256)


def _text(config: JsonObject, tensors: Mapping[str, Tensor], sha256: str) -> str:
    """Return what is written of a config, whose weights have that digest."""
    version = LONG_VERSION if any(name.startswith(OF_CONFIG) for name in tensors) else VERSION
    whole = {"format": FORMAT, "version": version, "weights_sha256": sha256, "model": dict(config)}
    canonical = _canonical(whole)
    whole["config_sha256"] = _sha256(canonical)
    indent = 2 if len(canonical) < MOST_BYTES // 8 else None  # a large one shall stay below the limit
    return json.dumps(whole, indent=indent, ensure_ascii=False)


def check_readable(config: JsonObject, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for a model that :func:`read` would refuse for its size, or for the dtype of a tensor.

    Parameters
    ----------
    config, tensors
        As for :func:`write`; the tensors may be on the "meta" device, as their numbers are not looked at.
    """
    _check_sizes(_text(config, tensors, 64 * "0"), tensors)


def _check_sizes(text: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for what is written of a model where it is more than is read."""
    content = text.encode()
    header = sum(len(name.encode()) + ENTRY for name in tensors)
    try:
        if len(content) > MOST_BYTES:
            raise InputError(f"its config has {len(content)} bytes, and none is longer than {MOST_BYTES}")
        check_counts(content)
        if len(tensors) > MOST_TENSORS or header > MOST_HEADER:
            raise InputError(f"it has {len(tensors)} tensors, and no model has more than {MOST_TENSORS}")
    except InputError as error:
        raise InputError(
            f"the model is too large to be saved: {error}; give it fewer columns, categories, modalities or layers"
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES.values():
            raise InputError(f"the model cannot be saved: {name} holds {tensor.dtype}; keep it in another dtype")


def copy(source: Path, target: Path) -> None:
    """Put a copy of a folder's model in the place of another folder's, which may be on another file system."""
    with _open_config(source) as file:
        sha256 = _read_config(source / CONFIG, file)["weights_sha256"]
    with temporary(target / WEIGHTS) as weights, temporary(target / CONFIG) as config:
        by_digest = source / _named_by(sha256)
        shutil.copyfile(by_digest if by_digest.exists() else source / WEIGHTS, weights)
        shutil.copyfile(source / CONFIG, config)
        put_in_place(target, weights, config, sha256)


def put_in_place(folder: Path, weights: Path, config: Path, sha256: str) -> None:
    """Rename the files of a model, which are in its folder, so that it takes the place of the one that is there."""
    flush(weights)
    flush(config)
    with alone_in(folder) as is_alone:
        by_digest = folder / _named_by(sha256)
        is_in_use = by_digest.exists()  # by the model of a process that was killed below
        try:
            weights.replace(by_digest)
            flush_folder(folder)
            config.replace(folder / CONFIG)
        except BaseException:
            if not is_in_use:
                by_digest.unlink(missing_ok=True)
            raise
        flush_folder(folder)
        by_digest.replace(folder / WEIGHTS)
        flush_folder(folder)
        for left in folder.glob(_named_by("[0-9a-f]" * 64)) if is_alone else ():
            left.unlink(missing_ok=True)  # by a process that was killed above


def _named_by(sha256: str) -> str:
    return f".weights-{sha256}.safetensors"


def check_free(folder: str | Path) -> None:
    """Raise where a model cannot be written to `folder`: it is a file, holds other things, or is not ours to write."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"cannot write {folder}: it is a file; give a folder")
    # A hidden file is another program's, or what a killed process was writing.
    empty = not folder.is_dir() or not any(not path.name.startswith(".") for path in folder.iterdir())
    if not empty and not (folder / CONFIG).exists() and not _is_unfinished_run(folder):
        raise FileExistsError(f"cannot write {folder}: it holds other files and no model; give a new folder")
    for file in (CONFIG, WEIGHTS):
        check_writable(folder / file)


def _is_unfinished_run(folder: Path) -> bool:
    """Tell whether a folder is that of a run which can be gone on with: it has a checkpoint, or a note and no model."""
    is_noted = (folder / "run.json").is_file() and not (folder / CONFIG).exists()
    return is_noted or (folder / "checkpoint.safetensors").is_file()


def read(
    folder: str | Path, check: Callable[[JsonObject, dict[str, Tensor]], object]
) -> tuple[JsonObject, dict[str, Tensor]]:
    """Read a model's config, and the weights that belong to it, also where another is saved over it meanwhile.

    Parameters
    ----------
    check : callable
        Is called with the config and with what the weights' file says of them before they are read: tensors on the
        "meta" device, which hold no numbers. It raises where these do not fit together.

    Returns
    -------
    config : dict
        What :func:`write` was given is its ``model``.
    tensors : dict of str to Tensor
        The weights.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no model in it.
    ValueError
        If a file is truncated, altered, or of a version that this isthmus does not know.
    BlockingIOError
        If it was saved anew whenever it was read.
    """
    folder, until = Path(folder), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with _open_config(folder) as file:
            config = _read_config(folder / CONFIG, file)
            with suppress(ReplacedError):
                try:
                    return config, _read_weights(folder, config, check)
                except (FileNotFoundError, *WRONG):
                    if is_still(folder / CONFIG, file):
                        raise  # no other was saved meanwhile: this one is as it is
    raise BlockingIOError(f"{folder} is saved to all the time, and could not be read whole in {PATIENCE:.0f} s")


@contextmanager
def _open_config(folder: Path) -> Iterator[BufferedReader]:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a model folder: it is a file")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(folder / CONFIG))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(f"{folder} is not a model folder: it has no {CONFIG}") from error
        yield file


def _read_config(path: Path, file: BufferedReader) -> JsonObject:
    content = read_all(path, file, MOST_BYTES)
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
    sha256 = config.get("weights_sha256")
    if not isinstance(config.get("model"), dict) or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise InputError(f"{path} does not describe a model")
    return config


def _read_weights(
    folder: Path, config: JsonObject, check: Callable[[JsonObject, dict[str, Tensor]], object]
) -> dict[str, Tensor]:
    """Read the weights that a config names by their digest."""
    sha256 = config["weights_sha256"]
    for path in (folder / _named_by(sha256), folder / WEIGHTS):
        with suppress(FileNotFoundError), opened_tensors(path) as (tensors, file):
            check(config, _described(path, tensors))
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise InputError(f"{path} is truncated or altered: it is not the file that was saved")
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - it is no dict
    raise FileNotFoundError(f"{folder} is not a model folder: it has no {WEIGHTS}")


def _described(path: Path, tensors: safe_open) -> dict[str, Tensor]:
    """Return the names, shapes and dtypes of a file's tensors: tensors on the "meta" device, which hold no numbers."""
    try:
        names = tensors.keys()
        if len(names) > MOST_TENSORS:
            raise InputError(f"{path} has {len(names)} tensors, and no model has more than {MOST_TENSORS}")
        parts = {name: tensors.get_slice(name) for name in names}
        return {
            name: tensors.get_tensor(name)
            if name.startswith(OF_CONFIG)
            else torch.empty(part.get_shape(), dtype=DTYPES[part.get_dtype()], device="meta")
            for name, part in parts.items()
        }
    except (SafetensorError, KeyError, RuntimeError, TypeError) as error:
        raise InputError(f"{path} is truncated or altered: {one_line(error)}") from error


def _short(value: object) -> str:
    return repr(value) if isinstance(value, int | str | None) and len(str(value)) < 50 else "unknown"


def _canonical(config: JsonObject) -> bytes:
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
