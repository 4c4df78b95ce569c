"""Start a model at the linear one that it contains: PCA, or probabilistic PCA where the code is Gaussian."""

from collections.abc import Iterable
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.likelihoods.gaussian import LEAST_SIGMA
from isthmus.core.likelihoods.product import ProductLikelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.core.sigma import set_floors, set_sigmas, widest
from isthmus.networks.multimodal import MultimodalDecoder, MultimodalEncoder
from isthmus.networks.pair import start_at_zero
from isthmus.threads import suited_to

OVERSAMPLED = 10
"""Components that a randomised PCA takes beside those that are asked for."""

SMALL = 1e-2
"""Standard deviation of the weights of those units of a code that PCA has no component for."""

LEAST_RIDGE = 1e-6
"""Ridge of the read-out, as a share of the units' variance: random units are nearly combinations of the others."""

ROW_RIDGE = 1.0
"""The same, times units by rows, where units are the directions of rows, which would else be known by heart."""

WHOLE = 2**23
"""Numbers that the encoder is given of a table's rows, or the decoder gives, up to which they are made at once: of a
cell there may be dozens."""

ROWS_AT_ONCE, NUMBERS_AT_ONCE = 4096, 2**22
"""Rows that are encoded at once, at the most, and numbers in them."""

PIECE = 1024
"""Rows that are gone through at once where they would be more."""

FEWEST_A_UNIT = 10
"""Rows for each unit of a code that principal axes are taken of, at the least."""

MOST_TO_MEASURE = 4096
"""Rows that the variance along as many directions as a code has units is taken of."""

LEAST_SHARE = 1e-6
"""What noise takes, at the least, of the variance along an axis: with β = 0 nothing else would bound log σ²."""


class LinearPath(Protocol):
    """The path of an encoder or a decoder that has a linear map in it."""

    linear: nn.Linear

    def __call__(self, x: Tensor) -> Tensor:
        """Map (rows, first width) → (rows, last width)."""


class Standardised(Protocol):
    """An encoder, or a decoder, with a linear path."""

    centre: Tensor
    scale: Tensor
    path: LinearPath


def start_model(model: Model, rows: Batch, *, at_pca: bool, seed: int, spread_units: bool = False) -> None:
    """Standardise by the rows, put the linear path at their PCA, and the σ that is learnt at what is left over.

    The encoder's W is put at the principal axes, with codes of unit variance, and the decoder's V at the best read-out
    of them by least squares. Of a linear code that gives PCA's own reconstruction; of a code that is bent or thinned
    out (a sigmoid, top-k) the best that a linear map can. The units of a top-k code contend, and of principal axes the
    first would win in every row; of an L1 code those beyond the axes would stay at zero: there W has the directions of
    as many rows from their mean. Tied weights leave V no freedom: there W is orthonormal, and V its transpose. A
    Gaussian code starts at probabilistic PCA (Tipping & Bishop 1999), the optimum of a linear variational autoencoder
    (Lucas et al. 2019); given a context, at that of the rows less their regression on it.

    Parameters
    ----------
    model : Model
        Its encoder and decoder have ``centre`` and ``scale`` where they have a linear path; others are left as they
        are. Of a multimodal pair those of each modality are standardised, and decode at first to its rows' mean.
    rows : Batch
        Training rows.
    at_pca : bool
        Whether W and V are set too; else they stay at random.
    seed : int
        For the solver, where PCA takes a randomised one, and the choice of rows.
    spread_units : bool, default False
        Whether to give the units of a top-k code the same mean and spread: for networks without a linear path.
    """
    encoder, decoder = model.encoder, cast("Standardised", model.decoder)
    model.eval()
    with torch.no_grad():
        if getattr(encoder, "centre", None) is not None:
            standardise(model, rows)
            if at_pca:
                tied = not hasattr(decoder.path.linear, "weight")
                _set_weight(model, rows, whiten=not tied, seed=seed)
                _set_read_out(model, rows, tied=tied)
        if isinstance(encoder, MultimodalEncoder):
            _standardise_each(model, rows)
        if spread_units:
            _spread_units(model, rows)
        set_floors(model, rows)
        set_sigmas(model, rows, seed)


def standardise(model: Model, rows: Batch) -> None:
    """Set centre and scale of the encoder by the rows, and those of the decoder by what it should put out."""
    with torch.no_grad():
        whole = _are_few(model, rows)
        for part, function in ((model.encoder, model.inputs), (model.decoder, partial(_linear_target, model))):
            if whole:
                _standardise(cast("Standardised", part), function(rows.x))
            else:
                _standardise_by_pieces(cast("Standardised", part), (function(piece.x) for piece in rows.split(PIECE)))


def _standardise_each(model: Model, rows: Batch) -> None:
    """Standardise each modality's pair by the rows that have it, and have its decoder begin at their mean."""
    encoder = cast("MultimodalEncoder", model.encoder)
    decoder = cast("MultimodalDecoder", model.decoder)
    likelihood = cast("ProductLikelihood", model.likelihood)
    parts = rows.x.split(encoder.sizes, dim=1)
    knowns = [None] * len(parts) if rows.observed is None else rows.observed.split(encoder.sizes, dim=1)
    pairs = zip(encoder.encoders, encoder.shapes, decoder.decoders, likelihood.blocks, parts, knowns, strict=True)
    for its_encoder, shape, its_decoder, block, x, known in pairs:
        if getattr(its_encoder, "centre", None) is None:
            continue
        its = Model(its_encoder, its_decoder, Parts(likelihood=block.likelihood, inputs=shape))
        standardise(its, Batch(x if known is None else x[known.any(1)]))
        if its_decoder.path.linear is not None:
            start_at_zero(its_decoder.path.linear)


def _are_few(model: Model, rows: Batch) -> bool:
    """Tell whether what the encoder is given of all rows, and what the decoder gives, may be there at once.

    Where a row is nothing but its numbers, it is there already.
    """
    if not hasattr(model.inputs, "width"):
        return True
    encoder, decoder = model.encoder, model.decoder
    width = max(int(part.centre.numel()) for part in (encoder, decoder))  # type: ignore[operator]
    return len(rows.x) * width <= WHOLE


def _standardise(part: Standardised, rows: Tensor) -> None:
    """Set a part's centre to the rows' mean, and its one scale to the root of their mean variance."""
    rows = rows.flatten(1)
    part.centre.copy_(rows.mean(0))
    # Once more around the first mean: where the rows lie far from zero, that one has lost digits.
    rest = rows - part.centre
    part.centre.add_(rest.mean(0))
    _set_spread(part, torch.sub(rows, part.centre, out=rest).square_().mean())


def _standardise_by_pieces(part: Standardised, pieces: Iterable[Tensor]) -> None:
    """Set them by rows that come in pieces: by sums around the mean of the first of them."""
    n, around = 0, torch.zeros(())
    for piece in pieces:
        rows = piece.flatten(1)
        if not n:
            around = rows.mean(0)
            sums, squares = torch.zeros(2, len(around), dtype=widest(around), device=around.device)
        rest = rows.sub(around)
        n, sums = n + len(rows), sums + rest.sum(0)
        squares = squares + rest.square_().sum(0)
    mean = sums / n
    part.centre.copy_(around + mean)
    _set_spread(part, (squares / n - mean.square()).clamp(min=0).mean())


def _set_spread(part: Standardised, variance: Tensor) -> None:
    spread = variance.sqrt()
    part.scale.copy_(spread if spread > 0 else torch.ones_like(spread))


def _linear_target(model: Model, x: Tensor) -> Tensor:
    """Return what the decoder should put out, before its activation, to have the mean `x`; kept where it is finite."""
    parameters = model.likelihood.link(x)
    if isinstance(model.decoder.activation, nn.Sigmoid):
        return torch.logit(parameters, eps=0.02)
    if isinstance(model.decoder.activation, nn.Tanh):
        return torch.atanh(parameters.clamp(-0.98, 0.98))
    return parameters


def _set_weight(model: Model, rows: Batch, *, whiten: bool, seed: int) -> None:
    """Set W to the principal axes, for codes of unit variance or as they are; units beyond them small and random."""
    encoder = cast("Standardised", model.encoder)
    weight, bias = encoder.path.linear.weight, encoder.path.linear.bias
    units = len(weight) // model.bottleneck.n_params
    rows = rows if _are_few(model, rows) else _sample(model, rows, units, seed)
    x = _standardised(model, rows)
    context = None if rows.context is None else rows.context.cpu().numpy()
    regression = None if context is None else np.linalg.lstsq(context, x, rcond=None)[0]
    if regression is not None:
        x = x - context @ regression
    nn.init.normal_(weight[:units], std=SMALL)
    bias.zero_()
    if _starts_at_rows(model, rows):
        axes, variance = _row_directions(x, units, seed)
    else:
        with np.errstate(invalid="ignore"):  # rows that are all alike have no variance to take shares of
            n = min(units, *x.shape)
            with suited_to(x.size * (n + OVERSAMPLED), blas=True):
                pca = PCA(n, random_state=seed).fit(x)
        axes, variance = pca.components_, np.maximum(pca.explained_variance_, 0)
    if whiten:
        real = variance > 1e-12 * variance.max(initial=np.finfo(np.float32).tiny)
        axes, variance = axes[real], variance[real]
        axes = axes / np.sqrt(variance)[:, None]
    if model.bottleneck.n_params > 1:
        left_over = (x.var(0, ddof=1).sum() - pca.explained_variance_.sum()) / max(x.shape[1] - len(variance), 1)
        share = np.clip(_noise_variance(model, float(left_over)) / variance, LEAST_SHARE, 1)
        axes = (np.sqrt(1 - share)[:, None] * axes)[share < 1]
        weight[units:].zero_()
        bias[units : units + len(axes)] = torch.as_tensor(np.log(share[share < 1])).to(bias)
    weight[: len(axes), : axes.shape[1]] = torch.as_tensor(axes).to(weight)
    if regression is not None:
        weight[: len(axes), axes.shape[1] :] = torch.as_tensor(-axes @ regression.T).to(weight)


def _standardised(model: Model, rows: Batch) -> np.ndarray:
    """Return what the encoder is given of rows, standardised; of a table's cells it is many numbers, made in pieces."""
    encoder = cast("Standardised", model.encoder)
    if not hasattr(model.inputs, "width"):
        x = model.inputs(rows.x).flatten(1) - encoder.centre
    else:
        x = rows.x.new_empty(len(rows.x), len(encoder.centre))
        for into, piece in zip(x.split(PIECE), rows.x.split(PIECE), strict=True):
            torch.sub(model.inputs(piece).flatten(1), encoder.centre, out=into)
    return x.div_(encoder.scale).cpu().numpy()


def _sample(model: Model, rows: Batch, units: int, seed: int) -> Batch:
    """Draw the rows that principal axes are taken of, where what the encoder is given of all would be too much.

    There are as many that it is `WHOLE` numbers, or half as many as the rows are themselves, where that is more.
    """
    width = int(model.encoder.centre.numel())  # type: ignore[operator]
    n = max(max(WHOLE, rows.x.numel() // 2) // width, FEWEST_A_UNIT * units)
    order = torch.randperm(len(rows.x), generator=torch.Generator().manual_seed(seed))
    return rows.take(order[:n].sort().values.to(rows.x.device))


def _spread_units(model: Model, rows: Batch) -> None:
    """Bring each unit of a top-k code to mean 0 and variance 1 over some rows, so that each is on in some of them.

    That is done in the linear layer whose output the code is; where it is no such layer's, nothing is.
    """
    outputs: list[tuple[nn.Linear, Tensor]] = []
    layers = [layer for layer in model.encoder.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(lambda layer, _, output: outputs.append((layer, output))) for layer in layers]
    n = _rows_at_once(model.fill.numel())
    pieces = rows.split(n) if isinstance(rows, RaggedBatch) else iter([rows.take(slice(n))])
    h = model.encode(next(pieces)).h
    for hook in hooks:
        hook.remove()
    last = next((layer for layer, output in outputs if h is not None and torch.equal(output, h)), None)
    if h is None or last is None:
        return
    h = torch.cat([h, *(each for piece in pieces if (each := model.encode(piece).h) is not None)])
    spread = h.std(0, correction=0)
    spread[spread == 0] = 1
    last.weight.div_(spread[:, None])
    last.bias.sub_(h.mean(0)).div_(spread)


def _rows_at_once(width: int) -> int:
    """Return how many rows of so many numbers are encoded at once."""
    return max(1, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // width))


def _starts_at_rows(model: Model, rows: Batch) -> bool:
    """Tell whether principal axes would leave units of a code off: they contend, or are more than there are axes."""
    encoder = cast("Standardised", model.encoder)
    units, features = encoder.path.linear.weight.shape
    return model.bottleneck.starts_at_rows(units, min(len(rows.x), features))


def _row_directions(x: np.ndarray, units: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return directions of length 1 of rows from their mean, drawn at random, and the variance of all along each.

    Where there are too few rows, the rest are those of differences of two; and a little of such a difference in each
    tells rows that are alike from one another.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(x))
    difference = x[random.integers(len(x), size=units)] - x[random.integers(len(x), size=units)]
    directions = SMALL * difference
    directions[: len(x)] += x[order[:units]]
    length = np.linalg.norm(directions, axis=1)
    directions = directions[length > 0] / length[length > 0, None]
    return directions, np.square(x[order[:MOST_TO_MEASURE]] @ directions.T).mean(0)


def _noise_variance(model: Model, left_over: float) -> float:
    """Return βσ² in the encoder's units: what the components leave over of a feature, or what the likelihood says."""
    sigma = model.likelihood.fixed
    left_over = max(left_over, LEAST_SIGMA**2)
    given = None if sigma is None else (sigma / float(model.encoder.scale)) ** 2  # type: ignore[arg-type]
    return model.weight("kl") * (left_over if given is None else given)


def _set_read_out(model: Model, rows: Batch, *, tied: bool) -> None:
    """Set V and its bias by least squares on the codes, or the bias alone where V is tied."""
    decoder = cast("Standardised", model.decoder)
    linear = decoder.path.linear
    linear.bias.zero_()
    if not tied:
        linear.weight.zero_()
    moments: list[Tensor] = []
    at_once = _rows_at_once(rows.x[0].numel()) if _are_few(model, rows) else PIECE
    for piece in rows.split(at_once):
        x, context, _ = piece
        code = model.encode(piece)
        z = code.mean if context is None else torch.cat([code.mean, context], dim=1)
        rest = (_linear_target(model, x).flatten(1) - decoder.centre) / decoder.scale - decoder.path(z)
        z, rest = z.double(), rest.double()
        noise = torch.zeros_like(z)  # what the draw adds to the variance of a Gaussian code
        if code.log_variance is not None:
            noise[:, : code.mean.shape[1]] = code.log_variance.double().exp()
        found = [z.sum(0), rest.sum(0), z.T @ z + noise.sum(0).diag(), z.T @ rest]
        moments = [total.add_(more) for total, more in zip(moments, found, strict=True)] if moments else found
    code_mean, rest_mean, second_moment, cross_moment = (total / len(rows.x) for total in moments)
    if not tied:
        covariance = second_moment - code_mean.outer(code_mean)
        ridge = ROW_RIDGE * len(covariance) / len(rows.x) if _starts_at_rows(model, rows) else LEAST_RIDGE
        penalty = (ridge * covariance.diagonal().mean() + 1e-12) * torch.eye(len(covariance)).to(covariance)
        cross_covariance = cross_moment - code_mean.outer(rest_mean)
        read_out = torch.cholesky_solve(cross_covariance, torch.linalg.cholesky(covariance + penalty))
        linear.weight.copy_(read_out.T)
        rest_mean = rest_mean - code_mean @ read_out
    linear.bias.copy_(rest_mean)
