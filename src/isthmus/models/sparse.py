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
        The `k` largest units alone (Makhzani & Frey 2013), KL(ρ ‖ ρ̂) on a sigmoid code (Ng 2011), or Σ|h| with a
        threshold below which units are zero.
    k : int or None, default None
        For ``"topk"``; None is a tenth of the units, at least one.
    sparsity_target : float in (0, 1), default 0.05
        Share ρ of the rows in which a unit should be on, for ``"kl"``.
    sparsity_weight : float, default 0.1
        Weight β of the term, for ``"kl"`` and ``"l1"``. All other parameters are those of :class:`isthmus.Autoencoder`.

    Attributes
    ----------
    dead_units_ : int
        Units that are on in no row. All other attributes are those of :class:`isthmus.Autoencoder`.

    Notes
    -----
    Units that are on in no row learn nothing and are of no use. A top-k code has the directions of rows for a start, of
    which each is the largest in some, instead of principal axes, of which the first win every row. In training its
    units that are on in no row of a batch are put on where they are largest, and what the rows would then cost is a
    term of the loss, ``"revival"`` in the history: in nats, with a weight of 1/8, and 0 where all units are on. It
    takes the place of the auxiliary loss of Gao et al. (2024, *Scaling and evaluating sparse autoencoders*, §2.4).
    An over-complete L1 code starts at rows too.

    Examples
    --------
    >>> from isthmus import SparseAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> sparse = SparseAutoencoder(100, k=5, max_epochs=5, random_state=0).fit(X)
    >>> int((sparse.transform(X) != 0).sum(axis=1).max())
    5
    >>> sparse.dead_units_
    0
    """

    n_components: int = 64
    sparsity: Literal["kl", "l1", "topk"] | None = "topk"
