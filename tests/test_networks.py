"""Every parameter of a network, and its start at PCA."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from torch import nn

from isthmus import Autoencoder, SparseAutoencoder
from isthmus.networks import MLP, Modules
from isthmus.networks.activation import build_activation


def build(network, features=10, units=3):
    torch.manual_seed(0)
    return network.build((features,), units)


def start(model, X):
    """Build the model and start it by the rows, without a step of training."""
    _, source, seed = model._prepare(X, None, reset=True)
    draws = torch.Generator().manual_seed(seed)
    model.module_ = model._new_model(source, draws)
    model._start(model.module_, source, draws)


def linears(module):
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("hidden", [(), (5,), [7, 4], (8, 6, 5, 4)])
def test_hidden_layers_are_mirrored(hidden):
    encoder, decoder = build(MLP(hidden=hidden, linear_path=None))
    widths = [10, *hidden, 3]
    assert [(layer.in_features, layer.out_features) for layer in linears(encoder)] == list(itertools.pairwise(widths))
    assert [layer.out_features for layer in linears(decoder)] == widths[-2::-1]


def test_the_deep_published_network():
    encoder, decoder = MLP(
        hidden=(128, 64, 36, 18), activation="relu", output_activation="sigmoid", linear_path=None
    ).build((784,), 9)
    bare = [784, 128, 64, 36, 18, 9, 18, 36, 64, 128, 784]
    expected = sum((i + 1) * o for i, o in itertools.pairwise(bare))
    assert sum(p.numel() for part in (encoder, decoder) for p in part.parameters()) == expected


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("relu", nn.ReLU),
        ("silu", nn.SiLU),
        ("leaky_relu", nn.LeakyReLU),
        ("Tanh", nn.Tanh),
        ("identity", nn.Identity),
        (None, nn.Identity),
        ("log_sigmoid", nn.LogSigmoid),
    ],
)
def test_activations_by_name(name, cls):
    assert type(build_activation(name)) is cls


def test_an_activation_of_ones_own():
    mine = nn.Softplus(beta=3)
    assert build_activation(mine).beta == 3
    assert build_activation(mine) is not mine


def test_where_the_activations_go():
    encoder, decoder = build(MLP(hidden=(5,), activation="relu", code_activation="sigmoid", output_activation="tanh"))
    x = 9 * torch.randn(50, 10)
    h = encoder(x)
    assert 0 <= h.min() <= h.max() <= 1
    assert decoder(9 * h).abs().max() <= 1
    assert any(isinstance(module, nn.ReLU) for module in encoder.modules())
    assert not any(isinstance(module, nn.SiLU) for module in encoder.modules())


def test_dropout_and_normalization():
    encoder, decoder = build(MLP(hidden=(5, 4), dropout=0.3, normalization="batch"))
    for part in (encoder, decoder):
        assert [m.p for m in part.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
        assert sum(isinstance(m, nn.BatchNorm1d) for m in part.modules()) == 2
    encoder, _ = build(MLP(hidden=(5,), normalization="layer"))
    assert sum(isinstance(m, nn.LayerNorm) for m in encoder.modules()) == 1


@pytest.mark.parametrize("linear_path", ["pca", None])
def test_tied_weights_are_the_same_numbers(linear_path):
    encoder, decoder = build(MLP(hidden=(5, 4), tied=True, linear_path=linear_path))
    assert not any(weight.ndim == 2 for weight in decoder.parameters()), "the decoder has biases alone"
    before = decoder(torch.ones(1, 3))
    with torch.no_grad():
        for weight in encoder.parameters():
            weight += 0.1
    assert not torch.equal(before, decoder(torch.ones(1, 3)))
    first = linears(encoder)[-1 if linear_path is None else 0]
    assert first.out_features == 3


def test_tied_network_by_hand():
    encoder, decoder = build(MLP(hidden=(5,), tied=True, linear_path=None, activation="tanh"))
    w1, w2 = (layer.weight for layer in linears(encoder))
    b1, b2 = decoder.parameters()
    torch.nn.init.normal_(b1)
    torch.nn.init.normal_(b2)
    z = torch.randn(4, 3)
    torch.testing.assert_close(decoder(z), torch.tanh(z @ w2 + b1) @ w1 + b2)


@pytest.mark.parametrize(
    "network", [MLP(), MLP(hidden=()), MLP(hidden=(32,), tied=True), MLP(hidden=(9,), activation="relu")]
)
@pytest.mark.parametrize("k", [1, 5, 64])
def test_training_starts_at_pca(digits, network, k):
    X = digits.reshape(-1, 64).astype(np.float64)
    model = Autoencoder(k, network=network, random_state=0, precision="64-true")
    start(model, X)
    pca = PCA(k).fit(X)
    expected = pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(model.reconstruct(X), expected, atol=2e-4)
    ratio = np.square(X - model.reconstruct(X)).mean() / max(np.square(X - expected).mean(), 1e-6)
    assert ratio < 1 + 1e-6
    if not network.tied and k < 60:
        np.testing.assert_allclose(model.transform(X).std(axis=0), 1, rtol=1e-2)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_start_is_pca_far_from_zero_too(rng, offset, dtype):
    X = (rng.normal(size=(400, 3)) @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(400, 8)) + offset).astype(dtype)
    pca = PCA(2).fit(X.astype(np.float64))
    base = np.square(X - pca.inverse_transform(pca.transform(X.astype(np.float64)))).mean()
    model = Autoencoder(2, lr=1e-12, max_epochs=1, random_state=0).fit(X)
    assert np.square(X - model.reconstruct(X)).mean() == pytest.approx(base, rel=1e-3)


def test_codes_that_are_bent_start_at_their_best_linear_read_out(digits):
    def start_error(sparsity, linear_path):
        model = SparseAutoencoder(32, sparsity=sparsity, network=MLP(linear_path=linear_path), random_state=0)
        start(model, digits)
        return np.square(digits - model.reconstruct(digits)).mean()

    variance = np.square(digits - digits.mean(0)).mean()
    for sparsity in ("kl", "topk"):
        assert start_error(sparsity, "pca") < 0.75 * variance
        assert start_error(sparsity, "random") > start_error(sparsity, "pca")


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_an_output_activation_starts_near_pca(digits, activation):
    def start(**network):
        model = Autoencoder(16, network=MLP(**network), random_state=0, max_epochs=1).fit(digits)
        return model.start_["mse"]

    assert start(output_activation=activation) < 2 * start()


def test_a_bernoulli_model_starts_from_logits(digits):
    model = Autoencoder(8, likelihood="bernoulli", random_state=0, max_epochs=1).fit(digits)
    variance = np.square(digits - digits.mean(0)).mean()
    assert model.start_["mse"] < 0.5 * variance


def test_linear_path_random_has_the_path_but_not_the_start(digits):
    start = {}
    for path in ("pca", "random", None):
        model = Autoencoder(16, network=MLP(linear_path=path), random_state=0, max_epochs=1).fit(digits)
        start[path] = model.start_["mse"]
        assert (model.module_.encoder.path.linear is not None) == (path is not None)
    assert start["pca"] < 0.02 < min(start["random"], start[None])


def test_far_away_rows_are_left_to_the_linear_path(table):
    model = Autoencoder(2, random_state=0, max_epochs=20).fit(table)
    far = 1e6 * np.ones((1, table.shape[1]), np.float32)
    deep = model.module_.encoder.path.deep(torch.full((1, 6), 8.0))
    linear = model.module_.encoder.path.linear(torch.full((1, 6), 1e6))
    assert deep.abs().max() < 1e-2 * linear.abs().max()
    assert np.isfinite(model.reconstruct(far)).all()


class TestModules:
    def make(self, code=4):
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, code))
        decoder = nn.Sequential(nn.Linear(code, 64), nn.Unflatten(1, (8, 8)))
        return Modules(encoder, decoder)

    def test_trains_copies(self, digits):
        network = self.make()
        before = {name: weight.clone() for name, weight in network.encoder.state_dict().items()}
        model = Autoencoder(4, network=network, random_state=0, max_epochs=3).fit(digits)
        assert all(torch.equal(before[name], weight) for name, weight in network.encoder.state_dict().items())
        assert model.history_[-1]["train"]["mse"] < model.start_["mse"]
        assert model.reconstruct(digits).shape == digits.shape

    def test_what_is_shared_stays_shared(self, digits, tmp_path):
        import isthmus

        class Transposed(nn.Module):
            def __init__(self, layer):
                super().__init__()
                self.layer = layer

            def forward(self, z):
                return z @ self.layer.weight

        layer = nn.Linear(64, 4)
        network = clone(Modules(layer, Transposed(layer)))
        assert network.decoder.layer is network.encoder
        X = digits.reshape(-1, 64)
        model = Autoencoder(4, network=network, max_epochs=2).fit(X)
        assert model.module_.decoder.layer is model.module_.encoder
        model.save(tmp_path / "shared")
        again = isthmus.load(tmp_path / "shared", network=network)
        np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))

    def test_is_shown_rows_in_their_own_shape(self, digits):
        seen = []

        class Spy(nn.Flatten):
            def forward(self, x):
                seen.append(x.shape[1:])
                return super().forward(x)

        network = self.make()
        network.encoder[0] = Spy()
        Autoencoder(4, network=network, max_epochs=1).fit(digits)
        assert set(seen) == {(8, 8)}

    def test_is_loaded_into_the_same_modules(self, digits, tmp_path):
        import isthmus

        model = Autoencoder(4, network=self.make(), random_state=0, max_epochs=1).fit(digits)
        model.save(tmp_path / "own")
        with pytest.raises(ValueError, match=r"load\(folder, network=...\)"):
            isthmus.load(tmp_path / "own")
        again = isthmus.load(tmp_path / "own", network=self.make())
        np.testing.assert_array_equal(again.transform(digits), model.transform(digits))
        with pytest.raises(ValueError, match="does not describe a model"):
            isthmus.load(tmp_path / "own", network=self.make(code=5))

    def test_sizes_that_do_not_fit(self, digits):
        with pytest.raises(ValueError, match=r"codes of shape \(4,\), but n_components=5"):
            Autoencoder(5, network=self.make()).fit(digits)
        with pytest.raises(ValueError, match=r"rows of shape \(8, 8\), but X has \(64,\)"):
            Autoencoder(4, network=self.make()).fit(digits.reshape(-1, 64))
