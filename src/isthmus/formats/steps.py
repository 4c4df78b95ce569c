"""Sequences of equal or unequal length, whose last steps may be what is to be predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from isthmus.core.batch import of_one_length
from isthmus.errors import InputError
from isthmus.formats.base import Fill, Format
from isthmus.formats.containers import RowsLike
from isthmus.formats.given import Given
from isthmus.formats.rows import check_support
from isthmus.formats.sequences import (
    Ragged,
    Sequences,
    are_ragged,
    as_given,
    check_future,
    join_future,
    lengths_of,
    longer,
    masked,
    split_future,
    to_list,
    to_sequences,
    without_features,
)
from isthmus.saving.attributes import (
    SHAPE,
    SIZE,
    Attribute,
    all_of,
    are_scales,
    array_of,
    check_lengths,
    is_bool,
    is_finite,
)


@dataclass(frozen=True)
class SequenceFormat(Format):
    """Sequences (n, steps, features) or (n, steps), or a list of them; a row of the model has the future at its end.

    Parameters
    ----------
    family : str
        What messages call the estimator.
    future_steps : int
        How many of the last steps are predicted from those before.
    likelihood : str
        What messages call the likelihood.
    support : (float, float) or None
        The lowest and the highest number that the likelihood can give rise to; None: any.
    tells_lengths : bool
        Whether the network is told how long sequences are.
    follows_lengths : bool
        Whether the network takes batches that are padded to their own longest sequence.
    needs_one_length : bool
        Whether what is done to rows in training needs all sequences to be of one length.
    """

    attributes: ClassVar = {
        "n_features_in_": SIZE,
        "row_shape_": SHAPE,
        "flat_": Attribute(is_bool, needed=True),
        "mean_": array_of(all_of(is_finite), needed=True),
        "scale_": array_of(are_scales, needed=True),
    }

    family: str
    future_steps: int = 0
    likelihood: str = "gaussian"
    support: tuple[float, float] | None = None
    tells_lengths: bool = True
    follows_lengths: bool = False
    needs_one_length: bool = False
    n_features_in_: int | None = None
    row_shape_: tuple[int, ...] = ()
    flat_: bool = False
    mean_: np.ndarray | None = None
    scale_: np.ndarray | None = None

    def learn(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Note the features, the longest sequence, and mean and spread of each feature."""
        ragged = self._ragged(X, reset=True)
        x, lengths = to_sequences(X) if ragged is None else (ragged.steps[None], ragged.lengths)
        if len(lengths) < 2:
            raise InputError(
                f"Found array with {len(lengths)} sample(s) while a minimum of 2 is required: give more sequences"
            )
        missing = np.isnan(x).all((0, 1))
        if missing.any():
            raise InputError(f"Input X has nothing but NaN in feature {int(missing.argmax())}: drop it")
        if self.needs_one_length and len(np.unique(lengths)) > 1:
            raise InputError(
                "corruption='swap' takes a step from another sequence, which may have none: give sequences of one "
                "length, or another corruption"
            )
        mean, spread = np.nanmean(x, (0, 1), dtype=float), np.nanstd(x, (0, 1), dtype=float)
        new = replace(
            self,
            n_features_in_=x.shape[2],
            row_shape_=(int(lengths.max()), x.shape[2]),
            flat_=without_features(X),
            mean_=mean,
            scale_=np.where(spread > 1e-12 * np.abs(mean), spread, 1.0),
        )
        return new, new._with_future(Sequences(x, lengths))[0] if ragged is None else Given(ragged)

    def read(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return sequences, all of whose steps are taken for past; the future is left open."""
        ragged = self._ragged(X, is_open=True)
        if ragged is not None:
            if targets:
                self._check_targets(ragged.steps)
            return Given(ragged, self._told(ragged.before))
        x, lengths = self._sequences(X)
        if targets:
            self._check_targets(x)
        x = np.pad(x, ((0, 0), (0, self.future_steps), (0, 0)), constant_values=np.nan)
        return Given(x, self._told(lengths))

    def encode_to_score(self, X: RowsLike, y: RowsLike | None = None) -> Given:
        """Return sequences, the last steps taken for future, as in training."""
        ragged = self._ragged(X)
        return self._with_future(self._sequences(X))[0] if ragged is None else Given(ragged)

    def decode(self, rows: np.ndarray, like: RowsLike | None = None) -> np.ndarray | list[np.ndarray]:
        """Return rows in the form of the sequences `like`; else as an array, with or without features as at ``fit``."""
        if like is not None:
            return as_given(like, rows)
        rows = rows[:, : self.row_shape_[0]]
        return rows[:, :, 0] if self.flat_ else rows

    def decode_steps(
        self, rows: np.ndarray | list[np.ndarray], n: int, like: RowsLike
    ) -> np.ndarray | list[np.ndarray]:
        """Return decoded steps as (n, steps, …) with the steps and features of `like`, or a list of these."""
        k = len(rows) // n
        if isinstance(rows, list):
            return as_given(like, [np.stack(rows[i * k : (i + 1) * k]) for i in range(n)])
        return as_given(like, rows.reshape(n, k, *rows.shape[1:]))

    def entries(self, values: np.ndarray | Ragged, like: RowsLike) -> np.ndarray | list[np.ndarray]:
        """Return what is one a value as sequences, the future behind the past again."""
        if isinstance(values, Ragged):
            return as_given(like, values)
        past = self._with_future(self._sequences(like))[1]
        return as_given(like, join_future(Sequences(values, past), self.future_steps))

    def fill(
        self, X: RowsLike, mask: RowsLike | None, y: RowsLike | None, fill_in: Fill
    ) -> np.ndarray | list[np.ndarray]:
        """Return sequences with their gaps filled in."""
        X = X if mask is None else masked(X, mask)
        given = self.read(X, targets=True)
        return as_given(X, given.put_known(fill_in(given)))

    def cut(self, rows: Sequence[np.ndarray] | np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Return decoded sequences of so many steps each, with or without features as at ``fit``."""
        each = (row[: int(length)] for row, length in zip(rows, lengths, strict=True))
        return [row[:, 0] if self.flat_ else row for row in each]

    def check_lengths(self, lengths: RowsLike | None, n: int) -> np.ndarray:
        """Return the lengths of `n` sequences to decode, of shape (n,); None are those of the longest at ``fit``."""
        longest = self.row_shape_[0]
        steps = np.asarray(longest if lengths is None else lengths, dtype=float)
        if lengths is not None and steps.shape != (n,):
            raise InputError(f"lengths has the shape {steps.shape}: give one for each of {n} codes")
        if (steps < 1).any() or (steps > longest).any() or (steps % 1).any():
            raise InputError(f"lengths are to be whole numbers from 1 to {longest}, the longest sequence at fit")
        return np.broadcast_to(steps, (n,))

    def check(self) -> None:
        """Raise ValueError where what was learnt does not fit together."""
        n = self.n_features_in_
        if len(self.row_shape_) != 2 or n != self.row_shape_[1]:
            raise InputError(f"n_features_in_={n} features are not those of rows of shape {self.row_shape_}")
        check_lengths(self, {"mean_": n, "scale_": n})

    @property
    def n_context(self) -> int:
        """One: the length, where the network is told of it."""
        return int(self.tells_lengths)

    def context(self, y: RowsLike | None, n: int) -> np.ndarray | None:
        """Return the lengths of `n` sequences, `y` or the longest at ``fit``."""
        return self._told(self.check_lengths(y, n))

    def shared_context(self, a: Given, b: Given) -> np.ndarray | None:
        """Return the length of the longer sequence of each pair."""
        return None if a.context is None or b.context is None else np.maximum(a.context, b.context)

    def longer(self, A: RowsLike, B: RowsLike) -> RowsLike:
        """Return the longer sequence of each pair."""
        return longer(A, B)

    def groups(self, codes: Given) -> Iterator[tuple[np.ndarray, Given]] | None:
        """Yield codes of sequences of about one length together, where lengths are very unequal."""
        if codes.context is None or not self._are_ragged(codes.context[:, 0]):
            return None
        return self._alike(codes.x, codes.context[:, 0].astype(int))

    def fill_of(self, x: Tensor) -> Tensor:
        """Return the mean of each feature."""
        return torch.as_tensor(self.mean_)

    def own_entries(self, X: RowsLike) -> np.ndarray | Ragged:
        """Return which entries are no padding behind the end of a sequence."""
        ragged = self._ragged(X)
        if ragged is not None:
            return ragged
        x, past = self._with_future(self._sequences(X))[0].x, to_sequences(X).lengths - self.future_steps
        step = np.arange(x.shape[1])
        is_own = (step < past[:, None]) | (step >= self.row_shape_[0])
        return np.broadcast_to(is_own[:, :, None], x.shape)

    def _alike(self, codes: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, Given]]:
        for alike in of_one_length(torch.from_numpy(lengths)):
            part = alike.numpy()
            context = np.column_stack([lengths[part], np.full(len(part), lengths[part].max())]).astype(float)
            yield part, Given(codes[part], context)

    def _are_ragged(self, lengths: np.ndarray) -> bool:
        """Tell whether sequences of these lengths are not padded to the longest at fit."""
        return self.follows_lengths and are_ragged(lengths, self.row_shape_[0])

    def _told(self, lengths: np.ndarray) -> np.ndarray | None:
        """Return the lengths of sequences as the network is told them, if it is."""
        return lengths[:, None].astype(float) if self.tells_lengths else None

    def _sequences(self, X: RowsLike) -> Sequences:
        """Check sequences for use, and pad them to the length of the longest at fit."""
        x, lengths = to_sequences(X)
        longest = self.row_shape_[0]
        self._check_shape(x.shape[1], x.shape[2])
        return Sequences(np.pad(x, ((0, 0), (0, longest - x.shape[1]), (0, 0)), constant_values=np.nan), lengths)

    def _with_future(self, sequences: Sequences) -> tuple[Given, np.ndarray]:
        """Take the last steps for future, as in training; return also how many each sequence has before them."""
        self._check_targets(sequences.x)
        x, past = split_future(sequences, self.future_steps)
        return Given(x, self._told(past)), past

    def _ragged(self, X: RowsLike, *, reset: bool = False, is_open: bool = False) -> Ragged | None:
        """Return sequences that differ so much in length that padding all to the longest would be most of them.

        None where they do not, or the network needs all steps. With `is_open` all of their steps are past.
        """
        lengths = lengths_of(X) if self.follows_lengths else None
        if lengths is None or not len(lengths) or not lengths.min():
            return None
        longest = int(lengths.max()) if reset else self.row_shape_[0]
        if lengths.max() > longest or not are_ragged(lengths, longest):
            return None
        sequences = to_list(X)
        if not reset:
            self._check_shape(int(lengths.max()), sequences[0].shape[1])
        if not is_open:
            check_future(lengths, self.future_steps)
        rows = Ragged.of(sequences, self.future_steps, longest, is_open=is_open)
        if not is_open:
            self._check_targets(rows.steps)
        return rows

    def _check_shape(self, longest: int, features: int) -> None:
        """Raise InputError where sequences have other features than at fit, or one is longer than all were."""
        most, n_features = self.row_shape_
        if features != n_features:
            raise InputError(
                f"X has {features} features, but {self.family} is expecting {n_features} features as input"
            )
        if longest > most:
            raise InputError(
                f"X has a sequence of {longest} steps, and the longest at fit had {most}: cut it, for example with "
                "isthmus.data.windows"
            )

    def _check_targets(self, rows: np.ndarray) -> None:
        """Raise ValueError where the likelihood cannot give rise to such rows."""
        check_support(rows, self.support, self.likelihood)
