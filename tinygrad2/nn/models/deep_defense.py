"""The networks of Deep Defense, section 4, but for those on ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten, Linear
from tinygrad2.nn.models.parts import he, makers
from tinygrad2.nn.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d


def mlp(
    in_features: int = 784,
    hidden: Sequence[int] = (500, 150),
    classes: int = 10,
    input_scale: float = 1.0,
    *,
    rng: init.Rng = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """The four-layer perceptron 784-500-150-10 of Deep Defense, section 4.2. Input: (N, ...), flattened.

    input_scale: the first weights start that much smaller, for inputs that are larger than about 1, as pixels are.

    >>> nn.models.mlp(784)(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
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


def lenet(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The LeNet of Deep Defense: no ReLU after the convolutions, 431,080 parameters. Input: (N, 1, 28, 28).

    >>> nn.models.lenet()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
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


def convnet(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The CIFAR-10 ConvNet of Deep Defense, 2×2 pools as the authors' code has them. Input: (N, 3, 32, 32).

    145,578 parameters = 32·76 + 32·801 + 64·801 + 64·1,025 + 10·65.

    >>> nn.models.convnet()(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, _ = makers(rng, dtype)
    net = Sequential(
        conv1=conv(3, 32, 5, padding=2),
        relu1=ReLU(),
        pool1=MaxPool2d(2),
        conv2=conv(32, 32, 5, padding=2),
        relu2=ReLU(),
        pool2=AvgPool2d(2),
        conv3=conv(32, 64, 5, padding=2),
        relu3=ReLU(),
        pool3=AvgPool2d(2),
        conv4=conv(64, 64, 4),
        relu4=ReLU(),
        conv5=conv(64, classes, 1),
        flatten=Flatten(),
    )
    return he(net, rng)


def nin(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The network-in-network of Deep Defense for CIFAR-10, Lin et al. 2014, dropout 0.5. Input: (N, 3, 32, 32).

    Pools are 2×2, as in the authors' code (3×3 with stride 2 in Lin et al.). 966,986 parameters:
    192·76 + 160·193 + 96·161, then 192·2,401 + 2·192·193, then 192·1,729 + 192·193 + 10·193.

    >>> nn.models.nin()(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, _ = makers(rng, dtype)
    blocks = (((3, 192, 5), (192, 160, 1), (160, 96, 1)), ((96, 192, 5), (192, 192, 1), (192, 192, 1)))
    layers: dict[str, Layer] = {}
    for i, (block, pool) in enumerate(zip(blocks, (MaxPool2d(2), AvgPool2d(2)), strict=True), 1):
        for j, (c, o, kernel) in enumerate(block, 1):
            layers |= {f"conv{i}_{j}": conv(c, o, kernel, padding="same"), f"relu{i}_{j}": ReLU()}
        layers |= {f"pool{i}": pool, f"drop{i}": Dropout(0.5, rng=rng)}
    for j, kernel in ((1, 3), (2, 1)):
        layers |= {f"conv3_{j}": conv(192, 192, kernel, padding="same"), f"relu3_{j}": ReLU()}
    return he(Sequential({**layers, "conv3_3": conv(192, classes, 1), "mean": GlobalAvgPool()}), rng)
