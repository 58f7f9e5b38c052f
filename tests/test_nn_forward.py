"""Layers that only say `forward`: their reverse is taken from the tape. They have cases in nn_cases as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nn_cases import Gate, assert_close, gradients, leaf, normal, randomize

import tinygrad2 as tg
from tinygrad2 import nn

D = np.float64


class Square(nn.Layer):
    """x², without parameters."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return x * x


class Doubled(nn.Linear):
    """A layer made from one that defines `apply`."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return 2.0 * super().forward(x)


class Again(Doubled):
    """`apply` above a `forward` above an `apply`."""

    def apply(self, x: tg.Tensor) -> nn.layer.Applied:
        return super().apply(x)


def test_it_is_shown_as_such() -> None:
    net = nn.Sequential(gate=Gate(3, D), tanh=nn.Tanh())
    trace = net.trace(np.ones((2, 3)))
    assert [row.reverse for row in trace.reverse().rows()] == ["from the tape", "ReverseTanh"]
    assert [row.linearized for row in trace.reverse().rows()] == ["from the tape", "LinearizedTanh"]
    assert str(net.summary(np.ones((2, 3)))).splitlines()[1].split() == [
        "gate",
        "Gate(...)",
        "2×3",
        "31",
        "from",
        "the",
        "tape",
    ]


@pytest.mark.parametrize("kind", [Doubled, Again])
def test_the_method_that_is_defined_last_counts(kind: type[nn.Linear]) -> None:
    layer = kind(3, 2, rng=0, dtype=D)
    x, v = normal(0, (4, 3), (4, 3))
    trace = layer.trace(x)
    assert_close(trace.output, 2 * (x @ layer.weight.numpy().T + layer.bias.numpy()))
    assert_close(trace.reverse().reverse()(v), 2 * v @ layer.weight.numpy().T)
    assert_close(layer.forward(tg.Tensor(x)), trace.output)


def test_a_layer_that_defines_apply_has_the_forward_of_it() -> None:
    layer = nn.Linear(3, 2, rng=0)
    x = tg.Tensor(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(layer.forward(x).numpy(), layer(x).numpy())


def test_a_layer_that_defines_neither_says_what_to_define() -> None:
    class Nothing(nn.Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define forward\(x\) -> output, or apply"):
        Nothing()(np.ones((1, 1)))


def test_forward_returns_a_tensor() -> None:
    class Pair(nn.Layer):
        def forward(self, x: tg.Tensor) -> Any:
            return x, x

    with pytest.raises(TypeError, match=r"layer 'pair', Pair\(\): forward must return one Tensor, got tuple"):
        nn.Sequential(pair=Pair())(np.ones((1, 1)))


def test_forward_runs_once_and_the_reverse_draws_nothing() -> None:
    net = nn.Sequential(Gate(3, D, nn.Dropout(0.5, rng=0), nn.BatchNorm1d(4, dtype=D)), nn.Linear(3, 2, dtype=D))
    trace = net.trace(normal(0, (5, 3))[0])
    before = nn.rng_state(net), {name: a.copy() for name, a in net.state_dict().items()}
    j = trace.jacobian()
    (j * j).sum().backward()
    assert_close(trace.jacobian(), j, rtol=0)
    assert nn.rng_state(net) == before[0]
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[1][name])


@pytest.mark.parametrize("recorded", [True, False])
def test_a_constant_input_stays_one(recorded: bool) -> None:
    """Nothing is recorded that nobody can ask for, and the Jacobian is there under no_grad too."""
    x = normal(0, (2, 3))[0]
    with tg.autodiff.node.recording(recorded):
        trace = Square().trace(x)
        j = trace.jacobian()
        gate = Gate(3, D).trace(x)
    assert not trace.output.requires_grad and not j.requires_grad
    assert gate.output.requires_grad == recorded
    assert_close(j, np.einsum("ki,ni->kni", np.eye(3), 2 * x))


def test_its_own_gradient_is_no_leaf_of_the_users() -> None:
    """`backward` fills in the parameters and x, and a reverse differentiated by u reaches u."""
    net = Gate(3, D)
    randomize(net, np.random.default_rng(0))
    x = leaf(normal(1, (2, 3))[0])
    net.trace(x).output.sum().backward()
    assert x.grad is not None and all(p.grad is not None for p in net.parameters())
    u = leaf(normal(2, (2, 3))[0])
    trace = Square().trace(normal(3, (2, 3))[0])
    assert_close(gradients(trace.reverse()(u).sum(), [u])[0], 2 * trace.input.numpy())


def test_what_does_not_depend_on_the_input_has_no_reverse_but_runs() -> None:
    class Constant(nn.Layer):
        def forward(self, x: tg.Tensor) -> tg.Tensor:
            return x.detach() * 2.0

    trace = Constant().trace(np.ones((2, 3)))
    assert_close(trace.output, np.full((2, 3), 2.0))
    with pytest.raises(tg.NotRecorded, match="has no history: detached from"):
        trace.reverse()(np.ones((2, 3)))


def test_the_transforms_see_through_it() -> None:
    net = nn.Sequential(Gate(3, D), nn.Linear(3, 2, rng=1, dtype=D))
    x = normal(4, (2, 3))[0]
    full = tg.jacrev(net)(tg.Tensor(x)).numpy()
    assert_close(net.trace(x).jacobian(), np.einsum("nknd->knd", full))
    assert tg.hessian(lambda x: (net(x) ** 2).sum())(tg.Tensor(x)).shape == (2, 3, 2, 3)


def test_astype_converts_parameters_and_buffers_and_keeps_sharing() -> None:
    shared = nn.Linear(3, 3)
    net = nn.Sequential(a=shared, bn=nn.BatchNorm1d(3), b=shared).astype(np.float64)
    assert {a.dtype.name for a in net.state_dict().values()} == {"float64"}
    assert net["a"] is net["b"] and len(net.parameters()) == 4
    assert net(np.ones((2, 3))).dtype == np.float64
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        net.astype(np.int64)


class Bilinear(nn.Layer):
    """xᵀ W y of two inputs."""

    def __init__(self) -> None:
        self.left = nn.Linear(3, 4, bias=False, rng=0, dtype=D)

    def forward(self, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return (self.left(x) * y).sum(1, keepdims=True)


def test_forward_may_take_several_inputs_and_is_differentiated_by_each() -> None:
    net = Bilinear()
    x, y = map(leaf, normal(0, (2, 3), (2, 4)))
    out = net(x, y)
    w = net.left.weight.numpy()
    assert_close(out, ((x.numpy() @ w.T) * y.numpy()).sum(1, keepdims=True))
    by_x, by_y = gradients(out.sum(), [x, y])
    assert_close(by_x, y.numpy() @ w)
    assert_close(by_y, x.numpy() @ w.T)


def test_an_error_in_a_layer_inside_forward_is_named() -> None:
    with pytest.raises(ValueError, match=r"layer 'gate', Linear\(3, 4\): .*\(2, 5\)"):
        nn.Sequential(gate=Gate(3, D))(np.ones((2, 5)))


def test_a_layer_without_parameters_passes_the_gradient_on_to_its_input() -> None:
    class Double(nn.Layer):
        def forward(self, x: tg.Tensor) -> tg.Tensor:
            return x * 2.0

    x = tg.Tensor(np.ones((1, 2)), requires_grad=True)
    for net in (Double(), nn.Sequential(Double()), nn.Sequential(nn.Identity(), Double(), nn.ReLU())):
        x.grad = None
        tg.sum(net(x)).backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), [[2.0, 2.0]])
