"""Rows and what is known of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pandas as pd  # which the list of named data sets does without

Table: TypeAlias = "np.ndarray | pd.DataFrame"
"""Rows as they are read of a file, a folder or a data set."""

Read: TypeAlias = "Table | Mapping[str, np.ndarray]"
"""The same, or modalities by name."""


class Dataset(NamedTuple):
    """Rows and what is known of them.

    Parameters
    ----------
    X : ndarray or DataFrame
        Rows: (n, features), or images (n, height, width) or (n, channels, height, width).
    y : ndarray or None
        A label or a number for each row.
    """

    X: Table
    y: np.ndarray | None = None


def is_image(row_shape: Sequence[int]) -> bool:
    """Tell whether rows can be shown as pictures: (height, width), or (1 or 3 channels, height, width)."""
    return len(row_shape) == 2 or (len(row_shape) == 3 and row_shape[0] in (1, 3))
