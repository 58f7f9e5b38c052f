"""What the CUDA kernels compute, on Numba's simulator and CuPy's double; test_cuda.py runs this file in a process.

Each kernel has a check against the reference, and mistakes that the check must find.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import cuda_simulator
import cupy_double
import numpy as np
import pytest
from cupy_double import counting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SEEDS, entries, geometries, scattered

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.kernels import Geometry, Mask, Pattern, Positions, choose, cuda, reference, why_no_cuda_kernels
from tinygrad2.kernels.cuda import conv, launch, source

Array = np.ndarray[Any, Any]
DTYPES = ("float32", "float64")
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The double in CuPy's place, and the simulator in the GPU's."""
    cupy_double.install(monkeypatch)
    monkeypatch.setattr(launch, "launch", cuda_simulator.launch)
    monkeypatch.setattr(launch, "device", lambda: 0)
    choose.implementation.cache_clear()  # type: ignore[attr-defined]
    assert why_no_cuda_kernels() is None  # asked once, before anything is counted
    yield
    choose.implementation.cache_clear()  # type: ignore[attr-defined]
    why_no_cuda_kernels.cache_clear()


def there(a: Array) -> Any:
    """`a` on the double, laid out as it is."""
    return cupy_double._device(a)


def same(found: Any, expected: Array, rtol: float = 0, atol: float = 0) -> None:
    """The same type, shape and numbers, to these differences."""
    assert type(found) is cupy_double.ndarray
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found._host, expected, rtol=rtol, atol=atol)


def patterns(rng: np.random.Generator, n: int, outputs: int, geo: Geometry) -> list[Pattern | None]:
    """No pattern, a mask, and positions of which some are dropped and some named twice."""
    pixels = math.prod(geo.output)
    at = rng.integers(-1, pixels, (n, outputs, 2, pixels)).astype(np.int32)
    return [None, Mask(rng.random((n, outputs, *geo.output)) < 0.5), Positions(at)]


def convolve(geo: Geometry, inputs: int, outputs: int, dtype: Any, rng: np.random.Generator) -> None:
    """The three members of the family against the reference, for two cotangents of two images, in parts and whole."""
    x = scattered(rng, entries(rng, (4, inputs, *geo.input), dtype))
    w = scattered(rng, entries(rng, (outputs, inputs // geo.groups, *geo.kernel), dtype))
    for pattern in patterns(rng, 2, outputs, geo):
        plane = geo.output if pattern is None else pattern.at.shape[2:]
        g = scattered(rng, entries(rng, (4, outputs, *plane), dtype))
        on_gpu = None if pattern is None else type(pattern)(there(pattern.at))
        arguments = there(x), there(w), there(g)
        same(cuda.conv2d(arguments[0], arguments[1], geo, on_gpu), reference.conv2d(x, w, geo, pattern))
        same(cuda.conv2d_input(arguments[2], arguments[1], geo, on_gpu), reference.conv2d_input(g, w, geo, pattern))
        same(cuda.conv2d_weight(arguments[0], arguments[2], geo, on_gpu), reference.conv2d_weight(x, g, geo, pattern))


@FEW
@given(geometries(), st.sampled_from(DTYPES), st.booleans(), SEEDS)
def test_convolution(geo: Geometry, dtype: str, in_parts: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "COLUMNS", 1 if in_parts else 1 << 28)  # one image after the other
        convolve(geo, geo.groups * 2, geo.groups, dtype, rng)


def test_a_window_as_large_as_the_image_is_a_product() -> None:
    before = len(cuda_simulator.started)
    convolve(Geometry.of((3, 2), (3, 2)), 2, 3, "float32", np.random.default_rng(0))
    assert "fold" in cuda_simulator.started[before:]  # only where positions are wanted
    assert cuda_simulator.started[before:].count("fold") == 1


def test_nan_and_infinity_stay_where_they_are() -> None:
    geo = Geometry.of((4, 4), (2, 2), padding=1)
    x = np.ones((1, 1, 4, 4), np.float32)
    x[0, 0, 1, 2] = np.nan
    w = np.ones((1, 1, 2, 2), np.float32)
    y = cuda.conv2d(there(x), there(w), geo)
    np.testing.assert_array_equal(np.isnan(y._host), np.isnan(reference.conv2d(x, w, geo)))
    g = np.full((1, 2, 3), np.inf, np.float32)
    m = np.array([[True, False, True], [False, False, True]])
    same(cuda.masked(there(g), there(m)), np.where(m, g, np.float32(0)))


@FEW
@given(geometries(pooling=True), st.sampled_from(DTYPES), SEEDS)
def test_pooling(geo: Geometry, dtype: str, seed: int) -> None:
    pool(geo, dtype, np.random.default_rng(seed))


def pool(geo: Geometry, dtype: Any, rng: np.random.Generator) -> None:
    """Both pools and their adjoints: ties, and a nan, which is a maximum."""
    x = scattered(rng, entries(rng, (2, 3, *geo.input), dtype))
    x[0, 0, -1, -1] = np.nan
    idx = reference.pool_argmax(x, geo)
    same(cuda.pool_argmax(there(x), geo), idx)
    at = idx.reshape(6, -1)
    values = entries(rng, (2, 6, math.prod(geo.input)), dtype)
    chosen = entries(rng, (2, *at.shape), dtype)
    same(cuda.pool_gather(there(values), there(at)), reference.pool_gather(values, at))
    same(
        cuda.pool_scatter(there(chosen), there(at), values.shape[2]),
        reference.pool_scatter(chosen, at, values.shape[2]),
    )
    x[0, 0, -1, -1] = 1
    g = scattered(rng, entries(rng, (2, 3, *geo.output), dtype))
    close = 1e-6 if dtype == "float32" else 1e-14
    same(cuda.avg_pool2d(there(x), geo), reference.avg_pool2d(x, geo), close, close)
    same(cuda.avg_unpool2d(there(g), geo), reference.avg_unpool2d(g, geo), close, close)


SOFTMAX = ("softmax", "log_softmax", "centered", "unmixed")


def rows(dtype: Any, rng: np.random.Generator) -> None:
    """softmax and its relatives, of rows with large logits, ties and -inf."""
    x = rng.normal(size=(7, 5)).astype(dtype) * np.array([[1], [1], [100], [1], [1000], [1], [1]], dtype)
    x[0, 2] = -np.inf
    x[1] = 0
    x[5] = [0, 20, 0, -1, 3]
    u = rng.normal(size=x.shape).astype(dtype)
    u[5] = x[5] == 20  # here 1 - y of the maximum is all that counts
    close = 1e-5 if dtype == "float32" else 1e-10
    for name in SOFTMAX:
        arguments = (x,) if "softmax" in name else (x, u)
        same(getattr(cuda, name)(*map(there, arguments), -1), getattr(reference, name)(*arguments, -1), close)
    wide = rng.normal(size=(2, 200)).astype(dtype)
    same(cuda.softmax(there(wide), 1), reference.softmax(wide, 1), close)  # by the reference, like another axis
    same(cuda.log_softmax(there(x), 0), reference.log_softmax(x, 0), close)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_its_relatives(dtype: str) -> None:
    rows(dtype, np.random.default_rng(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SOFTMAX)
def test_a_confident_net_keeps_its_last_places(name: str, dtype: str) -> None:
    x = np.array([[30.0, 0.0], [0.0, 90.0]], dtype)
    u = np.array([[1.0, 0.0], [0.0, 1.0]], dtype)
    arguments = (x,) if "softmax" in name else (x, u)
    found = getattr(cuda, name)(*map(there, arguments), 1)._host
    np.testing.assert_allclose(found, getattr(reference, name)(*arguments, 1), rtol=1e-6)
    assert name == "centered" or (found != np.round(found)).any()


def masks(dtype: Any, rng: np.random.Generator) -> None:
    """A mask that is shared, and what is left to the reference: weights, and shapes that broadcast."""
    g = scattered(rng, entries(rng, (3, 4, 5), dtype))
    for m in (rng.random((4, 5)) < 0.5, rng.random((4, 5)).astype(dtype), rng.random((4, 1)) < 0.5):
        same(cuda.masked(there(g), there(m)), reference.masked(g, m))


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks(dtype: str) -> None:
    masks(dtype, np.random.default_rng(0))


def test_what_is_empty_starts_no_kernel() -> None:
    before = len(cuda_simulator.started)
    geo = Geometry.of((3, 3), (2, 2))
    x = np.zeros((0, 2, 3, 3), np.float32)
    w = np.zeros((3, 2, 2, 2), np.float32)
    g = np.zeros((0, 3, 2, 2), np.float32)
    same(cuda.conv2d(there(x), there(w), geo), g)
    same(cuda.conv2d_input(there(g), there(w), geo), x)
    same(cuda.conv2d_weight(there(x), there(g), geo), w)
    same(cuda.pool_argmax(there(x), geo), reference.pool_argmax(x, geo))
    same(cuda.masked(there(x), there(x == 0)), x)
    assert len(cuda_simulator.started) == before


def test_the_deterministic_option_adds_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD2_DETERMINISTIC", "1")
    before = len(cuda_simulator.started)
    rng = np.random.default_rng(0)
    pool(Geometry.of((5, 4), (3, 2), 1), "float32", rng)
    convolve(Geometry.of((4, 4), (2, 2)), 2, 2, "float32", rng)
    started = cuda_simulator.started[before:]
    assert "place" not in started
    assert started.count("place_in_order") == 3


# Whole steps: the same numbers, without waiting.


def network() -> nn.Sequential:
    rng = nn.init.default_rng(0)
    return nn.Sequential(
        conv1=nn.Conv2d(1, 2, 3, padding=1, rng=rng), relu1=nn.ReLU(), conv2=nn.Conv2d(2, 3, 2, rng=rng),
        relu2=nn.ReLU(), pool=nn.MaxPool2d(2), flatten=nn.Flatten(), fc=nn.Linear(12, 3, rng=rng),
    )  # fmt: skip


PENALTIES: dict[str, Callable[[nn.Trace], tg.Tensor]] = {
    "none": lambda trace: tg.sum(trace.output) * 0.0,
    "input gradient": lambda trace: robust.input_gradient(trace, LABELS),
    "jacobian": robust.jacobian_frobenius,
}
X = np.random.default_rng(1).normal(size=(2, 1, 5, 5)).astype(np.float32)
LABELS = np.array([2, 0])


def gradients(device: str, penalty: str) -> list[Any]:
    net = network().to(device)
    x = tg.Tensor(X).to(device)
    for _ in range(2):
        net.zero_grad()
        with counting() as count:
            trace = net.trace(x)
            (tg.cross_entropy(trace.output, LABELS) + PENALTIES[penalty](trace)).backward()
    assert count.synchronisations == 0
    assert device == "cpu" or count.uploads <= 2  # the labels, for the loss and for the penalty; numbers are there now
    return [p.grad for p in net.parameters()]


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_a_step_gives_the_cpu_s_gradients_and_never_waits_for_the_device(penalty: str) -> None:
    before = len(cuda_simulator.started)
    found = gradients("cuda", penalty)
    assert {"unfold", "argmax", "select", "pick", "unmixed"} <= set(cuda_simulator.started[before:])
    for here, gpu in zip(gradients("cpu", penalty), found, strict=True):
        assert type(gpu.array) is cupy_double.ndarray
        np.testing.assert_allclose(gpu.numpy(), here.numpy(), rtol=1e-4, atol=1e-6)


def test_deep_defense_gives_the_cpu_s_gradients() -> None:
    def trained(device: str) -> list[Array]:
        net = network().to(device)
        robust.deep_defense(net, tg.Tensor(X).to(device), LABELS).total.backward()
        return [p.grad.numpy() for p in net.parameters() if p.grad is not None]

    for here, gpu in zip(trained("cpu"), trained("cuda"), strict=True):
        np.testing.assert_allclose(gpu, here, rtol=1e-3, atol=1e-5)


def test_a_kernel_that_reads_on_the_host_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cuda_simulator.launch

    def waiting(*key: Any) -> Callable[..., None]:
        start = real(*key)
        return lambda memory, size, numbers: (float(memory[0].sum()), start(memory, size, numbers))[1]

    monkeypatch.setattr(launch, "launch", waiting)
    with pytest.raises(AssertionError):
        gradients("cuda", "none")


# Each check finds mistakes: it must fail for every kernel with one of these changes.


def check_windows(in_order: bool = False) -> None:
    rng = np.random.default_rng(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD2_DETERMINISTIC", "1" if in_order else "0")
        geo = Geometry.of((5, 6), (2, 3), stride=(2, 1), padding=((1, 0), (1, 2)), dilation=(2, 1))
        for size in (1, 1 << 28):  # one image after the other, and all together
            patch.setattr(conv, "COLUMNS", size)
            convolve(geo, 2, 3, "float64", rng)
        pool(Geometry.of((5, 6), (3, 2), stride=(2, 1), padding=((1, 1), (1, 0)), dilation=(1, 2)), "float64", rng)


def check_rows() -> None:
    rows("float64", np.random.default_rng(3))


def check_masks() -> None:
    masks("float64", np.random.default_rng(3))


def in_order() -> None:
    check_windows(in_order=True)


CHECKS: dict[str, Callable[[], None]] = {
    **dict.fromkeys(source.KERNELS, check_windows),
    **dict.fromkeys(SOFTMAX, check_rows),
    "select": check_masks,
    "place_in_order": in_order,
}
MISTAKES: dict[str, tuple[str, ...]] = {
    "unfold": (
        "- top",
        "- top + 1",
        "i * dh * w",
        "i * w",
        "0 <= y + i * dh < h",
        "True",
        "target += row",
        "target += 1",
    ),
    "fold": ("+ top", "", "i < kh and ", "i < kh - 1 and ", "0 <= b - q < ow", "b - q < ow", "+ b - q]", "+ b]"),
    "argmax": ("value > best", "value >= best", "value != value", "False", "winner = a * w + b", "winner = a + b"),
    "average": ("total / count", "total", "0 <= a < h", "a < h", "j * dw", "j"),
    "spread": ("total / count", "total", "+ left", "", "i < kh and ", "", "j * dw == z + q * sw", "True"),
    "pack": ("* images + n)", "* images)", "t + start", "t", "== 0", "== 1", "t - q * plane", "0"),
    "unpack": ("* images + n)", "* images)", "t + start", "t", "== 0", "== 1"),
    "select": ("== 0", "== 1", "t - divide(t, shared) * shared", "t * 0"),
    "pick": ("place >= 0", "True", "t + start", "t", "* channel + place", "+ place"),
    "place": ("to >= 0", "True", "t + start", "t", "* channel + to", "+ to"),
    "place_in_order": ("to >= 0", "True", "+ start", "", "] += g", "] = g"),
    "softmax": ("(1.0 + rest)", "1.0", "[first + top]", "[first]"),
    "log_softmax": (" - log", "", "math.log1p", "math.log"),
    "centered": ("y != 0.0", "False", "- around - total", "- around", "/ (1.0 + rest)", ""),
    "unmixed": ("k == top", "False", "total - mine", "total", "/ (1.0 + rest)", ""),
}


def changed(name: str, old: str, new: str) -> Callable[..., Any]:
    """The factory of a kernel with another text in its place."""
    text = textwrap.dedent(inspect.getsource(source.KERNELS[name].make))
    assert old in text, f"{name} has no {old!r}"
    namespace = dict(vars(source))
    exec(compile(text.replace(old, new), f"<changed {name}>", "exec"), namespace)
    return namespace[name]


def test_every_kernel_has_mistakes() -> None:
    assert set(MISTAKES) == set(source.KERNELS)


@pytest.mark.parametrize("name", sorted(source.KERNELS))
def test_the_check_of_a_kernel_passes(name: str) -> None:
    before = len(cuda_simulator.started)
    CHECKS[name]()
    assert name in cuda_simulator.started[before:]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [(name, old, new) for name, texts in MISTAKES.items() for old, new in list(pairwise(texts))[::2]],
)
def test_a_mistake_in_a_kernel_is_found(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    kernel = source.KERNELS[name]._replace(make=changed(name, old, new))
    monkeypatch.setitem(source.KERNELS, name, kernel)
    with pytest.raises((AssertionError, IndexError, ValueError, OverflowError)):
        CHECKS[name]()
