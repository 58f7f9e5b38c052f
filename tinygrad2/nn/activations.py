"""Activations, with PyTorch's names and arguments. Each returns its output and its reverse layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import parameter
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts
from tinygrad2.ops import leaky_relu, mask, positive, reshape, sigmoid, softmax, tanh


class ReLU(Layer):
    """max(x, 0); the derivative at 0 is 0. x: (N, ...). Nair & Hinton 2010.

    >>> nn.ReLU()(np.array([[-1.0, 2.0]])).numpy().tolist()
    [[0.0, 2.0]]
    """

    def apply(self, x: Tensor) -> Applied:
        alive = positive(x)
        return mask(x, alive), r.ReverseMask(alive)


class LeakyReLU(Layer):
    """x where x > 0, negative_slope·x elsewhere. x: (N, ...). Maas et al. 2013.

    >>> nn.LeakyReLU(0.5)(np.array([[-1.0, 2.0]])).numpy().tolist()
    [[-0.5, 2.0]]
    """

    negative_slope: float

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def apply(self, x: Tensor) -> Applied:
        slope = Tensor(np.asarray(self.negative_slope, x.dtype)).to(x.device)
        return leaky_relu(x, slope), r.ReverseSlope(positive(x), slope)


class PReLU(Layer):
    """x where x > 0, weight·x elsewhere: one learned slope, or one per channel. He et al. 2015, equation 1.

    x: (N, C, ...); weight: (num_parameters,), with num_parameters 1 or C. Raises ValueError for other channels.

    >>> nn.PReLU()(np.array([[-1.0, 2.0]], np.float32)).numpy().tolist()
    [[-0.25, 2.0]]
    """

    weight: Tensor

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32) -> None:
        check_counts(num_parameters=num_parameters)
        self.weight = parameter(np.full(num_parameters, init), dtype)

    def apply(self, x: Tensor) -> Applied:
        n = self.weight.size
        if n > 1 and x.shape[1:2] != (n,):
            raise ValueError(f"expected {n} channels (N, {n}, ...), one for each slope; got shape {x.shape}")
        slope = reshape(self.weight, (-1, *(1,) * (x.ndim - 2))) if n > 1 else self.weight
        return leaky_relu(x, slope), r.ReverseSlope(positive(x), slope)

    def extra_repr(self) -> str:
        return str(self.weight.size)


class Sigmoid(Layer):
    """1/(1 + e⁻ˣ), in (0, 1). x: (N, ...).

    >>> nn.Sigmoid()(np.array([[0.0]])).numpy().tolist()
    [[0.5]]
    """

    def apply(self, x: Tensor) -> Applied:
        y = sigmoid(x)
        return y, r.ReverseSigmoid(y)


class Tanh(Layer):
    """tanh x, in (-1, 1). x: (N, ...).

    >>> nn.Tanh()(np.array([[0.0]])).numpy().tolist()
    [[0.0]]
    """

    def apply(self, x: Tensor) -> Applied:
        y = tanh(x)
        return y, r.ReverseTanh(y)


class Softmax(Layer):
    """exp(x) / Σ exp(x) over the last axis: positive numbers that sum to 1. x: (N, ..., C).

    >>> nn.Softmax()(np.array([[3.0, 3.0]])).numpy().round(6).tolist()
    [[0.5, 0.5]]
    """

    def apply(self, x: Tensor) -> Applied:
        y = softmax(x, -1)
        return y, r.ReverseSoftmax(y)
