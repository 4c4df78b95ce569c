"""Filling in what is not known: encode and decode over and over, each time with the known entries put back."""

import torch
from torch import Tensor

from isthmus.core.bottleneck import deviation
from isthmus.core.bound import SEED
from isthmus.core.model import Batch, Model


def iterate(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Move what is not known towards a fixed point, by a model with a deterministic code; return whole rows.

    Nothing makes the iteration converge. Of each row the turn is kept in which its known entries were rebuilt best.
    """
    x, context, known = batch
    if known is None:
        return x
    best, lowest = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for _ in range(iterations):
        rebuilt = model.decode(model.encode(x, context).z, context)
        error = rebuilt.fit(x, known).squared_error
        x = torch.where(known, x, rebuilt.mean)
        better = error < lowest
        best = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, best)
        lowest = torch.where(better, error, lowest)
    return best


def pseudo_gibbs(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Draw the code and what is not known in turn, by a model with a Gaussian code (Rezende et al. 2014, appendix F).

    Returned are whole rows, with the mean over the second half of the turns where nothing was known. In each turn all
    rows share the draw of ε, so that what becomes of a row does not depend on the rows that it came with.
    """
    x, context, known = batch
    if known is None:
        return x
    total = torch.zeros_like(x)
    warm_up = iterations // 2
    generator = torch.Generator().manual_seed(SEED)
    for i in range(iterations):
        code = model.encode(x, context)
        noise = torch.randn(code.mean.shape[1], generator=generator).to(x)
        expected = model.decode(code.mean + deviation(code) * noise, context).mean
        x = torch.where(known, x, expected)
        if i >= warm_up:
            total += expected
    return torch.where(known, x, total / (iterations - warm_up))
