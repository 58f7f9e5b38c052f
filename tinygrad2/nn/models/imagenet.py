"""The ImageNet networks of Deep Defense, section 4.3. `width` scales all channels: a small one is quick to try."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.nn import init
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.containers import Residual, Sequential
from tinygrad2.nn.layer import Layer
from tinygrad2.nn.layers import Dropout, Flatten
from tinygrad2.nn.models.parts import he, makers, normalized
from tinygrad2.nn.normalization import BatchNorm2d, LocalResponseNorm
from tinygrad2.nn.pooling import GlobalAvgPool, MaxPool2d


def alexnet(
    classes: int = 1000, width: float = 1.0, *, rng: init.Rng = None, dtype: DTypeLike = np.float32
) -> Sequential:
    """AlexNet, Krizhevsky et al. 2012, with two groups and local response normalisation: 60,965,224 parameters.

    Input: (N, 3, 227, 227). The normalisation's constants are those of the published weights: α = 1e-4, k = 1.

    >>> nn.models.alexnet(width=1 / 32)(np.zeros((2, 3, 227, 227), np.float32)).shape
    (2, 1000)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)
    c1, c2, c3, fc = (2 * max(1, round(width * n / 2)) for n in (96, 256, 384, 4096))
    net = Sequential(
        conv1=conv(3, c1, 11, 4),
        relu1=ReLU(),
        norm1=LocalResponseNorm(5),
        pool1=MaxPool2d(3, 2),
        conv2=conv(c1, c2, 5, padding=2, groups=2),
        relu2=ReLU(),
        norm2=LocalResponseNorm(5),
        pool2=MaxPool2d(3, 2),
        conv3=conv(c2, c3, 3, padding=1),
        relu3=ReLU(),
        conv4=conv(c3, c3, 3, padding=1, groups=2),
        relu4=ReLU(),
        conv5=conv(c3, c2, 3, padding=1, groups=2),
        relu5=ReLU(),
        pool5=MaxPool2d(3, 2),
        flatten=Flatten(),
        fc6=linear(36 * c2, fc),
        relu6=ReLU(),
        drop6=Dropout(0.5, rng=rng),
        fc7=linear(fc, fc),
        relu7=ReLU(),
        drop7=Dropout(0.5, rng=rng),
        fc8=linear(fc, classes),
    )
    return he(net, rng)


def resnet18(
    classes: int = 1000, width: float = 1.0, *, rng: init.Rng = None, dtype: DTypeLike = np.float32
) -> Sequential:
    """ResNet-18, He et al. 2016, table 1: 11,689,512 parameters. Input: (N, 3, 224, 224), or any size from 32.

    >>> nn.models.resnet18(width=1 / 8)(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 1000)
    """
    rng = init.default_rng(rng)
    conv, linear = makers(rng, dtype)

    def block(c: int, o: int, stride: int) -> Residual:
        last = {"conv2": conv(o, o, 3, padding=1, bias=False), "conv2_norm": BatchNorm2d(o, dtype=dtype)}
        body = Sequential({**normalized("conv1", conv(c, o, 3, stride, 1, bias=False)), **last})
        if c == o and stride == 1:
            return Residual(body)
        return Residual(body, Sequential(conv(c, o, 1, stride, bias=False), BatchNorm2d(o, dtype=dtype)))

    c, *widths = (max(1, round(width * n)) for n in (64, 64, 128, 256, 512))
    layers: dict[str, Layer] = {**normalized("conv1", conv(3, c, 7, 2, 3, bias=False)), "pool1": MaxPool2d(3, 2, 1)}
    for stage, o in enumerate(widths, 1):
        for half, stride in (("a", 1 if stage == 1 else 2), ("b", 1)):
            layers |= {f"block{stage}{half}": block(c, o, stride), f"relu{stage}{half}": ReLU()}
            c = o
    return he(Sequential({**layers, "mean": GlobalAvgPool(), "fc": linear(c, classes)}), rng)
