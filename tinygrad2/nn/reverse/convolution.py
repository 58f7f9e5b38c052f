"""Convolutions: the transpose of a convolution is the transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.nn.reverse.base import ReverseLayer
from tinygrad2.ops import families
from tinygrad2.ops.functional import bordered, unbordered, with_rows, without_rows

__all__ = ["ReverseBorderedConv2d", "ReverseConv1d", "ReverseConv2d", "ReverseConv2dAt", "ReverseConvTranspose2d"]


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2d(ReverseLayer):
    """Conv2d ↔ transposed convolution. u: (..., N, O, OH, OW); result: (..., N, C, H, W)."""

    in_blocks = True
    constant = True

    weight: Tensor  # (O, C/groups, kh, kw)
    geometry: Geometry

    # The convolution is linear in x, and `conv2d_input` is its adjoint: ⟨conv2d(v, w), u⟩ = ⟨v, conv2d_input(u, w)⟩.
    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input(u, self.weight, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d(v, self.weight, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2dAt(ReverseLayer):
    """Conv2d of which a pool and a ReLU let only some entries through ↔ transposed convolution of these entries.

    u: (..., N, O, PH, PW), a number for each entry that the pool may let through; result: (..., N, C, H, W).
    """

    in_blocks = True

    weight: Tensor  # (O, C/groups, kh, kw)
    at: Tensor  # (N, O, PH, PW), positions in the OH·OW plane, -1 for an entry that the ReLU drops; or its mask
    geometry: Geometry

    # Let C be the convolution, and P pick the entries: P has one 1 in each row, or none. J = P C and Jᵀu = Cᵀ(Pᵀu):
    # Pᵀ puts each number where it came from and zeros elsewhere, and the zeros need no work.
    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input_at(u, self.weight, self.at, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d_at(v, self.weight, self.at, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv1d(ReverseLayer):
    """Conv1d ↔ the reverse of the convolution of images with one row. u: (..., N, O, OL); result: (..., N, C, L)."""

    in_blocks = True
    constant = True

    image: ReverseLayer

    def vjp(self, u: Tensor) -> Tensor:
        return without_rows(self.image.vjp(with_rows(u)))

    def jvp(self, v: Tensor) -> Tensor:
        return without_rows(self.image.jvp(with_rows(v)))

    @property
    def shares(self) -> str:
        return self.image.shares


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConvTranspose2d(ReverseLayer):
    """ConvTranspose2d ↔ convolution. u: (..., N, O, OH, OW), the large images; result: (..., N, C, H, W)."""

    in_blocks = True
    constant = True

    weight: Tensor  # (C, O/groups, kh, kw)
    geometry: Geometry  # of the convolution, from the large images to the small ones

    # The layer is the adjoint of a convolution, and the adjoint of the adjoint is the convolution.
    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d(u, self.weight, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d_input(v, self.weight, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseBorderedConv2d(ReverseLayer):
    """Conv2d with a padding_mode ↔ transposed convolution; then each entry gets back what its copies in the border got.

    u: (..., N, O, OH, OW); result: (..., N, C, H, W).
    """

    in_blocks = True
    constant = True

    weight: Tensor  # (O, C/groups, kh, kw)
    geometry: Geometry  # of the padded planes
    border: tuple[Any, Any]  # which row and which column stands at each place: (PH, 1) and (PW,)
    size: tuple[int, int]  # H, W

    # J = C B: each entry of the padded plane is one entry of x, so each row of B has one 1, and Bᵀ adds up the copies.
    def vjp(self, u: Tensor) -> Tensor:
        return unbordered(families.conv2d_input(u, self.weight, self.geometry), self.border, self.size)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d(bordered(v, self.border), self.weight, self.geometry)
