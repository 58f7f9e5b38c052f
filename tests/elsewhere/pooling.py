"""Pooling."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, positive, softmax

# --- moving average of three


def average_1d(x):
    return (x[:-2] + x[1:-1] + x[2:]) / 3


def average_1d_vjp(g, x):
    dx = np.zeros_like(x)
    dx[:-2] += g / 3
    dx[1:-1] += g / 3
    dx[2:] += g / 3
    return dx


def average_1d_vjp_convolve(g, x):
    return np.convolve(g, np.ones(3) / 3)


AVERAGE_1D = Function(
    "average_1d",
    average_1d,
    draw(1, (7,)),
    (average_1d_vjp, average_1d_vjp_convolve),
    (
        Wrong(
            "no third",
            lambda g, x: np.convolve(g, np.ones(3)),
            "factor",
            "The 1/3 of the average is missing.",
            ("factor 3", "sum-for-mean", "missing 1/k"),
            "/ 3",
        ),
        Wrong(
            "averaged at the ends",
            lambda g, x: np.convolve(g, np.ones(3)) / np.convolve(np.ones_like(g), np.ones(3)),
            "wrong-constant",
            "The gradient is divided by how many windows cover a position instead of the window's length.",
            ("border handling", "divided by the coverage", "wrong at the ends", "mean-for-sum"),
            "/ 3",
        ),
        Wrong(
            "one to the right",
            lambda g, x: np.concatenate([[0], np.convolve(g, np.ones(3) / 3)[:-1]]),
            "shift",
            "The gradient is shifted by one position to the right.",
            ("off by one", "shifted by one"),
            "x[:-2] + x[1:-1] + x[2:]",
        ),
        Wrong(
            "first of the window",
            lambda g, x: np.concatenate([g, [0, 0]]) / 3,
            "only-part",
            "Only the first element of each window gets a gradient.",
            ("missing-term", "missing-sum", "other elements of the window forgotten"),
            "x[:-2] + x[1:-1] + x[2:]",
        ),
        Wrong(
            "middle of the window",
            lambda g, x: np.pad(g, 1),
            "only-part",
            "The whole gradient goes to the middle of each window.",
            ("missing-term", "missing-sum", "not spread over the window", "neighbours forgotten"),
            "x[:-2] + x[1:-1] + x[2:]",
        ),
        Wrong(
            "reversed",
            lambda g, x: np.convolve(g[::-1], np.ones(3) / 3),
            "wrong-order",
            "The gradient is read in reverse order.",
            ("flipped", "reversed", "wrong direction"),
        ),
    ),
)

# --- average of 2 by 2 blocks


def average_2d(x):
    h, w = x.shape
    blocks = x.reshape(h // 2, 2, w // 2, 2)
    return blocks.mean(axis=(1, 3))


def average_2d_vjp(g, x):
    return np.repeat(np.repeat(g, 2, axis=0), 2, axis=1) / 4


AVERAGE_2D = Function(
    "average_2d",
    average_2d,
    draw(2, (4, 6)),
    (average_2d_vjp, lambda g, x: np.kron(g, np.full((2, 2), 0.25))),
    (
        Wrong(
            "no quarter",
            lambda g, x: np.kron(g, np.ones((2, 2))),
            "factor",
            "The 1/4 of the mean is missing.",
            ("factor 4", "sum-for-mean"),
            "blocks.mean(axis=(1, 3))",
        ),
        Wrong(
            "half for quarter",
            lambda g, x: np.kron(g, np.full((2, 2), 0.5)),
            "factor",
            "The gradient is divided by 2, the side of the block, instead of its area 4.",
            ("factor 2", "wrong-constant", "side instead of area"),
            "blocks.mean(axis=(1, 3))",
        ),
        Wrong(
            "tiled",
            lambda g, x: np.tile(g, (2, 2)) / 4,
            "wrong-order",
            "The gradient is tiled instead of repeated: neighbours in a block get different entries.",
            ("tile instead of repeat", "wrong layout", "wrong-index", "positions mixed"),
            "blocks = x.reshape(h // 2, 2, w // 2, 2)",
        ),
        Wrong(
            "corner alone",
            lambda g, x: np.kron(g, np.array([[0.25, 0], [0, 0]])),
            "only-part",
            "Only the upper left corner of each block gets a gradient.",
            ("missing-term", "missing-sum", "rest of the block forgotten"),
            "blocks.mean(axis=(1, 3))",
        ),
        Wrong(
            "one axis shifted",
            lambda g, x: np.roll(np.kron(g, np.full((2, 2), 0.25)), 1, axis=1),
            "shift",
            "The blocks are shifted by one column.",
            ("off by one", "shifted along axis 1", "rolled"),
            "blocks = x.reshape(h // 2, 2, w // 2, 2)",
        ),
    ),
)

# --- maximum of overlapping windows


def max_1d(x):
    windows = np.stack([x[i : i + 3] for i in range(0, len(x) - 2, 2)])
    return windows.max(axis=1)


def max_1d_vjp(g, x):
    dx = np.zeros_like(x)
    for i, start in enumerate(range(0, len(x) - 2, 2)):
        dx[start + x[start : start + 3].argmax()] += g[i]
    return dx


def max_1d_vjp_masks(g, x):
    starts = np.arange(0, len(x) - 2, 2)
    windows = x[starts[:, None] + np.arange(3)]
    chosen = windows == windows.max(axis=1, keepdims=True)
    dx = np.zeros_like(x)
    np.add.at(dx, starts[:, None] + np.arange(3), chosen * g[:, None])
    return dx


def max_1d_by(place):
    def vjp(g, x):
        dx = np.zeros_like(x)
        for i, start in enumerate(range(0, len(x) - 2, 2)):
            place(dx, i, start, x[start : start + 3], g[i])
        return dx

    return vjp


def max_1d_overwrites(dx, i, start, window, value):
    dx[start + window.argmax()] = value


def max_1d_whole_window(dx, i, start, window, value):
    dx[start : start + 3] += value


def max_1d_no_stride(dx, i, start, window, value):
    dx[i + window.argmax()] += value


def max_1d_smallest(dx, i, start, window, value):
    dx[start + window.argmin()] += value


def max_1d_first(dx, i, start, window, value):
    dx[start] += value


def max_1d_divided(dx, i, start, window, value):
    dx[start + window.argmax()] += value / 3


MAX_1D = Function(
    "max_1d",
    max_1d,
    (np.array([0.3, -1.2, 1.4, 0.2, -0.5, 0.9, 2.0, -0.1, 0.6]),),
    (max_1d_vjp, max_1d_vjp_masks),
    (
        Wrong(
            "overwrites",
            max_1d_by(max_1d_overwrites),
            "missing-sum",
            "An element that is the maximum of two overlapping windows keeps the last gradient instead of their sum.",
            ("overwritten", "= instead of +=", "not accumulated", "overlap", "only-part"),
            "for i in range(0, len(x) - 2, 2)",
        ),
        Wrong(
            "whole window",
            max_1d_by(max_1d_whole_window),
            "mask",
            "Every element of the window gets the gradient, not only the maximum.",
            ("max treated as sum", "argmax forgotten", "wrong-derivative"),
            "windows.max(axis=1)",
        ),
        Wrong(
            "stride forgotten",
            max_1d_by(max_1d_no_stride),
            "shift",
            "The position of the window is its number, not its number times the stride.",
            ("stride forgotten", "wrong-index", "wrong position", "off by the stride"),
            "for i in range(0, len(x) - 2, 2)",
        ),
        Wrong(
            "smallest",
            max_1d_by(max_1d_smallest),
            "mask",
            "The gradient goes to the smallest element of the window.",
            ("argmin instead of argmax", "wrong-index", "wrong position"),
            "windows.max(axis=1)",
        ),
        Wrong(
            "first of the window",
            max_1d_by(max_1d_first),
            "mask",
            "The gradient always goes to the first element of the window.",
            ("argmax forgotten", "wrong-index", "wrong position", "shift"),
            "windows.max(axis=1)",
        ),
        Wrong(
            "divided by the window",
            max_1d_by(max_1d_divided),
            "factor",
            "The gradient is divided by the window's length, as for an average.",
            ("factor 1/3", "max treated as mean", "wrong-constant", "mean-for-sum"),
            "windows.max(axis=1)",
        ),
    ),
)

# --- log-mean-exp pooling

R = 2.0


def soft_maximum(x):
    powers = np.exp(R * x)
    return np.log(powers.mean(axis=1)) / R


def soft_maximum_vjp(g, x):
    return g[:, None] * softmax(R * x)


def soft_maximum_vjp_steps(g, x):
    e = np.exp(R * x)
    dmean = g / R / e.mean(axis=1)
    return dmean[:, None] / x.shape[1] * R * e


SOFT_MAXIMUM = Function(
    "soft_maximum",
    soft_maximum,
    draw(4, (3, 4)),
    (soft_maximum_vjp, soft_maximum_vjp_steps),
    (
        Wrong(
            "r too many",
            lambda g, x: R * g[:, None] * softmax(R * x),
            "factor",
            "The 1/r in front is forgotten: a factor r is left.",
            ("factor 2", "factor r", "missing 1/R"),
            "/ R",
        ),
        Wrong(
            "r too few",
            lambda g, x: g[:, None] * softmax(R * x) / R,
            "factor",
            "The inner derivative r is missing.",
            ("missing-inner-derivative", "factor 1/2", "factor 1/r"),
            "powers = np.exp(R * x)",
        ),
        Wrong(
            "softmax of x",
            lambda g, x: g[:, None] * softmax(x),
            "wrong-point",
            "The softmax is taken of x instead of r times x.",
            ("R forgotten in the softmax", "wrong-constant", "derivative at the wrong point"),
            "np.exp(R * x)",
        ),
        Wrong(
            "divided by n again",
            lambda g, x: g[:, None] * softmax(R * x) / x.shape[1],
            "factor",
            "The 1/n of the mean is counted, although the mean in the denominator cancels it.",
            ("factor 1/n", "factor 1/4", "mean-for-sum", "extra 1/n"),
            "powers.mean(axis=1)",
        ),
        Wrong(
            "not normalised",
            lambda g, x: g[:, None] * np.exp(R * x) / x.shape[1],
            "missing-inner-derivative",
            "The derivative of the logarithm is missing: the weights are not normalised.",
            ("missing 1/mean", "log not differentiated", "missing-factor", "normaliser missing"),
            "np.log(powers.mean(axis=1))",
        ),
        Wrong(
            "softmax down the columns",
            lambda g, x: g[:, None] * softmax(R * x, axis=0),
            "wrong-axis",
            "The weights are normalised down the columns instead of along the rows.",
            ("axis 0 instead of axis 1", "normalised over the wrong axis"),
            "powers.mean(axis=1)",
        ),
    ),
)

# --- power pooling

DEGREE = 3.0


def power_pool(x):
    powers = np.abs(x) ** DEGREE
    return powers.mean(axis=1) ** (1 / DEGREE)


def power_pool_vjp(g, x):
    y = power_pool(x)[:, None]
    return g[:, None] * np.sign(x) * (np.abs(x) / y) ** (DEGREE - 1) / x.shape[1]


def power_pool_vjp_steps(g, x):
    m = (np.abs(x) ** DEGREE).mean(axis=1)
    dm = g * m ** (1 / DEGREE - 1) / DEGREE
    return dm[:, None] * DEGREE * x * np.abs(x) / x.shape[1]


def power_pool_from(slope):
    def vjp(g, x):
        return g[:, None] * slope(x, power_pool(x)[:, None])

    return vjp


POWER_POOL = Function(
    "power_pool",
    power_pool,
    draw(5, (3, 4)),
    (power_pool_vjp, power_pool_vjp_steps),
    (
        Wrong(
            "no mean",
            power_pool_from(lambda x, y: np.sign(x) * (np.abs(x) / y) ** (DEGREE - 1)),
            "factor",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor n", "factor 4"),
            "powers.mean(axis=1)",
        ),
        Wrong(
            "no sign",
            power_pool_from(lambda x, y: (np.abs(x) / y) ** (DEGREE - 1) / 4),
            "missing-inner-derivative",
            "The derivative of abs, sign(x), is missing.",
            ("sign-in-term", "sign forgotten", "wrong for negative x", "derivative of abs"),
            "powers = np.abs(x) ** DEGREE",
        ),
        Wrong(
            "no root",
            power_pool_from(lambda x, y: DEGREE * np.sign(x) * np.abs(x) ** (DEGREE - 1) / 4),
            "missing-inner-derivative",
            "The outer root is not differentiated.",
            ("missing outer derivative", "gradient of the mean power", "missing-factor", "chain rule"),
            "powers.mean(axis=1) ** (1 / DEGREE)",
        ),
        Wrong(
            "exponent of the root",
            power_pool_from(lambda x, y: np.sign(x) * np.abs(x) ** (DEGREE - 1) / y / 4),
            "wrong-power",
            "The output enters with the exponent -1 instead of 1-p.",
            ("derivative of the root", "divided by y instead of y**(p-1)", "exponent of the output"),
            "powers.mean(axis=1) ** (1 / DEGREE)",
        ),
        Wrong(
            "degree left over",
            power_pool_from(lambda x, y: DEGREE * np.sign(x) * (np.abs(x) / y) ** (DEGREE - 1) / 4),
            "factor",
            "The 1/p of the root is missing, so that the p of the inner power is left.",
            ("factor p", "factor 3", "missing 1/p", "power rule"),
            "** (1 / DEGREE)",
        ),
    ),
)

# --- generalised mean with a learned exponent


def generalised_mean(x, p):
    m = (x**p).mean()
    return m ** (1 / p)


def generalised_mean_vjp(g, x, p):
    m = (x**p).mean()
    y = m ** (1 / p)
    dx = g * y / m * x ** (p - 1) / x.size
    dp = g * y * ((x**p * np.log(x)).mean() / (p * m) - np.log(m) / p**2)
    return dx, dp


def generalised_mean_vjp_log(g, x, p):
    w = x**p / (x**p).sum()
    y = generalised_mean(x, p)
    return g * y * w / x, g * y / p * (np.sum(w * np.log(x)) - np.log(y))


def generalised_mean_dp(dp):
    def vjp(g, x, p):
        m = (x**p).mean()
        return generalised_mean_vjp(g, x, p)[0], g * m ** (1 / p) * dp(x, p, m)

    return vjp


GENERALISED_MEAN = Function(
    "generalised_mean",
    generalised_mean,
    (positive(6, (5,))[0], np.array(2.4)),
    (generalised_mean_vjp, generalised_mean_vjp_log),
    (
        Wrong(
            "root constant",
            generalised_mean_dp(lambda x, p, m: (x**p * np.log(x)).mean() / (p * m)),
            "missing-term",
            "The exponent's effect through the root 1/p is missing.",
            ("only-part", "second use of p missing", "missing -log(m)/p**2", "dp wrong", "detached"),
            "m ** (1 / p)",
        ),
        Wrong(
            "powers constant",
            generalised_mean_dp(lambda x, p, m: -np.log(m) / p**2),
            "missing-term",
            "The exponent's effect through the powers x**p is missing.",
            ("only-part", "first use of p missing", "detached", "dp wrong"),
            "m = (x**p).mean()",
        ),
        Wrong(
            "root added",
            generalised_mean_dp(lambda x, p, m: (x**p * np.log(x)).mean() / (p * m) + np.log(m) / p**2),
            "sign-in-term",
            "The term of the root has the wrong sign: the derivative of 1/p is -1/p**2.",
            ("sign of the second term", "derivative of 1/p", "dp wrong"),
            "m ** (1 / p)",
        ),
        Wrong(
            "powers without a logarithm",
            generalised_mean_dp(lambda x, p, m: (p * x ** (p - 1)).mean() / (p * m) - np.log(m) / p**2),
            "wrong-derivative",
            "The derivative of x**p in p is taken as p x**(p-1), which is that in x.",
            ("power rule for the exponent", "missing log(x)", "wrong-variable", "dp wrong"),
            "m = (x**p).mean()",
        ),
        Wrong(
            "no mean in x",
            lambda g, x, p: (x.size * generalised_mean_vjp(g, x, p)[0], generalised_mean_vjp(g, x, p)[1]),
            "factor",
            "The 1/n of the mean is missing from the gradient of x.",
            ("sum-for-mean", "factor n", "factor 5", "dx wrong"),
            "m = (x**p).mean()",
        ),
        Wrong(
            "p left over in x",
            lambda g, x, p: (p * generalised_mean_vjp(g, x, p)[0], generalised_mean_vjp(g, x, p)[1]),
            "extra-factor",
            "The 1/p of the root is missing from the gradient of x.",
            ("factor", "factor p", "missing 1/p", "missing-factor", "dx wrong"),
            "m ** (1 / p)",
        ),
    ),
)

# --- mean and maximum side by side


def mean_and_max(x):
    mean = x.mean(axis=1)
    largest = x.max(axis=1)
    return np.concatenate([mean, largest])


def mean_and_max_vjp(g, x):
    n, length = x.shape
    dx = np.repeat(g[:n, None] / length, length, axis=1)
    dx[np.arange(n), x.argmax(axis=1)] += g[n:]
    return dx


def mean_and_max_by(mean, largest, halves=lambda g, n: (g[:n, None], g[n:, None])):
    def vjp(g, x):
        a, b = halves(g, len(x))
        return a * mean(x) + b * largest(x)

    return vjp


def at_largest(x, axis=1):
    return (x == x.max(axis=axis, keepdims=True)).astype(float)


MEAN_AND_MAX = Function(
    "mean_and_max",
    mean_and_max,
    draw(7, (3, 4)),
    (mean_and_max_vjp, mean_and_max_by(lambda x: 1 / x.shape[1], at_largest)),
    (
        Wrong(
            "halves exchanged",
            mean_and_max_by(lambda x: 1 / x.shape[1], at_largest, lambda g, n: (g[n:, None], g[:n, None])),
            "swapped",
            "The halves of g are exchanged: the mean gets the maximum's part.",
            ("halves swapped", "wrong-order", "wrong part of g"),
            "np.concatenate([mean, largest])",
        ),
        Wrong(
            "no mean",
            mean_and_max_by(lambda x: 1, at_largest),
            "factor-in-term",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor 4 in the mean's term"),
            "mean = x.mean(axis=1)",
        ),
        Wrong(
            "mean path missing",
            mean_and_max_by(lambda x: 0, at_largest),
            "missing-term",
            "The path through the mean is missing.",
            ("only-part", "half of g unused", "detached"),
            "mean = x.mean(axis=1)",
        ),
        Wrong(
            "maximum for all",
            mean_and_max_by(lambda x: 1 / x.shape[1], lambda x: 1),
            "mask",
            "The maximum's gradient goes to every element.",
            ("argmax forgotten", "max treated as sum", "wrong-derivative"),
            "largest = x.max(axis=1)",
        ),
        Wrong(
            "maximum of the columns",
            mean_and_max_by(lambda x: 1 / x.shape[1], lambda x: at_largest(x, 0)),
            "wrong-axis",
            "The maximum is looked for down the columns.",
            ("axis 0 instead of axis 1", "argmax over the wrong axis"),
            "largest = x.max(axis=1)",
        ),
    ),
)

# --- blurred subsampling


def blur_pool(x):
    return (x[:-2:2] + 2 * x[1:-1:2] + x[2::2]) / 4


def blur_pool_vjp(g, x):
    dx = np.zeros_like(x)
    dx[:-2:2] += g / 4
    dx[1:-1:2] += g / 2
    dx[2::2] += g / 4
    return dx


def blur_pool_vjp_convolve(g, x):
    spread = np.zeros(2 * len(g) - 1)
    spread[::2] = g
    return np.convolve(spread, [0.25, 0.5, 0.25])


def blur_pool_by(a, b, c):
    def vjp(g, x):
        dx = np.zeros_like(x)
        dx[:-2:2] += a * g
        dx[1:-1:2] += b * g
        dx[2::2] += c * g
        return dx

    return vjp


def blur_pool_overwrites(g, x):
    dx = np.zeros_like(x)
    dx[:-2:2] = g / 4
    dx[1:-1:2] = g / 2
    dx[2::2] = g / 4
    return dx


def blur_pool_dense(g, x):
    dx = np.zeros_like(x)
    dx[: len(g) + 2] = np.convolve(g, [0.25, 0.5, 0.25])
    return dx


BLUR_POOL = Function(
    "blur_pool",
    blur_pool,
    draw(8, (9,)),
    (blur_pool_vjp, blur_pool_vjp_convolve),
    (
        Wrong(
            "overwrites",
            blur_pool_overwrites,
            "missing-sum",
            "Where two windows overlap, the last gradient replaces the other instead of being added.",
            ("= instead of +=", "overwritten", "not accumulated", "overlap", "only-part"),
            "x[:-2:2] + 2 * x[1:-1:2] + x[2::2]",
        ),
        Wrong(
            "equal weights",
            blur_pool_by(1 / 3, 1 / 3, 1 / 3),
            "wrong-constant",
            "The window's weights are taken as a plain average of three.",
            ("weights 1/3", "wrong weights", "middle weight forgotten", "factor-in-term"),
            "2 * x[1:-1:2]",
        ),
        Wrong(
            "middle like the ends",
            blur_pool_by(1 / 4, 1 / 4, 1 / 4),
            "factor-in-term",
            "The 2 of the middle weight is missing.",
            ("factor 2 at the middle", "wrong-constant", "middle weight halved"),
            "2 * x[1:-1:2]",
        ),
        Wrong(
            "stride forgotten",
            blur_pool_dense,
            "shift",
            "The stride is forgotten: the gradients are spread without gaps.",
            ("stride ignored", "not dilated", "upsampling missing", "wrong position", "wrong-index"),
            "x[:-2:2]",
        ),
        Wrong(
            "not divided",
            blur_pool_by(1, 2, 1),
            "factor",
            "The 1/4 is missing.",
            ("factor 4", "missing 1/4", "sum-for-mean"),
            "/ 4",
        ),
        Wrong(
            "last of the window missing",
            blur_pool_by(1 / 4, 1 / 2, 0),
            "missing-term",
            "The last element of each window gets no gradient from it.",
            ("only-part", "third term missing", "x[2::2] forgotten"),
            "x[2::2]",
        ),
    ),
)

# --- standard deviation pooling


def deviation_pool(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return np.sqrt((centred**2).mean(axis=1))


def deviation_pool_vjp(g, x):
    c = x - x.mean(axis=1, keepdims=True)
    return g[:, None] * c / (x.shape[1] * x.std(axis=1, keepdims=True))


def deviation_pool_vjp_moments(g, x):
    m1, m2 = x.mean(axis=1), (x**2).mean(axis=1)
    dvar = g / (2 * np.sqrt(m2 - m1**2))
    return (dvar[:, None] * 2 * x - (2 * m1 * dvar)[:, None]) / x.shape[1]


def deviation_pool_from(slope):
    def vjp(g, x):
        c = x - x.mean(axis=1, keepdims=True)
        return g[:, None] * slope(x, c, x.std(axis=1, keepdims=True))

    return vjp


DEVIATION_POOL = Function(
    "deviation_pool",
    deviation_pool,
    draw(9, (3, 4), shift=0.5),
    (deviation_pool_vjp, deviation_pool_vjp_moments),
    (
        Wrong(
            "not centred",
            deviation_pool_from(lambda x, c, s: x / (4 * s)),
            "wrong-variable",
            "The gradient uses x instead of x minus its mean.",
            ("mean forgotten", "x instead of centred", "missing-term", "wrong-point"),
            "centred = x - x.mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "variance's gradient",
            deviation_pool_from(lambda x, c, s: 2 * c / 4),
            "missing-inner-derivative",
            "The square root is not differentiated: the gradient is the variance's.",
            ("missing 1/(2 std)", "sqrt not differentiated", "gradient of the variance"),
            "np.sqrt((centred**2).mean(axis=1))",
        ),
        Wrong(
            "root without half",
            deviation_pool_from(lambda x, c, s: 2 * c / (4 * s)),
            "factor",
            "The 1/2 of the square root's derivative is missing.",
            ("factor 2", "derivative of sqrt", "wrong-derivative"),
            "np.sqrt((centred**2).mean(axis=1))",
        ),
        Wrong(
            "no mean",
            deviation_pool_from(lambda x, c, s: c / s),
            "factor",
            "The 1/n of the mean is missing.",
            ("sum-for-mean", "factor n", "factor 4"),
            "(centred**2).mean(axis=1)",
        ),
        Wrong(
            "n minus one",
            deviation_pool_from(lambda x, c, s: c / (3 * s)),
            "factor",
            "The gradient is divided by n-1 instead of n.",
            ("wrong-constant", "ddof", "factor 4/3", "sample instead of population variance"),
            "(centred**2).mean(axis=1)",
        ),
        Wrong(
            "root inverted",
            deviation_pool_from(lambda x, c, s: c * s / 4),
            "wrong-power",
            "The gradient is multiplied by the deviation instead of divided by it.",
            ("derivative of sqrt", "inverse", "wrong-derivative", "times std instead of 1/std"),
            "np.sqrt((centred**2).mean(axis=1))",
        ),
    ),
)

FUNCTIONS = (
    AVERAGE_1D,
    AVERAGE_2D,
    MAX_1D,
    SOFT_MAXIMUM,
    POWER_POOL,
    GENERALISED_MEAN,
    MEAN_AND_MAX,
    BLUR_POOL,
    DEVIATION_POOL,
)
