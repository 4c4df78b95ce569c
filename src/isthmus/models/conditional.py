"""The conditional variational autoencoder."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from isthmus.core.corruption import hide_conditions
from isthmus.data.labels import are_classes, of_one_kind
from isthmus.data.schema import with_index
from isthmus.errors import InputError
from isthmus.models.checks import check_choice, check_number
from isthmus.models.engine import Given, decode, encode, rebuild
from isthmus.models.variational import AbstractVariationalAutoencoder


@dataclass(eq=False, repr=False)
class ConditionalVariationalAutoencoder(AbstractVariationalAutoencoder):
    """A variational autoencoder whose encoder and decoder are told a condition: p(x | z, y) (Sohn et al. 2015).

    The code is then left with what the condition does not say. A share of the conditions is hidden in training, so that
    `y` may be left out at use, or be missing (None, NaN) in some rows: the model answers for an unknown condition. So
    do ``fit_transform`` and a pipeline, where scikit-learn hands `y` to ``fit`` alone.

    Parameters
    ----------
    condition : {"auto", "classes", "numbers"}, default "auto"
        What `y` is. Words, truth values and whole numbers that come again and again are classes for ``"auto"``; other
        numbers are measurements, which are standardised.
    label_dropout : float in [0, 1], default 0.1
        Share of the conditions that is hidden in training. All other parameters are those of
        :class:`isthmus.VariationalAutoencoder`.

    Attributes
    ----------
    classes_ : ndarray
        The classes, where `y` holds classes.
    y_mean_, y_scale_ : ndarray of shape (n_conditions,)
        Mean and standard deviation of `y`, where it holds numbers.

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
    condition: Literal["auto", "classes", "numbers"] = "auto"
    label_dropout: float = 0.1

    def fit(self, X: ArrayLike, y: Any = None, **kept: Any) -> Self:
        """Train on the rows of `X` and their conditions.

        Parameters
        ----------
        X : array-like
            Rows, as :meth:`isthmus.Autoencoder.fit` takes them.
        y : array-like of shape (n,) or (n, n_conditions)
            Classes, of shape (n,), or numbers; None and NaN are unknown.
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

        Here as in all methods `y` is one condition for all rows, or one for each of them, or None where unknown.
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
        check_choice("condition", self.condition, ("auto", "classes", "numbers"))

    def _code_layout(self) -> dict[str, int]:
        n_values = len(self.classes_) if hasattr(self, "classes_") else len(self.y_mean_)
        return super()._code_layout() | {"n_context": n_values + 1}

    def _parts(self) -> dict[str, Any]:
        return super()._parts() | {"context_corruption": partial(hide_conditions, level=self.label_dropout)}

    def _learn_context(self, y: Any, n: int, *, reset: bool) -> np.ndarray:
        if y is None:
            raise InputError(
                "ConditionalVariationalAutoencoder requires y to be passed, but the target y is None: "
                "give the conditions, or take VariationalAutoencoder"
            )
        if reset:
            self._learn_conditions(_as_array(y))
        elif self.condition not in ("auto", "classes" if hasattr(self, "classes_") else "numbers"):
            raise InputError(f"condition={self.condition!r} is not what it was at the last fit: set warm_start=False")
        return self.context(y, n)

    def _learn_conditions(self, y: np.ndarray) -> None:
        """Note the classes, or the mean and spread of numbers."""
        for name in ("classes_", "y_mean_", "y_scale_"):
            self.__dict__.pop(name, None)
        known = y[~_unknown(y)]
        if not len(known):
            raise InputError("y holds no known condition: give some, or take VariationalAutoencoder")
        known = of_one_kind(known)
        if self.condition == "classes" or (self.condition == "auto" and y.ndim == 1 and are_classes(known)):
            if y.ndim > 1:
                raise InputError(f"y has the shape {y.shape}: classes come one a row, in the shape ({len(y)},)")
            self.classes_ = np.unique(known)
        else:
            numbers_ = _as_numbers(known)
            self.y_mean_ = numbers_.mean(0)
            spread = numbers_.std(0)
            self.y_scale_ = np.where(spread > 0, spread, 1)

    @property
    def takes_conditions(self) -> bool:
        """Whether ``fit`` needs conditions `y`, and the other methods take them: it does."""
        return True

    def context(self, y: Any, n: int) -> np.ndarray:
        """Return what encoder and decoder are told beside `n` rows: `y`, and a column that is 1 where it is unknown.

        Parameters
        ----------
        y : scalar, array-like of shape (n,), (n, n_conditions) or (n_conditions,), or None
            One condition for all rows, or one for each; None, and NaN among them, is unknown.
        n : int
            How many rows there are.

        Returns
        -------
        ndarray of shape (n, n_classes + 1) or (n, n_conditions + 1)
        """
        check_is_fitted(self, ["n_features_in_"])
        width = self._code_layout()["n_context"]
        context = np.zeros((n, width))
        if y is None:
            context[:, -1] = 1
            return context
        y = _as_array(y)
        several = not hasattr(self, "classes_") and width > 2
        if y.ndim == int(several):
            y = np.broadcast_to(y, (n, *y.shape))  # one condition for all rows
        if len(y) != n:
            raise InputError(f"y has {len(y)} conditions, and there are {n} rows: give one a row, or one for all")
        unknown = _unknown(y)
        context[unknown, -1] = 1
        known = np.flatnonzero(~unknown)
        if hasattr(self, "classes_"):
            context[known, self._class_index(y[known])] = 1
        else:
            values = _as_numbers(y[known])
            if values.shape[1] != width - 1:
                raise InputError(f"y has {values.shape[1]} numbers a row, and fit was given {width - 1}")
            context[known, :-1] = (values - self.y_mean_) / self.y_scale_
        return context

    def _class_index(self, y: np.ndarray) -> np.ndarray:
        if y.ndim > 1:
            raise InputError(f"y has the shape {y.shape}: classes come one a row")
        index = pd.Index(self.classes_).get_indexer(pd.Index(y))
        if (index < 0).any():
            unseen = y[index < 0][0]
            few = ", ".join(map(str, self.classes_[:12])) + (" …" if len(self.classes_) > 12 else "")
            raise InputError(f"y holds the class {unseen!s}, which was not there at fit: give one of {few}")
        return index


def told(model: Any, y: np.ndarray | None, rows: slice | np.ndarray = slice(None)) -> dict[str, Any]:
    """Return what the methods of any model are told beside some of the rows: their conditions, where it takes them."""
    return {} if y is None or not getattr(model, "takes_conditions", False) else {"y": y[rows]}


def _as_array(y: Any) -> np.ndarray:
    """Return conditions as an array; a column of one is as good as none."""
    array = y.to_numpy() if isinstance(y, pd.Series | pd.DataFrame) else np.asarray(y)
    if array.ndim > 2 or array.dtype.kind not in "biufOUT":
        raise InputError(
            f"y has the shape {array.shape} and holds {array.dtype}: give words or numbers, one line a row"
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _unknown(y: np.ndarray) -> np.ndarray:
    """Mark the rows whose condition is missing, in whole or in part."""
    missing = np.asarray(pd.isna(y))
    return np.asarray(missing.any(1)) if missing.ndim > 1 else missing


def _as_numbers(y: np.ndarray) -> np.ndarray:
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"y holds {y[0]!r} where numbers are needed: give condition='classes'") from error
    if np.isinf(values).any():
        raise InputError(f"y holds infinity in row {int(np.isinf(values).argmax())}: give finite numbers or NaN")
    return values if values.ndim > 1 else values[:, None]
