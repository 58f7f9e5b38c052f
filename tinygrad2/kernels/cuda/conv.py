"""Convolution on the GPU: windows become columns, and one matrix product of cuBLAS does the arithmetic.

One idea: with the planes of all images side by side, (channels, images * plane), one product serves the whole batch.
Kernels bring planes into that order and back, and on the way drop what a mask drops, or pick and place what a pool
chose. Images come in parts, so that the columns of a part are still in the GPU's cache when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.cuda.launch import run
from tinygrad2.kernels.cuda.pattern import pick, place
from tinygrad2.kernels.cuda.select import masked
from tinygrad2.kernels.cuda.window import numbers
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.pattern import Mask, Pattern

COLUMNS = 1 << 28  # bytes of columns of a part of the images: with fewer, an H100 waits for the next kernel


def conv2d(x: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (K*N, C, H, W), w: (O, C/groups, kh, kw) -> (K*N, O, OH, OW), or what is wanted of it, (K*N, O, PH, PW)."""
    if not x.size or not w.size:
        return reference.conv2d(x, w, geo, pattern)
    if geo.is_product and not _picks(pattern):
        y = _rows(x).dot(_rows(w).T).reshape(len(x), len(w), 1, 1)
        return _through(y, pattern)
    module = xp(x)
    x = module.ascontiguousarray(x)
    plane = geo.output if pattern is None else pattern.at.shape[2:]
    y = module.empty((len(x), len(w), *plane), x.dtype)
    for part in _parts(x, geo):
        columns = _unfolded(x[part], geo)
        packed = module.empty((geo.groups, len(w) // geo.groups, columns.shape[2]), x.dtype)
        for filters, seen, sums in zip(_matrices(w, geo), columns, packed, strict=True):
            filters.dot(seen, sums)
        _unpack(packed, y[part], geo, pattern, part.start)
    return y


def conv2d_input(g: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """g: (K*N, O, OH, OW) or what is wanted of it, (K*N, O, PH, PW); w: (O, C/groups, kh, kw) -> (K*N, C, H, W)."""
    if not g.size or not w.size:
        return reference.conv2d_input(g, w, geo, pattern)
    channels = w.shape[1] * geo.groups
    if geo.is_product and not _picks(pattern):
        return _rows(_through(g, pattern)).dot(_rows(w)).reshape(len(g), channels, *geo.input)
    module = xp(g)
    x = module.empty((len(g), channels, *geo.input), g.dtype)
    for part in _parts(x, geo):
        packed = _packed(g[part], geo, pattern, part.start)
        columns = module.empty((geo.groups, math.prod(w.shape[1:]), packed.shape[2]), g.dtype)
        for filters, given, seen in zip(_matrices(w, geo), packed, columns, strict=True):
            filters.T.dot(given, seen)
        _fold(columns, x[part], geo)
    return x


def conv2d_weight(x: Array, g: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (K*N, C, H, W), g: (K*N, O, OH, OW) or what is wanted of it, (K*N, O, PH, PW) -> (O, C/groups, kh, kw)."""
    if not x.size or not g.size:
        return reference.conv2d_weight(x, g, geo, pattern)
    channels = x.shape[1] // geo.groups
    if geo.is_product and not _picks(pattern):
        return _rows(_through(g, pattern)).T.dot(_rows(x)).reshape(g.shape[1], channels, *geo.kernel)
    module = xp(x)
    x = module.ascontiguousarray(x)
    sums = (_correlated(_unfolded(x[part], geo), _packed(g[part], geo, pattern, part.start)) for part in _parts(x, geo))
    return reduce(module.add, sums).reshape(g.shape[1], channels, *geo.kernel)


def _correlated(columns: Array, packed: Array) -> Array:
    """columns: (groups, C/groups*kh*kw, P), packed: (groups, O/groups, P) -> (groups, O/groups, C/groups*kh*kw)."""
    sums = xp(columns).empty((len(packed), packed.shape[1], columns.shape[1]), columns.dtype)
    for given, seen, into in zip(packed, columns, sums, strict=True):
        given.dot(seen.T, into)
    return sums


def _picks(pattern: Pattern | None) -> bool:
    """Whether the wanted planes are not the whole ones."""
    return pattern is not None and not isinstance(pattern, Mask)


def _through(a: Array, pattern: Pattern | None) -> Array:
    """a: (K*N, O, OH, OW), 0 where a mask drops it."""
    return a if pattern is None else masked(pattern.beside(a), pattern.at).reshape(a.shape)  # type: ignore[union-attr]


def _rows(a: Array) -> Array:
    return a.reshape(a.shape[0], math.prod(a.shape[1:]))


def _matrices(w: Array, geo: Geometry) -> Array:
    """w: (O, C/groups, kh, kw) -> (groups, O/groups, C/groups*kh*kw)."""
    return w.reshape(geo.groups, w.shape[0] // geo.groups, math.prod(w.shape[1:]))


def _parts(x: Array, geo: Geometry) -> Iterator[slice]:
    """The images in parts. x: (K*N, C, H, W)."""
    one = x.shape[1] * math.prod(geo.kernel) * math.prod(geo.output) * x.itemsize
    step = max(1, COLUMNS // one)
    return (slice(start, min(start + step, len(x))) for start in range(0, len(x), step))


def _unfolded(x: Array, geo: Geometry) -> Array:
    """x: (n, C, H, W) -> columns (groups, C/groups*kh*kw, n*OH*OW) (im2col)."""
    n, channels = x.shape[:2]
    pixels = math.prod(geo.output)
    columns = xp(x).empty((geo.groups, channels // geo.groups * math.prod(geo.kernel), n * pixels), x.dtype)
    run("unfold", (channels, *numbers(geo)), channels * n * pixels, (x, columns), n)
    return columns


def _fold(columns: Array, x: Array, geo: Geometry) -> None:
    """columns (groups, C/groups*kh*kw, n*OH*OW) -> x: (n, C, H, W), the adjoint of `_unfolded` (col2im)."""
    run("fold", (x.shape[1], *numbers(geo)), x.size, (columns, x), len(x))


def _packed(g: Array, geo: Geometry, pattern: Pattern | None, start: int) -> Array:
    """g: (n, O, ...), from image `start` on -> (groups, O/groups, n*OH*OW), 0 where nothing is wanted."""
    n, outputs = g.shape[:2]
    pixels = math.prod(geo.output)
    module = xp(g)
    g = module.ascontiguousarray(g)
    if pattern is not None and not isinstance(pattern, Mask):
        packed = module.zeros((outputs, n, pixels), g.dtype)
        place(g, pattern.at, packed, pixels, n * pixels, start)
    else:
        packed = module.empty((outputs, n, pixels), g.dtype)
        _move("pack", g, packed, pattern, (n, outputs, pixels), start)
    return packed.reshape(geo.groups, outputs // geo.groups, n * pixels)


def _unpack(packed: Array, y: Array, geo: Geometry, pattern: Pattern | None, start: int) -> None:
    """The adjoint of `_packed`: (groups, O/groups, n*OH*OW) -> y: (n, O, ...), from image `start` on."""
    n, outputs = y.shape[:2]
    pixels = math.prod(geo.output)
    if pattern is not None and not isinstance(pattern, Mask):
        pick(packed, pattern.at, y, pixels, n * pixels, start)
    else:
        _move("unpack", packed, y, pattern, (n, outputs, pixels), start)


def _move(name: str, a: Array, to: Array, mask: Mask | None, sizes: tuple[int, int, int], start: int) -> None:
    """Bring planes from one order into the other. sizes: images, channels, pixels; start: the first image."""
    n, outputs, pixels = sizes
    if mask is None:
        run(name, (outputs, pixels, 0), to.size, (a, a, to), n, 0, 0)  # any address will do where no mask is
    else:
        at = xp(to).ascontiguousarray(mask.at)
        run(name, (outputs, pixels, 1), to.size, (a, at, to), n, at.size, start * outputs * pixels % at.size)
