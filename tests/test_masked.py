"""A regulariser whose gradient reaches chosen layers only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2 import nn, robust
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.ops import cross_entropy

NAMES = ["fc1", "fc2", "fc3"]


def problem(seed: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A net, its cross-entropy and a penalty."""
    net = nn.models.mlp(6, (5, 4), 3, rng=seed, dtype=np.float64)
    trace = net.trace(np.random.default_rng(seed).standard_normal((4, 6)))
    labels = [0, 2, 1, 1]
    return net, cross_entropy(trace.output, labels), robust.logit_margin(trace, labels) * 3.0


def gradients(loss: Tensor, net: nn.Layer) -> dict[str, np.ndarray]:
    found = autograd.grad(loss, net.parameters(), allow_unused=True)
    pairs = zip(net.named_parameters(), found, strict=True)
    return {name: np.zeros(p.shape) if g is None else g.numpy() for (name, p), g in pairs}


@given(SEEDS, st.sets(st.sampled_from(NAMES)))
def test_a_named_layer_gets_both_gradients_and_any_other_that_of_the_fit(seed: int, layers: set[str]) -> None:
    net, fit, regularizer = problem(seed)
    loss = robust.total_loss(net, fit, regularizer, layers)
    assert loss.item() == (fit + regularizer).item()
    both, alone, got = (gradients(t, net) for t in (fit + regularizer, fit, loss))
    for name, g in got.items():
        expected = both if name.split(".")[0] in layers else alone
        np.testing.assert_allclose(g, expected[name], 1e-12, 1e-15, err_msg=name)


def test_one_parameter_can_be_named_and_a_layer_named_twice_counts_once() -> None:
    net, fit, regularizer = problem(0)
    once, twice = (
        gradients(robust.total_loss(net, fit, regularizer, names), net) for names in (["fc2"], ["fc2", "fc2.weight"])
    )
    for name in once:
        np.testing.assert_array_equal(once[name], twice[name])
    alone, only = gradients(fit, net), gradients(robust.total_loss(net, fit, regularizer, ["fc2.weight"]), net)
    assert [name for name in only if not np.array_equal(only[name], alone[name])] == ["fc2.weight"]


def test_unknown_layers_and_a_bare_string_are_errors() -> None:
    net, fit, regularizer = problem(0)
    with pytest.raises(ValueError, match=r"no layer 'fc4' has parameters.*did you mean 'fc\d'.*fc1, fc2, fc3"):
        robust.total_loss(net, fit, regularizer, ["fc4"])
    with pytest.raises(ValueError, match="no layer 'relu1'"):
        robust.total_loss(net, fit, regularizer, ["relu1"])
    with pytest.raises(TypeError, match=r"write \['fc1'\]"):
        robust.total_loss(net, fit, regularizer, "fc1")
