"""Sums and their relatives. `axis`: an int, or None for all; `keepdims` as in NumPy."""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels import sum_over
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.elementwise import Binary, Unary, divide, mask, multiply, negative, scale, subtract
from tinygrad2.ops.shape import Axis, _sum_to, as_tensor, broadcast_to, positions, reshape

__all__ = ["all", "any", "argmax", "argmin", "average", "count_nonzero", "max", "mean", "min", "ptp", "sum", "var"]


def _axes(x: Tensor, axis: Axis, what: str = "", who: str = "a reduction") -> tuple[int, ...]:
    """The axes counted from the first one. `what`: names a quantity that does not exist over an empty axis."""
    shape = x.array.shape
    axes = positions(axis, len(shape), what or who)
    if what:
        for a in axes:
            if shape[a] == 0:
                raise ValueError(f"{what} over an empty axis does not exist; the tensor has shape {shape}")
    return axes


def floating(x: Tensor) -> Tensor:
    """x, in float64 where it holds integers or bools: as NumPy takes means of them. x: any shape."""
    return x if x.array.dtype.kind in "fc" else Tensor(x.array.astype(np.float64))


def _reduced(x: Tensor, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x with 1 for each of the axes."""
    shape = list(x.array.shape)
    for a in axes:
        shape[a] = 1
    return tuple(shape)


def _finish(y: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """y, whose `axes` have one entry each, without them unless keepdims."""
    return y if keepdims else reshape(y, tuple([n for i, n in enumerate(y.array.shape) if i not in axes]))


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims.

    The sum of bools counts them. In float32 also the sum over a million rows is right to float32's own rounding.

    >>> tg.sum(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([3., 7.], float64)
    """
    x = as_tensor(x)
    axes = _axes(x, axis, who="sum")
    big = x.array.shape
    n = len(axes)
    if not keepdims and axes == tuple(range(n)):  # what broadcasting puts in front can be summed away without a reshape
        return _sum_to(x, big[n:], big)
    return _finish(_sum_to(x, _reduced(x, axes), big), axes, keepdims)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims.

    The mean of integers is float64. Raises ValueError over an axis without entries.

    >>> tg.mean(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.5, 3.5], float64)
    """
    x = as_tensor(x)
    axes = _axes(x, axis, "the mean")
    shape = x.array.shape
    return scale(sum(floating(x), axis, keepdims), 1.0 / math.prod([shape[a] for a in axes]))


def average(x: TensorLike, axis: Axis = None, weights: TensorLike | None = None, keepdims: bool = False) -> Tensor:
    """The weighted mean over the axes. x: any shape. weights: x's shape, or (K,) for one axis of size K; None: equal.

    >>> tg.average(tg.Tensor([1.0, 4.0]), weights=[2.0, 1.0])
    Tensor(2., float64)
    """
    x = as_tensor(x)
    if weights is None:
        return mean(x, axis, keepdims)
    x = floating(x)
    w = floating(as_tensor(weights))
    axes = _axes(x, axis, "the average")
    if w.shape != x.shape:
        if len(axes) != 1 or w.shape != (x.shape[axes[0]],):
            raise ValueError(f"average: expected weights of shape {x.shape}, or a vector for one axis; got {w.shape}")
        w = broadcast_to(reshape(w, (-1, *(1,) * (x.ndim - 1 - axes[0]))), x.shape)
    return divide(sum(multiply(x, w), axis, keepdims), sum(w, axis, keepdims))


def _freedom(x: Tensor, axis: Axis, ddof: int, what: str) -> int:
    """The number of entries over the axes, less ddof; ValueError where nothing is left."""
    n = math.prod([x.shape[a] for a in _axes(x, axis, what)])
    if n <= ddof:
        raise ValueError(f"{what} with ddof={ddof} needs more than {ddof} entries; the tensor has shape {x.shape}")
    return n - ddof


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over the axes: the sum of squared deviations, divided by their size less ddof.

    x: any shape, e.g. (N, K): axis 1 gives (N,). ddof: 0 for the data's own variance, 1 for the unbiased estimate.

    >>> tg.var(tg.Tensor([1.0, 3.0]))
    Tensor(1., float64)
    """
    x = as_tensor(x)
    rest = _freedom(x, axis, ddof, "the variance")
    deviation = subtract(floating(x), mean(x, axis, keepdims=True))
    return multiply(sum(multiply(deviation, deviation), axis, keepdims), 1.0 / rest)


# The maxima share the cotangent equally at a tie.
_ties = Primitive("ties", lambda x, axes: _ties_array(x.real, axes)).defvjp(zero)
_max = Primitive("max", lambda x, axes: x.max(axes, keepdims=True)).defvjp(
    lambda g, y, x, axes: mask(g, _ties(x, axes)),
)


def _ties_array(x: Array, axes: tuple[int, ...]) -> Array:
    at = (x == x.max(axes, keepdims=True)).astype(x.dtype)
    return at / at.sum(axes, keepdims=True)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest entry over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent equally.

    >>> tg.max(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([2., 4.], float64)
    """
    x = as_tensor(x)
    axes = _axes(x, axis, "the maximum")
    return _finish(_max(x, axes), axes, keepdims)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent equally.

    >>> tg.min(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1., 3.], float64)
    """
    x = as_tensor(x)
    if x.array.dtype.kind in "biu":
        return Tensor(x.array.min(_axes(x, axis, "the minimum"), keepdims=keepdims))
    return negative(max(negative(x), axis, keepdims))


def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest less the smallest entry over the axes. x: any shape, e.g. (N, K): axis 1 gives (N,).

    >>> tg.ptp(tg.Tensor([1.0, 4.0, 3.0]))
    Tensor(3., float64)
    """
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


_argmax = Primitive("argmax", lambda x, axis: x.argmax(axis)).defvjp(zero)
_argmin = Primitive("argmin", lambda x, axis: x.argmin(axis)).defvjp(zero)


def _position_of(which: Primitive, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    """The position along the axis, or of all entries in row-major order."""
    axes = _axes(x, axis, f"the {which.name}")
    at = which(x, None if axis is None else axes[0])
    return reshape(at, _reduced(x, axes)) if keepdims else at


def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first minimum along the axis, as integers. x: any shape, e.g. (N, K): axis 1 gives (N,).

    axis: None counts through all entries in row-major order. The result is piecewise constant, so its derivative is 0.

    >>> tg.argmin(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([0, 1], int64)
    """
    x = as_tensor(x)
    return _position_of(_argmin, x, axis, keepdims)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first maximum along the axis, as integers. x: any shape, e.g. (N, K): axis 1 gives (N,).

    axis: None counts through all entries in row-major order. The result is piecewise constant, so its derivative is 0.

    >>> tg.argmax(tg.Tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1, 0], int64)
    """
    x = as_tensor(x)
    return _position_of(_argmax, x, axis, keepdims)


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any entry over the axes is True, or not 0, as bools. x: any shape, e.g. (N, K): axis 1 gives (N,).

    >>> tg.any(tg.Tensor([[1.0, -2.0], [4.0, 3.0]]) < 0.0, axis=1)
    Tensor([ True, False], bool)
    """
    x = as_tensor(x)
    return Tensor(x.array.any(_axes(x, axis, who="any"), keepdims=keepdims))


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all entries over the axes are True, or not 0, as bools. x: any shape, e.g. (N, K): axis 1 gives (N,).

    >>> tg.all(tg.Tensor([[1.0, -2.0], [4.0, 3.0]]) > 0.0, axis=1)
    Tensor([False,  True], bool)
    """
    x = as_tensor(x)
    return Tensor(x.array.all(_axes(x, axis, who="all"), keepdims=keepdims))


def count_nonzero(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many entries over the axes are not 0, as integers. x: any shape, e.g. (N, K): axis 1 gives (N,).

    >>> tg.count_nonzero(tg.Tensor([[1.0, 0.0], [4.0, 3.0]]), axis=1)
    Tensor([1, 2], int64)
    """
    x = as_tensor(x)
    return sum(Tensor(x.array != 0), axis, keepdims)


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
_sum_squares = Primitive("sum_squares", lambda x, axes: np.expand_dims(sum_over(x * x, axes), axes)).defvjp(
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
