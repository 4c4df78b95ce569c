"""What likelihoods, bottlenecks and priors declare of themselves, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Prior
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck, StandardNormal
from isthmus.core.bottlenecks.soft_threshold import SoftThreshold
from isthmus.core.bottlenecks.top_k import TopK
from isthmus.core.bound import elbo, importance_log_likelihood, kl
from isthmus.core.imputation import explain
from isthmus.core.likelihoods import LIKELIHOODS, build_likelihood
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood
from isthmus.core.likelihoods.gaussian import LEAST_SIGMA, GaussianLikelihood
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.likelihoods.standardised import StandardisedLikelihood
from isthmus.core.likelihoods.unmodelled import UnmodelledLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.core.sigma import set_floors, set_sigmas


class Wide(Prior):
    """N(0, 2²), whose KL is not told in closed form."""

    def sample(self, n, units, generator):
        return 2 * torch.as_tensor(generator.standard_normal((n, units))).float()

    def log_prob(self, z):
        return Normal(0, 2).log_prob(z).sum(1)


def linear_model(prior=None, units=2, features=3):
    torch.manual_seed(0)
    parts = Parts(bottleneck=GaussianBottleneck(prior or StandardNormal()), likelihood=GaussianLikelihood(0.5))
    return Model(torch.nn.Linear(features, 2 * units), torch.nn.Linear(units, features), parts).double()


class TestLikelihoods:
    def test_parameters_of_an_entry(self):
        several = CategoricalLikelihood.of_sizes((3, 2))
        assert several.n_params == (3, 2)
        assert several.width(2) == 5
        assert several.support == (0, 2)
        scaled = StandardisedLikelihood(GaussianLikelihood(), torch.zeros(2), torch.ones(2))
        assert [each.width(4) for each in (GaussianLikelihood(), BernoulliLikelihood(), scaled)] == [4, 4, 4]
        assert UnmodelledLikelihood().width(4) == 0
        product = ProductLikelihood([Block("a", several, 2), Block("b", BernoulliLikelihood(), None)])
        assert product(torch.zeros(1, 9)).sizes == (2, 4)

    def test_names_and_support(self):
        assert {name: kind.support for name, kind in LIKELIHOODS.items()} == {
            "gaussian": (-math.inf, math.inf),
            "bernoulli": (0, 1),
        }
        assert build_likelihood("gaussian", 0.3).sigma == build_likelihood("gaussian", 0.3).fixed == 0.3
        assert build_likelihood("gaussian", None).fixed is None
        assert build_likelihood("bernoulli", 0.3).sigma is None

    def test_sigma_is_looked_up_in_its_own_units(self):
        scaled = StandardisedLikelihood(GaussianLikelihood(0.5), torch.zeros(2), torch.tensor([3.0, 4.0]))
        assert scaled.sigma.item() == pytest.approx(0.5 * math.sqrt(12.5))
        blocks = [Block("a", BernoulliLikelihood(), 1), Block("b", GaussianLikelihood(0.2), 1)]
        assert ProductLikelihood(blocks).sigma == 0.2
        assert ProductLikelihood(blocks[:1]).sigma is None

    def test_cost_at_mean(self, rng):
        x = torch.tensor(rng.random((50, 4)))
        log_likelihoods = [Normal(mean, 0.3).log_prob(x).sum(1).mean() for mean in (x, x.mean(0))]
        cost = float(log_likelihoods[0] - log_likelihoods[1])
        assert GaussianLikelihood(0.3).cost_at_mean(x) == pytest.approx(cost)
        likeliest = x.var(0, correction=0).mean().sqrt().item()
        assert GaussianLikelihood(None).cost_at_mean(x) == pytest.approx(GaussianLikelihood(likeliest).cost_at_mean(x))
        mean = x.mean(0).expand_as(x)
        expected = torch.distributions.kl_divergence(*(torch.distributions.Bernoulli(p) for p in (x, mean)))
        assert BernoulliLikelihood().cost_at_mean(x) == pytest.approx(expected.sum(1).mean().item())
        labels = torch.tensor([[0.0], [1], [1], [2], [math.nan]], dtype=torch.float64)
        entropy = torch.distributions.Categorical(torch.tensor([0.25, 0.5, 0.25])).entropy().item()
        assert CategoricalLikelihood.of_sizes((3,)).cost_at_mean(labels) == pytest.approx(entropy)
        blocks = [Block("a", GaussianLikelihood(0.3), 4), Block("b", CategoricalLikelihood.of_sizes((3,)), 1)]
        both = torch.cat([x[:5], labels], dim=1)
        parts = GaussianLikelihood(0.3).cost_at_mean(x[:5]) + entropy
        assert ProductLikelihood(blocks).cost_at_mean(both) == pytest.approx(parts)
        scaled = StandardisedLikelihood(GaussianLikelihood(0.3), torch.ones(4), torch.full((4,), 2.0))
        assert scaled.cost_at_mean(x) == pytest.approx(cost / 4)
        assert UnmodelledLikelihood().cost_at_mean(x) == 0

    def test_sigma_begins_at_its_floor_and_is_set_to_the_error(self, rng):
        x = torch.tensor(rng.normal(size=(200, 3)) * 4)
        model = Model(torch.nn.Linear(3, 1), torch.nn.Linear(1, 3), Parts(likelihood=GaussianLikelihood(None))).double()
        with torch.no_grad():
            set_floors(model, Batch(x))
            spread = (x - x.mean(0)).square().mean().sqrt()
            torch.testing.assert_close(model.likelihood.floor, LEAST_SIGMA * spread)
            set_sigmas(model, Batch(x))
            error = (model.decode(model.encode(Batch(x)).z).mean - x).square().mean().sqrt()
        assert model.likelihood.sigma.item() == pytest.approx(error.item())
        assert GaussianLikelihood(0.5).estimated(3) == BernoulliLikelihood().estimated(3) == []

    def test_what_has_no_state_shifts_no_number_in_a_saved_file(self):
        learnt = StandardisedLikelihood(GaussianLikelihood(None), torch.zeros(1), torch.ones(1))
        blocks = [UnmodelledLikelihood(2), CategoricalLikelihood.of_sizes((2,)), learnt, GaussianLikelihood(None)]
        product = ProductLikelihood([Block(str(i), each, 1) for i, each in enumerate(blocks)])
        assert list(product.state_dict()) == [
            "learnt.0.likelihood.log_excess",
            "learnt.0.likelihood.floor",
            "learnt.1.log_excess",
            "learnt.1.floor",
        ]


class TestBottlenecks:
    def test_what_they_say_of_themselves(self):
        point, largest, thin, drawn = kinds = Deterministic(), TopK(2), SoftThreshold(0.1), GaussianBottleneck()
        assert [each.n_params for each in kinds] == [1, 1, 1, 2]
        assert [each.prior for each in kinds] == [None, None, None, StandardNormal()]
        assert [each.is_identity for each in kinds] == [True, False, False, False]
        assert [each.contends for each in kinds] == [False, True, False, False]
        assert [each.is_sparse for each in kinds] == [False, True, True, False]
        assert [each.starts_at_rows(5, 3) for each in kinds] == [False, True, True, False]
        assert [each.starts_at_rows(3, 3) for each in kinds] == [False, True, False, False]
        assert TopK(2) == largest
        assert SoftThreshold(0.1) == thin
        assert point.with_idle_units(point(torch.zeros(2, 2))) is None
        assert drawn.measure(drawn(torch.zeros(3, 4)))["active_units"] == 0

    def test_units_that_are_counted(self):
        held_out, others = [torch.tensor([[0.0, 0.0, 0.5]])], [torch.tensor([[0.0, 1.0, 0.5]])]
        assert Deterministic().stats(held_out, others) == {}
        assert Deterministic(on_by=0).stats(held_out, others) == {"dead_units": 1}
        assert Deterministic(on_by=0.01).stats(held_out, others) == {"dead_units": 2}
        assert TopK(1).stats(held_out, []) == SoftThreshold(0.1).stats(held_out, []) == {"dead_units": 2}
        means = torch.linspace(-1, 1, 100)[:, None] * torch.tensor([1.0, 0.01])
        assert GaussianBottleneck().stats(means.split(7), others) == {"active_units": 1}


class TestPriors:
    def test_the_standard_normal_is_torchs(self, rng):
        prior, z, noise = StandardNormal(), torch.randn(6, 3).double(), torch.randn(6, 3).double()
        log_variance = torch.randn(6, 3).double()
        torch.testing.assert_close(prior.log_prob(z), Normal(0, 1).log_prob(z).sum(1))
        torch.testing.assert_close(
            Prior.log_ratio(prior, z, noise, log_variance), prior.log_ratio(z, noise, log_variance)
        )
        draws = prior.sample(20_000, 2, np.random.RandomState(0))
        assert draws.dtype == torch.float32
        np.testing.assert_array_equal(draws, np.random.RandomState(0).standard_normal((20_000, 2)).astype(np.float32))

    def test_another_one_is_asked_by_the_bound_the_likelihood_and_imputation(self):
        """Of a linear decoder log p(x) and the posterior are known: x ~ N(b, 4 V Vᵀ + σ²)."""
        model = linear_model(Wide())
        x = torch.randn(8, 3).double()
        with torch.no_grad():
            code = model.encode(Batch(x))
            closed = torch.distributions.kl_divergence(Normal(code.mean, (code.log_variance / 2).exp()), Normal(0, 2))
            torch.testing.assert_close(kl(model, code), closed.sum(1))  # which is quadratic, and exact over bases
            V, b = model.decoder.weight, model.decoder.bias
            covariance = 4 * V @ V.T + 0.25 * torch.eye(3).double()
            exact = torch.distributions.MultivariateNormal(b, covariance).log_prob(x)
            assert (elbo(model, Batch(x)) < exact).all()
            model.encoder.weight.zero_()
            model.encoder.bias.copy_(torch.tensor([0.1, -0.1, 1.5, 1.5]))  # wide enough to meet the posterior
            estimate = importance_log_likelihood(model, Batch(x), 20_000, torch.Generator().manual_seed(0))
            torch.testing.assert_close(estimate, exact, atol=0.1, rtol=0)
            observed = torch.tensor([True, True, False]).expand_as(x)
            filled = explain(model, Batch(torch.where(observed, x, 0), None, observed), 50)
            known = (x - b)[:, :2] @ torch.linalg.inv(covariance[:2, :2])
            torch.testing.assert_close(filled[:, 2], b[2] + known @ covariance[:2, 2], atol=1e-3, rtol=0)

    def test_the_term_is_an_estimate_by_the_draw(self):
        h, generator = torch.zeros(50_000, 2), torch.Generator().manual_seed(0)
        term = GaussianBottleneck(Wide())(h, generator).terms["kl"].mean()
        expected = torch.distributions.kl_divergence(Normal(0.0, 1.0), Normal(0.0, 2.0))
        torch.testing.assert_close(term, expected, atol=0.01, rtol=0)
