"""The sequence autoencoder: it rebuilds what was, and tells what comes."""

import numbers
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.corruption import hide_future
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.likelihoods.standardised import StandardisedLikelihood
from isthmus.core.likelihoods.unmodelled import UnmodelledLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.errors import InputError
from isthmus.formats.checks import check_scalar
from isthmus.formats.containers import RowsLike
from isthmus.formats.given import Given
from isthmus.formats.sequences import without_features
from isthmus.formats.steps import SequenceFormat
from isthmus.models import inference
from isthmus.models.base import AbstractAutoencoder, has_prior, only_if
from isthmus.models.engine import in_batches
from isthmus.models.fitting import Folder
from isthmus.models.own_parts import declared_likelihood, likelihood_of, name_of
from isthmus.networks import LSTM, Modules
from isthmus.networks.composite import CompositeDecoder, PastEncoder, Standardise
from isthmus.networks.parameters import Network

_if_reconstruction = only_if(lambda estimator: estimator.reconstruction)
_if_future = only_if(lambda estimator: estimator.future_steps > 0)


def epochs_of_4000_steps(rows: int, batch_size: int) -> int:
    """Return as many epochs as make 4,000 steps, which a recurrent network needs however few rows: 10 to 300."""
    return max(10, min(300, round(4000 * batch_size / rows)))


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

    default_network: ClassVar[Callable[..., Network]] = LSTM
    default_epochs: ClassVar["staticmethod[[int, int], int]"] = staticmethod(epochs_of_4000_steps)
    # A recurrent network's gradient may explode, and Adam would remember it for long: spikes are cut off, and the usual
    # gradient, which grows with the loss, a sum over a sequence's values, is let through.
    default_grad_norm: ClassVar["staticmethod[[int], float | None]"] = staticmethod(float)
    scales_itself: ClassVar[bool] = True
    is_sequential: ClassVar[bool] = True

    def fit(
        self, X: RowsLike, y: RowsLike | None = None, *, resume_from: Folder = None, checkpoint_minutes: float = 10
    ) -> Self:
        """Train on sequences.

        Parameters
        ----------
        X : array-like of shape (n, steps, features) or (n, steps), or list of arrays (steps, features) or (steps,)
            Sequences; without an axis of features they have one. NaN is a value that is not known: it takes no part in
            the reconstruction term, and the encoder is shown the feature's mean in its place.
        y : ignored
            There for scikit-learn's sake.
        resume_from : path, optional
            Where the run is kept; see :meth:`isthmus.Autoencoder.fit`.
        checkpoint_minutes : float, default 10
            The longest time between two checkpoints.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError
            If `X` holds no two sequences of numbers with as many features each, one is no longer than `future_steps`,
            or a parameter has no meaning.
        FloatingPointError
            If the loss becomes NaN or infinite.
        """
        return super().fit(X, y, resume_from=resume_from, checkpoint_minutes=checkpoint_minutes)

    @_if_future
    def predict_future(self, X: RowsLike) -> np.ndarray:
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

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        model, form = self._fitted
        given, n = form.encode(X), self.future_steps
        future = in_batches(model, lambda _, rows: model.decode(model.encode(rows).z, rows.context).mean[:, -n:], given)
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

        Raises
        ------
        ValueError
            If the model is not fitted, `Z` has another shape, or `lengths` are not one a code or above the longest.
        """
        (model, form), codes = self._fitted, inference.checked_codes(Z, self.n_components)
        steps = form.check_lengths(lengths, len(codes))
        rows = inference.decode_by_length(model, form, Given(codes, form.context(steps, len(codes))))
        return form.decode(rows) if lengths is None else form.cut(rows, steps)

    reconstruct = _if_reconstruction(AbstractAutoencoder.reconstruct)
    interpolate = _if_reconstruction(AbstractAutoencoder.interpolate)
    traverse = _if_reconstruction(AbstractAutoencoder.traverse)
    sample = only_if(lambda estimator: estimator.reconstruction and has_prior(estimator))(AbstractAutoencoder.sample)

    @_if_reconstruction
    def impute(self, X: RowsLike, mask: RowsLike | None = None, *, n_iter: int = 100) -> Any:
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

        Raises
        ------
        ValueError
            If the model is not fitted, `X` is not in the form of the rows of ``fit``, or `mask` does not fit it.
        """
        return super().impute(X, mask, n_iter=n_iter)

    def score_samples(self, X: RowsLike, *, per_feature: bool = False) -> Any:
        """Return log p(x | z) of each sequence in nats; higher is more usual.

        As in training, the last `future_steps` are held against what is predicted of them from those before, and these
        against their reconstruction, if there is one: minus the terms of the loss. A value that is missing costs what
        it usually does, and so do the steps that a sequence is shorter by than the longest at ``fit``: so sequences of
        any length can be compared. Where the code has a prior the score is the ELBO.

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
            In nats.

        Raises
        ------
        ValueError
            If the model is not fitted, or `X` is not in the form of the rows of ``fit``.
        """
        return super().score_samples(X, per_feature=per_feature)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that sequences of several features are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def check_parameters(self) -> None:
        """Check the parameters, the family's own too; see :meth:`isthmus.Autoencoder.check_parameters`.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        super().check_parameters()
        check_scalar(self.future_steps, "future_steps", numbers.Integral, min_val=0)
        check_scalar(self.reconstruction, "reconstruction", (bool, np.bool_))
        if declared_likelihood(self.likelihood).n_params != 1:
            raise InputError(
                f"likelihood={name_of(self.likelihood)!r} takes several numbers a value, and sequences one"
            )
        if not self.reconstruction and not self.future_steps:
            raise InputError("reconstruction=False leaves nothing to learn: give future_steps above 0")

    def _form(self) -> SequenceFormat:
        network = self._network
        return SequenceFormat(
            type(self).__name__,
            self.future_steps,
            name_of(self.likelihood),
            self._support,
            tells_lengths=not hasattr(network, "along_time"),  # a transformer is told by what is known
            follows_lengths=getattr(network, "follows_lengths", False),
            needs_one_length=self.corruption == "swap",
        )

    def _inputs(self) -> Standardise:
        return Standardise(*self._moments())

    def _build(self) -> Model:
        network, (steps, features) = self._network, self.format_.row_shape_
        encoder, decoder = network.build((steps, features), self.n_components, **self._code_layout)
        if self.future_steps and isinstance(network, Modules):
            raise InputError("Modules have one decoder, and future_steps needs a second: take LSTM() or Transformer()")
        if self.future_steps:
            encoder = PastEncoder(encoder, self.future_steps)
            _, future = network.build((self.future_steps, features), self.n_components)
            decoder = CompositeDecoder(decoder if self.reconstruction else None, future, steps)
        parts = replace(self._parts(), inputs=self._inputs(), seen=partial(_seen, steps=steps))
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
        hiding = partial(hide_future, steps=self.future_steps, hiding=parts.hiding)
        return replace(parts, hidden_only=True, hiding=hiding)

    def _likelihood(self) -> Likelihood:
        """Return the likelihood of a decoder's steps."""
        likelihood = likelihood_of(self.likelihood, None if isinstance(self.sigma, str) else float(self.sigma))
        return StandardisedLikelihood(likelihood, *self._moments()) if self._support is None else likelihood

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each feature."""
        return torch.tensor(self.mean_), torch.tensor(self.scale_)


def _seen(batch: Batch, *, steps: int) -> Tensor:
    """Return which values the encoder looks at: those before the end of a sequence, where it is told of that."""
    step = torch.arange(batch.x.shape[1], device=batch.x.device)
    ends = steps if batch.context is None else batch.context[:, :1]
    return (step < ends).expand(len(batch.x), -1)[:, :, None]
