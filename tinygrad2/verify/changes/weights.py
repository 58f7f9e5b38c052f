"""A value, a use of it, or a path between two values counts c times: 0 for what was treated as a constant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Group, Search, Value, at, capital
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.mistakes.constants import all_close, named_numbers
from tinygrad2.verify.point import Point


def weights(s: Search) -> Iterator[Change]:
    """Every value, use and path with the weight that the rule gives it."""
    for v in s.values:
        uses = [e for e in s.edges if s.first.parent(e) == at(s.first, v)]
        right = s.right(uses[0]) if len(uses) == 1 else ""
        yield from _weighed(s, of_value(v), s.said(v), s.distance(v), right=right)
    for twins in _twins(s):
        edge = twins[0]
        if len(twins) > 1:
            yield from _weighed(s, of_edges(twins), said_of_all(s, twins), s.distance(edge.key) + 1e-5)
        elif s.step(edge).parents.count(s.first.parent(edge)) == 1 or s.step(edge).op.name == "matmul":
            said = said_of_all(s, twins)
            yield from _weighed(s, of_edge(edge), said, s.distance(edge.key) + 1e-5, right=s.right(edge))
    for u in s.shared:
        for w in s.values:
            if at(s.first, w) > at(s.first, u):
                said = f"the dependence of {s.said(w)} on {s.said(u)}"
                yield from _weighed(s, of_path(u, w), said, s.distance(w) + 0.3, path=True)
    for group in s.groups:
        for weight, what in (
            (0.0, "is left out"),
            (-1.0, "has the wrong sign"),
            (2.0, "counts twice"),
            (0.5, "counts half"),
        ):
            said = f"The part through {s.edge_said(group.edge)} {what}, {group.said}."
            mistake = "missing-term" if weight == 0 else "sign" if weight == -1 else "factor"
            yield Change(mistake, said, of_group(group, weight), s.distance(group.edge.key) + 0.1)


def of_group(group: Group, weight: float) -> Effect:
    """What it does that the edges of a group count `weight` times."""

    def effect(p: Pass) -> Array:
        changed = {e: partial(np.matmul, weight * p.locals[e].matrix) for e in group.members(p)}
        return p.run(changed)[p.leaf] - p.right

    return effect


def of_value(v: Value) -> Effect:
    """What comes through a value."""
    return lambda p: p.reach[at(p, v)] @ p.cotangents[at(p, v)]


def of_edge(edge: Edge) -> Effect:
    """What comes through an edge."""
    return lambda p: p.share(edge)


def of_edges(edges: Sequence[Edge]) -> Effect:
    """What comes through several edges, none of which lies behind another."""
    return lambda p: np.sum([p.share(edge) for edge in edges], 0)


def _twins(s: Search) -> list[list[Edge]]:
    """The edges, those that contribute the same together: both operands of x * x are one to the reader.

    Of two equal contributions nobody can say which has a wrong sign, and one with a wrong sign is both left out.
    """
    result: dict[object, list[Edge]] = {}
    for edge in s.edges:
        share = s.joined(of_edge(edge))
        if share is None or not np.abs(share).max(initial=0.0) > 1e-9 * s.size:
            result[edge] = [edge]
            continue
        mark = edge.key.place, np.round(share / np.abs(share).max(), 9).tobytes(), float(f"{np.abs(share).max():.9g}")
        same = result.setdefault(mark, [])
        if all(_beside(s.first, edge, other) for other in same):
            same.append(edge)
        else:
            result[edge] = [edge]
    return [*result.values()]


def _beside(p: Pass, a: Edge, b: Edge) -> bool:
    """True if neither edge lies behind the other on a path."""
    first, last = sorted((a, b), key=lambda e: p.trace.index[e.key])
    if first.key == last.key:
        return True
    return not p.reach_from(at(p, first.key))[p.parent(last)].any()


def said_of_all(s: Search, twins: Sequence[Edge]) -> str:
    """Twins in words: the operand, that it is meant at both places, and the expression."""
    edge = twins[0]
    operands = list(dict.fromkeys(f"`{s.words.operand(s.step(e), e.arg)}`" for e in twins))
    if len(twins) == 1 and edge.key.op == "matmul" and s.step(edge).parents[0] == s.step(edge).parents[1]:
        which = ("first", "second")[edge.arg]
        return f"the {which} {operands[0]} of a product in {s.words.expression(edge.key)}"
    if len(twins) == 1:
        return s.edge_said(edge)
    number = {2: "both", 3: "all three"}.get(len(twins), f"all {len(twins)}")
    if len(operands) == 1:
        return f"{operands[0]} ({number} times that it is used) in {s.words.expression(edge.key)}"
    return f"{' and '.join(operands)} together in {s.words.expression(edge.key)}"


def of_path(u: Value, w: Value) -> Effect:
    """What comes through w to u and on."""

    def effect(p: Pass) -> Array:
        start = at(p, u)
        return p.reach[start] @ (p.reach_from(start)[at(p, w)] @ p.cotangents[at(p, w)])

    return effect


def _weighed(s: Search, share: Effect, said: str, cost: float, path: bool = False, right: str = "") -> Iterator[Change]:
    ratios = _ratios(s, share)
    if ratios is None:
        return
    cost += 2e-5 * len(said) - (0.0015 if re.match(r"`\w+`", said) else 0.0)  # a variable is said rather
    if all_close(ratios, [0.0] * len(ratios)):
        further = f" Add the cotangent times {right}, taken on from there." if right else ""
        constant = f"You treat {said} as a constant: the part of the answer that comes through it is missing.{further}"
        left_out = f"{capital(said)} is left out."
        yield Change("missing-term", left_out if path else constant, lambda p: -share(p), cost)
        return
    through = said if path else f"the part through {said}"
    for text, value in named_numbers([x.point for x in s.seen], ratios):
        effect = partial(_scaled, value, share)
        if text == "-1":
            yield Change("sign", f"{capital(through)} has the wrong sign.", effect, cost)
        else:
            odd = 0.01 if len(text) <= 4 else 0.5
            sentence = f"{capital(through)} counts {text} times in your answer, it must count once."
            yield Change("factor", sentence, effect, cost + odd)
        return


def _scaled(weight: Callable[[Point], float], share: Effect, p: Pass) -> Array:
    return (weight(p.point) - 1) * share(p)


def _ratios(s: Search, share: Effect) -> list[float] | None:
    """How often the share counts in the rule's answer, at every point."""
    result = []
    for x in s.seen:
        try:
            with np.errstate(all="ignore"):
                part = share(x.right)
        except (ValueError, KeyError, IndexError):
            return None
        square = float(part @ part)
        if not np.isfinite(square) or square <= (1e-12 * x.size) ** 2:
            return None
        c = float(part @ x.error) / square
        if not x.fits(c * part):
            return None
        result.append(c + 1)
    return result
