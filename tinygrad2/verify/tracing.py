"""What a function did, call by call: its values, where each came from, and the user's expression that made it.

The trace of a double backward holds the calls of the forward pass and, after them, those of its backward pass.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, VariadicPrimitive, algebra, zero
from tinygrad2.autodiff.engine import reachable
from tinygrad2.autodiff.node import Node, recording
from tinygrad2.autodiff.tensor import wrap
from tinygrad2.autodiff.watch import Call, Place, watching
from tinygrad2.kernels import Array, Geometry
from tinygrad2.verify.filling import filling

LARGEST = 60_000  # entries of one local Jacobian


class Untraceable(Exception):
    """The function does not take Tensors, or is too large to be looked at edge by edge."""


class Key(NamedTuple):
    """Which call of a function it is, whatever the sizes: an expression, an operation in it, and the how-manieth."""

    place: Place | None
    op: str
    backward: bool
    nth: int


class Step(NamedTuple):
    """One call that the output depends on. parents: the numbers of the values that went in, -1 for constants.

    geometry: of the windows, for a convolution or a pool.
    """

    key: Key
    op: Primitive
    inputs: list[Array]
    parents: list[int]
    out: Array
    consts: tuple[Any, ...]
    geometry: Geometry | None = None

    def passed(self, i: int, g: Array) -> Array:
        """What the rule makes of the cotangent for argument i, before it is summed over broadcast axes."""
        with recording(False), np.errstate(all="ignore"):
            cotangent = wrap(np.array(g), None)
            if isinstance(self.op, VariadicPrimitive):
                return self.op.rules[0](i, cotangent, *self.consts).array
            tensors = [wrap(a, None) for a in self.inputs]
            return self.op.rules[i](cotangent, wrap(self.out, None), *tensors, *self.consts).array

    def evaluated(self, inputs: list[Array]) -> Array:
        """The result of the call for other inputs."""
        if all(map(operator.is_, inputs, self.inputs)):
            return self.out
        if isinstance(self.op, VariadicPrimitive):
            return self.op.fn(inputs, *self.consts)
        return self.op.fn(*inputs, *self.consts)

    def differentiable(self, i: int) -> bool:
        """True if a cotangent passes to argument i."""
        return self.parents[i] >= 0 and (isinstance(self.op, VariadicPrimitive) or self.op.rules[i] is not zero)


class Trace:
    """The calls of f at some inputs. values: first the inputs, then the result of every step.

    With a cotangent g, the function is (inputs, g) ↦ Jᵀg of f, and g is its last input. change: a wrong first-order
    rule in its place.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: Sequence[Array],
        names: Sequence[str],
        g: Array | None,
        change: FirstOrder | None = None,
    ) -> None:
        self.leaves: list[Array] = [*inputs, *([] if g is None else [g])]
        self.names = names
        floating = [a.dtype.kind == "f" for a in self.leaves]
        tensors: list[Any] = [
            Tensor(a, requires_grad=True) if real else a for a, real in zip(self.leaves, floating, strict=True)
        ]
        calls: list[tuple[Call, Place | None, bool]] = []
        place_of: dict[Node, Place | None] = {}
        rule_of: list[Node] = []
        taken: dict[int, tuple[Array, Geometry]] = {}  # places of largest entries, and the windows that they are of

        def see(call: Call) -> None:
            if call.op.name == "pool_argmax":
                taken[id(call.out.array)] = call.out.array, call.args[-1]
            if call.out.node is not None:
                place = place_of.get(rule_of[-1]) if rule_of else call.place()
                place_of[call.out.node] = place
                calls.append((_as_it_is(call), place, bool(rule_of)))

        with recording(True), np.errstate(all="ignore"), watching(see):
            y = _run(f, tensors[: len(inputs)], calls)
            if not isinstance(y, Tensor) or y.node is None:
                raise Untraceable("the function gives no Tensor")
            results = [y]
            if g is not None:
                wanted = [t for t in tensors[:-1] if isinstance(t, Tensor)]
                changed = None if change is None else _node_of(change, calls)
                results = _backward(y, tensors[-1], wanted, rule_of, change, changed)
        number = {t.node: i for i, t in enumerate(tensors) if isinstance(t, Tensor)}
        nodes = [t.node for t in results if t.node is not None]
        needed = set(reachable(nodes))
        self.steps: list[Step] = []
        counts: Counter[tuple[Place | None, str, bool]] = Counter()
        for call, place, backward in calls:
            node = call.out.node
            if node in needed and node not in number:
                number[node] = len(self.leaves) + len(self.steps)
                site = (place, call.op.name, backward)
                self.steps.append(_step(call, Key(*site, counts[site]), number, taken))
                counts[site] += 1
        if any(node not in number for node in needed):
            raise Untraceable("a part of the function was computed out of sight")
        self.outputs = [-1 if t.node is None else number[t.node] for t in results]
        self.out_shapes = [t.shape for t in results]
        self.index = {step.key: i for i, step in enumerate(self.steps)}
        self._rounds: dict[tuple[Place | None, bool], int] = {}
        for (place, _, backward), count in counts.items():
            self._rounds[place, backward] = gcd(self._rounds.get((place, backward), 0), count)
        self._counts = counts

    def rounds(self, key: Key) -> int:
        """How often a loop passes the expression of a call."""
        return 1 if key.backward or key.place is None else self._rounds[key.place, key.backward]

    def slot(self, key: Key) -> Key:
        """The same call in the first round of its loop."""
        return key._replace(nth=key.nth % self._each(key))

    def round(self, key: Key) -> int:
        """In which round of its loop a call was made, from 0."""
        return key.nth // self._each(key)

    def moved(self, key: Key, rounds: int) -> Key:
        """The same call some rounds later."""
        return key._replace(nth=key.nth + rounds * self._each(key))

    def _each(self, key: Key) -> int:
        return self._counts[key.place, key.op, key.backward] // self.rounds(key)

    def with_steps(self, leaves: list[Array], steps: list[Step]) -> Trace:
        """The same trace with other values."""
        other = copy(self)
        other.leaves = leaves
        other.steps = steps
        return other

    def value(self, v: int) -> Array:
        """The v-th value."""
        return self.leaves[v] if v < len(self.leaves) else self.steps[v - len(self.leaves)].out


class FirstOrder(NamedTuple):
    """A wrong first-order rule: what passes to an argument of a call counts `weight` times, or is passed unchanged."""

    key: Key
    arg: int
    weight: float
    unchanged: bool = False


def _as_it_is(call: Call) -> Call:
    """A call with Tensors of its own: f may fill those that it was made with."""
    return call._replace(args=tuple(map(_same, call.args)), out=_same(call.out))


def _same(a: Any) -> Any:
    if isinstance(a, list | tuple) and any(isinstance(part, Tensor) for part in a):
        return [_same(part) for part in a]
    return wrap(a.array, a.node) if isinstance(a, Tensor) else a


def _run(f: Callable[..., Any], tensors: Sequence[Any], calls: list[Any]) -> Any:
    """What f makes of Tensors; where it breaks on them, once more as a function that fills arrays."""
    try:
        return f(*tensors)
    except Exception:  # whatever f does with Tensors that it was not written for
        calls.clear()
    try:
        with filling():
            return f(*tensors)
    except Exception as error:
        raise Untraceable(str(error)) from error


def _node_of(change: FirstOrder, calls: Sequence[tuple[Call, Place | None, bool]]) -> Node | None:
    """The node of the call that a change is about."""
    same = [c for c, place, _ in calls if (place, c.op.name) == (change.key.place, change.key.op)]
    return same[change.key.nth].out.node if change.key.nth < len(same) else None


def _backward(
    y: Tensor,
    g: Tensor,
    inputs: Sequence[Tensor],
    rule_of: list[Node],
    change: FirstOrder | None,
    changed: Node | None,
) -> list[Tensor]:
    """The cotangents of the inputs, recorded; rule_of says meanwhile whose rule is running."""
    assert y.node is not None
    order = reachable([y.node])
    wanted = set(order)
    pending: dict[Node, Tensor] = {y.node: g}
    for node in order:
        cotangent = pending.get(node)
        if cotangent is None or node.op is None:
            continue
        rule_of.append(node)
        for i, (parent, c) in enumerate(node.op.vjp(node, cotangent, wanted)):
            if change is not None and node is changed and i == change.arg:
                c = cotangent if change.unchanged else c * change.weight
            fitting = c if c.shape == parent.shape else algebra.unbroadcast(c, parent.shape)
            pending[parent] = fitting if parent not in pending else algebra.add(pending[parent], fitting)
        rule_of.pop()
    return [pending[x.node] if x.node in pending else Tensor(np.zeros(x.shape)) for x in inputs]


def _step(call: Call, key: Key, number: dict[Node | None, int], taken: dict[int, tuple[Array, Geometry]]) -> Step:
    op = call.op
    if isinstance(op, VariadicPrimitive):
        given, consts = call.args[0], call.args[1:]
    else:
        given, consts = call.args[: op.arity], call.args[op.arity :]
    inputs = [a.array if isinstance(a, Tensor) else np.asarray(a) for a in given]
    kinds = {a.dtype for a in inputs if a.dtype.kind == "f"}
    inputs = [a.astype(np.float64) if len(kinds) == 1 and a.dtype.kind in "iu" and a.ndim == 0 else a for a in inputs]
    parents = [number.get(a.node, -1) if isinstance(a, Tensor) and a.node is not None else -1 for a in given]
    geometry = next((c for c in consts if isinstance(c, Geometry)), None)
    if op.name == "pool_gather":
        _, geometry = taken.get(id(inputs[1]), (None, None))
    return Step(key, op, inputs, parents, call.out.array, tuple(consts), geometry)
