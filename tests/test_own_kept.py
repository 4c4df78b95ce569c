"""A part that is kept is what its constructor's arguments make again; of another it is said that it cannot be."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from torch import nn

import isthmus
from isthmus import Autoencoder, VariationalAutoencoder
from isthmus.parts import Bottleneck, Code, GaussianBottleneck, Prior

ROWS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
SMALL = {"n_components": 2, "max_epochs": 1, "random_state": 0}


class Scaled(Bottleneck):
    """A code that is scaled."""

    c = 1.0

    def __call__(self, h, generator=None):
        return Code(h * self.c, h * self.c, {})


class Halved(Scaled):
    """It keeps not the argument, but half of it."""

    def __init__(self, c):
        self.c = c / 2


class Beside(Scaled):
    """It keeps the argument, and what is made of it too."""

    def __init__(self, c=2.0):
        self.c = c
        self.levels = torch.linspace(-c, c, 3)
        self.grid = np.arange(3) * c
        self._calls = []

    @cached_property
    def cost(self):
        return self.c**2

    def __call__(self, h, generator=None):
        self._calls.append(self.cost)
        return Code(h * self.c, h * self.c, {})


class Module(nn.Module, Scaled):
    """The same as a module, with a weight that is drawn."""

    def __init__(self, c=2.0):
        super().__init__()
        self.c = c
        self.weight = nn.Parameter(torch.randn(2))
        self.register_buffer("seen", torch.rand(2))

    def forward(self, h, generator=None):
        return Code(h * self.weight, h * self.weight, {})


class Drawn(Scaled):
    """Numbers are drawn in the constructor, and kept nowhere but in an attribute."""

    def __init__(self):
        self.c = torch.rand(2)


class Once(Scaled):
    """A constructor that does not take again what it keeps."""

    def __init__(self, c):
        if isinstance(c, float):
            raise ValueError("give text")
        self.c = float(c)


@dataclass(slots=True, frozen=True)
class Slotted(Prior):
    """A prior whose attributes are no dict's."""

    at: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "at", self.at + 1)

    def sample(self, n, units, generator):
        return torch.as_tensor(self.at + generator.standard_normal((n, units))).float()

    def log_prob(self, z):
        return torch.distributions.Normal(self.at, 1.0).log_prob(z).sum(1)


class Faded:
    """A corruption with a parameter."""

    def __init__(self, share):
        self.share = share / 2

    def __call__(self, x, generator=None):
        return x * self.share


def altered(part, **attributes):
    for name, value in attributes.items():
        setattr(part, name, value)
    return part


LOST = {
    "another number": lambda: Halved(3.0),
    "set since": lambda: altered(Scaled(), c=3.0),
    "a module's, set since": lambda: altered(Module(), d=1),
    "an argument's fellow": lambda: altered(Beside(), grid=np.zeros(3)),
    "a tensor": lambda: altered(Beside(), levels=torch.zeros(3)),
    "drawn": Drawn,
    "once": lambda: Once("2"),
}


@pytest.mark.parametrize("kind", LOST)
def test_what_would_be_another_is_not_kept(kind, tmp_path):
    bottleneck = LOST[kind]()
    model = Autoencoder(**SMALL, bottleneck=bottleneck)
    match = "^bottleneck=.* could not be saved: define it in a module, .* keep its constructor's arguments unaltered"
    with pytest.raises(ValueError, match=match) as error:
        model.fit(ROWS, resume_from=tmp_path / "run")
    assert "\n" not in str(error.value)
    model.fit(ROWS)
    with pytest.raises(ValueError, match=match):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_prior_and_a_corruption_too(tmp_path):
    model = VariationalAutoencoder(**SMALL, bottleneck=GaussianBottleneck(Slotted())).fit(ROWS)
    with pytest.raises(ValueError, match=r"^bottleneck=.* could not be saved"):
        model.save(tmp_path / "m")
    model = Autoencoder(**SMALL, corruption=Faded(0.5)).fit(ROWS)
    with pytest.warns(UserWarning, match=r"^corruption=.* is not saved with the model"):
        model.save(tmp_path / "m")


@pytest.mark.parametrize("make", [Scaled, Beside, lambda: Beside(3), lambda: altered(Beside(3), _calls=[1]), Module])
def test_what_is_the_same_is_kept(make, tmp_path):
    """What is private, computed, or among the weights may differ; and torch's own generator is left alone."""
    bottleneck = make()
    if isinstance(bottleneck, Beside):
        assert bottleneck.cost == bottleneck.c**2
    model = Autoencoder(**SMALL, bottleneck=bottleneck).fit(ROWS, resume_from=tmp_path / "run")
    before = torch.get_rng_state()
    model.save(tmp_path / "m")
    assert torch.equal(before, torch.get_rng_state())
    again = isthmus.load(tmp_path / "m", trusted=type(bottleneck))
    np.testing.assert_array_equal(again.transform(ROWS), model.transform(ROWS))
