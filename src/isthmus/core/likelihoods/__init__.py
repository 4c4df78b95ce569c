"""Likelihoods, and the names of those that numbers may have."""

import math

from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood
from isthmus.core.likelihoods.gaussian import GaussianLikelihood

LIKELIHOODS: dict[str, type[Likelihood]] = {"gaussian": GaussianLikelihood, "bernoulli": BernoulliLikelihood}


def build_likelihood(name: str, sigma: float | None) -> Likelihood:
    """Return the likelihood of that name; a σ, where it takes one, is learnt where `sigma` is None."""
    return LIKELIHOODS[name].build(sigma)


def support_fault(name: str, low: float, high: float, what: str = "X", it: str = "it") -> str | None:
    """Say that a likelihood of that name can't give rise to rows from `low` to `high`; None where it can.

    Parameters
    ----------
    what, it : str
        What the rows are called, as what is needed and as what reaches from here to there.
    """
    least, most = LIKELIHOODS[name].support
    if not (low < least or high > most):  # of nothing, NaN, nothing is said
        return None
    others = " or ".join(repr(other) for other, kind in LIKELIHOODS.items() if kind.support == (-math.inf, math.inf))
    return (
        f"likelihood={name!r} needs {what} in [{least:g}, {most:g}], and {it} reaches from {low:g} to {high:g}: "
        f"scale it, or take {others}"
    )
