"""A forward pass that keeps what the reverse layers share; the reverse network and the Jacobian follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import to_device
from tinygrad2.nn.reverse import (
    Linearized,
    ReverseConv2d,
    ReverseConv2dAt,
    ReverseLayer,
    ReverseLinear,
    ReverseSequential,
    ReverseWithin,
    Step,
)
from tinygrad2.ops import broadcast_to, concatenate

BLOCK_BYTES = 3 << 24  # of the largest cotangents between convolutions; small blocks are slower, large ones need memory


class Trace:
    """One recorded forward pass of a network at x: `output` is net(x), `reverse()` the network that computes Jᵀu."""

    def __init__(self, net: object, x: Tensor, output: Tensor, reverse_layer: ReverseLayer) -> None:
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
        return _joined([layer.vjp(u) for u in blocks])

    def jacobian_norms(self, lead: int = 2) -> Tensor:
        """‖∂z_k/∂x‖² of every output and sample, recorded: (K, N); with lead=0 their sum, ‖J‖_F², for still less work.

        Where the network begins with a wide Linear, its Gram matrix takes the place of the last product of `jacobian()`
        and of that product's derivatives: prefer this wherever only norms are needed.
        """
        layer, blocks = _blocks(*self._rows())
        return _joined([layer.squared_norms(u, lead) for u in blocks], lead)

    def _rows(self) -> tuple[ReverseLayer, Tensor]:
        """The reverse network and K one-hot cotangents (K, N, *out), or what is left of it and what they became.

        Through a last Linear they pass once for all samples, as the rows of its W.
        """
        n, *out = self.output.shape
        k, layer = math.prod(out), self._reverse
        u = Tensor(to_device(np.eye(k, dtype=self.output.dtype).reshape(k, 1, *out), self.output.device))
        if isinstance(layer, ReverseSequential) and layer.steps and isinstance(layer.steps[-1].reverse, ReverseLinear):
            *first, last = layer.steps
            layer, u = ReverseSequential(tuple(first)), last.reverse.vjp(u)
        return layer, broadcast_to(u, (k, n, *u.shape[2:]))


class ReverseNetwork:
    """u ↦ Jᵀu at the traced point. u: (N, *out), or with leading axes (K, N, *out); result: (N, *in) or (K, N, *in).

    `print(rev)` shows the forward layers going down and beside each its reverse, read upwards, with what the two share.
    """

    def __init__(self, net: object, layer: ReverseLayer, input_shape: tuple[int, ...], output: Tensor) -> None:
        self.net = net
        self.layer = layer
        self._input_shape = input_shape
        self._output = output

    def squared_norms(self, u: Any, lead: int | None = None) -> Tensor:
        """‖Jᵀu‖² of each sample, recorded; at most the work of `self(u)`. u: (..., N, *out); result: (..., N).

        lead: only so many of these axes are kept, the squares are summed over the others.
        """
        u = self._checked(u)
        lead = u.ndim - len(self._given[1]) + 1 if lead is None else lead
        layer, blocks = self._blocks(u)
        return _joined([layer.squared_norms(u, lead) for u in blocks], lead)

    def __call__(self, u: Any) -> Tensor:
        layer, blocks = self._blocks(self._checked(u))
        return _joined([layer.vjp(u) for u in blocks])

    def _blocks(self, u: Tensor) -> tuple[ReverseLayer, Sequence[Tensor]]:
        return _blocks(self.layer, u) if u.ndim > len(self._given[1]) else (self.layer, [u])

    @property
    def _given(self) -> tuple[str, tuple[int, ...]]:
        """What the network takes, and its shape."""
        linearized = isinstance(self.layer, Linearized)
        return ("tangent", self._input_shape) if linearized else ("cotangent", self._output.shape)

    def _checked(self, u: Any) -> Tensor:
        kind, shape = self._given
        if not isinstance(u, Tensor):
            given = u if hasattr(u, "dtype") else np.asarray(u, self._output.dtype)
            u = Tensor(to_device(given, self._output.device))
        if u.shape[max(0, u.ndim - len(shape)) :] != shape:
            raise ValueError(
                f"the {kind} must have shape {shape}, or that with leading axes (K, N, ...); got {u.shape}"
            )
        if u.dtype != self._output.dtype:
            raise TypeError(f"the {kind} must be {self._output.dtype}, as the network is; got {u.dtype}")
        return u

    def reverse(self) -> ReverseNetwork:
        """The reverse of the reverse: the network linearised at the point, v ↦ Jv."""
        return ReverseNetwork(self.net, self.layer.reverse(), self._input_shape, self._output)

    def __repr__(self) -> str:
        linearized = isinstance(self.layer, Linearized)
        forward = self.layer.of if isinstance(self.layer, Linearized) else self.layer
        rows = forward.rows("", repr(self.net), self._output.shape)
        title, start, end = ("linearised ↓", "v", "J v") if linearized else ("reverse ↑", "Jᵀu", "u")
        table = [
            ("forward ↓", "", "output", title, "shares"),
            ("x", "", _shape(self._input_shape), start, ""),
            *[(r.name, r.layer, _shape(r.shape), r.linearized if linearized else r.reverse, r.shares) for r in rows],
            ("z", "", _shape(self._output.shape), end, ""),
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
        return "\n".join(lines)


def _blocks(layer: ReverseLayer, u: Tensor) -> tuple[ReverseLayer, Sequence[Tensor]]:
    """The layers that the cotangents (K, ...) still go to, and these cotangents in blocks of at most BLOCK_BYTES.

    All go together through the last layers, down to the first convolution that would make them too large.
    """
    steps = layer.steps if isinstance(layer, ReverseSequential) else ()
    sizes = _sizes(steps)
    count, limit = len(u), BLOCK_BYTES // u.dtype.itemsize
    wide = [j for j in range(1, len(steps)) if count * sizes[j - 1] > limit and _convolves(steps[j].reverse)]
    if not wide:
        return layer, [u]
    below = wide[-1] + 1
    u = ReverseSequential(steps[below:]).vjp(u)
    blocks = min(count, -(-count * max(sizes[: below - 1]) // limit))
    some = [u[count * i // blocks : count * (i + 1) // blocks] for i in range(blocks)]
    return ReverseSequential(steps[:below]), some


def _convolves(layer: ReverseLayer) -> bool:
    return isinstance(layer, ReverseConv2d | ReverseConv2dAt)


def _sizes(steps: Sequence[Step]) -> list[int]:
    """How many numbers each reverse layer takes; one that does nothing passes on what the layer before it takes."""
    sizes: list[int] = []
    for step in steps:
        if isinstance(step.reverse, ReverseWithin):
            sizes.append(sizes[-1])
        else:
            sizes.append(math.prod(step.reverse.at.shape if isinstance(step.reverse, ReverseConv2dAt) else step.shape))
    return sizes


def _joined(blocks: Sequence[Tensor], lead: int = 1) -> Tensor:
    """The results of all blocks of cotangents side by side; their sum if none of the axes was kept."""
    joined, *others = blocks
    if lead and others:
        return concatenate(blocks)
    for block in others:
        joined = joined + block
    return joined


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
