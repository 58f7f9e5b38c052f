"""Exercises on convolution and its adjoint, the transposed convolution. Every output entry sees a window of the input.

First come the two functions that all of them are written with: `windows`, and its adjoint `spread`.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.ops import functional
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space

SMALL = {"n": (1, 2), "c": (1, 3), "o": (1, 3), "h": (1, 6), "w": (1, 6), "kh": (1, 3), "kw": (1, 3)}
FLIP = {"flip": "You computed a convolution; the forward pass is a cross-correlation (or the other way round)."}


def windows(x: Array, kh: int, kw: int, stride: int = 1, padding: int = 0) -> Array:
    """What each output entry sees. x: (n, c, h, w); result: (n, c, oh, ow, kh, kw)."""
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    view = np.lib.stride_tricks.sliding_window_view(np.pad(x, border), (kh, kw), (2, 3))
    return view[:, :, ::stride, ::stride]


def spread(v: Array, size: tuple[int, int], stride: int = 1, padding: int = 0) -> Array:
    """The adjoint of `windows`: entries added back where windows overlap. v: (n, c, oh, ow, kh, kw); size: (h, w)."""
    n, c, oh, ow, kh, kw = v.shape
    wide = np.zeros((n, c, size[0] + 2 * padding, size[1] + 2 * padding), v.dtype)
    for i in range(kh):
        for j in range(kw):
            wide[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += v[..., i, j]
    return wide[:, :, padding : padding + size[0], padding : padding + size[1]]


# --- convolution


def conv2d(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0) -> Array:
    """Cross-correlation. x: (n, c, h, w); w: (o, c, kh, kw); b: (o,); result: (n, o, oh, ow)."""
    return np.einsum("nchwij,ocij->nohw", windows(x, w.shape[2], w.shape[3], stride, padding), w) + b[:, None, None]


def conv2d_dx(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Every g entry sends a copy of the kernel back to its window. g: (n, o, oh, ow); result: (n, c, h, w)."""
    return spread(np.einsum("nohw,ocij->nchwij", g, w), x.shape[2:], stride, padding)


def conv2d_dw(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Every kernel entry collects what it met, times g. g: (n, o, oh, ow); result: (o, c, kh, kw)."""
    return np.einsum("nchwij,nohw->ocij", windows(x, w.shape[2], w.shape[3], stride, padding), g)


def conv2d_db(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """b[o] is added at every position of every sample. g: (n, o, oh, ow); result: (o,)."""
    return g.sum((0, 2, 3))


def conv2d_vjp(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int) -> tuple[Array, Array, Array]:
    """dx, dw and db. g: (n, o, oh, ow)."""
    dx = spread(np.einsum("nohw,ocij->nchwij", g, w), x.shape[2:], stride, padding)
    dw = np.einsum("nchwij,nohw->ocij", windows(x, w.shape[2], w.shape[3], stride, padding), g)
    return dx, dw, g.sum((0, 2, 3))


def _kernel_fits(h: int, w: int, kh: int, kw: int, padding: int, **_: int) -> bool:
    return kh <= h + 2 * padding and kw <= w + 2 * padding


CONV2D = Exercise(
    "conv2d",
    "y = conv2d(x, w) + b.",
    forward=conv2d,
    solution=conv2d_vjp,
    hints=(
        "Convolution is linear in x, in w and in b: ⟨y, g⟩ is one sum over n, o, c, output and kernel positions.",
        "y[n,o,h,w] = Σ x[n,c, h·s + i - p, w·s + j - p] · w[o,c,i,j] + b[o].",
        "dw pairs windows of x with g; dx adds w·g back where each window was; db sums g over n, h, w.",
    ),
    wrt=("x", "w", "b"),
    space=Space("n c h w, o c kh kw, o", {"stride": [1, 2], "padding": [0, 1]}, SMALL, valid=_kernel_fits),
    difficulty="hard",
    remarks=FLIP,
    operations=lambda x, w, b, stride, padding: functional.conv2d(x, w, b, stride, padding),
)
CONV2D_DX = CONV2D.part(
    "x",
    conv2d_dx,
    hints=(
        "Each x entry is seen by several windows: their contributions add.",
        "dx[n,c,h',w'] = Σ g[n,o,h,w] w[o,c,i,j] over all h·s + i - p = h'.",
        "Add g·w[:, :, i, j] to dx at rows i - p + s·h: a transposed convolution.",
    ),
)
CONV2D_DW = CONV2D.part(
    "w",
    conv2d_dw,
    hints=(
        "w[i,j] meets the same entry of every window.",
        "dw[o,c,i,j] = Σ x[n,c, h·s + i - p, w·s + j - p] g[n,o,h,w].",
        "dw = einsum('nchwij,nohw->ocij', windows(x), g): nothing is flipped.",
    ),
    difficulty="medium",
)
CONV2D_DB = CONV2D.part(
    "b",
    conv2d_db,
    hints=(
        "b[o] is added at every position of every sample.",
        "Sum over all axes but the channel.",
        "db = g.sum((0, 2, 3))",
    ),
    difficulty="easy",
)

# --- transposed convolution


def conv_transpose2d(x: Array, w: Array, stride: int = 1) -> Array:
    """The adjoint of conv2d. x: (n, o, h, w); w: (o, c, kh, kw); result: (n, c, (h-1)·stride + kh, ...)."""
    height = (x.shape[2] - 1) * stride + w.shape[2]
    width = (x.shape[3] - 1) * stride + w.shape[3]
    return spread(np.einsum("nohw,ocij->nchwij", x, w), (height, width), stride)


def conv_transpose2d_dx(g: Array, x: Array, w: Array, stride: int) -> Array:
    """A plain convolution of g. g: (n, c, ...); result: (n, o, h, w)."""
    return np.einsum("nchwij,ocij->nohw", windows(g, w.shape[2], w.shape[3], stride), w)


def conv_transpose2d_dw(g: Array, x: Array, w: Array, stride: int) -> Array:
    """As for conv2d, with x and g in exchanged roles. g: (n, c, ...); result: (o, c, kh, kw)."""
    return np.einsum("nchwij,nohw->ocij", windows(g, w.shape[2], w.shape[3], stride), x)


def conv_transpose2d_vjp(g: Array, x: Array, w: Array, stride: int) -> tuple[Array, Array]:
    """dx and dw. g: (n, c, (h-1)·stride + kh, ...)."""
    seen = windows(g, w.shape[2], w.shape[3], stride)
    return np.einsum("nchwij,ocij->nohw", seen, w), np.einsum("nchwij,nohw->ocij", seen, x)


CONV_TRANSPOSE2D = Exercise(
    "conv_transpose2d",
    "y = the adjoint of conv2d, applied to x.",
    forward=conv_transpose2d,
    solution=conv_transpose2d_vjp,
    hints=(
        "The adjoint of the adjoint is the map itself.",
        "dx is a plain conv2d of g with the same w and stride.",
        "dx = Σ windows(g) w; dw pairs windows of g with x.",
    ),
    wrt=("x", "w"),
    space=Space("n o h w, o c kh kw", {"stride": [1, 2]}, {**SMALL, "h": (1, 4), "w": (1, 4)}),
    difficulty="hard",
    remarks=FLIP,
)
CONV_TRANSPOSE2D_DX = CONV_TRANSPOSE2D.part(
    "x",
    conv_transpose2d_dx,
    hints=("What is the adjoint of an adjoint?", "Every x entry writes a window of y.", "dx = conv2d(g, w)."),
    difficulty="medium",
)
CONV_TRANSPOSE2D_DW = CONV_TRANSPOSE2D.part(
    "w",
    conv_transpose2d_dw,
    hints=(
        "⟨y, g⟩ = ⟨x, conv2d(g, w)⟩.",
        "The same sum as for conv2d, x and g in exchanged roles.",
        "dw = einsum('nchwij,nohw->ocij', windows(g), x).",
    ),
)

EXERCISES = (
    CONV2D,
    CONV2D_DX,
    CONV2D_DW,
    CONV2D_DB,
    CONV_TRANSPOSE2D,
    CONV_TRANSPOSE2D_DX,
    CONV_TRANSPOSE2D_DW,
)
