"""Norms that neither overflow nor vanish before their result does, with the derivative 0 at 0 in every order."""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.elementwise import abs, multiply, subtract
from tinygrad2.ops.reduce import _axes, _finish, _freedom, floating, max, mean, ratio, sum
from tinygrad2.ops.shape import Axis, as_tensor

__all__ = ["norm", "std"]


def _norm_array(x: Array, axes: tuple[int, ...], p: float) -> Array:
    """s (Σ |x/s|^p)^(1/p), where s is a power of two near the largest entry: division by it rounds nothing.

    The square of a float32 number is always a float64 number, so there s may be 1.
    """
    if x.dtype == np.float32 and p == 2:
        return np.sqrt(np.square(x, dtype=np.float64).sum(axes, keepdims=True)).astype(np.float32)
    wide = x.astype(np.float64) if x.dtype == np.float32 else x
    if not x.size:
        return x.sum(axes, keepdims=True)
    largest = np.abs(wide.real).max(axes, keepdims=True)
    usable = np.isfinite(largest) & (largest > 0)
    s = np.exp2(np.floor(np.log2(np.where(usable, largest, 1.0))))  # largest/2 < s ≤ largest
    r = wide / s
    if p == 2:
        return (s * np.sqrt((r * r).sum(axes, keepdims=True))).astype(x.dtype)
    size = np.where(r.real < 0, -r, r)  # |r|, also along the complex step
    return (s * (size**p).sum(axes, keepdims=True) ** (1 / p)).astype(x.dtype)


# ∂‖x‖/∂x_i = sign(x_i) |x_i / ‖x‖|^(p-1), where `ratio` is 0 for x = 0. The two kinds of power are each other's
# derivative, up to the factor q. Where |r|^q would be infinite, at r = 0 with q < 0, it is 0: the norm's convention.
# fmt: off
_norm: Primitive = Primitive("norm", _norm_array).defvjp(
    lambda g, y, x, axes, p: multiply(g, ratio(x, y) if p == 2 else _odd_power(ratio(x, y), p - 1)),
)
_odd_power: Primitive = Primitive("odd_power", lambda r, q: np.sign(r.real) * _size_power(r, q)).defvjp(
    lambda g, y, r, q: multiply(g, multiply(_even_power(r, q - 1), float(q))),
)
_even_power: Primitive = Primitive("even_power", lambda r, q: _size_power(r, q)).defvjp(
    lambda g, y, r, q: multiply(g, multiply(_odd_power(r, q - 1), float(q))),
)
# fmt: on


def _size_power(r: Array, q: float) -> Array:
    """|r|^q; 0 at r = 0 where q is negative."""
    nothing = (r == 0) if q < 0 else np.zeros_like(r, bool)
    size = np.where(r.real < 0, -r, r)
    return np.where(nothing, r.dtype.type(0), np.where(nothing, r.dtype.type(1), size) ** r.dtype.type(q))


def norm(x: TensorLike, *, axis: Axis = None, keepdims: bool = False, p: float = 2.0) -> Tensor:
    """(Σ |x|^p)^(1/p) over the axes: the Euclidean norm for p = 2. x: any shape, e.g. (N, K): axis 1 gives (N,).

    axis and p are given by name: the second argument of other libraries' norms is p.
    p: at least 1; 1 is the sum of |x|, np.inf the largest |x| (equal ones share the cotangent). ValueError otherwise.
    At 0 its value, gradient and second derivative are exactly 0, by convention. Entries of any size keep their digits:
    the largest one is divided out first.

    >>> tg.norm(tg.Tensor([3.0, 4.0]))
    Tensor(5., float64)
    >>> tg.norm(tg.Tensor([3.0, 4.0]), p=1), tg.norm(tg.Tensor([3.0, 4.0]), p=np.inf)
    (Tensor(7., float64), Tensor(4., float64))
    """
    x = as_tensor(x)
    if not (isinstance(p, int | float | np.number) and p >= 1):
        raise ValueError(f"norm: p is a number of at least 1, or np.inf; got {p!r}")
    axes = _axes(x, axis)
    if p == 1:
        return sum(abs(x), axes, keepdims)
    if p == math.inf:
        return max(abs(x), axes, keepdims) if x.size else sum(abs(x), axes, keepdims)
    return _finish(_norm(x, axes, float(p)), axes, keepdims)


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over the axes, the root of the variance. x: any shape, e.g. (N, K): axis 1 gives (N,).

    Where all entries are equal it is 0, and so are its derivatives, by the same convention as for `norm`.

    >>> tg.std(tg.Tensor([1.0, 3.0]))
    Tensor(1., float64)
    """
    x = as_tensor(x)
    rest = _freedom(x, axis, ddof, "the standard deviation")
    deviation = subtract(floating(x), mean(x, axis, keepdims=True))
    return multiply(norm(deviation, axis=axis, keepdims=keepdims), rest**-0.5)
