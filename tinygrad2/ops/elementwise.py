"""Elementwise arithmetic and functions, with NumPy broadcasting; the engine sums cotangents over broadcast axes.

Each is an array function and a rule per argument. At kinks: relu'(0) = abs'(0) = 0, half to each tie of `maximum`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, zero
from tinygrad2.kernels import masked
from tinygrad2.kernels.arrays import Array, to_device, xp

# fmt: off
add: Primitive = Primitive("add", operator.add).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: g,
)
subtract: Primitive = Primitive("subtract", operator.sub).defvjp(
    lambda g, y, a, b: g,
    lambda g, y, a, b: negative(g),
)
multiply: Primitive = Primitive("multiply", operator.mul).defvjp(
    lambda g, y, a, b: multiply(g, b),
    lambda g, y, a, b: multiply(g, a),
)
divide: Primitive = Primitive("divide", operator.truediv).defvjp(
    lambda g, y, a, b: divide(g, b),
    lambda g, y, a, b: negative(multiply(g, divide(y, b))),
)
negative: Primitive = Primitive("negative", operator.neg).defvjp(lambda g, y, x: negative(g))

exp = Primitive("exp", lambda x: xp(x).exp(x)).defvjp(lambda g, y, x: multiply(g, y))
log = Primitive("log", lambda x: xp(x).log(x)).defvjp(lambda g, y, x: divide(g, x))
sqrt = Primitive("sqrt", lambda x: xp(x).sqrt(x)).defvjp(lambda g, y, x: divide(g, multiply(y, 2.0)))
tanh = Primitive("tanh", lambda x: xp(x).tanh(x)).defvjp(lambda g, y, x: multiply(g, subtract(1.0, multiply(y, y))))
# fmt: on


def _sigmoid(x: Array) -> Array:
    """1/(1+e⁻ˣ) without overflow on either side; `.real` lets the complex step through."""
    right = x.real >= 0
    z = xp(x).exp(xp(x).where(right, -x, x))
    return xp(x).where(right, z.dtype.type(1), z) / (1 + z)


def _softplus(x: Array) -> Array:
    right = x.real > 0
    return xp(x).where(right, x, x.dtype.type(0)) + xp(x).log1p(xp(x).exp(xp(x).where(right, -x, x)))


sigmoid = Primitive("sigmoid", _sigmoid).defvjp(lambda g, y, x: multiply(g, multiply(y, subtract(1.0, y))))
softplus = Primitive("softplus", _softplus).defvjp(lambda g, y, x: multiply(g, sigmoid(x)))

# Powers with a constant exponent; the derivative of x⁰ is 0, also at x = 0, where 0·x⁻¹ would be nan.
_power: Primitive = Primitive("power", lambda x, p: x**p).defvjp(
    lambda g, y, x, p: multiply(g, multiply(_power(x, p - 1), float(p))) if p else multiply(g, 0.0)
)


def power(x: Any, p: Any) -> Tensor:
    """xᵖ. p: a number, or a tensor of exponents (then x must be positive: it is exp(p·log x))."""
    if isinstance(p, int | float | np.number) or (not getattr(p, "requires_grad", False) and np.ndim(p) == 0):
        return _power(x, p.item() if hasattr(p, "item") else p)
    return exp(multiply(p, log(x) if isinstance(x, Tensor) else np.log(x)))


# A derivative c of y depends on all that y depends on, if only by the derivative zero (that of a linear function does).
# This keeps the connection, so that differentiating it again gives zeros and not an error.
identity = Primitive("identity", lambda x: x).defvjp(lambda g, y, x: g)
derivative_of = Primitive("derivative_of", lambda c, y: c).defvjp(lambda g, z, c, y: g, zero)


# Selection. A mask is a bool, or a weight per entry; where it is 0 the result is 0 even if g is infinite or nan there.
def _where(m: Array, a: Array, b: Array) -> Array:
    if m.dtype.kind != "b":
        raise TypeError(f"where: the condition must hold bools, got {m.dtype}; write a comparison such as x > 0")
    return xp(a).where(m, a, b)


# fmt: off
mask: Primitive = Primitive("mask", masked).defvjp(lambda g, y, x, m: mask(g, m), zero)
where = Primitive("where", _where).defvjp(
    zero,
    lambda g, y, m, a, b: mask(g, m),
    lambda g, y, m, a, b: mask(g, logical_not(m)),
)

# Piecewise constant functions: their derivative is the declared zero. A nan counts as positive, lest it be swallowed.
positive = Primitive("positive", lambda x: ~(x.real <= 0)).defvjp(zero)
sign = Primitive("sign", lambda x: xp(x).sign(x.real)).defvjp(zero)
logical_not: Primitive = Primitive("logical_not", operator.invert).defvjp(zero)
less = Primitive("less", operator.lt).defvjp(zero, zero)
less_equal = Primitive("less_equal", operator.le).defvjp(zero, zero)
greater = Primitive("greater", operator.gt).defvjp(zero, zero)
greater_equal = Primitive("greater_equal", operator.ge).defvjp(zero, zero)
equal = Primitive("equal", operator.eq).defvjp(zero, zero)
not_equal = Primitive("not_equal", operator.ne).defvjp(zero, zero)
_inside = Primitive("inside", lambda x, lo, hi: ~((x.real < lo) | (x.real > hi))).defvjp(zero)
_share = Primitive("share", lambda a, b: 1 - (a.real <= b.real) * (1 - (a.real == b.real) / 2)).defvjp(zero, zero)

relu = Primitive("relu", lambda x: xp(x).maximum(x, x.dtype.type(0))).defvjp(lambda g, y, x: mask(g, positive(y)))
abs = Primitive("abs", lambda x: xp(x).where(x.real < 0, -x, x)).defvjp(lambda g, y, x: mask(g, sign(x)))
_clip = Primitive("clip", lambda x, lo, hi: xp(x).clip(x, lo, hi)).defvjp(
    lambda g, y, x, lo, hi: mask(g, _inside(x, lo, hi))
)
maximum = Primitive("maximum", lambda a, b: xp(a).maximum(a, b)).defvjp(
    lambda g, y, a, b: mask(g, _share(a, b)),
    lambda g, y, a, b: mask(g, _share(b, a)),
)
# fmt: on


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b; at a tie half the cotangent goes to each."""
    return negative(maximum(-a, -b))  # a plain number stays one: it takes the other's dtype and device


def clip(x: Any, lo: float, hi: float) -> Tensor:
    """x limited to [lo, hi]; the cotangent passes where lo ≤ x ≤ hi."""
    return _clip(x, float(lo), float(hi))


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Tensor:
    """x where x > 0, negative_slope·x elsewhere (also the slope at 0, as in PyTorch); the slope may be a Tensor."""
    right = positive(x)
    return add(mask(x, right), multiply(mask(x, logical_not(right)), negative_slope))


def prelu(x: Any, slope: Tensor) -> Tensor:
    """x where x > 0, slope·x elsewhere. x: (N, C, ...); slope: (1,) or (C,), one per channel. He et al. 2015, eq. 1."""
    return leaky_relu(x, slope.reshape((-1, *(1,) * (x.ndim - 2))) if slope.size > 1 else slope)


# Type and place.
_cast: Primitive = Primitive("astype", lambda x, dtype, old: x.astype(dtype)).defvjp(
    lambda g, y, x, dtype, old: _cast(g, old, dtype)
)
_move: Primitive = Primitive("to", lambda x, device, old: to_device(x, device)).defvjp(
    lambda g, y, x, device, old: _move(g, old, device)
)


def astype(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; between float32 and float64 the cotangent is converted back. Other dtypes make constants."""
    new = np.dtype(dtype)
    if x.requires_grad and new.kind != "f":
        raise TypeError(f"astype: {new} carries no gradient; say .detach().astype(...) if that is meant")
    return _cast(x, new, x.dtype) if x.dtype.kind == "f" and new.kind == "f" else Tensor(x.array.astype(new))


def to(x: Tensor, device: str) -> Tensor:
    """x on "cpu" or "cuda"; the cotangent travels back."""
    return _move(x, device, x.device) if x.dtype.kind in "fc" else Tensor(to_device(x.array, device))
