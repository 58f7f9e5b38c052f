"""Sign attacks, Carlini & Wagner's, probes and diagnostics: closed forms on affine nets, and what must always hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from test_robust import affine, convnet, curved, images, mixed_labels

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.robust.attacks import probes as probes_module
from tinygrad2.robust.attacks.best import Best
from tinygrad2.robust.attacks.diagnostic import stronger
from tinygrad2.robust.attacks.pgd import uniform
from tinygrad2.robust.attacks.registry import find_attack

Array = np.ndarray[Any, Any]
INF = float("inf")
UNIT = (0.0, 1.0)
each_norm = pytest.mark.parametrize("p", [2, INF])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """No division by zero or overflow passes silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels(seed: int, n: int, size: int = 6, dtype: Any = np.float64) -> Array:
    """Images in [0, 1], some pixels at its ends."""
    return (np.random.default_rng(seed).random((n, size)) * 1.4 - 0.2).clip(0, 1).astype(dtype)


def softmax_loss(net: nn.Layer, x: Array, y: Array) -> Array:
    """The cross-entropy of each sample, as its formula."""
    z = net(x).detach().numpy()
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), y]


def margins(net: nn.Layer, x: Array, y: Array) -> Array:
    """max_{j≠t} z_j - z_t of each sample, in a loop."""
    z = net(x).detach().numpy()
    return np.array([np.delete(row, t).max() - row[t] for row, t in zip(z, y, strict=True)])


def points(result: robust.AttackResult) -> Array:
    return result.adversarial.numpy()


# --- The registry


@pytest.mark.parametrize("name", robust.ATTACKS)
def test_every_attack_says_in_one_line_what_it_does(name: str) -> None:
    attack = find_attack(name)
    assert 10 < len(attack.summary) < 110 and attack.norm
    assert not {"net", "x", "labels"} & attack.options.keys()


def test_an_unknown_attack_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown attack 'fgms' \(did you mean 'fgsm'\?\); known: .*deepfool"):
        find_attack("fgms")


# --- BIM and PGD


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 5), st.integers(1, 7), st.integers(2, 6), st.sampled_from([2, INF]), st.booleans())
def test_on_an_affine_net_of_two_classes_every_ascent_ends_at_the_far_side_of_the_ball(
    seed: int, n: int, size: int, steps: int, p: float, random_start: bool
) -> None:
    rng = np.random.default_rng(seed)
    w, x, y = rng.standard_normal((2, size)), rng.standard_normal((n, size)), rng.integers(0, 2, n)
    attack = robust.pgd if random_start else robust.bim
    found = attack(affine(w, rng.standard_normal(2)), x, y, 0.3, p=p, steps=steps * 5, step_size=1 / steps, keep="last")
    up = w[1 - y] - w[y]  # ∂(z_other - z_true)/∂x
    best = np.sign(up) if p == INF else up / np.linalg.norm(up, axis=1, keepdims=True)
    np.testing.assert_allclose(points(found) - x, 0.3 * best, 0, 0.02 if random_start and p == 2 else 1e-14)
    np.testing.assert_allclose(found.norms, 0.3, 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30)
@given(SEEDS, st.floats(0, 2), st.booleans())
def test_bim_with_one_step_is_fgsm_to_the_bit(dtype: Any, seed: int, epsilon: float, in_box: bool) -> None:
    net, x = curved(seed, dtype=dtype), pixels(seed, 5, dtype=dtype)
    y, box = mixed_labels(net, x), UNIT if in_box else None
    one, fast = robust.bim(net, x, y, epsilon, steps=1, box=box), robust.fgsm(net, x, y, epsilon, box=box)
    np.testing.assert_array_equal(points(one), points(fast))
    np.testing.assert_array_equal(one.norms, fast.norms)
    assert one.diagnostic == fast.diagnostic


@each_norm
def test_bim_is_the_papers_loop(p: float) -> None:
    net, x = curved(3), pixels(4, 12)
    y, epsilon, alpha = mixed_labels(net, x), 0.2, 0.07
    at = x.copy()
    for _ in range(5):
        for i in range(12):
            g = robust.loss_gradient(net, Tensor(at[i : i + 1]), y[i : i + 1]).numpy()[0]
            delta = at[i] + alpha * (np.sign(g) if p == INF else g / np.linalg.norm(g)) - x[i]
            size = np.linalg.norm(delta)
            delta = delta.clip(-epsilon, epsilon) if p == INF else delta * min(1.0, epsilon / size)
            at[i] = (x[i] + delta).clip(0, 1)
    found = robust.bim(net, x, y, epsilon, p=p, steps=5, step_size=alpha, box=UNIT, keep="last")
    np.testing.assert_allclose(points(found), at, 1e-9, 1e-12)
    assert (found.iterations == 5).all()


@settings(max_examples=40)
@given(
    SEEDS, st.sampled_from([2, INF]), st.floats(0, 3), st.floats(1e-3, 10), st.sampled_from([np.float32, np.float64])
)
def test_whatever_the_steps_the_result_is_in_the_ball_and_exactly_in_the_box(
    seed: int, p: float, epsilon: float, step_size: float, dtype: Any
) -> None:
    net, x = curved(seed, dtype=dtype), pixels(seed, 4, dtype=dtype)
    y = mixed_labels(net, x)
    options: Any = {"p": p, "steps": 3, "step_size": step_size, "box": UNIT}
    for found in (robust.bim(net, x, y, epsilon, **options), robust.pgd(net, x, y, epsilon, rng=seed, **options)):
        a = points(found)
        assert a.min() >= 0 and a.max() <= 1 and a.dtype == found.norms.dtype == dtype
        assert found.norms.max() <= epsilon + 4 * np.finfo(dtype).eps * max(1, epsilon)
        largest = np.abs(a - x).max(1) + np.finfo(dtype).tiny  # divided out, for NumPy's norm squares what it is given
        np.testing.assert_allclose(found.norms, largest * np.linalg.norm((a - x) / largest[:, None], p, axis=1), 1e-5)
        np.testing.assert_array_equal(found.success, robust.predict(net, a) != y)


def rank(net: nn.Layer, found: robust.AttackResult, y: Array) -> list[tuple[bool, float]]:
    """What "best" compares: whether the net is fooled, then the log odds against the true class."""
    z = net(points(found)).detach().numpy()
    odds = [np.log(np.exp(np.delete(row, t)).sum()) - row[t] for row, t in zip(z, y, strict=True)]
    return list(zip(found.success.tolist(), odds, strict=True))


def test_the_best_step_is_at_least_as_good_as_the_last_and_more_steps_or_restarts_never_harm() -> None:
    net, x = curved(1, gain=6.0), pixels(2, 40)
    y, epsilon = robust.predict(net, x), 0.15
    run = lambda attack, **options: attack(net, x, y, epsilon, step_size=0.1, box=UNIT, **options)
    weaker_stronger = [
        (run(robust.bim, keep="last"), run(robust.bim)),
        (run(robust.bim, steps=3), run(robust.bim, steps=10)),
        (run(robust.pgd, steps=10), run(robust.pgd, steps=10, restarts=3)),
        (robust.fgsm(net, x, y, 0.1, box=UNIT), run(robust.bim)),
    ]
    for weaker, better in weaker_stronger:
        a, b = rank(net, weaker, y), rank(net, better, y)
        assert all(fooled >= before or value >= old - 1e-9 for (before, old), (fooled, value) in zip(a, b, strict=True))
        assert better.success.sum() >= weaker.success.sum()
        assert a != b  # else this net shows nothing
    restarts = run(robust.pgd, steps=10, restarts=3)
    assert len(set(restarts.iterations.tolist())) > 1  # the best step is not always the last


def test_best_prefers_what_fools_then_the_higher_value_then_the_earlier_and_never_takes_nan() -> None:
    best = Best(Tensor(np.zeros((5, 1))))
    offers = [([1, 1, 5, 1, 1], [0, 0, 1, 0, 0]), ([2, 0, 9, 1, np.nan], [0, 1, 0, 0, 0])]
    for k, (values, fooled) in enumerate(offers, 1):
        best.offer(Tensor(np.full((5, 1), float(k))), np.array(values, float), np.array(fooled, bool), k)
    np.testing.assert_array_equal(best.points.numpy()[:, 0], [2, 2, 1, 1, 1])
    np.testing.assert_array_equal(best.steps, [2, 2, 1, 1, 1])
    np.testing.assert_array_equal(best.fooled, [0, 1, 1, 0, 0])


@each_norm
def test_random_starts_fill_the_ball_evenly(p: float) -> None:
    draws = uniform(np.random.default_rng(0), (20_000, 3), p)
    level = np.linalg.norm(draws, p, axis=1) ** 3  # the share of the ball's volume that lies further inside
    assert level.max() <= 1
    np.testing.assert_allclose(np.histogram(level, 10, (0, 1))[0] / 20_000, 0.1, atol=0.01)
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.02)
    octants = (draws > 0) @ [4, 2, 1]
    np.testing.assert_allclose(np.bincount(octants) / 20_000, 1 / 8, atol=0.01)


def test_the_seed_decides_the_starts_to_the_bit() -> None:
    net, x = curved(5), pixels(6, 10)
    y = mixed_labels(net, x)
    run = lambda rng: points(robust.pgd(net, x, y, 0.1, steps=2, restarts=2, rng=rng))
    np.testing.assert_array_equal(run(3), run(3))
    np.testing.assert_array_equal(run(3), run(np.random.default_rng(3)))
    assert (run(3) != run(4)).any()


# --- Carlini & Wagner, l∞


def test_cw_linf_ascends_the_printed_margin() -> None:
    net, x = curved(3), pixels(4, 12)
    y, kappa, alpha = mixed_labels(net, x), 1.5, 0.05
    at = x.copy()
    for _ in range(4):
        for i in range(12):
            z = net(at[i : i + 1]).detach().numpy()[0]
            u = np.zeros((1, 4))
            others = [k for k in range(4) if k != y[i]]
            j = max(others, key=lambda k: z[k])
            u[0, j], u[0, y[i]] = 1.0, -1.0
            g = net.trace(Tensor(at[i : i + 1])).reverse()(u).detach().numpy()[0]
            at[i] += alpha * np.sign(g) if z[y[i]] - z[j] + kappa > 0 else 0.0
            at[i] = x[i] + (at[i] - x[i]).clip(-0.12, 0.12)
    found = robust.cw_linf(net, x, y, 0.12, kappa=kappa, steps=4, step_size=alpha, keep="last")
    np.testing.assert_allclose(points(found), at, 1e-9, 1e-12)
    still = margins(net, x, y) > kappa
    assert still.any() and not found.norms[still].any()


# --- Carlini & Wagner, l2


@pytest.mark.parametrize("box", [None, (0.0, 1.0), (0.0, 255.0)])
def test_cw_l2_finds_the_distance_to_the_boundary_of_an_affine_net(box: tuple[float, float] | None) -> None:
    rng, unit = np.random.default_rng(22), 1.0 if box is None else box[1]
    w = rng.standard_normal((2, 8))
    normal, distance = (w[1] - w[0]) / np.linalg.norm(w[1] - w[0]), rng.uniform(0.1, 0.3, 5)
    net = affine(w / unit, np.array([0.0, -0.5 * (w[1] - w[0]).sum()]))  # the boundary crosses the middle of the box
    x = (0.5 - distance[:, None] * normal) * unit
    found = robust.cw_l2(net, x, np.zeros(5, np.int64), steps=200, box=box)
    assert found.success.all()
    assert (found.norms >= distance * unit * (1 - 1e-9)).all()  # nothing nearer exists
    np.testing.assert_allclose(found.norms, distance * unit, 0.02)


def test_cw_l2_moves_pixels_at_the_ends_of_their_box() -> None:
    # z₁ - z₀ = x₀ - x₁ - 0.5: the nearest adversarial point of (0, 1) is (0.75, 0.25).
    net = affine(np.array([[0.0, 0.0], [1.0, -1.0]]), np.array([0.0, -0.5]))
    found = robust.cw_l2(net, np.array([[0.0, 1.0]]), [0], step_size=0.05, box=UNIT)
    assert found.success.all()
    np.testing.assert_allclose(points(found), [[0.75, 0.25]], atol=0.02)


def test_cw_l2_asks_for_the_lead_kappa_and_a_larger_one_costs_more() -> None:
    net, x = curved(18), pixels(19, 12)
    y = robust.predict(net, x)
    runs = {k: robust.cw_l2(net, x, y, kappa=k, steps=100, step_size=0.05, box=UNIT) for k in (0.0, 0.5, 1.0)}
    for kappa, found in runs.items():
        assert found.success.sum() > 5
        assert (margins(net, points(found), y)[found.success] >= kappa - 1e-9).all()
        np.testing.assert_array_equal(points(found)[~found.success], x[~found.success])
        assert points(found).min() >= 0 and points(found).max() <= 1
    for small, large in ((0.0, 0.5), (0.5, 1.0)):
        both = runs[small].success & runs[large].success
        assert runs[small].norms[both].mean() < runs[large].norms[both].mean()


def test_cw_l2_leaves_alone_what_is_wrong_already_and_what_cannot_be_fooled() -> None:
    net, x = affine(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([0.0, -5.0])), np.array([[0.5, 0.5], [0.2, 0.1]])
    found = robust.cw_l2(net, x, [0, 1], steps=20, box=UNIT)  # class 0 holds everywhere in the box
    np.testing.assert_array_equal(points(found), x)
    assert found.success.tolist() == [False, True] and not found.norms.any() and not found.iterations.any()


def test_more_searches_for_the_constant_never_harm() -> None:
    net, x = curved(20), pixels(21, 12)
    y = robust.predict(net, x)
    few, many = (robust.cw_l2(net, x, y, searches=n, steps=60, step_size=0.05, box=UNIT) for n in (4, 9))
    size = lambda found: np.where(found.success, found.norms, np.inf)
    assert (size(many) <= size(few)).all() and (size(many) < size(few)).any()


# --- Probes


def test_random_noise_moves_every_pixel_by_epsilon_and_keeps_the_best_sample() -> None:
    net, x = curved(23), images(24, 30, (6,))
    y = robust.predict(net, x)
    found = robust.random_noise(net, x, y, 0.3, samples=20, rng=1)
    np.testing.assert_allclose(np.abs(points(found) - x), 0.3, 1e-12)
    rng = np.random.default_rng(1)
    leads = np.array([margins(net, x + 0.3 * rng.choice([-1.0, 1.0], x.shape), y) for _ in range(20)])
    np.testing.assert_array_equal(found.success, (leads > 0).any(0))
    np.testing.assert_array_equal(found.iterations, leads.argmax(0) + 1)
    assert 0 < found.success.sum() < 30


def bright(seed: int = 0) -> tuple[nn.Sequential, Array, Array]:
    """A conv net, images in [0, 1] and what it says of them."""
    net, x = convnet(seed), np.random.default_rng(seed).random((20, 1, 6, 6))
    return net, x, robust.predict(net, x)


def test_squares_are_kept_only_where_they_raise_the_margin() -> None:
    net, x, y = bright()
    runs = [robust.square(net, x, y, 0.1, steps=n, rng=1, box=UNIT) for n in (1, 10, 100)]
    leads = [margins(net, points(run), y) for run in runs]
    assert (leads[1] >= leads[0]).all() and (leads[2] > leads[0]).any()
    for run in runs:
        assert points(run).min() >= 0 and points(run).max() <= 1 and run.norms.max() <= 0.1 + 1e-12
        np.testing.assert_array_equal(run.success, robust.predict(net, points(run)) != y)
    stopped = runs[2].success
    assert stopped.any() and (runs[2].iterations[stopped] < 100).any() and (runs[2].iterations[~stopped] == 100).all()


def test_squares_start_as_vertical_stripes_and_a_flat_image_is_one_row() -> None:
    net, x, y = bright()
    stripes = np.sign(points(robust.square(net, x, y, 0.1, steps=1)) - x)
    assert (stripes == stripes[:, :, :1]).all() and {-1.0, 1.0} == set(stripes.ravel())
    flat, points_ = curved(25), images(26, 20, (6,))
    y = robust.predict(flat, points_)
    assert (
        robust.square(flat, points_, y, 0.4, steps=200).success.sum()
        >= robust.fgsm(flat, points_, y, 0.2).success.sum()
    )


@settings(max_examples=50)
@given(SEEDS, st.integers(1, 9), st.integers(1, 9), st.floats(0.001, 1))
def test_a_window_covers_its_share_of_the_image_as_one_rectangle(seed: int, h: int, w: int, share: float) -> None:
    windows = probes_module._windows(np.random.default_rng(seed), 4, h, w, share)[:, 0]
    for inside in windows:
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        assert inside.sum() == len(rows) * len(columns) == windows[0].sum() > 0
        assert (np.diff(rows) == 1).all() and (np.diff(columns) == 1).all()
        assert abs(inside.sum() - share * h * w) <= max(h, w) / 2 + 1


def test_the_squares_shrink() -> None:
    areas = [probes_module.area(t) for t in np.linspace(0, 1, 101)]
    assert areas[0] == 0.8 and (np.diff(areas) <= 0).all() and areas[-1] == 0.8 / 2**9


# --- Is it robust, or is its gradient masked?


def masked_and_honest() -> tuple[nn.Sequential, nn.Sequential, Array, Array]:
    """A float32 net whose logits are a thousand times those of another: the same classes everywhere, p_t = 1."""
    honest, masked = curved(27, dtype=np.float32), curved(27, dtype=np.float32)
    for name in ("weight", "bias"):
        p = getattr(masked["fc2"], name)
        p.data = p.data * np.float32(1000)
    x = pixels(28, 60, dtype=np.float32)
    return masked, honest, x, robust.predict(honest, x)


def test_a_masked_net_looks_robust_and_is_found_out() -> None:
    masked, honest, x, y = masked_and_honest()
    other = curved(29, dtype=np.float32)
    usual = robust.bim(masked, x, y, 0.2, box=UNIT, saturating=True)
    shown = robust.bim(honest, x, y, 0.2, box=UNIT)
    assert usual.success.mean() < 0.2 < 0.8 * shown.success.mean()  # though they are the same classifier
    verdict = robust.diagnose(masked, x, y, usual, 0.2, box=UNIT, other=other)
    assert verdict.zero_gradients > 0.8
    assert verdict.probes.keys() == {"random_noise", "fgsm", "bim", "square", "transfer"}
    text = "\n".join(verdict.warnings)
    for sign in ("gradient is exactly zero", "random noise fools more", "one step .* fools more", "random search"):
        assert re.search(sign, text), sign


def test_an_honest_net_gets_no_warning() -> None:
    _, honest, x, y = masked_and_honest()
    for result in (
        robust.bim(honest, x, y, 0.2, box=UNIT),
        robust.pgd(honest, x, y, 0.2, box=UNIT),
        robust.fgsm(honest, x, y, 0.2, box=UNIT),
        robust.cw_linf(honest, x, y, 0.2, box=UNIT),
    ):
        verdict = robust.diagnose(honest, x, y, result, 0.2, box=UNIT, other=curved(29, dtype=np.float32))
        assert verdict.warnings == () and verdict.zero_gradients == 0.0 and verdict.loss_change > 0
        assert result.diagnostic is not None and result.diagnostic.loss_change == verdict.loss_change


def test_a_margin_attack_without_its_gradient_is_told_that_bim_is_stronger() -> None:
    masked, _, x, y = masked_and_honest()
    weak = robust.cw_linf(masked, x, y, 0.2, kappa=0.0, steps=2, step_size=0.01, box=UNIT)
    text = "\n".join(robust.diagnose(masked, x, y, weak, 0.2, box=UNIT).warnings)
    assert "BIM's ten steps" in text and "reach 0.02 of epsilon 0.2" in text


def test_images_made_on_another_net_that_fool_more_are_a_warning() -> None:
    masked, honest, x, y = masked_and_honest()
    usual = robust.bim(masked, x, y, 0.2, box=UNIT, saturating=True)
    text = "\n".join(robust.diagnose(masked, x, y, usual, 0.2, box=UNIT, other=honest).warnings)
    assert "made on another net fool more" in text


def test_probes_have_the_size_of_the_attack_or_are_refused() -> None:
    _, honest, x, y = masked_and_honest()
    with pytest.raises(ValueError, match=r"moved a pixel by 0.3, the probes only by epsilon = 0.2"):
        robust.diagnose(honest, x, y, robust.fgsm(honest, x, y, 0.3), 0.2)


def test_stronger_is_a_sign_test() -> None:
    of = lambda *counts: [
        np.repeat(flags, counts) for flags in ([True, False, True, False], [False, True, True, False])
    ]
    assert stronger(*of(5, 0, 9, 9)) and not stronger(*of(4, 0, 9, 9))  # 1/32 and 1/16
    assert stronger(*of(15, 5, 0, 0)) and not stronger(*of(14, 6, 0, 0)) and not stronger(*of(0, 0, 3, 3))


# --- What holds for all of them

Attacked = Callable[..., robust.AttackResult]
ALL: dict[str, Attacked] = {
    "fgsm": lambda net, x, y: robust.fgsm(net, x, y, np.float64(0.1), box=UNIT),
    "bim": lambda net, x, y: robust.bim(net, x, y, np.float64(0.1), steps=3, box=UNIT),
    "bim, l2": lambda net, x, y: robust.bim(net, x, y, np.float64(0.1), p=2, steps=3, box=UNIT),
    "pgd": lambda net, x, y: robust.pgd(net, x, y, np.float64(0.1), steps=3, restarts=2, rng=1, box=UNIT),
    "cw_l2": lambda net, x, y: robust.cw_l2(
        net, x, y, steps=20, step_size=np.float64(0.1), searches=2, constant=np.float64(1), box=UNIT
    ),
    "cw_linf": lambda net, x, y: robust.cw_linf(net, x, y, np.float64(0.1), steps=3, box=UNIT),
    "random_noise": lambda net, x, y: robust.random_noise(net, x, y, np.float64(0.1), box=UNIT),
    "square": lambda net, x, y: robust.square(net, x, y, np.float64(0.1), steps=20, box=UNIT),
}
each_attack = pytest.mark.parametrize("name", ALL)


@each_attack
def test_float32_stays_float32(name: str) -> None:
    net, x = curved(7, dtype=np.float32), pixels(8, 6, dtype=np.float32)
    found = ALL[name](net, x, mixed_labels(net, x))
    assert points(found).dtype == found.norms.dtype == np.float32


@each_attack
def test_an_attack_works_inside_no_grad_and_leaves_nothing_on_the_tape(name: str) -> None:
    net, x = curved(9), pixels(10, 6)
    y = mixed_labels(net, x)
    outside = ALL[name](net, x, y)
    with no_grad():
        inside = ALL[name](net, x, y)
    np.testing.assert_array_equal(points(inside), points(outside))
    assert not outside.adversarial.requires_grad and all(p.grad is None for p in net.parameters())


@each_attack
def test_the_net_is_attacked_in_evaluation_mode_and_every_layer_stays_as_it_was(name: str) -> None:
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        fc1=nn.Linear(6, 8, rng=rng, dtype=np.float64),
        bn=nn.BatchNorm1d(8, dtype=np.float64),
        dropout=nn.Dropout(0.5),
        fc2=nn.Linear(8, 4, rng=rng, dtype=np.float64),
    )
    x = pixels(11, 6)
    y = robust.predict(net, x)
    expected = ALL[name](net.eval(), x, y)
    net.train()
    net["bn"].eval()  # every layer has a mode of its own
    before = {key: value.copy() for key, value in net.state_dict().items()}
    found = ALL[name](net, x, y)
    np.testing.assert_array_equal(points(found), points(expected))
    assert [layer.training for _, layer in net.named_layers()] == [True, True, False, True, True]
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[key], key)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"pgd", "random_noise", "square"}))  # which draw for a batch
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    net, x = curved(12), pixels(13, 8)
    y = mixed_labels(net, x)
    together = ALL[name](net, x, y)
    for i in range(8):
        alone = ALL[name](net, x[i : i + 1], y[i : i + 1])
        np.testing.assert_allclose(points(alone)[0], points(together)[i], 1e-9, 1e-12)
        assert (alone.success[0], alone.iterations[0]) == (together.success[i], together.iterations[i])


# --- The diagnostic that costs nothing


@each_attack
def test_the_loss_change_is_that_of_the_mean_cross_entropy(name: str) -> None:
    net, x = curved(14), pixels(15, 10)
    y = mixed_labels(net, x)
    found = ALL[name](net, x, y)
    change = (softmax_loss(net, points(found), y) - softmax_loss(net, x, y)).mean()
    assert found.diagnostic is not None and (change > 0 or name == "random_noise")
    np.testing.assert_allclose(found.diagnostic.loss_change, change, 1e-9)


def test_the_share_of_zero_gradients_counts_what_is_classified_right() -> None:
    # relu(x₀) is class 0, 1 is class 1: the gradient is exactly 0 where x₀ < 0.
    net = nn.Sequential(relu=nn.ReLU(), fc=nn.Linear(1, 2, dtype=np.float64))
    net.load_state_dict({"fc.weight": np.array([[1.0], [0.0]]), "fc.bias": np.array([0.0, 0.5])})
    x, y = np.array([[-1.0], [-2.0], [2.0], [-3.0], [3.0]]), np.array([1, 1, 0, 0, 0])  # the fourth is wrong
    diagnostic = robust.fgsm(net, x, y, 0.1).diagnostic
    assert diagnostic is not None and diagnostic.zero_gradients == 0.5
    wrong = robust.fgsm(net, x[3:4], y[3:4], 0.1).diagnostic
    assert wrong is not None and wrong.zero_gradients == 0.0


def test_a_walk_too_short_for_its_ball_is_told_so() -> None:
    net, x = curved(16), pixels(17, 4)
    y = robust.predict(net, x)
    short = robust.bim(net, x, y, 0.25, steps=8, step_size=0.002).diagnostic  # as printed for the speech data
    assert short is not None and re.match("8 steps of 0.002 reach 0.016 of epsilon 0.25", short.warnings[0])
    enough = robust.bim(net, x, y, 0.25, steps=8).diagnostic
    assert enough is not None and enough.warnings == ()


# --- What they refuse

ERRORS: list[tuple[type[Exception], str, Attacked]] = [
    (ValueError, "epsilon.*not negative, got -1", lambda net, x, y: robust.bim(net, x, y, -1)),
    (ValueError, "p is the norm that epsilon bounds, 2 or inf; got 1", lambda net, x, y: robust.bim(net, x, y, 1, p=1)),
    (ValueError, "steps .* at least 1, got 0", lambda net, x, y: robust.bim(net, x, y, 1, steps=0)),
    (ValueError, "step_size .* positive, got 0", lambda net, x, y: robust.pgd(net, x, y, 1, step_size=0)),
    (ValueError, "keep='all'; expected one of 'best', 'last'", lambda net, x, y: robust.bim(net, x, y, 1, keep="all")),
    (ValueError, "restarts .* at least 1, got 0", lambda net, x, y: robust.pgd(net, x, y, 1, restarts=0)),
    (
        ValueError,
        r"pixels in \[0, 1\], got 9 in image 1",
        lambda net, x, y: robust.fgsm(net, np.add(x, [[0], [9]]), y, 1, box=UNIT),
    ),
    (ValueError, r"\(lowest, highest\) .* got \(1, 0\)", lambda net, x, y: robust.fgsm(net, x, y, 1, box=(1, 0))),
    (ValueError, r"labels\[1\] is 4", lambda net, x, y: robust.cw_linf(net, x, [0, 4], 1)),
    (ValueError, "searches .* at least 1, got 0", lambda net, x, y: robust.cw_l2(net, x, y, searches=0)),
    (ValueError, "constant must be .* positive, got -1", lambda net, x, y: robust.cw_l2(net, x, y, constant=-1)),
    (ValueError, "kappa .* not negative, got -1", lambda net, x, y: robust.cw_l2(net, x, y, kappa=-1)),
    (ValueError, "samples .* at least 1, got 0", lambda net, x, y: robust.random_noise(net, x, y, 1, samples=0)),
    (ValueError, "steps .* at least 1, got 0", lambda net, x, y: robust.square(net, x, y, 1, steps=0)),
    (TypeError, "float32, the network float64", lambda net, x, y: robust.pgd(net, x.astype(np.float32), y, 1)),
]


@pytest.mark.parametrize(("error", "message", "call"), ERRORS, ids=[message for _, message, _ in ERRORS])
def test_bad_input_is_refused_with_what_was_expected(error: type[Exception], message: str, call: Attacked) -> None:
    with pytest.raises(error, match=message):
        call(curved(0), np.zeros((2, 6)), [0, 1])
