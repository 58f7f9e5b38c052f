"""Products of matrices: the formula for every size, stride and dtype; every number one sum in one order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS

from tinygrad2 import kernels

pytest.importorskip("numba", reason="without Numba every product is NumPy's own")
from tinygrad2.kernels.cpu import calibrate, products

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
    """M, K, N: about those of a tile, where the last one is cut, and none at all; N is at least one tile."""
    return draw(st.integers(0, 45)), draw(st.integers(0, 40)), draw(st.integers(32, 130))


def formula(a: Array, b: Array) -> Array:
    return np.einsum("mk,kn->mn", a, b)


def by_tiles(a: Array, b: Array) -> Array:
    """The whole product by tiles."""
    return products.tiled(a, b, products.all_terms(a))


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=150)
@given(sizes=sizes(), left=layouts, right=layouts, seed=SEEDS)
def test_tiles_multiply_matrices_of_all_sizes_and_strides(
    dtype: Any, sizes: tuple[int, int, int], left: str, right: str, seed: int
) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((m, k), (k, n)))
    y = by_tiles(LAYOUTS[left](a), LAYOUTS[right](b))
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
    np.testing.assert_array_equal(by_tiles(LAYOUTS[left](a), LAYOUTS[right](b)), expected)


def pair(dtype: Any, m: int = 203, k: int = 130, n: int = 209) -> tuple[Array, Array]:
    """Large enough for several threads."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_neither_threads_nor_layouts_change_a_bit(dtype: Any, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(dtype)
    once = by_tiles(a, b)
    for threads in 1, 2, 3:
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        for _ in range(5):
            np.testing.assert_array_equal(by_tiles(LAYOUTS[layout](a), LAYOUTS[layout](b)), once)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_more_is_lost_than_k_roundings_lose(dtype: Any) -> None:
    a, b = pair(dtype, k=2000)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    bound = 2000 * np.finfo(dtype).eps * (abs(a).astype(float) @ abs(b).astype(float))
    assert (abs(by_tiles(a, b) - exact) <= bound).all()


@pytest.mark.parametrize("keep_up", [True, False])
def test_tiles_do_what_they_are_faster_at_where_they_keep_up(keep_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """x wᵀ with few rows x. BLAS does small products, those with many rows, and those whose w is not transposed."""
    a, b = pair(np.float32)
    tiled, rows = products.tiled, []
    monkeypatch.setattr(products, "tiled", lambda a, b, terms: rows.append(len(a)) or tiled(a, b, terms))
    monkeypatch.setattr(products, "tiles_keep_up", lambda dtype: keep_up)
    many = np.concatenate([a, a])
    for x, w in ((a, b), (a, np.asfortranarray(b)), (a[:10], np.asfortranarray(b)), (many, np.asfortranarray(b))):
        np.testing.assert_allclose(products.product(x, w), x @ w, rtol=1e-4, atol=1e-4)
    assert rows == [len(a)] * keep_up


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
    terms = products.live_terms(a, sharing)
    if terms is None:
        left = np.count_nonzero(a.reshape(sharing, samples, k).any(0))
        assert left > products.LIVE_AT_MOST * products._filled(sharing) * samples * k
    else:
        found = products.tiled(a, LAYOUTS[layout](b), terms)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, formula(a, b))


def test_products_of_ten_cotangents_behind_a_relu_skip_its_dead_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit what the whole product by tiles gives; not used where all units live, nor for few cotangents."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(products, "tiles_keep_up", lambda dtype: True)  # on whatever machine this is
    tiled, rows = products.tiled, []
    monkeypatch.setattr(products, "tiled", lambda a, b, terms: rows.append(len(a)) or tiled(a, b, terms))
    w = rng.standard_normal((128, 96), np.float32)
    for sharing, share, skips in ((10, 0.5, 1), (9, 0.5, 1), (10, 0.9, 0), (5, 0.5, 0), (1, 0.5, 0)):
        u = rng.standard_normal((sharing, 50, 128), np.float32) * (rng.random((50, 128)) < share)
        u = u.reshape(-1, 128)
        rows.clear()
        found = products.product(u, w, sharing)
        assert len(rows) == skips
        np.testing.assert_array_equal(found, by_tiles(u, w) if skips else products.by_blas(u, w))


def test_not_a_number_is_never_skipped() -> None:
    u = np.zeros((10 * 4, 64), np.float32)
    u[23, 7] = np.nan
    terms = products.live_terms(u, 10)
    assert terms is not None
    found = products.tiled(u, np.ones((64, 64), np.float32), terms)
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [23]


def test_compiled_products_are_used_where_they_can_be() -> None:
    a, b = pair(np.float32)
    for x, y in ((a, b), (a + 0j, b + 0j)):
        for sharing in 1, 7:
            np.testing.assert_allclose(kernels.product(x, y, sharing), x @ y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_whether_tiles_keep_up_is_answered_once(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = products.tiles_keep_up(dtype)
    monkeypatch.setattr(calibrate, "ratio", lambda one, other: 0.0 if not first else 9.0)
    assert products.tiles_keep_up(dtype) is first
    monkeypatch.setattr(products, "_answers", {})  # as in a new process
    if products._multiply.stats.cache_path is not None:
        assert products.tiles_keep_up(dtype) is first


def test_an_answer_is_remembered_and_the_first_that_wrote_it_decides(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert calibrate.remembered("is it so?", folder, lambda: True)
    assert calibrate.remembered("is it so?", folder, lambda: False)
    assert not calibrate.remembered("and so?", folder, lambda: False)

    def another_is_faster() -> bool:
        calibrate.remembered("race", folder, lambda: False)
        return True

    assert not calibrate.remembered("race", folder, another_is_faster)
    assert {file.read_text() for file in tmp_path.iterdir()} == {"yes", "no"} and len(list(tmp_path.iterdir())) == 3


def test_an_answer_that_cannot_be_kept_is_no(tmp_path: Path) -> None:
    """A measurement that each process makes again could differ between two runs of one seed."""
    assert not calibrate.remembered("is it so?", None, lambda: True)
    assert not calibrate.remembered("is it so?", str(tmp_path / "missing"), lambda: True)


def test_the_ratio_of_two_ways_is_that_of_their_shortest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the two ways move: turns take 9, 2, 9, 2 ... and 6, 5, 4, 4 ... seconds."""
    clock = [0.0]
    monkeypatch.setattr(calibrate.time, "perf_counter", lambda: clock[0])
    seconds = {"one": [9.0, 2.0] * calibrate.TURNS, "other": [6.0, 5.0] + [4.0] * calibrate.TURNS}

    def way(name: str) -> None:
        clock[0] += seconds[name].pop(0)

    assert calibrate.ratio(lambda: way("one"), lambda: way("other")) == 0.5
