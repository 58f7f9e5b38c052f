"""Penalties against formulas in loops, their gradients against differences, and their forms against each other."""

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

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor, autograd, grad, no_grad
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
    """J[n, k, d] = ∂f(z)_k/∂x_d, one plain backward pass of the tape for each class; the samples are independent."""
    classes = range(f(net(x[:1])).shape[1])
    passes = [grad(lambda t, k=k: f(net(t))[:, k].sum())(Tensor(x)).numpy() for k in classes]
    return np.stack(passes, 1).reshape(len(x), len(classes), -1)


def softmax(z: Tensor) -> Tensor:
    e = z.exp()
    return e / e.sum(1, keepdims=True)


def loss_gradients(net: nn.Layer, x: Array, labels: Array) -> Array:
    """∂(-log softmax(z)_t)/∂x_d of each sample, from the tape."""
    log_p = lambda t: total(softmax(net(t))[n, label].log() for n, label in enumerate(labels))
    return -grad(log_p)(Tensor(x)).numpy().reshape(len(x), -1)


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


# --- Forms and their λ -----------------------------------------------------------------------------------------------

# name, options of the one form, of the other, and (of the other) λ_one / λ_other as a function of N, K, D.
CONVERSIONS: list[tuple[str, dict[str, Any], dict[str, Any], Callable[[int, int, int], float]]] = [
    ("jacobian_l1", {"mode": "corrected"}, {"mode": "printed"}, lambda n, k, d: k * d),
    ("jacobian_l1_cheap", {"mode": "corrected"}, {"mode": "printed"}, lambda n, k, d: d),
    ("input_gradient", {"reduction": "mean"}, {"reduction": "drucker-lecun"}, lambda n, k, d: 1 / 2),
    ("input_gradient", {"reduction": "mean"}, {"reduction": "ross"}, lambda n, k, d: 1 / (2 * n)),
    ("input_gradient", {"reduction": "mean"}, {"reduction": "sum"}, lambda n, k, d: n),
    *[
        (name, {"reduction": "mean"}, {"reduction": "sum"}, lambda n, k, d: n)
        for name in ("input_gradient_l1", "logit_margin", "cross_lipschitz")
    ],
    ("spectral_norm", {"reduction": "mean", "rng": 0}, {"reduction": "sum", "rng": 0}, lambda n, k, d: n),
]


@pytest.mark.parametrize("name, one, other, factor", CONVERSIONS)
@given(problem=problems())
@settings(max_examples=5, deadline=None)
def test_the_forms_of_a_penalty_differ_by_the_stated_factor_of_lambda(
    name: str,
    one: dict[str, Any],
    other: dict[str, Any],
    factor: Callable[[int, int, int], float],
    problem: tuple[nn.Sequential, Array],
) -> None:
    net, x = problem
    trace = net.trace(x)
    a, b = (PENALTIES[name](trace, LABELS, **form).item() for form in (one, other))
    np.testing.assert_allclose(factor(N, K, x[0].size) * a, b, 1e-12)


@given(problem=problems())
@settings(max_examples=20, deadline=None)
def test_the_batch_root_is_the_root_of_n_mean_squares_and_no_less_than_root_n_times_the_mean(
    problem: tuple[nn.Sequential, Array],
) -> None:
    net, x = problem
    trace = net.trace(x)
    root, mean, squares_ = (robust.jacobian_frobenius(trace, reduction=r) for r in ("root", "mean", "squares"))
    np.testing.assert_allclose(root.item(), np.sqrt(N * squares_.item()), 1e-12)
    assert mean.item() <= root.item() / np.sqrt(N) * (1 + 1e-12)
    w = net.parameters()[0]
    g_root, g_squares = (autograd.grad(value, w)[0].numpy() for value in (root, squares_))
    assume(root.item() > 1e-6)
    np.testing.assert_allclose(g_root, g_squares * N / (2 * root.item()), 1e-9, 1e-12)


@given(problem=problems())
@settings(max_examples=20, deadline=None)
def test_the_norms_are_ordered(problem: tuple[nn.Sequential, Array]) -> None:
    """‖J‖₂ ≤ ‖J‖_F ≤ √rank ‖J‖₂, the footnote's bound of ‖J‖₁,₁, and the cross-Lipschitz part of ‖J‖_F²."""
    net, x = problem
    trace, slack = net.trace(x), 1 + 1e-9
    spectral = robust.spectral_norm(trace, rng=1).item()
    frobenius = robust.jacobian_frobenius(trace, reduction="mean").item()
    largest = singular(rows(net, x)) / N
    assert spectral <= largest * slack and largest <= frobenius * slack <= np.sqrt(K) * largest * slack**2 + 1e-12
    cheap, whole = (f(trace, mode="printed").item() for f in (robust.jacobian_l1_cheap, robust.jacobian_l1))
    assert cheap <= whole * slack
    squares_ = robust.jacobian_frobenius(trace, reduction="squares").item()
    assert robust.cross_lipschitz(trace).item() <= 2 / K * squares_ * slack


@pytest.mark.parametrize("name", PENALTIES)
def test_float32_stays(name: str) -> None:
    net = nn.models.mlp(5, (6,), K, rng=0)
    value = PENALTIES[name](net.trace(np.ones((N, 5), np.float32)), LABELS)
    assert value.dtype == np.float32
    value.backward()
    assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_dead_net_has_penalty_0_with_gradient_0(name: str) -> None:
    net = nn.models.mlp(5, (6,), K, rng=0, dtype=D)
    net["fc2"].weight.data = np.zeros((K, 6))
    if name == "penultimate_frobenius":
        net["fc1"].weight.data = np.zeros((6, 5))
    value = PENALTIES[name](net.trace(np.ones((N, 5))), LABELS)
    assert value.item() == 0
    for g in autograd.grad(value, net.parameters(), allow_unused=True):
        assert g is None or not g.numpy().any()


def test_a_penalty_shares_the_dropout_masks_of_its_trace() -> None:
    net = nn.Sequential(nn.Linear(5, 40, rng=0, dtype=D), nn.Dropout(0.5, rng=1), nn.Linear(40, K, rng=2, dtype=D))
    x = Tensor(grid(np.random.default_rng(3), (N, 5)), requires_grad=True)
    trace = net.trace(x)
    taped = [autograd.grad(trace.output[:, k].sum(), x)[0].numpy() for k in range(K)]
    np.testing.assert_allclose(robust.jacobian_frobenius(trace).item(), np.linalg.norm(taped), 1e-12)


def test_input_gradient_in_training_is_that_of_the_coupled_batch() -> None:
    """With batch normalisation in train mode: the gradient of the batch's whole loss by each image."""
    rng = np.random.default_rng(0)
    net, x = vector_net(rng).train(), Tensor(grid(rng, (N, 5)), requires_grad=True)
    trace = net.trace(x)
    loss = -total(softmax(trace.output)[n, t].log() for n, t in enumerate(LABELS))
    g = autograd.grad(loss, x)[0].numpy()
    np.testing.assert_allclose(robust.input_gradient(trace, LABELS, reduction="sum").item(), (g * g).sum(), 1e-10)


def test_confident_float32_logits_still_have_an_input_gradient() -> None:
    """p_t - 1 would be 0; the sum of the other classes' p is not."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    net.load_state_dict({"0.weight": np.array([[30.0, 0.0], [0.0, 1.0]], np.float32)})
    value = robust.input_gradient(net.trace(np.array([[1.0, 1.0]], np.float32)), [0])
    expected = np.exp(-29.0) ** 2 * (30**2 + 1)
    np.testing.assert_allclose(value.item(), expected, 1e-5)


@given(problem=problems(), seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_spectral_norm_is_differentiated_with_constant_vectors_however_few_the_iterations(
    problem: tuple[nn.Sequential, Array], seed: int
) -> None:
    net, x = problem
    j = rows(net, x)
    assume(np.linalg.norm(j, axis=(1, 2)).min() > 1e-6)
    unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
    v = unit(np.einsum("nk,nkd->nd", np.random.default_rng(seed).standard_normal((N, K)), j))
    u = unit(np.einsum("nd,nkd->nk", v, j))
    value = robust.spectral_norm(net.trace(x), iterations=1, rng=seed)
    assert_gradients(value, lambda: np.einsum("nk,nkd,nd->", u, rows(net, x), v) / N, net, seed)


# --- Random projections, and the fixed last layer --------------------------------------------------------------------


def test_projections_are_unbiased_with_the_stated_variance() -> None:
    rng = np.random.default_rng(1)
    net = vector_net(rng).eval()
    randomize(net, rng)
    x = grid(rng, (1, 5))
    with no_grad():
        trace = net.trace(np.repeat(x, 20000, 0))
        each = np.array([_projected_rows(trace, n, rng) for n in (1, 3)])
    exact = squares(rows(net, x))
    for estimates, n in zip(each, (1, 3), strict=True):
        variance = robust.projection_variance(net.trace(x), projections=n)[0]
        assert abs(estimates.mean() - exact) < 5 * np.sqrt(variance / 20000)
        np.testing.assert_allclose(estimates.var(), variance, 0.1)
        assert variance <= 2 * (K - 1) / (n * (K + 2)) * exact**2 * (1 + 1e-12)


def _projected_rows(trace: nn.Trace, n: int, rng: np.random.Generator) -> Array:
    """The estimate for each of the equal samples, from its definition: one cotangent of unit length at a time."""
    u = rng.standard_normal((n, *trace.output.shape))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    return sum(K / n * (trace.reverse()(one).numpy() ** 2).sum(1) for one in u)


def test_the_batch_mean_of_projections_nears_the_exact_value() -> None:
    rng = np.random.default_rng(2)
    net = vector_net(rng).eval()
    randomize(net, rng)
    trace = net.trace(np.repeat(grid(rng, (1, 5)), 500, 0))
    exact = robust.jacobian_frobenius(trace, reduction="squares").item()
    deviation = np.sqrt(robust.projection_variance(trace, projections=4)[0] / 500)
    estimate = robust.projected_frobenius(trace, projections=4, rng=3).item()
    assert 0 < abs(estimate - exact) < 5 * deviation < 0.2 * exact


def test_orthogonal_rows_of_one_length_leave_projections_no_variance() -> None:
    net = nn.Sequential(nn.Linear(6, K, dtype=D))
    robust.fix_last_layer(net, rng=0)
    trace = net.trace(np.ones((2, 6)))
    np.testing.assert_allclose(robust.projection_variance(trace), 0, atol=1e-12)
    np.testing.assert_allclose(robust.projected_frobenius(trace, rng=5).item(), K, 1e-12)


@pytest.mark.parametrize("name", ["projected_frobenius", "spectral_norm"])
def test_a_seed_repeats_itself_and_a_generator_goes_on(name: str) -> None:
    trace = nn.models.mlp(5, (6,), K, rng=0, dtype=D).trace(grid(np.random.default_rng(1), (N, 5)))
    f = lambda rng: PENALTIES[name](trace, LABELS, rng=rng, **({"iterations": 1} if "spec" in name else {})).item()
    assert f(3) == f(3) != f(4)
    rng = np.random.default_rng(3)
    assert f(rng) == f(3) and f(rng) != f(3)


def test_the_fixed_last_layer_is_orthonormal_and_no_parameter() -> None:
    net = nn.models.mlp(5, (6,), K, rng=0, dtype=D)
    robust.fix_last_layer(net, rng=1)
    w = net["fc2"].weight.numpy()
    np.testing.assert_allclose(w @ w.T, np.eye(K), atol=1e-12)
    assert "fc2.weight" not in dict(net.named_parameters()) and "fc2.bias" in dict(net.named_parameters())
    assert "fc2.weight" in net.state_dict()
    again = nn.models.mlp(5, (6,), K, rng=0, dtype=D)
    robust.fix_last_layer(again, rng=1)
    np.testing.assert_array_equal(again["fc2"].weight.numpy(), w)
    # Orthonormal columns carry the bound over: ‖J‖_F ≤ ‖J^(L-1)‖_F.
    trace = net.trace(grid(np.random.default_rng(1), (N, 5)))
    assert robust.jacobian_frobenius(trace).item() <= robust.penultimate_frobenius(trace).item() * (1 + 1e-12)


# --- Errors ----------------------------------------------------------------------------------------------------------

SMALL = nn.models.mlp(5, (3,), K, rng=0)
TRACE = SMALL.trace(np.ones((N, 5), np.float32))
WITH_SOFTMAX = nn.Sequential(SMALL, nn.Softmax())

ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: robust.penalty("jacobian_l2"), "unknown penalty 'jacobian_l2' .did you mean 'jacobian_l1'?"),
    (lambda: PENALTIES["jacobian_l1"](TRACE, LABELS, mod="x"), "option of jacobian_l1 'mod' .did you mean 'mode'?"),
    (lambda: robust.jacobian_l1(TRACE, mode="print"), "unknown mode 'print' .did you mean 'printed'?"),
    (lambda: robust.jacobian_l1(TRACE, on="logit"), "unknown output 'logit' .did you mean 'logits'?"),
    (lambda: robust.jacobian_frobenius(TRACE, reduction="sum"), "unknown reduction 'sum'.*'root', 'mean', 'squares'"),
    (lambda: robust.input_gradient(TRACE, LABELS, reduction="rosa"), "did you mean 'ross'"),
    (lambda: robust.logit_margin(TRACE, [0, 1, 9]), r"labels\[2\] is 9"),
    (lambda: robust.input_gradient(TRACE, [0, 1]), r"expected 3 integers"),
    (lambda: robust.jacobian_l1_cheap(WITH_SOFTMAX.trace(np.ones((2, 5), np.float32))), "0 everywhere.*logits"),
    (lambda: robust.projected_frobenius(TRACE, projections=0), "projections .* at least 1, got 0"),
    (lambda: robust.spectral_norm(TRACE, iterations=0), "iterations .* at least 1, got 0"),
    (lambda: robust.jacobian_l1(nn.Flatten().trace(np.ones((2, 1)))), r"logits \(N, K\) for K ≥ 2.*\(2, 1\)"),
    (lambda: robust.penultimate_frobenius(WITH_SOFTMAX.trace(np.ones((2, 5), np.float32))), "ends in a Linear"),
    (lambda: robust.fix_last_layer(WITH_SOFTMAX), "must end in a Linear layer"),
    (lambda: robust.fix_last_layer(SMALL), "4 vectors of 3 numbers cannot be orthonormal"),
]


@pytest.mark.parametrize("call, message", ERRORS, ids=[m for _, m in ERRORS])
def test_errors_say_what_to_do(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_sum_over_softmax_outputs_is_zero_which_is_why_the_footnote_needs_logits() -> None:
    net = nn.models.mlp(5, (6,), K, rng=0, dtype=D)
    np.testing.assert_allclose(rows(net, np.ones((1, 5)), softmax).sum(1), 0, atol=1e-15)
