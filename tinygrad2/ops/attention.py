"""Looking up and looking back: embeddings of tokens, and attention over the positions of a sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.kernels.arrays import to_device, to_numpy
from tinygrad2.ops.elementwise import add, multiply, where
from tinygrad2.ops.families import matmul
from tinygrad2.ops.shape import as_tensor, index, swapaxes
from tinygrad2.ops.softmax import softmax

__all__ = ["embedding", "scaled_dot_product_attention"]


def embedding(x: Any, weight: TensorLike) -> Tensor:
    """The rows of weight that x names. x: integers of any shape, e.g. (N, T); weight: (V, D). Result: (N, T, D).

    A row that is taken twice gets the sum of both cotangents. Raises TypeError for numbers that are no integers, and
    ValueError for one that is no row.

    >>> tg.embedding([[0, 2]], tg.Tensor([[1.0], [2.0], [3.0]]))
    Tensor([[[1.],
             [3.]]], float64)
    """
    weight = as_tensor(weight)
    return index(weight, check_tokens(x, weight.shape[0]))


def check_tokens(x: Any, rows: int) -> Tensor:
    """x as a Tensor of integers in [0, rows). x: a Tensor, an array, or nested lists, of any shape."""
    tokens = x if isinstance(x, Tensor) else Tensor(x)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected integers, the rows of the weight; got {tokens.dtype}")
    values = to_numpy(tokens.array)
    bad = np.argwhere((values < 0) | (values >= rows))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f"embedding: x{list(place)} is {values[place]}; rows run from 0 to {rows - 1}")
    return tokens


# fmt: off
def scaled_dot_product_attention(
    query: TensorLike, key: TensorLike, value: TensorLike, attn_mask: Any = None,
    *, is_causal: bool = False, scale: float | None = None,
) -> Tensor:
    """softmax(scale · query keyᵀ) value: for each query a mean of the values, weighted by how well their keys fit.

    query: (..., L, E); key: (..., S, E); value: (..., S, D); leading axes broadcast. Result: (..., L, D).
    attn_mask: (..., L, S), bools that are True where a query may look, or floats that are added to the scores.
    is_causal: position i looks at positions up to i. scale: 1/√E where none is given. A query that may look nowhere
    gives nan. Source: Vaswani et al., Attention Is All You Need, 2017, equation 1.

    >>> x = tg.ones((2, 5, 4))
    >>> tg.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (2, 5, 4)
    """
    query = as_tensor(query)
    key = as_tensor(key)
    value = as_tensor(value)
    return matmul(attention_weights(query, key, attn_mask, is_causal, scale), value)
# fmt: on


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax(scale · query keyᵀ) over the last axis: (..., L, S), rows that sum to 1."""
    if query.ndim < 2 or key.ndim < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError(f"attention: query (..., L, E) and key (..., S, E) differ in E: {query.shape}, {key.shape}")
    scores = multiply(matmul(query, swapaxes(key, -1, -2)), query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = where(_constant(np.tri(*scores.shape[-2:], dtype=bool), scores), scores, -math.inf)
    if attn_mask is not None:
        mask = attn_mask if isinstance(attn_mask, Tensor) else _constant(np.asarray(attn_mask), scores)
        scores = where(mask, scores, -math.inf) if mask.dtype.kind == "b" else add(scores, mask)
    return softmax(scores, -1)


def _constant(values: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    return Tensor(to_device(values, like.device))
