"""Lightning Fabric's data-parallel strategy on processes that are there already."""

import inspect
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment  # type: ignore[attr-defined]
from lightning_fabric.strategies import DDPStrategy  # type: ignore[attr-defined]
from torch import distributed
from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel

from isthmus.errors import InputError
from isthmus.randomness import is_own
from isthmus.training.ranks import Place

SYNC_BUFFERS = "forward_sync_buffers"
if SYNC_BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    SYNC_BUFFERS = "broadcast_buffers"  # what torch before 2.13 calls it


class LaunchedProcesses(ClusterEnvironment):
    """Processes whose group has been formed; Fabric asks which of them this one is."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    @property
    def main_address(self) -> str:
        """Of no use any more."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Of no use any more."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Tell that it is never found, but given."""
        return False

    def world_size(self) -> int:
        """Return how many processes there are."""
        return self.place.world

    def set_world_size(self, size: int) -> None:
        """Leave it."""

    def global_rank(self) -> int:
        """Return which this one is."""
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        """Leave it."""

    def local_rank(self) -> int:
        """Return which this one is on its machine."""
        return self.place.local_rank

    def node_rank(self) -> int:
        """Return which machine this is."""
        return self.place.rank // self.place.local_world


class DataParallel(DDPStrategy):
    """DDP that looks for weights without a gradient where a person's own modules may have some.

    Buffers it leaves alone: the run takes those of the first process after each epoch, and not before each of several
    forward passes of a step, whose number may differ from process to process.
    """

    module: DistributedDataParallel

    def setup_module(self, module: Module) -> DistributedDataParallel:
        """Wrap the model, and keep the wrapped one."""
        devices = None if self.root_device.type == "cpu" else [self.root_device.index]
        unused = any(map(is_own, module.modules()))
        self.module = DistributedDataParallel(module, devices, find_unused_parameters=unused, **{SYNC_BUFFERS: False})  # type: ignore[arg-type]
        return self.module


def _on_gpus(place: Place, n: int) -> Place:
    """Return which of a machine's GPUs a process takes: the only one where each is shown one of its own."""
    if n >= place.local_world:
        return place
    is_shown_one = n == 1 and "CUDA_VISIBLE_DEVICES" in os.environ
    if not is_shown_one and "nccl" in distributed.get_backend_config():
        raise InputError(
            f"{place.local_world} processes train on this machine, and it has {n} GPUs: take as many, or device='cpu'"
        )
    return place._replace(local_rank=0, local_world=1)


def parallel_fabric(kind: str, precision: str, place: Place) -> Fabric:
    """Return a Fabric of all processes, on an accelerator of that kind."""
    if kind in ("cuda", "gpu", "auto") and torch.cuda.is_available():
        place = _on_gpus(place, torch.cuda.device_count())
    fabric = Fabric(
        accelerator=kind,
        devices=place.local_world,
        num_nodes=place.world // place.local_world,
        strategy=DataParallel(),
        precision=precision,  # type: ignore[arg-type]
        plugins=[LaunchedProcesses(place)],
    )
    fabric.launch()
    return fabric
