"""What a fitted model is used for: rows in by their format, through the model batch by batch, and out again."""

import numbers
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bound import SEED, importance_log_likelihood
from isthmus.core.imputation import fill_in
from isthmus.core.model import Model
from isthmus.core.score import entry_scores, row_scores
from isthmus.errors import InputError
from isthmus.formats.base import Format
from isthmus.formats.checks import (
    RandomState,
    check_array,
    check_choice,
    check_random_state,
    check_scalar,
    column_or_1d,
)
from isthmus.formats.containers import RowsAsGiven, RowsLike, by_pieces, plain
from isthmus.formats.frames import with_index
from isthmus.formats.given import Given
from isthmus.models.engine import activations, decode, encode, in_batches, rebuild
from isthmus.models.interpolation import spherical, straight
from isthmus.models.own_parts import name_of


def transform(
    model: Model, form: Format, X: RowsLike, y: RowsLike | None = None, *, layers: str = "code"
) -> np.ndarray:
    """Return the codes' means, or what all hidden layers make of rows."""
    encoding = activations if layers == "all" else encode
    if y is not None:
        return in_batches(model, encoding, form.encode(X, y))
    return by_pieces(lambda rows: in_batches(model, encoding, form.encode(rows)), X)


def checked_codes(Z: ArrayLike, n_components: int) -> np.ndarray:
    """Return codes as an array of shape (n, n_components); raise ValueError for what is none."""
    Z = plain(Z)
    if np.ndim(Z) != 2:
        raise InputError(f"Z has the shape {np.shape(Z)}: give codes as (n, {n_components})")
    codes: np.ndarray = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
    if codes.shape[1] != n_components:
        raise InputError(f"Z has {codes.shape[1]} columns, but the codes have n_components={n_components}")
    return codes


def inverse_transform(
    model: Model, form: Format, Z: ArrayLike, n_components: int, y: RowsLike | None = None
) -> RowsAsGiven:
    """Decode codes to rows in the form of those of ``fit``."""
    codes = checked_codes(Z, n_components)
    return with_index(form.decode(in_batches(model, decode, Given(codes, form.context(y, len(codes))))), Z)


def reconstruct(
    model: Model, form: Format, X: RowsLike, y: RowsLike | None = None, decode_as: RowsLike | None = None
) -> RowsAsGiven:
    """Encode and decode rows, with other conditions where these are given."""
    given = form.encode(X, y)
    if decode_as is None:
        return form.decode(in_batches(model, rebuild, given), X)
    codes = in_batches(model, encode, given)
    return form.decode(in_batches(model, decode, Given(codes, form.context(decode_as, len(codes)))), X)


def impute(
    model: Model, form: Format, X: RowsLike, mask: RowsLike | None, n_iter: int, y: RowsLike | None = None
) -> RowsAsGiven:
    """Fill in what is missing of rows."""
    check_scalar(n_iter, "n_iter", numbers.Integral, min_val=1)
    return form.fill(X, mask, y, partial(in_batches, model, partial(fill_in, iterations=n_iter)))


def interpolate(
    model: Model, form: Format, A: RowsLike, B: RowsLike, n_steps: int, path: str, y: RowsLike | None = None
) -> RowsAsGiven:
    """Decode the codes on the way from those of some rows to those of others."""
    check_scalar(n_steps, "n_steps", numbers.Integral, min_val=2)
    check_choice("path", path, ("straight", "spherical"))
    ends = [form.encode(rows, y) for rows in (A, B)]
    if len(ends[0].x) != len(ends[1].x):
        raise InputError(f"A has {len(ends[0].x)} rows and B {len(ends[1].x)}: give as many of each")
    a, b = (in_batches(model, encode, end) for end in ends)
    between = spherical if path == "spherical" else straight
    codes = np.stack([between(a, b, t) for t in np.linspace(0, 1, n_steps)], axis=1).astype(a.dtype)
    return _steps(model, form, codes, form.shared_context(*ends), form.longer(A, B))


def traverse(
    model: Model, form: Format, X: RowsLike, unit: int, values: ArrayLike, n_components: int, y: RowsLike | None = None
) -> RowsAsGiven:
    """Decode the codes of rows with one unit set to each of some values."""
    check_scalar(unit, "unit", numbers.Integral, min_val=0, max_val=n_components - 1)
    steps = column_or_1d(check_array(np.atleast_1d(values), ensure_2d=False, input_name="values"))
    given = form.encode(X, y)
    codes = np.repeat(in_batches(model, encode, given)[:, None], len(steps), axis=1)
    codes[:, :, unit] = steps
    return _steps(model, form, codes, given.context, X)


def _steps(model: Model, form: Format, codes: np.ndarray, context: np.ndarray | None, like: RowsLike) -> RowsAsGiven:
    """Decode codes of shape (n, steps, n_components), each row's with its context, in the form of the rows."""
    n, steps, units = codes.shape
    contexts = None if context is None else np.repeat(context, steps, axis=0)
    return form.decode_steps(decode_by_length(model, form, Given(codes.reshape(-1, units), contexts)), n, like)


def decode_by_length(model: Model, form: Format, codes: Given) -> Any:
    """Decode codes; of sequences of very unequal length those of about one length together, to a list."""
    groups = form.groups(codes)
    if groups is None:
        return in_batches(model, decode, codes)
    rows: list[Any] = [None] * len(codes.x)
    for part, alike in groups:
        for row, x in zip(part, in_batches(model, decode, alike), strict=True):
            rows[row] = x
    return rows


def sample(
    model: Model,
    form: Format,
    n: int,
    n_components: int,
    noise: bool,
    random_state: RandomState,
    y: RowsLike | None = None,
) -> RowsAsGiven:
    """Decode codes that are drawn from the prior; with noise also draw rows."""
    check_scalar(n, "n_samples", numbers.Integral, min_val=1)
    random = check_random_state(random_state)
    prior = model.bottleneck.prior
    assert prior is not None
    codes = prior.sample(n, n_components, random).numpy(force=True)
    generator = _generator(model, int(random.randint(2**31 - 1)))

    def draw(model: Model, batch: Batch) -> Tensor:
        distribution = model.decode(batch.x, batch.context)
        if noise and not hasattr(distribution, "sample"):
            raise InputError(f"likelihood={name_of(model.likelihood)!r} has no sample(generator): add it")
        return distribution.sample(generator) if noise else distribution.mean

    return form.decode(in_batches(model, draw, Given(codes, form.context(y, n))))


def _generator(model: Model, seed: int) -> torch.Generator:
    """Return a generator for what is drawn at use, apart from the training's."""
    return torch.Generator(model.fill.device).manual_seed(seed)


def score_samples(
    model: Model, form: Format, X: RowsLike, y: RowsLike | None = None, *, per_feature: bool = False
) -> RowsAsGiven:
    """Score rows, or each of their entries."""
    if per_feature:
        return form.entries(scores(model, form, form.encode_to_score(X, y), per_feature=True), X)
    if y is not None:
        return scores(model, form, form.encode_to_score(X, y))
    return by_pieces(lambda rows: scores(model, form, form.encode_to_score(rows)), X)


def scores(model: Model, form: Format, given: Given, *, per_feature: bool = False) -> Any:
    """Score rows, or each of their entries, that are encoded to be scored, in nats."""
    new, log_scale = form.new_categories(given.x), form.log_scale
    given = _without(given, new)
    found = in_batches(model, entry_scores if per_feature else row_scores, given)
    if log_scale is not None and not (per_feature and model.knows_usual):
        log_scale = log_scale.astype(found.dtype)
        found = found - (log_scale if per_feature else log_scale.sum())
    if new is None or not model.knows_usual:
        return found
    costs = (model.rare - model.usual).cpu().numpy().astype(found.dtype)
    return np.where(new, costs, found) if per_feature else found + (new * costs).sum(1)


def _without(given: Given, new: np.ndarray | None) -> Given:
    """Return rows without the categories that were not there at ``fit``: of these encoder and decoder know nothing."""
    return given if new is None else given._replace(x=np.where(new, given.x.dtype.type(np.nan), given.x))


def log_likelihood(model: Model, form: Format, X: RowsLike, n: int, y: RowsLike | None = None) -> np.ndarray:
    """Estimate log p(x) of rows by so many draws of the code."""
    check_scalar(n, "n_importance_samples", numbers.Integral, min_val=1)
    given = form.encode_to_score(X, y)
    new, log_scale = form.new_categories(given.x), form.log_scale
    given = _without(given, new)
    estimate = partial(importance_log_likelihood, samples=n, generator=_generator(model, SEED))
    found = in_batches(model, estimate, given)
    if new is not None and model.knows_usual:
        found = found + np.where(new, model.rare.cpu().numpy(), 0).sum(1).astype(found.dtype)
    if log_scale is None:
        return found
    return found - (given.known.reshape(len(given.x), -1) @ log_scale.ravel()).astype(found.dtype)
