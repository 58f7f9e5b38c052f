"""Whole networks, penalties on their Jacobians, the Deep Defense loss: the same numbers as PyTorch, to both orders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from oracle import peer  # noqa: E402
from oracle.peer import assert_close, assert_same_gradients  # noqa: E402

from tinygrad2 import data, nn, robust  # noqa: E402
from tinygrad2.autodiff import Tensor, autograd  # noqa: E402
from tinygrad2.ops import cross_entropy, sqrt, sum  # noqa: E402

pytestmark = pytest.mark.oracle

NETS: dict[str, Callable[..., nn.Sequential]] = {
    "lenet": lambda: nn.models.lenet(rng=1, dtype=np.float64),
    "mlp": lambda: nn.models.mlp(rng=2, dtype=np.float64),
}


@pytest.fixture(params=NETS)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Sequential, Any, np.ndarray, np.ndarray]:
    """Our network, PyTorch's with the same parameters, images, and labels of which half are what the network says."""
    net = NETS[request.param]()
    x = np.random.default_rng(3).standard_normal((8, 1, 28, 28)) * 2
    y = robust.predict(net, x)
    y[1::2] = (y[1::2] + 1 + np.arange(4)) % 10
    return net, peer.twin(net), x, y


# Each penalty twice: ours with the reverse network or the tape, theirs with plain autograd.
def frobenius(net: nn.Sequential, x: np.ndarray, y: np.ndarray) -> Tensor:
    j = net.trace(x).jacobian()
    return sqrt(sum(j * j))


def torch_frobenius(twin: Any, x: Any, y: Any) -> Any:
    return (peer.jacobian(twin, x)[1] ** 2).sum().sqrt()


def input_gradient(net: nn.Sequential, x: np.ndarray, y: np.ndarray) -> Tensor:
    leaf = Tensor(x, requires_grad=True)
    (g,) = autograd.grad(cross_entropy(net(leaf), y), leaf, create_graph=True)
    assert g is not None
    return sum(g * g) * 0.5


def torch_input_gradient(twin: Any, x: Any, y: Any) -> Any:
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(twin(x), y), x, create_graph=True)
    return (g**2).sum() / 2


OBJECTIVES: dict[str, tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    "logits": (lambda net, x, y: sum(net(x) ** 2), lambda twin, x, y: (twin(x) ** 2).sum()),
    "cross-entropy": (
        lambda net, x, y: cross_entropy(net(x), y),
        lambda twin, x, y: torch.nn.functional.cross_entropy(twin(x), y),
    ),
    "Jacobian's Frobenius norm": (frobenius, torch_frobenius),
    "input gradient": (input_gradient, torch_input_gradient),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_and_their_gradients(
    objective: str, pair: tuple[nn.Sequential, Any, np.ndarray, np.ndarray]
) -> None:
    net, twin, x, y = pair
    ours, theirs = OBJECTIVES[objective]
    assert_same_gradients(ours(net, x, y), theirs(twin, torch.tensor(x), torch.tensor(y)), net, twin)


def test_double_gradients_by_parameters_and_images(pair: tuple[nn.Sequential, Any, np.ndarray, np.ndarray]) -> None:
    """Hessian-vector products over parameters and images together, which contain every mixed second derivative."""
    net, twin, x, y = pair
    leaf, torch_leaf = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    inputs, torch_inputs = [leaf, *net.parameters()], [torch_leaf, *twin.parameters()]
    rng = np.random.default_rng(4)
    directions = [rng.standard_normal(t.shape) for t in inputs]
    first = autograd.grad(cross_entropy(net(leaf), y), inputs, create_graph=True)
    loss = torch.nn.functional.cross_entropy(twin(torch_leaf), torch.tensor(y))
    torch_first = torch.autograd.grad(loss, torch_inputs, create_graph=True)
    along, torch_along = Tensor(np.zeros(())), torch.zeros((), dtype=torch.float64)
    for i, v in enumerate(directions):
        assert first[i] is not None
        assert_close(first[i], torch_first[i], f"gradient {i}")
        along, torch_along = along + sum(first[i] * v), torch_along + (torch_first[i] * torch.tensor(v)).sum()
    second = autograd.grad(along, inputs)
    torch_second = torch.autograd.grad(torch_along, torch_inputs)
    for i, (a, b) in enumerate(zip(second, torch_second, strict=True)):
        assert a is not None
        assert_close(a, b, f"double gradient {i}")


@pytest.mark.parametrize("mode", peer.EPSILON)
def test_deep_defense(mode: str, pair: tuple[nn.Sequential, Any, np.ndarray, np.ndarray]) -> None:
    """The one recorded row of ours against all ten of theirs."""
    net, twin, x, y = pair
    ours = robust.deep_defense(net, x, y, lam=15.0, c=5.0, d=5.0, mode=mode)
    theirs, rho = peer.deep_defense(twin, torch.tensor(x), torch.tensor(y), 15.0, 5.0, 5.0, mode)
    assert_close(Tensor(ours.rho), rho, "rho")
    assert 0 < ours.correct.sum() < len(y)
    assert_same_gradients(ours.total, theirs, net, twin)


def test_deep_defense_of_the_reference_lenet_on_digits(data_file: Callable[[str], Path]) -> None:
    weights = nn.load(data_file("lenet-reference.npz"))
    data_file("mnist/train-images-idx3-ubyte.gz")
    digits = data.centre(data.mnist())
    net = nn.models.lenet(dtype=np.float64)
    net.load_state_dict({name: a.astype(np.float64) for name, a in weights.items()})
    twin = peer.twin(net)
    x, y = digits.x_test[240:260].astype(np.float64), digits.y_test[240:260]  # of which the net gets two wrong
    ours = robust.deep_defense(net, x, y)
    theirs, rho = peer.deep_defense(twin, torch.tensor(x), torch.tensor(y), 15.0, 25.0, 5.0, "corrected")
    assert_close(Tensor(ours.rho), rho, "rho")
    assert not ours.correct.all()
    assert_same_gradients(ours.total, theirs, net, twin)
