"""A primitive is a plain array function with one rule per tensor argument.

A rule maps the cotangent `g` of the output, the output `y`, the inputs and the constants to the argument's cotangent.
It is written with primitives only, so every order of derivative works without further code.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Sequence
from copy import copy
from operator import attrgetter, itemgetter
from types import FunctionType
from typing import Any, Self

import numpy as np

from tinygrad2.autodiff.errors import NoRule
from tinygrad2.autodiff.node import Node, is_recording
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.kernels.arrays import Array, constant, device_of

__all__ = ["REGISTRY", "Primitive", "VariadicPrimitive", "zero"]

Rule = Callable[..., Tensor]

REGISTRY: dict[str, Primitive] = {}

_array_of = attrgetter("array")
_node_of = attrgetter("node")
_NUMBERS = (int, float, np.number)


def zero(*_: Any) -> Tensor:
    """The rule of an argument in which a primitive is piecewise constant: its derivative is zero wherever it exists."""
    raise AssertionError("no cotangent is ever sent through the rule `zero`")


class Primitive:
    """A plain array function `fn(*arrays, *constants) -> array`, of any shapes, that differentiation knows.

    `defvjp(rule, ...)` registers one rule for each tensor argument, `rule(g, y, *inputs, *constants) -> cotangent`.
    The arguments after the tensors are constants. A rule may return a cotangent that is larger than its input, because
    the input was broadcast: the engine sums it.

    name: how errors and the registry call it. doc: the docstring, where the primitive is public.

    >>> cube = tg.autodiff.Primitive("cube", lambda x: x**3).defvjp(lambda g, y, x: 3.0 * g * x * x)
    >>> tg.grad(cube)(2.0)
    Tensor(12., float64)
    """

    def __init__(self, name: str, fn: Callable[..., Array], doc: str | None = None) -> None:
        self.name = name
        self.fn = fn
        self.rules: tuple[Rule, ...] = ()
        self.arity = -1
        self.__name__ = name
        self.__doc__ = doc
        self.__module__ = sys._getframe(1).f_globals.get("__name__", "__main__")  # the caller's, as in namedtuple
        # where it is written, as namedtuple finds it
        self._why_not = f"computed under no_grad (by {name})"

    def defvjp(self, *rules: Rule) -> Self:
        """Register one rule for each tensor argument, in their order, for any shapes; return the primitive."""
        if not rules:
            raise NoRule(f"{self.name}: register one rule per tensor argument; `zero` where it is piecewise constant")
        self.rules = rules
        self.arity = len(rules)
        self._floats = [i for i, rule in enumerate(rules) if rule is not zero]
        read = set().union(*(_positions_read(rules[i], 2 + self.arity) for i in self._floats))
        self._output_unread = 1 not in read
        unread = [i for i in range(self.arity) if i + 2 not in read]
        self._nothing = (None,) * self.arity if len(unread) == self.arity else None  # where no input is read
        self._without_unread = _without(unread, self.arity)
        self._without_constant = _without([i for i, rule in enumerate(rules) if rule is zero], self.arity)
        self._describe(self._floats[0] if self._floats else None)
        self._register()
        return self

    @property
    def differentiable(self) -> bool:
        """Whether it has a derivative other than zero by one of its arguments."""
        return bool(self._floats)

    def _register(self) -> None:
        """Names are unique, but a notebook cell may be run again: the same module may replace its own."""
        other = REGISTRY.get(self.name, self)
        if other.__module__ != self.__module__:
            raise ValueError(f"the name {self.name!r} is taken by a primitive of {other.__module__}; choose another")
        REGISTRY[self.name] = self

    def _describe(self, differentiable: int | None) -> None:
        """Give the object the signature that editors and `help` show: the parameters of a rule after g and y."""
        f, skip = (self.fn, 0) if differentiable is None else (self.rules[differentiable], 2)
        try:
            parameters = list(inspect.signature(f).parameters.values())[skip:]
        except ValueError:  # an older NumPy does not say what its functions take
            return
        named = inspect.Parameter.POSITIONAL_OR_KEYWORD
        for i, p in enumerate(parameters):
            kind = inspect.Parameter.POSITIONAL_ONLY if p.kind is named else p.kind
            parameters[i] = p.replace(kind=kind, annotation="TensorLike" if i < self.arity else "object")
        self.__signature__ = inspect.Signature(parameters, return_annotation="Tensor")

    def __call__(self, *args: Any) -> Tensor:
        """Compute fn(*arrays, *constants) and record it. args: a tensor, array or number for each rule; constants."""
        arity = self.arity
        inputs = args
        consts: tuple[Any, ...] = ()
        if len(args) != arity:
            if len(args) < arity or not self.rules:
                raise self._misused(len(args))
            inputs = args[:arity]
            consts = args[arity:]
        arrays: list[Array] = []
        sources: list[Node | None] = []
        tracked = False
        kinds = 0
        module: Any = None
        dtype: Any = None
        for t in inputs:
            if type(t) is not Tensor:
                return self(*_lift(self.name, inputs), *consts)
            a = t.array
            node = t.node
            arrays.append(a)
            sources.append(node)
            if node is not None:
                tracked = True
            if a.dtype is not dtype or type(a) is not module:
                module = type(a)
                dtype = a.dtype
                kinds += 1
        if kinds != 1 or dtype.kind not in "fc":  # nearly always all are on one device and of one floating dtype
            whole = [i for i in self._floats if arrays[i].dtype.kind in "biu"]
            if whole:
                return self._with_integers(whole, inputs, consts)
            _check(self, arrays, self._floats)
        try:
            out = self.fn(*arrays, *consts)
        except (ValueError, IndexError, ArithmeticError, RuntimeWarning, MemoryError) as error:
            raise _named(self.name, arrays, error) from error
        if type(out) is np.ndarray:
            out.setflags(False)  # type: ignore[call-arg]  # read-only; by position: half as long as by name
        else:
            out = owned(out)
        if not tracked:
            for t in inputs:
                if t.why is not None:
                    return wrap(out, None, t.why)
            return wrap(out, None)
        if not is_recording():
            return wrap(out, None, self._why_not)
        parents = self._without_constant([*sources, None]) if self._without_constant else sources
        kept = self._nothing or (self._without_unread([*arrays, None]) if self._without_unread else arrays)
        return wrap(out, Node(out, self, sources, parents, kept, None if self._output_unread else out, consts))

    def _with_integers(self, whole: Sequence[int], inputs: Sequence[Tensor], consts: tuple[Any, ...]) -> Tensor:
        """The call with integers or bools at the differentiable positions `whole`.

        Beside floats they become floats. Alone they are arrays without gradient. A function of one tensor that makes
        floats of them is an error: 1 was most likely written for 1.0, and the derivative would be lost.
        """
        arrays = [t.array for t in inputs]
        floats = [i for i in self._floats if i not in whole]
        if floats:
            from tinygrad2.autodiff.engine import algebra  # here, because the engine stands on this file

            dtype = arrays[floats[0]].dtype
            return self(*[algebra.as_float(t, dtype) if i in whole else t for i, t in enumerate(inputs)], *consts)
        _check(self, arrays, ())
        out = owned(self.fn(*arrays, *consts))
        if self.arity == 1 and out.dtype.kind not in "biu":
            raise TypeError(_not_floating(self.name, 0, arrays[0].dtype))
        return _without_gradient(self, out, [t.node for t in inputs])

    def record(self, out: Array, *args: Any) -> Tensor:
        """Record a result of any shape that is there already: `out` is the array that fn would give for `args`."""
        known = copy(self)
        known.fn = lambda *_: out
        y = known(*args)
        if y.node is not None:
            y.node.op = self
        return y

    def vjp(self, node: Node, g: Tensor, wanted: set[Node]) -> list[tuple[Node, Tensor]]:
        """The cotangent for every wanted parent of one recorded call. g: of the call's output shape, or larger."""
        y = None if node.out is None else wrap(node.out, node)
        inputs: Sequence[Tensor | None] | None = self._nothing
        if inputs is None:
            inputs = []
            for a, source in zip(node.arrays, node.sources, strict=True):
                inputs.append(None if a is None else wrap(a, source))
        rules = self.rules
        consts = node.consts
        cotangents = []
        for i, parent in enumerate(node.parents):
            if parent in wanted:
                cotangents.append((parent, rules[i](g, y, *inputs, *consts)))
        return cotangents

    def _misused(self, given: int) -> Exception:
        if not self.rules:
            return NoRule(f"primitive {self.name!r} has no rules: call .defvjp(rule, ...) before using it")
        return TypeError(f"{self.name}: expected {self.arity} tensor arguments, got {given}")

    def __repr__(self) -> str:
        """The name, as in <primitive exp>."""
        return f"<primitive {self.name}>"


class VariadicPrimitive(Primitive):
    """A linear primitive of any number of tensors, such as concatenation: `primitive(tensors, *constants)`.

    Its one rule takes the argument's position, `rule(i, g, *constants)`, and sees neither the inputs nor the output, so
    the tensors may have any shape that `fn` takes.
    """

    def defvjp(self, *rules: Rule) -> Self:
        """Register the one rule, for any shapes; return the primitive."""
        self.rules = rules
        self._register()
        return self

    def __call__(self, *args: Any) -> Tensor:
        """Compute fn(arrays, *constants) and record it. args: the tensors as one sequence, then the constants."""
        tensors, *consts = args
        inputs = _lift(self.name, tensors)
        arrays = list(map(_array_of, inputs))
        sources = tuple(map(_node_of, inputs))
        whole = all(a.dtype.kind in "biu" for a in arrays)
        _check(self, arrays, () if whole else range(len(tensors)))
        try:
            out = owned(self.fn(arrays, *consts))
        except (ValueError, IndexError, ArithmeticError, RuntimeWarning, MemoryError) as error:
            raise _named(self.name, arrays, error) from error
        if whole:
            return _without_gradient(self, out, sources)
        if not any(sources):
            return wrap(out, None, next((t.why for t in inputs if t.why is not None), None))
        if not is_recording():
            return wrap(out, None, self._why_not)
        return wrap(out, Node(out, self, sources, sources, consts=tuple(consts)))

    def vjp(self, node: Node, g: Tensor, wanted: set[Node]) -> list[tuple[Node, Tensor]]:
        """The cotangent for every wanted parent of one recorded call. g: of the call's output shape, or larger."""
        rule = self.rules[0]
        parents = enumerate(node.parents)
        return [(p, rule(i, g, *node.consts)) for i, p in parents if p is not None and p in wanted]


def _without_gradient(op: Primitive, out: Array, sources: Sequence[Node | None]) -> Tensor:
    """A result of integers: linked to what it was computed from, where its derivative is 0."""
    if any(sources) and is_recording():
        return wrap(out, Node(out, op, sources, (None,) * len(sources)))
    return wrap(out, None, f"made of integers or bools (by {op.name})")


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


def _without(unwanted: Sequence[int], size: int) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """The function that takes `size` items and a None behind them, and puts that None at the unwanted places.

    It is itemgetter, so no Python code runs for it. None where all places are wanted.
    """
    if not unwanted:
        return None
    if size == 1:  # itemgetter with one position gives the bare item
        return itemgetter(slice(1, 2))
    return itemgetter(*[size if i in unwanted else i for i in range(size)])


def _check(primitive: Primitive, arrays: Sequence[Array], floats: Sequence[int]) -> None:
    """One device for all arguments, and one floating dtype for the differentiable ones."""
    module = type(arrays[0])
    for a in arrays:
        if type(a) is not module:
            raise TypeError(_apart(primitive.name, arrays))
    if not floats:
        return
    first = arrays[floats[0]]
    dtype = first.dtype
    if dtype.kind not in "fc":
        raise TypeError(_not_floating(primitive.name, floats[0], dtype))
    for i in floats:
        if arrays[i].dtype != dtype:
            raise TypeError(_mixed(primitive, arrays, floats[0], i))


def _apart(name: str, arrays: Sequence[Array]) -> str:
    devices = ", ".join(f"argument {i} is on {device_of(a)}" for i, a in enumerate(arrays))
    return f"{name}: {devices}; move them to one device with .to(...)"


def _not_floating(name: str, i: int, dtype: np.dtype[Any]) -> str:
    return (
        f"{name}: argument {i} has dtype {dtype}; a differentiable argument must be float32 or float64. "
        "Write 1.0 for 1, or convert with .astype(np.float32); labels and indices are passed as plain integers"
    )


def _mixed(primitive: Primitive, arrays: Sequence[Array], first: int, i: int) -> str:
    """Two differentiable arguments of different dtypes, by the names that their primitive gives them."""
    if arrays[i].dtype.kind not in "fc":
        return _not_floating(primitive.name, i, arrays[i].dtype)
    signature = getattr(primitive, "__signature__", None)
    names = dict(enumerate(signature.parameters if signature else ()))
    given = [f"{names.get(k, f'argument {k}')} is {arrays[k].dtype}" for k in (first, i)]
    return f"{primitive.name}: {', '.join(given)}; nothing is promoted silently: convert one with .astype(...)"


def _named(name: str, arrays: Sequence[Array], error: Exception) -> Exception:
    """NumPy's error or warning, with the operation that it comes from."""
    if str(error).startswith(f"{name}: "):
        return error
    shapes = "" if "shape" in str(error) else f" (shapes {', '.join(str(a.shape) for a in arrays)})"
    if isinstance(error, MemoryError):
        return MemoryError(f"{name}: {error}{shapes}; a smaller batch needs less memory, in proportion")
    kind = type(error) if len(error.args) == 1 else ValueError
    return kind(f"{name}: {error}{shapes}".rstrip())


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
    number = np.asarray(value, like.dtype if like.dtype.kind in "fc" else np.result_type(like.dtype, value))
    return wrap(owned(number if type(like) is np.ndarray else constant(number, device_of(like))), None)


def owned(out: Array) -> Array:
    """The result of a primitive, made read-only: a later write would silently corrupt derivatives."""
    if type(out) is np.ndarray:
        out.setflags(False)  # type: ignore[call-arg]  # by position: half as long as by name
    elif isinstance(out, np.generic):
        out = np.asarray(out)
        out.setflags(write=False)
    return out
