"""What every reverse layer is: the transposed Jacobian of a layer at one point, and the line that it prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar, NamedTuple

from tinygrad2.autodiff import Tensor
from tinygrad2.ops.reduce import sum_squares

__all__ = ["Linearized", "ReverseLayer", "Row", "Shape", "Symmetric"]

Shape = tuple[int, ...]


class Row(NamedTuple):
    """One line of a printed network: a forward layer, its output's shape, its reverse and its linearised map."""

    name: str
    layer: str
    shape: Shape
    reverse: str
    linearized: str
    shares: str


class ReverseLayer:
    """The transposed Jacobian of one layer at one point, as a layer: `rev(u)` is Jᵀu, and `rev.reverse()(v)` is Jv.

    A reverse layer of your own defines `vjp` and `jvp`. Three class attributes say how a network may treat it. They are
    False unless you set them:

    in_blocks: it is costly, so where its many cotangents need much memory, they come a few at a time.
    rearranges: Jᵀu has the entries of u, at most in another order, so that it changes no norm.
    constant: J is the same for every sample, so that one cotangent serves the whole batch.

    >>> rev = nn.reverse.ReverseTanh(output=tg.Tensor([[0.0, 0.5]]))
    >>> rev(tg.Tensor([[1.0, 2.0]])).numpy().tolist()  # u (1 - y²)
    [[1.0, 1.5]]
    >>> rev
    ReverseTanh(output)
    """

    in_blocks: ClassVar[bool] = False
    rearranges: ClassVar[bool] = False
    constant: ClassVar[bool] = False

    def vjp(self, u: Tensor) -> Tensor:
        """Jᵀu. u: (..., N, *out), with any leading axes; result: (..., N, *in)."""
        raise NotImplementedError(f"{type(self).__name__} must define vjp(u), its product with the transposed Jacobian")

    def jvp(self, v: Tensor) -> Tensor:
        """Jv. v: (..., N, *in), with any leading axes; result: (..., N, *out)."""
        raise NotImplementedError(f"{type(self).__name__} must define jvp(v), its product with the Jacobian")

    def domain(self, shape: Shape) -> Shape:
        """The shape of v and of Jᵀu where the layer's input has this shape: the same, but for integers."""
        return shape

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        """‖Jᵀu‖² over all but the first `lead` axes. u: (..., N, *out); result: the first `lead` axes of u."""
        w = self.vjp(u)
        return sum_squares(w, tuple(range(lead, w.ndim)))

    def __call__(self, u: Tensor) -> Tensor:
        return self.vjp(u)

    def reverse(self) -> ReverseLayer:
        """The reverse of the reverse: the layer linearised at the point, v ↦ Jv."""
        return Linearized(self)

    @property
    def shares(self) -> str:
        """The names of what this layer shares with its forward layer, such as "weight, geometry"."""
        return ", ".join(f.name for f in fields(self)) if is_dataclass(self) else ""

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        """The lines that this layer takes in a printed network, in forward order. shape: of the layer's output."""
        kind = type(self).__name__
        yield Row(name, layer, shape, kind, f"Linearized{kind.removeprefix('Reverse')}", self.shares)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shares})"


class Symmetric(ReverseLayer):
    """A reverse layer whose Jacobian is symmetric, J = Jᵀ, so that `jvp` is `vjp`."""

    def jvp(self, v: Tensor) -> Tensor:
        return self.vjp(v)


@dataclass(frozen=True, eq=False, repr=False)
class Linearized(ReverseLayer):
    """A reverse layer turned round: its `vjp` is the other's `jvp`, since (Jᵀ)ᵀ = J."""

    of: ReverseLayer

    def vjp(self, u: Tensor) -> Tensor:
        return self.of.jvp(u)

    def jvp(self, v: Tensor) -> Tensor:
        return self.of.vjp(v)

    def reverse(self) -> ReverseLayer:
        return self.of
