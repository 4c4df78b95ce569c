"""Five parts and one sum: corruption, encoder, bottleneck, decoder, likelihood, and the terms of the loss."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isthmus.core.bottleneck import Bottleneck, Code, deterministic
from isthmus.core.likelihood import Distribution, Gaussian, Likelihood
from isthmus.core.penalty import Penalty


class Outcome(NamedTuple):
    """What a model makes of a batch.

    Attributes
    ----------
    terms : dict of str to Tensor
        ``reconstruction`` (−log p(x | z), nats, one value a row), the code's own terms, the penalties: unweighted.
    squared_error : Tensor of shape (rows,)
        ‖x − mean‖² of each row, without a gradient.
    """

    terms: dict[str, Tensor]
    squared_error: Tensor


class Model(nn.Module):
    """An autoencoder: the choice of its parts.

    Parameters
    ----------
    encoder : Module
        x → h, of shape (rows, n_components). Given a context, it is called with it as a second argument.
    decoder : Module
        z → the likelihood's parameters. Given a context, likewise.
    bottleneck : callable, default deterministic
        h → Code.
    likelihood : callable, default Gaussian
        Parameters → Distribution.
    corruption : callable, optional
        (x, generator=…) → x̃, what the encoder is shown in training.
    penalties : dict of str to callable, optional
        Further terms, each ``(model, x, context, code, generator) → term``.
    weights : dict of str to float, optional
        The weight of each term in the loss; 1 where it is not named.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: Bottleneck = deterministic,
        likelihood: Likelihood = Gaussian,
        corruption: Callable[..., Tensor] | None = None,
        penalties: Mapping[str, Penalty] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.bottleneck = bottleneck
        self.likelihood = likelihood
        self.corruption = corruption
        self.penalties = dict(penalties or {})
        self.weights = dict(weights or {})

    def encode(self, x: Tensor, context: Tensor | None = None, generator: torch.Generator | None = None) -> Code:
        """Encode rows of shape (rows, ...) to a code of shape (rows, n_components)."""
        h = self.encoder(x) if context is None else self.encoder(x, context)
        return self.bottleneck(h, generator)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Decode codes of shape (rows, n_components) to a distribution of rows."""
        return self.likelihood(self.decoder(z) if context is None else self.decoder(z, context))

    def forward(
        self,
        x: Tensor,
        shown: Tensor | None = None,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Outcome:
        """Take every term of the loss for the rows `x`, of which the encoder is shown `shown` (default: `x`)."""
        shown = x if shown is None else shown
        code = self.encode(shown, context, generator)
        fit = self.decode(code.z, context).fit(x)
        terms = {"reconstruction": -fit.log_prob} | code.terms
        for name, penalty in self.penalties.items():
            terms[name] = penalty(self, shown, context, code, generator)
        return Outcome(terms, fit.squared_error.detach())

    def corrupt(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what the encoder is shown in training instead of `x`."""
        return x if self.corruption is None else self.corruption(x, generator=generator)

    def row_losses(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Σ weight · term, of shape (rows,); its mean is the loss, Σ weight · mean(term)."""
        weighted = (
            term if self.weights.get(name, 1) == 1 else self.weights[name] * term for name, term in terms.items()
        )
        return functools.reduce(torch.add, weighted)
