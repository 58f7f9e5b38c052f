"""Answers to lesson 7: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np

import tinygrad2 as tg


def lengths(x):
    return np.sqrt((x * x).sum(-1))


# --- ties


def first_wins(g, a, b):
    return g * (a >= b), g * (a < b)


def by_signs(g, a, b):
    lead = np.sign(a - b)
    return g * (1 + lead) / 2, g * (1 - lead) / 2


# --- norms


def double(g, u, x):
    length = lengths(x)[:, None]
    along = (u * x).sum(1, keepdims=True)
    return g[:, None] * (u / length - x * along / length**3), (along / length)[:, 0]


def double_row_by_row(g, u, x):
    dx = np.zeros_like(x)
    dg = np.zeros_like(g)
    for n in range(len(x)):
        y = x[n] / lengths(x[n])
        dx[n] = g[n] / lengths(x[n]) * (np.eye(len(y), dtype=x.dtype) - np.outer(y, y)) @ u[n]
        dg[n] = y @ u[n]
    return dx, dg


def double_without_second_term(g, u, x):
    return g[:, None] * u / lengths(x)[:, None], double(g, u, x)[1]


def double_of_constant_slope(g, u, x):
    return np.zeros_like(x), double(g, u, x)[1]


def double_with_wrong_sign(g, u, x):
    first = g[:, None] * u / lengths(x)[:, None]
    return 2 * first - double(g, u, x)[0], double(g, u, x)[1]


def double_without_g(g, u, x):
    return double(np.ones_like(g), u, x)


# --- the safe root


def safe_in_numpy(x):
    result = np.zeros_like(x)
    result[x > 0] = 0.5 / np.sqrt(x[x > 0])
    return result


def safe_with_maximum(x):
    def f(x):
        return (tg.sqrt(tg.where(x > 0, x, 7.0)) * (x > 0)).sum()

    return tg.grad(f)(x).numpy()


def one_where(x):
    with np.errstate(invalid="ignore", divide="ignore"):
        return tg.grad(lambda x: tg.where(x > 0, tg.sqrt(x), 0.0).sum())(x).numpy()


def root_of_clipped(x):
    return tg.grad(lambda x: tg.sqrt(tg.clip(x, 1e-12, None)).sum())(x).numpy() + 1e6 * (x == 0)


def smoothed(x):
    return tg.grad(lambda x: tg.sqrt(tg.where(x > 0, x, 0.0) + 1e-3).sum())(x).numpy() * (x > 0)


def slope_of_all(x):
    with np.errstate(divide="ignore"):
        return 0.5 / np.sqrt(np.abs(x))


RIGHT = {
    "absolute": [
        lambda g, x: np.where(x > 0, g, -g),
        lambda g, x: g * (x > 0) - g * (x < 0),
    ],
    "maximum": [
        by_signs,
        lambda g, a, b: tuple(part.numpy() for part in tg.vjp(tg.maximum, a, b)[1](g)),
    ],
    "clip": [
        lambda g, x, low, high: np.where((x < low) | (x > high), 0, g),
        lambda g, x, low, high: g * (np.clip(x, low, high) == x),
    ],
    "l2_norm": [
        lambda g, x: g[:, None] * x / lengths(x)[:, None],
        lambda g, x: np.einsum("n,nd->nd", g / np.sqrt(np.einsum("nd,nd->n", x, x)), x),
    ],
    "l2_norm_double": [double, double_row_by_row],
    "safe": [safe_in_numpy, safe_with_maximum],
}

WRONG = {
    "absolute": [
        ("uses the cotangent g in the place of `x`", lambda g, x: np.abs(g)),
        ("is taken as [`x` > 0] in place of sign(x)", lambda g, x: g * (x > 0)),
        ("is taken as x in place of sign(x)", lambda g, x: g * x),
        ("The factor sign(x) is missing", lambda g, x: g),
    ],
    "maximum": [
        ("one gets everything", first_wins),
        ("together twice of what there is", lambda g, a, b: (g * (a >= b), g * (b >= a))),
        ("neither of the two gets any", lambda g, a, b: (g * (a > b), g * (b > a))),
        ("Where a is larger, all of g goes to a", lambda g, a, b: (g / 2, g / 2)),
        ("Where a is larger, all of g goes to a", lambda g, a, b: by_signs(g, b, a)),
    ],
    "clip": [
        ("so the entry is 0", lambda g, x, low, high: g * (x < high)),
        ("so the entry is 0", lambda g, x, low, high: g * (x > low)),
        ("dx is not linear in g", lambda g, x, low, high: np.clip(g, low, high)),
        ("uses the cotangent g in the place of `x`", lambda g, x, low, high: g * ((g >= low) & (g <= high))),
        ("is left out: the cotangent is passed on unchanged", lambda g, x, low, high: g),
    ],
    "l2_norm": [
        ("right after dividing the result by ‖x‖ of each row", lambda g, x: g[:, None] * x),
        ("right after multiplying by 1/2", lambda g, x: 2 * g[:, None] * x / lengths(x)[:, None]),
        ("The factor ‖x‖ of each row is missing", lambda g, x: g[:, None] * x / (lengths(x) ** 2)[:, None]),
        ("By configuration: d=1:", lambda g, x: g[:, None] * np.sign(x)),
    ],
    "l2_norm_double": [
        ("The term -g x (u·x)/‖x‖³ is missing", double_without_second_term),
        ("The term g u/‖x‖ is missing. The term -g x (u·x)/‖x‖³ is missing", double_of_constant_slope),
        ("The term -g x (u·x)/‖x‖³ has the wrong sign", double_with_wrong_sign),
        ("The factor g is missing", double_without_g),
    ],
    "safe": [
        ("There is a nan", one_where),
        ("An entry is infinite", slope_of_all),
        ("the slope is taken as 0", root_of_clipped),
        ("Where x is positive, the slope is that of the root", smoothed),
    ],
}
