"""A primitive is a plain array function with one rule per tensor argument.

A rule maps the cotangent `g` of the output, the output `y`, the inputs and the constants to the argument's cotangent.
It is written with primitives only, so every order of derivative works without further code.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad2.autodiff.errors import NoRule
from tinygrad2.autodiff.node import Node, is_recording
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.kernels.arrays import Array, device_of, to_device

Rule = Callable[..., Tensor]


REGISTRY: dict[str, Primitive] = {}

_array_of, _node_of = attrgetter("array"), attrgetter("node")
_NUMBERS = (int, float, np.number)


def zero(*_: Any) -> Tensor:
    """The rule of an argument in which a primitive is piecewise constant: its derivative is zero wherever it exists."""
    raise AssertionError("no cotangent is ever sent through the rule `zero`")


class Primitive:
    """A plain array function `fn(*arrays, *constants) -> array` that differentiation knows.

    `defvjp(rule, ...)` registers a rule per tensor argument, `rule(g, y, *inputs, *constants) -> cotangent`; what comes
    after them are constants. A cotangent may be larger than its input by broadcasting: the engine sums it.
    """

    def __init__(self, name: str, fn: Callable[..., Array]) -> None:
        self.name = name
        self.fn = fn
        self.rules: tuple[Rule, ...] = ()
        self.arity = -1
        self._why_not = f"computed under no_grad (by {name})"

    def defvjp(self, *rules: Rule) -> Primitive:
        """Register one rule per tensor argument, in their order; return the primitive."""
        if not rules:
            raise NoRule(f"{self.name}: register one rule per tensor argument; `zero` where it is piecewise constant")
        self.rules = rules
        self.arity = len(rules)
        self._constant = [i for i, rule in enumerate(rules) if rule is zero]
        self._floats = [i for i, rule in enumerate(rules) if rule is not zero]
        read = set().union(*(_positions_read(rules[i], 2 + self.arity) for i in self._floats))
        self._output_unread = 1 not in read
        self._unread = [i for i in range(self.arity) if i + 2 not in read]
        self._nothing = (None,) * self.arity if len(self._unread) == self.arity else None  # where no input is read
        self._register()
        return self

    def _register(self) -> None:
        """Names are unique, but a notebook cell may be run again: the same module may replace its own."""
        other = REGISTRY.get(self.name, self)
        if other.fn.__module__ != self.fn.__module__:
            raise ValueError(f"the name {self.name!r} is taken by a primitive of {other.fn.__module__}; choose another")
        REGISTRY[self.name] = self

    def __call__(self, *args: Any) -> Tensor:
        """The result, recorded: fn(*arrays, *constants), with one tensor, array or number for each rule."""
        return self.record(None, *args)

    def record(self, out: Array | None, *args: Any) -> Tensor:
        """The same for a result that is there already: `out` is the array that `fn` would give for these arguments."""
        arity = self.arity
        inputs, consts = args, ()
        if len(args) != arity:
            if len(args) < arity or not self.rules:
                raise self._misused(len(args))
            inputs, consts = args[:arity], args[arity:]
        arrays: list[Array] = []
        sources: list[Node | None] = []
        tracked, kinds = False, 0
        module: Any = None
        dtype: Any = None
        for t in inputs:
            if type(t) is not Tensor:
                return self.record(out, *_lift(self.name, inputs), *consts)
            a, node = t.array, t.node
            arrays.append(a)
            sources.append(node)
            if node is not None:
                tracked = True
            if a.dtype is not dtype or type(a) is not module:
                module, dtype, kinds = type(a), a.dtype, kinds + 1
        if kinds != 1 or dtype.kind not in "fc":  # nearly always all are on one device and of one floating dtype
            _check(self.name, arrays, self._floats)
        out = owned(self.fn(*arrays, *consts) if out is None else out)
        if not tracked:
            return wrap(out, None, _why(inputs))
        if not is_recording():
            return wrap(out, None, self._why_not)
        parents = _without(sources, self._constant) if self._constant else sources
        kept = self._nothing or (_without(arrays, self._unread) if self._unread else arrays)
        return wrap(out, Node(out, self, sources, parents, kept, None if self._output_unread else out, consts))

    def vjp(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        """Yield (parent, its cotangent) for every wanted parent of one recorded call."""
        y = None if node.out is None else wrap(node.out, node)
        inputs: Sequence[Tensor | None] = self._nothing or [
            None if a is None else wrap(a, s) for a, s in zip(node.arrays, node.sources, strict=True)
        ]
        rules, consts = self.rules, node.consts
        for i, parent in enumerate(node.parents):
            if parent in wanted:
                yield parent, rules[i](g, y, *inputs, *consts)

    def _misused(self, given: int) -> Exception:
        if not self.rules:
            return NoRule(f"primitive {self.name!r} has no rules: call .defvjp(rule, ...) before using it")
        return TypeError(f"{self.name}: expected {self.arity} tensor arguments, got {given}")

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class VariadicPrimitive(Primitive):
    """A linear primitive of any number of tensors, such as concatenation: `primitive(tensors, *constants)`.

    Its one rule takes the argument's position, `rule(i, g, *constants)`, and sees neither inputs nor output.
    """

    def defvjp(self, *rules: Rule) -> VariadicPrimitive:
        """Register the one rule; return the primitive."""
        self.rules = rules
        self._register()
        return self

    def record(self, out: Array | None, *args: Any) -> Tensor:
        tensors, *consts = args
        everywhere = range(len(tensors))
        inputs = _lift(self.name, tensors)
        arrays = list(map(_array_of, inputs))
        _check(self.name, arrays, everywhere)
        out = owned(self.fn(arrays, *consts) if out is None else out)
        sources = tuple(map(_node_of, inputs))
        if not any(sources):
            return wrap(out, None, _why(inputs))
        if not is_recording():
            return wrap(out, None, self._why_not)
        return wrap(out, Node(out, self, sources, sources, consts=tuple(consts)))

    def vjp(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        for i, parent in enumerate(node.parents):
            if parent is not None and parent in wanted:
                yield parent, self.rules[0](i, g, *node.consts)


def _positions_read(rule: Rule, wanted: int) -> set[int]:
    """Which of a rule's parameters (g, y, *inputs) its code reads: the tape keeps only those arrays."""
    if not isinstance(rule, FunctionType):
        return set(range(wanted))
    code = rule.__code__
    loaded: set[str] = set()
    for instruction in dis.get_instructions(rule):
        name = instruction.argval
        loaded.update(name if isinstance(name, tuple) else (name,) if isinstance(name, str) else ())
    named = {i for i, name in enumerate(code.co_varnames[: code.co_argcount]) if name in loaded}
    return named | set(range(code.co_argcount, wanted))  # those in *args cannot be told apart


def _without(items: Sequence[Any], unwanted: Sequence[int]) -> tuple[Any, ...]:
    """The items with None at the unwanted places."""
    kept = list(items)
    for i in unwanted:
        kept[i] = None
    return tuple(kept)


def _check(name: str, arrays: Sequence[Array], floats: Sequence[int]) -> None:
    """One device for all arguments, and one floating dtype for the differentiable ones."""
    module = type(arrays[0])
    for a in arrays:
        if type(a) is not module:
            raise TypeError(_apart(name, arrays))
    if not floats:
        return
    first = arrays[floats[0]]
    dtype = first.dtype
    if dtype.kind not in "fc":
        raise TypeError(_mismatch(name, floats[0], first, first))
    for i in floats:
        if arrays[i].dtype != dtype:
            raise TypeError(_mismatch(name, i, arrays[i], first))


def _apart(name: str, arrays: Sequence[Array]) -> str:
    devices = ", ".join(f"argument {i} is on {device_of(a)}" for i, a in enumerate(arrays))
    return f"{name}: {devices}; move them to one device with .to(...)"


def _mismatch(name: str, i: int, a: Array, first: Array) -> str:
    if a.dtype.kind not in "fc":
        return (
            f"{name}: argument {i} has dtype {a.dtype}; a differentiable argument must be float32 or float64. "
            "Write 1.0 for 1, or convert with .astype(np.float32); labels and indices are passed as plain integers"
        )
    mixed = f"{name}: argument {i} is {a.dtype}, the first one {first.dtype}"
    return f"{mixed}; nothing is promoted silently: convert one with .astype(...)"


def _lift(name: str, inputs: Sequence[Any]) -> Sequence[Tensor]:
    """Make constants of the numbers and arrays; a number takes the dtype and device of the Tensors beside it."""
    like = None
    for t in inputs:
        if type(t) is Tensor:
            like = t.array
            if like.dtype.kind in "fc":
                break
    return [t if type(t) is Tensor else _constant(name, i, t, like) for i, t in enumerate(inputs)]


def _constant(name: str, i: int, value: Any, like: Array | None) -> Tensor:
    if value is None:
        raise TypeError(f"{name}: argument {i} is None where a tensor was expected")
    if like is None or not isinstance(value, _NUMBERS) or value is True or value is False:
        return Tensor(value)
    number = np.asarray(value, like.dtype if like.dtype.kind in "fc" else None)
    return wrap(owned(number if type(like) is np.ndarray else to_device(number, device_of(like))), None)


def owned(out: Array) -> Array:
    """The result of a primitive, made read-only: a later write would silently corrupt derivatives."""
    if type(out) is np.ndarray:
        out.setflags(False)  # type: ignore[call-arg]  # by position: half as long as by name
    elif isinstance(out, np.generic):
        out = np.asarray(out)
        out.setflags(write=False)
    return out


def _why(inputs: Sequence[Tensor]) -> str | None:
    """Why a result has no history, from the inputs that remember why they have none."""
    for t in inputs:
        if t.why is not None:
            return t.why
    return None
