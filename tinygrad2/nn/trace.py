"""A forward pass that keeps what the reverse layers share; the reverse network and the Jacobian follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.arrays import to_device, xp
from tinygrad2.nn.reverse import Linearized, ReverseLayer, ReverseSequential, Row
from tinygrad2.nn.summary import table, times
from tinygrad2.ops import broadcast_to, concatenate

__all__ = ["ReverseNetwork", "Trace"]

if TYPE_CHECKING:
    from tinygrad2.nn.layer import Layer

BLOCK_BYTES = 3 << 24  # of the largest cotangents between convolutions; small blocks are slower, large ones need memory
GPU_BLOCK_BYTES = 1 << 30  # on a GPU, where each block costs the launch of all its kernels


class Trace:
    """One recorded forward pass of a network at x: `output` is net(x), `reverse()` the network that computes Jᵀu.

    It prints as its reverse network. `net.trace(x)` makes it.

    >>> trace = nn.Linear(2, 3, bias=False).trace(np.ones((1, 2), np.float32))
    >>> trace.output.shape, trace.jacobian().shape
    ((1, 3), (3, 1, 2))
    """

    net: Layer
    input: Tensor
    output: Tensor

    def __init__(self, net: Layer, x: Tensor, output: Tensor, reverse_layer: ReverseLayer) -> None:
        self.net = net
        self.input = x
        self.output = output
        self._reverse = reverse_layer

    def reverse(self) -> ReverseNetwork:
        """The reverse network: printable, callable, differentiable in the shared weights and in x."""
        return ReverseNetwork(self.net, self._reverse, self.input.shape, self.output)

    def jacobian(self) -> Tensor:
        """The exact Jacobian of all K outputs of every sample, in one pass with K one-hot cotangents: (K, N, *in).

        With batch normalisation in train mode the samples are coupled, and row k is the gradient of the sum over the
        batch of output k.
        """
        layer, blocks = _blocks(*self._rows())
        return _joined(map(layer.vjp, blocks))

    def jacobian_norms(self, lead: int = 2) -> Tensor:
        """‖∂z_k/∂x‖² of every output and sample, recorded: (K, N); with lead=0 their sum, ‖J‖_F², for still less work.

        lead: how many of the axes K, N the result has. Where the network begins with a wide Linear, its Gram matrix
        takes the place of the last product of `jacobian()` and of that product's derivatives: prefer this wherever only
        norms are needed.
        """
        layer, blocks = _blocks(*self._rows())
        return _joined([layer.squared_norms(u, lead) for u in blocks], lead)

    def _rows(self) -> tuple[ReverseLayer, Tensor]:
        """The reverse network and K one-hot cotangents (K, N, *out), or what is left of it and what they became.

        Through last layers that are the same map for every sample they pass once for all samples.
        """
        n, *out = self.output.shape
        k = math.prod(out)
        array = self.output.array
        u = Tensor(xp(array).eye(k, dtype=array.dtype).reshape(k, 1, *out))
        layer = self._reverse
        if isinstance(layer, ReverseSequential):
            steps = [*layer.steps]
            while steps and steps[-1].reverse.constant:
                u = steps.pop().reverse.vjp(u)
            layer = ReverseSequential(tuple(steps))
        return layer, broadcast_to(u, (k, n, *u.shape[2:]))

    def __repr__(self) -> str:
        return repr(self.reverse())


class ReverseNetwork:
    """u ↦ Jᵀu at the traced point. u: (N, *out), or with leading axes (K, N, *out); result: (N, *in) or (K, N, *in).

    `print(rev)` shows the forward layers going down and beside each its reverse, read upwards, with what the two share.

    >>> rev = nn.ReLU().trace(np.array([[-1.0, 2.0]])).reverse()
    >>> rev(np.array([[5.0, 5.0]])).numpy().tolist()
    [[0.0, 5.0]]
    >>> print(rev)
    forward ↓          output  reverse ↑    shares
    x                  1×2     Jᵀu
               ReLU()  1×2     ReverseMask  mask
    z                  1×2     u
    """

    net: Layer
    layer: ReverseLayer

    def __init__(self, net: Layer, layer: ReverseLayer, input_shape: tuple[int, ...], output: Tensor) -> None:
        self.net = net
        self.layer = layer
        self._input_shape = input_shape
        self._output = output

    def squared_norms(self, u: Any, lead: int | None = None) -> Tensor:
        """‖Jᵀu‖² of each sample, recorded; at most the work of `self(u)`. u: (..., N, *out); result: (..., N).

        lead: how many of these axes the result has, at first all; the squares are summed over the others.
        """
        u = self._checked(u)
        if lead is None:
            lead = u.ndim - len(self._given[1]) + 1
        layer, blocks = self._blocks(u)
        return _joined([layer.squared_norms(u, lead) for u in blocks], lead)

    def __call__(self, u: Any) -> Tensor:
        """Jᵀu. u: a Tensor or an array. Raises ValueError and TypeError where its shape or dtype does not fit."""
        layer, blocks = self._blocks(self._checked(u))
        return _joined(map(layer.vjp, blocks))

    def _blocks(self, u: Tensor) -> tuple[ReverseLayer, Sequence[Tensor]]:
        return _blocks(self.layer, u) if u.ndim > len(self._given[1]) else (self.layer, [u])

    @property
    def _given(self) -> tuple[str, tuple[int, ...]]:
        """What the network takes, and its shape."""
        if isinstance(self.layer, Linearized):
            return "tangent", self.layer.of.domain(self._input_shape)
        return "cotangent", self._output.shape

    def _checked(self, u: Any) -> Tensor:
        kind, shape = self._given
        if isinstance(u, Tensor):
            given = u
        else:
            array = u if hasattr(u, "dtype") else np.asarray(u, self._output.dtype)
            given = Tensor(to_device(array, self._output.device))
        if given.shape[max(0, given.ndim - len(shape)) :] != shape:
            raise ValueError(
                f"the {kind} must have shape {shape}, or that with leading axes (K, N, ...); got {given.shape}"
            )
        if given.dtype != self._output.dtype:
            raise TypeError(f"the {kind} must be {self._output.dtype}, as the network is; got {given.dtype}")
        return given

    def reverse(self) -> ReverseNetwork:
        """The reverse of the reverse: the network linearised at the point, v ↦ Jv."""
        return ReverseNetwork(self.net, self.layer.reverse(), self._input_shape, self._output)

    def rows(self) -> Iterator[Row]:
        """The lines of the printed network without its first and last ones, in forward order."""
        forward = self.layer.of if isinstance(self.layer, Linearized) else self.layer
        return forward.rows("", self.net.brief(), self._output.shape)

    def __repr__(self) -> str:
        linearized = isinstance(self.layer, Linearized)
        title, start, end = ("linearised ↓", "v", "J v") if linearized else ("reverse ↑", "Jᵀu", "u")
        layers = [
            (row.name, row.layer, times(row.shape), row.linearized if linearized else row.reverse, row.shares)
            for row in self.rows()
        ]
        head = [("forward ↓", "", "output", title, "shares"), ("x", "", times(self._input_shape), start, "")]
        return table([*head, *layers, ("z", "", times(self._output.shape), end, "")])


def _blocks(layer: ReverseLayer, u: Tensor) -> tuple[ReverseLayer, Sequence[Tensor]]:
    """The layers that the cotangents (K, ...) still go to, and these cotangents in blocks of at most BLOCK_BYTES each.

    All go together through the last layers, down to the first one with `in_blocks` that would make them too large.
    """
    steps = layer.steps if isinstance(layer, ReverseSequential) else ()
    count = len(u.array)
    limit = (BLOCK_BYTES if u.device == "cpu" else GPU_BLOCK_BYTES) // u.array.itemsize
    for below in range(len(steps), 1, -1):
        if steps[below - 1].reverse.in_blocks and count * steps[below - 2].size > limit:
            break
    else:
        return layer, [u]
    u = ReverseSequential(steps[below:]).vjp(u)
    blocks = min(count, -(-count * max(step.size for step in steps[: below - 1]) // limit))
    some = [u[count * i // blocks : count * (i + 1) // blocks] for i in range(blocks)]
    return ReverseSequential(steps[:below]), some


def _joined(blocks: Iterable[Tensor], lead: int = 1) -> Tensor:
    """The results of all blocks of cotangents side by side; their sum if `lead`, the number of axes left, is 0."""
    joined, *others = blocks
    if lead and others:
        return concatenate([joined, *others])
    for block in others:
        joined = joined + block
    return joined
