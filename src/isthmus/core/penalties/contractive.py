"""A penalty on how much the code changes with the row."""

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.penalties.base import Encode, Forward

EXACT_JACOBIAN_UP_TO = 3
"""The widest code whose Jacobian is taken exactly: each unit costs about as much as the estimate of the whole."""


def contractive(forward: Forward) -> Tensor:
    """Return ‖∂h/∂x‖²_F of each row (Rifai et al. 2011, eq. 4–5). Shape (rows,).

    A one-layer encoder gives its closed form; the Jacobian of a code of up to 3 units is taken exactly, that of a
    wider one by Hutchinson's estimate: layer by layer where the encoder can, else by autograd.
    """
    mean = forward.code.mean
    term = None if forward.squared_jacobian is None else forward.squared_jacobian(mean)
    if term is not None:
        return term
    exact = mean.shape[1] <= EXACT_JACOBIAN_UP_TO
    if forward.squared_products is not None:
        along = _units(mean) if exact else _signs(mean, forward.generator)[:, None]
        return forward.squared_products(along)
    estimate = exact_squared_jacobian if exact else hutchinson_squared_jacobian
    return estimate(forward.encode, forward.shown, forward.generator)


def exact_squared_jacobian(encode: Encode, shown: Batch, generator: torch.Generator | None = None) -> Tensor:
    """Return ‖∂h/∂x‖²_F of each row, at one backward pass for each unit of the code. Shape (rows,)."""
    x, h = _encode_differentiably(encode, shown, generator)
    jacobian = _gradient(h, x, _units(h)[:, None, :].expand(-1, len(h), -1), is_grads_batched=True)
    return x.new_zeros(len(x)) if jacobian is None else jacobian.square().flatten(2).sum((0, 2))


def hutchinson_squared_jacobian(encode: Encode, shown: Batch, generator: torch.Generator | None = None) -> Tensor:
    """Estimate ‖∂h/∂x‖²_F of each row by ‖vᵀ ∂h/∂x‖², v random signs, without bias (Hutchinson 1990). Shape (rows,)."""
    x, h = _encode_differentiably(encode, shown, generator)
    product = _gradient(h, x, _signs(h, generator))
    return x.new_zeros(len(x)) if product is None else product.square().flatten(1).sum(1)


def _units(h: Tensor) -> Tensor:
    return torch.eye(h.shape[1], dtype=h.dtype, device=h.device)


def _signs(h: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randint(0, 2, h.shape, generator=generator, device=h.device).to(h.dtype) * 2 - 1


def _gradient(h: Tensor, x: Tensor, along: Tensor, **options: bool) -> Tensor | None:
    """Return the gradient by x; None of a code that goes by steps, such as one of a codebook: there it is 0."""
    if not h.requires_grad:
        return None
    differentiable = torch.is_grad_enabled()
    return torch.autograd.grad(h, x, along, create_graph=differentiable, allow_unused=True, **options)[0]


def _encode_differentiably(encode: Encode, shown: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Encode again, keeping the graph from x to h."""
    with torch.enable_grad():
        x = shown.x.detach().requires_grad_()
        return x, encode(Batch(x, shown.context), generator).mean
