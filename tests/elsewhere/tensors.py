"""Functions written with this project's operations; the rules are NumPy."""

from __future__ import annotations

import numpy as np

import tinygrad2 as tg

from .form import Function, Wrong, draw, sigmoid

# --- self-gated tanh


def gated_tanh(x, w):
    a = tg.matmul(x, w)
    return tg.tanh(a) * tg.sigmoid(a)


def gated_tanh_slope(a):
    t, s = np.tanh(a), sigmoid(a)
    return (1 - t**2) * s + t * s * (1 - s)


def gated_tanh_vjp(g, x, w):
    da = g * gated_tanh_slope(x @ w)
    return da @ w.T, x.T @ da


def gated_tanh_vjp_factored(g, x, w):
    a = x @ w
    t, s = np.tanh(a), 1 / (1 + np.exp(-a))
    da = g * s * (1 - t * t + t - t * s)
    return np.einsum("nh,dh->nd", da, w), np.einsum("nd,nh->dh", x, da)


def gated_tanh_from(slope):
    def vjp(g, x, w):
        da = g * slope(np.tanh(x @ w), sigmoid(x @ w))
        return da @ w.T, x.T @ da

    return vjp


GATED_TANH = Function(
    "gated_tanh",
    gated_tanh,
    draw(1, (4, 3), (3, 3), scale=0.8),
    (gated_tanh_vjp, gated_tanh_vjp_factored),
    (
        Wrong(
            "gate constant",
            gated_tanh_from(lambda t, s: (1 - t**2) * s),
            "missing-term",
            "The sigmoid gate is treated as a constant.",
            ("product rule", "detached", "sigmoid not differentiated"),
            "tg.tanh(a) * tg.sigmoid(a)",
        ),
        Wrong(
            "tanh constant",
            gated_tanh_from(lambda t, s: t * s * (1 - s)),
            "missing-term",
            "The tanh is treated as a constant.",
            ("product rule", "detached", "tanh not differentiated"),
            "tg.tanh(a) * tg.sigmoid(a)",
        ),
        Wrong(
            "derivatives multiplied",
            gated_tanh_from(lambda t, s: (1 - t**2) * s * (1 - s)),
            "missing-term",
            "The product is differentiated as the product of the derivatives.",
            ("product rule", "f' g' instead of f' g + f g'", "wrong-derivative"),
            "tg.tanh(a) * tg.sigmoid(a)",
        ),
        Wrong(
            "weights not transposed",
            lambda g, x, w: (g * gated_tanh_slope(x @ w) @ w, gated_tanh_vjp(g, x, w)[1]),
            "transpose",
            "The weights are not transposed in the gradient of x.",
            ("w instead of w.T", "missing transpose", "dx wrong"),
            "tg.matmul(x, w)",
        ),
        Wrong(
            "weights by a mean",
            lambda g, x, w: (gated_tanh_vjp(g, x, w)[0], gated_tanh_vjp(g, x, w)[1] / len(x)),
            "mean-for-sum",
            "The weights' gradient is a mean over the batch instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dw averaged"),
            "tg.matmul(x, w)",
        ),
    ),
)

# --- coefficient of variation of each row


def variation(x):
    x = tg.exp(x)
    mean = x.mean(axis=1)
    spread = tg.sqrt(((x - mean.reshape(-1, 1)) ** 2).mean(axis=1))
    return spread / mean


def variation_parts(x):
    e = np.exp(x)
    return e, e.mean(axis=1, keepdims=True), e.std(axis=1, keepdims=True), x.shape[1]


def variation_vjp(g, x):
    e, m, s, n = variation_parts(x)
    return g[:, None] * e * ((e - m) / (n * s * m) - s / (n * m**2))


def variation_vjp_steps(g, x):
    e, m, s, n = variation_parts(x)
    ds = g[:, None] / m
    dm = -g[:, None] * s / m**2
    dc = ds * (e - m) / (n * s)
    return e * (dc - dc.mean(axis=1, keepdims=True) + dm / n)


def variation_from(de, exponential=True):
    def vjp(g, x):
        e, m, s, n = variation_parts(x)
        return g[:, None] * (e if exponential else 1) * de(e, m, s, n)

    return vjp


VARIATION = Function(
    "coefficient_of_variation",
    variation,
    draw(2, (3, 4), scale=0.7),
    (variation_vjp, variation_vjp_steps),
    (
        Wrong(
            "mean constant",
            variation_from(lambda e, m, s, n: (e - m) / (n * s * m)),
            "missing-term",
            "The mean in the denominator is treated as a constant.",
            ("detached", "quotient rule", "second term missing"),
            "spread / mean",
        ),
        Wrong(
            "quotient added",
            variation_from(lambda e, m, s, n: (e - m) / (n * s * m) + s / (n * m**2)),
            "sign-in-term",
            "The denominator's term has the wrong sign.",
            ("quotient rule", "sign of the second term"),
            "spread / mean",
        ),
        Wrong(
            "no exponential",
            variation_from(lambda e, m, s, n: (e - m) / (n * s * m) - s / (n * m**2), exponential=False),
            "missing-inner-derivative",
            "The exponential in front is not differentiated.",
            ("missing exp(x)", "chain rule", "gradient with respect to exp(x)"),
            "x = tg.exp(x)",
        ),
        Wrong(
            "mean's gradient not shared",
            variation_from(lambda e, m, s, n: (e - m) / (n * s * m) - s / m**2),
            "factor-in-term",
            "The 1/n of the mean is missing from the denominator's term.",
            ("sum-for-mean", "factor n in the second term", "factor 4 in one term"),
            "mean = x.mean(axis=1)",
        ),
        Wrong(
            "root without half",
            variation_from(lambda e, m, s, n: 2 * (e - m) / (n * s * m) - s / (n * m**2)),
            "factor-in-term",
            "The 1/2 of the square root's derivative is missing.",
            ("factor 2 in the first term", "derivative of sqrt", "wrong-derivative"),
            "tg.sqrt(",
        ),
        Wrong(
            "not centred",
            variation_from(lambda e, m, s, n: e / (n * s * m) - s / (n * m**2)),
            "missing-term",
            "The spread's gradient is not centred: the mean inside it is forgotten.",
            ("wrong-variable", "x instead of x - mean", "mean not subtracted", "not centred"),
            "x - mean.reshape(-1, 1)",
        ),
    ),
)

# --- margin of the first class in the logarithm


def log_margin(x, w):
    scores = tg.matmul(x, w)
    others = tg.logsumexp(scores[:, 1:], axis=1)
    return scores[:, 0] - others


def log_margin_ds(g, s):
    e = np.exp(s[:, 1:])
    return np.concatenate([g[:, None], -g[:, None] * e / e.sum(axis=1, keepdims=True)], axis=1)


def log_margin_vjp(g, x, w):
    ds = log_margin_ds(g, x @ w)
    return ds @ w.T, x.T @ ds


def log_margin_vjp_rows(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n in range(len(x)):
        e = np.exp(x[n] @ w)
        ds = -e / e[1:].sum()
        ds[0] = 1
        dx[n] = g[n] * w @ ds
        dw += g[n] * np.outer(x[n], ds)
    return dx, dw


def log_margin_from(ds):
    def vjp(g, x, w):
        d = ds(g[:, None], x @ w)
        return d @ w.T, x.T @ d

    return vjp


def log_margin_all(g, s):
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return g * (np.eye(s.shape[1])[0] - p)


def log_margin_others(g, s):
    return log_margin_ds(g[:, 0], s) * (np.arange(s.shape[1]) > 0)


LOG_MARGIN = Function(
    "log_margin",
    log_margin,
    draw(3, (4, 3), (3, 4), scale=0.8),
    (log_margin_vjp, log_margin_vjp_rows),
    (
        Wrong(
            "softmax over all classes",
            log_margin_from(log_margin_all),
            "mask",
            "The softmax runs over all classes, the first included, as for cross-entropy.",
            ("first class not excluded", "wrong-axis", "cross-entropy gradient", "slice forgotten", "scores[:, 1:]"),
            "others = tg.logsumexp(scores[:, 1:], axis=1)",
        ),
        Wrong(
            "first class constant",
            log_margin_from(log_margin_others),
            "missing-term",
            "The score of the first class is not differentiated.",
            ("only-part", "first term missing", "missing +1 at the first class"),
            "scores[:, 0] - others",
        ),
        Wrong(
            "others constant",
            log_margin_from(lambda g, s: g * np.eye(s.shape[1])[0]),
            "missing-term",
            "The log-sum-exp of the others is not differentiated.",
            ("detached", "only-part", "second term missing"),
            "scores[:, 0] - others",
        ),
        Wrong(
            "others added",
            log_margin_from(lambda g, s: log_margin_ds(g[:, 0], s) * np.where(np.arange(s.shape[1]) > 0, -1, 1)),
            "sign-in-term",
            "The others' term has the wrong sign.",
            ("sign of the second term", "minus forgotten"),
            "scores[:, 0] - others",
        ),
        Wrong(
            "weights by the first row",
            lambda g, x, w: (log_margin_vjp(g, x, w)[0], np.outer(x[0], log_margin_ds(g, x @ w)[0])),
            "missing-sum",
            "The weights' gradient takes the first row of the batch alone.",
            ("only-part", "sum over the batch missing", "only the first sample", "dw wrong"),
            "tg.matmul(x, w)",
        ),
    ),
)

FUNCTIONS = (GATED_TANH, VARIATION, LOG_MARGIN)
