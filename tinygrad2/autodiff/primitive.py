"""A primitive is a plain array function with one rule per tensor argument.

A rule maps the cotangent `g` of the output, the output `y`, the inputs and the constants to the cotangent of its argument, and is
written with primitives only: so every order of derivative works without further code.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff.errors import NoRule
from tinygrad2.autodiff.node import Node, is_recording
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.kernels.backend import Array, device_of, to_device

Rule = Callable[..., Tensor]

REGISTRY: dict[str, Primitive] = {}


def zero(*_: Any) -> Tensor:
    """The rule of an argument in which a primitive is piecewise constant: its derivative is zero wherever it exists."""
    raise AssertionError("no cotangent is ever sent through the rule `zero`")


class Primitive:
    """A plain array function `fn(*arrays, *constants) -> array` that differentiation knows.

    `vjp(rule, ...)` registers one rule per tensor argument: `rule(g, y, *inputs, *constants) -> cotangent`; the arguments after
    them are constants. A cotangent may be larger than its input by broadcasting: the engine sums it. Names are unique.
    """

    def __init__(self, name: str, fn: Callable[..., Array]) -> None:
        self.name = name
        self.fn = fn
        self.rules: tuple[Rule, ...] = ()

    def vjp(self, *rules: Rule) -> Primitive:
        """Register one rule per tensor argument, in their order; return the primitive."""
        if not rules:
            raise NoRule(f"{self.name}: register one rule per tensor argument; `zero` where it is piecewise constant")
        self.rules = rules
        self.arity = len(rules)
        self._floats = tuple(i for i, rule in enumerate(rules) if rule is not zero)
        read = set().union(*(_positions_read(rule, 2 + len(rules)) for rule in rules if rule is not zero))
        self._keeps_output = 1 in read
        self._keeps = tuple(i + 2 in read for i in range(len(rules)))
        REGISTRY[self.name] = self
        return self

    def __call__(self, *args: Any) -> Tensor:
        if not self.rules:
            raise NoRule(f"primitive {self.name!r} has no rules: call .vjp(rule, ...) before using it")
        inputs: Sequence[Any] = args[: self.arity]
        for t in inputs:
            if type(t) is not Tensor:
                inputs = _lift(self.name, inputs, self._floats)
                break
        arrays = [t.array for t in inputs]
        if len(arrays) != self.arity:
            raise TypeError(f"{self.name}: expected {self.arity} tensor arguments, got {len(arrays)}")
        _check(self.name, arrays, self._floats)
        consts = args[self.arity :]
        out = _owned(self.fn(*arrays, *consts))
        if is_recording():
            for t in inputs:
                if t.node is not None:
                    return wrap(out, self._record(out, inputs, arrays, consts))
        return _unrecorded(self.name, out, inputs)

    def _record(self, out: Array, inputs: Sequence[Tensor], arrays: list[Array], consts: tuple[Any, ...]) -> Node:
        sources = parents = tuple([t.node for t in inputs])
        if len(self._floats) < self.arity:
            parents = tuple([s if i in self._floats else None for i, s in enumerate(sources)])
        kept = tuple([a if keep else None for a, keep in zip(arrays, self._keeps, strict=True)])
        return Node(out, self, sources, parents, kept, out if self._keeps_output else None, consts)

    def pull(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        """Yield (parent, its cotangent) for every wanted parent of one recorded call."""
        y = None if node.out is None else wrap(node.out, node)
        inputs = [None if a is None else wrap(a, s) for a, s in zip(node.arrays, node.sources, strict=True)]
        for parent, rule in zip(node.parents, self.rules, strict=True):
            if parent is not None and parent in wanted:
                yield parent, rule(g, y, *inputs, *node.consts)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class VariadicPrimitive(Primitive):
    """A linear primitive of any number of tensors, such as concatenation: `primitive(tensors, *constants)`.

    Its one rule takes the argument's position, `rule(i, g, *constants)`, and sees neither inputs nor output.
    """

    def vjp(self, *rules: Rule) -> VariadicPrimitive:
        """Register the one rule; return the primitive."""
        self.rules = rules
        REGISTRY[self.name] = self
        return self

    def __call__(self, *args: Any) -> Tensor:
        tensors, *consts = args
        everywhere = range(len(tensors))
        inputs = _lift(self.name, tensors, everywhere)
        arrays = [t.array for t in inputs]
        _check(self.name, arrays, everywhere)
        out = _owned(self.fn(arrays, *consts))
        if is_recording() and any(t.node is not None for t in inputs):
            sources = tuple(t.node for t in inputs)
            return wrap(out, Node(out, self, sources, sources, consts=tuple(consts)))
        return _unrecorded(self.name, out, inputs)

    def pull(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        for i, parent in enumerate(node.parents):
            if parent is not None and parent in wanted:
                yield parent, self.rules[0](i, g, *node.consts)


def _positions_read(rule: Rule, wanted: int) -> set[int]:
    """Which of a rule's parameters (g, y, *inputs) its code reads: the tape keeps only those arrays for the backward pass."""
    code = rule.__code__
    if code.co_argcount < wanted:  # inputs taken as *args cannot be told apart
        return set(range(wanted))
    loaded: set[str] = set()
    for instruction in dis.get_instructions(rule):
        name = instruction.argval
        loaded.update(name if isinstance(name, tuple) else (name,) if isinstance(name, str) else ())
    return {i for i, name in enumerate(code.co_varnames[: code.co_argcount]) if name in loaded}


def _check(name: str, arrays: list[Array], floats: Sequence[int]) -> None:
    """One floating dtype and one device among the differentiable arguments."""
    dtype = device = None
    for i in floats:
        a = arrays[i]
        if dtype is None:
            dtype, device = a.dtype, type(a)
        if a.dtype != dtype or type(a) is not device or a.dtype.kind not in "fc":
            raise TypeError(_mismatch(name, i, a, arrays[floats[0]]))


def _lift(name: str, inputs: Sequence[Any], floats: Sequence[int]) -> Sequence[Tensor]:
    """Make constants of the numbers and arrays; a number takes the dtype and device of the Tensors beside it."""
    like = next((t.array for t in inputs if type(t) is Tensor and t.array.dtype.kind in "fc"), None)
    return tuple([t if type(t) is Tensor else _constant(name, i, t, like if i in floats else None) for i, t in enumerate(inputs)])


def _constant(name: str, i: int, value: Any, like: Array | None) -> Tensor:
    if value is None:
        raise TypeError(f"{name}: argument {i} is None where a tensor was expected")
    if like is None or not isinstance(value, int | float | np.generic):
        return Tensor(value)
    return wrap(_owned(to_device(np.asarray(value, like.dtype), device_of(like))), None)


def _owned(out: Array) -> Array:
    """The result of a primitive, made read-only: a later write would silently corrupt derivatives."""
    if type(out) is np.ndarray:
        out.setflags(write=False)
        return out
    return np.asarray(out) if isinstance(out, np.generic) else out


def _unrecorded(name: str, out: Array, inputs: Sequence[Tensor]) -> Tensor:
    """A result without history, which remembers why, for whoever asks for its gradient."""
    result = wrap(out, None)
    for t in inputs:
        why = f"computed under no_grad (by {name})" if t.node is not None else t.why
        if why is not None:
            result.why = why
            break
    return result


def _mismatch(name: str, i: int, a: Array, first: Array) -> str:
    if a.dtype.kind not in "fc":
        return (
            f"{name}: argument {i} has dtype {a.dtype}; a differentiable argument must be float32 or float64. "
            "Write 1.0 for 1, or convert with .astype(np.float32); labels and indices are passed as plain integer arrays"
        )
    if type(a) is not type(first):
        return f"{name}: argument {i} is on {device_of(a)}, the first one on {device_of(first)}; move one with .to(...)"
    return f"{name}: argument {i} is {a.dtype}, the first one {first.dtype}; nothing is promoted silently: convert one with .astype(...)"


identity = Primitive("identity", lambda x: x).vjp(lambda g, y, x: g)
