"""Each measure against a case whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from isthmus.core.model import Model
from isthmus.evaluation.error import corrupted, mean_squared_error
from isthmus.evaluation.imputation import hidden_entries, imputation_errors
from isthmus.evaluation.jacobian import mean_jacobian_norm
from isthmus.evaluation.probe import linear_probe_accuracy, nearest_neighbour_accuracy
from isthmus.evaluation.retrieval import nearest_by_code
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
    assert np.isnan(first).mean() == pytest.approx(0.3, abs=0.05), "what is hidden is missing"
    assert first.dtype == np.float32


class TestNearestByCode:
    def test_the_slow_way_agrees(self, rng):
        codes, queries = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
        found = nearest_by_code(codes, queries, 7)
        distances = np.linalg.norm(queries[:, None] - codes, axis=2)
        np.testing.assert_array_equal(found.rows, distances.argsort(1)[:, :7])
        np.testing.assert_allclose(found.distances, np.sort(distances, 1)[:, :7])

    def test_no_row_is_its_own_neighbour(self, rng):
        codes = rng.normal(size=(40, 3))
        own = np.array([3, 39, 0])
        found = nearest_by_code(codes, codes[own], 5, own)
        apart = np.linalg.norm(codes[own][:, None] - codes, axis=2)
        apart[np.arange(3), own] = np.inf
        np.testing.assert_array_equal(found.rows, apart.argsort(1)[:, :5])

    def test_twins_are_neighbours(self):
        found = nearest_by_code(np.zeros((6, 2)), np.zeros((6, 2)), 3, np.arange(6))
        assert found.rows.shape == (6, 3)
        assert not (found.rows == np.arange(6)[:, None]).any()

    @pytest.mark.parametrize(("k", "own"), [(0, None), (5, None), (4, np.arange(4))])
    def test_too_many_are_asked_for(self, k, own):
        with pytest.raises(ValueError, match=f"{k} neighbours among 4 rows: there are from 1 to"):
            nearest_by_code(np.eye(4), np.eye(4), k, own)


class TestHiddenEntries:
    @pytest.mark.parametrize("block", [False, True])
    def test_the_share(self, block):
        for shape in ((500, 20, 20), (500, 3, 16, 20), (500, 40)):
            hidden = hidden_entries(shape, 0.3, block=block)
            assert hidden.shape == shape
            assert abs(hidden.mean() - 0.3) < 0.03
        assert (hidden_entries((9, 3, 8, 8), 0.3, block=block).std(1) == 0).all(), "all colours of a pixel alike"
        assert not np.array_equal(hidden, hidden_entries((500, 40), 0.3, block=block, seed=1))

    def test_a_block_is_one(self):
        runs = np.diff(hidden_entries((100, 30), 0.4, block=True).astype(int), axis=1)
        assert (np.abs(runs).sum(1) <= 2).all()

    def test_the_errors_are_of_what_was_hidden_and_known(self):
        rows = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
        hidden = np.array([[True, False, True], [False, False, True]])
        filled = np.array([[3.0, 9.0, 9.0], [9.0, 9.0, 6.0]])
        assert imputation_errors(rows, filled, np.zeros(3), hidden) == (2.5, 13)
