"""Gaussian codes: the two terms, the bound, the likelihood, the start, what is generated."""

import contextlib

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.distributions import Normal, kl_divergence

from isthmus import MultimodalAutoencoder, OutlierDetector, VariationalAutoencoder
from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck, active_units, unit_kl
from isthmus.core.penalties.base import Forward
from isthmus.core.penalties.free_bits import free_bits
from isthmus.networks import MLP, Conv

LINEAR = MLP(hidden=())


@pytest.fixture(scope="module")
def plane():
    """2,000 rows of a plane in 8 dimensions with noise of deviation 0.3, of which probabilistic PCA knows all."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 8)) + 0.3 * rng.normal(size=(2000, 8)) + 5


def started(X, k=2, **params):
    """A linear model that has not moved from its start."""
    setting = {"network": LINEAR, "lr": 1e-12, "max_epochs": 1, "validation_fraction": None, "random_state": 0}
    return VariationalAutoencoder(k, **setting | params).fit(X)


def test_kl_is_that_of_two_normals():
    h = torch.randn(20, 6)
    code = GaussianBottleneck()(h)
    expected = kl_divergence(Normal(h[:, :3], (h[:, 3:] / 2).exp()), Normal(0, 1)).sum(1)
    torch.testing.assert_close(code.terms["kl"], expected)
    assert torch.equal(code.z, h[:, :3]), "without a generator nothing is drawn"
    assert torch.equal(code.mean, h[:, :3])


def test_draws_have_the_moments_they_should():
    h = torch.tensor([[1.0, -2.0, 0.0, 2.0]]).expand(100_000, -1)
    z = GaussianBottleneck()(h, torch.Generator().manual_seed(0)).z
    torch.testing.assert_close(z.mean(0), torch.tensor([1.0, -2.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, np.e]), atol=0.05, rtol=0)


def test_free_bits_lift_each_unit_to_the_floor():
    h = torch.randn(50, 8)
    code = GaussianBottleneck()(h)
    per_unit = unit_kl(code.mean, code.log_variance).mean(0)
    term = free_bits(Forward(None, [], None, code), nats=0.8)
    torch.testing.assert_close(code.terms["kl"].mean() + term, per_unit.clamp(min=0.8).sum())


def test_active_units():
    mean = torch.zeros(100, 3)
    mean[:, 0] = torch.linspace(-1, 1, 100)
    mean[:, 1] = 0.09 * torch.linspace(-1, 1, 100)
    assert int(active_units(mean)) == 1
    assert Code(mean, mean, {}).log_variance is None


class TestAgainstProbabilisticPCA:
    """A linear variational autoencoder at its optimum is probabilistic PCA, and scikit-learn has its likelihood."""

    def test_the_start(self, plane):
        model, pca = started(plane), PCA(2).fit(plane)
        np.testing.assert_allclose(model.sigma_**2, pca.noise_variance_, rtol=2e-2)
        np.testing.assert_allclose(model.log_likelihood(plane, 10), pca.score_samples(plane), atol=0.05)
        np.testing.assert_allclose(model.score_samples(plane).mean(), pca.score(plane), atol=0.05)
        covariance = np.cov(model.sample(200_000, noise=True, random_state=0).T)
        np.testing.assert_allclose(covariance, pca.get_covariance(), atol=0.03 * covariance.max())

    def test_training_from_a_random_start_finds_it(self, plane):
        network = MLP(hidden=(), linear_path="random")
        model = VariationalAutoencoder(2, network=network, max_epochs=60, lr=0.02, random_state=0).fit(plane)
        assert model.score(plane) == pytest.approx(PCA(2).fit(plane).score(plane), abs=0.1)
        assert model.sigma_ == pytest.approx(0.3, abs=0.02)

    def test_a_given_sigma(self, plane):
        model = started(plane, sigma=0.5)
        assert model.sigma_ == 0.5
        W, noise = model.module_.decoder.path.linear.weight * model.module_.decoder.scale, 0.25
        values = np.linalg.eigvalsh(np.cov(plane.T))[::-1]
        # The optimum for a given noise: ‖w_j‖² = λ_j − σ² (Tipping & Bishop 1999, eq. 7).
        np.testing.assert_allclose((W.detach().square().sum(0)).numpy(), values[:2] - noise, rtol=2e-2)

    def test_the_start_with_more_features_than_rows(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 400)) + 0.5 * rng.normal(size=(40, 400))
        values = np.linalg.eigvalsh(np.cov(X.T))[::-1]
        model = started(X, sigma="learned")
        noise = values[2:].sum() / 398  # the maximum-likelihood estimate (Tipping & Bishop 1999, eq. 8)
        with torch.no_grad():
            log_variance = model.module_.encode(Batch(torch.tensor(X))).log_variance
        np.testing.assert_allclose(log_variance[0].exp(), noise / values[:2], rtol=2e-2)

    def test_without_the_kl_term(self, plane):
        model = VariationalAutoencoder(2, beta=0, max_epochs=3, random_state=0).fit(plane)
        assert np.isfinite(model.history_[-1]["train"]["loss"])

    @pytest.mark.parametrize("beta", [0.25, 4.0])
    def test_beta_is_noise_that_the_code_sees(self, plane, beta):
        model = started(plane, sigma=0.3, beta=beta)
        values = np.linalg.eigvalsh(np.cov(plane.T))[::-1]
        with torch.no_grad():
            log_variance = model.module_.encode(Batch(torch.tensor(plane))).log_variance
        np.testing.assert_allclose(log_variance[0].exp(), beta * 0.09 / values[:2], rtol=2e-2)

    def test_a_unit_without_news_starts_at_the_prior(self, plane):
        model = started(plane, k=4, sigma=0.5)
        with torch.no_grad():
            code = model.module_.encode(Batch(torch.tensor(plane)))
        assert model.active_units_ == 2
        np.testing.assert_allclose(code.log_variance[:, 2:], 0, atol=1e-6)

    def test_log_likelihood_by_importance_sampling(self, plane):
        """With an encoder that is wrong the bound is loose, and importance sampling makes up for it."""
        X = plane[:300]
        model, exact = started(plane), PCA(2).fit(plane).score_samples(X)
        with torch.no_grad():
            bias = model.module_.encoder.path.linear.bias
            bias[:2] += 0.2
            bias[2:] += 1.0
        estimates = [model.log_likelihood(X, n).mean() for n in (1, 10, 100, 2000)]
        assert estimates == sorted(estimates)
        assert exact.mean() - estimates[0] > 0.5
        assert estimates[-1] == pytest.approx(exact.mean(), abs=0.05)
        assert model.score(X) == pytest.approx(estimates[0], abs=0.3), "one draw is a draw of the bound"

    def test_of_rows_with_gaps_what_is_known_counts(self, plane):
        X = plane.copy()
        X[:, 6:] = np.nan
        pca = PCA(2).fit(plane)
        known = torch.distributions.MultivariateNormal(
            torch.tensor(pca.mean_[:6]), torch.tensor(pca.get_covariance()[:6, :6])
        )
        model = started(plane)
        estimate = model.log_likelihood(X[:200], 3000).mean()
        assert estimate == pytest.approx(known.log_prob(torch.tensor(X[:200, :6])).mean().item(), abs=0.1)


@pytest.mark.parametrize("network", [None, MLP(hidden=(32,), linear_path=None), Conv()])
def test_far_away_rows_have_scores_and_low_ones(digits, network):
    model = VariationalAutoencoder(8, network=network, max_epochs=15, random_state=0)
    detector = OutlierDetector(model).fit(digits)
    for factor in (10, 1e3, 1e4):
        far = digits[:20] * np.float32(factor)
        assert np.isfinite(detector.score_samples(far)).all()
        assert np.isfinite(detector.autoencoder_.log_likelihood(far, 3)).all()
        assert (detector.predict(far) == -1).all()


def test_score_is_the_same_alone_and_in_company(digits):
    model = VariationalAutoencoder(4, max_epochs=2, random_state=0).fit(digits)
    np.testing.assert_allclose(model.score_samples(digits[:3]), model.score_samples(digits)[:3], rtol=1e-5)
    assert (model.score_samples(digits) <= model.log_likelihood(digits, 500) + 0.5).all()


def test_the_score_is_the_bound_that_many_draws_give(digits):
    model = VariationalAutoencoder(16, max_epochs=10, random_state=0).fit(digits)
    x, generator = Batch(torch.tensor(digits)), torch.Generator().manual_seed(1)
    with torch.no_grad():
        terms = [model.module_(x, generator=generator).terms for _ in range(100)]
    bound = -np.mean([term["reconstruction"].numpy() + term["kl"].numpy() for term in terms])
    assert model.score(digits) == pytest.approx(bound, abs=0.06)


@pytest.mark.parametrize("units", [8, 20, 40])
def test_of_a_linear_decoder_the_bound_is_exact(digits, units):
    """E ‖x − V z − b‖² = ‖x − V μ − b‖² + Σ_j s_j² ‖V_j‖², entry by entry, for codes of any width."""
    model = started(digits[:300], units, precision="64-true")
    X = digits[:20].astype(float)
    with torch.no_grad():
        code = model.module_.encode(Batch(torch.tensor(X)))
        mean = model.module_.decode(code.mean).mean.flatten(1).numpy()
    codes = np.vstack([np.zeros(units), np.eye(units)])
    decoded = model.inverse_transform(codes).reshape(units + 1, -1)
    V = decoded[1:] - decoded[0]
    error = np.square(X.reshape(20, -1) - mean) + code.log_variance.exp().numpy() @ np.square(V)
    expected = -0.5 * error / model.sigma_**2 - np.log(model.sigma_) - 0.5 * np.log(2 * np.pi)
    excess = expected - model.module_.usual.flatten().numpy()
    np.testing.assert_allclose(model.score_samples(X, per_feature=True).reshape(20, -1), excess, atol=1e-5)
    np.testing.assert_allclose(model.score_samples(X), expected.sum(1) - code.terms["kl"].numpy(), atol=1e-4)


def test_a_wide_code_of_modalities_has_its_bound(digits):
    """By a product of experts too: the mean over whole bases is that over many draws."""
    X = {"upper": digits[:300, :4], "lower": digits[:300, 4:]}
    model = MultimodalAutoencoder(40, fusion="product_of_experts", max_epochs=8, random_state=0).fit(X)
    rows, generator = Batch(torch.tensor(digits[:300].reshape(300, -1))), torch.Generator().manual_seed(1)
    with torch.no_grad():
        terms = [model.module_(rows, generator=generator).terms for _ in range(300)]
    bounds = -np.array([float(sum(term.mean() for term in each.values())) for each in terms])
    error = bounds.std() / len(bounds) ** 0.5
    assert model.score(X) == pytest.approx(bounds.mean(), abs=4 * error)
    assert error < 0.03, "which is tight"


def test_the_warm_up_of_beta(digits):
    setting = {"network": MLP(hidden=(32,)), "max_epochs": 6, "random_state": 0, "beta": 2.0}
    model = VariationalAutoencoder(4, beta_warm_up=4, **setting).fit(digits)
    for record, weight in zip(model.history_, (0, 0.5, 1.0, 1.5, 2.0, 2.0), strict=True):
        train, held_out = record["train"], record["validation"]
        assert train["loss"] == pytest.approx(train["reconstruction"] + weight * train["kl"], rel=1e-4)
        assert held_out["loss"] == pytest.approx(held_out["reconstruction"] + 2 * held_out["kl"], rel=1e-4)


def test_the_history_has_the_terms_apart(digits):
    model = VariationalAutoencoder(6, free_bits=0.5, beta=3.0, max_epochs=2, random_state=0).fit(digits)
    part = model.history_[-1]["train"]
    assert set(part) == {"reconstruction", "kl", "free_bits", "loss", "mse", "active_units"}
    assert part["loss"] == pytest.approx(part["reconstruction"] + 3 * (part["kl"] + part["free_bits"]), rel=1e-4)
    assert 0 < part["active_units"] <= 6


def test_a_warm_start_has_the_whole_of_beta(digits):
    model = VariationalAutoencoder(4, beta_warm_up=5, warm_start=True, max_epochs=1, random_state=0).fit(digits)
    first = model.history_[-1]["train"]
    assert first["loss"] == pytest.approx(first["reconstruction"], rel=1e-6)
    again = model.fit(digits).history_[-1]["train"]
    assert again["loss"] == pytest.approx(again["reconstruction"] + again["kl"], rel=1e-5)


def test_free_bits_and_beta_move_the_kl(digits):
    def kl(**params):
        model = VariationalAutoencoder(8, sigma=1.0, network=MLP(hidden=(64,)), max_epochs=20, random_state=0, **params)
        with pytest.warns(UserWarning, match="collapsed") if not params else contextlib.nullcontext():
            return model.fit(digits).history_[-1]["train"]["kl"]

    # Against a noise of deviation 1, pixels in [0, 1] are not worth a nat.
    collapsed, free, low = kl(), kl(free_bits=0.25), kl(beta=0.05)
    assert collapsed < 0.1
    assert free > 1.0
    assert low > 1.0


def test_a_learnt_sigma_spares_the_guess(digits):
    model = VariationalAutoencoder(8, max_epochs=10, random_state=0).fit(digits)
    assert model.active_units_ == 8
    mse = np.square(digits - model.reconstruct(digits)).mean()
    assert model.sigma_ == pytest.approx(mse**0.5, rel=0.2)


def test_a_learnt_sigma_has_a_floor():
    X = np.outer(np.linspace(-1, 1, 100), np.ones(4))
    model = VariationalAutoencoder(2, max_epochs=30, random_state=0).fit(X)
    assert 0 < model.sigma_ < 0.01
    assert np.isfinite(model.score(X))


def test_samples_look_like_rows(digits):
    model = VariationalAutoencoder(10, likelihood="bernoulli", random_state=0, max_epochs=30).fit(digits)
    samples = model.sample(500, random_state=0)
    assert samples.shape == (500, 8, 8)
    assert samples.dtype == np.float32
    assert 0 <= samples.min() <= samples.max() <= 1
    np.testing.assert_array_equal(samples, model.sample(500, random_state=0))
    assert not np.array_equal(samples, model.sample(500, random_state=1))
    assert set(np.unique(model.sample(5, noise=True, random_state=0))) == {0.0, 1.0}
    # Nearer to real digits than noise with the digits' own mean and spread a pixel is.
    rng = np.random.default_rng(0)
    independent = np.clip(digits.mean(0) + digits.std(0) * rng.normal(size=(500, 8, 8)), 0, 1)

    def to_nearest(rows):
        squared = np.square(rows.reshape(-1, 1, 64) - digits.reshape(1, -1, 64)).sum(2)
        return np.median(squared.min(1))

    assert to_nearest(samples) < 0.5 * to_nearest(independent)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"sparsity": "topk"}, "no meaning for a Gaussian code"),
        ({"sparsity": "kl"}, "no meaning for a Gaussian code"),
        ({"network": MLP(code_activation="tanh")}, "leave code_activation=None"),
        ({"network": MLP(tied=True)}, "tied"),
        ({"beta": -1}, "beta == -1"),
        ({"beta_warm_up": 1.5}, "beta_warm_up"),
        ({"free_bits": -0.1}, "free_bits"),
        ({"sigma": 0}, "sigma == 0"),
        ({"sigma": np.nan}, "sigma == nan, must be finite"),
        ({"beta": np.inf}, "beta == inf, must be finite"),
        ({"free_bits": np.nan}, "free_bits == nan"),
        ({"sigma": 0.5, "likelihood": "bernoulli"}, "no meaning for likelihood='bernoulli'"),
        ({"sigma": "learn"}, "did you mean 'learned'"),
    ],
)
def test_what_has_no_meaning(digits, params, match):
    with pytest.raises((ValueError, TypeError), match=match):
        VariationalAutoencoder(4, max_epochs=1, **params).fit(digits)


def test_arguments_without_a_meaning(digits):
    model = VariationalAutoencoder(4, max_epochs=1, random_state=0).fit(digits)
    with pytest.raises(ValueError, match="n_samples == 0"):
        model.sample(0)
    with pytest.raises(ValueError, match="n_importance_samples == 0"):
        model.log_likelihood(digits, 0)
