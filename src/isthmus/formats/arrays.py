"""Rows of numbers and images: arrays, tensors, and dataframes of numbers, with or without conditions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd

from isthmus.errors import InputError, warn_caller
from isthmus.formats.base import Fill, Format
from isthmus.formats.checks import Columns, validate
from isthmus.formats.conditional import Conditions
from isthmus.formats.containers import Dataframe, RowsLike, back, container_of, plain
from isthmus.formats.frames import Frame, mask_of, squeezed, steps_index, with_index
from isthmus.formats.given import Given
from isthmus.formats.names import columns_of_ids
from isthmus.formats.rows import (
    are_bytes,
    check_finite,
    check_shape,
    check_support,
    flatten,
    in_unit_interval,
    text_error,
    where_text_is,
)
from isthmus.formats.standardise import (
    HOW_TO_STANDARDISE,
    Ranges,
    Scaling,
    check_size,
    constant_fault,
    spread_fault,
    unequal_fault,
)
from isthmus.saving.attributes import NAMES, NUMBERS, SCALES, SHAPE, SIZE, Attribute, check_lengths, is_dict


@dataclass(frozen=True)
class ArrayFormat(Format):
    """Rows of numbers, (n, features), and images, (n, height, width) or (n, channels, height, width).

    Parameters
    ----------
    family : str
        What messages call the estimator.
    scale : {"standard", "auto"} or None
        Whether rows are standardised; see :class:`isthmus.Autoencoder`.
    likelihood : str
        What messages call the likelihood.
    support : (float, float) or None
        The lowest and the highest number that the likelihood can give rise to; None: any.
    sigma : float or None
        σ of a Gaussian likelihood in the units of the rows, where it is given.
    conditions : Conditions or None
        What `y` holds, where encoder and decoder are told of it.
    """

    attributes: ClassVar = {
        "n_features_in_": SIZE,
        "feature_names_in_": NAMES,
        "row_shape_": SHAPE,
        "frame_": Attribute(is_dict, Frame.from_json, Frame.as_json),
        "mean_": NUMBERS,
        "scale_": SCALES,
    }

    takes_streams: ClassVar = True

    family: str
    scale: Literal["standard", "auto"] | None = None
    likelihood: str = "gaussian"
    support: tuple[float, float] | None = None
    sigma: float | None = 1.0
    conditions: Conditions | None = None
    n_features_in_: int | None = None
    feature_names_in_: np.ndarray | None = None
    row_shape_: tuple[int, ...] = ()
    frame_: Frame | None = None
    mean_: np.ndarray | None = None
    scale_: np.ndarray | None = None

    def learn(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Note the shape of rows, what a dataframe is, mean and spread where they are to be standardised."""
        rows, columns = read_array(self.family, X)
        new = replace(self, **columns._asdict(), row_shape_=rows.shape[1:])
        new._check_columns(rows)
        new._check_targets(rows)
        container = container_of(X)
        if container is not None:
            new = replace(new, frame_=Frame.learn(X, rows, container))
            ids = columns_of_ids(plain(X))
            if ids:
                warn_caller(f"column {ids[0]!r} numbers the rows, and measures nothing: drop it (--drop {ids[0]})")
        new = new._with_scale(rows)
        if new.conditions is not None:
            new = replace(new, conditions=new.conditions.learn(y))
        return new, Given(new.scaled(rows), new.context(y, len(rows)))

    def learn_more(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Widen the ranges of a dataframe's columns by further training rows."""
        rows = self._rows(X)
        self._check_targets(rows)
        new = self if self.frame_ is None else replace(self, frame_=self.frame_.widened(rows))
        if self.conditions is not None:
            self.conditions.check(y)
        return new, Given(self.scaled(rows), self.context(y, len(rows)))

    def refined(self, pieces: Iterator[tuple[RowsLike, RowsLike | None]]) -> Self:
        """Take mean, spread and ranges of all rows, and the classes of all conditions."""
        frame, scaling, conditions = self.frame_, self._scaling, self.conditions
        if frame is None and scaling is None and conditions is None:
            return self
        moments = None if scaling is None else scaling.moments()
        tallies = () if conditions is None else conditions.tallies()
        for X, y in pieces:
            rows = in_unit_interval(self._rows(X))
            self._check_targets(rows)
            frame = None if frame is None else frame.widened(rows)
            if moments is not None:
                moments.add(rows)
            if conditions is not None:
                conditions.add(tallies, y)
        new = replace(self, frame_=frame)
        if conditions is not None:
            new = replace(new, conditions=conditions.refined(tallies))
        if scaling is None or moments is None:
            return new
        scaling = scaling.refined(moments)
        return replace(new, mean_=scaling.mean, scale_=scaling.scale)

    def read(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return rows in the units of `X`, floats or bytes."""
        rows = self._rows(X)
        if targets:
            self._check_targets(rows)
        return Given(rows, self.context(y, len(rows)))

    def decode(self, rows: np.ndarray, like: RowsLike | None = None) -> np.ndarray | Dataframe:
        """Return rows as arrays, or as a dataframe where ``fit`` was given one, and `like` is one, if any."""
        rows = self.unscaled(rows)
        if self.frame_ is None or not (like is None or container_of(like)):
            return rows
        return back(with_index(self.frame_.decode(rows), like), container_of(like) or self.frame_.container)

    def decode_steps(self, rows: np.ndarray, n: int, like: RowsLike) -> np.ndarray | Dataframe:
        """Return decoded steps as an array of shape (n, steps, *row_shape), or as a dataframe, a line a step."""
        rows, steps = self.unscaled(rows), len(rows) // n
        if self.frame_ is None or container_of(like) is None:
            return rows.reshape(n, steps, *rows.shape[1:])
        frame = self.frame_.decode(rows.reshape(n * steps, -1))
        return back(frame.set_axis(steps_index(n, steps)), container_of(like))

    def entries(self, values: np.ndarray, like: RowsLike) -> np.ndarray | Dataframe:
        """Return values as an array, or under the names of a dataframe's columns."""
        if self.frame_ is None or container_of(like) is None:
            return values
        return back(with_index(pd.DataFrame(values, columns=self.frame_.columns), like), container_of(like))

    def fill(self, X: RowsLike, mask: RowsLike | None, y: RowsLike | None, fill_in: Fill) -> np.ndarray | Dataframe:
        """Return rows with their gaps filled in."""
        given = self.read(X, y, targets=True)
        if mask is not None:
            names = self.feature_names_in_ if self.frame_ is None else self.frame_.names
            given = given._replace(hidden=mask_of(mask, names, given.x.shape))
        filled = given.put_known(self.unscaled(fill_in(given._replace(x=self.scaled(given.x)))))
        if self.frame_ is None or container_of(X) is None:
            return filled
        return back(self.frame_.with_known(filled, plain(X), given.known), container_of(X))

    def faults(self, rows: np.ndarray) -> list[str]:
        """Return what to warn of: a scale that does harm, and a column of one value."""
        ranges = Ranges.of(rows)
        fault = self._fault_of_scale(ranges)
        constant = constant_fault(ranges, self._column_names) if self._is_table else None
        if fault is not None:
            cures = [HOW_TO_STANDARDISE] * (self.scale is None) + ["give sigma='learned'"] * ("sigma=" in fault)
            fault = f"{fault}: {', or '.join(cures)}"
        return [line for line in (fault, constant) if line is not None]

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Standardise rows, where they are to be."""
        return rows if self._scaling is None else self._scaling.apply(in_unit_interval(rows))

    def unscaled(self, rows: np.ndarray) -> np.ndarray:
        """Bring rows of shape (..., *row_shape) back to the units of `X`."""
        return rows if self._scaling is None else self._scaling.undo(rows)

    @property
    def log_scale(self) -> np.ndarray | None:
        """The logarithm of the spread of each entry."""
        return None if self._scaling is None else self._scaling.log_scale

    @property
    def n_context(self) -> int:
        """How many numbers encoder and decoder are told of the conditions of a row."""
        return 0 if self.conditions is None else self.conditions.width

    def context(self, y: RowsLike | None, n: int) -> np.ndarray | None:
        """Return what encoder and decoder are told of the conditions of `n` rows."""
        return None if self.conditions is None else self.conditions.encode(y, n)

    def declared(self) -> dict[str, Attribute]:
        """Return the fitted attributes, those of conditions among them."""
        return dict(self.attributes) | ({} if self.conditions is None else dict(self.conditions.attributes))

    def check(self) -> None:
        """Raise ValueError where what was learnt does not fit together."""
        n, shape = self.n_features_in_, self.row_shape_
        if n not in (shape[-1], math.prod(shape)):
            raise InputError(f"n_features_in_={n} features are not those of rows of shape {shape}")
        scales = {1: n, 2: 1, 3: shape[0]}[len(shape)]
        check_lengths(self, {"mean_": scales, "scale_": scales, "feature_names_in_": n})
        if self.frame_ is not None and len(self.frame_.names) != n:
            raise InputError(f"its frame_ has {len(self.frame_.names)} columns, and rows {n}")
        if self.conditions is not None:
            self.conditions.verify()

    def fitted(self) -> dict[str, object]:
        """Return what was learnt, of conditions too, by the names of an estimator's attributes."""
        return super().fitted() | ({} if self.conditions is None else self.conditions.fitted())

    def restored(self, fitted: Mapping[str, object]) -> Self:
        """Return the format that has learnt what an estimator's attributes say."""
        conditions = None if self.conditions is None else self.conditions.restored(fitted)
        return replace(super().restored(fitted), conditions=conditions)

    @property
    def _scaling(self) -> Scaling | None:
        if self.mean_ is None or self.scale_ is None:
            return None
        return Scaling(self.mean_, self.scale_, self.row_shape_)

    def _with_scale(self, rows: np.ndarray) -> Self:
        """Note mean and spread of training rows, where they are to be standardised."""
        check_size(rows, float(np.finfo(float).max), "divide it")
        fault = self._fault_of_scale(Ranges.of(rows)) if self.scale == "auto" else None
        if self.scale is None or (self.scale == "auto" and fault is None):
            return self
        if fault is not None:
            warn_caller(f"{fault}: it is standardised, as scale='auto' says")
        scaling = Scaling.learn(rows)
        return replace(self, mean_=scaling.mean, scale_=scaling.scale)

    def _fault_of_scale(self, ranges: Ranges) -> str | None:
        """Say what of the rows' scale does harm; None where nothing does."""
        unequal = unequal_fault(ranges, self._column_names) if self._is_table else None
        return unequal or spread_fault(ranges, self.sigma)

    @property
    def _is_table(self) -> bool:
        return len(self.row_shape_) == 1 and self.support is None

    @property
    def _column_names(self) -> Sequence[object] | np.ndarray:
        return range(self.n_features_in_ or 0) if self.feature_names_in_ is None else self.feature_names_in_

    def _rows(self, X: RowsLike) -> np.ndarray:
        before = Columns(self.n_features_in_, self.feature_names_in_)
        return read_array(self.family, X, before, self.row_shape_)[0]

    def _check_columns(self, rows: np.ndarray) -> None:
        """Raise ValueError where a column is missing in every row: nothing could be learnt of it."""
        missing = np.isnan(rows).all(0)
        if missing.any():
            place = np.unravel_index(int(missing.argmax()), missing.shape)
            name = self._column_names[int(place[0])] if missing.ndim == 1 else None
            where = f"column {name!r}" if missing.ndim == 1 else f"entry {', '.join(map(str, place))} of every row"
            raise InputError(f"Input X has nothing but NaN in {where}: drop it")

    def _check_targets(self, rows: np.ndarray) -> None:
        """Raise ValueError where the likelihood cannot give rise to such rows."""
        check_support(rows, self.support, self.likelihood)


def read_array(
    family: str, X: RowsLike, before: Columns | None = None, row_shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, Columns]:
    """Validate rows once, at the door.

    Parameters
    ----------
    family : str
        What messages call the estimator.
    X : array-like
    before : Columns or None
        Those of ``fit``; None where this is ``fit``, which wants two rows at the least.
    row_shape : tuple of int or None
        The shape of a row at ``fit``.

    Returns
    -------
    rows : ndarray of shape (n, *row_shape)
        Floats, or at use bytes, which become numbers a batch at a time.
    columns : Columns
    """
    reset = before is None
    table, shape = flatten(X)
    table = in_unit_interval(table) if reset else table
    check_shape(table, 2 if reset else 1)
    _check_width(family, table, before)
    try:
        table, columns = validate(
            family,
            before,
            table,
            dtype=None if are_bytes(table) else (np.float64, np.float32),
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
        )
    except ValueError as error:
        raise _text_error(error, table) from error
    check_finite(table, columns.feature_names_in_, allow_nan=True)
    if row_shape is None:
        return table.reshape(-1, *(shape or table.shape[1:])), columns
    if shape and squeezed(shape) != squeezed(row_shape) and len(row_shape) > 1:
        raise InputError(f"X has images of shape {shape}, and the model was fitted on {row_shape}")
    return table.reshape(-1, *row_shape), columns


def _check_width(family: str, table: object, before: Columns | None) -> None:
    """Raise ValueError for another number of features than at ``fit``, before anything is said of their names."""
    shape: tuple[int, ...] = tuple(getattr(table, "shape", ()))
    if len(shape) > 2:
        raise InputError(f"Found array with dim {len(shape)}, while dim <= 4 is required: give rows, or images")
    if before is None or (isinstance(table, pd.DataFrame) and before.feature_names_in_ is not None):
        return
    if len(shape) == 2 and shape[1] != before.n_features_in_:
        raise InputError(
            f"X has {shape[1]} features, but {family} is expecting {before.n_features_in_} features as input."
        )


def _text_error(error: ValueError, table: object) -> ValueError:
    """Return what to raise where a table could not be turned into numbers."""
    if isinstance(table, pd.DataFrame) and "could not convert string" in str(error):
        return InputError(
            f"{where_text_is(table)} holds text where numbers are needed: TabularAutoencoder takes mixed tables as "
            "they are; else encode or drop it"
        )
    return text_error(error, table)
