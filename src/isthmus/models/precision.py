"""Whether training takes bfloat16 for its products: where the hardware is fast at it, and layers are wide enough."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from isthmus.core.model import Model
from isthmus.models.engine import n_weights
from isthmus.randomness import is_own

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LEAST_OF_A_STEP = 5e8
"""Multiply-adds of a step's forward pass from which on it gains much: from 5e7 on it does so a little."""

LEAST_WIDTH = 512
"""Weights a unit, in the mean over layers, below which less is gained."""

LEAST_SHARE = 0.99
"""Of the weights, which dense layers must have: others have not been measured."""


def set_products(fabric: "Fabric", precision: str, model: Model, rows: int) -> torch.dtype:
    """Tell a model in which dtype to compute its products: that asked for, or what suits so many rows; return it."""
    own = next(model.parameters()).dtype
    is_asked = fabric.strategy.precision.precision == "bf16-mixed"
    products = torch.bfloat16 if is_asked else products_of(precision, model, rows)
    model.mixed = None if products == own else products
    return products


def products_of(precision: str, model: Model, rows: int) -> torch.dtype:
    """Return the dtype that a model trained on so many rows a step computes its products in.

    It goes by the machine and by sizes alone, so that on one machine equal seeds give equal bits.
    """
    weight = next(model.parameters())
    if precision != "auto" or weight.dtype != torch.float32 or not has_fast_bfloat16(weight.device):
        return weight.dtype
    dense = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    inside, units = sum(layer.weight.numel() for layer in dense), sum(layer.out_features for layer in dense)
    is_measured = inside >= LEAST_SHARE * n_weights(model) and not any(map(is_own, model.modules()))
    return torch.bfloat16 if is_measured and is_wide_enough(rows, inside, units) else torch.float32


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has units for products in bfloat16: AMX or AVX512-BF16, or an NVIDIA GPU from Ampere on."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def is_wide_enough(rows: int, weights: int, units: int) -> bool:
    """Tell whether steps of so many rows, through layers of so many weights and units in all, gain by bfloat16."""
    return rows * weights >= LEAST_OF_A_STEP and weights / units >= LEAST_WIDTH
