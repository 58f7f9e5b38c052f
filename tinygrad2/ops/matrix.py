"""Parts of matrices and products of tensors: diagonals, triangles, and what is one matrix product in another form."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence

import numpy as np

from tinygrad2.autodiff import Primitive, Tensor, TensorLike
from tinygrad2.ops.elementwise import multiply
from tinygrad2.ops.families import matmul
from tinygrad2.ops.reduce import sum
from tinygrad2.ops.shape import _index_add, as_tensor, index, moveaxis, positions, ravel, reshape, transpose

__all__ = ["diag", "diagonal", "dot", "inner", "kron", "outer", "tensordot", "trace", "tril", "triu", "vdot"]

# To set entries to zero is its own adjoint.
_tril: Primitive = Primitive("tril", lambda x, k: np.tril(x, k)).defvjp(lambda g, y, x, k: _tril(g, k))
_triu: Primitive = Primitive("triu", lambda x, k: np.triu(x, k)).defvjp(lambda g, y, x, k: _triu(g, k))


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """x with zeros above its k-th diagonal, the lower triangle. x: (..., M, N). k: 0 is the main one, 1 the next above.

    >>> tg.tril(tg.ones((2, 2)))
    Tensor([[1., 0.],
            [1., 1.]], float64)
    """
    x = as_tensor(x)
    return _tril(_of_matrices(x, "tril"), operator.index(k))


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """x with zeros below its k-th diagonal, the upper triangle. x: (..., M, N). k: 0 is the main one, 1 the next above.

    >>> tg.triu(tg.ones((2, 2)))
    Tensor([[1., 1.],
            [0., 1.]], float64)
    """
    x = as_tensor(x)
    return _triu(_of_matrices(x, "triu"), operator.index(k))


def _of_matrices(x: Tensor, who: str) -> Tensor:
    if x.ndim < 2:
        raise ValueError(f"{who}: expected a matrix, or a stack of them, got shape {x.shape}")
    return x


def _diagonal_of(n: int, m: int, k: int) -> slice:
    """The places of the k-th diagonal of a matrix (n, m) among its entries in row-major order."""
    length = builtins.max(0, builtins.min(n + builtins.min(k, 0), m - builtins.max(k, 0)))
    start = k if k >= 0 else -k * m
    return slice(start, start + length * (m + 1), m + 1) if length else slice(0, 0)


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The entries with equal positions along two axes, as a last axis. x: (M, N), or any shape with two such axes.

    offset: how far above the main diagonal; negative: below.

    >>> tg.diagonal(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 4.], float64)
    """
    x = as_tensor(x)
    axes = positions((axis1, axis2), _of_matrices(x, "diagonal").ndim, "diagonal")
    y = moveaxis(x, axes, (-2, -1))
    *lead, n, m = y.shape
    return index(reshape(y, (*lead, n * m)), (..., _diagonal_of(n, m, operator.index(offset))))


def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or the matrix that has the vector there and zeros elsewhere. x: (M, N) or (N,).

    >>> tg.diag(tg.Tensor([1.0, 2.0]))
    Tensor([[1., 0.],
            [0., 2.]], float64)
    """
    x = as_tensor(x)
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {x.shape}; diagonal takes stacks of matrices")
    if x.ndim == 2:
        return diagonal(x, k)
    n = x.size + builtins.abs(operator.index(k))
    return reshape(_index_add(x, (_diagonal_of(n, n, operator.index(k)),), (n * n,)), (n, n))


def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal. x: (M, N), or any shape with two such axes, which are left out of the result.

    >>> tg.trace(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5., float64)
    """
    return sum(diagonal(x, offset, axis1, axis2), -1)


def outer(a: TensorLike, b: TensorLike) -> Tensor:
    """The products of each entry of a with each of b. a: (M,), b: (N,); other shapes are flattened. Result: (M, N).

    >>> tg.outer([1.0, 2.0], [3.0, 4.0])
    Tensor([[3., 4.],
            [6., 8.]], float64)
    """
    a = as_tensor(a)
    return multiply(reshape(a, (a.size, 1)), ravel(as_tensor(b)))


def dot(a: TensorLike, b: TensorLike) -> Tensor:
    """numpy.dot: the sum over a's last axis and b's second last or only one. a: (..., K); b: (..., K, M) or (K,).

    Where one of them is a number, their product. `matmul` differs for more than two axes: it takes stacks of matrices.

    >>> tg.dot([1.0, 2.0], [3.0, 4.0])
    Tensor(11., float64)
    """
    a = as_tensor(a)
    b = as_tensor(b)
    if not a.ndim or not b.ndim:
        return multiply(a, b)
    return tensordot(a, b, ((-1,), (-1 if b.ndim == 1 else -2,)))


def inner(a: TensorLike, b: TensorLike) -> Tensor:
    """The sum over the last axis of both. a: (..., K); b: (..., K). Where one of them is a number, their product.

    Result: the other axes of a, then those of b.

    >>> tg.inner([1.0, 2.0], [3.0, 4.0])
    Tensor(11., float64)
    """
    a = as_tensor(a)
    b = as_tensor(b)
    return tensordot(a, b, ((-1,), (-1,))) if a.ndim and b.ndim else multiply(a, b)


def vdot(a: TensorLike, b: TensorLike) -> Tensor:
    """The sum of the products of all entries. a, b: any shapes with equally many entries.

    >>> tg.vdot([[1.0, 2.0]], [[3.0], [4.0]])
    Tensor(11., float64)
    """
    return inner(ravel(as_tensor(a)), ravel(as_tensor(b)))


def tensordot(a: TensorLike, b: TensorLike, axes: int | tuple[int | Sequence[int], int | Sequence[int]] = 2) -> Tensor:
    """The sum over pairs of axes of a and b. a, b: any shapes, equal along each pair.

    axes: how many of a's last and b's first axes, or those of a and those of b. Result: the other axes of a, then of b.

    >>> tg.tensordot(tg.ones((2, 3, 4)), tg.ones((3, 4, 5))).shape
    (2, 5)
    """
    a = as_tensor(a)
    b = as_tensor(b)
    if isinstance(axes, tuple | list):
        of_a, of_b = axes
    else:
        of_a = range(a.ndim - operator.index(axes), a.ndim)
        of_b = range(operator.index(axes))
    left = positions(of_a, a.ndim, "tensordot")
    right = positions(of_b, b.ndim, "tensordot")
    sizes = [a.shape[i] for i in left]
    if sizes != [b.shape[i] for i in right]:
        raise ValueError(f"tensordot: axes {left} of shape {a.shape} and {right} of shape {b.shape} differ in size")
    of_result = [i for i in range(a.ndim) if i not in left]
    to_result = [i for i in range(b.ndim) if i not in right]
    rows = [a.shape[i] for i in of_result]
    columns = [b.shape[i] for i in to_result]
    k = math.prod(sizes)
    product = matmul(
        reshape(transpose(a, [*of_result, *left]) if a.ndim else a, (math.prod(rows), k)),
        reshape(transpose(b, [*right, *to_result]) if b.ndim else b, (k, math.prod(columns))),
    )
    return reshape(product, (*rows, *columns))


def kron(a: TensorLike, b: TensorLike) -> Tensor:
    """The Kronecker product: each entry of a times the whole of b. a: (M, N), b: (P, Q), or other numbers of axes.

    Result: (M·P, N·Q), the product of the sizes along each axis.

    >>> tg.kron([[1.0, 2.0]], [[1.0], [10.0]])
    Tensor([[ 1.,  2.],
            [10., 20.]], float64)
    """
    a = as_tensor(a)
    b = as_tensor(b)
    ndim = builtins.max(a.ndim, b.ndim)
    of_a = (1,) * (ndim - a.ndim) + a.shape
    of_b = (1,) * (ndim - b.ndim) + b.shape
    apart_a = [n for size in of_a for n in (size, 1)]
    apart_b = [n for size in of_b for n in (1, size)]
    return reshape(multiply(reshape(a, apart_a), reshape(b, apart_b)), [m * n for m, n in zip(of_a, of_b, strict=True)])
