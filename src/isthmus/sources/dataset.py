"""Rows and what is known of them."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Dataset(NamedTuple):
    """Rows and what is known of them.

    Attributes
    ----------
    X : ndarray or DataFrame
        Rows: (n, features), or images (n, height, width) or (n, channels, height, width).
    y : ndarray or None
        A label or a number for each row.
    """

    X: "np.ndarray | pd.DataFrame"
    y: np.ndarray | None = None
