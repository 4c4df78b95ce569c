"""What the columns of a table are, and how its cells become numbers and back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_complex_dtype, is_integer_dtype, is_numeric_dtype, pandas_dtype
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from isthmus.data.rows import check_finite
from isthmus.errors import InputError

Kind = Literal["number", "boolean", "category"]
KINDS: tuple[Kind, ...] = ("number", "boolean", "category")
LEVELS = ("string", "integer", "floating", "boolean")
"""What the categories of a column may be: what JSON can hold."""

SCALING: dict[str | None, tuple[type, ...]] = {
    None: (),
    "standard": (StandardScaler,),
    "rankgauss": (StandardScaler, QuantileTransformer, StandardScaler),
}
"""How numbers are scaled: the steps, in order."""

FITTED: dict[type, tuple[str, ...]] = {
    StandardScaler: ("mean_", "scale_"),
    QuantileTransformer: ("quantiles_", "references_"),
}
"""What a step knows after its fit."""

MOST_QUANTILES = 1000

AT_ONCE = 16_384
"""Rows that are scaled at once: scikit-learn makes copies of them."""

WIDEST = 16
"""Bytes of a cell: dtypes of more are text of a fixed length, or structures."""

BEYOND = 1e-3
"""How far outside what was seen the end quantiles lie, in standard deviations."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str or int
        Its name.
    kind : {"number", "boolean", "category"}
        What its values are.
    dtype : str
        pandas' name of its dtype.
    categories : tuple
        The categories that were seen, in order.
    levels : dict or None
        Of a pandas Categorical: all its categories, their dtype, and whether they are ordered.
    """

    name: str | int
    kind: Kind
    dtype: str
    categories: tuple[Any, ...] = ()
    levels: Mapping[str, Any] | None = None

    @classmethod
    def learn(cls, name: Any, column: pd.Series) -> Self:
        """Find out what a column is."""
        if column.isna().all():
            raise InputError(f"Input X has nothing but NaN in column {name!r}: drop it")
        kind = _kind(name, column)
        categories: tuple[Any, ...] = ()
        levels = None
        if isinstance(column.dtype, pd.CategoricalDtype):
            index = column.cat.categories
            if infer_dtype(index) not in LEVELS:
                raise InputError(f"column {name!r} has categories that are {infer_dtype(index)}: make them text")
            categories = tuple(column.cat.remove_unused_categories().cat.categories.tolist())
            levels = levels_of(column)
        elif kind == "category":
            categories = tuple(sorted(map(str, column.dropna().unique())))
        return cls(name, kind, str(column.dtype), categories, levels)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Make one of what ``dataclasses.asdict`` gave, and JSON may have held since; raise where it is no column."""
        column = cls(**dict(fields) | {"categories": tuple(fields["categories"])})
        levels = column.levels
        values = column.categories if levels is None else (*column.categories, *levels["values"])
        if not isinstance(column.name, str | int) or column.kind not in KINDS:
            raise InputError(f"column {column.name!r} is of no kind that a column can be")
        if len(set(column.categories)) < max(len(column.categories), column.kind == "category"):
            raise InputError(f"column {column.name!r} has no categories, or one twice")
        if not all(isinstance(value, str | int | float) for value in values):
            raise InputError(f"column {column.name!r} has categories that are neither text nor numbers")
        column.check_dtypes()
        column.decode(np.array([0.0, np.nan])[: 1 if column.kind == "number" else 2])  # what it will have to do
        return column

    def check_dtypes(self) -> None:
        """Raise ValueError where a dtype is none that a column of a table has; it may come from a stranger's file."""
        dtype = pandas_dtype(self.dtype)
        if self.levels is not None and not (dtype == "category" and isinstance(self.levels["ordered"], bool)):
            raise InputError(f"column {self.name!r} is of the dtype {self.dtype}, and has levels")
        for each in (dtype, pandas_dtype("object" if self.levels is None else self.levels["dtype"])):
            if getattr(each, "itemsize", 0) > WIDEST or not isinstance(each.name, str):
                raise InputError(f"column {self.name!r} is of the dtype {self.dtype}, which none can be")

    def encode(self, column: pd.Series, *, mark_new: bool = False) -> np.ndarray:
        """Return a number a cell: a number, 0 or 1, the index of a category; NaN where missing.

        A category that was not there at fit is NaN too, or has the index after the last one where `mark_new` says so.
        """
        if column.isna().all():
            return np.full(len(column), np.nan)
        column = self.as_at_fit(column)
        if self.kind == "number":
            return column.to_numpy(dtype=float, na_value=np.nan)
        if self.kind == "boolean":
            return column.astype("boolean").to_numpy(dtype=float, na_value=np.nan)
        index = pd.Index(self.categories, dtype=object).get_indexer(column.astype(object)).astype(float)
        new = len(self.categories) if mark_new else np.nan
        return np.where(index < 0, np.where(column.isna(), np.nan, new), index)

    def as_at_fit(self, column: pd.Series) -> pd.Series:
        """Return a column as what it was at fit; raise ValueError where its values cannot be read so.

        Codes may be digits alone today, and numbers and truth values may have come as text.
        """
        inferred = infer_dtype(column, skipna=True)
        if inferred == "empty" or column.isna().all():
            return column
        kind: Kind = "category" if inferred in MIXED else _kind(self.name, column)
        if kind == self.kind != "category":
            return column
        if self.kind == "number":
            read = pd.to_numeric(column.astype(float if kind == "boolean" else object), errors="coerce")
            is_read = bool((read.notna() | column.isna()).all())
        elif self.kind == "boolean":
            read = column.map(_reading, na_action="ignore").map(TRUTH_VALUES).astype("boolean")
            is_read = bool((read.notna() | column.isna()).all())
        else:
            values = column.astype(object)
            both_text = isinstance(self.categories[0], str) and infer_dtype(values, skipna=True) == "string"
            if both_text or (values.isin(self.categories) | column.isna()).all():
                return column
            read = self._categories_of(values)
            is_read = kind == "category" or bool(read.isin(self.categories).any())
        if not is_read:
            raise InputError(
                f"column {self.name!r} holds {_PLURAL[kind]} ({column.dtype}) where there were {_PLURAL[self.kind]} at "
                f"fit, and they cannot be read as such: give it the dtype {self.dtype}"
            )
        return read

    def _categories_of(self, values: pd.Series) -> pd.Series:
        """Return the category that says what each value does, however it is written; of others, the value as text."""
        readings = [_reading(category) for category in self.categories]
        times, pairs = Counter(readings), zip(readings, self.categories, strict=True)
        known = {reading: category for reading, category in pairs if times[reading] == 1}
        exact = values.isin(self.categories)
        return values.where(exact, values.map(lambda value: known.get(_reading(value), str(value)), na_action="ignore"))

    def decode(self, cells: np.ndarray) -> pd.Series:
        """Return the column that numbers stand for: rounded to its dtype, to a truth value or to a category."""
        missing = np.isnan(cells)
        if self.kind == "number":
            dtype = pandas_dtype(self.dtype)
            if is_integer_dtype(dtype):
                whole = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
                cells = np.rint(cells.clip(whole.min, np.nextafter(float(whole.max), 0))).clip(max=whole.max)
            return pd.Series(cells, name=self.name).astype(dtype)
        values: Any = np.array([False, True] if self.kind == "boolean" else self.categories, dtype=object)
        values = values[np.where(missing, 0, np.rint(cells)).astype(int).clip(0, len(values) - 1)]
        values[missing] = None
        return pd.Series(values, name=self.name, dtype=self._dtype())

    def _dtype(self) -> Any:
        if self.levels is None:
            return self.dtype
        values = pd.Index(self.levels["values"], dtype=self.levels["dtype"])
        return pd.CategoricalDtype(values, self.levels["ordered"])


def levels_of(column: pd.Series) -> dict[str, Any]:
    """Return what JSON can hold of the dtype of a pandas Categorical."""
    index = column.cat.categories
    return {"values": index.tolist(), "dtype": str(index.dtype), "ordered": bool(column.cat.ordered)}


MIXED = ("mixed-integer", "mixed-integer-float")
"""pandas' names for whole numbers beside others, or beside text, as spreadsheets have them."""

TRUTH_VALUES = {"true": True, "false": False, 1.0: True, 0.0: False}
"""What truth values say, however they are written."""


def _reading(value: Any) -> Any:
    """Return what a value says, however it is written: a number, "true" or "false", or text."""
    text = str(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        number = float(text)
    except ValueError:
        return text
    return number if np.isfinite(number) else text


_PLURAL = {"number": "numbers", "boolean": "truth values", "category": "categories"}


def _kind(name: Any, column: pd.Series) -> Kind:
    """Tell what a column holds; raise ValueError where it is nothing that a model could be of."""
    inferred = infer_dtype(column, skipna=True)
    if inferred in ("string", "categorical"):
        return "category"
    if inferred == "boolean":
        return "boolean"
    if is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype):
        return "number"
    raise InputError(
        f"column {name!r} ({column.dtype}) holds what is {inferred}: turn it into numbers, truth values or categories"
    )


@dataclass(frozen=True)
class Schema:
    """What was learnt of a table: its columns, and how numbers are scaled.

    A row of cells has one number a column: first the numbers, scaled, then the truth values as 0 and 1, then the
    categories as their indices; NaN is missing.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the table.
    numbers : {"rankgauss", "standard"} or None
        The scaling of numbers: to normal quantiles, where ties share the middle of their ranks, and then to mean 0 and
        variance 1; straight to these; or none.
    steps : list
        scikit-learn's transformers, fitted, one after the other.

    Examples
    --------
    >>> table = pd.DataFrame({"sex": ["F", "M", None], "length": [0.4, 0.5, 0.6]})
    >>> schema = Schema.learn(table, numbers="standard")
    >>> cells = schema.to_cells(table)
    >>> cells.round(2).tolist()
    [[-1.22, 0.0], [0.0, 1.0], [1.22, nan]]
    >>> schema.to_frame(cells)["sex"].tolist()[:2]
    ['F', 'M']
    """

    columns: tuple[Column, ...]
    numbers: str | None
    steps: list[Any] = field(default_factory=list, compare=False)

    @classmethod
    def learn(cls, frame: pd.DataFrame, numbers: str | None = "rankgauss") -> Self:
        """Find out what the columns of a table are.

        Raises
        ------
        ValueError
            If two columns have one name, or a column holds nothing, infinity, or what is neither numbers, truth values
            nor categories.
        """
        if not len(frame.columns):
            raise InputError("X has no columns")
        twice = frame.columns[frame.columns.duplicated()]
        if len(twice):
            raise InputError(f"X has more than one column {twice[0]!r}: give each a name of its own")
        for name in frame.columns:
            if not isinstance(name, str | int | np.integer):
                raise InputError(f"X has a column {name!r}: give columns names that are text")
        columns = (Column.learn(_plain(name), frame[name]) for name in frame.columns)
        schema = cls(tuple(columns), numbers)
        values = schema._numbers(frame, np.empty((len(frame), schema.count("number"))))
        if values.shape[1]:
            for step in SCALING[numbers]:
                with np.errstate(over="ignore", invalid="ignore"):
                    transformer = (
                        _fitted_quantiles(values) if step is QuantileTransformer else _arrays(step()).fit(values)
                    )
                    scaled = transformer.transform(values)
                if not np.isfinite(scaled[~np.isnan(values)]).all():
                    wrong = int((~np.isfinite(scaled) & ~np.isnan(values)).any(0).argmax())
                    far = [column.name for column in schema.columns if column.kind == "number"][wrong]
                    raise InputError(f"column {far!r} reaches too far for the sum of its squares: divide it")
                values = scaled
                schema.steps.append(transformer)
        return schema

    def check_names(self, frame: pd.DataFrame) -> None:
        """Raise ValueError where columns have vanished, are new, or stand in another order."""
        names, given = [column.name for column in self.columns], frame.columns.tolist()
        there, known = set(given), set(names)  # a list would be gone through for each of its names
        vanished = [name for name in names if name not in there]
        new = [name for name in given if name not in known]
        if vanished:
            more = f" (nor are {len(vanished) - 1} more)" if len(vanished) > 1 else ""
            raise InputError(f"column {vanished[0]!r} is not in X, and was there at fit{more}")
        if new:
            more = f" (nor were {len(new) - 1} more)" if len(new) > 1 else ""
            raise InputError(f"column {new[0]!r} was not there at fit, and is in X{more}: drop it")
        if given != names:
            raise InputError("X has the columns in another order than at fit, or one of them twice")

    def as_at_fit(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns are what they were at fit, as far as their values can be read so."""
        frame = frame.copy(deep=False)
        for column in self.columns:
            frame[column.name] = column.as_at_fit(frame[column.name])
        return frame

    def to_cells(
        self, frame: pd.DataFrame, dtype: type[np.floating[Any]] = np.float64, *, mark_new: bool = False
    ) -> np.ndarray:
        """Turn a table into cells of shape (rows, columns); NaN where missing, or a category unknown at fit.

        With `mark_new` the latter has the index after the last one instead: see :meth:`new_categories`.

        Raises
        ------
        ValueError
            If the columns are not those of fit, or one of them holds another kind of thing.
        """
        self.check_names(frame)
        cells, n = np.empty(frame.shape, dtype), self.count("number")
        numbers = self._numbers(frame, cells[:, :n])
        for start in range(0, len(frame) if n else 0, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            values = numbers[part].astype(float)
            for step in self.steps:
                values = step.transform(values)
            numbers[part] = values
        for i, column in enumerate(self.ordered[n:], n):
            cells[:, i] = column.encode(frame[column.name], mark_new=mark_new)
        return cells

    def new_categories(self, cells: np.ndarray) -> np.ndarray:
        """Tell which cells are categories that were not there at fit, as :meth:`to_cells` has marked them."""
        n = len(self.columns) - len(self.sizes)
        return cells >= np.array([np.inf] * n + [*self.sizes])

    def to_frame(self, cells: np.ndarray, index: pd.Index | None = None) -> pd.DataFrame:
        """Turn cells into a table, in the units, categories, dtypes and the order of columns of the first one."""
        n = self.count("number")
        values = np.asarray(cells[:, :n], dtype=float)
        if n:
            for step in reversed(self.steps):
                values = step.inverse_transform(values)
        cells = np.column_stack([values, cells[:, n:]])
        decoded = {column.name: column.decode(cells[:, i]) for i, column in enumerate(self.ordered)}
        frame = pd.DataFrame({column.name: decoded[column.name] for column in self.columns})
        return frame if index is None else frame.set_axis(index)

    def by_column(self, cells: np.ndarray) -> np.ndarray:
        """Put what is one a cell into the order of the table's columns."""
        place = {column.name: i for i, column in enumerate(self.ordered)}
        return cells[:, [place[column.name] for column in self.columns]]

    def by_cell(self, table: np.ndarray) -> np.ndarray:
        """Put what is one a column, in the table's order, into the order of the cells."""
        place = {column.name: i for i, column in enumerate(self.columns)}
        return table[:, [place[column.name] for column in self.ordered]]

    @property
    def ordered(self) -> list[Column]:
        """The columns in the order of the cells: numbers, truth values, categories."""
        return sorted(self.columns, key=lambda column: KINDS.index(column.kind))

    def count(self, kind: Kind) -> int:
        """Return how many columns of a kind there are."""
        return sum(column.kind == kind for column in self.columns)

    @property
    def text(self) -> list[str | int]:
        """The columns whose categories are text."""
        columns = (column for column in self.columns if column.kind == "category")
        return [column.name for column in columns if isinstance(column.categories[0], str)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many categories each column of categories has."""
        return tuple(len(column.categories) for column in self.ordered if column.kind == "category")

    def as_json(self) -> dict[str, Any]:
        """Return all that was learnt as what JSON can hold."""
        steps = [{name: getattr(step, name).tolist() for name in FITTED[type(step)]} for step in self.steps]
        return {"columns": [asdict(column) for column in self.columns], "numbers": self.numbers, "steps": steps}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Make a schema of what :meth:`as_json` gave, and JSON may have held since.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is nothing that :meth:`learn` could have learnt.
        """
        columns = tuple(Column.from_json(column) for column in content["columns"])
        if not columns or len({column.name for column in columns}) < len(columns):
            raise InputError("a table has columns, each with a name of its own")
        schema = cls(columns, content["numbers"])
        n_numbers = schema.count("number")
        steps = SCALING[content["numbers"]] if n_numbers else ()
        for step, fitted in zip(steps, content["steps"], strict=True):
            transformer = _quantiles(0) if step is QuantileTransformer else _arrays(step())
            for name in FITTED[step]:
                setattr(transformer, name, _fitted(name, fitted[name], n_numbers))
            transformer.n_features_in_ = n_numbers
            schema.steps.append(transformer)
        return schema

    def _numbers(self, frame: pd.DataFrame, values: np.ndarray) -> np.ndarray:
        """Put the columns of numbers, as they are, into an array of shape (rows, numbers), and return it."""
        columns = [column for column in self.columns if column.kind == "number"]
        for i, column in enumerate(columns):
            values[:, i] = column.encode(frame[column.name])
        check_finite(values, np.array([column.name for column in columns], dtype=object), allow_nan=True)
        return values


def put_known_cells(filled: pd.DataFrame, given: pd.DataFrame, known: np.ndarray) -> pd.DataFrame:
    """Put the known cells, as they were given, into a table; a dtype that cannot hold them gives way to theirs."""
    columns = {}
    for i, (name, column) in enumerate(filled.items()):
        values = given[name][known[:, i]]
        same = values.astype(column.dtype)
        if not (same.astype(object) == values.astype(object)).all():
            column, same = column.astype(values.dtype), values
        whole = column.array.copy()
        whole[known[:, i]] = same.array
        columns[name] = pd.Series(whole, given.index)
    return pd.DataFrame(columns)


def with_index(rows: Any, given: Any) -> Any:
    """Give a DataFrame the index of the one that it is made of."""
    if isinstance(rows, pd.DataFrame) and isinstance(given, pd.DataFrame):
        return rows.set_axis(given.index)
    return rows


def _fitted(name: str, values: Any, n: int) -> np.ndarray:
    """Return what a step knows of `n` columns, finite numbers of the right shape; raise ValueError where they are not.

    `references_` are the probabilities of the quantiles, of which any number will do.
    """
    array = np.array(values, dtype=float)
    right = {"quantiles_": (len(array), n), "references_": (len(array),)}.get(name, (n,))
    if array.shape != right or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{name} has the shape {array.shape} or is not finite, and {n} columns are scaled by it")
    return array


def _arrays(transformer: Any) -> Any:
    """Let a transformer return arrays, whatever ``sklearn.set_config(transform_output=...)`` says."""
    return transformer.set_output(transform="default")


def _quantiles(n: int) -> Any:
    n_quantiles = min(MOST_QUANTILES, n)
    return _arrays(QuantileTransformer(n_quantiles=n_quantiles, output_distribution="normal", subsample=None))


def _fitted_quantiles(values: np.ndarray) -> Any:
    """Fit with a row more beyond either end, so that the ends have quantiles like all others.

    scikit-learn puts what is at an end at ±5.2. A column of mostly zeros would be nothing but its zeros then.
    """
    ends = np.stack([np.nanmin(values, axis=0) - BEYOND, np.nanmax(values, axis=0) + BEYOND])
    return _quantiles(len(values) + 2).fit(np.concatenate([values, ends]))


def _plain(name: Any) -> str | int:
    return name if isinstance(name, str) else int(name)
