"""Inverses, linear equations and determinants of stacks of square matrices (..., N, N)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.ops.creation import eye
from tinygrad2.ops.elementwise import derivative_of, multiply, negative
from tinygrad2.ops.families import matmul
from tinygrad2.ops.shape import as_tensor, broadcast_to, expand_dims, index, swapaxes

__all__ = ["det", "inv", "matrix_power", "slogdet", "solve"]


def _transposed(x: Tensor) -> Tensor:
    return swapaxes(x, -1, -2)


def _regular(who: str, f: Callable[..., Array], *arrays: Array) -> Array:
    """f, with words that say what is wrong where a matrix is singular."""
    try:
        return f(*arrays)
    except np.linalg.LinAlgError:
        what = f"a matrix of the tensor of shape {arrays[0].shape} is singular, it has no inverse"
        raise np.linalg.LinAlgError(f"{who}: {what}") from None


def _logdet_array(x: Array) -> Array:
    """log|det x|. A complex x is a real one with the small imaginary part of the complex step, which passes through."""
    sign, log = xp(x).linalg.slogdet(x)
    return log + np.log(sign * np.sign(sign.real)) if x.dtype.kind == "c" else log


# fmt: off
# From x y = 1 follows dx y + x dy = 0, so dy = -y dx y, and the adjoint of dx ↦ -y dx y is g ↦ -yᵀ g yᵀ.
_inv: Primitive = Primitive("inv", lambda x: _regular("inv", xp(x).linalg.inv, x)).defvjp(
    lambda g, y, x: negative(matmul(matmul(_transposed(y), g), _transposed(y))),
)
# From a y = b follows a dy = db - da y: b̄ = a⁻ᵀ g, ā = -b̄ yᵀ.
_solve: Primitive = Primitive("solve", lambda a, b: _regular("solve", xp(a).linalg.solve, a, b)).defvjp(
    lambda g, y, a, b: negative(matmul(_solve(_transposed(a), g), _transposed(y))),
    lambda g, y, a, b: _solve(_transposed(a), g),
)
# Jacobi's formula: d det(x) = det(x) tr(x⁻¹ dx).
_det = Primitive("det", lambda x: xp(x).linalg.det(x)).defvjp(
    lambda g, y, x: multiply(expand_dims(multiply(g, y), (-1, -2)), _transposed(_inv(x))),
)
_logdet = Primitive("logdet", _logdet_array).defvjp(
    lambda g, y, x: multiply(expand_dims(g, (-1, -2)), _transposed(_inv(x))),
)
_signdet = Primitive("signdet", lambda x: xp(x).linalg.slogdet(x.real)[0]).defvjp(zero)
# fmt: on


def _square(x: TensorLike, who: str) -> Tensor:
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{who}: expected a square matrix, or a stack of them, got shape {x.shape}")
    return x


def inv(x: TensorLike) -> Tensor:
    """The inverse matrix, as numpy.linalg.inv. x: (..., N, N). Result: x's shape.

    Raises numpy.linalg.LinAlgError for a singular matrix (on a GPU the result has infinities or nan instead).
    `solve(a, b)` is more exact than `inv(a) @ b`.

    >>> tg.inv(tg.Tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], float64)
    """
    return _inv(_square(x, "inv"))


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The x with a x = b, as numpy.linalg.solve. a: (..., N, N); b: (N,) or (..., N, K). Result: b's shape.

    The leading axes broadcast. Only a b with one axis is a vector, as in NumPy 2.
    Raises numpy.linalg.LinAlgError for a singular matrix (on a GPU the result has infinities or nan instead).

    >>> tg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    Tensor([0.5 , 0.25], float64)
    """
    a = _square(a, "solve")
    b = as_tensor(b)
    matrix = b if b.ndim > 1 else expand_dims(b, -1) if b.ndim else b
    if matrix.ndim < 2 or matrix.shape[-2] != a.shape[-1]:
        raise ValueError(
            f"solve: a has shape {a.shape}; b must be ({a.shape[-1]},) or (..., {a.shape[-1]}, K), got {b.shape}"
        )
    lead = np.broadcast_shapes(a.shape[:-2], matrix.shape[:-2])
    y = _solve(_stacked(a, lead), _stacked(matrix, lead))
    return y if b.ndim > 1 else index(y, (..., 0))


def _stacked(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """x with these leading axes: CuPy's solve does not broadcast them."""
    return x if x.shape[:-2] == lead else broadcast_to(x, (*lead, *x.shape[-2:]))


def det(x: TensorLike) -> Tensor:
    """The determinant. x: (..., N, N). Result: (...).

    A singular matrix has the determinant 0; its gradient is not offered, and raises numpy.linalg.LinAlgError.

    >>> tg.det([[1.0, 2.0], [3.0, 5.0]]) + 1.0 < 1e-12
    Tensor(True, bool)
    """
    return _det(_square(x, "det"))


class SignAndLogDet(NamedTuple):
    """What `slogdet` returns, under NumPy's names."""

    sign: Tensor
    logabsdet: Tensor


def slogdet(x: TensorLike) -> SignAndLogDet:
    """The sign of the determinant and the logarithm of its size, which cannot overflow. x: (..., N, N). Both: (...).

    The sign is piecewise constant: its derivative is 0. A singular matrix gives (0, -inf); its gradient does not exist
    and raises numpy.linalg.LinAlgError.

    >>> tg.slogdet([[2.0, 0.0], [0.0, -0.5]])
    SignAndLogDet(sign=Tensor(-1., float64), logabsdet=Tensor(0., float64))
    """
    x = _square(x, "slogdet")
    return SignAndLogDet(_signdet(x), _logdet(x))


def matrix_power(x: TensorLike, n: int) -> Tensor:
    """The matrix product of n factors x; of -n inverses where n is negative. x: (..., N, N). Result: x's shape.

    >>> tg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 3)
    Tensor([[1., 3.],
            [0., 1.]], float64)
    """
    x = _square(x, "matrix_power")
    if n < 0:
        return matrix_power(inv(x), -n)
    if n == 0:
        one = broadcast_to(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape)
        return derivative_of(one, x) if x.requires_grad else one
    half = x if n < 2 else matrix_power(x, n // 2)
    square = half if n < 2 else matmul(half, half)
    return matmul(square, x) if n % 2 and n > 1 else square
