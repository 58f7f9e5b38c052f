"""softmax, its logarithm and the logarithm of the sum, exact to the last places of float32 for logits of any size.

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

from tinygrad2.autodiff import Primitive, Tensor
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.ops.elementwise import multiply, negative
from tinygrad2.ops.reduce import _axes, _finish, _reduced, sum
from tinygrad2.ops.shape import Axis, reshape, transpose

__all__ = ["log_softmax", "logsumexp", "softmax"]


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


def _softmax_array(x: Array, axis: int) -> Array:
    s = _shifted(x, axis)
    return _as(s.e / (1 + s.rest), x)


def _log_softmax_array(x: Array, axis: int) -> Array:
    s = _shifted(x, axis)
    return _as(s.below - np.log1p(s.rest), x)


def _logsumexp_array(x: Array, axis: int) -> Array:
    s = _shifted(x, axis)
    return _as(np.where(np.isfinite(s.top), s.top + np.log1p(s.rest), s.top), x)


def _centered_array(x: Array, g: Array, axis: int) -> Array:
    """g - Σ y g. Around g at the maximum, which has most of the weight, so that little cancels."""
    s = _shifted(x, axis)
    with np.errstate(invalid="ignore"):
        d = _wide(g) - np.where(s.is_max, _wide(g), 0).sum(axis, keepdims=True)
        y = np.where(s.is_max, 0, s.e / (1 + s.rest))
        return _as(d - np.where(y == 0, 0, y * d).sum(axis, keepdims=True), g)


def _unmixed_array(x: Array, u: Array, axis: int) -> Array:
    """u - y Σ u, as (1 - y) u - y (Σ u - u)."""
    s = _shifted(x, axis)
    y = s.e / (1 + s.rest)
    others = np.where(s.is_max, s.rest / (1 + s.rest), 1 - y)
    wide = _wide(u)
    with np.errstate(invalid="ignore"):
        return _as(others * wide - y * (wide.sum(axis, keepdims=True) - wide), u)


# With y = softmax(x): ∂y_i/∂x_j = y_i (δ_ij - y_j), so Jᵀg = y (g - Σ y g), which is J g too. The logarithm has
# ∂log y_i/∂x_j = δ_ij - y_j: its Jᵀu is u - y Σ u, "unmixed", and J g is g - Σ y g, "centered". These two linear maps
# are adjoint, and both depend on x only through y, so their rules need nothing else.
# fmt: off
_softmax: Primitive = Primitive("softmax", _softmax_array).defvjp(
    lambda g, y, x, axis: multiply(_softmax(x, axis), _centered(x, g, axis)),
)
_log_softmax: Primitive = Primitive("log_softmax", _log_softmax_array).defvjp(
    lambda g, y, x, axis: _unmixed(x, g, axis),
)
_logsumexp: Primitive = Primitive("logsumexp", _logsumexp_array).defvjp(
    lambda g, y, x, axis: multiply(g, _softmax(x, axis)),
)
_centered: Primitive = Primitive("centered", _centered_array).defvjp(
    lambda h, z, x, g, axis: negative(multiply(_bent(x, g, axis), sum(h, axis, keepdims=True))),
    lambda h, z, x, g, axis: _unmixed(x, h, axis),
)
_unmixed: Primitive = Primitive("unmixed", _unmixed_array).defvjp(
    lambda h, z, x, u, axis: negative(multiply(_bent(x, h, axis), sum(u, axis, keepdims=True))),
    lambda h, z, x, u, axis: _centered(x, h, axis),
)
# fmt: on


def _bent(x: Tensor, g: Tensor, axis: int) -> Tensor:
    """The Jacobian of softmax at x times g."""
    return multiply(_softmax(x, axis), _centered(x, g, axis))


def _axis(x: Tensor, axis: int, what: str) -> int:
    (found,) = _axes(x, axis, what)
    return found


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along the axis: entries in [0, 1] of sum 1. x: any shape, e.g. (N, K). Result: x's shape.

    An entry -inf has the probability 0, and no gradient reaches it.

    >>> tg.softmax(tg.Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5], float64)
    """
    return _softmax(x, _axis(x, axis, "softmax"))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along the axis, the logarithm of softmax. x: any shape, e.g. (N, K). Result: x's shape.

    >>> tg.log_softmax(tg.Tensor([0.0, 0.0]))
    Tensor([-0.69314718, -0.69314718], float64)
    """
    return _log_softmax(x, _axis(x, axis, "log_softmax"))


def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over the axes, without overflow. x: any shape, e.g. (N, K): axis 1 gives (N,).

    An entry -inf counts as nothing.

    >>> tg.logsumexp(tg.Tensor([1000.0, 1000.0]))
    Tensor(1000.69314718, float64)
    """
    axes = _axes(x, axis, "logsumexp")
    if len(axes) == 1:
        return _finish(_logsumexp(x, axes[0]), axes, keepdims)
    others = [i for i in range(x.ndim) if i not in axes]
    rows = reshape(transpose(x, *others, *axes), (*[x.shape[i] for i in others], -1))
    kept = reshape(_logsumexp(rows, len(others)), _reduced(x, axes))
    return _finish(kept, axes, keepdims)
