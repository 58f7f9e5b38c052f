"""Entries in the wrong place: what meets is overwritten, a stride or an offset is forgotten, a shift drops an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, Value, at
from tinygrad2.verify.edges import Edge, Pass

# What people take for the slice of a call: (words, mistake, the other slice of the n-th call of an axis of that length)
Slice = Callable[[slice, int, int], slice]


def _steps(s: slice, n: int) -> slice:
    """The same number of entries without a stride."""
    count = len(range(*s.indices(n)))
    start = s.indices(n)[0]
    return slice(start, start + count)


def _offset(s: slice, n: int, by: int) -> slice:
    start, stop, step = s.indices(n)
    return slice(max(start + by, 0), max(stop + by, 0), step)


SLICES: tuple[tuple[str, str, Slice], ...] = (
    ("without its stride", "shift", lambda s, n, i: _steps(s, n)),
    ("one entry too late", "shift", lambda s, n, i: _offset(s, n, 1)),
    ("one entry too early", "shift", lambda s, n, i: _offset(s, n, -1)),
    ("at its number, not at its number times the stride", "shift", lambda s, n, i: _at_number(s, n, i)),
)


def _at_number(s: slice, n: int, i: int) -> slice:
    start, stop, step = s.indices(n)
    return slice(i, i + stop - start, step)


def places(s: Search) -> Iterator[Change]:
    """The parts of a value that calls take, put back wrongly."""
    for u in s.values:
        uses = _taken(s.first, u)
        if not uses:
            continue
        said = f"what goes back to {s.said(u)} from its parts"
        cost = s.distance(u) + 0.05
        if len(uses) > 1:
            for order, how in ((1, "the last of them stays"), (-1, "the first of them stays")):
                for only in (True, False):
                    sentence = f"Where parts overlap, {said} overwrites each other ({how}): it must add."
                    yield Change("unsummed", sentence, _overwriting(u, order, only), cost)
        for text, mistake, other in SLICES:
            effect = _elsewhere(u, other)
            if s.plausible(effect):
                sentence = f"{said[:1].upper()}{said[1:]} is put back {text}."
                yield Change(mistake, sentence, effect, cost + 0.02)
    for v in s.values:
        for axis, size in enumerate(s.trace.value(at(s.first, v)).shape):
            for by in (1, -1) if size > 1 else ():
                effect = _shifted(v, axis, by)
                if s.plausible(effect):
                    where = "later" if by > 0 else "earlier"
                    sentence = (
                        f"The cotangent of {s.said(v)} stands one entry {where} along axis {axis}; the end drops out."
                    )
                    yield Change("shift", sentence, effect, s.distance(v) + 0.16)


def _taken(p: Pass, u: Value) -> list[Edge]:
    """The edges to the calls that take parts of a value, in the order of the calls."""
    place = at(p, u)
    return [Edge(t.key, 0) for t in p.trace.steps if t.op.name == "index" and t.parents == [place]]


def _back(p: Pass, u: Value, contributions: dict[Edge, Array]) -> Array:
    """The change of the answer where parts of u get these cotangents in place of the right ones."""
    place = at(p, u)
    right = np.sum([p.locals[e].matrix @ p.cotangents[at(p, e.key)] for e in contributions], 0)
    return p.reach[place] @ (np.sum([*contributions.values()], 0) - right)


def _overwriting(u: Value, order: int, only: bool) -> Effect:
    """only: where something comes back, not wherever a part was taken."""

    def effect(p: Pass) -> Array:
        place = at(p, u)
        uses = [e for e in _taken(p, u) if e in p.locals]
        if len(uses) < 2:
            raise Missing
        result = np.zeros(p.trace.value(place).size)
        for e in uses[::order]:
            part = p.locals[e].matrix @ p.cotangents[at(p, e.key)]
            taken = p.locals[e].matrix.any(1)
            where = taken & (part != 0) if only else taken
            result = np.where(where, part, result)
        right = np.sum([p.locals[e].matrix @ p.cotangents[at(p, e.key)] for e in uses], 0)
        return p.reach[place] @ (result - right)

    return effect


def _elsewhere(u: Value, other: Slice) -> Effect:
    """The cotangents of the parts are put back at other places."""

    def effect(p: Pass) -> Array:
        place = at(p, u)
        shape = p.trace.value(place).shape
        contributions = {}
        for i, e in enumerate(_taken(p, u)):
            step = p.trace.steps[p.trace.index[e.key]]
            if e not in p.locals:
                continue
            key = step.consts[0] if isinstance(step.consts[0], tuple) else (step.consts[0],)
            moved = tuple(other(k, n, i) if isinstance(k, slice) else k for k, n in zip(key, shape, strict=False))
            contributions[e] = _put(moved, shape, p.cotangents[at(p, e.key)].reshape(step.out.shape))
        if not contributions:
            raise Missing
        return _back(p, u, contributions)

    return effect


def _put(key: tuple[Any, ...], shape: tuple[int, ...], g: Array) -> Array:
    """g at the key, as much of it as fits; flat."""
    result = np.zeros(shape)
    room = result[key]
    if room.ndim != g.ndim:
        raise Missing
    inside = tuple(slice(0, min(a, b)) for a, b in zip(room.shape, g.shape, strict=True))
    room[inside] += g[inside]
    return result.ravel()


def _shifted(v: Value, axis: int, by: int) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v)
        shape = p.trace.value(n).shape
        if axis >= len(shape):
            raise Missing
        g = p.cotangents[n].reshape(shape)
        moved = np.roll(g, by, axis)
        end = [slice(None)] * len(shape)
        end[axis] = slice(0, 1) if by > 0 else slice(-1, None)
        moved[tuple(end)] = 0
        return p.reach[n] @ (moved.ravel() - p.cotangents[n])

    return effect
