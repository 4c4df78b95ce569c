"""Terms → loss → backward → step, epoch after epoch, and the best weights at the end."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.single_device import SingleDeviceStrategy
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from isthmus.core.batch import Batch
from isthmus.core.bottleneck import active_units
from isthmus.core.model import Model, Outcome
from isthmus.training.callbacks import Callback, Record

MEASURES = ("loss", "mse", "active_units")
"""What stands in a record beside the terms."""

Schedule = Literal["one_cycle", "constant"]
Batches = Callable[[torch.Generator | None], Iterable[Batch]]
"""Gives an epoch's batches: shuffled by the generator, or in order without one."""


@dataclass
class State:
    """All that a run is: with it saved and restored, the run would go on as if nothing had happened."""

    model: Model
    optimizer: Adam
    generator: torch.Generator
    scheduler: LRScheduler | None = None
    largest_gradient: float = math.inf
    epoch: int = 0
    history: list[Record] = field(default_factory=list)
    interrupted: bool = False


class Evaluation(NamedTuple):
    """The terms of rows that are not trained on.

    Attributes
    ----------
    means : dict of str to float
        The mean of each term, of the weighted sum (``loss``) and of the squared error an entry (``mse``).
    losses : Tensor of shape (rows,)
        The weighted sum for each row.
    """

    means: dict[str, float]
    losses: Tensor


def new_state(
    model: Model,
    lr: float,
    generator: torch.Generator,
    schedule: Schedule,
    steps: int,
    largest_gradient: float = math.inf,
) -> State:
    """Pair a model with Adam and a schedule of the learning rate.

    Parameters
    ----------
    lr : float
        The learning rate, or its peak.
    schedule : {"one_cycle", "constant"}
        ``one_cycle`` rises to `lr` over the first 30 % of the steps and falls to nothing (Smith & Topin 2018).
    steps : int
        How many steps there will be.
    largest_gradient : float, default inf
        What the gradient's norm is cut to before each step (Pascanu et al. 2013).
    """
    optimizer = Adam(model.parameters(), lr=lr, fused=True)
    scheduler = OneCycleLR(optimizer, lr, total_steps=steps + 1) if schedule == "one_cycle" and steps else None
    return State(model, optimizer, generator, scheduler, largest_gradient)


def run(
    fabric: Fabric,
    state: State,
    train: Batches,
    validation: Batches | None = None,
    *,
    epochs: int,
    callbacks: Sequence[Callback] = (),
) -> Evaluation | None:
    """Train for up to `epochs` epochs; with validation rows the best weights are kept, else the last.

    Parameters
    ----------
    train, validation : callables
        Give the batches to train on, and those to choose the best epoch by.
    callbacks : sequence of callables
        Each is handed the epoch's record; the training ends after an epoch for which one of them returns True.

    Returns
    -------
    Evaluation or None
        Of the validation rows before the first step.

    Raises
    ------
    FloatingPointError
        If a term of the loss becomes NaN or infinite.

    Warns
    -----
    UserWarning
        If the training is interrupted from the keyboard: the best weights so far are kept. Before the end of the
        first epoch there are none, and KeyboardInterrupt goes on.
    """
    model, optimizer = fabric.setup(state.model, state.optimizer)
    if _computes_in_its_own_dtype(fabric):
        model = state.model
    start = None if validation is None else evaluate(state.model, validation(None))
    best = None if start is None else Best(state.model, start)
    epochs_before = len(state.history)
    try:
        for _ in range(epochs):
            record = _train_epoch(fabric, state, model, optimizer, train)
            if best is not None and validation is not None:
                evaluation = evaluate(state.model, validation(None))
                record["validation"] = evaluation.means
                best.consider(state.model, evaluation)
            state.history.append(record)
            if _any_asks_to_stop(callbacks, record, fabric.device):
                break
    except KeyboardInterrupt:
        if len(state.history) == epochs_before:
            raise  # there is nothing yet to keep
        state.interrupted = True
        warnings.warn(f"interrupted after {len(state.history)} epochs: the best weights so far are kept", stacklevel=2)
    if best is not None:
        state.model.load_state_dict(best.weights)
    return start


def _computes_in_its_own_dtype(fabric: Fabric) -> bool:
    """Tell whether Fabric's wrapper has nothing to do: on one device, at the precision of the weights.

    It looks at every tensor on the way in and out of each step all the same, which small networks feel.
    """
    strategy = fabric.strategy
    return isinstance(strategy, SingleDeviceStrategy) and str(strategy.precision.precision).endswith("-true")


def _train_epoch(fabric: Fabric, state: State, model: Any, optimizer: Any, train: Batches) -> Record:
    """Train on every batch once and return the epoch's record."""
    began = time.perf_counter()
    state.model.train()
    figures: list[dict[str, Tensor]] = []
    sizes: list[int] = []
    for batch in train(state.generator):
        figures.append(_step(fabric, state, model, optimizer, batch))
        sizes.append(len(batch.x))
    means = _row_means(figures, sizes)
    state.epoch += 1
    after_the_last_step = evaluate(state.model, [batch]).means
    _check_finite([*figures, after_the_last_step], state)
    return {"epoch": state.epoch, "seconds": time.perf_counter() - began, "train": means}


def _step(fabric: Fabric, state: State, model: Any, optimizer: Any, batch: Batch) -> dict[str, Tensor]:
    """Terms → loss → backward → step; return the batch's figures."""
    outcome = model(batch, state.model.corrupt(batch, state.generator), state.generator)
    loss = state.model.row_losses(outcome.terms, state.epoch).mean()
    optimizer.zero_grad()
    fabric.backward(loss)
    if state.largest_gradient < math.inf:
        fabric.clip_gradients(model, optimizer, max_norm=state.largest_gradient, error_if_nonfinite=False)
    optimizer.step()
    if state.scheduler is not None:
        state.scheduler.step()
    return _figures(outcome, loss, batch)


def _figures(outcome: Outcome, loss: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return what goes into the record of a batch: the mean of each term, the loss, the squared error an entry."""
    means = {name: term.detach().mean() for name, term in outcome.terms.items()}
    entries = batch.x.numel() if outcome.counted is None else outcome.counted.sum()
    means |= {"loss": loss.detach(), "mse": outcome.squared_error.sum() / entries}
    if outcome.code.log_variance is not None:
        means["active_units"] = active_units(outcome.code.mean.detach())
    return means


def _row_means(figures: Sequence[dict[str, Tensor]], sizes: Sequence[int]) -> dict[str, float]:
    """Average the batches' figures over rows."""
    share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    return {name: float(torch.stack([batch[name] for batch in figures]).double().cpu() @ share) for name in figures[0]}


def _check_finite(figures: Sequence[dict[str, Any]], state: State) -> None:
    """Raise where a loss was NaN or infinite: looked at once an epoch, as each look makes an accelerator wait."""
    losses = torch.stack([torch.as_tensor(batch["loss"]).double().cpu() for batch in figures])
    wrong = (~losses.isfinite()).nonzero().flatten().tolist()
    if not wrong:
        return
    terms = {name: float(value) for name, value in figures[wrong[0]].items() if name not in MEASURES}
    weighted = {name: abs(value * state.model.weight(name)) for name, value in terms.items()}
    largest = max(weighted, key=weighted.__getitem__)
    culprit = next((name for name, value in terms.items() if not math.isfinite(value)), largest)
    lr = state.optimizer.param_groups[0]["lr"]
    raise FloatingPointError(
        f"the loss became {float(losses[wrong[0]])} in epoch {state.epoch} by its term {culprit!r}: most likely the "
        f"learning rate is too high (now {lr:.3g}; try a tenth), that term's weight too large, or X on a huge scale"
    )


def evaluate(model: Model, batches: Iterable[Batch], seed: int = 0) -> Evaluation:
    """Take the terms of batches without training on them; corruption is drawn from `seed`, the same each time."""
    model.eval()
    figures, sizes, losses = [], [], []
    generator: torch.Generator | None = None
    with torch.no_grad():
        for batch in batches:
            generator = generator or torch.Generator(batch.x.device).manual_seed(seed)
            outcome = model(batch, model.corrupt(batch, generator), generator)
            row_losses = model.row_losses(outcome.terms)
            figures.append(_figures(outcome, row_losses.mean(), batch))
            sizes.append(len(batch.x))
            losses.append(row_losses)
    return Evaluation(_row_means(figures, sizes), torch.cat(losses))


class Best:
    """The weights of the epoch with the lowest loss on the validation rows.

    The start counts as an epoch. It is left only for weights whose loss is lower by more than three standard errors of
    the difference, so that a few lucky rows do not pass for progress: so an autoencoder that starts at PCA stays
    there where the data cannot tell that anything is better.
    """

    def __init__(self, model: Model, start: Evaluation) -> None:
        self.start = start
        self.lowest = start.means["loss"]
        self.weights = copy.deepcopy(model.state_dict())

    def consider(self, model: Model, evaluation: Evaluation) -> None:
        """Keep the model's weights if they are better than the best so far."""
        gain = (self.start.losses - evaluation.losses).double()
        beyond_chance = gain.mean() > 3 * gain.std() / math.sqrt(len(gain))
        if beyond_chance and evaluation.means["loss"] < self.lowest:
            self.lowest = evaluation.means["loss"]
            self.weights = copy.deepcopy(model.state_dict())


def _any_asks_to_stop(callbacks: Sequence[Callback], record: Record, device: torch.device) -> bool:
    """Call each with the record; random numbers that a callback draws do not change the run."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        answers = [callback(record) for callback in callbacks]  # each is called, whatever the others say
    return any(answer is not None and bool(answer) for answer in answers)
