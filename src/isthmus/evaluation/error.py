"""How far reconstructions are from rows."""

import numpy as np
import torch

from isthmus.core.corruption import CORRUPTIONS, HIDINGS, NOISES


def mean_squared_error(rows: np.ndarray, reconstruction: np.ndarray) -> float:
    """Return the squared error of an entry, averaged over rows and entries, in the squared units of the rows."""
    return float(np.square(rows.astype(np.float64) - reconstruction.reshape(rows.shape)).mean())


def corrupted(rows: np.ndarray, corruption: str, level: float, seed: int = 0) -> np.ndarray:
    """Corrupt rows once, for every model to be measured on the same ones; parameters as those of the estimators.

    What ``masking`` and ``block`` hide is NaN, which every model takes for missing, as in training.
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {corruption!r}: give one of {', '.join(CORRUPTIONS)}")
    x, generator = torch.tensor(rows), torch.Generator().manual_seed(seed)
    if corruption in NOISES:
        x = NOISES[corruption](x, level, generator)
    else:
        shown = HIDINGS[corruption](x, None, level, generator)
        x = x if shown is None else x.masked_fill(~shown, torch.nan)
    return np.asarray(x.numpy())
