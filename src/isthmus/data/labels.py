"""What labels are: classes or measurements."""

import numpy as np


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
