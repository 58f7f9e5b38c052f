"""A value gets the cotangent of another one, times a factor: what lies between them is not differentiated right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.factors import Atom, atoms_of, fitted, multiples, table
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, Value, at, oddness, times
from tinygrad2.verify.changes.weights import of_value
from tinygrad2.verify.edges import Pass, gathering


def other_cotangents(s: Search) -> Iterator[Change]:
    """A value gets the cotangent of another one, times a factor: the steps between them are left out or wrong."""
    atoms = [
        Atom("1", lambda p: (np.ones(()),), -0.1),
        *atoms_of(s, ["{}", "1/{}", "{}²", "(1 - {})", "1/{}²", "(1 + {})", "(1 - {}²)", "sign({})", "[{} > 0]"]),
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
                cache[shapes] = table(s, atoms, shapes)
            fitting, tables = cache[shapes]
            through = [
                p.reach[at(p, v)] @ gather * p.cotangents[at(p, m)] for p, gather in zip(s.passes, gathers, strict=True)
            ]
            own = s.joined(of_value(v))
            assert own is not None
            for j, c in multiples(s, tables, through, s.error + own):
                yield _cotangent_change(s, v, m, fitting[j], c, False)
            for j, c in multiples(s, tables, through, s.error):
                yield _cotangent_change(s, v, m, fitting[j], c, True)


def exchanged(s: Search) -> Iterator[Change]:
    """Two values of one shape get each other's cotangents."""
    for v, w in combinations(s.values, 2):
        a, b = at(s.first, v), at(s.first, w)
        if s.trace.value(a).shape != s.trace.value(b).shape:
            continue
        effect = _exchange(v, w)
        if s.plausible(effect):
            said = f"The cotangents of {s.said(v)} and {s.said(w)} have changed places."
            yield Change("swap", said, effect, s.distance(v) + 0.1)


def _exchange(v: Value, w: Value) -> Effect:
    def effect(p: Pass) -> Array:
        a, b = at(p, v), at(p, w)
        difference = p.cotangents[b] - p.cotangents[a]
        return p.reach[a] @ difference - p.reach[b] @ difference

    return effect


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
        one = fitted(atom, p, p.trace.value(at(p, m)).shape)
        n = at(p, v)
        passed = c * (_gather(p, v, m) @ (one * p.cotangents[at(p, m)]))
        return p.reach[n] @ (passed if added else passed - p.cotangents[n])

    text = "" if atom.text == "1" and c == 1 else f" times {times(c, atom.text)}"
    cost = s.distance(v) + 1e-3 * (at(s.first, m) - at(s.first, v)) + atom.cost + (0.0 if c == 1 else 0.1 + oddness(c))
    if added:
        said = (
            f"To the cotangent of {s.said(v)} something is added that does not belong there: that of {s.said(m)}{text}."
        )
        return Change("extra-term", said, effect, cost + 0.5)
    used = f"As the cotangent of {s.said(v)} you use that of {s.said(m)}{text}"
    said = f"{used}: the steps between them are not differentiated right."
    return Change("wrong-derivative", said, effect, cost)
