"""Exercises on whole Jacobians, a row per output, a column per input: softmax, layer norm, x/‖x‖, a small network."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.book.normalization import EPS, standardized
from tinygrad2.verify.book.softmax import softmax
from tinygrad2.verify.space import Space

# --- softmax


def softmax_jacobian(z: Array) -> Array:
    """diag(y) - y yᵀ. z: (k,); result: (k, k)."""
    y = softmax(z)
    return np.diag(y) - np.outer(y, y)


def softmax_jacobian_terms(g: Array, z: Array) -> list[dict[str, Array]]:
    """The two terms of Jᵀg, and one that is often put there by mistake."""
    y = softmax(z)
    return [{"diag(y)": y * g, "-y yᵀ": -y * (y @ g), "~-diag(y²) (as for sigmoid)": -(y**2) * g}]


SOFTMAX_JACOBIAN = Exercise(
    "softmax.jacobian",
    "y = softmax(z).",
    forward=softmax,
    solution=softmax_jacobian,
    hints=("Differentiate e^zᵢ/Σ e^z by zᵢ and by zⱼ.", "∂yᵢ/∂zⱼ = yᵢ(δᵢⱼ - yⱼ).", "J = diag(y) - y yᵀ."),
    wrt=("z",),
    space=Space("k", sizes={"k": (2, 5)}),
    difficulty="medium",
    kind="jacobian",
    terms=softmax_jacobian_terms,
    remarks={"missing-term": "The Jacobian of softmax is not diagonal: every output depends on every input."},
)

# --- layer normalisation


def layer_norm(x: Array, eps: float = 1e-5) -> Array:
    """(x - mean)/√(var + eps). x: (d,)."""
    return standardized(x, eps)[0]


def layer_norm_jacobian(x: Array, eps: float) -> Array:
    """s(I - 1/d - y yᵀ/d). x: (d,); result: (d, d)."""
    y, s = standardized(x, eps)
    return s * (np.eye(x.size, dtype=x.dtype) - x.dtype.type(1 / x.size) - np.outer(y, y) / x.size)


def layer_norm_jacobian_terms(g: Array, x: Array, eps: float) -> list[dict[str, Array]]:
    """The three terms of Jᵀg."""
    y, s = standardized(x, eps)
    return [{"s I": s * g, "-s/d": -s * g.mean() + 0 * x, "-s y yᵀ/d": -s * y * (y @ g) / x.size}]


LAYER_NORM_JACOBIAN = Exercise(
    "layer_norm.jacobian",
    "y = (x - mean)/√(var + eps), var divided by d.",
    forward=layer_norm,
    solution=layer_norm_jacobian,
    hints=(
        "x acts directly, through the mean and through the variance.",
        "s I - s/d is right but for the variance.",
        "J = s(I - 1/d - y yᵀ/d).",
    ),
    wrt=("x",),
    space=Space("d", {"eps": EPS}, sizes={"d": (2, 5)}),
    difficulty="hard",
    kind="jacobian",
    terms=layer_norm_jacobian_terms,
    saved=lambda x, eps: {"s": standardized(x, eps)[1]},
)

# --- a vector of length one


def normalize(x: Array) -> Array:
    """x/‖x‖. x: (d,)."""
    return x / np.sqrt((x * x).sum())


def normalize_jacobian(x: Array) -> Array:
    """(I - y yᵀ)/‖x‖. x: (d,); result: (d, d)."""
    y = normalize(x)
    return (np.eye(x.size, dtype=x.dtype) - np.outer(y, y)) / np.sqrt(x @ x)


def normalize_jacobian_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two terms of Jᵀg."""
    return [{"I/‖x‖": g / np.sqrt(x @ x), "-y yᵀ/‖x‖": -x * (x @ g) / (x @ x) ** 1.5}]


NORMALIZE_JACOBIAN = Exercise(
    "normalize.jacobian",
    "y = x/‖x‖.",
    forward=normalize,
    solution=normalize_jacobian,
    hints=("The numerator gives I/‖x‖; the norm depends on x too.", "∇‖x‖ = x/‖x‖.", "J = (I - y yᵀ)/‖x‖."),
    wrt=("x",),
    space=Space("d", sizes={"d": (2, 5)}),
    difficulty="medium",
    kind="jacobian",
    terms=normalize_jacobian_terms,
    saved=lambda x: {"‖x‖": np.sqrt(x @ x)},
)

# --- a network of two layers


def mlp(x: Array, w1: Array, w2: Array) -> Array:
    """w2 tanh(w1 x). x: (d,); w1: (h, d); w2: (k, h); result: (k,)."""
    return w2 @ np.tanh(w1 @ x)


def mlp_jacobian(x: Array, w1: Array, w2: Array) -> Array:
    """w2 diag(1 - tanh²(w1 x)) w1. Result: (k, d)."""
    slope = 1 - np.tanh(w1 @ x) ** 2
    return w2 @ (slope[:, None] * w1)


MLP_JACOBIAN = Exercise(
    "mlp.jacobian",
    "y = w2 tanh(w1 x).",
    forward=mlp,
    solution=mlp_jacobian,
    hints=(
        "Chain rule: the Jacobians multiply, the last layer first.",
        "That of tanh is diagonal: 1 - h².",
        "J = w2 diag(1 - tanh²(w1 x)) w1.",
    ),
    wrt=("x",),
    space=Space("d, h d, k h"),
    difficulty="medium",
    kind="jacobian",
    saved=lambda x, w1, w2: {"1 - tanh²(w1 x)": (1 - np.tanh(w1 @ x) ** 2)[:, None]},
)

EXERCISES = (SOFTMAX_JACOBIAN, LAYER_NORM_JACOBIAN, NORMALIZE_JACOBIAN, MLP_JACOBIAN)
