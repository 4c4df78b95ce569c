"""The rows nearest to others, by their codes."""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from isthmus.errors import InputError

FEW = 16
"""Queries up to which every row is looked at: for them a tree of all codes, which takes n log n, does not pay."""

AT_ONCE = 65_536
"""Rows whose distances are taken at once."""


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
    if len(queries) <= FEW:
        distance, index = _of_few(codes, queries, wanted)
    else:
        distance, index = NearestNeighbors(n_neighbors=wanted).fit(codes).kneighbors(queries)
    if own is None:
        return Neighbors(index, distance)
    others = index != own[:, None]
    others[others.all(1), -1] = False  # twins have crowded the row itself out: the farthest makes room
    return Neighbors(index[others].reshape(-1, k), distance[others].reshape(-1, k))


def _of_few(codes: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and rows of the `k` nearest of each query, of those as near the first."""
    distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for i, query in enumerate(np.asarray(queries, dtype=float)):
        squares = np.empty(len(codes))
        for start in range(0, len(codes), AT_ONCE):
            rest = codes[start : start + AT_ONCE] - query
            squares[start : start + AT_ONCE] = np.square(rest, out=rest).sum(1)
        nearest = np.sort(np.argpartition(squares, k - 1)[:k])
        rows[i] = nearest[squares[nearest].argsort(kind="stable")]
        distances[i] = np.sqrt(squares[rows[i]])
    return distances, rows
