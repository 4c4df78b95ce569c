"""Five parts and one sum: corruption, encoder, bottleneck, decoder, likelihood, and the terms of the loss."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from isthmus.core.batch import Batch, RaggedBatch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.likelihoods.base import Distribution
from isthmus.core.parts import Parts
from isthmus.core.penalties.base import Forward

LEAST_SHARE = 0.1
"""What the distances of fewer known entries than this share of a row are scaled up by: a few say little of all."""


class Outcome(NamedTuple):
    """What a model makes of a batch.

    Attributes
    ----------
    terms : dict of str to Tensor
        ``reconstruction`` (−log p(x | z), nats, one value a row), the code's own terms, the penalties, and in the
        training of a top-k code ``revival``: unweighted.
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
    parts : Parts, optional
        All else: see :class:`isthmus.core.parts.Parts`.
    row_shape : tuple of int, default ()
        The shape of ``fill``, what stands for entries that are not known.
    tail : int, default 0
        How many of a row's last entries, along its first axis, stay where rows are shorter: see
        :class:`isthmus.core.batch.RaggedBatch`.

    Attributes
    ----------
    mixed : dtype, optional
        What the networks compute their products in, in training, where that is not the dtype of the weights; all else,
        the terms of the loss among it, is computed in that of the weights.
    usual, rare : Tensor of shape row_shape
        The log-density, in nats, that an entry usually has, and that of a category which no training row had: see
        :func:`isthmus.core.score.learn_usual`. NaN until it is learnt.
    unknown : Tensor of shape ()
        What the score of a row of which nothing is known differs by from the sum of ``usual``, in nats.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        parts: Parts | None = None,
        row_shape: tuple[int, ...] = (),
        tail: int = 0,
    ) -> None:
        super().__init__()
        parts = parts or Parts()
        self.encoder = encoder
        self.decoder = decoder
        self.bottleneck = parts.bottleneck
        self.likelihood = parts.likelihood
        self.corruption = parts.corruption
        self.context_corruption = parts.context_corruption
        self.hiding = parts.hiding
        self.hidden_only = parts.hidden_only
        self.rescaled = parts.rescaled
        self.inputs = parts.inputs or nn.Identity()
        self.seen = parts.seen
        self.penalties = dict(parts.penalties)
        self.weights = dict(parts.weights)
        self.warm_up = dict(parts.warm_up)
        self.tail = tail
        self.mixed: torch.dtype | None = None
        self.fill: Tensor
        self.usual: Tensor
        self.rare: Tensor
        self.unknown: Tensor
        self.register_buffer("fill", torch.zeros(row_shape))
        self.register_buffer("usual", torch.full(row_shape, torch.nan))
        self.register_buffer("rare", torch.full(row_shape, torch.nan))
        self.register_buffer("unknown", torch.full((), torch.nan))
        prior = self.bottleneck.prior
        held = self.bottleneck.modules() if isinstance(self.bottleneck, nn.Module) else ()
        if isinstance(prior, nn.Module) and not any(each is prior for each in held):
            self.prior = prior  # of a bottleneck that is no module: what the prior learns is trained and saved here

    def encode(self, rows: Batch, generator: torch.Generator | None = None) -> Code:
        """Encode rows of shape (rows, ...) to a code of shape (rows, n_components)."""
        return self.bottleneck(self.encoded(rows), generator)

    def encoded(self, rows: Batch) -> Tensor:
        """Return what the encoder gives of rows, which the bottleneck makes a code of; shape (rows, width)."""
        return self._encoded(rows) if self.mixed is None else self._in_mixed(self._encoded, rows)

    def _encoded(self, rows: Batch) -> Tensor:
        x, context, observed = rows
        if self.rescaled and observed is not None and not self.takes_known:
            x = self._rescale(x, observed)
        x = self.inputs(x)
        if self.takes_known:
            return self.encoder(x, context, observed)
        return self.encoder(x) if context is None else self.encoder(x, context)

    @property
    def takes_known(self) -> bool:
        """Whether the encoder is told which entries are known, and can leave the others out."""
        return getattr(self.encoder, "takes_known", False)

    @property
    def knows_usual(self) -> bool:
        """Whether it was learnt what entries usually cost; a model that an older version saved does not know."""
        return not bool(self.unknown.isnan())

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Decode codes of shape (rows, n_components) to a distribution of rows."""
        return self.likelihood(self.decoded(z, context))

    def decoded(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return what the decoder gives of codes, the likelihood's parameters; shape (rows, width, ...)."""
        return self._decoded(z, context) if self.mixed is None else self._in_mixed(self._decoded, z, context)

    def _decoded(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(z) if context is None else self.decoder(z, context)

    def _in_mixed(self, network: Callable[..., Tensor], *given: Any) -> Tensor:
        """Return what a network gives, in the dtype of the weights, by products in another one while it is trained."""
        with torch.autocast(self.fill.device.type, self.mixed, enabled=self.training):
            return network(*given).to(self.fill.dtype)

    def cut(self, values: Tensor, x: Tensor) -> Tensor:
        """Return what is one an entry of a whole row for the entries of rows that may be shorter."""
        if values.shape == x.shape[1:] or not values.ndim:
            return values
        return torch.cat([values[: x.shape[1] - self.tail], values[len(values) - self.tail :]])

    def filled(self, rows: Batch) -> Batch:
        """Put ``fill`` where rows hold NaN, and note where they do not."""
        if isinstance(rows, RaggedBatch):
            return rows.map(self.filled)
        observed = rows.x.isnan().logical_not_()
        return rows if observed.all() else Batch(self._with_gaps(rows.x, observed), rows.context, observed)

    def forward(self, batch: Batch, shown: Batch | None = None, generator: torch.Generator | None = None) -> Outcome:
        """Take every term of the loss for a batch, of which the encoder is shown `shown` (default: all)."""
        shown = batch if shown is None else shown
        code = self.encode(shown, generator)
        counted = self.counted(batch, shown)
        decoded = self.decode(code.z, shown.context)
        fit = decoded.fit(batch.x, counted)
        terms = {name: -log_prob for name, log_prob in fit.parts.items()} | code.terms
        if self.penalties:
            weights = tuple(self.parameters())
            closed_form, by_layers = self._jacobian(shown)
            forward = Forward(self.encode, weights, shown, code, generator, closed_form, decoded, by_layers)
            terms |= {name: penalty(forward) for name, penalty in self.penalties.items()}
        if self.training and self.bottleneck.contends:
            terms["revival"] = self._revival(batch, shown, code, counted)
        return Outcome(terms, fit.squared_error.detach(), code, counted)

    def _jacobian(self, shown: Batch) -> tuple[Callable[..., Tensor | None] | None, Callable[..., Tensor] | None]:
        """Return what gives ‖∂h/∂x‖²_F of each row in closed form, and Σ_k ‖vᵀ_k ∂h/∂x‖² layer by layer.

        None where the encoder has it not, is not given the rows as they are, or is followed by a bottleneck.
        """
        encoder: Any = self.encoder
        if not self.bottleneck.is_identity or type(self.inputs) is not nn.Identity:
            return None, None
        told = {"x": shown.x, "context": shown.context}
        of_a_layer, by_layers = hasattr(encoder, "squared_jacobian"), getattr(encoder, "has_known_layers", False)
        return (
            functools.partial(encoder.squared_jacobian, **told) if of_a_layer else None,
            functools.partial(encoder.squared_products, **told) if by_layers else None,
        )

    def _revival(self, batch: Batch, shown: Batch, code: Code, counted: Tensor | None) -> Tensor:
        """Return −log p(x | z) of each row, were the units on too that are on in no row; 0 where there are none."""
        z = self.bottleneck.with_idle_units(code)
        if z is None:
            return code.z.new_zeros(len(code.z))
        return -self.decode(z, shown.context).fit(batch.x, counted).log_prob

    def counted(self, batch: Batch, shown: Batch) -> Tensor | None:
        """Return which entries of a batch count in the loss, where the encoder is shown `shown`; None where all do.

        Those that are known; with ``hidden_only`` those of them that were hidden or, where none was, all of them.
        """
        if not self.hidden_only or shown.observed is None or shown.observed is batch.observed:
            return batch.observed
        return ~shown.observed if batch.observed is None else batch.observed & ~shown.observed

    def corrupt(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Return what is shown in training instead of a batch."""
        x, context, observed = batch
        if self.corruption is not None:
            x, observed = self._noisy(x, observed, generator)
        if self.context_corruption is not None:
            context = self.context_corruption(context, generator=generator)
        if self.hiding is not None:
            observed = self.hiding(x, observed, generator=generator)
            x = self._with_gaps(x, observed)
        return Batch(x, context, observed)

    def _noisy(
        self, x: Tensor, observed: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None]:
        """Corrupt what is known: a gap stays one, as it is at use, and one taken from another row is one too."""
        assert self.corruption is not None
        if observed is None:
            return self.corruption(x, generator=generator), None
        x = self.corruption(x.masked_fill(~observed, torch.nan), generator=generator)
        observed = observed & ~x.isnan()
        return self._with_gaps(x, observed), observed

    def _with_gaps(self, x: Tensor, observed: Tensor | None) -> Tensor:
        """Put ``fill`` where entries are not known."""
        return x if observed is None else torch.where(observed, x, self.cut(self.fill, x))

    def _rescale(self, x: Tensor, observed: Tensor) -> Tensor:
        """Divide the distance of each row from ``fill`` by the share of its entries that is known."""
        share = observed.flatten(1).to(x).mean(1).clamp(min=LEAST_SHARE)
        return self.fill + (x - self.fill) / share.view(-1, *[1] * (x.ndim - 1))

    def weight(self, name: str, epochs: float = math.inf) -> float:
        """Return the weight of a term, after that many epochs of training, or when it has risen to the full."""
        rising = epochs < self.warm_up.get(name, 0)
        return self.weights.get(name, 1.0) * (epochs / self.warm_up[name] if rising else 1.0)

    def row_losses(self, terms: Mapping[str, Tensor], epochs: float = math.inf) -> Tensor:
        """Σ weight · term, of shape (rows,); its mean is the loss, Σ weight · mean(term)."""
        weights = {name: self.weight(name, epochs) for name in terms}
        weighted = (term if weights[name] == 1 else weights[name] * term for name, term in terms.items())
        return functools.reduce(torch.add, weighted)


def outcome_of(
    model: Callable[..., Outcome],
    batch: Batch,
    corrupt: Callable[[Batch, torch.Generator | None], Batch],
    generator: torch.Generator | None,
) -> Outcome:
    """Take every term of the loss for a batch, shown corrupted; of sequences of very unequal length part by part."""
    parts = list(batch.parts())
    outcomes = [model(part, corrupt(part, generator), generator) for part in parts]
    return outcomes[0] if len(outcomes) == 1 else _joined(outcomes, parts)


def _joined(outcomes: list[Outcome], parts: list[Batch]) -> Outcome:
    """Return one outcome of the parts of a batch; a term that belongs to the batch is their mean, by their rows."""
    sizes = torch.tensor([part.n_rows for part in parts])
    shares = sizes / sizes.sum()
    terms = {}
    for name in outcomes[0].terms:
        values = [each.terms[name] for each in outcomes]
        terms[name] = torch.cat(values) if values[0].ndim else torch.stack(values) @ shares.to(values[0])
    columns = zip(*(each.code._replace(terms={}) for each in outcomes), strict=True)
    code = Code._make(torch.cat(each) if isinstance(each[0], Tensor) else each[0] for each in columns)
    counted = [
        torch.ones(part.x.numel(), dtype=torch.bool, device=part.x.device) if each.counted is None else each.counted
        for each, part in zip(outcomes, parts, strict=True)
    ]
    squared_error = torch.cat([each.squared_error for each in outcomes])
    return Outcome(terms, squared_error, code, torch.cat([each.flatten() for each in counted]))
