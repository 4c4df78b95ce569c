"""The weights of several models of one shape in one tensor each, and the steps of Adam that move them."""

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from isthmus.training.state import State

ADAM: dict[str, Any] = {
    "amsgrad": False, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8, "maximize": False
}  # fmt: skip
"""What Adam is in every run."""


class Rate(NamedTuple):
    """What Adam is told of one group of weights in one step."""

    lr: float
    beta1: float


Steps = list[list[Rate]]
"""The rates of every step, of each group of weights."""


class Stack:
    """The weights of several models of one shape, which become views of one tensor each, and Adam's moments of them."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.skeleton = copy.deepcopy(models[0])
        # A layer's matrix lies transposed: so its gradient comes as it lies, and is not copied.
        self.bases = {name: _stacked([dict(model.named_parameters())[name] for model in models]) for name in
                      dict(models[0].named_parameters())}  # fmt: skip
        self.buffers = {
            name: torch.stack([dict(model.named_buffers())[name] for model in models])
            for name in dict(models[0].named_buffers())
        }
        self.moments = {name: (torch.zeros_like(base), torch.zeros_like(base)) for name, base in self.bases.items()}
        self.steps = 0
        self._count = torch.zeros(())
        self._parts: dict[str, list[tuple[Tensor, ...]]] = {}
        self._view(models)

    def only(self, kept: list[int], models: Sequence[Any]) -> None:
        """Go on with some of the models; the others keep what they have."""
        index = torch.tensor(kept)
        self.bases = {name: base.detach()[index].requires_grad_() for name, base in self.bases.items()}
        self.buffers = {name: buffer[index] for name, buffer in self.buffers.items()}
        self.moments = {name: (first[index], second[index]) for name, (first, second) in self.moments.items()}
        self._parts.clear()
        self._view(models)

    def weights(self) -> dict[str, Tensor]:
        """Return the stacked weights, each in its layer's shape."""
        return {name: turned(base) for name, base in self.bases.items()}

    def _view(self, models: Sequence[Any]) -> None:
        for k, model in enumerate(models):
            for name, weight in model.named_parameters():
                weight.data = turned(self.bases[name].detach())[k]

    def update(self, gradients: Sequence[Tensor], names: Sequence[Sequence[str]], rates: Sequence[Steps]) -> None:
        """Take a step of Adam, given each model's rates: one step for those beside one another that have the same."""
        blocks = list(_blocks(rates))
        sizes = [n for n, _ in blocks]
        # The fused kernel goes through memory as it lies; the gradient of tied weights may lie otherwise than they do.
        split = {name: each.contiguous().split(sizes) for name, each in zip(self.bases, gradients, strict=True)}
        if not self._parts:
            self._parts = {
                name: [tensor.detach().split(sizes) for tensor in (base, *self.moments[name])]
                for name, base in self.bases.items()
            }
        step = self.steps
        self.count_step()
        for k, (_, its) in enumerate(blocks):
            for group, rate in zip(names, its[step], strict=True):
                weights, first, second = ([self._parts[name][i][k] for name in group] for i in range(3))
                moved = [split[name][k] for name in group]
                counts = [self._count] * len(group)
                torch._fused_adam_(
                    weights, moved, first, second, [], counts, lr=rate.lr, beta1=rate.beta1, **ADAM
                )  # fmt: skip

    def count_step(self) -> None:
        """Count a step of all weights."""
        self.steps += 1
        self._count.add_(1)


def _blocks(rates: Sequence[Steps]) -> Iterator[tuple[int, Steps]]:
    """Yield how many models beside one another have the same rates, and these."""
    for _, those in itertools.groupby(rates, id):
        same = list(those)
        yield len(same), same[0]


def _stacked(weights: list[Tensor]) -> Tensor:
    base = torch.stack([weight.detach() for weight in weights])
    return (base.transpose(1, 2).contiguous() if base.ndim == 3 else base).requires_grad_()


def turned(base: Tensor) -> Tensor:
    """Return a stacked weight as its layers have it; those of matrices lie transposed."""
    return base.transpose(1, 2) if base.ndim == 3 else base


def rates_of(states: Sequence[State], n_steps: Sequence[int]) -> list[Steps]:
    """Return the rates of runs, which the schedule of each would give; the same list where they are the same."""
    known: dict[tuple[Any, ...], Steps] = {}
    found = []
    for state, n in zip(states, n_steps, strict=True):
        groups, schedule = state.optimizer.param_groups, state.scheduler
        key = (n, schedule is None, *(group.get("max_lr", group["lr"]) for group in groups))
        if key not in known:
            constant = [[Rate(group["lr"], group["betas"][0]) for group in groups]] * n
            known[key] = constant if schedule is None else _one_cycle([group["max_lr"] for group in groups], n)
        found.append(known[key])
    return found


def _one_cycle(peaks: list[float], n_steps: int) -> Steps:
    trial = Adam([{"params": [torch.zeros(())], "lr": peak} for peak in peaks])
    schedule = OneCycleLR(trial, peaks, total_steps=n_steps + 1)
    rates = []
    for _ in range(n_steps):
        rates.append([Rate(float(group["lr"]), group["betas"][0]) for group in trial.param_groups])
        trial.step()
        schedule.step()
    return rates
