"""Normalisations: their Jacobians project, and scale."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn.reverse.base import ReverseLayer, Symmetric
from tinygrad2.ops import families, mean, reshape
from tinygrad2.ops.elementwise import power

__all__ = [
    "ReverseBatchNorm", "ReverseGroupNorm", "ReverseLayerNorm", "ReverseLocalResponseNorm", "ReverseRMSNorm",
    "ReverseScale",
]  # fmt: skip


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
    weight: Tensor | None  # γ: (C, 1, ...)

    # x̂ = (x - μ) s with s = (var + eps)^(-1/2). For a tangent v: dμ = mean v, ds = -s³ mean((x - μ) v) = -s² mean(x̂ v),
    # so dx̂ = s (v - mean v) + (x - μ) ds = s (v - mean v - x̂ mean(x̂ v)), and γ is a factor. With m entries in a mean,
    # J = γ s (I - 1 1ᵀ/m - x̂ x̂ᵀ/m) for a channel: all three matrices are symmetric, and so is J.
    def vjp(self, u: Tensor) -> Tensor:
        ndim = self.normal.ndim
        over = (-ndim, *range(2 - ndim, 0))
        return _times(_centred(u, self.normal, self.inverse_std, over), self.weight)


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


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLayerNorm(ReverseLayer):
    """LayerNorm ↔ s (w - mean w - x̂ · mean(w x̂)) with w = γu and the shared x̂. u: (..., N, ..., *normalized_shape)."""

    normal: Tensor  # x̂: (N, ..., *normalized_shape)
    inverse_std: Tensor  # s: (N, ..., 1)
    weight: Tensor | None  # γ: normalized_shape
    axes: tuple[int, ...]  # of normalized_shape, counted from the end

    # y = γ x̂, and the Jacobian of x̂ is the symmetric matrix of ReverseBatchNorm, here for each sample. The factors γ
    # differ within a mean, so their place matters: J = diag(γ) S and Jᵀ = S diag(γ).
    def vjp(self, u: Tensor) -> Tensor:
        return _centred(_times(u, self.weight), self.normal, self.inverse_std, self.axes)

    def jvp(self, v: Tensor) -> Tensor:
        return _times(_centred(v, self.normal, self.inverse_std, self.axes), self.weight)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseGroupNorm(ReverseLayer):
    """GroupNorm ↔ that of LayerNorm, for each group of channels. u: (..., N, C, ...)."""

    normal: Tensor  # x̂: (N, groups, the entries of a group)
    inverse_std: Tensor  # s: (N, groups, 1)
    weight: Tensor | None  # γ: (C, 1, ...)
    ndim: int  # of (N, C, ...)

    def vjp(self, u: Tensor) -> Tensor:
        return self._in_groups(_times(u, self.weight))

    def jvp(self, v: Tensor) -> Tensor:
        return _times(self._in_groups(v), self.weight)

    def _in_groups(self, u: Tensor) -> Tensor:
        lead = u.shape[: u.ndim - self.ndim]
        groups = reshape(u, (*lead, *self.normal.shape))
        return reshape(_centred(groups, self.normal, self.inverse_std, (-1,)), u.shape)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseRMSNorm(ReverseLayer):
    """RMSNorm ↔ s (w - x̂ · mean(w x̂)) with w = γu and the shared x̂. u: (..., N, ..., *normalized_shape)."""

    normal: Tensor  # x̂ = s x: (N, ..., *normalized_shape)
    factor: Tensor  # s: (N, ..., 1)
    weight: Tensor | None  # γ: normalized_shape
    axes: tuple[int, ...]  # of normalized_shape, counted from the end

    # x̂ = x s with s = (mean x² + eps)^(-1/2), so ds = -s³ mean(x v) = -s² mean(x̂ v) and dx̂ = s (v - x̂ mean(x̂ v)):
    # a symmetric matrix S. With y = γ x̂, J = diag(γ) S and Jᵀ = S diag(γ).
    def vjp(self, u: Tensor) -> Tensor:
        return self._without_length(_times(u, self.weight))

    def jvp(self, v: Tensor) -> Tensor:
        return _times(self._without_length(v), self.weight)

    def _without_length(self, u: Tensor) -> Tensor:
        return self.factor * (u - self.normal * mean(u * self.normal, self.axes, keepdims=True))


def _centred(u: Tensor, normal: Tensor, inverse_std: Tensor, axes: tuple[int, ...]) -> Tensor:
    """s (u - mean u - x̂ mean(u x̂)), with means over the axes: the Jacobian of (x - μ)/√(var + eps), times u."""
    along = mean(u * normal, axes, keepdims=True)
    return inverse_std * (u - mean(u, axes, keepdims=True) - normal * along)


def _times(u: Tensor, weight: Tensor | None) -> Tensor:
    return u if weight is None else u * weight
