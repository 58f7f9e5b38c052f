"""A factor made of the values at hand is missing, or is there once too often, at a value or a use of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

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
    number,
    oddness,
    times,
)
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.local_rules import FORMS

CONSTANT = ("sign({})", "[{} > 0]", "[{} < 0]")  # a form that may be the same number everywhere


class Atom(NamedTuple):
    """A value at hand, or a function of it, as a factor."""

    text: str
    of: Callable[[Pass], tuple[Array, ...]]  # the factors that it is made of
    cost: float


def atoms_of(s: Search, forms: Sequence[str]) -> list[Atom]:
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
                    (value,) = atom.of(s.first)
            except (Missing, ValueError):
                continue
            if (
                form in CONSTANT and value.size and np.all(value == value.flat[0])
            ):  # a mask that masks nothing, by chance
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


def _formed(f: Callable[[Pass], Array], form: Callable[[Array], Array]) -> Callable[[Pass], tuple[Array, ...]]:
    return lambda p: (form(f(p)),)


def fitted(atom: Atom, p: Pass, shape: tuple[int, ...]) -> Array:
    """An atom as a factor of an array of the shape, flat. Missing where it does not fit."""
    result = np.ones(int(np.prod(shape)))
    for part in atom.of(p):
        result = result * _spread(part, shape)
    return result


def _spread(a: Array, shape: tuple[int, ...]) -> Array:
    """a broadcast from behind, or from the front; flat."""
    grown = a.reshape(a.shape + (1,) * (len(shape) - a.ndim)) if a.ndim < len(shape) else a
    for candidate in (a, grown):
        try:
            if np.broadcast_shapes(candidate.shape, shape) == shape:
                return np.broadcast_to(candidate, shape).ravel()
        except ValueError:
            continue
    raise Missing


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
        yield Spot(f"the cotangent of {s.said(v)}", partial(_at_value, v), partial(_shape_of, v), s.distance(v))
    for edge in s.edges:
        said = f"the part through {s.edge_said(edge)}"
        cost = s.distance(edge.key) + 0.001
        yield Spot(said, partial(_before, edge), partial(_shape_of, edge.key), cost)
        local = s.first.locals[edge]
        if local.slope is None or local.matrix.shape[0] != local.matrix.shape[1]:
            yield Spot(said, partial(_after, edge), partial(_shape_of, s.named(s.first.parent(edge))), cost + 0.001)


def _shape_of(v: Value, p: Pass) -> tuple[int, ...]:
    shape: tuple[int, ...] = p.trace.value(at(p, v)).shape
    return shape


def _at_value(v: Value, p: Pass) -> Array:
    return p.reach[at(p, v)] * p.cotangents[at(p, v)]


def _before(edge: Edge, p: Pass) -> Array:
    """A factor on the cotangent of the call's result."""
    if edge not in p.locals:
        raise Missing
    return p.reach[p.parent(edge)] @ p.locals[edge].matrix * p.cotangents[at(p, edge.key)]


def _after(edge: Edge, p: Pass) -> Array:
    """A factor on what the rule has made of it."""
    if edge not in p.locals:
        raise Missing
    return p.reach[p.parent(edge)] * (p.locals[edge].matrix @ p.cotangents[at(p, edge.key)])


def table(s: Search, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]) -> tuple[list[Atom], list[Array]]:
    """The atoms that fit an array of the shape, and their values at every point of the search, one atom a row."""
    rows: list[list[Array]] = []
    fitting = []
    for atom in atoms:
        try:
            with np.errstate(all="ignore"):
                parts = [fitted(atom, p, shape) for p, shape in zip(s.passes, shapes, strict=True)]
        except (Missing, ValueError):
            continue
        if all(np.isfinite(part).all() for part in parts):
            fitting.append(atom)
            rows.append(parts)
    return fitting, [np.stack([r[i] for r in rows]) for i in range(len(s.passes))] if rows else []


def factors(s: Search) -> Iterator[Change]:
    """A factor made of the values at hand is missing, or is there too often, at a value or an edge."""
    yield from _factors(s, atoms_of(s, [*FORMS]), False)


def factors_in_groups(s: Search) -> Iterator[Change]:
    """The same factor at all edges of a group."""
    atoms = [*atoms_of(s, ["{}", "1/{}", "(1 - {})"]), *_numbers(s)]
    for group in s.groups:
        for atom in atoms:
            effect = _in_group(group, atom)
            if not s.plausible(effect):
                continue
            said = f"the part through {s.edge_said(group.edge)}"
            missing = atom.text.startswith("1/")
            what = f"the factor {atom.text[2:]} is missing" if missing else f"there is a factor {atom.text} too many"
            mistake = "missing-factor" if missing else "extra-factor"
            cost = s.distance(group.edge.key) + atom.cost + 0.15
            yield Change(mistake, f"In {said} {what}, {group.said}.", effect, cost)


def _in_group(group: Group, atom: Atom) -> Effect:
    def effect(p: Pass) -> Array:
        changed = {}
        for e in group.members(p):
            factor = fitted(atom, p, p.trace.value(at(p, e.key)).shape)
            changed[e] = partial(np.matmul, p.locals[e].matrix * factor)
        return p.run(changed)[p.leaf] - p.right

    return effect


def _numbers(s: Search) -> list[Atom]:
    """The numbers that f multiplies and divides by."""
    found = {
        float(a) for step in s.trace.steps for i, a in enumerate(step.inputs) if step.parents[i] < 0 and a.ndim == 0
    }
    result = []
    for c in sorted(found - {0.0, 1.0, -1.0}):
        if np.isfinite(c):
            result.append(Atom(f"{c:g}", _constant(c), 0.01))
            result.append(Atom(f"1/{c:g}", _constant(1 / c), 0.01))
    return result


def _constant(c: float) -> Callable[[Pass], tuple[Array, ...]]:
    return lambda p: (np.array(c),)


def products_of_factors(s: Search) -> Iterator[Change]:
    """The same with products of two."""
    yield from _factors(s, atoms_of(s, ["{}", "1/{}", "{}²", "1/{}²", "(1 - {})", "(1 + {})", "1/(1 - {})"]), True)


def _factors(s: Search, atoms: Sequence[Atom], two: bool) -> Iterator[Change]:
    cache: dict[tuple[tuple[int, ...], ...], tuple[list[Atom], list[Array]]] = {}
    for spot in _spots(s):
        try:
            shapes = tuple(spot.shape(p) for p in s.passes)
            through = [spot.through(p) for p in s.passes]
        except Missing:
            continue
        if shapes not in cache:
            cache[shapes] = _paired(*table(s, atoms, shapes)) if two else table(s, atoms, shapes)
        fitting, tables = cache[shapes]
        if not fitting:
            continue
        own = np.concatenate([m.sum(1) for m in through])
        for j, c in multiples(s, tables, through, s.error + own):
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
    text = f"{a.text}·{b.text}" if not b.text.startswith("1/") else f"{a.text}/{b.text[2:]}"
    return Atom(text, lambda p: (*a.of(p), *b.of(p)), a.cost + b.cost)


def multiples(
    s: Search, tables: Sequence[Array], through: Sequence[Array], target: Array
) -> Iterator[tuple[int, float]]:
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
        return spot.through(p) @ (c * fitted(atom, p, spot.shape(p)) - 1)

    missing = atom.text.startswith(("1/", "[", "sign"))
    text = times(c, atom.text)
    cost = spot.cost + atom.cost + (0.0 if c == 1 else 0.1 + oddness(c))
    if atom.text.startswith("1/"):
        one = atom.text[2:] if c == 1 else f"{atom.text[2:]}/({number(c)})"
        return Change("missing-factor", f"In {spot.said} the factor {one} is missing.", effect, cost)
    mistake = "mask" if missing else "extra-factor"
    return Change(mistake, f"In {spot.said} there is a factor {text} too many.", effect, cost)
