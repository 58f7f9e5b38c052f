"""Dense convolution compiled for the CPU: shifted products, without unfolding the image into columns.

One idea: number the output pixels by their place in a padded row, p = y*row + x. Then what one filter entry sees of all
pixels is the image itself, shifted: contiguous in memory, and read straight into vector registers. The few p between
the rows are computed and dropped. With a stride the image is first dealt out into stride*stride planes, in each of
which the step is 1. An image belongs to one thread; filter gradients are summed block by block in a fixed order.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.kernels.cpu import NDArray
from tinygrad2.kernels.cpu_blocks import each
from tinygrad2.kernels.cpu_product import product
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.memory import empty
from tinygrad2.kernels.tiles import (
    ROWS,
    VECTOR_BYTES,
    WIDTH,
    add_rows,
    add_rows_1,
    alone,
    flat,
    helper,
    multiply_rows,
    multiply_rows_1,
    read_only,
)

SUMMED_BYTES = 1 << 19  # of images whose filter gradients are summed in registers: they stay in the second-level cache


class Sizes(NamedTuple):
    """Of one group of channels of one image, as the kernels take them."""

    groups: int
    channels: int
    outputs: int
    height: int
    width: int
    top: int
    left: int
    sh: int
    sw: int
    tall: int  # rows of a plane of the dealt image
    row: int  # numbers in such a row
    ow: int  # output pixels in a row
    lanes: int  # places of the output pixels, and those between; a multiple of a vector
    vector: int  # numbers in a vector
    taps: int  # numbers in a filter

    @property
    def area(self) -> int:
        """Of the dealt image, and after it what a tile may read or write beyond."""
        return self.channels * self.sh * self.sw * self.tall * self.row + self.lanes


class Layout(NamedTuple):
    """Where the taps and the output pixels of a convolution lie in the dealt image."""

    sizes: Sizes
    tap: NDArray  # (C/groups*kh*kw,), of each filter entry
    lane: NDArray  # (OH*OW,), of each output pixel


@functools.lru_cache(256)
def layout(geo: Geometry, channels: int, outputs: int, vector: int) -> Layout:
    """channels, outputs: of one group."""
    (sh, sw), (dh, dw), (kh, kw), (oh, ow) = geo.stride, geo.dilation, geo.kernel, geo.output
    tall, row = -(-geo.padded[0] // sh), -(-geo.padded[1] // sw)
    c, i, j = np.ogrid[:channels, : kh * dh : dh, : kw * dw : dw]
    tap = (((c * sh + i % sh) * sw + j % sw) * tall + i // sh) * row + j // sw
    y, x = np.ogrid[:oh, :ow]
    lanes = -(-((oh - 1) * row + ow) // vector) * vector
    (top, _), (left, _) = geo.padding
    sizes = Sizes(
        geo.groups, channels, outputs, *geo.input, top, left, sh, sw, tall, row, ow, lanes, vector, channels * kh * kw
    )
    return Layout(sizes, read_only(tap.reshape(-1)), read_only((y * row + x).reshape(-1)))


# Indices are unsigned, so that Numba drops the test for negative ones and LLVM can vectorise.


@helper
def _part(c, y, b, sizes):  # type: ignore[no-untyped-def]
    """Every sw-th number of row y of an image: where they start in x and in the dealt image, and how many they are."""
    i, plane = y + sizes.top, c * sizes.sh + (y + sizes.top) % sizes.sh
    first = (b - sizes.left) % sizes.sw
    a = (c * sizes.height + y) * sizes.width + first
    j = (first + sizes.left) // sizes.sw
    t = ((plane * sizes.sw + b) * sizes.tall + i // sizes.sh) * sizes.row + j
    return a, t, -(-(sizes.width - first) // sizes.sw)


@helper
def _deal(x, s, image, sizes):  # type: ignore[no-untyped-def]
    """x: (C, H, W) from s -> the inside of image: (C, sh, sw, tall, row), whose border stays as it is."""
    for c in range(sizes.channels):
        for y in range(sizes.height):
            for b in range(sizes.sw):
                a, t, count = _part(c, y, b, sizes)
                for k in range(count):
                    image[np.uintp(t + k)] = x[np.uintp(s + a + k * sizes.sw)]


@helper
def _collect(image, x, s, sizes):  # type: ignore[no-untyped-def]
    """The adjoint of `_deal`: the inside of image -> x: (C, H, W) from s."""
    for c in range(sizes.channels):
        for y in range(sizes.height):
            for b in range(sizes.sw):
                a, t, count = _part(c, y, b, sizes)
                for k in range(count):
                    x[np.uintp(s + a + k * sizes.sw)] = image[np.uintp(t + k)]


@helper
def _pick(planes, at, m, lane, y, s, sizes):  # type: ignore[no-untyped-def]
    """planes: (O, lanes), at: (N, O, Q), -1 for none, or empty for all -> y: (O, Q) from s."""
    for o in range(sizes.outputs):
        if len(at):
            for p in range(at.shape[2]):
                q, t = at[m, o, p], s + o * at.shape[2] + p
                y[np.uintp(t)] = planes[np.uintp(o * sizes.lanes + lane[np.uintp(q)])] if q >= 0 else y.dtype.type(0)
        else:
            for p in range(0, lane.size, sizes.ow):
                a, t = o * sizes.lanes + lane[p], s + o * lane.size + p
                for k in range(sizes.ow):
                    y[np.uintp(t + k)] = planes[np.uintp(a + k)]


@helper
def _place(g, s, at, m, lane, planes, sizes):  # type: ignore[no-untyped-def]
    """The adjoint of `_pick`. g: (O, Q) from s -> planes: (O, lanes), 0 between the pixels already."""
    for o in range(sizes.outputs):
        if len(at):
            planes[o * sizes.lanes : (o + 1) * sizes.lanes] = 0
            for p in range(at.shape[2]):
                q = at[m, o, p]
                if q >= 0:
                    planes[np.uintp(o * sizes.lanes + lane[np.uintp(q)])] += g[np.uintp(s + o * at.shape[2] + p)]
        else:
            for p in range(0, lane.size, sizes.ow):
                a, t = s + o * lane.size + p, o * sizes.lanes + lane[p]
                for k in range(sizes.ow):
                    planes[np.uintp(t + k)] = g[np.uintp(a + k)]


@helper
def _place_last(g, s, at, m, pixels, t, count, columns, sizes):  # type: ignore[no-untyped-def]
    """g: (O, Q) from s -> pixels: (OH*OW, columns) from t: filters last."""
    if len(at):
        pixels[t : t + count * columns] = 0
        for o in range(sizes.outputs):
            for p in range(at.shape[2]):
                q = at[m, o, p]
                if q >= 0:
                    pixels[np.uintp(t + q * columns + o)] += g[np.uintp(s + o * at.shape[2] + p)]
    else:
        for first in range(0, sizes.outputs, sizes.vector):
            some = min(sizes.vector, sizes.outputs - first)
            for p in range(count):
                for o in range(some):
                    pixels[np.uintp(t + p * columns + first + o)] = g[np.uintp(s + (first + o) * count + p)]


@alone
def _forward(x, w, at, y, tap, lane, sizes, begin, end):  # type: ignore[no-untyped-def]
    """x: (M, C, H, W), w: (G, O, R) -> y: (M, O, Q), all flat; M counts the groups of all images."""
    vector, lanes, image_size = sizes.vector, sizes.lanes, sizes.channels * sizes.height * sizes.width
    rows = -(-sizes.outputs // ROWS) * ROWS
    image = np.zeros(sizes.channels * sizes.sh * sizes.sw * sizes.tall * sizes.row + lanes, x.dtype)
    planes, steps = np.empty(rows * lanes, x.dtype), np.arange(sizes.taps)
    filters, to = np.minimum(np.arange(rows), sizes.outputs - 1) * sizes.taps, np.arange(rows) * lanes
    count = at.shape[2] if len(at) else lane.size
    for m in range(begin, end):
        base = m % sizes.groups * sizes.outputs * sizes.taps
        _deal(x, m * image_size, image, sizes)
        for o in range(0, rows, ROWS):
            p = 0
            while p + WIDTH * vector <= lanes:
                multiply_rows(w, base, filters, o, steps, 0, image, p, tap, 0, planes, p, to, o, sizes.taps)
                p += WIDTH * vector
            while p < lanes:
                multiply_rows_1(w, base, filters, o, steps, 0, image, p, tap, 0, planes, p, to, o, sizes.taps)
                p += vector
        _pick(planes, at, m % max(1, len(at)), lane, y, m * sizes.outputs * count, sizes)


@alone
def _backward(g, w, at, x, tap, lane, sizes, begin, end):  # type: ignore[no-untyped-def]
    """g: (M, O, Q), w: (G, R, O) -> x: (M, C, H, W), all flat: the adjoint of `_forward`."""
    vector, lanes, image_size = sizes.vector, sizes.lanes, sizes.channels * sizes.height * sizes.width
    area, rows = sizes.channels * sizes.sh * sizes.sw * sizes.tall * sizes.row, -(-sizes.taps // ROWS) * ROWS
    image, planes = np.empty(area + 2 * lanes, x.dtype), np.zeros(sizes.outputs * lanes, x.dtype)
    steps, sources = np.arange(sizes.outputs), np.arange(sizes.outputs) * lanes
    filters, to = np.minimum(np.arange(rows), sizes.taps - 1) * sizes.outputs, np.full(rows, area + lanes)
    to[: sizes.taps] = tap  # rows after the last tap are added to what is never read
    count = at.shape[2] if len(at) else lane.size
    for m in range(begin, end):
        base = m % sizes.groups * sizes.taps * sizes.outputs
        image[:] = 0
        _place(g, m * sizes.outputs * count, at, m % max(1, len(at)), lane, planes, sizes)
        p = 0
        while p + WIDTH * vector <= lanes:
            for r in range(0, rows, ROWS):
                add_rows(w, base, filters, r, steps, 0, planes, p, sources, 0, image, p, to, r, sizes.outputs)
            p += WIDTH * vector
        while p < lanes:
            for r in range(0, rows, ROWS):
                add_rows_1(w, base, filters, r, steps, 0, planes, p, sources, 0, image, p, to, r, sizes.outputs)
            p += vector
        _collect(image, x, m * image_size, sizes)


@alone
def _filters(x, g, at, w, tap, lane, sizes, together, begin, end):  # type: ignore[no-untyped-def]
    """x: (M, C, H, W), g: (M, O, Q) -> w: (G, R, columns), all flat, summed over images, `together` at a time."""
    vector, image_size = sizes.vector, sizes.channels * sizes.height * sizes.width
    area, columns = sizes.channels * sizes.sh * sizes.sw * sizes.tall * sizes.row, -(-sizes.outputs // vector) * vector
    images, pixels = np.zeros(together * area, x.dtype), np.zeros(together * lane.size * columns, x.dtype)
    depth = together * lane.size
    left, right = np.empty(depth, np.intp), np.arange(depth) * columns
    for k in range(together):
        left[k * lane.size : (k + 1) * lane.size] = k * area + lane
    rows = -(-sizes.taps // ROWS) * ROWS
    taps, to = tap[np.minimum(np.arange(rows), sizes.taps - 1)], np.arange(rows) * columns
    sums = np.empty(rows * columns, x.dtype)
    count = at.shape[2] if len(at) else lane.size
    for group in range(sizes.groups):
        sums[:] = 0
        for start in range(begin, end, together):
            some = min(together, end - start)
            for k in range(some):
                m = (start + k) * sizes.groups + group
                _deal(x, m * image_size, images[k * area : (k + 1) * area], sizes)
                s, t = m * sizes.outputs * count, k * lane.size * columns
                _place_last(g, s, at, m % max(1, len(at)), pixels, t, lane.size, columns, sizes)
            for r in range(0, rows, ROWS):
                p = 0
                while p + WIDTH * vector <= columns:
                    add_rows(images, 0, taps, r, left, 0, pixels, p, right, 0, sums, p, to, r, some * lane.size)
                    p += WIDTH * vector
                while p < columns:
                    add_rows_1(images, 0, taps, r, left, 0, pixels, p, right, 0, sums, p, to, r, some * lane.size)
                    p += vector
        size = sizes.taps * columns
        w[group * size : (group + 1) * size] = sums[:size]


def _is_product(geo: Geometry, at: NDArray | None) -> bool:
    """True if the window is the whole image, seen once: then convolution is the product of two matrices."""
    return at is None and geo.groups == 1 and geo.kernel == geo.input and geo.padded == geo.input


def _product(a: NDArray, b: NDArray, *shape: int) -> NDArray:
    y: NDArray = product(a, b)
    return y.reshape(shape)


def _matrix(a: NDArray) -> NDArray:
    return a.reshape(a.shape[0], math.prod(a.shape[1:]))


def _problem(
    geo: Geometry, channels: int, outputs: int, at: NDArray | None, dtype: np.dtype[Any]
) -> tuple[Layout, NDArray, tuple[int, ...]]:
    """The layout, the pattern with the groups as images of their own, and the shape of an output plane."""
    groups = geo.groups
    found = layout(geo, channels // groups, outputs // groups, VECTOR_BYTES // dtype.itemsize)
    if at is None:
        return found, np.empty((0, 0, 0), np.int32), geo.output
    pattern = np.ascontiguousarray(at).reshape(at.shape[0] * groups, outputs // groups, at.shape[2] * at.shape[3])
    return found, read_only(pattern), at.shape[2:]


def conv2d(x: NDArray, w: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """x: (N, C, H, W), w: (O, C/groups, kh, kw) -> (N, O, OH, OW), or (N, O, PH, PW) of the entries at."""
    if _is_product(geo, at):
        return _product(_matrix(x), _matrix(w).T, x.shape[0], w.shape[0], 1, 1)
    (sizes, tap, lane), at, plane = _problem(geo, x.shape[1], w.shape[0], at, x.dtype)
    y = empty((x.shape[0], w.shape[0], *plane), x.dtype)
    x, w, to = flat(x), flat(w), y.reshape(y.size)

    def work(begin: int, end: int) -> None:
        _forward(x, w, at, to, tap, lane, sizes, begin, end)

    each(len(y) * geo.groups, w.size // geo.groups * sizes.lanes, work)
    return y


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """g: (N, O, OH, OW) or, of the entries at, (N, O, PH, PW); w: (O, C/groups, kh, kw) -> (N, C, H, W)."""
    if _is_product(geo, at):
        return _product(_matrix(g), _matrix(w), g.shape[0], *w.shape[1:])
    channels = w.shape[1] * geo.groups
    (sizes, tap, lane), at, _ = _problem(geo, channels, w.shape[0], at, g.dtype)
    x = empty((g.shape[0], channels, *geo.input), g.dtype)
    w = flat(w.reshape(geo.groups, sizes.outputs, sizes.taps).swapaxes(1, 2))
    g, to = flat(g), x.reshape(x.size)

    def work(begin: int, end: int) -> None:
        _backward(g, w, at, to, tap, lane, sizes, begin, end)

    each(len(x) * geo.groups, w.size // geo.groups * sizes.lanes, work)
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, at: NDArray | None = None) -> NDArray:
    """x: (N, C, H, W), g: (N, O, OH, OW) or, of the entries at, (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    if _is_product(geo, at):
        return _product(_matrix(g).T, _matrix(x), g.shape[1], *x.shape[1:])
    images, shape = len(x), (g.shape[1], x.shape[1] // geo.groups, *geo.kernel)
    (sizes, tap, lane), at, _ = _problem(geo, x.shape[1], g.shape[1], at, x.dtype)
    together = max(1, SUMMED_BYTES // (x.itemsize * (sizes.area + sizes.outputs * lane.size)))
    columns = -(-sizes.outputs // sizes.vector) * sizes.vector
    x, g, sums = flat(x), flat(g), {}

    def work(begin: int, end: int) -> None:
        sums[begin] = np.empty(geo.groups * sizes.taps * columns, x.dtype)
        _filters(x, g, at, sums[begin], tap, lane, sizes, together, begin, end)

    total = np.zeros(geo.groups * sizes.taps * columns, x.dtype)
    held = total.nbytes  # summed in a fixed order, whoever was first
    for begin in each(images, math.prod(shape) * lane.size, work, held):
        total += sums[begin]
    w = total.reshape(geo.groups, sizes.taps, columns)[:, :, : sizes.outputs].swapaxes(1, 2)
    return np.ascontiguousarray(w).reshape(shape)
