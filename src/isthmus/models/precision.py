"""Whether training takes bfloat16 for its products: where the hardware is fast at it, and layers are wide enough."""

import torch

LEAST_OF_A_STEP = 5e8
"""Multiply-adds of a step's forward pass from which on a CPU gains, and an accelerator."""

LEAST_WIDTH = 512
"""Numbers that a weight's layer takes and gives, in the mean over weights, below which it is the casts that count."""


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has units for products of matrices in bfloat16: AMX, or an NVIDIA GPU from Ampere on.

    AVX512-BF16 alone, whose products are no more than a little faster than float32's, does not count: see
    ``benchmarks/precision.py``.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def is_wide_enough(rows: int, weights: int, units: int) -> bool:
    """Tell whether steps of so many rows, through layers of so many weights and units in all, gain by bfloat16."""
    return rows * weights >= LEAST_OF_A_STEP and weights / units >= LEAST_WIDTH
