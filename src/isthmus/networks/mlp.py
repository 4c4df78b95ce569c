"""The fully connected pair, with a linear path beside the deep one."""

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.activation import Activation, build_activation
from isthmus.networks.parameters import Parameters

NORMALIZATIONS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


@dataclass(repr=False)
class MLP(Parameters):
    """Fully connected encoder and mirrored decoder.

    With a linear path the code is W x + f(x) and the output V z + g(z), where x is standardised by one mean a feature
    and one scale for all, and where f and g are the deep layers and the last
    layer of each starts at zero: before its first step the network is the linear map that ``fit`` has put into W
    and V.

    Parameters
    ----------
    hidden : sequence of int, default (512, 256)
        Widths of the encoder's hidden layers, from the input to the code; the decoder has them in reverse. ``()`` is
        one layer each way.
    activation : str or Module, default "silu"
        After each hidden layer: a name of PyTorch's in lower case, or a module.
    code_activation : str, Module or None, default None
        After the encoder's last layer.
    output_activation : str, Module or None, default None
        After the decoder's last layer.
    dropout : float in [0, 1), default 0
        Share of hidden units dropped in training.
    normalization : {"batch", "layer"} or None, default None
        Between each hidden layer and its activation.
    tied : bool, default False
        Whether the decoder's weights are the encoder's, transposed; biases stay its own.
    linear_path : {"pca", "random"} or None, default "pca"
        Whether there is a linear path, and whether ``fit`` starts it at the data's PCA or at random. With None the
        network is the plain textbook one.

    Examples
    --------
    >>> encoder, decoder = MLP(hidden=(16,)).build((8, 8), n_components=3)
    >>> decoder(encoder(torch.zeros(5, 8, 8))).shape
    torch.Size([5, 8, 8])
    """

    hidden: Sequence[int] = (512, 256)
    activation: Activation = "silu"
    code_activation: Activation = None
    output_activation: Activation = None
    dropout: float = 0.0
    normalization: Literal["batch", "layer"] | None = None
    tied: bool = False
    linear_path: Literal["pca", "random"] | None = "pca"

    def build(self, row_shape: tuple[int, ...], n_components: int) -> tuple[nn.Module, nn.Module]:
        """Build an encoder, (rows, *row_shape) → (rows, n_components), and its mirror image.

        Raises
        ------
        ValueError
            If a parameter has no meaning: an unknown activation, normalisation or linear path, a width below 1.
        """
        self._check()
        widths = [math.prod(row_shape), *self.hidden, n_components]
        there = self._path(widths)
        back = self._path(widths[::-1])
        if self.tied:
            _tie(there, back)
        return (
            Encoder(there, build_activation(self.code_activation), widths[0], self.linear_path is not None),
            Decoder(back, build_activation(self.output_activation), row_shape, self.linear_path is not None),
        )

    def _check(self) -> None:
        if isinstance(self.hidden, int | str) or any(not isinstance(width, numbers.Integral) for width in self.hidden):
            raise TypeError(f"hidden={self.hidden!r}: give whole numbers in a sequence, such as (128, 64)")
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied={self.tied!r}: give True or False")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden={self.hidden!r}: every width must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r}: give a share in [0, 1)")
        if self.normalization not in (None, *NORMALIZATIONS):
            raise ValueError(f"unknown normalization {self.normalization!r}: give 'batch', 'layer' or None")
        if self.linear_path not in (None, "pca", "random"):
            raise ValueError(f"unknown linear_path {self.linear_path!r}: give 'pca', 'random' or None")

    def _path(self, widths: list[int]) -> "Path":
        """Join linear and deep layers from the first width to the last; without hidden widths the linear one is all."""
        linear = self.linear_path is not None or len(widths) == 2
        deep = self._deep(widths) if len(widths) > 2 else None
        if deep is not None and linear:
            for parameter in deep[-1].parameters():
                nn.init.zeros_(parameter)
        return Path(nn.Linear(widths[0], widths[-1]) if linear else None, deep)

    def _deep(self, widths: list[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths[:-1]):
            layers.append(nn.Linear(width_in, width_out))
            if self.normalization is not None:
                layers.append(NORMALIZATIONS[self.normalization](width_out))
            layers.append(build_activation(self.activation))
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


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
        if self.deep is None or self.linear is None:
            only: Tensor = (self.deep or self.linear)(x)  # type: ignore[misc]
            return only
        # The deep layers see large values dampened: a row far from all that were trained on is left to the linear
        # path, where it is in good hands, and not to a network's whims.
        sum_: Tensor = self.linear(x) + self.deep(x / (1 + x.abs() / LARGE))
        return sum_


class Encoder(nn.Module):
    """Flatten, standardise by ``centre`` and ``scale`` where there is a linear path, map, activate."""

    centre: Tensor | None
    scale: Tensor | None

    def __init__(self, path: Path, activation: nn.Module, features: int, standardise: bool) -> None:
        super().__init__()
        self.path = path
        self.activation = activation
        self.register_buffer("centre", torch.zeros(features) if standardise else None)
        self.register_buffer("scale", torch.ones(()) if standardise else None)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (rows, ...) → (rows, n_components)."""
        x = x.flatten(1)
        if self.centre is not None and self.scale is not None:
            x = (x - self.centre) / self.scale
        h: Tensor = self.activation(self.path(x))
        return h

    def squared_jacobian(self, h: Tensor) -> Tensor | None:
        """Return ‖∂h/∂x‖²_F of each row in closed form, or None where there is none.

        There is one for a single layer with a sigmoid, a tanh or no activation: for the sigmoid
        Σ (h(1 − h))² ‖W‖², row by row of W (Rifai et al. 2011, eq. 5).
        """
        slope = SLOPES.get(type(self.activation))
        if self.path.deep is not None or not isinstance(self.path.linear, nn.Linear) or slope is None:
            return None
        weight = self.path.linear.weight if self.scale is None else self.path.linear.weight / self.scale
        return slope(h).square() @ weight.square().sum(1)


SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Identity: torch.ones_like,
    nn.Sigmoid: lambda h: h * (1 - h),
    nn.Tanh: lambda h: 1 - h.square(),
}
"""The derivative of an activation, from its own value."""


class Decoder(nn.Module):
    """Map, undo the standardisation where there is a linear path, activate, give a row its shape."""

    centre: Tensor | None
    scale: Tensor | None

    def __init__(self, path: Path, activation: nn.Module, row_shape: tuple[int, ...], standardise: bool) -> None:
        super().__init__()
        self.path = path
        self.activation = activation
        self.row_shape = row_shape
        self.register_buffer("centre", torch.zeros(math.prod(row_shape)) if standardise else None)
        self.register_buffer("scale", torch.ones(()) if standardise else None)

    def forward(self, z: Tensor) -> Tensor:
        """Decode (rows, n_components) → (rows, ...)."""
        parameters = self.path(z)
        if self.centre is not None and self.scale is not None:
            parameters = parameters * self.scale + self.centre
        x: Tensor = self.activation(parameters)
        return x.unflatten(1, self.row_shape)


class TiedLinear(nn.Module):
    """A linear layer whose weight is another layer's, transposed; the bias is its own."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self._source = (source,)  # in a tuple, so that the weight is registered, and saved, once
        self.bias = nn.Parameter(torch.zeros(source.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map back to the width that the other layer came from."""
        return F.linear(x, self._source[0].weight.T, self.bias)


def _tie(there: Path, back: Path) -> None:
    """Replace each linear layer of `back` by the transpose of its mirror image in `there`."""
    if isinstance(there.linear, nn.Linear):
        back.linear = TiedLinear(there.linear)
    if there.deep is not None and back.deep is not None:
        sources = [layer for layer in there.deep if isinstance(layer, nn.Linear)]
        places = [i for i, layer in enumerate(back.deep) if isinstance(layer, nn.Linear)]
        for place, source in zip(places, reversed(sources), strict=True):
            back.deep[place] = TiedLinear(source)
