"""Every NumPy function of the table: values, dtypes, broadcasting and axis forms as in NumPy, and right derivatives.

The forms are written as a user writes them, in NumPy's own words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numerics import check_derivatives, check_float32_stays
from strategies import SEEDS

from tinygrad2 import ops
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.ops.numpy_functions import ACCUMULATIONS, CONSTANT, FUNCTIONS, IN_PLACE, PLAIN, REDUCTIONS, UFUNCS
from tinygrad2.ops.numpy_protocol import name_of

Array = np.ndarray[Any, Any]

# What MyGrad 2.5 covers.
OF_MYGRAD = """
    absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cos cosh divide exp exp2 expm1 log log10
    log1p log2 logaddexp logaddexp2 matmul maximum minimum multiply negative positive power reciprocal sin sinh sqrt
    square subtract tan tanh
    ceil divmod equal floor floor_divide fmod greater greater_equal isfinite isinf isnan less less_equal logical_and
    logical_not logical_or logical_xor not_equal remainder rint sign signbit trunc
    amax amin any argmax argmin atleast_1d atleast_2d atleast_3d broadcast_to clip concatenate cumprod cumsum einsum
    empty_like expand_dims full_like linalg.norm max mean min moveaxis ones_like prod ravel repeat reshape roll squeeze
    stack std sum swapaxes transpose var where zeros_like
    allclose bincount can_cast copyto isclose may_share_memory min_scalar_type result_type shape shares_memory
"""
# What HIPS autograd has beyond it, and people of this field write.
BEYOND = """
    column_stack diag diagonal diff dot fliplr flipud flip hstack hypot inner kron linalg.det linalg.inv linalg.slogdet
    linalg.solve outer pad rot90 sort split tensordot tile trace tril triu vstack array_split dstack degrees radians
    take_along_axis take
"""


def of_name(name: str) -> Any:
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", OF_MYGRAD.split() + BEYOND.split())
def test_what_others_cover_is_covered(name: str) -> None:
    assert of_name(name) in {**UFUNCS, **FUNCTIONS, **dict.fromkeys(PLAIN), **IN_PLACE}


# Elementwise functions.

DOMAIN: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("arccos", "arcsin", "arctanh", "tan"), (-0.9, 0.9)),
    "arccosh": (1.25, 3.0),
}
POSITIVE = {
    "arctan2", "cbrt", "divide", "hypot", "log", "log10", "log1p", "log2", "power", "reciprocal", "sqrt",
}  # fmt: skip
INTEGERS_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}


def drawn(ufunc: np.ufunc, shapes: Any, rng: np.random.Generator) -> list[Array]:
    """Arguments away from kinks and ties: the second is never near the first, nor a quotient near a whole number."""
    name = ufunc.__name__
    low, high = DOMAIN.get(name, (0.5, 2.0) if name in POSITIVE else (-2.0, 2.0))
    if name in INTEGERS_ONLY:
        return [rng.integers(0, 8, shape) for shape in shapes]
    if name in ("maximum", "minimum", "remainder", "fmod", "divmod", "floor_divide", "absolute", "fabs"):
        return [rng.uniform(3.3, 3.5, shapes[0]), *(rng.uniform(0.98, 1.02, shape) for shape in shapes[1:])]
    return [rng.uniform(low, high, shape) for shape in shapes]


@st.composite
def arguments(draw: st.DrawFn, ufunc: np.ufunc) -> list[Array]:
    rng = np.random.default_rng(draw(SEEDS))
    if ufunc is np.matmul:
        shapes = draw(st.sampled_from([((2, 3), (3, 4)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 2)), ((3,), (2, 3, 2))]))
    else:
        both = mutually_broadcastable_shapes(num_shapes=ufunc.nin, min_side=0, max_side=3, max_dims=3)
        shapes = draw(both).input_shapes
    return drawn(ufunc, shapes, rng)


def several(y: Any) -> tuple[Any, ...]:
    return tuple(y) if isinstance(y, tuple | list) else (y,)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=name_of)
@settings(max_examples=15)
@given(data=st.data())
def test_a_ufunc_has_numpys_values_and_dtypes(ufunc: np.ufunc, data: st.DataObject) -> None:
    for dtype in (np.float64, np.float32, np.int64):
        if ufunc.__name__ in INTEGERS_ONLY and dtype is not np.int64:
            continue
        xs = [x.astype(dtype) for x in data.draw(arguments(ufunc))]
        with np.errstate(all="ignore"):
            expected = several(ufunc(*xs))
            found = several(ufunc(*map(Tensor, xs)))
        assert len(found) == len(expected)
        for y, e in zip(found, expected, strict=True):
            assert isinstance(y, Tensor) and (y.shape, y.dtype) == (e.shape, e.dtype)
            np.testing.assert_allclose(y.numpy(), e, 1e-14 if e.dtype != np.float32 else 1e-6)


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.__name__ not in INTEGERS_ONLY], ids=name_of)
@settings(max_examples=4)
@given(data=st.data())
def test_a_ufunc_has_right_derivatives_of_both_orders(ufunc: np.ufunc, data: st.DataObject) -> None:
    xs = data.draw(arguments(ufunc))
    y = several(ufunc(*[Tensor(x, requires_grad=True) for x in xs]))[-1]
    if y.dtype.kind != "f":
        return
    f = lambda *ts: several(ufunc(*ts))[-1]
    check_derivatives(f, xs, np.random.default_rng(0))
    check_float32_stays(f, xs, np.random.default_rng(0))


# All other functions. x: (2, 3), y: (2, 3), m: (3, 3) and regular, v: (3,), p: positive (2, 3), b: bools.

RNG = np.random.default_rng(3)
POINT: dict[str, Array] = {
    "x": (2 * RNG.permutation(6) - 5).reshape(2, 3) / 4.0,
    "y": (2 * RNG.permutation(6) - 4).reshape(2, 3) / 3.0,
    "m": RNG.normal(size=(3, 3)) + 2.0 * np.eye(3),
    "v": np.array([0.7, -1.3, 0.4]),
    "t": RNG.normal(size=(2, 2, 3)),
}
FORMS = """
    np.all(x > 0, axis=1)
    np.all(x)
    np.amax(x, 0)
    np.amin(x, axis=-1, keepdims=True)
    np.any(x > 0, axis=0, keepdims=True)
    np.any(x)
    np.argmax(x)
    np.argmax(x, axis=1)
    np.argmax(x, 0, keepdims=True)
    np.argmin(x, axis=-1)
    np.argsort(x)
    np.argsort(x, axis=0, kind='stable')
    np.around(x, 1)
    np.array_split(v, 2)
    np.array_split(x, 2, axis=1)
    np.atleast_1d(x[0, 0])
    np.atleast_1d(x, v)
    np.atleast_2d(v)
    np.atleast_3d(x)
    np.average(x)
    np.average(x, axis=1, weights=v)
    np.broadcast_arrays(x, v)
    np.broadcast_to(v, (2, 3))
    np.broadcast_to(array=v, shape=(4, 3))
    np.clip(x, -0.3, 0.3)
    np.clip(x, None, y)
    np.clip(x, a_min=y, a_max=None)
    np.clip(x, min=0.1, max=y)
    np.column_stack((v, x.T))
    np.concatenate((x, y))
    np.concatenate([x, y], axis=-1)
    np.concatenate([x, v], axis=None)
    np.copy(x)
    np.count_nonzero(x > 0)
    np.count_nonzero(x, axis=0)
    np.cumprod(x)
    np.cumprod(x, axis=1)
    np.cumsum(x)
    np.cumsum(x, 0)
    np.diag(v)
    np.diag(m, 1)
    np.diag(x)
    np.diagonal(m, offset=-1)
    np.diagonal(t, axis1=0, axis2=2)
    np.diff(x)
    np.diff(x, n=2)
    np.diff(x, axis=0)
    np.dot(x, m)
    np.dot(x, v)
    np.dot(v, v)
    np.dot(t, m)
    np.dstack([x, y])
    np.einsum('ij,jk->ik', x, m)
    np.einsum('ij,ij', x, y)
    np.einsum('ii->i', m)
    np.einsum('...j,j->...', t, v, optimize=True)
    np.expand_dims(x, 0)
    np.expand_dims(x, axis=(0, -1))
    np.fix(x)
    np.flip(x)
    np.flip(x, axis=1)
    np.fliplr(x)
    np.flipud(x)
    np.hstack((x, y))
    np.hstack([v, v])
    np.inner(x, v)
    np.inner(x, y)
    np.kron(x, v)
    np.linalg.det(m)
    np.linalg.inv(m)
    np.linalg.matrix_power(m, 3)
    np.linalg.matrix_power(m, -2)
    np.linalg.norm(x)
    np.linalg.norm(x, axis=1)
    np.linalg.norm(x, axis=-1, keepdims=True)
    np.linalg.norm(t, axis=(1, 2))
    np.linalg.norm(v, 1)
    np.linalg.norm(v, ord=np.inf)
    np.linalg.norm(x, ord=3, axis=0)
    np.linalg.norm(m, 'fro')
    np.linalg.slogdet(m)[1]
    np.linalg.solve(m, v)
    np.linalg.solve(m, x.T)
    np.max(x)
    np.max(x, axis=(0, 1))
    np.max(x, axis=-1, keepdims=True)
    np.mean(x)
    np.mean(x, 0)
    np.mean(x, axis=(0, -1), keepdims=True)
    np.median(x)
    np.median(x, axis=1)
    np.min(x)
    np.min(x, axis=0)
    np.moveaxis(t, 0, -1)
    np.moveaxis(t, (0, 1), (2, 0))
    np.outer(v, x)
    np.pad(x, 1)
    np.pad(x, ((1, 0), (0, 2)), constant_values=0.5)
    np.pad(x, (1, 2), 'constant')
    np.prod(x)
    np.prod(x, axis=1)
    np.prod(t, axis=(0, 2), keepdims=True)
    np.ptp(x)
    np.ptp(x, axis=0)
    np.ravel(t)
    np.repeat(x, 2)
    np.repeat(x, 2, axis=0)
    np.repeat(x, [1, 2, 0], axis=1)
    np.reshape(x, (3, 2))
    np.reshape(x, -1)
    np.lib.stride_tricks.sliding_window_view(x, 2, axis=0)
    np.lib.stride_tricks.sliding_window_view(x, (2, 2), (0, 1))
    np.roll(x, 1)
    np.roll(x, shift=-1, axis=1)
    np.roll(x, (1, 2), axis=(0, 1))
    np.rot90(x)
    np.rot90(t, k=3, axes=(1, 2))
    np.round(x, decimals=1)
    np.searchsorted(np.sort(v), x)
    np.sort(x)
    np.sort(x, axis=0)
    np.sort(x, axis=None)
    np.split(x, 3, axis=1)
    np.split(v, [1, 2])
    np.squeeze(x[:1])
    np.squeeze(x[:1], axis=0)
    np.stack([x, y])
    np.stack((x, y), axis=-1)
    np.std(x)
    np.std(x, axis=-1)
    np.std(x, axis=1, ddof=1, keepdims=True)
    np.sum(x)
    np.sum(x, axis=(0, 1))
    np.sum(x, -1, keepdims=True)
    np.sum(a=x, axis=0)
    np.swapaxes(t, 0, 2)
    np.take(x, [0, 2, 2], axis=1)
    np.take(x, 4)
    np.take_along_axis(x, np.array([[0], [2]]), axis=1)
    np.tensordot(x, m, 1)
    np.tensordot(t, m, axes=([2], [0]))
    np.tile(x, 2)
    np.tile(v, (2, 2))
    np.trace(m)
    np.trace(m, offset=1)
    np.transpose(x)
    np.transpose(t, (2, 0, 1))
    np.transpose(t, axes=[1, 0, 2])
    np.tril(m)
    np.tril(m, -1)
    np.triu(m, k=1)
    np.var(x)
    np.var(x, axis=(0, 1))
    np.var(x, ddof=1, axis=1)
    np.vdot(x, y)
    np.vstack([x, v])
    np.where(x > y, x, y)
    np.where(np.array([True, False, True]), x, 0.0)
    np.add.reduce(x)
    np.add.reduce(x, axis=1, keepdims=True)
    np.multiply.reduce(x, axis=None)
    np.maximum.reduce(x)
    np.minimum.reduce(x, 1)
    np.logical_and.reduce(x > 0)
    np.logical_or.reduce(x > 0, axis=1)
    np.add.accumulate(x)
    np.multiply.accumulate(x, axis=1)
    np.subtract.outer(v, x)
""".strip().splitlines()
FORMS = [form.strip() for form in FORMS]
# Sizes, constants, and a result with a part that is piecewise constant.
WITHOUT_SLOPE = [
    "np.empty_like(x) * 0.0",
    "np.full_like(x, 2.5)",
    "np.linalg.slogdet(m)",
    "np.ndim(x)",
    "np.ones_like(x)",
    "np.shape(x)",
    "np.size(x)",
    "np.zeros_like(x)",
]


def evaluated(form: str, point: dict[str, Any]) -> tuple[Any, ...]:
    return several(eval(form, {"np": np}, dict(point)))


def test_every_function_of_the_table_has_a_form() -> None:
    written = " ".join([*FORMS, *WITHOUT_SLOPE])
    wanted = [name_of(f) for f in FUNCTIONS]
    wanted += [f"{name_of(f)}.reduce" for f in REDUCTIONS] + [f"{name_of(f)}.accumulate" for f in ACCUMULATIONS]
    assert [name for name in wanted if f"{name}(" not in written] == []


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("form", [*FORMS, *WITHOUT_SLOPE])
def test_a_form_has_numpys_values_and_dtype(form: str, dtype: type) -> None:
    point = {name: a.astype(dtype) for name, a in POINT.items()}
    expected = evaluated(form, point)
    found = evaluated(form, {name: Tensor(a) for name, a in point.items()})
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        wanted = np.asarray(e)
        assert isinstance(y, Tensor) or form in WITHOUT_SLOPE, type(y)
        assert np.shape(y) == wanted.shape
        if isinstance(y, Tensor) and wanted.dtype != y.dtype:  # float32 stays, also beside float64 constants
            assert dtype is np.float32 and (wanted.dtype, y.dtype) == (np.float64, np.float32)
        np.testing.assert_allclose(np.asarray(y), wanted, 1e-13 if dtype is np.float64 else 3e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_right_derivatives_of_both_orders(form: str) -> None:
    names = [name for name in POINT if any(word == name for word in words(form))]
    found = evaluated(form, {name: Tensor(a, requires_grad=True) for name, a in POINT.items()})
    places = [i for i, y in enumerate(found) if y.dtype.kind == "f"]
    if not places:
        return

    def f(*xs: Tensor) -> Tensor:
        ys = evaluated(form, {**POINT, **dict(zip(names, xs, strict=True))})
        return ops.concatenate([ops.reshape(ys[i], (-1,)) for i in places])

    check_derivatives(f, [POINT[name] for name in names], np.random.default_rng(1))


def words(form: str) -> list[str]:
    """The single letters of a form that are variables, in its arguments."""
    text = "".join(c if c.isalnum() or c in "_'" else " " for c in form)
    return text.split()


@settings(max_examples=60)
@given(data=st.data())
def test_reductions_take_every_form_of_axis(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    places = st.integers(-len(shape), len(shape) - 1)
    several_axes = st.lists(st.integers(0, len(shape) - 1), unique=True, max_size=3).map(tuple)
    axis = data.draw(st.none() | places | several_axes)
    keepdims = data.draw(st.booleans())
    x = np.random.default_rng(data.draw(SEEDS)).normal(size=shape)
    for f in (np.sum, np.mean, np.var, np.std, np.prod, np.max, np.min, np.any, np.all, np.ptp):
        expected = np.asarray(f(x, axis=axis, keepdims=keepdims))
        y = f(Tensor(x), axis=axis, keepdims=keepdims)
        assert (y.shape, y.dtype) == (expected.shape, expected.dtype), f.__name__
        np.testing.assert_allclose(y.numpy(), expected, 1e-12, 1e-14, err_msg=f.__name__)


# The page is written from the tables.


def test_the_page_of_covered_functions_is_up_to_date() -> None:
    page = Path(__file__).parent.parent / "lessons" / "reference" / "numpy.md"
    expected = ops.numpy_table()
    assert page.read_text(encoding="utf-8") == expected, "write it anew with tg.ops.numpy_table()"


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_the_page_says_which_functions_have_derivative_zero(function: Any) -> None:
    forms = [form for form in [*FORMS, *WITHOUT_SLOPE] if form.startswith(f"{name_of(function)}(")]
    slopes = [0.0]
    for form in forms:
        leaves = {name: Tensor(a, requires_grad=True) for name, a in POINT.items()}
        for y in evaluated(form, leaves):
            if isinstance(y, Tensor) and y.requires_grad and y.dtype.kind == "f":
                found = autograd.grad(ops.sum(y), list(leaves.values()), allow_unused=True)
                slopes += [float(abs(g.numpy()).max()) for g in found if g is not None]
    assert forms and (max(slopes) == 0.0) == (function in CONSTANT)
