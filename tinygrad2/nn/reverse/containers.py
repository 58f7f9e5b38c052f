"""Layers made of layers: the chain rule, and the sum over branches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tinygrad2.autodiff import Tensor
from tinygrad2.nn.reverse.base import ReverseLayer, Row, Shape
from tinygrad2.ops import concatenate
from tinygrad2.ops.reduce import sum_squares

__all__ = ["Place", "ReverseConcatenate", "ReverseResidual", "ReverseSequential", "ReverseSum", "Step"]

if TYPE_CHECKING:
    from tinygrad2.nn.layer import Layer


class Place(NamedTuple):
    """A layer inside another: its name there, the layer, and the shape of its output."""

    name: str
    layer: Layer
    shape: Shape


class Step(NamedTuple):
    """A layer inside another at a point, with its reverse, which may do the work of the layers right after it too."""

    name: str
    layer: Layer
    shape: Shape  # of its output
    reverse: ReverseLayer
    after: tuple[Place, ...] = ()  # the layers after it whose work `reverse` does too

    @property
    def size(self) -> int:
        """How many numbers one cotangent has that `reverse` takes, for all samples together."""
        *_, last = (self, *self.after)
        return math.prod(last.shape)

    def rows(self, inside: str) -> Iterator[Row]:
        """The lines of these layers in a printed network. inside: the dotted name of the layer around them."""
        prefix = f"{inside}." if inside else ""
        yield from self.reverse.rows(prefix + self.name, self.layer.brief(), self.shape)
        for name, layer, shape in self.after:
            yield Row(prefix + name, layer.brief(), shape, f"in {self.name}", f"in {self.name}", "")


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSequential(ReverseLayer):
    """Sequential ↔ the reverse layers in reversed order."""

    steps: tuple[Step, ...]

    # J = J_n ... J_2 J_1, so Jᵀ = J_1ᵀ J_2ᵀ ... J_nᵀ: the last layer's comes first.
    def vjp(self, u: Tensor) -> Tensor:
        for step in reversed(self.steps):
            u = step.reverse.vjp(u)
        return u

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        # The first layers may only rearrange the entries of x, which changes no norm: they are left out.
        first = next((i for i, step in enumerate(self.steps) if not step.reverse.rearranges), None)
        if first is None:
            return sum_squares(u, tuple(range(lead, u.ndim)))
        u = ReverseSequential(self.steps[first + 1 :]).vjp(u)
        return self.steps[first].reverse.squared_norms(u, lead)

    def jvp(self, v: Tensor) -> Tensor:
        for step in self.steps:
            v = step.reverse.jvp(v)
        return v

    def domain(self, shape: Shape) -> Shape:
        return _domain(self.steps, shape)

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        for step in self.steps:
            yield from step.rows(name)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseResidual(ReverseLayer):
    """Residual ↔ the sum of both branches' reverses."""

    body: Step
    shortcut: Step

    # J = J_body + J_shortcut, and the transpose of a sum is the sum of the transposes.
    def vjp(self, u: Tensor) -> Tensor:
        return self.body.reverse.vjp(u) + self.shortcut.reverse.vjp(u)

    def jvp(self, v: Tensor) -> Tensor:
        return self.body.reverse.jvp(v) + self.shortcut.reverse.jvp(v)

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        yield from self.body.rows(name)
        yield from self.shortcut.rows(name)
        yield Row(name, "body + shortcut", shape, "sum of both", "sum of both", "")


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSum(ReverseLayer):
    """Sum ↔ the sum of all branches' reverses."""

    branches: tuple[Step, ...]

    # J = Σ J_i, and the transpose of a sum is the sum of the transposes.
    def vjp(self, u: Tensor) -> Tensor:
        return _total([step.reverse.vjp(u) for step in self.branches])

    def jvp(self, v: Tensor) -> Tensor:
        return _total([step.reverse.jvp(v) for step in self.branches])

    def domain(self, shape: Shape) -> Shape:
        return _domain(self.branches, shape)

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        yield from _branch_rows(self.branches, Row(name, "sum", shape, "sum of all", "sum of all", ""))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConcatenate(ReverseLayer):
    """Concatenate ↔ each branch's part of u goes through its reverse, and the results are added. u: (..., N, *out)."""

    branches: tuple[Step, ...]
    axis: int  # counted from the end, so that leading axes do not move it

    # The rows of J are those of the branches, one block below the other: J = [J_1; J_2; ...], so Jᵀu = Σ J_iᵀ u_i.
    def vjp(self, u: Tensor) -> Tensor:
        start = 0
        parts = []
        for step in self.branches:
            end = start + step.shape[self.axis]
            parts.append(step.reverse.vjp(u[(..., slice(start, end), *(slice(None),) * (-self.axis - 1))]))
            start = end
        return _total(parts)

    def jvp(self, v: Tensor) -> Tensor:
        return concatenate([step.reverse.jvp(v) for step in self.branches], self.axis)

    def domain(self, shape: Shape) -> Shape:
        return _domain(self.branches, shape)

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        yield from _branch_rows(
            self.branches, Row(name, "concatenation", shape, "split, sum of all", "concatenation", "")
        )


def _domain(steps: Sequence[Step], shape: Shape) -> Shape:
    """That of the first step: all branches have one, and later steps take what it gives."""
    return steps[0].reverse.domain(shape) if steps else shape


def _total(parts: Sequence[Tensor]) -> Tensor:
    total, *others = parts
    for part in others:
        total = total + part
    return total


def _branch_rows(branches: Sequence[Step], last: Row) -> Iterator[Row]:
    """The lines of all branches, and a last one that says how they are joined."""
    for step in branches:
        yield from step.rows(last.name)
    yield last
