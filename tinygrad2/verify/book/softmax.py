"""Exercises on softmax, its logarithm, logsumexp, and cross-entropy: every output depends on the whole row."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space, integers

ROWS = Space("n k", sizes={"k": (2, 5)})

# --- softmax


def softmax(z: Array) -> Array:
    """e^z divided by its sum over the last axis. z: (..., k)."""
    e = np.exp(z - z.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_vjp(g: Array, z: Array) -> Array:
    """y(g - Σ g y), the sum over the row. g, z: (n, k)."""
    y = softmax(z)
    return y * (g - (g * y).sum(-1, keepdims=True))


def softmax_terms(g: Array, z: Array) -> list[dict[str, Array]]:
    """The two terms of dz, and three that are often put there by mistake."""
    y = softmax(z)
    return [
        {
            "y g": y * g,
            "-y Σ(g y)": -y * (g * y).sum(-1, keepdims=True),
            "~-y² g (as for sigmoid)": -(y**2) * g,
            "~-y Σ(g y) over the batch": -y * (g * y).sum(0),
            "~-y": -y,
        }
    ]


SOFTMAX = Exercise(
    "softmax",
    "y = softmax(z) over the last axis.",
    forward=softmax,
    solution=softmax_vjp,
    hints=(
        "Every output of a row depends on every input of the row.",
        "∂yᵢ/∂zⱼ = yᵢ(δᵢⱼ - yⱼ).",
        "dz = y(g - Σ g y), the sum over the row.",
    ),
    wrt=("z",),
    space=ROWS,
    difficulty="medium",
    terms=softmax_terms,
    remarks={"missing-term": "The Jacobian of softmax is not diagonal."},
)

# --- log-softmax


def log_softmax(z: Array) -> Array:
    """z minus the logarithm of the sum of e^z over the last axis. z: (..., k)."""
    top = z.real.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def log_softmax_vjp(g: Array, z: Array) -> Array:
    """g - softmax(z) Σ g, the sum over the row. g, z: (n, k)."""
    return g - softmax(z) * g.sum(-1, keepdims=True)


def log_softmax_terms(g: Array, z: Array) -> list[dict[str, Array]]:
    """The two terms of dz, and one with the sum of g forgotten."""
    y = softmax(z)
    return [{"g": g, "-softmax(z) Σ g": -y * g.sum(-1, keepdims=True), "~-softmax(z)": -y}]


LOG_SOFTMAX = Exercise(
    "log_softmax",
    "y = log softmax(z) over the last axis.",
    forward=log_softmax,
    solution=log_softmax_vjp,
    hints=(
        "y = z - logsumexp(z).",
        "The derivative of logsumexp is softmax.",
        "dz = g - softmax(z) Σ g, the sum over the row.",
    ),
    wrt=("z",),
    space=ROWS,
    difficulty="medium",
    terms=log_softmax_terms,
    saved=lambda z: {"softmax(z)": softmax(z)},
)

# --- logsumexp


def logsumexp(z: Array) -> Array:
    """The logarithm of the sum of e^z over the last axis. z: (n, k); result: (n,)."""
    top = z.real.max(-1, keepdims=True)
    return np.log(np.exp(z - top).sum(-1)) + top[..., 0]


def logsumexp_vjp(g: Array, z: Array) -> Array:
    """g softmax(z): every entry of a row gets its share of the row's g. g: (n,); z: (n, k)."""
    return g[:, None] * softmax(z)


LOGSUMEXP = Exercise(
    "logsumexp",
    "y = log Σ e^z over the last axis.",
    forward=logsumexp,
    solution=logsumexp_vjp,
    hints=(
        "The derivative of log s is 1/s; that of Σ e^z by zᵢ is e^zᵢ.",
        "∂y/∂zᵢ = e^zᵢ/Σ e^z.",
        "dz = g[:, None] · softmax(z).",
    ),
    wrt=("z",),
    space=ROWS,
    difficulty="easy",
    saved=lambda z: {"softmax(z)": softmax(z), "Σ e^z": np.exp(z).sum(-1, keepdims=True), "e^z": np.exp(z)},
)

# --- cross-entropy


def cross_entropy(z: Array, labels: Array) -> Array:
    """The mean of -log softmax(z) at the labels. z: (n, k); labels: (n,) integers; result: a number."""
    return np.asarray(-np.mean(log_softmax(z)[np.arange(len(labels)), labels]))


def one_hot(z: Array, labels: Array) -> Array:
    """1 at the labels, 0 elsewhere. z: (n, k); labels: (n,) integers; result: (n, k)."""
    return (labels[:, None] == np.arange(z.shape[1])).astype(z.real.dtype)


def cross_entropy_vjp(g: Array, z: Array, labels: Array) -> Array:
    """(softmax - onehot)/n, times g. g: a number; z: (n, k); labels: (n,)."""
    return g * (softmax(z) - one_hot(z, labels)) / len(z)


def cross_entropy_terms(g: Array, z: Array, labels: Array) -> list[dict[str, Array]]:
    """The two terms of dz, and one that is often put there by mistake."""
    p = softmax(z)
    t = one_hot(z, labels)
    n = len(z)
    return [
        {
            "g softmax/n": g * p / n,
            "-g at the labels/n": -g * t / n,
            "~-g/(n p) at the labels (the derivative by p)": -g * t / p / n,
        }
    ]


CROSS_ENTROPY = Exercise(
    "cross_entropy",
    "y = the mean of -log softmax(z) at the labels, a number.",
    forward=cross_entropy,
    solution=cross_entropy_vjp,
    hints=(
        "Differentiate logsumexp(z) - z[label] for one sample.",
        "It is softmax(z) - 1 at the label.",
        "dz = g (softmax(z) - onehot)/n: the mean divides by n.",
    ),
    wrt=("z",),
    space=Space("n k, n", sizes={"k": (2, 5)}, draws={1: integers("k")}),
    difficulty="medium",
    terms=cross_entropy_terms,
    saved=lambda z, labels: {"softmax(z)": softmax(z)},
)

EXERCISES = (SOFTMAX, LOG_SOFTMAX, LOGSUMEXP, CROSS_ENTROPY)
