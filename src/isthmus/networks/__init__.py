"""Pairs of an encoder and a decoder, as parameter objects that build torch modules: those that are imported here."""

from isthmus.networks.conv import Conv as Conv
from isthmus.networks.lstm import LSTM as LSTM
from isthmus.networks.mlp import MLP as MLP
from isthmus.networks.modules import Modules as Modules
from isthmus.networks.parameters import Parameters
from isthmus.networks.transformer import Transformer as Transformer

NETWORKS = {
    each.__name__: each
    for each in vars().values()
    if isinstance(each, type) and issubclass(each, Parameters) and each is not Parameters
}

__all__ = sorted(NETWORKS)
