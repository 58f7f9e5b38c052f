"""A value, a use of it, or a path between two values counts c times: 0 for what was treated as a constant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
    for edge in s.edges:
        if s.step(edge).parents.count(s.first.parent(edge)) > 1:  # x * x: it is said of the product
            continue
        yield from _weighed(s, of_edge(edge), s.edge_said(edge), s.distance(edge.key) + 1e-5, right=s.right(edge))
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
