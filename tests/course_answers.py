"""Wrong answers that learners of the lessons give, beyond those that the exercises' own tests hold.

Each is a rule for a function written as a learner would write it, with the names of which one must be given. Without a
name only a property of the rule can be told: the report must say that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import tinygrad2 as tg
from tinygrad2.verify import Report, check_vjp

RNG = np.random.default_rng(14)
ROWS = RNG.standard_normal((5, 4))
TARGET = RNG.standard_normal(5)


class Answer(NamedTuple):
    """A wrong rule for f at the given arguments."""

    lesson: str
    f: Callable[..., Any]
    rule: Callable[..., Any]
    arguments: Sequence[Any]
    names: frozenset[str]
    wrt: str | None = None

    def check(self) -> Report:
        return check_vjp(self.f, self.rule, *self.arguments, wrt=self.wrt)


def draw(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape)


# 01: x e^(-x²), a row's mean of squares, an embedding.
def bell(x):
    return x * np.exp(-(x**2))


def mean_of_squares(x):
    return (x**2).mean(axis=1)


def bias(x, b):
    return x + b


def looked_up(table):
    return table[np.array([2, 0, 2, 5, 2])]


def written(g, table, how):
    d = np.zeros(table.shape)
    for n, row in enumerate([2, 0, 2, 5, 2]):
        d[row] = how(d[row], g[n])
    return d


# 02: a residual block and a network of two layers.
def block(x, w):
    return x + np.tanh(x @ w.T)


def two_layers(x, w1, w2):
    h = tg.relu(x @ w1.T)
    return h @ w2.T


def hidden(x, w1):
    return x @ w1.T


# 05: pools over rows of six entries.
def pool(x):
    return x.reshape(x.shape[0], 3, 2).max(axis=2)


def windows(x):
    return x.reshape(len(x), 3, 2)


# 08: the gradient of the mean cross-entropy, the odds against a class, a margin.
LABELS = np.array([1, 0, 2, 1, 0])


def mean_loss(z):
    return -(np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[np.arange(5), LABELS]).mean()


def chances(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def against(z):
    rivals = np.exp(z).sum(axis=1) - np.exp(z[:, 0])
    return np.log(rivals) - z[:, 0]


def box(w):
    return 0.5 * (np.tanh(w) + 1.0)


# 09: penalties on a Jacobian.
def penalty(w2, w1):
    return (((w2 * (1.0 - np.tanh(w1) ** 2)) @ w1.T) ** 2).sum()


def length(w):
    return np.sqrt((w**2).sum())


def to_one(v):
    return ((np.sqrt((v**2).sum(axis=1)) - 1.0) ** 2).mean()


# 11: the penalty ‖∂E/∂x‖² of E = ½(w·x - t)².
def input_penalty(w, x):
    e = x @ w - TARGET
    return ((e[:, None] * w) ** 2).sum()


def moved(w, x):
    e = x @ w - TARGET
    return x + 0.1 * e[:, None] * w


# 04 and 05: wrong rules of exercises, in loops as learners write them.
def correlated(g, x, w, b, stride, padding, step):
    """dw; the right one has step = stride."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    dw = np.zeros_like(w)
    for i, j in np.ndindex(w.shape[2:]):
        seen = padded[:, :, i : i + step * g.shape[2] : step, j : j + step * g.shape[3] : step]
        dw[:, :, i, j] = np.einsum("nohw,nchw->oc", g, seen)
    return dw


def sent_back(g, x, w, b, stride, padding, assign=False, cut=True):
    """dx; the right one adds, and cuts the padding off."""
    n, c, height, width = x.shape
    full = np.zeros((n, c, height + 2 * padding, width + 2 * padding), x.dtype)
    for i, j in np.ndindex(w.shape[2:]):
        at = (..., slice(i, i + stride * g.shape[2], stride), slice(j, j + stride * g.shape[3], stride))
        part = np.einsum("nohw,oc->nchw", g, w[:, :, i, j])
        full[at] = part if assign else full[at] + part
    first = padding if cut else 0
    return full[:, :, first : first + height, first : first + width]


def to_window(g, x, size, stride, how):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(g.shape):
        at = (n, c, slice(i * stride, i * stride + size), slice(j * stride, j * stride + size))
        window = x[at]
        places = {
            "largest": np.unravel_index(window.argmax(), window.shape),
            "smallest": np.unravel_index(window.argmin(), window.shape),
            "first": (0, 0),
        }
        if how == "whole":
            dx[at] += g[n, c, i, j]
        elif how == "mean":
            dx[at] += g[n, c, i, j] / window.size
        elif how == "overwritten":
            dx[at][places["largest"]] = g[n, c, i, j]
        else:
            dx[at][places[how]] += g[n, c, i, j]
    return dx


def pooled(how):
    return lambda g, x, size, stride: to_window(g, x, size, stride, how)


def of(*names: str) -> frozenset[str]:
    return frozenset(names)


X = draw(5, 4)
W1 = draw(6, 4)
W2 = draw(3, 6)
Z = draw(5, 3)

ANSWERS: dict[str, Answer] = {
    "bell: the exponential alone": Answer(
        "01", bell, lambda g, x: g * np.exp(-(x**2)), (X,), of("missing-term", "detached")
    ),
    "bell: the factor alone": Answer(
        "01", bell, lambda g, x: g * x * -2 * x * np.exp(-(x**2)), (X,), of("missing-term", "detached")
    ),
    "bell: the inner sign": Answer("01", bell, lambda g, x: g * (1 + 2 * x**2) * np.exp(-(x**2)), (X,), of("sign")),
    "mean of squares: the sum": Answer(
        "01", mean_of_squares, lambda g, x: 2 * x * g[:, None], (X,), of("sum-for-mean", "factor")
    ),
    "mean of squares: by the rows": Answer(
        "01",
        mean_of_squares,
        lambda g, x: 2 * x * g[:, None] / len(x),
        (X,),
        of("wrong-axis", "factor", "wrong-constant"),
    ),
    "mean of squares: no g": Answer(
        "01", mean_of_squares, lambda g, x: 2 * x / x.shape[1], (X,), of("ignores-cotangent")
    ),
    "bias: the mean": Answer(
        "01", bias, lambda g, x, b: (g, g.mean(axis=0)), (X, draw(4)), of("mean-for-sum", "factor")
    ),
    "bias: the first row": Answer("01", bias, lambda g, x, b: (g, g[0]), (X, draw(4)), of("unsummed")),
    "embedding: overwritten": Answer(
        "01",
        looked_up,
        lambda g, table: written(g, table, lambda d, g: g),
        (draw(6, 3),),
        of("unsummed"),
    ),
    "embedding: by the place": Answer(
        "01",
        looked_up,
        lambda g, table: np.concatenate([g, np.zeros((1, 3))]),
        (draw(6, 3),),
        of("wrong-index"),
    ),
    "residual: the block alone": Answer(
        "02",
        block,
        lambda g, x, w: ((g * (1 - np.tanh(x @ w.T) ** 2)) @ w, (g * (1 - np.tanh(x @ w.T) ** 2)).T @ x),
        (X, draw(4, 4)),
        of("missing-term", "detached"),
    ),
    "residual: w not transposed": Answer(
        "02",
        block,
        lambda g, x, w: (g + (g * (1 - np.tanh(x @ w.T) ** 2)) @ w.T, (g * (1 - np.tanh(x @ w.T) ** 2)).T @ x),
        (X, draw(4, 4)),
        of("transpose"),
    ),
    "residual: no slope": Answer(
        "02", block, lambda g, x, w: (g + g @ w, g.T @ x), (X, draw(4, 4)), of("missing-factor", "wrong-derivative")
    ),
    "two layers: no mask": Answer(
        "02",
        two_layers,
        lambda g, x, w1, w2: ((g @ w2) @ w1, (g @ w2).T @ x, g.T @ np.maximum(hidden(x, w1), 0)),
        (X, W1, W2),
        of("missing-factor", "mask", "wrong-derivative"),
    ),
    "two layers: the mask of the cotangent": Answer(
        "02",
        two_layers,
        lambda g, x, w1, w2: (
            (g @ w2 * (g @ w2 > 0)) @ w1,
            (g @ w2 * (g @ w2 > 0)).T @ x,
            g.T @ np.maximum(hidden(x, w1), 0),
        ),
        (X, W1, W2),
        frozenset(),
    ),
    "two layers: a for h": Answer(
        "02",
        two_layers,
        lambda g, x, w1, w2: (
            (g @ w2 * (hidden(x, w1) > 0)) @ w1,
            (g @ w2 * (hidden(x, w1) > 0)).T @ x,
            g.T @ hidden(x, w1),
        ),
        (X, W1, W2),
        of("wrong-variable", "wrong-operand", "missing-factor", "wrong-point", "mask"),
    ),
    "linear: the pseudo-inverse": Answer(
        "02", lambda x: x @ W2.T, lambda g, x: g @ np.linalg.pinv(W2.T), (draw(5, 6),), of("inverse")
    ),
    "pool: the whole window": Answer(
        "05",
        pool,
        lambda g, x: np.repeat(g, 2, axis=1),
        (draw(4, 6),),
        of("missing-factor", "mask", "wrong-derivative"),
    ),
    "pool: averaged": Answer(
        "05",
        pool,
        lambda g, x: np.repeat(g, 2, axis=1) / 2,
        (draw(4, 6),),
        of("missing-factor", "mask", "wrong-derivative"),
    ),
    "pool: the smallest": Answer(
        "05",
        pool,
        lambda g, x: (g[:, :, None] * (windows(x) == windows(x).min(axis=2, keepdims=True))).reshape(x.shape),
        (draw(4, 6),),
        of("mask"),
    ),
    "loss: the sum": Answer(
        "08", mean_loss, lambda g, z: g * (chances(z) - np.eye(3)[LABELS]), (Z,), of("sum-for-mean", "factor")
    ),
    "loss: no label": Answer("08", mean_loss, lambda g, z: g * chances(z) / 5, (Z,), of("missing-term")),
    "loss: the other sign": Answer(
        "08", mean_loss, lambda g, z: g * (np.eye(3)[LABELS] - chances(z)) / 5, (Z,), of("sign")
    ),
    "odds: all classes": Answer(
        "08",
        against,
        lambda g, z: g[:, None] * (chances(z) - np.eye(3)[[0] * 5]),
        (Z,),
        of("missing-term", "extra-term", "wrong-derivative", "extra-factor"),
    ),
    "box: tanh′ alone": Answer("08", box, lambda g, w: g * (1 - np.tanh(w) ** 2), (X,), of("factor")),
    "box: 1 - tanh": Answer(
        "08",
        box,
        lambda g, w: g * 0.5 * (1 - np.tanh(w)),
        (X,),
        of("wrong-derivative", "wrong-power", "missing-factor"),
    ),
    "length: not divided": Answer("09", length, lambda g, w: g * w, (X,), of("missing-factor")),
    "length: twice": Answer("09", length, lambda g, w: 2 * g * w / np.sqrt((w**2).sum()), (X,), of("factor")),
    "to one: the distance alone": Answer(
        "09",
        to_one,
        lambda g, v: g * 2 * (np.sqrt((v**2).sum(1, keepdims=True)) - 1) * v / len(v),
        (X,),
        of("missing-factor", "missing-inner-derivative", "wrong-derivative"),
    ),
    "to one: the sum over the rows": Answer(
        "09",
        to_one,
        lambda g, v: g * 2 * (1 - 1 / np.sqrt((v**2).sum(1, keepdims=True))) * v,
        (X,),
        of("sum-for-mean", "factor"),
    ),
    "input penalty: e constant": Answer(
        "11",
        input_penalty,
        lambda g, w, x: 2 * g * ((x @ w - TARGET) ** 2).sum() * w,
        (draw(4), X),
        of("missing-term", "detached"),
        "w",
    ),
    "input penalty: the slope constant": Answer(
        "11",
        input_penalty,
        lambda g, w, x: 2 * g * (w @ w) * (x.T @ (x @ w - TARGET)),
        (draw(4), X),
        of("missing-term", "detached"),
        "w",
    ),
    "moved input: e constant": Answer(
        "11",
        moved,
        lambda g, w, x: (0.1 * (x @ w - TARGET)) @ g,
        (draw(4), X),
        of("missing-term", "detached"),
        "w",
    ),
    "moved input: the step alone": Answer(
        "11",
        moved,
        lambda g, w, x: 0.1 * np.outer(g @ w, w),
        (draw(4), X),
        of("missing-term", "detached"),
        "x",
    ),
}

# The exercise, the wrong rule for it, the name.
EXERCISES: dict[str, tuple[str, Callable[..., Any], str]] = {
    "linear.dx: the pseudo-inverse": ("linear.dx", lambda g, x, w, b: g @ np.linalg.pinv(w).T, "inverse"),
    "linear.dw: the first row": ("linear.dw", lambda g, x, w, b: np.outer(g[0], x[0]), "unsummed"),
    "conv2d.dw: the stride ignored": (
        "conv2d.dw",
        lambda g, x, w, b, stride, padding: correlated(g, x, w, b, stride, padding, 1),
        "wrong-index",
    ),
    "conv2d.dx: assigned": ("conv2d.dx", lambda *given, **more: sent_back(*given, **more, assign=True), "unsummed"),
    "conv2d.dx: padding kept": ("conv2d.dx", lambda *given, **more: sent_back(*given, **more, cut=False), "shift"),
    "max_pool2d: overwritten": ("max_pool2d", pooled("overwritten"), "unsummed"),
    "max_pool2d: the whole window": ("max_pool2d", pooled("whole"), "mask"),
    "max_pool2d: averaged": ("max_pool2d", pooled("mean"), "mask"),
    "max_pool2d: the smallest": ("max_pool2d", pooled("smallest"), "mask"),
    "max_pool2d: the first": ("max_pool2d", pooled("first"), "mask"),
}
RIGHT: dict[str, tuple[str, Callable[..., Any]]] = {
    "conv2d.dw": ("conv2d.dw", lambda g, x, w, b, stride, padding: correlated(g, x, w, b, stride, padding, stride)),
    "conv2d.dx": ("conv2d.dx", sent_back),
    "max_pool2d": ("max_pool2d", pooled("largest")),
}
