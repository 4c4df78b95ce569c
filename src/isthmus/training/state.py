"""What a run is at one moment: all that must be kept for it to go on as if nothing had happened."""

import copy
import difflib
import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from isthmus.core.batch import Batch
from isthmus.core.model import Model
from isthmus.errors import InputError, InputTypeError
from isthmus.randomness import DrawingFrom, DrawingNothing, draws, is_own
from isthmus.training.adam import adam
from isthmus.training.callbacks import Record
from isthmus.training.figures import LOOK, Figures
from isthmus.training.ranks import Alone, Ranks

Schedule = Literal["one_cycle", "constant"]

Groups = list[dict[str, Any]]
"""Weights, and how fast each group of them learns, as PyTorch's optimisers take them."""

StateDict = dict[str, Any]
"""What ``state_dict`` of an optimiser, or of a schedule, returns."""

Optimize = Callable[[Groups], Optimizer]
"""A class of optimisers, or a function: groups of parameters, each with its learning rate → optimiser."""

WIDE = 784
"""Inputs of a unit, those of an MNIST image, beyond which its weights learn the more slowly the more there are."""


class Evaluation(NamedTuple):
    """The terms of rows that are not trained on.

    Attributes
    ----------
    means : dict of str to float
        The mean of each term, of the weighted sum (``loss``) and of the squared error an entry (``mse``).
    losses : Tensor of shape (rows,)
        What the best epoch is chosen by, for each row: the weighted sum, or another measure.
    """

    means: dict[str, float]
    losses: Tensor


@dataclass
class Best:
    """The weights of the epoch with the lowest loss, or other measure, on the validation rows.

    The start counts as an epoch. It is left only for weights whose loss is lower by more than three standard errors of
    the difference, so that a few lucky rows do not pass for progress: so an autoencoder that starts at PCA stays
    there where the data cannot tell that anything is better.

    Attributes
    ----------
    start : Evaluation
        Of the start.
    lowest : float
        The loss of the weights that are kept.
    weights : dict of str to Tensor
        These weights.
    epoch : int
        The epoch that ended with them; 0 is the start.
    monitor : str
        The measure, ``"loss"`` by default.
    """

    start: Evaluation
    lowest: float
    weights: dict[str, Tensor]
    epoch: int = 0
    monitor: str = "loss"

    @classmethod
    def begin(cls, model: Model, start: Evaluation, monitor: str = "loss") -> "Best":
        """Take the weights as they are before the first step."""
        if monitor not in start.means:
            close = difflib.get_close_matches(monitor, start.means, n=1, cutoff=0.3)
            hint = f"did you mean {close[0]!r}?" if close else f"give one of {', '.join(map(repr, start.means))}"
            raise InputError(f"unknown monitor {monitor!r}: {hint}")
        return cls(start, start.means[monitor], copy.deepcopy(model.state_dict()), monitor=monitor)

    def consider(self, model: Model, evaluation: Evaluation, epoch: int) -> None:
        """Keep the model's weights, as that epoch left them, if they are better than the best so far."""
        if self.start.losses.shape != evaluation.losses.shape:
            raise InputError(
                f"the checkpoint is altered: it has losses of {len(self.start.losses)} held-out rows, and there are "
                f"{len(evaluation.losses)}; delete it to start afresh"
            )
        gain = (self.start.losses - evaluation.losses).double()
        beyond_chance = gain.mean() > 3 * gain.std() / math.sqrt(len(gain))
        if beyond_chance and evaluation.means[self.monitor] < self.lowest:
            self.lowest = evaluation.means[self.monitor]
            self.weights = _copied(model.state_dict(), self.weights)
            self.epoch = epoch


class Start(NamedTuple):
    """What the training rows had before the first step, shown and drawn as in training.

    Attributes
    ----------
    means : dict of str to float
        The mean of each term, and of the squared error an entry (``mse``), over all rows.
    probe : dict of str to float
        The same of one batch.
    least : float
        Mean squared error an entry below which none is looked at: that of held-out rows, where there are any, and at
        least a small share of the rows' variance.
    rows : int
        How many training rows there are, of which a stream's start is of a sample.
    """

    means: dict[str, float]
    probe: dict[str, float]
    least: float
    rows: int


@dataclass
class Snapshot:
    """What an epoch began with: to shuffle the rows the same way again, and to go back to where it goes wrong."""

    weights: dict[str, Tensor]
    optimizer: StateDict
    scheduler: StateDict | None
    generator: Tensor


@dataclass
class Position:
    """How far an epoch has come.

    Attributes
    ----------
    start : Snapshot
        What it began with.
    seconds : float
        Time spent on it.
    figures : Figures
        What each batch so far has to say in the record.
    sizes : list of int
        Their rows.
    """

    start: Snapshot
    seconds: float = 0.0
    figures: Figures = field(default_factory=Figures)
    sizes: list[int] = field(default_factory=list)
    _summed: int = 0
    _sums: dict[str, float] = field(default_factory=lambda: {"mse": 0.0, "loss": 0.0, "rows": 0})

    def sums(self) -> dict[str, float]:
        """Return the squared error an entry (``mse``) and the ``loss`` of the batches so far, summed over ``rows``."""
        for start in range(self._summed, len(self.sizes), LOOK):
            # Always the same batches together, so that a run that goes on adds up to the same bits.
            sizes = self.sizes[start : start + LOOK]
            for name in ("mse", "loss"):
                values = self.figures.of_some(name, start).tolist()
                # Of a batch nothing may be known.
                products = (value * n for value, n in zip(values, sizes, strict=True) if not math.isnan(value))
                self._sums[name] += sum(products)
            self._sums["rows"] += sum(sizes)
            self._summed += len(sizes)
        return self._sums


@dataclass
class State:
    """All that a run is: with it saved and restored, the run goes on as if nothing had happened.

    Attributes
    ----------
    generator : Generator
        The run's own, which rows, corruption and codes are drawn from.
    epoch : int
        Epochs that are done.
    best : Best or None
        With validation rows, once the run has begun.
    position : Position or None
        Inside an epoch.
    start : Start or None
        Once the run has begun, where it steps back from spikes.
    halvings : int
        How often the learning rate was halved, as the loss was no longer finite or rose to a multiple of the start's.
    stopped : bool
        Whether a callback has ended the run.
    draws : Generator
        Another of the run's own, which modules such as dropout draw from.
    spare : Snapshot or None
        The one of the epoch before, whose tensors take the next: memory that is new each epoch costs more than the
        copying.
    monitor : str
        What of the record the best epoch is chosen by.
    optimize : callable, optional
        What the optimiser is of, where it is a person's own.
    ranks : Alone or Ranks
        The processes that train together.
    probe : Batch or None
        Training rows that are looked at after each epoch.
    """

    model: Model
    optimizer: Optimizer
    generator: torch.Generator
    scheduler: LRScheduler | None = None
    epoch: int = 0
    history: list[Record] = field(default_factory=list)
    interrupted: bool = False
    best: Best | None = None
    position: Position | None = None
    start: Start | None = None
    halvings: int = 0
    stopped: bool = False
    spare: Snapshot | None = None
    monitor: str = "loss"
    optimize: Optimize | None = None
    ranks: Alone | Ranks = field(default_factory=Alone)
    probe: Batch | None = None

    def __post_init__(self) -> None:
        self.draws = torch.Generator(self.generator.device)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept, 0 being the start; the last without validation rows."""
        return self.epoch if self.best is None else self.best.epoch

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def drawing(self) -> AbstractContextManager[object]:
        """Let the model's modules, and functions of a person's own, draw from this run's generator."""
        return self.ranks.drawing(DrawingFrom(self.draws) if self.model_draws else nullcontext())

    def taking_gradients(self) -> AbstractContextManager[object]:
        """Let no module of a person's own draw again what it drew on the way forward."""
        return DrawingNothing() if self._has_own_modules else nullcontext()

    @cached_property
    def model_draws(self) -> bool:
        """Whether modules, or functions of a person's own, may draw by themselves."""
        functions = [self.model.bottleneck, *self.model.penalties.values()]
        functions += [] if self.model.corruption is None else [self.model.corruption]
        return draws(self.model) or any(map(is_own, functions))

    @cached_property
    def _has_own_modules(self) -> bool:
        return any(map(is_own, self.model.modules()))

    def snapshot(self) -> Snapshot:
        """Copy what changes from step to step; the one before is written over."""
        scheduler = None if self.scheduler is None else copy.deepcopy(self.scheduler.state_dict())
        weights = _copied(self.model.state_dict(), None if self.spare is None else self.spare.weights)
        optimizer = _copied(self.optimizer.state_dict(), None if self.spare is None else self.spare.optimizer)
        self.spare = Snapshot(weights, optimizer, scheduler, self.generator.get_state())
        return self.spare

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a copy."""
        self.model.load_state_dict(snapshot.weights)
        self.optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
        if self.scheduler is not None and snapshot.scheduler is not None:
            self.scheduler.load_state_dict(copy.deepcopy(snapshot.scheduler))
        self.generator.set_state(snapshot.generator)

    def set_learning_rate(self, lr: float) -> None:
        """Set the learning rate; wide layers get their share of it."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["share"]

    def halve_learning_rate(self) -> None:
        """Halve the learning rate, and all of what is left of its schedule."""
        self.halvings += 1
        for group in self.optimizer.param_groups:
            for name in ("lr", "initial_lr", "max_lr", "min_lr"):
                if name in group:
                    group[name] /= 2


def _copied(value: Any, into: Any) -> Any:
    """Copy tensors in dictionaries, with all else in them, into the tensors of the copy before where they fit."""
    if isinstance(value, dict):
        return {name: _copied(each, into.get(name) if isinstance(into, dict) else None) for name, each in value.items()}
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    fits = isinstance(into, Tensor) and into.shape == value.shape and into.dtype == value.dtype
    return into.copy_(value) if fits else value.detach().clone()


def new_state(
    model: Model,
    lr: float,
    generator: torch.Generator,
    schedule: Schedule,
    steps: int,
    optimize: Optimize | None = None,
) -> State:
    """Pair a model with Adam, or another optimiser, and a schedule of the learning rate.

    Adam moves every weight of a unit by about the learning rate at once, and the unit by that times the sum of its
    inputs: of 3,072 pixels, which are bright together, more than training can bear. Beyond 784 inputs the learning rate
    of a layer's weights falls with their number; a linear layer may say of itself that it is to have less,
    ``share_of_rate``.

    Parameters
    ----------
    lr : float
        The learning rate, or its peak.
    schedule : {"one_cycle", "constant"}
        ``one_cycle`` rises to `lr` over the first 30 % of the steps and falls to nothing (Smith & Topin 2018).
    steps : int
        How many steps there will be.
    optimize : callable, optional
        What makes another optimiser than Adam of the groups of parameters; its momentum is left as it is.
    """
    shares = _by_share_of_the_rate(model).items()
    groups = [{"params": weights, "lr": lr * share, "share": share} for share, weights in shares]
    optimizer = adam(groups, lr) if optimize is None else own_optimizer(optimize, groups, lr)
    rates = [group["lr"] for group in optimizer.param_groups]
    scheduler = None
    if schedule == "one_cycle" and steps:
        scheduler = OneCycleLR(optimizer, rates, total_steps=steps + 1, cycle_momentum=optimize is None)
    return State(model, optimizer, generator, scheduler, optimize=optimize)


def own_optimizer(optimize: Optimize, groups: Groups, lr: float) -> Optimizer:
    """Make the optimiser of a person's own class or function, with the learning rate of each group.

    Raises
    ------
    ValueError, TypeError
        If it makes none, of some of the parameters alone, or one that wants the loss again in each step.
    """
    called = getattr(optimize, "__name__", type(optimize).__name__)
    n_weights = sum(len(group["params"]) for group in groups)
    try:
        optimizer = optimize(groups)
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer={called} cannot be made: {' '.join(str(error).split())}") from error
    if not isinstance(optimizer, Optimizer):
        raise InputTypeError(f"optimizer={called} returned a {type(optimizer).__name__}: let it return an optimizer")
    if sum(len(group["params"]) for group in optimizer.param_groups) != n_weights:
        raise InputError(f"optimizer={called} left some of the parameters out: let it have all that it is given")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise InputError(
            f"optimizer={called} computes the loss again in each step, and it is computed once: give another"
        )
    for group in optimizer.param_groups:
        group["lr"] = lr * group.setdefault("share", 1.0)
    return optimizer


def expected_moments(state: State) -> dict[int, dict[str, object]]:
    """Return the state that a person's own optimiser has after one step: its names, shapes and kinds, by weight."""
    assert state.optimize is not None
    groups = [
        {name: value for name, value in group.items() if name in ("lr", "share")}
        | {"params": [nn.Parameter(torch.zeros_like(weight)) for weight in group["params"]]}
        for group in state.optimizer.param_groups
    ]
    for weight in (weight for group in groups for weight in group["params"]):
        weight.grad = torch.zeros_like(weight)
    trial = own_optimizer(state.optimize, groups, 1.0)
    trial.step()
    return trial.state_dict()["state"]


def _by_share_of_the_rate(model: nn.Module) -> dict[float, list[nn.Parameter]]:
    """Sort weights by the share of the learning rate that they get; those that get all of it come first."""
    shares = {
        layer.weight: min(WIDE / layer.in_features, getattr(layer, "share_of_rate", 1.0), 1.0)
        for layer in model.modules()
        if isinstance(layer, nn.Linear)
    }
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for weight in filter(lambda weight: weight.requires_grad, model.parameters()):
        groups.setdefault(shares.get(weight, 1.0), []).append(weight)
    return groups
