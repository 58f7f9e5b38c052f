"""Answers to lesson 8: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def probabilities(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def one_hot(labels, like):
    return (np.arange(like.shape[1]) == labels[:, None]).astype(like.dtype)


# --- the input gradient


def seeds(x, w, labels):
    z = x @ w.T
    return probabilities(z) - one_hot(labels, z)


def sample_by_sample(g, x, w, labels):
    dx = np.zeros_like(x)
    for n in range(len(x)):
        p = probabilities(w @ x[n])
        dx[n] = g * (p @ w - w[labels[n]]) / len(x)
    return dx


# --- log odds and margins


def among_others(z, labels):
    e = np.exp(z) * (1 - one_hot(labels, z))
    return e / e.sum(1, keepdims=True)


def log_odds_in_place(g, z, labels):
    dz = among_others(z, labels)
    dz[np.arange(len(z)), labels] = -1
    return dz * g[:, None]


def log_odds_from_softmax(g, z, labels):
    p = probabilities(z)
    true = one_hot(labels, z)
    wrong = (p * (1 - true)).sum(1, keepdims=True)
    return (p * (1 - true) / wrong - true) * g[:, None]


def runner_up(z, labels):
    return (z - 1000 * one_hot(labels, z)).argmax(1)


def margin_by_places(g, z, labels):
    dz = np.zeros_like(z)
    rows = np.arange(len(z))
    dz[rows, runner_up(z, labels)] = g
    dz[rows, labels] = -g
    return dz


def margin_row_by_row(g, z, labels):
    dz = np.zeros_like(z)
    for n, t in enumerate(labels):
        others = [k for k in range(z.shape[1]) if k != t]
        dz[n, max(others, key=lambda k: z[n, k])] += g[n]
        dz[n, t] -= g[n]
    return dz


# --- the step to the boundary


def by_direction(f, w, p):
    size = np.abs(w).sum() if p == np.inf else np.linalg.norm(w)
    direction = np.sign(w) if p == np.inf else w / size
    return -(f / size) * direction


def by_powers(f, w, p):
    q = 1 if p == np.inf else 2
    return -f / (np.abs(w) ** q).sum() * np.abs(w) ** (q - 1) * np.sign(w)


# --- the box


def slope(v):
    return 1 - np.tanh(v) ** 2


RIGHT = {
    "input_gradient": [sample_by_sample, lambda g, x, w, labels: (seeds(x, w, labels) * (g / len(x))) @ w],
    "log_odds": [log_odds_in_place, log_odds_from_softmax],
    "margin": [margin_by_places, margin_row_by_row],
    "to_boundary": [by_direction, by_powers],
    "box": [
        lambda g, v, low, high: g * ((high - low) / 2) / np.cosh(v) ** 2,
        lambda g, v, low, high: 0.5 * (high - low) * (g - g * np.tanh(v) ** 2),
    ],
}

WRONG = {
    "input_gradient": [
        ("right after multiplying by 1/n", lambda g, x, w, labels: g * seeds(x, w, labels) @ w),
        (
            "You treat `z` in `z[np.arange(len(labels)), labels]`",
            lambda g, x, w, labels: g * probabilities(x @ w.T) @ w / len(x),
        ),
        ("The sign is wrong", lambda g, x, w, labels: -g * seeds(x, w, labels) @ w / len(x)),
        (
            "You treat `np.log(np.exp(z).sum(1))` in",
            lambda g, x, w, labels: g * (-one_hot(labels, x @ w.T)) @ w / len(x),
        ),
        ("but ⟨g, J v⟩ =", lambda g, x, w, labels: np.sign(g * seeds(x, w, labels) @ w)),
    ],
    "log_odds": [
        ("there is a factor sigmoid(", lambda g, z, labels: g[:, None] * (probabilities(z) - one_hot(labels, z))),
        ("You treat `(z * true).sum(1)`", lambda g, z, labels: g[:, None] * among_others(z, labels)),
        ("The cotangent is ignored", lambda g, z, labels: among_others(z, labels) - one_hot(labels, z)),
        ("The sign is wrong", lambda g, z, labels: g[:, None] * (one_hot(labels, z) - among_others(z, labels))),
    ],
    "margin": [
        ("The sign is wrong", lambda g, z, labels: -margin_by_places(g, z, labels)),
        ("You treat `(z - 1000 * true).max(1)` in", lambda g, z, labels: -g[:, None] * one_hot(labels, z)),
        (
            "`z` is used in the place of (z - 1000 * true)",
            lambda g, z, labels: g[:, None] * (one_hot(z.argmax(1), z) - one_hot(labels, z)),
        ),
        (
            "the cotangent goes to every entry, not only to the one that is taken",
            lambda g, z, labels: g[:, None] * (1 - 2 * one_hot(labels, z)),
        ),
        ("The cotangent is ignored", lambda g, z, labels: margin_by_places(np.ones_like(g), z, labels)),
    ],
    "to_boundary": [
        ("The square is missing", lambda f, w, p: -f / np.linalg.norm(w) * w),
        ("The step goes the wrong way", lambda f, w, p: f / (w @ w) * w),
        ("there is a smaller step in this norm", lambda f, w, p: -f / (w @ w) * w),
        ("there is a smaller step in this norm", lambda f, w, p: -f / np.abs(w).sum() * np.sign(w)),
        ("must land on the boundary", lambda f, w, p: -1.02 * f / (w @ w) * w),
        ("The step goes the wrong way", lambda f, w, p: by_direction(abs(f), w, p)),
    ],
    "box": [
        ("is taken as the constant 2 in place of (high - low)", lambda g, v, low, high: g * slope(v)),
        ("right after multiplying by 1/2", lambda g, v, low, high: g * (high - low) * slope(v)),
        ("The factor 1 - np.tanh(v)² is missing", lambda g, v, low, high: g * (high - low) / 2),
        ("is taken as (1 - np.tanh(v)) in place of", lambda g, v, low, high: g * (high - low) / 2 * (1 - np.tanh(v))),
        ("dv is not linear in g", lambda g, v, low, high: np.clip(g, low, high)),
    ],
}
