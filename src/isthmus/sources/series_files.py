"""Long series from files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.formats.names import few
from isthmus.sources.endings import DELIMITED, ending
from isthmus.sources.files import check_file, read_arrays, read_frame, reading
from isthmus.sources.timeline import TimeSeries, time_series


def read_series(
    path: str | Path,
    time: str | None = None,
    group: str | None = None,
    features: Sequence[str] | None = None,
    *,
    drop: Sequence[str] = (),
    na_values: Sequence[object] | None = None,
) -> TimeSeries:
    """Read series from a file, a row a step: ``.npy``, or a table (``.csv``, ``.tsv``, ``.txt``, ``.parquet``).

    Parameters
    ----------
    path : path
        ``.npy`` of shape (n_steps,) or (n_steps, features); or a table, as :func:`isthmus.data.time_series` takes it.
    time, group, features, na_values : optional
        As there. An array has neither time nor group.
    drop : sequence of str
        Columns to leave out.

    Returns
    -------
    TimeSeries
        Its lines say first how the file was read, where that goes beyond the ordinary.

    Raises
    ------
    FileNotFoundError, ValueError
        In one line that names the file, and what is wrong in it.
    """
    path = Path(path)
    if ending(path) not in (".npy", *DELIMITED, ".parquet"):
        raise InputError(f"{path} is no series: give one that ends in .npy, .csv or .parquet, a row a step")
    check_file(path)
    with reading(path):
        found = None if path.suffix == ".npy" else read_frame(path, (), numbers=None)
        table = np.asarray(read_arrays(path, None).X) if found is None else found.frame
    for name in drop if features is None else ():
        if found is None or name not in found.frame:
            it_has = "an array has none" if found is None else f"it has {few(found.frame.columns)}"
            raise InputError(f"{path} has no column {name!r}, which is to be dropped: {it_has}")
    if isinstance(table, pd.DataFrame):
        table = table.drop(columns=list(drop), errors="ignore")
    elif table.ndim not in (1, 2):
        raise InputError(f"{path} has the shape {table.shape}: a series has (n_steps,) or (n_steps, features)")
    try:
        series = time_series(table, time=time, group=group, features=features, na_values=na_values)
    except InputError as error:
        said = str(error)
        said = said.replace("the table", str(path), 1) if said.startswith("the table") else f"{path}: {said}"
        raise InputError(said) from error
    if found is None:
        return series
    return series._replace(lines=[*found.understood, *series.lines], warnings=(*found.warnings, *series.warnings))
