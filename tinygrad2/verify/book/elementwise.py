"""Exercises on functions of one entry at a time: ReLU, leaky ReLU, sigmoid, tanh, GELU.

The derivative is one factor per entry, and the cotangent is multiplied by it.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space

SPACE = Space("n d")

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
    difficulty="easy",
    remarks={"mask": "ReLU lets the cotangent pass where its input was positive in the forward pass."},
)

# --- leaky ReLU


def leaky_relu(x: Array, slope: float = 0.1) -> Array:
    """x where x > 0, slope · x elsewhere. x: (n, d)."""
    return np.where(x.real > 0, x, slope * x)


def leaky_relu_vjp(g: Array, x: Array, slope: float) -> Array:
    """The cotangent times the slope on the side where x is. g, x: (n, d)."""
    return np.where(x > 0, g, slope * g)


def leaky_relu_terms(g: Array, x: Array, slope: float) -> list[dict[str, Array]]:
    """The two parts of dx."""
    return [{"g where x > 0": g * (x > 0), "slope · g where x < 0": slope * g * (x <= 0)}]


LEAKY_RELU = Exercise(
    "leaky_relu",
    "y = x where x > 0, slope · x elsewhere.",
    forward=leaky_relu,
    solution=leaky_relu_vjp,
    hints=(
        "There are two slopes.",
        "dy/dx is 1 where x > 0 and `slope` elsewhere.",
        "dx = g where x > 0, slope · g elsewhere.",
    ),
    wrt=("x",),
    space=Space("n d", {"slope": [0.1, 0.25]}),
    difficulty="easy",
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
    difficulty="easy",
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
    difficulty="easy",
    terms=tanh_terms,
)

# --- GELU


def gelu(x: Array) -> Array:
    """½ x (1 + tanh(√(2/π)(x + 0.044715 x³))), after Hendrycks and Gimpel, "Gaussian error linear units". x: (n, d)."""
    return x * (1 + np.tanh(gelu_inner(x))) / 2


def gelu_inner(x: Array) -> Array:
    """√(2/π)(x + 0.044715 x³), what the tanh is taken of. x: (n, d)."""
    return (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)


def gelu_inner_slope(x: Array) -> Array:
    """The derivative of `gelu_inner`. x: (n, d)."""
    return (2 / np.pi) ** 0.5 * (1 + 3 * 0.044715 * x**2)


def gelu_vjp(g: Array, x: Array) -> Array:
    """x is a factor, and it is inside the tanh: two terms. g, x: (n, d)."""
    t = np.tanh(gelu_inner(x))
    return g * ((1 + t) / 2 + x * (1 - t**2) * gelu_inner_slope(x) / 2)


def gelu_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two terms of dx, and two ways to get the second wrong. t is the tanh, v what it is taken of."""
    t = np.tanh(gelu_inner(x))
    slope = gelu_inner_slope(x)
    return [
        {
            "½ g (1 + t)": g * (1 + t) / 2,
            "½ g x (1 - t²) v'": g * x * (1 - t**2) * slope / 2,
            "~½ g x (1 - t²), without the slope of v": g * x * (1 - t**2) / 2,
            "~½ g x v', without the slope of tanh": g * x * slope / 2,
        }
    ]


GELU = Exercise(
    "gelu",
    "y = ½ x (1 + tanh v), v = √(2/π)(x + 0.044715 x³).",
    forward=gelu,
    solution=gelu_vjp,
    hints=(
        "x stands in two places: as a factor, and inside the tanh.",
        "With t = tanh v: the factor gives ½(1 + t), the tanh gives ½ x (1 - t²) v'.",
        "v' = √(2/π)(1 + 3 · 0.044715 x²), so dx = g(½(1 + t) + ½ x (1 - t²) v').",
    ),
    wrt=("x",),
    space=SPACE,
    difficulty="medium",
    terms=gelu_terms,
    saved=lambda x: {"(1 + t)": 1 + np.tanh(gelu_inner(x)), "(1 - t²)": 1 - np.tanh(gelu_inner(x)) ** 2},
)

EXERCISES = (RELU, LEAKY_RELU, SIGMOID, TANH, GELU)
