"""Adam with one fused kernel, whose step asks no more than it has to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam


class FusedAdam(Adam):
    """Adam on the CPU, to the bit as ``torch.optim.Adam(fused=True)`` takes its steps.

    That one looks at all of its options, sorts tensors by device and dtype and counts the steps of each weight by
    itself, every time, which takes about as long as the moments of a small network. State and parameters are the same,
    and so are its files; all counts are views of one tensor.
    """

    _counts: Tensor | None = None

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over another state, whose counts are by themselves."""
        super().__setstate__(state)
        self._counts = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the first, which makes the moments, is that of the base class."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        if closure is not None or self._counts is None or any(weight.grad is None for weight in weights):
            loss = super().step(closure)
            self._gather(weights)
            return loss
        self._counts += 1
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

    def _gather(self, weights: list[Tensor]) -> None:
        """Put the counts of all weights into one tensor, where each has taken a step."""
        if all(weight in self.state for weight in weights):
            states = [self.state[weight] for weight in weights]
            self._counts = torch.stack([state["step"] for state in states])
            for state, count in zip(states, self._counts.unbind(), strict=True):
                state["step"] = count


def adam(groups: list[dict[str, Any]], lr: float) -> Adam:
    """Return Adam of groups of weights, with one fused kernel."""
    on_cpu = all(weight.device.type == "cpu" for group in groups for weight in group["params"])
    return FusedAdam(groups, lr) if on_cpu else Adam(groups, lr=lr, fused=True)
