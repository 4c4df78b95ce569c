"""Images of any size, kept as images, by every family."""

from functools import partial

import numpy as np
import pytest

import isthmus
from isthmus import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from isthmus.networks import Conv

FAMILIES = {
    "plain": Autoencoder,
    "denoising": DenoisingAutoencoder,
    "hiding blocks": partial(DenoisingAutoencoder, corruption="block"),
    "sparse, top-k": partial(SparseAutoencoder, n_components=8),
    "sparse, KL": partial(SparseAutoencoder, n_components=8, sparsity="kl"),
    "contractive": ContractiveAutoencoder,
    "variational": VariationalAutoencoder,
    "conditional": ConditionalVariationalAutoencoder,
    "Bernoulli, batch normalisation": partial(
        VariationalAutoencoder, likelihood="bernoulli", network=Conv(normalization="batch")
    ),
    "enlarged, not transposed": partial(Autoencoder, network=Conv(upsampling="bilinear", pool="max", stride=1)),
}


def images(shape, n=40):
    """Smooth images in [0, 1]: two gradients, mixed by two numbers of each image's own."""
    rng = np.random.default_rng(0)
    height, width = np.meshgrid(*(np.linspace(0, 1, side) for side in shape[-2:]), indexing="ij")
    weights = rng.random((n, *shape[:-2], 2, 1, 1))
    return (weights[..., 0, :, :] * height * 0.6 + weights[..., 1, :, :] * width * 0.4).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 17, 23), (3, 64, 48), (9, 14)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_size_comes_out(family, shape, tmp_path):
    X, y = images(shape), np.arange(40) % 3
    model = FAMILIES[family](max_epochs=1, random_state=0)
    if model.network is None:
        model.set_params(network=Conv(channels=(4, 8)))
    model.fit(X, y)
    codes = model.transform(X)
    assert codes.shape == (40, model.n_components)
    assert np.isfinite(codes).all()
    assert model.reconstruct(X).shape == model.inverse_transform(codes).shape == X.shape
    assert model.impute(X[:3], np.broadcast_to(np.arange(shape[-1]) < 3, shape), n_iter=3).shape == X[:3].shape
    if hasattr(model, "sample"):
        assert model.sample(3, random_state=0).shape == (3, *shape)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(isthmus.load(tmp_path / "model").transform(X), codes)


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, ConditionalVariationalAutoencoder])
def test_a_convolutional_model_starts_at_pca_and_learns(family, digits, digits_labels):
    dense = family(8, max_epochs=1, random_state=0).fit(digits, digits_labels)
    convolutional = family(8, network=Conv(), max_epochs=30, random_state=0).fit(digits, digits_labels)
    assert convolutional.start_["loss"] == pytest.approx(dense.start_["loss"], rel=1e-3)
    assert convolutional.history_[-1]["validation"]["loss"] < convolutional.start_["loss"]


@pytest.mark.parametrize("family", [Autoencoder, VariationalAutoencoder, ConditionalVariationalAutoencoder])
def test_the_feature_map_as_the_code(family, digits, digits_labels):
    network = Conv(channels=(4, 6), dense=False, linear_path=None)
    model = family(24, network=network, max_epochs=3, lr=0.01, random_state=0, sigma=0.1).fit(digits, digits_labels)
    assert model.transform(digits).shape == (1437, 24)
    assert model.history_[-1]["train"]["mse"] < model.history_[0]["train"]["mse"]
    with pytest.raises(ValueError, match="6×2×2 = 24 units: set n_components=24"):
        family(8, network=network).fit(digits, digits_labels)


def test_rows_that_are_no_images(table):
    with pytest.raises(ValueError, match=r"Conv needs images"):
        Autoencoder(2, network=Conv()).fit(table)


def test_a_pixel_is_hidden_in_all_its_colours():
    X = images((3, 9, 8))
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(X)
    hidden = np.zeros((9, 8), bool)
    hidden[:4] = True
    filled = model.impute(X, hidden)
    np.testing.assert_array_equal(filled, model.impute(X, np.broadcast_to(hidden, X.shape)))
    assert (filled[:, :, :4] != X[:, :, :4]).mean() > 0.9
    with pytest.raises(ValueError, match="mask has the shape"):
        model.impute(X, hidden.T)


def test_unusual_images_are_found(digits):
    detector = OutlierDetector(Autoencoder(8, network=Conv(), max_epochs=5, random_state=0), contamination=0.05)
    detector.fit(digits)
    assert detector.score_samples(1 - digits).mean() < detector.score_samples(digits).mean()
