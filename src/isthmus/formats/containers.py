"""From whatever rows come in to arrays and pandas, once at the door, and back to the dataframe that they came in."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import ArrayLike
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_object_dtype
from scipy import sparse
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from isthmus.errors import InputError, InputTypeError


class ArrowStream(Protocol):
    """A dataframe, or a column of one, of a library that gives it as Arrow's: polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return it as a stream of Arrow."""


class Sparse(Protocol):
    """A sparse matrix or array of scipy."""

    @property
    def nnz(self) -> int:
        """How many values are stored."""


RowsLike: TypeAlias = (
    ArrayLike | Tensor | pd.DataFrame | pd.Series | ArrowStream | Sparse | Mapping[str, "RowsLike | None"]
)
"""What rows, conditions and masks may come in as, and :func:`plain` takes.

An array of NumPy, HDF5 or zarr, a tensor, a sparse matrix, a dataframe or a column of any library that knows Arrow,
lists of numbers, a list of sequences, or a dict of these: modalities by name.
"""

Dataframe: TypeAlias = pd.DataFrame | pa.Table | ArrowStream
"""What rows that came in as a dataframe are given back as: that of pandas, Arrow or polars."""

RowsAsGiven: TypeAlias = np.ndarray | Dataframe | dict[str, np.ndarray] | list[np.ndarray]
"""What rows are given back as: an array, a dataframe, modalities by name or a list of sequences, as they came in."""

Container = Literal["pandas", "polars", "pyarrow"]
CONTAINERS: tuple[Container, ...] = ("pandas", "polars", "pyarrow")
"""Dataframes that rows are given back as; those of other libraries come back as pandas'."""

SPARSE_AT_ONCE = 2**22
"""Numbers of a sparse matrix that are made dense at once at use, at the most."""

NULLABLE: dict[pa.DataType, ExtensionDtype] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
"""What whole numbers and truth values are in pandas where some are missing, so that they stay what they are."""


def container_of(X: RowsLike | None) -> Container | None:
    """Return which dataframe `X` is, those that are not known by name being pandas'; None where it is none."""
    if isinstance(X, pd.DataFrame):
        return "pandas"
    if isinstance(X, Tensor | np.ndarray | pd.Series) or not hasattr(X, "__arrow_c_stream__"):
        return None
    if isinstance(X, pa.ChunkedArray) or not hasattr(X, "columns"):
        return None  # a column, as polars' Series, or an array
    root = type(X).__module__.partition(".")[0]
    return next((name for name in CONTAINERS if name == root), "pandas")


def plain(X: RowsLike | None) -> Any:
    """Return rows as pandas or arrays; lists, and pandas' frames of plain dtypes, are left as they are.

    Dataframes of other libraries become pandas' through Arrow, decimals floats, sparse matrices dense, HDF5's and
    zarr's arrays numpy's; what is masked in a masked array is NaN.

    Raises
    ------
    TypeError
        If `X` is a data loader, a data set or another iterable that gives its rows one after the other.
    ValueError
        If a sparse matrix is too large to be made dense.
    """
    if isinstance(X, pd.DataFrame):
        return _of_plain_dtypes(X)
    if container_of(X) is not None:
        return _from_arrow(X if isinstance(X, pa.Table) else pa.table(X))
    if sparse.issparse(X):
        return dense(X)
    if isinstance(X, np.ma.MaskedArray):
        return _without_mask(X)
    if isinstance(X, np.ndarray):
        return as_native(X)
    if isinstance(X, Tensor):
        return _as_plain_tensor(X)
    if isinstance(X, list | tuple) and any(isinstance(each, np.ma.MaskedArray | Tensor) for each in X):
        return [plain(each) if isinstance(each, np.ma.MaskedArray | Tensor) else each for each in X]
    if isinstance(X, pd.Series | list | tuple) or X is None:
        return X
    _check_holds_rows(X)
    is_array = hasattr(X, "shape") and hasattr(X, "dtype") and hasattr(X, "__getitem__")
    return as_native(np.asarray(X)) if is_array else X


def as_native(array: np.ndarray) -> np.ndarray:
    """Return an array's numbers side by side, row after row, in this machine's order of bytes, aligned.

    Reversed, broadcast, byte-swapped and packed arrays then give the same numbers to the bit; one that is so already is
    not copied.
    """
    plain_array = np.asarray(array)
    if plain_array.dtype.names is not None:
        raise InputError(
            f"X is a structured array with the fields {', '.join(plain_array.dtype.names[:12])}: give a DataFrame, "
            "pandas.DataFrame(X)"
        )
    return np.require(plain_array, plain_array.dtype.newbyteorder("="), ["C", "A"])


def _as_plain_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor that numpy can take: without a gradient, on the CPU, its numbers side by side.

    Half numbers are of the dtype in which NumPy's are computed with; bfloat16, which it has not, of the next one.
    """
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    wider = {torch.bfloat16: torch.float32, torch.float16: torch.float64}
    return tensor.to(wider.get(tensor.dtype, tensor.dtype)).contiguous()


def back(frame: pd.DataFrame, container: Container | None) -> Dataframe:
    """Return a pandas frame as the dataframe that rows came in; an index of several levels goes before its columns."""
    if container in (None, "pandas"):
        return frame
    frame = frame.reset_index(names=frame.index.names) if isinstance(frame.index, pd.MultiIndex) else frame
    table = pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False).replace_schema_metadata(None)
    if container == "pyarrow":
        return table
    try:
        import polars
    except ImportError:  # the model was fitted elsewhere
        return frame
    return polars.from_arrow(table)


def dense(X: Any) -> np.ndarray:
    """Return a sparse matrix as an array, where memory is enough; raise ValueError where it is not."""
    if X.ndim != 2:
        raise InputError(f"X is a sparse array of shape {X.shape}: give two dimensions, one row a line")
    itemsize = X.dtype.itemsize if X.dtype.kind == "f" else 8
    needed, free = X.shape[0] * X.shape[1] * itemsize, free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"X, a sparse matrix of shape {X.shape}, takes {needed / 1e9:.1f} GB when it is made dense, and "
            f"{free / 1e9:.1f} GB are free: give fewer rows or columns, or reduce it first "
            "(sklearn.decomposition.TruncatedSVD)"
        )
    return np.asarray(X.toarray(order="C"))


def by_pieces(function: Callable[[Any], np.ndarray], X: Any) -> np.ndarray:
    """Apply a function of rows; to a sparse matrix some rows at a time, so that it need never be dense as a whole."""
    if not sparse.issparse(X) or X.ndim != 2 or not X.shape[0]:
        return function(X)
    size, rows = max(1, SPARSE_AT_ONCE // max(X.shape[1], 1)), X.tocsr()
    return np.concatenate([function(rows[start : start + size]) for start in range(0, X.shape[0], size)])


def decimals_of(X: Dataframe) -> list[int | None]:
    """Return of each column of a dataframe how many digits behind the point its decimals have; None for others."""
    if isinstance(X, pd.DataFrame):
        return [_digits(column) for _, column in X.items()]
    types = (X if isinstance(X, pa.Table) else pa.table(X)).schema.types
    return [kind.scale if pa.types.is_decimal(kind) and kind.scale >= 0 else None for kind in types]


def _digits(column: pd.Series) -> int | None:
    """Return how many digits behind the point the decimals of a column have, of Python's the most."""
    if not _is_decimal(column.dtype, column):
        return None
    if isinstance(column.dtype, pd.ArrowDtype):
        return max(0, int(column.dtype.pyarrow_dtype.scale))
    exponents = (value.as_tuple().exponent for value in column.dropna())
    return max((-each for each in exponents if isinstance(each, int) and each < 0), default=0)


def free_memory() -> int | None:
    """Return the bytes of memory that are free; None where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _check_holds_rows(X: object) -> None:
    """Raise TypeError for what gives its rows one after the other, with what to give instead."""
    kind = type(X).__name__
    if isinstance(X, DataLoader):
        raise InputTypeError(
            f"X is a {kind}: give its rows as one array, torch.cat([batch[0] for batch in loader]), or call "
            "partial_fit on each batch"
        )
    if isinstance(X, Dataset):
        raise InputTypeError(f"X is a {kind}: give its rows as one array, torch.stack([item[0] for item in dataset])")
    if type(X).__name__ == "LazyFrame":
        raise InputTypeError("X is a LazyFrame: give X.collect()")
    if isinstance(X, Iterator) or (isinstance(X, Iterable) and not isinstance(X, Sequence) and not _has_shape(X)):
        raise InputTypeError(f"X is a {kind}: give rows as an array or a DataFrame, or call partial_fit on each batch")


def _has_shape(X: object) -> bool:
    return any(hasattr(X, name) for name in ("shape", "__array__", "__len__"))


def _without_mask(X: np.ma.MaskedArray) -> np.ndarray:
    if not np.ma.is_masked(X):
        return as_native(X.data)
    if X.dtype.kind not in "biuf":
        return np.where(np.ma.getmaskarray(X), np.nan, X.data.astype(object))
    dtype = np.float32 if X.dtype in (np.uint8, np.float32) else np.float64
    values = np.divide(X.data, 255, dtype=np.float32) if X.dtype == np.uint8 else X.data.astype(dtype)
    return np.where(np.ma.getmaskarray(X), dtype(np.nan), values)


def _of_plain_dtypes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose decimals, of Arrow or of Python, are floats, and whose sparse columns are dense."""
    if all(isinstance(dtype, np.dtype) and dtype.kind != "O" for dtype in frame.dtypes):
        return frame  # as wide ones are, whose columns are many to go through
    columns = [_of_plain_dtype(column) for _, column in frame.items()]
    if all(column is None for column in columns):
        return frame
    pairs = zip(columns, (column for _, column in frame.items()), strict=True)
    made = pd.concat([column if new is None else new for new, column in pairs], axis=1)
    return made.set_axis(frame.columns, axis=1)


def _of_plain_dtype(column: pd.Series) -> pd.Series | None:
    """Return a column in a dtype that all that follows knows; None where it has one."""
    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column), index=column.index)
    if _is_decimal(column.dtype, column):
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    return None


def _is_decimal(dtype: np.dtype | ExtensionDtype, column: pd.Series) -> bool:
    if isinstance(dtype, pd.ArrowDtype):
        return pa.types.is_decimal(dtype.pyarrow_dtype)
    if not is_object_dtype(dtype):
        return False
    first = column.first_valid_index()
    return first is not None and pd.api.types.infer_dtype(column, skipna=True) == "decimal"


def _from_arrow(table: pa.Table) -> pd.DataFrame:
    columns = [_column_from_arrow(column) for column in table.columns]
    if not columns:
        return pd.DataFrame(index=range(table.num_rows))
    return pd.concat(columns, axis=1).set_axis(table.column_names, axis=1)


def _column_from_arrow(column: pa.ChunkedArray) -> pd.Series:
    """Return a column of pandas; one of categories, whole numbers or truth values stays one where some are missing."""
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_dictionary(kind):  # pandas has none whose indices have no sign
        column = column.cast(pa.dictionary(pa.int32(), kind.value_type, kind.ordered))
    if pa.types.is_date32(kind):  # as moments they would not come back as dates
        return pd.Series(pd.array(column, dtype=pd.ArrowDtype(kind)))
    mapper = NULLABLE.get if column.null_count else None
    return column.to_pandas(types_mapper=mapper, date_as_object=False)
