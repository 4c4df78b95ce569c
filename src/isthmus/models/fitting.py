"""Training an estimator: its rows, its model, the loop, and what is kept of it."""

import math
from abc import ABC
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from isthmus.core.corruption import HIDINGS
from isthmus.core.model import Model
from isthmus.core.score import learn_usual
from isthmus.core.source import Source, cuts
from isthmus.errors import InputError, warn_caller
from isthmus.formats.checks import check_number, check_random_state
from isthmus.formats.containers import RowsLike
from isthmus.formats.standardise import check_size
from isthmus.models.callbacks import callbacks_of
from isthmus.models.engine import (
    chosen_precision,
    inference_batch,
    n_activations,
    new_fabric,
    restoring_on_error,
    row_width,
    work_of_a_step,
)
from isthmus.models.kept import kept_start, why_start_is_kept
from isthmus.models.learning import in_turn, learnt, streamed
from isthmus.models.new_model import check_build, default_hidden, with_weights
from isthmus.models.own_checks import check_own
from isthmus.models.params import Parameters
from isthmus.models.plain import BROUGHT, check_saved, plain_params, unsaved_params
from isthmus.models.precision import set_products
from isthmus.models.processes import place_now, processes_of
from isthmus.models.saved import check_keepable
from isthmus.models.start import start_model
from isthmus.models.units import count_units, of_no_use
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
    is_record,
    is_size,
    is_whole,
)
from isthmus.saving.untrusted import check_dtypes, float_dtype
from isthmus.sources.pieces import Feed
from isthmus.threads import suited_to
from isthmus.training import Progress, State, new_state
from isthmus.training.batched_fits import run
from isthmus.training.compiled import is_compiled
from isthmus.training.keeper import Checkpoints
from isthmus.training.ranks_keeper import Keeper, keeper_of, ranks_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Folder = str | Path | None
"""Where a run is kept; None: nowhere."""


@dataclass(eq=False, repr=False)
class Fitting(Parameters, ABC):
    """Parameters that can be fitted to rows."""

    saved: ClassVar = {
        "history_": Attribute(lambda value: value == [] or all_of(is_record)(value), needed=True),
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
        self, X: RowsLike, y: RowsLike | None = None, *, resume_from: Folder = None, checkpoint_minutes: float = 10
    ) -> Self:
        """Train on the rows of `X`.

        Parameters
        ----------
        X : array-like, Tensor or DataFrame of shape (n, features), (n, height, width) or (n, channels, height, width)
            Or rows that are read a piece at a time (``docs/streams.md``): the path of a file or folder, a memory map, a
            ``torch.utils.data.DataLoader``, or an iterable of batches.
            Numbers; uint8 arrays are taken as 0…255 and brought to [0, 1]. NaN is a value that is not known: it takes
            no part in the reconstruction term, and the encoder is shown the mean of the others in its place.
        y : array-like of shape (n,) or (n, n_conditions), DataFrame, or dict of arrays of shape (n,), optional
            Of a conditional model the conditions, which it needs: classes or numbers, of several columns each one or
            the other; None and NaN are unknown. All others ignore it.
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
            If `X` is no table of numbers with two rows or more, `y` is of no use to a conditional model, a parameter
            has no meaning, or `resume_from` holds a run with other rows or other parameters.
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
        with restoring_on_error(self.__dict__, self.verbose), processes_of(self, X, y):
            fabric, source, seed = self._prepare(X, y, reset=not go_on)
            ranks, kept = ranks_of(fabric), None
            ranks.check_same(source)
            if resume_from is not None and ranks.share.rank == 0:
                check_number("checkpoint_minutes", checkpoint_minutes, min_val=0)
                about = {"seed": seed, "precision": str(source.sample(1).x.dtype), "rows": source.fingerprint()}
                about |= {"params": plain_params(self), "unsaved": unsaved_params(self), "warm": go_on}
                kept = Checkpoints(resume_from, checkpoint_minutes, about)
                seed = kept.about["seed"]
            seed = ranks.same(seed)
            generator = torch.Generator(fabric.device).manual_seed(seed)
            draws = torch.Generator().manual_seed(seed)
            model = self._continued(source) if go_on else self._new_model(source, draws)
            source = source.map(model.filled)
            train, validation, held_out = source.hold_out(self.validation_fraction, generator)
            self.held_out_ = np.sort(held_out.cpu().numpy())
            if not go_on:  # a sparse code, which would know held-out rows by heart, by the others alone
                self._start(model, train if model.bottleneck.is_sparse else source, draws)
            if kept is not None:
                check_keepable(self, model.state_dict())
                check_saved(self, BROUGHT)
            epochs = self.max_epochs or self.default_epochs(len(source), self.batch_size)
            steps = epochs * len(cuts(len(train), self.batch_size))
            state = new_state(model, self.lr, generator, self.lr_schedule, steps, self.optimizer)
            state.monitor, state.ranks = self.monitor, ranks
            if go_on:
                model.warm_up.clear()  # each fit would begin it anew
            keeper = keeper_of(ranks, kept, is_kept=resume_from is not None)
            self._train(fabric, state, train, validation, epochs=epochs, seed=seed, kept=keeper)
        self.__dict__.pop("_state", None)  # of a partial_fit before
        return self

    def partial_fit(self, X: RowsLike, y: RowsLike | None = None) -> Self:
        """Train for one epoch on all rows of `X`, at the constant learning rate `lr`.

        The first call builds the network and starts it at the PCA of its rows; those that follow go on from there with
        the optimiser as it was left, and with the parameters of the first, but for `lr`. A model that was fitted or
        loaded goes on with a new optimiser.

        Parameters
        ----------
        X : array-like
            Rows, as :meth:`fit` takes them, or an iterator that gives its rows once (``docs/streams.md``); after the
            first call in the form that they had there.
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
        self.check_parameters()
        feed = streamed(self.format_ if hasattr(self, "module_") else self._form(), X, y)
        if isinstance(feed, Feed) and feed.is_once:
            for part in in_turn(feed):
                self.partial_fit(part.X, part.y)
            return self
        first = not hasattr(self, "module_")
        with restoring_on_error(self.__dict__, self.verbose), processes_of(self, X, y, may_start=False):
            fabric, source, seed = self._prepare(X, y, reset=first)
            ranks = ranks_of(fabric)
            ranks.check_same(source)
            seed = ranks.same(seed)
            self.held_out_ = np.array([], int)
            state = getattr(self, "_state", None)
            if first or state is None:
                draws = torch.Generator().manual_seed(seed)
                model = self._new_model(source, draws) if first else self._continued(source)
                if first:
                    self._start(model, source.map(model.filled), draws)
                generator = torch.Generator(fabric.device).manual_seed(seed)
                state = new_state(model, self.lr, generator, "constant", 0, self.optimizer)
                state.history = list(getattr(self, "history_", []))
                state.epoch = len(state.history)
            state.best = None  # there are no held-out rows here, and those of a fit before must not undo the epoch
            state.ranks = ranks
            state.set_learning_rate(self.lr)
            state.start = None  # other rows may have other errors
            train = source.map(state.model.filled)
            epochs, seed, keeper = state.epoch + 1, seed + state.epoch, keeper_of(ranks, None)
            self._train(fabric, state, train, None, epochs=epochs, seed=seed, kept=keeper, anew=first)
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

    def _prepare(self, X: RowsLike, y: RowsLike | None, *, reset: bool) -> "tuple[Fabric, Source, int]":
        """Check parameters and rows, note what form these have, and bring them, with their NaN, to the device."""
        self.check_parameters()
        found = learnt(self._form() if reset else self.format_, X, y, reset=reset)
        form, given = found.form, found.given
        for name in (*form.declared(), *form.unsaved) if reset else ():
            self.__dict__.pop(name, None)
        self.__dict__.update(form.fitted())
        before = None if reset else next(self.module_.parameters()).dtype
        precision = chosen_precision(self.precision, self.device, given.x.dtype, found.n_numbers, before)
        fabric = new_fabric(self.device, precision, place_now())
        dtype = torch.float64 if precision.startswith("64") else torch.float32
        check_size(given.values, torch.finfo(dtype).max)
        if reset:
            for line in form.faults(given.x):
                warn_caller(line)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return fabric, found.source(dtype, fabric.device), seed

    def _new_model(self, source: Source, draws: torch.Generator) -> Model:
        """Build a model for the rows, and note what of it goes by them."""
        rows = source.representative()
        for name in ("threshold_", "hidden_"):
            self.__dict__.pop(name, None)
        if self.sparsity == "l1" and self.bottleneck is None and self._parts().bottleneck.n_params == 1:
            self.threshold_ = float(self.sparsity_weight)
        self.rescaled_ = (not callable(self.corruption) and self.corruption in HIDINGS) or bool(rows.x.isnan().any())
        if self.network is None and self.default_network is MLP:
            with building(torch.Generator()):
                inputs = self._inputs()  # of a table what its cells are embedded in
            self.hidden_ = default_hidden(len(source), int(getattr(inputs, "width", self.format_.width)))
        with building(draws):
            model = self._build()
        model = model.to(rows.x)
        model.fill.copy_(self.format_.fill_of(rows.x))
        return model

    def _start(self, model: Model, source: Source, draws: torch.Generator) -> None:
        """Check that a new model fits the rows, and start it by them."""
        rows, network = source.representative(), self._network
        two = rows.take(slice(2))
        with DrawingFrom(draws):
            check_build(model, two, self.n_components, in_unit_interval=self.sparsity == "kl")
            check_own(model, two, self)
            if self.layers == "all":
                n_activations(model)  # which says where a network has none that are known
            spread_units = getattr(network, "linear_path", None) is None and not isinstance(network, Modules)
            seed = draws.initial_seed()
            start_model(model, rows, at_pca=self.starts_at_pca, seed=seed, spread_units=spread_units)

    def _continued(self, source: Source) -> Model:
        """Build the model anew, with the parameters as they are now, around the weights there are."""
        if not self.scales_itself and self.scale != "auto" and hasattr(self, "scale_") != (self.scale == "standard"):
            raise InputError(f"scale={self.scale!r} is not what it was at the last fit: set warm_start=False")
        if hasattr(self, "threshold_"):
            self.threshold_ = float(self.sparsity_weight)
        model = with_weights(self._build, self.module_.state_dict(), source.sample(1).x)
        check_own(model, model.filled(source.sample(2)), self)
        return model

    def _train(
        self,
        fabric: "Fabric",
        state: State,
        train: Source,
        validation: Source | None,
        *,
        epochs: int,
        seed: int,
        kept: Keeper | None = None,
        anew: bool = True,
    ) -> None:
        """Run the loop until so many epochs are done, and keep what it leaves."""
        steps = (epochs - state.epoch) * len(cuts(len(train), self.batch_size))
        work = work_of_a_step(state.model, train, self.batch_size)
        products = set_products(fabric, self.precision, state.model, self.batch_size)
        with (
            suited_to(work),
            generator_of(fabric.device, seed) as state.draws,
            Progress(epochs, shown=self.verbose > 0 and state.ranks.share.rank == 0) as progress,
            nullcontext() if kept is None else kept.running(),
        ):
            if kept is not None:
                kept.note_products(products)
                kept.restore(state, epochs)
            run(
                fabric,
                state,
                train,
                validation,
                epochs=0 if kept is not None and kept.is_kept and state.stopped else epochs - state.epoch,
                batch_size=self.batch_size,
                at_once=inference_batch(row_width(state.model)),
                callbacks=[progress, *callbacks_of(self, state, stops_early=validation is not None)],
                watch=kept,
                max_grad_norm=self.max_grad_norm or self.default_grad_norm(math.prod(self.format_.row_shape_)),
                roll_back=self.on_nonfinite == "roll_back",
                compiled=is_compiled(self.compile, steps, work),
            )
            progress.end_with(state.best_epoch, None if state.best is None else state.best.lowest, self.monitor)
        self._note(state, train, validation, anew=anew)

    def _note(self, state: State, train: Source, validation: Source | None, *, anew: bool) -> None:
        """Note what the loop has left, and tell of a model that is still its start, or has units of no use."""
        learn_usual(state.model, train, anew=anew)  # by the weights that are kept
        self.module_ = state.model.eval()
        self.history_ = list(state.history)
        self.start_ = None if state.best is None else state.best.start.means
        self.best_epoch_, self.interrupted_ = state.best_epoch, state.interrupted
        state.best = state.spare = state.probe = None
        if kept_start(self):
            warn_caller(why_start_is_kept(self), ConvergenceWarning)
        for name in ("dead_units_", "active_units_"):
            self.__dict__.pop(name, None)
        counts = count_units(self.module_, train, validation, inference_batch(self.n_features_in_))
        self.__dict__.update({f"{name}_": count for name, count in counts.items()})
        for line in of_no_use(counts, self.get_params(deep=False), starts_at_pca=self.starts_at_pca):
            warn_caller(line)
