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
    future_steps : int
        How many come last.
    """

    def __init__(self, encoder: nn.Module, future_steps: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.future_steps = future_steps
        self.takes_known = getattr(encoder, "takes_known", False)

    def forward(self, x: Tensor, lengths: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Encode (rows, steps + future steps, features), of so many past steps (rows, 1), if the encoder is told."""
        steps = x.shape[1] - self.future_steps
        told: list[Tensor | None] = [x[:, :steps], lengths]
        if self.takes_known:
            told.append(None if known is None else known[:, :steps])
        return self.encoder(*told)


class CompositeDecoder(nn.Module):
    """Rebuild the past with one decoder and tell the future with another, from one code (Srivastava et al. 2015, §2.3).

    Parameters
    ----------
    past : Module or None
        (rows, n_components), lengths → (rows, steps, features); None puts zeros there.
    future : Module
        (rows, n_components) → (rows, future steps, features). It may make its last step first, as it would for a past:
        what it gives is turned round.
    steps : int
        Of the past, unless the lengths say that there are fewer.
    """

    def __init__(self, past: nn.Module | None, future: nn.Module, steps: int) -> None:
        super().__init__()
        self.past = past
        self.future = future
        self.steps = steps

    def forward(self, z: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decode to (rows, steps + future steps, features)."""
        future: Tensor = self.future(z).flip(1)
        if self.past is not None:
            return torch.cat([self.past(z, lengths), future], dim=1)
        steps = self.steps if lengths is None or lengths.shape[1] == 1 else int(lengths[0, 1])
        return torch.cat([future.new_zeros(len(z), steps, future.shape[2]), future], dim=1)
