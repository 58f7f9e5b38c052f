"""‖J‖_F² from a few random projections instead of K rows (Hoffman, Roberts & Yaida 2019, algorithm 1).

For u uniform on the unit sphere of the K outputs ‖J‖_F² = K·E‖Jᵀu‖², so n cotangents replace K.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Trace
from tinygrad2.nn.init import Rng, default_rng
from tinygrad2.ops import matmul, sum, swapaxes, transpose
from tinygrad2.robust.penalties.jacobian import FROBENIUS
from tinygrad2.robust.penalties.reduction import classes, flat, pick


def projected_frobenius(trace: Trace, *, projections: int = 1, rng: Rng = None, reduction: str = "squares") -> Tensor:
    """An estimate of ‖J‖_F² by K/n Σ_u ‖Jᵀu‖², n random unit vectors u for each sample. Hoffman et al. 2019.

    trace: of a net with logits (N, K); result: a scalar
    projections: n, at least 1
    rng: a generator goes on from call to call; an int gives the same projections at every call
    reduction, and how λ converts: as for `jacobian_frobenius`. "squares" is unbiased, each sample's part with the
        `projection_variance`; "root" and "mean" are a little too small on average, as the root is concave.

    >>> trace = nn.Flatten().trace(np.array([[2.0, 1.0]]))  # the Jacobian is the identity
    >>> round(robust.projected_frobenius(trace, rng=0).item(), 3)
    2.0
    """
    if projections < 1:
        raise ValueError(f"projections is a number of random vectors and must be at least 1, got {projections}")
    n, k = classes(trace)
    u = default_rng(rng).standard_normal((projections, n, k))
    u = (u / np.linalg.norm(u, axis=-1, keepdims=True)).astype(trace.output.dtype)
    lead, of = pick(FROBENIUS, reduction, "reduction")
    return of(trace.reverse().squared_norms(u, lead) * (k / projections), n)  # in place of those of J


def projection_variance(trace: Trace, *, projections: int = 1) -> np.ndarray:
    """The variance of the estimate of ‖J_i‖_F², exact: 2(K‖JJᵀ‖_F² - ‖J‖_F⁴) / (n(K + 2)).

    trace: of a net with logits (N, K); projections: n; result: (N,), on the host
    It is 0 where all rows of J are orthogonal and of one length, and at most 2(K - 1)/(n(K + 2)) of ‖J‖_F⁴.

    >>> robust.projection_variance(nn.Flatten().trace(np.array([[2.0, 1.0]])))  # the Jacobian is the identity
    array([0.])
    """
    _, k = classes(trace)
    with no_grad():
        j = transpose(flat(trace, trace.jacobian()), (1, 0, 2))  # (N, K, D)
        gram = matmul(j, swapaxes(j, 1, 2))
        fourth = sum(gram * gram, (1, 2))
        square = sum(j * j, (1, 2))
        return ((fourth * k - square * square) * (2.0 / (projections * (k + 2)))).numpy()
