"""A forward pass that keeps what the reverse layers share, and the reverse network and the exact Jacobian that follow from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import to_device
from tinygrad2.nn.reverse import Linearized, ReverseLayer


class Trace:
    """One recorded forward pass of a network at x. `output` is net(x), `reverse()` the network that computes Jᵀu."""

    def __init__(self, name: str, x: Tensor, output: Tensor, reverse_layer: ReverseLayer) -> None:
        self.name = name
        self.input = x
        self.output = output
        self._reverse = reverse_layer

    def reverse(self) -> ReverseNetwork:
        """The reverse network: printable, callable, differentiable in the shared weights and in x."""
        return ReverseNetwork(self.name, self._reverse, self.input.shape, self.output)

    def jacobian(self) -> Tensor:
        """The exact Jacobian of all outputs of every sample, in one pass with K one-hot cotangents. Result: (K, N, *x.shape[1:]).

        K is the number of outputs of one sample. With batch normalisation in train mode the samples are coupled, and row k is the
        gradient of the sum over the batch of output k.
        """
        n, *out = self.output.shape
        k = math.prod(out)
        one_hot = np.eye(k, dtype=self.output.dtype).reshape(k, 1, *out)
        return self._reverse.back(Tensor(to_device(np.broadcast_to(one_hot, (k, n, *out)), self.output.device)))


class ReverseNetwork:
    """u ↦ Jᵀu at the traced point. u: (N, *out), or with leading axes (K, N, *out); result: (N, *in) or (K, N, *in).

    `print(rev)` shows the forward layers going down and beside each its reverse, read upwards, with what the two share.
    """

    def __init__(self, name: str, layer: ReverseLayer, input_shape: tuple[int, ...], output: Tensor) -> None:
        self.name = name
        self.layer = layer
        self._input_shape = input_shape
        self._output = output

    def __call__(self, u: Any) -> Tensor:
        linearized = isinstance(self.layer, Linearized)
        expected = self._input_shape if linearized else self._output.shape
        if not isinstance(u, Tensor):
            u = Tensor(to_device(np.asarray(u, self._output.dtype), self._output.device))
        if u.shape[u.ndim - len(expected) :] != expected:
            kind = "tangent" if linearized else "cotangent"
            raise ValueError(f"the {kind} must have shape {expected}, or that with leading axes (K, N, ...); got {u.shape}")
        return self.layer.back(u)

    def reverse(self) -> ReverseNetwork:
        """The reverse of the reverse: the network linearised at the point, v ↦ Jv."""
        return ReverseNetwork(self.name, self.layer.reverse(), self._input_shape, self._output)

    def __repr__(self) -> str:
        linearized = isinstance(self.layer, Linearized)
        layer = self.layer.of if isinstance(self.layer, Linearized) else self.layer
        rows = list(layer.rows("", self.name, self._output.shape))
        ends = ("v", "J v") if linearized else ("Jᵀu", "u")
        table = [
            ("forward ↓", "", "output", "linearised ↓" if linearized else "reverse ↑", "shares"),
            ("x", "", _shape(self._input_shape), ends[0], ""),
            *[(r.name, r.layer, _shape(r.shape), r.reverse, r.shares) for r in rows],
            ("z", "", _shape(self._output.shape), ends[1], ""),
        ]
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in table)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
