"""Whole Jacobians: a rule returns the matrix ∂output/∂input, shape output + input."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw

# --- softmax with a temperature

HEAT = 0.7


def tempered(x):
    e = np.exp(x / HEAT)
    return e / e.sum()


def tempered_jacobian(x):
    p = tempered(x)
    return (np.diag(p) - np.outer(p, p)) / HEAT


def tempered_jacobian_loop(x):
    e = np.exp(x / HEAT)
    z = e.sum()
    out = np.empty((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            out[i, j] = ((i == j) * e[i] * z - e[i] * e[j]) / (HEAT * z**2)
    return out


TEMPERED = Function(
    "tempered_softmax_jacobian",
    tempered,
    draw(1, (4,)),
    (tempered_jacobian, tempered_jacobian_loop),
    (
        Wrong(
            "diagonal",
            lambda x: np.diag(tempered(x) * (1 - tempered(x))) / HEAT,
            "elementwise",
            "Only the diagonal p (1-p) is there: the off-diagonal entries are missing.",
            ("off-diagonal terms missing", "softmax treated elementwise", "missing-term", "like a sigmoid"),
            "e / e.sum()",
        ),
        Wrong(
            "no temperature",
            lambda x: np.diag(tempered(x)) - np.outer(tempered(x), tempered(x)),
            "factor",
            "The inner derivative 1/temperature is missing.",
            ("missing-inner-derivative", "factor 1/T", "factor 0.7", "temperature forgotten"),
            "e = np.exp(x / HEAT)",
        ),
        Wrong(
            "outer product added",
            lambda x: (np.diag(tempered(x)) + np.outer(tempered(x), tempered(x))) / HEAT,
            "sign-in-term",
            "The outer product has the wrong sign.",
            ("quotient rule", "sign of the second term", "sign of the off-diagonal"),
            "e / e.sum()",
        ),
        Wrong(
            "normaliser constant",
            lambda x: np.diag(tempered(x)) / HEAT,
            "detached",
            "The normaliser is treated as a constant.",
            ("missing-term", "outer product missing", "quotient rule", "elementwise"),
            "e.sum()",
        ),
        Wrong(
            "outer product once weighted",
            lambda x: (np.diag(tempered(x)) - np.outer(tempered(x), np.ones(len(x)) / len(x))) / HEAT,
            "missing-factor",
            "The second term has 1/n where the second probability p_j should be.",
            ("wrong-variable", "p_j missing", "mean instead of p", "off-diagonal wrong"),
            "e.sum()",
        ),
    ),
    check="jacobian",
)

# --- spherical to Cartesian coordinates


def spherical(c):
    r, theta, phi = c
    x = r * np.sin(theta) * np.cos(phi)
    y = r * np.sin(theta) * np.sin(phi)
    z = r * np.cos(theta)
    return np.array([x, y, z])


def spherical_jacobian(c):
    r, t, p = c
    return np.array(
        [
            [np.sin(t) * np.cos(p), r * np.cos(t) * np.cos(p), -r * np.sin(t) * np.sin(p)],
            [np.sin(t) * np.sin(p), r * np.cos(t) * np.sin(p), r * np.sin(t) * np.cos(p)],
            [np.cos(t), -r * np.sin(t), 0],
        ]
    )


def spherical_jacobian_frame(c):
    r, t, p = c
    radial = np.array([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)])
    polar = np.array([np.cos(t) * np.cos(p), np.cos(t) * np.sin(p), -np.sin(t)])
    azimuth = np.array([-np.sin(p), np.cos(p), 0])
    return np.stack([radial, r * polar, r * np.sin(t) * azimuth], axis=1)


def spherical_with(i, j, entry):
    def jacobian(c):
        out = spherical_jacobian(c)
        out[i, j] = entry(*c)
        return out

    return jacobian


SPHERICAL = Function(
    "spherical_jacobian",
    spherical,
    (np.array([1.7, 0.8, 2.3]),),
    (spherical_jacobian, spherical_jacobian_frame),
    (
        Wrong(
            "transposed",
            lambda c: spherical_jacobian(c).T,
            "transpose",
            "The Jacobian is transposed: rows are inputs.",
            ("rows and columns exchanged", "gradient layout"),
        ),
        Wrong(
            "cosine's minus in x",
            spherical_with(0, 2, lambda r, t, p: r * np.sin(t) * np.sin(p)),
            "sign-in-term",
            "The entry dx/dphi has the wrong sign: the minus of the cosine's derivative is forgotten.",
            ("derivative of cos", "one entry has the wrong sign", "entry 0, 2"),
            "x = r * np.sin(theta) * np.cos(phi)",
        ),
        Wrong(
            "radius missing",
            lambda c: spherical_jacobian_frame(np.array([1.0, *c[1:]])),
            "missing-factor",
            "The radius is missing from the columns of both angles.",
            ("missing r", "unit vectors without r", "angles' columns wrong", "second and third column"),
            "r * np.sin(theta)",
        ),
        Wrong(
            "azimuth without the sine",
            lambda c: spherical_jacobian(c) / np.array([1, 1, np.sin(c[1])]),
            "missing-factor",
            "The factor sin(theta) is missing from the azimuth's column.",
            ("missing sin(theta)", "third column wrong", "dphi wrong"),
            "np.sin(theta) * np.cos(phi)",
        ),
        Wrong(
            "height's cosine kept",
            spherical_with(2, 1, lambda r, t, p: r * np.cos(t)),
            "wrong-derivative",
            "The entry dz/dtheta has the cosine instead of minus the sine.",
            ("derivative of cos", "one entry wrong", "entry 2, 1"),
            "z = r * np.cos(theta)",
        ),
    ),
    check="jacobian",
)

# --- an arm of two links

L1, L2 = 1.2, 0.8


def arm(q):
    x = L1 * np.cos(q[0]) + L2 * np.cos(q[0] + q[1])
    y = L1 * np.sin(q[0]) + L2 * np.sin(q[0] + q[1])
    return np.stack([x, y])


def arm_jacobian(q):
    s1, c1 = L1 * np.sin(q[0]), L1 * np.cos(q[0])
    s12, c12 = L2 * np.sin(q[0] + q[1]), L2 * np.cos(q[0] + q[1])
    return np.array([[-s1 - s12, -s12], [c1 + c12, c12]])


def arm_jacobian_turned(q):
    hand = arm(q)
    elbow = L1 * np.array([np.cos(q[0]), np.sin(q[0])])
    turn = np.array([[0, -1], [1, 0]])
    return np.stack([turn @ hand, turn @ (hand - elbow)], axis=1)


def arm_from(entries):
    def jacobian(q):
        s1, c1 = L1 * np.sin(q[0]), L1 * np.cos(q[0])
        return np.array(entries(s1, c1, L2 * np.sin(q[0] + q[1]), L2 * np.cos(q[0] + q[1])))

    return jacobian


ARM = Function(
    "arm_jacobian",
    arm,
    (np.array([0.6, 1.1]),),
    (arm_jacobian, arm_jacobian_turned),
    (
        Wrong(
            "shoulder moves the first link alone",
            arm_from(lambda s1, c1, s12, c12: [[-s1, -s12], [c1, c12]]),
            "missing-term",
            "The shoulder's column leaves out the second link, which turns with it.",
            ("only-part", "second link missing in the first column", "q[0] in q[0] + q[1] not differentiated"),
            "np.cos(q[0] + q[1])",
        ),
        Wrong(
            "elbow moves both links",
            arm_from(lambda s1, c1, s12, c12: [[-s1 - s12, -s1 - s12], [c1 + c12, c1 + c12]]),
            "extra-term",
            "The elbow's column has the first link as well, which does not depend on it.",
            ("first link in the second column", "columns equal", "extra term"),
            "L1 * np.cos(q[0])",
        ),
        Wrong(
            "columns exchanged",
            arm_from(lambda s1, c1, s12, c12: [[-s12, -s1 - s12], [c12, c1 + c12]]),
            "swapped",
            "The columns of the two joints are exchanged.",
            ("columns swapped", "wrong-order", "joints exchanged"),
        ),
        Wrong(
            "transposed",
            lambda q: arm_jacobian(q).T,
            "transpose",
            "The Jacobian is transposed.",
            ("rows and columns exchanged", "gradient layout"),
        ),
        Wrong(
            "sine's row positive",
            arm_from(lambda s1, c1, s12, c12: [[s1 + s12, s12], [c1 + c12, c12]]),
            "sign-in-term",
            "The row of x has the wrong sign: the minus of the cosine's derivative is forgotten.",
            ("derivative of cos", "first row has the wrong sign"),
            "x = L1 * np.cos(q[0])",
        ),
        Wrong(
            "relative angle alone",
            lambda q: np.array(
                [
                    [-L1 * np.sin(q[0]) - L2 * np.sin(q[1]), -L2 * np.sin(q[1])],
                    [L1 * np.cos(q[0]) + L2 * np.cos(q[1]), L2 * np.cos(q[1])],
                ]
            ),
            "wrong-point",
            "The second link's derivatives are taken at the elbow's own angle instead of the sum of the angles.",
            ("q[1] instead of q[0] + q[1]", "wrong-variable", "angle not accumulated"),
            "np.cos(q[0] + q[1])",
        ),
    ),
    check="jacobian",
)

# --- Lorenz's equations

SIGMA, RHO, LORENZ_BETA = 10.0, 28.0, 8 / 3


def lorenz(state):
    x, y, z = state
    dx = SIGMA * (y - x)
    dy = x * (RHO - z) - y
    dz = x * y - LORENZ_BETA * z
    return np.stack([dx, dy, dz])


def lorenz_jacobian(state):
    x, y, z = state
    return np.array([[-SIGMA, SIGMA, 0], [RHO - z, -1, -x], [y, x, -LORENZ_BETA]])


def lorenz_jacobian_sum(state):
    x, y, z = state
    linear = np.array([[-SIGMA, SIGMA, 0], [RHO, -1, 0], [0, 0, -LORENZ_BETA]])
    return linear + np.array([[0, 0, 0], [-z, 0, -x], [y, x, 0]])


def lorenz_with(*entries):
    def jacobian(state):
        out = lorenz_jacobian(state)
        for i, j, entry in entries:
            out[i, j] = entry(*state)
        return out

    return jacobian


LORENZ = Function(
    "lorenz_jacobian",
    lorenz,
    (np.array([2.0, -1.5, 17.0]),),
    (lorenz_jacobian, lorenz_jacobian_sum),
    (
        Wrong(
            "products forgotten",
            lorenz_with((1, 2, lambda x, y, z: 0), (2, 0, lambda x, y, z: 0)),
            "missing-term",
            "Each product is differentiated in one factor only: the entries -x and y are missing.",
            ("product rule", "only-part", "missing entries (1, 2) and (2, 0)"),
            "dz = x * y - LORENZ_BETA * z",
        ),
        Wrong(
            "sign of x z",
            lorenz_with((1, 2, lambda x, y, z: x)),
            "sign-in-term",
            "The entry of z in the second equation has the wrong sign.",
            ("entry (1, 2)", "minus of RHO - z", "one entry has the wrong sign"),
            "x * (RHO - z)",
        ),
        Wrong(
            "z forgotten",
            lorenz_with((1, 0, lambda x, y, z: RHO)),
            "missing-term",
            "The entry of x in the second equation is rho instead of rho minus z.",
            ("missing -z", "entry (1, 0)", "wrong-constant"),
            "x * (RHO - z)",
        ),
        Wrong(
            "transposed",
            lambda state: lorenz_jacobian(state).T,
            "transpose",
            "The Jacobian is transposed.",
            ("rows and columns exchanged", "gradient layout"),
        ),
        Wrong(
            "factors exchanged",
            lorenz_with((2, 0, lambda x, y, z: x), (2, 1, lambda x, y, z: y)),
            "swapped",
            "The two factors of x y are exchanged in the third row.",
            ("wrong-variable", "x and y exchanged", "third row"),
            "x * y",
        ),
    ),
    check="jacobian",
)

# --- a unit vector


def direction(x):
    length = np.sqrt((x**2).sum())
    return x / length


def direction_jacobian(x):
    r = np.sqrt(x @ x)
    y = x / r
    return (np.eye(len(x)) - np.outer(y, y)) / r


def direction_jacobian_quotient(x):
    s = x @ x
    return (s * np.eye(len(x)) - x[:, None] * x) / s**1.5


def direction_from(matrix):
    def jacobian(x):
        r = np.sqrt(x @ x)
        return matrix(np.eye(len(x)), x, x / r, r)

    return jacobian


DIRECTION = Function(
    "direction_jacobian",
    direction,
    draw(5, (3,)),
    (direction_jacobian, direction_jacobian_quotient),
    (
        Wrong(
            "length constant",
            direction_from(lambda e, x, y, r: e / r),
            "detached",
            "The length is treated as a constant.",
            ("missing-term", "outer product missing", "quotient rule", "elementwise"),
            "x / length",
        ),
        Wrong(
            "projector alone",
            direction_from(lambda e, x, y, r: e - np.outer(y, y)),
            "missing-factor",
            "The division by the length is missing.",
            ("missing 1/length", "factor", "missing 1/r"),
            "x / length",
        ),
        Wrong(
            "not normalised in the outer product",
            direction_from(lambda e, x, y, r: (e - np.outer(x, x)) / r),
            "wrong-variable",
            "The outer product uses x instead of the unit vector.",
            ("x instead of y", "missing 1/r**2", "wrong-power"),
            "x / length",
        ),
        Wrong(
            "squares on the diagonal alone",
            direction_from(lambda e, x, y, r: (e - np.diag(y**2)) / r),
            "elementwise",
            "Only the diagonal of the outer product is there.",
            ("off-diagonal terms missing", "diag(y**2) instead of outer(y, y)", "only-part"),
            "(x**2).sum()",
        ),
        Wrong(
            "reflection",
            direction_from(lambda e, x, y, r: (e - 2 * np.outer(y, y)) / r),
            "factor-in-term",
            "The 1/2 of the square root's derivative is missing: the outer product is doubled.",
            ("factor 2 in the second term", "derivative of sqrt"),
            "length = np.sqrt((x**2).sum())",
        ),
    ),
    check="jacobian",
)

# --- a step of a bicycle model

TIME, BASE = 0.1, 2.0


def bicycle(state):
    x, y, heading, speed, steer = state
    forward = x + TIME * speed * np.cos(heading)
    sideways = y + TIME * speed * np.sin(heading)
    turned = heading + TIME * speed * np.tan(steer) / BASE
    return np.stack([forward, sideways, turned])


def bicycle_jacobian(state):
    _, _, h, v, d = state
    c, s = np.cos(h), np.sin(h)
    return np.array(
        [
            [1, 0, -TIME * v * s, TIME * c, 0],
            [0, 1, TIME * v * c, TIME * s, 0],
            [0, 0, 1, TIME * np.tan(d) / BASE, TIME * v / BASE / np.cos(d) ** 2],
        ]
    )


def bicycle_jacobian_fill(state):
    _, _, h, v, d = state
    out = np.zeros((3, 5))
    out[:, :3] = np.eye(3)
    out[:2, 2] = TIME * v * np.array([-np.sin(h), np.cos(h)])
    out[:, 3] = TIME * np.array([np.cos(h), np.sin(h), np.tan(d) / BASE])
    out[2, 4] = TIME * v / BASE * (1 + np.tan(d) ** 2)
    return out


def bicycle_with(change):
    def jacobian(state):
        out = bicycle_jacobian(state)
        change(out, *state)
        return out

    return jacobian


def bicycle_no_identity(out, x, y, h, v, d):
    out[:, :3] -= np.eye(3)


def bicycle_tan(out, x, y, h, v, d):
    out[2, 4] = TIME * v / BASE / np.cos(d)


def bicycle_no_base(out, x, y, h, v, d):
    out[2, 3:] *= BASE


def bicycle_heading_sign(out, x, y, h, v, d):
    out[0, 2] *= -1


def bicycle_no_time(out, x, y, h, v, d):
    out[:, 3] /= TIME


BICYCLE = Function(
    "bicycle_jacobian",
    bicycle,
    (np.array([1.0, -0.5, 0.7, 3.0, 0.6]),),
    (bicycle_jacobian, bicycle_jacobian_fill),
    (
        Wrong(
            "no identity",
            bicycle_with(bicycle_no_identity),
            "missing-term",
            "The ones of the old state are missing.",
            ("identity missing", "direct path missing", "x + ... not differentiated in x"),
            "forward = x + TIME * speed * np.cos(heading)",
        ),
        Wrong(
            "tangent's derivative",
            bicycle_with(bicycle_tan),
            "wrong-derivative",
            "The derivative of tan is taken as 1/cos instead of 1/cos**2.",
            ("wrong-power", "derivative of tan", "cosine not squared", "entry (2, 4)"),
            "np.tan(steer)",
        ),
        Wrong(
            "wheelbase forgotten",
            bicycle_with(bicycle_no_base),
            "factor-in-term",
            "The 1/wheelbase is missing from the last row.",
            ("missing 1/BASE", "factor 2 in the last row", "wrong-constant"),
            "/ BASE",
        ),
        Wrong(
            "heading's sign",
            bicycle_with(bicycle_heading_sign),
            "sign-in-term",
            "The entry of the heading in the first row has the wrong sign.",
            ("derivative of cos", "one entry has the wrong sign", "entry (0, 2)"),
            "np.cos(heading)",
        ),
        Wrong(
            "speed without the time step",
            bicycle_with(bicycle_no_time),
            "factor-in-term",
            "The time step is missing from the speed's column.",
            ("missing TIME", "factor 10 in a column", "fourth column wrong", "missing-inner-derivative"),
            "TIME * speed",
        ),
    ),
    check="jacobian",
)

# --- outer square: a matrix of a vector


def outer_square(x):
    return np.outer(x, x)


def outer_square_jacobian(x):
    e = np.eye(len(x))
    return e[:, None, :] * x[None, :, None] + x[:, None, None] * e[None, :, :]


def outer_square_jacobian_loop(x):
    n = len(x)
    out = np.zeros((n, n, n))
    for i in range(n):
        for j in range(n):
            out[i, j, i] += x[j]
            out[i, j, j] += x[i]
    return out


def outer_square_overwrites(x):
    n = len(x)
    out = np.zeros((n, n, n))
    for i in range(n):
        for j in range(n):
            out[i, j, i] = x[j]
            out[i, j, j] = x[i]
    return out


OUTER_SQUARE = Function(
    "outer_square_jacobian",
    outer_square,
    draw(6, (3,)),
    (outer_square_jacobian, outer_square_jacobian_loop),
    (
        Wrong(
            "first factor alone",
            lambda x: np.einsum("ik,j->ijk", np.eye(3), x),
            "missing-term",
            "Only the first factor is differentiated.",
            ("product rule", "only-part", "second term missing"),
            "np.outer(x, x)",
        ),
        Wrong(
            "first factor doubled",
            lambda x: 2 * np.einsum("ik,j->ijk", np.eye(3), x),
            "transpose",
            "The second factor's term repeats the first's, where the indices should be exchanged.",
            ("not symmetrised", "2 x instead of two terms", "missing-term", "indices not exchanged"),
            "np.outer(x, x)",
        ),
        Wrong(
            "diagonal overwritten",
            outer_square_overwrites,
            "factor-in-term",
            "The diagonal entries miss their 2: the second term overwrites the first.",
            ("= instead of +=", "missing-sum", "factor 2 on the diagonal", "overwritten", "derivative of x**2"),
            "np.outer(x, x)",
        ),
        Wrong(
            "input index first",
            lambda x: np.moveaxis(outer_square_jacobian(x), 2, 0),
            "transpose",
            "The input's index stands first instead of last.",
            ("axes in the wrong order", "layout of the Jacobian", "wrong-axis"),
        ),
        Wrong(
            "terms subtracted",
            lambda x: np.einsum("ik,j->ijk", np.eye(3), x) - np.einsum("jk,i->ijk", np.eye(3), x),
            "sign-in-term",
            "The second factor's term has the wrong sign.",
            ("product rule", "sign of the second term"),
            "np.outer(x, x)",
        ),
    ),
    check="jacobian",
)

# --- circular convolution of a signal with itself


def self_convolution(x):
    n = len(x)
    shifted = np.stack([np.roll(x[::-1], t + 1) for t in range(n)])
    return shifted @ x


def self_convolution_jacobian(x):
    t, s = np.indices((len(x), len(x)))
    return 2 * x[(t - s) % len(x)]


def self_convolution_jacobian_loop(x):
    n = len(x)
    out = np.zeros((n, n))
    for t in range(n):
        for s in range(n):
            out[t, s] += x[(t - s) % n]
            out[t, (t - s) % n] += x[s]
    return out


def lags(x, lag):
    t, s = np.indices((len(x), len(x)))
    return x[lag(t, s) % len(x)]


SELF_CONVOLUTION = Function(
    "self_convolution_jacobian",
    self_convolution,
    draw(7, (4,)),
    (self_convolution_jacobian, self_convolution_jacobian_loop),
    (
        Wrong(
            "no two",
            lambda x: lags(x, lambda t, s: t - s),
            "factor",
            "The signal occurs twice; only one occurrence is differentiated.",
            ("factor 2", "product rule", "missing-term", "only-part"),
            "shifted @ x",
        ),
        Wrong(
            "transposed",
            lambda x: 2 * lags(x, lambda t, s: s - t),
            "transpose",
            "The lag has the wrong sign: the matrix is transposed.",
            ("s - t instead of t - s", "wrong-order", "correlation for convolution", "flipped"),
            "np.roll(x[::-1], t + 1)",
        ),
        Wrong(
            "one off",
            lambda x: 2 * lags(x, lambda t, s: t - s + 1),
            "shift",
            "The lag is off by one.",
            ("off by one", "shifted by one", "wrong-index"),
            "np.roll(x[::-1], t + 1)",
        ),
        Wrong(
            "not circular",
            lambda x: np.tril(self_convolution_jacobian(x)),
            "mask",
            "The wrap-around is forgotten: entries with a negative lag are zero.",
            ("periodicity forgotten", "missing-term", "lower triangle only", "only-part", "linear convolution"),
            "np.roll(x[::-1], t + 1)",
        ),
        Wrong(
            "flipped sum",
            lambda x: 2 * lags(x, lambda t, s: t + s),
            "wrong-order",
            "The signal is not flipped: the lag is t+s instead of t-s.",
            ("flipped", "sign of s", "correlation for convolution", "wrong-index", "Hankel instead of Toeplitz"),
            "x[::-1]",
        ),
    ),
    check="jacobian",
)

FUNCTIONS = (
    TEMPERED,
    SPHERICAL,
    ARM,
    LORENZ,
    DIRECTION,
    BICYCLE,
    OUTER_SQUARE,
    SELF_CONVOLUTION,
)
