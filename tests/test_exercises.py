"""The book of exercises: statements, solutions that can be read and pasted, both orders, known-wrong answers."""

from __future__ import annotations

import numpy as np
import pytest
from verify_mistakes import MISTAKES

import tinygrad2 as tg
from tinygrad2 import ops
from tinygrad2.cli import main
from tinygrad2.verify import exercise, exercises

# The exercises on parts of newer networks, each with its forward function once more, in Tensors.


def attention(q, k, v):
    return ops.softmax(q @ ops.transpose(k, (1, 0)) / q.shape[1] ** 0.5, -1) @ v


def cosine(a, b):
    return ops.sum(a * b, -1) / (ops.sqrt(ops.sum(a * a, -1)) * ops.sqrt(ops.sum(b * b, -1)))


def gelu(x):
    return 0.5 * x * (1.0 + ops.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


def layer_norm(x, weight, bias, eps):
    centred = x - ops.mean(x, -1, keepdims=True)
    return centred / ops.sqrt(ops.mean(centred * centred, -1, keepdims=True) + eps) * weight + bias


def rms_norm(x, weight, eps):
    return x / ops.sqrt(ops.mean(x * x, -1, keepdims=True) + eps) * weight


def input_gradient(x, w1, w2):
    t = ops.tanh(x @ ops.transpose(w1, (1, 0)))
    return (w2 * (1.0 - t * t)) @ w1


def gradient_penalty(x, w1, w2):
    v = input_gradient(x, w1, w2)
    away = ops.sqrt(ops.sum(v * v, -1)) - 1.0
    return ops.mean(away * away)


IN_TENSORS = {
    "attention": attention,
    "attention.scores": lambda q, k: q @ ops.transpose(k, (1, 0)) / q.shape[1] ** 0.5,
    "attention.values": lambda s, v: ops.softmax(s, -1) @ v,
    "cosine_similarity": cosine,
    "gelu": gelu,
    "gradient_penalty": gradient_penalty,
    "layer_norm": layer_norm,
    "logsumexp": lambda z: ops.logsumexp(z, -1),
    "mlp.hvp": input_gradient,
    "rms_norm": rms_norm,
}
NEW = [*IN_TENSORS, "layer_norm.dx", "rms_norm.dx", "gelu.double", "logsumexp.double"]


def double_by_tape(name):
    """The double backward of an exercise, by differentiating the tape's own first-order rule."""
    f = IN_TENSORS[name]
    places = [exercise(name).names.index(n) for n in exercise(name).wrt]

    def rule(g, u, *inputs, **params):
        us = u if isinstance(u, tuple) else (u,)

        def along_u(*args):
            *xs, cotangent = args
            results = tg.vjp(lambda *ys: f(*ys, **params), *xs)[1](cotangent)
            return sum(ops.sum(results[i] * tg.Tensor(v)) for i, v in zip(places, us, strict=True))

        given = [tg.Tensor(a) for a in (*inputs, g)]
        return tuple(d.numpy() for d in tg.grad(along_u, tuple(range(len(given))))(*given))

    return rule


@pytest.mark.parametrize("name", IN_TENSORS)
def test_new_exercises_hold_in_second_order_too(name: str) -> None:
    ex = exercise(name)
    assert ex.check(ex.solution, seed=2)
    rule = double_by_tape(name)
    report = ex.check(rule, order=2)
    assert report, report
    assert not ex.check(lambda *a, **p: tuple(2 * r for r in rule(*a, **p)), order=2)


@pytest.mark.parametrize("name", NEW)
def test_new_exercises_reject_three_wrong_answers_and_name_them(name: str) -> None:
    wrong = [m for m in MISTAKES if m.exercise == name]
    assert len(wrong) >= 3
    for m in wrong:
        report = exercise(name).check(m.rule)
        assert not report, m.what
        assert bool(report.mistakes) == bool(m.name), report
        assert set(report.mistakes) - {"second-order"} <= set(m.name.split("|")), report


# --- constants


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("leaky_relu", ["slope"]),
        ("batch_norm.dx", ["eps"]),
        ("batch_norm_eval", ["eps"]),
        ("batch_norm.double", ["eps"]),
        ("layer_norm.jacobian", ["eps"]),
        ("rms_norm", ["eps"]),
        ("lrn", ["alpha", "beta"]),
    ],
)
def test_constants_are_parameters_of_the_rule(name: str, constants: list[str]) -> None:
    ex = exercise(name)
    assert list(ex.space.params) == constants
    for constant in constants:
        assert constant in ex.statement
        assert constant in repr(ex).partition("write rule")[2]


def test_batch_norm_with_the_eps_that_one_is_given_is_right_and_with_another_wrong() -> None:
    def dx(g, x, weight, bias, eps):
        s = 1 / np.sqrt(x.var(0) + eps)
        normal = (x - x.mean(0)) * s
        u = g * weight
        return s * (u - u.mean(0) - normal * (u * normal).mean(0))

    assert exercise("batch_norm.dx").check(dx)
    assert not exercise("batch_norm.dx").check(lambda g, x, weight, bias, eps: dx(g, x, weight, bias, 1e-2))


def test_a_rule_that_takes_no_eps_is_told_so() -> None:
    report = exercise("batch_norm.dx").check(lambda g, x, weight, bias: g)
    assert report.failed == "signature"
    assert "eps" in report.finding


# --- solutions


@pytest.mark.parametrize("name", exercises())
def test_a_solution_that_is_pasted_runs_alone_and_is_right(name: str) -> None:
    ex = exercise(name)
    source = ex.solution_source()
    assert str(ex.solution) == source
    pasted: dict = {}
    exec("from __future__ import annotations\nimport numpy as np\n" + source, pasted)
    assert ex.check(pasted[ex.solution.__name__])


@pytest.mark.parametrize("name", exercises())
def test_a_forward_function_that_is_pasted_gives_the_same_result(name: str) -> None:
    ex = exercise(name)
    pasted: dict = {}
    exec("from __future__ import annotations\nimport numpy as np\n" + ex.forward_source(), pasted)
    case = ex.space.draw(np.random.default_rng(0))
    inputs = ex.space.inputs(case)
    np.testing.assert_array_equal(
        pasted[ex.forward.__name__](*inputs, **case.params), ex.forward(*inputs, **case.params)
    )


# --- the table


def test_the_table_of_exercises_is_a_list_of_names_that_prints_what_each_is() -> None:
    table = exercises()
    assert len(table) == len(list(table)) == len(set(table))
    assert "conv2d.dw" in table
    title, *rows = str(table).split("\n")
    assert title.split() == ["name", "difficulty", "order", "what"]
    assert [row.split()[0] for row in rows] == list(table)
    for name, row in zip(table, rows, strict=True):
        assert exercise(name).difficulty in row
        assert exercise(name).task in row


def test_every_difficulty_occurs() -> None:
    assert {exercise(name).difficulty for name in exercises()} == {"easy", "medium", "hard"}


def test_the_table_is_escaped_in_notebooks() -> None:
    page = exercises()._repr_html_()
    assert page.count("<tr>") == len(exercises()) + 1
    assert "x &gt; 0" in page


def test_the_command_line_lists_exercises(capsys) -> None:
    assert main(["list", "exercises"]) == 0
    out = capsys.readouterr().out
    assert "exercises" in out
    for name in exercises():
        assert f"  {name} " in out


def test_the_function_exercises_hides_no_package() -> None:
    assert callable(tg.verify.exercises)
    assert tg.verify.book.exercise is exercise
