"""Every kind of autoencoder as a scikit-learn estimator, on PyTorch."""

import os
import sys

from isthmus.starting import end_quietly_until_begun, is_command

if is_command():
    end_quietly_until_begun()  # before what takes a second to import
if "torch" not in sys.modules:  # which reads it once
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait for others sleep, and do not spin

from isthmus.compare import compare
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
from isthmus.sources import datasets

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "ConditionalVariationalAutoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
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
