"""Activations, with PyTorch's names and arguments. Each returns its output and its reverse layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import parameter
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts
from tinygrad2.ops import elu, gelu, leaky_relu, mask, positive, reshape, sigmoid, silu, softmax, softplus, tanh

__all__ = ["ELU", "GELU", "LeakyReLU", "PReLU", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


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


class GELU(Layer):
    """x Φ(x), with the distribution function Φ of the standard normal. x: (N, ...). Hendrycks & Gimpel 2016, section 2.

    approximate: "none", or "tanh" for ½x (1 + tanh(√(2/π) (x + 0.044715 x³))). Raises ValueError for another word.

    >>> nn.GELU()(np.array([[0.0, 1.0]])).numpy().round(4).tolist()
    [[0.0, 0.8413]]
    """

    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def apply(self, x: Tensor) -> Applied:
        return gelu(x, self.approximate), r.ReverseGELU(x, self.approximate)


class SiLU(Layer):
    """x σ(x), also called swish. x: (N, ...). Hendrycks & Gimpel 2016, section 2.

    >>> nn.SiLU()(np.array([[0.0, 2.0]])).numpy().round(4).tolist()
    [[0.0, 1.7616]]
    """

    def apply(self, x: Tensor) -> Applied:
        return silu(x), r.ReverseSiLU(x)


class ELU(Layer):
    """x where x > 0, alpha (eˣ - 1) elsewhere. x: (N, ...). Clevert et al. 2016, equation 15.

    >>> nn.ELU()(np.array([[-1.0, 2.0]])).numpy().round(4).tolist()
    [[-0.6321, 2.0]]
    """

    alpha: float

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def apply(self, x: Tensor) -> Applied:
        return elu(x, self.alpha), r.ReverseELU(x, self.alpha)


class Softplus(Layer):
    """log(1 + exp(beta x)) / beta, a smooth ReLU. x: (N, ...). Raises ValueError unless beta > 0.

    >>> nn.Softplus()(np.array([[0.0]])).numpy().round(4).tolist()
    [[0.6931]]
    """

    beta: float

    def __init__(self, beta: float = 1.0) -> None:
        if not beta > 0:
            raise ValueError(f"beta must be positive, got {beta}")
        self.beta = beta

    def apply(self, x: Tensor) -> Applied:
        return softplus(x, self.beta), r.ReverseSoftplus(x, self.beta)
