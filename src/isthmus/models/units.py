"""What a bottleneck says of the units of its code, and what to do about those that are of no use."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.model import Model
from isthmus.core.source import Source
from isthmus.models.engine import encode
from isthmus.models.own_parts import declared_likelihood

MOST_DEAD = 0.1
"""Share of a code's units that may be dead before it is told of; one unit may in any case."""

CURES = {
    "topk": "take fewer n_components, a larger k, or more max_epochs",
    "l1": "take a lower sparsity_weight, or fewer n_components",
    "kl": "take a lower sparsity_weight, a higher sparsity_target, or fewer n_components",
}
"""What to do about dead units."""


def count_units(model: Model, train: Source, validation: Source | None, at_once: int) -> dict[str, int]:
    """Return what the bottleneck counts over the rows, so many at once: dead units, active ones, or nothing.

    Of a stream it counts over a sample.
    """

    def means(rows: Source) -> Iterator[Tensor]:
        return (encode(model, part) for batch in rows.excerpt().batches(at_once) for part in batch.parts())

    with torch.no_grad():
        if validation is None:
            return model.bottleneck.stats(means(train), ())
        return model.bottleneck.stats(means(validation), means(train))


def of_no_use(counts: Mapping[str, int], params: Mapping[str, Any], *, starts_at_pca: bool) -> list[str]:
    """Say of units that are of no use what to do about them, by the estimator's parameters."""
    lines, units, dead = [], params["n_components"], counts.get("dead_units", 0)
    if dead > max(1, MOST_DEAD * units):
        cure = CURES.get(str(params["sparsity"]), "take fewer n_components")
        path = "" if starts_at_pca or params["sparsity"] != "topk" else ", or a network with linear_path='pca'"
        lines.append(
            f"{dead} of the code's {units} units are on in no row of X and of no use (dead_units_): {cure}{path}"
        )
    if counts.get("active_units") == 0:
        *cures, last = cures_of_collapse(params)
        tries = f"{', '.join(cures)} or {last}" if cures else last
        lines.append(f"the code has collapsed: no unit tells anything of X; try {tries}")
    return lines


def cures_of_collapse(params: Mapping[str, Any]) -> list[str]:
    """Return what to do about a code that has collapsed: what is not done yet, of what the estimator has."""
    likelihood = params["likelihood"]
    takes_sigma = declared_likelihood(likelihood).has_sigma and not isinstance(likelihood, Likelihood)
    cures = {
        "sigma='learned'": takes_sigma and params["sigma"] != "learned",
        "a lower beta": params.get("beta", 0) > 0,
        "beta_warm_up=10": params.get("beta_warm_up") == 0,
        "free_bits=0.1": params.get("free_bits") == 0 and params["bottleneck"] in (None, "gaussian"),
    }
    otherwise = "a lower sigma than is learnt" if takes_sigma else "a family that has beta: VariationalAutoencoder"
    return [cure for cure, is_left in cures.items() if is_left] or [otherwise]
