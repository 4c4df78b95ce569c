"""Tables from Parquet, whose size in memory is told by what they say of themselves, and counted where they don't."""

from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from isthmus.data.bounds import check_bytes, most_bytes

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory, by its type."""

REFERENCE = 8
"""Bytes that a value takes beside what it is, where it is text or bytes."""

AT_ONCE = 2**28
"""Bytes that are unpacked at once, at the most, to be counted."""


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table, once it is sure that it takes no more memory than is allowed.

    What repeats itself is written once, with a number for how often: so the bytes that a file says to have unpacked are
    few where the values are many, or long.

    Raises
    ------
    ValueError
        If it takes more.
    """
    with parquet.ParquetFile(path) as file:
        chunks = list(_chunks(file.metadata))
        sizes = [max(chunk.total_uncompressed_size, _width(chunk) * chunk.num_values) for chunk in chunks]
        check_bytes(f"{path} takes", sum(sizes), packed=path.stat().st_size)
        # Each value of a column may be as long as all that differ are together.
        longest = [chunk for chunk in chunks if chunk.total_uncompressed_size * chunk.num_values > most_bytes()]
        texts = sorted({chunk.path_in_schema.split(".")[0] for chunk in longest if _width(chunk) == REFERENCE})
        if texts:
            most = max(chunk.total_uncompressed_size for chunk in longest)
            _count(path, file, texts, max(1, AT_ONCE // most), sum(sizes))
    return pd.read_parquet(path)


def _chunks(metadata: Any) -> Any:
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            yield metadata.row_group(group).column(column)


def _width(chunk: Any) -> int:
    return WIDTHS.get(chunk.physical_type, REFERENCE)


def _count(path: Path, file: parquet.ParquetFile, columns: list[str], rows: int, others: int) -> None:
    """Unpack columns of text some rows at a time, until they are known to take no more than is allowed."""
    size = others
    for batch in file.iter_batches(min(rows, 2**16), columns=columns):
        size += batch.nbytes
        check_bytes(f"{path} takes at least", size, packed=path.stat().st_size)
