"""Pools: what each output looked at gets its cotangent back."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn.reverse.base import ReverseLayer
from tinygrad2.ops import families, mean, reshape, swapaxes
from tinygrad2.ops.pooling import between_means

__all__ = ["ReverseAdaptiveAvgPool2d", "ReverseAvgPool2d", "ReverseGlobalAvgPool", "ReverseMaxPool2d"]


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMaxPool2d(ReverseLayer):
    """MaxPool2d ↔ unpooling at the shared indices. u: (..., N, C, OH, OW); result: (..., N, C, H, W)."""

    indices: Tensor  # (N, C, OH, OW), positions in the H·W plane
    size: tuple[int, int]  # H, W

    # y_o = x_i with i = indices_o: row o of J has its only 1 at i. So Jᵀ adds u_o to entry i, and all others stay 0.
    def vjp(self, u: Tensor) -> Tensor:
        return families.pool_scatter(u, self.indices, self.size)

    def jvp(self, v: Tensor) -> Tensor:
        return families.pool_gather(v, self.indices, self.size)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseAvgPool2d(ReverseLayer):
    """AvgPool2d ↔ spreading each entry evenly over its window. u: (..., N, C, OH, OW); result: (..., N, C, H, W)."""

    constant = True

    geometry: Geometry

    # Row o of J holds 1/(kh·kw) at each pixel of window o. So Jᵀ gives each pixel u_o/(kh·kw) from each of its windows.
    def vjp(self, u: Tensor) -> Tensor:
        return families.avg_unpool(u, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.avg_pool(v, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseGlobalAvgPool(ReverseLayer):
    """GlobalAvgPool ↔ spreading each channel's entry evenly over its plane. u: (..., N, C); result: (..., N, C, H, W).

    >>> nn.reverse.ReverseGlobalAvgPool(size=(1, 2)).vjp(tg.Tensor([[6.0]])).numpy().tolist()
    [[[[3.0, 3.0]]]]
    """

    constant = True

    size: tuple[int, int]  # H, W

    # The row of J for a channel holds 1/(H·W) at each of its pixels, and so does the column of Jᵀ.
    def vjp(self, u: Tensor) -> Tensor:
        h, w = self.size
        return reshape(u * (1.0 / (h * w)), (*u.shape, 1, 1)).broadcast_to((*u.shape, h, w))

    def jvp(self, v: Tensor) -> Tensor:
        return mean(v, (-2, -1))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseAdaptiveAvgPool2d(ReverseLayer):
    """AdaptiveAvgPool2d ↔ spreading each entry evenly over its window.

    u: (..., N, C, OH, OW); result: (..., N, C, H, W).
    """

    constant = True

    row_means: Tensor  # A: (OH, H)
    column_means: Tensor  # B: (OW, W)

    # Y = A X Bᵀ for every plane, and ⟨U, A X Bᵀ⟩ = ⟨Aᵀ U B, X⟩.
    def vjp(self, u: Tensor) -> Tensor:
        return between_means(u, swapaxes(self.row_means, 0, 1), swapaxes(self.column_means, 0, 1))

    def jvp(self, v: Tensor) -> Tensor:
        return between_means(v, self.row_means, self.column_means)
