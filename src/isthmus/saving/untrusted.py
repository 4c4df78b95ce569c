"""Reading what a stranger may have written: limits that hold before memory is taken, and errors in one line."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from isthmus.errors import InputError, shown

MOST_BYTES = 64 * 2**20
"""Of JSON."""

MOST_VALUES = 2**20
"""In it: a second's work, and the quantiles of a thousand columns of numbers."""

MOST_NAMES = 2**19

MOST_OBJECTS = 2**17
"""In it, and lists. Each takes up to a hundred times its own letters in memory."""

MOST_HEADER = 32 * 2**20
"""Bytes of a safetensors file before its numbers."""

MOST_TENSORS = 10_000

WRONG = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What Python and torch raise at content that is not what they take it for."""


FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
"""With which a file is opened that may be another by now: those that this system has."""


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file that may be a stranger's: no pipe, which would be waited for, no device, and no link out of a folder.

    It is looked at before, as to open a device may do something, and again when it is open, as it may be another by
    then.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no regular file.
    """
    _check_regular(path, path.lstat())
    try:
        descriptor = os.open(path, os.O_RDONLY | FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # by now it is a link, or a socket
            raise InputError(f"{path} is no regular file: put the file itself in its place") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        _check_regular(path, os.fstat(descriptor))
        yield file


@contextmanager
def opened_to_change(path: Path) -> Iterator[BufferedRandom]:
    """Open a file to write into it, or make it; raise ValueError where it is no regular file, as in :func:`opened`."""
    if path.is_symlink() or path.exists():
        _check_regular(path, path.lstat())
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | FLAGS, 0o666), "rb+") as file:
        _check_regular(path, os.fstat(file.fileno()))
        yield file


def _check_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise InputError(f"{path} is a link: put the file itself in its place")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no regular file: put the file itself in its place")


def read_file(path: Path, most: int) -> bytes:
    """Read a whole file that is no longer than `most` bytes.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is longer, or no regular file.
    """
    with opened(path) as file:
        return read_all(path, file, most)


def read_all(path: Path, file: BufferedReader, most: int) -> bytes:
    """Read an open file that is no longer than `most` bytes, however it grows meanwhile."""
    content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path} has {os.fstat(file.fileno()).st_size} bytes, and none is longer than {most}")
    return content


def parse(content: bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is no JSON, has more in it than the limits, one name twice in an object, or is nested too deeply.
    """
    check_counts(content)
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError as error:
        raise InputError("it is nested too deeply") from error


def check_counts(content: bytes) -> None:
    """Raise ValueError for JSON with more in it than is parsed."""
    values, names, objects = content.count(b","), content.count(b":"), content.count(b"[") + content.count(b"{")
    if values > MOST_VALUES or names > MOST_NAMES or objects > MOST_OBJECTS:
        raise InputError(f"it has more than {MOST_VALUES} values, {MOST_NAMES} names or {MOST_OBJECTS} objects")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    object_ = dict(pairs)
    if len(object_) < len(pairs):
        raise InputError("it has one name twice in an object")
    return object_


class ReplacedError(Exception):
    """Another file has taken the place of the one that was opened, so that it is to be opened again."""


@contextmanager
def opened_tensors(path: Path) -> Iterator[tuple[safe_open, BufferedReader]]:
    """Open a safetensors file that may be a stranger's: its tensors, and its bytes. Both are of one file, always.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no regular file, claims a header that it has no room for, or is no safetensors file.
    ReplacedError
        If another was put in its place meanwhile.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = int.from_bytes(file.read(8), "little")
        if header > min(MOST_HEADER, size - 8):
            raise InputError(
                f"{path} is truncated or altered: it claims a header of {header} bytes, and has {size} in all"
            )
        with _tensors_of(path, file) as tensors:
            yield tensors, file


def _tensors_of(path: Path, file: BufferedReader) -> safe_open:
    """Open the tensors of an open file, for which safetensors takes a path alone."""
    same = Path(f"/proc/self/fd/{file.fileno()}")  # a path of the open file itself, where the system has one
    try:
        tensors = safe_open(same if same.exists() else path, "pt")
    except FileNotFoundError as error:
        raise ReplacedError from error
    except SafetensorError as error:
        raise InputError(f"{path} is truncated or altered: {one_line(error)}") from error
    if not same.exists() and not is_still(path, file):
        raise ReplacedError
    return tensors


def is_still(path: Path, file: BufferedReader) -> bool:
    """Tell whether an open file is still the one of that name: as long as it is open no other is taken for it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


class AtMost(TorchDispatchMode):
    """Stop this thread from building modules that have many more parameters than so many tensors.

    A config of a few bytes may ask for a billion layers; a pair may be built twice, or tied after it was built. Each
    parameter takes some operations: an empty tensor, and one or two that draw its values.

    Raises
    ------
    ValueError
        At the first operation too many.
    """

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self.tensors = tensors
        self.left = 16 * tensors + 256

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Count an operation."""
        self.left -= 1
        if self.left < 0:
            raise InputError(f"it has more layers than its weights, which are {self.tensors} tensors")
        return func(*args, **(kwargs or {}))


def check_dtypes(weights: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Raise ValueError for the first tensor that is of another dtype than the weights that it is to be."""
    for name, weight in weights.items():
        if found[name].dtype != weight.dtype:
            raise InputError(f"{name} holds {found[name].dtype}, and {weight.dtype} is needed".replace("torch.", ""))


def float_dtype(tensors: dict[str, Tensor]) -> torch.dtype:
    """Return the one floating-point dtype that a model's tensors are of."""
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
        raise InputError("its weights are not all of float32, nor all of float64")
    return dtypes.pop()


def one_line(error: BaseException, most: int = 300) -> str:
    """Return what an error says, in one line of printable letters, cut where it is long."""
    return shown(error, most) or type(error).__name__
