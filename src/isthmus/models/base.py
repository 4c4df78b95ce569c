"""What all families share: the parameters and public methods of one scikit-learn estimator."""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.model import Model
from isthmus.errors import users_mistake
from isthmus.formats.checks import RandomState
from isthmus.formats.containers import RowsLike
from isthmus.models import inference
from isthmus.models.engine import n_activations
from isthmus.models.fitting import Fitting
from isthmus.models.in_pieces import TakesStreams, in_pieces
from isthmus.models.interpolation import Way
from isthmus.models.own_parts import has_prior as bottleneck_has_prior
from isthmus.models.saved import save_estimator

Method = TypeVar("Method", bound=Callable[..., object])


def only_if(holds: Callable[..., bool]) -> Callable[[Method], Method]:
    """Leave a method out of estimators for which something does not hold."""
    return lambda method: available_if(holds)(in_pieces(method))


def has_prior(model: "AbstractAutoencoder") -> bool:
    """Tell whether codes are drawn from a prior: of a fitted model by what it is, else by its parameters."""
    if hasattr(model, "module_"):
        return bool(model.module_.bottleneck.prior is not None)
    return bottleneck_has_prior(model.bottleneck, otherwise=model.draws_codes)


@dataclass(eq=False, repr=False)
class AbstractAutoencoder(TakesStreams, ClassNamePrefixFeaturesOutMixin, TransformerMixin, Fitting, ABC):
    """What all families share; each is this with other defaults, and its own choice of parts."""

    def transform(self, X: RowsLike) -> np.ndarray:
        """Encode rows to their codes, the code's mean.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_components)
            In the dtype of `X`, in which the computation is done.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return inference.transform(*self._fitted, X, layers=self.layers)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Decode codes to rows, the mean of their distribution.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n, *row_shape), or DataFrame
            In the units of the rows of ``fit``, and a DataFrame where these were one, with the index of `Z`.

        Raises
        ------
        ValueError
            If the model is not fitted, or `Z` has another shape or holds what is no finite number.
        """
        return inference.inverse_transform(*self._fitted, Z, self.n_components)

    def reconstruct(self, X: RowsLike) -> Any:
        """Encode and decode rows.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n, *row_shape), or DataFrame
            In the units of `X`; sequences in its form, too. A DataFrame where ``fit`` was given one and `X` is one, of
            the kind that `X` is (pandas, polars, Arrow) and with its index: of the dtypes of ``fit``, what was whole or
            decimals rounded, each column within the range that it had there.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return inference.reconstruct(*self._fitted, X)

    def impute(self, X: RowsLike, mask: RowsLike | None = None, *, n_iter: int = 100) -> Any:
        """Fill in what is missing from what is known.

        A deterministic model encodes and decodes over and over, each time with the known values put back, and keeps of
        each row the turn in which these were rebuilt best. A variational one looks for the code that explains them
        best, argmax log p(x_known | z) + log p(z), from where its encoder sees it.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``; NaN is missing. Rows with nothing missing stay as they are.
        mask : array-like of bool, optional
            True marks what is missing beside; shaped like `X`, or like one row, or (height, width), for all of them. A
            DataFrame, or a Series for all rows, goes by the names of columns.
        n_iter : int, default 100
            Turns, or steps.

        Returns
        -------
        ndarray or DataFrame
            Shaped like the rows given to ``fit``; the known values are those of `X`, to the bit. A DataFrame where
            `X` is one, as in :meth:`reconstruct`.

        Raises
        ------
        ValueError
            If the model is not fitted, `X` is not in the form of the rows of ``fit``, or `mask` does not fit it.
        """
        return inference.impute(*self._fitted, X, mask, n_iter)

    def interpolate(self, A: RowsLike, B: RowsLike, n_steps: int = 9, *, path: Way = "straight") -> Any:
        """Go from the rows of `A` to those of `B` through the codes between, and decode each.

        Parameters
        ----------
        A, B : array-like
            As many rows of one as of the other, as in ``fit``.
        n_steps : int, default 9
            Codes on the way, with both ends.
        path : {"straight", "spherical"}, default "straight"
            A straight line, or the arc of a great circle with an evenly changing length: it stays where the codes of a
            wide Gaussian code lie (White 2016, *Sampling generative networks*, §2.1).

        Returns
        -------
        ndarray of shape (n, n_steps, *row_shape), or DataFrame
            A DataFrame where `A` is one, as in :meth:`reconstruct`: a line a step, its index ``row`` and ``step``. Of
            sequences in a list it is a list with an array for each pair, as long as the longer of the two.

        Raises
        ------
        ValueError
            If `A` and `B` differ in their numbers of rows, `n_steps` is below 2, or as in :meth:`transform`.
        """
        return inference.interpolate(*self._fitted, A, B, n_steps, path)

    def traverse(self, X: RowsLike, unit: int, values: ArrayLike = tuple(range(-3, 4))) -> Any:
        """Encode rows, set one unit of their codes to each of some values, and decode.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        unit : int
            Which unit of the code.
        values : array-like of shape (steps,), default −3 … 3
            In the units of the code.

        Returns
        -------
        ndarray of shape (n, steps, *row_shape), or DataFrame
            As in :meth:`interpolate`.

        Raises
        ------
        ValueError
            If there is no such unit, `values` are no numbers, or as in :meth:`transform`.
        """
        return inference.traverse(*self._fitted, X, unit, values, self.n_components)

    def score_samples(self, X: RowsLike, *, per_feature: bool = False) -> Any:
        """Return log p(x | z) of each row in nats, z its code: minus the reconstruction term; higher is more usual.

        Where the code has a prior it is the ELBO instead, a lower bound of log p(x).

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``. Of a row with gaps (NaN) the code is inferred from what is known; what is known is
            scored by it, and each missing entry costs what it usually does, the median of its log-density over training
            rows, so that rows of which more or less is known can be compared. A row of which nothing is known has about
            the mean score of rows without gaps.
        per_feature : bool, default False
            Whether to return instead by how much each entry is likelier than it usually is, in nats: its log-density
            less the median over training rows. The most negative say what it is that is unusual in a row. Shaped like
            the rows, NaN where they are; the KL term of a variational model belongs to no entry.

        Returns
        -------
        ndarray of shape (n,) or (n, *row_shape), or DataFrame
            With `per_feature` a DataFrame where `X` and the rows of ``fit`` are one; of several modalities a dict.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return inference.score_samples(*self._fitted, X, per_feature=per_feature)

    def score(self, X: RowsLike, y: RowsLike | None = None) -> float:
        """Return the mean of :meth:`score_samples`; higher is better, so a grid search may maximise it.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.
        y : ignored
            There for scikit-learn's sake.

        Returns
        -------
        float
            In nats a row.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return float(self.score_samples(X).mean())

    @only_if(has_prior)
    def sample(self, n_samples: int = 1, *, noise: bool = False, random_state: RandomState = None) -> Any:
        """Generate rows: draw codes from their prior, N(0, 1) unless the bottleneck has another, and decode them.

        It is there where the code has a prior: in variational families, and beside ``bottleneck="gaussian"`` or a
        bottleneck of your own with a prior.

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        noise : bool, default False
            Whether rows are drawn from p(x | z), with its σ or its on/off pixels, or are its mean.
        random_state : int, RandomState or None, default None
            An int gives the same rows each time.

        Returns
        -------
        ndarray of float32, of shape (n_samples, *row_shape), or DataFrame
            A DataFrame where ``fit`` was given one: of its columns and dtypes, within the ranges that these had; of
            several modalities a dict.

        Raises
        ------
        ValueError
            If the model is not fitted, or `n_samples` is below 1.
        """
        return inference.sample(*self._fitted, n_samples, self.n_components, noise, random_state)

    @only_if(has_prior)
    def log_likelihood(self, X: RowsLike, n_importance_samples: int = 100) -> np.ndarray:
        """Estimate log p(x) of each row in nats by importance sampling from q(z | x) (Burda et al. 2015).

        It is there where :meth:`sample` is, and of sequences with a future that is predicted takes that in.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``. Of a row with NaN it is the likelihood of what is known, which is higher the less that
            is, and low by more: to compare such rows take :meth:`score_samples`. A category that was not there at
            ``fit`` costs what it does there.
        n_importance_samples : int, default 100
            Draws a row, each row's its own, so that a figure moves a little with the place of its row in `X`. The
            estimate is low by less the more there are; with one it is a draw of the ELBO.

        Returns
        -------
        ndarray of shape (n,)
            In nats.

        Raises
        ------
        ValueError
            If `n_importance_samples` is below 1, or as in :meth:`transform`.
        """
        return inference.log_likelihood(*self._fitted, X, n_importance_samples)

    def save(self, folder: str | Path) -> None:
        """Save to a folder: ``config.json`` and ``model.safetensors``; :func:`isthmus.load` reads it. No pickle.

        Callbacks are not saved, nor is a `random_state` that is no number. Of a subclass of your own its parameters
        and its import path are saved, not its code or what it learns beside: ``isthmus.load(folder, trusted=[Mine])``
        gives it back.

        Parameters
        ----------
        folder : path
            Where to; a model that is there is replaced.

        Raises
        ------
        ValueError
            If the model is not fitted, or its parameters have changed since.
        FileExistsError
            If `folder` is there and is no model of isthmus.
        OSError
            If it cannot be written.
        """
        check_is_fitted(self)
        save_estimator(self, folder)

    def set_params(self, **params: object) -> Self:
        """Set parameters by name; ``network__hidden`` and its like also where `network` is still the default.

        Parameters
        ----------
        **params
            Values by name; they are checked by ``fit``.

        Returns
        -------
        self
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        if self.network is None and "network" not in params and any(name.startswith("network__") for name in params):
            self.network = self.default_network()
        with users_mistake():
            super().set_params(**params)
        return self

    @property
    def n_iter_(self) -> int:
        """Number of epochs run."""
        check_is_fitted(self)
        return len(self.history_)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that NaN is welcome, and so are sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    @property
    def sigma_(self) -> float:
        """The σ of a Gaussian likelihood, given or learnt, in the units of X, or of standardised rows (`scale`)."""
        check_is_fitted(self)
        sigma = self.module_.likelihood.sigma
        if sigma is None:
            raise AttributeError(f"likelihood={self.likelihood!r} has no sigma_")
        return float(sigma.item() if isinstance(sigma, Tensor) else sigma)

    @property
    def takes_conditions(self) -> bool:
        """Whether ``fit`` needs conditions `y`, and the other methods take them."""
        return False

    @property
    def _n_features_out(self) -> int:
        return n_activations(self.module_) if self.layers == "all" else self.n_components

    @property
    def _fitted(self) -> tuple[Model, Any]:
        """The model, and the form of its rows; raise NotFittedError where there is none."""
        check_is_fitted(self)
        return self.module_, self.format_


def conditions_of(model: BaseEstimator, y: Any, rows: slice | np.ndarray = slice(None)) -> dict[str, Any]:
    """Return what the methods of any model are told beside some of the rows: their conditions, where it takes them."""
    if y is None or not getattr(model, "takes_conditions", False):
        return {}
    return {"y": y.iloc[rows] if hasattr(y, "iloc") else y[rows]}
