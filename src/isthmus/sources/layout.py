"""How a table in text is written: what parts its fields, where it begins, what its columns are called."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.names import few
from isthmus.sources.formulas import may_be_escaped, unescaped
from isthmus.sources.number_text import decimal_of, number_of, share_of_numbers

SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "spaces"}
"""In the order in which they are believed where several would do: the rarest in text first."""

MOST_RECORDS, MOST_FIELDS = 1000, 2**16
"""That are looked at."""

MOST_TITLES = 20
"""Lines above a header."""

MANY, MANY_COUNTED, MANY_BY_WORDS = 8, 6, 4
"""Numbers in equal steps that are no row of data by chance; such as count from 0 or 1; and such beside words."""

FIRST_YEAR, LAST_YEAR = 1800, 2200

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
MARKS = {"", "?", "-", "--", ".", "na", "n/a", "nan", "null", "none"}
"""What may stand for a number that is missing, and so says nothing of what its line is."""

NO_NAME = "Unnamed: 0"
"""What pandas calls a first column without a name."""


class Layout(NamedTuple):
    """How a file is written."""

    separator: str
    spaced: bool  # a space after each separator
    skipped: int  # records above the data, blank ones among them
    separators_above: int
    names: list[str]
    has_row_names: bool
    decimal: str
    understood: list[str]
    warnings: list[str]


def find_layout(path: Path, text: str) -> Layout:
    """Find out how a file is written from its beginning."""
    given = re.match(r'\s*"?sep=(.)"?[\r\n]', text, re.IGNORECASE)
    separator = given[1] if given else _separator(text)
    records, start = list(_records(text, separator)), 1 if given else 0
    width = _usual(records[start:])
    if not width:
        endless = len(text.split("\n", 1)[0]) > csv.field_size_limit()
        raise InputError(
            f"cannot read {path}: {'its first field has no end' if endless else 'No columns, it is empty'}"
        )
    start, titles, names_above = _above(records, start, width)
    told = [f"left out above the table: {few(titles, 3)}{' lines' * (len(titles) > 3)}"] if titles else []
    names, start = _named(records, start, width, names_above, told)
    data = [record for record in records[start:] if any(record)]
    names, has_row_names = _one_a_column(path, names, data, width)
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise InputError(f"{path} has more than one column {twice[0]!r}: give each a name of its own")
    decimal, doubtful = decimal_of(data, separator)
    written = [f"separated by {SEPARATORS.get(separator, repr(separator))}"] * (separator != ",")
    written += ["with decimal commas"] * (decimal == ",")
    if doubtful is not None:
        value = float(doubtful.replace(",", "."))
        told.append(f"{'commas' if decimal == ',' else 'points'} are decimals: {doubtful!r} is {value:g}")
    understood = [*([", ".join(written)] if written else []), *told]
    understood += ["its first column, which has no name, names the rows"] * has_row_names
    above = sum(len(record) - 1 for record in records[:start] if record)
    beginning = text[: 2**16]  # in which a space follows almost each separator, or not
    spaced = beginning.count(f"{separator} ") > 0.9 * beginning.count(separator) > 0 and separator not in "\t "
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    return Layout(separator, spaced, start, above, names, has_row_names, decimal, understood, told)


def _named(
    records: Sequence[list[str]], start: int, width: int, names: list[str] | None, told: list[str]
) -> tuple[list[str], int]:
    """Return the names of columns, and where the data begin; say where they are numbers, or none are there."""
    if names is None:
        place = next(i for i, record in enumerate(records) if i >= start and any(record))
        first, others = records[place], [record for record in records[place + 1 :] if any(record)]
        shift = 1 if len(first) == width - 1 else 0  # as R writes: row names have no name above them
        found = _is_header(first, [record[shift:] for record in others])
        names, start = (first, place + 1) if found else ([f"x_{i}" for i in range(width)], start)
        if found == "numbers":
            of_numbers = [name for name in names if number_of(name) is not None]
            told.append(f"its header is numbers: {', '.join(of_numbers[:3])}{', ...' if len(of_numbers) > 3 else ''}")
        elif not found:
            last = f" to {names[-1]}" if len(names) > 1 else ""
            told.append(f"no header: its first line is data, and its columns are called x_0{last}")
    names = [name.strip() for name in names]
    if may_be_escaped(names) and (plain := [*map(unescaped, names)]) != names:
        names = plain
        told.append("apostrophes before =, +, - and @, which keep them text, are taken away in names of columns")
    return names, start


def _one_a_column(path: Path, names: list[str], data: Sequence[Sequence[str]], width: int) -> tuple[list[str], bool]:
    """Return a name for each column, and whether the first has the rows' names."""
    if len(names) == width + 1 and not names[-1]:
        names = names[:-1]
    if not data or len(names) >= width:
        return names, len(names) > 1 and names[0] in ("", NO_NAME)
    if len(names) == width - 1:
        if all(not record[-1] for record in data if len(record) == width):  # a separator at each line's end
            return [*names, ""], names[0] == ""
        if _are_row_names([record[0] for record in data]):
            return ["", *names], True
    raise InputError(f"cannot read {path}: its rows have more values than its first line has names")


def _records(text: str, separator: str) -> Iterator[list[str]]:
    """Part the beginning of a file into the fields of its lines; of one that is blank there are none."""
    lines, fields = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True), 0
    try:
        for record in islice(lines, MOST_RECORDS):
            fields += len(record)
            stripped = [field.strip() for field in record]
            yield stripped[:-1] if separator == " " and stripped[-1:] == [""] else stripped
            if fields > MOST_FIELDS:
                return
    except csv.Error:  # a field without an end: pandas says so of the whole file
        return


def _separator(text: str) -> str:
    """Return what parts the fields: what gives most lines one and the same number of them, and numbers in them."""
    scores: dict[str, float] = {}
    for separator in SEPARATORS:
        records = [record for record in _records(text, separator) if any(record)]
        width = _usual(records)
        if width < 2:
            continue
        usual = [record for record in records if len(record) == width]
        share, numbers = len(usual) / len(records), share_of_numbers(usual[1:] or usual)
        fields = [field for record in usual for field in record]
        share *= 1 - sum('"' in field for field in fields) / len(fields)  # quotes stand around fields, not in them
        is_r = len(records[0]) == width - 1 and {len(record) for record in records[1:]} == {width}
        # Words have spaces too.
        if separator != " " or (share > 0.9 and numbers > 0.5) or (is_r and numbers > 0):
            scores[separator] = share * (0.5 + numbers) * (0.5 if _breaks_quotes(text, separator) else 1)
    if scores.keys() - {" "}:
        scores.pop(" ", None)
    return max(scores, key=lambda separator: round(scores[separator], 2)) if scores else ","


def _breaks_quotes(text: str, separator: str) -> bool:
    """Tell whether something other than a separator follows a quotation mark's second one."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        list(islice(lines, MOST_RECORDS if '"' in text else 0))
    except csv.Error as error:
        return "expected after" in str(error)
    return False


def _usual(records: Sequence[Sequence[str]]) -> int:
    counts = Counter(len(record) for record in records if any(record))
    return max(counts, key=lambda width: (counts[width], width)) if counts else 0


def _above(records: Sequence[list[str]], start: int, width: int) -> tuple[int, list[str], list[str] | None]:
    """Return where the table begins, the titles and comments above it, and its header where that is a comment.

    A title is a line of one field above lines of more; a program that fills lines up leaves the others blank.
    """
    titles: list[str] = []
    for place, record in enumerate(records[start:], start):
        filled = [field for field in record if field]
        if not filled:
            continue
        below = [each for each in records[place + 1 :] if any(each)]
        is_comment = record[0].startswith("#") and record[0] != "#"
        if width < 2 or not below or len(titles) == MOST_TITLES:
            return place, titles, None
        may_be_names = is_comment and len(record) == width and not below[0][0].startswith("#")
        if may_be_names and not _is_header(below[0], below[1:]):
            return place + 1, titles, [record[0].lstrip("# "), *record[1:]]  # as NumPy writes it
        is_title = len(filled) == 1 and number_of(filled[0]) is None and (len(record) == 1 or len(record) == width > 2)
        if not is_comment and not is_title:
            return place, titles, None
        titles.append(" ".join(filled))
    return start, [], None


def _is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> Literal["words", "numbers"] | None:
    """Tell names from data, and by what: a word over numbers is a name, a number over numbers as `_are_names` says."""
    columns = [[each[i] for each in others[:200] if i < len(each)] for i in range(len(first))]
    date_over, over = False, []
    for name, column in zip(first, columns, strict=True):
        known = [value for value in column if value.lower() not in MARKS]
        numbers = [value for value in known if number_of(value) is not None]
        if name.lower() in MARKS:
            continue
        if (number := number_of(name)) is not None:
            over.append((name, number, numbers))
        elif known and len(numbers) == len(known) and not (DATE.fullmatch(name)):
            return "words"
        elif DATE.fullmatch(name):
            date_over |= bool(known) and sum(bool(DATE.fullmatch(value)) for value in known) > len(known) / 2
    if over and len(first) == 1:
        is_of_pandas = first[0] == "0" and any("." in value or "," in value for value in columns[0])
        return "numbers" if is_of_pandas else None
    if over:
        has_words = any(name and number_of(name) is None for name in first)
        return "numbers" if _are_names(over, others, MANY_BY_WORDS if has_words else MANY_COUNTED) else None
    return None if date_over else "words"


def _are_names(over: Sequence[tuple[str, float, Sequence[str]]], others: Sequence[Sequence[str]], many: int) -> bool:
    """Tell whether a line of numbers is a header: each as it is written, its value, and the numbers below it.

    It is where it goes on in equal steps over many columns, from 0 or 1 on over fewer; where it is of years over other
    numbers; where it counts and most columns have decimals or are far from it; and where it rises or falls and all
    columns are far from it, as wavelengths are.
    """
    values = [value for _, value, _ in over]
    steps = [later - earlier for earlier, later in pairwise(values)]
    if len(values) < 2 or not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
        return False
    below = [np.array([number_of(field) for field in column], float) for _, _, column in over]
    if all(map(_is_year, values)):
        return _most([bool(len(column)) and not _most(list(map(_is_year, column))) for column in below])
    if _in_steps(values) and 2 * sum(map(_line_in_steps, others[:50])) <= len(others[:50]):
        if len(values) >= MANY or (len(values) >= many and values[0] in (0, 1) and values[1] == values[0] + 1):
            return True
        is_whole = all(value == int(value) for value in values)
        if is_whole and (len(values) > 2 or values == [0, 1]):
            has_decimals = (any("." in field or "," in field for field in column) for _, _, column in over)
            pairs = zip(has_decimals, values, below, strict=True)
            return _most([decimals or _is_far(value, column, 1) for decimals, value, column in pairs])
    return all(_is_far(value, column, 3) for value, column in zip(values, below, strict=True))


def _is_far(value: float, column: np.ndarray, spreads: float) -> bool:
    """Tell whether a number is that many times the range of a column away from it."""
    if len(column) < 2:
        return False
    low, high = column.min(), column.max()
    return bool(max(low - value, value - high) > spreads * (high - low))


def _is_year(value: float) -> bool:
    return bool(value == round(value) and FIRST_YEAR <= value < LAST_YEAR)


def _most(found: Sequence[bool]) -> bool:
    return 2 * sum(found) > len(found)


def _line_in_steps(record: Sequence[str]) -> bool:
    numbers = [number for number in map(number_of, record) if number is not None]
    return len(numbers) > 1 and _in_steps(numbers) and (len(numbers) > 2 or numbers == [0, 1])


def _in_steps(numbers: Sequence[float]) -> bool:
    steps = np.diff(numbers)
    return bool(steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0))


def _are_row_names(values: Sequence[str]) -> bool:
    counted = [str(i) for i in range(1, len(values) + 1)]
    words = all(number_of(value) is None for value in values)
    return list(values) == counted or (words and len(set(values)) == len(values) and bool(values))
