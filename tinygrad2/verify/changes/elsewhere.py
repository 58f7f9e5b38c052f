"""A derivative taken at the wrong value, along the wrong axis, or of f with another constant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import combinations, product

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, Value, at
from tinygrad2.verify.edges import Edge, Pass, locals_of
from tinygrad2.verify.tracing import Key, Step, Untraceable


def other_points(s: Search) -> Iterator[Change]:
    """The derivative of one value by another, of several calls, taken where the other has the value of a third."""
    trace = s.trace
    for u in s.values:
        a = at(s.first, u)
        if u not in s.shared and not s.words.value(a).isidentifier():
            continue
        for m in s.values:
            c = at(s.first, m)
            if c == a or trace.value(c).shape != trace.value(a).shape:
                continue
            try:
                moved = _moved(s.first, a, trace.value(c))
            except (Untraceable, ValueError, TypeError, IndexError, np.linalg.LinAlgError):
                continue
            there = moved.reach_from(a)
            here = s.first.reach_from(a)
            for w in s.values:
                b = at(s.first, w)
                if b <= a or not here[b].any():
                    continue
                effect = s.first.reach[a] @ ((there[b] - here[b]) @ s.first.cotangents[b])
                if s.seen[0].fits(effect):
                    said = f"The derivative of {s.said(w)} by {s.said(u)} is taken at {s.said(m)} in place of it."
                    yield Change("wrong-operand", said, _at_other(u, w, m), s.distance(w))


def _at_other(u: Value, w: Value, m: Value) -> Effect:
    def effect(p: Pass) -> Array:
        a, b = at(p, u), at(p, w)
        try:
            moved = _moved(p, a, p.trace.value(at(p, m)))
        except Untraceable as error:
            raise Missing from error
        return p.reach[a] @ ((moved.reach_from(a)[b] - p.reach_from(a)[b]) @ p.cotangents[b])

    return effect


def _moved(p: Pass, v: int, value: Array) -> Pass:
    """The pass of the trace in which value v is another one, with all that follows from it."""
    return again(p, {v: value}, {})


def again(p: Pass, values: dict[int, Array], changed: dict[int, Step]) -> Pass:
    """The pass with other values, or other constants of some steps, and all that follows from them."""
    trace = p.trace
    steps: list[Step] = []
    leaves = [values.get(v, a) for v, a in enumerate(trace.leaves)]
    with np.errstate(all="ignore"):
        for n, old in enumerate(trace.steps):
            step = changed.get(n, old)
            known = [*leaves, *[done.out for done in steps]]
            inputs = [known[v] if v >= 0 else a for v, a in zip(step.parents, step.inputs, strict=True)]
            out = values[p.first + n] if p.first + n in values else step.evaluated(inputs)
            steps.append(step._replace(inputs=inputs, out=out))
        other = trace.with_steps(leaves, steps)
        if any(v >= 0 and other.value(v).shape != trace.value(v).shape for v in trace.outputs):
            raise Untraceable("another shape of the output")
        return Pass(p.point, other, p.leaf, p.seeds, locals_of(other, trace, p.locals))


def other_constants(s: Search) -> Iterator[Change]:
    """The right derivative of f with another constant: left out, or another number."""
    for n, step in enumerate(s.trace.steps):
        for text, _ in _other_steps(step):
            edge_said = s.words.expression(step.key)
            said = f"Your rule is the derivative of another function: of f {text.replace('{}', edge_said)}."
            operands = [s.words.operand(step, i) for i in range(len(step.inputs))]
            for letter, name in zip(("{a}", "{b}"), operands, strict=False):
                said = said.replace(letter, f"`{name}`")
            mistake = "mask" if step.op.name == "where" else "wrong-constant"
            cost = 0.0 if mistake == "mask" else 0.3
            yield Change(mistake, said, _with_constant(s.named(s.first.first + n), text), cost + 1e-3 * n)


def _other_steps(step: Step) -> Iterator[tuple[str, Step]]:
    """The call with other constants."""
    if step.op.name == "where":
        condition, *branches = step.inputs
        yield "with the condition in {} always true", step._replace(inputs=[np.ones_like(condition), *branches])
        yield "with the condition in {} never true", step._replace(inputs=[np.zeros_like(condition), *branches])
        yield "with the condition in {} turned round", step._replace(inputs=[~condition, *branches])
    for i, a in enumerate(step.inputs):
        if step.parents[i] >= 0 or a.dtype.kind != "f":
            continue
        letter = "{a}" if i == 0 else "{b}"
        for text, value in (
            ("0", 0 * a),
            ("1", 0 * a + 1),
            ("twice that", 2 * a),
            ("half of that", a / 2),
            ("its square", a * a),
            ("its inverse", 1 / a),
            ("its negative", -a),
        ):
            if not np.array_equal(value, a):
                inputs = [value if j == i else b for j, b in enumerate(step.inputs)]
                yield f"with {text} in the place of {letter} in {{}}", step._replace(inputs=inputs)
    if step.op.name == "power" and step.consts:
        p = float(step.consts[0])
        for other in (p - 1, p + 1, -p, 2 * p, p / 2, 1.0):
            if other != p:
                yield f"with the exponent {other:g} in {{}}", step._replace(consts=(other,))


def along_other_axes(s: Search) -> Iterator[Change]:
    """The derivative of f with some or all sums (and means) taken along other axes."""
    sums = [step for step in s.trace.steps if step.op.name == "sum_to" and not step.key.backward]
    kinds: dict[tuple[int, ...], list[Step]] = {}
    for step in sums:
        kinds.setdefault(_summed_axes(step), []).append(step)
    groups = [[step] for step in sums] + [group for group in kinds.values() if len(group) > 1]
    for group in groups:
        for axes in _axes(group[0].inputs[0].shape):
            if axes != _summed_axes(group[0]):
                where = ", ".join(dict.fromkeys(s.words.expression(step.key) for step in group))
                said = f"Your rule is the derivative of f with the sum in {where} taken along axis {_listed(axes)}."
                yield Change("wrong-axis", said, _with_axes([step.key for step in group], axes), 0.2)


def _summed_axes(step: Step) -> tuple[int, ...]:
    small, big = step.consts
    return tuple(a for a, n in enumerate(big) if len(small) == len(big) and small[a] != n)


def _with_axes(keys: list[Key], axes: tuple[int, ...]) -> Effect:
    """The sums of these calls along other axes, and the divisions by their number that make means of them."""

    def effect(p: Pass) -> Array:
        changed: dict[int, Step] = {}
        for key in keys:
            n = at(p, key) - p.first
            step = p.trace.steps[n]
            small, big = step.consts
            if len(small) != len(big) or max(axes) >= len(big):
                raise Missing
            changed[n] = step._replace(consts=(tuple(1 if a in axes else m for a, m in enumerate(big)), big))
            before, after = (math.prod(big[a] for a in chosen) for chosen in (_summed_axes(step), axes))
            for m, other in enumerate(p.trace.steps):
                if other.key.place == key.place and other.op.name == "multiply":
                    inputs = [a * (before / after) if _is_number(a, 1 / before) else a for a in other.inputs]
                    changed[m] = other._replace(inputs=inputs)
        try:
            return again(p, {}, changed).right - p.right
        except Untraceable as error:
            raise Missing from error

    return effect


def _is_number(a: Array, number: float) -> bool:
    return a.ndim == 0 and bool(np.isclose(float(a), number, rtol=1e-12))


def _listed(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes))


def _with_constant(v: Value, text: str) -> Effect:
    def effect(p: Pass) -> Array:
        n = at(p, v) - p.first
        for said, other in _other_steps(p.trace.steps[n]):
            if said == text:
                try:
                    return again(p, {}, {n: other}).right - p.right
                except Untraceable as error:
                    raise Missing from error
        raise Missing

    return effect


def _sites(s: Search) -> Iterator[tuple[Edge, Edge, Value]]:
    """An edge at which a statistic is spread, the edge into the sum that it was made by, and the statistic."""
    for edge in s.edges:
        local = s.first.locals[edge]
        step = s.step(edge)
        if local.gather is None or step.inputs[edge.arg].shape == step.out.shape:
            continue
        small = s.named(s.first.parent(edge))
        for reduce in s.edges:
            source = s.step(reduce)
            if source.op.name != "sum_to" or source.inputs[0].shape != step.out.shape:
                continue
            if source.out.shape != step.inputs[edge.arg].shape or at(s.first, reduce.key) > at(s.first, small):
                continue
            yield edge, reduce, small


def two_other_axes(s: Search) -> Iterator[Change]:
    """The same at two statistics, such as the mean and the variance of a normalisation."""
    sites = [*_sites(s)]
    if not sites:
        return
    for axes in _axes(s.step(sites[0][0]).out.shape):
        effects = []
        for edge, reduce, small in sites:
            for moved in range(-2, 4):
                effect = _along(edge, reduce, axes, moved)
                value = s.had(effect)
                if value is not None and np.abs(value).max(initial=0.0) > 1e-9 * s.size:
                    effects.append((small, effect, value))
        for (a, one, x), (b, two, y) in combinations(effects, 2):
            if a != b and s.seen[0].fits(x + y):
                said = (
                    f"The parts that go back through {s.said(a)} and {s.said(b)} are summed along axis "
                    f"{_listed(axes)}: they must be summed over the axes that these statistics are made over."
                )
                yield Change("wrong-axis", said, partial(_both, one, two), s.distance(a) + 0.2)


def _both(one: Effect, two: Effect, p: Pass) -> Array:
    return one(p) + two(p)


def other_axes(s: Search) -> Iterator[Change]:
    """What goes back through a statistic is summed along other axes than those that the statistic was spread over."""
    for edge, reduce, small in _sites(s):
        for axes, moved in product(_axes(s.step(edge).out.shape), range(-2, 4)):
            effect = _along(edge, reduce, axes, moved)
            if not s.plausible(effect):
                continue
            said = (
                f"The part that goes back through {s.said(small)} is summed along axis {_listed(axes)}: "
                f"it must be summed over the axes that {s.words.expression(reduce.key)} sums over."
            )
            yield Change("wrong-axis", said, effect, s.distance(small) + 0.1)


def _axes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [axes for size in (1, 2) for axes in combinations(range(len(shape)), size) if size <= len(shape)]


def _along(edge: Edge, reduce: Edge, axes: tuple[int, ...], moved: int) -> Effect:
    """moved: which power of the statistic stands behind the sum; along the right axes it may stand on either side."""

    def effect(p: Pass) -> Array:
        if edge not in p.locals or reduce not in p.locals:
            raise Missing
        big = p.trace.steps[p.trace.index[edge.key]].out.shape
        small, first = p.parent(edge), at(p, reduce.key)
        between = p.reach_from(first)[small]
        chain = np.diag(between)
        local = p.locals[edge]
        if local.slope is None or not np.allclose(np.diag(chain), between) or max(axes) >= len(big):
            raise Missing
        passing = local.slope * p.cotangents[at(p, edge.key)].reshape(big)
        weight = np.broadcast_to(chain.reshape(p.trace.value(small).shape), big)
        power = np.broadcast_to(p.trace.value(small), big) ** moved
        wrong = weight * power * (passing / power).sum(axes, keepdims=True)
        right = p.locals[reduce].matrix @ (between @ (local.matrix @ p.cotangents[at(p, edge.key)]))
        source = p.parent(reduce)
        return p.reach[source] @ (wrong.ravel() - right)

    return effect
