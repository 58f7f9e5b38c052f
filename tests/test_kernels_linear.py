"""Products of matrices: the formula for every size, stride and dtype; every number one sum in one order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2 import kernels
from tinygrad2.kernels import workers

pytest.importorskip("numba", reason="without Numba every product is NumPy's own")
from tinygrad2.kernels import cpu_product

Array = np.ndarray[Any, Any]
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
LAYOUTS = {
    "rows": lambda a: np.ascontiguousarray(a),
    "columns": lambda a: np.asfortranarray(a),
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "every second": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
}
layouts = st.sampled_from(sorted(LAYOUTS))


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int, int]:
    """M, K, N: about those of a tile, where the last one is cut, and none at all."""
    return draw(st.integers(0, 45)), draw(st.integers(0, 40)), draw(st.integers(0, 100))


def formula(a: Array, b: Array) -> Array:
    return np.einsum("mk,kn->mn", a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=150)
@given(sizes=sizes(), left=layouts, right=layouts, seed=SEEDS)
def test_tiles_multiply_matrices_of_all_sizes_and_strides(
    dtype: Any, sizes: tuple[int, int, int], left: str, right: str, seed: int
) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((m, k), (k, n)))
    y = cpu_product.tiled(LAYOUTS[left](a), LAYOUTS[right](b))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, formula(a, b))  # small integers: no sum is rounded


@pytest.mark.parametrize("dtype", DTYPES)
@given(left=layouts, right=layouts, seed=SEEDS)
def test_what_is_not_finite_stays_where_it_belongs(dtype: Any, left: str, right: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((25, 7), (7, 75)))
    for matrix in a, b:
        matrix[rng.integers(0, len(matrix), 2), rng.integers(0, matrix.shape[1], 2)] = rng.choice(
            [np.nan, np.inf, -np.inf], 2
        )
    with np.errstate(invalid="ignore"):
        expected = formula(a, b)
    np.testing.assert_array_equal(cpu_product.tiled(LAYOUTS[left](a), LAYOUTS[right](b)), expected)


def pair(dtype: Any, m: int = 203, k: int = 130, n: int = 209) -> tuple[Array, Array]:
    """Large enough for several threads."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_neither_threads_nor_layouts_change_a_bit(dtype: Any, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(dtype)
    once = cpu_product.tiled(a, b)
    for threads in 1, 2, 3:
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        for _ in range(5):
            np.testing.assert_array_equal(cpu_product.tiled(LAYOUTS[layout](a), LAYOUTS[layout](b)), once)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_more_is_lost_than_k_roundings_lose(dtype: Any) -> None:
    a, b = pair(dtype, k=2000)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    bound = 2000 * np.finfo(dtype).eps * (abs(a).astype(float) @ abs(b).astype(float))
    assert (abs(cpu_product.tiled(a, b) - exact) <= bound).all()


def test_blas_keeps_what_it_does_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(np.float32)
    tiled, by_tiles = cpu_product.tiled, []
    monkeypatch.setattr(cpu_product, "tiled", lambda a, b: by_tiles.append(a.shape) or tiled(a, b))
    for core in ("Haswell", "Zen", "SkylakeX", ""):
        monkeypatch.setattr(workers, "blas_core", lambda core=core: core)
        np.testing.assert_allclose(cpu_product.product(a, b), a @ b, rtol=1e-4, atol=1e-4)
        cpu_product.product(a[:10], b)  # small
    assert by_tiles == [a.shape] * (2 if cpu_product.VECTOR_BYTES == 64 else 0)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=150)
@given(
    sharing=st.integers(1, 25),
    samples=st.integers(0, 5),
    k=st.integers(1, 40),
    n=st.integers(32, 100),
    seed=SEEDS,
    layout=layouts,
)
def test_what_is_zero_for_all_cotangents_is_skipped(
    dtype: Any, sharing: int, samples: int, k: int, n: int, seed: int, layout: str
) -> None:
    rng = np.random.default_rng(seed)
    dead = rng.random((samples, k)) < 0.7
    a = np.where(dead, 0, rng.integers(-4, 5, (sharing, samples, k))).astype(dtype).reshape(-1, k)
    b = rng.integers(-4, 5, (k, n)).astype(dtype)
    found = cpu_product.live(a, LAYOUTS[layout](b), sharing)
    if found is None:
        left = np.count_nonzero(a.reshape(sharing, samples, k).any(0))
        assert left > cpu_product.LIVE_AT_MOST * cpu_product._filled(sharing) * samples * k
    else:
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, formula(a, b))


def test_products_of_ten_cotangents_behind_a_relu_skip_its_dead_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit what the whole product gives; not used where all units live, nor for few cotangents."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(cpu_product, "_tiles_pay", lambda a, b: True)  # on whatever machine this is
    whole, by_tiles = cpu_product.tiled, []
    monkeypatch.setattr(cpu_product, "tiled", lambda a, b: by_tiles.append(len(a)) or whole(a, b))
    w = rng.standard_normal((128, 96), np.float32)
    for sharing, share, tiled in ((10, 0.5, 0), (9, 0.5, 0), (10, 0.9, 1), (5, 0.5, 1), (1, 0.5, 1)):
        u = rng.standard_normal((sharing, 50, 128), np.float32) * (rng.random((50, 128)) < share)
        u = u.reshape(-1, 128)
        by_tiles.clear()
        found = cpu_product.product(u, w, sharing)
        assert len(by_tiles) == tiled
        np.testing.assert_array_equal(found, whole(u, w))


def test_not_a_number_is_never_skipped() -> None:
    u = np.zeros((10 * 4, 64), np.float32)
    u[23, 7] = np.nan
    found = cpu_product.live(u, np.ones((64, 64), np.float32), 10)
    assert found is not None
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [23]


def test_compiled_products_are_used_where_they_can_be() -> None:
    a, b = pair(np.float32)
    for x, y in ((a, b), (a + 0j, b + 0j)):
        for sharing in 1, 7:
            np.testing.assert_allclose(kernels.product(x, y, sharing), x @ y, rtol=1e-4, atol=1e-4)


def test_openblas_says_for_which_processor_it_works() -> None:
    if workers._openblas("get_num_threads") is None:
        assert workers.blas_core() == ""
    else:
        assert workers.blas_core().isalnum()
