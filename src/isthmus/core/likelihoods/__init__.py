"""Likelihoods, and the names of those that numbers may have."""

from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood
from isthmus.core.likelihoods.gaussian import GaussianLikelihood

LIKELIHOODS: dict[str, type[Likelihood]] = {"gaussian": GaussianLikelihood, "bernoulli": BernoulliLikelihood}


def build_likelihood(name: str, sigma: float | None) -> Likelihood:
    """Return the likelihood of that name; a σ, where it takes one, is learnt where `sigma` is None."""
    return LIKELIHOODS[name].build(sigma)
