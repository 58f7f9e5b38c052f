"""Derivatives by arithmetic alone, to compare the tape with: complex step, and certified Richardson differences.

One idea: the backward pass of f is itself a function, (x, g) ↦ J(x)ᵀg, and its derivatives are checked like f's own,
and so on to any order. Differences are never nested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad2.autodiff import REGISTRY, Tensor, zero
from tinygrad2.autodiff.engine import algebra, vector_jacobian_product
from tinygrad2.autodiff.node import Node
from tinygrad2.autodiff.tensor import wrap
from tinygrad2.kernels.arrays import freeze
from tinygrad2.ops.elementwise import identity

Array = np.ndarray[Any, Any]
Function = Callable[..., Tensor]

RTOL = {"complex": 1e-11, "richardson": 1e-8}


class KinkCrossed(AssertionError):
    """The sample points of a difference quotient do not lie on one smooth piece: it says nothing."""


def value(f: Function, arrays: Sequence[Array]) -> Array:
    """f at constants, as an array; f maps Tensors to one Tensor."""
    return f(*[Tensor(a) for a in arrays]).array


def leaf(array: Array) -> Tensor:
    """A leaf of any dtype: complex leaves let the complex step look at the backward pass."""
    array = freeze(array)
    return wrap(array, Node(array))


def tape_vjp(f: Function, arrays: Sequence[Array], g: Array) -> list[Array]:
    """The tape's Jᵀg, one array per argument (zeros where f does not depend on it)."""
    return [c.array for c in _pulled(f, [leaf(a) for a in arrays], wrap(freeze(g), None), create_graph=False)]


def backward_of(f: Function) -> Function:
    """The function (*xs, g) ↦ Jᵀg, all results joined to one vector: f's backward pass as a function of Tensors."""

    def backward(*xs_and_g: Tensor) -> Tensor:
        *xs, g = xs_and_g
        fresh = [leaf(x.array) if x.node is None else identity(x) for x in xs]
        cotangents = _pulled(f, fresh, g, create_graph=True)
        return algebra.concatenate([algebra.reshape(c, (-1,)) for c in cotangents])

    return backward


def _pulled(f: Function, xs: Sequence[Tensor], g: Tensor, create_graph: bool) -> list[Tensor]:
    results = vector_jacobian_product([f(*xs)], [g], xs, create_graph, allow_unused=True)
    return [wrap(freeze(np.zeros_like(x.array)), None) if c is None else c for x, c in zip(xs, results, strict=True)]


def complex_step(phi: Callable[[Sequence[Array]], Any], arrays: Sequence[Array], i: int, h: float = 1e-200) -> Array:
    """∂phi/∂arrays[i], entry by entry: Im phi(x + ih e)/h, exact to rounding. phi must be analytic there."""
    lifted = [a.astype(np.complex128) for a in arrays]
    result = np.zeros(arrays[i].shape)
    for at in np.ndindex(result.shape):
        moved = lifted[i].copy()
        moved[at] += 1j * h
        result[at] = phi([*lifted[:i], moved, *lifted[i + 1 :]]).imag / h
    return result


def richardson(phi: Callable[[Sequence[Array]], Any], arrays: Sequence[Array], i: int, h: float = 1e-3) -> Array:
    """∂phi/∂arrays[i], entry by entry, from central differences with steps h and h/2 (error h⁴).

    Raises KinkCrossed unless every piecewise constant primitive gives the same pattern at all sample points.
    """
    with patterns() as here:
        phi(arrays)

    def moved(at: tuple[int, ...], step: float) -> Any:
        point = arrays[i].copy()
        point[at] += step
        with patterns() as there:
            result = phi([*arrays[:i], point, *arrays[i + 1 :]])
        if len(here) != len(there) or not all(map(np.array_equal, here, there)):
            raise KinkCrossed(f"argument {i}, entry {at}, step {step}: a mask or an index changed; use a smaller h")
        return result

    result = np.zeros(arrays[i].shape)
    for at in np.ndindex(result.shape):
        wide, narrow = ((moved(at, s) - moved(at, -s)) / (2 * s) for s in (h, h / 2))
        result[at] = (4 * narrow - wide) / 3
    return result


@contextmanager
def patterns() -> Iterator[list[Array]]:
    """Collect what the piecewise constant primitives (masks, signs, ties, indices) give while the block runs."""
    seen: list[Array] = []
    constant = [p for p in REGISTRY.values() if p.rules and all(rule is zero for rule in p.rules)]
    plain = [p.fn for p in constant]

    def watched(fn: Callable[..., Array]) -> Callable[..., Array]:
        def watch(*args: Any) -> Array:
            seen.append(fn(*args))
            return seen[-1]

        return watch

    try:
        for p in constant:
            p.fn = watched(p.fn)
        yield seen
    finally:
        for p, fn in zip(constant, plain, strict=True):
            p.fn = fn


METHODS = {"complex": complex_step, "richardson": richardson}


def check_vjp(f: Function, arrays: Sequence[Array], g: Array, method: str = "complex", label: str = "") -> None:
    """AssertionError, which names argument and entries, unless the tape's Jᵀg is the derivative of ⟨g, f⟩."""
    before = [a.copy() for a in arrays]
    ours = tape_vjp(f, arrays, g)
    expected = [METHODS[method](lambda point: (g * value(f, point)).sum(), arrays, i) for i in range(len(arrays))]
    scale = max(
        np.abs(a).max(initial=0.0) for a in [g, *expected]
    )  # entries may cancel to 0, up to this one's rounding
    for i, (a, c, e) in enumerate(zip(arrays, ours, expected, strict=True)):
        assert (c.shape, c.dtype) == (a.shape, a.dtype), f"{label}argument {i}: got {c.shape}, {c.dtype}"
        np.testing.assert_allclose(c, e, RTOL[method], RTOL[method] * scale, err_msg=f"{label}argument {i}")
    assert all(map(np.array_equal, arrays, before)), f"{label}an input was changed"


def check_derivatives(
    f: Function, arrays: Sequence[Array], rng: np.random.Generator, orders: int = 2, method: str = "complex"
) -> None:
    """check_vjp of f, of its backward pass and so on, each with a new random cotangent; and ⟨u,Hv⟩ = ⟨v,Hu⟩."""
    check_symmetry(f, arrays, rng)
    for order in range(1, orders + 1):
        g = rng.standard_normal(value(f, arrays).shape)
        check_vjp(f, arrays, g, method, f"order {order}, ")
        f, arrays = backward_of(f), [*arrays, g]


def check_symmetry(f: Function, arrays: Sequence[Array], rng: np.random.Generator, rtol: float = 1e-11) -> None:
    """⟨u, Hv⟩ = ⟨v, Hu⟩ for the Hessian H of ⟨g, f⟩ by all arguments together."""
    g = rng.standard_normal(value(f, arrays).shape)
    n = sum(a.size for a in arrays)
    u, v = rng.standard_normal(n), rng.standard_normal(n)
    gradient = backward_of(f)

    def hessian_times(direction: Array) -> Array:
        products = tape_vjp(lambda *xs: gradient(*xs, wrap(freeze(g), None)), arrays, direction)
        return np.concatenate([p.reshape(-1) for p in products])

    hu, hv = hessian_times(u), hessian_times(v)
    scale = np.linalg.norm(u) * np.linalg.norm(hv) + 1e-300
    np.testing.assert_allclose(u @ hv, v @ hu, rtol, rtol * scale, err_msg="the Hessian is not symmetric")


def check_float32_stays(f: Function, arrays: Sequence[Array], rng: np.random.Generator) -> None:
    """float32 in, float32 out: the value, the first and the second backward pass."""
    arrays = [a.astype(np.float32) for a in arrays]
    for order in range(3):
        y = value(f, arrays)
        assert y.dtype == np.float32, f"order {order}: {y.dtype}"
        f, arrays = backward_of(f), [*arrays, rng.standard_normal(y.shape).astype(np.float32)]


def inner(a: Array, b: Array) -> float:
    """⟨a, b⟩, summed in float64."""
    return float((a.astype(np.float64) * b.astype(np.float64)).sum())
