"""Attacks that walk over boundaries: DeepFool in l_p, saliency maps, universal perturbations, and what transfers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from test_robust import affine, curved, images

from tinygrad2 import robust
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.ops import sum
from tinygrad2.robust import lp

Array = np.ndarray[Any, Any]
INF = float("inf")
EXPONENTS = (1, 1.5, 2, 3, INF)


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
