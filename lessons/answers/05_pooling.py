"""Answers to lesson 5: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np

# --- leaky ReLU and the push


def push_by_window(x, v, size):
    return np.array([max(zip(x[o:], v[o:], range(size), strict=False), key=lambda t: t[0])[1] for o in places(x, size)])


def places(x, size):
    return range(len(x) - size + 1)


def push_as_product(x, v, size):
    jacobian = np.zeros((len(x) - size + 1, len(x)))
    for o in places(x, size):
        jacobian[o, o + x[o : o + size].argmax()] = 1
    return jacobian @ v


def pooled(x, size):
    return np.array([x[o : o + size].max() for o in places(x, size)])


def push_inside_window(x, v, size):
    return v[[x[o : o + size].argmax() for o in places(x, size)]]


# --- pools


def windows(x, size, stride):
    """x: (n, c, h, w); result: (n, c, oh, ow, size, size)."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


def dealt(g, x, size, stride, weights, add=True):
    """Deal each g to its window. weights: (n, c, oh, ow, size, size)."""
    dx = np.zeros_like(x)
    rows, columns = g.shape[2:]
    for a, b in np.ndindex(rows, columns):
        place = np.s_[:, :, a * stride : a * stride + size, b * stride : b * stride + size]
        brought = g[:, :, a, b, None, None] * weights[:, :, a, b]
        dx[place] = dx[place] + brought if add else np.where(weights[:, :, a, b] != 0, brought, dx[place])
    return dx


def winners(x, size, stride, choose=np.argmax):
    seen = windows(x, size, stride)
    flat = seen.reshape(*seen.shape[:4], -1)
    won = np.arange(size * size) == choose(flat, axis=-1)[..., None]
    return won.reshape(seen.shape).astype(x.dtype)


def max_pool(g, x, size, stride):
    return dealt(g, x, size, stride, winners(x, size, stride))


def max_pool_at_once(g, x, size, stride):
    n, c, h, w = x.shape
    at = np.broadcast_to(np.arange(n * c * h * w).reshape(x.shape), x.shape)
    seen = windows(x, size, stride)
    flat = seen.reshape(*g.shape, -1).argmax(-1)[..., None]
    won = np.take_along_axis(windows(at, size, stride).reshape(*g.shape, -1), flat, -1)
    dx = np.zeros(x.size, x.dtype)
    np.add.at(dx, won.ravel(), g.ravel())
    return dx.reshape(x.shape)


def evenly(x, size, stride, share):
    return np.full_like(windows(x, size, stride), share)


def avg_pool(g, x, size, stride):
    return dealt(g, x, size, stride, evenly(x, size, stride, 1 / size**2))


def avg_pool_by_offsets(g, x, size, stride):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(size, size):
        dx[:, :, i : i + stride * g.shape[2] : stride, j : j + stride * g.shape[3] : stride] += g / (size * size)
    return dx


# --- unpooling


def take(g, y, at):
    return np.take_along_axis(g.reshape(*y.shape[:2], -1), at.reshape(*y.shape[:2], -1), -1).reshape(y.shape)


def take_by_rows_and_columns(g, y, at):
    n, c = np.ogrid[: y.shape[0], : y.shape[1]]
    return g[n[..., None, None], c[..., None, None], at // g.shape[3], at % g.shape[3]]


def blocks(g, y):
    """The 2 by 2 window of each entry of y: (n, c, h, w, 4)."""
    n, c, h, w = y.shape
    return g.reshape(n, c, h, 2, w, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h, w, 4)


RIGHT = {
    "leaky_relu": [
        lambda g, x, slope: g * (x > 0) + slope * g * (x <= 0),
        lambda g, x, slope: g * np.where(x > 0, 1, slope).astype(g.dtype),
    ],
    "push": [push_by_window, push_as_product],
    "max_pool2d": [max_pool, max_pool_at_once],
    "avg_pool2d": [avg_pool, avg_pool_by_offsets],
    "unpool": [take, take_by_rows_and_columns],
}

WRONG = {
    "leaky_relu": [
        ("dx is not linear in g", lambda g, x, slope: np.where(g > 0, g, slope * g)),
        ("The term slope · g where x < 0 is missing", lambda g, x, slope: g * (x > 0)),
        ("The term g where x > 0 has the factor slope too much", lambda g, x, slope: slope * g),
        ("The cotangent is ignored", lambda g, x, slope: np.where(x > 0, 1, slope).astype(x.dtype)),
        ("has the factor 1/slope too much", lambda g, x, slope: np.where(x > 0, slope * g, g)),
    ],
    "push": [
        ("The winners are chosen by x, not by v", lambda x, v, size: pooled(v, size)),
        ("a large step may change the winner", lambda x, v, size: pooled(x + v, size) - pooled(x, size)),
        ("v at the place where x is largest", push_inside_window),
        ("There is one number for each window", lambda x, v, size: v[x.argmax()]),
    ],
    "max_pool2d": [
        (
            "overwrites each other, but it must add",
            lambda g, x, size, stride: dealt(g, x, size, stride, winners(x, size, stride), add=False),
        ),
        (
            "goes to every entry of its window, not only to the largest",
            lambda g, x, size, stride: dealt(g, x, size, stride, evenly(x, size, stride, 1)),
        ),
        ("shared by all entries of its window alike, as for a mean", avg_pool),
        (
            "to the smallest entry of its window",
            lambda g, x, size, stride: dealt(g, x, size, stride, winners(x, size, stride, np.argmin)),
        ),
    ],
    "avg_pool2d": [
        (
            "right after multiplying by 1/size²",
            lambda g, x, size, stride: dealt(g, x, size, stride, evenly(x, size, stride, 1)),
        ),
        ("right after multiplying by 1/size.", lambda g, x, size, stride: size * avg_pool(g, x, size, stride)),
        (
            "overwrites each other, but it must add",
            lambda g, x, size, stride: dealt(g, x, size, stride, evenly(x, size, stride, 1 / size**2), add=False),
        ),
        ("expected = [[[[0.25 0.25] [0.25 0.25]]]]", max_pool),
    ],
    "unpool": [
        ("dy is not linear in g", lambda g, y, at: blocks(g, y).max(-1)),
        ("The mask [places taken > 0] is missing", lambda g, y, at: blocks(g, y).sum(-1)),
        ("no output that g looks at depends on y", lambda g, y, at: blocks(g, y)[..., 0]),
        (
            "no output that g looks at depends on y",
            lambda g, y, at: g.reshape(*y.shape[:2], -1)[..., : y[0, 0].size].reshape(y.shape),
        ),
    ],
}
