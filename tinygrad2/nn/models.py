"""The networks of the papers, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad2.nn import init
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.layer import Layer, nearest
from tinygrad2.nn.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU


def mlp(
    in_features: int = 784,
    hidden: Sequence[int] = (500, 150),
    classes: int = 10,
    input_scale: float = 1.0,
    *,
    rng: init.Rng = None,
    dtype: Any = np.float32,
) -> Sequential:
    """The four-layer perceptron 784-500-150-10 of Deep Defense, section 4.2. Input: (N, ...), flattened.

    input_scale: the first weights start that much smaller, for inputs that are larger than about 1, as pixels are.
    """
    rng = init.default_rng(rng)
    sizes = [in_features, *hidden]
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (a, b) in enumerate(pairwise(sizes), 1):
        layers |= {f"fc{i}": Linear(a, b, rng=rng, dtype=dtype), f"relu{i}": ReLU()}
    layers[f"fc{len(sizes)}"] = Linear(sizes[-1], classes, rng=rng, dtype=dtype)
    first = next(layer for layer in layers.values() if isinstance(layer, Linear)).weight
    first.data = first.data * first.dtype.type(1 / input_scale)
    return Sequential(layers)


def lenet(classes: int = 10, *, rng: init.Rng = None, dtype: Any = np.float32) -> Sequential:
    """The LeNet of Deep Defense: no ReLU after the convolutions, 431,080 parameters. Input: (N, 1, 28, 28)."""
    rng = init.default_rng(rng)
    return Sequential(
        conv1=Conv2d(1, 20, 5, rng=rng, dtype=dtype),
        pool1=MaxPool2d(2),
        conv2=Conv2d(20, 50, 5, rng=rng, dtype=dtype),
        pool2=MaxPool2d(2),
        flatten=Flatten(),
        fc1=Linear(800, 500, rng=rng, dtype=dtype),
        relu1=ReLU(),
        fc2=Linear(500, classes, rng=rng, dtype=dtype),
    )


def tf_tutorial(classes: int = 10, *, rng: init.Rng = None, dtype: Any = np.float32) -> Sequential:
    """The MNIST network of the TensorFlow tutorial, in logit-gradient regularisation: 3,274,634 parameters.

    Input: (N, 1, 28, 28).
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
        fc2=Linear(1024, classes, rng=rng, dtype=dtype),
    )


def model_a(classes: int = 10, *, rng: init.Rng = None, dtype: Any = np.float32) -> Sequential:
    """Model A of l1-norm double backpropagation: 710,218 parameters. Input: (N, 1, 28, 28)."""
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


def model_b(classes: int = 10, *, rng: init.Rng = None, dtype: Any = np.float32) -> Sequential:
    """Model B of l1-norm double backpropagation: 1,460,938 parameters. Input: (N, 1, 28, 28)."""
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


def model_c(classes: int = 10, *, rng: init.Rng = None, dtype: Any = np.float32) -> Sequential:
    """Model C of l1-norm double backpropagation: 567,434 parameters. Input: (N, ...), 784 numbers each."""
    return mlp(784, (512, 256, 128), classes, rng=rng, dtype=dtype)


MODELS: dict[str, Callable[..., Sequential]] = {
    "mlp": mlp,
    "lenet": lenet,
    "tf_tutorial": tf_tutorial,
    "model_a": model_a,
    "model_b": model_b,
    "model_c": model_c,
}


def build(name: str, **options: Any) -> Sequential:
    """A network by its name; an unknown name is an error that suggests the nearest."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}{nearest(name, MODELS)}; known: {', '.join(MODELS)}")
    return MODELS[name](**options)
