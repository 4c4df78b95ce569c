"""The conditional variational autoencoder."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from isthmus.core.corruption import hide_conditions
from isthmus.core.parts import Parts
from isthmus.errors import InputError, InputTypeError
from isthmus.formats.conditions import KINDS, Condition, Values, columns_of, told_of, warn_of_marks
from isthmus.formats.schema import with_index
from isthmus.models.checks import check_choice, check_number
from isthmus.models.engine import Given, decode, encode, rebuild
from isthmus.models.variational import AbstractVariationalAutoencoder

Kind = Literal["auto", "classes", "numbers"]


@dataclass(eq=False, repr=False)
class ConditionalVariationalAutoencoder(AbstractVariationalAutoencoder):
    """A variational autoencoder whose encoder and decoder are told a condition: p(x | z, y) (Sohn et al. 2015).

    The code is then left with what the condition does not say. A share of the conditions is hidden in training, so that
    `y` may be left out at use, or be missing (None, NaN) in some rows: the model answers for an unknown condition. So
    do ``fit_transform`` and a pipeline, where scikit-learn hands `y` to ``fit`` alone.

    Parameters
    ----------
    condition : {"auto", "classes", "numbers"}, list or dict of these, default "auto"
        What `y` is. Words, truth values and whole numbers that come again and again are classes for ``"auto"``; other
        numbers, in text too, are measurements, which are standardised. Marks such as "?" and "" are unknown. Of several
        columns each is one or the other: a list has one for each, and a dict those that it names, by their names in a
        DataFrame, else by their numbers from 0.
    label_dropout : float in [0, 1], default 0.1
        Share of the rows whose conditions are hidden in training; of several columns half of these rows lose all, and
        the others each by a fair coin, so that at use some may be known. All other parameters are those of
        :class:`isthmus.VariationalAutoencoder`.

    Attributes
    ----------
    classes_ : ndarray
        The classes, where `y` is one column of classes.
    y_mean_, y_scale_ : ndarray of shape (n_conditions,)
        Mean and standard deviation of `y`, where it holds numbers alone.
    conditions_ : tuple of Condition
        Where `y` has several columns: name, and classes or mean and scale of each.

    Examples
    --------
    >>> from isthmus import ConditionalVariationalAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> model = ConditionalVariationalAutoencoder(8, max_epochs=5, random_state=0).fit(X, y)
    >>> model.sample(10, y=3, random_state=0).shape
    (10, 8, 8)
    >>> as_sevens = model.reconstruct(X[:5], y[:5], decode_as=7)
    """

    _: KW_ONLY
    condition: Kind | Sequence[Kind] | Mapping[Any, Kind] = "auto"
    label_dropout: float = 0.1

    def fit(self, X: ArrayLike, y: Any = None, **kept: Any) -> Self:
        """Train on the rows of `X` and their conditions.

        Parameters
        ----------
        X : array-like
            Rows, as :meth:`isthmus.Autoencoder.fit` takes them.
        y : array-like of shape (n,) or (n, n_conditions), DataFrame, or dict of arrays of shape (n,)
            Classes or numbers, of several columns each one or the other; None and NaN are unknown.
        **kept
            `resume_from` and `checkpoint_minutes`, as :meth:`isthmus.Autoencoder.fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `y` is left out or has another length than `X`, or `X` or a parameter has no meaning.
        """
        return super().fit(X, y, **kept)

    def transform(self, X: ArrayLike, y: Any = None) -> np.ndarray:
        """Encode rows, given their conditions, to the code's mean; shape (n, n_components).

        Here as in all methods `y` is one condition for all rows, or one for each of them, or None where unknown. Of
        several columns one for all rows is a list, such as ``["red", 3]``; where ``fit`` had names, a DataFrame, a
        dict such as ``{"size": 3, "colour": "red"}``, or a Series of one for all rows goes by them. Classes may be
        written otherwise than at ``fit``: "3" is 3.
        """
        if y is not None:
            return self._in_batches(encode, self._given(X, y))
        return super().transform(X)

    def inverse_transform(self, Z: ArrayLike, y: Any = None) -> Any:
        """Decode codes of shape (n, n_components), given conditions, to rows, the mean of their distribution."""
        codes = self._fitted_codes(Z)
        rows = self._in_batches(decode, Given(codes, self.context(y, len(codes))))
        return with_index(self._as_given(rows), Z)

    def reconstruct(self, X: ArrayLike, y: Any = None, *, decode_as: Any = None) -> Any:
        """Encode and decode rows, given their conditions; shaped like the rows given to ``fit``.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : scalar or array-like of shape (n,) or (n, n_conditions), optional
            Their conditions.
        decode_as : scalar or array-like, optional
            Other conditions to decode with, NaN where unknown: what is left of a row is its style.
        """
        given = self._given(X, y)
        if decode_as is None:
            return self._as_given(self._in_batches(rebuild, given), X)
        codes = self._in_batches(encode, given)
        rows = self._in_batches(decode, Given(codes, self.context(decode_as, len(codes))))
        return self._as_given(rows, X)

    def impute(self, X: ArrayLike, mask: ArrayLike | None = None, *, y: Any = None, n_iter: int = 100) -> Any:
        """Fill in what is missing, given conditions; see :meth:`isthmus.Autoencoder.impute`."""
        return self._impute(X, mask, n_iter, y)

    def interpolate(
        self,
        A: ArrayLike,
        B: ArrayLike,
        n_steps: int = 9,
        *,
        path: Literal["straight", "spherical"] = "straight",
        y: Any = None,
    ) -> Any:
        """Go from `A` to `B`, all rows of condition `y`; see :meth:`isthmus.Autoencoder.interpolate`."""
        return self._interpolate(A, B, n_steps, path, y)

    def traverse(self, X: ArrayLike, unit: int, values: ArrayLike = tuple(range(-3, 4)), *, y: Any = None) -> Any:
        """Set one unit of the rows' codes to some values, given `y`; see :meth:`isthmus.Autoencoder.traverse`."""
        return self._traverse(X, unit, values, y)

    def score_samples(self, X: ArrayLike, y: Any = None, *, per_feature: bool = False) -> Any:
        """Return the ELBO of each row given its condition, a lower bound of log p(x | y), in nats.

        `per_feature` is that of :meth:`isthmus.Autoencoder.score_samples`.
        """
        return self._score_samples(X, y, per_feature)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean of ``score_samples(X, y)`` in nats; higher is better, so a grid search may maximise it."""
        return float(self.score_samples(X, y).mean())

    def sample(self, n_samples: int = 1, *, y: Any = None, noise: bool = False, random_state: Any = None) -> Any:
        """Generate rows of condition `y`; see :meth:`isthmus.VariationalAutoencoder.sample`."""
        return self._sample(n_samples, y, noise, random_state)

    def log_likelihood(self, X: ArrayLike, n_importance_samples: int = 100, *, y: Any = None) -> np.ndarray:
        """Estimate log p(x | y); see :meth:`isthmus.VariationalAutoencoder.log_likelihood`."""
        return self._log_likelihood(X, n_importance_samples, y)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that ``fit`` needs `y`."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("label_dropout", self.label_dropout, min_val=0, max_val=1)
        if isinstance(self.condition, str):
            check_choice("condition", self.condition, KINDS)
            return
        if not isinstance(self.condition, Mapping | list | tuple) or not self.condition:
            raise InputTypeError(
                f"condition={self.condition!r}: give 'auto', 'classes', 'numbers', or one for each column"
            )
        kinds = self.condition.values() if isinstance(self.condition, Mapping) else self.condition
        for kind in kinds:
            check_choice("condition", kind, KINDS)

    def _code_layout(self) -> dict[str, int]:
        widths = [each.width for each in self.known_conditions()]
        shared = len(widths) - 1 if self._shares_unknown else 0
        return super()._code_layout() | {"n_context": sum(widths) - shared}

    def _parts(self) -> Parts:
        widths = tuple(each.width for each in self.known_conditions()) if hasattr(self, "conditions_") else ()
        hide = partial(hide_conditions, level=self.label_dropout, widths=widths)
        return replace(super()._parts(), context_corruption=hide)

    def _learn_context(self, y: Any, n: int, *, reset: bool) -> np.ndarray:
        if y is None:
            raise InputError(
                "ConditionalVariationalAutoencoder requires y to be passed, but the target y is None: "
                "give the conditions, or take VariationalAutoencoder"
            )
        if reset:
            self._learn_conditions(y)
        else:
            self._check_kinds(y)
        known = self.known_conditions()
        columns = columns_of(y)
        if len(columns) == len(known):
            warn_of_marks(columns, [each.classes or () for each in known])
        return self.context(y, n)

    def _check_kinds(self, y: Any) -> None:
        """Raise ValueError where `condition` says something else of a column than what it was at the last fit."""
        then = ["numbers" if each.classes is None else "classes" for each in self.known_conditions()]
        now = self._kinds(columns_of(y))
        if len(now) == len(then) and any(kind not in ("auto", was) for kind, was in zip(now, then, strict=True)):
            raise InputError(f"condition={self.condition!r} is not what it was at the last fit: set warm_start=False")

    def _learn_conditions(self, y: Any) -> None:
        """Note the classes, or the mean and spread of numbers, of each column."""
        for name in ("classes_", "y_mean_", "y_scale_", "conditions_"):
            self.__dict__.pop(name, None)
        columns = columns_of(y)
        kinds = self._kinds(columns)
        conditions = tuple(Condition.learn(column, kind) for column, kind in zip(columns, kinds, strict=True))
        if len(conditions) > 1:
            self.conditions_ = conditions
        elif conditions[0].classes is not None:
            self.classes_ = np.array(conditions[0].classes)
        if all(each.classes is None for each in conditions):
            self.y_mean_ = np.array([each.mean for each in conditions])
            self.y_scale_ = np.array([each.scale for each in conditions])

    def _kinds(self, columns: Sequence[Values]) -> list[str]:
        """Return what `condition` says of each column."""
        if isinstance(self.condition, str):
            return [self.condition] * len(columns)
        if isinstance(self.condition, Mapping):
            names = [str(i if column.name is None else column.name) for i, column in enumerate(columns)]
            by_name = {str(name): kind for name, kind in self.condition.items()}
            unknown = [name for name in by_name if name not in names]
            if unknown:
                raise InputError(f"condition names {unknown[0]!r}, which is no column of y: it has {', '.join(names)}")
            return [by_name.get(name, "auto") for name in names]
        if len(self.condition) != len(columns):
            raise InputError(
                f"condition={self.condition!r} is of {len(self.condition)} columns, and y has {len(columns)}"
            )
        return list(self.condition)

    @property
    def takes_conditions(self) -> bool:
        """Whether ``fit`` needs conditions `y`, and the other methods take them: it does."""
        return True

    def known_conditions(self) -> tuple[Condition, ...]:
        """Return what is known of each column of conditions."""
        if hasattr(self, "conditions_"):
            return self.conditions_
        if hasattr(self, "classes_"):
            return (Condition(None, tuple(self.classes_.tolist())),)
        moments = zip(self.y_mean_.tolist(), self.y_scale_.tolist(), strict=True)
        return tuple(Condition(None, None, *each) for each in moments)

    @property
    def _shares_unknown(self) -> bool:
        """Whether several numbers are known or unknown as a whole, as in models of older versions."""
        return not hasattr(self, "conditions_") and len(self.known_conditions()) > 1

    def context(self, y: Any, n: int) -> np.ndarray:
        """Return what encoder and decoder are told beside `n` rows: of each condition, and behind it 1 if unknown.

        Parameters
        ----------
        y : scalar, array-like of shape (n,), (n, n_conditions) or (n_conditions,), DataFrame, dict, or None
            One condition for all rows, or one for each; None, and NaN among them, is unknown.
        n : int
            How many rows there are.

        Returns
        -------
        ndarray of shape (n, n_context)
            Of classes a one among zeros, of a number its distance from the mean in standard deviations; each with an
            entry more that is 1 where it is unknown. Several numbers of a model by an older version share that one.
        """
        check_is_fitted(self, ["n_features_in_"])
        told_each = told_of(self.known_conditions(), y, n)
        if not self._shares_unknown:
            return told_each
        numbers, unknown = told_each[:, ::2], told_each[:, 1::2].max(1, keepdims=True)
        return np.concatenate([numbers * (1 - unknown), unknown], axis=1)


def told(model: Any, y: Any, rows: slice | np.ndarray = slice(None)) -> dict[str, Any]:
    """Return what the methods of any model are told beside some of the rows: their conditions, where it takes them."""
    if y is None or not getattr(model, "takes_conditions", False):
        return {}
    return {"y": y.iloc[rows] if hasattr(y, "iloc") else y[rows]}
