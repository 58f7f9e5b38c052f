"""Matrix products and their like: linear in each operand, so every cotangent is another product."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises.core import Exercise, parts, register
from tinygrad2.verify.space import Space, integers


def linear(x: Array, w: Array, b: Array) -> Array:
    """x wᵀ + b. x: (n, i); w: (o, i); b: (o,)."""
    return x @ w.T + b


def matmul(a: Array, b: Array) -> Array:
    """a b. a: (n, k); b: (k, m)."""
    return a @ b


def embedding(table: Array, rows: Array) -> Array:
    """table[rows]. table: (v, d); rows: (m,) integers, in which a row may occur twice."""
    return table[rows]


def residual(x: Array, w: Array) -> Array:
    """x + tanh(x wᵀ). x: (n, d); w: (d, d)."""
    return x + np.tanh(x @ w.T)


def _embedding_rule(g: Array, table: Array, rows: Array) -> Array:
    d = np.zeros(table.shape, g.dtype)
    np.add.at(d, rows, g)
    return d


def _residual_rule(g: Array, x: Array, w: Array) -> tuple[Array, Array]:
    inner = g * (1 - np.tanh(x @ w.T) ** 2)
    return g + inner @ w, inner.T @ x


LINEAR = Exercise(
    "linear",
    "y = x wᵀ + b. Derive dx, dw and db from g.",
    linear,
    Space("n i, o i, o"),
    ("x", "w", "b"),
    lambda g, x, w, b: (g @ w, g.T @ x, g.sum(0)),
    (
        "Each result has the shape of its operand; only one product of g with the other operand has it.",
        "y[n,o] = Σᵢ x[n,i] w[o,i] + b[o]; sum g[n,o] · ∂y[n,o] over n and o.",
        "dx = g w, dw = gᵀ x, db = Σₙ g.",
    ),
)
MATMUL = Exercise(
    "matmul",
    "y = a b. Derive da and db from g.",
    matmul,
    Space("n k, k m"),
    ("a", "b"),
    lambda g, a, b: (g @ b.T, a.T @ g),
    ("Shapes: g is (n, m), da is (n, k), db is (k, m).", "y[n,m] = Σₖ a[n,k] b[k,m].", "da = g bᵀ, db = aᵀ g."),
)
RESIDUAL = Exercise(
    "residual",
    "y = x + tanh(x wᵀ). Derive dx and dw from g.",
    residual,
    Space("n d, d d"),
    ("x", "w"),
    _residual_rule,
    (
        "x is used twice: its cotangent is a sum.",
        "One way goes past the block unchanged: g. The other goes through tanh, then w.",
        "Let h = g(1 - tanh²). dx = g + h w, dw = hᵀ x.",
    ),
    terms=lambda g, x, w: [
        {"g of the shortcut": g, "(g(1 - tanh²)) w of the block": (g * (1 - np.tanh(x @ w.T) ** 2)) @ w},
        {"g of the block": (g * (1 - np.tanh(x @ w.T) ** 2)).T @ x},
    ],
    saved=lambda x, w: {"tanh(x wᵀ)": np.tanh(x @ w.T)},
)

register(
    LINEAR,
    *parts(
        LINEAR,
        {
            "x": (
                "y = x wᵀ + b. Derive dx from g.",
                ("dx has x's shape (n, i).", "dx[n,i] = Σₒ g[n,o] w[o,i].", "dx = g @ w"),
            ),
            "w": (
                "y = x wᵀ + b. Derive dw from g.",
                ("dw has w's shape (o, i).", "dw[o,i] = Σₙ g[n,o] x[n,i].", "dw = g.T @ x"),
            ),
            "b": (
                "y = x wᵀ + b. Derive db from g.",
                ("b is added to every row.", "What is used n times gets n contributions.", "db = g.sum(0)"),
            ),
        },
    ),
    MATMUL,
    *parts(
        MATMUL,
        {
            "a": (
                "y = a b. Derive da from g.",
                ("da has a's shape (n, k).", "da[n,k] = Σₘ g[n,m] b[k,m].", "da = g @ b.T"),
            ),
            "b": (
                "y = a b. Derive db from g.",
                ("db has b's shape (k, m).", "db[k,m] = Σₙ a[n,k] g[n,m].", "db = a.T @ g"),
            ),
        },
    ),
    RESIDUAL,
    Exercise(
        "embedding",
        "y = table[rows]. Derive dtable from g.",
        embedding,
        Space("v d, m", draws={1: integers("v")}),
        ("table",),
        _embedding_rule,
        (
            "Rows that were not taken get nothing.",
            "A row that was taken twice gets both cotangents.",
            "d = zeros; np.add.at(d, rows, g). d[rows] += g keeps only the last of a repeated row.",
        ),
        remarks={"unsummed": "A row that is taken twice gets the sum: np.add.at, not d[rows] = g."},
    ),
)
