"""What no JSON can hold of a parameter is told apart by a description, the same in every process."""

from functools import partial

import pytest
import torch
from torch import nn

from isthmus.core.description import are_alike, description_of

FACTOR = 0.1


def scaled(x, by=1.0, plus=0.0):
    return by * x + plus


def by_global(x):
    return FACTOR * x


def made(**members):
    """A class of a user's own, with these in it."""
    return type("Own", (nn.Module,), {"__module__": __name__, **members})()


class Slotted:
    __slots__ = ("slope",)

    def __init__(self, slope):
        self.slope = slope


def with_defaults(second):
    def function(x, first=1, second=second):
        return x

    return function


def enclosing(value):
    return lambda x: x * value


DIFFERENT = {
    "second of two partials": lambda v: [partial(scaled, by=1.0), partial(scaled, by=v)],
    "second of two positional partials": lambda v: [partial(scaled, 1.0), partial(scaled, v)],
    "second default": with_defaults,
    "second of two functions": lambda v: [with_defaults(0), with_defaults(v)],
    "member of a class": lambda v: made(slope=v),
    "tuple of a class": lambda v: made(slopes=(1.0, v)),
    "closure": enclosing,
    "slot": Slotted,
    "key that is a tuple": lambda v: {(v,): 1},
    "key that is a number": lambda v: {v: 1},
    "set of functions": lambda v: {enclosing(v), enclosing(0)},
    "buffer that is not saved": lambda v: nn.BatchNorm1d(3, eps=v),
    "tensor": lambda v: torch.full((3,), v),
    "attribute": lambda v: nn.LeakyReLU(v),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_is_told_apart_and_what_does_not_is_alike(name):
    make = DIFFERENT[name]
    assert not are_alike(description_of(make(0.2)), description_of(make(0.3)))
    assert are_alike(description_of(make(0.2)), description_of(make(0.2)))


def test_a_number_of_the_module_that_a_function_goes_by(monkeypatch):
    before = description_of(by_global)
    assert are_alike(before, description_of(by_global))
    monkeypatch.setitem(globals(), "FACTOR", 0.9)
    assert not are_alike(before, description_of(by_global))


def test_no_address_is_in_it():
    """Members of a set come in the order of their addresses, which are others in another process."""
    parts = [description_of(frozenset(fs)) for fs in ([scaled, by_global], [by_global, scaled])]
    assert are_alike(*parts)


def test_what_holds_itself_ends():
    module = made()
    module.__dict__["me"] = [module]
    assert are_alike(description_of(module), description_of(module))
