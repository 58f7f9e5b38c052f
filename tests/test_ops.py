"""Every primitive and public function of `ops`: derivatives of two orders against arithmetic, and what they compute."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from array_cases import CASES as ARRAY_CASES
from array_cases import PLACES
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numerics import (
    backward_of,
    check_derivatives,
    check_float32_stays,
    inner,
    leaf,
    tape_vjp,
    value,
)
from strategies import SEEDS, geometries

import tinygrad2 as tg
from tinygrad2 import ops
from tinygrad2.autodiff import REGISTRY, Tensor, autograd
from tinygrad2.autodiff.engine import reachable
from tinygrad2.kernels import Geometry
from tinygrad2.ops import gram

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
P = REGISTRY
# Other tests register primitives of their own (custom_vjp); these are the library's.
LIBRARY = [name for name, p in P.items() if p.__module__.startswith("tinygrad2")]
LIBRARY = [name for name in LIBRARY if P[name].__module__ != "tinygrad2.autodiff.custom"]

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


def far(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    """Of both signs, away from 0."""
    return [rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape) for shape in shapes]


def inside(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    """In (-1, 1), away from both ends."""
    return [rng.uniform(-0.9, 0.9, shape) for shape in shapes]


def above_one(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    return [rng.uniform(1.25, 3.0, shape) for shape in shapes]


def quotients(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    """The first divided by the second lies between 3 and 4."""
    return [rng.uniform(3.3, 3.5, shapes[0]), rng.uniform(0.98, 1.02, shapes[1])]


def small_integers(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    return [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]


def invertible(rng: np.random.Generator, shapes: Sequence[Shape]) -> list[Array]:
    """Matrices far from singular first, and normal numbers behind them."""
    first = rng.uniform(-0.4, 0.4, shapes[0]) + (2 - 4 * rng.integers(0, 2)) * np.eye(shapes[0][-1])
    return [first, *normal(rng, shapes[1:])]


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
PAIR = mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=3).map(
    lambda s: list(s.input_shapes)
)
TRIPLE = mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_side=2, max_dims=3).map(
    lambda s: list(s.input_shapes)
)


@st.composite
def reductions(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, max_size=3).map(lambda a: tuple(sorted(a))))
    return [shape], (axes,)


@st.composite
def rows(draw: st.DrawFn, tensors: int) -> tuple[list[Shape], tuple[Any, ...]]:
    """Tensors of one shape and an axis that is not empty."""
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    return [shape] * tensors, (draw(st.integers(0, len(shape) - 1)),)


def with_order(drawn: tuple[tuple[list[Shape], tuple[Any, ...]], float]) -> tuple[list[Shape], tuple[Any, ...]]:
    (shapes, constants), p = drawn
    return shapes, (*constants, p)


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
    shape, sizes = (
        draw(st.lists(st.integers(0, 2), min_size=1, max_size=3)),
        draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)),
    )
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


def patterned(member: int) -> st.SearchStrategy[Problem]:
    """The convolution family at drawn positions, some dropped and some twice, shared over a leading axis."""

    @st.composite
    def draw_problem(draw: st.DrawFn) -> Problem:
        (*shapes, w), (geo,) = draw(convolutions(0))
        rng, lead = np.random.default_rng(draw(SEEDS)), draw(st.sampled_from([(), (2,)]))
        at = rng.integers(-1, math.prod(geo.output), (shapes[0][0], w[0], 2, 1)).astype(np.int32)
        x, g = (*lead, *shapes[0]), (*lead, *at.shape)
        arrays = normal(rng, [[x, w], [g, w], [x, g]][member])
        f = P[("conv2d_at", "conv2d_input_at", "conv2d_weight_at")[member]]
        return Problem(lambda a, b: f(a, b, Tensor(at), geo), [laid_out(a, draw(LAYOUTS)) for a in arrays])

    return draw_problem()


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
    return Problem(
        lambda x: P["mask"](x, m if m.dtype == bool else Tensor(m.astype(x.dtype))), [rng.standard_normal(shape)]
    )


@st.composite
def selected(draw: st.DrawFn) -> Problem:
    (m, *shapes), rng = draw(TRIPLE), np.random.default_rng(draw(SEEDS))
    condition = rng.integers(0, 2, m).astype(bool)
    return Problem(lambda a, b: P["where"](condition, a, b), normal(rng, shapes))


@st.composite
def rows_and_weights(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    a, w = draw(layers(1))
    return [a, w], (draw(st.integers(0, len(a) - 1)),)


def quadratic(a: Tensor, w: Tensor, lead: int) -> Tensor:
    """‖a W‖² by way of the Gram matrix, whether it pays or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_gram_pays", lambda *sizes: True)
        return gram.squared_norms(a, w, lead)


@st.composite
def along_an_axis(draw: st.DrawFn) -> tuple[list[Shape], tuple[Any, ...]]:
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple))
    return [shape], (draw(st.integers(0, len(shape) - 1)),)


@st.composite
def squares(draw: st.DrawFn, sizes: Sequence[int] = (0, 1, 2, 3)) -> list[Shape]:
    n = draw(st.sampled_from(sizes))
    return [(*draw(st.lists(st.integers(0, 2), max_size=1)), n, n)]


ROWS = st.lists(st.integers(0, 5), min_size=1, max_size=2).map(lambda shape: [tuple(shape)])
MATRICES = st.lists(st.integers(0, 3), min_size=2, max_size=3).map(lambda shape: [tuple(shape)])
POWERS = st.sampled_from([2, 3, -1, 0.5, 1, 0, 2.5, -0.5])

SMOOTH: dict[str, st.SearchStrategy[Problem]] = {
    **{name: problems(PAIR, P[name]) for name in ("add", "subtract", "multiply")},
    "divide": problems(PAIR, P["divide"], positive),
    **{name: problems(ONE, P[name]) for name in ("negative", "exp", "tanh", "sigmoid", "softplus", "identity")},
    **{name: problems(ONE, P[name]) for name in ("erf", "erfc")},
    **{name: problems(ONE, P[name]) for name in ("exp2", "expm1", "square", "sin", "cos", "sinh", "cosh", "arctan")},
    "arcsinh": problems(ONE, P["arcsinh"]),
    **{name: problems(ONE, P[name], positive) for name in ("log", "log2", "log10", "log1p", "sqrt", "cbrt")},
    "scale": problems(ONE.map(lambda s: (s, (-2.5,))), P["scale"]),
    "reciprocal": problems(ONE, P["reciprocal"], positive),
    **{name: problems(ONE, P[name], inside) for name in ("tan", "arcsin", "arccos", "arctanh")},
    "arccosh": problems(ONE, P["arccosh"], above_one),
    **{name: problems(PAIR, P[name], positive) for name in ("hypot", "arctan2", "powers")},
    **{name: problems(PAIR, P[name]) for name in ("logaddexp", "logaddexp2")},
    **{name: problems(PAIR, P[name], quotients) for name in ("remainder", "fmod")},
    "power": problems(st.tuples(ONE, st.tuples(POWERS)), P["power"], positive),
    "mask": masked(),
    "where": selected(),
    **{name: problems(ONE, P[name], distinct) for name in ("relu", "abs")},
    "clip": problems(ONE.map(lambda s: (s, (-0.5, 0.25))), P["clip"], distinct),
    **{name: problems(PAIR, P[name], distinct) for name in ("maximum", "minimum")},
    "ratio": problems(PAIR, P["ratio"], positive),
    "derivative_of": problems(st.lists(SHAPES, min_size=2, max_size=2), P["derivative_of"]),
    **{name: problems(rows(1), P[name]) for name in ("softmax", "log_softmax", "logsumexp")},
    **{name: problems(rows(2), P[name]) for name in ("centered", "unmixed")},
    "norm": problems(st.tuples(reductions(), st.sampled_from([1.5, 2.0, 3.0])).map(with_order), P["norm"], distinct),
    # Of |x|^-0.5 near 0 the differences grow too fast to be certified.
    **{name: problems(st.tuples(ONE, st.tuples(POWERS)), P[name], far) for name in ("odd_power", "even_power")},
    "max": problems(reductions(), P["max"], distinct),
    "reshape": problems(reshapes(), P["reshape"]),
    "transpose": problems(permutations(), P["transpose"]),
    "broadcast_to": problems(broadcasts(), P["broadcast_to"]),
    "sum_to": problems(broadcasts(back=True), P["sum_to"]),
    "index": problems(keys(), P["index"]),
    "index_add": problems(keys(back=True), P["index_add"]),
    "concatenate": problems(joined(), lambda *args: P["concatenate"](args[:-2], *args[-2:])),
    "matmul": problems(products(), P["matmul"]),
    **{
        f"linear{member}": problems(layers(i), P[f"linear{member}"])
        for i, member in enumerate(("", "_input", "_weight"))
    },
    **{f"conv2d{m}": problems(convolutions(i), P[f"conv2d{m}"]) for i, m in enumerate(("", "_input", "_weight"))},
    **{f"conv2d{m}_at": patterned(i) for i, m in enumerate(("", "_input", "_weight"))},
    "pool_gather": pooled(0),
    "pool_scatter": pooled(1),
    "avg_pool2d": problems(averages(), P["avg_pool2d"]),
    "avg_unpool2d": problems(averages(back=True), P["avg_unpool2d"]),
    "gram": problems(layers(0).map(lambda shapes: shapes[1:]), P["gram"]),
    "quadratic": problems(rows_and_weights(), quadratic),
    "root": problems(ONE, P["root"], positive),
    "sum_squares": problems(reductions(), P["sum_squares"]),
    **{name: problems(st.tuples(MATRICES, st.tuples(st.integers(-3, 3))), P[name]) for name in ("tril", "triu")},
    "cumsum": problems(along_an_axis(), P["cumsum"]),
    "prod": problems(ROWS, P["prod"]),
    "recurrence": problems(ROWS.map(lambda s: [s[0], s[0]]), P["recurrence"]),
    **{name: problems(squares(), P[name], invertible) for name in ("inv", "logdet")},
    "det": problems(squares((0, 2, 3)), P["det"], invertible),  # of (1, 1) the Hessian is 0: nothing to be relative to
    "solve": problems(squares().map(lambda s: [s[0], (*s[0][:-1], 2)]), P["solve"], invertible),
}

POOL = Geometry.of((4, 4), 2, 2)
# Piecewise constant in every argument: the derivative is the declared zero.
CONSTANT: dict[str, tuple[Any, ...]] = {
    **{name: (normal, 1) for name in ("positive", "sign")},
    **{name: (normal, 2) for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "share")},
    **{name: (normal, 1) for name in ("floor", "ceil", "trunc", "rint", "isfinite", "isinf", "isnan", "signbit")},
    **{name: (normal, 2) for name in ("floor_divide", "logical_and", "logical_or", "logical_xor", "either")},
    "round": (normal, 1, 1),
    "inside": (normal, 1, -0.5, 0.5),
    "ties": (normal, 1, (1,)),
    "argmax": (normal, 1, 1),
    "argmin": (normal, 1, 1),
    "argsort": (normal, 1, 1, False),
    "adaptive_argmax": (lambda rng, shapes: normal(rng, [(2, 3, 4)]), 1, [(0, 2), (1, 3)], [(0, 4)]),
}
# Linear, but not functions of floating numbers alone: dtype or device change, masks are inverted, indices come out.
ELSEWHERE = {"astype", "as_float", "to", "logical_not", "invert", "pool_argmax", "let_through", "signdet"}
ELSEWHERE |= {"bitwise_and", "bitwise_or", "bitwise_xor"}


def test_every_primitive_has_a_case() -> None:
    assert set(LIBRARY) == set(SMOOTH) | set(CONSTANT) | ELSEWHERE


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=20)
@given(data=st.data())
def test_first_and_second_derivatives_are_those_of_the_complex_step(name: str, data: st.DataObject) -> None:
    problem = data.draw(SMOOTH[name])
    check_derivatives(problem.f, problem.arrays, np.random.default_rng(data.draw(SEEDS)))


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=4)
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


def test_argmax_positions_what_is_left_of_them_and_inverted_masks_are_constants() -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((1, 2, 4, 4)), requires_grad=True)
    at = P["pool_argmax"](x, POOL)
    assert at.dtype == np.int32 and at.shape == (1, 2, 2, 2)
    (c,) = autograd.grad(at, x, [Tensor(np.ones(at.shape, np.int32))])
    assert c is not None and not c.array.any()
    left = P["let_through"](at, P["positive"](P["pool_gather"](x, at, (4, 4))))
    assert left.dtype == np.int32 and ((left.array == at.array) | (left.array == -1)).all()
    (c,) = autograd.grad(left, x, [Tensor(np.ones(at.shape, np.int32))])
    assert c is not None and not c.array.any()
    assert (ops.logical_not(x > 0).array == ~(x.array > 0)).all()


# Exact integers: no tolerance, in float32.
JOINTLY_LINEAR = (
    "add", "subtract", "negative", "identity", "mask", "where", "reshape", "transpose", "broadcast_to", "sum_to",
    "index", "index_add", "concatenate", "tril", "triu", "cumsum", "pool_gather", "pool_scatter",
    "avg_pool2d", "avg_unpool2d",
)  # fmt: skip
BILINEAR = (
    "multiply", "matmul", "linear", "linear_input", "linear_weight", "conv2d", "conv2d_input", "conv2d_weight",
    "conv2d_at", "conv2d_input_at", "conv2d_weight_at",
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


# Public functions: what they compute, by NumPy alone, and derivatives of two orders.
RNG = np.random.default_rng(5)
X, V, B = RNG.standard_normal((2, 4, 5, 6)), RNG.standard_normal((4, 3)), RNG.standard_normal(4)
K, S = RNG.standard_normal((6, 2, 3, 2)), RNG.uniform(0.5, 2.0, 4)
(D,) = distinct(RNG, [(2, 4, 5, 6)])
LABELS = np.array([2, 0, 1, 2])


def convolution(x: Array, w: Array, stride: Shape, pads: Any, dilation: Shape, groups: int) -> Array:
    """Cross-correlation by its definition, one output entry at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    o, c = w.shape[0] // groups, w.shape[1]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    size = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for n, k, i, j in np.ndindex(y.shape):
        top, left, first = i * stride[0], j * stride[1], (k // o) * c
        window = x[n, first : first + c, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
        y[n, k, i, j] = (window * w[k]).sum()
    return y


def windows(x: Array, kernel: int, stride: int, padding: int, fill: float) -> Array:
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]


def normalized(x: Array, mean: Array, var: Array, w: Array, b: Array) -> Array:
    mean, var, w, b = (a.reshape(-1, *(1,) * (x.ndim - 2)) for a in (mean, var, w, b))
    return (x - mean) / np.sqrt(var + 1e-5) * w + b


def response(x: Array, size: int) -> Array:
    c = range(x.shape[1])
    near = [[j for j in c if k - size // 2 <= j <= k + (size - 1) // 2] for k in c]
    total = np.stack([(x[:, at] ** 2).sum(1) for at in near], 1)
    return x / (2.0 + 0.5 / size * total) ** 0.75


def entropy(z: Array, smoothing: float) -> Array:
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    target = (1 - smoothing) * np.eye(z.shape[1])[LABELS] + smoothing / z.shape[1]
    return -(target * np.log(p)).sum(1)


def cells(x: Array, size: tuple[int, int]) -> list[list[Array]]:
    """The windows of adaptive pooling: from floor(i n / size) to ceil((i + 1) n / size)."""
    (h, w), (rows, columns) = x.shape[2:], size
    return [
        [
            x[:, :, i * h // rows : -(-(i + 1) * h // rows), j * w // columns : -(-(j + 1) * w // columns)]
            for j in range(columns)
        ]
        for i in range(rows)
    ]


def pooled_cells(x: Array, size: tuple[int, int], of: Callable[..., Array]) -> Array:
    return np.stack([np.stack([of(cell, (2, 3)) for cell in row], -1) for row in cells(x, size)], -2)


def whitened(x: Array, axis: Any, eps: float = 1e-5) -> Array:
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def huber(d: Array, delta: float) -> Array:
    return np.where(abs(d) <= delta, 0.5 * d * d, delta * (abs(d) - 0.5 * delta))


def attention(q: Array, k: Array, v: Array) -> Array:
    p = np.exp(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
    return (p / p.sum(-1, keepdims=True)) @ v


CHANCES = RNG.uniform(0.1, 0.9, (4, 3))
TOKENS = np.array([[0, 2], [3, 3]])

FUNCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., Array], Sequence[Array]]] = {
    "adaptive_avg_pool2d": (
        lambda x: tg.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: pooled_cells(x, (3, 2), np.mean),
        (X[:1],),
    ),
    "adaptive_max_pool2d": (lambda x: tg.adaptive_max_pool2d(x, 2), lambda x: pooled_cells(x, (2, 2), np.max), (D,)),
    "binary_cross_entropy": (
        tg.binary_cross_entropy,
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(),
        (CHANCES, 1.0 - CHANCES[::-1]),
    ),
    "binary_cross_entropy_with_logits": (
        lambda z, t, w: tg.binary_cross_entropy_with_logits(z, t, "none", w),
        lambda z, t, w: w * t * np.log1p(np.exp(-z)) + (1 - t) * np.log1p(np.exp(z)),
        (V, CHANCES, S[:3]),
    ),
    "conv1d": (
        lambda x, w, b: tg.conv1d(x, w, b, stride=2, padding=1, dilation=2),
        lambda x, w, b: (
            convolution(x[:, :, None], w[:, :, None], (1, 2), ((0, 0), (1, 1)), (1, 2), 1)[:, :, 0] + b[:, None]
        ),
        (X[:, :2, 0], K[:, :2, 0], RNG.standard_normal(6)),
    ),
    "embedding": (lambda w: tg.embedding(TOKENS, w), lambda w: w[TOKENS], (V,)),
    "gelu": (tg.gelu, lambda x: x * 0.5 * np.vectorize(math.erfc)(-x / math.sqrt(2)), (V,)),
    "gelu by tanh": (
        lambda x: tg.gelu(x, "tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        (V,),
    ),
    "group_norm": (
        lambda x, w, b: tg.group_norm(x, 2, w, b),
        lambda x, w, b: whitened(x.reshape(len(x), 2, -1), -1).reshape(x.shape) * w[:, None, None] + b[:, None, None],
        (X, S, B),
    ),
    "huber_loss": (lambda x, y: tg.huber_loss(x, y, "none", 0.7), lambda x, y: huber(x - y, 0.7), (V, 2.0 * CHANCES)),
    "kl_div": (
        lambda q, t: tg.kl_div(q, t, "batchmean"),
        lambda q, t: (t * (np.log(t) - q)).sum() / len(q),
        (V, CHANCES),
    ),
    "kl_div of logarithms": (
        lambda q, t: tg.kl_div(q, t, "sum", log_target=True),
        lambda q, t: (np.exp(t) * (t - q)).sum(),
        (V, CHANCES),
    ),
    "l1_loss": (lambda x, y: tg.l1_loss(x, y, "sum"), lambda x, y: abs(x - y).sum(), (V, CHANCES)),
    "layer_norm": (
        lambda x, w, b: tg.layer_norm(x, 3, w, b),
        lambda x, w, b: whitened(x, -1) * w + b,
        (V, S[:3], B[:3]),
    ),
    "mse_loss": (tg.mse_loss, lambda x, y: ((x - y) ** 2).mean(), (V, CHANCES)),
    "rms_norm": (
        lambda x, w: tg.rms_norm(x, 3, w, 1e-5),
        lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w,
        (V, S[:3]),
    ),
    "scaled_dot_product_attention": (
        tg.scaled_dot_product_attention,
        attention,
        tuple(RNG.standard_normal((2, 3, n)) for n in (4, 4, 2)),
    ),
    "silu": (tg.silu, lambda x: x / (1 + np.exp(-x)), (V,)),
    "batch_norm in train mode": (
        tg.batch_norm,
        lambda x, w, b: normalized(x, x.mean((0, 2, 3)), x.var((0, 2, 3)), w, b),
        (X, S, B),
    ),
    "batch_norm of rows": (tg.batch_norm, lambda x, w, b: normalized(x, x.mean(0), x.var(0), w, b), (V, S[:3], B[:3])),
    "batch_norm in eval mode": (
        tg.batch_norm,
        lambda x, w, b, m, v: normalized(x, m, v, w, b),
        (X, S, B, B + 1, S + 1),
    ),
    "broadcast_to": (lambda x: tg.broadcast_to(x, (2, 4, 3)), lambda x: np.broadcast_to(x, (2, 4, 3)), (V,)),
    "clip": (lambda x: tg.clip(x, -1, 2), lambda x: np.clip(x, -1, 2), (D,)),
    "conv2d": (tg.conv2d, lambda x, w: convolution(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1), 1), (X[:, :2], K)),
    "conv2d with everything": (
        lambda x, w, b: tg.conv2d(x, w, b, stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2),
        lambda x, w, b: convolution(x, w, (2, 1), ((1, 0), (2, 1)), (1, 2), 2) + b[:, None, None],
        (X, K, RNG.standard_normal(6)),
    ),
    "conv2d of the same size": (
        lambda x, w: tg.conv2d(x, w, padding="same", groups=2),
        lambda x, w: convolution(x, w, (1, 1), ((1, 1), (0, 1)), (1, 1), 2),
        (X, K),
    ),
    "conv_transpose2d": (
        lambda x, w, b: tg.conv_transpose2d(x, w, b, stride=2, padding=1, groups=2),
        lambda x, w, b: adjoint_of_convolution(x, w) + b[:, None, None],
        (RNG.standard_normal((1, 6, 3, 3)), K, B),
    ),
    "cross_entropy": (lambda z: tg.cross_entropy(z, LABELS), lambda z: entropy(z, 0.0).mean(), (V,)),
    "cross_entropy, saturating": (
        lambda z: tg.cross_entropy(z, LABELS, saturating=True),
        lambda z: entropy(z, 0.0).mean(),
        (V,),
    ),
    "cross_entropy, smoothed sum": (
        lambda z: tg.cross_entropy(z, LABELS, label_smoothing=0.3, reduction="sum"),
        lambda z: entropy(z, 0.3).sum(),
        (V,),
    ),
    "cross_entropy per sample": (lambda z: tg.cross_entropy(z, LABELS, 0.1, "none"), lambda z: entropy(z, 0.1), (V,)),
    "dropout": (
        lambda x: tg.dropout(x, 0.4, np.random.default_rng(1)),
        lambda x: x * (np.random.default_rng(1).random(x.shape, dtype=np.float32) >= 0.4) / 0.6,
        (V,),
    ),
    "gather": (
        lambda x: tg.gather(x, [[0, 1], [2, 2], [0, 0], [1, 2]]),
        lambda x: np.take_along_axis(x, np.array([[0, 1], [2, 2], [0, 0], [1, 2]]), 1),
        (V,),
    ),
    "scatter_add": (
        lambda x: tg.scatter_add(x, [[0, 1, 1]] * 4, 3, 1),
        lambda x: np.stack([x[:, 0], x[:, 1] + x[:, 2], 0 * x[:, 0]], 1),
        (V,),
    ),
    "leaky_relu": (lambda x: tg.leaky_relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x), (D,)),
    "linear": (tg.linear, lambda x, w, b: x @ w.T + b, (V, RNG.standard_normal((2, 3)), B[:2])),
    "local_response_norm": (lambda x: tg.local_response_norm(x, 3, 0.5, 0.75, 2.0), lambda x: response(x, 3), (X,)),
    "local_response_norm, even": (
        lambda x: tg.local_response_norm(x, 2, 0.5, 0.75, 2.0),
        lambda x: response(x, 2),
        (X,),
    ),
    "logsumexp": (lambda x: tg.logsumexp(x, (0, 2)), lambda x: np.log(np.exp(x).sum((0, 2))), (X,)),
    "log_softmax": (lambda x: tg.log_softmax(x, 0), lambda x: x - np.log(np.exp(x).sum(0)), (V,)),
    "softmax": (tg.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), (V,)),
    "matmul": (tg.matmul, operator.matmul, (RNG.standard_normal((2, 1, 3, 4)), RNG.standard_normal((5, 4, 2)))),
    "matmul, vector first": (tg.matmul, operator.matmul, (B, RNG.standard_normal((2, 4, 3)))),
    "matmul, vector last": (tg.matmul, operator.matmul, (X[..., :4], B)),
    "matmul of vectors": (tg.matmul, operator.matmul, (B, S)),
    "max": (lambda x: tg.max(x, (1, 3), keepdims=True), lambda x: x.max((1, 3), keepdims=True), (D,)),
    "min": (lambda x: tg.min(x, -1), lambda x: x.min(-1), (D,)),
    "minimum": (tg.minimum, np.minimum, (D[0], D[1, ::-1])),
    "mean": (lambda x: tg.mean(x, (0, -1)), lambda x: x.mean((0, -1)), (X,)),
    "sum": (lambda x: tg.sum(x, 1, keepdims=True), lambda x: x.sum(1, keepdims=True), (X,)),
    "var": (lambda x: tg.var(x, (0, 2)), lambda x: x.var((0, 2)), (X,)),
    "norm": (lambda x: tg.norm(x, axis=(1, 2)), lambda x: np.sqrt((x * x).sum((1, 2))), (X,)),
    "max_pool2d": (lambda x: tg.max_pool2d(x, 3, 2, 1), lambda x: windows(x, 3, 2, 1, -np.inf).max((-1, -2)), (D,)),
    "avg_pool2d": (lambda x: tg.avg_pool2d(x, 3, 2, 1), lambda x: windows(x, 3, 2, 1, 0.0).mean((-1, -2)), (X,)),
    "pad": (
        lambda x: tg.pad(x, ((1, 0), (0, 2)), constant_values=0.5),
        lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=0.5),
        (V,),
    ),
    "clip by tensors": (lambda x, a, b: tg.clip(x, a, b), np.clip, (D[0, 0], D[1, 0] - 1.0, D[1, 1] + 1.0)),
    "clip from below": (lambda x: tg.clip(x, 0.25), lambda x: np.clip(x, 0.25, None), (D,)),
    "clip from above by a tensor": (lambda x, b: tg.clip(x, max=b), lambda x, b: np.clip(x, None, b), (D[0], D[1, :1])),
    "degrees": (tg.degrees, np.degrees, (V,)),
    "radians": (tg.radians, np.radians, (V,)),
    "divmod": (lambda a, b: tg.stack(tg.divmod(a, b)), lambda a, b: np.stack(np.divmod(a, b)), (B, S)),
    "a power of a tensor": (tg.power, operator.pow, (S, B)),
    "a power of a number": (lambda x: 2.0**x, lambda x: 2.0**x, (V,)),
    "an array to a power": (lambda p: S**p, lambda p: S**p, (B,)),
    "prelu, one slope": (tg.prelu, lambda x, a: np.where(x > 0, x, a * x), (D, S[:1])),
    "prelu, a slope per channel": (tg.prelu, lambda x, a: np.where(x > 0, x, a[:, None, None] * x), (D, S)),
    "ratio": (tg.ops.ratio, operator.truediv, (V, S[:, None])),
    "stack": (lambda a, b: tg.stack([a, b], -1), lambda a, b: np.stack([a, b], -1), (B, S)),
    "swapaxes": (lambda x: tg.swapaxes(x, 1, -1), lambda x: x.swapaxes(1, -1), (X,)),
    "where, with a NumPy condition": (lambda a, b: tg.where(B > 0, a, b), lambda a, b: np.where(B > 0, a, b), (B, S)),
    "operators": (
        lambda a, b: ((-a + 2) * (3 - b) / (1.5 / b) - a / 4 + abs(a) ** 3)[::-1] @ b,
        lambda a, b: ((-a + 2) * (3 - b) / (1.5 / b) - a / 4 + abs(a) ** 3)[::-1] @ b,
        (B, S),
    ),
    "methods": (
        lambda x: (x.T.reshape(3, -1).transpose(1, 0).exp().sqrt() + x.tanh().sum(0) + x.clip(-3, 3).mean()).max(0),
        lambda x: (np.sqrt(np.exp(x.T.reshape(3, -1).transpose(1, 0))) + np.tanh(x).sum(0) + x.clip(-3, 3).mean()).max(
            0
        ),
        (V,),
    ),
    "rows of an iterated tensor": (lambda x: sum(row * row for row in x), lambda x: (x * x).sum(0), (V,)),
}


def adjoint_of_convolution(g: Array, w: Array) -> Array:
    """Σ g · ∂conv/∂x by its definition: convolve each one-hot image."""
    size = (g.shape[0], w.shape[1] * 2, *(2 * (n - 1) - 2 + k for n, k in zip(g.shape[2:], w.shape[2:], strict=True)))
    x = np.zeros(size)
    for at in np.ndindex(size):
        one = np.zeros(size)
        one[at] = 1.0
        x[at] = (convolution(one, w, (2, 2), ((1, 1), (1, 1)), (1, 1), 2) * g).sum()
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_computes_its_definition(name: str) -> None:
    f, definition, arrays = FUNCTIONS[name]
    y = value(f, arrays)
    expected = np.asarray(definition(*arrays))
    assert y.shape == expected.shape and y.dtype == np.float64
    np.testing.assert_allclose(y, expected, 1e-12, 1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_right_derivatives_of_two_orders(name: str) -> None:
    f, _, arrays = FUNCTIONS[name]
    small = [a if a.ndim < 4 else a[:, :, :4, :4] for a in arrays]
    if name == "an array to a power":  # its constant base is float64, also beside complex numbers
        return check_derivatives(f, small, np.random.default_rng(1), method="richardson")
    check_derivatives(f, small, np.random.default_rng(1))
    check_float32_stays(f, small, np.random.default_rng(1))


# Creation: NumPy's values, dtypes and errors.
CREATED: dict[str, tuple[tuple[Any, ...], ...]] = {
    "arange": ((3,), (3.0,), (1, 7, 2), (0.0, 1.0, 0.25), (5, 2, -1)),
    "eye": ((2,), (2, 3)),
    "full": (((2, 3), 0.5), (2, 1), ((), 1.0)),
    "linspace": ((0.0, 1.0), (0, 1, 3)),
    "ones": ((3,), ((2, 0),)),
    "zeros": ((3,), ((2, 3),), ((),)),
}
LIKE = {"full": (0.5,), "ones": (), "zeros": ()}


@pytest.mark.parametrize(("name", "args"), [(name, args) for name, cases in CREATED.items() for args in cases])
def test_a_created_tensor_is_numpys_array(name: str, args: tuple[Any, ...]) -> None:
    made = getattr(tg, name)(*args)
    expected = getattr(np, name)(*args)
    assert (made.shape, made.dtype, made.requires_grad) == (expected.shape, expected.dtype, False)
    np.testing.assert_array_equal(made.numpy(), expected)
    leaf = getattr(tg, name)(*args, dtype=np.float32, requires_grad=True)
    assert leaf.dtype == np.float32 and leaf.requires_grad and leaf.device == "cpu"
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        getattr(tg, name)(*args, device="gpu")


@pytest.mark.parametrize("name", LIKE)
def test_a_tensor_like_another_has_its_shape_and_dtype(name: str) -> None:
    x = Tensor(np.ones((2, 3), np.float32))
    made = getattr(tg, f"{name}_like")(x, *LIKE[name], requires_grad=True)
    assert made.requires_grad and made.dtype == np.float32
    np.testing.assert_array_equal(made.numpy(), getattr(np, f"{name}_like")(x.numpy(), *LIKE[name]))


def test_a_leaf_of_integers_is_refused() -> None:
    with pytest.raises(TypeError, match="only float32 and float64 carry gradients"):
        tg.arange(3, requires_grad=True)


METHODS = {
    "methods", "operators", "a power of a number", "an array to a power", "rows of an iterated tensor",
}  # fmt: skip  # their functions need Tensors


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - METHODS))
def test_every_function_takes_arrays_and_lists(name: str) -> None:
    f, _, arrays = FUNCTIONS[name]
    expected = f(*map(Tensor, arrays)).numpy()
    np.testing.assert_array_equal(f(*arrays).numpy(), expected)
    np.testing.assert_array_equal(f(*(a.tolist() for a in arrays)).numpy(), expected)


def test_every_public_function_is_tested() -> None:
    named = " ".join([*FUNCTIONS, *SMOOTH, *CONSTANT, *ARRAY_CASES, *PLACES])
    elsewhere = {*ELSEWHERE, "numpy_table", *CREATED, *(f"{name}_like" for name in LIKE)}
    assert [name for name in ops.__all__ if name not in elsewhere and name not in named] == []


# Conventions at kinks and at the edge of the number range: one row of the table each, in both orders.
def second(f: Callable[..., Tensor], x: Any) -> tuple[Array, Array, Array]:
    """f(x), f'(x) and f''(x), entry by entry, of an elementwise f."""
    x = np.asarray(x, np.float64)
    g = np.ones_like(value(f, [x]))
    first = tape_vjp(f, [x], g)[0]
    return value(f, [x]), first, tape_vjp(lambda t: backward_of(f)(t, Tensor(g)), [x], np.ones(x.size))[0]


def test_relu_and_abs_have_slope_zero_at_zero() -> None:
    for f in (tg.relu, tg.abs):
        assert second(f, [0.0, -0.0])[1].tolist() == [0.0, 0.0]
        assert second(f, [0.0, 1.0, -1.0])[2].tolist() == [0.0, 0.0, 0.0]
    assert second(lambda x: tg.leaky_relu(x, 0.25), [0.0])[1].tolist() == [0.25]


def test_a_tie_of_maximum_gives_half_to_each_side() -> None:
    assert [c.tolist() for c in tape_vjp(tg.maximum, [np.ones(2), np.ones(2)], np.array([2.0, 4.0]))] == [
        [1.0, 2.0]
    ] * 2
    assert [c.tolist() for c in tape_vjp(tg.minimum, [np.ones(1), np.ones(1)], np.array([2.0]))] == [[1.0]] * 2


def test_ties_of_a_reduction_share_equally() -> None:
    x = np.array([[3.0, 3.0, 1.0], [2.0, 2.0, 2.0]])
    assert tape_vjp(lambda t: tg.max(t, 1), [x], np.array([2.0, 3.0]))[0].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert tape_vjp(lambda t: tg.min(t, 1), [-x], np.array([2.0, 3.0]))[0].tolist() == [[1, 1, 0], [1, 1, 1]]


def test_the_first_of_tied_maxima_in_a_pooling_window_gets_all() -> None:
    x = np.array([[[[1.0, 5.0, 5.0], [5.0, 2.0, 5.0], [0.0, 0.0, 0.0]]]])
    (c,) = tape_vjp(lambda t: tg.max_pool2d(t, 2, 1), [x], np.array([[[[1.0, 2.0], [4.0, 8.0]]]]))
    assert c.tolist() == [[[[0.0, 3.0, 0.0], [4.0, 0.0, 8.0], [0.0, 0.0, 0.0]]]]


def test_the_norm_at_zero_is_zero_with_all_its_derivatives() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    y, first, hessian_times_one = second(lambda t: tg.norm(t, axis=1), x)
    assert y.tolist() == [0.0, 5.0]
    assert first[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(first[1], [0.6, 0.8], 1e-15)
    assert hessian_times_one[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("f", [tg.sqrt, tg.log, lambda x: x**0.5], ids=["sqrt", "log", "power"])
def test_an_infinite_slope_is_infinite_and_not_swallowed(f: Callable[..., Tensor]) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isinf(tape_vjp(f, [np.zeros(1)], np.ones(1))[0]).all()


def test_the_derivatives_of_x_to_the_zero_vanish_also_at_zero() -> None:
    _, first, again = second(lambda x: x**0, [0.0, 2.0])
    assert first.tolist() == [0.0, 0.0] and again.tolist() == [0.0, 0.0]
    assert second(lambda x: x**1, [0.0])[2].tolist() == [0.0]
    assert second(lambda x: x**2, [0.0])[2].tolist() == [2.0]


NAN_THROUGH: dict[str, Callable[..., Tensor]] = {
    **{
        f.name: f
        for f in (ops.relu, ops.abs, ops.exp, ops.log, ops.sqrt, ops.tanh, ops.sigmoid, ops.sign, ops.erf, ops.erfc)
    },
    "clip": lambda x: tg.clip(x, -1.0, 1.0),
    "maximum": lambda x: tg.maximum(x, 0.0),
    "minimum": lambda x: tg.minimum(x, 0.0),
    "leaky_relu": tg.leaky_relu,
    "softplus": tg.softplus,
    "gelu": tg.gelu,
    "silu": tg.silu,
    "elu": tg.elu,
    "mse_loss": lambda x: tg.mse_loss(x, [0.0, 0.0]),
    "huber_loss": lambda x: tg.huber_loss(x, [0.0, 0.0]),
    "binary_cross_entropy": lambda x: tg.binary_cross_entropy(x, [0.0, 0.0]),
    "layer_norm": lambda x: tg.layer_norm(x, 2),
    "adaptive_max_pool2d": lambda x: tg.adaptive_max_pool2d(tg.reshape(x, (1, 1, 1, 2)), 1),
    "max": lambda x: tg.max(x, 0),
    "norm": tg.norm,
    "logsumexp": tg.logsumexp,
    "softmax": lambda x: tg.softmax(x, 0),
    "max_pool2d": lambda x: tg.max_pool2d(tg.reshape(x, (1, 1, 1, -1)), (1, 2)),
    "where": lambda x: tg.where(np.array([True, False]), x, 0.0),
    "cross_entropy": lambda x: tg.cross_entropy(tg.reshape(x, (1, 2)), [0]),
}


@pytest.mark.parametrize("name", NAN_THROUGH)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_propagates(name: str) -> None:
    assert np.isnan(value(NAN_THROUGH[name], [np.array([np.nan, 0.5])])).any()


@pytest.mark.parametrize("f", [ops.relu, ops.abs, ops.sigmoid, ops.tanh, lambda x: tg.maximum(x, 0.0), lambda x: x * x])
def test_a_nan_cotangent_and_a_nan_input_are_never_swallowed(f: Callable[..., Tensor]) -> None:
    assert np.isnan(tape_vjp(f, [np.ones(1)], np.array([np.nan]))[0]).all()
    (c,) = tape_vjp(f, [np.array([np.nan])], np.ones(1))
    assert c[0] != 0


def test_a_mask_stops_an_infinite_cotangent() -> None:
    assert tape_vjp(tg.relu, [np.array([-1.0, 1.0])], np.array([np.inf, np.inf]))[0].tolist() == [0.0, np.inf]
    both = tape_vjp(lambda a, b: tg.where(np.array([True, False]), a, b), [np.ones(2), np.ones(2)], np.full(2, np.inf))
    assert [c.tolist() for c in both] == [[np.inf, 0.0], [0.0, np.inf]]


def test_infinities_give_limits() -> None:
    x = np.array([-np.inf, np.inf])
    assert value(tg.sigmoid, [x]).tolist() == [0.0, 1.0]
    assert value(tg.softplus, [x]).tolist() == [0.0, np.inf]
    assert value(tg.tanh, [x]).tolist() == [-1.0, 1.0]
    assert value(tg.logsumexp, [np.array([-np.inf, 3.0])]).tolist() == 3.0
    assert tape_vjp(tg.logsumexp, [np.array([-np.inf, 3.0])], np.array(1.0))[0].tolist() == [0.0, 1.0]


def test_large_arguments_do_not_overflow() -> None:
    x = np.array([-1e4, 1e4])
    with np.errstate(over="raise"):
        assert second(tg.sigmoid, x)[1].tolist() == [0.0, 0.0]
        assert second(tg.softplus, x)[1].tolist() == [0.0, 1.0]
        np.testing.assert_allclose(value(tg.logsumexp, [np.array([1e4, 1e4])]), 1e4 + np.log(2))


# float32 and scalars.
@pytest.mark.parametrize("scalar", [3, 3.0, np.float64(3), np.float32(3), np.int64(3)], ids=lambda s: type(s).__name__)
def test_a_number_beside_float32_does_not_promote(scalar: Any) -> None:
    def f(x: Tensor) -> Tensor:
        return (
            (x + scalar) * scalar / (scalar - x * x)
            + tg.maximum(x, scalar)
            + tg.where(x > scalar, scalar, x)
            + x**scalar
        )

    check_float32_stays(f, [np.array([0.5, -1.0])], np.random.default_rng(0))


def test_comparisons_are_made_in_the_tensors_own_precision() -> None:
    assert (tg.Tensor(np.float32([0.1])) == 0.1).array.all()


def test_mixed_precision_is_an_error_that_names_argument_and_cure() -> None:
    a, b = tg.Tensor(np.ones(2, np.float32)), tg.Tensor(np.ones(2))
    with pytest.raises(TypeError, match=r"add: a is float32, b is float64.*astype"):
        a + b


def test_an_integer_argument_is_an_error_that_names_the_cure() -> None:
    with pytest.raises(TypeError, match=r"exp: argument 0 has dtype int64.*Write 1.0 for 1"):
        tg.exp(np.arange(3))
    with pytest.raises(TypeError, match=r"'w'.*float32 and float64 carry gradients, got int64"):
        tg.Tensor([1, 2], requires_grad=True, name="w")


def test_astype_converts_and_the_cotangent_comes_back_converted() -> None:
    x = np.arange(4, dtype=np.float32)
    (c,) = tape_vjp(lambda t: t.astype(np.float64) * 2.0, [x], np.ones(4))
    assert c.dtype == np.float32 and c.tolist() == [2.0] * 4
    assert tg.Tensor([1, 2]).astype(np.float32).dtype == np.float32
    assert tg.Tensor([1.7]).astype(np.int64).array.tolist() == [1]
    with pytest.raises(TypeError, match="carries no gradient"):
        tg.Tensor([1.0], requires_grad=True).astype(np.int64)


def test_moving_to_the_same_device_keeps_values_and_gradients() -> None:
    assert tape_vjp(lambda t: t.to("cpu") * 2.0, [np.ones(2)], np.ones(2))[0].tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        tg.Tensor([1.0]).to("gpu")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("f", [ops.exp, lambda x: x * x * x, lambda x: x**3], ids=["exp", "product", "power"])
def test_nan_and_infinity_propagate_through_both_orders(f: Callable[..., Tensor], bad: float) -> None:
    assert all(not np.isfinite(a).any() for a in second(f, [bad]))


@pytest.mark.parametrize("f", [ops.tanh, ops.sigmoid, ops.softplus, ops.log, ops.sqrt, lambda x: tg.norm(x)])
def test_a_nan_reaches_the_second_derivative(f: Callable[..., Tensor]) -> None:
    assert np.isnan(second(f, [np.nan])[2]).all()


# Cross-entropy keeps its relative precision where the network is confident.
@pytest.mark.parametrize("gap", [0.0, 1.0, 10.0, 20.0, 40.0, 80.0, -80.0])
def test_cross_entropy_and_its_gradient_keep_relative_precision_in_float32(gap: float) -> None:
    z = np.array([[gap, 0.0, -1.0]], np.float32)
    wide = z.astype(np.longdouble)
    p = np.exp(wide - wide.max()) / np.exp(wide - wide.max()).sum()
    rest = p[0, 1] + p[0, 2]
    loss = np.log1p(np.exp(wide[0, 1:] - wide[0, 0]).sum()) if gap >= 0 else -np.log(p[0, 0])
    rtol = (4 + abs(gap)) * 2.0**-24  # exp(-gap) cannot be known better: the gap itself is rounded
    np.testing.assert_allclose(value(lambda t: tg.cross_entropy(t, [0]), [z]), float(loss), rtol)
    (c,) = tape_vjp(lambda t: tg.cross_entropy(t, [0]), [z], np.array(1.0, np.float32))
    np.testing.assert_allclose(c[0], [-float(rest), float(p[0, 1]), float(p[0, 2])], 2 * rtol)
    assert c.dtype == np.float32


def test_the_saturating_form_equals_the_other_until_it_saturates() -> None:
    z = np.random.default_rng(0).standard_normal((4, 3))
    both = [
        tape_vjp(lambda t, s=s: tg.cross_entropy(t, LABELS, 0.1, saturating=s), [z], np.array(1.0))[0]
        for s in (True, False)
    ]
    np.testing.assert_allclose(both[0], both[1], 1e-12)
    confident = np.array([[40.0, 0.0]], np.float32)
    one = np.array(1.0, np.float32)
    assert tape_vjp(lambda t: tg.cross_entropy(t, [0], saturating=True), [confident], one)[0][0, 0] == 0
    assert tape_vjp(lambda t: tg.cross_entropy(t, [0]), [confident], one)[0][0, 0] < 0


# Errors are written for the person who reads them.
MISUSE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "labels out of range": (
        lambda: tg.cross_entropy(Tensor(V), [0, 1, 3, 0]),
        ValueError,
        r"labels\[2\] is 3.*from 0 to 2",
    ),
    "labels of the wrong length": (
        lambda: tg.cross_entropy(Tensor(V), [0]),
        ValueError,
        r"expected 4 integers.*got shape \(1,\)",
    ),
    "labels that are floats": (
        lambda: tg.cross_entropy(Tensor(V), [0.0, 1.0, 2.0, 0.0]),
        ValueError,
        "integers.*float64",
    ),
    "an unknown reduction": (
        lambda: tg.cross_entropy(Tensor(V), LABELS, reduction="avg"),
        ValueError,
        "'avg'.*mean, sum, none",
    ),
    "an empty batch": (lambda: tg.cross_entropy(Tensor(V[:0]), []), ValueError, r"N ≥ 1.*\(0, 3\)"),
    "too much smoothing": (lambda: tg.cross_entropy(Tensor(V), LABELS, 1.0), ValueError, r"\[0, 1\), got 1.0"),
    "unmatched products": (lambda: Tensor(V) @ Tensor(V), ValueError, r"matmul.*\(4, 3\) and \(4, 3\)"),
    "a layer of the wrong width": (
        lambda: tg.linear(Tensor(V), Tensor(V.T)),
        ValueError,
        r"linear.*\(4, 3\).*4 inputs",
    ),
    "a wrong size": (lambda: Tensor(V).reshape(5, -1), ValueError, r"reshape.*12 entries"),
    "an axis that is not there": (lambda: Tensor(V).sum(2), ValueError, "axis 2 is out of range.* 2 axes"),
    "joining along an axis that is not there": (lambda: tg.concatenate([Tensor(V)] * 2, 2), ValueError, "axis 2"),
    "transposing one": (lambda: tg.transpose(Tensor(V), 0, 2), ValueError, "axis 2"),
    "an axis named twice": (lambda: Tensor(V).mean((0, -2)), ValueError, "named twice"),
    "a mean of nothing": (lambda: Tensor(V[:0]).mean(0), ValueError, r"mean over an empty axis.*\(0, 3\)"),
    "the maximum of nothing": (lambda: Tensor(V[:0]).max(), ValueError, "maximum over an empty axis"),
    "a probability above one": (
        lambda: tg.dropout(Tensor(V), 1.5, np.random.default_rng()),
        ValueError,
        r"\[0, 1\), got 1.5",
    ),
    "channels that do not fit": (lambda: tg.conv2d(Tensor(X), Tensor(K)), ValueError, "4 channels"),
    "an integer condition": (lambda: tg.where(np.array([1, 0]), Tensor([1.0, 2.0]), 0.0), TypeError, "bools.*int64"),
    "nothing to join": (lambda: tg.concatenate([]), ValueError, "at least one"),
    "None as a tensor": (lambda: tg.add(Tensor(V), None), TypeError, "argument 1 is None"),
    "too few arguments": (lambda: P["add"](Tensor(V)), TypeError, "expected 2 tensor arguments, got 1"),
    "padding for too few axes": (lambda: tg.pad(Tensor(V), [(1, 1)]), ValueError, "pad"),
}


def test_an_empty_batch_has_empty_reductions() -> None:
    for f in (tg.max, tg.mean, tg.logsumexp, tg.norm, tg.var, tg.sum):
        check_derivatives(lambda x, f=f: f(x, axis=1), [V[:0]], np.random.default_rng(0))


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_named(name: str) -> None:
    call, error, message = MISUSE[name]
    with pytest.raises(error, match=message):
        call()
