"""Exercises on double backward of layers: a first-order rule is a function of the inputs and g, differentiated again.

The rule double_vjp(g, u, *inputs) gets the cotangent u of the first-order result (a tuple, where there are several
results). It returns one cotangent per input, and last the one of g, which is always J u. The terms of the right answer
are written with u first and g last, because they belong to the function (inputs, g) ↦ first-order result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Difficulty, Exercise
from tinygrad2.verify.book.convolution import CONV2D, conv2d, conv2d_dw, conv2d_dx
from tinygrad2.verify.book.elementwise import GELU, RELU, SIGMOID, gelu_inner, gelu_inner_slope, gelu_vjp, sigmoid
from tinygrad2.verify.book.linear import LINEAR
from tinygrad2.verify.book.normalization import EPS, standardized
from tinygrad2.verify.problem import Terms
from tinygrad2.verify.space import Space

Three = tuple[Array, Array, Array]


def double(
    of: Exercise,
    first_order: str,
    solution: Callable[..., Any],
    hints: tuple[str, str, str],
    difficulty: Difficulty,
    terms: Terms | None = None,
    saved: Callable[..., Mapping[str, Array]] | None = None,
) -> Exercise:
    """The double backward of another exercise, whose first-order rule is stated in `first_order`."""
    return Exercise(
        f"{of.name}.double",
        f"{of.statement} First order: {first_order}.",
        forward=of.forward,
        solution=solution,
        hints=hints,
        wrt=of.wrt,
        space=of.space,
        difficulty=difficulty,
        kind="double",
        first=of.solution,
        terms=terms,
        saved=saved,
    )


# --- linear layer


def linear_double(g: Array, u: Three, x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    """dx, dw, db and dg. g: (n, o); u: (ux, uw, ub) of the shapes of x, w and b."""
    ux, uw, ub = u
    return g @ uw, g.T @ ux, np.zeros_like(b), ux @ w.T + x @ uw.T + ub


def linear_double_terms(u: Three, x: Array, w: Array, b: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dx, dw, db and dg."""
    ux, uw, ub = u
    return [{"g uw": g @ uw}, {"gᵀ ux": g.T @ ux}, {}, {"ux wᵀ": ux @ w.T, "x uwᵀ": x @ uw.T, "ub": ub + 0 * g}]


LINEAR_DOUBLE = double(
    LINEAR,
    "dx = g w, dw = gᵀ x, db = Σ g; u = (ux, uw, ub)",
    solution=linear_double,
    hints=(
        "⟨ux, g w⟩ + ⟨uw, gᵀ x⟩ + ⟨ub, Σ g⟩ is linear in each of its letters.",
        "Collect what stands beside x, w, b and g.",
        "dx = g uw, dw = gᵀ ux, db = 0, dg = ux wᵀ + x uwᵀ + ub.",
    ),
    difficulty="hard",
    terms=linear_double_terms,
)

# --- ReLU


def relu_double(g: Array, u: Array, x: Array) -> tuple[Array, Array]:
    """dx and dg: the mask does not change with x. g, u, x: (n, d)."""
    return 0 * x, u * (x > 0)


RELU_DOUBLE = double(
    RELU,
    "dx = g where x > 0",
    solution=relu_double,
    hints=(
        "Is the first-order rule linear in g? Does it change with x?",
        "The mask is piecewise constant in x.",
        "dx = 0, dg = u where x > 0.",
    ),
    difficulty="medium",
)

# --- sigmoid


def sigmoid_double(g: Array, u: Array, x: Array) -> tuple[Array, Array]:
    """dx and dg. g, u, x: (n, d)."""
    y = sigmoid(x)
    slope = y * (1 - y)
    return g * u * slope * (1 - 2 * y), u * slope


def sigmoid_double_terms(u: Array, x: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dx and dg."""
    y = sigmoid(x)
    slope = y * (1 - y)
    return [{"g u y(1 - y)": g * u * slope, "-2 g u y²(1 - y)": -2 * g * u * y * slope}, {"u y(1 - y)": u * slope}]


SIGMOID_DOUBLE = double(
    SIGMOID,
    "dx = g y(1 - y)",
    solution=sigmoid_double,
    hints=(
        "Differentiate y(1 - y) by x.",
        "d(y - y²)/dx = (1 - 2y) y'.",
        "dx = g u y(1 - y)(1 - 2y), dg = u y(1 - y).",
    ),
    difficulty="medium",
    terms=sigmoid_double_terms,
    saved=lambda x, g: {"(1 - 2y)": 1 - 2 * sigmoid(x), "y": sigmoid(x), "y'": sigmoid(x) * (1 - sigmoid(x))},
)

# --- GELU


def gelu_double(g: Array, u: Array, x: Array) -> tuple[Array, Array]:
    """dx and dg; t is the tanh, v what it is taken of. g, u, x: (n, d)."""
    t = np.tanh(gelu_inner(x))
    slope = gelu_inner_slope(x)
    bend = (2 / np.pi) ** 0.5 * 6 * 0.044715 * x
    second = (1 - t**2) * (slope - x * t * slope**2 + x * bend / 2)
    return g * u * second, gelu_vjp(u, x)


def gelu_double_terms(u: Array, x: Array, g: Array) -> list[dict[str, Array]]:
    """The terms of dx and dg."""
    t = np.tanh(gelu_inner(x))
    slope = gelu_inner_slope(x)
    bend = (2 / np.pi) ** 0.5 * 6 * 0.044715 * x
    c = g * u * (1 - t**2)
    return [
        {
            "g u (1 - t²) v'": c * slope,
            "-g u x t (1 - t²) v'²": -c * x * t * slope**2,
            "½ g u x (1 - t²) v″": c * x * bend / 2,
        },
        {"½ u (1 + t)": u * (1 + t) / 2, "½ u x (1 - t²) v'": u * x * (1 - t**2) * slope / 2},
    ]


GELU_DOUBLE = double(
    GELU,
    "dx = g(½(1 + t) + ½ x (1 - t²) v'), t = tanh v",
    solution=gelu_double,
    hints=(
        "dg is the first-order rule with u in the place of g. For dx differentiate both terms.",
        "½(1 + t) gives ½(1 - t²) v'; the second term gives that once more, and two terms by t and by v'.",
        "dx = g u (1 - t²)(v' - x t v'² + ½ x v″), v″ = √(2/π) · 6 · 0.044715 x.",
    ),
    difficulty="hard",
    terms=gelu_double_terms,
)

# --- convolution


def conv2d_double(g: Array, u: Three, x: Array, w: Array, b: Array, stride: int, padding: int) -> tuple[Array, ...]:
    """dx, dw, db and dg. g: (n, o, oh, ow); u: (ux, uw, ub) of the shapes of x, w and b."""
    ux, uw, ub = u
    dx = conv2d_dx(g, x, uw, b, stride, padding)
    dw = conv2d_dw(g, ux, w, b, stride, padding)
    db = np.zeros_like(b)
    dg = conv2d(ux, w, ub, stride, padding) + conv2d(x, uw, db, stride, padding)
    return dx, dw, db, dg


def conv2d_double_terms(
    u: Three, x: Array, w: Array, b: Array, g: Array, stride: int, padding: int
) -> list[dict[str, Array]]:
    """The terms of dx, dw, db and dg."""
    ux, uw, ub = u
    zero = np.zeros_like(b)
    return [
        {"conv2dᵀ(g, uw)": conv2d_dx(g, x, uw, b, stride, padding)},
        {"windows(ux)·g": conv2d_dw(g, ux, w, b, stride, padding)},
        {},
        {
            "conv2d(ux, w)": conv2d(ux, w, zero, stride, padding),
            "conv2d(x, uw)": conv2d(x, uw, zero, stride, padding),
            "ub": ub[:, None, None] + 0 * g,
        },
    ]


CONV2D_DOUBLE = double(
    CONV2D,
    "dx = convᵀ(g, w), dw = windows(x)·g, db = Σ g; u = (ux, uw, ub)",
    solution=conv2d_double,
    hints=(
        "The three results are contractions of one trilinear form.",
        "Replace x by ux, or w by uw, in the form ⟨conv(x, w), g⟩.",
        "dx = convᵀ(g, uw), dw = windows(ux)·g, db = 0, dg = conv(ux, w) + conv(x, uw) + ub.",
    ),
    difficulty="hard",
    terms=conv2d_double_terms,
)

# --- batch normalisation, without weight and bias


def standardize(x: Array, eps: float = 1e-5) -> Array:
    """x̂ = (x - mean)/√(var + eps) over the batch. x: (n, d)."""
    return standardized(x, eps)[0]


def project(g: Array, x: Array, eps: float) -> Array:
    """The first-order rule of `standardize`: P(g) = s(g - mean(g) - x̂ mean(g x̂)). g, x: (n, d)."""
    normal, s = standardized(x, eps)
    return s * (g - g.mean(0) - normal * (g * normal).mean(0))


def batch_norm_double(g: Array, u: Array, x: Array, eps: float) -> tuple[Array, Array]:
    """dx and dg; A is what the derivative of s brings. g, u, x: (n, d)."""
    normal, s = standardized(x, eps)
    along_g = (g * normal).mean(0)
    along_u = (u * normal).mean(0)
    a = (u * g).mean(0) - u.mean(0) * g.mean(0) - along_u * along_g
    dx = -s * (s * normal * a + along_g * project(u, x, eps) + along_u * project(g, x, eps))
    return dx, project(u, x, eps)


def batch_norm_double_terms(u: Array, x: Array, g: Array, eps: float) -> list[dict[str, Array]]:
    """The terms of dx and dg. A is what the derivative of s brings."""
    normal, s = standardized(x, eps)
    along_g = (g * normal).mean(0)
    along_u = (u * normal).mean(0)
    a = (u * g).mean(0) - u.mean(0) * g.mean(0) - along_u * along_g
    return [
        {
            "-s² x̂ A": -(s**2) * normal * a,
            "-s mean(g x̂) P(u)": -s * along_g * project(u, x, eps),
            "-s mean(u x̂) P(g)": -s * along_u * project(g, x, eps),
        },
        {"s u": s * u, "-s mean(u)": -s * u.mean(0) + 0 * u, "-s x̂ mean(u x̂)": -s * normal * along_u},
    ]


BATCH_NORM_DOUBLE = Exercise(
    "batch_norm.double",
    "y = x̂ = s (x - mean), s = 1/√(var + eps), over the batch. First order: P(g) = s(g - mean g - x̂ mean(g x̂)).",
    forward=standardize,
    solution=batch_norm_double,
    hints=(
        "P is symmetric, so dg is easy. For dx, s and x̂ both depend on x.",
        "ds/dx = -s² x̂/n, dx̂/dx = P. Let A = mean(u g) - mean(u) mean(g) - mean(u x̂) mean(g x̂).",
        "dx = -s² x̂ A - s mean(g x̂) P(u) - s mean(u x̂) P(g), dg = P(u).",
    ),
    wrt=("x",),
    space=Space("n d", {"eps": EPS}, sizes={"n": (3, 6), "d": (1, 3)}),
    difficulty="hard",
    kind="double",
    first=project,
    terms=batch_norm_double_terms,
    saved=lambda x, g, eps: {"x̂": standardized(x, eps)[0], "s": standardized(x, eps)[1]},
)

EXERCISES = (
    LINEAR_DOUBLE,
    RELU_DOUBLE,
    SIGMOID_DOUBLE,
    GELU_DOUBLE,
    CONV2D_DOUBLE,
    BATCH_NORM_DOUBLE,
)
