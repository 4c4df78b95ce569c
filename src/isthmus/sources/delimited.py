"""Tables in text as people have them: their separators, decimals, encodings, titles, headers and row names."""

import codecs
import csv
import gzip
import io
import math
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from isthmus.errors import InputError, warnings_as
from isthmus.formats.names import few
from isthmus.sources.bounds import check_counted
from isthmus.sources.formulas import unescape_frame
from isthmus.sources.layout import Layout, find_layout
from isthmus.sources.number_text import as_numbers

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SAMPLE_BYTES, MOST_SAMPLE_BYTES = 2**18, 2**26
SAMPLE_LINES = 30
"""What is looked at: so many bytes, and more where lines are long."""

BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


MOST_WHOLE = 10**308
"""A whole number that a float can be."""


class Delimited(NamedTuple):
    """A table that was read from text.

    Attributes
    ----------
    frame : DataFrame
        Its columns, in the file's order.
    row_names : str or None
        The column that names the rows and is no feature: the first, where it has no name in the file.
    understood : list of str
        What is not as in an ordinary CSV, in plain lines.
    warnings : list of str
        Those of them that may be wrong.
    """

    frame: pd.DataFrame
    row_names: str | None
    understood: list[str]
    warnings: list[str]


def read_delimited(
    path: str | Path,
    text: Sequence[str | int] = (),
    *,
    own_marks: bool = False,
    numbers: Sequence[str | int] | None = (),
) -> Delimited:
    """Read a table from text as it is meant.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv`` or ``.txt``, perhaps with ``.gz`` after it.
    text : sequence of str
        Columns that are words, though they may be digits alone.
    own_marks : bool, default False
        Whether the caller says what stands for a missing value: then empty cells alone are, and NA is a word.
    numbers : sequence of str or None
        Columns that are numbers, though some begin with 0 as codes do; None: all are.

    Returns
    -------
    Delimited

    Raises
    ------
    ValueError
        In one line that names the file, and the line in it, that is wrong.
    """
    path = Path(path)
    sample, is_whole = _sample(path)
    encoding = _encoding(path, sample)
    try:
        return _read(path, sample, is_whole, encoding, text, own_marks, numbers)
    except UnicodeDecodeError:
        encoding, errors, said = _other_encoding(path)
    found = _read(path, sample, is_whole, encoding, text, own_marks, numbers, errors)
    return found._replace(understood=[said, *found.understood], warnings=[said, *found.warnings])


def _read(
    path: Path,
    sample: bytes,
    is_whole: bool,
    encoding: str,
    text: Sequence[str | int],
    own_marks: bool,
    numbers: Sequence[str | int] | None,
    errors: str = "strict",
) -> Delimited:
    decoded = codecs.getincrementaldecoder(encoding)(errors).decode(sample)
    end = len(decoded) if is_whole else max(decoded.rfind("\n"), decoded.rfind("\r")) + 1
    layout = find_layout(path, decoded[:end] or decoded)
    table = _Text(path, encoding, errors, layout, own_marks)
    frame = table.parsed(text)
    understood, told = list(layout.understood), list(layout.warnings)
    if len(layout.names) == 1:
        frame = _without_blank_end(frame, understood)
    if not len(frame):
        raise InputError(f"{path} has names of columns, and no rows")
    table.check_short_rows(frame)
    known = set(map(str, numbers or ()))
    may_be = [] if numbers is None else [name for name in layout.names if name not in known]
    codes = table.codes(frame[may_be])
    if codes:
        words = table.parsed(codes, only=codes)
        codes = [name for name in codes if _are_codes(words[name])]
        frame = frame.assign(**{name: words[name].iloc[: len(frame)] for name in codes})
        understood += [f"{name!r} is text: some of its values begin with 0" for name in codes]
    frame = _with_floats(_without_nothing(frame, understood))
    apostrophes = unescape_frame(frame)
    if apostrophes:
        understood.append(
            f"apostrophes before =, +, - and @, which keep them text, are taken away in {few(apostrophes)}"
        )
    changed = as_numbers(frame, layout.separator, layout.decimal, set(map(str, text)))
    first = layout.names[0]
    row_names = first if layout.has_row_names and first in frame and frame.shape[1] > 1 else None
    return Delimited(frame, row_names, understood + changed, told + changed)


def _sample(path: Path) -> tuple[bytes, bool]:
    """Read the beginning of a file, and tell whether that is all of it."""
    with _open(path) as file:
        content = file.read(SAMPLE_BYTES)
        while content.count(b"\n") < SAMPLE_LINES and len(content) < MOST_SAMPLE_BYTES and (more := file.read(2**20)):
            content += more
        return content, not file.read(1)


def _open(path: Path) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(path)) if path.suffix.lower() == ".gz" else path.open("rb")


class _Unpacked(io.RawIOBase):
    """The text in a ``.gz``, as long as it takes no more memory than is allowed: it may be a thousand times as long."""

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.file = path, 0, gzip.open(path)  # noqa: SIM115
        self.packed = path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        found = self.file.readinto(buffer)
        self.size += found
        check_counted(f"{self.path}, unpacked, takes", self.size, packed=self.packed)
        return found

    def close(self) -> None:
        self.file.close()
        super().close()


def _encoding(path: Path, sample: bytes) -> str:
    for bom, encoding in BOMS.items():
        if sample.startswith(bom):
            return encoding
    if b"\0" in sample:
        zeros = sample[::2].count(0), sample[1::2].count(0)
        if max(zeros) < len(sample) // 5 or min(zeros) > max(zeros) // 5:
            raise InputError(f"cannot read {path}: it is not text")
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8"


def _other_encoding(path: Path) -> tuple[str, str, str]:
    """Return the encoding of a file that is not UTF-8, what to do with bytes that are not of it, and words for it."""
    with _open(path) as file:
        content = file.read()
    as_utf8 = content.decode("utf-8", "replace")
    wrong = as_utf8.count("\N{REPLACEMENT CHARACTER}")
    if sum(letter > "\x7f" for letter in as_utf8) > 2 * wrong:
        said = f"{wrong:,} of its letters are broken UTF-8 and are read as \N{REPLACEMENT CHARACTER}"
        return "utf-8", "replace", said
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1", "strict", "it is not UTF-8, and is read as Latin-1"
    return "cp1252", "strict", "it is not UTF-8, and is read as Latin-1 (Windows-1252)"


class _Text(NamedTuple):
    """A table in a file: its letters, its fields, and whether empty cells alone are missing."""

    path: Path
    encoding: str
    errors: str
    layout: Layout
    own_marks: bool

    def parsed(self, text: Sequence[str | int], only: list[str] | None = None) -> pd.DataFrame:
        layout = self.layout
        try:
            with warnings_as("error", pd.errors.ParserWarning), _open(self.path) as file:
                return pd.read_csv(
                    file,
                    sep=r"\s+" if layout.separator == " " else layout.separator,
                    header=None,
                    names=layout.names,
                    usecols=only,
                    index_col=False,
                    skiprows=layout.skipped,
                    skipinitialspace=layout.spaced,
                    decimal=layout.decimal,
                    encoding=self.encoding,
                    encoding_errors=self.errors,
                    dtype={name: str for name in map(str, text) if name in layout.names},
                    keep_default_na=not self.own_marks,
                    na_values=[""] if self.own_marks else None,
                    skip_blank_lines=len(layout.names) > 1,  # in one column a blank line is a missing cell
                    engine="c",
                    low_memory=False,  # in pieces, of which one is of numbers and the next of words
                )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            if "EOF inside string" in str(error):
                row = str(error).split()[-1]
                raise InputError(f"cannot read {self.path}: a quotation mark in row {row} has no second one") from error
            self.check_lines()
            raise InputError(f"cannot read {self.path}: {str(error).partition(chr(10))[0]}") from error

    def content(self) -> bytes:
        with _open(self.path) as file:
            return file.read()

    def check_short_rows(self, frame: pd.DataFrame) -> None:
        """Raise ValueError for lines with too few values, which pandas fills up: only where it may have done so."""
        width, separator = len(self.layout.names), self.layout.separator
        if width < 2 or not frame[self.layout.names[-1]].isna().any():
            return
        if self.encoding.startswith(("utf-8", "cp1252", "latin")) and separator != " ":
            content = self.content()
            found = content.count(separator.encode()) - self.layout.separators_above
            if b'"' not in content and found == (width - 1) * len(frame):
                return
        self.check_lines()

    def check_lines(self) -> None:
        """Raise ValueError for the first line with another number of values than the header, or a quote without end."""
        width, spaces = len(self.layout.names), self.layout.separator == " "
        with io.TextIOWrapper(_open(self.path), encoding=self.encoding, errors=self.errors, newline="") as file:
            lines = csv.reader(file, delimiter=self.layout.separator, skipinitialspace=self.layout.spaced or spaces)
            try:
                for record in islice(lines, self.layout.skipped, None):
                    found = len(record) - (spaces and record[-1:] == [""])
                    if record and found != width:
                        have = f"{found} value{'s' * (found != 1)}"
                        raise InputError(
                            f"cannot read {self.path}: line {lines.line_num} has {have}, and others have {width}: "
                            "complete it, or delete it"
                        )
            except csv.Error as error:
                raise InputError(f"cannot read {self.path}: {error} in line {lines.line_num}") from error

    def codes(self, frame: pd.DataFrame) -> list[str]:
        """Return columns of whole numbers that may be codes, such as 01004: in a file where digits begin with 0."""
        found = [str(name) for name in frame if pd.api.types.is_numeric_dtype(frame[name]) and _is_whole(frame[name])]
        if not found:
            return []
        content = self.content()
        if self.encoding.startswith(("utf-16", "utf-32")):
            content = content.decode(self.encoding, self.errors).encode()
        separator = re.escape(self.layout.separator.encode())
        code = rb"(?:^|[\r\n\" ]|" + separator + rb")0\d+(?:[\"\s" + separator + rb"]|$)"
        return found if re.search(code, content) else []


def _without_blank_end(frame: pd.DataFrame, understood: list[str]) -> pd.DataFrame:
    """Leave out the blank lines at the end of a table of one column."""
    known = np.flatnonzero(frame.iloc[:, 0].notna())
    last = int(known[-1]) + 1 if len(known) else len(frame)
    blank = len(frame) - last
    if blank:
        understood.append(f"left out: {blank} line{'s' * (blank > 1)} without a value at its end")
    return frame.iloc[:last]


def _is_whole(column: pd.Series) -> bool:
    known = column.dropna()
    return not pd.api.types.is_bool_dtype(column) and bool(len(known) and (known % 1 == 0).all())


def _are_codes(column: pd.Series) -> bool:
    known = column.dropna().str.strip()
    return bool(known.str.fullmatch(r"\d+").all() and known.str.fullmatch(r"0\d+").any())


def _with_floats(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose whole numbers of hundreds of digits are infinite, as the same written as 1e400 is."""
    for name, column in frame.items():
        is_whole = column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "integer"
        if is_whole and (column.dropna().map(abs) > MOST_WHOLE).any():
            frame = frame.assign(**{str(name): column.map(_as_float, na_action="ignore").astype(float)})
    return frame


def _as_float(number: int) -> float:
    return float(number) if abs(number) <= MOST_WHOLE else math.inf if number > 0 else -math.inf


def _without_nothing(frame: pd.DataFrame, understood: list[str]) -> pd.DataFrame:
    """Leave out columns that have neither a name nor a value, as a separator at the end of lines makes."""
    nothing = [name for name in frame if str(name).startswith("Unnamed: ") and frame[name].isna().all()]
    if not nothing or len(nothing) == frame.shape[1]:
        return frame
    understood.append(f"left out: {len(nothing)} column{'s' * (len(nothing) > 1)} with neither a name nor a value")
    return frame.drop(columns=nothing)
