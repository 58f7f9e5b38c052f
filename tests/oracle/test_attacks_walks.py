"""DeepFool and JSMA against torchattacks, foolbox and ART on the reference LeNet in float64, and where these are wrong.

An oracle that clips at every step is given a network whose box is far from the images, so that all walk freely.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (make oracle)")

from oracle import peer  # noqa: E402

from tinygrad2 import data, nn, robust  # noqa: E402
from tinygrad2.autodiff import Tensor  # noqa: E402
from tinygrad2.nn.reverse import ReverseIdentity  # noqa: E402

pytestmark = pytest.mark.oracle
Array = np.ndarray[Any, Any]
N = 20


class Problem(NamedTuple):
    """The reference LeNet, its PyTorch twin, centred digits in pixel units with their labels, and the mean."""

    net: nn.Sequential
    twin: Any
    x: Array
    labels: Array
    mean: Array


@pytest.fixture(scope="module")
def lenet(data_file: Callable[[str], Path]) -> Problem:
    reference = data_file("lenet-reference.npz")
    digits = data.centre(data.mnist())
    net = nn.models.lenet(dtype=np.float64)
    weights = nn.load(reference)
    net.load_state_dict({name: a.astype(np.float64) for name, a in weights.items()})
    assert digits.mean is not None
    mean = digits.mean.astype(np.float64)
    return Problem(net, peer.twin(net), digits.x_test[:N].astype(np.float64), digits.y_test[:N], mean)


class Rescaled(torch.nn.Module):
    """A network of u, the images being (u - offset)·scale."""

    def __init__(self, net: Any, offset: Any, scale: float) -> None:
        super().__init__()
        self.net, self.offset, self.scale = net, torch.as_tensor(offset), scale

    def forward(self, u: Any) -> Any:
        return self.net((u - self.offset) * self.scale)


class Centred(nn.Layer):
    """Raw pixels to the images of the reference network."""

    def __init__(self, mean: Array) -> None:
        self.mean = Tensor(mean)

    def apply(self, x: Tensor) -> Any:
        return x - self.mean, ReverseIdentity()


def torchattacks() -> Any:
    return pytest.importorskip("torchattacks", reason="oracle: torchattacks is not installed (make oracle)")


def their_deepfool(problem: Problem, overshoot: float, steps: int = 50) -> Array:
    """torchattacks, far inside its box [0, 1]: u = ½ + x/2000."""
    attack = torchattacks().DeepFool(Rescaled(problem.twin, 0.5, 2000.0), steps=steps, overshoot=overshoot)
    u = torch.tensor(0.5 + problem.x / 2000.0)
    moved = attack(u, torch.tensor(robust.predict(problem.net, problem.x))).numpy(force=True)
    assert moved.dtype == np.float64 and moved.min() > 0 and moved.max() < 1
    return (moved - 0.5) * 2000.0


def foolboxs(problem: Problem, name: str, steps: int, overshoot: float) -> Array:
    """An attack of foolbox on pixels of range 1, far inside its box: the adversarial images in these units."""
    foolbox = pytest.importorskip("foolbox", reason="oracle: foolbox is not installed (make oracle)")
    model = foolbox.PyTorchModel(Rescaled(problem.twin, 0.0, 255.0).eval(), bounds=(-20.0, 20.0), device="cpu")
    attack = getattr(foolbox.attacks, name)(steps=steps, candidates=10, overshoot=overshoot)
    predicted = torch.tensor(robust.predict(problem.net, problem.x))
    return attack.run(model, torch.tensor(problem.x / 255), predicted).numpy(force=True)


# --- DeepFool


def test_deepfool_is_that_of_torchattacks_when_no_overshoot_compounds(lenet: Problem) -> None:
    ours = robust.deepfool(lenet.net, lenet.x, overshoot=0.0)
    assert len(set(ours.iterations.tolist())) > 1
    np.testing.assert_allclose(ours.adversarial.numpy(), their_deepfool(lenet, 0.0), 0, 1e-6)


def test_torchattacks_compounds_the_overshoot_from_the_second_step_on(lenet: Problem) -> None:
    """It walks on from the overshot point; the paper overshoots once, at the end."""
    ours, theirs = robust.deepfool(lenet.net, lenet.x, overshoot=0.2), their_deepfool(lenet, 0.2)
    apart = abs(ours.adversarial.numpy() - theirs).reshape(N, -1).max(1)
    once = ours.iterations == 1
    assert 0 < once.sum() < N
    assert apart[once].max() < 1e-6 and apart[~once].min() > 0.1


@pytest.mark.parametrize(("p", "name"), [(2, "L2DeepFoolAttack"), (float("inf"), "LinfDeepFoolAttack")])
def test_a_step_is_foolboxs_but_for_the_ten_thousandth_that_it_adds_to_every_distance(
    lenet: Problem, p: float, name: str
) -> None:
    theirs = foolboxs(lenet, name, steps=1, overshoot=0.02) - lenet.x / 255
    ours = robust.deepfool(lenet.net, lenet.x, p=p, max_iter=1)
    step = (ours.adversarial.numpy() - lenet.x) / 255
    longer = 1 + 1.02e-4 * 255 / ours.norms[:, None, None, None]  # along itself, 1.02·10⁻⁴ longer in l_p
    np.testing.assert_allclose(theirs, step * longer, 0, 1e-6)
    assert abs(theirs - step).max() > 1e-5


def test_foolbox_linearises_at_the_overshot_point(lenet: Problem) -> None:
    """Without overshoot its walk is ours, but for those 10⁻⁴; with overshoot it is linearised where no boundary is."""
    apart = {}
    for overshoot in (0.0, 0.2):
        theirs = foolboxs(lenet, "L2DeepFoolAttack", steps=50, overshoot=overshoot) * 255
        ours = robust.deepfool(lenet.net, lenet.x, overshoot=overshoot)
        apart[overshoot] = abs(ours.adversarial.numpy() - theirs).reshape(N, -1).max(1)
    several = ours.iterations > 1
    assert apart[0.0].max() < 0.1 < 1 < np.median(apart[0.2][several])


def test_art_multiplies_the_step_by_the_width_of_the_box(lenet: Problem) -> None:
    pytest.importorskip("art", reason="oracle: adversarial-robustness-toolbox is not installed (make oracle)")
    from art.attacks.evasion import DeepFool
    from art.estimators.classification import PyTorchClassifier

    ours = robust.deepfool(lenet.net, lenet.x, max_iter=1, overshoot=0.0)
    step = ours.adversarial.numpy() - lenet.x
    for width in (1.0, 3.0):
        classifier = PyTorchClassifier(
            Rescaled(peer.twin(lenet.net), width / 2, 2000.0).float(),
            loss=torch.nn.CrossEntropyLoss(),
            input_shape=(1, 28, 28),
            nb_classes=10,
            clip_values=(0.0, width),
            device_type="cpu",
        )
        attack = DeepFool(classifier, max_iter=1, epsilon=0.0, nb_grads=10, batch_size=N, verbose=False)
        u = lenet.x / 2000.0 + width / 2
        theirs = (attack.generate(u.astype(np.float32)) - u) * 2000.0
        np.testing.assert_allclose(theirs, width * step, 0, 2e-3 * abs(step).max())  # ART computes in float32


# --- JSMA


def test_jsma_is_that_of_torchattacks_where_a_pair_is_left(lenet: Problem) -> None:
    """Pixels above 0.9 are made 1: torchattacks leaves out those above 0.99, as if they were at the end of the box."""
    raw = lenet.x + lenet.mean
    raw = np.where(raw > 230, 255.0, raw.clip(0, 255))[:6]
    net = nn.Sequential(Centred(lenet.mean), lenet.net)
    labels = robust.predict(net, raw)
    ours = robust.jsma(net, raw, labels, box=(0.0, 255.0), steps=39, pairs=True, targets=(labels + 1) % 10)
    attack = torchattacks().JSMA(Rescaled(lenet.twin, lenet.mean / 255, 255.0), theta=1.0, gamma=77.5 / 784)  # 39 steps
    theirs = attack(torch.tensor(raw / 255), torch.tensor(labels)).numpy(force=True) * 255
    assert ours.success.any() and (ours.norms > 2).any()
    stopped = ~ours.success & (ours.iterations < 39)  # where no pair is left they change pixel 0, see below
    assert stopped.sum() <= 2
    np.testing.assert_allclose(ours.adversarial.numpy()[~stopped], theirs[~stopped], 0, 1e-6)


def one_layer(w: Array) -> tuple[nn.Sequential, Any]:
    net = nn.Sequential(flatten=nn.Flatten(), fc=nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=np.float64))
    net.load_state_dict({"fc.weight": w})
    plain = torch.nn.Linear(w.shape[1], w.shape[0], bias=False).double()
    plain.weight.data = torch.tensor(w)
    return net, torch.nn.Sequential(torch.nn.Flatten(), plain)


def test_torchattacks_changes_the_first_pixel_when_no_pair_helps() -> None:
    """Every pixel raises both classes: β > 0, nothing is salient, and the paper stops."""
    net, twin = one_layer(np.array([[2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]))
    x = np.full((1, 1, 2, 2), 0.25)
    ours = robust.jsma(net, x, [0], box=(0.0, 1.0), pairs=True, targets=1, gamma=1.0)
    np.testing.assert_array_equal(ours.adversarial.numpy(), x)
    theirs = torchattacks().JSMA(twin, theta=0.5, gamma=1.0)(torch.tensor(x), torch.tensor([0])).numpy(force=True)
    assert theirs.ravel().tolist() == [1.0, 0.25, 0.25, 0.25]


def test_art_looks_at_the_target_alone_and_has_no_saliency_map() -> None:
    """Pixel 0 raises the target most, but the other class still more: β > 0, so the paper leaves it out."""
    pytest.importorskip("art", reason="oracle: adversarial-robustness-toolbox is not installed (make oracle)")
    from art.attacks.evasion import SaliencyMapMethod
    from art.estimators.classification import PyTorchClassifier

    net, twin = one_layer(np.array([[12.0, -1.0, -1.0, -1.0], [5.0, 2.0, 0.5, 0.1]]))
    x = np.full((1, 1, 2, 2), 0.25)
    ours = robust.jsma(net, x, [0], box=(0.0, 1.0), pairs=True, targets=1, steps=1)
    assert ours.adversarial.numpy().ravel().tolist() == [0.25, 1.0, 1.0, 0.25]
    classifier = PyTorchClassifier(
        twin.float(), torch.nn.CrossEntropyLoss(), (1, 2, 2), 2, clip_values=(0.0, 1.0), device_type="cpu"
    )
    attack = SaliencyMapMethod(classifier, theta=1.0, gamma=0.25, verbose=False)
    theirs = attack.generate(x.astype(np.float32), np.array([1]))
    assert theirs.ravel().tolist() == [1.0, 1.0, 0.25, 0.25]
