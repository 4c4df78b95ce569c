"""The denoising autoencoder."""

from dataclasses import dataclass
from typing import Literal

from isthmus.core.corruption import Noise
from isthmus.models.base import AbstractAutoencoder


@dataclass(eq=False, repr=False)
class DenoisingAutoencoder(AbstractAutoencoder):
    """An autoencoder that is shown corrupted rows and learns to give back the clean ones (Vincent et al. 2008, 2010).

    Parameters
    ----------
    corruption : {"gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"}, default "masking"
        What is done to the rows; see :class:`isthmus.Autoencoder`.
    corruption_level : float, default 0.25
        How much of it: a share of the entries, or the noise's standard deviation in the units of X. All other
        parameters are those of :class:`isthmus.Autoencoder`.

    Examples
    --------
    >>> from isthmus import DenoisingAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> denoiser = DenoisingAutoencoder(32, corruption="gaussian", max_epochs=5, random_state=0).fit(X)
    >>> denoiser.reconstruct(X[:1]).shape
    (1, 8, 8)
    """

    corruption: Literal["gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"] | Noise | None = "masking"
