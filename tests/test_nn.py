"""Layers, their names, modes and states; the models of the papers; errors that say which layer and which numbers."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nn_cases import CASES, assert_close, gradients, leaf, make, normal, retrace
from strategies import SEEDS

import tinygrad2 as tg
from tinygrad2 import nn

IMAGE = np.ones((2, 3, 8, 8), np.float32)


def block() -> nn.Sequential:
    """Names three deep, with every kind of tensor: parameters, buffers, and a dropout mask."""
    body = nn.Sequential(conv=nn.Conv2d(3, 3, 3, padding=1), bn=nn.BatchNorm2d(3), drop=nn.Dropout(0.5))
    return nn.Sequential(block=nn.Residual(body), flatten=nn.Flatten(), fc=nn.Linear(192, 4))


# --- Names and modes --------------------------------------------------------------------------------------------------


def test_parameters_and_buffers_have_dotted_names_in_order_of_definition() -> None:
    net = block()
    bn = [f"block.body.bn.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    conv, fc = ["block.body.conv.weight", "block.body.conv.bias"], ["fc.weight", "fc.bias"]
    assert list(net.state_dict()) == [*conv, *bn, *fc]
    assert [name for name, _ in net.named_parameters()] == [*conv, *bn[:2], *fc]


def test_positions_name_layers_that_were_given_no_name() -> None:
    net = nn.Sequential(nn.ReLU(), {"middle": nn.Tanh()}, nn.ReLU(), last=nn.Identity())
    assert [name for name, _ in net.children()] == ["0", "middle", "2", "last"]
    assert net[1] is net["middle"] and net[-1] is net["last"] and len(net) == 4


def test_a_shared_layer_has_two_names_but_one_parameter() -> None:
    shared = nn.Linear(3, 3, bias=False, dtype=np.float64)
    net = nn.Sequential(a=shared, b=shared)
    assert list(net.state_dict()) == ["a.weight", "b.weight"]
    assert net.parameters() == [shared.weight] and len(net.parameters()) == 1
    x = normal(0, (2, 3))[0]
    net(x).sum().backward()
    w = shared.weight.numpy()
    assert_close(shared.weight.grad, np.ones((2, 3)).T @ (x @ w.T) + (np.ones((2, 3)) @ w).T @ x)


def test_zero_grad_forgets_every_gradient() -> None:
    net = block()
    net(IMAGE).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_train_and_eval_reach_every_layer() -> None:
    net = block()
    assert {layer.training for _, layer in net.eval().named_layers()} == {False}
    assert {layer.training for _, layer in net.train().named_layers()} == {True}


# --- What layers compute ----------------------------------------------------------------------------------------------


def test_dropout_is_the_identity_in_eval_and_keeps_the_mean_in_training() -> None:
    drop, x = nn.Dropout(0.25, rng=0), np.ones((400, 100), np.float32)
    y = drop(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.02
    np.testing.assert_array_equal(drop.eval()(x).numpy(), x)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).numpy(), x)


def test_every_call_draws_a_fresh_mask_and_the_seed_decides_which() -> None:
    x = np.ones((8, 8), np.float32)
    first, again = nn.Dropout(rng=1), nn.Dropout(rng=1)
    masks = [first(x).numpy() for _ in range(3)]
    assert all(not np.array_equal(a, b) for a, b in pairwise(masks))
    for mask in masks:
        np.testing.assert_array_equal(again(x).numpy(), mask)


def test_batch_norm_in_training_has_mean_bias_and_deviation_weight() -> None:
    bn = nn.BatchNorm2d(3, eps=0.0, dtype=np.float64)
    bn.weight.data, bn.bias.data = np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    y = bn(normal(0, (5, 3, 4, 4))[0]).numpy()
    assert_close(y.mean((0, 2, 3)), bn.bias)
    assert_close(y.std((0, 2, 3)), bn.weight)


def test_running_statistics_approach_those_of_the_data_and_eval_uses_them() -> None:
    bn, x = nn.BatchNorm1d(2, momentum=0.5, dtype=np.float64), normal(1, (64, 2))[0] * [1, 3] + [5, -2]
    for _ in range(60):
        bn(x)
    assert_close(bn.running_mean, x.mean(0))
    assert_close(bn.running_var, x.var(0, ddof=1))
    before = bn.running_mean.numpy().copy()
    y = bn.eval()(x)
    assert_close(y, (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + bn.eps))
    np.testing.assert_array_equal(bn.running_mean.numpy(), before)


def test_nan_passes_through_every_layer() -> None:
    for name in CASES:
        layer, values = make(name)
        assert np.isnan(layer(np.full_like(values, np.nan)).numpy()).any(), name


def test_batches_are_split_without_changing_the_result() -> None:
    """Samples do not meet, except in batch normalisation in train mode."""
    for name in CASES:
        if "train" not in name:
            layer, values = make(name)
            assert_close(layer(values)[1:2], layer(values[1:2]), what=name)


IN_TORCH = {name.split()[0] for name in CASES} - {
    "GlobalAvgPool", "Sequential", "Residual", "Layer", "Sum", "Concatenate",
}  # fmt: skip


# PyTorch's attention takes three inputs and returns two results.
OWN_FORM = {"MultiheadAttention"}
# Random, or with a padding that PyTorch does not take.
BEYOND = {"Dropout train", "Conv1d strided in groups", "ConvTranspose2d same, without bias"}


@pytest.mark.oracle
@pytest.mark.parametrize("name", [n for n in CASES if n.split()[0] in IN_TORCH - OWN_FORM and n not in BEYOND])
def test_pytorchs_layer_of_the_same_name_takes_our_state_and_agrees(name: str) -> None:
    torch = pytest.importorskip("torch")
    layer, values = make(name)
    theirs = importlib.import_module("oracle.peer").alone(layer)
    x, tx = leaf(values), torch.tensor(values, requires_grad=True)
    y, ty = retrace(layer)(x).output, theirs(tx)
    assert_close(y, ty.detach().numpy())
    u = normal(3, y.shape)[0]
    ty.backward(torch.tensor(u))
    ours = gradients(y, [x, *layer.parameters()], tg.Tensor(u))
    for mine, their in zip(ours, [tx, *theirs.parameters()], strict=True):
        assert_close(mine, their.grad.numpy(), 1e-10)
    for buffer, value in layer.state_dict().items():
        assert_close(value, theirs.state_dict()[buffer].numpy())


@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted(IN_TORCH))
def test_arguments_have_pytorchs_names_order_and_defaults(name: str) -> None:
    torch = pytest.importorskip("torch")
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(c).parameters.values() if p.kind is positional]
        for c in (getattr(nn, name), getattr(torch.nn, name))
    )
    assert ours == theirs[: len(ours)]


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"is_causal": True}], ids=str)
def test_attention_is_pytorchs_with_the_same_state(options: dict[str, bool]) -> None:
    torch = pytest.importorskip("torch")
    layer = nn.MultiheadAttention(6, 2, rng=0, dtype=np.float64, **options).eval()
    theirs = torch.nn.MultiheadAttention(6, 2, bias=options.get("bias", True), batch_first=True).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in layer.state_dict().items()})
    hidden = torch.triu(torch.ones(4, 4), 1).bool() if layer.is_causal else None
    x, u = normal(0, (3, 4, 6), (3, 4, 6))
    ours, tx = leaf(x), torch.tensor(x, requires_grad=True)
    y, ty = layer(ours), theirs(tx, tx, tx, attn_mask=hidden)[0]
    assert_close(y, ty.detach().numpy())
    ty.backward(torch.tensor(u))
    mine = gradients(y, [ours, *layer.parameters()], tg.Tensor(u))
    names = ["x", *[name for name, _ in layer.named_parameters()]]
    expected = {"x": tx, **dict(theirs.named_parameters())}
    for name, g in zip(names, mine, strict=True):
        assert_close(g, expected[name].grad.numpy(), 1e-10, name)
    if not layer.is_causal:
        other, mask = normal(1, (3, 5, 6), (4, 5))
        tother = torch.tensor(other)
        assert_close(
            layer(ours, tg.Tensor(other), tg.Tensor(other), mask),
            theirs(tx, tother, tother, attn_mask=torch.tensor(mask))[0].detach().numpy(),
        )


# --- Seeds ------------------------------------------------------------------------------------------------------------


def same_state(a: nn.Layer, b: nn.Layer) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@given(SEEDS)
def test_the_seed_decides_the_initial_values(seed: int) -> None:
    def mlp(rng: Any = None) -> nn.Layer:
        return nn.models.mlp(6, (4,), 2, rng=rng)

    assert same_state(mlp(seed), mlp(seed)) and not same_state(mlp(seed), mlp(seed + 1))
    assert same_state(mlp(seed), mlp(np.random.default_rng(seed)))
    nn.manual_seed(seed)
    first, second = mlp(), mlp()
    nn.manual_seed(seed)
    assert same_state(mlp(), first) and not same_state(first, second)


@pytest.mark.parametrize("shape", [(300, 200), (60, 20, 5, 5)])
def test_initial_values_have_the_papers_variance(shape: tuple[int, ...]) -> None:
    fan_in, fan_out = nn.init.fans(shape)
    assert (fan_in, fan_out) == ((200, 300) if len(shape) == 2 else (500, 1500))
    variances = {
        nn.init.kaiming_normal: 2 / fan_in,
        nn.init.xavier_uniform: 2 / (fan_in + fan_out),
        nn.init.fan_in_uniform: 1 / (3 * fan_in),
    }
    for initial, variance in variances.items():
        values = initial(shape, rng=0)
        assert values.requires_grad and values.dtype == np.float32
        assert abs(values.numpy().var() / variance - 1) < 0.03


# --- The state of random generators -----------------------------------------------------------------------------------


def test_the_saved_state_of_the_generators_continues_with_the_same_masks() -> None:
    net, other = block(), block()
    net(IMAGE)  # the generator has moved on
    saved = json.loads(json.dumps(nn.rng_state(net)))
    assert list(saved) == ["block.body.drop.rng"]
    expected = [net(IMAGE).numpy() for _ in range(3)]
    other.load_state_dict(net.state_dict())
    nn.set_rng_state(other, saved)
    for y in expected:
        np.testing.assert_array_equal(other(IMAGE).numpy(), y)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_kind_of_generator_can_be_saved_as_json(kind: str) -> None:
    def drop(seed: int) -> nn.Dropout:
        return nn.Dropout(rng=np.random.Generator(getattr(np.random, kind)(seed)))

    one, other, x = drop(0), drop(1), np.ones((30, 30), np.float32)
    one(x)
    nn.set_rng_state(other, json.loads(json.dumps(nn.rng_state(one))))
    np.testing.assert_array_equal(other(x).numpy(), one(x).numpy())


def test_a_state_of_other_generators_is_refused_whole() -> None:
    net = nn.Sequential(a=nn.Dropout(rng=0), b=nn.Dropout(rng=1))
    before = nn.rng_state(net)
    with pytest.raises(ValueError, match=r"expected \['a.rng', 'b.rng'\], the state has \['a.rng'\]"):
        nn.set_rng_state(net, {"a.rng": before["a.rng"]})
    foreign = nn.rng_state(nn.Dropout(rng=np.random.Generator(np.random.Philox(0))))["rng"]
    with pytest.raises(ValueError, match=r"b\.rng: expected the state of a PCG64 generator, got that of a Philox"):
        nn.set_rng_state(net, {"a.rng": before["b.rng"], "b.rng": foreign})
    assert nn.rng_state(net) == before


# --- State and copies -------------------------------------------------------------------------------------------------


def test_a_loaded_state_makes_the_nets_equal() -> None:
    nets = [block().eval(), block().eval()]
    assert not same_state(*nets)
    nets[1].load_state_dict(nets[0].state_dict())
    assert same_state(*nets)
    np.testing.assert_array_equal(*(net(IMAGE).numpy() for net in nets))


def test_a_saved_state_does_not_change_while_training_goes_on() -> None:
    net = nn.Linear(2, 1)
    saved = net.state_dict()
    before = saved["weight"].copy()
    net(np.ones((3, 2), np.float32)).sum().backward()
    nn.SGD(net.parameters(), lr=0.1).step()
    np.testing.assert_array_equal(saved["weight"], before)
    assert not np.array_equal(net.weight.numpy(), before)


MISFITS: dict[str, tuple[Callable[[dict[str, np.ndarray]], Any], str]] = {
    "missing": (lambda s: s.pop("fc.bias"), "missing 'fc.bias'; unknown nothing"),
    "misspelt": (lambda s: s.update({"fc.bais": s.pop("fc.bias")}), r"'fc.bais' \(did you mean 'fc.bias'\?\)"),
    "shape": (
        lambda s: s.update({"fc.weight": s["fc.weight"].T}),
        r"fc.weight: expected shape \(4, 192\), float32; the state has \(192, 4\), float32",
    ),
    "dtype": (
        lambda s: s.update({"fc.bias": s["fc.bias"].astype(float)}),
        r"fc.bias: expected shape \(4,\), float32; the state has \(4,\), float64",
    ),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_state_that_does_not_fit_is_named_and_changes_nothing(kind: str) -> None:
    spoil, message = MISFITS[kind]
    net, state = block(), block().state_dict()
    spoil(state)
    before = net.state_dict()
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(state)
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())


def test_a_deep_copy_is_an_independent_net() -> None:
    net = block()
    twin = copy.deepcopy(net)
    assert same_state(net, twin) and nn.rng_state(net) == nn.rng_state(twin)
    np.testing.assert_array_equal(net(IMAGE).numpy(), twin(IMAGE).numpy())
    before = {k: v.copy() for k, v in net.state_dict().items()}
    twin(IMAGE).sum().backward()
    nn.SGD(twin.parameters(), lr=0.1).step()
    twin.eval()
    assert all(p.grad is None for p in net.parameters()) and net["block"].body.training
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())
    assert not same_state(net, twin)


def test_moving_to_the_same_device_keeps_values_names_and_sharing() -> None:
    shared, other = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    other.weight = shared.weight
    net = nn.Sequential(a=shared, b=shared, c=other)
    before = net.state_dict()
    assert net.to("cpu") is net and net.parameters() == [shared.weight] and other.weight is shared.weight
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        net.to("gpu")


# --- Models -----------------------------------------------------------------------------------------------------------


def test_the_reference_lenet_loads_by_name_and_reads_mnist(data_file: Callable[[str], Path]) -> None:
    net = nn.models.lenet()
    net.load_state_dict(nn.load(data_file("lenet-reference.npz")))
    assert len({float(p.numpy().std()) for p in net.parameters()}) == 8
    assert np.isfinite(net(np.zeros((1, 1, 28, 28), np.float32)).numpy()).all()


# --- Errors -----------------------------------------------------------------------------------------------------------

WRONG_INPUTS: dict[str, tuple[Callable[[], nn.Layer], tuple[int, ...], str]] = {
    "Linear, features": (lambda: nn.Linear(5, 2), (3, 4), r"Linear\(5, 2\): .*\(3, 4\).* 5 inputs"),
    "Linear, one axis": (
        lambda: nn.Linear(5, 2),
        (5,),
        r"Linear\(5, 2\): expected samples \(N, ..., 5\), got .*\(5,\)",
    ),
    "Conv2d, axes": (lambda: nn.Conv2d(1, 2, 3), (2, 8, 8), r"Conv2d\(1, 2, 3×3\): expected images .* \(2, 8, 8\)"),
    "Conv2d, channels": (lambda: nn.Conv2d(1, 2, 3), (2, 3, 8, 8), r"Conv2d\(1, 2, 3×3\): .*\(2, 3, 8, 8\) has 3 ch"),
    "Conv2d, too small": (lambda: nn.Conv2d(1, 2, 5), (2, 1, 4, 4), r"Conv2d\(1, 2, 5×5\): kernel \(5, 5\) .* 4 "),
    "PReLU": (lambda: nn.PReLU(3), (2, 1, 4, 4), r"PReLU\(3\): expected 3 channels .* got shape \(2, 1, 4, 4\)"),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 4, 4), r"MaxPool2d\(.*\): expected images .* \(2, 4, 4\)"),
    "MaxPool2d, too small": (lambda: nn.MaxPool2d(3), (1, 1, 2, 2), r"MaxPool2d\(.*\): kernel \(3, 3\) .* 2 "),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (2, 4), r"AvgPool2d\(.*\): expected images .* \(2, 4\)"),
    "GlobalAvgPool": (lambda: nn.GlobalAvgPool(), (2, 4), r"GlobalAvgPool\(\): expected images .* \(2, 4\)"),
    "BatchNorm1d": (
        lambda: nn.BatchNorm1d(3),
        (4, 2),
        r"BatchNorm1d\(3\): expected shape \(N, 3\) or \(N, 3, L\), got \(4, 2\)",
    ),
    "BatchNorm2d": (
        lambda: nn.BatchNorm2d(3),
        (4, 3),
        r"BatchNorm2d\(3\): expected shape \(N, 3, H, W\), got \(4, 3\)",
    ),
    "BatchNorm1d, one": (lambda: nn.BatchNorm1d(3), (1, 3), r"BatchNorm1d\(3\): .*more than one value .*\(1, 3\)"),
    "LocalResponseNorm": (
        lambda: nn.LocalResponseNorm(3),
        (2, 4),
        r"LocalResponseNorm\(.*\): expected images .*\(2, 4\)",
    ),
    "Conv1d": (lambda: nn.Conv1d(1, 2, 3), (2, 8), r"Conv1d\(1, 2, 3\): expected sequences .* \(2, 8\)"),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(1, 2, 3),
        (2, 8, 8),
        r"ConvTranspose2d\(1, 2, 3×3\): expected images .* \(2, 8, 8\)",
    ),
    "LayerNorm": (lambda: nn.LayerNorm((2, 3)), (4, 3), r"LayerNorm\(\(2, 3\)\): .*\(..., 2, 3\), got shape \(4, 3\)"),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (4, 3), r"GroupNorm\(2, 4\): expected 4 channels .* got \(4, 3\)"),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(4, 2, bias=False),
        (4, 4),
        r"MultiheadAttention\(...\): expected sequences \(N, L, 4\), got shape \(4, 4\)",
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.AdaptiveAvgPool2d(2),
        (4, 4),
        r"AdaptiveAvgPool2d\(output_size=2\): expected images .* \(4, 4\)",
    ),
    "Sum": (
        lambda: nn.Sum(nn.Linear(3, 2), b=nn.Identity()),
        (4, 3),
        r"Sum\(.*\): all branches must give one shape, got {'0': \(4, 2\), 'b': \(4, 3\)}",
    ),
    "Concatenate": (
        lambda: nn.Concatenate(nn.Linear(3, 2), nn.Identity(), axis=0),
        (4, 3),
        r"Concatenate\(.*\): .* axis 0 alone, which is not 0: got {'0': \(4, 2\), '1': \(4, 3\)}",
    ),
    "Concatenate of nothing": (lambda: nn.Concatenate(), (4, 3), r"Concatenate\(axis=1\): give at least one layer"),
    "Residual": (lambda: nn.Residual(nn.Linear(3, 2)), (4, 3), r"Residual\(.*\): .*gives shape \(4, 2\).*\(4, 3\)"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_a_wrong_shape_names_the_layer_and_the_numbers(name: str) -> None:
    build, shape, message = WRONG_INPUTS[name]
    x = np.ones(shape, np.float32)
    with pytest.raises(ValueError, match=f"^{message}"):
        build()(x)
    for use in (nn.Layer.__call__, nn.Layer.trace):
        inner = nn.Sequential(first=nn.Identity(), wrong=build())
        with pytest.raises(ValueError, match=rf"^layer 'body\.wrong', {message}"):
            use(nn.Residual(inner), x)


def test_a_wrong_dtype_names_the_layer_and_says_what_to_do() -> None:
    net = nn.Sequential(net=nn.models.mlp(4, (3,), 2))
    message = (
        r"layer 'net\.fc1', Linear\(4, 3\): the input is float64, the layer's weight is float32; .*"
        r"x.astype\(np.float32\), or .*net.astype\(np.float64\)"
    )
    with pytest.raises(TypeError, match=message):
        net(np.ones((2, 4)))
    with pytest.raises(TypeError, match=r"layer 'net\.flatten', Flatten\(\): .*int64.*astype"):
        net(np.ones((2, 4), np.int64))


class Custom(nn.Layer):
    """A user's layer with a layer inside it."""

    def __init__(self) -> None:
        self.inner = nn.Linear(2, 2)

    def apply(self, x: tg.Tensor) -> Any:
        return self.inner(x), nn.reverse.ReverseLinear(self.inner.weight)


def test_an_error_inside_a_users_own_layer_is_named_too() -> None:
    net = nn.Sequential(mine=Custom())
    assert [name for name, _ in net.named_parameters()] == ["mine.inner.weight", "mine.inner.bias"]
    with pytest.raises(ValueError, match=r"^layer 'mine', Linear\(2, 2\): .*\(1, 3\)"):
        net(np.ones((1, 3), np.float32))


WRONG_SETTINGS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.Linear(0, 2), ValueError, "in_features must be at least 1, got 0"),
    (lambda: nn.Conv2d(3, -1, 3), ValueError, "out_channels must be at least 1, got -1"),
    (lambda: nn.Conv2d(3, 4, (3, 0)), ValueError, r"kernel_size must be at least 1, got \(3, 0\)"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "3 → 4 channels cannot be divided into 2 groups"),
    (lambda: nn.Conv2d(3, 4, 3, groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: nn.PReLU(0), ValueError, "num_parameters must be at least 1"),
    (lambda: nn.BatchNorm2d(0), ValueError, "num_features must be at least 1"),
    (lambda: nn.LocalResponseNorm(0), ValueError, "size must be at least 1"),
    (lambda: nn.Conv1d(3, 4, 3, groups=2), ValueError, "3 → 4 channels cannot be divided into 2 groups"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "one of zeros, reflect, .*; got 'mirror'"),
    (lambda: nn.GELU("erf"), ValueError, "approximate must be 'none' or 'tanh', got 'erf'"),
    (lambda: nn.Softplus(0), ValueError, "beta must be positive, got 0"),
    (lambda: nn.GroupNorm(2, 3), ValueError, "3 channels cannot be divided into 2 groups"),
    (lambda: nn.LayerNorm(0), ValueError, "normalized_shape must be sizes of at least 1, got 0"),
    (lambda: nn.Embedding(0, 2), ValueError, "num_embeddings must be at least 1, got 0"),
    (lambda: nn.MultiheadAttention(4, 3), ValueError, "embed_dim 4 cannot be divided into 3 heads"),
    (lambda: nn.MultiheadAttention(4, 2, 1.0), ValueError, r"dropout is a probability in \[0, 1\), got 1.0"),
    (lambda: nn.AdaptiveAvgPool2d((2, 0)), ValueError, r"output_size must be at least 1, got \(2, 0\)"),
    (lambda: nn.Concatenate(nn.ReLU(), {"0": nn.ReLU()}), ValueError, "Concatenate: layers need different names"),
    (lambda: nn.Dropout(1.0), ValueError, r"p is a probability in \[0, 1\), got 1.0"),
    (lambda: nn.Linear(2, 2, dtype=np.int64), TypeError, "int64"),
    (lambda: nn.Linear(2, 2, dtype=np.float16), TypeError, "float16"),
    (lambda: nn.Sequential(nn.ReLU(), np.tanh), TypeError, "'1' must be a layer, got ufunc"),
    (lambda: nn.Sequential(nn.ReLU(), {"0": nn.ReLU()}), ValueError, "different names without dots, got '0'"),
    (lambda: nn.Sequential({"a.b": nn.ReLU()}), ValueError, "different names without dots, got 'a.b'"),
]


@pytest.mark.parametrize(("build", "kind", "message"), WRONG_SETTINGS, ids=[m for _, _, m in WRONG_SETTINGS])
def test_impossible_settings_are_refused_at_once(build: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build()


# --- Print, types, imports --------------------------------------------------------------------------------------------


RESIDUAL = """\
Residual(
  (body): Sequential(
    (0): Linear(2, 3, bias=False)
    (act): LeakyReLU(negative_slope=0.1)
  )
  (shortcut): Identity()
)"""


def test_layers_print_as_they_are_made() -> None:
    conv = nn.Conv2d(4, 6, (3, 2), 2, "same", groups=2, bias=False)
    assert repr(conv) == "Conv2d(4, 6, 3×2, stride=2, padding='same', groups=2, bias=False)"
    net = nn.Sequential(nn.Linear(2, 3, bias=False), act=nn.LeakyReLU(0.1))
    assert repr(nn.Residual(net)) == RESIDUAL
    assert nn.Residual(net).brief() == "Residual(...)" and net[0].brief() == repr(net[0])
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.LocalResponseNorm(5)) == "LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=1.0)"


@given(st.sampled_from([np.float32, np.float64]))
def test_a_net_has_one_dtype(dtype: Any) -> None:
    for name in ("mlp", "lenet"):
        net = nn.models.build(name, dtype=dtype)
        assert {p.dtype for p in net.parameters()} == {net(np.zeros((1, 1, 28, 28), dtype)).dtype} == {np.dtype(dtype)}


def test_nn_imports_without_the_heavy_packages() -> None:
    heavy = ["numba", "cupy", "matplotlib", "sklearn", "pooch", "tqdm", "torch", "scipy", "safetensors"]
    code = f"import sys, tinygrad2.nn; print([m for m in {heavy} if m in sys.modules])"
    root = Path(nn.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_input_scale_shrinks_the_first_weights_alone():
    plain, small = nn.models.mlp(6, (5, 4), 3, rng=0), nn.models.mlp(6, (5, 4), 3, input_scale=4.0, rng=0)
    for (name, a), (_, b) in zip(plain.named_parameters(), small.named_parameters(), strict=True):
        np.testing.assert_array_equal(b.numpy() * (4 if name == "fc1.weight" else 1), a.numpy())
