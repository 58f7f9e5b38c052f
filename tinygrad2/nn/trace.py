"""A forward pass that keeps what the reverse layers share; the reverse network and the Jacobian follow from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import to_device
from tinygrad2.nn.reverse import Linearized, ReverseLayer, ReverseLinear, ReverseSequential
from tinygrad2.ops import broadcast_to


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
        layer, u = self._rows()
        return layer.back(u)

    def jacobian_norms(self, kept: int = 2) -> Tensor:
        """‖∂z_k/∂x‖² of every output and sample, recorded: (K, N); with kept=0 their sum, ‖J‖_F², for still less work.

        Where the network begins with a wide Linear, its Gram matrix takes the place of the last product of `jacobian()`
        and of that product's derivatives: prefer this wherever only norms are needed.
        """
        layer, u = self._rows()
        return layer.squared_norms(u, kept)

    def _rows(self) -> tuple[ReverseLayer, Tensor]:
        """The reverse network and K one-hot cotangents (K, N, *out), or what is left of it and what they became.

        Through a last Linear they pass once for all samples, as the rows of its W.
        """
        n, *out = self.output.shape
        k, layer = math.prod(out), self._reverse
        u = Tensor(to_device(np.eye(k, dtype=self.output.dtype).reshape(k, 1, *out), self.output.device))
        if isinstance(layer, ReverseSequential) and layer.steps and isinstance(layer.steps[-1].reverse, ReverseLinear):
            *first, last = layer.steps
            layer, u = ReverseSequential(tuple(first)), last.reverse.back(u)
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

    def squared_norms(self, u: Any, kept: int | None = None) -> Tensor:
        """‖Jᵀu‖² of each sample, recorded; at most the work of `self(u)`. u: (..., N, *out); result: (..., N).

        kept: only so many of these axes are kept, the squares are summed over the others.
        """
        u = self._checked(u)
        return self.layer.squared_norms(u, u.ndim - len(self._given[1]) + 1 if kept is None else kept)

    def __call__(self, u: Any) -> Tensor:
        return self.layer.back(self._checked(u))

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


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
