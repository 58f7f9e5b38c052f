"""Optimizers, with PyTorch's names and update rules.

Their state is a dict of arrays, so that a resumed run continues bit for bit. In the formulas g is the gradient, with
weight_decay·p added, t the number of the update from 1, and all products, roots and quotients are entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels.arrays import Array, to_device, to_numpy, xp

__all__ = ["OPTIMIZERS", "SGD", "WAME", "Adam", "Optimizer", "RMSprop"]


class Optimizer:
    """Base: p ← p - lr·direction(g) for every parameter p. A subclass defines `direction`.

    params: the Tensors to train, as net.parameters() gives; `lr`, at least 0, can be set anew at any time. `slots`
    names the running averages that each parameter has; `steps` counts the updates of each parameter. Raises ValueError
    where there is nothing to train, or for a negative setting.

    >>> class Signs(nn.Optimizer):
    ...     def direction(self, i, g):
    ...         return np.sign(g)
    >>> p = tg.Tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> (p * tg.Tensor(np.array([2.0, -3.0]))).sum().backward()
    >>> Signs([p], lr=0.5).step()
    >>> p.numpy().tolist()
    [0.5, 1.5]
    """

    params: list[Tensor]
    lr: float
    weight_decay: float
    steps: list[int]
    state: dict[str, list[Array]]
    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.params = list(params)
        if not self.params or not all(isinstance(p, Tensor) and p.requires_grad for p in self.params):
            raise ValueError(
                "the optimizer needs one or more Tensors with requires_grad=True, as net.parameters() gives"
            )
        if not lr >= 0 or not weight_decay >= 0:
            raise ValueError(f"lr and weight_decay must not be negative, got lr={lr}, weight_decay={weight_decay}")
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = [0] * len(self.params)
        self.state = {slot: [xp(p.array).zeros_like(p.array) for p in self.params] for slot in self.slots}

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
        """What the learning rate multiplies, for parameter i with gradient g (weight decay included), of g's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define direction(i, g)")

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything that the next step depends on but the settings given at construction, as arrays."""
        averages = {f"{slot}.{i}": to_numpy(a) for slot, arrays in self.state.items() for i, a in enumerate(arrays)}
        return {"steps": np.asarray(self.steps), "lr": np.asarray(float(self.lr)), **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state of the same kind of optimizer over the same parameters; all of it, or nothing.

        Raises ValueError where a name, a shape or a dtype does not fit.
        """
        own = self.state_dict()
        new = {name: np.asarray(values) for name, values in state.items()}
        if own.keys() != new.keys():
            raise ValueError(f"the optimizer state does not fit: expected {sorted(own)}, got {sorted(new)}")
        for name, a in own.items():
            if (new[name].shape, new[name].dtype) != (a.shape, a.dtype):
                raise ValueError(
                    f"optimizer state {name!r}: expected shape {a.shape}, {a.dtype}; "
                    f"got {new[name].shape}, {new[name].dtype}"
                )
        self.steps = new["steps"].tolist()
        self.lr = float(new["lr"])
        for slot, arrays in self.state.items():
            arrays[:] = [to_device(new[f"{slot}.{i}"], p.device) for i, p in enumerate(self.params)]

    def __repr__(self) -> str:
        """The settings in the order of the arguments, and the number of parameters."""
        settings = [f"{name}={getattr(self, name)!r}" for name in signature(type(self)).parameters if name != "params"]
        count = len(self.params)
        return f"{type(self).__name__}({', '.join(settings)}, {count} parameter{'s' if count > 1 else ''})"


class SGD(Optimizer):
    """v ← momentum·v + g; p ← p - lr·v. Polyak 1964, as PyTorch writes it.

    params: tensors of any shapes. lr: at least 0; momentum: in [0, 1).

    >>> nn.SGD([tg.Tensor(np.ones(3), requires_grad=True)], lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, weight_decay=0.0, 1 parameter)
    """

    momentum: float

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
    """m ← β₁m + (1-β₁)g; v ← β₂v + (1-β₂)g²; p ← p - lr·m̂/(√v̂ + eps). Kingma & Ba 2015, algorithm 1.

    m̂ = m/(1-β₁ᵗ) and v̂ = v/(1-β₂ᵗ) take away that the averages start at 0. betas: β₁ and β₂, in [0, 1).

    >>> p = tg.Tensor(np.array([1.0, -2.0]), requires_grad=True)
    >>> (p * p).sum().backward()
    >>> nn.Adam([p], lr=0.25).step()  # the first step has the length lr, in the direction of -sign(g)
    >>> p.numpy().round(6).tolist()
    [0.75, -1.75]
    """

    betas: tuple[float, float]
    eps: float
    slots = ("mean", "square")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = float(eps)
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        b1, b2 = self.betas
        m = self.state["mean"]
        v = self.state["square"]
        t = self.steps[i]
        m[i] = b1 * m[i] + (1 - b1) * g
        v[i] = b2 * v[i] + (1 - b2) * g * g
        return (m[i] / (1 - b1**t)) / ((v[i] / (1 - b2**t)) ** 0.5 + self.eps)


class RMSprop(Optimizer):
    """v ← alpha·v + (1-alpha)g²; p ← p - lr·g/(√v + eps). Tieleman & Hinton 2012, lecture 6.5.

    params: tensors of any shapes. alpha: in [0, 1).

    >>> nn.RMSprop([tg.Tensor(np.ones(3), requires_grad=True)], lr=0.01)
    RMSprop(lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, 1 parameter)
    """

    alpha: float
    eps: float
    slots = ("square",)

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha = float(alpha)
        self.eps = float(eps)
        super().__init__(params, lr, weight_decay)

    def direction(self, i: int, g: Array) -> Array:
        v = self.state["square"]
        v[i] = self.alpha * v[i] + (1 - self.alpha) * g * g
        return g / (v[i] ** 0.5 + self.eps)


class WAME(Optimizer):
    """p ← p - lr·(ζ/Z) g/(√v + eps), with averages Z of ζ and v of g². Mosca & Magoulas, ESANN 2017.

    ζ is multiplied by factors[1] while an entry of g keeps its sign and by factors[0] when that flips, within the
    bounds. It starts at 1, and stays where this gradient or the one before is 0. The averages are bias-corrected as
    Adam's, so the first step is lr·sign(g); averages that start at 0 would make it 31.6 times as long. Where all
    gradients were 0, eps makes of 0/0 a step of 0. params: tensors of any shapes. alpha: in [0, 1).

    >>> nn.WAME([tg.Tensor(np.ones(3), requires_grad=True)], bounds=(0.01, 10))
    WAME(lr=0.001, alpha=0.9, factors=(0.1, 1.2), bounds=(0.01, 10.0), eps=1e-08, weight_decay=0.0, 1 parameter)
    """

    alpha: float
    factors: tuple[float, float]
    bounds: tuple[float, float]
    eps: float
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
        self.alpha = float(alpha)
        self.factors = (float(factors[0]), float(factors[1]))
        self.bounds = (float(bounds[0]), float(bounds[1]))
        self.eps = float(eps)
        super().__init__(params, lr, weight_decay)
        self.state["zeta"] = [a + 1 for a in self.state["zeta"]]

    def direction(self, i: int, g: Array) -> Array:
        zeta, z, v, previous = (self.state[slot] for slot in self.slots)
        shrink, grow = self.factors
        np_ = xp(g)
        past = 1 - self.alpha ** self.steps[i]
        turn = np_.sign(g) * np_.sign(previous[i])  # of signs: the product of small gradients underflows
        zeta[i] = np_.where(turn > 0, grow * zeta[i], np_.where(turn < 0, shrink * zeta[i], zeta[i])).clip(*self.bounds)
        z[i] = self.alpha * z[i] + (1 - self.alpha) * zeta[i]
        v[i] = self.alpha * v[i] + (1 - self.alpha) * g * g
        previous[i] = g
        return zeta[i] / (z[i] / past) * g / ((v[i] / past) ** 0.5 + self.eps)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "rmsprop": RMSprop, "wame": WAME}
