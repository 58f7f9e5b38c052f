"""Attacks that walk over boundaries: DeepFool in l_p, saliency maps, universal perturbations, and what transfers."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from test_robust import affine, curved, images

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.ops import cross_entropy, sum
from tinygrad2.robust import lp

Array = np.ndarray[Any, Any]
INF = float("inf")
EXPONENTS = (1, 1.5, 2, 3, INF)
jsma_module = sys.modules["tinygrad2.robust.attacks.jsma"]  # the package's attribute of this name is the function


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """No division by zero or overflow passes silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- The geometry of l_p


@given(SEEDS, st.sampled_from(EXPONENTS), st.floats(-6, 6))
def test_the_steepest_unit_step_attains_hölders_bound_and_no_other_exceeds_it(
    seed: int, p: float, magnitude: float
) -> None:
    rng = np.random.default_rng(seed)
    w, other = rng.standard_normal(5) * 10**magnitude, rng.standard_normal((50, 5))
    q = lp.dual(p)
    bound = np.linalg.norm(w, q)
    size = lp.length(Tensor(w), q)
    np.testing.assert_allclose(size.numpy(), [bound], 1e-12)
    step = lp.steepest(Tensor(w), size, q).numpy()
    np.testing.assert_allclose([np.linalg.norm(step, p), step @ w], [1, bound], 1e-12)
    assert ((other @ w) / np.linalg.norm(other, p, axis=1) <= bound * (1 + 1e-12)).all()


def test_dual_exponents_are_each_others_dual_and_below_1_there_is_none() -> None:
    for p in EXPONENTS:
        assert lp.dual(lp.dual(p)) == pytest.approx(p)
    for p in (0.5, 0, -1, float("nan")):
        with pytest.raises(ValueError, match="p ≥ 1"):
            lp.dual(p)


@pytest.mark.parametrize("p", EXPONENTS)
def test_the_step_of_a_zero_normal_is_zero(p: float) -> None:
    w = Tensor(np.zeros((2, 3)))
    q = lp.dual(p)
    assert not lp.steepest(w, lp.length(w, q), q).numpy().any()


@given(SEEDS, st.sampled_from((2, INF)), st.floats(0.1, 3))
def test_the_projection_is_the_nearest_point_of_the_ball(seed: int, p: float, radius: float) -> None:
    rng = np.random.default_rng(seed)
    x, others = rng.standard_normal((4, 3)), rng.standard_normal((200, 3))
    inside = others * np.minimum(1, radius / np.linalg.norm(others, p, axis=1, keepdims=True))
    projected = lp.project(Tensor(x), p, radius).numpy()
    assert (np.linalg.norm(projected, p, axis=1) <= radius * (1 + 1e-12)).all()
    np.testing.assert_allclose(lp.project(Tensor(projected), p, radius).numpy(), projected, 1e-12)
    distances = np.linalg.norm(inside[None] - x[:, None], axis=2)
    assert (np.linalg.norm(projected - x, axis=1) <= distances.min(1) + 1e-12).all()


# --- DeepFool


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(EXPONENTS), st.integers(2, 6), st.integers(2, 8))
def test_deepfool_leaves_an_affine_class_with_the_smallest_perturbation_in_lp(
    seed: int, p: float, classes: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    w, b, x = rng.standard_normal((classes, size)), rng.standard_normal(classes), rng.standard_normal((5, size))
    found = robust.deepfool(affine(w, b), x, p=p, overshoot=0.0, max_iter=1)
    r, z = found.adversarial.numpy() - x, x @ w.T + b
    for i in range(5):
        source = z[i].argmax()
        others = np.delete(np.arange(classes), source)
        gaps, normals = (z[i, source] - z[i])[others], (w - w[source])[others]
        # The distance from a hyperplane in l_p is gap / ‖normal‖_q; the nearest of them all is touched.
        distances = gaps / np.linalg.norm(normals, lp.dual(p), axis=1)
        k = distances.argmin()
        np.testing.assert_allclose(np.linalg.norm(r[i], p), distances[k], 1e-9)
        np.testing.assert_allclose(found.norms[i], distances[k], 1e-9)
        np.testing.assert_allclose(normals[k] @ r[i], gaps[k], 1e-9)


def test_the_smallest_l1_step_moves_one_entry_and_the_smallest_linf_step_moves_all_alike() -> None:
    net, x = curved(2), images(3, 20, (6,))
    sparse, even = (robust.deepfool(net, x, p=p, max_iter=1, overshoot=0.0).adversarial.numpy() - x for p in (1, INF))
    assert ((abs(sparse) > 1e-12).sum(1) == 1).all()
    np.testing.assert_allclose(abs(even), abs(even).max(1, keepdims=True).repeat(6, 1), 1e-9)


def test_each_norm_is_smallest_where_it_is_asked_for() -> None:
    net, x = curved(2), images(3, 60, (6,))
    found = {p: robust.deepfool(net, x, p=p) for p in (1, 2, INF)}
    assert all(f.success.all() for f in found.values())
    r = {p: f.adversarial.numpy() - x for p, f in found.items()}
    for p in r:
        mean = {other: np.linalg.norm(r[other], p, axis=1).mean() for other in r}
        assert min(mean, key=lambda other: mean[other]) == p
        np.testing.assert_allclose(found[p].norms, np.linalg.norm(r[p], p, axis=1), 1e-9)


def test_p_2_is_the_walk_of_deep_defense_bit_for_bit() -> None:
    net, x = curved(2), images(3, 60, (6,))
    walked = robust.walk(net, Tensor(x))
    np.testing.assert_array_equal(
        robust.deepfool(net, x, p=2, max_iter=5).adversarial.numpy(), x + walked.delta.numpy()
    )


@pytest.mark.parametrize("p", EXPONENTS)
def test_the_walk_is_differentiable_for_every_p(p: float) -> None:
    net, x, g = curved(4), images(5, 6, (6,)), images(6, 6, (6,))
    parameters = net.parameters()
    phi = lambda: sum(robust.walk(net, Tensor(x), max_iter=2, p=p).delta * g)
    gradients = autograd.grad(phi(), parameters)
    rng, h = np.random.default_rng(7), 1e-6
    directions = [rng.standard_normal(t.shape) for t in parameters]
    start = [t.numpy().copy() for t in parameters]
    values = []
    for sign in (1, -1):
        for t, a, d in zip(parameters, start, directions, strict=True):
            t.data = a + sign * h * d
        values.append(phi().item())
    along = np.sum([(a.numpy() * d).sum() for a, d in zip(gradients, directions, strict=True)])
    np.testing.assert_allclose(along, (values[0] - values[1]) / (2 * h), 1e-5)


@pytest.mark.parametrize("p", (1, 2, INF))
def test_in_a_box_every_point_stays_inside_and_success_is_what_the_net_says_there(p: float) -> None:
    net, x = curved(2), np.random.default_rng(3).uniform(0, 1, (60, 6))
    free, boxed = robust.deepfool(net, x, p=p), robust.deepfool(net, x, p=p, box=(0.0, 1.0))
    moved = boxed.adversarial.numpy()
    assert free.adversarial.numpy().min() < 0
    assert moved.min() >= 0 and moved.max() <= 1
    np.testing.assert_array_equal(boxed.success, robust.predict(net, moved) != robust.predict(net, x))
    clipped_afterwards = robust.predict(net, free.adversarial.numpy().clip(0, 1)) != robust.predict(net, x)
    assert boxed.success.sum() > clipped_afterwards.sum()  # a walk inside the box finds more than a result pushed back


def test_clipping_a_result_that_only_just_crossed_a_boundary_undoes_it() -> None:
    # z₁ - z₀ = x₁ + x₂ - 1.9 at (1, 0.5): the l2 step goes out of [0, 1] in x₁, and clipped there falls short.
    net, x = affine(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, -1.9])), np.array([[1.0, 0.5]])
    free = robust.deepfool(net, x)
    np.testing.assert_allclose(free.adversarial.numpy(), x + 1.02 * 0.2)
    assert robust.predict(net, free.adversarial.numpy().clip(0, 1)).tolist() == [0]
    boxed = robust.deepfool(net, x, box=(0.0, 1.0))
    assert (
        boxed.success.all() and boxed.adversarial.numpy()[0, 0] == 1 and 0.9 <= boxed.adversarial.numpy()[0, 1] < 0.92
    )


def test_the_coded_mode_belongs_to_l2() -> None:
    with pytest.raises(ValueError, match=r"l2 code; for p = 1"):
        robust.deepfool(curved(0), images(1, 2, (6,)), p=1, mode="coded")


# --- Saliency maps


def paper_jsma(net: nn.Layer, x: Array, t: int, label: int | None, theta: float, steps: int, pairs: bool) -> Array:
    """One sample's walk in the box [0, 1], straight from the paper: a loop over all pixels or pairs. x: (1, D)."""
    x = x.copy()
    for _ in range(steps):
        now = robust.predict(net, x)[0]
        if now == t if label is None else now != label:
            break
        jacobian = net.trace(x).jacobian().numpy()[:, 0]
        free = [i for i in range(x.shape[1]) if (x[0, i] < 1 if theta > 0 else x[0, i] > 0)]
        best, where = 0.0, None
        for pixels in itertools.combinations(free, 2 if pairs else 1):
            alpha = np.sign(theta) * jacobian[t, list(pixels)].sum()
            beta = np.sign(theta) * np.delete(jacobian, t, 0)[:, list(pixels)].sum()
            if alpha > 0 and beta < 0 and -alpha * beta > best:
                best, where = -alpha * beta, list(pixels)
        if where is None:
            break
        x[0, where] = (x[0, where] + theta).clip(0, 1)
    return x


@settings(max_examples=30)
@given(SEEDS, st.booleans(), st.booleans(), st.sampled_from((1.0, 0.4, -1.0, -0.3)))
def test_jsma_is_the_papers_loop(seed: int, pairs: bool, targeted: bool, theta: float) -> None:
    net, x = curved(seed % 100), np.random.default_rng(seed).uniform(0, 1, (6, 6))
    y = robust.predict(net, x)
    z = net(x).numpy()
    t = (y + 1) % 4 if targeted else np.argsort(z, 1)[:, -2]
    found = robust.jsma(net, x, y, box=(0.0, 1.0), theta=theta, steps=9, pairs=pairs, targets=t if targeted else None)
    for i in range(6):
        expected = paper_jsma(net, x[i : i + 1], int(t[i]), None if targeted else int(y[i]), theta, 9, pairs)
        np.testing.assert_allclose(found.adversarial.numpy()[i], expected[0], 1e-12)
        assert found.norms[i] == (expected[0] != x[i]).sum()
    now = robust.predict(net, found.adversarial.numpy())
    np.testing.assert_array_equal(found.success, now == t if targeted else now != y)


@settings(max_examples=60)
@given(SEEDS, st.integers(0, 30), st.booleans())
def test_the_best_pair_is_among_the_pixels_that_no_two_others_beat(seed: int, size: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 1, size)).round(0 if ties else 9)
    free = rng.random((1, size)) < 0.8
    chosen, found = jsma_module._most_salient_pair(a, b, free)
    products = [
        (a[0, p] + a[0, q]) * (b[0, p] + b[0, q])
        for p, q in itertools.combinations(np.flatnonzero(free[0]), 2)
        if a[0, p] + a[0, q] > 0 and b[0, p] + b[0, q] > 0
    ]
    assert found[0] == bool(products)
    assert chosen.sum() == (2 if products else 0) and not (chosen & ~free).any()
    if products:
        assert a[chosen].sum() * b[chosen].sum() == max(products)


def test_on_an_affine_net_jsma_saturates_the_pixels_in_the_order_of_their_saliency() -> None:
    w = np.array([[-1.0, -1.0, -4.0, -9.0], [3.0, 1.0, 2.0, -1.0]])  # -αβ = 3, 1, 8, and pixel 3 has α < 0
    net, x = affine(w, np.array([100.0, 0.0])), np.full((1, 4), 0.25)
    states = [
        robust.jsma(net, x, [0], box=(0.0, 1.0), steps=steps).adversarial.numpy()[0].tolist() for steps in (1, 2, 3, 9)
    ]
    assert states[0] == [0.25, 0.25, 1.0, 0.25]
    assert states[1] == [1.0, 0.25, 1.0, 0.25]
    assert states[2] == states[3] == [1.0, 1.0, 1.0, 0.25]  # then no pixel is left that would help


def test_gamma_is_the_share_of_pixels_that_may_change() -> None:
    net, x = affine(np.stack([-np.ones(50), np.ones(50)]), np.array([1e3, 0.0])), np.zeros((2, 50))
    for gamma, pairs, changed in ((0.3, False, 15), (0.3, True, 14), (1.0, True, 50)):
        found = robust.jsma(net, x, [0, 0], box=(0.0, 1.0), gamma=gamma, pairs=pairs)
        assert found.norms.tolist() == [changed] * 2 and not found.success.any()


def test_a_sample_that_is_wrong_already_is_left_alone() -> None:
    net, x = curved(2), np.random.default_rng(3).uniform(0, 1, (20, 6))
    y = (robust.predict(net, x) + 1) % 4
    found = robust.jsma(net, x, y, box=(0.0, 1.0))
    np.testing.assert_array_equal(found.adversarial.numpy(), x)
    assert found.success.all() and not found.iterations.any() and not found.norms.any()


def test_on_probabilities_the_map_is_the_square_of_one_derivative_and_underflows_for_a_confident_net() -> None:
    net, x = curved(2, dtype=np.float32), np.random.default_rng(3).uniform(0, 1, (8, 6)).astype(np.float32)
    y = robust.predict(net, x)
    (alpha, minus_beta) = jsma_module._rows(nn.Sequential(net, nn.Softmax()).trace(x), y, 1.0)
    np.testing.assert_allclose(alpha, minus_beta, 1e-4, 1e-6)
    net["fc2"].weight.data = net["fc2"].weight.data * np.float32(1e4)  # type: ignore[attr-defined]
    on = {softmax: robust.jsma(net, x, y, box=(0.0, 1.0), softmax=softmax) for softmax in (False, True)}
    assert on[False].success.sum() > on[True].success.sum()
    assert not on[True].norms.any()  # no pixel has a derivative that float32 can tell from 0


def test_the_message_of_jsma_says_what_is_wrong() -> None:
    net, x = curved(2), np.random.default_rng(3).uniform(0, 1, (2, 6))
    call = lambda **options: robust.jsma(net, x, [0, 1], **{"box": (0.0, 1.0), **options})
    for message, options in (
        (r"pixels in \[0, 0.1\]", {"box": (0.0, 0.1)}),
        (r"gamma is the share .* got 2", {"gamma": 2}),
        (r"steps must be at least 1, got 0", {"gamma": 0.1}),
        (r"theta .* not 0, got 0", {"theta": 0}),
        (r"labels\[0\] is 9", {"targets": 9}),
        (r"expected 2 integers", {"targets": [0, 1, 2]}),
    ):
        with pytest.raises(ValueError, match=message):
            call(**options)


# --- Universal perturbations


@pytest.mark.parametrize("p", (2, INF))
def test_one_perturbation_inside_the_ball_fools_more_images_than_noise_of_its_size_also_those_it_has_not_seen(
    p: float,
) -> None:
    net, x = curved(2, (20, 30, 4)), images(3, 300, (20,)) + 0.5
    seen, held_out, epsilon = x[:100], x[100:], 0.25 if p == INF else 1.0
    found = robust.universal(net, seen, None, epsilon=epsilon, p=p, share=0.9, passes=4)
    v = found.perturbation.numpy()
    np.testing.assert_allclose(found.adversarial.numpy(), seen + v, 1e-12)
    assert np.linalg.norm(v.ravel(), p) <= epsilon * (1 + 1e-12)
    np.testing.assert_allclose(found.norms, np.linalg.norm(v.ravel(), p), 1e-9)
    fooled = lambda x, v: (robust.predict(net, x + v) != robust.predict(net, x)).mean()
    assert max(found.rates) == fooled(seen, v) == found.success.mean()  # the best v, not the last one
    noise = np.random.default_rng(4).standard_normal((20, 20))
    noise *= np.linalg.norm(v.ravel(), p) / np.linalg.norm(noise, p, axis=1, keepdims=True)
    assert fooled(held_out, v) > 1.5 * np.mean([fooled(held_out, n) for n in noise])


def test_the_fooling_rate_grows_with_the_ball_and_the_search_ends_at_the_share_asked_for() -> None:
    net, x = curved(2, (20, 30, 4)), images(3, 100, (20,)) + 0.5
    rates = [robust.universal(net, x, None, epsilon=e, passes=3).rates for e in (0.05, 0.2, 0.8)]
    assert rates[0][-1] < rates[1][-1] < rates[2][-1]
    few, many = (robust.universal(net, x, None, epsilon=0.8, share=share, passes=5) for share in (0.3, 1.0))
    assert few.rates[-1] >= 0.3 and all(rate < 0.3 for rate in few.rates[:-1])
    assert (many.iterations == len(many.rates)).all() and len(many.rates) == 5


def test_a_universal_perturbation_is_the_algorithm_in_the_order_that_the_seed_gives() -> None:
    net, x, epsilon = curved(2), images(3, 15, (6,)), 0.4
    found = robust.universal(net, x, None, epsilon=epsilon, passes=1, rng=5)
    v, before = np.zeros(6), robust.predict(net, x)
    for i in np.random.default_rng(5).permutation(15):
        if robust.predict(net, x[i : i + 1] + v) == before[i]:
            step = robust.deepfool(net, x[i : i + 1] + v, max_iter=10)
            if step.success[0]:
                v = (step.adversarial.numpy()[0] - x[i]).clip(-epsilon, epsilon)
    np.testing.assert_allclose(found.perturbation.numpy()[0], v, 1e-12)
    again = robust.universal(net, x, None, epsilon=epsilon, passes=1, rng=5)
    np.testing.assert_array_equal(again.perturbation.numpy(), found.perturbation.numpy())


def test_in_a_box_the_moved_images_stay_inside_and_labels_say_what_success_is() -> None:
    net, x = curved(2), np.random.default_rng(3).uniform(0, 1, (60, 6))
    y = (robust.predict(net, x) + np.arange(60) % 2) % 4
    found = robust.universal(net, x, y, epsilon=0.3, box=(0.0, 1.0), passes=2)
    moved = found.adversarial.numpy()
    assert moved.min() >= 0 and moved.max() <= 1
    np.testing.assert_array_equal(moved, (x + found.perturbation.numpy()).clip(0, 1))
    np.testing.assert_array_equal(found.success, robust.predict(net, moved) != y)


def test_the_message_of_universal_says_what_is_wrong() -> None:
    net, x = curved(2), images(3, 3, (6,))
    for message, options in (
        (r"share must be in \(0, 1\].*share = 0", {"share": 0}),
        (r"epsilon finite and > 0; .*epsilon = 0", {"epsilon": 0}),
        (r"l2 and the l∞ ball, not for p = 3", {"p": 3}),
    ):
        with pytest.raises(ValueError, match=message):
            robust.universal(net, x, None, **{"epsilon": 1.0, **options})


# --- Transfer


def test_the_transfer_matrix_is_each_networks_accuracy_on_what_was_crafted_on_another() -> None:
    nets = {f"seed {s}": curved(s) for s in range(3)}
    x = images(3, 70, (6,))
    y = robust.predict(nets["seed 0"], x)
    attack = lambda net, x, y: robust.fgsm(net, x, y, 0.5)
    matrix = robust.transfer_matrix(attack, nets, x, y, batch_size=30)
    for i, source in enumerate(nets.values()):
        crafted = attack(source, x, y).adversarial.numpy()
        for j, tested in enumerate(nets.values()):
            assert matrix.accuracy[i, j] == pytest.approx(robust.accuracy(tested, crafted, y))
            assert matrix.clean[j] == pytest.approx(robust.accuracy(tested, x, y))


def test_a_network_attacked_by_itself_is_never_reported_as_transfer_not_even_under_another_name() -> None:
    net, other = curved(1), curved(2)
    twin = curved(3)
    twin.load_state_dict(net.state_dict())
    x = images(3, 40, (6,))
    matrix = robust.transfer_matrix(
        lambda *given: robust.fgsm(*given, 0.5), {"a": net, "b": other, "c": twin}, x, robust.predict(net, x)
    )
    np.testing.assert_array_equal(np.isnan(matrix.transfer()), [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    shared = ~matrix.white_box
    np.testing.assert_array_equal(matrix.transfer()[shared], matrix.accuracy[shared])
    lines = str(matrix).splitlines()
    assert [line.count("(") for line in lines] == [0, 1, 2, 1, 2, 1]  # "(clean)" is a name
    assert f"({100 * matrix.accuracy[0, 0]:.2f})" in lines[2] and "not transfer" in lines[-1]


def test_transfer_needs_two_networks() -> None:
    with pytest.raises(ValueError, match="at least two networks"):
        robust.transfer_matrix(robust.deepfool, {"one": curved(1)}, images(3, 4, (6,)), np.zeros(4, int))


# --- Diagnostics


DEAD: dict[str, Callable[..., robust.AttackResult]] = {
    "deepfool": robust.deepfool,
    "jsma": lambda net, x, y: robust.jsma(net, x, y, box=(0.0, 1.0)),
    "universal": lambda net, x, y: robust.universal(net, x, y, epsilon=0.3, passes=2),
}


@pytest.mark.parametrize("name", DEAD)
def test_the_diagnostic_counts_the_samples_without_a_gradient_and_says_what_the_loss_did(name: str) -> None:
    """z = (-h, 4h - 1, -9) for h = relu(x₁ - ½): no gradient where x₁ < ½, and the loss of class 0 grows with x₁."""
    layers = nn.Linear(6, 1, dtype=np.float64), nn.ReLU(), nn.Linear(1, 3, dtype=np.float64)
    net = nn.Sequential(*layers)
    first, second = np.eye(1, 6), np.array([[-1.0], [4.0], [0.0]])
    biases = {"0.bias": np.array([-0.5]), "2.bias": np.array([0.0, -1.0, -9.0])}
    net.load_state_dict({"0.weight": first, "2.weight": second, **biases})
    x, y = np.random.default_rng(3).uniform(0, 0.69, (40, 6)), np.zeros(40, int)
    found = DEAD[name](net, x, y)
    assert found.diagnostic is not None and (robust.predict(net, x) == 0).all()
    assert found.diagnostic.zero_gradients == pytest.approx((x[:, 0] < 0.5).mean())
    ce = lambda x: cross_entropy(net(x), y).item()
    assert found.diagnostic.loss_change == pytest.approx(ce(found.adversarial.numpy()) - ce(x), abs=1e-9)
    assert found.diagnostic.loss_change > 0
