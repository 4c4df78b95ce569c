"""What scores of rows with gaps are worth: their quantiles, by how much of a row is missing."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

from isthmus.errors import InputError
from isthmus.formats.given import Given
from isthmus.formats.sequences import Ragged
from isthmus.saving.attributes import Json, JsonObject

Own: TypeAlias = np.ndarray | Ragged | None
"""Which entries are a row's own, the others being there for the shape; None: all."""

PROBABILITIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the quantiles: more of them at the low end, where thresholds are."""

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Of a row's entries that are missing."""

FEW_ENTRIES, MANY_ENTRIES = 20, 100
"""Entries of a row up to which one, and all but one, are worth a level of their own; and from which half and most are
levels enough, as what a few of them say is lost in the sum."""

ROWS = 1200
"""Rows that are scored for each share; of fewer training rows each several times with other gaps."""

MOST_ENTRIES = 200_000
"""Entries of these, at the most."""

SHORTEST = 0.1
"""Share of the longest sequence's length below which a sequence's score is stretched no further: how unlike the model
finds it is no sum of many terms any more."""

FEWEST_ROWS = 30
"""Rows that have no more gaps than a share says, without which it is left out."""


@dataclass(frozen=True)
class Calibration:
    """Scores of rows with gaps ↔ what they would be among rows without, or with as few as is common.

    The fewer entries are known, the less scores differ: at one threshold for all, no row with gaps would be unusual.
    A score is taken for the one of the same rank among rows with the usual share of gaps. Before that, scores of
    sequences of unequal length are brought to one spread around their mean.

    Parameters
    ----------
    shares : ndarray of shape (levels,)
        Shares of a row's entries that are missing, from low to high.
    quantiles : ndarray of shape (levels, len(PROBABILITIES))
        Of the scores of training rows with as much missing, in nats.
    base : int
        The level that the others are brought to.
    centre : float or None
        The mean score of the training rows, in nats; None leaves sequences of unequal length as they are.
    """

    shares: np.ndarray
    quantiles: np.ndarray
    base: int
    centre: float | None = None

    @classmethod
    def learn(
        cls,
        score: Callable[[Sequence[Given]], np.ndarray],
        given: Sequence[Given],
        scores: np.ndarray,
        own: Own = None,
    ) -> Self:
        """Score training rows again of which, for each share, as much is hidden at random.

        Parameters
        ----------
        score : callable
            Rows, as each of several autoencoders takes them, → scores of shape (n,), in nats.
        given : sequence of Given
            The training rows, as each takes them.
        scores : ndarray of shape (n,)
            Their scores, as they are.
        own : ndarray of bool, shaped like the rows, Ragged, or None
            Which entries are a row's own; None: all.
        """
        n_rows, entries = len(given[0].x), math.prod(given[0].x.shape[1:])
        n = min(ROWS, max(MOST_ENTRIES // entries, 2 * FEWEST_ROWS))
        # Evenly over the ranks of the scores: of rows drawn by chance the few lowest would differ too much.
        rows = np.argsort(scores, kind="stable")[np.arange(n) * n_rows // n]
        if isinstance(given[0].x, Ragged):
            own = np.repeat(given[0].x.own(rows)[:, :, None], given[0].x.shape[2], axis=2)
        elif own is not None:
            own = own[rows]
        some = [each.take(rows) for each in given]
        entries = some[0].x[0].size
        missing, lot = missing_shares(some[0].x, own), _lots(n, entries)
        usual, centre = float(np.median(missing)), float(scores.mean())
        shares, quantiles = [], []
        for share in sorted({*_shares(entries), usual}):
            fits = missing <= share
            if fits.sum() < min(FEWEST_ROWS, n // 2):
                continue
            hidden = [_hidden(each.take(fits), share, lot[fits], None if own is None else own[fits]) for each in some]
            shares.append(share)
            found = _by_length(score(hidden), None if own is None else own[fits], centre)
            quantiles.append(np.quantile(found, PROBABILITIES))
        return cls(np.array(shares), np.array(quantiles), shares.index(usual), centre)

    def __call__(self, scores: np.ndarray, missing: np.ndarray, own: Own = None) -> np.ndarray:
        """Bring scores of rows, of whose entries a share `missing` is missing, to the scale of the common rows."""
        known_by = np.interp(missing, self.shares, np.arange(len(self.shares)))
        scores = _by_length(scores, own, self.centre)
        calibrated = scores.copy()
        for level in np.unique(known_by[known_by != self.base]):
            low, share = int(level), level % 1
            high = min(low + 1, len(self.shares) - 1)
            quantiles = (1 - share) * self.quantiles[low] + share * self.quantiles[high]
            rows = known_by == level
            calibrated[rows] = _by_rank(scores[rows], quantiles, self.quantiles[self.base])
        return calibrated

    def as_json(self) -> dict[str, Json]:
        """Return it as what JSON can hold."""
        quantiles = self.quantiles.tolist()
        return {"shares": self.shares.tolist(), "quantiles": quantiles, "base": self.base, "centre": self.centre}

    @classmethod
    def from_json(cls, content: JsonObject) -> Self:
        """Make one of what :meth:`as_json` gave, and JSON may have held since; raise ValueError where it is none."""
        shares, quantiles = (np.array(content[name], dtype=float) for name in ("shares", "quantiles"))
        base, centre = content["base"], content.get("centre")  # which was not there at first
        if shares.ndim != 1 or quantiles.shape != (len(shares), len(PROBABILITIES)) or not np.isfinite(quantiles).all():
            raise InputError("its calibration has not as many finite quantiles as it has shares")
        if not len(shares) or (np.diff(shares) <= 0).any() or not ((shares >= 0) & (shares < 1)).all():
            raise InputError("its calibration has shares that do not rise from 0 to 1")
        if (np.diff(quantiles, axis=1) < 0).any() or type(base) is not int or not 0 <= base < len(shares):
            raise InputError("its calibration has quantiles that do not rise, or no base")
        if centre is not None and not (type(centre) is float and math.isfinite(centre)):
            raise InputError("its calibration has a centre that is no number")
        return cls(shares, quantiles, base, centre)


def missing_shares(rows: np.ndarray | Ragged, own: Own = None) -> np.ndarray:
    """Return the share of each row's own entries that is missing; shape (n,). A row that has none misses all."""
    if isinstance(rows, Ragged):
        return rows.missing_shares()
    if rows.dtype.kind != "f":
        return np.zeros(len(rows))
    missing = np.isnan(rows).reshape(len(rows), -1)
    if not isinstance(own, np.ndarray):
        return np.asarray(missing.mean(1))
    own = own.reshape(missing.shape)
    return np.asarray(1 - (own & ~missing).sum(1) / np.maximum(own.sum(1), 1))


def _shares(entries: int) -> list[float]:
    """Return the shares that are levels, each a whole number of entries."""
    shares = SHARES[::3] + SHARES[-1:] if entries >= MANY_ENTRIES else SHARES
    ends = [1, entries - 1] if entries <= FEW_ENTRIES else []
    counts = {*(round(share * entries) for share in shares), *ends}
    return [count / entries for count in counts if count < max(entries, 1)]


def _lots(n: int, entries: int) -> np.ndarray:
    """Draw for each row an order of its entries; of as many rows in turn as there are entries, each is first once."""
    random = np.random.default_rng(0)
    lots = random.permuted(np.tile(np.arange(entries, dtype=np.float32), (-(-n // entries), 1)), axis=1)
    turn = np.arange(n)
    return np.asarray((lots[turn // entries] + turn[:, None]) % entries)


def _hidden(given: Given, share: float, lot: np.ndarray, own: np.ndarray | None) -> Given:
    """Hide those of each row's own entries with the lowest lots, until that share of them is missing."""
    flat = given.x.reshape(lot.shape)
    own = np.ones(lot.shape, dtype=bool) if own is None else own.reshape(lot.shape)
    lot = np.where(own, lot, np.inf)
    if flat.dtype.kind == "f":
        lot = np.where(np.isnan(flat) & own, -1, lot)
    hidden = lot.argsort(1).argsort(1) < np.rint(share * own.sum(1))[:, None]
    return given._replace(hidden=hidden.reshape(given.x.shape))


def _by_length(scores: np.ndarray, own: Own, centre: float | None) -> np.ndarray:
    """Bring scores of rows of unequal length to one spread: a sum of n terms has one that rises with √n."""
    if own is None or centre is None:
        return scores
    whole = math.prod(own.shape[1:])
    shares = own.lengths * own.shape[2] / whole if isinstance(own, Ragged) else own.reshape(len(own), -1).mean(1)
    share = shares.clip(SHORTEST)
    return np.asarray(centre + (scores - centre) / np.sqrt(share))


def _by_rank(scores: np.ndarray, quantiles: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the scores of the same rank on another scale; beyond the ends as far from them as they were."""
    inside = np.interp(scores, quantiles, base)
    return inside + np.minimum(scores - quantiles[0], 0) + np.maximum(scores - quantiles[-1], 0)
