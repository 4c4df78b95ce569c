"""The multimodal autoencoder."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottleneck import gaussian
from isthmus.core.categorical import CategoricalLikelihood
from isthmus.core.corruption import hide_modalities
from isthmus.core.likelihood import Block, Likelihood, ProductLikelihood, build_likelihood
from isthmus.core.model import Model
from isthmus.errors import InputError, InputTypeError, NewCategoryWarning, warn_caller
from isthmus.formats.checks import check_choice, check_number, check_random_state, check_scalar
from isthmus.formats.containers import back, container_of, plain
from isthmus.formats.frames import mask_of
from isthmus.formats.given import Given
from isthmus.formats.modalities import Modality, flat_rows, in_blocks, slices
from isthmus.formats.schema import put_known_cells, with_index
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.engine import decode, encode, rebuild
from isthmus.models.start import standardise
from isthmus.networks import Conv
from isthmus.networks.multimodal import Modality as NetworkModality
from isthmus.networks.multimodal import build_multimodal
from isthmus.networks.pair import start_at_zero
from isthmus.networks.parameters import Network

FUSIONS = ("concatenation", "product_of_experts")
KINDS = ("gaussian", "bernoulli", "categorical")


def _is_variational(model: Any) -> bool:
    return bool(model.fusion == "product_of_experts")


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
        β, the weight of the KL term, for ``product_of_experts``. All other parameters are those of
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
    blocks: Mapping[str, Sequence[Any]] | None = None
    networks: Mapping[str, Network] | None = None
    likelihoods: Mapping[str, Literal["gaussian", "bernoulli", "categorical"]] | None = None
    fusion: Literal["concatenation", "product_of_experts"] = "concatenation"
    modality_dropout: float = 0.3
    block_weights: Literal["balanced"] | Mapping[str, float] = "balanced"
    sigma: float | Literal["learned"] = "learned"
    beta: float = 1.0

    scales_itself: ClassVar[bool] = True

    def fit(self, X: Any, y: Any = None, **kept: Any) -> Self:
        """Train on rows of several modalities.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Of each modality images (n, height, width) or (n, channels, height, width), rows of numbers (n, features),
            numbers (n,) or labels (n,). uint8 images are taken as 0…255 and brought to [0, 1]. NaN, and None among
            labels, is missing; a modality is missing in a row where all of it is.
        y : ignored
            There for scikit-learn's sake.
        **kept
            `resume_from` and `checkpoint_minutes`, as :meth:`isthmus.Autoencoder.fit` takes them.

        Returns
        -------
        self

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
        return super().fit(X, y, **kept)

    def transform(self, X: Any, *, given: Sequence[str] | None = None) -> np.ndarray:
        """Encode rows to their codes; shape (n, n_components).

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out. Classes that were not there at ``fit`` count as missing.
        given : sequence of str, optional
            The modalities to encode from, of those that `X` has; None is all of them.
        """
        return self._in_batches(encode, self._shown(X, given))

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Decode codes of shape (n, n_components) to all modalities; see :meth:`reconstruct`."""
        return with_index(super().inverse_transform(Z), Z)

    def reconstruct(self, X: Any, *, given: Sequence[str] | None = None) -> Any:
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
        """
        return self._as_given(self._in_batches(rebuild, self._shown(X, given)), X)

    def predict_proba(self, X: Any, name: str, *, given: Sequence[str] | None = None) -> np.ndarray:
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
        """
        check_is_fitted(self)
        labels = [modality.name for modality in self.modalities_ if modality.classes is not None]
        check_choice("label", name, labels)

        def probabilities(model: Model, batch: Batch) -> Tensor:
            distribution: Any = model.decode(encode(model, batch))
            return distribution.blocks[_term(name)].logits.softmax(1)

        if given is not None:
            return self._in_batches(probabilities, self._shown(X, given))
        rows = self._given(X)
        rows.x[:, slices(self.modalities_)[name]] = np.nan
        return self._in_batches(probabilities, rows)

    def impute(self, X: Any, mask: Any = None, *, n_iter: int = 100) -> Any:
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
        """
        return self._impute(X, mask, n_iter, None)

    def score_samples(self, X: Any, *, per_feature: bool = False) -> Any:
        """Return log p(x | z) of each row in nats; higher is more usual. With ``product_of_experts`` it is the ELBO.

        Parameters
        ----------
        X : dict of str to array-like, or DataFrame
            Rows as in ``fit``; modalities may be left out. What is missing costs what it usually does, and a class that
            was not there at ``fit`` the most: see :meth:`isthmus.Autoencoder.score_samples`.
        per_feature : bool, default False
            Whether to return instead by how much each entry is likelier than it usually is, in nats.

        Returns
        -------
        ndarray of shape (n,), or dict of str to ndarray
            With `per_feature` a dict of arrays, shaped like the modalities, with NaN where these are missing; a
            DataFrame where ``fit`` was given one.
        """
        return self._score_samples(X, None, per_feature)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with `deep` those of the networks too, as ``networks__upper__hidden``."""
        params: dict[str, Any] = super().get_params(deep)
        if deep and isinstance(self.networks, Mapping):
            for name, network in self.networks.items():
                own = network.get_params() if hasattr(network, "get_params") else {}
                params |= {f"networks__{name}": network} | {f"networks__{name}__{key}": own[key] for key in own}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; ``networks__upper__hidden`` is that of the network named "upper"."""
        deep = {name: params.pop(name) for name in list(params) if name.startswith("networks__")}
        super().set_params(**params)
        for name, value in deep.items():
            self._set_network(name, value)
        return self

    def _set_network(self, parameter: str, value: Any) -> None:
        """Set one network, or a parameter of it, in a dict of its own: another estimator may have the same."""
        name = parameter.removeprefix("networks__")
        networks = dict(self.networks or {})
        owner = next((owner for owner in networks if name == owner or name.startswith(f"{owner}__")), None)
        if owner is None:
            raise InputError(
                f"{parameter}={value!r}: networks names {_listed(networks) or 'none'}; give it there first"
            )
        key = name.removeprefix(owner).removeprefix("__")
        networks[owner] = clone(networks[owner]).set_params(**{key: value}) if key else value
        self.networks = networks

    @available_if(_is_variational)  # type: ignore[untyped-decorator]
    def sample(self, n_samples: int = 1, *, noise: bool = False, random_state: Any = None) -> Any:
        """Generate rows of all modalities: draw codes from N(0, 1) and decode them; for ``product_of_experts``.

        Parameters
        ----------
        n_samples : int, default 1
            How many.
        noise : bool, default False
            Whether rows are drawn from p(x | z), each modality from its likelihood, or are its mean and the most
            probable labels.
        random_state : int, RandomState or None, default None
            An int gives the same rows each time.

        Returns
        -------
        dict of str to ndarray, or DataFrame
            What comes back is described in :meth:`reconstruct`.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        random = check_random_state(random_state)
        codes = random.standard_normal((n_samples, self.n_components)).astype(np.float32)
        seed, device = int(random.randint(2**31 - 1)), next(self.module_.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)

        def draw(model: Model, batch: Batch) -> Tensor:
            return model.decode(batch.x).sample(generator)

        return self._as_given(self._in_batches(draw if noise else decode, Given(codes)))

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that rows come in a dict."""
        tags = super().__sklearn_tags__()
        tags.input_tags.dict, tags.input_tags.two_d_array, tags.input_tags.sparse = True, False, False
        return tags

    @property
    def sigmas_(self) -> dict[str, float]:
        """σ of each Gaussian modality, given or learnt."""
        check_is_fitted(self)
        likelihood: Any = self.module_.likelihood
        sigmas = [getattr(block.likelihood, "sigma", None) for block in likelihood.blocks]
        named = zip(self.modalities_, sigmas, strict=True)
        return {modality.name: float(torch.as_tensor(sigma).detach()) for modality, sigma in named if sigma is not None}

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for the first parameter without a meaning."""
        super().check_parameters()
        check_choice("fusion", self.fusion, FUSIONS)
        check_number("modality_dropout", self.modality_dropout, min_val=0, max_val=1)
        check_number("beta", self.beta, min_val=0)
        for name in ("blocks", "networks", "likelihoods"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Mapping):
                raise InputTypeError(f"{name}={value!r}: give a dict by the modalities' names, or None")
        for name, network in (self.networks or {}).items():
            if not hasattr(network, "build"):
                raise InputTypeError(
                    f"networks[{name!r}]={network!r}: give MLP(...), Conv(...), Modules(...) or leave it out"
                )
        for name, kind in (self.likelihoods or {}).items():
            check_choice(f"likelihoods[{name!r}]", kind, KINDS)
        if isinstance(self.block_weights, Mapping):
            for name, weight in self.block_weights.items():
                check_number(f"block_weights[{name!r}]", weight, min_val=0)
        else:
            check_choice("block_weights", self.block_weights, ("balanced",))
        self._check_meaning()

    def _check_meaning(self) -> None:
        """Raise ValueError for inherited parameters without a meaning here."""
        if self.corruption is not None:
            raise InputError(f"corruption={self.corruption!r} has no meaning here: modality_dropout hides modalities")
        if self.contraction_weight:
            raise InputError("contraction_weight has no meaning for rows of several modalities: leave it at 0")
        if self.sparsity == "kl" or (self.sparsity == "topk" and _is_variational(self)):
            raise InputError(f"sparsity={self.sparsity!r} has no meaning for this code: give 'l1' or None")
        if self.beta != type(self).beta and not _is_variational(self):
            raise InputError(f"beta={self.beta!r} weighs the KL term of fusion='product_of_experts': leave it out")

    def _rows(self, X: Any, *, reset: bool) -> np.ndarray:
        """Validate once, at the door; return flat rows, the modalities one after the other."""
        values = in_blocks(X, self.blocks)
        if reset:
            self._learn_modalities(X, values)
        rows = flat_rows(self.modalities_, values)
        least = 2 if reset else 1
        if len(rows) < least:
            raise InputError(f"X has {len(rows)} rows: give at least {least}")
        return rows

    def _learn_modalities(self, X: Any, values: Mapping[str, Any]) -> None:
        """Note what the modalities are."""
        self.__dict__.pop("feature_names_in_", None)
        for parameter in ("networks", "likelihoods", "block_weights"):
            named = getattr(self, parameter)
            unknown = [name for name in (named if isinstance(named, Mapping) else ()) if name not in values]
            if unknown:
                raise InputError(f"{parameter} names {unknown[0]!r}, which X does not hold: it holds {_listed(values)}")
        if not values:
            raise InputError("X holds no modality: give a dict such as {'image': …, 'label': …}")
        wrong = [name for name in values if not isinstance(name, str)]
        if wrong:
            raise InputTypeError(f"X has a modality by the name {wrong[0]!r}: give names as text")
        framed = container_of(X) is not None
        kinds = self.likelihoods or {}
        self.modalities_ = tuple(
            Modality.learn(
                name,
                value,
                kinds[name] == "categorical" if name in kinds else None,
                (self.blocks or {})[name] if framed else None,
            )
            for name, value in values.items()
        )
        if framed:
            self.feature_names_in_ = np.array(plain(X).columns, dtype=object)
        self.n_features_in_ = sum(modality.size for modality in self.modalities_)
        self.row_shape_ = (self.n_features_in_,)

    def _learn_rows(self, X: Any, y: Any, *, reset: bool) -> Given:
        given = super()._learn_rows(X, y, reset=reset)
        if not reset:
            self._tell_of_new_classes(X)
        if reset or isinstance(self.block_weights, Mapping):
            self.block_weights_ = self._weights(given.x)
        return given

    def _fitted_rows(self, X: Any, *, targets: bool = False) -> np.ndarray:
        rows = super()._fitted_rows(X, targets=targets)
        self._tell_of_new_classes(X)
        return rows

    def _tell_of_new_classes(self, X: Any) -> None:
        """Warn where rows hold a class that was not there at the first fit: it has no unit."""
        values = in_blocks(X, self.blocks)
        marked = flat_rows(self.modalities_, values, mark_new=True)
        for modality, part in self._parts_of_a_row():
            if modality.classes is None or modality.name not in values:
                continue
            new = marked[:, part][:, 0] == len(modality.classes)
            if new.any():
                unseen = np.asarray(plain(values[modality.name]), dtype=object)[new][0]
                warn_caller(
                    f"modality {modality.name!r} holds the class {unseen!s}, which was not there at the first fit: it "
                    "is taken for missing, and not learnt; fit anew on all rows to learn it",
                    NewCategoryWarning,
                )

    def _weights(self, rows: np.ndarray) -> dict[str, float]:
        """Return the weight of each modality's term, by what its training rows would cost at their mean."""
        if isinstance(self.block_weights, Mapping):
            return {modality.name: float(self.block_weights.get(modality.name, 1)) for modality in self.modalities_}
        sigma = None if isinstance(self.sigma, str) else self.sigma
        costs = {
            modality.name: cost_at_mean(rows[:, part].astype(float), self._kind(modality), sigma)
            for modality, part in self._parts_of_a_row()
        }
        fair = np.mean([cost for cost in costs.values() if cost > 0] or [1])
        return {name: float(fair / cost) if cost > 0 else 1.0 for name, cost in costs.items()}

    def _kind(self, modality: Modality) -> str:
        """Return the name of a modality's likelihood."""
        if modality.classes is not None:
            return "categorical"
        return (self.likelihoods or {}).get(modality.name, self.likelihood)

    def _parts_of_a_row(self) -> list[tuple[Modality, slice]]:
        """Return each modality, and where it is in a flat row."""
        return list(zip(self.modalities_, slices(self.modalities_).values(), strict=True))

    def _check_columns(self, rows: np.ndarray) -> None:
        for modality, part in self._parts_of_a_row():
            missing = np.isnan(rows[:, part]).all(0)
            if missing.any():
                place = np.unravel_index(int(missing.argmax()), modality.shape or (1,))
                where = f"entry {', '.join(map(str, place))}"
                raise InputError(f"modality {modality.name!r} is missing in every row at {where}: leave that out")

    def _check_targets(self, rows: np.ndarray) -> None:
        for modality, part in self._parts_of_a_row():
            cells = rows[:, part]
            if self._kind(modality) != "bernoulli" or np.isnan(cells).all():
                continue
            low, high = np.nanmin(cells), np.nanmax(cells)
            if low < 0 or high > 1:
                raise InputError(
                    f"likelihood 'bernoulli' needs numbers in [0, 1], and modality {modality.name!r} reaches from "
                    f"{low:g} to {high:g}: scale it, or take 'gaussian'"
                )

    def _shown(self, X: Any, given: Sequence[str] | None) -> Given:
        """Return rows for use, of which the modalities `given` are shown."""
        rows = self._given(X).x
        if given is None:
            return Given(rows)
        if isinstance(given, str):
            raise InputTypeError(f"given={given!r}: give a list of modalities, such as [{given!r}]")
        if not len(given):
            raise InputError("given names no modality: name those to encode from, or leave it out for all that X holds")
        held = in_blocks(X, self.blocks)
        for name in given:
            check_choice("modality", name, [modality.name for modality in self.modalities_])
            if name not in held:
                raise InputError(f"given names {name!r}, which X does not hold: it holds {_listed(held)}")
        for name, part in slices(self.modalities_).items():
            if name not in given:
                rows[:, part] = np.nan
        return Given(rows)

    def _learn_frame(self, X: Any, rows: np.ndarray, *, reset: bool) -> None:
        if container_of(X) is not None:
            rows = self._by_column(rows)
        super()._learn_frame(X, rows, reset=reset)

    def _framed(self, like: Any) -> bool:
        return False

    def _in_form_of(self, rows: np.ndarray, like: Any = None) -> Any:
        if hasattr(self, "feature_names_in_"):
            return self._in_container(with_index(self._as_frame(rows), like), like)
        return {modality.name: modality.decode(rows[:, part]) for modality, part in self._parts_of_a_row()}

    def _as_frame(self, rows: np.ndarray) -> pd.DataFrame:
        """Return flat rows as the columns given to ``fit``, in their order and dtypes."""
        columns = [column for modality in self.modalities_ for column in modality.fields]
        names = list(self.feature_names_in_)
        if hasattr(self, "frame_"):  # which older models have not
            places = [names.index(column.name) for column in columns]
            rows = rows.clip(np.array(self.frame_.low)[places], np.array(self.frame_.high)[places])
        decoded = {column.name: column.decode(rows[:, [i]]) for i, column in enumerate(columns)}
        return pd.DataFrame({name: decoded[name] for name in self.feature_names_in_})

    def _in_container(self, frame: pd.DataFrame, like: Any) -> Any:
        """Return a frame as the dataframe that `like` is, or that ``fit`` was given."""
        frame_ = getattr(self, "frame_", None)
        return back(frame, container_of(like) or (None if frame_ is None else frame_.container))

    def _by_column(self, cells: np.ndarray) -> np.ndarray:
        """Put what is one an entry of flat rows into the order of the columns given to ``fit``."""
        names = [name for modality in self.modalities_ for name in modality.columns or ()]
        return cells[:, [names.index(name) for name in self.feature_names_in_]]

    def _impute(self, X: Any, mask: Any, n_iter: int, y: Any) -> Any:
        """Fill in entries, and put the known ones of a frame itself beside them."""
        filled: Any = super()._impute(X, mask, n_iter, y)
        marked = self.rows_to_score(X).x  # in which a class that is new is known
        known = ~np.isnan(marked)
        if mask is not None:
            known &= ~self._row_mask(mask, known.shape)
        if container_of(X) is None:
            new = self._new_categories(marked)
            return filled if new is None else self._with_new_classes(filled, X, new & known)
        filled, X, like = plain(filled), plain(X), X
        return back(
            put_known_cells(filled, X.reindex(columns=filled.columns), self._by_column(known)), container_of(like)
        )

    def _with_new_classes(self, filled: dict[str, Any], X: Mapping[str, Any], new: np.ndarray) -> dict[str, Any]:
        """Put classes that were not there at ``fit`` back in their places: nothing was missing there."""
        for modality, part in self._parts_of_a_row():
            is_new = new[:, part].any(axis=1)
            if modality.classes is not None and is_new.any():
                given = np.asarray(plain(X[modality.name]), dtype=object)
                labels = filled[modality.name]
                filled[modality.name] = np.where(
                    is_new, given.astype(str) if labels.dtype.kind == "U" else given, labels
                )
        return filled

    def shares_as_given(self, shares: np.ndarray, X: Any) -> Any:
        """Return scores of entries by modality, or as a frame's columns."""
        if container_of(X) is not None:
            frame = pd.DataFrame(self._by_column(shares), columns=self.feature_names_in_)
            return self._in_container(with_index(frame, X), X)
        return {
            modality.name: shares[:, part].reshape(-1, *modality.shape) for modality, part in self._parts_of_a_row()
        }

    def rows_to_score(self, X: Any, y: Any = None) -> Given:
        """Validate rows to be scored; a class that was not there at ``fit`` is marked, not NaN."""
        check_is_fitted(self)
        rows = flat_rows(self.modalities_, in_blocks(X, self.blocks), mark_new=True)
        if not len(rows):
            raise InputError("X has 0 rows: give at least 1")
        self._check_targets(rows)
        return Given(rows)

    def _new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        n_classes = [
            np.inf if modality.classes is None else len(modality.classes)
            for modality in self.modalities_
            for _ in range(modality.size)
        ]
        new = rows >= np.array(n_classes)
        return new if new.any() else None

    def _row_mask(self, mask: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return a mask for flat rows, from a dict of masks or a frame of them."""
        if not isinstance(mask, Mapping) and hasattr(self, "feature_names_in_"):
            return self._mask_of_columns(plain(mask), shape[0])
        masks = mask if isinstance(mask, Mapping) else in_blocks(mask, self.blocks)
        marked = np.zeros(shape, dtype=bool)
        for name in masks:
            check_choice("modality", name, slices(self.modalities_))
        for modality, part in self._parts_of_a_row():
            one = np.asarray(masks.get(modality.name, False))
            if one.dtype != bool:
                raise InputError(f"mask holds {one.dtype} for {modality.name!r}: give True where a value is missing")
            whole = (shape[0], *modality.shape)
            if one.shape not in ((), modality.shape, whole):
                raise InputError(f"mask has the shape {one.shape} for {modality.name!r}: give {whole}")
            marked[:, part] = np.broadcast_to(one, whole).reshape(shape[0], -1)
        return marked

    def _mask_of_columns(self, mask: Any, n: int) -> np.ndarray:
        """Return a mask for flat rows from one for a frame's columns, which may be without whole blocks."""
        flat = [name for modality in self.modalities_ for name in modality.columns or ()]
        there = set(mask.columns if isinstance(mask, pd.DataFrame) else flat)
        blocks = [set(modality.columns or ()) for modality in self.modalities_]
        may_lack = set().union(*(block for block in blocks if there and not block & there))
        names = list(self.feature_names_in_)
        marked = mask_of(mask, names, (n, len(names)), may_lack=may_lack)
        return marked[:, [names.index(name) for name in flat]]

    def _decode_each(self, codes: np.ndarray, context: np.ndarray | None) -> Any:
        """Decode codes of shape (n, steps, n_components) to a dict of arrays of shape (n, steps, ...)."""
        n, steps, units = codes.shape
        rows = self._in_batches(decode, Given(codes.reshape(-1, units)))
        return {
            modality.name: modality.decode(rows[:, part]).reshape(n, steps, *modality.shape)
            for modality, part in self._parts_of_a_row()
        }

    def _has_point_code(self) -> bool:
        return not _is_variational(self)

    def _input_width(self) -> int:
        return max(modality.size for modality in self.modalities_)

    def _build(self) -> Model:
        pair = build_multimodal([self._part(modality) for modality in self.modalities_], self.n_components, self.fusion)
        return Model(*pair, row_shape=self.row_shape_, **self._parts())

    def _part(self, modality: Modality) -> NetworkModality:
        """Return what the networks need to know of a modality."""
        network = (self.networks or {}).get(modality.name) or self._network()
        if isinstance(network, Conv):
            network = replace(network, refine=False)  # no modality starts at its own PCA
        kind = self._kind(modality)
        if kind != "gaussian" and getattr(network, "output_activation", None) is not None:
            raise InputError(
                f"modality {modality.name!r} is {kind}, which has its activation in itself: give it a network with "
                "output_activation=None"
            )
        return NetworkModality(network, modality.shape, len(modality.classes or ()))

    def _parts(self) -> dict[str, Any]:
        parts = super()._parts()
        sizes = tuple(modality.size for modality in self.modalities_)
        parts["likelihood"] = ProductLikelihood([self._block(modality) for modality in self.modalities_])
        parts["hiding"] = partial(hide_modalities, sizes=sizes, level=self.modality_dropout)
        parts["weights"] |= {_term(name): weight for name, weight in self.block_weights_.items()}
        if _is_variational(self):
            parts["bottleneck"] = gaussian
            parts["weights"]["kl"] = self.beta
        return parts

    def _block(self, modality: Modality) -> Block:
        """Return the likelihood of a modality, and its place."""
        n_classes = len(modality.classes or ())
        sigma = None if isinstance(self.sigma, str) else float(self.sigma)
        likelihood: Likelihood = (
            CategoricalLikelihood.of_sizes((n_classes,)) if n_classes else build_likelihood(self._kind(modality), sigma)
        )
        return Block(_term(modality.name), likelihood, modality.size, n_classes or modality.size)

    def _start(self, model: Model, rows: Batch, seed: int) -> None:
        """Standardise each modality's pair, have its decoder begin at the mean, and set what is learnt of σ."""
        encoder: Any = model.encoder
        decoder: Any = model.decoder
        likelihood: Any = model.likelihood
        parts = zip(
            encoder.encoders,
            encoder.shapes,
            decoder.decoders,
            likelihood.blocks,
            slices(self.modalities_).values(),
            strict=True,
        )
        for its_encoder, shape, its_decoder, block, part in parts:
            x = rows.x[:, part]
            if rows.known is not None:
                x = x[rows.known[:, part].any(1)]
            if getattr(its_encoder, "centre", None) is not None:
                standardise(Model(its_encoder, its_decoder, likelihood=block.likelihood, inputs=shape), Batch(x))
                if its_decoder.path.linear is not None:
                    start_at_zero(its_decoder.path.linear)
        super()._start(model, rows, seed)


def cost_at_mean(cells: np.ndarray, likelihood: str, sigma: float | None) -> float:
    """Return what rows cost at their mean, or class frequencies, above a perfect rebuild, in nats a row.

    Parameters
    ----------
    cells : ndarray of float, of shape (n, size)
        The rows, with NaN where they are not known; a label is the index of its class.
    likelihood : {"gaussian", "bernoulli", "categorical"}
        What they are held against.
    sigma : float or None
        Of a Gaussian; None is the rows' own root mean variance, where it is most likely.

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> cost_at_mean(rows, "gaussian", sigma=0.5), cost_at_mean(rows, "gaussian", sigma=None)
    (0.5, 1.0)
    >>> round(cost_at_mean(rows, "bernoulli", None), 3)  # log 2
    0.693
    """
    if likelihood == "categorical":
        classes = cells[~np.isnan(cells)].astype(int)
        return float(_entropy(np.bincount(classes) / len(classes)).sum())
    if likelihood == "bernoulli":
        mean = np.nanmean(cells, 0)
        lost = _entropy(mean) + _entropy(1 - mean) - np.nanmean(_entropy(cells) + _entropy(1 - cells), 0)
        return float(lost.sum())
    variance = float(np.nanvar(cells, 0).sum())
    if sigma is None:
        return 0.5 * cells.shape[1] * (variance > 0)
    return 0.5 * variance / sigma**2


def _entropy(p: np.ndarray) -> np.ndarray:
    """Return −p log p, 0 where p is."""
    return -p * np.log(np.where(p == 0, 1, p))


def _term(name: str) -> str:
    """Return what a modality's term is called."""
    return f"reconstruction_{name}"


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
