"""What a code or a network is made to pay: small pure functions ``Forward → term``.

A term has shape (rows,), or () where it belongs to the batch or the weights; it is unweighted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.bottlenecks.gaussian import unit_kl
from isthmus.core.likelihoods.base import Distribution

Encode = Callable[[Batch, torch.Generator | None], Code]


class Forward(NamedTuple):
    """What a model made of a batch, as far as a penalty may ask.

    Attributes
    ----------
    encode : callable
        (rows, generator) → code, to encode again.
    weights : sequence of Tensor
        All that is trained.
    shown : Batch
        What the encoder was shown.
    code : Code
        What it made of that.
    generator : Generator or None
        For what is drawn.
    squared_jacobian : callable, optional
        The code's mean → ‖∂h/∂x‖²_F of each row in closed form, or None where it has none.
    decoded : Distribution, optional
        What the decoder made of the code.
    """

    encode: Encode
    weights: Sequence[Tensor]
    shown: Batch
    code: Code
    generator: torch.Generator | None = None
    squared_jacobian: Callable[[Tensor], Tensor | None] | None = None
    decoded: Distribution | None = None


Penalty = Callable[[Forward], Tensor]

EXACT_JACOBIAN_UP_TO = 16
"""The widest code whose Jacobian is taken exactly, at one backward pass a unit."""


def weight_decay(forward: Forward) -> Tensor:
    """Return ‖W‖², summed over all weight matrices; biases and normalisation are left alone. Shape ()."""
    return torch.stack([weight.square().sum() for weight in forward.weights if weight.ndim > 1]).sum()


def l1(forward: Forward) -> Tensor:
    """Return Σ|h| of each row. Shape (rows,)."""
    return forward.code.mean.abs().sum(1)


def kl_sparsity(forward: Forward, *, target: float) -> Tensor:
    """Return Σ KL(ρ ‖ ρ̂) over units, ρ̂ the batch mean of a code in (0, 1) (Ng 2011, *Sparse autoencoder*, §3).

    Parameters
    ----------
    target : float
        ρ, the share of rows in which a unit should be on.
    """
    # A unit that is off, or on, in every row of the batch would make the logarithm infinite.
    mean = forward.code.mean.mean(0).clamp(1e-6, 1 - 1e-6)
    rho = mean.new_tensor(target)
    return (rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()).sum()


def free_bits(forward: Forward, *, nats: float) -> Tensor:
    """Return Σ max(λ − KL_j, 0) over units, KL_j a unit's mean over the batch: with the KL it makes Σ max(KL_j, λ).

    So a unit whose KL is below λ nats is neither pushed nor pulled (Kingma et al. 2016, eq. 15). Shape ().

    Parameters
    ----------
    nats : float
        λ, what each unit may carry for free.
    """
    code = forward.code
    assert code.log_variance is not None
    return (nats - unit_kl(code.mean, code.log_variance).mean(0)).clamp(min=0).sum()


def contractive(forward: Forward) -> Tensor:
    """Return ‖∂h/∂x‖²_F of each row (Rifai et al. 2011, eq. 4–5). Shape (rows,).

    A one-layer encoder gives its closed form, a code of up to 16 units is differentiated exactly, a wider one by
    Hutchinson's estimate.
    """
    mean = forward.code.mean
    term = None if forward.squared_jacobian is None else forward.squared_jacobian(mean)
    if term is not None:
        return term
    exact = mean.shape[1] <= EXACT_JACOBIAN_UP_TO
    estimate = exact_squared_jacobian if exact else hutchinson_squared_jacobian
    return estimate(forward.encode, forward.shown, forward.generator)


def exact_squared_jacobian(encode: Encode, shown: Batch, generator: torch.Generator | None = None) -> Tensor:
    """Return ‖∂h/∂x‖²_F of each row, at one backward pass for each unit of the code. Shape (rows,)."""
    x, h = _encode_differentiably(encode, shown, generator)
    units = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)[:, None, :].expand(-1, len(h), -1)
    (jacobian,) = torch.autograd.grad(h, x, units, create_graph=torch.is_grad_enabled(), is_grads_batched=True)
    return jacobian.square().flatten(2).sum((0, 2))


def hutchinson_squared_jacobian(encode: Encode, shown: Batch, generator: torch.Generator | None = None) -> Tensor:
    """Estimate ‖∂h/∂x‖²_F of each row by ‖vᵀ ∂h/∂x‖², v random signs, without bias (Hutchinson 1990). Shape (rows,)."""
    x, h = _encode_differentiably(encode, shown, generator)
    signs = torch.randint(0, 2, h.shape, generator=generator, device=h.device).to(h.dtype) * 2 - 1
    (product,) = torch.autograd.grad(h, x, signs, create_graph=torch.is_grad_enabled())
    return product.square().flatten(1).sum(1)


def _encode_differentiably(encode: Encode, shown: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Encode again, keeping the graph from x to h."""
    with torch.enable_grad():
        x = shown.x.detach().requires_grad_()
        return x, encode(Batch(x, shown.context), generator).mean
