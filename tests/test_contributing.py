"""CONTRIBUTING does what it says: its code runs, and what it adds passes the checks of the package's own code."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_penalties
import test_reverse
from hypothesis import given, settings
from nn_cases import CASES
from numerics import check_derivatives, check_float32_stays
from strategies import SEEDS
from test_ops import ONE, problems
from test_robust import affine

from tinygrad2 import nn, robust
from tinygrad2.autodiff import REGISTRY, Tensor, autograd

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def added() -> Iterator[types.ModuleType]:
    """A module of all the page's code blocks. Its primitive is registered while this module's tests run."""
    module = types.ModuleType("contributing")
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)  # where dataclasses look
        exec(compile("\n".join(blocks), "CONTRIBUTING.md", "exec"), vars(module))
        yield module
    del REGISTRY[module.gaussian.name]


@pytest.mark.parametrize("method", ["complex", "richardson"])
@settings(max_examples=10)
@given(problem=problems(ONE, lambda x: REGISTRY["gaussian"](x)), seed=SEEDS)
def test_the_primitive_passes_the_checks_of_registered_primitives(
    added: types.ModuleType, method: str, problem: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    check_derivatives(problem.f, problem.arrays, rng, method=method)
    check_float32_stays(problem.f, problem.arrays, rng)
    for x in problem.arrays:
        np.testing.assert_array_equal(problem.f(Tensor(x)).numpy(), np.exp(-x * x))


def checks_of_layers() -> list[Callable[[str], None]]:
    """The tests of test_reverse that run once for each row of CASES."""
    each = [f for f in vars(test_reverse).values() if test_reverse.each_layer.mark in getattr(f, "pytestmark", ())]
    assert len(each) >= 8
    return each


@pytest.mark.parametrize("check", checks_of_layers(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(3, 8), (2, 3, 6)])
def test_the_layer_passes_the_checks_of_every_layer(
    added: types.ModuleType, check: Callable[[str], None], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "GLU", (lambda dtype: added.GLU(), shape))
    check("GLU")


def test_the_attack_meets_its_closed_form_on_an_affine_net(added: types.ModuleType) -> None:
    """With two classes the gradient is a multiple of w₁ - w₀, so the step is ±epsilon (w₁ - w₀)/‖w₁ - w₀‖."""
    rng = np.random.default_rng(1)
    w = rng.standard_normal((2, 6))
    net = affine(w, rng.standard_normal(2))
    x = rng.standard_normal((5, 6))
    labels = np.array([0, 1, 1, 0, 0])
    found = added.fgm(net, x, labels, 0.3)
    away = np.where(labels[:, None] == 0, w[1] - w[0], w[0] - w[1])
    np.testing.assert_allclose(
        found.adversarial.numpy(), x + 0.3 * away / np.linalg.norm(w[1] - w[0]), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(found.norms, 0.3, rtol=1e-12)
    inside = added.fgm(net, x.clip(0, 1), labels, 0.3, box=(0.0, 1.0)).adversarial.numpy()
    assert inside.min() >= 0 and inside.max() <= 1


@settings(max_examples=10)
@given(problem=test_penalties.problems())
def test_the_penalty_is_its_formula_in_loops(added: types.ModuleType, problem: Any) -> None:
    net, x = problem
    labels = test_penalties.LABELS
    j = test_penalties.rows(net, x)
    expected = sum(j[n, t, d] ** 2 for n, t in enumerate(labels) for d in range(j.shape[2])) / len(x)
    penalty = added.label_gradient(net.trace(x), labels)
    np.testing.assert_allclose(penalty.item(), expected, rtol=1e-10)
    first = net.parameters()[0]
    assert autograd.grad(penalty, first)[0].shape == first.shape


def test_the_defense_adds_the_noise_that_its_generator_draws(added: types.ModuleType) -> None:
    net = nn.models.mlp(in_features=6, hidden=(5,), classes=3, rng=0, dtype=np.float64)
    x = np.random.default_rng(2).standard_normal((4, 6))
    labels = np.array([0, 2, 1, 0])
    noise = 0.5 * np.random.default_rng(3).standard_normal(x.shape)
    objective = robust.Objective(label_smoothing=0.1)
    defense = added.GaussianNoise(objective, sigma=0.5, rng=3)
    drawn = defense.losses(net, Tensor(x), labels, np.arange(4))["loss"].item()
    assert drawn == objective(net, Tensor(x + noise), labels)["loss"].item()
    assert drawn != defense.losses(net, Tensor(x), labels, np.arange(4))["loss"].item()


def test_the_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", TEXT, re.M) + re.findall(r"`make (\w+)`", TEXT):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for path in re.findall(r"`((?:tests|benchmarks)/[\w/.]*)`", TEXT) + re.findall(r"pytest (tests/\S+)", TEXT):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:nn|ops|robust|experiments|kernels)/[\w/.]*)`", TEXT):
        assert (ROOT / "tinygrad2" / path).exists(), path


def test_the_table_of_layers_is_the_one_that_lint_checks() -> None:
    """The packages of the table, layer by layer, are those of the contract in pyproject.toml."""
    page: dict[str, set[str]] = {}
    for layer, cell in re.findall(r"^\| (\d) \| (.*?) \|", TEXT, re.M):
        page.setdefault(layer, set()).update(re.findall(r"`(\w+)(?:/|\.py)`", cell))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert list(page) == [str(n) for n in range(len(layers), 0, -1)]
    assert list(page.values()) == [set(line.split(" | ")) for line in layers]
