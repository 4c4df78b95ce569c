"""The figures of a batch for the record, and the terms of rows that are not trained on."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.model import Model, Outcome, outcome_of
from isthmus.training.figures import Figures
from isthmus.training.state import Evaluation, State

MEASURES = ("loss", "mse")
"""What stands in a record beside the terms, and what the bottleneck measures."""


def figures_of(model: Model, outcome: Outcome, loss: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return what goes into the record of a batch: the mean of each term, the loss, the squared error an entry."""
    loss = loss.detach()
    terms = outcome.terms.items()
    # A term that is the loss itself has its mean.
    is_loss = len(terms) == 1 and all(model.weight(name) == 1 for name in outcome.terms)
    means = {name: loss if is_loss else term.detach().mean() for name, term in terms}
    entries = batch.x.numel() if outcome.counted is None else outcome.counted.sum()
    means |= {"loss": loss, "mse": outcome.squared_error.sum() / entries}
    return means | model.bottleneck.measure(outcome.code)


def by_row(monitor: str, outcome: Outcome, figures: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Return a measure of each row; one that belongs to the batch is the same for all of its rows."""
    if monitor == "mse" and outcome.counted is None:
        return outcome.squared_error * (batch.n_rows / batch.x.numel())
    term = outcome.terms.get(monitor, figures[monitor])
    return term if term.ndim else term.expand(batch.n_rows)


def terms_of(model: Model, figures: Mapping[str, float] | Mapping[str, Tensor]) -> dict[str, float]:
    """Return those of a record's figures that are terms of the loss."""
    others = (*MEASURES, *model.bottleneck.measures)
    return {name: float(value) for name, value in figures.items() if name not in others}


def row_means(figures: Mapping[str, Tensor], sizes: Sequence[int]) -> dict[str, float]:
    """Average the batches' figures over rows; the squared error over batches of which something is known."""
    weights = torch.tensor(sizes, dtype=torch.float64)
    columns = {name: column.double().cpu() for name, column in figures.items()}
    means = {name: float(column @ (weights / weights.sum())) for name, column in columns.items()}
    is_known = ~columns["mse"].isnan()
    if not is_known.all():
        means["mse"] = float(columns["mse"][is_known] @ (weights[is_known] / weights[is_known].sum()))
    return means


def check_finite(figures: Mapping[str, Tensor], state: State) -> None:
    """Raise where a loss was NaN or infinite: looked at once an epoch, as each look makes an accelerator wait."""
    losses = figures["loss"].double().cpu()
    wrong = (~losses.isfinite()).nonzero().flatten().tolist()
    if not wrong:
        return
    terms = terms_of(state.model, {name: column[wrong[0]] for name, column in figures.items()})
    weighted = {name: abs(value * state.model.weight(name)) for name, value in terms.items()}
    largest = max(weighted, key=weighted.__getitem__)
    culprit = next((name for name, value in terms.items() if not math.isfinite(value)), largest)
    lr = state.optimizer.param_groups[0]["lr"]
    raise FloatingPointError(
        f"the loss became {float(losses[wrong[0]])} in epoch {state.epoch + 1} by its term {culprit!r}: most likely "
        f"the learning rate is too high (now {lr:.3g}; try a tenth), that term's weight too large, or X on a huge scale"
    )


def evaluated(state: State, batches: Iterable[Batch], *, training: bool = False) -> Evaluation:
    """Take the terms of batches without training on them; corruption is drawn from one seed, the same each time."""
    state.model.train(training)
    model, figures, sizes, losses = state.model, Figures(), [], []
    generator: torch.Generator | None = None
    with torch.no_grad(), state.drawing():
        for batch in batches:
            generator = generator or torch.Generator(batch.x.device).manual_seed(0)
            outcome = outcome_of(model, batch, model.corrupt, generator)
            row_losses = model.row_losses(outcome.terms)
            own = state.ranks.pooled(figures_of(model, outcome, row_losses.mean(), batch), outcome, batch)
            figures.append(own)
            sizes.append(state.ranks.n_rows(batch))
            is_loss = state.monitor == "loss" or state.monitor not in own
            row_losses = row_losses if is_loss else by_row(state.monitor, outcome, own, batch)
            losses.append(state.ranks.gathered(row_losses))
    return Evaluation(row_means(figures.columns(), sizes), torch.cat(losses))
