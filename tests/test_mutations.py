"""Known-wrong rules must fail the checks that the other tests rely on: a check that passes all proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numerics import KinkCrossed, check_derivatives, check_symmetry, check_vjp, richardson, value

import tinygrad2 as tg
from tinygrad2.autodiff import REGISTRY, Tensor
from tinygrad2.autodiff.primitive import Rule
from tinygrad2.kernels import Geometry
from tinygrad2.ops import mask, multiply, negative, swapaxes

P = REGISTRY
RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
IMAGE, FILTERS = RNG.standard_normal((1, 1, 4, 4)), RNG.standard_normal((1, 1, 3, 3))
GEO = Geometry.of((4, 4), 3)

# name: (primitive, position of the argument, a wrong rule, inputs, constants)
WRONG = {
    "sign": ("subtract", 1, lambda g, y, a, b: g, [A, B], ()),
    "factor": ("tanh", 0, lambda g, y, x: 2.0 * g * (1.0 - y * y), [A], ()),
    "missing factor": ("exp", 0, lambda g, y, x: g, [A], ()),
    "dropped term": ("tanh", 0, lambda g, y, x: negative(g * (y * y)), [A], ()),
    "transposed": ("matmul", 0, lambda g, y, a, b: P["matmul"](g, b), [A, B], ()),
    "swapped operands": ("matmul", 1, lambda g, y, a, b: P["matmul"](g, swapaxes(a, -1, -2)), [A, B], ()),
    "mask of ones": ("relu", 0, lambda g, y, x: g, [A], ()),
    "mask from the cotangent": ("relu", 0, lambda g, y, x: mask(g, P["positive"](g)), [A], ()),
    "flipped kernel": (
        "conv2d", 1, lambda g, y, x, w, geo: P["conv2d_weight"](x, g, geo)[..., ::-1, ::-1], [IMAGE, FILTERS], (GEO,),
    ),
    "ignored cotangent": ("sigmoid", 0, lambda g, y, x: multiply(y, 1.0 - y), [A], ()),
    # These are right at first order: a saved constant silently drops second-order terms.
    "saved input": ("multiply", 0, lambda g, y, a, b: multiply(g, b.detach()), [A, B], ()),
    "saved output": ("exp", 0, lambda g, y, x: multiply(g, y.detach()), [A], ()),
    "detached cotangent": ("sqrt", 0, lambda g, y, x: g.detach() / (2.0 * y), [A * A + 1], ()),
}  # fmt: skip
SECOND_ORDER_ONLY = {"saved input", "saved output", "detached cotangent"}


@contextmanager
def rule_replaced(name: str, i: int, rule: Rule) -> Iterator[None]:
    """The primitive with one rule exchanged, and put back at the end."""
    right = P[name].rules
    P[name].defvjp(*right[:i], rule, *right[i + 1 :])
    try:
        yield
    finally:
        P[name].defvjp(*right)


@pytest.mark.parametrize("method", ["complex", "richardson"])
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_rule_fails_the_check(mistake: str, method: str) -> None:
    name, i, rule, arrays, consts = WRONG[mistake]

    def f(*xs: Tensor) -> Tensor:
        return P[name](*xs, *consts)

    check_derivatives(f, arrays, RNG, method=method)
    with rule_replaced(name, i, rule):
        with pytest.raises(AssertionError):
            check_derivatives(f, arrays, RNG, method=method)
        if mistake in SECOND_ORDER_ONLY:
            check_vjp(f, arrays, RNG.standard_normal(value(f, arrays).shape), method)
    check_derivatives(f, arrays, RNG, method=method)


def test_an_unsymmetric_hessian_is_noticed() -> None:
    check_symmetry(P["multiply"], [A, B], RNG)
    wrong = rule_replaced("multiply", 0, lambda g, y, a, b: multiply(g, b.detach()))
    with wrong, pytest.raises(AssertionError, match="not symmetric"):
        check_symmetry(P["multiply"], [A, B], RNG)


def test_differences_across_a_kink_are_refused() -> None:
    x = np.array([1e-4, 1.0])
    with pytest.raises(KinkCrossed, match="argument 0, entry"):
        richardson(lambda point: value(lambda t: tg.ops.mask(t, t > 0.0).sum(), point), [x], 0)
    smooth = richardson(lambda point: value(lambda t: (tg.exp(t) + t).sum(), point), [x], 0)
    np.testing.assert_allclose(smooth, np.exp(x) + 1, 1e-9)
