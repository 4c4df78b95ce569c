"""The variational autoencoder, and what it shares with the conditional one."""

import numbers
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Literal

from isthmus.core.bottlenecks.gaussian import GaussianBottleneck, StandardNormal
from isthmus.core.parts import Parts
from isthmus.core.penalties.free_bits import free_bits
from isthmus.errors import InputError
from isthmus.formats.checks import check_number, check_scalar
from isthmus.models.base import AbstractAutoencoder
from isthmus.models.own_parts import bottleneck_of


@dataclass(eq=False, repr=False)
class AbstractVariationalAutoencoder(AbstractAutoencoder):
    """A Gaussian code in place of a point."""

    _: KW_ONLY
    sigma: float | Literal["learned"] = "learned"
    beta: float = 1.0
    beta_warm_up: int = 0
    free_bits: float = 0.0

    def check_parameters(self) -> None:
        """Check the parameters, the family's own too; see :meth:`isthmus.Autoencoder.check_parameters`.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        super().check_parameters()
        check_number("beta", self.beta, min_val=0)
        check_scalar(self.beta_warm_up, "beta_warm_up", numbers.Integral, min_val=0)
        check_number("free_bits", self.free_bits, min_val=0)
        if self.free_bits and not isinstance(
            bottleneck_of(self.bottleneck, GaussianBottleneck()).prior, StandardNormal
        ):
            raise InputError("free_bits is of the KL to N(0, 1): leave it at 0 beside a bottleneck of another prior")
        if self.sparsity in ("kl", "topk"):
            raise InputError(f"sparsity={self.sparsity!r} has no meaning for a Gaussian code: give 'l1' or None")

    @property
    def draws_codes(self) -> bool:
        """Whether the family's own code is drawn from a prior: it is."""
        return True

    def _parts(self) -> Parts:
        parts = super()._parts()
        free = {"free_bits": partial(free_bits, nats=self.free_bits)} if self.free_bits else {}
        return replace(
            parts,
            bottleneck=bottleneck_of(self.bottleneck, GaussianBottleneck()),
            penalties=parts.penalties | free,
            weights=parts.weights | {"kl": self.beta, "free_bits": self.beta},
            warm_up=dict.fromkeys(("kl", "free_bits"), self.beta_warm_up),
        )


@dataclass(eq=False, repr=False)
class VariationalAutoencoder(AbstractVariationalAutoencoder):
    """An autoencoder with a Gaussian code, which generates new rows too (Kingma & Welling 2013).

    It minimises −E_q[log p(x | z)] + β KL(q(z | x) ‖ N(0, 1)), both in nats a row and each in the history. With the
    default network it starts at probabilistic PCA, the optimum of its linear part.

    Parameters
    ----------
    n_components : int, default 2
        Units of the code.
    sigma : float or "learned", default "learned"
        Standard deviation of the Gaussian likelihood, in the units of X. It sets what the two terms weigh against one
        another: one that is learnt spares the guess; ½ of the squared error is σ = 1, the squared error itself σ = √½.
    beta : float, default 1
        Weight β of the KL term (Higgins et al. 2017); 1 makes minus the loss a lower bound of log p(x).
    beta_warm_up : int, default 0
        Epochs over which β rises from 0 in training, evenly (Sønderby et al. 2016). The loss on held-out rows always
        has the whole of it, and so has a warm start.
    free_bits : float, default 0
        Nats λ that each unit may carry without paying: Σ max(KL_j, λ) (Kingma et al. 2016). All other parameters are
        those of :class:`isthmus.Autoencoder`.

    Attributes
    ----------
    active_units_ : int
        Units whose mean varies by more than 0.01 over held-out rows (Burda et al. 2015); in the history for each batch.
    sigma_ : float
        The standard deviation of the likelihood. All other attributes are those of :class:`isthmus.Autoencoder`.

    Warns
    -----
    UserWarning
        If no unit is active after ``fit``: the code has collapsed.

    Examples
    --------
    >>> from isthmus import VariationalAutoencoder, datasets
    >>> X, y = datasets.load("digits")
    >>> model = VariationalAutoencoder(8, max_epochs=5, random_state=0).fit(X)
    >>> model.sample(3, random_state=0).shape
    (3, 8, 8)
    >>> bool((model.log_likelihood(X[:5]) > model.score_samples(X[:5]) - 1).all())
    True
    """
