"""The multimodal autoencoder."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck
from isthmus.core.corruption import hide_modalities
from isthmus.core.likelihoods.product import ProductLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.errors import InputError
from isthmus.formats.checks import check_choice, check_number
from isthmus.formats.containers import RowsLike
from isthmus.formats.several import ModalitiesFormat
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.engine import encode, in_batches, rebuild
from isthmus.models.fitting import Folder
from isthmus.models.modality import Networks, block_of, check_by_name, network_of, params_of, term_of, with_param
from isthmus.models.own_parts import name_of
from isthmus.networks.multimodal import build_multimodal

FUSIONS = ("concatenation", "product_of_experts")


@dataclass(eq=False, repr=False)
class MultimodalAutoencoder(AbstractAutoencoder):
    """An autoencoder of several modalities in one code: images and labels, signals and words, blocks of a table.

    Each modality has an encoder, a decoder and a likelihood of its own. In training whole modalities are hidden at
    random, and all are to be rebuilt, so that at use any of them may be missing and is filled in from the others. The
    loss is Σ weight · (−log p(modality | z)), a term each, ``reconstruction_NAME`` in the history, in nats.

    Parameters
    ----------
    n_components : int, default 32
        Units of the code.
    blocks : dict of str to list of columns, or None, default None
        For a DataFrame: which columns make up each modality. A dict of arrays has its keys instead.
    networks : dict of str to MLP, Conv, ..., or None, default None
        The network of each modality; of those that are not named it is `network`, and MLP where that is None. A label
        goes in as a one among zeros.
    likelihoods : dict of str to {"gaussian", "bernoulli", "categorical"}, or None, default None
        The likelihood of each modality. Where it is not named: categorical for labels, that is arrays of shape (n,) of
        words, truth values, or whole numbers that come again and again; else `likelihood`.
    fusion : {"concatenation", "product_of_experts"}, default "concatenation"
        How the modalities' codes become one. ``concatenation`` maps those that are there, and which they are, to the
        code. ``product_of_experts`` multiplies normals, one a modality and the prior N(0, 1), to a Gaussian code (Wu &
        Goodman 2018), whose KL term is part of the loss; ``score_samples`` is then the ELBO.
    modality_dropout : float in [0, 1], default 0.3
        Probability with which each modality of each row is hidden from the encoder in training; one always stays.
    block_weights : "balanced" or dict of str to float, default "balanced"
        The weights of the modalities' terms in the loss; 1 for those that a dict does not name. A label costs a few
        nats and an image hundreds. ``"balanced"`` gives all the same say: the weight is inverse to what the modality
        would cost at its own mean, or class frequencies, above a perfect rebuild, and these costs sum to what they did.
        They are ½ Σ variance / σ² for a Gaussian (half the entries where σ is learnt), the entropy lost for a
        Bernoulli, the entropy of the classes for a label. Terms and scores are always unweighted.
    sigma : float or "learned", default "learned"
        Standard deviation of every Gaussian modality: given, in the units of X, or learnt for each.
    beta : float, default 1
        Weight β of the KL term, for ``product_of_experts``. All other parameters are those of
        :class:`isthmus.Autoencoder`, but for `corruption`, `contraction_weight` and the ``"kl"`` sparsity, which have
        no meaning here.

    Attributes
    ----------
    modalities_ : tuple of Modality
        Name, shape, dtype, classes and columns of each, in order.
    block_weights_ : dict of str to float
        The weight of each modality's term.
    sigmas_ : dict of str to float
        The standard deviation of each Gaussian modality. All other attributes are those of
        :class:`isthmus.Autoencoder`.

    Examples
    --------
    >>> from isthmus import MultimodalAutoencoder, datasets
    >>> images, labels = datasets.load("digits")
    >>> X = {"upper": images[:, :4], "lower": images[:, 4:], "label": labels}
    >>> model = MultimodalAutoencoder(8, max_epochs=5, random_state=0).fit(X)
    >>> model.transform(X).shape
    (1437, 8)
    >>> rebuilt = model.reconstruct({"upper": images[:, :4]})
    >>> rebuilt["lower"].shape, rebuilt["label"].shape
    ((1437, 4, 8), (1437,))
    """

    n_components: int = 32
    _: KW_ONLY
    blocks: Mapping[str, Sequence[str | int]] | None = None
    networks: Networks = None
    likelihoods: Mapping[str, str] | None = None
    fusion: Literal["concatenation", "product_of_experts"] = "concatenation"
    modality_dropout: float = 0.3
    block_weights: Literal["balanced"] | Mapping[str, float] = "balanced"
    sigma: float | Literal["learned"] = "learned"
    beta: float = 1.0

    scales_itself: ClassVar[bool] = True

    def fit(
        self, X: RowsLike, y: RowsLike | None = None, *, resume_from: Folder = None, checkpoint_minutes: float = 10
    ) -> Self:
        """Train on rows of several modalities.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Of each modality images (n, height, width) or (n, channels, height, width), rows of numbers (n, features),
            numbers (n,) or labels (n,). uint8 images are taken as 0…255 and brought to [0, 1]. NaN, and None among
            labels, is missing; a modality is missing in a row where all of it is.
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
        TypeError
            If `X` is neither a dict nor a DataFrame.
        ValueError
            If modalities differ in their numbers of rows, hold what is no number where numbers are needed, or a
            parameter has no meaning.
        FloatingPointError
            If the loss becomes NaN or infinite.
        """
        return super().fit(X, y, resume_from=resume_from, checkpoint_minutes=checkpoint_minutes)

    def transform(self, X: RowsLike, *, given: Sequence[str] | None = None) -> np.ndarray:
        """Encode rows to their codes.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out. Classes that were not there at ``fit`` count as missing.
        given : sequence of str, optional
            The modalities to encode from, of those that `X` has; None is all of them.

        Returns
        -------
        ndarray of shape (n, n_components)
            In float32 or float64, as the modalities are.

        Raises
        ------
        ValueError, TypeError
            If the model is not fitted, or modalities are not in the form that they had in ``fit``.
        """
        model, form = self._fitted
        return in_batches(model, encode, form.shown(X, given))

    def reconstruct(self, X: RowsLike, *, given: Sequence[str] | None = None) -> Any:
        """Encode what there is, and decode all modalities from it.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out.
        given : sequence of str, optional
            The modalities to encode from, of those that `X` has; None is all of them.

        Returns
        -------
        dict of str to ndarray, or DataFrame
            All modalities, shaped as in ``fit``: the mean of numbers, the most probable label. Numbers in an array are
            float32 or float64, whatever they were. A DataFrame where `fit` was given one, with the index of `X` and
            each column in its dtype of ``fit``: whole numbers and truth values are rounded means.

        Raises
        ------
        ValueError, TypeError
            If the model is not fitted, or modalities are not in the form that they had in ``fit``.
        """
        model, form = self._fitted
        return form.decode(in_batches(model, rebuild, form.shown(X, given)), X)

    def predict_proba(self, X: RowsLike, name: str, *, given: Sequence[str] | None = None) -> np.ndarray:
        """Return the probability of each class of a label.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out.
        name : str
            Which modality; its classes, in order, are those of ``modalities_``.
        given : sequence of str, optional
            The modalities to encode from, of those that `X` has; None is all but `name`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In [0, 1]; each row sums to 1.

        Raises
        ------
        ValueError, TypeError
            If the model is not fitted, `name` is no label, or modalities are not in the form that they had in ``fit``.
        """
        model, form = self._fitted
        labels = [modality.name for modality in self.modalities_ if modality.classes is not None]
        check_choice("label", name, labels)

        def probabilities(model: Model, batch: Batch) -> Tensor:
            distribution: Any = model.decode(encode(model, batch))
            return distribution.blocks[term_of(name)].logits.softmax(1)

        return in_batches(model, probabilities, form.shown(X, given, but=name))

    def impute(self, X: RowsLike, mask: RowsLike | None = None, *, n_iter: int = 100) -> Any:
        """Fill in what is missing from what is known: whole modalities, and entries of them.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out. A class that was not there at ``fit`` stays as it is.
        mask : dict of str to array-like of bool, optional
            True marks what is missing beside, of the modalities that it names; each shaped like the modality or a row.
        n_iter : int, default 100
            Steps in search of the code that explains what is known best, for ``product_of_experts``; a code by
            ``concatenation`` is taken at once.

        Returns
        -------
        dict of str to ndarray, or DataFrame
            As in :meth:`reconstruct`; what is known, labels and numbers that are floats, or in a DataFrame any, is as
            in `X`, to the bit. Bytes are brought to [0, 1].

        Raises
        ------
        ValueError, TypeError
            If the model is not fitted, or `mask` or modalities are not in the form that they had in ``fit``.
        """
        return super().impute(X, mask, n_iter=n_iter)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default True
            Whether to add those of the networks, as ``networks__upper__hidden``.

        Returns
        -------
        dict of str to object
            Their values.
        """
        return super().get_params(deep) | (params_of(self.networks) if deep else {})

    def set_params(self, **params: object) -> Self:
        """Set parameters by name; ``networks__upper__hidden`` is that of the network named "upper".

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
            If there is no such parameter, or `networks` does not name the modality.
        """
        deep = {name: params.pop(name) for name in list(params) if name.startswith("networks__")}
        super().set_params(**params)
        for name, value in deep.items():
            self.networks = with_param(self.networks, name, value)
        return self

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that rows come in a dict."""
        tags = super().__sklearn_tags__()
        tags.input_tags.dict, tags.input_tags.two_d_array, tags.input_tags.sparse = True, False, False
        return tags

    @property
    def draws_codes(self) -> bool:
        """Whether the code is drawn from a prior: for ``product_of_experts``."""
        return self.fusion == "product_of_experts"

    @property
    def sigma_(self) -> float:
        """There is none: each modality has its own, see ``sigmas_``."""
        raise AttributeError("each modality has a σ of its own: sigmas_")

    @property
    def sigmas_(self) -> dict[str, float]:
        """The σ of each Gaussian modality, given or learnt."""
        check_is_fitted(self)
        likelihood = cast("ProductLikelihood", self.module_.likelihood)
        named = zip(self.modalities_, (block.likelihood.sigma for block in likelihood.blocks), strict=True)
        return {modality.name: float(torch.as_tensor(sigma).detach()) for modality, sigma in named if sigma is not None}

    def check_parameters(self) -> None:
        """Check the parameters, the family's own too; see :meth:`isthmus.Autoencoder.check_parameters`.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        if self.bottleneck is not None:
            raise InputError(f"bottleneck={name_of(self.bottleneck)} has no meaning here: the code is as fusion says")
        super().check_parameters()
        check_choice("fusion", self.fusion, FUSIONS)
        check_number("modality_dropout", self.modality_dropout, min_val=0, max_val=1)
        check_number("beta", self.beta, min_val=0)
        check_by_name(self.blocks, self.networks, self.likelihoods, self.block_weights)
        if self.corruption is not None:
            raise InputError(f"corruption={self.corruption!r} has no meaning here: modality_dropout hides modalities")
        if not isinstance(self.likelihood, str):
            raise InputError(
                f"likelihood={name_of(self.likelihood)} has no meaning here: each modality has one that is named, see "
                "likelihoods"
            )
        if self.contraction_weight or "contractive" in (self.penalties or ()):
            raise InputError(
                "contraction_weight has no meaning for rows of several modalities, nor a penalty 'contractive': leave "
                "it out"
            )
        if self.sparsity == "kl" or (self.sparsity == "topk" and self.draws_codes):
            raise InputError(f"sparsity={self.sparsity!r} has no meaning for this code: give 'l1' or None")
        if self.beta != type(self).beta and not self.draws_codes:
            raise InputError(f"beta={self.beta!r} weighs the KL term of fusion='product_of_experts': leave it out")

    def _form(self) -> ModalitiesFormat:
        parameters = {name: getattr(self, name) for name in ("networks", "likelihoods", "block_weights")}
        named = {name: tuple(value) for name, value in parameters.items() if isinstance(value, Mapping)}
        kinds = self.likelihoods or {}
        return ModalitiesFormat(self.blocks, kinds, str(self.likelihood), self._fixed_sigma, self.block_weights, named)

    @property
    def _fixed_sigma(self) -> float | None:
        """σ of every Gaussian modality where it is given, else None."""
        return None if isinstance(self.sigma, str) else float(self.sigma)

    def _build(self) -> Model:
        form, networks = self._form(), self.networks or {}
        each = [network_of(one, form.kind(one), networks.get(one.name) or self._network) for one in self.modalities_]
        pair = build_multimodal(each, self.n_components, self.fusion)
        return Model(*pair, self._parts(), row_shape=self.format_.row_shape_)

    def _parts(self) -> Parts:
        parts, form = super()._parts(), self._form()
        blocks = [block_of(modality, form.kind(modality), self._fixed_sigma) for modality in self.modalities_]
        sizes = tuple(modality.size for modality in self.modalities_)
        weights = {term_of(name): weight for name, weight in self.block_weights_.items()}
        return replace(
            parts,
            bottleneck=GaussianBottleneck() if self.draws_codes else parts.bottleneck,
            likelihood=ProductLikelihood(blocks),
            hiding=partial(hide_modalities, sizes=sizes, level=self.modality_dropout),
            weights=parts.weights | weights | {"kl": self.beta},
        )
