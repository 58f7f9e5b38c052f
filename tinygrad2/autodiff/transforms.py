"""Functions of functions, as JAX users know them: they nest to any order and all rest on one vector-Jacobian product.

A derivative is itself recorded exactly when somebody outside could ask for it: when a cotangent, an argument or what
the function closes over carries a gradient of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad2.autodiff.engine import algebra, made_before, seed, vector_jacobian_product, zeros_like
from tinygrad2.autodiff.errors import NotConnected, NotRecorded
from tinygrad2.autodiff.node import is_recording, next_id, recording
from tinygrad2.autodiff.tensor import Tensor, wrap
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels.arrays import device_of, to_device

Function = Callable[..., Any]


def vjp(f: Function, *primals: Any) -> tuple[Tensor, Callable[[Any], tuple[Any, ...]]]:
    """f's value and its pullback g ↦ Jᵀg.

    primals: tensors, or nested tuples, lists and dicts of tensors. f: returns one Tensor.
    The pullback takes a cotangent of the output's shape and returns one result per primal, of its structure and shapes.
    Raises NotConnected where f does not depend on a primal.
    """
    given, rebuild = flatten(list(primals))
    outer, start = is_recording(), next_id()
    with recording(True):
        inner = [_fresh(x, outer) for x in given]
        y = _as_output(f(*rebuild(iter(inner))))
    foreign = outer and y.node is not None and bool(made_before(start, y.node))

    def pullback(g: Any) -> tuple[Any, ...]:
        cotangent = seed(y, g)
        record = is_recording() and (foreign or cotangent.requires_grad)
        results = vector_jacobian_product([y], [cotangent], inner, create_graph=record)
        return tuple(rebuild(iter(results)))

    value = wrap(y.array, y.node if foreign else None)
    return value, pullback


def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that returns f's value and its gradient by the arguments `argnums`; f must return a scalar."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        y, pullback = vjp(_of(f, args, positions, kwargs), *[args[i] for i in positions])
        if y.size != 1:
            raise ValueError(f"grad: {_name(f)} must return a scalar, got shape {y.shape}; use jacobian, or .sum()")
        grads = pullback(seed(y))
        return y, grads[0] if isinstance(argnums, int) else grads

    return value_and_gradient


def grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that returns the gradient of the scalar function f by arguments `argnums`, in their structure."""
    both = value_and_grad(f, argnums)
    return wraps(f)(lambda *args, **kwargs: both(*args, **kwargs)[1])


def linearize(f: Function, *primals: Any) -> tuple[Tensor, Callable[..., Tensor]]:
    """f's value and the linear map of tangents v ↦ Jv: the transpose of the pullback, which is linear itself."""
    y, pullback = vjp(f, *primals)
    _, transposed = vjp(lambda g: _join(pullback(g)), zeros_like(y))

    def jvp(*tangents: Any) -> Tensor:
        v = _join(tangents, primals)
        with recording(is_recording() and (y.requires_grad or v.requires_grad)):
            result: Tensor = transposed(v)[0]
        return result

    return y, jvp


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """f's value and the directional derivative Jv; one tangent per primal, of its structure and shapes."""
    y, product = linearize(f, *primals)
    return y, product(*tangents)


def jacrev(f: Function, argnum: int = 0) -> Function:
    """The Jacobian of f by one argument, row by row in reverse mode. Result: out.shape + x.shape."""

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Tensor:
        restricted, x = _of(f, args, (argnum,), kwargs), _tensor(args[argnum])
        y, pullback = vjp(restricted, x)
        rows = [pullback(e)[0] for e in _basis(y)]
        return algebra.reshape(algebra.stack(rows, 0), y.shape + x.shape) if rows else _empty(y, x)

    return jacobian_of


def jacfwd(f: Function, argnum: int = 0) -> Function:
    """The Jacobian of f by one argument, column by column in forward mode. Result: out.shape + x.shape."""

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Tensor:
        restricted, x = _of(f, args, (argnum,), kwargs), _tensor(args[argnum])
        y, product = linearize(restricted, x)
        columns = [product(e) for e in _basis(x)]
        return algebra.reshape(algebra.stack(columns, -1), y.shape + x.shape) if columns else _empty(y, x)

    return jacobian_of


jacobian = jacrev


def hessian(f: Function, argnum: int = 0) -> Function:
    """The matrix of second derivatives of the scalar function f by one argument. Result: x.shape + x.shape."""
    return jacrev(grad(f, argnum), argnum)


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian-vector product of the scalar function f: the pullback of its gradient, as the Hessian is symmetric.

    Returns one result per primal (bare for a single one), of the primal's structure and shapes.
    """
    _, pullback = vjp(lambda *xs: _join(grad(f, tuple(range(len(primals))))(*xs)), *primals)
    results = pullback(_join(tangents, primals))
    return results[0] if len(primals) == 1 else results


def stop_gradient(x: Tensor) -> Tensor:
    """x as a constant."""
    return x.detach()


def _fresh(x: Any, outer: bool) -> Tensor:
    """The tensor that f is to see: linked to x where an outer derivative may ask for it, else a leaf of its own."""
    x = _tensor(x)
    return algebra.identity(x) if outer and x.node is not None else Tensor(x.array, requires_grad=True, name=x.name)


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


def _as_output(y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(f"the function must return one Tensor, got {type(y).__name__}; differentiate each output alone")
    if y.node is None:
        kind = NotRecorded if y.why else NotConnected
        raise kind(f"the output of shape {y.shape} does not depend on the arguments: {y.why or 'it is a constant'}")
    return y


def _of(f: Function, args: tuple[Any, ...], positions: tuple[int, ...], kwargs: dict[str, Any]) -> Function:
    """f as a function of the arguments at `positions` alone."""
    for i in positions:
        if not -len(args) <= i < len(args):
            raise ValueError(f"argnums: {_name(f)} was called with {len(args)} arguments, there is no number {i}")

    def restricted(*chosen: Any) -> Any:
        new = list(args)
        for i, x in zip(positions, chosen, strict=True):
            new[i] = x
        return f(*new, **kwargs)

    return restricted


def _name(f: Function) -> str:
    return getattr(f, "__name__", getattr(f, "name", type(f).__name__))


def _join(tree: Any, like: Any = None) -> Tensor:
    """One flat vector of all leaves, so that several arguments are handled as one; shaped as `like`, if given."""
    leaves = [_tensor(x) for x in flatten(tree)[0]]
    shapes, expected = [x.shape for x in leaves], [np.shape(x) for x in flatten(like)[0]]
    if like is not None and shapes != expected:
        raise ValueError(f"the tangents must have the shapes of the primals, {expected}; got {shapes}")
    return leaves[0] if len(leaves) == 1 else algebra.concatenate([algebra.reshape(x, (-1,)) for x in leaves])


def _basis(x: Tensor) -> list[Tensor]:
    """The one-hot tensors of x's shape."""
    rows = to_device(np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape)), device_of(x.array))
    return [Tensor(row) for row in rows]


def _empty(y: Tensor, x: Tensor) -> Tensor:
    return Tensor(to_device(np.zeros(y.shape + x.shape, y.dtype), device_of(y.array)))
