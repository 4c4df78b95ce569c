"""Arrays from ``.npy`` and ``.npz``, which may be a stranger's: what they claim is held against what they have."""

import math
import tokenize
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from isthmus.errors import InputError, shown
from isthmus.sources.bounds import check_bytes

MOST_AXES = 32
"""What NumPy allows, or less."""

WRONG = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError,
    RuntimeError, SyntaxError, TypeError, ValueError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What Python and NumPy raise at files that are broken, or encrypted."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy writes arrays into an archive."""

NO_ARRAY = "it is not an array of numbers in NumPy's format"


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """The arrays of an ``.npz``, or the one of an ``.npy``, each read when it is asked for.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    names : list of str
        Of the arrays of an ``.npz``; of an ``.npy`` there are none.
    is_one : bool
        Whether it is an ``.npy``.
    size : int
        Bytes that it claims to have unpacked.

    Raises
    ------
    ValueError
        In one line that names the file: it is neither, it is truncated or encrypted, two arrays have one name, one
        claims more than there is or takes more memory than is allowed, or holds objects, which would have to be run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            beginning = file.read(len(npy.MAGIC_PREFIX))
        self.is_one = not beginning.startswith((b"PK\x03\x04", b"PK\x05\x06"))  # the second of an empty one
        self.names: list[str] = []
        self.size = path.stat().st_size
        if self.is_one:
            return
        try:
            with zipfile.ZipFile(path) as archive:
                self.names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
                self.size = sum(info.file_size for info in archive.infolist())
        except WRONG as error:
            raise InputError(f"cannot read {path}: {shown(error)}") from error
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise InputError(f"{path} has two arrays {shown(twice[0])!r}: give each a name of its own")

    def read(self, name: str | None = None) -> np.ndarray:
        """Read an array by its name, or the only one of an ``.npy``."""
        try:
            if name is None:
                with self.path.open("rb") as file:
                    return self._read(str(self.path), file, self.path.stat().st_size)
            with zipfile.ZipFile(self.path) as archive:
                info = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}[name]
                if info.compress_type not in PACKED:
                    raise InputError(f"cannot read {self.path}: {shown(name)!r} is packed in a way that NumPy does not")
                if info.flag_bits & 1:
                    raise InputError(f"cannot read {self.path}: {shown(name)!r} is encrypted")
                with archive.open(info) as member:
                    return self._read(f"{self.path}: {shown(name)!r}", member, info.file_size)
        except InputError:
            raise
        except WRONG as error:
            what = NO_ARRAY if name is None else f"{shown(name)!r} in it cannot be read ({shown(error) or 'broken'})"
            raise InputError(f"cannot read {self.path}: {what}") from error

    def _read(self, what: str, file: IO[bytes], size: int) -> np.ndarray:
        header = _header(what, file)
        check_bytes(f"{what} takes", header.size, packed=self.path.stat().st_size)
        left = size - (file.tell() if file.seekable() else 0)
        if header.size > left:
            raise InputError(
                f"cannot read {what}: it is truncated or altered, as it has {max(left, 0):,} bytes, and its shape "
                f"{shown(header.shape)} takes {header.size:,}"
            )
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def _header(what: str, file: IO[bytes]) -> Header:
    """Read what an array says of itself, and nothing more; leave the file at where its numbers begin."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # 3.0 is for names of fields alone, which no array of numbers has
        raise InputError(f"cannot read {what}: it is of version {shown(version)} of NumPy's format; save plain numbers")
    shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise InputError(f"cannot read {what}: it holds objects, not numbers, and they are not run; save numbers")
    if len(shape) > MOST_AXES or not all(type(side) is int and side >= 0 for side in shape):
        raise InputError(f"cannot read {what}: it claims the shape {shown(shape)}")
    if not dtype.itemsize and 0 not in shape:
        raise InputError(f"cannot read {what}: it holds {dtype}, values of no size")
    return Header(shape, dtype)
