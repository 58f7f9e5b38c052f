"""Every primitive and every public function of `ops`: derivatives of two orders against arithmetic, and what they compute."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numerics import (
    backward_of,
    check_derivatives,
    check_float32_stays,
    check_vjp,
    inner,
    leaf,
    patterns,
    tape_vjp,
    value,
)
from strategies import SEEDS, geometries

import tinygrad2 as tg
from tinygrad2 import ops
from tinygrad2.autodiff import REGISTRY, Tensor, autograd, zero
from tinygrad2.autodiff.engine import reachable
from tinygrad2.kernels import Geometry

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
P = REGISTRY
LIBRARY = sorted(name for name, p in P.items() if p.fn.__module__.startswith(("tinygrad2.autodiff.p", "tinygrad2.autodiff.e", "tinygrad2.ops", "tinygrad2.kernels", "_operator")))

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
LAYOUTS = st.sampled_from(["contiguous", "every second", "reversed", "transposed"])


@dataclass(frozen=True)
class Problem:
    """A function of Tensors and the arrays to differentiate it at."""

    f: Callable[..., Tensor]
    arrays: Sequence[Array]

    def __repr__(self) -> str:
        return f"Problem(shapes {[a.shape for a in self.arrays]}, {[a.tolist() for a in self.arrays]})"


# How entries are drawn. `distinct` lies away from all kinks: odd multiples of 1/16, no two equal, also across arrays.
def normal(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    return [rng.standard_normal(shape) for shape in shapes]


def positive(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    return [rng.uniform(0.5, 2.0, shape) for shape in shapes]


def distinct(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    n = sum(map(math.prod, shapes))
    entries = (2 * rng.permutation(n) + 1 - 2 * (n // 2)) / 16
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(entries, ends[:-1]), shapes, strict=True)]


def small_integers(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    return [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]


Fill = Callable[[np.random.Generator, Sequence[Shape]], list[Array]]


def laid_out(a: Array, layout: str) -> Array:
    """The same values, read-only, in another memory layout: freezing keeps it, so that the primitives see it."""
    if layout == "transposed":
        kept = np.array(a.T, order="C").T
        owner = kept.base if kept.base is not None else kept
    elif layout == "contiguous" or a.ndim == 0:
        kept = owner = np.array(a, order="C")
    else:
        step = 2 if layout == "every second" else -1
        owner = np.zeros((2 * a.shape[0], *a.shape[1:])) if step == 2 else np.empty(a.shape)
        owner[::step] = a
        kept = owner[::step]
    owner.setflags(write=False)
    kept.setflags(write=False)
    return kept


def problems(shapes: st.SearchStrategy[Any], f: Any, fill: Fill = normal) -> st.SearchStrategy[Problem]:
    """shapes draws `shapes`, or `(shapes, constants)`; f(*tensors, *constants)."""

    @st.composite
    def draw_problem(draw: st.DrawFn) -> Problem:
        drawn = draw(shapes)
        sizes, constants = drawn if drawn and isinstance(drawn[0], list) else (drawn, ())
        arrays = fill(np.random.default_rng(draw(SEEDS)), sizes)
        return Problem(lambda *xs: f(*xs, *constants), [laid_out(a, draw(LAYOUTS)) for a in arrays])

    return draw_problem()


ONE = SHAPES.map(lambda shape: [shape])
PAIR = mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=3).map(lambda s: list(s.input_shapes))
TRIPLE = mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=2, max_dims=3).map(lambda s: list(s.input_shapes))


@st.composite
def reductions(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, max_size=3).map(lambda a: tuple(sorted(a))))
    return [shape], (axes,)


@st.composite
def permutations(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(SHAPES)
    return [shape], (tuple(draw(st.permutations(range(len(shape))))),)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(SHAPES)
    return [shape], (draw(st.permutations((*shape, 1, 1)).map(tuple)), shape)


@st.composite
def broadcasts(draw: st.DrawFn, back: bool = False) -> tuple[list[Shape], tuple[Any, ...]]:
    big = draw(SHAPES)
    small = tuple(1 if draw(st.booleans()) else n for n in big)[draw(st.integers(0, len(big))) :]
    return ([big], (small, big)) if back else ([small], (big, small))


KEYS: list[tuple[Shape, Any]] = [
    ((4,), (slice(None, None, -2),)),
    ((4,), (np.array([1, 1, -1, 3]),)),
    ((3, 2), (np.array([True, False, True]),)),
    ((3, 2), (Ellipsis, 1)),
    ((3, 2), (None, slice(1, None), None, 0)),
    ((3, 2), (np.array([[0, 2], [2, 2]]), np.array([1, 1]))),
    ((3, 2, 2), (np.array([0, 0]), slice(None), np.array([1, 0]))),
    ((3, 2), (np.array([[True, False], [True, True], [False, False]]),)),
    ((3, 0), (slice(0, 2),)),
    ((2,), (np.zeros(0, int),)),
    ((2,), (1,)),
]


def keys(back: bool = False) -> st.SearchStrategy[Any]:
    def one(case: tuple[Shape, Any]) -> tuple[list[Shape], tuple[Any, ...]]:
        shape, key = case
        return [np.zeros(shape)[key].shape if back else shape], (key, shape)

    return st.sampled_from(KEYS).map(one)


@st.composite
def joined(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape, sizes = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3)), draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    axis = draw(st.integers(0, len(shape) - 1))
    shapes = [(*shape[:axis], n, *shape[axis + 1 :]) for n in sizes]
    return shapes, (axis, tuple(int(n) for n in np.cumsum([0, *sizes])))


@st.composite
def products(draw: st.DrawFn) -> list[Shape]:
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    lead = draw(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=2, max_dims=1)).input_shapes
    return [(*lead[0], n, k), (*lead[1], k, m)]


@st.composite
def layers(draw: st.DrawFn, member: int) -> list[Shape]:
    lead, i, o = draw(st.lists(st.integers(0, 2), max_size=2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x, w, g = (*lead, i), (o, i), (*lead, o)
    return [[x, w], [g, w], [x, g]][member]


@st.composite
def convolutions(draw: st.DrawFn, member: int) -> tuple[list[Shape], tuple[Any, ...]]:
    geo = draw(geometries())
    lead = draw(st.sampled_from([(1,), (2,), (0,)]))
    x = (*lead, geo.groups, *geo.input)
    w = (geo.groups * draw(st.integers(1, 2)), 1, *geo.kernel)
    g = (*lead, w[0], *geo.output)
    return [[x, w], [g, w], [x, g]][member], (geo,)


def pooled(member: int) -> st.SearchStrategy[Problem]:
    """pool_gather and pool_scatter at indices of a drawn image, shared over a leading axis."""

    @st.composite
    def draw_problem(draw: st.DrawFn) -> Problem:
        geo, rng = draw(geometries(pooling=True)), np.random.default_rng(draw(SEEDS))
        at = P["pool_argmax"](rng.standard_normal((1, 1, *geo.input)), geo)
        lead = draw(st.sampled_from([(), (2,)]))
        x = rng.standard_normal((*lead, 1, 1, *(geo.input if member == 0 else geo.output)))
        return Problem(lambda t: P[("pool_gather", "pool_scatter")[member]](t, at, geo.input), [x])

    return draw_problem()


@st.composite
def averages(draw: st.DrawFn, back: bool = False) -> tuple[list[Shape], tuple[Any, ...]]:
    geo = draw(geometries(pooling=True))
    return [(1, 2, *(geo.output if back else geo.input))], (geo,)


@st.composite
def masked(draw: st.DrawFn) -> Problem:
    (shape, other), rng = draw(PAIR), np.random.default_rng(draw(SEEDS))
    m = rng.integers(0, 2, other).astype(bool) if draw(st.booleans()) else rng.integers(0, 3, other) / 2.0
    return Problem(lambda x: P["mask"](x, m if m.dtype == bool else Tensor(m.astype(x.dtype))), [rng.standard_normal(shape)])


@st.composite
def selected(draw: st.DrawFn) -> Problem:
    (m, *shapes), rng = draw(TRIPLE), np.random.default_rng(draw(SEEDS))
    condition = rng.integers(0, 2, m).astype(bool)
    return Problem(lambda a, b: P["where"](condition, a, b), normal(rng, shapes))


POWERS = st.sampled_from([2, 3, -1, 0.5, 1, 0, 2.5, -0.5])

SMOOTH: dict[str, st.SearchStrategy[Problem]] = {
    **{name: problems(PAIR, P[name]) for name in ("add", "subtract", "multiply")},
    "divide": problems(PAIR, P["divide"], positive),
    **{name: problems(ONE, P[name]) for name in ("negative", "exp", "tanh", "sigmoid", "softplus", "identity")},
    **{name: problems(ONE, P[name], positive) for name in ("log", "sqrt")},
    "power": problems(st.tuples(ONE, st.tuples(POWERS)), P["power"], positive),
    "mask": masked(),
    "where": selected(),
    **{name: problems(ONE, P[name], distinct) for name in ("relu", "abs")},
    "clip": problems(ONE.map(lambda s: (s, (-0.5, 0.25))), P["clip"], distinct),
    "maximum": problems(PAIR, P["maximum"], distinct),
    "ratio": problems(PAIR, P["ratio"], positive),
    "derivative_of": problems(st.lists(SHAPES, min_size=2, max_size=2), P["derivative_of"]),
    **{name: problems(reductions(), P[name]) for name in ("logsumexp", "norm")},
    "max": problems(reductions(), P["max"], distinct),
    "reshape": problems(reshapes(), P["reshape"]),
    "transpose": problems(permutations(), P["transpose"]),
    "broadcast_to": problems(broadcasts(), P["broadcast_to"]),
    "sum_to": problems(broadcasts(back=True), P["sum_to"]),
    "index": problems(keys(), P["index"]),
    "index_add": problems(keys(back=True), P["index_add"]),
    "concatenate": problems(joined(), lambda *args: P["concatenate"](args[:-2], *args[-2:])),
    "matmul": problems(products(), P["matmul"]),
    **{f"linear{member}": problems(layers(i), P[f"linear{member}"]) for i, member in enumerate(("", "_input", "_weight"))},
    **{f"conv2d{m}": problems(convolutions(i), P[f"conv2d{m}"]) for i, m in enumerate(("", "_input", "_weight"))},
    "pool_gather": pooled(0),
    "pool_scatter": pooled(1),
    "avg_pool2d": problems(averages(), P["avg_pool2d"]),
    "avg_unpool2d": problems(averages(back=True), P["avg_unpool2d"]),
}

POOL = Geometry.of((4, 4), 2, 2)
# Piecewise constant in every argument: the derivative is the declared zero.
CONSTANT: dict[str, tuple[Any, ...]] = {
    **{name: (normal, 1) for name in ("positive", "sign")},
    **{name: (normal, 2) for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "share")},
    "inside": (normal, 1, -0.5, 0.5),
    "ties": (normal, 1, (1,)),
    "argmax": (normal, 1, 1),
}
# Linear, but not functions of floating numbers alone: the dtype and the device change, masks are inverted, indices come out.
ELSEWHERE = {"astype", "to", "logical_not", "pool_argmax"}


def test_every_primitive_has_a_case() -> None:
    assert set(LIBRARY) == set(SMOOTH) | set(CONSTANT) | ELSEWHERE


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=12)
@given(data=st.data())
def test_first_and_second_derivatives_are_those_of_the_complex_step(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    check_derivatives(problem.f, problem.arrays, np.random.default_rng(data.draw(SEEDS)))


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=3)
@given(data=st.data())
def test_first_and_second_derivatives_are_those_of_certified_differences(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    check_derivatives(problem.f, problem.arrays, np.random.default_rng(data.draw(SEEDS)), method="richardson")


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=6)
@given(data=st.data())
def test_float32_stays_float32_in_both_orders(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    check_float32_stays(problem.f, problem.arrays, np.random.default_rng(data.draw(SEEDS)))


@pytest.mark.parametrize("name", CONSTANT)
def test_a_piecewise_constant_primitive_has_derivative_zero(name: str) -> None:
    fill, arity, *constants = CONSTANT[name]
    xs = [leaf(a) for a in fill(np.random.default_rng(0), [(2, 3)] * arity)]
    y = P[name](*xs, *constants)
    g = Tensor(np.ones(y.shape, y.dtype))
    for x, c in zip(xs, autograd.grad(y, xs, [g]), strict=True):
        assert c is not None and c.dtype == x.dtype and not c.array.any()


def test_argmax_positions_and_inverted_masks_are_constants() -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((1, 2, 4, 4)), requires_grad=True)
    at = P["pool_argmax"](x, POOL)
    assert at.dtype == np.int32 and at.shape == (1, 2, 2, 2)
    (c,) = autograd.grad(at, x, [Tensor(np.ones(at.shape, np.int32))])
    assert c is not None and not c.array.any()
    assert (ops.logical_not(x > 0).array == ~(x.array > 0)).all()


# Exact integers: no tolerance, in float32.
JOINTLY_LINEAR = (
    "add", "subtract", "negative", "identity", "mask", "where", "reshape", "transpose", "broadcast_to", "sum_to",
    "index", "index_add", "concatenate", "pool_gather", "pool_scatter", "avg_pool2d", "avg_unpool2d",
)  # fmt: skip
BILINEAR = (
    "multiply", "matmul", "linear", "linear_input", "linear_weight", "conv2d", "conv2d_input", "conv2d_weight",
)  # fmt: skip


def integers(problem: Problem, seed: int) -> tuple[list[Array], Array]:
    """Small integers of the problem's shapes, in float32, and a cotangent; divisible by every kernel size up to 4×4."""
    rng = np.random.default_rng(seed)
    arrays = [144 * a for a in small_integers(rng, [a.shape for a in problem.arrays])]
    (g,) = small_integers(rng, [value(problem.f, arrays).shape])
    return arrays, 144 * g


@pytest.mark.parametrize("name", JOINTLY_LINEAR)
@settings(max_examples=15)
@given(data=st.data())
def test_the_backward_pass_of_a_linear_map_is_its_exact_adjoint(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    xs, g = integers(problem, data.draw(SEEDS))
    assert inner(value(problem.f, xs), g) == sum(map(inner, xs, tape_vjp(problem.f, xs, g)))


@pytest.mark.parametrize("name", BILINEAR)
@settings(max_examples=15)
@given(data=st.data())
def test_a_bilinear_map_has_an_exact_adjoint_in_each_argument(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    xs, g = integers(problem, data.draw(SEEDS))
    xs, g = [x / 144 for x in xs], g / 144
    product = inner(value(problem.f, xs), g)
    assert [inner(x, c) for x, c in zip(xs, tape_vjp(problem.f, xs, g), strict=True)] == [product, product]


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=3)
@given(data=st.data())
def test_derivatives_to_order_three_are_made_of_registered_primitives(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    f, arrays = problem.f, list(problem.arrays)
    for _ in range(3):
        arrays = [*arrays, np.ones(value(f, arrays).shape)]
        f = backward_of(f)
    y = f(*[leaf(a) for a in arrays])
    assert y.node is not None
    for node in reachable([y.node], "sources"):
        assert node.op is None or node.op in REGISTRY.values()


@settings(max_examples=20)
@given(case=SMOOTH["multiply"], seed=SEEDS)
def test_third_derivatives_are_right_too(case: Problem, seed: int) -> None:
    check_derivatives(lambda a, b: ops.tanh(a * b) * ops.sigmoid(a), case.arrays, np.random.default_rng(seed), orders=3)
