"""Activations by PyTorch's names."""

import copy
import difflib

from torch import nn

from isthmus.errors import InputError, InputTypeError

NOT_ELEMENTWISE = ("GLU", "LogSoftmax", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "Threshold")
"""What torch keeps among its activations and cannot stand after a layer by name alone."""

_CLASSES = {
    name.lower(): getattr(nn.modules.activation, name)
    for name in nn.modules.activation.__all__
    if name not in NOT_ELEMENTWISE
} | {"identity": nn.Identity}

Activation = str | nn.Module | None


def build_activation(activation: Activation) -> nn.Module:
    """Return a new module for a name such as ``"relu"`` or ``"leaky_relu"``, a copy of a module, identity for None.

    Raises
    ------
    ValueError
        If PyTorch has no activation of that name.
    """
    if isinstance(activation, nn.Module):
        return copy.deepcopy(activation)
    if not isinstance(activation, str | None):
        raise InputTypeError(f"activation {activation!r}: give a name of PyTorch's, a module or None")
    name = (activation or "identity").lower()
    if name.replace("_", "") not in _CLASSES:
        close = difflib.get_close_matches(name[:200], _CLASSES, n=1, cutoff=0.0)[0]
        raise InputError(
            f"unknown activation {activation!r}: did you mean {close!r}? Names are PyTorch's, in lower case"
        )
    return _CLASSES[name.replace("_", "")]()
