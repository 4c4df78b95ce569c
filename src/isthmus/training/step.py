"""One step: a batch → terms → loss → gradient → weights, and the batch's figures."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer

from isthmus.core.batch import Batch
from isthmus.core.model import outcome_of
from isthmus.training.compiled import CompiledStep, Step, tell_why_not
from isthmus.training.evaluated import figures_of
from isthmus.training.ranks import Ranks
from isthmus.training.state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def step_of(fabric: "Fabric", state: State, max_grad_norm: float | None) -> Step:
    """Return what changes the weights by a batch.

    On one device, at the precision of the weights or with products that the model takes in another by itself, Fabric's
    wrappers have nothing to do, and look at every tensor on the way in and out of each step all the same, which small
    networks feel.
    """
    model: nn.Module = state.model
    optimizer: Optimizer = state.optimizer
    backward: Callable[[Tensor], None] = Tensor.backward
    if not is_plain(fabric, state):
        model, optimizer = fabric.setup(state.model, state.optimizer)
        backward = fabric.backward
    if isinstance(state.ranks, Ranks):
        strategy: Any = fabric.strategy  # models/ddp.py's
        model = strategy.module if _keeps_precision(fabric, state) else model
        backward = partial(_backward_of_share, fabric, state.ranks)
    clip = None
    if max_grad_norm is not None:
        clip = partial(fabric.clip_gradients, model, optimizer, max_norm=max_grad_norm, error_if_nonfinite=False)
    return partial(_step, state, model, optimizer, backward, clip)


def _backward_of_share(fabric: "Fabric", ranks: Ranks, loss: Tensor) -> None:
    """Take the gradient of a process's part of the batch, so that the mean over processes is that of the whole."""
    fabric.backward(loss * ranks.weight())


def compiled_step(fabric: "Fabric", state: State, rows: int, max_grad_norm: float | None, eager: Step) -> Step:
    """Return the same as one compiled graph for batches of so many rows; a warning says where that cannot be."""
    if is_plain(fabric, state):
        return CompiledStep(state, rows, max_grad_norm, eager)
    tell_why_not("it is in half precision" if _is_on_one_device(fabric) else "it is on several devices")
    return eager


def is_plain(fabric: "Fabric", state: State) -> bool:
    """Tell whether training is on one device, and Fabric has nothing to do with its precision."""
    return _is_on_one_device(fabric) and _keeps_precision(fabric, state)


def _is_on_one_device(fabric: "Fabric") -> bool:
    from lightning_fabric.strategies.single_device import SingleDeviceStrategy  # which is there, as the Fabric is

    return isinstance(fabric.strategy, SingleDeviceStrategy)


def _keeps_precision(fabric: "Fabric", state: State) -> bool:
    """Tell whether Fabric has nothing to do with the precision: it is the weights', or the model sees to it itself."""
    return str(fabric.strategy.precision.precision).endswith("-true") or state.model.mixed is not None


def _step(
    state: State,
    model: nn.Module,
    optimizer: Optimizer,
    backward: Callable[[Tensor], None],
    clip: Callable[[], object] | None,
    batch: Batch,
) -> dict[str, Tensor]:
    with state.drawing():
        outcome = outcome_of(model, batch, state.model.corrupt, state.generator)
    loss = state.model.row_losses(outcome.terms, state.epoch).mean()
    optimizer.zero_grad()
    with state.taking_gradients():
        backward(loss)
    if clip is not None:
        clip()
    optimizer.step()
    if state.scheduler is not None:
        state.scheduler.step()
    return state.ranks.pooled(figures_of(state.model, outcome, loss, batch), outcome, batch)
