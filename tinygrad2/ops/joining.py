"""Several tensors side by side, and one tensor in parts: `concatenate`, `stack` and slices, by NumPy's other names."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops.arrange import along
from tinygrad2.ops.shape import (
    as_tensor,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    concatenate,
    index,
    position,
    reshape,
    several,
)

__all__ = ["array_split", "column_stack", "dstack", "hstack", "split", "unstack", "vstack"]

Cuts = int | Sequence[int]


def hstack(tensors: Sequence[TensorLike]) -> Tensor:
    """The tensors side by side: joined along axis 1, vectors along their only axis. tensors: (M, N1), (M, N2), ...

    >>> tg.hstack([tg.Tensor([1.0]), tg.Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], float64)
    """
    xs = [atleast_1d(x) for x in several(tensors, "hstack")]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(tensors: Sequence[TensorLike]) -> Tensor:
    """The tensors one below the other: joined along axis 0, vectors as rows. tensors: (M1, N), (M2, N), or (N,), ...

    >>> tg.vstack([tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    return concatenate([atleast_2d(x) for x in several(tensors, "vstack")], 0)


def dstack(tensors: Sequence[TensorLike]) -> Tensor:
    """The tensors one behind the other: joined along axis 2. tensors: (M, N, K1), (M, N, K2), or (M, N), or (N,), ...

    >>> tg.dstack([tg.zeros((2, 3)), tg.zeros((2, 3))]).shape
    (2, 3, 2)
    """
    return concatenate([atleast_3d(x) for x in several(tensors, "dstack")], 2)


def column_stack(tensors: Sequence[TensorLike]) -> Tensor:
    """The tensors side by side, vectors as columns. tensors: (M,) or (M, N), ...

    >>> tg.column_stack([tg.Tensor([1.0, 2.0]), tg.Tensor([3.0, 4.0])])
    Tensor([[1., 3.],
            [2., 4.]], float64)
    """
    xs = several(tensors, "column_stack")
    return concatenate([x if x.ndim > 1 else reshape(x, (x.size, 1)) for x in xs], 1)


def split(x: TensorLike, indices_or_sections: Cuts, axis: int = 0) -> list[Tensor]:
    """x in parts along the axis. x: any shape.

    indices_or_sections: how many equal parts, or where each next one starts.
    Raises ValueError where the axis cannot be cut into so many equal parts.

    >>> tg.split(tg.arange(4.0), 2)
    [Tensor([0., 1.], float64), Tensor([2., 3.], float64)]
    """
    x = as_tensor(x)
    axis = position(axis, x.ndim, "split")
    if not isinstance(indices_or_sections, Sequence):
        parts = operator.index(indices_or_sections)
        if parts < 1 or x.shape[axis] % parts:
            what = f"axis {axis} of shape {x.shape} cannot be cut into {parts} equal parts"
            raise ValueError(f"split: {what}; array_split allows unequal ones")
    return array_split(x, indices_or_sections, axis)


def array_split(x: TensorLike, indices_or_sections: Cuts, axis: int = 0) -> list[Tensor]:
    """x in parts along the axis, of which the first may be larger by one. x: any shape.

    indices_or_sections: how many parts, or where each next one starts.

    >>> [part.shape for part in tg.array_split(tg.arange(5.0), 2)]
    [(3,), (2,)]
    """
    x = as_tensor(x)
    axis = position(axis, x.ndim, "array_split")
    n = x.shape[axis]
    if isinstance(indices_or_sections, Sequence):
        cuts = [0, *indices_or_sections, n]
    else:
        parts = operator.index(indices_or_sections)
        if parts < 1:
            raise ValueError(f"array_split: expected at least one part, got {parts}")
        size, larger = divmod(n, parts)
        cuts = [i * size + min(i, larger) for i in range(parts + 1)]
    return [index(x, along(axis, slice(a, b))) for a, b in pairwise(cuts)]


def unstack(x: TensorLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along the axis, without it: what `stack` joins again. x: any shape, e.g. (N, K): N of shape (K,).

    >>> tg.unstack(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    (Tensor([1., 2.], float64), Tensor([3., 4.], float64))
    """
    x = as_tensor(x)
    axis = position(axis, x.ndim, "unstack")
    return tuple([index(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis])])
