"""What all pairs share: a linear path beside a deep one, and the encoder and decoder around it.

Inside a path everything is flat, (rows, width) → (rows, width); shapes, standardisation, the context and the last
activation are the encoder's and the decoder's.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from isthmus.errors import InputError
from isthmus.networks.activation import Activation

LARGE = 8.0
"""Where the deep layers' view of a standardised value bends; no value looks larger to them."""


class Path(nn.Module):
    """The sum of a linear and a deep map, either of which may be absent."""

    def __init__(self, linear: nn.Module | None, deep: nn.Sequential | None) -> None:
        super().__init__()
        self.linear = linear
        self.deep = deep

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, first width) → (rows, last width)."""
        linear, deep = self.linear, self.deep
        if linear is None or deep is None:
            return (linear if deep is None else deep)(x)  # type: ignore[misc]
        sum_: Tensor = linear(x) + deep(dampened(x))
        return sum_


def dampened(x: Tensor) -> Tensor:
    """Return what the deep layers see of values: large ones look smaller.

    A row far from all that were trained on is left to the linear path, where it is in good hands, and not to a
    network's whims.
    """
    return x / (1 + x.abs() / LARGE)


class Encoder(nn.Module):
    """Flatten, standardise by ``centre`` and ``scale`` where there is a linear path, join the context, map, activate.

    The path's input is the row's features, then the context.
    """

    centre: Tensor | None
    scale: Tensor | None

    def __init__(self, path: Path, activation: nn.Module, features: int, standardise: bool) -> None:
        super().__init__()
        self.path = path
        self.activation = activation
        self.features = features
        self.register_buffer("centre", torch.zeros(features) if standardise else None)
        self.register_buffer("scale", torch.ones(()) if standardise else None)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Encode (rows, ...), and a context (rows, n_context) where there is one, → (rows, moments · n_components)."""
        x = x.flatten(1)
        if self.centre is not None and self.scale is not None:
            x = (x - self.centre) / self.scale
        return self.activation(self.path(joined(x, context)))

    def squared_jacobian(self, h: Tensor) -> Tensor | None:
        """Return ‖∂h/∂x‖²_F of each row in closed form, or None where there is none.

        There is one for a single layer with a sigmoid, a tanh or no activation: for the sigmoid
        Σ (h(1 − h))² ‖W‖², row by row of W (Rifai et al. 2011, eq. 5), W without the columns of a context.
        """
        slope = SLOPES.get(type(self.activation))
        if self.path.deep is not None or not isinstance(self.path.linear, nn.Linear) or slope is None:
            return None
        weight = self.path.linear.weight[:, : self.features]
        if len(weight) != h.shape[1]:  # a Gaussian code: h is its means, and W gives log-variances too
            return None
        if self.scale is not None:
            weight = weight / self.scale
        return slope(h).square() @ weight.square().sum(1)


SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.Sigmoid: lambda h: h * (1 - h),
    nn.Tanh: lambda h: 1 - h.square(),
}
"""The derivative of an activation, from its own value."""


class Decoder(nn.Module):
    """Join the context, map, undo the standardisation where there is a linear path, activate, give a row its shape.

    The path's input is the code, then the context.
    """

    centre: Tensor | None
    scale: Tensor | None

    def __init__(self, path: Path, activation: nn.Module, row_shape: tuple[int, ...], standardise: bool) -> None:
        super().__init__()
        self.path = path
        self.activation = activation
        self.row_shape = row_shape
        self.register_buffer("centre", torch.zeros(math.prod(row_shape)) if standardise else None)
        self.register_buffer("scale", torch.ones(()) if standardise else None)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Decode (rows, n_components), and a context (rows, n_context) where there is one, → (rows, ...)."""
        parameters = self.path(joined(z, context))
        if self.centre is not None and self.scale is not None:
            parameters = parameters * self.scale + self.centre
        x: Tensor = self.activation(parameters)
        return x if len(self.row_shape) == 1 else x.unflatten(1, self.row_shape)


def joined(x: Tensor, context: Tensor | None) -> Tensor:
    """Put a context, where there is one, behind flat rows."""
    return x if context is None else torch.cat([x, context], dim=1)


def start_at_zero(layer: nn.Module) -> None:
    """Set weight and bias to zero, so that beside a linear path a deep one has, at first, nothing to say."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def check_pair(linear_path: str | None, normalization: str | None, code_activation: Activation, moments: int) -> None:
    """Raise ValueError for an option without a meaning, or an activation where the code is a distribution."""
    if linear_path not in (None, "pca", "random"):
        raise InputError(f"unknown linear_path {linear_path!r}: give 'pca', 'random' or None")
    if normalization not in (None, "batch", "layer"):
        raise InputError(f"unknown normalization {normalization!r}: give 'batch', 'layer' or None")
    if moments != 1 and code_activation is not None:
        raise InputError("a Gaussian code has no activation: leave code_activation=None")
