"""Answers to lesson 11: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np

# --- both routes


def forward(w, x, t, rate):
    e = w @ x - t
    moved = x + rate * e * w
    return e, moved, w @ moved - t


def by_routes(g, w, x, t, rate):
    """Route 1, then the two parts of route 2."""
    e, moved, after = forward(w, x, t, rate)
    return g * after * moved, g * after * rate * e * w, g * after * rate * (w @ w) * x


def expanded(g, w, x, t, rate):
    """w·x' - t = e (1 + rate ‖w‖²)."""
    e = w @ x - t
    grown = 1 + rate * (w @ w)
    return g * e * grown * (grown * x + 2 * rate * e * w)


# --- moves


def samples(x, reduction):
    return {"mean": x.shape[0], "sum": 1}[reduction]


def one_by_one(x, gradient, rate, reduction):
    moves = [row + rate * samples(x, reduction) * slope for row, slope in zip(x, gradient, strict=True)]
    return np.stack(moves)


RIGHT = {
    "move": [
        lambda x, w, t, rate: x + (np.dot(x, w) - t) * (rate * w),
        lambda x, w, t, rate: x - rate * (t * w - np.outer(w, w) @ x),
    ],
    "penalty_slope": [
        lambda g, w, x, t: g * ((w @ x - t) * 2 * x * (w @ w) + (w @ x - t) ** 2 * 2 * w),
        lambda g, w, x, t: 2 * g * (np.outer(w, x) + (w @ x - t) * np.eye(len(w), dtype=w.dtype)).T @ ((w @ x - t) * w),
    ],
    "whole_slope": [lambda *args, **how: sum(by_routes(*args, **how)), expanded],
    "moved_batch": [one_by_one, lambda x, gradient, rate, reduction: x + gradient * (rate * samples(x, reduction))],
}

WRONG = {
    "move": [
        ("The error falls", lambda x, w, t, rate: x - rate * (w @ x - t) * w),
        ("That is FGSM", lambda x, w, t, rate: x + rate * np.sign((w @ x - t) * w)),
        ("This is the step alone", lambda x, w, t, rate: rate * (w @ x - t) * w),
        ("is not x + rate", lambda x, w, t, rate: x + rate * (w @ x - t) * x),
        ("is not x + rate", lambda x, w, t, rate: x + rate * w),
        ("is not x + rate", lambda x, w, t, rate: x + rate * (w @ x - t) * w / len(x)),
    ],
    "penalty_slope": [
        ("You treat `w @ w` in", lambda g, w, x, t: 2 * g * (w @ x - t) * (w @ w) * x),
        ("You treat `(w @ x - t) ** 2` in", lambda g, w, x, t: 2 * g * (w @ x - t) ** 2 * w),
        ("right after multiplying by 2", lambda g, w, x, t: g * (w @ x - t) * ((w @ w) * x + (w @ x - t) * w)),
        ("the factor (w @ x - t) is missing", lambda g, w, x, t: 2 * g * ((w @ w) * x + (w @ x - t) * w)),
    ],
    "whole_slope": [
        ("You treat `moved` in", lambda *args, **how: by_routes(*args, **how)[0]),
        ("You treat `w` in `w @ moved`", lambda *args, **how: sum(by_routes(*args, **how)[1:])),
        ("You treat `rate * (w @ x - t)` in", lambda *args, **how: sum(by_routes(*args, **how)[:2])),
        ("but ⟨g, J v⟩ =", lambda g, w, x, t, rate: g * (w @ x - t) * x),
    ],
    "moved_batch": [
        ("n times too small", lambda x, gradient, rate, reduction: x + rate * gradient),
        ("n times too large", lambda x, gradient, rate, reduction: x + rate * len(x) * gradient),
        ("go down their error", lambda x, g, rate, reduction: x - rate * samples(x, reduction) * g),
        (
            "counted along the first axis",
            lambda x, g, rate, reduction: x + rate * g * (x.shape[-1] if reduction == "mean" else 1),
        ),
        (
            "has the shape of x",
            lambda x, g, rate, reduction: (x + rate * samples(x, reduction) * g).reshape(len(x), -1),
        ),
    ],
}
