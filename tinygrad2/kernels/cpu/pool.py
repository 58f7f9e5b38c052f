"""Pooling compiled for the CPU: float32 and float64 arrays, same names and meaning as in `reference.py`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu.jit import shaped, together
from tinygrad2.kernels.cpu.memory import empty
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.once import once


class Window(NamedTuple):
    """A geometry as the kernels take it."""

    kh: int
    kw: int
    sh: int
    sw: int
    top: int
    left: int
    dh: int
    dw: int
    height: int
    width: int
    oh: int
    ow: int


@once
def window(geo: Geometry) -> Window:
    """The geometry's numbers, in that order."""
    (top, _), (left, _) = geo.padding
    return Window(*geo.kernel, *geo.stride, top, left, *geo.dilation, *geo.input, *geo.output)


def _planes(a: NDArray) -> NDArray:
    """a: (N, C, H, W) -> (N*C, H*W), read-only."""
    return shaped(a, a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


@numba.njit(inline="always")
def _reach(offset, stride, size, count):  # type: ignore[no-untyped-def]
    """The range of steps 0 <= k < count whose position offset + k*stride lies in 0 <= position < size."""
    first = min(max(0, -(offset // stride)), count)
    return first, max(first, min(count, (size - 1 - offset) // stride + 1))


# The loops index flat arrays with unsigned integers: Numba then drops the test for negative indices, and LLVM can
# vectorise. `geo` is a `Window`.


@numba.njit(inline="always")
def _challenge(source, s, step, best, target, t, place, first, last):  # type: ignore[no-untyped-def]
    """One kernel entry against the best so far, for the windows first <= z < last of a row: vectors, no branches."""
    for z in range(first, last):
        value = source[np.uintp(s + z * step)]
        old = best[np.uintp(z)]
        winner = target[np.uintp(t + z)]
        wins = np.int32((winner < 0) | ((not (value <= old)) & (old == old)))
        target[np.uintp(t + z)] = winner + (np.int32(place + z * step) - winner) * wins
        best[np.uintp(z)] = value if wins != 0 else old


@together
def _argmax(x, idx, geo):  # type: ignore[no-untyped-def]
    """x: (M, H*W) -> idx: (M, OH*OW). A whole row of windows looks at one kernel entry at a time."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    source = x.reshape(-1)
    target = idx.reshape(-1)
    begin = np.empty(kw, np.intp)
    end = np.empty(kw, np.intp)
    for j in range(kw):
        begin[j], end[j] = _reach(j * dw - left, sw, width, ow)
    for m in prange(x.shape[0]):
        best = np.zeros(ow, x.dtype)
        for y in range(oh):
            t = (m * oh + y) * ow
            for z in range(ow):
                target[np.uintp(t + z)] = -1
            for i in range(kh):
                row = y * sh - top + i * dh
                for j in range(kw if 0 <= row < height else 0):
                    place = row * width + j * dw - left
                    s = m * height * width + place
                    if sw == 2:  # the compiler makes vectors for a step that it knows
                        _challenge(source, s, 2, best, target, t, place, begin[j], end[j])
                    else:
                        _challenge(source, s, sw, best, target, t, place, begin[j], end[j])


@together
def _gather(x, idx, y):  # type: ignore[no-untyped-def]
    """x: (L, M, S), idx: (M, P) -> y: (L, M, P)."""
    planes, pixels = idx.shape
    for q in prange(x.shape[0] * planes):
        k = q // planes
        m = q % planes
        for p in range(pixels):
            y[k, m, p] = x[k, m, np.uintp(idx[m, p])]


@together
def _scatter(g, idx, x):  # type: ignore[no-untyped-def]
    """g: (L, M, P), idx: (M, P) -> x: (L, M, S)."""
    planes, pixels = idx.shape
    for q in prange(g.shape[0] * planes):
        k = q // planes
        m = q % planes
        for s in range(x.shape[2]):
            x[k, m, s] = 0
        for p in range(pixels):
            x[k, m, np.uintp(idx[m, p])] += g[k, m, p]


@together
def _sums(x, y, geo):  # type: ignore[no-untyped-def]
    """x: (M, H*W) -> window sums y: (M, OH*OW)."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    for m in prange(x.shape[0]):
        for p in range(oh * ow):
            y[m, p] = 0
        for i in range(kh):
            dy = i * dh - top
            y0, y1 = _reach(dy, sh, height, oh)
            for j in range(kw):
                dx = j * dw - left
                x0, x1 = _reach(dx, sw, width, ow)
                for r in range(y0, y1):
                    for z in range(x0, x1):
                        y[m, np.uintp(r * ow + z)] += x[m, np.uintp((r * sh + dy) * width + z * sw + dx)]


@together
def _spread(g, x, geo):  # type: ignore[no-untyped-def]
    """g: (M, OH*OW) -> x: (M, H*W), the adjoint of `_sums`."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    for m in prange(g.shape[0]):
        for p in range(height * width):
            x[m, p] = 0
        for i in range(kh):
            dy = i * dh - top
            y0, y1 = _reach(dy, sh, height, oh)
            for j in range(kw):
                dx = j * dw - left
                x0, x1 = _reach(dx, sw, width, ow)
                for r in range(y0, y1):
                    for z in range(x0, x1):
                        x[m, np.uintp((r * sh + dy) * width + z * sw + dx)] += g[m, np.uintp(r * ow + z)]


def pool_argmax(x: NDArray, geo: Geometry) -> NDArray:
    """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W; the first maximum wins, a NaN is a maximum."""
    idx = empty((*x.shape[:2], *geo.output), np.int32)
    _argmax(x.size, _planes(x), idx.reshape(-1, math.prod(geo.output)), window(geo))
    return idx


def pool_gather(x: NDArray, idx: NDArray) -> NDArray:
    """x: (L, M, H*W), idx: (M, P) -> (L, M, P)."""
    y = empty((x.shape[0], *idx.shape), x.dtype)
    _gather(y.size, shaped(x, *x.shape), shaped(idx, *idx.shape), y)
    return y


def pool_scatter(g: NDArray, idx: NDArray, size: int) -> NDArray:
    """g: (L, M, P), idx: (M, P) -> (L, M, size): the adjoint of `pool_gather`."""
    x = empty((*g.shape[:2], size), g.dtype)
    _scatter(x.size, shaped(g, *g.shape), shaped(idx, *idx.shape), x)
    return x


def avg_pool2d(x: NDArray, geo: Geometry) -> NDArray:
    """x: (N, C, H, W) -> (N, C, OH, OW): window means, padding counted as zeros."""
    y = np.empty((*x.shape[:2], *geo.output), x.dtype)
    _sums(x.size, _planes(x), y.reshape(-1, math.prod(geo.output)), window(geo))
    y /= math.prod(geo.kernel)
    return y


def avg_unpool2d(g: NDArray, geo: Geometry) -> NDArray:
    """g: (N, C, OH, OW) -> (N, C, H, W): the adjoint of `avg_pool2d`."""
    x = empty((*g.shape[:2], *geo.input), g.dtype)
    _spread(x.size, _planes(g / math.prod(geo.kernel)), x.reshape(-1, math.prod(geo.input)), window(geo))
    return x
