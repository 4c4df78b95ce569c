"""What a code or a network is made to pay: small pure functions ``Forward → term``.

A term has shape (rows,), or () where it belongs to the batch or the weights; it is unweighted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.batch import Batch
from isthmus.core.bottlenecks.base import Code
from isthmus.core.likelihoods.base import Distribution

Encode = Callable[[Batch, torch.Generator | None], Code]


class Forward(NamedTuple):
    """What a model made of a batch, as far as a penalty may ask.

    Attributes
    ----------
    encode : callable
        (rows, generator) → code, to encode again.
    weights : sequence of Tensor
        All that is trained.
    shown : Batch
        What the encoder was shown.
    code : Code
        What it made of that.
    generator : Generator or None
        For what is drawn.
    squared_jacobian : callable, optional
        The code's mean → ‖∂h/∂x‖²_F of each row in closed form, or None where it has none.
    decoded : Distribution, optional
        What the decoder made of the code.
    squared_products : callable, optional
        Vectors v, (k, units) or (rows, k, units) → Σ_k ‖vᵀ_k ∂h/∂x‖² of each row; None where autograd alone has it.
    """

    encode: Encode
    weights: Sequence[Tensor]
    shown: Batch
    code: Code
    generator: torch.Generator | None = None
    squared_jacobian: Callable[[Tensor], Tensor | None] | None = None
    decoded: Distribution | None = None
    squared_products: Callable[[Tensor], Tensor] | None = None


Penalty = Callable[[Forward], Tensor]
