"""Keeps a run while it goes on: when its checkpoint is written, who may write there, what signals ask for."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from isthmus.saving.atomic import remove_left
from isthmus.saving.attributes import JsonObject
from isthmus.training.checkpoint import CHECKPOINT, check_optimizer_is_kept, read, read_about, write
from isthmus.training.history_file import HISTORY, Records
from isthmus.training.loop import Interrupted
from isthmus.training.ranks import SIGNALS
from isthmus.training.settings import check_products, check_readable, check_same
from isthmus.training.state import State

LOCK = ".lock"


WRITTEN = ("checkpoint", "run", "model", "config", "report")
"""What is written in a run's folder, under temporary names that begin so after a dot."""


SHARE = 20
"""Times as long as writing a checkpoint took, at the least, until the next one at the end of an epoch."""


GUESS = 1e8
"""Bytes a second that the first one is taken to be written at."""


class Checkpoints:
    """Keeps a run's state: at the end of epochs, as long as that costs little, and after so many minutes at the latest.

    At the end of an epoch it is written where the run has gone on for twenty times as long as writing it takes, so that
    keeping a run costs a twentieth; and at the end of the run.

    Parameters
    ----------
    folder : path
        Where ``checkpoint.safetensors`` is kept.
    minutes : float
        Time after which one is written in any case, also inside an epoch.
    about : mapping
        What else the run must find again: its ``seed``, its rows' checksum, its parameters. Of a run that goes on it
        is what it was begun with.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of a run with other rows or parameters, or what is said of the run is longer
        than is read again.
    """

    is_kept = True

    def __init__(self, folder: str | Path, minutes: float, about: JsonObject) -> None:
        self.path = Path(folder) / CHECKPOINT
        self.seconds = 60 * minutes
        self.about = dict(about)
        check_readable(self.about)
        self.asked: int | None = None
        self.took = 0.0
        self.epochs = 0
        self.records = Records(self.path.with_name(HISTORY))
        if self.path.exists():
            found = read_about(self.path)["about"]
            check_same(self.path, self.about, found)
            self.about = found

    def note_products(self, dtype: torch.dtype) -> None:
        """Note in what dtype products of matrices are computed in the training; one that goes on must have the same."""
        if self.path.exists():
            check_products(self.path, self.about, str(dtype))
        else:
            self.about["products"] = str(dtype)

    def restore(self, state: State, epochs: int) -> None:
        """Bring a state to where the checkpoint is; where there is none, leave it at the beginning of its epochs."""
        self.epochs = epochs
        check_optimizer_is_kept(state)
        if self.path.exists():
            read(self.path, state, self.records, epochs)
        # About what it holds at the end of an epoch: weights, two moments of each, the best ones.
        self.took = 4 * sum(weight.numel() * weight.element_size() for weight in state.model.parameters()) / GUESS
        self.written = time.monotonic()

    def __call__(self, state: State) -> None:
        """Write a checkpoint where it is time to.

        Raises
        ------
        Interrupted
            If the process was asked to stop: the checkpoint is written.
        OSError
            If it cannot be written; the one before is untouched.
        """
        began = time.monotonic()
        if not self._is_due(state, began - self.written) and self.asked is None:
            return
        write(self.path, state, self.about, self.records)
        self.written = time.monotonic()
        self.took = self.written - began
        if self.asked is not None:
            raise Interrupted(self.asked)

    def _is_due(self, state: State, since: float) -> bool:
        """Tell whether it is time to write, so many seconds after the last one."""
        if since > self.seconds:
            return True
        at_the_end = state.stopped or state.epoch == self.epochs
        return state.position is None and (at_the_end or since >= SHARE * self.took)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep other processes out, and let Ctrl-C and SIGTERM wait for the end of a step and its checkpoint.

        Raises
        ------
        OSError
            If another process is there.
        """
        with locked(self.path.parent), handling(SIGNALS, self._ask):
            yield
            if self.asked is not None:
                raise Interrupted(self.asked)  # after the last step: the run is kept as it is

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = number


@contextmanager
def handling(signals: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have signals answered by a function; in a thread other than the main one, which alone may, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, its in before.items():
            signal.signal(number, its)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder, until this one leaves it or dies."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, blocking=False, is_singleton=True)  # a run may ask again for what it has
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(
            f"another process is training in {folder}: wait for it, or give another folder"
        ) from error
    try:
        for name in WRITTEN:
            for stray in folder.glob(f".{name}-*"):
                remove_left(stray)  # what a killed process was writing
        yield
    finally:
        lock.release()
