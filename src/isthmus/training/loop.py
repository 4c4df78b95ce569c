"""Epoch after epoch, and the best weights at the end."""

import time
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import torch

from isthmus.core.batch import Batch
from isthmus.core.sigma import set_sigmas
from isthmus.core.source import Source
from isthmus.training.callbacks import Callback, Record
from isthmus.training.compiled import Step
from isthmus.training.evaluated import check_finite, evaluated, row_means
from isthmus.training.figures import LOOK
from isthmus.training.spikes import Batches, SpikeError, as_in_training, check_epoch, check_spike, probe_batch, start_of
from isthmus.training.state import Best, Position, State
from isthmus.training.step import compiled_step, step_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MOST_HALVINGS = 3
"""How often a run goes back and on at half the learning rate before it gives up."""

SIGMA_ROWS = 2048
"""Training rows by which a σ that is learnt is set after each epoch, at the most."""

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
    compiled: bool = False,
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
    compiled : bool, default False
        Whether steps are one compiled graph, where they can be.

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
    step = _step(fabric, state, min(batch_size, len(train)), max_grad_norm, compiled)
    batches, some = state.ranks.batches(train, batch_size), state.ranks.batches(train.excerpt(), batch_size)
    sigma_rows = train.sample(SIGMA_ROWS)
    held_out = None if validation is None else state.ranks.batches(validation, at_once)
    if state.best is None and held_out is not None:
        state.best = Best.begin(state.model, evaluated(state, held_out(None)), state.monitor)
    _look_at_start(state, train, roll_back, epochs=epochs, batch_size=batch_size, at_once=at_once)
    epochs_before, watch = len(state.history), watch or (lambda state: None)
    try:
        for _ in range(epochs):
            record = _steady_epoch(step, state, batches, some, watch, roll_back)
            set_sigmas(state.model, sigma_rows)
            if held_out is not None:
                record["validation"] = _validated(state, held_out(None))
            _tell(state, record, callbacks)
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


def _step(fabric: "Fabric", state: State, batch_size: int, max_grad_norm: float | None, compiled: bool) -> Step:
    step = step_of(fabric, state, max_grad_norm)
    return compiled_step(fabric, state, batch_size, max_grad_norm, step) if compiled else step


def _look_at_start(state: State, train: Source, roll_back: bool, **sizes: int) -> None:
    """Note the errors before the first step, which those of the epochs are held against where a run may go back."""
    state.probe = None  # of the rows of a run before
    if roll_back and state.start is None:
        state.start = start_of(state, train, **sizes)


def _tell(state: State, record: Record, callbacks: Sequence[Callback]) -> None:
    """Keep the record of an epoch, hand it to every callback, and note whether one of any process asked to stop."""
    state.history.append(record)
    asked_to_stop = sum(bool(callback(record)) for callback in callbacks) > 0  # each is called
    state.stopped = state.ranks.any(asked_to_stop)


def _validated(state: State, held_out: Iterable[Batch]) -> dict[str, float]:
    """Keep the epoch's weights if they are better than the best so far; return the means of the terms."""
    evaluation = evaluated(state, held_out)
    if state.best is not None:
        state.best.consider(state.model, evaluation, state.epoch)
    return evaluation.means


def _steady_epoch(step: Step, state: State, train: Batches, some: Batches, watch: Watch, roll_back: bool) -> Record:
    """Train for one epoch; where the loss explodes, go back and try at half the learning rate."""
    while True:
        try:
            return _train_epoch(step, state, train, some, watch)
        except (FloatingPointError, SpikeError) as error:
            assert state.position is not None
            state.restore(state.position.start)
            state.position = None
            if isinstance(error, FloatingPointError) and (not roll_back or state.halvings >= MOST_HALVINGS):
                raise
            state.halve_learning_rate()
            warnings.warn(
                f"{error}; going back to the end of epoch {state.epoch}, and on at half the learning rate", stacklevel=2
            )


def _train_epoch(step: Step, state: State, train: Batches, some: Batches, watch: Watch) -> Record:
    """Train on every batch once, or on those that are left, and return the epoch's record."""
    began = time.perf_counter()
    state.model.train()
    state.ranks.broadcast_state(state.model, state.generator, state.draws)
    position = state.position = state.position or Position(state.snapshot())
    began -= position.seconds
    with closing(_batches(state, position, train)) as batches:
        for batch in batches:
            position.figures.append(step(batch))
            position.sizes.append(state.ranks.n_rows(batch))
            position.seconds = time.perf_counter() - began
            if len(position.sizes) % LOOK == 0:
                check_epoch(state, position)
            watch(state)
    state.ranks.broadcast_state(state.model, state.generator, state.draws)
    columns = position.figures.columns()
    means = row_means(columns, position.sizes)
    after_the_last_step = as_in_training(state, [probe_batch(state, some)]).means
    check_finite(columns, state)
    check_finite(
        {name: torch.tensor([value], dtype=torch.float64) for name, value in after_the_last_step.items()}, state
    )
    check_epoch(state, position)
    if state.start is not None:
        check_spike(state, after_the_last_step, state.start.probe)
    state.epoch += 1
    state.position = None
    return {"epoch": state.epoch, "seconds": time.perf_counter() - began, "train": means}


def _batches(state: State, position: Position, train: Batches) -> Generator[Batch]:
    """Yield the epoch's batches that have not been trained on, shuffled as they were when it began."""
    now = state.generator.get_state()
    state.generator.set_state(position.start.generator)
    n_done = len(position.sizes)
    batches = train(state.generator, skip=n_done)
    with closing(batches):
        for i, batch in enumerate(batches):
            if i == 0 and n_done:
                state.generator.set_state(now)  # the order is drawn: what follows goes on where it was
            yield batch
    if n_done == len(position.sizes) and n_done:
        state.generator.set_state(now)  # none was left, and what follows the epoch goes on where it was, too
