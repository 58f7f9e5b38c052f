"""Every kernel in its plainest form, for NumPy and CuPy arrays of any dtype: the meaning the fast paths must meet.

One idea: `unfold` copies each window into a column and `fold`, its adjoint, adds columns back where windows overlap.
Convolution is one matrix product between the two; pooling is a choice or a mean of window entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad2.kernels.arrays import Array, index_add, xp
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.pattern import Mask, Pattern
from tinygrad2.kernels.softmax import centered, log_softmax, softmax, unmixed

__all__ = [
    "avg_pool2d",
    "avg_unpool2d",
    "centered",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "log_softmax",
    "masked",
    "pool_argmax",
    "pool_gather",
    "pool_scatter",
    "product",
    "softmax",
    "unmixed",
]


def offsets(geo: Geometry) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """(i, j, index) for every kernel entry; `padded[..., *index]` is what that entry sees, shape (..., OH, OW)."""
    (sh, sw), (dh, dw), (oh, ow) = geo.stride, geo.dilation, geo.output
    for i in range(geo.kernel[0]):
        for j in range(geo.kernel[1]):
            rows = slice(i * dh, i * dh + sh * oh, sh)
            columns = slice(j * dw, j * dw + sw * ow, sw)
            yield i, j, (rows, columns)


def inside(geo: Geometry) -> tuple[slice, slice]:
    """Where the image lies in the padded image."""
    (top, _), (left, _) = geo.padding
    return slice(top, top + geo.input[0]), slice(left, left + geo.input[1])


def pad(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W), with its border of zeros."""
    if geo.padded == geo.input:
        return x
    padded = xp(x).zeros(x.shape[:2] + geo.padded, x.dtype)
    padded[(..., *inside(geo))] = x
    return padded


def unfold(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W) -> columns (N, groups, C/groups*kh*kw, OH*OW) (im2col)."""
    n, c = x.shape[:2]
    padded = pad(x, geo)
    columns = xp(x).empty((n, c, *geo.kernel, *geo.output), x.dtype)
    for i, j, seen in offsets(geo):
        columns[:, :, i, j] = padded[(..., *seen)]
    return columns.reshape(n, geo.groups, c // geo.groups * math.prod(geo.kernel), geo.output[0] * geo.output[1])


def fold(columns: Array, geo: Geometry, channels: int) -> Array:
    """columns: (N, groups, C/groups*kh*kw, OH*OW) -> (N, C, H, W): the adjoint of `unfold` (col2im)."""
    n = columns.shape[0]
    columns = columns.reshape(n, channels, *geo.kernel, *geo.output)
    padded = xp(columns).zeros((n, channels, *geo.padded), columns.dtype)
    for i, j, seen in offsets(geo):
        padded[(..., *seen)] += columns[:, :, i, j]
    return xp(columns).ascontiguousarray(padded[(..., *inside(geo))])


def _matrix(w: Array, geo: Geometry) -> Array:
    """w: (O, C/groups, kh, kw) -> (groups, O/groups, C/groups*kh*kw)."""
    return w.reshape(geo.groups, w.shape[0] // geo.groups, w.shape[1] * math.prod(geo.kernel))


def _pixels(g: Array, geo: Geometry) -> Array:
    """g: (N, O, OH, OW) -> (N, groups, O/groups, OH*OW)."""
    return g.reshape(g.shape[0], geo.groups, g.shape[1] // geo.groups, math.prod(geo.output))


def _planes(a: Array, at: Array) -> tuple[Array, Array]:
    """a: (K*N, O, h, w), at: (N, O, PH, PW) -> (K, N*O, h*w) and (N*O, PH*PW)."""
    planes = at.shape[0] * at.shape[1]
    values = a.reshape(a.shape[0] // max(at.shape[0], 1), planes, a.shape[2] * a.shape[3])
    return values, at.reshape(planes, at.shape[2] * at.shape[3])


def _only(y: Array, pattern: Pattern | None) -> Array:
    """y: (K*N, O, OH, OW) -> what is wanted of it, (K*N, O, PH, PW); 0 where an entry is dropped."""
    if pattern is None:
        return y
    at = pattern.at
    if isinstance(pattern, Mask):
        return masked(pattern.beside(y), at).reshape(y.shape)
    values, places = _planes(y, at)
    found = xp(y).where(places < 0, y.dtype.type(0), pool_gather(values, places.clip(0)))
    return found.reshape(y.shape[0], *at.shape[1:])


def _all(g: Array, pattern: Pattern | None, geo: Geometry) -> Array:
    """The adjoint of `_only`. g: (K*N, O, PH, PW) -> (K*N, O, OH, OW)."""
    if pattern is None:
        return g
    at = pattern.at
    if isinstance(pattern, Mask):
        return masked(pattern.beside(g), at).reshape(g.shape)
    values, places = _planes(g, at)
    kept = xp(g).where(places < 0, g.dtype.type(0), values)
    return pool_scatter(kept, places.clip(0), math.prod(geo.output)).reshape(*g.shape[:2], *geo.output)


def conv2d(x: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (N, C, H, W), w: (O, C/groups, kh, kw) -> (N, O, OH, OW), or what the pattern wants of it."""
    y = (_matrix(w, geo) @ unfold(x, geo)).reshape(x.shape[0], w.shape[0], *geo.output)
    return _only(y, pattern)


def conv2d_input(g: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """g: (N, O, OH, OW) or what the pattern wants of it, w: (O, C/groups, kh, kw) -> (N, C, H, W)."""
    g = _all(g, pattern, geo)
    columns = _matrix(w, geo).swapaxes(1, 2) @ _pixels(g, geo)
    return fold(columns, geo, w.shape[1] * geo.groups)


def conv2d_weight(x: Array, g: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (N, C, H, W), g: (N, O, OH, OW) or what the pattern wants of it -> (O, C/groups, kh, kw)."""
    g = _all(g, pattern, geo)
    products = _pixels(g, geo) @ unfold(x, geo).swapaxes(2, 3)
    return products.sum(axis=0, dtype=products.dtype).reshape(g.shape[1], x.shape[1] // geo.groups, *geo.kernel)


def product(a: Array, b: Array, sharing: int = 1) -> Array:
    """a: (M, K), b: (K, N) -> (M, N). sharing: a hint that changes nothing here."""
    return a @ b


def masked(g: Array, m: Array) -> Array:
    """g: (..., *m.shape) times the mask m, bool or weights; 0 where it is 0, even if g is infinite or nan there."""
    nothing = g.dtype.type(0)
    if m.dtype.kind == "b":
        return xp(g).where(m, g, nothing)
    return xp(g).where(m == 0, nothing, g * m.astype(g.dtype, copy=False))


def pool_argmax(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W) -> (N, C, OH, OW) int32 positions in H*W; the first maximum wins, a NaN is a maximum."""
    module = xp(x)
    width = geo.input[1]
    values = pad(x.real, geo)
    inner = module.zeros(geo.padded, bool)
    inner[inside(geo)] = True
    position = module.zeros(geo.padded, "int32")
    position[inside(geo)] = module.arange(geo.input[0] * width, dtype="int32").reshape(geo.input)
    best = module.zeros(x.shape[:2] + geo.output, values.dtype)
    winner = module.full(x.shape[:2] + geo.output, -1, "int32")
    for _, _, seen in offsets(geo):
        value = values[(..., *seen)]
        wins = inner[seen] & ((winner < 0) | (value > best) | ((value != value) & (best == best)))
        best = module.where(wins, value, best)
        winner = module.where(wins, position[seen], winner)
    return winner


def pool_gather(x: Array, idx: Array) -> Array:
    """x: (L, M, H*W), idx: (M, P) -> (L, M, P): what each window chose, for all L at once."""
    return xp(x).ascontiguousarray(x[:, xp(x).arange(idx.shape[0])[:, None], idx])


def pool_scatter(g: Array, idx: Array, size: int) -> Array:
    """g: (L, M, P), idx: (M, P) -> (L, M, size): the adjoint of `pool_gather`."""
    key = (slice(None), xp(g).arange(idx.shape[0])[:, None], idx)
    return index_add((g.shape[0], idx.shape[0], size), key, g)


def avg_pool2d(x: Array, geo: Geometry) -> Array:
    """x: (N, C, H, W) -> (N, C, OH, OW): window means, padding counted as zeros."""
    padded = pad(x, geo)
    total = xp(x).zeros(x.shape[:2] + geo.output, x.dtype)
    for _, _, seen in offsets(geo):
        total += padded[(..., *seen)]
    total /= math.prod(geo.kernel)
    return total


def avg_unpool2d(g: Array, geo: Geometry) -> Array:
    """g: (N, C, OH, OW) -> (N, C, H, W): the adjoint of `avg_pool2d`."""
    share = g / (math.prod(geo.kernel))
    padded = xp(g).zeros(g.shape[:2] + geo.padded, g.dtype)
    for _, _, seen in offsets(geo):
        padded[(..., *seen)] += share
    return xp(g).ascontiguousarray(padded[(..., *inside(geo))])
