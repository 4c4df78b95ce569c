"""Filling in against closed forms: least squares for PCA, the conditional mean for probabilistic PCA."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isthmus import Autoencoder, VariationalAutoencoder, datasets
from isthmus.networks import MLP

SETTING = {"network": MLP(hidden=()), "lr": 1e-12, "max_epochs": 1, "validation_fraction": None, "random_state": 0}


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(500, 6)) - 3


def with_gaps(X, share=0.3, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def test_pca_is_fitted_to_what_is_known(plane):
    model, pca = Autoencoder(2, **SETTING).fit(plane), PCA(2).fit(plane)
    X = with_gaps(plane[:60])
    X = X[np.isfinite(X).sum(1) >= 4]
    filled = model.impute(X, n_iter=1500)
    for row, known, rebuilt in zip(X, np.isfinite(X), filled, strict=True):
        axes = pca.components_[:, known].T
        code = np.linalg.lstsq(axes, row[known] - pca.mean_[known], rcond=None)[0]
        np.testing.assert_allclose(rebuilt[~known], (pca.mean_ + code @ pca.components_)[~known], atol=0.05)


def test_probabilistic_pca_gives_the_conditional_mean(plane):
    model, pca = VariationalAutoencoder(2, **SETTING).fit(plane), PCA(2).fit(plane)
    covariance = pca.get_covariance()
    X = with_gaps(plane[:60])
    X = X[np.isfinite(X).any(1)]
    filled = model.impute(X)
    for row, known, rebuilt in zip(X, np.isfinite(X), filled, strict=True):
        gain = covariance[np.ix_(~known, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
        expected = pca.mean_[~known] + gain @ (row[known] - pca.mean_[known])
        np.testing.assert_allclose(rebuilt[~known], expected, atol=0.01)


def test_the_best_turn_is_kept(digits):
    """An over-complete model's turns lead nowhere; more of them must not make it worse than a few."""
    model = Autoencoder(64, corruption="masking", corruption_level=0.5, random_state=0, max_epochs=20).fit(digits)
    test = datasets.load("digits", "test").X
    X = with_gaps(test, 0.5).astype(np.float32)
    gaps = np.isnan(X)
    errors = [np.square(model.impute(X, n_iter=n) - test)[gaps].mean() for n in (1, 20, 200)]
    assert max(errors) < np.square(digits.mean(0) - test)[gaps].mean()


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder])
def test_images_are_filled_better_than_by_the_mean(digits, family):
    model = family(10, random_state=0, max_epochs=30).fit(digits)
    test = datasets.load("digits", "test").X
    half = np.zeros((8, 8), bool)
    half[:4] = True
    share = 0.9 if family is Autoencoder else 0.75
    for gaps in (np.isnan(with_gaps(test, 0.5)), np.broadcast_to(half, test.shape)):
        filled = model.impute(test, gaps)
        assert np.square(filled - test)[gaps].mean() < share * np.square(digits.mean(0) - test)[gaps].mean()


def test_a_mask_of_one_row_is_for_all(digits):
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(digits)
    half = np.zeros((8, 8), bool)
    half[:4] = True
    X, all_halves = digits[:50], np.broadcast_to(half, (50, 8, 8))
    np.testing.assert_array_equal(model.impute(X, half), model.impute(X, all_halves))
    np.testing.assert_array_equal(model.impute(X, half.ravel()), model.impute(X, half))


def test_bytes_are_filled_in_as_shares(digits):
    X = (255 * digits).round().astype(np.uint8)
    model = Autoencoder(4, max_epochs=1, random_state=0).fit(X)
    mask = np.zeros((8, 8), bool)
    mask[2] = True
    filled = model.impute(X, mask)
    np.testing.assert_array_equal(filled[:, ~mask], (X.astype(np.float32) / 255)[:, ~mask])
