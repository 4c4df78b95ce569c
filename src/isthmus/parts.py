"""What a part of one's own is made of: subclasses of these are what ``likelihood=`` and ``bottleneck=`` take.

``penalties=`` takes functions of a :class:`Forward`. See ``docs/own-parts.md``.
"""

from isthmus.core.bottlenecks.base import Bottleneck as Bottleneck
from isthmus.core.bottlenecks.base import Code as Code
from isthmus.core.bottlenecks.base import Prior as Prior
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck as GaussianBottleneck
from isthmus.core.likelihoods.base import Distribution as Distribution
from isthmus.core.likelihoods.base import Fit as Fit
from isthmus.core.likelihoods.base import Likelihood as Likelihood
from isthmus.core.likelihoods.base import squared_error as squared_error
from isthmus.core.penalties.base import Forward as Forward

__all__ = [
    "Bottleneck",
    "Code",
    "Distribution",
    "Fit",
    "Forward",
    "GaussianBottleneck",
    "Likelihood",
    "Prior",
    "squared_error",
]
