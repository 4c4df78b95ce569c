"""Rows from a person's files, and results to files: ``.npy``, ``.npz``, ``.csv``, ``.parquet``, folders of images."""

import zipfile
import zlib
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from isthmus.errors import InputError, shown
from isthmus.formats.marks import Marks, numbers_with_gaps
from isthmus.formats.names import few
from isthmus.saving.atomic import replacing
from isthmus.sources import delimited
from isthmus.sources.arrays import Archive
from isthmus.sources.bounds import check_bytes
from isthmus.sources.dataset import Dataset
from isthmus.sources.delimited import Delimited
from isthmus.sources.endings import DELIMITED, READABLE, WRITABLE, ending
from isthmus.sources.formulas import escape_table, storable
from isthmus.sources.images import Size, as_text, read_images
from isthmus.sources.parquet import read_parquet
from isthmus.sources.pixels import Fit


class Source(NamedTuple):
    """What was read of a file or folder.

    Attributes
    ----------
    data : Dataset
        Rows and labels.
    understood : list of str
        How the file was understood, where that goes beyond the ordinary, in plain lines.
    warnings : list of str
        What of it changes or leaves out something, or may be wrong.
    names : list of str, optional
        What the rows of a folder are called: their files.
    left_out : list of str
        The files of a folder that could not be read.
    columns : list of str
        All columns of a table that were read, labels among them, in its order.
    labels : list of str
        Those of them that are labels.
    """

    data: Dataset
    understood: list[str]
    warnings: list[str]
    names: list[str] | None = None
    left_out: Sequence[str] = ()
    columns: Sequence[Hashable] = ()
    labels: Sequence[str] = ()


def read(path: str | Path, label: str | None = None, **asked: Any) -> Dataset:
    """Read rows as :func:`read_source` does, without what is to be said of them."""
    return read_source(path, label, **asked).data


def read_source(
    path: str | Path,
    label: str | None = None,
    *,
    gaps: bool = False,
    mixed: bool = False,
    text: Sequence[str | int] = (),
    size: Size | None = None,
    fit: Fit = "crop",
    skip_bad: bool = False,
    colors: bool | None = None,
    drop: Sequence[str] = (),
    na_values: Sequence[object] | None = None,
    strict: bool = False,
    where_there: bool = False,
    numbers: Sequence[str | int] = (),
) -> Source:
    """Read rows from a file, or from a folder of images whose subfolders are the labels, and say how.

    Parameters
    ----------
    path : path
        ``.npy``; ``.npz`` with an array ``X`` and perhaps ``y``; ``.csv``, ``.tsv`` or ``.txt`` (also ``.gz``) or
        ``.parquet`` with columns of numbers; or a folder of images, PNG, JPEG, WebP, BMP, TIFF, GIF or PPM.
    label : str, optional
        The column (or the array of an ``.npz``) that holds the labels.
    gaps : bool, default False
        Whether labels may be missing in a table: blanks are then NaN in y.
    mixed : bool, default False
        Whether a table may hold words and truth values beside numbers; what stands for a missing number, NaN else, is
        then left to the model.
    text, numbers : sequence of str, optional
        Columns of a ``.csv`` that are words, though they may be digits alone: 007 stays what it is; and those that are
        numbers, though some begin with 0.
    size, fit, skip_bad, colors
        Of a folder of images: see :func:`isthmus.sources.images.read_images`.
    drop, strict
        Columns to leave out, and whether they must be there.
    na_values : sequence, optional
        What stands for a missing number.
    where_there : bool, default False
        Whether a label that is not there is none.

    Returns
    -------
    Source
        Its X is a DataFrame for tables, and uint8 for images: (n, height, width), or (n, 3, height, width) where one of
        them has colours.

    Raises
    ------
    FileNotFoundError, ValueError
        In one line that names the file, and the column or image, that is wrong.
    """
    path = Path(path)
    if path.is_dir():
        if label is not None:
            raise InputError(f"label {label!r}: the labels of a folder of images are its subfolders; leave it out")
        pictures = read_images(path, size, fit, skip_bad, colors=colors)
        names, left_out = ([as_text(file, path) for file in each] for each in (pictures.paths, pictures.left_out))
        return Source(pictures.data, pictures.summary, pictures.warnings, names, left_out)
    if ending(path) not in READABLE:
        raise InputError(f"cannot read {path}: give a file that ends in {', '.join(READABLE)}, or a folder of images")
    check_file(path)
    with reading(path):
        if ending(path) in (".npy", ".npz"):
            return Source(read_arrays(path, label, where_there), [], [])
        return _read_table(path, label, gaps, mixed, text, drop, na_values, strict, where_there, numbers)


def check_file(path: Path) -> None:
    """Raise where there is no file, or none that ends, or one that takes more memory than is allowed."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise InputError(f"cannot read {path}: it is no file, but a pipe or a device; save what it gives in a file")
    check_bytes(f"{path} takes", path.stat().st_size)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise ValueError, in one line that names the file, where it is not of the format that its name ends in."""
    try:
        yield
    except (OSError, EOFError, zipfile.BadZipFile, pa.ArrowException, zlib.error) as error:
        raise InputError(f"cannot read {path}: {str(error).partition(chr(10))[0]}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is not UTF-8 text") from error


def read_arrays(path: Path, label: str | None, where_there: bool = False) -> Dataset:
    """Read the rows, and the labels, of an ``.npy`` or an ``.npz``; `where_there`: a label that is not is none."""
    content = Archive(path)
    names = content.names
    if where_there and label not in names:
        label = None
    if content.is_one:
        if label is not None:
            raise InputError(f"{path} is one array and has no {label!r}: leave the label out")
        return Dataset(_numbers(path, content.read()))
    if not names:
        raise InputError(f"{path} holds no array: save the rows in it as X")
    rows = "X" if "X" in names else names[0] if len(names) == 1 else None
    if rows is None:
        raise InputError(f"{path} holds the arrays {', '.join(map(shown, names[:10]))}: name the one with the rows X")
    if label is not None and label not in names:
        raise InputError(f"{path} has no array {label!r}: it holds {', '.join(map(shown, names[:10]))}")
    labels = label or ("y" if "y" in names else None)
    X = _numbers(path, content.read(rows))
    y = None if labels is None else content.read(labels)
    if y is not None and y.shape[:1] != X.shape[:1]:
        raise InputError(f"{path}: {rows} has the shape {X.shape} and {labels} {y.shape}: give a label a row")
    return Dataset(X, y)


def read_modalities(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz``, which may be words, by their names.

    Raises
    ------
    FileNotFoundError, ValueError
        In one line that names the file, and the array, that is wrong.
    """
    path = Path(path)
    check_file(path)
    content = Archive(path)
    if content.is_one and path.stat().st_size:
        raise InputError(f"cannot read {path}: it is no archive of arrays, as numpy.savez writes them")
    check_bytes(f"{path} takes", content.size, packed=path.stat().st_size)
    arrays = {name: content.read(name) for name in content.names}
    if not arrays:
        raise InputError(f"{path} holds no array: save each modality in it, under its name")
    single = [name for name, array in arrays.items() if not array.ndim]
    if single:
        raise InputError(f"{path}: {single[0]!r} is a single value: give rows, of shape (n, ...)")
    return arrays


def _numbers(path: Path, array: np.ndarray) -> np.ndarray:
    """Return an array of rows, once it is sure that it is one of numbers."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {array.dtype} where numbers are needed: turn it into numbers")
    if not array.ndim:
        raise InputError(f"{path} holds a single number: give rows, of shape (n, ...)")
    return array


def read_frame(
    path: Path, text: Sequence[str | int], own_marks: bool = False, numbers: Sequence[str | int] | None = ()
) -> Delimited:
    """Read a table of text or Parquet; see :func:`isthmus.sources.delimited.read_delimited`."""
    if ending(path) in DELIMITED:
        return delimited.read_delimited(path, text, own_marks=own_marks, numbers=numbers)
    frame = read_parquet(path)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path} has more than one column {str(twice[0])!r}: give each a name of its own")
    if not len(frame):
        raise InputError(f"{path} has names of columns, and no rows")
    return Delimited(frame, None, [], [])


def _read_table(
    path: Path,
    label: str | None,
    gaps: bool,
    mixed: bool,
    text: Sequence[str | int],
    drop: Sequence[str],
    na_values: Sequence[object] | None,
    strict: bool,
    where_there: bool,
    numbers: Sequence[str | int],
) -> Source:
    found = read_frame(path, text, na_values is not None, numbers)
    frame = found.frame if found.row_names is None else _named_rows(found.frame, found.row_names)
    if strict and (gone := [name for name in drop if name not in frame]):
        raise InputError(f"--drop {gone[0]}: {path} has no such column: it has {few(frame.columns)}")
    frame = frame.drop(columns=list(drop), errors="ignore")
    columns = list(frame.columns)
    if label is not None and where_there and not any(name in frame for name in _label_names(frame, label)):
        label = None
    labels = [] if label is None else _label_names(frame, label)
    frame, missing = (frame, []) if mixed else numbers_with_gaps(frame, Marks(na_values))
    y = None if label is None else _labels(path, frame, label)
    if y is not None and not gaps and pd.isna(y).any():
        row = int(np.argmax(pd.isna(y).reshape(len(y), -1).any(1)))
        raise InputError(f"{path}: column {label!r} has no label in row {row}; drop such rows")
    if not frame.shape[1]:
        raise InputError(f"{path}: no column is left to learn from, beside what is a label or left out")
    words = frame.columns[[not pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]]
    if len(words) == 1 and not mixed:
        _check_text(path, frame[words[0]])
    if len(words) and not mixed:
        raise InputError(
            f"{path}: column {few(words)} holds no numbers: take a tabular model (--model tabular), drop it, or name "
            "it as the label"
        )
    return Source(Dataset(frame, y), [*found.understood, *missing], found.warnings, columns=columns, labels=labels)


def _named_rows(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Take a column for the names of the rows; numbers from 0 on say nothing."""
    names = frame[column]
    frame = frame.drop(columns=column)
    if pd.api.types.is_integer_dtype(names) and (names == np.arange(len(names))).all():
        return frame
    frame.index = pd.Index(names).rename(None)
    return frame


def _labels(path: Path, frame: pd.DataFrame, label: str) -> np.ndarray:
    """Take the column of labels out of a table, or several with commas between, of shape (n, columns)."""
    names = _label_names(frame, label)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"--label {label}: it names the column {twice[0]!r} twice; name it once")
    for name in names:
        if name not in frame:
            raise InputError(f"{path} has no column {name!r}: it has {few(frame.columns)}")
    columns = [frame.pop(name).to_numpy(na_value=np.nan) for name in names]
    return columns[0] if len(columns) == 1 else np.column_stack([column.astype(object) for column in columns])


def _label_names(frame: pd.DataFrame, label: str) -> list[str]:
    return [label] if label in frame else [name.strip() for name in label.split(",")]


def _check_text(path: Path, column: pd.Series) -> None:
    """Raise ValueError for the one column of text among numbers where it has numbers too, or digits alone."""
    is_number = pd.to_numeric(column, errors="coerce").notna()
    if is_number.any() and (is_number | column.isna()).all():
        raise InputError(
            f"{path}: column {str(column.name)!r} is text, as some of its values begin with 0: take a tabular model "
            "(--model tabular), drop it, or name it as the label"
        )
    if is_number.any():
        row = int((~is_number & column.notna()).argmax())
        raise InputError(
            f"{path}: column {str(column.name)!r} holds {str(column.iloc[row])!r} in row {row}, and numbers elsewhere; "
            "put a number there, or leave it blank"
        )


def check_output(path: str | Path, endings: Sequence[str] = WRITABLE) -> None:
    """Raise ValueError where a result cannot be written by that name's ending."""
    if Path(path).suffix not in endings:
        raise InputError(f"cannot write {path}: give a name that ends in {', '.join(endings)}")


def write(path: str | Path, values: np.ndarray, columns: Sequence[str], *, formulas: bool = False) -> None:
    """Write one row a line, whole or not at all, in the format of the name's ending.

    Parameters
    ----------
    path : path
        Ends in ``.npy``, which keeps the array's shape, or in ``.csv`` or ``.parquet``, where each row is flattened.
    values : ndarray of shape (n, ...)
        The rows.
    columns : sequence of str
        A name for each entry of a flattened row.
    formulas : bool, default False
        Whether text that begins with =, +, - or @ is written to ``.csv`` as it is. A spreadsheet runs it; without, an
        apostrophe before it keeps it text, which :func:`read` takes away again.
    """
    check_output(path)
    if Path(path).suffix != ".npy":
        write_table(path, pd.DataFrame(values.reshape(len(values), -1), columns=list(columns)), formulas=formulas)
        return
    with replacing(path) as temporary:
        np.save(temporary, values)


def write_table(path: str | Path, table: pd.DataFrame, *, formulas: bool = False) -> None:
    """Write a table whose columns may be of several kinds; a ``.npy`` has its numbers alone. See :func:`write`."""
    check_output(path)
    table = storable(table)
    with replacing(path) as temporary:
        if Path(path).suffix == ".npy":
            values = table.to_numpy()
            if values.dtype == object:
                raise InputError(
                    f"cannot write {path}: its columns are of several kinds; give a name that ends in .csv"
                )
            np.save(temporary, values, allow_pickle=False)
        elif Path(path).suffix == ".csv":
            (table if formulas else escape_table(table)).to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
