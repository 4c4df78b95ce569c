"""Rows cut into patches of one shape, and put together again."""

import math

import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]


def patch_grid(row_shape: Shape, patch: Shape) -> Shape:
    """Return how many patches there are along each axis of a row; the last one may reach over the edge."""
    return tuple(math.ceil(length / size) for length, size in zip(row_shape, patch, strict=True))


def to_patches(x: Tensor, patch: Shape) -> Tensor:
    """Cut rows (rows, *row_shape) into patches, (rows, patches, entries of a patch); zeros where one is over the edge.

    Examples
    --------
    >>> import torch
    >>> to_patches(torch.arange(8).view(1, 2, 4), (2, 2)).tolist()
    [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    row_shape = tuple(x.shape[1:])
    grid = patch_grid(row_shape, patch)
    over = [n * size - length for n, size, length in zip(grid, patch, row_shape, strict=True)]
    if any(over):
        x = F.pad(x, [side for more in reversed(over) for side in (0, more)])
    axes = len(patch)
    cut = x.reshape(len(x), *(length for pair in zip(grid, patch, strict=True) for length in pair))
    return cut.permute(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2)).flatten(axes + 1).flatten(1, axes)


def from_patches(patches: Tensor, row_shape: Shape, patch: Shape) -> Tensor:
    """Put patches together to rows (rows, *row_shape): the inverse of :func:`to_patches`."""
    grid, axes = patch_grid(row_shape, patch), len(patch)
    cut = patches.reshape(len(patches), *grid, *patch)
    x = cut.permute(0, *(place for axis in range(1, axes + 1) for place in (axis, axis + axes)))
    x = x.reshape(len(x), *(n * size for n, size in zip(grid, patch, strict=True)))
    return x[(slice(None), *map(slice, row_shape))]
