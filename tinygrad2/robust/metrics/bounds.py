"""How far a decision boundary is, to first order, and the lower bound of that by ‖J‖_F (Jakubovitz & Giryes 2018).

    d* = min_{k≠k*} |z_k* - z_k| / ‖J_k* - J_k‖₂  ≥  min_{k≠k*} |z_k* - z_k| / (√2 ‖J‖_F)        (equations 16 and 17)

The inequality always holds. The true distance is d* where the net is affine as far as the boundary; elsewhere neither
side bounds it: a curved boundary can be nearer. So the bound is a reason for the penalty, but it guarantees nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from tinygrad2.autodiff import no_grad
from tinygrad2.nn import Layer, Trace
from tinygrad2.ops import abs, sum
from tinygrad2.ops.reduce import root
from tinygrad2.robust.attacks.base import accept, argmax
from tinygrad2.robust.attacks.deepfool import differences, others
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.penalties.jacobian import NORMS
from tinygrad2.robust.penalties.reduction import pick


@dataclass(frozen=True)
class MarginBound:
    """Margins and Jacobians of N images; k* is the class that the net predicts.

    margin: (N,), min_{k≠k*} |z_k* - z_k|
    frobenius: (N,), ‖J‖_F
    linearized: (N,), d* of equation 16; inf where no boundary moves nearer
    """

    margin: np.ndarray
    frobenius: np.ndarray
    linearized: np.ndarray

    @property
    def bound(self) -> np.ndarray:
        """margin / (√2 ‖J‖_F), never above `linearized`; inf where J is 0 and the margin is not."""
        return _divide(self.margin, sqrt(2) * self.frobenius)

    @property
    def margin_to_jacobian(self) -> np.ndarray:
        """margin / ‖J‖_F, which a penalty must raise: shrinking margins and J together moves no boundary."""
        return _divide(self.margin, self.frobenius)

    def share_beyond(self, distances: np.ndarray) -> float:
        """The share of images whose boundary, found at `distances` (N,) in l2, lies at or beyond the bound."""
        return float((distances >= self.bound).mean())


def margin_bound(net: Layer, x: np.ndarray, *, batch_size: int = 100, progress: Progress | None = None) -> MarginBound:
    """Margins, Jacobians and first-order distances of all images.

    x: (N, ...). The net is used in the mode (train or eval) that it is in.
    Source: Jacobian regularisation (Jakubovitz & Giryes 2018), equations 16 and 17.

    >>> robust.margin_bound(nn.Flatten(), np.array([[2.0, 1.0]])).bound.round(3)  # 1/(√2·√2): the logits are the pixels
    array([0.5])
    """
    return MarginBound(*_over(net, x, _margins, batch_size, progress).T)


def frobenius_norms(
    net: Layer, x: np.ndarray, *, on: str = "logits", batch_size: int = 100, progress: Progress | None = None
) -> np.ndarray:
    """‖J(x_i)‖_F of each image; table 1 of Jacobian regularisation has its mean on clean and perturbed images.

    x: (N, ...); result: (N,)
    on: of the "logits", or of "softmax", as the size of the paper's numbers (0.14 without a defense) says theirs are

    >>> robust.frobenius_norms(nn.Flatten(), np.array([[2.0, 1.0]])).round(3)  # √2: the Jacobian is the identity
    array([1.414])
    """
    squares = pick(NORMS, on, "output")
    return _over(net, x, lambda trace: root(sum(squares(trace, 2), 0)).numpy(), batch_size, progress)


def _over(
    net: Layer, x: np.ndarray, f: Callable[[Trace], np.ndarray], batch_size: int, progress: Progress | None
) -> np.ndarray:
    with no_grad():
        return in_batches(lambda part: f(net.trace(accept(net, x[part]))), len(x), batch_size, progress)


def _margins(trace: Trace) -> np.ndarray:
    """The fields of MarginBound, as columns. Result: (n, 3)."""
    z = trace.output
    predicted = argmax(trace.output)
    u = differences(trace, others(trace, predicted), predicted)
    f = abs(sum(z * u, -1)).numpy()
    w = root(trace.reverse().squared_norms(u)).numpy()
    frobenius = root(sum(trace.jacobian_norms(), 0)).numpy()
    return np.stack([f.min(0), frobenius, _divide(f, w).min(0)], 1)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a/b for a, b ≥ 0; where b is 0, infinity, but 0 for 0/0: on the boundary already."""
    quotient: np.ndarray = np.divide(a, b, out=np.where(a > 0, np.inf, 0).astype(a.dtype), where=b > 0)
    return quotient
