"""A penalty that gives back what a unit's KL takes for little."""

from torch import Tensor

from isthmus.core.bottlenecks.gaussian import unit_kl
from isthmus.core.penalties.base import Forward


def free_bits(forward: Forward, *, nats: float) -> Tensor:
    """Return Σ max(λ − KL_j, 0) over units, KL_j a unit's mean over the batch: with the KL it makes Σ max(KL_j, λ).

    So a unit whose KL is below λ nats is neither pushed nor pulled (Kingma et al. 2016, eq. 15). Shape ().

    Parameters
    ----------
    nats : float
        λ, what each unit may carry for free.
    """
    code = forward.code
    assert code.log_variance is not None
    return (nats - unit_kl(code.mean, code.log_variance).mean(0)).clamp(min=0).sum()
