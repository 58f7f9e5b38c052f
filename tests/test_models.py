"""The papers' networks: their sizes and shapes, and that reverse layers and tape agree on each in both orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from nn_cases import MODELS, assert_close, gradients, leaf, normal, retrace, reverse_layers

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.nn import reverse

# Printed by the papers (of AlexNet and ResNet-18: by those whose weights Deep Defense starts from).
PRINTED = {
    "lenet": 431_080,
    "tf_tutorial": 3_274_634,
    "model_a": 710_218,
    "model_b": 1_460_938,
    "model_c": 567_434,
    "alexnet": 60_965_224,
    "resnet18": 11_689_512,
}
# Counted here, layer by layer: outputs · (inputs + 1), or two for each normalised channel.
COUNTED = {
    "mlp": 500 * 785 + 150 * 501 + 10 * 151,
    "mosca_dnn": sum(b * (a + 2) for a, b in [(784, 2500), (2500, 2000), (2000, 1500), (1500, 1000), (1000, 500)])
    + 10 * 501,
    "mosca_cnn": 64 * (25 + 2) + 64 * (64 * 25 + 2) + 1024 * (1024 + 2) + 10 * 1025,
    "convnet": 32 * 76 + 32 * 801 + 64 * 801 + 64 * 1025 + 10 * 65,
    "nin": 192 * 76 + 160 * 193 + 96 * 161 + 192 * 2401 + 2 * 192 * 193 + 192 * 1729 + 192 * 193 + 10 * 193,
    "all_conv": 96 * (27 + 2)
    + 4 * 96 * (864 + 2)
    + 192 * (864 + 2)
    + 5 * 192 * (1728 + 2)
    + 192 * (192 + 2)
    + 10 * 193,
    "cifar_3conv": 32 * 76 + 64 * 801 + 128 * 1601 + 1024 * 2049 + 10 * 1025,
    "cifar_8conv": sum(
        o * (9 * c + 1)
        for c, o in [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    )
    + 512 * 1025
    + 10 * 513,
    "speech_cnn": 64 * 161 + 64 * 2561 + 10 * (64 * 49 * 20 + 1),
}
each = pytest.mark.parametrize("name", MODELS)


def count(net: nn.Layer) -> int:
    return sum(p.size for p in net.parameters())


def small(name: str, **options: Any) -> nn.Sequential:
    return nn.models.build(name, **{"rng": 0, "classes": 4, **MODELS[name][1], **options})


def images(name: str, n: int = 2, dtype: Any = np.float64) -> np.ndarray:
    return normal(1, (n, *MODELS[name][0]), dtype=dtype)[0]


def test_every_model_is_tested() -> None:
    assert MODELS.keys() == nn.models.MODELS.keys() == PRINTED.keys() | COUNTED.keys()
    assert not PRINTED.keys() & COUNTED.keys()


@pytest.mark.parametrize(("name", "size"), (PRINTED | COUNTED).items())
def test_the_papers_models_have_the_papers_sizes(name: str, size: int) -> None:
    assert count(nn.models.build(name)) == size


@each
def test_every_model_says_in_one_line_what_it_is(name: str) -> None:
    first, *_ = (nn.models.MODELS[name].__doc__ or "").splitlines()
    assert 40 < len(first) < 120 and "." in first


@each
def test_a_model_gives_one_logit_for_each_class_and_keeps_its_dtype(name: str) -> None:
    for dtype in (np.float32, np.float64):
        y = small(name, classes=7, dtype=dtype)(images(name, dtype=dtype))
        assert (y.shape, y.dtype) == ((2, 7), dtype)


@each
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    a, b, c = (small(name, rng=seed).state_dict() for seed in (3, 3, 4))
    assert all(a[k].tobytes() == b[k].tobytes() for k in a)
    assert any(a[k].tobytes() != c[k].tobytes() for k in a)


@each
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_reverse_network_is_the_tape_in_both_orders(name: str, training: bool) -> None:
    """Jᵀu and the gradient of ½‖Jᵀu‖², both once through the reverse layers and once through the tape alone."""
    net = small(name, dtype=np.float64).train(training)
    trace, x = retrace(net), leaf(images(name))
    traced = trace(x)
    u = normal(2, traced.output.shape)[0]
    explicit = traced.reverse()(u)
    (taped,) = gradients(trace(x).output, [x], tg.Tensor(u), create_graph=True)
    assert_close(explicit, taped, 1e-11)
    wanted = [x, *net.parameters()]
    second = [gradients((j * j).sum() * 0.5, wanted) for j in (explicit, taped)]
    for a, b in zip(*second, strict=True):
        assert_close(a, b, 1e-9)
    assert any(np.abs(g.numpy()).max() > 0 for g in second[0])


@each
def test_every_parameter_is_trained_by_the_cross_entropy(name: str) -> None:
    net = small(name, dtype=np.float64)
    tg.cross_entropy(net(images(name, 4)), np.array([0, 1, 2, 3])).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not np.any(p.grad.numpy())]
    assert still == []


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_the_true_imagenet_networks_run_forward_and_backward(name: str) -> None:
    """One image of the true size through the true widths."""
    net = nn.models.build(name, rng=0).eval()
    size = 227 if name == "alexnet" else 224
    x = leaf(normal(1, (1, 3, size, size), dtype=np.float32)[0])
    y = net(x)
    (g,) = gradients(y, [x], tg.Tensor(np.ones((1, 1000), np.float32)))
    assert y.shape == (1, 1000) and np.isfinite(y.numpy()).all() and y.numpy().std() > 1e-3
    assert g.shape == x.shape and np.isfinite(g.numpy()).all() and np.abs(g.numpy()).max() > 0


def test_dropout_leaves_the_tutorial_network_as_it_is_in_eval_mode() -> None:
    plain, dropping = (nn.models.tf_tutorial(dropout=p, rng=0) for p in (0.0, 0.5))
    x = images("tf_tutorial", dtype=np.float32)
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    np.testing.assert_array_equal(plain.eval()(x).numpy(), dropping.eval()(x).numpy())
    assert not np.array_equal(plain.train()(x).numpy(), dropping.train()(x).numpy())
    assert dropping["drop1"].p == 0.5


def test_the_all_convolutional_network_halves_its_planes_four_times() -> None:
    trace = small("all_conv").trace(images("all_conv", dtype=np.float32))
    sizes = [s.shape[-1] for s in trace._reverse.steps if len(s.shape) == 4]  # type: ignore[attr-defined]
    assert sorted(set(sizes), reverse=True) == [32, 16, 8, 4, 2] and sizes == sorted(sizes, reverse=True)


def test_a_residual_network_has_eight_blocks_three_with_a_projection() -> None:
    layers = reverse_layers(small("resnet18").trace(images("resnet18", dtype=np.float32))._reverse)
    blocks = [layer for layer in layers if isinstance(layer, reverse.ReverseResidual)]
    assert len(blocks) == 8
    assert sum(isinstance(b.shortcut.reverse, reverse.ReverseSequential) for b in blocks) == 3


@pytest.mark.parametrize("name", ["convnet", "nin", "cifar_3conv", "cifar_8conv"])
def test_deep_networks_without_normalisation_start_with_hes_variance(name: str) -> None:
    net = nn.models.build(name, rng=0)
    for key, p in net.named_parameters():
        values = p.numpy()
        if key.endswith("bias"):
            assert not values.any()
        else:
            fan_in, spread = math.prod(p.shape[1:]), 5 / math.sqrt(2 * p.size)
            assert values.std() * math.sqrt(fan_in / 2) == pytest.approx(1, abs=spread), key


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'lennet' \(did you mean 'lenet'\?\); known: mlp, lenet"):
        nn.models.build("lennet")
    with pytest.raises(ValueError, match="unknown model 'transformer'; known: mlp, lenet"):
        nn.models.build("transformer")
