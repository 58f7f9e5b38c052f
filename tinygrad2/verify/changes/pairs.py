"""Two contributions that both count wrongly, those of one expression first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.rules import at_one_point, others_of, rule_said
from tinygrad2.verify.changes.search import RTOL, Change, Effect, Search, capital, number, oddness
from tinygrad2.verify.changes.weights import of_edge
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.tracing import Key


def pairs(s: Search) -> Iterator[Change]:
    """Two contributions that count c and d times, those of one expression first."""
    shares: list[tuple[str, Effect, Array, Key | None]] = []
    for edge in s.edges:
        effect = s.joined(of_edge(edge))
        if effect is not None and np.abs(effect).max(initial=0.0) > 1e-9 * s.size:
            shares.append((s.edge_said(edge), of_edge(edge), effect, edge.key))
    for i, j in combinations(range(len(shares)), 2):
        (a, of_a, x, at_a), (b, of_b, y, at_b) = shares[i], shares[j]
        weights = _two(x, y, s)
        if weights is None:
            continue
        c, d = weights
        if min(abs(c), abs(d)) < 1e-9 or oddness(c + 1) > 0.5 or oddness(d + 1) > 0.5:
            continue
        effect = partial(_sum, c, of_a, d, of_b)
        same = at_a is not None and at_b is not None and at_a.place == at_b.place
        said = f"{capital(_counts(a, c + 1))}, and {_counts(b, d + 1)}."
        mistakes = {_mistake(c + 1), _mistake(d + 1)}
        mistake = mistakes.pop() if len(mistakes) == 1 else "missing-term"
        yield Change(mistake, said, effect, 0.0 if same else 1.0 + 0.01 * (i + j))


def _sum(c: float, a: Effect, d: float, b: Effect, p: Pass) -> Array:
    return c * a(p) + d * b(p)


def _two(x: Array, y: Array, s: Search) -> tuple[float, float] | None:
    xx, xy, yy = float(x @ x), float(x @ y), float(y @ y)
    determinant = xx * yy - xy * xy
    if not 1e-10 * xx * yy < determinant < np.inf:  # a nan too
        return None
    c = (yy * float(x @ s.error) - xy * float(y @ s.error)) / determinant
    d = (xx * float(y @ s.error) - xy * float(x @ s.error)) / determinant
    if np.abs(c * x + d * y - s.error).max() > RTOL * s.size:
        return None
    return round(c * 24) / 24, round(d * 24) / 24


def _counts(said: str, c: float) -> str:
    if abs(c) < 1e-9:
        return f"the part through {said} is left out"
    return f"the part through {said} " + ("has the wrong sign" if c == -1 else f"counts {number(c)} times")


def _mistake(c: float) -> str:
    return "missing-term" if abs(c) < 1e-9 else "sign" if c == -1 else "factor"


def rules_in_pairs(s: Search) -> Iterator[Change]:
    """One contribution counts c times, and another, in parallel, has another local rule."""
    p = s.first
    rows: list[tuple[Edge, str]] = []
    effects: list[Array] = []
    for edge in s.edges:
        for text in others_of(p, edge):
            effect = at_one_point(p, edge, text)
            if effect is not None and np.isfinite(effect).all():
                rows.append((edge, text))
                effects.append(effect)
    if not rows:
        return
    table = np.stack(effects)
    for edge in s.edges:
        share = p.share(edge)
        for weight in (0.0, -1.0, 2.0, 0.5):
            target = s.seen[0].error - (weight - 1) * share
            close = np.abs(table - target).max(1) <= RTOL * s.seen[0].size
            for j in np.flatnonzero(close):
                other, text = rows[j]
                if np.abs(table[j]).max() <= RTOL * s.seen[0].size:
                    continue  # a change that changes nothing
                if other != edge and (second := rule_said(s, other, text)):
                    first = _counts(s.edge_said(edge), weight)
                    said = f"{capital(first)}. {second}"
                    same = 0.0 if other.key.place == edge.key.place else 0.5
                    mistake = others_of(p, other)[text].mistake
                    yield Change(mistake, said, _both(edge, weight, other, text), same + s.distance(edge.key))


def _both(edge: Edge, weight: float, other: Edge, text: str) -> Effect:
    def effect(p: Pass) -> Array:
        changed: dict[Edge, Callable[[Array], Array]] = {}
        if edge in p.locals:
            changed[edge] = partial(np.matmul, weight * p.locals[edge].matrix)
        if other in p.locals:
            changed[other] = others_of(p, other)[text].apply
        return p.run(changed)[p.leaf] - p.right

    return effect
