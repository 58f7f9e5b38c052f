"""What a change of the backward pass is, and the points at which changes are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.edges import Edge, Local, Pass, locals_of
from tinygrad2.verify.mistakes.hypothesis import got
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.tracing import Key, Step, Trace, Untraceable
from tinygrad2.verify.truth import SecondOrder
from tinygrad2.verify.wording import Words

SEARCHED = 3  # points at which all changes are tried; what holds there is tried at all others
RTOL = 1e-8
Effect = Callable[[Pass], Array]  # what a change adds to the right answer, flat
Value = int | Key  # an input by its number, or the result of a call


class Change(NamedTuple):
    """One change of the right backward pass."""

    mistake: str
    sentence: str
    effect: Effect
    cost: float = 0.0  # of two changes that fit, the cheaper one is said


Family = Callable[["Search"], Iterator[Change]]


class Missing(Exception):
    """This trace has no such call, or something does not fit there."""


class Seen:
    """A point as the search sees it: the rule's answer beside the backward pass of f."""

    def __init__(self, p: Point, k: int) -> None:
        self.point = p
        self.right = passed(p, k)
        claim = got(p, k)
        if claim.shape != p.expected[k].shape:
            raise Broken("another shape")
        self.claim = claim.ravel()
        self.size = max(np.abs(self.claim).max(initial=0.0), np.abs(self.right.right).max(initial=0.0), 1e-300)

    @cached_property
    def error(self) -> Array:
        """What the rule gives too much."""
        return self.claim - self.right.right

    def fits(self, effect: Array) -> bool:
        """True if the effect of a change is exactly the error."""
        return bool(np.all(np.abs(effect - self.error) <= RTOL * self.size))

    def explained(self, change: Change) -> bool:
        """True if the change gives what the rule gives."""
        with np.errstate(all="ignore"):
            try:
                return self.fits(change.effect(self.right))
            except (ValueError, KeyError, IndexError, TypeError, Missing, np.linalg.LinAlgError):
                return False


def passed(p: Point, k: int) -> Pass:
    """The right backward pass at a point by the k-th claimed input; it is kept. Raises Untraceable."""
    known: dict[int, Pass] = p.__dict__.setdefault("_passes", {})
    if k not in known:
        trace, edges = _traced(p)
        ends = np.cumsum([int(np.prod(s)) for s in trace.out_shapes])[:-1]
        seeds = [c.reshape(s) for c, s in zip(np.split(p.g, ends), trace.out_shapes, strict=True)]
        found = Pass(p, trace, p.problem.wrt[k], seeds, edges)
        size = max(np.abs(p.g).max(initial=0.0), 1e-300)
        if not np.allclose(found.right, p.expected[k].ravel(), rtol=1e-4, atol=1e-6 * size):
            raise Untraceable("the tape differs from the measured derivative")
        known[k] = found
    return known[k]


def _traced(p: Point) -> tuple[Trace, dict[Edge, Local]]:
    if "_trace" not in p.__dict__:
        double = isinstance(p.truth, SecondOrder)
        f = lambda *xs: p.problem.f(*xs, **p.case.params)
        inputs, g = (p.inputs[:-1], p.inputs[-1]) if double else (p.inputs, None)
        trace = Trace(f, inputs, p.problem.names, g)
        p.__dict__["_trace"] = trace, locals_of(trace)
    return p.__dict__["_trace"]  # type: ignore[no-any-return]


class Search:
    """What the families of changes search in: a few points, side by side."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.seen = seen
        self.passes = [s.right for s in seen]
        self.first = self.passes[0]
        self.trace = self.first.trace
        self.words = Words(self.trace)
        self.error = np.concatenate([s.error for s in seen])
        self.size = max(s.size for s in seen)

    @cached_property
    def edges(self) -> list[Edge]:
        """All edges, nearest to the output first."""
        index = self.trace.index
        return sorted(self.first.locals, key=lambda e: (-index[e.key], e.arg))

    @cached_property
    def values(self) -> list[Value]:
        """All values from which the answer depends, nearest to the output first."""
        n = self.first.first
        reach = self.first.reach
        return [self.named(v) for v in reversed(range(n + len(self.trace.steps))) if reach[v].any()]

    @cached_property
    def shared(self) -> list[Value]:
        """The values that are used several times, nearest to the output first."""
        uses = [self.first.parent(e) for e in self.first.locals]
        return [v for v in self.values if uses.count(at(self.first, v)) > 1]

    @cached_property
    def sites(self) -> list[Edge]:
        """The edges that a loop passes several times, each once."""
        looped = [e for e in self.edges if self.trace.rounds(e.key) > 1]
        return [e for e in looped if e.key == self.trace.slot(e.key)]

    def named(self, v: int) -> Value:
        """A value by a name that holds in other traces too."""
        return v if v < self.first.first else self.trace.steps[v - self.first.first].key

    def step(self, edge: Edge) -> Step:
        """The call that an edge leads to."""
        return self.trace.steps[self.trace.index[edge.key]]

    def said(self, v: Value) -> str:
        """What a value is called, with its line."""
        name = self.words.value(at(self.first, v))
        if isinstance(v, int) or v.place is None:
            return f"`{name}`"
        return f"`{name}` ({self.words.here(v)})"

    def edge_said(self, edge: Edge) -> str:
        """An edge in words: the operand and the expression that it is an operand of."""
        return f"`{self.words.operand(self.step(edge), edge.arg)}` in {self.words.expression(edge.key)}"

    def distance(self, v: Value) -> float:
        """How far from the output, as a small cost."""
        return 1e-3 * (len(self.trace.steps) - at(self.first, v))

    def joined(self, effect: Effect) -> Array | None:
        """An effect at all points of the search, in one vector; None where it cannot be had."""
        try:
            with np.errstate(all="ignore"):
                return np.concatenate([effect(p) for p in self.passes])
        except (ValueError, KeyError, IndexError, TypeError, Missing):
            return None

    def multiple(self, effect: Array, target: Array) -> float | None:
        """The c for which c · effect is the target; None where there is none."""
        square = float(effect @ effect)
        if not np.isfinite(square) or square <= (1e-12 * self.size) ** 2:
            return None
        c = float(effect @ target) / square
        return c if np.abs(c * effect - target).max() <= RTOL * self.size else None


def at(p: Pass, v: Value) -> int:
    """The number of a value in a trace. Missing where there is no such value."""
    if isinstance(v, int):
        return v
    if v not in p.trace.index:
        raise Missing
    return p.first + p.trace.index[v]


def number(c: float) -> str:
    """A number as it is said: a fraction where it is one."""
    for bottom in (1, 2, 3, 4, 5, 6, 8):
        if abs(c * bottom - round(c * bottom)) < 1e-7 * abs(c * bottom) and round(c * bottom):
            return f"{round(c * bottom)}" if bottom == 1 else f"{round(c * bottom)}/{bottom}"
    return f"{c:.6g}"


def oddness(c: float) -> float:
    """What a number costs: less for the numbers that people leave out or add."""
    if abs(c - 1) < 1e-9:
        return 0.0
    return 0.1 if c == -1 else 0.2 if len(number(c)) <= 3 else 1.0


def capital(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]
