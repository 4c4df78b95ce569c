"""Rows from a person's files, and results to files: ``.npy``, ``.npz``, ``.csv``, ``.parquet``, folders of images."""

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from isthmus.atomic import replacing
from isthmus.data.datasets import Dataset
from isthmus.errors import InputError

READABLE = (".npy", ".npz", ".csv", ".parquet")
WRITABLE = (".npy", ".csv", ".parquet")


class Series(NamedTuple):
    """One long series.

    Attributes
    ----------
    values : ndarray of shape (n_steps, features)
        What was measured; NaN where nothing was.
    names : list of str
        What the features are called.
    time : pandas Series of length n_steps, optional
        When each step was.
    """

    values: np.ndarray
    names: list[str]
    time: "pd.Series[Any] | None" = None


BROKEN = (OSError, EOFError, zipfile.BadZipFile, pa.ArrowException, pd.errors.ParserError, pd.errors.EmptyDataError)
"""What is raised where a file is not of the format that its name ends in."""


def read(
    path: str | Path,
    label: str | None = None,
    *,
    gaps: bool = False,
    mixed: bool = False,
    text: Sequence[str | int] = (),
) -> Dataset:
    """Read rows from a file, or from a folder of images whose subfolders are the labels.

    Parameters
    ----------
    path : path
        ``.npy``; ``.npz`` with an array ``X`` and perhaps ``y``; ``.csv`` with a header or ``.parquet`` with columns
        of numbers; or a folder of images of one size, in any format that Pillow reads.
    label : str, optional
        The column (or the array of an ``.npz``) that holds the labels.
    gaps : bool, default False
        Whether labels may be missing in a table: blanks are then NaN in y.
    mixed : bool, default False
        Whether a table may hold words and truth values beside numbers.
    text : sequence of str, optional
        Columns of a ``.csv`` that are words, though they may be digits alone: 007 stays what it is.

    Returns
    -------
    Dataset
        ``(X, y)``; X is a DataFrame for tables, and uint8 for images: (n, height, width), or (n, 3, height, width)
        where one of them has colours.

    Raises
    ------
    FileNotFoundError, ValueError
        In one line that names the file, and the column or image, that is wrong.
    """
    path = Path(path)
    if path.is_dir():
        return read_images(path)
    if path.suffix not in READABLE:
        raise InputError(f"cannot read {path}: give a file that ends in {', '.join(READABLE)}, or a folder of images")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return (
            _read_arrays(path, label)
            if path.suffix in (".npy", ".npz")
            else _read_table(path, label, gaps, mixed, text)
        )
    except BROKEN as error:
        raise InputError(f"cannot read {path}: {_first_line(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is not UTF-8 text") from error


def read_series(path: str | Path) -> Series:
    """Read one long series, a row a step: ``.npy``, or a ``.csv`` or ``.parquet`` with a header.

    Parameters
    ----------
    path : path
        ``.npy`` of shape (n_steps,) or (n_steps, features); or a table whose columns of numbers are the features. One
        further column may say when a step was.

    Returns
    -------
    Series

    Raises
    ------
    FileNotFoundError, ValueError
        In one line that names the file, and what is wrong in it.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".csv", ".parquet"):
        raise InputError(f"{path} is no series: give one that ends in .npy, .csv or .parquet, a row a step")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if path.suffix == ".npy":
            values = np.asarray(_read_arrays(path, None).X)
            if values.ndim not in (1, 2):
                raise InputError(f"{path} has the shape {values.shape}: a series has (n_steps,) or (n_steps, features)")
            values = values.reshape(len(values), -1)
            return Series(values, [f"x_{i}" for i in range(values.shape[1])])
        frame = _read_frame(path)
    except BROKEN as error:
        raise InputError(f"cannot read {path}: {_first_line(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is not UTF-8 text") from error
    others = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    if len(others) > 1:
        raise InputError(f"{path}: columns {_few(others)} hold no numbers, and one may, to say when; drop the rest")
    time = frame.pop(others[0]) if others else None
    if time is not None and pd.to_numeric(time, errors="coerce").notna().any():
        raise InputError(f"{path}: {_text_in(time)}; put a number there, or leave it blank")
    if frame.shape[1] == 0:
        raise InputError(f"{path} has no column of numbers")
    values = frame.to_numpy(dtype=float)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"{path}: column {str(frame.columns[column])!r} holds infinity in row {row}; leave it blank")
    return Series(values, list(map(str, frame.columns)), time)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _read_arrays(path: Path, label: str | None) -> Dataset:
    try:
        content: Any = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise InputError(f"cannot read {path}: it is not an array of numbers in NumPy's format") from error
    if isinstance(content, np.ndarray):
        if label is not None:
            raise InputError(f"{path} is one array and has no {label!r}: leave the label out")
        return Dataset(_numbers(path, content))
    with content:
        names = content.files
        if not names:
            raise InputError(f"{path} holds no array: save the rows in it as X")
        rows = "X" if "X" in names else names[0] if len(names) == 1 else None
        if rows is None:
            raise InputError(f"{path} holds the arrays {', '.join(names)}: name the one with the rows X")
        if label is not None and label not in names:
            raise InputError(f"{path} has no array {label!r}: it holds {', '.join(names)}")
        labels = label or ("y" if "y" in names else None)
        try:
            X, y = content[rows], None if labels is None else content[labels]
        except ValueError as error:
            raise InputError(f"cannot read {path}: an array in it holds objects, not numbers") from error
        if y is not None and np.shape(y)[:1] != np.shape(X)[:1]:
            raise InputError(f"{path}: {rows} has the shape {X.shape} and {labels} {y.shape}: give a label a row")
        return Dataset(_numbers(path, X), y)


def _numbers(path: Path, array: np.ndarray) -> np.ndarray:
    """Return an array of rows, once it is sure that it is one of numbers."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {array.dtype} where numbers are needed: turn it into numbers")
    if not array.ndim:
        raise InputError(f"{path} holds a single number: give rows, of shape (n, ...)")
    return array


def _read_csv(path: Path, text: Sequence[str | int] = ()) -> pd.DataFrame:
    """Read a table none of whose columns is an index; pandas takes one for it that has no name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False, dtype=dict.fromkeys(text, str))
        except pd.errors.ParserWarning as error:
            reason = "its rows have more values than its first line has names"
            raise InputError(f"cannot read {path}: {reason}") from error


def _read_frame(path: Path, text: Sequence[str | int] = ()) -> pd.DataFrame:
    """Read a table of rows under names, each of which is there once."""
    if path.suffix == ".csv":
        frame = _read_csv(path, text)
        names = pd.Index(pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0])  # pandas renames the second
    else:
        frame = pd.read_parquet(path)
        names = frame.columns
    twice = names[names.duplicated()].dropna()
    if len(twice):
        raise InputError(f"{path} has more than one column {str(twice[0])!r}: give each a name of its own")
    if not len(frame):
        raise InputError(f"{path} has names of columns, and no rows")
    return frame


def _read_table(path: Path, label: str | None, gaps: bool, mixed: bool, text: Sequence[str | int]) -> Dataset:
    frame = _read_frame(path, text)
    y = None if label is None else _labels(path, frame, label)
    if y is not None and not gaps and pd.isna(y).any():
        row = int(np.argmax(pd.isna(y).reshape(len(y), -1).any(1)))
        raise InputError(f"{path}: column {label!r} has no label in row {row}; drop such rows")
    words = frame.columns[[not pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]]
    if len(words) == 1 and not mixed and pd.to_numeric(frame[words[0]], errors="coerce").notna().any():
        raise InputError(f"{path}: {_text_in(frame[words[0]])}; put a number there, or leave it blank")
    if len(words) and not mixed:
        raise InputError(f"{path}: column {_few(words)} holds no numbers; drop it, or name it as the label")
    return Dataset(frame, y)


def _labels(path: Path, frame: pd.DataFrame, label: str) -> np.ndarray:
    """Take the column of labels out of a table, or several with commas between, of shape (n, columns)."""
    names = [label] if label in frame else [name.strip() for name in label.split(",")]
    for name in names:
        if name not in frame:
            raise InputError(f"{path} has no column {name!r}: it has {_few(frame.columns)}")
    columns = [frame.pop(name).to_numpy(na_value=np.nan) for name in names]
    return columns[0] if len(columns) == 1 else np.column_stack([column.astype(object) for column in columns])


def _text_in(column: "pd.Series[Any]") -> str:
    """Say where in a column of numbers there is text."""
    row = int((pd.to_numeric(column, errors="coerce").isna() & column.notna()).argmax())
    return f"column {str(column.name)!r} holds {str(column.iloc[row])!r} in row {row}, and numbers elsewhere"


def _few(names: Sequence[Any] | pd.Index, most: int = 10) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def read_images(folder: Path) -> Dataset:
    """Read all images under `folder`, in the order of their names; see :func:`read`."""
    paths = image_paths(folder)
    if not paths:
        raise InputError(f"{folder} holds no images: give a folder of files such as .png, or of subfolders of them")
    images = [_read_image(path) for path in paths]
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[None], 3, axis=0) for image in images]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            size, first = image.shape[-2:][::-1], images[0].shape[-2:][::-1]
            raise InputError(
                f"{path} is {size[0]}×{size[1]} pixels and {paths[0].name} {first[0]}×{first[1]}: bring all to one size"
            )
    labels = [str(path.parent.relative_to(folder)) for path in paths]
    return Dataset(np.stack(images), np.array(labels) if len(set(labels)) > 1 else None)


def image_paths(folder: Path) -> list[Path]:
    """Return the images under a folder, in the order in which :func:`read_images` reads them."""
    return sorted(path for path in folder.rglob("*") if _is_image(path))


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in Image.registered_extensions() and path.is_file()


def _read_image(path: Path) -> np.ndarray:
    """Read an image as uint8: (height, width) where it is grey, else (3, height, width)."""
    try:
        with Image.open(path) as image:
            if image.mode in ("1", "L"):
                return np.asarray(image.convert("L"))
            if image.mode.startswith("I") or image.mode == "F":
                raise InputError("it has more than 8 bits a pixel; convert it to 8 bits, or save the array as .npy")
            return np.moveaxis(np.asarray(image.convert("RGB")), 2, 0)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read the image {path}: {_first_line(error)}") from error


def check_output(path: str | Path, endings: Sequence[str] = WRITABLE) -> None:
    """Raise ValueError where a result cannot be written by that name's ending."""
    if Path(path).suffix not in endings:
        raise InputError(f"cannot write {path}: give a name that ends in {', '.join(endings)}")


def write(path: str | Path, values: np.ndarray, columns: Sequence[str]) -> None:
    """Write one row a line, whole or not at all, in the format of the name's ending.

    Parameters
    ----------
    path : path
        Ends in ``.npy``, which keeps the array's shape, or in ``.csv`` or ``.parquet``, where each row is flattened.
    values : ndarray of shape (n, ...)
        The rows.
    columns : sequence of str
        A name for each entry of a flattened row.
    """
    check_output(path)
    if Path(path).suffix != ".npy":
        write_table(path, pd.DataFrame(values.reshape(len(values), -1), columns=list(columns)))
        return
    with replacing(path) as temporary:
        np.save(temporary, values)


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table whose columns may be of several kinds; a ``.npy`` has its numbers alone. See :func:`write`."""
    check_output(path)
    with replacing(path) as temporary:
        if Path(path).suffix == ".npy":
            values = table.to_numpy()
            if values.dtype == object:
                raise InputError(
                    f"cannot write {path}: its columns are of several kinds; give a name that ends in .csv"
                )
            np.save(temporary, values, allow_pickle=False)
        elif Path(path).suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
