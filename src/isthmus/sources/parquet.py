"""Tables from Parquet, whose size in memory is told by what they say of themselves, and counted where they don't."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from isthmus.sources.bounds import check_bytes, check_counted, most_unpacked

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory, by its type."""

REFERENCE = 8
"""Bytes that a value takes beside what it is, where it is text or bytes."""

WHOLE = {"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
"""Encodings that write each text in full, so that it takes no more than the file says to have unpacked."""

PREFIXES = "DELTA_BYTE_ARRAY"
"""The encoding that writes of each text what differs from the one before."""

AT_ONCE = 2**28
"""Bytes that are unpacked at once, at the most, to be counted."""

ROWS = 2**20
"""Rows that are unpacked at once, at the most, to be counted."""


@dataclass
class _Column:
    """A column of the file: of a nested one, each of its parts."""

    index: int
    size: int = 0
    """Bytes in memory, as the file tells: of text that may repeat itself, at least."""
    more: int = 0
    """Bytes that its text may take beside that."""
    longest: int = 0
    """Bytes of a value, at the most."""
    prefixes: bool = False
    """Whether text is written as what differs from the one before: it is no dictionary, and has to be unpacked."""
    in_lists: bool = False
    """Whether a row may hold any number of values."""


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table, once it is sure that it takes no more memory than is allowed.

    What repeats itself is written once, with a number for how often: so the bytes that a file says to have unpacked are
    few where the values are many, or long.

    Raises
    ------
    ValueError
        If it takes more.
    """
    packed = path.stat().st_size
    with parquet.ParquetFile(path) as file:
        columns = _columns(file)
    size = sum(column.size for column in columns)
    check_bytes(f"{path} takes", size, packed=packed)
    if size + sum(column.more for column in columns) > most_unpacked(packed):
        # A row is the least that can be unpacked, and may hold too much.
        check_bytes(
            f"{path} takes up to",
            size + sum(column.more for column in columns if column.in_lists and column.prefixes),
            packed=packed,
        )
        size -= sum(column.size for column in columns if column.more)
        for more in _counted(path, [column for column in columns if column.more]):
            size += more
            check_counted(f"{path} takes", size, packed=packed)
    return pd.read_parquet(path)


def _columns(file: parquet.ParquetFile) -> list[_Column]:
    metadata, kept = file.metadata, list(_kept(file.schema_arrow))
    columns = []
    for index in range(metadata.num_columns):
        kind = file.schema.column(index)
        column = _Column(index, in_lists=kind.max_repetition_level > 0)
        # What is a dictionary in memory too stays as short as it is in the file.
        stays = len(kept) == metadata.num_columns and kept[index]
        for group in range(metadata.num_row_groups):
            _add(column, metadata.row_group(group).column(index), kind, stays)
        columns.append(column)
    return columns


def _add(column: _Column, chunk: parquet.ColumnChunkMetaData, kind: parquet.ColumnSchema, stays: bool) -> None:
    is_text = kind.physical_type == "BYTE_ARRAY"
    width = WIDTHS.get(kind.physical_type, REFERENCE if is_text else max(REFERENCE, kind.length))
    column.size += max(chunk.total_uncompressed_size, width * chunk.num_values)
    encodings = set(chunk.encodings)
    column.prefixes |= is_text and PREFIXES in encodings
    if is_text and (PREFIXES in encodings or not (stays or encodings <= WHOLE)):
        # Each value may be as long as all that differ are together.
        column.more += chunk.total_uncompressed_size * chunk.num_values
        column.longest = max(column.longest, chunk.total_uncompressed_size)


def _kept(kinds: Iterable[pa.Field], inside: bool = False) -> Iterator[bool]:
    """Say of the file's columns, in its order, whether they are dictionaries in memory too; in lists they are not."""
    for kind in (field.type for field in kinds):
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        if pa.types.is_nested(kind):
            yield from _kept((kind.field(i) for i in range(kind.num_fields)), inside=True)
        else:
            yield pa.types.is_dictionary(kind) and not inside


def _counted(path: Path, columns: list[_Column]) -> Iterator[int]:
    """Give the bytes of columns of text, some rows at a time.

    They are unpacked as dictionaries, which hold each text once, where their encoding can be.
    """
    if dictionaries := [column.index for column in columns if not column.prefixes]:
        yield from _batches(path, dictionaries, ROWS, as_dictionaries=True)
    for column in (each for each in columns if each.prefixes):
        yield from _batches(path, [column.index], max(1, AT_ONCE // column.longest), as_dictionaries=False)


def _batches(path: Path, columns: list[int], rows: int, as_dictionaries: bool) -> Iterator[int]:
    with parquet.ParquetFile(path, read_dictionary=columns if as_dictionaries else None) as file:
        groups = list(range(file.metadata.num_row_groups))
        # By number: ParquetFile.iter_batches takes names, where "a" is also "a.b".
        for batch in file.reader.iter_batches(min(rows, ROWS), row_groups=groups, column_indices=columns):
            yield sum(_size(array) for array in batch.columns)


def _size(array: pa.Array) -> int:
    """Return how many bytes the values of an array take, each for itself."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.take(pc.binary_length(array.dictionary), array.indices)
        return REFERENCE * len(array) + (pc.sum(lengths).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(_size(part) for part in array.flatten())
    if pa.types.is_nested(kind):
        return REFERENCE * len(array) + _size(array.flatten())
    return int(array.nbytes)
