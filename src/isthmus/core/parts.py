"""What makes a model, beside its networks: one record."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Bottleneck
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruption import Hiding, Noise
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.likelihoods.gaussian import GaussianLikelihood
from isthmus.core.penalties.base import Penalty


@dataclass(frozen=True)
class Parts:
    """The parts of a model.

    Parameters
    ----------
    bottleneck : Bottleneck, default Deterministic
        h → Code.
    likelihood : Likelihood, default Gaussian with σ = 1
        Parameters → Distribution.
    corruption : callable, optional
        (x, generator=…) → x̃, what the encoder is shown in training; what is not known is NaN in both.
    context_corruption : callable, optional
        (context, generator=…) → what encoder and decoder are told in training.
    hiding : callable, optional
        (x, observed, generator=…) → which entries the encoder is shown in training; in the place of the others it is
        shown ``fill``, and where it ``takes_known`` it is told so, as of what is missing at use.
    hidden_only : bool, default False
        Whether in training just the hidden entries count in the loss (He et al. 2021).
    rescaled : bool, default False
        Whether an encoder without ``takes_known`` is shown the distances of what is known from ``fill`` divided by the
        share of a row that is known: a sum over few entries is then about what it would be over all.
    inputs : Module, optional
        x → what the encoder is given, where these differ: the cells of a table → numbers.
    seen : callable, optional
        Rows → which entries the encoder looks at, of shape that broadcasts to x; None: all.
    penalties : dict of str to callable, optional
        Further terms, each :class:`isthmus.core.penalties.base.Forward` → term.
    weights : dict of str to float, optional
        The weight of each term in the loss; 1 where it is not named.
    warm_up : dict of str to int, optional
        Epochs of training over which a term's weight rises from 0, evenly.
    """

    bottleneck: Bottleneck = field(default_factory=Deterministic)
    likelihood: Likelihood = field(default_factory=GaussianLikelihood)
    corruption: Noise | None = None
    context_corruption: Noise | None = None
    hiding: Hiding | None = None
    hidden_only: bool = False
    rescaled: bool = False
    inputs: nn.Module | None = None
    seen: Callable[[Batch], Tensor] | None = None
    penalties: dict[str, Penalty] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    warm_up: dict[str, int] = field(default_factory=dict)
