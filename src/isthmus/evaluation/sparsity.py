"""How few units a code uses."""

import numpy as np


def hoyer_sparsity(codes: np.ndarray) -> float:
    """Return the mean of (√k − ‖h‖₁ / ‖h‖₂) / (√k − 1) over rows: 0 for k equal units, 1 for one alone (Hoyer 2004).

    A code of a single unit has no sparsity: NaN.
    """
    k = codes.shape[1]
    if k == 1:
        return float("nan")
    codes = codes.astype(np.float64)
    l1, l2 = np.abs(codes).sum(1), np.sqrt(np.square(codes).sum(1))
    ratio = np.divide(l1, l2, out=np.ones_like(l1), where=l2 > 0)
    return float(((np.sqrt(k) - ratio) / (np.sqrt(k) - 1)).mean())
