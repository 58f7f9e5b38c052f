"""Normalisations."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, positive

# --- layer normalisation with scale and shift

EPS = 1e-5


def layer_norm(x, w, b):
    mean = x.mean(axis=1, keepdims=True)
    centred = x - mean
    var = (centred**2).mean(axis=1, keepdims=True)
    normal = centred / np.sqrt(var + EPS)
    return w * normal + b


def layer_norm_parts(x):
    centred = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPS)
    return centred, std, centred / std


def layer_norm_vjp(g, x, w, b):
    _, std, n = layer_norm_parts(x)
    dn = g * w
    dx = (dn - dn.mean(axis=1, keepdims=True) - n * (dn * n).mean(axis=1, keepdims=True)) / std
    return dx, (g * n).sum(axis=0), g.sum(axis=0)


def layer_norm_vjp_steps(g, x, w, b):
    centred, std, n = layer_norm_parts(x)
    dn = g * w
    dvar = (dn * centred).sum(axis=1, keepdims=True) * -0.5 / std**3
    dcentred = dn / std + dvar * 2 * centred / x.shape[1]
    dx = dcentred - dcentred.mean(axis=1, keepdims=True)
    return dx, np.einsum("nd,nd->d", g, n), np.ones(len(g)) @ g


def layer_norm_dx(dx):
    def vjp(g, x, w, b):
        centred, std, n = layer_norm_parts(x)
        return dx(g, g * w, centred, std, n), (g * n).sum(axis=0), g.sum(axis=0)

    return vjp


def row(a):
    return a.mean(axis=1, keepdims=True)


def column(a):
    return a.mean(axis=0, keepdims=True)


LAYER_NORM = Function(
    "layer_norm",
    layer_norm,
    draw(1, (4, 5), (5,), (5,)),
    (layer_norm_vjp, layer_norm_vjp_steps),
    (
        Wrong(
            "mean and variance constant",
            layer_norm_dx(lambda g, dn, c, s, n: dn / s),
            "detached",
            "Mean and variance are treated as constants: only the direct path through x remains.",
            ("missing-term", "statistics not differentiated", "mean and std detached"),
        ),
        Wrong(
            "mean constant",
            layer_norm_dx(lambda g, dn, c, s, n: (dn - n * row(dn * n)) / s),
            "detached",
            "The path through the mean is missing.",
            ("missing-term", "mean not differentiated", "gradient not centred"),
            "mean = x.mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "variance constant",
            layer_norm_dx(lambda g, dn, c, s, n: (dn - row(dn)) / s),
            "detached",
            "The path through the variance is missing.",
            ("missing-term", "std not differentiated", "variance detached"),
            "var = (centred**2).mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "no scale",
            layer_norm_dx(lambda g, dn, c, s, n: (g - row(g) - n * row(g * n)) / s),
            "missing-factor",
            "The scale w is missing from the gradient of x.",
            ("w forgotten in dx", "g instead of g * w", "missing-inner-derivative"),
            "w * normal + b",
        ),
        Wrong(
            "means over the batch",
            layer_norm_dx(lambda g, dn, c, s, n: (dn - column(dn) - n * column(dn * n)) / s),
            "wrong-axis",
            "The means of the gradient run over the batch, as in batch normalisation, instead of the features.",
            ("axis 0 instead of axis 1", "batch norm gradient", "mean over the wrong axis"),
        ),
        Wrong(
            "scale by a mean",
            lambda g, x, w, b: (*layer_norm_vjp(g, x, w, b)[:1], (g * layer_norm_parts(x)[2]).mean(axis=0), g.sum(0)),
            "mean-for-sum",
            "The scale's gradient is a mean over the batch instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dw averaged"),
            "w * normal + b",
        ),
        Wrong(
            "scale by the centred input",
            lambda g, x, w, b: (*layer_norm_vjp(g, x, w, b)[:1], (g * layer_norm_parts(x)[0]).sum(axis=0), g.sum(0)),
            "wrong-variable",
            "The scale's gradient uses the centred input, not divided by the standard deviation.",
            ("dw misses the division by std", "wrong-point", "missing-factor", "uses x - mean instead of normal"),
            "w * normal + b",
        ),
        Wrong(
            "variance term not divided",
            layer_norm_dx(lambda g, dn, c, s, n: (dn - row(dn) - n * (dn * n).sum(axis=1, keepdims=True)) / s),
            "sum-for-mean",
            "In the variance term a sum stands for a mean: 1/d is missing.",
            ("factor-in-term", "factor d in the variance term", "missing 1/n of the variance"),
            "var = (centred**2).mean(axis=1, keepdims=True)",
        ),
    ),
)

# --- root-mean-square normalisation

RMS_EPS = 0.1


def rms_norm(x, w):
    power = (x**2).mean(axis=1, keepdims=True)
    rms = np.sqrt(power + RMS_EPS)
    return w * x / rms


def rms(x):
    return np.sqrt((x**2).mean(axis=1, keepdims=True) + RMS_EPS)


def rms_norm_vjp(g, x, w):
    r = rms(x)
    dh = g * w
    return dh / r - x * row(dh * x) / r**3, (g * x / r).sum(axis=0)


def rms_norm_vjp_normal(g, x, w):
    n = x / rms(x)
    dn = w * g
    return (dn - n * np.einsum("nd,nd->n", dn, n)[:, None] / x.shape[1]) / rms(x), np.einsum("nd,nd->d", g, n)


def rms_norm_dx(dx):
    def vjp(g, x, w):
        return dx(g * w, x, rms(x)), (g * x / rms(x)).sum(axis=0)

    return vjp


RMS_NORM = Function(
    "rms_norm",
    rms_norm,
    draw(2, (4, 3), (3,)),
    (rms_norm_vjp, rms_norm_vjp_normal),
    (
        Wrong(
            "rms constant",
            rms_norm_dx(lambda dh, x, r: dh / r),
            "detached",
            "The root mean square is treated as a constant.",
            ("missing-term", "second term missing", "rms not differentiated", "quotient rule"),
            "rms = np.sqrt(power + RMS_EPS)",
        ),
        Wrong(
            "sum for mean",
            rms_norm_dx(lambda dh, x, r: dh / r - x * (dh * x).sum(axis=1, keepdims=True) / r**3),
            "sum-for-mean",
            "The second term sums over the features where it should average: the 1/d of the mean square is missing.",
            ("factor-in-term", "factor d in the second term", "missing 1/n of the mean"),
            "power = (x**2).mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "second power",
            rms_norm_dx(lambda dh, x, r: dh / r - x * row(dh * x) / r**2),
            "wrong-power",
            "The second term is divided by rms**2 instead of rms**3.",
            ("exponent of the denominator", "derivative of sqrt", "missing 1/rms in the second term", "missing-factor"),
            "rms = np.sqrt(power + RMS_EPS)",
        ),
        Wrong(
            "plus",
            rms_norm_dx(lambda dh, x, r: dh / r + x * row(dh * x) / r**3),
            "sign-in-term",
            "The second term has the wrong sign.",
            ("sign of the rms term", "quotient rule"),
            "w * x / rms",
        ),
        Wrong(
            "scale not summed",
            lambda g, x, w: (rms_norm_vjp(g, x, w)[0], g * x / rms(x)),
            "missing-sum",
            "The scale's gradient is not summed over the batch, along which w is broadcast.",
            ("wrong shape", "broadcast axis not summed", "dw has the shape of x"),
            "w * x / rms",
        ),
        Wrong(
            "no small constant",
            lambda g, x, w: (
                g * w / np.sqrt(row(x**2)) - x * row(g * w * x) / row(x**2) ** 1.5,
                (g * x / np.sqrt(row(x**2))).sum(axis=0),
            ),
            "epsilon",
            "The small constant under the root is left out.",
            ("eps forgotten", "missing RMS_EPS", "wrong-constant"),
            "rms = np.sqrt(power + RMS_EPS)",
        ),
    ),
)

# --- group normalisation with a scale

GROUPS = 2


def group_norm(x, w):
    n, c, length = x.shape
    grouped = x.reshape(n, GROUPS, c // GROUPS, length)
    mean = grouped.mean(axis=(2, 3), keepdims=True)
    var = grouped.var(axis=(2, 3), keepdims=True)
    normal = (grouped - mean) / np.sqrt(var + EPS)
    return normal.reshape(n, c, length) * w[:, None]


def group_norm_by(axes=(2, 3), mean=True, var=True, power=1, scale=True, reduce=None):
    def vjp(g, x, w):
        n, c, length = x.shape
        shape = (n, GROUPS, c // GROUPS, length)
        x4 = x.reshape(shape)
        std = np.sqrt(x4.var(axis=(2, 3), keepdims=True) + EPS)
        normal = (x4 - x4.mean(axis=(2, 3), keepdims=True)) / std
        d = (g * w[:, None] if scale else g).reshape(shape)
        dx = d - 0
        if mean:
            dx = dx - d.mean(axis=axes, keepdims=True)
        if var:
            dx = dx - normal * (d * normal).mean(axis=axes, keepdims=True)
        product = g * normal.reshape(x.shape)
        return (dx / std**power).reshape(x.shape), reduce(product) if reduce else product.sum(axis=(0, 2))

    return vjp


def group_norm_vjp_each(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    size = x.shape[1] // GROUPS
    for i in range(x.shape[0]):
        for k in range(0, x.shape[1], size):
            part = x[i, k : k + size]
            std = np.sqrt(part.var() + EPS)
            normal = (part - part.mean()) / std
            d = g[i, k : k + size] * w[k : k + size, None]
            dx[i, k : k + size] = (d - d.mean() - normal * (d * normal).mean()) / std
            dw[k : k + size] += (g[i, k : k + size] * normal).sum(axis=1)
    return dx, dw


GROUP_NORM = Function(
    "group_norm",
    group_norm,
    draw(3, (2, 4, 3), (4,)),
    (group_norm_by(), group_norm_vjp_each),
    (
        Wrong(
            "means of each channel",
            group_norm_by(axes=(3,)),
            "wrong-axis",
            "The means in the backward pass run over each channel alone instead of the whole group.",
            ("instance norm gradient", "mean over length only", "channels of the group not included", "axis"),
            "mean = grouped.mean(axis=(2, 3), keepdims=True)",
        ),
        Wrong(
            "mean constant",
            group_norm_by(mean=False),
            "detached",
            "The path through the mean is missing.",
            ("missing-term", "mean not differentiated"),
            "mean = grouped.mean(axis=(2, 3), keepdims=True)",
        ),
        Wrong(
            "variance constant",
            group_norm_by(var=False),
            "detached",
            "The path through the variance is missing.",
            ("missing-term", "std not differentiated"),
            "var = grouped.var(axis=(2, 3), keepdims=True)",
        ),
        Wrong(
            "divided by the variance",
            group_norm_by(power=2),
            "wrong-power",
            "The gradient is divided by the variance instead of the standard deviation.",
            ("square root forgotten", "std**2 instead of std", "extra-factor"),
            "np.sqrt(var + EPS)",
        ),
        Wrong(
            "scale averaged over the length",
            group_norm_by(reduce=lambda p: p.sum(axis=0).mean(axis=1)),
            "mean-for-sum",
            "The scale's gradient is averaged over the length instead of summed.",
            ("factor", "factor 1/length", "factor 1/3", "dw wrong"),
            "* w[:, None]",
        ),
        Wrong(
            "no scale",
            group_norm_by(scale=False),
            "missing-factor",
            "The scale is missing from the gradient of x.",
            ("w forgotten in dx", "missing-inner-derivative"),
            "* w[:, None]",
        ),
    ),
)

# --- instance normalisation


def instance_norm(x):
    mean = x.mean(axis=2, keepdims=True)
    std = x.std(axis=2, keepdims=True)
    return (x - mean) / std


def along(a):
    return a.mean(axis=2, keepdims=True)


def instance_norm_vjp(g, x):
    std = x.std(axis=2, keepdims=True)
    y = (x - along(x)) / std
    return (g - along(g) - y * along(g * y)) / std


def instance_norm_vjp_steps(g, x):
    length = x.shape[2]
    centred = x - along(x)
    std = np.sqrt((centred**2).sum(axis=2, keepdims=True) / length)
    dstd = -(g * centred).sum(axis=2, keepdims=True) / std**2
    dcentred = g / std + dstd * centred / (length * std)
    return dcentred - dcentred.sum(axis=2, keepdims=True) / length


def instance_norm_from(dx):
    def vjp(g, x):
        std = x.std(axis=2, keepdims=True)
        return dx(g, (x - along(x)) / std, std)

    return vjp


INSTANCE_NORM = Function(
    "instance_norm",
    instance_norm,
    draw(4, (2, 2, 4)),
    (instance_norm_vjp, instance_norm_vjp_steps),
    (
        Wrong(
            "deviation constant",
            instance_norm_from(lambda g, y, s: (g - along(g)) / s),
            "detached",
            "The path through the standard deviation is missing.",
            ("missing-term", "std not differentiated", "variance detached"),
            "std = x.std(axis=2, keepdims=True)",
        ),
        Wrong(
            "mean constant",
            instance_norm_from(lambda g, y, s: (g - y * along(g * y)) / s),
            "detached",
            "The path through the mean is missing.",
            ("missing-term", "mean not differentiated"),
            "mean = x.mean(axis=2, keepdims=True)",
        ),
        Wrong(
            "over channels too",
            instance_norm_from(
                lambda g, y, s: (g - g.mean((1, 2), keepdims=True) - y * (g * y).mean((1, 2), keepdims=True)) / s
            ),
            "wrong-axis",
            "The means of the gradient run over the channels as well.",
            ("layer norm gradient", "axes (1, 2) instead of 2", "channels mixed"),
        ),
        Wrong(
            "not divided",
            instance_norm_from(lambda g, y, s: g - along(g) - y * along(g * y)),
            "missing-factor",
            "The division by the standard deviation is missing.",
            ("missing 1/std", "missing-inner-derivative"),
            "(x - mean) / std",
        ),
        Wrong(
            "projection added",
            instance_norm_from(lambda g, y, s: (g - along(g) + y * along(g * y)) / s),
            "sign-in-term",
            "The term of the standard deviation has the wrong sign.",
            ("sign of the std term", "quotient rule"),
            "(x - mean) / std",
        ),
        Wrong(
            "mean added",
            instance_norm_from(lambda g, y, s: (g + along(g) - y * along(g * y)) / s),
            "sign-in-term",
            "The term of the mean has the wrong sign.",
            ("sign of the mean term", "minus of x - mean forgotten"),
            "x - mean",
        ),
    ),
)

# --- weight normalisation


def weight_norm(v, s):
    norm = np.sqrt((v**2).sum(axis=1, keepdims=True))
    return s[:, None] * v / norm


def rows_norm(v):
    return np.sqrt((v**2).sum(axis=1, keepdims=True))


def rows_sum(a):
    return a.sum(axis=1, keepdims=True)


def weight_norm_vjp(g, v, s):
    u = v / rows_norm(v)
    ds = (g * u).sum(axis=1)
    return s[:, None] / rows_norm(v) * (g - u * ds[:, None]), ds


def weight_norm_vjp_projector(g, v, s):
    dv, ds = np.zeros_like(v), np.zeros_like(s)
    for i in range(len(v)):
        length = np.linalg.norm(v[i])
        ds[i] = g[i] @ v[i] / length
        dv[i] = s[i] * (np.eye(v.shape[1]) / length - np.outer(v[i], v[i]) / length**3) @ g[i]
    return dv, ds


def weight_norm_dv(dv):
    def vjp(g, v, s):
        return dv(g, v / rows_norm(v), rows_norm(v), s[:, None]), weight_norm_vjp(g, v, s)[1]

    return vjp


WEIGHT_NORM = Function(
    "weight_norm",
    weight_norm,
    draw(5, (3, 4), (3,)),
    (weight_norm_vjp, weight_norm_vjp_projector),
    (
        Wrong(
            "norm constant",
            weight_norm_dv(lambda g, u, r, s: s * g / r),
            "detached",
            "The norm is treated as a constant: the projection is missing.",
            ("missing-term", "norm not differentiated", "quotient rule"),
            "norm = np.sqrt((v**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "no scale",
            weight_norm_dv(lambda g, u, r, s: (g - u * rows_sum(g * u)) / r),
            "missing-factor",
            "The scale s is missing from the gradient of v.",
            ("s forgotten in dv", "missing-inner-derivative"),
            "s[:, None] * v / norm",
        ),
        Wrong(
            "not divided by the norm",
            weight_norm_dv(lambda g, u, r, s: s * (g - u * rows_sum(g * u))),
            "missing-factor",
            "The division by the norm is missing from the gradient of v.",
            ("missing 1/norm", "missing-inner-derivative"),
            "s[:, None] * v / norm",
        ),
        Wrong(
            "projected off the whole matrix",
            weight_norm_dv(lambda g, u, r, s: s * (g - u * (g * u).sum()) / r),
            "wrong-axis",
            "The projection uses the sum over the whole matrix instead of each row's.",
            ("sum over all entries", "rows mixed", "keepdims axis forgotten"),
            "(v**2).sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "projection by v",
            weight_norm_dv(lambda g, u, r, s: s * (g - u * r * rows_sum(g * u * r)) / r),
            "wrong-variable",
            "The projection uses v instead of the unit vector v/norm.",
            ("not normalised", "wrong-power", "missing 1/norm**2 in the second term", "v instead of u"),
            "norm = np.sqrt((v**2).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "scale by v",
            lambda g, v, s: (weight_norm_vjp(g, v, s)[0], (g * v).sum(axis=1)),
            "missing-factor",
            "The scale's gradient uses v instead of v/norm.",
            ("ds misses 1/norm", "wrong-variable", "second input wrong"),
            "s[:, None] * v / norm",
        ),
    ),
)

# --- rows of unit length


def unit_rows(x):
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return x / length


def unit_rows_vjp(g, x):
    y = x / rows_norm(x)
    return (g - y * rows_sum(g * y)) / rows_norm(x)


def unit_rows_vjp_quotient(g, x):
    square = rows_sum(x * x)
    return (g * square - x * rows_sum(g * x)) / square**1.5


def unit_rows_from(dx):
    def vjp(g, x):
        return dx(g, x, x / rows_norm(x), rows_norm(x))

    return vjp


UNIT_ROWS = Function(
    "unit_rows",
    unit_rows,
    draw(6, (3, 3)),
    (unit_rows_vjp, unit_rows_vjp_quotient),
    (
        Wrong(
            "length constant",
            unit_rows_from(lambda g, x, y, r: g / r),
            "detached",
            "The length is treated as a constant.",
            ("missing-term", "norm not differentiated", "projection missing"),
            "length = np.sqrt((x * x).sum(axis=1, keepdims=True))",
        ),
        Wrong(
            "not divided",
            unit_rows_from(lambda g, x, y, r: g - y * rows_sum(g * y)),
            "missing-factor",
            "The division by the length is missing.",
            ("missing 1/length", "missing 1/norm"),
            "x / length",
        ),
        Wrong(
            "projection by x",
            unit_rows_from(lambda g, x, y, r: (g - x * rows_sum(g * x)) / r),
            "wrong-variable",
            "The projection uses x instead of the unit vector y.",
            ("missing 1/norm**2", "wrong-power", "x instead of y", "not normalised"),
            "x / length",
        ),
        Wrong(
            "projection added",
            unit_rows_from(lambda g, x, y, r: (g + y * rows_sum(g * y)) / r),
            "sign-in-term",
            "The projection has the wrong sign.",
            ("sign of the second term", "quotient rule"),
            "x / length",
        ),
        Wrong(
            "projection by columns",
            unit_rows_from(lambda g, x, y, r: (g - y * (g * y).sum(axis=0, keepdims=True)) / r),
            "wrong-axis",
            "The inner product of the projection runs down the columns.",
            ("axis 0 instead of axis 1", "sum over the wrong axis"),
            "(x * x).sum(axis=1, keepdims=True)",
        ),
        Wrong(
            "root without half",
            unit_rows_from(lambda g, x, y, r: (g - 2 * y * rows_sum(g * y)) / r),
            "factor-in-term",
            "The 1/2 of the square root's derivative is missing, so that the second term is doubled.",
            ("factor 2 in the second term", "derivative of sqrt", "wrong-derivative", "a reflection, not a projection"),
            "length = np.sqrt((x * x).sum(axis=1, keepdims=True))",
        ),
    ),
)

# --- standardised columns


def standardise_columns(x):
    centred = x - x.mean(axis=0)
    deviation = np.sqrt((centred**2).sum(axis=0) / (len(x) - 1))
    return centred / deviation


def standardise_columns_vjp(g, x):
    s = x.std(axis=0, ddof=1)
    z = (x - x.mean(axis=0)) / s
    return (g - g.mean(axis=0) - z * (g * z).sum(axis=0) / (len(x) - 1)) / s


def standardise_columns_vjp_steps(g, x):
    n = len(x)
    c = x - x.sum(axis=0) / n
    v = (c * c).sum(axis=0) / (n - 1)
    dv = -0.5 * (g * c).sum(axis=0) * v**-1.5
    dc = g * v**-0.5 + dv * 2 * c / (n - 1)
    return dc - dc.sum(axis=0) / n


def standardise_from(dx):
    def vjp(g, x):
        s = x.std(axis=0, ddof=1)
        return dx(g, (x - x.mean(axis=0)) / s, s, len(x))

    return vjp


STANDARDISE = Function(
    "standardise_columns",
    standardise_columns,
    draw(7, (4, 4)),
    (standardise_columns_vjp, standardise_columns_vjp_steps),
    (
        Wrong(
            "n for n minus one",
            standardise_from(lambda g, z, s, n: (g - g.mean(axis=0) - z * (g * z).mean(axis=0)) / s),
            "wrong-constant",
            "The term of the deviation is divided by n instead of n-1.",
            ("factor-in-term", "ddof", "Bessel's correction", "population instead of sample variance"),
            "(centred**2).sum(axis=0) / (len(x) - 1)",
        ),
        Wrong(
            "mean constant",
            standardise_from(lambda g, z, s, n: (g - z * (g * z).sum(axis=0) / (n - 1)) / s),
            "detached",
            "The path through the mean is missing.",
            ("missing-term", "mean not differentiated"),
            "centred = x - x.mean(axis=0)",
        ),
        Wrong(
            "deviation constant",
            standardise_from(lambda g, z, s, n: (g - g.mean(axis=0)) / s),
            "detached",
            "The path through the standard deviation is missing.",
            ("missing-term", "std not differentiated", "variance detached"),
            "deviation = np.sqrt((centred**2).sum(axis=0) / (len(x) - 1))",
        ),
        Wrong(
            "means of rows",
            standardise_from(lambda g, z, s, n: (g - g.mean(1, keepdims=True) - z * rows_sum(g * z) / (n - 1)) / s),
            "wrong-axis",
            "The sums of the gradient run along the rows instead of the columns.",
            ("axis 1 instead of axis 0", "sum over the wrong axis"),
            "x.mean(axis=0)",
        ),
        Wrong(
            "divided by the variance",
            standardise_from(lambda g, z, s, n: (g - g.mean(0) - z * (g * z).sum(0) / (n - 1)) / s**2),
            "wrong-power",
            "The gradient is divided by the variance instead of the standard deviation.",
            ("square root forgotten", "s**2 instead of s", "extra-factor"),
            "centred / deviation",
        ),
    ),
)

# --- scaling to the range 0 to 1


def min_max(x):
    low = x.min()
    span = x.max() - low
    return (x - low) / span


def min_max_vjp(g, x):
    span = x.max() - x.min()
    y = (x - x.min()) / span
    dx = g / span
    dx[x.argmax()] -= (g * y).sum() / span
    dx[x.argmin()] -= (g * (1 - y)).sum() / span
    return dx


def min_max_vjp_steps(g, x):
    low, high = x == x.min(), x == x.max()
    span = x.max() - x.min()
    dspan = -(g * (x - x.min())).sum() / span**2
    dlow = -g.sum() / span - dspan
    return g / span + dspan * high + dlow * low


def min_max_by(high, low, direct=lambda g, y: g):
    def vjp(g, x):
        span = x.max() - x.min()
        y = (x - x.min()) / span
        dx = direct(g, y) / span
        dx[x.argmax()] += high(g, y) / span
        dx[x.argmin()] += low(g, y) / span
        return dx

    return vjp


MIN_MAX = Function(
    "min_max",
    min_max,
    draw(8, (6,)),
    (min_max_vjp, min_max_vjp_steps),
    (
        Wrong(
            "extremes constant",
            min_max_by(lambda g, y: 0, lambda g, y: 0),
            "detached",
            "Minimum and maximum are treated as constants.",
            ("missing-term", "min and max not differentiated", "low and span detached"),
            "span = x.max() - low",
        ),
        Wrong(
            "span constant",
            min_max_by(lambda g, y: 0, lambda g, y: -g.sum()),
            "detached",
            "The span is treated as a constant; only the subtraction of the minimum is differentiated.",
            ("missing-term", "denominator not differentiated", "quotient rule", "maximum gets no gradient"),
            "span = x.max() - low",
        ),
        Wrong(
            "extremes exchanged",
            min_max_by(lambda g, y: -(g * (1 - y)).sum(), lambda g, y: -(g * y).sum()),
            "swapped",
            "What belongs to the maximum goes to the minimum and the reverse.",
            ("min and max swapped", "argmin and argmax exchanged"),
        ),
        Wrong(
            "minimum without the span",
            min_max_by(lambda g, y: -(g * y).sum(), lambda g, y: -g.sum()),
            "missing-term",
            "The minimum's effect through the span is missing; that through the numerator is there.",
            ("only one of two uses of low", "only-part", "minimum's gradient wrong"),
            "span = x.max() - low",
        ),
        Wrong(
            "maximum raised",
            min_max_by(lambda g, y: (g * y).sum(), lambda g, y: -(g * (1 - y)).sum()),
            "sign-in-term",
            "The maximum's term has the wrong sign.",
            ("sign of the quotient rule", "sign at argmax"),
            "(x - low) / span",
        ),
        Wrong(
            "maximum not weighted",
            min_max_by(lambda g, y: -g.sum(), lambda g, y: -(g * (1 - y)).sum()),
            "missing-factor",
            "The maximum's term lacks the weight y: it sums g instead of g times y.",
            ("missing factor y", "numerator missing in the quotient rule", "g instead of g * y"),
            "(x - low) / span",
        ),
    ),
)

# --- local response normalisation

K, ALPHA, BETA = 1.0, 0.4, 0.75


def response_norm(x):
    squares = np.pad(x**2, 1)
    window = squares[:-2] + squares[1:-1] + squares[2:]
    return x / (K + ALPHA * window) ** BETA


def window(a):
    padded = np.pad(a, 1)
    return padded[:-2] + padded[1:-1] + padded[2:]


def response_norm_vjp(g, x):
    d = K + ALPHA * window(x**2)
    return g * d**-BETA - 2 * ALPHA * BETA * x * window(g * x * d ** (-BETA - 1))


def response_norm_vjp_loop(g, x):
    d = K + ALPHA * window(x**2)
    dx = np.zeros_like(x)
    for i in range(len(x)):
        dx[i] += g[i] / d[i] ** BETA
        for j in range(max(i - 1, 0), min(i + 2, len(x))):
            dx[j] -= g[i] * x[i] * BETA / d[i] ** (BETA + 1) * ALPHA * 2 * x[j]
    return dx


def response_from(second):
    def vjp(g, x):
        d = K + ALPHA * window(x**2)
        return g * d**-BETA - second(g, x, d)

    return vjp


RESPONSE_NORM = Function(
    "response_norm",
    response_norm,
    draw(9, (6,)),
    (response_norm_vjp, response_norm_vjp_loop),
    (
        Wrong(
            "denominator constant",
            response_from(lambda g, x, d: 0),
            "detached",
            "The denominator is treated as a constant.",
            ("missing-term", "quotient rule", "window not differentiated"),
            "(K + ALPHA * window) ** BETA",
        ),
        Wrong(
            "own channel alone",
            response_from(lambda g, x, d: 2 * ALPHA * BETA * x * g * x * d ** (-BETA - 1)),
            "elementwise",
            "Only the channel's own square in the window is differentiated; the neighbours are forgotten.",
            ("missing-sum", "neighbours missing", "off-diagonal terms missing", "only-part"),
            "window = squares[:-2] + squares[1:-1] + squares[2:]",
        ),
        Wrong(
            "no two",
            response_from(lambda g, x, d: ALPHA * BETA * x * window(g * x * d ** (-BETA - 1))),
            "factor-in-term",
            "The 2 of the squares is missing from the second term.",
            ("factor 2 in the second term", "derivative of x**2"),
            "squares = np.pad(x**2, 1)",
        ),
        Wrong(
            "exponent not lowered",
            response_from(lambda g, x, d: 2 * ALPHA * BETA * x * window(g * x * d**-BETA)),
            "wrong-power",
            "The exponent of the denominator is -beta in the second term, where it should be -beta-1.",
            ("power rule", "exponent not lowered by one", "wrong-derivative"),
            "(K + ALPHA * window) ** BETA",
        ),
        Wrong(
            "window around the wrong factor",
            response_from(lambda g, x, d: 2 * ALPHA * BETA * x * x * d ** (-BETA - 1) * window(g)),
            "wrong-index",
            "The outputs' numerator and denominator are taken at the input's own position, outside the window sum.",
            ("x and d outside the window sum", "wrong-variable", "transpose", "wrong position"),
            "window = squares[:-2] + squares[1:-1] + squares[2:]",
        ),
        Wrong(
            "without alpha",
            response_from(lambda g, x, d: 2 * BETA * x * window(g * x * d ** (-BETA - 1))),
            "factor-in-term",
            "The constant alpha is missing from the second term.",
            ("missing factor alpha", "missing-inner-derivative", "wrong-constant"),
            "K + ALPHA * window",
        ),
    ),
)

# --- centred log-ratio


def log_ratio(x):
    logs = np.log(x)
    return logs - logs.mean(axis=1, keepdims=True)


def log_ratio_vjp(g, x):
    return (g - g.mean(axis=1, keepdims=True)) / x


def log_ratio_vjp_matrix(g, x):
    d = x.shape[1]
    return g @ (np.eye(d) - 1 / d) / x


LOG_RATIO = Function(
    "log_ratio",
    log_ratio,
    positive(10, (3, 4)),
    (log_ratio_vjp, log_ratio_vjp_matrix),
    (
        Wrong(
            "mean constant",
            lambda g, x: g / x,
            "detached",
            "The mean of the logarithms is treated as a constant.",
            ("missing-term", "mean not differentiated", "gradient not centred"),
            "logs.mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "no logarithm",
            lambda g, x: g - row(g),
            "missing-inner-derivative",
            "The derivative 1/x of the logarithm is missing.",
            ("missing 1/x", "derivative of log"),
            "logs = np.log(x)",
        ),
        Wrong(
            "sum for mean",
            lambda g, x: (g - rows_sum(g)) / x,
            "sum-for-mean",
            "A sum is subtracted where the mean should be.",
            ("factor-in-term", "missing 1/d", "factor d in the second term"),
            "logs.mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "mean of the columns",
            lambda g, x: (g - column(g)) / x,
            "wrong-axis",
            "The mean of the gradient runs over the rows of the batch instead of the parts.",
            ("axis 0 instead of axis 1", "mean over the wrong axis"),
            "logs.mean(axis=1, keepdims=True)",
        ),
        Wrong(
            "divided before the mean",
            lambda g, x: g / x - row(g / x),
            "wrong-order",
            "The gradient is divided by x before it is centred, instead of after: the mean's term has the wrong 1/x.",
            (
                "order of centring and division",
                "wrong-variable",
                "1/x inside the mean",
                "chain rule in the wrong order",
            ),
            "logs - logs.mean(axis=1, keepdims=True)",
        ),
    ),
)

FUNCTIONS = (
    LAYER_NORM,
    RMS_NORM,
    GROUP_NORM,
    INSTANCE_NORM,
    WEIGHT_NORM,
    UNIT_ROWS,
    STANDARDISE,
    MIN_MAX,
    RESPONSE_NORM,
    LOG_RATIO,
)
