"""Optimizers, with PyTorch's names and update rules.

Their state is a dict of arrays, so that a resumed run continues bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.arrays import Array, to_device, to_numpy, xp


class Optimizer:
    """Base: the parameters, the learning rate `lr` (set it anew at any time), and running averages per parameter.

    `slots` names the averages; `steps` counts the updates of each parameter.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.params = list(params)
        if not self.params or not all(isinstance(p, Tensor) and p.requires_grad for p in self.params):
            raise ValueError(
                "the optimizer needs one or more Tensors with requires_grad=True, as net.parameters() gives"
            )
        if not lr >= 0 or not weight_decay >= 0:
            raise ValueError(f"lr and weight_decay must not be negative, got lr={lr}, weight_decay={weight_decay}")
        self.lr, self.weight_decay = lr, weight_decay
        self.steps = [0] * len(self.params)
        self.state: dict[str, list[Array]] = {
            slot: [xp(p.array).zeros_like(p.array) for p in self.params] for slot in self.slots
        }

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for i, p in enumerate(self.params):
            if p.grad is not None:
                self.steps[i] += 1
                g = p.grad.array + float(self.weight_decay) * p.array if self.weight_decay else p.grad.array
                # float(): a NumPy number, as schedules give, would make float64 of float32
                p.data = p.array - float(self.lr) * self.direction(i, g)

    def direction(self, i: int, g: Array) -> Array:
        """What the learning rate multiplies, for parameter i with gradient g (weight decay included)."""
        raise NotImplementedError(f"{type(self).__name__} must define direction(i, g)")

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything that the next step depends on but the settings given at construction, as arrays."""
        averages = {f"{slot}.{i}": to_numpy(a) for slot, arrays in self.state.items() for i, a in enumerate(arrays)}
        return {"steps": np.asarray(self.steps), "lr": np.asarray(float(self.lr)), **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state of the same kind of optimizer over the same parameters; all of it, or nothing."""
        own, new = self.state_dict(), {name: np.asarray(values) for name, values in state.items()}
        if own.keys() != new.keys():
            raise ValueError(f"the optimizer state does not fit: expected {sorted(own)}, got {sorted(new)}")
        for name, a in own.items():
            if (new[name].shape, new[name].dtype) != (a.shape, a.dtype):
                raise ValueError(
                    f"optimizer state {name!r}: expected shape {a.shape}, {a.dtype}; "
                    f"got {new[name].shape}, {new[name].dtype}"
                )
        self.steps, self.lr = new["steps"].tolist(), float(new["lr"])
        for slot, arrays in self.state.items():
            arrays[:] = [to_device(new[f"{slot}.{i}"], p.device) for i, p in enumerate(self.params)]


class SGD(Optimizer):
    """v ← momentum·v + g; p ← p - lr·v, with g including weight_decay·p."""

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0, *, weight_decay: float = 0.0
    ) -> None:
        self.momentum = float(momentum)
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
        self.betas, self.eps = (float(betas[0]), float(betas[1])), float(eps)
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        (b1, b2), m, v, t = self.betas, self.state["mean"], self.state["square"], self.steps[i]
        m[i] = b1 * m[i] + (1 - b1) * g
        v[i] = b2 * v[i] + (1 - b2) * g * g
        return (m[i] / (1 - b1**t)) / ((v[i] / (1 - b2**t)) ** 0.5 + self.eps)


class RMSprop(Optimizer):
    """g/(√v + eps), v an average of g². Tieleman & Hinton 2012."""

    slots = ("square",)

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha, self.eps = float(alpha), float(eps)
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        v = self.state["square"]
        v[i] = self.alpha * v[i] + (1 - self.alpha) * g * g
        return g / (v[i] ** 0.5 + self.eps)


class WAME(Optimizer):
    """(ζ/Z) g/√v: ζ grows while an entry of g keeps its sign and shrinks when that flips; Z, v average ζ, g².

    Mosca & Magoulas, ESANN 2017. ζ starts at 1, and stays where this gradient or the one before is 0. The averages are
    bias-corrected as Adam's, so the first step is lr·sign(g); averages that start at 0 would make it 31.6 times as
    long. Where all gradients were 0, eps makes of 0/0 a step of 0.
    """

    slots = ("zeta", "mean_zeta", "square", "previous")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        alpha: float = 0.9,
        factors: tuple[float, float] = (0.1, 1.2),
        bounds: tuple[float, float] = (0.01, 100.0),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha, self.eps = float(alpha), float(eps)
        self.factors, self.bounds = (float(factors[0]), float(factors[1])), (float(bounds[0]), float(bounds[1]))
        super().__init__(params, lr, weight_decay)
        self.state["zeta"] = [a + 1 for a in self.state["zeta"]]

    def direction(self, i: int, g: Array) -> Array:
        zeta, z, v, previous = (self.state[slot] for slot in self.slots)
        (shrink, grow), np_, past = self.factors, xp(g), 1 - self.alpha ** self.steps[i]
        turn = np_.sign(g) * np_.sign(previous[i])  # of signs: the product of small gradients underflows
        zeta[i] = np_.where(turn > 0, grow * zeta[i], np_.where(turn < 0, shrink * zeta[i], zeta[i])).clip(*self.bounds)
        z[i] = self.alpha * z[i] + (1 - self.alpha) * zeta[i]
        v[i] = self.alpha * v[i] + (1 - self.alpha) * g * g
        previous[i] = g
        return zeta[i] / (z[i] / past) * g / ((v[i] / past) ** 0.5 + self.eps)


OPTIMIZERS = {"sgd": SGD, "adam": Adam, "rmsprop": RMSprop, "wame": WAME}
