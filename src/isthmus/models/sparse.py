"""The sparse autoencoder."""

from dataclasses import dataclass
from typing import Literal

from isthmus.models.base import AbstractAutoencoder


@dataclass(eq=False, repr=False)
class SparseAutoencoder(AbstractAutoencoder):
    """An autoencoder, most often over-complete, of whose units only a few are on in any row.

    Parameters
    ----------
    n_components : int, default 64
        Units of the code.
    sparsity : {"topk", "kl", "l1"}, default "topk"
        The `k` largest units alone (Makhzani & Frey 2013), KL(ρ ‖ ρ̂) on a sigmoid code (Ng 2011), or Σ|h|.
    k : int or None, default None
        For ``"topk"``; None is a tenth of the units, at least one.
    sparsity_target : float in (0, 1), default 0.05
        ρ, for ``"kl"``.
    sparsity_weight : float, default 0.1
        β, for ``"kl"`` and ``"l1"``. All other parameters are those of :class:`isthmus.Autoencoder`.

    Examples
    --------
    >>> from isthmus import SparseAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> sparse = SparseAutoencoder(100, k=5, max_epochs=5, random_state=0).fit(X)
    >>> int((sparse.transform(X) != 0).sum(axis=1).max())
    5
    """

    n_components: int = 64
    sparsity: Literal["kl", "l1", "topk"] | None = "topk"
