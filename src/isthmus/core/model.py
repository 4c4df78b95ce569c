"""Five parts and one sum: corruption, encoder, bottleneck, decoder, likelihood, and the terms of the loss."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isthmus.core.batch import Batch
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
        ‖x − mean‖² of each row over the entries that count, without a gradient.
    code : Code
        The code that was decoded.
    counted : Tensor of bool, shaped like x, optional
        The entries that count in the loss; None where all do.
    """

    terms: dict[str, Tensor]
    squared_error: Tensor
    code: Code
    counted: Tensor | None = None


class Model(nn.Module):
    """An autoencoder: the choice of its parts.

    Parameters
    ----------
    encoder : Module
        x → h, of shape (rows, n_components). Given a context, it is called with it as a second argument. One with a
        class attribute ``takes_known = True`` is always called with three: x, context, and which entries of x are
        known or shown (None: all).
    decoder : Module
        z → the likelihood's parameters. Given a context, likewise.
    bottleneck : callable, default deterministic
        h → Code.
    likelihood : callable, default Gaussian
        Parameters → Distribution.
    corruption : callable, optional
        (x, generator=…) → x̃, what the encoder is shown in training.
    context_corruption : callable, optional
        (context, generator=…) → what encoder and decoder are told in training.
    hiding : callable, optional
        (x, known, generator=…) → which entries the encoder is shown in training; one that does not take ``known`` is
        shown ``fill`` in the place of the others.
    hidden_only : bool, default False
        Whether in training just the hidden entries count in the loss (He et al. 2021).
    inputs : Module, optional
        x → what the encoder is given, where these differ: the cells of a table → numbers.
    penalties : dict of str to callable, optional
        Further terms, each ``(model, x, context, code, generator) → term``.
    weights : dict of str to float, optional
        The weight of each term in the loss; 1 where it is not named.
    warm_up : dict of str to int, optional
        Epochs of training over which a term's weight rises from 0, evenly.
    row_shape : tuple of int, default ()
        The shape of ``fill``, what stands for entries that are not known.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: Bottleneck = deterministic,
        likelihood: Likelihood = Gaussian,
        corruption: Callable[..., Tensor] | None = None,
        context_corruption: Callable[..., Tensor] | None = None,
        hiding: Callable[..., Tensor] | None = None,
        hidden_only: bool = False,
        inputs: nn.Module | None = None,
        penalties: Mapping[str, Penalty] | None = None,
        weights: Mapping[str, float] | None = None,
        warm_up: Mapping[str, int] | None = None,
        row_shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.bottleneck = bottleneck
        self.likelihood = likelihood
        self.corruption = corruption
        self.context_corruption = context_corruption
        self.hiding = hiding
        self.hidden_only = hidden_only
        self.inputs = inputs or nn.Identity()
        self.penalties = dict(penalties or {})
        self.weights = dict(weights or {})
        self.warm_up = dict(warm_up or {})
        self.fill: Tensor
        self.register_buffer("fill", torch.zeros(row_shape))

    def encode(self, rows: Batch, generator: torch.Generator | None = None) -> Code:
        """Encode rows of shape (rows, ...) to a code of shape (rows, n_components)."""
        x, context, known = rows
        x = self.inputs(x)
        if self.takes_known:
            h = self.encoder(x, context, known)
        else:
            h = self.encoder(x) if context is None else self.encoder(x, context)
        return self.bottleneck(h, generator)

    @property
    def takes_known(self) -> bool:
        """Whether the encoder is told which entries are known, and can leave the others out."""
        return getattr(self.encoder, "takes_known", False)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Decode codes of shape (rows, n_components) to a distribution of rows."""
        return self.likelihood(self.decoder(z) if context is None else self.decoder(z, context))

    def filled(self, rows: Batch) -> Batch:
        """Put ``fill`` where rows hold NaN, and note where they do not."""
        known = ~rows.x.isnan()
        if known.all():
            return rows
        return Batch(torch.where(known, rows.x, self.fill), rows.context, known)

    def forward(self, batch: Batch, shown: Batch | None = None, generator: torch.Generator | None = None) -> Outcome:
        """Take every term of the loss for a batch, of which the encoder is shown `shown` (default: all)."""
        shown = batch if shown is None else shown
        code = self.encode(shown, generator)
        counted = self.counted(batch, shown)
        fit = self.decode(code.z, shown.context).fit(batch.x, counted)
        terms = {name: -log_prob for name, log_prob in fit.parts.items()} | code.terms
        for name, penalty in self.penalties.items():
            terms[name] = penalty(self, shown.x, shown.context, code, generator)
        return Outcome(terms, fit.squared_error.detach(), code, counted)

    def counted(self, batch: Batch, shown: Batch) -> Tensor | None:
        """Return which entries of a batch count in the loss, where the encoder is shown `shown`; None where all do.

        Those that are known; with ``hidden_only`` those of them that were hidden or, where none was, all of them.
        """
        if not self.hidden_only or shown.known is None or shown.known is batch.known:
            return batch.known
        return ~shown.known if batch.known is None else batch.known & ~shown.known

    def corrupt(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Return what is shown in training instead of a batch."""
        x, context, known = batch
        if self.corruption is not None:
            x = self.corruption(x, generator=generator)
        if self.context_corruption is not None:
            context = self.context_corruption(context, generator=generator)
        if self.hiding is not None:
            known = self.hiding(x, known, generator=generator)
            x = x if self.takes_known else torch.where(known, x, self.fill)
        return Batch(x, context, known)

    def weight(self, name: str, epochs: float = math.inf) -> float:
        """Return the weight of a term, after that many epochs of training, or when it has risen to the full."""
        rising = epochs < self.warm_up.get(name, 0)
        return self.weights.get(name, 1.0) * (epochs / self.warm_up[name] if rising else 1.0)

    def row_losses(self, terms: Mapping[str, Tensor], epochs: float = math.inf) -> Tensor:
        """Σ weight · term, of shape (rows,); its mean is the loss, Σ weight · mean(term)."""
        weights = {name: self.weight(name, epochs) for name in terms}
        weighted = (term if weights[name] == 1 else weights[name] * term for name, term in terms.items())
        return functools.reduce(torch.add, weighted)
