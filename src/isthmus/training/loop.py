"""Terms → loss → backward → step, epoch after epoch, and the best weights at the end."""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.model import Model, Outcome, outcome_of
from isthmus.core.sigma import set_sigmas
from isthmus.core.source import Source
from isthmus.training.callbacks import Callback, Record
from isthmus.training.state import LOOK, Best, Evaluation, Position, Start, State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MEASURES = ("loss", "mse")
"""What stands in a record beside the terms, and what the bottleneck measures."""

MOST_HALVINGS = 3
"""How often a run goes back and on at half the learning rate before it gives up."""

CHANCE = 5.0
"""By how much more few rows may differ from epoch to epoch: so many times one over the root of their number."""

SPIKE = 2.0
"""How many times the start's squared error an epoch's must not exceed."""

MOST_SPIKES = 10
"""How often a run steps back from such an epoch: at a thousandth of its learning rate it goes on as it is."""

LEAST_SHARE = 0.01
"""Of the rows' variance: a squared error below it is no spike, whatever the start had."""

SIGMA_ROWS = 2048
"""Training rows by which a σ that is learnt is set after each epoch, at the most."""

Batches = Callable[[torch.Generator | None], Iterable[Batch]]
"""Gives an epoch's batches: shuffled by the generator, or in order without one."""

Step = Callable[[Batch], dict[str, Tensor]]
"""Changes the weights by a batch, and gives the batch's figures."""

Watch = Callable[[State], None]
"""Is shown the state after each step, and after each epoch, when it is inside of none."""


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and is kept: it can be resumed.

    Attributes
    ----------
    signal : int
        The signal that asked.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def run(
    fabric: "Fabric",
    state: State,
    train: Source,
    validation: Source | None = None,
    *,
    epochs: int,
    batch_size: int,
    at_once: int,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    max_grad_norm: float | None = None,
    roll_back: bool = True,
) -> None:
    """Train for up to `epochs` epochs; with validation rows the best weights are kept, else the last.

    A state that was kept inside an epoch goes on there.

    Parameters
    ----------
    train, validation : Source
        Rows to train on, and those to choose the best epoch by.
    epochs : int
        How many more there are to be.
    batch_size, at_once : int
        Rows a step, and how many of those that are not trained on are evaluated at once.
    callbacks : sequence of callables
        Each is handed the epoch's record; the training ends after an epoch for which one of them returns True.
    watch : callable, optional
        Is shown the state after each step and each epoch, to keep it somewhere.
    max_grad_norm : float, optional
        What the gradient's norm, over all weights, is cut to.
    roll_back : bool, default True
        Whether an epoch is begun again at half the learning rate in which a term became NaN or infinite, three times at
        most in a run, or in which the squared error was more than twice that before the first step and the loss higher.

    Raises
    ------
    FloatingPointError
        If a term of the loss becomes NaN or infinite, and the run does not or no longer go back.

    Warns
    -----
    UserWarning
        If the run goes back; and if the training is interrupted from the keyboard: the best weights so far are kept.
        Before the end of the first epoch there are none, and KeyboardInterrupt goes on.
    """
    step = _step_of(fabric, state, max_grad_norm)
    batches, sigma_rows = partial(train.batches, batch_size), train.sample(SIGMA_ROWS)
    held_out = None if validation is None else partial(validation.batches, at_once)
    if state.best is None and held_out is not None:
        state.best = Best.begin(state.model, _evaluated(state, held_out(None)), state.monitor)
    if roll_back and state.start is None:
        state.start = _start(state, batches, epochs)
    epochs_before, watch = len(state.history), watch or (lambda state: None)
    try:
        for _ in range(epochs):
            record = _steady_epoch(step, state, batches, watch, roll_back)
            set_sigmas(state.model, sigma_rows)
            if held_out is not None:
                record["validation"] = _validated(state, held_out(None))
            state.history.append(record)
            state.stopped = sum(bool(callback(record)) for callback in callbacks) > 0  # each is called
            watch(state)
            if state.stopped:
                break
    except KeyboardInterrupt as asked:
        if len(state.history) == epochs_before or isinstance(asked, Interrupted):
            raise  # there is nothing yet to keep, or it is kept already
        state.interrupted = True
        warnings.warn(f"interrupted after {len(state.history)} epochs: the best weights so far are kept", stacklevel=2)
    if state.best is not None:
        state.model.load_state_dict(state.best.weights)


def _validated(state: State, held_out: Iterable[Batch]) -> dict[str, float]:
    """Keep the epoch's weights if they are better than the best so far; return the means of the terms."""
    evaluation = _evaluated(state, held_out)
    if state.best is not None:
        state.best.consider(state.model, evaluation, state.epoch)
    return evaluation.means


def _step_of(fabric: "Fabric", state: State, max_grad_norm: float | None) -> Step:
    """Return what changes the weights by a batch.

    On one device, at the precision of the weights, Fabric's wrapper has nothing to do, and looks at every tensor on the
    way in and out of each step all the same, which small networks feel.
    """
    from lightning_fabric.strategies.single_device import SingleDeviceStrategy  # which is there, as the Fabric is

    wrapped, optimizer = fabric.setup(state.model, state.optimizer)
    strategy = fabric.strategy
    is_plain = isinstance(strategy, SingleDeviceStrategy) and str(strategy.precision.precision).endswith("-true")
    return partial(_step, fabric, state, state.model if is_plain else wrapped, optimizer, max_grad_norm)


def _start(state: State, train: Batches, epochs: int) -> Start | None:
    """Take the terms of all training rows, and of one batch of them, before the first step; None of a short run."""
    if epochs * sum(1 for _ in train(None)) < LOOK:
        return None  # there is no time to rise and to come back
    probe = _as_in_training(state, [_probe(state, train)])
    means, losses = _as_in_training(state, train(torch.Generator(state.device).manual_seed(0)))
    # A start that knows its training rows by heart has too little error on them to be held against.
    held_out = 0.0 if state.best is None else state.best.start.means["mse"]
    least = max(held_out, LEAST_SHARE * _variance(state.model, train(None)))
    return Start(means, probe.means, least, len(losses))


def _probe(state: State, train: Batches) -> Batch:
    """Return the batch of training rows that is looked at before the first step and after each epoch."""
    return next(iter(train(torch.Generator(state.device).manual_seed(0))))


def _as_in_training(state: State, batches: Iterable[Batch]) -> Evaluation:
    """Take the terms of batches in training mode, and leave the run as it was."""
    buffers = {name: buffer.clone() for name, buffer in state.model.named_buffers()}  # batch normalisation's move
    draws = state.draws.get_state()
    evaluation = _evaluated(state, batches, training=True)
    state.draws.set_state(draws)
    for name, buffer in state.model.named_buffers():
        buffer.copy_(buffers[name])
    return evaluation


def _variance(model: Model, batches: Iterable[Batch]) -> float:
    """Return the mean squared distance of an entry from what stands for it where it is not known."""
    squares = entries = 0.0
    for batch in itertools.chain.from_iterable(each.parts() for each in batches):
        square = (batch.x - model.cut(model.fill, batch.x)).square()
        squares += float((square if batch.observed is None else square * batch.observed).sum())
        entries += float(square.numel() if batch.observed is None else batch.observed.sum())
    return squares / max(entries, 1)


class _SpikeError(Exception):
    """An epoch's error has risen far above the start's."""


def _steady_epoch(step: Step, state: State, train: Batches, watch: Watch, roll_back: bool) -> Record:
    """Train for one epoch; where the loss explodes, go back and try at half the learning rate."""
    while True:
        try:
            return _train_epoch(step, state, train, watch)
        except (FloatingPointError, _SpikeError) as error:
            assert state.position is not None
            state.restore(state.position.start)
            state.position = None
            if isinstance(error, FloatingPointError) and (not roll_back or state.halvings >= MOST_HALVINGS):
                raise
            state.halve_learning_rate()
            warnings.warn(
                f"{error}; going back to the end of epoch {state.epoch}, and on at half the learning rate", stacklevel=2
            )


def _check_epoch(state: State, position: Position) -> None:
    """Raise where the epoch so far has already more squared error than it may have in the whole.

    The sum over the epoch is held against the sum over all rows, so that a few rows of great error, soon or late, make
    no spike.
    """
    if state.start is not None:
        sums, rows = position.sums(), sum(position.sizes)
        found = {"mse": sums["mse"] / state.start.rows, "loss": sums["loss"] / rows}
        _check_spike(state, found, state.start.means)


def _check_spike(state: State, found: Mapping[str, float], before: Mapping[str, float]) -> None:
    """Raise where the squared error has risen to a multiple of what it was before the first step, and the loss too.

    A loss that falls may well do so at the cost of the squared error, as with a strong penalty.
    """
    if state.start is None or state.halvings >= MOST_SPIKES:
        return
    terms = _terms(state.model, before)
    loss = sum(state.model.weight(name, state.epoch) * value for name, value in terms.items())
    mse = max(before["mse"], state.start.least)
    limit = SPIKE * (1 + CHANCE / math.sqrt(state.start.rows))
    if found["mse"] > limit * mse and found["loss"] > loss:
        group = state.optimizer.param_groups[0]
        raise _SpikeError(
            f"the squared error rose in epoch {state.epoch + 1} to {found['mse'] / mse:.3g} times what it was before "
            f"the training: the learning rate, {group.get('max_lr', group['lr']):.3g}, is too high"
        )


def _train_epoch(step: Step, state: State, train: Batches, watch: Watch) -> Record:
    """Train on every batch once, or on those that are left, and return the epoch's record."""
    began = time.perf_counter()
    state.model.train()
    position = state.position = state.position or Position(state.snapshot())
    began -= position.seconds
    for batch, done in _batches(state, position, train):
        if done:
            continue
        position.figures.append(step(batch))
        position.sizes.append(batch.n_rows)
        position.seconds = time.perf_counter() - began
        if len(position.sizes) % LOOK == 0:
            _check_epoch(state, position)
        watch(state)
    means = _row_means(position.figures, position.sizes)
    after_the_last_step = _as_in_training(state, [_probe(state, train)]).means
    _check_finite([*position.figures, after_the_last_step], state)
    _check_epoch(state, position)
    if state.start is not None:
        _check_spike(state, after_the_last_step, state.start.probe)
    state.epoch += 1
    state.position = None
    return {"epoch": state.epoch, "seconds": time.perf_counter() - began, "train": means}


def _batches(state: State, position: Position, train: Batches) -> Iterator[tuple[Batch, bool]]:
    """Yield the epoch's batches, shuffled as they were when it began, and whether each has been trained on."""
    now = state.generator.get_state()
    state.generator.set_state(position.start.generator)
    n_done = len(position.sizes)
    for i, batch in enumerate(train(state.generator)):
        if i == 0 and n_done:
            state.generator.set_state(now)  # the order is drawn: what follows goes on where it was
        yield batch, i < n_done


def _step(
    fabric: "Fabric", state: State, model: Any, optimizer: Any, max_grad_norm: float | None, batch: Batch
) -> dict[str, Tensor]:
    with state.drawing():
        outcome = outcome_of(model, batch, state.model.corrupt, state.generator)
    loss = state.model.row_losses(outcome.terms, state.epoch).mean()
    optimizer.zero_grad()
    with state.taking_gradients():
        fabric.backward(loss)
    if max_grad_norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=max_grad_norm, error_if_nonfinite=False)
    optimizer.step()
    if state.scheduler is not None:
        state.scheduler.step()
    return _figures(state.model, outcome, loss, batch)


def _figures(model: Model, outcome: Outcome, loss: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return what goes into the record of a batch: the mean of each term, the loss, the squared error an entry."""
    means = {name: term.detach().mean() for name, term in outcome.terms.items()}
    entries = batch.x.numel() if outcome.counted is None else outcome.counted.sum()
    means |= {"loss": loss.detach(), "mse": outcome.squared_error.sum() / entries}
    return means | model.bottleneck.measure(outcome.code)


def _by_row(monitor: str, outcome: Outcome, figures: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Return a measure of each row; one that belongs to the batch is the same for all of its rows."""
    if monitor == "mse" and outcome.counted is None:
        return outcome.squared_error * (batch.n_rows / batch.x.numel())
    term = outcome.terms.get(monitor, figures[monitor])
    return term if term.ndim else term.expand(batch.n_rows)


def _terms(model: Model, figures: Mapping[str, float] | Mapping[str, Tensor]) -> dict[str, float]:
    """Return those of a record's figures that are terms of the loss."""
    others = (*MEASURES, *model.bottleneck.measures)
    return {name: float(value) for name, value in figures.items() if name not in others}


def _row_means(figures: Sequence[dict[str, Tensor]], sizes: Sequence[int]) -> dict[str, float]:
    """Average the batches' figures over rows; the squared error over batches of which something is known."""
    weights = torch.tensor(sizes, dtype=torch.float64)
    columns = {name: torch.stack([batch[name] for batch in figures]).double().cpu() for name in figures[0]}
    means = {name: float(column @ (weights / weights.sum())) for name, column in columns.items()}
    is_known = ~columns["mse"].isnan()
    if not is_known.all():
        means["mse"] = float(columns["mse"][is_known] @ (weights[is_known] / weights[is_known].sum()))
    return means


def _check_finite(figures: Sequence[dict[str, Tensor] | dict[str, float]], state: State) -> None:
    """Raise where a loss was NaN or infinite: looked at once an epoch, as each look makes an accelerator wait."""
    losses = torch.stack([torch.as_tensor(batch["loss"]).double().cpu() for batch in figures])
    wrong = (~losses.isfinite()).nonzero().flatten().tolist()
    if not wrong:
        return
    terms = _terms(state.model, figures[wrong[0]])
    weighted = {name: abs(value * state.model.weight(name)) for name, value in terms.items()}
    largest = max(weighted, key=weighted.__getitem__)
    culprit = next((name for name, value in terms.items() if not math.isfinite(value)), largest)
    lr = state.optimizer.param_groups[0]["lr"]
    raise FloatingPointError(
        f"the loss became {float(losses[wrong[0]])} in epoch {state.epoch + 1} by its term {culprit!r}: most likely "
        f"the learning rate is too high (now {lr:.3g}; try a tenth), that term's weight too large, or X on a huge scale"
    )


def _evaluated(state: State, batches: Iterable[Batch], *, training: bool = False) -> Evaluation:
    """Take the terms of batches without training on them; corruption is drawn from one seed, the same each time."""
    state.model.train(training)
    model, figures, sizes, losses = state.model, [], [], []
    generator: torch.Generator | None = None
    with torch.no_grad(), state.drawing():
        for batch in batches:
            generator = generator or torch.Generator(batch.x.device).manual_seed(0)
            outcome = outcome_of(model, batch, model.corrupt, generator)
            row_losses = model.row_losses(outcome.terms)
            figures.append(_figures(model, outcome, row_losses.mean(), batch))
            sizes.append(batch.n_rows)
            is_loss = state.monitor == "loss" or state.monitor not in figures[-1]
            losses.append(row_losses if is_loss else _by_row(state.monitor, outcome, figures[-1], batch))
    return Evaluation(_row_means(figures, sizes), torch.cat(losses))
