"""The layers, with PyTorch's argument names, order and parameter shapes. Each returns its output and its reverse layer.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64. Samples come first in every input: a layer's errors name the axes that it expects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

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

    weight: (out_features, in_features); bias: (out_features,). Both start uniform in ±1/√in_features, as in PyTorch.
    Raises ValueError for another number of features.

    >>> nn.Linear(5, 2, rng=0)(np.ones((3, 5), np.float32)).shape
    (3, 2)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None, dtype: DTypeLike = np.float32
    ) -> None:
        _check_counts(in_features=in_features, out_features=out_features)
        rng = default_rng(rng)
        self.weight = fan_in_uniform((out_features, in_features), rng, dtype)
        self.bias = uniform((out_features,), in_features**-0.5, rng, dtype) if bias else None

    def apply(self, x: Tensor) -> Applied:
        if x.ndim < 2:
            raise ValueError(f"expected samples (N, ..., {self.weight.shape[1]}), got shape {x.shape}")
        return functional.linear(x, self.weight, self.bias), r.ReverseLinear(self.weight)

    def extra_repr(self) -> str:
        o, i = self.weight.shape
        return f"{i}, {o}{'' if self.bias is not None else ', bias=False'}"


class Conv2d(Layer):
    """Cross-correlation. x: (N, in_channels, H, W); result: (N, out_channels, OH, OW).

    weight: (out_channels, in_channels/groups, kh, kw); bias: (out_channels,). Both start uniform in ±1/√fan_in, as in
    PyTorch.
    padding: a number, a pair, ((top, bottom), (left, right)), "valid" or "same" (output ⌈H/stride⌉).
    Raises ValueError where the sizes, channels and groups do not fit.

    >>> nn.Conv2d(3, 8, 3, padding="same", rng=0)(np.ones((2, 3, 5, 5), np.float32)).shape
    (2, 8, 5, 5)
    """

    weight: Tensor
    bias: Tensor | None
    stride: Size
    padding: Any
    dilation: Size
    groups: int

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
        dtype: DTypeLike = np.float32,
    ) -> None:
        _check_counts(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} → {out_channels} channels cannot be divided into {groups} groups")
        rng = default_rng(rng)
        shape = (out_channels, in_channels // groups, *_pair(kernel_size))
        self.weight = fan_in_uniform(shape, rng, dtype)
        self.bias = uniform((out_channels,), fans(shape)[0] ** -0.5, rng, dtype) if bias else None
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def convolve(self, x: Tensor) -> Applied:
        """The output without the bias, and the reverse layer, which the bias does not change. x: (N, C, H, W)."""
        kernel = self.weight.shape[-2:]
        geometry = Geometry.of(_plane(x), kernel, self.stride, self.padding, self.dilation, self.groups)
        return families.conv2d(x, self.weight, geometry), r.ReverseConv2d(self.weight, geometry)

    def apply(self, x: Tensor) -> Applied:
        y, reverse = self.convolve(x)
        return functional.add_channels(y, self.bias), reverse

    def extra_repr(self) -> str:
        o, c, kh, kw = self.weight.shape
        extras = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        settings = "".join(f", {k}={getattr(self, k)!r}" for k, plain in extras.items() if getattr(self, k) != plain)
        return f"{c * self.groups}, {o}, {kh}×{kw}{settings}{'' if self.bias is not None else ', bias=False'}"


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
        _check_counts(num_parameters=num_parameters)
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


class MaxPool2d(Layer):
    """The maximum of each window. x: (N, C, H, W); result: (N, C, OH, OW).

    The first maximum in row-major order gets the cotangent. stride: the kernel size where none is given.
    Raises ValueError where the window does not fit.

    >>> nn.MaxPool2d(2)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[4.0]]]]
    """

    kernel_size: Size
    stride: Size
    padding: Any

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Any = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def apply(self, x: Tensor) -> Applied:
        geometry = Geometry.of(_plane(x), self.kernel_size, self.stride, self.padding)
        indices = families.pool_argmax(x, geometry)
        return families.pool_gather(x, indices, geometry.input), r.ReverseMaxPool2d(indices, geometry.input)


class AvgPool2d(Layer):
    """The mean of each window, padding counted as zeros. x: (N, C, H, W); result: (N, C, OH, OW).

    stride: the kernel size where none is given. Raises ValueError where the window does not fit.

    >>> nn.AvgPool2d(2)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[2.5]]]]
    """

    kernel_size: Size
    stride: Size
    padding: Any

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Any = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def apply(self, x: Tensor) -> Applied:
        geometry = Geometry.of(_plane(x), self.kernel_size, self.stride, self.padding)
        return families.avg_pool(x, geometry), r.ReverseAvgPool2d(geometry)


class GlobalAvgPool(Layer):
    """The mean of each channel's plane. x: (N, C, H, W); result: (N, C). Lin et al. 2014, section 3.2.

    >>> nn.GlobalAvgPool()(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[2.5]]
    """

    def apply(self, x: Tensor) -> Applied:
        size = _plane(x)
        return mean(x, (-2, -1)), r.ReverseGlobalAvgPool(size)


class Flatten(Layer):
    """All axes of a sample in one. x: (N, ...); result: (N, D).

    >>> nn.Flatten()(np.zeros((2, 3, 4, 4))).shape
    (2, 48)
    """

    def apply(self, x: Tensor) -> Applied:
        if x.dtype.kind not in "fc":
            raise TypeError(f"expected images in float32 or float64, got {x.dtype}; convert with .astype(np.float32)")
        n, *sample = x.shape
        return reshape(x, (n, math.prod(sample))), r.ReverseFlatten(tuple(sample))


class Identity(Layer):
    """x itself: the plain shortcut of a residual block. x: (N, ...).

    >>> nn.Identity()(np.array([[7.0]])).numpy().tolist()
    [[7.0]]
    """

    def apply(self, x: Tensor) -> Applied:
        return x, r.ReverseIdentity()


class Dropout(Layer):
    """In training, drops entries with probability p and scales the others by 1/(1-p). Srivastava et al. 2014.

    x: (N, ...); p: in [0, 1), ValueError otherwise. Each call draws a fresh mask from the layer's own generator;
    `nn.rng_state` saves where that is.

    >>> drop = nn.Dropout(0.5, rng=0)
    >>> set(drop(np.ones((1, 99))).numpy().flat) == {0.0, 2.0}
    True
    >>> drop.eval()(np.ones((1, 2))).numpy().tolist()
    [[1.0, 1.0]]
    """

    p: float
    rng: np.random.Generator

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p is a probability in [0, 1), got {p}")
        self.p = p
        self.rng = default_rng(rng).spawn(1)[0]

    def apply(self, x: Tensor) -> Applied:
        if not self.training or self.p == 0:
            return x, r.ReverseIdentity()
        weights = functional.dropout_mask(x.shape, self.p, self.rng, x)
        return mask(x, weights), r.ReverseMask(weights)


class _BatchNorm(Layer):
    """Batch normalisation over all axes but the channel's, γ (x - μ)/√(var + eps) + β. Ioffe & Szegedy 2015.

    weight γ, bias β, running_mean, running_var: (num_features,). Training normalises by the batch (algorithm 1) and
    updates the running statistics (variance unbiased, as PyTorch); eval uses the running statistics. Raises ValueError
    for another shape, and in training for fewer than two values per channel.
    """

    axes: tuple[str, ...]  # of x
    eps: float
    momentum: float  # the weight of the batch in the running statistics
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, *, dtype: DTypeLike = np.float32
    ) -> None:
        _check_counts(num_features=num_features)
        self.eps = eps
        self.momentum = momentum
        self.weight = parameter(np.ones(num_features), dtype)
        self.bias = parameter(np.zeros(num_features), dtype)
        self.running_mean = Tensor(np.zeros(num_features, dtype))
        self.running_var = Tensor(np.ones(num_features, dtype))

    def apply(self, x: Tensor) -> Applied:
        if x.ndim != len(self.axes) or x.shape[1] != self.weight.size:
            n, _, *image = self.axes
            raise ValueError(f"expected shape ({', '.join([n, str(self.weight.size), *image])}), got {x.shape}")
        shape = (-1, *(1,) * (x.ndim - 2))
        weight = reshape(self.weight, shape)
        bias = reshape(self.bias, shape)
        if not self.training:
            scale = weight * reshape(power(self.running_var + self.eps, -0.5), shape)
            return (x - reshape(self.running_mean, shape)) * scale + bias, r.ReverseScale(scale)
        if x.size < 2 * self.weight.size:
            raise ValueError(f"training needs more than one value per channel, got shape {x.shape}")
        over = (0, *range(2, x.ndim))
        normal, inverse_std = functional.standardize(x, over, self.eps)
        self._update_running(x.detach(), over)
        return normal * weight + bias, r.ReverseBatchNorm(normal, inverse_std, weight)

    def _update_running(self, x: Tensor, over: tuple[int, ...]) -> None:
        m = self.momentum
        count = x.size // self.weight.size
        unbiased = x.var(over) * (count / (count - 1))
        self.running_mean.data = (self.running_mean * (1 - m) + x.mean(over) * m).data
        self.running_var.data = (self.running_var * (1 - m) + unbiased * m).data

    def extra_repr(self) -> str:
        return str(self.weight.size)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of each of C features over the samples. x: (N, C), C = num_features. Ioffe & Szegedy 2015.

    weight γ, bias β, running_mean, running_var: (C,). In training by the statistics of the batch, algorithm 1; in eval
    by the running ones. Raises ValueError for another shape, and in training for a batch of one.

    >>> nn.BatchNorm1d(1, eps=0.0)(np.array([[1.0], [3.0]], np.float32)).numpy().tolist()
    [[-1.0], [1.0]]
    """

    axes = ("N", "C")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of each of C channels over samples and pixels. x: (N, C, H, W), C = num_features.

    weight γ, bias β, running_mean, running_var: (C,). In training by the statistics of the batch (Ioffe & Szegedy 2015,
    algorithm 1 and section 3.2); in eval by the running ones. Raises ValueError for another shape, and in training for
    a single value per channel.

    >>> nn.BatchNorm2d(1, eps=0.0)(np.array([[[[1.0, 3.0]]]], np.float32)).numpy().tolist()
    [[[[-1.0, 1.0]]]]
    """

    axes = ("N", "C", "H", "W")


class LocalResponseNorm(Layer):
    """x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels. Krizhevsky et al. 2012, section 3.3.

    x: (N, C, H, W). As in PyTorch, alpha is divided by size.

    >>> nn.LocalResponseNorm(1, alpha=3.0, beta=0.5)(np.ones((1, 1, 1, 1))).numpy().tolist()
    [[[[0.5]]]]
    """

    size: int
    alpha: float
    beta: float
    k: float

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        _check_counts(size=size)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def apply(self, x: Tensor) -> Applied:
        geometry = Geometry.of(_plane(x), 1)
        window = functional.channel_window(x.shape[-3], self.size, x)
        denominator = families.conv2d(x * x, window, geometry) * (self.alpha / self.size) + self.k
        y = x * power(denominator, -self.beta)
        factor = 2 * self.alpha * self.beta / self.size
        return y, r.ReverseLocalResponseNorm(x, denominator, window, geometry, self.beta, factor)


def _pair(value: Size) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _check_counts(**counts: Size) -> None:
    for name, value in counts.items():
        if min(_pair(value)) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _plane(x: Tensor) -> tuple[int, int]:
    """H and W. x: (N, C, H, W)."""
    shape = x.shape
    if len(shape) != 4:
        raise ValueError(f"expected images (N, C, H, W), got shape {shape}")
    return shape[2], shape[3]
