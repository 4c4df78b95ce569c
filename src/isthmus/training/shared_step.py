"""One step of several processes, each with its share of the batch."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.model import outcome_of
from isthmus.training.evaluated import figures_of
from isthmus.training.ranks import Ranks
from isthmus.training.state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def shared_step(
    fabric: "Fabric",
    state: State,
    ranks: Ranks,
    model: Any,
    optimizer: Any,
    max_grad_norm: float | None,
    batch: Batch,
) -> dict[str, Tensor]:
    """Change the weights by the whole batch, of which `batch` are this process's rows, and give its figures."""
    with state.drawing():
        outcome = outcome_of(model, batch, state.model.corrupt, state.generator)
    loss = state.model.row_losses(outcome.terms, state.epoch).mean()
    optimizer.zero_grad()
    with state.taking_gradients():
        fabric.backward(loss * ranks.weight())
    if max_grad_norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=max_grad_norm, error_if_nonfinite=False)
    optimizer.step()
    if state.scheduler is not None:
        state.scheduler.step()
    return ranks.pooled(figures_of(state.model, outcome, loss, batch), outcome, batch)
