"""Whether an epoch's error has risen far above what it was before the first step."""

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Mapping

import torch

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.source import WHOLE, Source, cuts
from isthmus.training.evaluated import evaluated, terms_of
from isthmus.training.figures import LOOK
from isthmus.training.state import Evaluation, Position, Start, State

CHANCE = 5.0
"""By how much more few rows may differ from epoch to epoch: so many times one over the root of their number."""

TIMES_START = 2.0
"""How many times the start's squared error an epoch's must not exceed."""

MOST_STEPS_BACK = 10
"""How often a run steps back from such an epoch: at a thousandth of its learning rate it goes on as it is."""

LEAST_OF_VARIANCE = 0.01
"""Of the rows' variance: a squared error below it is no spike, whatever the start had."""

MOST_TOGETHER = 1024
"""Rows of which the errors before the first step are taken at once, unless a batch has more."""

PROBE_ROWS = 256
"""Rows that are looked at after each epoch, at the most."""

Batches = Callable[..., Generator[Batch]]
"""Gives an epoch's batches: shuffled by a generator, or in order without one, from the batch `skip` on."""


class SpikeError(Exception):
    """An epoch's error has risen far above the start's."""


def start_of(state: State, train: Source, *, epochs: int, batch_size: int, at_once: int) -> Start | None:
    """Take the terms of training rows, and of one batch of them, before the first step; None of a short run.

    Of a stream it is a sample of the rows that stands for all of them. Where batches are small, several are gone
    through together: no more than `at_once`.
    """
    if epochs * len(cuts(len(train), batch_size)) < LOOK:
        return None  # there is no time to rise and to come back
    batches = state.ranks.batches(train.excerpt(), batch_size)
    pieces = state.ranks.batches(train.excerpt(), max(batch_size, min(at_once, MOST_TOGETHER)))
    probe = as_in_training(state, [probe_batch(state, batches)])
    means = as_in_training(state, pieces(torch.Generator(state.device).manual_seed(0))).means
    # A start that knows its training rows by heart has too little error on them to be held against.
    held_out = 0.0 if state.best is None else state.best.start.means["mse"]
    least = max(held_out, LEAST_OF_VARIANCE * _variance(state, pieces(None)))
    return Start(means, probe.means, least, len(train))


def check_epoch(state: State, position: Position) -> None:
    """Raise where the epoch so far has already more squared error than it may have in the whole.

    The sum over the epoch is held against the sum over all rows, so that a few rows of great error, soon or late, make
    no spike.
    """
    if state.start is not None:
        sums = position.sums()
        found = {"mse": sums["mse"] / state.start.rows, "loss": sums["loss"] / sums["rows"]}
        check_spike(state, found, state.start.means)


def check_spike(state: State, found: Mapping[str, float], before: Mapping[str, float]) -> None:
    """Raise where the squared error has risen to a multiple of what it was before the first step, and the loss too.

    A loss that falls may well do so at the cost of the squared error, as with a strong penalty.
    """
    if state.start is None or state.halvings >= MOST_STEPS_BACK:
        return
    terms = terms_of(state.model, before)
    loss = sum(state.model.weight(name, state.epoch) * value for name, value in terms.items())
    mse = max(before["mse"], state.start.least)
    limit = TIMES_START * (1 + CHANCE / math.sqrt(state.start.rows))
    if found["mse"] > limit * mse and found["loss"] > loss:
        group = state.optimizer.param_groups[0]
        raise SpikeError(
            f"the squared error rose in epoch {state.epoch + 1} to {found['mse'] / mse:.3g} times what it was before "
            f"the training: the learning rate, {group.get('max_lr', group['lr']):.3g}, is too high"
        )


def probe_batch(state: State, train: Batches) -> Batch:
    """Return rows of a batch that are looked at before the first step and after each epoch, the same in all of a run.

    They are kept, as an order of all rows would have to be drawn for them each time; several processes, which have to
    know how many rows they have together, draw it.
    """
    if state.ranks.share != WHOLE:
        return next(train(torch.Generator(state.device).manual_seed(0)))
    if state.probe is None:
        batch = next(train(torch.Generator(state.device).manual_seed(0)))
        state.probe = batch if isinstance(batch, RaggedBatch) else batch.take(slice(PROBE_ROWS))
    return state.probe


def as_in_training(state: State, batches: Iterable[Batch]) -> Evaluation:
    """Take the terms of batches in training mode, and leave the run as it was."""
    buffers = {name: buffer.clone() for name, buffer in state.model.named_buffers()}  # batch normalisation's move
    draws = state.draws.get_state()
    evaluation = evaluated(state, batches, training=True)
    state.draws.set_state(draws)
    for name, buffer in state.model.named_buffers():
        buffer.copy_(buffers[name])
    return evaluation


def _variance(state: State, batches: Iterable[Batch]) -> float:
    """Return the mean squared distance of an entry from what stands for it where it is not known."""
    squares = entries = 0.0
    for batch in itertools.chain.from_iterable(each.parts() for each in batches):
        square = (batch.x - state.model.cut(state.model.fill, batch.x)).square()
        squares += float((square if batch.observed is None else square * batch.observed).sum())
        entries += float(square.numel() if batch.observed is None else batch.observed.sum())
    squares, entries = state.ranks.summed(squares, entries)
    return squares / max(entries, 1)
