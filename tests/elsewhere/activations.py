"""Activations and gates."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, sigmoid

# --- GELU, the tanh form

C, CUBE = np.sqrt(2 / np.pi), 0.044715


def gelu(x):
    inner = C * (x + CUBE * x**3)
    return 0.5 * x * (1 + np.tanh(inner))


def gelu_vjp(g, x):
    t = np.tanh(C * (x + CUBE * x**3))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * C * (1 + 3 * CUBE * x**2))


def gelu_vjp_sigmoid(g, x):
    s = sigmoid(2 * C * (x + CUBE * x**3))
    return g * (s + x * s * (1 - s) * 2 * C * (1 + 3 * CUBE * x**2))


def gelu_from(slope):
    def vjp(g, x):
        inner = C * (x + CUBE * x**3)
        return g * slope(x, inner, np.tanh(inner))

    return vjp


GELU = Function(
    "gelu",
    gelu,
    draw(1, (7,), scale=1.6),
    (gelu_vjp, gelu_vjp_sigmoid),
    (
        Wrong(
            "gate constant",
            gelu_from(lambda x, u, t: 0.5 * (1 + t)),
            "missing-term",
            "The second term of the product rule is missing: the gate 1+tanh is treated as a constant.",
            ("detached", "product rule", "gate not differentiated"),
            "0.5 * x * (1 + np.tanh(inner))",
        ),
        Wrong(
            "no inner derivative",
            gelu_from(lambda x, u, t: 0.5 * (1 + t) + 0.5 * x * (1 - t**2)),
            "missing-inner-derivative",
            "The derivative of the argument of tanh is missing.",
            ("chain rule", "inner polynomial not differentiated", "missing C * (1 + 3 * CUBE * x**2)"),
            "inner = C * (x + CUBE * x**3)",
        ),
        Wrong(
            "one minus tanh",
            gelu_from(lambda x, u, t: 0.5 * (1 + t) + 0.5 * x * (1 - t) * C * (1 + 3 * CUBE * x**2)),
            "wrong-derivative",
            "The derivative of tanh is taken as 1 - t instead of 1 - t**2.",
            ("tanh not squared", "wrong-power", "derivative of tanh"),
            "np.tanh(inner)",
        ),
        Wrong(
            "cube without three",
            gelu_from(lambda x, u, t: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * C * (1 + CUBE * x**2)),
            "factor-in-term",
            "The 3 of the derivative of the cube is missing.",
            ("derivative of x**3", "factor 3", "wrong-derivative", "power rule"),
            "CUBE * x**3",
        ),
        Wrong(
            "tanh derivative at x",
            gelu_from(lambda x, u, t: 0.5 * (1 + t) + 0.5 * x * (1 - np.tanh(x) ** 2) * C * (1 + 3 * CUBE * x**2)),
            "wrong-point",
            "The derivative of tanh is taken at x instead of the inner polynomial.",
            ("derivative at the wrong point", "x instead of inner"),
            "np.tanh(inner)",
        ),
        Wrong(
            "inner without its constant",
            gelu_from(lambda x, u, t: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * (1 + 3 * CUBE * x**2)),
            "factor-in-term",
            "The constant sqrt(2/pi) of the inner derivative is missing.",
            ("wrong-constant", "missing C", "missing sqrt(2/pi)", "missing-inner-derivative"),
            "inner = C * (x + CUBE * x**3)",
        ),
    ),
)

# --- swish with a learned slope


def swish(x, beta):
    gate = sigmoid(beta * x)
    return x * gate


def swish_vjp(g, x, beta):
    s = sigmoid(beta * x)
    return g * (s + beta * x * s * (1 - s)), np.sum(g * x**2 * s * (1 - s))


def swish_vjp_output(g, x, beta):
    s = sigmoid(beta * x)
    y = x * s
    return g * (beta * y + s * (1 - beta * y)), (g * y * (x - y)).sum()


def swish_dx(dx):
    def vjp(g, x, beta):
        return g * dx(x, beta, sigmoid(beta * x)), swish_vjp(g, x, beta)[1]

    return vjp


def swish_dbeta(dbeta):
    def vjp(g, x, beta):
        return swish_vjp(g, x, beta)[0], dbeta(g, x, sigmoid(beta * x))

    return vjp


SWISH = Function(
    "swish",
    swish,
    (draw(2, (6,))[0], np.array(1.7)),
    (swish_vjp, swish_vjp_output),
    (
        Wrong(
            "gate constant",
            swish_dx(lambda x, beta, s: s),
            "missing-term",
            "The second term of the product rule is missing: the gate is treated as a constant.",
            ("detached", "product rule", "gate not differentiated"),
            "x * gate",
        ),
        Wrong(
            "without beta",
            swish_dx(lambda x, beta, s: s + x * s * (1 - s)),
            "missing-inner-derivative",
            "The inner derivative beta is missing from the gradient of x.",
            ("missing beta", "missing-factor", "factor-in-term", "chain rule"),
            "gate = sigmoid(beta * x)",
        ),
        Wrong(
            "sigmoid derivative of the output",
            swish_dx(lambda x, beta, s: s + beta * x * (x * s) * (1 - x * s)),
            "wrong-point",
            "The derivative of the sigmoid is computed from the output y instead of the gate.",
            ("y (1 - y) instead of s (1 - s)", "wrong-variable"),
            "gate = sigmoid(beta * x)",
        ),
        Wrong(
            "beta with x once",
            swish_dbeta(lambda g, x, s: np.sum(g * x * s * (1 - s))),
            "missing-factor",
            "The gradient of beta has x where it should have x squared: the inner derivative x is missing.",
            ("missing-inner-derivative", "x instead of x**2", "wrong-power", "second input wrong"),
            "beta * x",
        ),
        Wrong(
            "beta by a mean",
            swish_dbeta(lambda g, x, s: np.mean(g * x**2 * s * (1 - s))),
            "mean-for-sum",
            "The gradient of beta is a mean over the entries instead of a sum.",
            ("factor", "factor 1/n", "factor 1/6", "second input wrong"),
            "beta * x",
        ),
        Wrong(
            "beta not summed",
            swish_dbeta(lambda g, x, s: g * x**2 * s * (1 - s)),
            "missing-sum",
            "The gradient of beta is not summed over the entries that share it.",
            ("wrong shape", "broadcast axis not summed", "second input wrong"),
            "beta * x",
        ),
    ),
)

# --- Mish


def mish(x):
    soft = np.log1p(np.exp(x))
    return x * np.tanh(soft)


def mish_vjp(g, x):
    t = np.tanh(np.log1p(np.exp(x)))
    return g * (t + x * (1 - t**2) * sigmoid(x))


def mish_vjp_fraction(g, x):
    e = np.exp(x)
    omega = 4 * (x + 1) + 4 * e**2 + e**3 + e * (4 * x + 6)
    return g * e * omega / (2 * e + e**2 + 2) ** 2


def mish_from(slope):
    def vjp(g, x):
        soft = np.log1p(np.exp(x))
        return g * slope(x, soft, np.tanh(soft))

    return vjp


MISH = Function(
    "mish",
    mish,
    draw(3, (6,), scale=1.5),
    (mish_vjp, mish_vjp_fraction),
    (
        Wrong(
            "product half",
            mish_from(lambda x, soft, t: t),
            "missing-term",
            "The second term of the product rule is missing.",
            ("product rule", "detached", "tanh not differentiated"),
            "x * np.tanh(soft)",
        ),
        Wrong(
            "no softplus derivative",
            mish_from(lambda x, soft, t: t + x * (1 - t**2)),
            "missing-inner-derivative",
            "The derivative of the softplus, the sigmoid, is missing.",
            ("chain rule", "missing sigmoid(x)", "softplus not differentiated"),
            "soft = np.log1p(np.exp(x))",
        ),
        Wrong(
            "tanh derivative at x",
            mish_from(lambda x, soft, t: t + x * (1 - np.tanh(x) ** 2) * sigmoid(x)),
            "wrong-point",
            "The derivative of tanh is taken at x instead of softplus(x).",
            ("derivative at the wrong point", "x instead of soft"),
            "np.tanh(soft)",
        ),
        Wrong(
            "sigmoid of the softplus",
            mish_from(lambda x, soft, t: t + x * (1 - t**2) * sigmoid(soft)),
            "wrong-point",
            "The derivative of the softplus is taken at its output instead of x.",
            ("sigmoid(softplus(x)) instead of sigmoid(x)", "derivative at the wrong point"),
            "soft = np.log1p(np.exp(x))",
        ),
        Wrong(
            "x forgotten",
            mish_from(lambda x, soft, t: t + (1 - t**2) * sigmoid(x)),
            "missing-factor",
            "The factor x of the second term is missing, as if for a sum.",
            ("product rule", "missing x in the second term"),
            "x * np.tanh(soft)",
        ),
    ),
)

# --- softsign


def softsign(x):
    return x / (1 + np.abs(x))


def softsign_vjp(g, x):
    return g / (1 + np.abs(x)) ** 2


def softsign_vjp_output(g, x):
    y = softsign(x)
    return g * (1 - np.abs(y)) ** 2


SOFTSIGN = Function(
    "softsign",
    softsign,
    (np.array([-1.6, -0.9, -0.25, 0.3, 0.8, 2.1]),),
    (softsign_vjp, softsign_vjp_output),
    (
        Wrong(
            "denominator not squared",
            lambda g, x: g / (1 + np.abs(x)),
            "wrong-power",
            "The denominator is not squared: it is treated as a constant.",
            ("detached", "missing-term", "denominator not differentiated", "quotient rule", "missing square"),
            "x / (1 + np.abs(x))",
        ),
        Wrong(
            "abs without its sign",
            lambda g, x: g * (1 + np.abs(x) - x) / (1 + np.abs(x)) ** 2,
            "missing-inner-derivative",
            "The derivative of abs(x) is taken as 1 instead of sign(x).",
            ("sign(x) forgotten", "wrong for negative x", "sign-in-term", "derivative of abs", "wrong-derivative"),
            "np.abs(x)",
        ),
        Wrong(
            "at the output",
            lambda g, x: g / (1 + np.abs(softsign(x))) ** 2,
            "wrong-point",
            "The derivative is taken at the output y instead of x.",
            ("y instead of x", "wrong-variable"),
            "x / (1 + np.abs(x))",
        ),
        Wrong(
            "odd derivative",
            lambda g, x: g * np.sign(x) / (1 + np.abs(x)) ** 2,
            "extra-factor",
            "A factor sign(x) is too many: negative inputs get the wrong sign.",
            ("sign-in-term", "extra sign(x)", "wrong sign for negative x"),
            "np.abs(x)",
        ),
        Wrong(
            "quotient with plus",
            lambda g, x: g * (1 + 2 * np.abs(x)) / (1 + np.abs(x)) ** 2,
            "sign-in-term",
            "The quotient rule is applied with a plus.",
            ("quotient rule", "sign of the second term"),
            "x / (1 + np.abs(x))",
        ),
        Wrong(
            "output without abs",
            lambda g, x: g * (1 - softsign(x)) ** 2,
            "sign-in-term",
            "The rule by the output has 1 - y where it should have 1 - abs(y): it is wrong for negative inputs.",
            ("abs forgotten", "wrong-point", "wrong for negative x", "mask", "missing sign(x)"),
            "x / (1 + np.abs(x))",
        ),
    ),
)

# --- SELU

SCALE, ALPHA = 1.0507, 1.6733


def selu(x):
    below = ALPHA * (np.exp(np.minimum(x, 0)) - 1)
    return SCALE * np.where(x > 0, x, below)


def selu_vjp(g, x):
    return g * SCALE * np.where(x > 0, 1, ALPHA * np.exp(x))


def selu_vjp_output(g, x):
    y = selu(x)
    return g * np.where(y > 0, SCALE, y + SCALE * ALPHA)


SELU = Function(
    "selu",
    selu,
    draw(5, (7,)),
    (selu_vjp, selu_vjp_output),
    (
        Wrong(
            "no scale",
            lambda g, x: g * np.where(x > 0, 1, ALPHA * np.exp(x)),
            "factor",
            "The scale lambda is missing.",
            ("missing SCALE", "factor 1.0507", "wrong-constant", "gradient of ELU"),
            "SCALE * np.where(x > 0, x, below)",
        ),
        Wrong(
            "negative output",
            lambda g, x: g * np.where(x > 0, SCALE, selu(x)),
            "missing-term",
            "Below zero the derivative is taken as the output y, without the constant lambda times alpha.",
            ("missing + SCALE * ALPHA", "wrong-point", "exp(x) - 1 instead of exp(x)", "wrong-derivative"),
            "below = ALPHA * (np.exp(np.minimum(x, 0)) - 1)",
        ),
        Wrong(
            "negative without alpha",
            lambda g, x: g * SCALE * np.where(x > 0, 1, np.exp(x)),
            "factor-in-term",
            "Alpha is missing from the negative branch.",
            ("missing ALPHA", "wrong-constant", "wrong for negative x"),
            "below = ALPHA * (np.exp(np.minimum(x, 0)) - 1)",
        ),
        Wrong(
            "output plus alpha",
            lambda g, x: g * np.where(x > 0, SCALE, selu(x) + ALPHA),
            "wrong-constant",
            "Below zero the rule is y + alpha, where it should be y + lambda times alpha.",
            ("missing SCALE in the negative branch", "wrong for negative x", "as for ELU"),
            "SCALE * np.where(x > 0, x, below)",
        ),
        Wrong(
            "decaying exponential",
            lambda g, x: g * SCALE * np.where(x > 0, 1, ALPHA * np.exp(-x)),
            "wrong-point",
            "The negative branch uses exp(-x) instead of exp(x).",
            ("sign in the exponent", "wrong-derivative", "wrong for negative x"),
            "np.exp(np.minimum(x, 0))",
        ),
        Wrong(
            "like a rectifier",
            lambda g, x: g * SCALE * (x > 0),
            "missing-term",
            "The negative branch has no gradient.",
            ("only-part", "mask", "negative side zero", "treated as a relu"),
            "below = ALPHA * (np.exp(np.minimum(x, 0)) - 1)",
        ),
    ),
)

# --- hard swish


def hard_swish(x):
    gate = np.clip(x + 3, 0, 6) / 6
    return x * gate


def hard_swish_vjp(g, x):
    return g * np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6))


def hard_swish_vjp_product(g, x):
    gate = np.clip(x + 3, 0, 6) / 6
    return g * (gate + x * (np.abs(x) < 3) / 6)


HARD_SWISH = Function(
    "hard_swish",
    hard_swish,
    (np.array([-4.1, -2.2, -0.7, 0.4, 1.9, 2.6, 3.8, 5.0]),),
    (hard_swish_vjp, hard_swish_vjp_product),
    (
        Wrong(
            "gate constant",
            lambda g, x: g * np.clip(x + 3, 0, 6) / 6,
            "missing-term",
            "The gate is treated as a constant: x/6 is missing between -3 and 3.",
            ("detached", "product rule", "second term missing", "factor 2 of x"),
            "x * gate",
        ),
        Wrong(
            "never saturated",
            lambda g, x: g * (2 * x + 3) / 6,
            "mask",
            "The saturation is forgotten: the parabola's slope is used below -3 and above 3.",
            ("clip ignored", "branch forgotten", "wrong outside -3..3"),
            "np.clip(x + 3, 0, 6)",
        ),
        Wrong(
            "zero above three",
            lambda g, x: g * (np.abs(x) < 3) * (2 * x + 3) / 6,
            "mask",
            "Above 3 the slope is set to 0 instead of 1.",
            ("wrong for x > 3", "saturated side", "missing-term", "gate's own term masked"),
            "x * gate",
        ),
        Wrong(
            "gate not divided",
            lambda g, x: g * (np.clip(x + 3, 0, 6) / 6 + x * (np.abs(x) < 3)),
            "factor-in-term",
            "The 1/6 is missing from the second term.",
            ("missing 1/6", "missing-inner-derivative", "wrong-constant", "factor 6"),
            "gate = np.clip(x + 3, 0, 6) / 6",
        ),
        Wrong(
            "second term unmasked",
            lambda g, x: g * (np.clip(x + 3, 0, 6) / 6 + x / 6),
            "mask",
            "The derivative of the clip is taken as 1 everywhere.",
            ("clip ignored", "wrong outside -3..3", "missing mask in the second term"),
            "np.clip(x + 3, 0, 6)",
        ),
    ),
)

# --- gated linear unit


def glu(x):
    a, b = np.split(x, 2, axis=1)
    return a * sigmoid(b)


def glu_vjp(g, x):
    a, b = np.split(x, 2, axis=1)
    s = sigmoid(b)
    return np.concatenate([g * s, g * a * s * (1 - s)], axis=1)


def glu_vjp_fill(g, x):
    half = x.shape[1] // 2
    dx = np.empty_like(x)
    dx[:, :half] = g / (1 + np.exp(-x[:, half:]))
    dx[:, half:] = g * x[:, :half] / (2 + 2 * np.cosh(x[:, half:]))
    return dx


def glu_from(da, db):
    def vjp(g, x):
        a, b = np.split(x, 2, axis=1)
        return np.concatenate([g * da(a, b, sigmoid(b)), g * db(a, b, sigmoid(b))], axis=1)

    return vjp


GLU = Function(
    "glu",
    glu,
    draw(6, (3, 6)),
    (glu_vjp, glu_vjp_fill),
    (
        Wrong(
            "halves exchanged",
            glu_from(lambda a, b, s: a * s * (1 - s), lambda a, b, s: s),
            "swapped",
            "The gradients of the two halves are joined in the wrong order.",
            ("halves swapped", "wrong-order", "concatenated in the wrong order"),
            "a, b = np.split(x, 2, axis=1)",
        ),
        Wrong(
            "no sigmoid derivative",
            glu_from(lambda a, b, s: s, lambda a, b, s: a),
            "missing-inner-derivative",
            "The derivative of the sigmoid is missing in the gate's half.",
            ("missing s (1 - s)", "sigmoid not differentiated", "missing-factor"),
            "sigmoid(b)",
        ),
        Wrong(
            "gate's half without a",
            glu_from(lambda a, b, s: s, lambda a, b, s: s * (1 - s)),
            "missing-factor",
            "The gate's half lacks the factor a.",
            ("missing a", "product rule", "second half wrong"),
            "a * sigmoid(b)",
        ),
        Wrong(
            "gate of the wrong half",
            glu_from(lambda a, b, s: sigmoid(a), lambda a, b, s: b * sigmoid(a) * (1 - sigmoid(a))),
            "wrong-variable",
            "The halves a and b play each other's roles: the sigmoid is taken of a.",
            ("swapped", "sigmoid of the wrong half", "a and b exchanged"),
            "a * sigmoid(b)",
        ),
        Wrong(
            "derivative without one minus",
            glu_from(lambda a, b, s: s, lambda a, b, s: a * s),
            "wrong-derivative",
            "The derivative of the sigmoid is taken as s instead of s (1 - s).",
            ("missing 1 - s", "missing-factor", "derivative of sigmoid"),
            "sigmoid(b)",
        ),
        Wrong(
            "derivative at a",
            glu_from(lambda a, b, s: s, lambda a, b, s: a * sigmoid(a) * (1 - sigmoid(a))),
            "wrong-point",
            "The derivative of the sigmoid is taken at a instead of b.",
            ("derivative at the wrong half", "wrong-variable"),
            "sigmoid(b)",
        ),
    ),
)

# --- SwiGLU


def swiglu(x, w, v):
    a = x @ w
    gate = a * sigmoid(a)
    return gate * (x @ v)


def silu_slope(a):
    s = sigmoid(a)
    return s * (1 + a * (1 - s))


def swiglu_vjp(g, x, w, v):
    a, b = x @ w, x @ v
    da = g * b * silu_slope(a)
    db = g * a * sigmoid(a)
    return da @ w.T + db @ v.T, x.T @ da, x.T @ db


def swiglu_vjp_einsum(g, x, w, v):
    a, b = x @ w, x @ v
    s = sigmoid(a)
    da = g * b * (s + a * s - a * s**2)
    db = g * a * s
    dx = np.einsum("nh,dh->nd", da, w) + np.einsum("nh,dh->nd", db, v)
    return dx, np.einsum("nd,nh->dh", x, da), np.einsum("nd,nh->dh", x, db)


def swiglu_parts(g, x, w, v, slope=silu_slope):
    a, b = x @ w, x @ v
    return g * b * slope(a), g * a * sigmoid(a)


def swiglu_slope(slope):
    def vjp(g, x, w, v):
        da, db = swiglu_parts(g, x, w, v, slope)
        return da @ w.T + db @ v.T, x.T @ da, x.T @ db

    return vjp


def swiglu_dx(dx):
    def vjp(g, x, w, v):
        da, db = swiglu_parts(g, x, w, v)
        return dx(da, db, w, v), x.T @ da, x.T @ db

    return vjp


def swiglu_exchanged(g, x, w, v):
    dx, dw, dv = swiglu_vjp(g, x, w, v)
    return dx, dv, dw


def swiglu_gate_ungated(g, x, w, v):
    dx, _, dv = swiglu_vjp(g, x, w, v)
    return dx, x.T @ (g * silu_slope(x @ w)), dv


SWIGLU = Function(
    "swiglu",
    swiglu,
    draw(7, (4, 3), (3, 3), (3, 3), scale=0.8),
    (swiglu_vjp, swiglu_vjp_einsum),
    (
        Wrong(
            "x by the gate alone",
            swiglu_dx(lambda da, db, w, v: da @ w.T),
            "missing-term",
            "The gradient of x leaves out the path through x @ v.",
            ("only-part", "missing path", "only one of two uses of x"),
            "x @ v",
        ),
        Wrong(
            "weights not transposed",
            swiglu_dx(lambda da, db, w, v: da @ w + db @ v),
            "transpose",
            "The weights are not transposed in the gradient of x.",
            ("w instead of w.T", "missing transpose"),
            "a = x @ w",
        ),
        Wrong(
            "slope of the sigmoid alone",
            swiglu_slope(sigmoid),
            "missing-term",
            "The slope of silu lacks its second term a s (1-s).",
            ("product rule", "sigmoid not differentiated", "detached", "wrong-derivative"),
            "gate = a * sigmoid(a)",
        ),
        Wrong(
            "slope without the first term",
            swiglu_slope(lambda a: a * sigmoid(a) * (1 - sigmoid(a))),
            "missing-term",
            "The slope of silu lacks its first term sigmoid(a).",
            ("product rule", "wrong-derivative"),
            "gate = a * sigmoid(a)",
        ),
        Wrong(
            "weights exchanged",
            swiglu_exchanged,
            "swapped",
            "The gradients of w and v are exchanged.",
            ("dw and dv in the wrong order", "second and third gradient swapped"),
        ),
        Wrong(
            "gate without its partner",
            swiglu_gate_ungated,
            "missing-factor",
            "The gradient of w lacks the factor x @ v.",
            ("missing the other branch", "product rule", "dw wrong"),
            "gate * (x @ v)",
        ),
    ),
)

# --- maxout


def maxout(x, w, b):
    pieces = np.einsum("nd,kdm->nkm", x, w) + b
    return pieces.max(axis=1)


def maxout_chosen(x, w, b):
    pieces = np.einsum("nd,kdm->nkm", x, w) + b
    return (pieces == pieces.max(axis=1, keepdims=True)).astype(float)


def maxout_vjp(g, x, w, b):
    d = maxout_chosen(x, w, b) * g[:, None, :]
    return np.einsum("nkm,kdm->nd", d, w), np.einsum("nkm,nd->kdm", d, x), d.sum(axis=0)


def maxout_vjp_loop(g, x, w, b):
    best = (np.einsum("nd,kdm->nkm", x, w) + b).argmax(axis=1)
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n, m in np.ndindex(g.shape):
        k = best[n, m]
        dx[n] += g[n, m] * w[k, :, m]
        dw[k, :, m] += g[n, m] * x[n]
        db[k, m] += g[n, m]
    return dx, dw, db


def maxout_from(chosen):
    def vjp(g, x, w, b):
        d = chosen(x, w, b) * g[:, None, :]
        return np.einsum("nkm,kdm->nd", d, w), np.einsum("nkm,nd->kdm", d, x), d.sum(axis=0)

    return vjp


def maxout_by_axis(x, w, b):
    pieces = np.einsum("nd,kdm->nkm", x, w) + b
    return (pieces == pieces.max(axis=2, keepdims=True)).astype(float)


MAXOUT = Function(
    "maxout",
    maxout,
    draw(291, (4, 3), (3, 3, 2), (3, 2)),
    (maxout_vjp, maxout_vjp_loop),
    (
        Wrong(
            "every piece",
            maxout_from(lambda x, w, b: np.ones((4, 3, 2))),
            "mask",
            "Every piece gets the gradient, not only the largest.",
            ("forgot the argmax mask", "max treated as sum", "wrong-derivative"),
            "pieces.max(axis=1)",
        ),
        Wrong(
            "shared among pieces",
            maxout_from(lambda x, w, b: np.full((4, 3, 2), 1 / 3)),
            "mask",
            "The gradient is shared equally among the pieces, as for a mean, instead of going to the largest.",
            ("max treated as mean", "wrong-derivative", "forgot the argmax mask"),
            "pieces.max(axis=1)",
        ),
        Wrong(
            "largest output",
            maxout_from(maxout_by_axis),
            "wrong-axis",
            "The maximum is looked for over the outputs instead of the pieces.",
            ("argmax over the wrong axis", "axis 2 instead of axis 1"),
            "pieces.max(axis=1)",
        ),
        Wrong(
            "first piece's weights",
            lambda g, x, w, b: (g @ w[0].T, *maxout_vjp(g, x, w, b)[1:]),
            "wrong-index",
            "The gradient of x always uses the first piece's weights.",
            ("wrong-variable", "weights not selected by the argmax", "mask", "dx wrong"),
            'np.einsum("nd,kdm->nkm", x, w)',
        ),
        Wrong(
            "bias by a mean",
            lambda g, x, w, b: (*maxout_vjp(g, x, w, b)[:2], maxout_vjp(g, x, w, b)[2] / len(x)),
            "mean-for-sum",
            "The bias gets a mean over the batch instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "db wrong"),
            "+ b",
        ),
    ),
)

# --- softplus with a sharpness


def softplus(x, beta):
    return np.log1p(np.exp(beta * x)) / beta


def softplus_vjp(g, x, beta):
    s = sigmoid(beta * x)
    return g * s, (g * (x * s / beta - np.log1p(np.exp(beta * x)) / beta**2)).sum()


def softplus_vjp_output(g, x, beta):
    y = softplus(x, beta)
    s = 1 - np.exp(-beta * y)
    return g * s, np.sum(g * (x * s - y)) / beta


def softplus_dx(dx):
    def vjp(g, x, beta):
        return g * dx(x, beta), softplus_vjp(g, x, beta)[1]

    return vjp


def softplus_dbeta(dbeta):
    def vjp(g, x, beta):
        return softplus_vjp(g, x, beta)[0], np.sum(g * dbeta(x, beta, sigmoid(beta * x), softplus(x, beta)))

    return vjp


SOFTPLUS = Function(
    "softplus",
    softplus,
    (draw(10, (6,))[0], np.array(2.5)),
    (softplus_vjp, softplus_vjp_output),
    (
        Wrong(
            "beta too many",
            softplus_dx(lambda x, beta: beta * sigmoid(beta * x)),
            "extra-factor",
            "The 1/beta in front is forgotten: the gradient of x is beta times too large.",
            ("factor", "factor beta", "missing 1/beta", "missing-factor", "factor 2.5"),
            "/ beta",
        ),
        Wrong(
            "sigmoid of x",
            softplus_dx(lambda x, beta: sigmoid(x)),
            "wrong-point",
            "The sigmoid is taken at x instead of beta times x.",
            ("missing beta in the sigmoid", "derivative at the wrong point"),
            "np.exp(beta * x)",
        ),
        Wrong(
            "sigmoid of minus x",
            softplus_dx(lambda x, beta: sigmoid(-beta * x)),
            "wrong-point",
            "The sigmoid is taken at -beta x: one minus the right slope.",
            ("1 - s instead of s", "wrong-derivative", "sign inside the sigmoid"),
            "np.exp(beta * x)",
        ),
        Wrong(
            "divisor constant",
            softplus_dbeta(lambda x, beta, s, y: x * s / beta),
            "missing-term",
            "In the gradient of beta the term of the divisor 1/beta is missing.",
            ("quotient rule", "detached", "second input wrong", "second term of the quotient rule"),
            "/ beta",
        ),
        Wrong(
            "only the divisor",
            softplus_dbeta(lambda x, beta, s, y: -y / beta),
            "missing-term",
            "In the gradient of beta the term through beta times x is missing.",
            ("quotient rule", "second input wrong", "numerator treated as constant", "detached"),
            "np.exp(beta * x)",
        ),
        Wrong(
            "divisor added",
            softplus_dbeta(lambda x, beta, s, y: (x * s + y) / beta),
            "sign-in-term",
            "In the gradient of beta the term of the divisor has the wrong sign.",
            ("quotient rule", "derivative of 1/beta", "second input wrong"),
            "/ beta",
        ),
    ),
)

FUNCTIONS = (GELU, SWISH, MISH, SOFTSIGN, SELU, HARD_SWISH, GLU, SWIGLU, MAXOUT, SOFTPLUS)
