"""Functions of functions, as JAX users know them: they nest to any order and all rest on one vector-Jacobian product.

A derivative is itself recorded exactly when somebody outside could ask for it: when a cotangent, an argument or what
the function closes over carries a gradient of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import numpy as np

from tinygrad2.autodiff.engine import algebra, made_before, seed, vector_jacobian_product, zero_cotangent
from tinygrad2.autodiff.errors import NotConnected, NotRecorded
from tinygrad2.autodiff.node import is_recording, next_id, recording
from tinygrad2.autodiff.tensor import Tensor, TensorLike, wrap
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels.arrays import device_of, to_device

P = ParamSpec("P")
Tree = TypeVar("Tree")  # a tensor, or nested tuples, lists and dicts of tensors
Function = Callable[..., Tensor]

# The gradient of f has the type of the argument that it is taken by. So for a type checker the gradient of tg.exp may
# be a number or an array, and grad takes it again; when it runs, f must return a Tensor.


def vjp(f: Function, *primals: Any) -> tuple[Tensor, Callable[..., tuple[Any, ...]]]:
    """f's value and its pullback g ↦ Jᵀg.

    f: returns one Tensor. primals: tensors of any shapes, or nested tuples, lists and dicts of tensors.
    The pullback takes a cotangent of the output's shape and returns one result per primal, of its structure and shapes.
    Raises NotConnected where f does not depend on a primal.

    >>> y, pullback = tg.vjp(lambda x: x * x, tg.Tensor([1.0, 2.0]))
    >>> pullback(tg.Tensor([1.0, 10.0]))
    (Tensor([ 2., 40.], float64),)
    """
    given, rebuild = flatten(list(primals))
    outer = is_recording()
    start = next_id()
    with recording(True):
        inner = [_fresh(x, outer) for x in given]
        y = _as_output(f(*rebuild(iter(inner))))
    foreign = outer and y.node is not None and bool(made_before(start, y.node))

    def pullback(g: TensorLike | None) -> tuple[Any, ...]:
        cotangent = seed(y, g)
        record = is_recording() and (foreign or cotangent.requires_grad)
        results = vector_jacobian_product([y], [cotangent], inner, create_graph=record)
        return tuple(rebuild(iter(results)))

    value = wrap(y.array, y.node if foreign else None)
    return value, pullback


@overload
def value_and_grad(
    f: Callable[Concatenate[Tree, P], TensorLike], argnums: Literal[0] = 0
) -> Callable[Concatenate[Tree, P], tuple[Tensor, Tree]]: ...
@overload
def value_and_grad(f: Function, argnums: int | tuple[int, ...]) -> Callable[..., tuple[Tensor, Any]]: ...
def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., tuple[Tensor, Any]]:
    """The function that returns f's value and its gradient by the arguments `argnums`.

    f: returns a scalar, shape (). Its arguments: tensors of any shapes, or nested tuples, lists and dicts of them.
    argnums: one position, or a tuple of them; then the gradient is a tuple too.

    >>> tg.value_and_grad(lambda x: (x * x).sum())(tg.Tensor([1.0, 2.0]))
    (Tensor(5., float64), Tensor([2., 4.], float64))
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        y, pullback = vjp(_of(f, args, positions, kwargs), *[args[i] for i in positions])
        if y.size != 1:
            raise ValueError(f"grad: {_name(f)} must return a scalar, got shape {y.shape}; use jacobian, or .sum()")
        grads = pullback(seed(y))
        return y, grads[0] if isinstance(argnums, int) else grads

    return value_and_gradient


@overload
def grad(
    f: Callable[Concatenate[Tree, P], TensorLike], argnums: Literal[0] = 0
) -> Callable[Concatenate[Tree, P], Tree]: ...
@overload
def grad(f: Function, argnums: int | tuple[int, ...]) -> Callable[..., Any]: ...
def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that returns the gradient of f by the arguments `argnums`, in their structure and shapes.

    f: returns a scalar, shape (). Its arguments: tensors of any shapes, or nested tuples, lists and dicts of them.
    argnums: one position, or a tuple of them; then the result is a tuple too.

    >>> tg.grad(lambda x: (x * x).sum())(tg.Tensor([1.0, 2.0]))
    Tensor([2., 4.], float64)
    """
    both = value_and_grad(f, argnums)
    return wraps(f)(lambda *args, **kwargs: both(*args, **kwargs)[1])


def linearize(f: Function, *primals: Any) -> tuple[Tensor, Callable[..., Tensor]]:
    """f's value and its jvp, the linear map of tangents v ↦ Jv.

    primals: as in `vjp`. The jvp takes one tangent per primal, of its structure and shapes.

    >>> y, jvp = tg.linearize(lambda x: x * x, tg.Tensor([1.0, 2.0]))
    >>> jvp(tg.Tensor([1.0, 10.0]))
    Tensor([ 2., 40.], float64)
    """
    # There is no forward mode here, because reverse mode contains it. The pullback p(g) = Jᵀg is a function that is
    # linear in g, so its own Jacobian is Jᵀ, at every g. The pullback of p therefore maps v to (Jᵀ)ᵀv = Jv. Any g will
    # do as the point at which p is differentiated; it is 0 here.
    y, pullback = vjp(f, *primals)
    _, transposed = vjp(lambda g: _join(pullback(g)), zero_cotangent(y))

    def jvp(*tangents: Any) -> Tensor:
        v = _join(tangents, primals)
        with recording(is_recording() and (y.requires_grad or v.requires_grad)):
            result: Tensor = transposed(v)[0]
        return result

    return y, jvp


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """f's value and the directional derivative Jv.

    primals: as in `vjp`, in a sequence. tangents: one per primal, of its structure and shapes. Results: f's shape.

    >>> tg.jvp(lambda x: x * x, [tg.Tensor([1.0, 2.0])], [tg.Tensor([1.0, 10.0])])
    (Tensor([1., 4.], float64), Tensor([ 2., 40.], float64))
    """
    y, product = linearize(f, *primals)
    return y, product(*tangents)


def jacrev(f: Callable[P, Tensor], argnum: int = 0) -> Callable[P, Tensor]:
    """The function that returns the Jacobian of f by one argument, row by row in reverse mode.

    argnum: the position of the argument x, a tensor of any shape. Result: out.shape + x.shape.

    >>> tg.jacrev(lambda x: x * x)(tg.Tensor([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], float64)
    """

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Tensor:
        restricted = _of(f, args, (argnum,), kwargs)
        x = _tensor(args[argnum])
        y, pullback = vjp(restricted, x)
        rows = [pullback(e)[0] for e in _basis(y)]
        return algebra.reshape(algebra.stack(rows, 0), y.shape + x.shape) if rows else _empty(y, x)

    return jacobian_of


def jacfwd(f: Callable[P, Tensor], argnum: int = 0) -> Callable[P, Tensor]:
    """The function that returns the Jacobian of f by one argument, column by column in forward mode.

    argnum: the position of the argument x, a tensor of any shape. Result: out.shape + x.shape.

    >>> tg.jacfwd(lambda x: x * x)(tg.Tensor([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], float64)
    """

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Tensor:
        restricted = _of(f, args, (argnum,), kwargs)
        x = _tensor(args[argnum])
        y, product = linearize(restricted, x)
        columns = [product(e) for e in _basis(x)]
        return algebra.reshape(algebra.stack(columns, -1), y.shape + x.shape) if columns else _empty(y, x)

    return jacobian_of


jacobian = jacrev


def hessian(f: Callable[P, Tensor], argnum: int = 0) -> Callable[P, Tensor]:
    """The function that returns the second derivatives of the scalar function f by one argument.

    argnum: the position of the argument x, a tensor of any shape. Result: x.shape + x.shape.

    >>> tg.hessian(lambda x: (x * x * x).sum())(tg.Tensor([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]], float64)
    """
    return jacrev(grad(f, argnum), argnum)


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian-vector product Hv of the scalar function f, without building H.

    primals: as in `vjp`, in a sequence. tangents: one per primal, of its structure and shapes.
    Returns one result per primal (bare for a single one), of the primal's structure and shapes.

    >>> tg.hvp(lambda x: (x * x * x).sum(), [tg.Tensor([1.0, 2.0])], [tg.Tensor([1.0, 1.0])])
    Tensor([ 6., 12.], float64)
    """
    # H is the Jacobian of the gradient, and it is symmetric: Hv = Hᵀv, which is the pullback of the gradient at v.
    _, pullback = vjp(lambda *xs: _join(grad(f, tuple(range(len(primals))))(*xs)), *primals)
    results = pullback(_join(tangents, primals))
    return results[0] if len(primals) == 1 else results


def stop_gradient(x: Tensor) -> Tensor:
    """x as a constant: the same values, any shape, through which no gradient passes.

    >>> tg.grad(lambda x: x * tg.stop_gradient(x))(3.0)
    Tensor(3., float64)
    """
    return x.detach()


def _fresh(x: TensorLike, outer: bool) -> Tensor:
    """The tensor that f is to see: linked to x where an outer derivative may ask for it, else a leaf of its own."""
    x = _tensor(x)
    return algebra.identity(x) if outer and x.node is not None else Tensor(x.array, requires_grad=True, name=x.name)


def _tensor(x: TensorLike) -> Tensor:
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

    def restricted(*chosen: Any) -> Tensor:
        new = list(args)
        for i, x in zip(positions, chosen, strict=True):
            new[i] = x
        return f(*new, **kwargs)

    return restricted


def _name(f: Function) -> str:
    return str(getattr(f, "__name__", getattr(f, "name", type(f).__name__)))


def _join(tree: Any, like: Any = None) -> Tensor:
    """One flat vector of all leaves, so that several arguments are handled as one; shaped as `like`, if given."""
    leaves = [_tensor(x) for x in flatten(tree)[0]]
    if like is not None:
        shapes = [x.shape for x in leaves]
        expected = [np.shape(x) for x in flatten(like)[0]]
        if shapes != expected:
            raise ValueError(f"the tangents must have the shapes of the primals, {expected}; got {shapes}")
    return leaves[0] if len(leaves) == 1 else algebra.concatenate([algebra.reshape(x, (-1,)) for x in leaves])


def _basis(x: Tensor) -> list[Tensor]:
    """The one-hot tensors of x's shape."""
    rows = to_device(np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape)), device_of(x.array))
    return [Tensor(row) for row in rows]


def _empty(y: Tensor, x: Tensor) -> Tensor:
    return Tensor(to_device(np.zeros(y.shape + x.shape, y.dtype), device_of(y.array)))
