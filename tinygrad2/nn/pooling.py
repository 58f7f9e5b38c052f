"""Pools, with PyTorch's names and arguments."""

from __future__ import annotations

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.kernels.geometry import Padding
from tinygrad2.nn import reverse as r
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts, plane
from tinygrad2.ops import families, functional, mean
from tinygrad2.ops.functional import Size
from tinygrad2.ops.pooling import adaptive_argmax, between_means, mean_matrices, windows

__all__ = ["AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "AvgPool2d", "GlobalAvgPool", "MaxPool2d"]


class MaxPool2d(Layer):
    """The maximum of each window. x: (N, C, H, W); result: (N, C, OH, OW).

    The first maximum in row-major order gets the cotangent. stride: the kernel size where none is given. ceil_mode: the
    last windows may stand out, so that they cover the remainder. Raises ValueError where the window does not fit.

    >>> nn.MaxPool2d(2)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[4.0]]]]
    """

    kernel_size: Size
    stride: Size
    padding: Padding
    dilation: Size
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def apply(self, x: Tensor) -> Applied:
        plane(x)
        geometry = functional.pool_geometry(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        indices = families.pool_argmax(x, geometry)
        return families.pool_gather(x, indices, geometry.input), r.ReverseMaxPool2d(indices, geometry.input)

    def extra_repr(self) -> str:
        usual = f"kernel_size={self.kernel_size!r}, stride={self.stride!r}, padding={self.padding!r}"
        dilation = "" if self.dilation == 1 else f", dilation={self.dilation!r}"
        return f"{usual}{dilation}{', ceil_mode=True' if self.ceil_mode else ''}"


class AvgPool2d(Layer):
    """The mean of each window, padding counted as zeros. x: (N, C, H, W); result: (N, C, OH, OW).

    stride: the kernel size where none is given. Raises ValueError where the window does not fit.

    >>> nn.AvgPool2d(2)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[2.5]]]]
    """

    kernel_size: Size
    stride: Size
    padding: Padding

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0) -> None:
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


class AdaptiveAvgPool2d(Layer):
    """The mean of each of OH×OW windows that cover the plane. x: (N, C, H, W); result: (N, C, OH, OW).

    output_size: OH and OW, or one number for both. Window i begins at ⌊i H/OH⌋ and ends before ⌈(i+1) H/OH⌉, as in
    PyTorch. Raises ValueError where a size is not positive.

    >>> nn.AdaptiveAvgPool2d(1)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[2.5]]]]
    """

    output_size: Size

    def __init__(self, output_size: Size) -> None:
        check_counts(output_size=output_size)
        self.output_size = output_size

    def apply(self, x: Tensor) -> Applied:
        plane(x)
        means = mean_matrices(x, self.output_size)
        return between_means(x, *means), r.ReverseAdaptiveAvgPool2d(*means)


class AdaptiveMaxPool2d(Layer):
    """The maximum of each of OH×OW windows that cover the plane. x: (N, C, H, W); result: (N, C, OH, OW).

    output_size: OH and OW, or one number for both; the windows are those of AdaptiveAvgPool2d. The first maximum in
    row-major order gets the cotangent. Raises ValueError where a size is not positive.

    >>> nn.AdaptiveMaxPool2d(1)(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).numpy().tolist()
    [[[[4.0]]]]
    """

    output_size: Size

    def __init__(self, output_size: Size) -> None:
        check_counts(output_size=output_size)
        self.output_size = output_size

    def apply(self, x: Tensor) -> Applied:
        size = plane(x)
        indices = adaptive_argmax(x, *windows(x, self.output_size))
        return families.pool_gather(x, indices, size), r.ReverseMaxPool2d(indices, size)
