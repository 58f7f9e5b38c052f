"""The losses of the five papers that train through input gradients, on this project's side: reading one is the formula.

Each is f(net, x, labels) -> a scalar Tensor. K, N are the outputs and images; u are cotangents of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad2 import Tensor, nn, ops, robust
from tinygrad2.autodiff import autograd
from tinygrad2.ops import cross_entropy

Array = np.ndarray[Any, Any]
CLASSES = 10
DEFENSE: dict[str, Any] = {"lam": 15.0, "c": 25.0, "d": 5.0}


def plain(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """Mean cross-entropy."""
    return cross_entropy(net(x), labels)


def input_gradient(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """CE + ½·Σ‖∂(ΣCE)/∂x‖² / N. Ross & Doshi-Velez 2018."""
    images = Tensor(x, requires_grad=True)
    losses = cross_entropy(net(images), labels, reduction="none")
    (g,) = autograd.grad(losses.sum(), [images], create_graph=True)
    return losses.mean() + (g * g).sum() * (0.5 / len(x))


def jacobian(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """CE + ‖J‖_F, all K rows exact. Jakubovitz & Giryes 2018, equation 4."""
    trace = net.trace(x)
    j = trace.jacobian()
    return cross_entropy(trace.output, labels) + (j * j).sum().sqrt() * 0.1


def l1(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """CE + Σ_j |Σ_i ∂z_i/∂x_j| / N, one cotangent of ones. Double backpropagation with the l1 norm, footnote 1."""
    trace = net.trace(x)
    return cross_entropy(trace.output, labels) + ops.abs(trace.reverse()(np.ones((len(x), CLASSES), x.dtype))).mean()


def logit_margin(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """CE + mean ‖∂(max_{j≠t} z_j - z_t)/∂x‖². Logit-gradient regularisation, equation 5."""
    trace = net.trace(x)
    one_hot = np.eye(CLASSES, dtype=x.dtype)
    rival = (trace.output.numpy() - 1e30 * one_hot[labels]).argmax(1)
    g = trace.reverse()(one_hot[rival] - one_hot[labels])
    return cross_entropy(trace.output, labels) + (g * g).sum() * (1.0 / len(x))


def deep_defense(net: nn.Layer, x: Array, labels: Array) -> Tensor:
    """The whole objective of Deep Defense, equation 6, DeepFool inside."""
    return robust.deep_defense(net, x, labels, **DEFENSE).total


LOSSES: dict[str, Callable[[nn.Layer, Array, Array], Tensor]] = {
    "cross-entropy": plain,
    "input gradient": input_gradient,
    "jacobian": jacobian,
    "l1": l1,
    "logit margin": logit_margin,
    "deep defense": deep_defense,
}


class Tinygrad2:
    """This project as one side of the comparison."""

    name = "tinygrad2"

    def __init__(self, net: nn.Sequential, x: Array, labels: Array) -> None:
        self.net, self.x, self.labels = net, x, labels

    def steps(self) -> dict[str, Callable[[], float]]:
        """Every loss with its gradient by all parameters; the value is returned."""
        return {name: lambda f=f: self._step(f) for name, f in LOSSES.items()}

    def _step(self, loss_of: Callable[..., Tensor]) -> float:
        self.net.zero_grad()
        loss = loss_of(self.net, self.x, self.labels)
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
