"""Formulas of physics, engineering and the sciences around them."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, positive

# --- energy of a pendulum

G = 9.81


def pendulum(theta, omega, length):
    kinetic = 0.5 * length**2 * omega**2
    potential = G * length * (1 - np.cos(theta))
    return kinetic + potential


def pendulum_vjp(g, theta, omega, length):
    return (
        g * G * length * np.sin(theta),
        g * length**2 * omega,
        g * (length * omega**2 + G * (1 - np.cos(theta))),
    )


def pendulum_vjp_steps(g, theta, omega, length):
    speed = length * omega
    dspeed = g * speed
    dheight = g * G
    return dheight * length * np.sin(theta), dspeed * length, dspeed * omega + dheight * (1 - np.cos(theta))


def pendulum_with(k, gradient):
    def vjp(g, theta, omega, length):
        out = list(pendulum_vjp(g, theta, omega, length))
        out[k] = g * gradient(theta, omega, length)
        return tuple(out)

    return vjp


PENDULUM = Function(
    "pendulum_energy",
    pendulum,
    (*draw(1, (3,), (3,)), positive(1, (3,))[0]),
    (pendulum_vjp, pendulum_vjp_steps),
    (
        Wrong(
            "cosine without its minus",
            pendulum_with(0, lambda t, o, r: -G * r * np.sin(t)),
            "sign",
            "The gradient of the angle has the wrong sign: one of the two minuses is forgotten.",
            ("sign", "derivative of cos", "derivative of 1 - cos", "wrong-derivative"),
            "potential = G * length * (1 - np.cos(theta))",
        ),
        Wrong(
            "cosine kept",
            pendulum_with(0, lambda t, o, r: G * r * np.cos(t)),
            "wrong-derivative",
            "The derivative of 1 - cos is taken as cos instead of sin.",
            ("cos instead of sin", "derivative of cos"),
            "potential = G * length * (1 - np.cos(theta))",
        ),
        Wrong(
            "half left",
            pendulum_with(1, lambda t, o, r: 0.5 * r**2 * o),
            "factor",
            "The 2 of the squared velocity is missing: the 1/2 is left.",
            ("factor 2", "factor 1/2", "forgotten factor 2", "domega wrong"),
            "kinetic = 0.5 * length**2 * omega**2",
        ),
        Wrong(
            "length by the kinetic energy alone",
            pendulum_with(2, lambda t, o, r: r * o**2),
            "missing-term",
            "The length's gradient leaves out the potential energy.",
            ("only-part", "second term missing", "dlength wrong", "third input wrong"),
            "potential = G * length * (1 - np.cos(theta))",
        ),
        Wrong(
            "length by the potential energy alone",
            pendulum_with(2, lambda t, o, r: G * (1 - np.cos(t))),
            "missing-term",
            "The length's gradient leaves out the kinetic energy.",
            ("only-part", "first term missing", "dlength wrong", "third input wrong"),
            "kinetic = 0.5 * length**2 * omega**2",
        ),
        Wrong(
            "length once",
            pendulum_with(1, lambda t, o, r: r * o),
            "wrong-power",
            "The velocity's gradient has the length once instead of squared.",
            ("missing-factor", "length instead of length**2", "domega wrong"),
            "kinetic = 0.5 * length**2 * omega**2",
        ),
    ),
)

# --- Lennard-Jones energy of a few atoms

UPPER = np.triu(np.ones((4, 4)), 1)
PLACES = np.array([[0.0, 0.1], [1.1, -0.2], [0.3, 1.2], [1.5, 1.0]])


def lennard_jones(x):
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2) + np.eye(len(x))
    sixth = squares**-3.0
    return (UPPER * 4 * (sixth**2 - sixth)).sum()


def lennard_jones_parts(x):
    r = x[:, None] - x[None]
    return r, (r**2).sum(axis=2) + np.eye(len(x))


def lennard_jones_vjp(g, x):
    r, s = lennard_jones_parts(x)
    ds = UPPER * 4 * (-6 * s**-7.0 + 3 * s**-4.0)
    d = 2 * ds[:, :, None] * r
    return g * (d.sum(axis=1) - d.sum(axis=0))


def lennard_jones_vjp_pairs(g, x):
    dx = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            r = x[i] - x[j]
            d = np.sqrt(r @ r)
            force = 4 * g * (-12 / d**13 + 6 / d**7) * r / d
            dx[i] += force
            dx[j] -= force
    return dx


def lennard_jones_from(ds, reduce=lambda d: d.sum(axis=1) - d.sum(axis=0)):
    def vjp(g, x):
        r, s = lennard_jones_parts(x)
        return g * reduce(2 * (UPPER * 4 * ds(s))[:, :, None] * r)

    return vjp


def lennard_jones_ds(s):
    return -6 * s**-7.0 + 3 * s**-4.0


LENNARD_JONES = Function(
    "lennard_jones",
    lennard_jones,
    (PLACES,),
    (lennard_jones_vjp, lennard_jones_vjp_pairs),
    (
        Wrong(
            "one atom of each pair",
            lennard_jones_from(lennard_jones_ds, lambda d: d.sum(axis=1)),
            "only-part",
            "Only the first atom of each pair gets the force; the reaction on the second is missing.",
            ("missing-term", "second role missing", "Newton's third law", "missing path"),
            "x[:, None] - x[None]",
        ),
        Wrong(
            "action like reaction",
            lennard_jones_from(lennard_jones_ds, lambda d: d.sum(axis=1) + d.sum(axis=0)),
            "sign-in-term",
            "Both atoms of a pair get the same force instead of opposite ones.",
            ("sign of the second role", "Newton's third law", "minus of the difference forgotten"),
            "x[:, None] - x[None]",
        ),
        Wrong(
            "powers not lowered",
            lennard_jones_from(lambda s: -6 * s**-6.0 + 3 * s**-3.0),
            "wrong-power",
            "The exponents of the squared distance are not lowered by one.",
            ("power rule", "exponent", "wrong-derivative", "extra-factor"),
            "sixth = squares**-3.0",
        ),
        Wrong(
            "twelfth power without its two",
            lennard_jones_from(lambda s: -3 * s**-7.0 + 3 * s**-4.0),
            "factor-in-term",
            "The 2 of the square of the sixth power is missing: -3 instead of -6.",
            ("factor 2 in the repulsion", "derivative of the square", "wrong-constant"),
            "sixth**2 - sixth",
        ),
        Wrong(
            "attraction's sign",
            lennard_jones_from(lambda s: -6 * s**-7.0 - 3 * s**-4.0),
            "sign-in-term",
            "The attraction's term has the wrong sign.",
            ("sign of the second term", "minus of - sixth"),
            "sixth**2 - sixth",
        ),
        Wrong(
            "no four",
            lambda g, x: lennard_jones_vjp(g, x) / 4,
            "factor",
            "The 4 in front of the energy is missing.",
            ("factor 4", "factor 1/4", "wrong-constant"),
            "UPPER * 4 * (sixth**2 - sixth)",
        ),
    ),
)

# --- energy of a planet

MU = 1.3


def orbit(r, v):
    distance = np.sqrt((r**2).sum(axis=1))
    return 0.5 * (v**2).sum(axis=1) - MU / distance


def orbit_vjp(g, r, v):
    d = np.sqrt((r**2).sum(axis=1))
    return (g * MU / d**3)[:, None] * r, g[:, None] * v


def orbit_vjp_steps(g, r, v):
    square = np.einsum("ni,ni->n", r, r)
    dsquare = g * MU / 2 * square**-1.5
    return 2 * dsquare[:, None] * r, (g * v.T).T


def orbit_dr(factor):
    def vjp(g, r, v):
        d = np.sqrt((r**2).sum(axis=1))
        return (g * factor(d))[:, None] * r, g[:, None] * v

    return vjp


ORBIT = Function(
    "orbit_energy",
    orbit,
    draw(2, (3, 2), (3, 2)),
    (orbit_vjp, orbit_vjp_steps),
    (
        Wrong(
            "second power",
            orbit_dr(lambda d: MU / d**2),
            "wrong-power",
            "The distance is squared instead of cubed: r should be the unit vector r/d.",
            (
                "d**2 instead of d**3",
                "missing 1/d",
                "missing-inner-derivative",
                "derivative of the norm",
                "missing-factor",
            ),
            "MU / distance",
        ),
        Wrong(
            "repelled",
            orbit_dr(lambda d: -MU / d**3),
            "sign",
            "The position's gradient has the wrong sign.",
            ("sign", "derivative of -1/d", "dr wrong"),
            "- MU / distance",
        ),
        Wrong(
            "root without half",
            orbit_dr(lambda d: 2 * MU / d**3),
            "factor",
            "The 1/2 of the square root's derivative is missing from the position's gradient.",
            ("factor 2", "derivative of sqrt", "dr doubled"),
            "distance = np.sqrt((r**2).sum(axis=1))",
        ),
        Wrong(
            "half left",
            lambda g, r, v: (orbit_vjp(g, r, v)[0], 0.5 * g[:, None] * v),
            "factor",
            "The 2 of the squared speed is missing: the 1/2 is left.",
            ("factor 2", "factor 1/2", "dv halved"),
            "0.5 * (v**2).sum(axis=1)",
        ),
        Wrong(
            "exchanged",
            lambda g, r, v: orbit_vjp(g, r, v)[::-1],
            "swapped",
            "The gradients of position and velocity are exchanged.",
            ("dr and dv in the wrong order", "wrong-order"),
        ),
        Wrong(
            "no mu",
            orbit_dr(lambda d: 1 / d**3),
            "factor",
            "The gravitational parameter is missing from the position's gradient.",
            ("missing MU", "factor mu", "factor 1.3", "wrong-constant"),
            "MU / distance",
        ),
    ),
)

# --- thin lens: the image's distance


def lens(f, o):
    return 1 / (1 / f - 1 / o)


def lens_vjp(g, f, o):
    i = lens(f, o)
    return g * i**2 / f**2, -g * i**2 / o**2


def lens_vjp_fraction(g, f, o):
    return g * (o / (o - f)) ** 2, -g * (f / (o - f)) ** 2


LENS = Function(
    "thin_lens",
    lens,
    (np.array([1.0, 0.8, 1.5]), np.array([2.5, 3.1, 4.0])),
    (lens_vjp, lens_vjp_fraction),
    (
        Wrong(
            "outer reciprocal missing",
            lambda g, f, o: (-g / f**2, g / o**2),
            "missing-inner-derivative",
            "The outer reciprocal is not differentiated: its -i**2 is missing.",
            ("missing -i**2", "chain rule", "outer derivative missing", "missing-factor", "gradient of 1/f - 1/o"),
            "1 / (1 / f - 1 / o)",
        ),
        Wrong(
            "image not squared",
            lambda g, f, o: (g * lens(f, o) / f**2, -g * lens(f, o) / o**2),
            "wrong-power",
            "The image's distance enters once instead of squared.",
            ("denominator not squared", "i instead of i**2", "derivative of 1/x"),
            "1 / (1 / f - 1 / o)",
        ),
        Wrong(
            "focal length's sign",
            lambda g, f, o: (-lens_vjp(g, f, o)[0], lens_vjp(g, f, o)[1]),
            "sign",
            "The focal length's gradient has the wrong sign: one of two minuses is forgotten.",
            ("df has the wrong sign", "first input", "sign"),
            "1 / f",
        ),
        Wrong(
            "object's sign",
            lambda g, f, o: (lens_vjp(g, f, o)[0], -lens_vjp(g, f, o)[1]),
            "sign",
            "The object distance's gradient has the wrong sign.",
            ("do has the wrong sign", "second input", "sign", "minus of - 1/o forgotten"),
            "- 1 / o",
        ),
        Wrong(
            "exchanged denominators",
            lambda g, f, o: (g * lens(f, o) ** 2 / o**2, -g * lens(f, o) ** 2 / f**2),
            "wrong-variable",
            "f and o are exchanged in the inner derivatives.",
            ("swapped", "1/o**2 in df", "f and o exchanged"),
            "1 / (1 / f - 1 / o)",
        ),
        Wrong(
            "object not squared",
            lambda g, f, o: (lens_vjp(g, f, o)[0], -g * lens(f, o) ** 2 / o),
            "wrong-power",
            "The object distance's inner derivative has 1/o instead of 1/o**2.",
            ("derivative of 1/o", "second input wrong", "o instead of o**2"),
            "1 / o",
        ),
    ),
)

# --- a step of an epidemic

STEP = 0.5


def sir(state, beta, gamma):
    s, i, r = state
    infected = beta * s * i
    recovered = gamma * i
    return np.stack([s - STEP * infected, i + STEP * (infected - recovered), r + STEP * recovered])


def sir_vjp(g, state, beta, gamma):
    s, i, _ = state
    dinfected = STEP * (g[1] - g[0])
    drecovered = STEP * (g[2] - g[1])
    dstate = g + np.array([dinfected * beta * i, dinfected * beta * s + drecovered * gamma, 0.0])
    return dstate, dinfected * s * i, drecovered * i


def sir_vjp_matrix(g, state, beta, gamma):
    s, i, _ = state
    jacobian = np.eye(3) + STEP * np.array([[-beta * i, -beta * s, 0], [beta * i, beta * s - gamma, 0], [0, gamma, 0]])
    return jacobian.T @ g, STEP * np.array([-s * i, s * i, 0]) @ g, STEP * np.array([0, -i, i]) @ g


def sir_state(dstate):
    def vjp(g, state, beta, gamma):
        return dstate(g, *state, beta, gamma), *sir_vjp(g, state, beta, gamma)[1:]

    return vjp


SIR = Function(
    "sir_step",
    sir,
    (np.array([0.7, 0.25, 0.05]), np.array(1.4), np.array(0.6)),
    (sir_vjp, sir_vjp_matrix),
    (
        Wrong(
            "no identity",
            sir_state(
                lambda g, s, i, r, b, c: (
                    STEP * np.array([(g[1] - g[0]) * b * i, (g[1] - g[0]) * b * s + (g[2] - g[1]) * c, 0])
                )
            ),
            "missing-term",
            "The old state's direct path is missing: only the rates are differentiated.",
            ("identity missing", "residual path forgotten", "missing g"),
            "s - STEP * infected",
        ),
        Wrong(
            "infection by s alone",
            sir_state(lambda g, s, i, r, b, c: g + STEP * np.array([(g[1] - g[0]) * b * i, (g[2] - g[1]) * c, 0])),
            "missing-term",
            "The infections are differentiated in s but not in i: half of the product rule is missing.",
            ("product rule", "only-part", "missing beta * s"),
            "infected = beta * s * i",
        ),
        Wrong(
            "only where they leave",
            lambda g, state, beta, gamma: (
                sir_vjp(g, state, beta, gamma)[0],
                -STEP * g[0] * state[0] * state[1],
                sir_vjp(g, state, beta, gamma)[2],
            ),
            "missing-term",
            "The gradient of beta counts the susceptibles who leave but not the infected who arrive.",
            ("missing g[1]", "only-part", "dbeta wrong", "second use of infected missing"),
            "infected - recovered",
        ),
        Wrong(
            "jacobian not transposed",
            sir_state(
                lambda g, s, i, r, b, c: (
                    g + STEP * np.array([[-b * i, -b * s, 0], [b * i, b * s - c, 0], [0, c, 0]]) @ g
                )
            ),
            "transpose",
            "The state's gradient multiplies by the Jacobian instead of its transpose.",
            ("J instead of J.T", "forward-mode product", "missing transpose"),
        ),
        Wrong(
            "rates without the step",
            lambda g, state, beta, gamma: (
                sir_vjp(g, state, beta, gamma)[0],
                *(d / STEP for d in sir_vjp(g, state, beta, gamma)[1:]),
            ),
            "factor",
            "The time step is missing from the rates' gradients.",
            ("factor 2", "missing STEP", "factor 0.5"),
            "STEP * infected",
        ),
        Wrong(
            "recovery's sign",
            lambda g, state, beta, gamma: (
                *sir_vjp(g, state, beta, gamma)[:2],
                STEP * (g[1] + g[2]) * state[1],
            ),
            "sign-in-term",
            "The gradient of gamma has the wrong sign in the infected's equation.",
            ("sign of g[1]", "dgamma wrong", "minus of - recovered forgotten"),
            "infected - recovered",
        ),
    ),
)

# --- iterates of the logistic map


def logistic(x, r):
    for _ in range(3):
        x = r * x * (1 - x)
    return x


def logistic_by(slope=lambda x, r: r * (1 - 2 * x), direct=lambda x: x * (1 - x), first=0, index=0):
    def vjp(g, x, r):
        xs = [x]
        for _ in range(3):
            xs.append(r * xs[-1] * (1 - xs[-1]))
        dr, dx = np.zeros_like(g), g
        for t in reversed(range(first, 3)):
            dr = dr + dx * direct(xs[t + index])
            dx = dx * slope(xs[t + index], r)
        return dx, dr.sum()

    return vjp


def logistic_vjp_tangents(g, x, r):
    by_x, by_r = np.ones_like(x), np.zeros_like(x)
    for _ in range(3):
        by_x = r * (1 - 2 * x) * by_x
        by_r = x * (1 - x) + r * (1 - 2 * x) * by_r
        x = r * x * (1 - x)
    return g * by_x, g @ by_r


LOGISTIC = Function(
    "logistic_iterates",
    logistic,
    (np.array([0.2, 0.35, 0.83]), np.array(3.3)),
    (logistic_by(), logistic_vjp_tangents),
    (
        Wrong(
            "last step alone",
            logistic_by(first=2),
            "only-part",
            "Only the last of the three iterations is differentiated.",
            ("not unrolled", "earlier steps missing", "missing-term", "truncated"),
            "for _ in range(3)",
        ),
        Wrong(
            "product half",
            logistic_by(slope=lambda x, r: r * (1 - x)),
            "missing-term",
            "The second factor 1-x is not differentiated.",
            ("product rule", "missing -r x", "factor 2 of x", "detached"),
            "r * x * (1 - x)",
        ),
        Wrong(
            "no rate",
            logistic_by(slope=lambda x, r: 1 - 2 * x),
            "missing-factor",
            "The factor r is missing from the slope.",
            ("missing r", "missing-inner-derivative"),
            "r * x * (1 - x)",
        ),
        Wrong(
            "next iterate",
            logistic_by(index=1),
            "wrong-index",
            "The derivatives are taken at the iterate after the step instead of before.",
            ("wrong-point", "x[t+1] instead of x[t]", "shift", "off by one"),
            "x = r * x * (1 - x)",
        ),
        Wrong(
            "rate by one step",
            lambda g, x, r: (logistic_by()(g, x, r)[0], logistic_by(first=2)(g, x, r)[1]),
            "only-part",
            "The rate's gradient counts only its use in the last iteration.",
            ("missing-term", "missing-sum", "detached", "dr wrong", "earlier iterations missing"),
            "r * x * (1 - x)",
        ),
        Wrong(
            "plus",
            logistic_by(slope=lambda x, r: r * (1 + 2 * x)),
            "sign-in-term",
            "The term of 1-x has the wrong sign.",
            ("sign of -2x", "minus of 1 - x forgotten"),
            "(1 - x)",
        ),
    ),
)

# --- a chain of springs


def springs(x, k, rest):
    stretch = x[1:] - x[:-1] - rest
    return 0.5 * (k * stretch**2).sum()


def springs_vjp(g, x, k, rest):
    stretch = np.diff(x) - rest
    force = g * k * stretch
    dx = np.zeros_like(x)
    dx[1:] += force
    dx[:-1] -= force
    return dx, g * 0.5 * stretch**2, -force


def springs_vjp_diff(g, x, k, rest):
    force = g * k * (x[1:] - x[:-1] - rest)
    return -np.diff(force, prepend=0, append=0), g * (x[1:] - x[:-1] - rest) ** 2 / 2, -force


def springs_dx(dx):
    def vjp(g, x, k, rest):
        stretch = np.diff(x) - rest
        return dx(g * k * stretch), g * 0.5 * stretch**2, -g * k * stretch

    return vjp


SPRINGS = Function(
    "spring_chain",
    springs,
    (draw(3, (5,))[0], positive(3, (4,))[0], positive(4, (4,))[0]),
    (springs_vjp, springs_vjp_diff),
    (
        Wrong(
            "right ends alone",
            springs_dx(lambda f: np.concatenate([[0], f])),
            "only-part",
            "Only the right end of each spring gets its force.",
            ("missing-term", "left end missing", "missing path", "x[:-1] not differentiated"),
            "x[1:] - x[:-1]",
        ),
        Wrong(
            "ends added",
            springs_dx(lambda f: np.concatenate([f, [0]]) + np.concatenate([[0], f])),
            "sign-in-term",
            "The left end's force has the sign of the right end's.",
            ("sign of x[:-1]", "minus forgotten"),
            "x[1:] - x[:-1]",
        ),
        Wrong(
            "ends exchanged",
            springs_dx(lambda f: np.concatenate([f, [0]]) - np.concatenate([[0], f])),
            "sign",
            "The positions' gradient has the wrong sign: left and right ends are exchanged.",
            ("swapped", "shift", "sign of dx"),
            "x[1:] - x[:-1]",
        ),
        Wrong(
            "half left",
            springs_dx(lambda f: -np.diff(f / 2, prepend=0, append=0)),
            "factor",
            "The 2 of the square is missing from the positions' gradient: the 1/2 is left.",
            ("factor 2", "factor 1/2", "dx halved"),
            "0.5 * (k * stretch**2).sum()",
        ),
        Wrong(
            "stiffness without its half",
            lambda g, x, k, rest: (
                springs_vjp(g, x, k, rest)[0],
                2 * springs_vjp(g, x, k, rest)[1],
                springs_vjp(g, x, k, rest)[2],
            ),
            "factor",
            "The 1/2 is missing from the stiffness's gradient.",
            ("factor 2", "dk doubled", "second input wrong"),
            "0.5 * (k * stretch**2).sum()",
        ),
        Wrong(
            "rest length's sign",
            lambda g, x, k, rest: (*springs_vjp(g, x, k, rest)[:2], -springs_vjp(g, x, k, rest)[2]),
            "sign",
            "The rest length's gradient has the wrong sign.",
            ("minus of - rest forgotten", "third input has the wrong sign"),
            "- rest",
        ),
        Wrong(
            "stiffness by the stretch",
            lambda g, x, k, rest: (
                springs_vjp(g, x, k, rest)[0],
                g * (np.diff(x) - rest),
                springs_vjp(g, x, k, rest)[2],
            ),
            "wrong-power",
            "The stiffness's gradient is the stretch instead of half its square.",
            ("wrong-derivative", "differentiated the square", "dk wrong", "second input wrong", "extra derivative"),
            "k * stretch**2",
        ),
    ),
)

# --- a law like Planck's


def planck(nu, temperature):
    return nu**3 / (np.exp(nu / temperature) - 1)


def planck_vjp(g, nu, temperature):
    e = np.exp(nu / temperature)
    b = nu**3 / (e - 1)
    dnu = 3 * nu**2 / (e - 1) - b * e / (e - 1) / temperature
    return g * dnu, g * b * e / (e - 1) * nu / temperature**2


def planck_vjp_log(g, nu, temperature):
    z = nu / temperature
    b = planck(nu, temperature)
    share = z / (1 - np.exp(-z))
    return g * b / nu * (3 - share), g * b / temperature * share


def planck_with(dnu=None, dt=None):
    def vjp(g, nu, temperature):
        e = np.exp(nu / temperature)
        right = planck_vjp(g, nu, temperature)
        a = g * dnu(nu, temperature, e) if dnu else right[0]
        return a, g * dt(nu, temperature, e) if dt else right[1]

    return vjp


PLANCK = Function(
    "planck",
    planck,
    (positive(5, (4,), low=1.0, high=4.0)[0], positive(6, (4,), low=0.7, high=1.6)[0]),
    (planck_vjp, planck_vjp_log),
    (
        Wrong(
            "denominator constant",
            planck_with(dnu=lambda n, t, e: 3 * n**2 / (e - 1)),
            "missing-term",
            "The frequency's effect through the denominator is missing.",
            ("detached", "quotient rule", "second term missing", "dnu wrong"),
            "(np.exp(nu / temperature) - 1)",
        ),
        Wrong(
            "denominator not squared",
            planck_with(dnu=lambda n, t, e: 3 * n**2 / (e - 1) - n**3 * e / t / (e - 1)),
            "wrong-power",
            "The denominator of the second term is not squared.",
            ("quotient rule", "denominator squared", "dnu wrong"),
            "nu**3 / (np.exp(nu / temperature) - 1)",
        ),
        Wrong(
            "no inner derivative in the frequency",
            planck_with(dnu=lambda n, t, e: 3 * n**2 / (e - 1) - n**3 * e / (e - 1) ** 2),
            "missing-inner-derivative",
            "The inner derivative 1/temperature of the exponent is missing.",
            ("missing 1/T", "chain rule", "dnu wrong", "missing-factor"),
            "np.exp(nu / temperature)",
        ),
        Wrong(
            "temperature's sign",
            planck_with(dt=lambda n, t, e: -(n**4) * e / (e - 1) ** 2 / t**2),
            "sign",
            "The temperature's gradient has the wrong sign: one of two minuses is forgotten.",
            ("sign of dT", "second input has the wrong sign", "derivative of 1/T"),
            "np.exp(nu / temperature)",
        ),
        Wrong(
            "temperature not squared",
            planck_with(dt=lambda n, t, e: n**4 * e / (e - 1) ** 2 / t),
            "wrong-power",
            "The temperature's inner derivative has 1/T instead of 1/T**2.",
            ("derivative of 1/T", "second input wrong", "T instead of T**2"),
            "nu / temperature",
        ),
        Wrong(
            "exponential minus one",
            planck_with(dt=lambda n, t, e: n**4 / (e - 1) / t**2),
            "wrong-derivative",
            "The derivative of exp(z) - 1 is taken as exp(z) - 1 itself.",
            ("missing e/(e-1)", "the -1 was kept", "derivative of exp minus 1", "wrong-point"),
            "(np.exp(nu / temperature) - 1)",
        ),
    ),
)

# --- van der Waals pressure

A, B, GAS = 0.9, 0.12, 1.0


def pressure(volume, temperature):
    return GAS * temperature / (volume - B) - A / volume**2


def pressure_vjp(g, volume, temperature):
    dv = -GAS * temperature / (volume - B) ** 2 + 2 * A / volume**3
    return g * dv, g * GAS / (volume - B)


def pressure_vjp_steps(g, volume, temperature):
    free = 1 / (volume - B)
    density = 1 / volume
    return g * (2 * A * density**3 - GAS * temperature * free**2), GAS * g * free


def pressure_dv(dv):
    def vjp(g, volume, temperature):
        return g * dv(volume, temperature), g * GAS / (volume - B)

    return vjp


PRESSURE = Function(
    "van_der_waals",
    pressure,
    (positive(7, (4,), low=0.8, high=2.0)[0], positive(8, (4,), low=0.9, high=1.6)[0]),
    (pressure_vjp, pressure_vjp_steps),
    (
        Wrong(
            "ideal gas",
            pressure_dv(lambda v, t: -GAS * t / (v - B) ** 2),
            "missing-term",
            "The attraction's term is missing from the volume's gradient.",
            ("second term missing", "A / volume**2 not differentiated", "only-part"),
            "A / volume**2",
        ),
        Wrong(
            "attraction's sign",
            pressure_dv(lambda v, t: -GAS * t / (v - B) ** 2 - 2 * A / v**3),
            "sign-in-term",
            "The attraction's term has the wrong sign.",
            ("sign of the second term", "minus of the negative power forgotten", "derivative of v**-2"),
            "- A / volume**2",
        ),
        Wrong(
            "attraction without two",
            pressure_dv(lambda v, t: -GAS * t / (v - B) ** 2 + A / v**3),
            "factor-in-term",
            "The 2 of the power is missing from the attraction's term.",
            ("factor 2 in the second term", "power rule", "derivative of v**-2"),
            "A / volume**2",
        ),
        Wrong(
            "own volume forgotten",
            pressure_dv(lambda v, t: -GAS * t / v**2 + 2 * A / v**3),
            "wrong-point",
            "The first term is differentiated at the volume instead of the volume minus b.",
            ("b forgotten", "wrong-constant", "volume instead of volume - B", "wrong-variable"),
            "(volume - B)",
        ),
        Wrong(
            "attraction's power",
            pressure_dv(lambda v, t: -GAS * t / (v - B) ** 2 + 2 * A / v),
            "wrong-power",
            "The exponent of the attraction's term is raised instead of lowered: 1/v instead of 1/v**3.",
            ("power rule", "exponent -1 instead of -3", "derivative of v**-2"),
            "A / volume**2",
        ),
        Wrong(
            "exchanged",
            lambda g, v, t: pressure_vjp(g, v, t)[::-1],
            "swapped",
            "The gradients of volume and temperature are exchanged.",
            ("dv and dt in the wrong order", "wrong-order"),
        ),
    ),
)

# --- Hill's equation


def hill(s, top, half, n):
    return top * s**n / (half**n + s**n)


def hill_vjp(g, s, top, half, n):
    y = s**n / (half**n + s**n)
    slope = g * top * y * (1 - y)
    return slope * n / s, np.sum(g * y), -np.sum(slope) * n / half, np.sum(slope * np.log(s / half))


def hill_vjp_quotient(g, s, top, half, n):
    a, b = s**n, half**n
    da = g * top * b / (a + b) ** 2
    db = -g * top * a / (a + b) ** 2
    dn = np.sum(da * a * np.log(s) + db * b * np.log(half))
    return da * n * s ** (n - 1), (g * a / (a + b)).sum(), db.sum() * n * half ** (n - 1), dn


def hill_with(k, gradient):
    def vjp(g, s, top, half, n):
        out = list(hill_vjp(g, s, top, half, n))
        out[k] = gradient(g, s, top, half, n)
        return tuple(out)

    return vjp


HILL = Function(
    "hill",
    hill,
    (positive(9, (4,))[0], np.array(1.8), np.array(1.1), np.array(2.3)),
    (hill_vjp, hill_vjp_quotient),
    (
        Wrong(
            "denominator constant",
            hill_with(0, lambda g, s, top, half, n: g * top * n * s ** (n - 1) / (half**n + s**n)),
            "missing-term",
            "The denominator is treated as a constant in the gradient of s.",
            ("detached", "quotient rule", "second term missing", "ds wrong"),
            "(half**n + s**n)",
        ),
        Wrong(
            "exponent without a logarithm",
            hill_with(
                3,
                lambda g, s, top, half, n: np.sum(
                    g * top * (s * half) ** n / (half**n + s**n) ** 2 * n * (1 / s - 1 / half)
                ),
            ),
            "wrong-derivative",
            "The derivative in the exponent is that of a power in its base: n x**(n-1) instead of x**n log x.",
            ("power rule for the exponent", "missing log", "wrong-variable", "dn wrong", "fourth input wrong"),
            "s**n",
        ),
        Wrong(
            "half's power in the exponent",
            hill_with(
                3,
                lambda g, s, top, half, n: np.sum(g * top * (s * half) ** n / (half**n + s**n) ** 2 * np.log(s)),
            ),
            "missing-term",
            "The exponent's gradient leaves out its use in half**n.",
            ("only-part", "missing log(half)", "dn wrong", "fourth input wrong", "detached"),
            "half**n",
        ),
        Wrong(
            "half's sign",
            hill_with(2, lambda g, s, top, half, n: -hill_vjp(g, s, top, half, n)[2]),
            "sign",
            "The half-saturation's gradient has the wrong sign.",
            ("third input has the wrong sign", "sign of the denominator term", "dhalf wrong"),
            "(half**n + s**n)",
        ),
        Wrong(
            "half not lowered",
            hill_with(2, lambda g, s, top, half, n: -np.sum(g * top * s**n / (half**n + s**n) ** 2) * n * half**n),
            "wrong-power",
            "The half-saturation's exponent is not lowered to n-1.",
            ("power rule", "factor", "half**n instead of half**(n-1)", "third input wrong"),
            "half**n",
        ),
        Wrong(
            "top by the output",
            hill_with(1, lambda g, s, top, half, n: np.sum(g * hill(s, top, half, n))),
            "extra-factor",
            "The gradient of top is the output itself, which still holds top.",
            ("factor", "missing 1/top", "factor top", "factor 1.8", "dtop wrong", "second input wrong"),
            "top * s**n",
        ),
        Wrong(
            "top by a mean",
            hill_with(1, lambda g, s, top, half, n: np.mean(g * s**n / (half**n + s**n))),
            "mean-for-sum",
            "The gradient of top is a mean over the entries instead of a sum.",
            ("factor", "factor 1/n", "factor 1/4", "dtop wrong", "second input wrong"),
            "top * s**n",
        ),
    ),
)

# --- relativistic kinetic energy


def kinetic(v, mass):
    speed = (v**2).sum(axis=1)
    gamma = 1 / np.sqrt(1 - speed)
    return mass * (gamma - 1)


def gamma_of(v):
    return 1 / np.sqrt(1 - (v**2).sum(axis=1))


def kinetic_vjp(g, v, mass):
    gamma = gamma_of(v)
    return (g * mass * gamma**3)[:, None] * v, g * (gamma - 1)


def kinetic_vjp_steps(g, v, mass):
    left = 1 - np.einsum("ni,ni->n", v, v)
    dleft = -0.5 * g * mass * left**-1.5
    return -2 * dleft[:, None] * v, g * (left**-0.5 - 1)


def kinetic_dv(factor):
    def vjp(g, v, mass):
        return (g * mass * factor(gamma_of(v)))[:, None] * v, kinetic_vjp(g, v, mass)[1]

    return vjp


KINETIC = Function(
    "relativistic_energy",
    kinetic,
    (draw(10, (3, 2), scale=0.4)[0], positive(10, (3,))[0]),
    (kinetic_vjp, kinetic_vjp_steps),
    (
        Wrong(
            "classical",
            kinetic_dv(lambda gamma: 1),
            "missing-factor",
            "The factor gamma cubed is missing: the momentum of classical mechanics.",
            ("missing gamma**3", "missing-inner-derivative", "square root not differentiated", "wrong-power"),
            "gamma = 1 / np.sqrt(1 - speed)",
        ),
        Wrong(
            "gamma once",
            kinetic_dv(lambda gamma: gamma),
            "wrong-power",
            "The exponent of gamma is 1 instead of 3.",
            ("gamma instead of gamma**3", "derivative of 1/sqrt", "power rule"),
            "gamma = 1 / np.sqrt(1 - speed)",
        ),
        Wrong(
            "sign of the root",
            kinetic_dv(lambda gamma: -(gamma**3)),
            "sign",
            "The minus of 1 - speed is forgotten in the chain rule: the wrong sign.",
            ("sign", "missing inner derivative -1", "derivative of 1/sqrt"),
            "1 / np.sqrt(1 - speed)",
        ),
        Wrong(
            "root without half",
            kinetic_dv(lambda gamma: 2 * gamma**3),
            "factor",
            "The 1/2 of the square root's derivative is missing.",
            ("factor 2", "derivative of sqrt", "dv doubled"),
            "1 / np.sqrt(1 - speed)",
        ),
        Wrong(
            "mass by the total energy",
            lambda g, v, mass: (kinetic_vjp(g, v, mass)[0], g * gamma_of(v)),
            "missing-term",
            "The mass's gradient is gamma instead of gamma minus 1.",
            ("missing -1", "rest energy forgotten", "wrong-constant", "dmass wrong", "second input wrong"),
            "mass * (gamma - 1)",
        ),
        Wrong(
            "no mass",
            lambda g, v, mass: ((g * gamma_of(v) ** 3)[:, None] * v, kinetic_vjp(g, v, mass)[1]),
            "missing-factor",
            "The mass is missing from the velocity's gradient.",
            ("missing mass", "product rule", "dv wrong"),
            "mass * (gamma - 1)",
        ),
    ),
)

FUNCTIONS = (
    PENDULUM,
    LENNARD_JONES,
    ORBIT,
    LENS,
    SIR,
    LOGISTIC,
    SPRINGS,
    PLANCK,
    PRESSURE,
    HILL,
    KINETIC,
)
