"""Attacks, the Deep Defense loss and the metrics against closed forms, loops written from the paper, differences."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics import richardson
from strategies import SEEDS

from tinygrad2 import data, nn, robust
from tinygrad2.autodiff import Tensor, autograd, grad, no_grad
from tinygrad2.ops import concatenate, norm, ratio, reshape, sum

Array = np.ndarray[Any, Any]

deepfool_module = sys.modules[
    "tinygrad2.robust.attacks.deepfool"
]  # the package's attribute of this name is the function
EPSILON = {"corrected": 0.0, "coded": 5e-6}  # added to each component inside ‖w‖
MODES = tuple(EPSILON)
OVERSHOOT = 0.02

each_mode = pytest.mark.parametrize("mode", MODES)


def affine(w: Array, b: Array) -> nn.Sequential:
    """The classifier z = w x + b."""
    net = nn.Sequential(fc=nn.Linear(w.shape[1], w.shape[0], dtype=w.dtype))
    net.load_state_dict({"fc.weight": w, "fc.bias": b})
    return net


def convnet(seed: int = 0, dtype: Any = np.float64) -> nn.Sequential:
    """Every kind of layer of LeNet, small enough to difference all 99 parameters. Input: (N, 1, 6, 6); 4 classes."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        conv=nn.Conv2d(1, 3, 3, rng=rng, dtype=dtype),
        pool=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(12, 4, rng=rng, dtype=dtype),
        relu=nn.ReLU(),
        fc2=nn.Linear(4, 4, rng=rng, dtype=dtype),
    )


def curved(
    seed: int, sizes: tuple[int, int, int] = (6, 12, 4), gain: float = 3.0, dtype: Any = np.float64
) -> nn.Sequential:
    """A net so bent that DeepFool needs several steps."""
    rng = np.random.default_rng(seed)
    a, h, k = sizes
    net = nn.Sequential(
        fc1=nn.Linear(a, h, rng=rng, dtype=dtype), tanh=nn.Tanh(), fc2=nn.Linear(h, k, rng=rng, dtype=dtype)
    )
    for p in net.parameters():
        p.data = p.data * dtype(gain)
    return net


def images(seed: int, n: int, shape: tuple[int, ...] = (1, 6, 6), dtype: Any = np.float64) -> Array:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(dtype)


def mixed_labels(net: nn.Layer, x: Array, classes: int = 4) -> Array:
    """Labels of which every second one is what the net says and the others are not."""
    y = robust.predict(net, x)
    y[1::2] = (y[1::2] + 1 + np.arange(len(y[1::2])) % (classes - 1)) % classes
    return y


def paper_walk(net: nn.Layer, x: Tensor, label: int | None, mode: str, max_iter: int = 5) -> tuple[Tensor, bool, int]:
    """One sample's Δ, straight from the paper: loops over classes, the whole Jacobian on the tape. x: (1, ...)."""
    epsilon, r = EPSILON[mode], Tensor(np.zeros_like(x.data))

    def at(point: Tensor) -> tuple[Tensor, Tensor, int]:
        trace = net.trace(point)
        jacobian = reshape(trace.jacobian(), (trace.output.shape[1], -1))
        return trace.output[0], jacobian, int(trace.output.numpy().argmax())

    z, jacobian, source = at(x)
    goal = None if label is None or label == source else label
    iterations, fooled = 0, False
    while iterations < max_iter and not fooled:
        targets = [k for k in range(z.size) if k != source] if goal is None else [goal]
        lengths = {k: norm(jacobian[k] - jacobian[source] + epsilon) for k in targets}
        reachable = [k for k in targets if lengths[k].item()] or targets
        k = min(reachable, key=lambda k: ratio((z[k] - z[source]).abs(), lengths[k]).item())
        w = jacobian[k] - jacobian[source]
        r = r + reshape(ratio((z[k] - z[source]).abs(), lengths[k]) * ratio(w, lengths[k]), x.shape)
        now = int(net(x + r * (1 + OVERSHOOT)).numpy().argmax())
        fooled = now != source if goal is None else now == goal
        iterations += 1
        z, jacobian, here = at(x + r)
        source = source if goal is None else here
    return r * (1 + OVERSHOOT), fooled, iterations


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """No division by zero or overflow passes silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- DeepFool


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 6), st.integers(2, 6), st.integers(1, 8), st.sampled_from(MODES))
def test_deepfool_leaves_an_affine_class_through_the_nearest_boundary_in_one_step(
    seed: int, n: int, classes: int, size: int, mode: str
) -> None:
    rng = np.random.default_rng(seed)
    w, b, x = rng.standard_normal((classes, size)), rng.standard_normal(classes), rng.standard_normal((n, size))
    found = robust.deepfool(affine(w, b), x, mode=mode)
    z = x @ w.T + b
    for i in range(n):
        source = z[i].argmax()
        others = np.delete(np.arange(classes), source)
        f, normals = np.abs(z[i] - z[i, source])[others], (w - w[source])[others]
        lengths = np.linalg.norm(normals + EPSILON[mode], axis=1)
        k = (f / lengths).argmin()
        expected = (1 + OVERSHOOT) * f[k] / lengths[k] ** 2 * normals[k]
        np.testing.assert_allclose(found.adversarial.numpy()[i] - x[i], expected, 1e-9, 1e-12)
        np.testing.assert_allclose(found.norms[i], np.linalg.norm(expected), 1e-9)
    assert found.success.all() and (found.iterations == 1).all()


def test_on_a_binary_net_a_step_solves_equation_1_in_the_form_of_equation_2() -> None:
    net, x = curved(0, (6, 12, 2)), images(1, 5, (6,))
    f = lambda t: sum(net(t) * np.array([-1.0, 1.0]))
    r = robust.deepfool(net, x, max_iter=1, overshoot=0.0).adversarial.numpy() - x
    for i in range(5):
        point = Tensor(x[i : i + 1])
        value, gradient = f(point).item(), grad(f)(point).numpy()[0]
        assert abs(value + gradient @ r[i]) < 1e-12 * abs(value)  # (1), of minimal norm since r is along the gradient
        np.testing.assert_allclose(r[i], -value * gradient / (gradient @ gradient), 1e-9)  # (2), the square restored


def test_success_is_what_the_net_says_at_the_returned_point() -> None:
    net, x = curved(2), images(3, 60, (6,))
    for max_iter in (1, 2, 5):
        found = robust.deepfool(net, x, max_iter=max_iter)
        np.testing.assert_array_equal(
            found.success, robust.predict(net, found.adversarial.numpy()) != robust.predict(net, x)
        )
        assert found.iterations.max() <= max_iter
        np.testing.assert_allclose(found.norms, np.linalg.norm(found.adversarial.numpy() - x, axis=1), 1e-12)
        assert found.success.any() and (max_iter > 1 or not found.success.all())


def test_a_fooled_sample_stops_moving() -> None:
    net, x = curved(2), images(3, 60, (6,))
    full = robust.deepfool(net, x, max_iter=5)
    assert len(set(full.iterations.tolist())) > 2  # else this batch shows nothing
    for most in range(1, 5):
        short = robust.deepfool(net, x, max_iter=most)
        ended = full.success & (full.iterations <= most)
        np.testing.assert_array_equal(short.success, ended)
        np.testing.assert_allclose(short.adversarial.numpy()[ended], full.adversarial.numpy()[ended], 1e-12)
        np.testing.assert_array_equal(short.iterations, np.minimum(full.iterations, most))


def test_labels_leave_what_is_wrong_already_as_it_is_fooled_and_change_nothing_else() -> None:
    net, x = curved(2), images(3, 60, (6,))
    y = mixed_labels(net, x)
    wrong = robust.predict(net, x) != y
    plain, labelled = robust.deepfool(net, x, max_iter=1), robust.deepfool(net, x, y, max_iter=1)
    np.testing.assert_array_equal(labelled.success, plain.success | wrong)
    np.testing.assert_array_equal(labelled.adversarial.numpy(), np.where(wrong[:, None], x, plain.adversarial.numpy()))
    assert not labelled.norms[wrong].any() and not labelled.iterations[wrong].any()


def test_in_training_a_misclassified_sample_walks_to_its_true_class() -> None:
    net, x = curved(2), images(3, 60, (6,))
    y = mixed_labels(net, x)
    found = robust.walk(net, Tensor(x), y, max_iter=20)
    before, after = robust.predict(net, x), robust.predict(net, x + found.delta.detach().numpy())
    right = before == y
    np.testing.assert_array_equal(found.fooled, np.where(right, after != before, after == y))
    assert found.fooled[~right].sum() > 10 and found.fooled[right].sum() > 10


def one_feature(kinks: Array, weights: Array, bias: float) -> nn.Sequential:
    """z = (0, bias + Σ weights · relu(x - kinks)) of one number x."""
    n = len(kinks)
    net = nn.Sequential(fc1=nn.Linear(1, n, dtype=np.float64), relu=nn.ReLU(), fc2=nn.Linear(n, 2, dtype=np.float64))
    rows, offsets = np.stack([np.zeros(n), weights]), np.array([0.0, bias])
    net.load_state_dict({"fc1.weight": np.ones((n, 1)), "fc1.bias": -kinks, "fc2.weight": rows, "fc2.bias": offsets})
    return net


def test_a_correct_sample_goes_on_leaving_its_first_class_when_only_the_overshoot_undoes_a_step() -> None:
    # z₁ - z₀ is x - 1 at x = 0, 5 with slope 11 at 1, where step 1 ends, and negative at 1.02, where it is tested.
    net = one_feature(np.array([-10.0, 0.5, 1.005]), np.array([1.0, 10.0, -600.0]), -11.0)
    assert robust.predict(net, np.array([[0.0], [1.0], [1.02]])).tolist() == [0, 1, 0]
    found = robust.deepfool(net, np.array([[0.0]]), max_iter=2)
    np.testing.assert_allclose(found.norms, 1.02 * (1 + 5 / 11))
    assert not found.success.any()


def test_the_source_class_is_refreshed_on_the_way_to_the_true_class() -> None:
    # z = (x, 0, 3x - 8): from 1 (class 0) the walk to class 2 leaves class 0 at 4. From -1 (class 1) the boundary with
    # class 2, at 8/3, lies in class 0, so the second step must leave class 0.
    net = affine(np.array([[1.0], [0.0], [3.0]]), np.array([0.0, 0.0, -8.0]))
    found = robust.walk(net, Tensor(np.array([[1.0], [-1.0]])), [2, 2])
    np.testing.assert_allclose(found.delta.numpy()[:, 0], 1.02 * np.array([3.0, 5.0]))
    np.testing.assert_array_equal(found.iterations, [1, 2])
    assert found.fooled.all()


@each_mode
def test_the_recorded_row_and_its_gradient_equal_the_papers_loop_over_the_whole_recorded_jacobian(mode: str) -> None:
    net, x = curved(4), images(5, 24, (6,))
    y = mixed_labels(net, x)
    g = images(6, 24, (6,))
    found = robust.walk(net, Tensor(x), y, mode)
    alone = [paper_walk(net, Tensor(x[i : i + 1]), int(y[i]), mode) for i in range(24)]
    assert {iterations for _, _, iterations in alone} >= {1, 2, 3}
    np.testing.assert_array_equal(found.fooled, [fooled for _, fooled, _ in alone])
    np.testing.assert_array_equal(found.iterations, [iterations for _, _, iterations in alone])
    delta = concatenate([piece for piece, _, _ in alone])
    np.testing.assert_allclose(found.delta.detach().numpy(), delta.detach().numpy(), 1e-9, 1e-12)
    ours, theirs = (autograd.grad(sum(d * g), net.parameters()) for d in (found.delta, delta))
    for (name, _), a, b in zip(net.named_parameters(), ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-8, 1e-9 * np.abs(b.numpy()).max(), err_msg=name)


@each_mode
def test_a_batch_is_its_samples_one_by_one(mode: str) -> None:
    net, x = convnet(1), images(7, 20)
    y = mixed_labels(net, x)
    together = robust.walk(net, Tensor(x), y, mode)
    for i in range(20):
        alone = robust.walk(net, Tensor(x[i : i + 1]), y[i : i + 1], mode)
        np.testing.assert_allclose(alone.delta.detach().numpy()[0], together.delta.detach().numpy()[i], 1e-9, 1e-13)
        assert (alone.fooled[0], alone.iterations[0]) == (together.fooled[i], together.iterations[i])


def test_the_modes_differ_by_the_constant_inside_the_norm_and_nowhere_else() -> None:
    w, x = np.array([[3e-5, 0.0], [0.0, 4e-5]]), np.array([[2.0, 1.0]])
    normal = np.array([-3e-5, 4e-5])
    step = {}
    for mode, epsilon in EPSILON.items():
        found = robust.deepfool(affine(w, np.zeros(2)), x, mode=mode, max_iter=1, overshoot=0.0)
        step[mode] = found.adversarial.numpy()[0] - x[0]
        np.testing.assert_allclose(step[mode], 2e-5 * normal / ((normal + epsilon) ** 2).sum(), 1e-9)
    assert abs(step["coded"] / step["corrected"] - 1).min() > 0.01


@each_mode
def test_a_dead_net_is_not_moved_and_nothing_is_nan(mode: str) -> None:
    net, x, y = convnet(), images(8, 4), np.array([0, 1, 2, 3])
    net["fc1"].bias.data = np.full(4, -1e3)  # type: ignore[attr-defined]
    found = robust.deepfool(net, x, mode=mode, max_iter=5)
    np.testing.assert_array_equal(found.adversarial.numpy(), x)
    assert not found.success.any() and (found.iterations == 5).all() and not found.norms.any()
    loss = robust.deep_defense(net, x, y, mode=mode)
    np.testing.assert_allclose(loss.regularizer.item(), 15.0)  # exp(0) for every sample
    loss.total.backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in net.parameters())  # type: ignore[union-attr]


def test_nan_in_the_net_is_not_swallowed() -> None:
    net = convnet()
    net["fc2"].bias.data = np.array([0.0, np.nan, 0.0, 0.0])  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(robust.deep_defense(net, images(9, 2), [0, 1]).total.item())


# --- The Deep Defense loss


@each_mode
def test_the_loss_is_equation_6_written_as_a_loop(mode: str) -> None:
    net, x = convnet(2), images(10, 12)
    y, lam, c, d = mixed_labels(net, x), 7.0, 3.0, 2.0
    loss = robust.deep_defense(net, x, y, lam=lam, c=c, d=d, mode=mode)
    cross_entropy = regularizer = 0.0
    for i in range(12):
        z = net(x[i : i + 1]).detach().numpy()[0]
        delta, _, _ = paper_walk(net, Tensor(x[i : i + 1]), int(y[i]), mode)
        ratio_i = np.linalg.norm(delta.detach().numpy()) / np.linalg.norm(x[i])
        np.testing.assert_allclose(loss.rho[i], ratio_i, 1e-9)
        assert loss.correct[i] == (z.argmax() == y[i])
        cross_entropy += (np.log(np.exp(z).sum()) - z[y[i]]) / 12
        regularizer += lam / 12 * np.exp(-c * ratio_i if loss.correct[i] else d * ratio_i)
    np.testing.assert_allclose(loss.cross_entropy.item(), cross_entropy, 1e-12)
    np.testing.assert_allclose(loss.regularizer.item(), regularizer, 1e-9)
    np.testing.assert_allclose(loss.total.item(), cross_entropy + regularizer, 1e-9)
    assert 0 < loss.correct.sum() < 12


# One number per net, so that the difference quotients of both orders of its derivative are of this number.
OBJECTIVES: dict[str, Callable[[nn.Layer, Array, Array, str], Tensor]] = {
    "rho": lambda net, x, y, mode: sum(norm(reshape(robust.walk(net, Tensor(x), y, mode).delta, (len(x), -1)), axis=1)),
    "total": lambda net, x, y, mode: robust.deep_defense(net, x, y, lam=3.0, c=2.0, d=1.0, mode=mode).total,
}


@each_mode
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("make", [convnet, lambda seed: curved(seed, (6, 5, 4))], ids=["convnet", "curved"])
def test_the_gradient_by_every_parameter_is_that_of_difference_quotients(
    make: Callable[[int], nn.Sequential], objective: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make(3)
    x = images(11, 6, (6,) if "tanh" in net.layers else (1, 6, 6))
    y = mixed_labels(net, x)
    choices: list[Array] = []  # the classes chosen, and how many samples were still moving: constant near the point
    nearest = deepfool_module._nearest
    monkeypatch.setattr(deepfool_module, "_nearest", lambda *args: choices.append(nearest(*args)) or choices[-1])
    parameters = net.parameters()

    def phi(arrays: list[Array]) -> float:
        for p, a in zip(parameters, arrays, strict=True):
            p.data = a
        choices.clear()
        result = float(OBJECTIVES[objective](net, x, y, mode).item())
        assert len(choices) == len(chosen) and all(map(np.array_equal, choices, chosen)), "a choice changed: smaller h"
        return result

    values = [p.data for p in parameters]
    gradients = autograd.grad(OBJECTIVES[objective](net, x, y, mode), parameters)
    chosen = list(choices)
    assert len(chosen) > 1  # more than one iteration
    for i, (name, _) in enumerate(net.named_parameters()):
        expected = richardson(phi, values, i, h=2e-5)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradients[i].numpy(), expected, 1e-6, 1e-7 * scale + 1e-9, err_msg=name)


@each_mode
def test_float32_stays_float32(mode: str) -> None:
    net, x = convnet(4, np.float32), images(12, 8, dtype=np.float32)
    y = mixed_labels(net, x)
    loss = robust.deep_defense(net, x, y, mode=mode, lam=np.float64(15), c=np.float64(25), overshoot=np.float64(0.02))  # type: ignore[arg-type]
    loss.total.backward()
    attacks = robust.deepfool(net, x, y, mode=mode), robust.fgsm(net, x, y, np.float64(0.1))  # type: ignore[arg-type]
    seen: list[Any] = [loss.total, loss.rho, *[p.grad for p in net.parameters()]]
    seen += [a for attack in attacks for a in (attack.adversarial, attack.norms)]
    assert {a.dtype for a in seen} == {np.dtype(np.float32)}


# --- FGSM


def test_fgsm_moves_every_pixel_by_epsilon_uphill_and_dead_pixels_not_at_all() -> None:
    net, x = curved(5, gain=0.3), images(13, 10, (6,))
    net["fc1"].weight.data = net["fc1"].weight.data * (np.arange(6) != 2)  # type: ignore[attr-defined]
    y = mixed_labels(net, x)
    found = robust.fgsm(net, x, y, 0.01)
    gradient = robust.loss_gradient(net, Tensor(x), y).numpy()
    assert not gradient[:, 2].any()
    np.testing.assert_array_equal(found.adversarial.numpy(), x + 0.01 * np.sign(gradient))
    np.testing.assert_allclose(found.norms, 0.01)
    np.testing.assert_array_equal(found.success, robust.predict(net, found.adversarial.numpy()) != y)

    def loss(points: Array, i: int) -> float:
        z = net(points[i : i + 1]).detach().numpy()[0]
        return float(np.log(np.exp(z).sum()) - z[y[i]])

    assert all(loss(found.adversarial.numpy(), i) > loss(x, i) for i in range(10))


def test_the_loss_gradient_of_an_image_does_not_depend_on_its_batch() -> None:
    net, x = convnet(7), images(19, 5)
    y = mixed_labels(net, x)
    alone = [robust.loss_gradient(net, Tensor(x[i : i + 1]), y[i : i + 1]).numpy()[0] for i in range(5)]
    np.testing.assert_allclose(robust.loss_gradient(net, Tensor(x), y).numpy(), alone, 1e-9, 1e-12)


def test_fgsm_stays_in_the_box_and_norms_are_measured_after_clipping() -> None:
    net, x = curved(5), np.random.default_rng(14).random((10, 6))
    x[0] = [0, 1, 0, 1, 0, 1]
    y = robust.predict(net, x)
    free, boxed = robust.fgsm(net, x, y, 0.3), robust.fgsm(net, x, y, 0.3, box=(0.0, 1.0))
    np.testing.assert_array_equal(boxed.adversarial.numpy(), free.adversarial.numpy().clip(0, 1))
    assert free.adversarial.numpy().min() < 0 and free.adversarial.numpy().max() > 1
    np.testing.assert_array_equal(boxed.norms, np.abs(boxed.adversarial.numpy() - x).max(1))


def confident(classes: int) -> tuple[nn.Sequential, nn.Sequential, Array, Array]:
    """A float32 net, its float64 twin, and float32 images whose softmax is 1.0 in float32, with their classes."""
    single, twin = (curved(6, (6, 12, classes), dtype=dtype) for dtype in (np.float32, np.float64))
    single["fc2"].weight.data = single["fc2"].weight.data * np.float32(8)  # type: ignore[attr-defined]
    if classes == 2:  # only the class that the labels name depends on the image
        single["fc2"].weight.data = single["fc2"].weight.data * np.array([[1], [0]], np.float32)  # type: ignore[attr-defined]
    twin.load_state_dict({name: a.astype(np.float64) for name, a in single.state_dict().items()})
    x = images(15, 100, (6,), np.float32)
    z = np.sort(single(x).detach().numpy(), 1)
    margin, y = z[:, -1] - z[:, -2], robust.predict(single, x)
    sure = (margin > 18) & (margin < 60) & ((y == 0) | (classes > 2))
    assert sure.sum() > 5
    return single, twin, x[sure], y[sure]


@pytest.mark.parametrize("classes", [2, 4])
def test_the_float32_gradient_of_a_confident_net_has_the_signs_of_float64(classes: int) -> None:
    single, twin, x, y = confident(classes)
    reference = robust.loss_gradient(twin, Tensor(x.astype(np.float64)), y).numpy()
    assert reference.all()
    ours = robust.loss_gradient(single, Tensor(x), y).numpy()
    np.testing.assert_array_equal(np.sign(ours), np.sign(reference))
    np.testing.assert_allclose(ours, reference, 1e-3, 1e-4 * np.abs(reference).max())
    usual = robust.loss_gradient(single, Tensor(x), y, saturating=True).numpy()
    assert (np.sign(usual) != np.sign(reference)).mean() > 0.1


def test_the_usual_float32_gradient_is_zero_where_only_the_true_class_moves() -> None:
    single, _, x, y = confident(2)
    assert not robust.loss_gradient(single, Tensor(x), y, saturating=True).numpy().any()
    np.testing.assert_array_equal(robust.fgsm(single, x, y, 0.5, saturating=True).adversarial.numpy(), x)
    assert (robust.fgsm(single, x, y, 0.5).adversarial.numpy() != x).all()
    frozen, exact = (robust.FGS(single, x, y, saturating=saturating) for saturating in (True, False))
    assert frozen.accuracy(3.0) == 1 > exact.accuracy(3.0)


def test_attacks_work_inside_no_grad_and_leave_no_gradients_behind() -> None:
    net, x = convnet(5), images(16, 6)
    y = robust.predict(net, x)
    outside = robust.fgsm(net, x, y, 0.1), robust.deepfool(net, x)
    with no_grad():
        inside = robust.fgsm(net, x, y, 0.1), robust.deepfool(net, x)
    for a, b in zip(outside, inside, strict=True):
        np.testing.assert_array_equal(a.adversarial.numpy(), b.adversarial.numpy())
        assert not a.adversarial.requires_grad
    assert all(p.grad is None for p in net.parameters())


# --- Metrics


def test_rho_is_the_relative_distance_of_every_image_also_of_the_misclassified() -> None:
    w, x = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[3.0, 4.0], [-1.0, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(robust.rho(affine(w, np.zeros(2)), x), 1.02 * np.array([0.6, 1.0, 1.0]))


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 40))
def test_epsilon_ref_is_the_epsilon_at_which_half_of_the_images_fail(seed: int, n: int) -> None:
    """z = (-wᵀx, wᵀx): an image fails once ε‖w‖₁ exceeds |wᵀx|, so ε_ref is an order statistic."""
    rng = np.random.default_rng(seed)
    w, x = rng.standard_normal(5), rng.standard_normal((n, 5))
    net = affine(np.stack([-w, w]), np.zeros(2))
    fgs = robust.FGS(net, x, (x @ w > 0).astype(int), batch_size=7)
    limits = np.sort(np.abs(x @ w) / np.abs(w).sum())
    expected = limits[(n + 1) // 2 - 1]  # with this many failures, half or more of the images fail
    found = fgs.epsilon_ref(2 * limits[-1])
    assert expected * (1 - 1e-9) <= found <= expected * (1 + 2e-3)
    assert fgs.accuracy(found) <= 0.5
    for epsilon in (0.0, *(limits * 1.0001), *(limits * 0.9999)):
        assert fgs.accuracy(epsilon) == (limits > epsilon).mean()
    assert fgs.epsilon_ref(expected / 2) == np.inf


def test_epsilon_ref_is_the_first_crossing_where_accuracy_recovers() -> None:
    # Right for x < 1 and for x > 2: z₁ - z₀ = relu(x) - 1 - 3 relu(x - 1.5), x = 0.5 moves right.
    net = one_feature(np.array([0.0, 1.5]), np.array([1.0, -3.0]), -1.0)
    fgs = robust.FGS(net, np.array([[0.5]]), np.array([0]))
    assert [fgs.accuracy(epsilon) for epsilon in (0.4, 0.6, 1.0, 1.4, 4.0)] == [1, 0, 0, 1, 1]
    assert fgs.epsilon_ref(4.0) == pytest.approx(0.5, rel=1e-3)


def test_a_row_of_the_table_is_made_of_the_metrics_whatever_the_batches() -> None:
    net, x = convnet(6), images(17, 23)
    y = mixed_labels(net, x)
    row = robust.table_row(robust.FGS(net, x, y), 0.5, mode="coded", progress=lambda parts: parts)
    fgs = robust.FGS(net, x, y, batch_size=4)
    assert row.accuracy == robust.accuracy(net, x, y, batch_size=5) == (robust.predict(net, x, 3) == y).mean()
    assert row.rho2 == pytest.approx(robust.rho(net, x, mode="coded", batch_size=6).mean(), rel=1e-12)
    assert row.fgs == {share: fgs.accuracy(share * 0.5) for share in (0.2, 0.5, 1.0)}
    expected = [robust.fgsm(net, x, y, share * 0.5).success for share in (0.2, 0.5, 1.0)]
    assert list(row.fgs.values()) == [1 - success.mean() for success in expected]


def test_fgs_clips_to_the_box_where_one_is_given() -> None:
    net, x = affine(np.array([[1.0], [-1.0]]), np.zeros(2)), np.array([[0.25]])
    assert robust.FGS(net, x, np.array([0])).accuracy(0.5) == 0
    assert robust.FGS(net, x, np.array([0]), box=(0.0, 1.0)).accuracy(0.5) == 1  # 0 is a tie, which class 0 wins


# --- The reference LeNet on real digits


# Of the first 500 test images, by the independent PyTorch code in oracle/peer.py: float64, mode "coded", 5 iterations.
GOLDEN_ACCURACY, GOLDEN_RHO = 0.988, 0.19576523563016707
GOLDEN_FIRST = [0.21991070912093497, 0.2764922251686354, 0.22880498114985545]


def reference_lenet(data_file: Callable[[str], Path], dtype: Any) -> tuple[nn.Sequential, Array, Array]:
    """The net that the paper starts from, and the first 500 test images, centred, with their labels."""
    weights = nn.load(data_file("lenet-reference.npz"))
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        data_file(f"mnist/{name}-ubyte.gz")
    digits = data.centre(data.mnist())
    net = nn.models.lenet(dtype=dtype)
    net.load_state_dict({name: a.astype(dtype) for name, a in weights.items()})
    return net, digits.x_test[:500].astype(dtype), digits.y_test[:500]


def test_the_reference_lenet_has_the_accuracy_and_rho_that_pytorch_finds(data_file: Callable[[str], Path]) -> None:
    net, x, y = reference_lenet(data_file, np.float32)
    assert robust.accuracy(net, x, y) == GOLDEN_ACCURACY
    found = robust.rho(net, x, mode="coded")
    np.testing.assert_allclose(found[:3], GOLDEN_FIRST, 1e-4)
    assert found.mean(dtype=np.float64) == pytest.approx(GOLDEN_RHO, rel=1e-5)


def test_in_float64_rho_is_pytorchs_to_ten_digits(data_file: Callable[[str], Path]) -> None:
    net, x, _ = reference_lenet(data_file, np.float64)
    np.testing.assert_allclose(robust.rho(net, x[:3], mode="coded"), GOLDEN_FIRST, 1e-10)


# --- Bad input

Call = Callable[[nn.Sequential, Array, Array], Any]
BAD: list[tuple[type[Exception], str, Call]] = [  # net: 4 classes, float64; x: (3, 1, 6, 6); y: (3,)
    (
        ValueError,
        r"finite pixels, got nan in image 1",
        lambda net, x, y: robust.deep_defense(net, spoiled(x, np.nan), y),
    ),
    (ValueError, r"finite pixels, got inf in image 1", lambda net, x, y: robust.rho(net, spoiled(x, np.inf))),
    (ValueError, r"at least one image", lambda net, x, y: robust.deepfool(net, x[:0])),
    (ValueError, r"empty set", lambda net, x, y: robust.accuracy(net, x[:0], y[:0])),
    (ValueError, r"image 1 is all zeros", lambda net, x, y: robust.deep_defense(net, spoiled(x, 0), y)),
    (ValueError, r"image 1 is all zeros", lambda net, x, y: robust.rho(net, spoiled(x, 0))),
    (ValueError, r"labels\[2\] is 9: .* 0 to 3", lambda net, x, y: robust.deep_defense(net, x, [0, 1, 9])),
    (ValueError, r"labels\[2\] is 4: .* 0 to 3", lambda net, x, y: robust.deepfool(net, x, [0, 1, 4])),
    (ValueError, r"labels\[2\] is 4: .* 0 to 3", lambda net, x, y: robust.fgsm(net, x, [0, 1, 4], 0.1)),
    (ValueError, r"labels\[2\] is 4: .* 0 to 3", lambda net, x, y: robust.accuracy(net, x, np.array([0, 1, 4]))),
    (ValueError, r"labels\[1\] is -1", lambda net, x, y: robust.deep_defense(net, x, [0, -1, 2])),
    (ValueError, r"expected 3 integers.*float64", lambda net, x, y: robust.deep_defense(net, x, y * 1.0)),
    (ValueError, r"expected 3 integers.*\(2,\)", lambda net, x, y: robust.deep_defense(net, x, y[:2])),
    (ValueError, r"shape \(3,\).*got \(3, 1\)", lambda net, x, y: robust.accuracy(net, x, y[:, None])),
    (ValueError, r"shape \(3,\).*got \(6,\)", lambda net, x, y: robust.FGS(net, x, np.r_[y, y])),
    (ValueError, r"\(N, C, H, W\) or \(N, D\), got \(1, 6, 6\)", lambda net, x, y: robust.deepfool(net, x[0])),
    (ValueError, r"layer 'conv'", lambda net, x, y: robust.deepfool(net, x.repeat(2, 1))),
    (TypeError, r"float64 pixels, got int64", lambda net, x, y: robust.deepfool(net, x.astype(np.int64))),
    (TypeError, r"float32, the network float64", lambda net, x, y: robust.fgsm(net, x.astype(np.float32), y, 0.1)),
    (ValueError, r"epsilon.*not negative, got -0.1", lambda net, x, y: robust.fgsm(net, x, y, -0.1)),
    (ValueError, r"epsilon.*got nan", lambda net, x, y: robust.FGS(net, x, y).accuracy(np.nan)),
    (ValueError, r"epsilon.*got inf", lambda net, x, y: robust.FGS(net, x, y).epsilon_ref(np.inf)),
    (ValueError, r"'fixed'.*'corrected', 'coded'", lambda net, x, y: robust.deep_defense(net, x, y, mode="fixed")),
    (ValueError, r"max_iter.*at least 1, got 0", lambda net, x, y: robust.deepfool(net, x, max_iter=0)),
    (ValueError, r"overshoot.*got -1", lambda net, x, y: robust.deepfool(net, x, overshoot=-1)),
    (ValueError, r"K ≥ 2.*\(3, 1\)", lambda net, x, y: robust.deepfool(single_output(), x)),
]


def single_output() -> nn.Sequential:
    return nn.Sequential(flatten=nn.Flatten(), fc=nn.Linear(36, 1, dtype=np.float64))


def spoiled(x: Array, value: float) -> Array:
    """Image 1 is spoiled: all of it by zeros, or one pixel by something that is no number."""
    x = x.copy()
    x[1 if value == 0 else (1, 0, 2, 3)] = value
    return x


@pytest.mark.parametrize(("error", "message", "call"), BAD, ids=range(len(BAD)))
def test_the_message_says_what_is_wrong(error: type[Exception], message: str, call: Call) -> None:
    with pytest.raises(error, match=message):
        call(convnet(), images(18, 3), np.array([0, 1, 2]))


def test_fgs_moves_images_of_a_net_so_confident_that_its_gradient_underflows():
    """Logits 200 apart: p of the other class is e⁻²⁰⁰, below the smallest float32; the direction is still known."""
    net = nn.Sequential(fc=nn.Linear(2, 2))
    net.load_state_dict({"fc.weight": np.array([[1, 0], [0, 1]], np.float32), "fc.bias": np.zeros(2, np.float32)})
    x, y = np.array([[300.0, 100.0]], np.float32), [0]
    assert not robust.loss_gradient(net, Tensor(x), y).numpy().any()
    assert robust.sign_direction(net, Tensor(x), y).numpy().tolist() == [[-1.0, 1.0]]
    assert not robust.fgsm(net, x, y, 99).success
    assert robust.fgsm(net, x, y, 101).success
