"""Embeddings and attention: the first is linear in a one-hot code, the second in none of its three inputs together."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad2.autodiff import Tensor
from tinygrad2.nn.reverse.base import ReverseLayer, Shape
from tinygrad2.ops import concatenate, families, matmul, reshape, sum, swapaxes, transpose

__all__ = ["ReverseAttention", "ReverseEmbedding", "ReverseMultiheadAttention"]


@dataclass(frozen=True, eq=False, repr=False)
class ReverseEmbedding(ReverseLayer):
    """Embedding ↔ Linear's transpose, by the one-hot code of the tokens. u: (..., N, T, D); result: (..., N, T, V).

    Integers have no derivative. Write each token as a one-hot row e of V numbers: its vector is e W, which is linear in
    e, and the result is the derivative by e. Entry v says how the output changes where the token moves towards token v
    (Ebrahimi et al., HotFlip, 2018, equation 4). v: (..., N, T, V); Jv: (..., N, T, D).
    """

    constant = True

    weight: Tensor  # (V, D)

    def vjp(self, u: Tensor) -> Tensor:
        return families.linear(u, self.weight)

    def jvp(self, v: Tensor) -> Tensor:
        return families.linear_input(v, self.weight)

    def domain(self, shape: Shape) -> Shape:
        return (*shape, len(self.weight))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseAttention(ReverseLayer):
    """Self-attention P v, P = softmax(c q kᵀ), ↔ its Jacobian in q, k, v side by side. u: (..., N, L, E).

    The result is (..., N, L, 3E). Vaswani et al. 2017, equation 1, for each of the heads.
    """

    packed: Tensor  # q, k, v side by side: (N, L, 3E)
    weights: Tensor  # P: (N, heads, L, L)
    kept: Tensor | None  # M, dropout's factors of P: (N, heads, L, L)
    scale: float  # c

    # y = (M ⊙ P) v. With S = c q kᵀ, dP = P ⊙ (dS - Σ P dS) as for any softmax, and dS = c (dq kᵀ + q dkᵀ). Read
    # backwards: v̄ = (M ⊙ P)ᵀ u, P̄ = M ⊙ (u vᵀ), S̄ = P ⊙ (P̄ - Σ P P̄), q̄ = c S̄ k, k̄ = c S̄ᵀ q.
    def vjp(self, u: Tensor) -> Tensor:
        q, k, v = split_heads(self.packed, self._heads)
        (g,) = split_heads(u, self._heads, 1)
        to_scores = self._through_softmax(self._dropped(matmul(g, swapaxes(v, -1, -2)))) * self.scale
        parts = [
            matmul(to_scores, k),
            matmul(swapaxes(to_scores, -1, -2), q),
            matmul(swapaxes(self._dropped(self.weights), -1, -2), g),
        ]
        return concatenate([join_heads(part) for part in parts], -1)

    def jvp(self, v: Tensor) -> Tensor:
        query, key, value = split_heads(self.packed, self._heads)
        dq, dk, dv = split_heads(v, self._heads)
        scores = (matmul(dq, swapaxes(key, -1, -2)) + matmul(query, swapaxes(dk, -1, -2))) * self.scale
        moved = self._dropped(self._through_softmax(scores))
        return join_heads(matmul(moved, value) + matmul(self._dropped(self.weights), dv))

    @property
    def _heads(self) -> int:
        return self.weights.shape[-3]

    def _through_softmax(self, s: Tensor) -> Tensor:
        return self.weights * (s - sum(s * self.weights, -1, keepdims=True))

    def _dropped(self, p: Tensor) -> Tensor:
        return p if self.kept is None else p * self.kept


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMultiheadAttention(ReverseLayer):
    """MultiheadAttention ↔ the reverses of its three steps, last step first. u: (..., N, L, E); result: the same.

    J = W_out J_attention W_in, so Jᵀu = W_inᵀ J_attentionᵀ W_outᵀ u.
    """

    in_proj_weight: Tensor  # W_in: (3E, E)
    attention: ReverseAttention
    out_proj_weight: Tensor  # W_out: (E, E)

    def vjp(self, u: Tensor) -> Tensor:
        u = families.linear_input(u, self.out_proj_weight)
        return families.linear_input(self.attention.vjp(u), self.in_proj_weight)

    def jvp(self, v: Tensor) -> Tensor:
        v = families.linear(v, self.in_proj_weight)
        return families.linear(self.attention.jvp(v), self.out_proj_weight)


def split_heads(packed: Tensor, heads: int, parts: int = 3) -> list[Tensor]:
    """What lies side by side, with an axis of heads. packed: (..., L, parts·E); each part: (..., heads, L, E/heads)."""
    *lead, length, width = packed.shape
    n = len(lead)
    apart = reshape(packed, (*lead, length, parts, heads, width // parts // heads))
    first = transpose(apart, (n + 1, *range(n), n + 2, n, n + 3))
    return [first[i] for i in range(parts)]


def join_heads(x: Tensor) -> Tensor:
    """The heads side by side. x: (..., heads, L, E/heads); result: (..., L, E)."""
    y = swapaxes(x, -3, -2)
    return reshape(y, (*y.shape[:-2], y.shape[-2] * y.shape[-1]))
