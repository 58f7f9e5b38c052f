"""Layers, each with its reverse layer; containers, initial values, optimizers, models, and files of parameters."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from tinygrad2.autodiff import habits as _habits
from tinygrad2.nn import init, models, reverse, schedules
from tinygrad2.nn.activations import LeakyReLU, PReLU, ReLU, Sigmoid, Softmax, Tanh
from tinygrad2.nn.containers import Residual, Sequential
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.init import manual_seed
from tinygrad2.nn.io import atomic_write, load, save
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten, Identity, Linear
from tinygrad2.nn.normalization import BatchNorm1d, BatchNorm2d, LocalResponseNorm
from tinygrad2.nn.optim import OPTIMIZERS, SGD, WAME, Adam, Optimizer, RMSprop
from tinygrad2.nn.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from tinygrad2.nn.reverse import ReverseLayer
from tinygrad2.nn.rng import rng_state, set_rng_state
from tinygrad2.nn.summary import Summary
from tinygrad2.nn.trace import ReverseNetwork, Trace

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "WAME",
    "Adam",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Identity",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Optimizer",
    "PReLU",
    "RMSprop",
    "ReLU",
    "Residual",
    "ReverseLayer",
    "ReverseNetwork",
    "Sequential",
    "Sigmoid",
    "Softmax",
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

if not _TYPE_CHECKING:  # a type checker would take every wrong name for right

    def __getattr__(name: str) -> None:
        """The error for a name that is not here; for one of another framework it says what to write."""
        raise _habits.unknown(__name__, _habits.LAYERS, name)
