"""The transformer pair: rows cut into patches, of which the encoder leaves out those that it is not shown."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isthmus.core.patches import from_patches, patch_grid, to_patches
from isthmus.errors import InputError
from isthmus.networks.activation import Activation, build_activation
from isthmus.networks.pair import Decoder, Path, check_pair, joined, start_at_zero
from isthmus.networks.parameters import Parameters, check_share, check_whole, values_of

POOLINGS = ("mean", "token")

LEAST_SHARE = 0.1
"""What a linear map of fewer entries than this share of a row is scaled up by: a few say little of all."""


@dataclass(repr=False)
class Transformer(Parameters):
    """Transformer encoder and decoder of patches: of images, sequences or tables (He et al. 2021, with a bottleneck).

    A row is cut into patches. The encoder makes a token of each that is shown, adds where it lies (Vaswani et al. 2017,
    §3.5, an axis at a time), and goes through its layers; their mean, or a token of its own, is mapped to the code. A
    patch of which nothing is known, or that is hidden in training, is no token at all: three quarters hidden make the
    encoder four times cheaper. The decoder is given the code alone: it maps it to a token a patch, goes through its
    layers, and maps each to its patch.

    ``DenoisingAutoencoder(network=Transformer(), corruption="masking", corruption_level=0.75)`` hides whole patches,
    three of four, and is held against the hidden ones alone.

    With a linear path the code is W x + f(x) and the output V z + g(z), as in :class:`MLP`, where f and g are the
    transformers, and what is not shown is at its mean in W x.

    Parameters
    ----------
    patch : int or sequence of int or None, default 4
        A number is the side of square patches of images, which hold all channels, and the length of runs of a table's
        columns. A sequence is the shape of a patch, an axis of a row each, None being the whole of the axis: (1, None)
        makes a token of each step of a sequence (steps, features). What a patch reaches over the edge is not known.
    width : int, default 64
        Of a token.
    depth : int, default 3
        Layers of the encoder.
    heads : int, default 4
        Of the attention in each layer; a divisor of `width`.
    decoder_depth : int, default 1
        Layers of the decoder.
    pooling : {"mean", "token"}, default "mean"
        What the code is read from: the mean of the patches' tokens, or one that goes with them.
    dropout : float in [0, 1), default 0
        Share of units dropped in training, in every layer.
    activation : str or Module, default "gelu"
        In each layer: a name of PyTorch's in lower case, or a module.
    code_activation : str, Module or None, default None
        After the encoder's last layer.
    output_activation : str, Module or None, default None
        After the decoder's last layer.
    linear_path : {"pca", "random"} or None, default None
        Whether there is a linear path, and whether ``fit`` starts it at the data's PCA or at random. ``"pca"`` is for
        few rows, a short training, or one in which nothing is hidden; else the transformers alone make the better code.

    Examples
    --------
    >>> encoder, decoder = Transformer(patch=7).build((28, 28), n_components=5)
    >>> code = encoder(torch.zeros(2, 28, 28))
    >>> code.shape, decoder(code).shape
    (torch.Size([2, 5]), torch.Size([2, 28, 28]))

    A sequence of 100 steps with 3 features, a token for each 5 steps:

    >>> encoder, decoder = Transformer(patch=(5, None)).build((100, 3), n_components=8)
    """

    patch: int | Sequence[int | None] = 4
    width: int = 64
    depth: int = 3
    heads: int = 4
    decoder_depth: int = 1
    pooling: Literal["mean", "token"] = "mean"
    dropout: float = 0.0
    activation: Activation = "gelu"
    code_activation: Activation = None
    output_activation: Activation = None
    linear_path: Literal["pca", "random"] | None = None

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Build an encoder and its decoder.

        Parameters
        ----------
        row_shape : tuple of int
            Shape of a row, of as many axes as a patch.
        n_components, moments, n_context : int
            As in :meth:`MLP.build`.

        Returns
        -------
        tuple of two Modules
            As in :meth:`MLP.build`; the encoder is called with (x, context, known), `known` a tensor of bool
            shaped like x, or None.

        Raises
        ------
        ValueError
            If a parameter has no meaning, or a patch has not as many axes as a row.
        """
        self._check()
        check_pair(self.linear_path, None, self.code_activation, moments)
        patch, has_linear = self.patch_shape(row_shape), self.linear_path is not None
        units, features = moments * n_components, math.prod(row_shape)
        linear_there = nn.Linear(features + n_context, units) if has_linear else None
        linear_back = nn.Linear(n_components + n_context, features) if has_linear else None
        layers = [self._layer() for _ in range(self.depth)]
        writer = self._writer(n_components + n_context, row_shape, patch)
        reader = Reader(linear_there, patch, row_shape, layers, self.width, units, n_context, self.pooling)
        if has_linear:
            start_at_zero(reader.head)
            start_at_zero(writer[-2])
        return (
            TransformerEncoder(reader, build_activation(self.code_activation), features),
            TransformerDecoder(
                Path(linear_back, writer), build_activation(self.output_activation), row_shape, n_context
            ),
        )

    def along_time(self) -> "Transformer":
        """Return the same network for sequences, (steps, features): a number of `patch` is that of a token's steps.

        Built without a context, as `known` says how long each sequence is, its pair pays no heed to the lengths.

        Returns
        -------
        Transformer
            Itself where `patch` has an axis for each of a row's.
        """
        return self if values_of(self.patch) is not None else replace(self, patch=(self.patch, None))  # type: ignore[arg-type]

    def patch_shape(self, row_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a patch; a model hides whole ones by it.

        Parameters
        ----------
        row_shape : tuple of int
            Shape of a row.

        Returns
        -------
        tuple of int
            As many axes as a row has.

        Raises
        ------
        ValueError
            If `patch` has another number of axes.
        """
        sizes = values_of(self.patch)
        if sizes is None:
            sizes = (None, self.patch, self.patch)[-len(row_shape) :] if len(row_shape) > 1 else (self.patch,)
        if len(sizes) != len(row_shape):
            raise InputError(f"patch={self.patch!r} has {len(sizes)} axes, and rows have shape {row_shape}")
        return tuple(length if size is None else int(size) for size, length in zip(sizes, row_shape, strict=True))

    def _writer(self, units: int, row_shape: tuple[int, ...], patch: tuple[int, ...]) -> nn.Sequential:
        """Join the decoder's layers, from flat codes to flat rows; each patch has its own linear map of the code."""
        n = math.prod(patch_grid(row_shape, patch))
        return nn.Sequential(
            nn.Linear(units, n * self.width),
            nn.Unflatten(1, (n, self.width)),
            *(self._layer() for _ in range(self.decoder_depth)),
            nn.LayerNorm(self.width),
            nn.Linear(self.width, math.prod(patch)),
            Together(row_shape, patch),
        )

    def _layer(self) -> nn.Module:
        activation = build_activation(self.activation)
        layer = nn.TransformerEncoderLayer(
            self.width, self.heads, 4 * self.width, self.dropout, activation, batch_first=True, norm_first=True
        )
        layer.self_attn.__class__ = Attention  # with the weights that it has drawn
        return layer

    def _check(self) -> None:
        for name, least in (("width", 2), ("depth", 1), ("heads", 1), ("decoder_depth", 1)):
            check_whole(f"{name}={getattr(self, name)!r}", getattr(self, name), least)
        if self.width % self.heads:
            raise InputError(f"width={self.width} cannot be shared out among heads={self.heads}: give a multiple")
        sizes = values_of(self.patch)
        for size in (self.patch,) if sizes is None else sizes:
            if sizes is None or size is not None:
                check_whole(f"patch={self.patch!r}", size, 1)
        if self.pooling not in POOLINGS:
            raise InputError(f"unknown pooling {self.pooling!r}: give 'mean' or 'token'")
        check_share("dropout", self.dropout)


class TransformerEncoder(nn.Module):
    """Standardise what is known by ``centre`` and ``scale``, put the rest at zero, read it, activate."""

    takes_known = True
    centre: Tensor
    scale: Tensor

    def __init__(self, path: "Reader", activation: nn.Module, features: int) -> None:
        super().__init__()
        self.path = path
        self.activation = activation
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor, context: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Encode (rows, ...), of which `known` is shown, → (rows, moments · n_components)."""
        context = None if self.path.telling is None else context
        standard = (x.flatten(1) - self.centre) / self.scale
        if known is not None:
            standard = standard.masked_fill(~known.flatten(1), 0)
        # A Jacobian by x is differentiated again in training: fast attention has no second derivative (torch 2.13).
        with _explicit_where(x.requires_grad):
            h: Tensor = self.activation(self.path(standard.view_as(x), context, known))
        return h


_explicit: ContextVar[bool] = ContextVar("explicit", default=False)


class Attention(nn.MultiheadAttention):
    """Attention that can be computed by products of matrices, whose weights are at hand, where this thread asks for it.

    ``torch.nn.attention.sdpa_kernel`` would choose so for all threads.
    """

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Attend, as torch does."""
        return super().forward(*args, **kwargs | ({"need_weights": True} if _explicit.get() else {}))


@contextmanager
def _explicit_where(is_needed: bool) -> Iterator[None]:
    token = _explicit.set(is_needed)
    try:
        yield
    finally:
        _explicit.reset(token)


class Reader(nn.Module):
    """Rows → patches → tokens of those that are shown → layers → one vector → code, and a linear map beside."""

    positions: Tensor

    def __init__(
        self,
        linear: nn.Module | None,
        patch: tuple[int, ...],
        row_shape: tuple[int, ...],
        layers: list[nn.Module],
        width: int,
        units: int,
        n_context: int,
        pooling: str,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.patch = patch
        self.pooling = pooling
        self.embedding = nn.Linear(math.prod(patch), width)
        self.register_buffer("positions", sinusoids(patch_grid(row_shape, patch), width), persistent=False)
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.telling = nn.Linear(n_context, width) if n_context else None
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, units)

    def forward(self, x: Tensor, context: Tensor | None, known: Tensor | None) -> Tensor:
        """Map (rows, *row_shape), its mean zero, → (rows, units); `known` is of the same shape, or None."""
        tokens = self.embedding(to_patches(x, self.patch)) + self.positions
        absent = None
        if known is not None:
            tokens, absent = shown_tokens(tokens, to_patches(known, self.patch).any(2))
        # It is always there: a row of which nothing is shown has this one.
        first = self.token.expand(len(x), 1, -1)
        if self.telling is not None and context is not None:
            first = first + self.telling(context)[:, None]
        tokens = torch.cat([first, tokens], dim=1)
        mask = None if absent is None else torch.cat([torch.zeros_like(absent[:, :1]), absent], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=mask)
        h: Tensor = self.head(self.norm(tokens[:, 0] if self.pooling == "token" else _mean(tokens[:, 1:], absent)))
        if self.linear is None:
            return h
        flat = x.flatten(1)
        if known is not None:  # of a sum over fewer entries, what it would be over all
            flat = flat / known.flatten(1).to(flat).mean(1, keepdim=True).clamp(min=LEAST_SHARE)
        return h + self.linear(joined(flat, context))


def shown_tokens(tokens: Tensor, shown: Tensor) -> tuple[Tensor, Tensor | None]:
    """Gather the tokens that are shown, as many a row as the row with the most has.

    Parameters
    ----------
    tokens : Tensor of shape (rows, n, width)
    shown : Tensor of bool of shape (rows, n)

    Returns
    -------
    tokens : Tensor of shape (rows, most, width)
        In their order; after them, in rows with fewer, some that are not shown.
    absent : Tensor of bool of shape (rows, most), or None
        Marks the latter; None where there are none.
    """
    count = shown.sum(1)
    most = int(count.max())
    order = shown.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    gathered = tokens.gather(1, order[:, :, None].expand(-1, -1, tokens.shape[2]))
    return gathered, None if int(count.min()) == most else ~shown.gather(1, order)


def _mean(tokens: Tensor, absent: Tensor | None) -> Tensor:
    """Average the tokens of each row, but for those that are absent; zeros where there is none."""
    if absent is None:
        return tokens.sum(1) / max(tokens.shape[1], 1)
    count = (~absent).sum(1, keepdim=True).clamp(min=1)
    return tokens.masked_fill(absent[:, :, None], 0).sum(1) / count


class TransformerDecoder(Decoder):
    """The decoder of all pairs, standardised in any case; it pays no heed to a context that it was not built for."""

    def __init__(self, path: Path, activation: nn.Module, row_shape: tuple[int, ...], n_context: int) -> None:
        super().__init__(path, activation, row_shape, standardise=True)
        self.n_context = n_context

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Decode (rows, n_components), and a context (rows, n_context) where there is one, → (rows, ...)."""
        return super().forward(z, context if self.n_context else None)


class Together(nn.Module):
    """Put patches together to flat rows."""

    def __init__(self, row_shape: tuple[int, ...], patch: tuple[int, ...]) -> None:
        super().__init__()
        self.row_shape = row_shape
        self.patch = patch

    def forward(self, patches: Tensor) -> Tensor:
        """Map (rows, patches, entries of a patch) → (rows, features)."""
        return from_patches(patches, self.row_shape, self.patch).flatten(1)


def sinusoids(grid: tuple[int, ...], width: int) -> Tensor:
    """Return sin and cos of each place's coordinates at wavelengths from 2π to 2π · 10000, (places, width).

    Vaswani et al. 2017, §3.5; the axes along which there is more than one place share the width out evenly.
    """
    axes = [axis for axis, length in enumerate(grid) if length > 1]
    half = width // (2 * max(len(axes), 1))
    frequency = 10000.0 ** -(torch.arange(half) / half)
    positions = torch.zeros(*grid, width)
    for i, axis in enumerate(axes):
        shape = [-1 if other == axis else 1 for other in range(len(grid))]
        angle = torch.arange(grid[axis]).view(*shape, 1) * frequency
        positions[..., 2 * i * half : (2 * i + 2) * half] = torch.cat([angle.sin(), angle.cos()], dim=-1)
    return positions.flatten(0, -2)
