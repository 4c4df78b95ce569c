"""A step as one compiled graph: terms, loss, gradient and Adam; what is drawn is drawn before it."""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.drawn import Drawn
from isthmus.core.model import Model, Outcome
from isthmus.errors import warn_caller, warnings_as
from isthmus.training.adam import FusedAdam
from isthmus.training.evaluated import figures_of
from isthmus.training.state import State

T = TypeVar("T")

Compile = bool | Literal["auto"]

ENOUGH_STEPS, LITTLE_WORK = 100_000, 1e8
"""Steps that repay the half minute that compiling takes, and the multiply-adds of a step beyond which little is gained:
its products of matrices, which are then most of it, are the same."""

Step = Callable[[Batch], dict[str, Tensor]]
"""Changes the weights by a batch, and gives the batch's figures."""


def is_compiled(asked: Compile, steps: int, work: float) -> bool:
    """Tell whether steps are to be compiled: by their number and size alone, so that equal seeds give equal bits."""
    return asked is True or (asked == "auto" and steps >= ENOUGH_STEPS and work <= LITTLE_WORK)


def why_not(state: State) -> str | None:
    """Return why a model's steps cannot be compiled, where that is known before it is tried."""
    modules = list(state.model.modules())
    if state.model_draws:
        return "its network draws random numbers by itself, or has parts that may, such as dropout"
    if any(isinstance(each, nn.RNNBase) for each in modules):
        return "a recurrence is computed by a library, step after step"
    if any(isinstance(each, _BatchNorm) for each in modules):
        return "batch normalisation changes its statistics on the way"
    return None


def as_graph(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that is compiled as one graph when it is called.

    All models' steps are the same code, of which PyTorch compiles no more than eight versions in a process, unless each
    call of ``torch.compile`` may count its own; older versions of it cannot. The first call, which compiles, imports
    parts of PyTorch that warn of one another.
    """
    own: dict[str, Any] = (
        {"isolate_recompiles": True} if "isolate_recompiles" in signature(torch.compile).parameters else {}
    )
    graph: Callable[..., T] = torch.compile(function, fullgraph=True, dynamic=False, **own)
    is_first = True

    def called(*given: object) -> T:
        nonlocal is_first
        if not is_first:
            return graph(*given)
        is_first = False
        with warnings_as("ignore", DeprecationWarning):
            return graph(*given)

    return called


def tell_why_not(why: str) -> None:
    """Warn that steps are not compiled."""
    warn_caller(f"the training is not compiled: {why}; its steps are as usual")


def said(error: Exception) -> str:
    """Return an error's kind and the beginning of what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


class CompiledStep:
    """Changes the weights by a batch in one graph; batches of another size than most are left to the eager step.

    The weights, the optimiser's moments and counts, the draws and the schedule are those of the state, as in the eager
    step: so a run may go on with either.

    Parameters
    ----------
    state : State
        Its model is on one device, in the precision of its weights.
    rows : int
        The size of the batches.
    max_grad_norm : float or None
        What the gradient's norm is cut to.
    eager : callable
        The step that takes over, with a warning, where there is no compiler, or something cannot be compiled.
    """

    def __init__(self, state: State, rows: int, max_grad_norm: float | None, eager: Step) -> None:
        self.state, self.rows, self.eager = state, rows, eager
        self.max_grad_norm = max_grad_norm
        self.weights = {name: each for name, each in state.model.named_parameters() if each.requires_grad}
        self.detached = {name: each.detach() for name, each in self.weights.items()}
        self.moments: list[tuple[Tensor, Tensor]] = []
        self.units: int | None = None
        function = self._with_adam() if self.has_adam else partial(_gradients, state.model)
        self.graph: Callable[..., Any] = as_graph(function)
        self.refused = why_not(state)
        if self.refused is not None:
            self._tell()

    @property
    def has_adam(self) -> bool:
        """Whether the optimiser is in the graph too; one of a person's own, or an accelerator's, takes its own step."""
        return isinstance(self.state.optimizer, FusedAdam)

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step, and return the batch's figures."""
        if self.refused is not None or batch.n_rows != self.rows or isinstance(batch, RaggedBatch):
            return self.eager(batch)
        before = self.state.generator.get_state()
        given = self._given(batch)
        try:
            figures = self._adam(given) if self.has_adam else self._other(given)
        except Exception as error:  # of dynamo, of the compiler, of the linker: the eager step says what is true of it
            self.refused = said(error)
            self._tell()
            self.state.generator.set_state(before)
            return self.eager(batch)
        if self.state.scheduler is not None:
            self.state.optimizer._opt_called = True  # type: ignore[attr-defined]  # which the schedule asks for
            self.state.scheduler.step()
        return figures

    def _tell(self) -> None:
        tell_why_not(str(self.refused))

    def _given(self, batch: Batch) -> tuple[dict[str, Tensor], Batch, Batch, Drawn]:
        """Return the weights of the terms that rise, the batch, what is shown of it, and what is drawn for its code."""
        model, epoch = self.state.model, self.state.epoch
        shown = model.corrupt(batch, self.state.generator)
        if self.units is None:
            self.units = _units(model, batch)
        normal = None
        if self.units:
            shape = (batch.n_rows, self.units)
            generator = self.state.generator
            normal = torch.randn(shape, generator=generator, device=generator.device, dtype=batch.x.dtype)
        rising = {name: batch.x.new_tensor(model.weight(name, epoch)) for name in model.warm_up}
        return rising, batch, shown, Drawn(normal)

    def _adam(self, given: tuple[dict[str, Tensor], Batch, Batch, Drawn]) -> dict[str, Tensor]:
        optimizer = self.state.optimizer
        assert isinstance(optimizer, FusedAdam)
        if optimizer.begin() or not self.moments:
            states = [optimizer.state[each] for each in self.weights.values()]
            self.moments = [(each["exp_avg"], each["exp_avg_sq"]) for each in states]
        done = optimizer.count() + 1
        # A schedule may change the learning rates and the betas: what changes from step to step comes in a tensor.
        numbers = [
            adam_numbers(group["lr"], group["betas"][0], group["betas"][1], done) for group in optimizer.param_groups
        ]
        with torch.no_grad():
            figures: dict[str, Tensor] = self.graph(
                self.detached, self.moments, torch.tensor(numbers, dtype=torch.float64), *given
            )
        optimizer.add_to_count()
        return figures

    def _with_adam(self) -> Callable[..., dict[str, Tensor]]:
        groups = self.state.optimizer.param_groups
        group_of = {id(weight): i for i, group in enumerate(groups) for weight in group["params"]}
        of_group = [group_of[id(weight)] for weight in self.weights.values()]
        return partial(_adam_step, self.state.model, of_group, groups[0]["eps"], self.max_grad_norm)

    def _other(self, given: tuple[dict[str, Tensor], Batch, Batch, Drawn]) -> dict[str, Tensor]:
        with torch.no_grad():
            graph: Callable[..., tuple[dict[str, Tensor], dict[str, Tensor]]] = self.graph
            gradients, figures = graph(self.detached, *given)
        for name, weight in self.weights.items():
            weight.grad = gradients[name]
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.weights.values(), self.max_grad_norm)
        self.state.optimizer.step()
        return figures


def _units(model: Model, batch: Batch) -> int:
    """Return how many normal numbers a row's code is drawn with."""
    if model.bottleneck.prior is None:
        return 0
    model.eval()
    with torch.no_grad():
        units = model.encode(batch.take(slice(2))).mean.shape[1]
    model.train()
    return units


def _gradients(
    model: Model, weights: dict[str, Tensor], rising: dict[str, Tensor], batch: Batch, shown: Batch, drawn: Drawn
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradient of the loss by the weights, and the batch's figures."""

    def loss_of(weights: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        outcome: Outcome = torch.func.functional_call(model, weights, (batch, shown, drawn))
        weighted = [rising.get(name, model.weight(name)) * term for name, term in outcome.terms.items()]
        loss = functools.reduce(torch.add, weighted).mean()
        return loss, figures_of(model, outcome, loss, batch)

    return torch.func.grad(loss_of, has_aux=True)(weights)


def _adam_step(
    model: Model,
    groups: list[int],
    eps: float,
    max_grad_norm: float | None,
    weights: dict[str, Tensor],
    moments: list[tuple[Tensor, Tensor]],
    numbers: Tensor,
    rising: dict[str, Tensor],
    batch: Batch,
    shown: Batch,
    drawn: Drawn,
) -> dict[str, Tensor]:
    """Take a step of Adam; `numbers` are of each group of weights: the rate, the shares of what is new, and a root."""
    gradients, figures = _gradients(model, weights, rising, batch, shown, drawn)
    if max_grad_norm is not None:
        norm = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt()
        share = (max_grad_norm / (norm + 1e-6)).clamp(max=1)
        gradients = {name: share * gradient for name, gradient in gradients.items()}
    for (name, weight), moments_of, group in zip(weights.items(), moments, groups, strict=True):
        move(weight, moments_of, gradients[name], numbers[group].to(weight).unbind(), eps)
    return figures


def adam_numbers(lr: float, beta1: float, beta2: float, done: int) -> tuple[float, float, float, float]:
    """Return what a step of Adam goes by, `done` steps with it: the rate, the shares of what is new, and a root."""
    return lr / (1 - beta1**done), 1 - beta1, 1 - beta2, (1 - beta2**done) ** 0.5


def move(
    weight: Tensor, moments: tuple[Tensor, Tensor], gradient: Tensor, numbers: Sequence[Tensor], eps: float
) -> None:
    """Change a weight, and its moments, by a step of Adam."""
    first, second = moments
    rate, new, new_square, root = numbers
    first.add_(new * (gradient - first))
    second.add_(new_square * (gradient.square() - second))
    weight.sub_(rate * first / (second.sqrt() / root + eps))
