"""Our two distributions against PyTorch's."""

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from isthmus.core.likelihood import Bernoulli, Gaussian


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


@pytest.mark.parametrize("likelihood", [Gaussian, Bernoulli])
def test_link_gives_the_parameter_with_that_mean(likelihood):
    x = torch.rand(4, 3) * 0.9 + 0.05
    torch.testing.assert_close(likelihood(likelihood.link(x)).mean, x)
