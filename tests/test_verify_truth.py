"""Measured derivatives agree with calculus; gradcheck accepts what is right, rejects what is wrong, and says where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad2 import nn, ops
from tinygrad2.verify import Uncertified, WrongDerivation, check_vjp, gradcheck, gradgradcheck
from tinygrad2.verify.kinks import KINKS, watching
from tinygrad2.verify.truth import Measured

X = np.random.default_rng(0).normal(size=(2, 3))


@pytest.mark.parametrize(
    ("f", "slope", "scheme"),
    [
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2, "complex"),
        (lambda x: np.maximum(x, 0), lambda x: x > 0, "complex"),
        (lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1, 0.1), "complex"),
        (np.abs, np.sign, "Richardson"),  # the modulus drops the imaginary part
        (lambda x: x.astype(np.float64) ** 3, lambda x: 3 * x**2, "Richardson"),
        (lambda x: np.array([[float(v) ** 2 for v in row] for row in x]), lambda x: 2 * x, "Richardson"),
        (lambda x: ops.abs(x) * 2.0, lambda x: 2 * np.sign(x), "complex"),
    ],
)
def test_the_measured_slope_is_that_of_calculus(f, slope, scheme) -> None:
    estimate = Measured(f, [X]).jacobian()
    assert estimate.scheme.startswith(scheme)
    error = np.abs(estimate.value - np.diag(np.ravel(slope(X)).astype(float)))
    assert (error <= 4 * estimate.budget + 1e-12).all()
    assert estimate.budget.max() < 1e-7


@pytest.mark.parametrize("f", [lambda x: np.maximum(x, 0), ops.relu, np.abs, lambda x: ops.norm(x), np.sqrt])
def test_a_point_on_a_kink_or_an_edge_is_refused(f) -> None:
    with pytest.raises(Uncertified), np.errstate(all="ignore"):
        Measured(f, [np.zeros(2)]).jacobian()


@given(st.integers(0, 10**6), st.integers(1, 300))
def test_differences_never_cross_a_kink_however_many_units_there_are(seed: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(units, 4))
    report = gradcheck(lambda x: ops.relu(ops.linear(x, w)).sum(-1), rng.normal(size=(1, 4)))
    # A kink 4e-6 away leaves steps that are too short for a small entry beside large ones: that is said, and rare.
    assert report.ok or "UNCERTIFIED: lost in rounding" in str(report), report


def test_the_margin_is_the_distance_to_the_nearest_kink() -> None:
    x = np.array([[3.0, -0.5, 2.0, 2.25]])
    for f, margin in {
        ops.relu: 0.5,
        lambda x: ops.clip(x, 0.0, 2.5): 0.25,
        lambda x: ops.max(x, 1): 0.75,
        lambda x: ops.maximum(x, 1.9): 0.1,
        lambda x: ops.max_pool2d(x.reshape(1, 1, 2, 2), 2): 0.75,
        lambda x: ops.max_pool2d(x.reshape(1, 1, 2, 2), 2, padding=1): np.inf,
    }.items():
        with watching() as sides:
            f(ops.positive(x) if f is None else nn.Identity()(x))
        assert sides.margin == pytest.approx(margin)


def test_all_kinks_named_are_primitives() -> None:
    from tinygrad2.autodiff import REGISTRY

    assert set(KINKS) <= set(REGISTRY)


def test_arguments_may_be_nested() -> None:
    def f(p, k):
        return {"a": ops.norm(p["a"]) * p["b"][0], "b": p["b"][1].exp()[k]}

    given = {"a": np.ones(3), "b": [np.array(2.0), np.arange(3.0)]}
    assert gradcheck(f, given, np.array([0, 2]))
    assert gradgradcheck(f, given, np.array([0, 2]))


def test_a_wrong_entry_is_named_with_both_values() -> None:
    def rule(g, x):
        wrong = g * (1 - np.tanh(x) ** 2)
        wrong[1, 2] *= 2
        return wrong

    report = gradcheck(np.tanh, X, vjp=rule)
    assert not report
    assert len(report.lines) == 1
    assert "[1, 2]: expected" in report.lines[0]
    assert "complex step" in str(report)
    with pytest.raises(WrongDerivation, match=r"\[1, 2\]"):
        report.raise_for_error()


def test_a_rule_that_detaches_is_right_in_first_and_wrong_in_second_order() -> None:
    from tinygrad2.autodiff import REGISTRY, Primitive

    forgetful = Primitive("forgetful_square", lambda x: x * x).defvjp(lambda g, y, x: g * (x.detach() * 2.0))
    try:
        assert gradcheck(lambda x: forgetful(x), X)
        assert not gradgradcheck(lambda x: forgetful(x), X)
    finally:
        del REGISTRY["forgetful_square"]


def test_numpy_functions_are_checked_in_both_orders() -> None:
    def rule(g, x):
        return 3 * x * x * g

    assert gradgradcheck(lambda x: x**3, X, vjp=rule, double_vjp=lambda g, u, x: (6 * x * g * u, 3 * x * x * u))
    assert not gradgradcheck(lambda x: x**3, X, vjp=rule, double_vjp=lambda g, u, x: (3 * x * g * u, 3 * x * x * u))


def test_many_inputs_are_checked_along_directions() -> None:
    x = np.random.default_rng(1).normal(size=(1, 5000))
    assert gradcheck(lambda x: ops.tanh(x).sum(), x)
    wrong = gradcheck(lambda x: np.tanh(x).sum(), x, vjp=lambda g, x: g * (1 - np.tanh(x)))
    assert not wrong.ok
    assert "direction" in str(wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_is_right_in_both_orders(dtype) -> None:
    net = nn.models.mlp(6, (8, 5), 3, rng=0, dtype=np.float64)
    x = np.random.default_rng(2).normal(size=(2, 6)).astype(dtype)
    assert gradcheck(net, x)
    assert gradgradcheck(net, x)


def untraced(x):
    """A function that no tape can follow: it takes the numbers out of their array."""
    return np.array([float(v) ** 2 for v in np.asarray(x, np.float64).ravel()])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: gradcheck(untraced, X), TypeError, "vjp="),
        (lambda: gradgradcheck(untraced, X), TypeError, "double_vjp="),
        (lambda: gradcheck(lambda x: x.argmax(), X), TypeError, "real numbers"),
        (lambda: gradcheck(np.tanh, X, vjp=lambda g, x: g[0]), ValueError, r"\(2, 3\)"),
    ],
)
def test_what_cannot_be_checked_says_what_to_do(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_draws_are_given_by_the_numbers_of_inputs() -> None:
    mask = lambda rng, shape, sizes: rng.integers(0, 2, shape)
    assert check_vjp(lambda x, m: x * m, lambda g, x, m: g * m, axes="n, n", draws={1: mask}).ok
    with pytest.raises(ValueError, match="the number of an input, from 0 to 1, got 'm'"):
        check_vjp(lambda x, m: x * m, lambda g, x, m: g * m, axes="n, n", draws={"m": mask})
