"""Around any pair for sequences: what makes it a composite, which rebuilds the past and tells the future."""

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Bring each feature of rows (rows, steps, features) to mean 0 and variance 1.

    Parameters
    ----------
    centre, scale : Tensor of shape (features,)
        Mean and standard deviation of each.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return rows in the units of each feature's spread."""
        return (x - self.centre) / self.scale


class PastEncoder(nn.Module):
    """Encode the first steps of rows alone: the future behind them is not for its eyes.

    Parameters
    ----------
    encoder : Module
        Of rows (steps, features).
    steps : int
        How many.
    """

    def __init__(self, encoder: nn.Module, steps: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.steps = steps
        self.takes_known = getattr(encoder, "takes_known", False)

    def forward(self, x: Tensor, lengths: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Encode (rows, steps + future steps, features), of so many past steps (rows, 1), if the encoder is told."""
        told: list[Tensor | None] = [x[:, : self.steps], lengths]
        if self.takes_known:
            told.append(None if known is None else known[:, : self.steps])
        h: Tensor = self.encoder(*told)
        return h


class CompositeDecoder(nn.Module):
    """Rebuild the past with one decoder and tell the future with another, from one code (Srivastava et al. 2015, §2.3).

    Parameters
    ----------
    past : Module or None
        (rows, n_components), lengths → (rows, steps, features); None leaves it out.
    future : Module
        (rows, n_components) → (rows, future steps, features). It may make its last step first, as it would for a past:
        what it gives is turned round.
    """

    def __init__(self, past: nn.Module | None, future: nn.Module) -> None:
        super().__init__()
        self.past = past
        self.future = future

    def forward(self, z: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decode to (rows, steps + future steps, features), or to the future alone."""
        future: Tensor = self.future(z).flip(1)
        return future if self.past is None else torch.cat([self.past(z, lengths), future], dim=1)
