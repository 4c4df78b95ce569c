"""Scores of rows, in nats, that can be compared whether all of a row is known or little.

A cell that is missing costs what it usually does. So a row with gaps is neither more nor less usual for having them:
what is known of it decides.
"""

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.bound import elbo, expected_log_density, kl, n_draws
from isthmus.core.imputation import WIDEST_NEWTON, fill_in
from isthmus.core.model import Model
from isthmus.core.source import Source

SEARCH, LONG_SEARCH = 6, 60
"""Turns, or steps, in which the code of a row with gaps is inferred from what is known; the second of codes that are
too wide for Newton's method."""

FEWEST_ROWS, MOST_ROWS, MOST_ENTRIES, MOST_DECODED = 100, 2000, 4_000_000, 16_000
"""Training rows by which it is learnt what entries usually cost; entries of them, and rows decoded, at the most."""

DECODED_A_ROW, FEWEST_OF_A_PART = 4, 32
"""The same of one part of many, so that scoring it takes no longer than training on it: rows decoded for each, and rows
at the least."""

MEMORY = 100
"""Rows that what was learnt before a part counts for."""

LEAST_KNOWN = 0.01
"""Share of the entries that is known, for the mean of known entries to be taken for that of all."""

AT_ONCE = 256
"""Of these, rows that are scored at once."""


def row_scores(model: Model, batch: Batch) -> Tensor:
    """Return log p(x | z) of each row in nats, or the ELBO where the code is drawn; shape (rows,).

    Of a row with gaps the code is inferred from what is known, the known entries are scored by it, and each missing
    one counts as ``model.usual`` says. A row of which nothing is known has about the mean score of rows without
    gaps: ``model.unknown`` makes up for what the sum of usual entries differs from it by, in proportion to what is
    missing.
    """
    is_cut = batch.x.shape[1:] != model.usual.shape
    if not model.knows_usual or (batch.observed is None and not is_cut):
        return _scores_of_known(model, batch, batch.observed)
    score = _scores_of_known(model, inferred(model, batch), batch.observed)
    usual = model.cut(model.usual, batch.x).flatten()
    modelled = ~usual.isnan()
    known = torch.ones_like(batch.x, dtype=torch.bool) if batch.observed is None else batch.observed
    missing = (~known.flatten(1)[:, modelled]).to(score)
    if not is_cut:
        return score + missing @ usual[modelled] + missing.mean(1) * model.unknown
    n = (~model.usual.isnan()).sum()  # steps beyond the end of all rows are missing too
    share = (missing.sum(1) + n - modelled.sum()) / n
    return score + missing @ usual[modelled] + (model.usual.nansum() - usual.nansum()) + share * model.unknown


def entry_scores(model: Model, batch: Batch) -> Tensor:
    """Return by how much each entry is likelier than it usually is, in nats; NaN where it is missing.

    The log-density of each entry (its mean over draws of the code, if that is drawn) less ``model.usual``: what is left
    is the row's own. So a column that always costs much is no reason for anything.
    """
    scores = log_densities(model, inferred(model, batch) if model.knows_usual else batch)
    scores = scores - model.cut(model.usual, batch.x) if model.knows_usual else scores
    return scores if batch.observed is None else scores.masked_fill(~batch.observed, torch.nan)


def log_densities(model: Model, batch: Batch) -> Tensor:
    """Return the log-density of each entry of each row, in nats, given the row's code."""
    if model.bottleneck.prior is not None:
        return expected_log_density(model, batch)
    return model.decode(model.encode(batch).z, batch.context).log_density(batch.x)


def inferred(model: Model, batch: Batch) -> Batch:
    """Return rows as the encoder is to see them: without gaps, which are filled in, unless it can leave them out."""
    if batch.observed is None or model.takes_known:
        return batch
    gaps = (~batch.observed if model.seen is None else ~batch.observed & model.seen(batch)).flatten(1).any(1)
    if not gaps.any():
        return batch._replace(observed=None)
    is_wide = model.bottleneck.prior is not None and model.encode(batch.take(slice(1))).mean.shape[1] > WIDEST_NEWTON
    filled, x = fill_in(model, batch.take(gaps), LONG_SEARCH if is_wide else SEARCH), batch.x.clone()
    x[gaps] = torch.where(filled.isnan(), x[gaps], filled)  # of what is not modelled there is no mean
    return batch._replace(x=x, observed=None)


def learn_usual(model: Model, rows: Source, *, anew: bool = True) -> None:
    """Note what each entry of training rows usually costs: the median of its log-density, over some of the rows.

    Also the lowest that it came to, or that of one in as many as there are rows and one more, where that is lower: so
    much costs a category that was in none of them (``model.rare``). Where it is not learnt anew, `rows` are one part of
    many: fewer of them are scored, and what they say is averaged with what was learnt of those before.
    """
    model.eval()
    is_part = not anew and model.knows_usual
    before = [each.clone() for each in (model.usual, model.rare, model.unknown)]
    limits = (DECODED_A_ROW * len(rows), FEWEST_OF_A_PART) if is_part else (MOST_DECODED, FEWEST_ROWS)
    with torch.no_grad():
        n = _n_scored(model, rows.sample(1), *limits)
        some = rows.sample(n, torch.Generator().manual_seed(0))
        model.usual.zero_()
        model.unknown.zero_()
        pairs = [_known_densities(model, piece) for piece in some.split(AT_ONCE)]
        densities, rest = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        del pairs
        model.rare.copy_(_least(densities, _n_known(rows)))
        model.usual.copy_(densities.nanmedian(0).values.nan_to_num().masked_fill(~_modelled(model, some), torch.nan))
        model.unknown.copy_(_unknown(model, densities, rest, some))
        if is_part:
            _average(model, before, (~densities.isnan()).sum(0).to(densities))


def _n_known(rows: Source) -> float | Tensor:
    """Return in how many rows each entry is known, of a stream by its sample."""
    some = rows.excerpt()
    known = sum(b.n_rows if b.observed is None else b.observed.sum(0) for b in some.batches(AT_ONCE))
    return known if len(some) == len(rows) else known * (len(rows) / len(some))


def _least(densities: Tensor, n_known: float | Tensor) -> Tensor:
    """Return what a category would cost that none of the rows has, of which `n_known` know one."""
    least = densities.nan_to_num(nan=torch.inf).amin(0).nan_to_num(posinf=0)
    return torch.minimum(least, -torch.as_tensor(n_known + 1).to(least).log())


def _modelled(model: Model, rows: Batch) -> Tensor:
    """Return which entries the model says something of; shape row_shape."""
    first = rows.take(slice(1))
    modelled = ~model.decode(model.encode(first).z, first.context).mean[0].isnan()
    if modelled.shape == model.usual.shape:
        return modelled
    steps = len(model.usual) - model.tail
    return torch.cat([modelled[:1].expand(steps, *modelled.shape[1:]), modelled[len(modelled) - model.tail :]])


def _unknown(model: Model, densities: Tensor, rest: Tensor, rows: Batch) -> Tensor:
    """Return by how much the score of a row of which all is known differs, in the mean, from that of an empty one.

    Scores of rows with gaps lie between the two, by the share that is known.
    """
    first = rows.take(slice(1))
    fill = model.cut(model.fill, first.x)[None]
    nothing = Batch(fill, first.context, torch.zeros_like(fill, dtype=torch.bool))
    modelled = ~model.usual.isnan()
    is_known = ~densities[:, modelled].isnan()
    scores = torch.where(is_known, densities[:, modelled], model.usual[modelled]).sum(1) + rest
    return (scores.mean() - row_scores(model, nothing)[0]) / is_known.to(scores).mean().clamp(min=LEAST_KNOWN)


def _average(model: Model, before: list[Tensor], n_known: Tensor) -> None:
    """Average what rows say with what those before did; of entries that none of them knows they say nothing."""
    usual, rare, unknown = before
    share = n_known / (n_known + MEMORY)
    model.usual.copy_(usual + share * (model.usual - usual))
    model.rare.copy_(torch.where(n_known > 0, torch.minimum(rare, model.rare), rare))
    model.unknown.copy_(unknown + share.max() * (model.unknown - unknown))


def _n_scored(model: Model, one: Batch, most_decoded: int, fewest: int) -> int:
    """Return how many rows it is learnt by: fewer the more they are wide, or of a code whose draws are many."""
    units = model.encode(one.take(slice(1))).mean.shape[1]
    draws = 1 if model.bottleneck.prior is None else n_draws(units)
    return max(min(MOST_ROWS, MOST_ENTRIES // model.usual.numel(), most_decoded // draws), fewest)


def _scores_of_known(model: Model, shown: Batch, known: Tensor | None) -> Tensor:
    """Return what is scored of known entries, by the code of the rows that the encoder is shown."""
    if model.bottleneck.prior is not None:
        return elbo(model, shown, known)
    code = model.encode(shown)
    log_prob = model.decode(code.z, shown.context).fit(shown.x, known).log_prob
    return log_prob - _cost_of_code(code) if code.terms else log_prob


def _cost_of_code(code: Code) -> Tensor:
    """Return the sum of the terms that a point of a code has of its own for each row, such as a commitment."""
    costs = [term for term in code.terms.values() if term.ndim]
    return torch.stack([code.z.new_zeros(len(code.z)), *costs]).sum(0)


def _known_densities(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the log-density of each entry, NaN where it is missing, and what of each row's score is no entry's."""
    shown = inferred(model, batch)
    densities = log_densities(model, shown)
    code = model.encode(shown)
    of_code = _cost_of_code(code) if model.bottleneck.prior is None else kl(model, code)
    densities = densities if batch.observed is None else densities.masked_fill(~batch.observed, torch.nan)
    return _of_whole_rows(model, densities), -of_code


def _of_whole_rows(model: Model, densities: Tensor) -> Tensor:
    """Return log-densities of rows that are cut as those of whole ones, NaN where nothing is."""
    if densities.shape[1:] == model.usual.shape:
        return densities
    whole = densities.new_full((len(densities), *model.usual.shape), torch.nan)
    before = densities.shape[1] - model.tail
    whole[:, :before] = densities[:, :before]
    whole[:, len(model.usual) - model.tail :] = densities[:, before:]
    return whole
