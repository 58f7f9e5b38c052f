"""Exercises on attention: the scores of queries and keys, the weighted values, and both together."""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.book.base import Exercise
from tinygrad2.verify.book.softmax import softmax, softmax_vjp
from tinygrad2.verify.space import Space

# --- scores


def attention_scores(q: Array, k: Array) -> Array:
    """q kᵀ/√d: how well each query fits each key. q: (m, d); k: (n, d); result: (m, n)."""
    return q @ k.T / q.shape[1] ** 0.5


def attention_scores_vjp(g: Array, q: Array, k: Array) -> tuple[Array, Array]:
    """dq and dk. g: (m, n)."""
    scale = q.shape[1] ** 0.5
    return g @ k / scale, g.T @ q / scale


ATTENTION_SCORES = Exercise(
    "attention.scores",
    "y = q kᵀ/√d, d the length of a query.",
    forward=attention_scores,
    solution=attention_scores_vjp,
    hints=(
        "It is a matrix product and a constant factor.",
        "y[m,n] = Σ q[m,d] k[n,d]/√d; sum g[m,n] · ∂y[m,n] over m and n.",
        "dq = g k/√d, dk = gᵀ q/√d.",
    ),
    wrt=("q", "k"),
    space=Space("m d, n d", sizes={"d": (2, 4)}),
    difficulty="easy",
    saved=lambda q, k: {"√d": np.asarray(q.shape[1] ** 0.5)},
)

# --- values


def attention_values(s: Array, v: Array) -> Array:
    """softmax(s) v: the mean of the values with the weights of the scores. s: (m, n); v: (n, e); result: (m, e)."""
    return softmax(s) @ v


def attention_values_vjp(g: Array, s: Array, v: Array) -> tuple[Array, Array]:
    """ds through the softmax, and dv. g: (m, e)."""
    return softmax_vjp(g @ v.T, s), softmax(s).T @ g


def attention_values_terms(g: Array, s: Array, v: Array) -> list[dict[str, Array]]:
    """The two terms of ds, and the one of dv. p is softmax(s), h = g vᵀ."""
    p = softmax(s)
    h = g @ v.T
    return [
        {"p h": p * h, "-p Σ(p h)": -p * (p * h).sum(-1, keepdims=True), "~-p² h (as for sigmoid)": -(p**2) * h},
        {"pᵀ g": p.T @ g},
    ]


ATTENTION_VALUES = Exercise(
    "attention.values",
    "y = p v, p = softmax(s) over each row.",
    forward=attention_values,
    solution=attention_values_vjp,
    hints=(
        "First the matrix product p v, then the softmax.",
        "dp = g vᵀ and dv = pᵀ g.",
        "With h = g vᵀ: ds = p(h - Σ p h), the sum over the row; dv = pᵀ g.",
    ),
    wrt=("s", "v"),
    space=Space("m n, n e", sizes={"n": (2, 5), "e": (1, 3)}),
    difficulty="medium",
    terms=attention_values_terms,
    saved=lambda s, v: {"softmax(s)": softmax(s)},
    remarks={"missing-term": "The Jacobian of softmax is not diagonal."},
)

# --- both


def attention(q: Array, k: Array, v: Array) -> Array:
    """softmax(q kᵀ/√d) v. q: (m, d); k: (n, d); v: (n, e); result: (m, e)."""
    return attention_values(attention_scores(q, k), v)


def attention_vjp(g: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
    """dq, dk and dv: back through the values, then through the scores. g: (m, e)."""
    ds, dv = attention_values_vjp(g, attention_scores(q, k), v)
    dq, dk = attention_scores_vjp(ds, q, k)
    return dq, dk, dv


def attention_terms(g: Array, q: Array, k: Array, v: Array) -> list[dict[str, Array]]:
    """The two terms of dq and of dk, and the one of dv. p is the softmax, h = g vᵀ."""
    p = softmax(attention_scores(q, k))
    h = g @ v.T
    own = p * h / q.shape[1] ** 0.5
    row = -p * (p * h).sum(-1, keepdims=True) / q.shape[1] ** 0.5
    return [
        {"(p h) k/√d": own @ k, "-(p Σ(p h)) k/√d": row @ k},
        {"(p h)ᵀ q/√d": own.T @ q, "-(p Σ(p h))ᵀ q/√d": row.T @ q},
        {"pᵀ g": p.T @ g},
    ]


ATTENTION = Exercise(
    "attention",
    "y = softmax(q kᵀ/√d) v, softmax over each row, d the length of a query.",
    forward=attention,
    solution=attention_vjp,
    hints=(
        "Three steps: scores s = q kᵀ/√d, weights p = softmax(s), values y = p v. Go back one at a time.",
        "dv = pᵀ g, dp = g vᵀ; then softmax: ds = p(dp - Σ p dp), the sum over the row.",
        "dq = ds k/√d, dk = dsᵀ q/√d.",
    ),
    wrt=("q", "k", "v"),
    space=Space("m d, n d, n e", sizes={"m": (1, 3), "n": (2, 4), "d": (2, 4), "e": (1, 3)}),
    difficulty="hard",
    terms=attention_terms,
    saved=lambda q, k, v: {"√d": np.asarray(q.shape[1] ** 0.5)},
)

EXERCISES = (ATTENTION_SCORES, ATTENTION_VALUES, ATTENTION)
