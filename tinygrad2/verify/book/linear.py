"""Exercises on products of matrices and their like: linear layer, matrix product, residual block, embedding.

They are linear in each operand, so every cotangent is another product.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.space import Space, integers

# --- linear layer


def linear(x: Array, w: Array, b: Array) -> Array:
    """x wᵀ + b. x: (n, i); w: (o, i); b: (o,); result: (n, o)."""
    return x @ w.T + b


def linear_dx(g: Array, x: Array, w: Array, b: Array) -> Array:
    """g w. g: (n, o); result: (n, i)."""
    return g @ w


def linear_dw(g: Array, x: Array, w: Array, b: Array) -> Array:
    """gᵀ x, which sums over the batch. g: (n, o); result: (o, i)."""
    return g.T @ x


def linear_db(g: Array, x: Array, w: Array, b: Array) -> Array:
    """b is added to every row, so its cotangent is the sum of the rows. g: (n, o); result: (o,)."""
    return g.sum(0)


def linear_vjp(g: Array, x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    """dx, dw and db. g: (n, o)."""
    return g @ w, g.T @ x, g.sum(0)


LINEAR = Exercise(
    "linear",
    "y = x wᵀ + b.",
    forward=linear,
    solution=linear_vjp,
    hints=(
        "Each result has the shape of its operand; only one product of g with the other operand has it.",
        "y[n,o] = Σᵢ x[n,i] w[o,i] + b[o]; sum g[n,o] · ∂y[n,o] over n and o.",
        "dx = g w, dw = gᵀ x, db = Σₙ g.",
    ),
    wrt=("x", "w", "b"),
    space=Space("n i, o i, o"),
    difficulty="easy",
)
LINEAR_DX = LINEAR.part("x", linear_dx, hints=("dx has x's shape (n, i).", "dx[n,i] = Σₒ g[n,o] w[o,i].", "dx = g @ w"))
LINEAR_DW = LINEAR.part(
    "w", linear_dw, hints=("dw has w's shape (o, i).", "dw[o,i] = Σₙ g[n,o] x[n,i].", "dw = g.T @ x")
)
LINEAR_DB = LINEAR.part(
    "b", linear_db, hints=("b is added to every row.", "What is used n times gets n contributions.", "db = g.sum(0)")
)

# --- matrix product


def matmul(a: Array, b: Array) -> Array:
    """a b. a: (n, k); b: (k, m); result: (n, m)."""
    return a @ b


def matmul_da(g: Array, a: Array, b: Array) -> Array:
    """g bᵀ. g: (n, m); result: (n, k)."""
    return g @ b.T


def matmul_db(g: Array, a: Array, b: Array) -> Array:
    """aᵀ g. g: (n, m); result: (k, m)."""
    return a.T @ g


def matmul_vjp(g: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da and db. g: (n, m)."""
    return g @ b.T, a.T @ g


MATMUL = Exercise(
    "matmul",
    "y = a b.",
    forward=matmul,
    solution=matmul_vjp,
    hints=("Shapes: g is (n, m), da is (n, k), db is (k, m).", "y[n,m] = Σₖ a[n,k] b[k,m].", "da = g bᵀ, db = aᵀ g."),
    wrt=("a", "b"),
    space=Space("n k, k m"),
    difficulty="easy",
)
MATMUL_DA = MATMUL.part(
    "a", matmul_da, hints=("da has a's shape (n, k).", "da[n,k] = Σₘ g[n,m] b[k,m].", "da = g @ b.T")
)
MATMUL_DB = MATMUL.part(
    "b", matmul_db, hints=("db has b's shape (k, m).", "db[k,m] = Σₙ a[n,k] g[n,m].", "db = a.T @ g")
)

# --- residual block


def residual(x: Array, w: Array) -> Array:
    """x + tanh(x wᵀ). x: (n, d); w: (d, d)."""
    return x + np.tanh(x @ w.T)


def residual_vjp(g: Array, x: Array, w: Array) -> tuple[Array, Array]:
    """The cotangent goes past the block and through it; both ways add up. g: (n, d)."""
    inner = g * (1 - np.tanh(x @ w.T) ** 2)
    return g + inner @ w, inner.T @ x


def residual_terms(g: Array, x: Array, w: Array) -> list[dict[str, Array]]:
    """The two ways to dx, and the one to dw."""
    inner = g * (1 - np.tanh(x @ w.T) ** 2)
    return [
        {"g of the shortcut": g, "(g(1 - tanh²)) w of the block": inner @ w},
        {"g of the block": inner.T @ x},
    ]


RESIDUAL = Exercise(
    "residual",
    "y = x + tanh(x wᵀ).",
    forward=residual,
    solution=residual_vjp,
    hints=(
        "x is used twice: its cotangent is a sum.",
        "One way goes past the block unchanged: g. The other goes through tanh, then w.",
        "Let h = g(1 - tanh²). dx = g + h w, dw = hᵀ x.",
    ),
    wrt=("x", "w"),
    space=Space("n d, d d"),
    difficulty="medium",
    terms=residual_terms,
    saved=lambda x, w: {"tanh(x wᵀ)": np.tanh(x @ w.T)},
)

# --- embedding


def embedding(table: Array, rows: Array) -> Array:
    """table[rows]. table: (v, d); rows: (m,) integers, in which a row may occur twice; result: (m, d)."""
    return table[rows]


def embedding_vjp(g: Array, table: Array, rows: Array) -> Array:
    """Every cotangent is added to the row that it came from. g: (m, d); result: (v, d)."""
    dtable = np.zeros(table.shape, g.dtype)
    np.add.at(dtable, rows, g)
    return dtable


EMBEDDING = Exercise(
    "embedding",
    "y = table[rows].",
    forward=embedding,
    solution=embedding_vjp,
    hints=(
        "Rows that were not taken get nothing.",
        "A row that was taken twice gets both cotangents.",
        "d = zeros; np.add.at(d, rows, g). d[rows] += g keeps only the last of a repeated row.",
    ),
    wrt=("table",),
    space=Space("v d, m", draws={1: integers("v")}),
    difficulty="medium",
    remarks={"unsummed": "A row that is taken twice gets the sum: np.add.at, not d[rows] = g."},
)

EXERCISES = (
    LINEAR,
    LINEAR_DX,
    LINEAR_DW,
    LINEAR_DB,
    MATMUL,
    MATMUL_DA,
    MATMUL_DB,
    RESIDUAL,
    EMBEDDING,
)
