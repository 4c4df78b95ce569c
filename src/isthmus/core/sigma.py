"""What a likelihood sets by the rows, such as σ: where it begins, and in closed form after each epoch."""

import torch
from torch import Tensor

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.model import Model

PIECE = 512
"""Rows that are encoded and decoded at once."""


def set_floors(model: Model, rows: Batch) -> None:
    """Have each σ that is learnt, and its like, begin by its entries' deviations from their means over the rows."""
    if isinstance(rows, RaggedBatch):
        _set_floors_of_ragged(model, rows)
        return
    for likelihood, block, scale in model.likelihood.estimated(rows.x.shape[1]):
        x = rows.x[:, block]
        observed = torch.ones_like(x, dtype=torch.bool) if rows.observed is None else rows.observed[:, block]
        likelihood.initialise((x - x.mean(0)) / scale, observed)


def _set_floors_of_ragged(model: Model, rows: RaggedBatch) -> None:
    """Do so for sequences that are not padded: around the means that the steps of padded ones would have."""
    index, place = rows.steps_of_whole(len(model.fill))
    fill, x = model.fill[place], rows.x[index]
    rest = torch.where(x.isnan(), 0, x - fill)
    means = torch.zeros_like(model.fill).index_add_(0, place, rest) / rows.n_rows
    for likelihood, block, scale in model.likelihood.estimated(len(model.fill)):
        is_inside = torch.zeros(len(model.fill), dtype=torch.bool, device=x.device)
        is_inside[block] = True
        likelihood.initialise((rest - means[place]) / scale, ~x.isnan() & is_inside[place][:, None])


def set_sigmas(model: Model, rows: Batch, seed: int = 0) -> None:
    """Set each σ that is learnt, and its like, by its entries' mean squared error.

    The error is that of the training's objective: rows are shown corrupted, where they are in training, codes are
    drawn, and the entries that count there count here. The draws come from `seed`, and are the same each time.

    Parameters
    ----------
    model : Model
        It is put into evaluation mode.
    rows : Batch
        Training rows.
    """
    learnt = model.likelihood.estimated(len(model.fill) if model.fill.ndim else rows.x.shape[1])
    if not learnt:
        return
    model.eval()
    generator = torch.Generator(rows.x.device).manual_seed(seed)
    squared_errors, entries = torch.zeros(2, len(learnt), dtype=torch.float64)
    with torch.no_grad():
        for piece in rows.split(PIECE):
            shown = model.corrupt(piece, generator)
            mean = model.decode(model.encode(shown, generator).z, shown.context).mean
            counted = model.counted(piece, shown)
            for i, (_, block, scale) in enumerate(model.likelihood.estimated(piece.x.shape[1])):
                error = ((piece.x[:, block] - mean[:, block]) / scale).square()
                counts = torch.ones_like(error) if counted is None else counted[:, block].to(error)
                squared_errors[i] += (error * counts).sum(dtype=widest(error)).cpu()
                entries[i] += counts.sum(dtype=widest(error)).cpu()
        for each, squared_error, n in zip(learnt, squared_errors, entries, strict=True):
            if n > 0:
                each.likelihood.update(squared_error / n)


def widest(tensor: Tensor) -> torch.dtype:
    """Return the dtype to sum in: MPS has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
