"""Products of many entries, and sums and products up to each entry: right also where entries are 0, in every order.

No rule here divides by an entry, as g·y/x would: at x = 0 that is nan, although the derivative exists.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.arrange import along, flip, pad, roll
from tinygrad2.ops.creation import ones_like
from tinygrad2.ops.elementwise import multiply, subtract
from tinygrad2.ops.reduce import _axes, _reduced
from tinygrad2.ops.shape import (
    Axis,
    as_tensor,
    concatenate,
    expand_dims,
    index,
    moveaxis,
    position,
    ravel,
    reshape,
    transpose,
)

__all__ = ["cumprod", "cumsum", "diff", "prod"]


def _cumsum_array(x: Array, axis: int) -> Array:
    """float32 is added in float64: one part after the other, the error of a sum of 10⁶ entries would reach 1e-3."""
    return x.cumsum(axis, dtype=np.float64).astype(x.dtype) if x.dtype == np.float32 else x.cumsum(axis)


# fmt: off
# y_i = Σ x_j over j ≤ i, so x̄_j = Σ ȳ_i over i ≥ j: the sums from the other end.
_cumsum: Primitive = Primitive("cumsum", _cumsum_array).defvjp(
    lambda g, y, x, axis: flip(_cumsum(flip(g, axis), axis), axis),
)
_prod = Primitive("prod", lambda x: x.prod(-1)).defvjp(
    lambda g, y, x: multiply(expand_dims(g, -1), _others(x)),
)

# The linear recurrence y_i = a_i y_{i-1} + b_i along axis 0, with y_{-1} = 0. The chain rule gives for its cotangent
# s_i = ȳ_i + a_{i+1} s_{i+1}, a recurrence from the other end; then b̄ = s and ā_i = s_i y_{i-1}.
_recurrence: Primitive = Primitive("recurrence", lambda a, b: _recurrence_array(a, b)).defvjp(
    lambda g, y, a, b: multiply(_from_the_end(a, g), _before(y)),
    lambda g, y, a, b: _from_the_end(a, g),
)
# fmt: on


def _recurrence_array(a: Array, b: Array) -> Array:
    y = b.copy()
    for i in range(1, len(y)):
        y[i] += a[i] * y[i - 1]
    return y


def _from_the_end(a: Tensor, g: Tensor) -> Tensor:
    return flip(_recurrence(flip(roll(a, -1, 0), 0), flip(g, 0)), 0)


def _before(y: Tensor) -> Tensor:
    """y_{i-1} in the place of y_i, and 0 in the first."""
    return pad(index(y, slice(-1)), [(1, 0), *[(0, 0)] * (y.ndim - 1)])


def _others(x: Tensor) -> Tensor:
    """For each entry along the last axis the product of all others: halves are joined to pairs, which know theirs."""
    n = x.shape[-1]
    if n < 2:
        return ones_like(x)
    half = n // 2
    a, b, rest = [index(x, (..., part)) for part in (slice(half), slice(half, 2 * half), slice(2 * half, n))]
    outside = _others(concatenate([multiply(a, b), rest], -1))
    of_pairs = index(outside, (..., slice(half)))
    return concatenate([multiply(of_pairs, b), multiply(of_pairs, a), index(outside, (..., slice(half, None)))], -1)


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims.

    Its derivatives are right also where entries are 0. The product of no entries is 1.

    >>> tg.prod(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([ 2., 12.], float64)
    """
    x = as_tensor(x)
    axes = _axes(x, axis, who="prod")
    rest = [i for i in range(x.ndim) if i not in axes]
    rows = transpose(x, [*rest, *axes]) if x.ndim else x
    shape = [x.shape[i] for i in rest]
    y = _prod(reshape(rows, (*shape, math.prod([x.shape[a] for a in axes]))))
    return reshape(y, _reduced(x, axes)) if keepdims else y


def cumsum(x: TensorLike, axis: int | None = None) -> Tensor:
    """The sum of all entries up to each one along the axis. x: any shape. float32 is added up in float64.

    axis: None goes through all entries in row-major order. Result: x's shape, or (x.size,) without an axis.

    >>> tg.cumsum(tg.Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.], float64)
    """
    x = as_tensor(x)
    return cumsum(ravel(x), 0) if axis is None else _cumsum(x, position(axis, x.ndim, "cumsum"))


def cumprod(x: TensorLike, axis: int | None = None) -> Tensor:
    """The product of all entries up to each one along the axis. x: any shape.

    axis: None goes through all entries in row-major order. Result: x's shape, or (x.size,) without an axis.
    Its derivatives are right also where entries are 0; they go through the axis one entry after the other.

    >>> tg.cumprod(tg.Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.], float64)
    """
    x = as_tensor(x)
    if axis is None:
        return cumprod(ravel(x), 0)
    axis = position(axis, x.ndim, "cumprod")
    y = x.array.cumprod(axis)
    if x.dtype.kind in "biu" or x.shape[axis] == 0:
        return Tensor(y) if x.dtype.kind in "biu" else x
    a = moveaxis(x, axis, 0)
    first = pad(index(a, slice(1)), [(0, len(a) - 1), *[(0, 0)] * (x.ndim - 1)])
    return moveaxis(_recurrence.record(np.moveaxis(y, axis, 0), a, first), 0, axis)


def diff(x: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Each entry's difference to the one before along the axis, n times. x: any shape, e.g. (N, K): (N, K - n).

    >>> tg.diff(tg.Tensor([1.0, 4.0, 9.0]))
    Tensor([3., 5.], float64)
    """
    x = as_tensor(x)
    if n < 0:
        raise ValueError(f"diff: expected n of at least 0, got {n}")
    axis = position(axis, x.ndim, "diff")
    if x.dtype.kind in "biu":
        return Tensor(np.diff(x.array, n, axis))
    for _ in range(n):
        x = subtract(index(x, along(axis, slice(1, None))), index(x, along(axis, slice(-1))))
    return x
