"""The rows nearest to others, by their codes."""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from isthmus.errors import InputError


class Neighbors(NamedTuple):
    """The nearest rows of each query, from the nearest on.

    Attributes
    ----------
    rows : ndarray of int, of shape (n_queries, k)
        Which rows they are.
    distances : ndarray of shape (n_queries, k)
        How far their codes are, by Euclid.
    """

    rows: np.ndarray
    distances: np.ndarray


def nearest_by_code(codes: np.ndarray, queries: np.ndarray, k: int, own: np.ndarray | None = None) -> Neighbors:
    """Find the `k` rows whose codes are nearest to each query's.

    Parameters
    ----------
    codes : ndarray of shape (n, n_components)
        The codes of the rows among which is looked.
    queries : ndarray of shape (n_queries, n_components)
        The codes for which is looked.
    k : int
        How many are wanted.
    own : ndarray of int, of shape (n_queries,), optional
        Which row each query itself is: no row is its own neighbour. A twin with the same code is.

    Raises
    ------
    ValueError
        If there are fewer than `k` rows to choose from.
    """
    wanted = k if own is None else k + 1
    if not 1 <= k <= wanted <= len(codes):
        raise InputError(f"{k} neighbours among {len(codes)} rows: there are from 1 to {len(codes) - (wanted - k)}")
    distance, index = NearestNeighbors(n_neighbors=wanted).fit(codes).kneighbors(queries)
    if own is None:
        return Neighbors(index, distance)
    others = index != own[:, None]
    others[others.all(1), -1] = False  # twins have crowded the row itself out: the farthest makes room
    return Neighbors(index[others].reshape(-1, k), distance[others].reshape(-1, k))
