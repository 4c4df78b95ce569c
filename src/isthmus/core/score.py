"""Scores of rows, in nats, that can be compared whether all of a row is known or little.

A cell that is missing costs what it usually does. So a row with gaps is neither more nor less usual for having them:
what is known of it decides.
"""

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottleneck import gaussian
from isthmus.core.bound import elbo, expected_log_density
from isthmus.core.imputation import fill_in
from isthmus.core.model import Model

SEARCH = 10
"""Turns, or steps, in which the code of a row with gaps is inferred from what is known."""

MOST_ROWS, MOST_ENTRIES = 2000, 4_000_000
"""Training rows, and entries of them, by which it is learnt what entries usually cost, at the most."""

AT_ONCE = 256
"""Of these, rows that are scored at once."""


def row_scores(model: Model, batch: Batch) -> Tensor:
    """Return log p(x | z) of each row in nats, or the ELBO where the code is Gaussian; shape (rows,).

    Of a row with gaps the code is inferred from what is known, the known entries are scored by it, and each missing
    one counts as ``model.usual`` says. A row of which nothing is known has the mean score of the training rows:
    ``model.unknown`` makes up for what the sum of usual entries differs from it by, in proportion to what is missing.
    """
    if batch.known is None or not model.knows_usual:
        return _scores_of_known(model, batch, batch.known)
    missing = ~batch.known.flatten(1)
    score = _scores_of_known(model, inferred(model, batch), batch.known)
    return score + missing.to(score) @ model.usual.flatten() + missing.to(score).mean(1) * model.unknown


def entry_scores(model: Model, batch: Batch) -> Tensor:
    """Return by how much each entry is likelier than it usually is, in nats; NaN where it is missing.

    The log-density of each entry (its mean over draws of a Gaussian code) less ``model.usual``: what is left is the
    row's own. So a column that always costs much is no reason for anything.
    """
    scores = log_densities(model, inferred(model, batch) if model.knows_usual else batch)
    scores = scores - model.usual if model.knows_usual else scores
    return scores if batch.known is None else scores.masked_fill(~batch.known, torch.nan)


def log_densities(model: Model, batch: Batch) -> Tensor:
    """Return the log-density of each entry of each row, in nats, given the row's code."""
    if model.bottleneck is gaussian:
        return expected_log_density(model, batch)
    return model.decode(model.encode(batch).z, batch.context).log_density(batch.x)


def inferred(model: Model, batch: Batch) -> Batch:
    """Return rows as the encoder is to see them: without gaps, which are filled in, unless it can leave them out."""
    if batch.known is None or model.takes_known:
        return batch
    gaps = ~batch.known.flatten(1).all(1)
    filled, x = fill_in(model, batch.take(gaps), SEARCH), batch.x.clone()
    x[gaps] = torch.where(filled.isnan(), x[gaps], filled)  # of what is not modelled there is no mean
    return batch._replace(x=x, known=None)


def learn_usual(model: Model, rows: Batch) -> None:
    """Note what each entry of training rows usually costs: the median of its log-density, over some of the rows.

    Also the lowest that it came to, or that of one in as many as there are rows and one more, where that is lower: so
    much costs a category that was in none of them (``model.rare``).
    """
    model.eval()
    n = min(len(rows.x), MOST_ROWS, max(MOST_ENTRIES // rows.x[0].numel(), 2))
    order = torch.randperm(len(rows.x), generator=torch.Generator().manual_seed(0))[:n].to(rows.x.device)
    some = rows.take(order)
    with torch.no_grad():
        model.usual.zero_()
        model.unknown.zero_()
        densities = torch.cat([_known_densities(model, piece) for piece in some.split(AT_ONCE)])
        least, once = densities.nan_to_num(nan=torch.inf).amin(0), _log_share_of_one(rows)
        model.rare.copy_(torch.minimum(least.nan_to_num(posinf=0), once))
        model.usual.copy_(densities.nanmedian(0).values.nan_to_num())
        mean = torch.cat([row_scores(model, piece) for piece in some.split(AT_ONCE)]).mean()
        nothing = Batch(
            model.fill[None], some.take(slice(1)).context, torch.zeros_like(model.fill[None], dtype=torch.bool)
        )
        model.unknown.copy_(mean - row_scores(model, nothing)[0])


def _scores_of_known(model: Model, shown: Batch, known: Tensor | None) -> Tensor:
    """Return what is scored of known entries, by the code of the rows that the encoder is shown."""
    if model.bottleneck is gaussian:
        return elbo(model, shown, known)
    return model.decode(model.encode(shown).z, shown.context).fit(shown.x, known).log_prob


def _known_densities(model: Model, batch: Batch) -> Tensor:
    densities = log_densities(model, inferred(model, batch))
    return densities if batch.known is None else densities.masked_fill(~batch.known, torch.nan)


def _log_share_of_one(rows: Batch) -> Tensor:
    """Return −log(n + 1) of each entry, known in n of the rows: the share of one row more."""
    known = torch.ones_like(rows.x) if rows.known is None else rows.known.to(rows.x)
    return -(known.sum(0) + 1).log()
