"""Functions with a derivative rule of their own, and functions that are computed again instead of remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import update_wrapper, wraps
from typing import Any

from tinygrad2.autodiff.engine import pull
from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.node import Node, is_recording, next_id, recording
from tinygrad2.autodiff.primitive import Primitive, Rule
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.kernels.backend import Array, xp


class custom_vjp:
    """A function of Tensors with hand-written rules, `f.defvjp(rule, ...)`: one per tensor argument, as for a primitive.

    `rule(g, y, *inputs, *constants)` is written in Tensors, so it can be differentiated in turn. (JAX passes residuals instead; here a
    rule reads inputs and output only, because anything else would silently drop second-order terms.)

        @tg.custom_vjp
        def softplus(x): return tg.log(1.0 + tg.exp(x))
        softplus.defvjp(lambda g, y, x: g * tg.sigmoid(x))
    """

    def __init__(self, fn: Callable[..., Tensor]) -> None:
        update_wrapper(self, fn)
        self._fn = fn
        self._primitive = Primitive(fn.__name__, self._forward)

    def defvjp(self, *rules: Rule) -> custom_vjp:
        """Register one rule per tensor argument."""
        self._primitive.vjp(*rules)
        return self

    def __call__(self, *args: Any) -> Tensor:
        return self._primitive(*args)

    def _forward(self, *args: Any) -> Array:
        arity = self._primitive.arity
        with recording(True):
            y = self._fn(*[wrap(a, None) for a in args[:arity]], *args[arity:])
        if y.node is not None:
            raise GradientError(f"custom_vjp {self._fn.__name__}: it closes over a tensor that requires a gradient; pass that tensor as an argument")
        return y.array


def checkpoint(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f, without keeping its intermediate results: they are computed again in the backward pass (memory for time).

    Gradients reach the arguments and every tensor that f closes over, to any order. f must be deterministic: a second run
    that gives other values (dropout with a moving generator) raises GradientError.
    """

    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Tensor:
        if not is_recording():
            return f(*args, **kwargs)
        start = next_id()
        y = f(*args, **kwargs)
        if y.node is None:
            return y
        inputs = _made_before(start, y.node)
        same = [wrap(a.array, a.node) if isinstance(a, Tensor) else a for a in args]
        return wrap(y.array, Node(y.array, _Again(lambda: f(*same, **kwargs), y.array), inputs, inputs))

    return run


class _Again:
    """The operation of a checkpointed call: run it once more, recorded, and pull the cotangent back through that."""

    name = "checkpoint"

    def __init__(self, again: Callable[[], Tensor], expected: Array) -> None:
        self.again = again
        self.expected = expected

    def pull(self, node: Node, g: Tensor, wanted: set[Node]) -> Iterator[tuple[Node, Tensor]]:
        create_graph = is_recording()
        with recording(True):
            y = self.again()
        if not xp(y.array).array_equal(y.array, self.expected, equal_nan=True):
            raise GradientError("checkpoint: the function gave other values when it was run again; it must be deterministic")
        targets = [wrap(self.expected, p) for p in node.parents if p is not None and p in wanted]
        for target, c in zip(targets, pull([y], [g], targets, create_graph, allow_unused=True), strict=True):
            if c is not None and target.node is not None:
                yield target.node, c


def _made_before(start: int, root: Node) -> tuple[Node, ...]:
    """The nodes older than `start` that the graph under `root` was built on."""
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if node.id > start:
                stack.extend([p for p in node.sources if p is not None])
    return tuple(sorted((n for n in seen if n.id < start), key=lambda n: n.id))
