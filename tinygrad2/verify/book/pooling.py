"""Exercises on pooling: the maximum of each window, its mean, and putting entries back where a maximum was."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.ops import functional
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.book.convolution import SMALL, spread, windows
from tinygrad2.verify.space import Sizes, Space

POOL = Space("n c h w", {"size": [2, 3], "stride": [2, 1]}, SMALL, valid=lambda h, w, size, **_: size <= min(h, w))

# --- max pooling


def max_pool2d(x: Array, size: int = 2, stride: int = 2) -> Array:
    """The maximum of each window. x: (n, c, h, w); result: (n, c, oh, ow)."""
    seen = windows(x, size, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    return np.take_along_axis(flat, flat.real.argmax(-1)[..., None], -1)[..., 0]


def max_pool2d_vjp(g: Array, x: Array, size: int, stride: int) -> Array:
    """Each g goes back to the entry that won its window. g: (n, c, oh, ow); result: (n, c, h, w)."""
    seen = windows(x, size, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    won = flat.argmax(-1)[..., None] == np.arange(flat.shape[-1])
    return spread((g[..., None] * won).reshape(seen.shape), x.shape[2:], stride)


def max_pool2d_saved(x: Array, size: int, stride: int) -> dict[str, Array]:
    """In how many windows each entry won."""
    ones = np.ones_like(max_pool2d(x, size, stride))
    return {"windows where x won": max_pool2d_vjp(ones, x, size, stride)}


MAX_POOL2D = Exercise(
    "max_pool2d",
    "y = the maximum of each window.",
    forward=max_pool2d,
    solution=max_pool2d_vjp,
    hints=(
        "Only the entry that won has influence.",
        "Remember where each maximum was; windows may overlap.",
        "dx = zeros; add each g at its window's argmax.",
    ),
    wrt=("x",),
    space=POOL,
    difficulty="medium",
    saved=max_pool2d_saved,
    operations=lambda x, size, stride: functional.max_pool2d(x, size, stride),
)

# --- average pooling


def avg_pool2d(x: Array, size: int = 2, stride: int = 2) -> Array:
    """The mean of each window. x: (n, c, h, w); result: (n, c, oh, ow)."""
    return windows(x, size, size, stride).mean((-2, -1))


def avg_pool2d_vjp(g: Array, x: Array, size: int, stride: int) -> Array:
    """Each g is shared by all entries of its window. g: (n, c, oh, ow); result: (n, c, h, w)."""
    share = np.broadcast_to(g[..., None, None] / size**2, (*g.shape, size, size))
    return spread(share, x.shape[2:], stride)


AVG_POOL2D = Exercise(
    "avg_pool2d",
    "y = the mean of each window.",
    forward=avg_pool2d,
    solution=avg_pool2d_vjp,
    hints=(
        "Each entry of a window has the same influence.",
        "It is 1/size².",
        "Spread g/size² over each window; overlapping windows add.",
    ),
    wrt=("x",),
    space=POOL,
    difficulty="medium",
    operations=lambda x, size, stride: functional.avg_pool2d(x, size, stride),
)

# --- unpooling


def unpool(y: Array, at: Array) -> Array:
    """y put at its places in a plane of twice the size, zeros elsewhere. y, at: (n, c, h, w); at counts in 2h·2w."""
    n, c, h, w = y.shape
    plane = np.zeros((n, c, 4 * h * w), y.dtype)
    np.put_along_axis(plane, at.reshape(n, c, -1), y.reshape(n, c, -1), -1)
    return plane.reshape(n, c, 2 * h, 2 * w)


def unpool_vjp(g: Array, y: Array, at: Array) -> Array:
    """The adjoint of putting is taking. g: (n, c, 2h, 2w); result: (n, c, h, w)."""
    n, c = y.shape[:2]
    return np.take_along_axis(g.reshape(n, c, -1), at.reshape(n, c, -1), -1).reshape(y.shape)


def places(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> Array:
    """Where the maxima were: for each entry a place in its own 2×2 window, counted in the plane of 2h × 2w."""
    h, w = shape[2:]
    i, j = rng.integers(0, 2, (2, *shape))
    return (2 * np.arange(h)[:, None] + i) * 2 * w + 2 * np.arange(w) + j


UNPOOL = Exercise(
    "unpool",
    "The result holds the entries of y at given places, zeros elsewhere.",
    forward=unpool,
    solution=unpool_vjp,
    hints=("Where did each entry go?", "The adjoint of putting is taking.", "dy = g taken at the places `at`."),
    wrt=("y",),
    space=Space("n c h w, n c h w", sizes={"n": (1, 2), "c": (1, 2)}, draws={1: places}),
    difficulty="medium",
    saved=lambda y, at: {"places taken": unpool(np.ones_like(y), at)},
)

EXERCISES = (MAX_POOL2D, AVG_POOL2D, UNPOOL)
