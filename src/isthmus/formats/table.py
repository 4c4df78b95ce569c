"""Mixed tables: numbers, categories, truth values and dates, as they are."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from torch import Tensor

from isthmus.errors import DataWarning, InputError, NewCategoryWarning, hushed, warn_caller
from isthmus.formats.arrays import read_array
from isthmus.formats.base import Fill, Format
from isthmus.formats.checks import Columns, validate
from isthmus.formats.containers import CONTAINERS, Container, Dataframe, RowsLike, back, container_of, plain
from isthmus.formats.frames import mask_of, steps_index, with_index
from isthmus.formats.given import Given
from isthmus.formats.kinds import Kinds
from isthmus.formats.new_values import warn_of_frequent, warn_of_new_categories
from isthmus.formats.overview import table_overview, worth_a_warning
from isthmus.formats.refined import refined
from isthmus.formats.rows import in_unit_interval
from isthmus.formats.schema import Schema, put_known_cells
from isthmus.saving.attributes import NAMES, SHAPE, SIZE, Attribute, check_lengths, is_bool, is_count, is_dict

MOST_PIECES = 25_000
"""Of all numbers of a table together."""

ASKED = ("kinds", "drop", "na_values", "min_frequency")
"""What decides how columns are taken, and cannot be changed between two fits that go on from one another."""


@dataclass(frozen=True)
class TableFormat(Format):
    """A table of several kinds of columns; a row of the model has a cell for each, of a date several.

    Parameters
    ----------
    family : str
        What messages call the estimator.
    numbers, kinds, drop, na_values, min_frequency
        See :class:`isthmus.TabularAutoencoder`.
    bins : int
        Pieces that a number is cut into, at the most.
    exact_up_to : float
        Cells up to which they are trained on in float64; those of larger tables are read in float32.
    verbose : bool
        Whether to print what the columns are taken for.
    """

    attributes: ClassVar = {
        "n_features_in_": SIZE,
        "feature_names_in_": NAMES,
        "row_shape_": SHAPE,
        "container_": Attribute(lambda value: value in CONTAINERS),
        "framed_": Attribute(is_bool, needed=True),
        "schema_": Attribute(is_dict, Schema.from_json, Schema.as_json, needed=True),
        "bins_": Attribute(lambda value: is_count(value) and value < 2**20),
    }
    unsaved: ClassVar = ("_asked", "_told_of")

    takes_streams: ClassVar = True

    family: str
    numbers: str | None = "auto"
    kinds: Kinds | None = None
    drop: Sequence[str | int] = ()
    na_values: Sequence[object] | None = None
    min_frequency: int | float | None = None
    bins: int = 24
    exact_up_to: float = math.inf
    verbose: bool = False
    n_features_in_: int | None = None
    feature_names_in_: np.ndarray | None = None
    row_shape_: tuple[int, ...] = ()
    container_: Container = "pandas"  # which models of before did not note
    framed_: bool = False
    schema_: Schema | None = None
    bins_: int | None = None
    _asked: Mapping[str, str] | None = None
    _told_of: Collection[str | int] = frozenset()

    def learn(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Find out what the columns of a table are."""
        container, X = container_of(X) or "pandas", plain(X)
        if isinstance(X, pd.DataFrame):
            if len(X) < 2:
                raise InputError(f"X has {len(X)} rows: give two or more")
            schema = self.schema_of(X)  # first, as it says in one line what is wrong
            table, columns = validate(self.family, None, X, skip_check_array=True)
        else:
            rows, columns = read_array(self.family, X)
            if rows.ndim > 2:
                raise InputError(f"X has the shape {rows.shape}: give a table, of one row a line")
            table = pd.DataFrame(rows)
            schema = self.schema_of(table)
        new = replace(
            self,
            **columns._asdict(),
            row_shape_=(len(schema.cells),),
            container_=container,
            framed_=isinstance(X, pd.DataFrame),
            schema_=schema,
            bins_=min(self.bins, MOST_PIECES // max(schema.count("number"), 1)),
            _asked=self._asked_now,
            _told_of=frozenset(),
        )
        for line in worth_a_warning(schema):
            warn_caller(line, DataWarning)
        if self.verbose:
            print(*table_overview(schema, table), sep="\n")
        cells = new._cells(table, single=len(table) * len(schema.cells) > self.exact_up_to)
        return new, Given(cells)

    def learn_more(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Widen what numbers and dates reach to by further training rows."""
        if self.numbers != self._schema.numbers:  # the weights know no other scale
            raise InputError(
                f"numbers={self.numbers!r} was {self._schema.numbers!r} at the last fit: set warm_start=False to begin "
                "anew"
            )
        before, now = self._asked or {}, self._asked_now
        changed = [name for name in before if before[name] != now[name]]
        if changed:
            raise InputError(
                f"{changed[0]}={now[changed[0]]} was {before[changed[0]]} at the last fit: set warm_start=False to "
                "begin anew"
            )
        table, schema = self._table(X), self._schema
        new = schema.new_categories(schema.to_cells(table, mark_new=True))
        told_of = warn_of_frequent(schema, table, warn_of_new_categories(schema, table, new, self._told_of))
        widened = replace(self, schema_=schema.widened(table), _told_of=told_of)
        with hushed(NewCategoryWarning):  # it was said
            return widened, widened.read(X)

    def refined(self, pieces: Iterator[tuple[RowsLike, RowsLike | None]]) -> Self:
        """Take categories, ranges, mean and spread of all rows."""
        asked = self.kinds or {}
        tables = (self._table(X) for X, _ in pieces)
        return replace(self, schema_=refined(self._schema, tables, asked, self.min_frequency))

    def read(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return the cells of a table; a category that was not there at ``fit`` is NaN, and told of."""
        return Given(self._cells(self._table(X)))

    def encode_to_score(self, X: RowsLike, y: RowsLike | None = None) -> Given:
        """Return the cells of a table; a category that was not there at ``fit`` is marked."""
        return Given(self._cells(self._table(X), mark_new=True))

    def decode(self, rows: np.ndarray, like: RowsLike | None = None) -> np.ndarray | Dataframe:
        """Return cells as a table in the units, categories and dtypes of ``fit``, with what is left out of `like`."""
        frame, dtype = self._schema.to_frame(rows), rows.dtype
        if like is not None:
            return self._whole(frame, like, dtype)
        return self._in_container(frame) if self.framed_ else frame.to_numpy(dtype=dtype)

    def decode_steps(self, rows: np.ndarray, n: int, like: RowsLike) -> np.ndarray | Dataframe:
        """Return decoded steps as a table, a line a step, or as an array of shape (n, steps, columns)."""
        steps = len(rows) // n
        frame = self._schema.to_frame(rows)
        if not self.framed_:
            return frame.to_numpy(dtype=rows.dtype).reshape(n, steps, -1)
        return self._in_container(frame.set_axis(steps_index(n, steps)), like)

    def entries(self, values: np.ndarray, like: RowsLike) -> np.ndarray | Dataframe:
        """Return what is one a cell as a table, in the order of its columns."""
        values = self._schema.by_column(values)
        if not self.framed_:
            return values
        frame = pd.DataFrame(values, columns=[column.name for column in self._schema.columns])
        return self._in_container(with_index(frame, like), like)

    def fill(self, X: RowsLike, mask: RowsLike | None, y: RowsLike | None, fill_in: Fill) -> np.ndarray | Dataframe:
        """Return the table with its gaps filled in; a category that was not there at ``fit`` stays as it is."""
        schema, table = self._schema, self._schema.as_at_fit(self._table(X))
        cells = self._cells(table, mark_new=True)
        if mask is not None:
            cells[schema.by_cell(self._mask_of_all(mask, X, len(table)))] = np.nan
        known = schema.by_column(~np.isnan(cells))  # also what the model does not know
        new = schema.new_categories(cells)
        warn_of_new_categories(schema, table, new)
        cells[new] = np.nan
        dtype, cells = cells.dtype, fill_in(Given(cells))
        filled = schema.to_frame(cells)
        del cells, new
        if self.framed_:
            return self._whole(put_known_cells(filled, table, known), X, dtype)
        values = np.where(known, table[filled.columns].to_numpy(), filled.to_numpy(dtype=dtype))
        return self._whole(pd.DataFrame(values, columns=filled.columns), X, dtype)

    def fill_of(self, x: Tensor) -> Tensor:
        """Return the mean of numbers and truth values, and −1 for a category, which is none of them."""
        fill = x.nanmean(0)
        n_categories = self._schema.count("category")
        if n_categories:
            fill[-n_categories:] = -1
        return fill

    def new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        """Mark the cells that are categories which were not there at ``fit``."""
        new = self._schema.new_categories(rows)
        return new if new.any() else None

    def schema_of(self, table: pd.DataFrame) -> Schema:
        """Return what ``fit`` would take the columns of a table for."""
        asked = {name: getattr(self, name) for name in ("kinds", "na_values", "min_frequency")}
        return Schema.learn(table, self.numbers, drop=self.drop or (), **asked)

    def check(self) -> None:
        """Raise ValueError where what was learnt does not fit together."""
        if self.n_features_in_ != len(self._schema.names):
            raise InputError(f"its schema has {len(self._schema.names)} columns, and it has {self.n_features_in_}")
        if self.row_shape_ != (len(self._schema.cells),):
            raise InputError(f"its columns make rows of {len(self._schema.cells)} cells, and it has {self.row_shape_}")
        check_lengths(self, {"feature_names_in_": self.n_features_in_})

    def restored(self, fitted: Mapping[str, object]) -> Self:
        """Return the format of a fitted estimator; of one that was loaded, what is asked for now is what was."""
        new = super().restored(fitted)
        return new if new._asked is not None or new.schema_ is None else replace(new, _asked=self._asked_now)

    @property
    def _schema(self) -> Schema:
        assert self.schema_ is not None
        return self.schema_

    @property
    def _asked_now(self) -> dict[str, str]:
        """What is asked for of the columns, as it can be compared."""
        return {name: repr(getattr(self, name)) for name in ASKED}

    @property
    def _is_mixed(self) -> bool:
        return any(column.kind != "number" for column in self._schema.columns) or bool(self._schema.left_out)

    def _table(self, X: RowsLike) -> pd.DataFrame:
        """Validate a table for use; return a DataFrame, of arrays too."""
        X, before = plain(X), Columns(self.n_features_in_, self.feature_names_in_)
        if isinstance(X, pd.DataFrame) and not len(X):
            raise InputError("X has 0 rows: give one or more")
        if self.framed_ and isinstance(X, pd.DataFrame):
            X = self._schema.with_left_out(X)
            if self._is_mixed:  # of numbers alone, scikit-learn's contract wants its own words
                self._schema.check_names(X)
            return validate(self.family, before, X, skip_check_array=True)[0]
        if self.framed_ and self._is_mixed:
            raise InputError("fit was given a DataFrame of several kinds of columns: give X as a DataFrame too")
        rows, _ = read_array(self.family, X, before, (self.n_features_in_ or 0,))
        return pd.DataFrame(in_unit_interval(rows), columns=list(self._schema.names))

    def _cells(self, table: pd.DataFrame, *, mark_new: bool = False, single: bool = False) -> np.ndarray:
        """Return cells in float32 where all columns of the table are, or where that is asked for, else in float64.

        Categories that were not there at ``fit`` are NaN, and told of, unless they are to be marked.
        """
        single = single or bool((table.dtypes == np.float32).all())
        cells = self._schema.to_cells(table, np.float32 if single else np.float64, mark_new=True)
        new = self._schema.new_categories(cells)
        if new.any() and not mark_new:
            warn_of_new_categories(self._schema, table, new)
            cells[new] = np.nan
        return cells

    def _in_container(self, frame: pd.DataFrame, like: RowsLike | None = None) -> Dataframe:
        """Return a frame as the dataframe that `like` is, or that ``fit`` was given."""
        return back(frame, container_of(like) or self.container_)

    def _whole(self, rows: pd.DataFrame, X: RowsLike, dtype: np.dtype) -> np.ndarray | Dataframe:
        """Put the columns that are left out, as far as they were given, back in their places; return rows like `X`."""
        names, given = self._schema.names, plain(X)
        given = given if isinstance(given, pd.DataFrame) else pd.DataFrame(np.asarray(given))
        given = given if self.framed_ else given.set_axis(list(names), axis=1)
        there = [name for name in names if name in rows.columns or name in given.columns]
        if len(there) > len(rows.columns):
            given, rows = given.reset_index(drop=True), rows.reset_index(drop=True)
            rows = pd.DataFrame({name: rows[name] if name in rows.columns else given[name] for name in there})
        if not self.framed_:
            return rows.to_numpy(dtype=dtype)
        return self._in_container(with_index(rows, plain(X)), X)

    def _mask_of_all(self, mask: RowsLike, X: RowsLike, n: int) -> np.ndarray:
        """Return a mask of all columns, of one that is of those of `X`; what is left out is never filled in."""
        names = list(self._schema.names)
        if self.framed_ and isinstance(plain(mask), pd.DataFrame | pd.Series):
            return mask_of(mask, names, (n, len(names)), may_lack=self._schema.left_out)
        given = [name for name in names if name in plain(X).columns] if self.framed_ else names
        of_given = pd.DataFrame(mask_of(mask, None, (n, len(given))), columns=given)
        return of_given.reindex(columns=names, fill_value=False).to_numpy()
