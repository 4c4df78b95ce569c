"""Rows in an array on disk: ``.npy`` files and memory maps, read in pieces."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.containers import RowsLike
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
    file : Path, optional
        The ``.npy`` file that a memory map is of: slices are read of it, as pages of a memory map would stay in memory
        for long.
    """

    def __init__(self, array: np.ndarray, y: RowsLike | None = None, name: str = "X", file: Path | None = None) -> None:
        check_rows(name, len(array))
        if y is not None and n_rows(y) != len(array):
            raise InputError(f"{name} has {len(array)} rows, and y {n_rows(y)}: give one a row")
        self.array, self.y, self.name, self.file = array, y, name, file
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
        array = self.array
        if self.file is None or not (isinstance(array, np.memmap) and array.flags.c_contiguous):
            rows = np.array(array[first : first + n])
            let_go(array)
            return rows
        row = array.nbytes // len(array)
        flat = np.fromfile(self.file, array.dtype, n * (row // array.itemsize), offset=array.offset + first * row)
        return flat.reshape(n, *array.shape[1:])


def let_go(array: np.ndarray) -> None:
    """Take what was read of a memory map out of memory: the system would keep it as long as nobody needs the room."""
    opened, mode = getattr(array, "_mmap", None), getattr(array, "mode", None)
    if opened is not None and mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        opened.madvise(mmap.MADV_DONTNEED)  # never of mode "c", whose changes are in memory alone


def npy_store(path: Path, y: RowsLike | None = None) -> ArrayStore:
    """Return the rows of a ``.npy`` file; raise ValueError in a line where it holds none."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}; save an array of numbers") from error
    if not isinstance(array, np.ndarray) or array.ndim < 2:
        raise InputError(f"{path} holds no rows: save an array of shape (n, features), or of images")
    return ArrayStore(array, y, str(path), path)
