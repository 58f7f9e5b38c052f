"""Pooling to a given size: output pixel i looks at the input from ⌊i H/OH⌋ to ⌈(i+1) H/OH⌉, as in PyTorch."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.kernels.arrays import Array, to_device, xp
from tinygrad2.ops import families
from tinygrad2.ops.families import matmul
from tinygrad2.ops.functional import Size
from tinygrad2.ops.shape import as_tensor, swapaxes

__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d"]

Span = tuple[int, int]  # the first entry that an output looks at, and the first one after


def adaptive_avg_pool2d(x: TensorLike, output_size: Size) -> Tensor:
    """The mean of each of OH×OW windows that cover the plane. x: (..., C, H, W). Result: (..., C, OH, OW).

    output_size: OH and OW, or one number for both. Raises ValueError where it is not positive.

    >>> tg.adaptive_avg_pool2d(tg.ones((5, 1, 8, 6)), (3, 2)).shape
    (5, 1, 3, 2)
    """
    x = as_tensor(x)
    return between_means(x, *mean_matrices(x, output_size))


def mean_matrices(x: Tensor, output_size: Size) -> tuple[Tensor, Tensor]:
    """(OH, H) and (OW, W): row i holds 1/n at each of the n entries that output i looks at."""
    rows, columns = (_mean_matrix(spans, x) for spans in windows(x, output_size))
    return rows, columns


def _mean_matrix(spans: list[Span], x: Tensor) -> Tensor:
    matrix = np.zeros((len(spans), spans[-1][1]), x.dtype)
    for row, (start, end) in zip(matrix, spans, strict=True):
        row[start:end] = 1 / (end - start)
    return Tensor(to_device(matrix, x.device))


def between_means(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows x columnsᵀ for every plane. x: (..., H, W); rows: (OH, H); columns: (OW, W). Result: (..., OH, OW)."""
    return matmul(matmul(rows, x), swapaxes(columns, 0, 1))


def adaptive_max_pool2d(x: TensorLike, output_size: Size) -> Tensor:
    """The maximum of each of OH×OW windows that cover the plane. x: (..., C, H, W). Result: (..., C, OH, OW).

    output_size: OH and OW, or one number for both. At a tie the first in row-major order gets the whole cotangent.

    >>> tg.adaptive_max_pool2d(tg.ones((5, 1, 8, 6)), (3, 2)).shape
    (5, 1, 3, 2)
    """
    x = as_tensor(x)
    at = adaptive_argmax(x, *windows(x, output_size))
    return families.pool_gather(x, at, (x.shape[-2], x.shape[-1]))


def windows(x: Tensor, output_size: Size) -> tuple[list[Span], list[Span]]:
    """What each output row and column looks at."""
    sizes = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(sizes) != 2 or min(sizes) < 1 or x.ndim < 3:
        raise ValueError(f"expected x (..., C, H, W) and a positive size (OH, OW); got {x.shape} and {output_size}")
    rows, columns = (
        [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)] for n, out in zip(x.shape[-2:], sizes, strict=True)
    )
    return rows, columns


def _adaptive_argmax(x: Array, rows: list[Span], columns: list[Span]) -> Array:
    """The position of the first maximum of each window in the H·W plane: (..., OH, OW)."""
    module = xp(x)
    positions = module.empty((*x.shape[:-2], len(rows), len(columns)), np.int32)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            width = right - left
            window = x.real[..., top:bottom, left:right].reshape(*x.shape[:-2], (bottom - top) * width)
            first = window.argmax(-1)
            positions[..., i, j] = (top + first // width) * x.shape[-1] + left + first % width
    return positions


adaptive_argmax = Primitive("adaptive_argmax", _adaptive_argmax).defvjp(zero)
