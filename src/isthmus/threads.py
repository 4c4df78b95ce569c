"""How many threads a computation gets: as many as its size repays, so that small ones leave the other cores alone.

An operation on several threads ends when its slowest does. Where other programs take some of the cores, that one waits
for its turn, several milliseconds, and the rest spin; of operations that take microseconds each, nothing else is left.
The choice goes by sizes alone, never by the clock, so that equal seeds give equal bits.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch
from threadpoolctl import LibController, ThreadpoolController

ASLEEP = os.environ.get("OMP_WAIT_POLICY", "").strip().upper() == "PASSIVE"
"""Whether threads that wait sleep: ``import isthmus`` sees to that, unless torch was imported before it."""

WORTH_A_THREAD = 5e7 if ASLEEP else 5e9
"""Multiply-adds of a step's forward pass that repay a thread; where waiting threads spin, it takes a hundred times more
for the waiting to be short beside the work."""

_most: ContextVar[int | None] = ContextVar("most", default=None)

_lock = threading.Lock()
_users: list[int] = []
"""What was found before, by each thread that is inside: a thread that is new takes torch's number from where these are.
"""

_wanted: list[int] = []
_libraries: list[tuple[LibController, int]] = []
"""What is wanted of BLAS, whose number belongs to the whole process, and what its libraries had before."""

_found: tuple[int, list[LibController]] = (0, [])
"""How many modules there were when libraries were last looked for, and what sets their numbers."""


@contextmanager
def suited_to(work: float, *, blas: bool = False) -> Iterator[int]:
    """Run on as many threads as `work` repays, and put the number back afterwards.

    Never more than there were: a lower number of the user's own holds. Where one is inside another, the inner counts.

    Parameters
    ----------
    work : float
        Multiply-adds of the forward pass of a step, or of a product of matrices.
    blas : bool, default False
        Whether NumPy's and scikit-learn's libraries are to keep to it too, and not torch alone. While several threads
        of the program ask for that, all keep to the lowest number.
    """
    with _lock:
        before = torch.get_num_threads()
        if _most.get() is None:
            before = max(before, *_users) if _users else before
        _users.append(before)
    most = _most.get() or before
    n = int(max(1, min(most, work // WORTH_A_THREAD)))
    token = _most.set(most)
    try:
        with _blas_at_most(n) if blas else nullcontext():
            _set(n)
            yield n
    finally:
        _most.reset(token)
        with _lock:
            _users.remove(before)
            _set(before)


@contextmanager
def at_most(n: int) -> Iterator[None]:
    """Let nothing inside run on more than `n` threads, as where several processes share the cores."""
    token = _most.set(max(1, min(n, _most.get() or torch.get_num_threads())))
    try:
        yield
    finally:
        _most.reset(token)


def most_threads() -> int:
    """Return how many threads a computation gets at the most."""
    return _most.get() or torch.get_num_threads()


def _set(n: int) -> None:
    if torch.get_num_threads() != n:
        torch.set_num_threads(n)


@contextmanager
def _blas_at_most(n: int) -> Iterator[None]:
    """Lower the number of threads of each library that has more."""
    controllers = _controllers()
    with _lock:
        if not _wanted:
            _libraries[:] = [(each, each.num_threads) for each in controllers if each.user_api == "blas"]
        _wanted.append(n)
        _keep_to_the_lowest()
    # OpenMP's number belongs to a thread, and so does its context.
    openmp = [(each, each.num_threads) for each in controllers if each.user_api == "openmp" and each.num_threads > n]
    try:
        for library, _ in openmp:
            library.set_num_threads(n)
        yield
    finally:
        for library, before in openmp:
            library.set_num_threads(before)
        with _lock:
            _wanted.remove(n)
            _keep_to_the_lowest()


def _controllers() -> list[LibController]:
    """Return what sets the numbers of the libraries' threads: a look at all that are loaded takes milliseconds.

    It is taken again once there are other modules, as it is with one that a library comes.
    """
    global _found
    n, controllers = _found
    if n != len(sys.modules):
        n, controllers = len(sys.modules), ThreadpoolController().lib_controllers
        _found = n, controllers
    return controllers


def _keep_to_the_lowest() -> None:
    for library, before in _libraries:
        # From 3.7 on threadpoolctl leaves OpenBLAS to the first thread that asks; here they go by one list.
        limit = getattr(library, "_real_set_num_threads", library.set_num_threads)
        limit(min([before, *_wanted]))
