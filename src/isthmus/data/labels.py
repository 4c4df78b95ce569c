"""What labels are: classes or measurements."""

import numpy as np
import pandas as pd


def are_classes(y: np.ndarray) -> bool:
    """Tell classes from measurements: words, or whole numbers of which each comes again and again.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels without gaps.
    """
    if y.dtype.kind in "OUSb":
        return True
    few = len(np.unique(y)) <= min(100, max(2, len(y) // 5))
    return bool(few and np.isfinite(y).all() and np.equal(y, np.round(y)).all())


def of_one_kind(y: np.ndarray, name: str = "y") -> np.ndarray:
    """Return objects as what they are: words, numbers or truth values.

    Parameters
    ----------
    y : ndarray
        Labels without gaps.
    name : str, default "y"
        What an error calls them.
    """
    if y.dtype != object:
        return y
    inferred = pd.api.types.infer_dtype(y.ravel(), skipna=False)
    if inferred in ("string", "boolean", "integer", "floating", "mixed-integer-float"):
        kind = {"string": str, "boolean": bool, "integer": int}.get(inferred, float)
        return y.astype(kind)
    raise ValueError(f"{name} holds objects that are {inferred}: make them all words, or all numbers")
