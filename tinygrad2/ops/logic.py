"""Rounding, tests and logic: piecewise constant functions, whose derivative is the declared zero."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.elementwise import Binary, Unary

__all__ = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "ceil", "floor", "floor_divide", "invert", "isfinite", "isinf", "isnan",
    "logical_and", "logical_or", "logical_xor", "rint", "round", "signbit", "trunc",
]  # fmt: skip


def _of_real(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """f, which NumPy has for real numbers; it is constant along the complex step."""
    return lambda x: f(x) if x.dtype.kind != "c" else f(x.real).astype(x.dtype)


def _floor_divide(a: Array, b: Array) -> Array:
    return a // b if a.dtype.kind != "c" else (a.real // b.real).astype(a.dtype)


# fmt: off
floor: Unary = Primitive("floor", _of_real(np.floor), """The largest whole number that is not above x.

    x: any shape.

    >>> tg.floor([1.7, -1.2])
    Tensor([ 1., -2.], float64)
    """).defvjp(zero)
ceil: Unary = Primitive("ceil", _of_real(np.ceil), """The smallest whole number that is not below x.

    x: any shape.

    >>> tg.ceil([1.2, -1.7])
    Tensor([ 2., -1.], float64)
    """).defvjp(zero)
trunc: Unary = Primitive("trunc", _of_real(np.trunc), """x without what follows the decimal point.

    x: any shape.

    >>> tg.trunc([1.7, -1.7])
    Tensor([ 1., -1.], float64)
    """).defvjp(zero)
rint: Unary = Primitive("rint", _of_real(np.rint), """The nearest whole number; of two, the even one.

    x: any shape.

    >>> tg.rint([1.4, 2.5])
    Tensor([1., 2.], float64)
    """).defvjp(zero)
isfinite: Unary = Primitive("isfinite", np.isfinite, """Whether x is neither infinite nor nan, as bools. x: any shape.

    >>> tg.isfinite([1.0, np.inf])
    Tensor([ True, False], bool)
    """).defvjp(zero)
isinf: Unary = Primitive("isinf", np.isinf, """Whether x is infinite, as bools. x: any shape.

    >>> tg.isinf([1.0, np.inf])
    Tensor([False,  True], bool)
    """).defvjp(zero)
isnan: Unary = Primitive("isnan", np.isnan, """Whether x is nan, as bools. x: any shape.

    >>> tg.isnan([1.0, np.nan])
    Tensor([False,  True], bool)
    """).defvjp(zero)
signbit: Unary = Primitive("signbit", lambda x: np.signbit(x.real), """Whether the sign is minus, as of -0.0. Any shape.

    >>> tg.signbit([1.0, -0.0])
    Tensor([False,  True], bool)
    """).defvjp(zero)
floor_divide: Binary = Primitive("floor_divide", _floor_divide, """⌊a/b⌋.

    a, b: any shapes that broadcast.

    >>> tg.floor_divide([5.0, -5.0], 3.0)
    Tensor([ 1., -2.], float64)
    """).defvjp(zero, zero)
logical_and: Binary = Primitive("logical_and", np.logical_and, """Whether a and b are both true (not 0).

    a, b: any shapes that broadcast.

    >>> tg.logical_and([True, True], [True, False])
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
logical_or: Binary = Primitive("logical_or", np.logical_or, """Whether a or b is true (not 0).

    a, b: any shapes that broadcast.

    >>> tg.logical_or([True, False], [False, False])
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
logical_xor: Binary = Primitive("logical_xor", np.logical_xor, """Whether just one of a and b is true.

    a, b: any shapes that broadcast.

    >>> tg.logical_xor([True, False], [True, True])
    Tensor([False,  True], bool)
    """).defvjp(zero, zero)
bitwise_and: Binary = Primitive("bitwise_and", operator.and_, """a & b for bools, or bit by bit for integers.

    a, b: any shapes that broadcast.

    >>> tg.bitwise_and([6, 5], 3)
    Tensor([2, 1], int64)
    """).defvjp(zero, zero)
bitwise_or: Binary = Primitive("bitwise_or", operator.or_, """a | b for bools, or bit by bit for integers.

    a, b: any shapes that broadcast.

    >>> tg.bitwise_or([6, 5], 3)
    Tensor([7, 7], int64)
    """).defvjp(zero, zero)
bitwise_xor: Binary = Primitive("bitwise_xor", operator.xor, """a ^ b for bools, or bit by bit for integers.

    a, b: any shapes that broadcast.

    >>> tg.bitwise_xor([6, 5], 3)
    Tensor([5, 6], int64)
    """).defvjp(zero, zero)
invert: Unary = Primitive("invert", operator.invert, """~x: False for True, or each bit turned for integers.

    x: any shape.

    >>> tg.invert([5, 0])
    Tensor([-6, -1], int64)
    """).defvjp(zero)
_round = Primitive("round", lambda x, decimals: x.round(decimals)).defvjp(zero)
# fmt: on


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """x with so many decimals; half-way cases go to the even neighbour. x: any shape.

    >>> tg.round([1.234, 2.5], 1)
    Tensor([1.2, 2.5], float64)
    """
    return _round(x, decimals)
