"""Faults that readers of the library found, one group of tests for each, with several members of its kind."""

from __future__ import annotations

import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.verify import verify_network

# 8: layers in lists, tuples and dicts.


class Blocks(nn.Layer):
    """Layers and parameters in every kind of container, and one layer named twice."""

    def __init__(self) -> None:
        self.blocks = [nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1)]
        self.heads = {"left": (nn.Linear(3, 2, rng=2), nn.BatchNorm1d(2)), "right": nn.Dropout(0.5, rng=3)}
        self.scales = [tg.Tensor(np.ones(2, np.float32), requires_grad=True)]
        self.again = self.blocks[0]

    def apply(self, x):
        first = self.blocks[0].apply(x)
        second = self.blocks[1].apply(first[0])
        left, norm = self.heads["left"]
        y, reverse = left.apply(second[0])
        z, scaled = norm.apply(y)
        dropped, mask = self.heads["right"].apply(z)
        steps = [*zip("abcde", (self.blocks[0], self.blocks[1], left, norm, self.heads["right"]), strict=True)]
        parts = [(first[0], first[1]), (second[0], second[1]), (y, reverse), (z, scaled), (dropped, mask)]
        made = [nn.reverse.Step(n, layer, t.shape, r) for (n, layer), (t, r) in zip(steps, parts, strict=True)]
        return dropped * 1.0, nn.reverse.ReverseSequential(tuple(made))


def test_layers_and_parameters_in_containers_are_found() -> None:
    net = Blocks()
    names = [name for name, _ in net.named_layers()]
    assert names == ["", "blocks.0", "blocks.1", "heads.left.0", "heads.left.1", "heads.right", "again"]
    parameters = [name for name, _ in net.named_parameters()]
    assert "blocks.1.weight" in parameters
    assert "heads.left.1.bias" in parameters
    assert "scales.0" in parameters
    assert len(parameters) == len({id(p) for p in net.parameters()}) == 9
    assert "(blocks.0): Linear(3, 3)" in repr(net)


def test_modes_states_devices_and_generators_reach_into_containers() -> None:
    net = Blocks().eval()
    assert not net.heads["right"].training
    assert list(nn.rng_state(net)) == ["heads.right.rng"]
    other = Blocks()
    other.blocks[0].weight.data = other.blocks[0].weight.data * 2
    net.load_state_dict(other.state_dict())
    assert np.array_equal(net.blocks[0].weight.numpy(), other.blocks[0].weight.numpy())
    old = net.scales[0]
    net.to("cpu")
    assert net.scales[0] is not old
    assert net.blocks[0].weight is net.again.weight
    assert isinstance(net.heads["left"], tuple)


def test_verify_network_checks_layers_and_parameters_in_containers() -> None:
    net = Blocks().eval()
    rows = {row.name: row for row in verify_network(net, np.ones((2, 3), np.float32)).rows}
    assert {"blocks.0", "blocks.1", "heads.left.0", "heads.left.1", "heads.right"} <= rows.keys()
    assert not any(row.wrong for row in rows.values())


def test_a_parameter_in_a_list_is_checked_with_the_layer() -> None:
    class Scaled(nn.Layer):
        def __init__(self) -> None:
            self.scales = [tg.Tensor(np.float32([2.0, 3.0]), requires_grad=True)]

        def apply(self, x):
            return x * self.scales[0], nn.reverse.ReverseScale(self.scales[0])

    assert verify_network(Scaled(), np.ones((2, 2), np.float32)).ok
