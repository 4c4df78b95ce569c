"""What all families share: the parameters and public methods of one scikit-learn estimator."""

import numbers
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bound import SEED
from isthmus.core.imputation import fill_in
from isthmus.core.model import Model
from isthmus.core.score import entry_scores, row_scores
from isthmus.errors import InputError, users_mistake
from isthmus.formats.checks import check_array, check_choice, check_random_state, check_scalar, column_or_1d
from isthmus.formats.containers import by_pieces, plain
from isthmus.formats.frames import with_index
from isthmus.formats.given import Given
from isthmus.models.engine import activations, decode, encode, in_batches, n_activations, rebuild
from isthmus.models.fitting import Fitting
from isthmus.models.interpolation import spherical, straight
from isthmus.models.own_parts import name_of
from isthmus.models.saved import save_estimator


@dataclass(eq=False, repr=False)
class AbstractAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Fitting, ABC):
    """What all families share; each is this with other defaults, and its own choice of parts."""

    def transform(self, X: ArrayLike) -> np.ndarray:
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
        return self._transform(X)

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
        return self._inverse_transform(Z)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Encode and decode rows.

        Parameters
        ----------
        X : array-like
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n, *row_shape), or DataFrame
            In the units of `X`. A DataFrame where ``fit`` was given one and `X` is one, of the kind that `X` is
            (pandas, polars, Arrow) and with its index: of the dtypes of ``fit``, what was whole or decimals rounded,
            each column within the range that it had there.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return self._reconstruct(X)

    def impute(self, X: ArrayLike, mask: ArrayLike | None = None, *, n_iter: int = 100) -> Any:
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
        return self._impute(X, mask, n_iter)

    def interpolate(
        self, A: ArrayLike, B: ArrayLike, n_steps: int = 9, *, path: Literal["straight", "spherical"] = "straight"
    ) -> Any:
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
            A DataFrame where `A` is one, as in :meth:`reconstruct`: a line a step, its index ``row`` and ``step``.

        Raises
        ------
        ValueError
            If `A` and `B` differ in their numbers of rows, `n_steps` is below 2, or as in :meth:`transform`.
        """
        return self._interpolate(A, B, n_steps, path)

    def traverse(self, X: ArrayLike, unit: int, values: ArrayLike = tuple(range(-3, 4))) -> Any:
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
        return self._traverse(X, unit, values)

    def score_samples(self, X: ArrayLike, *, per_feature: bool = False) -> Any:
        """Return log p(x | z) of each row in nats, z its code: minus the reconstruction term; higher is more usual.

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
            With `per_feature` a DataFrame where `X` and the rows of ``fit`` are one.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return self._score_samples(X, None, per_feature)

    def score(self, X: ArrayLike, y: Any = None) -> float:
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

    def set_params(self, **params: Any) -> Self:
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

    def __sklearn_tags__(self) -> Any:
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

    def _given(self, X: Any, y: Any = None, *, targets: bool = False) -> Given:
        """Return rows as the model takes them; those that the likelihood is held against are `targets`."""
        check_is_fitted(self)
        return self.format_.encode(X, y, targets=targets)

    def _codes(self, Z: Any) -> np.ndarray:
        check_is_fitted(self)
        Z = plain(Z)
        if np.ndim(Z) != 2:
            raise InputError(f"Z has the shape {np.shape(Z)}: give codes as (n, {self.n_components})")
        codes: np.ndarray = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
        if codes.shape[1] != self.n_components:
            raise InputError(f"Z has {codes.shape[1]} columns, but the codes have n_components={self.n_components}")
        return codes

    def _in_batches(self, function: Callable[[Model, Batch], Tensor], given: Given) -> Any:
        return in_batches(self.module_, function, given)

    def _decoded(self, codes: Given) -> Any:
        """Decode codes; of sequences of very unequal length those of about one length together, to a list."""
        groups = self.format_.groups(codes)
        if groups is None:
            return self._in_batches(decode, codes)
        rows: list[Any] = [None] * len(codes.x)
        for part, alike in groups:
            for row, x in zip(part, self._in_batches(decode, alike), strict=True):
                rows[row] = x
        return rows

    def _transform(self, X: Any, y: Any = None) -> np.ndarray:
        encoding = activations if self.layers == "all" else encode
        if y is not None:
            return self._in_batches(encoding, self._given(X, y))
        return by_pieces(lambda rows: self._in_batches(encoding, self._given(rows)), X)

    def _inverse_transform(self, Z: Any, y: Any = None) -> Any:
        codes = self._codes(Z)
        rows = self._in_batches(decode, Given(codes, self.format_.context(y, len(codes))))
        return with_index(self.format_.decode(rows), Z)

    def _reconstruct(self, X: Any, y: Any = None, decode_as: Any = None) -> Any:
        if decode_as is None:
            return self.format_.decode(self._in_batches(rebuild, self._given(X, y)), X)
        codes = self._in_batches(encode, self._given(X, y))
        rows = self._in_batches(decode, Given(codes, self.format_.context(decode_as, len(codes))))
        return self.format_.decode(rows, X)

    def _impute(self, X: Any, mask: Any, n_iter: int, y: Any = None) -> Any:
        check_is_fitted(self)
        check_scalar(n_iter, "n_iter", numbers.Integral, min_val=1)
        return self.format_.fill(X, mask, y, partial(self._in_batches, partial(fill_in, iterations=n_iter)))

    def _interpolate(self, A: Any, B: Any, n_steps: int, path: str, y: Any = None) -> Any:
        check_scalar(n_steps, "n_steps", numbers.Integral, min_val=2)
        check_choice("path", path, ("straight", "spherical"))
        ends = [self._given(rows, y) for rows in (A, B)]
        if len(ends[0].x) != len(ends[1].x):
            raise InputError(f"A has {len(ends[0].x)} rows and B {len(ends[1].x)}: give as many of each")
        a, b = (self._in_batches(encode, end) for end in ends)
        between = spherical if path == "spherical" else straight
        codes = np.stack([between(a, b, t) for t in np.linspace(0, 1, n_steps)], axis=1).astype(a.dtype)
        return self._steps(codes, self.format_.shared_context(*ends), self.format_.longer(A, B))

    def _traverse(self, X: Any, unit: int, values: Any, y: Any = None) -> Any:
        check_scalar(unit, "unit", numbers.Integral, min_val=0, max_val=self.n_components - 1)
        steps = column_or_1d(check_array(np.atleast_1d(values), ensure_2d=False, input_name="values"))
        given = self._given(X, y)
        codes = np.repeat(self._in_batches(encode, given)[:, None], len(steps), axis=1)
        codes[:, :, unit] = steps
        return self._steps(codes, given.context, X)

    def _steps(self, codes: np.ndarray, context: np.ndarray | None, like: Any) -> Any:
        """Decode codes of shape (n, steps, n_components), each row's with its context, in the form of the rows."""
        n, steps, units = codes.shape
        contexts = None if context is None else np.repeat(context, steps, axis=0)
        return self.format_.decode_steps(self._decoded(Given(codes.reshape(-1, units), contexts)), n, like)

    def _sample(self, n: int, y: Any, noise: bool, random_state: Any) -> Any:
        check_is_fitted(self)
        check_scalar(n, "n_samples", numbers.Integral, min_val=1)
        random = check_random_state(random_state)
        prior = self.module_.bottleneck.prior
        assert prior is not None
        codes = prior.sample(n, self.n_components, random).numpy()
        generator = self._generator(int(random.randint(2**31 - 1)))

        def draw(model: Model, batch: Batch) -> Tensor:
            distribution = model.decode(batch.x, batch.context)
            if noise and not hasattr(distribution, "sample"):
                raise InputError(f"likelihood={name_of(self.likelihood)!r} has no sample(generator): add it")
            return distribution.sample(generator) if noise else distribution.mean

        return self.format_.decode(self._in_batches(draw, Given(codes, self.format_.context(y, n))))

    def _generator(self, seed: int = SEED) -> torch.Generator:
        """Return a generator for what is drawn at use, apart from the training's."""
        return torch.Generator(next(self.module_.parameters()).device).manual_seed(seed)

    def _score_samples(self, X: Any, y: Any, per_feature: bool) -> Any:
        check_is_fitted(self)
        if per_feature:
            scores = self.scores(self.format_.encode_to_score(X, y), per_feature=True)
            return self.format_.entries(scores, X)
        if y is not None:
            return self.scores(self.format_.encode_to_score(X, y))
        return by_pieces(lambda rows: self.scores(self.format_.encode_to_score(rows)), X)

    def scores(self, given: Given, *, per_feature: bool = False) -> Any:
        """Return what ``score_samples`` gives for rows that are encoded to be scored.

        Parameters
        ----------
        given : Given
            What ``format_.encode_to_score`` made of rows.
        per_feature : bool, default False
            Whether to score each of their entries, as :meth:`score_samples` does.

        Returns
        -------
        ndarray of shape (n,) or (n, *row_shape)
            In nats.

        Raises
        ------
        ValueError
            If the network cannot take the rows.
        """
        new, log_scale = self.format_.new_categories(given.x), self.format_.log_scale
        if new is not None:
            given = given._replace(x=np.where(new, given.x.dtype.type(np.nan), given.x))
        scores = self._in_batches(entry_scores if per_feature else row_scores, given)
        if log_scale is not None and not (per_feature and self.module_.knows_usual):
            log_scale = log_scale.astype(scores.dtype)
            scores = scores - (log_scale if per_feature else log_scale.sum())
        if new is None or not self.module_.knows_usual:
            return scores
        costs = (self.module_.rare - self.module_.usual).cpu().numpy().astype(scores.dtype)
        return np.where(new, costs, scores) if per_feature else scores + (new * costs).sum(1)
