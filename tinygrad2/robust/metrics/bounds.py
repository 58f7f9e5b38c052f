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

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer, Softmax, Trace
from tinygrad2.ops import abs, broadcast_to, norm, reshape, sum
from tinygrad2.robust.attacks.deepfool import differences, others
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.evaluation import accept, check_logits, evaluated
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

    x: (N, ...). The net is in evaluation mode meanwhile. Raises ValueError for logits that are not finite.
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

    The net is in evaluation mode meanwhile. Source: Jacobian regularisation (Jakubovitz & Giryes 2018), table 1.

    >>> robust.frobenius_norms(nn.Flatten(), np.array([[2.0, 1.0]])).round(3)  # √2: the Jacobian is the identity
    array([1.414])
    """
    rows = pick(ROWS, on, "output")
    return _over(net, x, lambda trace: _frobenius(trace, rows(trace)), batch_size, progress)


# The cotangents whose rows make the Jacobian: (K, N, K).
ROWS: dict[str, Callable[[Trace], Tensor]] = {
    "logits": lambda trace: _one_hot(trace.output),
    "softmax": lambda trace: Softmax().trace(trace.output).jacobian(),
}


def _one_hot(z: Tensor) -> Tensor:
    n, k = z.shape
    return broadcast_to(Tensor(np.eye(k, dtype=z.dtype)[:, None]).to(z.device), (k, n, k))


@evaluated
def _over(
    net: Layer, x: np.ndarray, f: Callable[[Trace], np.ndarray], batch_size: int, progress: Progress | None
) -> np.ndarray:
    def of(part: slice) -> np.ndarray:
        trace = net.trace(accept(net, x[part]))
        check_logits(net, trace.output)
        return f(trace)

    with no_grad():
        return in_batches(of, len(x), batch_size, progress)


def _margins(trace: Trace) -> np.ndarray:
    """The fields of MarginBound, as columns. Result: (n, 3)."""
    z = trace.output
    predicted = z.numpy().argmax(1)
    u = differences(trace, others(trace, predicted), predicted)
    f = abs(sum(z * u, -1)).numpy()
    return np.stack([f.min(0), _frobenius(trace, _one_hot(z)), _divide(f, _lengths(trace, u)).min(0)], 1)


def _frobenius(trace: Trace, rows: Tensor) -> np.ndarray:
    """√Σ_k ‖Jᵀu_k‖² of each image: (n,). rows: u, (K, n, K)."""
    return norm(Tensor(_lengths(trace, rows)), axis=0).numpy()


def _lengths(trace: Trace, u: Tensor) -> np.ndarray:
    """‖Jᵀu‖ of each cotangent, (K, n), of any size: where a square overflows or vanishes, without squares."""
    rev = trace.reverse()
    squares = rev.squared_norms(u).numpy()
    limits = np.finfo(squares.dtype)
    if ((squares > limits.tiny / limits.eps) & (squares < np.inf)).all():
        lengths: np.ndarray = np.sqrt(squares)
        return lengths
    return norm(reshape(rev(u), (*squares.shape, -1)), axis=-1).numpy()


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a/b for a, b ≥ 0; where b is 0, infinity, but 0 for 0/0: on the boundary already."""
    quotient: np.ndarray = np.divide(a, b, out=np.where(a > 0, np.inf, 0).astype(a.dtype), where=b > 0)
    return quotient
