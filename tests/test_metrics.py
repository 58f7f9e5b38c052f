"""Curves, bounds and statistics against closed forms, loops, SciPy, and what they must mean."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2 import nn, robust
from tinygrad2.robust.metrics import statistics

Array = np.ndarray[Any, Any]
BOX = (0.0, 1.0)


def problem(seed: int = 0, n: int = 40) -> tuple[nn.Sequential, Array, Array]:
    """A net with bends, images in [0, 1], and labels of which every fourth is not what the net says."""
    rng = np.random.default_rng(seed)
    net = nn.models.mlp(12, (16, 8), 4, rng=rng, dtype=np.float64)
    for p in net.parameters():
        p.data = p.data * 2.0
    x = rng.uniform(0, 1, (n, 1, 3, 4))
    last = net["fc3"]
    last.bias.data = last.bias.data - net(x).numpy().mean(0)  # no class wins everywhere
    y = robust.predict(net, x)
    y[::4] = (y[::4] + 1) % 4
    return net, x, y


def affine(w: Array) -> nn.Sequential:
    net = nn.Sequential(fc=nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype))
    net.load_state_dict({"fc.weight": w})
    return net


# --- Curves


def test_the_curve_of_fgsm_is_fgs_accuracy_at_each_epsilon() -> None:
    net, x, y = problem()
    epsilons = [0.0, 0.01, 0.05, 0.2]
    curve = robust.accuracy_curve(net, x, y, epsilons, box=BOX, batch_size=7)
    fgs = robust.FGS(net, x, y, box=BOX)
    np.testing.assert_array_equal(curve, [fgs.accuracy(e) for e in epsilons])
    assert curve[0] == robust.accuracy(net, x, y) == 0.75
    assert curve[-1] < curve[0]


def test_any_option_of_any_attack_can_be_the_strength() -> None:
    net, x, y = problem()
    curve = robust.accuracy_curve(net, x, y, [0.1, 0.6], attack=robust.jsma, strength="theta", box=BOX, steps=3)
    for accuracy, theta in zip(curve, (0.1, 0.6), strict=True):
        assert accuracy == (~robust.jsma(net, x, y, box=BOX, steps=3, theta=theta).success).mean()


def test_the_pixel_curve_is_jsma_with_every_number_of_steps() -> None:
    net, x, y = problem()
    curve = robust.pixel_curve(net, x, y, box=BOX, steps=6, theta=0.4, batch_size=9)
    assert curve.shape == (7,) and curve[0] == robust.accuracy(net, x, y)
    assert (np.diff(curve) <= 0).all() and len(set(curve.tolist())) > 3
    for steps in range(1, 7):
        assert curve[steps] == (~robust.jsma(net, x, y, box=BOX, steps=steps, theta=0.4).success).mean()


def test_curves_need_a_label_for_each_image() -> None:
    net, x, y = problem()
    with pytest.raises(ValueError, match=r"labels: expected shape \(40,\)"):
        robust.accuracy_curve(net, x, y[:-1], [0.1])
    with pytest.raises(ValueError, match=r"labels: expected shape \(40,\)"):
        robust.pixel_curve(net, x, [1], box=BOX)


# --- ρ and the bound


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
def test_rho_divides_by_the_norm_that_deepfool_was_asked_for(p: float) -> None:
    net, x, _ = problem(1)
    found = robust.deepfool(net, x, p=p).adversarial.numpy() - x
    expected = [np.linalg.norm(d.ravel(), p) / np.linalg.norm(i.ravel(), p) for d, i in zip(found, x, strict=True)]
    np.testing.assert_allclose(robust.rho(net, x, p=p, max_iter=50, batch_size=11), expected, 1e-10)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
@np.errstate(divide="ignore")  # dead nets are infinitely far from a boundary
def test_the_bound_is_below_the_first_order_distance_of_every_net(seed: int) -> None:
    net, x, _ = problem(seed, 10)
    found = robust.margin_bound(net, x, batch_size=3)
    assert (found.bound <= found.linearized * (1 + 1e-9)).all()
    for i in range(10):  # equations 16 and 17 in loops
        j = net.trace(x[i : i + 1]).jacobian().numpy().reshape(4, -1)
        z = net(x[i : i + 1]).numpy()[0]
        top = int(z.argmax())
        margins = {k: abs(z[top] - z[k]) for k in range(4) if k != top}
        np.testing.assert_allclose(found.margin[i], min(margins.values()), 1e-12, 1e-12)
        np.testing.assert_allclose(found.frobenius[i], np.sqrt((j**2).sum()), 1e-12)
        nearest = min(m / np.linalg.norm(j[top] - j[k]) for k, m in margins.items())
        np.testing.assert_allclose(found.linearized[i], nearest, 1e-10, 1e-12)
        np.testing.assert_allclose(found.bound[i], min(margins.values()) / np.sqrt(2 * (j**2).sum()), 1e-10, 1e-12)
        np.testing.assert_allclose(found.margin_to_jacobian[i], found.bound[i] * np.sqrt(2), 1e-12)


@given(SEEDS)
def test_of_an_affine_net_the_first_order_distance_is_what_deepfool_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net, x = affine(rng.standard_normal((4, 6))), rng.standard_normal((9, 6))
    found = robust.margin_bound(net, x)
    distances = robust.deepfool(net, x, overshoot=0.0, max_iter=1).norms
    np.testing.assert_allclose(distances, found.linearized, 1e-10)
    assert found.share_beyond(distances) == 1.0
    assert found.share_beyond(np.zeros(9)) == 0.0


def test_the_bound_is_reached_where_two_opposite_rows_are_all_of_the_jacobian() -> None:
    found = robust.margin_bound(affine(np.array([[3.0, 4.0], [-3.0, -4.0], [0.0, 0.0]])[:2]), np.array([[1.0, 2.0]]))
    np.testing.assert_allclose([found.bound[0], found.linearized[0]], 22 / 10)


def test_a_curved_boundary_can_be_nearer_than_the_bound_says() -> None:
    """z = (0, relu(x) - 1 + 50·relu(x - 0.1)): seen from 0.05 the boundary is at 1; it is near 0.118."""
    net = nn.Sequential(nn.Linear(1, 2, dtype=np.float64), nn.ReLU(), nn.Linear(2, 2, dtype=np.float64))
    values = [np.ones((2, 1)), np.array([0.0, -0.1]), np.array([[0.0, 0.0], [1.0, 50.0]]), np.array([0.0, -1.0])]
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)))
    found = robust.margin_bound(net, np.array([[0.05]]))
    np.testing.assert_allclose(found.linearized, 0.95)
    true = (1 + 50 * 0.1) / 51 - 0.05
    np.testing.assert_allclose(net(np.array([[0.05 + true]])).numpy(), 0, atol=1e-12)
    assert true < found.bound[0] and found.share_beyond(np.array([true])) == 0.0


def test_a_net_that_does_not_move_is_infinitely_far_from_a_boundary_that_it_is_not_on() -> None:
    net = nn.Sequential(fc=nn.Linear(2, 2, dtype=np.float64))
    net.load_state_dict({"fc.weight": np.zeros((2, 2)), "fc.bias": np.array([1.0, 0.0])})
    assert np.isinf(robust.margin_bound(net, np.ones((1, 2))).bound).all()
    net.load_state_dict({"fc.weight": np.zeros((2, 2)), "fc.bias": np.zeros(2)})
    found = robust.margin_bound(net, np.ones((1, 2)))
    assert found.bound.tolist() == found.linearized.tolist() == [0.0]


def test_frobenius_norms_are_each_images_own() -> None:
    net, x, _ = problem(2, 10)
    for on in ("logits", "softmax"):
        alone = [robust.jacobian_frobenius(net.trace(x[i : i + 1]), on=on).item() for i in range(10)]
        np.testing.assert_allclose(robust.frobenius_norms(net, x, on=on, batch_size=4), alone, 1e-12)
    with pytest.raises(ValueError, match="did you mean 'softmax'"):
        robust.frobenius_norms(net, x, on="softmx")


# --- Statistics


def test_mean_and_sd_of_the_textbook() -> None:
    assert statistics.mean_sd([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx((5, np.sqrt(32 / 7)))
    mean, sd = statistics.mean_sd([3.0])
    assert mean == 3 and np.isnan(sd)


@given(SEEDS, st.integers(2, 30), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_mean_interval_is_scipys_student_t(seed: int, n: int, confidence: float) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    v = np.random.default_rng(seed).normal(size=n)
    expected = scipy_stats.t.interval(confidence, n - 1, v.mean(), scipy_stats.sem(v))
    np.testing.assert_allclose(statistics.mean_interval(v, confidence), expected, 1e-12)


def test_the_mean_interval_of_three_seeds_by_the_printed_t_table() -> None:
    pytest.importorskip("scipy")
    low, high = statistics.mean_interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.303 / np.sqrt(3), rel=1e-4)


@given(st.integers(1, 10_000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilsons_ends_are_the_accuracies_whose_z_score_is_just_reached(n: int, share: float, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    right = round(share * n)
    low, high = statistics.wilson_interval(right, n, confidence)
    assert 0 <= low <= right / n + 1e-15 and right / n - 1e-15 <= high <= 1 and low < high
    z = stats.norm.ppf((1 + confidence) / 2)
    for end in (low, high):
        np.testing.assert_allclose((right / n - end) ** 2, z**2 * end * (1 - end) / n, 1e-9, 1e-14)
    expected = stats.binomtest(right, n).proportion_ci(confidence, "wilson")
    np.testing.assert_allclose((low, high), (expected.low, expected.high), 1e-9, 1e-12)


@given(SEEDS, st.integers(1, 10))
def test_wilcoxons_p_is_the_share_of_sign_patterns_as_extreme(seed: int, n: int) -> None:
    """The exact distribution, by listing all 2ⁿ signs of the ranks."""
    pytest.importorskip("scipy")
    a, b = np.random.default_rng(seed).normal(size=(2, n))
    ranks = np.abs(a - b).argsort().argsort() + 1
    centre = ranks.sum() / 2
    observed = abs(ranks[a > b].sum() - centre)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=n)]
    expected = np.mean([abs(s - centre) >= observed for s in sums])
    assert statistics.wilcoxon(a, b) == pytest.approx(expected)


def test_wilcoxon_on_known_data() -> None:
    """Five paired runs, all better: the smallest p that five pairs can give. Equal pairs are left out."""
    pytest.importorskip("scipy")
    none, defended = [84.1, 84.3, 83.9, 84.0, 84.6], [89.0, 89.1, 88.7, 89.6, 89.9]
    assert statistics.wilcoxon(none, defended) == pytest.approx(2**-4)
    assert statistics.wilcoxon([*none, 1.0], [*defended, 1.0]) == pytest.approx(2**-4)
    assert statistics.wilcoxon(none, none) == 1.0


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: statistics.mean_sd([]), "at least one finite number"),
    (lambda: statistics.mean_sd([1.0, np.nan]), "values: .*finite"),
    (lambda: statistics.mean_interval([1.0]), "at least 2 values"),
    (lambda: statistics.mean_interval([1.0, 2.0], 95), "between 0 and 1, such as 0.95; got 95"),
    (lambda: statistics.wilson_interval(3, 2), "got 3 of 2"),
    (lambda: statistics.wilson_interval(0, 0), "got 0 of 0"),
    (lambda: statistics.wilcoxon([1.0, 2.0], [1.0]), "in pairs: got 2 and 1"),
    (lambda: statistics.wilcoxon([1.0], [np.inf]), "b: .*finite"),
]


@pytest.mark.parametrize("call, message", ERRORS, ids=[m for _, m in ERRORS])
def test_errors_say_what_was_expected(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_scipy_the_error_says_how_to_get_it_and_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for call in (lambda: statistics.wilcoxon([1.0], [2.0]), lambda: statistics.mean_interval([1.0, 2.0])):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad2\[lab\]'"):
            call()
    assert statistics.mean_sd([1.0, 3.0])[0] == 2.0
    assert statistics.wilson_interval(5, 10).low > 0
