"""Whole Jacobians: one row per output, one column per input."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.core import Exercise, register
from tinygrad2.verify.exercises.normal import EPS
from tinygrad2.verify.space import Space


def softmax(z: Array) -> Array:
    """z: (k,)."""
    e = np.exp(z - z.real.max())
    return e / e.sum()


def layer_norm(x: Array) -> Array:
    """(x - mean)/√(var + eps). x: (d,)."""
    return _standardized(x)[0]


def _standardized(x: Array) -> tuple[Array, Array]:
    centred = x - x.mean()
    s = 1 / np.sqrt((centred**2).mean() + EPS)
    return centred * s, s


def normalize(x: Array) -> Array:
    """x/‖x‖. x: (d,)."""
    return x / np.sqrt((x * x).sum())


def mlp(x: Array, w1: Array, w2: Array) -> Array:
    """w2 tanh(w1 x). x: (d,); w1: (h, d); w2: (k, h)."""
    return w2 @ np.tanh(w1 @ x)


def _layer_norm_jacobian(x: Array) -> Array:
    normal, s = _standardized(x)
    return s * (np.eye(x.size, dtype=x.dtype) - x.dtype.type(1 / x.size) - np.outer(normal, normal) / x.size)


register(
    Exercise(
        "softmax.jacobian",
        "y = softmax(z). Derive J = ∂y/∂z.",
        softmax,
        Space("k", sizes={"k": (2, 5)}),
        ("z",),
        lambda z: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)),
        ("Differentiate e^zᵢ/Σ e^z by zᵢ and by zⱼ.", "∂yᵢ/∂zⱼ = yᵢ(δᵢⱼ - yⱼ).", "J = diag(y) - y yᵀ."),
        "jacobian",
        terms=lambda g, z: [
            {
                "diag(y)": softmax(z) * g,
                "-y yᵀ": -softmax(z) * (softmax(z) @ g),
                "~-diag(y²) (as for sigmoid)": -(softmax(z) ** 2) * g,
            }
        ],
        remarks={"missing-term": "The Jacobian of softmax is not diagonal: every output depends on every input."},
    ),
    Exercise(
        "layer_norm.jacobian",
        "y = (x - mean)/√(var + eps). Derive J = ∂y/∂x.",
        layer_norm,
        Space("d", sizes={"d": (2, 5)}),
        ("x",),
        _layer_norm_jacobian,
        (
            "x acts directly, through the mean and through the variance.",
            "s I - s/d is right but for the variance.",
            "J = s(I - 1/d - y yᵀ/d).",
        ),
        "jacobian",
        terms=lambda g, x: [
            {
                "s I": _standardized(x)[1] * g,
                "-s/d": -_standardized(x)[1] * g.mean() + 0 * x,
                "-s y yᵀ/d": -_standardized(x)[1] * _standardized(x)[0] * (_standardized(x)[0] @ g) / x.size,
            }
        ],
        saved=lambda x: {"s": _standardized(x)[1]},
    ),
    Exercise(
        "normalize.jacobian",
        "y = x/‖x‖. Derive J = ∂y/∂x.",
        normalize,
        Space("d", sizes={"d": (2, 5)}),
        ("x",),
        lambda x: (np.eye(x.size, dtype=x.dtype) - np.outer(x, x) / (x @ x)) / np.sqrt(x @ x),
        ("The numerator gives I/‖x‖; the norm depends on x too.", "∇‖x‖ = x/‖x‖.", "J = (I - y yᵀ)/‖x‖."),
        "jacobian",
        terms=lambda g, x: [{"I/‖x‖": g / np.sqrt(x @ x), "-y yᵀ/‖x‖": -x * (x @ g) / (x @ x) ** 1.5}],
        saved=lambda x: {"‖x‖": np.sqrt(x @ x)},
    ),
    Exercise(
        "mlp.jacobian",
        "y = w2 tanh(w1 x). Derive J = ∂y/∂x.",
        mlp,
        Space("d, h d, k h"),
        ("x",),
        lambda x, w1, w2: w2 @ ((1 - np.tanh(w1 @ x) ** 2)[:, None] * w1),
        (
            "Chain rule: the Jacobians multiply, the last layer first.",
            "That of tanh is diagonal: 1 - h².",
            "J = w2 diag(1 - tanh²(w1 x)) w1.",
        ),
        "jacobian",
        saved=lambda x, w1, w2: {"1 - tanh²(w1 x)": (1 - np.tanh(w1 @ x) ** 2)[:, None]},
    ),
)
