"""Likelihoods: those that are imported here and have a name are what `likelihood=` takes."""

from isthmus.core.likelihoods.base import Likelihood as Likelihood
from isthmus.core.likelihoods.bernoulli import BernoulliLikelihood as BernoulliLikelihood
from isthmus.core.likelihoods.gaussian import GaussianLikelihood as GaussianLikelihood
from isthmus.core.named import named

LIKELIHOODS = named(vars(), Likelihood)  # type: ignore[type-abstract]


def build_likelihood(name: str, sigma: float | None) -> Likelihood:
    """Return the likelihood of that name; a σ, where it takes one, is learnt where `sigma` is None."""
    return LIKELIHOODS[name].build(sigma)
