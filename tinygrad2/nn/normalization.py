"""Normalisations, with PyTorch's names, argument order and parameter shapes.

`dtype`: float32 or float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

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
from tinygrad2.ops.normalization import Sizes, grouped, last_axes, scaled, unit_scaled

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _BatchNorm(Layer):
    """Batch normalisation over all axes but the channel's, γ (x - μ)/√(var + eps) + β. Ioffe & Szegedy 2015.

    weight γ, bias β, running_mean, running_var: (num_features,). Training normalises by the batch (algorithm 1) and
    updates the running statistics (variance unbiased, as PyTorch); eval uses the running statistics. With affine=False
    there are no γ and β, with track_running_stats=False no running statistics, and eval uses the batch as well. Raises
    ValueError for another shape, and for fewer than two values per channel where the batch is used.
    """

    axes: tuple[str, ...]  # of x
    num_features: int
    eps: float
    momentum: float  # the weight of the batch in the running statistics
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_counts(num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = parameter(np.ones(num_features), dtype) if affine else None
        self.bias = parameter(np.zeros(num_features), dtype) if affine else None
        self.running_mean = Tensor(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Tensor(np.ones(num_features, dtype)) if track_running_stats else None

    def apply(self, x: Tensor) -> Applied:
        self.check(x)
        shape = (-1, *(1,) * (x.ndim - 2))
        weight = None if self.weight is None else reshape(self.weight, shape)
        bias = None if self.bias is None else reshape(self.bias, shape)
        if not self.training and self.running_mean is not None and self.running_var is not None:
            scale = reshape(power(self.running_var + self.eps, -0.5), shape)
            scale = scale if weight is None else weight * scale
            return scaled(x - reshape(self.running_mean, shape), scale, bias), r.ReverseScale(scale)
        if x.size < 2 * self.num_features:
            raise ValueError(f"training needs more than one value per channel, got shape {x.shape}")
        over = (0, *range(2, x.ndim))
        normal, inverse_std = functional.standardize(x, over, self.eps)
        if self.training and self.running_mean is not None and self.running_var is not None:
            with stateful(partial(snapshot, self)):
                self._update_running(self.running_mean, self.running_var, x.detach(), over)
        return scaled(normal, weight, bias), r.ReverseBatchNorm(normal, inverse_std, weight)

    def check(self, x: Tensor) -> None:
        """ValueError unless x has the axes that the layer takes. x: (N, C, ...)."""
        if x.ndim != len(self.axes) or x.shape[1] != self.num_features:
            n, _, *image = self.axes
            raise ValueError(f"expected shape ({', '.join([n, str(self.num_features), *image])}), got {x.shape}")

    def _update_running(self, running_mean: Tensor, running_var: Tensor, x: Tensor, over: tuple[int, ...]) -> None:
        m = self.momentum
        count = x.size // self.num_features
        unbiased = x.var(over) * (count / (count - 1))
        running_mean.data = (running_mean * (1 - m) + x.mean(over) * m).data
        running_var.data = (running_var * (1 - m) + unbiased * m).data

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        tracked = "" if self.running_mean is not None else ", track_running_stats=False"
        return f"{self.num_features}{affine}{tracked}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of each of C features over samples and positions. x: (N, C) or (N, C, L), C = num_features.

    weight γ, bias β: (C,), none with affine=False. running_mean, running_var: (C,), none with
    track_running_stats=False. In training by the statistics of the batch (Ioffe & Szegedy 2015, algorithm 1); in eval
    by the running ones, if there are any. Raises ValueError for another shape, and in training for a single value per
    channel.

    >>> nn.BatchNorm1d(1, eps=0.0)(np.array([[1.0], [3.0]], np.float32)).numpy().tolist()
    [[-1.0], [1.0]]
    """

    axes = ("N", "C")

    def check(self, x: Tensor) -> None:
        """ValueError unless x has the axes that the layer takes. x: (N, C) or (N, C, L)."""
        if x.ndim not in (2, 3) or x.shape[1] != self.num_features:
            c = self.num_features
            raise ValueError(f"expected shape (N, {c}) or (N, {c}, L), got {x.shape}")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of each of C channels over samples and pixels. x: (N, C, H, W), C = num_features.

    weight γ, bias β: (C,), none with affine=False. running_mean, running_var: (C,), none with
    track_running_stats=False. In training by the statistics of the batch (Ioffe & Szegedy 2015, algorithm 1 and section
    3.2); in eval by the running ones, if there are any. Raises ValueError for another shape, and in training for
    a single value per channel.

    >>> nn.BatchNorm2d(1, eps=0.0)(np.array([[[[1.0, 3.0]]]], np.float32)).numpy().tolist()
    [[[[-1.0, 1.0]]]]
    """

    axes = ("N", "C", "H", "W")


class LayerNorm(Layer):
    """γ (x - μ)/√(var + eps) + β, with μ and var of each sample over its last axes. Ba et al. 2016, equation 4.

    x: (N, ..., *normalized_shape); weight γ, bias β: normalized_shape, none with elementwise_affine=False.
    Raises ValueError where the last axes of x are others.

    >>> nn.LayerNorm(2, eps=0.0)(np.array([[1.0, 3.0]], np.float32)).numpy().tolist()
    [[-1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    eps: float
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        normalized_shape: Sizes,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.weight = parameter(np.ones(self.normalized_shape), dtype) if elementwise_affine else None
        self.bias = parameter(np.zeros(self.normalized_shape), dtype) if elementwise_affine and bias else None

    def apply(self, x: Tensor) -> Applied:
        axes = last_axes(x, self.normalized_shape)
        normal, inverse_std = functional.standardize(x, axes, self.eps)
        return scaled(normal, self.weight, self.bias), r.ReverseLayerNorm(normal, inverse_std, self.weight, axes)

    def extra_repr(self) -> str:
        return _settings(self.normalized_shape, elementwise_affine=self.weight is not None)


class RMSNorm(Layer):
    """γ x/√(mean x² + eps), with the mean over the last axes. Zhang & Sennrich 2019, equation 4.

    x: (N, ..., *normalized_shape); weight γ: normalized_shape, none with elementwise_affine=False. eps: None for the
    dtype's rounding unit, as in PyTorch. Raises ValueError where the last axes of x are others.

    >>> nn.RMSNorm(2, eps=0.0)(np.array([[3.0, 3.0]], np.float32)).numpy().tolist()
    [[1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    eps: float | None
    weight: Tensor | None

    def __init__(
        self,
        normalized_shape: Sizes,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.weight = parameter(np.ones(self.normalized_shape), dtype) if elementwise_affine else None

    def apply(self, x: Tensor) -> Applied:
        axes = last_axes(x, self.normalized_shape)
        normal, factor = unit_scaled(x, axes, self.eps)
        return scaled(normal, self.weight, None), r.ReverseRMSNorm(normal, factor, self.weight, axes)

    def extra_repr(self) -> str:
        return _settings(self.normalized_shape, elementwise_affine=self.weight is not None)


class GroupNorm(Layer):
    """γ (x - μ)/√(var + eps) + β, with μ and var of each sample over each group of channels. Wu & He 2018, equation 7.

    x: (N, num_channels, ...); weight γ, bias β: (num_channels,), none with affine=False. Raises ValueError for other
    channels, or where they cannot be divided into the groups.

    >>> nn.GroupNorm(1, 2, eps=0.0)(np.array([[1.0, 3.0]], np.float32)).numpy().tolist()
    [[-1.0, 1.0]]
    """

    num_groups: int
    num_channels: int
    eps: float
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_counts(num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"{num_channels} channels cannot be divided into {num_groups} groups")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.weight = parameter(np.ones(num_channels), dtype) if affine else None
        self.bias = parameter(np.zeros(num_channels), dtype) if affine else None

    def apply(self, x: Tensor) -> Applied:
        if x.shape[1:2] != (self.num_channels,):
            raise ValueError(f"expected {self.num_channels} channels (N, {self.num_channels}, ...), got {x.shape}")
        normal, inverse_std = functional.standardize(grouped(x, self.num_groups), -1, self.eps)
        shape = (-1, *(1,) * (x.ndim - 2))
        weight = None if self.weight is None else reshape(self.weight, shape)
        bias = None if self.bias is None else reshape(self.bias, shape)
        y = scaled(reshape(normal, x.shape), weight, bias)
        return y, r.ReverseGroupNorm(normal, inverse_std, weight, x.ndim)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {_settings(self.num_channels, affine=self.weight is not None)}"


def _shape(sizes: Sizes) -> tuple[int, ...]:
    shape = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if not shape or min(shape) < 1:
        raise ValueError(f"normalized_shape must be sizes of at least 1, got {sizes}")
    return shape


def _settings(first: Any, **switches: bool) -> str:
    """A first argument, and the switches that are off."""
    return ", ".join([repr(first), *[f"{name}=False" for name, on in switches.items() if not on]])


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
