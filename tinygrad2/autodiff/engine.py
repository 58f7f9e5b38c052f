"""The backward pass: walk the tape from the outputs to the targets and let every recorded call pass its cotangent back.

The engine knows no primitive by name: the few operations that cotangents need come from ops, as `algebra`.
It, not the rules, sums cotangents over broadcast axes, accumulates them, and holds each to its input's shape and dtype.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff.errors import GradientError, NotConnected, NotRecorded
from tinygrad2.autodiff.node import Node, is_recording, recording, watching_from
from tinygrad2.autodiff.primitive import owned
from tinygrad2.autodiff.tensor import Tensor, TensorLike, wrap
from tinygrad2.kernels.arrays import xp

Tensors = Sequence[Tensor]


class Algebra:
    """The differentiable operations that cotangents need; `ops` fills them in when it is imported."""

    add: Callable[[Tensor, Tensor], Tensor]
    unbroadcast: Callable[[Tensor, tuple[int, ...]], Tensor]
    stack: Callable[[Tensors, int], Tensor]
    reshape: Callable[[Tensor, tuple[int, ...]], Tensor]
    concatenate: Callable[[Tensors], Tensor]
    identity: Callable[[Tensor], Tensor]
    derivative_of: Callable[[Tensor, Tensor], Tensor]
    as_float: Callable[[Tensor, DTypeLike], Tensor]


algebra = Algebra()
_adding = threading.RLock()  # threads that share a leaf add to its gradient one after the other
_FIRST_ONLY = (
    "it was computed from a gradient that was taken without create_graph=True. To differentiate a gradient, record it: "
    "autograd.grad(..., create_graph=True), or loss.backward(create_graph=True)"
)
_by_id = attrgetter("id")


def reachable(roots: Sequence[Node], edges: str = "parents") -> list[Node]:
    """All nodes that the roots were computed from, latest first; iterative, so that depth has no limit."""
    neighbours = attrgetter(edges)
    seen = set(roots)
    stack = list(seen)
    while stack:
        for node in neighbours(stack.pop()):
            if node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=_by_id, reverse=True)


def vector_jacobian_product(
    outputs: Tensors, cotangents: Tensors, targets: Tensors, create_graph: bool, allow_unused: bool = False
) -> list[Tensor | None]:
    """The sum over outputs of Jᵀ·cotangent, for each target: the vector-Jacobian product everything else is built from.

    Each result has its target's shape and dtype; it is None, with allow_unused, where the target is not connected.
    """
    nodes = [_node_of(x, "the input") for x in targets]
    roots = [y.node for y in outputs if y.node is not None]
    if not roots:
        raise NotRecorded(_why_no_history(outputs))
    with recording(create_graph), watching_from(-1 if create_graph else None):
        results = sweep(outputs, cotangents, nodes)
        if any(c is None for c in results):
            known = set(reachable(roots, "sources"))
            for i, (x, c) in enumerate(zip(targets, results, strict=True)):
                if c is None and x.node in known:
                    results[i] = zero_cotangent(x)
                elif c is None and not allow_unused:
                    raise NotConnected(_why_not_connected(x, outputs))
        if create_graph:
            results = [c if c is None else _connected(c, [*outputs, *cotangents]) for c in results]
        else:
            results = [c if c is None or c.node is not None else wrap(c.array, None, _FIRST_ONLY) for c in results]
    return results


def sweep(outputs: Tensors, cotangents: Tensors, targets: Sequence[Node]) -> list[Tensor | None]:
    """The backward pass itself: walk the tape, latest node first. None where no cotangent arrives at a target."""
    # Write z̄ for the derivative of the result by a node z, its cotangent. For z = f(x, y) the chain rule says
    #     x̄ = Σ over all nodes z that x was used in: (∂z/∂x)ᵀ z̄.
    # So x̄ is complete once every z that used x has been visited. Ids grow with time, and a node is younger than what it
    # was computed from: in the order of falling ids every z comes before x. Take y = x·x + x, whose nodes are
    # x (1), p = x·x (2), y = p + x (3). Visiting y gives p̄ = 1 and x̄ = 1; visiting p adds 2x·p̄: x̄ = 1 + 2x.
    order = reachable([y.node for y in outputs if y.node is not None])
    keep = set(targets)
    wanted = _on_a_path(order, keep)
    pending: dict[Node, Tensor] = {}
    for y, g in zip(outputs, cotangents, strict=True):
        if y.node in wanted:
            _accumulate(pending, y.node, g, "grad_outputs")
    for node in order:
        g_node = pending.get(node) if node in keep else pending.pop(node, None)
        if g_node is not None and node.op is not None:
            name = node.op.name
            for parent, c in node.op.vjp(node, g_node, wanted):
                _accumulate(pending, parent, c, name)
    return [pending.get(node) for node in targets]


def backward(y: Tensor, grad: TensorLike | None = None, create_graph: bool = False) -> None:
    """The work of Tensor.backward: add to `.grad` of every leaf that y depends on."""
    if y.node is None:
        raise NotRecorded(_why_no_history([y]))
    # "sources" also leads to leaves whose derivative is zero: they get zeros, as from autograd.grad.
    leaves = [leaf for node in reachable([y.node], "sources") if node.leaf and (leaf := node.leaf()) is not None]
    gradients = vector_jacobian_product([y], [seed(y, grad)], leaves, create_graph)
    with _adding:
        for leaf, g in zip(leaves, gradients, strict=True):
            assert g is not None
            leaf.grad = g if leaf.grad is None else algebra.add(leaf.grad, g)


def seed(y: Tensor, grad: TensorLike | None = None) -> Tensor:
    """The cotangent to start from: the given one, checked, or 1 for a scalar."""
    if grad is None:
        if y.size != 1:
            raise ValueError(f"only a scalar has a gradient, the output has shape {y.shape}: give a cotangent for it")
        return wrap(owned(xp(y.array).ones_like(y.array)), None)
    g = as_tensor(grad, y)
    if (g.shape, g.dtype, g.device) != (y.shape, y.dtype, y.device):
        expected = f"shape {y.shape}, {y.dtype}, on {y.device}"
        given = f"shape {g.shape}, {g.dtype}, on {g.device}"
        raise ValueError(f"the cotangent must match its output: {expected}; got {given}")
    return g


def made_before(start: int, root: Node) -> list[Node]:
    """The nodes older than the id `start` that the younger part of the graph of `root` is built on, oldest first."""
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if node.id > start:
                stack.extend([p for p in node.sources if p is not None])
    return sorted((node for node in seen if node.id < start), key=_by_id)


def zero_cotangent(x: Tensor) -> Tensor:
    """Zeros of the shape, dtype and device of x."""
    return wrap(owned(xp(x.array).zeros_like(x.array)), None)


def as_tensor(value: TensorLike, like: Tensor) -> Tensor:
    """The value as a Tensor; a plain number for a scalar takes the dtype and device of `like`."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, int | float | np.number) and like.shape == ():
        return wrap(owned(xp(like.array).asarray(value, like.dtype)), None)
    return Tensor(value)


def _on_a_path(order: Sequence[Node], targets: set[Node]) -> set[Node]:
    """The nodes from which a target can be reached; only they need a cotangent."""
    # For y = f(w, x) and the target x, the term (∂y/∂w)ᵀ ȳ is work for nothing: no path leads from w to x. A node is
    # wanted if it is a target or one of its parents is wanted; oldest first, the parents are decided before it.
    wanted = set(targets)
    for node in reversed(order):
        for p in node.parents:
            if p in wanted:
                wanted.add(node)
                break
    return wanted


def _accumulate(pending: dict[Node, Tensor], node: Node, c: Tensor, source: str) -> None:
    if type(c) is not Tensor:
        raise GradientError(f"{source}: a rule must return a Tensor (built from primitives), got {type(c).__name__}")
    array = c.array
    if array.shape != node.shape:
        c = algebra.unbroadcast(c, node.shape)
    if array.dtype is not node.dtype and array.dtype != node.dtype:
        raise GradientError(f"{source}: the rule returned a {c.dtype} cotangent for {node.dtype}, shape {node.shape}")
    before = pending.get(node)
    pending[node] = c if before is None else _sum(before, c)


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """a + b; in a backward pass that is not recorded their arrays are enough, and that is most passes."""
    if is_recording():
        return algebra.add(a, b)
    return wrap(owned(a.array + b.array), None, _FIRST_ONLY)


def _connected(c: Tensor, origins: Tensors) -> Tensor:
    """c, linked to all that it was computed from, as `derivative_of` explains."""
    for y in origins:
        if y.node is not None:
            c = algebra.derivative_of(c, y)
    return c


def _why_not_connected(x: Tensor, outputs: Tensors) -> str:
    name = f"tensor {x.name!r}" if x.name else f"the tensor of shape {x.shape}"
    return (
        f"{name} is not connected to the output {outputs[0].node}: it was not used in computing it "
        "(or only through .detach(), stop_gradient or no_grad). Pass allow_unused=True to get None instead"
    )


def _node_of(x: Tensor, role: str) -> Node:
    if not isinstance(x, Tensor):
        raise TypeError(f"{role} must be a Tensor, got {type(x).__name__}")
    if x.node is None:
        name = f" {x.name!r}" if x.name else ""
        reason = x.why or "it was made without requires_grad=True"
        raise NotRecorded(f"{role}{name} of shape {x.shape} carries no gradient: {reason}")
    return x.node


def _why_no_history(outputs: Tensors) -> str:
    why = next((y.why for y in outputs if y.why), "no tensor that it was computed from requires a gradient")
    state = "" if is_recording() else "; recording is off here (no_grad)"
    return f"the output of shape {outputs[0].shape if outputs else ()} has no history: {why}{state}"
