"""Mistakes in parts of a person's own are said before the training, in one line that names the part."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from isthmus import Autoencoder, SequenceAutoencoder, VariationalAutoencoder
from isthmus.parts import Bottleneck, Code, Fit, GaussianBottleneck, Likelihood, Prior, squared_error

ROWS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
SMALL = {"n_components": 2, "max_epochs": 1, "random_state": 0}


@dataclass(frozen=True)
class Rows:
    """Normal rows whose fit has terms by other names."""

    mean: torch.Tensor
    names: tuple[str, ...] = ("reconstruction",)

    def log_density(self, x):
        return -0.5 * (x - self.mean).square()

    def fit(self, x, observed=None):
        term = self.log_density(x).flatten(1).sum(1)
        return Fit(dict.fromkeys(self.names, term), squared_error(x, self.mean.detach(), observed))


class Normal(Likelihood):
    """One whose `forward` gives what it is told to."""

    def __init__(self, make=Rows, **declared):
        super().__init__()
        self.make = make
        for name, value in declared.items():
            setattr(self, name, value)

    def forward(self, parameters):
        return self.make(parameters)

    def cost_at_mean(self, x):
        return 1.0


class Given(Bottleneck):
    """One that gives what it is told to."""

    def __init__(self, make=lambda h: Code(h, h, {}), **declared):
        self.make = make
        for name, value in declared.items():
            setattr(self, name, value)

    def __call__(self, h, generator=None):
        return self.make(h)


def term(name, make=lambda h: h.sum(1)):
    return Given(lambda h: Code(h, h, {name: make(h)}))


def size(forward):
    return forward.code.z.square().sum(1)


def penalty(value):
    return {"penalties": {"a": (lambda forward: value, 1.0)}}


def named(*names):
    return Normal(partial(Rows, names=names))


def altered(**methods):
    """Return a likelihood whose distribution has these attributes in place of its own."""
    return Normal(lambda parameters: type("Altered", (Rows,), methods)(parameters))


class Learnt(nn.Module, Prior):
    """A normal prior with a mean that is learnt."""

    def __init__(self, start=0.5):
        super().__init__()
        self.start = start
        self.at = nn.Parameter(torch.tensor(float(start)))

    def sample(self, n, units, generator):
        return self.at + torch.as_tensor(generator.standard_normal((n, units))).float()

    def log_prob(self, z):
        return torch.distributions.Normal(self.at, 1.0).log_prob(z).sum(1)


class Plain(Prior):
    """A prior that holds a parameter, and is no module."""

    def __init__(self):
        self.at = nn.Parameter(torch.zeros(()))

    sample, log_prob = Learnt.sample, Learnt.log_prob


class Book(Bottleneck):
    """A bottleneck that does."""

    def __init__(self):
        self.book = nn.Parameter(torch.zeros(2))

    def __call__(self, h, generator=None):
        return Code(h + self.book, h, {})


class Critic(nn.Module):
    """A penalty that is a module."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, forward):
        return self.layer(forward.code.z).squeeze(1)


class Blurred(nn.Module):
    """A corruption that is one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x, generator=None):
        return self.layer(x)


MISTAKES = {
    "a bottleneck's reconstruction": (
        {"bottleneck": term("reconstruction")},
        "bottleneck=Given gives the term 'reconstruction', which is that of another term: give another name",
    ),
    "loss": ({"bottleneck": term("loss")}, "bottleneck=Given gives the term 'loss'"),
    "mse": ({"bottleneck": term("mse")}, "bottleneck=Given gives the term 'mse'"),
    "a block": ({"bottleneck": term("reconstruction_a")}, "bottleneck=Given gives the term 'reconstruction_a'"),
    "kl without a prior": ({"bottleneck": term("kl")}, "bottleneck=Given gives the term 'kl'"),
    "no word": ({"bottleneck": term("a b")}, "bottleneck=Given gives the term 'a b': give a name of letters"),
    "a measure": ({"bottleneck": Given(measures=("loss",))}, "bottleneck=Given gives the measure 'loss'"),
    "a likelihood's loss": ({"likelihood": named("reconstruction", "loss")}, "likelihood=Normal gives the term 'loss'"),
    "a likelihood's term": (
        {"likelihood": named("reconstruction", "tv"), "penalties": {"tv": (size, 1.0)}},
        "penalties has the name 'tv', which is that of another term",
    ),
    "a term of both": (
        {"likelihood": named("reconstruction", "vq"), "bottleneck": term("vq")},
        "bottleneck=Given gives the term 'vq'",
    ),
    "no reconstruction": ({"likelihood": named("tv")}, "likelihood=Normal gives no term 'reconstruction'"),
    "a plain prior": (
        {"bottleneck": GaussianBottleneck(Plain())},
        r"bottleneck=GaussianBottleneck has prior=Plain, which holds parameters in 'at', .*: make it one, class Pl",
    ),
    "a plain bottleneck": ({"bottleneck": Book()}, "bottleneck=Book holds parameters in 'book', which are not trained"),
    "a critic": (
        {"penalties": {"critic": (Critic(), 1.0)}},
        r"penalties\['critic'\]=Critic has parameters, which are not trained: freeze them",
    ),
    "a critic's method": ({"penalties": {"critic": (Critic().forward, 1.0)}}, "has parameters, which are not trained"),
    "a critic's partial": ({"penalties": {"critic": (partial(Critic()), 1.0)}}, "has parameters, which are not"),
    "a blur": ({"corruption": Blurred()}, "corruption=Blurred has parameters, which are not trained"),
    "a tensor": ({"bottleneck": Given(lambda h: h)}, "bottleneck=Given gives a tensor of float32 of shape .2, 2.: ret"),
    "None": ({"bottleneck": Given(lambda h: None)}, r"bottleneck=Given gives None: return an isthmus.parts.Code\(z"),
    "terms": ({"bottleneck": Given(lambda h: Code(h, h, None))}, "bottleneck=Given gives a Code with terms=None"),
    "z": (
        {"bottleneck": Given(lambda h: Code(h[:, :1], h, {}))},
        r"bottleneck=Given gives a Code whose z is a tensor of float32 of shape \(2, 1\): give .* \(2, 2\)",
    ),
    "mean": ({"bottleneck": Given(lambda h: Code(h, h.sum(1), {}))}, "bottleneck=Given gives a Code whose mean is a"),
    "log_variance": ({"bottleneck": Given(lambda h: Code(h, h, {}, 3))}, "a Code whose log_variance is 3: give"),
    "no log_variance": (
        {"bottleneck": Given(prior=Learnt())},
        "bottleneck=Given has a prior: its Code needs log_variance",
    ),
    "a term's kind": (
        {"bottleneck": term("a", lambda h: 0.5)},
        r"bottleneck=Given: the term 'a' is 0.5: give a tensor of floats, one value a row, of shape \(2,\) for these 2",
    ),
    "a penalty of 0.5": (penalty(0.5), "penalties: the term 'a' is 0.5: give a tensor of floats"),
    "a penalty of None": (penalty(None), "penalties: the term 'a' is None: give a tensor of floats"),
    "a whole penalty": (penalty(torch.tensor(1)), r"the term 'a' is a tensor of int64 of shape \(\): give a tensor"),
    "a bool penalty": (penalty(torch.tensor(True)), "the term 'a' is a tensor of bool"),
    "a complex penalty": (penalty(torch.tensor(1j)), "the term 'a' is a tensor of complex64"),
    "a wide penalty": (penalty(torch.zeros(2, 2)), r"penalties: the term 'a' is of shape \(2, 2\): give one value a"),
    "parameters": (
        {"likelihood": Normal(lambda parameters: parameters)},
        r"likelihood=Normal gives a tensor .* without fit and log_density: return a distribution of rows, with mean",
    ),
    "torch's normal": (
        {"likelihood": Normal(lambda parameters: torch.distributions.Normal(parameters, 1.0))},
        "likelihood=Normal gives an object of type Normal without fit and log_density",
    ),
    "a mean that is called": (
        {"likelihood": Normal(lambda parameters: type("R", (), dict.fromkeys(("mean", "fit", "log_density"), print)))},
        "likelihood=Normal gives a distribution whose mean is",
    ),
    "a mean of another shape": (
        {"likelihood": Normal(lambda parameters: Rows(parameters[:, :3]))},
        r"likelihood=Normal gives a mean of shape \(2, 3\) for parameters of shape \(2, 6\): give rows",
    ),
    "a fit that is none": ({"likelihood": altered(fit=lambda *_: 3)}, "likelihood=Normal's fit gives 3: return an is"),
    "a fit of a number": (
        {"likelihood": altered(fit=lambda *_: Fit({"reconstruction": torch.zeros(())}, torch.zeros(2)))},
        r"likelihood=Normal: the term 'reconstruction' is of shape \(\): give one value a row, of shape \(2,\) for",
    ),
    "a density of rows": (
        {"likelihood": altered(log_density=lambda self, x: x.sum(1), fit=lambda self, x, _: Rows(self.mean).fit(x))},
        "likelihood=Normal's log_density gives a tensor .*: give one value an entry",
    ),
    "a likelihood's n_params": ({"likelihood": Normal(n_params=1.5)}, "likelihood=Normal has n_params=1.5: give a who"),
    "none of them": ({"likelihood": Normal(n_params=(1, 0))}, r"likelihood=Normal has n_params=\(1, 0\): give a whole"),
    "a bottleneck's n_params": ({"bottleneck": Given(n_params=0)}, "bottleneck=Given has n_params=0: give a whole num"),
    "half of a support": ({"likelihood": Normal(support=0)}, "likelihood=Normal has support=0: give .lowest, highest"),
    "a support that is empty": ({"likelihood": Normal(support=(1, 0))}, r"has support=\(1, 0\): give the lowest first"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_is_said_in_one_line(mistake):
    params, match = MISTAKES[mistake]
    began = []
    with pytest.raises((ValueError, TypeError), match=match) as error:
        Autoencoder(**SMALL, **params, callbacks=[began.append]).fit(ROWS)
    assert type(error.value).__module__ == "isthmus.errors"
    assert "\n" not in str(error.value)
    assert not began


def test_a_likelihood_in_another_is_looked_at_too():
    steps = np.random.default_rng(0).normal(size=(20, 5, 2))
    with pytest.raises(TypeError, match=r"likelihood=Normal gives a tensor of .* without fit and log_density"):
        SequenceAutoencoder(**SMALL, likelihood=Normal(lambda parameters: parameters)).fit(steps)


def test_sigma_is_reserved():
    with pytest.raises(ValueError, match=r"^Normal sets self.sigma, which is reserved .*: give the attribute another"):
        Normal(sigma=2.0)

    class Scaled(Normal):
        sigma = 2.0

    assert Autoencoder(**SMALL, likelihood=Scaled()).fit(ROWS).sigma_ == 2.0


def fails(*_, **__):
    raise RuntimeError("of a person's own")


@pytest.mark.parametrize(
    "params",
    [
        {"bottleneck": Given(fails)},
        {"likelihood": Normal(fails)},
        {"likelihood": altered(fit=fails)},
        {"penalties": {"a": (fails, 1.0)}},
        {"corruption": fails},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_own_code_raises_is_left_as_it_is(params):
    with pytest.raises(RuntimeError, match=r"^of a person's own$") as error:
        Autoencoder(**SMALL, **params).fit(ROWS)
    assert error.value.__cause__ is None
    assert error.traceback[-1].name == "fails"


def test_names_that_are_free():
    """Those of built-in parts for these, the KL also for a code of one's own with a prior, and a frozen module."""

    def drawn(h):
        mean, log_variance = h.chunk(2, dim=1)
        return Code(mean, mean, {"kl": mean.square().sum(1), "more": h.sum()}, log_variance)

    own = Given(drawn, prior=GaussianBottleneck().prior, n_params=2)
    frozen = Critic().requires_grad_(False)
    model = VariationalAutoencoder(**SMALL, bottleneck=own, penalties={"critic": (frozen, 0.1)}).fit(ROWS)
    assert {"kl", "more", "critic"} <= set(model.history_[0]["train"])
    model = Autoencoder(**SMALL, bottleneck="gaussian", likelihood=named("reconstruction", "rest")).fit(ROWS)
    assert {"kl", "rest", "reconstruction"} <= set(model.history_[0]["train"])


def test_parts_that_are_set_since_are_looked_at_too():
    model = Autoencoder(**SMALL, warm_start=True).fit(ROWS)
    for params, match in (MISTAKES[name] for name in ("loss", "a penalty of 0.5", "no reconstruction")):
        for train in (model.set_params(**params).fit, model.partial_fit):
            with pytest.raises((ValueError, TypeError), match=match):
                train(ROWS)
        model.set_params(bottleneck=None, penalties=None, likelihood="gaussian")
    model.fit(ROWS)
