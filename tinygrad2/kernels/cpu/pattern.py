"""Convolution of which only some outputs matter, compiled for the CPU: the products with dropped entries never happen.

One idea: visit the output pixels that anything passes through. There the window of the image is one contiguous patch
(channels last), each channel that passes is a filter of the same layout, and all K images that share the pattern meet
those filters while they are in the cache. The pattern's gradient by the filters visits channels instead, so that sums
stay in place. An image belongs to one thread; filter gradients are summed block by block in a fixed order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu.jit import alone, flat, helper
from tinygrad2.kernels.cpu.memory import LINE, empty
from tinygrad2.kernels.cpu.pool import window
from tinygrad2.kernels.cpu.threads import add_each, each
from tinygrad2.kernels.cpu.tiles import (
    MANY,
    RUN,
    SHARED,
    SIDE,
    VECTOR_BYTES,
    Matrix,
    Rows,
    add_one,
    dots_one,
    dots_square,
    multiply_one,
    multiply_shared,
)
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.once import once
from tinygrad2.kernels.pattern import Pattern

LANES = 16  # channels that are exchanged with pixels at once
TOGETHER = 20  # images that share a pattern and are worked on at once; their patches stay in the second-level cache

# `geo` is a `Window`; `row` is the width of the padded image. All arrays are flat and take a first
# index, since making a view counts references, which costs more than a short loop. Indices are unsigned, as in
# `pool.py`.


@helper
def _channels_last(x, s, image, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """x: (C, H, W) from s -> the inside of image: (Hp, Wp, C) from t, whose border stays as it is."""
    height = geo.height
    width = geo.width
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a = s + (c0 * height + y) * width
            b = t + ((y + geo.top) * row + geo.left) * channels + c0
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    image[np.uintp(b + z * channels + c)] = x[np.uintp(a + c * height * width + z)]


@helper
def _channels_first(image, s, x, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """The inside of image: (Hp, Wp, C) from s -> x: (C, H, W) from t."""
    height = geo.height
    width = geo.width
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a = s + ((y + geo.top) * row + geo.left) * channels + c0
            b = t + (c0 * height + y) * width
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    x[np.uintp(b + c * height * width + z)] = image[np.uintp(a + z * channels + c)]


@helper
def _take(image, s, patch, t, pixel, channels, row, geo):  # type: ignore[no-untyped-def]
    """The window of one output pixel of the image from s -> patch: (kh, kw, C) from t."""
    runs, length = (1, geo.kw * channels) if geo.dw == 1 else (geo.kw, channels)
    top = pixel // geo.ow * geo.sh
    left = pixel % geo.ow * geo.sw
    for i in range(geo.kh):
        for j in range(runs):
            a = s + ((top + i * geo.dh) * row + left + j * geo.dw) * channels
            for k in range(length):
                patch[np.uintp(t + k)] = image[np.uintp(a + k)]
            t += length


@helper
def _put(patch, s, image, t, pixel, channels, row, geo):  # type: ignore[no-untyped-def]
    """The adjoint of `_take`: add the patch from s to the window of one output pixel of the image from t."""
    runs, length = (1, geo.kw * channels) if geo.dw == 1 else (geo.kw, channels)
    top = pixel // geo.ow * geo.sh
    left = pixel % geo.ow * geo.sw
    for i in range(geo.kh):
        for j in range(runs):
            a = t + ((top + i * geo.dh) * row + left + j * geo.dw) * channels
            for k in range(length):
                image[np.uintp(a + k)] += patch[np.uintp(s + k)]
            s += length


@helper
def _by_pixel(at, s, count, first, entries):  # type: ignore[no-untyped-def]
    """Counting sort of `count` positions from s, -1 = dropped: entries[first[q]:first[q + 1]] pass at pixel q."""
    first[:] = 0
    for e in range(s, s + count):
        if at[e] >= 0:
            first[at[e] + 1] += 1
    for q in range(1, first.size):
        first[q] += first[q - 1]
    for e in range(count):
        q = at[s + e]
        if q >= 0:
            entries[first[q]] = e
            first[q] += 1
    for q in range(first.size - 1, 0, -1):
        first[q] = first[q - 1]
    first[0] = 0


@helper
def lined(a):  # type: ignore[no-untyped-def]
    """`a` from its first number that begins a cache line: vectors that cross one are loaded twice."""
    return a[-a.ctypes.data % LINE // a.itemsize :]


@alone
def _forward(x, w, at, y, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """x: (K, M, C, H, W), w: (G, O, pitch), at: (M, O*P) -> y: (K, M, O*P), flat; M counts the groups of all images."""
    plane = sizes.channels * geo.height * geo.width
    count = sizes.outputs * sizes.passing
    together = min(sizes.lead, TOGETHER)
    high = 1 if together < SIDE else SIDE
    wide = MANY if together < SIDE else SIDE
    image = np.zeros(together * sizes.area, x.dtype)
    patch = lined(np.zeros((together + SIDE) * sizes.pitch + LINE, x.dtype))
    first = np.empty(geo.oh * geo.ow + 1, np.int64)
    entries = np.empty(count, np.int64)
    filters = np.empty(MANY, np.intp)
    dots = np.empty(max(SIDE * SIDE, MANY), x.dtype)
    steps = np.arange(0, sizes.length, sizes.vector)
    patches = Matrix(patch, np.arange(together + SIDE) * sizes.pitch, steps)
    passing = Matrix(w, filters, steps)
    for m in range(begin, end):
        base = m % sizes.groups * sizes.outputs * sizes.pitch
        _by_pixel(at, m * count, count, first, entries)
        for start in range(0, sizes.lead, TOGETHER):
            block = min(TOGETHER, sizes.lead - start)
            for k in range(block):
                z = (start + k) * sizes.images + m
                _channels_last(x, z * plane, image, k * sizes.area, sizes.channels, sizes.row, geo)
                y[z * count : (z + 1) * count] = 0
            for q in range(first.size - 1):
                last = first[q + 1]
                for k in range(block if first[q] < last else 0):
                    _take(image, k * sizes.area, patch, k * sizes.pitch, q, sizes.channels, sizes.row, geo)
                for e in range(first[q], last, wide):
                    some = min(wide, last - e)
                    for i in range(wide):
                        filters[i] = entries[e + min(i, some - 1)] // sizes.passing * sizes.pitch
                    for k in range(0, block, high):
                        if high == 1:
                            dots_one(patches, (0, k, 0), passing, (base, 0, 0), dots, 0, steps.size)
                        else:
                            dots_square(patches, (0, k, 0), passing, (base, 0, 0), dots, 0, steps.size)
                        for h in range(min(high, block - k)):
                            z = ((start + k + h) * sizes.images + m) * count
                            for i in range(some):
                                y[np.uintp(z + entries[e + i])] = dots[np.uintp(h * wide + i)]


@alone
def _backward(g, w, at, x, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """g: (K, M, O*P), w: (G, O, pitch), at: (M, O*P) -> x: (K, M, C, H, W), all flat: the adjoint of `_forward`."""
    vector = sizes.vector
    plane = sizes.channels * geo.height * geo.width
    count = sizes.outputs * sizes.passing
    together = min(sizes.lead, TOGETHER)
    image = np.zeros(together * sizes.area, x.dtype)
    patch = lined(np.zeros((together + SHARED) * sizes.pitch + LINE, x.dtype))
    first = np.empty(geo.oh * geo.ow + 1, np.int64)
    entries = np.empty(count, np.int64)
    filters = np.empty(count, np.intp)
    sources = np.zeros(together + SHARED, np.intp)
    given = Matrix(g, sources, entries)
    passing = Rows(w, filters)
    patches = Rows(patch, np.arange(together + SHARED) * sizes.pitch)
    for m in range(begin, end):
        base = m % sizes.groups * sizes.outputs * sizes.pitch
        _by_pixel(at, m * count, count, first, entries)
        for e in range(first[-1]):
            filters[e] = entries[e] // sizes.passing * sizes.pitch
        for start in range(0, sizes.lead, TOGETHER):
            block = min(TOGETHER, sizes.lead - start)
            image[: block * sizes.area] = 0
            for k in range(block):
                sources[k] = ((start + k) * sizes.images + m) * count
            for q in range(first.size - 1):
                e = first[q]
                depth = first[q + 1] - e
                if depth == 0:
                    continue
                if sizes.lead >= SHARED // 2:
                    for t in range(0, sizes.length, 2 * vector):
                        for k in range(0, block, SHARED):
                            multiply_shared(given, (0, k, e), passing, (base + t, e), patches, (t, k), depth)
                else:
                    for k in range(block):
                        for t in range(0, sizes.length, RUN * vector):
                            multiply_one(given, (0, k, e), passing, (base + t, e), patches, (t, k), depth)
                for k in range(block):
                    _put(patch, k * sizes.pitch, image, k * sizes.area, q, sizes.channels, sizes.row, geo)
            for k in range(block):
                z = (start + k) * sizes.images + m
                _channels_first(image, k * sizes.area, x, z * plane, sizes.channels, sizes.row, geo)


@alone
def _filters(x, g, at, w, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """x: (K, M, C, H, W), g: (K, M, O*P), at: (M, O*P) -> w: (G, O, pitch), summed over images."""
    plane = sizes.channels * geo.height * geo.width
    count = sizes.outputs * sizes.passing
    pixels = geo.oh * geo.ow
    image = np.zeros(sizes.area, x.dtype)
    patches = lined(np.zeros(pixels * sizes.pitch + LINE, x.dtype))
    first = np.empty(sizes.outputs + 1, np.int64)
    places = np.empty(count, np.intp)
    values = np.empty(count, x.dtype)
    numbers = np.arange(count)
    given = Matrix(values, numbers, numbers)
    seen = Rows(patches, places)
    sums = Rows(w, np.arange(sizes.groups * sizes.outputs) * sizes.pitch)
    w[:] = 0
    for m in range(begin, end):
        for k in range(sizes.lead):
            z = k * sizes.images + m
            _channels_last(x, z * plane, image, 0, sizes.channels, sizes.row, geo)
            for q in range(pixels):
                _take(image, 0, patches, q * sizes.pitch, q, sizes.channels, sizes.row, geo)
            some = 0
            for o in range(sizes.outputs):
                first[o] = some
                for p in range(o * sizes.passing, (o + 1) * sizes.passing):
                    if at[m * count + p] >= 0:
                        places[some] = at[m * count + p] * sizes.pitch
                        values[some] = g[z * count + p]
                        some += 1
            first[sizes.outputs] = some
            for t in range(0, sizes.length, RUN * sizes.vector):
                for o in range(sizes.outputs):
                    e = first[o]
                    to = m % sizes.groups * sizes.outputs + o
                    add_one(given, (0, 0, e), seen, (t, e), sums, (t, to), first[o + 1] - e)


class Sizes(NamedTuple):
    """Of one convolution with its pattern, as the kernels take them. Each group is an image of its own."""

    lead: int  # images that share a pattern
    images: int  # patterns
    channels: int
    groups: int
    outputs: int
    passing: int  # entries of an output plane
    taps: int  # numbers in a filter
    length: int  # the same filled up with zeros, so that no loop has a slow rest
    pitch: int  # from one filter to the next
    vector: int  # numbers in a vector
    row: int  # numbers in a row of the padded image
    area: int  # numbers in a padded image

    @property
    def work(self) -> int:
        """Multiplications for all images that share one pattern."""
        return self.lead * self.outputs * self.passing * self.length


@once
def _sizes(images: int, channels: int, at: tuple[int, ...], geo: Geometry, itemsize: int) -> Sizes:
    """images: (K*N, C, H, W); channels: of a filter; at: the pattern's shape (N, O, PH, PW)."""
    vector = VECTOR_BYTES // itemsize
    taps = channels * math.prod(geo.kernel)
    length = -(-taps // (RUN * vector)) * RUN * vector
    return Sizes(
        lead=images // max(at[0], 1),
        images=at[0] * geo.groups,
        channels=channels,
        groups=geo.groups,
        outputs=at[1] // geo.groups,
        passing=at[2] * at[3],
        taps=taps,
        length=length,
        pitch=length + vector,  # a power of two would send the same part of all filters to one cache set
        vector=vector,
        row=geo.padded[1],
        area=math.prod(geo.padded) * channels,
    )


def _windows(w: NDArray, sizes: Sizes) -> NDArray:
    """w: (O, C, kh, kw) -> flat (O, pitch), each filter (kh, kw, C) and then zeros."""
    size = len(w) * sizes.pitch
    out = lined(np.zeros(size + LINE, w.dtype))[:size]
    out.reshape(-1, sizes.pitch)[:, : sizes.taps] = w.transpose(0, 2, 3, 1).reshape(len(w), sizes.taps)
    return flat(out)


def _positions(pattern: Pattern | None) -> NDArray:
    """at: (N, O, PH, PW) int32."""
    assert pattern is not None, "without a pattern conv.py is chosen"
    return pattern.positions()  # type: ignore[no-any-return]


def conv2d(x: NDArray, w: NDArray, geo: Geometry, pattern: Pattern | None) -> NDArray:
    """x: (K*N, C, H, W), w: (O, C/groups, kh, kw), pattern: (N, O, PH, PW) -> (K*N, O, PH, PW)."""
    at = _positions(pattern)
    sizes = _sizes(len(x), w.shape[1], at.shape, geo, x.itemsize)
    y = empty((len(x), *at.shape[1:]), x.dtype)
    arrays = flat(x), _windows(w, sizes), flat(at), y.reshape(y.size), sizes, window(geo)
    each(sizes.images, sizes.work, lambda begin, end: _forward(*arrays, begin, end))
    return y


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, pattern: Pattern | None) -> NDArray:
    """g: (K*N, O, PH, PW), w: (O, C/groups, kh, kw), pattern: (N, O, PH, PW) -> (K*N, C, H, W)."""
    at = _positions(pattern)
    sizes = _sizes(len(g), w.shape[1], at.shape, geo, g.itemsize)
    x = empty((len(g), w.shape[1] * geo.groups, *geo.input), g.dtype)
    arrays = flat(g), _windows(w, sizes), flat(at), x.reshape(x.size), sizes, window(geo)
    each(sizes.images, sizes.work, lambda begin, end: _backward(*arrays, begin, end))
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, pattern: Pattern | None) -> NDArray:
    """x: (K*N, C, H, W), g: (K*N, O, PH, PW), pattern: (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    at = _positions(pattern)
    channels = x.shape[1] // geo.groups
    sizes = _sizes(len(x), channels, at.shape, geo, x.itemsize)
    total = np.zeros(at.shape[1] * sizes.pitch, x.dtype)
    arrays = flat(x), flat(g), flat(at)

    def work(begin: int, end: int) -> NDArray:
        w = np.empty_like(total)
        _filters(*arrays, w, sizes, window(geo), begin, end)
        return w

    add_each(total, sizes.images, sizes.work, work)
    w = total.reshape(-1, sizes.pitch)[:, : sizes.taps].reshape(-1, *geo.kernel, channels)
    return np.ascontiguousarray(w.transpose(0, 3, 1, 2))
