"""Layers, each with its reverse layer; containers, initial values, optimizers, models, and files of parameters."""

import typing as _typing

from tinygrad2.autodiff import habits as _habits
from tinygrad2.nn import init, models, reverse, schedules
from tinygrad2.nn.activations import ELU, GELU, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from tinygrad2.nn.attention import Embedding, MultiheadAttention
from tinygrad2.nn.containers import Concatenate, Residual, Sequential, Sum
from tinygrad2.nn.convolution import Conv1d, Conv2d, ConvTranspose2d
from tinygrad2.nn.init import manual_seed
from tinygrad2.nn.io import atomic_write, load, save
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten, Identity, Linear
from tinygrad2.nn.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from tinygrad2.nn.optim import OPTIMIZERS, SGD, WAME, Adam, Optimizer, RMSprop
from tinygrad2.nn.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d
from tinygrad2.nn.reverse import ReverseLayer
from tinygrad2.nn.rng import rng_state, set_rng_state
from tinygrad2.nn.summary import Summary
from tinygrad2.nn.trace import ReverseNetwork, Trace

__all__ = [
    "ELU",
    "GELU",
    "OPTIMIZERS",
    "SGD",
    "WAME",
    "Adam",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Concatenate",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool",
    "GroupNorm",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "MultiheadAttention",
    "Optimizer",
    "PReLU",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "Residual",
    "ReverseLayer",
    "ReverseNetwork",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sum",
    "Summary",
    "Tanh",
    "Trace",
    "atomic_write",
    "init",
    "load",
    "manual_seed",
    "models",
    "reverse",
    "rng_state",
    "save",
    "schedules",
    "set_rng_state",
]

if not _typing.TYPE_CHECKING:  # a type checker would take every wrong name for right

    def __getattr__(name: str) -> None:
        """The error for a name that is not here; for one of another framework it says what to write."""
        raise _habits.unknown(__name__, _habits.LAYERS, name)
