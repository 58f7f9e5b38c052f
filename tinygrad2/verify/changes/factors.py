"""A factor made of the values at hand is missing, or is there once too often, at a value or a use of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import RTOL, Change, Missing, Search, Value, at, number, oddness
from tinygrad2.verify.edges import Edge, Pass
from tinygrad2.verify.local_rules import FORMS


class Atom(NamedTuple):
    """A value at hand, or a function of it, as a factor."""

    text: str
    of: Callable[[Pass], Array]
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


def fitted(a: Array, shape: tuple[int, ...]) -> Array | None:
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


def table(s: Search, atoms: Sequence[Atom], shapes: Sequence[tuple[int, ...]]) -> tuple[list[Atom], list[Array]]:
    """The atoms that fit an array of the shape, and their values at every point of the search, one atom a row."""
    rows: list[list[Array]] = []
    fitting = []
    for atom in atoms:
        try:
            with np.errstate(all="ignore"):
                parts = [fitted(atom.of(p), shape) for p, shape in zip(s.passes, shapes, strict=True)]
        except (Missing, ValueError):
            continue
        if all(part is not None and np.isfinite(part).all() for part in parts):
            fitting.append(atom)
            rows.append(parts)  # type: ignore[arg-type]
    return fitting, [np.stack([r[i] for r in rows]) for i in range(len(s.passes))] if rows else []


def factors(s: Search) -> Iterator[Change]:
    """A factor made of the values at hand is missing, or is there too often, at a value or an edge."""
    yield from _factors(s, atoms_of(s, [*FORMS]), False)


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
    of = lambda p: (a.of(p), b.of(p))
    text = f"{a.text}·{b.text}" if not b.text.startswith("1/") else f"{a.text}/{b.text[2:]}"
    return Atom(text, of, a.cost + b.cost)  # type: ignore[arg-type]


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
        value = atom.of(p)
        parts = value if isinstance(value, tuple) else (value,)
        through = spot.through(p)
        factor = np.full(through.shape[1], float(c))
        for part in parts:
            one = fitted(part, spot.shape(p))
            if one is None:
                raise Missing
            factor = factor * one
        return through @ (factor - 1)

    missing = atom.text.startswith(("1/", "[", "sign"))
    text = atom.text if c == 1 else f"{number(c)}·{atom.text}"
    cost = spot.cost + atom.cost + (0.0 if c == 1 else 0.1 + oddness(c))
    if atom.text.startswith("1/"):
        one = atom.text[2:] if c == 1 else f"{atom.text[2:]}/({number(c)})"
        return Change("missing-factor", f"In {spot.said} the factor {one} is missing.", effect, cost)
    mistake = "mask" if missing else "extra-factor"
    return Change(mistake, f"In {spot.said} there is a factor {text} too many.", effect, cost)
