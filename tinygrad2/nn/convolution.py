"""Convolutions, with PyTorch's names, argument order and parameter shapes.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import Rng, default_rng, fan_in_uniform, fans, uniform
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts, pair, plane
from tinygrad2.ops import families, functional
from tinygrad2.ops.functional import Size


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
        check_counts(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} → {out_channels} channels cannot be divided into {groups} groups")
        rng = default_rng(rng)
        shape = (out_channels, in_channels // groups, *pair(kernel_size))
        self.weight = fan_in_uniform(shape, rng, dtype)
        self.bias = uniform((out_channels,), fans(shape)[0] ** -0.5, rng, dtype) if bias else None
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def convolve(self, x: Tensor) -> Applied:
        """The output without the bias, and the reverse layer, which the bias does not change. x: (N, C, H, W)."""
        kernel = self.weight.shape[-2:]
        geometry = Geometry.of(plane(x), kernel, self.stride, self.padding, self.dilation, self.groups)
        return families.conv2d(x, self.weight, geometry), r.ReverseConv2d(self.weight, geometry)

    def apply(self, x: Tensor) -> Applied:
        y, reverse = self.convolve(x)
        return functional.add_channels(y, self.bias), reverse

    def extra_repr(self) -> str:
        o, c, kh, kw = self.weight.shape
        extras = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        settings = "".join(f", {k}={getattr(self, k)!r}" for k, plain in extras.items() if getattr(self, k) != plain)
        return f"{c * self.groups}, {o}, {kh}×{kw}{settings}{'' if self.bias is not None else ', bias=False'}"
