"""Normalisations: their Jacobians project, and scale."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn.reverse.base import ReverseLayer, Symmetric
from tinygrad2.ops import families, mean
from tinygrad2.ops.elementwise import power


@dataclass(frozen=True, eq=False, repr=False)
class ReverseScale(Symmetric):
    """Batch normalisation in eval mode ↔ one factor per channel, γ/√(running var + eps), differentiable in γ."""

    constant = True

    scale: Tensor  # (C,) with the trailing axes of the image

    # The running statistics do not change with x: J is the diagonal matrix of the factors.
    def vjp(self, u: Tensor) -> Tensor:
        return u * self.scale


@dataclass(frozen=True, eq=False, repr=False)
class ReverseBatchNorm(Symmetric):
    """Batch normalisation in train mode ↔ its Jacobian in the shared x̂: γs(u - mean u - x̂ · mean(u x̂)).

    It removes the mean and the component along x̂ of each channel, and scales. The means run over the batch, so all
    samples are coupled. Ioffe & Szegedy 2015, section 3, solved for ∂l/∂x. u: (..., N, C) or (..., N, C, H, W).
    """

    normal: Tensor  # x̂: (N, C, ...)
    inverse_std: Tensor  # s: (1, C, 1, ...)
    weight: Tensor  # γ: (C, 1, ...)

    # x̂ = (x - μ) s with s = (var + eps)^(-1/2). For a tangent v: dμ = mean v, ds = -s³ mean((x - μ) v) = -s² mean(x̂ v),
    # so dx̂ = s (v - mean v) + (x - μ) ds = s (v - mean v - x̂ mean(x̂ v)), and γ is a factor. With m entries in a mean,
    # J = γ s (I - 1 1ᵀ/m - x̂ x̂ᵀ/m) for a channel: all three matrices are symmetric, and so is J.
    def vjp(self, u: Tensor) -> Tensor:
        over = (-2,) if self.normal.ndim == 2 else (-4, -2, -1)
        along = mean(u * self.normal, over, keepdims=True)
        return self.weight * self.inverse_std * (u - mean(u, over, keepdims=True) - self.normal * along)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLocalResponseNorm(ReverseLayer):
    """LocalResponseNorm, y = x d^-β with d = k + α/n·W x², ↔ u d^-β - (2αβ/n) x ⊙ Wᵀ(u ⊙ x d^(-β-1)).

    W sums over n neighbouring channels. u: (..., N, C, H, W).
    """

    input: Tensor  # x: (N, C, H, W)
    denominator: Tensor  # d: (N, C, H, W)
    window: Tensor  # W, as 1×1 filters: (C, C, 1, 1)
    geometry: Geometry  # of these filters
    beta: float
    factor: float  # 2αβ/n

    # dy_i = d_i^-β v_i - β x_i d_i^(-β-1) dd_i, and dd_i = (2α/n) Σ_j W_ij x_j v_j. With c = (2αβ/n) x d^(-β-1), the
    # curve, J = diag(d^-β) - diag(c) W diag(x), so Jᵀ = diag(d^-β) - diag(x) Wᵀ diag(c).
    def _diagonals(self) -> tuple[Tensor, Tensor]:
        scale = power(self.denominator, -self.beta)
        curve = self.input * power(self.denominator, -self.beta - 1) * self.factor
        return scale, curve

    def vjp(self, u: Tensor) -> Tensor:
        scale, curve = self._diagonals()
        return u * scale - self.input * families.conv2d_input(u * curve, self.window, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        scale, curve = self._diagonals()
        return v * scale - curve * families.conv2d(v * self.input, self.window, self.geometry)
