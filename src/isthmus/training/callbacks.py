"""Callables that are handed each epoch's record; one that returns True ends the training.

A record is ``{"epoch": 3, "seconds": 1.2, "train": {term: value, "loss": …, "mse": …}, "validation": {…}}``, where
``"validation"`` is there only with validation rows. Appending to a list is such a callable: so the history is kept.
"""

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from isthmus.saving.attributes import JsonObject

Record = JsonObject
"""What is known of an epoch: see above."""

Callback = Callable[[Record], bool | None]


class EarlyStopping:
    """Ask to stop when a measure of the validation rows has not fallen for `patience` epochs.

    Parameters
    ----------
    patience : int
        Epochs to wait for a lower one.
    monitor : str, default "loss"
        Which measure of the record.
    """

    def __init__(self, patience: int, monitor: str = "loss") -> None:
        self.patience = patience
        self.monitor = monitor
        self.lowest = float("inf")
        self.epoch = 0

    def __call__(self, record: Record) -> bool:
        """Return True where it is time to stop."""
        value = record["validation"][self.monitor]
        if value < self.lowest:
            self.lowest, self.epoch = value, record["epoch"]
        return bool(record["epoch"] - self.epoch >= self.patience)


class Progress:
    """A bar on the terminal with the latest loss; nothing at all where `shown` is false.

    Parameters
    ----------
    max_epochs : int
        The bar's length.
    shown : bool, default True
        Whether to draw it.
    """

    def __init__(self, max_epochs: int, shown: bool = True) -> None:
        counted = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"))
        self._bar = Bar(*counted, TimeRemainingColumn(), TextColumn("{task.fields[loss]}"), disable=not shown)
        self._task = self._bar.add_task("training", total=max_epochs, loss="")

    def __call__(self, record: Record) -> None:
        """Move the bar on."""
        losses = [f"loss {record['train']['loss']:.5g}"]
        if "validation" in record:
            losses.append(f"held out {record['validation']['loss']:.5g}")
        self._bar.update(self._task, completed=record["epoch"], loss=", ".join(losses))

    def end_with(self, best_epoch: int, held_out: float | None, monitor: str = "loss") -> None:
        """Show the epoch whose weights are kept, and their loss on held-out rows, in place of the last one's."""
        loss = "" if held_out is None else f", {monitor} held out {held_out:.5g}"
        self._bar.update(self._task, loss=f"kept: epoch {best_epoch}{loss}")

    def __enter__(self) -> Self:
        with suppress(LiveError):  # of a fit inside or beside another; from 14.1 on rich shows several
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
