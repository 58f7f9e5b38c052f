"""Random functions with their right rules, made of steps whose local rules are known; of all scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Step:
    """z ↦ forward(z), and its local rule (g, z) ↦ Jᵀg."""

    name: str
    forward: Callable[[Array], Array]
    back: Callable[[Array, Array], Array]


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max())
    return e / e.sum()


def steps(rng: np.random.Generator, n: int) -> list[Step]:
    """The steps that a function of n numbers is made of."""
    w = rng.standard_normal((n, n)) / n
    a = rng.uniform(0.5, 2.0, n)
    return [
        Step("tanh", np.tanh, lambda g, z: g / np.cosh(z) ** 2),
        Step("exp", lambda z: np.exp(z / 4), lambda g, z: g * np.exp(z / 4) / 4),
        Step("square", lambda z: z * z, lambda g, z: 2 * g * z),
        Step("scaled", lambda z: a * z, lambda g, z: a * g),
        Step("matrix", lambda z: w @ z, lambda g, z: w.T @ g),
        Step("centred", lambda z: z - z.mean(), lambda g, z: g - g.mean()),
        Step("softmax", softmax, lambda g, z: softmax(z) * (g - (g * softmax(z)).sum())),
        Step("relu", lambda z: np.maximum(z, 0), lambda g, z: g * (z > 0)),
        Step("abs", lambda z: np.abs(z) + z / 2, lambda g, z: g * (np.sign(z) + 0.5)),
        Step("root", lambda z: np.sqrt(1 + z * z), lambda g, z: g * z / np.sqrt(1 + z * z)),
        Step("quotient", lambda z: z / (1 + z * z), lambda g, z: g * (1 - z * z) / (1 + z * z) ** 2),
        Step("logarithm", lambda z: np.log(2 + np.sin(z)), lambda g, z: g * np.cos(z) / (2 + np.sin(z))),
        Step("sums", np.cumsum, lambda g, z: np.cumsum(g[::-1])[::-1]),
    ]


def random_rule(
    rng: np.random.Generator,
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array], Array, float]:
    """A function, its right rule, a point, and the size of a slope in which nothing cancels.

    The scales of inputs and outputs are between 1e-12 and 1e12.
    """
    n = int(rng.integers(1, 6))
    small, large = 10.0 ** rng.uniform(-12, 12, 2)
    known = steps(rng, n)
    chosen = [known[i] for i in rng.integers(0, len(known), rng.integers(1, 4))]
    summed = bool(rng.integers(2))

    def f(x: Array) -> Array:
        z = x / small
        for step in chosen:
            z = step.forward(z)
        return large * (z.sum() if summed else z)

    def rule(g: Array, x: Array) -> Array:
        seen = [x / small]
        for step in chosen[:-1]:
            seen.append(step.forward(seen[-1]))
        c = large * g * np.ones(n)
        for step, z in zip(reversed(chosen), reversed(seen), strict=True):
            c = step.back(c, z)
        return c / small

    x = small * rng.uniform(0.2, 2.0, n) * rng.choice([-1.0, 1.0], n)
    return f, rule, x, large / small


def wrong_in_one_entry(rule: Callable[[Array, Array], Array], i: int) -> Callable[[Array, Array], Array]:
    """The rule with its i-th entry off by 1e-4 of that entry."""
    return lambda g, x: rule(g, x) * (1 + 1e-4 * (np.arange(x.size) == i))
