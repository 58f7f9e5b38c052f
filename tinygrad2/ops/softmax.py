"""softmax, its logarithm and the logarithm of the sum; `kernels/softmax.py` says how they stay exact."""

from __future__ import annotations

from tinygrad2.autodiff import Primitive, Tensor
from tinygrad2.kernels import rows
from tinygrad2.kernels import softmax as formulas
from tinygrad2.ops.elementwise import multiply, negative
from tinygrad2.ops.reduce import _axes, _finish, _reduced, sum
from tinygrad2.ops.shape import Axis, reshape, transpose

__all__ = ["log_softmax", "logsumexp", "softmax"]


# With y = softmax(x): ∂y_i/∂x_j = y_i (δ_ij - y_j), so Jᵀg = y (g - Σ y g), which is J g too. The logarithm has
# ∂log y_i/∂x_j = δ_ij - y_j: its Jᵀu is u - y Σ u, "unmixed", and J g is g - Σ y g, "centered". These two linear maps
# are adjoint, and both depend on x only through y, so their rules need nothing else.
# fmt: off
_softmax: Primitive = Primitive("softmax", rows.softmax).defvjp(
    lambda g, y, x, axis: multiply(_softmax(x, axis), _centered(x, g, axis)),
)
_log_softmax: Primitive = Primitive("log_softmax", rows.log_softmax).defvjp(
    lambda g, y, x, axis: _unmixed(x, g, axis),
)
_logsumexp: Primitive = Primitive("logsumexp", formulas.logsumexp).defvjp(
    lambda g, y, x, axis: multiply(g, _softmax(x, axis)),
)
_centered: Primitive = Primitive("centered", rows.centered).defvjp(
    lambda h, z, x, g, axis: negative(multiply(_bent(x, g, axis), sum(h, axis, keepdims=True))),
    lambda h, z, x, g, axis: _unmixed(x, h, axis),
)
_unmixed: Primitive = Primitive("unmixed", rows.unmixed).defvjp(
    lambda h, z, x, u, axis: negative(multiply(_bent(x, h, axis), sum(u, axis, keepdims=True))),
    lambda h, z, x, u, axis: _centered(x, h, axis),
)
# fmt: on


def _bent(x: Tensor, g: Tensor, axis: int) -> Tensor:
    """The Jacobian of softmax at x times g."""
    return multiply(_softmax(x, axis), _centered(x, g, axis))


def _axis(x: Tensor, axis: int, what: str) -> int:
    (found,) = _axes(x, axis, what)
    return found


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along the axis: entries in [0, 1] of sum 1. x: any shape, e.g. (N, K). Result: x's shape.

    An entry -inf has the probability 0, and no gradient reaches it.

    >>> tg.softmax(tg.Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5], float64)
    """
    return _softmax(x, _axis(x, axis, "softmax"))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along the axis, the logarithm of softmax. x: any shape, e.g. (N, K). Result: x's shape.

    >>> tg.log_softmax(tg.Tensor([0.0, 0.0]))
    Tensor([-0.69314718, -0.69314718], float64)
    """
    return _log_softmax(x, _axis(x, axis, "log_softmax"))


def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over the axes, without overflow. x: any shape, e.g. (N, K): axis 1 gives (N,).

    An entry -inf counts as nothing.

    >>> tg.logsumexp(tg.Tensor([1000.0, 1000.0]))
    Tensor(1000.69314718, float64)
    """
    axes = _axes(x, axis, "logsumexp")
    if len(axes) == 1:
        return _finish(_logsumexp(x, axes[0]), axes, keepdims)
    others = [i for i in range(x.ndim) if i not in axes]
    rows = reshape(transpose(x, *others, *axes), (*[x.shape[i] for i in others], -1))
    kept = reshape(_logsumexp(rows, len(others)), _reduced(x, axes))
    return _finish(kept, axes, keepdims)
