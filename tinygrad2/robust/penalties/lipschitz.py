"""Penalties on how fast the logits can move apart, or move at all: cross-Lipschitz, and the spectral norm of J."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Trace
from tinygrad2.nn.init import Rng, default_rng
from tinygrad2.ops import norm, ratio, sum
from tinygrad2.ops.losses import REDUCTIONS
from tinygrad2.robust.penalties.reduction import classes, flat, pick


def cross_lipschitz(trace: Trace, *, reduction: str = "mean") -> Tensor:
    """1/K² Σ_l Σ_m ‖∇z_m - ∇z_l‖₂², differences of logits only. Hein & Andriushchenko 2017, their Ω.

    trace: of a net with logits (N, K); result: a scalar
    reduction: "mean" (the paper's), "sum" or "none" (N,) of the samples. λ_mean = N·λ_sum.

    The double sum is 2K Σ_k ‖J_k - J̄‖², J̄ the mean row: what all rows share cancels.

    >>> robust.cross_lipschitz(nn.Flatten().trace(np.array([[2.0, 1.0]]))).item()  # the Jacobian is the identity
    1.0
    """
    n, k = classes(trace)
    u = (np.eye(k) - 1 / k).astype(trace.output.dtype)  # Jᵀu_k = J_k - J̄
    squares = trace.reverse().squared_norms(np.broadcast_to(u[:, None], (k, n, k)))
    return pick(REDUCTIONS, reduction, "reduction")(sum(squares, 0) * (2.0 / k))


def spectral_norm(trace: Trace, *, iterations: int = 10, rng: Rng = None, reduction: str = "mean") -> Tensor:
    """‖J_i‖₂, the largest singular value, by power iteration from a random start: never more than the true one.

    trace: of a net with logits (N, K); result: a scalar
    iterations: products with J and Jᵀ, at least 1
    rng: a seed or a generator; an int gives the same start always
    reduction: "mean", "sum" or "none" (N,) of the samples. λ_mean = N·λ_sum.

    Only the last ⟨Jᵀu, v⟩ is taped, with constant u and v: at the singular vectors its gradient is that of ‖J‖₂.
    Train-mode batch normalisation couples the samples, so that they have no Jacobians of their own: use eval mode.

    >>> round(robust.spectral_norm(nn.Flatten().trace(np.array([[2.0, 1.0]])), rng=0).item(), 3)  # J is the identity
    1.0
    """
    if iterations < 1:
        raise ValueError(f"iterations is a number of products with J and Jᵀ and must be at least 1, got {iterations}")
    n, k = classes(trace)
    reverse = trace.reverse()  # u ↦ Jᵀu
    linear = reverse.reverse()  # v ↦ Jv
    start = default_rng(rng).standard_normal((n, k)).astype(trace.output.dtype)
    u = Tensor(start).to(trace.output.device)
    with no_grad():
        for _ in range(iterations):
            v = _unit(reverse(u))
            u = _unit(linear(v))
    return pick(REDUCTIONS, reduction, "reduction")(sum(flat(trace, reverse(u) * v), 1))


def _unit(v: Tensor) -> Tensor:
    """v_i/‖v_i‖ of each sample, 0 where v_i is 0. v: (N, ...)."""
    return ratio(v, norm(v, axis=tuple(range(1, v.ndim)), keepdims=True))
