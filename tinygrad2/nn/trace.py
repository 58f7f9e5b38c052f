"""A forward pass that keeps what the reverse layers share; the reverse network and the Jacobian follow from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import to_device
from tinygrad2.nn.reverse import Linearized, ReverseLayer


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
        n, *out = self.output.shape
        k = math.prod(out)
        one_hot = np.eye(k, dtype=self.output.dtype).reshape(k, 1, *out)
        return self._reverse.back(Tensor(to_device(np.broadcast_to(one_hot, (k, n, *out)), self.output.device)))


class ReverseNetwork:
    """u ↦ Jᵀu at the traced point. u: (N, *out), or with leading axes (K, N, *out); result: (N, *in) or (K, N, *in).

    `print(rev)` shows the forward layers going down and beside each its reverse, read upwards, with what the two share.
    """

    def __init__(self, net: object, layer: ReverseLayer, input_shape: tuple[int, ...], output: Tensor) -> None:
        self.net = net
        self.layer = layer
        self._input_shape = input_shape
        self._output = output

    def __call__(self, u: Any) -> Tensor:
        linearized = isinstance(self.layer, Linearized)
        kind, shape = ("tangent", self._input_shape) if linearized else ("cotangent", self._output.shape)
        if not isinstance(u, Tensor):
            given = u if hasattr(u, "dtype") else np.asarray(u, self._output.dtype)
            u = Tensor(to_device(given, self._output.device))
        if u.shape[max(0, u.ndim - len(shape)) :] != shape:
            raise ValueError(
                f"the {kind} must have shape {shape}, or that with leading axes (K, N, ...); got {u.shape}"
            )
        if u.dtype != self._output.dtype:
            raise TypeError(f"the {kind} must be {self._output.dtype}, as the network is; got {u.dtype}")
        return self.layer.back(u)

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
