"""No gradient work for inputs that need none: which contractions of the linear families a step calls, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.autodiff import autograd
from tinygrad2.ops import cross_entropy, families

LAYERS = 3  # of each network below: its first makes N×4×4×4 images, or N×4 vectors
MEMBERS = ("", "_input", "_weight")
LABELS = np.array([0, 2, 1, 1, 0])


def dense() -> tuple[nn.Layer, np.ndarray]:
    net = nn.Sequential(nn.Linear(4, 6, rng=0), nn.Tanh(), nn.Linear(6, 5, rng=1), nn.Tanh(), nn.Linear(5, 3, rng=2))
    return net, np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def convolutional() -> tuple[nn.Layer, np.ndarray]:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, rng=0),
        nn.ReLU(),
        nn.Conv2d(4, 4, 2, rng=1),
        nn.Tanh(),
        nn.Conv2d(4, 3, 3, rng=2),
        nn.Flatten(),
    )
    return net, np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype(np.float32)


NETWORKS = pytest.mark.parametrize(
    ("make", "family"), [(dense, "linear"), (convolutional, "conv2d")], ids=["linear", "conv2d"]
)
Calls = Counter[str]


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> Iterator[Calls]:
    """How often each member of the families ran; a pattern's member counts as the dense one, for it does its work."""
    found: Calls = Counter()

    def counted(name: str, fn: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: (found.update([name.removesuffix("_at")]), fn(*args))[1]

    with pytest.MonkeyPatch.context() as patch:
        for name, p in vars(families).items():
            if isinstance(p, tg.autodiff.Primitive) and p.name.startswith(("linear", "conv2d")):
                patch.setattr(p, "fn", counted(p.name, p.fn))
                assert name == p.name
        yield found


@NETWORKS
def test_a_training_step_takes_no_gradient_by_the_images(make: Callable, family: str, calls: Calls) -> None:
    net, x = make()
    cross_entropy(net(x), LABELS).backward()
    assert [calls[family + member] for member in MEMBERS] == [LAYERS, LAYERS - 1, LAYERS]


@NETWORKS
def test_an_input_gradient_takes_no_gradient_by_the_weights(make: Callable, family: str, calls: Calls) -> None:
    net, x = make()
    images = tg.Tensor(x, requires_grad=True)
    autograd.grad(cross_entropy(net(images), LABELS), [images])
    assert [calls[family + member] for member in MEMBERS] == [LAYERS, LAYERS, 0]


@NETWORKS
def test_frozen_layers_cost_no_gradient(make: Callable, family: str, calls: Calls) -> None:
    """With only the last layer trained, the pass back ends there."""
    net, x = make()
    for p in net.parameters()[:-2]:
        p.node = None
    cross_entropy(net(x), LABELS).backward()
    assert [calls[family + member] for member in MEMBERS] == [LAYERS, 0, 1]


@NETWORKS
def test_the_reverse_network_takes_no_gradient_by_the_weights(make: Callable, family: str, calls: Calls) -> None:
    net, x = make()
    trace = net.trace(x)
    trace.reverse()(np.ones(trace.output.shape, np.float32))
    assert [calls[family + member] for member in MEMBERS] == [LAYERS, LAYERS, 0]


@NETWORKS
def test_a_penalty_on_the_input_gradient_takes_each_product_once(make: Callable, family: str, calls: Calls) -> None:
    """Of ‖w‖², w = Jᵀu, by the weights: the tangent Jw, and then, as tanh′ depends on z, the pass back from there."""
    net, x = make()
    trace = net.trace(x)
    w = trace.reverse()(np.ones(trace.output.shape, np.float32))
    calls.clear()
    (w * w).sum().backward()
    # Jw: not by u, a constant, so without the last layer. z: into the second layer's input, and by W₁ and W₂.
    assert [calls[family + member] for member in MEMBERS] == [LAYERS - 1, LAYERS - 2, LAYERS + (LAYERS - 1)]
