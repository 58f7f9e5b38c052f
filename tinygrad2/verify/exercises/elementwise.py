"""Exercises on functions of one entry at a time: ReLU, leaky ReLU, sigmoid, tanh.

The derivative is one factor per entry, and the cotangent is multiplied by it.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.base import Exercise
from tinygrad2.verify.space import Space

SPACE = Space("n d")
SLOPE = 0.1

# --- ReLU


def relu(x: Array) -> Array:
    """max(x, 0). x: (n, d)."""
    return np.where(x.real > 0, x, 0 * x)


def relu_vjp(g: Array, x: Array) -> Array:
    """The mask comes from x, not from g. g, x: (n, d)."""
    return np.where(x > 0, g, 0 * g)


RELU = Exercise(
    "relu",
    "y = max(x, 0).",
    forward=relu,
    solution=relu_vjp,
    hints=(
        "Where does a small change of x change y, and where does it not?",
        "y = x where x > 0, else 0: the slope is 1 or 0.",
        "dx = g where x > 0, else 0. The mask comes from x.",
    ),
    wrt=("x",),
    space=SPACE,
    remarks={"mask": "ReLU lets the cotangent pass where its input was positive in the forward pass."},
)

# --- leaky ReLU


def leaky_relu(x: Array) -> Array:
    """x where x > 0, x/10 elsewhere. x: (n, d)."""
    return np.where(x.real > 0, x, SLOPE * x)


def leaky_relu_vjp(g: Array, x: Array) -> Array:
    """The cotangent times the slope on the side where x is. g, x: (n, d)."""
    return np.where(x > 0, g, SLOPE * g)


def leaky_relu_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two parts of dx."""
    return [{"g where x > 0": g * (x > 0), "g/10 where x < 0": SLOPE * g * (x <= 0)}]


LEAKY_RELU = Exercise(
    "leaky_relu",
    "y = x where x > 0, x/10 elsewhere.",
    forward=leaky_relu,
    solution=leaky_relu_vjp,
    hints=(
        "There are two slopes.",
        "The slope is 1 where x > 0 and 1/10 elsewhere.",
        "dx = g where x > 0, g/10 elsewhere.",
    ),
    wrt=("x",),
    space=SPACE,
    terms=leaky_relu_terms,
)

# --- sigmoid


def sigmoid(x: Array) -> Array:
    """1/(1 + e⁻ˣ). x: (n, d)."""
    return 1 / (1 + np.exp(-x))


def sigmoid_vjp(g: Array, x: Array) -> Array:
    """The slope of y is y(1 - y). g, x: (n, d)."""
    y = sigmoid(x)
    return g * y * (1 - y)


SIGMOID = Exercise(
    "sigmoid",
    "y = 1/(1 + e⁻ˣ).",
    forward=sigmoid,
    solution=sigmoid_vjp,
    hints=("Write the derivative with y alone.", "dy/dx = e⁻ˣ/(1 + e⁻ˣ)².", "dy/dx = y(1 - y), so dx = g · y(1 - y)."),
    wrt=("x",),
    space=SPACE,
)

# --- tanh


def tanh(x: Array) -> Array:
    """tanh x. x: (n, d)."""
    return np.tanh(x)


def tanh_vjp(g: Array, x: Array) -> Array:
    """The slope of y is 1 - y². g, x: (n, d)."""
    y = np.tanh(x)
    return g * (1 - y**2)


def tanh_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two terms of dx = g - g y²."""
    return [{"g": g, "-g y²": -g * np.tanh(x) ** 2}]


TANH = Exercise(
    "tanh",
    "y = tanh x.",
    forward=tanh,
    solution=tanh_vjp,
    hints=(
        "Write the derivative with y alone.",
        "tanh = sinh/cosh; use the quotient rule.",
        "dy/dx = 1 - y², so dx = g(1 - y²).",
    ),
    wrt=("x",),
    space=SPACE,
    terms=tanh_terms,
)

EXERCISES = (RELU, LEAKY_RELU, SIGMOID, TANH)
