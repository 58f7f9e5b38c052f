"""Another local rule at one call, or at all calls of a loop; and another map from one value to another."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import (
    RTOL,
    Change,
    Effect,
    Group,
    Missing,
    Search,
    Value,
    at,
    capital,
    number,
    oddness,
    times,
)
from tinygrad2.verify.changes.weights import of_edge
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.local_rules import CONDITIONS, Other, maps, others, reorderings


def conditions(s: Search) -> Iterator[Change]:
    """Another condition at one call that lets the cotangent through where a condition holds, as relu and clip do."""
    return local_rules(s, CONDITIONS)


def local_rules(s: Search, only: Collection[str] | None = None) -> Iterator[Change]:
    """Another rule at one call. only: of operations of these names."""
    for edge in s.edges:
        if only is not None and edge.key.op not in only:
            continue
        p = s.first
        v = at(p, edge.key)
        target = s.seen[0].error + p.share(edge)
        for n, (text, other) in enumerate(others_of(p, edge).items()):
            there = _there(p, edge, v, other)
            if there is None or not _looks_right(there, target, s.seen[0].size, other.scaled):
                continue
            whole = s.joined(partial(_whole, edge, text))
            if whole is None:
                continue
            own = s.joined(of_edge(edge))
            assert own is not None
            c = s.multiple(whole, s.error + own)
            if c is None or (abs(c - 1) > 1e-7 and not other.scaled):
                continue
            c = 1.0 if abs(c - 1) < 1e-7 else c
            effect = partial(_instead, edge, text, c)
            cost = s.distance(edge.key) + other.cost + 0.0005 * n + oddness(c)
            mistake = (
                "wrong-derivative" if text == "1" and c != 1 and other.mistake == "missing-factor" else other.mistake
            )
            if sentence := _sentence(s, edge, text, other, c):
                yield Change(mistake, sentence, effect, cost)


def rules_in_groups(s: Search) -> Iterator[Change]:
    """Another rule at all calls of a loop, of an operation, or of a value."""
    for group in s.groups:
        cost = s.distance(group.edge.key) + 0.05
        for text, other in others_of(s.first, group.edge).items():
            effect = _everywhere(group, text)
            if not s.plausible(effect):
                continue
            if sentence := _sentence(s, group.edge, text, other, 1.0):
                yield Change(other.mistake, f"{sentence[:-1]}, {group.said}.", effect, cost + other.cost)


def _everywhere(group: Group, text: str) -> Effect:
    def effect(p: Pass) -> Array:
        found = [(e, others_of(p, e).get(text)) for e in group.members(p)]
        return p.run({e: other.apply for e, other in found if other is not None})[p.leaf] - p.right

    return effect


def others_of(p: Pass, edge: Edge) -> dict[str, Other]:
    """The other rules of an edge by their texts; they are kept."""
    known: dict[Edge, dict[str, Other]] = p.__dict__.setdefault("_others", {})
    if edge not in known:
        trace = p.trace
        n = trace.index[edge.key]
        values = [(_letter(p, v), trace.value(v)) for v in range(p.first + n + 1) if trace.value(v).dtype.kind == "f"]
        values += _other_rounds(p, edge)
        known[edge] = {other.text: other for other in others(trace.steps[n], edge.arg, p.locals[edge], values)}
    return known[edge]


def _other_rounds(p: Pass, edge: Edge) -> list[tuple[str, Array]]:
    """In a loop, the operands and the result of the same call in the rounds before and after."""
    trace = p.trace
    if trace.rounds(edge.key) < 2:
        return []
    result = []
    for shift, word in ((-1, "before"), (1, "after")):
        key = trace.moved(edge.key, shift)
        if key in trace.index:
            step = trace.steps[trace.index[key]]
            result += [(f"operand {i + 1} of the round {word}", a) for i, a in enumerate(step.inputs)]
            result.append((f"the result of the round {word}", step.out))
        elif shift == 1:  # after the last round: what the next one would have got
            step = trace.steps[trace.index[edge.key]]
            for i, parent in enumerate(step.parents):
                after = parent >= p.first and trace.moved(trace.steps[parent - p.first].key, 1)
                if after and after in trace.index:
                    result.append((f"operand {i + 1} of the round after", trace.steps[trace.index[after]].out))
    return [(text, a) for text, a in result if a.dtype.kind == "f"]


def at_one_point(p: Pass, edge: Edge, text: str) -> Array | None:
    """What another rule of an edge adds to the answer at one point; None where it cannot be had."""
    there = _there(p, edge, at(p, edge.key), others_of(p, edge)[text])
    return None if there is None else there - p.share(edge)


def rule_said(s: Search, edge: Edge, text: str) -> str:
    """Another rule of an edge as a sentence; empty where it would say nothing."""
    return _sentence(s, edge, text, others_of(s.first, edge)[text], 1.0)


def _letter(p: Pass, v: int) -> str:
    """A value in the text of a rule: by its number, which is made words where the text is said."""
    return f"«{v}»"


def _there(p: Pass, edge: Edge, v: int, other: Other) -> Array | None:
    try:
        with np.errstate(all="ignore"):
            return p.reach[p.parent(edge)] @ other.apply(p.cotangents[v])
    except (ValueError, IndexError, TypeError, np.linalg.LinAlgError):
        return None


def _looks_right(there: Array, target: Array, size: float, scaled: bool) -> bool:
    """A quick look at one point: is this, or a multiple of it, right there?"""
    with np.errstate(all="ignore"):
        square = float(there @ there)
        if not np.isfinite(square) or square == 0:
            return False
        c = float(there @ target) / square if scaled else 1.0
        return bool(np.abs(c * there - target).max() <= RTOL * size)


def _instead(edge: Edge, text: str, c: float, p: Pass) -> Array:
    return c * _whole(edge, text, p) - p.share(edge)


def _whole(edge: Edge, text: str, p: Pass) -> Array:
    """What comes through an edge by another rule."""
    if edge not in p.locals:
        return np.zeros_like(p.right)
    other = others_of(p, edge).get(text)
    if other is None:
        raise Missing
    return p.reach[p.parent(edge)] @ other.apply(p.cotangents[at(p, edge.key)])


def _sentence(s: Search, edge: Edge, text: str, other: Other, c: float) -> str:
    """What is said of another rule of an edge; nothing where its words are those of the right one."""
    step = s.step(edge)
    for v in range(len(s.trace.leaves) + len(s.trace.steps)):
        text = text.replace(f"«{v}»", f"`{s.words.value(v)}`")
    text = s.words.filled(text, step)
    by = f"the derivative of {s.words.expression(edge.key)} by `{s.words.operand(step, edge.arg)}`"
    if not other.slope:
        often = "" if c == 1 else f" (and the result counts {number(c)} times)"
        return f"In {by}, {text}{often}."
    right = s.right(edge)
    if text == "1" and c == 1:
        missing = f" The factor {right} is missing." if right else ""
        return f"{capital(by)} is left out: the cotangent is passed on unchanged.{missing}"
    text = f"the constant {number(c)}" if text == "1" else times(c, text)
    if text == right:
        return ""
    text = text.replace("(the right slope)", f"({right})" if right else "(the right slope)")
    return f"{capital(by)} is taken as {text}" + (f" in place of {right}." if right else ".")


def whole_maps(s: Search) -> Iterator[Change]:
    """The whole dependence of one value on another transposed, shifted, or only its diagonal; a cotangent reordered."""
    starts: list[Value] = [s.first.leaf, *[u for u in s.shared if u != s.first.leaf]]
    for u in starts:
        reach = s.first.reach_from(at(s.first, u))
        for w in s.values:
            a, b = at(s.first, u), at(s.first, w)
            if b <= a or not reach[b].any():
                continue
            for mistake, what, other in maps(reach[b], s.trace.value(a).shape, s.trace.value(b).shape):
                if s.seen[0].fits(s.first.reach[a] @ ((other - reach[b]) @ s.first.cotangents[b])):
                    said = f"In the derivative of {s.said(w)} by {s.said(u)}, {what}."
                    yield Change(mistake, said, _whole_effect(u, w, what), s.distance(w) + 0.2)
    for v in s.values:
        for n, (mistake, what, _) in enumerate(reorderings(s.trace.value(at(s.first, v)).shape)):
            said = f"The cotangent of {s.said(v)} is {what}."
            yield Change(mistake, said, _reordered(v, what), s.distance(v) + 0.15 + 0.001 * n)


def _reordered(v: Value, what: str) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v)
        for _, text, order in reorderings(p.trace.value(n).shape):
            if text == what:
                return p.reach[n] @ (p.cotangents[n][order] - p.cotangents[n])
        raise Missing

    return effect


def _whole_effect(u: Value, w: Value, what: str) -> Effect:
    def effect(p: Pass) -> Array:
        a, b = at(p, u), at(p, w)
        matrix = p.reach_from(a)[b]
        for _, text, other in maps(matrix, p.trace.value(a).shape, p.trace.value(b).shape):
            if text == what:
                return p.reach[a] @ ((other - matrix) @ p.cotangents[b])
        raise Missing

    return effect
