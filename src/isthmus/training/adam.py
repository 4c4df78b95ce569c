"""Adam with one fused kernel, whose step asks no more than it has to."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam


class FusedAdam(Adam):
    """Adam on the CPU, to the bit as ``torch.optim.Adam(fused=True)`` takes its steps.

    That one looks at all of its options and sorts tensors by device and dtype in every step, which takes it as long as
    a small network's moments take. State and parameters are the same, and so are its files.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the first, which makes the moments, is that of the base class."""
        groups = [[weight for weight in group["params"] if weight.grad is not None] for group in self.param_groups]
        if closure is not None or not all(weight in self.state for weights in groups for weight in weights):
            return super().step(closure)
        for group, weights in zip(self.param_groups, groups, strict=True):
            if not weights:
                continue
            states = [self.state[weight] for weight in weights]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                weights,
                [weight.grad for weight in weights],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return None


def adam(groups: list[dict[str, Any]], lr: float) -> Adam:
    """Return Adam of groups of weights, with one fused kernel."""
    on_cpu = all(weight.device.type == "cpu" for group in groups for weight in group["params"])
    return FusedAdam(groups, lr) if on_cpu else Adam(groups, lr=lr, fused=True)
