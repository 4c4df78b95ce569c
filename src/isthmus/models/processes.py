"""The processes of a fit: those that a launcher has started, or those that the fit starts itself."""

import atexit
import copy
import gc
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from pathlib import Path
from pickle import PicklingError
from typing import NamedTuple

import numpy as np
import torch
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError
from sklearn.base import BaseEstimator
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from isthmus.errors import InputError, hushed, warn_caller
from isthmus.threads import at_most, most_threads
from isthmus.training.ranks import Place, place_of_process

START_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for one another to begin."""

COLLECTIVE_TIMEOUT = timedelta(hours=2)
"""How long one waits for what another does alone, such as a callback; one that has died is noticed at once."""

MAPPED_BYTES = 2**20
"""Bytes of an array from which on it is handed over in a file, which all map to memory."""

_one_at_a_time = threading.Lock()
"""A program has one process group: fits that start processes take turns."""

_place: ContextVar[Place | None] = ContextVar("place", default=None)
"""Which of the processes of the fit at hand this one is: a fit in another thread at the same time knows nothing of it.
"""

_complete_start: ContextVar[Callable[[], None] | None] = ContextVar("complete_start", default=None)
"""Waits for those processes, and forms their group: done once the rows are checked, so that mistakes are told at once.
"""


class MappedArray(NamedTuple):
    """An array in a file."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int = 0

    def read(self) -> np.ndarray:
        """Return it, mapped to memory."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def place_now() -> Place | None:
    """Return which process of a fit this one is; None where it trains alone. Those that were started are waited for."""
    complete = _complete_start.get()
    if complete is not None:
        _complete_start.set(None)
        complete()
    return _place.get()


@contextmanager
def processes_of(estimator: BaseEstimator, X: object, y: object, *, may_start: bool = True) -> Iterator[None]:
    """Be one of the processes of a fit: of those that are there, or of as many as the estimator asks for.

    Raises
    ------
    ValueError
        If they cannot be started.
    ConnectionError, ChildProcessError
        If another one has failed.
    """
    devices, nodes = estimator.devices, estimator.nodes
    if (devices, nodes) != (1, 1):
        estimator.check_parameters()
    place = _place.get()
    if place is None and not _one_at_a_time.locked():  # else the group that is there is another thread's
        place = place_of_process(devices * nodes)
    if place is None and devices * nodes == 1:
        yield
        return
    if place is None:
        if not may_start:
            raise InputError(
                f"devices={devices} is for fit: partial_fit starts no processes; set it to 1, or start them by torchrun"
            )
        with _workers(estimator, X, y, devices, nodes):
            yield
        return
    if devices * nodes not in (1, place.world) and place.rank == 0:
        warn_caller(f"devices={devices}, nodes={nodes}: {place.world} processes were started, and all of them train")
    _init_launched_group(place)
    with _being(place), _noticing_failures(), nullcontext() if place.rank == 0 else _silent():
        yield


@contextmanager
def _being(place: Place, complete_start: Callable[[], None] | None = None) -> Iterator[None]:
    """Have this thread know which of the processes it is, and how their start is completed."""
    tokens = _place.set(place), _complete_start.set(complete_start)
    try:
        yield
    finally:
        _place.reset(tokens[0])
        _complete_start.reset(tokens[1])


def _init_launched_group(place: Place) -> None:
    """Form the process group, which stays until the program ends."""
    if distributed.is_initialized():
        return
    where = None if "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ else _address_of_slurm()
    distributed.init_process_group(
        _backend(), init_method=where, rank=place.rank, world_size=place.world, timeout=COLLECTIVE_TIMEOUT
    )
    atexit.register(_destroy_group)


def _address_of_slurm() -> str:
    from lightning_fabric.plugins.environments import SLURMEnvironment  # type: ignore[attr-defined]

    slurm = SLURMEnvironment()
    return f"tcp://{slurm.main_address}:{slurm.main_port}"


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"


def _destroy_group() -> None:
    gc.collect()  # what is left of DDP would end with the program, after its threads, which aborts it
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def _silent() -> Iterator[None]:
    """Leave it to the first process to warn."""
    with hushed(Warning), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _noticing_failures() -> Iterator[None]:
    """Say in a line that another process has failed, and let the others know where this one does."""
    try:
        yield
    except (KeyboardInterrupt, FloatingPointError):
        raise  # as all of them do, after the same step
    except RuntimeError as error:
        _destroy_group()
        if not _is_lost(error):
            raise
        raise ConnectionError("another process of this training has ended: what it said tells why") from error
    except BaseException:
        _destroy_group()  # the others would wait
        raise


def _is_lost(error: RuntimeError) -> bool:
    """Tell whether it is the connection to another process that failed, which torch says in words."""
    said = str(error).lower()
    words = ("connection closed", "connection reset", "broken pipe", "gloo", "nccl", "connection refused")
    return isinstance(error, distributed.DistError) or any(word in said for word in words)


@contextmanager
def _workers(estimator: BaseEstimator, X: object, y: object, devices: int, nodes: int) -> Iterator[None]:
    """Start the other processes of this machine, and be the first of them."""
    node, host, port = _rendezvous(nodes)
    world, threads = devices * nodes, max(1, most_threads() // devices)
    with (
        _one_at_a_time,
        tempfile.TemporaryDirectory(prefix="isthmus-", ignore_cleanup_errors=True) as folder,
    ):
        store = TCPStore(host, port, world, node == 0, START_TIMEOUT, wait_for_workers=False)
        executor = ProcessPoolExecutor(max(devices - 1, 1), env={"OMP_NUM_THREADS": str(threads)})
        rows = _in_files(X, Path(folder) / "X"), _in_files(y, Path(folder) / "y")
        places = [Place(node * devices + i, world, i, devices) for i in range(devices)]
        other = _without_callbacks(estimator)
        try:
            futures = [
                executor.submit(_run_worker, other, *rows, each, (host, store.port), threads, os.getpid())
                for each in places[1:]
            ]
            complete_start = partial(_wait_and_init_group, futures, store, places)
            with (
                _being(places[0], complete_start),
                at_most(threads),
                _noticing_failures(),
                nullcontext() if node == 0 else _silent(),
            ):
                yield
        except ConnectionError as error:
            raise _why_worker_ended(futures, error) from error
        finally:
            _destroy_group()
            executor.shutdown(kill_workers=True)


def _rendezvous(nodes: int) -> tuple[int, str, int]:
    """Return which machine this is, and where the first process is."""
    if nodes == 1:
        return 0, "127.0.0.1", 0
    names = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in names if not os.environ.get(name)]
    if missing or not os.environ["NODE_RANK"].isdecimal() or not os.environ["MASTER_PORT"].isdecimal():
        raise InputError(
            f"nodes={nodes} needs {' and '.join(missing or names)} in the environment of each machine: 0, 1, … in "
            "NODE_RANK, and where the first is in the others; or start the processes by torchrun or srun"
        )
    return int(os.environ["NODE_RANK"]), os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


def _init_group(store: TCPStore, place: Place) -> None:
    distributed.init_process_group(
        _backend(),
        store=PrefixStore("isthmus", store),
        rank=place.rank,
        world_size=place.world,
        timeout=COLLECTIVE_TIMEOUT,
    )


def _without_callbacks(estimator: BaseEstimator) -> BaseEstimator:
    """Return an estimator that trains likewise, and tells of it nobody."""
    other = copy.copy(estimator)
    other.__dict__.pop("_state", None)  # of a partial_fit, which a fit leaves out of account
    other.callbacks, other.verbose = (), 0
    return other


def _in_files(value: object, path: Path) -> object:
    """Put large arrays in files, and leave all else as it is."""
    if isinstance(value, Mapping):
        return {name: _in_files(each, Path(f"{path}-{i}")) for i, (name, each) in enumerate(value.items())}
    if not isinstance(value, np.ndarray) or type(value) not in (np.ndarray, np.memmap):
        return value
    if value.dtype.kind not in "biuf" or value.nbytes < MAPPED_BYTES:
        return value
    np.ascontiguousarray(value).tofile(path)
    return MappedArray(str(path), value.dtype, value.shape)


def _from_files(value: object) -> object:
    if isinstance(value, dict):
        return {name: _from_files(each) for name, each in value.items()}
    return value.read() if isinstance(value, MappedArray) else value


def _wait_and_init_group(futures: list[Future[None]], store: TCPStore, places: list[Place]) -> None:
    """Wait until all processes are there, and form their group; one that fails before ends it."""
    until = time.monotonic() + START_TIMEOUT.total_seconds()
    while not store.check([f"there-{place.rank}" for place in places[1:]]):
        if any(future.done() for future in futures):
            raise ConnectionError("a process of this training could not be started")
        if time.monotonic() > until:
            raise ConnectionError(f"the processes of this training were not there after {START_TIMEOUT}")
        time.sleep(0.02)
    _init_group(store, places[0])


def _run_worker(
    estimator: BaseEstimator, X: object, y: object, place: Place, address: tuple[str, int], threads: int, parent: int
) -> None:
    """Be one of the processes that another one has started."""
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    store = TCPStore(*address, place.world, False, START_TIMEOUT)
    store.set(f"there-{place.rank}", "")
    _init_group(store, place)
    torch.set_num_threads(threads)
    with _being(place):
        estimator.fit(_from_files(X), _from_files(y))


def _exit_with_parent(parent: int) -> None:
    """End this process when the one that has started it has ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _why_worker_ended(futures: list[Future[None]], lost: ConnectionError) -> BaseException:
    """Return what has ended another process, where that is known."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        errors = [future.exception() for future in futures if future.done()]
        found = [error for error in errors if error is not None and not isinstance(error, ConnectionError)]
        if found and isinstance(found[0], TerminatedWorkerError):
            return ChildProcessError(
                "a process of this training was killed, perhaps as memory ran out: free some, or take fewer devices"
            )
        if found and isinstance(found[0], PicklingError | BrokenProcessPool):
            lines = str(found[0].__cause__ or found[0]).strip(' "\n').split("\n")
            cause = lines[-1]  # of a traceback what it ends with
            return InputError(f"devices={len(futures) + 1}: other processes cannot be given what fit was: {cause}")
        if found:
            return found[0]
        time.sleep(0.05)
    return lost
