"""Bottlenecks, one a file: those that are imported here and have a name are what `bottleneck=` takes."""

from isthmus.core.bottlenecks.base import Bottleneck as Bottleneck
from isthmus.core.bottlenecks.deterministic import Deterministic as Deterministic
from isthmus.core.bottlenecks.gaussian import GaussianBottleneck as GaussianBottleneck
from isthmus.core.bottlenecks.soft_threshold import SoftThreshold as SoftThreshold
from isthmus.core.bottlenecks.top_k import TopK as TopK
from isthmus.core.named import named

BOTTLENECKS = named(vars(), Bottleneck)  # type: ignore[type-abstract]
