"""The derivatives of activations, in closed form."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

BY_VALUE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.Sigmoid: lambda h: h * (1 - h),
    nn.Tanh: lambda h: 1 - h.square(),
    nn.ReLU: lambda h: (h > 0).to(h),
}
"""The derivative of an activation, from its own value."""


def _silu(module: nn.Module, a: Tensor) -> Tensor:
    gate = a.sigmoid()
    return torch.addcmul(gate, a * gate, 1 - gate)


def _gelu(module: nn.Module, a: Tensor) -> Tensor:
    return a.div(math.sqrt(2)).erf().add(1) / 2 + a * (a.square() / -2).exp() / math.sqrt(2 * math.pi)


BY_INPUT: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.SiLU: _silu,
    nn.GELU: _gelu,
    nn.ELU: lambda module, a: torch.where(a > 0, 1.0, module.alpha * a.clamp(max=0).exp()),
    nn.LeakyReLU: lambda module, a: torch.where(a > 0, 1.0, module.negative_slope).to(a),
}
"""The derivative of an activation, from what goes into it."""


def has_slope(activation: nn.Module) -> bool:
    """Tell whether an activation's derivative is known here in closed form."""
    kind = type(activation)
    if getattr(activation, "inplace", False) and kind not in BY_VALUE:
        return False  # what went into it is gone
    return kind in BY_VALUE or (kind in BY_INPUT and getattr(activation, "approximate", "none") == "none")


def slope_of(activation: nn.Module, value: Tensor, before: Callable[[], Tensor]) -> Tensor:
    """Return the derivative, from the activation's value, or where that does not tell, from what goes into it."""
    by_value = BY_VALUE.get(type(activation))
    return BY_INPUT[type(activation)](activation, before()) if by_value is None else by_value(value)
