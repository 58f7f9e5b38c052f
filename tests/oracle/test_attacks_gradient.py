"""Sign attacks and Carlini & Wagner's against foolbox, torchattacks and cleverhans, and where one of them is wrong.

On the reference LeNet in float64, in float32 the others' cross-entropy gradient rounds to 0. Images are in [0, 1].
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
from tinygrad2.nn.reverse import ReverseScale  # noqa: E402
from tinygrad2.robust.attacks.base import margin  # noqa: E402
from tinygrad2.robust.attacks.pgd import uniform  # noqa: E402

pytestmark = pytest.mark.oracle
Array = np.ndarray[Any, Any]
UNIT = (0.0, 1.0)
EPSILON, STEPS, STEP = 0.15, 7, 0.04


class Unit(nn.Layer):
    """Pixels in [0, 1] to the images of the reference network: pixels 0-255, centred."""

    def __init__(self, mean: Array) -> None:
        self.mean = Tensor(mean)

    def apply(self, x: Tensor) -> Any:
        return x * 255.0 - self.mean, ReverseScale(Tensor(np.full(1, 255.0)))


class TorchUnit(torch.nn.Module):
    def __init__(self, mean: Array) -> None:
        super().__init__()
        self.mean = torch.tensor(mean)

    def forward(self, x: Any) -> Any:
        return x * 255.0 - self.mean


class Problem(NamedTuple):
    """The reference LeNet, its PyTorch twin, digits in [0, 1] and their labels."""

    net: nn.Sequential
    twin: Any
    x: Array
    y: Array

    def first(self, n: int) -> Problem:
        return Problem(self.net, self.twin, self.x[:n], self.y[:n])

    @property
    def torch(self) -> tuple[Any, Any]:
        return torch.tensor(self.x), torch.tensor(self.y)


@pytest.fixture(scope="module")
def lenet(data_file: Callable[[str], Path]) -> Problem:
    reference = data_file("lenet-reference.npz")
    digits = data.mnist()
    mean = data.centre(digits).mean
    assert mean is not None
    net = nn.models.lenet(dtype=np.float64)
    weights = nn.load(reference)
    net.load_state_dict({name: a.astype(np.float64) for name, a in weights.items()})
    twin = torch.nn.Sequential(TorchUnit(mean.astype(np.float64)), peer.twin(net)).eval()
    whole = nn.Sequential(unit=Unit(mean.astype(np.float64)), net=net)
    return Problem(whole, twin, digits.x_test[:50].astype(np.float64) / 255, digits.y_test[:50])


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"oracle: {name} is not installed (make oracle)")


def foolboxs(problem: Problem, attack: Any, **options: Any) -> Array:
    """The adversarial images of a foolbox attack."""
    model = package("foolbox").PyTorchModel(problem.twin, bounds=UNIT, device="cpu")
    return attack.run(model, *problem.torch, **options).numpy(force=True)


def torchattackss(problem: Problem, name: str, **options: Any) -> Array:
    return getattr(package("torchattacks"), name)(problem.twin, **options)(*problem.torch).numpy(force=True)


def same(ours: robust.AttackResult, theirs: Array) -> None:
    np.testing.assert_allclose(ours.adversarial.numpy(), theirs, 0, 1e-6)


def test_the_twin_is_the_same_network(lenet: Problem) -> None:
    peer.assert_close(lenet.net(lenet.x), lenet.twin(lenet.torch[0]), "logits")
    assert robust.accuracy(lenet.net, lenet.x, lenet.y) == 1.0


# --- Identical adversarial images


def test_fgsm(lenet: Problem) -> None:
    ours = robust.fgsm(lenet.net, lenet.x, lenet.y, EPSILON, box=UNIT)
    same(ours, torchattackss(lenet, "FGSM", eps=EPSILON))
    same(ours, foolboxs(lenet, package("foolbox").attacks.LinfFastGradientAttack(), epsilon=EPSILON))
    fgm = package("cleverhans.torch.attacks.fast_gradient_method").fast_gradient_method
    theirs = fgm(lenet.twin, lenet.torch[0], EPSILON, np.inf, *UNIT, y=lenet.torch[1])
    same(ours, theirs.numpy(force=True))
    assert 0 < ours.success.sum() < len(lenet.y)


def test_bim(lenet: Problem) -> None:
    ours = robust.bim(lenet.net, lenet.x, lenet.y, EPSILON, steps=STEPS, step_size=STEP, box=UNIT, keep="last")
    same(ours, torchattackss(lenet, "BIM", eps=EPSILON, alpha=STEP, steps=STEPS))
    attack = package("foolbox").attacks.LinfBasicIterativeAttack(abs_stepsize=STEP, steps=STEPS)
    same(ours, foolboxs(lenet, attack, epsilon=EPSILON))
    pgd = package("cleverhans.torch.attacks.projected_gradient_descent").projected_gradient_descent
    theirs = pgd(lenet.twin, lenet.torch[0], EPSILON, STEP, STEPS, np.inf, *UNIT, y=lenet.torch[1], rand_init=False)
    same(ours, theirs.numpy(force=True))
    assert ours.success.mean() > 0.5


def test_bim_in_l2(lenet: Problem) -> None:
    ours = robust.bim(lenet.net, lenet.x, lenet.y, 1.5, p=2, steps=STEPS, step_size=0.4, box=UNIT, keep="last")
    attack = package("foolbox").attacks.L2BasicIterativeAttack(abs_stepsize=0.4, steps=STEPS)
    same(ours, foolboxs(lenet, attack, epsilon=1.5))


@pytest.mark.parametrize(("p", "name", "epsilon", "step"), [(np.inf, "LinfPGD", EPSILON, STEP), (2, "L2PGD", 1.5, 0.4)])
def test_pgd_from_the_same_starts(p: float, name: str, epsilon: float, step: float, lenet: Problem) -> None:
    start = lenet.x + epsilon * uniform(np.random.default_rng(5), lenet.x.shape, p)

    class SameStart(getattr(package("foolbox").attacks, name)):  # type: ignore[misc]
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return type(x0)(torch.tensor(start))

    ours = robust.pgd(
        lenet.net, lenet.x, lenet.y, epsilon, p=p, steps=STEPS, step_size=step, rng=5, box=UNIT, keep="last"
    )
    same(ours, foolboxs(lenet, SameStart(abs_stepsize=step, steps=STEPS, random_start=True), epsilon=epsilon))


def test_the_best_step_fools_no_fewer_than_the_oracles_last(lenet: Problem) -> None:
    ours = robust.bim(lenet.net, lenet.x, lenet.y, 0.1, steps=STEPS, step_size=STEP, box=UNIT)
    theirs = torchattackss(lenet, "BIM", eps=0.1, alpha=STEP, steps=STEPS)
    assert (ours.success >= (robust.predict(lenet.net, theirs) != lenet.y)).all()


# --- Targeted


def targets(problem: Problem) -> Array:
    return (problem.y + 3) % 10


def test_targeted_fgsm(lenet: Problem) -> None:
    t = targets(lenet)
    ours = robust.fgsm(lenet.net, lenet.x, lenet.y, EPSILON, box=UNIT, targets=t)
    fgm = package("cleverhans.torch.attacks.fast_gradient_method").fast_gradient_method
    theirs = fgm(lenet.twin, lenet.torch[0], EPSILON, np.inf, *UNIT, y=torch.tensor(t), targeted=True)
    same(ours, theirs.numpy(force=True))


def test_targeted_bim(lenet: Problem) -> None:
    t = targets(lenet)
    options: dict[str, Any] = {"steps": STEPS, "step_size": STEP, "box": UNIT, "keep": "last"}
    ours = robust.bim(lenet.net, lenet.x, lenet.y, EPSILON, targets=t, **options)
    pgd = package("cleverhans.torch.attacks.projected_gradient_descent").projected_gradient_descent
    theirs = pgd(
        lenet.twin, lenet.torch[0], EPSILON, STEP, STEPS, np.inf, *UNIT, y=torch.tensor(t), targeted=True,
        rand_init=False,
    )  # fmt: skip
    same(ours, theirs.numpy(force=True))
    np.testing.assert_array_equal(ours.success, robust.predict(lenet.net, ours.adversarial.numpy()) == t)
    assert ours.success.any()


@pytest.mark.parametrize(("p", "name", "epsilon", "step"), [(np.inf, "LinfPGD", EPSILON, STEP), (2, "L2PGD", 1.5, 0.4)])
def test_targeted_pgd_from_the_same_starts(p: float, name: str, epsilon: float, step: float, lenet: Problem) -> None:
    start = lenet.x + epsilon * uniform(np.random.default_rng(5), lenet.x.shape, p)
    foolbox = package("foolbox")

    class SameStart(getattr(foolbox.attacks, name)):  # type: ignore[misc]
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return type(x0)(torch.tensor(start))

    t = targets(lenet)
    options: dict[str, Any] = {"steps": STEPS, "step_size": step, "rng": 5, "box": UNIT, "keep": "last"}
    ours = robust.pgd(lenet.net, lenet.x, lenet.y, epsilon, p=p, targets=t, **options)
    model = foolbox.PyTorchModel(lenet.twin, bounds=UNIT, device="cpu")
    attack = SameStart(abs_stepsize=step, steps=STEPS, random_start=True)
    wanted = foolbox.criteria.TargetedMisclassification(torch.tensor(t))
    theirs = attack.run(model, lenet.torch[0], wanted, epsilon=epsilon).numpy(force=True)
    same(ours, theirs)


def test_targeted_cw_l2_needs_no_larger_perturbation_than_foolboxs(lenet: Problem) -> None:
    few = lenet.first(12)
    t = targets(few)
    foolbox = package("foolbox")
    attack = foolbox.attacks.L2CarliniWagnerAttack(steps=60, stepsize=0.1, binary_search_steps=7)
    model = foolbox.PyTorchModel(few.twin, bounds=UNIT, device="cpu")
    wanted = foolbox.criteria.TargetedMisclassification(torch.tensor(t))
    theirs = np.linalg.norm((attack.run(model, few.torch[0], wanted).numpy(force=True) - few.x).reshape(12, -1), axis=1)
    ours = robust.cw_l2(few.net, few.x, few.y, targets=t, steps=60, step_size=0.1, searches=7, box=UNIT)
    assert ours.success.all()
    assert np.median(ours.norms) <= 1.02 * np.median(theirs)


def test_targeted_cw_linf_is_its_steps_in_pytorch(lenet: Problem) -> None:
    t, few = targets(lenet), lenet.first(20)
    x, y = few.torch[0], few.torch[0].clone()
    for _ in range(STEPS):
        y.requires_grad_()
        z = few.twin(y)
        goal = z.gather(1, torch.tensor(t[:20])[:, None])[:, 0]
        rival = z.scatter(1, torch.tensor(t[:20])[:, None], -torch.inf).max(1)[0]
        (g,) = torch.autograd.grad(-torch.relu(rival - goal + 50.0).sum(), y)
        y = (y + STEP * g.sign()).detach().clamp(x - EPSILON, x + EPSILON).clamp(0, 1)
    options: dict[str, Any] = {"steps": STEPS, "step_size": STEP, "box": UNIT, "keep": "last"}
    same(robust.cw_linf(few.net, few.x, few.y, EPSILON, targets=t[:20], **options), y.numpy())


# --- Auto-PGD


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_leaves_what_torchattacks_leaves(loss: str, lenet: Problem) -> None:
    for epsilon in (0.1, 0.15):
        ours = robust.apgd(lenet.net, lenet.x, lenet.y, epsilon, loss=loss, steps=50, box=UNIT)
        theirs = package("torchattacks").APGD(lenet.twin, eps=epsilon, steps=50, loss=loss)(*lenet.torch)
        fooled = robust.predict(lenet.net, theirs.numpy(force=True)) != lenet.y
        assert abs(int(ours.success.sum()) - int(fooled.sum())) <= 1
        assert 0.1 < ours.success.mean() < 0.95


# --- Carlini & Wagner


def test_cw_l2_needs_no_larger_perturbation_than_foolboxs(lenet: Problem) -> None:
    few = lenet.first(12)
    attack = package("foolbox").attacks.L2CarliniWagnerAttack(steps=60, stepsize=0.1, binary_search_steps=7)
    theirs = np.linalg.norm((foolboxs(few, attack) - few.x).reshape(12, -1), axis=1)
    ours = robust.cw_l2(few.net, few.x, few.y, steps=60, step_size=0.1, searches=7, box=UNIT)
    assert ours.success.all() and ours.adversarial.numpy().min() >= 0 and ours.adversarial.numpy().max() <= 1
    assert np.median(ours.norms) <= 1.02 * np.median(theirs)


def test_torchattacks_cw_never_moves_a_pixel_at_the_end_of_its_box(lenet: Problem) -> None:
    few = lenet.first(3)
    ends = (few.x == 0) | (few.x == 1)
    theirs = torchattackss(few, "CW", c=10, steps=100, lr=0.1)
    ours = robust.cw_l2(few.net, few.x, few.y, steps=60, step_size=0.1, searches=6, box=UNIT)
    assert ends.mean() > 0.7
    assert ((theirs != few.x) & ~ends).any() and not ((theirs != few.x) & ends).any()  # atanh(±1) is infinite
    moved = np.abs(ours.adversarial.numpy() - few.x)
    assert (moved[ends] > 0.05).sum() > 20


def test_torchattacks_cw_takes_the_best_wrong_logit_to_be_at_least_zero(lenet: Problem) -> None:
    attack = package("torchattacks").CW(lenet.twin)
    z, t = torch.tensor([[1.0, -2.0, -4.0]]), torch.tensor([0])
    assert attack.f(z, t).item() == 1.0  # z_t - 0 instead of z_t - max_{j≠t} z_j
    assert -margin(Tensor(z.numpy()), t.numpy()).item() == 3.0
