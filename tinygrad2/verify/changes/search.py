"""What a change of the backward pass is, and the points at which changes are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.edges import Edge, Local, Pass, locals_of
from tinygrad2.verify.local_rules import right_slope
from tinygrad2.verify.mistakes.hypothesis import got
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.tracing import FirstOrder, Key, Step, Trace, Untraceable
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

    def __init__(self, p: Point, k: int, idle: bool) -> None:
        self.point = p
        self.right = passed(p, k, idle)
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

    def explained(self, effect: Effect) -> bool:
        """True if the effect of a change can be had here, and is exactly the error."""
        with np.errstate(all="ignore"):
            try:
                return self.fits(effect(self.right))
            except (ValueError, KeyError, IndexError, TypeError, Missing, np.linalg.LinAlgError):
                return False


def passed(p: Point, k: int, idle: bool) -> Pass:
    """The right backward pass at a point by the k-th claimed input; it is kept. Raises Untraceable.

    idle: with the edges that contribute nothing to the answer, such as those to the maximum that keeps softmax from
    overflow. Who differentiates by hand leaves them out, and rightly.
    """
    known: dict[tuple[int, bool], Pass] = p.__dict__.setdefault("_passes", {})
    if (k, idle) not in known:
        trace, edges = _traced(p)
        ends = np.cumsum([int(np.prod(s)) for s in trace.out_shapes])[:-1]
        seeds = [c.reshape(s) for c, s in zip(np.split(p.g, ends), trace.out_shapes, strict=True)]
        found = Pass(p, trace, p.problem.wrt[k], seeds, edges)
        size = max(np.abs(p.g).max(initial=0.0), 1e-300)
        if not np.allclose(found.right, p.expected[k].ravel(), rtol=1e-4, atol=1e-6 * size):
            raise Untraceable("the tape differs from the measured derivative")
        known[k, True] = found
        known[k, False] = _without_idle(found)
    return known[k, idle]


def _without_idle(p: Pass) -> Pass:
    """The pass without the edges that contribute nothing although cotangents pass them; itself where there are none."""
    idle = set()
    for edge, local in p.locals.items():
        passing = np.abs(local.matrix) @ np.abs(p.cotangents[at(p, edge.key)])
        size = float((np.abs(p.reach[p.parent(edge)]) @ passing).max(initial=0.0))
        if size > 0 and np.abs(p.share(edge)).max(initial=0.0) <= 1e-12 * size:
            idle.add(edge)
    other = Pass(p.point, p.trace, p.leaf, p.seeds, {e: local for e, local in p.locals.items() if e not in idle})
    same = idle and np.allclose(other.right, p.right, rtol=1e-10, atol=1e-12 * np.abs(p.right).max(initial=1e-300))
    return other if same else p


def _traced(p: Point) -> tuple[Trace, dict[Edge, Local]]:
    if "_trace" not in p.__dict__:
        trace = trace_of(p)
        p.__dict__["_trace"] = trace, locals_of(trace)
    return p.__dict__["_trace"]  # type: ignore[no-any-return]


def trace_of(p: Point, change: FirstOrder | None = None) -> Trace:
    """What f does at a point. change: for a double backward, a wrong first-order rule in the place of the right one."""
    double = isinstance(p.truth, SecondOrder)
    f = lambda *xs: (p.problem.operations or p.problem.f)(*xs, **p.case.params)
    inputs = p.inputs[:-1] if double else p.inputs
    return Trace(f, inputs, p.problem.names, p.inputs[-1] if double else None, change)


class Group(NamedTuple):
    """Edges on which the same mistake is made. said: where; edge: one of them, for its words."""

    said: str
    edge: Edge
    members: Callable[[Pass], list[Edge]]


# Which rounds of a loop: from the number of the round and how many there are.
ROUNDS: dict[str, Callable[[int, int], bool]] = {
    "in every round of the loop": lambda i, n: True,
    "in every round of the loop but the last": lambda i, n: i < n - 1,
    "in every round of the loop but the first": lambda i, n: i > 0,
}


def _in_rounds(edge: Edge, which: str, p: Pass) -> list[Edge]:
    """An edge of a loop's first round, in the rounds chosen."""
    if edge.key not in p.trace.index:
        return []
    trace = p.trace
    rounds = trace.rounds(edge.key)
    found = [e for e in p.locals if e.arg == edge.arg and trace.slot(e.key) == edge.key]
    return [e for e in found if ROUNDS[which](trace.round(e.key), rounds)]


def _alike(op: str, arg: int, other: tuple[int, Value] | None, p: Pass) -> list[Edge]:
    """The edges to all calls of an operation, or to all those with the value `other` as another operand."""
    found = [e for e in p.locals if e.key.op == op and e.arg == arg and not e.key.backward]
    if other is None:
        return found
    i = other[0]  # a call of another round may have fewer operands
    place = at(p, other[1])
    return [e for e in found if p.trace.steps[p.trace.index[e.key]].parents[i : i + 1] == [place]]


def _uses(op: str, arg: int, u: Value, p: Pass) -> list[Edge]:
    """The edges from a value to all calls of an operation."""
    place = at(p, u)
    return [e for e in p.locals if e.key.op == op and e.arg == arg and not e.key.backward and p.parent(e) == place]


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
    def groups(self) -> list[Group]:
        """Edges that are one in the user's mind: of a loop, of all calls of one operation, of all uses of a value."""
        result: dict[object, Group] = {}
        for edge in self.edges:
            key = edge.key
            if self.trace.rounds(key) > 1 and key == self.trace.slot(key):
                for which in ROUNDS:
                    group = Group(which, edge, partial(_in_rounds, edge, which))
                    members = frozenset(group.members(self.first))
                    if len(members) > 1:
                        result.setdefault(members, group)
        for edge in self.edges:
            u = self.first.parent(edge)
            if not edge.key.backward:
                said = f"in every {edge.key.op} of `{self.words.value(u)}`"
                self._add(result, Group(said, edge, partial(_uses, edge.key.op, edge.arg, self.named(u))))
        for edge in self.edges:
            key = edge.key
            if key.backward:
                continue
            said = f"in every call of {key.op}"
            self._add(result, Group(said, edge, partial(_alike, key.op, edge.arg, None)))
            for i, other in enumerate(self.step(edge).parents):
                if other >= 0 and i != edge.arg:
                    said = f"in every {key.op} with `{self.words.value(other)}`"
                    self._add(result, Group(said, edge, partial(_alike, key.op, edge.arg, (i, self.named(other)))))
        return [*result.values()]

    def _add(self, groups: dict[object, Group], group: Group) -> None:
        members = frozenset(group.members(self.first))
        if len(members) > 1:
            groups.setdefault(members, group)

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

    def right(self, edge: Edge) -> str:
        """The right slope of an edge as a formula; "" where there is none to print."""
        step = self.step(edge)
        return "" if edge.key.backward else self.words.filled(right_slope(step, edge.arg), step)

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

    def had(self, effect: Effect) -> Array | None:
        """An effect at the first point; None where it cannot be had."""
        try:
            with np.errstate(all="ignore"):
                return effect(self.passes[0])
        except (ValueError, KeyError, IndexError, TypeError, Missing):
            return None

    def plausible(self, effect: Effect) -> bool:
        """True if a change explains the first point: only then it is worth a sentence."""
        return self.seen[0].explained(effect)

    def multiple(self, effect: Array, target: Array) -> float | None:
        """The c for which c · effect is the target; None where there is none."""
        square = float(effect @ effect)
        if not np.isfinite(square) or square <= (1e-12 * self.size) ** 2:
            return None
        c = float(effect @ target) / square
        if np.abs(c * effect).max() <= 1e-7 * np.abs(effect).max():  # it is left out: that is said of the whole edge
            return None
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


def times(c: float, text: str) -> str:
    """c times something, as it is written."""
    if text == "1":
        return number(c)
    return text if c == 1 else f"-{text}" if c == -1 else f"{number(c)}·{text}"


def oddness(c: float) -> float:
    """What a number costs: less for the numbers that people leave out or add."""
    if abs(c - 1) < 1e-9:
        return 0.0
    return 0.1 if c == -1 else 0.2 if len(number(c)) <= 3 else 1.0


def capital(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]
