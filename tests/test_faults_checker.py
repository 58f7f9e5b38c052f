"""The checker's own faults, by their kind: no wrong derivation is certified, no right one accused, every word is true.

Each test is named after the number that its fault has in the list of faults that people found (1 to 17).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import verify_campaigns as campaigns

import tinygrad2 as tg
from tinygrad2 import nn, ops
from tinygrad2.verify import (
    Uncertified,
    WrongDerivation,
    check_double_vjp,
    check_jacobian,
    check_vjp,
    exercise,
    gradcheck,
    gradgradcheck,
    verify_network,
    verify_primitive,
)

X = np.array([0.7, -1.3, 2.0])


def square(x):
    return x * x


def square_rule(g, x):
    return 2 * g * x


# --- 1: the complex step is believed only where nothing is dropped

DROPS = {
    "abs": (lambda x: np.abs(x).sum(), np.sign),
    "real": (lambda x: (np.real(x) ** 2).sum(), lambda x: 2 * x),
    "vdot": (lambda x: np.vdot(x, x), lambda x: 2 * x),
    "norm": (lambda x: np.linalg.norm(x), lambda x: x / np.sqrt((x * x).sum())),
    "var": (lambda x: np.var(x), lambda x: 2 * (x - x.mean()) / x.size),
}


@pytest.mark.parametrize("factor", [3e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("name", DROPS)
def test_fault_1_a_dropped_real_part_is_seen(name: str, factor: float) -> None:
    part, slope = DROPS[name]
    f = lambda x: (x * x).sum() + factor * part(x)
    right = lambda g, x: g * (2 * x + factor * slope(x))
    dropped = lambda g, x: g * 2 * x
    assert check_vjp(f, right, X)
    assert gradcheck(f, X, vjp=right)
    assert check_vjp(f, dropped, X).verdict == "wrong"
    assert gradcheck(f, X, vjp=dropped).verdict == "wrong"


# --- 2: the given values are checked, and drawn ones are of their size


@pytest.mark.parametrize(
    ("f", "rule", "x"),
    [
        (lambda x: np.clip(x, -3, 3), lambda g, x: g, [5.0, -7.0]),
        (lambda x: np.maximum(x, 50.0), lambda g, x: 0 * g, [80.0, 20.0]),
        (lambda x: np.where(x > 1e6, x * x, x), lambda g, x: g, [3e6, 1.0]),
        (lambda x: np.maximum(x, 1e-6), lambda g, x: g, [1e-9, 2e-9]),
    ],
)
def test_fault_2_the_given_values_are_checked(f, rule, x) -> None:
    report = check_vjp(f, rule, np.array(x))
    assert report.verdict == "wrong"
    assert "the given values" in report.checked


def test_fault_2_the_report_says_what_was_checked() -> None:
    report = check_vjp(lambda x, w: x * w, lambda g, x, w: g * w, X * 100, X, wrt="x")
    assert report
    assert "dx at the given values, 3 points within 10 % of them, 8 drawn points" in report.checked
    assert "not checked: dw" in report.checked
    assert "x from -400 to " in report.checked


# --- 3: None is no claim


def forgot(*args):
    args[0] * 2


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_vjp(square, forgot, X),
        lambda: check_jacobian(square, forgot, X),
        lambda: check_double_vjp(square, forgot, X),
        lambda: exercise("tanh").check(forgot),
        lambda: exercise("softmax.jacobian").check(forgot),
        lambda: exercise("sigmoid.double").check(forgot),
        lambda: exercise("tanh").check(forgot, order=2),
    ],
)
def test_fault_3_a_forgotten_return_is_wrong_and_said(check) -> None:
    report = check()
    assert report.verdict == "wrong"
    assert "did you forget `return" in str(report)


def test_fault_3_part_of_the_inputs_is_checked_with_wrt() -> None:
    f = lambda x, w: x @ w
    rule = lambda g, x, w: x.T @ g
    examples = np.ones((2, 3)), np.ones((3, 4))
    for wrt in ("w", 1, ["w"], [1]):
        assert check_vjp(f, rule, *examples, wrt=wrt)
    assert check_vjp(f, lambda g, x, w: (g @ w.T, None), *examples).verdict == "wrong"
    with pytest.raises(ValueError, match="wrt='v' is no input"):
        check_vjp(f, rule, *examples, wrt="v")
    with pytest.raises(ValueError, match="nothing would be checked"):
        check_vjp(f, rule, *examples, wrt=[])


# --- 4: a budget is compared with its own entry


@pytest.mark.parametrize(
    ("f", "wrong", "right", "inputs"),
    [
        (
            lambda a, b: a * 1e10 + b,
            lambda g, a, b: (1e10 * g, 0 * g),
            lambda g, a, b: (1e10 * g, g),
            (np.array(0.3), np.array(0.7)),
        ),
        (
            lambda x: np.exp(200 * x),
            lambda g, x: g * 200 * np.exp(200 * x) * [0, 1],
            lambda g, x: g * 200 * np.exp(200 * x),
            (np.array([0.1, 1.0]),),
        ),
        (
            lambda x: x * [1e12, 1e-12],
            lambda g, x: g * [1e12, 1.0001e-12],
            lambda g, x: g * [1e12, 1e-12],
            (np.array([1.0, 2.0]),),
        ),
    ],
)
def test_fault_4_a_large_entry_hides_no_small_one(f, wrong, right, inputs) -> None:
    assert gradcheck(f, *inputs, vjp=wrong).verdict == "wrong"
    assert gradcheck(f, *inputs, vjp=right)
    assert check_vjp(f, wrong, *inputs).verdict == "wrong"


@pytest.mark.parametrize("f", [lambda x: np.exp(200 * x).sum(), lambda x: np.exp(200 * x).sum() + np.abs(0 * x).sum()])
def test_fault_4_what_is_lost_in_a_sum_is_not_certified(f) -> None:
    x = np.array([0.1, 1.0])
    report = gradcheck(f, x, vjp=lambda g, x: g * 200 * np.exp(200 * x) * [0, 1])
    assert report.verdict == "wrong" or "lost in rounding" in report.reason  # wrong where the tape can tell


# --- 5: changes in place


@pytest.mark.parametrize(("changed", "name"), [(0, "g"), (1, "x")])
def test_fault_5_changes_in_place_are_mistakes(changed: int, name: str) -> None:
    def rule(*args):
        result = 2 * args[0] * args[1]
        args[changed][...] = 0
        return result

    report = check_vjp(square, rule, X)
    assert report.mistakes == ["mutates"]
    assert f"write {name} = {name}.copy()" in str(report)
    with pytest.raises(ValueError, match="in place"):
        gradcheck(square, X, vjp=rule)


# --- 6: a check of nothing


@pytest.mark.parametrize(
    "call",
    [
        lambda x: check_vjp(square, square_rule, x),
        lambda x: check_jacobian(square, square_rule, x),
        lambda x: check_double_vjp(square, square_rule, x),
        lambda x: gradcheck(square, x),
        lambda x: gradgradcheck(square, x),
    ],
)
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_fault_6_a_check_of_nothing_is_refused(call, shape) -> None:
    with pytest.raises(ValueError, match="nothing would be checked"):
        call(np.zeros(shape))


# --- 7: under no_grad the checker records for itself


@pytest.mark.parametrize(
    "check",
    [
        lambda: gradcheck(lambda x: ops.tanh(x) * x, X),
        lambda: gradgradcheck(lambda x: ops.tanh(x) * x, X),
        lambda: verify_primitive(ops.tanh, X),
        lambda: verify_network(nn.Sequential(nn.Linear(3, 2, rng=0), nn.Tanh()), X[None]),
        lambda: check_vjp(ops.tanh, lambda g, x: g * (1.0 - ops.tanh(x) * ops.tanh(x)), X, order=2),
        lambda: check_double_vjp(lambda x: x * x * x, lambda g, u, x: (6 * x * g * u, 3 * x * x * u), X),
    ],
)
def test_fault_7_no_grad_changes_no_verdict(check) -> None:
    from tinygrad2.autodiff.node import is_recording

    with tg.no_grad():
        report = check()
        assert not is_recording()
    assert report, report


# --- 8: constant up to rounding


def batch_norm(x):
    d = x - x.mean(0)
    return d / np.sqrt((d * d).mean(0) + 1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: batch_norm(x).sum(),
        lambda x: (x - x.mean()).sum(),
        lambda x: (np.exp(x) / np.exp(x).sum()).sum(),
        lambda x: np.cos(x).dot(np.cos(x)) + np.sin(x).dot(np.sin(x)),
        lambda x: (np.abs(x) - np.abs(x).mean()).sum(),
    ],
)
def test_fault_8_a_constant_has_gradient_zero(f) -> None:
    for scale in (1e-6, 1.0):
        assert gradcheck(f, scale * X, vjp=lambda g, x: 0 * x), scale
    assert check_vjp(f, lambda g, x: 0 * x, X)
    assert check_vjp(f, lambda g, x: 1e-3 * g + 0 * x, X).verdict == "wrong"


# --- 9: dtypes


def test_fault_9_a_function_that_promotes_itself_may_have_a_rule_that_does() -> None:
    f = lambda x: np.tanh(x / np.sqrt(np.float64(x.shape[-1])))
    rule = lambda g, x: g * (1 - f(x) ** 2) / np.sqrt(np.float64(x.shape[-1]))
    assert check_vjp(f, rule, X)
    assert check_vjp(f, rule, X.astype(np.float32))
    assert check_vjp(f, rule, axes="n d")


def test_fault_9_the_dtype_hides_no_mistake() -> None:
    report = check_vjp(np.tanh, lambda g, x: (g * (1 - np.tanh(x))).astype(np.float64), axes="n d")
    assert report.mistakes == ["missing-factor"]
    assert any("comes out as float64" in note for note in report.notes)
    alone = check_vjp(np.tanh, lambda g, x: (g * (1 - np.tanh(x) ** 2)).astype(np.float64), axes="n d")
    assert alone.failed == "dtype"


# --- 11: functions of operators and methods


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x * x).sum(),
        lambda x: x**3,
        lambda x: (x / (x * x + 1)).mean(),
        lambda x: x.reshape(-1) @ x.reshape(-1),
        lambda x: ops.tanh(x).sum(),
    ],
)
def test_fault_11_what_a_newcomer_types_is_taken(f) -> None:
    for x in (np.array([1.0, 2.0]), [1.0, 2.0], np.array([1.0, 2.0], np.float32), tg.Tensor(np.array([1.0, 2.0]))):
        assert gradcheck(f, x)
        assert gradgradcheck(f, x)


# --- 12: nothing moves, and float32 is taken


def small_net(dtype):
    return nn.Sequential(nn.Linear(3, 4, rng=0, dtype=dtype), nn.BatchNorm1d(4, dtype=dtype), nn.Dropout(0.3, rng=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fault_12_a_network_is_checked_and_nothing_moves(dtype) -> None:
    net = small_net(dtype)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(dtype)
    copy = x.copy()
    before = {name: a.copy() for name, a in net.state_dict().items()}
    state = nn.rng_state(net)
    common = np.random.get_state()[1].copy()  # noqa: NPY002
    for f in (net, lambda x: net(x), lambda x: ops.tanh(net(x)).sum()):
        assert gradcheck(f, x), f
        assert gradgradcheck(f, x), f
    assert verify_network(net, x)
    after = net.state_dict()
    assert all(a.dtype == before[name].dtype and np.array_equal(a, before[name]) for name, a in after.items())
    assert nn.rng_state(net) == state
    assert np.array_equal(np.random.get_state()[1], common)  # noqa: NPY002
    assert np.array_equal(x, copy)


# --- 13: words about broken rules


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, x: (g * 2 * x)[:, None] + np.ones((3, 4))[:2],
        lambda g, x: list(g * x),
        lambda g, x: [[1.0, 2.0], [3.0]],
    ],
)
def test_fault_13_a_rule_that_breaks_mixes_no_samples(rule) -> None:
    report = check_vjp(square, rule, np.ones((2, 3)) + 1)
    assert report.verdict == "wrong"
    assert "mixes samples" not in str(report)


def test_fault_13_a_nested_list_is_an_array() -> None:
    assert check_vjp(square, lambda g, x: (2 * g * x).tolist(), np.ones((2, 3)))
    assert check_vjp(square, lambda g, x: (2 * g * x).tolist(), np.ones(3))


# --- 14: reasons are told apart

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("f", "x", "reason"),
    [
        (np.abs, [0.0, 1.0], r"on a kink: the slope is -1 on one side and 1 on the other"),
        (lambda x: np.maximum(x, 2 * x), [0.0], r"on a kink: the slope is 1 .* 2"),
        (lambda x: x + 1e-3 * np.abs(x - 1e-9), [1e-9], "on a kink"),
        (np.sqrt, [0.0, 1.0], "edge of the domain"),
        (np.log, [-1.0, 1.0], "not finite"),
        (lambda x: x + RNG.normal(size=x.shape), [1.0, 2.0], "two values for one input"),
        (lambda x: x * np.random.uniform(), [1.0], "two values for one input"),  # noqa: NPY002
    ],
)
def test_fault_14_the_reason_is_the_true_one(f, x, reason: str) -> None:
    report = gradcheck(f, np.array(x), vjp=lambda g, x: g + 0 * x)
    assert report.verdict == "uncertified", report
    assert not report
    assert not report.ok
    with pytest.raises(Uncertified, match=reason):
        report.raise_for_error()


def test_fault_14_random_functions_are_uncertified_everywhere() -> None:
    report = check_vjp(lambda x: x + RNG.normal(size=x.shape), lambda g, x: g, X)
    assert report.verdict == "uncertified"
    assert "two values for one input" in str(report)
    assert report.as_dict()["verdict"] == "uncertified"


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_fault_14_tiny_and_huge_scales_are_no_kinks(scale: float) -> None:
    for f, slope in ((lambda x: x**3, lambda x: 3 * x**2), (np.abs, np.sign)):
        assert check_vjp(f, lambda g, x, slope=slope: g * slope(x), scale * X)
        assert check_vjp(f, lambda g, x, slope=slope: 1.001 * g * slope(x), scale * X).verdict == "wrong"


def test_fault_14_kinks_of_examples_are_moved_away_from_and_told() -> None:
    report = check_vjp(np.abs, lambda g, x: g * np.sign(x), np.zeros(3))
    assert report
    assert "the given values cannot be checked, on a kink: the slope is -1 on one side and 1" in str(report)


# --- 15: a case is reproduced with the numbers that are shown


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("tanh", lambda g, x: g * (1 - np.tanh(x))),
        ("softmax", lambda g, z: g),
        ("matmul", lambda g, a, b: (-g @ b.T, a.T @ g)),
        ("tanh.double", lambda g, u, x: (g * u, u)),
    ],
)
def test_fault_15_the_case_gives_the_numbers_of_the_report(name: str, rule) -> None:
    from tinygrad2.verify.counterexample import compact

    known = {e: exercise(e) for e in tg.exercises()}
    name = name if name in known else "sigmoid.double"
    report = known[name].check(rule)
    worked = known[name].case(report.case)
    shown = "\n".join(report.example)
    for label, a in worked.inputs.items():
        assert f"{label} = {compact(a)}" in shown
    for label, a in worked.expected.items():
        assert f"your {label} =" not in shown or f"expected = {compact(a)}" in shown


# --- 16: the table of a network


def test_fault_16_one_wrong_layer_is_one_wrong_layer() -> None:
    class Bad(nn.Layer):
        def apply(self, x):
            y, reverse = nn.Tanh().apply(x)

            class Half(type(reverse)):
                def vjp(self, u):
                    return reverse.vjp(u) * 0.5

            return y, Half(*[getattr(reverse, name) for name in type(reverse).__dataclass_fields__])

    report = verify_network(nn.Sequential(nn.Linear(3, 3, rng=0), Bad(), nn.Linear(3, 2, rng=0)), np.ones((1, 3)))
    assert not report
    assert [bool(row.wrong) for row in report.rows] == [False, False, True, False]
    assert report.rows[0].inside == ["1"]
    assert "holds a wrong layer: 1" in str(report)
    for column in ("reverse=tape", "1st order", "2nd order", "kink margin", "dtype"):
        assert f"{column}: " in str(report)


def test_fault_16_errors_are_shown_as_they_are() -> None:
    report = verify_network(nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh()), X[None])
    errors = [e for row in report.rows for e in (row.first, row.second)]
    assert all(e is not None and e >= 0 for e in errors)
    assert any(e > 0 for e in errors)


# --- 17: inputs that are no arrays of floats


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: check_vjp(square, square_rule, np.array([1, 2])), TypeError, "write 1.0 for 1"),
        (lambda: check_vjp(square, square_rule, [1, 2]), TypeError, "write 1.0 for 1"),
        (lambda: gradcheck(square, np.array([1, 2])), TypeError, "write 1.0 for 1"),
        (lambda: gradgradcheck(square, 3), TypeError, "write 1.0 for 1"),
        (lambda: check_vjp(square, square_rule, "x"), TypeError, "array of numbers"),
        (lambda: check_vjp(square, square_rule, [[1.0], [1.0, 2.0]]), TypeError, "one array"),
        (lambda: check_vjp(lambda x, w: x * w, square_rule, X), TypeError, "1 input"),
        (lambda: check_vjp(square, square_rule, X, X), TypeError, "2 inputs"),
        (lambda: check_vjp(square, 3, X), TypeError, "function"),
    ],
)
def test_fault_17_each_wrong_input_gets_a_sentence(call, error, match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_fault_17_a_list_of_numbers_is_one_array() -> None:
    assert check_vjp(square, square_rule, [1.0, 2.0])
    assert check_vjp(lambda x: x @ x, lambda g, x: g * (x + x.T) if x.ndim == 1 else g, [1.0, 2.0])
    assert gradcheck(square, [1.0, 2.0], vjp=square_rule)


def test_fault_17_a_rule_of_another_arity_breaks_with_a_sentence() -> None:
    report = check_vjp(square, lambda g: g, X)
    assert report.failed == "signature"
    assert "positional argument" in str(report)


# --- the three verdicts, and the campaigns


def test_wrong_and_uncertified_reports_raise_different_errors() -> None:
    with pytest.raises(WrongDerivation):
        gradcheck(square, X, vjp=lambda g, x: g * x).raise_for_error()
    loop = lambda x: math.fsum(float(v) ** 2 for v in x)
    assert gradcheck(lambda x: np.array(loop(x)), X, vjp=lambda g, x: 2 * g * x)


def test_random_right_rules_are_never_accused() -> None:
    result = campaigns.random_right(campaigns.SUITE["random"])
    assert not result["accused"], result
    assert result["uncertified"] <= 0.005 * result["rules"], result
    assert all("lost in rounding" in reason for reason in result["reasons"])


def test_rules_wrong_in_one_entry_are_never_certified() -> None:
    result = campaigns.one_entry(campaigns.SUITE["one entry"])
    assert not result["certified"], result
