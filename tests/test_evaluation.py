"""Each measure against a case whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from isthmus.core.model import Model
from isthmus.evaluation.error import corrupted, mean_squared_error
from isthmus.evaluation.jacobian import mean_jacobian_norm
from isthmus.evaluation.probe import linear_probe_accuracy, nearest_neighbour_accuracy
from isthmus.evaluation.sparsity import hoyer_sparsity


def test_mean_squared_error():
    assert mean_squared_error(np.zeros((2, 2, 2)), np.full((2, 4), 3.0)) == 9


def test_hoyer_sparsity():
    assert hoyer_sparsity(np.eye(7)) == pytest.approx(1)
    assert hoyer_sparsity(np.ones((3, 7))) == pytest.approx(0)
    assert hoyer_sparsity(-np.eye(7)) == pytest.approx(1)
    assert np.isnan(hoyer_sparsity(np.ones((3, 1))))
    assert np.isfinite(hoyer_sparsity(np.zeros((3, 4))))


def test_jacobian_of_a_linear_encoder_is_its_matrix():
    encoder = nn.Linear(6, 3).double()
    model = Model(encoder, nn.Linear(3, 6).double())
    rows = np.random.default_rng(0).normal(size=(40, 6))
    assert mean_jacobian_norm(model, rows) == pytest.approx(torch.linalg.matrix_norm(encoder.weight).item())


def test_probes_see_what_is_there(rng):
    y = rng.integers(0, 3, 300)
    codes = np.eye(3)[y] + 0.1 * rng.normal(size=(300, 3))
    noise = rng.normal(size=(300, 3))
    for accuracy in (linear_probe_accuracy, nearest_neighbour_accuracy):
        assert accuracy(codes[:200], y[:200], codes[200:], y[200:]) > 0.95
        assert accuracy(noise[:200], y[:200], noise[200:], y[200:]) < 0.55
    ring = np.column_stack([np.cos(rng.uniform(0, 7, 300)), np.sin(rng.uniform(0, 7, 300))]) * (
        1 + 2 * (y[:, None] > 0)
    )
    assert nearest_neighbour_accuracy(ring[:200], y[:200] > 0, ring[200:], y[200:] > 0) > linear_probe_accuracy(
        ring[:200], y[:200] > 0, ring[200:], y[200:] > 0
    )


def test_corrupted_rows_are_the_same_each_time():
    rows = np.ones((50, 4, 4), np.float32)
    first = corrupted(rows, "masking", 0.3)
    np.testing.assert_array_equal(first, corrupted(rows, "masking", 0.3))
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.05)
    assert first.dtype == np.float32
