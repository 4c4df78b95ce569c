"""Ways from one code to another."""

from typing import Literal

import numpy as np

Way = Literal["straight", "spherical"]


def straight(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at the share `t` of the straight way from `a` to `b`, row by row."""
    return (1 - t) * a + t * b


def spherical(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Return the point at the share `t` of the arc from `a` to `b`, row by row; straight where there is no one arc.

    The direction goes along the great circle (Shoemake 1985), and the length evenly from one to the other.
    """
    length_a, length_b = (np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    unit_a, unit_b = a / np.where(length_a > 0, length_a, 1), b / np.where(length_b > 0, length_b, 1)
    angle = np.arccos(np.clip((unit_a * unit_b).sum(1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    has_arc = (sine > 1e-3) & (length_a > 0) & (length_b > 0)
    direction = (np.sin((1 - t) * angle) * unit_a + np.sin(t * angle) * unit_b) / np.where(has_arc, sine, 1)
    return np.where(has_arc, straight(length_a, length_b, t) * direction, straight(a, b, t))
