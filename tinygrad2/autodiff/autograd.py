"""Graph style, as PyTorch users know it: gradients of recorded outputs by any tensors on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad2.autodiff.engine import seed, vector_jacobian_product
from tinygrad2.autodiff.tensor import Tensor, TensorLike

Some = Tensor | Sequence[Tensor]
Cotangents = TensorLike | Sequence[TensorLike | None] | None


def grad(
    outputs: Some,
    inputs: Some,
    grad_outputs: Cotangents = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs, weighted by grad_outputs and summed, by each input; a tuple, as in PyTorch.

    outputs: one tensor or several, any shapes. inputs: the same; each result has its input's shape.
    grad_outputs: one cotangent per output, of its shape; may be left out for scalars.
    create_graph: record the backward pass too, so that the results can be differentiated again.
    allow_unused: None for an input that the outputs do not depend on, instead of NotConnected.
    Raises NotRecorded where an output or input has no history (no_grad, detached), NotConnected as above.

    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> tg.autograd.grad((x * x).sum(), x)
    (Tensor([2., 4.], float64),)
    """
    if callable(outputs):
        raise TypeError("autograd.grad: expected recorded outputs, got a function; write tg.grad(f)(x)")
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gs: list[Any] = [grad_outputs]
    if grad_outputs is None:
        gs = [None] * len(ys)
    elif isinstance(grad_outputs, list | tuple):
        gs = list(grad_outputs)
    if len(gs) != len(ys):
        raise ValueError(f"grad_outputs: expected one cotangent for each of the {len(ys)} outputs, got {len(gs)}")
    cotangents = [seed(y, g) for y, g in zip(ys, gs, strict=True)]
    return tuple(vector_jacobian_product(ys, cotangents, xs, create_graph, allow_unused))
