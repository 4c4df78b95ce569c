"""The σ of a Gaussian likelihood that is learnt: put, in closed form, where it is most likely (Rybkin et al. 2021)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.likelihood import GaussianLikelihood, ProductLikelihood, StandardisedLikelihood
from isthmus.core.model import Model

LEAST_SIGMA = 1e-3
"""What a σ that is learnt does not fall below, as a share of the rows' standard deviation."""

PIECE = 512
"""Rows that are encoded and decoded at once."""


class LearntSigma(NamedTuple):
    """A likelihood whose σ is learnt.

    Attributes
    ----------
    likelihood : GaussianLikelihood
        Whose σ it is.
    block : slice
        The part of a row's first axis that it is about.
    scale : Tensor or float
        The unit of σ, in the units of the rows.
    """

    likelihood: GaussianLikelihood
    block: slice
    scale: Tensor | float


def learnt_sigmas(likelihood: Any, length: int) -> list[LearntSigma]:
    """Return the likelihoods whose σ is learnt; `length` is that of a row's first axis."""
    whole: list[tuple[Any, slice]] = [(likelihood, slice(None))]
    if isinstance(likelihood, ProductLikelihood):
        blocks = likelihood.slices(length)
        whole = [(block.likelihood, blocks[block.name]) for block in likelihood.blocks]
    found = []
    for each, block in whole:
        scale: Tensor | float = 1.0
        if isinstance(each, StandardisedLikelihood):
            scale, each = each.scale, each.likelihood
        if isinstance(each, GaussianLikelihood) and each.fixed is None:
            found.append(LearntSigma(each, block, scale))
    return found


def set_floors(model: Model, rows: Batch) -> None:
    """Keep each σ that is learnt above a small share of its entries' standard deviation over the rows."""
    if isinstance(rows, RaggedBatch):
        _set_floors_of_ragged(model, rows)
        return
    for likelihood, block, scale in learnt_sigmas(model.likelihood, rows.x.shape[1]):
        x = rows.x[:, block]
        known = torch.ones_like(x, dtype=torch.bool) if rows.known is None else rows.known[:, block]
        variance = (((x - x.mean(0)) / scale).square() * known).sum() / known.sum().clamp(min=1)
        floor = LEAST_SIGMA * (variance.sqrt() if variance > 0 else torch.ones_like(variance))
        likelihood.set_sigma(floor, floor)


def _set_floors_of_ragged(model: Model, rows: RaggedBatch) -> None:
    """Do so for sequences that are not padded: around the means that the steps of padded ones would have."""
    index, place = rows.steps_of_whole(len(model.fill))
    fill, x = model.fill[place], rows.x[index]
    rest = torch.where(x.isnan(), 0, x - fill)
    means = torch.zeros_like(model.fill).index_add_(0, place, rest) / rows.n_rows
    for likelihood, block, scale in learnt_sigmas(model.likelihood, len(model.fill)):
        is_inside = torch.zeros(len(model.fill), dtype=torch.bool, device=x.device)
        is_inside[block] = True
        own = ~x.isnan() & is_inside[place][:, None]
        squares = ((rest - means[place]) / scale).square() * own
        variance = squares.sum() / own.sum().clamp(min=1)
        floor = LEAST_SIGMA * (variance.sqrt() if variance > 0 else torch.ones_like(variance))
        likelihood.set_sigma(floor, floor)


def set_sigmas(model: Model, rows: Batch, seed: int = 0) -> None:
    """Set each σ that is learnt to the root of its entries' mean squared error, where it is most likely.

    The error is that of the training's objective: rows are shown corrupted, where they are in training, codes are
    drawn, and the entries that count there count here. The draws come from `seed`, and are the same each time.

    Parameters
    ----------
    model : Model
        It is put into evaluation mode.
    rows : Batch
        Training rows.
    """
    learnt = learnt_sigmas(model.likelihood, len(model.fill) if model.fill.ndim else rows.x.shape[1])
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
            for i, (_, block, scale) in enumerate(learnt_sigmas(model.likelihood, piece.x.shape[1])):
                error = ((piece.x[:, block] - mean[:, block]) / scale).square()
                counts = torch.ones_like(error) if counted is None else counted[:, block].to(error)
                squared_errors[i] += (error * counts).sum(dtype=_widest(error)).cpu()
                entries[i] += counts.sum(dtype=_widest(error)).cpu()
        for each, squared_error, n in zip(learnt, squared_errors, entries, strict=True):
            if n > 0:
                each.likelihood.set_sigma((squared_error / n).sqrt().to(each.likelihood.floor), each.likelihood.floor)


def _widest(tensor: Tensor) -> torch.dtype:
    """Return the dtype to sum in: MPS has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
