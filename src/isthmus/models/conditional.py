"""The conditional variational autoencoder."""

from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from isthmus.core.corruption import hide_conditions
from isthmus.core.parts import Parts
from isthmus.formats.base import Format
from isthmus.formats.checks import RandomState, check_number
from isthmus.formats.conditional import Conditions, Kinds, check_kinds
from isthmus.formats.conditions import Condition
from isthmus.formats.containers import RowsLike
from isthmus.models import inference
from isthmus.models.interpolation import Way
from isthmus.models.variational import AbstractVariationalAutoencoder


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
    condition: Kinds = "auto"
    label_dropout: float = 0.1

    def transform(self, X: RowsLike, y: RowsLike | None = None) -> np.ndarray:
        """Encode rows, given their conditions, to the code's mean.

        Here as in all methods `y` is one condition for all rows, or one for each of them, or None where unknown. Of
        several columns one for all rows is a list, such as ``["red", 3]``; where ``fit`` had names, a DataFrame, a
        dict such as ``{"size": 3, "colour": "red"}``, or a Series of one for all rows goes by them. Classes may be
        written otherwise than at ``fit``: "3" is 3.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : scalar, array-like of shape (n,) or (n, n_conditions), DataFrame, Series or dict, optional
            Their conditions.

        Returns
        -------
        ndarray of shape (n, n_components)
            In the dtype of `X`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.transform(*self._fitted, X, y)

    def inverse_transform(self, Z: ArrayLike, y: RowsLike | None = None) -> Any:
        """Decode codes, given conditions, to rows, the mean of their distribution.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
            Codes.
        y : optional
            Their conditions, as :meth:`transform` takes them.

        Returns
        -------
        ndarray of shape (n, *row_shape), or DataFrame
            As that of :meth:`isthmus.Autoencoder.inverse_transform`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `Z` or `y` does not fit it.
        """
        return inference.inverse_transform(*self._fitted, Z, self.n_components, y)

    def reconstruct(self, X: RowsLike, y: RowsLike | None = None, *, decode_as: RowsLike | None = None) -> Any:
        """Encode and decode rows, given their conditions.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : scalar or array-like of shape (n,) or (n, n_conditions), optional
            Their conditions.
        decode_as : scalar or array-like, optional
            Other conditions to decode with, NaN where unknown: what is left of a row is its style.

        Returns
        -------
        ndarray of shape (n, *row_shape), or DataFrame
            As that of :meth:`isthmus.Autoencoder.reconstruct`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.reconstruct(*self._fitted, X, y, decode_as)

    def impute(self, X: RowsLike, mask: RowsLike | None = None, *, y: RowsLike | None = None, n_iter: int = 100) -> Any:
        """Fill in what is missing, given conditions.

        Parameters
        ----------
        X, mask : array-like
            As :meth:`isthmus.Autoencoder.impute` takes them.
        y : optional
            Their conditions, as :meth:`transform` takes them.
        n_iter : int, default 100
            Steps.

        Returns
        -------
        ndarray or DataFrame
            As that of :meth:`isthmus.Autoencoder.impute`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.impute(*self._fitted, X, mask, n_iter, y)

    def interpolate(
        self, A: RowsLike, B: RowsLike, n_steps: int = 9, *, path: Way = "straight", y: RowsLike | None = None
    ) -> Any:
        """Go from the rows of `A` to those of `B`, all of condition `y`, through the codes between.

        Parameters
        ----------
        A, B : array-like
            As many rows of one as of the other.
        n_steps : int, default 9
            Codes on the way, with both ends.
        path : {"straight", "spherical"}, default "straight"
            As :meth:`isthmus.Autoencoder.interpolate` takes it.
        y : optional
            Their conditions, as :meth:`transform` takes them.

        Returns
        -------
        ndarray of shape (n, n_steps, *row_shape), or DataFrame
            As that of :meth:`isthmus.Autoencoder.interpolate`.

        Raises
        ------
        ValueError
            If the model is not fitted, or as :meth:`isthmus.Autoencoder.interpolate` does.
        """
        return inference.interpolate(*self._fitted, A, B, n_steps, path, y)

    def traverse(
        self, X: RowsLike, unit: int, values: ArrayLike = tuple(range(-3, 4)), *, y: RowsLike | None = None
    ) -> Any:
        """Set one unit of the rows' codes to some values, given conditions, and decode.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        unit : int
            Which unit of the code.
        values : array-like of shape (steps,), default −3 … 3
            In the units of the code.
        y : optional
            Their conditions, as :meth:`transform` takes them.

        Returns
        -------
        ndarray of shape (n, steps, *row_shape), or DataFrame
            As that of :meth:`isthmus.Autoencoder.traverse`.

        Raises
        ------
        ValueError
            If the model is not fitted, there is no such unit, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.traverse(*self._fitted, X, unit, values, self.n_components, y)

    def score_samples(self, X: RowsLike, y: RowsLike | None = None, *, per_feature: bool = False) -> Any:
        """Return the ELBO of each row given its condition, a lower bound of log p(x | y), in nats.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : optional
            Their conditions, as :meth:`transform` takes them.
        per_feature : bool, default False
            As :meth:`isthmus.Autoencoder.score_samples` takes it.

        Returns
        -------
        ndarray of shape (n,) or (n, *row_shape), or DataFrame
            In nats.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.score_samples(*self._fitted, X, y, per_feature=per_feature)

    def score(self, X: RowsLike, y: RowsLike | None = None) -> float:
        """Return the mean of :meth:`score_samples`; higher is better, so a grid search may maximise it.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : optional
            Their conditions, as :meth:`transform` takes them.

        Returns
        -------
        float
            In nats a row.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return float(self.score_samples(X, y).mean())

    def sample(
        self, n_samples: int = 1, *, y: RowsLike | None = None, noise: bool = False, random_state: RandomState = None
    ) -> Any:
        """Generate rows of condition `y`.

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        y : optional
            Their conditions, as :meth:`transform` takes them.
        noise : bool, default False
            Whether rows are drawn from p(x | z, y) or are its mean.
        random_state : int, RandomState or None, default None
            An int gives the same rows each time.

        Returns
        -------
        ndarray of float32, of shape (n_samples, *row_shape), or DataFrame
            As that of :meth:`isthmus.VariationalAutoencoder.sample`.

        Raises
        ------
        ValueError
            If the model is not fitted, `n_samples` is below 1, or `y` fits neither it nor ``fit``.
        """
        return inference.sample(*self._fitted, n_samples, self.n_components, noise, random_state, y)

    def log_likelihood(self, X: RowsLike, n_importance_samples: int = 100, *, y: RowsLike | None = None) -> np.ndarray:
        """Estimate log p(x | y) of each row by importance sampling.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        n_importance_samples : int, default 100
            Draws a row; see :meth:`isthmus.VariationalAutoencoder.log_likelihood`.
        y : optional
            Their conditions, as :meth:`transform` takes them.

        Returns
        -------
        ndarray of shape (n,)
            In nats.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` or `y` is not in the form that it had in ``fit``.
        """
        return inference.log_likelihood(*self._fitted, X, n_importance_samples, y)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that ``fit`` needs `y`."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def check_parameters(self) -> None:
        """Check the parameters, the family's own too; see :meth:`isthmus.Autoencoder.check_parameters`.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        super().check_parameters()
        check_number("label_dropout", self.label_dropout, min_val=0, max_val=1)
        check_kinds(self.condition)

    def _form(self) -> Format:
        form: Any = super()._form()
        return replace(form, conditions=Conditions(self.condition))

    def _parts(self) -> Parts:
        hide = partial(hide_conditions, level=self.label_dropout, widths=self._conditions.widths)
        return replace(super()._parts(), context_corruption=hide)

    @property
    def takes_conditions(self) -> bool:
        """Whether ``fit`` needs conditions `y`, and the other methods take them: it does."""
        return True

    def known_conditions(self) -> tuple[Condition, ...]:
        """Return what is known of each column of conditions.

        Returns
        -------
        tuple of Condition
            Name, and classes or mean and scale of each.
        """
        return self._conditions.known

    def context(self, y: RowsLike | None, n: int) -> np.ndarray:
        """Return what encoder and decoder are told beside `n` rows.

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
            entry more that is 1 where it is unknown.

        Raises
        ------
        ValueError
            If `y` has another length or other columns than ``fit`` was given, or a class that was not there.
        """
        check_is_fitted(self, ["n_features_in_"])
        return self._conditions.encode(y, n)

    @property
    def _conditions(self) -> Conditions:
        form: Any = self.format_
        return form.conditions
