"""Lightning Fabric: the device, the precision, and rows on their way to the device and back, batch by batch."""

import copy
import functools
import logging
import math
import numbers
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from isthmus.core.batch import Batch, RaggedBatch, of_one_length
from isthmus.core.model import Model
from isthmus.core.source import Source
from isthmus.errors import InputError, warn_caller
from isthmus.formats.given import Given
from isthmus.formats.rows import in_unit_interval
from isthmus.formats.sequences import Ragged
from isthmus.networks.mlp import TiedLinear
from isthmus.randomness import DrawingFrom
from isthmus.threads import suited_to
from isthmus.training.ranks import Place

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = ("auto", "32-true", "64-true", "16-mixed", "bf16-mixed")

EXACT_UP_TO = 250_000
"""Numbers in a table of float64 up to which it is trained on in float64."""

INFERENCE_BATCH = 2048
"""Rows that are encoded or decoded at once, at the most."""

INFERENCE_NUMBERS = 2**21
"""Numbers in them, at the most: wide rows take their turn in smaller batches."""


def new_fabric(device: str, precision: Any, place: Place | None = None) -> "Fabric":
    """Take the device, "auto" being the best there is; of several processes each its own."""
    kind, _, index = str(device).partition(":")
    if precision == "16-mixed" and (kind == "cpu" or (kind == "auto" and not _has_accelerator())):
        warn_caller("precision='16-mixed' is for accelerators: on the CPU 'bf16-mixed' takes its place")
        precision = "bf16-mixed"
    if place is not None and index:
        raise InputError(f"device={device!r} is one device, and {place.world} processes train: give {kind!r}")
    try:
        if place is not None:
            from isthmus.models.ddp import parallel_fabric  # which imports all of Lightning Fabric

            return parallel_fabric(kind, precision, place)
        fabric = _fabric if str(precision).endswith("-true") else _fabric.__wrapped__  # others may count overflows
        return fabric(kind, int(index) if index else None, precision)
    except InputError:
        raise
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device={device!r} with precision={precision!r} is not to be had: {reason}") from error


@functools.cache
def _fabric(kind: str, index: int | None, precision: Any) -> "Fabric":
    """Return what trains on one device: it knows nothing of a model, and looks through all installed packages."""
    from lightning_fabric import Fabric  # which imports torch.compile's parts, a second: models in use do without

    return Fabric(accelerator=kind, devices=1 if index is None else [index], precision=precision)


@contextmanager
def fabric_speaks(verbose: object) -> Iterator[None]:
    """Keep back, unless `verbose` is above 1, what Fabric logs: it advises on a trainer that nobody has called."""
    token = _is_loud.set(isinstance(verbose, numbers.Real) and float(verbose) > 1)
    try:
        yield
    finally:
        _is_loud.reset(token)


_is_loud: ContextVar[bool] = ContextVar("is_loud", default=True)
# The level of a logger would belong to all threads.
logging.getLogger("lightning_fabric.utilities.rank_zero").addFilter(
    lambda record: record.levelno >= logging.WARNING or _is_loud.get()
)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute as a program does that has entered no inference mode, autocast or default device of its own."""
    with torch.inference_mode(False), ExitStack() as entered:
        if torch.get_default_device().type != "cpu":
            # It is a mode of torch's functions; another one inside would still bar attention's fast path.
            entered.enter_context(torch._C.DisableTorchFunction())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                entered.enter_context(torch.autocast(kind, enabled=False))
        yield


def chosen_precision(precision: str, device: str, given: np.dtype, size: int, before: torch.dtype | None) -> str:
    """Take float64 for a table of float64 where it costs nothing to speak of; a model goes on in what it has."""
    if precision != "auto":
        return precision
    if before is not None:
        return "64-true" if before == torch.float64 else "32-true"
    return "64-true" if given == np.float64 and size <= exact_up_to(precision, device) else "32-true"


def exact_up_to(precision: str, device: str) -> float:
    """Return the size of a table of float64, in numbers, up to which it is trained on in float64."""
    if precision != "auto":
        return math.inf if str(precision).startswith("64") else -1
    on_cpu = device == "cpu" or (device == "auto" and not _has_accelerator())
    return EXACT_UP_TO if on_cpu else -1


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def to_batch(given: Given, dtype: torch.dtype, device: torch.device) -> Batch:
    """Bring rows, with NaN where they have it, and their context to the device."""
    rows, context, hidden = given
    if isinstance(rows, Ragged):
        steps = torch.tensor(rows.steps, dtype=dtype, device=device)
        lengths, starts = (torch.from_numpy(each).to(device) for each in (rows.lengths, rows.starts))
        return RaggedBatch.of(steps, lengths, starts, rows.future_steps)
    numbers = in_unit_interval(rows)
    # Nothing changes rows in place but what hides entries of them: the memory may be the caller's.
    share = hidden is None and numbers.flags.carray
    x = (torch.from_numpy(numbers).to(device, dtype)) if share else torch.tensor(numbers, dtype=dtype, device=device)
    x = x.contiguous()  # a dataframe's columns may lie one after the other, which rounds otherwise
    if hidden is not None:
        x[torch.tensor(np.ascontiguousarray(hidden), device=device)] = torch.nan
    return Batch(x, None if context is None else torch.tensor(context, dtype=dtype, device=device))


def inference_batch(width: int) -> int:
    """Return how many rows of so many numbers are encoded or decoded at once."""
    return max(1, min(INFERENCE_BATCH, INFERENCE_NUMBERS // max(width, 1)))


def work_of_a_step(model: Model, train: Source, batch_size: int) -> float:
    """Return the multiply-adds of a forward pass for one batch, where the model can be trained on such batches."""
    two = train.sample(2)
    if batch_size == 1 or len(train) == 1:
        check_single_rows(model, two)
    return batch_size * work_of_a_row(model, two)


def work_of_a_row(model: Model, rows: Batch) -> float:
    """Return the multiply-adds of a forward pass for one row; of a recurrence, those of one of its steps.

    Convolutions and attention use a weight in many places: those are counted as torch meets them, on two rows, and with
    a gradient, as torch fuses what it does not count where there is none. A recurrence it counts not at all: it uses
    each weight once a step, and its steps wait for one another.
    """
    model.eval()
    two = rows.take(slice(2))
    with DrawingFrom(torch.Generator(two.x.device)), torch.enable_grad(), _Flops() as counter:
        model.decode(model.encode(two).mean, two.context)
    return max(counter.total / 2 / len(two.x), n_weights(model))


class _Flops(TorchDispatchMode):
    """Counts floating-point operations by torch's formulas, in this thread alone.

    Torch's own counter hangs hooks on the modules of all threads.
    """

    total = 0.0

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def check_single_rows(model: Model, rows: Batch) -> None:
    """Raise ValueError where the network cannot be trained on one row at a time: it has no variance over a batch."""
    if not any(isinstance(part, _BatchNorm) for part in model.modules()):
        return
    one = rows.take(slice(1))
    trained = copy.deepcopy(model).train()
    try:
        with DrawingFrom(torch.Generator(one.x.device)), torch.no_grad():
            trained.decode(trained.encode(one).mean, one.context)
    except ValueError as error:
        raise InputError(
            "batch normalisation needs two rows or more in a batch, and gets one: give a larger batch_size, or a "
            "network with normalization='layer' or None"
        ) from error


def row_width(model: Model) -> int:
    """Return how many numbers a row is, or the encoder is given of it where these are more."""
    return max(model.fill.numel(), getattr(model.inputs, "width", 0))


def n_weights(model: Model) -> int:
    """Return how many numbers a model learns."""
    return sum(weight.numel() for weight in model.parameters())


def in_batches(
    model: Model,
    function: Callable[[Model, Batch], Tensor],
    given: Given,
) -> Any:
    """Apply a function of the model to rows, batch by batch, in the rows' own dtype: what it gives, of each row.

    Where memory runs out, a batch is tried again with half of its rows, and so are those after it.
    """
    weight = next(model.parameters())
    dtype = torch.promote_types(weight.dtype, torch.from_numpy(np.empty(0, given.x.dtype)).dtype)
    if weight.device.type == "mps":
        dtype = torch.float32  # all that it has
    model = model if dtype == weight.dtype else copy.deepcopy(model).to(dtype)
    if isinstance(given.x, Ragged):
        return _in_batches_by_length(model, function, given.x, dtype)
    size = min(inference_batch(max(row_width(model), math.prod(given.x.shape[1:]))), len(given.x))
    with suited_to(size * n_weights(model)):
        return _in_batches(model, function, given, dtype, size)


def _in_batches_by_length(
    model: Model, function: Callable[[Model, Batch], Tensor], rows: Ragged, dtype: torch.dtype
) -> np.ndarray | Ragged:
    """Go through sequences in batches of about one length; results are in the order of the rows.

    Where they are sequences of the same lengths, they are stored likewise.
    """
    results: Any = None
    for alike in of_one_length(torch.from_numpy(rows.lengths)):
        size = inference_batch(int(rows.lengths[alike.numpy()].max()) * rows.shape[2])
        for part in map(Tensor.numpy, alike.split(size)):
            given = Given(*rows.take(part))
            with suited_to(len(part) * n_weights(model)):
                values = _in_batches(model, function, given, dtype, len(part))
            are_rows = values.shape == given.x.shape
            if results is None:
                results = rows.like(np.empty_like(rows.steps)) if are_rows else None
                results = np.empty((len(rows), *values.shape[1:]), values.dtype) if results is None else results
            if are_rows:
                results.put(part, values)
            else:
                results[part] = values
    return results


def _in_batches(
    model: Model, function: Callable[[Model, Batch], Tensor], given: Given, dtype: torch.dtype, size: int
) -> np.ndarray:
    n, start, device = len(given.x), 0, next(model.parameters()).device
    results = None
    while start < n:
        part = slice(start, start + size)
        try:
            with plain_torch(), torch.no_grad():
                batch = model.filled(to_batch(given.take(part), dtype, device))
                values = function(model, batch).cpu().numpy()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise MemoryError(OUT_OF_MEMORY.format(device)) from error
            size //= 2
            continue
        if results is None:
            results = np.empty((n, *values.shape[1:]), given.dtype)
        results[part] = values
        start += size
    assert results is not None, "there is a row, at the least"
    return results


@contextmanager
def restoring_on_error(attributes: dict[str, object], verbose: object) -> Iterator[None]:
    """Put all attributes back where something is raised: a fit that fails leaves the last one as it was.

    What is done beside the steps of the training, and PCA, repays no more than one thread.
    """
    before = dict(attributes)
    try:
        with out_of_memory_in_one_line(), suited_to(0), fabric_speaks(verbose), plain_torch(), torch.enable_grad():
            yield
    except BaseException:
        attributes.clear()
        attributes.update(before)
        raise


OUT_OF_MEMORY = "memory has run out on {}, even for one row at a time: free some, or take a smaller network"

OUT_OF_MEMORY_IN_FIT = (
    "memory has run out in training: give fewer rows or columns, a smaller batch size, or a smaller network"
)


@contextmanager
def out_of_memory_in_one_line() -> Iterator[None]:
    """Say in a line where memory has run out in a fit; what Python and torch raise then says nothing, or pages."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(OUT_OF_MEMORY_IN_FIT) from error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether it is memory that there was too little of; torch on the CPU says so in words alone."""
    said = str(error).lower()
    words = ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc", "bad allocation")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(each in said for each in words)


def encode(model: Model, batch: Batch) -> Tensor:
    """Return the codes' means."""
    return model.encode(batch).mean


def decode(model: Model, batch: Batch) -> Tensor:
    """Return the mean of the rows that a batch of codes stands for."""
    return model.decode(batch.x, batch.context).mean


def rebuild(model: Model, batch: Batch) -> Tensor:
    """Encode and decode."""
    return model.decode(encode(model, batch), batch.context).mean


def activations(model: Model, batch: Batch) -> Tensor:
    """Return what every hidden layer gives, one after the other: the encoder's, the code, the decoder's."""
    taken: list[Tensor] = []
    model = copy.deepcopy(model)  # as other threads that use it would run into the hooks
    # What a layer but the first is given is what the hidden one before it gives, after its activation.
    layers = [_linear_layers(part)[1:] for part in (model.encoder, model.decoder)]
    for layer in (layer for part in layers for layer in part):
        layer.register_forward_pre_hook(lambda _, x: taken.append(x[0]))
    code = model.encode(batch).mean
    taken.append(code)
    model.decode(code, batch.context)
    return torch.cat(taken, dim=1)


def n_activations(model: Model) -> int:
    """Return how many numbers :func:`activations` gives of a row."""
    with torch.no_grad():
        one = model.fill[None]
        return activations(model, Batch(one)).shape[1]


def _linear_layers(part: nn.Module) -> list[nn.Module]:
    deep = getattr(getattr(part, "path", None), "deep", None)
    if not hasattr(part, "path"):
        raise InputError("layers='all' is for a network whose layers are known: take MLP")
    return [] if deep is None else [layer for layer in deep if isinstance(layer, nn.Linear | TiedLinear)]
