"""The kernels compiled for the CPU: float32 and float64 NumPy arrays, same names and meaning as `reference.py`.

Here are pooling and products, and what all compiled files share; convolution is in `cpu_conv.py` and `cpu_pattern.py`.
Only `paths.py` and files like this one import this module, and only where Numba works.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # read when OpenMP starts: idle threads must leave the cores to BLAS

import numba
from numba import prange

from tinygrad2.kernels import workers
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.memory import empty

NDArray: TypeAlias = np.ndarray[Any, Any]

PRODUCT_ALONE_BELOW = 1 << 18  # multiplications: BLAS uses one thread of itself
PRODUCT_SERIAL_BELOW = 1 << 24  # multiplications: less is done before a second thread has woken up
PRODUCT_BLOCKS_PER_THREAD = 2  # fewer and larger blocks are packed less often; more forgive a lost core better
SERIAL_BELOW = 1 << 16  # elements moved: less than this is done before a second thread has woken up
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}  # without "nnan" and "ninf": NaN and inf propagate

_region = threading.Lock()  # two parallel regions would share the same cores, and abort Numba's workqueue layer


def compile_cached(function: Callable[..., None], **options: Any) -> Callable[..., None]:
    """`function` compiled on first use, and the machine code kept where there is a folder for it."""
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder where the machine code could be kept
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """`function` compiled on first use, called as run(work, *arguments); few elements of `work` use one thread."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}

    twin = FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
    twin.__qualname__ = f"{function.__qualname__}_alone"  # Numba's cache tells functions apart by name, not by options
    alone, together = (
        compile_cached(twin, parallel=False, **options),
        compile_cached(function, parallel=True, **options),
    )

    def run(work: int, *arguments: Any) -> None:
        if work < SERIAL_BELOW or workers.busy():
            alone(*arguments)
        else:
            with _region:
                together(*arguments)

    return run


@numba.njit(inline="always")
def _reach(offset, stride, size, count):  # type: ignore[no-untyped-def]
    """The range of steps 0 <= k < count whose position offset + k*stride lies in 0 <= position < size."""
    first = min(max(0, -(offset // stride)), count)
    return first, max(first, min(count, (size - 1 - offset) // stride + 1))


# The loops index flat arrays with unsigned integers: Numba then drops the test for negative indices, and LLVM can
# vectorise. `geo` is the tuple made by `_numbers`.


@numba.njit(inline="always")
def _challenge(source, s, step, best, target, t, place, first, last):  # type: ignore[no-untyped-def]
    """One kernel entry against the best so far, for the windows first <= z < last of a row: vectors, no branches."""
    for z in range(first, last):
        value, old, winner = source[np.uintp(s + z * step)], best[np.uintp(z)], target[np.uintp(t + z)]
        wins = np.int32((winner < 0) | ((not (value <= old)) & (old == old)))
        target[np.uintp(t + z)] = winner + (np.int32(place + z * step) - winner) * wins
        best[np.uintp(z)] = value if wins != 0 else old


@_compiled
def _argmax(x, idx, geo):  # type: ignore[no-untyped-def]
    """x: (M, H*W) -> idx: (M, OH*OW). A whole row of windows looks at one kernel entry at a time."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    source, target = x.reshape(-1), idx.reshape(-1)
    begin, end = np.empty(kw, np.intp), np.empty(kw, np.intp)
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


@_compiled
def _gather(x, idx, y):  # type: ignore[no-untyped-def]
    """x: (L, M, S), idx: (M, P) -> y: (L, M, P)."""
    planes, pixels = idx.shape
    for q in prange(x.shape[0] * planes):
        k, m = q // planes, q % planes
        for p in range(pixels):
            y[k, m, p] = x[k, m, np.uintp(idx[m, p])]


@_compiled
def _scatter(g, idx, x):  # type: ignore[no-untyped-def]
    """g: (L, M, P), idx: (M, P) -> x: (L, M, S)."""
    planes, pixels = idx.shape
    for q in prange(g.shape[0] * planes):
        k, m = q // planes, q % planes
        for s in range(x.shape[2]):
            x[k, m, s] = 0
        for p in range(pixels):
            x[k, m, np.uintp(idx[m, p])] += g[k, m, p]


@_compiled
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


@_compiled
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


def _numbers(geo: Geometry) -> tuple[int, ...]:
    (top, _), (left, _) = geo.padding
    return *geo.kernel, *geo.stride, top, left, *geo.dilation, *geo.input, *geo.output


def _input(a: NDArray, *shape: int) -> NDArray:
    """`a` as a contiguous read-only view (a copy only if it must be): one compiled signature serves every input."""
    view = np.ascontiguousarray(a).reshape(shape or a.shape).view()
    view.flags.writeable = False
    return view


def product(a: NDArray, b: NDArray) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N), in blocks along the longer axis of the result, each one thread's alone."""
    work, threads = a.shape[0] * b.size, numba.get_num_threads()
    if work < PRODUCT_ALONE_BELOW or threads == 1 or workers.busy():
        return _product(a, b)
    if work < PRODUCT_SERIAL_BELOW:
        with workers.one_thread_per_product():
            return _product(a, b)
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    axis = int(out.shape[1] > out.shape[0])
    length, count = out.shape[axis], PRODUCT_BLOCKS_PER_THREAD * threads
    blocks = [slice(length * k // count, length * (k + 1) // count) for k in range(count)]
    if axis:
        workers.each(blocks, lambda block: _product(a, b[:, block], out[:, block]), threads)
    else:
        workers.each(blocks, lambda block: _product(a[block], b, out[block]), threads)
    return out


def _product(a: NDArray, b: NDArray, out: NDArray | None = None) -> NDArray:
    """a @ b. BLAS fills its tiles with zeros, where inf * 0 raises a flag that belongs to no element of the result."""
    with np.errstate(invalid="ignore"):
        return np.matmul(a, b, out=out)


def _planes(a: NDArray) -> NDArray:
    """a: (N, C, H, W) -> (N*C, H*W), read-only."""
    return _input(a, a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


def pool_argmax(x: NDArray, geo: Geometry) -> NDArray:
    """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W; the first maximum wins, a NaN is a maximum."""
    idx = empty((*x.shape[:2], *geo.output), np.int32)
    _argmax(x.size, _planes(x), idx.reshape(-1, math.prod(geo.output)), _numbers(geo))
    return idx


def pool_gather(x: NDArray, idx: NDArray) -> NDArray:
    """x: (L, M, H*W), idx: (M, P) -> (L, M, P)."""
    y = empty((x.shape[0], *idx.shape), x.dtype)
    _gather(y.size, _input(x), _input(idx), y)
    return y


def pool_scatter(g: NDArray, idx: NDArray, size: int) -> NDArray:
    """g: (L, M, P), idx: (M, P) -> (L, M, size): the adjoint of `pool_gather`."""
    x = empty((*g.shape[:2], size), g.dtype)
    _scatter(x.size, _input(g), _input(idx), x)
    return x


def avg_pool2d(x: NDArray, geo: Geometry) -> NDArray:
    """x: (N, C, H, W) -> (N, C, OH, OW): window means, padding counted as zeros."""
    y = np.empty((*x.shape[:2], *geo.output), x.dtype)
    _sums(x.size, _planes(x), y.reshape(-1, math.prod(geo.output)), _numbers(geo))
    y /= math.prod(geo.kernel)
    return y


def avg_unpool2d(g: NDArray, geo: Geometry) -> NDArray:
    """g: (N, C, OH, OW) -> (N, C, H, W): the adjoint of `avg_pool2d`."""
    x = empty((*g.shape[:2], *geo.input), g.dtype)
    _spread(x.size, _planes(g / math.prod(geo.kernel)), x.reshape(-1, math.prod(geo.input)), _numbers(geo))
    return x
