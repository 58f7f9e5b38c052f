"""Every penalty and its gradient by every parameter: the same numbers as plain double backprop in PyTorch, to 1e-9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from oracle import peer  # noqa: E402

from tinygrad2 import nn  # noqa: E402
from tinygrad2.robust import PENALTIES  # noqa: E402

pytestmark = pytest.mark.oracle

N, K = 4, 10
LABELS = np.array([3, 1, 4, 1])


def relu_net() -> nn.Sequential:
    rng = np.random.default_rng(5)
    return nn.Sequential(
        conv1=nn.Conv2d(1, 6, 5, rng=rng, dtype=np.float64),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 8, 3, rng=rng, dtype=np.float64),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(800, 30, rng=rng, dtype=np.float64),
        relu3=nn.ReLU(),
        fc2=nn.Linear(30, K, rng=rng, dtype=np.float64),
    )


NETS: dict[str, Callable[[], nn.Sequential]] = {
    "lenet": lambda: nn.models.lenet(rng=1, dtype=np.float64),
    "relu": relu_net,
}


def rows(net: Any, x: Any) -> Any:
    """J (N, K, D), taped."""
    return peer.jacobian(net, x)[1]


def softmax_rows(net: Any, x: Any) -> Any:
    return rows(torch.nn.Sequential(net, torch.nn.Softmax(1)), x)


def loss_gradients(net: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(x), torch.tensor(LABELS), reduction="sum")
    return torch.autograd.grad(loss, x, create_graph=True)[0].flatten(1)


def margin_gradients(net: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    z, t = net(x), torch.tensor(LABELS)
    wrong = z.masked_fill(torch.nn.functional.one_hot(t, K).bool(), -torch.inf).max(1).values
    margin = (wrong - z[torch.arange(N), t]).sum()
    return torch.autograd.grad(margin, x, create_graph=True)[0].flatten(1)


def projected(net: Any, x: Any) -> Any:
    u = np.random.default_rng(7).standard_normal((3, N, K))
    u = torch.tensor(u / np.linalg.norm(u, axis=2, keepdims=True))
    return (torch.einsum("pnk,nkd->pnd", u, rows(net, x)) ** 2).sum() * K / 3 / N


def apart(net: Any, x: Any) -> Any:
    j = rows(net, x)
    return ((j[:, :, None] - j[:, None]) ** 2).sum() / (N * K**2)


CASES: dict[str, tuple[dict[str, Any], Callable[[Any, Any], Any]]] = {
    "jacobian_l1": ({}, lambda net, x: rows(net, x).abs().mean()),
    "jacobian_l1 of softmax": (
        {"on": "softmax", "mode": "printed"},
        lambda net, x: softmax_rows(net, x).abs().sum() / N,
    ),
    "jacobian_l1_cheap": ({}, lambda net, x: rows(net, x).sum(1).abs().mean()),
    "jacobian_frobenius": ({}, lambda net, x: rows(net, x).square().sum().sqrt()),
    "jacobian_frobenius of softmax": ({"on": "softmax"}, lambda net, x: softmax_rows(net, x).square().sum().sqrt()),
    "jacobian_frobenius, mean": ({"reduction": "mean"}, lambda net, x: torch.linalg.matrix_norm(rows(net, x)).mean()),
    "penultimate_frobenius": ({}, lambda net, x: rows(net[:-1], x).square().sum().sqrt()),
    "projected_frobenius": ({"projections": 3, "rng": 7}, projected),
    "input_gradient": ({"reduction": "ross"}, lambda net, x: (loss_gradients(net, x) / N).square().sum() / 2),
    "input_gradient_l1": ({}, lambda net, x: loss_gradients(net, x).abs().sum() / N),
    "logit_margin": ({}, lambda net, x: margin_gradients(net, x).square().sum() / N),
    "logit_margin, root": ({"squared": False}, lambda net, x: margin_gradients(net, x).norm(dim=1).mean()),
    "cross_lipschitz": ({}, apart),
    "spectral_norm": (
        {"iterations": 1000, "rng": 0},
        lambda net, x: torch.linalg.matrix_norm(rows(net, x), 2).mean(),
    ),
}


def test_every_penalty_has_a_case() -> None:
    assert {name.partition(" ")[0].rstrip(",") for name in CASES} == PENALTIES.keys()


@pytest.mark.parametrize("net_name", NETS)
@pytest.mark.parametrize("case", CASES)
def test_penalty_and_its_gradients(case: str, net_name: str) -> None:
    net = NETS[net_name]()
    twin = peer.twin(net)
    x = np.random.default_rng(3).standard_normal((N, 1, 28, 28))
    options, formula = CASES[case]
    ours = PENALTIES[case.partition(" ")[0].rstrip(",")](net.trace(x), LABELS, **options)
    peer.assert_same_gradients(ours, formula(twin, torch.tensor(x)), net, twin)
