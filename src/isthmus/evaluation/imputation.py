"""How well hidden entries are filled in."""

import numpy as np
import torch

from isthmus.core.corruption import CORRUPTIONS
from isthmus.evaluation.error import mean_squared_error


def hidden_entries(shape: tuple[int, ...], share: float, *, block: bool = False, seed: int = 0) -> np.ndarray:
    """Mark a share of the entries of rows of that shape, each on its own, or a rectangle (a run) of each row.

    A pixel is hidden in all of its colours.

    Returns
    -------
    ndarray of bool, of that shape
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share:g} cannot be hidden: give one between 0 and 1")
    generator = torch.Generator().manual_seed(seed)
    hide = CORRUPTIONS["block" if block else "masking"]
    one_colour = (shape[0], 1, *shape[2:]) if len(shape) == 4 else shape
    return np.broadcast_to((hide(torch.ones(one_colour), share, generator) == 0).numpy(), shape)


def imputation_errors(
    rows: np.ndarray, filled: np.ndarray, mean: np.ndarray, hidden: np.ndarray
) -> tuple[float, float]:
    """Return the squared error an entry on those that were hidden, of `filled` and of the mean row in their place."""
    hidden = hidden & ~np.isnan(rows)
    means = np.broadcast_to(mean, rows.shape)
    return mean_squared_error(rows[hidden], filled[hidden]), mean_squared_error(rows[hidden], means[hidden])
