"""Several processes that train one model: which of them this one is, what its share is, what they tell one another."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from isthmus.core.batch import Batch
from isthmus.core.model import Outcome
from isthmus.core.source import WHOLE, Share, Source, cuts
from isthmus.errors import InputError
from isthmus.randomness import DrawingShare
from isthmus.training.figures import LOOK

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What asks a run to stop, the more urgent first."""


class Place(NamedTuple):
    """Which of the processes of a training one is.

    Attributes
    ----------
    rank, world : int
        Its number, from 0, and how many there are.
    local_rank, local_world : int
        The same on its machine.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int


def place_of_process(wanted: int = 1) -> Place | None:
    """Return which this process is of those that a launcher has started; None where it stands alone.

    A process group that is there already counts, such as Ray Train's; then what ``torchrun`` says; and what Slurm's
    ``srun`` does, where as many processes are `wanted` as it has started.
    """
    said = os.environ
    if distributed.is_available() and distributed.is_initialized():
        rank, world = distributed.get_rank(), distributed.get_world_size()
        local = _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", world)
    elif {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= {*said}:
        rank, world = _number("RANK"), _number("WORLD_SIZE")
        local = _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", world)
    elif wanted > 1 and "SLURM_PROCID" in said and _number("SLURM_NTASKS") == wanted:
        rank, world = _number("SLURM_PROCID"), wanted
        local = _number("SLURM_LOCALID"), world // max(_number("SLURM_NNODES", 1), 1)
    else:
        return None
    return Place(rank, world, *local) if world > 1 else None


def is_one_of_several() -> bool:
    """Tell whether this process is one of several that may train together, also of those that `srun` has started."""
    return place_of_process(_number("SLURM_NTASKS", 1)) is not None


def _number(name: str, default: int = 0) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(f"{name}={text} in the environment is no number: start the processes by torchrun or srun")
    return int(text)


class Alone:
    """One process that trains all by itself: nothing is shared, and nothing is to be agreed on."""

    share = WHOLE

    def batches(self, source: Source, size: int) -> Callable[..., Generator[Batch]]:
        """Return what gives an epoch's batches, by a generator, and how many of them to skip."""
        return partial(source.batches, size)

    def n_rows(self, batch: Batch) -> int:
        """Return how many rows the batch has, of all processes together."""
        return batch.n_rows

    def pooled(self, figures: dict[str, Tensor], outcome: Outcome, batch: Batch) -> dict[str, Tensor]:
        """Return a batch's figures over the rows of all processes."""
        return figures

    def gathered(self, losses: Tensor) -> Tensor:
        """Return what there is of each row of a batch, of all processes' rows in their order."""
        return losses

    def summed(self, *values: float) -> list[float]:
        """Return numbers summed over processes."""
        return [*values]

    def any(self, found: bool) -> bool:
        """Tell whether it holds on any process."""
        return found

    def same(self, value: T) -> T:
        """Return what the first process has."""
        return value

    def check_same(self, rows: Source) -> None:
        """Raise ValueError where processes were given other rows."""

    def broadcast_state(self, model: nn.Module, *generators: torch.Generator) -> None:
        """Take what modules count, such as batch normalisation, and the states of generators from the first one."""

    def drawing(self, own: AbstractContextManager[object]) -> AbstractContextManager[object]:
        """Draw for the batch's rows."""
        return own


class Ranks:
    """The processes that train one model together, as one of them sees them; its methods are those of :class:`Alone`.

    Each takes its share of every batch, and all have the same figures afterwards, by which all decide alike.

    Attributes
    ----------
    own_signal : int
        The signal that this process was sent, or 0.
    any_signal : int
        That of any of them, known to all after the same step.
    """

    def __init__(self, fabric: "Fabric") -> None:
        self.share = Share(fabric.global_rank, fabric.world_size)
        self.device = fabric.device
        self.own_signal = self.any_signal = 0
        self._n, self._own = 0, slice(0, 0)
        self._steps = 0

    def batches(self, source: Source, size: int) -> Callable[..., Generator[Batch]]:
        """Return what gives an epoch's batches, this process's rows of each."""
        sizes = [end - start for start, end in cuts(len(source), size)]
        in_memory = source.excerpt() is source

        def shared(generator: torch.Generator | None, skip: int = 0) -> Generator[Batch]:
            some: Batch | None = None
            with closing(source.batches(size, generator, self.share, skip)) as batches:
                for n, batch in zip(sizes[skip:], batches, strict=True):
                    self._n, self._own = n, self.share.of(n) if in_memory else self._place(batch.n_rows)
                    if batch.n_rows:
                        some = batch
                    elif some is None:
                        raise InputError(f"{len(source)} rows are too few for {self.share.world} processes: take fewer")
                    else:
                        batch = some.take(slice(2))  # so that this process takes part, with no weight
                    yield batch

        return shared

    def _place(self, n_rows: int) -> slice:
        """Return where in a batch this process's rows are, of which a stream gives each process as many as it has."""
        counts = torch.zeros(self.share.world, dtype=torch.int64, device=self.device)
        counts[self.share.rank] = n_rows
        distributed.all_reduce(counts)
        start = int(counts[: self.share.rank].sum())
        return slice(start, start + n_rows)

    def n_rows(self, batch: Batch) -> int:
        """Return how many rows the batch at hand has, of all processes together."""
        return self._n

    def weight(self) -> float:
        """Return what the mean loss of this process's rows counts in the mean over processes.

        So the mean of the gradients is the gradient of the mean over all rows, also where shares are unequal.
        """
        own = self._own.stop - self._own.start
        return 1.0 if own == self._n else own * self.share.world / self._n

    def pooled(self, figures: dict[str, Tensor], outcome: Outcome, batch: Batch) -> dict[str, Tensor]:
        """Return a batch's figures over the rows of all processes; and learn whether one of them is to stop.

        The squared error is a mean over the entries that count, all others are means over rows; what a bottleneck
        counts in a batch is counted in each process's rows, and averaged.
        """
        loss = figures["loss"]
        wide = torch.float32 if loss.device.type == "mps" else torch.float64
        entries = batch.x.numel() if outcome.counted is None else outcome.counted.sum()
        values = torch.stack([value.to(wide) for value in figures.values()])
        own = self._own.stop - self._own.start
        weights = torch.full_like(values, own)
        weights[list(figures).index("mse")] = entries * (own > 0)
        asked = weights.new_tensor([float(self.own_signal == each) for each in SIGNALS])
        summed = torch.cat([torch.where(weights > 0, values * weights, 0), weights, asked])
        distributed.all_reduce(summed)
        values, weights, asked = summed.split([len(values), len(weights), len(SIGNALS)])
        self._steps += 1
        if loss.device.type == "cpu" or self._steps % LOOK == 0:
            self.any_signal = next((each for each, n in zip(SIGNALS, asked.tolist(), strict=True) if n), 0)
        return dict(zip(figures, (values / weights).to(loss.dtype), strict=True))

    def gathered(self, losses: Tensor) -> Tensor:
        """Return what there is of each row of the batch at hand, of all processes' rows in their order."""
        found, own = losses.new_zeros(self._n), self._own
        if self.share.rank == 0 or own.start:
            found[own] = losses
        distributed.all_reduce(found)
        return found

    def summed(self, *values: float) -> list[float]:
        """Return numbers summed over processes."""
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        summed = torch.tensor(values, dtype=wide, device=self.device)
        distributed.all_reduce(summed)
        return summed.tolist()

    def any(self, found: bool) -> bool:
        """Tell whether it holds on any process."""
        return self.summed(float(found))[0] > 0

    def same(self, value: T) -> T:
        """Return what the first process has."""
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def check_same(self, rows: Source) -> None:
        """Raise ValueError, on all processes alike, where one was given other rows than the first."""
        x = rows.sample(100).x
        own = (len(rows), tuple(x.shape[1:]), str(x.dtype), x.nan_to_num().double().sum().item())
        found: list[object] = [None] * self.share.world
        distributed.all_gather_object(found, own)
        other = next((rank for rank, each in enumerate(found) if each != found[0]), None)
        if other is not None:
            raise InputError(
                f"process {other} was given other rows than process 0: give each all rows, of which it takes its share"
            )

    def broadcast_state(self, model: nn.Module, *generators: torch.Generator) -> None:
        """Take what modules count, such as batch normalisation, and the states of generators from the first one."""
        states, counted = self.same(([each.get_state() for each in generators], [*map(Tensor.cpu, model.buffers())]))
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        for buffer, values in zip(model.buffers(), counted, strict=True):
            buffer.copy_(values)

    @contextmanager
    def drawing(self, own: AbstractContextManager[object]) -> Iterator[None]:
        """Draw for all of the batch's rows, and take the numbers of this process's own."""
        with DrawingShare(*self.share, lambda: (self._n, self._own)), own:
            yield
