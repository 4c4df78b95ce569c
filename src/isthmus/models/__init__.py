"""The estimators: one short class a family."""

from isthmus.models.autoencoder import Autoencoder
from isthmus.models.conditional import ConditionalVariationalAutoencoder
from isthmus.models.contractive import ContractiveAutoencoder
from isthmus.models.denoising import DenoisingAutoencoder
from isthmus.models.loading import load
from isthmus.models.multimodal import MultimodalAutoencoder
from isthmus.models.outlier import OutlierDetector
from isthmus.models.sequence import SequenceAutoencoder
from isthmus.models.sparse import SparseAutoencoder
from isthmus.models.tabular import TabularAutoencoder
from isthmus.models.variational import VariationalAutoencoder

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
    "load",
]
