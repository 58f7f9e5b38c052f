"""Sums and their relatives. `axis`: an int, several, or None for all; `keepdims` as in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, zero
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.elementwise import Binary, Unary, mask, multiply, negative, subtract
from tinygrad2.ops.shape import Axis, _sum_to, position, reshape


def _axes(x: Tensor, axis: Axis, what: str = "") -> tuple[int, ...]:
    """The axes counted from the first one. `what`: names a quantity that does not exist over an empty axis."""
    shape = x.array.shape
    ndim = len(shape)
    given = range(ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    axes = []
    for a in given:
        axes.append(position(a, ndim))
        if what and shape[axes[-1]] == 0:
            raise ValueError(f"{what} over an empty axis does not exist; the tensor has shape {shape}")
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis}: an axis is named twice")
    return tuple(axes)


def _reduced(x: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x with 1 for each of the axes."""
    shape = list(x.array.shape)
    for a in axes:
        shape[a] = 1
    return tuple(shape)


def _finish(y: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """y, whose `axes` have one entry each, without them unless keepdims."""
    return y if keepdims else reshape(y, tuple([n for i, n in enumerate(y.array.shape) if i not in axes]))


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims.

    >>> tg.sum(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([3., 7.], float64)
    """
    axes = _axes(x, axis)
    return _finish(_sum_to(x, _reduced(x, axes), x.array.shape), axes, keepdims)


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims.

    Raises ValueError over an axis without entries.

    >>> tg.mean(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.5, 3.5], float64)
    """
    axes = _axes(x, axis, "the mean")
    return multiply(sum(x, axis, keepdims), 1.0 / math.prod(x.shape[a] for a in axes))


def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance over the axes, divided by their size (not size - 1). x: any shape, e.g. (N, K): axis 1 gives (N,).

    >>> tg.var(tg.Tensor([1.0, 3.0]))
    Tensor(1., float64)
    """
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
    """The largest entry over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent equally.

    >>> tg.max(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([2., 4.], float64)
    """
    axes = _axes(x, axis, "the maximum")
    return _finish(_max(x, axes), axes, keepdims)


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent equally.

    >>> tg.min(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1., 3.], float64)
    """
    return negative(max(negative(x), axis, keepdims))


_argmax = Primitive("argmax", lambda x, axis: x.argmax(axis)).defvjp(zero)


def argmax(x: Tensor, axis: int | None = None) -> Tensor:
    """The position of the first maximum along the axis, as integers. x: any shape, e.g. (N, K): axis 1 gives (N,).

    axis: None counts through all entries in row-major order. The result is piecewise constant, so its derivative is 0.

    >>> tg.argmax(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1, 0], int64)
    """
    return _argmax(x, axis)


# a/b, but 0 wherever b is 0: the convention ∇‖x‖ = 0 at x = 0, kept by all further derivatives.
def _ratio_array(a: Array, b: Array) -> Array:
    nothing = b == 0
    return np.where(nothing, a.dtype.type(0), a / np.where(nothing, b.dtype.type(1), b))


# fmt: off
ratio: Binary = Primitive("ratio", _ratio_array, """a / b, but 0 wherever b is 0. a, b: any shapes that broadcast.

    >>> tg.ops.ratio(tg.Tensor([1.0, 1.0]), tg.Tensor([2.0, 0.0]))
    Tensor([0.5, 0. ], float64)
    """).defvjp(
    lambda g, y, a, b: ratio(g, b),
    lambda g, y, a, b: negative(ratio(multiply(g, y), b)),
)
# √x with derivative 0 at 0, so that the root of a sum of squares is differentiated as the norm is.
root: Unary = Primitive("root", np.sqrt, """√x, whose derivative at 0 is 0. x: any shape.

    >>> tg.grad(tg.ops.reduce.root)(0.0)
    Tensor(0., float64)
    """).defvjp(
    lambda g, y, x: ratio(multiply(g, 0.5), y),
)
_sum_squares = Primitive("sum_squares", lambda x, axes: (x * x).sum(axes, keepdims=True)).defvjp(
    lambda g, y, x, axes: multiply(multiply(g, 2.0), x),
)
# fmt: on


def sum_squares(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of x² over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,).

    Its gradient 2x takes one product; that of sum(x * x) takes two products and their sum.

    >>> tg.ops.reduce.sum_squares(tg.Tensor([3.0, 4.0]))
    Tensor(25., float64)
    """
    axes = _axes(x, axis)
    return _finish(_sum_squares(x, axes), axes, keepdims)
