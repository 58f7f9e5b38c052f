"""Linear algebra and statistics of arrays."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw


def solid(seed, n):
    """A well-conditioned matrix that is not symmetric."""
    return 2 * np.eye(n) + draw(seed, (n, n), scale=0.5)[0]


# --- quadratic form


def quadratic_form(x, a):
    return x @ a @ x


def quadratic_form_vjp(g, x, a):
    return g * (a + a.T) @ x, g * np.outer(x, x)


def quadratic_form_vjp_einsum(g, x, a):
    return g * (np.einsum("ij,j->i", a, x) + np.einsum("ij,i->j", a, x)), g * x[:, None] * x


QUADRATIC_FORM = Function(
    "quadratic_form",
    quadratic_form,
    draw(1, (4,), (4, 4)),
    (quadratic_form_vjp, quadratic_form_vjp_einsum),
    (
        Wrong(
            "symmetric matrix assumed",
            lambda g, x, a: (2 * g * a @ x, g * np.outer(x, x)),
            "transpose",
            "The rule is that of a symmetric matrix: 2 A x instead of (A + A.T) x.",
            ("missing transposed term", "assumes symmetric A", "not symmetrised", "a + a.T"),
            "x @ a @ x",
        ),
        Wrong(
            "one of two factors",
            lambda g, x, a: (g * a @ x, g * np.outer(x, x)),
            "missing-term",
            "Only the left x is differentiated.",
            ("product rule", "only-part", "missing a.T @ x", "factor 2"),
            "x @ a @ x",
        ),
        Wrong(
            "no incoming gradient",
            lambda g, x, a: ((a + a.T) @ x, g * np.outer(x, x)),
            "missing-factor",
            "The incoming gradient g is missing from the gradient of x.",
            ("g forgotten", "factor", "not multiplied by g", "dx wrong"),
        ),
        Wrong(
            "matrix by squares",
            lambda g, x, a: (quadratic_form_vjp(g, x, a)[0], g * np.diag(x**2)),
            "elementwise",
            "The matrix's gradient has only the diagonal of the outer product.",
            ("off-diagonal terms missing", "diag(x**2) instead of outer(x, x)", "da wrong", "only-part"),
            "x @ a @ x",
        ),
        Wrong(
            "matrix doubled",
            lambda g, x, a: (quadratic_form_vjp(g, x, a)[0], 2 * g * np.outer(x, x)),
            "factor",
            "The matrix's gradient has a factor 2 too many.",
            ("factor 2", "da doubled", "second input wrong"),
            "x @ a @ x",
        ),
    ),
)

# --- bilinear scores of a batch


def bilinear(x, w, z):
    return np.einsum("ni,ij,nj->n", x, w, z)


def bilinear_vjp(g, x, w, z):
    return g[:, None] * (z @ w.T), (g[:, None] * x).T @ z, g[:, None] * (x @ w)


def bilinear_vjp_loop(g, x, w, z):
    dx = np.stack([gn * w @ zn for gn, zn in zip(g, z, strict=True)])
    dz = np.stack([gn * w.T @ xn for gn, xn in zip(g, x, strict=True)])
    return dx, sum(gn * np.outer(xn, zn) for gn, xn, zn in zip(g, x, z, strict=True)), dz


BILINEAR = Function(
    "bilinear",
    bilinear,
    draw(2, (4, 3), (3, 3), (4, 3)),
    (bilinear_vjp, bilinear_vjp_loop),
    (
        Wrong(
            "first without transpose",
            lambda g, x, w, z: (g[:, None] * (z @ w), *bilinear_vjp(g, x, w, z)[1:]),
            "transpose",
            "The gradient of x uses w instead of its transpose.",
            ("missing transpose", "w.T", "dx wrong"),
            'np.einsum("ni,ij,nj->n", x, w, z)',
        ),
        Wrong(
            "weights transposed",
            lambda g, x, w, z: (
                bilinear_vjp(g, x, w, z)[0],
                bilinear_vjp(g, x, w, z)[1].T,
                bilinear_vjp(g, x, w, z)[2],
            ),
            "transpose",
            "The weights' gradient is transposed: outer(z, x) instead of outer(x, z).",
            ("dw transposed", "second input transposed", "x and z exchanged"),
            'np.einsum("ni,ij,nj->n", x, w, z)',
        ),
        Wrong(
            "weights by a mean",
            lambda g, x, w, z: (
                bilinear_vjp(g, x, w, z)[0],
                bilinear_vjp(g, x, w, z)[1] / len(x),
                bilinear_vjp(g, x, w, z)[2],
            ),
            "mean-for-sum",
            "The weights' gradient is a mean over the batch instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dw averaged"),
            'np.einsum("ni,ij,nj->n", x, w, z)',
        ),
        Wrong(
            "exchanged",
            lambda g, x, w, z: bilinear_vjp(g, x, w, z)[::-1],
            "swapped",
            "The gradients of x and z are exchanged.",
            ("dx and dz in the wrong order", "first and third gradient swapped", "wrong-order"),
        ),
        Wrong(
            "weights without the incoming gradient",
            lambda g, x, w, z: (bilinear_vjp(g, x, w, z)[0], x.T @ z, bilinear_vjp(g, x, w, z)[2]),
            "missing-factor",
            "The incoming gradient g is missing from the weights' gradient.",
            ("g forgotten", "not weighted by g", "dw wrong"),
        ),
        Wrong(
            "weights from one side",
            lambda g, x, w, z: (
                bilinear_vjp(g, x, w, z)[0],
                (g[:, None] * x).T @ x,
                bilinear_vjp(g, x, w, z)[2],
            ),
            "wrong-variable",
            "The weights' gradient uses x on both sides instead of x and z.",
            ("x instead of z", "dw wrong", "second input wrong"),
            'np.einsum("ni,ij,nj->n", x, w, z)',
        ),
    ),
)

# --- trace of a product


def trace_product(a, b):
    return np.trace(a @ b @ a)


def trace_product_vjp(g, a, b):
    return g * (a @ b + b @ a).T, g * (a @ a).T


def trace_product_vjp_einsum(g, a, b):
    da = np.einsum("jk,ki->ij", b, a) + np.einsum("jk,ki->ij", a, b)
    return g * da, g * np.einsum("ki,jk->ij", a, a)


TRACE_PRODUCT = Function(
    "trace_product",
    trace_product,
    draw(3, (3, 3), (3, 3)),
    (trace_product_vjp, trace_product_vjp_einsum),
    (
        Wrong(
            "not transposed",
            lambda g, a, b: (g * (a @ b + b @ a), g * (a @ a)),
            "transpose",
            "The gradients of the trace are not transposed.",
            ("missing transpose", "derivative of trace(A B) is B.T"),
            "np.trace(a @ b @ a)",
        ),
        Wrong(
            "one of two factors",
            lambda g, a, b: (g * (b @ a).T, g * (a @ a).T),
            "missing-term",
            "Only the first a is differentiated.",
            ("product rule", "only-part", "second occurrence of a missing", "da wrong"),
            "a @ b @ a",
        ),
        Wrong(
            "first factor doubled",
            lambda g, a, b: (2 * g * (b @ a).T, g * (a @ a).T),
            "transpose",
            "The two occurrences of a are treated as alike, as if a and b commuted.",
            ("assumes commuting matrices", "2 b a instead of a b + b a", "wrong-order", "missing-term"),
            "a @ b @ a",
        ),
        Wrong(
            "square taken elementwise",
            lambda g, a, b: (g * (a.T @ b.T + b.T @ a.T), g * a.T * a.T),
            "elementwise",
            "The gradient of b multiplies the entries of a instead of the matrices.",
            ("elementwise product instead of matrix product", "a.T * a.T", "db wrong", "second input wrong"),
            "a @ b @ a",
        ),
        Wrong(
            "middle doubled",
            lambda g, a, b: (trace_product_vjp(g, a, b)[0], 2 * g * (a @ a).T),
            "factor",
            "The gradient of b has a factor 2 too many, though b occurs once.",
            ("factor 2", "db doubled", "second input wrong"),
            "a @ b @ a",
        ),
    ),
)

# --- logarithm of the determinant of 2 by 2 matrices


def log_det(m):
    a, b = m[:, 0, 0], m[:, 0, 1]
    c, d = m[:, 1, 0], m[:, 1, 1]
    return np.log(a * d - b * c)


def log_det_vjp(g, m):
    return g[:, None, None] * np.linalg.inv(m).swapaxes(1, 2)


def log_det_vjp_entries(g, m):
    (a, b), (c, d) = m.transpose(1, 2, 0)
    s = g / (a * d - b * c)
    return np.array([[s * d, -s * c], [-s * b, s * a]]).transpose(2, 0, 1)


LOG_DET = Function(
    "log_det",
    log_det,
    (np.stack([solid(4, 2), solid(5, 2), solid(6, 2)]),),
    (log_det_vjp, log_det_vjp_entries),
    (
        Wrong(
            "inverse not transposed",
            lambda g, m: g[:, None, None] * np.linalg.inv(m),
            "transpose",
            "The inverse is not transposed: b and c are exchanged.",
            ("missing transpose", "inv instead of inv.T", "b and c exchanged"),
            "np.log(a * d - b * c)",
        ),
        Wrong(
            "not divided by the determinant",
            lambda g, m: g[:, None, None] * np.linalg.inv(m).swapaxes(1, 2) * np.linalg.det(m)[:, None, None],
            "missing-inner-derivative",
            "The logarithm is not differentiated: the determinant's own gradient.",
            ("missing 1/det", "log not differentiated", "cofactors", "missing-factor"),
            "np.log(a * d - b * c)",
        ),
        Wrong(
            "other diagonal positive",
            lambda g, m: log_det_vjp(g, m) * np.array([[1, -1], [-1, 1]]),
            "sign-in-term",
            "The entries b and c have the wrong sign: the minus of -bc is forgotten.",
            ("sign of the off-diagonal", "minus of - b * c"),
            "a * d - b * c",
        ),
        Wrong(
            "diagonal alone",
            lambda g, m: log_det_vjp(g, m) * np.eye(2),
            "missing-term",
            "The term -bc is not differentiated: only the diagonal gets a gradient.",
            ("only-part", "off-diagonal missing", "product rule", "second product missing"),
            "a * d - b * c",
        ),
        Wrong(
            "diagonal exchanged",
            lambda g, m: log_det_vjp(g, m)[:, ::-1, ::-1].swapaxes(1, 2),
            "swapped",
            "The diagonal entries are exchanged: a gets a instead of d.",
            ("a and d exchanged", "wrong-variable", "m.T/det instead of the inverse"),
            "a * d - b * c",
        ),
        Wrong(
            "matrix for its inverse",
            lambda g, m: g[:, None, None] * m.swapaxes(1, 2),
            "inverse",
            "The matrix itself stands where its inverse should.",
            ("not inverted", "wrong-variable", "m.T instead of inv(m).T"),
            "np.log(a * d - b * c)",
        ),
    ),
)

# --- inverse


def inverse(a):
    return np.linalg.inv(a)


def inverse_vjp(g, a):
    y = np.linalg.inv(a)
    return -y.T @ g @ y.T


def inverse_vjp_solve(g, a):
    return -np.linalg.solve(a.T, np.linalg.solve(a, g.T).T)


INVERSE = Function(
    "inverse",
    inverse,
    (solid(7, 3),),
    (inverse_vjp, inverse_vjp_solve),
    (
        Wrong(
            "not transposed",
            lambda g, a: -inverse(a) @ g @ inverse(a),
            "transpose",
            "The inverses are not transposed.",
            ("missing transpose", "y instead of y.T"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "no minus",
            lambda g, a: inverse(a).T @ g @ inverse(a).T,
            "sign",
            "The minus is missing.",
            ("sign", "wrong sign"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "one side",
            lambda g, a: -g @ inverse(a).T @ inverse(a).T,
            "wrong-order",
            "Both inverses stand on the same side of g, as if the matrices commuted.",
            ("assumes commuting matrices", "order of the product", "transpose", "y.T @ y.T on one side"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "elementwise",
            lambda g, a: -g * inverse(a) ** 2,
            "elementwise",
            "The inverse is differentiated elementwise, like 1/x.",
            ("-1/x**2", "elementwise product", "off-diagonal terms missing"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "gradient transposed",
            lambda g, a: -inverse(a).T @ g.T @ inverse(a).T,
            "transpose",
            "The incoming gradient is transposed.",
            ("g.T instead of g", "extra transpose"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "one inverse",
            lambda g, a: -inverse(a).T @ g,
            "missing-factor",
            "The inverse on the right is missing.",
            ("only one of two inverses", "missing y.T", "wrong-power"),
            "np.linalg.inv(a)",
        ),
    ),
)

# --- solution of a linear system


def solution(a, b):
    return np.linalg.solve(a, b)


def solution_vjp(g, a, b):
    db = np.linalg.solve(a.T, g)
    return -np.outer(db, solution(a, b)), db


def solution_vjp_inverse(g, a, b):
    inv = np.linalg.inv(a)
    return -inv.T @ np.outer(g, b) @ inv.T, g @ inv


SOLUTION = Function(
    "solution",
    solution,
    (solid(8, 3), draw(8, (3,))[0]),
    (solution_vjp, solution_vjp_inverse),
    (
        Wrong(
            "not transposed",
            lambda g, a, b: (-np.outer(np.linalg.solve(a, g), solution(a, b)), np.linalg.solve(a, g)),
            "transpose",
            "The system of the backward pass is not transposed.",
            ("a instead of a.T", "missing transpose", "inverse not transposed"),
            "np.linalg.solve(a, b)",
        ),
        Wrong(
            "matrix positive",
            lambda g, a, b: (-solution_vjp(g, a, b)[0], solution_vjp(g, a, b)[1]),
            "sign",
            "The matrix's gradient has the wrong sign.",
            ("minus forgotten", "sign of da", "first input has the wrong sign"),
            "np.linalg.solve(a, b)",
        ),
        Wrong(
            "matrix transposed",
            lambda g, a, b: (solution_vjp(g, a, b)[0].T, solution_vjp(g, a, b)[1]),
            "transpose",
            "The matrix's gradient is transposed: outer(x, db) instead of outer(db, x).",
            ("order of the outer product", "da transposed"),
            "np.linalg.solve(a, b)",
        ),
        Wrong(
            "matrix by the right side",
            lambda g, a, b: (-np.outer(solution_vjp(g, a, b)[1], b), solution_vjp(g, a, b)[1]),
            "wrong-variable",
            "The matrix's gradient uses b instead of the solution.",
            ("b instead of x", "wrong-point", "input instead of output", "da wrong"),
            "np.linalg.solve(a, b)",
        ),
        Wrong(
            "matrix by the raw gradient",
            lambda g, a, b: (-np.outer(g, solution(a, b)), solution_vjp(g, a, b)[1]),
            "missing-factor",
            "The matrix's gradient uses g instead of the solved gradient.",
            ("g instead of db", "missing inverse", "wrong-variable", "da wrong"),
            "np.linalg.solve(a, b)",
        ),
        Wrong(
            "multiplied for solved",
            lambda g, a, b: (solution_vjp(g, a, b)[0], a.T @ g),
            "inverse",
            "The right side's gradient is multiplied by the transposed matrix instead of solved with it.",
            ("not inverted", "a.T @ g instead of solve", "db wrong", "second input wrong"),
            "np.linalg.solve(a, b)",
        ),
    ),
)

# --- projection onto a direction


def projection(b, a):
    share = (a @ b) / (a @ a)
    return share * a


def projection_vjp(g, b, a):
    n, share = a @ a, a @ b / (a @ a)
    return a * (a @ g) / n, share * g + (a @ g) * (b - 2 * share * a) / n


def projection_vjp_steps(g, b, a):
    n, d = a @ a, a @ b
    dshare = g @ a
    da = g * d / n + dshare * b / n - dshare * d / n**2 * 2 * a
    return dshare / n * a, da


def projection_da(da):
    def vjp(g, b, a):
        return projection_vjp(g, b, a)[0], da(g, b, a, a @ a, a @ b / (a @ a))

    return vjp


PROJECTION = Function(
    "projection",
    projection,
    draw(9, (4,), (4,)),
    (projection_vjp, projection_vjp_steps),
    (
        Wrong(
            "share constant",
            projection_da(lambda g, b, a, n, s: s * g),
            "detached",
            "The coefficient is treated as a constant in the direction's gradient.",
            ("missing-term", "product rule", "share not differentiated", "da wrong"),
            "share = (a @ b) / (a @ a)",
        ),
        Wrong(
            "length constant",
            projection_da(lambda g, b, a, n, s: s * g + (a @ g) * b / n),
            "missing-term",
            "The squared length in the denominator is treated as a constant.",
            ("quotient rule", "detached", "denominator not differentiated", "da wrong"),
            "(a @ b) / (a @ a)",
        ),
        Wrong(
            "no two",
            projection_da(lambda g, b, a, n, s: s * g + (a @ g) * (b - s * a) / n),
            "factor-in-term",
            "The 2 of the squared length is missing.",
            ("factor 2 in the denominator's term", "derivative of a @ a"),
            "(a @ a)",
        ),
        Wrong(
            "only the share",
            projection_da(lambda g, b, a, n, s: (a @ g) * (b - 2 * s * a) / n),
            "missing-term",
            "The final factor a is not differentiated.",
            ("product rule", "only-part", "missing share * g", "da wrong"),
            "return share * a",
        ),
        Wrong(
            "not divided by the length",
            lambda g, b, a: (a * (a @ g), projection_vjp(g, b, a)[1]),
            "missing-factor",
            "The gradient of b is not divided by the squared length of a.",
            ("missing 1/(a @ a)", "db wrong", "first input wrong", "not normalised"),
            "(a @ b) / (a @ a)",
        ),
        Wrong(
            "b unprojected",
            lambda g, b, a: (g, projection_vjp(g, b, a)[1]),
            "missing-factor",
            "The gradient of b is g itself, not projected onto a.",
            ("projection missing", "identity instead of projection", "db wrong"),
            "share * a",
        ),
    ),
)

# --- running sum of squares


def running_power(x):
    return np.cumsum(x**2, axis=1)


def running_power_vjp(g, x):
    return 2 * x * np.cumsum(g[:, ::-1], axis=1)[:, ::-1]


def running_power_vjp_matrix(g, x):
    n = x.shape[1]
    return 2 * x * (g @ np.tril(np.ones((n, n))))


RUNNING_POWER = Function(
    "running_power",
    running_power,
    draw(10, (4, 4)),
    (running_power_vjp, running_power_vjp_matrix),
    (
        Wrong(
            "same direction",
            lambda g, x: 2 * x * np.cumsum(g, axis=1),
            "wrong-order",
            "The gradient is summed from the start instead of from the end.",
            ("transpose", "not reversed", "cumsum in the wrong direction"),
            "np.cumsum(x**2, axis=1)",
        ),
        Wrong(
            "no sum",
            lambda g, x: 2 * x * g,
            "missing-sum",
            "The later outputs are forgotten: each x only gets the gradient of its own position.",
            ("elementwise", "only-part", "missing-term", "cumsum not differentiated"),
            "np.cumsum(x**2, axis=1)",
        ),
        Wrong(
            "one too far",
            lambda g, x: 2 * x * (running_power_vjp_matrix(g, np.full(x.shape, 0.5)) - g),
            "shift",
            "The sum starts one position too late: the own output is left out.",
            ("off by one", "exclusive instead of inclusive sum", "own position missing"),
            "np.cumsum(x**2, axis=1)",
        ),
        Wrong(
            "along the other axis",
            lambda g, x: 2 * x * np.cumsum(g[::-1], axis=0)[::-1],
            "wrong-axis",
            "The gradient is summed along the other axis.",
            ("axis 0 instead of axis 1", "cumsum over the wrong axis"),
            "np.cumsum(x**2, axis=1)",
        ),
        Wrong(
            "square not differentiated",
            lambda g, x: np.cumsum(g[:, ::-1], axis=1)[:, ::-1],
            "missing-inner-derivative",
            "The square is not differentiated.",
            ("missing 2 x", "chain rule", "missing-factor"),
            "x**2",
        ),
        Wrong(
            "never reversed back",
            lambda g, x: 2 * x * np.cumsum(g[:, ::-1], axis=1),
            "wrong-order",
            "The reversed sum is not turned back.",
            ("flipped", "missing second reversal", "reversed"),
            "np.cumsum(x**2, axis=1)",
        ),
    ),
)

# --- moving filter (a correlation, valid part)


def moving_filter(x, w):
    k = len(w)
    windows = np.stack([x[t : t + k] for t in range(len(x) - k + 1)])
    return windows @ w


def moving_filter_vjp(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for t, value in enumerate(g):
        dx[t : t + len(w)] += value * w
        dw += value * x[t : t + len(w)]
    return dx, dw


def moving_filter_vjp_numpy(g, x, w):
    return np.convolve(g, w), np.correlate(x, g, "valid")


MOVING_FILTER = Function(
    "moving_filter",
    moving_filter,
    draw(11, (7,), (3,)),
    (moving_filter_vjp, moving_filter_vjp_numpy),
    (
        Wrong(
            "signal by a correlation",
            lambda g, x, w: (np.convolve(g, w[::-1]), moving_filter_vjp(g, x, w)[1]),
            "wrong-order",
            "The filter is flipped in the signal's gradient: a correlation where a convolution should be.",
            ("flipped", "filter reversed", "transpose", "convolution and correlation exchanged", "dx wrong"),
            "windows @ w",
        ),
        Wrong(
            "filter flipped",
            lambda g, x, w: (np.convolve(g, w), np.correlate(x, g, "valid")[::-1]),
            "wrong-order",
            "The filter's gradient is reversed.",
            ("flipped", "reversed", "dw flipped", "convolution and correlation exchanged"),
            "windows @ w",
        ),
        Wrong(
            "filter shifted",
            lambda g, x, w: (np.convolve(g, w), np.correlate(np.append(x[1:], 0), g, "valid")),
            "shift",
            "The filter's gradient reads the signal one position too late.",
            ("off by one", "shifted by one", "dw wrong", "wrong-index"),
            "x[t : t + k]",
        ),
        Wrong(
            "signal shifted",
            lambda g, x, w: (np.roll(np.convolve(g, w), 1), moving_filter_vjp(g, x, w)[1]),
            "shift",
            "The signal's gradient is shifted by one position.",
            ("off by one", "shifted by one", "dx wrong", "rolled"),
            "x[t : t + k]",
        ),
        Wrong(
            "centred",
            lambda g, x, w: (np.pad(g, 1) * w[1], moving_filter_vjp(g, x, w)[1]),
            "only-part",
            "Only the middle tap of the filter is used in the signal's gradient.",
            ("missing-term", "missing-sum", "other taps missing", "dx wrong"),
            "windows @ w",
        ),
        Wrong(
            "filter by a mean",
            lambda g, x, w: (np.convolve(g, w), np.correlate(x, g, "valid") / len(g)),
            "mean-for-sum",
            "The filter's gradient is a mean over the positions instead of a sum.",
            ("factor", "factor 1/n", "factor 1/5", "dw averaged"),
            "windows @ w",
        ),
    ),
)

# --- correlation coefficient


def pearson(x, y):
    a, b = x - x.mean(), y - y.mean()
    return (a @ b) / np.sqrt((a @ a) * (b @ b))


def pearson_parts(x, y):
    a, b = x - x.mean(), y - y.mean()
    return a, b, a @ a, b @ b, pearson(x, y)


def pearson_vjp(g, x, y):
    a, b, aa, bb, r = pearson_parts(x, y)
    return g * (b / np.sqrt(aa * bb) - r * a / aa), g * (a / np.sqrt(aa * bb) - r * b / bb)


def pearson_vjp_units(g, x, y):
    a, b = x - x.mean(), y - y.mean()
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return g * (v - (u @ v) * u) / np.linalg.norm(a), g * (u - (u @ v) * v) / np.linalg.norm(b)


def pearson_from(side):
    def vjp(g, x, y):
        a, b, aa, bb, r = pearson_parts(x, y)
        return g * side(x, y, a, b, aa, bb, r), g * side(y, x, b, a, bb, aa, r)

    return vjp


PEARSON = Function(
    "pearson",
    pearson,
    draw(12, (5,), (5,), shift=0.7),
    (pearson_vjp, pearson_vjp_units),
    (
        Wrong(
            "deviations constant",
            pearson_from(lambda x, y, a, b, aa, bb, r: b / np.sqrt(aa * bb)),
            "detached",
            "The standard deviations in the denominator are treated as constants.",
            ("missing-term", "quotient rule", "denominator not differentiated"),
            "np.sqrt((a @ a) * (b @ b))",
        ),
        Wrong(
            "not centred",
            pearson_from(lambda x, y, a, b, aa, bb, r: y / np.sqrt(aa * bb) - r * x / aa),
            "wrong-variable",
            "The gradient uses the raw inputs instead of the centred ones.",
            ("means forgotten", "x instead of x - mean", "missing-term", "not centred"),
            "a, b = x - x.mean(), y - y.mean()",
        ),
        Wrong(
            "root without half",
            pearson_from(lambda x, y, a, b, aa, bb, r: b / np.sqrt(aa * bb) - 2 * r * a / aa),
            "factor-in-term",
            "The 1/2 of the square root's derivative is missing from the second term.",
            ("factor 2 in the second term", "derivative of sqrt"),
            "np.sqrt((a @ a) * (b @ b))",
        ),
        Wrong(
            "sign of the second term",
            pearson_from(lambda x, y, a, b, aa, bb, r: b / np.sqrt(aa * bb) + r * a / aa),
            "sign-in-term",
            "The denominator's term has the wrong sign.",
            ("quotient rule", "sign of the second term"),
            "(a @ b) / np.sqrt((a @ a) * (b @ b))",
        ),
        Wrong(
            "other side's variance",
            pearson_from(lambda x, y, a, b, aa, bb, r: b / np.sqrt(aa * bb) - r * a / bb),
            "wrong-variable",
            "The second term is divided by the other input's sum of squares.",
            ("b @ b instead of a @ a", "swapped", "wrong variance"),
            "np.sqrt((a @ a) * (b @ b))",
        ),
        Wrong(
            "exchanged",
            lambda g, x, y: pearson_vjp(g, x, y)[::-1],
            "swapped",
            "The gradients of x and y are exchanged.",
            ("dx and dy in the wrong order", "wrong-order"),
        ),
    ),
)

# --- third power of a matrix


def matrix_cube(a):
    return a @ a @ a


def matrix_cube_vjp(g, a):
    t = a.T
    return g @ t @ t + t @ g @ t + t @ t @ g


def matrix_cube_vjp_steps(g, a):
    square = a @ a
    dsquare = g @ a.T
    return square.T @ g + dsquare @ a.T + a.T @ dsquare


MATRIX_CUBE = Function(
    "matrix_cube",
    matrix_cube,
    draw(13, (3, 3)),
    (matrix_cube_vjp, matrix_cube_vjp_steps),
    (
        Wrong(
            "power rule of numbers",
            lambda g, a: 3 * g @ a.T @ a.T,
            "wrong-order",
            "The three terms are treated as alike, as if the matrices commuted: 3 g A.T A.T.",
            ("assumes commuting matrices", "scalar power rule", "product rule", "3 a**2", "missing-term"),
            "a @ a @ a",
        ),
        Wrong(
            "elementwise power rule",
            lambda g, a: 3 * g * (a @ a),
            "elementwise",
            "The power is differentiated elementwise: g times 3 A A.",
            ("elementwise product", "scalar power rule", "3 a**2"),
            "a @ a @ a",
        ),
        Wrong(
            "not transposed",
            lambda g, a: g @ a @ a + a @ g @ a + a @ a @ g,
            "transpose",
            "The matrices are not transposed.",
            ("missing transpose", "a instead of a.T"),
            "a @ a @ a",
        ),
        Wrong(
            "middle missing",
            lambda g, a: g @ a.T @ a.T + a.T @ a.T @ g,
            "missing-term",
            "The term of the middle factor is missing.",
            ("product rule", "only-part", "two of three terms"),
            "a @ a @ a",
        ),
        Wrong(
            "first factor alone",
            lambda g, a: g @ (a @ a).T,
            "missing-term",
            "Only the first factor is differentiated.",
            ("product rule", "only-part", "one of three terms"),
            "a @ a @ a",
        ),
        Wrong(
            "middle gradient transposed",
            lambda g, a: g @ a.T @ a.T + a.T @ g.T @ a.T + a.T @ a.T @ g,
            "transpose",
            "The incoming gradient is transposed in the middle term.",
            ("g.T instead of g in the middle term", "extra transpose"),
            "a @ a @ a",
        ),
    ),
)

# --- covariance of columns


def covariance(x):
    centred = x - x.mean(axis=0)
    return centred.T @ centred / (len(x) - 1)


def covariance_vjp(g, x):
    centred = x - x.mean(axis=0)
    return centred @ (g + g.T) / (len(x) - 1)


def covariance_vjp_steps(g, x):
    n = len(x)
    centring = np.eye(n) - 1 / n
    c = centring @ x
    dc = (c @ g.T + c @ g) / (n - 1)
    return centring.T @ dc


def covariance_from(dx):
    def vjp(g, x):
        return dx(g, x - x.mean(axis=0), x, len(x))

    return vjp


COVARIANCE = Function(
    "covariance",
    covariance,
    draw(14, (5, 3), shift=0.5),
    (covariance_vjp, covariance_vjp_steps),
    (
        Wrong(
            "one side",
            covariance_from(lambda g, c, x, n: c @ g.T / (n - 1)),
            "missing-term",
            "Only one of the two centred factors is differentiated.",
            ("product rule", "only-part", "missing transposed term", "not symmetrised"),
            "centred.T @ centred",
        ),
        Wrong(
            "symmetric gradient assumed",
            covariance_from(lambda g, c, x, n: 2 * c @ g / (n - 1)),
            "transpose",
            "Both factors get the same term, which needs a symmetric g: 2 C g instead of C (g + g.T).",
            ("assumes g symmetric", "missing transposed term", "not symmetrised"),
            "centred.T @ centred",
        ),
        Wrong(
            "divided by n",
            covariance_from(lambda g, c, x, n: c @ (g + g.T) / n),
            "factor",
            "The gradient is divided by n instead of n-1.",
            ("wrong-constant", "ddof", "factor 4/5", "factor (n-1)/n"),
            "/ (len(x) - 1)",
        ),
        Wrong(
            "not centred",
            covariance_from(lambda g, c, x, n: x @ (g + g.T) / (n - 1)),
            "wrong-variable",
            "The gradient uses the raw data instead of the centred.",
            ("mean forgotten", "x instead of centred", "not centred"),
            "centred = x - x.mean(axis=0)",
        ),
        Wrong(
            "not divided",
            covariance_from(lambda g, c, x, n: c @ (g + g.T)),
            "factor",
            "The 1/(n-1) is missing.",
            ("factor n-1", "factor 4", "sum-for-mean", "missing 1/(n-1)"),
            "/ (len(x) - 1)",
        ),
        Wrong(
            "centred along the rows",
            covariance_from(lambda g, c, x, n: (x - x.mean(axis=1, keepdims=True)) @ (g + g.T) / (n - 1)),
            "wrong-axis",
            "The data are centred along the rows instead of the columns.",
            ("axis 1 instead of axis 0", "mean over the wrong axis"),
            "x.mean(axis=0)",
        ),
    ),
)

# --- commutator of two matrices


def commutator(a, b):
    return a @ b - b @ a


def commutator_vjp(g, a, b):
    return g @ b.T - b.T @ g, a.T @ g - g @ a.T


def commutator_vjp_einsum(g, a, b):
    da = np.einsum("ij,kj->ik", g, b) - np.einsum("ij,ik->kj", g, b)
    db = np.einsum("ij,ik->kj", g, a) - np.einsum("ij,kj->ik", g, a)
    return da, db


COMMUTATOR = Function(
    "commutator",
    commutator,
    draw(15, (3, 3), (3, 3)),
    (commutator_vjp, commutator_vjp_einsum),
    (
        Wrong(
            "first product alone",
            lambda g, a, b: (g @ b.T, a.T @ g),
            "missing-term",
            "The second product, - b a, is not differentiated.",
            ("only-part", "second product missing", "only one of two uses"),
            "- b @ a",
        ),
        Wrong(
            "products added",
            lambda g, a, b: (g @ b.T + b.T @ g, a.T @ g + g @ a.T),
            "sign-in-term",
            "The second product's terms have the wrong sign, as for the anticommutator.",
            ("sign of the second term", "minus forgotten"),
            "a @ b - b @ a",
        ),
        Wrong(
            "not transposed",
            lambda g, a, b: (g @ b - b @ g, a @ g - g @ a),
            "transpose",
            "The matrices are not transposed.",
            ("missing transpose", "b instead of b.T"),
            "a @ b",
        ),
        Wrong(
            "second's sign",
            lambda g, a, b: (commutator_vjp(g, a, b)[0], -commutator_vjp(g, a, b)[1]),
            "sign",
            "The gradient of b has the wrong sign.",
            ("db has the wrong sign", "second input has the wrong sign", "terms exchanged"),
            "a @ b - b @ a",
        ),
        Wrong(
            "exchanged",
            lambda g, a, b: commutator_vjp(g, a, b)[::-1],
            "swapped",
            "The gradients of a and b are exchanged.",
            ("da and db in the wrong order", "wrong-order"),
        ),
    ),
)

# --- quadratic form with the inverse


def inverse_form(a, b):
    return b @ np.linalg.inv(a) @ b


def inverse_form_vjp(g, a, b):
    inv = np.linalg.inv(a)
    return -g * np.outer(inv.T @ b, inv @ b), g * (inv + inv.T) @ b


def inverse_form_vjp_solve(g, a, b):
    left, right = np.linalg.solve(a.T, b), np.linalg.solve(a, b)
    return -g * left[:, None] * right, g * (left + right)


INVERSE_FORM = Function(
    "inverse_form",
    inverse_form,
    (solid(16, 3), draw(16, (3,))[0]),
    (inverse_form_vjp, inverse_form_vjp_solve),
    (
        Wrong(
            "matrix positive",
            lambda g, a, b: (-inverse_form_vjp(g, a, b)[0], inverse_form_vjp(g, a, b)[1]),
            "sign",
            "The matrix's gradient has the wrong sign.",
            ("minus of the inverse forgotten", "sign of da", "first input has the wrong sign"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "matrix transposed",
            lambda g, a, b: (inverse_form_vjp(g, a, b)[0].T, inverse_form_vjp(g, a, b)[1]),
            "transpose",
            "The matrix's gradient is transposed.",
            ("inverse not transposed", "order of the outer product", "da transposed"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "symmetric inverse assumed",
            lambda g, a, b: (inverse_form_vjp(g, a, b)[0], 2 * g * np.linalg.solve(a, b)),
            "transpose",
            "The vector's gradient is that of a symmetric matrix: 2 inv(A) b.",
            ("assumes symmetric A", "missing transposed term", "not symmetrised", "db wrong"),
            "b @ np.linalg.inv(a) @ b",
        ),
        Wrong(
            "outer product of the vector",
            lambda g, a, b: (-g * np.outer(b, b), inverse_form_vjp(g, a, b)[1]),
            "missing-factor",
            "The matrix's gradient uses b instead of inv(A) b on both sides.",
            ("missing inverses", "wrong-variable", "not multiplied by the inverse", "as for b A b", "da wrong"),
            "np.linalg.inv(a)",
        ),
        Wrong(
            "one of two factors",
            lambda g, a, b: (inverse_form_vjp(g, a, b)[0], g * np.linalg.solve(a, b)),
            "missing-term",
            "Only one of the two factors b is differentiated.",
            ("product rule", "only-part", "missing transposed term", "db wrong", "factor 2"),
            "b @ np.linalg.inv(a) @ b",
        ),
    ),
)

FUNCTIONS = (
    QUADRATIC_FORM,
    BILINEAR,
    TRACE_PRODUCT,
    LOG_DET,
    INVERSE,
    SOLUTION,
    PROJECTION,
    RUNNING_POWER,
    MOVING_FILTER,
    PEARSON,
    MATRIX_CUBE,
    COVARIANCE,
    COMMUTATOR,
    INVERSE_FORM,
)
