"""Sums and their relatives. `axis`: an int, several, or None for all; `keepdims` as in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad2.autodiff import Primitive, Tensor, zero
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.ops.elementwise import exp, mask, multiply, negative, subtract
from tinygrad2.ops.shape import Axis, _sum_to, position, reshape


def _axes(x: Tensor, axis: Axis, what: str = "") -> tuple[int, ...]:
    """The axes counted from the first one. `what`: names a quantity that does not exist over an empty axis."""
    given = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(position(a, x.ndim) for a in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis}: an axis is named twice")
    if what and 0 in (x.shape[a] for a in axes):
        raise ValueError(f"{what} over an empty axis does not exist; the tensor has shape {x.shape}")
    return axes


def _reduced(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)


def _finish(y: Tensor, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return y if keepdims else reshape(y, _reduced(x, axes, False))


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes."""
    axes = _axes(x, axis)
    return _finish(_sum_to(x, _reduced(x, axes, True), x.shape), x, axes, keepdims)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes."""
    axes = _axes(x, axis, "the mean")
    return multiply(sum(x, axis, keepdims), 1.0 / math.prod(x.shape[a] for a in axes))


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance over the axes, divided by their size (not size - 1)."""
    deviation = subtract(x, mean(x, axis, keepdims=True))
    return mean(multiply(deviation, deviation), axis, keepdims)


# The maxima share the cotangent equally at a tie.
_ties = Primitive("ties", lambda x, axes: _ties_array(x.real, axes)).defvjp(zero)
_max = Primitive("max", lambda x, axes: x.max(axes, keepdims=True)).defvjp(
    lambda g, y, x, axes: mask(g, _ties(x, axes)),
)


def _ties_array(x: Array, axes: tuple[int, ...]) -> Array:
    at = (x == x.max(axes, keepdims=True)).astype(x.dtype)
    return at / at.sum(axes, keepdims=True)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over the axes; ties share the cotangent equally."""
    axes = _axes(x, axis, "the maximum")
    return _finish(_max(x, axes), x, axes, keepdims)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over the axes; ties share the cotangent equally."""
    return negative(max(negative(x), axis, keepdims))


_argmax = Primitive("argmax", lambda x, axis: x.argmax(axis)).defvjp(zero)


def argmax(x: Tensor, axis: int | None = None) -> Tensor:
    """The position of the first maximum along the axis: integers, piecewise constant in x."""
    return _argmax(x, axis)


def _logsumexp_array(x: Array, axes: tuple[int, ...]) -> Array:
    top = x.real.max(axes, keepdims=True)
    top = xp(x).where(xp(x).isfinite(top), top, top.dtype.type(0))
    return xp(x).log(xp(x).exp(x - top).sum(axes, keepdims=True)) + top


_logsumexp = Primitive("logsumexp", _logsumexp_array).defvjp(lambda g, y, x, axes: multiply(g, exp(subtract(x, y))))


def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over the axes, without overflow. An entry -inf counts as nothing."""
    axes = _axes(x, axis, "logsumexp")
    return _finish(_logsumexp(x, axes), x, axes, keepdims)


# a/b, but 0 wherever b is 0: the convention ∇‖x‖ = 0 at x = 0, kept by all further derivatives.
def _ratio_array(a: Array, b: Array) -> Array:
    nothing = b == 0
    return xp(a).where(nothing, a.dtype.type(0), a / xp(a).where(nothing, b.dtype.type(1), b))


ratio: Primitive = Primitive("ratio", _ratio_array).defvjp(
    lambda g, y, a, b: ratio(g, b),
    lambda g, y, a, b: negative(ratio(multiply(g, y), b)),
)
_norm = Primitive("norm", lambda x, axes: xp(x).sqrt((x * x).sum(axes, keepdims=True))).defvjp(
    lambda g, y, x, axes: multiply(g, ratio(x, y))
)

# √x with derivative 0 at 0, so that the root of a sum of squares is differentiated as the norm is.
root: Primitive = Primitive("root", lambda x: xp(x).sqrt(x)).defvjp(lambda g, y, x: ratio(multiply(g, 0.5), y))
_sum_squares = Primitive("sum_squares", lambda x, axes: (x * x).sum(axes, keepdims=True)).defvjp(
    lambda g, y, x, axes: multiply(multiply(g, 2.0), x)
)


def sum_squares(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of x² over the axes; its gradient 2x takes one product, that of sum(x * x) two and their sum."""
    axes = _axes(x, axis)
    return _finish(_sum_squares(x, axes), x, axes, keepdims)


def norm(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The Euclidean norm over the axes. At 0 its value, gradient and second derivative are exactly 0, by convention."""
    axes = _axes(x, axis)
    return _finish(_norm(x, axes), x, axes, keepdims)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along the axis."""
    return exp(log_softmax(x, axis))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along the axis."""
    return subtract(x, logsumexp(x, axis, keepdims=True))
