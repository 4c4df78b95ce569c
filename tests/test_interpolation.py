"""The two ways between codes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.models.interpolation import spherical, straight

codes = arrays(np.float64, (3, 4), elements=st.floats(-10, 10))
shares = st.floats(0, 1)


@given(a=codes, b=codes, t=shares)
@settings(deadline=None)
def test_both_begin_and_end_where_they_should(a, b, t):
    for way in (straight, spherical):
        np.testing.assert_allclose(way(a, b, 0), a, atol=1e-9)
        np.testing.assert_allclose(way(a, b, 1), b, atol=1e-9)
        np.testing.assert_allclose(way(a, b, t), way(b, a, 1 - t), atol=1e-6)
        assert np.isfinite(way(a, b, t)).all()


@given(t=shares)
def test_the_arc_keeps_its_distance_and_its_pace(t):
    a, b = np.array([[3.0, 0, 0]]), np.array([[0, 3.0, 0]])
    point = spherical(a, b, t)
    assert np.linalg.norm(point) == pytest.approx(3)
    assert np.arctan2(point[0, 1], point[0, 0]) == pytest.approx(t * np.pi / 2, abs=1e-9)
    assert np.linalg.norm(spherical(a, 3 * b, 0.5)) == pytest.approx(6), "half-way between the lengths"


def test_codes_without_an_arc_are_joined_by_a_line():
    zero, one = np.zeros((1, 2)), np.ones((1, 2))
    for a, b in [(zero, one), (one, zero), (one, -one), (one, 2 * one)]:
        np.testing.assert_allclose(spherical(a, b, 0.25), straight(a, b, 0.25))
