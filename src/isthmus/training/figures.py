"""What the batches of an epoch have to say in its record."""

from collections.abc import Mapping

import torch
from torch import Tensor

LOOK = 10
"""Steps between two looks at an accelerator's numbers, losses or signals to stop: each look makes it wait."""

TOGETHER = 100 * LOOK
"""Batches whose figures are put into one tensor: one for each batch takes a hundred times the memory."""


class Figures:
    """What each batch so far has to say: a column for each term, and for the squared error and the loss.

    Parameters
    ----------
    columns : dict of str to Tensor of shape (batches,), optional
        What batches before had to say.
    """

    def __init__(self, columns: Mapping[str, Tensor] | None = None) -> None:
        self.names = list(columns or ())
        self._last: list[Mapping[str, Tensor]] = []
        self._whole: list[dict[str, Tensor]] = []
        n = len(next(iter(columns.values()))) if columns else 0
        for i in range(n):
            self.append({name: column[i] for name, column in (columns or {}).items()})

    def append(self, batch: Mapping[str, Tensor]) -> None:
        """Add what a batch has to say."""
        self.names = self.names or list(batch)
        self._last.append(batch)
        if len(self._last) == TOGETHER:
            self._whole.append({name: self._stacked(name) for name in self.names})
            self._last = []

    def columns(self) -> dict[str, Tensor]:
        """Return the figures of all batches, under their names."""
        last = {name: [self._stacked(name)] if self._last else [] for name in self.names}
        return {name: torch.cat([*(each[name] for each in self._whole), *last[name]]) for name in self.names}

    def of_some(self, name: str, start: int) -> Tensor:
        """Return a figure of as many batches as are looked at together, or of those that are there, from one on."""
        place, first = divmod(start, TOGETHER)
        if place < len(self._whole):
            return self._whole[place][name][first : first + LOOK]
        return torch.stack([batch[name] for batch in self._last[first : first + LOOK]])

    def _stacked(self, name: str) -> Tensor:
        return torch.stack([batch[name].detach() for batch in self._last])
