"""Convolution of which only some outputs matter, compiled for the CPU: the products with dropped entries never happen.

One idea: visit the output pixels that anything passes through. There the window of the image is one contiguous patch
(channels last), each channel that passes is a filter of the same layout, and all K images that share the pattern meet
those filters while they are in the cache. The pattern's gradient by the filters visits channels instead, so that sums
stay in place. An image belongs to one thread; filter gradients are summed block by block in a fixed order.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad2.kernels.cpu import NDArray, _input, _numbers
from tinygrad2.kernels.cpu_blocks import each
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.memory import LINE, empty
from tinygrad2.kernels.tiles import (
    MANY,
    RUN,
    SHARED,
    SIDE,
    VECTOR_BYTES,
    add_one,
    alone,
    dots_one,
    dots_square,
    helper,
    multiply_one,
    multiply_shared,
)

LANES = 16  # channels that are exchanged with pixels at once
TOGETHER = 20  # images that share a pattern and are worked on at once; their patches stay in the second-level cache

# `geo` is the tuple made by `_numbers`; `row` is the width of the padded image. All arrays are flat and take a first
# index, since making a view counts references, which costs more than a short loop; indices are unsigned as in `cpu.py`.


@helper
def _channels_last(x, s, image, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """x: (C, H, W) from s -> the inside of image: (Hp, Wp, C) from t, whose border stays as it is."""
    top, left, height, width = geo[4], geo[5], geo[8], geo[9]
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a, b = s + (c0 * height + y) * width, t + ((y + top) * row + left) * channels + c0
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    image[np.uintp(b + z * channels + c)] = x[np.uintp(a + c * height * width + z)]


@helper
def _channels_first(image, s, x, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """The inside of image: (Hp, Wp, C) from s -> x: (C, H, W) from t."""
    top, left, height, width = geo[4], geo[5], geo[8], geo[9]
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a, b = s + ((y + top) * row + left) * channels + c0, t + (c0 * height + y) * width
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    x[np.uintp(b + c * height * width + z)] = image[np.uintp(a + z * channels + c)]


@helper
def _take(image, s, patch, t, pixel, channels, row, geo):  # type: ignore[no-untyped-def]
    """The window of one output pixel of the image from s -> patch: (kh, kw, C) from t."""
    kh, kw, sh, sw, _, _, dh, dw, _, _, _, ow = geo
    runs, length = (1, kw * channels) if dw == 1 else (kw, channels)
    for i in range(kh):
        for j in range(runs):
            a = s + ((pixel // ow * sh + i * dh) * row + pixel % ow * sw + j * dw) * channels
            for k in range(length):
                patch[np.uintp(t + k)] = image[np.uintp(a + k)]
            t += length


@helper
def _put(patch, s, image, t, pixel, channels, row, geo):  # type: ignore[no-untyped-def]
    """The adjoint of `_take`: add the patch from s to the window of one output pixel of the image from t."""
    kh, kw, sh, sw, _, _, dh, dw, _, _, _, ow = geo
    runs, length = (1, kw * channels) if dw == 1 else (kw, channels)
    for i in range(kh):
        for j in range(runs):
            a = t + ((pixel // ow * sh + i * dh) * row + pixel % ow * sw + j * dw) * channels
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
    lead, images, channels, groups, outputs, passing, length, pitch, vector, row, area = sizes
    plane, count, together = channels * geo[8] * geo[9], outputs * passing, min(lead, TOGETHER)
    high, wide = (1, MANY) if together < SIDE else (SIDE, SIDE)
    image, patch = np.zeros(together * area, x.dtype), lined(np.zeros((together + SIDE) * pitch + LINE, x.dtype))
    first, entries = np.empty(geo[10] * geo[11] + 1, np.int64), np.empty(count, np.int64)
    steps, filters, dots = (
        np.arange(0, length, vector),
        np.empty(MANY, np.intp),
        np.empty(max(SIDE * SIDE, MANY), x.dtype),
    )
    patches = np.arange(together + SIDE) * pitch
    for m in range(begin, end):
        base = m % groups * outputs * pitch
        _by_pixel(at, m * count, count, first, entries)
        for start in range(0, lead, TOGETHER):
            block = min(TOGETHER, lead - start)
            for k in range(block):
                _channels_last(x, ((start + k) * images + m) * plane, image, k * area, channels, row, geo)
                z = ((start + k) * images + m) * count
                y[z : z + count] = 0
            for q in range(first.size - 1):
                last = first[q + 1]
                for k in range(block if first[q] < last else 0):
                    _take(image, k * area, patch, k * pitch, q, channels, row, geo)
                for e in range(first[q], last, wide):
                    some = min(wide, last - e)
                    for i in range(wide):
                        filters[i] = entries[e + min(i, some - 1)] // passing * pitch
                    for k in range(0, block, high):
                        if high == 1:
                            dots_one(patch, 0, patches, k, steps, 0, w, base, filters, 0, steps, 0, dots, 0, steps.size)
                        else:
                            dots_square(
                                patch, 0, patches, k, steps, 0, w, base, filters, 0, steps, 0, dots, 0, steps.size
                            )
                        for h in range(min(high, block - k)):
                            z = ((start + k + h) * images + m) * count
                            for i in range(some):
                                y[np.uintp(z + entries[e + i])] = dots[np.uintp(h * wide + i)]


@alone
def _backward(g, w, at, x, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """g: (K, M, O*P), w: (G, O, pitch), at: (M, O*P) -> x: (K, M, C, H, W), all flat: the adjoint of `_forward`."""
    lead, images, channels, groups, outputs, passing, length, pitch, vector, row, area = sizes
    plane, count, together = channels * geo[8] * geo[9], outputs * passing, min(lead, TOGETHER)
    shares = lead >= SHARED // 2
    image, patch = np.zeros(together * area, x.dtype), lined(np.zeros((together + SHARED) * pitch + LINE, x.dtype))
    first, entries = np.empty(geo[10] * geo[11] + 1, np.int64), np.empty(count, np.int64)
    filters, sources, to = np.empty(count, np.intp), np.zeros(together + SHARED, np.intp), np.arange(together + SHARED)
    to *= pitch
    for m in range(begin, end):
        base = m % groups * outputs * pitch
        _by_pixel(at, m * count, count, first, entries)
        for e in range(first[-1]):
            filters[e] = entries[e] // passing * pitch
        for start in range(0, lead, TOGETHER):
            block = min(TOGETHER, lead - start)
            image[: block * area] = 0
            for k in range(block):
                sources[k] = ((start + k) * images + m) * count
            for q in range(first.size - 1):
                e, depth = first[q], first[q + 1] - first[q]
                if depth == 0:
                    continue
                if shares:
                    for t in range(0, length, 2 * vector):
                        for k in range(0, block, SHARED):
                            multiply_shared(
                                g, 0, sources, k, entries, e, w, base + t, filters, e, patch, t, to, k, depth
                            )
                else:
                    for k in range(block):
                        for t in range(0, length, RUN * vector):
                            multiply_one(g, 0, sources, k, entries, e, w, base + t, filters, e, patch, t, to, k, depth)
                for k in range(block):
                    _put(patch, k * pitch, image, k * area, q, channels, row, geo)
            for k in range(block):
                _channels_first(image, k * area, x, ((start + k) * images + m) * plane, channels, row, geo)


@alone
def _filters(x, g, at, w, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """x: (K, M, C, H, W), g: (K, M, O*P), at: (M, O*P) -> w: (G, O, pitch), summed over images."""
    lead, images, channels, groups, outputs, passing, length, pitch, vector, row, area = sizes
    plane, count, pixels = channels * geo[8] * geo[9], outputs * passing, geo[10] * geo[11]
    image, patches = np.zeros(area, x.dtype), lined(np.zeros(pixels * pitch + LINE, x.dtype))
    first, places, values = np.empty(outputs + 1, np.int64), np.empty(count, np.intp), np.empty(count, x.dtype)
    numbers, to = np.arange(count), np.arange(groups * outputs) * pitch
    w[:] = 0
    for m in range(begin, end):
        for k in range(lead):
            _channels_last(x, (k * images + m) * plane, image, 0, channels, row, geo)
            for q in range(pixels):
                _take(image, 0, patches, q * pitch, q, channels, row, geo)
            some = 0
            for o in range(outputs):
                first[o] = some
                for p in range(o * passing, (o + 1) * passing):
                    if at[m * count + p] >= 0:
                        places[some] = at[m * count + p] * pitch
                        values[some] = g[(k * images + m) * count + p]
                        some += 1
            first[outputs] = some
            for t in range(0, length, RUN * vector):
                for o in range(outputs):
                    e, z = first[o], m % groups * outputs + o
                    add_one(values, 0, numbers, 0, numbers, e, patches, t, places, e, w, t, to, z, first[o + 1] - e)


def _flat(a: NDArray) -> NDArray:
    return _input(a, a.size)


class _Problem:
    """The sizes of one convolution with its pattern. Each group is an image with its own channels and filters."""

    def __init__(self, images: int, channels: int, at: NDArray, geo: Geometry, dtype: np.dtype[Any]) -> None:
        n, outputs, passing = at.shape[0], at.shape[1] // geo.groups, at.shape[2] * at.shape[3]
        vector, lead, area = VECTOR_BYTES // dtype.itemsize, images // max(n, 1), math.prod(geo.padded) * channels
        self.taps = channels * math.prod(geo.kernel)
        self.length = -(-self.taps // (RUN * vector)) * RUN * vector  # filled up with zeros: no loop has a slow rest
        self.pitch = self.length + vector  # a power of two would send the same part of all filters to one cache set
        self.at, self.geo = _flat(at), _numbers(geo)
        self.sizes = (
            lead, n * geo.groups, channels, geo.groups, outputs, passing,
            self.length, self.pitch, vector, geo.padded[1], area,
        )  # fmt: skip
        self.each = functools.partial(each, n * geo.groups, lead * outputs * passing * self.length)

    def windows(self, w: NDArray) -> NDArray:
        """w: (O, C, kh, kw) -> flat (O, pitch), each filter (kh, kw, C) and then zeros."""
        size = w.shape[0] * self.pitch
        out = lined(np.zeros(size + LINE, w.dtype))[:size]
        out.reshape(-1, self.pitch)[:, : self.taps] = w.transpose(0, 2, 3, 1).reshape(w.shape[0], self.taps)
        return _flat(out)


def conv2d(x: NDArray, w: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """x: (K*N, C, H, W), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (K*N, O, PH, PW)."""
    y, p = empty((len(x), *at.shape[1:]), x.dtype), _Problem(len(x), w.shape[1], at, geo, x.dtype)
    x, w, to = _flat(x), p.windows(w), y.reshape(-1)
    p.each(lambda begin, end: _forward(x, w, p.at, to, p.sizes, p.geo, begin, end))
    return y


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """g: (K*N, O, PH, PW), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (K*N, C, H, W)."""
    x = empty((len(g), w.shape[1] * geo.groups, *geo.input), g.dtype)
    p = _Problem(len(g), w.shape[1], at, geo, g.dtype)
    g, w, to = _flat(g), p.windows(w), x.reshape(-1)
    p.each(lambda begin, end: _backward(g, w, p.at, to, p.sizes, p.geo, begin, end))
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """x: (K*N, C, H, W), g: (K*N, O, PH, PW), at: (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    outputs, channels = at.shape[1], x.shape[1] // geo.groups
    p = _Problem(len(x), channels, at, geo, x.dtype)
    x, g, sums = _flat(x), _flat(g), {}

    def work(begin: int, end: int) -> None:
        sums[begin] = np.empty(outputs * p.pitch, x.dtype)
        _filters(x, g, p.at, sums[begin], p.sizes, p.geo, begin, end)

    total = np.zeros(outputs * p.pitch, x.dtype)
    for begin in p.each(work):  # in a fixed order, whoever was first
        total += sums[begin]
    w = total.reshape(outputs, p.pitch)[:, : p.taps].reshape(outputs, *geo.kernel, channels)
    return np.ascontiguousarray(w.transpose(0, 3, 1, 2))
