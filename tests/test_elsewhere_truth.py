"""tests/elsewhere holds wrong derivations by hand: here every right rule is shown right, and every wrong rule wrong."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from elsewhere import ALL
from elsewhere.form import KINDS, Function

RIGHT = 1e-7
WRONG = 1e-3
STEP = 1e-3


def array(value) -> np.ndarray:
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value, dtype=np.float64)


def slope(f, inputs, k, at):
    """∂f/∂inputs[k][at] by central differences of the fourth order."""

    def moved(steps):
        xs = [x.copy() for x in inputs]
        xs[k][at] += steps * STEP
        return array(f(*xs))

    return (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * STEP)


def jacobian(f, inputs, k):
    """∂f/∂inputs[k], shape output + input."""
    columns = [slope(f, inputs, k, at) for at in np.ndindex(inputs[k].shape)]
    out = columns[0].shape
    return np.moveaxis(np.reshape(columns, (*inputs[k].shape, *out)), range(inputs[k].ndim), range(-inputs[k].ndim, 0))


def gradients(f, inputs, cotangent):
    return [np.tensordot(cotangent, jacobian(f, inputs, k), cotangent.ndim) for k in range(len(inputs))]


def calls(entry: Function, inputs, rng):
    """What a rule is called with, and the right answer."""
    out = array(entry.forward(*inputs))
    if entry.check == "jacobian":
        (x,) = inputs
        return (x,), [jacobian(entry.forward, inputs, 0)]
    g = np.asarray(rng.standard_normal(out.shape))
    if entry.check == "vjp":
        return (g, *inputs), gradients(entry.forward, inputs, g)
    (x,) = inputs
    u = np.asarray(rng.standard_normal(x.shape))
    dg, dx = gradients(entry.vjp, [g, x], u)
    return (g, u, x), [dx, dg]


def answer(rule, arguments) -> list[np.ndarray]:
    kept = [a.copy() for a in arguments]
    value = rule(*arguments)
    assert all(np.array_equal(a, b) for a, b in zip(arguments, kept, strict=True)), "the rule changed its arguments"
    return [array(v) for v in (value if isinstance(value, tuple | list) else (value,))]


def errors(claimed, expected) -> list[float]:
    """The largest error of each gradient, relative to the largest entry; infinite where the shape is wrong."""
    assert len(claimed) == len(expected)
    return [
        np.abs(c - e).max() / np.abs(e).max() if c.shape == e.shape else np.inf
        for c, e in zip(claimed, expected, strict=True)
    ]


@pytest.fixture(params=ALL, ids=lambda entry: entry.name)
def entry(request) -> Function:
    return request.param


CASES = {}


def cases(entry: Function):
    """The arguments and right answers at the example and at a point near it."""
    if entry.name not in CASES:
        rng = np.random.default_rng(0)
        near = tuple(np.asarray(x + 0.01 * np.abs(x).mean() * rng.uniform(-1, 1, x.shape)) for x in entry.inputs)
        CASES[entry.name] = [calls(entry, entry.inputs, rng), calls(entry, near, rng)]
    return CASES[entry.name]


def test_right_rules_are_right(entry):
    assert entry.right
    for arguments, expected in cases(entry):
        for rule in entry.right:
            assert max(errors(answer(rule, arguments), expected)) < RIGHT, rule
    if entry.check == "double_vjp":
        (x,) = entry.inputs
        g = np.random.default_rng(1).standard_normal(np.shape(entry.forward(x)))
        assert max(errors(answer(entry.vjp, (g, x)), gradients(entry.forward, [x], g))) < RIGHT


def test_wrong_rules_are_wrong(entry):
    for arguments, expected in cases(entry):
        for wrong in entry.wrong:
            claimed = answer(wrong.rule, arguments)
            assert all(np.isfinite(c).all() for c in claimed), wrong.name
            assert max(errors(claimed, expected)) > WRONG, wrong.name


def test_factors_and_signs_are_what_they_say(entry):
    """A "factor" or "sign" is constant over the whole gradient of an input; other kinds are not a mere sign."""
    arguments, expected = cases(entry)[0]
    for wrong in entry.wrong:
        claimed = answer(wrong.rule, arguments)
        off = [k for k, error in enumerate(errors(claimed, expected)) if error > WRONG]
        ratios = []
        for k in off:
            if claimed[k].shape == expected[k].shape and np.all((expected[k] != 0) | (np.abs(claimed[k]) < 1e-9)):
                ratio = np.sum(claimed[k] * expected[k]) / np.sum(expected[k] ** 2)
                if ratio and errors([claimed[k]], [ratio * expected[k]])[0] < 1e-6:
                    ratios.append(ratio)
        if wrong.kind == "factor":
            assert ratios, f"{wrong.name} is not a constant factor"
        if wrong.kind == "sign":
            assert any(abs(ratio + 1) < 1e-6 for ratio in ratios), f"{wrong.name} is not a sign"


def test_lines_and_kinds_exist(entry):
    source = inspect.getsource(entry.forward)
    for wrong in entry.wrong:
        assert wrong.kind in KINDS, wrong.name
        assert wrong.truth.endswith(".") and wrong.accepts, wrong.name
        assert any(wrong.line in line for line in source.splitlines()), (wrong.name, wrong.line)


def test_wrong_rules_of_a_function_differ(entry):
    arguments, _ = cases(entry)[0]
    answers = [answer(wrong.rule, arguments) for wrong in entry.wrong]
    for i, a in enumerate(answers):
        for j in range(i):
            same = all(p.shape == q.shape and np.allclose(p, q) for p, q in zip(a, answers[j], strict=True))
            assert not same, (entry.wrong[i].name, entry.wrong[j].name)


def test_counts_and_names():
    assert len(ALL) >= 64
    assert sum(len(entry.wrong) for entry in ALL) >= 320
    assert 2 * sum(len(entry.right) >= 2 for entry in ALL) >= len(ALL)
    names = [entry.name for entry in ALL]
    assert len(set(names)) == len(names)
    for entry in ALL:
        names = [wrong.name for wrong in entry.wrong]
        assert len(set(names)) == len(names) and len(names) >= 4, entry.name
