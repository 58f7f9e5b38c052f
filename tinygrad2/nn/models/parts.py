"""What several networks are made of: layers that share one generator and dtype, normalised layers, He's first values.

A layer before batch normalisation has no bias: β does its work. Ioffe & Szegedy 2015, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Sequential
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Linear
from tinygrad2.nn.normalization import BatchNorm1d, BatchNorm2d


def makers(rng: np.random.Generator, dtype: DTypeLike) -> tuple[Callable[..., Conv2d], Callable[..., Linear]]:
    """Conv2d and Linear with their generator and dtype given."""
    return partial(Conv2d, rng=rng, dtype=dtype), partial(Linear, rng=rng, dtype=dtype)


def normalized(name: str, layer: Conv2d | Linear) -> dict[str, Layer]:
    """The layer called `name`, then batch normalisation of its outputs, then ReLU."""
    norm = BatchNorm2d if isinstance(layer, Conv2d) else BatchNorm1d
    features, *_ = layer.weight.shape
    return {name: layer, f"{name}_norm": norm(features, dtype=layer.weight.dtype), f"{name}_relu": ReLU()}


def he(net: Sequential, rng: np.random.Generator) -> Sequential:
    """The net itself, its kernels and matrices drawn by He et al. 2015, equation 10, and its other biases at zero.

    Deep networks without normalisation need it: PyTorch's first values shrink a ReLU layer's signal by √6.
    """
    for _, layer in net.named_layers():
        if isinstance(layer, Conv2d | Linear):
            layer.weight.data = init.kaiming_normal(layer.weight.shape, rng, layer.weight.dtype).array
            if layer.bias is not None:
                layer.bias.data = np.zeros_like(layer.bias.array)
    return net
