"""Convolution is one trilinear form; the compiled path, the reference and six plain loops agree on what it is."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS, Convolution, convolutions

from tinygrad2 import kernels
from tinygrad2.kernels import Geometry, conv2d, conv2d_input, conv2d_weight, reference, why_no_numba

needs_numba = pytest.mark.skipif(why_no_numba() is not None, reason=str(why_no_numba()))
DTYPES = (np.float32, np.float64)
FAMILY = {"conv2d": (0, 1), "conv2d_input": (2, 1), "conv2d_weight": (0, 2)}  # which of (x, w, g) each one takes


def six_loops(x: np.ndarray, w: np.ndarray, geo: Geometry) -> np.ndarray:
    """The definition of cross-correlation. x: (N, C, H, W), w: (O, C/groups, kh, kw) -> (N, O, OH, OW)."""
    (top, _), (left, _) = geo.padding
    inputs, outputs = w.shape[1], w.shape[0] // geo.groups
    y = np.zeros((x.shape[0], w.shape[0], *geo.output), x.dtype)
    for n, o, r, s in np.ndindex(y.shape):
        for c, i, j in np.ndindex(w.shape[1:]):
            row = r * geo.stride[0] - top + i * geo.dilation[0]
            column = s * geo.stride[1] - left + j * geo.dilation[1]
            if 0 <= row < geo.input[0] and 0 <= column < geo.input[1]:
                y[n, o, r, s] += w[o, c, i, j] * x[n, o // outputs * inputs + c, row, column]
    return y


def folded(a: np.ndarray) -> np.ndarray:
    return a.reshape(int(np.prod(a.shape[:-3])), *a.shape[-3:])


@settings(max_examples=50)
@given(convolutions())
def test_the_reference_is_the_six_loops(problem: Convolution) -> None:
    x, w, _ = problem.arrays(np.int64)
    np.testing.assert_array_equal(reference.conv2d(folded(x), w, problem.geo), six_loops(folded(x), w, problem.geo))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.complex128])
@given(problem=convolutions())
def test_the_three_contractions_are_adjoint_bit_for_bit(dtype: Any, problem: Convolution) -> None:
    """<conv2d(x, w), g> = <x, conv2d_input(g, w)> = <w, conv2d_weight(x, g)>: on integers without any tolerance."""
    x, w, g = problem.arrays(dtype)
    if dtype is np.complex128:
        x, g = x * (1 + 2j), g * (3 - 1j)
    forms = (
        (conv2d(x, w, problem.geo) * g).sum(),
        (x * conv2d_input(g, w, problem.geo)).sum(),
        (w * conv2d_weight(x, g, problem.geo)).sum(),
    )
    assert forms[0] == forms[1] == forms[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex128])
@pytest.mark.parametrize("name", FAMILY)
@given(problem=convolutions())
def test_results_are_new_contiguous_arrays_of_the_arguments_dtype(name: str, dtype: Any, problem: Convolution) -> None:
    arrays = problem.arrays(dtype)
    a, b = (arrays[k] for k in FAMILY[name])
    before = a.copy(), b.copy()
    result = getattr(kernels, name)(a, b, problem.geo)
    missing = ({0, 1, 2} - set(FAMILY[name])).pop()
    assert result.shape == problem.shapes[missing]
    assert result.dtype == dtype
    assert result.flags.c_contiguous and result.flags.writeable
    assert not np.shares_memory(result, a) and not np.shares_memory(result, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FAMILY)
@given(problem=convolutions())
def test_the_compiled_path_agrees_with_the_reference(name: str, dtype: Any, problem: Convolution) -> None:
    from tinygrad2.kernels import cpu

    arrays = problem.arrays(dtype, integers=False)
    a, b = (folded(arrays[k]) if k != 1 else arrays[k] for k in FAMILY[name])
    fast, plain = getattr(cpu, name)(a, b, problem.geo), getattr(reference, name)(a, b, problem.geo)
    assert fast.dtype == plain.dtype == dtype
    np.testing.assert_allclose(
        fast, plain, rtol=0, atol=200 * np.finfo(dtype).eps
    )  # sums of up to 150 products of O(1)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@given(problem=convolutions(), numbers=st.integers(1, 400))
def test_blocks_and_threads_do_not_change_the_result(dtype: Any, problem: Convolution, numbers: int) -> None:
    """Few images summed at once, and two threads even for small work."""
    from tinygrad2.kernels.cpu import conv, threads

    x, w, g = problem.arrays(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "SUMMED_BYTES", 8 * numbers)
        patch.setattr(threads, "SERIAL_BELOW", 0)
        blocked = conv2d(x, w, problem.geo), conv2d_input(g, w, problem.geo), conv2d_weight(x, g, problem.geo)
    x, w, g = (a.astype(np.int64) for a in (x, w, g))
    exact = conv2d(x, w, problem.geo), conv2d_input(g, w, problem.geo), conv2d_weight(x, g, problem.geo)
    for one, other in zip(blocked, exact, strict=True):
        np.testing.assert_array_equal(one, other)


@given(convolutions())
def test_leading_axes_are_separate_problems(problem: Convolution) -> None:
    """K cotangents at once are K calls; the weight contraction sums over them."""
    x, w, g = problem.arrays(np.float32)
    together = conv2d(x, w, problem.geo), conv2d_input(g, w, problem.geo)
    total = np.zeros(w.shape, w.dtype)
    for at in itertools.product(*map(range, problem.lead)):
        np.testing.assert_array_equal(together[0][at], conv2d(x[at], w, problem.geo))
        np.testing.assert_array_equal(together[1][at], conv2d_input(g[at], w, problem.geo))
        total += conv2d_weight(x[at], g[at], problem.geo)
    np.testing.assert_array_equal(conv2d_weight(x, g, problem.geo), total)


@given(convolutions())
def test_complex_steps_pass_through(problem: Convolution) -> None:
    """Linear in each argument: the imaginary part of f(a + i h a) is h f(a), at any h; the other one stays real."""
    arrays = problem.arrays(np.float64)
    for name, (a, b) in FAMILY.items():
        call = getattr(kernels, name)
        expected = 1e-200 * call(arrays[a], arrays[b], problem.geo)
        for stepped in (
            call(arrays[a] * (1 + 1e-200j), arrays[b], problem.geo),
            call(arrays[a], arrays[b] * (1 + 1e-200j), problem.geo),
        ):
            np.testing.assert_allclose(stepped.imag, expected, rtol=1e-12, atol=1e-210)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@given(problem=convolutions(), seed=SEEDS)
def test_nan_and_inf_reach_exactly_the_outputs_that_see_them(
    poison: float, dtype: Any, problem: Convolution, seed: int
) -> None:
    x, w, _ = problem.arrays(dtype)
    x, w = np.ones_like(x, order="C"), np.ones_like(w, order="C")
    if x.size == 0:
        return
    x.flat[np.random.default_rng(seed).integers(x.size)] = poison
    touched = conv2d(np.isfinite(x).astype(dtype), w, problem.geo) != conv2d(np.ones_like(x), w, problem.geo)
    y = conv2d(x, w, problem.geo)
    np.testing.assert_array_equal(~np.isfinite(y), touched)
    np.testing.assert_array_equal(y[touched], np.full(touched.sum(), poison, dtype))


@needs_numba
def test_the_same_input_gives_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    geo = Geometry.of(12, 5)
    x, w = rng.standard_normal((200, 20, 12, 12), np.float32), rng.standard_normal((50, 20, 5, 5), np.float32)
    g = rng.standard_normal((200, 50, 8, 8), np.float32)
    for call in (lambda: conv2d(x, w, geo), lambda: conv2d_input(g, w, geo), lambda: conv2d_weight(x, g, geo)):
        first = call()
        assert all(np.array_equal(first, call()) for _ in range(3))


def work_in_threads(count: int) -> None:
    """Threads with problems of different sizes, above the serial threshold; each must get its own exact result."""
    rng = np.random.default_rng(0)
    failures: list[str] = []

    def work(images: int, size: int) -> None:
        geo = Geometry.of(size, 3, padding=1)
        x = rng.integers(-4, 5, (images, 8, size, size)).astype(np.float32)
        w = rng.integers(-4, 5, (16, 8, 3, 3)).astype(np.float32)
        g = rng.integers(-4, 5, (images, 16, size, size)).astype(np.float32)
        pool = Geometry.of(size, 2, 2)
        at = reference.pool_argmax(x, pool)
        expected = (
            *(
                getattr(reference, name)(*pair, geo)
                for name, pair in zip(FAMILY, ((x, w), (g, w), (x, g)), strict=True)
            ),
            at,
        )
        for _ in range(10):
            at = kernels.pool_argmax(x, pool)
            results = conv2d(x, w, geo), conv2d_input(g, w, geo), conv2d_weight(x, g, geo), at
            if not all(map(np.array_equal, results, expected)):
                failures.append(f"{images} images of {size}x{size}")

    threads = [threading.Thread(target=work, args=(60 + k, 12 + 2 * k)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@needs_numba
def test_two_python_threads_may_call_at_once() -> None:
    work_in_threads(2)


def run_python(code: str, **environment: str) -> str:
    """The output of `code` run by a fresh interpreter from the project's root, with the tests importable."""
    root, tests = Path(kernels.__file__).parents[2], Path(__file__).parent
    environment |= {"PYTHONPATH": os.pathsep.join([str(root), str(tests)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_numba
def test_the_thread_layer_that_forbids_concurrent_calls_is_guarded() -> None:
    code = "import numba, test_kernels; test_kernels.work_in_threads(3); print(numba.threading_layer())"
    assert run_python(code, NUMBA_THREADING_LAYER="workqueue").split() == ["workqueue"]


FAMILY_SAMPLE = """
import json, sys
import numpy as np
from tinygrad2 import kernels as k
geo, rng = k.Geometry.of((13, 11), (5, 3), (2, 1), "same", groups=2), np.random.default_rng(7)
x, w = rng.standard_normal((3, 4, 13, 11), np.float32), rng.standard_normal((6, 2, 5, 3), np.float32)
g, pool = rng.standard_normal((3, 6, *geo.output), np.float32), k.Geometry.of((13, 11), 3, 2, 1)
idx = k.pool_argmax(x, pool)
values = [k.conv2d(x, w, geo), k.conv2d_input(g, w, geo), k.conv2d_weight(x, g, geo), idx, k.pool_gather(x, idx),
          k.pool_scatter(k.pool_gather(x, idx), idx, (13, 11)), k.avg_pool2d(x, pool),
          k.avg_unpool2d(k.avg_pool2d(x, pool), pool)]
print(json.dumps([[v.ravel().tolist() for v in values], "numba" in sys.modules, k.why_no_numba()]))
"""


@needs_numba
def test_without_numba_everything_works_through_numpy() -> None:
    plain, *state = json.loads(run_python(FAMILY_SAMPLE, TINYGRAD2_NUMBA="0"))
    assert state == [False, "Numba is turned off by the environment variable TINYGRAD2_NUMBA=0"]
    fast, *state = json.loads(run_python(FAMILY_SAMPLE, TINYGRAD2_NUMBA="1"))
    assert state == [True, None]
    for one, other in zip(plain, fast, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_importing_the_kernels_imports_neither_numba_nor_cupy() -> None:
    code = "import sys, tinygrad2.kernels; print({'numba', 'cupy', 'scipy', 'torch'} & set(sys.modules))"
    assert run_python(code).strip() == "set()"


@needs_numba
def test_kernels_compile_where_no_cache_folder_is_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from tinygrad2.kernels.cpu import jit

    compile_, tried = numba.njit, []

    def njit(cache: bool = False, **options: Any) -> Any:
        tried.append(cache)
        if cache:  # what Numba does when it finds no folder to write to
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", njit)

    def double(a: np.ndarray) -> None:
        for k in numba.prange(a.size):
            a[k] *= 2

    a = np.arange(3.0)
    jit.together(double)(a.size, a)
    assert a.tolist() == [0, 2, 4] and tried == [True, False] * 2  # for one thread, and for several


def test_mixed_precision_is_an_error_that_names_both() -> None:
    x, w, geo = np.ones((1, 4, 4), np.float32), np.ones((1, 1, 3, 3)), Geometry.of(4, 3)
    with pytest.raises(TypeError, match="x is float32 but w is float64"):
        conv2d(x, w, geo)
    with pytest.raises(TypeError, match="g is int64 but w is float64"):
        conv2d_input(np.ones((1, 2, 2), np.int64), w, geo)
    with pytest.raises(TypeError, match="x is float32 but g is float64"):
        conv2d_weight(x, np.ones((1, 2, 2)), geo)


@pytest.mark.parametrize("call", [conv2d, conv2d_input, conv2d_weight])
def test_shapes_that_do_not_fit_are_errors(call: Any) -> None:
    with pytest.raises(ValueError, match=re.escape("has shape (1, 5, 5), but its last two axes must be")):
        call(np.ones((1, 5, 5)), np.ones((1, 1, 3, 3)), Geometry.of(4, 3))


@pytest.mark.oracle
@settings(max_examples=50)
@given(convolutions())
def test_pytorch_agrees(problem: Convolution) -> None:
    torch = pytest.importorskip("torch")
    x, w, g = problem.arrays(np.float64)
    geo = problem.geo
    (top, bottom), (left, right) = geo.padding
    tx, tw = (torch.tensor(a.copy(), requires_grad=True) for a in (folded(x), w))
    padded = torch.nn.functional.pad(tx, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, tw, None, geo.stride, 0, geo.dilation, geo.groups)
    y.backward(torch.tensor(folded(g).copy()))
    np.testing.assert_array_equal(folded(conv2d(x, w, geo)), y.detach().numpy())
    np.testing.assert_array_equal(folded(conv2d_input(g, w, geo)), tx.grad.numpy())
    np.testing.assert_array_equal(conv2d_weight(x, g, geo), tw.grad.numpy())


@pytest.mark.parametrize("dtype", [*DTYPES, np.int64, np.complex128])
@given(sizes=st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), seed=SEEDS)
def test_a_product_in_blocks_is_the_product(dtype: Any, sizes: tuple[int, int, int], seed: int) -> None:
    rng, (m, k, n) = np.random.default_rng(seed), sizes
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((k, m), (k, n)))
    with pytest.MonkeyPatch.context() as patch:
        if why_no_numba() is None:
            from tinygrad2.kernels.cpu import products

            patch.setattr(products, "ALONE_BELOW", 0)
            patch.setattr(products, "SERIAL_BELOW", 0)
        y = kernels.product(a.T, b)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, a.T @ b)


@pytest.mark.parametrize("dtype", [*DTYPES, np.complex128])
@given(lead=st.tuples(st.integers(0, 3)) | st.just(()), shape=st.lists(st.integers(0, 9), max_size=3), seed=SEEDS)
def test_a_mask_keeps_its_entries_bit_for_bit_and_nothing_else(
    dtype: Any, lead: tuple[int, ...], shape: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    m = rng.random(shape) < 0.5
    g = rng.choice([1.5, -0.0, np.nan, np.inf], (*lead, *shape)).astype(dtype)
    y = kernels.masked(g[..., ::-1] if shape else g, m[..., ::-1] if shape else m)
    expected = np.where(m, g, 0).astype(dtype)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected[..., ::-1] if shape else expected)
    assert (np.signbit(y.real) == np.signbit(expected.real[..., ::-1] if shape else expected.real)).all()
