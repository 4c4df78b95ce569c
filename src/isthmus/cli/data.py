"""`isthmus data` of a file or folder: it needs neither PyTorch nor scikit-learn."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from isthmus.cli.console import say
from isthmus.cli.meaning import allow, refuse_without_meaning
from isthmus.cli.options import DataOptions
from isthmus.cli.parsing import parse_kinds, parse_size
from isthmus.errors import InputError
from isthmus.formats.overview import table_overview
from isthmus.formats.scaling import TAILS
from isthmus.formats.schema import Schema
from isthmus.sources import datasets, files
from isthmus.sources.endings import is_sharded
from isthmus.sources.pieces import joined
from isthmus.sources.shards import Shards
from isthmus.sources.windowing import windowing_of

LOOKED_AT = 16
"""Row groups of shards of which some rows are looked at."""


def data(options: DataOptions) -> None:
    """Say what is understood of a file or folder."""
    assert options.source is not None
    allow(options.source, options.max_gb, options.max_pixels)
    if options.source in datasets.names():
        raise InputError(f"{options.source} is a data set with a name: isthmus data, without it, says what it is")
    for line in _understood(options.source, options):
        say(line)


def _understood(path: str, options: DataOptions) -> list[str]:
    """Say how a file or folder is read, and of a table what a tabular model takes its columns for."""
    windowing = windowing_of(options._asdict())
    if windowing is not None:
        if options.kinds:
            raise InputError(f"--kind {options.kinds[0]}: the columns of a series are numbers; leave it out")
        return windowing.understood(path, windowing.read(path))
    refuse_without_meaning(path, size=options.size, fit=options.fit, skip_bad=options.skip_bad)
    if Path(path).is_dir() and not is_sharded(Path(path)):
        refuse_without_meaning(path, kinds=options.kinds, drop=options.drop, na=options.na)
    kinds, size = parse_kinds(options.kinds), parse_size(options.size)
    if is_sharded(Path(path)):
        return _understood_of_shards(path, options, kinds)
    if not datasets.is_path(path):
        datasets.load(path)  # no file and no name of one: says which names there are
    found = files.read_source(
        path,
        options.label,
        mixed=True,
        text=tuple(name for name, kind in kinds.items() if kind == "category"),
        na_values=None if options.na is None else tuple(options.na),
        size=size,
        fit=options.fit,
        skip_bad=options.skip_bad,
    )
    rows = found.data.X
    if isinstance(rows, pd.DataFrame):
        schema = Schema.learn(rows, TAILS, kinds=kinds, drop=options.drop or (), na_values=options.na)
        return [*found.understood, *table_overview(schema, rows)]
    return found.understood or [f"{len(rows):,} rows of shape {rows.shape[1:]}"]


def _understood_of_shards(path: str, options: DataOptions, kinds: Mapping[str, str]) -> list[str]:
    """Say what Parquet shards hold by their footers, and what columns are taken for by some of the rows."""
    labels = [] if options.label is None else [name.strip() for name in options.label.split(",")]
    shards = Shards(Path(path), labels or None)
    blocks = np.unique(np.linspace(0, len(shards.sizes) - 1, LOOKED_AT).astype(int))
    some = joined(next(shards.read(block)) for block in blocks).X
    n = len(shards.parts)
    lines = [f"{n:,} Parquet shard{'' if n == 1 else 's'}, {len(shards):,} rows; they are read from disk in training"]
    schema = Schema.learn(some, TAILS, kinds=kinds, drop=options.drop or (), na_values=options.na)
    if len(some) < len(shards):
        lines.append(f"what follows is by {len(some):,} of the rows, from {len(blocks):,} places")
    return [*lines, *table_overview(schema, some)]
