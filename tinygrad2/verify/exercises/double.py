"""Double backward: the first-order rule is a function of the inputs and of g, and is differentiated once more.

The rule double_vjp(g, u, *inputs) gets the cotangent u of the first-order result, and returns one cotangent per input
and last the one for g, which is always J u.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.exercises import elementwise as e
from tinygrad2.verify.exercises import linear as l
from tinygrad2.verify.exercises import normal as n
from tinygrad2.verify.exercises import windows as w
from tinygrad2.verify.exercises.core import REGISTRY, Exercise, register, total
from tinygrad2.verify.space import Space


def _sum(terms: Any) -> tuple[Any, ...]:
    return tuple(map(total, terms))


def _ready(f: Any) -> Any:
    """Terms are given with u first, as rules of (inputs, g) get them; solutions with g first."""
    return lambda u, *rest, **params: f(rest[-1], u, *rest[:-1], **params)


def _linear(g: Array, u: tuple[Array, Array, Array], x: Array, w: Array, b: Array) -> list[dict[str, Array]]:
    ux, uw, ub = u
    return [{"g uw": g @ uw}, {"gᵀ ux": g.T @ ux}, {}, {"ux wᵀ": ux @ w.T, "x uwᵀ": x @ uw.T, "ub": ub + 0 * g}]


def _linear_rule(g: Array, u: tuple[Array, Array, Array], x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    dx, dw, _, dg = _linear(g, u, x, w, b)
    return (*_sum([dx, dw]), np.zeros_like(b), *_sum([dg]))


def _sigmoid(g: Array, u: Array, x: Array) -> list[dict[str, Array]]:
    y = e.sigmoid(x)
    return [
        {"g u y(1 - y)": g * u * y * (1 - y), "-2 g u y²(1 - y)": -2 * g * u * y * y * (1 - y)},
        {"u y(1 - y)": u * y * (1 - y)},
    ]


def _cross_entropy(g: Array, u: Array, z: Array, labels: Array) -> list[dict[str, Array]]:
    p, m = n.softmax(z), len(z)
    return [
        {"g p u/n": g * p * u / m, "-g p Σ(p u)/n": -g * p * (p * u).sum(-1, keepdims=True) / m},
        {"Σ u p/n": (u * p).sum() / m, "-Σ u at the labels/n": -(u * n.hot(z, labels)).sum() / m},
    ]


def _conv2d(g: Array, u: Any, x: Array, w_: Array, b: Array, stride: int, padding: int) -> list[dict[str, Array]]:
    ux, uw, ub = u
    zero = np.zeros(len(b), b.dtype)
    dx, _, _ = w._conv2d_rule(g, x, uw, b, stride, padding)
    _, dw, _ = w._conv2d_rule(g, ux, w_, b, stride, padding)
    to_g = {
        "conv2d(ux, w)": w.conv2d(ux, w_, zero, stride, padding),
        "conv2d(x, uw)": w.conv2d(x, uw, zero, stride, padding),
    }
    return [{"conv2dᵀ(g, uw)": dx}, {"windows(ux)·g": dw}, {}, {**to_g, "ub": ub[:, None, None] + 0 * g}]


def _conv2d_rule(g: Array, u: Any, x: Array, w_: Array, b: Array, stride: int, padding: int) -> tuple[Array, ...]:
    dx, dw, _, dg = _conv2d(g, u, x, w_, b, stride, padding)
    return (*_sum([dx, dw]), np.zeros_like(b), *_sum([dg]))


def standardize(x: Array) -> Array:
    """x̂ = (x - mean)/√(var + eps) over the batch. x: (n, d)."""
    return n.standardized(x)[0]


def project(g: Array, x: Array) -> Array:
    """The first-order rule of `standardize`: s(g - mean(g) - x̂ mean(g x̂))."""
    normal, s = n.standardized(x)
    return s * (g - g.mean(0) - normal * (g * normal).mean(0))


def _batch_norm(g: Array, u: Array, x: Array) -> list[dict[str, Array]]:
    normal, s = n.standardized(x)
    along_g, along_u = (g * normal).mean(0), (u * normal).mean(0)
    a = (u * g).mean(0) - u.mean(0) * g.mean(0) - along_u * along_g
    return [
        {
            "-s² x̂ A": -(s**2) * normal * a,
            "-s mean(g x̂) P(u)": -s * along_g * project(u, x),
            "-s mean(u x̂) P(g)": -s * along_u * project(g, x),
        },
        {"s u": s * u, "-s mean(u)": -s * u.mean(0) + 0 * u, "-s x̂ mean(u x̂)": -s * normal * along_u},
    ]


def _l2_norm(g: Array, u: Array, x: Array) -> list[dict[str, Array]]:
    size = n.l2_norm(x)[:, None]
    along = (u * x).sum(-1, keepdims=True)
    return [
        {"g u/‖x‖": g[:, None] * u / size, "-g x (u·x)/‖x‖³": -g[:, None] * x * along / size**3},
        {"(u·x)/‖x‖": (along / size)[:, 0]},
    ]


def deepfool_step(f: Array, v: Array) -> Array:
    """r = -f/‖v‖² · v, the step to the linearised boundary; v stands for ∇f. f: (n,); v: (n, d)."""
    return -(f / (v * v).sum(-1))[:, None] * v


def _deepfool(g: Array, f: Array, v: Array) -> list[dict[str, Array]]:
    square, along = (v * v).sum(-1), (g * v).sum(-1)
    direct = -(f / square)[:, None] * g
    return [
        {"-(g·v)/‖v‖²": -along / square},
        {"-f g/‖v‖²": direct, "2 f v (g·v)/‖v‖⁴": (2 * f * along / square**2)[:, None] * v},
    ]


def _double(
    of: str, task: str, solution: Any, hints: tuple[str, str, str], terms: Any = None, saved: Any = None
) -> Exercise:
    """The double backward of a registered exercise."""
    first = REGISTRY[of]
    with_g = saved and (lambda *args: saved(*args[:-1]))
    return Exercise(
        f"{of}.double",
        task,
        first.f,
        first.space,
        first.wrt,
        solution,
        hints,
        "double",
        first.solution,
        terms and _ready(terms),
        with_g,
    )


register(
    _double(
        "linear",
        "First order: dx = g w, dw = gᵀ x, db = Σ g; u = (ux, uw, ub). Derive dx, dw, db, dg.",
        _linear_rule,
        (
            "⟨ux, g w⟩ + ⟨uw, gᵀ x⟩ + ⟨ub, Σ g⟩ is linear in each of its letters.",
            "Collect what stands beside x, w, b and g.",
            "dx = g uw, dw = gᵀ ux, db = 0, dg = ux wᵀ + x uwᵀ + ub.",
        ),
        _linear,
    ),
    _double(
        "relu",
        "First order: dx = g where x > 0. Derive dx and dg from u.",
        lambda g, u, x: (0 * x, u * (x > 0)),
        (
            "Is the first-order rule linear in g? Does it change with x?",
            "The mask is piecewise constant in x.",
            "dx = 0, dg = u where x > 0.",
        ),
    ),
    _double(
        "sigmoid",
        "First order: dx = g y(1 - y). Derive dx and dg from u.",
        lambda *a: _sum(_sigmoid(*a)),
        ("Differentiate y(1 - y) by x.", "d(y - y²)/dx = (1 - 2y) y'.", "dx = g u y(1 - y)(1 - 2y), dg = u y(1 - y)."),
        _sigmoid,
        lambda x: {"(1 - 2y)": 1 - 2 * e.sigmoid(x), "y": e.sigmoid(x), "y'": e.sigmoid(x) * (1 - e.sigmoid(x))},
    ),
    _double(
        "cross_entropy",
        "First order: dz = g (p - onehot)/n, p = softmax(z). Derive dz and dg from u.",
        lambda *a: _sum(_cross_entropy(*a)),
        (
            "Only p depends on z.",
            "It is softmax's own rule, with u in the place of g.",
            "dz = g/n · p(u - Σ p u), dg = Σ u (p - onehot)/n.",
        ),
        _cross_entropy,
        lambda z, labels: {"softmax(z)": n.softmax(z)},
    ),
    _double(
        "conv2d",
        "First order: dx = convᵀ(g, w), dw = windows(x)·g, db = Σ g; u = (ux, uw, ub). Derive dx, dw, db, dg.",
        _conv2d_rule,
        (
            "The three results are contractions of one trilinear form.",
            "Replace x by ux, or w by uw, in the form ⟨conv(x, w), g⟩.",
            "dx = convᵀ(g, uw), dw = windows(ux)·g, db = 0, dg = conv(ux, w) + conv(x, uw) + ub.",
        ),
        _conv2d,
    ),
    Exercise(
        "batch_norm.double",
        "First order: P(g) = s(g - mean g - x̂ mean(g x̂)). Derive dx and dg from u.",
        standardize,
        Space("n d", sizes={"n": (3, 6), "d": (1, 3)}),
        ("x",),
        lambda *a: _sum(_batch_norm(*a)),
        (
            "P is symmetric, so dg is easy. For dx, s and x̂ both depend on x.",
            "ds/dx = -s² x̂/n, dx̂/dx = P. Let A = mean(u g) - mean(u) mean(g) - mean(u x̂) mean(g x̂).",
            "dx = -s² x̂ A - s mean(g x̂) P(u) - s mean(u x̂) P(g), dg = P(u).",
        ),
        "double",
        project,
        _ready(_batch_norm),
        lambda x, g: {"x̂": n.standardized(x)[0], "s": n.standardized(x)[1]},
    ),
    _double(
        "l2_norm",
        "First order: dx = g x/‖x‖, the gradient of a norm penalty. Derive dx and dg from u.",
        lambda *a: _sum(_l2_norm(*a)),
        (
            "x/‖x‖ depends on x in the numerator and in the norm.",
            "d(x/‖x‖) = dx/‖x‖ - x (x·dx)/‖x‖³.",
            "dx = g(u/‖x‖ - x (u·x)/‖x‖³), dg = (u·x)/‖x‖.",
        ),
        _l2_norm,
        lambda x: {"‖x‖": n.l2_norm(x)},
    ),
    Exercise(
        "deepfool_step",
        "r = -f/‖v‖² · v with v = ∇f: double backprop passes through it. Derive df and dv from g.",
        deepfool_step,
        Space("n, n d"),
        ("f", "v"),
        lambda *a: _sum(_deepfool(*a)),
        (
            "v is used twice, as direction and in its norm.",
            "d(1/‖v‖²) = -2 v·dv/‖v‖⁴.",
            "df = -(g·v)/‖v‖², dv = -f g/‖v‖² + 2 f v (g·v)/‖v‖⁴.",
        ),
        terms=_deepfool,
        saved=lambda f, v: {"‖v‖": np.sqrt((v * v).sum(-1))},
    ),
)

__all__ = ["deepfool_step", "l", "project", "standardize"]
