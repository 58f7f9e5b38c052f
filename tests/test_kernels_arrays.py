"""An array says where it lives; a frozen array cannot be written by anybody; missing hardware is a sentence."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad2.kernels import device_of, freeze, index_add, to_device, to_numpy, why_no_gpu, why_no_numba, xp


class DeviceArray:
    """Stands for cupy.ndarray: wraps a NumPy array and is not one."""

    def __init__(self, values: Any) -> None:
        self.values = np.array(values)

    def reshape(self, *shape: int) -> DeviceArray:
        return DeviceArray(self.values.reshape(*shape))

    def __matmul__(self, other: DeviceArray) -> DeviceArray:
        return DeviceArray(self.values @ other.values)

    def copy(self) -> DeviceArray:
        return DeviceArray(self.values)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module called cupy with one working device."""
    module: Any = types.ModuleType("cupy")
    module.ndarray = DeviceArray
    module.arange = lambda n, dtype: DeviceArray(np.arange(n, dtype=dtype))
    module.array = lambda a: DeviceArray(a.values if isinstance(a, DeviceArray) else a)
    module.asnumpy = lambda a: a.values.copy()
    module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture(autouse=True)
def forget_the_probes() -> Any:
    """The probes run once; each test here starts and leaves without a verdict."""
    why_no_gpu.cache_clear()
    yield
    why_no_gpu.cache_clear()


def test_the_array_chooses_the_module(cupy: types.ModuleType) -> None:
    assert xp(np.ones(2)) is np and xp(np.float32(1)) is np
    assert xp(DeviceArray([1])) is cupy
    assert device_of(np.ones(2)) == "cpu" and device_of(DeviceArray([1])) == "cuda"


@pytest.mark.parametrize("value", [[1.0], 1.0, None, "x"])
def test_what_is_no_array_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match=f"expected a NumPy or CuPy array, got {type(value).__name__}"):
        xp(value)


def test_choosing_never_imports_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(TypeError):
        xp(DeviceArray([1]))
    assert "cupy" not in sys.modules


def test_moving_copies(cupy: types.ModuleType) -> None:
    a = np.arange(3.0)
    there = to_device(a, "cuda")
    back = to_device(there, "cpu")
    assert isinstance(there, DeviceArray) and not np.shares_memory(there.values, a)
    np.testing.assert_array_equal(back, a)
    assert not np.shares_memory(to_device(a, "cpu"), a)
    assert to_numpy(a) is a
    np.testing.assert_array_equal(to_numpy(there), a)


def test_unknown_devices_and_missing_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown device 'gpu': expected 'cpu' or 'cuda'"):
        to_device(np.ones(1), "gpu")
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes `import cupy` fail
    with pytest.raises(RuntimeError, match="device 'cuda' cannot be used: CuPy cannot be imported"):
        to_device(np.ones(1), "cuda")


def test_the_gpu_probe_checks_the_device_by_value(cupy: Any) -> None:
    assert why_no_gpu() is None
    cupy.asnumpy = lambda a: a.values + 1
    assert why_no_gpu() is None  # asked once only
    why_no_gpu.cache_clear()
    assert (
        why_no_gpu()
        == "the CUDA device multiplies wrongly: [[0,1],[2,3]] squared came out as [[3.0, 4.0], [7.0, 12.0]]"
    )


def test_the_gpu_probe_keeps_the_reason(cupy: Any) -> None:
    cupy.cuda.runtime.getDeviceCount = lambda: 0
    assert why_no_gpu() == "CuPy is installed but finds no CUDA device"
    why_no_gpu.cache_clear()

    def fail() -> int:
        raise OSError("driver too old")

    cupy.cuda.runtime.getDeviceCount = fail
    assert why_no_gpu() == "CuPy is installed but its CUDA device does not work (OSError: driver too old)"


def test_numba_can_be_turned_off_or_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = why_no_numba.__wrapped__
    monkeypatch.setenv("TINYGRAD2_NUMBA", "0")
    assert probe() == "Numba is turned off by the environment variable TINYGRAD2_NUMBA=0"
    monkeypatch.delenv("TINYGRAD2_NUMBA")
    monkeypatch.setitem(sys.modules, "numba", None)
    assert probe().startswith("Numba cannot be imported")


def test_a_frozen_array_is_a_copy_that_nobody_can_write() -> None:
    a = np.arange(6.0).reshape(2, 3)
    frozen = freeze(a)
    a[0, 0] = 7
    assert frozen[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        frozen[0, 0] = 1
    again = freeze(frozen)
    frozen.setflags(write=True)  # its owner can do that at any time
    frozen[0, 0] = 7
    assert again[0, 0] == 0


def test_a_read_only_view_of_a_writeable_array_is_copied() -> None:
    a = np.zeros(3)
    view = a[:]
    view.flags.writeable = False
    for shared in (view, view[1:], np.broadcast_to(a, (2, 3))):
        frozen = freeze(shared)
        assert frozen is not shared and not np.shares_memory(frozen, a)


def test_foreign_memory_is_copied_unless_python_says_it_is_constant() -> None:
    constant = np.frombuffer(b"abcd", np.uint8)
    assert freeze(constant) is constant
    memory = bytearray(b"abcd")
    shared = np.frombuffer(memory, np.uint8)
    shared.flags.writeable = False
    frozen = freeze(shared)
    memory[0] = 0
    assert frozen[0] == ord("a")


def test_freezing_keeps_dtype_shape_and_values_and_drops_subclasses() -> None:
    for a in (np.float32(3), np.zeros((0, 2), np.float32), np.ones((2, 3), np.float32).T):
        frozen = freeze(a)
        assert type(frozen) is np.ndarray and frozen.dtype == a.dtype and frozen.shape == a.shape
        np.testing.assert_array_equal(frozen, a)
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    assert type(freeze(masked)) is np.ndarray


def test_arrays_on_the_device_are_copied(cupy: types.ModuleType) -> None:
    a = DeviceArray([1, 2])
    assert freeze(a).values is not a.values


def test_one_row_named_from_both_ends_receives_both() -> None:
    np.testing.assert_array_equal(index_add((3,), np.array([2, -1, 0]), np.array([1.0, 10, 100])), [100, 0, 11])


def test_scalars_can_be_indexed_too() -> None:
    assert index_add((), np.array(True), np.array([3.0])) == 3
    assert index_add((), (), np.array(3.0)) == 3
    with pytest.raises(IndexError, match="too many indices"):
        index_add((), np.array([0]), np.array([3.0]))


@st.composite
def indexed(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """A shape and a basic, advanced or boolean index into it."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    basic = hnp.basic_indices(shape, allow_newaxis=True)
    advanced = hnp.integer_array_indices(shape)
    mixed = st.tuples(hnp.integer_array_indices(shape[:1])).map(lambda key: (*key[0], Ellipsis, None))
    boolean = hnp.arrays(bool, shape)
    return shape, draw(st.one_of(basic, advanced, mixed, boolean, st.just(np.arange(shape[0]) % 2 == 0)))


@given(indexed(), st.sampled_from([np.float32, np.float64, np.int64, np.complex128]), st.integers(0, 2**32 - 1))
def test_index_add_is_the_adjoint_of_indexing(case: Any, dtype: Any, seed: int) -> None:
    """<a[key], g> = <a, index_add(key, g)>; entries named twice receive both."""
    (shape, key), rng = case, np.random.default_rng(seed)
    a = rng.integers(-4, 5, shape).astype(dtype)
    g = np.asarray(rng.integers(-4, 5, np.shape(a[key]))).astype(dtype)
    back = index_add(shape, key, g)
    assert back.shape == shape and back.dtype == dtype
    assert (np.asarray(a[key]) * g).sum() == (a * back).sum()
    expected = np.zeros(shape, dtype)
    np.add.at(expected, key, g)
    np.testing.assert_array_equal(back, expected)
