"""Layers that are linear in their input: their Jacobian is the map itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.nn.reverse.base import ReverseLayer, Shape, Symmetric
from tinygrad2.ops import families, gram, reshape

__all__ = ["ReverseFlatten", "ReverseIdentity", "ReverseLinear"]


@dataclass(frozen=True, eq=False, repr=False)
class ReverseIdentity(Symmetric):
    """Identity ↔ itself."""

    rearranges = True
    constant = True

    def vjp(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLinear(ReverseLayer):
    """Linear ↔ its transpose. u: (..., N, O); result: (..., N, I).

    >>> nn.reverse.ReverseLinear(weight=tg.Tensor([[1.0, 2.0, 3.0]])).vjp(tg.Tensor([[10.0]])).numpy().tolist()
    [[10.0, 20.0, 30.0]]
    """

    constant = True

    weight: Tensor  # (O, I)

    # y = W x + b has the Jacobian W. A sample is a row here, so that Wᵀu is written u W, and W v is written v Wᵀ.
    def vjp(self, u: Tensor) -> Tensor:
        return families.linear_input(u, self.weight)

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        return gram.squared_norms(u, self.weight, lead)

    def jvp(self, v: Tensor) -> Tensor:
        return families.linear(v, self.weight)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseFlatten(ReverseLayer):
    """Flatten ↔ unflatten. u: (..., N, D); result: (..., N, *shape)."""

    rearranges = True
    constant = True

    shape: Shape  # of one sample

    # J only renames the entries: it is a permutation matrix, and the transpose of a permutation is its inverse.
    def vjp(self, u: Tensor) -> Tensor:
        return reshape(u, (*u.shape[:-1], *self.shape))

    def jvp(self, v: Tensor) -> Tensor:
        return reshape(v, (*v.shape[: v.ndim - len(self.shape)], math.prod(self.shape)))
