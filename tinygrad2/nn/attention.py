"""Sequences: vectors for tokens, and attention between positions, with PyTorch's names and parameter shapes.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import Rng, default_rng, parameter, xavier_uniform
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.layers import Linear
from tinygrad2.nn.reverse.attention import join_heads, split_heads
from tinygrad2.nn.sizes import check_counts
from tinygrad2.ops import embedding, functional, linear, matmul
from tinygrad2.ops.attention import attention_weights

__all__ = ["Embedding", "MultiheadAttention"]


class Embedding(Layer):
    """A vector for each token. x: integers in [0, num_embeddings), (N, ...); result: (N, ..., embedding_dim).

    weight: (num_embeddings, embedding_dim), standard normal at first. It is a first layer: integers have no derivative,
    so its reverse is that of a Linear on one-hot rows: u of (N, ..., embedding_dim) becomes (N, ..., num_embeddings).
    Raises TypeError for numbers that are no integers, and ValueError for one that is no token.

    >>> nn.Embedding(10, 3)(np.array([[1, 2, 4]])).shape
    (1, 3, 3)
    """

    weight: Tensor

    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, rng: Rng = None, dtype: DTypeLike = np.float32
    ) -> None:
        check_counts(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = parameter(default_rng(rng).standard_normal((num_embeddings, embedding_dim)), dtype)

    def apply(self, x: Tensor) -> Applied:
        return embedding(x, self.weight), r.ReverseEmbedding(self.weight)

    def extra_repr(self) -> str:
        v, d = self.weight.shape
        return f"{v}, {d}"


class MultiheadAttention(Layer):
    """Self-attention with num_heads heads, side by side. x: (N, L, embed_dim); result: the same. Vaswani et al. 2017.

    in_proj_weight: (3 embed_dim, embed_dim), that of queries, keys and values; in_proj_bias: (3 embed_dim,); out_proj:
    a Linear. dropout: the probability with which training drops a weight. is_causal: position i looks at those up to i.
    `forward(query, key, value, attn_mask)` is attention to another sequence; only attention to x itself has a reverse.
    Unlike PyTorch's, samples come first, and the result is the output alone. Raises ValueError where the heads do not
    divide embed_dim.

    >>> nn.MultiheadAttention(6, 2, rng=0)(np.ones((4, 5, 6), np.float32)).shape
    (4, 5, 6)
    """

    num_heads: int
    dropout: float
    is_causal: bool
    in_proj_weight: Tensor
    in_proj_bias: Tensor | None
    out_proj: Linear
    rng: np.random.Generator

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        is_causal: bool = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_counts(embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} cannot be divided into {num_heads} heads")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is a probability in [0, 1), got {dropout}")
        rng = default_rng(rng)
        self.num_heads = num_heads
        self.dropout = dropout
        self.is_causal = is_causal
        self.in_proj_weight = xavier_uniform((3 * embed_dim, embed_dim), rng, dtype)
        self.in_proj_bias = parameter(np.zeros(3 * embed_dim), dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data = np.zeros(embed_dim, dtype)
        self.rng = rng.spawn(1)[0]

    def apply(self, x: Tensor) -> Applied:
        if x.ndim != 3 or x.shape[-1] != self._width:
            raise ValueError(f"expected sequences (N, L, {self._width}), got shape {x.shape}")
        packed = linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = split_heads(packed, self.num_heads)
        scale = query.shape[-1] ** -0.5
        weights = attention_weights(query, key, None, self.is_causal, scale)
        kept = self._kept(weights)
        y = join_heads(matmul(weights if kept is None else weights * kept, value))
        inner = r.ReverseAttention(packed, weights, kept, scale)
        reverse = r.ReverseMultiheadAttention(self.in_proj_weight, inner, self.out_proj.weight)
        return linear(y, self.out_proj.weight, self.out_proj.bias), reverse

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, attn_mask: Any = None
    ) -> Tensor:
        """Attention of query (N, L, E) to key (N, S, E) and value (N, S, E), which are the query and key if not given.

        attn_mask: (..., L, S), bools that are True where a query may look, or floats that are added to the scores.
        Result: (N, L, E).
        """
        key = query if key is None else key
        value = key if value is None else value
        (q,), (k,), (v,) = (
            split_heads(self._projected(t, i), self.num_heads, 1) for i, t in enumerate((query, key, value))
        )
        weights = attention_weights(q, k, attn_mask, self.is_causal)
        kept = self._kept(weights)
        y = join_heads(matmul(weights if kept is None else weights * kept, v))
        return linear(y, self.out_proj.weight, self.out_proj.bias)

    def _projected(self, x: Tensor, part: int) -> Tensor:
        """The queries (0), keys (1) or values (2) of x."""
        rows = slice(part * self._width, (part + 1) * self._width)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        return linear(x, self.in_proj_weight[rows], bias)

    @property
    def _width(self) -> int:
        return self.in_proj_weight.shape[1]

    def _kept(self, weights: Tensor) -> Tensor | None:
        if not self.training or self.dropout == 0:
            return None
        return functional.dropout_mask(weights.shape, self.dropout, self.rng, weights)

    def extra_repr(self) -> str:
        bias = "" if self.in_proj_bias is not None else ", bias=False"
        dropout = f", dropout={self.dropout}" if self.dropout else ""
        return f"{self._width}, {self.num_heads}{dropout}{bias}{', is_causal=True' if self.is_causal else ''}"
