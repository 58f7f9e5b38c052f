"""Convolutions, with PyTorch's names, argument order and parameter shapes.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.kernels.geometry import Padding
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import Rng, default_rng, fan_in_uniform, fans, uniform
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts, pair, plane
from tinygrad2.nn.summary import times
from tinygrad2.ops import families, functional
from tinygrad2.ops.functional import Size

__all__ = ["Conv1d", "Conv2d", "ConvTranspose2d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Convolution(Layer):
    """What Conv2d and Conv1d share: the parameters, the settings, and the padding with copies of x's own entries."""

    axes: ClassVar[int]
    weight: Tensor
    bias: Tensor | None
    stride: Size
    padding: Padding
    dilation: Size
    groups: int
    padding_mode: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_channels(in_channels, out_channels, kernel_size, groups)
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
        rng = default_rng(rng)
        kernel = (kernel_size,) * self.axes if isinstance(kernel_size, int) else kernel_size
        shape = (out_channels, in_channels // groups, *kernel)
        self.weight = fan_in_uniform(shape, rng, dtype)
        self.bias = uniform((out_channels,), fans(shape)[0] ** -0.5, rng, dtype) if bias else None
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.padding_mode = padding_mode

    def convolve(self, x: Tensor) -> Applied:
        """The output without the bias, and the reverse layer, which the bias does not change.

        x: the shape that the layer takes.
        """
        raise NotImplementedError

    def apply(self, x: Tensor) -> Applied:
        y, reverse = self.convolve(x)
        return functional.add_channels(y, self.bias, self.axes), reverse

    def extra_repr(self) -> str:
        o, c, *_ = self.weight.shape
        settings = _unusual(self, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros")
        bias = "" if self.bias is not None else ", bias=False"
        return f"{c * self.groups}, {o}, {times(self.weight.shape[2:])}{settings}{bias}"


class Conv2d(Convolution):
    """Cross-correlation. x: (N, in_channels, H, W); result: (N, out_channels, OH, OW).

    weight: (out_channels, in_channels/groups, kh, kw); bias: (out_channels,). Both start uniform in ±1/√fan_in, as in
    PyTorch.
    padding: a number, a pair, ((top, bottom), (left, right)), "valid" or "same" (output ⌈H/stride⌉).
    padding_mode: what stands there: "zeros", or copies of x's own entries: "reflect", "replicate" or "circular".
    Raises ValueError where the sizes, channels and groups do not fit.

    >>> nn.Conv2d(3, 8, 3, padding="same", rng=0)(np.ones((2, 3, 5, 5), np.float32)).shape
    (2, 8, 5, 5)
    """

    axes = 2

    def convolve(self, x: Tensor) -> Applied:
        geometry = Geometry.of(plane(x), self.weight.shape[-2:], self.stride, self.padding, self.dilation, self.groups)
        return _convolved(x, self.weight, geometry, self.padding_mode)


class Conv1d(Convolution):
    """Cross-correlation along one axis. x: (N, in_channels, L); result: (N, out_channels, OL).

    weight: (out_channels, in_channels/groups, kernel_size); bias: (out_channels,). Both start uniform in ±1/√fan_in, as
    in PyTorch. padding: a number, (before, after), "valid" or "same" (output ⌈L/stride⌉); padding_mode: as Conv2d's.
    Raises ValueError where the sizes, channels and groups do not fit.

    >>> nn.Conv1d(3, 8, 3, padding="same", rng=0)(np.ones((2, 3, 5), np.float32)).shape
    (2, 8, 5)
    """

    axes = 1
    stride: int
    dilation: int

    def convolve(self, x: Tensor) -> Applied:
        if x.ndim != 3:
            raise ValueError(f"expected sequences (N, C, L), got shape {x.shape}")
        geometry = functional.row_geometry(
            x.shape[-1], self.weight.shape[-1], self.stride, self.padding, self.dilation, self.groups
        )
        rows = functional.with_rows(x)
        y, image = _convolved(rows, functional.with_rows(self.weight), geometry, self.padding_mode)
        return functional.without_rows(y), r.ReverseConv1d(image)


def _convolved(x: Tensor, weight: Tensor, geometry: Geometry, padding_mode: str) -> Applied:
    """The convolution of images without a bias, and its reverse layer. x: (N, C, H, W)."""
    if padding_mode == "zeros":
        return families.conv2d(x, weight, geometry), r.ReverseConv2d(weight, geometry)
    border = functional.border(geometry, padding_mode, x)
    padded = Geometry.of(geometry.padded, geometry.kernel, geometry.stride, 0, geometry.dilation, geometry.groups)
    y = families.conv2d(functional.bordered(x, border), weight, padded)
    return y, r.ReverseBorderedConv2d(weight, padded, border, geometry.input)


class ConvTranspose2d(Layer):
    """The adjoint of a convolution, as a layer. x: (N, in_channels, H, W); result: (N, out_channels, OH, OW).

    OH = (H - 1)·stride - padding above and below + dilation·(kh - 1) + output_padding + 1; with padding "same", OH =
    stride·H. weight: (in_channels, out_channels/groups, kh, kw); bias: (out_channels,). Both start as PyTorch's.
    padding: as in Conv2d; output_padding: less than the stride. Raises ValueError where sizes, channels and groups do
    not fit. Dumoulin & Visin, A Guide to Convolution Arithmetic, 2016, section 4.

    >>> nn.ConvTranspose2d(3, 8, 2, stride=2, rng=0)(np.ones((2, 3, 5, 5), np.float32)).shape
    (2, 8, 10, 10)
    """

    weight: Tensor
    bias: Tensor | None
    stride: Size
    padding: Padding
    output_padding: Size
    groups: int
    dilation: Size

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_channels(in_channels, out_channels, kernel_size, groups)
        rng = default_rng(rng)
        shape = (in_channels, out_channels // groups, *pair(kernel_size))
        self.weight = fan_in_uniform(shape, rng, dtype)
        self.bias = uniform((out_channels,), fans(shape)[0] ** -0.5, rng, dtype) if bias else None
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.groups = groups
        self.dilation = dilation

    def apply(self, x: Tensor) -> Applied:
        kernel = self.weight.shape[-2:]
        geometry = Geometry.transposed(
            plane(x), kernel, self.stride, self.padding, self.output_padding, self.dilation, self.groups
        )
        reverse = r.ReverseConvTranspose2d(self.weight, geometry)
        return functional.add_channels(reverse.jvp(x), self.bias), reverse

    def extra_repr(self) -> str:
        c, o, kh, kw = self.weight.shape
        settings = _unusual(self, stride=1, padding=0, output_padding=0, dilation=1, groups=1)
        return f"{c}, {o * self.groups}, {kh}×{kw}{settings}{'' if self.bias is not None else ', bias=False'}"


def check_channels(in_channels: int, out_channels: int, kernel_size: Size, groups: int) -> None:
    """ValueError unless all are positive and the groups divide the channels."""
    check_counts(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, groups=groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"{in_channels} → {out_channels} channels cannot be divided into {groups} groups")


def _unusual(layer: Layer, **usual: object) -> str:
    """The settings that differ from the usual ones, as they are printed."""
    return "".join(f", {k}={getattr(layer, k)!r}" for k, plain in usual.items() if getattr(layer, k) != plain)
