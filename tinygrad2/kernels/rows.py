"""Softmax and its relatives along one axis; `softmax.py` says what they are."""

from __future__ import annotations

from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.choose import implementation


def softmax(x: Array, axis: int) -> Array:
    """y, of x's shape: numbers in [0, 1] whose sum along the axis is 1. x: any shape."""
    return implementation(type(x), x.dtype).softmax(x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    """log y, of x's shape."""
    return implementation(type(x), x.dtype).log_softmax(x, axis)


def centered(x: Array, g: Array, axis: int) -> Array:
    """g - Σ y g. x, g and the result: one shape."""
    return implementation(type(x), x.dtype, g.dtype).centered(x, g, axis)


def unmixed(x: Array, u: Array, axis: int) -> Array:
    """u - y Σ u. x, u and the result: one shape."""
    return implementation(type(x), x.dtype, u.dtype).unmixed(x, u, axis)
