"""Functions of functions, as JAX users know them: they nest to any order and all rest on one vector-Jacobian product.

A derivative is itself recorded exactly when somebody outside could ask for it: when a cotangent, an argument or what
the function closes over carries a gradient of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import numpy as np

from tinygrad2.autodiff.engine import algebra, as_tensor, made_before, seed, vector_jacobian_product, zero_cotangent
from tinygrad2.autodiff.errors import NotConnected, NotRecorded
from tinygrad2.autodiff.node import is_recording, next_id, recording, watched_from, watching_from
from tinygrad2.autodiff.tensor import Tensor, TensorLike, leaf, wrap
from tinygrad2.autodiff.tree import flatten, leaves, matched, written
from tinygrad2.kernels.arrays import device_of, to_device

__all__ = [
    "grad", "hessian", "hvp", "jacfwd", "jacobian", "jacrev", "jvp", "linearize", "stop_gradient", "value_and_grad",
    "vjp",
]  # fmt: skip

P = ParamSpec("P")
Tree = TypeVar("Tree")  # a tensor, or nested tuples, lists and dicts of tensors
Function = Callable[..., Any]  # returns one Tensor, or with has_aux a pair of that and anything
Positions = int | tuple[int, ...] | list[int]
Pull = Callable[[Tensor], list[Tensor]]

# The gradient of f has the type of the argument that it is taken by. So for a type checker the gradient of tg.exp may
# be a number or an array, and grad takes it again; when it runs, f must return a Tensor.


class _Call:
    """One recorded call of f: its value `y`, what it returned beside that, and the pull of cotangents to the leaves.

    constant: what it means that y does not depend on any argument: an error, or the derivative zero.
    """

    def __init__(self, f: Function, primals: Sequence[Any], has_aux: bool = False, constant: bool = False) -> None:
        given, self.rebuild = flatten(list(primals))
        self.places = [path for path, _ in leaves(list(primals))]
        outer = is_recording()
        start = next_id()
        with recording(True), watching_from(start if (before := watched_from()) is None else before):
            self.inner = [_fresh(x, outer) for x in given]
            y = f(*self.rebuild(iter(self.inner)))
            aux = None
            if has_aux:
                if not isinstance(y, tuple) or len(y) != 2:
                    raise TypeError(f"has_aux: {_name(f)} must return a pair (output, anything), got {_kind(y)}")
                y, aux = y
        self.start = start if outer else None
        self.inside = _as_output(y, constant)
        self.foreign = self._is_foreign(self.inside)
        self.value = self._outside(self.inside)
        found, rebuild = flatten(aux)
        self.aux = rebuild(iter([self._outside(t) if isinstance(t, Tensor) else t for t in found]))

    def _is_foreign(self, y: Tensor) -> bool:
        """Whether y also depends on what is older than this call, so that somebody outside may differentiate it."""
        return self.start is not None and y.node is not None and bool(made_before(self.start, y.node))

    def _outside(self, y: Tensor) -> Tensor:
        return wrap(y.array, y.node if self._is_foreign(y) else None)

    def pull(self, cotangent: Tensor) -> list[Tensor | None]:
        """Jᵀ·cotangent for each leaf; None for a leaf that y does not depend on."""
        if self.inside.node is None:
            return [None] * len(self.inner)
        record = is_recording() and (self.foreign or cotangent.requires_grad)
        return vector_jacobian_product([self.inside], [cotangent], self.inner, record, allow_unused=True)

    def pull_zeros(self, cotangent: Tensor) -> list[Tensor]:
        """The same with zeros for a leaf that y does not depend on."""
        return [zero_cotangent(x) if c is None else c for x, c in zip(self.inner, self.pull(cotangent), strict=True)]

    def puller(self, f: Function, allow_unused: bool, positions: Sequence[int] | None = None) -> Pull:
        """`pull_zeros` if unused arguments are allowed, else the same with an error that names one."""
        if allow_unused:
            return self.pull_zeros

        def pull(cotangent: Tensor) -> list[Tensor]:
            results = self.pull(cotangent)
            for (i, *path), c in zip(self.places, results, strict=True):
                if c is None:
                    at = i if positions is None else positions[int(str(i))]
                    raise NotConnected(
                        f"{written(tuple(path), f'argument {at}')} of {_name(f)} is not connected to its output: it "
                        "was not used in computing it (or only through .detach(), stop_gradient or no_grad). Leave it "
                        "out, or pass allow_unused=True to get zeros"
                    )
            return [c for c in results if c is not None]

        return pull


@overload
def vjp(
    f: Function, *primals: Any, has_aux: Literal[False] = False, allow_unused: bool = False
) -> tuple[Tensor, Callable[..., tuple[Any, ...]]]: ...
@overload
def vjp(
    f: Function, *primals: Any, has_aux: Literal[True], allow_unused: bool = False
) -> tuple[Tensor, Callable[..., tuple[Any, ...]], Any]: ...
def vjp(f: Function, *primals: Any, has_aux: bool = False, allow_unused: bool = False) -> Any:
    """f's value and its pullback g ↦ Jᵀg.

    f: returns one Tensor. primals: tensors of any shapes, or nested tuples, lists and dicts of tensors.
    has_aux: f returns a pair (output, anything), and vjp three results: the last is that anything.
    The pullback takes a cotangent of the output's shape and returns one result per primal, of its structure and shapes.
    Raises NotConnected where f does not depend on a primal; allow_unused: zeros instead.

    >>> y, pullback = tg.vjp(lambda x: x * x, tg.Tensor([1.0, 2.0]))
    >>> pullback(tg.Tensor([1.0, 10.0]))
    (Tensor([ 2., 40.], float64),)
    """
    _check_function("vjp", f, "vjp(f, x)")
    call = _Call(f, primals, has_aux)
    pull = call.puller(f, allow_unused)

    def pullback(g: TensorLike | None) -> tuple[Any, ...]:
        return tuple(call.rebuild(iter(pull(seed(call.inside, g)))))

    return (call.value, pullback, call.aux) if has_aux else (call.value, pullback)


@overload
def value_and_grad(
    f: Callable[Concatenate[Tree, P], TensorLike],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
    allow_unused: bool = False,
) -> Callable[Concatenate[Tree, P], tuple[Tensor, Tree]]: ...
@overload
def value_and_grad(
    f: Function, argnums: Positions, has_aux: bool = False, allow_unused: bool = False
) -> Callable[..., tuple[Any, Any]]: ...
@overload
def value_and_grad(
    f: Function, argnums: Positions = 0, *, has_aux: Literal[True], allow_unused: bool = False
) -> Callable[..., tuple[Any, Any]]: ...
def value_and_grad(
    f: Callable[..., Any], argnums: Positions = 0, has_aux: bool = False, allow_unused: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function that returns f's value and its gradient by the arguments `argnums`.

    f: returns a scalar, shape (). Its arguments: tensors of any shapes, or nested tuples, lists and dicts of them.
    argnums: one position, or a tuple of them; then the gradient is a tuple too.
    has_aux: f returns a pair (scalar, anything), which takes the place of the value.
    Raises NotConnected where f does not depend on such an argument; allow_unused: zeros instead.

    >>> tg.value_and_grad(lambda x: (x * x).sum())(tg.Tensor([1.0, 2.0]))
    (Tensor(5., float64), Tensor([2., 4.], float64))
    """
    positions = _positions("value_and_grad", f, argnums)

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        call = _Call(_of(f, args, positions, kwargs), [args[i] for i in positions], has_aux)
        y = call.inside
        if y.size != 1:
            raise ValueError(f"grad: {_name(f)} must return a scalar, got shape {y.shape}; use jacobian, or .sum()")
        grads = call.rebuild(iter(call.puller(f, allow_unused, positions)(seed(y))))
        gradient = grads[0] if _is_one(argnums) else tuple(grads)
        return ((call.value, call.aux) if has_aux else call.value), gradient

    return value_and_gradient


@overload
def grad(
    f: Callable[Concatenate[Tree, P], TensorLike],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
    allow_unused: bool = False,
) -> Callable[Concatenate[Tree, P], Tree]: ...
@overload
def grad(f: Function, argnums: Positions, has_aux: bool = False, allow_unused: bool = False) -> Callable[..., Any]: ...
@overload
def grad(
    f: Function, argnums: Positions = 0, *, has_aux: Literal[True], allow_unused: bool = False
) -> Callable[..., Any]: ...
def grad(
    f: Callable[..., Any], argnums: Positions = 0, has_aux: bool = False, allow_unused: bool = False
) -> Callable[..., Any]:
    """The function that returns the gradient of f by the arguments `argnums`, in their structure and shapes.

    f: returns a scalar, shape (). Its arguments: tensors of any shapes, or nested tuples, lists and dicts of them.
    argnums: one position, or a tuple of them; then the result is a tuple too.
    has_aux: f returns a pair (scalar, anything), and the result is a pair (gradient, anything).
    Raises NotConnected where f does not depend on such an argument; allow_unused: zeros instead.

    >>> tg.grad(lambda x: (x * x).sum())(tg.Tensor([1.0, 2.0]))
    Tensor([2., 4.], float64)
    """
    _positions("grad", f, argnums)
    both = value_and_grad(f, argnums, has_aux, allow_unused)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


@overload
def linearize(f: Function, *primals: Any, has_aux: Literal[False] = False) -> tuple[Tensor, Callable[..., Tensor]]: ...
@overload
def linearize(f: Function, *primals: Any, has_aux: Literal[True]) -> tuple[Tensor, Callable[..., Tensor], Any]: ...
def linearize(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """f's value and its jvp, the linear map of tangents v ↦ Jv.

    primals: as in `vjp`. The jvp takes one tangent per primal, of its structure and shapes; dicts match by their keys.
    An argument that f does not use adds nothing. has_aux: as in `vjp`.

    >>> y, jvp = tg.linearize(lambda x: x * x, tg.Tensor([1.0, 2.0]))
    >>> jvp(tg.Tensor([1.0, 10.0]))
    Tensor([ 2., 40.], float64)
    """
    # There is no forward mode here, because reverse mode contains it. The pullback p(g) = Jᵀg is a function that is
    # linear in g, so its own Jacobian is Jᵀ, at every g. The pullback of p therefore maps v to (Jᵀ)ᵀv = Jv. Any g will
    # do as the point at which p is differentiated; it is 0 here.
    _check_function("linearize", f, "linearize(f, x)")
    call = _Call(f, primals, has_aux, constant=True)
    transposed = _Call(lambda g: _join(call.pull_zeros(g)), [zero_cotangent(call.value)], constant=True)

    def jvp(*tangents: Any) -> Tensor:
        v = _join(_tangents(tangents, primals))
        with recording(is_recording() and (call.value.requires_grad or v.requires_grad)):
            return transposed.pull_zeros(v)[0]

    return (call.value, jvp, call.aux) if has_aux else (call.value, jvp)


@overload
def jvp(
    f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[False] = False
) -> tuple[Tensor, Tensor]: ...
@overload
def jvp(
    f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[True]
) -> tuple[Tensor, Tensor, Any]: ...
def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """f's value and the directional derivative Jv.

    primals: as in `vjp`, in a sequence. tangents: one per primal, of its structure and shapes; dicts match by their
    keys, and a number for a scalar takes its dtype. has_aux: as in `vjp`. Results: f's shape.

    >>> tg.jvp(lambda x: x * x, [tg.Tensor([1.0, 2.0])], [tg.Tensor([1.0, 10.0])])
    (Tensor([1., 4.], float64), Tensor([ 2., 40.], float64))
    """
    _check_sequences("jvp", f, primals, tangents)
    if has_aux:
        y, product, aux = linearize(f, *primals, has_aux=True)
        return y, product(*tangents), aux
    y, product = linearize(f, *primals)
    return y, product(*tangents)


def jacrev(
    f: Callable[P, Any], argnums: Positions = 0, has_aux: bool = False, allow_unused: bool = False
) -> Callable[P, Any]:
    """The function that returns the Jacobian of f by the arguments `argnums`, row by row in reverse mode.

    f: returns one Tensor. argnums: the position of an argument, or a tuple of them; then the result is a tuple too.
    Result: for each tensor x in the argument, in the argument's structure, out.shape + x.shape.
    has_aux, allow_unused: as in `grad`.

    >>> tg.jacrev(lambda x: x * x)(tg.Tensor([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], float64)
    """
    positions = _positions("jacobian", f, argnums)

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call = _Call(_of(f, args, positions, kwargs), [_branch(args[i]) for i in positions], has_aux)
        blocks = _stacked_rows(call.value, call.puller(f, allow_unused, positions), call.inner)
        shaped = [algebra.reshape(b, call.value.shape + x.shape) for b, x in zip(blocks, call.inner, strict=True)]
        return _arranged(call.rebuild(iter(shaped)), argnums, has_aux, call.aux)

    return jacobian_of


def jacfwd(
    f: Callable[P, Any], argnums: Positions = 0, has_aux: bool = False, allow_unused: bool = False
) -> Callable[P, Any]:
    """The function that returns the Jacobian of f by the arguments `argnums`, column by column in forward mode.

    Arguments and result: as in `jacrev`.

    >>> tg.jacfwd(lambda x: x * x)(tg.Tensor([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], float64)
    """
    positions = _positions("jacfwd", f, argnums)

    @wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call = _Call(_of(f, args, positions, kwargs), [_branch(args[i]) for i in positions], has_aux)
        pull = call.puller(f, allow_unused, positions)
        transposed = _Call(lambda g: _join(pull(g)), [zero_cotangent(call.value)], constant=True)
        zeros = [zero_cotangent(x) for x in call.inner]
        blocks = []
        for i, x in enumerate(call.inner):
            columns = []
            for e in _basis(x):
                with recording(is_recording() and call.foreign):
                    columns += transposed.pull_zeros(_join([*zeros[:i], e, *zeros[i + 1 :]]))
            shape = call.value.shape + x.shape
            blocks.append(algebra.reshape(algebra.stack(columns, -1), shape) if columns else _empty(shape, call.value))
        return _arranged(call.rebuild(iter(blocks)), argnums, has_aux, call.aux)

    return jacobian_of


jacobian = jacrev


def hessian(
    f: Callable[P, Any], argnums: Positions = 0, has_aux: bool = False, allow_unused: bool = False
) -> Callable[P, Any]:
    """The function that returns the second derivatives of the scalar function f by the arguments `argnums`.

    argnums: the position of an argument, or a tuple of them; then the result is a tuple of tuples.
    Result: for each pair of tensors x, z in the arguments, in their structure twice, x.shape + z.shape.
    has_aux, allow_unused: as in `grad`.

    >>> tg.hessian(lambda x: (x * x * x).sum())(tg.Tensor([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]], float64)
    """
    positions = _positions("hessian", f, argnums)
    gradient = grad(f, positions, has_aux=True, allow_unused=allow_unused) if has_aux else None
    plain = grad(f, positions, allow_unused=allow_unused)

    @wraps(f)
    def hessian_of(*args: Any, **kwargs: Any) -> Any:
        branches = [_branch(args[i]) for i in positions]

        def joined(*chosen: Any) -> tuple[Tensor, Any]:
            g, aux = _of(gradient or plain, args, positions, kwargs)(*chosen), None
            if gradient:
                g, aux = g
            return _join(g), aux

        call = _Call(joined, branches, has_aux=True)
        rows = iter(_split(_stacked_rows(call.value, call.pull_zeros, call.inner), call.inner))
        tree = call.rebuild(iter([_arranged(call.rebuild(iter(next(rows))), argnums) for _ in call.inner]))
        return _arranged(tree, argnums, has_aux, call.aux)

    return hessian_of


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian-vector product Hv of the scalar function f, without building H.

    primals: as in `vjp`, in a sequence. tangents: one per primal, of its structure and shapes; dicts match by their
    keys. An argument that f does not use has the second derivative zero.
    Returns one result per primal (bare for a single one), of the primal's structure and shapes.

    >>> tg.hvp(lambda x: (x * x * x).sum(), [tg.Tensor([1.0, 2.0])], [tg.Tensor([1.0, 1.0])])
    Tensor([ 6., 12.], float64)
    """
    # H is the Jacobian of the gradient, and it is symmetric: Hv = Hᵀv, which is the pullback of the gradient at v.
    _check_sequences("hvp", f, primals, tangents)
    gradient = grad(f, tuple(range(len(primals))), allow_unused=True)
    call = _Call(lambda *xs: _join(gradient(*xs)), primals, constant=True)
    results = call.rebuild(iter(call.pull_zeros(_join(_tangents(tangents, primals)))))
    return results[0] if len(primals) == 1 else tuple(results)


def stop_gradient(x: Tensor) -> Tensor:
    """x as a constant: the same values, any shape, through which no gradient passes.

    >>> tg.grad(lambda x: x * tg.stop_gradient(x))(3.0)
    Tensor(3., float64)
    """
    return _tensor(x).detach()


def _fresh(x: TensorLike, outer: bool) -> Tensor:
    """The tensor that f is to see: linked to x where an outer derivative may ask for it, else a leaf of its own."""
    if not isinstance(x, Tensor) or x.dtype.kind != "f":
        return Tensor(x, requires_grad=True)
    return algebra.identity(x) if outer and x.node is not None else leaf(x.array, x.name)


def _tensor(x: TensorLike) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


def _branch(x: Any) -> Any:
    """An argument of a Jacobian: nested lists that hold nothing but numbers are one tensor."""
    return Tensor(x) if isinstance(x, list | tuple) and all(np.isscalar(v) for v in flatten(x)[0]) else x


def _as_output(y: Any, constant: bool) -> Tensor:
    if not isinstance(y, Tensor):
        raise TypeError(
            f"the function must return one Tensor, got {_kind(y)}; differentiate each output alone, or return what is "
            "not to be differentiated second, with has_aux=True"
        )
    if y.node is None and (y.why or not constant):
        kind = NotRecorded if y.why else NotConnected
        raise kind(f"the output of shape {y.shape} does not depend on the arguments: {y.why or 'it is a constant'}")
    return y


def _kind(y: object) -> str:
    return type(y).__name__


def _check_function(name: str, f: object, usage: str) -> None:
    if isinstance(f, Tensor):
        raise TypeError(
            f"{name}: expected a function, got a Tensor. Write {usage} with the function that computes it; for the "
            "gradient of a result that is there already: tg.autograd.grad(loss, x)"
        )
    if not callable(f):
        raise TypeError(f"{name}: expected a function, got {_kind(f)}; write {usage}")


def _check_sequences(name: str, f: object, primals: object, tangents: object) -> None:
    """The primals and tangents of jvp and hvp, each in a sequence: a bare array would be taken apart."""
    usage = f"{name}(f, (x,), (v,))"
    _check_function(name, f, usage)
    for role, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, list | tuple):
            raise TypeError(
                f"{name}: the {role} are a tuple with one for each argument of f, as in {usage}; got a bare "
                f"{_kind(given)}"
            )


def _positions(name: str, f: object, argnums: Any) -> tuple[int, ...]:
    """argnums as a tuple of positions."""
    _check_function(name, f, f"{name}(f)(x)")
    try:
        if isinstance(argnums, bool | str):
            raise TypeError
        return (operator.index(argnums),) if _is_one(argnums) else tuple([operator.index(i) for i in argnums])
    except TypeError:
        raise TypeError(
            f"{name}: argnums is the position of an argument, or a tuple of positions; got {_kind(argnums)}. "
            f"{name}(f) is a function: to call it at x, write {name}(f)(x)"
        ) from None


def _is_one(argnums: Any) -> bool:
    return not isinstance(argnums, list | tuple | range)


def _of(f: Function, args: tuple[Any, ...], positions: tuple[int, ...], kwargs: dict[str, Any]) -> Function:
    """f as a function of the arguments at `positions` alone."""
    for i in positions:
        if not -len(args) <= i < len(args):
            raise ValueError(f"argnums: {_name(f)} was called with {len(args)} arguments, there is no number {i}")
    if len({i % len(args) for i in positions}) < len(positions):
        raise ValueError(f"argnums: {positions} names an argument of {_name(f)} twice")

    @wraps(f)
    def restricted(*chosen: Any) -> Any:
        new = list(args)
        for i, x in zip(positions, chosen, strict=True):
            new[i] = x
        return f(*new, **kwargs)

    return restricted


def _name(f: Function) -> str:
    return str(getattr(f, "__name__", getattr(f, "name", type(f).__name__)))


def _tangents(tangents: Sequence[Any], primals: Sequence[Any]) -> list[Tensor]:
    """The leaves of the tangents in the order of the primals' leaves, each of its primal's shape and dtype."""
    triples = [(place, v, _tensor(x)) for place, v, x in matched(tangents, primals, "tangents")]
    made = [as_tensor(v, x) for _, v, x in triples]
    shapes = [v.shape for v in made]
    expected = [x.shape for _, _, x in triples]
    if shapes != expected:
        raise ValueError(f"the tangents must have the shapes of the primals, {expected}; got {shapes}")
    for (place, _, x), v in zip(triples, made, strict=True):
        if (v.dtype, v.device) != (x.dtype, x.device):
            raise ValueError(
                f"{place}: a tangent must match its primal, {x.dtype} on {x.device}; got {v.dtype} on {v.device}"
            )
    return made


def _join(tree: Any) -> Tensor:
    """One flat vector of all leaves, so that several arguments are handled as one."""
    parts = [_tensor(x) for x in flatten(tree)[0]]
    return parts[0] if len(parts) == 1 else algebra.concatenate([algebra.reshape(x, (-1,)) for x in parts])


def _basis(x: Tensor) -> list[Tensor]:
    """The one-hot tensors of x's shape."""
    rows = to_device(np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape)), device_of(x.array))
    return [Tensor(row) for row in rows]


def _stacked_rows(y: Tensor, pull: Pull, xs: Sequence[Tensor]) -> list[Tensor]:
    """For each x the rows of the Jacobian of y, (y.size, *x.shape)."""
    rows = [pull(e) for e in _basis(y)]
    return [algebra.stack([row[j] for row in rows], 0) if rows else _empty((0, *x.shape), y) for j, x in enumerate(xs)]


def _split(blocks: Sequence[Tensor], xs: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The rows of the Jacobian of a joined gradient, taken apart again: for each x, one block for each z."""
    start = 0
    for x in xs:
        rows = slice(start, start + x.size)
        yield [algebra.reshape(b[rows], x.shape + z.shape) for b, z in zip(blocks, xs, strict=True)]
        start += x.size


def _arranged(results: Any, argnums: Any, has_aux: bool = False, aux: Any = None) -> Any:
    """One result for one position, a tuple for a tuple of them; with aux, a pair."""
    result = results[0] if _is_one(argnums) else tuple(results)
    return (result, aux) if has_aux else result


def _empty(shape: tuple[int, ...], y: Tensor) -> Tensor:
    return Tensor(to_device(np.zeros(shape, y.dtype), device_of(y.array)))
