"""Elementwise arithmetic and functions, with NumPy broadcasting; the engine sums cotangents over broadcast axes.

Each is an array function, a docstring, and a rule for each argument. NumPy's functions pass CuPy's arrays on to CuPy.
At kinks: relu'(0) = abs'(0) = 0, and half of the cotangent goes to each argument at a tie of `maximum`.
"""

from __future__ import annotations

import operator
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels import masked
from tinygrad2.kernels.arrays import Array, to_device
from tinygrad2.ops.shape import as_tensor

__all__ = [
    "abs", "add", "astype", "clip", "divide", "equal", "exp", "greater", "greater_equal", "leaky_relu", "less",
    "less_equal", "log", "logical_not", "maximum", "minimum", "multiply", "negative", "not_equal", "power", "prelu",
    "relu", "sigmoid", "sign", "sqrt", "subtract", "tanh", "where",
]  # fmt: skip


class Unary(Protocol):
    """The type of a primitive of one tensor."""

    def __call__(self, x: TensorLike, /) -> Tensor: ...


class Binary(Protocol):
    """The type of a primitive of two tensors."""

    def __call__(self, a: TensorLike, b: TensorLike, /) -> Tensor: ...


class Ternary(Protocol):
    """The type of a primitive of three tensors."""

    def __call__(self, m: TensorLike, a: TensorLike, b: TensorLike, /) -> Tensor: ...


# fmt: off
add: Binary = Primitive("add", operator.add, """The sum a + b. a, b: any shapes that broadcast.

    >>> tg.add([1.0, 2.0], 10.0)
    Tensor([11., 12.], float64)
    """).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: g,
)
subtract: Binary = Primitive("subtract", operator.sub, """The difference a - b. a, b: any shapes that broadcast.

    >>> tg.subtract([1.0, 2.0], 10.0)
    Tensor([-9., -8.], float64)
    """).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: negative(g),
)
multiply: Binary = Primitive("multiply", operator.mul, """The entries' product. a, b: any shapes that broadcast.

    >>> tg.multiply([1.0, 2.0], 10.0)
    Tensor([10., 20.], float64)
    """).defvjp(
    lambda g, y, a, b: multiply(g, b),
    lambda g, y, a, b: multiply(g, a),
)
divide: Binary = Primitive("divide", operator.truediv, """The quotient a / b. a, b: any shapes that broadcast.

    >>> tg.divide([1.0, 2.0], 10.0)
    Tensor([0.1, 0.2], float64)
    """).defvjp(
    lambda g, y, a, b: divide(g, b),
    lambda g, y, a, b: negative(multiply(g, divide(y, b))),
)
negative: Unary = Primitive("negative", operator.neg, """-x. x: any shape.

    >>> tg.negative([1.0, -2.0])
    Tensor([-1.,  2.], float64)
    """).defvjp(
    lambda g, y, x: negative(g),
)
scale: Primitive = Primitive("scale", lambda x, factor: x * factor).defvjp(lambda g, y, x, factor: scale(g, factor))
exp: Unary = Primitive("exp", np.exp, """The exponential function eˣ. x: any shape.

    >>> tg.exp([0.0, 1.0])
    Tensor([1.        , 2.71828183], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, y),
)
log: Unary = Primitive("log", np.log, """The natural logarithm. x: any shape; positive.

    >>> tg.log([1.0, 100.0])
    Tensor([0.        , 4.60517019], float64)
    """).defvjp(
    lambda g, y, x: divide(g, x),
)
sqrt: Unary = Primitive("sqrt", np.sqrt, """The square root. x: any shape; positive (at 0 the derivative is infinite).

    >>> tg.sqrt([4.0, 9.0])
    Tensor([2., 3.], float64)
    """).defvjp(
    lambda g, y, x: divide(g, multiply(y, 2.0)),
)
tanh: Unary = Primitive("tanh", np.tanh, """The hyperbolic tangent, in (-1, 1). x: any shape.

    >>> tg.tanh([0.0, 1.0])
    Tensor([0.        , 0.76159416], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, subtract(1.0, multiply(y, y))),
)
# fmt: on


def _sigmoid(x: Array) -> Array:
    """1/(1+e⁻ˣ) without overflow on either side; `.real` lets the complex step through."""
    right = x.real >= 0
    z = np.exp(np.where(right, -x, x))
    return np.where(right, z.dtype.type(1), z) / (1 + z)


def _softplus(x: Array) -> Array:
    """log(1 + eˣ) as max(x, 0) + log(1 + e^-|x|), which does not overflow."""
    right = x.real > 0
    return np.where(right, x, x.dtype.type(0)) + np.log1p(np.exp(np.where(right, -x, x)))


# fmt: off
sigmoid: Unary = Primitive("sigmoid", _sigmoid, """The logistic function 1/(1 + e⁻ˣ), in (0, 1). x: any shape.

    >>> tg.sigmoid([0.0, 2.0])
    Tensor([0.5       , 0.88079708], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, multiply(y, subtract(1.0, y))),
)
softplus: Unary = Primitive("softplus", _softplus, """log(1 + eˣ), a smooth relu; it does not overflow. x: any shape.

    >>> tg.softplus([0.0, 1000.0])
    Tensor([6.93147181e-01, 1.00000000e+03], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, sigmoid(x)),
)
# fmt: on

# Powers with a constant exponent; the derivative of x⁰ is 0, also at x = 0, where 0·x⁻¹ would be nan.
_power: Primitive = Primitive("power", lambda x, p: x**p).defvjp(
    lambda g, y, x, p: multiply(g, multiply(_power(x, p - 1), float(p))) if p else multiply(g, 0.0),
)

# Powers with an exponent for each entry. By x the derivative is p·xᵖ⁻¹, and 0 where x = p = 0. By p it is xᵖ·log x, and
# 0 where x = 0; below 0 a power exists for whole exponents only, so the derivative by p is nan.
_powers: Binary = Primitive("powers", np.power).defvjp(
    lambda g, y, x, p: multiply(g, _powers_slope(x, p)),
    lambda g, y, x, p: multiply(g, multiply(y, log(where(equal(x, 0.0), 1.0, x)))),
)
_either: Binary = Primitive("either", lambda a, b: (a != 0) | (b != 0)).defvjp(zero, zero)


def _powers_slope(x: Tensor, p: Tensor) -> Tensor:
    """p·xᵖ⁻¹. Where x = p = 0 the exponent is 0 too: 0⁻¹ is infinite, and a later rule would multiply it by 0."""
    somewhere = _either(x, p)
    return mask(multiply(p, _powers(x, mask(subtract(p, 1.0), somewhere))), somewhere)


def power(x: TensorLike, p: TensorLike) -> Tensor:
    """xᵖ, entry by entry. x, p: any shapes that broadcast; p is a number or a tensor of exponents.

    At x = 0 the derivative by p is 0, by convention; where x < 0 it is nan.

    >>> tg.power([1.0, -2.0, 3.0], [2, 3, 4])
    Tensor([ 1., -8., 81.], float64)
    """
    if isinstance(p, int | float | np.number) or (not getattr(p, "requires_grad", False) and np.ndim(p) == 0):
        return _power(x, p.item() if hasattr(p, "item") else p)
    return _powers(x, p)


# The derivative c of y depends on all that y depends on, if only by the derivative zero. Take y = 3x: c = 3 is a
# constant, so nothing on the tape leads from c to x, although dc/dx exists: it is 0. `derivative_of(c, y)` gives back c
# and adds the link, as if it were z = c + 0·y: the rules say dz/dc = 1 and dz/dy = 0. Differentiating again then finds
# zeros, and only what was truly never used is an error.
identity: Unary = Primitive("identity", lambda x: x).defvjp(lambda g, y, x: g)
derivative_of: Binary = Primitive("derivative_of", lambda c, y: c).defvjp(lambda g, z, c, y: g, zero)


def _inside_array(x: Array, lo: float | None, hi: float | None) -> Array:
    """Where lo ≤ x ≤ hi; a nan counts as inside, so that it propagates."""
    return ~((x < (-np.inf if lo is None else lo)) | (x > (np.inf if hi is None else hi)))


# Selection. A mask is a bool, or a weight per entry; where it is 0 the result is 0 even if g is infinite or nan there.
def _where(m: Array, a: Array, b: Array) -> Array:
    if m.dtype.kind != "b":
        raise TypeError(f"where: the condition must hold bools, got {m.dtype}; write a comparison such as x > 0")
    return np.where(m, a, b)


# fmt: off
mask: Binary = Primitive("mask", masked, """x where m is True, 0 elsewhere; x·m for weights m. Shapes broadcast.

    Where m is 0 the result is 0, also where x is infinite or nan.

    >>> tg.ops.mask(tg.Tensor([1.0, float("inf")]), tg.Tensor([True, False]))
    Tensor([1., 0.], float64)
    """).defvjp(
    lambda g, y, x, m: mask(g, m),
    zero,
)
where: Ternary = Primitive("where", _where, """a where m is True, b elsewhere. m: bools; any shapes that broadcast.

    >>> tg.where(tg.Tensor([True, False]), 1.0, 2.0)
    Tensor([1., 2.], float64)
    """).defvjp(
    zero,
    lambda g, y, m, a, b: mask(g, m),
    lambda g, y, m, a, b: mask(g, logical_not(m)),
)

# Piecewise constant functions: their derivative is the declared zero.
positive: Unary = Primitive("positive", lambda x: ~(x.real <= 0), """Whether x > 0, as bools; a nan counts as positive.

    x: any shape.

    >>> tg.ops.positive([1.0, 0.0])
    Tensor([ True, False], bool)
    """).defvjp(zero)
sign: Unary = Primitive("sign", lambda x: np.sign(x.real), """-1, 0 or 1; its derivative is 0. x: any shape.

    >>> tg.sign([3.0, 0.0, -2.0])
    Tensor([ 1.,  0., -1.], float64)
    """).defvjp(zero)
logical_not: Unary = Primitive("logical_not", np.logical_not, """True where x is False (or 0). x: any shape.

    >>> tg.logical_not(tg.Tensor([True, False]))
    Tensor([False,  True], bool)
    """).defvjp(zero)
less: Binary = Primitive("less", operator.lt, """a < b, as bools. a, b: any shapes that broadcast.

    >>> tg.less([1.0, 2.0], 2.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
less_equal: Binary = Primitive("less_equal", operator.le, """a ≤ b, as bools. a, b: any shapes that broadcast.

    >>> tg.less_equal([2.0, 3.0], 2.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
greater: Binary = Primitive("greater", operator.gt, """a > b, as bools. a, b: any shapes that broadcast.

    >>> tg.greater([3.0, 2.0], 2.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
greater_equal: Binary = Primitive("greater_equal", operator.ge, """a ≥ b, as bools. a, b: any shapes that broadcast.

    >>> tg.greater_equal([2.0, 1.0], 2.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
equal: Binary = Primitive("equal", operator.eq, """a = b, as bools. a, b: any shapes that broadcast.

    >>> tg.equal([2.0, 1.0], 2.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
not_equal: Binary = Primitive("not_equal", operator.ne, """a ≠ b, as bools. a, b: any shapes that broadcast.

    >>> tg.not_equal([2.0, 1.0], 1.0)
    Tensor([ True, False], bool)
    """).defvjp(zero, zero)
_inside = Primitive("inside", lambda x, lo, hi: _inside_array(x.real, lo, hi)).defvjp(zero)
_share = Primitive("share", lambda a, b: 1 - (a.real <= b.real) * (1 - (a.real == b.real) / 2)).defvjp(zero, zero)

relu: Unary = Primitive("relu", lambda x: np.maximum(x, x.dtype.type(0)), """max(x, 0); relu'(0) is 0. x: any shape.

    >>> tg.relu([-1.0, 2.0])
    Tensor([0., 2.], float64)
    """).defvjp(
    lambda g, y, x: mask(g, positive(y)),
)
abs: Unary = Primitive("abs", lambda x: np.where(x.real < 0, -x, x), """|x|; its derivative at 0 is 0. x: any shape.

    >>> tg.abs([-1.0, 2.0])
    Tensor([1., 2.], float64)
    """).defvjp(
    lambda g, y, x: mask(g, sign(x)),
)
_clip = Primitive("clip", lambda x, lo, hi: np.clip(x, lo, hi)).defvjp(
    lambda g, y, x, lo, hi: mask(g, _inside(x, lo, hi)),
)
maximum: Binary = Primitive("maximum", np.maximum, """The larger of a and b. a, b: any shapes that broadcast.

    At a tie half of the cotangent goes to each.

    >>> tg.maximum([1.0, 5.0], 3.0)
    Tensor([3., 5.], float64)
    """).defvjp(
    lambda g, y, a, b: mask(g, _share(a, b)),
    lambda g, y, a, b: mask(g, _share(b, a)),
)
minimum: Binary = Primitive("minimum", np.minimum, """The smaller of a and b. a, b: any shapes that broadcast.

    At a tie half of the cotangent goes to each.

    >>> tg.minimum([1.0, 5.0], 3.0)
    Tensor([1., 3.], float64)
    """).defvjp(
    lambda g, y, a, b: mask(g, _share(b, a)),
    lambda g, y, a, b: mask(g, _share(a, b)),
)
# fmt: on


def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """x limited to [min, max]. x, min, max: any shapes that broadcast; None for no limit on that side.

    The cotangent passes to x where min ≤ x ≤ max, and to the limit elsewhere. Where min > max the result is max.

    >>> tg.clip([-1.0, 0.5, 2.0], 0.0, 1.0)
    Tensor([0. , 0.5, 1. ], float64)
    >>> tg.clip([-1.0, 0.5, 2.0], max=[-2.0, 1.0, 1.0])
    Tensor([-2. ,  0.5,  1. ], float64)
    """
    if all(bound is None or isinstance(bound, int | float | np.number) for bound in (min, max)):
        return _clip(x, *[bound.item() if isinstance(bound, np.number) else bound for bound in (min, max)])
    y = x if isinstance(x, Tensor) else Tensor(x)
    if min is not None:
        y = where(less(y, min), min, y)
    return y if max is None else where(greater(y, max), max, y)


def leaky_relu(x: TensorLike, negative_slope: TensorLike = 0.01) -> Tensor:
    """x where x > 0, negative_slope·x elsewhere. x: any shape; negative_slope: a number, or a shape that broadcasts.

    The derivative at 0 is negative_slope, as in PyTorch.

    >>> tg.leaky_relu([-1.0, 2.0])
    Tensor([-0.01,  2.  ], float64)
    """
    right = positive(x)
    return add(mask(x, right), multiply(mask(x, logical_not(right)), negative_slope))


def prelu(x: TensorLike, slope: TensorLike) -> Tensor:
    """x where x > 0, slope·x elsewhere. x: (N, C, ...); slope: (1,) or (C,), one for each channel.

    Source: He et al., Delving Deep into Rectifiers, 2015, equation 1.

    >>> tg.prelu(tg.Tensor([[-1.0, -1.0]]), tg.Tensor([0.1, 0.2]))
    Tensor([[-0.1, -0.2]], float64)
    """
    x = as_tensor(x)
    slope = as_tensor(slope)
    if slope.size == 1:
        return leaky_relu(x, slope.reshape(()))
    if x.shape[1:2] != slope.shape:
        raise ValueError(f"prelu: x must be (N, C, ...) and slope (1,) or (C,); got {x.shape} and {slope.shape}")
    return leaky_relu(x, slope.reshape((-1, *(1,) * (x.ndim - 2))))


# Type and place.
_cast = Primitive("astype", lambda x, dtype, old: x.astype(dtype))
_cast.defvjp(lambda g, y, x, dtype, old: _cast(g, old, dtype))
_move = Primitive("to", lambda x, device, old: to_device(x, device))
_move.defvjp(lambda g, y, x, device, old: _move(g, old, device))

# Integers and bools where floats are; they carry no gradient.
as_float: Primitive = Primitive("as_float", lambda x, dtype: x.astype(dtype)).defvjp(zero)


def astype(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """x in another dtype. x: any shape. Between float32 and float64 the cotangent is converted back.

    The result in another dtype is a constant. Raises TypeError if x carries a gradient that it would drop.

    >>> tg.astype(tg.Tensor([1.0, 2.0]), np.float32)
    Tensor([1., 2.], float32)
    """
    x = as_tensor(x)
    new = np.dtype(dtype)
    if x.requires_grad and new.kind != "f":
        raise TypeError(f"astype: {new} carries no gradient; say .detach().astype(...) if that is meant")
    return _cast(x, new, x.dtype) if x.dtype.kind == "f" and new.kind == "f" else Tensor(x.array.astype(new))


def to(x: Tensor, device: str) -> Tensor:
    """x on the device "cpu" or "cuda". x: any shape. The cotangent travels back.

    >>> tg.Tensor([1.0, 2.0]).to("cpu").device
    'cpu'
    """
    return _move(x, device, x.device) if x.dtype.kind in "fc" else Tensor(to_device(x.array, device))
