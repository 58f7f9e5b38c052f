"""softmax and its relatives on the GPU: a thread for each row, where they are rows of few classes."""

from __future__ import annotations

from tinygrad2.kernels import reference
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.cuda.launch import run

MOST = 128  # classes: a thread walks over them one after the other


def softmax(x: Array, axis: int) -> Array:
    """y, of x's shape."""
    return _rows("softmax", x) if _fit(axis, x) else reference.softmax(x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    """log y, of x's shape."""
    return _rows("log_softmax", x) if _fit(axis, x) else reference.log_softmax(x, axis)


def centered(x: Array, g: Array, axis: int) -> Array:
    """g - Σ y g, of x's shape."""
    return _rows("centered", x, g) if _fit(axis, x, g) else reference.centered(x, g, axis)


def unmixed(x: Array, u: Array, axis: int) -> Array:
    """u - y Σ u, of x's shape."""
    return _rows("unmixed", x, u) if _fit(axis, x, u) else reference.unmixed(x, u, axis)


def _fit(axis: int, x: Array, *others: Array) -> bool:
    """Whether the axis is the last one, and short, and all have one shape."""
    return axis in (-1, x.ndim - 1) and 0 < x.shape[-1] <= MOST and all(a.shape == x.shape for a in others)


def _rows(name: str, x: Array, *others: Array) -> Array:
    module = xp(x)
    y = module.empty(x.shape, x.dtype)
    run(name, (x.shape[-1],), x.size // x.shape[-1], (*map(module.ascontiguousarray, (x, *others)), y))
    return y
