"""The networks of the smooth gradient method, tables 1 to 3. "All layers used batch normalization": all but the last.

Padding is not printed. The MNIST networks have none, as was the default then; the CIFAR-10 network keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten
from tinygrad2.nn.models.parts import makers, normalized
from tinygrad2.nn.pooling import GlobalAvgPool, MaxPool2d


def mosca_dnn(
    in_features: int = 784,
    hidden: Sequence[int] = (2500, 2000, 1500, 1000, 500),
    classes: int = 10,
    *,
    rng: init.Rng = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """The perceptron 2500-2000-1500-1000-500 of the smooth gradient method, table 1: batch norm and dropout 0.5.

    Input: (N, ...), flattened. 11,980,010 parameters: 11,960,000 weights, 2·7,500 γ and β, 10·501 in the last layer.

    >>> nn.models.mosca_dnn(hidden=(50, 40))(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    _, linear = makers(rng, dtype)
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (a, b) in enumerate(pairwise((in_features, *hidden)), 1):
        layers |= {**normalized(f"fc{i}", linear(a, b, bias=False)), f"drop{i}": Dropout(0.5, rng=rng)}
    return Sequential({**layers, f"fc{len(hidden) + 1}": linear(hidden[-1], classes)})


def mosca_cnn(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The MNIST network of the smooth gradient method, table 2: conv64 5×5, pool, twice; FC1024; dropout 0.5.

    Input: (N, 1, 28, 28). 1,165,130 parameters: 64·25 + 64·1600 + 1024² weights, 2·1,152 γ and β, 10·1,025 in fc2.

    >>> nn.models.mosca_cnn()(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)
    return Sequential(
        {
            **normalized("conv1", conv(1, 64, 5, bias=False)),
            "pool1": MaxPool2d(2),
            **normalized("conv2", conv(64, 64, 5, bias=False)),
            "pool2": MaxPool2d(2),
            "flatten": Flatten(),
            **normalized("fc1", linear(1024, 1024, bias=False)),
            "drop1": Dropout(0.5, rng=rng),
            "fc2": linear(1024, classes),
        }
    )


def all_conv(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The CIFAR-10 network of the smooth gradient method, table 3: 13 convolutions, no fully connected layer.

    Input: (N, 3, 32, 32). Three strides of 2 and a pool in each block, as printed, would leave 32 → 1 pixel before the
    last layers (the second pool would have nothing to pool): of three marked layers the first has the stride, so
    32 → 16 → 8 → 4 → 2. 2,201,578 parameters: 9·(3·96 + 4·96² + 96·192 + 5·192²) + 192² weights, 2·1,824 γ and β,
    10·193 in conv5.

    >>> nn.models.all_conv()(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, _ = makers(rng, dtype)
    layers: dict[str, Layer] = {}
    channels = 3
    for block, width in ((1, 96), (2, 192)):
        for i, stride in enumerate((1, 1, 2, 1, 1), 1):
            name = f"conv{block}_{i}"
            layers |= normalized(name, conv(channels, width, 3, stride, "same", bias=False))
            channels = width
        layers[f"pool{block}"] = MaxPool2d(2)
    layers |= normalized("conv3", conv(192, 192, 3, padding="same", bias=False))
    layers |= normalized("conv4", conv(192, 192, 1, bias=False))
    return Sequential({**layers, "conv5": conv(192, classes, 1), "mean": GlobalAvgPool()})
