"""Reading what a stranger may have written: limits that hold before memory is taken, and errors in one line."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from isthmus.errors import InputError

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


def read_file(path: Path, most: int) -> bytes:
    """Read a whole file that is no longer than `most` bytes, and no link to somewhere else.

    Raises
    ------
    ValueError
        If it is longer, or a link.
    """
    check_plain(path)
    size = path.stat().st_size
    if size > most:
        raise InputError(f"{path} has {size} bytes, and none is longer than {most}")
    with path.open("rb") as file:
        return file.read(most)


def check_plain(path: Path) -> None:
    """Raise ValueError for a link, which may lead out of its folder."""
    if path.is_symlink():
        raise InputError(f"{path} is a link: put the file itself in its place")


def parse(content: bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is no JSON, has more in it than the limits, one name twice in an object, or is nested too deeply.
    """
    values, names, objects = content.count(b","), content.count(b":"), content.count(b"[") + content.count(b"{")
    if values > MOST_VALUES or names > MOST_NAMES or objects > MOST_OBJECTS:
        raise InputError(f"it has more than {MOST_VALUES} values, {MOST_NAMES} names or {MOST_OBJECTS} objects")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError as error:
        raise InputError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    object_ = dict(pairs)
    if len(object_) < len(pairs):
        raise InputError("it has one name twice in an object")
    return object_


def check_header(path: Path) -> None:
    """Raise ValueError where a safetensors file is no plain file, or claims a header that it has no room for."""
    check_plain(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(MOST_HEADER, size - 8):
        raise InputError(f"{path} is truncated or altered: it claims a header of {header} bytes, and has {size} in all")


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

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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
    said = " ".join(str(error).split())
    said = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in said[:most])
    return said + ("…" if len(" ".join(str(error).split())) > most else "") or type(error).__name__
