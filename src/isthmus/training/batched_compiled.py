"""A step of several models as one compiled graph: terms, losses, gradients and Adam; what is drawn is drawn before."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isthmus.training.compiled import adam_numbers, as_graph, move
from isthmus.training.stack import ADAM, Stack, Steps, turned

Tensors = dict[str, Tensor]


class BatchedGraph:
    """Changes the weights of a stack by a batch of each model.

    The weights, moments and counts are the stack's, as in the eager step: so a training may go on with either.

    Parameters
    ----------
    stack : Stack
        Of as many models as the graph is compiled for, by its first call.
    function : callable
        Of stacked weights, buffers, rows and shares: gives what is not looked at, figures and losses.
    names : sequence of sequences of str
        The weights of each group.
    rates : sequence
        The rates of each model.
    """

    def __init__(
        self, stack: Stack, function: Callable[..., Any], names: Sequence[Sequence[str]], rates: Sequence[Steps]
    ) -> None:
        self.stack, self.rates = stack, rates
        group_of = {name: i for i, group in enumerate(names) for name in group}
        step = partial(_step, function, [group_of[name] for name in stack.bases])
        self.graph: Callable[..., Tensors] = as_graph(step)

    def __call__(self, rows: Tensors, shares: Tensors) -> Tensors:
        """Take a step of all models, and return their figures."""
        stack, done = self.stack, self.stack.steps + 1
        numbers = [
            [adam_numbers(rate.lr, rate.beta1, ADAM["beta2"], done) for rate in its[stack.steps]] for its in self.rates
        ]
        weights = {name: base.detach() for name, base in stack.bases.items()}
        with torch.no_grad():
            figures = self.graph(
                weights, stack.moments, torch.tensor(numbers, dtype=torch.float64), stack.buffers, rows, shares
            )
        stack.count_step()
        return figures


def _step(
    function: Callable[..., Any],
    groups: list[int],
    weights: Tensors,
    moments: dict[str, tuple[Tensor, Tensor]],
    numbers: Tensor,
    *given: Tensors,
) -> Tensors:
    """Take a step of Adam; `numbers` are of each model and group of weights."""
    gradients, figures = torch.func.grad(_loss, has_aux=True)(weights, function, *given)
    for (name, weight), group in zip(weights.items(), groups, strict=True):
        its = numbers[:, group].to(weight).view(-1, 4, *[1] * (weight.ndim - 1))
        move(weight, moments[name], gradients[name], its.unbind(1), ADAM["eps"])
    return figures


def _loss(weights: Tensors, function: Callable[..., Any], *given: Tensors) -> tuple[Tensor, Tensors]:
    """Return the sum of all models' losses, each of which has weights of its own, and their figures."""
    _, figures, losses = function({name: turned(base) for name, base in weights.items()}, *given)
    return losses.sum(), figures
