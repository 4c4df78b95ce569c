"""How many threads a computation gets: as many as its size repays, so that small ones leave the other cores alone.

An operation on several threads ends when its slowest does. Where other programs take some of the cores, that one waits
for its turn, several milliseconds, and the rest spin; of operations that take microseconds each, nothing else is left.
The choice goes by sizes alone, never by the clock, so that equal seeds give equal bits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from threadpoolctl import ThreadpoolController

ASLEEP = os.environ.get("OMP_WAIT_POLICY", "").strip().upper() == "PASSIVE"
"""Whether threads that wait sleep: ``import isthmus`` sees to that, unless torch was imported before it."""

WORTH_A_THREAD = 5e7 if ASLEEP else 5e9
"""Multiply-adds of a step's forward pass that repay a thread; where waiting threads spin, it takes a hundred times more
for the waiting to be short beside the work."""

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def suited_to(work: float, *, blas: bool = False) -> Iterator[int]:
    """Run on as many threads as `work` repays, and put the number back afterwards.

    Never more than there were: a lower number of the user's own holds. Where one is inside another, the inner counts.

    Parameters
    ----------
    work : float
        Multiply-adds of the forward pass of a step, or of a product of matrices.
    blas : bool, default False
        Whether NumPy's and scikit-learn's libraries are to keep to it too, and not torch alone.
    """
    before = torch.get_num_threads()
    most = _most.get() or before
    n = int(max(1, min(most, work // WORTH_A_THREAD)))
    token = _most.set(most)
    try:
        if blas:
            with _blas_at_most(n):
                _set(n)
                yield n
        else:
            _set(n)
            yield n
    finally:
        _set(before)
        _most.reset(token)


def _set(n: int) -> None:
    if torch.get_num_threads() != n:
        torch.set_num_threads(n)


@contextmanager
def _blas_at_most(n: int) -> Iterator[None]:
    """Lower the number of threads of each library that has more."""
    controller = ThreadpoolController()
    more = {library.prefix: n for library in controller.lib_controllers if library.num_threads > n}
    with controller.limit(limits=more):
        yield
