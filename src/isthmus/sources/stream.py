"""Which rows come a piece at a time: of paths, memory maps, data loaders and iterables."""

from pathlib import Path
from typing import Any

import numpy as np

from isthmus.errors import InputError
from isthmus.sources.batches import batches_of
from isthmus.sources.endings import shards_of
from isthmus.sources.pictures import Pictures
from isthmus.sources.pieces import Feed, Piece, Store, Stream
from isthmus.sources.shards import Shards
from isthmus.sources.stored import ArrayStore, npy_store

__all__ = ["Feed", "Piece", "Store", "Stream", "stream_of"]


def stream_of(X: object, y: Any = None) -> Stream | None:
    """Return rows that come a piece at a time; None where they are in memory.

    Parameters
    ----------
    X : object
        A path (``.npy``, ``.parquet``, a folder of Parquet files or of images), a memory map, a data set or data loader
        of PyTorch, an iterable of batches, or what this has returned; anything else is in memory.
    y : object, optional
        What goes with the rows: of Parquet the names of columns, of an array as many values; of what gives its own,
        None.

    Raises
    ------
    ValueError, OSError
        If a path leads to nothing that can be read in pieces, or `y` is of no use.
    """
    if isinstance(X, Stream):
        return X
    if isinstance(X, str | Path):
        return _of_path(Path(X), y)
    if isinstance(X, np.memmap) and X.ndim > 1 and len(X):
        return ArrayStore(X, y)
    stream = batches_of(X)
    if stream is not None and y is not None:
        raise InputError(f"y goes with the batches of {stream.name}: let them be pairs, (X, y), and leave y out")
    return stream


def _of_path(path: Path, y: Any) -> Stream:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.suffix == ".npy":
        return npy_store(path, npy_store(Path(y)).array if isinstance(y, str | Path) else y)
    if path.suffix == ".parquet" or (path.is_dir() and shards_of(path)):
        return Shards(path, y)
    if path.is_dir():
        if y is not None:
            raise InputError(f"{path} is a folder of images, whose subfolders are the labels: leave y out")
        return Pictures(path)
    raise InputError(
        f"{path} cannot be read in pieces: give .npy, .parquet, a folder of Parquet files or images, or its rows, "
        "isthmus.datasets.load(path).X"
    )
