"""What form a person's rows have: a format learns it at ``fit``, makes numbers of rows, and rows of numbers again."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from isthmus.formats.containers import RowsAsGiven, RowsLike
from isthmus.formats.given import Given
from isthmus.formats.sequences import Ragged
from isthmus.saving.attributes import Attribute

Fill = Callable[[Given], np.ndarray]
"""Rows with gaps → the same rows, as the model knows them, without."""


class Format(ABC):
    """What form rows have. Subclasses are frozen dataclasses: what `fit` is asked for, and what it has learnt.

    Rows go in as a person has them (`X`, `y`), and a model takes them as :class:`isthmus.formats.given.Given`.

    Attributes
    ----------
    attributes : dict of str to Attribute
        The fields that :meth:`learn` sets, and the estimator has for fitted attributes of the same names; None where
        there is none.
    unsaved : tuple of str
        Those that are not saved.
    takes_streams : bool
        Whether rows may come a piece at a time: where each has the same shape, whatever the others are.
    row_shape_ : tuple of int
        The shape of a row.
    """

    attributes: ClassVar[Mapping[str, Attribute]]
    unsaved: ClassVar[tuple[str, ...]] = ()
    takes_streams: ClassVar[bool] = False
    row_shape_: tuple[int, ...]

    @abstractmethod
    def learn(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Return what is learnt of training rows, and these as the model takes them."""

    @abstractmethod
    def read(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return rows in the units of `X`; those that the likelihood is held against are `targets`."""

    @abstractmethod
    def decode(self, rows: np.ndarray, like: RowsLike | None = None) -> RowsAsGiven:
        """Return rows of the model in the form of the rows `like`, or else in that of those given to ``fit``."""

    @abstractmethod
    def decode_steps(self, rows: np.ndarray, n: int, like: RowsLike) -> RowsAsGiven:
        """Return decoded steps of `n` rows, one row's after the other's, as (n, steps, …) in the form of `like`."""

    @abstractmethod
    def entries(self, values: np.ndarray, like: RowsLike) -> RowsAsGiven:
        """Return what is one an entry of rows, shaped like them, in the form of `like`."""

    @abstractmethod
    def fill(self, X: RowsLike, mask: RowsLike | None, y: RowsLike | None, fill_in: Fill) -> RowsAsGiven:
        """Return rows with their gaps filled in, in the form of `X`; what is known is as it was, to the bit."""

    def learn_more(self, X: RowsLike, y: RowsLike | None = None) -> tuple[Self, Given]:
        """Return what is known after further training rows, and these as the model takes them."""
        return self, self.encode_to_score(X, y)

    def refined(self, pieces: "Iterator[tuple[RowsLike, RowsLike | None]]") -> Self:
        """Return what is known of all rows, which come in pieces, after :meth:`learn` of a sample of them.

        It is what :meth:`learn` of all of them had found, where that is a sum, an end or a count. A format that has
        nothing such goes through no piece.
        """
        return self

    def encode(self, X: RowsLike, y: RowsLike | None = None, *, targets: bool = False) -> Given:
        """Return rows as the model takes them; those that the likelihood is held against are `targets`."""
        given = self.read(X, y, targets=targets)
        return given._replace(x=self.scaled(given.x))

    def encode_to_score(self, X: RowsLike, y: RowsLike | None = None) -> Given:
        """Return rows to be scored; a category that was not there at ``fit`` is marked, not NaN."""
        return self.encode(X, y, targets=True)

    def faults(self, rows: np.ndarray) -> list[str]:
        """Return what to warn of training rows, as the model will know them, of which little can be learnt."""
        return []

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in the units of `X` as the model knows them."""
        return rows

    def unscaled(self, rows: np.ndarray) -> np.ndarray:
        """Return the model's rows in the units of `X`."""
        return rows

    @property
    def log_scale(self) -> np.ndarray | None:
        """What log-densities of entries are lower by in the units of `X`, in nats; None: nothing."""
        return None

    @property
    def width(self) -> int:
        """How many numbers the encoder is given of a row; of several encoders, the one that is given most."""
        return math.prod(self.row_shape_)

    @property
    def n_context(self) -> int:
        """How many numbers encoder and decoder are told beside a row."""
        return 0

    def context(self, y: RowsLike | None, n: int) -> np.ndarray | None:
        """Return what encoder and decoder are told beside `n` rows of condition `y`, of shape (n, n_context)."""
        return None

    def shared_context(self, a: Given, b: Given) -> np.ndarray | None:
        """Return what the decoder is told on the way from the rows of one to those of the other."""
        return a.context

    def longer(self, A: RowsLike, B: RowsLike) -> RowsLike:
        """Return the rows in whose form the way from one to the other is given."""
        return A

    def groups(self, codes: Given) -> Iterator[tuple[np.ndarray, Given]] | None:
        """Yield which codes are decoded together, and these; None: all of them."""
        return None

    def fill_of(self, x: Tensor) -> Tensor:
        """Return what the encoder is shown in place of entries of training rows that are not known: their means."""
        return x.nanmean(0)

    def new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        """Mark the entries that are categories which were not there at ``fit``; None where there are none."""
        return None

    def own_entries(self, X: RowsLike) -> np.ndarray | Ragged | None:
        """Return which entries of rows are their own, the others being there for the shape; None: all."""
        return None

    def declared(self) -> dict[str, Attribute]:
        """Return the fitted attributes that an estimator of this format has, and how they are saved."""
        return dict(self.attributes)

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError where what was learnt, which may be a stranger's, does not fit together."""

    def fitted(self) -> dict[str, object]:
        """Return what was learnt by the names of an estimator's attributes."""
        found = {name: getattr(self, name) for name in (*self.attributes, *self.unsaved)}
        return {name: value for name, value in found.items() if value is not None}

    def restored(self, fitted: Mapping[str, object]) -> Self:
        """Return the format that has learnt what an estimator's attributes say; see :meth:`fitted`."""
        own = {name: fitted[name] for name in (*self.attributes, *self.unsaved) if name in fitted}
        return replace(self, **own)  # type: ignore[type-var]
