"""What was learnt of a table: its columns, how its cells become numbers and back."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Self, SupportsInt

import numpy as np
import pandas as pd

from isthmus.errors import InputError
from isthmus.formats import kinds as kinds_
from isthmus.formats.column_names import check_names, places_in
from isthmus.formats.columns import Cell, Column
from isthmus.formats.marks import Marks
from isthmus.formats.scaling import SCALING, Transformer, fit_steps, steps_as_json, steps_from_json
from isthmus.formats.values import KINDS, Category, Kind
from isthmus.saving.attributes import Json, JsonObject

AT_ONCE = 16_384
"""Rows that are scaled at once: scikit-learn makes copies of them."""


@dataclass(frozen=True)
class Schema:
    """What was learnt of a table: its columns, and how numbers are scaled.

    A row of cells has one number a column, and of a date several: first the numbers, scaled, then the truth values as 0
    and 1, then the categories as their indices; NaN is missing.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the table.
    numbers : {"auto", "rankgauss", "standard"} or None
        The scaling of numbers: those with long tails compressed and all to mean 0 and variance 1; to normal quantiles,
        where ties share the middle of their ranks, and then to mean 0 and variance 1; straight to these; or none.
    steps : list
        scikit-learn's transformers, fitted, one after the other.
    names : tuple of str or int
        All columns of the table, in order, also those that are left out.
    left_out : dict of str or int to str
        Columns that are no part of the model, and why.
    na_values : tuple or None
        What stands for a missing value; None: see :class:`isthmus.formats.marks.Marks`.

    Examples
    --------
    >>> table = pd.DataFrame({"sex": ["F", "M", "?"], "length": [0.4, 0.5, 0.6]})
    >>> schema = Schema.learn(table, numbers="standard")
    >>> cells = schema.to_cells(table)
    >>> cells.round(2).tolist()
    [[-1.22, 0.0], [0.0, 1.0], [1.22, nan]]
    >>> schema.to_frame(cells)["sex"].tolist()[:2]
    ['F', 'M']
    """

    columns: tuple[Column, ...]
    numbers: str | None
    steps: list[Transformer] = field(default_factory=list, compare=False)
    names: tuple[str | int, ...] = ()
    left_out: Mapping[str | int, str] = field(default_factory=dict)
    na_values: tuple[Category, ...] | None = None

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", tuple(column.name for column in self.columns))

    @classmethod
    def learn(
        cls,
        frame: pd.DataFrame,
        numbers: str | None = "auto",
        *,
        kinds: kinds_.Kinds | None = None,
        drop: Sequence[str | int] = (),
        na_values: Sequence[object] | None = None,
        min_frequency: int | float | None = None,
    ) -> Self:
        """Find out what the columns of a table are.

        Parameters
        ----------
        frame : DataFrame
        numbers : str or None
            See :class:`Schema`.
        kinds : dict, optional
            What columns are to be taken for, by their names: see :func:`isthmus.formats.kinds.learn`.
        drop : sequence, optional
            Columns to leave out.
        na_values : sequence, optional
            What stands for a missing value.
        min_frequency : int, float, optional
            Rows, or share of rows, in fewer of which a category is rare.

        Raises
        ------
        InputError
            If two columns have one name, or a column holds nothing, infinity, or what no column may hold; or all
            columns are left out.
        """
        check_names(frame)
        asked = kinds_.check_kinds(kinds, frame.columns.tolist())
        for name in drop:
            if name not in frame.columns:
                raise InputError(f"drop= names the column {name!r}, which is not in X")
        marks, columns, left_out = Marks(na_values), [], dict.fromkeys(map(_plain, drop), "as asked")
        for name in frame.columns:
            if name in left_out:
                continue
            try:
                columns.append(kinds_.learn(_plain(name), frame[name], marks, asked.get(name), min_frequency))
            except kinds_.LeftOut as reason:
                left_out[_plain(name)] = str(reason)
        if not columns:
            why = "; ".join(f"{name!r} is left out ({reason})" for name, reason in left_out.items())
            name = str(frame.columns[0])
            mark = next((mark for mark in ";\t|" if mark in name), None) if frame.shape[1] == 1 else None
            separated = "" if mark is None else f"; its name holds {mark!r}: read the file with sep={mark!r}"
            raise InputError(f"X has no column that something could be learnt of: {why}{separated}")
        schema = cls(tuple(columns), numbers, [], tuple(map(_plain, frame.columns)), left_out, marks.given)
        names = [cell.column.name for cell in schema.cells if cell.kind == "number"]
        schema.steps.extend(fit_steps(schema.numbers_of(schema.read(frame)), numbers, names))
        return schema

    def with_left_out(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with columns of nothing in the place of those that are left out, where it has not got them."""
        lacking = set(self.left_out) - set(frame.columns)
        if not lacking or [name for name in self.names if name not in lacking] != frame.columns.tolist():
            return frame
        return frame.reindex(columns=list(self.names))

    def check_names(self, frame: pd.DataFrame) -> None:
        """Raise InputError where columns have vanished, are new, or stand in another order."""
        names, given = list(self.names), frame.columns.tolist()
        there, known = set(given), set(names)  # a list would be gone through for each of its names
        vanished = [name for name in names if name not in there and name not in self.left_out]
        new = [name for name in given if name not in known]
        if vanished:
            more = f" (nor are {len(vanished) - 1} more)" if len(vanished) > 1 else ""
            raise InputError(f"column {vanished[0]!r} is not in X, and was there at fit{more}")
        if new:
            more = f" (nor were {len(new) - 1} more)" if len(new) > 1 else ""
            raise InputError(f"column {new[0]!r} was not there at fit, and is in X{more}: drop it")
        if given not in (names, [name for name in names if name in there]):
            raise InputError("X has the columns in another order than at fit, or one of them twice")

    def read(self, frame: pd.DataFrame) -> dict[str | int, pd.Series]:
        """Return the columns of the model with NaN where a mark stands for a missing value; dates as moments."""
        marks = Marks(self.na_values)
        read = {column.name: blanked(column, frame[column.name], marks) for column in self.columns}
        return read | {each.name: each.moments(read[each.name]) for each in self.columns if each.kind == "date"}

    def _read_checked(self, frame: pd.DataFrame) -> dict[str | int, pd.Series]:
        frame = self.with_left_out(frame)
        self.check_names(frame)
        return self.read(frame)

    def told(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return what the columns of the model hold: numbers, truth values, categories and moments, or nothing.

        So two tables can be compared, however each writes it.
        """
        told = read = self._read_checked(frame)
        told = told | {each.name: each.as_at_fit(read[each.name]) for each in self.columns if each.kind != "date"}
        told |= {each.name: told[each.name].astype(object) for each in self.columns if each.kind == "category"}
        return pd.DataFrame(told, index=frame.index)

    def missing(self, frame: pd.DataFrame) -> np.ndarray:
        """Tell which cells of the columns of the model are missing, or hold a mark that says so; shape (n, columns)."""
        return np.column_stack([column.isna() for column in self._read_checked(frame).values()])

    def as_at_fit(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns are what they were at fit, as far as their values can be read so."""
        frame, marks = frame.copy(deep=False), Marks(self.na_values)
        for column in self.columns:
            read = column.as_at_fit(blanked(column, given := frame[column.name], marks))
            if read is not given:
                frame[column.name] = read
        return frame

    def to_cells(
        self, frame: pd.DataFrame, dtype: type[np.floating] = np.float64, *, mark_new: bool = False
    ) -> np.ndarray:
        """Turn a table into cells of shape (rows, cells); NaN where missing, or a category unknown at fit.

        With `mark_new` the latter has the index after the last one instead: see :meth:`new_categories`.

        Raises
        ------
        InputError
            If the columns are not those of fit, or one of them holds another kind of thing.
        """
        read = self._read_checked(frame)
        cells, n = np.empty((len(frame), len(self.cells)), dtype), self.count("number")
        numbers = self.numbers_of(read)
        for start in range(0, len(frame) if n else 0, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            values = np.stack([column[part] for column in numbers], axis=1, dtype=float)
            for step in self.steps:
                values = step.transform(values)
            cells[part, :n] = values
        del numbers
        places = self._places
        for column in self.columns:
            own = [(i, place) for i, place in enumerate(places[column.name]) if place >= n]
            if own:
                encoded = column.encode(read[column.name], mark_new=mark_new)
                cells[:, [place for _, place in own]] = encoded[:, [i for i, _ in own]]
        return cells

    def new_categories(self, cells: np.ndarray) -> np.ndarray:
        """Tell which cells are categories that were not there at fit, as :meth:`to_cells` has marked them."""
        n = len(self.cells) - len(self.sizes)
        return cells >= np.array([np.inf] * n + [*self.sizes])

    def to_frame(self, cells: np.ndarray, index: pd.Index | None = None) -> pd.DataFrame:
        """Turn cells into a table, in the units, categories, dtypes and the order of columns of the first one.

        Numbers and dates are within the range that they had at fit, and whole where all were. Columns that are left
        out are not in it.
        """
        numbers, places = self._unscaled(cells), self._places
        columns = {}
        for column in self.columns:
            own = [numbers[place] if place < len(numbers) else cells[:, place] for place in places[column.name]]
            columns[column.name] = column.decode(np.column_stack(own))
        frame = pd.DataFrame(columns, copy=False)
        return frame if index is None else frame.set_axis(index)

    def _unscaled(self, cells: np.ndarray) -> np.ndarray:
        """Return the cells of numbers in the units of the table, some rows at a time; shape (numbers, rows)."""
        n = self.count("number")
        numbers = np.empty((n, len(cells)))
        for start in range(0, len(cells) if n else 0, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            values = np.asarray(cells[part, :n], dtype=float)
            for step in reversed(self.steps):
                values = step.inverse_transform(values)
            numbers[:, part] = values.T
        return numbers

    def by_column(self, cells: np.ndarray) -> np.ndarray:
        """Put what is one a cell into the order of the table's columns: of dates the sum, or that of the moment.

        Returns
        -------
        ndarray of shape (n, columns), without those that are left out
        """
        places = self._places.values()
        if cells.dtype == bool:  # of a date the moment, which is its first
            return np.column_stack([cells[:, own[0]] for own in places])
        return np.column_stack([cells[:, own].sum(axis=1) for own in places])

    def by_cell(self, table: np.ndarray) -> np.ndarray:
        """Put what is one a column, in the table's order, into the order of the cells.

        Parameters
        ----------
        table : ndarray of shape (n, columns)
            With or without the columns that are left out.
        """
        names = self.names if table.shape[1] == len(self.names) else tuple(column.name for column in self.columns)
        return table[:, places_in(names, (cell.column.name for cell in self.cells))]

    @property
    def cells(self) -> list[Cell]:
        """What a row of cells holds: numbers, truth values, categories."""
        return sorted((cell for each in self.columns for cell in each.cells), key=lambda cell: KINDS.index(cell.kind))

    @property
    def _places(self) -> dict[str | int, list[int]]:
        """Where the cells of each column are."""
        cells = self.cells
        place = {(cell.column.name, cell.part): i for i, cell in enumerate(cells)}
        return {column.name: [place[column.name, cell.part] for cell in column.cells] for column in self.columns}

    def count(self, kind: Kind) -> int:
        """Return how many cells of a kind there are."""
        return sum(cell.kind == kind for cell in self.cells)

    @property
    def text(self) -> list[str | int]:
        """The columns whose categories are text."""
        return [each.name for each in self.columns if each.kind == "category" and isinstance(each.categories[0], str)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many categories each cell of categories has."""
        return tuple(cell.size for cell in self.cells if cell.kind == "category")

    @property
    def frequencies(self) -> tuple[tuple[int, ...] | None, ...]:
        """In how many rows each category was, of each cell of categories that has many; None of others."""
        cells = (cell for cell in self.cells if cell.kind == "category")
        return tuple((cell.column.counts if cell.part is None else ()) or None for cell in cells)

    @property
    def pooled(self) -> tuple[bool, ...]:
        """Whether the last category of each cell of categories stands for rare ones."""
        cells = (cell for cell in self.cells if cell.kind == "category")
        return tuple(cell.part is None and cell.column.n_pooled > 0 for cell in cells)

    def widened(self, frame: pd.DataFrame) -> Self:
        """Return what is known, with ranges that hold the numbers and dates of further training rows too."""
        read = self.read(self.with_left_out(frame))
        return replace(self, columns=tuple(column.widened(read[column.name]) for column in self.columns))

    def as_json(self) -> dict[str, Json]:
        """Return all that was learnt as what JSON can hold."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "numbers": self.numbers,
            "steps": steps_as_json(self.steps),
            "names": list(self.names),
            "left_out": [[name, reason] for name, reason in self.left_out.items()],
            "na_values": None if self.na_values is None else list(self.na_values),
        }

    @classmethod
    def from_json(cls, content: JsonObject) -> Self:
        """Make a schema of what :meth:`as_json` gave, and JSON may have held since.

        Raises
        ------
        KeyError, TypeError, InputError
            If it is nothing that :meth:`learn` could have learnt.
        """
        described = content["columns"]
        if not described or len({column["name"] for column in described}) < len(described):  # before each is looked at
            raise InputError("a table has columns, each with a name of its own")
        columns = tuple(map(Column.from_json, described))
        names, left_out = tuple(content.get("names", ())), dict(map(tuple, content.get("left_out", ())))
        all_names = [*(column.name for column in columns), *left_out]
        if names and (len(names) != len(all_names) or set(names) != set(all_names)):
            raise InputError("the names of a table's columns are those of the model and those that are left out")
        na_values = content.get("na_values")
        texts = [*left_out.values(), *map(str, na_values or ())]
        if not all(isinstance(each, str) for each in texts) or content["numbers"] not in SCALING:
            raise InputError("what is left out of a table has reasons, and its numbers a scale that is known")
        given = None if na_values is None else tuple(na_values)
        schema = cls(columns, content["numbers"], [], names, left_out, given)
        schema.steps.extend(steps_from_json(content["steps"], content["numbers"], schema.count("number")))
        return schema

    def numbers_of(self, read: Mapping[str | int, pd.Series]) -> list[np.ndarray]:
        """Return the cells of numbers as they are, an array each: the table's own, where it has floats.

        What is in float32 stays so, as it need not be copied then.
        """
        columns = [cell.column for cell in self.cells if cell.kind == "number"]
        values = [
            read[column.name].to_numpy()
            if column.kind == "number" and read[column.name].dtype in (np.float32, np.float64)
            else column.encode(read[column.name])[:, 0]
            for column in columns
        ]
        if any(np.isinf(each).any() for each in values):
            from isthmus.formats.rows import (
                check_finite,
            )  # PyTorch and scikit-learn: `isthmus data` has no need of them

            names = np.array([column.name for column in columns], dtype=object)
            check_finite(np.stack(values, axis=1, dtype=float), names, allow_nan=True)
        return values


def blanked(column: Column, values: pd.Series, marks: Marks) -> pd.Series:
    """Return a column with NaN where a mark, that is none of its categories, stands for a missing value."""
    found = [mark for mark in marks.in_column(values) if mark not in column.categories]
    return marks.blank(values, found)


def put_known_cells(filled: pd.DataFrame, given: pd.DataFrame, known: np.ndarray) -> pd.DataFrame:
    """Put the known cells, as they were given, into a table; a dtype that cannot hold them gives way to theirs."""
    columns: dict[Hashable, np.ndarray | pd.Series] = {}
    for i, (name, column) in enumerate(filled.items()):
        if column.dtype == given[name].dtype == np.float64:  # as most columns of wide tables are
            columns[name] = np.where(known[:, i], given[name].to_numpy(), column.to_numpy())
            continue
        values = given[name][known[:, i]]
        column = _with_levels_of(column, values)
        same = values.astype(column.dtype)
        if not (same.astype(object) == values.astype(object)).all():
            column, same = column.astype(values.dtype), values
        whole = column.array.copy()
        whole[known[:, i]] = same.array
        columns[name] = pd.Series(whole, given.index, dtype=column.dtype)
    return pd.DataFrame(columns, index=given.index)


def _with_levels_of(column: pd.Series, values: pd.Series) -> pd.Series:
    """Return a pandas Categorical with the levels that values have too."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    new = [value for value in values.dropna().unique() if value not in column.cat.categories]
    return column.cat.add_categories(new) if new else column


def _plain(name: str | SupportsInt) -> str | int:
    return name if isinstance(name, str) else int(name)
