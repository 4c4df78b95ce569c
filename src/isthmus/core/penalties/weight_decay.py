"""A penalty on large weights."""

import torch
from torch import Tensor

from isthmus.core.penalties.base import Forward


def weight_decay(forward: Forward) -> Tensor:
    """Return ‖W‖², summed over all weight matrices; biases and normalisation are left alone. Shape ()."""
    return torch.stack([weight.square().sum() for weight in forward.weights if weight.ndim > 1]).sum()
