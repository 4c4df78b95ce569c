"""What `y` says of rows: classes or numbers of one or several columns, learnt at ``fit``, told to a network."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from isthmus.errors import InputError, InputTypeError
from isthmus.formats.checks import check_choice
from isthmus.formats.conditions import KINDS, Condition, Values, columns_of, told_of, warn_of_marks
from isthmus.formats.containers import RowsLike
from isthmus.formats.tally import Moments
from isthmus.saving.attributes import (
    NUMBERS,
    SCALES,
    Attribute,
    all_of,
    are_classes,
    array_of,
    check_lengths,
    is_dict,
)

Kind = Literal["auto", "classes", "numbers"]
Kinds = Kind | Sequence[Kind] | Mapping[str, Kind] | Mapping[int, Kind]


@dataclass(frozen=True)
class Conditions:
    """What encoder and decoder are told beside rows.

    Parameters
    ----------
    kinds : {"auto", "classes", "numbers"}, sequence or dict of these
        What each column of `y` is; see :class:`isthmus.ConditionalVariationalAutoencoder`.
    """

    attributes: ClassVar = {
        "classes_": array_of(are_classes),
        "y_mean_": NUMBERS,
        "y_scale_": SCALES,
        "conditions_": Attribute(
            lambda value: all_of(is_dict)(value) and len(value) > 1,
            lambda value: tuple(map(Condition.from_json, value)),
            lambda conditions: list(map(asdict, conditions)),
        ),
    }

    kinds: Kinds = "auto"
    classes_: np.ndarray | None = None
    y_mean_: np.ndarray | None = None
    y_scale_: np.ndarray | None = None
    conditions_: tuple[Condition, ...] | None = None

    def learn(self, y: RowsLike | None) -> Self:
        """Note the classes, or the mean and spread of numbers, of each column."""
        _check_there(y)
        columns = columns_of(y)
        conditions = tuple(map(Condition.learn, columns, self._kinds_of(columns)))
        new = self._of(conditions)
        new._warn_of_marks(columns)
        return new

    def _of(self, conditions: tuple[Condition, ...]) -> Self:
        numbers = all(each.classes is None for each in conditions)
        is_label = len(conditions) == 1 and not numbers
        return replace(
            self,
            classes_=np.array(conditions[0].classes) if is_label else None,
            y_mean_=np.array([each.mean for each in conditions]) if numbers else None,
            y_scale_=np.array([each.scale for each in conditions]) if numbers else None,
            conditions_=conditions if len(conditions) > 1 else None,
        )

    def tallies(self) -> "tuple[set[Hashable] | Moments, ...]":
        """Return what takes in the conditions of further rows: classes, or the moments of numbers."""
        return tuple(set() if each.classes is not None else Moments(np.array([each.mean])) for each in self.known)

    def add(self, tallies: "Sequence[set[Hashable] | Moments]", y: RowsLike | None) -> None:
        """Take in the conditions of further rows."""
        _check_there(y)
        columns = columns_of(y)
        if len(columns) != len(tallies):
            raise InputError(f"y has {len(columns)} values a row, and {len(tallies)} before: give as many")
        for condition, tally, column in zip(self.known, tallies, columns, strict=True):
            values = condition.known(column)
            if isinstance(tally, Moments):
                tally.add(values[:, None])
            else:
                tally.update(np.unique(values).tolist())

    def refined(self, tallies: "Sequence[set[Hashable] | Moments]") -> Self:
        """Return what :meth:`learn` finds of all rows, whose conditions were taken in."""
        conditions = []
        for condition, tally in zip(self.known, tallies, strict=True):
            if isinstance(tally, Moments):
                spread = float(np.sqrt(tally.variance[0]))
                new = replace(condition, mean=float(tally.mean[0]), scale=spread if spread > 0 else 1.0)
            else:
                new = replace(condition, classes=tuple(np.unique([*tally, *(condition.classes or ())]).tolist()))
            conditions.append(new)
        return self._of(tuple(conditions))

    def check(self, y: RowsLike | None) -> None:
        """Raise ValueError where `kinds` says something else of a column than what it was at the last fit."""
        _check_there(y)
        columns = columns_of(y)
        then = ["numbers" if each.classes is None else "classes" for each in self.known]
        now = self._kinds_of(columns)
        if len(now) == len(then) and any(kind not in ("auto", was) for kind, was in zip(now, then, strict=True)):
            raise InputError(f"condition={self.kinds!r} is not what it was at the last fit: set warm_start=False")
        self._warn_of_marks(columns)

    @property
    def known(self) -> tuple[Condition, ...]:
        """What is known of each column of conditions."""
        if self.conditions_ is not None:
            return self.conditions_
        if self.classes_ is not None:
            return (Condition(None, tuple(self.classes_.tolist())),)
        if self.y_mean_ is None or self.y_scale_ is None:
            return ()
        moments = zip(self.y_mean_.tolist(), self.y_scale_.tolist(), strict=True)
        return tuple(Condition(None, None, *each) for each in moments)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many numbers a network is told of each column, where each is known or unknown by itself."""
        return () if self.conditions_ is None else tuple(each.width for each in self.conditions_)

    @property
    def width(self) -> int:
        """How many numbers a network is told of all columns."""
        widths = [each.width for each in self.known]
        return sum(widths) - (len(widths) - 1 if self._shares_unknown else 0)

    def encode(self, y: RowsLike | None, n: int) -> np.ndarray:
        """Return what a network is told of the conditions of `n` rows, of shape (n, width).

        It is described in :meth:`isthmus.ConditionalVariationalAutoencoder.context`. Several numbers of a model by an
        older version share the entry that says whether they are unknown.
        """
        told_each = told_of(self.known, y, n)
        if not self._shares_unknown:
            return told_each
        numbers, unknown = told_each[:, ::2], told_each[:, 1::2].max(1, keepdims=True)
        return np.concatenate([numbers * (1 - unknown), unknown], axis=1)

    def verify(self) -> None:
        """Raise ValueError where what was learnt, which may be a stranger's, does not fit together."""
        n = 0 if self.y_mean_ is None else len(self.y_mean_)
        check_lengths(self, {"y_mean_": n, "y_scale_": n})

    def fitted(self) -> dict[str, object]:
        """Return what was learnt by the names of an estimator's attributes."""
        found = {name: getattr(self, name) for name in self.attributes}
        return {name: value for name, value in found.items() if value is not None}

    def restored(self, fitted: Mapping[str, object]) -> Self:
        """Return the conditions that have learnt what an estimator's attributes say."""
        return replace(self, **{name: fitted[name] for name in self.attributes if name in fitted})  # type: ignore[arg-type]

    @property
    def _shares_unknown(self) -> bool:
        """Whether several numbers are known or unknown as a whole, as in models of older versions."""
        return self.conditions_ is None and len(self.known) > 1

    def _warn_of_marks(self, columns: Sequence[Values]) -> None:
        if len(columns) == len(self.known):
            warn_of_marks(columns, [each.classes or () for each in self.known])

    def _kinds_of(self, columns: Sequence[Values]) -> list[str]:
        """Return what `kinds` says of each column."""
        if isinstance(self.kinds, str):
            return [self.kinds] * len(columns)
        if isinstance(self.kinds, Mapping):
            names = [str(i if column.name is None else column.name) for i, column in enumerate(columns)]
            by_name = {str(name): kind for name, kind in self.kinds.items()}
            unknown = [name for name in by_name if name not in names]
            if unknown:
                raise InputError(f"condition names {unknown[0]!r}, which is no column of y: it has {', '.join(names)}")
            return [by_name.get(name, "auto") for name in names]
        if len(self.kinds) != len(columns):
            raise InputError(f"condition={self.kinds!r} is of {len(self.kinds)} columns, and y has {len(columns)}")
        return list(self.kinds)


def check_kinds(kinds: Kinds) -> None:
    """Raise ValueError or TypeError for what does not say what columns of conditions are."""
    if isinstance(kinds, str):
        check_choice("condition", kinds, KINDS)
    elif not isinstance(kinds, Mapping | list | tuple) or not kinds:
        raise InputTypeError(f"condition={kinds!r}: give 'auto', 'classes', 'numbers', or one for each column")
    else:
        for kind in kinds.values() if isinstance(kinds, Mapping) else kinds:
            check_choice("condition", kind, KINDS)


def _check_there(y: object) -> None:
    if y is None:
        raise InputError(
            "ConditionalVariationalAutoencoder requires y to be passed, but the target y is None: "
            "give the conditions, or take VariationalAutoencoder"
        )
