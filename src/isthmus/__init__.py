"""Every kind of autoencoder as a scikit-learn estimator, on PyTorch."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from isthmus.starting import end_quietly_until_begun, is_command

if is_command():
    end_quietly_until_begun()  # before what takes a second to import
if "torch" not in sys.modules:  # which reads it once
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait for others sleep, and do not spin

if TYPE_CHECKING:
    from isthmus import data as data
    from isthmus import networks as networks
    from isthmus.comparison import compare
    from isthmus.models import (
        Autoencoder,
        ConditionalVariationalAutoencoder,
        ContractiveAutoencoder,
        DenoisingAutoencoder,
        MultimodalAutoencoder,
        OutlierDetector,
        SequenceAutoencoder,
        SparseAutoencoder,
        TabularAutoencoder,
        VariationalAutoencoder,
        load,
    )
    from isthmus.search import GridSearch
    from isthmus.sources import datasets

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "ConditionalVariationalAutoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "GridSearch",
    "MultimodalAutoencoder",
    "OutlierDetector",
    "SequenceAutoencoder",
    "SparseAutoencoder",
    "TabularAutoencoder",
    "VariationalAutoencoder",
    "compare",
    "datasets",
    "load",
]

_MODULES = {
    "datasets": "isthmus.sources.datasets",
    **{
        name: f"isthmus.{name}"
        for name in (
            "cli", "comparison", "core", "data", "errors", "evaluation", "formats", "models", "networks", "parts",
            "randomness", "report", "reproduce", "runs", "saving", "search", "sources", "threads", "training",
        )
    },
}  # fmt: skip
"""Attributes of the package that are modules."""

_ROOMS = {"compare": "comparison", "GridSearch": "search"}
"""Where those names are defined that are no models."""


def __getattr__(name: str) -> Any:
    """Import what a name stands for when it is first asked for: PyTorch alone takes more than a second."""
    if name in _MODULES:
        found = import_module(_MODULES[name])
    elif name in __all__:
        found = getattr(import_module(f"isthmus.{_ROOMS.get(name, 'models')}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
