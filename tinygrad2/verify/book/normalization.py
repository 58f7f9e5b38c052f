"""Exercises on normalisation: batch norm in training and in evaluation, layer norm, RMS norm, local response norm."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space

EPS: list[float] = [1e-3, 1e-5]

# --- batch normalisation in training


def standardized(x: Array, eps: float) -> tuple[Array, Array]:
    """x̂ = (x - mean)/√(var + eps) over the first axis, and s = 1/√(var + eps). x: (n, ...)."""
    centred = x - x.mean(0)
    s = 1 / np.sqrt((centred**2).mean(0) + eps)
    return centred * s, s


def batch_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Batch normalisation in training: the batch's own mean and variance. x: (n, d); weight, bias: (d,)."""
    return standardized(x, eps)[0] * weight + bias


def batch_norm_dx(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """x acts directly, through the mean and through the variance: three terms. g, x: (n, d)."""
    normal, s = standardized(x, eps)
    u = g * weight
    return s * u - s * u.mean(0) - s * normal * (u * normal).mean(0)


def batch_norm_dweight(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """γ multiplies x̂ in every sample. g, x: (n, d); result: (d,)."""
    return (g * standardized(x, eps)[0]).sum(0)


def batch_norm_vjp(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias. g, x: (n, d)."""
    return batch_norm_dx(g, x, weight, bias, eps), batch_norm_dweight(g, x, weight, bias, eps), g.sum(0)


def batch_norm_terms(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> list[dict[str, Array]]:
    """The three terms of dx, and one each of dweight and dbias."""
    normal, s = standardized(x, eps)
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


def batch_norm_saved(x: Array, weight: Array, bias: Array, eps: float) -> dict[str, Array]:
    """The factors that a rule may have forgotten."""
    normal, s = standardized(x, eps)
    return {"x̂": normal, "s": s, "γ": weight}


BATCH_NORM = Exercise(
    "batch_norm",
    "y = weight · x̂ + bias (γ x̂ + β), x̂ = (x - mean)/√(var + eps) over the batch, var divided by n.",
    forward=batch_norm,
    solution=batch_norm_vjp,
    hints=(
        "x has three ways to y: directly, through the mean and through the variance.",
        "With u = γ g and s = 1/√(var + eps), the direct way gives s u; the mean takes away its average.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)); dγ = Σ g x̂; dβ = Σ g.",
    ),
    wrt=("x", "weight", "bias"),
    space=Space("n d, d, d", {"eps": EPS}, sizes={"n": (3, 6), "d": (1, 3)}),
    difficulty="hard",
    terms=batch_norm_terms,
    saved=batch_norm_saved,
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
    "weight",
    batch_norm_dweight,
    hints=("γ multiplies x̂ in every sample.", "Sum over the batch.", "dγ = Σ g x̂."),
    difficulty="easy",
)

# --- batch normalisation in evaluation


def batch_norm_eval(x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float = 1e-5) -> Array:
    """Batch normalisation in evaluation: mean and var are constants. x: (n, d); all others: (d,)."""
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def batch_norm_eval_vjp(
    g: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias of a straight line. g, x: (n, d)."""
    s = 1 / np.sqrt(var + eps)
    return g * weight * s, (g * (x - mean) * s).sum(0), g.sum(0)


def batch_norm_eval_saved(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> dict[str, Array]:
    """The factors that a rule may have forgotten."""
    s = 1 / np.sqrt(var + eps)
    return {"s": s, "x̂": (x - mean) * s, "γ": weight}


BATCH_NORM_EVAL = Exercise(
    "batch_norm_eval",
    "y = weight (x - mean)/√(var + eps) + bias (weight is γ, bias β) with constant mean and var.",
    forward=batch_norm_eval,
    solution=batch_norm_eval_vjp,
    hints=(
        "In evaluation mean and var do not depend on x.",
        "Per channel, y is a straight line in x.",
        "dx = g γ/√(var + eps); dγ = Σ g x̂; dβ = Σ g.",
    ),
    wrt=("x", "weight", "bias"),
    space=Space("n d, d, d, d, d", {"eps": EPS}, draws={4: lambda rng, shape, sizes: rng.integers(8, 40, shape) / 16}),
    difficulty="medium",
    saved=batch_norm_eval_saved,
)

# --- layer normalisation


def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Every row is standardized, then scaled and shifted per column. x: (n, d); weight, bias: (d,)."""
    return standardized(x.T, eps)[0].T * weight + bias


def layer_norm_dx(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """x acts directly, through its row's mean and through its row's variance. g, x: (n, d)."""
    normal, s = standardized(x.T, eps)
    u = (g * weight).T
    return (s * (u - u.mean(0) - normal * (u * normal).mean(0))).T


def layer_norm_vjp(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """dx, dweight and dbias: the row's statistics for dx, sums over the batch for the others. g, x: (n, d)."""
    normal = standardized(x.T, eps)[0].T
    return layer_norm_dx(g, x, weight, bias, eps), (g * normal).sum(0), g.sum(0)


def layer_norm_terms(g: Array, x: Array, weight: Array, bias: Array, eps: float) -> list[dict[str, Array]]:
    """The three terms of dx, one each of dweight and dbias, and a sum over the batch that does not belong there."""
    normal, s = (a.T for a in standardized(x.T, eps))
    s = s[:, None]
    u = g * weight
    return [
        {
            "s γ g": s * u,
            "-s mean(γ g)": -s * u.mean(-1, keepdims=True) + 0 * x,
            "-s x̂ mean(γ g x̂)": -s * normal * (u * normal).mean(-1, keepdims=True),
        },
        {"Σ g x̂": (g * normal).sum(0)},
        {"Σ g": g.sum(0)},
    ]


def layer_norm_saved(x: Array, weight: Array, bias: Array, eps: float) -> dict[str, Array]:
    """The factors that a rule may have forgotten."""
    normal, s = standardized(x.T, eps)
    return {"x̂": normal.T, "s": s[:, None], "γ": weight}


LAYER_NORM = Exercise(
    "layer_norm",
    "y = weight · x̂ + bias (γ x̂ + β), x̂ = (x - mean)/√(var + eps) over each row, var divided by d.",
    forward=layer_norm,
    solution=layer_norm_vjp,
    hints=(
        "Each row is normalised by itself; γ and β are shared by all rows.",
        "With u = γ g and s = 1/√(var + eps): x acts directly (s u), through the mean and through the variance.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)), means over the row; dγ = Σₙ g x̂; dβ = Σₙ g.",
    ),
    wrt=("x", "weight", "bias"),
    space=Space("n d, d, d", {"eps": EPS}, sizes={"n": (1, 4), "d": (3, 6)}),
    difficulty="hard",
    terms=layer_norm_terms,
    saved=layer_norm_saved,
)
LAYER_NORM_DX = LAYER_NORM.part(
    "x",
    layer_norm_dx,
    hints=(
        "Three ways lead from x to y, all inside one row.",
        "s u - s mean(u) is right but for the variance.",
        "dx = s(u - mean(u) - x̂ mean(u x̂)), u = γ g, means over the row.",
    ),
)

# --- root mean square normalisation


def rms_norm(x: Array, weight: Array, eps: float = 1e-5) -> Array:
    """Every row divided by its root mean square, then scaled per column. x: (n, d); weight: (d,)."""
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rms_norm_dx(g: Array, x: Array, weight: Array, eps: float) -> Array:
    """x acts directly and through the root mean square r of its row. g, x: (n, d)."""
    r = np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    u = g * weight
    return u / r - x * (u * x).mean(-1, keepdims=True) / r**3


def rms_norm_vjp(g: Array, x: Array, weight: Array, eps: float) -> tuple[Array, Array]:
    """dx and dweight. g, x: (n, d)."""
    r = np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return rms_norm_dx(g, x, weight, eps), (g * x / r).sum(0)


def rms_norm_terms(g: Array, x: Array, weight: Array, eps: float) -> list[dict[str, Array]]:
    """The two terms of dx, and the one of dweight."""
    r = np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    u = g * weight
    return [
        {"γ g/r": u / r, "-x mean(γ g x)/r³": -x * (u * x).mean(-1, keepdims=True) / r**3},
        {"Σ g x/r": (g * x / r).sum(0)},
    ]


def rms_norm_saved(x: Array, weight: Array, eps: float) -> dict[str, Array]:
    """The factors that a rule may have forgotten."""
    r = np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return {"r": r, "x/r": x / r, "γ": weight}


RMS_NORM = Exercise(
    "rms_norm",
    "y = weight · x/r (weight is γ), r = √(mean(x²) + eps) over each row.",
    forward=rms_norm,
    solution=rms_norm_vjp,
    hints=(
        "r is no constant: it depends on every x of its row.",
        "∂r/∂x = x/(d r), so ∂(1/r)/∂x = -x/(d r³).",
        "With u = γ g: dx = u/r - x mean(u x)/r³; dγ = Σₙ g x/r.",
    ),
    wrt=("x", "weight"),
    space=Space("n d, d", {"eps": EPS}, sizes={"n": (1, 4), "d": (2, 5)}),
    difficulty="medium",
    terms=rms_norm_terms,
    saved=rms_norm_saved,
)
RMS_NORM_DX = RMS_NORM.part(
    "x",
    rms_norm_dx,
    hints=(
        "x acts directly and through r.",
        "The direct way gives γ g/r; r depends on every x of the row.",
        "dx = u/r - x mean(u x)/r³, u = γ g.",
    ),
)

# --- local response normalisation


def neighbours(x: Array) -> Array:
    """The sum of each channel with the one before and the one after. x: (n, c, p)."""
    total = x.copy()
    total[:, 1:] += x[:, :-1]
    total[:, :-1] += x[:, 1:]
    return total


def lrn_scale(x: Array, alpha: float) -> Array:
    """d = 1 + α Σ x² over 3 neighbouring channels. x: (n, c, p)."""
    return 1 + alpha * neighbours(x * x)


def lrn(x: Array, alpha: float = 0.5, beta: float = 0.75) -> Array:
    """x / d^β. x: (n, c, p)."""
    return x * lrn_scale(x, alpha) ** -beta


def lrn_vjp(g: Array, x: Array, alpha: float, beta: float) -> Array:
    """The direct part, and the part through the d of all neighbours. g, x: (n, c, p)."""
    d = lrn_scale(x, alpha)
    through = neighbours(g * x * d ** (-beta - 1))
    return g * d**-beta - 2 * alpha * beta * x * through


def lrn_terms(g: Array, x: Array, alpha: float, beta: float) -> list[dict[str, Array]]:
    """The two terms of dx, and one that leaves the neighbours out."""
    d = lrn_scale(x, alpha)
    own = g * x * d ** (-beta - 1)
    factor = -2 * alpha * beta * x
    return [
        {
            "g d^-β": g * d**-beta,
            "-2αβ x Σ(g x d^(-β-1))": factor * neighbours(own),
            "~-2αβ g x² d^(-β-1) (the own channel alone)": factor * own,
        }
    ]


LRN = Exercise(
    "lrn",
    "y = x d^-β, d = 1 + α Σ x² over 3 neighbouring channels, with the parameters alpha (α) and beta (β).",
    forward=lrn,
    solution=lrn_vjp,
    hints=(
        "x[c] acts on its own y and on its neighbours'.",
        "The direct part is g d^-β.",
        "The other part is -2αβ x[c] · Σ over the neighbours of g x d^(-β-1).",
    ),
    wrt=("x",),
    space=Space("n c p", {"alpha": [0.5, 0.2], "beta": [0.75, 0.5]}, sizes={"c": (1, 5), "p": (1, 3)}),
    difficulty="hard",
    terms=lrn_terms,
    saved=lambda x, alpha, beta: {"d": lrn_scale(x, alpha), "d^-β": lrn_scale(x, alpha) ** -beta},
)

EXERCISES = (
    BATCH_NORM,
    BATCH_NORM_DX,
    BATCH_NORM_DWEIGHT,
    BATCH_NORM_EVAL,
    LAYER_NORM,
    LAYER_NORM_DX,
    RMS_NORM,
    RMS_NORM_DX,
    LRN,
)
