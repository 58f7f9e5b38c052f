"""Pools, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn import reverse as r
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import plane
from tinygrad2.ops import families, mean
from tinygrad2.ops.functional import Size


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
        geometry = Geometry.of(plane(x), self.kernel_size, self.stride, self.padding)
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
        geometry = Geometry.of(plane(x), self.kernel_size, self.stride, self.padding)
        return families.avg_pool(x, geometry), r.ReverseAvgPool2d(geometry)


class GlobalAvgPool(Layer):
    """The mean of each channel's plane. x: (N, C, H, W); result: (N, C). Lin et al. 2014, section 3.2.

    >>> nn.GlobalAvgPool()(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[2.5]]
    """

    def apply(self, x: Tensor) -> Applied:
        size = plane(x)
        return mean(x, (-2, -1)), r.ReverseGlobalAvgPool(size)
