"""Activation functions composed of primitives, with PyTorch's names and arguments."""

from __future__ import annotations

import math

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops import elementwise
from tinygrad2.ops.analytic import expm1
from tinygrad2.ops.elementwise import add, divide, exp, logical_not, mask, multiply, positive, sigmoid
from tinygrad2.ops.erf import erfc
from tinygrad2.ops.shape import as_tensor

__all__ = ["elu", "gelu", "silu", "softplus"]


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x Φ(x), where Φ is the distribution function of the standard normal. x: any shape.

    approximate: "none", or "tanh" for ½x (1 + tanh(√(2/π) (x + 0.044715 x³))). Raises ValueError for another word.
    Φ(x) = ½ erfc(-x/√2), which keeps its digits where 1 + erf rounds to 0. Source: Hendrycks & Gimpel, Gaussian Error
    Linear Units, 2016, section 2.

    >>> tg.gelu(tg.Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.15865525,  0.        ,  0.84134475], float64)
    """
    x = as_tensor(x)
    return multiply(x, gelu_gate(x, approximate))


def gelu_gate(x: Tensor, approximate: str = "none") -> Tensor:
    """What gelu multiplies x by: Φ(x), or what is near to it."""
    if approximate == "none":
        return multiply(erfc(multiply(x, -math.sqrt(0.5))), 0.5)
    if approximate == "tanh":
        return sigmoid(multiply(_tanh_argument(x), 2.0))  # ½ (1 + tanh a) = σ(2a)
    raise ValueError(f"gelu: unknown approximate={approximate!r}; expected 'none' or 'tanh'")


def gelu_slope(x: Tensor, approximate: str = "none") -> Tensor:
    """The derivative of gelu, Φ + x φ. x: any shape."""
    gate = gelu_gate(x, approximate)
    if approximate == "none":
        density = multiply(exp(multiply(multiply(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))
    else:
        inner = multiply(add(multiply(multiply(x, x), 3 * 0.044715), 1.0), 2 * math.sqrt(2 / math.pi))
        density = multiply(multiply(gate, 1.0 - gate), inner)
    return add(gate, multiply(x, density))


def _tanh_argument(x: Tensor) -> Tensor:
    return multiply(add(x, multiply(multiply(multiply(x, x), x), 0.044715)), math.sqrt(2 / math.pi))


def silu(x: TensorLike) -> Tensor:
    """x σ(x), also called swish. x: any shape. Source: Hendrycks & Gimpel 2016, section 2.

    >>> tg.silu(tg.Tensor([0.0, 2.0]))
    Tensor([0.        , 1.76159416], float64)
    """
    return multiply(x, sigmoid(x))


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha (eˣ - 1) elsewhere. x: any shape. Source: Clevert et al., Exponential Linear Units, 2016.

    The derivative at 0 is alpha, as in PyTorch.

    >>> tg.elu(tg.Tensor([-1.0, 2.0]))
    Tensor([-0.63212056,  2.        ], float64)
    """
    right = positive(x)
    left = mask(x, logical_not(right))
    return add(mask(x, right), multiply(expm1(left), alpha))


def softplus(x: TensorLike, beta: float = 1.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, a smooth relu; it does not overflow. x: any shape.

    Raises ValueError unless beta > 0.

    >>> tg.softplus(tg.Tensor([0.0, 100.0]))
    Tensor([  0.69314718, 100.        ], float64)
    """
    if not beta > 0:
        raise ValueError(f"softplus: beta must be positive, got {beta}")
    if beta == 1:
        return elementwise.softplus(x)
    return divide(elementwise.softplus(multiply(x, beta)), beta)
