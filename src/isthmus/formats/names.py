"""What rows are called, and lists of names in words."""

import re
from collections.abc import Hashable, Iterable, Sized

import pandas as pd

NAMES_OF_IDS = ("id", "uuid", "guid", "key", "name", "index", "idx", "row_number", "rownumber", "unnamed: 0")
"""What a column of names of rows is called, in lower case; the last is what pandas makes of an index without one."""

MOST_LETTERS = 200
"""Of a name in a message."""

_CAMEL = re.compile(r"[a-z0-9](?:Id|ID)$")


def row_names(X: Sized) -> list[str]:
    """Return what rows are called: a frame's index or its column of ids, else "row 17", counted from 0."""
    if isinstance(X, pd.DataFrame):
        if not isinstance(X.index, pd.RangeIndex):
            return list(map(str, X.index))
        named = [column for column in X if _holds_ids(X[column])]
        if named:
            return list(map(str, X[named[0]]))
    return [f"row {i}" for i in range(len(X))]


def called_an_id(name: object) -> bool:
    """Tell whether a column goes by a name that ids have: id, customer_id, orderId."""
    text = str(name)
    is_named = text.lower() in NAMES_OF_IDS or text.lower().endswith(("_id", " id", "-id", ".id"))
    return is_named or _CAMEL.search(text) is not None


FEWEST_IDS = 20
"""Different values of a column, under which they are no ids."""


def columns_of_ids(frame: pd.DataFrame) -> list[Hashable]:
    """Return the columns of a table that number its rows: by their names, and as no two of their values are alike."""
    return [name for name in frame.columns if len(frame) >= FEWEST_IDS and _holds_ids(frame[name])]


def _holds_ids(column: pd.Series) -> bool:
    is_named = called_an_id(column.name) and not pd.api.types.is_float_dtype(column)
    return is_named and bool(column.is_unique and not column.isna().any())


def quoted_name(name: object) -> str:
    """Return a name in quotes, as a message has room for it."""
    text = str(name)
    return repr(text) if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]!r}…"


def few(names: Iterable[object], most: int = 10) -> str:
    """Return names in quotes with commas, and of many only how many more there are."""
    quoted = list(names)
    more = f" and {len(quoted) - most:,} more" if len(quoted) > most else ""
    return ", ".join(map(quoted_name, quoted[:most])) + more
