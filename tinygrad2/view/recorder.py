"""What a run did, in the order in which it happened: values, the operations between them, and the backward passes.

The run is watched, not changed: `autodiff.watch` reports every call of a primitive and every step of a backward pass.
An operation is forward, or it belongs to a backward pass, or to a reverse layer; only that is decided here. What is one
step of the picture is decided in grouping.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, VariadicPrimitive
from tinygrad2.autodiff.node import Node
from tinygrad2.autodiff.watch import Call, is_own
from tinygrad2.kernels import Array
from tinygrad2.nn import Layer
from tinygrad2.nn.containers import Container
from tinygrad2.nn.reverse import ReverseLayer, Step
from tinygrad2.nn.trace import ReverseNetwork, Trace
from tinygrad2.view.statements import Statement, statement_at

_PRODUCTS = ("vjp", "squared_norms")


@dataclass
class Value:
    """An array of the run. maker: the number of the operation that made it, None for leaves and constants."""

    number: int
    array: Array
    kind: str  # input, parameter, constant or result
    name: str | None = None
    maker: int | None = None
    order: int = 0


class Forward(NamedTuple):
    """An operation outside of backward passes. key: equal for those that may be one step; label: of the layer."""

    key: tuple[object, ...]
    label: str | None
    place: tuple[int, int]  # which instruction of the user's frame, and which call out of it


class Reverse(NamedTuple):
    """An operation of a reverse layer. target: the value whose cotangent it helps to compute, None where unknown."""

    key: tuple[object, ...]
    label: str
    target: int | None
    run: int  # which use of the reverse network


class Backward(NamedTuple):
    """An operation of a backward pass; the pass's contributions say what it is for."""

    sweep: int


Role = Forward | Reverse | Backward


@dataclass
class Operation:
    """One call of a primitive. inputs, out: numbers of values. line: in the source of the recorded function."""

    number: int
    op: Primitive
    inputs: list[int]
    consts: tuple[Any, ...]
    out: int
    role: Role
    statement: Statement | None
    line: int | None
    time: int


@dataclass
class Contribution:
    """A cotangent that arrived at a value. undone: the value whose rules gave it; None for the pass's first one."""

    sweep: int
    undone: int | None
    target: int
    g: int | None  # the cotangent of `undone`
    operations: list[int]
    given: int
    total: int
    time: int


@dataclass
class Sweep:
    """One backward pass. order: one more than that of what it differentiates. line: where the user asked for it."""

    number: int
    order: int
    outputs: list[int]
    line: int | None
    contributions: list[Contribution] = field(default_factory=list)
    results: dict[int, int] = field(default_factory=dict)  # target value -> its cotangent's value


class Recorder:
    """The watcher of one run. code: of the recorded function; outside: of the function that calls it.

    names: of tensors and layers that are known by name, by their ids.
    """

    def __init__(self, code: CodeType | None, names: dict[int, str], outside: CodeType) -> None:
        self.code = code
        self.outside = outside
        self.names = names
        self.values: list[Value] = []
        self.operations: list[Operation] = []
        self.sweeps: list[Sweep] = []
        self.time = 0
        self.layers: dict[
            int, tuple[str, int | None]
        ] = {}  # id of a layer -> its name, and the value that it was given
        self.frames: list[FrameType] = []  # kept, so that their ids stay theirs
        self._of_node: dict[Node, int] = {}
        self._of_array: dict[int, int] = {}
        self._open: list[Sweep | None] = []  # None for one inside a rule of another
        self._rule: list[tuple[int | None, int | None, int]] = []  # undone value, its cotangent, first operation
        self._segments: list[tuple[int, int, list[int]]] = []  # target, value given, operations
        self._undone: tuple[int | None, int | None] = (None, None)
        self._mark = 0  # the operations before it belong to a contribution
        self._reverse: dict[int, Step] = {}
        self._kept: list[object] = []  # what must live as long as the run, for its id
        self._leaves: dict[int, Tensor] = {}
        self._depth: dict[int, tuple[int, str]] = {}  # value -> how far from the recorded function it was named

    # values

    def add(self, array: Array, kind: str, name: str | None = None, node: Node | None = None) -> int:
        """A new value; its number."""
        number = len(self.values)
        self.values.append(Value(number, array, kind, name))
        self._of_array.setdefault(id(array), number)
        if node is not None:
            self._of_node[node] = number
        return number

    def find(self, t: Tensor) -> int | None:
        """The number of the value of a tensor, by its node, else by its array; None where it was never seen."""
        if t.node is not None and t.node in self._of_node:
            return self._of_node[t.node]
        return self._of_array.get(id(t.array))

    def of(self, given: object, like: np.dtype[Any] | None = None) -> int:
        """The number of the value of an argument; one that was never seen is a leaf or a constant."""
        if isinstance(given, Tensor):
            found = self.find(given)
            if found is not None:
                return found
            self._kept.append(given)
            leaf = given.node.leaf() if given.node is not None and given.node.leaf is not None else None
            name = given.name or (self.names.get(id(leaf)) if leaf is not None else None) or self.names.get(id(given))
            kind = "constant" if given.node is None else "parameter" if leaf is not None else "input"
            number = self.add(given.array, kind, name, given.node)
            if leaf is not None:
                self._leaves[number] = leaf
            return number
        plain = isinstance(given, int | float) and not isinstance(given, bool) and like is not None
        array = np.asarray(given, like if plain else None)
        self._kept.append(array)
        return self.add(array, "constant")

    def tensor_of(self, number: int) -> Tensor | None:
        """The leaf that a value is, where it is one that the run found by itself."""
        return self._leaves.get(number)

    # calls

    def see(self, call: Call) -> None:
        """One call of a primitive."""
        frames = list(self._frames(call.frame))
        user = next((f for f in frames if not is_own(f)), None)
        role = self._role(frames, user)
        given = list(call.args[0]) if isinstance(call.op, VariadicPrimitive) else list(call.args[: call.op.arity])
        known = call.out.node is not None or any(isinstance(t, Tensor) and self._interesting(t) for t in given)
        if not known and isinstance(role, Forward):
            return  # it computes with constants alone: its result is a constant
        if call.out.node is not None and call.out.node in self._of_node:
            return  # `record` reports its inner call too
        self._kept.append(call)
        consts = call.args[1 if isinstance(call.op, VariadicPrimitive) else call.op.arity :]
        kinds = [t.dtype for t in given if isinstance(t, Tensor) and t.dtype.kind == "f"]
        inputs = [self.of(t, kinds[0] if kinds else None) for t in given]
        out = self.add(call.out.array, "result", None, call.out.node)
        number = len(self.operations)
        self.values[out].maker = number
        self.values[out].order = self._order(role, inputs)
        line = self._line(frames)
        statement = statement_at(user) if user is not None else None
        self.time += 1
        op = Operation(number, call.op, inputs, tuple(consts), out, role, statement, line, self.time)
        self.operations.append(op)
        if user is not None and not self._rule:
            self.look(user, frames)

    def _interesting(self, t: Tensor) -> bool:
        found = self.find(t)
        return found is not None and self.values[found].kind != "constant"

    def _role(self, frames: Sequence[FrameType], user: FrameType | None) -> Role:
        if self._open:
            outer = next(s for s in self._open if s is not None)
            return Backward(outer.number)
        reverse = self._reverse_role(frames)
        return reverse if reverse is not None else self._forward_role(frames, user)

    def _forward_role(self, frames: Sequence[FrameType], user: FrameType | None) -> Forward:
        inside = list(frames[: frames.index(user)] if user is not None else frames)
        self._keep(inside[-1:] + ([user] if user is not None else []))
        entry = id(inside[-1]) if inside else 0
        place = (user.f_lasti if user is not None else 0, entry)
        group = next(
            (
                f
                for f in inside
                if isinstance(f.f_locals.get("self"), Container) and len(f.f_locals.get("group", ())) > 1
            ),
            None,
        )
        if group is not None:
            parts = group.f_locals["group"]
            return self._layer(group, parts[0][1], "+".join(name for name, _ in parts), place)
        applied = [f for f in inside if isinstance(f.f_locals.get("self"), Layer)]
        frame = next((f for f in applied if not isinstance(f.f_locals["self"], Container)), None)
        frame = frame or next(iter(applied), None)
        if frame is not None:
            layer = frame.f_locals["self"]
            return self._layer(frame, layer, self.names.get(id(layer)) or type(layer).__name__, place)
        statement = statement_at(user) if user is not None else None
        return Forward((id(user), statement.first if statement else None), None, place)

    def _layer(self, frame: FrameType, layer: Layer, name: str, place: tuple[int, int]) -> Forward:
        self._keep([frame])
        key = ("layer", id(layer), id(frame))
        if not (self.operations and getattr(self.operations[-1].role, "key", None) == key):
            x = frame.f_locals.get("x")
            self.layers[id(layer)] = (name, self.find(x) if isinstance(x, Tensor) else None)
        return Forward(key, name, place)

    def _reverse_role(self, frames: Sequence[FrameType]) -> Reverse | None:
        """Of an operation inside a reverse network: for which reverse layer it works."""
        frame = None
        for f in frames:
            owner = f.f_locals.get("self")
            if isinstance(owner, Trace):
                self._index(owner._reverse)
            elif isinstance(owner, ReverseNetwork):
                self._index(owner.layer)
            elif isinstance(owner, ReverseLayer) and f.f_code.co_name in _PRODUCTS:
                self._index(owner)
                if id(owner) in self._reverse and frame is None:
                    frame = f
        whole = [f for f in frames if isinstance(f.f_locals.get("self"), ReverseLayer | ReverseNetwork | Trace)]
        if not whole or not any(
            f.f_code.co_name in (*_PRODUCTS, "jacobian", "jacobian_norms", "__call__") for f in whole
        ):
            return None
        self._keep([whole[-1], *([frame] if frame else [])])
        if frame is None:
            return Reverse(("around", id(whole[-1])), "", None, id(whole[-1]))
        step = self._reverse[id(frame.f_locals["self"])]
        name, target = self.layers.get(id(step.layer), (step.name, None))
        return Reverse(("reverse", id(step.layer), id(frame)), name, target, id(whole[-1]))

    def _index(self, reverse: object) -> None:
        """Remember which layer each reverse layer belongs to."""
        if id(reverse) in self._reverse or not isinstance(reverse, ReverseLayer):
            return
        self._kept.append(reverse)
        for value in vars(reverse).values():
            for step in value if isinstance(value, tuple) and not isinstance(value, Step) else (value,):
                if isinstance(step, Step):
                    self._reverse.setdefault(id(step.reverse), step)
                    self._kept.append(step.reverse)
                    self._index_inside(step.reverse)

    def _index_inside(self, reverse: ReverseLayer) -> None:
        for value in vars(reverse).values() if hasattr(reverse, "__dict__") else ():
            for step in value if isinstance(value, tuple) and not isinstance(value, Step) else (value,):
                if isinstance(step, Step) and id(step.reverse) not in self._reverse:
                    self._reverse[id(step.reverse)] = step
                    self._kept.append(step.reverse)
                    self._index_inside(step.reverse)

    def _order(self, role: Role, inputs: Sequence[int]) -> int:
        if isinstance(role, Backward):
            return self.sweeps[role.sweep].order
        highest = max((self.values[i].order for i in inputs), default=0)
        if isinstance(role, Reverse) and role.target is not None:
            return max(highest, self.values[role.target].order + 1)
        return highest

    def _line(self, frames: Sequence[FrameType]) -> int | None:
        return next((f.f_lineno for f in frames if f.f_code is self.code), None)

    def _keep(self, frames: Sequence[FrameType | None]) -> None:
        known = {id(f) for f in self.frames}
        self.frames += [f for f in frames if f is not None and id(f) not in known]

    # names

    def look(self, user: FrameType, frames: Sequence[FrameType]) -> None:
        """Name values after the local variables that hold them; those of the recorded function count most."""
        own = next((f for f in frames if f.f_code is self.code), None)
        for depth, frame in enumerate((own, user)):
            if frame is not None:
                self._keep([frame])
                self._read(frame, depth)

    def look_again(self) -> None:
        """The same at the end of the run, for results that were named last."""
        for frame in self.frames:
            if not is_own(frame):
                self._read(frame, 0 if frame.f_code is self.code else 1)

    def _read(self, frame: FrameType, depth: int) -> None:
        for name, held in list(frame.f_locals.items()):
            if isinstance(held, Tensor) and (number := self.find(held)) is not None and name.isidentifier():
                before = self._depth.get(number)
                if before is None or depth < before[0]:
                    self._depth[number] = (depth, name)
                    value = self.values[number]
                    if value.kind in ("result", "constant") or value.name is None:
                        value.name = name

    def _frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """A frame and those around it, the innermost first, as far as they belong to the run."""
        while frame is not None and frame.f_code is not self.outside:
            yield frame
            frame = frame.f_back

    # backward passes

    def begins(self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor], targets: Sequence[Node]) -> None:
        """A backward pass begins."""
        if self._rule:
            self._open.append(None)
            return
        numbers = [self.of(y) for y in outputs]
        order = 1 + max(self.values[y].order for y in numbers)
        line = self._line(list(self._frames(inspect.currentframe())))
        sweep = Sweep(len(self.sweeps), order, numbers, line)
        self.sweeps.append(sweep)
        self._open.append(sweep)
        self._undone = (None, None)
        self._segments = [(self.of(y), self.of(g), []) for y, g in zip(outputs, cotangents, strict=True)]
        self._mark = len(self.operations)

    def undoes(self, node: Node, g: Tensor) -> None:
        """The rules of a call are about to run."""
        if not self._rule:
            self._undone = (self._of_node.get(node), self.of(g))
        self._rule.append((*self._undone, len(self.operations)))

    def undone(self, node: Node, passed: Sequence[tuple[Node, Tensor]]) -> None:
        """They have run: which operations were for which parent."""
        _, _, start = self._rule.pop()
        if self._rule:
            return
        self._segments = []
        for parent, c in passed:
            given = self.of(c)
            maker = self.values[given].maker
            end = start if maker is None or maker < start else maker + 1
            target = self._of_node.get(parent)
            if target is None:
                target = self.of(parent.leaf()) if parent.leaf is not None and parent.leaf() is not None else -1
            self._segments.append((target, given, list(range(start, end))))
            start = max(start, end)
        self._mark = len(self.operations)

    def arrives(self, node: Node, total: Tensor) -> None:
        """A cotangent has arrived at a value."""
        if self._rule or not self._open or self._open[-1] is None:
            return
        sweep = self._open[-1]
        if not self._segments:
            return
        target, given, operations = self._segments.pop(0)
        number = self.of(total)
        adding = range(self._mark, len(self.operations))  # a sum over broadcast axes, and to what had come before
        self._mark = len(self.operations)
        self.time += 1
        undone, g = self._undone
        sweep.contributions.append(
            Contribution(sweep.number, undone, target, g, [*operations, *adding], given, number, self.time)
        )
        sweep.results[target] = number

    def ends(self) -> None:
        """The backward pass is over."""
        self._open.pop()
        self._segments = []


def code_of(f: Callable[..., Any]) -> CodeType | None:
    """The code of a function, of what it wraps, or of a layer's forward; None where there is none in Python."""
    f = inspect.unwrap(f)
    f = getattr(f, "func", f)
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    return code if isinstance(code, CodeType) else None
