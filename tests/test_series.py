"""Windows from long series, and the way back to the time axis."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data import on_time_axis, windows


def test_windows_by_hand():
    np.testing.assert_array_equal(windows(np.arange(5), 3), [[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    np.testing.assert_array_equal(windows(np.arange(5), 3, stride=2), [[0, 1, 2], [2, 3, 4]])
    np.testing.assert_array_equal(windows(np.arange(6), 3, stride=2), [[0, 1, 2], [2, 3, 4], [3, 4, 5]])
    np.testing.assert_array_equal(windows(pd.Series([1.5, 2.5]), 2), [[1.5, 2.5]])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 15), st.integers(1, 3))
def test_windows_and_back(n_steps, length, stride, features):
    length = min(length, n_steps)
    series = np.random.default_rng(0).normal(size=(n_steps, features)).astype(np.float32)
    cut = windows(series, length, stride)
    assert cut.shape[1:] == (length, features)
    assert cut.dtype == np.float32
    back = on_time_axis(cut, n_steps, stride)
    covered = np.zeros(n_steps, bool)
    for start in [*range(0, n_steps - length + 1, stride), n_steps - length]:
        covered[start : start + length] = True
    assert covered.all() or stride > length
    np.testing.assert_allclose(back[covered], series[covered], rtol=1e-6)
    assert np.isnan(back[~covered]).all()
    np.testing.assert_array_equal(on_time_axis(cut[:, :, 0], n_steps, stride), back[:, 0])


def test_windows_are_a_copy():
    series = np.zeros(10)
    windows(series, 5)[:] = 1
    assert not series.any()


def test_the_mean_is_over_the_windows_that_have_a_value():
    values = np.array([[1.0, 2.0, np.nan], [4.0, np.nan, np.nan]])
    np.testing.assert_array_equal(on_time_axis(values, 4), [1, 3, np.nan, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows(np.zeros(5), 6), "the series has 5 steps, fewer than a window of 6"),
        (lambda: windows(np.zeros((5, 2, 2)), 2), "the series has the shape"),
        (lambda: windows(np.zeros(5), 0), "length == 0, must be >= 1"),
        (lambda: windows(np.zeros(5), 2, 0), "stride == 0, must be >= 1"),
        (lambda: on_time_axis(np.zeros((3, 2)), 5), "values is of 3 windows, and a series of 5 steps has 4"),
        (lambda: on_time_axis(np.zeros(3), 5), "values has the shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
