"""Max pooling is a choice and a linear map; average pooling is linear by itself. Both maps have exact adjoints."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LEADS, SEEDS, entries, geometries, permutation, scattered

from tinygrad2.kernels import (
    Geometry,
    avg_pool2d,
    avg_unpool2d,
    conv2d,
    pool_argmax,
    pool_gather,
    pool_scatter,
    reference,
    why_no_numba,
)

needs_numba = pytest.mark.skipif(why_no_numba() is not None, reason=str(why_no_numba()))
DTYPES = (np.float32, np.float64, np.int32, np.complex128)
images = st.sampled_from(LEADS)


def windows(geo: Geometry) -> Any:
    """(row, column, positions inside the image in row-major order) of every window."""
    (top, _), (left, _) = geo.padding
    for r, s in np.ndindex(geo.output):
        rows = [r * geo.stride[0] - top + i * geo.dilation[0] for i in range(geo.kernel[0])]
        columns = [s * geo.stride[1] - left + j * geo.dilation[1] for j in range(geo.kernel[1])]
        inside = [(y, x) for y in rows for x in columns if 0 <= y < geo.input[0] and 0 <= x < geo.input[1]]
        yield r, s, inside


@pytest.mark.parametrize("dtype", DTYPES)
@given(geo=geometries(pooling=True), lead=images, seed=SEEDS)
def test_each_window_chooses_its_first_maximum(dtype: Any, geo: Geometry, lead: tuple[int, ...], seed: int) -> None:
    """Entries from -4 to 4: most windows have ties. Padding never wins, though all entries may be negative."""
    rng = np.random.default_rng(seed)
    x = scattered(rng, entries(rng, (*lead, 2, *geo.input), dtype) - 5)
    if dtype is np.complex128:  # only the real part decides: a complex step must not change the choice
        x = x + 1j * rng.standard_normal(x.shape)
    before = x.copy()
    idx = pool_argmax(x, geo)
    assert idx.dtype == np.int32 and idx.shape == (*lead, 2, *geo.output) and idx.flags.c_contiguous
    for r, s, inside in windows(geo):
        for at in np.ndindex(x.shape[:-2]):
            first = max(inside, key=lambda position: x[at][position].real)  # max() keeps the first of equals
            assert idx[at][r, s] == first[0] * geo.input[1] + first[1]
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(geo=geometries(pooling=True), seed=SEEDS)
def test_the_first_nan_is_the_maximum_and_minus_infinity_beats_padding(dtype: Any, geo: Geometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice(np.array([np.nan, np.inf, -np.inf, 1], dtype), (1, *geo.input), p=[0.2, 0.2, 0.4, 0.2])
    idx = pool_argmax(x, geo)
    np.testing.assert_array_equal(idx, reference.pool_argmax(x[None], geo)[0])
    for r, s, inside in windows(geo):
        values = np.array([x[0][position] for position in inside])
        y, z = inside[int(np.argmax(values))]  # NumPy's argmax has the same two rules
        assert idx[0, r, s] == y * geo.input[1] + z


@given(geometries(pooling=True), images, SEEDS)
def test_gathering_at_the_argmax_is_max_pooling(geo: Geometry, lead: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = permutation(rng, (*lead, 3, *geo.input), np.float32)
    y = pool_gather(x, pool_argmax(x, geo))
    for r, s, inside in windows(geo):
        np.testing.assert_array_equal(
            y[..., r, s], np.max([x[..., i, j] for i, j in inside], axis=0, initial=-np.inf) if x.size else y[..., r, s]
        )


@pytest.mark.parametrize("dtype", DTYPES)
@given(geo=geometries(pooling=True), extra=images, lead=images, seed=SEEDS)
def test_scattering_is_the_adjoint_of_gathering(
    dtype: Any, geo: Geometry, extra: tuple[int, ...], lead: tuple[int, ...], seed: int
) -> None:
    """<gather(x), g> = <x, scatter(g)>, bit for bit, with positions shared over the extra leading axes."""
    rng = np.random.default_rng(seed)
    idx = pool_argmax(permutation(rng, (*lead, 2, *geo.input), np.float32), geo)
    x = scattered(rng, entries(rng, (*extra, *lead, 2, *geo.input), dtype))
    g = scattered(rng, entries(rng, (*extra, *lead, 2, *geo.output), dtype))
    y, back = pool_gather(x, idx), pool_scatter(g, idx, geo.input)
    assert (y * g).sum() == (x * back).sum()
    assert (y.shape, back.shape, y.dtype, back.dtype) == (g.shape, x.shape, x.dtype, g.dtype)
    assert y.flags.c_contiguous and back.flags.c_contiguous


@given(geometries(pooling=True), SEEDS)
def test_shared_positions_are_separate_problems(geo: Geometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    idx = pool_argmax(permutation(rng, (2, 3, *geo.input), np.float32), geo)
    x, g = entries(rng, (4, 2, 3, *geo.input), np.float32), entries(rng, (4, 2, 3, *geo.output), np.float32)
    np.testing.assert_array_equal(pool_gather(x, idx), np.stack([pool_gather(one, idx) for one in x]))
    np.testing.assert_array_equal(
        pool_scatter(g, idx, geo.input), np.stack([pool_scatter(one, idx, geo.input) for one in g])
    )


@needs_numba
def test_shared_positions_are_not_copied() -> None:
    geo, rng = Geometry.of(32, 2, 2), np.random.default_rng(0)
    idx = pool_argmax(permutation(rng, (8, 4, 32, 32), np.float32), geo)
    x = entries(rng, (16, 8, 4, 32, 32), np.float32)
    g = pool_gather(x, idx)
    pool_scatter(g, idx, geo.input)  # both are compiled now
    for call, size in ((lambda: pool_gather(x, idx), g.nbytes), (lambda: pool_scatter(g, idx, geo.input), x.nbytes)):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < size + idx.nbytes  # the result; a copy per cotangent would be 16 times idx


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@given(geo=geometries(groups=False), lead=images, seed=SEEDS)
def test_average_pooling_is_a_convolution_and_unpooling_its_adjoint(
    dtype: Any, geo: Geometry, lead: tuple[int, ...], seed: int
) -> None:
    """Entries are multiples of kh*kw, so that the means are integers and nothing is rounded."""
    rng, count = np.random.default_rng(seed), geo.kernel[0] * geo.kernel[1]
    x = scattered(rng, entries(rng, (*lead, 1, *geo.input), dtype) * dtype(count))
    g = scattered(rng, entries(rng, (*lead, 1, *geo.output), dtype) * dtype(count))
    y, back = avg_pool2d(x, geo), avg_unpool2d(g, geo)
    np.testing.assert_array_equal(y, conv2d(x / dtype(count), np.ones((1, 1, *geo.kernel), dtype), geo))
    assert (y * g).sum() == (x * back).sum()
    assert (y.dtype, back.dtype, back.shape) == (dtype, dtype, x.shape)


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(geo=geometries(pooling=True), n=st.integers(0, 3), seed=SEEDS, serial=st.booleans())
def test_the_compiled_path_agrees_with_the_reference(
    dtype: Any, geo: Geometry, n: int, seed: int, serial: bool
) -> None:
    from tinygrad2.kernels import cpu
    from tinygrad2.kernels.cpu import jit

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2, *geo.input)).astype(dtype)
    g = rng.standard_normal((n, 2, *geo.output)).astype(dtype)
    tolerance = dict(rtol=0, atol=50 * np.finfo(dtype).eps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jit, "SERIAL_BELOW", 1 << 40 if serial else 0)
        idx = cpu.pool_argmax(x, geo)
        np.testing.assert_array_equal(idx, reference.pool_argmax(x, geo))
        shapes = (2 * n, geo.input[0] * geo.input[1]), (2 * n, geo.output[0] * geo.output[1])
        flat_x, flat_g, flat_idx = x.reshape(1, *shapes[0]), g.reshape(1, *shapes[1]), idx.reshape(shapes[1])
        np.testing.assert_array_equal(cpu.pool_gather(flat_x, flat_idx), reference.pool_gather(flat_x, flat_idx))
        scattered_g = cpu.pool_scatter(flat_g, flat_idx, shapes[0][1])
        np.testing.assert_allclose(scattered_g, reference.pool_scatter(flat_g, flat_idx, shapes[0][1]), **tolerance)
        np.testing.assert_allclose(cpu.avg_pool2d(x, geo), reference.avg_pool2d(x, geo), **tolerance)
        np.testing.assert_allclose(cpu.avg_unpool2d(g, geo), reference.avg_unpool2d(g, geo), **tolerance)


def test_a_window_of_padding_alone_has_no_maximum() -> None:
    with pytest.raises(ValueError, match="windows of output row 0 see only padding"):
        pool_argmax(np.ones((1, 4, 4)), Geometry.of(4, 2, 2, padding=2))
    with pytest.raises(ValueError, match="windows of output column 1 see only padding"):  # it steps over the one column
        pool_argmax(np.ones((1, 4, 1)), Geometry.of((4, 1), (1, 2), 1, ((0, 0), (2, 1)), (1, 2)))


def test_values_and_positions_must_belong_together() -> None:
    idx = np.zeros((2, 3, 2, 2), np.int32)
    with pytest.raises(ValueError, match=re.escape("x of shape (5, 3, 4, 4) does not match idx of shape (2, 3, 2, 2)")):
        pool_gather(np.ones((5, 3, 4, 4)), idx)
    with pytest.raises(ValueError, match=re.escape("g (2, 3, 4, 4) must be those of idx (2, 3, 2, 2)")):
        pool_scatter(np.ones((2, 3, 4, 4)), idx, (8, 8))
    with pytest.raises(TypeError, match="idx must hold integers, got float64"):
        pool_gather(np.ones((2, 3, 4, 4)), idx.astype(float))


@pytest.mark.parametrize("position", [-1, 16])
def test_positions_outside_the_image_are_errors_not_memory_corruption(position: int) -> None:
    idx = np.full((1, 2, 2), position)
    with pytest.raises(IndexError, match=re.escape(f"idx holds {position} ... {position}, but positions in (4, 4)")):
        pool_gather(np.ones((1, 4, 4)), idx)
    with pytest.raises(IndexError, match=re.escape(f"idx holds {position} ... {position}, but positions in (4, 4)")):
        pool_scatter(np.ones((1, 2, 2)), idx, (4, 4))


def test_integer_averages_are_refused_since_they_would_be_rounded() -> None:
    geo = Geometry.of(4, 2)
    with pytest.raises(TypeError, match="average pooling needs a floating-point or complex array, got int64"):
        avg_pool2d(np.ones((1, 4, 4), np.int64), geo)
    with pytest.raises(TypeError, match="got int64"):
        avg_unpool2d(np.ones((1, 3, 3), np.int64), geo)


@pytest.mark.oracle
@settings(max_examples=50)
@given(
    st.integers(4, 9), st.integers(4, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans(), SEEDS
)
def test_pytorch_agrees(h: int, w: int, kernel: int, stride: int, padding: int, ceil: bool, seed: int) -> None:
    torch = pytest.importorskip("torch")
    padding = min(padding, kernel // 2)  # PyTorch's own limit
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, h, w))
    geo = Geometry.of((h, w), kernel, stride, padding, ceil=ceil)
    values, positions = torch.nn.functional.max_pool2d(
        torch.tensor(x), kernel, stride, padding, ceil_mode=ceil, return_indices=True
    )
    idx = pool_argmax(x, geo)
    np.testing.assert_array_equal(idx, positions.numpy())
    np.testing.assert_array_equal(pool_gather(x, idx), values.numpy())
    if not ceil:  # PyTorch does not count the rounding-up as padding
        mean = torch.nn.functional.avg_pool2d(torch.tensor(x), kernel, stride, padding)
        np.testing.assert_allclose(avg_pool2d(x, geo), mean.numpy(), rtol=1e-12, atol=1e-14)
