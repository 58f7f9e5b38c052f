"""Distances and kernels."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, positive

# --- matrix of squared distances


def squared_distances(x, y):
    xx = (x**2).sum(axis=1)[:, None]
    yy = (y**2).sum(axis=1)[None, :]
    return xx + yy - 2 * x @ y.T


def squared_distances_vjp(g, x, y):
    dx = 2 * x * g.sum(axis=1)[:, None] - 2 * g @ y
    dy = 2 * y * g.sum(axis=0)[:, None] - 2 * g.T @ x
    return dx, dy


def squared_distances_vjp_differences(g, x, y):
    r = 2 * g[:, :, None] * (x[:, None] - y[None])
    return r.sum(axis=1), -r.sum(axis=0)


SQUARED = Function(
    "squared_distances",
    squared_distances,
    draw(1, (3, 2), (3, 2)),
    (squared_distances_vjp, squared_distances_vjp_differences),
    (
        Wrong(
            "no two",
            lambda g, x, y: tuple(d / 2 for d in squared_distances_vjp(g, x, y)),
            "factor",
            "The 2 of the squares is missing.",
            ("factor 2", "factor 1/2", "forgotten factor 2"),
            "(x**2)",
        ),
        Wrong(
            "only the product",
            lambda g, x, y: (-2 * g @ y, -2 * g.T @ x),
            "missing-term",
            "The squared norms are not differentiated; only the product is.",
            ("detached", "norms missing", "only the cross term"),
            "xx = (x**2).sum(axis=1)[:, None]",
        ),
        Wrong(
            "second without transpose",
            lambda g, x, y: (
                squared_distances_vjp(g, x, y)[0],
                2 * y * g.sum(axis=0)[:, None] - 2 * g @ x,
            ),
            "transpose",
            "The product term of y's gradient uses g instead of its transpose.",
            ("g instead of g.T", "dy wrong"),
            "x @ y.T",
        ),
        Wrong(
            "norms summed along the wrong axis",
            lambda g, x, y: (
                2 * x * g.sum(axis=0)[:, None] - 2 * g @ y,
                2 * y * g.sum(axis=1)[:, None] - 2 * g.T @ x,
            ),
            "wrong-axis",
            "The sums of g that go with the norms run along the wrong axis.",
            ("axis 0 and axis 1 exchanged", "row and column sums swapped", "transpose"),
            "xx = (x**2).sum(axis=1)[:, None]",
        ),
        Wrong(
            "product added",
            lambda g, x, y: (
                2 * x * g.sum(axis=1)[:, None] + 2 * g @ y,
                2 * y * g.sum(axis=0)[:, None] + 2 * g.T @ x,
            ),
            "sign-in-term",
            "The product term has the wrong sign.",
            ("sign of the cross term", "minus forgotten"),
            "- 2 * x @ y.T",
        ),
        Wrong(
            "norm without a sum",
            lambda g, x, y: (
                2 * x * g.mean(axis=1)[:, None] - 2 * g @ y,
                2 * y * g.mean(axis=0)[:, None] - 2 * g.T @ x,
            ),
            "mean-for-sum",
            "The norms' terms average g over the broadcast axis instead of summing.",
            ("factor-in-term", "factor 1/3 in the norm term", "mean over the broadcast axis"),
            "xx = (x**2).sum(axis=1)[:, None]",
        ),
    ),
)

# --- distances among the points of one set

SOFT = 0.01


def pairwise(x):
    difference = x[:, None] - x[None]
    squares = (difference**2).sum(axis=2)
    return np.sqrt(squares + SOFT)


def pairwise_vjp(g, x):
    w = (g + g.T) / pairwise(x)
    return w.sum(axis=1)[:, None] * x - w @ x


def pairwise_vjp_both(g, x):
    d = g[:, :, None] * (x[:, None] - x[None]) / pairwise(x)[:, :, None]
    return d.sum(axis=1) - d.sum(axis=0)


def pairwise_from(d, reduce=lambda d: d.sum(axis=1) - d.sum(axis=0)):
    def vjp(g, x):
        return reduce(g[:, :, None] * d(x[:, None] - x[None], pairwise(x)[:, :, None]))

    return vjp


def pairwise_slope(r, d):
    return r / d


PAIRWISE = Function(
    "pairwise",
    pairwise,
    draw(2, (4, 2)),
    (pairwise_vjp, pairwise_vjp_both),
    (
        Wrong(
            "rows alone",
            pairwise_from(pairwise_slope, lambda d: d.sum(axis=1)),
            "only-part",
            "Only the role of x as the first point is differentiated, not that as the second.",
            ("missing-term", "second use of x missing", "missing path", "missing transpose term", "x[None] detached"),
            "difference = x[:, None] - x[None]",
        ),
        Wrong(
            "rows doubled",
            pairwise_from(pairwise_slope, lambda d: 2 * d.sum(axis=1)),
            "transpose",
            "The second role of x is covered by doubling the first, which needs a symmetric g.",
            ("assumes g symmetric", "2 g instead of g + g.T", "missing-term", "not symmetrised"),
            "difference = x[:, None] - x[None]",
        ),
        Wrong(
            "roles added",
            pairwise_from(pairwise_slope, lambda d: d.sum(axis=1) + d.sum(axis=0)),
            "sign-in-term",
            "The role of x as the second point has the wrong sign.",
            ("sign of the second role", "minus of the difference forgotten"),
            "difference = x[:, None] - x[None]",
        ),
        Wrong(
            "no root",
            pairwise_from(lambda r, d: 2 * r),
            "missing-inner-derivative",
            "The derivative of the square root is missing: the gradient is that of the squared distance.",
            ("sqrt not differentiated", "missing 1/(2 d)", "missing 1/d", "gradient of the squared distances"),
            "np.sqrt(squares + SOFT)",
        ),
        Wrong(
            "root without half",
            pairwise_from(lambda r, d: 2 * r / d),
            "factor",
            "The 1/2 of the square root's derivative is missing.",
            ("factor 2", "derivative of sqrt", "wrong-derivative"),
            "np.sqrt(squares + SOFT)",
        ),
        Wrong(
            "divided by the square",
            pairwise_from(lambda r, d: r / d**2),
            "wrong-power",
            "The difference is divided by the squared distance instead of the distance.",
            ("d**2 instead of d", "derivative of sqrt", "extra-factor", "derivative of a logarithm"),
            "np.sqrt(squares + SOFT)",
        ),
    ),
)

# --- Mahalanobis with a precision that need not be symmetric


def mahalanobis(x, mu, p):
    d = x - mu
    return np.einsum("ni,ij,nj->n", d, p, d)


def mahalanobis_vjp(g, x, mu, p):
    d = x - mu
    dd = g[:, None] * (d @ p.T + d @ p)
    return dd, -dd.sum(axis=0), np.einsum("n,ni,nj->ij", g, d, d)


def mahalanobis_vjp_rows(g, x, mu, p):
    dx, dmu, dp = np.zeros_like(x), np.zeros_like(mu), np.zeros_like(p)
    for n in range(len(x)):
        d = x[n] - mu
        dx[n] = g[n] * (p + p.T) @ d
        dmu -= dx[n]
        dp += g[n] * np.outer(d, d)
    return dx, dmu, dp


def mahalanobis_dd(slope):
    def vjp(g, x, mu, p):
        d = x - mu
        dd = g[:, None] * slope(d, p)
        return dd, -dd.sum(axis=0), np.einsum("n,ni,nj->ij", g, d, d)

    return vjp


MAHALANOBIS = Function(
    "mahalanobis",
    mahalanobis,
    draw(3, (4, 3), (3,), (3, 3)),
    (mahalanobis_vjp, mahalanobis_vjp_rows),
    (
        Wrong(
            "symmetric precision assumed",
            mahalanobis_dd(lambda d, p: 2 * d @ p),
            "transpose",
            "The rule is that of a symmetric matrix: 2 P d instead of (P + P.T) d.",
            ("missing transposed term", "assumes symmetric P", "not symmetrised", "missing-term", "p + p.T"),
            'np.einsum("ni,ij,nj->n", d, p, d)',
        ),
        Wrong(
            "one of two factors",
            mahalanobis_dd(lambda d, p: d @ p.T),
            "missing-term",
            "Only the first of the two factors d is differentiated.",
            ("product rule", "only-part", "missing p.T term", "factor 2"),
            'np.einsum("ni,ij,nj->n", d, p, d)',
        ),
        Wrong(
            "mean like the point",
            lambda g, x, mu, p: (
                mahalanobis_vjp(g, x, mu, p)[0],
                mahalanobis_vjp(g, x, mu, p)[0].sum(axis=0),
                mahalanobis_vjp(g, x, mu, p)[2],
            ),
            "sign",
            "The gradient of mu has the wrong sign.",
            ("dmu should be negated", "second input has the wrong sign", "missing -1"),
            "d = x - mu",
        ),
        Wrong(
            "mean averaged",
            lambda g, x, mu, p: (
                mahalanobis_vjp(g, x, mu, p)[0],
                mahalanobis_vjp(g, x, mu, p)[1] / len(x),
                mahalanobis_vjp(g, x, mu, p)[2],
            ),
            "mean-for-sum",
            "The gradient of mu is a mean over the batch instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dmu averaged"),
            "d = x - mu",
        ),
        Wrong(
            "precision by the points",
            lambda g, x, mu, p: (*mahalanobis_vjp(g, x, mu, p)[:2], np.einsum("n,ni,nj->ij", g, x, x)),
            "wrong-variable",
            "The precision's gradient uses x instead of x - mu.",
            ("not centred", "x instead of d", "wrong-point", "mu forgotten", "dp wrong"),
            "d = x - mu",
        ),
        Wrong(
            "precision doubled",
            lambda g, x, mu, p: (*mahalanobis_vjp(g, x, mu, p)[:2], 2 * mahalanobis_vjp(g, x, mu, p)[2]),
            "factor",
            "The precision's gradient has a factor 2 too many, though P occurs once.",
            ("factor 2", "dp doubled", "extra factor 2"),
            'np.einsum("ni,ij,nj->n", d, p, d)',
        ),
    ),
)

# --- matrix of cosines


def cosines(x, y):
    a = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    b = y / np.sqrt((y**2).sum(axis=1, keepdims=True))
    return a @ b.T


def norms(x):
    return np.sqrt((x**2).sum(axis=1, keepdims=True))


def cosines_vjp(g, x, y):
    a, b, c = x / norms(x), y / norms(y), cosines(x, y)
    dx = (g @ b - a * (g * c).sum(axis=1)[:, None]) / norms(x)
    dy = (g.T @ a - b * (g * c).sum(axis=0)[:, None]) / norms(y)
    return dx, dy


def cosines_vjp_steps(g, x, y):
    a, b = x / norms(x), y / norms(y)
    da, db = g @ b, g.T @ a
    dx = (da - a * (a * da).sum(axis=1, keepdims=True)) / norms(x)
    dy = (db - b * (b * db).sum(axis=1, keepdims=True)) / norms(y)
    return dx, dy


def cosines_from(dx, second=lambda g: g.T):
    def vjp(g, x, y):
        a, b = x / norms(x), y / norms(y)
        return dx(g @ b, a, x, norms(x)), dx(second(g) @ a, b, y, norms(y))

    return vjp


def tangent(d, a, x, r):
    return (d - a * (a * d).sum(axis=1, keepdims=True)) / r


COSINES = Function(
    "cosines",
    cosines,
    draw(4, (3, 3), (3, 3)),
    (cosines_vjp, cosines_vjp_steps),
    (
        Wrong(
            "norms constant",
            cosines_from(lambda d, a, x, r: d / r),
            "detached",
            "The norms are treated as constants: the projections are missing.",
            ("missing-term", "norm not differentiated", "quotient rule"),
            "a = x / np.sqrt((x**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "no division by the norm",
            cosines_from(lambda d, a, x, r: d - a * (a * d).sum(axis=1, keepdims=True)),
            "missing-factor",
            "The division by the norm is missing.",
            ("missing 1/norm", "missing-inner-derivative"),
            "a = x / np.sqrt((x**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "projection with the raw vectors",
            cosines_from(lambda d, a, x, r: (d - x * (x * d).sum(axis=1, keepdims=True)) / r),
            "wrong-variable",
            "The projection uses the raw vectors instead of the unit vectors.",
            ("x instead of a", "missing 1/norm**2", "wrong-power", "not normalised"),
            "a = x / np.sqrt((x**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "second without transpose",
            cosines_from(tangent, lambda g: g),
            "transpose",
            "The second input's gradient uses g instead of its transpose.",
            ("g instead of g.T", "dy wrong"),
            "a @ b.T",
        ),
        Wrong(
            "only the first normalised",
            lambda g, x, y: (cosines_vjp(g, x, y)[0], g.T @ (x / norms(x)) / norms(y)),
            "detached",
            "The norm of y is treated as a constant; that of x is not.",
            ("missing-term", "second input wrong", "dy misses its projection"),
            "b = y / np.sqrt((y**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "other side raw",
            lambda g, x, y: (
                tangent(g @ y, x / norms(x), x, norms(x)),
                tangent(g.T @ x, y / norms(y), y, norms(y)),
            ),
            "missing-factor",
            "The other vectors are not normalised in the product.",
            ("y instead of b", "wrong-variable", "missing 1/norm of the other input"),
            "a @ b.T",
        ),
    ),
)

# --- Gaussian kernel with a log length scale


def rbf(x, y, log_l):
    squares = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    return np.exp(-squares / (2 * np.exp(log_l) ** 2))


def rbf_vjp(g, x, y, log_l):
    r = x[:, None] - y[None]
    gk = g * rbf(x, y, log_l)
    l2 = np.exp(2 * log_l)
    d = -gk[:, :, None] * r / l2
    return d.sum(axis=1), -d.sum(axis=0), (gk * (r**2).sum(axis=2)).sum() / l2


def rbf_vjp_products(g, x, y, log_l):
    k = rbf(x, y, log_l)
    w = g * k * np.exp(-2 * log_l)
    dx = w @ y - x * w.sum(axis=1)[:, None]
    dy = w.T @ x - y * w.sum(axis=0)[:, None]
    return dx, dy, -2 * (g * k * np.log(k)).sum()


def rbf_points(d, scale=None):
    def vjp(g, x, y, log_l):
        r = x[:, None] - y[None]
        k = rbf(x, y, log_l)[:, :, None]
        dr = d(g[:, :, None], k, r, np.exp(log_l))
        dl = rbf_vjp(g, x, y, log_l)[2]
        return dr.sum(axis=1), -dr.sum(axis=0), scale(dl, np.exp(log_l)) if scale else dl

    return vjp


def rbf_slope(g, k, r, l):
    return -g * k * r / l**2


RBF = Function(
    "rbf",
    rbf,
    (*draw(5, (3, 2), (4, 2)), np.array(0.3)),
    (rbf_vjp, rbf_vjp_products),
    (
        Wrong(
            "minus forgotten",
            rbf_points(lambda g, k, r, l: g * k * r / l**2),
            "sign",
            "The gradients of the points have the wrong sign: the minus of the exponent is forgotten.",
            ("sign", "missing -1 of the exponent"),
            "np.exp(-squares / (2 * np.exp(log_l) ** 2))",
        ),
        Wrong(
            "two too many",
            rbf_points(lambda g, k, r, l: -2 * g * k * r / l**2),
            "factor",
            "The 2 of the square is not cancelled by the 1/2 of the exponent.",
            ("factor 2", "1/2 of the exponent forgotten"),
            "-squares / (2 * np.exp(log_l) ** 2)",
        ),
        Wrong(
            "length not squared",
            rbf_points(lambda g, k, r, l: -g * k * r / l),
            "wrong-power",
            "The length scale is not squared in the gradients of the points.",
            ("factor", "l instead of l**2", "extra-factor", "missing-factor"),
            "(2 * np.exp(log_l) ** 2)",
        ),
        Wrong(
            "no kernel",
            rbf_points(lambda g, k, r, l: -g * r / l**2),
            "missing-factor",
            "The kernel itself is missing: the exponential is not differentiated but left out.",
            ("exp forgotten", "missing factor k", "wrong-derivative", "gradient of the exponent"),
            "np.exp(-squares / (2 * np.exp(log_l) ** 2))",
        ),
        Wrong(
            "length for its logarithm",
            rbf_points(rbf_slope, lambda dl, l: dl / l),
            "missing-inner-derivative",
            "The length's gradient is that in the length, not in its logarithm.",
            ("missing factor l", "factor", "exp(log_l) not differentiated", "third input wrong", "chain rule"),
            "np.exp(log_l) ** 2",
        ),
        Wrong(
            "length's gradient negative",
            rbf_points(rbf_slope, lambda dl, l: -dl),
            "sign",
            "The length's gradient has the wrong sign.",
            ("sign of dlog_l", "third input has the wrong sign", "derivative of l**-2"),
            "(2 * np.exp(log_l) ** 2)",
        ),
    ),
)

# --- logarithm of the hyperbolic cosine


def log_cosh(p, t):
    r = p - t
    return np.log(np.cosh(r)).mean(axis=1)


def log_cosh_vjp(g, p, t):
    d = g[:, None] * np.tanh(p - t) / p.shape[1]
    return d, -d


def log_cosh_vjp_steps(g, p, t):
    c, s = np.cosh(p - t), np.sinh(p - t)
    dc = np.repeat(g[:, None] / p.shape[1], p.shape[1], axis=1) / c
    return dc * s, -dc * s


def log_cosh_from(slope):
    def vjp(g, p, t):
        d = g[:, None] * slope(p - t) / p.shape[1]
        return d, -d

    return vjp


LOG_COSH = Function(
    "log_cosh",
    log_cosh,
    draw(6, (3, 4), (3, 4)),
    (log_cosh_vjp, log_cosh_vjp_steps),
    (
        Wrong(
            "only the logarithm",
            log_cosh_from(lambda r: 1 / np.cosh(r)),
            "missing-inner-derivative",
            "The derivative of cosh is missing; only the logarithm is differentiated.",
            ("missing sinh", "chain rule", "cosh not differentiated"),
            "np.log(np.cosh(r))",
        ),
        Wrong(
            "only cosh",
            log_cosh_from(np.sinh),
            "missing-inner-derivative",
            "The derivative of the logarithm, 1/cosh, is missing.",
            ("missing 1/cosh", "log not differentiated", "missing-factor", "chain rule"),
            "np.log(np.cosh(r))",
        ),
        Wrong(
            "cosh with a minus",
            log_cosh_from(lambda r: -np.tanh(r)),
            "sign",
            "The derivative of cosh is taken as -sinh, as for the cosine.",
            ("wrong-derivative", "derivative of cosh", "swapped", "gradients of p and t exchanged"),
            "np.cosh(r)",
        ),
        Wrong(
            "mean over everything",
            log_cosh_from(lambda r: np.tanh(r) / len(r)),
            "factor",
            "The mean is taken over the batch as well.",
            ("factor 1/3", "mean over both axes", "wrong-axis", "mean-for-sum"),
            ".mean(axis=1)",
        ),
        Wrong(
            "derivative of the derivative",
            log_cosh_from(lambda r: 1 - np.tanh(r) ** 2),
            "wrong-derivative",
            "The second derivative 1 - tanh**2 stands for the first.",
            ("derivative of tanh instead of tanh", "sech**2", "differentiated twice"),
            "np.log(np.cosh(r))",
        ),
        Wrong(
            "second like first",
            lambda g, p, t: (log_cosh_vjp(g, p, t)[0],) * 2,
            "sign",
            "The second input's gradient has the sign of the first's.",
            ("dt should be negated", "second input has the wrong sign"),
            "r = p - t",
        ),
    ),
)

# --- affinities of t-SNE

OFF = 1 - np.eye(4)


def affinities(y):
    squares = ((y[:, None] - y[None]) ** 2).sum(axis=2)
    kernel = OFF / (1 + squares)
    return kernel / kernel.sum()


def affinities_vjp(g, y):
    r = y[:, None] - y[None]
    w = OFF / (1 + (r**2).sum(axis=2))
    dw = (g - (g * w).sum() / w.sum()) / w.sum()
    ds = -dw * w**2
    return 2 * ((ds + ds.T)[:, :, None] * r).sum(axis=1)


def affinities_from(dw, ds, sides=lambda ds: ds + ds.T):
    def vjp(g, y):
        r = y[:, None] - y[None]
        w = OFF / (1 + (r**2).sum(axis=2))
        return 2 * (sides(ds(dw(g, w, w.sum()), w))[:, :, None] * r).sum(axis=1)

    return vjp


def affinities_dw(g, w, z):
    return g / z - (g * w).sum() / z**2


def affinities_ds(dw, w):
    return -dw * w**2


AFFINITIES = Function(
    "affinities",
    affinities,
    draw(7, (4, 2)),
    (affinities_vjp, affinities_from(affinities_dw, affinities_ds)),
    (
        Wrong(
            "normaliser constant",
            affinities_from(lambda g, w, z: g / z, affinities_ds),
            "detached",
            "The normaliser is treated as a constant.",
            ("missing-term", "quotient rule", "sum of the kernel not differentiated"),
            "kernel / kernel.sum()",
        ),
        Wrong(
            "kernel not squared",
            affinities_from(affinities_dw, lambda dw, w: -dw * w),
            "wrong-power",
            "The derivative of 1/(1+s) is taken as minus the kernel instead of minus its square.",
            ("denominator not squared", "derivative of 1/x", "wrong-derivative", "missing-factor"),
            "kernel = OFF / (1 + squares)",
        ),
        Wrong(
            "one side",
            affinities_from(affinities_dw, affinities_ds, lambda ds: ds),
            "only-part",
            "Only the role of y as the first point is differentiated.",
            ("missing-term", "second use of y missing", "not symmetrised", "missing ds.T"),
            "squares = ((y[:, None] - y[None]) ** 2).sum(axis=2)",
        ),
        Wrong(
            "repelled",
            affinities_from(affinities_dw, lambda dw, w: dw * w**2),
            "sign",
            "The minus of the derivative of 1/(1+s) is forgotten.",
            ("sign", "derivative of 1/x", "wrong-derivative"),
            "kernel = OFF / (1 + squares)",
        ),
        Wrong(
            "normaliser of each row",
            affinities_from(
                lambda g, w, z: g / z - (g * w).sum(axis=1, keepdims=True) / z**2,
                affinities_ds,
            ),
            "wrong-axis",
            "The normaliser's term sums over each row instead of all pairs.",
            ("row sum instead of total sum", "axis", "normalised by rows", "missing-sum"),
            "kernel / kernel.sum()",
        ),
    ),
)

# --- Minkowski distance of the third degree

P = 3.0


def minkowski(x, y):
    powers = np.abs(x - y) ** P
    return powers.sum(axis=1) ** (1 / P)


def minkowski_vjp(g, x, y):
    r = x - y
    d = minkowski(x, y)[:, None]
    dr = g[:, None] * np.sign(r) * (np.abs(r) / d) ** (P - 1)
    return dr, -dr


def minkowski_from(slope):
    def vjp(g, x, y):
        dr = g[:, None] * slope(x - y, minkowski(x, y)[:, None])
        return dr, -dr

    return vjp


MINKOWSKI = Function(
    "minkowski",
    minkowski,
    draw(8, (3, 4), (3, 4)),
    (minkowski_vjp, minkowski_from(lambda r, d: (d**P) ** (1 / P - 1) / P * P * r * np.abs(r))),
    (
        Wrong(
            "no sign",
            minkowski_from(lambda r, d: (np.abs(r) / d) ** (P - 1)),
            "missing-inner-derivative",
            "The derivative of abs, sign(x - y), is missing.",
            ("sign-in-term", "sign forgotten", "wrong for negative differences", "derivative of abs"),
            "np.abs(x - y) ** P",
        ),
        Wrong(
            "no root",
            minkowski_from(lambda r, d: P * np.sign(r) * np.abs(r) ** (P - 1)),
            "missing-inner-derivative",
            "The outer root is not differentiated.",
            ("missing outer derivative", "gradient of the sum of powers", "chain rule", "missing-factor"),
            "powers.sum(axis=1) ** (1 / P)",
        ),
        Wrong(
            "one over p left",
            minkowski_from(lambda r, d: np.sign(r) * (np.abs(r) / d) ** (P - 1) / P),
            "factor",
            "The p of the inner power is missing, so that the 1/p of the root is left.",
            ("factor 1/p", "factor 1/3", "missing factor p", "power rule"),
            "powers = np.abs(x - y) ** P",
        ),
        Wrong(
            "exponent not lowered",
            minkowski_from(lambda r, d: np.sign(r) * np.abs(r) ** P / d ** (P - 1)),
            "wrong-power",
            "The inner exponent is p instead of p-1.",
            ("power rule", "exponent not lowered by one", "wrong-derivative", "extra-factor"),
            "powers = np.abs(x - y) ** P",
        ),
        Wrong(
            "root's exponent",
            minkowski_from(lambda r, d: np.sign(r) * np.abs(r) ** (P - 1) / d),
            "wrong-power",
            "The distance enters with the exponent -1 instead of 1-p, as for the Euclidean distance.",
            ("exponent of the distance", "divided by d instead of d**(p-1)", "derivative of the root"),
            "powers.sum(axis=1) ** (1 / P)",
        ),
    ),
)

# --- chi-squared distance of histograms


def chi_squared(x, y):
    difference = x - y
    total = x + y
    return (difference**2 / total).sum()


def chi_squared_vjp(g, x, y):
    q = (x - y) / (x + y)
    return g * (2 * q - q**2), g * (-2 * q - q**2)


def chi_squared_vjp_factored(g, x, y):
    return g * (x - y) * (x + 3 * y) / (x + y) ** 2, g * (y - x) * (y + 3 * x) / (x + y) ** 2


CHI_SQUARED = Function(
    "chi_squared",
    chi_squared,
    positive(9, (5,), (5,)),
    (chi_squared_vjp, chi_squared_vjp_factored),
    (
        Wrong(
            "denominator constant",
            lambda g, x, y: (g * 2 * (x - y) / (x + y), -g * 2 * (x - y) / (x + y)),
            "missing-term",
            "The denominator is treated as a constant.",
            ("detached", "quotient rule", "second term missing"),
            "difference**2 / total",
        ),
        Wrong(
            "quotient with plus",
            lambda g, x, y: (
                g * (2 * (x - y) / (x + y) + ((x - y) / (x + y)) ** 2),
                g * (-2 * (x - y) / (x + y) + ((x - y) / (x + y)) ** 2),
            ),
            "sign-in-term",
            "The denominator's term has the wrong sign.",
            ("quotient rule", "sign of the second term"),
            "difference**2 / total",
        ),
        Wrong(
            "second as minus the first",
            lambda g, x, y: (chi_squared_vjp(g, x, y)[0], -chi_squared_vjp(g, x, y)[0]),
            "sign-in-term",
            "The gradient of y is minus that of x, though the denominator's term does not change its sign.",
            ("dy wrong", "second input wrong", "sign of the denominator term in dy", "treated as a difference"),
            "total = x + y",
        ),
        Wrong(
            "no two",
            lambda g, x, y: (
                g * ((x - y) / (x + y) - ((x - y) / (x + y)) ** 2),
                g * (-(x - y) / (x + y) - ((x - y) / (x + y)) ** 2),
            ),
            "factor-in-term",
            "The 2 of the square is missing from the numerator's term.",
            ("factor 2 in the first term", "derivative of the square"),
            "difference**2",
        ),
        Wrong(
            "denominator not squared",
            lambda g, x, y: (
                g * (2 * (x - y) / (x + y) - (x - y) ** 2 / (x + y)),
                g * (-2 * (x - y) / (x + y) - (x - y) ** 2 / (x + y)),
            ),
            "wrong-power",
            "The denominator of the second term is not squared.",
            ("quotient rule", "total instead of total**2", "denominator squared"),
            "difference**2 / total",
        ),
    ),
)

FUNCTIONS = (
    SQUARED,
    PAIRWISE,
    MAHALANOBIS,
    COSINES,
    RBF,
    LOG_COSH,
    AFFINITIES,
    MINKOWSKI,
    CHI_SQUARED,
)
