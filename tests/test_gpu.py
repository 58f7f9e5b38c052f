"""The same numbers on a real GPU: what test_cupy_double.py states about the double, run with CuPy itself.

Every test here skips with the reason where no CUDA device works; TINYGRAD2_REQUIRE_GPU=1 turns the skips into failures.
"""

from __future__ import annotations

import copy
import re
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
from tinygrad2 import kernels, nn, robust
from tinygrad2.kernels import choose, describe_gpu, why_no_cuda_kernels

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
def test_numba_s_kernels_do_the_work(cupy: Any) -> None:
    assert why_no_cuda_kernels() is None
    assert choose.implementation(cupy.ndarray, np.dtype("float32")) is kernels.cuda
    assert re.fullmatch(r".+, \d+ GB, compute capability \d+\.\d, driver for CUDA \d+\.\d", describe_gpu())


@pytest.mark.gpu
@pytest.mark.parametrize("columns", [1 << 12, 1 << 28])
@pytest.mark.parametrize("name", ["lenet", "model_a", "model_b", "model_c", "convnet", "nin"])
def test_the_jacobian_penalty_of_the_papers_networks_is_the_cpu_s_in_float32(
    monkeypatch: pytest.MonkeyPatch, name: str, columns: int
) -> None:
    monkeypatch.setattr(kernels.cuda.conv, "COLUMNS", columns)  # images one by one, and all together
    net = nn.models.build(name, rng=0).eval()
    x = np.random.default_rng(1).uniform(size=(4, *MODELS[name][0])).astype(np.float32)

    def gradients(device: str) -> list[np.ndarray[Any, Any]]:
        there = copy.deepcopy(net).to(device)
        trace = there.trace(tg.Tensor(x).to(device))
        (tg.cross_entropy(trace.output, np.array([3, 1, 4, 1])) + robust.jacobian_frobenius(trace)).backward()
        return [p.grad.numpy() for p in there.parameters() if p.grad is not None]

    for here, gpu in zip(gradients("cpu"), gradients("cuda"), strict=True):
        assert np.linalg.norm(gpu - here) <= 1e-4 * np.linalg.norm(here)


def gradient_of_overlapping_windows(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    t = leaf(x, "cuda", "float32")
    (g,) = tg.autograd.grad(loss_of(tg.max_pool2d(t, 3, 1)), t)
    return g.numpy()


@pytest.mark.gpu
def test_two_runs_on_the_gpu_agree_to_rounding(cupy: Any) -> None:
    """Windows that overlap add with atomics, whose order is not fixed: equal to rounding is all that is promised."""
    x = real(8, 3, 16, 16)
    first, second = (gradient_of_overlapping_windows(x) for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_two_deterministic_runs_on_the_gpu_are_equal_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD2_DETERMINISTIC", "1")
    x = real(64, 8, 32, 32)
    first = gradient_of_overlapping_windows(x)
    for _ in range(5):
        np.testing.assert_array_equal(gradient_of_overlapping_windows(x), first)


@pytest.mark.gpu
def test_the_work_goes_to_cupy_s_current_stream(cupy: Any) -> None:
    x, w = real(8, 3, 16, 16), real(4, 3, 3, 3)
    expected = tg.conv2d(leaf(x, "cpu", "float64"), leaf(w, "cpu", "float64"), padding=1).detach().numpy()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        y = tg.relu(tg.conv2d(leaf(x, "cuda", "float64"), leaf(w, "cuda", "float64"), padding=1) * 3.0 + 0.5)
        done = stream.record()
    done.synchronize()
    np.testing.assert_allclose(y.detach().numpy(), np.maximum(expected * 3 + 0.5, 0), rtol=1e-10, atol=1e-12)


@pytest.mark.gpu
def test_too_large_an_array_is_an_error_that_says_what_to_do(cupy: Any) -> None:
    free, _ = cupy.cuda.runtime.memGetInfo()
    row = tg.Tensor(cupy.ones((1, 1 << 16), "float32"))
    column = tg.Tensor(cupy.ones((2 * free // (4 << 16), 1), "float32"))
    with pytest.raises(MemoryError, match="smaller batch"):
        _ = column * row
    assert (row * 2.0).numpy()[0, 0] == 2  # and the GPU goes on
