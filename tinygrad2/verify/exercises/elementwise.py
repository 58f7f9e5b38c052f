"""Functions of one entry at a time: the derivative is a factor, and the cotangent is multiplied by it."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.core import Exercise, register
from tinygrad2.verify.space import Space

SPACE = Space("n d")
SLOPE = 0.1


def relu(x: Array) -> Array:
    """x: (n, d)."""
    return np.where(x.real > 0, x, 0 * x)


def leaky_relu(x: Array) -> Array:
    """x where x > 0, x/10 elsewhere. x: (n, d)."""
    return np.where(x.real > 0, x, SLOPE * x)


def sigmoid(x: Array) -> Array:
    """x: (n, d)."""
    return 1 / (1 + np.exp(-x))


def tanh(x: Array) -> Array:
    """x: (n, d)."""
    return np.tanh(x)


register(
    Exercise(
        "relu",
        "y = max(x, 0). Derive dx from g.",
        relu,
        SPACE,
        ("x",),
        lambda g, x: np.where(x > 0, g, 0 * g),
        (
            "Where does a small change of x change y, and where not?",
            "y = x where x > 0, else 0: the slope is 1 or 0.",
            "dx = g where x > 0, else 0. The mask comes from x.",
        ),
        remarks={"mask": "ReLU lets the cotangent pass where its input was positive in the forward pass."},
    ),
    Exercise(
        "leaky_relu",
        "y = x where x > 0, x/10 elsewhere. Derive dx from g.",
        leaky_relu,
        SPACE,
        ("x",),
        lambda g, x: np.where(x > 0, g, SLOPE * g),
        (
            "There are two slopes.",
            "The slope is 1 where x > 0 and 1/10 elsewhere.",
            "dx = g where x > 0, g/10 elsewhere.",
        ),
        terms=lambda g, x: [{"g where x > 0": g * (x > 0), "g/10 where x < 0": SLOPE * g * (x <= 0)}],
    ),
    Exercise(
        "sigmoid",
        "y = 1/(1 + e⁻ˣ). Derive dx from g.",
        sigmoid,
        SPACE,
        ("x",),
        lambda g, x: g * sigmoid(x) * (1 - sigmoid(x)),
        ("Write the derivative with y alone.", "dy/dx = e⁻ˣ/(1 + e⁻ˣ)².", "dy/dx = y(1 - y), so dx = g · y(1 - y)."),
    ),
    Exercise(
        "tanh",
        "y = tanh x. Derive dx from g.",
        tanh,
        SPACE,
        ("x",),
        lambda g, x: g * (1 - np.tanh(x) ** 2),
        (
            "Write the derivative with y alone.",
            "tanh = sinh/cosh; use the quotient rule.",
            "dy/dx = 1 - y², so dx = g(1 - y²).",
        ),
        terms=lambda g, x: [{"g": g, "-g y²": -g * np.tanh(x) ** 2}],
    ),
)
