"""The estimators: one short class a family."""

from isthmus.models.autoencoder import Autoencoder
from isthmus.models.contractive import ContractiveAutoencoder
from isthmus.models.denoising import DenoisingAutoencoder
from isthmus.models.folder import load
from isthmus.models.outlier import OutlierDetector
from isthmus.models.sparse import SparseAutoencoder

__all__ = [
    "Autoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "OutlierDetector",
    "SparseAutoencoder",
    "load",
]
