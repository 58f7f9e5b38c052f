"""Convolution at a pattern of entries is the dense convolution followed by a choice, on whatever path it is done."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, Convolution, convolutions, entries, scattered

from tinygrad2 import kernels
from tinygrad2.kernels import (
    Geometry,
    Mask,
    Positions,
    choose,
    conv2d,
    conv2d_input,
    conv2d_weight,
    pattern_of,
    reference,
    why_no_numba,
)

needs_numba = pytest.mark.skipif(why_no_numba() is not None, reason=str(why_no_numba()))
DTYPES = (np.float32, np.float64)
EVERYTHING = choose.Pays(window=0, image=1 << 60, share=math.inf)
NOTHING = choose.Pays(window=1 << 60, image=0, share=0.0)


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Convolution, tuple[int, ...], np.ndarray]:
    """A convolution, its leading axes that share a pattern, and the pattern: a pool's positions or a ReLU's mask.

    Some positions are dropped, some named twice.
    """
    problem = draw(convolutions())
    images = problem.lead[draw(st.integers(0, len(problem.lead))) :]
    window = draw(st.sampled_from([(1, 1), (2, 3), (0, 2), (4, 1), None]))
    rng = np.random.default_rng(draw(SEEDS))
    if window is None:
        at = rng.random((*images, problem.outputs, *problem.geo.output)) < 0.5
    else:
        at = rng.integers(-1, math.prod(problem.geo.output), (*images, problem.outputs, *window)).astype(np.int32)
    return problem, problem.lead[: len(problem.lead) - len(images)], scattered(rng, at)


def positions(at: np.ndarray) -> np.ndarray:
    if at.dtype == np.int32:
        return at
    return np.where(at, np.arange(math.prod(at.shape[-2:])).reshape(at.shape[-2:]), -1)


def chosen(y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """y[at], entry by entry. y: (..., O, OH, OW)."""
    at = positions(at)
    found = np.zeros((*y.shape[:-2], *at.shape[-2:]), y.dtype)
    for place in np.ndindex(found.shape):
        position = at[place[len(place) - at.ndim :]]
        if position >= 0:
            found[place] = y[place[:-2]].flat[position]
    return found


def arrays(drawn: Any, dtype: Any, integers: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and w of the convolution, and a cotangent of the chosen entries."""
    problem, lead, at = drawn
    x, w, _ = problem.arrays(dtype, integers)
    rng = np.random.default_rng(problem.seed)
    return x, w, scattered(rng, entries(rng, (*lead, *at.shape), dtype, integers))


def all_three(drawn: Any, x: np.ndarray, w: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, ...]:
    geo, pattern = drawn[0].geo, pattern_of(drawn[2])
    return conv2d(x, w, geo, pattern), conv2d_input(g, w, geo, pattern), conv2d_weight(x, g, geo, pattern)


@contextmanager
def limited(limits: choose.Pays) -> Iterator[None]:
    """These limits in place of the table's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "ALONE", limits)
        patch.setattr(choose, "SHARED", limits)
        yield


on_both_paths = pytest.mark.parametrize("limits", [EVERYTHING, NOTHING], ids=["pattern", "dense"])


@on_both_paths
@pytest.mark.parametrize("dtype", [*DTYPES, np.int64, np.complex128])
@given(drawn=patterns())
def test_it_is_the_dense_convolution_followed_by_a_choice(limits: choose.Pays, dtype: Any, drawn: Any) -> None:
    x, w, _ = arrays(drawn, dtype)
    with limited(limits):
        y = conv2d(x, w, drawn[0].geo, pattern_of(drawn[2]))
    assert y.dtype == dtype and y.flags.writeable
    np.testing.assert_array_equal(y, chosen(conv2d(x, w, drawn[0].geo), drawn[2]))


@on_both_paths
@pytest.mark.parametrize("dtype", [*DTYPES, np.int64, np.complex128])
@given(drawn=patterns())
def test_the_three_contractions_are_adjoint_bit_for_bit(limits: choose.Pays, dtype: Any, drawn: Any) -> None:
    """<conv2d(x, w)[at], g> = <x, conv2d_input_at(g, w)> = <w, conv2d_weight_at(x, g)>: on integers, no tolerance."""
    x, w, g = arrays(drawn, dtype)
    with limited(limits):
        y, to_x, to_w = all_three(drawn, x, w, g)
    assert (y.shape, to_x.shape, to_w.shape) == (g.shape, x.shape, w.shape)
    assert {y.dtype, to_x.dtype, to_w.dtype} == {np.dtype(dtype)}
    assert (y * g).sum() == (x * to_x).sum() == (w * to_w).sum()


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@given(drawn=patterns())
def test_the_choice_of_the_path_changes_no_more_than_rounding(dtype: Any, drawn: Any) -> None:
    x, w, g = arrays(drawn, dtype, integers=False)
    results = []
    for limits in (EVERYTHING, NOTHING):
        with limited(limits):
            results.append(all_three(drawn, x, w, g))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=300 * np.finfo(dtype).eps)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@given(drawn=patterns())
def test_blocks_and_threads_do_not_change_the_result(dtype: Any, drawn: Any) -> None:
    """Integers are summed exactly, so the order of summation cannot hide a mistake."""
    from tinygrad2.kernels.cpu import threads

    x, w, g = arrays(drawn, dtype)
    with limited(EVERYTHING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "SERIAL_BELOW", 0)
        fast = all_three(drawn, x, w, g)
    for one, other in zip(fast, all_three(drawn, *(a.astype(np.int64) for a in (x, w, g))), strict=True):
        np.testing.assert_array_equal(one, other)


@on_both_paths
@given(drawn=patterns())
def test_what_is_dropped_is_ignored(limits: choose.Pays, drawn: Any) -> None:
    """A cotangent's nan where an entry is dropped reaches nothing; the result there is 0."""
    x, w, g = arrays(drawn, np.float64)
    at = np.broadcast_to(positions(drawn[2]), g.shape)
    poisoned = np.where(at < 0, np.nan, g)
    with limited(limits):
        y, *back = all_three(drawn, x, w, poisoned)
        for one, other in zip(back, all_three(drawn, x, w, g)[1:], strict=True):
            np.testing.assert_array_equal(one, other)
    assert not y[at < 0].any()


@on_both_paths
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@given(drawn=patterns(), seed=SEEDS)
def test_nan_and_inf_reach_what_sees_them(
    limits: choose.Pays, poison: float, dtype: Any, drawn: Any, seed: int
) -> None:
    problem, _, at = drawn
    x, w, g = (np.ones(a.shape, dtype) for a in arrays(drawn, dtype))
    alive = np.flatnonzero(np.broadcast_to(positions(at), g.shape) >= 0)
    rng = np.random.default_rng(seed)
    with limited(limits):
        if alive.size and x.size and seed % 2:
            g.flat[rng.choice(alive)] = poison
            back = conv2d_input(g, w, problem.geo, pattern_of(at))
            plain = conv2d_input(np.ones_like(g), w, problem.geo, pattern_of(at))
            seen = conv2d_input(np.isfinite(g).astype(dtype), w, problem.geo, pattern_of(at)) != plain
            np.testing.assert_array_equal(~np.isfinite(back), seen)
        elif x.size:
            x.flat[rng.integers(x.size)] = poison
            y = conv2d(x, w, problem.geo, pattern_of(at))
            np.testing.assert_array_equal(y, chosen(conv2d(x, w, problem.geo), at))


@needs_numba
@pytest.mark.parametrize("lead", [1, 3, 20])
def test_the_same_input_gives_the_same_bits(lead: int) -> None:
    rng, geo = np.random.default_rng(0), Geometry.of(12, 5)
    x, w = rng.standard_normal((lead, 10, 20, 12, 12), np.float32), rng.standard_normal((50, 20, 5, 5), np.float32)
    at = rng.integers(-1, 64, (10, 50, 4, 4)).astype(np.int32)
    g = rng.standard_normal((lead, *at.shape), np.float32)
    assert "pattern" in choose.convolution(geo, 20, lead * 10, pattern_of(at), x, w).__name__
    drawn = (Convolution(geo, (lead, 10), 20, 50, 0), (lead,), at)
    first = all_three(drawn, x, w, g)
    for _ in range(3):
        assert all(map(np.array_equal, first, all_three(drawn, x, w, g)))


@needs_numba
def test_the_pattern_is_followed_where_it_saves_work() -> None:
    """LeNet's second convolution: yes. Its first, with one input channel, or with all entries passing: no."""
    geo, x = Geometry.of(12, 5), np.ones(1, np.float32)
    pooled, everything = np.zeros((2, 50, 4, 4), np.int32), np.zeros((2, 50, 8, 8), np.int32)

    def follows(channels: int, images: int, at: np.ndarray, like: np.ndarray = x) -> bool:
        return choose.convolution(geo, channels, images, pattern_of(at), like, like).__name__.endswith("pattern")

    assert follows(20, 2, pooled) and follows(20, 2, everything - 1)
    assert not follows(20, 20, everything) and not follows(1, 20, pooled) and not follows(20, 2, pooled, x + 0j)


GEO = Geometry.of(4, 3)
X, W, AT, G = np.ones((2, 1, 4, 4)), np.ones((3, 1, 3, 3)), np.zeros((2, 3, 1, 1), np.int32), np.ones((2, 3, 1, 1))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: conv2d(X, W, GEO, pattern_of(AT.astype(np.int64))), TypeError, "must hold int32 positions"),
        (
            lambda: conv2d(X, W, GEO, Positions(AT + 4)),
            IndexError,
            r"at holds 4 ... 4, but positions in \(2, 2\) are 0 ... 3",
        ),
        (lambda: conv2d(X, W, GEO, Positions(AT - 2)), IndexError, "-1 where an entry is dropped"),
        (lambda: conv2d(X, W, GEO, Positions(AT[:1])), ValueError, r"must end with \(1,\)"),
        (lambda: conv2d(X[0], W, GEO, Positions(AT)), ValueError, r"must end with \(2,\)"),
        (lambda: conv2d(X, W, GEO, Positions(AT[:, :2])), ValueError, "the last three axes of at"),
        (lambda: conv2d_input(G[..., 0], W, GEO, Positions(AT)), ValueError, "convolution: "),
        (lambda: conv2d_input(np.ones((2, 3, 2, 2)), W, GEO, Positions(AT)), ValueError, r"must be \(3, 2, 2\)"),
        (
            lambda: conv2d_weight(X, G.astype(np.float32), GEO, Positions(AT)),
            TypeError,
            "x is float64 but g is float32",
        ),
        (lambda: conv2d_weight(X[..., :3], G, GEO, Positions(AT)), ValueError, "x has shape"),
    ],
)
def test_a_pattern_that_does_not_fit_is_an_error(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_mask_must_cover_the_output_planes_that_the_geometry_makes() -> None:
    mask, g = np.ones((2, 3, 5, 5), bool), np.ones((2, 3, 5, 5))
    for call in (
        lambda: conv2d(X, W, GEO, Mask(mask)),
        lambda: conv2d_input(g, W, GEO, Mask(mask)),
        lambda: conv2d_weight(X, g, GEO, Mask(mask)),
    ):
        with pytest.raises(ValueError, match=r"at \(2, 3, 5, 5\) must be \(3, 2, 2\)"):
            call()


def test_an_implementation_is_chosen_by_device_and_dtype() -> None:
    """CuPy's arrays, complex and mixed ones are the reference's; so is everything without Numba."""
    single, double, step = (np.dtype(t) for t in (np.float32, np.float64, np.complex128))
    compiled = reference if why_no_numba() else importlib.import_module("tinygrad2.kernels.cpu")
    assert choose.implementation(np.ndarray, single) is choose.implementation(np.ndarray, double, double) is compiled
    for kind, dtypes in ((np.ndarray, [step]), (np.ndarray, [single, double]), (object, [single])):
        assert choose.implementation(kind, *dtypes) is reference


def test_the_reference_names_what_the_dense_path_composes() -> None:
    """Without Numba the dense reference does the work; nothing else is needed."""
    y = conv2d(X, W, GEO, Positions(AT))
    np.testing.assert_array_equal(y, reference.conv2d(X, W, GEO)[:, :, :1, :1])
    np.testing.assert_array_equal(
        conv2d_input(kernels.pool_scatter(G, AT, (2, 2)), W, GEO), conv2d_input(G, W, GEO, Positions(AT))
    )
    np.testing.assert_array_equal(
        conv2d_weight(X, kernels.pool_scatter(G, AT, (2, 2)), GEO), conv2d_weight(X, G, GEO, Positions(AT))
    )
