"""A geometry as the kernels take it."""

from __future__ import annotations

from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.once import once


@once
def numbers(geo: Geometry) -> tuple[int, ...]:
    """h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left."""
    (top, _), (left, _) = geo.padding
    return *geo.input, *geo.output, *geo.kernel, *geo.stride, *geo.dilation, top, left
