"""The kernels compiled for the CPU: float32 and float64 NumPy arrays, same names and meaning as `reference.py`.

One idea: unfold a block of images into reused scratch memory that stays in cache, and multiply it as one matrix. Each
block is one thread's alone, the product too: threads meet once for a convolution, which a busy machine forgives. The
bits do not depend on who is first. Only `paths.py` imports this module, and only where Numba works.
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
from tinygrad2.kernels.geometry import Geometry, Shape

NDArray: TypeAlias = np.ndarray[Any, Any]

SCRATCH_BYTES = 8 << 20  # per thread and purpose; blocks of 3 to 12 MB ran equally fast, larger ones leave the cache
BLOCKS_PER_THREAD = 4  # a thread that has lost its core holds up one block, and the others take the rest
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


@_compiled
def _im2col(x, columns, geo, one):  # type: ignore[no-untyped-def]
    """x: (B, C, H, W) -> columns: (C*kh*kw, B, OH*OW); `one` = 1 keeps LLVM from calling memcpy for 8-float rows."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    images, channels = x.shape[:2]
    source, target = x.reshape(-1), columns.reshape(-1)
    for q in prange(images * channels):
        b, c = q // channels, q % channels
        for i in range(kh):
            dy = i * dh - top
            y0, y1 = _reach(dy, sh, height, oh)
            for j in range(kw):
                dx = j * dw - left
                x0, x1 = _reach(dx, sw, width, ow)
                column = (((c * kh + i) * kw + j) * images + b) * oh * ow
                if y1 - y0 < oh or x1 - x0 < ow:
                    for p in range(column, column + oh * ow):
                        target[np.uintp(p)] = 0
                for y in range(y0, y1):
                    s = (q * height + y * sh + dy) * width + x0 * sw + dx
                    t = column + y * ow + x0
                    if sw == 1:
                        for k in range(x1 - x0):
                            target[np.uintp(t + k)] = source[np.uintp(s + k)] * one
                    else:
                        for k in range(x1 - x0):
                            target[np.uintp(t + k)] = source[np.uintp(s + k * sw)]


@_compiled
def _col2im(columns, x, geo):  # type: ignore[no-untyped-def]
    """columns: (C*kh*kw, B, OH*OW) -> x: (B, C, H, W), the adjoint of `_im2col`: add where that copies."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    images, channels = x.shape[:2]
    source, target = columns.reshape(-1), x.reshape(-1)
    for q in prange(images * channels):
        b, c = q // channels, q % channels
        for p in range(q * height * width, (q + 1) * height * width):
            target[np.uintp(p)] = 0
        for i in range(kh):
            dy = i * dh - top
            y0, y1 = _reach(dy, sh, height, oh)
            for j in range(kw):
                dx = j * dw - left
                x0, x1 = _reach(dx, sw, width, ow)
                column = (((c * kh + i) * kw + j) * images + b) * oh * ow
                for y in range(y0, y1):
                    s = column + y * ow + x0
                    t = (q * height + y * sh + dy) * width + x0 * sw + dx
                    if sw == 1:
                        for k in range(x1 - x0):
                            target[np.uintp(t + k)] += source[np.uintp(s + k)]
                    else:
                        for k in range(x1 - x0):
                            target[np.uintp(t + k * sw)] += source[np.uintp(s + k)]


@_compiled
def _swap(a, out):  # type: ignore[no-untyped-def]
    """a: (A, B, P) -> out: (B, A, P)."""
    rows, columns, pixels = a.shape
    for b in prange(columns):
        for r in range(rows):
            for p in range(pixels):
                out[b, r, p] = a[r, b, p]


@_compiled
def _pick(a, at, first, out):  # type: ignore[no-untyped-def]
    """a: (O, B, P), at: (N, O, Q), -1 for none -> out: (B, O, Q) = a[o, b, at[(first + b) % N, o]]."""
    rows, images, _ = a.shape
    for b in prange(images):
        n = (first + b) % at.shape[0]
        for r in range(rows):
            for p in range(at.shape[2]):
                q = at[n, r, p]
                out[b, r, p] = a[r, b, np.uintp(q)] if q >= 0 else a.dtype.type(0)


@_compiled
def _place(g, at, first, out):  # type: ignore[no-untyped-def]
    """g: (B, O, Q), at: (N, O, Q) -> out: (O, B, P), the adjoint of `_pick`."""
    rows, images, pixels = out.shape
    for b in prange(images):
        n = (first + b) % at.shape[0]
        for r in range(rows):
            for p in range(pixels):
                out[r, b, p] = 0
            for p in range(at.shape[2]):
                q = at[n, r, p]
                if q >= 0:
                    out[r, b, np.uintp(q)] += g[b, r, p]


@_compiled
def _argmax(x, idx, geo):  # type: ignore[no-untyped-def]
    """x: (M, H*W) -> idx: (M, OH*OW). A whole row of windows looks at one kernel entry at a time, without branches."""
    kh, kw, sh, sw, top, left, dh, dw, height, width, oh, ow = geo
    source, target = x.reshape(-1), idx.reshape(-1)
    for m in prange(x.shape[0]):
        best = np.empty(ow, x.dtype)
        for y in range(oh):
            t = (m * oh + y) * ow
            for z in range(ow):
                target[np.uintp(t + z)] = -1
            for i in range(kh):
                row = y * sh - top + i * dh
                for j in range(kw if 0 <= row < height else 0):
                    first, last = _reach(j * dw - left, sw, width, ow)
                    place = row * width + j * dw - left
                    for z in range(first, last):
                        value = source[np.uintp(m * height * width + place + z * sw)]
                        old, winner = best[np.uintp(z)], target[np.uintp(t + z)]
                        wins = (winner < 0) | (value > old) | ((value != value) & (old == old))
                        best[np.uintp(z)] = value if wins else old
                        target[np.uintp(t + z)] = np.int32(place + z * sw) if wins else winner


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


class _Scratch(threading.local):
    """Memory that each thread reuses from call to call, up to SCRATCH_BYTES for each purpose and dtype."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, np.dtype[Any]], NDArray] = {}

    def take(self, purpose: str, shape: Shape, dtype: np.dtype[Any]) -> NDArray:
        """An uninitialised array, valid until the same purpose is taken again."""
        size = math.prod(shape)
        if size * dtype.itemsize > SCRATCH_BYTES:
            return np.empty(shape, dtype)
        memory = self.memory.get((purpose, dtype))
        if memory is None or memory.size < size:
            memory = self.memory[purpose, dtype] = np.empty(size, dtype)
        return memory[:size].reshape(shape)


_scratch = _Scratch()


class _Problem:
    """The sizes of one convolution, and its images cut into blocks whose columns fit the scratch memory.

    at: (N, O, PH, PW), the entries that are wanted of N images, and again of the next N; or None for all entries.
    """

    def __init__(
        self, images: int, inputs: int, outputs: int, geo: Geometry, dtype: np.dtype[Any], at: NDArray | None = None
    ) -> None:
        self.images, self.inputs, self.outputs, self.geo, self.dtype = images, inputs, outputs, geo, dtype
        self.rows, self.pixels = inputs * math.prod(geo.kernel), math.prod(geo.output)
        self.at = None if at is None else _input(at, at.shape[0], outputs, at.shape[2] * at.shape[3])
        self.plane = geo.output if at is None else at.shape[2:]  # of the outputs

    def blocks(self) -> list[slice]:
        """Equal blocks, so that the last one is not a crumb, and enough of them that every thread has some."""
        entries_per_image = max(1, max(self.rows, self.outputs) * self.pixels)
        most = max(1, SCRATCH_BYTES // (entries_per_image * self.dtype.itemsize))
        count = -(-self.images // most)
        if self.images * entries_per_image >= SERIAL_BELOW:
            count = min(self.images, max(count, BLOCKS_PER_THREAD * numba.get_num_threads()))
        return [slice(self.images * k // count, self.images * (k + 1) // count) for k in range(count)]

    def matrices(self, purpose: str, rows: int, images: int) -> NDArray:
        """Scratch memory for (groups, rows/groups, images*OH*OW)."""
        groups = self.geo.groups
        return _scratch.take(purpose, (groups, rows // groups, images * self.pixels), self.dtype)

    def unfold(self, x: NDArray) -> NDArray:
        """x: (B, C, H, W) -> (groups, C/groups*kh*kw, B*OH*OW)."""
        columns = self.matrices("columns", self.rows, len(x))
        _im2col(columns.size, x, columns, _numbers(self.geo), self.dtype.type(1))
        return columns

    def outputs_to(self, y: NDArray, out: NDArray, block: slice) -> None:
        """out: (groups, O/groups, B*OH*OW) -> y[block]: (B, O, what is wanted of OH*OW)."""
        a = _input(out, self.outputs, block.stop - block.start, self.pixels)
        if self.at is None:
            _swap(out.size, a, y[block])
        else:
            _pick(out.size, a, self.at, block.start, y[block])

    def outputs_from(self, g: NDArray, block: slice) -> NDArray:
        """g[block]: (B, O, what is wanted of OH*OW) -> (groups, O/groups, B*OH*OW), the adjoint of `outputs_to`."""
        out = self.matrices("outputs", self.outputs, block.stop - block.start)
        a = out.reshape(self.outputs, block.stop - block.start, self.pixels)
        if self.at is None:
            _swap(out.size, g[block], a)
        else:
            _place(out.size, g[block], self.at, block.start, a)
        return out


def _product(a: NDArray, b: NDArray, out: NDArray | None = None) -> NDArray:
    """a @ b. BLAS fills its tiles with zeros, where inf * 0 raises a flag that belongs to no element of the result."""
    with np.errstate(invalid="ignore"):
        return np.matmul(a, b, out=out)


def conv2d(x: NDArray, w: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """x: (N, C, H, W), w: (O, C/groups, kh, kw) -> (N, O, OH, OW), or (N, O, PH, PW) of the entries at."""
    problem = _Problem(x.shape[0], x.shape[1], w.shape[0], geo, x.dtype, at)
    x, matrix = _input(x), w.reshape(geo.groups, w.shape[0] // geo.groups, problem.rows // geo.groups)
    y = np.empty((problem.images, problem.outputs, math.prod(problem.plane)), x.dtype)

    def work(block: slice) -> None:
        out = problem.matrices("outputs", problem.outputs, block.stop - block.start)
        _product(matrix, problem.unfold(x[block]), out)
        problem.outputs_to(y, out, block)

    workers.each(problem.blocks(), work, numba.get_num_threads())
    return y.reshape(problem.images, problem.outputs, *problem.plane)


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """g: (N, O, OH, OW) or, of the entries at, (N, O, PH, PW); w: (O, C/groups, kh, kw) -> (N, C, H, W)."""
    problem = _Problem(g.shape[0], w.shape[1] * geo.groups, w.shape[0], geo, g.dtype, at)
    g = _input(g, problem.images, problem.outputs, math.prod(problem.plane))
    matrix = w.reshape(geo.groups, w.shape[0] // geo.groups, problem.rows // geo.groups).swapaxes(1, 2)
    x = np.empty((problem.images, problem.inputs, *geo.input), g.dtype)

    def work(block: slice) -> None:
        columns = problem.matrices("columns", problem.rows, block.stop - block.start)
        _product(matrix, problem.outputs_from(g, block), columns)
        _col2im(columns.size, _input(columns), x[block], _numbers(geo))

    workers.each(problem.blocks(), work, numba.get_num_threads())
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """x: (N, C, H, W), g: (N, O, OH, OW) or, of the entries at, (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    problem = _Problem(x.shape[0], x.shape[1], g.shape[1], geo, x.dtype, at)
    x, g = _input(x), _input(g, problem.images, problem.outputs, math.prod(problem.plane))
    blocks = problem.blocks()
    sums: dict[int, NDArray] = {}

    def work(block: slice) -> None:
        sums[block.start] = _product(problem.outputs_from(g, block), problem.unfold(x[block]).swapaxes(1, 2))

    workers.each(blocks, work, numba.get_num_threads())
    w = np.zeros((geo.groups, problem.outputs // geo.groups, problem.rows // geo.groups), x.dtype)
    for block in blocks:  # in a fixed order, whoever was first
        w += sums[block.start]
    return w.reshape(problem.outputs, problem.inputs // geo.groups, *geo.kernel)


def product(a: NDArray, b: NDArray) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N): one call, which BLAS shares between its threads."""
    return _product(a, b)


def _planes(a: NDArray) -> NDArray:
    """a: (N, C, H, W) -> (N*C, H*W), read-only."""
    return _input(a, a.shape[0] * a.shape[1], a.shape[2] * a.shape[3])


def pool_argmax(x: NDArray, geo: Geometry) -> NDArray:
    """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W; the first maximum wins, a NaN is a maximum."""
    idx = np.empty((*x.shape[:2], *geo.output), np.int32)
    _argmax(x.size, _planes(x), idx.reshape(-1, math.prod(geo.output)), _numbers(geo))
    return idx


def pool_gather(x: NDArray, idx: NDArray) -> NDArray:
    """x: (L, M, H*W), idx: (M, P) -> (L, M, P)."""
    y = np.empty((x.shape[0], *idx.shape), x.dtype)
    _gather(y.size, _input(x), _input(idx), y)
    return y


def pool_scatter(g: NDArray, idx: NDArray, size: int) -> NDArray:
    """g: (L, M, P), idx: (M, P) -> (L, M, size): the adjoint of `pool_gather`."""
    x = np.empty((*g.shape[:2], size), g.dtype)
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
    x = np.empty((*g.shape[:2], *geo.input), g.dtype)
    _spread(x.size, _planes(g / math.prod(geo.kernel)), x.reshape(-1, math.prod(geo.input)), _numbers(geo))
    return x
