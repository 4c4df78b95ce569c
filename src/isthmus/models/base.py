"""The face: one abstract scikit-learn estimator that every family is a choice of parts of."""

import math
import numbers
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottleneck import LEAST_CHANGE, are_on, soft_threshold, top_k
from isthmus.core.corruption import CORRUPTIONS, HIDINGS, NOISES, hide_patches
from isthmus.core.imputation import fill_in
from isthmus.core.likelihood import LIKELIHOODS, build_likelihood
from isthmus.core.model import Model
from isthmus.core.penalty import contractive, kl_sparsity, l1, weight_decay
from isthmus.core.score import entry_scores, learn_usual, row_scores
from isthmus.errors import InputError, InputTypeError, users_mistake
from isthmus.formats.checks import check_array, check_random_state, check_scalar, column_or_1d, validate_data
from isthmus.formats.containers import back, by_pieces, container_of, plain
from isthmus.formats.frames import Frame, mask_of, squeezed
from isthmus.formats.names import columns_of_ids
from isthmus.formats.rows import (
    Rows,
    are_bytes,
    check_finite,
    check_shape,
    flatten,
    in_unit_interval,
    text_error,
    where_text_is,
)
from isthmus.formats.schema import with_index
from isthmus.models.checks import check_choice, check_number, warn_caller
from isthmus.models.engine import (
    PRECISIONS,
    Given,
    check_single_rows,
    chosen_precision,
    decode,
    encode,
    fabric_speaks,
    in_batches,
    inference_batch,
    new_fabric,
    out_of_memory_in_one_line,
    plain_torch,
    put_known,
    rebuild,
    row_width,
    to_batch,
    work_of_a_row,
)
from isthmus.models.interpolation import spherical, straight
from isthmus.models.kept import kept_start, why_start_is_kept
from isthmus.models.saved import check_keepable, plain_params, save_estimator, unsaved_params
from isthmus.models.scale import HOW_TO_STANDARDISE, Scaling, check_size, constant_fault, spread_fault, unequal_fault
from isthmus.models.start import start_model
from isthmus.networks import MLP, Conv, Modules, Transformer
from isthmus.networks.parameters import Network
from isthmus.randomness import DrawingFrom, building, generator_of
from isthmus.saving.untrusted import check_dtypes, float_dtype
from isthmus.threads import suited_to
from isthmus.training import EarlyStopping, Progress, State, new_state, run
from isthmus.training.callbacks import Callback
from isthmus.training.keeper import Checkpoints
from isthmus.training.settings import checksum

REVIVAL_WEIGHT = 1 / 8
"""Weight of the term that keeps units of a top-k code alive; Gao et al. 2024 (§2.4) have 1/32 for theirs."""

MOST_DEAD = 0.1
"""Share of a code's units that may be dead before it is told of; one unit may in any case."""

SIGMA_ROWS = 2048
"""Training rows by which a σ that is learnt is set after each epoch, at the most."""

ENOUGH_TO_CHOOSE_BY = 50
"""Held-out rows under which the choice of the best epoch is a matter of luck."""


@dataclass(eq=False, repr=False)
class AbstractAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """What all families share; each is this with other defaults.

    Every parameter is documented in :class:`isthmus.Autoencoder`.
    """

    n_components: int = 2
    _: KW_ONLY
    network: Network | None = None
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    sigma: float | Literal["learned"] = 1.0
    scale: Literal["standard", "auto"] | None = None
    corruption: Literal["gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"] | None = None
    corruption_level: float = 0.25
    sparsity: Literal["kl", "l1", "topk"] | None = None
    sparsity_target: float = 0.05
    sparsity_weight: float = 0.1
    k: int | None = None
    contraction_weight: float = 0.0
    weight_decay: float = 0.0
    max_epochs: int | None = None
    batch_size: int = 128
    lr: float = 2e-3
    lr_schedule: Literal["one_cycle", "constant"] = "one_cycle"
    max_grad_norm: float | None = None
    on_nonfinite: Literal["roll_back", "raise"] = "roll_back"
    validation_fraction: float | None = 0.1
    early_stopping: bool = False
    patience: int = 10
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    device: str = "auto"
    precision: str = "auto"
    callbacks: Sequence[Callback] = ()
    verbose: int = 0

    default_network: ClassVar[type[Any]] = MLP
    scales_itself: ClassVar[bool] = False

    def fit(
        self, X: ArrayLike, y: Any = None, *, resume_from: str | Path | None = None, checkpoint_minutes: float = 10
    ) -> Self:
        """Train on the rows of `X`.

        Parameters
        ----------
        X : array-like, Tensor or DataFrame of shape (n, features), (n, height, width) or (n, channels, height, width)
            Numbers; uint8 arrays are taken as 0…255 and brought to [0, 1]. NaN is a value that is not known: it takes
            no part in the reconstruction term, and the encoder is shown the mean of the others in its place.
        y : ignored
            There for scikit-learn's sake.
        resume_from : path, optional
            A folder in which the run is kept while it goes: at the end of epochs, as often as that takes a twentieth of
            the time at the most, every `checkpoint_minutes` in any case, and at the end. Where it holds a checkpoint
            already, of a run that was stopped or killed, that run goes on from there, to the bit as if nothing had
            happened; else it begins. Ctrl-C and SIGTERM then wait for the end of a step and its checkpoint. Callbacks
            of your own are not told again of epochs that are done.
        checkpoint_minutes : float, default 10
            The longest time between two checkpoints, also inside an epoch; see `resume_from`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is no table of numbers with two rows or more, a parameter has no meaning, or `resume_from` holds a
            run with other rows or other parameters.
        FloatingPointError
            If the loss becomes NaN or infinite, and going back and on at half the learning rate did not help.
        OSError
            If the run cannot be kept, or another process keeps one there; what was kept before is untouched.
        MemoryError
            If memory has run out.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If no epoch was better on the held-out rows, by more than three standard errors, than the start, which is
            then what is kept.
        """
        go_on = self.warm_start and hasattr(self, "module_")
        with self._fitting():
            fabric, rows, seed = self._prepare(X, y, reset=not go_on)
            kept = None
            if resume_from is not None:
                check_number("checkpoint_minutes", checkpoint_minutes, min_val=0)
                about = {"seed": seed, "precision": str(rows.x.dtype), "rows": checksum(rows)}
                about |= {"params": plain_params(self), "unsaved": unsaved_params(self), "warm": go_on}
                kept = Checkpoints(resume_from, checkpoint_minutes, about)
                seed = kept.about["seed"]
            generator = torch.Generator(fabric.device).manual_seed(seed)
            train, validation = self._split(rows, generator)
            model = self._continued(rows) if go_on else self._new_model(rows, seed, train)
            rows = model.filled(rows)
            if kept is not None:
                check_keepable(self, model.state_dict())
            train, validation = train.of(rows), None if validation is None else validation.of(rows)
            epochs = self._default_epochs(rows.n_rows) if self.max_epochs is None else self.max_epochs
            steps = epochs * train.n_batches(self.batch_size)
            state = new_state(model, self.lr, generator, self.lr_schedule, steps)
            if go_on:
                model.warm_up.clear()  # each fit would begin it anew
            self._train(fabric, state, train, validation, epochs=epochs, seed=seed, kept=kept)
        self.__dict__.pop("_state", None)  # of a partial_fit before
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train for one epoch on all rows of `X`, at the constant learning rate `lr`.

        The first call builds the network and starts it at the PCA of its rows; those that follow go on from there with
        the optimiser as it was left, and with the parameters of the first, but for `lr`. A model that was fitted or
        loaded goes on with a new optimiser. Arguments and errors are those of :meth:`fit`.
        """
        first = not hasattr(self, "module_")
        with self._fitting():
            fabric, rows, seed = self._prepare(X, y, reset=first)
            self.held_out_ = np.array([], int)
            state = getattr(self, "_state", None)
            if first or state is None:
                model = self._new_model(rows, seed, Rows(rows)) if first else self._continued(rows)
                generator = torch.Generator(fabric.device).manual_seed(seed)
                state = new_state(model, self.lr, generator, "constant", 0)
                state.history = list(getattr(self, "history_", []))
                state.epoch = len(state.history)
            state.best = None  # there are no held-out rows here, and those of a fit before must not undo the epoch
            state.set_learning_rate(self.lr)
            state.start = None  # other rows may have other errors
            train = Rows(state.model.filled(rows))
            self._train(fabric, state, train, None, epochs=state.epoch + 1, seed=seed + state.epoch, anew=first)
            self._state = state
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode rows to their codes, the code's mean.

        Returns
        -------
        ndarray of shape (n, n_components)
            In the dtype of `X`, in which the computation is done.
        """
        return by_pieces(lambda rows: self._in_batches(self._encoding, self._given(rows)), X)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Decode codes of shape (n, n_components) to rows, the mean of their distribution, shaped as in ``fit``.

        Where ``fit`` was given a DataFrame one comes back, with the index of `Z` where that has one.
        """
        return with_index(self._as_given(self._in_batches(decode, Given(self._fitted_codes(Z)))), Z)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Encode and decode rows; the result is shaped like the rows given to ``fit``, in the units of `X`.

        A DataFrame where ``fit`` was given one and `X` is one, of the kind that `X` is (pandas, polars, Arrow) and with
        its index: of the dtypes of ``fit``, what was whole or decimals rounded, each column within the range that it
        had there.
        """
        return self._as_given(self._in_batches(rebuild, self._given(X)), X)

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
        """
        return self._impute(X, mask, n_iter, None)

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
        """
        return self._interpolate(A, B, n_steps, path, None)

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
        """
        return self._traverse(X, unit, values, None)

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
        """
        return self._score_samples(X, None, per_feature)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean of ``score_samples(X)`` in nats; higher is better, so a grid search may maximise it."""
        return float(self.score_samples(X).mean())

    def save(self, folder: str | Path) -> None:
        """Save to a folder: ``config.json`` and ``model.safetensors``; :func:`isthmus.load` reads it. No pickle.

        Callbacks are not saved, nor is a `random_state` that is no number. Of a subclass of your own its parameters
        and its import path are saved, not its code or what it learns beside: ``isthmus.load(folder, trusted=[Mine])``
        gives it back.

        Raises
        ------
        FileExistsError
            If `folder` is there and is no model of isthmus.
        OSError
            If it cannot be written.
        """
        check_is_fitted(self)
        save_estimator(self, folder)

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; ``network__hidden`` and its like also where `network` is still the default."""
        if self.network is None and "network" not in params and any(name.startswith("network__") for name in params):
            self.network = self.default_network()
        with users_mistake():
            super().set_params(**params)
        return self

    @property
    def n_iter_(self) -> int:
        """How many epochs were run."""
        check_is_fitted(self)
        return len(self.history_)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that NaN is welcome, and so are sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags

    @property
    def sigma_(self) -> float:
        """σ of a Gaussian likelihood, given or learnt, in the units of X, or of standardised rows (`scale`)."""
        check_is_fitted(self)
        if self.likelihood != "gaussian":
            raise AttributeError("a Bernoulli likelihood has no sigma_")
        sigma: Any = self.module_.likelihood.sigma  # type: ignore[attr-defined]
        return float(sigma.item() if isinstance(sigma, Tensor) else sigma)

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    @property
    def _encoding(self) -> Callable[[Model, Batch], Tensor]:
        """What ``transform`` gives."""
        return encode

    def restore(self, tensors: dict[str, Tensor]) -> Self:
        """Rebuild ``module_`` from saved weights; for :func:`isthmus.load`, which has set the other attributes.

        Weights on the "meta" device make a model without numbers there.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            If a parameter has no meaning, or weights have other names, shapes or dtypes than the model's.
        """
        self._check_parameters()
        dtype = float_dtype(tensors)
        with building(torch.Generator()):
            module = self._build()
        module.to(next(iter(tensors.values())).device, dtype).load_state_dict(tensors)
        check_dtypes(module.state_dict(), tensors)
        self.module_ = module.eval()
        return self

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Put all attributes back where something is raised: a fit that fails leaves the last one as it was.

        What is done beside the steps of the training, and PCA, repays no more than one thread.
        """
        before = dict(self.__dict__)
        try:
            with (
                out_of_memory_in_one_line(),
                suited_to(0),
                fabric_speaks(self.verbose),
                plain_torch(),
                torch.enable_grad(),
            ):
                yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _prepare(self, X: ArrayLike, y: Any, *, reset: bool) -> tuple[Fabric, Batch, int]:
        """Check parameters and rows, and bring the rows, with NaN where they have it, to the device."""
        self._check_parameters()
        given = self._learn_rows(X, y, reset=reset)
        before = None if reset else next(self.module_.parameters()).dtype
        precision = chosen_precision(self.precision, self.device, given.x, before)
        fabric = new_fabric(self.device, precision)
        dtype = torch.float64 if precision.startswith("64") else torch.float32
        check_size(given.values, torch.finfo(dtype).max)
        if reset:
            self._warn_of_scale(given.x)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return fabric, to_batch(given, dtype, fabric.device), seed

    def _learn_rows(self, X: ArrayLike, y: Any, *, reset: bool) -> Given:
        """Check rows to be trained on, note what will be needed of them, and return them as the model takes them."""
        rows = self._rows(X, reset=reset)
        if reset:
            self._check_columns(rows)
        self._check_targets(rows)
        self._learn_frame(X, rows, reset=reset)
        rows = self._learn_scale(rows) if reset else self.scaled(rows)
        return Given(rows, self._learn_context(y, len(rows), reset=reset))

    def _learn_frame(self, X: Any, rows: np.ndarray, *, reset: bool) -> None:
        """Note what a dataframe is, so that rows can come back as one, and how far its columns reach."""
        container = container_of(X)
        if reset:
            self.__dict__.pop("frame_", None)
            if container is not None:
                self.frame_ = Frame.learn(X, rows, container)
                ids = columns_of_ids(plain(X))
                if ids:
                    warn_caller(f"column {ids[0]!r} numbers the rows, and measures nothing: drop it (--drop {ids[0]})")
        elif hasattr(self, "frame_"):
            self.frame_ = self.frame_.widened(rows)

    def _learn_scale(self, rows: np.ndarray) -> np.ndarray:
        """Note mean and spread of training rows, where they are to be standardised, and return them so."""
        if self.scales_itself:
            return rows
        for name in ("mean_", "scale_"):
            self.__dict__.pop(name, None)
        check_size(rows, float(np.finfo(float).max), "divide it")
        fault = self._scale_fault(rows) if self.scale == "auto" else None
        if self.scale is None or (self.scale == "auto" and fault is None):
            return rows
        if fault is not None:
            warn_caller(f"{fault}: it is standardised, as scale='auto' says")
        scaling = Scaling.learn(rows)
        self.mean_, self.scale_ = scaling.mean, scaling.scale
        return scaling.apply(rows)

    def _warn_of_scale(self, rows: np.ndarray) -> None:
        """Warn of training rows, as the model will know them, on a scale that does harm."""
        if self.scales_itself:
            return
        fault = self._scale_fault(rows)
        if fault is not None:
            cures = [HOW_TO_STANDARDISE] * (self.scale is None) + ["give sigma='learned'"] * ("sigma=" in fault)
            warn_caller(f"{fault}: {', or '.join(cures)}")
        constant = constant_fault(rows, self._column_names(rows)) if self._is_table(rows) else None
        if constant is not None:
            warn_caller(constant)

    def _scale_fault(self, rows: np.ndarray) -> str | None:
        """Say what of the rows' scale does harm; None where nothing does."""
        fixed = None if self.likelihood != "gaussian" or isinstance(self.sigma, str) else float(self.sigma)
        unequal = unequal_fault(rows, self._column_names(rows)) if self._is_table(rows) else None
        return unequal or spread_fault(rows, fixed)

    def _is_table(self, rows: np.ndarray) -> bool:
        return rows.ndim == 2 and self.likelihood == "gaussian"

    def _column_names(self, rows: np.ndarray) -> Sequence[Any]:
        names: Sequence[Any] = getattr(self, "feature_names_in_", range(rows.shape[1]))
        return names

    @property
    def _scaling(self) -> Scaling | None:
        """What rows are standardised by inside; None where they are not, or a network does so itself."""
        if self.scales_itself or not hasattr(self, "scale_"):
            return None
        return Scaling(self.mean_, self.scale_, self.row_shape_)

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Return rows as the model knows them."""
        return rows if self._scaling is None else self._scaling.apply(in_unit_interval(rows))

    def unscaled(self, rows: np.ndarray) -> np.ndarray:
        """Return the model's rows, of shape (..., *row_shape), in the units of `X`."""
        return rows if self._scaling is None else self._scaling.undo(rows)

    def _default_epochs(self, rows: int) -> int:
        """Return how many epochs that many rows get where nothing is said of it."""
        return default_epochs(rows)

    def _largest_gradient(self) -> float | None:
        """Return what the norm of the gradient is cut to in training."""
        return self.max_grad_norm

    def _learn_context(self, y: Any, n: int, *, reset: bool) -> np.ndarray | None:
        """Return what encoder and decoder are told beside the rows in training."""
        return None

    def context(self, y: Any, n: int) -> np.ndarray | None:
        """Return what encoder and decoder are told beside `n` rows of condition `y`; for most families nothing."""
        return None

    @property
    def takes_conditions(self) -> bool:
        """Whether ``fit`` needs conditions `y`, and the other methods take them."""
        return False

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for the first parameter without a meaning."""
        whole = ["n_components", "batch_size", "patience"]
        whole += [name for name in ("max_epochs", "k") if getattr(self, name) is not None]
        for name in whole:
            check_scalar(getattr(self, name), name, numbers.Integral, min_val=1)
        for name in ("sparsity_weight", "contraction_weight", "weight_decay", "corruption_level"):
            check_number(name, getattr(self, name), min_val=0)
        between = {"min_val": 0, "include_boundaries": "neither"}
        check_number("lr", self.lr, **between)
        if isinstance(self.sigma, str):
            check_choice("sigma", self.sigma, ("learned",))
        else:
            check_number("sigma", self.sigma, **between)
        if self.likelihood == "bernoulli" and self.sigma != type(self).sigma:
            raise InputError(f"sigma={self.sigma!r} has no meaning for likelihood='bernoulli': leave it out")
        check_number("sparsity_target", self.sparsity_target, max_val=1, **between)
        if self.max_grad_norm is not None:
            check_number("max_grad_norm", self.max_grad_norm, **between)
        check_choice("on_nonfinite", self.on_nonfinite, ("roll_back", "raise"))
        if self.validation_fraction is not None:
            check_number("validation_fraction", self.validation_fraction, max_val=1, **between)
        if self.corruption not in (None, "gaussian") and self.corruption_level > 1:
            raise InputError(f"corruption_level={self.corruption_level!r}: {self.corruption} takes a share in [0, 1]")
        if self.k is not None and self.k > self.n_components:
            raise InputError(f"k={self.k} is more than n_components={self.n_components}: keep fewer units")
        for name in ("early_stopping", "warm_start"):
            check_scalar(getattr(self, name), name, (bool, np.bool_))
        if not hasattr(self._network(), "build"):
            raise InputTypeError(
                f"network={self.network!r}: give MLP(...), Conv(...), Transformer(...), Modules(...) or None"
            )
        check_scalar(self.verbose, "verbose", (bool, numbers.Integral))
        if not isinstance(self.callbacks, Iterable) or not all(map(callable, self.callbacks)):
            raise InputTypeError(
                f"callbacks={self.callbacks!r}: give a list of functions that take a record of the history"
            )
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("likelihood", self.likelihood, LIKELIHOODS)
        check_choice("corruption", self.corruption, (None, *CORRUPTIONS))
        self._check_scale_parameter()
        check_choice("sparsity", self.sparsity, (None, "kl", "l1", "topk"))
        check_choice("lr_schedule", self.lr_schedule, ("one_cycle", "constant"))

    def _check_scale_parameter(self) -> None:
        check_choice("scale", self.scale, (None, "standard", "auto"))
        if self.scale is not None and self.scales_itself:
            raise InputError(f"scale={self.scale!r} has no meaning for {type(self).__name__}, which scales by itself")
        if self.scale == "standard" and self.likelihood == "bernoulli":
            raise InputError("likelihood='bernoulli' needs X in [0, 1], where scale='standard' does not leave it")

    def _rows(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        """Validate once, at the door; return rows shaped as in ``fit``, floats or, at use, bytes."""
        table, row_shape = flatten(X)
        table = in_unit_interval(table) if reset else table  # at use it is done batch by batch
        check_shape(table, 2 if reset else 1)
        self._check_width(table, reset=reset)
        try:
            table = validate_data(
                self,
                table,
                reset=reset,
                dtype=None if are_bytes(table) else (np.float64, np.float32),
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            raise self._text_error(error, table) from error
        check_finite(table, getattr(self, "feature_names_in_", None), allow_nan=True)
        if reset:
            self.row_shape_ = row_shape or table.shape[1:]
        elif row_shape and squeezed(row_shape) != squeezed(self.row_shape_) and len(self.row_shape_) > 1:
            raise InputError(f"X has images of shape {row_shape}, and the model was fitted on {self.row_shape_}")
        return table.reshape(-1, *self.row_shape_)

    def _text_error(self, error: ValueError, table: Any) -> ValueError:
        """Return what to raise where a table could not be turned into numbers."""
        if isinstance(table, pd.DataFrame) and "could not convert string" in str(error):
            return InputError(
                f"{where_text_is(table)} holds text where numbers are needed: TabularAutoencoder takes mixed tables as "
                "they are; else encode or drop it"
            )
        return text_error(error, table)

    def _check_width(self, table: Any, *, reset: bool) -> None:
        """Raise ValueError for another number of features than at ``fit``, before anything is said of their names."""
        named = isinstance(table, pd.DataFrame) and hasattr(self, "feature_names_in_")
        shape: tuple[int, ...] = tuple(getattr(table, "shape", ()))
        if len(shape) > 2:
            raise InputError(f"Found array with dim {len(shape)}, while dim <= 4 is required: give rows, or images")
        if not reset and not named and len(shape) == 2 and shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input."
            )

    def _check_columns(self, rows: np.ndarray) -> None:
        """Raise ValueError where a column is missing in every row: nothing could be learnt of it."""
        missing = np.isnan(rows).all(0)
        if missing.any():
            place = np.unravel_index(int(missing.argmax()), missing.shape)
            name = getattr(self, "feature_names_in_", range(missing.size))[place[0]]
            where = f"column {name!r}" if missing.ndim == 1 else f"entry {', '.join(map(str, place))} of every row"
            raise InputError(f"Input X has nothing but NaN in {where}: drop it")

    def _check_targets(self, rows: np.ndarray) -> None:
        """Raise ValueError where the likelihood cannot give rise to such rows."""
        if self.likelihood != "bernoulli" or are_bytes(rows):
            return
        low, high = np.fmin.reduce(rows, None), np.fmax.reduce(rows, None)  # past NaN
        if low < 0 or high > 1:
            raise InputError(
                f"likelihood='bernoulli' needs X in [0, 1], and it reaches from {low:g} to {high:g}: "
                "scale it, or take 'gaussian'"
            )

    def _fitted_rows(self, X: ArrayLike, *, targets: bool = False) -> np.ndarray:
        """Validate rows for use; those that the likelihood is held against are `targets`."""
        check_is_fitted(self)
        rows = self._rows(X, reset=False)
        if targets:
            self._check_targets(rows)
        return rows

    def _fitted_codes(self, Z: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        Z = plain(Z)
        if np.ndim(Z) != 2:
            raise InputError(f"Z has the shape {np.shape(Z)}: give codes as (n, {self.n_components})")
        codes = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
        if codes.shape[1] != self.n_components:
            raise InputError(f"Z has {codes.shape[1]} columns, but the codes have n_components={self.n_components}")
        return codes

    def _given(self, X: ArrayLike, y: Any = None, *, targets: bool = False) -> Given:
        """Validate rows, and conditions, for use; those that the likelihood is held against are `targets`."""
        given = self._given_unscaled(X, y, targets=targets)
        return given._replace(x=self.scaled(given.x))

    def _given_unscaled(self, X: ArrayLike, y: Any = None, *, targets: bool = False) -> Given:
        """As :meth:`_given`, in the units of `X`."""
        rows = self._fitted_rows(X, targets=targets)
        return Given(rows, self.context(y, len(rows)))

    def _as_given(self, rows: np.ndarray, like: Any = None) -> Any:
        """Return the model's rows in the form of the rows `like`, or else in that of those given to ``fit``."""
        return self._in_form_of(self.unscaled(rows), like)

    def _in_form_of(self, rows: np.ndarray, like: Any = None) -> Any:
        """Return rows in the units of `X` in the form of the rows `like`, or else in that of those given to ``fit``."""
        if not self._framed(like):
            return rows
        return back(with_index(self.frame_.decode(rows), like), container_of(like) or self.frame_.container)

    def _framed(self, like: Any) -> bool:
        """Tell whether rows come back as a dataframe: where ``fit`` was given one, and `like` is one, if any."""
        return hasattr(self, "frame_") and (like is None or container_of(like) is not None)

    def _steps_as_given(self, rows: Any, like: Any) -> Any:
        """Return decoded rows of shape (n, steps, ...) in the form of the rows `like`."""
        if not self._framed(like):
            return rows
        n, steps = rows.shape[:2]
        return back(self.frame_.decode(rows.reshape(n * steps, -1)).set_axis(steps_index(n, steps)), container_of(like))

    def _score_samples(self, X: Any, y: Any, per_feature: bool) -> Any:
        if per_feature:
            return self.shares_as_given(self.scores(self.rows_to_score(X, y), per_feature=True), X)
        if y is not None:
            return self.scores(self.rows_to_score(X, y))
        return by_pieces(lambda rows: self.scores(self.rows_to_score(rows)), X)

    def shares_as_given(self, shares: np.ndarray, X: Any) -> Any:
        """Return scores of entries in the form of `X`."""
        if not self._framed(X):
            return shares
        return back(with_index(pd.DataFrame(shares, columns=self.frame_.columns), X), container_of(X))

    def rows_to_score(self, X: ArrayLike, y: Any = None) -> Given:
        """Validate rows to be scored, and conditions; a category that was not there at ``fit`` is marked, not NaN."""
        return self._given(X, y, targets=True)

    def scores(self, given: Given, *, per_feature: bool = False) -> np.ndarray:
        """Return what ``score_samples`` gives for rows, or for each of their entries."""
        new = self._new_categories(given.x)
        if new is not None:
            given = given._replace(x=np.where(new, given.x.dtype.type(np.nan), given.x))
        scores = self._in_batches(entry_scores if per_feature else row_scores, given)
        if self._scaling is not None and not (per_feature and self.module_.knows_usual):
            log_scale = self._scaling.log_scale.astype(scores.dtype)
            scores = scores - (log_scale if per_feature else log_scale.sum())
        if new is None or not self.module_.knows_usual:
            return scores
        costs = (self.module_.rare - self.module_.usual).cpu().numpy().astype(scores.dtype)
        return np.where(new, costs, scores) if per_feature else scores + (new * costs).sum(1)

    def own_entries(self, X: Any) -> np.ndarray | None:
        """Return which entries of rows to score are their own, the others being there for the shape; None: all."""
        return None

    def _new_categories(self, rows: np.ndarray) -> np.ndarray | None:
        """Mark the entries that are categories which were not there at ``fit``; None where there are none."""
        return None

    def _impute(self, X: ArrayLike, mask: ArrayLike | None, n_iter: int, y: Any) -> Any:
        check_scalar(n_iter, "n_iter", numbers.Integral, min_val=1)
        given = self._given_unscaled(X, y, targets=True)
        if mask is not None:
            given = given._replace(hidden=self._row_mask(mask, given.x.shape))
        filled = self._in_batches(partial(fill_in, iterations=n_iter), given._replace(x=self.scaled(given.x)))
        filled = put_known(self.unscaled(filled), given)
        if not self._framed(X):
            return self._in_form_of(filled, X)
        known = ~np.isnan(given.x) if given.hidden is None else ~(np.isnan(given.x) | given.hidden)
        return back(self.frame_.with_known(filled, plain(X), known), container_of(X))

    def _row_mask(self, mask: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
        """Return a mask for all rows, from one for them, for a row, or for a pixel in all its colours."""
        frame = getattr(self, "frame_", None)
        return mask_of(mask, getattr(self, "feature_names_in_", None) if frame is None else frame.names, shape)

    def _interpolate(self, A: ArrayLike, B: ArrayLike, n_steps: int, path: str, y: Any) -> Any:
        check_scalar(n_steps, "n_steps", numbers.Integral, min_val=2)
        check_choice("path", path, ("straight", "spherical"))
        ends = [self._given(rows, y) for rows in (A, B)]
        if len(ends[0].x) != len(ends[1].x):
            raise InputError(f"A has {len(ends[0].x)} rows and B {len(ends[1].x)}: give as many of each")
        a, b = (self._in_batches(encode, end) for end in ends)
        between = spherical if path == "spherical" else straight
        codes = np.stack([between(a, b, t) for t in np.linspace(0, 1, n_steps)], axis=1).astype(a.dtype)
        return self._steps_as_given(self._decode_each(codes, self._shared_context(*ends)), A)

    def _shared_context(self, a: Given, b: Given) -> np.ndarray | None:
        """Return what the decoder is told on the way from the rows of one to those of the other."""
        return a.context

    def _traverse(self, X: ArrayLike, unit: int, values: ArrayLike, y: Any) -> Any:
        check_scalar(unit, "unit", numbers.Integral, min_val=0, max_val=self.n_components - 1)
        steps = column_or_1d(check_array(np.atleast_1d(values), ensure_2d=False, input_name="values"))
        given = self._given(X, y)
        codes = self._in_batches(encode, given)
        codes = np.repeat(codes[:, None], len(steps), axis=1)
        codes[:, :, unit] = steps
        return self._steps_as_given(self._decode_each(codes, given.context), X)

    def _decode_each(self, codes: np.ndarray, context: np.ndarray | None) -> np.ndarray:
        """Decode codes of shape (n, steps, n_components), each row's with its context."""
        n, steps, units = codes.shape
        contexts = None if context is None else np.repeat(context, steps, axis=0)
        rows = self.unscaled(self._in_batches(decode, Given(codes.reshape(-1, units), contexts)))
        return rows.reshape(n, steps, *rows.shape[1:])

    def _in_batches(self, function: Callable[[Model, Batch], Tensor], given: Given) -> np.ndarray:
        return in_batches(self.module_, function, given)

    def _new_model(self, rows: Batch, seed: int, train: Rows | None = None) -> Model:
        """Build the model and start it by the rows; the program's own random numbers are left alone.

        A sparse code starts by the rows `train` alone: over-complete, it knows its rows by heart, and nothing would
        pass for better on those held out.
        """
        self.__dict__.pop("threshold_", None)
        if self.sparsity == "l1" and self._has_point_code():
            self.threshold_ = float(self.sparsity_weight)
        self.rescaled_ = self.corruption in HIDINGS or bool(rows.x.isnan().any())
        with building(torch.Generator()):  # of a table the width is that of what its cells are embedded in
            self._fit_width(rows)
        draws = torch.Generator().manual_seed(seed)
        with building(draws):
            model = self._build()
        model = model.to(rows.x)
        model.fill.copy_(self._fill(rows.x))
        filled = model.filled(rows)
        with DrawingFrom(draws):
            self._check_build(model, filled)
            is_sparse = getattr(model.bottleneck, "func", None) in (top_k, soft_threshold)
            self._start(model, filled if train is None or not is_sparse else train.of(filled).rows, seed)
        return model

    def _fit_width(self, rows: Batch) -> None:
        """Choose the widths of the default network, where it has some, by the size of the data."""
        self.__dict__.pop("hidden_", None)
        if self.network is None and self.default_network is MLP:
            self.hidden_ = default_hidden(rows.n_rows, self._input_width())

    def _input_width(self) -> int:
        """Return how many numbers the encoder is given of a row; of several encoders, the one that is given most."""
        return math.prod(self.row_shape_)

    def _start(self, model: Model, rows: Batch, seed: int) -> None:
        """Start a new model by the training rows."""
        network = self._network()
        spread_units = getattr(network, "linear_path", None) is None and not isinstance(network, Modules)
        start_model(model, rows, at_pca=self.starts_at_pca, seed=seed, spread_units=spread_units)

    @property
    def starts_at_pca(self) -> bool:
        """Whether ``fit`` starts the network at the rows' PCA."""
        return getattr(self._network(), "linear_path", None) == "pca"

    def _fill(self, x: Tensor) -> Tensor:
        """Return what the encoder is shown in place of entries that are not known: the mean of the others."""
        return x.nanmean(0)

    def _continued(self, rows: Batch) -> Model:
        """Build the model anew, with the parameters as they are now, around the weights there are."""
        if not self.scales_itself and self.scale != "auto" and hasattr(self, "scale_") != (self.scale == "standard"):
            raise InputError(f"scale={self.scale!r} is not what it was at the last fit: set warm_start=False")
        if hasattr(self, "threshold_"):
            self.threshold_ = float(self.sparsity_weight)
        with building(torch.Generator()):
            model = self._build()
        model = model.to(rows.x)
        try:
            model.load_state_dict(self.module_.state_dict())
        except RuntimeError as error:
            raise InputError(
                "n_components, network, likelihood or sigma is not what it was at the last fit: set warm_start=False "
                "to begin anew"
            ) from error
        return model

    def _build(self) -> Model:
        """Build the model from its parts."""
        encoder, decoder = self._network().build(self.row_shape_, self.n_components, **self._code_layout())
        return Model(encoder, decoder, row_shape=self.row_shape_, **self._parts())

    def _has_point_code(self) -> bool:
        """Tell whether the code is a point, and no distribution."""
        return self._code_layout().get("moments", 1) == 1

    def _code_layout(self) -> dict[str, int]:
        """Tell the network what else goes in and out: for most families nothing."""
        return {}

    def _parts(self) -> dict[str, Any]:
        """Choose the parts, as the arguments of ``Model``: the only place where parameters become an autoencoder."""
        sigma = None if isinstance(self.sigma, str) else float(self.sigma)
        parts: dict[str, Any] = {"likelihood": build_likelihood(self.likelihood, sigma)}
        parts["rescaled"] = getattr(self, "rescaled_", False)
        penalties: dict[str, Any] = {}
        weights: dict[str, float] = {}
        patch_shape = getattr(self._network(), "patch_shape", None)
        if self.corruption == "masking" and patch_shape is not None:
            patch = patch_shape(self.row_shape_)
            parts["hiding"] = partial(hide_patches, level=self.corruption_level, patch=patch)
            parts["hidden_only"] = True
        elif self.corruption in HIDINGS:
            parts["hiding"] = partial(HIDINGS[self.corruption], level=self.corruption_level)
        elif self.corruption is not None:
            parts["corruption"] = partial(NOISES[self.corruption], level=self.corruption_level)
        if self.sparsity == "topk":
            parts["bottleneck"] = partial(top_k, k=self.k or max(1, self.n_components // 10))
            weights["revival"] = REVIVAL_WEIGHT
        if self.sparsity == "kl":
            penalties["kl_sparsity"] = partial(kl_sparsity, target=self.sparsity_target)
            weights["kl_sparsity"] = self.sparsity_weight
        if self.sparsity == "l1":
            penalties["l1"], weights["l1"] = l1, self.sparsity_weight
            if hasattr(self, "threshold_"):  # models saved by format 2 have none
                parts["bottleneck"] = partial(soft_threshold, threshold=self.threshold_)
        if self.contraction_weight:
            penalties["contractive"], weights["contractive"] = contractive, self.contraction_weight
        if self.weight_decay:
            penalties["weight_decay"], weights["weight_decay"] = weight_decay, self.weight_decay
        return parts | {"penalties": penalties, "weights": weights}

    def _network(self) -> Network:
        """Return the network; for KL sparsity with the sigmoid that puts its code in (0, 1)."""
        network = self._default_network() if self.network is None else self.network
        if not isinstance(network, MLP | Conv | Transformer):
            return network
        if self.likelihood == "bernoulli" and network.output_activation is not None:
            raise InputError("likelihood='bernoulli' has the sigmoid in itself: leave output_activation=None")
        if self.sparsity == "kl" and network.code_activation not in (None, "sigmoid"):
            raise InputError("sparsity='kl' needs a code in (0, 1): leave code_activation=None, or give 'sigmoid'")
        if self.sparsity is not None and isinstance(network, Conv):
            network = replace(network, refine=False)  # PCA's V, which would stay, is no dictionary for a sparse code
        return replace(network, code_activation="sigmoid") if self.sparsity == "kl" else network

    def _default_network(self) -> Any:
        """Return what stands for None: of the widths that fit has chosen, or those that a model of before it has."""
        return self.default_network(**({"hidden": self.hidden_} if hasattr(self, "hidden_") else {}))

    def _check_build(self, model: Model, rows: Batch) -> None:
        """Send two rows through, so that a network that does not fit the data is found before the training."""
        model.eval()
        x, context, _ = two = rows.take(slice(2))
        with torch.no_grad(), _torch_errors_in_one_line():
            code = model.encode(two).mean
            if code.shape != (len(x), self.n_components):
                raise InputError(
                    f"the encoder gives codes of shape {tuple(code.shape[1:])}, but n_components={self.n_components}"
                )
            if self.sparsity == "kl" and (code.min() < 0 or code.max() > 1):
                raise InputError("sparsity='kl' needs a code in (0, 1): end the encoder with a sigmoid")
            shape = model.decode(code, context).mean.shape
        if shape != x.shape:
            raise InputError(f"the decoder gives rows of shape {tuple(shape[1:])}, but X has {tuple(x.shape[1:])}")

    def _split(self, rows: Batch, generator: torch.Generator) -> tuple[Rows, Rows | None]:
        """Hold out `validation_fraction` of the rows, and enough of few rows to tell better from worse by them.

        Rows of which nothing is known tell nothing, and are not held out.
        """
        empty = rows.are_empty()
        n = rows.n_rows - int(empty.sum())
        self.held_out_ = np.array([], int)
        if self.validation_fraction is None or n < 3:
            return Rows(rows), None
        held_out = max(math.ceil(self.validation_fraction * n), min(ENOUGH_TO_CHOOSE_BY, n // 4), 2)
        held_out = min(held_out, n - 1)
        order = torch.randperm(rows.n_rows, generator=generator, device=rows.x.device)
        if n < rows.n_rows:
            order = torch.cat([order[~empty[order]], order[empty[order]]])
        self.held_out_ = np.sort(order[:held_out].cpu().numpy())
        return Rows(rows).take(order[held_out:]), Rows(rows).take(order[:held_out])

    def _train(
        self,
        fabric: Fabric,
        state: State,
        train: Rows,
        validation: Rows | None,
        *,
        epochs: int,
        seed: int,
        kept: Checkpoints | None = None,
        anew: bool = True,
    ) -> None:
        """Run the loop until so many epochs are done, and keep what it leaves."""
        if self.batch_size == 1 or len(train) == 1:
            check_single_rows(state.model, train.take(slice(1)).rows)
        work = self.batch_size * work_of_a_row(state.model, train.take(slice(2)).rows)
        at_once = inference_batch(row_width(state.model))
        with (
            suited_to(work),
            generator_of(fabric.device, seed) as state.draws,
            Progress(epochs, shown=self.verbose > 0) as progress,
            nullcontext() if kept is None else kept.running(),
        ):
            if kept is not None:
                kept.restore(state, epochs)
            callbacks: list[Callback] = [progress, *self.callbacks]
            if validation is not None and self.early_stopping:
                callbacks.append(EarlyStopping(self.patience))
                for record in state.history:
                    callbacks[-1](record)  # it was told of them before
            if kept is not None and state.stopped:
                epochs = state.epoch
            run(
                fabric,
                state,
                partial(train.batches, self.batch_size),
                None if validation is None else partial(validation.batches, at_once),
                epochs=epochs - state.epoch,
                callbacks=callbacks,
                watch=kept,
                max_grad_norm=self._largest_gradient(),
                sigma_rows=train.take(slice(None, None, math.ceil(len(train) / SIGMA_ROWS))).rows,
                roll_back=self.on_nonfinite == "roll_back",
            )
            progress.end_with(state.best_epoch, None if state.best is None else state.best.lowest)
        learn_usual(state.model, train.whole, train.index, anew=anew)  # by the weights that are kept
        self.module_ = state.model.eval()
        self.history_ = list(state.history)
        self.start_ = None if state.best is None else state.best.start.means
        self.best_epoch_ = state.best_epoch
        self.interrupted_ = state.interrupted
        state.best = state.spare = None
        if kept_start(self):
            warn_caller(why_start_is_kept(self), ConvergenceWarning)
        self.__dict__.pop("dead_units_", None)
        if self.sparsity is not None and self._has_point_code():
            self._count_dead_units([train] if validation is None else [train, validation])

    def _count_dead_units(self, parts: list[Rows]) -> None:
        """Count the units that are on in no row, and say so where they are many."""
        with torch.no_grad():
            at_once = inference_batch(self.n_features_in_)
            batches = (part for rows in parts for batch in rows.batches(at_once) for part in batch.parts())
            ranges = [torch.aminmax(self.module_.encode(batch).mean, dim=0) for batch in batches]
        low, high = (torch.stack(ends) for ends in zip(*ranges, strict=True))
        is_on = are_on(low.amin(0), high.amax(0), LEAST_CHANGE if self.sparsity == "kl" else 0)
        self.dead_units_ = int((~is_on).sum())
        if self.dead_units_ > max(1, MOST_DEAD * self.n_components):
            warn_caller(
                f"{self.dead_units_} of the code's {self.n_components} units are on in no row of X and of no use "
                f"(dead_units_): {CURES[str(self.sparsity)]}"
                + ("" if self.starts_at_pca or self.sparsity != "topk" else ", or a network with linear_path='pca'")
            )


CURES = {
    "topk": "take fewer n_components, a larger k, or more max_epochs",
    "l1": "take a lower sparsity_weight, or fewer n_components",
    "kl": "take a lower sparsity_weight, a higher sparsity_target, or fewer n_components",
}
"""What to do about dead units."""


def default_epochs(rows: int) -> int:
    """Return how many epochs that many rows get: 15 for 60,000, more the fewer there are, from 5 to 150."""
    return max(5, min(150, round(15 * (60_000 / rows) ** 0.45)))


def default_hidden(rows: int, width: int) -> tuple[int, int]:
    """Return the widths of the default network's hidden layers: 512 and 256, or fewer where rows are few and wide.

    The first layer has a million weights at the most, or a quarter as many as there are numbers in the data.
    """
    first = max(16, min(512, max(1_000_000 // width, rows // 4)))
    return first, min(256, -(-first // 2))


def steps_index(n: int, steps: int) -> pd.MultiIndex:
    """Return the index of a frame with so many steps of each of `n` rows."""
    return pd.MultiIndex.from_product([range(n), range(steps)], names=["row", "step"])


@contextmanager
def _torch_errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the network cannot take rows of this shape: {reason}") from error
