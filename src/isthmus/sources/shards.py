"""Tables in Parquet, in one file or a folder of them, read some rows at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from isthmus.errors import InputError
from isthmus.sources.endings import shards_of
from isthmus.sources.pieces import AT_ONCE, FEWEST_PIECES, Piece, Store, check_rows

AT_ONCE_WHOLE = 2**25
"""Bytes of a row group up to which it is decoded at once: a reader that stays open takes several times as many."""

MOST_ROWS = 2**17
"""Rows of a row group up to which it is one piece where all rows are read in order, if it is decoded at once."""

READ_AHEAD = 2**16
"""Bytes of each column that a reader which stays open holds."""

TEXT_BYTES = 64
"""Bytes that a value of text, or of any other kind without a width of its own, is reckoned to take."""


class Shards(Store):
    """A table in Parquet files, in the order of their names: a block is a row group that has rows.

    Parameters
    ----------
    path : path
        A file, or a folder; hidden files, and those that begin with "_", are left out.
    y : str or sequence of str, optional
        The columns that are conditions, and no features.
    """

    is_signed = True  # by what the footers say of each row group: its sizes, and the ranges of its columns

    def __init__(self, path: Path, y: str | Sequence[str] | None = None) -> None:
        self.name = str(path)
        self.paths = shards_of(path)
        self.y = y
        footers = [_footer(each) for each in self.paths]
        self.schema = _common_schema(self.paths, [schema for schema, _ in footers])
        self.bytes_of_a_row = _row_bytes(self.schema)
        self._check_y()
        sizes = [_group_sizes(meta) for _, meta in footers]
        self._groups = [(i, group) for i, own in enumerate(sizes) for group, size in enumerate(own) if size]
        self.sizes = [sizes[i][group] for i, group in self._groups]
        check_rows(self.name, len(self))
        self.rows_of_files = list(map(sum, sizes))
        self.parts = [(str(each), sum(map(bool, own))) for each, own in zip(self.paths, sizes, strict=True)]
        self.at_once = max(1, min(AT_ONCE // self.bytes_of_a_row, -(-max(self.sizes) // _pieces(self.sizes))))
        told = [_told(path, each, meta) for each, (_, meta) in zip(self.paths, footers, strict=True)]
        self.signature = f"parquet {hashlib.sha256(b''.join(told)).hexdigest()}"
        self.signatures_of_files = [hashlib.sha256(each).hexdigest() for each in told]

    def read(self, block: int, start: int = 0) -> Iterator[Piece]:
        """Yield a row group's rows, some at a time."""
        where = self._where(block)
        if self._is_small(block):
            whole = self._whole(block)
            for first in range(start * self.at_once, self.sizes[block], self.at_once):
                yield whole.cut(first, first + self.at_once)
            return
        place, group = self._groups[block]
        with _readable(self.paths[place]):
            batches = _decoded_in_turn(self.paths[place], group, self.at_once)
            for i, rows in enumerate(_of_size(batches, self.at_once)):
                if i >= start:
                    yield self._piece(rows, where)

    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order: each row group as one piece, where that is small enough."""
        for block, size in enumerate(self.sizes):
            if self._is_small(block) and size <= MOST_ROWS:
                yield self._whole(block)
            else:
                yield from self.read(block)

    def _is_small(self, block: int) -> bool:
        return self._decoded_bytes(block) <= AT_ONCE_WHOLE

    def _where(self, block: int) -> str:
        place, group = self._groups[block]
        return f"{self.paths[place]}, row group {group}"

    def _whole(self, block: int) -> Piece:
        """Return a row group, and give back what decoding it took."""
        place, group = self._groups[block]
        with _readable(self.paths[place]):
            piece = self._piece(_decoded(self.paths[place], group), self._where(block))
        pa.default_memory_pool().release_unused()
        return piece

    def _decoded_bytes(self, block: int) -> int:
        """Return about how many bytes a row group takes, decoded: numbers as wide as they are stored."""
        kinds = self.schema.types
        bits = sum(kind.bit_width if pa.types.is_floating(kind) else 8 * _width(kind) for kind in kinds)
        return self.sizes[block] * bits // 8

    def _piece(self, rows: pa.Table, where: str) -> Piece:
        frame = rows.to_pandas(use_threads=False, date_as_object=True)
        if isinstance(frame.index, pd.RangeIndex | pd.MultiIndex):  # else it has the names of rows
            frame = frame.reset_index(drop=True)
        if self.y is None:
            return Piece(frame, None, where)
        return Piece(frame.drop(columns=self._conditions), frame[self.y], where)

    @property
    def _conditions(self) -> list[str]:
        return [self.y] if isinstance(self.y, str) else list(self.y or ())

    def _check_y(self) -> None:
        """Raise ValueError where `y` names no columns of the table."""
        if not isinstance(self.y, str | list | tuple | None) or not all(isinstance(x, str) for x in self._conditions):
            raise InputError(f"y goes with {self.name}: give the name of a column of it, or a list of names")
        lacking = [name for name in self._conditions if name not in self.schema.names]
        if lacking:
            raise InputError(f"y names the column {lacking[0]!r}, which is not in {self.name}: {_few(self.schema)}")


class _readable:  # noqa: N801  (a context)
    """Says which file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, _: object) -> None:
        if isinstance(error, pa.ArrowException | OSError) and not isinstance(error, FileNotFoundError):
            said = " ".join(str(error).split())
            raise InputError(f"cannot read {self.path}: {said}; write it anew, or take it away") from error


def _decoded(path: Path, group: int) -> pa.Table:
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD) as file:
        return file.read_row_group(group, use_threads=False)


def _decoded_in_turn(path: Path, group: int, size: int) -> Iterator[pa.RecordBatch]:
    """Yield a row group so many rows at a time."""
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD) as file:
        yield from file.iter_batches(size, row_groups=[group], use_threads=False)


def _footer(path: Path) -> tuple[pa.Schema, parquet.FileMetaData]:
    with _readable(path), parquet.ParquetFile(path) as file:
        return file.schema_arrow, file.metadata


def _group_sizes(footer: parquet.FileMetaData) -> list[int]:
    return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]


def _common_schema(paths: Sequence[Path], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return what all shards have; raise ValueError where one has other columns, or columns of another kind."""
    first = schemas[0]
    for path, schema in zip(paths, schemas, strict=True):
        if schema.names != first.names:
            odd = next((x for x in [*schema.names, *first.names] if (x in schema.names) != (x in first.names)), None)
            what = f"{'a' if odd in schema.names else 'no'} column {odd!r}"
            what = "its columns in another order" if odd is None else what
            raise InputError(f"{path} has {what}, unlike {paths[0]}: write all shards with the same columns")
        for name, kind, its in zip(first.names, first.types, schema.types, strict=True):
            if _family(kind) != _family(its) and pa.null() not in (kind, its):
                raise InputError(f"{path} holds {its} in column {name!r}, and {paths[0]} {kind}: write all alike")
    return first


def _family(kind: pa.DataType) -> str:
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return "number" if numbers else "text" if text else str(kind)


def _row_bytes(schema: pa.Schema) -> int:
    return max(1, sum(_width(kind) for kind in schema.types))


def _width(kind: pa.DataType) -> int:
    try:
        return max(8, kind.bit_width // 8)
    except ValueError:
        return TEXT_BYTES


def _pieces(sizes: Sequence[int]) -> int:
    """Return in how many pieces the largest of few row groups comes."""
    return -(-FEWEST_PIECES // len(sizes))


def _of_size(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Yield tables of so many rows, whatever the sizes of batches are."""
    left, n = [], 0
    for batch in batches:
        left.append(batch)
        n += batch.num_rows
        while n >= size:
            table = pa.Table.from_batches(left)
            yield table.slice(0, size)
            left, n = table.slice(size).to_batches(), n - size
    if n:
        yield pa.Table.from_batches(left)


def _told(path: Path, file: Path, footer: parquet.FileMetaData) -> bytes:
    """Return a file's name, its size, and what its footer says of each row group."""
    name = file.name if file == path else file.relative_to(path).as_posix()
    return f"{name} {file.stat().st_size} {footer.to_dict()}".encode()


def _few(schema: pa.Schema) -> str:
    return f"it has {', '.join(schema.names[:8])}{' …' if len(schema.names) > 8 else ''}"
