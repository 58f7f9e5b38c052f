"""Answers to lesson 3: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slope(x):
    return sigmoid(x) * (1 - sigmoid(x))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def onehot(z, labels):
    return (np.arange(z.shape[1]) == labels[:, None]).astype(z.dtype)


# --- Drucker and LeCun


def parts(w1, w2, x, b, t):
    """The mask, the error, the slope ∂E/∂x."""
    a = w1 * x + b
    on = a > 0
    e = w2 * np.where(on, a, 0) - t
    return on, e, e * w2 * on * w1


def by_lanes(g, w1, w2, x, b, t):
    on, e, s = parts(w1, w2, x, b, t)
    from_lane_2 = s * (e * w2 * on)
    from_lane_1 = s * w1 * w2 * on * w2 * on * x
    return g * (from_lane_2 + from_lane_1)


def by_factored_slope(g, w1, w2, x, b, t):
    on, e, s = parts(w1, w2, x, b, t)
    return np.where(on, g * s * w2 * (e + w1 * w2 * x), 0)


def error_constant(g, w1, w2, x, b, t):
    on, e, s = parts(w1, w2, x, b, t)
    return g * s * on * e * w2


def slope_constant(g, w1, w2, x, b, t):
    on, _, s = parts(w1, w2, x, b, t)
    return g * s * on * w1 * w2 * w2 * x


# --- the linear layer


def linear(g, u, x, w, b):
    ux, uw, ub = u
    return g @ uw, g.T @ ux, np.zeros_like(b), ux @ w.T + x @ uw.T + ub


def linear_by_einsum(g, u, x, w, b):
    ux, uw, ub = u
    dg = np.einsum("ni,oi->no", ux, w) + np.einsum("ni,oi->no", x, uw) + ub[None]
    return np.einsum("no,oi->ni", g, uw), np.einsum("no,ni->oi", g, ux), 0 * b, dg


def linear_stacked(g, u, x, w, b):
    ux, uw, ub = u
    dg = np.hstack([ux, x]) @ np.hstack([w, uw]).T + ub
    return (uw.T @ g.T).T, (ux.T @ g).T, b - b, dg


def only_through_x(g, u, x, w, b):
    dx, dw, db, _ = linear(g, u, x, w, b)
    return dx, dw, db, u[0] @ w.T


def without_bias(g, u, x, w, b):
    dx, dw, db, dg = linear(g, u, x, w, b)
    return dx, dw, db, dg - u[2]


def nothing_for_the_weights(g, u, x, w, b):
    _, _, db, dg = linear(g, u, x, w, b)
    return 0 * x, 0 * w, db, dg


def first_order_bias(g, u, x, w, b):
    dx, dw, _, dg = linear(g, u, x, w, b)
    return dx, dw, g.sum(0), dg


# --- cross-entropy


def loss(g, u, z, labels):
    p = softmax(z)
    dz = g * p * (u - (p * u).sum(1, keepdims=True)) / len(z)
    return dz, (u * (p - onehot(z, labels))).sum() / len(z)


def loss_by_jacobian(g, u, z, labels):
    p = softmax(z)
    jacobian = p[:, :, None] * (np.eye(z.shape[1], dtype=z.dtype) - p[:, None, :])
    return g * np.einsum("nij,nj->ni", jacobian, u) / len(z), np.mean(np.sum(u * (p - onehot(z, labels)), 1))


def loss_by_parts(g, u, z, labels):
    p = softmax(z)
    dz = (g * p * u - g * p * np.einsum("nk,nk->n", p, u)[:, None]) / z.shape[0]
    return dz, ((u * p).sum() - u[np.arange(len(z)), labels].sum()) / len(z)


RIGHT = {
    "penalty": [
        lambda g, w1, w2: (g * w1 * w2**2, g * w1**2 * w2),
        lambda g, w1, w2: tuple(g * (w1 * w2) ** 2 / w for w in (w1, w2)),
    ],
    "weight_of_penalty": [by_lanes, by_factored_slope],
    "relu_double": [lambda g, u, x: (0 * x, np.where(x > 0, u, 0)), lambda g, u, x: (x - x, u * (np.sign(x) > 0))],
    "linear_double": [linear_by_einsum, linear_stacked],
    "sigmoid_double": [
        lambda g, u, x: (g * u * (slope(x) - 2 * sigmoid(x) * slope(x)), u * slope(x)),
        lambda g, u, x: (-g * u * np.tanh(x / 2) / (4 * np.cosh(x / 2) ** 2), u / (4 * np.cosh(x / 2) ** 2)),
    ],
    "cross_entropy_double": [loss_by_jacobian, loss_by_parts],
}

WRONG = {
    "penalty": [
        ("You treat `0.5 * (w1 * w2) ** 2`", lambda g, w1, w2: (0 * w1, 0 * w2)),
        ("right after multiplying by 2", lambda g, w1, w2: (0.5 * g * w1 * w2**2, 0.5 * g * w1**2 * w2)),
        ("The factor w2 is missing", lambda g, w1, w2: (g * w1 * w2, g * w1 * w2)),
        ("have changed places", lambda g, w1, w2: (g * w1**2 * w2, g * w1 * w2**2)),
    ],
    "weight_of_penalty": [
        ("The part through `e", error_constant),
        ("is left out, and the part through", slope_constant),
        ("is taken as 0.5² in place of 0.5", lambda *args: 0.5 * by_lanes(*args)),
    ],
    "relu_double": [
        ("[x < 0] is missing", lambda g, u, x: (g * u * (x > 0), u * (x > 0))),
        ("but ⟨u, J v⟩ =", lambda g, u, x: (0 * x, g * (x > 0))),
        ("the part of the answer that comes through it is missing", lambda g, u, x: (0 * x, 0 * u)),
        ("it must be [x > 0]", lambda g, u, x: (0 * x, u * (u > 0))),
        ("have changed places", lambda g, u, x: (u * (x > 0), 0 * x)),
    ],
    "linear_double": [
        ("The term x uwᵀ is missing", only_through_x),
        ("The term ub is missing", without_bias),
        ("The term gᵀ ux is missing", nothing_for_the_weights),
        ("A term without u has been added", first_order_bias),
    ],
    "sigmoid_double": [
        ("The cotangent is ignored", lambda g, u, x: (g * slope(x) * (1 - 2 * sigmoid(x)), u * slope(x))),
        ("The factor g is missing", lambda g, u, x: (u * slope(x) * (1 - 2 * sigmoid(x)), u * slope(x))),
        ("The term g u y(1 - y) is missing", lambda g, u, x: (0 * x, u * slope(x))),
        ("has the wrong sign", lambda g, u, x: (g * u * slope(x) * (1 + 2 * sigmoid(x)), u * slope(x))),
        ("The factor y' is missing", lambda g, u, x: (g * u * (1 - 2 * sigmoid(x)), u * slope(x))),
    ],
    "cross_entropy_double": [
        (
            "right after multiplying by 1/n",
            lambda g, u, z, labels: (loss(g, u, z, labels)[0] * len(z), loss(g, u, z, labels)[1]),
        ),
        ("The factor g is missing", lambda g, u, z, labels: (loss(1.0, u, z, labels)[0], loss(g, u, z, labels)[1])),
        (
            "but ⟨u, J v⟩ =",
            lambda g, u, z, labels: (g * softmax(z) * (1 - softmax(z)) * u / len(z), loss(g, u, z, labels)[1]),
        ),
        (
            "at the labels/n is missing",
            lambda g, u, z, labels: (loss(g, u, z, labels)[0], (u * softmax(z)).sum() / len(z)),
        ),
    ],
}
