"""The sequence autoencoder: it rebuilds what was, and tells what comes."""

import math
import numbers
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch, of_one_length
from isthmus.core.likelihoods import build_likelihood
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.likelihoods.standardised import StandardisedLikelihood
from isthmus.core.likelihoods.unmodelled import UnmodelledLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.errors import InputError
from isthmus.formats.checks import check_scalar
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
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.engine import Given, decode
from isthmus.networks import LSTM, Modules
from isthmus.networks.composite import CompositeDecoder, PastEncoder, Standardise
from isthmus.networks.parameters import Network

Method = TypeVar("Method", bound=Callable[..., Any])


def _if_reconstruction(method: Method) -> Method:
    """Leave a method out where nothing is rebuilt."""
    return available_if(lambda estimator: estimator.reconstruction)(method)


def _if_future(method: Method) -> Method:
    """Leave a method out where nothing is predicted."""
    return available_if(lambda estimator: estimator.future_steps > 0)(method)


@dataclass(eq=False, repr=False)
class SequenceAutoencoder(AbstractAutoencoder):
    """An autoencoder for sequences, of equal or of unequal length (Srivastava et al. 2015).

    One decoder rebuilds a sequence from its code. With `future_steps` another predicts how it goes on: in training the
    last `future_steps` of every sequence are cut off, the encoder sees what is left, and from its code the one rebuilds
    that and the other predicts what was cut off.

    Each feature is standardised inside by its mean and spread over the training rows, so that series may have any
    units. Sequences of unequal length are padded, and padding takes part in nothing. Where it would be more than half
    of all, an LSTM is given each batch padded to its own longest sequence, or in parts of about one length: what is
    learnt is the same, in less time and memory. A transformer and Modules are given all padded to the longest.

    Parameters
    ----------
    n_components : int, default 32
        Units of the code.
    network : LSTM, Transformer, Modules or None, default None
        The encoder and the decoder; None is ``LSTM()``. With `future_steps` it gives a second decoder, which Modules
        cannot. Modules are called with the lengths in steps, (rows, 1), as a second argument.
    future_steps : int, default 0
        How many steps to predict; 0 has no decoder for it.
    reconstruction : bool, default True
        Whether there is a decoder that rebuilds the sequence; False is for `future_steps` above 0 alone.
    sigma : float or "learned", default "learned"
        Standard deviation of the Gaussian likelihood, in the units of each feature's own standard deviation over the
        training rows; learnt, the two decoders have one each.
    max_epochs : int or None, default None
        Passes over the training sequences; None is as many as make 4,000 steps, from 10 to 300.
    batch_size : int, default 16
        Sequences a step.
    lr : float, default 1e-2
        Adam's learning rate at its peak. All other parameters are those of :class:`isthmus.Autoencoder`.

    Attributes
    ----------
    n_features_in_ : int
        Features of a step.
    row_shape_ : tuple of int
        (steps, features), steps those of the longest sequence at ``fit``, its future included; at use none may be
        longer.
    mean_, scale_ : ndarray of shape (n_features_in_,)
        Mean and standard deviation of each feature over the training rows.
    history_ : list of dict
        As elsewhere, with the terms ``reconstruction`` and ``prediction``. All other attributes are those of
        :class:`isthmus.Autoencoder`.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import SequenceAutoencoder
    >>> from isthmus.data import windows
    >>> series = np.sin(np.arange(400) / 5)
    >>> model = SequenceAutoencoder(8, future_steps=5, max_epochs=2, random_state=0).fit(windows(series, 40, stride=5))
    >>> model.transform(windows(series, 35)).shape
    (366, 8)
    >>> model.predict_future(series[None, -35:]).shape
    (1, 5)
    """

    n_components: int = 32
    _: KW_ONLY
    future_steps: int = 0
    reconstruction: bool = True
    sigma: float | Literal["learned"] = "learned"
    batch_size: int = 16
    lr: float = 1e-2

    default_network: ClassVar[type[Any]] = LSTM
    scales_itself: ClassVar[bool] = True

    def fit(self, X: Any, y: Any = None, **kept: Any) -> Self:
        """Train on sequences.

        Parameters
        ----------
        X : array-like of shape (n, steps, features) or (n, steps), or list of arrays (steps, features) or (steps,)
            Sequences; without an axis of features they have one. NaN is a value that is not known: it takes no part in
            the reconstruction term, and the encoder is shown the feature's mean in its place.
        y : ignored
            There for scikit-learn's sake.
        **kept
            `resume_from` and `checkpoint_minutes`, as :meth:`isthmus.Autoencoder.fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` holds no two sequences of numbers with as many features each, one is no longer than `future_steps`,
            or a parameter has no meaning.
        FloatingPointError
            If the loss becomes NaN or infinite.
        """
        return super().fit(X, y, **kept)

    @_if_future
    def predict_future(self, X: Any) -> np.ndarray:
        """Predict how sequences go on.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences as in ``fit``, all of whose steps are taken for past. In training the encoder saw
            `future_steps` fewer than those of the longest; of as many it predicts best.

        Returns
        -------
        ndarray of shape (n, future_steps, features), or (n, future_steps) where `X` has no axis of features
            In the units of `X`: the mean of the prediction.
        """
        given = self._given(X)
        future = self._in_batches(partial(_future, steps=self.future_steps), given)
        return future[:, :, 0] if without_features(X) else future

    @_if_reconstruction
    def inverse_transform(self, Z: ArrayLike, lengths: ArrayLike | None = None) -> Any:
        """Decode codes to sequences.

        Parameters
        ----------
        Z : array-like of shape (n, n_components)
            Codes.
        lengths : array-like of int, of shape (n,), optional
            Steps of each sequence; by default as many as the longest had at ``fit``.

        Returns
        -------
        ndarray of shape (n, steps, features) or (n, steps), or list of arrays where `lengths` are given
            With or without features, as at ``fit``.
        """
        codes = self._fitted_codes(Z)
        steps = self._checked_lengths(lengths, len(codes))
        if lengths is not None and self._are_ragged(steps):
            cut = self._decoded(codes, steps)
            return [row[:, 0] for row in cut] if self.flat_ else cut
        rows = self._in_batches(decode, Given(codes, self._lengths(steps)))
        rows = rows[:, : self.row_shape_[0]]
        if self.flat_:
            rows = rows[:, :, 0]
        return rows if lengths is None else [row[:length] for row, length in zip(rows, steps.astype(int), strict=True)]

    @_if_reconstruction
    def reconstruct(self, X: Any) -> Any:
        """Encode and decode sequences, all of whose steps are taken for past; the result is in the form of `X`."""
        return as_given(X, super().reconstruct(X))

    @_if_reconstruction
    def impute(self, X: Any, mask: Any = None, *, n_iter: int = 100) -> Any:
        """Fill in what is missing from what is known; see :meth:`isthmus.Autoencoder.impute`.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences as in ``fit``; NaN is missing.
        mask : array-like of bool or list of these, optional
            True marks what is missing beside: in the form of `X`, with or without features, or of one sequence for all.
        n_iter : int, default 100
            Turns.

        Returns
        -------
        ndarray or list of ndarray
            In the form of `X`; the known values are those of `X`, to the bit.
        """
        X = X if mask is None else masked(X, mask)
        return as_given(X, self._impute(X, None, n_iter, None))

    @_if_reconstruction
    def interpolate(
        self,
        A: Any,
        B: Any,
        n_steps: int = 9,
        *,
        path: Literal["straight", "spherical"] = "straight",
    ) -> Any:
        """Go from the sequences of `A` to those of `B`, each as long as the longer of the two.

        See :meth:`isthmus.Autoencoder.interpolate`; the result is of shape (n, n_steps, steps, features), or a list
        with an array for each pair.
        """
        rows = self._interpolate(A, B, n_steps, path, None)
        return as_given(longer(A, B), rows)

    @_if_reconstruction
    def traverse(self, X: Any, unit: int, values: ArrayLike = tuple(range(-3, 4))) -> Any:
        """Encode sequences, set one unit of their codes to each of some values, and decode.

        See :meth:`isthmus.Autoencoder.traverse`; the result is of shape (n, values, steps, features), or a list with
        an array for each sequence.
        """
        return as_given(X, self._traverse(X, unit, values, None))

    def score_samples(self, X: Any, *, per_feature: bool = False) -> Any:
        """Return log p(x | z) of each sequence in nats; higher is more usual.

        As in training, the last `future_steps` are held against what is predicted of them from those before, and these
        against their reconstruction, if there is one: minus the terms of the loss. A value that is missing costs what
        it usually does, and so do the steps that a sequence is shorter by than the longest at ``fit``: so sequences of
        any length can be compared.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences as in ``fit``.
        per_feature : bool, default False
            Whether to return instead by how much each value is likelier than it usually is, in nats, in the form of
            `X`: NaN where that is, and where it is neither rebuilt nor predicted. Of windows of a long series
            :func:`isthmus.data.step_scores` makes of these a score of each of its steps.

        Returns
        -------
        ndarray of shape (n,), or in the form of `X`
        """
        return self._score_samples(X, None, per_feature)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that sequences of several features are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_scalar(self.future_steps, "future_steps", numbers.Integral, min_val=0)
        check_scalar(self.reconstruction, "reconstruction", (bool, np.bool_))
        if not self.reconstruction and not self.future_steps:
            raise InputError("reconstruction=False leaves nothing to learn: give future_steps above 0")

    def _checked_lengths(self, lengths: ArrayLike | None, n: int) -> np.ndarray:
        """Return the lengths of `n` sequences to decode."""
        longest = self.row_shape_[0]
        steps = np.asarray(longest if lengths is None else lengths, dtype=float)
        if lengths is not None and steps.shape != (n,):
            raise InputError(f"lengths has the shape {steps.shape}: give one for each of {n} codes")
        if (steps < 1).any() or (steps > longest).any() or (steps % 1).any():
            raise InputError(f"lengths are to be whole numbers from 1 to {longest}, the longest sequence at fit")
        return np.broadcast_to(steps, (n,))

    def _default_epochs(self, rows: int) -> int:
        """Return as many epochs as make 4,000 steps, which a recurrent network needs however few rows: 10 to 300."""
        return max(10, min(300, round(4000 * self.batch_size / rows)))

    def _largest_gradient(self) -> float:
        """Cut off spikes: a recurrent network's gradient may explode, and Adam would remember it for long.

        The usual one grows with the loss, a sum over a sequence's values: it is let through.
        """
        return float(math.prod(self.row_shape_)) if self.max_grad_norm is None else self.max_grad_norm

    def _sequences(self, X: Any) -> Sequences:
        """Check sequences for use, and pad them to the length of the longest at fit."""
        check_is_fitted(self, ["row_shape_"])
        x, lengths = to_sequences(X)
        longest = self.row_shape_[0]
        self._check_shape(x.shape[1], x.shape[2])
        return Sequences(np.pad(x, ((0, 0), (0, longest - x.shape[1]), (0, 0)), constant_values=np.nan), lengths)

    def _check_shape(self, longest: int, features: int) -> None:
        """Raise InputError where sequences have other features than at fit, or one is longer than all were."""
        most, n_features = self.row_shape_
        if features != n_features:
            raise InputError(
                f"X has {features} features, but {type(self).__name__} is expecting {n_features} features as input"
            )
        if longest > most:
            raise InputError(
                f"X has a sequence of {longest} steps, and the longest at fit had {most}: cut it, for example with "
                "isthmus.data.windows"
            )

    def _ragged(self, X: Any, *, reset: bool = False, is_open: bool = False) -> Ragged | None:
        """Return sequences that differ so much in length that padding all to the longest would be most of them.

        None where they do not, or the network needs all steps. With `is_open` all of their steps are past.
        """
        lengths = lengths_of(X) if getattr(self._network(), "follows_lengths", False) else None
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

    def _given_unscaled(self, X: Any, y: Any = None, *, targets: bool = False) -> Given:
        """Take all steps for past, and leave the future open."""
        check_is_fitted(self)
        ragged = self._ragged(X, is_open=True)
        if ragged is not None:
            if targets:
                self._check_targets(ragged.steps)
            return Given(ragged, self._lengths(ragged.before))
        x, lengths = self._sequences(X)
        if targets:
            self._check_targets(x)
        x = np.pad(x, ((0, 0), (0, self.future_steps), (0, 0)), constant_values=np.nan)
        return Given(x, self._lengths(lengths))

    def _with_future(self, sequences: Sequences) -> tuple[Given, np.ndarray]:
        """Take the last steps for future, as in training; return also how many each sequence has before them."""
        self._check_targets(sequences.x)
        x, past = split_future(sequences, self.future_steps)
        return Given(x, self._lengths(past)), past

    def _lengths(self, lengths: np.ndarray) -> np.ndarray | None:
        """Return the lengths of sequences as the network is told them, if it is."""
        return lengths[:, None].astype(float) if self._code_layout()["n_context"] else None

    def _learn_rows(self, X: Any, y: Any, *, reset: bool) -> Given:
        if not reset:
            return self.rows_to_score(X)
        ragged = self._ragged(X, reset=True)
        x, lengths = to_sequences(X) if ragged is None else (ragged.steps[None], ragged.lengths)
        if len(lengths) < 2:
            raise InputError(
                f"Found array with {len(lengths)} sample(s) while a minimum of 2 is required: give more sequences"
            )
        missing = np.isnan(x).all((0, 1))
        if missing.any():
            raise InputError(f"Input X has nothing but NaN in feature {int(missing.argmax())}: drop it")
        if self.corruption == "swap" and len(np.unique(lengths)) > 1:
            raise InputError(
                "corruption='swap' takes a step from another sequence, which may have none: give sequences of one "
                "length, or another corruption"
            )
        self.n_features_in_ = x.shape[2]
        self.row_shape_ = (int(lengths.max()), x.shape[2])
        self.flat_ = without_features(X)
        self.mean_ = np.nanmean(x, (0, 1), dtype=float)
        spread = np.nanstd(x, (0, 1), dtype=float)
        self.scale_ = np.where(spread > 1e-12 * np.abs(self.mean_), spread, 1.0)
        return self._with_future(Sequences(x, lengths))[0] if ragged is None else Given(ragged)

    def rows_to_score(self, X: Any, y: Any = None) -> Given:
        """Take the last steps for future, as in training."""
        check_is_fitted(self)
        ragged = self._ragged(X)
        return self._with_future(self._sequences(X))[0] if ragged is None else Given(ragged)

    def own_entries(self, X: Any) -> Any:
        """Return which entries are no padding behind the end of a sequence."""
        ragged = self._ragged(X)
        if ragged is not None:
            return ragged
        x, past = self._with_future(self._sequences(X))[0].x, to_sequences(X).lengths - self.future_steps
        step = np.arange(x.shape[1])
        is_own = (step < past[:, None]) | (step >= self.row_shape_[0])
        return np.broadcast_to(is_own[:, :, None], x.shape)

    def shares_as_given(self, shares: Any, X: Any) -> Any:
        """Return scores of values as sequences, the future behind the past again."""
        if isinstance(shares, Ragged):
            return as_given(X, shares)
        past = self._with_future(self._sequences(X))[1]
        return as_given(X, join_future(Sequences(shares, past), self.future_steps))

    def _are_ragged(self, lengths: np.ndarray) -> bool:
        """Tell whether sequences of these lengths are not padded to the longest at fit."""
        follows = getattr(self._network(), "follows_lengths", False)
        return follows and are_ragged(lengths, self.row_shape_[0])

    def _decoded(self, codes: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Decode each code to so many steps, those of about one length together; each of shape (steps, features)."""
        lengths = lengths.astype(int)
        rows: list[Any] = [None] * len(codes)
        for alike in of_one_length(torch.from_numpy(lengths)):
            part = alike.numpy()
            context = np.column_stack([lengths[part], np.full(len(part), lengths[part].max())]).astype(float)
            for row, x in zip(part, self._in_batches(decode, Given(codes[part], context)), strict=True):
                rows[row] = x[: lengths[row]]
        return rows

    def _decode_each(self, codes: np.ndarray, context: np.ndarray | None) -> Any:
        if context is None or not self._are_ragged(context[:, 0]):
            return super()._decode_each(codes, context)
        n, steps, units = codes.shape
        rows = self._decoded(codes.reshape(-1, units), np.repeat(context[:, 0], steps))
        return [np.stack(rows[i * steps : (i + 1) * steps]) for i in range(n)]

    def _shared_context(self, a: Given, b: Given) -> np.ndarray | None:
        return None if a.context is None or b.context is None else np.maximum(a.context, b.context)

    def _code_layout(self) -> dict[str, int]:
        # A transformer is told by what is known how long a sequence is.
        return super()._code_layout() | {"n_context": 0 if hasattr(self._network(), "along_time") else 1}

    def _network(self) -> Network:
        network: Any = super()._network()
        return network.along_time() if hasattr(network, "along_time") else network

    def _fill(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.mean_)

    def _build(self) -> Model:
        network, (steps, features) = self._network(), self.row_shape_
        encoder, decoder = network.build(self.row_shape_, self.n_components, **self._code_layout())
        if self.future_steps and isinstance(network, Modules):
            raise InputError("Modules have one decoder, and future_steps needs a second: take LSTM() or Transformer()")
        if self.future_steps:
            encoder = PastEncoder(encoder, self.future_steps)
            _, future = network.build((self.future_steps, features), self.n_components)
            decoder = CompositeDecoder(decoder if self.reconstruction else None, future, steps)
        parts = replace(self._parts(), inputs=Standardise(*self._moments()), seen=partial(_seen, steps=steps))
        row_shape = (steps + self.future_steps, features)
        return Model(encoder, decoder, parts, row_shape=row_shape, tail=self.future_steps)

    def _parts(self) -> Parts:
        parts = replace(super()._parts(), rescaled=False)  # a network that goes step by step takes no sum over them
        if not self.future_steps:
            return replace(parts, likelihood=self._likelihood())
        past = Block("reconstruction", self._likelihood() if self.reconstruction else UnmodelledLikelihood(), None)
        future = Block("prediction", self._likelihood(), self.future_steps)
        parts = replace(parts, likelihood=ProductLikelihood([past, future]))
        if self.reconstruction and not parts.hidden_only:
            return parts
        hiding = partial(_hide_future, steps=self.future_steps, hiding=parts.hiding)
        return replace(parts, hidden_only=True, hiding=hiding)

    def _likelihood(self) -> Likelihood:
        """Return the likelihood of a decoder's steps."""
        likelihood = build_likelihood(self.likelihood, None if isinstance(self.sigma, str) else float(self.sigma))
        return StandardisedLikelihood(likelihood, *self._moments()) if likelihood.has_sigma else likelihood

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each feature."""
        return torch.tensor(self.mean_), torch.tensor(self.scale_)


def _seen(batch: Batch, *, steps: int) -> Tensor:
    """Return which values the encoder looks at: those before the end of a sequence, where it is told of that."""
    step = torch.arange(batch.x.shape[1], device=batch.x.device)
    ends = steps if batch.context is None else batch.context[:, :1]
    return (step < ends).expand(len(batch.x), -1)[:, :, None]


def _hide_future(
    x: Tensor,
    known: Tensor | None,
    *,
    steps: int,
    hiding: Callable[..., Tensor | None] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor | None:
    """Return what the encoder is shown: nothing of the last steps, and what another rule leaves of those before."""
    past = torch.ones_like(x, dtype=torch.bool) if known is None else known.clone()
    past[:, -steps:] = False
    return past if hiding is None else hiding(x, past, generator=generator)


def _future(model: Model, batch: Batch, *, steps: int) -> Tensor:
    """Return the mean of what comes after a batch of sequences."""
    return model.decode(model.encode(batch).z, batch.context).mean[:, -steps:]
