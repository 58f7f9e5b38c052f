"""A value, a use of it, or a path between two values counts c times: 0 for what was treated as a constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Search, Value, at, capital
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.mistakes.constants import all_close, named_numbers


def weights(s: Search) -> Iterator[Change]:
    """Every value, use and path with the weight that the rule gives it."""
    for v in s.values:
        yield from _weighed(s, of_value(v), s.said(v), s.distance(v))
    for edge in s.edges:
        if s.step(edge).parents.count(s.first.parent(edge)) > 1:  # x * x: it is said of the product
            continue
        yield from _weighed(s, of_edge(edge), s.edge_said(edge), s.distance(edge.key) + 1e-5)
    for u in s.shared:
        for w in s.values:
            if at(s.first, w) > at(s.first, u):
                said = f"the dependence of {s.said(w)} on {s.said(u)}"
                yield from _weighed(s, of_path(u, w), said, s.distance(w) + 0.3, path=True)
    for edge in s.sites:
        for which, chosen in OCCURRENCES.items():
            for weight, what in ((0.0, "is left out"), (-1.0, "has the wrong sign"), (2.0, "counts twice")):
                said = f"The part through {s.edge_said(edge)} {what}, {which}."
                mistake = "missing-term" if weight == 0 else "sign" if weight == -1 else "factor"
                yield Change(
                    mistake, said, of_site(edge, chosen, weight), s.distance(edge.key) + 0.1 + abs(weight) / 99
                )


OCCURRENCES: dict[str, Callable[[int, int], bool]] = {
    "in every step of the loop": lambda i, n: True,
    "in every step of the loop but the last": lambda i, n: i < n - 1,
    "in every step of the loop but the first": lambda i, n: i > 0,
    "in the first step of the loop": lambda i, n: i == 0,
    "in the last step of the loop": lambda i, n: i == n - 1,
}


def occurrences(p: Pass, edge: Edge, chosen: Callable[[int, int], bool]) -> list[Edge]:
    """The chosen ones of all passes of a loop through an edge."""
    if edge.key not in p.trace.index:
        return []
    rounds = p.trace.rounds(edge.key)
    found = [e for e in p.locals if e.arg == edge.arg and p.trace.slot(e.key) == edge.key]
    return [e for e in found if chosen(p.trace.round(e.key), rounds)]


def of_site(edge: Edge, chosen: Callable[[int, int], bool], weight: float) -> Effect:
    """What it does that an edge counts `weight` times in the chosen steps of a loop."""

    def effect(p: Pass) -> Array:
        changed = {e: (lambda g, m=p.locals[e].matrix: weight * (m @ g)) for e in occurrences(p, edge, chosen)}
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


def _weighed(s: Search, share: Effect, said: str, cost: float, path: bool = False) -> Iterator[Change]:
    ratios = _ratios(s, share)
    if ratios is None:
        return
    cost += 2e-4 * len(said)
    if all_close(ratios, [0.0] * len(ratios)):
        constant = f"You treat {said} as a constant: the part of the answer that comes through it is missing."
        left_out = f"{capital(said)} is left out."
        yield Change("missing-term", left_out if path else constant, lambda p: -share(p), cost)
        return
    through = said if path else f"the part through {said}"
    for text, value in named_numbers([x.point for x in s.seen], ratios):
        effect = lambda p, value=value: (value(p.point) - 1) * share(p)
        if text == "-1":
            yield Change("sign", f"{capital(through)} has the wrong sign.", effect, cost)
        else:
            odd = 0.01 if len(text) <= 4 else 0.5
            sentence = f"{capital(through)} counts {text} times in your answer, it must count once."
            yield Change("factor", sentence, effect, cost + odd)
        return


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
