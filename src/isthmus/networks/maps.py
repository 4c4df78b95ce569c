"""Modules of images as maps, (rows, channels, height, width): what a convolutional pair is made of."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.pair import Path, dampened

Size = tuple[int, int]
Image = tuple[int, int, int]


LEAST_CONTRAST = 0.1
"""Of a drawn image, in units of the rows' spread: there is a slope where all pixels are alike."""


class Maps(nn.Module):
    """Give flat rows the shape of maps, and let the context that follows them be constant maps after them."""

    def __init__(self, shape: Image, n_context: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.n_context = n_context

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, channels · height · width + n_context) → (rows, channels + n_context, height, width)."""
        if self.n_context == 0:
            return x.unflatten(1, self.shape)
        flat, context = x.split([math.prod(self.shape), self.n_context], dim=1)
        maps = context[:, :, None, None].expand(-1, -1, *self.shape[1:])
        return torch.cat([flat.unflatten(1, self.shape), maps], dim=1)


class RefinedPath(Path):
    """A linear map that draws an image, and what its refinement adds: V z + g(V z), or V z + contrast(V z) g(V z).

    The second, where the image's channels are given, is for a refinement that sees an image without its contrast.
    """

    linear: nn.Module
    deep: nn.Sequential

    def __init__(self, linear: nn.Module, deep: nn.Sequential, n_context: int, n_channels: int | None) -> None:
        super().__init__(linear, deep)
        self.n_context = n_context
        self.n_channels = n_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map codes, and the context behind them, (rows, first width) → (rows, features)."""
        drawn: Tensor = self.linear(x)
        context = x[:, x.shape[1] - self.n_context :]
        added: Tensor = self.deep(torch.cat([dampened(drawn), context], dim=1))
        if self.n_channels is not None:
            added = contrast(drawn, self.n_channels) * added
        return drawn + added


def contrast(images: Tensor, n_channels: int) -> Tensor:
    """Return the standard deviation of each flat image's pixels around the mean of their channel, (rows, 1).

    It is at least ``LEAST_CONTRAST``.
    """
    variance = images.unflatten(1, (n_channels, -1)).var(2, correction=0).mean(1, keepdim=True)
    return (variance + LEAST_CONTRAST**2).sqrt()


class UNet(nn.Sequential):
    """Layers down and up again; what each layer down gives is added to what comes back to its size."""

    def __init__(self, maps: Maps, down: list[nn.Module], up: list[nn.Module]) -> None:
        super().__init__(maps, *down, *up)
        self.depth = len(down)

    def forward(self, x: Tensor) -> Tensor:
        """Map flat rows → flat rows."""
        maps, *layers = self
        x, kept = maps(x), []
        for down in layers[: self.depth]:
            x = down(x)
            kept.append(x)
        for up, same_size in zip(layers[self.depth : -1], kept[-2::-1], strict=True):
            x = up(x) + same_size
        return layers[-1](x).flatten(1)


class CentralCrop(nn.Module):
    """Keep the middle of an image; an odd pixel too many goes from below and from the right."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Map (rows, channels, more, more) → (rows, channels, *size)."""
        height, width = self.size
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top : top + height, left : left + width]


class LayerNorm2d(nn.GroupNorm):
    """nn.GroupNorm of one group, in operations whose gradient torch can differentiate again in a batch.

    The contractive penalty needs that, and group norm's own kernel has it not (torch 2.13).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise each row, then scale and shift each channel."""
        return F.layer_norm(x, x.shape[1:], eps=self.eps) * self.weight[:, None, None] + self.bias[:, None, None]


NORMALIZATIONS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "layer": LayerNorm2d}
