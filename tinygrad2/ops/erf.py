"""The error function and its complement, to double precision, for NumPy and CuPy arrays.

In four regions of |x| a quotient of polynomials stands for the function. Source of the regions and coefficients: Sun
Microsystems' fdlibm, s_erf.c (1993), whose error is below one unit in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tinygrad2.autodiff import Primitive
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.ops.elementwise import Unary, exp, multiply, negative

__all__ = ["erf", "erfc"]

Piece = tuple[float, float, Callable[[Array], Array]]  # from, to, and the function between them

# Coefficients of 1, z, z², ...: numerator and denominator.
# fmt: off
SMALL = (
    (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02, -5.77027029648944159157e-03,
     -2.37630166566501626084e-05),
    (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
     1.32494738004321644526e-04, -3.96022827877536812320e-06),
)
AT_ONE = 8.45062911510467529297e-01  # erf(1), rounded to float32
NEAR_ONE = (
    (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01, 3.18346619901161753674e-01,
     -1.10894694282396677476e-01, 3.54783043256182359371e-02, -2.16637559486879084300e-03),
    (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
     1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02),
)
MIDDLE = (
    (-9.86494403484714822705e-3, -6.93858572707181764372e-1, -1.05586262253232909814e1, -6.23753324503260060396e+1,
     -1.62396669462573470355e2, -1.84605092906711035994e2, -8.12874355063065934246e1, -9.81432934416914548592e+00),
    (1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
     6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02, 6.57024977031928170135e+00,
     -6.04244152148580987438e-02),
)
LARGE = (
    (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01, -1.60636384855821916062e+02,
     -6.37566443368389627722e+02, -1.02509513161107724954e+03, -4.83519191608651397019e+02),
    (1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
     3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02, -2.24409524465858183362e+01),
)
# fmt: on


def _quotient(z: Array, parts: tuple[Sequence[float], Sequence[float]]) -> Array:
    above, below = (_polynomial(z, coefficients) for coefficients in parts)
    return above / below


def _polynomial(z: Array, coefficients: Sequence[float]) -> Array:
    *lower, value = coefficients
    total = value * z
    for c in reversed(lower[1:]):
        total = (total + c) * z
    return total + lower[0]


def _small(a: Array) -> Array:
    """erf a for 0 ≤ a < 0.84375."""
    return a + a * _quotient(a * a, SMALL)


def _near_one(a: Array) -> Array:
    """erf a - AT_ONE for 0.84375 ≤ a < 1.25."""
    return _quotient(a - 1.0, NEAR_ONE)


def _tail(a: Array, parts: tuple[Sequence[float], Sequence[float]]) -> Array:
    """erfc a for a ≥ 1.25. The square of `head` is exact, so that exp(-a²) loses nothing to rounding."""
    head = a.astype(np.float32).astype(np.float64)
    rest = (head - a) * (head + a) + _quotient(1.0 / (a * a), parts)
    return np.exp(-head * head - 0.5625) * np.exp(rest) / a


BEYOND = 28.0  # erfc is 0 there
TAIL: tuple[Piece, ...] = (
    (1.25, 1 / 0.35, lambda a: _tail(a, MIDDLE)),
    (1 / 0.35, BEYOND, lambda a: _tail(a, LARGE)),
    (BEYOND, math.inf, lambda a: 0.0 * a),
)
ERFC: tuple[Piece, ...] = (
    (0.0, 0.25, lambda a: 1.0 - _small(a)),
    (0.25, 0.84375, lambda a: 0.5 - (_small(a) - 0.5)),
    (0.84375, 1.25, lambda a: (1.0 - AT_ONE) - _near_one(a)),
    *TAIL,
)
ERF: tuple[Piece, ...] = (
    (0.0, 0.84375, _small),
    (0.84375, 1.25, lambda a: AT_ONE + _near_one(a)),
    *[(start, end, lambda a, erfc=erfc: 1.0 - erfc(a)) for start, end, erfc in TAIL],
)


def _piecewise(a: Array, pieces: Sequence[Piece]) -> Array:
    """Each piece's function where a, which is not negative, lies in it; nan where it is nan."""
    result = xp(a).full_like(a, math.nan)
    for start, end, f in pieces:
        inside = (a >= start) & (a < end)
        result[inside] = f(a[inside])
    return result


def _of_real(f: Callable[[Array], Array], sign: float) -> Callable[[Array], Array]:
    """f, which takes float64, for all dtypes. A small imaginary part, of the complex step, follows the derivative."""

    def g(x: Array) -> Array:
        real = np.minimum(np.maximum(x.real.astype(np.float64), -BEYOND), BEYOND)
        y = f(real)
        if x.dtype.kind == "c":
            y = y + 1j * (sign * x.imag * _density(real))
        return y.astype(x.dtype)

    return g


def _density(x: Array) -> Array:
    return (2 / math.sqrt(math.pi)) * np.exp(-x * x)


def _erf(x: Array) -> Array:
    return np.copysign(_piecewise(np.abs(x), ERF), x)


def _erfc(x: Array) -> Array:
    right = _piecewise(np.abs(x), ERFC)
    return np.where(x < 0, 2.0 - right, right)


# fmt: off
erf: Unary = Primitive("erf", _of_real(_erf, 1.0), """The error function 2/√π ∫₀ˣ exp(-t²) dt, in (-1, 1). x: any shape.

    >>> tg.erf([0.0, 1.0])
    Tensor([0.        , 0.84270079], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, multiply(exp(negative(multiply(x, x))), 2 / math.sqrt(math.pi))),
)
erfc: Unary = Primitive("erfc", _of_real(_erfc, -1.0), """1 - erf(x), precise where erf is near 1. x: any shape.

    >>> tg.erfc([0.0, 10.0])
    Tensor([1.00000000e+00, 2.08848758e-45], float64)
    """).defvjp(
    lambda g, y, x: multiply(g, multiply(exp(negative(multiply(x, x))), -2 / math.sqrt(math.pi))),
)
# fmt: on
