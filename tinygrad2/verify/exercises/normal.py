"""Functions that couple the entries of a row or a batch: softmax, losses, means, norms, normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.core import Exercise, parts, register, total
from tinygrad2.verify.space import Space, integers

ROWS = Space("n k", sizes={"k": (2, 5)})
EPS = 1e-3
LRN_ALPHA, LRN_BETA, LRN_SIZE = 0.5, 0.75, 3


def softmax(z: Array) -> Array:
    """z: (n, k), over the last axis."""
    e = np.exp(z - z.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(z: Array) -> Array:
    """z: (n, k), over the last axis."""
    top = z.real.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def cross_entropy(z: Array, labels: Array) -> Array:
    """The mean of -log softmax(z) at the labels. z: (n, k); labels: (n,) integers; result: a number."""
    return np.asarray(-np.mean(log_softmax(z)[np.arange(len(labels)), labels]))


def hot(z: Array, labels: Array) -> Array:
    """1 at the labels, 0 elsewhere."""
    return (labels[:, None] == np.arange(z.shape[1])).astype(z.real.dtype)


def mean(x: Array) -> Array:
    """The mean of each row. x: (n, d)."""
    return x.mean(-1)


def variance(x: Array) -> Array:
    """The mean of (x - mean)² of each row. x: (n, d)."""
    return ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1)


def l2_norm(x: Array) -> Array:
    """‖x‖ of each row. x: (n, d)."""
    return np.sqrt((x * x).sum(-1))


def standardized(x: Array) -> tuple[Array, Array]:
    """x̂ = (x - mean)/√(var + eps) over the batch, and 1/√(var + eps). x: (n, d)."""
    centred = x - x.mean(0)
    scale = 1 / np.sqrt((centred**2).mean(0) + EPS)
    return centred * scale, scale


def batch_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Batch normalisation in training: the batch's own mean and variance. x: (n, d); weight, bias: (d,)."""
    return standardized(x)[0] * weight + bias


def batch_norm_eval(x: Array, weight: Array, bias: Array, mean: Array, var: Array) -> Array:
    """Batch normalisation in evaluation: mean and var are constants. x: (n, d); all others: (d,)."""
    return (x - mean) / np.sqrt(var + EPS) * weight + bias


def lrn(x: Array) -> Array:
    """x / (1 + α Σ x²)^β, Σ over 3 neighbouring channels. x: (n, c, p)."""
    return x * _lrn_scale(x) ** -LRN_BETA


def neighbours(x: Array) -> Array:
    """The sum of each channel with the one before and the one after. x: (n, c, p)."""
    total = x.copy()
    total[:, 1:] += x[:, :-1]
    total[:, :-1] += x[:, 1:]
    return total


def _lrn_scale(x: Array) -> Array:
    return 1 + LRN_ALPHA * neighbours(x * x)


def _lrn_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    d = _lrn_scale(x)
    through = -2 * LRN_ALPHA * LRN_BETA * x * neighbours(g * x * d ** (-LRN_BETA - 1))
    return [
        {
            "g d^-β": g * d**-LRN_BETA,
            "-2αβ x Σ(g x d^(-β-1))": through,
            "~-2αβ g x² d^(-β-1) (the own channel alone)": -2 * LRN_ALPHA * LRN_BETA * g * x * x * d ** (-LRN_BETA - 1),
        }
    ]


def _bn_terms(g: Array, x: Array, weight: Array, bias: Array) -> list[dict[str, Array]]:
    normal, s = standardized(x)
    u = g * weight
    return [
        {
            "s γ g": s * u,
            "-s mean(γ g)": -s * u.mean(0) + 0 * x,
            "-s x̂ mean(γ g x̂)": -s * normal * (u * normal).mean(0),
        },
        {"Σ g x̂": (g * normal).sum(0)},
        {"Σ g": g.sum(0)},
    ]


def _bn_rule(g: Array, x: Array, weight: Array, bias: Array) -> tuple[Array, ...]:
    return tuple(map(total, _bn_terms(g, x, weight, bias)))


def _bn_eval_rule(g: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array) -> tuple[Array, ...]:
    scale = 1 / np.sqrt(var + EPS)
    return g * weight * scale, (g * (x - mean) * scale).sum(0), g.sum(0)


def _ce_terms(g: Any, z: Array, labels: Array) -> list[dict[str, Array]]:
    return [
        {
            "g softmax/n": g * softmax(z) / len(z),
            "-g at the labels/n": -g * hot(z, labels) / len(z),
            "~-g/(n p) at the labels (the derivative by p)": -g * hot(z, labels) / softmax(z) / len(z),
        }
    ]


def _l2_rule(g: Array, x: Array) -> Array:
    return g[:, None] * x / l2_norm(x)[:, None]


BATCH_NORM = Exercise(
    "batch_norm",
    "y = γ x̂ + β, x̂ = (x - mean)/√(var + eps) over the batch. Derive dx, dweight, dbias.",
    batch_norm,
    Space("n d, d, d", sizes={"n": (3, 6), "d": (1, 3)}),
    ("x", "weight", "bias"),
    _bn_rule,
    (
        "x has three ways to y: directly, through the mean and through the variance.",
        "With u = γ g and s = 1/√(var + eps), the direct way gives s u; the mean takes away its average.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)); dγ = Σ g x̂; dβ = Σ g.",
    ),
    terms=_bn_terms,
    saved=lambda x, weight, bias: {"x̂": standardized(x)[0], "s": standardized(x)[1], "γ": weight},
)
EVAL_SPACE = Space("n d, d, d, d, d", draws={4: lambda rng, shape, sizes: rng.integers(8, 40, shape) / 16})
BATCH_NORM_EVAL = Exercise(
    "batch_norm_eval",
    "y = γ (x - mean)/√(var + eps) + β with constant mean and var. Derive dx, dweight, dbias.",
    batch_norm_eval,
    EVAL_SPACE,
    ("x", "weight", "bias"),
    _bn_eval_rule,
    (
        "In evaluation mean and var do not depend on x.",
        "Per channel, y is a straight line in x.",
        "dx = g γ/√(var + eps); dγ = Σ g x̂; dβ = Σ g.",
    ),
    saved=lambda x, weight, bias, mean, var: {
        "s": 1 / np.sqrt(var + EPS),
        "x̂": (x - mean) / np.sqrt(var + EPS),
        "γ": weight,
    },
)

register(
    Exercise(
        "softmax",
        "y = softmax(z) over the last axis. Derive dz from g.",
        softmax,
        ROWS,
        ("z",),
        lambda g, z: softmax(z) * (g - (g * softmax(z)).sum(-1, keepdims=True)),
        (
            "Every output of a row depends on every input of the row.",
            "∂yᵢ/∂zⱼ = yᵢ(δᵢⱼ - yⱼ).",
            "dz = y(g - Σ g y), the sum over the row.",
        ),
        terms=lambda g, z: [
            {
                "y g": softmax(z) * g,
                "-y Σ(g y)": -softmax(z) * (g * softmax(z)).sum(-1, keepdims=True),
                "~-y² g (as for sigmoid)": -(softmax(z) ** 2) * g,
                "~-y Σ(g y) over the batch": -softmax(z) * (g * softmax(z)).sum(0),
                "~-y": -softmax(z),
            }
        ],
        remarks={"missing-term": "The Jacobian of softmax is not diagonal."},
    ),
    Exercise(
        "log_softmax",
        "y = log softmax(z) over the last axis. Derive dz from g.",
        log_softmax,
        ROWS,
        ("z",),
        lambda g, z: g - softmax(z) * g.sum(-1, keepdims=True),
        (
            "y = z - logsumexp(z).",
            "The derivative of logsumexp is softmax.",
            "dz = g - softmax(z) Σ g, the sum over the row.",
        ),
        terms=lambda g, z: [
            {"g": g, "-softmax(z) Σ g": -softmax(z) * g.sum(-1, keepdims=True), "~-softmax(z)": -softmax(z)}
        ],
        saved=lambda z: {"softmax(z)": softmax(z)},
    ),
    Exercise(
        "cross_entropy",
        "loss = mean of -log softmax(z) at the labels. Derive dz from g (a number).",
        cross_entropy,
        Space("n k, n", sizes={"k": (2, 5)}, draws={1: integers("k")}),
        ("z",),
        lambda g, z, labels: g * (softmax(z) - hot(z, labels)) / len(z),
        (
            "Differentiate logsumexp(z) - z[label] for one sample.",
            "It is softmax(z) - 1 at the label.",
            "dz = g (softmax(z) - onehot)/n: the mean divides by n.",
        ),
        terms=_ce_terms,
        saved=lambda z, labels: {"softmax(z)": softmax(z)},
    ),
    Exercise(
        "mean",
        "y = the mean of each row. Derive dx from g.",
        mean,
        Space("n d"),
        ("x",),
        lambda g, x: np.broadcast_to(g[:, None] / x.shape[1], x.shape),
        ("Each entry has the same influence.", "It is 1/d.", "dx = g[:, None]/d, spread over the row."),
    ),
    Exercise(
        "variance",
        "y = the mean of (x - mean)² of each row. Derive dx from g.",
        variance,
        Space("n d", sizes={"d": (2, 5)}),
        ("x",),
        lambda g, x: g[:, None] * 2 * (x - x.mean(-1, keepdims=True)) / x.shape[1],
        (
            "x acts directly and through the mean.",
            "The way through the mean adds Σ(x - mean) = 0.",
            "dx = 2 g (x - mean)/d.",
        ),
        terms=lambda g, x: [
            {
                "2 g x/d": 2 * g[:, None] * x / x.shape[1],
                "-2 g mean/d": -2 * g[:, None] * x.mean(-1, keepdims=True) / x.shape[1] + 0 * x,
            }
        ],
        saved=lambda x: {"(x - mean)": x - x.mean(-1, keepdims=True)},
    ),
    Exercise(
        "l2_norm",
        "y = ‖x‖ of each row. Derive dx from g.",
        l2_norm,
        Space("n d"),
        ("x",),
        _l2_rule,
        ("y² = Σ x².", "2 y dy = 2 x dx.", "dx = g x/‖x‖."),
        saved=lambda x: {"‖x‖": l2_norm(x)},
    ),
    BATCH_NORM,
    *parts(
        BATCH_NORM,
        {
            "x": (
                BATCH_NORM.task.split(". ")[0] + ". Derive dx.",
                (
                    "Three ways lead from x to y.",
                    "s u - s mean(u) is right but for the variance.",
                    "dx = s(u - mean(u) - x̂ mean(u x̂)), u = γ g.",
                ),
            ),
            "weight": (
                BATCH_NORM.task.split(". ")[0] + ". Derive dweight.",
                ("γ multiplies x̂ in every sample.", "Sum over the batch.", "dγ = Σ g x̂."),
            ),
        },
    ),
    BATCH_NORM_EVAL,
    Exercise(
        "lrn",
        "y = x d^-β, d = 1 + α Σ x² over 3 neighbouring channels. Derive dx from g.",
        lrn,
        Space("n c p", sizes={"c": (1, 5), "p": (1, 3)}),
        ("x",),
        lambda g, x: total(_lrn_terms(g, x)[0]),
        (
            "x[c] acts on its own y and on its neighbours'.",
            "The direct part is g d^-β.",
            "The other part is -2αβ x[c] · Σ over the neighbours of g x d^(-β-1).",
        ),
        terms=_lrn_terms,
        saved=lambda x: {"d": _lrn_scale(x), "d^-β": _lrn_scale(x) ** -LRN_BETA},
    ),
)
