"""The recurrent pair: an LSTM reads a sequence, and another tells it again from its last step to its first."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import InputError
from isthmus.networks.parameters import Parameters, check_share, check_truth_value, check_whole


@dataclass(repr=False)
class LSTM(Parameters):
    """An LSTM whose last hidden state is the code, and one that rebuilds the sequence from it (Srivastava et al. 2015).

    The decoder makes the steps in reverse order: its first output is the last step of the sequence, which the encoder
    saw last. What it returns is in the sequence's own order again.

    Sequences of unequal length are padded at their end and come with a context of shape (rows, 1), their lengths in
    steps; of shape (rows, 2) where they are padded to fewer steps than were built for, which is the second. The code is
    the state after the last step of each, and as the encoder never looks ahead, what stands in the padding changes
    nothing.

    Parameters
    ----------
    hidden : int or None, default None
        Units of each layer. None takes `n_components`, and the last hidden state of the top layer is the code itself,
        which lies in (−1, 1); of another width, a linear map brings it to the code.
    layers : int, default 1
        LSTM layers on either side, one on top of the other.
    conditioned : bool, default False
        What the decoder is given at a step beside the code: the frame that it has made just before (its own, in
        training and at use alike, so that p(x | z) depends on nothing but z), or nothing. It is then unrolled step by
        step, which is slower.
    dropout : float in [0, 1), default 0
        Share of a layer's outputs that is dropped on the way to the layer above, in training.

    References
    ----------
    Srivastava, Mansimov & Salakhutdinov (2015). *Unsupervised learning of video representations using LSTMs*, §2.

    Examples
    --------
    >>> encoder, decoder = LSTM(layers=2).build((50, 3), n_components=8)
    >>> code = encoder(torch.zeros(5, 50, 3))
    >>> code.shape, decoder(code).shape
    (torch.Size([5, 8]), torch.Size([5, 50, 3]))
    """

    hidden: int | None = None
    layers: int = 1
    conditioned: bool = False
    dropout: float = 0.0

    follows_lengths: ClassVar[bool] = True

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Build an encoder and a decoder.

        Parameters
        ----------
        row_shape : tuple of int
            (steps, features), or (steps,) for one feature.
        n_components : int
            Units of the code.
        moments : int, default 1
            Numbers for each unit of the code: 2 for a Gaussian one.
        n_context : int, default 0
            1 where lengths come as the context.

        Returns
        -------
        tuple of two Modules
            As in :meth:`MLP.build`.

        Raises
        ------
        ValueError
            If rows are no sequences, a parameter has no meaning, or the context is more than a length.
        """
        self._check()
        if len(row_shape) not in (1, 2):
            raise InputError(f"LSTM takes rows of shape (steps, features), and these have {row_shape}: take Conv")
        if n_context > 1:
            raise InputError("LSTM takes no condition beside a sequence's length: take Conv or MLP")
        width = n_components if self.hidden is None else self.hidden
        return (
            Encoder(self, row_shape, width, None if width == moments * n_components else moments * n_components),
            Decoder(self, row_shape, width, n_components),
        )

    def _check(self) -> None:
        for name in ("hidden", "layers"):
            value = getattr(self, name)
            if value is not None or name == "layers":
                check_whole(f"{name}={value!r}", value, 1)
        check_truth_value("conditioned", self.conditioned)
        check_share("dropout", self.dropout)
        if self.dropout and self.layers == 1:
            raise InputError(f"dropout={self.dropout!r} falls between layers, and there is one: give layers=2 or more")

    def recurrent(self, inputs: int, width: int) -> nn.LSTM:
        """Build the layers of one side.

        Parameters
        ----------
        inputs : int
            Numbers a step.
        width : int
            Units of each layer.

        Returns
        -------
        LSTM
            Of torch, with open forget gates.
        """
        lstm = nn.LSTM(inputs, width, self.layers, batch_first=True, dropout=self.dropout)
        for name, parameter in lstm.named_parameters():
            if name.startswith("bias_ih"):
                # Open forget gates: what is read early shall reach the last step (Jozefowicz et al. 2015, §2.2).
                nn.init.ones_(parameter.data[width : 2 * width])
        return lstm


class Encoder(nn.Module):
    """Read a sequence; the top layer's state after its last step, or a linear map of it, is the code."""

    def __init__(self, network: LSTM, row_shape: tuple[int, ...], width: int, outputs: int | None) -> None:
        super().__init__()
        self.lstm = network.recurrent(row_shape[1] if len(row_shape) > 1 else 1, width)
        self.code = nn.Identity() if outputs is None else nn.Linear(width, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (rows, *row_shape), or fewer steps, of lengths (rows, 1 or 2) in steps where these differ."""
        states: Tensor
        states, _ = self.lstm(x if x.ndim > 2 else x[:, :, None])
        last = states[:, -1] if lengths is None else at(states, lengths[:, :1].long() - 1)[:, 0]
        return self.code(last)


class Decoder(nn.Module):
    """Tell a sequence from its last step to its first; the code sets the state and is an input of every step."""

    def __init__(self, network: LSTM, row_shape: tuple[int, ...], width: int, n_components: int) -> None:
        super().__init__()
        self.row_shape = row_shape
        self.conditioned = network.conditioned
        self.steps, self.features = row_shape[0], row_shape[1] if len(row_shape) > 1 else 1
        self.lstm = network.recurrent(n_components + self.features * network.conditioned, width)
        self.state = nn.Linear(n_components, 2 * network.layers * width)
        self.frame = nn.Linear(width, self.features)

    def forward(self, z: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decode (rows, n_components), to lengths (rows, 1 or 2) in steps where these differ, → (rows, *row_shape)."""
        steps = self.steps if lengths is None or lengths.shape[1] == 1 else int(lengths[0, 1])
        told = self._from_own_frames(z, steps) if self.conditioned else self._from_code(z, steps)
        if lengths is None:
            x = told.flip(1)
        else:
            x = at(told, (lengths[:, :1].long() - 1 - torch.arange(steps, device=z.device)).clamp(min=0))
        return x.reshape(len(z), steps, *self.row_shape[1:])

    def _from_code(self, z: Tensor, steps: int) -> Tensor:
        """Make so many frames, each from the code alone and the state."""
        states, _ = self.lstm(z[:, None].expand(-1, steps, -1), self._start(z))
        return self.frame(states)

    def _from_own_frames(self, z: Tensor, steps: int) -> Tensor:
        """Make one frame after the other, each from the code, the state and the frame before, at first zeros."""
        state, frames = self._start(z), [z.new_zeros(len(z), 1, self.features)]
        for _ in range(steps):
            output, state = self.lstm(torch.cat([z[:, None], frames[-1]], dim=2), state)
            frames.append(self.frame(output))
        return torch.cat(frames[1:], dim=1)

    def _start(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden state and cells before the first step, each of shape (layers, rows, width)."""
        h, c = self.state(z).unflatten(1, (2, self.lstm.num_layers, -1)).permute(1, 2, 0, 3).contiguous()
        return h, c


def at(x: Tensor, steps: Tensor) -> Tensor:
    """Take steps (rows, taken), each row its own, from sequences (rows, steps, features)."""
    return torch.take_along_dim(x, steps[:, :, None], dim=1)
