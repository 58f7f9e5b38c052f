"""Exercises on what a row is summed up by: its mean, its variance, its length, the angle to another row."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space

# --- mean


def mean(x: Array) -> Array:
    """The mean of each row. x: (n, d); result: (n,)."""
    return x.mean(-1)


def mean_vjp(g: Array, x: Array) -> Array:
    """Every entry of a row gets g/d. g: (n,); x: (n, d)."""
    return np.broadcast_to(g[:, None] / x.shape[1], x.shape)


MEAN = Exercise(
    "mean",
    "y = the mean of each row.",
    forward=mean,
    solution=mean_vjp,
    hints=("Each entry has the same influence.", "It is 1/d.", "dx = g[:, None]/d, spread over the row."),
    wrt=("x",),
    space=Space("n d"),
    difficulty="easy",
)

# --- variance


def variance(x: Array) -> Array:
    """The mean of (x - mean)² of each row. x: (n, d); result: (n,)."""
    return ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1)


def variance_vjp(g: Array, x: Array) -> Array:
    """2 g (x - mean)/d: the way through the mean adds nothing. g: (n,); x: (n, d)."""
    return g[:, None] * 2 * (x - x.mean(-1, keepdims=True)) / x.shape[1]


def variance_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two terms of dx."""
    mean = x.mean(-1, keepdims=True)
    return [{"2 g x/d": 2 * g[:, None] * x / x.shape[1], "-2 g mean/d": -2 * g[:, None] * mean / x.shape[1] + 0 * x}]


VARIANCE = Exercise(
    "variance",
    "y = the mean of (x - mean)² of each row.",
    forward=variance,
    solution=variance_vjp,
    hints=(
        "x acts directly and through the mean.",
        "The way through the mean adds Σ(x - mean) = 0.",
        "dx = 2 g (x - mean)/d.",
    ),
    wrt=("x",),
    space=Space("n d", sizes={"d": (2, 5)}),
    difficulty="medium",
    terms=variance_terms,
    saved=lambda x: {"(x - mean)": x - x.mean(-1, keepdims=True)},
)

# --- length


def l2_norm(x: Array) -> Array:
    """‖x‖ of each row. x: (n, d); result: (n,)."""
    return np.sqrt((x * x).sum(-1))


def l2_norm_vjp(g: Array, x: Array) -> Array:
    """g times the direction of x. g: (n,); x: (n, d)."""
    return g[:, None] * x / l2_norm(x)[:, None]


L2_NORM = Exercise(
    "l2_norm",
    "y = ‖x‖ of each row.",
    forward=l2_norm,
    solution=l2_norm_vjp,
    hints=("y² = Σ x².", "2 y dy = 2 x dx.", "dx = g x/‖x‖."),
    wrt=("x",),
    space=Space("n d"),
    difficulty="easy",
    saved=lambda x: {"‖x‖": l2_norm(x)},
)

# --- cosine similarity


def cosine_similarity(a: Array, b: Array) -> Array:
    """a·b/(‖a‖ ‖b‖) of each pair of rows. a, b: (n, d); result: (n,)."""
    return (a * b).sum(-1) / (l2_norm(a) * l2_norm(b))


def cosine_similarity_vjp(g: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da and db: towards the other row, less what lies along the own. g: (n,); a, b: (n, d)."""
    la = l2_norm(a)[:, None]
    lb = l2_norm(b)[:, None]
    y = (a * b).sum(-1, keepdims=True) / (la * lb)
    g = g[:, None]
    return g * (b / (la * lb) - y * a / la**2), g * (a / (la * lb) - y * b / lb**2)


def cosine_similarity_terms(g: Array, a: Array, b: Array) -> list[dict[str, Array]]:
    """The two terms of da, and of db."""
    la = l2_norm(a)[:, None]
    lb = l2_norm(b)[:, None]
    y = (a * b).sum(-1, keepdims=True) / (la * lb)
    g = g[:, None]
    return [
        {"g b/(‖a‖‖b‖)": g * b / (la * lb), "-g y a/‖a‖²": -g * y * a / la**2},
        {"g a/(‖a‖‖b‖)": g * a / (la * lb), "-g y b/‖b‖²": -g * y * b / lb**2},
    ]


COSINE_SIMILARITY = Exercise(
    "cosine_similarity",
    "y = a·b/(‖a‖ ‖b‖) of each pair of rows.",
    forward=cosine_similarity,
    solution=cosine_similarity_vjp,
    hints=(
        "a stands in the product and in its own norm.",
        "∇‖a‖ = a/‖a‖, so the norm takes y a/‖a‖² away.",
        "da = g(b/(‖a‖‖b‖) - y a/‖a‖²); db is the same with a and b exchanged.",
    ),
    wrt=("a", "b"),
    space=Space("n d, n d", sizes={"d": (2, 5)}),
    difficulty="medium",
    terms=cosine_similarity_terms,
    saved=lambda a, b: {"‖a‖": l2_norm(a)[:, None], "‖b‖": l2_norm(b)[:, None]},
)

EXERCISES = (MEAN, VARIANCE, L2_NORM, COSINE_SIMILARITY)
