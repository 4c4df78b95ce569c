"""Penalties, one a file: those that are imported here need nothing but a weight, and `penalties=` takes their names."""

from types import FunctionType

from isthmus.core.penalties.base import Penalty
from isthmus.core.penalties.contractive import contractive as contractive
from isthmus.core.penalties.sparsity import l1 as l1
from isthmus.core.penalties.weight_decay import weight_decay as weight_decay

PENALTIES: dict[str, Penalty] = {name: each for name, each in vars().items() if isinstance(each, FunctionType)}
