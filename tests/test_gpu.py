"""The same numbers on a real GPU: what test_cupy_double.py states about the double, run with CuPy itself.

Every test here skips with the reason where no CUDA device works; TINYGRAD2_REQUIRE_GPU=1 turns the skips into failures.
"""

from __future__ import annotations

from typing import Any

import cupy_double
import numpy as np
import pytest
from device_cases import (
    ARRAYS,
    FUNCTIONS,
    LAYERS,
    PRIMITIVES,
    ROBUST,
    assert_same,
    leaf,
    loss_of,
    network,
    orders,
    primitive_call,
    real,
    robustness,
)
from nn_cases import MODELS

import tinygrad2 as tg
from tinygrad2 import nn

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # the GPU adds in another order, and its exp and tanh round otherwise


@pytest.fixture
def cupy() -> Any:
    return pytest.importorskip("cupy")


def test_the_double_has_only_names_that_cupy_has() -> None:
    cupy = pytest.importorskip(
        "cupy", reason="CuPy is not installed: the names of its double cannot be compared with it"
    )
    public = [name for name in vars(cupy_double.cupy) if not name.startswith("__")]
    assert [name for name in public if not hasattr(cupy, name)] == []
    private = {"_host", "_key"}
    assert [name for name in vars(cupy_double.ndarray) if name not in private and not hasattr(cupy.ndarray, name)] == []
    assert [name for name in cupy_double.ABSENT if hasattr(cupy, name)] == []
    assert [name for name in ("det", "inv", "slogdet", "solve") if not hasattr(cupy.linalg, name)] == []
    assert [name for name in ("as_strided", "sliding_window_view") if not hasattr(cupy.lib.stride_tricks, name)] == []


@pytest.mark.gpu
def test_cupy_refuses_what_its_double_refuses(cupy: Any) -> None:
    d, h = cupy.ones((2, 2)), np.ones((2, 2))
    for mix in (lambda: d + h, lambda: h + d, lambda: np.maximum(d, h), lambda: np.asarray(d), lambda: cupy.exp(h)):
        with pytest.raises(TypeError):
            mix()
    assert d.sum().shape == ()
    assert cupy.arange(3)[cupy.array([3, -1, 7])].get().tolist() == [0, 2, 1]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_gives_the_same_on_the_gpu(cupy: Any, name: str, dtype: str) -> None:
    f, case = primitive_call(name), PRIMITIVES[name]
    assert_same(orders(f, case, "cuda", dtype), orders(f, case, "cpu", dtype), cupy.ndarray, TOLERANCE[dtype])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted({**FUNCTIONS, **ARRAYS}))
def test_every_function_gives_the_same_on_the_gpu(cupy: Any, name: str, dtype: str) -> None:
    f, case = {**FUNCTIONS, **ARRAYS}[name]
    assert_same(orders(f, case, "cuda", dtype), orders(f, case, "cpu", dtype), cupy.ndarray, TOLERANCE[dtype])


@pytest.mark.gpu
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_its_reverse_and_its_jacobian_give_the_same_on_the_gpu(
    cupy: Any, name: str, training: bool
) -> None:
    make, shape = LAYERS[name]
    on_gpu, on_cpu = (network(make, shape, device, training) for device in ("cuda", "cpu"))
    assert_same(on_gpu, on_cpu, cupy.ndarray, TOLERANCE["float64"])


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(ROBUST))
def test_every_attack_defense_and_metric_gives_the_same_on_the_gpu(cupy: Any, name: str) -> None:
    assert_same(robustness(name, "cuda"), robustness(name, "cpu"), cupy.ndarray, 1e-8)


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_training_step_of_every_model_gives_the_same_on_the_gpu(cupy: Any, name: str) -> None:
    shape, options = MODELS[name]

    def trained(device: str) -> list[tg.Tensor]:
        net = nn.models.build(name, rng=0, dtype=np.float64, **options).to(device)
        optimizer = nn.SGD(net.parameters(), lr=0.01, momentum=0.9)
        x = leaf(np.random.default_rng(1).uniform(size=(4, *shape)), device, "float64")
        for _ in range(2):
            optimizer.zero_grad()
            loss = tg.cross_entropy(net(x), np.array([3, 1, 4, 1]))
            (g,) = tg.autograd.grad(loss, x, create_graph=True)
            (loss + loss_of(g)).backward()
            optimizer.step()
        return net.parameters()

    for here, there in zip(trained("cpu"), trained("cuda"), strict=True):
        assert type(there.data) is cupy.ndarray
        np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.gpu
def test_large_single_precision_products_are_not_rounded_to_tf32(cupy: Any) -> None:
    a, b = real(256, 512), real(512, 256)
    there = (leaf(a, "cuda", "float32") @ leaf(b, "cuda", "float32")).numpy()
    assert np.abs(there - a @ b).max() < 1e-3  # TF32 keeps ten bits: about 0.03 here


@pytest.mark.gpu
def test_two_runs_on_the_gpu_agree_to_rounding(cupy: Any) -> None:
    """Scatter-adds use atomics, whose order is not fixed: equal to rounding is all that is promised."""
    x = real(8, 3, 16, 16)

    def gradient() -> np.ndarray[Any, Any]:
        t = leaf(x, "cuda", "float32")
        (g,) = tg.autograd.grad(loss_of(tg.max_pool2d(t, 3, 1)), t)
        return g.numpy()

    np.testing.assert_allclose(gradient(), gradient(), rtol=1e-5, atol=1e-5)
