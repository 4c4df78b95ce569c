"""Bounds on log p(x) of a model whose code is drawn; what is drawn for them never depends on the training's draws."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.bottlenecks.gaussian import deviation
from isthmus.core.likelihoods.base import Distribution
from isthmus.core.model import Model

SEED = 0

DIRECTIONS = 16
"""Directions in which the code is drawn, at the least, for the bound of a row; each way."""


def elbo(model: Model, batch: Batch, counted: Tensor | None = None) -> Tensor:
    """Return E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)) of each row, in nats (Kingma & Welling 2013, eq. 3).

    All rows share the same draws of ε, so that a row's figure does not depend on the rows that it came with. Only the
    entries that are `counted` (None: all) are part of it.
    """
    code = model.encode(batch)
    log_prob = [rows.fit(batch.x, counted).log_prob for rows in _decoded_draws(model, code, batch.context)]
    return torch.stack(log_prob).mean(0) - kl(model, code)


def kl(model: Model, code: Code) -> Tensor:
    """Return KL(q(z | x) ‖ p(z)) of each row in nats, by the draws of :func:`elbo` where it has no closed form."""
    prior, log_variance = model.bottleneck.prior, code.log_variance
    assert prior is not None
    assert log_variance is not None
    closed = prior.kl(code.mean, log_variance)
    if closed is not None:
        return closed
    sigma = deviation(code)
    draws = _balanced_draws(sigma.shape[1]).to(sigma)
    return -torch.stack([prior.log_ratio(code.mean + sigma * noise, noise, log_variance) for noise in draws]).mean(0)


def expected_log_density(model: Model, batch: Batch) -> Tensor:
    """Return E_q[log p(x_i | z)] of each entry of each row, in nats, by the draws of :func:`elbo`: its first term."""
    draws = _decoded_draws(model, model.encode(batch), batch.context)
    total = torch.zeros_like(batch.x)
    for n, rows in enumerate(draws, start=1):  # a running mean: all draws at once would be many times the rows
        total += (rows.log_density(batch.x) - total) / n
    return total


def _decoded_draws(model: Model, code: Code, context: Tensor | None) -> Iterator[Distribution]:
    sigma = deviation(code)
    for noise in _balanced_draws(sigma.shape[1]).to(sigma):
        yield model.decode(code.mean + sigma * noise, context)


def n_draws(units: int) -> int:
    """Return how many draws the bound takes of a code of so many units."""
    return 2 * units * -(-DIRECTIONS // units)


def _balanced_draws(units: int) -> Tensor:
    """Draw ε along whole orthogonal bases, and their mirror images, with 1 for each unit's variance.

    So the mean over them is exact to the second order in ε, and to all odd ones, whatever the width: what is left of
    chance is the same for all rows, and would not average out over them. It takes two draws a unit, from 16 units on.
    """
    generator = torch.Generator().manual_seed(SEED)
    bases = -(-DIRECTIONS // units)
    normal = torch.randn(bases, units, units, generator=generator, dtype=torch.float32)
    directions = torch.linalg.qr(normal).Q.mT
    lengths = torch.randn(bases, units, generator=generator, dtype=torch.float32).norm(dim=1)
    lengths = lengths * (units / lengths.square().mean()).sqrt()
    draws = (lengths[:, None, None] * directions).flatten(0, 1)
    return torch.cat([draws, -draws])


def importance_log_likelihood(model: Model, batch: Batch, samples: int, generator: torch.Generator) -> Tensor:
    """Estimate log p(x) = log E_q[p(x | z) p(z) / q(z | x)] of each row, in nats (Burda et al. 2015, eq. 8).

    The logarithm of the mean weight is kept as a running sum of logarithms, one draw a row at a time, so that neither
    its size nor the number of draws costs anything.
    """
    code = model.encode(batch)
    prior, sigma, log_variance = model.bottleneck.prior, deviation(code), code.log_variance
    assert prior is not None
    assert log_variance is not None
    total = torch.full_like(code.mean[:, 0], -math.inf)
    for _ in range(samples):
        noise = torch.randn(sigma.shape, generator=generator, device=sigma.device, dtype=sigma.dtype)
        z = code.mean + sigma * noise
        log_likelihood = model.decode(z, batch.context).fit(batch.x, batch.observed).log_prob
        total = torch.logaddexp(total, log_likelihood + prior.log_ratio(z, noise, log_variance))
    return total - math.log(samples)
