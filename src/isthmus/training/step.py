"""One step: a batch → terms → loss → gradient → weights, and the batch's figures."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.model import outcome_of
from isthmus.training.evaluated import figures_of
from isthmus.training.ranks import Ranks
from isthmus.training.shared_step import shared_step
from isthmus.training.state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Step = Callable[[Batch], dict[str, Tensor]]
"""Changes the weights by a batch, and gives the batch's figures."""


def step_of(fabric: "Fabric", state: State, max_grad_norm: float | None) -> Step:
    """Return what changes the weights by a batch.

    On one device, at the precision of the weights, Fabric's wrapper has nothing to do, and looks at every tensor on the
    way in and out of each step all the same, which small networks feel.
    """
    from lightning_fabric.strategies.single_device import SingleDeviceStrategy  # which is there, as the Fabric is

    wrapped, optimizer = fabric.setup(state.model, state.optimizer)
    strategy = fabric.strategy
    is_plain = str(strategy.precision.precision).endswith("-true")
    if isinstance(state.ranks, Ranks):
        model = strategy.module if is_plain else wrapped  # type: ignore[attr-defined]  # models/ddp.py's
        return partial(shared_step, fabric, state, state.ranks, model, optimizer, max_grad_norm)
    is_plain = is_plain and isinstance(strategy, SingleDeviceStrategy)
    return partial(_step, fabric, state, state.model if is_plain else wrapped, optimizer, max_grad_norm)


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
    return figures_of(state.model, outcome, loss, batch)
