"""A pair for rows of several modalities: each has an encoder and a decoder of its own, and all share one code.

A row is flat, its modalities one after the other; a label is one entry, the index of its class.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.parameters import Network

Fusion = Literal["concatenation", "product_of_experts"]


class Modality(NamedTuple):
    """What a modality is to the networks.

    Attributes
    ----------
    network : MLP, Conv, ...
        Builds its encoder and its decoder.
    shape : tuple of int
        The shape of a row of it; () for a label.
    n_classes : int
        How many classes a label has; 0 for numbers.
    """

    network: Network
    shape: tuple[int, ...]
    n_classes: int = 0

    @property
    def size(self) -> int:
        """Entries of a row."""
        return math.prod(self.shape)

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """What its encoder is given and its decoder gives: the row, or one number a class."""
        return (self.n_classes,) if self.n_classes else self.shape or (1,)


class Shape(nn.Module):
    """Give the flat entries of a modality the shape of its rows, and a label a one among zeros."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality = modality

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, size) → (rows, *inner_shape)."""
        if self.modality.n_classes:
            return F.one_hot(x[:, 0].long(), self.modality.n_classes).to(x)
        return x.unflatten(1, self.modality.inner_shape)


class Concatenation(nn.Module):
    """Joint code = W [codes of the modalities, which of them are there] + b; the code of one that is absent is 0."""

    def __init__(self, modalities: int, n_components: int) -> None:
        super().__init__()
        self.linear = nn.Linear(modalities * (n_components + 1), n_components)

    def forward(self, codes: Tensor, present: Tensor) -> Tensor:
        """Map (rows, modalities, n_components) → (rows, n_components)."""
        codes = codes.masked_fill(~present[:, :, None], 0)
        return self.linear(torch.cat([codes.flatten(1), present.to(codes)], dim=1))


class ProductOfExperts(nn.Module):
    """Joint code ~ N(0, 1) Π N(μ_m, σ²_m) over the modalities m that are there (Wu & Goodman 2018, §2.2).

    The product of normals is a normal: its precision is the sum of theirs, its mean theirs weighted by precision. The
    prior is an expert too, so that with none beside it the code is the prior.
    """

    def forward(self, codes: Tensor, present: Tensor) -> Tensor:
        """Map (rows, modalities, 2 · n_components), means and log-variances, → (rows, 2 · n_components)."""
        mean, log_variance = codes.masked_fill(~present[:, :, None], 0).chunk(2, dim=2)
        log_precision = (-log_variance).masked_fill(~present[:, :, None], -torch.inf)
        log_precision = F.pad(log_precision, (0, 0, 1, 0))  # the prior's mean and log-precision are 0
        weight = log_precision.softmax(1)[:, 1:]
        return torch.cat([(weight * mean).sum(1), -log_precision.logsumexp(1)], dim=1)


class MultimodalEncoder(nn.Module):
    """Encode each modality on its own, and fuse what is there into one code.

    A modality is there in a row where any of its entries is known; those that are not are as they stand in the row.
    """

    takes_known = True

    def __init__(self, encoders: Sequence[nn.Module], modalities: Sequence[Modality], fusion: nn.Module) -> None:
        super().__init__()
        self.sizes = [modality.size for modality in modalities]
        self.shapes = nn.ModuleList(Shape(modality) for modality in modalities)
        self.encoders = nn.ModuleList(encoders)
        self.fusion = fusion

    def forward(self, x: Tensor, context: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Encode (rows, sum of sizes), of which `known` is shown, → (rows, moments · n_components)."""
        parts = x.split(self.sizes, dim=1)
        knowns = [None] * len(parts) if known is None else known.split(self.sizes, dim=1)
        codes = [
            _encode(encoder, shape, part, part_known)
            for encoder, shape, part, part_known in zip(self.encoders, self.shapes, parts, knowns, strict=True)
        ]
        present = [
            x.new_ones(len(x), dtype=torch.bool) if part_known is None else part_known.any(1) for part_known in knowns
        ]
        return self.fusion(torch.stack(codes, dim=1), torch.stack(present, dim=1))


def _encode(encoder: nn.Module, shape: nn.Module, part: Tensor, known: Tensor | None) -> Tensor:
    """Encode the rows of a modality; an encoder that takes ``known`` is told which entries are."""
    x = shape(part)
    if not getattr(encoder, "takes_known", False):
        return encoder(x)
    if known is not None:
        known = known | ~known.any(1, keepdim=True)  # a row that is absent counts nowhere: let it be whole, not empty
        known = known.expand(-1, x[0].numel()).view_as(x)
    return encoder(x, None, known)


class MultimodalDecoder(nn.Module):
    """Decode each modality from the one code; what their likelihoods take is laid one after the other."""

    def __init__(self, decoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Decode (rows, n_components) → (rows, sum of the inner sizes)."""
        return torch.cat([decoder(z).flatten(1) for decoder in self.decoders], dim=1)


def build_multimodal(
    modalities: Sequence[Modality], n_components: int, fusion: Fusion
) -> tuple[MultimodalEncoder, MultimodalDecoder]:
    """Build each modality's pair for codes of `n_components` units, and what joins them."""
    moments = 2 if fusion == "product_of_experts" else 1
    pairs = [modality.network.build(modality.inner_shape, n_components, moments=moments) for modality in modalities]
    encoders, decoders = zip(*pairs, strict=True)
    joint = ProductOfExperts() if moments == 2 else Concatenation(len(pairs), n_components)
    return MultimodalEncoder(encoders, modalities, joint), MultimodalDecoder(decoders)
