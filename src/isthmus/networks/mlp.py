"""The fully connected pair, with a linear path beside the deep one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import InputError, InputTypeError
from isthmus.networks.activation import Activation, build_activation
from isthmus.networks.pair import Decoder, Encoder, Path, check_pair, start_at_zero
from isthmus.networks.parameters import Parameters, check_share, check_truth_value, is_whole, values_of

NORMALIZATIONS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


@dataclass(repr=False)
class MLP(Parameters):
    """Fully connected encoder and mirrored decoder.

    With a linear path the code is W x + f(x) and the output V z + g(z), where x is standardised by one mean a feature
    and one scale for all, and where f and g are the deep layers and the last layer of each starts at zero: before its
    first step the network is the linear map that ``fit`` has put into W and V.

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
        Whether the decoder's weights are the encoder's, transposed; biases stay its own. Not with a Gaussian code or a
        context, for which the two sides differ in shape.
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

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Build an encoder and its mirror image.

        Parameters
        ----------
        row_shape : tuple of int
            Shape of a row, of any number of axes.
        n_components : int
            Units of the code.
        moments : int, default 1
            Numbers for each unit of the code: 2 for a Gaussian one, all means and then all log-variances.
        n_context : int, default 0
            Width of the context, (rows, n_context); 0 is none.

        Returns
        -------
        tuple of two Modules
            The encoder, (rows, *row_shape) → (rows, moments · n_components), and the decoder,
            (rows, n_components) → (rows, *row_shape); with a context both take it as a second argument.

        Raises
        ------
        ValueError
            If a parameter has no meaning: an unknown activation, normalisation or linear path, a width below 1, tied
            weights where the two sides differ in shape.
        """
        check_truth_value("tied", self.tied)
        check_share("dropout", self.dropout)
        check_pair(self.linear_path, self.normalization, self.code_activation, moments)
        if self.tied and (moments != 1 or n_context > 0):
            raise InputError("tied=True mirrors a plain code: set tied=False for a Gaussian code or a context")
        features, hidden = math.prod(row_shape), self._widths()
        there = self._path([features + n_context, *hidden, moments * n_components])
        back = self._path([n_components + n_context, *hidden[::-1], features])
        if self.tied:
            _tie(there, back)
        return (
            Encoder(there, build_activation(self.code_activation), features, self.linear_path is not None),
            Decoder(back, build_activation(self.output_activation), row_shape, self.linear_path is not None),
        )

    def _widths(self) -> list[int]:
        """Return the hidden widths; raise ValueError or TypeError where they are none."""
        widths = values_of(self.hidden)
        if widths is None or not all(map(is_whole, widths)):
            raise InputTypeError(f"hidden={self.hidden!r}: give whole numbers in a sequence, such as (128, 64)")
        if any(width < 1 for width in widths):
            raise InputError(f"hidden={self.hidden!r}: every width must be at least 1")
        return [int(width) for width in widths]

    def _path(self, widths: list[int]) -> Path:
        """Join linear and deep layers from the first width to the last; without hidden widths the linear one is all."""
        linear = self.linear_path is not None or len(widths) == 2
        deep = self._deep(widths) if len(widths) > 2 else None
        if deep is not None and linear:
            start_at_zero(deep[-1])
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
