"""Tensors from nothing: zeros, ranges, and the identity, under NumPy's names.

Numbers are float64 unless `dtype` says otherwise, as in NumPy and in Tensor([1.0]). The parameters of nn's layers are
float32 and nothing is converted silently, so what goes into a network is made with dtype=np.float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.kernels.arrays import Array, to_device
from tinygrad2.ops.shape import as_tensor

__all__ = ["arange", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros", "zeros_like"]

Shape = int | Sequence[int]


def zeros(shape: Shape, dtype: DTypeLike | None = None, *, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of zeros. shape: an integer, or one for each axis: (N, K). dtype: float64 if None.

    device: "cpu" or "cuda". requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.zeros((2, 3))
    Tensor([[0., 0., 0.],
            [0., 0., 0.]], float64)
    """
    return _made(np.zeros(shape, dtype), device, requires_grad)


def ones(shape: Shape, dtype: DTypeLike | None = None, *, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of ones. shape: an integer, or one for each axis: (N, K). dtype: float64 if None.

    device: "cpu" or "cuda". requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.ones(3, dtype=np.float32)
    Tensor([1., 1., 1.], float32)
    """
    return _made(np.ones(shape, dtype), device, requires_grad)


def full(
    shape: Shape, fill_value: float, dtype: DTypeLike | None = None, *, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """A tensor in which every entry is fill_value. shape: an integer, or one for each axis: (N, K).

    dtype: that of fill_value if None: int64 for 1, float64 for 1.0. device: "cpu" or "cuda".
    requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.full((2,), 0.5)
    Tensor([0.5, 0.5], float64)
    """
    return _made(np.full(shape, fill_value, dtype), device, requires_grad)


def eye(
    n: int, m: int | None = None, dtype: DTypeLike | None = None, *, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """The identity matrix. Result: (n, n), or (n, m), with 1 where row and column are equal. dtype: float64 if None.

    device: "cpu" or "cuda". requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.eye(2)
    Tensor([[1., 0.],
            [0., 1.]], float64)
    """
    return _made(np.eye(n, m, dtype=dtype), device, requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    *,
    device: str = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below stop. Result: (N,). With one number: from 0 to that.

    dtype: int64 for integers and float64 for other numbers, if None; a leaf must be floating, so write arange(3.0).
    device: "cpu" or "cuda". requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.arange(3.0)
    Tensor([0., 1., 2.], float64)
    >>> tg.arange(1, 7, 2)
    Tensor([1, 3, 5], int64)
    """
    first = 0 if stop is None else start
    last = start if stop is None else stop
    return _made(np.arange(first, last, step, dtype=dtype), device, requires_grad)


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    dtype: DTypeLike | None = None,
    *,
    device: str = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """`num` numbers at equal distances from start to stop, both included. Result: (num,). dtype: float64 if None.

    device: "cpu" or "cuda". requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`.

    >>> tg.linspace(0.0, 1.0, 3)
    Tensor([0. , 0.5, 1. ], float64)
    """
    return _made(np.linspace(start, stop, num, dtype=dtype), device, requires_grad)


def zeros_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of x. x: any shape. requires_grad: make it a leaf.

    >>> tg.zeros_like(tg.Tensor([1.0, 2.0]))
    Tensor([0., 0.], float64)
    """
    x = as_tensor(x)
    return Tensor(np.zeros_like(x.array), requires_grad=requires_grad)


def ones_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of x. x: any shape. requires_grad: make it a leaf.

    >>> tg.ones_like(tg.Tensor([1.0, 2.0]))
    Tensor([1., 1.], float64)
    """
    x = as_tensor(x)
    return Tensor(np.ones_like(x.array), requires_grad=requires_grad)


def full_like(x: TensorLike, fill_value: float, *, requires_grad: bool = False) -> Tensor:
    """fill_value everywhere, with the shape, dtype and device of x. x: any shape. requires_grad: make it a leaf.

    >>> tg.full_like(tg.Tensor([1.0, 2.0]), 3.0)
    Tensor([3., 3.], float64)
    """
    x = as_tensor(x)
    return Tensor(np.full_like(x.array, fill_value), requires_grad=requires_grad)


def _made(array: Array, device: str, requires_grad: bool) -> Tensor:
    return Tensor(array if device == "cpu" else to_device(array, device), requires_grad=requires_grad)
