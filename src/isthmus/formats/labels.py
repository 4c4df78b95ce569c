"""What labels are: classes or measurements."""

import numpy as np
import pandas as pd

from isthmus.errors import InputError


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
    raise InputError(f"{name} holds objects that are {inferred}: make them all words, or all numbers")


FEW_CLASSES = 10
"""Classes up to which they take turns in their order; of more each turn begins with another."""


def spread_order(n: int, y: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Return an order of `n` rows, drawn at random, whose first rows are a fair sight of all.

    Where `y` holds classes they take turns, so that the first rows are not all of one class, as in a folder that is
    sorted; rows without a label come last in each turn. Equal arguments give the same order.

    Examples
    --------
    >>> y = np.repeat(["a", "b", "c"], 100)
    >>> y[spread_order(300, y)[:6]].tolist()
    ['a', 'b', 'c', 'a', 'b', 'c']
    """
    random = np.random.default_rng(seed)
    order = random.permutation(n)
    known = None if y is None or y.ndim > 1 else y[~pd.isna(y)]
    if y is None or known is None or not len(known) or not are_classes(known):
        return order
    classes, names = pd.factorize(y, sort=True)
    place = np.arange(len(names) + 1)  # the last is of the rows without a label, whose class is −1
    if len(names) > FEW_CLASSES:
        place[:-1] = random.permutation(len(names))
    turn = pd.Series(classes[order]).groupby(classes[order]).cumcount().to_numpy()
    return order[np.lexsort((place[classes[order]], turn))]
