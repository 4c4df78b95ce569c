"""Priors of a person's own that are learnt: they are trained, saved, and go on from where they were."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import isthmus
from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.parts import Bottleneck, Code, GaussianBottleneck, Prior

ROWS = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
SMALL = {"n_components": 2, "max_epochs": 3, "random_state": 0, "validation_fraction": None, "batch_size": 32}


class Learnt(nn.Module, Prior):
    """N(m, s²) for each unit, of which both are learnt."""

    def __init__(self, start=0.5):
        super().__init__()
        self.start = start
        self.mean, self.log_deviation = (nn.Parameter(torch.tensor(float(each))) for each in (start, 0))

    def sample(self, n, units, generator):
        return self.mean + self.log_deviation.exp() * torch.as_tensor(generator.standard_normal((n, units))).float()

    def log_prob(self, z):
        return torch.distributions.Normal(self.mean, self.log_deviation.exp()).log_prob(z).sum(1)

    def kl(self, mean, log_variance):
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        return torch.distributions.kl_divergence(
            q, torch.distributions.Normal(self.mean, self.log_deviation.exp())
        ).sum(1)


class InModule(nn.Module, Bottleneck):
    """A Gaussian code that is a module, whose prior is registered in it."""

    n_params = 2

    def __init__(self, start=0.5):
        super().__init__()
        self.start = start
        self.prior = Learnt(start)

    def forward(self, h, generator=None):
        return GaussianBottleneck(self.prior)(h, generator)


class ByProperty(InModule):
    """One that has its prior by another name."""

    def __init__(self, start=0.5):
        nn.Module.__init__(self)
        self.start = start
        self.of_code = Learnt(start)

    @property
    def prior(self):
        return self.of_code


class Plain(Bottleneck):
    """One that is no module, and whose prior is."""

    n_params = 2

    def __init__(self, start=0.5):
        self.start = start
        self.prior = Learnt(start)

    def __call__(self, h, generator=None):
        return GaussianBottleneck(self.prior)(h, generator)


KEYS = {
    "gaussian": (lambda: GaussianBottleneck(Learnt()), "prior.", [Learnt]),
    "module": (InModule, "bottleneck.prior.", [InModule]),
    "property": (ByProperty, "bottleneck.of_code.", [ByProperty]),
    "plain": (Plain, "prior.", [Plain]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_prior_is_trained_saved_and_loaded(kind, tmp_path):
    make, key, trusted = KEYS[kind]
    given = make()
    model = VariationalAutoencoder(**SMALL | {"lr": 0.02, "warm_start": True}, bottleneck=given).fit(ROWS)
    held = {name: each for name, each in model.module_.state_dict().items() if "prior" in name or "of_code" in name}
    assert set(held) == {f"{key}mean", f"{key}log_deviation"}, "once, and by one name"
    learnt = model.module_.bottleneck.prior.requires_grad_(False)
    assert float(learnt.mean) == float(held[f"{key}mean"]) != 0.5
    assert float(learnt.log_deviation) != 0
    assert float(given.prior.mean.detach()) == 0.5, "a person's own object is left alone"
    drawn = model.sample(5, random_state=0)
    codes = float(learnt.mean) + float(learnt.log_deviation.exp()) * np.random.RandomState(0).standard_normal((5, 2))
    np.testing.assert_allclose(drawn, model.inverse_transform(codes.astype(np.float32)), rtol=1e-5, atol=1e-6)

    model.save(tmp_path / "m")
    again = isthmus.load(tmp_path / "m", trusted=[*trusted, Learnt])
    assert again.module_.state_dict().keys() == model.module_.state_dict().keys()
    for name, each in held.items():
        assert torch.equal(again.module_.state_dict()[name], each)
    np.testing.assert_array_equal(again.score_samples(ROWS), model.score_samples(ROWS))
    np.testing.assert_array_equal(again.sample(5, random_state=0), drawn)
    np.testing.assert_array_equal(again.log_likelihood(ROWS, 3), model.log_likelihood(ROWS, 3))
    gaps = np.where(np.arange(6) == 3, np.nan, ROWS)
    np.testing.assert_array_equal(again.impute(gaps), model.impute(gaps))

    learnt.requires_grad_(True)
    before = float(held[f"{key}mean"])
    warm = model.set_params(lr=1e-9).fit(ROWS)
    assert float(warm.module_.state_dict()[f"{key}mean"]) == pytest.approx(before, abs=1e-6)


def test_a_prior_of_wide_codes_learns_what_they_are():
    """Of codes that are held fixed at N(3, ½²) the best prior is that very normal."""

    @dataclass(frozen=True)
    class Fixed(GaussianBottleneck):
        def __call__(self, h, generator=None):
            mean = torch.full_like(h[:, :2], 3.0)
            log_variance = torch.full_like(mean, 2 * math.log(0.5))
            return Code(mean, mean, {"kl": self.prior.kl(mean, log_variance)}, log_variance)

        def stats(self, held_out, others):
            return {}  # no unit is active

    params = SMALL | {"max_epochs": 100, "lr": 0.01, "lr_schedule": "constant", "on_nonfinite": "raise"}
    model = Autoencoder(**params, bottleneck=Fixed(Learnt(2.0))).fit(ROWS)
    prior = model.module_.bottleneck.prior.requires_grad_(False)
    assert float(prior.mean) == pytest.approx(3, abs=0.1)
    assert float(prior.log_deviation.exp()) == pytest.approx(0.5, abs=0.1)
    assert model.history_[-1]["train"]["kl"] < 0.05


def test_a_bottleneck_without_a_prior_has_none():
    class Module(nn.Module, Bottleneck):
        forward = GaussianBottleneck.__call__

    assert (Bottleneck.prior, Module().prior) == (None, None)
    prior = GaussianBottleneck().prior
    module = Module()
    module.prior = prior
    assert module.prior is prior, "one that learns nothing is an attribute as any other"
