"""Networks, layers and primitives against measured truth: right ones pass, mutated rules and reverse layers fall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import verify_campaigns as campaigns
from device_cases import LAYERS, PRIMITIVES

from tinygrad2 import nn, ops
from tinygrad2.autodiff import REGISTRY, VariadicPrimitive, zero
from tinygrad2.nn.reverse import ReverseLayer
from tinygrad2.verify import WrongDerivation, verify_network, verify_primitive

X = np.random.default_rng(0).normal(size=(2, 3))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_right(name: str, training: bool) -> None:
    make, shape = LAYERS[name]
    report = verify_network(make().train(training), np.random.default_rng(1).normal(size=shape))
    assert report, report
    assert report.skipped == 0


def test_a_network_is_checked_layer_by_layer_and_left_as_it_was() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=0),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3, rng=0),
        nn.Linear(8, 3, rng=0),
    )
    before = {name: values.copy() for name, values in net.state_dict().items()}
    state = nn.rng_state(net)
    report = verify_network(net, np.random.default_rng(2).normal(size=(3, 1, 6, 6)).astype(np.float32))
    assert report, report
    assert [row.name for row in report.rows] == ["", *"0123456"]
    assert 0 < report.rows[3].margin < np.inf
    assert report.rows[1].margin == np.inf
    assert all(np.array_equal(values, before[name]) for name, values in net.state_dict().items())
    assert nn.rng_state(net) == state
    assert not any("apply" in vars(layer) for _, layer in net.named_layers())


@dataclass(frozen=True, eq=False, repr=False)
class Reversed(ReverseLayer):
    rule: object

    def vjp(self, u):
        return self.rule(u)

    jvp = vjp


def layer(forward, reverse):
    """A layer whose reverse is `reverse(u, x)`."""

    class Own(nn.Layer):
        def apply(self, x):
            return forward(x), Reversed(lambda u: reverse(u, x))

    return Own()


def test_a_right_layer_of_ones_own_passes() -> None:
    assert verify_network(layer(ops.tanh, lambda u, x: u * (1.0 - ops.tanh(x) * ops.tanh(x))), X)


@pytest.mark.parametrize(
    ("reverse", "wrong", "mistake"),
    [
        (lambda u, x: u * (1.0 - ops.tanh(x)), "reverse=tape", "missing-factor"),
        (lambda u, x: -u * (1.0 - ops.tanh(x) * ops.tanh(x)), "reverse=tape", "sign"),
        (lambda u, x: u * (1.0 - (ops.tanh(x) * ops.tanh(x)).detach()), "2nd order", "second-order"),
        (lambda u, x: u * 0.3, "reverse=tape", "wrong-derivative"),
    ],
)
def test_a_wrong_reverse_layer_gets_a_diagnosis(reverse, wrong: str, mistake: str) -> None:
    report = verify_network(layer(ops.tanh, reverse), X)
    assert not report
    assert wrong in report.rows[0].wrong
    assert report.rows[0].diagnosis is not None
    assert report.rows[0].diagnosis.mistakes[:1] == [mistake]
    assert "WRONG" in str(report)
    with pytest.raises(WrongDerivation):
        report.raise_for_error()


def test_a_layer_that_changes_the_dtype_is_seen() -> None:
    def promoting(x):
        return ops.astype(x, np.float64)

    report = verify_network(layer(promoting, lambda u, x: ops.astype(u, x.dtype)), X.astype(np.float32))
    assert report.rows[0].wrong == ["dtype"]
    assert "CHANGED" in str(report)


def rules() -> list[str]:
    return [
        name
        for name in PRIMITIVES
        if not isinstance(REGISTRY[name], VariadicPrimitive)
        and any(rule is not zero for rule in REGISTRY[name].rules)
        and name not in campaigns.BEYOND_THE_CHECKER
    ]


@pytest.mark.parametrize("name", rules())
def test_every_rule_in_ops_is_right_in_both_orders(name: str) -> None:
    case = PRIMITIVES[name]
    report = verify_primitive(REGISTRY[name], *case.arrays, constants=case.constants)
    assert report, report


ALL = list(campaigns.mutants())


# A slice: for every rule two of the mutations, in turn; `make soak` runs them all.
@pytest.mark.parametrize(("name", "i", "mutation"), [m for n, m in enumerate(ALL) if n % 7 == 0])
def test_every_mutated_rule_is_caught(name: str, i: int, mutation: str) -> None:
    assert campaigns.caught(name, i, mutation) is not False


def test_few_mutations_change_nothing() -> None:
    names = {(name, i) for name, i, _ in ALL}
    assert {name for name, _ in names} == set(rules())


def test_kinks_cause_no_false_alarm_in_wide_networks() -> None:
    result = campaigns.kinks(campaigns.SUITE["kinks"])
    assert result["spurious failures"] == 0
    assert result["skipped"] == 0
