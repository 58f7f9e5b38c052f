"""Auto-PGD and the ensemble: closed forms, formulas in loops; the ensemble is as strong as its strongest part."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS
from test_attacks_gradient import UNIT, margins, pixels
from test_robust import affine, curved, images, mixed_labels

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor
from tinygrad2.robust.attacks.base import Aim

Array = np.ndarray[Any, Any]
INF = float("inf")
apgd_module = sys.modules["tinygrad2.robust.attacks.apgd"]  # the package's attribute of this name is the function
each_norm = pytest.mark.parametrize("p", [2, INF])
each_loss = pytest.mark.parametrize("loss", ["ce", "dlr"])


# --- The difference of logits ratio


@given(SEEDS, st.integers(2, 7), st.floats(-20, 20))
def test_the_ratio_is_equation_6_and_no_scale_of_the_logits_changes_it(seed: int, classes: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    z, y = rng.standard_normal((9, classes)), rng.integers(0, classes, 9)
    found = apgd_module.dlr(Tensor(z), Aim(y)).numpy()
    for i in range(9):
        order = np.sort(z[i])[::-1]
        rival = np.delete(z[i], y[i]).max()
        spread = order[0] - order[2] if classes > 2 else 1.0
        np.testing.assert_allclose(found[i], -(z[i, y[i]] - rival) / spread, 1e-12)
    if classes > 2:
        np.testing.assert_allclose(apgd_module.dlr(Tensor(z * 10.0**power), Aim(y)).numpy(), found, 1e-9)


def test_the_ratio_of_logits_that_tie_is_0_and_finite() -> None:
    z = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, -1.0]])
    assert apgd_module.dlr(Tensor(z), Aim(np.array([0, 1]))).numpy().tolist() == [0.0, 0.0]


# --- Auto-PGD


@given(SEEDS, st.sampled_from([2, INF]))
def test_starts_lie_on_the_sphere_of_the_norm(seed: int, p: float) -> None:
    draws = apgd_module.on_sphere(np.random.default_rng(seed), (5, 2, 3, 1), p)
    np.testing.assert_allclose(np.linalg.norm(draws.reshape(5, -1), p, axis=1), 1, 1e-12)


@each_norm
@each_loss
def test_on_an_affine_net_that_it_cannot_fool_it_ends_where_the_margin_is_largest(p: float, loss: str) -> None:
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((2, 5)), rng.standard_normal((6, 5))
    b = np.array([1e3, 0.0])  # class 0 wins everywhere in the ball
    found = robust.apgd(affine(w, b), x, [0] * 6, 0.5, p=p, loss=loss, steps=60)
    normal = w[1] - w[0]
    best = 0.5 * (np.sign(normal) if p == INF else normal / np.linalg.norm(normal))
    np.testing.assert_allclose(found.adversarial.numpy(), x + best, 0, 1e-6 if p == INF else 2e-2)
    assert not found.success.any() and (found.iterations > 0).all()


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([2, INF]), st.sampled_from(["ce", "dlr"]), st.floats(0, 2), st.booleans())
def test_the_result_is_in_the_ball_and_exactly_in_the_box(
    seed: int, p: float, loss: str, epsilon: float, targeted: bool
) -> None:
    net, x = curved(seed), pixels(seed, 6)
    y = mixed_labels(net, x)
    targets = (y + 1) % 4 if targeted else None
    found = robust.apgd(net, x, y, epsilon, p=p, loss=loss, steps=8, restarts=2, rng=seed, box=UNIT, targets=targets)
    a = found.adversarial.numpy()
    assert a.min() >= 0 and a.max() <= 1
    assert (np.linalg.norm(a - x, p, axis=1) <= epsilon + 1e-12).all()
    now = robust.predict(net, a)
    np.testing.assert_array_equal(found.success, now == targets if targeted else now != y)


@each_norm
def test_it_raises_the_margin_at_least_as_far_as_pgd_with_as_many_steps(p: float) -> None:
    epsilon = 0.15 if p == INF else 0.4
    gains = []
    for seed in range(6):
        net, x = curved(seed), images(seed, 40, (6,))
        y = robust.predict(net, x)
        ours = robust.apgd(net, x, y, epsilon, p=p, steps=50)
        theirs = robust.pgd(net, x, y, epsilon, p=p, steps=50)
        both = ~ours.success & ~theirs.success
        gains.append(
            margins(net, ours.adversarial.numpy(), y)[both] - margins(net, theirs.adversarial.numpy(), y)[both]
        )
        assert ours.success.sum() >= theirs.success.sum() - 1
    assert np.median(np.concatenate(gains)) > -1e-3


def test_a_fooled_sample_stops_and_restarts_take_only_what_is_left() -> None:
    net, x = curved(2), images(3, 60, (6,))
    y = robust.predict(net, x)
    one, three = (robust.apgd(net, x, y, 0.1, steps=20, restarts=restarts) for restarts in (1, 3))
    assert (three.success >= one.success).all()
    np.testing.assert_array_equal(three.adversarial.numpy()[one.success], one.adversarial.numpy()[one.success])
    assert (one.iterations[one.success] < 20).any()


def test_the_seed_decides_to_the_bit() -> None:
    net, x = curved(4), images(5, 20, (6,))
    a, b, c = (robust.apgd(net, x, None, 0.1, steps=9, rng=rng).adversarial.numpy() for rng in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_the_ratio_climbs_where_a_usual_loss_has_no_gradient() -> None:
    net, x = curved(27, dtype=np.float32), pixels(28, 60, dtype=np.float32)
    y = robust.predict(net, x)
    before = robust.apgd(net, x, y, 0.2, loss="dlr", box=UNIT).success
    net["fc2"].weight.data = net["fc2"].weight.data * np.float32(1e4)  # type: ignore[attr-defined]
    net["fc2"].bias.data = net["fc2"].bias.data * np.float32(1e4)  # type: ignore[attr-defined]
    assert robust.bim(net, x, y, 0.2, box=UNIT, saturating=True).success.mean() < 0.2
    assert robust.apgd(net, x, y, 0.2, loss="dlr", box=UNIT).success.mean() >= before.mean() - 0.02


# --- The ensemble


@each_norm
def test_the_ensemble_fools_what_each_of_its_parts_fools(p: float) -> None:
    net, x = curved(6), pixels(7, 60)
    y = mixed_labels(net, x)
    epsilon = 0.12 if p == INF else 0.3
    found = robust.auto(net, x, y, epsilon, p=p, steps=30, queries=100, box=UNIT)
    first = robust.apgd(net, x, y, epsilon, p=p, steps=30, rng=0, box=UNIT)
    nearest = robust.deepfool(net, x, y, p=p, box=UNIT)
    assert (found.success >= first.success).all()
    assert (found.success >= (nearest.success & (nearest.norms <= epsilon))).all()
    assert 0 < found.success.mean() < 1
    assert (np.linalg.norm(found.adversarial.numpy() - x, p, axis=1) <= epsilon + 1e-12).all()


class Steps(nn.Layer):
    """Rounds to multiples of 0.05: its gradient is 0 everywhere, though the classes change."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0 + Tensor(np.round(x.detach().numpy() / 0.05) * 0.05)


def test_what_square_alone_fools_is_a_warning() -> None:
    net = nn.Sequential(Steps(), curved(2))
    x = pixels(9, 60)
    y = robust.predict(net, x)
    found = robust.auto(net, x, y, 0.3, steps=5, queries=200, box=UNIT)
    assert found.success.sum() > 5 and found.diagnostic is not None
    assert found.diagnostic.zero_gradients == 1.0
    assert any("Square, which asks for no gradient, fools" in sentence for sentence in found.diagnostic.warnings)
    honest = robust.auto(curved(2), x, y, 0.3, steps=20, queries=50, box=UNIT).diagnostic
    assert honest is not None and honest.warnings == ()


ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("epsilon .* got -1", {"epsilon": -1}),
    ("p is the norm .* got 1", {"p": 1}),
    ("steps .* at least 1, got 0", {"steps": 0}),
]


@pytest.mark.parametrize("attack", [robust.apgd, robust.auto])
@pytest.mark.parametrize(("message", "options"), ERRORS)
def test_bad_options_are_refused(attack: Any, message: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        attack(curved(0), np.zeros((2, 6)), [0, 1], **{"epsilon": 0.1, **options})


def test_options_of_one_of_them_are_refused_too() -> None:
    net, x = curved(0), np.zeros((2, 6))
    with pytest.raises(ValueError, match="unknown loss='cw'; expected one of 'ce', 'dlr'"):
        robust.apgd(net, x, None, 0.1, loss="cw")
    with pytest.raises(ValueError, match=r"restarts .* at least 1, got 0"):
        robust.apgd(net, x, None, 0.1, restarts=0)
    with pytest.raises(ValueError, match=r"queries .* at least 1, got 0"):
        robust.auto(net, x, None, 0.1, queries=0)
