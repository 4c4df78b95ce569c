"""A person's own encoder and decoder."""

import copy
from dataclasses import dataclass

from torch import nn

from isthmus.networks.parameters import Parameters


@dataclass(repr=False)
class Modules(Parameters):
    """Your own pair of modules; ``fit`` trains copies of them, starting from the weights they have.

    Parameters
    ----------
    encoder : Module
        (rows, *row shape) → (rows, n_components); rows come shaped as they were given to ``fit``.
    decoder : Module
        (rows, n_components) → (rows, *row shape).

    Examples
    --------
    >>> network = Modules(encoder=nn.Linear(64, 8), decoder=nn.Linear(8, 64))
    >>> encoder, decoder = network.build((64,), n_components=8)
    """

    encoder: nn.Module
    decoder: nn.Module

    def build(self, row_shape: tuple[int, ...], n_components: int) -> tuple[nn.Module, nn.Module]:
        """Copy both modules, together, so that what they share stays shared."""
        return copy.deepcopy((self.encoder, self.decoder))

    def __sklearn_clone__(self) -> "Modules":
        return Modules(*self.build((), 0))
