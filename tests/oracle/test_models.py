"""The papers' networks are PyTorch's of the same layers: logits, gradients, and gradients of a penalty on these."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from nn_cases import MODELS, randomize  # noqa: E402
from oracle import peer  # noqa: E402
from oracle.peer import assert_close  # noqa: E402

from tinygrad2 import nn  # noqa: E402
from tinygrad2.autodiff import Tensor, autograd  # noqa: E402
from tinygrad2.ops import cross_entropy, sum  # noqa: E402

pytestmark = pytest.mark.oracle

# PyTorch has no padding "same" with a stride.
KNOWN = [name for name in MODELS if name not in ("model_a", "all_conv")]
LABELS = np.array([0, 3])


def twins(name: str, training: bool) -> tuple[nn.Sequential, Any, np.ndarray]:
    """Ours with statistics and biases at random, PyTorch's, and two images. Dropout draws differently: it stays off."""
    shape, options = MODELS[name]
    net = nn.models.build(name, rng=1, classes=4, dtype=np.float64, **options).train(training)
    for _, layer in net.named_layers():
        if isinstance(layer, nn.Dropout):
            layer.eval()
            layer.p = 0.0
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            randomize(layer, np.random.default_rng(2))
    return net, peer.twin(net), np.random.default_rng(3).standard_normal((2, *shape))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", KNOWN)
def test_logits_gradients_and_double_gradients_are_pytorchs(name: str, training: bool) -> None:
    net, twin, x = twins(name, training)
    leaf, torch_leaf = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    z, torch_z = net(leaf), twin(torch_leaf)
    assert_close(z, torch_z, "logits")
    loss = cross_entropy(z, LABELS)
    torch_loss = torch.nn.functional.cross_entropy(torch_z, torch.tensor(LABELS))
    (g,) = autograd.grad(loss, [leaf], create_graph=True)
    (torch_g,) = torch.autograd.grad(torch_loss, [torch_leaf], create_graph=True)
    assert g is not None
    assert_close(g, torch_g, "input gradient")
    ours, theirs = loss + sum(g * g), torch_loss + (torch_g**2).sum()
    names = [key for key, _ in net.named_parameters()]
    found = autograd.grad(ours, net.parameters())
    expected = torch.autograd.grad(theirs, list(twin.parameters()))
    assert names == [key for key, _ in twin.named_parameters()]
    for key, a, b in zip(names, found, expected, strict=True):
        assert a is not None
        assert_close(a, b, key)
