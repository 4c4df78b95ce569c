"""What all pairs share: a linear path beside a deep one, and the encoder and decoder around it.

Inside a path everything is flat, (rows, width) → (rows, width); shapes, standardisation, the context and the last
activation are the encoder's and the decoder's.
"""

import math

import torch
from torch import Tensor, nn

from isthmus.errors import InputError
from isthmus.networks.activation import Activation
from isthmus.networks.slopes import BY_INPUT, has_slope, slope_of

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
    return x / x.abs().div_(LARGE).add_(1)  # in place, as rows may be wide


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
        before = self.path(self._seen(x, context))
        h: Tensor = self.activation(before)
        if self.path.deep is None and type(self.activation) in BY_INPUT and not torch.compiler.is_compiling():
            h.before = before  # type: ignore[attr-defined]  # for `squared_jacobian`; a compiled graph has it once anyway
        return h

    def squared_jacobian(self, h: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor | None:
        """Return ‖∂h/∂x‖²_F of each row of a single layer in closed form; None of other encoders.

        For the sigmoid that is Σ (h(1 − h))² ‖W‖², row by row of W (Rifai et al. 2011, eq. 5), W without the columns
        of a context. `h` is what the encoder gives of `x`; where it does not tell the slope of the activation, what
        went into that, which comes with it, does; else `x` is gone through again.
        """
        linear = self.path.linear
        if self.path.deep is not None or type(linear) is not nn.Linear or not has_slope(self.activation):
            return None
        weight = linear.weight[:, : self.features]
        if len(weight) != h.shape[1]:  # a Gaussian code: h is its means, and W gives log-variances too
            return None
        if self.scale is not None:
            weight = weight / self.scale
        before: Tensor | None = getattr(h, "before", None)
        slope = slope_of(self.activation, h, lambda: linear(self._seen(x, context)) if before is None else before)
        return slope.square() @ weight.square().sum(1)

    @property
    def has_known_layers(self) -> bool:
        """Whether each layer has its Jacobian in closed form: not normalisation, dropout in training, convolutions."""
        layers = _acting(self.path.deep)
        linear = layers[::2] if self.path.linear is None else [self.path.linear, *layers[::2]]
        return (
            len(layers) % 2 == 1
            and len(layers) > 1
            and all(type(layer) is nn.Linear for layer in linear)
            and all(map(has_slope, [*layers[1::2], self.activation]))
        )

    def squared_products(self, along: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return Σ_k ‖vᵀ_k ∂h/∂x‖² of each row, layer by layer; for encoders that :attr:`has_known_layers`.

        It is what autograd gives, without the graph of a backward pass that is differentiated once more.

        Parameters
        ----------
        along : Tensor of shape (k, units), or (rows, k, units)
            The vectors v, the same for all rows or each row's own.
        x : Tensor of shape (rows, ...)
            Rows.
        context : Tensor of shape (rows, n_context), optional
            What they are encoded with.
        """
        linear: nn.Linear | None = self.path.linear  # type: ignore[assignment]  # as `has_known_layers` says
        seen = self._seen(x, context)
        if type(self.activation) is not nn.Identity:
            before = self.path(seen)
            along = along * slope_of(self.activation, self.activation(before), lambda: before)[:, None]
        shown = seen if linear is None else dampened(seen)
        products = _pulled_back(_acting(self.path.deep), along, shown, self.features)
        if linear is not None:
            # u / (1 + |u| / 8) has the slope 1 / (1 + |u| / 8)²
            bend = (1 + seen[:, : self.features].abs() / LARGE).pow(-2)
            products = torch.addcmul(along @ linear.weight[:, : self.features], products, bend[:, None])
        squares = products.flatten(1).square().sum(1)
        return squares if self.scale is None else squares / self.scale.square()

    def _seen(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return what goes into the path."""
        x = x.flatten(1)
        if self.centre is not None and self.scale is not None:
            x = (x - self.centre).div_(self.scale)
        return joined(x, context)


def _pulled_back(layers: list[nn.Module], along: Tensor, x: Tensor, features: int) -> Tensor:
    """Return vᵀ ∂f/∂x of linear layers with activations between, by the first `features` of x.

    Its shape is (rows, k, features).
    """
    slopes, value = [], x
    linear: list[nn.Linear] = layers[::2]  # type: ignore[assignment]
    for layer, activation in zip(linear[:-1], layers[1::2], strict=True):
        before = layer(value)
        value = activation(before)
        slopes.append(slope_of(activation, value, lambda before=before: before))  # type: ignore[misc]
    products = along @ linear[-1].weight
    weights = [linear[0].weight[:, :features], *(layer.weight for layer in linear[1:-1])]
    for weight, slope in zip(reversed(weights), reversed(slopes), strict=True):
        products = (products * slope[:, None]) @ weight
    return products


def _acting(deep: nn.Sequential | None) -> list[nn.Module]:
    """Return the layers without dropout that drops nothing."""
    return [layer for layer in deep or () if not (type(layer) is nn.Dropout and not layer.training)]


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
