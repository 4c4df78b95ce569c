"""Start a network's linear path at the data's PCA."""

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from isthmus.core.model import Model

SMALL = 1e-2
"""Standard deviation of the weights of those units of a code that PCA has no component for."""


def start_linear_path(model: Model, X: Tensor, *, at_pca: bool, seed: int) -> None:
    """Standardise by the rows `X`; put W at their PCA, with codes of unit variance, and V at the best read-out of them.

    The read-out is by least squares. Of a linear code it gives PCA's own reconstruction; of a code that is bent or
    thinned out (a sigmoid, top-k) the best that a linear map can. Tied weights leave V no freedom: there W is
    orthonormal, and V its transpose. A network without a linear path is left as it is.

    Parameters
    ----------
    model : Model
        Its encoder and decoder have ``centre`` and ``scale`` where they have a linear path.
    X : Tensor of shape (n, ...)
        Training rows.
    at_pca : bool
        Whether W and V are set too; else they stay at random.
    seed : int
        For the solver, where PCA takes a randomised one.
    """
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    if getattr(encoder, "centre", None) is None:
        return
    model.eval()
    with torch.no_grad():
        _standardise(encoder, X)
        _standardise(decoder, _linear_target(model, X))
        if at_pca:
            tied = not hasattr(decoder.path.linear, "weight")
            _set_weight(encoder, X, whiten=not tied, seed=seed)
            _set_read_out(model, X, tied=tied)


def _standardise(part: Any, rows: Tensor) -> None:
    """Set a part's centre to the rows' mean, and its one scale to the root of their mean variance."""
    rows = rows.flatten(1)
    part.centre.copy_(rows.mean(0))
    # Once more around the first mean: where the rows lie far from zero, that one has lost digits.
    rest = rows - part.centre
    part.centre.add_(rest.mean(0))
    spread = (rows - part.centre).square().mean().sqrt()
    part.scale.copy_(spread if spread > 0 else torch.ones_like(spread))


def _linear_target(model: Model, x: Tensor) -> Tensor:
    """Return what the decoder should put out, before its activation, to have the mean `x`; kept where it is finite."""
    parameters: Tensor = model.likelihood.link(x)  # type: ignore[attr-defined]
    if isinstance(model.decoder.activation, nn.Sigmoid):
        return torch.logit(parameters, eps=0.02)
    if isinstance(model.decoder.activation, nn.Tanh):
        return torch.atanh(parameters.clamp(-0.98, 0.98))
    return parameters


def _set_weight(encoder: Any, X: Tensor, *, whiten: bool, seed: int) -> None:
    """Set W to the principal axes, for codes of unit variance or as they are; units beyond them small and random."""
    weight = encoder.path.linear.weight
    rows = ((X.flatten(1) - encoder.centre) / encoder.scale).cpu().numpy()
    with np.errstate(invalid="ignore"):  # rows that are all alike have no variance to take shares of
        pca = PCA(min(len(weight), *rows.shape), random_state=seed).fit(rows)
    axes = pca.components_
    if whiten:
        deviation = np.sqrt(np.maximum(pca.explained_variance_, 0))
        real = deviation > 1e-6 * max(deviation.max(), np.finfo(np.float32).tiny)
        axes = axes[real] / deviation[real, None]
    nn.init.normal_(weight, std=SMALL)
    weight[: len(axes)] = torch.as_tensor(axes).to(weight)
    encoder.path.linear.bias.zero_()


def _set_read_out(model: Model, X: Tensor, *, tied: bool) -> None:
    """Set V and its bias by least squares on the codes, or the bias alone where V is tied."""
    decoder: Any = model.decoder
    linear = decoder.path.linear
    linear.bias.zero_()
    if not tied:
        linear.weight.zero_()
    moments = []
    for x in torch.split(X, 4096):
        z = model.encode(x).mean
        rest = (_linear_target(model, x).flatten(1) - decoder.centre) / decoder.scale - decoder.path(z)
        z, rest = z.double(), rest.double()
        moments.append((z.sum(0), rest.sum(0), z.T @ z, z.T @ rest))
    code_mean, rest_mean, second_moment, cross_moment = (
        torch.stack(parts).sum(0) / len(X) for parts in zip(*moments, strict=True)
    )
    if not tied:
        covariance = second_moment - code_mean.outer(code_mean)
        # The small random units of an over-complete code are nearly combinations of the others: a little ridge.
        ridge = (1e-6 * covariance.diagonal().mean() + 1e-12) * torch.eye(len(covariance)).to(covariance)
        cross_covariance = cross_moment - code_mean.outer(rest_mean)
        read_out = torch.cholesky_solve(cross_covariance, torch.linalg.cholesky(covariance + ridge))
        linear.weight.copy_(read_out.T)
        rest_mean = rest_mean - code_mean @ read_out
    linear.bias.copy_(rest_mean)
