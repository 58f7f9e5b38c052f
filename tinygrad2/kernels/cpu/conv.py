"""Dense convolution compiled for the CPU: shifted products, without unfolding the image into columns.

One idea: number the output pixels by their place in a padded row, p = y*row + x. Then what one filter entry sees of all
pixels is the image itself, shifted: contiguous in memory, and read straight into vector registers. The few p between
the rows are computed and dropped. With a stride the image is first dealt out into stride*stride planes, in each of
which the step is 1. An image belongs to one thread; filter gradients are summed block by block in a fixed order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu.jit import alone, flat, helper, shaped
from tinygrad2.kernels.cpu.memory import empty
from tinygrad2.kernels.cpu.products import product
from tinygrad2.kernels.cpu.select import masked
from tinygrad2.kernels.cpu.threads import add_each, each
from tinygrad2.kernels.cpu.tiles import (
    ROWS,
    VECTOR_BYTES,
    WIDTH,
    Matrix,
    Rows,
    add_rows,
    add_rows_1,
    multiply_rows,
    multiply_rows_1,
)
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.once import once
from tinygrad2.kernels.pattern import Mask, Pattern

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
    area: int  # numbers in the dealt image
    ow: int  # output pixels in a row
    lanes: int  # places of the output pixels, and those between; a multiple of a vector
    vector: int  # numbers in a vector
    taps: int  # numbers in a filter


class Layout(NamedTuple):
    """Where the taps and the output pixels of a convolution lie in the dealt image."""

    sizes: Sizes
    tap: NDArray  # (C/groups*kh*kw,), of each filter entry
    lane: NDArray  # (OH*OW,), of each output pixel


@once
def layout(geo: Geometry, channels: int, outputs: int, vector: int) -> Layout:
    """channels, outputs: of one group."""
    (sh, sw), (dh, dw), (kh, kw), (oh, ow) = geo.stride, geo.dilation, geo.kernel, geo.output
    tall = -(-geo.padded[0] // sh)
    row = -(-geo.padded[1] // sw)
    c, i, j = np.ogrid[:channels, : kh * dh : dh, : kw * dw : dw]
    tap = (((c * sh + i % sh) * sw + j % sw) * tall + i // sh) * row + j // sw
    y, x = np.ogrid[:oh, :ow]
    lanes = -(-((oh - 1) * row + ow) // vector) * vector
    (top, _), (left, _) = geo.padding
    area = channels * sh * sw * tall * row
    taps = channels * kh * kw
    sizes = Sizes(
        geo.groups, channels, outputs, *geo.input, top, left, sh, sw, tall, row, area, ow, lanes, vector, taps
    )
    return Layout(sizes, flat(tap), flat(y * row + x))


# Indices are unsigned, so that Numba drops the test for negative ones and LLVM can vectorise.


@helper
def _part(c, y, b, sizes):  # type: ignore[no-untyped-def]
    """Every sw-th number of row y of an image: where they start in x and in the dealt image, and how many they are."""
    i = y + sizes.top
    plane = c * sizes.sh + i % sizes.sh
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
                q = at[m, o, p]
                t = s + o * at.shape[2] + p
                y[np.uintp(t)] = planes[np.uintp(o * sizes.lanes + lane[np.uintp(q)])] if q >= 0 else y.dtype.type(0)
        else:
            for p in range(0, lane.size, sizes.ow):
                a = o * sizes.lanes + lane[p]
                t = s + o * lane.size + p
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
                a = s + o * lane.size + p
                t = o * sizes.lanes + lane[p]
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
    vector = sizes.vector
    lanes = sizes.lanes
    rows = -(-sizes.outputs // ROWS) * ROWS
    image = np.zeros(sizes.area + lanes, x.dtype)  # a tile may read beyond the dealt image
    planes = np.empty(rows * lanes, x.dtype)
    filters = Matrix(w, np.minimum(np.arange(rows), sizes.outputs - 1) * sizes.taps, np.arange(sizes.taps))
    seen = Rows(image, tap)
    sums = Rows(planes, np.arange(rows) * lanes)
    count = at.shape[2] if len(at) else lane.size
    for m in range(begin, end):
        base = m % sizes.groups * sizes.outputs * sizes.taps
        _deal(x, m * sizes.channels * sizes.height * sizes.width, image, sizes)
        for o in range(0, rows, ROWS):
            p = 0
            while p + WIDTH * vector <= lanes:
                multiply_rows(filters, (base, o, 0), seen, (p, 0), sums, (p, o), sizes.taps)
                p += WIDTH * vector
            while p < lanes:
                multiply_rows_1(filters, (base, o, 0), seen, (p, 0), sums, (p, o), sizes.taps)
                p += vector
        _pick(planes, at, m % max(1, len(at)), lane, y, m * sizes.outputs * count, sizes)


@alone
def _backward(g, w, at, x, tap, lane, sizes, begin, end):  # type: ignore[no-untyped-def]
    """g: (M, O, Q), w: (G, R, O) -> x: (M, C, H, W), all flat: the adjoint of `_forward`."""
    vector = sizes.vector
    lanes = sizes.lanes
    rows = -(-sizes.taps // ROWS) * ROWS
    image = np.empty(sizes.area + 2 * lanes, x.dtype)
    planes = np.zeros(sizes.outputs * lanes, x.dtype)
    outputs = np.arange(sizes.outputs)
    to = np.full(rows, sizes.area + lanes)
    to[: sizes.taps] = tap  # rows after the last tap are added to what is never read
    filters = Matrix(w, np.minimum(np.arange(rows), sizes.taps - 1) * sizes.outputs, outputs)
    given = Rows(planes, outputs * lanes)
    seen = Rows(image, to)
    count = at.shape[2] if len(at) else lane.size
    for m in range(begin, end):
        base = m % sizes.groups * sizes.taps * sizes.outputs
        image[:] = 0
        _place(g, m * sizes.outputs * count, at, m % max(1, len(at)), lane, planes, sizes)
        p = 0
        while p + WIDTH * vector <= lanes:
            for r in range(0, rows, ROWS):
                add_rows(filters, (base, r, 0), given, (p, 0), seen, (p, r), sizes.outputs)
            p += WIDTH * vector
        while p < lanes:
            for r in range(0, rows, ROWS):
                add_rows_1(filters, (base, r, 0), given, (p, 0), seen, (p, r), sizes.outputs)
            p += vector
        _collect(image, x, m * sizes.channels * sizes.height * sizes.width, sizes)


@alone
def _filters(x, g, at, w, tap, lane, sizes, together, begin, end):  # type: ignore[no-untyped-def]
    """x: (M, C, H, W), g: (M, O, Q) -> w: (G, R, columns), all flat, summed over images, `together` at a time."""
    vector = sizes.vector
    area = sizes.area
    columns = -(-sizes.outputs // vector) * vector
    depth = together * lane.size
    images = np.zeros(together * area, x.dtype)
    pixels = np.zeros(depth * columns, x.dtype)
    left = np.empty(depth, np.intp)
    for k in range(together):
        left[k * lane.size : (k + 1) * lane.size] = k * area + lane
    rows = -(-sizes.taps // ROWS) * ROWS
    sums = np.empty(rows * columns, x.dtype)
    seen = Matrix(images, tap[np.minimum(np.arange(rows), sizes.taps - 1)], left)
    given = Rows(pixels, np.arange(depth) * columns)
    to = Rows(sums, np.arange(rows) * columns)
    count = at.shape[2] if len(at) else lane.size
    for group in range(sizes.groups):
        sums[:] = 0
        for start in range(begin, end, together):
            some = min(together, end - start)
            for k in range(some):
                m = (start + k) * sizes.groups + group
                image = images[k * area : (k + 1) * area]
                _deal(x, m * sizes.channels * sizes.height * sizes.width, image, sizes)
                s = m * sizes.outputs * count
                t = k * lane.size * columns
                _place_last(g, s, at, m % max(1, len(at)), pixels, t, lane.size, columns, sizes)
            for r in range(0, rows, ROWS):
                p = 0
                while p + WIDTH * vector <= columns:
                    add_rows(seen, (0, r, 0), given, (p, 0), to, (p, r), some * lane.size)
                    p += WIDTH * vector
                while p < columns:
                    add_rows_1(seen, (0, r, 0), given, (p, 0), to, (p, r), some * lane.size)
                    p += vector
        size = sizes.taps * columns
        w[group * size : (group + 1) * size] = sums[:size]


def _matrix(a: NDArray) -> NDArray:
    return a.reshape(a.shape[0], math.prod(a.shape[1:]))


_ALL = np.empty((0, 0, 0), np.int32)


def _positions(pattern: Pattern | None, groups: int) -> NDArray:
    """at: (N, O, PH, PW) as the kernels take it: (N*groups, O/groups, PH*PW); empty where all outputs are wanted."""
    if pattern is None:
        return _ALL
    n, outputs, rows, columns = pattern.at.shape
    return shaped(pattern.at, n * groups, outputs // groups, rows * columns)


def conv2d(x: NDArray, w: NDArray, geo: Geometry, pattern: Pattern | None = None) -> NDArray:
    """x: (N, C, H, W), w: (O, C/groups, kh, kw) -> (N, O, OH, OW), or (N, O, PH, PW) of what the pattern wants."""
    if isinstance(pattern, Mask):
        y = conv2d(x, w, geo)
        beside = pattern.beside(y)
        masked(beside, pattern.at, out=beside)
        return y
    if pattern is None and geo.is_product:
        return product(_matrix(x), _matrix(w).T).reshape(len(x), len(w), 1, 1)
    sizes, tap, lane = layout(geo, w.shape[1], len(w) // geo.groups, VECTOR_BYTES // x.itemsize)
    plane = geo.output if pattern is None else pattern.at.shape[2:]
    y = empty((len(x), len(w), *plane), x.dtype)
    x_ = flat(x)
    w_ = flat(w)
    y_ = y.reshape(y.size)
    at = _positions(pattern, geo.groups)

    def work(begin: int, end: int) -> None:
        _forward(x_, w_, at, y_, tap, lane, sizes, begin, end)

    each(len(y) * geo.groups, w.size // geo.groups * sizes.lanes, work)
    return y


def conv2d_input(g: NDArray, w: NDArray, geo: Geometry, pattern: Pattern | None = None) -> NDArray:
    """g: (N, O, OH, OW) or, of what the pattern wants, (N, O, PH, PW); w: (O, C/groups, kh, kw) -> (N, C, H, W)."""
    if isinstance(pattern, Mask):
        return conv2d_input(masked(pattern.beside(g), pattern.at).reshape(g.shape), w, geo)
    if pattern is None and geo.is_product:
        return product(_matrix(g), _matrix(w)).reshape(len(g), *w.shape[1:])
    sizes, tap, lane = layout(geo, w.shape[1], len(w) // geo.groups, VECTOR_BYTES // g.itemsize)
    x = empty((len(g), w.shape[1] * geo.groups, *geo.input), g.dtype)
    w_ = flat(w.reshape(geo.groups, sizes.outputs, sizes.taps).swapaxes(1, 2))
    g_ = flat(g)
    x_ = x.reshape(x.size)
    at = _positions(pattern, geo.groups)

    def work(begin: int, end: int) -> None:
        _backward(g_, w_, at, x_, tap, lane, sizes, begin, end)

    each(len(x) * geo.groups, w.size // geo.groups * sizes.lanes, work)
    return x


def conv2d_weight(x: NDArray, g: NDArray, geo: Geometry, pattern: Pattern | None = None) -> NDArray:
    """x: (N, C, H, W), g: (N, O, OH, OW) or, of what the pattern wants, (N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    if isinstance(pattern, Mask):
        return conv2d_weight(x, masked(pattern.beside(g), pattern.at).reshape(g.shape), geo)
    if pattern is None and geo.is_product:
        return product(_matrix(g).T, _matrix(x)).reshape(g.shape[1], *x.shape[1:])
    shape = (g.shape[1], x.shape[1] // geo.groups, *geo.kernel)
    sizes, tap, lane = layout(geo, shape[1], shape[0] // geo.groups, VECTOR_BYTES // x.itemsize)
    together = max(1, SUMMED_BYTES // (x.itemsize * (sizes.area + sizes.lanes + sizes.outputs * lane.size)))
    columns = -(-sizes.outputs // sizes.vector) * sizes.vector
    x_ = flat(x)
    g_ = flat(g)
    at = _positions(pattern, geo.groups)
    total = np.zeros(geo.groups * sizes.taps * columns, x.dtype)

    def work(begin: int, end: int) -> NDArray:
        w = np.empty_like(total)
        _filters(x_, g_, at, w, tap, lane, sizes, together, begin, end)
        return w

    add_each(total, len(x), math.prod(shape) * lane.size, work, held=total.nbytes)
    w = total.reshape(geo.groups, sizes.taps, columns)[:, :, : sizes.outputs].swapaxes(1, 2)
    return np.ascontiguousarray(w).reshape(shape)
