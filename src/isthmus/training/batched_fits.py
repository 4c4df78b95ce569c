"""Fits that wait for one another before they enter the loop, so that runs of one shape can be trained as one.

A fit is a function that calls others, and in the end the loop. Inside of :func:`fit_batched` each has a thread of its
own, which stops where it comes to the loop until all others have come there, or are over. So whatever surrounds a fit,
a pipeline or a search, need not know of it.
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from isthmus.core.source import Source
from isthmus.threads import suited_to
from isthmus.training import loop
from isthmus.training.batchable import agree, shape_of
from isthmus.training.batched import Run, train_batched
from isthmus.training.loop import Interrupted
from isthmus.training.ranks import is_one_of_several
from isthmus.training.state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FEWEST = 2
"""Runs that are trained as one."""

AT_ONCE = 64
"""Fits that wait for one another, at the most: each holds its rows and its model."""

_place: ContextVar["tuple[BatchedFits, int] | None"] = ContextVar("place", default=None)


def run(fabric: "Fabric", state: State, train: Source, validation: Source | None = None, **options: Any) -> None:
    """Train as :func:`isthmus.training.loop.run` does: by itself, or with others of the same shape where some wait."""
    place = _place.get()
    if place is None:
        loop.run(fabric, state, train, validation, **options)
    else:
        place[0].train(place[1], Run(fabric, state, train, validation, options))


def fit_batched(fits: Sequence[Callable[[], object]], workers: int = 1, at_once: int = AT_ONCE) -> list[object]:
    """Call functions that fit something, and train as one what is of one shape.

    Parameters
    ----------
    fits : sequence of callables
        Each is called once, in a thread of its own.
    workers : int, default 1
        How many of those threads compute beside one another, where they wait for none. It is 1 where this process is
        one of several: all must come to what they do together in the same order.
    at_once : int, default 64
        How many fits are begun before the first must end.

    Returns
    -------
    list
        What each has returned.

    Raises
    ------
    BaseException
        What the first of them in order has raised, once all have ended.
    """
    found: list[object] = []
    workers = 1 if is_one_of_several() else workers
    for start in range(0, len(fits), at_once):
        found += BatchedFits(fits[start : start + at_once], workers).run()
    return found


class BatchedFits:
    """Threads that come to the loop, wait, and go on when their runs are trained."""

    def __init__(self, fits: Sequence[Callable[[], object]], workers: int) -> None:
        self._permits = threading.Semaphore(workers)
        self._in_order = workers == 1
        self._changed = threading.Condition()
        self._busy = len(fits)
        self._arrived: dict[int, Run] = {}
        self._to_train: dict[int, list[Run]] = {}
        self._free: set[int] = set()
        self._aborted = False
        self._results: list[object] = [None] * len(fits)
        self._errors: list[BaseException | None] = [None] * len(fits)
        self._threads = [
            threading.Thread(target=copy_context().run, args=(self._work, i, fit), daemon=True)
            for i, fit in enumerate(fits)
        ]

    def run(self) -> list[object]:
        """Let all begin, train what they come with, again and again, until all are over."""
        try:
            self._start()
            while self._wait_for_all():
                self._train_those_who_wait()
        except BaseException:
            with self._changed:
                self._aborted = True
                self._changed.notify_all()
            raise
        for thread in self._threads:
            thread.join()
        error = next((error for error in self._errors if error is not None), None)
        if error is not None:
            raise error
        return self._results

    def _start(self) -> None:
        """Start all threads; where one computes at a time, each when those before it wait or are over."""
        for i, thread in enumerate(self._threads):
            thread.start()
            if self._in_order:
                with self._changed:
                    while self._busy >= len(self._threads) - i:
                        self._changed.wait()

    def train(self, place: int, run: Run) -> None:
        """Train a run: by itself at once where it has no shape, else when all others wait, too."""
        shape = shape_of(run)
        if shape is not None:
            run.shape = shape
            self._permits.release()
            try:
                self._wait(place, run)
            finally:
                self._permits.acquire()
        if shape is None or run.failed:
            options = run.options if run.options.get("watch") is not None else run.options | {"watch": self._watch}
            loop.run(run.fabric, run.state, run.train, run.validation, **options)

    def _watch(self, state: State) -> None:
        if self._aborted:
            raise Interrupted(2)

    def _wait(self, place: int, run: Run) -> None:
        with self._changed:
            self._arrived[place] = run
            self._busy -= 1
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: place in self._free or place in self._to_train or self._aborted)
                if self._aborted:
                    raise Interrupted(2)
                if place in self._free:
                    self._free.remove(place)
                    return
                runs = self._to_train[place]
            try:
                _train(runs, lambda: self._aborted)  # here, as inside of a fit gradients are taken, whatever is around
            finally:
                with self._changed:
                    del self._to_train[place]
                    self._changed.notify_all()

    def _wait_for_all(self) -> bool:
        """Wait until no thread computes; tell whether some wait for their training."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0)
            return bool(self._arrived)

    def _train_those_who_wait(self) -> None:
        """Have the first of each group train it, and let all go on."""
        groups: dict[object, dict[int, Run]] = {}
        for place, run in sorted(self._arrived.items()):
            groups.setdefault(run.shape, {})[place] = run
        with self._changed:
            for group in groups.values():
                self._to_train[min(group)] = list(group.values())
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._to_train)
            self._busy += len(self._arrived)
            self._free |= set(self._arrived)
            self._arrived.clear()
            self._changed.notify_all()

    def _work(self, place: int, fit: Callable[[], object]) -> None:
        _place.set((self, place))
        try:
            with self._permits, suited_to(0):  # each fit, and each use of its model, takes what repays it
                if not self._aborted:
                    self._results[place] = fit()
        except BaseException as error:
            self._errors[place] = error
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()


def _train(runs: list[Run], stop: Callable[[], bool]) -> None:
    """Train runs of one shape as one; where that does not work, say so: each is then trained by itself."""
    if len(runs) < FEWEST or not agree(runs):
        for run in runs:
            run.failed = True
        return
    state, size = runs[0].state, runs[0].options["batch_size"]
    with suited_to(len(runs) * size * sum(weight.numel() for weight in state.model.parameters())):
        train_batched(runs, stop)
