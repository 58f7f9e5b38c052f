"""The right backward pass of a traced function as small matrices, one for each edge, and what a change of it does.

An edge goes from a value to a call that uses it. Its matrix takes the cotangent of the call's result to the edge's
contribution to the cotangent of the value. `reach` takes a change of a value's cotangent to the change of the answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.point import Point
from tinygrad2.verify.tracing import LARGEST, Key, Step, Trace, Untraceable


class Edge(NamedTuple):
    """The use of a value as argument number `arg` of a call."""

    key: Key
    arg: int


class Pass:
    """The backward pass of a trace by one of its inputs, for the cotangents of its outputs."""

    def __init__(
        self, point: Point, trace: Trace, leaf: int, cotangents: list[Array], edges: dict[Edge, Local]
    ) -> None:
        self.point = point
        self.trace = trace
        self.leaf = leaf
        self.locals = edges
        self.seeds = cotangents
        self.first = len(trace.leaves)
        self._reach: dict[int, list[Array]] = {}

    @cached_property
    def cotangents(self) -> list[Array]:
        """The cotangent of every value, flat."""
        return self.run({})

    @cached_property
    def right(self) -> Array:
        """The right answer: the cotangent of the input, flat."""
        return self.cotangents[self.leaf]

    def run(self, changed: Mapping[Edge, Callable[[Array], Array]]) -> list[Array]:
        """The cotangent of every value where some edges have other rules."""
        trace = self.trace
        result = [np.zeros(trace.value(v).size) for v in range(self.first + len(trace.steps))]
        for v, g in zip(trace.outputs, self.seeds, strict=True):
            if v >= 0:
                result[v] = result[v] + g.ravel()
        for n in reversed(range(len(trace.steps))):
            step = trace.steps[n]
            g = result[self.first + n]
            for i, parent in enumerate(step.parents):
                edge = Edge(step.key, i)
                if edge in self.locals:
                    other = changed.get(edge)
                    result[parent] = result[parent] + (self.locals[edge].matrix @ g if other is None else other(g))
        return result

    @cached_property
    def reach(self) -> list[Array]:
        """For every value v: the matrix that takes a change of v's cotangent to the change of the answer."""
        return self.reach_from(self.leaf)

    def reach_from(self, origin: int) -> list[Array]:
        """For every value v: the transposed Jacobian of v by the value `origin`; it is kept."""
        if origin not in self._reach:
            self._reach[origin] = self._reach_from(origin)
        return self._reach[origin]

    def _reach_from(self, origin: int) -> list[Array]:
        trace = self.trace
        size = trace.value(origin).size
        result = [np.zeros((size, trace.value(v).size)) for v in range(self.first + len(trace.steps))]
        result[origin] = np.eye(size)
        for n, step in enumerate(trace.steps):
            v = self.first + n
            for i, parent in enumerate(step.parents):
                edge = Edge(step.key, i)
                if v > origin and parent >= origin and edge in self.locals:
                    result[v] = result[v] + result[parent] @ self.locals[edge].matrix
        return result

    def call(self, edge: Edge) -> int | None:
        """The number of the value that the edge's call gives; None where this trace has no such call."""
        n = self.trace.index.get(edge.key)
        return None if n is None else self.first + n

    def parent(self, edge: Edge) -> int:
        """The number of the value that the edge starts from."""
        return self.trace.steps[self.trace.index[edge.key]].parents[edge.arg]

    def share(self, edge: Edge) -> Array:
        """What the edge contributes to the answer."""
        v = self.call(edge)
        if v is None or edge not in self.locals:
            return np.zeros_like(self.right)
        return self.reach[self.parent(edge)] @ (self.locals[edge].matrix @ self.cotangents[v])


class Local(NamedTuple):
    """The local rule of an edge. matrix: (size of the value, size of the call's result).

    slope: the rule as one factor per entry of the result, where it is no more than that; the matrix is then `gather`,
    the sum over broadcast axes, times it.
    """

    matrix: Array
    slope: Array | None
    gather: Array | None


def locals_of(
    trace: Trace, before: Trace | None = None, known: Mapping[Edge, Local] | None = None
) -> dict[Edge, Local]:
    """The local rules of all edges along which cotangents pass. before, known: the same trace with other values."""
    result = {}
    for n, step in enumerate(trace.steps):
        same = before is not None and known is not None and _unchanged(step, before.steps[n])
        for i in range(len(step.parents)):
            edge = Edge(step.key, i)
            if step.differentiable(i):
                old = None if known is None else known[edge]
                result[edge] = old if same and old is not None else _local(trace, n, i, old)
    return result


def _unchanged(step: Step, before: Step) -> bool:
    return step.consts is before.consts and all(map(operator.is_, step.inputs, before.inputs))


def _local(trace: Trace, n: int, i: int, before: Local | None) -> Local:
    step = trace.steps[n]
    shape = step.out.shape
    to = trace.value(step.parents[i]).shape
    size = step.out.size
    if size * int(np.prod(to)) > LARGEST:
        raise Untraceable("a local Jacobian is too large")
    ones = np.ones(shape)
    if before is not None and before.slope is not None and before.gather is not None:
        slope = step.passed(i, ones)
        return Local(before.gather * slope.ravel(), slope, before.gather)
    slope = step.passed(i, ones)
    if slope.shape == shape and np.broadcast_shapes(to, shape) == shape:
        other = 1.0 + np.arange(size).reshape(shape) ** 1.5
        if np.allclose(step.passed(i, other), slope * other, rtol=1e-9, atol=1e-300, equal_nan=True):
            gather = gathering(to, shape)
            return Local(gather * slope.ravel(), slope, gather)
    columns = [summed(step.passed(i, e.reshape(shape)), to).ravel() for e in np.eye(size)]
    return Local(np.stack(columns, 1) if columns else np.zeros((int(np.prod(to)), 0)), None, None)


def gathering(small: tuple[int, ...], big: tuple[int, ...]) -> Array:
    """The matrix of the sum over broadcast axes: (size of small, size of big)."""
    size = int(np.prod(small))
    source = np.broadcast_to(np.arange(size).reshape(small), big).ravel()
    return (np.arange(size)[:, None] == source).astype(np.float64)


def summed(c: Array, shape: tuple[int, ...]) -> Array:
    """c summed over the axes along which an array of the shape was broadcast."""
    lead = c.ndim - len(shape)
    c = c.sum(tuple(range(lead))) if lead > 0 else c
    return c.sum(tuple(a for a, (n, m) in enumerate(zip(shape, c.shape, strict=True)) if n == 1 != m), keepdims=True)
