"""Answers to lesson 2: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def mask(x, w1, b1):
    return x @ w1.T + b1 > 0


def slope(x, w):
    return 1 - np.tanh(x @ w.T) ** 2


def unit_by_unit(g, x, w1, b1, w2):
    dx = np.zeros_like(x)
    for h in range(len(w1)):
        on = (x @ w1[h] + b1[h] > 0).astype(x.dtype)
        dx += np.outer(on * (g @ w2[:, h]), w1[h])
    return dx


def residual_by_einsum(g, x, w):
    t = np.tanh(np.einsum("ni,oi->no", x, w))
    h = g - g * t * t
    return g + np.einsum("no,oi->ni", h, w), np.einsum("no,ni->oi", h, x)


RIGHT = {
    "linear_dx": [lambda g, x, w, b: (w.T @ g.T).T, lambda g, x, w, b: np.einsum("no,oi->ni", g, w)],
    "linear_dw": [
        lambda g, x, w, b: (x.T @ g).T,
        lambda g, x, w, b: sum(np.outer(g[n], x[n]) for n in range(len(x))),
    ],
    "relu": [lambda g, x: np.where(x > 0, g, 0), lambda g, x: g * np.heaviside(x, 0).astype(g.dtype)],
    "network": [unit_by_unit, lambda g, x, w1, b1, w2: np.where(mask(x, w1, b1), g @ w2, 0) @ w1],
    "adjoint_test": [
        lambda jvp, vjp, v, u: np.isclose(np.sum(u * jvp(v)), np.sum(vjp(u) * v), rtol=1e-4, atol=0),
        lambda jvp, vjp, v, u: bool(abs(u @ jvp(v) / (vjp(u) @ v) - 1) < 1e-4),
    ],
    "residual": [
        residual_by_einsum,
        lambda g, x, w: (g + (g / np.cosh(x @ w.T) ** 2) @ w, (g / np.cosh(x @ w.T) ** 2).T @ x),
    ],
}

WRONG = {
    "linear_dx": [
        ("Right when w is given with its axes 0 and 1 exchanged", lambda g, x, w, b: g @ w.T),
        ("right after multiplying by n", lambda g, x, w, b: g @ w / len(g)),
        ("but ⟨g, J v⟩ =", lambda g, x, w, b: g @ np.linalg.pinv(w).T),
    ],
    "linear_dw": [
        ("Right after transposing it", lambda g, x, w, b: x.T @ g),
        ("right after multiplying by n", lambda g, x, w, b: g.T @ x / len(g)),
        ("Right when every sample is treated alone and the results added", lambda g, x, w, b: np.outer(g[0], x[0])),
        ("The cotangent is ignored", lambda g, x, w, b: np.ones_like(g).T @ x),
    ],
    "relu": [
        ("The mask comes from the cotangent", lambda g, x: g * (g > 0)),
        ("Right when every entry of g is treated alone", lambda g, x: g * (g > 0) * (x > 0)),
        ("right after dividing the result by x", lambda g, x: g * np.maximum(x, 0)),
        ("The cotangent is ignored", lambda g, x: (x > 0).astype(x.dtype)),
    ],
    "network": [
        ("is left out: the cotangent is passed on unchanged", lambda g, x, w1, b1, w2: (g @ w2) @ w1),
        ("dx is not linear in g", lambda g, x, w1, b1, w2: np.maximum(g @ w2, 0) @ w1),
        ("dx is not linear in g", lambda g, x, w1, b1, w2: (np.maximum(g @ w2, 0) * mask(x, w1, b1)) @ w1),
        ("is taken as [", lambda g, x, w1, b1, w2: ((g @ w2) * (x @ w1.T > 0)) @ w1),
    ],
    "adjoint_test": [
        ("but you say True", lambda jvp, vjp, v, u: bool(np.isclose(u @ jvp(v), vjp(u) @ v))),
        ("but you say False", lambda jvp, vjp, v, u: bool(u @ jvp(v) == vjp(u) @ v)),
        ("but you say False", lambda jvp, vjp, v, u: bool(np.allclose(vjp(jvp(v)), v))),
        ("The result is True or False", lambda jvp, vjp, v, u: u @ jvp(v) - vjp(u) @ v),
    ],
    "residual": [
        (
            "The term g of the shortcut is missing",
            lambda g, x, w: ((g * slope(x, w)) @ w, (g * slope(x, w)).T @ x),
        ),
        ("is not transposed", lambda g, x, w: (g + (g * slope(x, w)) @ w.T, (g * slope(x, w)).T @ x)),
        ("is left out: the cotangent is passed on unchanged", lambda g, x, w: (g + g @ w, g.T @ x)),
        ("of the block is missing", lambda g, x, w: (g, (g * slope(x, w)).T @ x)),
    ],
}
