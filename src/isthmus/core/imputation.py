"""Filling in what is not known, from what is."""

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.model import Model


def iterate(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Encode and decode over and over, each time with the known entries put back; return whole rows.

    Nothing makes the iteration converge. Of each row the turn is kept in which its known entries were rebuilt best. A
    model whose encoder leaves out what is not known needs one turn.
    """
    x, context, known = batch
    if known is None:
        return x
    if model.takes_known:
        return torch.where(known, x, model.decode(model.encode(batch).z, context).mean)
    best, lowest = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for turn in range(iterations):
        # A model may be shown gaps as such, but after the first turn there are guesses in them.
        rebuilt = model.decode(model.encode(batch if turn == 0 else Batch(x, context)).z, context)
        error = rebuilt.fit(x, known).squared_error
        x = torch.where(known, x, rebuilt.mean)
        better = error < lowest
        best = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, best)
        lowest = torch.where(better, error, lowest)
    return best


STEP = 0.1
"""The first step of the search, in the units of a Gaussian code."""


def explain(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Take the code that explains what is known best, argmax log p(x_known | z) + log p(z); return whole rows.

    For a model with a Gaussian code; of a linear one that is the mean of what is missing, given what is known. The
    encoder has the first word, by its mean for a row with the gaps at ``fill``. Rprop goes on from there (Riedmiller &
    Braun 1993), whose steps are each unit's own, so that rows do not depend on one another. An encoder that never saw
    gaps would not be led out of them by decoding and encoding alone.
    """
    x, context, known = batch
    if known is None:
        return x
    z = model.encode(batch).mean.detach().clone()
    with torch.enable_grad():
        z.requires_grad_()
        optimizer = torch.optim.Rprop([z], lr=STEP)
        for _ in range(iterations):
            log_joint = model.decode(z, context).fit(x, known).log_prob - 0.5 * z.square().sum(1)
            (z.grad,) = torch.autograd.grad(-log_joint.sum(), z)
            optimizer.step()
    return torch.where(known, x, model.decode(z, context).mean).detach()
