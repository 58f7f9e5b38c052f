"""The geometry of l_p over the last axis: norms, dual exponents, and the step that gains most per unit of length.

max_{‖r‖_p = 1} ⟨w, r⟩ = ‖w‖_q for 1/p + 1/q = 1 (Hölder), reached at r = sign(w)·(|w|/‖w‖_q)^(q-1).
"""

from __future__ import annotations

from math import inf

from tinygrad2.autodiff import Tensor
from tinygrad2.ops import abs, clip, equal, mask, max, maximum, norm, power, ratio, sign, sum


def dual(p: float) -> float:
    """q with 1/p + 1/q = 1. Raises ValueError unless p is in [1, ∞]."""
    if not p >= 1:
        raise ValueError(f"p: the l_p norm needs a number p ≥ 1, or infinity for the largest entry; got {p}")
    return inf if p == 1 else 1.0 if p == inf else p / (p - 1)


def name(p: float) -> str:
    """What the norm is called: "l2", "l∞" ..."""
    return "l∞" if p == inf else f"l{p:g}"


def length(x: Tensor, p: float) -> Tensor:
    """‖x‖_p over the last axis, which stays with size 1. x: (..., D)."""
    if p == 2:
        return norm(x, axis=-1, keepdims=True)
    size = abs(x)
    if p == 1:
        return sum(size, -1, keepdims=True)
    top = max(size, -1, keepdims=True)
    if p == inf:
        return top
    return top * power(sum(power(ratio(size, top), p), -1, keepdims=True), 1 / p)  # |x|^p alone may overflow


def steepest(w: Tensor, size: Tensor, q: float) -> Tensor:
    """sign(w)·(|w|/size)^(q-1), the r of ‖r‖_p = 1 with the largest ⟨w, r⟩; 0 at w = 0. w: (..., D); size: ‖w‖_q.

    q = ∞ (p = 1): all of it at the largest |w|, shared equally at a tie.
    """
    if q == 2:
        return ratio(w, size)
    if q == 1:
        return sign(w)
    if q == inf:
        largest = mask(abs(sign(w)), equal(abs(w), size))
        return sign(w) * ratio(largest, sum(largest, -1, keepdims=True))
    return sign(w) * power(ratio(abs(w), size), q - 1)


def project(x: Tensor, p: float, radius: float) -> Tensor:
    """The point of the ball ‖·‖_p ≤ radius nearest to x in l2. x: (..., D). Raises ValueError unless p is 2 or ∞."""
    if p == inf:
        return clip(x, -radius, radius)
    if p != 2:
        raise ValueError(f"p: the projection is known in closed form for the l2 and the l∞ ball, not for p = {p}")
    return x * ratio(radius, maximum(length(x, 2), radius))
