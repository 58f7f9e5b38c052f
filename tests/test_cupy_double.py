"""Nothing above kernels/ is tied to NumPy: on the double of CuPy all gives the same numbers and stays on the device.

The first tests hold the double itself to CuPy's strictness; without them the others would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cupy_double
import numpy as np
import pytest
from cupy_double import counting
from device_cases import (
    ARRAYS,
    FUNCTIONS,
    LAYERS,
    PRIMITIVES,
    ROBUST,
    TOLERANCE,
    assert_same,
    attacks,
    experiment,
    layers,
    leaf,
    loss_of,
    network,
    orders,
    own_primitives,
    primitive_call,
    public_functions,
    real,
    robustness,
)

import tinygrad2 as tg
from tinygrad2 import nn, ops, robust
from tinygrad2.kernels import Geometry, choose, to_device, why_no_gpu, why_no_numba
from tinygrad2.ops import families

DTYPES = ("float32", "float64")


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The double, in CuPy's place. Without Numba, so that host and device differ in nothing but where arrays live."""
    monkeypatch.setenv("TINYGRAD2_NUMBA", "0")
    why_no_numba.cache_clear()
    choose.implementation.cache_clear()
    yield cupy_double.install(monkeypatch)
    why_no_gpu.cache_clear()
    why_no_numba.cache_clear()
    choose.implementation.cache_clear()


# The double is as strict as CuPy.


@pytest.mark.parametrize(
    "mix",
    [
        lambda d, h: d + h,
        lambda d, h: h + d,
        lambda d, h: h @ d,
        lambda d, h: np.maximum(d, h),
        lambda d, h: np.concatenate([d, h]),
        lambda d, h: h.__iadd__(d),
        lambda d, h: d.__iadd__(h),
        lambda d, h: d.__setitem__(0, h[0]),
        lambda d, h: h.__setitem__(0, d[0]),
        lambda d, h: np.asarray(d),
        lambda d, h: np.array([d[0], d[1]]),
        lambda d, h: cupy_double.cupy.maximum(d, h),
        lambda d, h: cupy_double.cupy.where(d > 0, d, h),
        lambda d, h: cupy_double.cupy.concatenate([d, h]),
        lambda d, h: cupy_double.cupy.exp(h),
        lambda d, h: cupy_double.cupy.sum(h),
        lambda d, h: d * [1.0, 2.0],
        lambda d, h: [1, 2, 3][d[0, 0].astype("int64")],
    ],
)
def test_the_double_refuses_to_mix_with_the_host(cupy: ModuleType, mix: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        mix(cupy.ones((2, 2)), np.ones((2, 2)))


def test_the_double_takes_numbers_and_stays_on_the_device(cupy: ModuleType) -> None:
    d = cupy.arange(6, dtype="float32").reshape(2, 3)
    for result in (
        d + 1,
        2.0 * d,
        np.float32(2) * d,
        d * np.float32(2),
        np.exp(d),
        d.sum(),
        d[0, 0],
        d.max(axis=1),
        -d,
        d @ d.T,
        d > 1,
    ):
        assert type(result) is cupy.ndarray
    assert (2.0 * d).dtype == np.float32
    assert d.sum().shape == ()


def test_the_double_counts_what_makes_the_host_wait(cupy: ModuleType) -> None:
    d = cupy.ones((3,))
    for wait in (
        lambda: bool(d[0]),
        lambda: float(d[0]),
        lambda: int(d[0]),
        lambda: d[0].item(),
        lambda: d.get(),
        lambda: d[d > 0],
    ):
        with counting() as count:
            wait()
        assert count.synchronisations == 1
    with counting() as count:
        cupy.add.at(d, cupy.asarray([0, 0]), d[:2] * 2 + d.sum())
    assert (count.synchronisations, count.uploads) == (0, 1)
    assert cupy.asnumpy(d).tolist() == [11, 1, 1]


def test_the_double_wraps_indices_out_of_range_silently(cupy: ModuleType) -> None:
    d = cupy.arange(6).reshape(2, 3)
    assert d[:, cupy.array([3, -1, 7])].tolist() == [[0, 2, 1], [3, 5, 4]]
    assert d[..., None, cupy.array([4])].tolist() == [[[1]], [[4]]]


@pytest.mark.parametrize("name", cupy_double.ABSENT)
def test_the_double_lacks_what_cupy_lacks(cupy: ModuleType, name: str) -> None:
    assert hasattr(np, name)
    assert not hasattr(cupy, name)


def test_the_double_has_no_write_protection(cupy: ModuleType) -> None:
    d = cupy.zeros(2)
    assert d.flags.c_contiguous
    assert not hasattr(d, "setflags")
    assert not hasattr(d.flags, "writeable")


def test_as_strided_is_a_view(cupy: ModuleType) -> None:
    d = cupy.arange(4)
    windows = cupy.lib.stride_tricks.as_strided(d, shape=(3, 2), strides=(8, 8))
    d[1] = 7
    assert windows.tolist() == [[0, 7], [7, 2], [2, 3]]


# Same numbers, on the device, to second order.


def test_every_primitive_has_a_case() -> None:
    assert own_primitives() == set(PRIMITIVES)


def test_every_public_function_has_a_case() -> None:
    assert public_functions() - set(FUNCTIONS) == set()
    assert set(FUNCTIONS) <= set(ops.__all__)


def test_every_layer_has_a_case() -> None:
    assert layers() == set(LAYERS)


def test_every_function_of_the_robust_package_has_a_case() -> None:
    assert attacks() <= set(ROBUST)
    assert {f"defense {name}" for name in robust.DEFENSES} <= set(ROBUST)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_gives_the_same_on_the_device(cupy: ModuleType, name: str, dtype: str) -> None:
    f, case = primitive_call(name), PRIMITIVES[name]
    assert_same(orders(f, case, "cuda", dtype), orders(f, case, "cpu", dtype), cupy.ndarray, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted({**FUNCTIONS, **ARRAYS}))
def test_every_function_gives_the_same_on_the_device(cupy: ModuleType, name: str, dtype: str) -> None:
    f, case = {**FUNCTIONS, **ARRAYS}[name]
    assert_same(orders(f, case, "cuda", dtype), orders(f, case, "cpu", dtype), cupy.ndarray, TOLERANCE[dtype])


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_its_reverse_and_its_jacobian_give_the_same_on_the_device(
    cupy: ModuleType, name: str, training: bool
) -> None:
    make, shape = LAYERS[name]
    assert_same(
        network(make, shape, "cuda", training),
        network(make, shape, "cpu", training),
        cupy.ndarray,
        TOLERANCE["float64"],
    )


@pytest.mark.parametrize("name", sorted(ROBUST))
def test_every_attack_defense_and_metric_gives_the_same_on_the_device(cupy: ModuleType, name: str) -> None:
    assert_same(robustness(name, "cuda"), robustness(name, "cpu"), cupy.ndarray, TOLERANCE["float64"])


@pytest.mark.parametrize("name", sorted(nn.OPTIMIZERS))
def test_every_optimizer_takes_the_same_steps_on_the_device(cupy: ModuleType, name: str) -> None:
    def steps(device: str) -> Iterator[tuple[str, tg.Tensor]]:
        p = leaf(np.array([[1.0, -2.0], [0.5, 3.0]]), device, "float64")
        optimizer = nn.OPTIMIZERS[name]([p], lr=0.1, weight_decay=0.01)
        for i in range(3):
            optimizer.zero_grad()
            loss_of(p).backward()
            optimizer.step()
            yield f"step {i}", tg.Tensor(p.data)

    assert_same(steps("cuda"), steps("cpu"), cupy.ndarray, TOLERANCE["float64"])


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda x: tg.grad(lambda x: loss_of(tg.tanh(x)))(x),
    "jacrev": lambda x: tg.jacrev(tg.tanh)(x),
    "jacfwd": lambda x: tg.jacfwd(tg.tanh)(x),
    "hessian": lambda x: tg.hessian(lambda x: loss_of(tg.exp(x)))(x),
    "hvp": lambda x: tg.hvp(lambda x: loss_of(tg.exp(x)), [x], [x]),
    "jvp": lambda x: tg.jvp(tg.tanh, [x], [x])[1],
    "checkpoint": lambda x: tg.grad(tg.checkpoint(lambda x: loss_of(tg.tanh(x))))(x),
}


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_every_transform_gives_the_same_on_the_device(cupy: ModuleType, name: str) -> None:
    def result(device: str) -> Iterator[tuple[str, tg.Tensor]]:
        yield name, TRANSFORMS[name](leaf(np.array([0.3, -1.0, 0.7]), device, "float64"))

    assert_same(result("cuda"), result("cpu"), cupy.ndarray, TOLERANCE["float64"])


def test_an_experiment_gives_the_same_parameters_on_the_device(cupy: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn (pip install 'tinygrad2[lab]')")
    with counting() as count:
        there = list(experiment("cuda", tmp_path))
    assert count.uploads > 0
    assert_same(iter(there), experiment("cpu", tmp_path), cupy.ndarray, 1e-4)


# No hidden waiting: the host only queues work.

X, W = real(2, 3, 6, 6), real(4, 3, 3, 3)
HOT: dict[str, tuple[Callable[..., tg.Tensor], tuple[Any, ...]]] = {
    "conv2d": (lambda x, w, b: ops.conv2d(x, w, b, padding=1), (X, W, real(4))),
    "conv_transpose2d": (lambda x, w: families.conv2d_input(x, w, Geometry.of((8, 8), (3, 3))), (real(2, 4, 6, 6), W)),
    "linear": (lambda x, w, b: ops.linear(x, w, b), (real(5, 3), real(4, 3), real(4))),
    "relu": (lambda x: ops.relu(x), (X,)),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2), (X,)),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), (X,)),
    "matmul": (lambda a, b: a @ b, (real(5, 3), real(3, 4))),
}


@pytest.mark.parametrize("name", sorted(HOT))
def test_forward_backward_and_double_backward_never_wait_for_the_device(cupy: ModuleType, name: str) -> None:
    f, arrays = HOT[name]
    xs = [leaf(a, "cuda", "float32") for a in arrays]
    with counting() as count:
        y = f(*xs)
        gradients = tg.autograd.grad(loss_of(y), xs, create_graph=True)
        loss_of(gradients[0]).backward()
    assert (count.synchronisations, count.uploads) == (0, 0)


def test_a_training_step_with_an_input_gradient_penalty_never_waits_for_the_device(cupy: ModuleType) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3, rng=0)
    ).to("cuda")
    optimizer = nn.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = leaf(X, "cuda", "float32")
    with counting() as count:
        loss = tg.cross_entropy(net(x), np.array([2, 0]))
        (g,) = tg.autograd.grad(loss, x, create_graph=True)
        (loss + loss_of(g)).backward()
        optimizer.step()
    assert count.synchronisations == 0


def test_the_exact_jacobian_never_waits_for_the_device(cupy: ModuleType) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3, rng=0)
    ).to("cuda")
    with counting() as count:
        loss_of(net.trace(leaf(X, "cuda", "float32")).jacobian()).backward()
    assert count.synchronisations == 0


# From one device to the other.


def test_a_round_trip_keeps_values_and_carries_the_gradient_back(cupy: ModuleType) -> None:
    x = leaf(real(2, 3), "cpu", "float32")
    there = x.to("cuda")
    back = (there * there).to("cpu")
    assert (there.device, back.device) == ("cuda", "cpu")
    assert type(there.array) is cupy.ndarray
    (g,) = tg.autograd.grad(back, x, tg.Tensor(np.ones((2, 3), np.float32)), create_graph=True)
    np.testing.assert_array_equal(g.detach().numpy(), 2 * x.detach().numpy())
    (h,) = tg.autograd.grad(g, x, tg.Tensor(np.ones((2, 3), np.float32)))
    np.testing.assert_array_equal(h.numpy(), np.full((2, 3), 2, np.float32))
    assert (g.device, h.device) == ("cpu", "cpu")


def test_a_state_crosses_devices_bit_for_bit(cupy: ModuleType) -> None:
    here, there = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1).to("cuda")
    there.load_state_dict(here.state_dict())
    assert {t.device for t in there.parameters()} == {"cuda"}
    for name, values in there.state_dict().items():
        assert type(values) is np.ndarray
        np.testing.assert_array_equal(values, here.state_dict()[name])


def _tensor(device: str, *shape: int, kind: str = "f") -> tg.Tensor:
    values = real(*shape) > 0 if kind == "b" else np.zeros(shape, np.int32) if kind == "i" else real(*shape)
    return tg.Tensor(to_device(values, device), requires_grad=kind == "f")


MIXED: dict[str, Callable[[str, str], Any]] = {
    "add": lambda a, b: _tensor(a, 2, 3) + _tensor(b, 2, 3),
    "matmul": lambda a, b: _tensor(a, 2, 3) @ _tensor(b, 3, 2),
    "linear": lambda a, b: ops.linear(_tensor(a, 2, 3), _tensor(b, 4, 3)),
    "bias": lambda a, b: ops.linear(_tensor(a, 2, 3), _tensor(a, 4, 3), _tensor(b, 4)),
    "conv2d": lambda a, b: ops.conv2d(_tensor(a, 1, 3, 4, 4), _tensor(b, 2, 3, 3, 3)),
    "concatenate": lambda a, b: ops.concatenate([_tensor(a, 2), _tensor(b, 2)]),
    "mask": lambda a, b: ops.mask(_tensor(a, 2, 3), _tensor(b, 2, 3, kind="b")),
    "where": lambda a, b: ops.where(_tensor(b, 2, 3, kind="b"), _tensor(a, 2, 3), 0.0),
    "unpooling": lambda a, b: families.pool_scatter(_tensor(a, 1, 1, 2, 2), _tensor(b, 1, 1, 2, 2, kind="i"), (4, 4)),
    "cotangent": lambda a, b: tg.autograd.grad((x := _tensor(a, 2)) * 2.0, x, _tensor(b, 2)),
    "backward": lambda a, b: (_tensor(a, 2) * 2.0).backward(_tensor(b, 2).detach()),
    "layer": lambda a, b: nn.Conv2d(3, 2, 3, dtype=np.float64).to(a)(_tensor(b, 1, 3, 4, 4)),
    "reverse": lambda a, b: nn.Tanh().trace(_tensor(a, 2, 3)).reverse()(_tensor(b, 2, 3)),
    "data": lambda a, b: setattr(_tensor(a, 2), "data", _tensor(b, 2).data),
}


@pytest.mark.parametrize("name", sorted(MIXED))
@pytest.mark.parametrize(("a", "b"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_mixing_devices_is_an_error_that_names_both(cupy: ModuleType, name: str, a: str, b: str) -> None:
    with pytest.raises((TypeError, ValueError), match=r"(?s)cpu.*cuda|cuda.*cpu|different devices"):
        MIXED[name](a, b)


@pytest.mark.parametrize("of_x", ["cpu", "cuda"])
@pytest.mark.parametrize("of_indices", ["cpu", "cuda"])
def test_indices_select_wherever_they_live(cupy: ModuleType, of_x: str, of_indices: str) -> None:
    x = leaf(np.array([[1.0, 2.0, 3.0]]), of_x, "float64")
    at = tg.Tensor(to_device(np.array([[2, 0, 2]]), of_indices))
    for y in (ops.gather(x, at, 1), ops.index(x, (0, at))):
        assert y.device == of_x
        assert y.detach().numpy().reshape(3).tolist() == [3.0, 1.0, 3.0]
    assert ops.scatter_add(x, at, 3, 1).detach().numpy().tolist() == [[2.0, 0.0, 4.0]]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_integers_and_masks_on_the_device_compare_with_numbers(cupy: ModuleType, device: str) -> None:
    x = leaf(np.array([[1.0, 2.0, 3.0]]), device, "float32")
    assert (ops.argmax(x, 1) == 2).numpy().tolist() == [True]
    assert (x > 1.5).numpy().tolist() == [[False, True, True]]
    assert ops.where(x > 1.5, x, 0.0).detach().numpy().tolist() == [[0.0, 2.0, 3.0]]


def test_labels_out_of_range_are_found_on_the_device_too(cupy: ModuleType) -> None:
    with pytest.raises(ValueError, match="run from 0 to 2"):
        ops.cross_entropy(_tensor("cuda", 2, 3), cupy.array([0, 3]))
