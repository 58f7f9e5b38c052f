"""The CIFAR-10 network of Jacobian regularisation, section 4. Its MNIST network is `tf_tutorial` with dropout 0.5."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten
from tinygrad2.nn.models.parts import he, makers
from tinygrad2.nn.pooling import MaxPool2d

WIDTHS = (32, 64, 128, 256)


def cifar_8conv(classes: int = 10, *, rng: init.Rng = None, dtype: DTypeLike = np.float32) -> Sequential:
    """The CIFAR-10 network of Jacobian regularisation: four times conv, conv, pool, dropout 0.25; then 2 FC layers.

    Input: (N, 3, 32, 32). The paper prints neither kernels nor widths: 3×3, WIDTHS and 512 are ours. 1,702,186
    parameters = 9·(3·32 + 32² + 32·64 + 64² + 64·128 + 128² + 128·256 + 256²) + 2·480 + 512·1025 + 10·513.

    >>> nn.models.cifar_8conv()(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)
    layers: dict[str, Layer] = {}
    channels = 3
    for i, width in enumerate(WIDTHS, 1):
        for half in "ab":
            layers |= {f"conv{i}{half}": conv(channels, width, 3, padding="same"), f"relu{i}{half}": ReLU()}
            channels = width
        layers |= {f"pool{i}": MaxPool2d(2), f"drop{i}": Dropout(0.25, rng=rng)}
    layers |= {"flatten": Flatten(), "fc1": linear(4 * channels, 512), "relu5": ReLU(), "fc2": linear(512, classes)}
    return he(Sequential(layers), rng)
