"""A run of several processes: the first one keeps it, all stop after the same step, and all go on from one state."""

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING

import torch

from isthmus.training.keeper import Checkpoints, handling
from isthmus.training.loop import Interrupted
from isthmus.training.ranks import SIGNALS, Alone, Ranks
from isthmus.training.state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PLAIN = ("epoch", "history", "halvings", "stopped", "best", "position", "start")
"""What of a state is no module, optimiser or generator."""


class RanksKeeper:
    """What keeps a run of several processes, as :class:`Checkpoints` does of one.

    Parameters
    ----------
    ranks : Ranks
        The processes.
    is_kept : bool
        Whether the run is kept.
    kept : Checkpoints, optional
        What writes it: on the first process.
    """

    def __init__(self, ranks: Ranks, is_kept: bool, kept: Checkpoints | None = None) -> None:
        self.ranks, self.is_kept, self.kept = ranks, is_kept, kept

    def note_products(self, dtype: torch.dtype) -> None:
        """Note in what dtype products of matrices are computed."""
        if self.kept is not None:
            self.kept.note_products(dtype)

    def restore(self, state: State, epochs: int) -> None:
        """Bring the state of each process to where the checkpoint is."""
        if self.kept is not None:
            self.kept.restore(state, epochs)
        if not self.is_kept:
            return
        content = io.BytesIO()
        if self.ranks.share.rank == 0:
            torch.save(_content(state), content)
        found = self.ranks.same(content.getvalue())
        if self.ranks.share.rank > 0:
            _take(state, found)

    def __call__(self, state: State) -> None:
        """Write a checkpoint where it is time to, and stop where any process was asked to.

        Raises
        ------
        KeyboardInterrupt
            If so; an :class:`Interrupted` where the run is kept.
        """
        number = self.ranks.any_signal
        if self.kept is not None:
            self.kept.asked = number or None
            self.kept(state)
        if number:
            self.ranks.own_signal = self.ranks.any_signal = 0
            raise Interrupted(number) if self.is_kept else KeyboardInterrupt

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep other runs out, and let signals wait for the end of a step: of SIGTERM where the run is kept."""
        answered = SIGNALS if self.is_kept else (signal.SIGINT,)
        with nullcontext() if self.kept is None else self.kept.running(), handling(answered, self._ask):
            yield
            if self.ranks.own_signal:  # after the last step
                raise Interrupted(self.ranks.own_signal) if self.is_kept else KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.ranks.own_signal = number


Keeper = Checkpoints | RanksKeeper
"""What keeps a run."""


def ranks_of(fabric: "Fabric") -> Alone | Ranks:
    """Return the processes that train together."""
    return Ranks(fabric) if fabric.world_size > 1 else Alone()


def keeper_of(ranks: Alone | Ranks, kept: Checkpoints | None, *, is_kept: bool = False) -> Keeper | None:
    """Return what keeps a run, and where there are several processes stops it on all of them."""
    return RanksKeeper(ranks, ranks.same(is_kept), kept) if isinstance(ranks, Ranks) else kept


def _content(state: State) -> dict[str, object]:
    """Return what a checkpoint holds of a state."""
    return {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scheduler": None if state.scheduler is None else state.scheduler.state_dict(),
        "generator": state.generator.get_state(),
        "draws": state.draws.get_state(),
        **{name: getattr(state, name) for name in PLAIN},
    }


def _take(state: State, content: bytes) -> None:
    """Bring a state to that of the first process, on the own device."""

    def place(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        return storage if location == "cpu" else storage.to(device=state.device)

    # It comes from a process of the same run, and was written to no file.
    found = torch.load(io.BytesIO(content), map_location=place, weights_only=False)  # type: ignore[arg-type]
    state.model.load_state_dict(found["model"])
    state.optimizer.load_state_dict(found["optimizer"])
    if state.scheduler is not None:
        state.scheduler.load_state_dict(found["scheduler"])
    state.generator.set_state(found["generator"])
    state.draws.set_state(found["draws"])
    for name in PLAIN:
        setattr(state, name, found[name])
