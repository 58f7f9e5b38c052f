"""The convolution family where only some outputs matter: those that a following max-pool or ReLU lets through.

    <conv2d(x, w)[at], g>  =  <x, conv2d_input_at(g, w, at)>  =  <w, conv2d_weight_at(x, g, at)>

at: (N..., O, PH, PW) holds, for each output channel of each image, int32 positions in the OH·OW plane; -1 stands for an
entry that is dropped (0 in results, ignored in g), and a position may occur twice. Leading axes of x and g before N...
share the pattern without a copy. Dropped entries take part in no sum; where the dense path does the work, an infinite
filter still makes nan of the zeros that stand for them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.kernels.backend import Array, xp
from tinygrad2.kernels.conv import check_dtypes, conv2d, conv2d_input, conv2d_weight
from tinygrad2.kernels.geometry import Geometry, check_conv
from tinygrad2.kernels.paths import pattern_path
from tinygrad2.kernels.pool import pool_gather, pool_scatter


def _lead(at: Array, geo: Geometry, **arrays: Array) -> int:
    """How many images share each pattern (K); errors unless the arrays, two of x, w and g, fit `at` and each other."""
    check_dtypes(**arrays)
    check_conv(geo, **{k: (*a.shape[:-2], *geo.output) if k == "g" else a.shape for k, a in arrays.items()})
    name, a = next((name, a) for name, a in arrays.items() if name != "w")
    if xp(at) is not xp(a):
        raise TypeError(f"convolution: {name} and at are on different devices; move one with .to(...)")
    if at.dtype != np.int32 or at.ndim < 3:
        raise TypeError(f"convolution: at must hold int32 positions (..., O, PH, PW), got {at.dtype}, {at.shape}")
    images, lead = at.shape[:-3], a.ndim - at.ndim
    if lead < 0 or a.shape[lead:-3] != images:
        raise ValueError(
            f"convolution: {name} of shape {a.shape} does not match at of shape {at.shape}: the axes before its last "
            f"three must end with {images}"
        )
    outputs = arrays["w"].shape[0] if "w" in arrays else arrays["g"].shape[-3]
    expected = (outputs, *(arrays["g"].shape[-2:] if "g" in arrays else at.shape[-2:]))
    if at.shape[-3:] != expected:
        raise ValueError(f"convolution: the last three axes of at {at.shape} must be {expected}")
    _check_positions(at, geo)
    return math.prod(a.shape[:lead])


def _check_positions(at: Array, geo: Geometry) -> None:
    """IndexError for a position outside the plane; not on a GPU, where looking would stop the host until it is done."""
    pixels = math.prod(geo.output)
    if isinstance(at, np.ndarray) and at.size and (at.min() < -1 or at.max() >= pixels):
        raise IndexError(
            f"convolution: at holds {at.min()} ... {at.max()}, but positions in {geo.output} are 0 ... {pixels - 1}, "
            "and -1 where an entry is dropped"
        )


def _gather(y: Array, at: Array) -> Array:
    """y: (..., O, OH, OW) -> y[at]: (..., O, PH, PW), 0 where an entry is dropped."""
    return xp(y).where(at < 0, y.dtype.type(0), pool_gather(y, at.clip(0)))


def _scatter(g: Array, at: Array, geo: Geometry) -> Array:
    """The adjoint of `_gather`. g: (..., O, PH, PW) -> (..., O, OH, OW)."""
    return pool_scatter(xp(g).where(at < 0, g.dtype.type(0), g), at.clip(0), geo.output)


def _split(a: Array, at: Array, lead: int) -> Array:
    """(..., N, F, h, w) -> (K, N, F, h, w)."""
    return a.reshape(lead, math.prod(at.shape[:-3]), *a.shape[-3:])


def _images(at: Array) -> Array:
    return at.reshape(math.prod(at.shape[:-3]), *at.shape[-3:])


def conv2d_at(x: Array, w: Array, at: Array, geo: Geometry) -> Array:
    """x: (..., N, C, H, W), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (..., N, O, PH, PW)."""
    lead = _lead(at, geo, x=x, w=w)
    fast: Any = pattern_path(geo, w.shape, at, lead, x, w)
    if fast is None:
        return _gather(conv2d(x, w, geo), at)
    return fast.conv2d_at(_split(x, at, lead), w, _images(at), geo).reshape(*x.shape[:-3], *at.shape[-3:])


def conv2d_input_at(g: Array, w: Array, at: Array, geo: Geometry) -> Array:
    """g: (..., N, O, PH, PW), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (..., N, C, H, W)."""
    lead = _lead(at, geo, g=g, w=w)
    fast: Any = pattern_path(geo, w.shape, at, lead, g, w)
    if fast is None:
        return conv2d_input(_scatter(g, at, geo), w, geo)
    x = fast.conv2d_input_at(_split(g, at, lead), w, _images(at), geo)
    return x.reshape(*g.shape[:-3], *x.shape[-3:])


def conv2d_weight_at(x: Array, g: Array, at: Array, geo: Geometry) -> Array:
    """x: (..., N, C, H, W), g: (..., N, O, PH, PW), at: (N, O, PH, PW) -> (O, C/groups, kh, kw), summed over images."""
    lead = _lead(at, geo, x=x, g=g)
    shape = (g.shape[-3], x.shape[-3] // geo.groups, *geo.kernel)
    fast: Any = pattern_path(geo, shape, at, lead, x, g)
    if fast is None:
        return conv2d_weight(x, _scatter(g, at, geo), geo)
    return fast.conv2d_weight_at(_split(x, at, lead), _split(g, at, lead), _images(at), geo)
