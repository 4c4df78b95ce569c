"""Sequences of equal or unequal length, as one padded array; and back."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from isthmus.core.batch import places
from isthmus.errors import InputError
from isthmus.formats.containers import RowsLike, plain
from isthmus.formats.rows import check_real


class Sequences(NamedTuple):
    """Sequences side by side.

    Attributes
    ----------
    x : ndarray of shape (n, steps, features)
        Float, NaN where a value is not known and behind the end of a sequence.
    lengths : ndarray of int, of shape (n,)
        Steps of each.
    """

    x: np.ndarray
    lengths: np.ndarray


MOST_PADDING = 0.5
"""Share of padded sequences that is padding from which on they are not padded to the longest of all."""


class Ragged:
    """Sequences of very unequal length, one after the other; what is taken of them is padded to the longest of it.

    Parameters
    ----------
    steps : ndarray of shape (sum of lengths, features)
        All of them; NaN where a value is not known.
    lengths : ndarray of int, of shape (n,)
        Steps of each, its future included.
    future_steps : int
        How many of the last of each are its future.
    longest : int
        Steps before the future of the longest that there may be.
    """

    def __init__(self, steps: np.ndarray, lengths: np.ndarray, future_steps: int, longest: int) -> None:
        self.steps, self.lengths, self.future_steps, self.longest = steps, lengths, future_steps, longest
        self.starts = np.cumsum(lengths) - lengths

    @classmethod
    def of(cls, sequences: Sequence[np.ndarray], future_steps: int, longest: int, *, is_open: bool = False) -> Self:
        """Store sequences (steps, features), behind each a future that is not known where `is_open` says so."""
        behind = np.full((future_steps * is_open, sequences[0].shape[1]), np.nan)
        dtype = np.result_type(*sequences)
        lengths = np.array([len(values) + len(behind) for values in sequences])
        steps = np.empty((int(lengths.sum()), behind.shape[1]), dtype)
        np.concatenate([part for values in sequences for part in (values, behind)], out=steps, casting="same_kind")
        return cls(steps, lengths, future_steps, longest)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.steps[self.starts[row] : self.starts[row] + self.lengths[row]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the sequences, were they all padded."""
        return len(self), self.longest + self.future_steps, self.steps.shape[1]

    @property
    def before(self) -> np.ndarray:
        """How many steps each has before its future."""
        return self.lengths - self.future_steps

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return self.steps.dtype

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.steps.size

    def take(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return some sequences padded, the future side by side at the end, and how long each is, and all are, before.

        Returns
        -------
        x : ndarray of shape (taken, steps, features)
        context : ndarray of shape (taken, 2)
        """
        place, own, before = self._places(rows)
        x = self.steps[place]
        x[~own] = np.nan
        return x, np.column_stack([before, np.full(len(before), before.max())]).astype(float)

    def put(self, rows: np.ndarray, x: np.ndarray) -> None:
        """Put padded sequences, as :meth:`take` gives them, in the place of theirs."""
        place, own, _ = self._places(rows)
        self.steps[place[own]] = x[own]

    def like(self, steps: np.ndarray) -> "Ragged":
        """Return sequences of the same lengths with other steps."""
        return Ragged(steps, self.lengths, self.future_steps, self.longest)

    def own(self, rows: np.ndarray | slice) -> np.ndarray:
        """Tell which of the steps that :meth:`take` gives are no padding; shape (taken, steps)."""
        return self._places(rows)[1]

    def missing_shares(self, *, of_future: bool = False) -> np.ndarray:
        """Return the share of each sequence's values, or of its future's alone, that is missing; shape (n,)."""
        missing = np.isnan(self.steps).mean(1)
        ends = self.starts + self.lengths
        sums = np.concatenate([[0.0], np.cumsum(missing)])
        starts = ends - self.future_steps if of_future else self.starts
        share = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
        return np.asarray(np.where(share > 1 - 1e-9, 1.0, share))

    def _places(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        before = self.lengths[rows] - self.future_steps
        place, own = places(torch.from_numpy(before), int(before.max()), self.future_steps)
        return self.starts[rows][:, None] + place.numpy(), own.numpy(), before


Decoded: TypeAlias = np.ndarray | Ragged | list[np.ndarray]
"""Rows of a model (n, ..., steps, features): an array, sequences of their own lengths, or a list of arrays."""


def lengths_of(X: Any) -> np.ndarray | None:
    """Return how many steps sequences have; None where they are none, as :func:`to_sequences` will say."""
    array = _as_array(X)
    if array is not None:
        return np.full(len(array), array.shape[1]) if array.ndim in (2, 3) else None
    try:
        return np.array([len(values) for values in X])
    except TypeError:
        return None


def are_ragged(lengths: np.ndarray, longest: int) -> bool:
    """Tell whether sequences, all padded to the longest there is, would be padding for the greater part."""
    return bool(lengths.sum() < (1 - MOST_PADDING) * longest * len(lengths))


def to_list(X: RowsLike) -> list[np.ndarray]:
    """Return sequences (steps, features), checked as :func:`to_sequences` does it, but none of them padded."""
    array = _as_array(X)
    sequences = _each(X) if array is None else list(_whole(array).x)
    for row, values in enumerate(sequences):
        _check_finite(values[None], row)
    return sequences


def to_sequences(X: RowsLike) -> Sequences:
    """Bring sequences side by side, those that are shorter than the longest padded at their end.

    Parameters
    ----------
    X : array-like of shape (n, steps, features) or (n, steps), or list of arrays (steps, features) or (steps,)
        Numbers; NaN is a value that is not known. Without features there is one.

    Raises
    ------
    ValueError
        If there is no sequence, one has no step or another number of features than the first, or what they hold is no
        number or infinite.
    """
    array = _as_array(X)
    x, lengths = _padded(X) if array is None else _whole(array)
    if not x.size:
        raise InputError(f"X holds no value, in the shape {x.shape}: give (n, steps, features), none of them 0")
    _check_finite(x)
    return Sequences(x, lengths)


def _check_finite(x: np.ndarray, first: int = 0) -> None:
    """Raise InputError where sequences, of which this is the number of the first, hold infinity."""
    if np.isinf(x).any():
        row, step, feature = np.argwhere(np.isinf(x))[0]
        raise InputError(
            f"Input X contains infinity in sequence {first + row}, step {step}, feature {feature}: fill it in, or drop "
            "it"
        )


def as_given(X: RowsLike, x: Decoded) -> np.ndarray | list[np.ndarray]:
    """Return rows (n, ..., steps, features) in the form of `X`: an array, or a list of arrays of the lengths given.

    Rows are an array, :class:`Ragged`, or a list of arrays (..., steps, features).
    """
    array = _as_array(X)
    if array is None:
        rows = [x[row] for row in range(len(x))]
        return [_cut(row, np.asarray(values)) for row, values in zip(rows, plain(X), strict=True)]
    x = x if isinstance(x, np.ndarray) else np.stack([x[row] for row in range(len(x))])
    x = x[..., : array.shape[1], :]
    return x if array.ndim > 2 else x[..., 0]


def without_features(X: Any) -> bool:
    """Tell whether sequences have no axis of features."""
    array = _as_array(X)
    return np.ndim(next(iter(X))) == 1 if array is None else array.ndim == 2


def masked(X: Any, mask: Any) -> np.ndarray | list[np.ndarray]:
    """Return `X` with NaN where a mask is True, which has its form, or without features, or that of one sequence."""
    array = _as_array(X)
    if array is None:
        if len(mask) != len(X):
            raise InputError(f"mask is of {len(mask)} sequences, and X has {len(X)}: give one for each")
        sequences = [np.asarray(values) for values in plain(X)]
        return [_masked(each, marked, each.ndim > 1) for each, marked in zip(sequences, mask, strict=True)]
    return _masked(array, mask, array.ndim > 2)


def _masked(array: np.ndarray, mask: ArrayLike, has_features: bool) -> np.ndarray:
    """Return one sequence, or all of them side by side, with NaN where a mask is True; see :func:`masked`."""
    marked = np.asarray(mask)
    if marked.dtype != bool:
        raise InputError(f"mask holds {marked.dtype}: give True where a value is missing, and False elsewhere")
    if has_features and marked.ndim and marked.shape in (array.shape[:-1], array.shape[-2:-1]):
        marked = marked[..., None]
    elif not has_features and marked.shape not in ((), array.shape, array.shape[-1:]):
        marked = np.empty(0, bool)  # numpy would broadcast a mark for each sequence over its steps
    try:
        return np.where(marked, np.nan, array).astype(array.dtype if array.dtype.kind == "f" else float)
    except ValueError as error:
        raise InputError(
            f"mask has the shape {marked.shape}: give that of X, {array.shape}, or of a sequence"
        ) from error


def longer(A: Any, B: Any) -> RowsLike:
    """Return of two lists of sequences the longer one of each pair; of two arrays the longer one."""
    a, b = _as_array(A), _as_array(B)
    if a is not None and b is not None:
        return max(a, b, key=lambda array: array.shape[1])
    return [max(pair, key=len) for pair in zip(A if a is None else a, B if b is None else b, strict=True)]


def split_future(sequences: Sequences, future_steps: int) -> Sequences:
    """Cut the last steps off each sequence and put them side by side behind the others, in the last columns.

    Returns
    -------
    Sequences
        Of shape (n, steps + future_steps, features); the lengths are those of what is left before.

    Raises
    ------
    ValueError
        If nothing would be left of a sequence.
    """
    x, lengths = sequences
    check_future(lengths, future_steps)
    past = lengths - future_steps
    future = np.take_along_axis(x, _future(past, future_steps), axis=1)
    behind = np.arange(x.shape[1]) >= past[:, None]
    return Sequences(np.concatenate([np.where(behind[:, :, None], np.nan, x), future], axis=1).astype(x.dtype), past)


def check_future(lengths: np.ndarray, future_steps: int) -> None:
    """Raise InputError where a sequence has no step before its future."""
    if (lengths <= future_steps).any():
        row = int((lengths <= future_steps).argmax())
        raise InputError(
            f"X has {lengths[row]} steps in sequence {row}, of which future_steps={future_steps} are to be predicted "
            "from those before: give longer sequences, or fewer future_steps"
        )


def join_future(sequences: Sequences, future_steps: int) -> np.ndarray:
    """Put the steps that :func:`split_future` has cut off back behind those before them."""
    x, past = sequences
    joined = x[:, : x.shape[1] - future_steps].copy()
    np.put_along_axis(joined, _future(past, future_steps), x[:, x.shape[1] - future_steps :], axis=1)
    return joined


def _future(past: np.ndarray, future_steps: int) -> np.ndarray:
    """Return which steps follow so many past ones; shape (n, future_steps, 1)."""
    return np.asarray(past[:, None] + np.arange(future_steps))[:, :, None]


def _as_array(X: RowsLike) -> np.ndarray | None:
    """Return sequences of one length as an array; None for a list of them."""
    X = plain(X) if hasattr(X, "__len__") or hasattr(X, "shape") else X
    if isinstance(X, Tensor):
        X = X.numpy()
    if isinstance(X, pd.DataFrame):
        numbers = all(pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes)
        X = X.to_numpy(dtype=float, na_value=np.nan) if numbers else X.to_numpy()
    return X if isinstance(X, np.ndarray) and not (X.dtype == object and X.ndim == 1) else None


def _whole(array: np.ndarray) -> Sequences:
    if array.ndim not in (2, 3):
        raise InputError(f"X has the shape {array.shape}: give sequences as (n, steps, features) or (n, steps)")
    x = _as_floats(array, "X")
    return Sequences(x if x.ndim > 2 else x[:, :, None], np.full(len(x), x.shape[1]))


def _padded(X: RowsLike) -> Sequences:
    sequences = _each(X)
    lengths = np.array([len(values) for values in sequences])
    x = np.full((len(sequences), lengths.max(), sequences[0].shape[1]), np.nan, np.result_type(*sequences))
    for row, values in zip(x, sequences, strict=True):
        row[: len(values)] = values
    return Sequences(x, lengths)


def _each(X: Any) -> list[np.ndarray]:
    """Return the sequences of a list as floats, each of shape (steps, features)."""
    if not hasattr(X, "__len__"):
        raise InputError(f"X is a {type(X).__name__}: give an array, or a list of arrays, of sequences")
    try:
        sequences = [_as_floats(values, f"sequence {i}") for i, values in enumerate(X)]
    except TypeError as error:
        raise InputError(f"X is a {type(X).__name__}: give an array, or a list of arrays, of sequences") from error
    if not sequences:
        raise InputError("X holds no sequence: Found array with 0 sample(s) while a minimum of 1 is required")
    for i, values in enumerate(sequences):
        if values.ndim not in (1, 2) or not values.size:
            raise InputError(f"X has the shape {values.shape} in sequence {i}: give (steps, features) or (steps,)")
    sequences = [values if values.ndim > 1 else values[:, None] for values in sequences]
    features = sequences[0].shape[1]
    for i, values in enumerate(sequences):
        if values.shape[1] != features:
            raise InputError(
                f"X has {values.shape[1]} features a step in sequence {i}, and {features} in the first: give as many"
            )
    return sequences


def _as_floats(values: RowsLike, where: str) -> np.ndarray:
    """Return numbers as float32 where they are, else as float64."""
    try:
        array = np.asarray(plain(values))
    except ValueError as error:
        raise _no_numbers(where, error) from error
    check_real(array.dtype, f"X, in {where},")
    try:
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _no_numbers(where, error) from error


def _no_numbers(where: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    return InputError(f"X holds something else than numbers in {where}: {reason}")


def _cut(row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cut a padded row (..., steps, features) to the length of `values`, and to its form."""
    row = row[..., : len(values), :]
    return row if values.ndim > 1 else row[..., 0]
