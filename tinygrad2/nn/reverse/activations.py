"""Activations: their Jacobian is diagonal, but for softmax, and always symmetric."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.nn.reverse.base import Symmetric
from tinygrad2.ops import exp, logical_not, mask, positive, sigmoid, sum
from tinygrad2.ops.activations import gelu_slope

__all__ = [
    "ReverseELU", "ReverseGELU", "ReverseMask", "ReverseSiLU", "ReverseSigmoid", "ReverseSlope", "ReverseSoftmax",
    "ReverseSoftplus", "ReverseTanh",
]  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMask(Symmetric):
    """ReLU or Dropout ↔ the same entries let through, with the same weights.

    >>> nn.reverse.ReverseMask(mask=tg.Tensor([[True, False]])).vjp(tg.Tensor([[5.0, 7.0]])).numpy().tolist()
    [[5.0, 0.0]]
    """

    mask: Tensor  # (N, ...), bool or weights

    # y_i = m_i x_i, where m does not change with x: J is the diagonal matrix of m.
    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.mask)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSlope(Symmetric):
    """LeakyReLU or PReLU ↔ the slope of the side that each entry is on."""

    positive: Tensor  # (N, C, ...) bool
    slope: Tensor  # broadcasts against (N, C, ...)

    # J is diagonal: 1 where x > 0, and the slope elsewhere.
    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.positive) + mask(u, logical_not(self.positive)) * self.slope


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSigmoid(Symmetric):
    """Sigmoid ↔ u σ'(x), where σ' = y(1 - y) of the shared output y."""

    output: Tensor

    # y = 1/(1 + e⁻ˣ), so y' = e⁻ˣ/(1 + e⁻ˣ)² = y · e⁻ˣ/(1 + e⁻ˣ) = y(1 - y).
    def vjp(self, u: Tensor) -> Tensor:
        return u * (self.output * (1.0 - self.output))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseTanh(Symmetric):
    """Tanh ↔ u (1 - y²), of the shared output y."""

    output: Tensor

    # y = sinh x/cosh x, so y' = (cosh² x - sinh² x)/cosh² x = 1 - y².
    def vjp(self, u: Tensor) -> Tensor:
        return u * (1.0 - self.output * self.output)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSoftmax(Symmetric):
    """Softmax over the last axis ↔ y ⊙ (u - Σ u y), of the shared output y. u: (..., N, ..., C)."""

    output: Tensor

    # ∂y_i/∂x_j = y_i (δ_ij - y_j), so J = diag(y) - y yᵀ, which is symmetric, and J u = y ⊙ u - y (yᵀu).
    def vjp(self, u: Tensor) -> Tensor:
        return self.output * (u - sum(u * self.output, -1, keepdims=True))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseGELU(Symmetric):
    """GELU ↔ u (Φ(x) + x φ(x)), of the shared input x; or the derivative of its approximation with tanh."""

    input: Tensor  # x: (N, ...)
    approximate: str

    # y = x Φ(x), and the density φ is the derivative of the distribution function Φ.
    def vjp(self, u: Tensor) -> Tensor:
        return u * gelu_slope(self.input, self.approximate)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSiLU(Symmetric):
    """SiLU ↔ u (s + x s (1 - s)), with s = σ(x) of the shared input x."""

    input: Tensor  # x: (N, ...)

    # y = x σ(x), and σ' = σ (1 - σ).
    def vjp(self, u: Tensor) -> Tensor:
        s = sigmoid(self.input)
        return u * (s * (1.0 + self.input * (1.0 - s)))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseELU(Symmetric):
    """ELU ↔ u where x > 0, u alpha eˣ elsewhere, of the shared input x."""

    input: Tensor  # x: (N, ...)
    alpha: float

    # J is diagonal: 1 where x > 0, and the derivative of alpha (eˣ - 1) elsewhere; eˣ of a large x is never taken.
    def vjp(self, u: Tensor) -> Tensor:
        right = positive(self.input)
        left = logical_not(right)
        return mask(u, right) + mask(u, left) * (exp(mask(self.input, left)) * self.alpha)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSoftplus(Symmetric):
    """Softplus ↔ u σ(beta x), of the shared input x."""

    input: Tensor  # x: (N, ...)
    beta: float

    # y = log(1 + e^(βx))/β, so y' = e^(βx)/(1 + e^(βx)) = σ(βx).
    def vjp(self, u: Tensor) -> Tensor:
        return u * sigmoid(self.input * self.beta)
