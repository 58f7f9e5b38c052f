"""The networks of logit-gradient regularisation, section 4: MNIST, CIFAR-10 and speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten, Linear
from tinygrad2.nn.models.parts import he, makers
from tinygrad2.nn.pooling import MaxPool2d


def tf_tutorial(
    classes: int = 10, dropout: float = 0.0, *, rng: init.Rng = None, dtype: DTypeLike = np.float32
) -> Sequential:
    """The MNIST network of the TensorFlow tutorial, in logit-gradient regularisation: 3,274,634 parameters.

    Input: (N, 1, 28, 28). dropout: after fc1; Jacobian regularisation, section 4, trains with 0.5.

    >>> nn.models.tf_tutorial()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    return Sequential(
        conv1=Conv2d(1, 32, 5, padding="same", rng=rng, dtype=dtype),
        relu1=ReLU(),
        pool1=MaxPool2d(2),
        conv2=Conv2d(32, 64, 5, padding="same", rng=rng, dtype=dtype),
        relu2=ReLU(),
        pool2=MaxPool2d(2),
        flatten=Flatten(),
        fc1=Linear(3136, 1024, rng=rng, dtype=dtype),
        relu3=ReLU(),
        **({"drop1": Dropout(dropout, rng=rng)} if dropout else {}),
        fc2=Linear(1024, classes, rng=rng, dtype=dtype),
    )


def cifar_3conv(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The CIFAR-10 network of logit-gradient regularisation, 3 convolutions and 2 fully connected layers.

    Input: (N, 3, 32, 32). The paper prints no widths: these go on where its MNIST network's stop. 2,367,050 parameters
    = 32·(75 + 1) + 64·(800 + 1) + 128·(1600 + 1) + 1024·(2048 + 1) + 10·(1024 + 1).

    >>> nn.models.cifar_3conv()(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)
    layers: dict[str, Layer] = {}
    for i, (c, o) in enumerate(((3, 32), (32, 64), (64, 128)), 1):
        layers |= {f"conv{i}": conv(c, o, 5, padding="same"), f"relu{i}": ReLU(), f"pool{i}": MaxPool2d(2)}
    layers |= {"flatten": Flatten(), "fc1": linear(2048, 1024), "relu4": ReLU(), "fc2": linear(1024, classes)}
    return he(Sequential(layers), rng)


def speech_cnn(
    classes: int = 10,
    frames: int = 98,
    coefficients: int = 40,
    *,
    rng: init.Rng = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """The speech network of logit-gradient regularisation, 2 convolutions and 1 fully connected layer, on MFCC.

    Input: (N, 1, frames, coefficients). Kernels are TensorFlow's speech tutorial's, after Sainath & Parada 2015: 20×8,
    then 10×4, in time and frequency. 801,418 parameters = 64·(160 + 1) + 64·(64·40 + 1) + 10·(64·49·20 + 1).

    >>> nn.models.speech_cnn()(np.zeros((2, 1, 98, 40), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)
    return Sequential(
        conv1=conv(1, 64, (20, 8), padding="same"),
        relu1=ReLU(),
        pool1=MaxPool2d(2),
        conv2=conv(64, 64, (10, 4), padding="same"),
        relu2=ReLU(),
        flatten=Flatten(),
        fc1=linear(64 * (frames // 2) * (coefficients // 2), classes),
    )
