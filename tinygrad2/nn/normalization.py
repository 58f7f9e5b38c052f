"""Normalisations, with PyTorch's names, argument order and parameter shapes.

`dtype`: float32 or float64.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor, stateful
from tinygrad2.kernels import Geometry
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import parameter
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts, plane
from tinygrad2.nn.state import snapshot
from tinygrad2.ops import families, functional, reshape
from tinygrad2.ops.elementwise import power


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
        check_counts(num_features=num_features)
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
        with stateful(partial(snapshot, self)):
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
        check_counts(size=size)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def apply(self, x: Tensor) -> Applied:
        geometry = Geometry.of(plane(x), 1)
        window = functional.channel_window(x.shape[-3], self.size, x)
        denominator = families.conv2d(x * x, window, geometry) * (self.alpha / self.size) + self.k
        y = x * power(denominator, -self.beta)
        factor = 2 * self.alpha * self.beta / self.size
        return y, r.ReverseLocalResponseNorm(x, denominator, window, geometry, self.beta, factor)
