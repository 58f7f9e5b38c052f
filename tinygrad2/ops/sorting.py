"""Order: which entry comes where is piecewise constant, and what follows from it is a choice of entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels.arrays import Array
from tinygrad2.ops.arrange import along
from tinygrad2.ops.elementwise import where
from tinygrad2.ops.reduce import _axes, _finish, _reduced, floating, mean
from tinygrad2.ops.shape import Axis, as_tensor, gather, index, position, ravel, reshape, transpose

__all__ = ["argsort", "median", "searchsorted", "sort", "topk"]


def _argsort_array(x: Array, axis: int, descending: bool) -> Array:
    """Stable: of equal entries the first one comes first, in both directions."""
    if not descending:
        return np.argsort(x.real, axis, kind="stable")
    back = along(axis, slice(None, None, -1))
    return x.shape[axis] - 1 - np.argsort(x.real[back], axis, kind="stable")[back]


_argsort = Primitive("argsort", _argsort_array).defvjp(zero)


def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The positions of the entries along the axis in rising order, as integers. x: any shape. Result: x's shape.

    axis: None goes through all entries in row-major order. Of equal entries the first comes first; nan comes last.

    >>> tg.argsort(tg.Tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0], int64)
    """
    x = as_tensor(x)
    return argsort(ravel(x), 0) if axis is None else _argsort(x, position(axis, x.ndim, "argsort"), False)


def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The entries along the axis in rising order. x: any shape. Each cotangent goes back to where its entry was.

    axis: None sorts all entries, as one axis. Result: x's shape, or (x.size,) without an axis.

    >>> tg.sort(tg.Tensor([3.0, 1.0, 2.0]))
    Tensor([1., 2., 3.], float64)
    """
    return sort(ravel(x), 0) if axis is None else gather(x, argsort(x, axis), axis)


class TopK(NamedTuple):
    """What `topk` returns."""

    values: Tensor
    indices: Tensor


def topk(x: TensorLike, k: int, axis: int = -1, largest: bool = True) -> TopK:
    """The k largest entries along the axis, in falling order, and their positions. x: any shape, e.g. (N, K): (N, k).

    largest: False gives the k smallest, in rising order. Of equal entries the first comes first.

    >>> tg.topk(tg.Tensor([3.0, 1.0, 2.0]), 2)
    TopK(values=Tensor([3., 2.], float64), indices=Tensor([0, 2], int64))
    """
    x = as_tensor(x)
    axis = position(axis, x.ndim, "topk")
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk: expected k from 0 to {x.shape[axis]}, the size of axis {axis}; got {k}")
    at = index(_argsort(x, axis, bool(largest)), along(axis, slice(k)))
    return TopK(gather(x, at, axis), at)


def median(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle entry in order over the axes, or the mean of the two middle ones. x: any shape, e.g. (N, K).

    A nan makes the result nan. Raises ValueError over an axis without entries.

    >>> tg.median(tg.Tensor([3.0, 1.0, 2.0]))
    Tensor(2., float64)
    """
    x = as_tensor(x)
    axes = _axes(x, axis, "the median")
    rest = [i for i in range(x.ndim) if i not in axes]
    rows = reshape(transpose(x, [*rest, *axes]) if x.ndim else x, (*[x.shape[i] for i in rest], -1))
    ordered = floating(sort(rows))
    n = ordered.shape[-1]
    middle = mean(index(ordered, (..., slice((n - 1) // 2, n // 2 + 1))), -1)
    last = index(ordered, (..., n - 1))  # nan if there is any
    y = where(Tensor(np.isnan(last.array)), last, middle)
    return _finish(reshape(y, _reduced(x, axes)), axes, keepdims)


def searchsorted(a: TensorLike, v: TensorLike, side: str = "left") -> Tensor:
    """Where each entry of v would have to go to keep a in order, as integers without gradient. v: any shape.

    a: (N,), in rising order. side: "left" goes before equal entries, "right" behind them. Result: v's shape.

    >>> tg.searchsorted(tg.Tensor([1.0, 2.0, 3.0]), [0.5, 2.0])
    Tensor([0, 1], int64)
    """
    a = as_tensor(a)
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side {side!r} is neither 'left' nor 'right'")
    if a.ndim != 1:
        raise ValueError(f"searchsorted: expected a vector in rising order, got shape {a.shape}")
    return Tensor(np.searchsorted(a.array, as_tensor(v).array, side))  # type: ignore[call-overload]
