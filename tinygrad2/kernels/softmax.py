"""softmax, its relatives and their derivatives, exact to the last places of float32 for logits of any size.

A difference of two large float32 numbers is rounded, and its exponential multiplies that error by the difference. So
the work is done in float64, after the largest logit has been subtracted, which changes no result:

    y_i = e^(x_i - m) / Σ e^(x_j - m),   log y_i = (x_i - m) - log Σ e^(x_j - m),   m = max x.

The term of the maximum is 1, and the sum of the others, `rest`, can be much smaller than 1. It is never added to 1
where that would lose it: log(1 + rest) is log1p(rest), and 1 - y_m is rest / (1 + rest). So p - 1 is exact for a
confident net.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad2.kernels.arrays import Array, xp


class _Shifted(NamedTuple):
    """x - m along an axis, in float64 (or complex128, for the complex step)."""

    is_max: Array  # bools, x's shape: True at the first maximum only
    top: Array  # m, with 1 along the axis
    below: Array  # x - m
    e: Array  # exp(x - m), 1 at the maximum
    rest: Array  # the sum of the other entries of e


def _wide(a: Array) -> Array:
    return a if a.dtype.kind == "c" else a.astype(np.float64)


def _as(a: Array, like: Array) -> Array:
    """a in the dtype of `like`; complex numbers stay complex."""
    return a if a.dtype.kind == "c" else a.astype(like.dtype)


def _shifted(x: Array, axis: int) -> _Shifted:
    module = xp(x)
    wide = _wide(x)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    is_max = module.arange(x.shape[axis]).reshape(shape) == np.expand_dims(x.real.argmax(axis), axis)
    top = np.where(is_max, wide, 0).sum(axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # inf - inf is nan, as it should be
        below = wide - top
    e = np.exp(below)
    return _Shifted(is_max, top, below, e, np.where(is_max, 0, e).sum(axis, keepdims=True))


def softmax(x: Array, axis: int) -> Array:
    """y, of x's shape: numbers in [0, 1] whose sum along the axis is 1."""
    s = _shifted(x, axis)
    return _as(s.e / (1 + s.rest), x)


def log_softmax(x: Array, axis: int) -> Array:
    """log y, of x's shape."""
    s = _shifted(x, axis)
    return _as(s.below - np.log1p(s.rest), x)


def logsumexp(x: Array, axis: int) -> Array:
    """log Σ e^x, with 1 along the axis."""
    s = _shifted(x, axis)
    return _as(np.where(np.isfinite(s.top), s.top + np.log1p(s.rest), s.top), x)


def centered(x: Array, g: Array, axis: int) -> Array:
    """g - Σ y g, of x's shape. Around g at the maximum, which has most of the weight, so that little cancels."""
    s = _shifted(x, axis)
    with np.errstate(invalid="ignore"):
        d = _wide(g) - np.where(s.is_max, _wide(g), 0).sum(axis, keepdims=True)
        y = np.where(s.is_max, 0, s.e / (1 + s.rest))
        return _as(d - np.where(y == 0, 0, y * d).sum(axis, keepdims=True), g)


def unmixed(x: Array, u: Array, axis: int) -> Array:
    """u - y Σ u, of x's shape, as (1 - y) u - y (Σ u - u)."""
    s = _shifted(x, axis)
    y = s.e / (1 + s.rest)
    others = np.where(s.is_max, s.rest / (1 + s.rest), 1 - y)
    wide = _wide(u)
    with np.errstate(invalid="ignore"):
        return _as(others * wide - y * (wide.sum(axis, keepdims=True) - wide), u)
