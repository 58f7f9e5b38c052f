"""Naming a mistake in any function: the backward pass with one edge handled wrongly that gives what the rule gives.

f is traced. Changes of its right backward pass are tried, edge by edge, the simplest first: a value treated as a
constant, a contribution that counts c times, another local rule, a factor too many or too few, two of these. A change
is a name only if it reproduces the rule's result at all points.

| change | name |
|---|---|
| a value is treated as a constant, an edge or path is cut | missing-term |
| a contribution counts -1 times | sign |
| a contribution counts c times | factor |
| another slope of an elementwise function | wrong-derivative (mask, for a condition; missing-factor, for 1) |
| a linear map transposed, reversed, shifted, its diagonal | transpose, flip, shift, elementwise |
| a factor too few or too many on an edge | missing-factor, extra-factor |
| another value's cotangent | wrong-operand |
| only the first, the last, or all but these entries or steps | only-part |
| the derivative of f with another constant | wrong-constant |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.edges import Edge, Local, Pass, gathering, locals_of
from tinygrad2.verify.local_rules import FORMS, RIGHT, maps, products, reorderings, slopes
from tinygrad2.verify.mistakes.constants import all_close, named_numbers
from tinygrad2.verify.mistakes.hypothesis import Diagnosis, got
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.tracing import Key, Step, Trace, Untraceable
from tinygrad2.verify.truth import SecondOrder
from tinygrad2.verify.wording import Words, bracketed

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


def passed(p: Point, k: int) -> Pass:
    """The right backward pass at a point by the k-th claimed input. Raises Untraceable."""
    known: dict[int, Pass] = p.__dict__.setdefault("_passes", {})
    if k not in known:
        trace, edges = _traced(p)
        order = isinstance(p.truth, SecondOrder)
        shapes = trace.out_shapes
        ends = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
        seeds = [c.reshape(s) for c, s in zip(np.split(p.g, ends), shapes, strict=True)]
        leaf = p.problem.wrt[k] if not order or k < len(p.problem.wrt) - 1 else len(trace.leaves) - 1
        found = Pass(p, trace, leaf, seeds, edges)
        if not np.allclose(found.right, p.expected[k].ravel(), rtol=1e-4, atol=1e-6 * max(np.abs(p.g).max(), 1e-300)):
            raise Untraceable("the tape differs from the measured derivative")
        known[k] = found
    return known[k]


def _traced(p: Point) -> tuple[Trace, dict[Edge, Local]]:
    if "_trace" not in p.__dict__:
        order = isinstance(p.truth, SecondOrder)
        f = lambda *xs: p.problem.f(*xs, **p.case.params)
        inputs, g = (p.inputs[:-1], p.inputs[-1]) if order else (p.inputs, None)
        trace = Trace(f, inputs, p.problem.names, g)
        p.__dict__["_trace"] = trace, locals_of(trace)
    return p.__dict__["_trace"]  # type: ignore[no-any-return]


def name_by_edges(points: Sequence[Point], k: int, families: Sequence[Family]) -> Diagnosis | None:
    """The simplest change of the right backward pass that gives what the rule gives, at all points."""
    try:
        seen = [Seen(p, k) for p in points[:SEARCHED]]
    except (Untraceable, Broken):
        return None
    search = Search(seen)
    others: list[Seen] | None = None
    for family in families:
        found: list[Change] = []
        for change in family(search):
            if all(_holds(change, s) for s in seen):
                try:
                    others = others or [Seen(p, k) for p in points[SEARCHED:]]
                except (Untraceable, Broken):
                    return None
                if all(_holds(change, s) for s in others):
                    found.append(change)
        if found:
            best = min(found, key=lambda c: c.cost)
            return Diagnosis((best.mistake,), best.sentence, _Repair(best.effect))
    return None


class _Repair:
    """The rule's answer without what the change does to it."""

    def __init__(self, effect: Effect) -> None:
        self.effect = effect

    def __call__(self, p: Point, k: int) -> Array:
        try:
            return got(p, k) - self.effect(passed(p, k)).reshape(p.expected[k].shape)
        except Untraceable as error:
            raise Broken(str(error)) from error


def _holds(change: Change, s: Seen) -> bool:
    with np.errstate(all="ignore"):
        try:
            return s.fits(change.effect(s.right))
        except (ValueError, KeyError, IndexError, Missing):
            return False


class Missing(Exception):
    """This trace has no such call, or a factor does not fit there."""


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
        order = {step.key: n for n, step in enumerate(self.trace.steps)}
        return sorted(self.first.locals, key=lambda e: (-order[e.key], e.arg))

    @cached_property
    def values(self) -> list[Value]:
        """All values from which the answer depends, nearest to the output first."""
        n = self.first.first
        reach = self.first.reach
        wanted = [v for v in range(n + len(self.trace.steps)) if reach[v].any()]
        return [self.named(v) for v in reversed(wanted)]

    @cached_property
    def shared(self) -> list[Value]:
        """The values that are used several times, nearest to the output first."""
        uses = [self.first.parent(e) for e in self.first.locals]
        return [v for v in self.values if uses.count(at(self.first, v)) > 1]

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
        return f"`{name}` (line {v.place.number} of {v.place.function})" + ("" if not v.backward else " of the vjp")

    def edge_said(self, edge: Edge) -> str:
        """An edge in words: the operand and the expression that it is an operand of."""
        return f"`{self.words.operand(self.step(edge), edge.arg)}` in {self.words.expression(edge.key)}"

    def distance(self, v: Value) -> float:
        """How far from the output, as a small cost."""
        return 1e-4 * (len(self.trace.steps) - at(self.first, v))

    def joined(self, effect: Effect) -> Array | None:
        """An effect at all points of the search, in one vector; None where it is nowhere anything."""
        try:
            with np.errstate(all="ignore"):
                return np.concatenate([effect(p) for p in self.passes])
        except (ValueError, KeyError, IndexError, Missing):
            return None

    def ratio(self, effect: Array) -> float | None:
        """The c for which c · effect is the error; None where there is none."""
        square = float(effect @ effect)
        if not np.isfinite(square) or square <= (1e-12 * self.size) ** 2:
            return None
        c = float(effect @ self.error) / square
        return c if np.abs(c * effect - self.error).max() <= RTOL * self.size else None


def at(p: Pass, v: Value) -> int:
    """The number of a value in a trace."""
    if isinstance(v, int):
        return v
    if v not in p.trace.index:
        raise Missing
    return p.first + p.trace.index[v]


# --- cut and scaled

Family = Callable[[Search], Iterator[Change]]


def weights(s: Search) -> Iterator[Change]:
    """A value, a use of it, or the path from it to another value counts c times; not at all for c = 0."""
    for v in s.values:
        yield from _weighed(s, _of_value(v), s.said(v), v, s.distance(v))
    for edge in s.edges:
        yield from _weighed(s, _of_edge(edge), s.edge_said(edge), edge.key, s.distance(edge.key) + 1e-5)
    for u in s.shared:
        for w in s.values:
            if at(s.first, w) > at(s.first, u):
                said = f"the dependence of {s.said(w)} on {s.said(u)}"
                yield from _weighed(s, _of_path(u, w), said, w, s.distance(w) + 0.3, path=True)


def _weighed(
    s: Search, share: Effect, said: str, key: Value, cost: float, path: bool = False
) -> Iterator[Change]:
    effect = s.joined(share)
    if effect is None:
        return
    c = s.ratio(effect)
    ratios = [c + 1] if c is not None else _each(s, share)
    if not ratios:
        return
    if all_close(ratios, [0.0] * len(ratios)):
        what = (
            f"{said} is left out"
            if path
            else f"You treat {said} as a constant: no part of your answer comes through it"
        )
        yield Change("missing-term", f"{_capital(what)}.{_line(s, key)}", lambda p: -share(p), cost)
        return
    for number, value in named_numbers([x.point for x in s.seen], ratios * (len(s.seen) if len(ratios) == 1 else 1)):
        through = said if path else f"the part through {said}"
        weigh = value
        scaled = lambda p, weigh=weigh: (weigh(p.point) - 1) * share(p)
        odd = 0.0 if len(number) <= 4 else 0.5
        if number == "-1":
            yield Change("sign", f"{_capital(through)} has the wrong sign.{_line(s, key)}", scaled, cost)
        else:
            yield Change(
                "factor",
                f"{_capital(through)} counts {number} times in your answer, it must count once.{_line(s, key)}",
                scaled,
                cost + odd + 0.01,
            )
        return


def _each(s: Search, share: Effect) -> list[float]:
    """The weight at every point by itself."""
    result = []
    for x in s.seen:
        e = share(x.right)
        square = float(e @ e)
        if not np.isfinite(square) or square <= 1e-300:
            return []
        c = float(e @ x.error) / square
        if not x.fits(c * e):
            return []
        result.append(c + 1)
    return result


def _of_value(v: Value) -> Effect:
    return lambda p: p.reach[at(p, v)] @ p.cotangents[at(p, v)]


def _of_edge(edge: Edge) -> Effect:
    return lambda p: p.share(edge)


def _of_path(u: Value, w: Value) -> Effect:
    def effect(p: Pass) -> Array:
        start = at(p, u)
        return p.reach[start] @ (p.reach_from(start)[at(p, w)] @ p.cotangents[at(p, w)])

    return effect


def _line(s: Search, key: Value) -> str:
    if isinstance(key, int) or key.place is None or key.place.line == key.place.text:
        return ""
    return f" The line: `{key.place.line}`."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- another local rule


def local_slopes(s: Search) -> Iterator[Change]:
    """Another slope of an elementwise function."""
    for edge in s.edges:
        if s.first.locals[edge].slope is None or edge.key.op == "add":
            continue
        step = s.step(edge)
        names = _letters(s, step)
        for j, (text, value) in enumerate(slopes(step, edge.arg, s.first.locals[edge].slope, names)):  # type: ignore[arg-type]
            if not _ratio_at_first(s, edge, value):
                continue
            plain = _other_slope(edge, j)
            effect = s.joined(plain)
            if effect is None:
                continue
            yield from _slope_change(s, edge, step, text, names, plain, 1.0, 0.002 * j)
            whole = s.joined(lambda p, edge=edge, j=j: _slope_share(p, edge, j))
            if whole is None:
                continue
            c = _multiple(s, whole, _of_edge(edge))
            if c is not None and abs(c - 1) > 1e-9 and abs(c) > 1e-9:
                scaled = lambda p, edge=edge, j=j, c=c: c * _slope_share(p, edge, j) - p.share(edge)
                yield from _slope_change(s, edge, step, text, names, scaled, c, 0.002 * j + 0.2 + _odd(c))


def _ratio_at_first(s: Search, edge: Edge, slope: Array) -> bool:
    """A quick look at the first point: is some multiple of this slope right there?"""
    p = s.first
    v = p.call(edge)
    assert v is not None
    gather = p.locals[edge].gather
    assert gather is not None
    with np.errstate(all="ignore"):
        there = p.reach[p.parent(edge)] @ (gather @ (slope.ravel() * p.cotangents[v]))
        target = s.seen[0].error + p.share(edge)
        square = float(there @ there)
        if not np.isfinite(square) or square == 0:
            return False
        c = float(there @ target) / square
    return bool(np.abs(c * there - target).max() <= RTOL * s.seen[0].size)


def _multiple(s: Search, whole: Array, share: Effect) -> float | None:
    """The c for which c · whole is the share and the error together."""
    own = s.joined(share)
    assert own is not None
    target = s.error + own
    square = float(whole @ whole)
    if not np.isfinite(square) or square <= 1e-300:
        return None
    c = float(whole @ target) / square
    return c if np.abs(c * whole - target).max() <= RTOL * s.size else None


def _slope_share(p: Pass, edge: Edge, j: int) -> Array:
    v = p.call(edge)
    if v is None:
        return np.zeros_like(p.right)
    step = p.trace.steps[p.trace.index[edge.key]]
    local = p.locals[edge]
    if local.slope is None or local.gather is None:
        raise Missing
    names = dict.fromkeys(("x", "y", "a", "b"), "")
    value = next(value for n, (_, value) in enumerate(slopes(step, edge.arg, local.slope, names)) if n == j)
    return p.reach[p.parent(edge)] @ (local.gather @ (value.ravel() * p.cotangents[v]))


def _other_slope(edge: Edge, j: int) -> Effect:
    return lambda p: _slope_share(p, edge, j) - p.share(edge)


def _slope_change(
    s: Search, edge: Edge, step: Step, text: str, names: dict[str, str], effect: Effect, c: float, cost: float
) -> Iterator[Change]:
    right = RIGHT.get(step.op.name, ())
    wanted = right[edge.arg].format(**names) if edge.arg < len(right) else None
    if step.op.name == "power":
        p = float(step.consts[0])
        wanted = f"{p:g}·{names['x']}^{p - 1:g}"
    other = text if c == 1 else f"{_number(c)}·{text}"
    mistake = "wrong-derivative"
    if text == "1" and c == 1:
        mistake = "missing-factor"
    if step.op.name in ("relu", "where", "maximum", "clip", "max", "mask"):
        mistake = "mask"
    operand = s.words.operand(step, edge.arg)
    instead = f" in place of {wanted}" if wanted else ""
    what = f"The derivative of {s.words.expression(edge.key)} by `{operand}` is taken as {other}{instead}."
    if mistake == "missing-factor":
        factor = f" The factor {wanted} is missing." if wanted else ""
        what = (
            f"The derivative of {s.words.expression(edge.key)} by `{operand}` is left out: the cotangent is passed on "
            f"unchanged.{factor}"
        )
    yield Change(mistake, what + _line(s, edge.key), effect, cost + s.distance(edge.key))


def _letters(s: Search, step: Step) -> dict[str, str]:
    y = bracketed(s.words.result(step))
    operands = [bracketed(s.words.operand(step, i)) for i in range(len(step.inputs))]
    names = {"y": y, "x": operands[0], "a": operands[0], "b": operands[-1]}
    return names


def _number(c: float) -> str:
    for bottom in (1, 2, 3, 4, 5, 6, 8):
        if abs(c * bottom - round(c * bottom)) < 1e-7 * abs(c * bottom) and round(c * bottom):
            return f"{round(c * bottom)}" if bottom == 1 else f"{round(c * bottom)}/{bottom}"
    return f"{c:.6g}"


def _odd(c: float) -> float:
    """What a number costs: less for the numbers that people leave out or add."""
    return 0.1 if len(_number(c)) <= 4 else 1.0


def other_maps(s: Search) -> Iterator[Change]:
    """Another linear map: transposed, shifted, reversed, only its diagonal; usual mistakes with products."""
    for edge in s.edges:
        local = s.first.locals[edge]
        step = s.step(edge)
        cost = s.distance(edge.key)
        v = s.first.call(edge)
        assert v is not None
        g = s.first.cotangents[v].reshape(step.out.shape)
        for j, (mistake, what, _) in enumerate(products(step, edge.arg, g)):
            said = f"In {s.words.expression(edge.key)}, by `{s.words.operand(step, edge.arg)}`: {what}."
            yield Change(mistake, said + _line(s, edge.key), _product_effect(edge, j), cost + 0.001 * j)
        if local.slope is not None and local.matrix.shape[0] == local.matrix.shape[1]:
            continue
        to = step.inputs[edge.arg].shape
        for j, (mistake, what, _) in enumerate(maps(local.matrix, to, step.out.shape)):
            said = f"In the derivative of {s.words.expression(edge.key)} by `{s.words.operand(step, edge.arg)}`, {what}."
            yield Change(mistake, said + _line(s, edge.key), _map_effect(edge, j), cost + 0.001 * j + 0.1)


def _product_effect(edge: Edge, j: int) -> Effect:
    def effect(p: Pass) -> Array:
        v = p.call(edge)
        if v is None:
            return np.zeros_like(p.right)
        step = p.trace.steps[p.trace.index[edge.key]]
        found = [*products(step, edge.arg, p.cotangents[v].reshape(step.out.shape))]
        if len(found) <= j:
            raise Missing
        return p.reach[p.parent(edge)] @ found[j][2].ravel() - p.share(edge)

    return effect


def _map_effect(edge: Edge, j: int) -> Effect:
    def effect(p: Pass) -> Array:
        v = p.call(edge)
        if v is None:
            return np.zeros_like(p.right)
        step = p.trace.steps[p.trace.index[edge.key]]
        found = [*maps(p.locals[edge].matrix, step.inputs[edge.arg].shape, step.out.shape)]
        if len(found) <= j:
            raise Missing
        return p.reach[p.parent(edge)] @ (found[j][2] @ p.cotangents[v]) - p.share(edge)

    return effect


def whole_maps(s: Search) -> Iterator[Change]:
    """The whole dependence of one value on another, with its matrix transposed, shifted, or only its diagonal."""
    trace = s.trace
    starts: list[Value] = [s.first.leaf, *[u for u in s.shared if u != s.first.leaf]]
    for u in starts:
        reach = s.first.reach_from(at(s.first, u))
        for w in s.values:
            a, b = at(s.first, u), at(s.first, w)
            if b <= a or not reach[b].any():
                continue
            shapes = trace.value(a).shape, trace.value(b).shape
            for j, (mistake, what, other) in enumerate(maps(reach[b], *shapes)):
                if np.allclose(other, reach[b]):
                    continue
                said = f"In the derivative of {s.said(w)} by {s.said(u)}, {what}."
                yield Change(mistake, said, _whole_effect(u, w, j), s.distance(w) + 0.2 + 0.001 * j)
    for v in s.values:
        for j, (mistake, what, _) in enumerate(reorderings(trace.value(at(s.first, v)).shape)):
            said = f"The cotangent of {s.said(v)} is {what}."
            yield Change(mistake, said, _reordered(v, j), s.distance(v) + 0.15)


def _reordered(v: Value, j: int) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v)
        found = [*reorderings(p.trace.value(n).shape)]
        if len(found) <= j:
            raise Missing
        return p.reach[n] @ (p.cotangents[n][found[j][2]] - p.cotangents[n])

    return effect


def _whole_effect(u: Value, w: Value, j: int) -> Effect:
    def effect(p: Pass) -> Array:
        a, b = at(p, u), at(p, w)
        matrix = p.reach_from(a)[b]
        found = [*maps(matrix, p.trace.value(a).shape, p.trace.value(b).shape)]
        if len(found) <= j:
            raise Missing
        return p.reach[a] @ ((found[j][2] - matrix) @ p.cotangents[b])

    return effect


# --- a factor too many or too few


class Atom(NamedTuple):
    """A value at hand, or a function of it, as a factor."""

    text: str
    of: Callable[[Pass], Array]
    cost: float


def _atoms(s: Search, forms: Sequence[str]) -> list[Atom]:
    """The values at hand and functions of them, each once."""
    known: set[bytes] = set()
    result: list[Atom] = []
    values: list[tuple[str, Callable[[Pass], Array]]] = []
    for v in reversed(range(s.first.first + len(s.trace.steps))):
        a = s.trace.value(v)
        if a.dtype.kind == "f":
            values.append((s.words.factor(v), _value_of(s.named(v))))
    for step in s.trace.steps:
        for i, a in enumerate(step.inputs):
            if step.parents[i] < 0 and a.dtype.kind in "fb" and a.ndim:
                values.append((s.words.operand(step, i), _operand_of(Edge(step.key, i))))
    values.sort(key=lambda pair: len(pair[0]))
    for form in forms:
        for name, f in values:
            atom = Atom(form.replace("{}", name), _formed(f, FORMS[form]), 0.01 * len(form) + 0.002 * len(name))
            try:
                with np.errstate(all="ignore"):
                    value = atom.of(s.first)
            except (Missing, ValueError):
                continue
            mark = np.round(value, 9).tobytes() + str(value.shape).encode()
            if mark not in known and np.isfinite(value).all():
                known.add(mark)
                result.append(atom)
    return result


def _value_of(v: Value) -> Callable[[Pass], Array]:
    return lambda p: p.trace.value(at(p, v))


def _operand_of(edge: Edge) -> Callable[[Pass], Array]:
    def of(p: Pass) -> Array:
        if edge.key not in p.trace.index:
            raise Missing
        return p.trace.steps[p.trace.index[edge.key]].inputs[edge.arg] * 1.0

    return of


def _formed(f: Callable[[Pass], Array], form: Callable[[Array], Array]) -> Callable[[Pass], Array]:
    return lambda p: form(f(p))


def _fitted(a: Array, shape: tuple[int, ...]) -> Array | None:
    """An atom as a factor of an array of the shape, flat; None where it does not fit."""
    for grown in (a, a.reshape(a.shape + (1,) * (len(shape) - a.ndim)) if a.ndim < len(shape) else a):
        try:
            if np.broadcast_shapes(grown.shape, shape) == shape:
                return np.broadcast_to(grown, shape).ravel()
        except ValueError:
            continue
    return None


class Spot(NamedTuple):
    """A place where a factor may be: a value's cotangent, or the result side of an edge.

    through(p): the matrix from what is multiplied to the answer, already times it; shape(p): its shape.
    """

    said: str
    through: Callable[[Pass], Array]
    shape: Callable[[Pass], tuple[int, ...]]
    cost: float


def _spots(s: Search) -> Iterator[Spot]:
    for v in s.values:
        yield Spot(
            f"the cotangent of {s.said(v)}",
            lambda p, v=v: p.reach[at(p, v)] * p.cotangents[at(p, v)],
            lambda p, v=v: p.trace.value(at(p, v)).shape,
            s.distance(v),
        )
    for edge in s.edges:

        def through(p: Pass, edge: Edge = edge) -> Array:
            v = p.call(edge)
            if v is None:
                raise Missing
            return p.reach[p.parent(edge)] @ p.locals[edge].matrix * p.cotangents[v]

        def after(p: Pass, edge: Edge = edge) -> Array:
            v = p.call(edge)
            if v is None:
                raise Missing
            return p.reach[p.parent(edge)] * (p.locals[edge].matrix @ p.cotangents[v])

        said = f"the part through {s.edge_said(edge)}"
        yield Spot(said, through, lambda p, e=edge: p.trace.value(at(p, e.key)).shape, s.distance(edge.key) + 0.001)
        local = s.first.locals[edge]
        if local.slope is None or local.matrix.shape[0] != local.matrix.shape[1]:
            yield Spot(said, after, lambda p, e=edge: p.trace.value(p.parent(e)).shape, s.distance(edge.key) + 0.002)


def _table(s: Search, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]) -> tuple[list[Atom], list[Array]]:
    """The atoms that fit an array of the shape, and their values at every point of the search, one atom a row."""
    rows: list[list[Array]] = []
    fitting = []
    for atom in atoms:
        try:
            with np.errstate(all="ignore"):
                parts = [_fitted(atom.of(p), shape) for p, shape in zip(s.passes, shapes, strict=True)]
        except (Missing, ValueError):
            continue
        if all(part is not None and np.isfinite(part).all() for part in parts):
            fitting.append(atom)
            rows.append(parts)  # type: ignore[arg-type]
    return fitting, [np.stack([r[i] for r in rows]) for i in range(len(s.passes))] if rows else []


def factors(s: Search) -> Iterator[Change]:
    """A factor made of the values at hand is missing, or is there too often, at a value or an edge."""
    yield from _factors(s, _atoms(s, [*FORMS]), False)


def products_of_factors(s: Search) -> Iterator[Change]:
    """The same with products of two."""
    yield from _factors(s, _atoms(s, ["{}", "1/{}", "{}²", "1/{}²", "(1 - {})", "(1 + {})", "1/(1 - {})"]), True)


def _factors(s: Search, atoms: Sequence[Atom], two: bool) -> Iterator[Change]:
    cache: dict[tuple[tuple[int, ...], ...], tuple[list[Atom], list[Array]]] = {}
    for spot in _spots(s):
        try:
            shapes = tuple(spot.shape(p) for p in s.passes)
            through = [spot.through(p) for p in s.passes]
        except Missing:
            continue
        if shapes not in cache:
            cache[shapes] = _paired(*_table(s, atoms, shapes)) if two else _table(s, atoms, shapes)
        fitting, tables = cache[shapes]
        if not fitting:
            continue
        own = np.concatenate([m.sum(1) for m in through])
        for j, c in _multiples(s, tables, through, s.error + own):
            yield _factor_change(s, spot, fitting[j], c)


def _paired(atoms: list[Atom], tables: list[Array]) -> tuple[list[Atom], list[Array]]:
    """All products of two of the atoms."""
    pairs = [*combinations(range(min(len(atoms), 90)), 2)]
    if not pairs:
        return [], []
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    said = [_product_of(atoms[a], atoms[b]) for a, b in pairs]
    return said, [t[left] * t[right] for t in tables]


def _product_of(a: Atom, b: Atom) -> Atom:
    of = lambda p: (a.of(p), b.of(p))
    text = f"{a.text}·{b.text}" if not b.text.startswith("1/") else f"{a.text}/{b.text[2:]}"
    return Atom(text, of, a.cost + b.cost)  # type: ignore[arg-type]


def _multiples(s: Search, tables: Sequence[Array], through: Sequence[Array], target: Array) -> Iterator[tuple[int, float]]:
    """The rows F and numbers c for which c · through · F is the target at all points of the search."""
    with np.errstate(all="ignore"):
        effects = np.concatenate([t @ m.T for t, m in zip(tables, through, strict=True)], 1)
        squares = (effects * effects).sum(1)
        c = effects @ target / squares
        rest = np.abs(c[:, None] * effects - target).max(1)
    for j in np.flatnonzero((rest <= RTOL * s.size) & (squares > 1e-300) & (np.abs(c) > 1e-9)):
        yield int(j), float(c[j])


def _factor_change(s: Search, spot: Spot, atom: Atom, c: float) -> Change:
    c = round(c) if abs(c - round(c)) < 1e-7 else c

    def effect(p: Pass) -> Array:
        value = atom.of(p)
        parts = value if isinstance(value, tuple) else (value,)
        through = spot.through(p)
        factor = np.full(through.shape[1], float(c))
        for part in parts:
            fitted = _fitted(part, spot.shape(p))
            if fitted is None:
                raise Missing
            factor = factor * fitted
        return through @ (factor - 1)

    missing = atom.text.startswith(("1/", "[", "sign"))
    text = atom.text if c == 1 else f"{_number(c)}·{atom.text}"
    cost = spot.cost + atom.cost + (0.0 if c == 1 else 0.3 + _odd(c))
    if atom.text.startswith("1/"):
        one = atom.text[2:] if c == 1 else f"{atom.text[2:]}/({_number(c)})"
        return Change("missing-factor", f"In {spot.said} the factor {one} is missing.", effect, cost)
    mistake = "mask" if missing else "extra-factor"
    return Change(mistake, f"In {spot.said} there is a factor {text} too many.", effect, cost)


# --- another value's cotangent


def other_cotangents(s: Search) -> Iterator[Change]:
    """A value gets the cotangent of another one, times a factor: the steps between them are left out or wrong."""
    atoms = [
        Atom("1", lambda p: np.ones(()), -0.1),
        *_atoms(s, ["{}", "1/{}", "{}²", "(1 - {})", "1/{}²", "(1 + {})", "(1 - {}²)", "sign({})", "[{} > 0]"]),
    ]
    cache: dict[tuple[tuple[int, ...], ...], tuple[list[Atom], list[Array]]] = {}
    for v in s.values:
        a = at(s.first, v)
        for m in s.values:
            b = at(s.first, m)
            if b <= a:
                continue
            try:
                gathers = [_gather(p, v, m) for p in s.passes]
            except Missing:
                continue
            shapes = tuple(p.trace.value(at(p, m)).shape for p in s.passes)
            if shapes not in cache:
                cache[shapes] = _table(s, atoms, shapes)
            fitting, tables = cache[shapes]
            through = [
                p.reach[at(p, v)] @ gather * p.cotangents[at(p, m)]
                for p, gather in zip(s.passes, gathers, strict=True)
            ]
            own = s.joined(_of_value(v))
            assert own is not None
            for j, c in _multiples(s, tables, through, s.error + own):
                yield _cotangent_change(s, v, m, fitting[j], c, False)
            for j, c in _multiples(s, tables, through, s.error):
                yield _cotangent_change(s, v, m, fitting[j], c, True)


def _gather(p: Pass, v: Value, m: Value) -> Array:
    """From the cotangent of m to that of v: the sum over what v lacks. Missing where the shapes do not fit."""
    small, big = p.trace.value(at(p, v)).shape, p.trace.value(at(p, m)).shape
    try:
        fits = np.broadcast_shapes(small, big) == big
    except ValueError:
        fits = False
    if not fits:
        raise Missing
    return gathering(small, big)


def _cotangent_change(s: Search, v: Value, m: Value, atom: Atom, c: float, added: bool) -> Change:
    c = round(c) if abs(c - round(c)) < 1e-7 else c

    def effect(p: Pass) -> Array:
        fitted = _fitted(atom.of(p), p.trace.value(at(p, m)).shape)
        if fitted is None:
            raise Missing
        n = at(p, v)
        passed = c * (_gather(p, v, m) @ (fitted * p.cotangents[at(p, m)]))
        return p.reach[n] @ (passed if added else passed - p.cotangents[n])

    text = "" if atom.text == "1" and c == 1 else f" times {atom.text if c == 1 else f'{_number(c)}·{atom.text}'}"
    cost = s.distance(v) + 1e-3 * (at(s.first, m) - at(s.first, v)) + atom.cost + (0.0 if c == 1 else 0.3 + _odd(c))
    if added:
        said = f"To the cotangent of {s.said(v)} something is added that does not belong there: that of {s.said(m)}{text}."
        return Change("extra-term", said, effect, cost + 0.5)
    said = f"As the cotangent of {s.said(v)} you use that of {s.said(m)}{text}: the steps between them are not differentiated right."
    return Change("wrong-derivative", said, effect, cost)


# --- only a part


def parts(s: Search) -> Iterator[Change]:
    """Only the first or the last entries along an axis, only one triangle, or all but these."""
    for v in s.values:
        n = at(s.first, v)
        for j, (what, _) in enumerate(_masks(s.trace.value(n).shape)):
            for weight, said in ((0.0, "is left out"), (-1.0, "has the wrong sign"), (2.0, "counts twice"), (0.5, "counts half")):
                sentence = f"In the cotangent of {s.said(v)}, {what} {said}."
                mistake = {"has the wrong sign": "sign", "is left out": "only-part"}.get(said, "factor")
                yield Change(mistake, sentence, _masked(v, j, weight), s.distance(v) + 0.01 * j)


def _masked(v: Value, j: int, weight: float) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v)
        found = [*_masks(p.trace.value(n).shape)]
        if len(found) <= j:
            raise Missing
        return (weight - 1) * (p.reach[n] @ (found[j][1].ravel() * p.cotangents[n]))

    return effect


def _masks(shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Parts of an array, as masks, with what they are called."""
    for axis, size in enumerate(shape):
        if size < 2:
            continue
        place = np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        along = f" along axis {axis}" if len(shape) > 1 else ""
        for what, chosen in {
            "the first entry": place == 0,
            "the last entry": place == size - 1,
            "every entry but the first": place > 0,
            "every entry but the last": place < size - 1,
            "the first and the last entry": (place == 0) | (place == size - 1),
            "every entry but the first and the last": (place > 0) & (place < size - 1),
            "every second entry": place % 2 == 1,
            "every other entry, from the first,": place % 2 == 0,
            "the first half": place < size // 2,
            "the second half": place >= size // 2,
        }.items():
            yield what + along, np.broadcast_to(chosen, shape) * 1.0
    if len(shape) > 1 and shape[-1] == shape[-2]:
        n = shape[-1]
        for what, chosen in {
            "the diagonal": np.eye(n),
            "everything but the diagonal": 1 - np.eye(n),
            "the upper triangle": np.triu(np.ones((n, n)), 1),
            "the lower triangle": np.tril(np.ones((n, n)), -1),
            "the upper triangle with the diagonal": np.triu(np.ones((n, n))),
            "the lower triangle with the diagonal": np.tril(np.ones((n, n))),
        }.items():
            yield what, np.broadcast_to(chosen, shape) * 1.0


# --- two changes


def pairs(s: Search) -> Iterator[Change]:
    """Two contributions that count c and d times, those of one expression first."""
    shares: list[tuple[str, Effect, Array, Key | None]] = []
    for edge in s.edges:
        effect = s.joined(_of_edge(edge))
        if effect is not None and np.abs(effect).max(initial=0.0) > 1e-9 * s.size:
            shares.append((s.edge_said(edge), _of_edge(edge), effect, edge.key))
    for i, j in combinations(range(len(shares)), 2):
        (a, of_a, x, at_a), (b, of_b, y, at_b) = shares[i], shares[j]
        weights = _two(x, y, s)
        if weights is None:
            continue
        c, d = weights
        if min(abs(c), abs(d)) < 1e-9 or _odd(c + 1) > 0.5 or _odd(d + 1) > 0.5:
            continue
        effect = lambda p, c=c, d=d, of_a=of_a, of_b=of_b: c * of_a(p) + d * of_b(p)
        same = at_a is not None and at_b is not None and at_a.place == at_b.place
        said = f"{_capital(_counts(a, c + 1))}, and {_counts(b, d + 1)}."
        mistakes = {_mistake(c + 1), _mistake(d + 1)}
        mistake = mistakes.pop() if len(mistakes) == 1 else "missing-term"
        yield Change(mistake, said, effect, 0.0 if same else 1.0 + 0.01 * (i + j))


def _two(x: Array, y: Array, s: Search) -> tuple[float, float] | None:
    xx, xy, yy = float(x @ x), float(x @ y), float(y @ y)
    determinant = xx * yy - xy * xy
    if determinant <= 1e-10 * xx * yy:
        return None
    c = (yy * float(x @ s.error) - xy * float(y @ s.error)) / determinant
    d = (xx * float(y @ s.error) - xy * float(x @ s.error)) / determinant
    if np.abs(c * x + d * y - s.error).max() > RTOL * s.size:
        return None
    return round(c * 24) / 24, round(d * 24) / 24


def _counts(said: str, c: float) -> str:
    if abs(c) < 1e-9:
        return f"the part through {said} is left out"
    return f"the part through {said} " + ("has the wrong sign" if c == -1 else f"counts {_number(c)} times")


def _mistake(c: float) -> str:
    return "missing-term" if abs(c) < 1e-9 else "sign" if c == -1 else "factor"


SIMPLE: tuple[Family, ...] = (weights,)
LOCAL: tuple[Family, ...] = (local_slopes, other_maps, factors, whole_maps, parts, pairs, other_cotangents, products_of_factors)
