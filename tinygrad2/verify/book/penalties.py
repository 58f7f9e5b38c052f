"""Exercises on derivatives of derivatives: a penalty on an input gradient, and a Hessian-vector product.

The forward functions are written with a gradient that was derived already; deriving them again is double backprop.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space

# --- the input gradient of a small network, and its Hessian


def input_gradient(x: Array, w1: Array, w2: Array) -> Array:
    """∇ₓ of E = w2·tanh(w1 x) for each row. x: (n, d); w1: (h, d); w2: (h,); result: (n, d)."""
    return (w2 * (1 - np.tanh(x @ w1.T) ** 2)) @ w1


def mlp_hvp(g: Array, x: Array, w1: Array, w2: Array) -> Array:
    """H g for each row: through w1, the curvature -2 t (1 - t²) of tanh, and back through w1. g, x: (n, d)."""
    t = np.tanh(x @ w1.T)
    return ((g @ w1.T) * w2 * -2 * t * (1 - t**2)) @ w1


def mlp_hvp_terms(g: Array, x: Array, w1: Array, w2: Array) -> list[dict[str, Array]]:
    """The one term, and three readings of it that are wrong."""
    t = np.tanh(x @ w1.T)
    v = (g @ w1.T) * w2
    return [
        {
            "-2 (w2 t (1 - t²) w1 g) w1": (v * -2 * t * (1 - t**2)) @ w1,
            "~-2 (w2 t w1 g) w1, without the slope 1 - t² of tanh": (v * -2 * t) @ w1,
            "~(w2 (1 - t²) w1 g) w1, the first derivative of tanh": (v * (1 - t**2)) @ w1,
        }
    ]


MLP_HVP = Exercise(
    "mlp.hvp",
    "E = w2·tanh(w1 x) of each row x; y = ∇E(x) = w1ᵀ(w2(1 - t²)), t = tanh(w1 x). dx is H g, H the Hessian of E.",
    forward=input_gradient,
    solution=mlp_hvp,
    hints=(
        "Only t depends on x; H is symmetric, so Jᵀg is H g.",
        "d(1 - t²) = -2 t dt = -2 t (1 - t²) w1 dx.",
        "H g = w1ᵀ(w2 · -2 t (1 - t²) · (w1 g)): no Hessian is ever written down.",
    ),
    wrt=("x",),
    space=Space("n d, h d, h", sizes={"n": (1, 3)}),
    difficulty="hard",
    terms=mlp_hvp_terms,
)

# --- a gradient penalty


def gradient_penalty(x: Array, w1: Array, w2: Array) -> Array:
    """The mean of (‖∇ₓE‖ - 1)², E = w2·tanh(w1 x), as for critics of images. x: (n, d); result: a number.

    Gulrajani et al., "Improved training of Wasserstein GANs", equation 3.
    """
    v = input_gradient(x, w1, w2)
    return np.mean((np.sqrt((v * v).sum(-1)) - 1) ** 2)


def penalty_cotangent(g: Array, v: Array) -> Array:
    """The cotangent of the gradients v in the mean of (‖v‖ - 1)². g: a number; v: (n, d)."""
    length = np.sqrt((v * v).sum(-1, keepdims=True))
    return 2 * g * (length - 1) * v / length / len(v)


def gradient_penalty_vjp(g: Array, x: Array, w1: Array, w2: Array) -> tuple[Array, Array]:
    """dw1 and dw2; w1 acts as the last factor of ∇ₓE and inside the tanh. g: a number."""
    t = np.tanh(x @ w1.T)
    slope = 1 - t**2
    u = penalty_cotangent(g, (w2 * slope) @ w1)
    back = u @ w1.T
    dw1 = (w2 * slope).T @ u + (back * w2 * -2 * t * slope).T @ x
    dw2 = (back * slope).sum(0)
    return dw1, dw2


def gradient_penalty_terms(g: Array, x: Array, w1: Array, w2: Array) -> list[dict[str, Array]]:
    """The two terms of dw1, and the one of dw2; u is the cotangent of ∇ₓE."""
    t = np.tanh(x @ w1.T)
    slope = 1 - t**2
    u = penalty_cotangent(g, (w2 * slope) @ w1)
    back = u @ w1.T
    return [
        {
            "(w2 (1 - t²))ᵀ u": (w2 * slope).T @ u,
            "(u w1ᵀ · w2 · -2 t (1 - t²))ᵀ x (through tanh)": (back * w2 * -2 * t * slope).T @ x,
        },
        {"Σₙ (u w1ᵀ)(1 - t²)": (back * slope).sum(0)},
    ]


GRADIENT_PENALTY = Exercise(
    "gradient_penalty",
    "y = the mean of (‖v‖ - 1)² over the rows, v = ∇ₓE = (w2(1 - t²)) w1, t = tanh(x w1ᵀ).",
    forward=gradient_penalty,
    solution=gradient_penalty_vjp,
    hints=(
        "First the cotangent of v: u = 2 g (‖v‖ - 1) v/(‖v‖ n). Then v is a function of the weights like any other.",
        "w1 stands in v twice: as the last factor, and inside the tanh, where d(1 - t²) = -2 t (1 - t²) d(w1 x).",
        "With b = u w1ᵀ: dw1 = (w2(1 - t²))ᵀ u + (b w2 · -2 t (1 - t²))ᵀ x, dw2 = Σₙ b (1 - t²).",
    ),
    wrt=("w1", "w2"),
    space=Space("n d, h d, h", sizes={"n": (1, 3)}),
    difficulty="hard",
    terms=gradient_penalty_terms,
    remarks={"missing-term": "∇ₓE is a network with the same weights: w1 is used in it twice."},
)

EXERCISES = (MLP_HVP, GRADIENT_PENALTY)
