"""Functions on whole arrays: NumPy's values, dtypes and axis forms; derivatives; integers; float32 sums; errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_cases import CASES, NUMPY, PLACES, ZEROS
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics import backward_of, check_derivatives, check_float32_stays, tape_vjp, value
from strategies import SEEDS

import tinygrad2 as tg
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.kernels import sum_over

Array = np.ndarray[Any, Any]


def rng(name: str = "") -> np.random.Generator:
    return np.random.default_rng(len(name))


# Values and derivatives.
@pytest.mark.parametrize("name", [*CASES, *PLACES])
def test_the_value_is_numpys(name: str) -> None:
    f, arrays = {**CASES, **PLACES}[name]
    y = f(tg, *map(Tensor, arrays)).numpy()
    expected = np.asarray(f(NUMPY, *arrays))
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y, expected, 1e-12, 1e-14)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_two_orders_are_those_of_the_complex_step(name: str) -> None:
    f, arrays = CASES[name]
    check_derivatives(lambda *xs: f(tg, *xs), arrays, rng(name))


SOME = [name for name in CASES if name.partition(",")[0] in ("prod", "cumprod", "std", "solve", "inv", "det", "sort")]


@pytest.mark.parametrize("name", SOME)
def test_derivatives_of_two_orders_are_those_of_certified_differences(name: str) -> None:
    f, arrays = CASES[name]
    check_derivatives(lambda *xs: f(tg, *xs), arrays, rng(name), method="richardson")


@pytest.mark.parametrize("name", ["prod, zeros", "cumprod, zeros", "matrix_power, 3"])
def test_the_third_derivatives_are_right_too(name: str) -> None:
    f, arrays = CASES[name]
    check_derivatives(lambda *xs: f(tg, *[x[:2] for x in xs]), arrays, rng(name), orders=3)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name: str) -> None:
    f, arrays = CASES[name]
    check_float32_stays(lambda *xs: f(tg, *xs), arrays, rng(name))


def test_places_have_derivative_zero_or_none() -> None:
    for name in ("argmin", "argsort", "slogdet, sign"):
        f, arrays = PLACES[name]
        x = Tensor(arrays[0], requires_grad=True)
        y = f(tg, x)
        (c,) = autograd.grad(y, x, [Tensor(np.ones(y.shape, y.dtype))])
        assert c is not None and not c.numpy().any()


# Every form of axis, every kind of number, empty axes: NumPy's values, shapes and dtypes.
REDUCTIONS = ("sum", "mean", "prod", "std", "var", "max", "min", "ptp", "any", "all", "count_nonzero", "median")
ONE_AXIS = ("cumsum", "cumprod", "argmax", "argmin", "sort", "argsort", "flip", "diff", "repeat", "roll")
EMPTY_OK = {"sum", "prod", "any", "all", "count_nonzero", "cumsum", "cumprod", "sort", "argsort", "flip", "repeat"}
DTYPES = ("float64", "float32", "int64", "int32", "uint8", "bool")


def entries(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Numbers of a kind, with repetitions where they are whole."""
    if dtype.startswith("float"):
        return generator.standard_normal(shape).astype(dtype)
    return generator.integers(0, 5, shape).astype(dtype) if dtype != "bool" else generator.random(shape) < 0.5


def same(ours: Tensor, theirs: Any, what: str) -> None:
    expected = np.asarray(theirs)
    assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype), what
    rtol = 1e-5 if ours.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(ours.numpy(), expected, rtol, rtol, err_msg=what)


@settings(max_examples=300)
@given(data=st.data())
def test_reductions_take_every_axis_form_and_every_kind_of_number(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(REDUCTIONS))
    shape = data.draw(st.lists(st.integers(0 if name in EMPTY_OK else 1, 3), max_size=4).map(tuple))
    one = st.integers(-len(shape), len(shape) - 1)
    several = st.lists(one, unique_by=lambda a: a % len(shape), max_size=3).map(tuple)
    axis = data.draw(st.none() | one | several | one.map(np.int64) if shape else st.sampled_from([None, ()]))
    dtype = data.draw(st.sampled_from([d for d in DTYPES if name != "ptp" or d != "bool"]))
    keepdims = data.draw(st.booleans())
    if name == "median" and isinstance(axis, tuple) and not axis:
        axis = None
    x = entries(np.random.default_rng(data.draw(SEEDS)), shape, dtype)
    theirs = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    same(getattr(tg, name)(Tensor(x), axis, keepdims), theirs, f"{name} {shape} {axis} {dtype}")


@settings(max_examples=300)
@given(data=st.data())
def test_functions_along_one_axis_take_every_form_of_it(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ONE_AXIS))
    shape = data.draw(st.lists(st.integers(0 if name in EMPTY_OK else 1, 3), min_size=1, max_size=3).map(tuple))
    one = st.integers(-len(shape), len(shape) - 1)
    axis = data.draw(one if name == "diff" else one | st.none() | one.map(np.int64))
    x = entries(np.random.default_rng(data.draw(SEEDS)), shape, data.draw(st.sampled_from(DTYPES)))
    more = {"repeat": (2,), "roll": (data.draw(st.integers(-4, 4)),), "diff": (1,)}.get(name, ())
    kind = {"kind": "stable"} if "sort" in name else {}
    ours = getattr(tg, name)(Tensor(x), *more, axis=axis)
    same(ours, getattr(np, name)(x, *more, axis=axis, **kind), f"{name} {shape} {axis} {x.dtype}")


@settings(max_examples=200)
@given(data=st.data())
def test_einsum_is_numpys_for_drawn_formulas(data: st.DataObject) -> None:
    sizes = {c: data.draw(st.integers(1, 3)) for c in "abcd"}
    letters = st.text("abcd", max_size=3)
    terms = data.draw(st.lists(letters, min_size=1, max_size=3))
    result = data.draw(st.lists(st.sampled_from(sorted(set("".join(terms))) or [""]), unique=True).map("".join))
    dots = data.draw(st.lists(st.integers(0, 2), min_size=len(terms), max_size=len(terms)))
    lead = [(2, 3)[2 - n :] if data.draw(st.booleans()) else (1,) * n for n in dots]
    generator = np.random.default_rng(data.draw(SEEDS))
    arrays = [generator.standard_normal((*a, *[sizes[c] for c in term])) for a, term in zip(lead, terms, strict=True)]
    formula = ",".join([f"...{term}" for term in terms]) + data.draw(st.sampled_from(["", f"->...{result}"]))
    expected = np.asarray(np.einsum(formula, *arrays))
    y = value(lambda *xs: tg.einsum(formula, *xs), arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, 1e-11, 1e-11)


@settings(max_examples=25)
@given(data=st.data())
def test_einsum_has_right_derivatives_for_drawn_formulas(data: st.DataObject) -> None:
    terms = data.draw(st.lists(st.text("abc", max_size=2), min_size=1, max_size=3))
    result = data.draw(st.lists(st.sampled_from(sorted(set("".join(terms))) or [""]), unique=True).map("".join))
    sizes = {c: data.draw(st.integers(1, 2)) for c in "abc"}
    generator = np.random.default_rng(data.draw(SEEDS))
    arrays = [generator.standard_normal([sizes[c] for c in term]) for term in terms]
    check_derivatives(lambda *xs: tg.einsum(f"{','.join(terms)}->{result}", *xs), arrays, generator)


@settings(max_examples=100)
@given(data=st.data())
def test_take_along_axis_broadcasts_as_numpy_does(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = [n if data.draw(st.booleans()) else 1 for n in shape]
    sizes[axis] = data.draw(st.integers(0, 3))
    generator = np.random.default_rng(data.draw(SEEDS))
    x, at = generator.standard_normal(shape), generator.integers(-shape[axis], shape[axis], sizes)
    same(tg.gather(Tensor(x), at, axis), np.take_along_axis(x, at, axis), "gather")
    check_derivatives(lambda t: tg.gather(t, at, axis), [x], generator)


@settings(max_examples=150)
@given(data=st.data())
def test_padding_is_numpys_in_every_mode(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    widths = [(data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))) for _ in shape]
    mode = data.draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
    x = entries(np.random.default_rng(data.draw(SEEDS)), tuple(shape), data.draw(st.sampled_from(DTYPES)))
    same(tg.pad(Tensor(x), widths, mode), np.pad(x, widths, mode), f"{shape} {widths} {mode}")


# Integers and bools are arrays without gradient.
def test_integers_and_bools_are_moved_joined_and_counted() -> None:
    i, b = Tensor(np.arange(6).reshape(2, 3)), Tensor(np.array([[True, False, True], [False, False, True]]))
    assert b.sum().item() == 3 and b.sum().dtype == np.int64
    assert i.mean().item() == 2.5 and i.mean(0).dtype == np.float64
    assert (Tensor([1.0, -1.0]) > 0).sum().item() == 1
    assert i[b].numpy().tolist() == [0, 2, 5]
    assert i[:, 1].numpy().tolist() == [1, 4] and i.T.shape == (3, 2)
    assert tg.concatenate([i, i]).dtype == tg.stack([i, i]).dtype == np.int64
    assert tg.max(i, 1).numpy().tolist() == [2, 5] and tg.min(b, 0).numpy().tolist() == [False, False, True]
    assert (i @ i.T).numpy().tolist() == [[5, 14], [14, 50]]
    assert tg.einsum("ij->j", i).numpy().tolist() == [3, 5, 7]
    assert tg.topk(i, 1).values.numpy().tolist() == [[2], [5]]
    assert tg.broadcast_to(b, (2, 2, 3)).dtype == tg.tile(b, 2).dtype == tg.tril(b).dtype == np.bool_
    assert tg.trace(i).item() == 4 and tg.diag(i[0]).numpy().tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 2]]
    assert not i.any().requires_grad and i.all().item() is False


def test_integers_beside_floats_are_still_refused() -> None:
    with pytest.raises(TypeError, match=r"concatenate: argument 1 has dtype int64"):
        tg.concatenate([Tensor([1.0]), Tensor([1])])


# float32 sums over leading axes (a mean of 10⁶ rows of 0.1 used to be 0.10096).
TENTH = float(np.float32(0.1))


def test_the_mean_of_a_million_float32_rows_is_right() -> None:
    x = Tensor(np.full((10**6, 2), 0.1, np.float32))
    np.testing.assert_allclose(tg.mean(x, 0).numpy(), TENTH, 4 * 2.0**-24)
    np.testing.assert_allclose(tg.mean(x).numpy(), TENTH, 4 * 2.0**-24)
    np.testing.assert_allclose(tg.cumsum(x[:, 0]).numpy()[-1], 1e6 * TENTH, 2.0**-23)


def test_a_bias_gradient_over_a_million_rows_is_right() -> None:
    cotangents = np.random.default_rng(0).random((10**6, 3)).astype(np.float32)
    (b,) = tape_vjp(lambda b: tg.zeros((10**6, 3), np.float32) + b, [np.zeros(3, np.float32)], cotangents)
    np.testing.assert_allclose(b, cotangents.sum(0, dtype=np.float64), 4 * 2.0**-24)


@settings(max_examples=60)
@given(data=st.data())
def test_sums_of_float32_are_right_over_all_axes_and_layouts(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(4000, 3), (3, 4000), (40, 5, 60), (7, 300, 2, 3), (129,), (2, 1000, 1)]))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True).map(tuple))
    x = np.random.default_rng(data.draw(SEEDS)).random(shape, np.float32) + np.float32(0.5)
    if data.draw(st.booleans()):
        x = np.asfortranarray(x)
    y = np.asarray(sum_over(x, axes))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, x.sum(axes, dtype=np.float64), 64 * 2.0**-24)


def test_infinity_and_nan_stay_in_their_columns() -> None:
    x = np.ones((1000, 3), np.float32)
    x[500, 1], x[501, 2] = np.inf, np.nan
    y = sum_over(x, (0,))
    assert y[0] == 1000 and y[1] == np.inf and np.isnan(y[2])


# Conventions.
def test_products_with_zeros_have_the_exact_hessian() -> None:
    """The derivative of x·y·z by x is y·z, and of that by y is z: also where entries are 0."""
    x = np.array([0.0, 0.0, 3.0])
    assert tg.grad(tg.prod)(x).numpy().tolist() == [0.0, 0.0, 0.0]
    assert tg.hessian(tg.prod)(x).numpy().tolist() == [[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert tg.prod(Tensor(ZEROS)).item() == 0 and tg.prod(Tensor(np.zeros((0, 2))), 0).numpy().tolist() == [1.0, 1.0]


def test_the_standard_deviation_of_equal_entries_is_zero_with_all_its_derivatives() -> None:
    x = np.full(3, 2.0)
    assert value(tg.std, [x]) == 0
    assert tape_vjp(tg.std, [x], np.array(1.0))[0].tolist() == [0.0] * 3
    assert tape_vjp(lambda t: backward_of(tg.std)(t, Tensor(1.0)), [x], np.ones(3))[0].tolist() == [0.0] * 3


def test_of_equal_entries_the_first_comes_first_in_both_directions() -> None:
    x = Tensor([2.0, 1.0, 2.0, 1.0])
    assert tg.argsort(x).numpy().tolist() == [1, 3, 0, 2]
    assert tg.topk(x, 4).indices.numpy().tolist() == [0, 2, 1, 3]
    assert tg.topk(x, 4, largest=False).indices.numpy().tolist() == [1, 3, 0, 2]
    assert tg.topk(x, 1).indices.item() == tg.argmax(x).item()


def test_nan_is_sorted_to_the_end_and_makes_a_median_nan() -> None:
    x = Tensor([np.nan, 1.0, 0.0])
    assert np.isnan(tg.sort(x).numpy()[2]) and np.isnan(tg.median(x).item())


def test_slogdet_does_not_overflow_where_det_does() -> None:
    x = Tensor(1e200 * np.eye(3))
    assert tg.slogdet(x).logabsdet.item() == pytest.approx(600 * np.log(10))
    assert np.isfinite(tape_vjp(lambda t: tg.slogdet(t).logabsdet, [x.numpy()], np.array(1.0))[0]).all()


def test_the_zeroth_power_of_a_matrix_has_derivative_zero() -> None:
    x = Tensor(np.eye(2) * 2, requires_grad=True)
    y = tg.matrix_power(x, 0)
    assert y.numpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    (c,) = autograd.grad(y.sum(), x)
    assert c is not None and not c.numpy().any()


def test_a_vector_is_only_what_has_one_axis_as_in_numpy_2() -> None:
    a = np.stack([np.eye(3)] * 3)
    assert tg.solve(a, np.ones((3, 3))).shape == np.linalg.solve(a, np.ones((3, 3))).shape == (3, 3, 3)
    assert tg.solve(a, np.ones(3)).shape == (3, 3)


# vmap.
def test_vmap_maps_any_axes_and_structures() -> None:
    g = np.random.default_rng(0)
    w, x, y = g.standard_normal((3, 2)), g.standard_normal((2, 5)), g.standard_normal((3, 5))

    def f(w: Tensor, point: dict[str, Tensor], scale: float) -> tuple[Tensor, Tensor]:
        return (w @ point["x"]) * scale, point["y"].sum()

    mapped = tg.vmap(f, (None, 1, None), out_axes=-1)
    left, right = mapped(Tensor(w), {"x": Tensor(x), "y": Tensor(y)}, 2.0)
    np.testing.assert_allclose(left.numpy(), 2 * w @ x, 1e-12)
    np.testing.assert_allclose(right.numpy(), y.sum(0), 1e-12)
    check_derivatives(lambda w, x: tg.vmap(lambda v: tg.tanh(w @ v), 1, 1)(x), [w, x], g)


def test_vmap_gives_the_gradient_of_each_sample_and_nests() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_allclose(tg.vmap(tg.grad(tg.prod))(x).numpy(), np.prod(x, 1, keepdims=True) / x, 1e-12)
    hessians = tg.vmap(tg.hessian(lambda t: (t**3).sum()))(x)
    np.testing.assert_allclose(hessians.numpy(), 6 * x[:, :, None] * np.eye(3), 1e-12)
    outer = tg.vmap(tg.vmap(lambda a, b: a * b, (None, 0)), (0, None))(x[0], x[1])
    np.testing.assert_allclose(outer.numpy(), np.outer(x[0], x[1]), 1e-12)


METHODS: dict[str, Callable[[Any], Any]] = {
    "squeeze": lambda x: x.reshape(1, 3, 4).squeeze(0),
    "ravel": lambda x: x.ravel(),
    "flatten": lambda x: x.flatten(),
    "repeat": lambda x: x.repeat(2, 1),
    "take": lambda x: x.take([0, 2], 1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(0),
    "prod": lambda x: x.prod(0),
    "std": lambda x: x.std(axis=1, ddof=1),
    "var": lambda x: x.var(axis=1, ddof=1),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x > -1).all(axis=1, keepdims=True),
    "argmin": lambda x: x.argmin(1),
    "argmax": lambda x: x.argmax(axis=1, keepdims=True),
    "argsort": lambda x: x.argsort(0),
    "dot": lambda x: x.dot(x.T),
    "diagonal": lambda x: x.diagonal(1),
    "trace": lambda x: x.trace(),
    "mT": lambda x: x.reshape(3, 2, 2).mT,
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_numpys(name: str) -> None:
    x = np.random.default_rng(3).standard_normal((3, 4))
    same(METHODS[name](Tensor(x)), METHODS[name](x), name)


# Errors name the operation, what was expected, and what came.
T = Tensor(np.ones((2, 3)))
MISUSE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "gather along no axis": (lambda: tg.gather(T, [[0]], 2), ValueError, "gather: axis 2 is out of range.*2 axes"),
    "gather with too few axes": (
        lambda: tg.gather(T, [0]),
        ValueError,
        r"gather: .*2 axes.*\(2, 3\).*got shape \(1,\)",
    ),
    "gather with floats": (lambda: tg.gather(T, [[0.5]]), TypeError, "gather: expected integers.*float64"),
    "take along no axis": (lambda: tg.take(T, [0], -3), ValueError, "take: axis -3 is out of range"),
    "take with bools": (lambda: tg.take(T, [True]), TypeError, "take: expected integers.*bool"),
    "an axis that is no integer": (lambda: T.sum("rows"), TypeError, "sum: an axis must be an integer, got"),
    "nothing to stack": (lambda: tg.stack([]), ValueError, "stack: expected at least one tensor, got none"),
    "stacking two shapes": (lambda: tg.stack([T, T[0]]), ValueError, r"stack: .*\(2, 3\) and \(3,\)"),
    "joining two shapes": (lambda: tg.concatenate([T, T.T]), ValueError, r"concatenate: shapes \(2, 3\) and \(3, 2\)"),
    "joining a number": (lambda: tg.concatenate(Tensor(1.0)), TypeError, "concatenate: expected a sequence"),
    "a negative width": (lambda: tg.pad(T, ((0, -1), (0, 0))), ValueError, "pad: expected widths of at least 0.*-1"),
    "a width in half": (lambda: tg.pad(T, 0.5), TypeError, "pad: expected integers.*0.5"),
    "an unknown mode": (lambda: tg.pad(T, 1, "circular"), ValueError, "pad: unknown mode 'circular'.*wrap"),
    "nothing to mirror": (lambda: tg.pad(T[:0], 1, "edge"), ValueError, r"pad: mode 'edge'.*axis 0.*\(0, 3\)"),
    "no axis of size 1": (lambda: tg.squeeze(T, 1), ValueError, r"squeeze: axis 1 of shape \(2, 3\) has size 3"),
    "unequal parts": (lambda: tg.split(T, 2, 1), ValueError, r"split: axis 1 of shape \(2, 3\).*2 equal parts"),
    "no parts": (lambda: tg.array_split(T, 0), ValueError, "array_split: expected at least one part, got 0"),
    "too many of the largest": (lambda: tg.topk(T, 4), ValueError, "topk: expected k from 0 to 3.*got 4"),
    "the place of the maximum of nothing": (lambda: tg.argmax(T[:0], 0), ValueError, "argmax over an empty axis"),
    "the median of nothing": (lambda: tg.median(T[:0]), ValueError, "median over an empty axis"),
    "too little freedom": (lambda: tg.var(T, 0, ddof=2), ValueError, "variance with ddof=2 needs more than 2 entries"),
    "wrong weights": (lambda: tg.average(T, 0, [1.0]), ValueError, r"average: expected weights of shape \(2, 3\)"),
    "counts that do not fit": (lambda: tg.repeat(T, [1, 2, 3], 0), ValueError, "repeat: expected one count, or 2"),
    "no matrix": (lambda: tg.inv(T), ValueError, r"inv: expected a square matrix.*\(2, 3\)"),
    "a wrong right side": (
        lambda: tg.solve(np.eye(2), np.ones(3)),
        ValueError,
        r"solve: a has shape \(2, 2\).*got \(3,\)",
    ),
    "a singular matrix": (lambda: tg.inv(np.zeros((2, 2))), np.linalg.LinAlgError, "inv: a matrix.*is singular"),
    "a singular equation": (
        lambda: tg.solve(np.zeros((2, 2)), np.ones(2)),
        np.linalg.LinAlgError,
        "solve: a matrix.*is singular",
    ),
    "the gradient of a determinant 0": (
        lambda: tg.grad(tg.det)(np.zeros((2, 2))),
        np.linalg.LinAlgError,
        "singular",
    ),
    "a vector's triangle": (lambda: tg.tril(T[0]), ValueError, r"tril: expected a matrix.*\(3,\)"),
    "unequal axes": (lambda: tg.tensordot(T, T, 1), ValueError, r"tensordot: axes \(1,\) of shape \(2, 3\)"),
    "a formula for other operands": (
        lambda: tg.einsum("ij,jk", T),
        ValueError,
        "einsum: 'ij,jk' names 2 operands, got 1",
    ),
    "a formula with a digit": (lambda: tg.einsum("i1", T), ValueError, "einsum: 'i1' holds '1'"),
    "a formula of other sizes": (lambda: tg.einsum("ij,ij", T, T.T), ValueError, "einsum: .*'i' has the sizes 2 and 3"),
    "a formula with too many letters": (lambda: tg.einsum("ijk", T), ValueError, r"'ijk'.*names 3 axes.*\(2, 3\)"),
    "a formula with a new letter": (lambda: tg.einsum("ij->k", T), ValueError, "letters of the operands.*'k'"),
    "lost dots": (lambda: tg.einsum("...j->j", T), ValueError, "the result needs it too"),
    "no formula": (lambda: tg.einsum(T, [0, 1]), TypeError, "einsum: the first argument is a formula"),
    "a diagonal of unequal axes": (lambda: tg.einsum("ii", T), ValueError, r"axes 0 and 1 of shape \(2, 3\)"),
    "mapping over two sizes": (lambda: tg.vmap(tg.add)(T, T.T), ValueError, r"vmap: expected one size.*\[2, 3\]"),
    "mapping over nothing": (lambda: tg.vmap(tg.exp)(T[:0]), ValueError, r"vmap: expected one size.*at least 1.*\[0\]"),
    "mapping over no axis": (lambda: tg.vmap(tg.exp, None)(T), ValueError, "vmap: .*no axis"),
    "too few axes to map": (lambda: tg.vmap(tg.add, (0,))(T, T), ValueError, "vmap: in_axes names 1 axes.*2 arguments"),
    "mapping a number": (lambda: tg.vmap(tg.exp)(1.0), ValueError, "vmap: argument 0: axis 0 is out of range"),
    "a side that is none": (lambda: tg.searchsorted(T[0], 1.0, "up"), ValueError, "searchsorted: side 'up'"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_named(name: str) -> None:
    call, error, message = MISUSE[name]
    with pytest.raises(error, match=message):
        call()


def test_numpy_integers_are_axes_sizes_and_shifts() -> None:
    one, two = np.int64(1), np.int64(2)
    assert T.sum(one).shape == (2,) and T.reshape(np.int64(3), two).shape == (3, 2)
    assert tg.roll(T, one, one).shape == tg.flip(T, one).shape == (2, 3)
    assert tg.repeat(T, two, one).shape == (2, 6) and tg.tile(T, two).shape == (2, 6)
    assert len(tg.split(T, two)) == 2 and tg.topk(T, two).values.shape == (2, 2)
    assert tg.broadcast_to(Tensor(1.0), two).shape == (2,) and T.reshape(np.array([3, 2])).shape == (3, 2)
    for k, axis in itertools.product((one, two), (np.int64(0), one)):
        assert tg.stack([T] * int(k), axis).ndim == 3
