"""Answers to lesson 9: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# --- a network


def unit_by_unit(g, w1, w2, x):
    on = [h for h in range(len(w1)) if w1[h] @ x > 0]
    dj = 2 * g * sum((np.outer(w2[:, h], w1[h]) for h in on), np.zeros((len(w2), len(x)), w1.dtype))
    to_w1 = np.zeros_like(w1)
    to_w2 = np.zeros_like(w2)
    for h in on:
        to_w1[h] = w2[:, h] @ dj
        to_w2[:, h] = dj @ w1[h]
    return to_w1, to_w2


def masked_weights(g, w1, w2, x):
    d = np.diag(w1 @ x > 0).astype(w1.dtype)
    j = w2 @ d @ w1
    return 2 * g * d @ w2.T @ j, 2 * g * j @ w1.T @ d


def without_mask(g, w1, w2, x):
    dj = 2 * g * w2 @ w1
    return w2.T @ dj, dj @ w1.T


def mask_forgotten_at_the_end(g, w1, w2, x):
    on = w1 @ x > 0
    dj = 2 * g * (w2 * on) @ w1
    return w2.T @ dj, dj @ w1.T


def not_doubled(g, w1, w2, x):
    return tuple(0.5 * part for part in masked_weights(g, w1, w2, x))


# --- rows of length one


def row_by_row(g, v):
    rows = [2 * g * (1 - 1 / np.sqrt(row @ row)) * row / len(v) for row in v]
    return np.array(rows, v.dtype)


def length(v, axis):
    return np.sqrt((v * v).sum(axis, keepdims=True))


def length_along(axis):
    return lambda g, v: 2 * g * (length(v, axis) - 1) * v / length(v, axis) / len(v)


# --- cross-Lipschitz


def all_pairs(g, j):
    result = np.zeros_like(j)
    for k, row in enumerate(j):
        for other in j:
            result[k] += 4 * (row - other) / len(j) ** 2
    return g * result


def centred(g, j):
    k = len(j)
    return 4 * g / k * ((np.eye(k, dtype=j.dtype) - j.dtype.type(1 / k)) @ j)


# --- the slope of the loss


def parts(g, x, t, w):
    p = softmax(x @ w.T)
    u = p - t
    dv = 2 * g * (u @ w) / len(x)
    du = dv @ w.T
    dz = p * (du - (p * du).sum(1, keepdims=True))
    return u.T @ dv, dz.T @ x


def sample_by_sample(g, x, t, w):
    total = np.zeros_like(w)
    for row, target in zip(x, t, strict=True):
        p = softmax((w @ row)[None])[0]
        u = p - target
        dv = 2 * g * w.T @ u / len(x)
        dz = (np.diag(p) - np.outer(p, p)) @ (w @ dv)
        total += np.outer(u, dv) + np.outer(dz, row)
    return total


def softmax_as_sigmoid(g, x, t, w):
    p = softmax(x @ w.T)
    dv = 2 * g * ((p - t) @ w) / len(x)
    return (p - t).T @ dv + (p * (1 - p) * (dv @ w.T)).T @ x


RIGHT = {
    "frobenius": [lambda g, w: g * w * (w * w).sum() ** -0.5, lambda g, w: g / np.linalg.norm(w) * w],
    "network": [unit_by_unit, masked_weights],
    "length_one": [row_by_row, lambda g, v: 2 * g / len(v) * (v - v / length(v, 1))],
    "cross_lipschitz": [all_pairs, centred],
    "loss_slope": [lambda *args: sum(parts(*args)), sample_by_sample],
}

WRONG = {
    "frobenius": [
        ("The cotangent is ignored", lambda g, w: w / np.linalg.norm(w)),
        ("The factor 1/(‖w‖) is missing", lambda g, w: g * w),
        ("is left out: the cotangent is passed on unchanged", lambda g, w: 2 * g * w),
        ("right after multiplying by 1/2", lambda g, w: 2 * g * w / np.linalg.norm(w)),
        ("The factor ‖w‖ is missing", lambda g, w: g * w / (w * w).sum()),
    ],
    "network": [
        ("of f with `w2` in the place of `w2 * on`", without_mask),
        ("The factor on is missing", mask_forgotten_at_the_end),
        ("The part through `jacobian` in `jacobian * jacobian`", not_doubled),
        ("have changed places", lambda *args: masked_weights(*args)[::-1]),
    ],
    "length_one": [
        ("By configuration: n=1: 1 of 2 right", length_along(0)),
        ("By configuration: n=1: 2 of 2 right", length_along(None)),
        ("right after multiplying by 1/n", lambda g, v: len(v) * length_along(1)(g, v)),
        ("The factor 1/(‖v‖ of each row) is missing", lambda g, v: 2 * g * (length(v, 1) - 1) * v / len(v)),
        ("The factor v is missing", lambda g, v: 2 * g * (length(v, 1) - 1) / length(v, 1) / len(v) + 0 * v),
    ],
    "cross_lipschitz": [
        ("As the cotangent of `j` you use that of `differences * differences`", lambda g, j: 4 * g / len(j) * j),
        ("right after multiplying by 2", lambda g, j: 2 * g / len(j) * (j - j.mean(0))),
        ("right after multiplying by 1/k", lambda g, j: 4 * g * (j - j.mean(0))),
        ("By configuration: d=1: 3 of 3 right", lambda g, j: 4 * g / len(j) * (j - j.mean())),
        ("The cotangent is ignored", lambda g, j: 4 / len(j) * (j - j.mean(0))),
    ],
    "loss_slope": [
        ("You treat `softmax(x @ w.T) - t`", lambda *args: parts(*args)[0]),
        ("You treat `w` in", lambda *args: parts(*args)[1]),
        ("right after multiplying by 1/n", lambda g, x, *args: len(x) * sum(parts(g, x, *args))),
        ("it is treated as if every entry depended on the same entry alone", softmax_as_sigmoid),
        ("has the wrong sign", lambda *args: parts(*args)[0] - parts(*args)[1]),
    ],
}
