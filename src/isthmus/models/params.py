"""The parameters that all families share, and how they become a format, a network and the parts of a model."""

import math
import numbers
from abc import ABC
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

from isthmus.core.bottlenecks.base import Bottleneck
from isthmus.core.bottlenecks.deterministic import LEAST_CHANGE, Deterministic
from isthmus.core.bottlenecks.soft_threshold import SoftThreshold
from isthmus.core.bottlenecks.top_k import TopK
from isthmus.core.corruption import CORRUPTIONS, HIDINGS, NOISES, Noise, hide_patches
from isthmus.core.likelihoods.base import Likelihood
from isthmus.core.model import Model
from isthmus.core.parts import Parts
from isthmus.core.penalties.base import Penalty
from isthmus.core.penalties.contractive import contractive
from isthmus.core.penalties.sparsity import kl_sparsity, l1
from isthmus.core.penalties.weight_decay import weight_decay
from isthmus.errors import InputError, InputTypeError
from isthmus.formats.arrays import ArrayFormat
from isthmus.formats.base import Format
from isthmus.formats.checks import RandomState, check_choice, check_number, check_scalar
from isthmus.formats.rows import interval
from isthmus.models.engine import PRECISIONS
from isthmus.models.own_parts import (
    GivenBottleneck,
    GivenLikelihood,
    GivenPenalties,
    bottleneck_of,
    check_bottleneck,
    check_corruption,
    check_likelihood,
    check_optimizer,
    check_penalties,
    declared_likelihood,
    likelihood_of,
    name_of,
    penalties_of,
)
from isthmus.networks import MLP, Conv, Transformer
from isthmus.networks.parameters import Network
from isthmus.training.callbacks import Callback
from isthmus.training.compiled import Compile
from isthmus.training.state import Optimize

REVIVAL_WEIGHT = 1 / 8
"""Weight of the term that keeps units of a top-k code alive; Gao et al. 2024 (§2.4) have 1/32 for theirs."""


def default_epochs(rows: int, batch_size: int = 128) -> int:
    """Return how many epochs that many rows get: 15 for 60,000, more the fewer there are, from 5 to 150."""
    return max(5, min(150, round(15 * (60_000 / rows) ** 0.45)))


def no_limit(entries: int) -> None:
    """Cut no gradient."""


@dataclass(eq=False, repr=False)
class Parameters(BaseEstimator, ABC):
    """What a family is a choice of: parameters, and four methods that turn them into parts.

    A family overrides :meth:`_form`, :meth:`_build`, :meth:`_parts` and :meth:`_inputs` where the default is
    not its own, and no other private method. Every parameter is documented in :class:`isthmus.Autoencoder`.
    """

    n_components: int = 2
    _: KW_ONLY
    network: Network | None = None
    likelihood: GivenLikelihood = "gaussian"
    sigma: float | Literal["learned"] = 1.0
    scale: Literal["standard", "auto"] | None = None
    bottleneck: GivenBottleneck = None
    corruption: Literal["gaussian", "masking", "dropout", "salt_and_pepper", "swap", "block"] | Noise | None = None
    corruption_level: float = 0.25
    sparsity: Literal["kl", "l1", "topk"] | None = None
    sparsity_target: float = 0.05
    sparsity_weight: float = 0.1
    k: int | None = None
    contraction_weight: float = 0.0
    weight_decay: float = 0.0
    penalties: GivenPenalties = None
    max_epochs: int | None = None
    batch_size: int = 128
    lr: float = 2e-3
    lr_schedule: Literal["one_cycle", "constant"] = "one_cycle"
    optimizer: Optimize | None = None
    max_grad_norm: float | None = None
    on_nonfinite: Literal["roll_back", "raise"] = "roll_back"
    validation_fraction: float | None = 0.1
    monitor: str = "loss"
    early_stopping: bool = False
    patience: int = 10
    warm_start: bool = False
    random_state: RandomState = None
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"
    compile: Compile = False
    callbacks: Sequence[Callback] = ()
    verbose: int = 0

    default_network: ClassVar[Callable[..., Network]] = MLP
    default_epochs: ClassVar["staticmethod[[int, int], int]"] = staticmethod(default_epochs)
    default_grad_norm: ClassVar["staticmethod[[int], float | None]"] = staticmethod(no_limit)
    scales_itself: ClassVar[bool] = False
    is_sequential: ClassVar[bool] = False
    layers: ClassVar[str] = "code"

    def _form(self) -> Format:
        """Return the format that rows have, of which nothing is learnt; by default :class:`ArrayFormat`."""
        has_sigma = declared_likelihood(self.likelihood).has_sigma
        sigma = float(self.sigma) if has_sigma and isinstance(self.sigma, numbers.Real) else None
        return ArrayFormat(type(self).__name__, self.scale, name_of(self.likelihood), self._support, sigma)

    def _build(self) -> Model:
        """Build the model of its network and its parts; by default of one network for whole rows."""
        shape, layout = self.format_.row_shape_, self._code_layout
        encoder, decoder = self._network.build(shape, self.n_components, **layout)
        parts = replace(self._parts(), inputs=self._inputs())
        width = parts.likelihood.width(shape[0])
        if width != shape[0]:
            if getattr(self.network, "tied", False):
                raise InputError(
                    f"tied=True needs equal widths at both ends, and likelihood={name_of(self.likelihood)!r} takes "
                    "several numbers an entry: leave tied=False"
                )
            decoder = self._network.build((width, *shape[1:]), self.n_components, **layout)[1]
        return Model(encoder, decoder, parts, row_shape=shape)

    def _inputs(self) -> nn.Module | None:
        """Return what makes of rows what the encoder is given; by default None: these are the same."""
        return None

    def _parts(self) -> Parts:
        """Choose the parts of the model: the only place where parameters become an autoencoder."""
        sigma = None if isinstance(self.sigma, str) else float(self.sigma)
        bottleneck: Bottleneck = Deterministic()
        if self.sparsity == "topk":
            bottleneck = TopK(self.k or max(1, self.n_components // 10))
        if self.sparsity == "kl":
            bottleneck = Deterministic(on_by=LEAST_CHANGE)
        if self.sparsity == "l1":  # models saved by format 2 have no threshold_
            bottleneck = SoftThreshold(self.threshold_) if hasattr(self, "threshold_") else Deterministic(on_by=0)
        penalties = self._weighted() | penalties_of(self.penalties)
        return Parts(
            bottleneck=bottleneck_of(self.bottleneck, bottleneck),
            likelihood=likelihood_of(self.likelihood, sigma),
            rescaled=getattr(self, "rescaled_", False),
            penalties={name: penalty for name, (penalty, _) in penalties.items()},
            weights={"revival": REVIVAL_WEIGHT} | {name: weight for name, (_, weight) in penalties.items()},
            **self._corrupting(),
        )

    def _weighted(self) -> dict[str, tuple[Penalty, float]]:
        """Return the penalties that have parameters of their own, and their weights."""
        penalties: dict[str, tuple[Penalty, float]] = {}
        if self.sparsity == "kl":
            penalties["kl_sparsity"] = partial(kl_sparsity, target=self.sparsity_target), self.sparsity_weight
        if self.sparsity == "l1":
            penalties["l1"] = l1, self.sparsity_weight
        if self.contraction_weight:
            penalties["contractive"] = contractive, self.contraction_weight
        if self.weight_decay:
            penalties["weight_decay"] = weight_decay, self.weight_decay
        return penalties

    def _corrupting(self) -> dict[str, Any]:
        """Choose what is done to rows in training."""
        patch_shape = getattr(self._network, "patch_shape", None)
        if self.corruption == "masking" and patch_shape is not None:
            patch = patch_shape(self.format_.row_shape_)
            return {"hiding": partial(hide_patches, level=self.corruption_level, patch=patch), "hidden_only": True}
        if callable(self.corruption):
            return {"corruption": self.corruption}
        if self.corruption in HIDINGS:
            return {"hiding": partial(HIDINGS[self.corruption], level=self.corruption_level)}
        if self.corruption is not None:
            return {"corruption": partial(NOISES[self.corruption], level=self.corruption_level)}
        return {}

    def check_parameters(self) -> None:
        """Check the parameters; families add their own.

        Raises
        ------
        ValueError, TypeError
            For the first parameter without a meaning.
        """
        self._check_whole_numbers()
        for name in ("sparsity_weight", "contraction_weight", "weight_decay", "corruption_level"):
            check_number(name, getattr(self, name), min_val=0)
        between = {"min_val": 0, "include_boundaries": "neither"}
        check_number("lr", self.lr, **between)
        if isinstance(self.sigma, str):
            check_choice("sigma", self.sigma, ("learned",))
        else:
            check_number("sigma", self.sigma, **between)
        self._check_parts()
        check_number("sparsity_target", self.sparsity_target, max_val=1, **between)
        if self.max_grad_norm is not None:
            check_number("max_grad_norm", self.max_grad_norm, **between)
        check_choice("on_nonfinite", self.on_nonfinite, ("roll_back", "raise"))
        if self.validation_fraction is not None:
            check_number("validation_fraction", self.validation_fraction, max_val=1, **between)
        if self.corruption in (*CORRUPTIONS,) and self.corruption != "gaussian" and self.corruption_level > 1:
            raise InputError(f"corruption_level={self.corruption_level!r}: {self.corruption} takes a share in [0, 1]")
        if self.k is not None and self.k > self.n_components:
            raise InputError(f"k={self.k} is more than n_components={self.n_components}: keep fewer units")
        for name in ("early_stopping", "warm_start"):
            check_scalar(getattr(self, name), name, (bool, np.bool_))
        if not hasattr(self._network, "build"):
            raise InputTypeError(
                f"network={self.network!r}: give MLP(...), Conv(...), Transformer(...), Modules(...) or None"
            )
        check_scalar(self.verbose, "verbose", (bool, numbers.Integral))
        if not isinstance(self.callbacks, Iterable) or not all(map(callable, self.callbacks)):
            raise InputTypeError(
                f"callbacks={self.callbacks!r}: give a list of functions that take a record of the history, or "
                "that and the estimator"
            )
        check_choice("precision", self.precision, PRECISIONS, likened=False)
        if not isinstance(self.compile, bool) and self.compile != "auto":
            raise InputError(f"unknown compile {self.compile!r}: give True, False or 'auto'")
        self._check_scale()
        check_choice("sparsity", self.sparsity, (None, "kl", "l1", "topk"))
        check_choice("lr_schedule", self.lr_schedule, ("one_cycle", "constant"))

    def _check_whole_numbers(self) -> None:
        names = ["n_components", "batch_size", "patience", "devices", "nodes"]
        names += [name for name in ("max_epochs", "k") if getattr(self, name) is not None]
        for name in names:
            check_scalar(getattr(self, name), name, numbers.Integral, min_val=1)

    def _check_parts(self) -> None:
        """Raise ValueError or TypeError where a part that is named or brought is none, or does not go with another."""
        check_likelihood(self.likelihood, None if isinstance(self.sigma, str) else float(self.sigma))
        takes_sigma = declared_likelihood(self.likelihood).has_sigma and not isinstance(self.likelihood, Likelihood)
        if not takes_sigma and self.sigma != type(self).sigma:
            raise InputError(
                f"sigma={self.sigma!r} has no meaning for likelihood={name_of(self.likelihood)!r}: leave it out"
            )
        check_bottleneck(self.bottleneck, sparsity=self.sparsity, needs_prior=self.draws_codes)
        check_corruption(self.corruption, (None, *CORRUPTIONS))
        check_penalties(self.penalties, self._weighted())
        check_optimizer(self.optimizer)
        check_scalar(self.monitor, "monitor", str)
        if self.monitor != "loss" and self.validation_fraction is None:
            raise InputError(f"monitor={self.monitor!r} is of held-out rows: give a validation_fraction")

    def _check_scale(self) -> None:
        check_choice("scale", self.scale, (None, "standard", "auto"))
        if self.scale is not None and self.scales_itself:
            raise InputError(f"scale={self.scale!r} has no meaning for {type(self).__name__}, which scales by itself")
        if self.scale == "standard" and self._support is not None:
            raise InputError(
                f"likelihood={name_of(self.likelihood)!r} needs X in {interval(self._support)}, where scale='standard' "
                "does not leave it"
            )

    @property
    def format_(self) -> Format:
        """What form the rows of ``fit`` had: how rows become numbers, and numbers rows."""
        return self._form().restored(self.__dict__)

    @property
    def _network(self) -> Network:
        """Return the network; for KL sparsity with the sigmoid that puts its code in (0, 1)."""
        hidden = {"hidden": self.hidden_} if hasattr(self, "hidden_") else {}  # the widths that fit has chosen
        network = self.default_network(**hidden) if self.network is None else self.network
        if self.is_sequential and hasattr(network, "along_time"):
            network = network.along_time()
        if not isinstance(network, MLP | Conv | Transformer):
            return network
        if self._support is not None and network.output_activation is not None:
            raise InputError(
                f"likelihood={self.likelihood!r} has its activation in itself: leave output_activation=None"
            )
        if self.sparsity == "kl" and network.code_activation not in (None, "sigmoid"):
            raise InputError("sparsity='kl' needs a code in (0, 1): leave code_activation=None, or give 'sigmoid'")
        if self.sparsity is not None and isinstance(network, Conv):
            network = replace(network, refine=False)  # PCA's V, which would stay, is no dictionary for a sparse code
        return replace(network, code_activation="sigmoid") if self.sparsity == "kl" else network

    @property
    def draws_codes(self) -> bool:
        """Whether the family's own code, which `bottleneck` may replace, is drawn from a prior: by default not."""
        return False

    @property
    def starts_at_pca(self) -> bool:
        """Whether ``fit`` starts the network at the rows' PCA."""
        return getattr(self._network, "linear_path", None) == "pca"

    @property
    def _support(self) -> tuple[float, float] | None:
        """The lowest and the highest number that the likelihood can give rise to; None: any."""
        support = declared_likelihood(self.likelihood).support
        return None if support == NO_BOUNDS else support

    @property
    def _code_layout(self) -> dict[str, int]:
        """What the network is to know of what else goes in and out: for most families nothing."""
        layout = {"moments": self._parts().bottleneck.n_params, "n_context": self.format_.n_context}
        return {name: n for name, n in layout.items() if n != DEFAULT_LAYOUT[name]}


NO_BOUNDS = (-math.inf, math.inf)
DEFAULT_LAYOUT = {"moments": 1, "n_context": 0}
