"""The convolution family: one trilinear form and its three partial contractions, on the fastest path that fits.

    <conv2d(x, w), g>  =  <x, conv2d_input(g, w)>  =  <w, conv2d_weight(x, g)>

x: (..., C, H, W); w: (O, C/groups, kh, kw); g: (..., O, OH, OW), with any number of leading axes. Cross-correlation, as
in all deep-learning frameworks. Results are new, contiguous, and of the dtype of the arguments.
"""

from __future__ import annotations

import math

from tinygrad2.kernels.backend import Array, xp
from tinygrad2.kernels.geometry import Geometry, check_conv
from tinygrad2.kernels.paths import path


def _images(a: Array) -> Array:
    """(..., C, H, W) -> (N, C, H, W); the size is spelt out since -1 is ambiguous for empty arrays."""
    return a.reshape(math.prod(a.shape[:-3]), *a.shape[-3:])


def check_dtypes(**arrays: Array) -> None:
    """TypeError for mixed precision; complex with real is let through, for complex-step differentiation."""
    (first, a), (second, b) = arrays.items()
    if xp(a) is not xp(b):
        raise TypeError(f"convolution: {first} and {second} are on different devices; move one with .to(...)")
    if a.dtype != b.dtype and "c" not in (a.dtype.kind, b.dtype.kind):
        raise TypeError(f"convolution: {first} is {a.dtype} but {second} is {b.dtype}; convert one of them")


def conv2d(x: Array, w: Array, geo: Geometry) -> Array:
    """x: (..., C, H, W), w: (O, C/groups, kh, kw) -> (..., O, OH, OW)."""
    check_conv(geo, x=x.shape, w=w.shape)
    check_dtypes(x=x, w=w)
    y = path(x, w).conv2d(_images(x), w, geo)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def conv2d_input(g: Array, w: Array, geo: Geometry) -> Array:
    """g: (..., O, OH, OW), w: (O, C/groups, kh, kw) -> (..., C, H, W): transposed convolution."""
    check_conv(geo, w=w.shape, g=g.shape)
    check_dtypes(g=g, w=w)
    x = path(g, w).conv2d_input(_images(g), w, geo)
    return x.reshape(*g.shape[:-3], *x.shape[1:])


def conv2d_weight(x: Array, g: Array, geo: Geometry) -> Array:
    """x: (..., C, H, W), g: (..., O, OH, OW) -> (O, C/groups, kh, kw), summed over the shared leading axes."""
    check_conv(geo, x=x.shape, g=g.shape)
    check_dtypes(x=x, g=g)
    return path(x, g).conv2d_weight(_images(x), _images(g), geo)
