"""What modules draw by themselves comes from a run's own generator.

Torch has one for the whole process, which threads that train, and the program around them, would change for one
another.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isthmus.errors import InputError


class DrawingFrom(TorchDispatchMode):
    """Inside of it, and in this thread alone, all that draws from torch's own generator draws from another.

    On the CPU the numbers are those that torch's own would have given with the same state. Kernels of an accelerator
    that draw inside, cuDNN's LSTM and fused attention, go on with the device's own.

    Parameters
    ----------
    generator : Generator
        What to draw from, for tensors on its device.

    Examples
    --------
    >>> layer = nn.Dropout(0.5)
    >>> with DrawingFrom(torch.Generator().manual_seed(0)):
    ...     once = layer(torch.ones(8))
    >>> with DrawingFrom(torch.Generator().manual_seed(0)):
    ...     again = layer(torch.ones(8))
    >>> torch.equal(once, again)
    True
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        """Hand the generator to an operation that draws and was given none."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or not self._is_for(args, kwargs):
            return func(*args, **kwargs)
        if func is torch.ops.aten.native_dropout.default:
            return self._native_dropout(*args, **kwargs)
        seeded = _with_generator(func)
        if seeded is None or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        return seeded(*args, **kwargs | {"generator": self.generator})

    def _is_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether an operation's result is on the generator's device."""
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        device = tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
        return device.type == self.generator.device.type

    def _native_dropout(
        self, x: torch.Tensor, p: float, train: bool | None = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do what the fused kernel does, which takes no generator."""
        if train is False:
            return x.clone(), torch.ones_like(x, dtype=torch.bool)
        kept = torch.empty_like(x).bernoulli_(1 - p, generator=self.generator)
        return x * kept / max(1 - p, torch.finfo(x.dtype).tiny), kept.bool()


class DrawingShare(TorchDispatchMode):
    """Inside of it a process that has a share of a batch's rows draws for all of them, and keeps its own rows' numbers.

    So each row gets the numbers that it would have had in one process, and the generators of all processes stay equal.
    What is drawn with a generator, and is not of as many rows as the share, is drawn for each process in turn.

    Parameters
    ----------
    rank, world : int
        The number of the process, and how many there are.
    rows : callable
        Gives the rows of the batch at hand, and which of them are the process's own.
    """

    def __init__(self, rank: int, world: int, rows: Callable[[], tuple[int, slice]]) -> None:
        super().__init__()
        self.rank, self.world, self.rows = rank, world, rows

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        """Let an operation that draws with a generator draw more, and return a part."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator") is None:
            return func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        if "size" in names and args[names.index("size")]:
            place = names.index("size")
            size = args[place]
            whole, own = self._whole(size[0])
            return func(*args[:place], [whole, *size[1:]], *args[place + 1 :], **kwargs)[own]
        first = args[0] if args else None
        if not isinstance(first, torch.Tensor) or not first.ndim:
            return func(*args, **kwargs)
        whole, own = self._whole(len(first))
        result = func(*(_padded(each, len(first), whole, own) for each in args), **kwargs)
        return first.copy_(result[own]) if func._schema.is_mutable else result[own]

    def _whole(self, rows: int) -> tuple[int, slice]:
        """Return how many rows are drawn instead of so many, and which of them are kept."""
        n, own = self.rows()
        if rows == own.stop - own.start:
            return n, own
        return rows * self.world, slice(rows * self.rank, rows * (self.rank + 1))


def _padded(value: object, rows: int, whole: int, own: slice) -> object:
    """Put a tensor of so many rows among as many ones as make the whole, by which no other process's draws go."""
    if not isinstance(value, torch.Tensor) or not value.ndim or len(value) != rows:
        return value
    padded = value.new_ones(whole, *value.shape[1:])
    padded[own] = value
    return padded


class DrawingNothing(TorchDispatchMode):
    """Refuse to draw: where a module is computed again for its gradient it would draw other numbers than before.

    ``torch.utils.checkpoint`` puts back the state of torch's own generator, and knows of no other.

    Raises
    ------
    ValueError
        At the first operation that draws.
    """

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Let through what draws nothing."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise InputError(
                "a module of the network draws random numbers again while its gradient is taken, and they would be "
                "others than before: leave dropout and the like out of torch.utils.checkpoint"
            )
        return func(*args, **(kwargs or {}))


@cache
def _with_generator(func: OpOverload) -> OpOverload | None:
    """Return the overload of an operation that takes a generator: itself, or one with the same arguments beside."""
    names = {argument.name for argument in func._schema.arguments}
    for each in (func, *(getattr(func.overloadpacket, name) for name in func.overloadpacket.overloads())):
        if {argument.name for argument in each._schema.arguments} == names | {"generator"}:
            return each
    return None


def draws(*modules: nn.Module) -> bool:
    """Tell whether modules may draw random numbers when they are called: dropout, or what is not torch's or ours."""
    return any(map(_draws, (part for module in modules for part in module.modules())))


def is_own(part: object) -> bool:
    """Tell whether a module, another object or a function is a person's own, which may do anything."""
    if isinstance(part, partial):
        return any(is_own(each) for each in (part.func, *part.args, *part.keywords.values()) if callable(each))
    return str(part.__module__).partition(".")[0] not in ("torch", "isthmus")


def _draws(part: nn.Module) -> bool:
    if isinstance(part, _DropoutNd):
        return part.p > 0
    if isinstance(part, nn.RNNBase | nn.MultiheadAttention):
        return part.dropout > 0
    return is_own(part) or isinstance(part, nn.RReLU | nn.FractionalMaxPool2d | nn.FractionalMaxPool3d)


@contextmanager
def generator_of(device: torch.device, seed: int) -> Iterator[torch.Generator]:
    """Give a run what its modules draw from, seeded: a generator of its own.

    On CUDA it is the device's own, put back afterwards, as some kernels draw from no other.
    """
    if device.type != "cuda":
        yield torch.Generator(device).manual_seed(seed)
        return
    generator = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    before = generator.get_state()
    try:
        yield generator.manual_seed(seed)
    finally:
        generator.set_state(before)


_building = threading.RLock()


@contextmanager
def building(generator: torch.Generator) -> Iterator[None]:
    """Build modules: their weights are drawn from a generator, in float32 whatever torch's default is.

    That default belongs to the whole process, so where it is another, other threads see float32 for as long.
    """
    with _building:
        before = torch.get_default_dtype()
        if before != torch.float32:
            torch.set_default_dtype(torch.float32)
        try:
            with DrawingFrom(generator):
                yield
        finally:
            if before != torch.float32:
                torch.set_default_dtype(before)
