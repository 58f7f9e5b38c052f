"""Faults 1 to 11 of the attacks and metrics, a group of tests for each: several members of its kind, not one example.

Faults of runs, files and the command line are in test_faults_runs.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from attack_campaigns import ATTACKS, Given, Run
from test_robust import affine, curved, images, mixed_labels

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor
from tinygrad2.experiments.building import load_weights

Array = np.ndarray[Any, Any]
INF = float("inf")
UNIT = (0.0, 1.0)
GIVEN: Given = {"box": UNIT, "epsilon": 0.2, "targets": np.array([1] * 8)}
each_attack = pytest.mark.parametrize("name", ATTACKS)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """No division by zero or overflow passes silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def run_of(name: str) -> Run:
    return ATTACKS[name][0]


def pixels(seed: int, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(seed).uniform(0, 1, (8, 6)).astype(dtype)


def scaled(scale: float) -> tuple[nn.Sequential, Array]:
    """A float32 net whose weights are of this scale; the boundaries do not depend on it."""
    w = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0], [-1.0, 0.0, 0.5]]) * scale
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    return affine(w.astype(np.float32), np.zeros(3, np.float32)), x


# 1: a step that overflows is not taken, and is no success.
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, INF])
def test_a_sample_whose_step_overflows_stays_finite_and_is_not_fooled(p: float) -> None:
    net = nn.Sequential(affine(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)), nn.Softmax())
    x = np.array([[1.0, 96.0], [96.0, 1.0], [1.0, 2.0]], np.float32)  # f/‖w‖ is 1e41 for the first two
    found = robust.deepfool(net, x, [1, 0, 1], p=p, box=(0.0, 200.0))
    assert np.isfinite(found.adversarial.numpy()).all() and np.isfinite(found.norms).all()
    np.testing.assert_array_equal(found.success, robust.predict(net, found.adversarial.numpy()) != [1, 0, 1])
    assert found.success[2]  # the others of the batch are not held up


def test_a_gradient_through_a_walk_of_which_a_sample_overflows_is_finite() -> None:
    net = nn.Sequential(fc=nn.Linear(2, 2, bias=False), softmax=nn.Softmax())
    net.load_state_dict({"fc.weight": np.eye(2, dtype=np.float32)})
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss = robust.deep_defense(net, np.array([[1.0, 96.0], [1.0, 2.0]], np.float32), [1, 1])
        loss.total.backward()
    (w,) = net.parameters()
    assert w.grad is not None and np.isfinite(w.grad.numpy()).all() and w.grad.numpy().any()


# 2: norms of any size.
@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1.0, 1e20, 1e30])
def test_attacks_and_bounds_do_not_depend_on_the_scale_of_the_weights(scale: float) -> None:
    (net, x), (plain, _) = scaled(scale), scaled(1.0)
    y = robust.predict(net, x)
    np.testing.assert_array_equal(y, robust.predict(plain, x))
    for attack in (
        lambda net: robust.deepfool(net, x, y, p=2),
        lambda net: robust.deepfool(net, x, y, p=3),
    ):
        found, expected = attack(net), attack(plain)
        np.testing.assert_allclose(found.adversarial.numpy(), expected.adversarial.numpy(), 1e-3, 1e-4)
        np.testing.assert_array_equal(found.success, expected.success)
        assert found.success.any() and found.diagnostic is not None and found.diagnostic.zero_gradients == 0.0
    walked = robust.bim(net, x, y, 0.5, p=2, keep="last")
    np.testing.assert_allclose(walked.norms[walked.iterations > 0], 0.5, 1e-5)
    assert walked.success.any()
    bound, expected = robust.margin_bound(net, x), robust.margin_bound(plain, x)
    np.testing.assert_allclose(bound.linearized, expected.linearized, 1e-4)
    np.testing.assert_allclose(bound.bound, expected.bound, 1e-4)
    np.testing.assert_allclose(robust.frobenius_norms(net, x) / scale, robust.frobenius_norms(plain, x), 1e-4)


@pytest.mark.parametrize("scale", [1e-24, 1.0, 1e24])
def test_a_saliency_map_does_not_depend_on_the_scale_of_the_weights(scale: float) -> None:
    w = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], np.float32) - np.float32(1.0)
    net, plain = (affine((w * s).astype(np.float32), np.array([9 * s, 0], np.float32)) for s in (scale, 1.0))
    x = np.full((1, 3), 0.25, np.float32)
    found, expected = (robust.jsma(n, x, [0], box=UNIT, steps=1) for n in (net, plain))
    np.testing.assert_array_equal(found.adversarial.numpy(), expected.adversarial.numpy())
    assert found.norms[0] == 1 and found.adversarial.numpy()[0, 2] == 1  # not the first pixel that would do


# 3: logits that are not finite are named.
def broken_net(value: float) -> nn.Sequential:
    net = curved(0)
    net["fc2"].bias.data = np.array([0.0, value, 0.0, 0.0])  # type: ignore[attr-defined]
    return net


JUDGES: dict[str, Callable[[nn.Layer, Array, Array], Any]] = {
    "predict": lambda net, x, y: robust.predict(net, x),
    "accuracy": robust.accuracy,
    "rho": lambda net, x, y: robust.rho(net, x),
    "margin_bound": lambda net, x, y: robust.margin_bound(net, x),
    "frobenius_norms": lambda net, x, y: robust.frobenius_norms(net, x),
    "FGS": lambda net, x, y: robust.FGS(net, x, y),
    "accuracy_curve": lambda net, x, y: robust.accuracy_curve(net, x, y, [0.1]),
    "sign_direction": lambda net, x, y: robust.sign_direction(net, Tensor(x), y),
    **{name: (lambda net, x, y, run=run: run(net, x, y, GIVEN)) for name, (run, _) in ATTACKS.items()},
}


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_named_with_the_weights_that_make_them(judge: str, value: float) -> None:
    with pytest.raises(ValueError, match=r"the network's logits are not finite for image 0 .*fc2.bias in it is not"):
        JUDGES[judge](broken_net(value), pixels(0), np.zeros(8, np.int64))


def test_logits_that_overflow_are_told_apart_from_broken_weights() -> None:
    net = affine(np.full((2, 2), 3e38, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"not finite for image 1 \(1 such of 2\).*its numbers overflow"):
        robust.accuracy(net, np.array([[0.1, 0.1], [9.0, 9.0]], np.float32), np.array([0, 0]))


def test_weights_that_are_not_finite_are_refused_when_they_are_loaded(tmp_path: Any) -> None:
    nn.save(tmp_path / "bad.npz", broken_net(np.nan).state_dict())
    with pytest.raises(ValueError, match=r"bad.npz: the weights fc2.bias are not finite"):
        load_weights(curved(1), tmp_path / "bad.npz")


# 4: a softmax at the end is named.
class Probabilities(nn.Layer):
    """A softmax that somebody wrote."""

    def forward(self, x: Tensor) -> Tensor:
        e = (x - x.max(1, keepdims=True)).exp()
        return e / e.sum(1, keepdims=True)


@each_attack
@pytest.mark.parametrize("end", [nn.Softmax, Probabilities])
def test_an_attack_on_probabilities_says_that_the_gradient_vanishes_there(name: str, end: type[nn.Layer]) -> None:
    x = pixels(1, np.float32)
    plain = curved(1, dtype=np.float32)
    y = robust.predict(plain, x)
    for net, warned in ((nn.Sequential(plain, end()), True), (plain, False)):
        found = run_of(name)(net, x, y, GIVEN).diagnostic
        assert found is not None
        assert any("ends in a softmax" in sentence for sentence in found.warnings) is warned


# 5, 6: success is what the network says, and x is a candidate.
def repairing() -> tuple[nn.Sequential, Array, Array]:
    """Images that are wrong already, and that most moves put right: the label's region is nearly everywhere."""
    net = affine(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([-0.1, 0.0]))
    x = np.array([[0.04, 0.05], [0.05, 0.04], [0.9, 0.9], [0.02, 0.07]])
    return net, x, np.array([0, 0, 0, 0])  # all but the third are class 1


@pytest.mark.parametrize("seed", range(5))
@each_attack
def test_success_is_a_fresh_prediction_and_nothing_is_repaired(name: str, seed: int) -> None:
    net, x = curved(seed), pixels(seed)
    y = mixed_labels(net, x)
    found = run_of(name)(net, x, y, GIVEN)
    now = robust.predict(net, found.adversarial.numpy())
    aim = (now == GIVEN["targets"]) & (now != y) if "targeted" in name else now != y
    np.testing.assert_array_equal(found.success, aim)
    assert ((now == y) <= (robust.predict(net, x) == y)).all()


@pytest.mark.parametrize(
    "attack",
    [
        lambda net, x, y: robust.deepfool(net, x, y),
        lambda net, x, y: robust.deepfool(net, x, y, p=1, box=UNIT),
        lambda net, x, y: robust.random_noise(net, x, y, 0.5, samples=1, box=UNIT),
        lambda net, x, y: robust.square(net, x, y, 0.5, steps=1, box=UNIT),
        lambda net, x, y: robust.universal(net, x, y, epsilon=0.5, passes=1),
        lambda net, x, y: robust.fgsm(net, x, y, 0.2, targets=0),
        lambda net, x, y: robust.pgd(net, x, y, 0.2, steps=1, step_size=0.01, box=UNIT),
        lambda net, x, y: robust.cw_linf(net, x, y, 0.2, keep="last", box=UNIT),
    ],
)
def test_an_image_that_is_wrong_already_stays_wrong(attack: Any) -> None:
    net, x, y = repairing()
    wrong = robust.predict(net, x) != y
    assert wrong.tolist() == [True, True, False, True]
    found = attack(net, x, y)
    assert (robust.predict(net, found.adversarial.numpy()) != y)[wrong].all()


def test_fgs_counts_what_is_wrong_already_as_wrong_at_every_epsilon() -> None:
    repaired = 0
    for seed in range(6):
        net, x = curved(seed), images(4, 60, (6,))
        y = mixed_labels(net, x)
        right = robust.predict(net, x) == y
        fgs = robust.FGS(net, x, y)
        for epsilon in (0.5, 1.0, 3.0):
            after = robust.predict(net, x + epsilon * fgs.directions) == y
            repaired += int((after & ~right).sum())
            assert fgs.accuracy(epsilon) == (after & right).mean()
    assert repaired  # so that the rule had something to forbid


# 7: the best universal perturbation is returned.
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [2, INF])
def test_universal_returns_the_perturbation_of_the_best_pass(seed: int, p: float) -> None:
    net, x = curved(seed, (10, 16, 4)), images(seed, 40, (10,))
    found = robust.universal(net, x, None, epsilon=0.15 if p == INF else 0.5, p=p, share=1.0, passes=6, rng=seed)
    assert found.success.mean() == max(found.rates)
    moved = x + found.perturbation.numpy()
    assert (robust.predict(net, moved) != robust.predict(net, x)).mean() == max(found.rates)


# 8: evaluation mode, and no state moves.
def stateful(dtype: Any = np.float64) -> nn.Sequential:
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        fc1=nn.Linear(6, 8, rng=rng, dtype=dtype),
        bn=nn.BatchNorm1d(8, dtype=dtype),
        relu=nn.ReLU(),
        dropout=nn.Dropout(0.5),
        fc2=nn.Linear(8, 4, rng=rng, dtype=dtype),
    )
    net(pixels(5, dtype))  # running statistics that are not the first ones
    return net


FINITE = {name: judge for name, judge in JUDGES.items() if name not in ATTACKS}


@pytest.mark.parametrize("judge", FINITE)
def test_metrics_ask_in_evaluation_mode_and_put_every_layer_back(judge: str) -> None:
    x, y = pixels(6), np.arange(8) % 4
    plain = lambda found: getattr(found, "directions", getattr(found, "bound", found))
    expected = plain(FINITE[judge](stateful().eval(), x, y))
    net = stateful()
    net["relu"].eval()
    modes = [layer.training for _, layer in net.named_layers()]
    state = {key: value.copy() for key, value in net.state_dict().items()}
    found = [plain(FINITE[judge](net, x, y)) for _ in range(2)]
    for one in found:
        np.testing.assert_array_equal(np.asarray(getattr(one, "array", one)), getattr(expected, "array", expected))
    assert [layer.training for _, layer in net.named_layers()] == modes
    assert all((value == state[key]).all() for key, value in net.state_dict().items())


def test_the_modes_come_back_after_an_error() -> None:
    net = stateful()
    with pytest.raises(ValueError, match="epsilon"):
        robust.fgsm(net, pixels(6), None, -1)
    assert all(layer.training for _, layer in net.named_layers())


# 9: a label is no target of its own image.
@pytest.mark.parametrize(
    "attack",
    [
        lambda net, x, y, t: robust.jsma(net, x, y, box=UNIT, targets=t),
        lambda net, x, y, t: robust.fgsm(net, x, y, 0.1, targets=t),
        lambda net, x, y, t: robust.bim(net, x, y, 0.1, targets=t),
        lambda net, x, y, t: robust.cw_l2(net, x, y, steps=5, searches=2, targets=t),
        lambda net, x, y, t: robust.apgd(net, x, y, 0.1, loss="dlr", steps=5, targets=t),
    ],
)
def test_the_images_own_class_as_target_is_no_success_and_is_said(attack: Any) -> None:
    net, x = curved(2), pixels(7)
    y = robust.predict(net, x)
    found = attack(net, x, y, y)
    assert not found.success.any()
    assert (
        found.diagnostic is not None
        and "images whose label is their target do not count" in found.diagnostic.warnings[0]
    )


# 10: boxes.
@pytest.mark.parametrize("box", [(0.0, INF), (-INF, 1.0), (-INF, INF)])
def test_cw_l2_refuses_a_box_without_end(box: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="both ends must be finite"):
        robust.cw_l2(curved(2), pixels(7), None, box=box)


@pytest.mark.parametrize("box", [(0.2, 0.8), (1.0, 0.0), (0.0, np.nan)])
def test_fgs_checks_its_box_as_every_attack_does(box: tuple[float, float]) -> None:
    net, x = curved(2), pixels(7)
    y = robust.predict(net, x)
    for call in (lambda: robust.FGS(net, x, y, box=box), lambda: robust.fgsm(net, x, y, 0.0, box=box)):
        with pytest.raises(ValueError, match=r"pixels in \[0.2, 0.8\]|the box is the range"):
            call()


# 11: targets, labels of the network's own, networks of one output.
@pytest.mark.parametrize("name", [name for name in ATTACKS if "targeted" in name])
def test_a_targeted_attack_reaches_the_class_that_it_is_told(name: str) -> None:
    rng = np.random.default_rng(0)
    net, x = affine(rng.standard_normal((4, 6)), np.zeros(4)), pixels(8)
    y = robust.predict(net, x)
    targets = net(x).numpy().argmin(1)  # where no attack without a target goes
    given = {"box": None, "epsilon": 3.0, "targets": targets}
    if name.startswith("cw_l2"):
        found = robust.cw_l2(net, x, y, targets=targets, steps=200, step_size=0.1, constant=1.0)
    elif name.startswith("jsma"):
        targets = (y + 1) % 4  # a pixel may be found that serves it
        found = robust.jsma(net, x, y, box=(-9.0, 9.0), targets=targets)
    else:
        found = run_of(name)(net, x, y, given)
    assert found.success.mean() > 0.5
    np.testing.assert_array_equal(found.success, robust.predict(net, found.adversarial.numpy()) == targets)


def test_targeted_fgsm_steps_down_the_loss_of_the_target() -> None:
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((4, 6)), pixels(9)
    net = affine(w, np.zeros(4))
    y = robust.predict(net, x)
    t = (y + 2) % 4
    z = x @ w.T
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    gradient = (p - np.eye(4)[t]) @ w  # of the cross-entropy of the target
    found = robust.fgsm(net, x, y, 0.01, targets=t).adversarial.numpy()
    np.testing.assert_allclose(found, x - 0.01 * np.sign(gradient), 1e-12)


def test_the_smallest_targeted_perturbation_of_an_affine_net_is_the_distance_to_the_targets_region() -> None:
    net, x = affine(np.eye(3), np.zeros(3)), np.array([[3.0, 2.0, 0.0]])
    found = robust.cw_l2(net, x, [0], targets=2, steps=400, step_size=0.05, constant=1.0)
    np.testing.assert_allclose(found.norms, np.linalg.norm(x - 5 / 3), 0.02)  # where all three logits are equal


@each_attack
def test_without_labels_the_network_is_turned_from_its_own_predictions(name: str) -> None:
    net, x = curved(4), pixels(10)
    own, given = (run_of(name)(net, x, y, GIVEN) for y in (None, robust.predict(net, x)))
    np.testing.assert_array_equal(own.adversarial.numpy(), given.adversarial.numpy())
    np.testing.assert_array_equal(own.success, given.success)


def test_a_network_of_one_output_is_told_how_to_get_two_logits() -> None:
    net = nn.Sequential(fc=nn.Linear(6, 1, dtype=np.float64))
    x = pixels(11)
    for judge in (lambda net: robust.predict(net, x), lambda net: robust.fgsm(net, x, [0] * 8, 0.1)):
        with pytest.raises(ValueError, match=r"got shape \(8, 1\); a network of one output .* robust.two_logits"):
            judge(net)
    two = robust.two_logits(net)
    z = net(x).numpy()[:, 0]
    np.testing.assert_array_equal(robust.predict(two, x), z > 0)
    found = robust.fgsm(two, x, None, 0.1).adversarial.numpy()
    away = np.where(z > 0, -1.0, 1.0)[:, None] * np.sign(net["fc"].weight.numpy())  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, x + 0.1 * away, 1e-12)


def test_logits_of_another_rank_are_refused_in_words() -> None:
    net = nn.Conv2d(1, 2, 1, dtype=np.float64)
    with pytest.raises(ValueError, match=r"logits \(N, K\) .* got shape \(1, 2, 3, 3\)"):
        robust.fgsm(net, np.zeros((1, 1, 3, 3)), [0], 0.1)


# 20: a result prints as a table.
def test_a_result_prints_what_matters_and_no_pixels() -> None:
    net, x = nn.Sequential(curved(2), nn.Softmax()), pixels(12)
    y = mixed_labels(curved(2), x)
    text = repr(robust.fgsm(net, x, y, 0.3, box=UNIT))
    assert len(text.splitlines()) <= 8 and "0." in text and "[" not in text
    for part in ("AttackResult of 8 images (6,)", "fooled", "l∞ norm, fooled", "warning", "ends in a softmax"):
        assert part in text
