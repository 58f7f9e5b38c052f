"""NumPy's functions on Tensors: what is recorded, what is refused and why, and what integers and bools do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy_expressions import failures

import tinygrad2 as tg
from tinygrad2.autodiff import NotRecorded, Tensor

Array = np.ndarray[Any, Any]

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def tensor(a: Any = A) -> Tensor:
    return Tensor(np.asarray(a, np.float64), requires_grad=True)


# Plain NumPy code is differentiated.


def energy(x: Any) -> Any:
    """Written for NumPy; it works for Tensors too."""
    return np.sum(np.exp(x) * x)


def test_a_function_in_plain_numpy_is_differentiated_to_any_order() -> None:
    x = np.array([0.5, 1.0])
    assert isinstance(energy(x), np.floating)
    f = energy
    for order in range(1, 5):
        f = (lambda g: lambda x: np.sum(g(x)))(tg.grad(f))
        expected = np.sum(np.exp(x) * (x + order))
        np.testing.assert_allclose(f(x).numpy(), expected, 1e-14)


def test_an_array_beside_a_tensor_is_a_constant_on_either_side() -> None:
    t = tensor()
    for y in (
        A * t,
        t * A,
        np.multiply(A, t),
        A @ t.T,
        A - t,
        A / t,
        t < A**2,
        np.where(A > 0, t, A),
        np.float64(2) * t,
    ):
        assert isinstance(y, Tensor) and y.requires_grad == (y.dtype != bool)
    np.testing.assert_array_equal((A - t).numpy(), np.zeros_like(A))


@pytest.mark.parametrize("ufunc", [np.add, np.maximum, np.minimum])
@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reduce_is_the_reduction(ufunc: np.ufunc, axis: Any, keepdims: bool) -> None:
    y = ufunc.reduce(tensor(), axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(y.numpy(), ufunc.reduce(A, axis=axis, keepdims=keepdims))
    assert ufunc.reduce(tensor()).shape == (3,)
    assert ufunc.reduce(tensor(), 1).shape == (2,)


def test_products_of_all_pairs_and_running_sums() -> None:
    t = tensor(A[0])
    np.testing.assert_array_equal(np.multiply.outer(t, A).numpy(), np.multiply.outer(A[0], A))
    np.testing.assert_array_equal(np.add.accumulate(tensor(), axis=1).numpy(), np.add.accumulate(A, axis=1))
    np.testing.assert_array_equal(np.multiply.accumulate(tensor()).numpy(), np.multiply.accumulate(A))
    np.testing.assert_array_equal(np.logical_and.reduce(tensor() > 0, axis=1).numpy(), [False, False])


# What cannot be recorded is refused with a sentence that says what to write.
T, B = tensor(), np.zeros_like(A)
SCALAR = np.zeros(())


def in_place() -> None:
    a = np.zeros_like(A)
    a += T


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a += t": (
        in_place,
        r"np\.add: an array that is written into, as in a \+= t, drops the gradient; write a = a \+ t",
    ),
    "out= of a ufunc": (lambda: np.exp(T, out=B), r"np\.exp: out= is not possible.*write y = np\.exp\(\.\.\.\)"),
    "out= of a function": (lambda: np.sum(T, out=SCALAR), r"np\.sum: out= is not possible with a Tensor.*write y ="),
    "where= of a ufunc": (
        lambda: np.exp(T, where=A > 0),
        r"np\.exp: where= .* np\.where\(condition, np\.exp\(\.\.\.\), other",
    ),
    "where= of a function": (lambda: np.sum(T, where=A > 0), r"np\.sum: where= is not possible"),
    "dtype=": (lambda: np.sum(T, dtype=np.float32), r"np\.sum: dtype= .* convert with x\.astype"),
    "initial=": (lambda: np.max(T, initial=0.0), r"np\.max: initial= .* np\.maximum\(np\.max\(\.\.\.\), initial\)"),
    "order=": (
        lambda: np.ravel(T, order="F"),
        r"np\.ravel: order= is not possible.*np\.ravel\(x\.detach\(\)\.numpy\(\)",
    ),
    "at": (lambda: np.add.at(B, [0], T), r"np\.add\.at is not recorded; write tg\.scatter_add"),
    "reduceat": (lambda: np.add.reduceat(T, [0, 1]), r"np\.add\.reduceat is not recorded"),
    "copyto": (lambda: np.copyto(B, T), r"np\.copyto writes into its argument.*write x = np\.where"),
    "put": (lambda: np.put(T, [0], 1.0), r"np\.put writes into its argument.*tg\.scatter_add"),
    "a reduction that has no rule": (lambda: np.subtract.reduce(T), r"np\.subtract\.reduce has no rule"),
    "a function without a rule": (
        lambda: np.nanmean(T),
        r"np\.nanmean has no rule .* nearest .* np\.mean; .*x\.detach\(\)",
    ),
    "a ufunc without a rule": (lambda: np.spacing(T), r"np\.spacing has no rule for a Tensor that carries a gradient"),
    "a function of a module": (lambda: np.linalg.cond(T), r"np\.linalg\.cond has no rule"),
    "in a list": (lambda: np.block([T[0], T[1]]), r"np\.block has no rule"),
    "objects": (lambda: np.array([None, 1], object) * T[0, :2], r"expected float32 or float64, got object"),
    "two precisions": (
        lambda: np.float32(A) * T,
        r"multiply: .*float(32|64).*float(32|64).*astype",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        call()


# A constant has nothing to lose.


def test_a_function_without_a_rule_is_numpys_own_for_a_constant() -> None:
    constant = Tensor(A)
    assert type(np.nanmean(constant)) is np.float64
    np.testing.assert_array_equal(np.spacing(constant), np.spacing(A))
    np.testing.assert_array_equal(np.lexsort([constant[0], constant[1]]), np.lexsort(list(A)))
    np.testing.assert_array_equal(np.nanmean(tensor().detach(), axis=0), np.nanmean(A, axis=0))
    with tg.no_grad():
        np.testing.assert_array_equal(np.cov(tensor() * 1.0), np.cov(A))


def test_a_function_whose_result_has_no_derivative_takes_every_tensor() -> None:
    t = tensor()
    assert np.shape(t) == (2, 3) and np.ndim(t) == 2 and np.size(t) == 6
    assert np.allclose(t, A) and np.array_equal(t, A) and np.isclose(t, A).all()
    assert np.result_type(t, np.float32) == np.float64
    assert not np.shares_memory(t, A.copy()) and not np.may_share_memory(t, A.copy())
    assert [list(at) for at in np.nonzero(t > 1.0)] == [[0, 1], [2, 0]]
    assert np.array2string(t) == np.array2string(A)


# Integers and bools are arrays without gradient.

INTEGERS: dict[str, Callable[[Any, Any], Any]] = {
    "sum of a comparison": lambda i, b: (i > 1).sum(),
    "share of hits": lambda i, b: (i == 2).mean(),
    "mean": lambda i, b: np.mean(i, axis=0),
    "var": lambda i, b: np.var(i),
    "sum": lambda i, b: np.sum(i, axis=1, keepdims=True),
    "sum of bools": lambda i, b: np.sum(b),
    "max": lambda i, b: i.max(axis=1),
    "min": lambda i, b: np.min(i),
    "and": lambda i, b: (i > 1) & b,
    "or": lambda i, b: b | (i < 2),
    "xor": lambda i, b: b ^ (i < 2),
    "not": lambda i, b: ~b,
    "bits": lambda i, b: (~i & 3) | i,
    "arithmetic": lambda i, b: (i + 1) * i - -i,
    "true division": lambda i, b: i / 2,
    "floor division": lambda i, b: i // 2,
    "remainder": lambda i, b: i % 2,
    "power": lambda i, b: i**2,
    "indexing": lambda i, b: i[b],
    "indexed by itself": lambda i, b: i[:, i[0]],
    "reshape": lambda i, b: np.reshape(i, (3, 2)).T,
    "concatenate": lambda i, b: np.concatenate([i, i], axis=1),
    "stack": lambda i, b: np.stack([b, b]),
    "where": lambda i, b: np.where(b, i, 0),
    "maximum": lambda i, b: np.maximum(i, 1),
    "abs": lambda i, b: np.abs(-i),
    "sign": lambda i, b: np.sign(-i),
    "exp": lambda i, b: np.exp(i),
    "sqrt": lambda i, b: np.sqrt(i),
    "beside a float": lambda i, b: i * 0.5,
    "logical_not": lambda i, b: np.logical_not(i),
    "all": lambda i, b: np.all(b, axis=0),
    "any": lambda i, b: np.any(i > 5),
    "cumsum": lambda i, b: np.cumsum(b),
    "sort": lambda i, b: np.sort(i, axis=1),
    "prod": lambda i, b: np.prod(i),
    "dot": lambda i, b: i @ i.T,
}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_integers_and_bools_are_as_in_numpy(name: str, dtype: type) -> None:
    i = np.array([[0, 1, 2], [1, 2, 1]], dtype)
    b = np.array([[True, False, True], [False, False, True]])
    expected = np.asarray(INTEGERS[name](i, b))
    y = INTEGERS[name](Tensor(i), Tensor(b))
    assert isinstance(y, Tensor) and not y.requires_grad
    assert y.dtype == (np.float64 if expected.dtype.kind == "f" else expected.dtype)
    np.testing.assert_allclose(y.numpy(), expected, 1e-3 if expected.dtype.itemsize < 8 else 1e-14)


def test_a_count_of_what_is_followed_has_derivative_zero() -> None:
    assert tg.grad(lambda x: ((x > 0) * 2.0).sum())(A).numpy().tolist() == np.zeros_like(A).tolist()
    assert tg.grad(lambda x: np.sum(x * (x > 0)))(A).numpy().tolist() == (A > 0).tolist()
    with pytest.raises(NotRecorded, match="made of integers or bools"):
        tg.grad(lambda x: Tensor([1, 2]).sum())(A)


# float32 stays float32.


@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2)])
def test_numbers_do_not_promote_float32(number: Any) -> None:
    t = Tensor(np.float32(np.abs(A)), requires_grad=True)
    for y in (
        number * t,
        t * number,
        np.add(t, number),
        np.power(t, number),
        np.maximum(number, t),
        t**number,
        number**t,
    ):
        assert y.dtype == np.float32
    assert tg.grad(lambda x: np.sum(np.exp(x) * number))(t).dtype == np.float32


@pytest.mark.parametrize("f", [np.sin, np.log, np.sum, np.mean, np.var, np.max, lambda x: np.arctan2(x, 1.5)])
def test_float32_stays_in_the_value_and_both_derivatives(f: Callable[..., Any]) -> None:
    x = np.float32(np.abs(A))
    y = Tensor(x, requires_grad=True)
    assert f(y).dtype == np.float32
    assert tg.grad(lambda t: np.sum(f(t)))(x).dtype == np.float32
    assert tg.hessian(lambda t: np.sum(f(t)))(x).dtype == np.float32


# Powers where x ≤ 0.


def test_a_power_with_exponents_for_each_entry_is_numpys_and_so_is_its_gradient() -> None:
    x = np.array([-2.0, 0.0, 3.0, -1.0, 0.0, 0.0])
    p = np.array([2.0, 2.0, 3.0, -1.0, 0.0, 1.0])
    y = Tensor(x, requires_grad=True) ** p
    np.testing.assert_array_equal(y.numpy(), x**p)
    np.testing.assert_array_equal(tg.grad(lambda t: np.sum(t**p))(x).numpy(), [-4.0, 0.0, 27.0, -1.0, 0.0, 1.0])
    np.testing.assert_array_equal((Tensor([-2.0, 0.0, 3.0]) ** np.array([2, 2, 3])).numpy(), [4.0, 0.0, 27.0])


def test_the_derivative_by_the_exponent_is_zero_at_zero_and_nan_below() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the logarithm of a negative number
        g = tg.grad(lambda p: np.sum(np.power(np.array([2.0, 0.0, 0.0, -1.0]), p)))(np.array([3.0, 2.0, 0.0, 2.0]))
    np.testing.assert_allclose(g.numpy(), [8.0 * np.log(2.0), 0.0, 0.0, np.nan])


def test_the_second_derivatives_of_a_power() -> None:
    h = tg.hessian(lambda t: t[0] ** t[1])(np.array([2.0, 3.0])).numpy()
    log = np.log(2.0)
    np.testing.assert_allclose(h, [[12.0, 4.0 + 12.0 * log], [4.0 + 12.0 * log, 8.0 * log**2]], 1e-14)
    mixed = tg.hessian(lambda t: t[0] ** t[1])(np.array([2.0, 0.0])).numpy()
    np.testing.assert_allclose(mixed, [[0.0, 0.5], [0.5, log**2]], 1e-14)


# Clip.


def test_the_cotangent_of_clip_goes_to_the_tensor_or_to_its_limit() -> None:
    x, low, high = np.array([-1.0, 0.0, 0.5, 1.0, 3.0]), np.zeros(5), np.ones(5)
    gradients = tg.grad(lambda x, a, b: np.sum(np.clip(x, a, b)), (0, 1, 2))(x, low, high)
    assert [g.numpy().tolist() for g in gradients] == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert np.clip(Tensor(x), None, 0.5).numpy().tolist() == [-1.0, 0.0, 0.5, 0.5, 0.5]
    assert np.clip(Tensor(x), 0.5, None).numpy().tolist() == [0.5, 0.5, 0.5, 1.0, 3.0]
    assert np.clip(Tensor(x), min=0.5).numpy().tolist() == [0.5, 0.5, 0.5, 1.0, 3.0]
    assert Tensor(x).clip(max=Tensor(low)).numpy().tolist() == [-1.0, 0.0, 0.0, 0.0, 0.0]
    assert np.clip(Tensor([1, 5]), 2, 3).dtype == np.int64
    assert np.isnan(np.clip(Tensor([np.nan]), 0.0, 1.0).numpy()).all()


# Random expressions; `make soak` runs a hundred thousand of them.


def test_random_expressions_have_numpys_value_and_right_derivatives() -> None:
    wrong = [reason for reason in failures(seed=0, count=2000) if reason is not None]
    assert not wrong, "\n".join(wrong[:5])
