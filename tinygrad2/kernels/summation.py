"""Sums that are right to float32's own rounding, also over a million rows.

NumPy adds pairwise along the last axis, but over leading axes it adds row by row: a mean of 10⁶ rows of 0.1 in float32
comes out as 0.10096, because each addition to a large sum loses the same part of 0.1.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.kernels.arrays import Array, NDArray

_FEW = 128  # so few additions one after the other lose no more than the dot products around them
_BLOCK = 16


def sum_over(x: Array, axes: tuple[int, ...]) -> Array:
    """x summed over the axes, which are counted from the first one. x: any shape. Bools are counted, as in NumPy."""
    if type(x) is not np.ndarray or x.dtype != np.float32 or math.prod([x.shape[a] for a in axes]) <= _FEW:
        return x.sum(axes)
    axes = tuple(sorted(axes))
    if x.flags.c_contiguous:
        last = _run_at_the_end(axes, x.ndim)
        if last:
            sums = x.sum(last)  # pairwise
            return sum_over(sums, axes[: -len(last)]) if len(last) < len(axes) else sums
        if axes == tuple(range(len(axes))):
            rows = math.prod(x.shape[: len(axes)])
            return _sum_of_rows(x.reshape(rows, *x.shape[len(axes) :])).astype(x.dtype)
    return np.asarray(x.sum(axes, dtype=np.float64)).astype(x.dtype)


def _run_at_the_end(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Those of the sorted axes that are the last ones of an array, without a gap: (0, 2, 3) of 4 gives (2, 3)."""
    first = ndim
    while first - 1 in axes:
        first -= 1
    return tuple(range(first, ndim))


def _sum_of_rows(x: NDArray) -> NDArray:
    """The sum over the first axis, in float64. Blocks of few rows are added in float32: three times as fast."""
    blocks = len(x) // _BLOCK
    head = x[: blocks * _BLOCK].reshape(blocks, _BLOCK, *x.shape[1:]).sum(1)
    rest = x[blocks * _BLOCK :]
    total: NDArray = head.sum(0, dtype=np.float64) + rest.sum(0, dtype=np.float64)
    return total
