"""Double backwards: with a right rule y = vjp(g, x) and the cotangent u of y, a rule returns (dx, dg)."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, sigmoid

# --- tanh


def tanh(x):
    return np.tanh(x)


def tanh_vjp(g, x):
    return g * (1 - np.tanh(x) ** 2)


def tanh_double(g, u, x):
    t = np.tanh(x)
    return -2 * u * g * t * (1 - t**2), u * (1 - t**2)


def tanh_double_cosh(g, u, x):
    return -2 * g * u * np.sinh(x) / np.cosh(x) ** 3, u / np.cosh(x) ** 2


def tanh_dx(dx):
    def double_vjp(g, u, x):
        t = np.tanh(x)
        return dx(g, u, t), u * (1 - t**2)

    return double_vjp


TANH = Function(
    "tanh_double",
    tanh,
    draw(1, (5,)),
    (tanh_double, tanh_double_cosh),
    (
        Wrong(
            "no two",
            tanh_dx(lambda g, u, t: -u * g * t * (1 - t**2)),
            "factor",
            "The 2 of the square is missing from dx.",
            ("factor 2", "factor 1/2", "forgotten factor 2"),
        ),
        Wrong(
            "minus forgotten",
            tanh_dx(lambda g, u, t: 2 * u * g * t * (1 - t**2)),
            "sign",
            "The minus of 1 - t**2 is forgotten in dx.",
            ("sign", "sign of dx"),
        ),
        Wrong(
            "tanh not differentiated",
            tanh_dx(lambda g, u, t: -2 * u * g * t),
            "missing-inner-derivative",
            "In dx the tanh in the square is not differentiated.",
            ("missing 1 - t**2", "chain rule", "missing-factor"),
        ),
        Wrong(
            "no incoming gradient",
            tanh_dx(lambda g, u, t: -2 * u * t * (1 - t**2)),
            "missing-factor",
            "The first-order cotangent g is missing from dx.",
            ("g forgotten", "missing g"),
        ),
        Wrong(
            "vjp not linear in g",
            lambda g, u, x: (tanh_double(g, u, x)[0], u * g * (1 - np.tanh(x) ** 2)),
            "extra-factor",
            "dg has a factor g, though the first rule is linear in g.",
            ("extra g", "g not removed", "dg wrong", "second output wrong"),
        ),
        Wrong(
            "exchanged",
            lambda g, u, x: tanh_double(g, u, x)[::-1],
            "swapped",
            "dx and dg are returned in the wrong order.",
            ("dg and dx exchanged", "wrong-order"),
        ),
    ),
    check="double_vjp",
    vjp=tanh_vjp,
)

# --- softmax


def softmax(x):
    e = np.exp(x)
    return e / e.sum()


def softmax_vjp(g, x):
    p = softmax(x)
    return p * (g - p @ g)


def softmax_double(g, u, x):
    p = softmax(x)
    dp = u * g - u * (p @ g) - g * (u @ p)
    return p * (dp - p @ dp), p * (u - p @ u)


def softmax_double_centred(g, u, x):
    p = softmax(x)
    gc, uc = g - p @ g, u - p @ u
    return p * (gc * uc - p @ (gc * uc)), p * uc


def softmax_dx(dp, finish=lambda p, dp: p * (dp - p @ dp)):
    def double_vjp(g, u, x):
        p = softmax(x)
        return finish(p, dp(g, u, p)), p * (u - p @ u)

    return double_vjp


def softmax_dp(g, u, p):
    return u * g - u * (p @ g) - g * (u @ p)


SOFTMAX = Function(
    "softmax_double",
    softmax,
    draw(2, (4,)),
    (softmax_double, softmax_double_centred),
    (
        Wrong(
            "inner product constant",
            softmax_dx(lambda g, u, p: u * g - u * (p @ g)),
            "missing-term",
            "The p inside the inner product p·g is not differentiated.",
            ("detached", "missing - g (u·p)", "product rule", "second use of p missing", "dx wrong"),
        ),
        Wrong(
            "outer p constant",
            softmax_dx(lambda g, u, p: -g * (u @ p)),
            "missing-term",
            "The p in front of the bracket is not differentiated.",
            ("detached", "product rule", "first use of p missing", "missing u (g - p·g)", "dx wrong"),
        ),
        Wrong(
            "inner product added",
            softmax_dx(lambda g, u, p: u * g - u * (p @ g) + g * (u @ p)),
            "sign-in-term",
            "The term of the inner product has the wrong sign.",
            ("sign of g (u·p)", "dx wrong"),
        ),
        Wrong(
            "gradient in p",
            softmax_dx(softmax_dp, lambda p, dp: dp),
            "missing-inner-derivative",
            "The softmax itself is not differentiated: dx is the gradient in p.",
            ("softmax Jacobian missing", "gradient with respect to p", "chain rule"),
        ),
        Wrong(
            "normaliser constant",
            softmax_dx(softmax_dp, lambda p, dp: p * dp),
            "detached",
            "The normaliser of the softmax is treated as a constant in dx.",
            ("missing-term", "- p (p·dp) missing", "elementwise"),
        ),
        Wrong(
            "dg elementwise",
            lambda g, u, x: (softmax_double(g, u, x)[0], softmax(x) * u),
            "missing-term",
            "dg leaves out the inner product: p u instead of p (u - p·u).",
            ("elementwise", "missing - p (p·u)", "dg wrong", "second output wrong", "off-diagonal terms missing"),
        ),
    ),
    check="double_vjp",
    vjp=softmax_vjp,
)

# --- log-sum-exp


def log_sum_exp(x):
    return np.log(np.exp(x).sum())


def log_sum_exp_vjp(g, x):
    e = np.exp(x)
    return g * e / e.sum()


def log_sum_exp_double(g, u, x):
    p = softmax(x)
    return g * p * (u - p @ u), p @ u


def log_sum_exp_double_steps(g, u, x):
    e = np.exp(x)
    z = e.sum()
    return g * e * u / z - g * e * (e @ u) / z**2, (u * e).sum() / z


LOG_SUM_EXP = Function(
    "log_sum_exp_double",
    log_sum_exp,
    draw(3, (4,)),
    (log_sum_exp_double, log_sum_exp_double_steps),
    (
        Wrong(
            "normaliser constant",
            lambda g, u, x: (g * softmax(x) * u, softmax(x) @ u),
            "detached",
            "The softmax's normaliser is treated as a constant in dx.",
            ("missing-term", "missing - p (p·u)", "quotient rule", "elementwise"),
        ),
        Wrong(
            "elementwise",
            lambda g, u, x: (g * softmax(x) * (1 - softmax(x)) * u, softmax(x) @ u),
            "elementwise",
            "The softmax is differentiated elementwise in dx.",
            ("diagonal of the Hessian only", "off-diagonal terms missing", "p (1 - p)"),
        ),
        Wrong(
            "no g",
            lambda g, u, x: (softmax(x) * (u - softmax(x) @ u), softmax(x) @ u),
            "factor",
            "The cotangent g is missing from dx.",
            ("missing-factor", "g forgotten", "dx wrong"),
        ),
        Wrong(
            "dg not summed",
            lambda g, u, x: (log_sum_exp_double(g, u, x)[0], softmax(x) * u),
            "missing-sum",
            "dg is not summed, though g is one number.",
            ("wrong shape", "inner product missing", "p * u instead of p @ u", "dg wrong"),
        ),
        Wrong(
            "dg by a mean",
            lambda g, u, x: (log_sum_exp_double(g, u, x)[0], (softmax(x) * u).mean()),
            "mean-for-sum",
            "dg is a mean instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dg wrong"),
        ),
    ),
    check="double_vjp",
    vjp=log_sum_exp_vjp,
)

# --- a vector times its squared length


def cubic(x):
    return x * (x @ x)


def cubic_vjp(g, x):
    return g * (x @ x) + 2 * x * (x @ g)


def cubic_double(g, u, x):
    dx = 2 * (x * (u @ g) + u * (x @ g) + g * (x @ u))
    return dx, u * (x @ x) + 2 * x * (x @ u)


def cubic_double_matrix(g, u, x):
    first = (x @ x) * np.eye(len(x)) + 2 * np.outer(x, x)
    slope = (u @ g) * np.eye(len(x)) + np.outer(u, g) + np.outer(g, u)
    return 2 * slope @ x, first @ u


CUBIC = Function(
    "cubic_double",
    cubic,
    draw(4, (4,)),
    (cubic_double, cubic_double_matrix),
    (
        Wrong(
            "second factor constant",
            lambda g, u, x: (2 * (x * (u @ g) + u * (x @ g)), cubic_double(g, u, x)[1]),
            "missing-term",
            "The x inside x·g is not differentiated: the term 2 g (x·u) is missing from dx.",
            ("product rule", "only-part", "missing 2 g (x·u)", "dx wrong"),
        ),
        Wrong(
            "outer factor constant",
            lambda g, u, x: (2 * (x * (u @ g) + g * (x @ u)), cubic_double(g, u, x)[1]),
            "missing-term",
            "The x in front of x·g is not differentiated: the term 2 u (x·g) is missing from dx.",
            ("product rule", "only-part", "missing 2 u (x·g)", "dx wrong"),
        ),
        Wrong(
            "length constant",
            lambda g, u, x: (2 * (u * (x @ g) + g * (x @ u)), cubic_double(g, u, x)[1]),
            "missing-term",
            "The squared length of the first term is not differentiated: 2 x (u·g) is missing from dx.",
            ("product rule", "only-part", "detached", "missing 2 x (u·g)", "dx wrong"),
        ),
        Wrong(
            "no two for the length",
            lambda g, u, x: (cubic_double(g, u, x)[0] - x * (u @ g), cubic_double(g, u, x)[1]),
            "factor-in-term",
            "The 2 of the squared length's derivative is missing from one term of dx.",
            ("factor 2 in one term", "derivative of x @ x", "dx wrong"),
        ),
        Wrong(
            "dg by the first term",
            lambda g, u, x: (cubic_double(g, u, x)[0], u * (x @ x)),
            "missing-term",
            "dg leaves out the second term of the first rule.",
            ("only-part", "missing 2 x (x·u)", "dg wrong", "second output wrong"),
        ),
        Wrong(
            "dg with u and x exchanged",
            lambda g, u, x: (cubic_double(g, u, x)[0], u * (x @ x) + 2 * u * (x @ u)),
            "wrong-variable",
            "In dg the second term points along u instead of x.",
            ("u instead of x", "swapped", "dg wrong", "transpose"),
        ),
    ),
    check="double_vjp",
    vjp=cubic_vjp,
)

# --- unit vector


def unit(x):
    return x / np.sqrt(x @ x)


def unit_vjp(g, x):
    r = np.sqrt(x @ x)
    y = x / r
    return (g - y * (y @ g)) / r


def unit_double(g, u, x):
    r = np.sqrt(x @ x)
    gx, ux = g @ x, u @ x
    dx = -(u @ g) * x / r**3 - (u * gx + g * ux) / r**3 + 3 * ux * gx * x / r**5
    return dx, unit_vjp(u, x)


def unit_double_steps(g, u, x):
    r = np.sqrt(x @ x)
    y = x / r
    inner = u @ g - (u @ y) * (y @ g)
    dy = -(u * (y @ g) + g * (u @ y)) / r
    return (dy - y * (y @ dy)) / r - y * inner / r**2, (u - y * (y @ u)) / r


def unit_dx(dx):
    def double_vjp(g, u, x):
        r = np.sqrt(x @ x)
        return dx(g, u, x, r, g @ x, u @ x), unit_vjp(u, x)

    return double_vjp


UNIT = Function(
    "unit_double",
    unit,
    draw(15, (4,)),
    (unit_double, unit_double_steps),
    (
        Wrong(
            "length constant",
            unit_dx(lambda g, u, x, r, gx, ux: -(u * gx + g * ux) / r**3),
            "detached",
            "In dx the length is treated as a constant: only the products with x are differentiated.",
            ("missing-term", "norm not differentiated", "quotient rule"),
        ),
        Wrong(
            "one of two products",
            unit_dx(lambda g, u, x, r, gx, ux: -(u @ g) * x / r**3 - u * gx / r**3 + 3 * ux * gx * x / r**5),
            "missing-term",
            "The term g (u·x) is missing from dx.",
            ("product rule", "only-part", "not symmetric in u and g"),
        ),
        Wrong(
            "cube's factor",
            unit_dx(lambda g, u, x, r, gx, ux: -(u @ g) * x / r**3 - (u * gx + g * ux) / r**3 + ux * gx * x / r**5),
            "factor-in-term",
            "The 3 of the derivative of 1/r**3 is missing from the last term.",
            ("factor 3", "power rule", "wrong-constant", "derivative of r**-3"),
        ),
        Wrong(
            "last term's sign",
            unit_dx(lambda g, u, x, r, gx, ux: -(u @ g) * x / r**3 - (u * gx + g * ux) / r**3 - 3 * ux * gx * x / r**5),
            "sign-in-term",
            "The last term of dx has the wrong sign.",
            ("sign of the third term", "derivative of -1/r**3"),
        ),
        Wrong(
            "dg not projected",
            lambda g, u, x: (unit_double(g, u, x)[0], u / np.sqrt(x @ x)),
            "missing-term",
            "dg leaves out the projection.",
            ("missing - y (y·u)", "detached", "dg wrong", "second output wrong"),
        ),
        Wrong(
            "dg not divided",
            lambda g, u, x: (unit_double(g, u, x)[0], unit_vjp(u, x) * np.sqrt(x @ x)),
            "missing-factor",
            "dg lacks the division by the length.",
            ("missing 1/r", "factor", "dg wrong", "second output wrong"),
        ),
    ),
    check="double_vjp",
    vjp=unit_vjp,
)

# --- SiLU


def silu(x):
    return x * sigmoid(x)


def silu_vjp(g, x):
    s = sigmoid(x)
    return g * (s + x * s * (1 - s))


def silu_double(g, u, x):
    s = sigmoid(x)
    return u * g * s * (1 - s) * (2 + x * (1 - 2 * s)), u * (s + x * s * (1 - s))


def silu_double_steps(g, u, x):
    s = sigmoid(x)
    ds = u * g * (1 + x - 2 * x * s)
    return ds * s * (1 - s) + u * g * s * (1 - s), silu_vjp(u, x)


def silu_dx(second):
    def double_vjp(g, u, x):
        return u * g * second(x, sigmoid(x)), silu_vjp(u, x)

    return double_vjp


SILU = Function(
    "silu_double",
    silu,
    draw(6, (5,)),
    (silu_double, silu_double_steps),
    (
        Wrong(
            "x constant",
            silu_dx(lambda x, s: s * (1 - s) * (1 + x * (1 - 2 * s))),
            "missing-term",
            "The factor x of the second term is not differentiated.",
            ("product rule", "1 instead of 2", "wrong-constant", "missing s (1 - s)"),
        ),
        Wrong(
            "sigmoid's second derivative missing",
            silu_dx(lambda x, s: 2 * s * (1 - s)),
            "missing-term",
            "The derivative of s (1-s) is missing.",
            ("product rule", "missing x s (1 - s) (1 - 2 s)", "detached"),
        ),
        Wrong(
            "two forgotten in the sigmoid",
            silu_dx(lambda x, s: s * (1 - s) * (2 + x * (1 - s))),
            "factor-in-term",
            "The 2 of 1 - 2s is missing.",
            ("1 - s instead of 1 - 2 s", "derivative of s**2", "wrong-derivative", "missing-term"),
        ),
        Wrong(
            "sign of the last term",
            silu_dx(lambda x, s: s * (1 - s) * (2 - x * (1 - 2 * s))),
            "sign-in-term",
            "The term with 1 - 2s has the wrong sign.",
            ("sign of the second term",),
        ),
        Wrong(
            "u for g",
            lambda g, u, x: (u * u * silu_double(np.ones_like(g), np.ones_like(u), x)[0], silu_vjp(u, x)),
            "wrong-variable",
            "dx has u squared instead of u times g.",
            ("u instead of g", "g forgotten", "missing g"),
        ),
    ),
    check="double_vjp",
    vjp=silu_vjp,
)

# --- a sine times a running sum


def sweep(x):
    return np.sin(x) * np.cumsum(x)


def after(a):
    """The sum from each position to the end."""
    return np.cumsum(a[::-1])[::-1]


def sweep_vjp(g, x):
    return g * np.cos(x) * np.cumsum(x) + after(g * np.sin(x))


def sweep_double(g, u, x):
    dx = -u * g * np.sin(x) * np.cumsum(x) + after(u * g * np.cos(x)) + g * np.cos(x) * np.cumsum(u)
    return dx, u * np.cos(x) * np.cumsum(x) + np.sin(x) * np.cumsum(u)


def sweep_double_matrix(g, u, x):
    low = np.tril(np.ones((len(x), len(x))))
    c, s = np.cos(x), np.sin(x)
    dx = -u * g * s * (low @ x) + low.T @ (u * g * c) + g * c * (low @ u)
    return dx, (np.diag(c * (low @ x)) + s[:, None] * low) @ u


def sweep_dx(dx):
    def double_vjp(g, u, x):
        return dx(g, u, np.sin(x), np.cos(x), x), sweep_double(g, u, x)[1]

    return double_vjp


SWEEP = Function(
    "sweep_double",
    sweep,
    draw(7, (5,)),
    (sweep_double, sweep_double_matrix),
    (
        Wrong(
            "running sum constant",
            sweep_dx(lambda g, u, s, c, x: -u * g * s * np.cumsum(x) + g * c * np.cumsum(u)),
            "missing-term",
            "The running sum in the first term is not differentiated in dx.",
            ("detached", "product rule", "cumsum(x) constant", "only-part"),
        ),
        Wrong(
            "sine of the second term constant",
            sweep_dx(lambda g, u, s, c, x: -u * g * s * np.cumsum(x) + after(u * g * c)),
            "missing-term",
            "The sine in the second term is not differentiated in dx.",
            ("product rule", "only-part", "missing g cos(x) cumsum(u)", "detached"),
        ),
        Wrong(
            "cosine's minus",
            sweep_dx(lambda g, u, s, c, x: u * g * s * np.cumsum(x) + after(u * g * c) + g * c * np.cumsum(u)),
            "sign-in-term",
            "The minus of the cosine's derivative is forgotten in dx.",
            ("derivative of cos", "sign of the first term"),
        ),
        Wrong(
            "sum in the wrong direction",
            sweep_dx(lambda g, u, s, c, x: -u * g * s * np.cumsum(x) + after(u * g * c) + g * c * after(u)),
            "wrong-order",
            "The reverse sum of the first rule is transposed once too seldom: u is summed to the end.",
            ("transpose", "not reversed", "after instead of cumsum", "wrong direction"),
        ),
        Wrong(
            "dg by the first rule",
            lambda g, u, x: (sweep_double(g, u, x)[0], sweep_vjp(u, x)),
            "transpose",
            "dg applies the first rule to u: the transposed Jacobian instead of the Jacobian.",
            ("J.T instead of J", "not transposed", "wrong-order", "reverse sum", "dg wrong", "assumes symmetric J"),
        ),
        Wrong(
            "dg without the running sum",
            lambda g, u, x: (sweep_double(g, u, x)[0], u * np.cos(x) * np.cumsum(x)),
            "missing-term",
            "dg leaves out the second term of the first rule.",
            ("only-part", "missing sin(x) cumsum(u)", "dg wrong", "second output wrong"),
        ),
    ),
    check="double_vjp",
    vjp=sweep_vjp,
)

FUNCTIONS = (TANH, SOFTMAX, LOG_SUM_EXP, CUBIC, UNIT, SILU, SWEEP)
