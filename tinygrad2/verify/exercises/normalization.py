"""Exercises on normalisation: batch norm in training and in evaluation, local response norm."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.base import Exercise
from tinygrad2.verify.space import Space

EPS = 1e-3
LRN_ALPHA = 0.5
LRN_BETA = 0.75

# --- batch normalisation in training


def standardized(x: Array) -> tuple[Array, Array]:
    """x̂ = (x - mean)/√(var + eps) over the first axis, and s = 1/√(var + eps). x: (n, ...)."""
    centred = x - x.mean(0)
    s = 1 / np.sqrt((centred**2).mean(0) + EPS)
    return centred * s, s


def batch_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Batch normalisation in training: the batch's own mean and variance. x: (n, d); weight, bias: (d,)."""
    return standardized(x)[0] * weight + bias


def batch_norm_dx(g: Array, x: Array, weight: Array, bias: Array) -> Array:
    """x acts directly, through the mean and through the variance: three terms. g, x: (n, d)."""
    normal, s = standardized(x)
    u = g * weight
    return s * u - s * u.mean(0) - s * normal * (u * normal).mean(0)


def batch_norm_dweight(g: Array, x: Array, weight: Array, bias: Array) -> Array:
    """γ multiplies x̂ in every sample. g, x: (n, d); result: (d,)."""
    return (g * standardized(x)[0]).sum(0)


def batch_norm_vjp(g: Array, x: Array, weight: Array, bias: Array) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias. g, x: (n, d)."""
    return batch_norm_dx(g, x, weight, bias), batch_norm_dweight(g, x, weight, bias), g.sum(0)


def batch_norm_terms(g: Array, x: Array, weight: Array, bias: Array) -> list[dict[str, Array]]:
    """The three terms of dx, and one each of dweight and dbias."""
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


BATCH_NORM = Exercise(
    "batch_norm",
    "y = γ x̂ + β, x̂ = (x - mean)/√(var + eps) over the batch.",
    forward=batch_norm,
    solution=batch_norm_vjp,
    hints=(
        "x has three ways to y: directly, through the mean and through the variance.",
        "With u = γ g and s = 1/√(var + eps), the direct way gives s u; the mean takes away its average.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)); dγ = Σ g x̂; dβ = Σ g.",
    ),
    wrt=("x", "weight", "bias"),
    space=Space("n d, d, d", sizes={"n": (3, 6), "d": (1, 3)}),
    terms=batch_norm_terms,
    saved=lambda x, weight, bias: {"x̂": standardized(x)[0], "s": standardized(x)[1], "γ": weight},
)
BATCH_NORM_DX = BATCH_NORM.part(
    "x",
    batch_norm_dx,
    hints=(
        "Three ways lead from x to y.",
        "s u - s mean(u) is right but for the variance.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)), u = γ g.",
    ),
)
BATCH_NORM_DWEIGHT = BATCH_NORM.part(
    "weight", batch_norm_dweight, hints=("γ multiplies x̂ in every sample.", "Sum over the batch.", "dγ = Σ g x̂.")
)

# --- batch normalisation in evaluation


def batch_norm_eval(x: Array, weight: Array, bias: Array, mean: Array, var: Array) -> Array:
    """Batch normalisation in evaluation: mean and var are constants. x: (n, d); all others: (d,)."""
    return (x - mean) / np.sqrt(var + EPS) * weight + bias


def batch_norm_eval_vjp(
    g: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array
) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias of a straight line. g, x: (n, d)."""
    s = 1 / np.sqrt(var + EPS)
    return g * weight * s, (g * (x - mean) * s).sum(0), g.sum(0)


def batch_norm_eval_saved(x: Array, weight: Array, bias: Array, mean: Array, var: Array) -> dict[str, Array]:
    """The factors that a rule may have forgotten."""
    s = 1 / np.sqrt(var + EPS)
    return {"s": s, "x̂": (x - mean) * s, "γ": weight}


BATCH_NORM_EVAL = Exercise(
    "batch_norm_eval",
    "y = γ (x - mean)/√(var + eps) + β with constant mean and var.",
    forward=batch_norm_eval,
    solution=batch_norm_eval_vjp,
    hints=(
        "In evaluation mean and var do not depend on x.",
        "Per channel, y is a straight line in x.",
        "dx = g γ/√(var + eps); dγ = Σ g x̂; dβ = Σ g.",
    ),
    wrt=("x", "weight", "bias"),
    space=Space("n d, d, d, d, d", draws={4: lambda rng, shape, sizes: rng.integers(8, 40, shape) / 16}),
    saved=batch_norm_eval_saved,
)

# --- local response normalisation


def neighbours(x: Array) -> Array:
    """The sum of each channel with the one before and the one after. x: (n, c, p)."""
    total = x.copy()
    total[:, 1:] += x[:, :-1]
    total[:, :-1] += x[:, 1:]
    return total


def lrn_scale(x: Array) -> Array:
    """d = 1 + α Σ x² over 3 neighbouring channels. x: (n, c, p)."""
    return 1 + LRN_ALPHA * neighbours(x * x)


def lrn(x: Array) -> Array:
    """x / d^β. x: (n, c, p)."""
    return x * lrn_scale(x) ** -LRN_BETA


def lrn_vjp(g: Array, x: Array) -> Array:
    """The direct part, and the part through the d of all neighbours. g, x: (n, c, p)."""
    d = lrn_scale(x)
    through = neighbours(g * x * d ** (-LRN_BETA - 1))
    return g * d**-LRN_BETA - 2 * LRN_ALPHA * LRN_BETA * x * through


def lrn_terms(g: Array, x: Array) -> list[dict[str, Array]]:
    """The two terms of dx, and one that leaves the neighbours out."""
    d = lrn_scale(x)
    own = g * x * d ** (-LRN_BETA - 1)
    factor = -2 * LRN_ALPHA * LRN_BETA * x
    return [
        {
            "g d^-β": g * d**-LRN_BETA,
            "-2αβ x Σ(g x d^(-β-1))": factor * neighbours(own),
            "~-2αβ g x² d^(-β-1) (the own channel alone)": factor * own,
        }
    ]


LRN = Exercise(
    "lrn",
    "y = x d^-β, d = 1 + α Σ x² over 3 neighbouring channels.",
    forward=lrn,
    solution=lrn_vjp,
    hints=(
        "x[c] acts on its own y and on its neighbours'.",
        "The direct part is g d^-β.",
        "The other part is -2αβ x[c] · Σ over the neighbours of g x d^(-β-1).",
    ),
    wrt=("x",),
    space=Space("n c p", sizes={"c": (1, 5), "p": (1, 3)}),
    terms=lrn_terms,
    saved=lambda x: {"d": lrn_scale(x), "d^-β": lrn_scale(x) ** -LRN_BETA},
)

EXERCISES = (BATCH_NORM, BATCH_NORM_DX, BATCH_NORM_DWEIGHT, BATCH_NORM_EVAL, LRN)
