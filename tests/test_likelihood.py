"""Our distributions against PyTorch's."""

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal

from isthmus.core.likelihoods.bernoulli import Bernoulli, BernoulliLikelihood
from isthmus.core.likelihoods.categorical import CategoricalLikelihood, FactoredSoftmax, PlainSoftmax, one_hot
from isthmus.core.likelihoods.gaussian import Gaussian, GaussianLikelihood
from isthmus.core.likelihoods.product import Block, ProductLikelihood
from isthmus.core.likelihoods.standardised import StandardisedLikelihood
from isthmus.core.likelihoods.unmodelled import UnmodelledLikelihood


def test_gaussian():
    mean, x = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    fit = Gaussian(mean).fit(x)
    torch.testing.assert_close(fit.log_prob, Normal(mean, 1).log_prob(x).sum((1, 2)))
    torch.testing.assert_close(fit.squared_error, (x - mean).square().sum((1, 2)))


@pytest.mark.parametrize("grey", [False, True])
def test_bernoulli(grey):
    logits, x = torch.randn(5, 12), torch.rand(5, 12)
    x = x if grey else x.round()
    fit = Bernoulli(logits).fit(x)
    expected = TorchBernoulli(logits=logits, validate_args=False).log_prob(x).sum(1)
    torch.testing.assert_close(fit.log_prob, expected)
    torch.testing.assert_close(fit.squared_error, (x - logits.sigmoid()).square().sum(1))


def test_categorical():
    logits = torch.randn(6, 3 + 1 + 4)
    x = torch.tensor([[0, 0, 3], [2, 0, 1], [1, 0, 0], [0, 0, 2], [2, 0, 3], [1, 0, 1]]).float()
    distribution = CategoricalLikelihood.of_sizes((3, 1, 4))(logits)
    expected = [
        TorchCategorical(logits=part).log_prob(column.long())
        for part, column in zip(logits.split((3, 1, 4), dim=1), x.unbind(1), strict=True)
    ]
    torch.testing.assert_close(distribution.log_density(x), torch.stack(expected, dim=1))
    fit = distribution.fit(x)
    torch.testing.assert_close(fit.log_prob, sum(expected))
    assert fit.squared_error.tolist() == (distribution.mean != x).sum(1).tolist()
    known = x > 0
    unknown = torch.where(known, x, -1)  # what stands for a category that is not known counts nowhere
    torch.testing.assert_close(distribution.fit(unknown, known).log_prob, (distribution.log_density(x) * known).sum(1))
    assert (distribution.fit(unknown, known).squared_error <= known.sum(1)).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 0, 3, 1, 0), (0, 0, 0), (0, 0, 1, 1, 2), (1, 0, 0, 1)])
def test_entries_that_are_alike_are_as_each_by_itself(order):
    """To the bit, in whatever order they come; their gradients too."""
    kinds = [PlainSoftmax(3), PlainSoftmax(4, pooled=True), FactoredSoftmax((4, 1, 7, 2, 1)), PlainSoftmax(1)]
    entries = [kinds[i] for i in order]
    widths = [entry.n_parameters for entry in entries]
    logits = torch.randn(6, sum(widths), generator=torch.Generator().manual_seed(0)).requires_grad_()
    x = torch.stack([torch.arange(6) % entry.size for entry in entries], dim=1).float()
    distribution = CategoricalLikelihood(entries)(logits)
    parts = list(zip(entries, logits.split(widths, dim=1), x.long().unbind(1), strict=True))
    expected = torch.stack([entry.log_prob(part, index) for entry, part, index in parts], dim=1)
    assert torch.equal(distribution.log_density(x), expected)
    assert torch.equal(distribution.mean, torch.stack([entry.mode(part) for entry, part, _ in parts], dim=1).float())
    found = distribution.log_density(x)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad(each, logits, upstream)[0] for each in (found, expected))
    assert torch.equal(ours, theirs)


def test_categories_are_drawn_by_their_probabilities():
    probabilities = torch.tensor([0.1, 0.6, 0.3, 0.25, 0.75])
    distribution = CategoricalLikelihood.of_sizes((3, 2))(probabilities.log().expand(20_000, 5))
    draws = distribution.sample(torch.Generator().manual_seed(0))
    assert torch.equal(draws, distribution.sample(torch.Generator().manual_seed(0)))
    torch.testing.assert_close(one_hot(draws, (3, 2)).mean(0), probabilities, atol=0.02, rtol=0)
    assert (distribution.mean == torch.tensor([1.0, 1.0])).all()


def test_the_link_of_a_category_gives_it_and_of_none_gives_all_alike():
    likelihood = CategoricalLikelihood.of_sizes((3, 2))
    x = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    assert torch.equal(likelihood(likelihood.link(x)).mean, x)
    unknown = likelihood.link(torch.tensor([[-1.0, 1.0]]))[:, :3]
    assert (unknown == unknown[0, 0]).all()


@pytest.mark.parametrize("likelihood", [GaussianLikelihood(), BernoulliLikelihood()])
def test_link_gives_the_parameter_with_that_mean(likelihood):
    x = torch.rand(4, 3) * 0.9 + 0.05
    torch.testing.assert_close(likelihood(likelihood.link(x)).mean, x)


@pytest.mark.parametrize("sigma", [0.1, 3.0, torch.tensor(0.5)])
def test_gaussian_with_another_sigma(sigma):
    mean, x = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    torch.testing.assert_close(Gaussian(mean, sigma).fit(x).log_prob, Normal(mean, sigma).log_prob(x).sum((1, 2)))


@pytest.mark.parametrize("distribution", [Gaussian, lambda mean: Gaussian(mean, 0.3), Bernoulli])
def test_only_what_is_known_counts(distribution):
    parameters, x, known = torch.randn(6, 4, 5), torch.rand(6, 4, 5), torch.rand(6, 4, 5) < 0.5
    fit = distribution(parameters).fit(x, known)
    for row in range(6):
        one = distribution(parameters[row][known[row]][None]).fit(x[row][known[row]][None])
        torch.testing.assert_close(fit.log_prob[row], one.log_prob[0])
        torch.testing.assert_close(fit.squared_error[row], one.squared_error[0])
    other = distribution(parameters).fit(torch.where(known, x, 0.123), known)
    torch.testing.assert_close(other.log_prob, fit.log_prob)
    torch.testing.assert_close(distribution(parameters).fit(x, torch.ones_like(known)), distribution(parameters).fit(x))


def test_draws_have_the_mean_and_the_spread():
    generator = torch.Generator().manual_seed(0)
    draws = Gaussian(torch.full((20_000, 2), 3.0), 0.5).sample(generator)
    torch.testing.assert_close(draws.mean(0), torch.full((2,), 3.0), atol=0.02, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.full((2,), 0.5), atol=0.02, rtol=0)
    draws = Bernoulli(torch.full((20_000, 2), 1.0)).sample(generator)
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(draws.mean(0), torch.full((2,), 1.0).sigmoid(), atol=0.02, rtol=0)


def test_the_likeliest_sigma_is_the_root_of_the_mean_squared_error():
    likelihood = GaussianLikelihood(None).double()
    x, mean = torch.randn(100, 4, dtype=torch.float64) * 0.7, torch.zeros(100, 4, dtype=torch.float64)
    with torch.no_grad():
        likelihood.set_sigma(x.square().mean().sqrt(), torch.tensor(1e-3))
    (slope,) = torch.autograd.grad(likelihood(mean).fit(x).log_prob.sum(), likelihood.log_excess)
    assert slope.abs() < 1e-6
    assert GaussianLikelihood(0.25).sigma == 0.25
    assert not list(GaussianLikelihood(0.25).parameters())


def test_sigma_stays_above_its_floor():
    likelihood = GaussianLikelihood(None)
    with torch.no_grad():
        likelihood.set_sigma(torch.tensor(0.0), torch.tensor(0.02))
        assert 0.02 < likelihood.sigma < 0.021


@pytest.mark.parametrize("distribution", [Gaussian, lambda mean: Gaussian(mean, torch.tensor(0.3)), Bernoulli])
def test_the_entries_densities_sum_to_the_rows(distribution):
    rows, x = distribution(torch.randn(5, 3, 4)), torch.rand(5, 3, 4)
    torch.testing.assert_close(rows.log_density(x).sum((1, 2)), rows.fit(x).log_prob)


def product(size=5):
    return ProductLikelihood(
        [Block("on or off", BernoulliLikelihood(), 3), Block("numbers", GaussianLikelihood(0.5), size)]
    )


@pytest.mark.parametrize("size", [5, None])
def test_a_product_is_the_sum_of_its_blocks(size):
    parameters, x, known = torch.randn(6, 8), torch.rand(6, 8), torch.rand(6, 8) < 0.7
    rows = product(size)(parameters)
    fit = rows.fit(x, known)
    blocks = [Bernoulli(parameters[:, :3]), Gaussian(parameters[:, 3:], 0.5)]
    fits = [block.fit(x[:, part], known[:, part]) for block, part in zip(blocks, (slice(3), slice(3, 8)), strict=True)]
    assert list(fit.parts) == ["on or off", "numbers"]
    for part, expected in zip(fit.parts.values(), fits, strict=True):
        torch.testing.assert_close(part, expected.log_prob)
    torch.testing.assert_close(fit.log_prob, fits[0].log_prob + fits[1].log_prob)
    torch.testing.assert_close(fit.squared_error, fits[0].squared_error + fits[1].squared_error)
    torch.testing.assert_close((rows.log_density(x) * known).sum(1), fit.log_prob)
    torch.testing.assert_close(rows.mean, torch.cat([block.mean for block in blocks], dim=1))
    draws = rows.sample(torch.Generator().manual_seed(0))
    assert set(draws[:, :3].unique().tolist()) <= {0.0, 1.0}
    assert draws.shape == x.shape
    y = x * 0.9 + 0.05
    torch.testing.assert_close(product(size)(product(size).link(y)).mean, y)


def test_a_product_keeps_what_its_blocks_learn():
    likelihood = ProductLikelihood([Block("b", BernoulliLikelihood(), None), Block("a", GaussianLikelihood(None), 2)])
    assert list(likelihood.state_dict()) == ["learnt.0.log_excess", "learnt.0.floor"]
    assert likelihood.slices(7) == {"b": slice(0, 5), "a": slice(5, 7)}


def test_a_standardised_normal_is_a_normal_in_the_units_of_x(rng):
    x, mean = (torch.tensor(rng.normal(size=(5, 4, 2))) for _ in range(2))
    known = torch.tensor(rng.random((5, 4, 2)) < 0.7)
    centre, scale = torch.tensor([3.0, -1.0]), torch.tensor([2.0, 100.0])
    distribution = StandardisedLikelihood(GaussianLikelihood(0.5), centre, scale)(mean)
    by_torch = Normal(mean * scale + centre, 0.5 * scale)
    torch.testing.assert_close(distribution.mean, by_torch.mean)
    torch.testing.assert_close(distribution.log_density(x), by_torch.log_prob(x))
    fit = distribution.fit(x, known)
    torch.testing.assert_close(fit.log_prob, (by_torch.log_prob(x) * known).sum((1, 2)))
    torch.testing.assert_close(fit.squared_error, ((x - by_torch.mean).square() * known).sum((1, 2)))
    torch.testing.assert_close(distribution.fit(x).log_prob, by_torch.log_prob(x).sum((1, 2)))
    draws = StandardisedLikelihood(GaussianLikelihood(0.5), centre, scale)(torch.zeros(20_000, 1, 2)).sample()
    torch.testing.assert_close(draws.mean((0, 1)), centre, atol=1.5, rtol=0)
    torch.testing.assert_close(draws.std((0, 1)), 0.5 * scale, atol=0, rtol=0.03)
    torch.testing.assert_close(StandardisedLikelihood(GaussianLikelihood(), centre, scale).link(by_torch.mean), mean)


def test_of_an_unmodelled_block_nothing_is_said(rng):
    x = torch.tensor(rng.normal(size=(5, 4, 2)))
    blocks = [Block("before", UnmodelledLikelihood(3), 3), Block("after", GaussianLikelihood(), 1)]
    product = ProductLikelihood(blocks)(torch.zeros(5, 1, 2).double())
    fit = product.fit(x)
    assert fit.parts.keys() == {"after"}
    torch.testing.assert_close(fit.log_prob, Gaussian(torch.zeros(5, 1, 2)).fit(x[:, 3:]).log_prob)
    torch.testing.assert_close(fit.squared_error, x[:, 3:].square().sum((1, 2)))
    for told in (product.mean, product.log_density(x), product.sample()):
        assert told.shape == x.shape
        assert told[:, :3].isnan().all()
        assert told[:, 3:].isfinite().all()
