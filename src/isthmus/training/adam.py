"""Adam with one fused kernel, whose step asks no more than it has to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.optimizer import ParamsT


class FusedAdam(Adam):
    """Adam on the CPU, to the bit as ``torch.optim.Adam(fused=True)`` takes its steps.

    That one looks at all of its options, sorts tensors by device and dtype and counts the steps of each weight by
    itself, every time, which takes about as long as the moments of a small network. State and parameters are the same,
    and so are its files; all counts are views of one tensor.
    """

    _counts: Tensor | None = None

    def __init__(self, params: ParamsT, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take over another state, whose counts are by themselves."""
        super().__setstate__(state)
        self._counts = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; where a weight has no gradient, that of the base class."""
        self.begin()
        if closure is not None or any(weight.grad is None for weight in self.weights):
            return super().step(closure)
        self.add_to_count()
        for group in filter(lambda group: group["params"], self.param_groups):
            states = [self.state[weight] for weight in group["params"]]
            torch._fused_adam_(
                group["params"],
                [weight.grad for weight in group["params"]],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let go of all gradients, or set them to zero."""
        if not set_to_none:
            super().zero_grad(set_to_none)
            return
        for weight in self.weights:
            weight.grad = None

    @property
    def weights(self) -> list[Tensor]:
        """All weights, group by group."""
        return [weight for group in self.param_groups for weight in group["params"]]

    def begin(self) -> bool:
        """Make the moments where there are none, and put the counts together; tell whether there was any of it to do.

        Until another state is taken over, all are then the same tensors.
        """
        if self._counts is not None:
            return False
        weights = self.weights
        for weight in weights:
            if not self.state[weight]:
                moments = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
                self.state[weight] = {"step": torch.zeros((), dtype=torch.float32)} | moments
        self._counts = torch.stack([self.state[weight]["step"] for weight in weights])
        for weight, count in zip(weights, self._counts.unbind(), strict=True):
            self.state[weight]["step"] = count
        return True

    def count(self) -> int:
        """Return how many steps have been taken."""
        return 0 if self._counts is None else int(self._counts.max())

    def add_to_count(self) -> None:
        """Count a step of all weights."""
        assert self._counts is not None, "it has begun"
        self._counts.add_(1)


def adam(groups: list[dict[str, Any]], lr: float) -> Adam:
    """Return Adam of groups of weights, with one fused kernel."""
    on_cpu = all(weight.device.type == "cpu" for group in groups for weight in group["params"])
    return FusedAdam(groups, lr) if on_cpu else Adam(groups, lr=lr, fused=True)
