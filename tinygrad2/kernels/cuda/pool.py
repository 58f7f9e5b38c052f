"""Pooling on the GPU."""

from __future__ import annotations

from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.cuda.launch import run
from tinygrad2.kernels.cuda.pattern import pick, place
from tinygrad2.kernels.cuda.window import numbers
from tinygrad2.kernels.geometry import Geometry


def pool_argmax(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W; the first maximum wins, a NaN is a maximum."""
    idx = xp(x).empty((*x.shape[:2], *geo.output), "int32")
    run("argmax", numbers(geo), idx.size, (xp(x).ascontiguousarray(x), idx))
    return idx


def pool_gather(x: Array, idx: Array) -> Array:
    """x: (L, M, H*W), idx: (M, P) -> (L, M, P)."""
    y = xp(x).empty((x.shape[0], *idx.shape), x.dtype)
    if y.size:
        pick(xp(x).ascontiguousarray(x), idx, y, x.shape[1] * x.shape[2], x.shape[2])
    return y


def pool_scatter(g: Array, idx: Array, size: int) -> Array:
    """g: (L, M, P), idx: (M, P) -> (L, M, size): the adjoint of `pool_gather`."""
    x = xp(g).zeros((*g.shape[:2], size), g.dtype)
    if g.size:
        place(xp(g).ascontiguousarray(g), idx, x, g.shape[1] * size, size)
    return x


def avg_pool2d(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W) -> (N, C, OH, OW): window means, padding counted as zeros."""
    y = xp(x).empty((*x.shape[:2], *geo.output), x.dtype)
    run("average", numbers(geo), y.size, (xp(x).ascontiguousarray(x), y))
    return y


def avg_unpool2d(g: Array, geo: Geometry) -> Array:
    """g: (N, C, OH, OW) -> (N, C, H, W): the adjoint of `avg_pool2d`."""
    x = xp(g).empty((*g.shape[:2], *geo.input), g.dtype)
    run("spread", numbers(geo), x.size, (xp(g).ascontiguousarray(g), x))
    return x
