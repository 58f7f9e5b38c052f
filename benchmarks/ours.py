"""This project as one side of the comparison: the losses of the five papers that train through input gradients.

Each is cross-entropy + weight · penalty, differentiated by all parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.setting import DEFENSE
from tinygrad2 import Tensor, nn, robust
from tinygrad2.ops import cross_entropy

Array = np.ndarray[Any, Any]
PENALTIES: dict[str, Callable[[nn.Trace, Array], Tensor]] = {
    "input gradient": lambda trace, labels: robust.input_gradient(trace, labels, reduction="drucker-lecun"),
    "l1": lambda trace, labels: robust.jacobian_l1_cheap(trace),
    "logit margin": lambda trace, labels: robust.logit_margin(trace, labels),
    "jacobian": lambda trace, labels: robust.jacobian_frobenius(trace) * 0.1,
}


class Tinygrad2:
    """One network with its batch."""

    def __init__(self, net: nn.Sequential, x: Array, labels: Array) -> None:
        self.net = net
        self.x = x
        self.labels = labels

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        losses = {
            "cross-entropy": self.plain,
            **{name: lambda p=penalty: self.penalized(p) for name, penalty in PENALTIES.items()},
            "deep defense": lambda: robust.deep_defense(self.net, self.x, self.labels, **DEFENSE).total,
        }
        return {name: lambda f=f: self._step(f) for name, f in losses.items()}

    def plain(self) -> Tensor:
        return cross_entropy(self.net(self.x), self.labels)

    def penalized(self, penalty: Callable[[nn.Trace, Array], Tensor]) -> Tensor:
        trace = self.net.trace(self.x)
        return cross_entropy(trace.output, self.labels) + penalty(trace, self.labels)

    def _step(self, loss_of: Callable[[], Tensor]) -> float:
        self.net.zero_grad()
        loss = loss_of()
        loss.backward()
        return float(loss.item())

    def gradient(self) -> Array:
        """All parameters' gradients, flat."""
        zeros = (np.zeros(p.size) if p.grad is None else p.grad.numpy().ravel() for p in self.net.parameters())
        return np.concatenate([*zeros])

    def deepfool(self, x: Array) -> float:
        """Mean norm of DeepFool's perturbations, at most 50 steps, batches of 100."""
        norms = [robust.deepfool(self.net, x[i : i + 100], max_iter=50).norms for i in range(0, len(x), 100)]
        return float(np.concatenate(norms).mean())
