"""What a model says of rows as a table, and on its way to a file a piece at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from isthmus.errors import InputError
from isthmus.saving.atomic import replacing
from isthmus.sources.endings import WRITABLE
from isthmus.sources.formulas import escape_table, storable

OF_A_ROW = {"score_samples": "score", "decision_function": "decision", "predict": "prediction"}
"""What a method's one number of a row is called; of others as the method is."""

Part = pd.DataFrame | np.ndarray
Put = Callable[[Part], None]
"""Writes a piece."""


def feature_names(model: object, rows: np.ndarray | pd.DataFrame | Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the entries of flattened rows."""
    if isinstance(rows, pd.DataFrame | Mapping):
        return []  # they have names of their own
    names = [f"x_{i}" for i in range(int(np.prod(rows.shape[1:])))]
    known = list(getattr(model, "feature_names_in_", names))
    return known if len(known) == len(names) else names


def side_by_side(values: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Bring modalities into one table: columns go by the modality's name, and a number where it has several."""
    columns: dict[str, np.ndarray] = {}
    for name, rows in values.items():
        flat = rows.reshape(len(rows), -1)
        columns |= {name if flat.shape[1] == 1 else f"{name}_{i}": flat[:, i] for i in range(flat.shape[1])}
    return pd.DataFrame(columns)


def as_table(model: object, method: str, values: object) -> pd.DataFrame:
    """Return what a method gives of rows as a table, with a name for each column."""
    if isinstance(values, Mapping):
        return side_by_side(values)
    if isinstance(values, pd.DataFrame):
        return values
    if not isinstance(values, np.ndarray):
        raise InputError(f"{method} gives a {type(values).__name__}, which is no table: write it yourself")
    if values.ndim == 1:
        return pd.DataFrame({OF_A_ROW.get(method, method): values})
    is_code = method == "transform"
    names = [f"code_{i}" for i in range(values.shape[1])] if is_code else feature_names(model, values)
    return pd.DataFrame(values.reshape(len(values), -1), columns=names)


def with_row_names(table: pd.DataFrame, index: pd.Index, unnamed: str = "row") -> pd.DataFrame:
    """Return a table whose first column is what rows are called, where they have names and not numbers."""
    if isinstance(index, pd.RangeIndex | pd.MultiIndex):
        return table.reset_index(drop=True)
    names = pd.Series(index.to_numpy(), name=str(index.name or unnamed))
    return pd.concat([names, table.reset_index(drop=True)], axis=1)


def write_parts(path: Path, parts: Iterable[Part], n: int | None = None, *, formulas: bool = False) -> int:
    """Write pieces of one result to one file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.parquet``, ``.csv`` or ``.npy``.
    parts : iterable of DataFrame or ndarray
        An array's shape is kept in ``.npy``; else they are tables.
    n : int, optional
        How many rows they are, which ``.npy`` needs first.
    formulas : bool, default False
        As :func:`isthmus.sources.files.write` takes it.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    ValueError
        If the name ends in something else, or pieces do not fit together.
    OSError
        If it cannot be written.
    """
    if path.suffix not in WRITABLE:
        raise InputError(f"cannot write {path}: give a name that ends in {', '.join(WRITABLE)}")
    written = 0
    with replacing(path) as temporary, _open(temporary, path, n, formulas) as put:
        for part in parts:
            put(part)
            written += len(part)
    return written


@contextmanager
def _open(temporary: Path, path: Path, n: int | None, formulas: bool) -> Iterator[Put]:
    if path.suffix == ".parquet":
        with _into_parquet(temporary, path) as put:
            yield put
    elif path.suffix == ".csv":
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield _Lines(file, formulas)
    else:
        with temporary.open("wb") as binary:
            array = _Array(binary, path, n)
            yield array
            array.check_whole()


@contextmanager
def _into_parquet(temporary: Path, path: Path) -> Iterator[Put]:
    writers: list[parquet.ParquetWriter] = []

    def put(part: Part) -> None:
        frame = part if isinstance(part, pd.DataFrame) else pd.DataFrame(part.reshape(len(part), -1))
        frame = storable(frame)
        try:
            if not writers:
                table = pa.Table.from_pandas(frame, preserve_index=False)
                schema = pa.schema([_lasting(field) for field in table.schema], table.schema.metadata)
                writers.append(parquet.ParquetWriter(temporary, schema))
                writers[0].write_table(table.cast(schema))
            else:
                schema = writers[0].schema
                writers[0].write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, KeyError) as error:
            said = " ".join(str(error).split())
            raise InputError(f"cannot write {path}: its pieces do not fit together: {said}") from error

    try:
        yield put
    finally:
        for writer in writers:
            writer.close()


def _lasting(field: pa.Field) -> pa.Field:
    """Return a column's type as it holds for all pieces, where the first says less than others."""
    if pa.types.is_dictionary(field.type):
        return field.with_type(pa.dictionary(pa.int32(), field.type.value_type, field.type.ordered))
    return field.with_type(pa.float64()) if pa.types.is_null(field.type) else field


class _Lines:
    """Writes a table as text, its names first."""

    def __init__(self, file: TextIO, formulas: bool) -> None:
        self._file, self._formulas, self._is_begun = file, formulas, False

    def __call__(self, part: Part) -> None:
        frame = storable(part if isinstance(part, pd.DataFrame) else pd.DataFrame(part.reshape(len(part), -1)))
        (frame if self._formulas else escape_table(frame)).to_csv(self._file, index=False, header=not self._is_begun)
        self._is_begun = True


class _Array:
    """Writes an array of which the number of rows is known before they come."""

    def __init__(self, file: BinaryIO, path: Path, n: int | None) -> None:
        self._file, self._path, self._n, self._left = file, path, n, n
        self._like: np.ndarray | None = None

    def __call__(self, part: Part) -> None:
        if self._n is None or self._left is None:
            raise InputError(f"cannot write {self._path}: nobody knows how many rows there are; write .parquet or .csv")
        values = _numbers(part, self._path)
        if self._like is None:
            self._like = values[:0]
            shape = (self._n, *values.shape[1:])
            header = {"descr": values.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(self._file, header)
        if values.shape[1:] != self._like.shape[1:]:
            raise InputError(f"cannot write {self._path}: pieces have the shapes {self._like.shape} and {values.shape}")
        self._left -= len(values)
        self._file.write(np.ascontiguousarray(values, self._like.dtype).data)

    def check_whole(self) -> None:
        """Raise ValueError where there were more rows, or fewer, than was said."""
        if self._left:
            assert self._n is not None
            raise InputError(f"cannot write {self._path}: {self._n - self._left} rows came, and {self._n} were to come")


def _numbers(part: Part, path: Path) -> np.ndarray:
    values = part.to_numpy() if isinstance(part, pd.DataFrame) else part
    if values.dtype == object:
        raise InputError(f"cannot write {path}: its columns are of several kinds; write .parquet or .csv")
    return values


def in_file_order(table: pd.DataFrame, labels: pd.DataFrame | None, columns: Sequence[str]) -> pd.DataFrame:
    """Return rows that were filled in with their labels among them, in their file's order of columns."""
    if labels is not None:
        own = {str(name): labels[name].to_numpy() for name in labels if name not in table}
        table = table.assign(**own)
    ordered = [name for name in columns if name in table]
    return table[ordered] if len(ordered) == table.shape[1] else table
