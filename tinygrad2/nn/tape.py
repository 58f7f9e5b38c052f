"""The reverse of a layer that only says `forward`: the backward pass over what its own forward pass recorded.

The forward pass runs once, recorded from its input on. So dropout masks are drawn once, batch statistics move once, and
the reverse layer can be differentiated again, by the input and by every parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tinygrad2.autodiff import Tensor, algebra
from tinygrad2.autodiff.engine import made_before, vector_jacobian_product, zero_cotangent
from tinygrad2.autodiff.node import Node, is_recording, recording
from tinygrad2.autodiff.tensor import wrap
from tinygrad2.nn.reverse import ReverseLayer, Row, Shape
from tinygrad2.ops import stack


@dataclass(frozen=True, eq=False, repr=False)
class ReverseTape(ReverseLayer):
    """A layer written as `forward` ↔ the backward pass over its tape, one for each cotangent.

    A layer that defines `apply` instead takes all K cotangents at once. u: (..., N, *out); result: (..., N, *in).
    """

    input: Tensor  # x: (N, *in), where the tape begins
    output: Tensor  # y: (N, *out), where it ends
    follows: bool  # whether something outside, such as a parameter, can ask for the derivative of Jᵀu

    # A backward pass multiplies u by the transposed Jacobian of every recorded call, from the last to the first: by Jᵀ.
    def vjp(self, u: Tensor) -> Tensor:
        self._check_input()
        return _each(self._vjp, u, self.output, self.input)

    # u ↦ Jᵀu is linear, so its Jacobian is Jᵀ wherever it is taken, here at u = 0. One more backward pass gives Jv.
    def jvp(self, v: Tensor) -> Tensor:
        self._check_input()
        u = _start(zero_cotangent(self.output))
        with recording(True):
            (w,) = vector_jacobian_product([self.output], [u], [self.input], create_graph=True)
        assert w is not None
        return _each(lambda v: self._product(w, v, u), v, self.input, self.output)

    def _check_input(self) -> None:
        if self.input.dtype.kind != "f":
            raise TypeError(
                f"the layer's input is {self.input.dtype}, and integers have no derivative: only an nn.Embedding has a "
                "reverse, by their one-hot code. Write it as the first layer of an nn.Sequential, and the rest after it"
            )

    def _vjp(self, u: Tensor) -> Tensor:
        return self._product(self.output, u, self.input)

    def _product(self, y: Tensor, u: Tensor, x: Tensor) -> Tensor:
        (w,) = vector_jacobian_product([y], [u], [x], is_recording() and (self.follows or u.requires_grad))
        assert w is not None
        return w

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        yield Row(name, layer, shape, "from the tape", "from the tape", "")


def applied(forward: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, ReverseLayer]:
    """forward(x), and its reverse layer. x: (N, ...). Raises TypeError where forward returns no Tensor."""
    outside = is_recording()
    with recording(True):
        start = _start(x) if x.node is None else algebra.identity(x)
        y = forward(start)
    if not isinstance(y, Tensor):
        raise TypeError(f"forward must return one Tensor, got {type(y).__name__}")
    assert start.node is not None
    # x itself, where it is recorded, and what is older than the tape and takes part, such as a parameter.
    follows = outside and y.node is not None and (x.node is not None or bool(made_before(start.node.id, y.node)))
    seen = y if follows or y.node is None else wrap(y.array, None, None if outside else "computed under no_grad")
    return seen, ReverseTape(start, y, follows)


def _start(x: Tensor) -> Tensor:
    """x at the beginning of a tape of its own. No `.backward()` fills a gradient in: the node belongs to no leaf."""
    return wrap(x.array, Node(x.array))


def _each(f: Callable[[Tensor], Tensor], u: Tensor, like: Tensor, result: Tensor) -> Tensor:
    """f of every cotangent. u: like's shape, with any leading axes. f of one has the shape of `result`."""
    lead = u.shape[: u.ndim - like.ndim]
    if not lead:
        return f(u)
    if 0 in lead:
        return Tensor(np.zeros(lead + result.shape, u.dtype)).to(u.device)
    return stack([_each(f, row, like, result) for row in u])
