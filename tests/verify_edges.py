"""Wrong rules for functions of a user's own, the name that each should get, and words that the sentence must hold.

These were written beside the naming of mistakes, edge by edge; those in `elsewhere` were written by another hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.verify import check_double_vjp, check_jacobian, check_vjp

EPS = 1e-3


class Wrong(NamedTuple):
    """A wrong rule for `f`. names: acceptable ones, divided by |. words: what the sentence must say."""

    f: Callable[..., Any]
    what: str
    names: str
    words: str
    rule: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    check: Callable[..., Any] = check_vjp


def rng(seed=0):
    return np.random.default_rng(seed)


def arrays(shapes):
    return [0.5 + rng(i).random(s) for i, s in enumerate(shapes)]


def rms_norm(x):
    r = np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
    return x / r


def rms_rule(g, x, through=1.0, n=None):
    n = x.shape[-1] if n is None else n
    r = np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
    return g / r - through * x * (g * x).sum(-1, keepdims=True) / (n * r**3)


def layer_norm(x, w):
    centred = x - x.mean(-1, keepdims=True)
    s = np.sqrt((centred * centred).mean(-1, keepdims=True) + EPS)
    return centred / s * w


def layer_norm_rule(g, x, w, by_mean=1.0, by_s=1.0):
    c = x - x.mean(-1, keepdims=True)
    s = np.sqrt((c * c).mean(-1, keepdims=True) + EPS)
    h = g * w
    d = h / s - by_s * c * (h * c).sum(-1, keepdims=True) / (x.shape[-1] * s**3)
    return d - by_mean * d.mean(-1, keepdims=True), (g * c / s).sum(0)


def gelu(x):
    inner = 0.8 * (x + 0.044 * x**3)
    return 0.5 * x * (1 + np.tanh(inner))


def gelu_rule(g, x, direct=1.0, inner=1.0, cubic=3.0, slope=lambda t: 1 - t * t):
    t = np.tanh(0.8 * (x + 0.044 * x**3))
    return g * 0.5 * (direct * (1 + t) + inner * x * slope(t) * 0.8 * (1 + cubic * 0.044 * x * x))


def swish(x):
    return x / (1 + np.exp(-x))


def swish_rule(g, x, direct=1.0, gate=1.0, slope=lambda s: s * (1 - s)):
    s = 1 / (1 + np.exp(-x))
    return g * (direct * s + gate * x * slope(s))


def cosine(a, b):
    dot = (a * b).sum(-1)
    na = np.sqrt((a * a).sum(-1))
    nb = np.sqrt((b * b).sum(-1))
    return dot / (na * nb)


def cosine_rule(g, a, b, by_na=1.0, by_nb=1.0):
    dot = (a * b).sum(-1, keepdims=True)
    na = np.sqrt((a * a).sum(-1, keepdims=True))
    nb = np.sqrt((b * b).sum(-1, keepdims=True))
    g = g[:, None]
    da = g * (b / (na * nb) - by_na * dot * a / (na**3 * nb))
    db = g * (a / (na * nb) - by_nb * dot * b / (na * nb**3))
    return da, db


def soft(z):
    e = np.exp(z)
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v):
    s = q @ k.T
    e = np.exp(s)
    p = e / e.sum(-1, keepdims=True)
    return p @ v


def attention_rule(g, q, k, v, through_sum=1.0, scores=lambda ds: ds, weights=lambda p: p.T):
    p = soft(q @ k.T)
    dp = g @ v.T
    ds = scores(p * (dp - through_sum * (dp * p).sum(-1, keepdims=True)))
    return ds @ k, ds.T @ q, weights(p) @ g


def bce(x, t):
    p = 1 / (1 + np.exp(-x))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


def bce_rule(g, x, t, first=1.0, second=1.0, n=None):
    p = 1 / (1 + np.exp(-x))
    n = x.size if n is None else n
    dx = g * (second * (1 - t) * p - first * t * (1 - p)) / n
    dt = -g * (np.log(p) - np.log(1 - p)) / x.size
    return dx, dt


def huber(x):
    a = np.abs(x)
    return np.where(a < 1.2, 0.5 * x * x, 1.2 * (a - 0.6)).sum()


def huber_rule(g, x, inside=lambda x: x, outside=lambda x: 1.2 * np.sign(x)):
    return g * np.where(np.abs(x) < 1.2, inside(x), outside(x))


def rnn(x, w, u):
    h = np.tanh(x[0] @ w)
    h = np.tanh(x[1] @ w + h @ u)
    return np.tanh(x[2] @ w + h @ u)


def rnn_rule(g, x, w, u, slope=lambda h: 1 - h * h, back=1.0, matrix=lambda u: u.T):
    h1 = np.tanh(x[0] @ w)
    h2 = np.tanh(x[1] @ w + h1 @ u)
    h3 = np.tanh(x[2] @ w + h2 @ u)
    a3 = g * (1 - h3 * h3)
    a2 = back * (a3 @ matrix(u)) * slope(h2)
    a1 = back * (a2 @ matrix(u)) * slope(h1)
    dx = np.stack([a1 @ w.T, a2 @ w.T, a3 @ w.T])
    dw = x[0].T @ a1 + x[1].T @ a2 + x[2].T @ a3
    return dx, dw, h1.T @ a2 + h2.T @ a3


def pendulum(q, p):
    return 0.5 * (p * p).sum() - np.cos(q).sum()


def distances(x, y):
    d = x[:, None, :] - y[None, :, :]
    return np.sqrt((d * d).sum(-1) + EPS)


def distances_rule(g, x, y, half=1.0, sign=-1.0, axes=(1, 0)):
    d = x[:, None, :] - y[None, :, :]
    r = np.sqrt((d * d).sum(-1) + EPS)
    m = half * (g / r)[..., None] * d
    return m.sum(axes[0]), sign * m.sum(axes[1])


def log_normal(x, m, s):
    z = (x - m) / s
    return -0.5 * (z * z).sum() - np.log(s).sum()


def log_normal_rule(g, x, m, s, power=3, log=1.0, half=1.0):
    return -g * half * (x - m) / s**2, g * half * (x - m) / s**2, g * ((x - m) ** 2 / s**power - log / s)


def total_variation(x):
    d = x[1:] - x[:-1]
    return np.sqrt(d * d + EPS).sum()


def total_variation_rule(g, x, first=1.0, last=1.0):
    d = x[1:] - x[:-1]
    e = g * d / np.sqrt(d * d + EPS)
    out = np.zeros(x.shape)
    out[1:] += first * e
    out[:-1] -= last * e
    return out


def l2_unit(x):
    return x / np.sqrt((x * x).sum())


def l2_unit_jacobian(x, outer=1.0, root=3):
    n = np.sqrt((x * x).sum())
    return np.eye(x.size) / n - outer * np.outer(x, x) / n**root


def softmax_jacobian(z, outer=1.0):
    p = soft(z)
    return np.diag(p) - outer * np.outer(p, p)


def cube(x):
    return x**3


def tanh_product(x):
    return np.tanh(x) * x


def tanh_product_double(g, u, x, last=1.0, second=-2.0, cross=2.0):
    t = np.tanh(x)
    d = 1 - t * t
    return g * u * (cross * d + second * last * x * t * d), u * (t + x * d)


def geometric_mean(x):
    return np.exp(np.log(x).mean(-1))


def weighted(x, w):
    return (w * np.tanh(x)).sum() / w.sum()


def weighted_rule(g, x, w, norm=1.0, slope=lambda t: 1 - t * t):
    t = np.tanh(x)
    total = w.sum()
    return g * w * slope(t) / total, g * (t / total - norm * (w * t).sum() / total**2)


def linear_swish(x, w):
    return swish(x @ w)


M = ((3, 4),)
V = ((5,),)

WRONG = [
    Wrong(rms_norm, "r is a constant", "missing-term", "`r`", lambda g, x: rms_rule(g, x, 0.0), M),
    Wrong(rms_norm, "sign of the part through r", "sign", "wrong sign", lambda g, x: rms_rule(g, x, -1.0), M),
    Wrong(rms_norm, "mean taken as a sum", "factor", "times", lambda g, x: rms_rule(g, x, n=1), M),
    Wrong(rms_norm, "half of the part through r", "factor", "1/2", lambda g, x: rms_rule(g, x, 0.5), M),
    Wrong(
        layer_norm,
        "the mean is a constant",
        "missing-term",
        "constant",
        lambda g, x, w: layer_norm_rule(g, x, w, by_mean=0.0),
        (*M, (4,)),
    ),
    Wrong(
        layer_norm,
        "s is a constant",
        "missing-term",
        "`s`",
        lambda g, x, w: layer_norm_rule(g, x, w, by_s=0.0),
        (*M, (4,)),
    ),
    Wrong(
        layer_norm,
        "w is left out",
        "missing-factor",
        "w",
        lambda g, x, w: (layer_norm_rule(g, x, 1 + 0 * w)[0], layer_norm_rule(g, x, w)[1]),
        (*M, (4,)),
    ),
    Wrong(gelu, "the tanh is a constant", "missing-term", "", lambda g, x: gelu_rule(g, x, inner=0.0), V),
    Wrong(gelu, "x is a constant", "missing-term", "", lambda g, x: gelu_rule(g, x, direct=0.0), V),
    Wrong(gelu, "1 - t for tanh", "wrong-derivative", "1 - ", lambda g, x: gelu_rule(g, x, slope=lambda t: 1 - t), V),
    Wrong(gelu, "1 + t²", "wrong-derivative", "1 + ", lambda g, x: gelu_rule(g, x, slope=lambda t: 1 + t * t), V),
    Wrong(
        gelu,
        "the power's factor 3 is missing",
        "factor|wrong-derivative",
        "",
        lambda g, x: gelu_rule(g, x, cubic=1.0),
        V,
    ),
    Wrong(swish, "gate as a constant", "missing-term", "", lambda g, x: swish_rule(g, x, gate=0.0), V),
    Wrong(
        swish,
        "sigmoid' as s",
        "wrong-derivative|extra-factor|missing-factor|missing-term",
        "",
        lambda g, x: swish_rule(g, x, slope=lambda s: s),
        V,
    ),
    Wrong(swish, "wrong sign of the gate", "sign", "wrong sign", lambda g, x: swish_rule(g, x, gate=-1.0), V),
    Wrong(
        cosine,
        "na is a constant",
        "missing-term",
        "`na`",
        lambda g, a, b: cosine_rule(g, a, b, by_na=0.0),
        ((3, 4), (3, 4)),
    ),
    Wrong(
        cosine,
        "nb has the wrong sign",
        "sign",
        "`nb`",
        lambda g, a, b: cosine_rule(g, a, b, by_nb=-1.0),
        ((3, 4), (3, 4)),
    ),
    Wrong(
        attention,
        "the sum of exp is a constant",
        "missing-term",
        "",
        lambda g, q, k, v: attention_rule(g, q, k, v, through_sum=0.0),
        ((3, 4), (5, 4), (5, 2)),
    ),
    Wrong(
        attention,
        "dk uses ds as it is",
        "transpose",
        "",
        lambda g, q, k, v: (lambda r: (r[0], (r[0] @ np.linalg.pinv(k)) @ q, r[2]))(attention_rule(g, q, k, v)),
        ((4, 4), (4, 4), (4, 2)),
    ),
    Wrong(
        attention,
        "p is not transposed",
        "transpose",
        "",
        lambda g, q, k, v: attention_rule(g, q, k, v, weights=lambda p: p),
        ((4, 3), (4, 3), (4, 2)),
    ),
    Wrong(
        bce,
        "the second part is forgotten",
        "missing-term",
        "",
        lambda g, x, t: bce_rule(g, x, t, second=0.0),
        (V[0], V[0]),
    ),
    Wrong(
        bce,
        "the second part has the wrong sign",
        "sign",
        "",
        lambda g, x, t: bce_rule(g, x, t, second=-1.0),
        (V[0], V[0]),
    ),
    Wrong(bce, "not divided by n", "factor", "", lambda g, x, t: bce_rule(g, x, t, n=1), (V[0], V[0])),
    Wrong(
        huber,
        "the outer side has no sign",
        "",
        "",
        lambda g, x: huber_rule(g, x, outside=lambda x: 1.2 + 0 * x),
        ((40,),),
    ),
    Wrong(huber, "the inner side is 2x", "factor", "", lambda g, x: huber_rule(g, x, inside=lambda x: 2 * x), ((40,),)),
    Wrong(huber, "quadratic everywhere", "", "", lambda g, x: g * x, ((40,),)),
    Wrong(
        rnn,
        "tanh' is forgotten in the steps back",
        "missing-factor",
        "",
        lambda g, x, w, u: rnn_rule(g, x, w, u, slope=lambda h: 1.0),
        ((3, 2, 4), (4, 3), (3, 3)),
    ),
    Wrong(
        rnn,
        "u is not transposed",
        "transpose",
        "",
        lambda g, x, w, u: rnn_rule(g, x, w, u, matrix=lambda u: u),
        ((3, 2, 4), (4, 3), (3, 3)),
    ),
    Wrong(
        rnn,
        "nothing flows back in time",
        "missing-term",
        "",
        lambda g, x, w, u: rnn_rule(g, x, w, u, back=0.0),
        ((3, 2, 4), (4, 3), (3, 3)),
    ),
    Wrong(pendulum, "sign of sin", "sign", "", lambda g, q, p: (-g * np.sin(q), g * p), (V[0], V[0])),
    Wrong(
        pendulum, "cos left as it is", "wrong-derivative", "cos", lambda g, q, p: (g * np.cos(q), g * p), (V[0], V[0])
    ),
    Wrong(
        distances,
        "both signs positive",
        "sign",
        "",
        lambda g, x, y: distances_rule(g, x, y, sign=1.0),
        ((3, 2), (4, 2)),
    ),
    Wrong(distances, "twice", "factor", "", lambda g, x, y: distances_rule(g, x, y, half=2.0), ((3, 2), (4, 2))),
    Wrong(
        distances,
        "not divided by r",
        "missing-factor",
        "",
        lambda g, x, y: distances_rule(g * distances(x, y), x, y),
        ((3, 2), (4, 2)),
    ),
    Wrong(
        distances,
        "sums along the wrong axes",
        "",
        "",
        lambda g, x, y: distances_rule(g, x, y, axes=(0, 1)),
        ((3, 2), (3, 2)),
    ),
    Wrong(log_normal, "s² for s³", "", "", lambda g, x, m, s: log_normal_rule(g, x, m, s, power=2), (V[0], V[0], V[0])),
    Wrong(
        log_normal,
        "log s forgotten",
        "missing-term",
        "",
        lambda g, x, m, s: log_normal_rule(g, x, m, s, log=0.0),
        (V[0], V[0], V[0]),
    ),
    Wrong(
        log_normal,
        "log s with the wrong sign",
        "sign",
        "",
        lambda g, x, m, s: log_normal_rule(g, x, m, s, log=-1.0),
        (V[0], V[0], V[0]),
    ),
    Wrong(
        total_variation,
        "only the later neighbour",
        "missing-term",
        "",
        lambda g, x: total_variation_rule(g, x, last=0.0),
        ((6,),),
    ),
    Wrong(
        total_variation,
        "the same sign for both",
        "sign",
        "",
        lambda g, x: total_variation_rule(g, x, last=-1.0),
        ((6,),),
    ),
    Wrong(l2_unit, "the norm is a constant", "missing-term", "", lambda x: l2_unit_jacobian(x, 0.0), V, check_jacobian),
    Wrong(l2_unit, "sign", "sign", "", lambda x: l2_unit_jacobian(x, -1.0), V, check_jacobian),
    Wrong(
        l2_unit, "the square of the norm is left out", "", "", lambda x: l2_unit_jacobian(x, root=1), V, check_jacobian
    ),
    Wrong(
        soft,
        "diagonal alone",
        "elementwise|missing-term",
        "",
        lambda z: np.diag(soft(z) * (1 - soft(z))),
        V,
        check_jacobian,
    ),
    Wrong(soft, "diag(p)", "missing-term", "", lambda z: softmax_jacobian(z, 0.0), V, check_jacobian),
    Wrong(soft, "plus the outer product", "sign", "", lambda z: softmax_jacobian(z, -1.0), V, check_jacobian),
    Wrong(cube, "6x is 3x", "factor", "", lambda g, u, x: (3 * x * g * u, 3 * x * x * u), V, check_double_vjp),
    Wrong(
        tanh_product,
        "second derivative of tanh forgotten",
        "missing-term",
        "",
        lambda g, u, x: tanh_product_double(g, u, x, last=0.0),
        V,
        check_double_vjp,
    ),
    Wrong(
        tanh_product,
        "its sign",
        "sign",
        "",
        lambda g, u, x: tanh_product_double(g, u, x, last=-1.0),
        V,
        check_double_vjp,
    ),
    Wrong(
        tanh_product,
        "the cross term once",
        "factor|missing-term",
        "",
        lambda g, u, x: tanh_product_double(g, u, x, cross=1.0),
        V,
        check_double_vjp,
    ),
    Wrong(geometric_mean, "not divided by n", "factor", "", lambda g, x: (g * geometric_mean(x))[:, None] / x, M),
    Wrong(
        geometric_mean,
        "1/x forgotten",
        "missing-factor",
        "",
        lambda g, x: (g * geometric_mean(x))[:, None] / x.shape[1] + 0 * x,
        M,
    ),
    Wrong(geometric_mean, "exp forgotten", "missing-factor", "", lambda g, x: g[:, None] / x / x.shape[1], M),
    Wrong(
        weighted,
        "the sum of w is a constant",
        "missing-term",
        "w.sum()",
        lambda g, x, w: weighted_rule(g, x, w, norm=0.0),
        (V[0], V[0]),
    ),
    Wrong(
        weighted,
        "tanh' is 1 - t",
        "wrong-derivative|missing-factor",
        "",
        lambda g, x, w: weighted_rule(g, x, w, slope=lambda t: 1 - t),
        (V[0], V[0]),
    ),
    Wrong(
        linear_swish,
        "w is not transposed",
        "transpose",
        "",
        lambda g, x, w: (swish_rule(g, x @ w) @ w, x.T @ swish_rule(g, x @ w)),
        ((3, 4), (4, 4)),
    ),
    Wrong(
        linear_swish,
        "swish' at the output",
        "",
        "",
        lambda g, x, w: (swish_rule(g, swish(x @ w)) @ w.T, x.T @ swish_rule(g, x @ w)),
        ((3, 4), (4, 2)),
    ),
]


def check(wrong: Wrong) -> Any:
    """The report of a wrong rule."""
    return wrong.check(wrong.f, wrong.rule, *arrays(wrong.shapes))
