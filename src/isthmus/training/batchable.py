"""Which runs can be trained as one batched model: by a rule on their parts, and by a look at what comes of two rows."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.bottlenecks import Deterministic, GaussianBottleneck, SoftThreshold
from isthmus.core.bottlenecks.gaussian import StandardNormal
from isthmus.core.model import Model, outcome_of
from isthmus.core.source import WHOLE
from isthmus.randomness import draws, is_own
from isthmus.training.batched import Run, batched, shares_of, stacked_rows
from isthmus.training.callbacks import EarlyStopping, Progress

MOST_WEIGHTS = 5e5
"""Weights of a model up to which a batched step of several repays: beyond, products of matrices take all the time, and
those of one model find its weights in the processor's cache (`benchmarks/many.py --only sizes`)."""

NOT_STACKED = (nn.modules.batchnorm._BatchNorm, nn.RNNBase, nn.MultiheadAttention, nn.modules.conv._ConvNd)
"""Modules that remember batches, or that vmap cannot take, or for which it is slower than one after the other."""

ASKED = ("epochs", "batch_size", "at_once", "roll_back", "compiled")
"""Options of the loop that are the same for runs that are trained as one, and which the batched loop knows, beside
callbacks; of all others it knows nothing."""

BOTTLENECKS = (Deterministic, GaussianBottleneck, SoftThreshold)

CLOSE = 1e-4
"""How much a loss of the batched model may differ from the model's own, as a share; rounding is far below."""


def shape_of(run: Run) -> tuple[object, ...] | None:
    """Return what runs must have in common to be trained as one; None of a run that must be trained by itself."""
    state, model, options = run.state, run.state.model, run.options
    others = [value for name, value in options.items() if name not in (*ASKED, "callbacks")]
    if any(value not in (None, False, "auto") for value in others) or state.optimize is not None:
        return None
    if state.model.mixed is not None or state.ranks.share != WHOLE:
        return None
    is_plain = state.device.type == "cpu" and str(run.fabric.strategy.precision.precision).endswith("-true")
    if not is_plain or state.epoch or state.history:
        return None
    if not all(isinstance(callback, Progress | EarlyStopping) for callback in options.get("callbacks", ())):
        return None
    if not _stacks(model):
        return None
    batch = run.train.sample(2)
    if isinstance(batch, RaggedBatch):
        return None
    tensors = [
        (name, tuple(each.shape), each.dtype) for name, each in (*model.named_parameters(), *model.named_buffers())
    ]
    shares = [(group["share"], len(group["params"])) for group in state.optimizer.param_groups]
    kinds = [value is None for value in batch] + [model.hiding is None, model.corruption is None]
    sizes = [len(run.train), None if run.validation is None else len(run.validation)]
    asked = [options[name] for name in ASKED]
    return (
        *(repr(model), repr(model.bottleneck), tuple(tensors), tuple(shares), tuple(kinds), tuple(sizes), tuple(asked)),
        *(_of_likelihood(model), tuple((name, _said(each)) for name, each in model.penalties.items()), state.monitor),
        *(model.hidden_only, model.rescaled, model.seen, tuple(sorted(model.warm_up.items())), tuple(model.weights)),
    )


def _stacks(model: Model) -> bool:
    """Tell whether all parts of a model are such as are stacked."""
    parts = list(model.modules())
    if any(isinstance(part, NOT_STACKED) for part in parts) or draws(model) or any(map(is_own, parts)):
        return False
    if type(model.bottleneck) not in BOTTLENECKS:
        return False
    if isinstance(model.bottleneck, GaussianBottleneck) and not isinstance(model.bottleneck.prior, StandardNormal):
        return False
    functions = [*model.penalties.values(), *(each for each in (model.corruption, model.hiding) if each is not None)]
    if any(map(is_own, functions)):
        return False
    weights = list(model.parameters())
    n_weights = sum(weight.numel() for weight in weights)
    return n_weights <= MOST_WEIGHTS and all(weight.requires_grad for weight in weights)


def _said(function: object) -> object:
    if isinstance(function, partial):
        return _said(function.func), repr(function.args), repr(sorted(function.keywords.items()))
    return function


def _of_likelihood(model: Model) -> tuple[object, ...]:
    return type(model.likelihood), model.likelihood.fixed, repr(model.likelihood)


def agree(runs: Sequence[Run]) -> bool:
    """Tell whether the batched model of runs gives of a few rows what each gives by itself."""
    models = [run.state.model for run in runs]
    batches = [run.train.sample(4) for run in runs]
    batches = [batch.take(slice(2)) for batch in batches]
    try:
        own = torch.stack([_loss(model, batch) for model, batch in zip(models, batches, strict=True)])
        stack = {name: torch.stack([dict(model.named_parameters())[name].detach() for model in models])
                 for name, _ in models[0].named_parameters()}  # fmt: skip
        buffers = {name: torch.stack([dict(model.named_buffers())[name] for model in models])
                   for name, _ in models[0].named_buffers()}  # fmt: skip
        skeleton = copy.deepcopy(models[0]).train()
        rows = stacked_rows(models, batches, [_generator() for _ in models])
        weights = {name: weight.requires_grad_() for name, weight in stack.items()}
        _, _, losses = batched(skeleton, None)(weights, buffers, rows, shares_of(models, 0))
        torch.autograd.grad(losses.sum(), list(weights.values()), allow_unused=False)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
        return False  # whatever vmap cannot take: the run by itself says what is wrong, if something is
    return bool(torch.isclose(losses.detach(), own, rtol=CLOSE, atol=CLOSE, equal_nan=True).all())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _loss(model: Model, batch: Batch) -> Tensor:
    model.train()
    with torch.no_grad():
        outcome = outcome_of(model, batch, model.corrupt, _generator())
        return model.row_losses(outcome.terms, 0).mean()
