"""Exercises on what a row is summed up by: its mean, its variance, its length."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.base import Exercise
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
    saved=lambda x: {"‖x‖": l2_norm(x)},
)

EXERCISES = (MEAN, VARIANCE, L2_NORM)
