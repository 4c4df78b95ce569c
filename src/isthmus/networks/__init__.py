"""Pairs of an encoder and a decoder, as parameter objects that build torch modules."""

from isthmus.networks.conv import Conv
from isthmus.networks.lstm import LSTM
from isthmus.networks.mlp import MLP
from isthmus.networks.modules import Modules
from isthmus.networks.transformer import Transformer

__all__ = ["LSTM", "MLP", "Conv", "Modules", "Transformer"]
