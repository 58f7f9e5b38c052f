"""Exercises on double backward of losses and penalties: cross-entropy, the length of a gradient, a step of DeepFool.

The form of the rules is that of `double`.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.book.double import double
from tinygrad2.verify.book.softmax import CROSS_ENTROPY, LOGSUMEXP, one_hot, softmax
from tinygrad2.verify.book.statistics import L2_NORM, l2_norm
from tinygrad2.verify.space import Space

# --- cross-entropy


def cross_entropy_double(g: Array, u: Array, z: Array, labels: Array) -> tuple[Array, Array]:
    """dz and dg. g: a number; u, z: (n, k); labels: (n,)."""
    p = softmax(z)
    dz = g * p * (u - (p * u).sum(-1, keepdims=True)) / len(z)
    dg = (u * (p - one_hot(z, labels))).sum() / len(z)
    return dz, dg


def cross_entropy_double_terms(u: Array, z: Array, labels: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dz and dg."""
    p = softmax(z)
    n = len(z)
    return [
        {"g p u/n": g * p * u / n, "-g p Σ(p u)/n": -g * p * (p * u).sum(-1, keepdims=True) / n},
        {"Σ u p/n": (u * p).sum() / n, "-Σ u at the labels/n": -(u * one_hot(z, labels)).sum() / n},
    ]


CROSS_ENTROPY_DOUBLE = double(
    CROSS_ENTROPY,
    "dz = g (p - onehot)/n, p = softmax(z)",
    solution=cross_entropy_double,
    hints=(
        "Only p depends on z.",
        "It is softmax's own rule, with u in the place of g.",
        "dz = g/n · p(u - Σ p u), dg = Σ u (p - onehot)/n.",
    ),
    difficulty="medium",
    terms=cross_entropy_double_terms,
    saved=lambda z, labels, g: {"softmax(z)": softmax(z)},
)

# --- logsumexp


def logsumexp_double(g: Array, u: Array, z: Array) -> tuple[Array, Array]:
    """dz and dg. g: (n,); u, z: (n, k)."""
    p = softmax(z)
    along = (p * u).sum(-1, keepdims=True)
    return g[:, None] * p * (u - along), along[:, 0]


def logsumexp_double_terms(u: Array, z: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dz and dg."""
    p = softmax(z)
    along = (p * u).sum(-1, keepdims=True)
    return [{"g p u": g[:, None] * p * u, "-g p Σ(p u)": -g[:, None] * p * along}, {"Σ p u": along[:, 0]}]


LOGSUMEXP_DOUBLE = double(
    LOGSUMEXP,
    "dz = g p, p = softmax(z)",
    solution=logsumexp_double,
    hints=(
        "Only p depends on z, and its rule is softmax's own.",
        "The Hessian of logsumexp is the Jacobian of softmax: diag(p) - p pᵀ.",
        "dz = g p(u - Σ p u), dg = Σ p u, the sums over the row.",
    ),
    difficulty="medium",
    terms=logsumexp_double_terms,
    saved=lambda z, g: {"softmax(z)": softmax(z)},
)

# --- length


def l2_norm_double(g: Array, u: Array, x: Array) -> tuple[Array, Array]:
    """dx and dg. g: (n,); u, x: (n, d)."""
    length = l2_norm(x)[:, None]
    along = (u * x).sum(-1, keepdims=True)
    return g[:, None] * (u / length - x * along / length**3), (along / length)[:, 0]


def l2_norm_double_terms(u: Array, x: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dx and dg."""
    length = l2_norm(x)[:, None]
    along = (u * x).sum(-1, keepdims=True)
    return [
        {"g u/‖x‖": g[:, None] * u / length, "-g x (u·x)/‖x‖³": -g[:, None] * x * along / length**3},
        {"(u·x)/‖x‖": (along / length)[:, 0]},
    ]


L2_NORM_DOUBLE = double(
    L2_NORM,
    "dx = g x/‖x‖, the gradient of a norm penalty",
    solution=l2_norm_double,
    hints=(
        "x/‖x‖ depends on x in the numerator and in the norm.",
        "d(x/‖x‖) = dx/‖x‖ - x (x·dx)/‖x‖³.",
        "dx = g(u/‖x‖ - x (u·x)/‖x‖³), dg = (u·x)/‖x‖.",
    ),
    difficulty="medium",
    terms=l2_norm_double_terms,
    saved=lambda x, g: {"‖x‖": l2_norm(x)},
)

# --- a step of DeepFool


def deepfool_step(f: Array, v: Array) -> Array:
    """r = -f/‖v‖² · v, the step to the linearised boundary; v stands for ∇f. f: (n,); v: (n, d)."""
    return -(f / (v * v).sum(-1))[:, None] * v


def deepfool_step_vjp(g: Array, f: Array, v: Array) -> tuple[Array, Array]:
    """df and dv. g, v: (n, d); f: (n,)."""
    square = (v * v).sum(-1)
    along = (g * v).sum(-1)
    df = -along / square
    dv = -(f / square)[:, None] * g + (2 * f * along / square**2)[:, None] * v
    return df, dv


def deepfool_step_terms(g: Array, f: Array, v: Array) -> list[dict[str, Array]]:
    """The terms of df and dv."""
    square = (v * v).sum(-1)
    along = (g * v).sum(-1)
    through = (2 * f * along / square**2)[:, None] * v
    return [
        {"-(g·v)/‖v‖²": -along / square},
        {"-f g/‖v‖²": -(f / square)[:, None] * g, "2 f v (g·v)/‖v‖⁴": through},
    ]


DEEPFOOL_STEP = Exercise(
    "deepfool_step",
    "r = -f/‖v‖² · v with v = ∇f: double backprop passes through it.",
    forward=deepfool_step,
    solution=deepfool_step_vjp,
    hints=(
        "v is used twice, as direction and in its norm.",
        "d(1/‖v‖²) = -2 v·dv/‖v‖⁴.",
        "df = -(g·v)/‖v‖², dv = -f g/‖v‖² + 2 f v (g·v)/‖v‖⁴.",
    ),
    wrt=("f", "v"),
    space=Space("n, n d"),
    difficulty="hard",
    terms=deepfool_step_terms,
    saved=lambda f, v: {"‖v‖": np.sqrt((v * v).sum(-1))},
)

EXERCISES = (CROSS_ENTROPY_DOUBLE, LOGSUMEXP_DOUBLE, L2_NORM_DOUBLE, DEEPFOOL_STEP)
