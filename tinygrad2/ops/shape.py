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
from tinygrad2.kernels.arrays import Array, freeze, index_add, to_device, xp

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
_broadcast_to: Primitive = Primitive("broadcast_to", lambda x, big, small: np.broadcast_to(x, big)).defvjp(
    lambda g, y, x, big, small: _sum_to(g, small, big)
)
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
    return x.sum(tuple(axes)).reshape(small)


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


def position(axis: int, ndim: int) -> int:
    """The axis counted from the first one; ValueError where there is no such axis."""
    if not -ndim <= operator.index(axis) < ndim:
        raise ValueError(f"axis {axis} is out of range for a tensor with {ndim} axes")
    return operator.index(axis) % ndim


def reshape(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """x in another shape. x: any shape. shape: integers, or one tuple of them; one size may be -1.

    Raises ValueError where the number of entries would change.

    >>> tg.reshape(tg.arange(6.0), (2, -1)).shape
    (2, 3)
    """
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
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], Sequence) else given


def transpose(x: Tensor, *axes: int | Sequence[int]) -> Tensor:
    """x with its axes in another order. x: any shape. axes: integers, or one tuple of them; none: reversed.

    >>> tg.transpose(tg.zeros((2, 3, 4)), 1, 0, 2).shape
    (3, 2, 4)
    """
    ndim = x.array.ndim
    return _transpose(x, tuple([position(a, ndim) for a in _sizes(axes) or range(ndim)[::-1]]))


def swapaxes(x: Tensor, a: int, b: int) -> Tensor:
    """x with two axes exchanged. x: any shape.

    >>> tg.swapaxes(tg.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    ndim = x.array.ndim
    order = list(range(ndim))
    a = position(a, ndim)
    b = position(b, ndim)
    order[a] = b
    order[b] = a
    return _transpose(x, tuple(order))


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x repeated to the shape, by NumPy's broadcasting rule. x: any shape that broadcasts to it.

    >>> tg.broadcast_to(tg.Tensor([1.0, 2.0]), (3, 2)).shape
    (3, 2)
    """
    return _broadcast_to(x, tuple(shape), x.array.shape)


def index(x: Tensor, key: Any) -> Tensor:
    """x[key] for every kind of NumPy key. x: any shape. An entry that is taken twice gets the sum of both cotangents.

    key: integers, slices, None, ..., or arrays of integers or bools.

    >>> tg.ops.index(tg.arange(6.0), slice(1, 6, 2))
    Tensor([1., 3., 5.], float64)
    """
    return _index(x, tuple([_part(k, x) for k in (key if isinstance(key, tuple) else (key,))]), x.array.shape)


def _part(k: Any, x: Tensor) -> Any:
    """One part of a key: arrays are frozen, because the backward pass reads them again, and brought to x's device."""
    at = k.array if isinstance(k, Tensor) else np.asarray(k, None if k else np.intp) if isinstance(k, list) else k
    if not hasattr(at, "dtype") or isinstance(at, np.generic):
        return at
    return freeze(at if type(at) is type(x.array) else to_device(at, x.device))


def gather(x: Tensor, indices: Indices, axis: int = -1) -> Tensor:
    """Entries of x along one axis, as numpy.take_along_axis. x: any shape; indices: integers, x's shape but for `axis`.

    >>> tg.gather(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]], axis=1)
    Tensor([[2.],
            [3.]], float64)
    """
    return _index(x, _along(x, indices, axis), x.array.shape)


def scatter_add(src: Tensor, indices: Indices, size: int, axis: int = -1) -> Tensor:
    """The adjoint of gather: zeros, of `size` along the axis, to which src is added at the indices.

    src: any shape; indices: integers of src's shape. Result: src's shape, but `size` along the axis.

    >>> tg.scatter_add(tg.Tensor([1.0, 2.0, 3.0]), [0, 2, 2], 4)
    Tensor([1., 0., 5., 0.], float64)
    """
    axis = position(axis, src.ndim)
    return _index_add(src, _along(src, indices, axis), (*src.shape[:axis], size, *src.shape[axis + 1 :]))


def _along(x: Tensor, indices: Indices, axis: int) -> tuple[Any, ...]:
    at = _part(indices if hasattr(indices, "dtype") else np.asarray(indices), x)
    grid: list[Any] = list(xp(at).ogrid[tuple(slice(n) for n in at.shape)])
    grid[axis] = at
    return tuple(grid)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """x with `widths[i] = (before, after)` entries of `value` added along axis i. x: any shape, one pair for each axis.

    >>> tg.pad(tg.Tensor([1.0, 2.0]), [(1, 2)])
    Tensor([0., 1., 2., 0., 0.], float64)
    """
    if len(widths) != x.ndim:
        raise ValueError(f"pad: expected (before, after) for each axis of shape {x.shape}, got {len(widths)} pairs")
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    padded = _index_add(x, inside, shape)
    if not value:
        return padded
    border = xp(x.array).full(shape, value, x.dtype)
    border[inside] = 0
    return padded + Tensor(border)


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors joined along an axis that exists. tensors: shapes that differ only along it.

    >>> tg.concatenate([tg.Tensor([1.0]), tg.Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], float64)
    """
    first = next((t for t in tensors if isinstance(t, Tensor)), None)
    if first is None:
        raise ValueError("concatenate: give at least one tensor")
    axis = position(axis, first.ndim)
    edges = [0]
    for t in tensors:
        edges.append(edges[-1] + t.shape[axis])
    return _concatenate(tensors, axis, tuple(edges))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors joined along a new axis. tensors: K of one shape, any shape. Result: that shape, and K at `axis`.

    >>> tg.stack([tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    at = position(axis, tensors[0].ndim + 1)
    return concatenate([reshape(t, (*t.shape[:at], 1, *t.shape[at:])) for t in tensors], at)
