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
        (rows, *row shape) → (rows, n_components); rows come shaped as they were given to ``fit``. A Gaussian code needs
        (rows, 2 · n_components), the means and then the log-variances.
    decoder : Module
        (rows, n_components) → (rows, *row shape). A conditional model calls both with the context, (rows, n_context),
        as a second argument.

    Examples
    --------
    >>> network = Modules(encoder=nn.Linear(64, 8), decoder=nn.Linear(8, 64))
    >>> encoder, decoder = network.build((64,), n_components=8)
    """

    encoder: nn.Module
    decoder: nn.Module

    def build(
        self, row_shape: tuple[int, ...], n_components: int, *, moments: int = 1, n_context: int = 0
    ) -> tuple[nn.Module, nn.Module]:
        """Copy both modules, together, so that what they share stays shared.

        Parameters
        ----------
        row_shape : tuple of int
            Changes nothing, nor do the others: the modules are what they are.
        n_components, moments, n_context : int
            As in :meth:`MLP.build`.

        Returns
        -------
        tuple of two Modules
            Copies of `encoder` and `decoder`.

        Raises
        ------
        TypeError
            If a module cannot be copied.
        """
        return copy.deepcopy((self.encoder, self.decoder))

    def __sklearn_clone__(self) -> "Modules":
        return Modules(*self.build((), 0))
