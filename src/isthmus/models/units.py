"""What a bottleneck says of the units of its code, and what to do about those that are of no use."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from isthmus.core.model import Model
from isthmus.core.source import Source
from isthmus.models.engine import encode

MOST_DEAD = 0.1
"""Share of a code's units that may be dead before it is told of; one unit may in any case."""

COLLAPSE_CURES = {
    "sigma": "sigma='learned'",
    "beta": "a lower beta",
    "beta_warm_up": "beta_warm_up=10",
    "free_bits": "free_bits=0.1",
}
"""What to do about a code that has collapsed, by the parameter."""

CURES = {
    "topk": "take fewer n_components, a larger k, or more max_epochs",
    "l1": "take a lower sparsity_weight, or fewer n_components",
    "kl": "take a lower sparsity_weight, a higher sparsity_target, or fewer n_components",
}
"""What to do about dead units."""


def count_units(model: Model, train: Source, validation: Source | None, at_once: int) -> dict[str, int]:
    """Return what the bottleneck counts over the rows, so many at once: dead units, active ones, or nothing."""

    def means(rows: Source) -> Iterator[Tensor]:
        return (encode(model, part) for batch in rows.batches(at_once) for part in batch.parts())

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
        *cures, last = (cure for name, cure in COLLAPSE_CURES.items() if name in params)
        lines.append(f"the code has collapsed: no unit tells anything of X; try {', '.join(cures)} or {last}")
    return lines
