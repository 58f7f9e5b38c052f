"""Answers to lesson 10: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def first_coordinate(f, v):
    r = np.zeros_like(v)
    r[0] = -f / v[0]
    return r


# --- the distance


def lengths(v):
    return np.linalg.norm(v, axis=1)


def row_by_row(g, f, v):
    df = np.array([gi * np.sign(fi) / np.sqrt(vi @ vi) for gi, fi, vi in zip(g, f, v, strict=True)], f.dtype)
    dv = np.array([-gi * abs(fi) * vi / (vi @ vi) ** 1.5 for gi, fi, vi in zip(g, f, v, strict=True)], v.dtype)
    return df, dv


def through_unit_vectors(g, f, v):
    unit = v / lengths(v)[:, None]
    d = np.abs(f) / lengths(v)
    return g * d / f, -np.einsum("n,nd->nd", g * d / lengths(v), unit)


def distance(g, f, v, power=3, sign=True, minus=-1.0):
    df = g * (np.sign(f) if sign else 1) / lengths(v)
    return df, minus * (g * np.abs(f) / lengths(v) ** power)[:, None] * v


# --- the distance of a network


def parts(g, w, c, first, bias, x):
    """Through the lead, and through the slope."""
    before = first @ x + bias
    on = before > 0
    f = w @ np.maximum(before, 0) + c
    v = first.T @ (on * w)
    length = np.sqrt(v @ v)
    return g * np.sign(f) / length * np.maximum(before, 0), -g * np.abs(f) / length**3 * on * (first @ v)


def by_gram(g, w, c, first, bias, x):
    before = first @ x + bias
    a = np.where(before > 0, before, 0)
    seen = first[before > 0]
    gram = np.zeros((len(w), len(w)), w.dtype)
    gram[np.ix_(before > 0, before > 0)] = seen @ seen.T
    f = w @ a + c
    square = w @ gram @ w
    return g * (np.sign(f) * a / np.sqrt(square) - np.abs(f) * (gram @ w) / square**1.5)


def without_mask(g, w, c, first, bias, x):
    before = first @ x + bias
    f = w @ np.maximum(before, 0) + c
    v = first.T @ ((before > 0) * w)
    length = np.sqrt(v @ v)
    return g * np.sign(f) / length * np.maximum(before, 0) - g * np.abs(f) / length**3 * (first @ v)


# --- the regulariser


def in_two_parts(g, rho, lead, c, d):
    result = np.empty_like(rho)
    right = lead > 0
    result[right] = -g * c * np.exp(-c * rho[right]) / len(rho)
    result[~right] = g * d * np.exp(d * rho[~right]) / len(rho)
    return result


def rates(rho, right, c, d):
    return np.where(right, -c, d).astype(rho.dtype)


RIGHT = {
    "deepfool_step": [
        lambda f, v: -(f / np.linalg.norm(v)) * (v / np.linalg.norm(v)),
        lambda f, v: np.linalg.pinv(v[None])[:, 0] * -f,
    ],
    "distance": [row_by_row, through_unit_vectors],
    "reverse_network": [
        lambda g, first, w, m: ((m * w)[:, None] * g, np.einsum("h,hd,d->h", m, first, g)),
        lambda g, first, w, m: (np.diag(m) @ w[:, None] @ g[None], (first * m[:, None]) @ g),
    ],
    "through_the_attack": [lambda *args: sum(parts(*args)), by_gram],
    "regulariser": [
        in_two_parts,
        lambda g, rho, lead, c, d: g / len(rho) * rates(rho, lead > 0, c, d) * np.exp(rates(rho, lead > 0, c, d) * rho),
    ],
}

WRONG = {
    "deepfool_step": [
        ("beyond the boundary", lambda f, v: -f / np.linalg.norm(v) * v),
        ("away from the boundary", lambda f, v: f / (v @ v) * v),
        ("a shorter one does, too", first_coordinate),
        ("does not reach the boundary", lambda f, v: -f / (v @ v) ** 2 * v),
        ("The step has the shape of v", lambda f, v: -f / np.linalg.norm(v)),
    ],
    "distance": [
        ("The factor sign(f) is missing", lambda g, f, v: distance(g, f, v, sign=False)),
        ("The sign is wrong", lambda g, f, v: distance(g, f, v, minus=1.0)),
        ("The rule uses f where it needs y", lambda g, f, v: distance(g, f, v, power=2)),
        ("the part of the answer that comes through it is missing", lambda g, f, v: (distance(g, f, v)[0], 0 * v)),
        (
            "The factor sign(f) is missing",
            lambda g, f, v: (distance(g, f, v)[0], -(g * f / lengths(v) ** 3)[:, None] * v),
        ),
    ],
    "reverse_network": [
        ("dfirst: The factor m is missing", lambda g, first, w, m: (np.outer(w, g), m * (first @ g))),
        ("dw: The factor m is missing", lambda g, first, w, m: (np.outer(m * w, g), first @ g)),
        (
            "as a constant: the part of the answer that comes through it is missing",
            lambda g, first, w, m: (np.outer(m * w, g), 0 * w),
        ),
        ("Right after transposing it", lambda g, first, w, m: (np.outer(g, m * w), m * (first @ g))),
    ],
    "through_the_attack": [
        ("You treat `np.sqrt((v * v).sum())` in", lambda *args: parts(*args)[0]),
        ("You treat `np.abs(f)` in", lambda *args: parts(*args)[1]),
        ("The factor (before > 0) is missing", without_mask),
        ("has the wrong sign", lambda *args: parts(*args)[0] - parts(*args)[1]),
    ],
    "regulariser": [
        ("always true", lambda g, rho, lead, c, d: -g * c * np.exp(-c * rho) / len(rho)),
        ("right after multiplying by 1/n", lambda g, rho, lead, c, d: len(rho) * in_two_parts(g, rho, lead, c, d)),
        ("turned round", lambda g, rho, lead, c, d: in_two_parts(g, rho, -lead, c, d)),
        (
            "is left out: the cotangent is passed on unchanged",
            lambda g, rho, lead, c, d: g * np.exp(rates(rho, lead > 0, c, d) * rho) / len(rho),
        ),
        ("The sign is wrong", lambda g, rho, lead, c, d: -in_two_parts(g, rho, lead, c, d)),
    ],
}
