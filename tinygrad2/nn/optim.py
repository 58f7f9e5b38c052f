"""Optimizers, with PyTorch's names and update rules. Their state is a dict of arrays, so that a resumed run continues bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.backend import Array, to_device, to_numpy, xp


class Optimizer:
    """Base: holds the parameters, the learning rate `lr`, and per parameter the running averages named in `slots`."""

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.params = list(params)
        if not self.params or not all(p.requires_grad for p in self.params):
            raise ValueError("the optimizer needs at least one parameter, each a Tensor with requires_grad=True")
        if not lr >= 0 or not weight_decay >= 0:
            raise ValueError(f"learning rate and weight decay must not be negative, got lr={lr}, weight_decay={weight_decay}")
        self.lr, self.weight_decay, self.steps = lr, weight_decay, 0
        self.state: dict[str, list[Array]] = {slot: [xp(p.array).zeros_like(p.array) for p in self.params] for slot in self.slots}

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        for i, p in enumerate(self.params):
            if p.grad is not None:
                g = p.grad.array + self.weight_decay * p.array if self.weight_decay else p.grad.array
                p.data = p.array - self.lr * self.direction(i, g)

    def direction(self, i: int, g: Array) -> Array:
        """What the learning rate multiplies, for parameter i with gradient g (weight decay included)."""
        raise NotImplementedError(f"{type(self).__name__} must define direction(i, g)")

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as arrays."""
        averages = {f"{slot}.{i}": to_numpy(a) for slot, arrays in self.state.items() for i, a in enumerate(arrays)}
        return {"steps": np.asarray(self.steps), "lr": np.asarray(self.lr), **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state of the same optimizer over the same parameters."""
        expected = self.state_dict().keys()
        if expected != set(state):
            raise ValueError(f"the optimizer state does not fit: expected {sorted(expected)}, got {sorted(state)}")
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        for slot, arrays in self.state.items():
            for i, p in enumerate(self.params):
                arrays[i] = to_device(np.asarray(state[f"{slot}.{i}"]), p.device)


class SGD(Optimizer):
    """v ← momentum·v + g; p ← p - lr·v, with g including weight_decay·p."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.momentum = momentum
        self.slots = ("velocity",) if momentum else ()
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        if not self.momentum:
            return g
        velocity = self.state["velocity"]
        velocity[i] = self.momentum * velocity[i] + g
        return velocity[i]


class Adam(Optimizer):
    """m̂/(√v̂ + eps) with bias-corrected averages of g and g². Kingma & Ba 2015, algorithm 1."""

    slots = ("mean", "square")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.betas, self.eps = betas, eps
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        (b1, b2), m, v = self.betas, self.state["mean"], self.state["square"]
        m[i] = b1 * m[i] + (1 - b1) * g
        v[i] = b2 * v[i] + (1 - b2) * g * g
        return (m[i] / (1 - b1**self.steps)) / ((v[i] / (1 - b2**self.steps)) ** 0.5 + self.eps)


class RMSProp(Optimizer):
    """g/(√v + eps), v an average of g². Tieleman & Hinton 2012."""

    slots = ("square",)

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        self.alpha, self.eps = alpha, eps
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        v = self.state["square"]
        v[i] = self.alpha * v[i] + (1 - self.alpha) * g * g
        return g / (v[i] ** 0.5 + self.eps)


OPTIMIZERS = {"sgd": SGD, "adam": Adam, "rmsprop": RMSProp}
