"""Penalties on units that are on."""

from torch import Tensor

from isthmus.core.penalties.base import Forward


def l1(forward: Forward) -> Tensor:
    """Return Σ|h| of each row. Shape (rows,)."""
    return forward.code.mean.abs().sum(1)


def kl_sparsity(forward: Forward, *, target: float) -> Tensor:
    """Return Σ KL(ρ ‖ ρ̂) over units, ρ̂ the batch mean of a code in (0, 1) (Ng 2011, *Sparse autoencoder*, §3).

    Parameters
    ----------
    target : float
        ρ, the share of rows in which a unit should be on.
    """
    # A unit that is off, or on, in every row of the batch would make the logarithm infinite.
    mean = forward.code.mean.mean(0).clamp(1e-6, 1 - 1e-6)
    rho = mean.new_tensor(target)
    return (rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()).sum()
