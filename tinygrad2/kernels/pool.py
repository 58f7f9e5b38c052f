"""Pooling as linear maps around one constant: `pool_argmax` decides, `pool_gather` and `pool_scatter` carry it out.

The positions idx: (N..., C, OH, OW) belong to the images; any further leading axes of the values (the K cotangents of
one image) share them without a copy. The average pair is linear by itself and needs no positions.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.kernels.arrays import Array, images, xp
from tinygrad2.kernels.choose import implementation
from tinygrad2.kernels.geometry import Geometry, Pair, Shape, check_pool
from tinygrad2.kernels.once import once


@once
def _check_max(geo: Geometry, shape: Shape) -> None:
    """ValueError unless x can be max-pooled: a window that sees only padding has no maximum."""
    check_pool(geo, geo.input, shape, "x")
    for axis, name in enumerate(("row", "column")):
        for o in range(geo.output[axis]):
            first = o * geo.stride[axis] - geo.padding[axis][0]
            seen = range(first, first + geo.span[axis], geo.dilation[axis])
            if not any(0 <= position < geo.input[axis] for position in seen):
                raise ValueError(f"max pooling: windows of output {name} {o} see only padding for [{geo}]; pad less")


def pool_argmax(x: Array, geo: Geometry) -> Array:
    """x: (..., C, H, W) -> int32 flat positions in H*W, (..., C, OH, OW).

    The first maximum in row-major order wins; a NaN is a maximum; padding never wins.
    """
    _check_max(geo, x.shape)
    idx = implementation(type(x), x.dtype).pool_argmax(images(x), geo)
    return idx.reshape(*x.shape[:-2], *geo.output)


def _shared(name: str, a: Array, idx: Array, size: Pair) -> int:
    """How many times the leading axes of `a` repeat the images of `idx`; errors unless they fit and lie in `size`."""
    if xp(a) is not xp(idx):
        raise TypeError(f"pooling: {name} and idx are on different devices; move one with .to(...)")
    if idx.dtype.kind not in "iu":
        raise TypeError(f"pooling: idx must hold integers, got {idx.dtype}")
    images = idx.shape[:-2]
    if idx.ndim < 3 or a.ndim < idx.ndim or a.shape[a.ndim - idx.ndim : -2] != images:
        raise ValueError(
            f"pooling: {name} of shape {a.shape} does not match idx of shape {idx.shape}: the axes before its last "
            f"two must end with {images}"
        )
    pixels = math.prod(size)
    # Not on a GPU: looking at the values would stop the host until the device has caught up.
    if isinstance(idx, np.ndarray) and idx.size and (idx.min() < 0 or idx.max() >= pixels):
        raise IndexError(
            f"pooling: idx holds {idx.min()} ... {idx.max()}, but positions in {size} are 0 ... {pixels - 1}"
        )
    return math.prod(a.shape[: a.ndim - idx.ndim])


def pool_gather(x: Array, idx: Array) -> Array:
    """x: (*lead, *idx.shape[:-2], H, W), idx: (..., C, OH, OW) -> (*lead, ..., C, OH, OW)."""
    lead = _shared("x", x, idx, x.shape[-2:])
    planes = math.prod(idx.shape[:-2])
    y = implementation(type(x), x.dtype).pool_gather(
        x.reshape(lead, planes, x.shape[-2] * x.shape[-1]), idx.reshape(planes, idx.shape[-2] * idx.shape[-1])
    )
    return y.reshape(*x.shape[:-2], *idx.shape[-2:])


def pool_scatter(g: Array, idx: Array, size: Pair) -> Array:
    """g: (*lead, ..., C, OH, OW), idx: (..., C, OH, OW) -> (*lead, ..., C, H, W): the adjoint of `pool_gather`.

    size: (H, W). Values add up where windows overlap.
    """
    lead = _shared("g", g, idx, size)
    planes = math.prod(idx.shape[:-2])
    if g.shape[-2:] != idx.shape[-2:]:
        raise ValueError(f"pooling: the last two axes of g {g.shape} must be those of idx {idx.shape}")
    pixels = idx.shape[-2] * idx.shape[-1]
    scatter = implementation(type(g), g.dtype).pool_scatter
    x = scatter(g.reshape(lead, planes, pixels), idx.reshape(planes, pixels), size[0] * size[1])
    return x.reshape(*g.shape[:-2], *size)


def avg_pool2d(x: Array, geo: Geometry) -> Array:
    """x: (..., C, H, W) -> (..., C, OH, OW): the mean of kh*kw entries, padding counted as zeros."""
    check_pool(geo, geo.input, x.shape, "x")
    _check_divisible(x)
    return implementation(type(x), x.dtype).avg_pool2d(images(x), geo).reshape(*x.shape[:-2], *geo.output)


def avg_unpool2d(g: Array, geo: Geometry) -> Array:
    """g: (..., C, OH, OW) -> (..., C, H, W): the adjoint of `avg_pool2d`."""
    check_pool(geo, geo.output, g.shape, "g")
    _check_divisible(g)
    return implementation(type(g), g.dtype).avg_unpool2d(images(g), geo).reshape(*g.shape[:-2], *geo.input)


def _check_divisible(a: Array) -> None:
    if a.dtype.kind not in "fc":
        raise TypeError(f"average pooling needs a floating-point or complex array, got {a.dtype}; convert it first")
