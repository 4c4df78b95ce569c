"""Rows in an array on disk: ``.npy`` files and memory maps, read in pieces."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.errors import InputError
from isthmus.sources.pieces import Piece, Store, check_rows, cut_evenly, n_rows


class ArrayStore(Store):
    """Rows of an array of which slices are read: a memory map.

    Parameters
    ----------
    array : ndarray of shape (n, ...)
        The rows.
    y : array-like of shape (n, ...), optional
        What goes with each row.
    name : str
        What an error calls it.
    """

    def __init__(self, array: np.ndarray, y: Any = None, name: str = "X") -> None:
        check_rows(name, len(array))
        if y is not None and n_rows(y) != len(array):
            raise InputError(f"{name} has {len(array)} rows, and y {n_rows(y)}: give one a row")
        self.array, self.y, self.name = array, y, name
        self.sizes, self.at_once = cut_evenly(len(array), array.nbytes // len(array))
        self.parts = [(name, len(self.sizes))]
        self.signature = f"array {array.shape} {array.dtype.str}"

    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a block's rows, copied from the disk."""
        if start:
            return
        first = block * self.at_once
        rows = np.arange(first, first + self.sizes[block])
        where = f"{self.name}, rows {first} to {rows[-1]}"
        X = self._slice(first, self.sizes[block])
        yield Piece(X, None if self.y is None else Piece(self.y).pick(rows).X, where)

    def _slice(self, first: int, n: int) -> np.ndarray:
        rows = np.array(self.array[first : first + n])
        let_go(self.array)
        return rows


class NpyStore(ArrayStore):
    """Rows of a ``.npy`` file: slices are read of it, as pages of a memory map would stay in memory for long."""

    def _slice(self, first: int, n: int) -> np.ndarray:
        array = self.array
        if not (isinstance(array, np.memmap) and array.flags.c_contiguous):
            return super()._slice(first, n)
        row = array.nbytes // len(array)
        flat = np.fromfile(self.name, array.dtype, n * (row // array.itemsize), offset=array.offset + first * row)
        return flat.reshape(n, *array.shape[1:])


def let_go(array: np.ndarray) -> None:
    """Take what was read of a memory map out of memory: the system would keep it as long as nobody needs the room."""
    opened, mode = getattr(array, "_mmap", None), getattr(array, "mode", None)
    if opened is not None and mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        opened.madvise(mmap.MADV_DONTNEED)  # never of mode "c", whose changes are in memory alone


def npy_store(path: Path, y: Any = None) -> ArrayStore:
    """Return the rows of a ``.npy`` file; raise ValueError in a line where it holds none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}; save an array of numbers") from error
    if not isinstance(array, np.ndarray) or array.ndim < 2:
        raise InputError(f"{path} holds no rows: save an array of shape (n, features), or of images")
    return NpyStore(array, y, str(path))
