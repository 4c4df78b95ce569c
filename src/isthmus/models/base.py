"""The face: one abstract scikit-learn estimator that every family is a choice of parts of."""

import copy
import difflib
import math
import numbers
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from isthmus.core.bottleneck import Bottleneck, deterministic, top_k
from isthmus.core.corruption import CORRUPTIONS
from isthmus.core.likelihood import LIKELIHOODS
from isthmus.core.model import Model
from isthmus.core.penalty import Penalty, contractive, kl_sparsity, l1, weight_decay
from isthmus.data.rows import Rows, check_finite, flatten, where_text_is
from isthmus.models.folder import save_estimator
from isthmus.models.start import start_linear_path
from isthmus.networks import MLP
from isthmus.networks.parameters import Network
from isthmus.training import EarlyStopping, Progress, State, new_state, run
from isthmus.training.callbacks import Callback

ENOUGH_TO_CHOOSE_BY = 50
"""Held-out rows under which the choice of the best epoch is a matter of luck."""

EXACT_UP_TO = 250_000
"""Numbers in a table of float64 up to which it is trained on in float64."""

PRECISIONS = ("auto", "32-true", "64-true", "16-mixed", "bf16-mixed")

INFERENCE_BATCH = 2048
"""Rows that are encoded or decoded at once."""


@dataclass(eq=False, repr=False)
class AbstractAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """What all families share; each is this with other defaults.

    Every parameter is documented in :class:`isthmus.Autoencoder`.
    """

    n_components: int = 2
    _: KW_ONLY
    network: Network | None = None
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    corruption: Literal["gaussian", "masking", "dropout", "salt_and_pepper", "swap"] | None = None
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
    validation_fraction: float | None = 0.1
    early_stopping: bool = False
    patience: int = 10
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    device: str = "auto"
    precision: str = "auto"
    callbacks: Sequence[Callback] = ()
    verbose: int = 0

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train on the rows of `X`.

        Parameters
        ----------
        X : array-like, Tensor or DataFrame of shape (n, features), (n, height, width) or (n, channels, height, width)
            Numbers; uint8 arrays are taken as 0…255 and brought to [0, 1].
        y : ignored
            There for scikit-learn's sake.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is no table of finite numbers with two rows or more, or a parameter has no meaning.
        FloatingPointError
            If the loss becomes NaN or infinite.
        """
        go_on = self.warm_start and hasattr(self, "module_")
        with self._as_before_on_error():
            fabric, values, seed = self._prepare(X, reset=not go_on)
            model = self._continued(values) if go_on else self._new_model(values, seed)
            generator = torch.Generator(fabric.device).manual_seed(seed)
            train, validation = self._split(values, generator)
            epochs = default_epochs(len(values)) if self.max_epochs is None else self.max_epochs
            steps = epochs * train.n_batches(self.batch_size)
            state = new_state(model, self.lr, generator, self.lr_schedule, steps)
            self._train(fabric, state, train, validation, epochs=epochs, seed=seed)
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train for one epoch on all rows of `X`, at the constant learning rate `lr`.

        The first call builds the network and starts it at the PCA of its rows; those that follow go on from there with
        the optimiser as it was left, and with the parameters of the first, but for `lr`. A model that was fitted or
        loaded goes on with a new optimiser. Arguments and errors are those of :meth:`fit`.
        """
        first = not hasattr(self, "module_")
        with self._as_before_on_error():
            fabric, values, seed = self._prepare(X, reset=first)
            state = getattr(self, "_state", None)
            if first or state is None or state.scheduler is not None:
                model = self._new_model(values, seed) if first else self._continued(values)
                state = new_state(model, self.lr, torch.Generator(fabric.device).manual_seed(seed), "constant", 0)
                state.history = list(getattr(self, "history_", []))
                state.epoch = len(state.history)
            state.optimizer.param_groups[0]["lr"] = self.lr
            self._train(fabric, state, Rows(values), None, epochs=1, seed=seed + state.epoch)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode rows to their codes, the code's mean.

        Returns
        -------
        ndarray of shape (n, n_components)
            In the dtype of `X`, in which the computation is done.
        """
        return self._in_batches(lambda model, x: model.encode(x).mean, self._fitted_rows(X))

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """Decode codes of shape (n, n_components) to rows, the mean of their distribution, shaped as in ``fit``."""
        check_is_fitted(self)
        codes = check_array(Z, dtype=(np.float64, np.float32))
        if codes.shape[1] != self.n_components:
            raise ValueError(f"Z has {codes.shape[1]} columns, but the codes have n_components={self.n_components}")
        return self._in_batches(lambda model, z: model.decode(z).mean, codes)

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Encode and decode rows; the result is shaped like the rows given to ``fit``, in the units of `X`."""
        return self._in_batches(lambda model, x: model.decode(model.encode(x).z).mean, self._fitted_rows(X))

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return log p(x | z) of each row in nats, z its code: minus the reconstruction term; higher is more usual."""
        rows = self._fitted_rows(X)
        self._check_targets(rows)
        return self._in_batches(lambda model, x: model.decode(model.encode(x).z).fit(x).log_prob, rows)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean of ``score_samples(X)`` in nats; higher is better, so a grid search may maximise it."""
        return float(self.score_samples(X).mean())

    def save(self, folder: str | Path) -> None:
        """Save to a folder: ``config.json`` and ``model.safetensors``; :func:`isthmus.load` reads it. No pickle.

        Callbacks are not saved, nor is a `random_state` that is no number.

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
            self.network = MLP()
        super().set_params(**params)
        return self

    @property
    def n_iter_(self) -> int:
        """How many epochs were run."""
        check_is_fitted(self)
        return len(self.history_)

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    def restore(self, tensors: Mapping[str, Tensor]) -> Self:
        """Rebuild ``module_`` from saved weights; for :func:`isthmus.load`, which has set the other attributes."""
        with torch.random.fork_rng(devices=[]):
            module = self._build()
        dtype = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
        module.to(dtype).load_state_dict(tensors)
        self.module_ = module.eval()
        return self

    @contextmanager
    def _as_before_on_error(self) -> Iterator[None]:
        """Put all attributes back where something is raised: a fit that fails leaves the last one as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _prepare(self, X: ArrayLike, *, reset: bool) -> tuple[Fabric, Tensor, int]:
        """Check parameters and rows, and bring the rows to the device."""
        self._check_parameters()
        rows = self._rows(X, reset=reset)
        self._check_targets(rows)
        precision = self._chosen_precision(rows, reset=reset) if self.precision == "auto" else self.precision
        fabric = self._fabric(precision)
        dtype = torch.float64 if precision.startswith("64") else torch.float32
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return fabric, torch.tensor(rows, dtype=dtype, device=fabric.device), seed

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for the first parameter without a meaning."""
        whole = ["n_components", "batch_size", "patience"]
        whole += [name for name in ("max_epochs", "k") if getattr(self, name) is not None]
        for name in whole:
            check_scalar(getattr(self, name), name, numbers.Integral, min_val=1)
        for name in ("sparsity_weight", "contraction_weight", "weight_decay", "corruption_level"):
            check_scalar(getattr(self, name), name, numbers.Real, min_val=0)
        between = {"min_val": 0, "include_boundaries": "neither"}
        check_scalar(self.lr, "lr", numbers.Real, **between)
        check_scalar(self.sparsity_target, "sparsity_target", numbers.Real, max_val=1, **between)
        if self.validation_fraction is not None:
            check_scalar(self.validation_fraction, "validation_fraction", numbers.Real, max_val=1, **between)
        if self.corruption not in (None, "gaussian") and self.corruption_level > 1:
            raise ValueError(f"corruption_level={self.corruption_level!r}: {self.corruption} takes a share in [0, 1]")
        if self.k is not None and self.k > self.n_components:
            raise ValueError(f"k={self.k} is more than n_components={self.n_components}: keep fewer units")
        for name in ("early_stopping", "warm_start"):
            check_scalar(getattr(self, name), name, (bool, np.bool_))
        if not hasattr(self._network(), "build"):
            raise TypeError(f"network={self.network!r}: give MLP(...), Modules(...) or None")
        _check_choice("precision", self.precision, PRECISIONS)
        _check_choice("likelihood", self.likelihood, LIKELIHOODS)
        _check_choice("corruption", self.corruption, (None, *CORRUPTIONS))
        _check_choice("sparsity", self.sparsity, (None, "kl", "l1", "topk"))
        _check_choice("lr_schedule", self.lr_schedule, ("one_cycle", "constant"))

    def _rows(self, X: ArrayLike, *, reset: bool) -> np.ndarray:
        """Validate once, at the door; return float rows shaped as in ``fit``."""
        table, row_shape = flatten(X)
        try:
            table = validate_data(
                self,
                table,
                reset=reset,
                dtype=(np.float64, np.float32),
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            if "could not convert string" in str(error):
                place = where_text_is(table)
                raise ValueError(f"{place} holds text where numbers are needed: {error}; encode or drop it") from error
            raise
        check_finite(table, getattr(self, "feature_names_in_", None))
        if reset:
            self.row_shape_ = row_shape or table.shape[1:]
        elif row_shape and _squeezed(row_shape) != _squeezed(self.row_shape_) and len(self.row_shape_) > 1:
            raise ValueError(f"X has images of shape {row_shape}, and the model was fitted on {self.row_shape_}")
        return table.reshape(-1, *self.row_shape_)

    def _check_targets(self, rows: np.ndarray) -> None:
        """Raise ValueError where the likelihood cannot give rise to such rows."""
        if self.likelihood == "bernoulli" and (rows.min() < 0 or rows.max() > 1):
            raise ValueError(
                f"likelihood='bernoulli' needs X in [0, 1], and it reaches from {rows.min():g} to {rows.max():g}: "
                "scale it, or take 'gaussian'"
            )

    def _fitted_rows(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        return self._rows(X, reset=False)

    def _chosen_precision(self, rows: np.ndarray, *, reset: bool) -> str:
        """Take float64 for a table of float64 where it costs nothing to speak of; a model goes on in what it has."""
        if not reset:
            return "64-true" if next(self.module_.parameters()).dtype == torch.float64 else "32-true"
        small = rows.dtype == np.float64 and rows.size <= EXACT_UP_TO
        on_cpu = self.device == "cpu" or (self.device == "auto" and not _has_accelerator())
        return "64-true" if small and on_cpu else "32-true"

    def _fabric(self, precision: Any) -> Fabric:
        """Take the device, "auto" being the best there is."""
        kind, _, index = str(self.device).partition(":")
        try:
            return Fabric(accelerator=kind, devices=[int(index)] if index else 1, precision=precision)
        except (ValueError, RuntimeError, TypeError, ImportError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"device={self.device!r} with precision={self.precision!r} is not to be had: {reason}"
            ) from error

    def _new_model(self, values: Tensor, seed: int) -> Model:
        """Build the model and start it at the PCA of `values`; the program's own random numbers are left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self._build().to(values)
            self._check_build(model, values[:2])
            start_linear_path(model, values, at_pca=getattr(self._network(), "linear_path", None) == "pca", seed=seed)
        return model

    def _continued(self, values: Tensor) -> Model:
        """Build the model anew, with the parameters as they are now, around the weights there are."""
        with torch.random.fork_rng(devices=[]):
            model = self._build().to(values)
        try:
            model.load_state_dict(self.module_.state_dict())
        except RuntimeError as error:
            raise ValueError(
                "n_components or network is not what it was at the last fit: set warm_start=False to begin anew"
            ) from error
        return model

    def _build(self) -> Model:
        """Choose the parts: the only place where parameters become an autoencoder."""
        encoder, decoder = self._network().build(self.row_shape_, self.n_components)
        bottleneck: Bottleneck = deterministic
        corruption = None
        penalties: dict[str, Penalty] = {}
        weights: dict[str, float] = {}
        if self.corruption is not None:
            corruption = partial(CORRUPTIONS[self.corruption], level=self.corruption_level)
        if self.sparsity == "topk":
            bottleneck = partial(top_k, k=self.k or max(1, self.n_components // 10))
        if self.sparsity == "kl":
            penalties["kl_sparsity"] = partial(kl_sparsity, target=self.sparsity_target)
            weights["kl_sparsity"] = self.sparsity_weight
        if self.sparsity == "l1":
            penalties["l1"], weights["l1"] = l1, self.sparsity_weight
        if self.contraction_weight:
            penalties["contractive"], weights["contractive"] = contractive, self.contraction_weight
        if self.weight_decay:
            penalties["weight_decay"], weights["weight_decay"] = weight_decay, self.weight_decay
        return Model(encoder, decoder, bottleneck, LIKELIHOODS[self.likelihood], corruption, penalties, weights)

    def _network(self) -> Network:
        """Return the network, MLP by default; for KL sparsity with the sigmoid that puts its code in (0, 1)."""
        network = MLP() if self.network is None else self.network
        if not isinstance(network, MLP):
            return network
        if self.likelihood == "bernoulli" and network.output_activation is not None:
            raise ValueError("likelihood='bernoulli' has the sigmoid in itself: leave output_activation=None")
        if self.sparsity == "kl" and network.code_activation not in (None, "sigmoid"):
            raise ValueError("sparsity='kl' needs a code in (0, 1): leave code_activation=None, or give 'sigmoid'")
        return replace(network, code_activation="sigmoid") if self.sparsity == "kl" else network

    def _check_build(self, model: Model, rows: Tensor) -> None:
        """Send two rows through, so that a network that does not fit the data is found before the training."""
        model.eval()
        with torch.no_grad(), _torch_errors_in_one_line():
            code = model.encode(rows).mean
            if code.shape != (len(rows), self.n_components):
                raise ValueError(
                    f"the encoder gives codes of shape {tuple(code.shape[1:])}, but n_components={self.n_components}"
                )
            if self.sparsity == "kl" and (code.min() < 0 or code.max() > 1):
                raise ValueError("sparsity='kl' needs a code in (0, 1): end the encoder with a sigmoid")
            shape = model.decode(code).mean.shape
        if shape != rows.shape:
            raise ValueError(f"the decoder gives rows of shape {tuple(shape[1:])}, but X has {tuple(rows.shape[1:])}")

    def _split(self, values: Tensor, generator: torch.Generator) -> tuple[Rows, Rows | None]:
        """Hold out `validation_fraction` of the rows, and enough of few rows to tell better from worse by them."""
        n = len(values)
        if self.validation_fraction is None or n < 3:
            return Rows(values), None
        held_out = max(math.ceil(self.validation_fraction * n), min(ENOUGH_TO_CHOOSE_BY, n // 4), 2)
        held_out = min(held_out, n - 1)
        order = torch.randperm(n, generator=generator, device=values.device)
        return Rows(values[order[held_out:]]), Rows(values[order[:held_out]])

    def _train(
        self, fabric: Fabric, state: State, train: Rows, validation: Rows | None, *, epochs: int, seed: int
    ) -> None:
        """Run the loop and keep what it leaves."""
        callbacks: list[Callback] = list(self.callbacks)
        if validation is not None and self.early_stopping:
            callbacks.append(EarlyStopping(self.patience))
        cuda = [fabric.device] if fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), Progress(epochs, shown=self.verbose > 0) as progress:
            torch.manual_seed(seed)  # dropout has no generator of its own
            start = run(
                fabric,
                state,
                partial(train.batches, self.batch_size),
                None if validation is None else partial(validation.batches, INFERENCE_BATCH),
                epochs=epochs,
                callbacks=[progress, *callbacks],
            )
        self.module_ = state.model.eval()
        self.history_ = list(state.history)
        self.start_ = None if start is None else start.means
        self.interrupted_ = state.interrupted
        self._state = state

    def _in_batches(self, function: Callable[[Model, Tensor], Tensor], rows: np.ndarray) -> np.ndarray:
        """Apply a function of the model to rows, batch by batch, in the rows' own dtype."""
        weight = next(self.module_.parameters())
        dtype = torch.promote_types(weight.dtype, torch.from_numpy(rows[:0].copy()).dtype)
        if weight.device.type == "mps":
            dtype = torch.float32  # all that it has
        model = self.module_ if dtype == weight.dtype else copy.deepcopy(self.module_).to(dtype)
        with torch.inference_mode():
            batches = (
                torch.tensor(rows[start : start + INFERENCE_BATCH], dtype=dtype, device=weight.device)
                for start in range(0, len(rows), INFERENCE_BATCH)
            )
            results = [function(model, batch).cpu().numpy() for batch in batches]
        return np.concatenate(results).astype(rows.dtype, copy=False)


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def default_epochs(rows: int) -> int:
    """Return how many epochs that many rows get: 15 for 60,000, more the fewer there are, from 5 to 150."""
    return max(5, min(150, round(15 * (60_000 / rows) ** 0.45)))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out axes of length 1: (1, 28, 28) and (28, 28) are the same image."""
    return tuple(length for length in shape if length != 1)


@contextmanager
def _torch_errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the network cannot take rows of this shape: {reason}") from error


def _check_choice(name: str, value: Any, choices: Iterable[str | None]) -> None:
    if value not in tuple(choices):
        close = difflib.get_close_matches(str(value), [choice for choice in choices if choice], n=1, cutoff=0.3)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(repr(choice) for choice in choices)}"
        )
        raise ValueError(f"unknown {name} {value!r}: {hint}")
