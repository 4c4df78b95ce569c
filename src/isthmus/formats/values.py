"""Values of a column: what they are by pandas' types, and as numbers and back."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import infer_dtype, is_complex_dtype, is_numeric_dtype, pandas_dtype

from isthmus.errors import InputError

Kind = Literal["number", "boolean", "category", "date"]
Category = str | int | float | bool
Dtype = np.dtype | ExtensionDtype


class Levels(TypedDict):
    """The dtype of a pandas Categorical, as JSON can hold it."""

    values: list[Category]
    dtype: str
    ordered: bool


KINDS: tuple[Kind, ...] = ("number", "boolean", "category", "date")


MIXED = "mixed-integer"
"""pandas' name for whole numbers beside text, as spreadsheets have them."""


TRUTH_VALUES = {"true": True, "false": False, 1.0: True, 0.0: False}
"""What truth values say, however they are written."""


DATES = ("datetime64", "datetime", "date")
"""pandas' names for what holds dates."""


NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "timedelta64", "timedelta")
"""pandas' names for what are numbers, objects too."""


def kind_of(name: object, column: pd.Series) -> Kind:
    """Tell what a column holds; raise InputError where it is nothing that a model could be of."""
    inferred = infer_dtype(column, skipna=True)
    if inferred in ("string", "categorical"):
        return "category"
    if inferred == "boolean":
        return "boolean"
    if inferred in DATES:
        return "date"
    if inferred in NUMBERS or (is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype)):
        return "number"
    raise InputError(
        f"column {name!r} ({column.dtype}) holds what is {inferred}: turn it into numbers, truth values or categories, "
        f"or leave it out with drop=[{name!r}]"
    )


def levels_of(column: pd.Series) -> Levels:
    """Return what JSON can hold of the dtype of a pandas Categorical."""
    index = column.cat.categories
    return {"values": index.tolist(), "dtype": str(index.dtype), "ordered": bool(column.cat.ordered)}


def reading(value: object) -> str | float:
    """Return what a value says, however it is written: a number, "true" or "false", or text."""
    text = str(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    for kind in (int, float):  # an int first, which floats cannot tell from its neighbours where it is long
        with suppress(ValueError):
            number = kind(text)
            return number if kind is int or np.isfinite(number) else text
    return text


def truth_values(column: pd.Series) -> pd.Series:
    """Return truth values, however they are written; NA where a value says none."""
    return column.map(reading, na_action="ignore").map(TRUTH_VALUES).astype("boolean")


def dtype_named(name: str) -> Dtype:
    """Return the dtype of a name; pandas gives Arrow's decimals a name that it cannot read itself."""
    if name.startswith("decimal128(") and name.endswith(")[pyarrow]"):
        precision, scale = map(int, name[len("decimal128(") : -len(")[pyarrow]")].split(","))
        return pd.ArrowDtype(pa.decimal128(precision, scale))
    return pandas_dtype(name)


def numpy_dtype(dtype: Dtype) -> Dtype:
    """Return the dtype that NumPy has for one of pandas' own."""
    return getattr(dtype, "numpy_dtype", dtype)


def plain_numbers(column: pd.Series, inferred: str) -> pd.Series:
    """Return numbers that are objects in a dtype of their own."""
    if column.dtype != object:
        return column
    if inferred in ("timedelta64", "timedelta"):
        return pd.to_timedelta(column)
    if inferred == "integer":
        return column.where(column.notna(), None).astype("Int64")
    return pd.Series(as_floats(column), column.index)


def as_floats(column: pd.Series) -> np.ndarray:
    """Return numbers as floats, durations in seconds; NaN where missing. What are floats already is no copy."""
    if column.dtype == np.float64:
        return column.to_numpy()
    inferred = infer_dtype(column, skipna=True)
    if inferred in ("timedelta64", "timedelta"):
        return pd.to_timedelta(column).dt.total_seconds().to_numpy(float)
    if inferred == "decimal":
        return column.astype(object).map(float, na_action="ignore").to_numpy(dtype=float, na_value=np.nan)
    return column.to_numpy(dtype=float, na_value=np.nan)


def numbers_as_given(values: pd.Series, dtype: Dtype) -> pd.Series:
    """Return numbers in the dtype that a column had: of durations they are seconds."""
    if values.dtype == dtype:
        return values
    if getattr(dtype, "kind", "") == "m":
        return pd.to_timedelta(values, unit="s").astype(dtype)
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype):
        scale = dtype.pyarrow_dtype.scale
        texts = values.map(lambda number: f"{number:.{scale}f}", na_action="ignore").astype(object)
        return pd.Series(pd.array(pa.array(texts, from_pandas=True).cast(dtype.pyarrow_dtype), dtype), name=values.name)
    return values.astype(dtype)


def index_in(values: Sequence[Any], column: pd.Series, mark_new: bool) -> np.ndarray:
    """Return the place of each value among those known; of others NaN, or the place after the last."""
    index = pd.Index(values, dtype=object).get_indexer(column.astype(object)).astype(float)
    return np.where(index < 0, np.where(column.isna(), np.nan, len(values) if mark_new else np.nan), index)


def is_finite(value: object) -> bool:
    """Tell whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def is_count(value: object) -> bool:
    """Tell whether it is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
