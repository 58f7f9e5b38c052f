"""The networks of l1-norm double backpropagation, table 1: MNIST images, ReLU between the layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.layers import Flatten, Linear
from tinygrad2.nn.models.deep_defense import mlp


def model_a(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """Model A of l1-norm double backpropagation: 710,218 parameters. Input: (N, 1, 28, 28).

    >>> nn.models.model_a()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    return Sequential(
        conv1=Conv2d(1, 64, 8, 2, "same", rng=rng, dtype=dtype),
        relu1=ReLU(),
        conv2=Conv2d(64, 128, 6, 2, rng=rng, dtype=dtype),
        relu2=ReLU(),
        conv3=Conv2d(128, 128, 5, rng=rng, dtype=dtype),
        relu3=ReLU(),
        flatten=Flatten(),
        fc1=Linear(128, classes, rng=rng, dtype=dtype),
    )


def model_b(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """Model B of l1-norm double backpropagation: 1,460,938 parameters. Input: (N, 1, 28, 28).

    >>> nn.models.model_b()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    return Sequential(
        conv1=Conv2d(1, 128, 3, padding="same", rng=rng, dtype=dtype),
        relu1=ReLU(),
        conv2=Conv2d(128, 64, 3, 2, rng=rng, dtype=dtype),
        relu2=ReLU(),
        flatten=Flatten(),
        fc1=Linear(10816, 128, rng=rng, dtype=dtype),
        relu3=ReLU(),
        fc2=Linear(128, classes, rng=rng, dtype=dtype),
    )


def model_c(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """Model C of l1-norm double backpropagation: 567,434 parameters. Input: (N, ...), 784 numbers each.

    >>> nn.models.model_c()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    return mlp(784, (512, 256, 128), classes, rng=rng, dtype=dtype)
