"""The CUDA kernels as Python functions, and the PTX that Numba makes of them: the only file that imports Numba CUDA.

One idea: a kernel takes addresses and whole numbers, never an array object. So its PTX has the parameters of a plain C
function, and `launch.py` can start it with CuPy on CuPy's current stream; Numba never touches the GPU.

What stays the same from step to step, a geometry, the channels, the classes, is no parameter: a factory makes a kernel
for it, and the compiler turns divisions into multiplications and unrolls the loops over a window.

Every thread makes one result and gathers what belongs there, so no result depends on the order of the threads. The
exception is `place`, and `place_in_order` is its twin without it. Numbers are 64 bits wide in Numba; `divide` is for
32, a fifth of the work. Constants are float32, also in the float64 kernels, where they widen exactly: a float64
constant would turn float32 arithmetic into float64. Only softmax and its relatives compute in float64 on purpose.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from tinygrad2.kernels.cuda.folders import cuda_folder

if not hasattr(np, "row_stack"):  # NumPy 2.5 dropped it; numba-cuda 0.30 still looks for it when it is imported
    np.row_stack = np.vstack  # noqa: NPY201
if (folder := cuda_folder()) is not None:  # Numba looks there for NVVM, its compiler
    os.environ.setdefault("CUDA_HOME", folder)

from numba import cuda

Function = Callable[..., None]

ZERO = np.float32(0)


@cuda.jit(device=True, inline="always")  # else Numba would ask the GPU what to compile it for
def divide(a, b):  # type: ignore[no-untyped-def]
    """a // b for 0 <= a < 2**32 and 0 < b < 2**32."""
    return np.int64(np.uint32(a) // np.uint32(b))


# Windows. columns: (C*kh*kw, N*OH*OW), row (c*kh + i)*kw + j is what that kernel entry sees of all images. A thread of
# `unfold` copies one window of one channel; a thread of `fold` or `spread` sums what one pixel gets: the windows
# a = y // sh - k see it with their rows i*dh = y % sh + k*sh, for k = 0, 1, ...


# fmt: off
def unfold(  # type: ignore[no-untyped-def]
    channels, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
) -> Function:
    """x: (N, C, H, W) -> columns."""
    inside = min(top, left, h + top - 1 - (oh - 1) * sh - (kh - 1) * dh, w + left - 1 - (ow - 1) * sw - (kw - 1) * dw)
    padded = top > 0 or left > 0 or inside < 0
    pixels = oh * ow

    def kernel(x, columns, size, images):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            m = divide(t, pixels)
            p = t - m * pixels
            c = divide(m, images)
            n = m - c * images
            r = divide(p, ow)
            y = r * sh - top
            z = (p - r * ow) * sw - left
            source = ((n * channels + c) * h + y) * w + z
            row = images * pixels
            target = c * (kh * kw) * row + n * pixels + p
            for i in range(kh):
                for j in range(kw):
                    value = ZERO
                    if not padded or (0 <= y + i * dh < h and 0 <= z + j * dw < w):
                        value = x[source + i * dh * w + j * dw]
                    columns[target] = value
                    target += row

    return kernel


def fold(  # type: ignore[no-untyped-def]
    channels, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
) -> Function:
    """columns -> x: (N, C, H, W): the adjoint of `unfold`."""
    steps_y = ((kh - 1) * dh) // sh + 1
    steps_z = ((kw - 1) * dw) // sw + 1
    pixels = oh * ow

    def kernel(columns, x, size, images):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            m = divide(t, h * w)
            n = divide(m, channels)
            c = m - n * channels
            p = t - m * (h * w)
            r = divide(p, w)
            y = r + top
            z = p - r * w + left
            a = divide(y, sh)
            b = divide(z, sw)
            y -= a * sh
            z -= b * sw
            row = images * pixels
            source = c * (kh * kw) * row + n * pixels
            total = ZERO
            for k in range(steps_y):
                i = divide(y + k * sh, dh)
                if 0 <= a - k < oh and i < kh and i * dh == y + k * sh:
                    for q in range(steps_z):
                        j = divide(z + q * sw, dw)
                        if 0 <= b - q < ow and j < kw and j * dw == z + q * sw:
                            total += columns[source + (i * kw + j) * row + (a - k) * ow + b - q]
            x[t] = total

    return kernel


def argmax(  # type: ignore[no-untyped-def]
    h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
) -> Function:
    """x: (M, H*W) -> idx: (M, OH*OW). The first maximum wins, a NaN is a maximum, padding never wins."""
    pixels = oh * ow

    def kernel(x, idx, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            m = divide(t, pixels)
            p = t - m * pixels
            r = divide(p, ow)
            y = r * sh - top
            z = (p - r * ow) * sw - left
            winner = np.int64(-1)
            best = ZERO
            for i in range(kh):
                a = y + i * dh
                for j in range(kw):
                    b = z + j * dw
                    if 0 <= a < h and 0 <= b < w:
                        value = x[(m * h + a) * w + b]
                        if winner < 0 or value > best or (value != value and best == best):
                            winner = a * w + b
                            best = value
            idx[t] = np.int32(winner)

    return kernel


def average(  # type: ignore[no-untyped-def]
    h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
) -> Function:
    """x: (M, H*W) -> window means y: (M, OH*OW), padding counted as zeros."""
    pixels = oh * ow
    count = np.float32(kh * kw)

    def kernel(x, y, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            m = divide(t, pixels)
            p = t - m * pixels
            r = divide(p, ow)
            total = ZERO
            for i in range(kh):
                a = r * sh - top + i * dh
                for j in range(kw):
                    b = (p - r * ow) * sw - left + j * dw
                    if 0 <= a < h and 0 <= b < w:
                        total += x[(m * h + a) * w + b]
            y[t] = total / count

    return kernel


def spread(  # type: ignore[no-untyped-def]
    h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
) -> Function:
    """g: (M, OH*OW) -> x: (M, H*W): the adjoint of `average`."""
    steps_y = ((kh - 1) * dh) // sh + 1
    steps_z = ((kw - 1) * dw) // sw + 1
    pixels = oh * ow
    count = np.float32(kh * kw)

    def kernel(g, x, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            m = divide(t, h * w)
            p = t - m * (h * w)
            r = divide(p, w)
            y = r + top
            z = p - r * w + left
            a = divide(y, sh)
            b = divide(z, sw)
            y -= a * sh
            z -= b * sw
            total = ZERO
            for k in range(steps_y):
                i = divide(y + k * sh, dh)
                if 0 <= a - k < oh and i < kh and i * dh == y + k * sh:
                    for q in range(steps_z):
                        j = divide(z + q * sw, dw)
                        if 0 <= b - q < ow and j < kw and j * dw == z + q * sw:
                            total += g[m * pixels + (a - k) * ow + b - q]
            x[t] = total / count

    return kernel
# fmt: on


# Two orders of a stack of planes: (images, channels, plane), as everywhere outside, and packed, (channels, images,
# plane), as one matrix product wants it. A mask (N, channels, plane) of `shared` numbers is shared by K*N images;
# `start` is the place of the first number in the whole stack, less whole multiples of `shared`.


def pack(channels: int, plane: int, masked: int) -> Function:
    """g: (images, channels, plane) -> packed; 0 where the mask is, if there is one."""

    def kernel(g, m, packed, size, images, shared, start):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            q = divide(t, plane)
            n = divide(q, channels)
            to = ((q - n * channels) * images + n) * plane + t - q * plane
            value = g[t]
            if masked:
                at = t + start
                if m[at - divide(at, shared) * shared] == 0:
                    value = ZERO
            packed[to] = value

    return kernel


def unpack(channels: int, plane: int, masked: int) -> Function:
    """packed -> y: (images, channels, plane); 0 where the mask is, if there is one."""

    def kernel(packed, m, y, size, images, shared, start):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            q = divide(t, plane)
            n = divide(q, channels)
            value = packed[((q - n * channels) * images + n) * plane + t - q * plane]
            if masked:
                at = t + start
                if m[at - divide(at, shared) * shared] == 0:
                    value = ZERO
            y[t] = value

    return kernel


def select() -> Function:
    """g: (K, shared) -> y, 0 where the mask m is."""

    def kernel(g, m, y, size, shared):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            value = g[t]
            if m[t - divide(t, shared) * shared] == 0:
                value = ZERO
            y[t] = value

    return kernel


# Positions at: (N, channels, wanted) in planes, -1 for none, shared by K*N images. The plane of channel c of image n
# begins at n*image + c*channel. `shared` and `start` as above.


def pick(channels: int, wanted: int) -> Function:
    """Planes a -> y: (images, channels, wanted), what stands at the positions; 0 for none."""

    def kernel(a, at, y, size, image, channel, shared, start):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            q = divide(t, wanted)
            n = divide(q, channels)
            p = t + start
            place = at[p - divide(p, shared) * shared]
            value = ZERO
            if place >= 0:
                value = a[n * image + (q - n * channels) * channel + place]
            y[t] = value

    return kernel


def place(channels: int, wanted: int) -> Function:
    """The adjoint of `pick`: g is added to planes a of zeros. What meets at one place is added in any order."""

    def kernel(g, at, a, size, image, channel, shared, start):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            q = divide(t, wanted)
            n = divide(q, channels)
            p = t + start
            to = at[p - divide(p, shared) * shared]
            if to >= 0:
                cuda.atomic.add(a, n * image + (q - n * channels) * channel + to, g[t])

    return kernel


def place_in_order(channels: int, wanted: int) -> Function:
    """The same, always in the same order. size: images*channels; a thread fills one plane."""

    def kernel(g, at, a, size, image, channel, shared, start):  # type: ignore[no-untyped-def]
        q = cuda.grid(1)
        if q < size:
            n = divide(q, channels)
            p = q * wanted + start
            p -= divide(p, shared) * shared
            target = n * image + (q - n * channels) * channel
            for k in range(wanted):
                to = at[p + k]
                if to >= 0:
                    a[target + to] += g[q * wanted + k]

    return kernel


# softmax and its relatives of rows x: (size, classes), one thread a row; what they are is said in kernels/softmax.py.


@cuda.jit(device=True, inline="always")
def largest(x, first, classes):  # type: ignore[no-untyped-def]
    """Where the first maximum of a row is; a nan is a maximum."""
    top = np.int64(0)
    for k in range(1, classes):
        value = x[first + k]
        best = x[first + top]
        if value > best or (value != value and best == best):
            top = np.int64(k)
    return top


@cuda.jit(device=True, inline="always")
def rest_of(x, first, top, classes):  # type: ignore[no-untyped-def]
    """The sum of e^(x - max x) without the maximum."""
    rest = 0.0
    for k in range(classes):
        if k != top:
            rest += math.exp(float(x[first + k]) - float(x[first + top]))
    return rest


def softmax(classes: int) -> Function:
    """x -> y."""

    def kernel(x, y, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            first = t * classes
            top = largest(x, first, classes)
            rest = rest_of(x, first, top, classes)
            for k in range(classes):
                y[first + k] = math.exp(float(x[first + k]) - float(x[first + top])) / (1.0 + rest)

    return kernel


def log_softmax(classes: int) -> Function:
    """x -> y."""

    def kernel(x, y, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            first = t * classes
            top = largest(x, first, classes)
            log = math.log1p(rest_of(x, first, top, classes))
            for k in range(classes):
                y[first + k] = float(x[first + k]) - float(x[first + top]) - log

    return kernel


def centered(classes: int) -> Function:
    """x, g -> g - Σ y g."""

    def kernel(x, g, z, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            first = t * classes
            top = largest(x, first, classes)
            rest = rest_of(x, first, top, classes)
            around = float(g[first + top])
            total = 0.0
            for k in range(classes):
                if k != top:
                    y = math.exp(float(x[first + k]) - float(x[first + top])) / (1.0 + rest)
                    if y != 0.0:
                        total += y * (float(g[first + k]) - around)
            for k in range(classes):
                z[first + k] = float(g[first + k]) - around - total

    return kernel


def unmixed(classes: int) -> Function:
    """x, u -> u - y Σ u."""

    def kernel(x, u, z, size):  # type: ignore[no-untyped-def]
        t = cuda.grid(1)
        if t < size:
            first = t * classes
            top = largest(x, first, classes)
            rest = rest_of(x, first, top, classes)
            total = 0.0
            for k in range(classes):
                total += float(u[first + k])
            for k in range(classes):
                y = math.exp(float(x[first + k]) - float(x[first + top])) / (1.0 + rest)
                others = 1.0 - y
                if k == top:
                    others = rest / (1.0 + rest)
                mine = float(u[first + k])
                z[first + k] = others * mine - y * (total - mine)

    return kernel


class Kernel(NamedTuple):
    """A factory, and the parameters of its kernels: first what is in memory, then whole numbers.

    T, I, B: the address of numbers, of positions, of flags. A: an array of numbers, which Numba wants for atomics.
    """

    make: Callable[..., Function]
    memory: str
    numbers: int  # with the number of threads
    wide: bool = False  # computes in float64 on purpose


KERNELS: dict[str, Kernel] = {
    "unfold": Kernel(unfold, "TT", 2),
    "fold": Kernel(fold, "TT", 2),
    "argmax": Kernel(argmax, "TI", 1),
    "average": Kernel(average, "TT", 1),
    "spread": Kernel(spread, "TT", 1),
    "pack": Kernel(pack, "TBT", 4),
    "unpack": Kernel(unpack, "TBT", 4),
    "select": Kernel(select, "TBT", 2),
    "pick": Kernel(pick, "TIT", 5),
    "place": Kernel(place, "TIA", 5),
    "place_in_order": Kernel(place_in_order, "TIT", 5),
    "softmax": Kernel(softmax, "TT", 1, wide=True),
    "log_softmax": Kernel(log_softmax, "TT", 1, wide=True),
    "centered": Kernel(centered, "TTT", 1, wide=True),
    "unmixed": Kernel(unmixed, "TTT", 1, wide=True),
}


def signature(kernel: Kernel, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The Numba types of its parameters."""
    number = numba.from_dtype(dtype)
    kinds = {
        "T": types.CPointer(number),
        "I": types.CPointer(types.int32),
        "B": types.CPointer(types.uint8),
        "A": types.Array(number, 1, "C"),
    }
    return (*(kinds[a] for a in kernel.memory), *(types.int64,) * kernel.numbers)


def compiled(function: Function, kernel: Kernel, dtype: np.dtype[Any], capability: tuple[int, int]) -> tuple[str, str]:
    """The entry point and the PTX of a function, for GPUs of such a compute capability. It needs no GPU."""
    text, _ = cuda.compile_ptx(function, signature(kernel, dtype), cc=capability)
    found = re.search(r"\.visible \.entry (\w+)\(", text)
    assert found is not None
    return found[1], text


def ptx(name: str, constants: tuple[int, ...], dtype: np.dtype[Any], capability: tuple[int, int]) -> tuple[str, str]:
    """The same of the kernel of that name, made for the constants."""
    kernel = KERNELS[name]
    return compiled(kernel.make(*constants), kernel, dtype, capability)
