"""Convolution of which only some outputs matter, compiled for the CPU: the products with dropped entries never happen.

One idea: visit the output pixels that anything passes through. There the window of the image is one contiguous patch
(channels last), each channel that passes is a filter of the same layout, and all K images that share the pattern meet
those filters while they are in the cache. The pattern's gradient by the filters visits channels instead, so that sums
stay in place. An image belongs to one thread; filter gradients are summed block by block in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from tinygrad2.kernels import workers
from tinygrad2.kernels.cpu import BLOCKS_PER_THREAD, FASTMATH, SERIAL_BELOW, NDArray, _input, _numbers, compile_cached
from tinygrad2.kernels.geometry import Geometry

LANES = 16  # patches and filters are filled up with zeros to a multiple of this: no loop has a slow rest
SHORTEST_RUN = 32  # a filter row shorter than this is not worth a loop of its own: the whole window is unfolded
TOGETHER = 16  # images that share a pattern and are worked on at once; their patches stay in the first-level cache


def _helper(function: Any) -> Any:
    return numba.njit(error_model="numpy", fastmath=FASTMATH)(function)


def _alone(function: Any) -> Any:
    """Compiled for one thread; it releases the interpreter, so that others work on other images."""
    return compile_cached(function, nogil=True, error_model="numpy", fastmath=FASTMATH)


# `geo` is the tuple made by `_numbers`; `row` is the width of the padded image. All arrays are flat and take a first
# index, since making a view counts references, which costs more than a short loop; indices are unsigned as in `cpu.py`.


@_helper
def _channels_last(x, s, image, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """x: (C, H, W) from s -> the inside of image: (Hp, Wp, C) from t, whose border stays as it is."""
    top, left, height, width = geo[4], geo[5], geo[8], geo[9]
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a, b = s + (c0 * height + y) * width, t + ((y + top) * row + left) * channels + c0
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    image[np.uintp(b + z * channels + c)] = x[np.uintp(a + c * height * width + z)]


@_helper
def _channels_first(image, s, x, t, channels, row, geo):  # type: ignore[no-untyped-def]
    """The inside of image: (Hp, Wp, C) from s -> x: (C, H, W) from t."""
    top, left, height, width = geo[4], geo[5], geo[8], geo[9]
    for y in range(height):
        for c0 in range(0, channels, LANES):
            a, b = s + ((y + top) * row + left) * channels + c0, t + (c0 * height + y) * width
            for z in range(width):
                for c in range(min(LANES, channels - c0)):
                    x[np.uintp(b + c * height * width + z)] = image[np.uintp(a + z * channels + c)]


@_helper
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


@_helper
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


@_helper
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


@_helper
def _dots4(patch, s, w, a, b, c, d, length):  # type: ignore[no-untyped-def]
    """The products of one patch with four filters."""
    zero = patch.dtype.type(0)
    s0, s1, s2, s3 = zero, zero, zero, zero
    for t in range(length):
        v = patch[np.uintp(s + t)]
        s0 += v * w[np.uintp(a + t)]
        s1 += v * w[np.uintp(b + t)]
        s2 += v * w[np.uintp(c + t)]
        s3 += v * w[np.uintp(d + t)]
    return s0, s1, s2, s3


@_helper
def _dot(patch, s, w, a, length):  # type: ignore[no-untyped-def]
    total = patch.dtype.type(0)
    for t in range(length):
        total += patch[np.uintp(s + t)] * w[np.uintp(a + t)]
    return total


@_helper
def _add4(out, s, w, a, b, c, d, ua, ub, uc, ud, length):  # type: ignore[no-untyped-def]
    """out += ua·w[a:] + ub·w[b:] + uc·w[c:] + ud·w[d:]."""
    for t in range(length):
        out[np.uintp(s + t)] += (
            ua * w[np.uintp(a + t)] + ub * w[np.uintp(b + t)] + uc * w[np.uintp(c + t)] + ud * w[np.uintp(d + t)]
        )


@_helper
def _add(out, s, w, a, u, length):  # type: ignore[no-untyped-def]
    for t in range(length):
        out[np.uintp(s + t)] += u * w[np.uintp(a + t)]


@_alone
def _forward(x, w, at, y, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """x: (K, M, C, H, W), w: (G, O, L), at: (M, O*P) -> y: (K, M, O*P), all flat; M counts the groups of all images."""
    lead, images, channels, groups, outputs, passing, length, row, area = sizes
    plane, count, together = channels * geo[8] * geo[9], outputs * passing, min(lead, TOGETHER)
    image, patch = np.zeros(together * area, x.dtype), np.zeros(together * length, x.dtype)
    first, entries = np.empty(geo[10] * geo[11] + 1, np.int64), np.empty(count, np.int64)
    for m in range(begin, end):
        base = m % groups * outputs * length
        _by_pixel(at, m * count, count, first, entries)
        for start in range(0, lead, TOGETHER):
            block = min(TOGETHER, lead - start)
            for k in range(block):
                _channels_last(x, ((start + k) * images + m) * plane, image, k * area, channels, row, geo)
                z = ((start + k) * images + m) * count
                y[z : z + count] = 0
            for q in range(first.size - 1):
                e, last = first[q], first[q + 1]
                for k in range(block if e < last else 0):
                    _take(image, k * area, patch, k * length, q, channels, row, geo)
                while e + 4 <= last:
                    e0, e1, e2, e3 = entries[e], entries[e + 1], entries[e + 2], entries[e + 3]
                    a, b = base + e0 // passing * length, base + e1 // passing * length
                    c, d = base + e2 // passing * length, base + e3 // passing * length
                    for k in range(block):
                        z = ((start + k) * images + m) * count
                        y[z + e0], y[z + e1], y[z + e2], y[z + e3] = _dots4(patch, k * length, w, a, b, c, d, length)
                    e += 4
                while e < last:
                    a = base + entries[e] // passing * length
                    for k in range(block):
                        y[((start + k) * images + m) * count + entries[e]] = _dot(patch, k * length, w, a, length)
                    e += 1


@_alone
def _backward(g, w, at, x, sizes, geo, begin, end):  # type: ignore[no-untyped-def]
    """g: (K, M, O*P), w: (G, O, L), at: (M, O*P) -> x: (K, M, C, H, W), all flat: the adjoint of `_forward`."""
    lead, images, channels, groups, outputs, passing, length, row, area = sizes
    plane, count, together = channels * geo[8] * geo[9], outputs * passing, min(lead, TOGETHER)
    image, patch = np.zeros(together * area, x.dtype), np.zeros(together * length, x.dtype)
    first, entries = np.empty(geo[10] * geo[11] + 1, np.int64), np.empty(count, np.int64)
    for m in range(begin, end):
        base = m % groups * outputs * length
        _by_pixel(at, m * count, count, first, entries)
        for start in range(0, lead, TOGETHER):
            block = min(TOGETHER, lead - start)
            image[:] = 0
            for q in range(first.size - 1):
                e, last = first[q], first[q + 1]
                some = e < last
                if some:
                    patch[:] = 0
                while e + 4 <= last:
                    e0, e1, e2, e3 = entries[e], entries[e + 1], entries[e + 2], entries[e + 3]
                    a, b = base + e0 // passing * length, base + e1 // passing * length
                    c, d = base + e2 // passing * length, base + e3 // passing * length
                    for k in range(block):
                        z = ((start + k) * images + m) * count
                        _add4(patch, k * length, w, a, b, c, d, g[z + e0], g[z + e1], g[z + e2], g[z + e3], length)
                    e += 4
                while e < last:
                    a = base + entries[e] // passing * length
                    for k in range(block):
                        u = g[((start + k) * images + m) * count + entries[e]]
                        _add(patch, k * length, w, a, u, length)
                    e += 1
                for k in range(block if some else 0):
                    _put(patch, k * length, image, k * area, q, channels, row, geo)
            for k in range(block):
                _channels_first(image, k * area, x, ((start + k) * images + m) * plane, channels, row, geo)


@_alone
def _filters(x, g, at, w, sizes, rows, unfolded, geo, begin, end):  # type: ignore[no-untyped-def]
    """x: (K, M, C, H, W), g: (K, M, O*P), at: (M, O*P) -> w: (G, O, rows, length), summed over images."""
    lead, images, channels, groups, outputs, passing, length, row, area = sizes
    plane, count, pixels, ow = channels * geo[8] * geo[9], outputs * passing, geo[10] * geo[11], geo[11]
    down = 0 if unfolded else geo[6] * row * channels
    image = np.zeros(area, x.dtype)
    source = np.zeros(pixels * length, x.dtype) if unfolded else image
    places, values = np.empty(passing, np.int64), np.empty(passing, x.dtype)
    w[:] = 0
    for m in range(begin, end):
        for k in range(lead):
            _channels_last(x, (k * images + m) * plane, image, 0, channels, row, geo)
            for q in range(pixels if unfolded else 0):
                _take(image, 0, source, q * length, q, channels, row, geo)
            for o in range(outputs):
                some = 0
                for p in range(o * passing, (o + 1) * passing):
                    q = at[m * count + p]
                    if q >= 0:
                        seen = q // ow * geo[2] * row + q % ow * geo[3]
                        places[some] = q * length if unfolded else seen * channels
                        values[some] = g[(k * images + m) * count + p]
                        some += 1
                for i in range(rows):
                    t = ((m % groups * outputs + o) * rows + i) * length
                    e = 0
                    while e + 4 <= some:
                        a, b = places[e] + i * down, places[e + 1] + i * down
                        c, d = places[e + 2] + i * down, places[e + 3] + i * down
                        ua, ub, uc, ud = values[e], values[e + 1], values[e + 2], values[e + 3]
                        _add4(w, t, source, a, b, c, d, ua, ub, uc, ud, length)
                        e += 4
                    while e < some:
                        _add(w, t, source, places[e] + i * down, values[e], length)
                        e += 1


def _round_up(size: int) -> int:
    return -(-size // LANES) * LANES


def _windows(w: NDArray) -> NDArray:
    """w: (O, C, kh, kw) -> flat (O, L), each filter (kh, kw, C) and zeros up to a multiple of LANES."""
    size = math.prod(w.shape[1:])
    out = np.zeros((w.shape[0], _round_up(size)), w.dtype)
    out[:, :size] = w.transpose(0, 2, 3, 1).reshape(w.shape[0], size)
    return _flat(out)


def _flat(a: NDArray) -> NDArray:
    return _input(a, a.size)


class _Problem:
    """The sizes of one convolution with its pattern. Each group is an image with its own channels and filters."""

    def __init__(self, images: int, channels: int, at: NDArray, length: int, geo: Geometry) -> None:
        n, outputs, passing = at.shape[0], at.shape[1] // geo.groups, at.shape[2] * at.shape[3]
        lead, area = images // max(n, 1), math.prod(geo.padded) * channels
        self.at = _flat(at)
        self.sizes = lead, n * geo.groups, channels, geo.groups, outputs, passing, length, geo.padded[1], area
        self.images, self.work, self.geo = n * geo.groups, lead * at.size * length, _numbers(geo)

    def each(self, work: Callable[[int, int], None]) -> None:
        """work(begin, end) for blocks of images, shared by threads."""
        threads = numba.get_num_threads() if self.work >= SERIAL_BELOW else 1
        n, count = self.images, min(self.images, BLOCKS_PER_THREAD * threads)
        blocks = [(n * k // count, n * (k + 1) // count) for k in range(count)]
        workers.each(blocks, lambda block: work(*block), threads)


def conv2d(x: NDArray, w: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """x: (K*N, C, H, W), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (K*N, O, PH, PW)."""
    y = np.empty((len(x), *at.shape[1:]), x.dtype)
    p = _Problem(len(x), w.shape[1], at, _round_up(w[0].size), geo)
    x, w, to = _flat(x), _windows(w), y.reshape(-1)
    p.each(lambda begin, end: _forward(x, w, p.at, to, p.sizes, p.geo, begin, end))
    return y


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """g: (K*N, O, PH, PW), w: (O, C/groups, kh, kw), at: (N, O, PH, PW) -> (K*N, C, H, W)."""
    x = np.empty((len(g), w.shape[1] * geo.groups, *geo.input), g.dtype)
    p = _Problem(len(g), w.shape[1], at, _round_up(w[0].size), geo)
    g, w, to = _flat(g), _windows(w), x.reshape(-1)
    p.each(lambda begin, end: _backward(g, w, p.at, to, p.sizes, p.geo, begin, end))
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, at: NDArray) -> NDArray:
    """x: (K*N, C, H, W), g: (K*N, O, PH, PW), at: (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    outputs, channels, (kh, kw) = at.shape[1], x.shape[1] // geo.groups, geo.kernel
    unfolded = geo.dilation[1] > 1 or kw * channels < SHORTEST_RUN
    size = kh * kw * channels
    rows, length = (1, _round_up(size)) if unfolded else (kh, kw * channels)
    p = _Problem(len(x), channels, at, length, geo)
    x, g, sums = _flat(x), _flat(g), {}

    def work(begin: int, end: int) -> None:
        sums[begin] = np.empty(outputs * rows * length, x.dtype)
        _filters(x, g, p.at, sums[begin], p.sizes, rows, unfolded, p.geo, begin, end)

    p.each(work)
    total = np.zeros(outputs * rows * length, x.dtype)
    for begin in sorted(sums):  # in a fixed order, whoever was first
        total += sums[begin]
    w = total.reshape(outputs, rows * length)[:, :size].reshape(outputs, kh, kw, channels)
    return np.ascontiguousarray(w.transpose(0, 3, 1, 2))
