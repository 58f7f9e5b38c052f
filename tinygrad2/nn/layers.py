"""The layers, with PyTorch's argument names, order and parameter shapes. Each returns its output and its reverse layer.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64. Samples come first in every input: a layer's errors name the axes that it expects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import Rng, default_rng, fan_in_uniform, fans, parameter, uniform
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.ops import families, functional, leaky_relu, mask, mean, positive, reshape, sigmoid, softmax, tanh
from tinygrad2.ops.elementwise import power
from tinygrad2.ops.functional import Size


class Linear(Layer):
    """x Wᵀ + b. x: (N, ..., in_features); result: (N, ..., out_features).

    weight: (out_features, in_features); bias: (out_features,).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None, dtype: Any = np.float32
    ) -> None:
        _check_counts(in_features=in_features, out_features=out_features)
        rng = default_rng(rng)
        self.weight = fan_in_uniform((out_features, in_features), rng, dtype)
        self.bias = uniform((out_features,), in_features**-0.5, rng, dtype) if bias else None

    def apply(self, x: Tensor) -> Applied:
        if x.ndim < 2:
            raise ValueError(f"expected samples (N, ..., {self.weight.shape[1]}), got shape {x.shape}")
        return functional.linear(x, self.weight, self.bias), r.ReverseLinear(self.weight)

    def __repr__(self) -> str:
        o, i = self.weight.shape
        return f"Linear({i}, {o}{'' if self.bias is not None else ', bias=False'})"


class Conv2d(Layer):
    """Cross-correlation. x: (N, in_channels, H, W); result: (N, out_channels, OH, OW).

    weight: (out_channels, in_channels/groups, kh, kw); bias: (out_channels,).
    padding: a number, a pair, ((top, bottom), (left, right)), "valid" or "same" (output ⌈H/stride⌉).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: Any = np.float32,
    ) -> None:
        _check_counts(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} → {out_channels} channels cannot be divided into {groups} groups")
        rng = default_rng(rng)
        shape = (out_channels, in_channels // groups, *_pair(kernel_size))
        self.weight = fan_in_uniform(shape, rng, dtype)
        self.bias = uniform((out_channels,), fans(shape)[0] ** -0.5, rng, dtype) if bias else None
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def geometry(self, x: Tensor) -> Geometry:
        """How the kernel slides over x. x: (N, C, H, W)."""
        kernel = self.weight.shape[-2:]
        return Geometry.of(_plane(x), kernel, self.stride, self.padding, self.dilation, self.groups)

    def apply(self, x: Tensor) -> Applied:
        geometry = self.geometry(x)
        y = functional.add_channels(families.conv2d(x, self.weight, geometry), self.bias)
        return y, r.ReverseConv2d(self.weight, geometry)

    def __repr__(self) -> str:
        o, c, kh, kw = self.weight.shape
        extras = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        settings = "".join(f", {k}={getattr(self, k)!r}" for k, plain in extras.items() if getattr(self, k) != plain)
        return f"Conv2d({c * self.groups}, {o}, {kh}×{kw}{settings}{'' if self.bias is not None else ', bias=False'})"


class ReLU(Layer):
    """max(x, 0); the derivative at 0 is 0."""

    def apply(self, x: Tensor) -> Applied:
        alive = positive(x)
        return mask(x, alive), r.ReverseMask(alive)


class LeakyReLU(Layer):
    """x where x > 0, negative_slope·x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def apply(self, x: Tensor) -> Applied:
        slope = Tensor(np.asarray(self.negative_slope, x.dtype)).to(x.device)
        return leaky_relu(x, slope), r.ReverseSlope(positive(x), slope)


class PReLU(Layer):
    """x where x > 0, weight·x elsewhere: one learned slope, or one per channel. He et al. 2015, equation 1.

    x: (N, C, ...); weight: (num_parameters,), with num_parameters 1 or C.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float32) -> None:
        _check_counts(num_parameters=num_parameters)
        self.weight = parameter(np.full(num_parameters, init), dtype)

    def apply(self, x: Tensor) -> Applied:
        n = self.weight.size
        if n > 1 and x.shape[1:2] != (n,):
            raise ValueError(f"expected {n} channels (N, {n}, ...), one for each slope; got shape {x.shape}")
        slope = reshape(self.weight, (-1, *(1,) * (x.ndim - 2))) if n > 1 else self.weight
        return leaky_relu(x, slope), r.ReverseSlope(positive(x), slope)

    def __repr__(self) -> str:
        return f"PReLU({self.weight.size})"


class Sigmoid(Layer):
    """1/(1 + e⁻ˣ)."""

    def apply(self, x: Tensor) -> Applied:
        y = sigmoid(x)
        return y, r.ReverseSigmoid(y)


class Tanh(Layer):
    """tanh x."""

    def apply(self, x: Tensor) -> Applied:
        y = tanh(x)
        return y, r.ReverseTanh(y)


class Softmax(Layer):
    """exp(x) / Σ exp(x) over the last axis."""

    def apply(self, x: Tensor) -> Applied:
        y = softmax(x, -1)
        return y, r.ReverseSoftmax(y)


class MaxPool2d(Layer):
    """The maximum of each window. x: (N, C, H, W). The first maximum in row-major order gets the cotangent."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Any = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def geometry(self, x: Tensor) -> Geometry:
        """How the window slides over x. x: (N, C, H, W)."""
        return Geometry.of(_plane(x), self.kernel_size, self.stride, self.padding)

    def apply(self, x: Tensor) -> Applied:
        geometry = self.geometry(x)
        indices = families.pool_argmax(x, geometry)
        return families.pool_gather(x, indices, geometry.input), r.ReverseMaxPool2d(indices, geometry.input)


class AvgPool2d(Layer):
    """The mean of each window, padding counted as zeros. x: (N, C, H, W)."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Any = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def apply(self, x: Tensor) -> Applied:
        geometry = Geometry.of(_plane(x), self.kernel_size, self.stride, self.padding)
        return families.avg_pool(x, geometry), r.ReverseAvgPool2d(geometry)


class GlobalAvgPool(Layer):
    """The mean of each channel's plane. x: (N, C, H, W); result: (N, C)."""

    def apply(self, x: Tensor) -> Applied:
        size = _plane(x)
        return mean(x, (-2, -1)), r.ReverseGlobalAvgPool(size)


class Flatten(Layer):
    """All axes of a sample in one. x: (N, ...); result: (N, D)."""

    def apply(self, x: Tensor) -> Applied:
        shape = x.shape[1:]
        return reshape(x, (*x.shape[:1], math.prod(shape))), r.ReverseFlatten(shape)


class Identity(Layer):
    """x itself: the plain shortcut of a residual block."""

    def apply(self, x: Tensor) -> Applied:
        return x, r.ReverseIdentity()


class Dropout(Layer):
    """In training, drops entries with probability p and scales the others by 1/(1-p). Srivastava et al. 2014.

    Each call draws a fresh mask from the layer's own generator; `nn.rng_state` saves where that is.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p is a probability in [0, 1), got {p}")
        self.p = p
        self.rng = default_rng(rng).spawn(1)[0]

    def apply(self, x: Tensor) -> Applied:
        if not self.training or self.p == 0:
            return x, r.ReverseIdentity()
        kept = functional.dropout_mask(x.shape, self.p, self.rng, x)
        return mask(x, kept), r.ReverseMask(kept)


class _BatchNorm(Layer):
    """Batch normalisation over all axes but the channel's. Ioffe & Szegedy 2015.

    weight γ, bias β, running_mean, running_var: (num_features,). Training normalises by the batch and updates the
    running statistics (variance unbiased, as PyTorch); eval uses the running statistics.
    """

    ndim: int

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, *, dtype: Any = np.float32) -> None:
        _check_counts(num_features=num_features)
        self.eps, self.momentum = eps, momentum
        self.weight = parameter(np.ones(num_features), dtype)
        self.bias = parameter(np.zeros(num_features), dtype)
        self.running_mean = Tensor(np.zeros(num_features, dtype))
        self.running_var = Tensor(np.ones(num_features, dtype))

    def apply(self, x: Tensor) -> Applied:
        if x.ndim != self.ndim or x.shape[1] != self.weight.size:
            expected = ", ".join(["N", str(self.weight.size), "H", "W"][: self.ndim])
            raise ValueError(f"expected shape ({expected}), got {x.shape}")
        shape = (-1, *(1,) * (x.ndim - 2))
        weight, bias = reshape(self.weight, shape), reshape(self.bias, shape)
        if not self.training:
            scale = weight * reshape(power(self.running_var + self.eps, -0.5), shape)
            return (x - reshape(self.running_mean, shape)) * scale + bias, r.ReverseScale(scale)
        if x.size < 2 * self.weight.size:
            raise ValueError(f"training needs more than one value per channel, got shape {x.shape}")
        axes = (0, *range(2, x.ndim))
        normal, inverse_std = functional.standardize(x, axes, self.eps)
        self._update_running(x.detach(), axes)
        return normal * weight + bias, r.ReverseBatchNorm(normal, inverse_std, weight)

    def _update_running(self, x: Tensor, axes: tuple[int, ...]) -> None:
        m, count = self.momentum, x.size // self.weight.size
        unbiased = x.var(axes) * (count / (count - 1))
        self.running_mean.data = (self.running_mean * (1 - m) + x.mean(axes) * m).data
        self.running_var.data = (self.running_var * (1 - m) + unbiased * m).data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.size})"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x: (N, C)."""

    ndim = 2


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of x: (N, C, H, W)."""

    ndim = 4


class LocalResponseNorm(Layer):
    """x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels. Krizhevsky et al. 2012, section 3.3.

    x: (N, C, H, W). As in PyTorch, alpha is divided by size.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        _check_counts(size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def apply(self, x: Tensor) -> Applied:
        _plane(x)
        window = functional.channel_window(x.shape[-3], self.size, x)
        denominator = functional.conv2d(x * x, window) * (self.alpha / self.size) + self.k
        y = x * power(denominator, -self.beta)
        return y, r.ReverseLocalResponseNorm(x, denominator, self.size, self.alpha, self.beta)


def _pair(value: Size) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _check_counts(**counts: Size) -> None:
    for name, value in counts.items():
        if min(_pair(value)) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _plane(x: Tensor) -> tuple[int, int]:
    if x.ndim != 4:
        raise ValueError(f"expected images (N, C, H, W), got shape {x.shape}")
    return x.shape[2], x.shape[3]
