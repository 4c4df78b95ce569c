"""Text that a spreadsheet would run as a formula, and the apostrophe before it that keeps it text.

A category may be ``=HYPERLINK("http://...")``, and who opens a result runs it. OWASP's advice against it, an apostrophe
before what begins with such a sign, is what spreadsheets themselves take for "this is text".
"""

import re
from collections.abc import Callable, Iterable

import pandas as pd

FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How text begins that may be run; the last four are the wide signs of East Asian scripts. Apostrophes before it are
doubled, so that what is read back is what was written."""

HARMLESS = re.compile(r"[+-]?((\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?)?")
"""Text that is a number, or a sign alone, which run nothing: ``-1`` stays a category's name, ``-`` a mark."""

ESCAPED = re.compile("'(?='*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


def escaped(text: str) -> str:
    r"""Return text as a spreadsheet takes it for text.

    Examples
    --------
    >>> [escaped(text) for text in ("=1+1", "-1", "+49 170", "a=b", "'=x")]
    ["'=1+1", '-1', "'+49 170", 'a=b', "''=x"]
    """
    return f"'{text}" if FORMULA.match(text) and not HARMLESS.fullmatch(text) else text


def unescaped(text: str) -> str:
    """Return text that :func:`escaped` was applied to as it was."""
    rest = text[1:]
    return rest if ESCAPED.match(text) and not HARMLESS.fullmatch(rest) else text


def may_be_escaped(texts: Iterable[str]) -> bool:
    """Tell whether :func:`escaped` may have given these texts: none is left that a spreadsheet would run.

    Where one is, the apostrophes before others are somebody's own, and belong to what they say.
    """
    return all(text.startswith("'") or escaped(text) == text for text in texts)


def escape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts, names of columns among them, are escaped; numbers, dates and truth values are not."""
    table = table.rename(columns=lambda name: escaped(name) if isinstance(name, str) else name)
    return _map_texts(table, escaped)


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without halves of pairs of letters, as in names of files that are not UTF-8; none holds them."""
    return _map_texts(table, lambda text: text.encode("utf-8", "backslashreplace").decode("utf-8"))


def unescape_frame(frame: pd.DataFrame) -> list[str]:
    """Take the apostrophes away that :func:`escape_table` has set, in place; return the columns that had any.

    A table with a text in it that a spreadsheet would run is not of that making, and stays as it is.
    """
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    if not all(may_be_escaped(column.dropna().astype(str).unique()) for column in columns if _is_text(column)):
        return []
    changed = []
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        if not _is_text(column):
            continue
        found = column.dropna().astype(str)
        found = found[found.str.startswith("'")]
        new = found.map(unescaped)
        if (new != found).any():
            frame[name] = column.astype(object).where(~column.index.isin(new.index), new.reindex(column.index))
            changed.append(str(name))
    return changed


def _map_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a table whose texts are changed; columns in which nothing changes keep their dtypes."""
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    changed = [_map_column(column, change) if _is_text(column) else column for column in columns]
    if all(new is old for new, old in zip(changed, columns, strict=True)):
        return table
    return pd.concat(changed, axis=1).set_axis(table.columns, axis=1)


def _map_column(column: pd.Series, change: Callable[[str], str]) -> pd.Series:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.drop_duplicates()
    texts = [value for value in values if isinstance(value, str)]
    new = {text: change(text) for text in texts}
    if all(new[text] == text for text in texts):
        return column
    if isinstance(column.dtype, pd.CategoricalDtype) and len({*new.values()}) == len(values):
        return column.cat.rename_categories(new)
    return pd.Series(
        [new.get(value, value) if isinstance(value, str) else value for value in column], column.index, dtype=object
    )


def _is_text(column: pd.Series) -> bool:
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    return is_categorical or column.dtype == object or pd.api.types.is_string_dtype(column.dtype)
