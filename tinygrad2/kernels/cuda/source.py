"""The CUDA kernels as Python functions, and the PTX that Numba makes of them: the only file that imports Numba CUDA.

One idea: a kernel takes addresses and whole numbers, never an array object. So its PTX has the parameters of a plain C
function, and `launch.py` can start it with CuPy on CuPy's current stream; Numba never touches the GPU. Every kernel
walks over its results, one number for each thread, and gathers what belongs there: no result depends on the order of
the threads. The one exception is `place`, and `place_in_order` is its twin without it.

Numbers are 64 bits wide in Numba; `divide` is for 32, a fifth of the work. Constants are float32, also in the float64
kernels, where they widen exactly: a float64 constant would turn float32 arithmetic into float64.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.kernels.cuda.folders import cuda_folder

if not hasattr(np, "row_stack"):  # NumPy 2.5 dropped it; numba-cuda 0.30 still looks for it when it is imported
    np.row_stack = np.vstack  # noqa: NPY201
if (folder := cuda_folder()) is not None:  # Numba looks there for NVVM, its compiler
    os.environ.setdefault("CUDA_HOME", folder)

import numba
from numba import cuda, types

ZERO = np.float32(0)


@cuda.jit(device=True, inline="always")  # else Numba would ask the GPU what to compile it for
def divide(a, b):  # type: ignore[no-untyped-def]
    """a // b for 0 <= a < 2**32 and 0 < b < 2**32."""
    return np.int64(np.uint32(a) // np.uint32(b))


# A geometry's numbers, in the order in which kernels take them: h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left.
# columns[r*row + n*image + p]: what kernel entry r of channel c sees, r = (c*kh + i)*kw + j, at pixel p of image n.


# fmt: off
def unfold(  # type: ignore[no-untyped-def]
    x, columns, size, channels, images, row, image, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
):
    """x: (N, C, H, W) -> columns. size: C*N*OH*OW; a thread copies one window of one channel."""
    pixels = oh * ow
    t = cuda.grid(1)
    if t < size:
        m = divide(t, pixels)
        p = t - m * pixels
        c = divide(m, images)
        n = m - c * images
        r = divide(p, ow)
        y = r * sh - top
        z = (p - r * ow) * sw - left
        source = (n * channels + c) * h * w
        target = c * kh * kw * row + n * image + p
        for i in range(kh):
            at = y + i * dh
            for j in range(kw):
                to = z + j * dw
                value = ZERO
                if 0 <= at < h and 0 <= to < w:
                    value = x[source + at * w + to]
                columns[target] = value
                target += row


def fold(  # type: ignore[no-untyped-def]
    columns, x, size, channels, images, row, image, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
):
    """The adjoint of `unfold`: columns -> x: (N, C, H, W). size: N*C*H*W; a thread sums what one pixel gets."""
    t = cuda.grid(1)
    if t < size:
        m = divide(t, h * w)
        n = divide(m, channels)
        c = m - n * channels
        p = t - m * h * w
        y = divide(p, w)
        z = p - y * w + left
        y += top
        source = c * kh * kw * row + n * image
        y0 = divide(max(y - (kh - 1) * dh, 0) + sh - 1, sh)
        y1 = min(oh, divide(y, sh) + 1)
        z0 = divide(max(z - (kw - 1) * dw, 0) + sw - 1, sw)
        z1 = min(ow, divide(z, sw) + 1)
        total = ZERO
        for a in range(y0, y1):
            i = divide(y - a * sh, dh)
            for b in range(z0, z1):
                j = divide(z - b * sw, dw)
                if i * dh == y - a * sh and j * dw == z - b * sw:
                    total += columns[source + (i * kw + j) * row + a * ow + b]
        x[t] = total
# fmt: on


# Two orders of a stack of planes: (images, channels, plane), as everywhere outside, and packed, (channels, images,
# plane), as one matrix product wants it. A mask (N, channels, plane) is shared by K*N images; it has `shared` numbers,
# or 0 if there is none; `start` is the place of g[0] in the whole stack.


def pack(g, m, packed, size, channels, images, plane, shared, start):  # type: ignore[no-untyped-def]
    """g: (images, channels, plane) -> packed; 0 where the mask is."""
    t = cuda.grid(1)
    if t < size:
        q = divide(t, plane)
        n = divide(q, channels)
        to = ((q - n * channels) * images + n) * plane + t - q * plane
        value = g[t]
        if shared > 0:
            at = t + start
            if m[at - divide(at, shared) * shared] == 0:
                value = ZERO
        packed[to] = value


def unpack(packed, m, y, size, channels, images, plane, shared, start):  # type: ignore[no-untyped-def]
    """packed -> y: (images, channels, plane); 0 where the mask is."""
    t = cuda.grid(1)
    if t < size:
        q = divide(t, plane)
        n = divide(q, channels)
        value = packed[((q - n * channels) * images + n) * plane + t - q * plane]
        if shared > 0:
            at = t + start
            if m[at - divide(at, shared) * shared] == 0:
                value = ZERO
        y[t] = value


def select(g, m, y, size, shared):  # type: ignore[no-untyped-def]
    """g: (K, shared) -> y, 0 where the mask m is. size: K*shared."""
    t = cuda.grid(1)
    if t < size:
        value = g[t]
        if m[t - divide(t, shared) * shared] == 0:
            value = ZERO
        y[t] = value


# Positions at: (N, channels, wanted) in planes, -1 for none, shared by K*N images. The plane of channel c of image n
# begins at n*image + c*channel.


def pick(a, at, y, size, channels, wanted, image, channel, shared, start):  # type: ignore[no-untyped-def]
    """Planes a -> y: (images, channels, wanted), what stands at the positions; 0 for none."""
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


def place(g, at, a, size, channels, wanted, image, channel, shared, start):  # type: ignore[no-untyped-def]
    """The adjoint of `pick`: g is added to planes a of zeros. What meets at one place is added in any order."""
    t = cuda.grid(1)
    if t < size:
        q = divide(t, wanted)
        n = divide(q, channels)
        p = t + start
        to = at[p - divide(p, shared) * shared]
        if to >= 0:
            cuda.atomic.add(a, n * image + (q - n * channels) * channel + to, g[t])


def place_in_order(g, at, a, size, channels, wanted, image, channel, shared, start):  # type: ignore[no-untyped-def]
    """The same, always in the same order. size: images*channels; a thread fills one plane."""
    q = cuda.grid(1)
    if q < size:
        n = divide(q, channels)
        source = q * wanted
        p = source + start
        p -= divide(p, shared) * shared
        target = n * image + (q - n * channels) * channel
        for k in range(wanted):
            to = at[p + k]
            if to >= 0:
                a[target + to] += g[source + k]


# fmt: off
def argmax(  # type: ignore[no-untyped-def]
    x, idx, size, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
):
    """x: (M, H*W) -> idx: (M, OH*OW). The first maximum wins, a NaN is a maximum, padding never wins."""
    pixels = oh * ow
    t = cuda.grid(1)
    if t < size:
        m = divide(t, pixels)
        p = t - m * pixels
        r = divide(p, ow)
        y = r * sh - top
        z = (p - r * ow) * sw - left
        winner = np.int64(-1)
        best = x[0]
        for i in range(kh):
            a = y + i * dh
            for j in range(kw):
                b = z + j * dw
                if 0 <= a < h and 0 <= b < w:
                    value = x[m * h * w + a * w + b]
                    if winner < 0 or value > best or (value != value and best == best):
                        winner = a * w + b
                        best = value
        idx[t] = np.int32(winner)


def average(  # type: ignore[no-untyped-def]
    x, y, size, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
):
    """x: (M, H*W) -> window means y: (M, OH*OW), padding counted as zeros."""
    pixels = oh * ow
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
                    total += x[m * h * w + a * w + b]
        y[t] = total / np.float32(kh * kw)


def spread(  # type: ignore[no-untyped-def]
    g, x, size, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left
):
    """The adjoint of `average`: g: (M, OH*OW) -> x: (M, H*W)."""
    t = cuda.grid(1)
    if t < size:
        m = divide(t, h * w)
        p = t - m * h * w
        y = divide(p, w)
        z = p - y * w + left
        y += top
        total = ZERO
        for a in range(divide(max(y - (kh - 1) * dh, 0) + sh - 1, sh), min(oh, divide(y, sh) + 1)):
            i = y - a * sh
            for b in range(divide(max(z - (kw - 1) * dw, 0) + sw - 1, sw), min(ow, divide(z, sw) + 1)):
                j = z - b * sw
                if divide(i, dh) * dh == i and divide(j, dw) * dw == j:
                    total += g[m * oh * ow + a * ow + b]
        x[t] = total / np.float32(kh * kw)
# fmt: on


class Kernel(NamedTuple):
    """A function and its parameters: first what is in memory, then whole numbers.

    T, I, B: the address of numbers, of positions, of flags. A: an array of numbers, which Numba wants for atomics.
    """

    function: Callable[..., None]
    memory: str
    numbers: int


KERNELS: dict[str, Kernel] = {
    f.__name__: Kernel(f, memory, f.__code__.co_argcount - len(memory))
    for f, memory in (
        (unfold, "TT"), (fold, "TT"), (pack, "TBT"), (unpack, "TBT"), (select, "TBT"), (pick, "TIT"), (place, "TIA"),
        (place_in_order, "TIT"), (argmax, "TI"), (average, "TT"), (spread, "TT"),
    )
}  # fmt: skip


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


def ptx(name: str, dtype: np.dtype[Any], capability: tuple[int, int]) -> tuple[str, str]:
    """The entry point and the text of a kernel, compiled for GPUs of such a compute capability. It needs no GPU."""
    kernel = KERNELS[name]
    text, _ = cuda.compile_ptx(kernel.function, signature(kernel, dtype), cc=capability)
    found = re.search(r"\.visible \.entry (\w+)\(", text)
    assert found is not None
    return found[1], text
