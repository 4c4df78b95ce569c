"""Long series and the windows that are cut from them."""

import numbers
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from isthmus.errors import InputError


def windows(series: ArrayLike, length: int, stride: int = 1) -> np.ndarray:
    """Cut a long series into windows of equal length.

    Windows begin every `stride` steps; where the last of them would leave steps over at the end, one more is taken that
    ends with the series, so that with ``stride <= length`` every step is in a window.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, features)
        One series, in the order of time.
    length : int
        Steps in a window.
    stride : int, default 1
        Steps from the beginning of a window to that of the next.

    Returns
    -------
    ndarray of shape (n, length) or (n, length, features)
        A copy, in the dtype of `series`.

    Raises
    ------
    ValueError
        If the series is shorter than a window, or is no series of one or two dimensions.

    Examples
    --------
    >>> windows([0, 1, 2, 3, 4, 5], 3, stride=2)
    array([[0, 1, 2],
           [2, 3, 4],
           [3, 4, 5]])
    """
    values = np.asarray(series)
    if values.ndim not in (1, 2):
        raise InputError(f"the series has the shape {values.shape}: give (n_steps,) or (n_steps, features)")
    return np.asarray(values[_places(len(values), length, stride)])


def window_starts(n_steps: int, length: int, stride: int = 1) -> np.ndarray:
    """Return at which step each window begins that :func:`windows` cuts from a series of `n_steps`; shape (n,)."""
    from isthmus.formats.checks import check_scalar  # scikit-learn's, which takes as long as all else here

    for name, value in (("n_steps", n_steps), ("length", length), ("stride", stride)):
        check_scalar(value, name, numbers.Integral, min_val=1)
    if n_steps < length:
        raise InputError(f"the series has {n_steps} steps, fewer than a window of {length}: give a shorter length")
    starts = np.arange(0, n_steps - length + 1, stride)
    return starts if starts[-1] + length == n_steps else np.append(starts, n_steps - length)


def on_time_axis(values: ArrayLike, n_steps: int, stride: int = 1) -> np.ndarray:
    """Bring what was said of each step of each window back on the series' own time axis.

    Parameters
    ----------
    values : array-like of shape (n, length) or (n, length, features)
        A value for each step of each window, such as ``score_samples(windows, per_feature=True)``; NaN is no value.
    n_steps : int
        Steps of the series that :func:`windows` cut.
    stride : int, default 1
        The stride that it was given.

    Returns
    -------
    ndarray of shape (n_steps,) or (n_steps, features)
        The mean over the windows that a step is in; NaN where it is in none that has a value for it.

    Raises
    ------
    ValueError
        If a series of that many steps has another number of windows.

    Examples
    --------
    >>> on_time_axis([[1, 1, 1], [3, 3, 3], [5, 5, 5]], n_steps=6, stride=2)
    array([1., 1., 2., 4., 4., 5.])
    """
    return mean_at(values, lambda length: _places(n_steps, length, stride), n_steps)


def step_scores(shares: ArrayLike, n_steps: int, stride: int = 1) -> np.ndarray:
    """Score the steps of a series by themselves and by the windows that they are in.

    What is unusual is either a step or a stretch. One step's own score tells the first, and is too noisy for the
    second, of which no single step is far from what is usual: a window tells that by the sum over its steps. So the
    score of a step is the mean, over the windows that it is in, of its own share of the score and of the window's sum
    of shares over the square root of its length, as that makes the noise of both alike.

    Parameters
    ----------
    shares : array-like of shape (n, length) or (n, length, features)
        ``score_samples(windows, per_feature=True)``; NaN is no value.
    n_steps : int
        Steps of the series that :func:`windows` cut.
    stride : int, default 1
        The stride that it was given.

    Returns
    -------
    ndarray of shape (n_steps,) or (n_steps, features)
        Higher is more usual; the sum over features is the score of a step. NaN where it is in no window that has a
        value for it.

    Raises
    ------
    ValueError
        If a series of that many steps has another number of windows.

    Examples
    --------
    >>> step_scores([[0, -1, 0, 0], [-1, 0, 0, 0]], n_steps=5)
    array([-0.5, -1.5, -0.5, -0.5, -0.5])
    """
    return on_time_axis(with_windows(shares), n_steps, stride)


def with_windows(shares: ArrayLike) -> np.ndarray:
    """Add to each step's share of a window's score what the window has to say of all its steps."""
    own = np.asarray(shares, dtype=float)
    if own.ndim not in (2, 3):
        raise InputError(f"shares has the shape {own.shape}: give (n, length) or (n, length, features)")
    return np.asarray(own + np.nansum(own, axis=1, keepdims=True) / np.sqrt(own.shape[1]))


def mean_at(values: ArrayLike, places_of: Callable[[int], np.ndarray], n_steps: int) -> np.ndarray:
    """Return the mean of values of windows at each step; `places_of` says for a length which steps are in each."""
    told = np.asarray(values, dtype=float)
    if told.ndim not in (2, 3):
        raise InputError(f"values has the shape {told.shape}: give (n, length) or (n, length, features)")
    places = places_of(told.shape[1])
    if len(places) != len(told):
        raise InputError(
            f"values is of {len(told)} windows, and a series of {n_steps} steps has {len(places)} of length "
            f"{told.shape[1]} at that stride"
        )
    return averaged(told, places, n_steps)


def averaged(values: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of the values that are known at each of `n` places, NaN where there is none."""
    known = ~np.isnan(values)
    total, count = np.zeros((2, n, *values.shape[places.ndim :]))
    np.add.at(total, places, np.where(known, values, 0))
    np.add.at(count, places, known)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _places(n_steps: int, length: int, stride: int) -> np.ndarray:
    return np.asarray(window_starts(n_steps, length, stride)[:, None] + np.arange(length))
