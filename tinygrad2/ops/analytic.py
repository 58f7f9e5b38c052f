"""Exponentials, logarithms, powers, and the trigonometric and hyperbolic functions and their inverses, entry by entry.

Where NumPy has a function for real numbers only, the complex step gets its analytic continuation.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.elementwise import (
    Binary,
    Unary,
    add,
    divide,
    exp,
    multiply,
    negative,
    sigmoid,
    sqrt,
    subtract,
)
from tinygrad2.ops.logic import floor_divide, trunc
from tinygrad2.ops.reduce import ratio

__all__ = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "cos",
    "cosh",
    "degrees",
    "divmod",
    "exp2",
    "expm1",
    "fmod",
    "hypot",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "radians",
    "reciprocal",
    "remainder",
    "sin",
    "sinh",
    "square",
    "tan",
]  # fmt: skip

LN2 = math.log(2.0)
LN10 = math.log(10.0)

# fmt: off
exp2: Unary = Primitive("exp2", np.exp2, """2ˣ. x: any shape.

    >>> tg.exp2([0.0, 3.0])
    Tensor([1., 8.], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, multiply(y, LN2)),
)
expm1: Unary = Primitive("expm1", np.expm1, """eˣ - 1, precise near x = 0. x: any shape.

    >>> tg.expm1([0.0, 1e-20])
    Tensor([0.e+00, 1.e-20], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, exp(x)),
)
log2: Unary = Primitive("log2", np.log2, """The logarithm to base 2. x: any shape; positive.

    >>> tg.log2([1.0, 8.0])
    Tensor([0., 3.], float64)
    """).defvjp(
    lambda g, y, x: divide(g, multiply(x, LN2)),
)
log10: Unary = Primitive("log10", np.log10, """The logarithm to base 10. x: any shape; positive.

    >>> tg.log10([1.0, 100.0])
    Tensor([0., 2.], float64)
    """).defvjp(
    lambda g, y, x: divide(g, multiply(x, LN10)),
)
log1p: Unary = Primitive("log1p", np.log1p, """log(1 + x), precise near x = 0. x: any shape; above -1.

    >>> tg.log1p([0.0, 1e-20])
    Tensor([0.e+00, 1.e-20], float64)
    """).defvjp(
    lambda g, y, x: divide(g, add(x, 1.0)),
)
square: Unary = Primitive("square", np.square, """x². x: any shape.

    >>> tg.square([3.0, -2.0])
    Tensor([9., 4.], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, multiply(x, 2.0)),
)
reciprocal: Unary = Primitive("reciprocal", np.reciprocal, """1/x. x: any shape; not 0.

    >>> tg.reciprocal([4.0, -2.0])
    Tensor([ 0.25, -0.5 ], float64)
    """).defvjp(
    lambda g, y, x: negative(multiply(g, multiply(y, y))),
)
sin: Unary = Primitive("sin", np.sin, """The sine. x: any shape; radians.

    >>> tg.sin([0.0, np.pi / 2])
    Tensor([0., 1.], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, cos(x)),
)
cos: Unary = Primitive("cos", np.cos, """The cosine. x: any shape; radians.

    >>> tg.cos([0.0, np.pi])
    Tensor([ 1., -1.], float64)
    """).defvjp(
    lambda g, y, x: negative(multiply(g, sin(x))),
)
tan: Unary = Primitive("tan", np.tan, """The tangent. x: any shape; radians.

    >>> tg.tan([0.0, np.pi / 4])
    Tensor([0., 1.], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, add(multiply(y, y), 1.0)),
)
arcsin: Unary = Primitive("arcsin", np.arcsin, """The angle in [-π/2, π/2] whose sine is x. x: any shape; in (-1, 1).

    >>> tg.arcsin([0.0, 1.0])
    Tensor([0.        , 1.57079633], float64)
    """).defvjp(
    lambda g, y, x: divide(g, _side(x)),
)
arccos: Unary = Primitive("arccos", np.arccos, """The angle in [0, π] whose cosine is x. x: any shape; in (-1, 1).

    >>> tg.arccos([1.0, 0.0])
    Tensor([0.        , 1.57079633], float64)
    """).defvjp(
    lambda g, y, x: negative(divide(g, _side(x))),
)
arctan: Unary = Primitive("arctan", np.arctan, """The angle in (-π/2, π/2) whose tangent is x. x: any shape.

    >>> tg.arctan([0.0, 1.0])
    Tensor([0.        , 0.78539816], float64)
    """).defvjp(
    lambda g, y, x: divide(g, add(multiply(x, x), 1.0)),
)
sinh: Unary = Primitive("sinh", np.sinh, """The hyperbolic sine. x: any shape.

    >>> tg.sinh([0.0, 1.0])
    Tensor([0.        , 1.17520119], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, cosh(x)),
)
cosh: Unary = Primitive("cosh", np.cosh, """The hyperbolic cosine. x: any shape.

    >>> tg.cosh([0.0, 1.0])
    Tensor([1.        , 1.54308063], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, sinh(x)),
)
arcsinh: Unary = Primitive("arcsinh", np.arcsinh, """The inverse of sinh. x: any shape.

    >>> tg.arcsinh([0.0, 1.0])
    Tensor([0.        , 0.88137359], float64)
    """).defvjp(
    lambda g, y, x: divide(g, sqrt(add(multiply(x, x), 1.0))),
)
arccosh: Unary = Primitive("arccosh", np.arccosh, """The inverse of cosh, 0 or more. x: any shape; above 1.

    >>> tg.arccosh([1.0, 2.0])
    Tensor([0.        , 1.3169579], float64)
    """).defvjp(
    lambda g, y, x: divide(g, sqrt(multiply(subtract(x, 1.0), add(x, 1.0)))),
)
arctanh: Unary = Primitive("arctanh", np.arctanh, """The inverse of tanh. x: any shape; in (-1, 1).

    >>> tg.arctanh([0.0, 0.5])
    Tensor([0.        , 0.54930614], float64)
    """).defvjp(
    lambda g, y, x: divide(g, multiply(subtract(1.0, x), add(x, 1.0))),
)
# fmt: on


def _side(x: Tensor) -> Tensor:
    """√(1 - x²), as √((1 - x)(1 + x)) because that is precise near ±1."""
    return sqrt(multiply(subtract(1.0, x), add(x, 1.0)))


def _cbrt(x: Array) -> Array:
    if x.dtype.kind != "c":
        return np.cbrt(x)
    sign = np.sign(x.real)
    return sign * (sign * x) ** (1 / 3)


def _hypot(a: Array, b: Array) -> Array:
    return np.hypot(a, b) if a.dtype.kind != "c" else np.sqrt(a * a + b * b)


def _arctan2(y: Array, x: Array) -> Array:
    if x.dtype.kind != "c":
        return np.arctan2(y, x)
    turn = np.arctan2(y.real, x.real)  # the angle of the point, and how far the complex step turns it
    return turn + np.arctan((y * np.cos(turn) - x * np.sin(turn)) / (x * np.cos(turn) + y * np.sin(turn)))


def _logaddexp(a: Array, b: Array) -> Array:
    if a.dtype.kind != "c":
        return np.logaddexp(a, b)
    first = a.real > b.real
    return np.where(first, a, b) + np.log1p(np.exp(np.where(first, b - a, a - b)))


def _logaddexp2(a: Array, b: Array) -> Array:
    return np.logaddexp2(a, b) if a.dtype.kind != "c" else _logaddexp(a * LN2, b * LN2) / LN2


def _remainder(a: Array, b: Array) -> Array:
    return np.remainder(a, b) if a.dtype.kind != "c" else a - b * np.floor(a.real / b.real)


def _fmod(a: Array, b: Array) -> Array:
    return np.fmod(a, b) if a.dtype.kind != "c" else a - b * np.trunc(a.real / b.real)


# fmt: off
cbrt: Unary = Primitive("cbrt", _cbrt, """The cube root. x: any shape; not 0, where the derivative is infinite.

    >>> tg.cbrt([8.0, -27.0])
    Tensor([ 2., -3.], float64)
    """).defvjp(
    lambda g, y, x: divide(g, multiply(multiply(y, y), 3.0)),
)
hypot: Binary = Primitive("hypot", _hypot, """√(a² + b²) without overflow; at a = b = 0 all derivatives are 0.

    a, b: any shapes that broadcast.

    >>> tg.hypot([3.0, 0.0], [4.0, 0.0])
    Tensor([5., 0.], float64)
    """).defvjp(
    lambda g, y, a, b: multiply(g, ratio(a, y)),
    lambda g, y, a, b: multiply(g, ratio(b, y)),
)
arctan2: Binary = Primitive("arctan2", _arctan2, """The angle in [-π, π] of the point (b, a), as NumPy has it.

    a: its height; b: its place on the horizontal axis; any shapes that broadcast.

    >>> tg.arctan2([1.0, 0.0], [0.0, -1.0])
    Tensor([1.57079633, 3.14159265], float64)
    """).defvjp(
    lambda g, y, a, b: multiply(g, divide(b, add(multiply(a, a), multiply(b, b)))),
    lambda g, y, a, b: negative(multiply(g, divide(a, add(multiply(a, a), multiply(b, b))))),
)
logaddexp: Binary = Primitive("logaddexp", _logaddexp, """log(eᵃ + eᵇ) without overflow.

    a, b: any shapes that broadcast.

    >>> tg.logaddexp([0.0, 1000.0], [0.0, 1000.0])
    Tensor([6.93147181e-01, 1.00069315e+03], float64)
    """).defvjp(
    lambda g, y, a, b: multiply(g, sigmoid(subtract(a, b))),
    lambda g, y, a, b: multiply(g, sigmoid(subtract(b, a))),
)
logaddexp2: Binary = Primitive("logaddexp2", _logaddexp2, """log₂(2ᵃ + 2ᵇ) without overflow.

    a, b: any shapes that broadcast.

    >>> tg.logaddexp2([0.0, 10.0], [0.0, 10.0])
    Tensor([ 1., 11.], float64)
    """).defvjp(
    lambda g, y, a, b: multiply(g, sigmoid(multiply(subtract(a, b), LN2))),
    lambda g, y, a, b: multiply(g, sigmoid(multiply(subtract(b, a), LN2))),
)
remainder: Binary = Primitive("remainder", _remainder, """a % b, of b's sign, as in Python: a - b·⌊a/b⌋.

    a, b: any shapes that broadcast. The derivative by a is 1, that by b is -⌊a/b⌋.

    >>> tg.remainder([5.0, -5.0], 3.0)
    Tensor([2., 1.], float64)
    """).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: negative(multiply(g, floor_divide(a, b))),
)
fmod: Binary = Primitive("fmod", _fmod, """The remainder of a / b, of a's sign, as in C.

    a, b: any shapes that broadcast. The derivative by a is 1, that by b is -trunc(a/b).

    >>> tg.fmod([5.0, -5.0], 3.0)
    Tensor([ 2., -2.], float64)
    """).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: negative(multiply(g, trunc(divide(a, b)))),
)
# fmt: on


def divmod(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """⌊a/b⌋ and the remainder, as Python's divmod. a, b: any shapes that broadcast.

    >>> tg.divmod([5.0, -5.0], 3.0)
    (Tensor([ 1., -2.], float64), Tensor([2., 1.], float64))
    """
    return floor_divide(a, b), remainder(a, b)


def degrees(x: TensorLike) -> Tensor:
    """An angle in degrees. x: any shape; radians.

    >>> tg.degrees([0.0, np.pi])
    Tensor([  0., 180.], float64)
    """
    return multiply(x, 180.0 / math.pi)


def radians(x: TensorLike) -> Tensor:
    """An angle in radians. x: any shape; degrees.

    >>> tg.radians([0.0, 180.0])
    Tensor([0.        , 3.14159265], float64)
    """
    return multiply(x, math.pi / 180.0)
