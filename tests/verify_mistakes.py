"""Known-wrong derivations: mistakes that students really make, one table row each.

Every row: the exercise, what went wrong, the name that the checker should give it ("" where no single name fits), and the rule.
"""

# ruff: noqa: E501 (a table: one row, one mistake)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.verify.book import exercise
from tinygrad2.verify.book import normalization as n
from tinygrad2.verify.book.convolution import spread, windows
from tinygrad2.verify.book.double_losses import deepfool_step_terms
from tinygrad2.verify.book.elementwise import sigmoid
from tinygrad2.verify.book.jacobians import layer_norm_jacobian
from tinygrad2.verify.book.penalties import input_gradient
from tinygrad2.verify.book.softmax import one_hot, softmax
from tinygrad2.verify.book.statistics import l2_norm


class Mistake(NamedTuple):
    exercise: str
    what: str
    name: str
    rule: Callable[..., Any]


def right(name: str) -> Callable[..., Any]:
    return exercise(name).solution


def changed(name: str, change: Callable[[Any], Any], part: int | None = None) -> Callable[..., Any]:
    """The right rule with its result (or one of its results) changed."""

    def rule(*args: Any, **params: Any) -> Any:
        result = right(name)(*args, **params)
        if part is None:
            return change(result)
        return tuple(change(r) if i == part else r for i, r in enumerate(result))

    return rule


def doubled(name: str, drop: dict[tuple[int, int], float]) -> Callable[..., Any]:
    """A double backward whose terms (part, number) have other weights."""
    terms = exercise(name).terms

    def rule(g: Any, u: Any, *inputs: Any, **params: Any) -> Any:
        parts = terms(u, *inputs, g, **params)
        shapes = [*[x.shape for x in inputs if x.dtype.kind == "f"], np.shape(g)]
        return tuple(
            sum((drop.get((i, k), 1.0) * t for k, t in enumerate(p.values())), np.zeros(s, np.asarray(g).dtype))
            for i, (p, s) in enumerate(zip(parts, shapes, strict=True))
        )

    return rule


def weighted(name: str, weights: dict[tuple[int, int], float]) -> Callable[..., Any]:
    """A rule whose terms (part, number) have other weights; usual mistakes that an exercise lists weigh nothing."""
    ex = exercise(name)

    def rule(g: Any, *inputs: Any, **params: Any) -> Any:
        parts = ex.terms(g, *inputs, **params)
        shapes = [np.shape(inputs[ex.names.index(name)]) for name in ex.wrt]
        results = tuple(
            sum(
                (weights.get((i, k), 0.0 if n[0] == "~" else 1.0) * t for k, (n, t) in enumerate(p.items())),
                np.zeros(s, inputs[0].dtype),
            )
            for i, (p, s) in enumerate(zip(parts, shapes, strict=True))
        )
        return results if len(results) > 1 else results[0]

    return rule


def mutating(name: str) -> Callable[..., Any]:
    """The right rule, which scribbles into its first input."""

    def rule(g: Any, x: Any, *rest: Any, **params: Any) -> Any:
        result = right(name)(g, x, *rest, **params)
        x *= 2
        return result

    return rule


def T(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def kernel_flip(a: Any) -> Any:
    return a[..., ::-1, ::-1]


def conv_dx_unflipped(g, x, w, b, stride, padding):
    return right("conv2d.dx")(g, x, kernel_flip(w), b, stride, padding)


def conv_dw_no_padding(g, x, w, b, stride, padding):
    wide = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding), x.dtype)
    wide[:, :, : x.shape[2], : x.shape[3]] = x
    return np.einsum("nchwij,nohw->ocij", windows(wide, *w.shape[2:], stride, 0), g)


def conv_dw_no_stride(g, x, w, b, stride, padding):
    seen = windows(x, *w.shape[2:], 1, padding)[:, :, : g.shape[2], : g.shape[3]]
    return np.einsum("nchwij,nohw->ocij", seen, g)


def conv_dx_overwrites(g, x, w, b, stride, padding):
    kh, kw = w.shape[2:]
    wide = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding), g.dtype)
    v = np.einsum("nohw,ocij->nchwij", g, w)
    for i in range(kh):
        for k in range(kw):
            wide[:, :, i : i + stride * g.shape[2] : stride, k : k + stride * g.shape[3] : stride] = v[..., i, k]
    return wide[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def max_pool_everywhere(g, x, size, stride):
    return spread(np.broadcast_to(g[..., None, None], (*g.shape, size, size)), x.shape[2:], stride)


def max_pool_overwrites(g, x, size, stride):
    seen = windows(x, size, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    first = (flat.argmax(-1)[..., None] == np.arange(flat.shape[-1])).reshape(seen.shape)
    out = np.zeros(x.shape, g.dtype)
    oh, ow = g.shape[2:]
    for i in range(size):
        for k in range(size):
            view = out[:, :, i : i + stride * oh : stride, k : k + stride * ow : stride]
            view[first[..., i, k]] = g[first[..., i, k]]
    return out


def embedding_overwrites(g, table, rows):
    out = np.zeros(table.shape, g.dtype)
    out[rows] = g
    return out


def embedding_plus_equals(g, table, rows):
    out = np.zeros(table.shape, g.dtype)
    out[rows] += g
    return out


def embedding_mean(g, table, rows):
    out = right("embedding")(g, table, rows)
    return out / len(rows)


def bn_dx(g, x, w, b, eps, mean=1.0, variance=1.0):
    direct, by_mean, by_variance = n.batch_norm_terms(g, x, w, b, eps)[0].values()
    return direct + mean * by_mean + variance * by_variance


def relu_double_ignoring(g, u, x):
    return 0 * x, 1.0 * (x > 0)


MISTAKES = [
    # relu
    Mistake("relu", "the mask is left out", "mask", lambda g, x: 1 * g),
    Mistake("relu", "masked by the cotangent", "mask", lambda g, x: np.where(g > 0, g, 0 * g)),
    Mistake("relu", "masked the wrong side", "mask", lambda g, x: np.where(x < 0, g, 0 * g)),
    Mistake("relu", "wrong sign", "sign", lambda g, x: -g * (x > 0)),
    Mistake("relu", "g is not multiplied in", "ignores-cotangent", lambda g, x: (x > 0).astype(x.dtype)),
    Mistake("relu", "x in place of the mask", "missing-factor", lambda g, x: g * np.maximum(x, 0)),
    Mistake("relu", "forced into float64", "dtype", lambda g, x: g * (x > 0).astype(np.float64)),
    Mistake("relu", "zeroes x in place", "mutates", mutating("relu")),
    Mistake("relu", "returns the sum", "broadcast", lambda g, x: (g * (x > 0)).sum()),
    # leaky relu
    Mistake("leaky_relu", "slope forgotten, as for relu", "missing-term", lambda g, x, slope: np.where(x > 0, g, 0 * g)),
    Mistake("leaky_relu", "identity", "factor", lambda g, x, slope: 1 * g),
    Mistake("leaky_relu", "slope with the wrong sign", "sign", lambda g, x, slope: np.where(x > 0, g, g * -slope)),
    Mistake("leaky_relu", "slope twice", "factor", lambda g, x, slope: np.where(x > 0, g, g * slope**2)),
    Mistake("leaky_relu", "sides exchanged", "factor", lambda g, x, slope: np.where(x < 0, g, g * slope)),
    Mistake("leaky_relu", "g ignored", "ignores-cotangent", lambda g, x, slope: np.where(x > 0, x.dtype.type(1), x.dtype.type(slope))),
    # sigmoid
    Mistake("sigmoid", "y forgotten", "missing-factor", lambda g, x: g * (1 - sigmoid(x))),
    Mistake("sigmoid", "1 - y forgotten", "missing-factor", lambda g, x: g * sigmoid(x)),
    Mistake("sigmoid", "the derivative of tanh", "missing-factor", lambda g, x: g * (1 - sigmoid(x) ** 2)),
    Mistake("sigmoid", "y(1 - y) of x, not of y", "missing-factor", lambda g, x: g * x * (1 - x)),
    Mistake("sigmoid", "wrong sign", "sign", lambda g, x: -g * sigmoid(x) * (1 - sigmoid(x))),
    Mistake("sigmoid", "g ignored", "ignores-cotangent", lambda g, x: sigmoid(x) * (1 - sigmoid(x))),
    Mistake("sigmoid", "g squared", "nonlinear", lambda g, x: g * g * sigmoid(x) * (1 - sigmoid(x))),
    Mistake("sigmoid", "y squared", "missing-factor", lambda g, x: g * sigmoid(x) ** 2 * (1 - sigmoid(x))),
    # tanh
    Mistake("tanh", "1 - y in place of 1 - y²", "missing-factor", lambda g, x: g * (1 - np.tanh(x))),
    Mistake("tanh", "1 + y²", "sign", lambda g, x: g * (1 + np.tanh(x) ** 2)),
    Mistake("tanh", "factor 2", "factor", lambda g, x: 2 * g * (1 - np.tanh(x) ** 2)),
    Mistake("tanh", "y² - 1", "sign", lambda g, x: g * (np.tanh(x) ** 2 - 1)),
    Mistake("tanh", "the square is missing its term", "missing-term|missing-factor", lambda g, x: 1 * g),
    Mistake("tanh", "adds a bias", "nonlinear", lambda g, x: g * (1 - np.tanh(x) ** 2) + x.dtype.type(0.1)),
    # linear
    Mistake("linear", "dx and g transposed", "transpose", lambda g, x, w, b: (T(g @ w), g.T @ x, g.sum(0))),
    Mistake("linear", "db keeps the batch", "unsummed", lambda g, x, w, b: (g @ w, g.T @ x, 1 * g)),
    Mistake("linear", "dw is divided by the batch", "factor", lambda g, x, w, b: (g @ w, g.T @ x / len(x), g.sum(0))),
    Mistake("linear", "dw transposed", "transpose", lambda g, x, w, b: (g @ w, x.T @ g, g.sum(0))),
    Mistake("linear.dx", "w transposed", "transpose", lambda g, x, w, b: g @ w.T),
    Mistake("linear.dx", "divided by the batch", "factor", lambda g, x, w, b: g @ w / len(x)),
    Mistake("linear.dx", "wrong sign", "sign", lambda g, x, w, b: -(g @ w)),
    Mistake("linear.dw", "transposed", "transpose", lambda g, x, w, b: x.T @ g),
    Mistake("linear.dw", "mean over the batch", "factor", lambda g, x, w, b: g.T @ x / len(x)),
    Mistake("linear.dw", "g ignored", "ignores-cotangent", lambda g, x, w, b: np.ones_like(g).T @ x),
    Mistake("linear.dw", "not summed over the batch", "unsummed", lambda g, x, w, b: g[:, :, None] * x[:, None, :]),
    Mistake("linear.dw", "indices exchanged", "transpose", lambda g, x, w, b: np.einsum("no,ni->io", g, x)),
    Mistake("linear.db", "not summed", "unsummed", lambda g, x, w, b: 1 * g),
    Mistake("linear.db", "mean", "factor", lambda g, x, w, b: g.mean(0)),
    Mistake("linear.db", "summed over the wrong axis", "transpose", lambda g, x, w, b: g.sum(1)),
    Mistake("linear.db", "kept as a row", "shape|unsummed", lambda g, x, w, b: g.sum(0, keepdims=True)),
    Mistake("linear.db", "ones", "ignores-cotangent", lambda g, x, w, b: np.full_like(b, len(x))),
    # matmul
    Mistake("matmul.da", "b not transposed", "transpose", lambda g, a, b: g @ b),
    Mistake("matmul.da", "wrong order", "", lambda g, a, b: b @ g),
    Mistake("matmul.da", "result transposed", "transpose", lambda g, a, b: (g @ b.T).T),
    Mistake("matmul.db", "a not transposed", "transpose", lambda g, a, b: a @ g),
    Mistake("matmul.db", "transposed", "transpose", lambda g, a, b: g.T @ a),
    Mistake("matmul.db", "divided by n", "factor", lambda g, a, b: a.T @ g / len(a)),
    Mistake("matmul", "the two exchanged", "swap", lambda g, a, b: (a.T @ g, g @ b.T)),
    # embedding
    Mistake("embedding", "repeated rows overwrite", "unsummed", embedding_overwrites),
    Mistake("embedding", "d[rows] += g", "unsummed", embedding_plus_equals),
    Mistake("embedding", "mean over the rows taken", "factor", embedding_mean),
    Mistake("embedding", "returns g", "", lambda g, table, rows: 1 * g),
    Mistake("embedding", "multiplied by the table", "missing-factor", lambda g, table, rows: right("embedding")(g, table, rows) * table),
    # residual
    Mistake("residual", "shortcut forgotten", "missing-term", lambda g, x, w: ((g * (1 - np.tanh(x @ w.T) ** 2)) @ w, right("residual")(g, x, w)[1])),
    Mistake("residual", "block forgotten", "missing-term", lambda g, x, w: (1 * g, right("residual")(g, x, w)[1])),
    Mistake("residual", "dw transposed", "transpose", changed("residual", T, 1)),
    Mistake("residual", "shortcut also in tanh'", "missing-term", lambda g, x, w: ((g * (1 - np.tanh(x @ w.T) ** 2)) @ (w + np.eye(len(w), dtype=w.dtype)), right("residual")(g, x, w)[1])),
    Mistake("residual", "shortcut twice", "factor", lambda g, x, w: (g + right("residual")(g, x, w)[0], right("residual")(g, x, w)[1])),
    # conv2d
    Mistake("conv2d.dw", "kernel flipped", "flip", changed("conv2d.dw", kernel_flip)),
    Mistake("conv2d.dw", "rows flipped", "flip", changed("conv2d.dw", lambda a: a[:, :, ::-1])),
    Mistake("conv2d.dw", "channels exchanged", "swap", changed("conv2d.dw", lambda a: a.swapaxes(0, 1))),
    Mistake("conv2d.dw", "kernel axes transposed", "transpose", changed("conv2d.dw", T)),
    Mistake("conv2d.dw", "mean over the batch", "factor", lambda g, x, *r, **p: right("conv2d.dw")(g, x, *r, **p) / len(x)),
    Mistake("conv2d.dw", "mean over batch and positions", "factor", lambda g, x, *r, **p: right("conv2d.dw")(g, x, *r, **p) * (g.shape[1] / g.size)),
    Mistake("conv2d.dw", "stride ignored", "wrong-index", conv_dw_no_stride),
    Mistake("conv2d.dw", "padding put on one side", "", conv_dw_no_padding),
    Mistake("conv2d.dw", "not summed over the batch", "unsummed", lambda g, x, w, b, stride, padding: np.einsum("nchwij,nohw->nocij", windows(x, *w.shape[2:], stride, padding), g)),
    Mistake("conv2d.dw", "g ignored", "ignores-cotangent", lambda g, *r, **p: right("conv2d.dw")(np.ones_like(g), *r, **p)),
    Mistake("conv2d.dx", "kernel not flipped", "flip", conv_dx_unflipped),
    Mistake("conv2d.dx", "wrong sign", "sign", changed("conv2d.dx", lambda a: -a)),
    Mistake("conv2d.dx", "overlaps overwrite", "unsummed", conv_dx_overwrites),
    Mistake("conv2d.dx", "image axes transposed", "transpose", changed("conv2d.dx", T)),
    Mistake("conv2d.dx", "divided by the kernel size", "factor", lambda g, x, w, b, stride, padding: right("conv2d.dx")(g, x, w, b, stride, padding) / (w.shape[2] * w.shape[3])),
    Mistake("conv2d.db", "not summed over positions", "unsummed", lambda g, x, w, b, stride, padding: g.sum(0)),
    Mistake("conv2d.db", "not summed over the batch", "unsummed", lambda g, x, w, b, stride, padding: g.sum((2, 3))),
    Mistake("conv2d.db", "mean over all", "factor", lambda g, x, w, b, stride, padding: g.mean((0, 2, 3))),
    Mistake("conv2d.db", "mean over the batch", "factor", lambda g, x, w, b, stride, padding: g.sum((2, 3)).mean(0)),
    Mistake("conv2d", "dw flipped", "flip", changed("conv2d", kernel_flip, 1)),
    Mistake("conv2d", "dx and dw exchanged", "swap", lambda *a, **p: (lambda dx, dw, db: (dw, dx, db))(*right("conv2d")(*a, **p))),
    # transposed convolution
    Mistake("conv_transpose2d.dx", "kernel flipped", "flip", lambda g, x, w, stride: right("conv_transpose2d.dx")(g, x, kernel_flip(w), stride)),
    Mistake("conv_transpose2d.dx", "channels exchanged", "swap", lambda g, x, w, stride: right("conv_transpose2d.dx")(g, x, w.swapaxes(0, 1), stride)),
    Mistake("conv_transpose2d.dw", "flipped", "flip", changed("conv_transpose2d.dw", kernel_flip)),
    Mistake("conv_transpose2d.dw", "channels exchanged", "swap", changed("conv_transpose2d.dw", lambda a: a.swapaxes(0, 1))),
    Mistake("conv_transpose2d", "factor stride²", "factor", lambda g, x, w, stride: (lambda dx, dw: (stride**2 * dx, dw))(*right("conv_transpose2d")(g, x, w, stride))),
    # pooling
    Mistake("max_pool2d", "spread over the whole window", "mask", max_pool_everywhere),
    Mistake("max_pool2d", "overlaps overwrite", "", max_pool_overwrites),
    Mistake("max_pool2d", "divided by the window", "factor", lambda g, x, size, stride: right("max_pool2d")(g, x, size, stride) / size**2),
    Mistake("max_pool2d", "g ignored", "ignores-cotangent", lambda g, x, size, stride: right("max_pool2d")(np.ones_like(g), x, size, stride)),
    Mistake("max_pool2d", "multiplied by x", "missing-factor", lambda g, x, size, stride: x * right("max_pool2d")(g, x, size, stride)),
    Mistake("avg_pool2d", "not divided", "factor", lambda g, x, size, stride: right("avg_pool2d")(g, x, size, stride) * size**2),
    Mistake("avg_pool2d", "divided by size", "factor", lambda g, x, size, stride: right("avg_pool2d")(g, x, size, stride) * size),
    Mistake("avg_pool2d", "transposed", "transpose", changed("avg_pool2d", T)),
    Mistake("avg_pool2d", "g ignored", "ignores-cotangent", lambda g, x, size, stride: right("avg_pool2d")(np.ones_like(g), x, size, stride)),
    Mistake("unpool", "sum of the window", "mask", lambda g, y, at: g.reshape(*y.shape[:2], y.shape[2], 2, y.shape[3], 2).sum((3, 5))),
    Mistake("unpool", "wrong sign", "sign", changed("unpool", lambda a: -a)),
    Mistake("unpool", "times y", "missing-factor", lambda g, y, at: y * right("unpool")(g, y, at)),
    # batch norm, train
    Mistake("batch_norm.dx", "as in evaluation", "missing-term", lambda g, x, w, b, eps: bn_dx(g, x, w, b, eps, mean=0.0, variance=0.0)),
    Mistake("batch_norm.dx", "the way through the variance is missing", "missing-term", lambda g, x, w, b, eps: bn_dx(g, x, w, b, eps, variance=0.0)),
    Mistake("batch_norm.dx", "the way through the mean is missing", "missing-term", lambda g, x, w, b, eps: bn_dx(g, x, w, b, eps, mean=0.0)),
    Mistake("batch_norm.dx", "variance term with the wrong sign", "sign", lambda g, x, w, b, eps: bn_dx(g, x, w, b, eps, variance=-1.0)),
    Mistake("batch_norm.dx", "variance term twice", "factor", lambda g, x, w, b, eps: bn_dx(g, x, w, b, eps, variance=2.0)),
    Mistake("batch_norm.dx", "γ forgotten", "missing-factor", lambda g, x, w, b, eps: right("batch_norm.dx")(g, x, np.ones_like(w), b, eps)),
    Mistake("batch_norm.dx", "1/std forgotten", "missing-factor", lambda g, x, w, b, eps: right("batch_norm.dx")(g, x, w, b, eps) / n.standardized(x, eps)[1]),
    Mistake("batch_norm.dweight", "x in place of x̂", "missing-factor", lambda g, x, w, b, eps: (g * x).sum(0)),
    Mistake("batch_norm.dweight", "not summed", "unsummed", lambda g, x, w, b, eps: g * n.standardized(x, eps)[0]),
    Mistake("batch_norm.dweight", "mean", "factor", lambda g, x, w, b, eps: (g * n.standardized(x, eps)[0]).mean(0)),
    Mistake("batch_norm", "dbias not summed", "unsummed", changed("batch_norm", lambda a: np.stack([a, 0 * a]), 2)),
    # batch norm, eval
    Mistake("batch_norm_eval", "γ forgotten", "missing-factor", lambda g, x, w, b, m, v, eps: (lambda r: (g / np.sqrt(v + eps), *r[1:]))(right("batch_norm_eval")(g, x, w, b, m, v, eps))),
    Mistake("batch_norm_eval", "1/std forgotten", "missing-factor", lambda g, x, w, b, m, v, eps: (lambda r: (g * w, *r[1:]))(right("batch_norm_eval")(g, x, w, b, m, v, eps))),
    Mistake("batch_norm_eval", "dweight of x, not of x̂", "missing-factor", lambda g, x, w, b, m, v, eps: (lambda r: (r[0], (g * x).sum(0), r[2]))(right("batch_norm_eval")(g, x, w, b, m, v, eps))),
    Mistake("batch_norm_eval", "dweight and dbias exchanged", "swap", lambda *a, **p: (lambda r: (r[0], r[2], r[1]))(right("batch_norm_eval")(*a, **p))),
    # softmax
    Mistake("softmax", "diagonal Jacobian", "missing-term", lambda g, z: g * softmax(z)),
    Mistake("softmax", "as for sigmoid", "missing-term", lambda g, z: g * softmax(z) * (1 - softmax(z))),
    Mistake("softmax", "y forgotten in front", "missing-factor", lambda g, z: g - (g * softmax(z)).sum(-1, keepdims=True)),
    Mistake("softmax", "plus in place of minus", "sign", lambda g, z: softmax(z) * (g + (g * softmax(z)).sum(-1, keepdims=True))),
    Mistake("softmax", "sum over the batch", "missing-term", lambda g, z: softmax(z) * (g - (g * softmax(z)).sum(0))),
    Mistake("softmax", "sum over everything", "broadcast", lambda g, z: softmax(z) * (g - (g * softmax(z)).sum())),
    Mistake("softmax", "mean in place of sum", "factor|missing-term", lambda g, z: softmax(z) * (g - (g * softmax(z)).mean(-1, keepdims=True))),
    Mistake("softmax", "g ignored in the sum", "missing-term", lambda g, z: softmax(z) * (g - softmax(z).sum(-1, keepdims=True))),
    # log-softmax
    Mistake("log_softmax", "the sum of g forgotten", "missing-term", lambda g, z: g - softmax(z)),
    Mistake("log_softmax", "only g", "missing-term", lambda g, z: 1 * g),
    Mistake("log_softmax", "the rule of softmax", "missing-factor", lambda g, z: right("softmax")(g, z)),
    Mistake("log_softmax", "plus in place of minus", "sign", lambda g, z: g + softmax(z) * g.sum(-1, keepdims=True)),
    Mistake("log_softmax", "sum over everything", "broadcast", lambda g, z: g - softmax(z) * g.sum()),
    # cross-entropy
    Mistake("cross_entropy", "not divided by n", "factor", lambda g, z, t: g * (softmax(z) - one_hot(z, t))),
    Mistake("cross_entropy", "one-hot forgotten", "missing-term", lambda g, z, t: g * softmax(z) / len(z)),
    Mistake("cross_entropy", "wrong sign", "sign", lambda g, z, t: g * (one_hot(z, t) - softmax(z)) / len(z)),
    Mistake("cross_entropy", "g ignored", "ignores-cotangent", lambda g, z, t: (softmax(z) - one_hot(z, t)) / len(z)),
    Mistake("cross_entropy", "divided by all entries", "factor", lambda g, z, t: g * (softmax(z) - one_hot(z, t)) / z.size),
    Mistake("cross_entropy", "of a plain log-likelihood", "missing-term", lambda g, z, t: -g * one_hot(z, t) / softmax(z) / len(z)),
    # mean, variance, norm
    Mistake("mean", "not divided", "factor", lambda g, x: np.broadcast_to(g[:, None], x.shape)),
    Mistake("mean", "not spread", "broadcast", lambda g, x: g / x.shape[1]),
    Mistake("mean", "divided by the batch", "factor", lambda g, x: np.broadcast_to(g[:, None] / x.shape[0], x.shape)),
    Mistake("mean", "g ignored", "ignores-cotangent", lambda g, x: np.full_like(x, 1 / x.shape[1])),
    Mistake("variance", "mean forgotten", "missing-term", lambda g, x: 2 * g[:, None] * x / x.shape[1]),
    Mistake("variance", "factor 2 forgotten", "factor", lambda g, x: g[:, None] * (x - x.mean(-1, keepdims=True)) / x.shape[1]),
    Mistake("variance", "divided by d - 1", "factor", lambda g, x: 2 * g[:, None] * (x - x.mean(-1, keepdims=True)) / (x.shape[1] - 1)),
    Mistake("variance", "not divided", "factor", lambda g, x: 2 * g[:, None] * (x - x.mean(-1, keepdims=True))),
    Mistake("variance", "wrong sign", "sign", changed("variance", lambda a: -a)),
    Mistake("l2_norm", "not divided by the norm", "missing-factor", lambda g, x: g[:, None] * x),
    Mistake("l2_norm", "divided by the square", "missing-factor", lambda g, x: g[:, None] * x / (x * x).sum(-1, keepdims=True)),
    Mistake("l2_norm", "factor 2, of the squared norm", "factor", lambda g, x: 2 * g[:, None] * x / l2_norm(x)[:, None]),
    Mistake("l2_norm", "x forgotten", "missing-factor", lambda g, x: g[:, None] / l2_norm(x)[:, None] + 0 * x),
    Mistake("l2_norm", "one norm for the batch", "broadcast|missing-factor", lambda g, x: g[:, None] * x / np.sqrt((x * x).sum())),
    # local response normalisation
    Mistake("lrn", "neighbours forgotten", "missing-term", lambda g, x, alpha, beta: g * n.lrn_scale(x, alpha) ** -beta),
    Mistake("lrn", "second part with the wrong sign", "sign", lambda g, x, alpha, beta: (lambda t: t[0] - t[1])([*n.lrn_terms(g, x, alpha, beta)[0].values()])),
    Mistake("lrn", "factor 2 of the square forgotten", "factor", lambda g, x, alpha, beta: (lambda t: t[0] + t[1] / 2)([*n.lrn_terms(g, x, alpha, beta)[0].values()])),
    Mistake("lrn", "only the own channel", "missing-term", lambda g, x, alpha, beta: g * n.lrn_scale(x, alpha) ** -beta - 2 * alpha * beta * g * x * x * n.lrn_scale(x, alpha) ** (-beta - 1)),
    # Jacobians
    Mistake("softmax.jacobian", "diagonal", "missing-term", lambda z: np.diag(softmax(z))),
    Mistake("softmax.jacobian", "wrong sign of the outer product", "sign", lambda z: np.diag(softmax(z)) + np.outer(softmax(z), softmax(z))),
    Mistake("softmax.jacobian", "as for sigmoid", "missing-term", lambda z: np.diag(softmax(z) * (1 - softmax(z)))),
    Mistake("softmax.jacobian", "negative", "sign", lambda z: np.outer(softmax(z), softmax(z)) - np.diag(softmax(z))),
    Mistake("layer_norm.jacobian", "variance forgotten", "missing-term", lambda x, eps: n.standardized(x, eps)[1] * (np.eye(x.size, dtype=x.dtype) - x.dtype.type(1 / x.size))),
    Mistake("layer_norm.jacobian", "mean forgotten", "missing-term", lambda x, eps: n.standardized(x, eps)[1] * (np.eye(x.size, dtype=x.dtype) - np.outer(*[n.standardized(x, eps)[0]] * 2) / x.size)),
    Mistake("layer_norm.jacobian", "1/d forgotten in the outer product", "factor", lambda x, eps: n.standardized(x, eps)[1] * (np.eye(x.size, dtype=x.dtype) - x.dtype.type(1 / x.size) - np.outer(*[n.standardized(x, eps)[0]] * 2))),
    Mistake("layer_norm.jacobian", "1/std forgotten", "missing-factor", lambda x, eps: layer_norm_jacobian(x, eps) / n.standardized(x, eps)[1]),
    Mistake("normalize.jacobian", "the norm taken as constant", "missing-term", lambda x: np.eye(x.size, dtype=x.dtype) / np.sqrt(x @ x)),
    Mistake("normalize.jacobian", "not divided by the norm", "missing-factor", lambda x: np.eye(x.size, dtype=x.dtype) - np.outer(x, x) / (x @ x)),
    Mistake("normalize.jacobian", "plus in place of minus", "sign", lambda x: (np.eye(x.size, dtype=x.dtype) + np.outer(x, x) / (x @ x)) / np.sqrt(x @ x)),
    Mistake("mlp.jacobian", "transposed", "transpose", changed("mlp.jacobian", lambda a: a.T)),
    Mistake("mlp.jacobian", "tanh' forgotten", "missing-factor", lambda x, w1, w2: w2 @ w1),
    Mistake("mlp.jacobian", "wrong sign", "sign", changed("mlp.jacobian", lambda a: -a)),
    # double backward
    Mistake("linear.double", "dg: the weight's part forgotten", "missing-term", doubled("linear.double", {(3, 1): 0})),
    Mistake("linear.double", "dg: the bias's part forgotten", "missing-term", doubled("linear.double", {(3, 2): 0})),
    Mistake("linear.double", "dw transposed", "transpose", changed("linear.double", T, 1)),
    Mistake("linear.double", "dx with the wrong sign", "sign", changed("linear.double", lambda a: -a, 0)),
    Mistake("relu.double", "dg not masked", "mask", lambda g, u, x: (0 * x, 1 * u)),
    Mistake("relu.double", "dx as if the mask were smooth", "missing-term", lambda g, u, x: (g * u, u * (x > 0))),
    Mistake("relu.double", "u ignored", "ignores-cotangent", relu_double_ignoring),
    Mistake("sigmoid.double", "second term forgotten", "missing-term|missing-factor", doubled("sigmoid.double", {(0, 1): 0})),
    Mistake("sigmoid.double", "1 - y in place of 1 - 2y", "factor", doubled("sigmoid.double", {(0, 1): 0.5})),
    Mistake("sigmoid.double", "dg not by u", "ignores-cotangent", lambda g, u, x: (right("sigmoid.double")(g, u, x)[0], sigmoid(x) * (1 - sigmoid(x)))),
    Mistake("sigmoid.double", "g forgotten in dx", "missing-factor", lambda g, u, x: (right("sigmoid.double")(g, u, x)[0] / g, right("sigmoid.double")(g, u, x)[1])),
    Mistake("cross_entropy.double", "diagonal Hessian", "missing-term", doubled("cross_entropy.double", {(0, 1): 0})),
    Mistake("cross_entropy.double", "dg: the label forgotten", "missing-term", doubled("cross_entropy.double", {(1, 1): 0})),
    Mistake("cross_entropy.double", "g forgotten", "missing-factor", lambda g, u, z, t: (right("cross_entropy.double")(g, u, z, t)[0] / g, right("cross_entropy.double")(g, u, z, t)[1])),
    Mistake("conv2d.double", "dg: the kernel's part forgotten", "missing-term", doubled("conv2d.double", {(3, 1): 0})),
    Mistake("conv2d.double", "dg: the input's part forgotten", "missing-term", doubled("conv2d.double", {(3, 0): 0})),
    Mistake("conv2d.double", "dw flipped", "flip", changed("conv2d.double", kernel_flip, 1)),
    Mistake("conv2d.double", "dx with the wrong sign", "sign", changed("conv2d.double", lambda a: -a, 0)),
    Mistake("batch_norm.double", "ds/dx forgotten", "missing-term", doubled("batch_norm.double", {(0, 0): 0})),
    Mistake("batch_norm.double", "one of the symmetric terms forgotten", "missing-term", doubled("batch_norm.double", {(0, 2): 0})),
    Mistake("batch_norm.double", "wrong sign of ds/dx", "sign", doubled("batch_norm.double", {(0, 0): -1})),
    Mistake("batch_norm.double", "dg without the variance", "missing-term", doubled("batch_norm.double", {(1, 2): 0})),
    Mistake("l2_norm.double", "norm taken as constant", "missing-term", doubled("l2_norm.double", {(0, 1): 0})),
    Mistake("l2_norm.double", "second term with the wrong sign", "sign", doubled("l2_norm.double", {(0, 1): -1})),
    Mistake("l2_norm.double", "dg not divided", "missing-factor", lambda g, u, x: (right("l2_norm.double")(g, u, x)[0], (u * x).sum(-1))),
    Mistake("deepfool_step", "the norm taken as constant", "missing-term", lambda g, f, v: (right("deepfool_step")(g, f, v)[0], -(f / (v * v).sum(-1))[:, None] * g)),
    Mistake("deepfool_step", "factor 2 forgotten", "factor", lambda g, f, v: (lambda t: (t[0]["-(g·v)/‖v‖²"], t[1]["-f g/‖v‖²"] + t[1]["2 f v (g·v)/‖v‖⁴"] / 2))(deepfool_step_terms(g, f, v))),
    Mistake("deepfool_step", "df not divided by the square", "missing-factor", lambda g, f, v: (-(g * v).sum(-1), right("deepfool_step")(g, f, v)[1])),
    Mistake("deepfool_step", "sign of r forgotten", "sign", lambda *a: tuple(-r for r in right("deepfool_step")(*a))),
    # GELU
    Mistake("gelu", "x taken as a constant in the tanh", "missing-term", weighted("gelu", {(0, 1): 0})),
    Mistake("gelu", "only what is inside the tanh", "missing-term", weighted("gelu", {(0, 0): 0})),
    Mistake("gelu", "slope of the inner polynomial forgotten", "missing-term", weighted("gelu", {(0, 1): 0, (0, 2): 1})),
    Mistake("gelu", "slope of tanh forgotten", "missing-term", weighted("gelu", {(0, 1): 0, (0, 3): 1})),
    Mistake("gelu", "minus in place of plus", "sign", weighted("gelu", {(0, 1): -1})),
    Mistake("gelu", "one half forgotten", "factor", changed("gelu", lambda a: 2 * a)),
    Mistake("gelu", "g ignored", "ignores-cotangent", lambda g, x: right("gelu")(np.ones_like(g), x)),
    Mistake("gelu.double", "the slope of tanh taken as constant", "missing-term", doubled("gelu.double", {(0, 1): 0})),
    Mistake("gelu.double", "the product rule's two equal terms counted once", "factor", doubled("gelu.double", {(0, 0): 0.5})),
    Mistake("gelu.double", "the polynomial's bend forgotten", "missing-term", doubled("gelu.double", {(0, 2): 0})),
    Mistake("gelu.double", "sign of the bend of tanh", "sign", doubled("gelu.double", {(0, 1): -1})),
    # logsumexp
    Mistake("logsumexp", "not divided by the sum", "missing-factor", lambda g, z: g[:, None] * np.exp(z)),
    Mistake("logsumexp", "e^z forgotten", "missing-factor", lambda g, z: g[:, None] / np.exp(z).sum(-1, keepdims=True) + 0 * z),
    Mistake("logsumexp", "wrong sign", "sign", lambda g, z: -g[:, None] * softmax(z)),
    Mistake("logsumexp", "g ignored", "ignores-cotangent", lambda g, z: softmax(z)),
    Mistake("logsumexp", "mean of the row", "factor", lambda g, z: g[:, None] * softmax(z) / z.shape[1]),
    Mistake("logsumexp.double", "diagonal", "missing-term", doubled("logsumexp.double", {(0, 1): 0})),
    Mistake("logsumexp.double", "sign of the coupling", "sign", doubled("logsumexp.double", {(0, 1): -1})),
    Mistake("logsumexp.double", "g forgotten", "missing-factor", lambda g, u, z: (right("logsumexp.double")(np.ones_like(g), u, z)[0], (softmax(z) * u).sum(-1))),
    # cosine similarity
    Mistake("cosine_similarity", "the own norm taken as constant", "missing-term", weighted("cosine_similarity", {(0, 1): 0, (1, 1): 0})),
    Mistake("cosine_similarity", "the own norm taken as constant in da", "missing-term", weighted("cosine_similarity", {(0, 1): 0})),
    Mistake("cosine_similarity", "plus in place of minus", "sign", weighted("cosine_similarity", {(0, 1): -1})),
    Mistake("cosine_similarity", "da and db exchanged", "swap", lambda g, a, b: right("cosine_similarity")(g, a, b)[::-1]),
    Mistake("cosine_similarity", "norm's term twice", "factor", weighted("cosine_similarity", {(1, 1): 2})),
    # layer norm
    Mistake("layer_norm", "dweight keeps the batch", "unsummed", lambda g, x, w, b, eps: (lambda r: (r[0], g * n.standardized(x.T, eps)[0].T, r[2]))(right("layer_norm")(g, x, w, b, eps))),
    Mistake("layer_norm", "dbias is a mean", "factor", lambda g, x, w, b, eps: (lambda r: (*r[:2], g.mean(0)))(right("layer_norm")(g, x, w, b, eps))),
    Mistake("layer_norm", "dweight and dbias exchanged", "swap", lambda *a, **p: (lambda r: (r[0], r[2], r[1]))(right("layer_norm")(*a, **p))),
    Mistake("layer_norm.dx", "mean and variance taken as constants", "missing-term", weighted("layer_norm.dx", {(0, 1): 0, (0, 2): 0})),
    Mistake("layer_norm.dx", "the way through the variance is missing", "missing-term", weighted("layer_norm.dx", {(0, 2): 0})),
    Mistake("layer_norm.dx", "sign of the way through the mean", "sign", weighted("layer_norm.dx", {(0, 1): -1})),
    Mistake("layer_norm.dx", "γ forgotten", "missing-factor", lambda g, x, w, b, eps: right("layer_norm.dx")(g, x, np.ones_like(w), b, eps)),
    # RMS norm
    Mistake("rms_norm", "dweight not divided by r", "missing-factor", lambda g, x, w, eps: (right("rms_norm.dx")(g, x, w, eps), (g * x).sum(0))),
    Mistake("rms_norm", "dweight keeps the batch", "unsummed", lambda g, x, w, eps: (right("rms_norm.dx")(g, x, w, eps), g * n.rms_norm_saved(x, w, eps)["x/r"])),
    Mistake("rms_norm", "dweight is a mean", "factor", changed("rms_norm", lambda a: a / 2, 1)),
    Mistake("rms_norm.dx", "r taken as a constant", "missing-term", weighted("rms_norm.dx", {(0, 1): 0})),
    Mistake("rms_norm.dx", "sign of the way through r", "sign", weighted("rms_norm.dx", {(0, 1): -1})),
    Mistake("rms_norm.dx", "a sum in place of the mean", "factor", lambda g, x, w, eps: (lambda t: t[0] + x.shape[1] * t[1])([*n.rms_norm_terms(g, x, w, eps)[0].values()])),
    # attention
    Mistake("attention.scores", "1/√d forgotten in dq", "missing-factor|factor", lambda g, q, k: (g @ k, g.T @ q / q.shape[1] ** 0.5)),
    Mistake("attention.scores", "divided by d", "missing-factor|factor", lambda g, q, k: (g @ k / q.shape[1], g.T @ q / q.shape[1] ** 0.5)),
    Mistake("attention.scores", "dk with g not transposed", "transpose", lambda g, q, k: (g @ k / q.shape[1] ** 0.5, T(g.T @ q) / q.shape[1] ** 0.5)),
    Mistake("attention.scores", "wrong sign", "sign", changed("attention.scores", lambda a: -a, 0)),
    Mistake("attention.values", "softmax taken as diagonal", "missing-term", weighted("attention.values", {(0, 1): 0})),
    Mistake("attention.values", "as for sigmoid", "missing-term", weighted("attention.values", {(0, 1): 0, (0, 2): 1})),
    Mistake("attention.values", "sign of the row's sum", "sign", weighted("attention.values", {(0, 1): -1})),
    Mistake("attention.values", "dv transposed", "transpose", changed("attention.values", T, 1)),
    Mistake("attention", "softmax taken as diagonal", "missing-term", weighted("attention", {(0, 1): 0, (1, 1): 0})),
    Mistake("attention", "1/√d forgotten in dk", "missing-factor|factor", lambda g, q, k, v: (lambda r: (r[0], r[1] * q.shape[1] ** 0.5, r[2]))(right("attention")(g, q, k, v))),
    Mistake("attention", "dk transposed", "transpose", changed("attention", T, 1)),
    Mistake("attention", "dv without g", "ignores-cotangent", lambda g, q, k, v: (*right("attention")(g, q, k, v)[:2], right("attention")(np.ones_like(g), q, k, v)[2])),
    # Hessian-vector product, gradient penalty
    Mistake("mlp.hvp", "slope of tanh forgotten", "missing-term", weighted("mlp.hvp", {(0, 0): 0, (0, 1): 1})),
    Mistake("mlp.hvp", "the first derivative of tanh", "missing-term", weighted("mlp.hvp", {(0, 0): 0, (0, 2): 1})),
    Mistake("mlp.hvp", "sign", "sign", changed("mlp.hvp", lambda a: -a)),
    Mistake("mlp.hvp", "factor 2 forgotten", "factor", changed("mlp.hvp", lambda a: a / 2)),
    Mistake("mlp.hvp", "the gradient itself", "", lambda g, x, w1, w2: input_gradient(x, w1, w2)),
    Mistake("gradient_penalty", "the slope of tanh taken as a constant", "missing-term", weighted("gradient_penalty", {(0, 1): 0})),
    Mistake("gradient_penalty", "w1 used once only", "missing-term", weighted("gradient_penalty", {(0, 0): 0})),
    Mistake("gradient_penalty", "factor 2 of the square forgotten", "factor", lambda *a, **p: tuple(r / 2 for r in right("gradient_penalty")(*a, **p))),
    Mistake("gradient_penalty", "a sum in place of the mean", "factor", lambda g, x, w1, w2: tuple(r * len(x) for r in right("gradient_penalty")(g, x, w1, w2))),
    Mistake("gradient_penalty", "sign of the curvature", "sign", weighted("gradient_penalty", {(0, 1): -1})),
    Mistake("gradient_penalty", "g ignored", "ignores-cotangent", lambda g, x, w1, w2: right("gradient_penalty")(np.ones_like(g), x, w1, w2)),
]  # fmt: skip
