"""Reshaping, indexing and joining: linear maps that move entries, in pairs of adjoints, each the other's rule.

The sizes that an adjoint needs are constants of the call, so that the tape need not keep the arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, VariadicPrimitive
from tinygrad2.kernels import sum_over
from tinygrad2.kernels.arrays import Array, freeze, index_add, to_device, xp

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "concatenate", "expand_dims",
    "gather", "index", "moveaxis", "ravel", "reshape", "scatter_add", "squeeze", "stack", "swapaxes", "take",
    "take_along_axis", "transpose",
]  # fmt: skip

Axis = int | Sequence[int] | None
Indices = TensorLike

# fmt: off
_reshape: Primitive = Primitive("reshape", lambda x, shape, old: x.reshape(shape)).defvjp(
    lambda g, y, x, shape, old: _reshape(g, old, shape)
)
_transpose: Primitive = Primitive("transpose", lambda x, axes: x.transpose(axes)).defvjp(
    lambda g, y, x, axes: _transpose(g, tuple(int(i) for i in np.argsort(axes)))
)

# <broadcast(x), g> = <x, sum_to(g)>
_broadcast_to: Primitive = Primitive("broadcast_to", lambda x, big, small: np.broadcast_to(x, big))
_broadcast_to.defvjp(lambda g, y, x, big, small: _sum_to(g, small, big))
_sum_to: Primitive = Primitive("sum_to", lambda x, small, big: _sum_array(x, small)).defvjp(
    lambda g, y, x, small, big: _broadcast_to(g, big, small)
)

# <x[key], g> = <x, index_add(key, g)>
_index: Primitive = Primitive("index", lambda x, key, shape: x[key]).defvjp(
    lambda g, y, x, key, shape: _index_add(g, key, shape)
)
_index_add: Primitive = Primitive("index_add", lambda g, key, shape: index_add(shape, key, g)).defvjp(
    lambda v, y, g, key, shape: _index(v, key, shape)
)

_concatenate = VariadicPrimitive("concatenate", lambda xs, axis, edges: np.concatenate(xs, axis)).defvjp(
    lambda i, g, axis, edges: index(g, (slice(None),) * axis + (slice(edges[i], edges[i + 1]),))
)
# fmt: on


def _sum_array(x: Array, small: tuple[int, ...]) -> Array:
    """x summed over the axes along which an array of shape `small` was broadcast to x's shape."""
    lead = x.ndim - len(small)
    axes = list(range(lead))
    for i, n in enumerate(small, lead):
        if n != x.shape[i]:
            axes.append(i)
    return sum_over(x, tuple(axes)).reshape(small)


def unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """g summed over the axes along which an array of this shape was broadcast to g's shape.

    g: any shape that `shape` broadcasts to. Result: `shape`.
    """
    big = g.array.shape
    lead = len(big) - len(shape)
    for i, n in enumerate(shape, lead):
        if lead < 0 or n not in (1, big[i]):
            raise ValueError(f"a rule returned a cotangent of shape {big} for an input of shape {shape}")
    return _sum_to(g, shape, big)


def as_tensor(x: TensorLike) -> Tensor:
    """x itself, or a constant made of an array, a number or nested lists. x: any shape."""
    return x if isinstance(x, Tensor) else Tensor(x)


def position(axis: int, ndim: int, who: str = "a tensor") -> int:
    """The axis counted from the first one; ValueError where there is no such axis. who: the operation that asks."""
    try:
        at = operator.index(axis)
    except TypeError:
        raise TypeError(f"{who}: an axis must be an integer, got {axis!r}") from None
    if not -ndim <= at < ndim:
        raise ValueError(f"{who}: axis {at} is out of range for a tensor with {ndim} axes")
    return at % ndim


def positions(axis: Axis, ndim: int, who: str) -> tuple[int, ...]:
    """The axes counted from the first one: all for None. ValueError for one that is not there or is named twice."""
    given = range(ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple([position(a, ndim, who) for a in given])
    if len(set(axes)) < len(axes):
        raise ValueError(f"{who}: axis {axis}: an axis is named twice")
    return axes


def reshape(x: TensorLike, *shape: int | Sequence[int]) -> Tensor:
    """x in another shape. x: any shape. shape: integers, or one tuple of them; one size may be -1.

    Raises ValueError where the number of entries would change.

    >>> tg.reshape(tg.arange(6.0), (2, -1)).shape
    (2, 3)
    """
    x = as_tensor(x)
    old = x.array.shape
    size = x.array.size
    new = _sizes(shape)
    if -1 in new:
        rest = -math.prod(new)
        if rest > 0:
            at = new.index(-1)
            new = (*new[:at], size // rest, *new[at + 1 :])
    if math.prod(new) != size:
        raise ValueError(f"reshape: shape {old} has {size} entries, shape {new} needs {math.prod(new)}")
    return _reshape(x, new, old)


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Integers that were given one by one, or as one sequence."""
    return tuple(given[0]) if len(given) == 1 and np.iterable(given[0]) else given


def transpose(x: TensorLike, *axes: int | Sequence[int]) -> Tensor:
    """x with its axes in another order. x: any shape. axes: integers, or one tuple of them; none: reversed.

    >>> tg.transpose(tg.zeros((2, 3, 4)), 1, 0, 2).shape
    (3, 2, 4)
    """
    x = as_tensor(x)
    ndim = x.array.ndim
    return _transpose(x, tuple([position(a, ndim, "transpose") for a in _sizes(axes) or range(ndim)[::-1]]))


def swapaxes(x: TensorLike, a: int, b: int) -> Tensor:
    """x with two axes exchanged. x: any shape.

    >>> tg.swapaxes(tg.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = as_tensor(x)
    ndim = x.array.ndim
    order = list(range(ndim))
    a = position(a, ndim, "swapaxes")
    b = position(b, ndim, "swapaxes")
    order[a] = b
    order[b] = a
    return _transpose(x, tuple(order))


def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """x with some axes moved to other places; the rest keep their order. x: any shape, e.g. (N, C, H, W).

    >>> tg.moveaxis(tg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_tensor(x)
    ndim = x.array.ndim
    origins = positions(source, ndim, "moveaxis")
    targets = positions(destination, ndim, "moveaxis")
    if len(origins) != len(targets):
        raise ValueError(f"moveaxis: {len(origins)} axes cannot go to {len(targets)} places")
    order = [a for a in range(ndim) if a not in origins]
    for to, origin in sorted(zip(targets, origins, strict=True)):
        order.insert(to, origin)
    return _transpose(x, tuple(order))


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """x without axes of size 1: all of them, or those named. x: any shape, e.g. (N, 1) gives (N,).

    Raises ValueError for an axis of another size.

    >>> tg.squeeze(tg.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    x = as_tensor(x)
    shape = x.array.shape
    axes = [i for i, n in enumerate(shape) if n == 1] if axis is None else positions(axis, len(shape), "squeeze")
    for a in axes:
        if shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} of shape {shape} has size {shape[a]}; only size 1 can be left out")
    return _reshape(x, tuple([n for i, n in enumerate(shape) if i not in axes]), shape)


def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """x with a new axis of size 1 at each of the places, counted in the result. x: any shape, e.g. (N,) gives (N, 1).

    >>> tg.expand_dims(tg.zeros(3), axis=-1).shape
    (3, 1)
    """
    x = as_tensor(x)
    old = x.array.shape
    axes = positions(axis, len(old) + (len(axis) if isinstance(axis, Sequence) else 1), "expand_dims")
    new = list(old)
    for a in sorted(axes):
        new.insert(a, 1)
    return _reshape(x, tuple(new), old)


def ravel(x: TensorLike) -> Tensor:
    """All entries in one axis, in row-major order. x: any shape. Result: (x.size,).

    >>> tg.ravel(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 2., 3., 4.], float64)
    """
    x = as_tensor(x)
    return _reshape(x, (x.array.size,), x.array.shape)


def atleast_1d(x: TensorLike) -> Tensor:
    """x, with an axis where it has none. x: any shape; () gives (1,).

    >>> tg.atleast_1d(3.0)
    Tensor([3.], float64)
    """
    x = as_tensor(x)
    return x if x.ndim >= 1 else reshape(x, (1,))


def atleast_2d(x: TensorLike) -> Tensor:
    """x, with leading axes until it has two. x: any shape; (N,) gives (1, N).

    >>> tg.atleast_2d(tg.Tensor([1.0, 2.0])).shape
    (1, 2)
    """
    x = as_tensor(x)
    return x if x.ndim >= 2 else reshape(x, (1, x.size))


def atleast_3d(x: TensorLike) -> Tensor:
    """x, with axes until it has three, as NumPy places them. x: any shape; (N,) gives (1, N, 1), (M, N) (M, N, 1).

    >>> tg.atleast_3d(tg.zeros((2, 3))).shape
    (2, 3, 1)
    """
    x = as_tensor(x)
    return x if x.ndim >= 3 else reshape(atleast_2d(x), (*atleast_2d(x).shape, 1))


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """x repeated to the shape, by NumPy's broadcasting rule. x: any shape that broadcasts to it.

    >>> tg.broadcast_to(tg.Tensor([1.0, 2.0]), (3, 2)).shape
    (3, 2)
    """
    x = as_tensor(x)
    big = tuple(shape) if isinstance(shape, Sequence) else (operator.index(shape),)
    return _broadcast_to(x, big, x.array.shape)


def broadcast_arrays(*tensors: TensorLike) -> tuple[Tensor, ...]:
    """All tensors repeated to the one shape that they broadcast to. tensors: any shapes that broadcast.

    >>> a, b = tg.broadcast_arrays(tg.zeros((3, 1)), tg.zeros(4))
    >>> a.shape, b.shape
    ((3, 4), (3, 4))
    """
    xs = [as_tensor(x) for x in tensors]
    shape = np.broadcast_shapes(*[x.shape for x in xs])
    return tuple([x if x.shape == shape else broadcast_to(x, shape) for x in xs])


def index(x: TensorLike, key: Any) -> Tensor:
    """x[key] for every kind of NumPy key. x: any shape. An entry that is taken twice gets the sum of both cotangents.

    key: integers, slices, None, ..., or arrays of integers or bools.

    >>> tg.ops.index(tg.arange(6.0), slice(1, 6, 2))
    Tensor([1., 3., 5.], float64)
    """
    x = as_tensor(x)
    return _index(x, tuple([_part(k, x) for k in (key if isinstance(key, tuple) else (key,))]), x.array.shape)


def _part(k: Any, x: Tensor) -> Any:
    """One part of a key: arrays are frozen, because the backward pass reads them again, and brought to x's device."""
    at = k.array if isinstance(k, Tensor) else np.asarray(k, None if k else np.intp) if isinstance(k, list) else k
    if not hasattr(at, "dtype") or isinstance(at, np.generic):
        return at
    return freeze(at if type(at) is type(x.array) else to_device(at, x.device))


def gather(x: TensorLike, indices: Indices, axis: int = -1) -> Tensor:
    """Entries of x along one axis, as numpy.take_along_axis. x: any shape.

    indices: integers, with as many axes as x; the other axes broadcast against those of x.

    >>> tg.gather(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]], axis=1)
    Tensor([[2.],
            [3.]], float64)
    """
    x = as_tensor(x)
    axis = position(axis, x.ndim, "gather")
    return _index(x, _along(x, indices, axis, "gather"), x.array.shape)


def take_along_axis(x: TensorLike, indices: Indices, axis: int | None = -1) -> Tensor:
    """The same as `gather`, under NumPy's name. x: any shape. axis: None takes from all entries in row-major order.

    indices: integers, with as many axes as x; the other axes broadcast against those of x.

    >>> x = tg.Tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> tg.take_along_axis(x, tg.argsort(x, axis=1), axis=1)
    Tensor([[1., 3.],
            [2., 4.]], float64)
    """
    return gather(ravel(x), indices, 0) if axis is None else gather(x, indices, axis)


def take(x: TensorLike, indices: Indices, axis: int | None = None) -> Tensor:
    """Slices of x at the indices along the axis; one that is taken twice gets the sum of both cotangents. x: any shape.

    indices: integers of any shape, which takes the place of the axis. axis: None takes from all entries in row-major
    order.

    >>> tg.take(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], axis=1)
    Tensor([[2., 2., 1.],
            [4., 4., 3.]], float64)
    """
    x = as_tensor(x)
    if axis is None:
        return index(ravel(x), (_integers(x, indices, "take"),))
    return index(x, (slice(None),) * position(axis, x.ndim, "take") + (_integers(x, indices, "take"),))


def scatter_add(src: TensorLike, indices: Indices, size: int, axis: int = -1) -> Tensor:
    """The adjoint of gather: zeros, of `size` along the axis, to which src is added at the indices.

    src: any shape; indices: integers of src's shape. Result: src's shape, but `size` along the axis.

    >>> tg.scatter_add(tg.Tensor([1.0, 2.0, 3.0]), [0, 2, 2], 4)
    Tensor([1., 0., 5., 0.], float64)
    """
    src = as_tensor(src)
    axis = position(axis, src.ndim, "scatter_add")
    return _index_add(src, _along(src, indices, axis, "scatter_add"), (*src.shape[:axis], size, *src.shape[axis + 1 :]))


def _integers(x: Tensor, indices: Indices, who: str) -> Array:
    """The indices as a frozen array on x's device; TypeError where they are not integers."""
    at = _part(indices if hasattr(indices, "dtype") else np.asarray(indices, None if np.size(indices) else np.intp), x)
    if at.dtype.kind not in "iu":
        raise TypeError(f"{who}: expected integers as indices, got {at.dtype}")
    return at


def _along(x: Tensor, indices: Indices, axis: int, who: str) -> tuple[Any, ...]:
    """The key that takes, along the axis, the entry at each index, and along every other axis all positions."""
    at = _integers(x, indices, who)
    if at.ndim != x.ndim:
        raise ValueError(f"{who}: expected indices with {x.ndim} axes, as x of shape {x.shape}; got shape {at.shape}")
    grid: list[Any] = list(xp(at).ogrid[tuple(slice(n) for n in x.shape)])
    grid[axis] = at
    return tuple(grid)


def several(tensors: Sequence[TensorLike], who: str) -> list[Tensor]:
    """The tensors as a list of Tensors of any shapes; ValueError where there is none."""
    if isinstance(tensors, Tensor | np.ndarray) and tensors.ndim == 0:
        raise TypeError(f"{who}: expected a sequence of tensors, got one number")
    xs = [as_tensor(x) for x in tensors]
    if not xs:
        raise ValueError(f"{who}: expected at least one tensor, got none")
    return xs


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The tensors joined along an axis that exists. tensors: shapes that differ only along it.

    >>> tg.concatenate([tg.Tensor([1.0]), tg.Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], float64)
    """
    xs = several(tensors, "concatenate")
    axis = position(axis, xs[0].ndim, "concatenate")
    first = xs[0].shape
    edges = [0]
    for x in xs:
        if x.ndim != len(first) or x.shape[:axis] + x.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ValueError(f"concatenate: shapes {first} and {x.shape} differ in more than axis {axis}")
        edges.append(edges[-1] + x.shape[axis])
    return _concatenate(xs, axis, tuple(edges))


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The tensors joined along a new axis. tensors: K of one shape, any shape. Result: that shape, and K at `axis`.

    >>> tg.stack([tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    xs = several(tensors, "stack")
    first = xs[0].shape
    at = position(axis, len(first) + 1, "stack")
    for x in xs:
        if x.shape != first:
            raise ValueError(f"stack: expected tensors of one shape, got {first} and {x.shape}")
    return concatenate([_reshape(x, (*first[:at], 1, *first[at:]), first) for x in xs], at)
