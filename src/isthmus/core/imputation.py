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
    x, context, observed = batch
    if observed is None:
        return x
    if model.takes_known:
        return torch.where(observed, x, model.decode(model.encode(batch).z, context).mean)
    best, lowest = x, torch.full_like(x.flatten(1)[:, 0], torch.inf)
    for turn in range(iterations):
        # A model may be shown gaps as such, but after the first turn there are guesses in them.
        rebuilt = model.decode(model.encode(batch if turn == 0 else Batch(x, context)).z, context)
        error = rebuilt.fit(x, observed).squared_error
        x = torch.where(observed, x, rebuilt.mean)
        better = error < lowest
        best = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, best)
        lowest = torch.where(better, error, lowest)
    return best


STEP = 0.1
"""The first step of the search by Rprop, in the units of a Gaussian code."""

WIDEST_NEWTON = 256
"""Units of a code up to which the search is Newton's: its Hessian costs a gradient a unit. By single units, as Rprop
goes, a narrow valley takes thousands of steps."""

MOST_CURVATURES = 2**22
"""Numbers in the Hessians that are held at once."""

STEPS_A_HESSIAN = 3
"""Steps for which a Hessian serves: where the decoder is nearly linear, it hardly changes."""

CLOSE = 1e-3
"""The step, in the units of a Gaussian code, below which a row's search is over."""

DIFFERENCE = 1e-3
"""The step by which gradients are differenced to a Hessian."""

MOST_DAMPING = 1e8
"""Damping at which no step is better any more."""


def fill_in(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Fill in what is missing, by :func:`explain` where the code has a prior, else by :func:`iterate`; whole rows."""
    return (iterate if model.bottleneck.prior is None else explain)(model, batch, iterations)


def explain(model: Model, batch: Batch, iterations: int) -> Tensor:
    """Take the code that explains what is known best, argmax log p(x_known | z) + log p(z); return whole rows.

    For a model whose code is drawn; of a linear Gaussian one that is the mean of what is missing, given what is known.
    The encoder has the first word, by its mean for a row with the gaps at ``fill``. An encoder that never saw gaps
    would not be led out of them by decoding and encoding alone.
    """
    x, context, observed = batch
    if observed is None:
        return x
    z = model.encode(batch).mean.detach().clone()
    units = z.shape[1]
    search = _newton if units <= WIDEST_NEWTON else _rprop
    at_once = max(1, MOST_CURVATURES // units**2)
    pieces = zip(batch.split(at_once), z.split(at_once), strict=True)
    z = torch.cat([search(_MinusLogJoint(model, piece), start, iterations) for piece, start in pieces])
    return torch.where(observed, x, model.decode(z, context).mean).detach()


class _MinusLogJoint:
    """−log p(x_known | z) − log p(z) of each row, up to a constant, and its gradient."""

    def __init__(self, model: Model, batch: Batch) -> None:
        self.model = model
        self.batch = batch

    def __call__(self, z: Tensor) -> Tensor:
        x, context, observed = self.batch
        prior = self.model.bottleneck.prior
        assert prior is not None
        return prior.energy(z) - self.model.decode(z, context).fit(x, observed).log_prob

    def take(self, rows: Tensor) -> "_MinusLogJoint":
        """Return that of some of the rows."""
        return _MinusLogJoint(self.model, self.batch.take(rows))

    def gradient(self, z: Tensor) -> Tensor:
        """Return the gradient of each row; shaped like `z`."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            return torch.autograd.grad(self(z).sum(), z)[0]


def _newton(value: _MinusLogJoint, z: Tensor, iterations: int) -> Tensor:
    """Minimise for each row on its own, by Newton's method with Levenberg and Marquardt's damping.

    Where σ is small the valley is narrow: steps along single units would get nowhere. A row that has come to rest is
    left alone, so that its code does not depend on the rows that it came with. A Hessian serves for some steps.
    """
    height, damping = value(z), torch.zeros_like(z[:, 0])
    moving = torch.arange(len(z), device=z.device)
    for i in range(iterations):
        value_there, there = value.take(moving), z[moving]
        gradient = value_there.gradient(there)
        if i % STEPS_A_HESSIAN == 0:
            curvature, axes = _hessian(value_there, there, gradient)
        along = (axes.mT @ gradient[:, :, None])[:, :, 0] / (curvature + damping[moving, None])
        step = -(axes @ along[:, :, None])[:, :, 0]
        lower = value_there(there + step)
        better = lower <= height[moving]
        z[moving] = torch.where(better[:, None], there + step, there)
        height[moving] = torch.where(better, lower, height[moving])
        damping[moving] = torch.where(better, damping[moving] / 10, (10 * damping[moving]).clamp(min=1))
        at_rest = better & (step.abs().amax(1) < CLOSE)
        on = ~at_rest & (damping[moving] < MOST_DAMPING)
        moving, curvature, axes = moving[on], curvature[on], axes[on]
        if not len(moving):
            break
    return z


def _hessian(value: _MinusLogJoint, z: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and -vectors of each row's Hessian, by differences of gradients.

    That of −log p(z) is 1, so no curvature is less where the decoder is linear; where it is bent, less than 1 is taken
    for 1, or a step would go uphill.
    """
    steps = DIFFERENCE * torch.eye(z.shape[1]).to(z)
    hessian = torch.stack([value.gradient(z + step) - gradient for step in steps], dim=2) / DIFFERENCE
    curvature, axes = torch.linalg.eigh((hessian + hessian.mT) / 2)
    return curvature.abs().clamp(min=1), axes


def _rprop(value: _MinusLogJoint, z: Tensor, iterations: int) -> Tensor:
    """Minimise by Rprop, whose steps are each unit's own (Riedmiller & Braun 1993)."""
    z = z.clone().requires_grad_()
    optimizer = torch.optim.Rprop([z], lr=STEP)
    for _ in range(iterations):
        z.grad = value.gradient(z)
        optimizer.step()
    return z.detach()
