"""Functions with a derivative rule of their own, and functions that are computed again instead of remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper, wraps
from typing import Any, Never, ParamSpec

from tinygrad2.autodiff.effects import Restore, remembering, repeating
from tinygrad2.autodiff.engine import made_before, sweep
from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.node import Node, is_recording, next_id, recording, watched_from, watching_from
from tinygrad2.autodiff.primitive import REGISTRY, Primitive, Rule
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.kernels.arrays import Array, xp

__all__ = ["checkpoint", "custom_vjp"]

P = ParamSpec("P")


class custom_vjp:
    """A function of Tensors with rules that you write: `f.defvjp(rule, ...)`, one per tensor argument of any shape.

    `rule(g, y, *inputs, *constants)` is written in Tensors, so it can be differentiated in turn. JAX gives a rule what
    the forward pass saved; a rule here gets the inputs and the output, because a saved array would silently drop
    second-order terms.

    >>> @tg.custom_vjp
    ... def smooth_relu(x): return tg.log(1.0 + tg.exp(x))
    >>> smooth_relu = smooth_relu.defvjp(lambda g, y, x: g * tg.sigmoid(x))
    >>> tg.grad(smooth_relu)(0.0)
    Tensor(0.5, float64)
    """

    def __init__(self, fn: Callable[..., Tensor]) -> None:
        if not callable(fn):
            raise TypeError(f"custom_vjp: expected a function of tensors, got {type(fn).__name__}")
        update_wrapper(self, fn)
        self._fn = fn
        self._primitive = _Custom(fn, self._forward)

    def defvjp(self, *rules: Rule) -> custom_vjp:
        """Register one rule for each tensor argument, of any shape; return the function."""
        self._primitive.defvjp(*rules)
        return self

    def __call__(self, *args: Any) -> Tensor:
        """The value of the function, recorded as one operation. args: tensors of any shapes, then constants."""
        arity = self._primitive.arity
        tensors = [i for i, t in enumerate(args) if isinstance(t, Tensor) and t.requires_grad]
        if 0 <= arity <= max(tensors, default=-1):
            raise TypeError(
                f"custom_vjp {self._primitive.name}: argument {tensors[-1]} requires a gradient, but defvjp was given "
                f"{arity} rule{'s' * (arity != 1)}: give one for each tensor argument, tg.autodiff.zero where the "
                "result is constant in it; the arguments after the tensors are constants"
            )
        return self._primitive(*args)

    def _forward(self, *args: Any) -> Array:
        arity = self._primitive.arity
        with recording(True):
            y = self._fn(*[wrap(a, None) for a in args[:arity]], *args[arity:])
        if y.node is not None:
            name = self._primitive.name
            raise GradientError(f"custom_vjp {name} closes over a tensor that requires a gradient; make it an argument")
        return y.array


class _Custom(Primitive):
    """A user's primitive, registered with its module's name: its own may be that of a primitive of the library."""

    def __init__(self, fn: Callable[..., Tensor], forward: Callable[..., Array]) -> None:
        super().__init__(getattr(fn, "__name__", type(fn).__name__), forward)
        self.__module__ = getattr(fn, "__module__", "__main__")
        self._key = f"{self.__module__}.{getattr(fn, '__qualname__', self.name)}"

    def _register(self) -> None:
        REGISTRY[self._key] = self


def checkpoint(f: Callable[P, Tensor], *args: Never) -> Callable[P, Tensor]:
    """f, without keeping its intermediate results: they are computed again in the backward pass (memory for time).

    f: takes tensors of any shapes and returns one Tensor. Gradients reach its arguments and every tensor that it closes
    over, to any order. What layers do besides computing happens once, in the forward pass: batch statistics move
    once, and dropout draws the same mask again. Otherwise f must be deterministic: where a second run gives other
    values, the backward pass raises GradientError.

    >>> tg.grad(tg.checkpoint(lambda x: tg.exp(tg.exp(x))))(0.0)
    Tensor(2.71828183, float64)
    """

    # A call y = f(x) becomes one node. Its inputs are the nodes older than the call that y was computed from, so that
    # what f closes over counts as well. The nodes between are forgotten: nothing refers to them once f has returned.
    # Backward, f runs again from the same inputs, and x̄ = Jᵀȳ is taken through that second tape. It is recorded if the
    # first pass is, from tensors that carry the nodes of the originals, so derivatives of x̄ find their way too.
    if args or not callable(f):
        given = "a function and its arguments" if args else type(f).__name__
        raise TypeError(f"checkpoint: expected a function alone, got {given}; write checkpoint(f)(x)")

    @wraps(f)
    def run(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not is_recording():
            return f(*args, **kwargs)
        start = next_id()
        with remembering() as states:
            y = f(*args, **kwargs)
        if not isinstance(y, Tensor):
            raise TypeError(f"checkpoint: the function must return one Tensor, got {type(y).__name__}")
        if y.node is None:
            return y
        inputs = tuple(made_before(start, y.node))
        same: Any = [wrap(a.array, a.node) if isinstance(a, Tensor) else a for a in args]
        again = _Again(lambda: f(*same, **kwargs), y.array, states, watched_from())
        return wrap(y.array, Node(y.array, again, inputs, inputs))

    return run


class _Again:
    """The operation of a checkpointed call: run it once more, recorded, and pass the cotangent back through that."""

    name = "checkpoint"

    def __init__(
        self, again: Callable[[], Tensor], expected: Array, states: Sequence[Restore], watched: int | None
    ) -> None:
        self.again = again
        self.expected = expected
        self.states = states
        self.watched = watched

    def vjp(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        """The cotangent for every wanted input of the call. g: of the call's output shape."""
        with recording(True), watching_from(self.watched), repeating(self.states):
            y = self.again()
        if not xp(y.array).array_equal(y.array, self.expected, equal_nan=True):
            raise GradientError(
                "checkpoint: a second run of the function gave other values; it must be deterministic "
                "(what a layer draws or counts is put back by itself; for other state use tg.autodiff.stateful)"
            )
        inputs = [p for p in node.parents if p is not None and p in wanted]
        for parent, c in zip(inputs, sweep([y], [g], inputs), strict=True):
            if c is not None:
                yield parent, c
