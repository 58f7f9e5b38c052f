"""Penalties against their formulas in loops, their gradients against differences, and their forms against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nn_cases import grid, randomize, slope
from numerics import KinkCrossed
from strategies import SEEDS

from tinygrad2 import nn
from tinygrad2.autodiff import Tensor, autograd, grad
from tinygrad2.robust import PENALTIES

Array = np.ndarray[Any, Any]
N, K = 3, 4
LABELS = np.array([1, 3, 0])
D = np.float64


def vector_net(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        fc1=nn.Linear(5, 6, rng=rng, dtype=D),
        norm=nn.BatchNorm1d(6, dtype=D),
        relu=nn.ReLU(),
        fc2=nn.Linear(6, 5, rng=rng, dtype=D),
        tanh=nn.Tanh(),
        fc3=nn.Linear(5, K, rng=rng, dtype=D),
    )


def image_net(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        conv1=nn.Conv2d(1, 3, 2, rng=rng, dtype=D),
        norm=nn.BatchNorm2d(3, dtype=D),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2, 1),
        conv2=nn.Conv2d(3, 2, 2, padding="same", rng=rng, dtype=D),
        sigmoid=nn.Sigmoid(),
        flatten=nn.Flatten(),
        fc=nn.Linear(8, K, rng=rng, dtype=D),
    )


def softmax_inside_net(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        conv=nn.Conv2d(1, 3, 2, rng=rng, dtype=D),
        relu=nn.ReLU(),
        pool=nn.AvgPool2d(3),
        flatten=nn.Flatten(),
        softmax=nn.Softmax(),
        fc=nn.Linear(3, K, rng=rng, dtype=D),
    )


NETS: list[tuple[Callable[[np.random.Generator], nn.Sequential], tuple[int, ...]]] = [
    (vector_net, (5,)),
    (image_net, (1, 4, 4)),
    (softmax_inside_net, (1, 4, 4)),
]


@st.composite
def problems(draw: st.DrawFn) -> tuple[nn.Sequential, Array]:
    """A net in eval mode whose parameters and statistics are random, and a batch for it."""
    build, shape = draw(st.sampled_from(NETS))
    rng = np.random.default_rng(draw(SEEDS))
    net = build(rng).eval()
    randomize(net, rng)
    return net, grid(rng, (N, *shape))


# --- The papers' formulas, in loops over samples n, classes k and input entries d ------------------------------------


def rows(net: nn.Layer, x: Array, f: Callable[[Tensor], Tensor] = lambda z: z) -> Array:
    """J[n, k, d] = ∂f(z)_k/∂x_d, one plain backward pass of the tape for each sample and class."""
    outputs = f(net(x[:1])).shape[1]
    j = np.zeros((len(x), outputs, x[0].size))
    for n in range(len(x)):
        for k in range(outputs):
            j[n, k] = grad(lambda t, k=k: f(net(t))[0, k])(Tensor(x[n : n + 1])).numpy().ravel()
    return j


def softmax(z: Tensor) -> Tensor:
    e = z.exp()
    return e / e.sum(1, keepdims=True)


def loss_gradients(net: nn.Layer, x: Array, labels: Array) -> Array:
    """∂(-log softmax(z)_t)/∂x_d, sample by sample."""
    each = [grad(lambda t, n=n: -softmax(net(t))[0, labels[n]].log())(Tensor(x[n : n + 1])) for n in range(len(x))]
    return np.stack([g.numpy().ravel() for g in each])


def penultimate(net: nn.Sequential) -> nn.Sequential:
    return nn.Sequential({name: layer for name, layer in net.layers.items() if layer is not net[-1]}).eval()


def total(terms: Any) -> Any:
    """A plain sum, in order."""
    result = 0.0
    for term in terms:
        result = result + term
    return result


def l1(j: Array) -> float:
    return total(abs(j[n, k, d]) for n, k, d in np.ndindex(j.shape))


def l1_of_sums(j: Array) -> float:
    n, k, d = j.shape
    return total(abs(total(j[a, b, c] for b in range(k))) for a in range(n) for c in range(d))


def squares(j: Array) -> float:
    return total(j[i] ** 2 for i in np.ndindex(j.shape))


def mean_root(j: Array) -> float:
    return total(np.sqrt(squares(sample)) for sample in j) / len(j)


def pairs(j: Array) -> float:
    """Σ_i Σ_l Σ_m ‖∇z_m - ∇z_l‖²."""
    n, k, _ = j.shape
    return total(squares(j[i, m] - j[i, b]) for i in range(n) for m in range(k) for b in range(k))


def margin_gradients(net: nn.Layer, x: Array, labels: Array) -> Array:
    """∇ₓ[max_{j≠t} z_j - z_t] of each sample."""
    j, z = rows(net, x), net(x).numpy()
    wrong = [max((k for k in range(K) if k != t), key=lambda k, n=n: z[n, k]) for n, t in enumerate(labels)]
    return np.stack([j[n, wrong[n]] - j[n, labels[n]] for n in range(len(x))])


def singular(j: Array) -> float:
    return total(np.linalg.svd(sample)[1][0] for sample in j)


Formula = Callable[[nn.Sequential, Array], float]
# name, options → the paper's formula
FORMULAS: list[tuple[str, dict[str, Any], Formula]] = [
    ("jacobian_l1", {"mode": "printed"}, lambda net, x: l1(rows(net, x)) / N),
    ("jacobian_l1", {}, lambda net, x: l1(rows(net, x)) / (N * K * x[0].size)),
    ("jacobian_l1", {"on": "softmax", "mode": "printed"}, lambda net, x: l1(rows(net, x, softmax)) / N),
    ("jacobian_l1_cheap", {"mode": "printed"}, lambda net, x: l1_of_sums(rows(net, x)) / N),
    ("jacobian_l1_cheap", {}, lambda net, x: l1_of_sums(rows(net, x)) / (N * x[0].size)),
    ("jacobian_frobenius", {}, lambda net, x: np.sqrt(squares(rows(net, x)))),
    ("jacobian_frobenius", {"on": "softmax"}, lambda net, x: np.sqrt(squares(rows(net, x, softmax)))),
    ("jacobian_frobenius", {"reduction": "mean"}, lambda net, x: mean_root(rows(net, x))),
    ("jacobian_frobenius", {"reduction": "squares"}, lambda net, x: squares(rows(net, x)) / N),
    ("penultimate_frobenius", {}, lambda net, x: np.sqrt(squares(rows(penultimate(net), x)))),
    ("penultimate_frobenius", {"reduction": "mean"}, lambda net, x: mean_root(rows(penultimate(net), x))),
    ("input_gradient", {}, lambda net, x: squares(loss_gradients(net, x, LABELS)) / N),
    ("input_gradient", {"reduction": "sum"}, lambda net, x: squares(loss_gradients(net, x, LABELS))),
    (
        "input_gradient",
        {"reduction": "drucker-lecun"},
        lambda net, x: total(squares(g) / 2 for g in loss_gradients(net, x, LABELS)) / N,
    ),
    ("input_gradient", {"reduction": "ross"}, lambda net, x: squares(loss_gradients(net, x, LABELS) / N) / 2),
    ("input_gradient_l1", {}, lambda net, x: np.abs(loss_gradients(net, x, LABELS)).sum() / N),
    ("logit_margin", {}, lambda net, x: squares(margin_gradients(net, x, LABELS)) / N),
    (
        "logit_margin",
        {"squared": False, "reduction": "sum"},
        lambda net, x: total(np.sqrt(squares(g)) for g in margin_gradients(net, x, LABELS)),
    ),
    ("cross_lipschitz", {}, lambda net, x: pairs(rows(net, x)) / (N * K**2)),
    ("spectral_norm", {"iterations": 300, "rng": 0, "reduction": "sum"}, lambda net, x: singular(rows(net, x))),
]

each_formula = pytest.mark.parametrize("name, options, formula", FORMULAS, ids=[f"{n}-{o}" for n, o, _ in FORMULAS])
SMOOTH = [case for case in FORMULAS if "l1" not in case[0]]
each_smooth = pytest.mark.parametrize("name, options, formula", SMOOTH, ids=[f"{n}-{o}" for n, o, _ in SMOOTH])


def gap(net: nn.Layer, x: Array) -> float:
    """How far the second singular value stays below the first: at worst 1."""
    s = np.linalg.svd(rows(net, x), compute_uv=False)
    return float((s[:, 1] / s[:, 0].clip(1e-9)).max())


def test_every_penalty_has_a_formula() -> None:
    assert {name for name, _, _ in FORMULAS} | {"projected_frobenius"} == PENALTIES.keys()


@each_formula
@settings(max_examples=10, deadline=None)
@given(problem=problems())
def test_value_is_the_formula_in_loops(
    name: str, options: dict[str, Any], formula: Formula, problem: tuple[nn.Sequential, Array]
) -> None:
    net, x = problem
    assume(name != "spectral_norm" or gap(net, x) < 0.95)
    value = PENALTIES[name](net.trace(x), LABELS, **options)
    assert value.shape == ()
    np.testing.assert_allclose(value.item(), formula(net, x), 1e-10, 1e-12)


def gradient_along(value: Tensor, p: Tensor, direction: Array) -> float:
    (g,) = autograd.grad(value, [p], allow_unused=True)
    return 0.0 if g is None else float((g.numpy() * direction).sum())


@each_smooth
@settings(max_examples=4, deadline=None)
@given(problem=problems(), seed=SEEDS)
def test_gradient_is_the_slope_of_the_formula(
    name: str, options: dict[str, Any], formula: Formula, problem: tuple[nn.Sequential, Array], seed: int
) -> None:
    net, x = problem
    assume(name != "spectral_norm" or gap(net, x) < 0.9)
    assert_gradients(PENALTIES[name](net.trace(x), LABELS, **options), lambda: formula(net, x), net, seed)


def assert_gradients(value: Tensor, f: Callable[[], float], net: nn.Layer, seed: int) -> None:
    """The gradient by every parameter, along a short random direction, is the slope of f."""
    rng = np.random.default_rng(seed)
    for name, p in net.named_parameters():
        direction = rng.standard_normal(p.shape)
        direction /= 10 * np.linalg.norm(direction)
        try:
            expected = slope(f, p, direction)
        except KinkCrossed:
            assume(False)
        scale = max(1.0, abs(value.item()))
        np.testing.assert_allclose(gradient_along(value, p, direction), expected, 1e-6, 1e-8 * scale, err_msg=name)


L1: dict[str, Callable[[nn.Sequential, Array], Array]] = {
    "jacobian_l1": rows,
    "jacobian_l1_cheap": lambda net, x: rows(net, x).sum(1),
    "input_gradient_l1": lambda net, x: loss_gradients(net, x, LABELS),
}


@pytest.mark.parametrize("name", L1)
@settings(max_examples=4, deadline=None)
@given(problem=problems(), seed=SEEDS)
def test_gradient_of_an_l1_norm_is_that_of_the_entries_times_their_signs(
    name: str, problem: tuple[nn.Sequential, Array], seed: int
) -> None:
    net, x = problem
    entries = L1[name](net, x)
    signs = np.where(np.abs(entries) < 1e-12, 0.0, np.sign(entries))  # a dead unit's entries are 0 and stay so
    value = PENALTIES[name](net.trace(x), LABELS, **({"reduction": "mean"} if "input" in name else {"mode": "printed"}))
    assert_gradients(value, lambda: (signs * L1[name](net, x)).sum() / N, net, seed)
