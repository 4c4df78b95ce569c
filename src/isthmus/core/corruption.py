"""What the encoder is shown in training.

Noise is a pure function ``(x, level, generator) → x̃``, which changes entries, of which NaN is not known. Hiding is one
``(x, observed, level, generator) → shown``, which tells the entries that are still shown: the others look to the
encoder as what is missing does at use. All draw from the run's own generator.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from isthmus.core.patches import from_patches, to_patches

Noise = Callable[..., Tensor]
Hiding = Callable[..., Tensor | None]


def _chosen(x: Tensor, level: float, generator: torch.Generator | None) -> Tensor:
    """Mark each entry of `x`, on its own, with probability `level`."""
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32) < level


def gaussian(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Add normal noise with standard deviation `level`, in the units of `x` (Vincent et al. 2010, §3.1)."""
    return x + level * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def dropout(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Set a share `level` of the entries to zero and divide the rest by 1 − `level` (Srivastava et al. 2014)."""
    if level == 1:
        return torch.zeros_like(x)
    return x.masked_fill(_chosen(x, level, generator), 0) / (1 - level)


def salt_and_pepper(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Set a share `level` of the entries to the batch's lowest or highest value, by a fair coin.

    Vincent et al. 2010, §3.1. The two values belong to the whole batch, not to a column: pixels share one range.
    """
    missing = x.isnan()
    low, high = x.masked_fill(missing, torch.inf).amin(), x.masked_fill(missing, -torch.inf).amax()
    return torch.where(_chosen(x, level, generator), torch.where(_chosen(x, 0.5, generator), low, high), x)


def swap(x: Tensor, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Replace a share `level` of the entries by the same column's value in another row of the batch.

    A batch of one row has no other row and is returned as it is. Source: the winning entry of Porto Seguro's Safe
    Driver Prediction (M. Jahrer, 2017). What is not known there (NaN) is not known here then.
    """
    rows = len(x)
    if rows < 2:
        return x
    cells = x.flatten(1)
    n = cells.numel()
    place = torch.randint(1, rows, cells.shape, generator=generator, device=x.device).mul_(cells.shape[1])
    place.add_(torch.arange(n, device=x.device).view_as(cells)).remainder_(n)  # of the other cell, among all
    other = cells.flatten().index_select(0, place.flatten()).view_as(cells)
    return torch.where(_chosen(cells, level, generator), other, cells).view_as(x)


def hide_conditions(
    context: Tensor, level: float, generator: torch.Generator | None = None, widths: Sequence[int] = ()
) -> Tensor:
    """Make a share `level` of the rows' conditions unknown: zeros, and a one in the last column.

    Of several conditions, which have so many columns each (`widths`), half of these rows lose all, and the others each
    by a fair coin: at use none may be known, or some.
    """
    chosen = _chosen(context[:, :1], level, generator)
    if not widths:
        unknown = torch.zeros_like(context[:1])
        unknown[:, -1] = 1
        return torch.where(chosen, unknown, context)
    whole = _chosen(context[:, :1], 0.5, generator)
    blocks = [
        hide_conditions(block, 1.0, generator).where(chosen & (whole | _chosen(block[:, :1], 0.5, generator)), block)
        for block in context.split(list(widths), dim=1)
    ]
    return torch.cat(blocks, dim=1)


def hide_entries(x: Tensor, observed: Tensor | None, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Hide a share `level` of the entries, each on its own (Vincent et al. 2008, §2.3); return which are still shown.

    What is not known is not shown either.
    """
    shown = ~_chosen(x, level, generator)
    return shown if observed is None else shown & observed


def hide_block(
    x: Tensor, observed: Tensor | None, level: float, generator: torch.Generator | None = None
) -> Tensor | None:
    """Hide a rectangle of each image, or a run of each row, and return which entries are still shown.

    `level` is its share of the entries. Of an image all channels are hidden alike; the rectangle's sides are drawn too,
    its place is anywhere inside (DeVries & Taylor 2017, *cutout*; Pathak et al. 2016).
    """
    if level == 0:
        return observed
    height, width = x.shape[-2:] if x.ndim > 2 else (1, x.shape[1])
    rows = len(x)
    # The area is height × width × level; how it is shared out between the sides is drawn.
    log_level = math.log(level)
    exponent = (
        torch.rand(rows, 1, generator=generator, device=x.device, dtype=torch.float32)
        if height > 1
        else x.new_zeros(rows, 1)
    )
    hidden = [
        _run(length, (share * log_level).exp(), generator)
        for length, share in ((height, exponent), (width, 1 - exponent))
    ]
    rectangle = hidden[0][:, :, None] & hidden[1][:, None, :]
    shown = ~rectangle.view(rows, *[1] * (x.ndim - 3), *x.shape[-2:]) if x.ndim > 2 else ~rectangle[:, 0]
    return shown.expand_as(x) if observed is None else shown & observed


def _run(length: int, share: Tensor, generator: torch.Generator | None) -> Tensor:
    """Mark a run of that share of `length` places, anywhere, for each row of `share`; shape (rows, length)."""
    size = (share * length).round().clamp(min=1)
    start = (
        torch.rand(share.shape, generator=generator, device=share.device, dtype=torch.float32) * (length - size + 1)
    ).floor()
    place = torch.arange(length, device=share.device)
    return (place >= start) & (place < start + size)


def hide_patches(
    x: Tensor, observed: Tensor | None, level: float, patch: tuple[int, ...], generator: torch.Generator | None = None
) -> Tensor | None:
    """Hide a share `level` of each row's patches, whole, and return which entries are still shown (He et al. 2021).

    Of a row with n patches of which something is known, round(level · n) are hidden, at least one and at most n − 1;
    with level 0, or where a row is a single patch, none. All rows of the same n have the same number left.

    Parameters
    ----------
    x : Tensor of shape (rows, *row_shape)
    observed : Tensor of bool, shaped like x, or None
        Which entries are known; None where all are. What is not known is not shown either.
    level : float in [0, 1]
    patch : tuple of int
        Shape of a patch, an axis of a row each.
    """
    seen = to_patches(torch.ones_like(x[:1], dtype=torch.bool).expand_as(x) if observed is None else observed, patch)
    if level == 0 or seen.shape[1] == 1:
        return observed
    there = seen.any(2)
    n = there.sum(1, keepdim=True)
    hidden = (level * n).round().clamp(min=1).minimum(n - 1)
    # Patches of which nothing is known draw no lot: they are last in line to be hidden, and not shown in any case.
    lot = torch.rand(there.shape, generator=generator, device=x.device, dtype=torch.float32).masked_fill(~there, 2)
    is_shown = lot.argsort(1).argsort(1) >= hidden
    return from_patches(seen & is_shown[:, :, None], tuple(x.shape[1:]), patch)


def hide_future(
    x: Tensor,
    observed: Tensor | None,
    steps: int,
    hiding: Hiding | None = None,
    generator: torch.Generator | None = None,
) -> Tensor | None:
    """Show nothing of the last steps of sequences, and of those before what another rule leaves."""
    past = torch.ones_like(x, dtype=torch.bool) if observed is None else observed.clone()
    past[:, -steps:] = False
    return past if hiding is None else hiding(x, past, generator=generator)


def hide_modalities(
    x: Tensor,
    observed: Tensor | None,
    sizes: Sequence[int],
    level: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide each modality of each row with probability `level`, but never all that there are.

    Parameters
    ----------
    x : Tensor of shape (rows, sum of sizes)
    observed : Tensor of bool, shaped like x, or None
        What is known of the rows; None is all.
    sizes : sequence of int
        How many entries each modality has.
    level : float in [0, 1]
        The probability; 1 leaves each row one modality, any of those that it has.

    Returns
    -------
    Tensor of bool, shaped like x: what is known and shown.
    """
    observed = torch.ones_like(x, dtype=torch.bool) if observed is None else observed
    present = torch.stack([part.any(1) for part in observed.split(list(sizes), dim=1)], dim=1)
    draw = torch.rand(present.shape, generator=generator, device=x.device, dtype=torch.float32).masked_fill(
        ~present, -1
    )
    kept = draw >= draw.amax(1, keepdim=True).clamp(max=level)  # the highest draw stays, whatever the level
    return observed & torch.cat([kept[:, [m]].expand(-1, size) for m, size in enumerate(sizes)], dim=1)


NOISES: dict[str, Noise] = {
    "gaussian": gaussian,
    "dropout": dropout,
    "salt_and_pepper": salt_and_pepper,
    "swap": swap,
}

HIDINGS: dict[str, Hiding] = {"masking": hide_entries, "block": hide_block}

CORRUPTIONS = (*NOISES, *HIDINGS)
"""The names of all that is done to rows in training."""
