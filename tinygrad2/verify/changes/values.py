"""A value stands where another should: in the rules that use it, or in all that follows from it; a call left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.elsewhere import again
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, Value, at
from tinygrad2.verify.edges import Edge, Pass, summed
from tinygrad2.verify.local_rules import CONDITIONS
from tinygrad2.verify.tracing import Step, Untraceable

Wrong = Callable[[Pass], Array]  # the value that stands in the place of another


def other_values(s: Search) -> Iterator[Change]:
    """Another value of the same shape, in the rules of all calls that use a value or in all that follows from it."""
    for u in s.values:
        a = at(s.first, u)
        own = s.trace.value(a)
        if own.dtype.kind != "f" or not own.size:
            continue
        for mistake, text, wrong in _others(s, u):
            with np.errstate(all="ignore"):
                value = _had(wrong, s.first)
            if value is None or value.shape != own.shape or np.array_equal(value, own):
                continue
            for effect, where in (
                (_in_uses(u, wrong), "in the derivatives of what is made of it"),
                (_after(u, wrong), ""),
            ):
                if s.plausible(effect):
                    said = f"Your rule uses {text} in the place of {s.said(u)}{', ' + where if where else ''}."
                    yield Change(mistake, said, effect, s.distance(u) + 0.02 + 0.0005 * len(text))


def _others(s: Search, u: Value) -> Iterator[tuple[str, str, Wrong]]:
    """What may stand in the place of a value: (mistake, words, the value)."""
    a = at(s.first, u)
    shape = s.trace.value(a).shape
    for w in range(s.first.first + len(s.trace.steps)):
        if w != a and s.trace.value(w).shape == shape and s.trace.value(w).dtype.kind == "f":
            yield "wrong-operand", s.said(s.named(w)), partial(_value, s.named(w))
    for step in s.trace.steps:
        for i, operand in enumerate(step.inputs):
            if step.parents[i] < 0 and operand.shape == shape and operand.dtype.kind == "f" and operand.ndim:
                yield "wrong-operand", f"`{s.words.operand(step, i)}`", partial(_operand, Edge(step.key, i))
    if len(s.first.seeds) == 1 and s.first.seeds[0].shape == shape:
        c = s.seen[0].point.problem.cotangent
        yield "wrong-operand", f"the cotangent {c}", lambda p: p.seeds[0]
    if isinstance(u, int):
        return
    step = s.trace.steps[a - s.first.first]
    here = s.words.expression(step.key)
    if step.op.name == "sum_to" and len(step.consts[0]) == len(step.consts[1]):
        for axis in range(len(step.consts[1])):
            yield "wrong-axis", f"the sum along axis {axis}", partial(_summed_along, u, axis)
    if step.op.name == "matmul":
        yield (
            "elementwise",
            f"the product of every two entries, in place of the matrix product {here},",
            partial(_entries, u),
        )
    for i in range(len(step.inputs)):
        edge = Edge(step.key, i)
        local = s.first.locals.get(edge)
        if (
            local is not None
            and local.slope is not None
            and step.op.name not in ("multiply", "add", "subtract", "scale")
        ):
            yield "wrong-derivative", f"the derivative of {here}", partial(_slope, edge)


def _had(wrong: Wrong, p: Pass) -> Array | None:
    try:
        return wrong(p)
    except (Missing, ValueError, IndexError):
        return None


def _value(v: Value, p: Pass) -> Array:
    return p.trace.value(at(p, v))


def _operand(edge: Edge, p: Pass) -> Array:
    return _step(p, edge.key).inputs[edge.arg]


def _step(p: Pass, v: Value) -> Step:
    return p.trace.steps[at(p, v) - p.first]


def _summed_along(v: Value, axis: int, p: Pass) -> Array:
    """The same sum along another axis, for all entries that it is spread over; of the shape of the right one."""
    step = _step(p, v)
    other = np.broadcast_to(step.inputs[0].sum(axis, keepdims=True), step.inputs[0].shape)
    return other.reshape(step.out.shape) if other.size == step.out.size else _moved(other, step)


def _moved(other: Array, step: Step) -> Array:
    """A sum for every column, as one for every row: it is square, or Missing."""
    turned = np.swapaxes(step.inputs[0].sum(0, keepdims=True), 0, -1)
    if turned.shape != step.out.shape:
        raise Missing
    return turned


def _entries(v: Value, p: Pass) -> Array:
    a, b = _step(p, v).inputs
    return a * b


def _slope(edge: Edge, p: Pass) -> Array:
    local = p.locals.get(edge)
    if local is None or local.slope is None:
        raise Missing
    return local.slope


def _after(u: Value, wrong: Wrong) -> Effect:
    """The right derivative where u has another value, with all that follows from it."""

    def effect(p: Pass) -> Array:
        try:
            return again(p, {at(p, u): wrong(p)}, {}).right - p.right
        except Untraceable as error:
            raise Missing from error

    return effect


def _in_uses(u: Value, wrong: Wrong) -> Effect:
    """Only the rules of the calls that use u get the other value; their results stay right."""

    def effect(p: Pass) -> Array:
        place = at(p, u)
        value = wrong(p)
        changed: dict[Edge, Callable[[Array], Array]] = {}
        for step in p.trace.steps:
            if place not in step.parents:
                continue
            inputs = [value if v == place else x for v, x in zip(step.parents, step.inputs, strict=True)]
            other = step._replace(inputs=inputs)
            for i in range(len(step.inputs)):
                edge = Edge(step.key, i)
                if edge in p.locals:
                    changed[edge] = partial(_passed, other, i)
        return p.run(changed)[p.leaf] - p.right

    return effect


def _passed(step: Step, i: int, g: Array) -> Array:
    return summed(step.passed(i, g.reshape(step.out.shape)), step.inputs[i].shape).ravel()


def left_out(s: Search) -> Iterator[Change]:
    """The derivative of f without a call: its result is taken to be its operand."""
    for step in s.trace.steps:
        for i, parent in enumerate(step.parents):
            if parent < 0 or step.key.backward or step.inputs[i].shape != step.out.shape:
                continue
            if step.op.name in ("reshape", "transpose", "add", "subtract", "sum_to", "broadcast_to"):
                continue
            effect = _without(Edge(step.key, i))
            if s.plausible(effect):
                operand = s.words.operand(step, i)
                said = (
                    f"Your rule is the derivative of another function: of f with `{operand}` in the place of "
                    f"{s.words.expression(step.key)}."
                )
                mistake = "mask" if step.op.name in CONDITIONS else "missing-factor"
                yield Change(mistake, said, effect, s.distance(step.key) + 0.1)


def _without(edge: Edge) -> Effect:
    def effect(p: Pass) -> Array:
        step = _step(p, edge.key)
        if step.inputs[edge.arg].shape != step.out.shape:
            raise Missing
        try:
            moved = again(p, {at(p, edge.key): step.inputs[edge.arg]}, {})
        except Untraceable as error:
            raise Missing from error
        own = {Edge(edge.key, i): _nothing(x) for i, x in enumerate(step.inputs)}
        own[edge] = lambda g: g
        return moved.run({e: rule for e, rule in own.items() if e in moved.locals})[p.leaf] - p.right

    return effect


def _nothing(x: Array) -> Callable[[Array], Array]:
    return lambda g: np.zeros(x.size)
