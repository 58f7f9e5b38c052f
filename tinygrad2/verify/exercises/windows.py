"""Sliding windows: convolution, its transpose, and pooling. Every output entry sees a window of the input."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.core import Exercise, parts, register
from tinygrad2.verify.space import Sizes, Space


def pad(x: Array, p: int) -> Array:
    """x: (n, c, h, w) with a border of p zeros."""
    n, c, h, w = x.shape
    wide = np.zeros((n, c, h + 2 * p, w + 2 * p), x.dtype)
    wide[:, :, p : p + h, p : p + w] = x
    return wide


def windows(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    """What each output entry sees. x: (n, c, h, w); result: (n, c, oh, ow, kh, kw)."""
    view = np.lib.stride_tricks.sliding_window_view(pad(x, padding), (kh, kw), (2, 3))
    return view[:, :, ::stride, ::stride]


def spread(v: Array, size: tuple[int, int], stride: int = 1, padding: int = 0) -> Array:
    """The adjoint of `windows`: entries added back where windows overlap. v: (n, c, oh, ow, kh, kw); size: (h, w)."""
    n, c, oh, ow, kh, kw = v.shape
    wide = np.zeros((n, c, size[0] + 2 * padding, size[1] + 2 * padding), v.dtype)
    for i in range(kh):
        for j in range(kw):
            wide[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += v[..., i, j]
    return wide[:, :, padding : padding + size[0], padding : padding + size[1]]


def conv2d(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0) -> Array:
    """Cross-correlation. x: (n, c, h, w); w: (o, c, kh, kw); b: (o,); result: (n, o, oh, ow)."""
    return np.einsum("nchwij,ocij->nohw", windows(x, w.shape[2], w.shape[3], stride, padding), w) + b[:, None, None]


def _conv2d_rule(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int) -> tuple[Array, Array, Array]:
    dx = spread(np.einsum("nohw,ocij->nchwij", g, w), x.shape[2:], stride, padding)
    dw = np.einsum("nchwij,nohw->ocij", windows(x, w.shape[2], w.shape[3], stride, padding), g)
    return dx, dw, g.sum((0, 2, 3))


def conv_transpose2d(x: Array, w: Array, stride: int = 1) -> Array:
    """The adjoint of conv2d. x: (n, o, h, w); w: (o, c, kh, kw); result: (n, c, (h-1)·stride + kh, ...)."""
    size = tuple((n - 1) * stride + k for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    return spread(np.einsum("nohw,ocij->nchwij", x, w), size, stride)


def _transpose_rule(g: Array, x: Array, w: Array, stride: int) -> tuple[Array, Array]:
    seen = windows(g, w.shape[2], w.shape[3], stride)
    return np.einsum("nchwij,ocij->nohw", seen, w), np.einsum("nchwij,nohw->ocij", seen, x)


def max_pool2d(x: Array, size: int = 2, stride: int = 2) -> Array:
    """The maximum of each window. x: (n, c, h, w)."""
    seen = windows(x, size, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    return np.take_along_axis(flat, flat.real.argmax(-1)[..., None], -1)[..., 0]


def _max_pool_rule(g: Array, x: Array, size: int, stride: int) -> Array:
    seen = windows(x, size, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    first = flat.real.argmax(-1)[..., None] == np.arange(flat.shape[-1])
    return spread((g[..., None] * first).reshape(seen.shape), x.shape[2:], stride)


def avg_pool2d(x: Array, size: int = 2, stride: int = 2) -> Array:
    """The mean of each window. x: (n, c, h, w)."""
    return windows(x, size, size, stride).mean((-2, -1))


def _avg_pool_rule(g: Array, x: Array, size: int, stride: int) -> Array:
    share = np.broadcast_to(g[..., None, None] / size**2, (*g.shape, size, size))
    return spread(share, x.shape[2:], stride)


def unpool(y: Array, at: Array) -> Array:
    """y put at its places in a plane of twice the size, zeros elsewhere. y, at: (n, c, h, w); at counts in 2h·2w."""
    n, c, h, w = y.shape
    plane = np.zeros((n, c, 4 * h * w), y.dtype)
    np.put_along_axis(plane, at.reshape(n, c, -1), y.reshape(n, c, -1), -1)
    return plane.reshape(n, c, 2 * h, 2 * w)


def places(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> Array:
    """Where the maxima were: for each entry a place in its own 2×2 window, counted in the plane of 2h × 2w."""
    h, w = shape[2:]
    i, j = rng.integers(0, 2, (2, *shape))
    return (2 * np.arange(h)[:, None] + i) * 2 * w + 2 * np.arange(w) + j


SMALL = {"n": (1, 2), "c": (1, 3), "o": (1, 3), "h": (1, 6), "w": (1, 6), "kh": (1, 3), "kw": (1, 3)}
CONV = Space(
    "n c h w, o c kh kw, o",
    {"stride": [1, 2], "padding": [0, 1]},
    SMALL,
    valid=lambda h, w, kh, kw, padding, **_: kh <= h + 2 * padding and kw <= w + 2 * padding,
)
POOL = Space("n c h w", {"size": [2, 3], "stride": [2, 1]}, SMALL, valid=lambda h, w, size, **_: size <= min(h, w))
FLIP = {"flip": "You computed a convolution; the forward pass is a cross-correlation (or the other way round)."}

CONV2D = Exercise(
    "conv2d",
    "y = conv2d(x, w) + b. Derive dx, dw and db from g.",
    conv2d,
    CONV,
    ("x", "w", "b"),
    _conv2d_rule,
    (
        "Convolution is linear in x, in w and in b: ⟨y, g⟩ is one sum over n, o, c, output and kernel positions.",
        "y[n,o,h,w] = Σ x[n,c, h·s + i - p, w·s + j - p] · w[o,c,i,j] + b[o].",
        "dw pairs windows of x with g; dx adds w·g back where each window was; db sums g over n, h, w.",
    ),
    remarks=FLIP,
)
TRANSPOSED = Exercise(
    "conv_transpose2d",
    "y = the adjoint of conv2d, applied to x. Derive dx and dw from g.",
    conv_transpose2d,
    Space("n o h w, o c kh kw", {"stride": [1, 2]}, {**SMALL, "h": (1, 4), "w": (1, 4)}),
    ("x", "w"),
    _transpose_rule,
    (
        "The adjoint of the adjoint is the map itself.",
        "dx is a plain conv2d of g with the same w and stride.",
        "dx = Σ windows(g) w; dw pairs windows of g with x.",
    ),
    remarks=FLIP,
)

register(
    CONV2D,
    *parts(
        CONV2D,
        {
            "x": (
                "y = conv2d(x, w) + b. Derive dx from g.",
                (
                    "Each x entry is seen by several windows: their contributions add.",
                    "dx[n,c,h',w'] = Σ g[n,o,h,w] w[o,c,i,j] over all h·s + i - p = h'.",
                    "Add g·w[:, :, i, j] to dx at rows i - p + s·h: a transposed convolution.",
                ),
            ),
            "w": (
                "y = conv2d(x, w) + b. Derive dw from g.",
                (
                    "w[i,j] meets the same entry of every window.",
                    "dw[o,c,i,j] = Σ x[n,c, h·s + i - p, w·s + j - p] g[n,o,h,w].",
                    "dw = einsum('nchwij,nohw->ocij', windows(x), g): nothing is flipped.",
                ),
            ),
            "b": (
                "y = conv2d(x, w) + b. Derive db from g.",
                (
                    "b[o] is added at every position of every sample.",
                    "Sum over all axes but the channel.",
                    "db = g.sum((0, 2, 3))",
                ),
            ),
        },
    ),
    TRANSPOSED,
    *parts(
        TRANSPOSED,
        {
            "x": (
                "y = the adjoint of conv2d, applied to x. Derive dx from g.",
                ("What is the adjoint of an adjoint?", "Every x entry writes a window of y.", "dx = conv2d(g, w)."),
            ),
            "w": (
                "y = the adjoint of conv2d, applied to x. Derive dw from g.",
                (
                    "⟨y, g⟩ = ⟨x, conv2d(g, w)⟩.",
                    "The same sum as for conv2d, x and g in exchanged roles.",
                    "dw = einsum('nchwij,nohw->ocij', windows(g), x).",
                ),
            ),
        },
    ),
    Exercise(
        "max_pool2d",
        "y = the maximum of each window. Derive dx from g.",
        max_pool2d,
        POOL,
        ("x",),
        _max_pool_rule,
        (
            "Only the entry that won has influence.",
            "Remember where each maximum was; windows may overlap.",
            "dx = zeros; add each g at its window's argmax.",
        ),
        saved=lambda x, size, stride: {
            "windows where x won": _max_pool_rule(np.ones_like(max_pool2d(x, size, stride)), x, size, stride)
        },
    ),
    Exercise(
        "avg_pool2d",
        "y = the mean of each window. Derive dx from g.",
        avg_pool2d,
        POOL,
        ("x",),
        _avg_pool_rule,
        (
            "Each entry of a window has the same influence.",
            "It is 1/size².",
            "Spread g/size² over each window; overlapping windows add.",
        ),
    ),
    Exercise(
        "unpool",
        "y puts the entries of x at given places, zeros elsewhere. Derive dy from g.",
        unpool,
        Space("n c h w, n c h w", sizes={"n": (1, 2), "c": (1, 2)}, draws={1: places}),
        ("y",),
        lambda g, y, at: np.take_along_axis(g.reshape(*g.shape[:2], -1), at.reshape(*at.shape[:2], -1), -1).reshape(
            y.shape
        ),
        ("Where did each entry go?", "The adjoint of putting is taking.", "dy = g taken at the places `at`."),
        saved=lambda y, at: {"places taken": unpool(np.ones_like(y), at)},
    ),
)
