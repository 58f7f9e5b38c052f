"""Reshaping, indexing and joining: linear maps that move entries, in pairs of adjoints, each the other's rule.

The sizes that an adjoint needs are constants of the call, so that the tape need not keep the arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, VariadicPrimitive
from tinygrad2.kernels.arrays import Array, freeze, index_add, to_device, xp

Axis = int | Sequence[int] | None

# fmt: off
_reshape: Primitive = Primitive("reshape", lambda x, shape, old: x.reshape(shape)).defvjp(
    lambda g, y, x, shape, old: _reshape(g, old, shape)
)
_transpose: Primitive = Primitive("transpose", lambda x, axes: x.transpose(axes)).defvjp(
    lambda g, y, x, axes: _transpose(g, tuple(int(i) for i in np.argsort(axes)))
)

# <broadcast(x), g> = <x, sum_to(g)>
_broadcast_to: Primitive = Primitive("broadcast_to", lambda x, big, small: xp(x).broadcast_to(x, big)).defvjp(
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

_concatenate = VariadicPrimitive("concatenate", lambda xs, axis, edges: xp(xs[0]).concatenate(xs, axis)).defvjp(
    lambda i, g, axis, edges: index(g, (slice(None),) * axis + (slice(edges[i], edges[i + 1]),))
)
# fmt: on


def _sum_array(x: Array, small: tuple[int, ...]) -> Array:
    lead = x.ndim - len(small)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(small) if n != x.shape[i + lead])
    return x.sum(axes).reshape(small)


def unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """g summed over the axes along which an array of this shape was broadcast to g's shape."""
    lead = g.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=True)):
        raise ValueError(f"a rule returned a cotangent of shape {g.shape} for an input of shape {shape}")
    return _sum_to(g, shape, g.shape)


def position(axis: int, ndim: int) -> int:
    """The axis counted from the first one; ValueError where there is no such axis."""
    if not -ndim <= operator.index(axis) < ndim:
        raise ValueError(f"axis {axis} is out of range for a tensor with {ndim} axes")
    return operator.index(axis) % ndim


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """x in another shape; one size may be -1."""
    new = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    if -1 in new:
        rest = -math.prod(new)
        new = tuple(x.size // rest if n == -1 and rest else n for n in new)
    if math.prod(new) != x.size:
        raise ValueError(f"reshape: shape {x.shape} has {x.size} entries, shape {tuple(new)} needs {math.prod(new)}")
    return _reshape(x, tuple(new), x.shape)


def transpose(x: Tensor, *axes: Any) -> Tensor:
    """x with its axes permuted (reversed where none are given)."""
    order = axes[0] if len(axes) == 1 and isinstance(axes[0], Sequence) else axes or range(x.ndim)[::-1]
    return _transpose(x, tuple(position(a, x.ndim) for a in order))


def swapaxes(x: Tensor, a: int, b: int) -> Tensor:
    """x with two axes exchanged."""
    order = list(range(x.ndim))
    a, b = position(a, x.ndim), position(b, x.ndim)
    order[a], order[b] = b, a
    return _transpose(x, tuple(order))


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x repeated to the shape, by NumPy's broadcasting rule."""
    return _broadcast_to(x, tuple(shape), x.shape)


def index(x: Tensor, key: Any) -> Tensor:
    """x[key] for every kind of NumPy key; entries taken twice get the sum of both cotangents."""
    return _index(x, tuple([_part(k, x) for k in (key if isinstance(key, tuple) else (key,))]), x.shape)


def _part(k: Any, x: Tensor) -> Any:
    """One part of a key: arrays are frozen, because the backward pass reads them again, and brought to x's device."""
    at = k.array if isinstance(k, Tensor) else np.asarray(k, None if k else np.intp) if isinstance(k, list) else k
    if not hasattr(at, "dtype") or isinstance(at, np.generic):
        return at
    return freeze(at if type(at) is type(x.array) else to_device(at, x.device))


def gather(x: Tensor, indices: Any, axis: int = -1) -> Tensor:
    """Entries of x along one axis, as numpy.take_along_axis. indices: integers, of x's shape but for `axis`."""
    return _index(x, _along(x, indices, axis), x.shape)


def scatter_add(src: Tensor, indices: Any, size: int, axis: int = -1) -> Tensor:
    """The adjoint of gather: zeros, of `size` along the axis, to which src is added at the indices."""
    axis = position(axis, src.ndim)
    return _index_add(src, _along(src, indices, axis), (*src.shape[:axis], size, *src.shape[axis + 1 :]))


def _along(x: Tensor, indices: Any, axis: int) -> tuple[Any, ...]:
    at = _part(indices if hasattr(indices, "dtype") else np.asarray(indices), x)
    grid: list[Any] = list(xp(at).ogrid[tuple(slice(n) for n in at.shape)])
    grid[axis] = at
    return tuple(grid)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """x with `widths[i] = (before, after)` entries of `value` added along axis i."""
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
    """The tensors joined along an axis that exists."""
    first = next((t for t in tensors if isinstance(t, Tensor)), None)
    if first is None:
        raise ValueError("concatenate: give at least one tensor")
    axis = position(axis, first.ndim)
    edges = [0]
    for t in tensors:
        edges.append(edges[-1] + t.shape[axis])
    return _concatenate(tensors, axis, tuple(edges))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors, all of one shape, joined along a new axis."""
    at = position(axis, tensors[0].ndim + 1)
    return concatenate([reshape(t, (*t.shape[:at], 1, *t.shape[at:])) for t in tensors], at)
