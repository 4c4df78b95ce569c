"""The rows of a run that come from disk a piece at a time: when they do, how they are read, and a sample of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype, is_object_dtype

from isthmus.errors import InputError
from isthmus.formats.containers import RowsLike, free_memory
from isthmus.formats.marks import Marks, numbers_with_gaps
from isthmus.formats.names import few
from isthmus.sources import catalogue
from isthmus.sources.bounds import in_gb
from isthmus.sources.endings import ending, is_sharded
from isthmus.sources.images import looked_through
from isthmus.sources.pieces import Piece, Store
from isthmus.sources.prepared import Prepared
from isthmus.sources.shards import Shards
from isthmus.sources.stored import npy_store
from isthmus.sources.stream import stream_of

FREE_TO_NEEDED = 4
"""A file or folder that would take more than one in so many bytes of free memory is read from disk."""

MOST_UNPACKED = 50
"""Times the bytes of a folder's files that its images take in memory, at the most, as it is seldom more."""


def why_on_disk(data: str, *, asked: bool) -> str | None:
    """Say why rows are read from disk a piece at a time; None where they are read into memory.

    Raises
    ------
    ValueError
        If that is `asked` for, and they cannot be.
    """
    path = Path(data)
    if data not in catalogue.names() and is_sharded(path):
        return "Parquet shards"
    can_be = path.exists() and (path.is_dir() or ending(path) in (".npy", ".parquet"))
    if asked and (data in catalogue.names() or (path.exists() and not can_be)):
        raise InputError(
            f"--stream: {data} cannot be read in pieces, as .npy, .parquet, and folders of Parquet shards or images "
            "can; leave it out"
        )
    if not can_be or data in catalogue.names():
        return None
    if asked:
        return "--stream"
    needed, free = _bytes_in_memory(path), free_memory()
    if free is None or needed <= free // FREE_TO_NEEDED:
        return None
    return f"it takes {in_gb(needed)} in memory, and more than a quarter of the {in_gb(free)} that are free is too much"


def _bytes_in_memory(path: Path) -> int:
    """Return about how many bytes rows would take: of what cannot be read none, as the reader says what is wrong."""
    try:
        if ending(path) == ".npy":
            return path.stat().st_size
        if path.is_dir():
            return _bytes_of_images(path)
        shards = Shards(path)
        return shards.bytes_of_a_row * len(shards)
    except (ValueError, OSError):
        return 0


def _bytes_of_images(folder: Path) -> int:
    packed = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    free = free_memory()
    if free is None or MOST_UNPACKED * packed <= free // FREE_TO_NEEDED:
        return 0  # without a look at each
    look = looked_through(folder)
    return len(look.headers) * int(np.prod(look.row_shape)) * (4 if look.is_deep else 1)


def read_from_disk(
    data: str,
    label: str | None,
    noted_label: str | None,
    *,
    drop: Sequence[str],
    strict: bool,
    prepared: Callable[[Piece], Piece],
) -> Store:
    """Return the rows of a file or folder, as a model takes them.

    Parameters
    ----------
    data : str
    label : str, optional
        The columns of labels, with commas between; they must be there.
    noted_label : str, optional
        The same, where they are there.
    drop : sequence of str
        Columns to leave out.
    strict : bool
        Whether these must be there.
    prepared : callable
        Makes of each piece of a table what the model takes.
    """
    path = Path(data)
    if ending(path) == ".npy":
        if label is not None:
            raise InputError(f"{data} is one array and has no {label!r}: leave the label out")
        return npy_store(path)
    if not (is_sharded(path) or ending(path) == ".parquet"):
        if label is not None:
            raise InputError(f"label {label!r}: the labels of a folder of images are its subfolders; leave it out")
        pictures = stream_of(path)
        assert isinstance(pictures, Store)
        return pictures
    names = Shards(path).schema.names
    labels = _label_names(names, label)
    if label is not None and (gone := [name for name in labels if name not in names]):
        raise InputError(f"{data} has no column {gone[0]!r}: it has {few(pd.Index(names))}")
    if label is None and noted_label is not None and {*(noted := _label_names(names, noted_label))} <= {*names}:
        labels = noted
    if strict and (gone := [name for name in drop if name not in names]):
        raise InputError(f"--drop {gone[0]}: {data} has no such column: it has {few(pd.Index(names))}")
    left_out = [name for name in drop if name in names]
    y: str | list[str] | None = None if not labels else labels[0] if len(labels) == 1 else labels

    def as_taken(piece: Piece) -> Piece:
        return prepared(piece._replace(X=piece.X.drop(columns=left_out)) if left_out else piece)

    return Prepared(Shards(path, y), as_taken)


def _label_names(names: Sequence[str], label: str | None) -> list[str]:
    if label is None:
        return []
    return [label] if label in names else [name.strip() for name in label.split(",")]


def numbers_of(piece: Piece, na_values: tuple[str, ...] | None) -> Piece:
    """Return the rows of a table as numbers; raise ValueError for a column that holds others."""
    frame, _ = numbers_with_gaps(piece.X, Marks(na_values))
    nothing = [name for name in frame if is_object_dtype(frame[name].dtype) and frame[name].isna().all()]
    if nothing:
        frame = frame.astype(dict.fromkeys(nothing, float))
    words = frame.columns[[not is_numeric_dtype(dtype) for dtype in frame.dtypes]]
    if len(words):
        raise InputError(
            f"column {few(words)} holds no numbers: take a tabular model (--model tabular), drop it, or "
            "name it as the label"
        )
    return piece._replace(X=frame)


def as_labels(y: RowsLike | None) -> np.ndarray | None:
    """Return the labels of some rows as a table's are given: of shape (n,), or (n, columns)."""
    if not isinstance(y, pd.DataFrame):
        return None if y is None else np.asarray(y)
    return np.column_stack([y[name].to_numpy(na_value=np.nan).astype(object) for name in y])


def in_words(store: Store, data: str, n_sample: int) -> list[str]:
    """Say how rows are read, and which of them are looked at."""
    n, n_files = len(store), len(store.parts)
    shards = f"{n_files:,} Parquet shard{'' if n_files == 1 else 's'}, " if is_sharded(Path(data)) else ""
    looked_at = "" if n_sample == n else f"; what is learnt first, and said of the run, is of a sample of {n_sample:,}"
    return [f"{shards}{n:,} rows, read from disk a piece at a time{looked_at}"]
