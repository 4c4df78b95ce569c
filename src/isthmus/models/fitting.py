"""Training an estimator: its rows, its model, the loop, and what is kept of it."""

import math
from abc import ABC
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.corruption import HIDINGS
from isthmus.core.model import Model
from isthmus.core.score import learn_usual
from isthmus.errors import InputError, warn_caller
from isthmus.formats.checks import check_number, check_random_state
from isthmus.formats.given import Given
from isthmus.formats.rows import Rows
from isthmus.formats.standardise import check_size
from isthmus.models.engine import (
    check_single_rows,
    chosen_precision,
    encode,
    fabric_speaks,
    inference_batch,
    n_activations,
    new_fabric,
    out_of_memory_in_one_line,
    plain_torch,
    row_width,
    to_batch,
    work_of_a_row,
)
from isthmus.models.kept import kept_start, why_start_is_kept
from isthmus.models.own_parts import check_corrupted, check_terms, takes_estimator
from isthmus.models.params import Parameters
from isthmus.models.plain import BROUGHT, check_saved, plain_params, unsaved_params
from isthmus.models.saved import check_keepable
from isthmus.models.start import start_model
from isthmus.networks import MLP, Modules
from isthmus.randomness import DrawingFrom, building, generator_of
from isthmus.saving.attributes import (
    COUNT,
    FLAG,
    Attribute,
    all_of,
    dict_of,
    is_finite,
    is_number,
    is_size,
    is_whole,
)
from isthmus.saving.untrusted import check_dtypes, float_dtype
from isthmus.threads import suited_to
from isthmus.training import EarlyStopping, Progress, State, new_state, run
from isthmus.training.callbacks import Callback, Record
from isthmus.training.keeper import Checkpoints
from isthmus.training.settings import checksum

MOST_DEAD = 0.1
"""Share of a code's units that may be dead before it is told of; one unit may in any case."""

SIGMA_ROWS = 2048
"""Training rows by which a σ that is learnt is set after each epoch, at the most."""

ENOUGH_TO_CHOOSE_BY = 50
"""Held-out rows under which the choice of the best epoch is a matter of luck."""


@dataclass(eq=False, repr=False)
class Fitting(Parameters, ABC):
    """Parameters that can be fitted to rows."""

    saved: ClassVar = {
        "history_": Attribute(lambda value: value == [] or all_of(_is_record)(value), needed=True),
        "start_": Attribute(lambda value: value is None or dict_of(is_number)(value)),
        "best_epoch_": COUNT,
        "interrupted_": FLAG,
        "rescaled_": FLAG,
        "active_units_": Attribute(is_whole),
        "dead_units_": Attribute(is_whole),
        "threshold_": Attribute(lambda value: is_finite(value) and value >= 0),
        "hidden_": Attribute(lambda value: all_of(is_size)(value) and len(value) == 2, tuple, list),
    }

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
            The estimator, fitted.

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
                check_saved(self, BROUGHT)
            train, validation = train.of(rows), None if validation is None else validation.of(rows)
            epochs = self.max_epochs or self.default_epochs(rows.n_rows, self.batch_size)
            steps = epochs * train.n_batches(self.batch_size)
            state = new_state(model, self.lr, generator, self.lr_schedule, steps, self.optimizer)
            state.monitor = self.monitor
            if go_on:
                model.warm_up.clear()  # each fit would begin it anew
            self._train(fabric, state, train, validation, epochs=epochs, seed=seed, kept=kept)
        self.__dict__.pop("_state", None)  # of a partial_fit before
        return self

    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train for one epoch on all rows of `X`, at the constant learning rate `lr`.

        The first call builds the network and starts it at the PCA of its rows; those that follow go on from there with
        the optimiser as it was left, and with the parameters of the first, but for `lr`. A model that was fitted or
        loaded goes on with a new optimiser.

        Parameters
        ----------
        X : array-like
            Rows, as :meth:`fit` takes them; after the first call in the form that they had there.
        y : ignored
            There for scikit-learn's sake; a conditional model needs the conditions here.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError, FloatingPointError, MemoryError
            As :meth:`fit` does.
        """
        first = not hasattr(self, "module_")
        with self._fitting():
            fabric, rows, seed = self._prepare(X, y, reset=first)
            self.held_out_ = np.array([], int)
            state = getattr(self, "_state", None)
            if first or state is None:
                model = self._new_model(rows, seed, Rows(rows)) if first else self._continued(rows)
                generator = torch.Generator(fabric.device).manual_seed(seed)
                state = new_state(model, self.lr, generator, "constant", 0, self.optimizer)
                state.history = list(getattr(self, "history_", []))
                state.epoch = len(state.history)
            state.best = None  # there are no held-out rows here, and those of a fit before must not undo the epoch
            state.set_learning_rate(self.lr)
            state.start = None  # other rows may have other errors
            train = Rows(state.model.filled(rows))
            self._train(fabric, state, train, None, epochs=state.epoch + 1, seed=seed + state.epoch, anew=first)
            self._state = state
        return self

    def declared(self) -> dict[str, Attribute]:
        """Return how the fitted attributes are saved.

        Returns
        -------
        dict of str to Attribute
            Their codecs by name, those of the format among them.
        """
        return self._form().declared() | self.saved

    def check_fitted(self) -> None:
        """Check that fitted attributes, which may be a stranger's, fit together.

        Raises
        ------
        ValueError
            If they do not.
        """
        if getattr(self, "best_epoch_", 0) > len(self.history_):
            raise InputError(f"best_epoch_={self.best_epoch_} is none of its {len(self.history_)} epochs")
        self.format_.check()

    def restore(self, tensors: dict[str, Tensor]) -> Self:
        """Rebuild ``module_`` from saved weights; for :func:`isthmus.load`, which has set the other attributes.

        Parameters
        ----------
        tensors : dict of str to Tensor
            The weights; those on the "meta" device make a model without numbers there.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            If a parameter has no meaning, or weights have other names, shapes or dtypes than the model's.
        """
        self.check_parameters()
        self.__dict__.update(self.format_.fitted())
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
        self.check_parameters()
        given = self._learn(X, y, reset=reset)
        before = None if reset else next(self.module_.parameters()).dtype
        precision = chosen_precision(self.precision, self.device, given.x, before)
        fabric = new_fabric(self.device, precision)
        dtype = torch.float64 if precision.startswith("64") else torch.float32
        check_size(given.values, torch.finfo(dtype).max)
        if reset:
            for line in self.format_.faults(given.x):
                warn_caller(line)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return fabric, to_batch(given, dtype, fabric.device), seed

    def _learn(self, X: Any, y: Any, *, reset: bool) -> Given:
        """Learn what form the rows have, note it, and return them as the model takes them."""
        form = self._form() if reset else self.format_
        form, given = form.learn(X, y) if reset else form.learn_more(X, y)
        for name in (*form.declared(), *form.unsaved) if reset else ():
            self.__dict__.pop(name, None)
        self.__dict__.update(form.fitted())
        return given

    def _new_model(self, rows: Batch, seed: int, train: Rows | None = None) -> Model:
        """Build the model and start it by the rows; the program's own random numbers are left alone.

        A sparse code starts by the rows `train` alone: over-complete, it knows its rows by heart, and nothing would
        pass for better on those held out.
        """
        self.__dict__.pop("threshold_", None)
        if self.sparsity == "l1" and self.bottleneck is None and self._parts().bottleneck.n_params == 1:
            self.threshold_ = float(self.sparsity_weight)
        self.rescaled_ = (not callable(self.corruption) and self.corruption in HIDINGS) or bool(rows.x.isnan().any())
        self.__dict__.pop("hidden_", None)
        if self.network is None and self.default_network is MLP:
            with building(torch.Generator()):  # of a table the width is that of what its cells are embedded in
                self.hidden_ = default_hidden(rows.n_rows, self._input_width())
        draws = torch.Generator().manual_seed(seed)
        with building(draws):
            model = self._build()
        model = model.to(rows.x)
        model.fill.copy_(self.format_.fill_of(rows.x))
        filled = model.filled(rows)
        with DrawingFrom(draws):
            self._check_build(model, filled)
            is_sparse = model.bottleneck.is_sparse
            self._start(model, filled if train is None or not is_sparse else train.of(filled).rows, seed)
        return model

    def _start(self, model: Model, rows: Batch, seed: int) -> None:
        """Start a new model by the training rows."""
        network = self._network
        spread_units = getattr(network, "linear_path", None) is None and not isinstance(network, Modules)
        start_model(model, rows, at_pca=self.starts_at_pca, seed=seed, spread_units=spread_units)

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
        with torch.no_grad():
            if callable(self.corruption):
                check_corrupted(model, two, self.corruption)
            if self.penalties or self.bottleneck is not None or not isinstance(self.likelihood, str):
                check_terms(model, two)
        if self.layers == "all":
            n_activations(model)  # which says where a network has none that are known

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
            callbacks: list[Callback] = [progress, *(self._told(state, each) for each in self.callbacks)]
            if validation is not None and self.early_stopping:
                callbacks.append(EarlyStopping(self.patience, self.monitor))
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
                max_grad_norm=self.max_grad_norm or self.default_grad_norm(math.prod(self.format_.row_shape_)),
                sigma_rows=train.take(slice(None, None, math.ceil(len(train) / SIGMA_ROWS))).rows,
                roll_back=self.on_nonfinite == "roll_back",
            )
            progress.end_with(state.best_epoch, None if state.best is None else state.best.lowest, self.monitor)
        learn_usual(state.model, train.whole, train.index, anew=anew)  # by the weights that are kept
        self.module_ = state.model.eval()
        self.history_ = list(state.history)
        self.start_ = None if state.best is None else state.best.start.means
        self.best_epoch_ = state.best_epoch
        self.interrupted_ = state.interrupted
        state.best = state.spare = None
        if kept_start(self):
            warn_caller(why_start_is_kept(self), ConvergenceWarning)
        self._note_units(train, validation)

    def _told(self, state: State, callback: Callable[..., bool | None]) -> Callback:
        """Return a callback of the record alone; one that takes the estimator too finds it fitted so far."""
        if not takes_estimator(callback):
            return callback

        def call(record: Record) -> bool | None:
            self.module_, self.history_ = state.model.eval(), list(state.history)
            return callback(record, self)

        return call

    def _note_units(self, train: Rows, validation: Rows | None) -> None:
        """Note what the bottleneck says of its units, and tell of it where they are of no use."""
        at_once = inference_batch(self.n_features_in_)

        def means(rows: Rows) -> Iterator[Tensor]:
            return (encode(self.module_, part) for batch in rows.batches(at_once) for part in batch.parts())

        for name in ("dead_units_", "active_units_"):
            self.__dict__.pop(name, None)
        with torch.no_grad():
            stats = self.module_.bottleneck.stats(means(validation or train), means(train) if validation else iter(()))
        for name, count in stats.items():
            setattr(self, f"{name}_", count)
        if stats.get("dead_units", 0) > max(1, MOST_DEAD * self.n_components):
            warn_caller(
                f"{stats['dead_units']} of the code's {self.n_components} units are on in no row of X and of no use "
                f"(dead_units_): {CURES.get(str(self.sparsity), 'take fewer n_components')}"
                + ("" if self.starts_at_pca or self.sparsity != "topk" else ", or a network with linear_path='pca'")
            )
        if stats.get("active_units") == 0:
            *cures, last = (cure for name, cure in COLLAPSE_CURES.items() if hasattr(self, name))
            warn_caller(f"the code has collapsed: no unit tells anything of X; try {', '.join(cures)} or {last}")


COLLAPSE_CURES = {
    "sigma": "sigma='learned'",
    "beta": "a lower beta",
    "beta_warm_up": "beta_warm_up=10",
    "free_bits": "free_bits=0.1",
}
"""What to do about a code that has collapsed, by the parameter."""

CURES = {
    "topk": "take fewer n_components, a larger k, or more max_epochs",
    "l1": "take a lower sparsity_weight, or fewer n_components",
    "kl": "take a lower sparsity_weight, a higher sparsity_target, or fewer n_components",
}
"""What to do about dead units."""


def default_hidden(rows: int, width: int) -> tuple[int, int]:
    """Return the widths of the default network's hidden layers: 512 and 256, or fewer where rows are few and wide.

    The first layer has a million weights at the most, or a quarter as many as there are numbers in the data.
    """
    first = max(16, min(512, max(1_000_000 // width, rows // 4)))
    return first, min(256, -(-first // 2))


def _is_record(value: Any) -> bool:
    """Tell whether it is a line of the history: numbers, and terms by the rows that they are of."""
    return dict_of(lambda each: is_number(each) or dict_of(is_number)(each))(value) and is_whole(value.get("epoch"))


@contextmanager
def _torch_errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the network cannot take rows of this shape: {reason}") from error
