"""The derivation checker: what is right passes, what is wrong falls, and a name is given only to what it repairs."""

from __future__ import annotations

import doctest
import inspect
import json

import numpy as np
import pytest
import verify_campaigns as campaigns
from verify_heldout import HELD_OUT
from verify_mistakes import MISTAKES

from tinygrad2 import ops, verify
from tinygrad2.verify import (
    WrongDerivation,
    check_double_vjp,
    check_jacobian,
    check_vjp,
    exercise,
    exercises,
)
from tinygrad2.verify.space import Space

NAMES = {
    "sign",
    "factor",
    "transpose",
    "flip",
    "swap",
    "unsummed",
    "broadcast",
    "mask",
    "wrong-index",
    "missing-factor",
    "missing-term",
    "ignores-cotangent",
    "shape",
    "dtype",
    "mutates",
    "nonlinear",
    "second-order",
}


def softmax(z):
    e = np.exp(z)
    return e / e.sum(-1, keepdims=True)


def softmax_rule(g, z):
    y = softmax(z)
    return y * (g - (g * y).sum(-1, keepdims=True))


# --- exercises and examples


@pytest.mark.parametrize("name", verify.__all__)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(verify, name), name)
    assert example.examples, f"{name} has no example"
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", exercises())
def test_every_solution_can_be_read(name: str) -> None:
    solution = exercise(name).solution
    assert inspect.getsource(solution).startswith(f"def {solution.__name__}(")


@pytest.mark.parametrize("name", exercises())
def test_every_solution_is_right(name: str) -> None:
    ex = exercise(name)
    report = ex.check(ex.solution, seed=1)
    assert report, report
    assert len({ex.hint(n) for n in (1, 2, 3)}) == 3
    assert name in repr(ex)


@pytest.fixture(scope="module")
def verdicts():
    return campaigns.mistakes(len(MISTAKES))


def test_every_known_mistake_is_rejected_and_most_are_named(verdicts) -> None:
    assert len(MISTAKES) >= 120
    assert {m.exercise.partition(".")[0] for m in MISTAKES} >= {name.partition(".")[0] for name in exercises()}
    assert not verdicts["accepted"]
    assert not verdicts["misnamed"], "\n".join(verdicts["misnamed"])
    assert verdicts["named"] >= 0.9 * len(MISTAKES)
    assert {n for m in MISTAKES for n in m.name.split("|") if n} <= NAMES


@pytest.mark.parametrize("m", HELD_OUT, ids=lambda m: f"{m.exercise}: {m.what}")
def test_mistakes_that_nothing_was_tuned_to_are_rejected_and_never_misnamed(m) -> None:
    report = exercise(m.exercise).check(m.rule)
    assert not report
    named = set(report.mistakes) - {"second-order"}
    assert named <= set(m.name.split("|")), report


def test_every_name_repairs_points_that_the_diagnosis_has_not_seen() -> None:
    assert not campaigns.unsound(3, every=3)["unsound"]


def test_right_derivations_raise_no_alarm() -> None:
    result = campaigns.right(campaigns.SUITE["right"])
    assert not result["alarms"], result
    assert result["skipped"] <= 0.01 * result["configurations"]


def test_a_name_that_does_not_repair_every_case_is_not_given() -> None:
    def rule(g, z):  # right but for a sign in rows of two entries
        return softmax_rule(g, z) * (-1 if z.shape[1] == 2 else 1)

    report = check_vjp(softmax, rule, axes="n k", sizes={"k": (2, 4)})
    assert not report
    assert report.diagnosis is None
    assert report.mistakes == []
    table = report.failures_by_configuration
    assert table["k=2"][0] == 0
    assert table["k=3"][0] == table["k=3"][1] > 0
    assert "k=2: 0 of" in str(report)


# --- the smallest case


def test_the_smallest_case_of_a_flipped_kernel_is_a_kernel_of_two() -> None:
    ex = exercise("conv2d.dw")
    report = ex.check(lambda *a, **p: ex.solution(*a, **p)[:, :, ::-1, ::-1])
    worked = ex.case(report.case)
    assert worked.inputs["w"].size == 2
    assert worked.inputs["x"].shape[:2] == (1, 1)
    assert worked.params["stride"] == 1
    assert report.mistakes == ["flip"]
    assert "cross-correlation" in report.diagnosis
    np.testing.assert_allclose(
        ex.solution(worked.g, *worked.inputs.values(), **worked.params), worked.expected["dw"], atol=1e-9
    )


def test_a_mistake_with_the_stride_is_shown_by_configuration() -> None:
    def unstrided(g, x, w, b, stride, padding):
        from tinygrad2.verify.book.convolution import windows

        seen = windows(x, *w.shape[2:], 1, padding)[:, :, : g.shape[2], : g.shape[3]]
        return np.einsum("nchwij,nohw->ocij", seen, g)

    report = exercise("conv2d.dw").check(unstrided)
    right, wrong = (report.failures_by_configuration[f"stride={s}"] for s in (1, 2))
    assert right[0] == right[1] > 0
    assert wrong[0] < wrong[1]
    assert "stride=2" in report.case


def test_ones_do_not_catch_what_random_cotangents_do() -> None:
    assert not exercise("softmax").check(lambda g, z: 2 * softmax_rule(g, z)).ones_would_catch
    assert exercise("relu").check(lambda g, x: 2 * g).ones_would_catch


# --- the ladder


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        (lambda: 0, "signature"),
        (lambda g, z: {}["x"], "signature"),
        (lambda g, z: (g, g, g), "signature"),
        (lambda g, z: "no", "signature"),
        (lambda g, z: g * 1j, "signature"),
        (lambda g, z: [[1], [2, 3]], "signature"),
        (lambda g, z: exit(), "signature"),
        (lambda g, z: g[0], "shape"),
        (lambda g, z: softmax_rule(g, z).astype(np.float64), "dtype"),
        (lambda g, z: g / (z * 0), "finite"),
        (lambda g, z: (z.__imul__(2), g)[1], "unmutated"),
        (lambda g, z: g * g, "linear in g"),
        (lambda g, z: g, "adjoint"),
    ],
)
def test_each_step_stops_what_it_is_for(rule, step: str) -> None:
    report = check_vjp(softmax, rule, axes="n k", sizes={"n": (2, 3), "k": (2, 3)})
    assert report.failed == step, report
    assert f"({step})" in str(report)
    with pytest.raises(WrongDerivation, match="WRONG"):
        report.raise_for_error()


def test_an_input_that_wrt_leaves_out_is_not_judged() -> None:
    examples = np.ones((2, 3)), np.ones((3, 4))
    product = lambda x, w: x @ w
    assert check_vjp(product, lambda g, x, w: x.T @ g, *examples, wrt="w")
    assert not check_vjp(product, lambda g, x, w: x.T @ g * 2, *examples, wrt="w")
    assert not check_vjp(product, lambda g, x, w: (None, x.T @ g), *examples)


def test_integer_inputs_are_held() -> None:
    def rule(g, table, rows):
        d = np.zeros_like(table)
        np.add.at(d, rows, g)
        return d

    assert check_vjp(lambda table, rows: table[rows], rule, np.ones((4, 2)), np.array([0, 2, 2]))


def test_points_are_moved_into_the_domain_and_the_report_says_so() -> None:
    report = check_vjp(np.log, lambda g, x: g / x, np.ones((2, 3)))
    assert report
    assert "moved the point (positive values)" in str(report)
    wrong = check_vjp(np.arcsin, lambda g, x: g / np.sqrt(1 + x * x), np.full(3, 0.5))
    assert not wrong


def test_functions_that_take_no_complex_numbers_are_measured_by_differences() -> None:
    def f(x):
        return np.abs(x) * np.linalg.norm(x)

    def rule(g, x):
        r = np.linalg.norm(x)
        return g * np.sign(x) * r + x * (g * np.abs(x)).sum() / r

    assert check_vjp(f, rule, np.ones(4))
    assert not check_vjp(f, lambda g, x: g * np.sign(x) * np.linalg.norm(x), np.ones(4))


def test_rules_in_tensors_are_checked_in_both_orders() -> None:
    f = lambda x: ops.tanh(x)
    assert check_vjp(f, lambda g, x: g * (1.0 - ops.tanh(x) * ops.tanh(x)), np.ones((2, 2)), order=2)
    report = check_vjp(f, lambda g, x: g * (1.0 - (ops.tanh(x) * ops.tanh(x)).detach()), np.ones((2, 2)), order=2)
    assert report.failed == "order 2"
    assert report.mistakes == ["second-order"]


# --- Jacobians and double backwards


def test_a_jacobian_may_have_either_shape() -> None:
    f = lambda x: np.tanh(x).sum(-1)
    flat = lambda x: np.repeat(np.eye(len(x)), x.shape[1], 1) * (1 - np.tanh(x).ravel() ** 2)
    assert check_jacobian(f, flat, axes="n d")
    assert check_jacobian(f, lambda x: flat(x).reshape(len(x), *x.shape), axes="n d")
    report = check_jacobian(f, lambda x: flat(x).T, axes="n d")
    assert report.mistakes == ["transpose"]


def test_a_mistake_of_first_order_is_told_from_one_of_second_order() -> None:
    t = np.tanh
    right_first = lambda g, x: g * (1 - t(x) ** 2)
    wrong_first = lambda g, x: g * (1 - t(x))
    right_second = lambda g, u, x: (-2 * t(x) * (1 - t(x) ** 2) * g * u, (1 - t(x) ** 2) * u)
    wrong_second = lambda g, u, x: (-2 * t(x) * g * u, (1 - t(x) ** 2) * u)
    inherited = lambda g, u, x: (-(1 - t(x) ** 2) * g * u, (1 - t(x)) * u)

    assert check_double_vjp(t, right_second, np.ones(3), vjp=right_first)
    second = check_double_vjp(t, wrong_second, np.ones(3), vjp=right_first)
    assert "second-order" in second.mistakes
    assert "first-order rule is right" in str(second)
    first = check_double_vjp(t, inherited, np.ones(3), vjp=wrong_first)
    assert "second-order" not in first.mistakes
    assert "The mistake is of first order" in first.diagnosis
    assert "right derivative of your own, wrong, first-order rule" in str(first)


def test_exercises_take_order_two() -> None:
    ex = exercise("tanh")
    t = np.tanh
    rule = lambda g, u, x: (-2 * t(x) * (1 - t(x) ** 2) * g * u, (1 - t(x) ** 2) * u)
    assert ex.check(rule, order=2)
    report = ex.check(lambda g, u, x: (-rule(g, u, x)[0], rule(g, u, x)[1]), order=2, vjp=ex.solution)
    assert report.mistakes == ["sign", "second-order"]
    with pytest.raises(ValueError, match="order"):
        ex.check(rule, order=3)


def test_order_two_of_a_function_that_drops_the_imaginary_part_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"np\.where"):
        check_double_vjp(np.abs, lambda g, u, x: (0 * x, np.sign(x) * u), np.ones(3))


def test_functions_of_tensors_have_double_backwards_too() -> None:
    report = check_double_vjp(
        lambda x: ops.tanh(x) * x, lambda g, u, x: (g * u * _second(x), u * _first(x)), np.ones(3)
    )
    assert report, report


def _first(x):
    return np.tanh(x) + x * (1 - np.tanh(x) ** 2)


def _second(x):
    return 2 * (1 - np.tanh(x) ** 2) * (1 - x * np.tanh(x))


# --- the report


def test_the_report_is_escaped_in_notebooks() -> None:
    report = check_vjp(np.tanh, lambda g, x: {}["<script>alert(1)</script>"], np.ones(2), name="<b>me</b>")
    page = report._repr_html_()
    assert "<script>" not in page
    assert "<b>me" not in page
    assert "&lt;script&gt;" in page


def test_the_report_is_json() -> None:
    content = json.loads(json.dumps(exercise("relu").check(lambda g, x: 2 * g).as_dict()))
    assert content["ok"] is False
    assert content["text"].startswith("relu   WRONG")


def test_the_report_never_raises_for_the_learner_and_says_where_it_broke() -> None:
    def rule(g, x):
        return g @ np.ones((99, 99))

    report = exercise("relu").check(rule)
    assert not report
    assert "return g @ np.ones((99, 99))" in str(report)


def test_a_second_mistake_beside_a_named_one_is_not_hidden() -> None:
    report = exercise("matmul").check(lambda g, a, b: (-g @ b.T, np.cos(a.T @ g)))
    assert "sign" in report.mistakes or report.failed == "linear in g"
    assert "no single known mistake explains db" in str(report)


# --- wrong use


def rule(g, x):
    return g


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: check_vjp(np.tanh, rule), ValueError, "axes="),
        (lambda: check_vjp(np.tanh, rule, np.ones(2), axes="n"), ValueError, "either"),
        (lambda: check_vjp(3, rule, np.ones(2)), TypeError, "function"),
        (lambda: check_vjp(lambda x: x[9], rule, np.ones(2)), ValueError, "cannot be evaluated"),
        (lambda: check_vjp(np.tanh, rule, axes="n 1k"), ValueError, "1k"),
        (lambda: check_vjp(np.tanh, rule, axes="n", params={"stride": 1}), ValueError, "stride"),
        (lambda: check_vjp(np.tanh, rule, axes="n", valid=lambda **_: False), ValueError, "valid"),
        (lambda: check_vjp(np.tanh, rule, np.ones(9999)), TypeError, "smaller examples"),
        (lambda: exercise("conv2d.dW"), ValueError, r"conv2d\.dw"),
        (lambda: exercise("relu").hint(4), ValueError, "1, 2 and 3"),
        (lambda: exercise("relu").case("n=1"), ValueError, "missing d"),
        (lambda: exercise("relu").case("n=1, d=1, q=2"), ValueError, "unknown q"),
        (lambda: exercise("softmax.jacobian").check(rule, order=2), ValueError, "first order"),
    ],
)
def test_wrong_use_says_what_to_do(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_case_is_what_it_prints() -> None:
    space = Space("n c, c k", {"stride": [1, 2], "mode": ["same", "valid"]})
    rng = np.random.default_rng(0)
    for _ in range(20):
        case = space.draw(rng)
        assert space.parse(str(case)) == case
        assert space.inputs(case)[0].shape[1] == space.inputs(case)[1].shape[0]
